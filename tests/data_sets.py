"""Data sets as the program opens them: the drawn shapes in Tiny ImageNet's layout, and folders of coloured images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from generator.config.schema import DataConfig
from generator.data import decoded, layouts
from generator.data.dataset import DataSet
from tests.conftest import SHAPES


def shapes(root: Path, cache: Path, classes: Sequence[str] = tuple(SHAPES)) -> DataSet:
    """A `small_data_set` looked through."""
    return decoded.whole(layouts.opened(root, DataConfig(classes=tuple(classes))), cache)


def opened(root: Path, cache: Path) -> DataSet:
    """A folder in any layout, with all its classes, looked through."""
    return decoded.whole(layouts.opened(root, DataConfig()), cache)


def kitchen(root: Path, parts: Mapping[str, int], classes: Sequence[str] = ("cups", "spoons")) -> Path:
    """A folder of class folders below each part ("": none), with so many images of each class, of three sizes.

    A class is told by the channel in which the middle of its images is bright.
    """
    rng = np.random.default_rng(0)
    for part, count in parts.items():
        for target, name in enumerate(classes):
            folder = root / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                height, width = ((40, 60), (52, 48), (72, 72))[number % 3]
                pixels = rng.integers(60, 120, (height, width, 3), dtype=np.uint8)
                pixels[height // 4 : -height // 4, width // 4 : -width // 4, target % 3] = 240
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return root
