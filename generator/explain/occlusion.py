"""Occlusion: what the model makes of an image while a grey square slides over it. A check without gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from generator.explain.checks import check_images, check_logits, check_positive
from generator.explain.outputs import answered
from generator.explain.passes import at_once, evaluating, format_of, logits_of, parts
from generator.explain.targets import Targets, chances_of, check_targets, classes_of


@dataclass(frozen=True, eq=False)
class Occlusion:
    """Two maps of each image, one cell for each position of the square: cell (i, j) of h x w is centred under it."""

    probability: Tensor  # (N, h, w) float32 of the target class
    predicted: Tensor  # (N, h, w) int64, the most probable class; of one logit -1 where its probability is below 1/2
    unoccluded: Tensor  # (N,) float32, the target's probability for the whole image

    @property
    def drop(self) -> Tensor:
        """(N, h, w) how much of the target's probability covering takes away, >= 0: comparable with a heat map."""
        return (self.unoccluded[:, None, None] - self.probability).relu()


def occlude(
    model: nn.Module,
    images: Tensor,
    targets: Targets = None,
    *,
    patch: int | None = None,
    stride: int | None = None,
    fill: float = 0.0,
    batch_size: int | None = None,
) -> Occlusion:
    """The target's probability and the most probable class for each position of a square that covers the image.

    Probabilities are the softmax of the logits; of a model with one logit, or that ends in a sigmoid, their sigmoids.

    Zeiler and Fergus 2013, arXiv:1311.2901, section 4.2: where the target's probability falls, the model needed what is
    covered. The positions spread evenly over the whole image, so the maps lie over it as a heat map does; at the edges
    a part of the square is outside.

    Args:
        images: (N, C, H, W) float, normalised as the model takes them.
        targets: as of `grad_cam`; without them the class that the model predicts for each image. Of one class against
            another the probability is that of the first where it is one of the two.
        patch: side of the square in pixels; without it a quarter of the shorter side.
        stride: pixels between two positions, at most; without it half of the square, so that a square image has 8 x 8
            positions: cells as fine as those of the maps that occlusion stands beside.
        fill: the square's value in all channels; 0 is the mean colour of normalised images, a grey.
        batch_size: covered images in one forward pass; without it `at_once` decides.
    Returns:
        The maps, h = ceil(H / stride) and w = ceil(W / stride).
    Raises:
        ValueError: if targets and images differ in length, a target is no class of the model, or a number is below 1.
        InputError: if the model does not give logits (N, K).
    """
    (found,) = occlude_each(model, images, [targets], patch=patch, stride=stride, fill=fill, batch_size=batch_size)
    return found


def occlude_each(
    model: nn.Module,
    images: Tensor,
    asked: Sequence[Targets],
    *,
    patch: int | None = None,
    stride: int | None = None,
    fill: float = 0.0,
    batch_size: int | None = None,
) -> tuple[Occlusion, ...]:
    """What `occlude` finds for each of several `targets` of the same images, over which the square slides once for all.

    Args and errors as of `occlude`.
    """
    check_images(images)
    wanted = [check_targets(targets, len(images)) for targets in asked]
    patch = square_of(images.shape[2:]) if patch is None else patch
    stride = _stride(patch) if stride is None else stride
    batch_size = at_once(images) if batch_size is None else batch_size
    check_positive(patch=patch, stride=stride, batch_size=batch_size)
    rows, columns = (_covered(side, patch, stride).to(images.device) for side in images.shape[2:])
    shape = (len(images), len(rows), len(columns))
    with evaluating(model):
        logits, apart = answered(model, images.detach().clone())
        check_logits(logits, images)
        classes = [classes_of(targets, logits) for targets in wanted]
        unoccluded = [_unoccluded(logits, each, apart) for each in classes]
        probability = logits.new_empty(len(asked), len(images), shape[1] * shape[2], dtype=torch.float32)
        predicted = logits.new_empty(len(images), shape[1] * shape[2], dtype=torch.int64)
        places = shape[1] * shape[2]
        for part in parts(len(images) * places, batch_size, images.device):
            of, at = part // places, part % places
            square = rows[at // shape[2], :, None] & columns[at % shape[2], None, :]  # (P, H, W)
            covered = torch.where(square[:, None], fill, images[of])
            found = logits_of(model, covered.contiguous(memory_format=format_of(images)))
            predicted[of, at] = found.argmax(1) if found.shape[1] > 1 else (found[:, 0] > 0).long() - 1
            for image in sorted(set(of.tolist())):
                rows_of = of == image
                for target, each in enumerate(classes):
                    chances = chances_of(found[rows_of], each[image], apart)
                    probability[target, image, at[rows_of]] = chances.float()
    maps = zip(probability.view(len(asked), *shape), unoccluded, strict=True)
    return tuple(Occlusion(covered, predicted.view(shape), whole) for covered, whole in maps)


def _unoccluded(logits: Tensor, classes: Tensor, apart: bool) -> Tensor:
    """(N,) float32, how probable the target of each whole image is."""
    found = [chances_of(logits[[image]], asked, apart).float() for image, asked in enumerate(classes)]
    return torch.cat(found) if found else logits.new_zeros(0, dtype=torch.float32)


def positions(size: Sequence[int]) -> int:
    """How many positions `occlude` has of its own accord on an image of (H, W) pixels."""
    stride = _stride(square_of(size))
    return math.prod(-(-side // stride) for side in size)


def square_of(size: Sequence[int]) -> int:
    """The side of the square that covers an image of (H, W) pixels, where nobody says another."""
    return max(1, min(size) // 4)


def _stride(patch: int) -> int:
    return max(1, patch // 2)


def _covered(side: int, patch: int, stride: int) -> Tensor:
    """(positions, side) bool: which pixels of an axis each position of the square covers."""
    count = -(-side // stride)
    # Position i is centred on (i + 1/2) side / count.
    starts = ((2 * torch.arange(count) + 1) * side - patch * count).div(2 * count, rounding_mode="floor")
    pixels = torch.arange(side)
    return (pixels >= starts[:, None]) & (pixels < starts[:, None] + patch)
