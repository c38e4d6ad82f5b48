"""A page of the preview loads itself anew after a build, and follows the site to another path."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from generator.publishing.serve import server
from tests.browser import devtools

pytestmark = pytest.mark.browser
PAGE = '<!doctype html><html lang="en"><head><title>{}</title></head><body></body></html>'


def waited(page: devtools.Tab, script: str, wanted: str) -> bool:
    """Whether a page says so within some seconds: it asks once a second."""
    ends = time.monotonic() + 20
    while time.monotonic() < ends:
        with suppress(RuntimeError):  # the page is being replaced at this moment
            if page.evaluate(script) == wanted:
                return True
        time.sleep(0.2)
    return False


def test_a_page_below_letters_beyond_ascii_follows_the_builds(chrome: devtools.Browser, tmp_path: Path) -> None:
    start = tmp_path / "index.html"
    start.write_text(PAGE.format("first"))
    with server(tmp_path, address="https://example.org/über/~me") as preview:
        thread = threading.Thread(target=preview.serve_forever)
        thread.start()
        page = devtools.open_page(chrome, preview.url)
        try:
            assert page.evaluate("location.pathname") == "/%C3%BCber/~me/" == urlsplit(preview.url).path
            page.evaluate("window.kept = true; 0")
            time.sleep(2.5)  # two looks: nothing has changed
            assert page.evaluate("window.kept") is True
            start.write_text(PAGE.format("second"))
            assert waited(page, "document.title", "second")
            preview.address = "https://example.org//thesis"
            assert waited(page, "location.pathname", "/thesis/")
        finally:
            page.close()
            preview.shutdown()
            thread.join()
