"""Heat maps against boxes: the pointing game and the energy in the box, with their baselines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from generator.data.dataset import Box
from generator.evaluation.bootstrap import Values, compared, estimates
from generator.evaluation.task import BATCH, Task, maps_of
from generator.explain.methods import Method
from generator.records.input import Input
from generator.records.trust import LayerScore, Localisation

SMALL = 0.25  # boxes under this share of the image are small
FEWEST = 15  # images with a small box that are told apart: resampling fewer gives no interval to rely on
# Values this close to the maximum are the maximum: bilinear weights add up to 1 only to rounding.
TIE = 1e-6


# Boxes


def box_mask(box: Box, image: tuple[int, ...], way: Input) -> Tensor:
    """Which pixels of a network's input lie in the box.

    Args:
        box: x0, y0, x1, y1 in pixels of the image, inclusive.
        image: (H, W) of the image.
        way: how the network takes it.
    Returns:
        (h, w) bool: the pixels whose centre is in the scaled box.
    """
    resized = way.resized(image[0], image[1])
    starts = way.cut(*resized)
    down, across = (
        (torch.arange(way.size[axis], dtype=torch.float64) + starts[axis] + 0.5) * image[axis] / resized[axis]
        for axis in (0, 1)
    )
    x0, y0, x1, y1 = box
    columns = (across >= x0) & (across < x1 + 1)  # (w,)
    rows = (down >= y0) & (down < y1 + 1)
    return rows[:, None] & columns


def upsampled(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, h, w) maps over the network's input, (N, *size) float64, bilinear."""
    return F.interpolate(maps.double()[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]


def pointing_hits(maps: Tensor, masks: Tensor) -> Tensor:
    """The pointing game: whether each map's maximum lies in the box, without a margin.

    Zhang et al. 2016, arXiv:1608.00507. Of several pixels at the maximum one is drawn, so to say: the hit is their
    share in the box. A map that is zero everywhere is a miss.

    Args:
        maps: (N, H, W), >= 0, over the network's input.
        masks: (N, H, W) bool.
    Returns:
        (N,) float64 in [0, 1].
    """
    peak = maps.amax((1, 2), keepdim=True)
    peaks = (maps >= peak * (1 - TIE)) & (peak > 0)
    return (peaks & masks).sum((1, 2)).double() / peaks.sum((1, 2)).clamp(min=1)


def energy_in_box(maps: Tensor, masks: Tensor) -> Tensor:
    """The energy-based pointing game: the share of the map's sum that lies in the box.

    Wang et al. 2020, arXiv:1910.01279, section 4.3. A map that is zero everywhere has none.

    Args and shapes as of `pointing_hits`.
    """
    wide = maps.double()
    total = wide.sum((1, 2))
    return torch.where(total > 0, (wide * masks).sum((1, 2)) / total.where(total > 0, torch.ones_like(total)), 0.0)


def centre_map(size: tuple[int, int]) -> Tensor:
    """(H, W) with all weight in the middle: one pixel along an odd side, two along an even one."""
    found = torch.zeros(size, dtype=torch.float64)
    down, across = (slice((side - 1) // 2, side // 2 + 1) for side in size)
    found[down, across] = 1
    return found


def wrong_classes(targets: Tensor, classes: Sequence[int], seed: int) -> Tensor:
    """For each target another one of `classes`, each as likely as the others.

    Raises:
        ValueError: where there is no other.
    """
    rng = np.random.default_rng(seed)
    others = [[each for each in classes if each != target] for target in targets.tolist()]
    if not all(others):
        raise ValueError("measure: expected at least two classes, for maps of a wrong one")
    return torch.tensor([each[rng.integers(len(each))] for each in others])


def localisation(task: Task, name: str, raw: Tensor, wrong: Tensor) -> list[Localisation]:
    """Pointing and energy of a method's maps of the true classes, beside those of the wrong ones."""
    size, count = (task.masks.shape[-2], task.masks.shape[-1]), len(raw)
    masks, shares = task.masks[:count], box_shares(task.masks[:count])
    pointing, energy = _scores(raw, masks)
    pointing_wrong, energy_wrong = _scores(wrong, masks)
    # The middle's hits are its energy in the box too: all that it has lies there.
    centre = pointing_hits(centre_map(size).expand(count, -1, -1), masks).numpy()
    silent, silent_wrong = (~maps.flatten(1).any(1).numpy() for maps in (raw, wrong))
    found = []
    for small in (False, True):
        rows = np.flatnonzero(shares < SMALL) if small else np.arange(count)
        if not small or len(rows) >= FEWEST:
            hits, inside = (
                compared(
                    values[rows],
                    {"centre": centre[rows], "uniform": shares[rows], "wrong class": other[rows]},
                    task.seed,
                )
                for values, other in ((pointing, pointing_wrong), (energy, energy_wrong))
            )
            zero, zero_wrong = int(silent[rows].sum()), int(silent_wrong[rows].sum())
            found.append(Localisation(name, small, len(rows), zero, hits, inside, zero_wrong))
    return found


def layer_score(task: Task, name: str, method: Method, layer: str, limit: int | None) -> LayerScore:
    """The pointing game and the energy of one method at one layer."""
    raw = maps_of(task, name, method, limit, task.targets, layer=layer)
    pointing, energy = _scores(raw, task.masks[: len(raw)])
    small = box_shares(task.masks[: len(raw)]) < SMALL
    first, second = estimates(np.stack([pointing, energy]), task.seed)
    few = estimates(pointing[None, small], task.seed)[0] if small.sum() >= FEWEST else None
    return LayerScore(layer, (raw.shape[1], raw.shape[2]), first, few, second)


def _scores(raw: Tensor, masks: Tensor) -> tuple[Values, Values]:
    """Hits and energies (n,) of raw maps, a batch after the other: upsampled they are large."""
    pairs = [
        (pointing_hits(maps, boxes), energy_in_box(maps, boxes))
        for part, boxes in zip(torch.split(raw, BATCH), torch.split(masks, BATCH), strict=True)
        for maps in [upsampled(part, (masks.shape[-2], masks.shape[-1]))]
    ]
    hits, energies = (torch.cat(values).numpy() for values in zip(*pairs, strict=True))
    return hits, energies


def box_shares(masks: Tensor) -> Values:
    """(N,) the box's share of the image."""
    found: Values = masks.double().mean((1, 2)).numpy()
    return found
