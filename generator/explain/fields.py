"""What each tensor of a forward pass sees of the images, and which of its axes are the images' rows and columns.

Every operation is followed as it runs, within modules and outside of them, so no type, name or order is trusted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_Window = tuple[int, int, int, int]  # kernel, stride, padding, dilation along one axis
_At = tuple[int, int]


class Axis(NamedTuple):
    """Receptive fields along one axis: unit i sees the `size` input pixels that start at offset + i * jump.

    An offset below 0 reaches into the padding; jump 0 means that all units see the same pixels.
    """

    size: int
    jump: int
    offset: int


class Seen(NamedTuple):
    """What a tensor's values see of the images.

    `at` are the axes of rows and columns, counted back from -1, the last; the same one twice where all cells stand in
    one row; None where there are no cells: then all values see the same, or `cause` says what mixed the cells up.
    """

    rows: Axis
    columns: Axis
    at: _At | None
    grid: tuple[int, int]  # cells along rows and columns
    cause: str = ""  # why there is no regular field

    @property
    def cells(self) -> _At:
        """`at`, where there are cells."""
        assert self.at is not None
        return self.at

    def mixed(self, cause: str) -> Seen:
        """Without cells or a regular field."""
        return self._replace(cause=self.cause or cause, at=None, grid=(1, 1))

    def spread(self, rows: bool = True, columns: bool = True) -> Seen:
        """As where each cell depends on all others along these axes."""
        return self._replace(
            rows=_span([(self.rows, self.grid[0])]) if rows else self.rows,
            columns=_span([(self.columns, self.grid[1])]) if columns else self.columns,
        )

    def slid(self, windows: Sequence[_Window], grid: tuple[int, int]) -> Seen:
        """Behind windows that slide over rows and columns."""
        rows, columns = (_slide(axis, *window) for axis, window in zip(self[:2], windows, strict=True))
        return self._replace(rows=rows, columns=columns, grid=grid)


class Following(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While active, knows what each tensor that comes from `images` (N, C, H, W) sees of them."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        unit = Axis(size=1, jump=1, offset=0)
        # The tensors are kept with what they see so that no id is used twice.
        self._kept: dict[int, tuple[Tensor, Seen]] = {}
        self.keep(images, Seen(unit, unit, (-2, -1), (images.shape[2], images.shape[3])))
        self._functions = _Functions(self)

    def __enter__(self) -> Following:
        super().__enter__()  # type: ignore[no-untyped-call]
        self._functions.__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        self._functions.__exit__(*error)  # type: ignore[no-untyped-call]
        super().__exit__(*error)  # type: ignore[no-untyped-call]

    def seen(self, value: Any) -> Seen | None:
        """What one tensor of the pass sees; None if it does not come from the images."""
        return self._kept[id(value)][1] if id(value) in self._kept else None

    def keep(self, tensor: Tensor, seen: Seen) -> None:
        """Note what a tensor sees."""
        self._kept[id(tensor)] = (tensor, seen)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if torch.is_inference_mode_enabled():  # where operations come whole that otherwise come in their parts
            super().__enter__()  # type: ignore[no-untyped-call]
            try:
                output = func.decompose(*args, **(kwargs or {}))
            finally:
                super().__exit__(None, None, None)  # type: ignore[no-untyped-call]
            if output is not NotImplemented:
                return output
        # What a tensor saw that is overwritten does not count.
        read = args[1:] if func is torch.ops.aten.copy_.default else args
        found = [self._kept[id(leaf)] for leaf in tree_leaves((read, kwargs)) if id(leaf) in self._kept]
        inputs = [(tuple(tensor.shape), seen) for tensor, seen in found]  # before an operation in place changes them
        output = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if not inputs or name in _CONSTANTS:
            return output
        outputs = [tensor for tensor in tree_leaves(output) if isinstance(tensor, Tensor)]
        for number, tensor in enumerate(outputs):
            self.keep(tensor, _after(_Call(func, args, kwargs or {}, tensor, number), inputs))
        base = outputs[0]._base if outputs and func._schema.is_mutable else None
        if base is not None and base.numel() != outputs[0].numel():
            self.keep(base, inputs[-1][1].mixed(f"{name} (only a part of a tensor is written)"))
        return output


class _Functions(TorchFunctionMode):
    """Functions that are regular as a whole, while the operations that they consist of are not."""

    def __init__(self, following: Following) -> None:
        super().__init__()
        self.following = following

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        seen = self.following.seen(args[0]) if args else None
        if seen is None or seen.at is None or not isinstance(output, Tensor):
            return output
        if func in (F.pad, torch._C._nn.pad):
            given = dict(zip(("pad", "mode"), args[1:3], strict=False)) | (kwargs or {})
            if given.get("mode") == "circular" and seen.at == (-2, -1) and len(given["pad"]) == 4:
                left, _, top, _ = given["pad"]
                self.following.keep(output, seen.slid([(1, 1, top, 1), (1, 1, left, 1)], _sides(output, seen.at)))
        elif func in _PRODUCTS and not any(self.following.seen(leaf) for leaf in tree_leaves((args[1:], kwargs))):
            # Each cell's last axis is multiplied by a matrix that is the same for all of them.
            by_cell = -1 not in seen.at and output.dim() == args[0].dim()
            self.following.keep(output, seen if by_cell else self.following.seen(output) or seen.mixed("matmul"))
        return output


_PRODUCTS = (F.linear, torch.matmul, Tensor.matmul, Tensor.__matmul__)


class _Call(NamedTuple):
    """An operation that ran, with one of its outputs."""

    func: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    output: Tensor
    number: int  # of that output
    shape: Sequence[int] = ()  # of the one input

    @property
    def name(self) -> str:
        return str(self.func.overloadpacket.__name__).rstrip("_")  # in place or not

    @property
    def cause(self) -> str:
        """The operation as the cause that a field is not regular."""
        told = self.name if self.func.namespace == "aten" else f"{self.func.namespace}::{self.name}"
        return f"{told} ({_CAUSES[self.name]})" if self.name in _CAUSES else told

    def given(self, name: str, default: Any = None) -> Any:
        """An argument by its name."""
        names = [argument.name for argument in self.func._schema.arguments]
        place = names.index(name) if name in names else len(self.args)
        return self.args[place] if place < len(self.args) else self.kwargs.get(name, default)


_Shaped = tuple[Sequence[int], Seen]  # an input's shape, and what it sees
_Rule = Callable[[_Call, Seen], Seen | None]  # None: the cells are mixed up

# They give a tensor of the same form that has nothing of the values.
_CONSTANTS = {
    *("empty_like", "zeros_like", "ones_like", "full_like", "rand_like", "randn_like"),
    *("new_empty", "new_zeros", "new_ones", "new_full", "new_empty_strided"),
}
# They treat each cell by itself, besides those that torch tags as pointwise.
_CELLWISE = {
    *("native_dropout", "clone", "detach", "alias", "lift_fresh", "_to_copy", "copy", "expand", "contiguous"),
    *(
        "hardswish",
        "hardsigmoid",
        "log_sigmoid_forward",
        "_prelu_kernel",
        "rrelu_with_noise",
        "channel_shuffle",
        "native_channel_shuffle",
    ),
    *("quantize_per_tensor", "dequantize", "_native_batch_norm_legit_no_training", "hardtanh", "relu6"),
}
# What an operation's name does not tell.
_CAUSES = {
    **dict.fromkeys(("view", "_unsafe_view", "reshape"), "its cells are put into other axes"),
    **dict.fromkeys(("_adaptive_avg_pool2d", "adaptive_max_pool2d"), "unequal windows"),
    **dict.fromkeys(("roll", "flip", "pixel_shuffle"), "cells change places"),
    **dict.fromkeys(("mm", "bmm", "addmm", "baddbmm"), "a matrix product over cells"),
    **dict.fromkeys(("upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d"), "cells are made from others"),
    "convolution": "a transposed one, or not over rows and columns",
}


def _after(call: _Call, sources: Sequence[_Shaped]) -> Seen:
    """What an operation's output sees, from what its inputs see."""
    if not any(seen.at for _, seen in sources):
        return _without_cells([seen for _, seen in sources])
    if call.name in ("cat", "stack"):
        return _joined(call, sources)
    if torch.Tag.pointwise in call.func.tags or call.name in _CELLWISE:
        return _together(call, sources)
    (shape, seen), rule = sources[0], _RULES.get(call.name)
    if len(sources) > 1 or rule is None or seen.at is None:
        return seen.mixed(call.cause)
    return rule(call._replace(shape=shape), seen) or seen.mixed(call.cause)


