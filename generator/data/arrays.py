"""Data sets whose images lie in arrays, many in a file, with numbers as labels: what IDX and CIFAR's files share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from generator.base.errors import InputError, reason
from generator.config.schema import DataConfig
from generator.data.dataset import TRAIN, DataSet, Item, parts_of
from generator.data.naming import numbered
from generator.data.parts import MAYBE_SEEN, OWN_SPLIT, as_they_came, came_as, split_here
from generator.records.images import Counts, Pixels
from generator.records.report import DataWords

MOST_SIDE = 128  # pixels; larger images are not kept as squares beside their file, which holds as much
CHUNK = 2**20


class Rows:
    """The images of one file, read when the first of them is asked for."""

    def __init__(self, file: Path, read: Callable[[], NDArray[np.uint8]]) -> None:
        """
        Args:
            read: gives the images, (N, H, W) grey or (N, H, W, 3) in colour.
        """
        self.file, self.read = file, read

    def __getitem__(self, at: int) -> Pixels:
        """One image, (H, W, 3)."""
        image = self._images[at]
        return np.ascontiguousarray(image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2))

    @cached_property
    def digest(self) -> str:
        """sha256 of the file, in hex."""
        state = hashlib.sha256()
        try:
            with self.file.open("rb") as opened:
                while chunk := opened.read(CHUNK):
                    state.update(chunk)
        except OSError as error:
            raise unreadable(self.file, error) from None
        return state.hexdigest()

    @cached_property
    def _images(self) -> NDArray[np.uint8]:
        return self.read()


@dataclass(frozen=True)
class Stored:
    """One file of images, with the label of each."""

    images: Rows
    labels: Counts  # (N,)
    size: tuple[int, int]  # (H, W)


def read(
    root: Path,
    given: Mapping[str, Sequence[Stored]],
    called: Mapping[str, str],
    names: Sequence[str],
    named_in: object,
    said: DataConfig,
    kind: str,
) -> DataSet:
    """The data set in some files of images.

    Args:
        given: by part, its files in their order; an image is called by its place among those of its part.
        called: what the parts' files are called.
        names: of the labels from 0 on, () where nothing names them; `named_in` does.
        said: which classes are asked for.
        kind: what it is read from, as a sentence.
    Raises:
        InputError: for labels without a name, and classes that are not there or empty.
    """
    numbers = {number for files in given.values() for file in files for number in np.unique(file.labels).tolist()}
    classes, target_of = numbered(numbers, names, said.classes, root, named_in)
    items = {part: _items(files, target_of) for part, files in given.items()}
    notes: tuple[str, ...] = ()
    if set(given) == {TRAIN}:
        parts = split_here(classes, items[TRAIN], lambda item: item.name, lambda key: f"{root}, class {key}")
        split, notes = OWN_SPLIT, (MAYBE_SEEN,)
    else:
        parts, notes = as_they_came(
            classes, items, lambda part, key: f"{root}: expected {part} images of each class, found none of {key}"
        )
        split = came_as(called)
    every = sum(len(file.labels) for files in given.values() for file in files)
    if left := every - sum(map(len, items.values())):
        notes = (*notes, f"{left:,} of the {every:,} images are of other classes and are left out.")
    sizes = sorted({file.size for files in given.values() for file in files}, key=lambda size: size[0] * size[1])
    alike = len(sizes) == 1 and sizes[0][0] == sizes[0][1] <= MOST_SIDE
    words = DataWords(root.resolve().name, f"{kind} {split}", notes=notes, sizes=(sizes[0], sizes[-1]))
    return DataSet(root, words.source, classes, parts_of(parts), words, side=sizes[0][0] if alike else 0)


def unreadable(file: Path, error: OSError) -> InputError:
    """What is said of a file that the system refuses to read."""
    return InputError(f"{file}: expected a file of images that can be read, got {reason(error)}")


def _items(files: Sequence[Stored], target_of: Mapping[int, int]) -> list[Item]:
    digits = len(str(sum(len(file.labels) for file in files) - 1))
    items: list[Item] = []
    before = 0
    for file in files:
        items += [
            Item(f"{before + at:0{digits}}", file.images.file, target_of[label], held=file.images, at=at)
            for at, label in enumerate(file.labels.tolist())
            if label in target_of
        ]
        before += len(file.labels)
    return items
