"""A training as the page speaks of it."""

from __future__ import annotations

from dataclasses import dataclass

from generator.data.classes import TINY_IMAGENET_30
from generator.records.report import Report
from generator.records.training import Benchmark, Epoch, Run


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

    @property
    def kept(self) -> Epoch:
        """The epoch whose weights were kept."""
        return self.record.kept_epoch

    @property
    def last(self) -> Epoch:
        """The last epoch."""
        return self.record.epochs[-1]

    @property
    def seconds(self) -> float:
        """Time of all epochs together."""
        return sum(epoch.seconds for epoch in self.record.epochs)

    @property
    def hardware(self) -> str:
        """What it ran on, as far as its record tells."""
        told = self.record.environment
        device = told.get("device") or "cpu"
        if device != "cpu":
            return device
        cores = f"{told['cores']} cores" if "cores" in told else ""
        return " of an ".join(filter(None, (cores, told.get("processor", ""))))


def benchmark(report: Report) -> Benchmark | None:
    """What benchmarks/training.py measured beside a network of this report, if the report is about the same classes."""
    if set(report.data.class_names) != set(TINY_IMAGENET_30):
        return None
    return next((network.benchmark for network in report.networks if network.benchmark), None)


def course(report: Report) -> Reference | None:
    """The course's accuracy, as it was measured here."""
    measured = benchmark(report)
    return Reference(measured.course_accuracy, measured.validation_images) if measured else None
