"""One answer explained in several ways, in words: what each method asks, and what its picture shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from generator.records.images import Floats
from generator.records.network import Comparison, Explanation, Network
from generator.report.plates.wording import colour_of_nothing, layer_title, listed, number, percent, place
from generator.report.trust.undecided import undecided

KINDS = 6  # answers that have a shade of their own
LEAST = 0.005  # share of the square's places from which on an answer is named
PLACES = {  # what each method asks
    "Grad-CAM": "gradients, averaged over each map",
    "Grad-CAM++": "gradients, weighted pixel by pixel",
    "LayerCAM": "gradients, place by place",
    "Score-CAM": "no gradients: each map as a mask",
    "attention rollout": "attention, weighted by its gradients",
    "LeGrad": "gradients of each block’s attention",
    "RISE": "no gradients: random masks",
    "occlusion": "no gradients: a {} square",
    "guided backprop": "pixels: positive gradients only",
    "integrated gradients": "pixels: gradients at 24 or 72 points on the way from {}",
}
OF_PIXELS = ("guided backprop", "integrated gradients")  # they give each pixel a value of its own


@dataclass(frozen=True)
class Way:
    """One picture of the comparison: the cell of the sheet where it is, its name and what it shows in words."""

    cell: int
    name: str
    asks: str
    shows: str
    undecided: str = ""  # what is not known of its maps: whether they find what matters


def ways(network: Network, explanation: Explanation) -> tuple[Way, ...]:
    """What the pictures of the comparison show, in the order of the cells."""
    found = explanation.comparison
    return () if found is None else tuple(_ways(network, found, explanation.method))


def _ways(network: Network, found: Comparison, first: str) -> Iterator[Way]:
    picture = 0
    open_ = {name: one.said for name, one in undecided(network).items()}
    for name, cam in found.maps.items():
        asks = PLACES.get(name, "").format(colour_of_nothing(network))
        yield Way(picture, name, asks, _strongest(cam), open_.get(name, ""))
        picture += 1
    if first not in found.maps:
        first = next(iter(found.maps), "")
    for name, cam in found.layers.items():
        yield Way(picture, f"{first} at {layer_title(network, name)}", cells_of(cam), _strongest(cam))
        picture += 1
    row, column = worst(found)
    least = float(found.probability[row, column])
    answer = network.class_names[found.hidden]
    yield Way(picture, "hiding this hurts most", "a part of the photo is hidden", f"{answer} falls to {percent(least)}")
    rest = float(found.probability.mean())
    yield Way(picture + 1, f"probability of {answer}", "wherever the square is", f"{percent(rest)} on average")
    classes, counts = np.unique(found.answers, return_counts=True)
    order = [each for each in np.argsort(-counts, kind="stable")[:KINDS] if counts[each] >= LEAST * found.answers.size]
    told = [f"{network.class_names[classes[each]]} {percent(counts[each] / found.answers.size, 0)}" for each in order]
    stays = "the answer stays the same" if len(classes) == 1 else "the answer"
    yield Way(picture + 2, stays, "wherever the square is", listed(told))


def _strongest(cam: Floats) -> str:
    peak = float(cam.max())
    return f"strongest {place(cam)}, raw maximum {number(peak)}" if peak > 0 else "no positive evidence"


def cells_of(cam: Floats) -> str:
    """How fine a map is, in words."""
    return f"{cam.shape[0]} × {cam.shape[1]} cells"


def worst(found: Comparison) -> tuple[int, int]:
    """The place of the square that leaves the least, among those tried."""
    row, column = np.unravel_index(int(found.probability.argmin()), found.probability.shape)
    return int(row), int(column)
