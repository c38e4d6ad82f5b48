"""What a tensor's values see of the images, and which of its axes are the images' rows and columns: records."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

Window = tuple[int, int, int, int]  # kernel, stride, padding, dilation along one axis
At = tuple[int, int]


class Axis(NamedTuple):
    """Receptive fields along one axis: unit i sees the `size` input pixels that start at offset + i * jump.

    An offset below 0 reaches into the padding; jump 0 means that all units see the same pixels.
    """

    size: int
    jump: int
    offset: int


class Seen(NamedTuple):
    """What a tensor's values see of the images.

    `at` are the axes of rows and columns, counted back from -1, the last; the same one twice where all cells stand in
    one row, with `around` more before and after them, as a class token; None where there are no cells: then all values
    see the same, or `cause` says what mixed the cells up. Where there are cells and a cause, each still stands in its
    place, though it has seen others: tokens after attention, of which each is added to what it was.
    """

    rows: Axis
    columns: Axis
    at: At | None
    grid: tuple[int, int]  # cells along rows and columns
    cause: str = ""  # why there is no regular field
    around: tuple[int, int] = (0, 0)

    @property
    def cells(self) -> At:
        """`at`, where there are cells."""
        assert self.at is not None
        return self.at

    def mixed(self, cause: str) -> Seen:
        """Without cells or a regular field."""
        return self._replace(cause=self.cause or cause, at=None, grid=(1, 1), around=(0, 0))

    def among(self, cause: str) -> Seen:
        """In their places, but without a regular field."""
        return self._replace(cause=self.cause or cause)

    @property
    def units(self) -> int:
        """How many places there are in a row that all cells stand in."""
        return math.prod(self.grid) + sum(self.around)

    def spread(self, rows: bool = True, columns: bool = True) -> Seen:
        """As where each cell depends on all others along these axes."""
        return self._replace(
            rows=span([(self.rows, self.grid[0])]) if rows else self.rows,
            columns=span([(self.columns, self.grid[1])]) if columns else self.columns,
        )

    def slid(self, windows: Sequence[Window], grid: tuple[int, int]) -> Seen:
        """Behind windows that slide over rows and columns."""
        rows, columns = (slide(axis, *window) for axis, window in zip(self[:2], windows, strict=True))
        return self._replace(rows=rows, columns=columns, grid=grid)


# Along one axis


def slide(axis: Axis, kernel: int, stride: int, padding: int, dilation: int) -> Axis:
    """The field behind a window that slides over units with the field `axis`."""
    return Axis(
        size=axis.size + (kernel - 1) * dilation * axis.jump,
        jump=axis.jump * stride,
        offset=axis.offset - padding * axis.jump,
    )


def span(fields: Sequence[tuple[Axis, int]]) -> Axis:
    """All that any unit sees of inputs with so many units each, for all units alike."""
    start = min(axis.offset for axis, _ in fields)
    end = max(axis.offset + (count - 1) * axis.jump + axis.size for axis, count in fields)
    return Axis(end - start, 0, start)


def union(fields: Sequence[tuple[Axis, int]], units: int) -> Axis | None:
    """The smallest field that holds those of all inputs (each with its number of units); None if it is irregular."""
    if all(count == units and axis.jump == fields[0][0].jump for axis, count in fields):
        start = min(axis.offset for axis, _ in fields)
        return Axis(max(axis.offset + axis.size for axis, _ in fields) - start, fields[0][0].jump, start)
    # One value for all units (squeeze and excitation): regular if it has seen all that any of them has.
    whole = span(fields)
    return whole if any((axis.offset, axis.size) == (whole.offset, whole.size) for axis, _ in fields) else None
