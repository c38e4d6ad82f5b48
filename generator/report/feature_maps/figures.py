"""The feature-maps page's figures: what each stage of a network answers to one photo."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from generator.base.names import slug
from generator.figures import raster, theme
from generator.records.figure import Figure, Table
from generator.records.images import Photo, Pixels
from generator.records.network import Network, StageMaps
from generator.report.feature_maps.facts import drawn
from generator.report.plates.frames import framed
from generator.report.plates.numbers import columns
from generator.report.plates.painting import BULK, by_mean, painted, scale_of
from generator.report.plates.wording import cell, counted, number, percent, place, sentence

WIDTH = 480  # stored pixels that a mosaic of small maps is enlarged to about
LOW = 8  # stored pixels: height of the mark of a silent map at the end of a stage
BAR = 3  # stored pixels: height of the bar below a map that is as long as its mean activation is large
FIRST = 16  # maps in the order of their channels
FIRST_SIDE = 60  # stored pixels of one of them, about
LISTED = 16  # maps whose numbers are listed


def feature_map_figures(network: Network, photo: Photo) -> tuple[Figure, ...]:
    """One mosaic a stage, and the first maps after each max pooling; none where it was not shown this photo."""
    explanation = network.explanations.get(photo.id)
    if explanation is None:
        return ()
    pooled = pooled_layers(network)
    return (
        *(_stage(network, photo, stage) for stage in explanation.stages),
        *(_first(network, photo, stage) for stage in explanation.stages if stage.layer in pooled),
        *(_heads(network, photo, block) for block in explanation.heads),
    )


def pooled_layers(network: Network) -> frozenset[str]:
    """The layers that are max poolings, by their description in the architecture's summary."""
    return frozenset(layer for layer, what, _ in network.summary if what.startswith("maximum pooling"))


def _stage(network: Network, photo: Photo, stage: StageMaps) -> Figure:
    count, high, wide = stage.maps.shape
    order = by_mean(stage.maps)[: drawn(count, high, wide)]
    shown = stage.maps[order]
    most = float(np.abs(stage.maps).max())
    scale = scale_of(stage.maps)
    silent = int((np.abs(stage.maps).max(axis=(1, 2)) == 0).sum())
    across = columns(len(order))
    struck = np.flatnonzero(np.abs(shown).max(axis=(1, 2)) == 0).tolist()
    factor = max(1, round(WIDTH / (across * (wide + 1))))
    means = stage.maps.astype(np.float64).mean(axis=(1, 2))
    strongest = float(np.abs(means).max())
    pixels = _barred(painted(shown, scale), np.abs(means[order]) / (strongest or 1), across, factor, struck, low=True)
    active = float((stage.maps > 0).mean())
    which = f"all {count}" if len(order) == count else f"the {len(order)} most active of {count}"
    silence = f"{counted(silent, 'map')} of {count} {'is' if silent < 2 else 'are'} silent"
    finding = f"{silence}, {percent(active, 0)} of all units are active"
    alt = (
        f"Mosaic of {which} feature maps of {network.title} after {stage.title} for the photo {photo.title}, "
        f"{high} by {wide} units each: {finding}, largest activation {number(most)}."
    )
    ends = f"−{number(scale)} (blue) to {number(scale)} (red)" if stage.maps.min() < 0 else f"0 to {number(scale)}"
    caption = (
        f"{network.title} after {stage.title} ({stage.layer}), photo: {photo.title}. {sentence(which)} maps of "
        f"{high} × {wide} units, sorted by mean activation; one scale for all: {ends}, within which {percent(BULK)} of "
        f"the activations lie, the largest is {number(most)}. The bar below a map is its mean activation, the longest "
        f"{number(strongest)}. Each silent map is a stroke at the end. "
        f"What to notice: {finding}."
    )
    table = Table(
        ("channel", "mean activation", "largest activation"),
        tuple((int(i), cell(float(means[i]), 4), cell(float(stage.maps[i].max()), 4)) for i in order[:LISTED]),
    )
    return framed(
        f"{network.anchor}-maps-{photo.id}-{slug(stage.layer)}",
        pixels,
        alt=alt,
        caption=caption,
        pixelated=True,
        table=table,
    )


