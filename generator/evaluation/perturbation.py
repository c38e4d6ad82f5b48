"""Deletion and insertion: how the answer changes as pixels go in the order of a map."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generator.evaluation.bootstrap import Values, compared
from generator.evaluation.pointing import upsampled
from generator.evaluation.task import BATCH, Task, gaussian
from generator.explain.checks import check_logits
from generator.explain.outputs import answered, probabilities
from generator.networks.devices import device_of
from generator.records.trust import Perturbation

STEPS = 10  # in which all pixels are exchanged
# Of the blurred image that insertion begins with, as a share of the side. RISE's 5 of 224 pixels leave a 64-pixel photo
# recognisable; with an eighth of the side only colours and their rough places are left.
BLUR = 1 / 8


# Deletion and insertion


def removal_order(maps: Tensor, noise: Tensor) -> Tensor:
    """The place of each pixel in the order from the highest value to the lowest.

    Args:
        maps: (N, H, W).
        noise: (N, H, W), decides between equal values: read row by row, the zeros of a map would come from the top.
    Returns:
        (N, H, W) int64: 0 for the first pixel to be taken.
    """
    first = noise.flatten(1).argsort(dim=1, descending=True, stable=True)
    second = maps.flatten(1).gather(1, first).argsort(dim=1, descending=True, stable=True)
    order = first.gather(1, second)
    places = torch.empty_like(order).scatter_(1, order, torch.arange(order.shape[1]).expand_as(order))
    return places.view(maps.shape)


def exchanged_probabilities(
    network: nn.Module, before: Tensor, after: Tensor, places: Tensor, targets: Tensor, steps: int = STEPS
) -> Tensor:
    """The probability of the target while the pixels of one image are exchanged for those of another, in equal steps.

    Petsiuk et al. 2018, arXiv:1806.07421, section 4.3 and algorithm 1: deletion goes from the image to the baseline,
    insertion from a blurred image to the image.

    Args:
        network: in eval mode.
        before, after: (N, 3, H, W).
        places: (N, H, W) from `removal_order`.
        targets: (N,).
    Returns:
        (N, steps + 1) float64 on the CPU, the first of `before`, the last of `after`.
    """
    total = places.shape[1] * places.shape[2]
    found = []
    with torch.no_grad():
        for step in range(steps + 1):
            mixed = torch.where((places < step * total / steps)[:, None], after, before)
            logits, apart = answered(network, mixed)
            chances = probabilities(check_logits(logits, mixed), apart)
            found.append(chances.gather(1, targets[:, None])[:, 0].cpu().double())
    return torch.stack(found, 1)


def curve_area(probabilities: Tensor) -> Tensor:
    """(N, steps + 1) -> (N,) area under the curve over the share of pixels, trapezoids; in [0, 1]."""
    return (probabilities[:, :-1] + probabilities[:, 1:]).mean(1) / 2


def blurred(images: Tensor, sigma: float) -> Tensor:
    """(N, C, H, W) after a Gaussian of standard deviation `sigma` in pixels, the edges mirrored."""
    radius = min(round(3 * sigma), min(images.shape[-2:]) - 1)
    kernel = gaussian(sigma, radius).to(images)
    channels = images.shape[1]
    padded = F.pad(images, (radius,) * 4, mode="reflect")
    rows = F.conv2d(padded, kernel.view(1, 1, -1, 1).expand(channels, -1, -1, -1), groups=channels)
    return F.conv2d(rows, kernel.view(1, 1, 1, -1).expand(channels, -1, -1, -1), groups=channels)


def perturbations(
    task: Task, maps: Mapping[str, tuple[Tensor, Tensor]], on_part: Callable[[str], None]
) -> tuple[Perturbation, ...]:
    """Deletion and insertion of each method's maps, beside random and centre-out orders and that of a wrong class.

    Args:
        maps: of the true and of the wrong classes, by method.

    The random order is one of soft patches as large as the first method's cells: single pixels taken out at random are
    noise, which harms a network more than any patch, so that they would beat every map (Petsiuk's order is by pixel).
    """
    size, most = task.input.size, max(len(true) for true, _ in maps.values())
    grid = next(iter(maps.values()))[0].shape[1:]
    noise = upsampled(torch.rand(most, *grid, generator=torch.Generator().manual_seed(task.seed)), size)
    down, across = (torch.linspace(-1, 1, side, dtype=torch.float64) ** 2 for side in size)
    centre_out = -(down[:, None] + across[None]).expand(most, -1, -1)
    orders = {"random": torch.zeros_like(noise), "centre out": centre_out}
    baselines = {name: _areas(task, order, noise) for name, order in orders.items()} if most else {}
    on_part("random orders")
    found = []
    for name, (true, wrong) in maps.items():
        count = len(true)
        if count:
            values = _areas(task, true, noise)
            beside = {**baselines, "wrong class": _areas(task, wrong, noise)}
            deletion, insertion = (
                compared(values[part], {base: areas[part][:count] for base, areas in beside.items()}, task.seed)
                for part in (0, 1)
            )
            found.append(Perturbation(name, count, deletion, insertion))
        on_part(f"{name}, deletion and insertion")
    return tuple(found)


def _areas(task: Task, maps: Tensor, noise: Tensor) -> Values:
    """(2, n) areas under the deletion and the insertion curve."""
    size, device = task.input.size, device_of(task.network)
    found = []
    for start in range(0, len(maps), BATCH):
        end = min(start + BATCH, len(maps))
        images = task.inputs(start, end)
        places = removal_order(upsampled(maps[start:end], size), noise[start:end]).to(device)
        targets = task.targets[start:end].to(device)
        # Normalised images have the data's mean colour at 0.
        ends = ((images, torch.zeros_like(images)), (blurred(images, BLUR * min(size)), images))
        curves = [exchanged_probabilities(task.network, *pair, places, targets, task.steps) for pair in ends]
        found.append(torch.stack([curve_area(curve) for curve in curves]))
    areas: Values = torch.cat(found, 1).numpy()
    return areas
