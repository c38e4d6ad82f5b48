"""The layers of a network: their names and order, what each does, what a pass costs, and which layer to explain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from generator.explain.calls import function_of
from generator.explain.checks import check_unscripted
from generator.explain.choice import layer_choice
from generator.explain.flops import Counted
from generator.explain.passes import blank, evaluating
from generator.explain.points import Points, points


def convolutions(model: nn.Module) -> list[str]:
    """Dotted names of all 2-d convolutions as the model registers them, which is usually their order in its forward."""
    return [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]


def choose_layer(model: nn.Module, images: Tensor) -> str:
    """The layer to explain where none is named: see `layer_choice`.

    Args:
        images: (N, C, H, W) float, as the model takes them; the first is run.
    Raises:
        InputError: where there is none.
    """
    return layer_choice(model, images).layer


def summary(model: nn.Module, input_shape: Sequence[int]) -> tuple[tuple[str, str, str], ...]:
    """The architecture as rows (layer, what it does, output shape without the batch) in the order of a forward pass.

    A row stands for each module that runs no other, of its runs the last, and for each function between them; of
    several outputs it has the first one's shape.

    Args:
        input_shape: (C, H, W) of one image.
    Raises:
        InputError: if a part of it is TorchScript.
    """
    check_unscripted(model)
    return rows(points(model, blank(model, input_shape)))


def rows(found: Points) -> tuple[tuple[str, str, str], ...]:
    """Those of `summary`."""
    return tuple(
        (
            point.name,
            _describe(point.module) if point.module is not None else _named(point.name),
            " × ".join(map(str, point.shape)),
        )
        for point in found
        if point.row
    )


def macs(model: nn.Module, input_shape: Sequence[int]) -> int:
    """Multiply-accumulates of all convolutions and matrix products for one image of shape (C, H, W).

    Those of attention and recurrent layers are among them, those of the softmax and other sums are not.

    Raises:
        InputError: if a part of it is TorchScript, or an operation runs of which it is not known how many it needs.
    """
    check_unscripted(model)
    images = blank(model, input_shape)
    counted = Counted()
    with evaluating(model), counted:
        model(images)
    return counted.total // 2  # it counts a multiplication and an addition


# A function by the name of its last part; others are called by their own.
_WORDS = {
    "relu": "ReLU", "gelu": "GELU", "silu": "SiLU", "add": "addition", "mul": "multiplication", "cat": "concatenation",
    "max_pool2d": "maximum pooling", "avg_pool2d": "average pooling", "mean": "average", "amax": "maximum",
    "conv2d": "convolution", "batch_norm": "batch normalisation", "layer_norm": "layer normalisation",
    "softmax": "softmax", "log_softmax": "log-softmax", "scaled_dot_product_attention": "attention",
    "adaptive_avg_pool2d": "average pooling", "adaptive_max_pool2d": "maximum pooling", "interpolate": "resampling",
}  # fmt: skip


def _named(name: str) -> str:
    """What a function does, in words."""
    function = function_of(name)
    return _WORDS.get(function, function.replace("_", " "))


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
