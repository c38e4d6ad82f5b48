"""The classes of a folder's images: what `predict` writes as CSV."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from generator import evaluate, terminal
from generator.clutter import is_clutter
from generator.errors import InputError
from generator.models import Loaded
from generator.photos import read_photo, square
from generator.tiny_imagenet import SUFFIXES


def folder(loaded: Loaded, path: Path) -> list[tuple[str, int]]:
    """(file name, class index) of each image directly in a folder, by name; broken ones are named and left out.

    Raises:
        InputError: for no folder, or one without an image that can be read.
    """
    if not path.is_dir():
        raise InputError(f"{path}: expected a folder of images, found none")
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and not is_clutter(file.name))
    rows: list[tuple[str, int]] = []
    size, resize = loaded.description.input_size, loaded.description.resize
    with terminal.bar(f"{loaded.title}: predicting", len(files), "images") as bar:
        for start in range(0, len(files), 250):
            names, pixels = [], []
            for file in files[start : start + 250]:
                try:
                    pixels.append(square(read_photo(file), size, resize))
                    names.append(file.name)
                except InputError as error:
                    terminal.say(f"left out: {error}")
                bar.advance()
            if names:
                images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
                answers = evaluate.logits_of(loaded.network, images, size, size).argmax(1)
                rows += zip(names, answers.tolist(), strict=True)
    if not rows:
        raise InputError(f"{path}: expected images ({', '.join(SUFFIXES)}), found none that can be read")
    return rows
