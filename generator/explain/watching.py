"""One forward pass watched from a layer on: its maps, a handle for their gradient, and the way to the logits.

Of several layers in one pass each has its own handle, so that one pass back gives the gradients by all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge
from torch.overrides import _get_current_function_mode_stack

from generator.base.errors import InputError
from generator.explain.calls import End, is_function, told
from generator.explain.checks import check_logits, check_maps, idle
from generator.explain.dispatching import Dispatching
from generator.explain.layouts import Layout
from generator.explain.obstacles import Blockers, Obstacles, blockers
from generator.explain.outputs import answer
from generator.explain.passes import as_maps, differentiating, layout_of, runnable
from generator.explain.tails import Step, Tail


@dataclass(frozen=True)
class Run:
    """What a forward pass left: the layer's maps, a handle for their gradient, and the way from there to the logits.

    The handle are zeros that were added to the maps, so that the logits' gradient by them is the gradient by the maps:
    of the shape of the maps, or (N, C, 1, 1), which gives the gradient summed over the cells. Of a layer that comes
    after another one that is watched it is the place in the graph where the layer's output was made. `tail` lists the
    functions between; None where anything else happens between.
    """

    layer: str
    activations: Tensor  # (N, C, h, w)
    handle: Tensor | GradientEdge
    layout: Layout  # of what is found by a place in the graph
    logits: Tensor  # (N, K)
    tail: tuple[Step, ...] | None

    @property
    def reached(self) -> Blockers:
        """What lies in the graph between the logits and the handle."""
        if isinstance(self.handle, Tensor):
            return blockers(self.logits, self.handle)
        return Blockers(True, ())  # the gradient will tell

    def unreached(self, cause: str) -> InputError:
        """The error where the logits have no gradient by the layer."""
        return InputError(f"layer {self.layer!r}: the logits do not depend on it by any differentiable way{cause}")


def gradients(runs: Sequence[Run], seed: Tensor, batched: bool = False) -> list[Tensor | None]:
    """Of one pass, the gradient by each layer of the logits weighted by `seed`, None where there is none.

    Args:
        seed: (N, K); `batched`: (S, N, K), several at once.
    Returns:
        (N, C, h, w), or (N, C, 1, 1) where the handle is of that shape; batched with S before it.
    """
    if not runs:
        return []
    handles: list[Any] = [run.handle for run in runs]
    # Of one number where it can be: for weights beside the logits torch imports sympy, which takes 0.4 s and 35 MB.
    with torch.enable_grad():  # which a model's own forward may have turned off
        outputs, weights = (runs[0].logits, seed) if batched else ((runs[0].logits * seed).sum(), None)
    with ZeroRows() if batched else nullcontext():
        found: Sequence[Tensor | None] = torch.autograd.grad(
            outputs, handles, weights, retain_graph=True, is_grads_batched=batched, allow_unused=True
        )
    return [
        each if each is None or isinstance(run.handle, Tensor) else _as_maps(each, run.layout, batched)
        for run, each in zip(runs, found, strict=True)
    ]


class ZeroRows(Dispatching):
    """While active, products skip the rows that are 0.

    As of all tokens but the one that a transformer's head reads: on their way back through its last block most of what
    gradients are multiplied with is for nothing.
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is not torch.ops.aten.mm.default:
            return func(*args, **(kwargs or {}))
        rows, matrix = args
        used = rows.any(1)
        if 2 * int(used.sum()) > len(rows):
            return func(rows, matrix)
        product = rows.new_zeros(len(rows), matrix.shape[1])
        product[used] = func(rows[used], matrix)
        return product


def _as_maps(gradient: Tensor, layout: Layout, batched: bool) -> Tensor:
    if not batched:
        return layout.maps(gradient)
    return torch.stack([layout.maps(each) for each in gradient])


@contextmanager
def watching(
    model: nn.Module, images: Tensor, layer: str, each_cell: bool = False, layout: Layout | None = None
) -> Iterator[Run]:
    """A forward pass without gradients up to `layer`, with them from there on and within the block.

    Args:
        each_cell: whether gradients by each cell are wanted, or their sums over the cells of a channel.
        layout: how the layer's cells stand, where that is known; else it is found.
    """
    with differentiating(model):
        watch = _Watch(model, {layer: layout}, layer, each_cell)
        run = watch.run(images).get(layer)
        if layout is None and watch.placed(images):
            run = watch.run(images).get(layer)
        assert run is not None
        if run.tail is None and not run.reached.reached:
            # The model may have turned gradients off before the layer: then they stay on if they were on before that.
            obstacles = Obstacles()
            with torch.enable_grad():
                run = watch.run(images, obstacles).get(layer)
            assert run is not None
            if not (blocked := run.reached).reached:
                raise run.unreached(obstacles.cause(blocked))
        yield run


