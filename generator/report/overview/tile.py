"""The report's face, made of its own figures: header tile, social card, teaser, icon, section marks, colour bars.

Four columns: a photo, the first layer's filters, feature maps, Grad-CAM over the photo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from generator.figures import raster
from generator.records.figure import Figure
from generator.records.images import Photo, Pixels
from generator.records.network import ConvLayer, Explanation, Network
from generator.records.report import Report
from generator.report.overview.marks import as_pictures, colour_bars, favicon, nearest_pixels, section_marks
from generator.report.plates.frames import FOLDER, framed
from generator.report.plates.numbers import norms
from generator.report.plates.painting import by_mean, overlay, painted, scale_of
from generator.report.plates.wording import listed, percent

SQUARE = 480
SOCIAL = (630, 1200)  # what Open Graph readers ask for
TEASER = (500, 800)
GAP = 8
QUALITY = 88
ACROSS = {"filters": 6, "maps": 4}  # tiles side by side in one cell
COLUMNS = ("photo", "filters", "maps", "cam")


@dataclass(frozen=True)
class _Row:
    """What one row of a tile shows: a photo through a network, and the network whose filters stand beside it."""

    photo: Photo
    explanation: Explanation
    network: Network
    filters: Network
    stage: int


def header_tile(report: Report) -> tuple[Figure, ...]:
    """Tile, social card and teaser where there is a photo; icon and marks where there is a network."""
    figures = list(colour_bars())
    rows = _rows(report)
    if rows:
        figures += [*_squares(rows[0]), _social(rows), _teaser(rows)]
    if report.networks and report.networks[0].layers:
        figures += [favicon(report.networks[0].layers[0]), *section_marks(report.networks[0].layers[0])]
    return tuple(figures)


def hero(report: Report) -> Photo | None:
    """The photo of the tile's first row."""
    rows = _rows(report)
    return rows[0].photo if rows else None


def compose(cells: Sequence[Sequence[Pixels]], size: tuple[int, int], margin: int) -> Pixels:
    """Rows of equally large cells with gaps of `GAP`, in the middle of a picture of `size` (height, width).

    Returns:
        (height, width, 4): on paper.
    """
    high, wide = cells[0][0].shape[:2]
    top = (size[0] - len(cells) * (high + GAP) + GAP) // 2
    left = (size[1] - len(cells[0]) * (wide + GAP) + GAP) // 2
    assert min(top, left) >= margin
    panels = [
        (cell, top + row * (high + GAP), left + column * (wide + GAP))
        for row, line in enumerate(cells)
        for column, cell in enumerate(line)
    ]
    return raster.compose(*size, panels, raster.PAPER)


def _tile(rows: Sequence[_Row], size: tuple[int, int], margin: int) -> Pixels:
    high = (size[0] - 2 * margin - (len(rows) - 1) * GAP) // len(rows)
    wide = (size[1] - 2 * margin - 3 * GAP) // 4
    high = min(high, round(1.3 * wide))  # a single row stays near a square
    cells = [[_cell(row, column, high, wide) for column in COLUMNS] for row in rows]
    return compose(cells, size, margin)


def _rows(report: Report) -> list[_Row]:
    """Two photos of two classes that the first network is surest of; bundled ones first, for they may be published."""
    if not report.networks:
        return []
    network = report.networks[0]
    shown = [(photo, network.explanations[photo.id]) for photo in report.photos if photo.id in network.explanations]

    def rank(entry: tuple[Photo, Explanation]) -> tuple[bool, bool, float]:
        photo, explanation = entry
        wrong = explanation.label != explanation.predicted
        return photo.origin != "bundled", wrong, -float(explanation.probabilities.max())

    chosen: list[_Row] = []
    for photo, explanation in sorted(shown, key=rank):
        if any(explanation.predicted == row.explanation.predicted for row in chosen):
            continue
        beside = report.networks[min(len(chosen), len(report.networks) - 1)]
        if explanation.stages and beside.layers:
            stage = min(len(chosen), len(explanation.stages) - 1)
            chosen.append(_Row(photo, explanation, network, beside, stage))
    return chosen[:2]


