"""What a log says before it is understood: rows of numbers by the names that their program gave them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

READ = "TensorBoard's event files, tables (.csv, .log), trainer_state.json, history.json, lines of JSON"
# What a number may be called in a column of percentages, so that it is known to be one.
PERCENT = ("%", "percent", "pct")


@dataclass(frozen=True)
class Logged:
    """A log as rows in the order in which they were written; a row holds what was logged at once, nan as such."""

    format: str  # "Lightning's log", to be followed by its path
    rows: tuple[Mapping[str, float], ...]
    steps: tuple[int, ...] = ()  # the optimiser's step of each row; (): the program did not count them so
    percent: frozenset[str] = frozenset()  # columns in which a sign of percent stands
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns in the order in which they are met."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row))
