"""The ways of explaining that the report compares: from a class-activation map to the references it stands beside.

Each takes (model, (N, 3, S, S) normalised images, (N,) targets, layer) and gives (N, h, w) raw maps >= 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from generator import explain
from generator.faithfulness import Method, Sizes
from generator.networks import target_layer

OCCLUSION = "occlusion"


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


def layer_of(network: nn.Module, side: int) -> str:
    """The layer that a network is explained at where none is named.

    Args:
        side: of the images that the network takes.
    """
    return target_layer(network) or explain.choose_layer(network, torch.zeros(1, 3, side, side))


# Enough boxes for an interval of the small ones (a quarter of Tiny ImageNet's), and for the randomisation check a look.
_FEW = Sizes(boxes=72, perturbation=32, randomisation=8)
# These need a forward pass for each channel, each place or each step, so they are measured on fewer images.
COSTLY: Mapping[str, Sizes] = MappingProxyType({"Score-CAM": _FEW, OCCLUSION: _FEW, "integrated gradients": _FEW})
