"""A picture or a chart with its words as a `Figure` of the report."""

from __future__ import annotations

from generator.figures import raster
from generator.figures.svg import Chart
from generator.records.figure import Figure, Table
from generator.records.images import Pixels

FOLDER = "assets/figures"
PHOTO = 84  # WebP quality of photos and overlays: about 1.5 KB for 64 x 64 pixels
SMALL = 92  # of photos so small that they are shown enlarged, where an artefact would be as large as a pixel


def framed(
    figure_id: str,
    pixels: Pixels,
    *,
    alt: str,
    caption: str,
    quality: int | None = None,
    pixelated: bool = False,
    enlarged: bool = False,
    table: Table | None = None,
    data: Table | None = None,
    name: str = "",
) -> Figure:
    """One WebP file; lossless unless a quality is given. `name` is the file's, if it is not the figure's id."""
    path = f"{FOLDER}/{name or figure_id}.webp"
    return Figure(
        id=figure_id,
        alt=alt,
        caption=caption,
        width=pixels.shape[1],
        height=pixels.shape[0],
        src=path,
        files={path: raster.webp(pixels, quality, enlarged=enlarged or pixelated)},
        pixelated=pixelated,
        table=table,
        data=data,
    )


def charted(figure_id: str, chart: Chart, *, alt: str, caption: str, table: Table, data: Table | None = None) -> Figure:
    """One inline chart and the numbers behind it."""
    return Figure(figure_id, alt, caption, chart.width, chart.height, svg=chart.svg, table=table, data=data)
