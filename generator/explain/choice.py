"""Which layer to explain where none is named: one of cells that lie over the image, by which the logits change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from generator.base.errors import InputError
from generator.explain.calls import is_function, told
from generator.explain.checks import check_images, module_named
from generator.explain.flow import leading_to
from generator.explain.layouts import Layout
from generator.explain.passes import evaluating, runnable
from generator.explain.points import Point, Points, convolves, points
from generator.explain.watching import gradients, watching

_BANDS = 4  # of the image along each axis, that are changed to see which cells answer
_BESIDE = "lie over one side of the image"
_MOVED = "do not lie where they stand over the image"
LEARNT = ("convolution", "product", "attention")


@dataclass(frozen=True)
class Candidate:
    """A layer whose output still is a grid over the image."""

    layer: str
    grid: tuple[int, int]  # cells along the image's rows and columns
    reached: int | None  # by how many of them the logits have a gradient; None: it was not asked


@dataclass(frozen=True)
class Choice:
    """The layer to explain, and what else there was."""

    layer: str
    layout: Layout  # how its cells stand
    reached: int | None  # by how many of its cells the logits have a gradient; None: it was not asked
    later: tuple[Candidate, ...] = ()  # nearer to the logits, the last first, and why not: what `reached` says
    earlier: tuple[Candidate, ...] = ()  # farther from them, the next first: what else could be named


def layer_choice(model: nn.Module, images: Tensor, found: Points | None = None) -> Choice:
    """The layer to explain where none is named, with the alternatives.

    Of a network whose head follows its last convolution: that convolution's maps, rectified but not pooled, as
    Selvaraju et al. 2017 found them to localise best (arXiv:1610.02391, section 4): "features.11" of torchvision's
    AlexNet, "layer4" of its ResNets, "conv3+relu" where the rectifier is a function.

    Of a network that goes on over its cells, as transformers do: the last output, of all that everything goes through
    or of a norm that reads such, which still is a grid over the image and by more than one cell of which the logits
    have a gradient. Of a ViT whose head reads the class token these are the inputs of the last block's attention: after
    it no patch has a part in the logits any more, which is what the gradient proves.

    Args:
        images: (N, C, H, W) float, as the model takes them; the first is run: once, once more for each layer whose
            gradient is asked for, and up to nine times where cells were moved.
        found: the model's points, where they are known already.
    Raises:
        InputError: where there is none.
    """
    check_images(images)
    found = points(model, images) if found is None else found
    layer, why_not = of_convolutions(found)
    if layer is not None and is_function(layer.name):
        # What a custom function calls within itself has no gradient of its own.
        able = (point for point in reversed(_rectified(found)) if _differentiable(model, images[:1], point))
        layer = next(able, layer)
    grids = _grids(found)
    proof = _Proof(model, images[:1])
    if layer is not None and not proof.in_place(layer):
        layer = None
    if layer is not None:
        earlier = tuple(_untried(point) for point in grids if point.number < layer.number)
        return Choice(layer.name, layer.layout, None, earlier=earlier)
    tried: list[Candidate] = []
    obstacle: InputError | None = None
    for place, point in enumerate(grids):
        if not proof.in_place(point):
            continue
        try:
            reached = _reached(model, images[:1], point)
        except InputError as error:
            reached, obstacle = 0, error
        if reached > 1:
            rest = tuple(_untried(other) for other in grids[place + 1 :])
            return Choice(point.name, point.layout, reached, tuple(tried), rest)
        tried.append(Candidate(point.name, point.grid or (0, 0), reached))
    if obstacle is not None and not any(candidate.reached for candidate in tried):
        raise InputError(f"layer: there is none to choose: {str(obstacle).removeprefix('layer ')}") from obstacle
    if tried and not any(candidate.reached for candidate in tried):
        layers = tried[-1].layer if len(tried) == 1 else f"{tried[-1].layer} to {tried[0].layer}"
        raise InputError(
            f"layer: the logits of the model have no gradient by any cell of its layers ({layers}), as where its last "
            "weights are all zero; name a layer, or use occlude"
        )
    raise InputError(proof.why_not or why_not)


def layer_proof(model: nn.Module, images: Tensor, layer: str, found: Points | None = None) -> Choice:
    """A layer that somebody names, with what is proved of it: its cells lie over the image and move the logits.

    Args:
        images: (N, C, H, W) float, as the model takes them; gradients are asked for of each, until one has some.
        found: the model's points, where they are known already.
    Returns:
        as `layer_choice`; `reached` is None where logits have no gradient, which methods that ask for none can do
        without.
    Raises:
        InputError: where there is no such layer, or its map would show nothing of the image, or something else's.
    """
    check_images(images)
    found = points(model, images) if found is None else found
    point = found.named(layer)
    if point is None:
        known = [each.name for each in found if each.name]
        if not is_function(layer) and module_named(model, layer) is not None and layer:
            raise InputError(f"layer {layer!r}: expected one that the model runs, it does not run this one")
        near = get_close_matches(layer, known, n=3, cutoff=0.4)
        raise InputError(f"layer: expected a module or a function that runs, got {layer!r}; nearest: {', '.join(near)}")
    if point.cells == 1:
        raise InputError(f"layer {layer!r}: expected several cells, it gives one, whose map is the same in all places")
    if not point.single or not point.form or not point.cells:
        shape = ", ".join(map(str, point.shape))
        raise InputError(
            f"layer {layer!r}: expected cells that lie over the image, none of what it gives ({shape}) can be told to "
            f"be one, because {point.cause or 'they are several things'}"
        )
    if point.number not in leading_to(found.nodes, found.ends):
        raise InputError(f"layer {layer!r}: expected one that the logits are made of, they are not made of this one")
    proof = _Proof(model, images[:1])
    if not proof.in_place(point):
        raise InputError(f"layer {layer!r}: its cells {proof.what}; name another layer, or none")
    for image in torch.split(images, 1):
        try:
            reached = _reached(model, image, point)
        except InputError:
            return Choice(layer, point.layout, None)
        if reached:  # one alone, too, as below a global maximum of one channel
            return Choice(layer, point.layout, reached)
    raise InputError(
        f"layer {layer!r}: the logits have a gradient by none of its {point.cells} cells, so that its maps would show "
        "nothing; name an earlier layer, or none"
    )


Layer = str | Choice | None
"""A layer by its dotted name, or as `layer_choice` found it; None: as it would choose."""


def located(model: nn.Module, images: Tensor, layer: Layer) -> tuple[str, Layout | None]:
    """The layer's name, and how its cells stand where that is known."""
    if isinstance(layer, str):
        return layer, None
    choice: Any = layer_choice(model, images) if layer is None else layer
    if not isinstance(choice, Choice):
        module_named(model, choice)  # which says what is wrong with it
    return choice.layer, choice.layout


