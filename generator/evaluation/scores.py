"""What a network gets right and wrong: logits (N, K) and targets (N,) in, `SplitScores` out.

Logits are looked at a piece of images at a time; of each image some twenty bytes are kept (`Judged`), however many
classes there are, so that a million images need no more memory than a hundred thousand need time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from generator.records.images import Counts, Floats
from generator.records.scores import FEWEST_FOR_FIVE, MOST_IN_MATRIX, Calibration, Confusion, Mistake, SplitScores

# Of the reliability diagram: ten, as in Naeini et al. 2015 (doi:10.1609/aaai.v29i1.9602). In the 15 of Guo et al. 2017
# there are fewer images each, and chance alone makes the error larger: 0.037 instead of 0.031 for 750 images.
BINS = 10
CHANCES = 200  # simulations of what chance alone makes of the error
RESAMPLES = 10_000
MISTAKES = 60  # kept in the record, the most confident first
TEST_MISTAKES = 2000  # of the test images all, unless they are very many: the report shows each confusion's images
PAIRS = 20
CLOSE = 1e-12  # by which the logarithm of a temperature may be wrong
PIECE = 250  # images whose logits are looked at together
# Logits, logits of the mirror images (None: not asked for), targets, file names.
Answers = tuple[Floats, Floats | None, NDArray[np.int64], Sequence[str]]


@dataclass(frozen=True, eq=False)
class Judged:
    """What is kept of the answers to N images."""

    predicted: NDArray[np.int32]  # (N,)
    ahead: NDArray[np.int32]  # (N,) classes that the network finds likelier than the true one
    losses: Floats  # (N,) cross entropy; where each class has a probability of its own, the mean binary one
    confidence: Floats  # (N,) of the answer
    scaled: Floats  # (N,) the same at the temperature
    flipped: NDArray[np.bool_] | None = None  # (N,) right together with the mirror image; None: there was none


def kept_of(
    logits: Floats, mirrored: Floats | None, targets: Counts, temperature: float = 1.0, *, apart: bool = False
) -> Judged:
    """What is kept of some images.

    Args:
        logits, mirrored: (N, K) float32 of the images and of their mirror images; None: of these there are none.
        targets: (N,) int64.
        apart: each class has a probability of its own. The loss is then that of torch's BCEWithLogitsLoss, for which an
            image's class is the only one that is there.
    """
    chances = sigmoid if apart else softmax
    surest = chances(logits)
    rows = np.arange(len(targets))
    # The place of the true class in the ranking; of equal logits the lower index comes first, as in argmax.
    own = logits[rows, targets][:, None]
    ahead = (logits > own) | ((logits == own) & (np.arange(logits.shape[1]) < targets[:, None]))
    return Judged(
        predicted=logits.argmax(1).astype(np.int32),
        ahead=ahead.sum(1, dtype=np.int32),
        losses=_binary_losses(logits, targets) if apart else -log_softmax(logits)[rows, targets],
        confidence=surest.max(1),
        scaled=surest.max(1) if temperature == 1 else confidence_at(logits, temperature),
        flipped=None if mirrored is None else (surest + chances(mirrored)).argmax(1) == targets,
    )


def confidence_at(logits: Floats, temperature: float) -> Floats:
    """(N,) the largest probability of each image at a temperature."""
    found: Floats = softmax(logits / temperature).max(1)
    return found


def joined(pieces: Sequence[Judged]) -> Judged:
    """One of several, in their order."""

    def whole(name: str) -> NDArray[np.generic] | None:
        found = [getattr(piece, name) for piece in pieces]
        return None if any(each is None for each in found) else np.concatenate(found)

    return Judged(**{field.name: whole(field.name) for field in fields(Judged)})  # type: ignore[arg-type]


def in_pieces(logits: Floats) -> list[Floats]:
    """(N, K) as views of PIECE rows at most; none of no rows."""
    return [logits[start : start + PIECE] for start in range(0, len(logits), PIECE)]


def scores(
    splits: Mapping[str, Answers], known: float | None = None, *, chosen: str = "validation", judged: str = "test"
) -> tuple[dict[str, SplitScores], float]:
    """The scores of each part, and the temperature that was fitted on the part `chosen`.

    Without such a part the temperature is the one that is `known`, from an earlier evaluation, else 1.

    Args:
        chosen: the part that weights are chosen on, "" where there is none beside the one that judges.
        judged: the part that judges, of which all mistakes are kept.
    """
    fitted = splits.get(chosen)
    temperature = fit_temperature(in_pieces(fitted[0]), fitted[2]) if fitted else known or 1.0
    found = {
        name: split_scores(name, *split, temperature, TEST_MISTAKES if name == judged else MISTAKES)
        for name, split in splits.items()
    }
    return found, temperature


def split_scores(
    name: str,
    logits: Floats,
    mirrored: Floats | None,
    targets: Counts,
    files: Sequence[str],
    temperature: float,
    most: int = MISTAKES,
) -> SplitScores:
    """Everything that is said of one part of which all logits are here; see `scores_of` and `kept_of`."""
    pieces = [
        kept_of(piece, None if mirrored is None else mirrored[start : start + PIECE], targets[start : start + PIECE],
               temperature)
        for start, piece in zip(range(0, len(logits), PIECE), in_pieces(logits), strict=True)
    ]  # fmt: skip
    return scores_of(name, joined(pieces), logits.shape[1], targets, files, most)


def scores_of(
    name: str, found: Judged, classes: int, targets: Counts, files: Sequence[str], most: int = MISTAKES
) -> SplitScores:
    """Everything that is said of one part; of fewer than ten classes nothing of the first five answers.

    Args:
        classes: K.
        targets: (N,) int64.
        files: the names of the N images.
        most: mistakes that are kept.
    """
    right = found.predicted == targets
    in_five = found.ahead < 5 if classes >= FEWEST_FOR_FIVE else None
    counted = cells_of(targets, found.predicted, classes)
    precision, recall, f1 = rates(counted, classes)
    return SplitScores(
        split=name,
        count=len(targets),
        loss=float(found.losses.mean()),
        top1=float(right.mean()),
        top5=None if in_five is None else float(in_five.mean()),
        top1_interval=interval(right),
        top5_interval=None if in_five is None else interval(in_five),
        top1_flipped=None if found.flipped is None else float(found.flipped.mean()),
        confusion=counted if classes > MOST_IN_MATRIX else matrix_of(counted, classes),
        precision=precision,
        recall=recall,
        f1=f1,
        pairs=most_confused(counted),
        calibration=calibration(found.confidence, right),
        calibration_scaled=calibration(found.scaled, right),
        mistakes=confident_mistakes(found.confidence, found.predicted, targets, files, most),
    )


def cells_of(targets: Counts, predicted: NDArray[np.integer], classes: int) -> Counts:
    """(n, 3) true class, answer and how many images: the cells of the confusion matrix above 0, row by row."""
    places, counts = np.unique(targets * classes + predicted, return_counts=True)
    return np.column_stack([*np.divmod(places, classes), counts]).astype(np.int64, copy=False)


def matrix_of(counted: Counts, classes: int) -> Counts:
    """(K, K) counts, rows true, columns predicted, of the cells that `cells_of` gives."""
    found: Counts = np.zeros((classes, classes), np.int64)
    found[counted[:, 0], counted[:, 1]] = counted[:, 2]
    return found


def rates(counted: Counts, classes: int) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F1 of each class, (K,) float32; nan where a class was never predicted or does not occur."""
    true, predicted, counts = counted.T
    hit, columns, rows = (
        np.bincount(of[which], counts[which], classes)
        for of, which in ((true, true == predicted), (predicted, slice(None)), (true, slice(None)))
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = hit / columns
        recall = hit / rows
        f1 = 2 * hit / (columns + rows)
    return precision.astype(np.float32), recall.astype(np.float32), f1.astype(np.float32)


def most_confused(counted: Counts) -> tuple[Confusion, ...]:
    """The pairs of different classes by the share of the true class that is taken for the other, largest first."""
    totals = np.bincount(counted[:, 0], counted[:, 2])
    true, predicted, counts = counted[counted[:, 0] != counted[:, 1]].T
    shares = counts / totals[true]
    first = np.argsort(-shares, kind="stable")[:PAIRS]  # of equal ones in the order of the rows
    return tuple(
        Confusion(int(true[place]), int(predicted[place]), int(counts[place]), float(shares[place])) for place in first
    )


def confident_mistakes(
    confidence: Floats,
    predicted: NDArray[np.integer],
    targets: Counts,
    files: Sequence[str],
    most: int = MISTAKES,
) -> tuple[Mistake, ...]:
    """The wrong answers that the network was surest of, at most `most`; of equally sure ones the first."""
    wrong = np.flatnonzero(predicted != targets)
    surest = wrong[np.argsort(-confidence[wrong], kind="stable")[:most]].tolist()
    return tuple(
        Mistake(files[index], int(targets[index]), int(predicted[index]), float(confidence[index])) for index in surest
    )


def calibration(confidence: Floats, right: NDArray[np.bool_]) -> Calibration:
    """Reliability in BINS equal bins of the confidence, and the expected calibration error.

    Guo et al. 2017, arXiv:1706.04599, equation 3.

    Args:
        confidence: (N,) probability of each answer.
        right: (N,) which answers are.
    """
    confidence = confidence.astype(np.float64)
    edges = np.linspace(0, 1, BINS + 1)
    # A bin holds (edge, next edge], as in the paper.
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(bins, confidence, BINS) / counts
        accuracy = np.bincount(bins, right, BINS) / counts
    gaps = np.nan_to_num(np.abs(accuracy - mean_confidence))
    rng = np.random.default_rng(0)
    drawn = (rng.random(len(confidence)) < confidence for _ in range(CHANCES))
    surplus = [np.abs(np.bincount(bins, each - confidence, BINS)).sum() for each in drawn]
    return Calibration(
        edges=edges.astype(np.float32),
        counts=counts.astype(np.int64),
        confidence=mean_confidence.astype(np.float32),
        accuracy=accuracy.astype(np.float32),
        error=float((gaps * counts).sum() / max(1, counts.sum())),
        chance=float(np.mean(surplus) / max(1, counts.sum())),
    )


def fit_temperature(
    pieces: Sequence[Floats], targets: Counts, total: Callable[[float], float] = lambda value: value
) -> float:
    """The temperature T that makes softmax(logits / T) most likely: where the derivative of the loss in 1/T is zero.

    Guo et al. 2017, section 4.2. The loss is convex in 1/T, so that its derivative has one root at most; kept in
    [0.05, 20].

    Args:
        pieces: (n, K) logits each, which are gone through some twenty times.
        targets: (N,) of all of them.
        total: the sum of a number over all processes that have other pieces.
    """
    ends = np.cumsum([0, *(len(piece) for piece in pieces)])
    owns = [
        piece[np.arange(len(piece)), targets[start:end]].astype(np.float64)
        for piece, start, end in zip(pieces, ends[:-1], ends[1:], strict=True)
    ]
    own = total(float(np.concatenate(owns).sum()) if owns else 0.0)

    def slope(by: float) -> float:
        means = [_mean_logits(piece, by) for piece in pieces]
        return total(float(np.concatenate(means).sum()) if means else 0.0) - own

    return 1 / _root(slope, 0.05, 20.0)


def _mean_logits(logits: Floats, by: float) -> NDArray[np.float64]:
    """(n,) mean logit of each image under its probabilities, whose logits are as many times as large."""
    wide = logits.astype(np.float64)
    found: NDArray[np.float64] = (softmax(wide * by) * wide).sum(1)
    return found


def _root(slope: Callable[[float], float], low: float, high: float) -> float:
    """Where a function that only rises is zero, else the end that is nearer to it.

    By the Illinois method (Dowell & Jarratt 1971, doi:10.1007/BF01934364) in the logarithm: a line through both ends,
    of which one that stays counts half the next time.
    """
    ends, values = [math.log(low), math.log(high)], [slope(low), slope(high)]
    if values[0] > 0 or values[1] <= 0:
        return low if values[0] > 0 else high
    last = -1
    for _ in range(100):
        at = ends[0] - values[0] * (ends[1] - ends[0]) / (values[1] - values[0])
        if not ends[0] < at < ends[1]:
            break
        found = slope(math.exp(at))
        side = int(found > 0)
        moved = abs(at - ends[side])
        ends[side], values[side] = at, found
        if found == 0 or moved < CLOSE:
            break
        if side == last:
            values[1 - side] /= 2
        last = side
    return math.exp(at)


def interval(right: NDArray[np.bool_], seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of the mean of N yes-or-no answers, seeded.

    The sum of N answers drawn with replacement is binomial with the observed rate, so it is drawn directly. Where all
    answers are alike every such sample is too, and nothing would be uncertain: there it is Wilson's interval (1927,
    doi:10.1080/01621459.1927.10502953), from N / (N + 1.96²) to 1 where all are right.
    """
    count = len(right)
    if count and (right.all() or not right.any()):
        least = count / (count + 1.96**2)
        return (least, 1.0) if right.all() else (0.0, 1 - least)
    drawn = np.random.default_rng(seed).binomial(len(right), right.mean(), RESAMPLES) / len(right)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def sigmoid(logits: NDArray[np.floating]) -> Floats:
    """(N, K) probabilities of each class by itself, of the logits' dtype."""
    found: Floats = np.exp(-_softplus(-logits))
    return found


def _binary_losses(logits: NDArray[np.floating], targets: Counts) -> Floats:
    """(N,) mean binary cross entropy over the classes, of which the target is there and the others are not."""
    found: Floats = (_softplus(logits).sum(1) - logits[np.arange(len(targets)), targets]) / logits.shape[1]
    return found


def _softplus(values: NDArray[np.floating]) -> Floats:
    """log(1 + exp(x)), which does not overflow."""
    found: Floats = np.logaddexp(values, values.dtype.type(0))
    return found


def softmax(logits: NDArray[np.floating]) -> Floats:
    """(N, K) probabilities, of the logits' dtype."""
    found: Floats = np.exp(log_softmax(logits))
    return found


def log_softmax(logits: NDArray[np.floating]) -> Floats:
    """(N, K) log probabilities."""
    shifted = logits - logits.max(1, keepdims=True)
    found: Floats = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return found
