"""The filters page's figures: each convolution's weights, pixel for pixel, and the norms of all its filters."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from generator.base.names import slug
from generator.figures import charts, raster, theme
from generator.records.figure import Figure, Table
from generator.records.images import Floats, Pixels
from generator.records.input import Input
from generator.records.network import Layer, Network
from generator.report.plates.frames import charted, framed
from generator.report.plates.numbers import (
    BULK,
    DEAD,
    Alike,
    columns,
    dead,
    duplicates,
    in_colour,
    largest,
    mosaic_room,
    nearest,
    norms,
    slice_scale,
)
from generator.report.plates.painting import painted_kernels
from generator.report.plates.wording import cell, counted, number, percent, sentence

FILTERS = 16  # rows of a deeper layer's mosaic
SLICES = 24  # its columns
TILE = 66  # stored pixels of a first-layer filter: 3x3 weights become 22 times, 11x11 six times as large
SLICE = 21  # of one input slice of a deeper filter
SLICE_GAP = 2
BAR = 64  # stored pixels of the largest norm's bar, at least
FEWEST = 4  # columns of a mosaic: fewer filters would be as large as a page
RING = 2  # stored pixels of the frame around a duplicate


def first_layer_scale(networks: Iterable[Network]) -> float:
    """The scale of the first layers' colours: within it lie `BULK` of the weights of each of these networks."""
    return max((slice_scale(one.kernels) for one in networks if one.kernels is not None), default=0.0)


def pictured(network: Network) -> tuple[Layer, ...]:
    """The convolutions whose weights are drawn: the first, and those that have pages."""
    paged = {layer.name for layer in network.layers}
    return tuple(layer for layer in network.convolutions if layer.number == 1 or layer.name in paged)


def filter_figures(network: Network, scale: float | None = None) -> tuple[Figure, ...]:
    """A mosaic and a strip of norms for each convolution that is `pictured`.

    Args:
        scale: of the first layer's colours, see `first_layer_scale`; this network's own if None.
    """
    found: list[Figure] = []
    for layer in pictured(network):
        weights = layer.weights
        assert weights is not None
        alike = nearest(weights)  # once for all that is told of it
        if in_colour(network, layer):
            own = first_layer_scale([network]) if scale is None else scale
            found.append(_whole(network, layer, weights, own, alike))
        elif weights.shape[1] == 1:
            found.append(_whole(network, layer, weights, slice_scale(weights), alike))
        else:
            found.append(_slices(network, layer, weights, alike))
        found.append(_norm_strip(network, layer, weights, alike))
    return tuple(found)