def _untried(point: Point) -> Candidate:
    return Candidate(point.name, point.grid or (0, 0), None)


def _grids(found: Points) -> list[Point]:
    """The points to choose among, the last first; of those with the same values the outermost."""
    main, learnt = {point.number for point in found if point.trunk}, _learnt(found)
    by_number: dict[int, Point] = {}
    for point in found:
        norm = point.kind == "normalisation" and main & set(found.nodes[point.number].parents)
        fits = point.name and point.single and point.form and point.cells > 1 and not point.kept
        if fits and (point.trunk or norm) and point.kind != "pooling" and point.number in learnt:
            by_number.pop(point.number, None)  # of a dict the order is that in which its keys came
            by_number[point.number] = point
    return list(reversed(by_number.values()))


def _learnt(found: Points) -> set[int]:
    """The numbers of what weights made: the images themselves, normalised or not, show nothing of the network."""
    made: set[int] = set()
    for number, node in enumerate(found.nodes):
        if node.kind in LEARNT or not made.isdisjoint(node.parents):
            made.add(number)
    return made


def _differentiable(model: nn.Module, image: Tensor, point: Point) -> bool:
    """Whether the logits have a gradient by what a call gave."""
    try:
        with watching(model, image, point.name, layout=point.layout):
            return True
    except InputError:
        return False


class _Proof:
    """Whether cells lie over the image where they stand."""

    def __init__(self, model: nn.Module, image: Tensor) -> None:
        self.model, self.image = model, image
        self.moved = False
        self.what = ""  # of the last that does not
        self.why_not = ""  # of the first

    def in_place(self, point: Point) -> bool:
        """Whether they do: it is known of what could be followed, and found out of the rest.

        Once some are found not to, others that could not be followed are not asked: they are made of the same.
        """
        if point.place is not None:
            found, what = not _beside(point, self.image.shape[2:]), f"{_BESIDE}, as the model cuts or pads it"
        else:
            self.moved = self.moved or not _answers_in_place(self.model, self.image, point)
            found, what = not self.moved, f"{_MOVED}, because of {point.cause}"
        if not found:
            self.what = what
        if not found and not self.why_not:
            self.why_not = (
                f"layer: the cells of {point.name!r} {what}, and no other layer is a grid over it; name a layer, or "
                "use occlude or integrated_gradients"
            )
        return found


