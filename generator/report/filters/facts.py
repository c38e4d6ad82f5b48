"""What the pages say about a network's convolutions, their units, and the images made for its classes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from generator.base.names import slugs
from generator.records.network import ConvLayer, LayerPatches, Network
from generator.report.plates.numbers import dead, duplicates, norms, probabilities
from generator.report.plates.patches import shows, unit_prefix
from generator.report.plates.sheets import place, sheet_id


@dataclass(frozen=True)
class Unit:
    """One channel of a convolution.

    `id` is its stable address; `weights` and `patches` name the sheets that hold its pictures, in the cell `cell`.
    """

    channel: int
    id: str
    norm: float
    mark: str  # "dead", "silent", "repeats 12", or nothing
    answer: float | None  # its strongest
    active: float | None  # share of the images in which it is above zero
    shows: str  # what the images of its patches show
    weights: str
    patches: str
    cell: int


@dataclass(frozen=True)
class Layer:
    """One convolution with its units; `href` is the page on which they stand."""

    record: ConvLayer
    id: str
    index: int  # among the network's convolutions, from 0
    units: tuple[Unit, ...]
    patched: bool  # whether patches of real images are known

    @property
    def href(self) -> str:
        """The page of this layer."""
        return f"filters-{self.id}.html"

    def marked(self, mark: str) -> int:
        """How many units are "dead", "silent", or repeat another ("repeats")."""
        return sum(unit.mark.startswith(mark) for unit in self.units)


@dataclass(frozen=True)
class Made:
    """The image made for one class, and what the network calls it."""

    id: str
    name: str
    answer: str
    probability: float
    right: bool


def layers(network: Network) -> tuple[Layer, ...]:
    """Every convolution, in order."""
    found = {patches.layer: patches for patches in network.patches} if network.examined is not None else {}
    return tuple(_layer(network, index, layer, found.get(layer.name)) for index, layer in enumerate(network.layers))


def made(network: Network) -> tuple[Made, ...]:
    """The images made for the classes, in their order."""
    if network.class_images is None:
        return ()
    shares = probabilities(network.class_images.logits)
    answers = network.class_images.logits.argmax(axis=1)
    addresses = slugs(network.class_names)
    return tuple(
        Made(
            id=f"{network.id}-class-{addresses[index]}",
            name=name,
            answer=network.class_names[answers[index]],
            probability=float(shares[index, answers[index]]),
            right=bool(answers[index] == index),
        )
        for index, name in enumerate(network.class_names)
    )


def _layer(network: Network, index: int, layer: ConvLayer, patches: LayerPatches | None) -> Layer:
    prefix = unit_prefix(network, layer)
    sizes = norms(layer.weights)
    lost, repeated = set(dead(sizes).tolist()), duplicates(layer.weights)
    units = []
    for channel, size in enumerate(sizes):
        active = None if patches is None else _number(patches.active[channel])
        mark = "dead" if channel in lost else f"repeats {repeated[channel]}" if channel in repeated else ""
        units.append(
            Unit(
                channel=channel,
                id=f"{prefix}-{channel}",
                norm=float(size),
                mark=mark or ("silent" if active == 0 else ""),
                answer=None if patches is None else _number(patches.answers[channel, 0]),
                active=active,
                shows="" if patches is None else shows(network, patches, channel),
                weights=sheet_id(f"{prefix}-weights", channel),
                patches="" if patches is None else sheet_id(f"{prefix}-patches", channel),
                cell=place(channel)[1],
            )
        )
    return Layer(layer, prefix, index, tuple(units), patches is not None)


def _number(value: np.float32) -> float | None:
    return None if math.isnan(value) else float(value)
