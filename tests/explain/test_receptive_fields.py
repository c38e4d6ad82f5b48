"""Receptive fields against the arithmetic of kernels and strides, and against where gradients reach."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
    assert explain.receptive_field(turned, "2", 64) == square(3, 1, 0)


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


def own(function: Callable[[Tensor], Tensor]) -> nn.Module:
    class Own(nn.Module):
        def forward(self, values: Tensor) -> Tensor:
            return function(values)

    return Own()


def squeezed(maps: Tensor) -> Tensor:
    return maps * maps.mean((2, 3)).view(len(maps), -1, 1, 1).sigmoid()


# Between a 3x3 convolution of 3 channels to 4 without padding, and a 3x3 one behind it: what the second one sees.
BETWEEN: dict[str, tuple[list[nn.Module], int, tuple[int, int, int]]] = {
    "channel shuffle": ([nn.ChannelShuffle(2)], 4, (5, 1, 0)),
    "shuffled by views": (
        [own(lambda maps: maps.view(-1, 2, 2, 30, 30).transpose(1, 2).reshape(-1, 4, 30, 30))],
        4,
        (5, 1, 0),
    ),
    "rrelu": ([nn.RReLU()], 4, (5, 1, 0)),
    "glu": ([nn.GLU(1)], 2, (5, 1, 0)),
    "maxout": ([own(lambda maps: maps.view(-1, 2, 2, 30, 30).amax(2))], 2, (5, 1, 0)),
    "softmax over channels": ([nn.Softmax(1)], 4, (5, 1, 0)),
    "local response normalisation": ([nn.LocalResponseNorm(2)], 4, (5, 1, 0)),
    "channels last and back": (
        [Permute([0, 2, 3, 1]), nn.LayerNorm(4), nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 4), Permute([0, 3, 1, 2])],
        4,
        (5, 1, 0),
    ),
    "tokens and back": (
        [
            nn.Flatten(2),
            own(lambda maps: maps.transpose(1, 2)),
            nn.LayerNorm(4),
            nn.Linear(4, 4),
            own(lambda tokens: tokens.transpose(1, 2).reshape(-1, 4, 30, 30)),
        ],
        4,
        (5, 1, 0),
    ),
    "cropped": ([own(lambda maps: maps[:, :, 2:-2, 2:])], 4, (5, 1, 2)),
    "every second, side by side": (
        [own(lambda maps: torch.cat([maps[..., ::2, ::2], maps[..., 1::2, 1::2]], 1))],
        8,
        (3 + 1 + 2 * 2, 2, 0),  # two neighbours see 4 pixels, and the step is 2
    ),
    "pixel unshuffle": ([nn.PixelUnshuffle(2)], 16, (3 + 1 + 2 * 2, 2, 0)),
    "transposed, step 1": ([nn.ConvTranspose2d(4, 4, 3, padding=1)], 4, (7, 1, -1)),
    "split": ([own(lambda maps: torch.add(*maps.chunk(2, 1)))], 2, (5, 1, 0)),
    "stacked": ([own(lambda maps: torch.stack([maps, maps.relu()], -1).sum(-1))], 4, (5, 1, 0)),
    "squeeze and excitation": ([own(squeezed)], 4, (32, 0, 0)),
    "group normalisation": ([nn.GroupNorm(2, 4)], 4, (32, 0, 0)),
    "instance normalisation": ([nn.InstanceNorm2d(4)], 4, (32, 0, 0)),
    "batch normalisation by the batch": ([nn.BatchNorm2d(4, track_running_stats=False)], 4, (32, 0, 0)),
}


@pytest.mark.parametrize("name", BETWEEN)
def test_regular_steps_are_regular_and_reach_as_far_as_the_gradient(name: str) -> None:
    steps, channels, (size, jump, offset) = BETWEEN[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 4, 3), *steps, nn.Conv2d(channels, 3, 3)).eval()
        image = torch.rand(1, 3, 32, 32, requires_grad=True)
    field = explain.receptive_field(net, str(len(net) - 1), 32)
    assert field == square(size, jump, offset)
    (gradient,) = torch.autograd.grad(net(image)[0, :, 4, 5].square().sum(), image)
    reached = gradient[0].abs().sum(0).nonzero()
    (top, left), (bottom, right) = reached.amin(0).tolist(), reached.amax(0).tolist()
    x0, y0, x1, y1 = field.box(4, 5)
    assert (max(x0, 0), max(y0, 0), min(x1, 31), min(y1, 31)) == (left, top, right, bottom)


@pytest.mark.parametrize("mode", ["zeros", "circular", "reflect", "replicate"])
def test_each_way_of_padding(mode: Any) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, (3, 5), padding=(1, 2), padding_mode=mode), nn.Conv2d(4, 2, 1))
    assert explain.receptive_field(net, "1", 32) == ReceptiveField(Axis(3, 1, -1), Axis(5, 1, -2))


@pytest.mark.parametrize(
    ("step", "cause"),
    [
        (nn.Upsample(scale_factor=2), r"upsample_nearest2d \(cells are made from others\)"),
        (own(lambda maps: maps.roll(1, 2)), r"roll \(cells change places\)"),
        (nn.ConvTranspose2d(4, 4, 2, stride=2), r"convolution \(a transposed one, or not over rows and columns\)"),
        (nn.Unfold(3), "im2col"),
        (own(lambda maps: maps.flatten(2) @ maps.flatten(2).transpose(1, 2)), r"bmm \(a matrix product over cells\)"),
        (own(lambda maps: torch.zeros_like(maps).index_copy(2, torch.arange(9), maps[:, :, :9])), "index_copy"),
        (own(lambda maps: writes(maps)), r"copy_ \(only a part of a tensor is written\)"),
    ],
)
def test_the_true_cause_of_no_regular_field_is_named(step: nn.Module, cause: str) -> None:
    with pytest.raises(InputError, match=f"no regular size, because of {cause} on the way to it"):
        explain.receptive_field(nn.Sequential(nn.Conv2d(3, 4, 3), step), "1", 32)


def writes(maps: Tensor) -> Tensor:
    shifted = torch.zeros_like(maps)
    shifted[:, :, 1:] = maps[:, :, :-1]
    return shifted + maps


class Behind(nn.Module):
    """The head is registered before the stem."""

    def __init__(self, begin: nn.Module, channels: int) -> None:
        super().__init__()
        self.head = nn.Conv2d(16, 10, 1)
        self.begin = begin
        self.stem = nn.Conv2d(channels, 16, 3, padding=1)

    def forward(self, batch: Tensor) -> Tensor:
        logits: Tensor = self.head(self.stem(self.begin(batch))).mean((2, 3))
        return logits


def test_the_input_is_that_of_the_model_and_not_of_what_was_registered_first() -> None:
    assert explain.receptive_field(Behind(nn.Identity(), 5), "stem", 32) == square(3, 1, -1)
    grey = Behind(own(lambda batch: batch.expand(-1, 3, -1, -1)), 3)
    assert explain.receptive_field(grey, "stem", (1, 32, 32)) == square(3, 1, -1)
    unshuffled = Behind(nn.PixelUnshuffle(2), 12)
    assert explain.receptive_field(unshuffled, "stem", 32) == square(6, 2, -2)
    with pytest.raises(
        InputError, match=r"it does not run with an image of 32 x 32 pixels .*give the input's size as \(C, H, W\)"
    ):
        explain.receptive_field(Behind(nn.PixelUnshuffle(2), 28), "stem", 32)
    assert explain.receptive_field(Behind(nn.PixelUnshuffle(2), 28), "stem", (7, 32, 32)) == square(6, 2, -2)


def test_receptive_fields_of_networks_with_their_channels_last() -> None:
    assert explain.receptive_field(models.shufflenet_v2_x0_5(), "conv5", 64) == square(527, 32, -263)
    # The patches' 4; then 6 pixels of 4 around in each of 3 blocks, and 1 more by each step of 2.
    field = explain.receptive_field(models.convnext_tiny(), "features.1", 64)
    assert field == square(4 + 3 * 6 * 4, 4, -3 * 3 * 4)
