"""The tail of a network: what leads from a layer to the logits, where that is one function after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules import module as globally

from generator.explain.outputs import Endings

_VIEWS = ("ViewBackward", "UnsafeViewBackward", "ReshapeAliasBackward", "SqueezeBackward", "SelectBackward")


class Step(NamedTuple):
    """A function of the tail; `weight` is what a linear one used."""

    kind: Literal["linear", "relu", "flattening", "pooling"]
    output: Tensor
    weight: Tensor | None = None


def _linear(args: tuple[Any, ...], given: Mapping[str, Any], output: Tensor) -> Step | None:
    weight = args[1] if len(args) > 1 else given.get("weight")
    plain = type(weight) in (nn.Parameter, Tensor) and output.dim() == 2
    return Step("linear", output, weight) if plain else None


def _relu(_args: tuple[Any, ...], _given: Mapping[str, Any], output: Tensor) -> Step | None:
    return Step("relu", output)


def _flattening(args: tuple[Any, ...], _given: Mapping[str, Any], output: Tensor) -> Step | None:
    flat = bool(args) and isinstance(args[0], Tensor) and output.shape == (len(args[0]), args[0].shape[1:].numel())
    return Step("flattening", output) if flat else None


def _pooling(_args: tuple[Any, ...], _given: Mapping[str, Any], output: Tensor) -> Step | None:
    """Of pooling of which each output cell's weights on the input cells of its channel add up to 1."""
    return Step("pooling", output) if output.dim() == 4 else None


def _mean(args: tuple[Any, ...], given: Mapping[str, Any], output: Tensor) -> Step | None:
    """A mean or a maximum over rows and columns."""
    axes = args[1] if len(args) > 1 else given.get("dim")
    if not (args and isinstance(args[0], Tensor) and args[0].dim() == 4 and isinstance(axes, list | tuple)):
        return None
    return Step("pooling", output) if sorted(axis % 4 for axis in axes) == [2, 3] else None


def _average(args: tuple[Any, ...], given: Mapping[str, Any], output: Tensor) -> Step | None:
    padding = args[3] if len(args) > 3 else given.get("padding", 0)
    divisor = args[6] if len(args) > 6 else given.get("divisor_override")
    whole = padding in (0, (0,), (0, 0), [0], [0, 0]) and divisor is None
    return Step("pooling", output) if whole and output.dim() == 4 else None


# By the function as torch tells modes of it.
_STEPS: dict[Any, Callable[[tuple[Any, ...], Mapping[str, Any], Tensor], Step | None]] = {
    F.linear: _linear,
    **dict.fromkeys((F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_), _relu),
    **dict.fromkeys((torch.flatten, Tensor.flatten, torch.reshape, Tensor.reshape), _flattening),
    **dict.fromkeys((F.max_pool2d, F.adaptive_max_pool2d, F.adaptive_avg_pool2d), _pooling),
    **dict.fromkeys((torch.mean, Tensor.mean, torch.amax, Tensor.amax), _mean),
    F.avg_pool2d: _average,
}
# They take and give (N, C, h, w) by contract.
_OF_GRIDS = frozenset(
    {
        *(torch.conv2d, torch.conv_transpose2d, F.batch_norm, F.instance_norm),
        *(F.max_pool2d, F.avg_pool2d, F.adaptive_max_pool2d, F.adaptive_avg_pool2d),
    }
)


class Tail(Endings):
    """While active, follows one tensor through functions, for as long as nothing else writes it.

    The identity of the tensor and its version (which every in-place operation raises) prove that a function got just
    what the one before it gave. So neither the modules nor the names of a model's attributes need be trusted.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        super().__init__()
        self.active = False  # whether it ever was
        self.shapes: set[tuple[int, ...]] = set()  # of what is (N, C, h, w) by contract
        self._plain = not _changes_gradients(modules)
        self._steps: list[tuple[Step, int]] | None = None  # each with the version of what it tells
        self._held: Tensor | None = None
        self._version = -1

    def start(self, tensor: Tensor, followed: bool) -> None:
        """From here on, if it is `followed`."""
        self._steps = [] if followed and self._plain else None
        self._hold(tensor)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        step = None
        if self._steps is not None and func in _STEPS:
            step = _STEPS[func] if self._ends_in(args[0] if args else (kwargs or {}).get("input")) else None
        output = super().__torch_function__(func, types, args, kwargs)
        if func in _OF_GRIDS:
            grids = (each for each in (*args[:1], output) if isinstance(each, Tensor) and each.dim() == 4)
            self.shapes.update(tuple(each.shape) for each in grids)
        if step is not None and self._steps is not None and isinstance(output, Tensor):
            made = step(args, kwargs or {}, output)
            if made is not None:
                told = made.output if made.weight is None else made.weight
                self._steps.append((made, told._version))
                self._hold(output)
        return output

    def steps(self, logits: Tensor) -> tuple[Step, ...] | None:
        """The functions from the start to the logits, if there is nothing else."""
        if self._steps is None or not self._ends_in(logits):
            return None
        for step, version in self._steps:
            told = step.output if step.weight is None else step.weight
            if told._version != version and step.kind in ("linear", "relu"):
                return None
        return tuple(step for step, _ in self._steps)

    def _ends_in(self, value: Any) -> bool:
        """Whether `value` is the tensor followed, as it was or flattened from the second axis on, unchanged since."""
        held = self._held
        if held is None or not isinstance(value, Tensor) or value.is_inference() or not value.requires_grad:
            return False  # without a gradient it was detached, although it is the same memory
        if value._version != self._version or value._backward_hooks or held._backward_hooks:
            return False  # hooks may change the gradient
        if value is held:
            return True
        flattened = value.shape == (len(held), held.shape[1:].numel()) and value.data_ptr() == held.data_ptr()
        return flattened and _is_view_of(value, held)

    def _hold(self, tensor: Tensor) -> None:
        self._held, self._version = tensor, tensor._version


def _changes_gradients(modules: Iterable[nn.Module]) -> bool:
    """Whether modules have hooks that may change gradients without a trace in what they give."""
    everywhere = globally._global_backward_hooks or globally._global_backward_pre_hooks
    return bool(everywhere) or any(module._backward_hooks or module._backward_pre_hooks for module in modules)


def _is_view_of(value: Tensor, held: Tensor) -> bool:
    """Whether nothing but views lie between: a function with a gradient of its own may return the same memory."""
    node, end = value.grad_fn, held.grad_fn
    while node is not None and node is not end and node.name().startswith(_VIEWS):
        node = node.next_functions[0][0]
    return node is end and value.is_contiguous() and held.is_contiguous()
