"""Maps and feature maps as pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from generator.figures import raster, theme
from generator.records.images import Floats, Pixels
from generator.records.input import Input

BULK = 0.995  # of a stage's activations lie within its scale; the few above are painted in its end colour

VEIL = (0.0, 0.75)  # opacity of the heat map over the photo where the map is lowest and highest


def by_mean(maps: Floats) -> NDArray[np.intp]:
    """Channels of (C, h, w), the one with the largest mean activation first, zero maps last."""
    silent = np.abs(maps).max(axis=(1, 2)) == 0
    return np.lexsort((-maps.astype(np.float64).mean(axis=(1, 2)), silent))


def scale_of(maps: Floats) -> float:
    """The activation below which `BULK` of them lie: one scale for a stage; its largest where most are 0."""
    size = np.abs(maps)
    return float(np.quantile(size, BULK)) or float(size.max())


def painted(maps: Floats, scale: float) -> Pixels:
    """(C, h, w) -> (C, h, w, 3): viridis from 0 to `scale`, or the diverging map where values are negative."""
    if maps.min() < 0:
        return raster.paint_signed(maps, scale)
    return raster.paint(maps / scale if scale > 0 else maps, theme.MAPS, raster.LEVELS)


def painted_kernels(weights: Floats, scale: float, way: Input) -> Pixels:
    """First kernels as pictures, to one scale: in colour where red, green and blue go in, else signed.

    Args:
        weights: (O, I, kh, kw); of several channels that are no colours the first is shown.
        way: how the network takes images.
    Returns:
        (O, kh, kw, 3).
    """
    if weights.shape[1] == way.channels == 3:
        return raster.paint_colour(weights[:, ::-1] if way.order == "bgr" else weights, scale)
    return raster.paint_signed(weights[:, 0], scale)


def fitted(pixels: Pixels, box: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of the largest picture with the proportions of this one in a box of (height, width)."""
    high, wide = pixels.shape[:2]
    scale = min(box[0] / high, box[1] / wide)
    return max(1, round(scale * high)), max(1, round(scale * wide))


def boxed(pixels: Pixels, box: tuple[int, int]) -> Pixels:
    """A picture in the middle of a transparent box of (height, width); one that fills it as it is."""
    high, wide = pixels.shape[:2]
    if (high, wide) == box:
        return pixels
    return raster.compose(*box, [(pixels, (box[0] - high) // 2, (box[1] - wide) // 2)])


def overlay(photo: Pixels, cam: Floats, most: float) -> Pixels:
    """The photo under its smooth heat map, which is the more opaque the higher the map; where that is 0, as it is.

    Args:
        most: of the scale, which maps that are compared have in common.
    """
    return raster.laid_over(photo, raster.shares(raster.resize(cam, *photo.shape[:2]), most), VEIL)
