"""One forward pass watched from a layer on: its maps, a handle for their gradient, and the way to the logits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from generator.base.errors import InputError
from generator.explain.calls import told
from generator.explain.checks import check_logits, check_maps, idle
from generator.explain.layouts import Layout
from generator.explain.obstacles import Obstacles, blockers
from generator.explain.outputs import answered
from generator.explain.passes import GRIDS, IDENTITIES, POOLINGS, differentiating, is_leaf, layout_of, runnable

_VIEWS = ("ViewBackward", "UnsafeViewBackward", "ReshapeAliasBackward", "SqueezeBackward", "SelectBackward")


class Step(NamedTuple):
    """A module that did just what its class does; `weight` is what a linear layer used."""

    module: nn.Module
    output: Tensor
    weight: Tensor | None


@dataclass(frozen=True)
class Run:
    """What a forward pass left: the layer's maps, a handle for their gradient, and the way from there to the logits.

    `nudge` are zeros that were added to the maps, so that the logits' gradient by them is the gradient by the maps: of
    the shape of the maps, or (N, C, 1, 1), which gives the gradient summed over the cells. `tail` lists the modules
    between; None where anything else happens between.
    """

    layer: str
    activations: Tensor  # (N, C, h, w)
    nudge: Tensor
    logits: Tensor  # (N, K)
    tail: tuple[Step, ...] | None

    def unreached(self, cause: str) -> InputError:
        """The error where the logits have no gradient by the layer."""
        return InputError(f"layer {self.layer!r}: the logits do not depend on it by any differentiable way{cause}")


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
        watch = _Watch(model, layer, each_cell, layout)
        run = watch.run(images)
        if layout is None:
            found = layout_of(model, images, layer, watch.given, watch.chain.shapes)
            if found.form != "maps":
                watch.layout = found
                run = watch.run(images)
        assert run is not None
        if run.tail is None and not blockers(run.logits, run.nudge).reached:
            # The model may have turned gradients off before the layer: then they stay on if they were on before that.
            obstacles = Obstacles()
            with torch.enable_grad():
                run = watch.run(images, obstacles)
            assert run is not None
            if not (blocked := blockers(run.logits, run.nudge)).reached:
                raise run.unreached(obstacles.cause(blocked))
        yield run


class _Watch:
    """Runs a model with gradients by one layer's maps."""

    def __init__(self, model: nn.Module, layer: str, each_cell: bool, layout: Layout | None) -> None:
        self.model, self.layer, self.each_cell = model, layer, each_cell
        self.modules = runnable(model)
        self.layout = layout or Layout()

    def run(self, images: Tensor, obstacles: Obstacles | None = None) -> Run | None:
        """One pass; None where the layer gives what maps of this layout are not."""
        self.count = len(images)
        self.chain = _Chain()
        self.runs = 0
        self.given: Any = None  # by the last run
        self.seen: tuple[Tensor, Tensor] = (torch.empty(0), torch.empty(0))  # that run's maps, and their nudge
        given = images.detach().clone()
        with ExitStack() as hooks:
            for leaf in filter(is_leaf, self.modules):
                if as_written(leaf):
                    self.chain.own.add(leaf)
                hooks.enter_context(leaf.register_forward_pre_hook(self.chain.enter))
                # Before other hooks, which may replace the output: the chain then breaks.
                hooks.enter_context(leaf.register_forward_hook(self.chain.leave, prepend=True))
            self.obstacles = obstacles
            hooks.enter_context(told(self.model, given, self.modules, {self.layer: self._end}, self._begin))
            if obstacles is not None:
                hooks.enter_context(obstacles)
            output = answered(self.model, given).logits
        if not self.runs:
            raise idle(self.layer)
        check_maps(self.layer, self.given, self.count, self.runs)
        logits = check_logits(output, images)
        return Run(self.layer, *self.seen, logits, self.chain.tail(logits)) if self._fits(self.given) else None

    def _fits(self, output: Any) -> bool:
        axes = 3 if self.layout.form == "tokens" else 4
        return isinstance(output, Tensor) and output.dim() == axes and len(output) == self.count

    def _begin(self, _layer: str, _module: nn.Module | None, args: tuple[Any, ...]) -> None:
        self.versions = [(arg, arg._version) for arg in args if isinstance(arg, Tensor) and not arg.is_inference()]

    def _end(self, _layer: str, _module: nn.Module | None, output: Any) -> Tensor | None:
        nudged = self._nudged(output)
        if self.obstacles is not None:
            self.obstacles.met.clear()  # what comes before the layer does no harm
        return nudged

    def _nudged(self, output: Any) -> Tensor | None:
        self.runs += 1
        self.given = output
        if not self._fits(output):
            return None  # this need not be the last run
        maps = check_maps(self.layer, output, self.count, self.runs)
        if maps.is_quantized:
            raise InputError(
                f"layer {self.layer!r}: it gives quantised numbers, which have no gradients; explain the model as it "
                "was before its conversion, or this one with score_cam or occlude"
            )
        if maps.is_inference():
            raise InputError(
                f"layer {self.layer!r}: the model runs it in inference mode, which keeps no gradients; take "
                "torch.inference_mode out of its forward, or make the model outside of it"
            )
        activations = self.layout.maps(maps.detach())  # (N, C, h, w)
        size = activations.shape if self.each_cell else (*activations.shape[:2], 1, 1)
        activations = activations.clone()  # an in-place ReLU may follow
        nudge = maps.new_zeros(size).requires_grad_()
        torch.set_grad_enabled(True)  # until `evaluating` ends
        added = self.layout.placed(nudge)
        nudged = maps.add_(added) if self._worked_in_place(maps) else maps + added
        self.seen = activations, nudge
        self.chain.start(nudged, followed=self.layout.form == "maps")
        return nudged

    def _worked_in_place(self, maps: Tensor) -> bool:
        """Whether the layer returns its input, changed: what else holds that takes part in the gradient then.

        What the model keeps is not to be touched, and views that were made without gradients refuse it.
        """
        if maps._is_view() or not any(maps is arg and arg._version != version for arg, version in self.versions):
            return False
        memory = maps.untyped_storage().data_ptr()
        kept = (held for module in self.modules for held in (*module._parameters.values(), *module._buffers.values()))
        return all(tensor is None or tensor.untyped_storage().data_ptr() != memory for tensor in kept)


