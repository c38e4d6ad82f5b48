"""Which layers of a network have pages and which of their channels these show; the records of both.

Of a small network every convolution has its page, with all channels unless one has very many. Of a larger one, whose
residual blocks' inner convolutions mean nothing alone, a selection has: the first convolution and the end of each
stage, and of their channels those that gave most to the answers on the report's photos. report.toml may name others.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from generator import explain
from generator.base.errors import InputError
from generator.explain.points import Point, source
from generator.explain.receptive_fields import ReceptiveField
from generator.explain.sections import Section, sections
from generator.inspection.patches import batches
from generator.networks.devices import array_of
from generator.networks.loaded import Loaded
from generator.records.images import Floats, Photo, Pixels
from generator.records.network import Block, Chosen, Examined, Layer

SMALL = 8  # convolutions up to which each of them has its page
WIDE = 512  # channels of a convolution up to which all of them are shown there: more are more than a page can hold
MOST = 8  # layers of a larger network that have one
CHANNELS = 128  # of each of these that its page shows
ASKED = 24  # images at most on which channels are asked for their part in the answer
UNMOVED = 1e-6  # of what a cell holds: by less it differs from one place in a batch to another, too
BATCH = 4  # of these at once: the gradients of a deep network by its first layer take 0.1 GB an image at 224 pixels


@dataclass(frozen=True)
class Asked:
    """What the channels of layers gave to the answers on some images."""

    said: str = ""  # which images: "the 6 photos of this report"
    gave: Mapping[str, Floats] = field(default_factory=dict)  # (C,) by layer; without those that no gradient reaches


NOT_ASKED = Asked()
T = TypeVar("T")


# Which layers


Selected = Literal["", "chosen", "sampled", "named"]  # see `Network.selected`


def selected(loaded: Loaded) -> Selected:
    """Who selects what has pages: report.toml ("named") or the program; "" where all convolutions have.

    "sampled": the program, which leaves out the ends of some stages, for there are too many.
    """
    if loaded.wanted.show:
        return "named"
    if len(convolutions := _convolutions(loaded)) <= SMALL:
        wide = any(point.channels > WIDE for point in loaded.points if point.name in convolutions)
        return "chosen" if loaded.wanted.channels or wide else ""
    return "chosen" if set(_ends(loaded)) <= set(shown(loaded)) else "sampled"


def shown(loaded: Loaded) -> tuple[str, ...]:
    """Names of the layers that have pages, in the order in which they run.

    Of a large network the first convolution, the layer that is explained and the ends of the stages, at most `MOST`:
    then some of them, evenly. For an end that has the channels of one convolution, as the ReLU after it, this one
    stands.

    Raises:
        InputError: for a layer of report.toml that the network does not have, or that gives no maps.
    """
    if loaded.wanted.show:
        return _in_order(loaded, [_named(loaded, name) for name in loaded.wanted.show])
    convolutions = _convolutions(loaded)
    if len(convolutions) <= SMALL:
        return tuple(convolutions)
    always = [convolutions[0], *([_makers(loaded, loaded.layer)] if loaded.layer else [])]
    always = [name for name in dict.fromkeys(always) if _maps_of(loaded, name)]
    ends = [name for name in _ends(loaded) if name not in always]
    return _in_order(loaded, [*always, *evenly(ends, MOST - len(always))])


def stages(loaded: Loaded) -> tuple[str, ...]:
    """The stages whose feature maps are shown: at most `MOST`, evenly over all."""
    return tuple(evenly(loaded.stages, MOST))


def evenly(every: Sequence[T], most: int) -> list[T]:
    """At most so many of all, the first and the last among them."""
    return [every[place] for place in np.linspace(0, len(every) - 1, min(len(every), most)).round().astype(int)]


def _ends(loaded: Loaded) -> list[str]:
    """The ends of the stages, or the convolutions that stand for them."""
    made = dict.fromkeys(_makers(loaded, end) for end in loaded.stages)
    return [name for name in made if _maps_of(loaded, name)]


def _convolutions(loaded: Loaded) -> list[str]:
    return [point.name for point in loaded.points if isinstance(point.module, nn.Conv2d)]


def _makers(loaded: Loaded, layer: str) -> str:
    """The convolution whose channels are those of a layer, else the layer itself."""
    return source(loaded.points, layer) or layer


def _maps_of(loaded: Loaded, name: str) -> bool:
    point = loaded.points.named(name)
    return point is not None and _has_maps(point)


def _has_maps(point: Point) -> bool:
    return bool(point.name) and point.single and point.form.startswith("maps")


def _in_order(loaded: Loaded, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(point.name for point in loaded.points if point.name in names)


def _named(loaded: Loaded, name: str) -> str:
    point = loaded.points.named(name)
    if point is not None and _has_maps(point):
        return name
    what = f"[models.{loaded.id}] show: expected names of layers that give maps, got {name!r}"
    known = [one.name for one in loaded.points if _has_maps(one)]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known[-3:]
    advice = f"nearest: {', '.join(near)}" if near else "this network has none"
    if point is not None:
        what += f", which gives {' x '.join(map(str, point.shape)) or 'a number'}"
    raise InputError(f"{what}; {advice}")


# Which channels


def asked_on(photos: Sequence[Photo], examined: Examined | None) -> tuple[str, list[Pixels]]:
    """The images on which channels are asked: the report's photos, else some of the examined ones; and their name."""
    every = [photo.pixels for photo in photos] or (examined.pictures if examined else ())
    chosen = evenly(every, ASKED)  # only these are read
    of = f"{len(every)} photos of this report" if len(every) > 1 else "photo of this report"
    if not photos and examined:
        of = examined.said
    return f"the {of}" if len(chosen) == len(every) else f"{len(chosen)} of the {of}", chosen


