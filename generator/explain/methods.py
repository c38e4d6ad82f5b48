"""The ways of explaining that the report compares: from a class-activation map to the references it stands beside.

Each takes (model, (N, C, H, W) normalised images, (N,) targets, layer) and gives (N, h, w) raw maps >= 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from generator import explain
from generator.base.errors import InputError, in_short
from generator.explain.gradients import STEPS
from generator.explain.occlusion import positions

OCCLUSION = "occlusion"

# (model, (N, C, H, W) normalised images, (N,) targets, layer) -> (N, h, w) raw maps >= 0
Method = Callable[[nn.Module, Tensor, Tensor, str | None], Tensor]


def _occlusion(model: nn.Module, images: Tensor, targets: Tensor, _layer: str | None) -> Tensor:
    return explain.occlude(model, images, targets).drop


def _guided_backprop(model: nn.Module, images: Tensor, targets: Tensor, _layer: str | None) -> Tensor:
    return explain.guided_backprop(model, images, targets).abs().sum(1)


def _integrated_gradients(model: nn.Module, images: Tensor, targets: Tensor, _layer: str | None) -> Tensor:
    return explain.integrated_gradients(model, images, targets).abs().sum(1)


# By the name that pages show; the first is the one that the report explains with.
METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "Grad-CAM": explain.grad_cam,
        "Grad-CAM++": explain.grad_cam_plus_plus,
        "LayerCAM": explain.layer_cam,
        "Score-CAM": explain.score_cam,
        OCCLUSION: _occlusion,
        "guided backprop": _guided_backprop,
        "integrated gradients": _integrated_gradients,
    }
)


# Those that look at the maps of a layer.
OF_LAYERS = ("Grad-CAM", "Grad-CAM++", "LayerCAM", "Score-CAM")
# Those that go without gradients, which can explain whatever answers; each costs many forward passes.
_FORWARD = ("Score-CAM", OCCLUSION)


def suited(
    model: nn.Module, images: Tensor, layer: str | None, methods: Mapping[str, Method] = METHODS, no_layer: str = ""
) -> tuple[dict[str, Method], dict[str, str]]:
    """The methods that can explain a model, and by the names of the others why they cannot.

    Args:
        images: (N, C, H, W) normalised; methods that take gradients are tried on the first.
        no_layer: why there is no layer whose maps could be looked at; "": there is one.
    """
    why_not = {name: no_layer for name in OF_LAYERS if no_layer and name in methods}
    able = {name: method for name, method in methods.items() if name not in why_not}
    for name in [name for name in able if name not in _FORWARD]:
        if reason := failure(able[name], model, images, layer):
            why_not[name] = reason
            del able[name]
    return able, why_not


def blind(model: nn.Module, images: Tensor, why: str) -> tuple[dict[str, Method], dict[str, str]]:
    """As `suited`, of a model that nobody can look into: the methods that ask for answers and their gradients alone."""
    outside = {name: METHODS[name] for name in (OCCLUSION, "integrated gradients")}
    able, why_not = suited(model, images, None, outside)
    return able, {name: why_not.get(name, why) for name in METHODS if name not in able}


def failure(method: Method, model: nn.Module, images: Tensor, layer: str | None) -> str:
    """Why a method cannot explain a model, as a clause: what it raises on the first image; "" where it can."""
    try:
        method(model, images[:1], torch.zeros(1, dtype=torch.int64), layer)
    except InputError as error:
        said = re.sub(r"^layer '(.*?)': ", r"at layer \1, ", str(error).removeprefix("model: "))
        return said.split(";")[0].split(", so that")[0]
    except Exception as error:  # noqa: BLE001 - a network of any make is differentiated here, by whatever it is made of
        return f"it raises {type(error).__name__} on this network ({in_short(error)})"
    return ""


def passes(name: str, size: tuple[int, int], channels: int) -> int:
    """How many forward passes a method's map of one image takes; a pass back counts as two.

    Args:
        size: (H, W) of the image.
        channels: of the layer whose maps are looked at.
    """
    there_and_back = 3
    if name == OCCLUSION:
        return positions(size)
    if name == "Score-CAM":
        return channels
    return there_and_back * (STEPS if name == "integrated gradients" else 1)


def left_out(why_not: Mapping[str, str]) -> list[str]:
    """Which methods cannot explain a model, and why: a sentence a reason, for what `suited` found."""
    said = []
    for reason in dict.fromkeys(why_not.values()):
        *others, last = [name for name in why_not if why_not[name] == reason]
        names = f"{', '.join(others)} and {last} are" if others else f"{last} is"
        said.append(f"{names[:1].upper()}{names[1:]} left out: {reason}.")
    return said
