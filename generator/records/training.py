"""How a network was trained, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from generator.records.ranges import Count, Loss, Measured, Name, Number, Share, Side


@dataclass(frozen=True)
class Epoch:
    """One epoch of one training run; accuracies in [0, 1], losses in nats, numbered from 1."""

    epoch: Number
    train_loss: Loss
    train_accuracy: Share
    validation_loss: Loss | None
    validation_accuracy: Share | None
    learning_rate: Measured
    seconds: Measured
    image_size: Side


@dataclass(frozen=True)
class Run:
    """The record of one training run, as history.json keeps it."""

    name: Name  # "one batch", "without augmentation", "augmented"
    epochs: tuple[Epoch, ...]
    kept: Count  # number of the epoch whose weights were kept
    settings: Mapping[str, Any]  # hyperparameters, by name
    environment: Mapping[str, str]  # hardware, versions, git revision, data digest
    complete: bool = True

    @property
    def kept_epoch(self) -> Epoch:
        """The epoch whose weights were kept; the last where the record does not hold it."""
        return next((epoch for epoch in self.epochs if epoch.epoch == self.kept), self.epochs[-1])


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
