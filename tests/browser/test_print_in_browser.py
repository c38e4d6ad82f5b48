"""Every kind of page on paper: nothing to press, nothing cut off, nothing torn apart, dark ink on white."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.browser import devtools, paper
from tests.browser.test_try_in_browser import STATUS, until
from tests.sites import PAGES

# What an A4 sheet shows within Chrome's own margins of 0.4 inches, in CSS pixels.
WIDTH, HEIGHT = 717, 1046
VISIBLE = "[...document.querySelectorAll(%r)].filter((one) => one.checkVisibility()).length"
CUT = """[...document.querySelectorAll(".scroll")].filter((one) =>
    one.checkVisibility() && (getComputedStyle(one).overflowX !== "visible" || one.scrollHeight > one.clientHeight + 1)
).length"""
TORN = f"""[...document.querySelectorAll("figure")].filter((one) =>
    getComputedStyle(one).breakInside !== "avoid" || one.getBoundingClientRect().height > {HEIGHT}
).map((one) => one.id)"""
OUTSIDE = """[...document.querySelectorAll("main *")].filter((one) =>
    one.checkVisibility() && !one.closest("math, .unseen") && one.getBoundingClientRect().right > innerWidth + 1
).map((one) => one.outerHTML.slice(0, 80))"""
ADDRESSES = """[...document.querySelectorAll("main a[href^=http]")].filter((one) =>
    one.checkVisibility() && !getComputedStyle(one, "::after").content.includes(one.getAttribute("href"))
).length"""

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("name", PAGES)
def test_a_page_on_paper(chrome: devtools.Browser, site: Path, name: str) -> None:
    page = devtools.open_page(chrome, (site / f"{name}.html").as_uri(), width=WIDTH, dark=True, media="print")
    page.evaluate("document.documentElement.style.colorScheme = 'dark'")  # as the button for the theme does
    assert page.evaluate("getComputedStyle(document.documentElement).color") == "rgb(28, 26, 23)"
    # The heads of tables and the names of classes are words too.
    assert page.evaluate(VISIBLE % "nav, button:not(th *, #classes *), input, select, .address, .source") == 0
    assert page.evaluate(CUT) == 0
    assert page.evaluate(TORN) == []
    assert page.evaluate(OUTSIDE) == []
    assert page.evaluate(ADDRESSES) == 0
    page.close()


@pytest.mark.parametrize("name", PAGES)
def test_no_words_are_printed_over_words_or_pictures(chrome: devtools.Browser, site: Path, name: str) -> None:
    page = devtools.open_page(chrome, (site / f"{name}.html").as_uri())
    if name == "try":
        until(page, f"{STATUS}.includes(', then ')")
    for height in (11.69, 9, 7.5, 6.5):  # the shorter, the more of the page is torn apart
        sheets = paper.sheets(page.printed(height))
        assert sum(len(sheet.letters) for sheet in sheets) > 100
        assert [sheet.collisions() for sheet in sheets] == [0] * len(sheets), height
    page.close()


def test_words_over_words_and_pictures_would_be_found(chrome: devtools.Browser, site: Path) -> None:
    page = devtools.open_page(chrome, (site / "grad-cam-slice.html").as_uri())
    moved = "document.querySelector('%s').style.%s; 0"
    for change in (moved % ("main .lead", "marginTop = '-2em'"), moved % (".views figcaption", "marginTop = '-4em'")):
        before = sum(sheet.collisions() for sheet in paper.sheets(page.printed()))
        page.evaluate(change)
        assert sum(sheet.collisions() for sheet in paper.sheets(page.printed())) > before
    page.close()


def test_bars_of_answers_are_printed(chrome: devtools.Browser, site: Path) -> None:
    """Browsers leave backgrounds out unless they are told that one says something."""
    page = devtools.open_page(chrome, (site / "try.html").as_uri(), media="print")
    until(page, "document.querySelector('.bar span')")
    assert page.evaluate("getComputedStyle(document.querySelector('.bar span')).printColorAdjust") == "exact"
    page.close()


@pytest.mark.parametrize("name", ["grad-cam-slice", "failures", "try"])
def test_a_share_is_printed_in_one_line(chrome: devtools.Browser, site: Path, name: str) -> None:
    page = devtools.open_page(
        chrome, (site / f"{name}.html").as_uri(), width=718, media="print"
    )  # of A4, within margins
    lines = page.evaluate("""[...document.querySelectorAll(".bars .n")].map((cell) => {
        const words = document.createRange();
        words.selectNodeContents(cell);
        return words.getClientRects().length;
    })""")
    assert set(lines) == {1}
    page.close()


def test_pages_are_printed_with_their_pictures(chrome: devtools.Browser, site: Path) -> None:
    page = devtools.open_page(chrome, (site / "grad-cam-slice.html").as_uri())
    printed = page.printed()
    shown = page.evaluate("new Set([...document.images].map((image) => image.currentSrc || image.src)).size")
    assert 1 < len(re.findall(rb"/Type\s*/Page\b", printed)) <= 8
    assert len(re.findall(rb"/Subtype\s*/Image", printed)) >= shown - 5  # the thumbnails of the picker stay behind
    page.close()
