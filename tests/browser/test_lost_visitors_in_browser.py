"""The page for addresses that lead nowhere, at any depth of a host, as static hosts show it."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

import pytest

from tests import sites
from tests.browser import devtools
from tests.browser.hosts import Quiet, serving

pytestmark = pytest.mark.browser


class Host(Quiet):
    """A host of one site below /reports/cnn, which shows the site's own page for what is not there."""

    def translate_path(self, path: str) -> str:
        """The file of an address."""
        return super().translate_path(path.removeprefix("/reports/cnn"))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """The site's page, whatever the address."""
        assert code == HTTPStatus.NOT_FOUND
        content = (Path(self.directory) / "404.html").read_bytes()
        self.send_response(code, message)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def test_it_is_read_and_leads_home_without_a_base_url(chrome: devtools.Browser, tmp_path: Path) -> None:
    folder = sites.place(tmp_path / "site")
    with serving(folder, Host) as origin:
        address = f"{origin}/reports/cnn/none/at/all.html"
        for _ in range(3):
            page = devtools.open_page(chrome, address, width=320)
            assert "There is no such page here" in page.evaluate("document.body.innerText")
            assert "take off the end of the address" in page.evaluate("document.body.innerText")
            # Also without the styles, which are found beside the other pages alone.
            overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert page.evaluate(overflow) <= 0
            styled = page.evaluate("getComputedStyle(document.querySelector('main')).display") == "grid"
            assert styled == (address.count("/") == 5)
            home = page.evaluate("document.querySelector('main .lead a').href")
            page.close()
            if styled:
                break
            address = address.rpartition("/")[0]  # as the page says
        else:
            pytest.fail(f"{address} is still astray")
        page = devtools.open_page(chrome, home)
        assert page.evaluate("document.querySelectorAll('.tour').length") == 1
        page.close()
