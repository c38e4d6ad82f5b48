"""The points of a forward pass: every module and function that ran, found by following one image through a model.

What a report asks of an architecture is asked of these: where its stages end, at which layer to explain it, which
convolution made a channel and what rectifies it, what its head does. No type, name or order of modules is trusted.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from generator.explain.calls import Calls, function_of
from generator.explain.cells import Seen
from generator.explain.checks import check_images, check_unscripted
from generator.explain.fields import Following
from generator.explain.flow import RECTIFIERS, Flow, Kind, Node, leading_to, trunk
from generator.explain.layouts import Form, Layout
from generator.explain.outputs import answered
from generator.explain.passes import GRIDS, evaluating, is_leaf, runnable
from generator.explain.receptive_fields import ReceptiveField


@dataclass(frozen=True)
class Point:
    """What one call gave, of one image."""

    name: str  # the module's dotted name, or the function's as in `calls`
    run: int  # of that module in the pass, from 1
    module: nn.Module | None  # None: a function
    shape: tuple[int, ...]  # of its first tensor, without the batch
    single: bool  # whether it gave that tensor alone
    alone: bool  # whether no other call ran within it
    kept: bool  # whether it gave back what it was given, as dropout does
    kind: Kind  # of the operation that made its values
    rectified: bool  # whether that is 0 where nothing was found, as after a ReLU
    number: int  # of that operation: the same of two points that have the same values
    grid: tuple[int, int] | None  # its cells along the image's rows and columns; None where they are mixed up
    around: tuple[int, int]  # of tokens, how many that are no cells come before and after those that are
    form: Form  # (C, h, w), (h, w, C), (T, D), or another one
    field: ReceptiveField | None  # what a cell sees; None: of no regular size
    cause: str  # why it has none
    place: ReceptiveField | None  # where a cell lies, whatever else it has seen; None without cells
    trunk: bool  # whether all that the output is made from goes through it
    depth: int  # calls that were running around it
    row: bool  # whether it is a step of its own: no block, and no part of a module that has none of its own

    @property
    def cells(self) -> int:
        """How many cells its grid has; 0 without one."""
        return math.prod(self.grid) if self.grid else 0

    @property
    def layout(self) -> Layout:
        """How its cells stand; "maps" where there are none."""
        return Layout(self.form or "maps", self.grid or (1, 1), self.around)

    @property
    def channels(self) -> int:
        """Of maps and tokens; 0 where it has neither."""
        return 0 if not self.form else self.shape[0] if self.form == "maps" else self.shape[-1]


@dataclass(frozen=True)
class Points(Sequence[Point]):
    """The points of one pass in the order in which they end, of each module's runs the last."""

    found: tuple[Point, ...]
    runs: tuple[Point, ...] = field(repr=False)  # all, also the earlier ones
    nodes: tuple[Node, ...] = field(repr=False)
    ends: frozenset[int] = field(repr=False)  # the numbers of what the model gave

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, place: Any) -> Any:
        return self.found[place]

    def named(self, name: str) -> Point | None:
        """The point of that name, None where there is none."""
        return next((point for point in self.found if point.name == name), None)


def points(model: nn.Module, images: Tensor) -> Points:
    """Every point of a forward pass of the first image.

    Args:
        images: (N, C, H, W) float, as the model takes them.
    Raises:
        InputError: if a part of the model is TorchScript.
    """
    check_images(images)
    check_unscripted(model)
    with evaluating(model):
        image = images[:1].detach().clone()
        if not len(image):
            image = images.new_zeros(1, *images.shape[1:])
        tracing = _Tracing(model, image)
        output = tracing.run(model, image)
    return tracing.result(output)


# They take (N, C, h, w) by contract, as the modules of `passes.GRIDS` do.
_GRID_FUNCTIONS = ("conv2d", "max_pool2d", "avg_pool2d", "adaptive_max_pool2d", "adaptive_avg_pool2d")


@dataclass
class _Running:
    """A call that has begun."""

    before: int  # operations before it
    leaf: bool  # whether it is a module's that has no modules of its own
    within: int = 0  # calls in it


