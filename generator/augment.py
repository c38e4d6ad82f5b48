"""Augmentation of whole batches of uint8 images, on whatever device they lie.

One affine resampling does the random resized crop, rotation and mirroring straight to the training size; then colour,
grey and CutMix. Where the objects' boxes are known, crops keep the object and CutMix says how much of it is left. All
randomness comes from the torch.Generator that is given.

Boxes are (N, 4) float32: left, top, right, bottom in [-1, 1], the coordinates of the image's outer edges, as
`F.affine_grid` counts them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

# ITU-R BT.601 luma, as PIL's convert("L").
LUMA = (0.299, 0.587, 0.114)
# How far an image is moved that keeps its pixels, as a share of its side.
SHIFT = 1 / 8
# A crop that shows less of the object than this is drawn again, so often at most.
SEEN, DRAWS = 0.5, 3
# How much of an image's evidence for its class is thought to lie on the object, evenly; the rest lies evenly over all.
ON_OBJECT = 0.75


@dataclass(frozen=True)
class Augmentation:
    """How strongly images are changed; the default changes nothing."""

    area: float = 1.0  # smallest share of the image's area that a crop keeps
    aspect: float = 1.0  # largest aspect ratio of a crop, and its inverse the smallest
    rotation: float = 0.0  # degrees either way
    flip: bool = False
    colour: float = 0.0  # brightness, contrast and saturation vary by this factor either way
    grey: float = 0.0  # probability of losing colour
    cutmix: float = 0.0  # probability that a batch is mixed (Yun et al. 2019, arXiv:1905.04899)
    # Share of the images that are moved by whole pixels instead of cropped: resampling blurs, and a network that saw
    # blurred images only is worse on sharp ones, by 3 to 4 points on Tiny ImageNet's. At the images' own size only.
    unscaled: float = 0.0
    objects: bool = False  # crops and CutMix heed the objects' boxes, where they are given


def edges(boxes: Tensor, side: int) -> Tensor:
    """Boxes (N, 4) in whole pixels of images of `side` pixels, inclusive, as this module counts them."""
    return (boxes + torch.tensor([0, 0, 1, 1])) * (2 / side) - 1


def placements(
    count: int, side: int, size: int, how: Augmentation, generator: Generator, boxes: Tensor | None = None
) -> Tensor:
    """What each image's crop shows: affine maps from the output's to the input's coordinates, both in [-1, 1].

    Args:
        side, size: of the images that go in and come out.
    Returns:
        (count, 2, 3) float32.
    """
    theta = _crops(count, how, generator)
    if boxes is not None and how.objects:
        for _ in range(DRAWS - 1):
            lost = _overlap(boxes, _shown(theta)) < SEEN
            theta = torch.where(lost.view(-1, 1, 1), _crops(count, how, generator), theta)
    if how.unscaled and size == side:
        theta = _moved(theta, size, how, generator)
    return theta


def placed(boxes: Tensor, theta: Tensor) -> Tensor:
    """(N, 4) where objects lie in their crops, cut off at the border."""
    inverse = torch.linalg.inv(theta[:, :, :2])
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 - theta[:, :, 2]
    half = (boxes[:, 2:] - boxes[:, :2]) / 2
    centre = (inverse @ centre[:, :, None])[:, :, 0]
    half = (inverse.abs() @ half[:, :, None])[:, :, 0]
    return torch.cat([centre - half, centre + half], 1).clamp(-1, 1)


def resample(images: Tensor, size: int, theta: Tensor) -> Tensor:
    """The crops of `placements` in one bilinear resampling with reflected borders.

    Args:
        images: (N, 3, H, W) float32.
        theta: (N, 2, 3) float32.
    Returns:
        (N, 3, size, size) float32.
    """
    theta = theta.to(images.device)
    # Smaller images are sampled twice as densely and averaged: as free of aliasing as those that are shown later. Of a
    # short run on 32 pixels that was 2.4 points.
    dense = 2 if size < images.shape[-1] else 1
    grid = F.affine_grid(theta, [len(images), 3, dense * size, dense * size], align_corners=False)
    sampled = F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return F.avg_pool2d(sampled, dense) if dense > 1 else sampled


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


def cutmix(images: Tensor, generator: Generator, boxes: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """CutMix with a uniformly drawn share: a rectangle of each image comes from another image of the batch.

    With boxes an image's share of the label is its share of the evidence that is seen, most of which is thought to lie
    on the object: a rectangle that hides the whole object, or brings only another's background, counts as such.

    Args:
        images: (N, 3, H, W).
        boxes: of the objects in these images.
    Returns:
        the images, the index (N,) of the image that each rectangle comes from, (N,) float32 share of the image's own
        class; without boxes that is the share of its own pixels.
    """
    height, width = images.shape[-2:]
    order = torch.randperm(len(images), generator=generator).to(images.device)
    share, x, y = _uniform((3,), generator).tolist()
    side = math.sqrt(1 - share)
    top, bottom = _span(y, side, height)
    left, right = _span(x, side, width)
    mixed = images.clone()
    mixed[..., top:bottom, left:right] = images[order][..., top:bottom, left:right]
    area = (bottom - top) * (right - left) / (height * width)
    covered = torch.full((len(images),), area, device=images.device)
    if boxes is not None:
        rectangle = torch.tensor([left / width, top / height, right / width, bottom / height]) * 2 - 1
        hidden = _overlap(boxes, rectangle.expand_as(boxes)).to(images.device)
        covered = ON_OBJECT * hidden + (1 - ON_OBJECT) * covered
    left_over, brought = 1 - covered, covered[order]
    return mixed, order, left_over / (left_over + brought)


def augment(
    images: Tensor, size: int, how: Augmentation, generator: Generator, boxes: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """One training batch: resampled, recoloured, some batches mixed.

    Args:
        images: (N, 3, H, W) uint8.
        size: side of the images that come out.
        boxes: of the objects in `images`, heeded where `how` says so.
    Returns:
        (N, 3, size, size) float32 in [0, 255]; the partner (N,) of each image; (N,) float32 share of the label that is
        its own (1 where nothing was mixed).
    """
    theta = placements(len(images), images.shape[-1], size, how, generator, boxes)
    changed = resample(images.float(), size, theta)
    if how.colour or how.grey:
        changed = jitter(changed, how.colour, how.grey, generator)
    if how.cutmix and float(_uniform((1,), generator)) < how.cutmix:
        return cutmix(changed, generator, None if boxes is None or not how.objects else placed(boxes, theta))
    return changed, torch.arange(len(images), device=images.device), torch.ones(len(images), device=images.device)


def steps(image: Tensor, partner: Tensor, how: Augmentation, generator: Generator) -> list[tuple[str, Tensor]]:
    """What happens to one image on its way into the network, step by step, for the data page.

    Args:
        image, partner: (3, H, W) uint8; the partner lends the rectangle of CutMix.
    Returns:
        (name of the step, (3, H, W) uint8 image after it), first the original.
    """
    size = image.shape[-1]
    shown = [("original", image.float())]
    now = resample(image[None].float(), size, placements(1, size, size, how, generator))
    shown.append(("cropped, turned, mirrored", now[0]))
    now = jitter(now, how.colour, 0.0, generator)
    shown.append(("brightness, contrast, saturation", now[0]))
    if how.cutmix:
        other = resample(partner[None].float(), size, placements(1, size, size, how, generator))
        pair = torch.cat([now, other])
        shown.append(("a rectangle of another image (CutMix)", _swapped(pair)[0]))
    return [(name, step.round().clamp(0, 255).to(torch.uint8)) for name, step in shown]


def _swapped(pair: Tensor) -> Tensor:
    """Both images of a pair with a centred-right rectangle of the other, an example of CutMix that shows both."""
    height, width = pair.shape[-2:]
    mixed = pair.clone()
    mixed[..., height // 2 :, width // 2 :] = pair.flip(0)[..., height // 2 :, width // 2 :]
    return mixed


def _shown(theta: Tensor) -> Tensor:
    """(N, 4) what crops show of their images, as boxes; a slight rotation makes them a little larger."""
    centre, half = theta[:, :, 2], theta[:, :, :2].abs().sum(2)
    return torch.cat([centre - half, centre + half], 1)


def _overlap(boxes: Tensor, others: Tensor) -> Tensor:
    """(N,) the share of each box's area that lies in the other; 0 for a box without area."""
    sides = torch.minimum(boxes[:, 2:], others[:, 2:]) - torch.maximum(boxes[:, :2], others[:, :2])
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return sides.clamp(min=0).prod(1) / area.clamp(min=1e-6)


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


