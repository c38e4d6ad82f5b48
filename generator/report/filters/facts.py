"""What the pages say about a network's convolutions, their units, and the images made for its classes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from generator.base.names import slugs
from generator.records.network import ConvLayer, LayerPatches, Network
from generator.report.plates.numbers import dead, duplicates, in_colour, listed_channels, norms, probabilities
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
    listed: bool  # whether the layer's page has room for it


@dataclass(frozen=True)
class Layer:
    """One convolution with its units; `href` is the page on which they stand."""

    record: ConvLayer
    id: str
    index: int  # among the network's convolutions, from 0
    units: tuple[Unit, ...]
    patched: bool  # whether patches of real images are known
    in_colour: bool  # whether its filters are pictures in red, green and blue
    beyond: str  # along which side a unit sees more than there is: "height", "width", "both", or ""

    @property
    def href(self) -> str:
        """The page of this layer."""
        return f"filters-{self.id}.html"

    @property
    def listed(self) -> tuple[Unit, ...]:
        """The units that its page shows: all, or those with the largest norms."""
        return tuple(unit for unit in self.units if unit.listed)

    @property
    def whole(self) -> bool:
        """Whether a filter is one picture: in colour, or of a single channel."""
        return self.in_colour or self.record.weights.shape[1] == 1

    @property
    def field(self) -> str:
        """Its receptive field in pixels: the side of a square, else height and width; or what takes its place."""
        sees = self.record.sees
        return "the whole image" if sees is None else str(sees[0]) if self.even else f"{sees[0]} × {sees[1]}"

    @property
    def even(self) -> bool:
        """Whether its receptive field is a square, as far as it has a size."""
        return self.record.sees is None or self.record.sees[0] == self.record.sees[1]

    @property
    def sees(self) -> str:
        """How much of the input one of its units sees, in words."""
        sees = self.record.sees
        return f"{sees[0]} × {sees[1]} pixels" if sees else "the whole image"

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
            id=f"{network.anchor}-class-{addresses[index]}",
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
    shown = {channel: cell for cell, channel in enumerate(listed_channels(layer.weights))}
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
                weights=sheet_id(f"{prefix}-weights", shown[channel]) if channel in shown else "",
                patches=sheet_id(f"{prefix}-patches", shown[channel]) if patches and channel in shown else "",
                cell=place(shown.get(channel, 0))[1],
                listed=channel in shown,
            )
        )
    return Layer(
        layer,
        prefix,
        index,
        tuple(units),
        patched=patches is not None,
        in_colour=in_colour(network, layer),
        beyond=_beyond(layer.sees, network.input.size),
    )


def _beyond(sees: tuple[int, int] | None, size: tuple[int, int]) -> str:
    high, wide = (False, False) if sees is None else (sees[0] > size[0], sees[1] > size[1])
    return "both" if high and wide else "height" if high else "width" if wide else ""


def _number(value: np.float32) -> float | None:
    return None if math.isnan(value) else float(value)
