"""The layers of a network: their names and order, what each does, what a pass costs, and which layer to explain."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from generator.base.errors import InputError
from generator.explain.checks import check_images
from generator.explain.passes import blank, evaluating, is_leaf

# In eval mode these return what they get.
IDENTITIES = (
    nn.Identity,
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)
POOLINGS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool2d)


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
    check_images(images)
    with evaluating(model):
        calls = [
            call for call in _calls(model, images[:1]) if len(call.shape) == 4 and call.shape[2] * call.shape[3] > 1
        ]
    last = max((i for i, call in enumerate(calls) if isinstance(call.module, nn.Conv2d)), default=None)
    if last is None:
        raise InputError("layer: the model runs no 2-d convolution that gives maps of more than one cell; name a layer")
    size = calls[last].shape[2:]
    following = [call for call in calls[last:] if not isinstance(call.module, POOLINGS + IDENTITIES)]
    return [call.name for call in following if call.name and call.shape[2:] == size][-1]


def summary(model: nn.Module, input_shape: Sequence[int]) -> tuple[tuple[str, str, str], ...]:
    """The architecture as rows (layer, what it does, output shape without the batch) in the order of a forward pass.

    Args:
        input_shape: (C, H, W) of one image.
    """
    with evaluating(model):
        calls = _calls(model, blank(model, input_shape))
    return tuple(
        (call.name, _describe(call.module), " × ".join(map(str, call.shape[1:])))
        for call in calls
        if is_leaf(call.module)
    )


def macs(model: nn.Module, input_shape: Sequence[int]) -> int:
    """Multiply-accumulates of all convolutions and matrix products for one image of shape (C, H, W)."""
    images = blank(model, input_shape)
    with evaluating(model), FlopCounterMode(display=False) as counter:
        model(images)
    return int(counter.get_total_flops()) // 2  # it counts a multiplication and an addition


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
        case nn.AdaptiveMaxPool2d(output_size=1 | (1, 1)):
            return "global maximum pooling"
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
