"""AlexNet as torchvision defines it, for smaller images than ImageNet's too."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torchvision.models import AlexNet


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
