"""Images as a network takes them: fitted to its size and normalised."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor

from generator.base.errors import InputError

# ImageNet's statistics, which torchvision's weights expect; Tiny ImageNet's own differ by less than 0.03.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

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


def fitted(images: Tensor, size: int, resize: int | None = None) -> Tensor:
    """Images of one size as a network is given them: `photos.square` for a whole batch.

    Args:
        images: (N, 3, H, H) uint8.
        size: side of the result; cut from the centre after the side was brought to `resize`.
    Returns:
        (N, 3, size, size) uint8. torch's antialiased uint8 resampling is Pillow's to the last bit for the doubling that
        AlexNet needs (64 to 128 and to 256 pixels), and within two levels elsewhere.
    """
    resize = resize or size
    if images.shape[-1] != resize:
        images = F.interpolate(images, size=(resize, resize), mode="bilinear", align_corners=False, antialias=True)
    start = round((resize - size) / 2)
    return images[..., start : start + size, start : start + size]


def normalise(images: Tensor) -> Tensor:
    """uint8 (N, 3, H, W), or float32 in [0, 255], -> float32 with ImageNet's mean 0 and standard deviation 1."""
    mean = torch.tensor(MEAN, device=images.device).view(1, 3, 1, 1) * 255
    std = torch.tensor(STD, device=images.device).view(1, 3, 1, 1) * 255
    return (images.float() - mean) / std
