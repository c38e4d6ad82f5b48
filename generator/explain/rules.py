"""What each operation of torch makes of cells: what its output sees of the images, from what its inputs see."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from generator.explain.cells import At, Seen, span, union


class Call(NamedTuple):
    """An operation that ran, with one of its outputs."""

    func: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    output: Tensor
    number: int  # of that output
    parts: Sequence[tuple[Sequence[int], Seen | None]]  # all that it read: shapes, and what they see
    shape: Sequence[int] = ()  # of the one input

    @property
    def name(self) -> str:
        """Of the operation, in place or not."""
        return str(self.func.overloadpacket.__name__).rstrip("_")

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
_Rule = Callable[[Call, Seen], Seen | None]  # None: the cells are mixed up

# They give a tensor of the same form that has nothing of the values.
CONSTANTS = {
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


def after(call: Call, sources: Sequence[_Shaped]) -> Seen:
    """What an operation's output sees, from what its inputs see."""
    if not any(seen.at for _, seen in sources):
        return _without_cells([seen for _, seen in sources])
    if call.name in ("cat", "stack"):
        return _joined(call, sources)
    if torch.Tag.pointwise in call.func.tags or call.name in _CELLWISE:
        return _together(call, sources)
    if call.name in _PRODUCTS:
        return _multiplied(call) or sources[0][1].mixed(call.cause)
    (shape, seen), rule = sources[0], _RULES.get(call.name)
    if len(sources) > 1 or rule is None or seen.at is None:
        return seen.mixed(call.cause)
    return rule(call._replace(shape=shape), seen) or seen.mixed(call.cause)


def _without_cells(found: Sequence[Seen]) -> Seen:
    """Of inputs without cells: each value may see all that any of them sees."""
    rows, columns = span([(seen.rows, 1) for seen in found]), span([(seen.columns, 1) for seen in found])
    return Seen(rows, columns, None, (1, 1), next((seen.cause for seen in found if seen.cause), ""))


def _together(call: Call, sources: Sequence[_Shaped]) -> Seen:
    """Of inputs that are brought to one form and treated cell by cell."""
    found = [seen for _, seen in sources]
    first = next(seen for seen in found if seen.at)
    assert first.at is not None
    if any(seen.at not in (None, first.at) for seen in found):
        return first.mixed(f"{call.cause} (rows and columns stand in different axes)")
    merged = first.at[0] == first.at[1]
    grid = max(seen.grid for seen in found) if merged else sides(call.output, first.at)
    around = max(seen.around for seen in found)
    if merged and math.prod(grid) + sum(around) != call.output.shape[first.at[0]]:
        return first.mixed(call.cause)
    if any(seen.around != around and seen.grid != (1, 1) for seen in found if seen.at):
        return first.mixed(call.cause)
    if any(count not in (1, units) for seen in found for count, units in zip(seen.grid, grid, strict=True)):
        return first.mixed(call.cause)
    irregular = next((seen.cause for seen in found if seen.cause), "")
    rows = union([(seen.rows, seen.grid[0]) for seen in found], grid[0])
    columns = union([(seen.columns, seen.grid[1]) for seen in found], grid[1])
    if irregular or rows is None or columns is None:  # it still has its cells
        cause = irregular or f"{call.cause} (of fields with different steps)"
        return first._replace(grid=grid, cause=cause, around=around)
    return Seen(rows, columns, first.at, grid, around=around)


def _joined(call: Call, sources: Sequence[_Shaped]) -> Seen:
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
    mixed = [seen for _, seen in sources if along in (seen.at or ())]
    if mixed:
        cause = f"{call.cause} (something is put beside its cells)"
        return (len(mixed) == 1 and _surrounded(call, along, cause)) or mixed[0].mixed(cause)
    return (
        _together(call, sources)
        if any(seen.at for _, seen in sources)
        else _without_cells([seen for _, seen in sources])
    )


def _surrounded(call: Call, along: int, cause: str) -> Seen | None:
    """Cells in one row, with what is put before and after them."""
    place = next(place for place, (_, seen) in enumerate(call.parts) if along in ((seen.at if seen else None) or ()))
    seen = call.parts[place][1]
    if call.name != "cat" or seen is None or seen.cells[0] != seen.cells[1]:
        return None
    sizes = [shape[along] if len(shape) == call.output.dim() else 0 for shape, _ in call.parts]
    before, after = seen.around
    return seen.among(cause)._replace(around=(before + sum(sizes[:place]), after + sum(sizes[place + 1 :])))


# They give for each row of the first matrix a row, in which each value is made from all of it.
_PRODUCTS = {
    **dict.fromkeys(("mm", "bmm"), 0),
    **dict.fromkeys(("addmm", "baddbmm"), 1),
    **dict.fromkeys(("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention"), 0),
    **dict.fromkeys(("_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention"), 0),
    **dict.fromkeys(("_scaled_dot_product_attention_math", "_scaled_dot_product_fused_attention_overrideable"), 0),
}


