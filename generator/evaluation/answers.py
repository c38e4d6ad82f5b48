"""A network's answers to images: to those of a data set, and to those of a folder, which `predict` writes as CSV."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from generator.base import terminal
from generator.base.clutter import is_clutter
from generator.base.errors import InputError
from generator.data.dataset import DataSet, Item
from generator.data.decoded import pixels
from generator.data.folder import SUFFIXES
from generator.data.image_files import read_photo
from generator.data.preprocessing import require_photographic, seen
from generator.explain.passes import in_eval_mode
from generator.networks.architecture import require_finite
from generator.networks.devices import device_of
from generator.networks.inputs import fitted, memory_explained, normalise
from generator.networks.loaded import Loaded
from generator.records.images import Floats, Pixels
from generator.records.input import Input

BATCH = 250


def folder(loaded: Loaded, path: Path) -> list[tuple[str, int]]:
    """(file name, class index) of each image directly in a folder, by name; broken ones are named and left out.

    Raises:
        InputError: for no folder, one without an image that can be read, or a network that no image can be shown to.
    """
    if not path.is_dir():
        raise InputError(f"{path}: expected a folder of images, found none")
    require_photographic(loaded.input)
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and not is_clutter(file.name))
    rows: list[tuple[str, int]] = []
    with terminal.bar(f"{loaded.title}: predicting", len(files), "images") as bar:
        for start in range(0, len(files), BATCH):
            names, shown = [], []
            for file in files[start : start + BATCH]:
                try:
                    shown.append(seen(read_photo(file), loaded.input))  # photos may be a hundred times as large
                    names.append(file.name)
                except InputError as error:
                    terminal.say(f"left out: {error}")
                bar.advance()
            if names:
                images = torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2)
                answers = logits_of(loaded.network, images, loaded.input).argmax(1)
                rows += zip(names, answers.tolist(), strict=True)
    if not rows:
        raise InputError(f"{path}: expected images ({', '.join(SUFFIXES)}), found none that can be read")
    return rows


def given(pictures: Iterable[Pixels], way: Input, *, alike: bool = False) -> Tensor:
    """Images as a network is given them, each from its own size.

    Args:
        pictures: (H, W, 3) uint8 each.
        alike: they are all of one size, so that they can be brought to the network's in one step (see `fitted`).
    Returns:
        (N, C, h, w) uint8.
    """
    if alike:
        return fitted(torch.from_numpy(np.stack(list(pictures))).permute(0, 3, 1, 2), way)
    return torch.from_numpy(np.stack([seen(picture, way) for picture in pictures])).permute(0, 3, 1, 2)


def of_part(
    loaded: Loaded,
    data: DataSet,
    items: Sequence[Item],
    *,
    mirrored: bool,
    on_batch: Callable[[int], None] = lambda count: None,
) -> tuple[Floats, Floats | None]:
    """The network's answers to images of a data set and to their mirror images, (N, K) float32 each.

    A batch of images is read at a time, each once.

    Args:
        mirrored: whether mirror images are asked for; else there are no answers to them.
        on_batch: called with the number of images after each batch, of the images and of the mirror images.
    Raises:
        InputError: where memory runs out, an image cannot be read, or a logit is not finite.
    """
    outputs = len(loaded.class_names)
    plain, turned = [np.zeros((0, outputs), np.float32)], [np.zeros((0, outputs), np.float32)]
    for start in range(0, len(items), BATCH):
        batch = items[start : start + BATCH]
        for answers, images in zip((plain, turned), _shown(loaded, data, batch, mirrored), strict=False):
            answers.append(logits_of(loaded.network, images, loaded.input))
            on_batch(len(batch))
    return np.concatenate(plain), np.concatenate(turned) if mirrored else None


def _shown(loaded: Loaded, data: DataSet, items: Sequence[Item], mirrored: bool) -> Iterator[Tensor]:
    """Images as the network is given them, and their mirror images; of large ones one is held at its own size."""
    if data.side:
        pictures = np.stack([pixels(data, item) for item in items])
        for turned in (False, True)[: 1 + mirrored]:
            yield given(pictures[:, :, ::-1] if turned else pictures, loaded.input, alike=True)
        return
    rows: tuple[list[Pixels], list[Pixels]] = [], []
    for item in items:
        picture = pixels(data, item)
        rows[0].append(seen(picture, loaded.input))
        if mirrored:
            rows[1].append(seen(np.ascontiguousarray(picture[:, ::-1]), loaded.input))
    for each in rows[: 1 + mirrored]:
        yield torch.from_numpy(np.stack(each)).permute(0, 3, 1, 2)


def _batch(images: Tensor) -> int:
    """How many images go through a network at once: of large ones fewer, so that its maps take no more memory."""
    return min(BATCH, max(8, BATCH * 64 * 64 // math.prod(images.shape[-2:])))


def logits_of(network: nn.Module, images: Tensor, way: Input) -> Floats:
    """The network's answer to many images, in float32, in batches of BATCH at most, on the network's own device.

    Args:
        images: (N, C, H, W) uint8, as the network is given them.
    Returns:
        (N, K) float32.
    Raises:
        InputError: where memory runs out, or a logit is not finite.
    """
    device = device_of(network)
    answers = []
    with memory_explained(BATCH), in_eval_mode(network), torch.inference_mode():
        for batch in torch.split(images, _batch(images)):
            answers.append(network(normalise(batch.to(device), way)).float().cpu())
            require_finite(answers[-1], network)
    return torch.cat(answers).numpy()
