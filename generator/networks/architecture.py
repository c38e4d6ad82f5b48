"""The networks of the report: SmallCNN, AlexNet, and any nn.Module by its dotted name.

Images go in as (N, 3, S, S) float32 normalised by `normalise`; logits (N, K) come out.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import AlexNet

from generator.base.errors import InputError
from generator.networks.alexnet import alexnet
from generator.networks.small_cnn import SmallCNN

# The first kernels start at this share of He's scale.
FIRST_KERNELS = 0.1

# Of logits; the difference of two of them, times any temperature, is then a number in float32 too.
LARGEST_LOGIT = 1e30


def initialise(network: nn.Module, seed: int) -> nn.Module:
    """He initialisation of all convolutions and linear layers (He et al. 2015, arXiv:1502.01852), in place, seeded.

    The last linear layer starts small, so that the first loss is ln K; and the first kernels, so that what is seen of
    them in the end was learnt: noise of their start would otherwise still be there after the training.
    """
    generator = torch.Generator().manual_seed(seed)
    weighted = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    for module in weighted:
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    nn.init.normal_(weighted[-1].weight, std=0.01, generator=generator)
    with torch.no_grad():
        weighted[0].weight.mul_(FIRST_KERNELS)
    return network


def named(path: str) -> Callable[..., nn.Module]:
    """The constructor that a dotted name like "torchvision.models:resnet18" or "my_nets:Net" means."""
    module, _, attribute = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise InputError(
            f"architecture {path!r}: expected the form package.module:name of something importable ({error})"
        ) from error
    if not callable(found):
        raise InputError(f"architecture {path!r}: expected a class or function that makes an nn.Module")
    constructor: Callable[..., nn.Module] = found
    return constructor


def construct(architecture: str, classes: int, **shape: Any) -> nn.Module:
    """A network by the name that its record gives: "SmallCNN", "AlexNet", or package.module:name.

    Args:
        shape: what SmallCNN is told besides: widths, depths, kernel, pool.

    Raises:
        InputError: where the name leads nowhere, or to something that makes no network of `num_classes` classes.
    """
    if architecture == "SmallCNN":
        return SmallCNN(classes, **shape)
    if architecture == "AlexNet":
        found: nn.Module = alexnet(classes)
        return found
    try:
        made = named(architecture)(num_classes=classes)
    except TypeError as error:
        raise InputError(f"architecture {architecture!r}: expected to be called with num_classes ({error})") from error
    if not isinstance(made, nn.Module):
        raise InputError(
            f"architecture {architecture!r}: expected an nn.Module from num_classes, got {type(made).__name__}"
        )
    return made


def require_finite(logits: Tensor, network: nn.Module) -> None:
    """Whether answers (N, K) can be compared and made probabilities.

    Raises:
        InputError: where one of them is NaN, infinite or nearly so.
    """
    whole = (logits.abs() <= LARGEST_LOGIT).all(1)
    if not whole.all():
        raise InputError(
            f"{type(network).__name__}: expected finite logits, found NaN, infinity or more than {LARGEST_LOGIT:.0e} "
            f"for {int((~whole).sum())} of {len(logits)} images, though its weights are finite: the training "
            "diverged, or the weights are not of this network; train it again or name another file of weights"
        )


def stages(network: nn.Module) -> list[str]:
    """Dotted names of the layers whose output the feature-map page shows: the end of each stage.

    A stage ends at a max pooling or at the last module before the resolution changes or the features end.
    """
    features = getattr(network, "features", None)
    if isinstance(network, SmallCNN):
        return list(network.stages)
    if isinstance(network, AlexNet):
        return ["features.2", "features.5", "features.7", "features.9", "features.12"]
    if isinstance(features, nn.Sequential):
        return [f"features.{name}" for name, module in features.named_children() if isinstance(module, nn.MaxPool2d)]
    return [name for name, module in network.named_children() if any(True for _ in module.parameters())][:-1]


def target_layer(network: nn.Module) -> str | None:
    """The layer that the report explains a network at where none is named; None: as `explain.choose_layer` chooses."""
    if isinstance(network, SmallCNN):
        return network.stages[-1]
    return None