def _multiplied(call: Call) -> Seen | None:
    """The cells of the first matrix's rows: in attention those that ask."""
    place = _PRODUCTS[call.name]
    seen = call.parts[place][1] if place < len(call.parts) else None
    if seen is None or seen.at != (-2, -2) or call.number or call.output.dim() != len(call.parts[place][0]):
        return None
    others = any(other is not None for _, other in call.parts[place + 1 :])
    return seen.among(call.cause) if others else seen


# The rules: what one input with cells becomes


def _sliding(call: Call, seen: Seen) -> Seen | None:
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
    return seen.slid([windows[seen.cells[0]], windows[seen.cells[1]]], sides(call.output, seen.cells))


def _adaptive(call: Call, seen: Seen) -> Seen | None:
    cells = call.given("output_size")
    if seen.cells != (-2, -1) or any(n % m for n, m in zip(seen.grid, cells, strict=True)):
        return None
    sizes = [n // m for n, m in zip(seen.grid, cells, strict=True)]
    return seen.slid([(size, size, 0, 1) for size in sizes], sides(call.output, seen.cells))


def _padded(call: Call, seen: Seen) -> Seen | None:
    pads = call.given("pad") or call.given("padding")  # from the last axis on, two numbers for each
    before = [(pads[2 * ~place] if 2 * ~place < len(pads) else 0) for place in seen.cells]
    if seen.cells[0] != seen.cells[1]:
        return seen.slid([(1, 1, pad, 1) for pad in before], sides(call.output, seen.cells))
    return seen if call.output.shape[seen.cells[0]] == call.shape[seen.cells[0]] else None


def _unshuffled(call: Call, seen: Seen) -> Seen | None:
    factor, last = call.given("downscale_factor"), seen.cells == (-2, -1)
    return seen.slid([(factor, factor, 0, 1)] * 2, sides(call.output, seen.cells)) if last else None


def _view(call: Call, seen: Seen) -> Seen | None:
    return _viewed(seen, call.shape, call.output.shape)


def _viewed(seen: Seen, old: Sequence[int], new: Sequence[int]) -> Seen | None:
    """The same values in their order: an axis is there still where as many values lie before it and in it."""
    if seen.at is None or seen.units == 1:
        return seen._replace(at=None)  # of one cell, all values see the same
    first, second = seen.at
    if second in (first, first + 1):
        for axis, size in enumerate(new):
            if math.prod(new[:axis]) == math.prod(old[:first]):
                place = axis - len(new)
                if tuple(new[axis : axis + 2]) == seen.grid and seen.around == (0, 0):
                    return seen._replace(at=(place, place + 1))
                if size == seen.units:
                    return seen._replace(at=(place, place))
    down, across = _place(old, first, new), _place(old, second, new)
    if down is None or across is None or first == second:
        return None if first == second else _windowed(seen, old, new)
    return None if down == across else seen._replace(at=(down, across))


def _windowed(seen: Seen, old: Sequence[int], new: Sequence[int]) -> Seen | None:
    """Rows and columns cut into windows of so many cells each: the windows are the cells then."""
    at, windows = [], []
    for axis in seen.cells:
        before, size = math.prod(old[:axis]), old[axis]
        places = [place for place in range(len(new)) if math.prod(new[:place]) == before and size % new[place] == 0]
        place = next((place for place in places if new[place] != 1 or size == 1), len(new))
        inner = size // new[place] if place < len(new) else 0
        if not inner or (inner > 1 and (place + 1 >= len(new) or new[place + 1] != inner)):
            return None
        at.append(place - len(new))
        windows.append((inner, inner, 0, 1))
    grid = (new[at[0]], new[at[1]])
    return seen.slid(windows, grid)._replace(at=(at[0], at[1])) if at[0] != at[1] and grid != (1, 1) else None


def _place(old: Sequence[int], axis: int, new: Sequence[int]) -> int | None:
    """Where the axis of the old form is in the new one."""
    before = math.prod(old[:axis])
    places = (i for i, size in enumerate(new) if size == old[axis] and math.prod(new[:i]) == before)
    found = next(places, None)
    return None if found is None else found - len(new)


def _permuted(call: Call, seen: Seen) -> Seen:
    dims = len(call.shape)
    order = list(range(-dims, 0))
    if call.name == "permute":
        order = [_back(axis, dims) for axis in call.given("dims")]
    else:
        one, other = (_back(call.given(name, axis), dims) for name, axis in (("dim0", 0), ("dim1", 1)))
        order[one], order[other] = other, one
    return seen._replace(at=(order.index(seen.cells[0]) - dims, order.index(seen.cells[1]) - dims))


def _reduced(call: Call, seen: Seen) -> Seen | None:
    """The values along some axes become one."""
    axes = _axes(call)
    kept = call.output.dim() == len(call.shape)
    rows, columns = (place in axes for place in seen.cells)
    if not rows and not columns:
        return seen if kept else seen._replace(at=_without(seen.cells, axes))
    if kept or (rows and columns):
        sizes = [count if whole else 1 for count, whole in zip(seen.grid, (rows, columns), strict=True)]
        grid = (1 if rows else seen.grid[0], 1 if columns else seen.grid[1])
        at = seen.at if kept else None
        return seen.slid([(size, size, 0, 1) for size in sizes], grid)._replace(at=at, around=(0, 0))
    return None


def _along(call: Call, seen: Seen) -> Seen:
    """Each value depends on all of those along an axis."""
    axes = _axes(call)
    return seen.spread(seen.cells[0] in axes, seen.cells[1] in axes)


def _axes(call: Call) -> set[int]:
    """The axes that a reduction is along: one, some or all."""
    given, dims = call.given("dim"), len(call.shape)
    return {_back(axis, dims) for axis in ([given] if isinstance(given, int) else given or range(dims))}


def _normalised(call: Call, seen: Seen) -> Seen | None:
    """Layer normalisation, over the last axes."""
    begin = -len(call.given("normalized_shape"))
    return None if call.number else seen.spread(seen.cells[0] >= begin, seen.cells[1] >= begin)


def _grouped(call: Call, seen: Seen) -> Seen | None:
    return None if call.number else seen.spread()


def _batch_normalised(call: Call, seen: Seen) -> Seen | None:
    if call.number:
        return None
    return seen.spread() if call.given("training", False) else seen


def _sliced(call: Call, seen: Seen) -> Seen | None:
    axis = _back(call.given("dim", 0), len(call.shape))
    start = slice(call.given("start"), None).indices(call.shape[axis])[0]
    return _cut(call, seen, axis, start, call.given("step", 1))


def _split(call: Call, seen: Seen) -> Seen | None:
    sizes = call.given("split_size") or call.given("split_sizes")
    start = sizes * call.number if isinstance(sizes, int) else sum(sizes[: call.number])
    return _cut(call, seen, _back(call.given("dim", 0), len(call.shape)), start, 1)


def _cut(call: Call, seen: Seen, axis: int, start: int, step: int) -> Seen | None:
    """Every so many places along an axis, from one of them on."""
    if axis not in seen.cells:
        return seen
    if seen.cells[0] == seen.cells[1]:
        return _shortened(call, seen, axis, start, step)
    windows = [(1, step, -start, 1) if place == axis else (1, 1, 0, 1) for place in seen.cells]
    return seen.slid(windows, sides(call.output, seen.cells))


def _shortened(call: Call, seen: Seen, axis: int, start: int, step: int) -> Seen | None:
    """Of cells in one row, all with fewer around them, or none."""
    end, (before, behind) = start + call.output.shape[axis], seen.around
    cells = seen.units - behind
    if step == 1 and start <= before and end >= cells:
        return seen._replace(around=(before - start, end - cells))
    return None


def _selected(call: Call, seen: Seen) -> Seen | None:
    axis = _back(call.given("dim", 0), len(call.shape))
    return None if axis in seen.cells else seen._replace(at=_without(seen.cells, {axis}))


def _indexed(call: Call, seen: Seen) -> Seen | None:
    """Other channels, or the same ones in another order."""
    if call.name == "index":
        places = [place for place, index in enumerate(call.given("indices")) if index is not None]
        axes = {_back(place, len(call.shape)) for place in places}
        return seen if len(axes) == 1 and not axes & set(seen.cells) and call.output.dim() == len(call.shape) else None
    return None if _back(call.given("dim", -1), len(call.shape)) in seen.cells else seen


def _repeated(call: Call, seen: Seen) -> Seen | None:
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
    **dict.fromkeys(("_softmax", "_safe_softmax", "_log_softmax", "cumsum", "cumprod"), _along),
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


# Axes


def _back(axis: int, dims: int) -> int:
    """An axis counted back from the last one, -1."""
    return axis - dims if axis >= 0 else axis


def _without(at: At, axes: Collection[int]) -> At:
    """Where the cells' axes are when other axes have gone."""
    return at[0] + sum(axis > at[0] for axis in axes), at[1] + sum(axis > at[1] for axis in axes)


def sides(output: Tensor, at: At) -> tuple[int, int]:
    """How many places a tensor has along two axes."""
    return output.shape[at[0]], output.shape[at[1]]


def _each(setting: int | Sequence[int], count: int) -> list[int]:
    """A window's setting for each axis, where one number may stand for all."""
    return [setting] * count if isinstance(setting, int) else [*setting] if len(setting) > 1 else [*setting] * count
