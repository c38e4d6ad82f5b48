"""What a network learnt and where it looks: layers, receptive fields, feature maps and class activation maps.

Any nn.Module and a batch of images go in, tensors and small records come out. No model is changed: hooks, gradients and
train/eval modes are as before afterwards, after an exception too. Layers are named as in `model.named_modules()`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from generator.errors import InputError

# In eval mode these return what they get.
_IDENTITIES = (
    nn.Identity,
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)
_POOLINGS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool2d)

# Gradients of so many activations are held at once: 128 MiB in float32.
_GRADIENTS_AT_ONCE = 2**25


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


# Layers


def convolutions(model: nn.Module) -> list[str]:
    """Dotted names of all 2-d convolutions as the model registers them, which is usually their order in its forward."""
    return [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]


def choose_layer(model: nn.Module, images: Tensor) -> str:
    """The layer to explain where none is named: the last convolution's maps, rectified but not pooled.

    Of the modules that run after the last convolution with more than one cell, the last with maps of the same size that
    neither pools nor leaves them as they are: "features.11" of torchvision's AlexNet, "layer4" of its ResNets.
    Selvaraju et al. 2017 found the last convolutional layer to localise best (arXiv:1610.02391, section 4).

    Args:
        images: (N, C, H, W) float, as the model takes them; the first is run.
    Raises:
        InputError: if no convolution runs that gives maps of more than one cell.
    """
    _check_images(images)
    with _evaluating(model):
        calls = [
            call for call in _calls(model, images[:1]) if len(call.shape) == 4 and call.shape[2] * call.shape[3] > 1
        ]
    last = max((i for i, call in enumerate(calls) if isinstance(call.module, nn.Conv2d)), default=None)
    if last is None:
        raise InputError("layer: the model runs no 2-d convolution that gives maps of more than one cell; name a layer")
    size = calls[last].shape[2:]
    following = [call for call in calls[last:] if not isinstance(call.module, _POOLINGS + _IDENTITIES)]
    return [call.name for call in following if call.name and call.shape[2:] == size][-1]


def summary(model: nn.Module, input_shape: Sequence[int]) -> tuple[tuple[str, str, str], ...]:
    """The architecture as rows (layer, what it does, output shape without the batch) in the order of a forward pass.

    Args:
        input_shape: (C, H, W) of one image.
    """
    with _evaluating(model):
        calls = _calls(model, _blank(model, input_shape))
    return tuple(
        (call.name, _describe(call.module), " × ".join(map(str, call.shape[1:])))
        for call in calls
        if _is_leaf(call.module)
    )


def macs(model: nn.Module, input_shape: Sequence[int]) -> int:
    """Multiply-accumulates of all convolutions and matrix products for one image of shape (C, H, W)."""
    images = _blank(model, input_shape)
    with _evaluating(model), FlopCounterMode(display=False) as counter:
        model(images)
    return int(counter.get_total_flops()) // 2  # it counts a multiplication and an addition


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
    module = _module(model, layer)
    first = next((found for found in model.modules() if isinstance(found, nn.Conv2d)), None)
    height, width = (input_size, input_size) if isinstance(input_size, int) else input_size
    images = _blank(model, (first.in_channels if first else 3, height, width))
    outputs: list[Any] = []
    mode = _FieldMode(images)
    with (
        _evaluating(model),
        module.register_forward_hook(lambda _module, _args, output: outputs.append(output)),
        mode,
    ):
        model(images)
    if not outputs:
        raise _idle(layer)
    field = mode.field(outputs[-1])
    if isinstance(field, str):
        raise InputError(
            f"layer {layer!r}: its receptive field has no regular size, because of {field} on the way to it"
        )
    return field


# Feature maps


def feature_maps(model: nn.Module, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """The activations of the named layers, as each layer returns them, also where a later in-place ReLU changes them.

    Args:
        images: (N, C, H, W) float, as the model takes them.
    Returns:
        Layer -> (N, C, h, w) float32. Of a layer that runs more than once, the last run.
    Raises:
        InputError: if a layer does not exist, does not run, or gives no (N, C, h, w) tensor.
    """
    _check_images(images)
    maps: dict[str, Tensor] = {}

    def keeps(layer: str) -> Callable[[nn.Module, Any, Any], None]:
        def keep(_module: nn.Module, _args: Any, output: Any) -> None:
            maps[layer] = _maps(layer, output, len(images)).detach().clone().float()

        return keep

    with _evaluating(model), ExitStack() as hooks:
        for layer in layers:
            hooks.enter_context(_module(model, layer).register_forward_hook(keeps(layer)))
        model(images.detach().clone())
    for layer in layers:
        if layer not in maps:
            raise _idle(layer)
    return {layer: maps[layer] for layer in layers}


# Class activation maps from gradients


def grad_cam(model: nn.Module, images: Tensor, targets: Tensor | Sequence[int], layer: str | None = None) -> Tensor:
    """Grad-CAM of one target class for each image.

    Selvaraju et al. 2017, arXiv:1610.02391.

    Args:
        images: (N, C, H, W) float, as the model takes them.
        targets: (N,) class indices.
        layer: dotted name; without it `choose_layer` decides, at the price of one more forward pass of one image.
    Returns:
        (N, h, w) float32, unnormalised and >= 0; all zero where nothing speaks for the class.
    Raises:
        ValueError: if targets and images differ in length, or a target is no class of the model.
        InputError: if the layer does not exist, does not run, gives no (N, C, h, w) or does not reach the logits.
    """
    activations, weights = _weighted(model, images, targets, layer)
    return _cam(activations, weights)[:, 0]


def grad_cam_all(model: nn.Module, images: Tensor, layer: str | None = None) -> Tensor:
    """Grad-CAM of every class for each image, in one forward pass and without one backward pass a class.

    Args and errors as of `grad_cam`.

    Returns:
        (N, K, h, w) float32, unnormalised and >= 0.
    """
    activations, weights = _weighted(model, images, None, layer)
    return _cam(activations, weights)


def channel_contributions(
    model: nn.Module, images: Tensor, targets: Tensor | Sequence[int], layer: str | None = None
) -> Tensor:
    """What each channel of `layer` gave to the target's logit: its Grad-CAM weight times the sum of its activations.

    For global average pooling and one linear layer these and the bias add up to the logit; for other heads they are its
    first-order share. Divided by the number of cells, they add up to the mean of the Grad-CAM map before its ReLU.

    Args and errors as of `grad_cam`.

    Returns:
        (N, C) float32 in units of the logit; negative where the channel spoke against the class.
    """
    activations, weights = _weighted(model, images, targets, layer)
    return (weights[:, 0] * activations.sum((2, 3))).float()


def _cam(activations: Tensor, weights: Tensor) -> Tensor:
    """ReLU(sum over channels of weight times map): (N, C, h, w) and (N, K, C) -> (N, K, h, w)."""
    cams = torch.bmm(weights, activations.flatten(2)).relu().float()
    return cams.view(*weights.shape[:2], *activations.shape[2:])


def _weighted(
    model: nn.Module, images: Tensor, targets: Tensor | Sequence[int] | None, layer: str | None
) -> tuple[Tensor, Tensor]:
    """The layer's (N, C, h, w) activations and Grad-CAM's channel weights, (N, 1, C) or of all classes (N, K, C)."""
    _check_images(images)
    wanted = None if targets is None else _check_targets(targets, len(images))
    layer = choose_layer(model, images) if layer is None else layer
    with _evaluating(model):
        run = _forward(model, images, layer)
        if wanted is not None:
            wanted = _check_classes(wanted, run.logits)
        weights = _closed_form(run, wanted)
        if weights is None:
            weights = _by_gradients(run, wanted)
        precision = torch.promote_types(weights.dtype, torch.float32)
        return run.activations.to(precision), weights.to(precision)


# Grad-CAM's channel weights: the mean over a map's cells of the logit's gradient


def _closed_form(run: _Run, targets: Tensor | None) -> Tensor | None:
    """The channel weights from matrix products alone, or None where the tail is not pooling, flattening and an MLP.

    Pooling hands each gradient on whole: each output cell's weights on the input cells add up to 1 (a maximum gives all
    to one cell). So the mean of the gradient over the layer's cells is the gradient's sum over the pooled cells divided
    by the number of the layer's cells, and that sum can be taken in the first linear layer's weights beforehand. ReLUs
    between the linear layers are masks known from the forward pass. A GAP head is the case of one linear layer:
    weights / cells, which makes Grad-CAM equal CAM (Zhou et al. 2016).
    """
    steps = _tail_steps(run)
    if not steps:
        return None
    *inner, last = steps
    rows = last[None] if targets is None else last[targets][:, None]  # (1, K, i) or (N, 1, i)
    for step in reversed(inner):
        rows = rows * step[:, None] if step.dtype == torch.bool else rows @ step
    return rows.expand(len(run.logits), -1, -1)


def _tail_steps(run: _Run) -> list[Tensor]:
    """The tail as (out, in) matrices, the first (out, C) with the pooling in it, and (N, in) masks; else empty."""
    channels, height, width = run.activations.shape[1:]
    steps: list[Tensor] = []
    for module, output in run.tail or ():
        if type(module) is nn.Linear and output.dim() == 2:
            weight = module.weight.detach()
            steps.append(weight if steps else weight.reshape(len(weight), channels, -1).sum(2) / (height * width))
        elif type(module) is nn.ReLU and steps:
            steps.append(output.detach() > 0)
        elif not (_is_flatten(module) or type(module) in _IDENTITIES or (not steps and _keeps_sums(module))):
            return []
    return steps if steps and steps[-1].dtype != torch.bool else []


def _keeps_sums(module: nn.Module) -> bool:
    """Whether each output cell's weights on the input cells of its channel add up to 1."""
    if type(module) is nn.AvgPool2d:
        return module.padding in (0, (0, 0)) and module.divisor_override is None
    return type(module) in _POOLINGS


