"""The sections of a forward pass: what follows one another in it, and in each of them what runs beside each other.

A section ends at an operation through which everything goes that the output is made from (`flow.trunk`). So a residual
block is one section with two paths, an Inception block one with four, a plain layer one with a single path.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from generator.explain.calls import function_of
from generator.explain.flow import Kind, Node, leading_to, trunk
from generator.explain.points import Point, Points

_WEIGHING = ("convolution", "product", "attention")
_FUNCTIONS = ("conv2d", "linear", "scaled_dot_product_attention")
_SOFTMAX = "_softmax"  # of attention that is written out


@dataclass(frozen=True)
class Section:
    """What is made between two operations that everything goes through, the second of them included."""

    points: tuple[Point, ...]  # whose values are made in it, in the order in which they end
    paths: tuple[tuple[Point, ...], ...]  # the steps of each path, where there are several; (): one without weights
    joined: Kind  # how its paths are joined: the kind of its last operation
    attends: bool  # whether cells are weighed against one another in it
    weights: int  # parameters of the modules in it

    @property
    def end(self) -> Point:
        """What gives its values: of several that give the same the outermost."""
        last = max(point.number for point in self.points)
        return min((point for point in self.points if point.number == last), key=lambda point: point.depth)

    @property
    def steps(self) -> tuple[Point, ...]:
        """Its convolutions, linear layers and attention, each once."""
        found = {point.number: point for point in self.points if _weighs(point)}
        return tuple(found.values())


def sections(points: Points, model: nn.Module) -> tuple[Section, ...]:
    """The sections of a pass in their order; empty for a model that makes nothing of its images.

    Args:
        points: of the model, see `points.points`.
    """
    used = sorted(leading_to(points.nodes, points.ends) - {0})
    runs = [point for point in points.runs if point.number > 0 and not point.kept]
    counts = _parameters(model, runs)
    found: list[Section] = []
    start = 0
    for end in sorted(trunk(points.nodes, points.ends) - {0}):
        inner = tuple(point for point in runs if start < point.number <= end)
        if not any(point.number == end for point in inner):
            continue  # no call gives it alone: it is one of several operations of a module
        between = [number for number in used if start < number < end]
        steps = [point for point in inner if _weighs(point)]
        nodes = [points.nodes[number] for number in (*between, end)]
        found.append(
            Section(
                points=inner,
                paths=_paths(points.nodes, between, (start, end), steps),
                joined=points.nodes[end].kind,
                attends=any(node.kind == "attention" or node.name == _SOFTMAX for node in nodes),
                weights=sum(counts.get(point.name, 0) for point in inner if point.run == 1),
            )
        )
        start = end
    return tuple(found)


def _weighs(point: Point) -> bool:
    """Whether it is a convolution, a linear layer or attention itself."""
    if not point.alone or point.kept or point.kind not in _WEIGHING:
        return False
    if point.module is None:
        return function_of(point.name) in _FUNCTIONS
    return any(True for _ in point.module.parameters())


def _paths(
    nodes: Sequence[Node], between: Collection[int], ends: tuple[int, int], steps: Iterable[Point]
) -> tuple[tuple[Point, ...], ...]:
    """The steps of each path from one end to the other, in the order in which the paths begin; () of a single one.

    Operations of which one reads the other are of one path. What passes nothing between the ends is a path, too.
    """
    start, end = ends
    path = {number: number for number in between}
    for number in between:
        met = {path[parent] for parent in nodes[number].parents if parent in path} | {path[number]}
        path = {other: min(met) if mine in met else mine for other, mine in path.items()}
    begins = sorted(set(path.values()))
    found = [tuple(point for point in steps if path.get(point.number) == begin) for begin in begins]
    if start in nodes[end].parents:
        found.append(())
    return tuple(found) if len(found) > 1 else ()


def _parameters(model: nn.Module, runs: Iterable[Point]) -> Mapping[str, int]:
    """Parameters by the name of the innermost module that ran and has them; those of the model itself are left out."""
    names = {point.name for point in runs if point.module is not None} - {""}
    found: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        owner = name.rpartition(".")[0]
        while owner and owner not in names:
            owner = owner.rpartition(".")[0]
        if owner:
            found[owner] = found.get(owner, 0) + parameter.numel()
    return found
