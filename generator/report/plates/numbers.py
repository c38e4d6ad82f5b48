"""What is found in a layer's weights: norms, dead channels, duplicates, scales, and which channels are shown."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from generator.records.images import Floats
from generator.records.network import ConvLayer, Network

DEAD = 0.01  # a filter whose norm is below this share of its layer's largest does nothing that can be seen
DUPLICATE = 0.9  # cosine similarity of two filters from which on the one with the smaller norm repeats the other
LISTED = 512  # channels on a layer's page, which has 300 KiB
BULK = 0.99  # of a layer's weights lie within its scale; the others are painted in its end colours


def probabilities(logits: Floats) -> Floats:
    """(K, K) logits -> each row's probabilities."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Floats = shifted / shifted.sum(axis=1, keepdims=True)
    return shares


def norms(weights: Floats) -> NDArray[np.float64]:
    """(O, I, kh, kw) -> (O,) Euclidean norms of the filters."""
    found: NDArray[np.float64] = np.sqrt((weights.astype(np.float64) ** 2).sum(axis=(1, 2, 3)))
    return found


def listed_channels(weights: Floats) -> list[int]:
    """The channels that a layer's page shows, in their order: all, or the `LISTED` with the largest norms."""
    order = np.argsort(-norms(weights), kind="stable")[:LISTED]
    return sorted(order.tolist())


def in_colour(network: Network, layer: ConvLayer) -> bool:
    """Whether a layer's filters are little pictures in red, green and blue: of the first, where those go in."""
    return layer is network.layers[0] and layer.weights.shape[1] == network.input.channels == 3


def dead(sizes: NDArray[np.float64]) -> NDArray[np.intp]:
    """Indices of the filters whose norm is below `DEAD` of the largest; all of them where all weights are zero."""
    return np.flatnonzero(sizes <= DEAD * sizes.max())


def nearest(weights: Floats) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """For each filter the other one that is most like it, and their cosine similarity; dead filters are like none.

    Args:
        weights: (O, I, kh, kw).
    Returns:
        (O,) indices and (O,) cosines in [-1, 1]; -1 where there is no other.
    """
    flat = weights.astype(np.float64).reshape(len(weights), -1)
    sizes = norms(weights)
    lost = dead(sizes)
    unit = flat / np.where(sizes > 0, sizes, 1)[:, None]
    cosines = np.clip(unit @ unit.T, -1, 1)
    np.fill_diagonal(cosines, -1)
    cosines[lost] = cosines[:, lost] = -1
    closest = cosines.argmax(axis=1)
    return closest, cosines[np.arange(len(weights)), closest]


def duplicates(weights: Floats) -> dict[int, int]:
    """Filter -> the one that it repeats: the filter most like it is as like as `DUPLICATE` and of a larger norm.

    Of two equally large ones the later repeats the earlier.
    """
    sizes = norms(weights)
    return {
        index: int(other)
        for index, (other, cosine) in enumerate(zip(*nearest(weights), strict=True))
        if cosine >= DUPLICATE and (-sizes[other], other) < (-sizes[index], index)
    }


def slice_scale(layer: ConvLayer) -> float:
    """The scale of a layer's colours: `BULK` of its weights lie within it."""
    size = np.abs(layer.weights)
    return float(np.quantile(size, BULK)) or float(size.max())


def columns(count: int) -> int:
    """How many columns make a mosaic of `count` tiles a little wider than high, with a full last row if that can be."""
    least = math.ceil(math.sqrt(count))
    return next((wide for wide in range(least, 2 * least) if count % wide == 0), least)