def _without_cells(found: Sequence[Seen]) -> Seen:
    """Of inputs without cells: each value may see all that any of them sees."""
    rows, columns = _span([(seen.rows, 1) for seen in found]), _span([(seen.columns, 1) for seen in found])
    return Seen(rows, columns, None, (1, 1), next((seen.cause for seen in found if seen.cause), ""))


def _together(call: _Call, sources: Sequence[_Shaped]) -> Seen:
    """Of inputs that are brought to one form and treated cell by cell."""
    found = [seen for _, seen in sources]
    first = next(seen for seen in found if seen.at)
    assert first.at is not None
    if any(seen.at not in (None, first.at) for seen in found):
        return first.mixed(f"{call.cause} (rows and columns stand in different axes)")
    merged = first.at[0] == first.at[1]
    grid = max(seen.grid for seen in found) if merged else _sides(call.output, first.at)
    if merged and math.prod(grid) != call.output.shape[first.at[0]]:
        return first.mixed(call.cause)
    if any(count not in (1, units) for seen in found for count, units in zip(seen.grid, grid, strict=True)):
        return first.mixed(call.cause)
    irregular = next((seen.cause for seen in found if seen.cause), "")
    rows = _union([(seen.rows, seen.grid[0]) for seen in found], grid[0])
    columns = _union([(seen.columns, seen.grid[1]) for seen in found], grid[1])
    if irregular or rows is None or columns is None:  # it still has its cells
        return first._replace(grid=grid, cause=irregular or f"{call.cause} (of fields with different steps)")
    return Seen(rows, columns, first.at, grid)


