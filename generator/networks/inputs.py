"""Images as a network takes them: fitted to its size and normalised."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from generator.base.errors import InputError
from generator.data.preprocessing import require_photographic, seen
from generator.records.input import Input

LUMA = (19595, 38470, 7471)  # ITU-R 601 in 65536ths
# How torch says that memory ran out: on GPUs, on the CPU of Linux and macOS, of Windows, in cuBLAS and in cuDNN.
NO_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "_STATUS_ALLOC_FAILED",
    "ALLOCATION_FAILED",
)
# What helps where the batch cannot be made smaller.
OTHERS = "close what else uses it (with CUDA_VISIBLE_DEVICES=-1 the GPU is left out)"


@contextmanager
def memory_explained(batch: int, advice: str = OTHERS) -> Iterator[None]:
    """Memory that runs out inside as one line with its mend; any other error as it is."""
    try:
        yield
    except RuntimeError as error:  # torch has no common class for it
        if any(words in str(error) for words in NO_MEMORY):
            raise InputError(f"out of memory with batches of {batch}; {advice}") from error
        raise


def fitted(images: Tensor, way: Input) -> Tensor:
    """Images of one size as a network is given them: `data.preprocessing.seen` for a whole batch, to the last bit.

    Args:
        images: (N, 3, H, W) uint8.
    Returns:
        (N, C, h, w) uint8, on the images' device.
    Raises:
        InputError: for a network that takes other images than in colour or in grey.
    """
    require_photographic(way)
    before = (images.shape[-2], images.shape[-1])
    after = way.resized(*before)
    if after != before and not _as_pillow(before, after, way):
        every = [seen(image.permute(1, 2, 0).cpu().numpy(), way) for image in images]
        return torch.from_numpy(np.stack(every)).permute(0, 3, 1, 2).to(images.device)
    images = as_channels(images, way)
    if after != before:  # on the CPU, for what torch makes of bytes elsewhere is not told
        resampled = F.interpolate(images.cpu(), size=after, mode="bilinear", align_corners=False, antialias=True)
        images = resampled.to(images.device)
    above, beside = way.margins(*after)
    images = F.pad(images, (*beside, *above))
    top, left = (max(0, start) for start in way.cut(*after))
    return images[..., top : top + way.size[0], left : left + way.size[1]]


def _as_pillow(before: tuple[int, int], after: tuple[int, int], way: Input) -> bool:
    """Whether torch resamples as Pillow does: bilinearly, to 1, 2, 4, ... times as much.

    The weights are then whole numbers of a power of two, which both hold exactly. Others torch rounds to 16 bits, so
    that a value may differ by two; it has no Lanczos, and another nearest pixel.
    """
    times = [new // old if new % old == 0 else 0 for old, new in zip(before, after, strict=True)]
    return way.interpolation == "bilinear" and all(each and each & (each - 1) == 0 for each in times)


def as_channels(images: Tensor, way: Input) -> Tensor:
    """Images in colour as grey ones where a network takes those: (N, 3, H, W) -> (N, C, H, W) of the same dtype.

    Of uint8 exactly as Pillow's convert("L"), whose fixed-point weights these are.
    """
    if way.channels == images.shape[1]:
        return images
    weights = torch.tensor(LUMA, device=images.device).view(1, 3, 1, 1)
    if images.is_floating_point():
        return (images * (weights / 2**16)).sum(1, keepdim=True)
    return ((images.int() * weights).sum(1, keepdim=True) + 2**15 >> 16).to(torch.uint8)


def normalise(images: Tensor, way: Input) -> Tensor:
    """uint8 (N, C, H, W), or float32 in [0, 255], -> float32 with the input's mean 0 and standard deviation 1.

    The images are red first, whatever the network takes.
    """
    by = 255 / way.range
    mean, std = (torch.tensor(values, device=images.device).view(1, -1, 1, 1) * by for values in (way.mean, way.std))
    images = images.flip(1) if way.order == "bgr" else images
    return (images.float() - mean) / std
