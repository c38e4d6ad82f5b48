"""The units' figures: each channel of a layer as the patches of real images that it answers most strongly, beside its
weights where it has some of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from generator.figures import raster
from generator.records.figure import Figure
from generator.records.images import Floats, Pixels
from generator.records.input import Input
from generator.records.network import Layer, LayerPatches, Network
from generator.report.plates.frames import framed
from generator.report.plates.numbers import dead, in_colour, listed_channels, norms, slice_scale
from generator.report.plates.painting import boxed, painted_kernels
from generator.report.plates.patches import (
    PART,
    PART_QUALITY,
    Seen,
    best_patch,
    crop,
    patch_size,
    ranked,
    shrunk,
    unit_prefix,
)
from generator.report.plates.sheets import CELLS, sheets
from generator.report.plates.wording import counted, listed

TILE = 28  # stored pixels of a patch, at most: larger ones are made smaller
ACROSS = 3  # patches, where they are squares, and slices of weights, side by side in one unit's picture
GAP = 2  # between patches that were made smaller; between others one of their own pixels
SHARP = 12  # patches up to this size are stored without loss, for their pixels are seen one by one
QUALITY = 19  # of the others: there are twenty thousand, and a site has 20 MiB
PREVIEW = 12  # channels in a layer's preview; of patches much wider than high half as many, twice as large


def unit_figures(network: Network, layer: Layer, scale: float) -> tuple[Figure, ...]:
    """Of one layer: sheets of its channels' strongest patches, a preview of these, and its weights if it has any.

    Args:
        scale: of the first layer's colours, see `first_layer_scale`.
    """
    prefix = unit_prefix(network, layer)
    numbers = listed_channels(network, layer)
    found: list[Figure] = []
    if layer.weights is not None:
        alt = f"Weights of {network.title}, {layer.title}, filters"
        icons = _icons(layer.weights, numbers, scale if in_colour(network, layer) else None, network.input)
        found += sheets(f"{prefix}-weights", icons, alt, pixelated=True, numbers=numbers)
    patches = next((one for one in network.patches if one.layer == layer.name), None)
    if patches is None or network.examined is None:
        return tuple(found)
    seen = Seen(network)
    size = patch_size(network, layer)
    blocks = _blocks(seen, patches, numbers, size)
    alt = f"Strongest patches of {network.title}, {layer.title}, channels"
    sharp = max(size) <= TILE
    found += sheets(f"{prefix}-patches", blocks, alt, quality=_quality(size), pixelated=sharp, numbers=numbers)
    return (*found, _preview(network, layer, patches, seen, prefix, numbers))


def _icons(weights: Floats, numbers: Sequence[int], scale: float | None, way: Input) -> list[Pixels]:
    """Each filter for itself: in colour, or the slices of its strongest input channels, strongest first.

    Args:
        scale: of the colours; None: it is not in colour.
        way: how the network takes images.
    """
    lost = set(dead(norms(weights)).tolist())
    chosen = weights[numbers]
    if scale is not None:
        tiles = painted_kernels(chosen, scale, way)[:, None]
        across, gap = 1, 0
    else:
        order = np.argsort(-(chosen.astype(np.float64) ** 2).sum(axis=(2, 3)), axis=1, kind="stable")[:, : ACROSS**2]
        strongest = np.take_along_axis(chosen, order[:, :, None, None], axis=1)
        tiles = raster.paint_signed(strongest, slice_scale(weights))
        across, gap = min(ACROSS, math.ceil(math.sqrt(tiles.shape[1]))), GAP
    factor = max(1, TILE // (across * max(tiles.shape[2:4])))
    return [
        _square(raster.mosaic(one, across, factor, gap, range(len(one)) if channel in lost else ()))
        for channel, one in zip(numbers, tiles, strict=True)
    ]


def _square(picture: Pixels) -> Pixels:
    """A picture for a square cell, which covers it."""
    side = max(picture.shape[:2])
    return boxed(picture, (side, side))


def _blocks(seen: Seen, patches: LayerPatches, numbers: Sequence[int], size: tuple[int, int]) -> list[Pixels]:
    """The patches of each channel, strongest first, in rows that make about a square; missing ones stay empty."""
    high, wide = size
    count = max(patches.pictures.shape[1], ACROSS**2)
    across = _across(size, count)
    least = max(across * wide, -(-count // across) * high)  # the square's side, without gaps
    longest = min(max(size), max(1, max(size) * ACROSS * TILE // least))
    gap = GAP if longest < max(size) else 1
    small: dict[tuple[int, tuple[int, int, int, int]], Pixels] = {}  # two thirds are another channel's, too
    blocks: list[Pixels] = []
    for start in range(0, len(numbers), CELLS):  # no more at once, for each is a picture
        found = [list(ranked(patches, channel)) for channel in numbers[start : start + CELLS]]
        fresh = list(dict.fromkeys(one for several in found for one in several if one not in small))
        small |= zip(fresh, shrunk([crop(seen[place], box) for place, box in fresh], longest), strict=True)
        for several in found:
            tiles = [small[one] for one in several]
            blocks.append(_square(_laid(tiles, count, _fitted(size, longest), across, gap)))
    return blocks


def _across(size: tuple[int, int], count: int) -> int:
    """Into how many columns tiles are laid so that they are largest in a square."""
    high, wide = size
    return min(range(1, count + 1), key=lambda across: (max(across * wide, -(-count // across) * high), across))


def _fitted(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """(H, W) of what is made smaller so that its longer side is `longest`, as `shrunk` does it."""
    if max(size) <= longest:
        return size
    return max(1, round(size[0] * longest / max(size))), max(1, round(size[1] * longest / max(size)))


def _preview(
    network: Network, layer: Layer, patches: LayerPatches, seen: Seen, prefix: str, numbers: Sequence[int]
) -> Figure:
    """The strongest patch of some channels, evenly over all on the layer's page that have one."""
    assert network.examined is not None
    high, wide = size = patch_size(network, layer)
    broad = wide >= 2 * high
    chosen = _varied(patches, numbers, PREVIEW // 2 if broad else PREVIEW)
    found = [best_patch(seen, patches, channel) for channel in chosen]
    side, gap = min(max(size), 2 * PART if broad else PART), GAP if max(size) > TILE else 1
    tiles = shrunk([patch for patch in found if patch is not None], side)
    pixels = _laid(tiles, len(tiles), _fitted(size, side), max(1, len(tiles)), gap)
    alt = (
        f"The strongest patch of {counted(len(tiles), 'channel')} of {network.title}, {layer.title}, {high} by {wide} "
        f"pixels each, from {network.examined.said}: channels {listed([str(channel) for channel in chosen])}."
    )
    caption = f"The strongest patch of channels {listed([str(channel) for channel in chosen])}."
    return framed(
        f"{prefix}-preview",
        pixels,
        alt=alt,
        caption=caption,
        quality=_quality(size, PART_QUALITY),
        pixelated=max(size) <= TILE,
    )


def _varied(patches: LayerPatches, numbers: Sequence[int], most: int) -> list[int]:
    """At most so many of these channels, evenly, moved on a little where two would show the same image."""
    told = [channel for channel in numbers if patches.pictures[channel, 0] >= 0]
    chosen: list[int] = []
    count = min(most, len(told))
    for part in range(count):
        first, end = part * len(told) // count, (part + 1) * len(told) // count
        shown = {int(patches.pictures[channel, 0]) for channel in chosen}
        fresh = [channel for channel in told[first:end] if int(patches.pictures[channel, 0]) not in shown]
        chosen.append(fresh[0] if fresh else told[first])
    return chosen


def _laid(tiles: Sequence[Pixels], count: int, size: tuple[int, int], across: int, gap: int) -> Pixels:
    """Tiles in the first of `count` cells of one size in rows, gaps between them; nothing where there is none."""
    down, over = size[0] + gap, size[1] + gap
    panels = [
        (
            tile,
            place // across * down + (size[0] - tile.shape[0]) // 2,
            place % across * over + (size[1] - tile.shape[1]) // 2,
        )
        for place, tile in enumerate(tiles)
    ]
    return raster.compose(max(1, -(-count // across)) * down - gap, across * over - gap, panels)


def _quality(size: tuple[int, int], quality: int = QUALITY) -> int | None:
    return None if max(size) <= SHARP else quality
