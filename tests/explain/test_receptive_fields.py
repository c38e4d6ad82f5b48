"""Receptive fields against the arithmetic of kernels and strides, and against where gradients reach."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import models
from torchvision.ops import Permute

from generator import explain
from generator.base.errors import InputError
from generator.explain import Axis, ReceptiveField
from generator.networks.alexnet import alexnet


def square(size: int, jump: int, offset: int) -> ReceptiveField:
    return ReceptiveField(Axis(size, jump, offset), Axis(size, jump, offset))


def test_receptive_fields_of_alexnet() -> None:
    # size + (kernel - 1) * jump, jump * stride, offset - padding * jump, layer by layer from 1, 1, 0:
    known = {
        "features.0": (11, 4, -2),  # kernel 11, stride 4, padding 2
        "features.2": (19, 8, -2),  # pooling 3, stride 2: 11 + 2 * 4
        "features.3": (51, 8, -18),  # 5, padding 2: 19 + 4 * 8, -2 - 2 * 8
        "features.5": (67, 16, -18),
        "features.6": (99, 16, -34),
        "features.8": (131, 16, -50),
        "features.10": (163, 16, -66),
        "features.12": (195, 32, -66),
        "avgpool": (195, 32, -66),  # 6x6 cells into 6x6
    }
    network = alexnet(4)
    assert {layer: explain.receptive_field(network, layer, 224) for layer in known} == {
        layer: square(*numbers) for layer, numbers in known.items()
    }
    with pytest.raises(InputError, match=r"'avgpool'.*because of _adaptive_avg_pool2d"):
        explain.receptive_field(network, "avgpool", 300)


def test_receptive_fields_of_a_toy() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 1, (3, 5), stride=(2, 1), padding=(1, 0)),  # rows 3 / 2 / -1, columns 5 / 1 / 0
        nn.ReLU(True),
        nn.AvgPool2d(2),  # rows 3 + 2 = 5 / 4 / -1, columns 6 / 2 / 0
        nn.ZeroPad2d((1, 0, 2, 0)),  # rows -1 - 2 * 4 = -9, columns 0 - 2 = -2
        nn.Conv2d(1, 1, 2, dilation=3),  # rows 5 + 3 * 4 = 17 / 4, columns 6 + 3 * 2 = 12 / 2
        nn.AdaptiveAvgPool2d(1),
    )
    field = explain.receptive_field(net, "4", (40, 30))
    assert field == ReceptiveField(rows=Axis(17, 4, -9), columns=Axis(12, 2, -2))
    assert (field.size, field.jump, field.offset) == (17, 4, -9)
    assert field.box(2, 3) == (4, -1, 15, 15)
    # 40 rows -> 20 -> 10 -> 12 -> 9: the last of 9 units ends at -9 + 8 * 4 + 17; 30 -> 26 -> 13 -> 14 -> 11 columns.
    whole = explain.receptive_field(net, "5", (40, 30))
    assert (whole.rows.size, whole.columns.size) == (8 * 4 + 17, 10 * 2 + 12)


class Branches(nn.Module):
    """Ways of different length that meet by addition and by concatenation, and one gate that has seen everything."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 2, 3, stride=2, padding=1)
        self.wide = nn.Sequential(nn.Conv2d(2, 2, 5, padding=2), nn.Hardswish(), nn.Conv2d(2, 2, 3, padding=1))
        self.joined = nn.Identity()
        self.beside = nn.Identity()
        self.gated = nn.Identity()

    def forward(self, batch: Tensor) -> Tensor:
        maps = self.stem(batch)
        joined: Tensor = self.joined(maps + self.wide(maps))
        joined = self.beside(torch.cat([joined, F.avg_pool2d(maps, 9, 1, 4, count_include_pad=True)], 1))
        gated: Tensor = self.gated(joined * joined.mean((2, 3), keepdim=True).sigmoid())
        return gated.flatten(1)


def test_receptive_fields_where_branches_meet() -> None:
    net = Branches()
    assert explain.receptive_field(net, "stem", 32) == square(3, 2, -1)
    assert explain.receptive_field(net, "joined", 32) == square(3 + 4 * 2 + 2 * 2, 2, -1 - 3 * 2)
    assert explain.receptive_field(net, "beside", 32) == square(3 + 8 * 2, 2, -1 - 4 * 2)
    assert explain.receptive_field(net, "gated", 32) == square(3 + 8 * 2 + 15 * 2, 0, -9)  # all 16 units
    assert explain.receptive_field(models.resnet18(), "layer4", 64) == square(435, 32, -217)
    turned = nn.Sequential(nn.Conv2d(3, 4, 3), Permute([0, 2, 3, 1]), Permute([0, 3, 1, 2]))
    with pytest.raises(InputError, match="no regular size, because of permute"):
        explain.receptive_field(turned, "2", 64)


@pytest.mark.parametrize("unit", [(0, 0), (3, 4), (6, 2)])
def test_receptive_fields_are_where_the_gradient_reaches(unit: tuple[int, int]) -> None:
    """With positive weights no paths cancel, so a unit's gradient is above 0 just within its field."""
    net = nn.Sequential(
        nn.Conv2d(1, 3, (3, 4), stride=2, padding=(1, 2)),
        nn.Conv2d(3, 2, 3, padding=2, dilation=2),
        nn.AvgPool2d(3, 2, padding=1),
        nn.Conv2d(2, 2, 2, padding=1),
    )
    for parameter in net.parameters():
        nn.init.ones_(parameter)
    image = torch.ones(1, 1, 44, 60, requires_grad=True)
    net(image)[0, 0, unit[0], unit[1]].backward()
    assert image.grad is not None
    reached = image.grad[0, 0].nonzero()
    top, left = reached.amin(0).tolist()
    bottom, right = reached.amax(0).tolist()
    x0, y0, x1, y1 = explain.receptive_field(net, "3", (44, 60)).box(*unit)
    assert (max(x0, 0), max(y0, 0), min(x1, 59), min(y1, 43)) == (left, top, right, bottom)
