"""A network's scores with the names that the page speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from generator.records.images import Counts
from generator.records.scores import FEWEST_FOR_FIVE, SplitScores
from generator.report.plates.wording import SHOWN, listed, percent, rate

SPLITS: Mapping[str, str] = {
    "test": "test images",
    "validation": "validation images",
    "train": "training images",
}
LISTED = 12  # rows of a short table
NAMED = 3  # classes that a sentence names as the best and the worst
MOST_PAIRS = 20  # that a record holds


@dataclass(frozen=True)
class NamedPair:
    """Two classes that are confused, by name."""

    true: str
    predicted: str
    count: int
    share: float
    of: int  # images of the true class


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
    hits: int  # of these images
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
        """ "test images", "validation images", ...; of one image "test image"."""
        return images_of(self.record)

    @property
    def seen(self) -> str:
        """What the images were for the network, besides: "" for test images, else "chosen on" or "fitted on"."""
        return {"train": "fitted on", "validation": "chosen on"}.get(self.record.split, "")

    @property
    def top5(self) -> float | None:
        """How often the right name is among the first five answers; None where that says little."""
        return self.record.top5 if len(self.class_names) >= FEWEST_FOR_FIVE else None

    @property
    def right(self) -> str:
        """How many it names correctly, in words: "78.1 %"."""
        return rate(self.record.top1, self.record.count)

    @property
    def in_five(self) -> str:
        """How many have the right name among the first five answers; "" where that says little."""
        return "" if self.top5 is None else rate(self.top5, self.record.count)

    @property
    def image(self) -> str:
        """One of them."""
        return self.images.replace("images", "image", 1)

    @property
    def wrong(self) -> int:
        """How many images it got wrong."""
        return self.record.count - int(self.record.right.sum())

    @cached_property
    def classes(self) -> tuple[ClassScore, ...]:
        """Every class, in the network's order."""
        rates = zip(self.record.precision, self.record.recall, self.record.f1, strict=True)
        columns = zip(self.class_names, self.record.totals, self.record.right, rates, strict=True)
        return tuple(ClassScore(name, int(n), int(h), *map(float, each)) for name, n, h, each in columns)

    @property
    def extremes(self) -> str:
        """The classes that are found most and least often, as sentences; says where others are found as often."""
        worst, *_, best = 2 * self._by_recall  # which may be one class
        if worst.recall == best.recall and len(self._by_recall) == 1:
            return f"Of {best.name} {best.hits:,} of {best.count:,} are found; no other class has images here."
        if worst.recall == best.recall:
            return f"No class is found more often than another: {percent(best.recall, 0)} of the images of each."
        count = min(NAMED, len(self._by_recall) // 2) or 1
        said = []
        for word, ranked in (("best", self._by_recall[::-1]), ("worst", self._by_recall)):
            ties = 0 < count < len(ranked) and ranked[count].recall == ranked[count - 1].recall
            named = listed([f"{score.name} ({score.hits:,} of {score.count:,})" for score in ranked[:count]])
            said.append(f"{f'Among the {word}' if ties else word.capitalize()} found: {named}.")
        return " ".join(said)

    @property
    def confused(self) -> str:
        """The most frequent confusion as a sentence, or those that tie; "" where nothing is confused.

        Of shares of a class's images, as those of classes with more images are no more frequent for that.
        """
        pairs, names = self.record.pairs, self.class_names
        if not pairs:
            return ""
        totals = self.record.totals
        first = pairs[0]
        # Shares of whole numbers, compared as such: 3 of 25 is 6 of 50.
        tied = [one for one in pairs if one.count * totals[first.true] == first.count * totals[one.true]]
        said = [f"{names[one.true]} named {names[one.predicted]}" for one in tied]
        of = f"{first.count:,} of {totals[first.true]:,} images"
        if len(tied) == 1:
            return f"Its most frequent confusion: {of} of {names[first.true]} named {names[first.predicted]}."
        alike = len({totals[one.true] for one in tied}) == 1
        each = f"{of} each" if alike else f"{percent(first.share, 0)} of the class’s images each"
        at_least = len(tied) == len(pairs) == MOST_PAIRS
        tie = f"At least {len(tied)} tie as its" if at_least else f"Its {len(tied)}"
        told = f"{tie} most frequent confusions{' tie' * (not at_least)}, with {each}"
        more = f" and {len(said) - SHOWN + 1} more" if len(said) > SHOWN else ""
        return f"{told}: {', '.join(said[: SHOWN - 1])}{more}." if more else f"{told}: {listed(said)}."

    @property
    def pairs(self) -> tuple[NamedPair, ...]:
        """The most confused pairs, most first."""
        names, totals = self.class_names, self.record.totals
        return tuple(
            NamedPair(names[p.true], names[p.predicted], p.count, p.share, int(totals[p.true]))
            for p in self.record.pairs[:LISTED]
        )

    @property
    def mistakes(self) -> tuple[NamedMistake, ...]:
        """The most confident mistakes, most confident first."""
        names, found = self.class_names, self.record.mistakes[:LISTED]
        return tuple(NamedMistake(m.image, names[m.true], names[m.predicted], m.confidence) for m in found)

    @cached_property
    def _by_recall(self) -> tuple[ClassScore, ...]:
        seen = [score for score in self.classes if not np.isnan(score.recall)]
        return tuple(sorted(seen, key=lambda score: score.recall))


def images_of(scores: SplitScores) -> str:
    """What the images of a split are called, of which there may be one."""
    many = SPLITS.get(scores.split, f"images of {scores.split}")
    return many.replace("images", "image") if scores.count == 1 else many


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
