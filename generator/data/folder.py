"""A folder with a folder of images for each class, and how its images are split by their names' hashes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from generator.base.clutter import is_clutter
from generator.base.errors import InputError
from generator.data.classes import Classes
from generator.data.dataset import ImageFile, Split

SUFFIXES = (".jpeg", ".jpg", ".png", ".webp", ".bmp")


def list_folder(root: Path, split: Split, side: int) -> tuple[Classes, list[ImageFile]]:
    """One split of a folder with a folder of images for each class (torchvision's ImageFolder layout).

    By the hash of the file name a tenth of each class is the validation split, the next tenth the test split, the rest
    the train split. Boxes are the whole image of `side` x `side` pixels.

    Raises:
        InputError: for fewer than two class folders, or one without an image for this split.
    """
    names = sorted(entry.name for entry in _scan(root) if entry.is_dir() and not entry.name.startswith("."))
    if len(names) < 2:
        raise InputError(f"{root}: expected a folder of images for each of at least 2 classes, found {len(names)}")
    images = []
    for target, name in enumerate(names):
        ranked = _ranked(image_names(root / name))
        tenth = _tenth(len(ranked))
        parts = {"validation": ranked[:tenth], "test": ranked[tenth : 2 * tenth], "train": ranked[2 * tenth :]}
        if not parts[split]:
            raise InputError(f"{root / name}: expected at least 3 images, one for each split, found {len(ranked)}")
        box = (0, 0, side - 1, side - 1)
        images += [ImageFile(f"{name}/{file}", root / name / file, target, box) for file in sorted(parts[split])]
    return Classes(tuple(names), tuple(names)), images


def split_names(names: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(train, validation) of one class's file names, each sorted: the tenth with the smallest sha256 is validation.

    A class of two to nineteen images gives one to validation, a class of one none.
    """
    ranked = _ranked(names)
    tenth = _tenth(len(ranked))
    return tuple(sorted(ranked[tenth:])), tuple(sorted(ranked[:tenth]))


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        raise InputError(f"{folder}: expected a folder of images, it is missing") from None
    except OSError as error:
        raise InputError(f"{folder}: expected a folder of images, it cannot be read ({error.strerror})") from None


def image_names(folder: Path) -> list[str]:
    """The names of the image files in a folder."""
    names = [
        entry.name
        for entry in _scan(folder)
        if entry.name.lower().endswith(SUFFIXES) and not is_clutter(entry.name) and entry.is_file()
    ]
    if not names:
        raise InputError(f"{folder}: expected images, found none")
    return names


def _ranked(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest())


def _tenth(count: int) -> int:
    return 0 if count < 2 else max(1, count // 10)
