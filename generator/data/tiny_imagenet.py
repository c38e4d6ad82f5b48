"""Tiny ImageNet on disk, in its official layout: which images and boxes each part has. No image is opened here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from generator.base.errors import InputError
from generator.data.classes import PRESET, Classes, resolve_classes
from generator.data.dataset import PARTS, TEST, VALIDATION, Box, DataSet, Item, parts_of
from generator.data.folder import image_names
from generator.data.parts import split_names
from generator.records.report import DataWords

NAME = "Tiny ImageNet"
SIDE = 64  # every image of Tiny ImageNet is 64 x 64
LISTS = ("val/val_annotations.txt", "wnids.txt", "words.txt")
LAYOUT = ("train", "val/images", *LISTS)
WORDS = DataWords(
    source=NAME,
    split="Of each class's training images a tenth, chosen by a hash of the file name, is kept for validation; the "
    "official validation images are the test images.",
    licence="Its images are ImageNet's, whose terms allow non-commercial research and education.",
    weights="The weights were trained on images of ImageNet, whose terms allow non-commercial research and education.",
    sizes=((SIDE, SIDE), (SIDE, SIDE)),
)

_BOX = r"\t(\d+)\t(\d+)\t(\d+)\t(\d+)"
TRAIN_LINE = re.compile(r"([^\t]+)()" + _BOX)  # of train/<wnid>/<wnid>_boxes.txt
VAL_LINE = re.compile(r"([^\t]+)\t(n\d{8})" + _BOX)  # of val/val_annotations.txt


def read(root: Path, wanted: str | Sequence[str] | None) -> DataSet:
    """The data set in the official layout.

    Args:
        wanted: the classes, see `resolve_classes`.
    Raises:
        InputError: for a missing folder or file, an unreadable line of annotations, or a class without images.
    """
    classes = resolve_classes(wanted, root)
    listed = {part: list_images(root, classes, part) for part in PARTS}
    return DataSet(root, name(wanted), classes, parts_of(listed), WORDS, side=SIDE)


def name(wanted: str | Sequence[str] | None) -> str:
    """What some of its classes are called together."""
    return PRESET if wanted in (None, PRESET) else NAME


def list_images(root: Path, classes: Classes, part: str) -> list[Item]:
    """One part of a data set in the official layout, ordered by class and then by file name.

    Of each class's train images the tenth with the smallest sha256 of the file name is the validation split, the rest
    the train split (50 and 450 of 500); the test split is the official val images that are on disk.

    Raises:
        InputError: for a missing folder or file, an unreadable line of annotations, or a class without images.
    """
    if part == TEST:
        return _test_images(root, classes)
    return [image for target in range(len(classes)) for image in _train_images(root, classes, target, part)]


def lacks(root: Path) -> list[str]:
    """What of the official layout is not in a folder."""
    return [part for part in LAYOUT if not (root / part).exists()]


def _train_images(root: Path, classes: Classes, target: int, part: str) -> list[Item]:
    wnid = classes.keys[target]
    folder = root / "train" / wnid / "images"
    train, validation = split_names(image_names(folder))
    chosen = validation if part == VALIDATION else train
    if not chosen:
        raise InputError(f"{folder}: expected at least 2 images, one of them for validation, found 1")
    file = folder.parent / f"{wnid}_boxes.txt"
    boxes = {name: box for name, _, box in _annotations(file, TRAIN_LINE)}
    if unboxed := [name for name in chosen if name not in boxes]:
        raise InputError(f"{file}: expected a line for each image, found none for {unboxed[0]}")
    return [Item(name, folder / name, target, boxes[name]) for name in chosen]


def _test_images(root: Path, classes: Classes) -> list[Item]:
    folder = root / "val" / "images"
    present = set(image_names(folder))
    targets = {wnid: target for target, wnid in enumerate(classes.keys)}
    images = [
        Item(name, folder / name, targets[wnid], box)
        for name, wnid, box in _annotations(root / "val" / "val_annotations.txt", VAL_LINE)
        if wnid in targets and name in present
    ]
    if empty := sorted(set(range(len(classes))) - {image.target for image in images}):
        raise InputError(f"{folder}: expected test images of each class, found none of {classes.keys[empty[0]]}")
    return sorted(images, key=lambda image: (image.target, image.name))


def _annotations(file: Path, pattern: re.Pattern[str]) -> list[tuple[str, str, Box]]:
    """(file name, wnid or "", box) of each line."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise InputError(f"{file}: expected the data set's annotations, the file is missing") from None
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{file}: expected the data set's annotations as text, the file cannot be read") from None
    annotations = []
    for number, line in enumerate(lines, start=1):
        if found := pattern.fullmatch(line):
            name, wnid, x0, y0, x1, y1 = found.groups()
            annotations.append((name, wnid, (int(x0), int(y0), int(x1), int(y1))))
        elif line.strip():
            form = "a file name, a wnid and a box" if pattern is VAL_LINE else "a file name and a box"
            raise InputError(f"{file}, line {number}: expected {form} x0 y0 x1 y1, with tabs, got {line[:60]!r}")
    return annotations