def _joined(call: _Call, sources: Sequence[_Shaped]) -> Seen:
    """Stacked, or concatenated along an axis that is none of the cells'."""
    along = _back(call.given("dim", 0), call.output.dim())
    if call.name == "stack":
        cut = len(call.output.shape) + along
        opened = [(*shape[:cut], 1, *shape[cut:]) for shape, _ in sources]
        moved = [
            _viewed(seen, shape, new) or seen.mixed(call.cause)
            for (shape, seen), new in zip(sources, opened, strict=True)
        ]
        sources = list(zip(opened, moved, strict=True))
    mixed = next((seen for _, seen in sources if along in (seen.at or ())), None)
    if mixed is not None:
        return mixed.mixed(f"{call.cause} (something is put beside its cells)")
    return (
        _together(call, sources)
        if any(seen.at for _, seen in sources)
        else _without_cells([seen for _, seen in sources])
    )


# The rules: what one input with cells becomes


def _sliding(call: _Call, seen: Seen) -> Seen | None:
    """Convolutions and pooling, of which the last axes are those that a window slides over."""
    weight = call.given("weight")
    kernel = call.given("kernel_size") if weight is None else weight.shape[2:]
    settings = [kernel, call.given("stride") or kernel, call.given("padding", 0), call.given("dilation", 1)]
    count = len(kernel)
    if seen.cells[0] == seen.cells[1] or min(seen.cells) < -count:
        return None
    windows = list(zip(*(_each(setting, count) for setting in settings), strict=True))
    if call.given("transposed", False):
        if any(stride != 1 for _, stride, _, _ in windows):
            return None
        windows = [(size, 1, (size - 1) * dilation - padding, dilation) for size, _, padding, dilation in windows]
    return seen.slid([windows[seen.cells[0]], windows[seen.cells[1]]], _sides(call.output, seen.cells))


