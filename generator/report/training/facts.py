"""A training as the page speaks of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from generator.data.classes import TINY_IMAGENET_30
from generator.records.report import Report
from generator.records.scores import Evaluation
from generator.records.training import Benchmark, Epoch, Run
from generator.report.plates.wording import counted, digits_of, listed, percent

ROUNDED = 0.0005  # half of what a log's last digit, in tenths of a percent, may hide


@dataclass(frozen=True)
class Reference:
    """An accuracy from elsewhere, to compare with."""

    accuracy: float
    images: int


@dataclass(frozen=True)
class Training:
    """One run with the epochs that are spoken of; `slug` stands for it in figure ids and addresses."""

    record: Run
    slug: str
    agreement: str = ""  # a log's accuracy beside the one measured here, see `agreement`

    @property
    def kept(self) -> Epoch | None:
        """The epoch whose weights were kept, None where that is not known."""
        return self.record.kept_epoch

    @property
    def told(self) -> Epoch:
        """The epoch to speak of: the kept one, else the last."""
        return self.record.told_epoch

    @property
    def best(self) -> Epoch | None:
        """The epoch of the highest validation accuracy, None where none was recorded."""
        return self.record.best_epoch

    @property
    def last(self) -> Epoch:
        """The last epoch."""
        return self.record.epochs[-1]

    @property
    def seconds(self) -> float | None:
        """Time of all epochs together, None where it was not recorded."""
        return self.record.seconds

    @property
    def recorded(self) -> frozenset[str]:
        """The fields that at least one epoch has."""
        names = [field.name for field in fields(Epoch)]
        return frozenset(
            name for name in names if any(getattr(epoch, name) is not None for epoch in self.record.epochs)
        )

    @property
    def turns(self) -> str:
        """Where its images became harder or milder, and what that did to training accuracy; "" where nothing did."""
        return turns(self.record)

    @property
    def hardware(self) -> str:
        """What it ran on, as far as its record tells."""
        told = self.record.environment
        device = told.get("device") or "cpu"
        if device != "cpu":
            return device
        cores = f"{told['cores']} cores" if "cores" in told else ""
        return " of an ".join(filter(None, (cores, told.get("processor", ""))))


def _degrees(value: float, digits: int) -> str:
    return f"{value:.{digits}f}°"


CHANGES: Mapping[
    str, tuple[str, Callable[[float, int], str]]
] = {  # settings of augmentation that are told, and what the images are like with a value
    "area": ("crops keep at least {} of an image", percent),
    "cutmix": ("CutMix pastes a part of another image into those of {} of the batches", percent),
    "rotation": ("images are turned by up to {}", _degrees),
}


def turns(run: Run) -> str:
    """From the recorded settings, a sentence for each epoch with which other augmentation begins; "" without any.

    In a run that began anew from earlier weights each part has its own settings, and its own milder end.
    """
    told = []
    accuracies = {epoch.epoch: epoch.train_accuracy for epoch in run.epochs}
    stretches = _stretches(run)
    for (_, before), (start, after) in itertools.pairwise(stretches):
        changed = [
            f"{words.format(say(after[name], 0))} instead of {say(before[name], 0)}"
            for name, (words, say) in CHANGES.items()
            if name in before and name in after and before[name] != after[name]
        ]
        last, first = accuracies.get(start - 1), accuracies.get(start)
        if changed and last is not None and first is not None:
            moved = f"training accuracy goes from {percent(last)} to {percent(first)}"
            told.append(f"From epoch {start} on {listed(changed)}: {moved}.")
    return " ".join(told)


def _stretches(run: Run) -> list[tuple[int, Mapping[str, Any]]]:
    """(first epoch, augmentation) of each stretch of the run with one, as far as the settings tell."""
    found: list[tuple[int, Mapping[str, Any]]] = []
    for settings in run.chain:
        begun, epochs = int(settings.get("started_after", 0)), int(settings.get("epochs", 0))
        if isinstance(how := settings.get("augmentation"), Mapping):
            found.append((begun + 1, how))
        tail = float(settings.get("tail", 0))
        # As training/fit.py has it.
        first = next((number for number in range(1, epochs + 1) if (number - 1) / epochs >= 1 - tail), 0)
        if first and isinstance(mild := settings.get("mild"), Mapping):
            found.append((begun + first, mild))
    return found


def agreement(run: Run, evaluation: Evaluation | None, present: bool = True) -> str:
    """What a log says of the validation images beside what was measured here of the same; "" where either is missing.

    A free check of how the network is read: other preprocessing, or another order of the classes, costs accuracy.

    Args:
        present: whether the network itself was read here, not its answers alone.
    """
    told = run.kept_epoch if run.kept_epoch and run.kept_epoch.validation_accuracy is not None else run.best_epoch
    if run.log is None or told is None or told.validation_accuracy is None:
        return ""
    which = "" if told is run.kept_epoch else "best "
    of = f" of epoch {told.epoch}, whose weights these are," if told is run.kept_epoch else ""
    part = run.log.part
    logged = f"Its log’s {which}{part} accuracy{of} is {percent(told.validation_accuracy)}{_at(told.validation_loss)}"
    scores = evaluation.splits.get(part) if evaluation else None
    if scores is None:
        return f"{logged}; how many of the {part} images it names correctly was not measured here."
    low, high = scores.top1_interval
    digits = digits_of(scores.count)
    here = _at(None if told.validation_loss is None else scores.loss)
    measured = (
        f"{logged}; measured here on the {counted(scores.count, f'{part} image')}: {percent(scores.top1, digits)} "
        f"(95 % interval {percent(low, digits)} to {percent(high, digits)}){here}."
    )
    # Logs and percentages are rounded to a tenth.
    if low - ROUNDED <= told.validation_accuracy <= high + ROUNDED:
        return measured
    if told is not run.kept_epoch and told.validation_accuracy > high:
        others = "it has the weights of another epoch, or was measured on other images"
    else:
        others = "it was measured on other images"
    sign = (
        "the network is read otherwise here than by its trainer (the size, scale and channels of its input, the order "
        f"of its classes), unless {others}"
        if present
        else "the answers are those of another training, or to images that were read otherwise than in this one"
    )
    return (
        f"{measured} They differ by {abs(told.validation_accuracy - scores.top1) * 100:.1f} points, more than chance "
        f"explains: a sign that {sign}."
    )


def _at(loss: float | None) -> str:
    return "" if loss is None else f" at a loss of {loss:.2f}"


def benchmark(report: Report) -> Benchmark | None:
    """What benchmarks/training.py measured beside a network of this report, if the report is about the same classes."""
    if set(report.data.class_names) != set(TINY_IMAGENET_30):
        return None
    return next((network.benchmark for network in report.networks if network.benchmark), None)


def course(report: Report) -> Reference | None:
    """The course's accuracy, as it was measured here."""
    measured = benchmark(report)
    return Reference(measured.course_accuracy, measured.validation_images) if measured else None
