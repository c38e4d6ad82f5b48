"""AlexNet as torchvision defines it, for smaller images than ImageNet's too."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from generator.networks.architecture import Architecture, Official
from generator.networks.recipes import LARGER, MILD, STRONG, USUAL
from generator.records.input import Input, square
from generator.records.recipe import Recipe

GRID = 3  # of the pooled features while it trains on images of 128 pixels, see `alexnet`
HIDDEN = 4096  # outputs of each linear layer but the last
STAGES = ("features.2", "features.5", "features.7", "features.9", "features.12")


class AlexNet(nn.Module):
    """The network of Krizhevsky 2014 (arXiv:1404.5997), module by module as torchvision has it.

    It is written out here because importing torchvision takes as long as importing torch.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(0.5),
            nn.Linear(256 * 6 * 6, HIDDEN),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(HIDDEN, HIDDEN),
            nn.ReLU(inplace=True),
            nn.Linear(HIDDEN, classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) float32 -> logits (N, K)."""
        maps = self.avgpool(self.features(images))
        logits: Tensor = self.classifier(torch.flatten(maps, 1))
        return logits


def alexnet(classes: int, grid: int = 6) -> AlexNet:
    """torchvision's AlexNet (Krizhevsky 2014, arXiv:1404.5997), without weights.

    With `grid` 3 the pooled features are 3x3 instead of 6x6 and the first linear layer has a quarter of the weights:
    128-pixel images give 3x3 features, which the 6x6 pooling only repeats. `widen` turns such weights into exactly
    equivalent ones of the full architecture.
    """
    network = AlexNet(classes)
    if grid != 6:
        network.avgpool = nn.AdaptiveAvgPool2d(grid)
        network.classifier[1] = nn.Linear(256 * grid * grid, HIDDEN)
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


PRESETS: Mapping[str, Recipe] = {
    "default": Recipe(
        epochs=14,
        augmentation=USUAL,
        mild=MILD,
        tail=0.2,
        sizes=((0, 96), (0.7, 128)),
        learning_rate=6e-4,
        betas=(0.9, 0.99),
        average=0.99,
        prune=0.75,
        enlarged=9 / 8,
    ),
    "best": Recipe(
        epochs=80,
        augmentation=STRONG,
        mild=LARGER,
        tail=0.15,
        sizes=((0, 96), (0.7, 128)),
        learning_rate=8e-4,
        betas=(0.9, 0.99),
        weight_decay=0.1,
        warm_up=0.08,
        prune=0.75,
        enlarged=9 / 8,
    ),
    # From the weights of "best", by SmallCNN's answers.
    "distilled": Recipe(
        epochs=16,
        augmentation=STRONG,
        mild=LARGER,
        tail=0.2,
        sizes=((0, 96), (0.4, 128)),
        learning_rate=4e-4,
        betas=(0.9, 0.99),
        weight_decay=0.1,
        warm_up=0.08,
        smoothing=0.0,
        prune=0.75,
        enlarged=9 / 8,
        distillation=0.8,
    ),
}


def official() -> Official:
    """torchvision's weights of ImageNet; the name of their file carries the first digits of its sha256."""
    from torchvision.models import AlexNet_Weights

    weights = AlexNet_Weights.IMAGENET1K_V1
    return Official(
        url=str(weights.url),
        size=244_408_911,
        sha256=str(weights.url).rsplit("-", 1)[1].removesuffix(".pth"),
        class_names=tuple(weights.meta["categories"]),
        input=Input((224, 224), 256),
        name="IMAGENET1K_V1",
    )


ALEXNET = Architecture(
    name="AlexNet",
    title="AlexNet",
    construct=alexnet,
    input=square(128),
    purpose="torchvision's AlexNet (Krizhevsky 2014, arXiv:1404.5997) with as many outputs as there are classes",
    presets=PRESETS,
    stages=lambda network: STAGES,
    shape=lambda recipe: {"grid": GRID},
    converted=lambda weights, shape: widen(weights, shape["grid"]),
    stored=("grid",),
    trained_only=("grid",),
    official=official,
)
