"""The feature-maps page's figures: what each stage of a network answers to one photo."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from generator.exhibits.frames import framed
from generator.exhibits.weights import columns
from generator.exhibits.wording import cell, counted, number, percent, sentence, slug
from generator.figures import raster
from generator.records import Figure, Floats, Network, Photo, Pixels, StageMaps, Table

MOST_CELLS = (
    131_072  # activations in one mosaic (about 30 KB); beyond it the channels with the lowest mean are left out
)
BULK = 0.995  # of a stage's activations lie within its scale; the few above are painted in its end colour
WIDTH = 480  # stored pixels that a mosaic of small maps is enlarged to about


def feature_maps(network: Network, photo: Photo) -> tuple[Figure, ...]:
    """One mosaic a stage; none where the network was not shown this photo."""
    explanation = network.explanations.get(photo.id)
    return () if explanation is None else tuple(_stage(network, photo, stage) for stage in explanation.stages)


def by_mean(maps: Floats) -> NDArray[np.intp]:
    """Channels of (C, h, w), the one with the largest mean activation first, zero maps last."""
    return np.argsort(-maps.astype(np.float64).mean(axis=(1, 2)), kind="stable")


def scale_of(maps: Floats) -> float:
    """The activation below which `BULK` of them lie: one scale for a stage; its largest where most are 0."""
    size = np.abs(maps)
    return float(np.quantile(size, BULK)) or float(size.max())


def painted(maps: Floats, scale: float) -> Pixels:
    """(C, h, w) -> (C, h, w, 3): viridis from 0 to `scale`, or the diverging map where values are negative."""
    if maps.min() < 0:
        return raster.paint_signed(maps, scale)
    return raster.paint(maps / scale if scale > 0 else maps, "viridis", raster.LEVELS)


def _stage(network: Network, photo: Photo, stage: StageMaps) -> Figure:
    count, high, wide = stage.maps.shape
    order = by_mean(stage.maps)[: max(1, min(count, MOST_CELLS // (high * wide)))]
    shown = stage.maps[order]
    most = float(np.abs(stage.maps).max())
    scale = scale_of(stage.maps)
    silent = int((np.abs(stage.maps).max(axis=(1, 2)) == 0).sum())
    across = columns(len(order))
    struck = np.flatnonzero(np.abs(shown).max(axis=(1, 2)) == 0).tolist()
    factor = max(1, round(WIDTH / (across * (wide + 1))))
    pixels = raster.mosaic(painted(shown, scale), across, factor, max(1, factor // 2), struck)
    active = float((stage.maps > 0).mean())
    which = f"all {count}" if len(order) == count else f"the {len(order)} most active of {count}"
    silence = f"{counted(silent, 'map')} of {count} {'is' if silent < 2 else 'are'} silent"
    finding = f"{silence}, {percent(active, 0)} of all units are active"
    alt = (
        f"Mosaic of {which} feature maps of {network.title} after {stage.title} for the photo {photo.title}, "
        f"{wide} by {high} units each: {finding}, largest activation {number(most)}."
    )
    ends = f"−{number(scale)} (blue) to {number(scale)} (red)" if stage.maps.min() < 0 else f"0 to {number(scale)}"
    caption = (
        f"{network.title} after {stage.title} ({stage.layer}), photo: {photo.title}. {sentence(which)} maps of "
        f"{wide} × {high} units, sorted by mean activation; one scale for all: {ends}, within which {percent(BULK)} of "
        f"the activations lie, the largest is {number(most)}. Silent maps are left empty and struck through. "
        f"What to notice: {finding}."
    )
    means = stage.maps.astype(np.float64).mean(axis=(1, 2))
    table = Table(
        ("channel", "mean activation", "largest activation"),
        tuple((int(i), cell(float(means[i]), 4), cell(float(stage.maps[i].max()), 4)) for i in order[:16]),
    )
    return framed(
        f"{network.id}-maps-{photo.id}-{slug(stage.layer)}",
        pixels,
        alt=alt,
        caption=caption,
        pixelated=True,
        table=table,
    )