def _beside(point: Point, size: Sequence[int]) -> bool:
    """Whether the cells lie over a part of the image that is not its middle, as where it is cut or one side is padded.

    By more than an eighth of a side, beside the half cell by which strides shift them.
    """
    assert point.place is not None
    assert point.grid is not None
    for axis, cells, side in zip((point.place.rows, point.place.columns), point.grid, size, strict=True):
        middle = axis.offset + (axis.size - 1) / 2 + axis.jump * (cells - 1) / 2
        if axis.jump and abs(middle - (side - 1) / 2) > axis.jump / 2 + side / 8:
            return True
    return False


def _answers_in_place(model: nn.Module, image: Tensor, point: Point) -> bool:
    """Whether the cells of one band after another answer most when the image is changed there, along both axes.

    Of most bands: attention mixes what is far apart, too.
    """
    random = torch.Generator().manual_seed(0)
    noise = torch.randn(image.shape, generator=random).to(image) * (image.std() or 1)

    def answer(given: Tensor) -> Tensor:  # (C, h, w)
        outputs: list[Tensor] = []
        keep = {point.name: lambda _name, _module, output: outputs.append(output.detach().clone())}
        with evaluating(model), told(model, given, runnable(model), keep):
            model(given)
        return point.layout.maps(outputs[-1])[0].float()

    usual = answer(image.detach().clone())
    for axis in (1, 2):
        cells, pixels = usual.shape[axis], image.shape[axis + 1]
        edges = [band * cells // min(_BANDS, cells) for band in range(min(_BANDS, cells) + 1)]
        bands = [*pairwise(edges)]
        own = 0
        for band, (begin, end) in enumerate(bands):
            changed = image.detach().clone()
            first, last = begin * pixels // cells, end * pixels // cells
            changed.narrow(axis + 1, first, last - first).copy_(noise.narrow(axis + 1, first, last - first))
            moved = (answer(changed) - usual).abs().sum((0, 3 - axis))  # (cells,)
            own += int(torch.stack([moved[slice(*each)].mean() for each in bands]).argmax()) == band
        if own * 2 <= len(bands) and len(bands) > 1:
            return False
    return True


def _reached(model: nn.Module, image: Tensor, point: Point) -> int:
    """By how many cells of a point the logits have a gradient, whichever: along a direction drawn at random."""
    with watching(model, image, point.name, each_cell=True, layout=point.layout) as run:
        seed = torch.randn(run.logits.shape, generator=torch.Generator().manual_seed(0)).to(run.logits)
        (gradient,) = gradients([run], seed)
        assert gradient is not None
    return int((gradient != 0).any(1).sum())


def of_convolutions(points: Points) -> tuple[Point | None, str]:
    """The last convolution's maps, rectified but not pooled, if the head follows them; else None and why not.

    Of the points after the last convolution with more than one cell, the last with maps of the same size that is
    neither pooled nor what another gave.
    """
    shown = _maps(points)
    last = next((point for point in reversed(shown) if convolves(point)), None)
    if last is None:
        turned = any(point.kind == "convolution" and point.cells > 1 and len(point.shape) == 3 for point in points)
        if turned:
            return None, "layer: the rows of the model's maps are columns of the image; name a layer, or use occlude"
        return None, (
            "layer: the model runs no 2-d convolution (nn.Conv2d) that gives maps of more than one cell; name a layer"
        )
    layer = _rectified(points)[-1]
    beyond = next((point for point in points[points.found.index(layer) + 1 :] if _goes_on(point)), None)
    if beyond is None:
        return layer, ""
    return None, (
        f"layer: after its last convolution, {last.name!r}, the model goes on over its cells in "
        f"{beyond.name!r} ({type(beyond.module).__name__}), as transformers do, and nothing that all of it goes "
        "through is known to be a grid over the image; name a layer, or use occlude or integrated_gradients"
    )


def _rectified(points: Points) -> list[Point]:
    """From the last convolution's maps on, those of the same size that are neither pooled nor what another gave."""
    shown = _maps(points)
    last = next(point for point in reversed(shown) if convolves(point))
    chosen = [
        point
        for point in shown[shown.index(last) :]
        if point.name and point.grid == last.grid and point.kind != "pooling" and not point.kept
    ]
    return [point for point in chosen if point.trunk] or chosen


def _maps(points: Points) -> list[Point]:
    maps = [point for point in points if point.single and len(point.shape) == 3]
    return [point for point in maps if point.form == "maps" and point.cells > 1]


def _goes_on(point: Point) -> bool:
    """Whether weights gave tokens (T, D), or maps (h, w, C), of more than one cell."""
    weights = (
        [weight.shape[:1] for weight in point.module.parameters(recurse=False)] if point.module is not None else []
    )
    if not weights or len(point.shape) == 2:
        return bool(weights) and point.shape[0] > 1
    last = point.shape[-1:] in weights and point.shape[:1] not in weights
    return len(point.shape) == 3 and last and math.prod(point.shape[:2]) > 1
