"""CIFAR-10 and CIFAR-100 as their authors give them, pickled or binary: https://www.cs.toronto.edu/~kriz/cifar.html."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from generator.base.clutter import entries
from generator.base.errors import InputError
from generator.config.schema import DataConfig
from generator.data import arrays, pickles
from generator.data.arrays import Rows, Stored, unreadable
from generator.data.dataset import PARTS, TEST, TRAIN, DataSet
from generator.data.naming import names_beside, names_in, require_name, some
from generator.records.images import Counts

LAYOUT = "CIFAR's files"
SIDE = 32
PIXELS = 3 * SIDE * SIDE  # bytes of an image: red, then green, then blue, each row by row
BATCHES = 5  # of CIFAR-10's training images
FILE = re.compile(r"(?:data_batch_(\d)|(test_batch|train|test))(\.bin)?")
LABELS = ("fine", "coarse")  # of CIFAR-100, the first where nobody says which
# What the classes' names are called, by the label: in the pickle of names, and the file of names beside binary ones.
META = {"": ("batches.meta", "label_names"), **{each: ("meta", f"{each}_label_names") for each in LABELS}}
NAMES = {"": "batches.meta.txt", **{each: f"{each}_label_names.txt" for each in LABELS}}


def files(root: Path) -> dict[str, list[Path]]:
    """Part -> its files in their order, of CIFAR's files in a folder; {} where it holds none.

    Raises:
        InputError: where some of five are missing, or both kinds or both forms are there.
    """
    told = {entry: FILE.fullmatch(entry.name) for entry in entries(root)}
    found = {file: name for file, name in told.items() if name and file.is_file()}
    kinds = {(bool(name[1] or name[2] == "test_batch"), bool(name[3])) for name in found.values()}
    if not any(ten for ten, _ in kinds) and not all((root / name).is_file() for name in _hundred(root)):
        return {}  # files that are called train and test may be anything
    if len(kinds) > 1:
        names = some([file.name for file in found])
        raise InputError(
            f"{root}: expected the files of CIFAR-10 or CIFAR-100 in one form, found {names}; take one away"
        )
    batches = sorted(file for file, name in found.items() if name[1])
    numbers = {int(name[1]) for name in found.values() if name[1]}
    if batches and numbers != set(range(1, BATCHES + 1)):
        lacks = sorted(set(range(1, BATCHES + 1)) - numbers)
        wrong = f"it lacks {lacks[0]}" if lacks else f"found {max(numbers)} as well"
        raise InputError(f"{root}: expected CIFAR-10's {BATCHES} files data_batch_1 to data_batch_{BATCHES}, {wrong}")
    parts = {TRAIN: batches or [file for file, name in found.items() if name[2] == "train"]}
    parts[TEST] = [file for file, name in found.items() if name[2] in ("test", "test_batch")]
    return {part: parts[part] for part in PARTS if parts.get(part)}


def _hundred(root: Path) -> tuple[str, str]:
    """What makes files that are called train and test CIFAR-100's: they, and the names of its classes."""
    binary = (root / "train.bin").exists() or (root / "test.bin").exists()
    return ("fine_label_names.txt", "test.bin") if binary else ("meta", "test")


def read(root: Path, found: Mapping[str, Sequence[Path]], said: DataConfig) -> DataSet:
    """The data set in CIFAR's files.

    Args:
        found: of `files`.
        said: which classes are asked for, and of CIFAR-100 which label: "fine" or "coarse".
    Raises:
        InputError: for files that are damaged or hold anything but such images and labels.
    """
    every = [file for part in found.values() for file in part]
    binary = every[0].suffix == ".bin"
    ten = any("batch" in file.name for file in every)
    label = "" if ten else said.label or LABELS[0]
    if said.label and (ten or said.label not in LABELS):
        expected = "nothing, for CIFAR-10 has one label an image" if ten else '"fine" or "coarse"'
        raise InputError(f'[data] label: expected {expected}, got "{said.label}"')
    names, named_in = _names(root, label, binary)
    stored = _binary if binary else _pickled
    given = {part: [stored(file, label) for file in part_files] for part, part_files in found.items()}
    called = {part: some([file.name for file in part_files]) for part, part_files in found.items()}
    kind = f"Its images were read from the {'binary' if binary else 'Python'} files of CIFAR-{10 if ten else 100}."
    return arrays.read(root, given, called, names, named_in, said, kind)


def _names(root: Path, label: str, binary: bool) -> tuple[tuple[str, ...], Path]:
    """The names of the classes, and the file that has them."""
    if binary:
        file = root / NAMES[label]
        return (names_in(file), file) if file.is_file() else names_beside(root)
    name, key = META[label]
    file = root / name
    if not file.is_file():
        return names_beside(root)
    told = pickles.load(file).get(key)
    if not isinstance(told, list) or not all(isinstance(each, (bytes, str)) for each in told):
        raise InputError(f"{file}: expected a list of names called {key}, found none")
    names = tuple(each.decode("utf-8", "replace") if isinstance(each, bytes) else each for each in told)
    for each in names:
        require_name(each, str(file))
    return names, file


def _pickled(file: Path, label: str) -> Stored:
    told = pickles.load(file)
    images, labels = told.get("data"), told.get(f"{label}_labels" if label else "labels")
    if not isinstance(images, np.ndarray) or images.ndim != 2 or images.shape[1] != PIXELS or not len(images):
        raise InputError(f"{file}: expected images of {PIXELS:,} bytes called data, found others or none")
    fits = isinstance(labels, list) and all(type(each) is int and 0 <= each < 2**31 for each in labels)
    if not isinstance(labels, list) or not fits or len(labels) != len(images):
        name = f"{label}_labels" if label else "labels"
        raise InputError(
            f"{file}: expected a whole number for each of the {len(images):,} images in {name}, found others"
        )
    return Stored(Rows(file, partial(_pickled_images, file)), np.array(labels, np.int64), (SIDE, SIDE))


def _pickled_images(file: Path) -> NDArray[np.uint8]:
    images: NDArray[np.uint8] = pickles.load(file)["data"]
    return _as_images(images)


def _binary(file: Path, label: str) -> Stored:
    rows = _rows(file, label)
    labels: Counts = rows[:, LABELS.index(label) ^ 1 if label else 0].astype(np.int64)  # the coarse one comes first
    return Stored(Rows(file, partial(_binary_images, file, label)), labels, (SIDE, SIDE))


def _binary_images(file: Path, label: str) -> NDArray[np.uint8]:
    return _as_images(_rows(file, label)[:, 2 if label else 1 :])


def _rows(file: Path, label: str) -> NDArray[np.uint8]:
    """A row an image: its label or labels, then its pixels; they lie in the file."""
    width = PIXELS + (2 if label else 1)
    try:
        size = file.stat().st_size
        if not size or size % width:
            raise InputError(f"{file}: expected {width:,} bytes an image, got {size:,} in all; get it anew")
        return np.memmap(file, np.uint8, "r", 0, (size // width, width))
    except OSError as error:
        raise unreadable(file, error) from None


def _as_images(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, 3072) -> (N, 32, 32, 3)."""
    images: NDArray[np.uint8] = rows.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return images
