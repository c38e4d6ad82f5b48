"""What the program knows of an architecture: how it is made, fed, trained, stored and spoken of.

`small_cnn.SMALL_CNN` and `alexnet.ALEXNET` are two of them; `foreign.architecture` makes one of any nn.Module. A new
architecture is one file with such a record, and one line in `catalogue.KNOWN`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from generator.base.errors import InputError
from generator.records.input import Input
from generator.records.network import Origin
from generator.records.recipe import Augmentation, Recipe

# The first kernels start at this share of He's scale.
FIRST_KERNELS = 0.1

# Of logits; the difference of two of them, times any temperature, is then a number in float32 too.
LARGEST_LOGIT = 1e30


@dataclass(frozen=True)
class Official:
    """Weights as their host publishes them, for the classes of ImageNet."""

    url: str
    size: int  # bytes
    sha256: str  # its first digits are enough
    class_names: tuple[str, ...]
    input: Input
    name: str  # as the host calls them: "IMAGENET1K_V1"


def _nothing(network: nn.Module) -> None:
    """A network that starts as it was made."""


def _as_stored(weights: Mapping[str, Tensor], _shape: Mapping[str, Any]) -> Mapping[str, Tensor]:
    return weights


def _as_named(weights: Mapping[str, Tensor], _network: nn.Module) -> Mapping[str, Tensor]:
    return weights


@dataclass(frozen=True)
class Architecture:
    """One kind of network, and what the program does otherwise for it than for another."""

    name: str  # in report.toml and in weights files
    title: str  # on pages, where a network has no title of its own
    construct: Callable[..., nn.Module]  # (classes, **arguments) -> untrained, giving logits (N, classes)
    input: Input  # where neither report.toml nor the weights say another
    purpose: str  # on its model card: "a ... of {} convolutions ..."
    presets: Mapping[str, Recipe]
    # The end of each stage, as dotted names, and the layer that is explained where none is named; None: found out.
    stages: Callable[[nn.Module], Sequence[str]] | None = None
    layer: Callable[[nn.Module], str] | None = None
    # What a recipe says of the network's shape: the constructor's arguments, and what a weights file keeps of them.
    shape: Callable[[Recipe], Mapping[str, Any]] = lambda _recipe: {}
    settings: tuple[str, ...] = ()  # of a recipe that are of this architecture alone
    prepare: Callable[[nn.Module], None] = _nothing  # after `initialise`
    # The weights as the network takes them, from those that lie in a folder beside that shape.
    converted: Callable[[Mapping[str, Tensor], Mapping[str, Any]], Mapping[str, Tensor]] = _as_stored
    stored: tuple[str, ...] = ()  # arguments of the constructor that a weights file keeps, and of these
    trained_only: tuple[str, ...] = ()  # those that `converted` takes out of the network
    official: Callable[[], Official | None] = lambda: None
    usual_for: str = ""  # whose input `input` is where it is that of more networks: "torchvision's networks"
    code: str = ""  # digest of somebody else's code that makes it: another one makes another network
    # Of which of `input`'s fields more is known than what is usual: from where each is, as ("read", "config.json").
    told: Mapping[str, tuple[Origin, str]] = field(default_factory=dict)
    share: float = 0.0  # of the resized image's side that is cut out, as that says; 0: it says none
    class_names: tuple[str, ...] = ()  # what its outputs stand for, where what it is made by says so
    classes_in: str = ""  # the file that does
    # Somebody's weights by the names that the network has for them: (weights, the network without values) -> weights.
    renamed: Callable[[Mapping[str, Tensor], nn.Module], Mapping[str, Tensor]] = _as_named


def made(architecture: Architecture, classes: int, arguments: Mapping[str, Any], source: str) -> nn.Module:
    """An untrained network of so many classes.

    Args:
        source: of the arguments, for a message.
    Raises:
        InputError: where its constructor does not take them.
    """
    try:
        return architecture.construct(classes, **arguments)
    except InputError:
        raise
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise InputError(
            f"{source}: expected arguments that {architecture.title} takes: {' '.join(str(error).split())[:200]}"
        ) from error


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
    if not weighted:
        return network
    nn.init.normal_(weighted[-1].weight, std=0.01, generator=generator)
    with torch.no_grad():
        weighted[0].weight.mul_(FIRST_KERNELS)
    return network


def largest_output(network: nn.Module, shape: tuple[int, int, int]) -> int:
    """How many numbers the largest layer of a network gives for one photo, found without a pass.

    A pass on the device "meta" would tell as much; for that torch loads its compiler and SymPy: 100 MB, and seconds.

    Args:
        network: of modules that run one after the other as they are named, as `catalogue.KNOWN` are.
        shape: (C, H, W) of the photo.
    Raises:
        RuntimeError: where a photo of that shape cannot pass through it.
    """
    given: tuple[int, ...] = shape
    most = 0
    for module in network.modules():
        given = _given(module, given)
        most = max(most, math.prod(given))
    return most


def _given(module: nn.Module, taken: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of what one module gives for one photo; those that are not named here keep it."""
    if isinstance(module, nn.Linear):
        if math.prod(taken) != module.in_features:
            raise RuntimeError(f"a layer for {module.in_features} numbers is given {math.prod(taken)}")
        return (module.out_features,)
    if isinstance(module, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
        return (taken[0], *_pair(module.output_size))
    if not isinstance(module, nn.Conv2d | nn.MaxPool2d):
        return taken
    kernel, stride, padding = map(_pair, (module.kernel_size, module.stride, module.padding))
    rows, columns = (
        (side + 2 * pad - size) // step + 1
        for side, size, step, pad in zip(taken[1:], kernel, stride, padding, strict=True)
    )
    if rows < 1 or columns < 1:
        raise RuntimeError(f"maps of {taken[1]} x {taken[2]} are smaller than what a layer of {kernel} looks at")
    return (module.out_channels if isinstance(module, nn.Conv2d) else taken[0], rows, columns)


def _pair(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)


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


# For any architecture that has no presets of its own.
GENERAL: Mapping[str, Recipe] = {
    "quick": Recipe(
        epochs=4,
        augmentation=Augmentation(area=0.7, flip=True),
        batch=64,
        learning_rate=2e-3,
        average=0.99,
        smoothing=0.05,
    ),
    "default": Recipe(
        epochs=20,
        augmentation=Augmentation(area=0.4, aspect=1.25, flip=True, colour=0.2, grey=0.05, cutmix=0.2),
        mild=Augmentation(area=0.6, aspect=1.15, flip=True, colour=0.1),
        tail=0.25,
        batch=64,
        learning_rate=2e-3,
        average=0.995,
    ),
}