@contextmanager
def watching_all(
    model: nn.Module, images: Tensor, layers: Mapping[str, Layout | None], traced: str, kept: Sequence[str] = ()
) -> Iterator[Watched]:
    """As `watching`, by each cell, of several layers in one pass, each with how its cells stand where that is known.

    Args:
        layers: those by which gradients are asked for.
        traced: the one of them whose way to the logits is followed.
        kept: layers of which only the maps are asked for.
    """
    with differentiating(model):
        watch = _Watch(model, layers, traced, True, kept)
        runs = watch.run(images)
        if watch.placed(images):
            runs = watch.run(images)
        maps = {
            name: runs[name].activations.float() if name in runs else watch.kept_maps(images, name)
            for name in dict.fromkeys([*layers, *kept])
        }
        reached = {name: run for name, run in runs.items() if run.reached.reached}
        yield Watched(watch.logits, maps, reached)


class Watched(NamedTuple):
    """What one pass told of several layers."""

    logits: Tensor  # (N, K)
    maps: Mapping[str, Tensor]  # (N, C, h, w) float32
    # Without layers that give a view, or what they were given, of which the graph cannot tell what became of them, and
    # without those that no gradient reaches in this pass.
    runs: Mapping[str, Run]


class _Watch:
    """Runs a model with gradients by the maps of layers."""

    def __init__(
        self,
        model: nn.Module,
        layers: Mapping[str, Layout | None],
        traced: str,
        each_cell: bool,
        kept: Sequence[str] = (),
    ) -> None:
        self.model, self.traced, self.each_cell = model, traced, each_cell
        self.kept = [layer for layer in kept if layer not in layers]
        self.modules = runnable(model)
        self.layouts = {layer: layout or Layout() for layer, layout in layers.items()}
        self.unknown = [layer for layer, layout in layers.items() if layout is None]
        self.single = len(layers) == 1
        self.early = not self.single or bool(self.kept) or is_function(traced)  # whether functions are followed at once

    def run(self, images: Tensor, obstacles: Obstacles | None = None) -> dict[str, Run]:
        """One pass; without the layers that give what maps of their layout are not, or that cannot be told of."""
        told_of, output = self._answered(images, obstacles)
        for layer in told_of:
            if not self.runs[layer]:
                raise idle(layer)
            check_maps(layer, self.given[layer], self.count, self.runs[layer])
        if not self.tail.active:
            self.early = True  # a mode of the model's own does not let them be from the layer on
            return self.run(images, obstacles)
        self.logits = check_logits(answer(output, self.tail).logits, images)
        tail = self.tail.steps(self.logits)
        return {
            layer: Run(
                layer, *self.seen[layer], self.layouts[layer], self.logits, tail if layer == self.traced else None
            )
            for layer in self.layouts
            if layer in self.seen and self._fits(layer, self.given[layer])
        }

    def _answered(self, images: Tensor, obstacles: Obstacles | None) -> tuple[Mapping[str, End], Any]:
        """What the pass was to tell of, and what the model gave."""
        self.count = len(images)
        self.tail = Tail(self.modules)
        self.runs: Counter[str] = Counter()
        self.given: dict[str, Any] = {}  # by the last run of each
        self.versions: dict[str, list[tuple[Tensor, int]]] = {}  # of what the last run of each took
        self.copies: dict[str, Tensor] = {}  # of those that cannot be told of, or are only kept
        self.seen: dict[str, tuple[Tensor, Tensor | GradientEdge]] = {}  # that run's maps, and their handle
        given = images.detach().clone()
        told_of = dict.fromkeys(self.kept, self._keep) | dict.fromkeys(self.layouts, self._end)
        with ExitStack() as self.block:
            hooks, self.obstacles = self.block, obstacles
            hooks.enter_context(told(self.model, given, self.modules, told_of, self._begin))
            if obstacles is not None:
                hooks.enter_context(obstacles)
            self.modes = _modes()
            if self.early or self.unknown:
                self._follow()
            return told_of, self.model(given)

    def _follow(self) -> None:
        """From here on functions are followed; each of those before the layer takes its time for nothing."""
        # A mode of the model's own that began before would end this one in the place of itself.
        if not self.tail.active and _modes() == self.modes:
            self.block.enter_context(self.tail)
            self.tail.active = True

    def placed(self, images: Tensor) -> bool:
        """Finds how the cells stand where that is not known; whether in a way that asks for another pass."""
        again = False
        for layer in self.unknown:
            self.layouts[layer] = layout_of(self.model, images, layer, self.given[layer], self.tail.shapes)
            again |= self.layouts[layer].form != "maps"
        self.unknown = []
        return again

    def kept_maps(self, images: Tensor, layer: str) -> Tensor:
        """(N, C, h, w) float32 of a layer of which the last pass kept a copy."""
        return as_maps(self.model, images, layer, self.copies[layer], self.tail.shapes)

    def _fits(self, layer: str, output: Any) -> bool:
        axes = 3 if self.layouts[layer].form == "tokens" else 4
        return isinstance(output, Tensor) and output.dim() == axes and len(output) == self.count

    def _begin(self, layer: str, _module: nn.Module | None, args: tuple[Any, ...]) -> None:
        tensors = (arg for arg in args if isinstance(arg, Tensor) and not arg.is_inference())
        self.versions[layer] = [(arg, arg._version) for arg in tensors]

    def _keep(self, layer: str, _module: nn.Module | None, output: Any) -> None:
        self.runs[layer] += 1
        self.given[layer] = output
        if isinstance(output, Tensor):
            self.copies[layer] = output.detach().clone()

    def _end(self, layer: str, _module: nn.Module | None, output: Any) -> Tensor | None:
        self._follow()
        self.runs[layer] += 1
        self.given[layer] = output
        self.seen.pop(layer, None)
        if not self.single and isinstance(output, Tensor) and output.requires_grad:
            self._placed_in_graph(layer, output)
            nudged = None
        else:
            nudged = self._nudged(layer, output)
        if layer not in self.seen and isinstance(output, Tensor):
            self.copies[layer] = output.detach().clone()
        if self.obstacles is not None:
            self.obstacles.met.clear()  # what comes before the layer does no harm
        return nudged

    def _placed_in_graph(self, layer: str, output: Tensor) -> None:
        """Watches what another layer's maps went into by its place in the graph, which later writing does not move."""
        passed_on = any(output is arg and arg._version == version for arg, version in self.versions[layer])
        if passed_on or output._is_view() or not self._fits(layer, output):
            return  # others read it by the same place, or writing into it moves that
        maps = self.layouts[layer].maps(output.detach()).clone()
        self.seen[layer] = maps, torch.autograd.graph.get_gradient_edge(output)
        if layer == self.traced:
            self.tail.start(output, followed=self.layouts[layer].form == "maps")

    def _nudged(self, layer: str, output: Any) -> Tensor | None:
        if not self._fits(layer, output):
            return None  # this need not be the last run
        maps = check_maps(layer, output, self.count, self.runs[layer])
        if maps.is_quantized:
            raise InputError(
                f"layer {layer!r}: it gives quantised numbers, which have no gradients; explain the model as it "
                "was before its conversion, or this one with score_cam or occlude"
            )
        if maps.is_inference():
            raise InputError(
                f"layer {layer!r}: the model runs it in inference mode, which keeps no gradients; take "
                "torch.inference_mode out of its forward, or make the model outside of it"
            )
        layout = self.layouts[layer]
        activations = layout.maps(maps.detach())  # (N, C, h, w)
        size = activations.shape if self.each_cell else (*activations.shape[:2], 1, 1)
        activations = activations.clone()  # an in-place ReLU may follow
        nudge = maps.new_zeros(size).requires_grad_()
        torch.set_grad_enabled(True)  # until `evaluating` ends
        added = layout.placed(nudge)
        nudged = maps.add_(added) if self._worked_in_place(layer, maps) else maps + added
        self.seen[layer] = activations, nudge
        if layer == self.traced:
            self.tail.start(nudged, followed=layout.form == "maps")
        return nudged

    def _worked_in_place(self, layer: str, maps: Tensor) -> bool:
        """Whether the layer returns its input, changed: what else holds that takes part in the gradient then.

        What the model keeps is not to be touched, and views that were made without gradients refuse it.
        """
        if maps._is_view() or not any(maps is arg and arg._version != version for arg, version in self.versions[layer]):
            return False
        memory = maps.untyped_storage().data_ptr()
        kept = (held for module in self.modules for held in (*module._parameters.values(), *module._buffers.values()))
        return all(tensor is None or tensor.untyped_storage().data_ptr() != memory for tensor in kept)


def _modes() -> int:
    """How many modes are active that are told of functions."""
    return len(_get_current_function_mode_stack())  # type: ignore[no-untyped-call]
