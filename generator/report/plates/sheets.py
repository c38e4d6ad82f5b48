"""Sheets: many small pictures of one kind in one file, of which a page shows one at a time.

A sheet is a column of `CELLS` equally large cells; cell k is shown by a box of a cell's proportions that is covered by
the sheet, moved by k / (CELLS - 1) of the rest (in styles/units.css "k3" is the fourth). So hundreds of units have
pictures of their own, loaded when they come into view, from a few files.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from generator.figures import raster
from generator.records.figure import Figure
from generator.records.images import Pixels
from generator.report.plates.frames import framed

CELLS = 16
MARGIN = 1  # transparent pixels around a cell, so that no neighbour shines in where a page scales it


def kind_of(pixels: Pixels) -> str:
    """The proportions of a cell for a picture, as a class of templates/styles/units.css: "" for a square.

    A picture that is higher than wide has a square too: on a page height is dearer.
    """
    high, wide = pixels.shape[:2]
    return "" if wide < 2 * high else "broad2" if wide < 4 * high else "broad4"


def box_of(kind: str, side: int) -> tuple[int, int]:
    """(height, width) of what is inside such a cell, about `side` wide; with its margins it is n to 1."""
    times = int(kind[-1]) if kind else 1
    high = round((side + 2 * MARGIN) / times)
    return high - 2 * MARGIN, times * high - 2 * MARGIN


def place(index: int) -> tuple[int, int]:
    """The number of the sheet and the cell in it where the picture `index` of a series is."""
    return divmod(index, CELLS)


def sheet_id(prefix: str, index: int) -> str:
    """The id of the figure that holds the picture `index`."""
    return f"{prefix}-{place(index)[0]}"


def sheets(
    prefix: str,
    pictures: Sequence[Pixels],
    alt: str,
    *,
    quality: int | None = None,
    pixelated: bool = False,
    numbers: Sequence[int] | None = None,
) -> tuple[Figure, ...]:
    """The pictures, all of one size, on as many sheets as they need.

    Args:
        alt: of what the pictures are; their numbers are added.
        numbers: of the pictures, rising; None: from 0 on.
    """
    named = range(len(pictures)) if numbers is None else numbers
    return tuple(
        framed(
            sheet_id(prefix, start),
            sheet(pictures[start : start + CELLS]),
            alt=f"{alt} {named[start]} to {named[min(start + CELLS, len(pictures)) - 1]}.",
            caption="",
            quality=quality,
            pixelated=pixelated,
        )
        for start in range(0, len(pictures), CELLS)
    )


def sheet(pictures: Sequence[Pixels]) -> Pixels:
    """At most `CELLS` pictures (h, w, 3 or 4) as one column; the cells that are left over stay transparent."""
    high, wide = pictures[0].shape[:2]
    step = high + 2 * MARGIN
    panels = [(picture, row * step + MARGIN, MARGIN) for row, picture in enumerate(pictures)]
    column: Pixels = raster.compose(CELLS * step, wide + 2 * MARGIN, panels)
    return np.ascontiguousarray(column)
