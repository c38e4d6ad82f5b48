"""Tiny ImageNet on disk: where it is, which files and boxes each split has. No image is opened, nothing needs torch.

In goes a folder in the official layout (or any folder of class folders), out come lists of `ImageFile`. Nothing is ever
written into that folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from generator.classes import Classes
from generator.clutter import is_clutter
from generator.errors import InputError

Split = Literal["train", "validation", "test"]
Box = tuple[int, int, int, int]

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
SIDE = 64  # every image of Tiny ImageNet is 64 x 64
SUFFIXES = (".jpeg", ".jpg", ".png", ".webp", ".bmp")
LAYOUT = ("train", "val/images", "val/val_annotations.txt", "wnids.txt", "words.txt")
VARIABLE = "TINY_IMAGENET"

_BOX = r"\t(\d+)\t(\d+)\t(\d+)\t(\d+)"
TRAIN_LINE = re.compile(r"([^\t]+)()" + _BOX)  # of train/<wnid>/<wnid>_boxes.txt
VAL_LINE = re.compile(r"([^\t]+)\t(n\d{8})" + _BOX)  # of val/val_annotations.txt


@dataclass(frozen=True)
class ImageFile:
    """One image of the data set; `box` is (x0, y0, x1, y1) in its pixels, inclusive."""

    name: str
    path: Path
    target: int  # index among the classes
    box: Box


def find(argument: Path | None, configured: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The data set's folder: `--data`, else the variable TINY_IMAGENET, else `[data] root`; None where none is set.

    Raises:
        InputError: if the one that is set is not a Tiny ImageNet folder.
    """
    variable = environ.get(VARIABLE, "")
    wanted = (
        ("--data", argument),
        (f"the variable {VARIABLE}", Path(variable) if variable else None),
        ("[data] root", configured),
    )
    for source, root in wanted:
        if root is not None:
            _refuse_other_layouts(source, root)
            return root
    return None


def list_images(root: Path, classes: Classes, split: Split) -> list[ImageFile]:
    """One split of a data set in the official layout, ordered by class and then by file name.

    Of each class's train images the tenth with the smallest sha256 of the file name is the validation split, the rest
    the train split (50 and 450 of 500); the test split is the official val images that are on disk.

    Raises:
        InputError: for a missing folder or file, an unreadable line of annotations, or a class without images.
    """
    if split == "test":
        return _test_images(root, classes)
    return [image for target in range(len(classes)) for image in _train_images(root, classes, target, split)]


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
        ranked = _ranked(_image_names(root / name))
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


def image_path(root: Path, classes: Classes, file_name: str) -> Path:
    """Where the image lies that `ImageFile.name` names.

    Raises:
        InputError: if the data set does not hold it.
    """
    wnid = file_name.rpartition("_")[0]
    if re.fullmatch(r"val_\d+\.\w+", file_name):
        path = root / "val" / "images" / file_name
    elif wnid in classes.wnids and "/" not in wnid:
        path = root / "train" / wnid / "images" / file_name
    else:
        path = root / file_name
    if ".." in path.relative_to(root).parts or not path.is_file():
        raise InputError(f"{root}: expected the image {file_name}, it is not in this data set")
    return path


def fingerprint(images: Iterable[ImageFile], *parts: object) -> str:
    """sha256 over the names, sizes, classes and boxes of the images, and over `parts`, in hex.

    Cheap: no image is read. Modification times stay out of it, since a copied data set is the same data set; so an
    image that is replaced by another of the same size in bytes goes unnoticed.

    Raises:
        InputError: if an image is gone.
    """
    try:
        files = [(image.name, image.path.stat().st_size, image.target, image.box) for image in images]
    except OSError as error:
        raise InputError(f"{error.filename}: expected an image, it cannot be read ({error.strerror})") from None
    return hashlib.sha256(json.dumps([files, parts]).encode()).hexdigest()


def _refuse_other_layouts(source: str, root: Path) -> None:
    if not root.is_dir():
        raise InputError(f"{source}: expected a Tiny ImageNet folder, {root} is not a folder; check the path")
    if missing := [part for part in LAYOUT if not (root / part).exists()]:
        inner = root / "tiny-imagenet-200"
        hint = f"did you mean {inner}?" if inner.is_dir() else "give the unpacked folder tiny-imagenet-200"
        raise InputError(f"{source}: expected a Tiny ImageNet folder, {root} lacks {', '.join(missing)}; {hint}")


def _train_images(root: Path, classes: Classes, target: int, split: Split) -> list[ImageFile]:
    wnid = classes.wnids[target]
    folder = root / "train" / wnid / "images"
    train, validation = split_names(_image_names(folder))
    chosen = validation if split == "validation" else train
    if not chosen:
        raise InputError(f"{folder}: expected at least 2 images, one of them for validation, found 1")
    file = folder.parent / f"{wnid}_boxes.txt"
    boxes = {name: box for name, _, box in _annotations(file, TRAIN_LINE)}
    if unboxed := [name for name in chosen if name not in boxes]:
        raise InputError(f"{file}: expected a line for each image, found none for {unboxed[0]}")
    return [ImageFile(name, folder / name, target, boxes[name]) for name in chosen]


def _test_images(root: Path, classes: Classes) -> list[ImageFile]:
    folder = root / "val" / "images"
    present = set(_image_names(folder))
    targets = {wnid: target for target, wnid in enumerate(classes.wnids)}
    images = [
        ImageFile(name, folder / name, targets[wnid], box)
        for name, wnid, box in _annotations(root / "val" / "val_annotations.txt", VAL_LINE)
        if wnid in targets and name in present
    ]
    if empty := sorted(set(range(len(classes))) - {image.target for image in images}):
        raise InputError(f"{folder}: expected test images of each class, found none of {classes.wnids[empty[0]]}")
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


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        raise InputError(f"{folder}: expected a folder of images, it is missing") from None
    except OSError as error:
        raise InputError(f"{folder}: expected a folder of images, it cannot be read ({error.strerror})") from None


def _image_names(folder: Path) -> list[str]:
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
