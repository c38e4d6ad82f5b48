"""A photo as a network is given it: resized and cropped to its square."""

from __future__ import annotations

import numpy as np
import PIL
from PIL import Image

from generator.records.images import Pixels

# From version 13 on Pillow shrinks pictures more than twice as high as wide vertically first (its pull request 9549),
# which rounds otherwise: whoever repeats `square` elsewhere must know.
TALL_FIRST = int(PIL.__version__.split(".")[0]) >= 13


def square(pixels: Pixels, size: int, resize: int | None = None) -> Pixels:
    """The centre of a photo as a network is given it.

    As torchvision's Resize(resize) and CenterCrop(size) on a PIL image: the shorter side is brought to `resize`
    bilinearly with antialiasing, then the middle is cut out.

    Args:
        pixels: (H, W, 3) uint8.
        size: side of the result, in pixels.
        resize: shorter side before the cut; `size` where it is None, so that nothing is lost on that side.
    Returns:
        (size, size, 3) uint8.
    """
    short = size if resize is None else resize
    if short < size:
        raise ValueError(f"resize {short} is smaller than size {size}")
    height, width = pixels.shape[:2]
    # torchvision truncates the longer side (transforms/functional.py, _compute_resized_output_size).
    new_height, new_width = (
        (int(short * height / width), short) if width <= height else (short, int(short * width / height))
    )
    resized = pixels
    if (new_height, new_width) != (height, width):
        resized = np.asarray(Image.fromarray(pixels).resize((new_width, new_height), Image.Resampling.BILINEAR))
    top, left = round((new_height - size) / 2), round((new_width - size) / 2)
    return np.ascontiguousarray(resized[top : top + size, left : left + size])
