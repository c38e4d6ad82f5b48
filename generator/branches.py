"""Convolutions that train with two shortcuts beside them and end as plain ones: the same function, learnt better.

Ding et al. 2021, "RepVGG: Making VGG-style ConvNets Great Again" (arXiv:2101.03697): beside each 3x3 convolution stand
a 1x1 convolution and the identity, each with batch norm of its own. All three are linear once training is over, so one
convolution can do the work of all.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generator.networks import SmallCNN, scale_and_shift


class Branched(nn.Module):
    """A convolution with batch norm, and two shortcuts beside it: (N, C, H, W) float32 -> the same shape.

    Args:
        conv: from C to C channels, without bias.
        scale: where batch norm's scale of the shortcuts starts; 0 leaves the convolution alone at first.
    """

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d, generator: torch.Generator, scale: float) -> None:
        super().__init__()
        assert conv.bias is None
        channels = conv.out_channels
        self.conv, self.norm = conv, norm
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.pointwise_norm, self.identity_norm = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        nn.init.kaiming_normal_(self.pointwise.weight, nonlinearity="relu", generator=generator)
        for shortcut in (self.pointwise_norm, self.identity_norm):
            nn.init.constant_(shortcut.weight, scale)

    def forward(self, inputs: Tensor) -> Tensor:
        """The sum of the three, before the ReLU."""
        total: Tensor = (
            self.norm(self.conv(inputs)) + self.pointwise_norm(self.pointwise(inputs)) + self.identity_norm(inputs)
        )
        return total

    def kernel(self) -> tuple[Tensor, Tensor]:
        """The kernels (C, C, K, K) and biases (C,) of the one convolution that does in eval mode what the three do."""
        side = self.conv.kernel_size[0] // 2
        point = F.pad(self.pointwise.weight, (side,) * 4)
        identity = F.pad(torch.eye(self.conv.out_channels, device=point.device)[..., None, None], (side,) * 4)
        kernels, biases = torch.zeros_like(point), torch.zeros_like(self.norm.bias)
        for weight, norm in (
            (self.conv.weight, self.norm),
            (point, self.pointwise_norm),
            (identity, self.identity_norm),
        ):
            scale, shift = scale_and_shift(norm)
            kernels = kernels + weight * scale.view(-1, 1, 1, 1)
            biases = biases + shift
        return kernels.float(), biases.float()


def add(network: SmallCNN, seed: int, scale: float = 1.0) -> SmallCNN:
    """Put shortcuts beside the convolutions with as many channels in as out and batch norm right behind, in place."""
    generator = torch.Generator().manual_seed(seed * 100_003 + 1)  # not the numbers that the first kernels start from
    layers = list(network.features.named_children())
    for (name, conv), (following, norm) in pairwise(layers):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and conv.in_channels == conv.out_channels:
            network.features.set_submodule(name, Branched(conv, norm, generator, scale))
            network.features.set_submodule(following, nn.Identity())
    return network


@torch.no_grad()
def fold(network: SmallCNN, inputs: Tensor) -> SmallCNN:
    """The shortcuts taken into their convolutions, in place: a plain network that is the same function in eval mode.

    Args:
        inputs: (N, 3, S, S) float32 normalised, of the training images. Batch norm after a convolution gets the mean
            and variance that its outputs have on these, and undoes them, so that training can go on from there.
    """
    network.eval()
    for (name, layer), (following, _) in pairwise(list(network.features.named_children())):
        if not isinstance(layer, Branched):
            inputs = layer(inputs)
            continue
        kernels, biases = layer.kernel()
        conv, norm = layer.conv, layer.norm
        conv.weight.copy_(kernels)
        outputs = conv(inputs)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(outputs.mean((0, 2, 3)))
        norm.running_var.copy_(outputs.var((0, 2, 3)))
        norm.weight.copy_((norm.running_var + norm.eps).sqrt())
        norm.bias.copy_(biases + norm.running_mean)
        network.features.set_submodule(name, conv)
        network.features.set_submodule(following, norm)
        inputs = norm(outputs)
    return network
