"""Maps and feature maps as pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from generator.figures import raster, theme
from generator.records.images import Floats, Pixels

BULK = 0.995  # of a stage's activations lie within its scale; the few above are painted in its end colour

VEIL = (0.15, 0.65)  # opacity of the heat map over the photo where the map is lowest and highest


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


def fitted(seen: Pixels, side: int) -> tuple[int, int]:
    """(height, width) of the largest picture with the proportions of what a network saw in a square of `side`."""
    high, wide = seen.shape[:2]
    return max(1, round(side * high / max(high, wide))), max(1, round(side * wide / max(high, wide)))


def squared(pixels: Pixels, side: int) -> Pixels:
    """A picture in the middle of a transparent square; one that fills it as it is."""
    high, wide = pixels.shape[:2]
    if high == wide == side:
        return pixels
    return raster.compose(side, side, [(pixels, (side - high) // 2, (side - wide) // 2)])


def overlay(photo: Pixels, cam: Floats) -> Pixels:
    """The photo under its smooth heat map, which is the more opaque the higher the map."""
    values = raster.min_max(raster.resize(cam, *photo.shape[:2]))
    return raster.laid_over(photo, values, VEIL)
