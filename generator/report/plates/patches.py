"""The patches that a channel answers most, cut from their pictures."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from generator.data.preprocessing import in_colour, seen
from generator.figures import raster
from generator.figures.theme import PADDING
from generator.records.images import Photo, Pixels
from generator.records.network import Layer, LayerPatches, Network

PART = 64  # stored pixels of a patch and of a map among the contributions, and of a patch in a preview
PART_QUALITY = 64


def unit_prefix(network: Network, layer: Layer) -> str:
    """The first part of the addresses of a layer's units: "cnn-conv3" for the third convolution."""
    return f"{network.anchor}-{layer.address}"


def crop(seen: Pixels, box: tuple[int, int, int, int]) -> Pixels:
    """What a box (x0, y0, x1, y1), inclusive, holds of an image; `PADDING` beyond the image's edges.

    Along a side that is shorter than the box all of the image is there, `PADDING` where the box does not reach.

    Returns:
        (h, w, 4) uint8: of the box, or of the image where that is shorter.
    """
    x0, y0, x1, y1 = box
    height, width = seen.shape[:2]
    first, high = (y0, y1 - y0 + 1) if y1 - y0 < height else (0, height)
    start, wide = (x0, x1 - x0 + 1) if x1 - x0 < width else (0, width)
    patch = np.empty((high, wide, 4), np.uint8)
    patch[:] = PADDING
    top, left, below, right = max(y0, 0), max(x0, 0), min(y1 + 1, height), min(x1 + 1, width)
    if top < below and left < right:
        inside = patch[top - first : below - first, left - start : right - start]
        inside[..., :3], inside[..., 3] = seen[top:below, left:right], 255
    return patch


def shrunk(patches: Sequence[Pixels], side: int) -> list[Pixels]:
    """Patches with their images made smaller so that the longer side is `side`; as they are where it is no longer.

    The images' edges stay sharp on whole pixels: soft ones would be half of the bytes.
    """
    small: list[Pixels] = []
    alike: dict[tuple[tuple[int, ...], ...], list[tuple[Pixels, Pixels]]] = defaultdict(list)  # by what is made of what
    for patch in patches:
        longest = max(patch.shape[:2])
        if longest <= side:
            small.append(patch)
            continue
        height, width = (max(1, round(length * side / longest)) for length in patch.shape[:2])
        small.append(np.empty((height, width, 4), np.uint8))
        small[-1][:] = PADDING
        inside = patch[..., 3] == 255
        rows, columns = (_extent(inside.any(axis=axis)) for axis in (1, 0))
        (top, below), (left, right) = ([round(edge * side / longest) for edge in extent] for extent in (rows, columns))
        if top < below and left < right:
            image, part = patch[slice(*rows), slice(*columns), :3], small[-1][top:below, left:right]
            alike[image.shape, part.shape].append((image, part))
    for (_, (high, wide, _)), pairs in alike.items():  # together, for a call takes longer than a patch's pixels
        resized = raster.stretch_all(np.stack([image for image, _ in pairs]), high, wide)
        for (_, part), image in zip(pairs, resized, strict=True):
            part[..., :3], part[..., 3] = image, 255
    return small


def _extent(there: NDArray[np.bool_]) -> tuple[int, int]:
    """From the first place that is true to behind the last; nothing where there is none."""
    places = np.flatnonzero(there)
    return (int(places[0]), int(places[-1]) + 1) if len(places) else (0, 0)


def shows(
    network: Network, patches: LayerPatches, channel: int, most: int = 2, without: Callable[[int], bool] | None = None
) -> str:
    """What the images of a channel's patches show, most frequent first: "bee 6, fly 2"; without counts if all are 1.

    Args:
        without: whether an image, by its place, is left out.
    """
    assert network.examined is not None
    places = [int(place) for place in patches.pictures[channel] if place >= 0]
    names = [network.examined.names[place] for place in places if without is None or not without(place)]
    counts = Counter(names).most_common(most)
    several = any(count > 1 for _, count in counts)
    return ", ".join(f"{name} {count}" if several else name for name, count in counts)


def is_own(network: Network, photo: Photo) -> Callable[[int], bool]:
    """Whether a place among the searched images is that of a photo itself, which is no evidence for what it shows."""
    found: dict[int, bool] = {}

    def own(place: int) -> bool:
        if place not in found:
            assert network.examined is not None
            found[place] = np.array_equal(network.examined.pictures[place], photo.pixels)
        return found[place]

    return own


def patch_size(network: Network, layer: Layer) -> tuple[int, int]:
    """(H, W) of a layer's patches, in pixels of the input: what one of its units sees, at most all there is."""
    sees = layer.sees or network.input.size
    return min(sees[0], network.input.size[0]), min(sees[1], network.input.size[1])


class Seen:
    """The examined images as the network is given them, each cut once."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.cut: dict[int, Pixels] = {}

    def __getitem__(self, place: int) -> Pixels:
        if place not in self.cut:
            assert self.network.examined is not None
            picture = self.network.examined.pictures[place]
            self.cut[place] = in_colour(seen(picture, self.network.input))
        return self.cut[place]


def best_patch(
    seen: Seen, patches: LayerPatches, channel: int, rank: int = 0, without: Callable[[int], bool] | None = None
) -> Pixels | None:
    """One patch of a channel as it is, None where there is none.

    Args:
        rank: 0 for the strongest.
        without: whether an image, by its place, is left out.
    """
    left = ((place, box) for place, box in ranked(patches, channel) if not (without and without(place)))
    found = next(islice(left, rank, None), None)
    return None if found is None else crop(seen[found[0]], found[1])


def ranked(patches: LayerPatches, channel: int) -> Iterator[tuple[int, tuple[int, int, int, int]]]:
    """The patches of a channel, strongest first: the image's place, and the box in it."""
    for place, (x0, y0, x1, y1) in zip(
        patches.pictures[channel].tolist(), patches.boxes[channel].tolist(), strict=True
    ):
        if place >= 0:
            yield place, (x0, y0, x1, y1)