def _cell(row: _Row, column: str, high: int, wide: int) -> Pixels:
    """One cell of (high, wide): RGB where it fills the cell, else RGBA."""
    across = ACROSS.get(column, 1)
    down = max(1, round(across * high / wide))
    side = max(high, wide)
    if column == "filters":
        tiles = _best_filters(row.filters.layers[0], across * down)
        return _spread(tiles, down, across, high, wide)
    if column == "maps":
        maps = row.explanation.stages[row.stage].maps
        best = maps[by_mean(maps)[: across * down]]
        return _spread(painted(best, scale_of(best)), down, across, high, wide)
    photo = raster.cover(row.photo.pixels, side, side)
    if column == "cam":
        cam = row.explanation.cam(row.explanation.predicted)
        photo = overlay(photo, cam)
    top, left = (side - high) // 2, (side - wide) // 2
    return photo[top : top + high, left : left + wide]


def _best_filters(layer: ConvLayer, count: int) -> Pixels:
    """The filters with the largest norms, in the order of their channels, to the scale of the largest weight."""
    chosen = np.sort(np.argsort(-norms(layer.weights), kind="stable")[:count])
    return as_pictures(layer, chosen, float(np.abs(layer.weights).max()))


def _spread(tiles: Pixels, down: int, across: int, high: int, wide: int) -> Pixels:
    """Tiles stretched, pixel by pixel, so that they fill (high, wide) with gaps between them."""
    gap = max(2, wide // 80)
    panels: list[tuple[Pixels, int, int]] = []
    for index, tile in enumerate(tiles[: down * across]):
        top, below = (round(edge * (high + gap) / down) for edge in (index // across, index // across + 1))
        left, right = (round(edge * (wide + gap) / across) for edge in (index % across, index % across + 1))
        panels.append((nearest_pixels(tile, below - gap - top, right - gap - left), top, left))
    return raster.compose(high, wide, panels)


def _squares(row: _Row) -> list[Figure]:
    words = dict(zip(COLUMNS, _parts(row), strict=True))
    figures: list[Figure] = []
    for column in COLUMNS:
        pixels = _cell(row, column, SQUARE, SQUARE)
        flat = column in ACROSS
        text = words[column][:1].upper() + words[column][1:]
        figures.append(
            framed(
                f"hero-{column}",
                pixels,
                alt=f"{text}.",
                caption=f"{text}.",
                quality=None if flat else QUALITY,
                pixelated=flat,
            )
        )
    return figures


def _social(rows: Sequence[_Row]) -> Figure:
    path = f"{FOLDER}/social.jpg"
    alt = _tile_alt(rows)
    pixels = _tile(rows, SOCIAL, 12)
    return Figure("social", alt, "", SOCIAL[1], SOCIAL[0], src=path, files={path: raster.jpeg(pixels)})


def _teaser(rows: Sequence[_Row]) -> Figure:
    return framed("teaser", _tile(rows, TEASER, 8), alt=_tile_alt(rows), caption="", quality=QUALITY)


def _tile_alt(rows: Sequence[_Row]) -> str:
    return f"The report in four columns: {'; below, '.join(listed(_parts(row)) for row in rows)}."


def _parts(row: _Row) -> list[str]:
    """What each of the four columns shows, in words."""
    explanation, stage = row.explanation, row.explanation.stages[row.stage]
    answer = explanation.predicted
    confidence = percent(float(explanation.probabilities[answer]), 0)
    filters = min(ACROSS["filters"] ** 2, len(row.filters.layers[0].weights))
    maps = min(ACROSS["maps"] ** 2, len(stage.maps))
    return [
        f"the photo {row.photo.title}",
        f"{filters} first-layer filters of {row.filters.title}",
        f"{maps} feature maps after {stage.title}",
        f"the Grad-CAM map for {row.network.class_names[answer]} ({confidence})",
    ]
