"""Images as a network takes them: fitted to its size and normalised."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor

from generator.base.errors import InputError
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
    """Images of one size as a network is given them: `data.preprocessing.seen` for a whole batch.

    Args:
        images: (N, 3, H, W) uint8.
    Returns:
        (N, C, h, w) uint8. torch's antialiased uint8 resampling is Pillow's to the last bit for the doubling that
        AlexNet needs (64 to 128 and to 256 pixels), and within two levels elsewhere.
    """
    images = as_channels(images, way)
    height, width = way.resized(*images.shape[-2:])
    if (height, width) != tuple(images.shape[-2:]):
        smooth = way.interpolation in ("bilinear", "bicubic")
        images = F.interpolate(
            images,
            size=(height, width),
            mode=way.interpolation if smooth else "nearest-exact",
            align_corners=False if smooth else None,
            antialias=smooth,
        )
    top, left = way.cut(height, width)
    return images[..., top : top + way.size[0], left : left + way.size[1]]


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
    """uint8 (N, C, H, W), or float32 in [0, 255], -> float32 with the input's mean 0 and standard deviation 1."""
    by = 255 / way.range
    mean, std = (torch.tensor(values, device=images.device).view(1, -1, 1, 1) * by for values in (way.mean, way.std))
    return (images.float() - mean) / std
