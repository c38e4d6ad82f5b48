"""The layers of a network: their names and order, what each does, what a pass costs, and which layer to explain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from generator.base.errors import InputError
from generator.explain.checks import check_images, check_unscripted
from generator.explain.flops import FLOPS, Counted
from generator.explain.passes import IDENTITIES, POOLINGS, blank, evaluating, runnable


def convolutions(model: nn.Module) -> list[str]:
    """Dotted names of all 2-d convolutions as the model registers them, which is usually their order in its forward."""
    return [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]


def choose_layer(model: nn.Module, images: Tensor) -> str:
    """The layer to explain where none is named: the last convolution's maps, rectified but not pooled.

    Of the modules that run after the last convolution with more than one cell, the last with maps of the same size that
    neither pools nor leaves them as they are: "features.11" of torchvision's AlexNet, "layer4" of its ResNets. Of a
    module that runs more than once, only the last run counts, as only that one is explained.
    Selvaraju et al. 2017 found the last convolutional layer to localise best (arXiv:1610.02391, section 4).

    Args:
        images: (N, C, H, W) float, as the model takes them; the first is run.
    Raises:
        InputError: if no convolution runs that gives maps of more than one cell, or what follows it is no head but goes
            on over tokens or maps with their channels last, as transformers do.
    """
    check_images(images)
    check_unscripted(model)
    with evaluating(model):
        calls = _last_runs(_calls(model, images[:1]))
    maps = [call for call in calls if call.single and len(call.shape) == 4 and call.shape[2] * call.shape[3] > 1]
    last = max((i for i, call in enumerate(maps) if isinstance(call.module, nn.Conv2d)), default=None)
    if last is None:
        raise InputError(
            "layer: the model runs no 2-d convolution (nn.Conv2d) that gives maps of more than one cell; name a layer"
        )
    size = maps[last].shape[2:]
    following = [call for call in maps[last:] if not isinstance(call.module, POOLINGS + IDENTITIES)]
    chosen = [call for call in following if call.name and call.shape[2:] == size][-1]
    beyond = next((call for call in calls[calls.index(chosen) + 1 :] if _goes_on(call)), None)
    if beyond is not None:
        raise InputError(
            f"layer: after its last convolution, {maps[last].name!r}, the model goes on over its cells in "
            f"{beyond.name!r} ({type(beyond.module).__name__}), as transformers do, so that this convolution's maps "
            "would not show where it looks; name a layer, or use occlude or integrated_gradients"
        )
    return chosen.name


def _last_runs(calls: Sequence[_Call]) -> list[_Call]:
    """Of each module its last run, in the order in which they end."""
    last = {call.module: place for place, call in enumerate(calls)}
    return [call for place, call in enumerate(calls) if last[call.module] == place]


def _goes_on(call: _Call) -> bool:
    """Whether a module with weights gave tokens (N, T, D), or maps (N, h, w, C), of more than one cell."""
    shape, weights = call.shape, [weight.shape[:1] for weight in call.module.parameters(recurse=False)]
    if len(shape) == 3:
        return bool(weights) and shape[1] > 1
    last = bool(weights) and shape[-1:] in weights and shape[1:2] not in weights
    return len(shape) == 4 and last and math.prod(shape[1:3]) > 1


def summary(model: nn.Module, input_shape: Sequence[int]) -> tuple[tuple[str, str, str], ...]:
    """The architecture as rows (layer, what it does, output shape without the batch) in the order of a forward pass.

    A row stands for each run of a module that runs no other; of several outputs it has the first one's shape.

    Args:
        input_shape: (C, H, W) of one image.
    Raises:
        InputError: if a part of it is TorchScript.
    """
    check_unscripted(model)
    with evaluating(model):
        calls = _calls(model, blank(model, input_shape))
    return tuple(
        (call.name, _describe(call.module), " × ".join(map(str, call.shape[1:]))) for call in calls if call.alone
    )


def macs(model: nn.Module, input_shape: Sequence[int]) -> int:
    """Multiply-accumulates of all convolutions and matrix products for one image of shape (C, H, W).

    Those of attention and recurrent layers are among them, those of the softmax and other sums are not.

    Raises:
        InputError: if a part of it is TorchScript, or an operation runs of which it is not known how many it needs.
    """
    check_unscripted(model)
    images = blank(model, input_shape)
    counter = FlopCounterMode(display=False, custom_mapping=dict(FLOPS))
    with evaluating(model), counter, Counted():
        model(images)
    return int(counter.get_total_flops()) // 2  # it counts a multiplication and an addition


class _Call(NamedTuple):
    name: str
    module: nn.Module
    shape: tuple[int, ...]  # of the first tensor
    single: bool  # whether the output is that tensor alone
    alone: bool  # whether no other module ran within


def _calls(model: nn.Module, images: Tensor) -> list[_Call]:
    """All calls of modules that return tensors, in the order in which they end."""
    calls: list[_Call] = []
    names = {module: name for name, module in model.named_modules()}
    within: list[bool] = []  # of each module that runs just now, whether another has run in it

    def begin(_module: nn.Module, _args: Any) -> None:
        within[-1:] = [True] * bool(within)
        within.append(False)

    def end(module: nn.Module, _args: Any, output: Any) -> None:
        others = within.pop()
        tensors = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
        if tensors:
            single = isinstance(output, Tensor)
            calls.append(_Call(names[module], module, tuple(tensors[0].shape), single, not others))

    with ExitStack() as hooks:
        for module in runnable(model):
            hooks.enter_context(module.register_forward_pre_hook(begin))
            hooks.enter_context(module.register_forward_hook(end))
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
