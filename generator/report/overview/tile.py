"""The report's face elsewhere, made of its own figures: social card, teaser, icon, section marks, colour bars.

Four columns: a photo, the first layer's filters, feature maps, Grad-CAM over the photo; those that there are.
"""

from __future__ import annotations

from collections.abc import Sequence

from generator.figures import raster, theme
from generator.records.figure import Figure
from generator.records.images import Photo, Pixels
from generator.records.network import Explanation
from generator.records.report import Report
from generator.report.overview.cells import COLUMNS, Row, cell, part
from generator.report.overview.marks import colour_bars, favicon, section_marks
from generator.report.plates.frames import FOLDER, framed
from generator.report.plates.wording import listed

SOCIAL = (630, 1200)  # what Open Graph readers ask for
TEASER = (500, 800)
GAP = 8
QUALITY = 88


def header_tile(report: Report) -> tuple[Figure, ...]:
    """Social card and teaser where there is a photo; icon and marks where there is a network."""
    figures = list(colour_bars())
    rows = _rows(report)
    if rows:
        figures += [_social(rows), _teaser(rows)]
    first = next((one for one in report.networks if one.kernels is not None), None)
    if first is not None and first.kernels is not None:
        figures += [favicon(first.kernels, first.input), *section_marks(first.kernels, first.input)]
    return tuple(figures)


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


def _tile(rows: Sequence[Row], size: tuple[int, int], margin: int) -> Pixels:
    high = (size[0] - 2 * margin - (len(rows) - 1) * GAP) // len(rows)
    columns = [column for column in COLUMNS if all(column in row.columns for row in rows)]
    wide = (size[1] - 2 * margin - (len(columns) - 1) * GAP) // len(columns)
    high = min(high, round(1.3 * wide))  # a single row stays near a square
    cells = [[cell(row, column, high, wide) for column in columns] for row in rows]
    return compose(cells, size, margin)


def _rows(report: Report) -> list[Row]:
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

    chosen: list[Row] = []
    for photo, explanation in sorted(shown, key=rank):
        if any(explanation.predicted == row.explanation.predicted for row in chosen):
            continue
        place = len(chosen)
        beside = drawn[place % len(drawn)] if drawn else None
        chosen.append(Row(photo, explanation, network, beside, min(place, max(0, len(explanation.stages) - 1))))
    return chosen[:2]


def _social(rows: Sequence[Row]) -> Figure:
    path = f"{FOLDER}/social.jpg"
    alt = _tile_alt(rows)
    pixels = _tile(rows, SOCIAL, 12)
    return Figure("social", alt, "", SOCIAL[1], SOCIAL[0], src=path, files={path: raster.jpeg(pixels)})


def _teaser(rows: Sequence[Row]) -> Figure:
    return framed("teaser", _tile(rows, TEASER, 8), alt=_tile_alt(rows), caption="", quality=QUALITY)


def _tile_alt(rows: Sequence[Row]) -> str:
    count = {1: "one column", 2: "two columns", 3: "three columns", 4: "four columns"}[len(rows[0].columns)]
    told = "; below, ".join(listed([part(row, column) for column in row.columns]) for row in rows)
    return f"The report in {count}: {told}."
