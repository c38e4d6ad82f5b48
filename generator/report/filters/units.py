"""The units' figures: each channel of a convolution as its weights beside the patches of real images that it answers
most strongly, and the channels that made up a prediction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from generator.figures import raster
from generator.records.figure import Figure
from generator.records.images import Pixels
from generator.records.network import ConvLayer, LayerPatches, Network
from generator.report.plates.frames import framed
from generator.report.plates.numbers import dead, in_colour, listed_channels, norms, slice_scale
from generator.report.plates.painting import squared
from generator.report.plates.patches import PART, PART_QUALITY, Seen, best_patch, patch_size, shrunk, unit_prefix
from generator.report.plates.sheets import sheets
from generator.report.plates.wording import counted, listed

TILE = 32  # stored pixels of a patch, at most: larger ones are made smaller
ACROSS = 3  # patches, and slices of weights, side by side in one unit's picture
GAP = 2  # between patches that were made smaller; between others one of their own pixels
SHARP = 12  # patches up to this size are stored without loss, for their pixels are seen one by one
QUALITY = 24  # of the others: there are twenty thousand, and a site has 20 MiB
PREVIEW = 12  # channels in a layer's preview


def unit_figures(network: Network, layer: ConvLayer, scale: float) -> tuple[Figure, ...]:
    """Of one convolution: sheets of its channels' weights, sheets of their strongest patches, and a preview of these.

    Args:
        scale: of the first layer's colours, see `first_layer_scale`.
    """
    prefix = unit_prefix(network, layer)
    numbers = listed_channels(layer.weights)
    alt = f"Weights of {network.title}, {layer.title}, filters"
    icons = _icons(network, layer, numbers, scale)
    found = [*sheets(f"{prefix}-weights", icons, alt, pixelated=True, numbers=numbers)]
    patches = next((one for one in network.patches if one.layer == layer.name), None)
    if patches is None or network.examined is None:
        return tuple(found)
    seen = Seen(network)
    size = patch_size(network, layer)
    blocks = [_block(seen, patches, channel, size) for channel in numbers]
    alt = f"Strongest patches of {network.title}, {layer.title}, channels"
    found += sheets(f"{prefix}-patches", blocks, alt, quality=_quality(size), pixelated=size <= TILE, numbers=numbers)
    return (*found, _preview(network, layer, patches, seen, prefix))


def _icons(network: Network, layer: ConvLayer, numbers: Sequence[int], scale: float) -> list[Pixels]:
    """Each filter for itself: in colour, or the slices of its strongest input channels, strongest first."""
    lost = set(dead(norms(layer.weights)).tolist())
    if in_colour(network, layer):
        tiles = raster.paint_colour(layer.weights[numbers], scale)[:, None]
        across, gap = 1, 0
    else:
        chosen = layer.weights[numbers]
        order = np.argsort(-(chosen.astype(np.float64) ** 2).sum(axis=(2, 3)), axis=1, kind="stable")[:, : ACROSS**2]
        strongest = np.take_along_axis(chosen, order[:, :, None, None], axis=1)
        tiles = raster.paint_signed(strongest, slice_scale(layer))
        across, gap = min(ACROSS, tiles.shape[1]), GAP
    factor = max(1, TILE // (across * max(tiles.shape[2:4])))
    return [
        _square(raster.mosaic(one, across, factor, gap, range(len(one)) if channel in lost else ()))
        for channel, one in zip(numbers, tiles, strict=True)
    ]


def _square(picture: Pixels) -> Pixels:
    """A picture for a square cell, which covers it."""
    return squared(picture, max(picture.shape[:2]))


def _block(seen: Seen, patches: LayerPatches, channel: int, size: int) -> Pixels:
    """The patches of one channel, strongest first, in rows of `ACROSS`; the places of missing ones stay empty."""
    side, gap = min(size, TILE), GAP if size > TILE else 1
    found = [best_patch(seen, patches, channel, rank) for rank in range(patches.pictures.shape[1])]
    return _laid([None if patch is None else shrunk(patch, side) for patch in found], side, ACROSS, gap)


def _preview(network: Network, layer: ConvLayer, patches: LayerPatches, seen: Seen, prefix: str) -> Figure:
    """The strongest patch of some channels, evenly over all that have one."""
    assert network.examined is not None
    high, wide = (layer.receptive_field,) * 2 if layer.receptive_field else network.input.size
    chosen = _varied(patches)
    found = [best_patch(seen, patches, channel) for channel in chosen]
    size = patch_size(network, layer)
    side, gap = min(size, PART), GAP if size > TILE else 1
    tiles = [shrunk(patch, side) for patch in found if patch is not None]
    pixels = _laid(tiles, side, max(1, len(tiles)), gap)
    alt = (
        f"The strongest patch of {counted(len(tiles), 'channel')} of {network.title}, {layer.title}, {wide} by {high} "
        f"pixels each, from {network.examined.said}: channels {listed([str(channel) for channel in chosen])}."
    )
    caption = f"The strongest patch of channels {listed([str(channel) for channel in chosen])}."
    return framed(
        f"{prefix}-preview",
        pixels,
        alt=alt,
        caption=caption,
        quality=_quality(size, PART_QUALITY),
        pixelated=size <= TILE,
    )


def _varied(patches: LayerPatches) -> list[int]:
    """`PREVIEW` channels evenly over the layer, moved on a little where two would show the same image."""
    told = np.flatnonzero(patches.pictures[:, 0] >= 0).tolist()
    chosen: list[int] = []
    count = min(PREVIEW, len(told))
    for part in range(count):
        first, end = part * len(told) // count, (part + 1) * len(told) // count
        shown = {int(patches.pictures[channel, 0]) for channel in chosen}
        fresh = [channel for channel in told[first:end] if int(patches.pictures[channel, 0]) not in shown]
        chosen.append(fresh[0] if fresh else told[first])
    return chosen


def _laid(tiles: Sequence[Pixels | None], side: int, across: int, gap: int) -> Pixels:
    """Tiles in squares of one side in rows, gaps between them; nothing where there is none."""
    step = side + gap
    panels = [
        (
            tile,
            place // across * step + (side - tile.shape[0]) // 2,
            place % across * step + (side - tile.shape[1]) // 2,
        )
        for place, tile in enumerate(tiles)
        if tile is not None
    ]
    return raster.compose(max(1, -(-len(tiles) // across)) * step - gap, across * step - gap, panels)


def _quality(size: int, quality: int = QUALITY) -> int | None:
    return None if size <= SHARP else quality
