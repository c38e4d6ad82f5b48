"""The overview in a real browser: another photo in place, the map of the answer that is pointed at, the drawing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser import devtools

pytestmark = pytest.mark.browser

SHOWN = """(() => ({
    images: [...document.querySelectorAll(".tour img:not(.over img)")].map((one) => one.getAttribute("src").slice(15)),
    answers: [...document.querySelectorAll(".tour li li bdi")].map((one) => one.textContent),
    told: document.querySelector(".told").textContent,
    current: document.querySelector(".choosing a[aria-current]").dataset.choice,
    hash: location.hash,
}))()"""
PLACES = """[".picker", ".told", ".tour", ".headline"].map((name) => {
    const { x, y, width, height } = document.querySelector(name).getBoundingClientRect();
    return [x, y, width, height];
})"""
SETTLED = "new Promise((done) => setTimeout(done, 300))"


def opened(chrome: devtools.Browser, site: Path, part: str = "", **said: Any) -> devtools.Tab:
    page = devtools.open_page(chrome, (site / "index.html").as_uri() + part, **said)
    if said.get("scripts", True):
        page.evaluate(SETTLED)
    return page


def pictures(photo: str) -> list[str]:
    return [f"hero{photo}-{part}.webp" for part in ("photo", "filters", "maps", "cam")]


@pytest.mark.parametrize("width", [390, 1280])
def test_another_photo_changes_all_in_its_place(chrome: devtools.Browser, site: Path, width: int) -> None:
    page = opened(chrome, site, width=width)
    assert not [url for url in page.requests if "hero-koala" in url or "veils" in url]
    before, places = page.evaluate(SHOWN), page.evaluate(PLACES)
    assert before["images"] == pictures("")
    assert before["answers"][0] == "bee"
    page.evaluate(f"(document.querySelector('[data-choice=koala]').click(), {SETTLED})")
    after = page.evaluate(SHOWN)
    assert after["images"] == pictures("-koala")
    assert after["answers"][0] == "koala"
    assert after["told"].startswith("Koala")
    assert (after["current"], after["hash"]) == ("koala", "#photo=koala")
    assert page.evaluate(PLACES) == places
    page.evaluate(f"(document.querySelector('[data-choice=bee]').click(), {SETTLED})")
    assert {**page.evaluate(SHOWN), "hash": ""} == before
    assert not page.problems
    page.close()


def test_an_address_names_the_photo(chrome: devtools.Browser, site: Path) -> None:
    page = opened(chrome, site, "#photo=slice")
    found = page.evaluate(SHOWN)
    assert (found["images"], found["current"]) == (pictures("-slice"), "slice")
    assert "wrong: pizza is its choice number" in found["told"]
    page.evaluate(f"(location.hash = '#photo=bee', {SETTLED})")
    assert page.evaluate(SHOWN)["current"] == "bee"
    page.evaluate(f"(location.hash = '#photo=nothing', {SETTLED})")
    assert page.evaluate(SHOWN)["current"] == "bee"
    page.close()


def test_arrow_keys_go_on_to_the_next_photo(chrome: devtools.Browser, site: Path) -> None:
    page = opened(chrome, site)
    page.evaluate("document.querySelector('.choosing a').focus()")
    page.press("ArrowRight")
    page.evaluate(SETTLED)
    assert page.evaluate(SHOWN)["current"] == "koala"
    assert page.evaluate("document.activeElement.dataset.choice") == "koala"
    page.press("ArrowLeft")
    page.evaluate(SETTLED)
    assert page.evaluate(SHOWN)["current"] == "bee"
    page.close()


def test_the_map_follows_the_answer_that_is_pointed_at(chrome: devtools.Browser, site: Path) -> None:
    page = opened(chrome, site)
    laid = """(() => {
        const over = document.querySelector(".evidence .over");
        return [document.querySelector(".evidence .of").textContent, over && !over.hidden,
                over && over.lastChild.style.objectPosition];
    })()"""
    assert page.evaluate(laid) == ["bee", False, "0px 0%"] or page.evaluate(laid)[:2] == ["bee", None]
    point = """(name, kind) => [...document.querySelectorAll(".tour [data-place]")]
        .find((one) => one.textContent === name).dispatchEvent(new PointerEvent(kind, { bubbles: true }))"""
    page.evaluate(f"({point})('lion', 'pointerover')")
    assert page.evaluate(laid) == ["lion", True, "0px 50%"]
    page.evaluate(f"({point})('lion', 'pointerout')")
    assert page.evaluate(laid)[:2] == ["bee", False]
    # A click, as a tap or the Enter key makes one, keeps it; the page stays.
    page.evaluate("[...document.querySelectorAll('.tour [data-place]')][1].focus()")
    assert page.evaluate(laid)[:2] == ["koala", True]
    page.press("ArrowDown")
    page.evaluate("document.activeElement.click()")
    page.evaluate("document.activeElement.blur()")
    assert page.evaluate(laid) == ["lion", True, "0px 50%"]
    assert page.evaluate("location.pathname").endswith("/index.html")
    # The picture of the maps covers the photo: the map of a place fills it.
    boxes = "['.over img:last-child', '.evidence > img'].map((name) => document.querySelector(name).clientHeight)"
    veil, below = page.evaluate(boxes)
    assert veil == below > 100
    assert not page.problems
    page.close()


def test_without_scripts_photos_and_answers_are_links(chrome: devtools.Browser, site: Path) -> None:
    page = opened(chrome, site, scripts=False)
    links = page.evaluate(
        "[...document.querySelectorAll('.choosing a, .tour li li a')].map((one) => one.getAttribute('href'))"
    )
    assert links[:3] == ["grad-cam-bee.html", "grad-cam-koala.html", "grad-cam-slice.html"]
    assert links[3:5] == ["grad-cam-bee.html#cnn-for-bee", "grad-cam-bee.html#cnn-for-koala"]
    for link in links:
        path, _, part = link.partition("#")
        assert not part or f'id="{part}"' in (site / path).read_text()
    assert page.evaluate("document.querySelectorAll('.tour').length") == 1
    page.close()


@pytest.mark.parametrize(("width", "drawn"), [(390, False), (1100, False), (1120, True), (1920, True)])
def test_the_drawing_is_a_picture_where_there_is_room_and_else_a_list(
    chrome: devtools.Browser, site: Path, width: int, drawn: bool
) -> None:
    page = opened(chrome, site, width=width)
    seen = "['.anatomy', '.drawn ol'].map((name) => document.querySelector(name).checkVisibility())"
    assert page.evaluate(seen) == [drawn, not drawn]
    part = ".anatomy a" if drawn else ".drawn ol a"
    links = page.evaluate(f"[...document.querySelectorAll('{part}')].map((one) => one.getAttribute('href'))")
    assert links[:2] == ["filters-cnn-conv1.html", "filters-cnn-conv2.html"]
    if drawn:
        words = "[...document.querySelectorAll('.anatomy text')].map((one) => one.getBoundingClientRect())"
        heights = page.evaluate(f"{words}.map((box) => box.height)")
        assert min(heights) >= 11
        # No words lie over others.
        boxes = page.evaluate(f"{words}.map((box) => [box.left, box.top, box.right, box.bottom])")
        for place, (left, top, right, bottom) in enumerate(boxes):
            for other in boxes[place + 1 :]:
                apart = right <= other[0] or other[2] <= left or bottom <= other[1] + 4 or other[3] <= top + 4
                assert apart, (boxes[place], other)
    page.close()


def test_the_drawing_is_read_as_a_list_of_links(chrome: devtools.Browser, site: Path) -> None:
    page = opened(chrome, site)
    nodes = chrome.call("Accessibility.getFullAXTree", page.session)["nodes"]
    roles = [
        (node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node.get("ignored")
    ]
    assert ("group", "The parts of SmallCNN, from the photo to its answers") in roles
    assert [name for role, name in roles if role == "link" and name.startswith("Convolution 1")]
    page.close()