def _is_flatten(module: nn.Module) -> bool:
    return type(module) is nn.Flatten and module.start_dim == 1 and module.end_dim == -1


def _by_gradients(run: _Run, targets: Tensor | None) -> Tensor:
    """The channel weights by automatic differentiation of the tail alone, (N, 1, C) or (N, K, C)."""
    count, classes = run.logits.shape
    if targets is None:
        seeds = torch.eye(classes, dtype=run.logits.dtype, device=run.logits.device)[:, None].expand(-1, count, -1)
    else:
        seeds = F.one_hot(targets, classes).to(run.logits.dtype)[None]
    at_once = max(1, _GRADIENTS_AT_ONCE // max(1, run.activations.numel()))
    sums = torch.cat([_summed_gradients(run, part) for part in torch.split(seeds, at_once)])  # (K, N, C, 1, 1)
    return sums.flatten(2).transpose(0, 1) / run.activations.shape[2:].numel()


def _summed_gradients(run: _Run, seeds: Tensor) -> Tensor:
    """Gradients of the logits weighted by each of `seeds` (K, N, K'), summed over the cells: (K, N, C, 1, 1)."""

    def gradient(seed: Tensor, batched: bool = False) -> Tensor:
        (found,) = torch.autograd.grad(
            run.logits, run.nudge, seed, retain_graph=True, is_grads_batched=batched, allow_unused=True
        )
        if found is None:
            raise InputError(run.unreached)
        return found

    if len(seeds) > 1:
        try:
            return gradient(seeds, batched=True)
        except RuntimeError:
            # Some operation has no batched gradient (or the memory no room for it); one by one they are the same.
            pass
    return torch.stack([gradient(seed) for seed in seeds])


# One forward pass, watched from a layer on


@dataclass(frozen=True)
class _Run:
    """What a forward pass left: the layer's maps, a handle for their gradient, and the way from there to the logits.

    `nudge` are (N, C, 1, 1) zeros that were added to the maps, so that the logits' gradient by them is the gradient by
    the maps summed over the cells. `tail` lists the modules between with their outputs; None where anything else
    happens between.
    """

    layer: str
    activations: Tensor  # (N, C, h, w)
    nudge: Tensor
    logits: Tensor  # (N, K)
    tail: tuple[tuple[nn.Module, Tensor], ...] | None

    @property
    def unreached(self) -> str:
        return f"layer {self.layer!r}: the logits do not depend on it by any differentiable way; name another layer"


class _Chain:
    """Follows one tensor through modules without children, for as long as nothing else reads or writes it.

    The identity of the tensor and its version (which every in-place operation raises) prove that a module got just what
    the one before it gave. So the names of a model's attributes need not be trusted.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[nn.Module, Tensor]] | None = None
        self.tensor: Tensor | None = None
        self.version = -1

    def start(self, tensor: Tensor) -> None:
        self.calls = []
        self._hold(tensor)

    def enter(self, _module: nn.Module, args: tuple[Any, ...]) -> None:
        if not (len(args) == 1 and self.ends_in(args[0])):
            self.calls = None

    def leave(self, module: nn.Module, _args: Any, output: Any) -> None:
        if self.calls is None:
            return
        if isinstance(output, Tensor):
            self.calls.append((module, output))
            self._hold(output)
        else:
            self.calls = None

    def ends_in(self, value: Any) -> bool:
        """Whether `value` is the tensor followed, as it was or flattened from the second axis on, unchanged since."""
        held = self.tensor
        if held is None or not isinstance(value, Tensor) or value._version != self.version or not value.requires_grad:
            return False  # without a gradient it was detached, although it is the same memory
        flattened = (
            value.data_ptr() == held.data_ptr()
            and value.shape == (len(held), held.shape[1:].numel())
            and value.is_contiguous()
            and held.is_contiguous()
        )
        return value is held or flattened

    def _hold(self, tensor: Tensor) -> None:
        self.tensor, self.version = tensor, tensor._version


def _forward(model: nn.Module, images: Tensor, layer: str) -> _Run:
    """Runs the model without gradients up to `layer`, with them from there on."""
    module = _module(model, layer)
    chain = _Chain()
    seen: list[tuple[Tensor, Tensor]] = []

    def watch(_module: nn.Module, _args: Any, output: Any) -> Tensor:
        maps = _maps(layer, output, len(images))
        activations = maps.detach().clone()  # an in-place ReLU may follow
        nudge = maps.new_zeros((*maps.shape[:2], 1, 1)).requires_grad_()
        torch.set_grad_enabled(True)  # until `_evaluating` ends
        # In place, so that whatever else holds the maps takes part in the gradient; views made without one refuse that.
        nudged = maps + nudge if maps._is_view() else maps.add_(nudge)
        seen.append((activations, nudge))
        chain.start(nudged)
        return nudged

    with ExitStack() as hooks:
        for leaf in filter(_is_leaf, model.modules()):
            hooks.enter_context(leaf.register_forward_pre_hook(chain.enter))
            # Before other hooks, which may replace the output: the chain then breaks.
            hooks.enter_context(leaf.register_forward_hook(chain.leave, prepend=True))
        hooks.enter_context(module.register_forward_hook(watch))
        logits = model(images.detach().clone())  # a model may begin with an in-place operation
    if not seen:
        raise _idle(layer)
    if not (isinstance(logits, Tensor) and logits.dim() == 2 and len(logits) == len(images)):
        raise InputError(f"model: expected logits (N, K) = ({len(images)}, K), got {_shape_text(logits)}")
    tail = tuple(chain.calls) if chain.calls is not None and chain.ends_in(logits) else None
    run = _Run(layer, *seen[-1], logits, tail)
    if not logits.requires_grad:
        raise InputError(run.unreached)
    return run


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients, also under an outer inference mode; afterwards each module's own mode again."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in modes:
            module.training = False
        with torch.inference_mode(False), torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


class _Call(NamedTuple):
    name: str
    module: nn.Module
    shape: tuple[int, ...]


def _calls(model: nn.Module, images: Tensor) -> list[_Call]:
    """All calls of modules that return one tensor, in the order in which they end."""
    calls: list[_Call] = []
    names = {module: name for name, module in model.named_modules()}

    def note(module: nn.Module, _args: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            calls.append(_Call(names[module], module, tuple(output.shape)))

    with ExitStack() as hooks:
        for module in model.modules():
            hooks.enter_context(module.register_forward_hook(note))
        model(images.detach().clone())
    return calls


# Receptive fields, operation by operation

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
        return self.fields.get(id(output), (None, f"its output, {_shape_text(output)}"))[1]

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


# Small steps


def _check_images(images: Tensor) -> None:
    if images.dim() != 4 or not images.is_floating_point():
        raise ValueError(f"images: expected (N, C, H, W) float, normalised; got {_shape_text(images)} {images.dtype}")


def _check_targets(targets: Tensor | Sequence[int], count: int) -> Tensor:
    wanted = torch.as_tensor(targets)
    if wanted.is_floating_point() or wanted.shape != (count,):
        raise ValueError(
            f"targets: expected one class index for each of {count} images, got {_shape_text(wanted)} {wanted.dtype}"
        )
    return wanted


def _check_classes(targets: Tensor, logits: Tensor) -> Tensor:
    classes = logits.shape[1]
    outside = [target for target in targets.tolist() if not 0 <= target < classes]
    if outside:
        raise ValueError(f"targets: expected class indices from 0 to {classes - 1}, got {outside[0]}")
    return targets.to(logits.device, torch.int64)


def _module(model: nn.Module, layer: str) -> nn.Module:
    """The module of that dotted name, or an InputError with the nearest names."""
    modules: dict[str, nn.Module] = dict(model.named_modules(remove_duplicate=False))
    if layer not in modules:
        near = get_close_matches(layer, modules, n=3, cutoff=0.4)
        named = f"nearest: {', '.join(near)}" if near else f"the outermost: {', '.join(dict(model.named_children()))}"
        raise InputError(f"layer: expected a module's dotted name, got {layer!r}; {named}")
    return modules[layer]


def _idle(layer: str) -> InputError:
    return InputError(f"layer {layer!r} does not run in the model's forward pass; name one that does")


def _maps(layer: str, output: Any, count: int) -> Tensor:
    if isinstance(output, Tensor) and output.dim() == 4 and len(output) == count:
        return output
    raise InputError(f"layer {layer!r}: expected feature maps ({count}, C, h, w), got {_shape_text(output)}")


def _shape_text(value: Any) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else f"a {type(value).__name__}"


def _is_leaf(module: nn.Module) -> bool:
    return next(module.children(), None) is None


def _blank(model: nn.Module, input_shape: Sequence[int]) -> Tensor:
    """One image of zeros, where and in the precision in which the model's parameters are."""
    if len(input_shape) != 3:
        raise ValueError(f"input shape: expected (C, H, W) of one image, got {tuple(input_shape)}")
    like = next(model.parameters(), torch.empty(0))
    return torch.zeros(1, *input_shape, dtype=like.dtype, device=like.device)


def _describe(module: nn.Module) -> str:
    """What a module does, in words."""
    match module:
        case nn.Conv2d():
            options = {"stride": (module.stride, 1), "padding": (module.padding, 0), "dilation": (module.dilation, 1)}
            told = [
                f"{name} {_brief(value)}" for name, (value, usual) in options.items() if _brief(value) != str(usual)
            ]
            told += [f"{module.groups} groups"] if module.groups != 1 else []
            sizes = f"convolution {_by(module.kernel_size)}, {module.in_channels} → {module.out_channels}"
            return ", ".join([sizes, *told])
        case nn.MaxPool2d() | nn.AvgPool2d():
            kind = "maximum" if isinstance(module, nn.MaxPool2d) else "average"
            return f"{kind} pooling {_by(module.kernel_size)}, stride {_brief(module.stride)}"
        case nn.AdaptiveAvgPool2d(output_size=1 | (1, 1)):
            return "global average pooling"
        case nn.AdaptiveAvgPool2d():
            return f"average pooling to {_by(module.output_size)}"
        case nn.Linear():
            return f"linear, {module.in_features} → {module.out_features}"
        case nn.BatchNorm2d():
            return "batch normalisation"
        case nn.Dropout():
            return f"dropout, {module.p:.0%}"
        case nn.Flatten():
            return "flatten"
    return type(module).__name__


def _by(value: Any) -> str:
    """3 or (3, 3) -> "3×3"."""
    first, second = value if isinstance(value, tuple) else (value, value)
    return f"{first}×{second}"


def _brief(value: Any) -> str:
    """2 or (2, 2) -> "2", (2, 1) -> "2×1"; a word such as "same" as it is."""
    return (
        _by(value)
        if isinstance(value, tuple) and len(set(value)) > 1
        else str(value[0] if isinstance(value, tuple) else value)
    )