def _adaptive(call: _Call, seen: Seen) -> Seen | None:
    cells = call.given("output_size")
    if seen.cells != (-2, -1) or any(n % m for n, m in zip(seen.grid, cells, strict=True)):
        return None
    sizes = [n // m for n, m in zip(seen.grid, cells, strict=True)]
    return seen.slid([(size, size, 0, 1) for size in sizes], _sides(call.output, seen.cells))


def _padded(call: _Call, seen: Seen) -> Seen | None:
    pads = call.given("pad") or call.given("padding")  # from the last axis on, two numbers for each
    before = [(pads[2 * ~place] if 2 * ~place < len(pads) else 0) for place in seen.cells]
    if seen.cells[0] != seen.cells[1]:
        return seen.slid([(1, 1, pad, 1) for pad in before], _sides(call.output, seen.cells))
    return seen if call.output.shape[seen.cells[0]] == call.shape[seen.cells[0]] else None


def _unshuffled(call: _Call, seen: Seen) -> Seen | None:
    factor, last = call.given("downscale_factor"), seen.cells == (-2, -1)
    return seen.slid([(factor, factor, 0, 1)] * 2, _sides(call.output, seen.cells)) if last else None


def _view(call: _Call, seen: Seen) -> Seen | None:
    return _viewed(seen, call.shape, call.output.shape)


def _viewed(seen: Seen, old: Sequence[int], new: Sequence[int]) -> Seen | None:
    """The same values in their order: an axis is there still where as many values lie before it and in it."""
    if seen.at is None or seen.grid == (1, 1):
        return seen._replace(at=None)  # of one cell, all values see the same
    first, second = seen.at
    if second in (first, first + 1):
        for axis, size in enumerate(new):
            if math.prod(new[:axis]) == math.prod(old[:first]):
                place = axis - len(new)
                if tuple(new[axis : axis + 2]) == seen.grid:
                    return seen._replace(at=(place, place + 1))
                if size == math.prod(seen.grid):
                    return seen._replace(at=(place, place))
    down, across = _place(old, first, new), _place(old, second, new)
    return None if down is None or across is None or down == across else seen._replace(at=(down, across))


def _place(old: Sequence[int], axis: int, new: Sequence[int]) -> int | None:
    """Where the axis of the old form is in the new one."""
    before = math.prod(old[:axis])
    places = (i for i, size in enumerate(new) if size == old[axis] and math.prod(new[:i]) == before)
    found = next(places, None)
    return None if found is None else found - len(new)


def _permuted(call: _Call, seen: Seen) -> Seen:
    dims = len(call.shape)
    order = list(range(-dims, 0))
    if call.name == "permute":
        order = [_back(axis, dims) for axis in call.given("dims")]
    else:
        one, other = (_back(call.given(name, axis), dims) for name, axis in (("dim0", 0), ("dim1", 1)))
        order[one], order[other] = other, one
    return seen._replace(at=(order.index(seen.cells[0]) - dims, order.index(seen.cells[1]) - dims))


def _reduced(call: _Call, seen: Seen) -> Seen | None:
    """The values along some axes become one."""
    axes = _axes(call)
    kept = call.output.dim() == len(call.shape)
    rows, columns = (place in axes for place in seen.cells)
    if not rows and not columns:
        return seen if kept else seen._replace(at=_without(seen.cells, axes))
    if kept or (rows and columns):
        sizes = [count if whole else 1 for count, whole in zip(seen.grid, (rows, columns), strict=True)]
        grid = (1 if rows else seen.grid[0], 1 if columns else seen.grid[1])
        return seen.slid([(size, size, 0, 1) for size in sizes], grid)._replace(at=seen.at if kept else None)
    return None


def _along(call: _Call, seen: Seen) -> Seen:
    """Each value depends on all of those along an axis."""
    axes = _axes(call)
    return seen.spread(seen.cells[0] in axes, seen.cells[1] in axes)


def _axes(call: _Call) -> set[int]:
    """The axes that a reduction is along: one, some or all."""
    given, dims = call.given("dim"), len(call.shape)
    return {_back(axis, dims) for axis in ([given] if isinstance(given, int) else given or range(dims))}


def _normalised(call: _Call, seen: Seen) -> Seen | None:
    """Layer normalisation, over the last axes."""
    begin = -len(call.given("normalized_shape"))
    return None if call.number else seen.spread(seen.cells[0] >= begin, seen.cells[1] >= begin)


def _grouped(call: _Call, seen: Seen) -> Seen | None:
    return None if call.number else seen.spread()


def _batch_normalised(call: _Call, seen: Seen) -> Seen | None:
    if call.number:
        return None
    return seen.spread() if call.given("training", False) else seen


def _sliced(call: _Call, seen: Seen) -> Seen | None:
    axis = _back(call.given("dim", 0), len(call.shape))
    start = slice(call.given("start"), None).indices(call.shape[axis])[0]
    return _cut(call, seen, axis, start, call.given("step", 1))


def _split(call: _Call, seen: Seen) -> Seen | None:
    sizes = call.given("split_size") or call.given("split_sizes")
    start = sizes * call.number if isinstance(sizes, int) else sum(sizes[: call.number])
    return _cut(call, seen, _back(call.given("dim", 0), len(call.shape)), start, 1)


def _cut(call: _Call, seen: Seen, axis: int, start: int, step: int) -> Seen | None:
    """Every so many places along an axis, from one of them on."""
    if axis not in seen.cells:
        return seen
    if seen.cells[0] == seen.cells[1]:
        return None
    windows = [(1, step, -start, 1) if place == axis else (1, 1, 0, 1) for place in seen.cells]
    return seen.slid(windows, _sides(call.output, seen.cells))


def _selected(call: _Call, seen: Seen) -> Seen | None:
    axis = _back(call.given("dim", 0), len(call.shape))
    return None if axis in seen.cells else seen._replace(at=_without(seen.cells, {axis}))


def _indexed(call: _Call, seen: Seen) -> Seen | None:
    """Other channels, or the same ones in another order."""
    if call.name == "index":
        places = [place for place, index in enumerate(call.given("indices")) if index is not None]
        axes = {_back(place, len(call.shape)) for place in places}
        return seen if len(axes) == 1 and not axes & set(seen.cells) and call.output.dim() == len(call.shape) else None
    return None if _back(call.given("dim", -1), len(call.shape)) in seen.cells else seen


def _repeated(call: _Call, seen: Seen) -> Seen | None:
    return seen if all(call.given("repeats")[place] == 1 for place in seen.cells) else None


_RULES: dict[str, _Rule] = {
    **dict.fromkeys(("convolution", "max_pool2d_with_indices", "avg_pool2d"), _sliding),
    **dict.fromkeys(("max_pool3d_with_indices", "avg_pool3d"), _sliding),
    **dict.fromkeys(("_adaptive_avg_pool2d", "adaptive_max_pool2d"), _adaptive),
    **dict.fromkeys(("constant_pad_nd", "reflection_pad2d", "replication_pad2d"), _padded),
    "pixel_unshuffle": _unshuffled,
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "_reshape_alias", "squeeze", "unsqueeze"), _view),
    **dict.fromkeys(("permute", "transpose", "t"), _permuted),
    **dict.fromkeys(("mean", "sum", "amax", "amin", "max", "min", "prod", "var", "std", "logsumexp"), _reduced),
    **dict.fromkeys(("var_mean", "std_mean", "norm", "linalg_vector_norm", "argmax", "argmin"), _reduced),
    **dict.fromkeys(("_softmax", "_log_softmax", "cumsum", "cumprod"), _along),
    **dict.fromkeys(("native_layer_norm", "_fused_rms_norm"), _normalised),
    "native_group_norm": _grouped,
    **dict.fromkeys(("native_batch_norm", "_native_batch_norm_legit"), _batch_normalised),
    **dict.fromkeys(("cudnn_batch_norm", "miopen_batch_norm"), _batch_normalised),
    "slice": _sliced,
    **dict.fromkeys(("split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes"), _split),
    **dict.fromkeys(("select", "unbind"), _selected),
    **dict.fromkeys(("index", "index_select", "glu"), _indexed),
    "repeat": _repeated,
}


