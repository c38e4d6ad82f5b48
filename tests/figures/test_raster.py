"""The colours of pictures, against matplotlib's own."""

from __future__ import annotations

import itertools
from typing import get_args

import numpy as np

from generator.figures import raster, theme


def test_colour_maps_are_matplotlibs() -> None:
    import matplotlib

    for name, steps in itertools.product(get_args(theme.Palette), (2, 10, 64, 256)):
        theirs = matplotlib.colormaps[name](np.linspace(0, 1, steps))[:, :3]
        np.testing.assert_array_equal(raster.palette(name, steps), (theirs * 255).round())
    for steps in (5, raster.SIGNED_STEPS):  # of the page that runs a network, and of pictures
        count = 2 * steps + 1
        theirs = matplotlib.colormaps[theme.SIGNED].resampled(count)(np.arange(count))[:, :3]
        np.testing.assert_array_equal(raster.signed_palette(steps), (theirs * 255).round())
