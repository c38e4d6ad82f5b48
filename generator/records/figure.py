"""A figure: its files, its words, and its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Table:
    """The numbers behind a figure."""

    head: tuple[str, ...]
    rows: tuple[tuple[str | int | float, ...], ...]

    @property
    def numeric(self) -> bool:
        """Whether every cell but each row's first is a number."""
        return bool(self.rows) and not any(isinstance(cell, str) for row in self.rows for cell in row[1:])

    @property
    def counts(self) -> tuple[bool, ...]:
        """Of each column, whether its cells are numbers, or dashes where there is none."""
        columns = zip(*self.rows, strict=True)
        return tuple(not any(isinstance(cell, str) for cell in column if cell != "–") for column in columns)


@dataclass(frozen=True)
class Figure:
    """One figure of the report: image files or inline SVG, with its words.

    `id` is its stable address. For a raster figure `files` maps relative paths below site/ to bytes, `src` is the one
    shown and `srcset` the others; for a chart `svg` is inline markup and `files` may be empty.
    """

    id: str
    alt: str
    caption: str
    width: int = 0
    height: int = 0
    src: str = ""
    srcset: tuple[tuple[str, int], ...] = ()  # (path, width in pixels)
    files: Mapping[str, bytes] = field(default_factory=dict)
    svg: str = ""
    pixelated: bool = False
    table: Table | None = None
    data: Table | None = None  # the numbers behind it where the page has no room for them: the cells of a heat map
