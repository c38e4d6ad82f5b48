"""What a page of each kind shows before anybody scrolls: its words and one whole figure, in a window well filled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser import devtools
from tests.sites import PAGES

pytestmark = pytest.mark.browser

WIDTH, HEIGHT = 1280, 800
# The overview and the page that runs a network are instruments of their own: what is to be seen whole of them.
# 404.html has nothing to show.
INSTRUMENTS = {"index": [".tour"], "try": ["#stage", "#answers"]}
OPENED = [name for name in PAGES if name not in (*INSTRUMENTS, "404")]
# The tests' report has four classes, three photos, two mistakes and few versions to tell of: less than fills a window.
LESS = {"data": 0.2, "evaluation-cnn-mistakes": 0.28}
EMPTY = {"data": 0.55, "evaluation-cnn-mistakes": 0.55, "about": 0.5, "failures": 0.45, "grad-cam": 0.45}
# The page's own figure without its caption, and how much of the window no word and no picture touches, in squares.
MEASURED = f"""(() => {{
    const parts = [...document.querySelectorAll(".opening > .first > :not(figcaption)")];
    const seen = "img, svg, table, dl, pre, h2, h3, li, p";
    const shown = parts.flatMap((part) => [...part.querySelectorAll(seen)]).map((one) => one.getBoundingClientRect())
        .filter((box) => box.width && box.height);
    const [left, top] = [Math.min(...shown.map((box) => box.left)), Math.min(...shown.map((box) => box.top))];
    const [right, bottom] = [Math.max(...shown.map((box) => box.right)), Math.max(...shown.map((box) => box.bottom))];
    const side = 32, body = document.body.getBoundingClientRect(), filled = new Set();
    const solid = document.querySelectorAll("img, svg, canvas, input, button");
    const boxes = [...solid].map((one) => one.getBoundingClientRect());
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {{
        if (!node.textContent.trim() || !node.parentElement.checkVisibility()) continue;
        const words = document.createRange();
        words.selectNodeContents(node);
        boxes.push(...words.getClientRects());
    }}
    const [across, down] = [Math.floor(body.width / side), Math.floor({HEIGHT} / side)];
    for (const box of boxes)
        for (let y = Math.max(0, Math.floor(box.top / side)); y < Math.min(down, Math.ceil(box.bottom / side)); y++)
            for (let x = Math.max(0, Math.floor((box.left - body.left) / side));
                 x < Math.min(across, Math.ceil((box.right - body.left) / side)); x++) filled.add(`${{x}} ${{y}}`);
    return {{left, bottom, words: document.querySelector(".say").getBoundingClientRect().right,
        share: (right - left) * (bottom - top) / ({WIDTH} * {HEIGHT}), empty: 1 - filled.size / (across * down)}};
}})()"""
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def measured(chrome: devtools.Browser, address: str, width: int = WIDTH, height: int = HEIGHT) -> devtools.Tab:
    """The page in a window of that size."""
    page = devtools.open_page(chrome, address, width=width)
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    chrome.call("Emulation.setDeviceMetricsOverride", page.session, **size)
    return page


@pytest.mark.parametrize("name", OPENED)
def test_the_first_screen_holds_one_whole_figure(chrome: devtools.Browser, site: Path, name: str) -> None:
    page = measured(chrome, (site / f"{name}.html").as_uri())
    found: dict[str, Any] = page.evaluate(MEASURED)
    assert found["bottom"] <= HEIGHT, found
    assert found["share"] >= LESS.get(name, 0.3), found
    assert found["empty"] < EMPTY.get(name.removesuffix("-slice"), 0.4), found
    assert found["words"] <= found["left"], found  # words at the left, the figure beside them
    page.close()


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_an_instrument_is_seen_whole_in_the_first_screen(chrome: devtools.Browser, site: Path, name: str) -> None:
    page = measured(chrome, (site / f"{name}.html").as_uri())
    for part in INSTRUMENTS[name]:
        assert page.evaluate(f"document.querySelector('{part}').getBoundingClientRect().bottom") <= HEIGHT, part
    assert page.evaluate(MEASURED.replace('document.querySelector(".say")', "document.body"))["empty"] < 0.5
    page.close()


@pytest.mark.parametrize("name", OPENED)
def test_on_a_phone_the_figure_follows_the_words(chrome: devtools.Browser, site: Path, name: str) -> None:
    page = measured(chrome, (site / f"{name}.html").as_uri(), 390, 844)
    assert page.evaluate(SIDEWAYS) <= 0
    order = "[...document.querySelector('.opening').children].map((one) => one.getBoundingClientRect().top)"
    tops = page.evaluate(order)
    assert tops == sorted(tops)
    page.close()


# Of each row of pictures with words above them: where the first picture of each begins.
BESIDE = """[...document.querySelectorAll(".views")].map((views) => {
    const rows = new Map();
    for (const one of views.children) {
        const picture = one.querySelector("img");
        const top = Math.round(one.getBoundingClientRect().top);
        if (picture) rows.set(top, [...(rows.get(top) ?? []), Math.round(picture.getBoundingClientRect().top)]);
    }
    return [...rows.values()];
}).flat()"""


@pytest.mark.parametrize("name", ["grad-cam-slice", "grad-cam-koala", "failures"])
def test_on_a_phone_a_photo_and_its_maps_stand_at_one_height(chrome: devtools.Browser, site: Path, name: str) -> None:
    page = measured(chrome, (site / f"{name}.html").as_uri(), 390, 844)
    rows: list[list[int]] = page.evaluate(BESIDE)
    assert any(len(row) > 1 for row in rows)
    assert all(max(row) - min(row) <= 1 for row in rows), rows
    page.close()
