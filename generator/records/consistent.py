"""The records of a network's folder, read from their JSON: each value of its type, and all of them agreeing.

What types cannot say is said here: counts that add up, rates that follow from them, an interval around its mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypedDict

import msgspec
import numpy as np

from generator.base.errors import InputError
from generator.records.images import Counts
from generator.records.ranges import Count, Measured, Share
from generator.records.scores import MOST_IN_MATRIX, Calibration, Evaluation, SplitScores
from generator.records.stored import read, shown, worded
from generator.records.training import Benchmark, Run
from generator.records.trust import Compared, Estimate, Faithfulness, Randomisation

Fault = tuple[str, str, object]  # place, what is expected there, what is found

CLOSE = 1e-5  # records hold six digits
ROUNDED = 2e-5  # largest difference between a rate as it is recorded and as it follows from counts
BASELINES = {  # what each measure must be compared with, and what else it may be
    "pointing": ({"centre", "uniform", "wrong class"}, set[str]()),
    "energy": ({"uniform", "wrong class"}, {"centre"}),
    "deletion": (set[str](), {"random", "centre out", "wrong class"}),
    "insertion": (set[str](), {"random", "centre out", "wrong class"}),
}


class _Runs(msgspec.Struct, forbid_unknown_fields=True):
    runs: tuple[Run, ...]


class _Settings(TypedDict, total=False):
    """The settings of a run that cards and pages read; a record may hold others besides."""

    preset: str
    changed: dict[str, Any]
    started_from: str
    started_after: Count
    started_settings: _Settings
    teachers: list[str]
    distillation: Share
    temperature: Measured
    tail: Share


def runs(path: Path) -> tuple[Run, ...]:
    """The training runs of history.json, in the order in which they were recorded.

    Raises:
        InputError: naming the file, the place in it, what is expected there and what is found.
    """
    advice = "restore the file, or delete it and train the model again"
    found = read(_Runs, path, advice).runs
    _refuse(path, advice, (fault for place, run in enumerate(found) for fault in _faults_of_run(run, f"runs[{place}]")))
    return found


def evaluation(path: Path) -> Evaluation:
    """What evaluation.json says of a network.

    Raises:
        InputError: as `runs` does.
    """
    advice = "restore the file, or delete it and evaluate the model again"
    found = read(Evaluation, path, advice)
    _refuse(path, advice, _faults_of_evaluation(found))
    return found


def benchmark(path: Path) -> Benchmark:
    """What benchmark.json says of a machine.

    Raises:
        InputError: as `runs` does.
    """
    return read(Benchmark, path, "delete it, or record it again with benchmarks/training.py")


def _refuse(path: Path, advice: str, faults: Iterator[Fault]) -> None:
    for place, expected, found in faults:
        raise InputError(f"{path}: {place}: expected {expected}, found {found}; {advice}")


def _faults_of_run(run: Run, place: str) -> Iterator[Fault]:
    numbers = [epoch.epoch for epoch in run.epochs]
    if not numbers:
        yield f"{place}.epochs", "at least one epoch", "none"
    for index, (before, after) in enumerate(pairwise(numbers), 1):
        if after <= before:
            yield f"{place}.epochs[{index}].epoch", f"a number above {before}, that of the epoch before", after
    if run.kept is not None and run.kept not in numbers:
        yield f"{place}.kept", "the number of one of the run's epochs", run.kept
    yield from _faults_of_settings(run.settings, f"{place}.settings")


def _faults_of_settings(settings: Mapping[str, Any], place: str) -> Iterator[Fault]:
    try:
        msgspec.convert(settings, _Settings)
    except msgspec.ValidationError as error:
        yield place, "the settings of a training run", f"others ({worded(error, _Settings, settings)})"
    needed = {"teachers": ("distillation", "temperature"), "tail": ("mild",)}
    for name, others in needed.items():
        for other in others:
            if settings.get(name) and other not in settings:
                yield place, f"{other} beside {name}", "none"
    if isinstance(earlier := settings.get("started_settings"), dict):
        yield from _faults_of_settings(earlier, f"{place}.started_settings")


def _faults_of_evaluation(found: Evaluation) -> Iterator[Fault]:
    if not found.class_names or len(set(found.class_names)) < len(found.class_names):
        yield "class_names", "at least one name, each once", _listed(found.class_names)
    if not found.splits:
        yield "splits", "the scores of at least one split", "none"
    for name, scores in found.splits.items():
        for place, expected, value in _faults_of_split(scores, name, len(found.class_names)):
            yield f"splits.{name}.{place}", expected, value
    if found.faithfulness:
        for place, expected, value in _faults_of_faithfulness(found.faithfulness):
            yield f"faithfulness.{place}", expected, value


def _faults_of_split(scores: SplitScores, name: str, classes: int) -> Iterator[Fault]:
    if scores.split != name:
        yield "split", f"{name}, as its key says", scores.split
    if fault := _fault_of_confusion(scores.confusion, classes):
        yield fault
        return
    for each in ("precision", "recall", "f1"):
        if len(values := getattr(scores, each)) != classes:
            yield each, f"{classes} values, one for each class", len(values)
            return
    yield from _faults_of_counts(scores)
    yield from _faults_of_interval(scores.top1, *scores.top1_interval, "top1_interval")
    yield from _faults_of_top5(scores)
    for index, mistake in enumerate(scores.mistakes):
        yield from _faults_of_pair(mistake.true, mistake.predicted, classes, f"mistakes[{index}]")
    for each in ("calibration", "calibration_scaled"):
        for place, expected, value in _faults_of_calibration(getattr(scores, each), scores.count):
            yield f"{each}.{place}", expected, value
    bins, scaled = len(scores.calibration.counts), len(scores.calibration_scaled.counts)
    if bins != scaled:
        yield "calibration_scaled.counts", f"{bins} bins, as before the scaling", scaled


def _faults_of_top5(scores: SplitScores) -> Iterator[Fault]:
    if (scores.top5 is None) != (scores.top5_interval is None):
        yield "top5_interval", "an interval beside a number, and none without one", _listed([str(scores.top5_interval)])
    elif scores.top5 is not None and scores.top5_interval is not None:
        yield from _faults_of_interval(scores.top5, *scores.top5_interval, "top5_interval")
        if scores.top5 < scores.top1:
            yield "top5", f"no less than the {scores.top1:g} of top1", f"{scores.top5:g}"


def _faults_of_counts(scores: SplitScores) -> Iterator[Fault]:
    """Whether what follows from the confusion matrix does."""
    rows, columns, right = scores.totals, scores.answers, scores.right
    if not 0 < scores.count == rows.sum():
        yield "count", f"the {rows.sum()} images of the confusion matrix, at least one", scores.count
        return
    with np.errstate(invalid="ignore"):
        told = {"precision": right / columns, "recall": right / rows, "f1": 2 * right / (rows + columns)}
    for name, values in told.items():
        for index in np.flatnonzero(~np.isclose(getattr(scores, name), values, rtol=0, atol=ROUNDED, equal_nan=True)):
            yield (
                f"{name}[{index}]",
                f"{_cell(values[index])}, as follows from the confusion matrix",
                _cell(getattr(scores, name)[index]),
            )
    if abs(scores.top1 - right.sum() / scores.count) > ROUNDED:
        yield "top1", f"{right.sum() / scores.count:.6g}, as follows from the confusion matrix", scores.top1
    for number, pair in enumerate(scores.pairs):
        place = f"pairs[{number}]"
        yield from _faults_of_pair(pair.true, pair.predicted, len(rows), place)
        if max(pair.true, pair.predicted) < len(rows):
            count = scores.taken(pair.true, pair.predicted)
            if not 0 < pair.count == count:
                yield f"{place}.count", f"the {count} images of the confusion matrix, at least one", pair.count
            elif abs(pair.share - count / rows[pair.true]) > ROUNDED:
                yield f"{place}.share", f"{count / rows[pair.true]:.6g}, as follows from the counts", pair.share


def _fault_of_confusion(found: Counts, classes: int) -> Fault | None:
    """What is wrong with how often each class was taken for each, if anything is."""
    shape = " x ".join(map(str, found.shape))
    if classes <= MOST_IN_MATRIX:
        whole = found.shape == (classes, classes)
        return None if whole else ("confusion", f"{classes} rows and columns, one for each class", shape)
    if found.ndim != 2 or found.shape[1] != 3:
        return "confusion", "rows of a true class, an answer and a count", shape
    if (found[:, :2] >= classes).any():
        return "confusion", f"the indices of {classes} classes", int(found[:, :2].max())
    if not found[:, 2].all() or (np.diff(found[:, 0] * classes + found[:, 1]) <= 0).any():
        return "confusion", "counts above 0, row by row of a matrix", "others"
    return None


def _faults_of_pair(true: int, predicted: int, classes: int, place: str) -> Iterator[Fault]:
    for name, index in (("true", true), ("predicted", predicted)):
        if index >= classes:
            yield f"{place}.{name}", f"the index of one of {classes} classes", index
    if true == predicted:
        yield f"{place}.predicted", "another class than the true one", predicted


def _faults_of_calibration(found: Calibration, count: int) -> Iterator[Fault]:
    bins = len(found.counts)
    for name, length in (("edges", bins + 1), ("confidence", bins), ("accuracy", bins)):
        values = getattr(found, name)
        if found.counts.ndim > 1 or not bins or len(values) != length:
            yield name, f"{length} values beside a list of {bins} counts", len(values)
            return
    if not (np.diff(found.edges) > 0).all():
        yield "edges", "values that rise", _listed([f"{edge:g}" for edge in found.edges])
    if found.counts.sum() != count:
        yield "counts", f"counts of {count} images", f"those of {found.counts.sum()}"
    for name in ("confidence", "accuracy"):
        empty = np.isnan(getattr(found, name))
        for index in np.flatnonzero(empty != (found.counts == 0)):
            expected = (
                "null, for the bin is empty" if found.counts[index] == 0 else "a number, for the bin is not empty"
            )
            yield f"{name}[{index}]", expected, _cell(getattr(found, name)[index])


def _faults_of_faithfulness(found: Faithfulness) -> Iterator[Fault]:
    if max(found.small, found.correct) > found.count:
        yield "count", f"at least {max(found.small, found.correct)} images, as many as small or correct", found.count
    if found.boxes and all(each.small for each in found.localisation):
        yield "localisation", "measurements on all boxes", "none"
    for index, located in enumerate(found.localisation):
        place = f"localisation[{index}]"
        if not max(1, located.silent, located.silent_wrong) <= located.count <= found.count:
            yield f"{place}.count", f"at least as many as its maps and at most {found.count}", located.count
        for name in ("pointing", "energy"):
            yield from _faults_of_compared(getattr(located, name), name, f"{place}.{name}")
    for index, perturbed in enumerate(found.perturbation):
        for name in ("deletion", "insertion"):
            yield from _faults_of_compared(getattr(perturbed, name), name, f"perturbation[{index}].{name}")
    for index, check in enumerate(found.randomisation):
        yield from _faults_of_randomisation(check, f"randomisation[{index}]")
    for index, swept in enumerate(found.sweep):
        for name in ("pointing", "pointing_small", "energy"):
            if (value := getattr(swept, name)) is not None:
                yield from _faults_of_estimate(value, f"sweep[{index}].{name}", 0)


def _faults_of_randomisation(found: Randomisation, place: str) -> Iterator[Fault]:
    layers = len(found.layers)
    for name in ("spearman", "ssim", "silent"):
        if not 0 < layers == len(getattr(found, name)):
            yield f"{place}.{name}", f"a value for each of the {layers} layers", len(getattr(found, name))
    for name in ("spearman", "ssim"):
        for index, value in enumerate(getattr(found, name)):
            yield from _faults_of_estimate(value, f"{place}.{name}[{index}]")
    if max(found.silent, default=0) > found.count:
        yield f"{place}.silent", f"at most the {found.count} images", max(found.silent)


def _faults_of_compared(found: Compared, measure: str, place: str) -> Iterator[Fault]:
    needed, more = BASELINES[measure]
    yield from _faults_of_estimate(found.value, f"{place}.value", 0)
    if not needed <= set(found.baselines) <= needed | more:
        yield f"{place}.baselines", _listed(sorted(needed or more)), _listed(sorted(found.baselines))
    if set(found.ahead) != set(found.baselines):
        yield f"{place}.ahead", f"the baselines' {_listed(sorted(found.baselines))}", _listed(sorted(found.ahead))
    for name, value in found.baselines.items():
        yield from _faults_of_estimate(value, f"{place}.baselines.{name}", 0)
    for name, value in found.ahead.items():
        yield from _faults_of_estimate(value, f"{place}.ahead.{name}")


def _faults_of_estimate(found: Estimate, place: str, least: float = -1) -> Iterator[Fault]:
    yield from _faults_of_interval(found.mean, found.low, found.high, place)
    if found.mean < least - CLOSE:
        yield f"{place}.mean", f"a number from {least:g} to 1", found.mean


def _faults_of_interval(mean: float, low: float, high: float, place: str) -> Iterator[Fault]:
    if not low - CLOSE <= mean <= high + CLOSE:
        yield place, f"an interval around {mean:g}", f"{low:g} to {high:g}"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(map(shown, words[:9])) + ", …" * (len(words) > 9) or "none"


def _cell(value: float) -> str:
    return "null" if math.isnan(value) else f"{value:.6g}"
