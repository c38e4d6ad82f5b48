"""The network of models/cnn as the page runs it, and what PyTorch says of the same images in full precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from generator import explain
from generator.config.schema import ModelConfig
from generator.data import samples
from generator.data.classes import resolve_classes
from generator.data.image_files import read_photo
from generator.data.preprocessing import seen
from generator.data.tiny_imagenet import list_images
from generator.live import export
from generator.networks import catalogue
from generator.networks.inputs import normalise
from generator.networks.loaded import Loaded
from generator.records.images import Photo
from generator.records.live import Live

ROOT = Path(__file__).parents[2]
COUNT = 300  # test images


@dataclass(frozen=True)
class Judged:
    """Images, and what the network in full precision says of them."""

    seen: Sequence[NDArray[np.uint8]]  # (S, S, 3) each
    logits: NDArray[np.float32]  # (N, K)
    maps: NDArray[np.float32]  # (N, K * h * w)

    def agrees(self, logits: Sequence[NDArray[np.float32]], maps: Sequence[NDArray[np.float32]]) -> None:
        """The page's answers are these, within what the page promises."""
        found, cams = np.stack(logits), np.stack(maps)
        assert (found.argmax(1) == self.logits.argmax(1)).mean() >= 0.995
        assert (np.abs(found - self.logits).max(1) / np.abs(self.logits).max(1)).max() <= 5e-3
        assert (np.abs(cams - self.maps).max(1) / self.maps.max(1)).max() <= 1e-3


@cache
def network() -> tuple[Loaded, list[Photo]]:
    """The network, and the bundled photos."""
    loaded = catalogue.from_folder(ModelConfig("cnn"), ROOT / "models" / "cnn")
    assert loaded is not None
    return loaded, list(samples.bundled(ROOT / "content" / "samples", loaded.class_names))


@cache
def exported() -> Live:
    """The network as the page is given it."""
    return export.export(*network())


@cache
def bundled() -> Judged:
    """The bundled photos."""
    loaded, photos = network()
    return judged([seen(photo.pixels, loaded.input) for photo in photos])


@cache
def of_the_test_split(root: Path) -> Judged:
    """Some of the real data set's test images, evenly over its classes."""
    way = network()[0].input
    listed = list_images(root, resolve_classes("TinyImageNet30", root), "test")
    chosen = [listed[place] for place in np.linspace(0, len(listed) - 1, COUNT).astype(int)]
    return judged([seen(read_photo(one.path), way) for one in chosen])


def judged(images: Sequence[NDArray[np.uint8]]) -> Judged:
    """Images with PyTorch's answers."""
    loaded = network()[0]
    parts = torch.split(normalise(torch.tensor(np.stack(images)).permute(0, 3, 1, 2).contiguous(), loaded.input), 50)
    with torch.no_grad():
        logits = torch.cat([loaded.network(part) for part in parts])
    maps = [explain.grad_cam_all(loaded.network, part, exported().layer).flatten(1) for part in parts]
    return Judged(images, logits.numpy(), torch.cat(maps).numpy())