class _Tracing:
    """One followed pass."""

    def __init__(self, model: nn.Module, image: Tensor) -> None:
        self.following, self.flow = Following(image), Flow(image)
        self.calls = Calls(model, image, self._end, self._begin, every=True)
        self.model = model
        self.running: list[_Running] = []
        self.found: list[Point] = []
        self.read: set[int] = set()  # the numbers of what is taken as (N, C, h, w) by contract

    def run(self, model: nn.Module, image: Tensor) -> Any:
        with self.calls.hooks(runnable(model)), self.flow, self.following, self.calls:
            return answered(model, image).logits

    def result(self, output: Any) -> Points:
        """The points, with the numbers of what the model gave."""
        numbers = [self.flow.number(leaf) for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
        ends = frozenset(number for number in numbers if number is not None)
        main = trunk(self.flow.nodes, ends)
        found = tuple(replace(_read(point, self.read), trunk=point.number in main) for point in self.found)
        last = {point.name: point.run for point in found}
        return Points(
            tuple(point for point in found if point.run == last[point.name]), found, tuple(self.flow.nodes), ends
        )

    def _begin(self, name: str, module: nn.Module | None, args: tuple[Any, ...]) -> None:
        of_grids = isinstance(module, GRIDS) if module is not None else function_of(name) in _GRID_FUNCTIONS
        if of_grids and args and isinstance(args[0], Tensor) and args[0].dim() == 4:
            number = self.flow.number(args[0])
            self.read |= {number} if number is not None else set()
        if self.running:
            self.running[-1].within += 1
        leaf = module is not None and module is not self.model and is_leaf(module)
        self.running.append(_Running(len(self.flow.nodes), leaf))

    def _end(self, name: str, module: nn.Module | None, output: Any) -> None:
        ended = self.running.pop()
        before, within = ended.before, ended.within
        tensors = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
        if not tensors:
            return
        tensor = tensors[0]
        number = self.flow.number(tensor)
        node = self.flow.nodes[number] if number is not None else None
        seen = self.following.seen(tensor)
        grid, form = _grid(tensor, seen, node)
        point = Point(
            name=name,
            run=1 + sum(earlier.name == name for earlier in self.found),
            module=module,
            shape=tuple(tensor.shape[1:]),
            single=isinstance(output, Tensor),
            alone=not within,
            kept=not within and number is not None and number < before,
            kind=node.kind if node else "other",
            rectified=self._rectified(number),
            number=-1 if number is None else number,
            grid=grid,
            around=seen.around if seen else (0, 0),
            form=form,
            field=ReceptiveField(seen.rows, seen.columns) if seen and not seen.cause else None,
            cause=seen.cause if seen else "it is made from nothing of the image",
            place=ReceptiveField(seen.rows, seen.columns) if seen and seen.at else None,
            trunk=False,
            depth=len(self.running),
            row=not within or is_leaf(module) if module is not None else not (self.running and self.running[-1].leaf),
        )
        self.found.append(point)

    def _rectified(self, number: int | None) -> bool:
        """Whether the operation that made its values, which views keep, is a rectifier."""
        while number is not None:
            node = self.flow.nodes[number]
            if node.name in RECTIFIERS or node.kind != "activation" or len(node.parents) != 1:
                return node.name in RECTIFIERS
            number = node.parents[0]
        return False


def _grid(tensor: Tensor, seen: Seen | None, node: Node | None) -> tuple[Any, Any]:
    """The cells of what a call gave, and the form in which they stand."""
    if seen is None or seen.at is None:
        # Cells that were mixed up, as by attention within windows, stand in their places again before a convolution.
        return (tuple(tensor.shape[2:]), "maps") if node is not None and node.maps else (None, "")
    if tensor.dim() == 4 and seen.at in ((-2, -1), (-3, -2)):
        return seen.grid, "maps" if seen.at == (-2, -1) else "maps, channels last"
    if tensor.dim() == 3 and seen.at == (-2, -2):
        return seen.grid, "tokens"
    return seen.grid, ""


def _read(point: Point, read: Collection[int]) -> Point:
    """Cells that were mixed up, as within windows, stand in their places again where a convolution or pooling reads."""
    if point.grid is None and point.number in read and len(point.shape) == 3:
        return replace(point, grid=(point.shape[1], point.shape[2]), form="maps")
    return point


# Questions


def stage_ends(points: Points) -> tuple[str, ...]:
    """The end of each stage: at each resolution that maps of more than one cell have, the last that all goes through.

    Of these the outermost: "layer1" of a ResNet, where "layer1.1.relu" has the same values, and "features.3" of a
    MobileNet, not the expansion that begins the next block. Pooled maps are no stage. Where nothing at a resolution is
    passed by all, as with two streams, its last point is taken. Of tokens the ends of the blocks are stages.
    """
    ends: list[Point] = []
    for group in _by_size([point for point in points if _has_maps(point)]):
        passed = [point for point in group if point.trunk] or group
        passed = [point for point in passed if point.kind != "pooling"]
        if not passed:
            continue
        outermost = min(point.depth for point in passed)
        ends.append([point for point in passed if point.depth == outermost][-1])
    ends += block_ends(points)
    return tuple(point.name for point in sorted(ends, key=points.found.index))


def block_ends(points: Points) -> list[Point]:
    """Of tokens, which have one resolution throughout, the end of each block: the modules that end in an addition.

    Of these the outermost that there are several of: "blocks.0" and "blocks.1" of a ViT, not "blocks" of them all.
    """
    added = [
        point
        for point in points
        if point.trunk and point.single and point.name and point.module is not None and not point.kept
        if point.form == "tokens" and point.kind == "addition" and point.cells > 1
    ]
    for depth in sorted({point.depth for point in added}):
        blocks = {point.number: point for point in added if point.depth == depth}
        if len(blocks) > 1:
            return list(blocks.values())
    return added[-1:]


def _by_size(found: Sequence[Point]) -> list[list[Point]]:
    """Points of the same size, each size once, in the order in which the sizes come first."""
    groups: dict[tuple[int, int] | None, list[Point]] = {}
    for point in found:
        groups.setdefault(point.grid, []).append(point)
    return list(groups.values())


def convolves(point: Point) -> bool:
    """Whether it is a convolution itself, that gives maps."""
    return point.kind == "convolution" and point.alone and not point.kept and point.form == "maps"


def _has_maps(point: Point) -> bool:
    return bool(point.name) and point.single and point.form.startswith("maps") and point.cells > 1 and not point.kept


def source(points: Points, layer: str) -> str:
    """The convolution whose channels are those of `layer`: itself, or one of which it is made channel by channel.

    "" where something between the two mixes channels, as a residual block's addition does.
    """
    made = {
        point.number: point.name for point in reversed(points.found) if convolves(point) and point.module is not None
    }
    point = points.named(layer)
    number = point.number if point else -1
    while number >= 0:
        if number in made:
            return made[number]
        node = points.nodes[number]
        number = node.parents[0] if node.channelwise else -1
    return ""


def rectifier(points: Points, layer: str) -> Point | None:
    """The run that rectifies the channels of `layer`, each by itself: the first that reads them; None without one."""
    point = points.named(layer)
    if point is None or point.number < 0:
        return None
    used = sorted(leading_to(points.nodes, points.ends))
    number: int | None = point.number
    while number is not None:
        readers = (other for other in used if number in points.nodes[other].parents)
        number = next((other for other in readers if points.nodes[other].channelwise), None)
        if number is not None and points.nodes[number].kind == "activation":
            if points.nodes[number].name not in RECTIFIERS:
                return None
            return next((found for found in points.runs if found.number == number and found.alone), None)
    return None


Head = Literal["average", "maximum", "flattened", ""]


def head(points: Points, layer: str) -> Head:
    """What makes logits of the maps of `layer`: one linear layer of each channel's average, or of its maximum.

    "flattened": fully connected layers that tell the maps' cells apart; "": something else.
    """
    point = points.named(layer)
    if point is None or len(points.ends) != 1 or not point.trunk:
        return ""
    (end,) = points.ends
    after = [number for number in sorted(leading_to(points.nodes, points.ends)) if number > point.number]
    names = [points.nodes[number].name for number in after]
    made = [points.nodes[number].kind for number in after if points.nodes[number].name not in _PLAIN]
    if made == ["pooling", "product"] and end == after[-1]:
        whole = next((found for found in points if found.number > point.number and found.kind == "pooling"), None)
        if whole is not None and whole.cells <= 1:
            return "average" if _AVERAGES & set(names) else "maximum"
    first = next((found for found in points if found.number > point.number and found.kind == "product"), None)
    if first is None or not isinstance(first.module, nn.Linear):
        return ""
    entering = [found for found in points if point.number <= found.number < first.number and found.cells > 1]
    taken = first.module.in_features
    return "flattened" if entering and taken == entering[-1].cells * entering[-1].channels else ""


_PLAIN = frozenset(
    {"view", "_unsafe_view", "reshape", "_reshape_alias", "squeeze", "unsqueeze", "clone", "detach", "alias", "t"}
)
_AVERAGES = frozenset({"_adaptive_avg_pool2d", "mean", "avg_pool2d"})
