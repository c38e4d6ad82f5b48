"""A network's scores with the names that the page speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from generator.records.images import Counts
from generator.records.scores import FEWEST_FOR_FIVE, SplitScores
from generator.report.plates.wording import SHOWN

SPLITS: Mapping[str, str] = {
    "test": "test images",
    "validation": "validation images",
    "train": "training images",
}
LISTED = 12  # rows of a short table


@dataclass(frozen=True)
class NamedPair:
    """Two classes that are confused, by name."""

    true: str
    predicted: str
    count: int
    share: float


@dataclass(frozen=True)
class NamedMistake:
    """One image that was called something else, by name."""

    image: str
    true: str
    predicted: str
    confidence: float


@dataclass(frozen=True)
class ClassScore:
    """One class of one split."""

    name: str
    count: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Scores:
    """One split's scores with the classes named."""

    record: SplitScores
    class_names: tuple[str, ...]

    @property
    def images(self) -> str:
        """ "test images", "validation images", ..."""
        return SPLITS.get(self.record.split, f"images of {self.record.split}")

    @property
    def seen(self) -> str:
        """What the images were for the network, besides: "" for test images, else "chosen on" or "fitted on"."""
        return {"train": "fitted on", "validation": "chosen on"}.get(self.record.split, "")

    @property
    def top5(self) -> float | None:
        """How often the right name is among the first five answers; None where that says little."""
        return self.record.top5 if len(self.class_names) >= FEWEST_FOR_FIVE else None

    @property
    def image(self) -> str:
        """One of them."""
        return self.images.replace("images", "image", 1)

    @property
    def wrong(self) -> int:
        """How many images it got wrong."""
        return int(self.record.confusion.sum() - np.trace(self.record.confusion))

    @cached_property
    def classes(self) -> tuple[ClassScore, ...]:
        """Every class, in the network's order."""
        counts = self.record.confusion.sum(axis=1)
        columns = zip(self.class_names, counts, self.record.precision, self.record.recall, self.record.f1, strict=True)
        return tuple(ClassScore(name, int(n), float(p), float(r), float(f)) for name, n, p, r, f in columns)

    @property
    def best(self) -> tuple[ClassScore, ...]:
        """The classes that are found most often."""
        return self._by_recall[::-1][:SHOWN]

    @property
    def worst(self) -> tuple[ClassScore, ...]:
        """The classes that are missed most often."""
        return self._by_recall[:SHOWN]

    @property
    def pairs(self) -> tuple[NamedPair, ...]:
        """The most confused pairs, most first."""
        names = self.class_names
        return tuple(NamedPair(names[p.true], names[p.predicted], p.count, p.share) for p in self.record.pairs[:LISTED])

    @property
    def mistakes(self) -> tuple[NamedMistake, ...]:
        """The most confident mistakes, most confident first."""
        names, found = self.class_names, self.record.mistakes[:LISTED]
        return tuple(NamedMistake(m.image, names[m.true], names[m.predicted], m.confidence) for m in found)

    @cached_property
    def _by_recall(self) -> tuple[ClassScore, ...]:
        seen = [score for score in self.classes if not np.isnan(score.recall)]
        return tuple(sorted(seen, key=lambda score: score.recall))


def seriation(confusion: Counts) -> NDArray[np.int64]:
    """An order of the classes in which those that are confused stand together.

    The Fiedler vector of the graph whose edges are the confusions, in shares of the true class and summed over both
    directions (Atkins, Boman and Hendrickson 1998, doi:10.1137/S0097539795285771); a faint edge between all classes
    keeps the graph whole.

    Args:
        confusion: (K, K) counts, rows the true class.
    Returns:
        (K,) class indices.
    """
    count = len(confusion)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    likeness = shares + shares.T + 1e-3 / count
    np.fill_diagonal(likeness, 0)
    laplacian = np.diag(likeness.sum(axis=1)) - likeness
    vectors = np.linalg.eigh(laplacian)[1]
    fiedler = vectors[:, min(1, count - 1)]
    # An eigenvector's sign is arbitrary: let the first class stand in the first half.
    forward = np.argsort(np.round(fiedler, 9), kind="stable").astype(np.int64)
    return forward if list(forward).index(0) < (count + 1) // 2 else forward[::-1].copy()
