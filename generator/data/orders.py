"""Whether answers are right under other names: a permuted order of classes shows as a bijection in the confusions."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

ENOUGH = 4  # images a class in each half, from which on an order of the classes can be told
CLEAR = 0.8  # share of the outputs whose answers are most often of a class that no other's are
CERTAIN = 3.0  # standard errors: of a score of readings one in forty reports would find one better by chance


@dataclass(frozen=True)
class Order:
    """An order of the classes, found on every other answer, and what it makes of those between them."""

    meant: tuple[int, ...]  # the class that each output stands for
    right: NDArray[np.bool_]  # of the answers at odd places, read in that order
    better: bool  # right more often than in the order as it is, by more than chance explains


@dataclass(frozen=True)
class Lead:
    """How much more often one reading of the same images is right than another."""

    ahead: float
    error: float  # standard error of that
    better: bool  # by more than chance explains


def lead(right: NDArray[np.bool_], was: NDArray[np.bool_]) -> Lead:
    """What (N,) answers that are right are ahead of others, image by image."""
    difference = right.astype(float) - was.astype(float)
    ahead, error = float(difference.mean()), float(difference.std(ddof=1)) / math.sqrt(len(difference))
    # A single image that changes is no finding, whatever its standard error.
    return Lead(ahead, error, ahead > max(CERTAIN * error, 2 / len(difference)))


def other_order(answers: NDArray[Any], targets: NDArray[Any], count: int) -> Order | None:
    """The order of the classes in which answers fit their images, where it is another than theirs.

    Args:
        answers, targets: (N,) the output that was chosen and the true class of each image, from 0 on; of each class
            every other image must stand at an even place, as where they are ordered by class.
        count: of the classes.
    Returns:
        None where there are fewer than eight images a class, or no other order is clear.
    """
    if len(answers) < 2 * ENOUGH * count:
        return None
    outputs, classes = _pairs(answers[::2], targets[::2], count)
    # Of a network that gives few names to everything no order is clear.
    firsts = dict(zip(outputs[::-1].tolist(), classes[::-1].tolist(), strict=True))  # of each output the most frequent
    if len(set(firsts.values()) | ({0} if len(firsts) < count else set())) < CLEAR * count:
        return None
    meant = _bijection(outputs, classes, count)
    if (meant == np.arange(count)).all():
        return None
    between, true = answers[1::2], targets[1::2]
    right = meant[between] == true
    return Order(tuple(meant.tolist()), right, lead(right, between == true).better)


def _pairs(answers: NDArray[Any], targets: NDArray[Any], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Outputs and the classes of images that they were chosen for, the most frequent pairs first.

    Of pairs as frequent those of the same place come first. Of K classes there are fewer such than images, not K x K.
    """
    places, often = np.unique(answers.astype(np.int64) * count + targets, return_counts=True)
    outputs, classes = np.divmod(places, count)
    order = np.lexsort((outputs != classes, -often))
    return outputs[order], classes[order]


def _bijection(outputs: NDArray[np.int64], classes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """A class for each output by pairs of both, the first first; for what is left the same place, else any."""
    meant = np.full(count, -1)
    free = np.ones(count, bool)

    def take(pairs: Iterable[tuple[int, int]]) -> None:
        for output, each in pairs:
            if meant[output] < 0 and free[each]:
                meant[output], free[each] = each, False

    take(zip(outputs.tolist(), classes.tolist(), strict=True))
    take((output, output) for output in range(count))
    meant[meant < 0] = np.flatnonzero(free)
    return meant
