"""What may be wrong with images, targets, layer names and a model's outputs, found once for all methods.

Mistakes of the calling code are a ValueError; what a user of the report can have named wrongly is an InputError.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from generator.base.errors import InputError

Targets = Tensor | Sequence[int] | None  # a class for each image; None: the class that the model predicts


def check_images(images: Tensor) -> None:
    """Images are (N, C, H, W) and floating point."""
    if images.dim() != 4 or not images.is_floating_point():
        raise ValueError(f"images: expected (N, C, H, W) float, normalised; got {shape_text(images)} {images.dtype}")


def check_targets(targets: Targets, count: int) -> Tensor | None:
    """What can be seen of the targets before the model has run."""
    if targets is None:
        return None
    wanted = targets if isinstance(targets, Tensor) or len(targets) else torch.empty(0, dtype=torch.int64)
    wanted = torch.as_tensor(wanted)
    if wanted.is_floating_point() or wanted.dtype == torch.bool or wanted.shape != (count,):
        raise ValueError(
            f"targets: expected one class index for each of {count} images, got {shape_text(wanted)} {wanted.dtype}"
        )
    return wanted


def check_positive(**numbers: int) -> None:
    """Sizes and counts are at least 1."""
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name}: expected at least 1, got {number}")


def check_logits(output: Any, count: int) -> Tensor:
    """A model's output, if it is (N, K)."""
    if isinstance(output, Tensor) and output.dim() == 2 and len(output) == count:
        return output
    raise InputError(f"model: expected logits (N, K) = ({count}, K), got {shape_text(output)}")


def classes_of(targets: Tensor | None, logits: Tensor) -> Tensor:
    """(N,) int64 where the logits are: the targets, or the predicted classes."""
    if targets is None:
        return logits.detach().argmax(1)
    classes = logits.shape[1]
    outside = [target for target in targets.tolist() if not 0 <= target < classes]
    if outside:
        raise ValueError(f"targets: expected class indices from 0 to {classes - 1}, got {outside[0]}")
    return targets.to(logits.device, torch.int64)


def check_maps(layer: str, output: Any, count: int) -> Tensor:
    """A layer's output, if it is (N, C, h, w)."""
    if isinstance(output, Tensor) and output.dim() == 4 and len(output) == count:
        return output
    raise InputError(f"layer {layer!r}: expected feature maps ({count}, C, h, w), got {shape_text(output)}")


def module_named(model: nn.Module, layer: str) -> nn.Module:
    """The module of that dotted name, or an InputError with the nearest names."""
    modules: dict[str, nn.Module] = dict(model.named_modules(remove_duplicate=False))
    if layer not in modules:
        near = get_close_matches(layer, modules, n=3, cutoff=0.4)
        named = f"nearest: {', '.join(near)}" if near else f"the outermost: {', '.join(dict(model.named_children()))}"
        raise InputError(f"layer: expected a module's dotted name, got {layer!r}; {named}")
    return modules[layer]


def idle(layer: str) -> InputError:
    """The error for a layer that a forward pass does not reach."""
    return InputError(f"layer {layer!r} does not run in the model's forward pass; name one that does")


def shape_text(value: Any) -> str:
    """A tensor's shape, or what it is instead of a tensor."""
    return str(tuple(value.shape)) if isinstance(value, Tensor) else f"a {type(value).__name__}"
