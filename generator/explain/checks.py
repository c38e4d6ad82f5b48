"""What may be wrong with a model, images, targets, layer names and a model's outputs, found once for all methods.

Mistakes of the calling code are a ValueError; what a user of the report can have named wrongly is an InputError.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin

from generator.base.errors import InputError
from generator.explain.outputs import unfound


def check_model(model: Any) -> None:
    """It is a module, and has its parameters."""
    if not isinstance(model, nn.Module):
        raise ValueError(f"model: expected an nn.Module, got a {type(model).__name__}")
    for module in model.modules():
        if isinstance(module, LazyModuleMixin) and module.has_uninitialized_params():
            raise InputError(
                f"model: expected one that has its parameters; its {type(module).__name__} makes them in its first "
                "pass: load its weights, or run it once"
            )


def check_images(images: Any) -> None:
    """Images are (N, C, H, W) and floating point."""
    if not isinstance(images, Tensor) or images.dim() != 4 or not images.is_floating_point():
        kind = f" {images.dtype}" if isinstance(images, Tensor) else ""
        raise ValueError(f"images: expected (N, C, H, W) float, normalised; got {shape_text(images)}{kind}")


def check_positive(**numbers: int) -> None:
    """Sizes and counts are at least 1."""
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name}: expected at least 1, got {number}")


def check_logits(output: Any, images: Tensor) -> Tensor:
    """A model's output for the images, if it is (N, K) and finite."""
    count = len(images)
    if not isinstance(output, Tensor):
        raise InputError(f"model: expected logits (N, K) = ({count}, K), it gives {unfound(output)}")
    if output.dim() != 2 or len(output) != count or not output.shape[1]:
        raise InputError(f"model: expected logits (N, K) = ({count}, K), got {shape_text(output)}")
    if not output.is_floating_point():
        raise InputError(f"model: expected logits, floating-point numbers; got {output.dtype}")
    if not output.detach().isfinite().all():
        if not images.detach().isfinite().all():
            raise InputError("images: expected finite numbers, got some that are nan or inf")
        raise InputError("model: expected finite logits, got some that are nan or inf; look for nan among its weights")
    return output


def check_finite(maps: Tensor, layer: str = "") -> Tensor:
    """Maps or gradients as they are, if they are finite, as they need not be where the logits are."""
    if not maps.isfinite().all():
        where = f"layer {layer!r}: its values or the gradients" if layer else "model: the gradients"
        raise InputError(f"{where} of the logits by them are nan or inf, so that there is nothing to show")
    return maps


def check_maps(layer: str, output: Any, count: int, runs: int = 1) -> Tensor:
    """A layer's output, if it is (N, C, h, w), (N, h, w, C) or (N, T, C)."""
    of = f" from the last of its {runs} runs" if runs > 1 else ""
    if not isinstance(output, Tensor) or output.dim() not in (3, 4) or len(output) != count:
        raise InputError(f"layer {layer!r}: expected feature maps ({count}, C, h, w){of}, got {shape_text(output)}")
    if output.layout != torch.strided or not (output.is_floating_point() or output.is_quantized):
        raise InputError(f"layer {layer!r}: expected feature maps of floating-point numbers{of}, got {output.dtype}")
    return output


def module_named(model: nn.Module, layer: Any) -> nn.Module:
    """The module of that dotted name, or an InputError with the nearest names."""
    if not isinstance(layer, str):
        name = next((repr(name) for name, module in model.named_modules() if module is layer), "")
        raise ValueError(
            f"layer: expected a module's dotted name, got a {type(layer).__name__}{name and f', whose name is {name}'}"
        )
    if isinstance(model, torch.jit.ScriptModule):
        raise scripted("model")
    try:
        module = model.get_submodule(layer)
    except AttributeError:
        near = get_close_matches(layer, dict(model.named_modules(remove_duplicate=False)), n=3, cutoff=0.4)
        named = f"nearest: {', '.join(near)}" if near else f"the outermost: {', '.join(dict(model.named_children()))}"
        raise InputError(f"layer: expected a module's dotted name, got {layer!r}; {named}") from None
    if isinstance(module, torch.jit.ScriptModule):
        raise scripted(f"layer {layer!r}")
    return module


def check_unscripted(model: nn.Module) -> None:
    """No part of the model is TorchScript, which does not show what happens within it."""
    check_model(model)
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise scripted(f"layer {name!r}" if name else "model")


def scripted(what: str) -> InputError:
    """The error for a module that torch.jit made."""
    return InputError(
        f"{what}: it is TorchScript (torch.jit), which has no hooks to look inside; take the nn.Module that it was "
        "made from, or explain it with occlude or integrated_gradients, which need none"
    )


def idle(layer: str) -> InputError:
    """The error for a layer that a forward pass does not reach."""
    return InputError(f"layer {layer!r} does not run in the model's forward pass; name one that does")


def shape_text(value: Any) -> str:
    """A tensor's shape, or what it is instead of a tensor."""
    return str(tuple(value.shape)) if isinstance(value, Tensor) else f"a {type(value).__name__}"
