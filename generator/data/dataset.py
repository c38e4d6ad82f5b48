"""What a data set is: its classes, its parts and their images, and what it says about itself. No image is read here.

The records that `layouts` makes of a folder, once a command; `decoded` reads the pixels.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol

from generator.base.errors import InputError
from generator.data.classes import Classes
from generator.records.images import Pixels
from generator.records.report import DataWords

Box = tuple[int, int, int, int]
Role = Literal["fitted on", "chosen on", "judged on"]

TRAIN, VALIDATION, TEST = "train", "validation", "test"
PARTS = (TRAIN, VALIDATION, TEST)  # in their order
ROLES: Mapping[str, Role] = {TRAIN: "fitted on", VALIDATION: "chosen on", TEST: "judged on"}
CHOSEN_AND_JUDGED = (
    "There is no part for the test alone: the weights may have been chosen on the images that judge them."
)


class Held(Protocol):
    """Images that are no files of their own: many in one file, or what somebody's code gives."""

    @property
    def digest(self) -> str:
        """Of what they hold; found without decoding all of them."""

    def __getitem__(self, at: int) -> Pixels:
        """One of them, (H, W, 3) uint8.

        Raises:
            InputError: if it cannot be read; that ends the work, for none of the others can be trusted either.
        """


@dataclass(frozen=True, slots=True)
class Item:
    """One image of a data set; `box` is (x0, y0, x1, y1) in its pixels, inclusive, around what it shows."""

    name: str  # as records and pages call it, the only one of its part
    path: Path  # the file that it is, or lies in
    target: int  # index among the classes
    box: Box | None = None
    held: Held | None = field(default=None, compare=False)  # None: it is a file of its own
    at: int = 0  # its place among those of `held`


@dataclass(frozen=True)
class Part:
    """Some of the images, ordered by class and then by name, and what they are for."""

    name: str
    role: Role
    items: tuple[Item, ...]
    digest: str = ""  # of what the images hold; "": they were not looked through yet

    def __len__(self) -> int:
        return len(self.items)

    @property
    def called(self) -> str:
        """What its images are called: "training images", "validation images"."""
        return f"{'training' if self.name == TRAIN else self.name} images"


@dataclass(frozen=True)
class DataSet:
    """A data set as the report uses it, opened once a command."""

    root: Path
    name: str
    classes: Classes
    parts: tuple[Part, ...]
    words: DataWords
    side: int = 0  # of every image, in pixels, where all are known to be alike; 0: they are of any size
    skipped: tuple[str, ...] = ()  # the images that cannot be read, by name; they are in no part
    aside: tuple[str, ...] = field(default=())  # what lies there and is no part of it, by name

    def part(self, name: str) -> Part | None:
        """The part of that name."""
        return next((part for part in self.parts if part.name == name), None)

    @property
    def fitted(self) -> Part | None:
        """The part that weights are fitted on."""
        return self._with_role("fitted on")

    @property
    def chosen(self) -> Part | None:
        """The part that weights are chosen on and nothing is judged on."""
        return self._with_role("chosen on")

    @property
    def judged(self) -> Part | None:
        """The part that networks are judged on."""
        return self._with_role("judged on")

    @property
    def choosing(self) -> Part | None:
        """The part that a training here chooses its weights on: `chosen`, else validation images that judge as well."""
        return self.chosen or self.part(VALIDATION)

    @property
    def boxes(self) -> bool:
        """Whether the images that judge come with boxes around what they show."""
        return self.judged is not None and all(item.box for item in self.judged.items)

    @property
    def digest(self) -> str:
        """Of what all images hold: what records call the data's."""
        return joint_digest(self.parts)

    @cached_property
    def fingerprint(self) -> str:
        """See `fingerprint`; of all parts, found without reading an image, once."""
        items = [item for part in self.parts for item in part.items]
        ends = [(part.name, part.role, len(part)) for part in self.parts]
        return fingerprint(items, self.name, self.classes.names, self.classes.keys, ends, self.words.told)

    def _with_role(self, role: Role) -> Part | None:
        return next((part for part in self.parts if part.role == role), None)


def parts_of(listed: Mapping[str, Sequence[Item]]) -> tuple[Part, ...]:
    """Items by the name of their part -> the parts with their roles, in their order.

    Where there are no test images, those of the validation are what judges.
    """
    judging = TEST if TEST in listed else VALIDATION
    return tuple(
        Part(name, "judged on" if name == judging else ROLES[name], tuple(listed[name]))
        for name in PARTS
        if name in listed
    )


def joint_digest(parts: Iterable[Part]) -> str:
    """One digest of several parts."""
    return hashlib.sha256(" ".join(part.digest for part in parts).encode()).hexdigest()


def fingerprint(items: Iterable[Item], *others: object) -> str:
    """sha256 over the names, sizes, classes and boxes of images, and over `others`, in hex.

    Cheap: no image is read. Modification times stay out of it, since a copied data set is the same data set; so an
    image that is replaced by another of the same size in bytes goes unnoticed. Of images that share a file it is over
    what that holds, whose size is always the same.

    Raises:
        InputError: if an image is gone.
    """
    state, start = hashlib.sha256(), "[["
    try:
        for item in items:
            size = item.held.digest if item.held else item.path.stat().st_size
            state.update((start + json.dumps([item.name, size, item.target, item.box])).encode())
            start = ", "
    except OSError as error:
        raise InputError(f"{error.filename}: expected an image, it cannot be read ({error.strerror})") from None
    state.update((("[[" if start == "[[" else "") + "], " + json.dumps(others) + "]").encode())
    return state.hexdigest()
