"""axe-core on every kind of page: WCAG 2.2 AA and good practice, in light, dark, on a phone, and without scripts."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.browser import devtools
from tests.browser.test_try_in_browser import STATUS, until
from tests.sites import PAGES

# The package whose copy of axe-core is used; it is not imported, for its driver of browsers is not installed.
CARRIER = "axe_playwright_python"
TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
RUN = f"""axe.run({{
    runOnly: {list(TAGS)}, rules: {{ "target-size": {{ enabled: true }} }}, resultTypes: ["violations"]
}}).then((found) => found.violations.map((one) => [one.id, one.help, one.nodes.length, one.nodes[0].target.join(" ")]))
"""
WAYS: dict[str, Any] = {
    "light": {},
    "dark": {"dark": True},
    "phone": {"width": 390},
    "without scripts": {"scripts": False},
}
# The network has answered the first photo.
SHOWN = f"document.querySelector('#answers button') && {STATUS}.includes(', then ')"

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def axe() -> str:
    """The script of axe-core."""
    found = find_spec(CARRIER)
    if found is None or found.origin is None:
        pytest.skip(f"needs axe-core: {CARRIER} is not installed (make test installs it)")
    return (Path(found.origin).parent / "axe.min.js").read_text("utf-8")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(chrome: devtools.Browser, site: Path, axe: str, name: str, way: str) -> None:
    page = devtools.open_page(chrome, (site / f"{name}.html").as_uri(), **WAYS[way])
    # What the page's own scripts did not do when it was loaded stays undone; axe-core needs timers.
    page.allow_scripts()
    if name == "try" and way != "without scripts":
        until(page, SHOWN)
        assert page.evaluate("document.querySelectorAll('#stage canvas, #arithmetic details').length") > 3
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    page.evaluate(axe)
    assert page.evaluate(RUN) == []
    page.close()


def test_axe_would_find_something(chrome: devtools.Browser, site: Path, axe: str) -> None:
    page = devtools.open_page(chrome, (site / "about.html").as_uri())
    page.evaluate("document.querySelector('footer a').style.color = 'silver'; document.documentElement.lang = ''")
    page.evaluate(axe)
    assert {one[0] for one in page.evaluate(RUN)} == {"color-contrast", "html-has-lang"}
    page.close()
