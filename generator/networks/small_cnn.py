"""SmallCNN: four stages of 3 x 3 convolutions, the founding case's own network."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

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
