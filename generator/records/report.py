"""The whole report, and the data it is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from generator.records.images import Photo, Pixels
from generator.records.live import Live
from generator.records.network import Network


@dataclass(frozen=True)
class DataSummary:
    """The data set as the data page shows it."""

    name: str
    class_names: tuple[str, ...]
    wnids: tuple[str, ...]
    counts: Mapping[str, int]  # images a split
    per_class: Mapping[str, int]  # images a class, a split
    examples: Mapping[int, tuple[Pixels, ...]]  # class index -> a few images; empty without the data set
    augmented: tuple[tuple[str, Pixels], ...]  # (name of the step, the image after it), first the original
    present: bool  # False: built without the data set, its numbers come from the models' records
    digest: str = ""
    skipped: tuple[str, ...] = ()  # broken files
    augmented_for: str = ""  # the title of the network that was trained so


@dataclass(frozen=True)
class Report:
    """All that the pages are made from."""

    networks: tuple[Network, ...]
    photos: tuple[Photo, ...]
    data: DataSummary
    environment: Mapping[str, str]
    notes: tuple[str, ...] = ()
    licences: Mapping[str, str] = field(default_factory=dict)  # name -> text, where it must travel with the photos
    live: Live | None = None  # None: no network of the report can run in a page
