"""What a data set is made of: its splits, its image files and their boxes, and a fingerprint of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from generator.base.errors import InputError

Split = Literal["train", "validation", "test"]
Box = tuple[int, int, int, int]

SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class ImageFile:
    """One image of the data set; `box` is (x0, y0, x1, y1) in its pixels, inclusive."""

    name: str
    path: Path
    target: int  # index among the classes
    box: Box


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
