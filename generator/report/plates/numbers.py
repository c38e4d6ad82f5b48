"""What is found in a layer's weights: norms, dead channels, duplicates, scales, and which channels are shown."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from generator.records.images import Floats
from generator.records.network import Layer, Network

DEAD = 0.01  # a filter whose norm is below this share of its layer's largest does nothing that can be seen
DUPLICATE = 0.9  # cosine similarity of two filters from which on the one with the smaller norm repeats the other
LISTED = 512  # channels on a layer's page, at most
UNITS = 200 * 1024  # bytes that all of them may take of the page's 300 KiB
MOSAIC = 16_384  # weights of one input channel in a mosaic of whole filters: 64 of 16 x 16 are about 60 KB
ROWS = 2048  # filters that are compared with all others at once: 32 MB of cosines for as many
BULK = 0.99  # of a layer's weights lie within its scale; the others are painted in its end colours


def probabilities(logits: Floats, apart: bool = False) -> Floats:
    """(K, K) logits -> each row's probabilities; those of each class by itself where they are apart."""
    if apart:
        alone: Floats = np.exp(-np.logaddexp(-logits, logits.dtype.type(0)))
        return alone
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Floats = shifted / shifted.sum(axis=1, keepdims=True)
    return shares


def norms(weights: Floats) -> NDArray[np.float64]:
    """(O, I, kh, kw) -> (O,) Euclidean norms of the filters."""
    found: NDArray[np.float64] = np.sqrt((weights.astype(np.float64) ** 2).sum(axis=(1, 2, 3)))
    return found


def largest(weights: Floats, most: int = LISTED) -> list[int]:
    """The channels of the largest norms, in their order: all of most layers."""
    if len(weights) <= most:
        return list(range(len(weights)))
    order = np.argsort(-norms(weights), kind="stable")[:most]
    return sorted(order.tolist())


def mosaic_room(weights: Floats) -> int:
    """How many filters of a layer a mosaic of whole filters has room for."""
    return max(1, min(LISTED, MOSAIC // int(np.prod(weights.shape[2:]))))


def page_room(network: Network, layer: Layer) -> int:
    """How many of a layer's channels its page has room for: addresses stand four times with each, names twice."""
    prefix = len(network.anchor) + len(layer.address)
    name = max(map(len, network.examined.names), default=0) if network.examined else 0
    return min(LISTED, UNITS // (400 + 4 * prefix + 2 * (name + 6)))


def listed_channels(network: Network, layer: Layer) -> list[int]:
    """The channels that a layer's page shows, in their order: those that were chosen, else the largest."""
    room = page_room(network, layer)
    if layer.chosen is not None:
        channels = np.array(layer.chosen.channels, np.intp)
        most = np.argsort(-layer.chosen.gave[channels], kind="stable")[:room]
        return sorted(channels[most].tolist())
    return list(range(layer.channels))[:room] if layer.weights is None else largest(layer.weights, room)


def in_colour(network: Network, layer: Layer) -> bool:
    """Whether a layer's filters are little pictures in red, green and blue: of the first, where those go in."""
    if layer.weights is None or layer.number > 1:
        return False
    return network.input.channels == 3 and int(layer.weights.shape[1]) == 3


def dead(sizes: NDArray[np.float64]) -> NDArray[np.intp]:
    """Indices of the filters whose norm is below `DEAD` of the largest; all of them where all weights are zero."""
    return np.flatnonzero(sizes <= DEAD * sizes.max())


Alike = tuple[NDArray[np.intp], NDArray[np.float64]]  # see `nearest`


def nearest(weights: Floats, sizes: NDArray[np.float64] | None = None) -> Alike:
    """For each filter the other one that is most like it, and their cosine similarity; dead filters are like none.

    Args:
        weights: (O, I, kh, kw).
        sizes: their norms where these are known.
    Returns:
        (O,) indices and (O,) cosines in [-1, 1]; -1 where there is no other.
    """
    flat = weights.astype(np.float64).reshape(len(weights), -1)
    sizes = norms(weights) if sizes is None else sizes
    lost = dead(sizes)
    unit = flat / np.where(sizes > 0, sizes, 1)[:, None]
    closest, likest = np.empty(len(weights), np.intp), np.empty(len(weights))
    for start in range(0, len(weights), ROWS):
        rows = np.arange(start, min(start + ROWS, len(weights)))
        part = unit if len(rows) == len(unit) else unit[rows]
        cosines = np.clip(part @ unit.T, -1, 1)
        cosines[rows - start, rows] = -1
        cosines[np.isin(rows, lost)] = cosines[:, lost] = -1
        closest[rows] = cosines.argmax(axis=1)
        likest[rows] = cosines[rows - start, closest[rows]]
    return closest, likest


def duplicates(weights: Floats, sizes: NDArray[np.float64] | None = None, alike: Alike | None = None) -> dict[int, int]:
    """Filter -> the one that it repeats: the filter most like it is as like as `DUPLICATE` and of a larger norm.

    Of two equally large ones the later repeats the earlier.

    Args:
        sizes: as of `nearest`.
        alike: what that gives, where it is known.
    """
    sizes = norms(weights) if sizes is None else sizes
    return {
        index: int(other)
        for index, (other, cosine) in enumerate(zip(*(alike or nearest(weights, sizes)), strict=True))
        if cosine >= DUPLICATE and (-sizes[other], other) < (-sizes[index], index)
    }


def slice_scale(weights: Floats) -> float:
    """The scale of a layer's colours: `BULK` of its weights lie within it."""
    size = np.abs(weights)
    return float(np.quantile(size, BULK)) or float(size.max())


def columns(count: int) -> int:
    """How many columns make a mosaic of `count` tiles a little wider than high, with a full last row if that can be."""
    least = math.ceil(math.sqrt(count))
    return next((wide for wide in range(least, 2 * least) if count % wide == 0), least)
