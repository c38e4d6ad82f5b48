"""The units' figures: each channel of a convolution as its weights beside the patches of real images that it answers
most strongly, and the channels that made up a prediction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from generator.exhibits.frames import framed
from generator.exhibits.sheets import sheet, sheets
from generator.exhibits.weights import dead, norms, slice_scale
from generator.exhibits.wording import cell, counted, layer_title, listed, number
from generator.figures import raster
from generator.photos import square
from generator.records import ConvLayer, Explanation, Figure, LayerPatches, Network, Photo, Pixels, Table

TILE = 32  # stored pixels of a patch, at most: larger ones are made smaller
ACROSS = 3  # patches, and slices of weights, side by side in one unit's picture
GAP = 2  # between patches that were made smaller; between others one of their own pixels
SHARP = 12  # patches up to this size are stored without loss, for their pixels are seen one by one
QUALITY = 24  # of the others: there are twenty thousand, and a site has 20 MiB
PADDING = (138, 138, 134, 60)  # where a unit looks beyond the image's edge: a veil over the page's ground
PREVIEW = 12  # channels in a layer's preview
PART = 64  # stored pixels of a patch and of a map among the contributions, and of a patch in a preview
PART_GAP = 4
PART_QUALITY = 70
VEIL = (0.6, 0.8)  # opacity of a map over the grey photo, where it is lowest and highest


def unit_prefix(network: Network, layer: ConvLayer) -> str:
    """The first part of the addresses of a layer's units: "cnn-conv3" for the third convolution."""
    return f"{network.id}-conv{[one.name for one in network.layers].index(layer.name) + 1}"


def units(network: Network, layer: ConvLayer, scale: float) -> tuple[Figure, ...]:
    """Of one convolution: sheets of its channels' weights, sheets of their strongest patches, and a preview of these.

    Args:
        scale: of the first layer's colours, see `first_layer_scale`.
    """
    prefix = unit_prefix(network, layer)
    found = [
        *sheets(
            f"{prefix}-weights", _icons(layer, scale), f"Weights of {network.title}, {layer.title}, filters",
            pixelated=True,
        )
    ]  # fmt: skip
    patches = next((one for one in network.patches if one.layer == layer.name), None)
    if patches is None or network.examined is None:
        return tuple(found)
    seen = _Seen(network)
    size = layer.receptive_field
    blocks = [_block(seen, patches, channel, size) for channel in range(len(patches.answers))]
    alt = f"Strongest patches of {network.title}, {layer.title}, channels"
    found += sheets(f"{prefix}-patches", blocks, alt, quality=_quality(size), pixelated=size <= TILE)
    return (*found, _preview(network, layer, patches, seen, prefix))


def crop(seen: Pixels, box: tuple[int, int, int, int]) -> Pixels:
    """What a box (x0, y0, x1, y1), inclusive, holds of an image; `PADDING` beyond the image's edges.

    Returns:
        (y1 - y0 + 1, x1 - x0 + 1, 4) uint8.
    """
    x0, y0, x1, y1 = box
    height, width = seen.shape[:2]
    patch = np.empty((y1 - y0 + 1, x1 - x0 + 1, 4), np.uint8)
    patch[:] = PADDING
    top, left, below, right = max(y0, 0), max(x0, 0), min(y1 + 1, height), min(x1 + 1, width)
    if top < below and left < right:
        inside = patch[top - y0 : below - y0, left - x0 : right - x0]
        inside[..., :3], inside[..., 3] = seen[top:below, left:right], 255
    return patch


def shrunk(patch: Pixels, side: int) -> Pixels:
    """A patch with its image made smaller so that the whole is `side` wide; as it is where it is no wider.

    The image's edges stay sharp on whole pixels: soft ones would be half of the bytes.
    """
    height, width = patch.shape[:2]
    if width <= side:
        return patch
    inside = patch[..., 3] == 255
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    small = np.empty((max(1, round(height * side / width)), side, 4), np.uint8)
    small[:] = PADDING
    if len(rows):
        top, below, left, right = (
            round(edge * side / width) for edge in (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1)
        )
        if top < below and left < right:
            image = patch[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1, :3]
            part = small[top:below, left:right]
            part[..., :3], part[..., 3] = raster.stretch(image, below - top, right - left), 255
    return small


def shows(network: Network, patches: LayerPatches, channel: int, most: int = 2) -> str:
    """What the images of a channel's patches show, most frequent first: "bee 6, fly 2"."""
    assert network.examined is not None
    names = [network.examined.names[place] for place in patches.pictures[channel] if place >= 0]
    counts = {name: names.count(name) for name in dict.fromkeys(names)}
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda item: -item[1])[:most])


