"""Augmentation of whole batches of uint8 images, on whatever device they lie.

One affine resampling does the random resized crop, rotation and mirroring straight to the training size, or a window is
cut out pixel for pixel; then colour, grey and CutMix. All randomness comes from the torch.Generator that is given.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from generator.records.recipe import Augmentation

# ITU-R BT.601 luma, as PIL's convert("L").
LUMA = (0.299, 0.587, 0.114)
# How far either way a window may lie from the middle at least, as a share of its side.
SHIFT = 1 / 8


def resample(images: Tensor, size: int, how: Augmentation, generator: Generator) -> Tensor:
    """Random resized crop, rotation and mirror image in one bilinear resampling, or a window, with reflected borders.

    Args:
        images: (N, 3, H, H) float32.
    Returns:
        (N, 3, size, size) float32.
    """
    theta = _crops(len(images), how, generator)
    if not how.unscaled or size > images.shape[-1]:
        return _cropped(images, theta, size)
    cropped = _uniform((len(images),), generator) >= how.unscaled
    resampled = _windows(images, size, how, generator)
    if cropped.any():
        there = cropped.to(images.device)
        resampled[there] = _cropped(images[there], theta[cropped], size)
    return resampled


def jitter(images: Tensor, strength: float, grey: float, generator: Generator) -> Tensor:
    """Brightness, contrast and saturation of each image varied, some images made grey; (N, 3, H, W) in [0, 255]."""
    count = len(images)
    draws = _uniform((4, count, 1, 1, 1), generator).to(images.device)
    brightness, contrast, saturation = 1 + strength * (2 * draws[:3] - 1)
    saturation = torch.where(draws[3] < grey, torch.zeros_like(saturation), saturation)
    luma = (images * torch.tensor(LUMA, device=images.device).view(1, 3, 1, 1)).sum(1, keepdim=True)
    middle = luma.mean((2, 3), keepdim=True)
    coloured = luma + saturation * (images - luma)
    changed: Tensor = (middle + contrast * (coloured - middle)) * brightness
    return changed.clamp_(0, 255)


def cutmix(images: Tensor, generator: Generator) -> tuple[Tensor, Tensor, float]:
    """CutMix with a uniformly drawn share: a rectangle of each image comes from another image of the batch.

    Returns:
        the images, the index (N,) of the image that each rectangle comes from, the share of the image's own pixels.
    """
    height, width = images.shape[-2:]
    order = torch.randperm(len(images), generator=generator).to(images.device)
    share, x, y = _uniform((3,), generator).tolist()
    side = math.sqrt(1 - share)
    top, bottom = _span(y, side, height)
    left, right = _span(x, side, width)
    mixed = images.clone()
    mixed[..., top:bottom, left:right] = images[order][..., top:bottom, left:right]
    own = 1 - (bottom - top) * (right - left) / (height * width)
    return mixed, order, own


def augment(images: Tensor, size: int, how: Augmentation, generator: Generator) -> tuple[Tensor, Tensor, float]:
    """One training batch: resampled, recoloured, some batches mixed.

    Args:
        images: (N, 3, H, H) uint8.
        size: side of the images that come out.
    Returns:
        (N, 3, size, size) float32 in [0, 255]; the partner (N,) of each image; its own share (1.0 where not mixed).
    """
    changed = resample(images.float(), size, how, generator)
    if how.colour or how.grey:
        changed = jitter(changed, how.colour, how.grey, generator)
    if how.cutmix and float(_uniform((1,), generator)) < how.cutmix:
        return cutmix(changed, generator)
    return changed, torch.arange(len(images), device=images.device), 1.0


def steps(image: Tensor, partner: Tensor, how: Augmentation, generator: Generator) -> list[tuple[str, Tensor]]:
    """What happens to one image on its way into the network, step by step, for the data page.

    Args:
        image, partner: (3, H, W) uint8; the partner lends the rectangle of CutMix.
    Returns:
        (name of the step, (3, H, W) uint8 image after it), first the original. Colour and CutMix go on from the crop;
        where a share of the images is not resampled, such a window stands beside it.
    """
    size = image.shape[-1]
    shown = [("original", image.float())]
    cropping = replace(how, unscaled=0.0)
    now = resample(image[None].float(), size, cropping, generator)
    shown.append(("cropped, turned, mirrored", now[0]))
    if how.unscaled:
        window = resample(image[None].float(), size, replace(how, unscaled=1.0), generator)
        shown.append(("or shifted and mirrored, not resized", window[0]))
    now = jitter(now, how.colour, 0.0, generator)
    shown.append(("brightness, contrast, saturation", now[0]))
    if how.cutmix:
        pair = torch.stack([now[0], resample(partner[None].float(), size, cropping, generator)[0]])
        shown.append(("a rectangle of another image (CutMix)", _swapped(pair)[0]))
    return [(name, step.round().clamp(0, 255).to(torch.uint8)) for name, step in shown]


def _swapped(pair: Tensor) -> Tensor:
    """Both images of a pair with a centred-right rectangle of the other, an example of CutMix that shows both."""
    height, width = pair.shape[-2:]
    mixed = pair.clone()
    mixed[..., height // 2 :, width // 2 :] = pair.flip(0)[..., height // 2 :, width // 2 :]
    return mixed


def _crops(count: int, how: Augmentation, generator: Generator) -> Tensor:
    """(N, 2, 3) affine maps from the output's to the input's coordinates, both in [-1, 1]."""
    area, aspect, x, y, turn, mirror = _uniform((6, count), generator)
    area = how.area + (1 - how.area) * area
    ratio = torch.exp((2 * aspect - 1) * math.log(how.aspect) / 2)
    width = (area.sqrt() * ratio).clamp(max=1)
    height = (area.sqrt() / ratio).clamp(max=1)
    sign = torch.where(mirror < 0.5, -1.0, 1.0) if how.flip else torch.ones(count)
    angle = (2 * turn - 1) * math.radians(how.rotation)
    cos, sin = angle.cos(), angle.sin()
    rows = [
        torch.stack([width * sign * cos, -width * sign * sin, (1 - width) * (2 * x - 1)], 1),
        torch.stack([height * sin, height * cos, (1 - height) * (2 * y - 1)], 1),
    ]
    return torch.stack(rows, 1)


def _cropped(images: Tensor, theta: Tensor, size: int) -> Tensor:
    """`images` (N, 3, H, W) resampled by the maps `theta` (N, 2, 3): (N, 3, size, size)."""
    # Smaller images are sampled twice as densely and averaged: as free of aliasing as those that are shown later. Of a
    # short run on 32 pixels that was 2.4 points.
    dense = 2 if size < images.shape[-1] else 1
    grid = F.affine_grid(theta.to(images.device), [len(images), 3, dense * size, dense * size], align_corners=False)
    sampled = F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return F.avg_pool2d(sampled, dense) if dense > 1 else sampled


def _windows(images: Tensor, size: int, how: Augmentation, generator: Generator) -> Tensor:
    """A window of each image (N, 3, H, H), or its mirror image, with its own pixels: (N, 3, size, size).

    Where the image leaves a window less room than SHIFT either way, it is continued by reflection.
    """
    side = images.shape[-1]
    margin = max(0, round(SHIFT * size - (side - size) / 2))
    x, y, mirror = _uniform((3, len(images), 1), generator)
    pixels = torch.arange(size)
    columns, rows = (pixels + (draw * (side - size + 2 * margin + 1)).floor().long() - margin for draw in (x, y))
    if how.flip:
        columns = torch.where(mirror < 0.5, columns.flip(1), columns)
    columns, rows = (
        torch.where(at < 0, -1 - at, torch.where(at < side, at, 2 * side - 1 - at)).to(images.device)
        for at in (columns, rows)
    )
    image, channel = (torch.arange(count, device=images.device) for count in images.shape[:2])
    return images[image[:, None, None, None], channel[:, None, None], rows[:, None, :, None], columns[:, None, None, :]]


def _span(centre: float, side: float, length: int) -> tuple[int, int]:
    """First and last-plus-one pixel of a stretch around `centre`, cut off at the border."""
    start = round((centre - side / 2) * length)
    end = round((centre + side / 2) * length)
    return max(start, 0), min(end, length)


def _uniform(shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Uniform numbers in [0, 1), drawn on the generator's device so that one seed gives one result everywhere."""
    return torch.rand(shape, generator=generator, device=generator.device)
