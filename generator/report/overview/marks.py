"""The favicon, the section marks and the colour bars, made from the network's own filters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from generator.figures import grids, raster, theme
from generator.records.figure import Figure
from generator.records.images import Floats, Pixels
from generator.records.input import Input
from generator.report.plates.frames import FOLDER, framed
from generator.report.plates.painting import painted_kernels
from generator.report.story import STORY

ICONS = (32, 180)  # browser tab, Apple's home screen


def nearest_pixels(tile: Pixels, high: int, wide: int) -> Pixels:
    """A tile enlarged or reduced to (high, wide) by its nearest pixels."""
    rows = np.arange(high) * tile.shape[0] // high
    columns = np.arange(wide) * tile.shape[1] // wide
    stretched: Pixels = tile[rows][:, columns]
    return stretched


def _liveliest(kernels: Floats, way: Input) -> NDArray[np.intp]:
    """Filters by how far their colours lie apart, each to its own scale."""
    pictures = np.concatenate([_icon_pixels(kernels, way, index) for index in range(len(kernels))])
    spread = pictures.astype(np.float64).reshape(len(kernels), -1, 3).std(axis=1).sum(axis=1)
    return np.argsort(-spread, kind="stable")


def _icon_pixels(kernels: Floats, way: Input, index: int) -> Pixels:
    """(1, kh, kw, 3): one filter to its own scale."""
    return painted_kernels(kernels[[index]], float(np.abs(kernels[index]).max()), way)


def favicon(kernels: Floats, way: Input) -> Figure:
    """The liveliest kernel as the site's icon."""
    pixels = _icon_pixels(kernels, way, int(_liveliest(kernels, way)[0]))[0]
    path = f"{FOLDER}/favicon.svg"
    files = {path: grids.icon(pixels).encode()}
    for side in ICONS:
        files[f"{FOLDER}/favicon-{side}.png"] = raster.png(nearest_pixels(pixels, side, side))
    return Figure("favicon", "", "", pixels.shape[1], pixels.shape[0], src=path, files=files, pixelated=True)


def section_marks(kernels: Floats, way: Input) -> list[Figure]:
    """The liveliest kernels as the marks of the pages' sections."""
    order = _liveliest(kernels, way)
    return [
        Figure(
            f"mark-{page.name}",
            "",
            "",
            kernels.shape[3],
            kernels.shape[2],
            src=(path := f"{FOLDER}/mark-{page.name}.png"),
            files={path: raster.png(_icon_pixels(kernels, way, int(order[number % len(order)]))[0])},
            pixelated=True,
        )
        for number, page in enumerate(STORY)
    ]


def colour_bars() -> list[Figure]:
    """The bars that explain the colours of heat maps and feature maps."""
    ramp = np.linspace(0, 1, 256)[None]
    bars = {
        "scale-heat": (raster.paint(ramp, theme.HEAT), "from black, least, over red to pale yellow, most"),
        "scale-maps": (raster.paint(ramp, theme.MAPS), "from dark blue, least, over green to yellow, most"),
        "scale-weights": (
            raster.paint_signed(2 * ramp - 1, 1),
            "from blue, negative, over white, zero, to red, positive",
        ),
        "scale-colour": (
            raster.paint_colour(np.tile(2 * ramp - 1, (1, 3, 1, 1)), 1)[0],
            "from black, negative, over mid-grey, zero, to white, positive",
        ),
    }
    # Enlarged by a browser, pixel by pixel: with 256 steps nobody tells that from a smooth one.
    return [
        framed(name, pixels, alt=f"Colour scale {words}.", caption="", pixelated=True)
        for name, (pixels, words) in bars.items()
    ]
