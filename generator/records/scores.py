"""What a network got right and wrong on a split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from generator.records.images import Counts, Floats
from generator.records.ranges import Count, Loss, Name, Number, Part, Share, Temperature
from generator.records.trust import Faithfulness

JUDGING = ("test", "validation")  # the parts that may judge, the better first
FEWEST_FOR_FIVE = 10  # classes: of fewer, five answers are half of all or more
# Classes up to which every one taken for every other is counted in a matrix, K x K numbers several times over: 200 MB
# each. Of more, of which hardly any pair is ever confused, those pairs alone are counted that are.
MOST_IN_MATRIX = 5_000


@dataclass(frozen=True)
class Confusion:
    """A pair of classes that the network confuses: `count` images of `true` were called `predicted`."""

    true: Count
    predicted: Count
    count: Count
    share: Share  # of the images of `true`


@dataclass(frozen=True)
class Mistake:
    """One image that was called something else, with the confidence that the network had in its answer."""

    image: Name  # file name in the data set
    true: Count
    predicted: Count
    confidence: Share


@dataclass(frozen=True)
class Calibration:
    """Reliability bins of equal width over the confidence, and the expected calibration error (Guo et al. 2017)."""

    edges: Floats  # (B + 1,)
    counts: Counts  # (B,)
    confidence: Floats  # (B,) mean confidence in the bin, nan where empty
    accuracy: Floats  # (B,) nan where empty
    error: Share  # ECE in [0, 1]
    chance: Share = float("nan")  # the ECE of perfect calibration on so many images, on average; nan: not recorded


@dataclass(frozen=True)
class SplitScores:
    """What a network gets right on one split; K classes, rates in [0, 1]."""

    split: Part  # the name of the part: "train", "validation", "test"
    count: Count  # images that were scored
    loss: Loss
    top1: Share
    top5: Share | None  # None: so few classes that five answers say little
    top1_interval: tuple[Share, Share]  # 95 % bootstrap
    top5_interval: tuple[Share, Share] | None
    top1_flipped: Share | None  # mean of the image's and its mirror image's probabilities; None: that was not asked for
    confusion: Counts  # (K, K), rows true, columns predicted; of more than MOST_IN_MATRIX classes its `cells` alone
    precision: Floats  # (K,), nan where a class was never predicted
    recall: Floats  # (K,)
    f1: Floats  # (K,)
    pairs: tuple[Confusion, ...]  # most confused first
    calibration: Calibration
    calibration_scaled: Calibration  # after temperature scaling
    mistakes: tuple[Mistake, ...]  # most confident first
    top1_of_all: Share | None = None  # where outputs that are no class of the data set compete; None: there are none
    of: Count | None = None  # images of the split, where `count` evenly of all were scored; None: all were

    @property
    def matrix(self) -> Counts | None:
        """The confusion matrix, None where there are too many classes for one."""
        return self.confusion if len(self.recall) <= MOST_IN_MATRIX else None

    @cached_property
    def cells(self) -> Counts:
        """(n, 3): true class, answer and how many images, row by row of the matrix; those that are above 0."""
        if self.matrix is None:
            return self.confusion
        places = np.argwhere(self.confusion)
        return np.column_stack([places, self.confusion[tuple(places.T)]])

    @cached_property
    def totals(self) -> Counts:
        """(K,) images of each class."""
        return self._summed(0)

    @cached_property
    def answers(self) -> Counts:
        """(K,) images that were called so."""
        return self._summed(1)

    @cached_property
    def right(self) -> Counts:
        """(K,) images of each class that were called so."""
        return self._summed(0, self.cells[:, 0] == self.cells[:, 1])

    def taken(self, true: int, predicted: int) -> int:
        """How many images of a class were called as another."""
        true_of, predicted_as, counts = self.cells.T
        return int(counts[(true_of == true) & (predicted_as == predicted)].sum())

    def _summed(self, by: int, which: slice | NDArray[np.bool_] = slice(None)) -> Counts:
        cells = self.cells[which]
        found: Counts = np.zeros(len(self.recall), np.int64)
        np.add.at(found, cells[:, by], cells[:, 2])
        return found


@dataclass(frozen=True)
class Evaluation:
    """What evaluation.json holds for one network."""

    model: Name
    class_names: tuple[Name, ...]
    splits: Mapping[Part, SplitScores]
    temperature: Temperature  # fitted on the part that weights are chosen on; 1 where there is none but what judges
    weights_digest: str
    data_digest: str
    environment: Mapping[str, str]
    test_looks: Number = 1  # networks of this folder that the test images have scored so far, this one included
    faithfulness: Faithfulness | None = None
    multi_label: bool = False  # confidence is the answer's sigmoid, the loss binary; no temperature is fitted

    @property
    def judged(self) -> str:
        """The name of the part that judges: the test images, else those of the validation, else the first."""
        return next((name for name in JUDGING if name in self.splits), next(iter(self.splits), ""))

    @property
    def fitted_temperature(self) -> str:
        """The name of the part that the temperature was fitted on; "": it was not."""
        fitted = self.judged == "test" and "validation" in self.splits and not self.multi_label
        return "validation" if fitted else ""
