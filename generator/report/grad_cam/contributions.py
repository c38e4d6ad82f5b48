"""The figure of the channels that a prediction is made of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from generator.figures import raster
from generator.records.figure import Figure, Table
from generator.records.images import Photo, Pixels
from generator.records.network import Explanation, LayerPatches, Network
from generator.report.plates.frames import framed
from generator.report.plates.painting import boxed, fitted
from generator.report.plates.patches import PART, Seen, best_patch, is_own, shows
from generator.report.plates.sheets import box_of, kind_of, sheet
from generator.report.plates.wording import cell, counted, layer_title, listed, number

PART_GAP = 4
QUALITY = 46  # of pictures that are shown at half their stored size
VEIL = (0.6, 0.8)  # opacity of a map over the grey photo, where it is lowest and highest


def contribution_figures(network: Network, photo: Photo) -> tuple[Figure, ...]:
    """`contribution_figure` where there is one."""
    found = contribution_figure(network, photo)
    return (found,) if found else ()


def contribution_figure(network: Network, photo: Photo) -> Figure | None:
    """The channels that gave most to the answer, most first: the strongest patch of each, and where it fired here.

    A sheet as in `plates.sheets`, one channel a cell; None where nothing is known of them or none spoke for it.
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
    seen, own = Seen(network), is_own(network, photo)
    cells = [
        _pair(
            None if patches is None else best_patch(seen, patches, channel, without=own),
            explanation,
            maps[index],
            float(maps.max()),
        )
        for index, channel in enumerate(channels)
    ]
    answer = network.class_names[explanation.predicted]
    first = [f"{channel} ({number(float(given[channel]))})" for channel in channels[:3]]
    sums = float(given[channels].sum()), float(given.sum())
    alt = (
        f"The {counted(len(channels), 'channel')} of {network.title} that gave most to {answer} on the photo "
        f"{photo.title}, each with its strongest patch and its map: {listed(first)}."
    )
    these = "this one adds" if len(channels) == 1 else f"these {len(channels)} add"
    less = ", since others subtract" if sums[1] < sums[0] else ""
    source = next((one.title for one in network.convolutions if one.name == explanation.contributor_layer), "")
    caption = (
        f"{network.title} at {layer_title(network, explanation.layer)}"
        f"{f', whose channels are those of {source}' if source else ''}: the {counted(len(channels), 'channel')} of "
        f"{len(given)} that gave most to {answer}, its answer, most first. Beside the channel’s strongest patch on "
        f"another photo: where it fired on this one, all on one scale from 0 to {number(float(maps.max()))}. A "
        f"channel’s contribution is its activations times the gradient of the logit, added up: {these} "
        f"{number(sums[0])}, all {len(given):,} together {number(sums[1])}{less}; the logit is "
        f"{number(float(explanation.logits[explanation.predicted]))}."
    )
    rows = tuple(
        (
            channel,
            cell(float(given[channel]), 3),
            cell(float(maps[index].max()), 3),
            _where(network, patches, channel, own),
        )
        for index, channel in enumerate(channels)
    )
    return framed(
        f"{network.anchor}-contributions-{photo.id}",
        sheet(cells),
        alt=alt,
        caption=caption,
        quality=QUALITY,
        enlarged=True,
        table=Table(("channel", "contribution to the logit", "largest activation", "strongest patches"), rows),
    )


def _pair(patch: Pixels | None, explanation: Explanation, activations: np.ndarray, most: float) -> Pixels:
    """A channel's strongest patch, and beside it, below it where that is broad, its map over the colourless photo."""
    kind = kind_of(explanation.seen)
    box = box_of(kind, 2 * PART) if kind else (PART, PART)
    place = (PART, box[1])
    if patch is None:
        first = boxed(raster.mosaic(np.zeros((1, PART, PART, 3), np.uint8), 1, struck=[0]), place)
    else:
        enlarged = raster.enlarge(patch, max(1, max(place) // max(patch.shape[:2])))
        first = boxed(raster.cover(enlarged, *fitted(patch, place)), place)
    high, wide = fitted(explanation.seen, box)
    values = raster.resize(activations, high, wide) / most if most > 0 else np.zeros((high, wide))
    ground = raster.grey(raster.cover(explanation.seen, high, wide))
    then = boxed(raster.laid_over(ground, values, VEIL), box)
    if kind:
        return raster.compose(PART + PART_GAP + box[0], box[1], [(first, 0, 0), (then, PART + PART_GAP, 0)])
    return raster.compose(box[0], PART + PART_GAP + box[1], [(first, 0, 0), (then, 0, PART + PART_GAP)])


def _where(network: Network, patches: LayerPatches | None, channel: int, own: Callable[[int], bool]) -> str:
    if patches is None or network.examined is None:
        return "unknown"
    return shows(network, patches, channel, without=own)
