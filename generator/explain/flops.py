"""Floating-point operations of convolutions, products, attention and recurrent layers.

Not by torch.utils.flop_counter, which imports Triton, 80 MB, and knows fewer operations. Each takes the shapes of an
operation's tensors, its other arguments and, as `out`, its output's shape, and gives twice the multiply-accumulates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from generator.base.errors import InputError
from generator.explain.dispatching import Dispatching

_Shape = Sequence[int]
_aten = torch.ops.aten


def _attention(query: _Shape, key: _Shape, value: _Shape, *_rest: Any, **_options: Any) -> int:
    """Scores and weighted sums: (..., T, D), (..., S, D) and (..., S, V)."""
    return int(2 * math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1]))


def _multi_head(
    query: _Shape, _key: _Shape, _value: _Shape, width: int, _heads: int, inner: _Shape, _bias: _Shape, outer: _Shape,
    *_rest: Any, **_options: Any,
) -> int:  # fmt: skip
    """Attention of (N, T, D) to itself, with its projections: nn.MultiheadAttention's fast path."""
    count, tokens, _ = query
    scores = _attention((count, tokens, width), (count, tokens, width), (count, tokens, width))
    return int(scores + 2 * count * tokens * (math.prod(inner) + math.prod(outer)))


def _encoder_layer(source: _Shape, width: int, heads: int, *rest: Any, **_options: Any) -> int:
    """nn.TransformerEncoderLayer's fast path: attention and two linear layers."""
    inner, bias, outer, first, second = rest[0], rest[1], rest[2], rest[11], rest[13]
    attention = _multi_head(source, source, source, width, heads, inner, bias, outer)
    return int(attention + 2 * math.prod(source[:-1]) * (math.prod(first) + math.prod(second)))


def _recurrent(sequence: _Shape, *weights: Any, **_options: Any) -> int:
    """One layer in one direction: (T, N, D) by the weights for the input and for the state."""
    return int(2 * math.prod(sequence[:-1]) * (math.prod(weights[0]) + math.prod(weights[1])))


def _recurrent_layers(sequence: _Shape, weights: Sequence[_Shape], *_rest: Any, **_options: Any) -> int:
    return 2 * math.prod(sequence[:-1]) * sum(math.prod(weight) for weight in weights if len(weight) > 1)


def _trilinear(first: _Shape, second: _Shape, third: _Shape, *expanded: Any, **_options: Any) -> int:
    """nn.Bilinear: its inputs and its weight, each with axes of 1 put in, multiplied in one form."""
    shapes = []
    for shape, axes in zip((first, second, third), expanded[:3], strict=True):
        full = list(shape)
        for axis in sorted(axes):
            full.insert(axis, 1)
        shapes.append(full)
    return 2 * math.prod(torch.broadcast_shapes(*shapes))  # type: ignore[no-untyped-call]


def _product(*matrices: _Shape, **_options: Any) -> int:
    """Of a matrix, or a batch of them, and something whose last or only axis is the other's last but one."""
    return 2 * math.prod(matrices[0]) * (matrices[1][-1] if len(matrices[1]) > 1 else 1)


def _added(_to: _Shape, *matrices: Any, **_options: Any) -> int:
    return _product(*matrices[:2])


def _convolved(_maps: _Shape, weight: _Shape, *_rest: Any, out: _Shape, **_options: Any) -> int:
    """(N, C, ...) by (C', C / groups, ...) for each cell of the output."""
    return 2 * out[0] * math.prod(out[2:]) * math.prod(weight)


def _convolution(
    maps: _Shape, weight: _Shape, _bias: Any, _stride: Any, _padding: Any, _dilation: Any, transposed: bool,
    *_rest: Any, out: _Shape, **_options: Any,
) -> int:  # fmt: skip
    """As `_convolved`; transposed ones for each cell of the input."""
    return _convolved(maps, weight, out=maps if transposed else out)


FLOPS: Mapping[Any, Callable[..., int]] = MappingProxyType(
    {
        _aten._scaled_dot_product_flash_attention_for_cpu: _attention,
        _aten._scaled_dot_product_fused_attention_overrideable: _attention,
        _aten._scaled_dot_product_flash_attention: _attention,
        _aten._scaled_dot_product_efficient_attention: _attention,
        _aten._scaled_dot_product_cudnn_attention: _attention,
        _aten._native_multi_head_attention: _multi_head,
        _aten._transformer_encoder_layer_fwd: _encoder_layer,
        _aten.mkldnn_rnn_layer: _recurrent,
        _aten._cudnn_rnn: _recurrent_layers,
        _aten._trilinear: _trilinear,
        **dict.fromkeys(
            (_aten.mm, _aten.bmm, _aten.mv, _aten.dot, _aten.vdot, _aten._int_mm, _aten._scaled_mm), _product
        ),
        **dict.fromkeys((_aten.addmm, _aten.baddbmm, _aten.addmv, _aten.addbmm, _aten._addmm_activation), _added),
        **dict.fromkeys((_aten.convolution, _aten._convolution, _aten.convolution_overrideable), _convolution),
        **dict.fromkeys((_aten.cudnn_convolution, _aten._slow_conv2d_forward), _convolved),
    }
)
_KNOWN = ("aten", "prim", "prims", "profiler")
_UNCOUNTED = (_aten._flash_attention_forward, _aten._efficient_attention_forward)  # of sequences packed into one


def _shape(value: Any) -> Any:
    return value.shape if isinstance(value, Tensor) else value


class Counted(Dispatching):
    """While active, counts floating-point operations.

    Refuses what nobody can count: operations from outside of torch's own, as quantised ones are.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func.namespace not in _KNOWN or func.overloadpacket in _UNCOUNTED:
            raise InputError(
                f"model: nobody has counted the multiplications of {func}; leave it out to count the others"
            )
        with self:  # what consists of others is counted by these
            output = func.decompose(*args, **(kwargs or {}))
        if output is NotImplemented:
            output = func(*args, **(kwargs or {}))
            if (formula := FLOPS.get(func.overloadpacket)) is not None:
                shapes, options = tree_map(_shape, (args, kwargs or {}))
                self.total += formula(*shapes, **options, out=_shape(output))
        return output
