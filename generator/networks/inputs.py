"""Images as a network takes them: fitted to its size and normalised."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from generator.base.errors import InputError
from generator.data.preprocessing import seen
from generator.records.input import Input

# torch has no Lanczos, and where sizes do not divide another nearest pixel.
PILLOW_S = ("nearest", "lanczos")
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
    height, width = way.resized(*images.shape[-2:])
    moved = (height, width) != tuple(images.shape[-2:])
    if moved and way.interpolation in PILLOW_S:
        every = [seen(image.permute(1, 2, 0).cpu().numpy(), way) for image in images]
        return torch.from_numpy(np.stack(every)).permute(0, 3, 1, 2).to(images.device)
    images = as_channels(images, way)
    if moved:
        images = F.interpolate(
            images, size=(height, width), mode=way.interpolation, align_corners=False, antialias=True
        )
    above, beside = way.margins(height, width)
    images = F.pad(images, (*beside, *above))
    top, left = (max(0, start) for start in way.cut(height, width))
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
