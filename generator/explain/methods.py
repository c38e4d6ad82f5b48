"""The one list of the methods of explaining: what each asks of a network, what it costs, and who proposed it.

Each takes (model, (N, C, H, W) normalised images, (N,) targets, layer) and gives (N, h, w) raw maps >= 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from generator import explain
from generator.base.errors import InputError, in_short
from generator.explain.cam import LayerGradients
from generator.explain.gradients import STEPS
from generator.explain.occlusion import positions
from generator.explain.rise import MASKS
from generator.explain.targets import Targets

OCCLUSION = "occlusion"

# (model, (N, C, H, W) normalised images, targets of each, layer) -> (N, h, w) raw maps >= 0
Method = Callable[[nn.Module, Tensor, Any, str | None], Tensor]

Asks = Literal["layer", "attention", "gradients"]  # of none of them: its answers alone
_BACK = 3  # a pass there and back, in forward passes


@dataclass(frozen=True)
class Explainer:
    """A method of explaining, which is called as `Method` says."""

    name: str  # that pages show
    source: str
    function: Method
    asks: frozenset[Asks]
    passes: Callable[[tuple[int, int], int], int]  # for one image of (H, W), at a layer of so many channels
    usual: bool = True  # whether it is asked where nobody says which
    shared: Callable[[LayerGradients], Tensor] | None = None  # the same from what one pass gave for several methods
    trial: Method | None = None  # what asks the same of a network, of which one image tells whether it can, for less

    def __call__(self, model: nn.Module, images: Tensor, targets: Targets, layer: str | None) -> Tensor:
        """(N, h, w) raw maps >= 0."""
        return self.function(model, images, targets, layer)


def _attention_rollout(model: nn.Module, images: Tensor, targets: Targets, _layer: str | None) -> Tensor:
    return explain.attention_rollout(model, images, targets)


def _legrad(model: nn.Module, images: Tensor, targets: Targets, _layer: str | None) -> Tensor:
    return explain.legrad(model, images, targets)


def _occlusion(model: nn.Module, images: Tensor, targets: Targets, _layer: str | None) -> Tensor:
    return explain.occlude(model, images, targets).drop


def _rise(model: nn.Module, images: Tensor, targets: Targets, _layer: str | None) -> Tensor:
    return explain.rise(model, images, targets)


def _guided_backprop(model: nn.Module, images: Tensor, targets: Targets, _layer: str | None) -> Tensor:
    return explain.guided_backprop(model, images, targets).abs().sum(1)


def _integrated_gradients(model: nn.Module, images: Tensor, targets: Targets, _layer: str | None) -> Tensor:
    return explain.integrated_gradients(model, images, targets).abs().sum(1)


def _one_point(model: nn.Module, images: Tensor, targets: Targets, _layer: str | None) -> Tensor:
    return explain.integrated_gradients(model, images, targets, steps=1).abs().sum(1)


def _asks(*what: Asks) -> frozenset[Asks]:
    return frozenset(what)


def _once(_size: tuple[int, int], _channels: int) -> int:
    return _BACK


_LAYER = _asks("layer", "gradients")
_ATTENTION = _asks("attention", "gradients")
# The first is the one that the report explains with.
_ALL = (
    Explainer(
        "Grad-CAM",
        "Selvaraju et al. 2017, arXiv:1610.02391",
        explain.grad_cam,
        _LAYER,
        _once,
        shared=LayerGradients.grad_cam,
    ),
    Explainer(
        "Grad-CAM++",
        "Chattopadhay et al. 2018, arXiv:1710.11063",
        explain.grad_cam_plus_plus,
        _LAYER,
        _once,
        shared=LayerGradients.grad_cam_plus_plus,
    ),
    Explainer(
        "LayerCAM", "Jiang et al. 2021, IEEE TIP 30", explain.layer_cam, _LAYER, _once, shared=LayerGradients.layer_cam
    ),
    Explainer(
        "Score-CAM", "Wang et al. 2020, arXiv:1910.01279", explain.score_cam, _asks("layer"), lambda _size, count: count
    ),
    Explainer("attention rollout", "Chefer et al. 2021, arXiv:2103.15679", _attention_rollout, _ATTENTION, _once),
    Explainer("LeGrad", "Bousselham et al. 2024, arXiv:2404.03214", _legrad, _ATTENTION, _once, False),
    Explainer(
        OCCLUSION,
        "Zeiler and Fergus 2013, arXiv:1311.2901",
        _occlusion,
        _asks(),
        lambda size, _count: positions(size),
    ),
    Explainer("RISE", "Petsiuk et al. 2018, arXiv:1806.07421", _rise, _asks(), lambda _size, _count: MASKS, False),
    Explainer(
        "guided backprop", "Springenberg et al. 2015, arXiv:1412.6806", _guided_backprop, _asks("gradients"), _once
    ),
    Explainer(
        "integrated gradients",
        "Sundararajan et al. 2017, arXiv:1703.01365",
        _integrated_gradients,
        _asks("gradients"),
        lambda _size, _count: _BACK * STEPS * 5 // 4,  # some images need more: about a quarter as many again
        trial=_one_point,
    ),
)
METHODS: Mapping[str, Explainer] = MappingProxyType({method.name: method for method in _ALL})

# Those that look at the maps of a layer.
OF_LAYERS = tuple(method.name for method in _ALL if "layer" in method.asks)


def named(names: Iterable[str]) -> dict[str, Explainer]:
    """The methods of these names, in their order.

    Raises:
        InputError: where there is none of a name.
    """
    found = {}
    for name in names:
        if name not in METHODS:
            plain = {method.casefold(): method for method in METHODS}
            near = get_close_matches(name.casefold(), plain, n=1, cutoff=0.5)
            told = f"; nearest: {plain[near[0]]}" if near else ""
            raise InputError(f"[explain] methods: expected names among {', '.join(METHODS)}, got {name!r}{told}")
        found[name] = METHODS[name]
    return found


def usual() -> dict[str, Explainer]:
    """The methods that are asked where nobody says which."""
    return {name: method for name, method in METHODS.items() if method.usual}


def suited(
    model: nn.Module,
    images: Tensor,
    layer: str | None,
    methods: Mapping[str, Explainer] | None = None,
    no_layer: str = "",
) -> tuple[dict[str, Explainer], dict[str, str]]:
    """The methods that can explain a model, and by the names of the others why they cannot.

    Args:
        images: (N, C, H, W) normalised; methods that take gradients are tried on the first.
        methods: those that are asked for; None: the usual ones, of which those that look at attention are passed over
            in silence where there is none.
        no_layer: why there is no layer whose maps could be looked at; "": there is one.
    """
    able: dict[str, Explainer] = {}
    why_not: dict[str, str] = {}
    for name, method in (usual() if methods is None else methods).items():
        reason = no_layer if "layer" in method.asks else ""
        if not reason and "gradients" in method.asks:
            reason = failure(method.trial or method, model, images, layer)
        if not reason:
            able[name] = method
        elif methods is not None or "attention" not in method.asks:
            why_not[name] = reason
    return able, why_not


def blind(
    model: nn.Module,
    images: Tensor,
    why: str,
    methods: Mapping[str, Explainer] | None = None,
    gradients: bool = True,
) -> tuple[dict[str, Explainer], dict[str, str]]:
    """As `suited`, of a model that nobody can look into: the methods that ask for answers and their gradients alone.

    Args:
        gradients: whether there are any.
    """
    asked = usual() if methods is None else methods
    black = ("integrated gradients", OCCLUSION, "RISE") if gradients else (OCCLUSION, "RISE")
    outside = {name: method for name, method in asked.items() if name in black}
    able, why_not = suited(model, images, None, outside)
    missing = [
        name for name in asked if name not in able and (methods is not None or "attention" not in asked[name].asks)
    ]
    return able, {name: why_not.get(name, why) for name in missing}


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
    return METHODS[name].passes(size, channels)


def left_out(why_not: Mapping[str, str]) -> list[str]:
    """Which methods cannot explain a model, and why: a sentence a reason, for what `suited` found."""
    said = []
    for reason in dict.fromkeys(why_not.values()):
        *others, last = [name for name in why_not if why_not[name] == reason]
        names = f"{', '.join(others)} and {last} are" if others else f"{last} is"
        said.append(f"{names[:1].upper()}{names[1:]} left out: {reason}.")
    return said
