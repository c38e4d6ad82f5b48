"""Grids of cells as SVG: confusion matrices and icons. By hand, for matplotlib needs ten times the bytes."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generator.figures.svg import CHARACTER, WIDEST, Chart, add, add_series, root, short, shorten, text
from generator.figures.theme import SERIES, rgb

Floats = NDArray[np.floating[Any]]

WIDTH = 420
MOST_NAMES = 60  # classes whose names still find room on the axes
FAINTEST = 0.12  # opacity of a cell that is barely above 0, still seen on both grounds
INNER = 0.95  # of a cell is painted: its neighbours stay apart
SMALLER = 0.75  # than other charts' words at most, for a matrix is as wide as a phone scrolls
CORNER = ("predicted →", "true ↓")
_STEPS = 20  # shades


def matrix(
    figure_id: str, alt: str, names: Sequence[str], shares: Floats, counts: NDArray[np.integer[Any]] | None = None
) -> Chart:
    """A confusion matrix: right answers (the diagonal) in blue, mistakes in vermilion, the stronger the more.

    The shade follows the square root of the share, so that a confusion of 2 % is seen beside a diagonal of 90 %; a cell
    of 0 stays empty, and the ground shows.

    Args:
        names: of the K classes, in the order of `shares`.
        shares: (K, K) in [0, 1], rows the true class, columns the predicted; nan, of a class without images, is 0.
        counts: (K, K) images, for the script that tells a cell's; it learns the names, which are short here, too.
    """
    count = len(names)
    longest = max(len(shorten(name)) for name in names) if count <= MOST_NAMES else 0
    gutter = round(10 + SMALLER * CHARACTER * max(longest, len(CORNER[0]) if longest else 0))
    cell = math.floor((WIDTH - gutter - 2) / count * 100) / 100
    height = math.ceil(gutter + cell * count + 46)
    chart = root(figure_id, alt, WIDTH, height)
    if counts is not None:
        chart.set("data-names", "\t".join(" ".join(name.split()) for name in names))
        chart.set("data-counts", ";".join(",".join(str(cell or "") for cell in row) for row in counts.tolist()))
    _hairlines(chart, gutter, cell, count)
    diagonal = np.eye(count, dtype=np.bool_)
    for style, mask in enumerate((diagonal, ~diagonal)):
        # In units of a cell, each a short thick line: half of the bytes of squares in units of the chart.
        place = f"translate({gutter} {short(gutter + cell / 2)}) scale({short(cell)})"
        group = add_series(chart, style, transform=place, stroke="currentColor", stroke_width=INNER)
        for share, rows, columns in _by_shade(np.where(mask, np.nan_to_num(shares), 0)):
            add(group, "path", d=_cells(rows, columns), stroke_opacity=opacity(share))
    if longest:
        _names(chart, names, gutter, cell)
    _legend(chart, gutter, gutter + cell * count + 14, cell * count)
    return Chart(text(chart), WIDTH, height)


def matrix_pixels(shares: Floats) -> NDArray[np.uint8]:
    """The cells of `matrix` as pixels (K, K, 4): of hundreds of classes they are more than a page can hold as SVG."""
    colours = [rgb(colour) for colour in SERIES[:2]]
    right = np.eye(len(shares), dtype=np.bool_)[..., None]
    veil = np.where(shares > 0, FAINTEST + (1 - FAINTEST) * np.sqrt(np.clip(shares, 0, 1)), 0)[..., None] * 255
    painted = np.concatenate([np.where(right, *colours), veil], axis=2)
    pixels: NDArray[np.uint8] = painted.round().astype(np.uint8)
    return pixels


def opacity(share: float) -> float:
    """How strongly a share of [0, 1] is painted."""
    return FAINTEST + (1 - FAINTEST) * math.sqrt(share)


def icon(pixels: NDArray[np.uint8]) -> str:
    """A few pixels (h, w, 3) as a crisp, decorative SVG that stands alone or inline."""
    height, width = pixels.shape[:2]
    drawn = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {width} {height}"})
    drawn.attrib |= {"aria-hidden": "true", "shape-rendering": "crispEdges"}
    for row in range(height):
        for column in range(width):
            colour = "#" + "".join(f"{value:02x}" for value in pixels[row, column])
            add(drawn, "path", d=f"M{column} {row}h1v1h-1z", fill=colour)
    return text(drawn)


def _by_shade(shares: Floats) -> Iterator[tuple[float, NDArray[np.intp], NDArray[np.intp]]]:
    """The cells above 0 by shade: (share at the top of the shade, rows, columns)."""
    steps = np.ceil(np.sqrt(np.clip(shares, 0, 1)) * _STEPS - 1e-9)
    for step in range(1, _STEPS + 1):
        rows, columns = np.nonzero(steps == step)
        if len(rows):
            yield (step / _STEPS) ** 2, rows, columns


def _cells(rows: NDArray[np.intp], columns: NDArray[np.intp]) -> str:
    return "".join(f"M{column} {row}h{INNER}" for row, column in zip(rows, columns, strict=True))


def _hairlines(chart: ET.Element, gutter: float, cell: float, count: int) -> None:
    data = "".join(f"M0 {index}h{count}M{index} 0v{count}" for index in range(count + 1))
    place = f"translate({gutter} {gutter}) scale({short(cell)})"
    width = max(0.01, 0.5 / cell)
    add(
        chart,
        "path",
        d=data,
        transform=place,
        fill="none",
        stroke="currentColor",
        stroke_opacity=0.1,
        stroke_width=width,
    )


def _names(chart: ET.Element, names: Sequence[str], gutter: float, cell: float) -> None:
    size = min(SMALLER * WIDEST, cell)
    # Where the page's own size would be too large for a row.
    fixed: dict[str, str | float] = {"font_size": cell} if size == cell else {}
    left = add(chart, "g", text_anchor="end", transform=f"translate({short(gutter - 5)})", **fixed)
    above = add(chart, "g", transform=f"translate(0 {short(gutter - 5)}) rotate(-90)", **fixed)
    for index, name in enumerate(names):
        middle = gutter + cell * (index + 0.5) + 0.3 * size
        for group in (left, above):
            add(group, "text", y=middle).text = shorten(name)
    corner = add(chart, "g", fill_opacity=0.75, text_anchor="end")
    for line, words in enumerate(CORNER):
        add(corner, "text", x=gutter - 5, y=gutter - 18 + 13 * line).text = words


def _legend(chart: ET.Element, left: float, top: float, side: float) -> None:
    """Five shades of each colour with their percentages."""
    for style, label in enumerate(("right", "wrong")):
        start = left + style * side / 2
        group = add_series(chart, style)
        words = add(chart, "g", text_anchor="middle", fill_opacity=0.85)
        for number, percent in enumerate((1, 5, 20, 50, 100)):
            x = start + 24 * number
            add(group, "path", d=f"M{short(x)} {short(top)}h23v8h-23z", fill_opacity=opacity(percent / 100))
            add(words, "text", x=x + 11.5, y=top + 18).text = str(percent)
        add(chart, "text", x=start, y=top + 32).text = f"{label}, % of the true class"