def contributions(network: Network, photo: Photo) -> Figure | None:
    """The channels that gave most to the answer, most first: the strongest patch of each, and where it fired here.

    A sheet as in `exhibits.sheets`, one channel a cell; None where nothing is known of them or none spoke for it.
    """
    explanation = network.explanations.get(photo.id)
    if explanation is None or explanation.contributions is None or explanation.contributor_maps is None:
        return None
    given = explanation.contributions
    chosen = [place for place, channel in enumerate(explanation.contributors) if given[channel] > 0]
    if not chosen:
        return None
    channels = [explanation.contributors[place] for place in chosen]
    maps = explanation.contributor_maps[chosen]
    patches = next((one for one in network.patches if one.layer == explanation.contributor_layer), None)
    seen = _Seen(network)
    cells = [
        _pair(None if patches is None else _best(seen, patches, channel), explanation, maps[index], float(maps.max()))
        for index, channel in enumerate(channels)
    ]
    answer = network.class_names[explanation.predicted]
    first = [f"{channel} ({number(float(given[channel]))})" for channel in channels[:3]]
    sums = float(given[channels].sum()), float(given.sum())
    alt = (
        f"The {counted(len(channels), 'channel')} of {network.title} that gave most to {answer} on the photo "
        f"{photo.title}, each with its strongest patch and its map: {listed(first)}."
    )
    source = next((one.title for one in network.layers if one.name == explanation.contributor_layer), "")
    caption = (
        f"{network.title} at {layer_title(network, explanation.layer)}"
        f"{f', whose channels are those of {source}' if source else ''}: the {counted(len(channels), 'channel')} of "
        f"{len(given)} that gave most to {answer}, its answer, most first. Beside the channel’s strongest patch: where "
        f"it fired on this photo, all on one scale from 0 to {number(float(maps.max()))}. A channel’s contribution is "
        f"its activations times the gradient of the logit, added up: here {number(sums[0])} of the {number(sums[1])} "
        f"that all channels give; the logit is {number(float(explanation.logits[explanation.predicted]))}."
    )
    rows = tuple(
        (channel, cell(float(given[channel]), 3), cell(float(maps[index].max()), 3), _where(network, patches, channel))
        for index, channel in enumerate(channels)
    )
    return framed(
        f"{network.id}-contributions-{photo.id}",
        sheet(cells),
        alt=alt,
        caption=caption,
        quality=PART_QUALITY,
        table=Table(("channel", "contribution to the logit", "largest activation", "strongest patches"), rows),
    )


class _Seen:
    """The examined images as the network is given them, each cut once."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.cut: dict[int, Pixels] = {}

    def __getitem__(self, place: int) -> Pixels:
        if place not in self.cut:
            assert self.network.examined is not None
            picture = self.network.examined.pictures[place]
            self.cut[place] = square(picture, self.network.input_size, self.network.resize)
        return self.cut[place]


def _icons(layer: ConvLayer, scale: float) -> list[Pixels]:
    """Each filter for itself: in colour, or the slices of its strongest input channels, strongest first."""
    lost = set(dead(norms(layer.weights)).tolist())
    if layer.weights.shape[1] == 3:
        tiles = raster.paint_colour(layer.weights, scale)[:, None]
        across, gap = 1, 0
    else:
        weights = layer.weights.astype(np.float64)
        order = np.argsort(-(weights**2).sum(axis=(2, 3)), axis=1, kind="stable")[:, : ACROSS**2]
        strongest = np.take_along_axis(layer.weights, order[:, :, None, None], axis=1)
        tiles = raster.paint_signed(strongest, slice_scale(layer))
        across, gap = min(ACROSS, tiles.shape[1]), GAP
    factor = max(1, TILE // (across * tiles.shape[3]))
    return [
        raster.mosaic(one, across, factor, gap, range(len(one)) if channel in lost else ())
        for channel, one in enumerate(tiles)
    ]


def _best(seen: _Seen, patches: LayerPatches, channel: int, rank: int = 0) -> Pixels | None:
    """One patch of a channel as it is, None where there is none."""
    place = int(patches.pictures[channel, rank])
    if place < 0:
        return None
    x0, y0, x1, y1 = patches.boxes[channel, rank].tolist()
    return crop(seen[place], (x0, y0, x1, y1))


def _block(seen: _Seen, patches: LayerPatches, channel: int, size: int) -> Pixels:
    """The patches of one channel, strongest first, in rows of `ACROSS`; the places of missing ones stay empty."""
    side, gap = min(size, TILE), GAP if size > TILE else 1
    found = [_best(seen, patches, channel, rank) for rank in range(patches.pictures.shape[1])]
    return _laid([None if patch is None else shrunk(patch, side) for patch in found], side, ACROSS, gap)


def _preview(network: Network, layer: ConvLayer, patches: LayerPatches, seen: _Seen, prefix: str) -> Figure:
    """The strongest patch of some channels, evenly over all that have one."""
    assert network.examined is not None
    chosen = _varied(patches)
    found = [_best(seen, patches, channel) for channel in chosen]
    size = layer.receptive_field
    side, gap = min(size, PART), GAP if size > TILE else 1
    tiles = [shrunk(patch, side) for patch in found if patch is not None]
    pixels = _laid(tiles, side, max(1, len(tiles)), gap)
    alt = (
        f"The strongest patch of {counted(len(tiles), 'channel')} of {network.title}, {layer.title}, {size} by {size} "
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
    """Tiles of one side in rows, gaps between them; nothing where there is none."""
    step = side + gap
    panels = [
        (tile, place // across * step, place % across * step) for place, tile in enumerate(tiles) if tile is not None
    ]
    return raster.compose(max(1, -(-len(tiles) // across)) * step - gap, across * step - gap, panels)


def _quality(size: int, quality: int = QUALITY) -> int | None:
    return None if size <= SHARP else quality


def _pair(patch: Pixels | None, explanation: Explanation, activations: np.ndarray, most: float) -> Pixels:
    """A channel's strongest patch, and its map over the photo without its colours."""
    if patch is None:
        left = raster.mosaic(np.zeros((1, PART, PART, 3), np.uint8), 1, struck=[0])
    else:
        left = raster.cover(raster.enlarge(patch, max(1, PART // patch.shape[1])), PART, PART)
    values = raster.resize(activations, PART, PART) / most if most > 0 else np.zeros((PART, PART))
    ground = raster.grey(raster.cover(explanation.seen, PART, PART))
    right = raster.laid_over(ground, values, VEIL)
    return raster.compose(PART, 2 * PART + PART_GAP, [(left, 0, 0), (right, 0, PART + PART_GAP)])


def _where(network: Network, patches: LayerPatches | None, channel: int) -> str:
    return "unknown" if patches is None or network.examined is None else shows(network, patches, channel)