def whole(weights: Floats, scale: float, way: Input, tile: int = TILE, gap: int = 5, across: int = 0) -> Pixels:
    """Filters of one input channel, signed, or of three, in colour, as a mosaic.

    Args:
        weights: (O, 1 or 3, kh, kw).
        way: how the network takes images.
    Returns:
        RGBA, dead filters struck through, duplicates framed.
    """
    painted = painted_kernels(weights, scale, way)
    factor = max(1, tile // max(painted.shape[1:3]))
    struck = [int(index) for index in dead(norms(weights))]
    wide = across or max(FEWEST if len(painted) < FEWEST else 1, columns(len(painted)))
    sheet = raster.mosaic(painted, wide, factor, gap, struck)
    high, broad = painted.shape[1] * factor, painted.shape[2] * factor
    for index in duplicates(weights):
        _frame(sheet, index // wide * (high + gap), index % wide * (broad + gap), high, broad)
    return sheet


def _whole(network: Network, layer: Layer, every: Floats, scale: float, alike: Alike) -> Figure:
    """All filters of a layer whose filters are pictures: in colour, or signed where there is one channel to look at."""
    chosen = largest(every, mosaic_room(every))
    weights = every[chosen]
    among = alike if len(chosen) == len(every) else nearest(weights)
    sizes = norms(weights)
    high, wide = weights.shape[2:]
    own = float(np.abs(weights).max())
    colour = in_colour(network, layer)
    finding = f"{_are(len(dead(sizes)))} dead; {_repeating(weights, among)}"
    finding = f"{_grey(weights)}; {finding}" if colour else finding
    of = f"all {len(sizes)}" if len(sizes) == len(every) else f"the {len(sizes)} largest of {len(every)}"
    zero = "zero is mid-grey" if colour else "blue is negative, white zero, red positive"
    alt = (
        f"{'Colour mosaic' if colour else 'Mosaic'} of the {len(sizes)} filters of {network.title}’s {layer.title}, "
        f"{high} by {wide} pixels each: {finding}."
    )
    caption = (
        f"{network.title}, {layer.title} ({layer.name}): {of} filters in the order of their channels, "
        f"{high} × {wide} weights{' for red, green and blue' if colour else ''}, pixel for pixel. One scale for all: "
        f"−{number(scale)} to {number(scale)}, within which {percent(float((np.abs(weights) <= scale).mean()), 0)} of "
        f"the weights lie; {zero}, this network’s largest weight is {number(own)}. What to notice: {finding}."
        + (" A dead filter is left empty and struck through." if len(dead(sizes)) else "")
        + (" A filter that repeats another is framed." if duplicates(weights, alike=among) else "")
    )
    table = _filters_table(every, chosen, alike)
    return framed(
        f"{network.anchor}-filters-{slug(layer.name)}",
        whole(weights, scale, network.input),
        alt=alt,
        caption=caption,
        pixelated=True,
        table=table,
    )


def _slices(network: Network, layer: Layer, weights: Floats, alike: Alike) -> Figure:
    """Rows: filters over the whole range of norms, largest first; columns: input channels with the largest weights."""
    count, inputs, high, wide = weights.shape
    sizes = norms(weights)
    chosen = _spread(np.argsort(-sizes, kind="stable"), FILTERS)
    strengths = np.sqrt((weights[chosen].astype(np.float64) ** 2).sum(axis=(0, 2, 3)))
    channels = np.sort(np.argsort(-strengths, kind="stable")[:SLICES])
    shown = weights[np.ix_(chosen, channels)]
    scale = slice_scale(weights)
    tiles = raster.paint_signed(shown.reshape(-1, high, wide), scale)
    lost = np.isin(chosen, dead(sizes)).repeat(len(channels))
    struck = np.flatnonzero(lost).tolist()
    sheet = raster.mosaic(tiles, len(channels), max(1, SLICE // max(high, wide)), SLICE_GAP, struck, theme.JOINT)
    pixels = _with_bars(sheet, sizes[chosen] / max(sizes.max(), 1e-12))
    finding = f"norms from {number(float(sizes[chosen].max()))} to {number(float(sizes[chosen].min()))}"
    alt = (
        f"Mosaic of weights of {network.title}’s {layer.title}: {len(chosen)} of {count} filters by {len(channels)} of "
        f"{inputs} input channels, {high} by {wide} weights each: {finding}."
    )
    some = len(chosen) < count
    rows = f"{len(chosen)} of {count} filters, evenly over their ranks by norm" if some else "every filter"
    few = len(channels) < inputs
    across = f"the {len(channels)} of {inputs} input channels with the largest weights there" if few else "every input"
    caption = (
        f"{network.title}, {layer.title} ({layer.name}). Rows: {rows}, largest first; columns: {across}; {high} × "
        f"{wide} weights each, pixel for pixel. Blue: negative, white: zero, red: positive; scale −{number(scale)} to "
        f"{number(scale)}, within which {percent(BULK, 0)} of the layer’s weights lie. The bar at the end of a row is "
        f"the filter’s norm: {finding}."
        + (" The rows of dead filters are struck through." if any(lost) else "")
        + f" What to notice: of the whole layer {_are(len(dead(sizes)))} dead; {_repeating(weights, alike)}."
    )
    table = _filters_table(weights, chosen, alike)
    return framed(
        f"{network.anchor}-filters-{slug(layer.name)}", pixels, alt=alt, caption=caption, pixelated=True, table=table
    )


def _norm_strip(network: Network, layer: Layer, weights: Floats, alike: Alike) -> Figure:
    figure_id = f"{network.anchor}-norms-{slug(layer.name)}"
    sizes = norms(weights)
    ranked = np.sort(sizes)[::-1]
    lost = len(dead(sizes))
    middle = float(np.median(ranked))
    alt = (
        f"Strip chart of the norms of the {len(sizes)} filters of {network.title}’s {layer.title}, largest first: from "
        f"{number(float(ranked[0]))} over the median {number(middle)} to {number(float(ranked[-1]))}; "
        f"{counted(lost, 'dead filter')}."
    )
    caption = (
        f"{sentence(layer.title)}: norms of all {len(sizes)} filters; {counted(lost, 'filter')} below "
        f"{percent(DEAD, 0)} of the largest, which counts as dead."
    )
    marks = (("largest", 0.0), ("upper quarter", 0.25), ("median", 0.5), ("lower quarter", 0.75), ("smallest", 1.0))
    rows = tuple((name, cell(float(np.quantile(sizes, 1 - share)), 4)) for name, share in marks)
    repeated = len(duplicates(weights, sizes, alike))
    counts = (("number of dead filters", lost), ("number of filters that repeat another", repeated))
    table = Table(("of the filters", "norm"), (*rows, *counts))
    chart = charts.strip(figure_id, alt, ranked, x_label="filters, largest norm first", y_label="norm of the weights")
    return charted(figure_id, chart, alt=alt, caption=caption, table=table)


def _spread(ranked: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """At most `most` of the ranked entries, evenly from the first to the last."""
    if len(ranked) <= most:
        return ranked
    places = np.linspace(0, len(ranked) - 1, most).round().astype(np.intp)
    spread: NDArray[np.intp] = ranked[places]
    return spread


def _with_bars(sheet: Pixels, lengths: NDArray[np.float64]) -> Pixels:
    """A grey bar right of each row of the mosaic, of `lengths` in [0, 1].

    Where the mosaic is narrow the bars are the longer: all such pictures are about as wide, and so a page shows weights
    in about one size.
    """
    height, width = sheet.shape[:2]
    longest = max(BAR, SLICES * (SLICE + SLICE_GAP) - SLICE_GAP + BAR - width)
    step = (height + SLICE_GAP) // len(lengths)
    bars: list[tuple[Pixels, int, int]] = []
    for row, length in enumerate(lengths):
        bar = np.full((max(2, step // 3), max(1, round(length * longest)), 4), theme.STRUCK, np.uint8)
        bars.append((bar, row * step + (step - SLICE_GAP - bar.shape[0]) // 2, width + 8))
    return raster.compose(height, width + 8 + longest, [(sheet, 0, 0), *bars])


def _grey(weights: Floats) -> str:
    """How many filters look at light and dark alone, from the share of their weights that the mean colour explains."""
    mean = weights.astype(np.float64).mean(axis=1, keepdims=True)
    whole = np.maximum((weights.astype(np.float64) ** 2).sum(axis=(1, 2, 3)), 1e-24)
    share = 3 * (mean**2).sum(axis=(1, 2, 3)) / whole
    grey = int((share >= 0.9).sum())
    return f"{_are(grey)} nearly without colour, {len(share) - grey} prefer a colour"


def _repeating(weights: Floats, alike: Alike) -> str:
    """How many filters repeat another, and which two are most alike."""
    closest, cosines = alike
    count = len(duplicates(weights, alike=alike))
    said = f"{_are(count)} a duplicate" if count < 2 else f"{_are(count)} duplicates"
    first = int(cosines.argmax())
    if cosines[first] <= -1:
        return said
    pair = sorted((first, int(closest[first])))
    cosine = number(float(cosines[first]))
    return f"{said}; the two most alike, {pair[0]} and {pair[1]}, have a cosine similarity of {cosine}"


def _filters_table(weights: Floats, chosen: Iterable[int], alike: Alike) -> Table:
    """Norm and nearest neighbour of the chosen filters, with what is the matter with them."""
    sizes = norms(weights)
    lost, repeated = set(dead(sizes).tolist()), duplicates(weights, sizes, alike)
    closest, cosines = alike
    rows = []
    for index in map(int, chosen):
        other = "–" if cosines[index] <= -1 else int(closest[index])
        mark = "dead" if index in lost else f"repeats {repeated[index]}" if index in repeated else ""
        rows.append((index, cell(float(sizes[index]), 4), other, cell(float(cosines[index]), 3), mark))
    return Table(("filter", "norm", "most like", "cosine", "mark"), tuple(rows))


def _frame(sheet: Pixels, top: int, left: int, high: int, wide: int) -> None:
    """A grey frame in the gaps around one tile of a mosaic; along the sheet's own edges there is no room for it."""
    below, right = top + high, left + wide
    for rows, across in (
        (slice(max(0, top - RING), top), slice(max(0, left - RING), right + RING)),
        (slice(below, below + RING), slice(max(0, left - RING), right + RING)),
        (slice(top, below), slice(max(0, left - RING), left)),
        (slice(top, below), slice(right, right + RING)),
    ):
        sheet[rows, across] = theme.STRUCK


def _are(count: int) -> str:
    return f"{counted(count, 'filter')} {'is' if count < 2 else 'are'}"
