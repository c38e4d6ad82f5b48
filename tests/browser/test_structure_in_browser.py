"""What a page is made of, for those who do not see it as it is drawn: headings, landmarks, directions, own colours."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests import sites
from tests.browser import devtools
from tests.sites import PAGES

pytestmark = pytest.mark.browser

HEADINGS = (
    "[...document.querySelectorAll('h1, h2, h3, h4, h5')].map((one) => [+one.tagName[1], one.textContent.trim()])"
)
LANDMARKS = """[...document.querySelectorAll('main section, main nav, main [role=region]')].filter((one) =>
    one.matches('nav, [aria-label], [aria-labelledby]')).length"""


def test_headings_are_words_alone_and_skip_no_level(chrome: devtools.Browser, site: Path) -> None:
    for name in PAGES:
        page = devtools.open_page(chrome, (site / f"{name}.html").as_uri())
        found = page.evaluate(HEADINGS)
        levels = [level for level, _ in found]
        assert levels[0] == 1
        assert [words for _, words in found if "#" in words or not words] == [], name
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), (name, found)
        page.close()


def test_an_address_is_shown_beside_the_heading_that_is_pointed_at(chrome: devtools.Browser, site: Path) -> None:
    page = devtools.open_page(chrome, (site / "evaluation.html").as_uri())
    shown = "getComputedStyle(document.querySelector('#cnn + .address')).opacity"
    assert page.evaluate(shown) == "0"
    page.evaluate("document.querySelector('#cnn + .address').focus()")
    assert page.evaluate(shown) == "1"
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#cnn"
    page.close()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("grad-cam", {(3, "SmallCNN"), (4, "Every class"), (4, "What the answer is made of")}),
        ("feature-maps", {(3, "SmallCNN"), (3, "AlexNet"), (4, "stage 1")}),
        ("try", {(3, "stage 1")}),
    ],
)
def test_parts_of_a_photos_page_have_headings(
    chrome: devtools.Browser, site: Path, name: str, wanted: set[tuple[int, str]]
) -> None:
    page = devtools.open_page(chrome, (site / f"{name}.html").as_uri(), scripts=name != "try")
    page.evaluate(
        "document.body.append(...[...document.querySelectorAll('noscript')].flatMap((one) => [...one.children]))"
    )
    found = {(level, words) for level, words in page.evaluate(HEADINGS)}
    assert wanted <= found
    page.close()


def test_mistakes_are_no_landmarks(chrome: devtools.Browser, site: Path) -> None:
    """A network may have a hundred kinds of them."""
    page = devtools.open_page(chrome, (site / "evaluation-cnn-mistakes.html").as_uri())
    assert page.evaluate("document.querySelectorAll('.mixed h2').length") > 1
    assert page.evaluate(LANDMARKS) == 0
    links = "[...document.querySelectorAll('.onward a')].map((one) => one.getAttribute('href'))"
    assert page.evaluate(links) == ["evaluation.html#cnn", "evaluation-alexnet-mistakes.html"]
    page.close()
    page = devtools.open_page(chrome, (site / "evaluation-alexnet-mistakes.html").as_uri())
    assert page.evaluate(links) == ["evaluation-cnn-mistakes.html", "filters.html"]
    page.close()


@pytest.mark.parametrize("links", ["a.source", ".heading:has(#alexnet-pairs) ~ section tbody a"])
def test_links_that_are_called_alike_lead_to_the_same_place(chrome: devtools.Browser, site: Path, links: str) -> None:
    found: dict[str, set[str]] = {}
    for name in PAGES:
        page = devtools.open_page(chrome, (site / f"{name}.html").as_uri())
        told = f"[...document.querySelectorAll({links!r})].map((one) => [one.ariaLabel, one.innerText, one.href])"
        for label, words, href in page.evaluate(told):
            assert words in label  # who speaks to the page says what is seen
            found.setdefault(f"{name}: {label}", set()).add(href)
        page.close()
    assert found
    assert [label for label, places in found.items() if len(places) > 1] == []


def forced(chrome: devtools.Browser, address: str) -> devtools.Tab:
    """The page in colours that the reader forces on it."""
    page = devtools.open_page(chrome, address)
    features = [{"name": "forced-colors", "value": "active"}]
    chrome.call("Emulation.setEmulatedMedia", page.session, features=features)
    assert page.evaluate("matchMedia('(forced-colors: active)').matches") is True
    return page


@pytest.mark.parametrize("links", [".masthead li a", ".picker a"])
def test_what_is_current_is_seen_in_forced_colours(chrome: devtools.Browser, site: Path, links: str) -> None:
    page = forced(chrome, (site / "grad-cam-slice.html").as_uri())
    borders = f"""[...document.querySelectorAll({links!r})].map((one) => [one.hasAttribute("aria-current"),
        getComputedStyle(one).borderBottomColor === getComputedStyle(document.documentElement).backgroundColor])"""
    found = page.evaluate(borders)
    assert {tuple(one) for one in found} == {(True, False), (False, True)}  # only the current one has a border
    page.close()


def test_bars_of_answers_are_seen_in_forced_colours(chrome: devtools.Browser, site: Path) -> None:
    page = forced(chrome, (site / "try.html").as_uri())
    page.evaluate(
        "document.getElementById('answers').insertAdjacentHTML('beforeend', "
        '\'<tbody><tr><td class="bar"><span id="b"></span></td></tr></tbody>\')'
    )
    assert page.evaluate("getComputedStyle(document.getElementById('b')).backgroundColor") == "rgb(0, 0, 0)"
    page.close()


def test_words_from_elsewhere_run_in_their_own_direction(
    chrome: devtools.Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = sites.place(tmp_path_factory.mktemp("built") / "site", title="تقرير الشبكة (CNN) – 2026!")
    page = devtools.open_page(chrome, (folder / "index.html").as_uri())
    direction = "getComputedStyle(document.querySelector('%s')).direction"
    assert page.evaluate(direction % "h1") == "rtl"
    assert page.evaluate(direction % ".masthead .title") == "rtl"
    assert page.evaluate(direction % "h2") == "ltr"
    page.close()
    page = devtools.open_page(chrome, (folder / "grad-cam.html").as_uri())
    for place in ("#title", ".bars th", ".every tbody th"):
        assert page.evaluate(f"document.querySelector({place!r}).dir") == "auto", place
    page.close()


def test_the_outline_of_a_row_leaves_its_neighbours_alone(chrome: devtools.Browser, site: Path) -> None:
    page = devtools.open_page(chrome, (site / "grad-cam-slice.html").as_uri() + "#cnn-for-koala")
    assert page.evaluate("getComputedStyle(document.querySelector('tr:target')).outlineStyle") == "solid"
    assert page.evaluate("parseFloat(getComputedStyle(document.querySelector('tr:target')).outlineOffset)") <= 0
    page.close()


def test_rows_of_the_licences_stand_on_one_line(chrome: devtools.Browser, site: Path) -> None:
    """Also where a link takes two."""
    page = devtools.open_page(chrome, (site / "about.html").as_uri())
    page.evaluate("for (const link of document.querySelectorAll('#licences ~ * tbody a')) link.style.width = '3em'; 0")
    lines = """[...document.querySelectorAll('#licences, .heading:has(#licences)')].flatMap((one) =>
        [...one.parentElement.querySelectorAll('tbody tr')]).map((row) => [...row.cells].map((cell) => {
            const words = document.createRange();
            words.selectNodeContents(cell);
            const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
            words.selectNode(walker.nextNode());
            return words.getClientRects()[0].bottom;
        }))"""
    rows = page.evaluate(lines)
    assert rows
    assert all(max(row) - min(row) <= 2 for row in rows), rows
    page.close()


def test_on_a_phone_the_overviews_doors_stand_in_their_order(chrome: devtools.Browser, site: Path) -> None:
    page = devtools.open_page(chrome, (site / "index.html").as_uri(), width=390)
    places = "[...document.querySelectorAll('.tour > li')].map((one) => [one.offsetTop, one.offsetLeft])"
    found = page.evaluate(places)
    assert len(found) == 5
    assert found == sorted(found)
    page.close()


def test_no_option_of_a_command_is_torn_apart_at_its_hyphens(chrome: devtools.Browser, site: Path) -> None:
    """Browsers end lines after them: "python -" and "m generator"."""
    torn = """(() => {
        const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        const found = [];
        for (let node = walker.nextNode(); node; node = walker.nextNode())
            for (const option of node.textContent.matchAll(/(?<!\\S)--?[a-z]+/g)) {
                const words = document.createRange();
                words.setStart(node, option.index);
                words.setEnd(node, option.index + option[0].length);
                found.push([option[0], new Set([...words.getClientRects()].map((one) => one.top)).size]);
            }
        return found;
    })()"""
    seen = set()
    for width in range(300, 420, 10):
        for name in ("about", "evaluation"):
            page = devtools.open_page(chrome, (site / f"{name}.html").as_uri(), width=width)
            page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true; 0")
            found = page.evaluate(torn)
            assert {lines for _, lines in found} <= {0, 1}, (name, width, found)
            seen |= {option for option, _ in found}
            page.close()
    assert seen >= {"-m", "--data"}


def test_pictures_to_choose_from_fill_their_places(chrome: devtools.Browser, site: Path) -> None:
    """Those of 28 pixels, too."""
    page = devtools.open_page(chrome, (site / "grad-cam.html").as_uri(), width=1280)
    small = "<svg xmlns='http://www.w3.org/2000/svg' width='28' height='28'/>"
    one = "document.querySelector('.picker img')"
    page.evaluate(f"new Promise((done) => {{ {one}.onload = done; {one}.width = {one}.height = 28; "
                  f"{one}.src = 'data:image/svg+xml,' + encodeURIComponent({small!r}); }}).then(() => 0)")  # fmt: skip
    assert page.evaluate(f"{one}.getBoundingClientRect().width") >= 40
    page.close()


def test_one_figure_where_there_could_be_several_has_its_caption_beside_it(
    chrome: devtools.Browser, site: Path
) -> None:
    page = devtools.open_page(chrome, (site / "training.html").as_uri(), width=1280)
    page.evaluate("for (const one of document.querySelectorAll('.trio > :not(:first-child)')) one.remove(); 0")
    beside = """[...document.querySelectorAll('.trio')].filter((one) => one.checkVisibility() && one.children.length)
        .map((one) => [...one.firstElementChild.children].map((part) => part.getBoundingClientRect()))
        .map(([picture, caption]) => caption.left >= picture.right && caption.top < picture.bottom)"""
    found = page.evaluate(beside)
    assert found
    assert all(found), found
    page.close()
