"""What the pages say about a network's layers, their units, and the images made for its classes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from generator.base.names import addresses
from generator.records.network import Explanation, Layer, LayerPatches, Network
from generator.report.plates.numbers import (
    dead,
    duplicates,
    in_colour,
    listed_channels,
    mosaic_room,
    norms,
    probabilities,
)
from generator.report.plates.patches import shows, unit_prefix
from generator.report.plates.sheets import place, sheet_id
from generator.report.plates.wording import listed

MARKS = {  # what each mark says of one unit, and of several
    "silent": ("never fired", "never fired"),
    "dead": ("is dead", "are dead"),
    "repeats": ("repeats another", "repeat another"),
}
AHEAD = 12  # channels beside a page's question
NUMBERS = 40  # that a page lists of one kind


@dataclass(frozen=True)
class Unit:
    """One channel of a layer.

    `id` is its stable address; `weights` and `patches` name the sheets that hold its pictures, in the cell `cell`.
    """

    channel: int
    id: str
    norm: float | None  # of its filter; None: it has none of its own
    mark: str  # "dead", "silent", "repeats 12", or nothing
    answer: float | None  # its strongest
    active: float | None  # share of the images in which it is above zero
    shows: str  # what the images of its patches show
    weights: str
    patches: str
    cell: int
    listed: bool  # whether the layer's page shows it
    gave: float | None = None  # to the answers, on average, where channels were chosen by that


@dataclass(frozen=True)
class Others:
    """Channels that a layer's page does not show and that something is the matter with."""

    mark: str  # "silent", "dead", or "repeats"
    numbers: tuple[int, ...]

    @property
    def said(self) -> str:
        """What is the matter with how many, and their numbers: "3 never fired (3, 17 and 19)"."""
        numbers = [str(number) for number in self.numbers[:NUMBERS]]
        told = listed(numbers) if len(numbers) == len(self.numbers) else f"{', '.join(numbers)}, …"
        return f"{len(self.numbers):,} {MARKS[self.mark][len(self.numbers) > 1]} ({told})"


@dataclass(frozen=True)
class LayerPage:
    """One layer with its units; `href` is the page on which they stand."""

    record: Layer
    id: str
    index: int  # among the network's layers with pages, from 0
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
        """The units that its page shows: all, those that gave most to the answers, or those with the largest norms."""
        return tuple(unit for unit in self.units if unit.listed)

    @property
    def ahead(self) -> int:
        """How many of these, the first, stand beside the page's question: as many as its first window has room for."""
        return min(len(self.listed), AHEAD) if self.patched else 0

    @property
    def fires(self) -> bool:
        """Whether it is known in what share of the images its channels are above zero: a rectifier follows."""
        return any(unit.active is not None for unit in self.units)

    @property
    def others(self) -> tuple[Others, ...]:
        """What is the matter with channels that its page does not show, by their numbers."""
        hidden = [unit for unit in self.units if unit.mark and not unit.listed]
        marked = {mark: tuple(unit.channel for unit in hidden if unit.mark.startswith(mark)) for mark in MARKS}
        return tuple(Others(mark, numbers) for mark, numbers in marked.items() if numbers)

    @property
    def whole(self) -> bool:
        """Whether a filter is one picture: in colour, or of a single channel."""
        return self.in_colour or (self.record.weights is not None and self.record.weights.shape[1] == 1)

    @property
    def every_filter(self) -> bool:
        """Whether the picture of its weights has room for all filters that are one picture each."""
        return self.record.weights is None or len(self.units) <= mosaic_room(self.record.weights)

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
class Selection:
    """Which part of a network has pages and pictures, where that is not all of it."""

    layers: int  # that have pages
    named: bool  # by report.toml, not by the program
    sampled: bool  # whether the ends of some stages were left out
    explained: bool  # whether one of them is the layer that heat maps explain, though no stage ends there
    convolutions: int  # that have none
    pictured: int  # channels on these pages
    channels: int  # of these layers
    asked: str  # on what channels were asked for their part in the answers


@dataclass(frozen=True)
class Made:
    """The image made for one class, and what the network calls it."""

    id: str
    name: str
    answer: str
    probability: float
    right: bool


def layers(network: Network) -> tuple[LayerPage, ...]:
    """Every layer that has a page, in order."""
    found = {patches.layer: patches for patches in network.patches} if network.examined is not None else {}
    return tuple(_layer(network, index, layer, found.get(layer.name)) for index, layer in enumerate(network.layers))


def selection(network: Network) -> Selection | None:
    """What was selected of a network; None where every convolution has a page."""
    if not network.selected:
        return None
    return Selection(
        layers=len(network.layers),
        named=network.selected == "named",
        sampled=network.selected == "sampled",
        explained=any(_apart(seen) for seen in network.explanations.values()),
        convolutions=len(network.pageless),
        pictured=sum(len(listed_channels(network, layer)) for layer in network.layers),
        channels=sum(layer.channels for layer in network.layers),
        asked=network.asked,
    )


def _apart(seen: Explanation) -> bool:
    """Whether heat maps explain a layer other than the end of a stage."""
    return bool(seen.layer) and seen.layer not in {stage.layer for stage in seen.stages}


def made(network: Network) -> tuple[Made, ...]:
    """The images made for the classes, in their order."""
    if network.class_images is None:
        return ()
    shares = probabilities(network.class_images.logits, network.multi_label)
    answers = network.class_images.logits.argmax(axis=1)
    slugs = addresses(network.class_names, network.own)
    return tuple(
        Made(
            id=f"{network.anchor}-class-{slugs[index]}",
            name=name,
            answer=network.class_names[answers[index]],
            probability=float(shares[index, answers[index]]),
            right=bool(answers[index] == index),
        )
        for index, name in enumerate(network.class_names)
    )


def _layer(network: Network, index: int, layer: Layer, patches: LayerPatches | None) -> LayerPage:
    prefix = unit_prefix(network, layer)
    sizes = None if layer.weights is None else norms(layer.weights)
    lost = set() if sizes is None else set(dead(sizes).tolist())
    repeated = {} if layer.weights is None else duplicates(layer.weights, sizes)
    shown = {channel: cell for cell, channel in enumerate(listed_channels(network, layer))}
    drawn = shown if sizes is not None else {}
    units = []
    for channel in range(layer.channels):
        active = None if patches is None else _number(patches.active[channel])
        mark = "dead" if channel in lost else f"repeats {repeated[channel]}" if channel in repeated else ""
        units.append(
            Unit(
                channel=channel,
                id=f"{prefix}-{channel}",
                norm=None if sizes is None else float(sizes[channel]),
                mark=mark or ("silent" if active == 0 else ""),
                answer=None if patches is None else _number(patches.answers[channel, 0]),
                active=active,
                shows="" if patches is None else shows(network, patches, channel),
                weights=sheet_id(f"{prefix}-weights", drawn[channel]) if channel in drawn else "",
                patches=sheet_id(f"{prefix}-patches", shown[channel]) if patches and channel in shown else "",
                cell=place(shown.get(channel, 0))[1],
                listed=channel in shown,
                gave=None if layer.chosen is None else float(layer.chosen.gave[channel]),
            )
        )
    return LayerPage(
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
