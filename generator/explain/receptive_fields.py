"""Receptive fields: which pixels of the input a unit of a layer sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from generator.base.errors import InputError
from generator.explain.checks import idle, module_named, shape_text
from generator.explain.passes import blank, evaluating


class Axis(NamedTuple):
    """Receptive fields along one axis: unit i sees the `size` input pixels that start at offset + i * jump.

    An offset below 0 reaches into the padding; jump 0 means that all units see the same pixels.
    """

    size: int
    jump: int
    offset: int


@dataclass(frozen=True)
class ReceptiveField:
    """What the units of one layer see of the input, in pixels, along both axes.

    `size`, `jump` and `offset` are those of the axis with the longer field; both are alike where kernels are square.
    """

    rows: Axis
    columns: Axis

    @property
    def size(self) -> int:
        """Side of the square of input pixels that one unit sees."""
        return max(self.rows, self.columns).size

    @property
    def jump(self) -> int:
        """Distance on the input between neighbouring units."""
        return max(self.rows, self.columns).jump

    @property
    def offset(self) -> int:
        """Left edge of the first unit's field; negative in the padding."""
        return max(self.rows, self.columns).offset

    def box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """(x0, y0, x1, y1) of one unit's field, inclusive as Photo.box is; it may reach into the padding."""
        left = self.columns.offset + column * self.columns.jump
        top = self.rows.offset + row * self.rows.jump
        return left, top, left + self.columns.size - 1, top + self.rows.size - 1


def receptive_field(model: nn.Module, layer: str, input_size: int | tuple[int, int]) -> ReceptiveField:
    """What a unit of `layer` sees of the input, from the kernels, strides, paddings and dilations on the way.

    Araujo, Norris, Sim 2019, Computing receptive fields of convolutional neural networks, distill.pub. Every operation
    of a forward pass is followed, functional ones too; where branches meet, the field is their union.

    Args:
        input_size: side of the input in pixels, or (H, W); adaptive and global pooling depend on it.
    Raises:
        InputError: if there is no such layer, or a step on the way has no such regular field (unequal adaptive windows,
            permutations, attention): the message names it.
    """
    module = module_named(model, layer)
    first = next((found for found in model.modules() if isinstance(found, nn.Conv2d)), None)
    height, width = (input_size, input_size) if isinstance(input_size, int) else input_size
    images = blank(model, (first.in_channels if first else 3, height, width))
    outputs: list[Any] = []
    mode = _FieldMode(images)
    with (
        evaluating(model),
        module.register_forward_hook(lambda _module, _args, output: outputs.append(output)),
        mode,
    ):
        model(images)
    if not outputs:
        raise idle(layer)
    field = mode.field(outputs[-1])
    if isinstance(field, str):
        raise InputError(
            f"layer {layer!r}: its receptive field has no regular size, because of {field} on the way to it"
        )
    return field


# Operation by operation

_UNITS = Axis(size=1, jump=1, offset=0)

# Operations that treat each cell by itself, besides those that torch tags as pointwise.
_CELLWISE = {
    *("native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm", "_native_batch_norm_legit_no_training"),
    *("native_dropout", "cat", "clone", "detach", "alias", "_to_copy"),
    *("hardswish", "hardsigmoid", "log_sigmoid_forward", "_prelu_kernel"),
}

_Pair = int | Sequence[int]


class _FieldMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While active, keeps for each tensor that comes from `images` its receptive field, or what made it irregular."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # The tensors are kept with their fields so that no id is used twice.
        self.fields: dict[int, tuple[Tensor, ReceptiveField | str]] = {
            id(images): (images, ReceptiveField(_UNITS, _UNITS))
        }

    def field(self, output: Any) -> ReceptiveField | str:
        """The field of one tensor of the pass."""
        return self.fields.get(id(output), (None, f"its output, {shape_text(output)}"))[1]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        sources = [self.fields[id(leaf)] for leaf in tree_leaves((args, kwargs)) if id(leaf) in self.fields]
        for tensor in tree_leaves(output) if sources else ():
            if isinstance(tensor, Tensor):
                self.fields[id(tensor)] = (tensor, _field_after(func, args, sources, tensor))
        return output


