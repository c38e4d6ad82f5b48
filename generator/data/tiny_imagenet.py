"""Tiny ImageNet on disk: where it is, which files and boxes each split has. No image is opened, nothing needs torch.

In goes a folder in the official layout (or any folder of class folders), out come lists of `ImageFile`. Nothing is ever
written into that folder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from generator.base.errors import InputError
from generator.data.classes import Classes
from generator.data.dataset import Box, ImageFile, Split
from generator.data.folder import image_names, split_names

SIDE = 64  # every image of Tiny ImageNet is 64 x 64
LAYOUT = ("train", "val/images", "val/val_annotations.txt", "wnids.txt", "words.txt")
VARIABLE = "TINY_IMAGENET"

_BOX = r"\t(\d+)\t(\d+)\t(\d+)\t(\d+)"
TRAIN_LINE = re.compile(r"([^\t]+)()" + _BOX)  # of train/<wnid>/<wnid>_boxes.txt
VAL_LINE = re.compile(r"([^\t]+)\t(n\d{8})" + _BOX)  # of val/val_annotations.txt


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
    train, validation = split_names(image_names(folder))
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
    present = set(image_names(folder))
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