def _heads(network: Network, photo: Photo, block: StageMaps) -> Figure:
    """What each head of a block attends to, in the order of the heads, each over its own range."""
    count, high, wide = block.maps.shape
    sums = block.maps.astype(np.float64).sum(axis=(1, 2))
    peaks = block.maps.max(axis=(1, 2))
    each = np.stack([raster.paint(one / (one.max() or 1), theme.MAPS) for one in block.maps])
    factor = max(1, round(WIDTH / (columns(count) * (wide + 1))), 2)
    focused, broad = int(peaks.argmax()), int(peaks.argmin())
    finding = (
        f"head {focused} puts most on one patch, {percent(float(peaks[focused]))}, {place(block.maps[focused])}; "
        f"head {broad} least, {percent(float(peaks[broad]))}"
    )
    alt = (
        f"Mosaic of what the {counted(count, 'attention head')} of {network.title}’s {block.title} attend to on the "
        f"photo {photo.title}, {high} by {wide} patches each: {finding}."
    )
    caption = (
        f"{network.title}, {block.title} ({block.layer}), photo: {photo.title}: {counted(count, 'head')}, "
        f"{high} × {wide} patches each. What to notice: {finding}."
    )
    rows = tuple(
        (head, cell(float(sums[head]) * 100, 1), cell(float(peaks[head]) * 100, 1), place(block.maps[head]))
        for head in range(count)
    )
    return framed(
        f"{network.anchor}-heads-{photo.id}-{slug(block.layer)}",
        _barred(each, sums, columns(count), factor),
        alt=alt,
        caption=caption,
        pixelated=True,
        table=Table(("head", "of all patches, %", "of one at most, %", "where"), rows),
    )


def _barred(
    tiles: Pixels, lengths: NDArray[np.float64], across: int, factor: int, struck: Sequence[int] = (), low: bool = False
) -> Pixels:
    """A mosaic with a bar below each tile, as long as its share of [0, 1] of the tile's width.

    Args:
        struck: tiles with nothing to show; with `low` the last ones, which get rows of their own of low strokes, since
            there may be hundreds.
    """
    high, wide, gap = tiles.shape[1] * factor, tiles.shape[2] * factor, max(2, factor // 2)
    shown = len(tiles) - len(struck) if low else len(tiles)
    step = high + 1 + BAR + gap
    panels: list[tuple[Pixels, int, int]] = []
    for index in range(shown):
        top, left = index // across * step, index % across * (wide + gap)
        lost = index in struck
        panels.append((raster.stroke(high, wide) if lost else raster.enlarge(tiles[index], factor), top, left))
        if lengths[index] > 0:
            bar = np.full((BAR, max(1, round(lengths[index] * wide)), 4), theme.STRUCK, np.uint8)
            panels.append((bar, top + high + 1, left))
    below = -(-shown // across) * step
    lows = len(tiles) - shown
    panels += [
        (raster.stroke(LOW, wide), below + place // across * (LOW + gap), place % across * (wide + gap))
        for place in range(lows)
    ]
    height = below + -(-lows // across) * (LOW + gap) - gap
    return raster.compose(height, min(across, len(tiles)) * (wide + gap) - gap, panels)


def _first(network: Network, photo: Photo, stage: StageMaps) -> Figure:
    """The first `FIRST` maps in the order of their channels, not sorted."""
    maps = stage.maps[:FIRST]
    count, high, wide = maps.shape
    most = float(np.abs(maps).max())
    struck = np.flatnonzero(np.abs(maps).max(axis=(1, 2)) == 0).tolist()
    means = maps.astype(np.float64).mean(axis=(1, 2))
    strongest = float(np.abs(means).max())
    factor = max(1, round(FIRST_SIDE / wide))
    pixels = _barred(painted(maps, most), np.abs(means) / (strongest or 1), 4, factor, struck)
    finding = f"{counted(len(struck), 'map')} of {count} {'is' if len(struck) < 2 else 'are'} silent"
    ends = f"−{number(most)}, blue, to {number(most)}, red" if maps.min() < 0 else f"0 to {number(most)}"
    alt = (
        f"The first {count} feature maps of {network.title} after the max pooling {stage.layer} for the photo "
        f"{photo.title}, {high} by {wide} units each: {finding}, largest activation {number(most)}."
    )
    caption = (
        f"After {stage.layer}: channels 0 to {count - 1} in reading order, {high} × {wide} units each; one scale from "
        f"{ends}, their largest activation; the bar below a map is its mean, the longest "
        f"{number(strongest)}; {finding}."
    )
    table = Table(
        ("channel", "mean activation", "largest activation"),
        tuple((i, cell(float(means[i]), 4), cell(float(maps[i].max()), 4)) for i in range(count)),
    )
    return framed(
        f"{network.anchor}-first-{photo.id}-{slug(stage.layer)}",
        pixels,
        alt=alt,
        caption=caption,
        pixelated=True,
        table=table,
    )