def contributions(loaded: Loaded, pictures: Sequence[Pixels]) -> dict[str, NDArray[Any]]:
    """What each channel of the layers with pages gives to the answers, on average over the pictures: (C,) by layer.

    The contribution of a channel is its activations times the gradient of the answer's logit by them, summed over its
    map (`explain.channel_contributions`). A convolution that stands for the end of a stage, or for the layer that is
    explained, is asked there, where its channels are rectified. Layers that no gradient reaches are missing.

    Raises:
        InputError: where such a one is named by report.toml.
    """
    names = shown(loaded) if selected(loaded) else ()
    places = {_makers(loaded, end): end for end in [*loaded.stages, *([loaded.layer] if loaded.layer else [])]}
    found: dict[str, NDArray[Any]] = {}
    for name in names if pictures else ():
        at = name if name in loaded.wanted.show else places.get(name, name)
        try:
            given = [
                explain.channel_contributions(loaded.network, batch, None, at)
                for batch in batches(loaded, pictures, BATCH)
            ]
        except InputError as error:
            if name in loaded.wanted.show:
                raise InputError(f"[models.{loaded.id}] show: {str(error).split(';')[0]}") from error
            continue
        found[name] = np.concatenate([array_of(part) for part in given]).mean(0)
    return found


def _chosen(gave: Floats, limit: int) -> Chosen:
    """The channels that gave most; those that gave nothing at all, as silent ones, after those that spoke against."""
    order = np.lexsort((-gave, gave == 0))[:limit]
    return Chosen(tuple(sorted(order.tolist())), gave.astype(np.float32))


# The records


def records(loaded: Loaded, asked: Asked) -> tuple[tuple[Layer, ...], tuple[Layer, ...]]:
    """The layers that have pages, and the convolutions that have none.

    A layer without weights of its own of which nothing was asked has nothing to show, and no page.
    """
    limit = loaded.wanted.channels or CHANNELS
    numbers = {name: number for number, name in enumerate(_convolutions(loaded), 1)}
    names = shown(loaded)
    layers = []
    for place, name in enumerate(names, 1):
        gave = asked.gave.get(name)
        chosen = None if gave is None else _chosen(gave, limit)
        if name in numbers or chosen is not None:
            layers.append(_record(loaded, name, numbers.get(name, 0), place, chosen))
    return tuple(layers), tuple(_record(loaded, name, numbers[name], 0) for name in numbers if name not in names)