def _field_after(
    func: Any, args: tuple[Any, ...], sources: Sequence[tuple[Tensor, ReceptiveField | str]], output: Tensor
) -> ReceptiveField | str:
    """The field of an operation's output from those of its inputs."""
    name: str = func.overloadpacket.__name__.rstrip("_")  # in place or not
    irregular = next((field for _, field in sources if isinstance(field, str)), None)
    if irregular or any(tensor.dim() != 4 for tensor in (output, *(tensor for tensor, _ in sources))):
        return irregular or name
    inputs = [(tensor.shape, field) for tensor, field in sources if isinstance(field, ReceptiveField)]
    window = _window(name, args) if len(inputs) == 1 else None
    if window is not None:
        return ReceptiveField(_slide(inputs[0][1].rows, *window[0]), _slide(inputs[0][1].columns, *window[1]))
    if (torch.Tag.pointwise in func.tags or name in _CELLWISE) and (name != "cat" or args[1:] == (1,)):
        rows = _union([(field.rows, shape[2]) for shape, field in inputs], output.shape[2])
        columns = _union([(field.columns, shape[3]) for shape, field in inputs], output.shape[3])
        return ReceptiveField(rows, columns) if rows and columns else name
    return name


def _slide(axis: Axis, kernel: int, stride: int, padding: int, dilation: int) -> Axis:
    """The field behind a window that slides over units with the field `axis`."""
    return Axis(
        size=axis.size + (kernel - 1) * dilation * axis.jump,
        jump=axis.jump * stride,
        offset=axis.offset - padding * axis.jump,
    )


def _union(fields: Sequence[tuple[Axis, int]], units: int) -> Axis | None:
    """The smallest field that holds those of all inputs (each with its number of units); None if it is irregular."""
    start = min(axis.offset for axis, _ in fields)
    if all(count == units and axis.jump == fields[0][0].jump for axis, count in fields):
        return Axis(max(axis.offset + axis.size for axis, _ in fields) - start, fields[0][0].jump, start)
    # One value for all units (squeeze and excitation): regular if it has seen all that any of them has.
    end = max(axis.offset + (count - 1) * axis.jump + axis.size for axis, count in fields)
    seen_by_all = any((axis.offset, axis.size) == (start, end - start) for axis, _ in fields)
    return Axis(end - start, 0, start) if seen_by_all else None


def _window(name: str, args: tuple[Any, ...]) -> list[tuple[int, int, int, int]] | None:
    """(kernel, stride, padding, dilation) of an operation's window for rows and columns; None if it has none."""
    if name == "convolution":
        (weight, _, stride, padding, dilation, transposed), kernel = args[1:7], args[1].shape[2:]
        return None if transposed or weight.dim() != 4 else _sliding(kernel, stride, padding, dilation)
    if name in ("max_pool2d_with_indices", "avg_pool2d"):
        names = ("kernel", "stride", "padding", "dilation")[: 4 if name.startswith("max") else 3]
        return _sliding(**dict(zip(names, args[1:], strict=False)))
    if name in ("_adaptive_avg_pool2d", "adaptive_max_pool2d"):
        size, cells = args[0].shape[2:], args[1]
        even = all(n % m == 0 for n, m in zip(size, cells, strict=True))
        return _sliding([n // m for n, m in zip(size, cells, strict=True)]) if even else None
    if name == "mean" and len(args) > 2 and args[2]:  # over whole axes that are kept
        axes = {axis % 4 for axis in args[1]}
        return _sliding([n if axis in axes else 1 for axis, n in ((2, args[0].shape[2]), (3, args[0].shape[3]))])
    if name in ("constant_pad_nd", "reflection_pad2d", "replication_pad2d") and len(args[1]) == 4:
        left, _, top, _ = args[1]
        return _sliding(1, 1, (top, left))
    return None


def _sliding(
    kernel: _Pair, stride: _Pair = (), padding: _Pair = 0, dilation: _Pair = 1
) -> list[tuple[int, int, int, int]]:
    """A window's settings, each one number or one for rows and columns, axis by axis."""
    settings = (kernel, stride or kernel, padding, dilation)
    pairs = [(value, value) if isinstance(value, int) else (value[0], value[-1]) for value in settings]
    return list(zip(*pairs, strict=True))
