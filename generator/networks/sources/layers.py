"""The layers of an exported program as torch's own modules, so that it can be looked into as what it was made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

_aten = torch.ops.aten


def restored(network: nn.Module) -> None:
    """Put torch's own modules in the place of those of an exported program that do the same, in place.

    Args:
        network: of torch.export.unflatten.
    """
    for parent in list(network.modules()):
        for name, module in list(parent.named_children()):
            if (layer := _layer(module)) is not None:
                parent._modules[name] = layer


def _layer(module: nn.Module) -> nn.Module | None:
    """torch's own module that does what this one does; None: it does something else, or more."""
    graph = getattr(module, "graph", None)
    if graph is None or module._modules:
        return None
    nodes = list(graph.nodes)
    calls = [node for node in nodes if node.op == "call_function"]
    inputs = [node for node in nodes if node.op == "placeholder"]
    if len(calls) != 1 or len(inputs) != 1 or nodes[-1].args[0] is not calls[0]:
        return None
    (call,) = calls
    make = _LAYERS.get(call.target)
    if make is None or not call.args or call.args[0] is not inputs[0]:
        return None
    names = [argument.name for argument in call.target._schema.arguments]
    given = {argument.name: argument.default_value for argument in call.target._schema.arguments}
    given |= {**dict(zip(names, call.args, strict=False)), **call.kwargs}
    held = {
        key: _held(module, value.target) if isinstance(value, torch.fx.Node) and value.op == "get_attr" else value
        for key, value in given.items()
    }
    del held[names[0]]
    if any(isinstance(value, torch.fx.Node) for value in held.values()):
        return None
    layer = make(held)
    if layer is not None:
        layer.training = False
    return layer


def _held(module: nn.Module, name: Any) -> Any:
    """The parameter or buffer of a dotted name."""
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _convolution(held: Mapping[str, Any]) -> nn.Module | None:
    weight: Tensor = held["weight"]
    made = nn.Conv2d(
        weight.shape[1] * held["groups"],
        weight.shape[0],
        (weight.shape[2], weight.shape[3]),
        stride=_pair(held["stride"]),
        padding=held["padding"] if isinstance(held["padding"], str) else _pair(held["padding"]),
        dilation=_pair(held["dilation"]),
        groups=held["groups"],
        bias=held["bias"] is not None,
        device="meta",
    )
    _fill(made, weight=weight, bias=held["bias"])
    return made


def _pair(sides: Any) -> tuple[int, int]:
    return (sides[0], sides[-1])


def _norm(held: Mapping[str, Any]) -> nn.Module | None:
    mean = held["running_mean"]
    if mean is None or held["training"]:
        return None
    made = nn.BatchNorm2d(len(mean), held["eps"], held["momentum"], affine=held["weight"] is not None, device="meta")
    _fill(made, weight=held["weight"], bias=held["bias"])
    made.running_mean, made.running_var = mean, held["running_var"]
    made.num_batches_tracked = torch.zeros((), dtype=torch.int64)
    return made


def _linear(held: Mapping[str, Any]) -> nn.Module | None:
    rows, columns = held["weight"].shape
    made = nn.Linear(columns, rows, bias=held["bias"] is not None, device="meta")
    _fill(made, weight=held["weight"], bias=held["bias"])
    return made


def _fill(made: nn.Module, **parameters: Tensor | None) -> None:
    for name, value in parameters.items():
        if value is not None:
            setattr(made, name, value if isinstance(value, nn.Parameter) else nn.Parameter(value))


_LAYERS: Mapping[Any, Callable[[Mapping[str, Any]], nn.Module | None]] = {
    _aten.conv2d.default: _convolution,
    _aten.conv2d.padding: _convolution,
    _aten.batch_norm.default: _norm,
    _aten.linear.default: _linear,
    _aten.relu.default: lambda _held: nn.ReLU(),
    _aten.relu_.default: lambda _held: nn.ReLU(inplace=True),
}