def _moved(theta: Tensor, size: int, how: Augmentation, generator: Generator) -> Tensor:
    """`theta` (N, 2, 3) with some images' maps replaced by moves of up to SHIFT of the side, in whole pixels."""
    chosen, x, y, mirror = _uniform((4, len(theta)), generator)
    farthest = round(SHIFT * size)
    pixels = ((torch.stack([x, y]) * (2 * farthest + 1)).floor() - farthest) * (2 / size)
    sign = torch.where(mirror < 0.5, -1.0, 1.0) if how.flip else torch.ones(len(theta))
    none, one = torch.zeros(len(theta)), torch.ones(len(theta))
    moves = torch.stack([torch.stack([sign, none, pixels[0]], 1), torch.stack([none, one, pixels[1]], 1)], 1)
    return torch.where((chosen < how.unscaled).view(-1, 1, 1), moves, theta)


def _span(centre: float, side: float, length: int) -> tuple[int, int]:
    """First and last-plus-one pixel of a stretch around `centre`, cut off at the border."""
    start = round((centre - side / 2) * length)
    end = round((centre + side / 2) * length)
    return max(start, 0), min(end, length)


def _uniform(shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Uniform numbers in [0, 1), drawn on the generator's device so that one seed gives one result everywhere."""
    return torch.rand(shape, generator=generator, device=generator.device)
