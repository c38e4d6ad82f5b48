"""How a network was trained, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from generator.records.ranges import Count, Loss, Measured, Name, Number, Part, Share, Side


@dataclass(frozen=True)
class Epoch:
    """One epoch of one training run; accuracies in [0, 1], losses in nats, numbered from 1; None: not recorded."""

    epoch: Number
    train_loss: Loss | None
    train_accuracy: Share | None
    validation_loss: Loss | None
    validation_accuracy: Share | None
    learning_rate: Measured | None
    seconds: Measured | None
    image_size: Side | None


@dataclass(frozen=True)
class Log:
    """The log of another program that a run was read from."""

    path: Name  # as report.toml's folder sees it
    format: Name  # "Lightning's metrics.csv"
    columns: Mapping[str, str]  # what was read -> its name in the log: "training loss" -> "train_loss_epoch"
    notes: tuple[str, ...] = ()  # what readers should know of how it was read, a sentence each
    part: Part = "validation"  # the images that its validation numbers are of, as it calls them: or "test"


@dataclass(frozen=True)
class Run:
    """The record of one training run, as history.json keeps it, or a log of another program's."""

    name: Name  # "one batch", "without augmentation", "augmented"; a log's path
    epochs: tuple[Epoch, ...]
    kept: Count | None  # number of the epoch whose weights were kept; None: that is not known
    settings: Mapping[str, Any]  # hyperparameters, by name
    environment: Mapping[str, str]  # hardware, versions, git revision, data digest
    complete: bool = True
    log: Log | None = None  # None: the program's own run

    @property
    def written(self) -> Mapping[str, Any]:
        """Its fields by their names; that of a log only where it was read from one."""
        names = [field.name for field in fields(self) if field.name != "log" or self.log]
        return {name: getattr(self, name) for name in names}

    @property
    def kept_epoch(self) -> Epoch | None:
        """The epoch whose weights were kept; the last where the record does not hold it, None where it is not known."""
        if self.kept is None:
            return None
        return next((epoch for epoch in self.epochs if epoch.epoch == self.kept), self.epochs[-1])

    @property
    def told_epoch(self) -> Epoch:
        """The epoch to speak of: the one whose weights were kept, else the last."""
        return self.kept_epoch or self.epochs[-1]

    @property
    def best_epoch(self) -> Epoch | None:
        """The first epoch of the highest validation accuracy; None where none was recorded."""
        recorded = [epoch for epoch in self.epochs if epoch.validation_accuracy is not None]
        return max(recorded, key=lambda epoch: epoch.validation_accuracy or 0.0, default=None)

    @property
    def chain(self) -> tuple[Mapping[str, Any], ...]:
        """Its settings, after those of the training whose weights it began with, and so on back to the first."""
        found = [self.settings]
        while isinstance(earlier := found[0].get("started_settings"), Mapping):
            found.insert(0, earlier)
        return tuple(found)

    @property
    def seconds(self) -> float | None:
        """Time of all epochs together; None where that of one was not recorded."""
        known = [epoch.seconds for epoch in self.epochs if epoch.seconds is not None]
        return sum(known) if len(known) == len(self.epochs) else None


FLAGS = {"learning_rate": "--lr"}  # of the command that trains; the others are named like their settings


def command(name: str, settings: Mapping[str, Any]) -> str:
    """The command that makes a run of such settings; DIR stands for the folders of other networks.

    Args:
        name: of the network in report.toml.
        settings: of a run of the program's own.
    """
    said = f"python -m generator train {name} --preset {settings.get('preset', 'default')}"
    for key, value in settings.get("changed", {}).items():
        said += f" {FLAGS.get(key, f'--{key}')} {value}"
    return (
        said + " --from DIR" * bool(settings.get("started_from")) + " --teacher DIR" * len(settings.get("teachers", ()))
    )


@dataclass(frozen=True)
class Benchmark:
    """What benchmarks/training.py measured in one run on one machine; rates are images a second."""

    course_seconds: Measured  # the course's own loop, 50 epochs
    course_rate: Measured
    course_accuracy: Share  # on the validation images, after `course_epochs`
    course_epochs: Number  # that were run; the seconds are scaled up to 50
    quick_seconds: Measured  # the preset "quick", from the image files on
    quick_rate: Measured
    quick_accuracy: Share
    # Until the preset "quick" was better than the course's 46 %; nan: never.
    seconds_to_goal: Measured = field(default=float("nan"), kw_only=True)
    training_rates: Mapping[str, Measured]  # by model, at the size of its input
    evaluation_rates: Mapping[str, Measured]
    validation_images: Count
    environment: Mapping[str, str]
