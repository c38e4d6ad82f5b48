"""A network's forward pass as a chain of known steps."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from generator.explain.calls import IMAGES, JOINT, label

POOLING = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")  # as max_pool2d takes them


class UnsuitedError(Exception):
    """Why a page cannot run a network, as the end of a sentence that begins with its name."""


@dataclass(frozen=True)
class Step:
    """A step in full precision; `name` is that of the point whose output it gives: see `explain.calls`."""

    kind: Any
    name: str
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    pool: Any = ""
    weight: Tensor | None = None  # (O, I, kh, kw), (O, I); of "scale" (O,)
    bias: Tensor | None = None  # (O,)


# From modules to steps


def steps_of(network: nn.Module) -> list[Step]:
    """The network's operations in their order.

    Raises:
        UnsuitedError: naming the first one that is not known, or that takes more than the output of the one before.
    """
    try:
        graph = fx.symbolic_trace(network).graph
    except Exception as error:  # noqa: BLE001 - whatever a network's forward does under tracing, the page cannot repeat it
        raise UnsuitedError(f"has a forward pass that cannot be followed ({type(error).__name__})") from None
    modules = dict(network.named_modules())
    found: list[Step] = []
    last: fx.Node | None = None
    point = IMAGES
    for node in graph.nodes:
        if node.op == "placeholder" and last is None:
            last = node
        elif node.op == "output":
            if node.args != (last,):
                raise UnsuitedError("gives more than its logits")
        elif not _is_size(node):
            if [other for other in node.all_input_nodes if not _is_size(other)] != [last]:
                raise UnsuitedError(f"is no chain of layers: {node.name}")
            if _is_ending(node, modules):
                pass
            elif node.op == "call_module":
                point = str(node.target)
                found += _module(point, modules[point])
            else:
                target = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
                point += JOINT + part if (part := label(target)) else ""
                found += [replace(step, name=point) for step in _function(node)]
            last = node
    return found


def _is_ending(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    """Whether the node is a softmax at the end, before which the logits are: see `networks.outputs`."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    if node.op == "call_module":
        name = type(modules[str(node.target)]).__name__
    last = all(user.op == "output" for user in node.users)
    return last and name in ("softmax", "log_softmax", "Softmax", "LogSoftmax")


def _is_size(node: fx.Node) -> bool:
    """Whether the node asks for a tensor's shape or computes with one, as in x.view(x.size(0), -1)."""
    if node.op == "call_method":
        return node.target == "size"
    if node.op != "call_function":
        return False
    if node.target is operator.getitem:
        return isinstance(node.args[0], fx.Node) and _is_size(node.args[0])
    return node.target is getattr and bool(node.args[1] == "shape")


def _module(name: str, module: nn.Module) -> Iterator[Step]:
    match module:
        case nn.Conv2d():
            yield _convolution(name, module)
        case nn.Linear():
            yield Step("linear", name, weight=module.weight.double(), bias=_bias(module))
        case nn.BatchNorm2d() | nn.BatchNorm1d():
            yield _batch_norm(name, module)
        case nn.ReLU():
            yield Step("relu", name)
        case nn.MaxPool2d():
            yield _max_pool(name, module)
        case nn.AdaptiveMaxPool2d(output_size=1 | (1, 1), return_indices=False):
            yield Step("global", name, pool="max")
        case nn.AdaptiveAvgPool2d(output_size=1 | (1, 1)):
            yield Step("global", name, pool="average")
        case nn.Flatten(start_dim=1, end_dim=-1):
            yield Step("flatten", name)
        case nn.Identity() | nn.Dropout() | nn.Dropout2d():
            pass
        case _:
            raise UnsuitedError(f"has a layer that the page does not know: {name} ({type(module).__name__})")


def _function(node: fx.Node) -> Iterator[Step]:
    """A step that is written as a function or a tensor's method."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    rest = node.args[1:]
    if node.target in (F.max_pool2d, torch.max_pool2d):
        named: dict[str, Any] = dict(zip(POOLING, rest, strict=False))
        yield _max_pool("", nn.MaxPool2d(**{**named, **node.kwargs}))
    elif name in ("relu", "relu_"):
        yield Step("relu", "")
    elif (name == "flatten" and (rest == (1,) or node.kwargs == {"start_dim": 1})) or (
        name in ("view", "reshape") and len(rest) == 2
    ):
        yield Step("flatten", "")
    elif name in ("mean", "amax") and _over(node) in ((2, 3), (-2, -1)):
        yield Step("global", "", pool="max" if name == "amax" else "average")
    elif not (name == "dropout" and (node.kwargs.get("training") is False or rest[1:2] == (False,))):
        raise UnsuitedError(f"has a step that the page does not know: {name}")


def _over(node: fx.Node) -> Any:
    """The axes that a mean or a maximum is taken over."""
    given = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
    return tuple(given) if isinstance(given, list | tuple) else given


def _convolution(name: str, module: nn.Conv2d) -> Step:
    if module.groups != 1 or module.dilation != (1, 1) or module.padding_mode != "zeros":
        raise UnsuitedError(f"has a convolution with groups, dilation or another padding than zeros: {name}")
    padding = module.padding
    if isinstance(padding, str):
        if padding == "same" and not all(side % 2 for side in module.kernel_size):
            raise UnsuitedError(f"has a convolution with uneven padding: {name}")
        padding = tuple(side // 2 for side in module.kernel_size) if padding == "same" else (0, 0)
    return Step(
        "conv", name, _pair(module.kernel_size), _pair(module.stride), _pair(padding),
        weight=module.weight.double(), bias=_bias(module),
    )  # fmt: skip


def _batch_norm(name: str, module: nn.BatchNorm2d | nn.BatchNorm1d) -> Step:
    """In eval mode a factor and a bias for each channel."""
    if module.running_mean is None or module.running_var is None:
        raise UnsuitedError(f"has a batch norm that depends on the other images: {name}")
    factor, bias = scale_and_shift(module)
    return Step("scale", name, weight=factor, bias=bias)


def _max_pool(name: str, module: nn.MaxPool2d) -> Step:
    if _pair(module.dilation) != (1, 1) or module.ceil_mode or module.return_indices:
        raise UnsuitedError(f"has a max pooling with dilation, rounded up or with indices: {name or 'a function'}")
    return Step("maxpool", name, _pair(module.kernel_size), _pair(module.stride), _pair(module.padding))


def _bias(module: nn.Conv2d | nn.Linear) -> Tensor:
    return torch.zeros(len(module.weight), dtype=torch.float64) if module.bias is None else module.bias.double()


def _pair(value: Any) -> tuple[int, int]:
    first, second = value if isinstance(value, tuple | list) else (value, value)
    return int(first), int(second)


def scale_and_shift(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """What batch norm with running statistics multiplies by and adds in eval mode, each (C,) float64."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.affine:
        scale = scale * norm.weight.double()
    shift = -norm.running_mean.double() * scale
    return scale, shift + norm.bias.double() if norm.affine else shift
