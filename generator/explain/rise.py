"""RISE: what the model makes of an image behind many random masks. It asks for answers alone."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generator.explain.checks import check_images, check_logits, check_positive
from generator.explain.outputs import answered
from generator.explain.passes import BATCH, evaluating, logits_of
from generator.explain.targets import Targets, chances_of, check_targets, classes_of

MASKS = 4000  # as in the paper for VGG16; 8000 for ResNet50


def rise(
    model: nn.Module,
    images: Tensor,
    targets: Targets = None,
    *,
    masks: int = MASKS,
    cells: int = 7,
    keep: float = 0.5,
    seed: int = 0,
    batch_size: int = BATCH,
) -> Tensor:
    """RISE of one target for each image.

    Petsiuk et al. 2018, arXiv:1806.07421, equation 6: the mean of random masks, each weighed by the target's
    probability for the image behind it, over the share that a pixel is seen. A mask is a grid of cells, each of which
    is seen with the probability `keep`, enlarged bilinearly and shifted at random by less than a cell (section 3.2).

    Args:
        images: (N, C, H, W) float, normalised, so that 0, to which a mask darkens, is the mean colour.
        targets: as of `grad_cam`.
        masks: how many; each is a forward pass.
        cells: of a mask along each axis.
        keep: the probability that a cell is seen.
        seed: of the masks, which are the same for all images.
        batch_size: masked images in one pass.
    Returns:
        (N, H, W) float32, >= 0, in units of probability; what any mask leaves of it is in all cells alike.
    Raises:
        ValueError: if targets and images differ in length, a target is no class, or a number is out of its range.
        InputError: if the model does not give logits.
    """
    check_images(images)
    check_positive(masks=masks, cells=cells, batch_size=batch_size)
    if not 0 < keep <= 1:
        raise ValueError(f"keep: expected a probability above 0, got {keep}")
    wanted = check_targets(targets, len(images))
    random = torch.Generator().manual_seed(seed)
    with evaluating(model):
        logits, apart = answered(model, images.detach().clone())
        classes = classes_of(wanted, check_logits(logits, images))
        found = torch.zeros(len(images), *images.shape[2:], device=images.device)
        for start in range(0, masks, batch_size):
            drawn = _masks(min(batch_size, masks - start), images.shape[2:], cells, keep, random).to(images.device)
            for index, image in enumerate(images):
                behind = image * drawn[:, None].to(image.dtype)
                chances = chances_of(logits_of(model, behind.clone()), classes[index], apart).float()
                found[index] += torch.einsum("m,mhw->hw", chances, drawn)
    return found / (masks * keep)


def _masks(count: int, size: torch.Size, cells: int, keep: float, random: torch.Generator) -> Tensor:
    """(count, H, W) from 0, hidden, to 1, seen."""
    sides = [-(-side // cells) for side in size]  # of a cell, in pixels
    # Mask by mask, so that they do not depend on how many are drawn at once.
    grids, shifts = [], []
    for _ in range(count):
        grids.append((torch.rand(1, cells, cells, generator=random) < keep).float())
        shifts.append([int(torch.randint(side, (1,), generator=random)) for side in sides])
    enlarged = [(cells + 1) * side for side in sides]
    large = F.interpolate(torch.stack(grids), size=enlarged, mode="bilinear", align_corners=False)[:, 0]
    found = torch.empty(count, *size)
    for index, (top, left) in enumerate(shifts):
        found[index] = large[index, top : top + size[0], left : left + size[1]]
    return found
