"""The report's face, made of its own figures: header tile, social card, teaser, icon, section marks, colour bars.

Four columns: a photo, the first layer's filters, feature maps, Grad-CAM over the photo; those that there are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from generator.figures import raster, theme
from generator.records.figure import Figure
from generator.records.images import Floats, Photo, Pixels
from generator.records.input import Input
from generator.records.network import Explanation, Network
from generator.records.report import Report
from generator.report.overview.marks import colour_bars, favicon, nearest_pixels, section_marks
from generator.report.plates.frames import FOLDER, framed
from generator.report.plates.numbers import norms
from generator.report.plates.painting import by_mean, overlay, painted, painted_kernels, scale_of
from generator.report.plates.wording import counted, listed, percent, sentence

SQUARE = 480
SOCIAL = (630, 1200)  # what Open Graph readers ask for
TEASER = (500, 800)
GAP = 8
QUALITY = 88
LARGE = 128  # a photo of fewer pixels a side is shown pixel by pixel
ACROSS = {"filters": 6, "maps": 4}  # tiles side by side in one cell
COLUMNS = ("photo", "filters", "maps", "cam")


@dataclass(frozen=True)
class _Row:
    """What one row of a tile shows: a photo through a network, and the network whose filters stand beside it."""

    photo: Photo
    explanation: Explanation
    network: Network
    filters: Network | None
    stage: int

    @property
    def columns(self) -> tuple[str, ...]:
        """Those for which there is something."""
        there = {"filters": self.filters, "maps": self.explanation.stages, "cam": self.explanation.cams.size}
        return tuple(column for column in COLUMNS if column == "photo" or there[column])

    @property
    def kernels(self) -> Floats | None:
        """The filters that stand beside it."""
        return self.filters.kernels if self.filters else None

    @property
    def whole(self) -> bool:
        """Whether the cells show what the network saw, all of it: not where that is the middle of a larger photo."""
        given = self.network.input
        middle = given.size[0] == given.size[1] and given.crop == "centre" and given.channels == 3
        return not middle or min(self.photo.pixels.shape[:2]) < LARGE


def header_tile(report: Report) -> tuple[Figure, ...]:
    """Tile, social card and teaser where there is a photo; icon and marks where there is a network."""
    figures = list(colour_bars())
    rows = _rows(report)
    if rows:
        figures += [*_squares(rows[0]), _social(rows), _teaser(rows)]
    first = next((one for one in report.networks if one.kernels is not None), None)
    if first is not None and first.kernels is not None:
        figures += [favicon(first.kernels, first.input), *section_marks(first.kernels, first.input)]
    return tuple(figures)


def hero(report: Report) -> tuple[Photo, Network] | None:
    """The photo of the tile's first row, and the network that sees it."""
    rows = _rows(report)
    return (rows[0].photo, rows[0].network) if rows else None


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
    return raster.compose(*size, panels, theme.PAPER)


def _tile(rows: Sequence[_Row], size: tuple[int, int], margin: int) -> Pixels:
    high = (size[0] - 2 * margin - (len(rows) - 1) * GAP) // len(rows)
    columns = [column for column in COLUMNS if all(column in row.columns for row in rows)]
    wide = (size[1] - 2 * margin - (len(columns) - 1) * GAP) // len(columns)
    high = min(high, round(1.3 * wide))  # a single row stays near a square
    cells = [[_cell(row, column, high, wide) for column in columns] for row in rows]
    return compose(cells, size, margin)


def _rows(report: Report) -> list[_Row]:
    """Two photos of two classes that one network is surest of; bundled ones first, for they may be published.

    It is the network shown first of those that saw a photo, and of which more is known than its answers, if there is
    one; the filters beside are each network's in turn.
    """
    seeing = sorted((one for one in report.networks if one.explanations), key=lambda one: not one.present)
    if not seeing:
        return []
    network = seeing[0]
    shown = [(photo, network.explanations[photo.id]) for photo in report.photos if photo.id in network.explanations]
    drawn = [one for one in report.networks if one.kernels is not None]

    def rank(entry: tuple[Photo, Explanation]) -> tuple[bool, bool, float]:
        photo, explanation = entry
        wrong = explanation.label != explanation.predicted
        return photo.origin != "bundled", wrong, -float(explanation.probabilities.max())

    chosen: list[_Row] = []
    for photo, explanation in sorted(shown, key=rank):
        if any(explanation.predicted == row.explanation.predicted for row in chosen):
            continue
        place = len(chosen)
        beside = drawn[place % len(drawn)] if drawn else None
        chosen.append(_Row(photo, explanation, network, beside, min(place, max(0, len(explanation.stages) - 1))))
    return chosen[:2]


