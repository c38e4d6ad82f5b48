"""One photo through a network as equally large pictures: the photo, filters, feature maps, and Grad-CAM over it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from generator.figures import raster, theme
from generator.records.images import Floats, Photo, Pixels
from generator.records.input import Input
from generator.records.network import Explanation, Layer, Network
from generator.report.overview.marks import nearest_pixels
from generator.report.plates.numbers import norms
from generator.report.plates.painting import VEIL, by_mean, overlay, painted, painted_kernels, scale_of
from generator.report.plates.wording import counted, percent

LARGE = 128  # a photo of fewer pixels a side is shown pixel by pixel
ACROSS = {"filters": 6, "maps": 4}  # tiles side by side in one cell
ROWS = 16  # of places that filters are tried at once: each takes the memory of all that its windows hold
COLUMNS = ("photo", "filters", "maps", "cam")


@dataclass(frozen=True)
class Row:
    """What one row shows: a photo through a network, and the network whose filters stand beside it."""

    photo: Photo
    explanation: Explanation
    network: Network
    filters: Network | None
    stage: int
    most: float = 0  # of the scale of its heat maps; 0: the largest value of the map itself
    answering: bool = False  # whether the filters stand in the order of their answers to the photo

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

    @property
    def right(self) -> bool:
        """Whether the answer is what the photo shows."""
        return self.explanation.label == self.explanation.predicted


def cell(row: Row, column: str, high: int, wide: int) -> Pixels:
    """One picture of (high, wide): RGB where it fills the cell, else RGBA."""
    if column == "filters" and row.filters is not None and row.kernels is not None:
        down, across = _grid(row.kernels.shape[2:], len(row.kernels), ACROSS[column], high, wide)
        return _spread(_filters(row, across * down), down, across, high, wide)
    if column == "maps":
        maps = row.explanation.stages[row.stage].maps
        down, across = _grid(maps.shape[1:], len(maps), ACROSS[column], high, wide)
        best = maps[by_mean(maps)[: across * down]]
        return _spread(painted(best, scale_of(best)), down, across, high, wide)
    cam = row.explanation.cam(row.explanation.predicted) if column == "cam" else None
    return _seen_whole(row, cam, high, wide) if row.whole else _middle(row, cam, high, wide)


def veil(row: Row, target: int, side: int) -> Pixels:
    """(side, side, 4): the map of a class alone, as it lies over the cell of the photo; clear where it is 0."""
    seen = row.explanation.seen
    high = wide = side
    if row.whole:
        share = side / max(seen.shape[:2])
        high, wide = (max(1, round(share * length)) for length in seen.shape[:2])
    values = raster.shares(raster.resize(row.explanation.cam(target), high, wide), row.most)
    found = np.zeros((side, side, 4), np.uint8)
    top, left = (side - high) // 2, (side - wide) // 2
    found[top : top + high, left : left + wide, :3] = raster.paint(values, theme.HEAT)
    opacity = VEIL[0] + (VEIL[1] - VEIL[0]) * values
    found[top : top + high, left : left + wide, 3] = np.rint(255 * opacity)
    return found


def part(row: Row, column: str) -> str:
    """What a column shows, in words."""
    if column == "photo":
        return f"the photo {row.photo.title}"
    if column == "filters" and row.filters is not None and row.kernels is not None:
        room = math.prod(_grid(row.kernels.shape[2:], len(row.kernels), ACROSS[column], 1, 1))
        filters = counted(min(room, len(row.kernels)), "first-layer filter")
        ranked = ", those that fit some place of the photo best first" if _answers(row) is not None else ""
        return f"{filters} of {row.filters.title}{ranked}"
    if column == "maps":
        stage = row.explanation.stages[row.stage]
        maps = min(math.prod(_grid(stage.maps.shape[1:], len(stage.maps), ACROSS[column], 1, 1)), len(stage.maps))
        return f"{counted(maps, 'feature map')} after {stage.title}"
    answer = row.explanation.predicted
    confidence = percent(float(row.explanation.probabilities[answer]), 0)
    return f"the {row.explanation.method} map for {row.network.class_names[answer]} ({confidence})"


def _middle(row: Row, cam: Floats | None, high: int, wide: int) -> Pixels:
    """What fills the cell of the middle of the photo as it came, under the map of that."""
    side = max(high, wide)
    photo = raster.cover(row.photo.pixels, side, side)
    photo = photo if cam is None else overlay(photo, cam, row.most or float(cam.max()))
    top, left = (side - high) // 2, (side - wide) // 2
    return photo[top : top + high, left : left + wide]


def _seen_whole(row: Row, cam: Floats | None, high: int, wide: int) -> Pixels:
    """All that the network saw, in the middle of the cell; of few pixels each is seen."""
    seen = row.explanation.seen
    share = min(high / seen.shape[0], wide / seen.shape[1])
    tall, broad = (max(1, round(share * side)) for side in seen.shape[:2])
    if max(seen.shape[:2]) < LARGE:
        seen = nearest_pixels(seen, tall, broad)
    seen = raster.stretch(seen, tall, broad)
    seen = seen if cam is None else overlay(seen, cam, row.most or float(cam.max()))
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


def _filters(row: Row, count: int) -> Pixels:
    """So many filters, to the scale of the largest weight.

    Those that answer the photo most strongly, in that order; else those with the largest norms, in that of channels.
    """
    assert row.filters is not None
    assert row.kernels is not None
    ranked = _answers(row)
    if ranked is None:
        chosen = np.sort(np.argsort(-norms(row.kernels), kind="stable")[:count])
    else:
        chosen = np.argsort(-ranked, kind="stable")[:count]
    return painted_kernels(row.kernels[chosen], float(np.abs(row.kernels).max()), row.filters.input)


def _answers(row: Row) -> NDArray[np.float64] | None:
    """(O,) the largest product of each first filter with a place of the photo as its network takes it.

    Bias and normalisation are not in it. None where the row does not ask, or the filters do not take the photo itself.
    """
    if not row.answering or row.filters is not row.network or row.kernels is None:
        return None
    way, first = row.network.input, row.network.convolutions[0]
    return fits(row.explanation.seen, row.kernels, way, first) if row.kernels.shape[1] == way.channels else None


def fits(seen: Pixels, kernels: Floats, way: Input, first: Layer) -> NDArray[np.float64]:
    """(O,) the largest value of the convolution of an image with each filter, without bias.

    Args:
        seen: (H, W, 3), what the network was given before it was normalised.
        kernels: (O, I, kh, kw).
        first: whose stride and padding they have.
    """
    channels = seen.astype(np.float64)[..., ::-1] if way.order == "bgr" else seen.astype(np.float64)
    given = channels[..., : way.channels] / 255 * way.range
    given = (given - np.array(way.mean)) / np.array(way.std)
    edge = (first.padding, first.padding)
    given = np.pad(given, (edge, edge, (0, 0)))
    windows = sliding_window_view(given, kernels.shape[2:], axis=(0, 1))[:: first.stride, :: first.stride]
    strongest = np.full(len(kernels), -np.inf)
    for top in range(0, len(windows), ROWS):
        answers = np.einsum("hwixy,oixy->ohw", windows[top : top + ROWS], kernels.astype(np.float64), optimize=True)
        strongest = np.maximum(strongest, answers.max(axis=(1, 2)))
    return strongest


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
