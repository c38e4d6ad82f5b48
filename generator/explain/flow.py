"""What is made from what in a forward pass: every operation of torch that comes from the images, and what it reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from generator.explain.dispatching import Dispatching
from generator.explain.rules import CONSTANTS

Kind = Literal[
    "convolution", "product", "activation", "normalisation", "pooling", "addition", "multiplication", "concatenation",
    "attention", "resampling", "other",
]  # fmt: skip

_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("convolution", "convolution_overrideable", "mkldnn_convolution"), "convolution"),
    **dict.fromkeys(("addmm", "mm", "bmm", "baddbmm", "linear", "mv", "addmv", "dot", "_int_mm"), "product"),
    **dict.fromkeys(("relu", "hardtanh", "relu6", "leaky_relu", "elu", "gelu", "silu", "mish"), "activation"),
    **dict.fromkeys(("hardswish", "hardsigmoid", "tanh", "sigmoid", "softplus", "_prelu_kernel"), "activation"),
    **dict.fromkeys(("clamp", "clamp_min", "threshold", "rrelu_with_noise", "celu", "selu"), "activation"),
    **dict.fromkeys(("native_batch_norm", "_native_batch_norm_legit", "cudnn_batch_norm"), "normalisation"),
    **dict.fromkeys(("_native_batch_norm_legit_no_training", "miopen_batch_norm"), "normalisation"),
    **dict.fromkeys(("native_layer_norm", "native_group_norm", "_fused_rms_norm"), "normalisation"),
    **dict.fromkeys(("max_pool2d_with_indices", "avg_pool2d", "_adaptive_avg_pool2d"), "pooling"),
    **dict.fromkeys(("adaptive_max_pool2d", "max_pool2d", "mean", "amax"), "pooling"),
    **dict.fromkeys(("upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d"), "resampling"),
    **dict.fromkeys(("_scaled_dot_product_flash_attention_for_cpu", "_native_multi_head_attention"), "attention"),
    **dict.fromkeys(("_scaled_dot_product_efficient_attention", "_scaled_dot_product_attention_math"), "attention"),
    **dict.fromkeys(("_scaled_dot_product_flash_attention", "_transformer_encoder_layer_fwd"), "attention"),
    **dict.fromkeys(("cat", "stack"), "concatenation"),
}
# Activations that give 0 where nothing of their channel is found, and more elsewhere.
RECTIFIERS = ("relu", "relu6", "hardtanh", "clamp", "clamp_min", "threshold")
# They keep the values, or each of them times and plus a number: what they give is of the kind of what they are given.
_KEEPING = frozenset(
    {
        *("permute", "transpose", "t", "view", "_unsafe_view", "reshape", "_reshape_alias", "squeeze", "unsqueeze"),
        *("clone", "contiguous", "detach", "alias", "_to_copy", "native_dropout", "expand", "mul", "add", "sub", "div"),
        *("dequantize", "slice", "select", "lift_fresh"),
    }
)
# Each channel of what they give comes from that channel of the one tensor that they are given.
_CHANNELWISE = frozenset(
    {
        *(
            "permute",
            "clone",
            "contiguous",
            "detach",
            "alias",
            "_to_copy",
            "native_dropout",
            "mul",
            "add",
            "sub",
            "div",
        ),
        *("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "cudnn_batch_norm"),
        *("miopen_batch_norm", "max_pool2d_with_indices", "max_pool2d", "avg_pool2d", "_adaptive_avg_pool2d"),
        *("adaptive_max_pool2d", "constant_pad_nd", "reflection_pad2d", "replication_pad2d"),
        *(name for name, kind in _KINDS.items() if kind in ("activation", "resampling")),
    }
)
# What they give is (N, C, h, w) by contract where it has four axes.
_GRIDS = frozenset(
    {
        *("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "cudnn_batch_norm"),
        *("miopen_batch_norm", "convolution", "convolution_overrideable", "mkldnn_convolution"),
        *("max_pool2d_with_indices", "max_pool2d", "avg_pool2d", "_adaptive_avg_pool2d", "adaptive_max_pool2d"),
        *(name for name, kind in _KINDS.items() if kind == "resampling"),
    }
)


class Node(NamedTuple):
    """One operation: what it is, and the numbers of those whose outputs it reads, which are smaller than its own."""

    name: str
    kind: Kind
    parents: tuple[int, ...]
    channelwise: bool
    maps: bool  # whether it gives (N, C, h, w) by contract, or cell by cell from such


class Flow(Dispatching):
    """While active, numbers the operations that come from `images`, whose own number is 0."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.nodes = [Node("images", "other", (), False, True)]
        # The tensors are kept with their numbers so that no id is used twice.
        self._kept: dict[int, tuple[Tensor, int]] = {id(images): (images, 0)}

    def number(self, value: Any) -> int | None:
        """Of the operation that gave a tensor what it holds; None if that does not come from the images."""
        return self._kept[id(value)][1] if id(value) in self._kept else None

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = str(func.overloadpacket.__name__)
        read = args[1:] if func is torch.ops.aten.copy_.default else args
        given = [self._kept[id(leaf)][1] for leaf in tree_leaves((read, kwargs)) if id(leaf) in self._kept]
        parents = tuple(dict.fromkeys(given))
        output = func(*args, **(kwargs or {}))
        if not parents or name in CONSTANTS:
            return output
        number = len(self.nodes)
        tensors = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
        self.nodes.append(self._node(name.rstrip("_"), parents, tensors[0].dim() if tensors else 0))
        for tensor in tensors:
            self._kept[id(tensor)] = (tensor, number)
            if func._schema.is_mutable and tensor._base is not None:  # a view was written
                self._kept[id(tensor._base)] = (tensor._base, number)
        return output

    def _node(self, name: str, parents: tuple[int, ...], axes: int) -> Node:
        kind = _KINDS.get(name, "other")
        if len(parents) > 1:
            kind = {"add": "addition", "mul": "multiplication"}.get(name, kind)  # type: ignore[assignment]
        elif name in _KEEPING:
            kind = self.nodes[parents[0]].kind
        channelwise = name in _CHANNELWISE and len(parents) == 1
        cellwise = (channelwise and name != "permute") or kind in ("addition", "multiplication")
        maps = name in _GRIDS or (cellwise and any(self.nodes[parent].maps for parent in parents))
        return Node(name, kind, parents, channelwise, axes == 4 and maps)


def leading_to(nodes: Sequence[Node], ends: Iterable[int]) -> set[int]:
    """The numbers of all that these operations are made from, with their own."""
    found: set[int] = set()
    waiting = [*ends]
    while waiting:
        number = waiting.pop()
        if number not in found:
            found.add(number)
            waiting += nodes[number].parents
    return found


def trunk(nodes: Sequence[Node], ends: Iterable[int]) -> set[int]:
    """The operations through which everything goes that the ends are made from.

    So is one after which nothing that came before it is read any more: a residual block's addition, not its branch.
    """
    used = leading_to(nodes, ends)
    last = {}  # the last operation that reads it
    for number in sorted(used):
        for parent in nodes[number].parents:
            last[parent] = number
    found, reaching = set(), 0
    for number in sorted(used):
        if reaching <= number:
            found.add(number)
        reaching = max(reaching, last.get(number, number))
    return found