# Along one axis


def _slide(axis: Axis, kernel: int, stride: int, padding: int, dilation: int) -> Axis:
    """The field behind a window that slides over units with the field `axis`."""
    return Axis(
        size=axis.size + (kernel - 1) * dilation * axis.jump,
        jump=axis.jump * stride,
        offset=axis.offset - padding * axis.jump,
    )


def _span(fields: Sequence[tuple[Axis, int]]) -> Axis:
    """All that any unit sees of inputs with so many units each, for all units alike."""
    start = min(axis.offset for axis, _ in fields)
    end = max(axis.offset + (count - 1) * axis.jump + axis.size for axis, count in fields)
    return Axis(end - start, 0, start)


def _union(fields: Sequence[tuple[Axis, int]], units: int) -> Axis | None:
    """The smallest field that holds those of all inputs (each with its number of units); None if it is irregular."""
    if all(count == units and axis.jump == fields[0][0].jump for axis, count in fields):
        start = min(axis.offset for axis, _ in fields)
        return Axis(max(axis.offset + axis.size for axis, _ in fields) - start, fields[0][0].jump, start)
    # One value for all units (squeeze and excitation): regular if it has seen all that any of them has.
    span = _span(fields)
    return span if any((axis.offset, axis.size) == (span.offset, span.size) for axis, _ in fields) else None


def _back(axis: int, dims: int) -> int:
    """An axis counted back from the last one, -1."""
    return axis - dims if axis >= 0 else axis


def _without(at: _At, axes: Collection[int]) -> _At:
    """Where the cells' axes are when other axes have gone."""
    return at[0] + sum(axis > at[0] for axis in axes), at[1] + sum(axis > at[1] for axis in axes)


def _sides(output: Tensor, at: _At) -> tuple[int, int]:
    return output.shape[at[0]], output.shape[at[1]]


def _each(setting: int | Sequence[int], count: int) -> list[int]:
    """A window's setting for each axis, where one number may stand for all."""
    return [setting] * count if isinstance(setting, int) else [*setting] if len(setting) > 1 else [*setting] * count