def _cell(row: _Row, column: str, high: int, wide: int) -> Pixels:
    """One cell of (high, wide): RGB where it fills the cell, else RGBA."""
    if column == "filters" and row.filters is not None and row.kernels is not None:
        down, across = _grid(row.kernels.shape[2:], len(row.kernels), ACROSS[column], high, wide)
        return _spread(_best_filters(row.kernels, row.filters.input, across * down), down, across, high, wide)
    if column == "maps":
        maps = row.explanation.stages[row.stage].maps
        down, across = _grid(maps.shape[1:], len(maps), ACROSS[column], high, wide)
        best = maps[by_mean(maps)[: across * down]]
        return _spread(painted(best, scale_of(best)), down, across, high, wide)
    cam = row.explanation.cam(row.explanation.predicted) if column == "cam" else None
    return _seen_whole(row, cam, high, wide) if row.whole else _middle(row, cam, high, wide)


def _middle(row: _Row, cam: Floats | None, high: int, wide: int) -> Pixels:
    """What fills the cell of the middle of the photo as it came, under the map of that."""
    side = max(high, wide)
    photo = raster.cover(row.photo.pixels, side, side)
    photo = photo if cam is None else overlay(photo, cam, float(cam.max()))
    top, left = (side - high) // 2, (side - wide) // 2
    return photo[top : top + high, left : left + wide]


def _seen_whole(row: _Row, cam: Floats | None, high: int, wide: int) -> Pixels:
    """All that the network saw, in the middle of the cell; of few pixels each is seen."""
    seen = row.explanation.seen
    share = min(high / seen.shape[0], wide / seen.shape[1])
    tall, broad = (max(1, round(share * side)) for side in seen.shape[:2])
    if max(seen.shape[:2]) < LARGE:
        seen = nearest_pixels(seen, tall, broad)
    seen = raster.stretch(seen, tall, broad)
    seen = seen if cam is None else overlay(seen, cam, float(cam.max()))
    if (tall, broad) == (high, wide):
        return seen
    return raster.compose(high, wide, [(seen, (high - tall) // 2, (wide - broad) // 2)])


def _grid(tile: tuple[int, ...], count: int, most: int, high: int, wide: int) -> tuple[int, int]:
    """Rows and columns into which a cell of (high, wide) is parted, for so many tiles with these proportions.

    Args:
        most: columns, of tiles that are squares.
    """

    def rows(across: int) -> int:
        return max(1, round(across * high * tile[1] / (wide * tile[0])))

    across = max(1, round(most * math.sqrt(tile[0] / tile[1])))
    while across > 1 and (across - 1) * rows(across - 1) >= count:
        across -= 1
    return rows(across), across


def _best_filters(kernels: Floats, way: Input, count: int) -> Pixels:
    """The filters with the largest norms, in the order of their channels, to the scale of the largest weight."""
    chosen = np.sort(np.argsort(-norms(kernels), kind="stable")[:count])
    return painted_kernels(kernels[chosen], float(np.abs(kernels).max()), way)


def _spread(tiles: Pixels, down: int, across: int, high: int, wide: int) -> Pixels:
    """Tiles stretched, pixel by pixel, so that they fill (high, wide) with gaps between them, as far as there are some.

    What is left is above and below.
    """
    gap = max(2, wide // 80)
    panels: list[tuple[Pixels, int, int]] = []
    missing = down - min(down, -(-len(tiles) // across))
    for index, tile in enumerate(tiles[: down * across]):
        line = index // across + missing / 2
        top, below = (round(edge * (high + gap) / down) for edge in (line, line + 1))
        left, right = (round(edge * (wide + gap) / across) for edge in (index % across, index % across + 1))
        panels.append((nearest_pixels(tile, below - gap - top, right - gap - left), top, left))
    return raster.compose(high, wide, panels)


def _squares(row: _Row) -> list[Figure]:
    figures: list[Figure] = []
    for column in row.columns:
        pixels = _cell(row, column, SQUARE, SQUARE)
        flat = column in ACROSS
        text = sentence(_part(row, column))
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
    count = {1: "one column", 2: "two columns", 3: "three columns", 4: "four columns"}[len(rows[0].columns)]
    told = "; below, ".join(listed([_part(row, column) for column in row.columns]) for row in rows)
    return f"The report in {count}: {told}."


def _part(row: _Row, column: str) -> str:
    """What a column shows, in words."""
    if column == "photo":
        return f"the photo {row.photo.title}"
    if column == "filters" and row.filters is not None and row.kernels is not None:
        filters = min(math.prod(_grid(row.kernels.shape[2:], len(row.kernels), ACROSS[column], 1, 1)), len(row.kernels))
        return f"{counted(filters, 'first-layer filter')} of {row.filters.title}"
    if column == "maps":
        stage = row.explanation.stages[row.stage]
        maps = min(math.prod(_grid(stage.maps.shape[1:], len(stage.maps), ACROSS[column], 1, 1)), len(stage.maps))
        return f"{counted(maps, 'feature map')} after {stage.title}"
    answer = row.explanation.predicted
    confidence = percent(float(row.explanation.probabilities[answer]), 0)
    return f"the {row.explanation.method} map for {row.network.class_names[answer]} ({confidence})"
