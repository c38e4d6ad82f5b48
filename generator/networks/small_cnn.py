"""SmallCNN: four stages of 3 x 3 convolutions, the founding case's own network."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from generator.networks.architecture import Architecture
from generator.networks.recipes import SHARP, STRONG, STRONGEST
from generator.records.input import square
from generator.records.recipe import Augmentation, Recipe

WIDTHS = (48, 96, 192, 320)


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


def pass_on(network: nn.Module) -> None:
    """Let all convolutions but the first start by passing on what comes in, in place.

    In as many channels as both sides have, enlarged as He's kernels would enlarge it (by the root of 2); the other
    channels stay as they are. The kernels are those of `torch.nn.init.dirac_`, used so by Jordan 2024
    (arXiv:2404.00498). Runs of 14 epochs end a point higher.
    """
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    with torch.no_grad():
        for convolution in convolutions[1:]:
            both = min(convolution.weight.shape[:2])
            nn.init.dirac_(convolution.weight[:both]).mul_(math.sqrt(2))


PRESETS: Mapping[str, Recipe] = {
    # Half as wide, one convolution a stage, on small photos. In a run this short each further layer costs more
    # than it brings: with the usual seven the same seconds end 5 points lower, and a learning rate of 8e-3 with
    # batches of 128 costs as much again.
    "quick": Recipe(
        epochs=4,
        widths=(24, 48, 96, 192),
        depths=(1, 1, 1, 1),
        augmentation=Augmentation(area=0.7, flip=True),
        sizes=((0, 24), (0.5, 32)),
        batch=64,
        learning_rate=4e-3,
        average=0.99,
        smoothing=0.05,
        dropout=0.0,
    ),
    # 73.5 % of the validation images. One convolution a stage: with a second one in the last stage, and as many
    # epochs fewer, the same seconds end alike; two in three stages and batches of 128 end two points lower.
    "default": Recipe(
        epochs=26,
        widths=(32, 64, 128, 288),
        depths=(1, 1, 1, 1),
        augmentation=Augmentation(area=0.4, aspect=1.25, flip=True, colour=0.2, grey=0.05, cutmix=0.2, unscaled=0.5),
        mild=Augmentation(area=0.6, aspect=1.15, flip=True, colour=0.1, unscaled=0.5),
        tail=0.25,
        sizes=((0, 32), (0.3, 48), (0.6, 64)),
        batch=64,
        learning_rate=4e-3,
        average=0.995,
        dropout=0.0,
    ),
    # 79.3 % of the validation images; `distilled` goes on from there. With windows at every size, CutMix in 70 % of
    # the batches, twice the weight decay and shortcuts that are folded away at the end (RepVGG): 78.3 %.
    "best": Recipe(
        epochs=110,
        augmentation=STRONG,
        mild=SHARP,
        tail=0.2,
        sizes=((0, 32), (0.2, 48), (0.8, 64)),
        warm_up=0.1,
    ),
    # From weights of "best", by the answers of several networks that "best" trained: `--from` and `--teacher`.
    # Teachers say what is left in the picture after a small crop or CutMix, so that both can be stronger.
    "distilled": Recipe(
        epochs=36,
        augmentation=STRONGEST,
        mild=SHARP,
        tail=0.15,
        sizes=((0, 64),),
        learning_rate=2e-3,
        weight_decay=0.1,
        warm_up=0.08,
        distillation=0.8,
    ),
    "one batch": Recipe(
        epochs=60, limit=128, learning_rate=3e-3, smoothing=0, weight_decay=0, average=0, sizes=((0, 64),)
    ),
    "without augmentation": Recipe(epochs=14, sizes=((0, 48),), smoothing=0, average=0.99),
}


def _stages(network: nn.Module) -> list[str]:
    assert isinstance(network, SmallCNN)
    return network.stages


def _shape(recipe: Recipe) -> Mapping[str, Any]:
    return {"widths": recipe.widths or WIDTHS, "depths": recipe.depths, "dropout": recipe.dropout}


SMALL_CNN = Architecture(
    name="SmallCNN",
    title="SmallCNN",
    construct=SmallCNN,
    input=square(64),
    purpose="a plain network of {} convolutions with batch norm, global pooling and one linear layer",
    presets=PRESETS,
    stages=_stages,
    layer=lambda network: _stages(network)[-1],
    shape=_shape,
    settings=("widths", "depths", "dropout"),
    prepare=pass_on,
    stored=("widths", "depths", "kernel", "pool"),
)