# The classes of which it is known what they do, and how.
_FORWARDS = {kind: kind.forward for kind in (nn.Linear, nn.ReLU, nn.Flatten, *POOLINGS, *IDENTITIES)}


def as_written(module: nn.Module) -> bool:
    """Whether a module does what its class is known to do: with nobody's hooks, nor with a forward of its own."""
    kind = type(module)
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return (
        kind in _FORWARDS
        and kind.forward is _FORWARDS[kind]
        and "forward" not in module.__dict__
        and not any(hooks)
        and not _has_any_global_hook()  # type: ignore[no-untyped-call]
    )


class _Chain:
    """Follows one tensor through modules without children, for as long as nothing else reads or writes it.

    The identity of the tensor and its version (which every in-place operation raises) prove that a module got just what
    the one before it gave. So the names of a model's attributes need not be trusted.
    """

    def __init__(self) -> None:
        self.own: set[nn.Module] = set()  # the modules that are `as_written`
        self.shapes: set[tuple[int, ...]] = set()  # of what is (N, C, h, w) by contract
        self.calls: list[tuple[Step, int]] | None = None  # each with its weight's version
        self.tensor: Tensor | None = None
        self.version = -1

    def start(self, tensor: Tensor, followed: bool) -> None:
        self.calls = [] if followed else None
        self._hold(tensor)

    def enter(self, _module: nn.Module, args: tuple[Any, ...]) -> None:
        if self.calls is not None and not (len(args) == 1 and self.ends_in(args[0])):
            self.calls = None

    def leave(self, module: nn.Module, args: Any, output: Any) -> None:
        if isinstance(module, GRIDS):
            self.shapes.update(tuple(each.shape) for each in (*args, output) if isinstance(each, Tensor))
        if self.calls is None:
            return
        weight = module.weight if type(module) is nn.Linear else None
        plain = weight is None or type(weight) in (nn.Parameter, Tensor)
        if module in self.own and not module.training and plain and isinstance(output, Tensor):
            self.calls.append((Step(module, output, weight), -1 if weight is None else weight._version))
            self._hold(output)
        else:
            self.calls = None

    def tail(self, logits: Tensor) -> tuple[Step, ...] | None:
        """The modules from the start to the logits, if there is nothing else."""
        if self.calls is None or not self.ends_in(logits):
            return None
        if any(step.weight is not None and step.weight._version != version for step, version in self.calls):
            return None
        return tuple(step for step, _ in self.calls)

    def ends_in(self, value: Any) -> bool:
        """Whether `value` is the tensor followed, as it was or flattened from the second axis on, unchanged since."""
        held = self.tensor
        if held is None or not isinstance(value, Tensor) or value._version != self.version or not value.requires_grad:
            return False  # without a gradient it was detached, although it is the same memory
        if value._backward_hooks or held._backward_hooks:
            return False  # which may change the gradient
        flattened = value.shape == (len(held), held.shape[1:].numel()) and value.data_ptr() == held.data_ptr()
        return value is held or (flattened and _is_view_of(value, held))

    def _hold(self, tensor: Tensor) -> None:
        self.tensor, self.version = tensor, tensor._version


def _is_view_of(value: Tensor, held: Tensor) -> bool:
    """Whether nothing but views lie between: a function with a gradient of its own may return the same memory."""
    node, end = value.grad_fn, held.grad_fn
    while node is not None and node is not end and node.name().startswith(_VIEWS):
        node = node.next_functions[0][0]
    return node is end and value.is_contiguous() and held.is_contiguous()