def _record(loaded: Loaded, name: str, number: int, place: int, chosen: Chosen | None = None) -> Layer:
    """Of a point: the convolution of that number, where it is one."""
    point = loaded.points.named(name)
    assert point is not None
    module = point.module if isinstance(point.module, nn.Conv2d) else None
    stage = loaded.stages.index(name) + 1 if name in loaded.stages else 0
    size = point.shape[:2] if point.form == "maps, channels last" else point.shape[1:3]
    return Layer(
        name=name,
        kind="convolution" if module else "stage" if stage else "point",
        number=number or stage or place,
        weights=array_of(module.weight.detach().float()) if module else None,
        channels=module.out_channels if module else point.channels,
        size=(size[0], size[1]) if len(size) == 2 else (1, 1),
        stride=module.stride[0] if module else 1,
        padding=module.padding[0] if module and isinstance(module.padding, tuple) else 0,
        receptive_field=point.field.size if point.field else None,
        jump=point.field.jump if point.field else 0,
        extent=_uneven(point.field),
        chosen=chosen,
    )


def _uneven(field: ReceptiveField | None) -> tuple[int, int] | None:
    """(H, W) of a receptive field that is no square."""
    if field is None or field.rows.size == field.columns.size:
        return None
    return field.rows.size, field.columns.size


# The whole network


def blocks(loaded: Loaded) -> tuple[Block, ...]:
    """All parts of a network in their order; what neither weighs nor pools belongs to the one before it."""
    found: list[Block] = []
    for section in sections(loaded.points, loaded.network):
        made = _block(section)
        smaller = bool(found) and 0 < made.cells < found[-1].cells
        if section.steps or smaller:
            found.append(made)
        elif found:
            last = found[-1]
            found[-1] = replace(
                made, name=last.name, inside=(*last.inside, *made.inside), weights=last.weights + made.weights,
                steps=last.steps, convolutions=last.convolutions, paths=last.paths, joined=last.joined,
                attends=last.attends,
            )  # fmt: skip
    partly = _partly(loaded, [block.name for block in found if block.sees is None and block.cells > 1])
    return tuple(replace(block, partly=block.name in partly) for block in found)


def _partly(loaded: Loaded, names: Sequence[str]) -> set[str]:
    """Of layers whose cells see no regular size those where one in the middle does not see all corners of the image.

    As after attention within windows, where cells see the windows that theirs was moved into. It is tried: the image is
    changed in one corner after the other, by an eighth of its sides.
    """
    usual, other = (torch.randn(1, *loaded.input.shape, generator=torch.Generator().manual_seed(n)) for n in (0, 1))
    high, wide = (max(1, side // 8) for side in loaded.input.size)
    changed = [usual]
    for rows in (slice(high), slice(-high, None)):
        for columns in (slice(wide), slice(-wide, None)):
            changed.append(usual.clone())
            changed[-1][..., rows, columns] = other[..., rows, columns]
    images = torch.cat(changed).to(loaded.device)
    found = set()
    for name in names:
        try:
            maps = explain.feature_maps(loaded.network, images, [name])[name]
        except InputError:  # its cells cannot be told apart
            continue
        middle = maps[:, :, maps.shape[2] // 2, maps.shape[3] // 2]
        moved = (middle[1:] - middle[:1]).abs().amax(1)
        if not bool((moved > UNMOVED * middle.abs().max()).all()):
            found.add(name)
    return found


def _block(section: Section) -> Block:
    end = section.end
    channels = end.channels or (end.shape[-1] if end.shape else 1)
    return Block(
        name=end.name or section.points[0].name,
        inside=tuple(point.name for point in section.points if point.name),
        shape=end.shape,
        grid=end.grid,
        channels=channels,
        weights=section.weights,
        sees=(end.field.rows.size, end.field.columns.size) if end.field else None,
        steps=len(section.steps),
        convolutions=sum(step.kind == "convolution" for step in section.steps),
        paths=tuple(map(len, section.paths)) if section.steps else (),
        joined=section.joined if section.steps and section.paths else "",
        attends=section.attends,
    )
