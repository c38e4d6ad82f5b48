"""What every measurement of heat maps is given: the network, the images, their boxes, and a method's maps of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from generator.explain import passes
from generator.explain.methods import Method
from generator.networks.devices import device_of
from generator.networks.inputs import normalise
from generator.records.input import Input

BATCH = 50


@dataclass(frozen=True)
class Sizes:
    """How many images each part looks at, the first of one seeded order; None: all."""

    boxes: int | None = None
    perturbation: int = 100
    randomisation: int = 32


@dataclass(frozen=True)
class Task:
    """What all parts of one measurement share; images and targets stand in the seeded order."""

    network: nn.Module
    pixels: Tensor  # (N, C, H, W) uint8, as the network is given them
    input: Input
    targets: Tensor  # (N,)
    wrong: Tensor  # (N,) another class for each image
    masks: Tensor  # (N, H, W) bool, (N, 0, 0) without boxes
    layer: str | None
    steps: int
    seed: int

    def inputs(self, start: int, end: int) -> Tensor:
        """(end - start, C, H, W) float32 on the network's device."""
        return normalise(self.pixels[start:end].to(device_of(self.network)), self.input)


# Running networks and methods


def maps_of(
    task: Task,
    name: str,
    method: Method,
    count: int | None,
    targets: Tensor,
    *,
    network: nn.Module | None = None,
    layer: str | None = None,
) -> Tensor:
    """(n, h, w) raw maps of the first `count` images, on the CPU.

    Raises:
        ValueError: where they are no maps.
    """
    end = len(task.pixels) if count is None else min(count, len(task.pixels))
    found = [torch.zeros(0, 1, 1)]
    for start in range(0, end, BATCH):
        stop = min(start + BATCH, end)
        images = task.inputs(start, stop)
        maps = method(network or task.network, images, targets[start:stop].to(images.device), layer or task.layer)
        maps = maps.detach().cpu()
        if maps.shape[:1] != images.shape[:1] or maps.dim() != 3 or not bool(((maps >= 0) & maps.isfinite()).all()):
            raise ValueError(
                f"{name}: expected finite maps >= 0 of shape ({len(images)}, h, w), got {tuple(maps.shape)} "
                f"from {float(maps.min())} to {float(maps.max())}"
            )
        found.append(maps)
    return torch.cat(found[1:] or found)


def logits_of(network: nn.Module, pixels: Tensor, way: Input) -> Tensor:
    """(N, K) logits of (N, C, H, W) uint8 pixels, on the network's own device."""
    device = device_of(network)
    with torch.no_grad():
        inputs = (normalise(part.to(device), way) for part in torch.split(pixels, BATCH))
        return torch.cat([passes.logits_of(network, part).float().cpu() for part in inputs])


def gaussian(sigma: float, radius: int) -> Tensor:
    """(2 * radius + 1,) float64, sum 1."""
    places = torch.arange(-radius, radius + 1, dtype=torch.float64)
    weights = torch.exp(-(places**2) / (2 * sigma**2))
    return weights / weights.sum()
