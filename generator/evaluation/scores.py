"""What a network gets right and wrong: logits (N, K) and targets (N,) in, `SplitScores` out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from generator.records.images import Counts, Floats
from generator.records.scores import FEWEST_FOR_FIVE, Calibration, Confusion, Mistake, SplitScores

# Of the reliability diagram: ten, as in Naeini et al. 2015 (doi:10.1609/aaai.v29i1.9602). In the 15 of Guo et al. 2017
# there are fewer images each, and chance alone makes the error larger: 0.037 instead of 0.031 for 750 images.
BINS = 10
CHANCES = 200  # simulations of what chance alone makes of the error
RESAMPLES = 10_000
MISTAKES = 60  # kept in the record, the most confident first
TEST_MISTAKES = 2000  # of the test images all, unless they are very many: the report shows each confusion's images
PAIRS = 20
# Logits, logits of the mirror images (None: not asked for), targets, file names.
Answers = tuple[Floats, Floats | None, NDArray[np.int64], Sequence[str]]


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
    temperature = fit_temperature(fitted[0], fitted[2]) if fitted else known or 1.0
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
    """Everything that is said of one part; of fewer than ten classes nothing of the first five answers.

    Args:
        logits, mirrored: (N, K) float32 of the images and of their mirror images; None: of these there are none.
        targets: (N,) int64.
        files: the names of the N images.
        temperature: of the second calibration.
        most: mistakes that are kept.
    """
    classes = logits.shape[1]
    probabilities = softmax(logits)
    predicted = logits.argmax(1)
    right = predicted == targets
    # The place of the true class in the ranking; of equal logits the lower index comes first, as in argmax.
    own = logits[np.arange(len(targets)), targets][:, None]
    ahead = (logits > own) | ((logits == own) & (np.arange(classes) < targets[:, None]))
    flipped = None if mirrored is None else (probabilities + softmax(mirrored)).argmax(1) == targets
    in_five = ahead.sum(1) < 5 if classes >= FEWEST_FOR_FIVE else None
    confusion = confusion_matrix(targets, predicted, classes)
    precision, recall, f1 = rates(confusion)
    return SplitScores(
        split=name,
        count=len(targets),
        loss=float(-log_softmax(logits)[np.arange(len(targets)), targets].mean()),
        top1=float(right.mean()),
        top5=None if in_five is None else float(in_five.mean()),
        top1_interval=interval(right),
        top5_interval=None if in_five is None else interval(in_five),
        top1_flipped=None if flipped is None else float(flipped.mean()),
        confusion=confusion,
        precision=precision,
        recall=recall,
        f1=f1,
        pairs=most_confused(confusion),
        calibration=calibration(probabilities, targets),
        calibration_scaled=calibration(softmax(logits / temperature), targets),
        mistakes=confident_mistakes(probabilities, targets, files, most),
    )


def confusion_matrix(targets: Counts, predicted: NDArray[np.integer], classes: int) -> Counts:
    """(K, K) counts, rows true, columns predicted."""
    return np.bincount(targets * classes + predicted, minlength=classes**2).reshape(classes, classes).astype(np.int64)


def rates(confusion: Counts) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F1 of each class, (K,) float32; nan where a class was never predicted or does not occur."""
    hit = confusion.diagonal().astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = hit / confusion.sum(0)
        recall = hit / confusion.sum(1)
        f1 = 2 * hit / (confusion.sum(0) + confusion.sum(1))
    return precision.astype(np.float32), recall.astype(np.float32), f1.astype(np.float32)


def most_confused(confusion: Counts) -> tuple[Confusion, ...]:
    """The pairs of different classes by the share of the true class that is taken for the other, largest first."""
    totals = confusion.sum(1)
    pairs = [
        Confusion(
            int(true), int(predicted), int(confusion[true, predicted]), float(confusion[true, predicted] / totals[true])
        )
        for true, predicted in np.argwhere(confusion)
        if true != predicted
    ]
    return tuple(sorted(pairs, key=lambda pair: (-pair.share, pair.true, pair.predicted))[:PAIRS])


def confident_mistakes(
    probabilities: Floats, targets: Counts, files: Sequence[str], most: int = MISTAKES
) -> tuple[Mistake, ...]:
    """The wrong answers that the network was surest of, at most `most`."""
    predicted = probabilities.argmax(1)
    confidence = probabilities.max(1)
    wrong = [int(index) for index in np.argsort(-confidence, kind="stable") if predicted[index] != targets[index]]
    return tuple(
        Mistake(files[index], int(targets[index]), int(predicted[index]), float(confidence[index]))
        for index in wrong[:most]
    )


def calibration(probabilities: Floats, targets: Counts) -> Calibration:
    """Reliability in BINS equal bins of the confidence, and the expected calibration error.

    Guo et al. 2017, arXiv:1706.04599, equation 3.
    """
    confidence = probabilities.max(1).astype(np.float64)
    right = probabilities.argmax(1) == targets
    edges = np.linspace(0, 1, BINS + 1)
    # A bin holds (edge, next edge], as in the paper.
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(bins, confidence, BINS) / counts
        accuracy = np.bincount(bins, right, BINS) / counts
    gaps = np.nan_to_num(np.abs(accuracy - mean_confidence))
    drawn = np.random.default_rng(0).random((CHANCES, len(confidence))) < confidence
    surplus = [np.abs(np.bincount(bins, each - confidence, BINS)).sum() for each in drawn]
    return Calibration(
        edges=edges.astype(np.float32),
        counts=counts.astype(np.int64),
        confidence=mean_confidence.astype(np.float32),
        accuracy=accuracy.astype(np.float32),
        error=float((gaps * counts).sum() / max(1, counts.sum())),
        chance=float(np.mean(surplus) / max(1, counts.sum())),
    )


def fit_temperature(logits: Floats, targets: Counts) -> float:
    """The temperature T that makes softmax(logits / T) most likely: where the derivative of the loss in 1/T is zero.

    Guo et al. 2017, section 4.2. The loss is convex in 1/T, so that bisection finds the one root; kept in [0.05, 20].
    """
    wide = logits.astype(np.float64)
    own = wide[np.arange(len(targets)), targets]
    low, high = 0.05, 20.0  # of 1/T
    for _ in range(60):
        middle = np.sqrt(low * high)
        slope = (softmax(wide * middle) * wide).sum(1).mean() - own.mean()
        low, high = (low, middle) if slope > 0 else (middle, high)
    return float(1 / np.sqrt(low * high))


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


def softmax(logits: NDArray[np.floating]) -> Floats:
    """(N, K) probabilities, of the logits' dtype."""
    found: Floats = np.exp(log_softmax(logits))
    return found


def log_softmax(logits: NDArray[np.floating]) -> Floats:
    """(N, K) log probabilities."""
    shifted = logits - logits.max(1, keepdims=True)
    found: Floats = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return found
