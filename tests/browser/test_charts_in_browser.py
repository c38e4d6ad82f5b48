"""Words of charts as they are read: 11 to 13 pixels high at any width of the window, and none on another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from generator.figures import grids
from tests.browser import devtools

pytestmark = pytest.mark.browser

# Of each chart: its id, the sizes of its words in pixels, and words that lie on others by more than a little.
WORDS = """[...document.querySelectorAll("svg.chart")].filter((chart) => chart.checkVisibility()).map((chart) => {
    const scale = chart.getBoundingClientRect().width / chart.viewBox.baseVal.width;
    const words = [...chart.querySelectorAll("text")].filter((one) => one.textContent.trim());
    const boxes = words.map((one) => [one.textContent, one.getBoundingClientRect()]);
    const overlap = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2
        && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 0.5 * Math.min(a.height, b.height);
    return [chart.closest("figure").id, words.map((one) => parseFloat(getComputedStyle(one).fontSize) * scale),
        boxes.flatMap(([one, a], i) => boxes.slice(i + 1).filter(([, b]) => overlap(a, b)).map(([two]) => [one, two]))];
})"""

# Charts that leave their place, unless they scroll in it.
WIDER = """[...document.querySelectorAll("svg.chart")].filter((chart) => {
    const place = chart.parentElement;
    return chart.getBoundingClientRect().right > place.getBoundingClientRect().right + 1
        && getComputedStyle(place).overflowX === "visible";
}).map((chart) => chart.closest("figure").id)"""


@pytest.mark.parametrize("width", [390, 768, 1024, 1280, 1920])
@pytest.mark.parametrize("name", ["training", "evaluation", "trust", "filters-cnn-conv2"])
def test_words_of_charts_are_eleven_to_thirteen_pixels_high(
    chrome: devtools.Browser, site: Path, name: str, width: int
) -> None:
    page = devtools.open_page(chrome, (site / f"{name}.html").as_uri(), width=width)
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    found = page.evaluate(WORDS)
    assert found
    assert page.evaluate(WIDER) == []
    for chart, sizes, collisions in found:
        assert 11 <= min(sizes) <= max(sizes) <= 13.6, chart
        assert collisions == [], chart
    page.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_a_matrix_of_thirty_classes_is_read_at_any_width(chrome: devtools.Browser, site: Path, width: int) -> None:
    names = [f"class {place} long" for place in range(30)]
    chart = grids.matrix("m", "alt", names, np.eye(30), np.eye(30, dtype=np.int64))
    page = devtools.open_page(chrome, (site / "evaluation.html").as_uri(), width=width, scripts=False)
    page.evaluate(f"document.querySelector('.large svg[data-counts]').parentElement.innerHTML = {chart.svg!r}; 0")
    _, sizes, collisions = page.evaluate(WORDS)[0]
    assert 11 <= min(sizes) <= max(sizes) <= 13.6
    assert collisions == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    page.close()
