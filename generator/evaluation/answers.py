"""The classes of a folder's images: what `predict` writes as CSV."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from generator.base import terminal
from generator.base.clutter import is_clutter
from generator.base.errors import InputError
from generator.data.folder import SUFFIXES
from generator.data.image_files import read_photo
from generator.data.preprocessing import seen
from generator.evaluation.scores import BATCH
from generator.explain.passes import in_eval_mode
from generator.networks.architecture import require_finite
from generator.networks.catalogue import Loaded
from generator.networks.inputs import fitted, memory_explained, normalise
from generator.records.images import Floats
from generator.records.input import Input


def folder(loaded: Loaded, path: Path) -> list[tuple[str, int]]:
    """(file name, class index) of each image directly in a folder, by name; broken ones are named and left out.

    Raises:
        InputError: for no folder, or one without an image that can be read.
    """
    if not path.is_dir():
        raise InputError(f"{path}: expected a folder of images, found none")
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and not is_clutter(file.name))
    fitting = replace(loaded.input, resize=0)  # what `seen` gives is not cut again
    rows: list[tuple[str, int]] = []
    with terminal.bar(f"{loaded.title}: predicting", len(files), "images") as bar:
        for start in range(0, len(files), 250):
            names, pixels = [], []
            for file in files[start : start + 250]:
                try:
                    pixels.append(seen(read_photo(file), loaded.input))
                    names.append(file.name)
                except InputError as error:
                    terminal.say(f"left out: {error}")
                bar.advance()
            if names:
                images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
                answers = logits_of(loaded.network, images, fitting).argmax(1)
                rows += zip(names, answers.tolist(), strict=True)
    if not rows:
        raise InputError(f"{path}: expected images ({', '.join(SUFFIXES)}), found none that can be read")
    return rows


def logits_of(
    network: nn.Module,
    images: Tensor,
    way: Input,
    *,
    mirrored: bool = False,
    device: torch.device | None = None,
    on_batch: Callable[[int], None] = lambda count: None,
) -> Floats:
    """The network's answer to many images, in float32, in batches of BATCH.

    Args:
        images: (N, C, H, W) uint8; brought to the network's input as `fitted` does.
        mirrored: left and right exchanged first.
        on_batch: called with the number of images after each batch.
    Returns:
        (N, K) float32.
    Raises:
        InputError: where memory runs out, or a logit is not finite.
    """
    device = device or torch.device("cpu")
    answers = []
    with memory_explained(BATCH), in_eval_mode(network), torch.inference_mode():
        network.to(device)
        for batch in torch.split(images, BATCH):
            pixels = fitted(batch.flip(-1) if mirrored else batch, way)
            answers.append(network(normalise(pixels.to(device), way)).float().cpu())
            require_finite(answers[-1], network)
            on_batch(len(batch))
    return torch.cat(answers).numpy()
