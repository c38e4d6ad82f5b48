"""The whole report, and the data it is about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from generator.records.images import Photo, Pixels
from generator.records.live import Live
from generator.records.network import Network

MOST_CLASSES = 120  # whose images the data page has room for
WNID = re.compile(r"n\d{8}")  # WordNet's number of a noun


@dataclass(frozen=True)
class DataWords:
    """What a data set says about itself; each a sentence or more, "" where nothing is known."""

    source: str = ""  # what it is, as a noun: "Tiny ImageNet"
    split: str = ""  # how its parts came about
    licence: str = ""
    notes: tuple[str, ...] = ()  # what readers should know of its parts
    weights: str = ""  # on what terms weights are that were trained on it; "": nothing beside its own is known
    sizes: tuple[tuple[int, int], tuple[int, int]] | None = None  # (H, W): the least and the most of its images

    @property
    def alike(self) -> tuple[int, int] | None:
        """(H, W) of all images; None where they differ or it is not known."""
        return self.sizes[0] if self.sizes and self.sizes[0] == self.sizes[1] else None

    @property
    def told(self) -> tuple[str, ...]:
        """The words alone."""
        return (self.source, self.split, self.licence, *self.notes)

    @property
    def of_weights(self) -> str:
        """The terms of weights that were trained on it, as sentences."""
        own = self.licence or "Their licence was not recorded."
        return self.weights or f"The weights were trained on these images. {own}"

    @property
    def size(self) -> str:
        """The images' sizes in pixels, as files tell them, across and down: "from 90 × 60 to 640 × 480"; or ""."""
        if self.sizes is None:
            return ""
        least, most = (f"{width} × {height}" for height, width in self.sizes)
        return least if least == most else f"from {least} to {most}"


@dataclass(frozen=True)
class DataSummary:
    """The data set as the data page shows it."""

    name: str
    class_names: tuple[str, ...]
    keys: tuple[str, ...]  # of the classes: WordNet's numbers, or the names of their folders
    counts: Mapping[str, int]  # images a part
    per_class: Mapping[str, int]  # images a class, a part; rounded down where classes differ
    examples: Mapping[
        int, tuple[Pixels, ...]
    ]  # class index -> a few images, of the first MOST_CLASSES; empty without data
    augmented: tuple[tuple[str, Pixels], ...]  # (name of the step, the image after it), first the original
    present: bool  # False: built without the data set, its numbers come from the models' records
    digest: str = ""
    skipped: tuple[str, ...] = ()  # broken files
    augmented_for: str = ""  # the title of the network that was trained so
    words: DataWords = DataWords()
    roles: Mapping[str, str] = field(default_factory=dict)  # part -> "fitted on", "chosen on", "judged on"
    boxes: bool = True  # whether the images that judge come with boxes around what they show
    own: Mapping[str, str] = field(default_factory=dict)  # see `records.displayed`

    @property
    def wnids(self) -> tuple[str, ...]:
        """The keys where they are WordNet's numbers, else none."""
        return self.keys if all(WNID.fullmatch(key) for key in self.keys) else ()


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
    broken: Mapping[str, str] = field(default_factory=dict)  # page of the story -> what went wrong when it was made
