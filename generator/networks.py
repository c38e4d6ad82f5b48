"""The networks of the report: SmallCNN, AlexNet, and any nn.Module by its dotted name.

Images go in as (N, 3, S, S) float32 normalised by `normalise`; logits (N, K) come out.
"""

from __future__ import annotations

import importlib
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import AlexNet

from generator.errors import InputError

# ImageNet's statistics, which torchvision's weights expect; Tiny ImageNet's own differ by less than 0.03.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

WIDTHS = (48, 96, 192, 320)

# The first kernels start at this share of He's scale.
FIRST_KERNELS = 0.1

# Of logits; the difference of two of them, times any temperature, is then a number in float32 too.
LARGEST_LOGIT = 1e30

# How torch says that memory ran out: on GPUs, on the CPU of Linux and macOS, of Windows, in cuBLAS and in cuDNN.
NO_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "_STATUS_ALLOC_FAILED",
    "ALLOCATION_FAILED",
)
# What helps where the batch cannot be made smaller.
OTHERS = "close what else uses it (with CUDA_VISIBLE_DEVICES=-1 the GPU is left out)"


class SmallCNN(nn.Module):
    """A plain convolutional network: stages of convolutions, global max pooling, one linear layer.

    Each convolution is followed by batch norm and ReLU; all stages but the last halve the resolution by max pooling
    after their first convolution, so that with four stages the last maps are 8x8 for 64x64 images and a class
    activation map can point. The first kernels are 5x5, large enough to be looked at, the others 3x3. Pooling stands
    before batch norm: maximum and a monotone map commute where the scale is positive, and a quarter of the work is
    left.

    Global max pooling (Oquab et al. 2015, "Is object localization for free?") asks of each channel that it fire
    somewhere, not everywhere; `pool` "average" makes the head of Lin et al. 2014 (arXiv:1312.4400) instead, with which
    Grad-CAM of the last layer is CAM (Zhou et al. 2016).

    Args:
        widths: channels of each stage.
        depths: convolutions of each stage; (): one in the first, two in each other.
    """

    def __init__(
        self,
        classes: int = 30,
        widths: Sequence[int] = WIDTHS,
        kernel: int = 5,
        pool: str = "max",
        dropout: float = 0.3,
        depths: Sequence[int] = (),
    ) -> None:
        super().__init__()
        depths = depths or (1,) + (2,) * (len(widths) - 1)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        number, channels = 0, 3
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            for convolution in range(depth):
                number += 1
                side = kernel if number == 1 else 3
                layers[f"conv{number}"] = nn.Conv2d(channels, width, side, padding=side // 2, bias=False)
                if convolution == 0 and stage < len(widths) - 1:
                    layers[f"pool{number}"] = nn.MaxPool2d(2)
                layers[f"bn{number}"] = nn.BatchNorm2d(width)
                layers[f"relu{number}"] = nn.ReLU(inplace=True)
                channels = width
        self.stages = [f"features.relu{sum(depths[:stage])}" for stage in range(1, len(depths) + 1)]
        self.features = nn.Sequential(layers)
        self.head = nn.Sequential(
            OrderedDict(
                pool=nn.AdaptiveMaxPool2d(1) if pool == "max" else nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                dropout=nn.Dropout(dropout),
                linear=nn.Linear(channels, classes),
            )
        )

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, S, S) float32 -> logits (N, K)."""
        logits: Tensor = self.head(self.features(images))
        return logits


def alexnet(classes: int, grid: int = 6) -> AlexNet:
    """torchvision's AlexNet (Krizhevsky 2014, arXiv:1404.5997), without weights.

    With `grid` 3 the pooled features are 3x3 instead of 6x6 and the first linear layer has a quarter of the weights:
    128-pixel images give 3x3 features, which the 6x6 pooling only repeats. `widen` turns such weights into exactly
    equivalent ones of the full architecture.
    """
    network = AlexNet(num_classes=classes)
    if grid != 6:
        network.avgpool = nn.AdaptiveAvgPool2d(grid)
        network.classifier[1] = nn.Linear(256 * grid * grid, 4096)
    return network


def widen(state: Mapping[str, Tensor], grid: int = 3) -> dict[str, Tensor]:
    """AlexNet's weights for `grid` x `grid` features as weights of the full 6x6 architecture, the same function.

    Each cell's weight is shared equally by the cells that repeat it.
    """
    widened = dict(state)
    weight = state["classifier.1.weight"]
    repeat = 6 // grid
    cells = weight.view(weight.shape[0], 256, grid, grid)
    cells = cells.repeat_interleave(repeat, 2).repeat_interleave(repeat, 3) / repeat**2
    widened["classifier.1.weight"] = cells.reshape(weight.shape[0], -1)
    return widened


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


def pass_on(network: SmallCNN) -> SmallCNN:
    """Let all convolutions but the first start by passing on what comes in, in place.

    In as many channels as both sides have, enlarged as He's kernels would enlarge it (by the root of 2); the other
    channels stay as they are. The kernels are those of `torch.nn.init.dirac_`, used so by Jordan 2024
    (arXiv:2404.00498). Runs of 14 epochs end a point higher.
    """
    convolutions = [module for module in network.features if isinstance(module, nn.Conv2d)]
    with torch.no_grad():
        for convolution in convolutions[1:]:
            both = min(convolution.weight.shape[:2])
            nn.init.dirac_(convolution.weight[:both]).mul_(math.sqrt(2))
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


def scale_and_shift(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """What batch norm with running statistics multiplies by and adds in eval mode, each (C,) float64."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.affine:
        scale = scale * norm.weight.double()
    shift = -norm.running_mean.double() * scale
    return scale, shift + norm.bias.double() if norm.affine else shift


@contextmanager
def in_eval_mode(network: nn.Module) -> Iterator[None]:
    """Eval mode; afterwards each module's own mode again, which may differ from its parent's."""
    # TorchScript that was frozen has no modes.
    modes = [(module, module.training) for module in network.modules() if hasattr(module, "training")]
    try:
        for module, _ in modes:
            module.training = False
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def memory_explained(batch: int, advice: str = OTHERS) -> Iterator[None]:
    """Memory that runs out inside as one line with its mend; any other error as it is."""
    try:
        yield
    except RuntimeError as error:  # torch has no common class for it
        if any(words in str(error) for words in NO_MEMORY):
            raise InputError(f"out of memory with batches of {batch}; {advice}") from error
        raise


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


def fitted(images: Tensor, size: int, resize: int | None = None) -> Tensor:
    """Images of one size as a network is given them: `photos.square` for a whole batch.

    Args:
        images: (N, 3, H, H) uint8.
        size: side of the result; cut from the centre after the side was brought to `resize`.
    Returns:
        (N, 3, size, size) uint8. torch's antialiased uint8 resampling is Pillow's to the last bit for the doubling that
        AlexNet needs (64 to 128 and to 256 pixels), and within two levels elsewhere.
    """
    resize = resize or size
    if images.shape[-1] != resize:
        images = F.interpolate(images, size=(resize, resize), mode="bilinear", align_corners=False, antialias=True)
    start = round((resize - size) / 2)
    return images[..., start : start + size, start : start + size]


def normalise(images: Tensor) -> Tensor:
    """uint8 (N, 3, H, W), or float32 in [0, 255], -> float32 with ImageNet's mean 0 and standard deviation 1."""
    mean = torch.tensor(MEAN, device=images.device).view(1, 3, 1, 1) * 255
    std = torch.tensor(STD, device=images.device).view(1, 3, 1, 1) * 255
    return (images.float() - mean) / std
