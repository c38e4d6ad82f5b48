"""Whether a network was read as its maker meant it: other readings, and what they would give."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Kind = Literal["mean and std", "size", "crop", "interpolation", "order of channels", "classes", "batch norms"]


@dataclass(frozen=True)
class Candidate:
    """One other reading, measured on the same images."""

    kind: Kind
    what: str  # "a mean and a std of 0.5"
    count: int  # images that it was tried on: of a dear one a part of them
    accuracy: float
    ahead: float  # accuracy above that of the reading that is used
    error: float  # standard error of that, of paired answers
    better: bool  # by more than chance explains
    key: str  # what report.toml would have to say; "": no key says it


@dataclass(frozen=True)
class Reading:
    """The reading that is used beside the others, on labelled images that judge nothing."""

    part: str  # of the data set
    count: int  # images
    accuracy: float  # of the reading that is used
    tried: tuple[Candidate, ...]
    # How far the first batch norm's stored statistics are from those of these images: the mean distance of the means in
    # standard deviations, and the mean absolute logarithm of the ratios of the variances; None without one.
    shift: float | None = None
    spread: float | None = None
    place: str = "report.toml"  # where the keys of `tried` are said

    @property
    def factor(self) -> float | None:
        """By what the variances differ, on average; None without a batch norm."""
        return None if self.spread is None else math.exp(self.spread)

    @property
    def better(self) -> tuple[Candidate, ...]:
        """Of each kind the best of those that are better by more than chance explains; first what explains most.

        Where another order of the classes explains more than a reading does, that is better by chance alone: answers
        that are all under wrong names are worse than none, and whatever disturbs them makes them right more often.
        """
        best: dict[str, Candidate] = {}
        for one in self.tried:
            if one.better and (one.kind not in best or one.ahead > best[one.kind].ahead):
                best[one.kind] = one
        if "classes" in best:
            best = {kind: one for kind, one in best.items() if one.ahead >= best["classes"].ahead}
        return tuple(sorted(best.values(), key=lambda one: -one.ahead))
