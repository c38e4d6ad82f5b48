"""An image as a network is given it: its channels, its size, its middle. The numpy face of `records.input.Input`."""

from __future__ import annotations

import numpy as np
import PIL
from PIL import Image

from generator.base.errors import InputError
from generator.records.images import Pixels
from generator.records.input import Input

# From version 13 on Pillow shrinks vertically first what loses more than twice as much of its height as of its width
# (its pull request 9549), which rounds otherwise: whoever repeats `seen` elsewhere must know.
TALL_FIRST = int(PIL.__version__.split(".")[0]) >= 13
RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def seen(pixels: Pixels, way: Input) -> Pixels:
    """What a network is given of an image, before the mean is taken off.

    As torchvision's Grayscale, Resize and CenterCrop on a PIL image: resampled with antialiasing, then cut.

    Args:
        pixels: (H, W, 3) uint8.
    Returns:
        (h, w, C) uint8, of the size and the channels that `way` names.
    Raises:
        InputError: for a network that takes other images than in colour or in grey.
    """
    require_photographic(way)
    picture = Image.fromarray(pixels)
    if way.channels == 1:
        picture = picture.convert("L")
    height, width = pixels.shape[:2]
    new_height, new_width = way.resized(height, width)
    if (new_height, new_width) != (height, width):
        picture = picture.resize((new_width, new_height), RESAMPLING[way.interpolation])
    found = np.asarray(picture).reshape(new_height, new_width, way.channels)
    found = np.pad(found, (*way.margins(new_height, new_width), (0, 0)))
    top, left = (max(0, start) for start in way.cut(new_height, new_width))
    return np.ascontiguousarray(found[top : top + way.size[0], left : left + way.size[1]])


def require_photographic(way: Input) -> None:
    """Refuse an input of other channels than an image here can be brought to."""
    if not way.takes_photos:
        raise InputError(
            f"expected a network that takes images of 3 channels, or of 1 for grey, got one that takes {way.channels}: "
            "images are read in colour here, and nothing else can be shown to a network"
        )


def in_colour(given: Pixels) -> Pixels:
    """What a network was given, (H, W, C), as a picture to be shown: (H, W, 3)."""
    return given if given.shape[2] == 3 else np.repeat(given[..., :1], 3, axis=2)


def square(pixels: Pixels, size: int, resize: int | None = None) -> Pixels:
    """The centre of a photo as a square in colour: (size, size, 3) uint8.

    Args:
        pixels: (H, W, 3) uint8.
        size: side of the result, in pixels.
        resize: shorter side before the cut; `size` where it is None, so that nothing is lost on that side.
    """
    if resize is not None and resize < size:
        raise ValueError(f"resize {resize} is smaller than size {size}")
    if resize in (None, size) and pixels.shape[:2] == (size, size):
        return pixels
    return seen(pixels, Input((size, size), resize or size))
