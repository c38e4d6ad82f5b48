"""Layers, their order and cost, and the layer that is explained where none is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torchvision import models

from generator import explain
from generator.base.errors import InputError
from generator.explain.flops import FLOPS
from generator.networks.alexnet import alexnet
from generator.networks.small_cnn import SmallCNN
from tests.explain.nets import Functional, Residual, images, seeded, stacked


@pytest.mark.parametrize(
    ("make", "pixels", "layer"),
    [
        (lambda: SmallCNN(widths=(4, 6, 8, 10)), 64, "features"),
        (lambda: alexnet(4), 128, "features.11"),
        (lambda: models.resnet18(num_classes=4), 64, "layer4"),
        (lambda: models.squeezenet1_1(num_classes=4), 64, "classifier.2"),
        (lambda: models.mobilenet_v3_small(num_classes=4), 64, "features"),
        (Residual, 16, "relu"),
        (Functional, 16, "conv+relu"),
        (stacked(nn.ReLU(), nn.Dropout(), nn.AdaptiveAvgPool2d(6), nn.Flatten(), nn.Linear(216, 8)), 8, "1"),
    ],
)
def test_the_last_rectified_maps_are_chosen(make: Callable[[], nn.Module], pixels: int, layer: str) -> None:
    network, batch = seeded(make), images(2, 3, pixels, pixels)
    assert explain.choose_layer(network, batch) == layer
    want = explain.grad_cam(network, batch, [0, 1], layer)
    assert torch.equal(explain.grad_cam(network, batch, [0, 1]), want)


def test_no_layer_to_choose() -> None:
    with pytest.raises(InputError, match="no 2-d convolution"):
        explain.choose_layer(nn.Sequential(nn.Conv2d(3, 4, 8), nn.Flatten(), nn.Linear(4, 2)), images(1, 3, 8, 8))


def test_convolutions_by_name() -> None:
    assert explain.convolutions(SmallCNN(widths=(2, 2, 2, 2))) == [f"features.conv{number}" for number in range(1, 8)]
    assert explain.convolutions(models.resnet18())[-3:] == ["layer4.0.downsample.0", "layer4.1.conv1", "layer4.1.conv2"]


def test_a_wrong_name_is_told_with_the_nearest() -> None:
    network, batch = SmallCNN(widths=(2, 2, 2, 2)), images(1, 3, 16, 16)
    expected = r"^layer: expected a module's dotted name, got 'features\.conv8'; nearest: features\.conv\d, "
    with pytest.raises(InputError, match=expected):
        explain.grad_cam(network, batch, [0], "features.conv8")
    with pytest.raises(InputError, match=r"the outermost: features, head$"):
        explain.feature_maps(network, batch, ["xyz"])
    with pytest.raises(InputError, match="nearest: head"):
        explain.receptive_field(network, "heads", 16)


def test_macs_by_hand() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2),  # 7x9 of 16x20: 4 * 7 * 9 * 27 = 6804
        nn.ReLU(),
        nn.Conv2d(4, 6, 2, groups=2, padding=1),  # 8x10: 6 * 8 * 10 * (2 * 4) = 3840
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 5),  # 30
    )
    assert explain.macs(net, (3, 16, 20)) == 6804 + 3840 + 30


def test_macs_of_alexnet() -> None:
    convolutions = (
        (64 * 55 * 55 * 3 * 11 * 11)
        + (192 * 27 * 27 * 64 * 5 * 5)
        + (384 * 13 * 13 * 192 * 3 * 3)
        + (256 * 13 * 13 * 384 * 3 * 3)
        + (256 * 13 * 13 * 256 * 3 * 3)
    )
    linear = 9216 * 4096 + 4096 * 4096 + 4096 * 1000
    assert (convolutions, linear) == (655_566_528, 58_621_952)
    assert explain.macs(alexnet(1000), (3, 224, 224)) == convolutions + linear


def test_summary_tells_each_layer_in_words() -> None:
    net = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, (3, 5), stride=2, padding="valid"), nn.BatchNorm2d(4), nn.ReLU()),
        nn.Conv2d(4, 4, 3, padding=(1, 2), dilation=2, groups=4),
        nn.MaxPool2d(3, 2),
        nn.AdaptiveAvgPool2d((2, 1)),
        nn.AdaptiveAvgPool2d(1),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(4, 5),
    )
    assert explain.summary(net, (3, 19, 23)) == (
        ("0.0", "convolution 3×5, 3 → 4, stride 2, padding valid", "4 × 9 × 10"),
        ("0.1", "batch normalisation", "4 × 9 × 10"),
        ("0.2", "ReLU", "4 × 9 × 10"),
        ("1", "convolution 3×3, 4 → 4, padding 1×2, dilation 2, 4 groups", "4 × 7 × 10"),
        ("2", "maximum pooling 3×3, stride 2", "4 × 3 × 4"),
        ("3", "average pooling to 2×1", "4 × 2 × 1"),
        ("4", "global average pooling", "4 × 1 × 1"),
        ("5", "global maximum pooling", "4 × 1 × 1"),
        ("6", "flatten", "4"),
        ("7", "dropout, 25%", "4"),
        ("8", "linear, 4 → 5", "5"),
    )
    with pytest.raises(ValueError, match=r"expected \(C, H, W\) of one image, got \(1, 3, 19, 23\)"):
        explain.summary(net, (1, 3, 19, 23))


class Tuples(nn.Module):
    """Attention and an LSTM, which give tuples, and a normalised convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = parametrizations.weight_norm(nn.Conv2d(3, 16, 4, stride=4))
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)
        self.lstm = nn.LSTM(16, 8, batch_first=True)
        self.head = nn.Linear(8, 10)

    def forward(self, batch: Tensor) -> Tensor:
        tokens = self.conv(batch).flatten(2).transpose(1, 2)
        attended, _ = self.attention(tokens, tokens, tokens)
        logits: Tensor = self.head(self.lstm(attended)[0].mean(1))
        return logits


def test_modules_that_give_tuples_have_rows_and_costs() -> None:
    rows = explain.summary(Tuples(), (3, 32, 24))
    assert [(name, shape) for name, _, shape in rows] == [
        ("conv", "16 × 8 × 6"),
        ("attention", "48 × 16"),
        ("lstm", "48 × 8"),
        ("lstm+mean", "8"),
        ("head", "10"),
    ]
    convolution, tokens = 16 * 8 * 6 * 3 * 4 * 4, 48
    attention = tokens * 16 * 16 * 4 + 2 * tokens * tokens * 16  # four projections; scores and weighted sums
    lstm = tokens * 4 * 8 * (16 + 8)
    assert explain.macs(Tuples(), (3, 32, 24)) == convolution + attention + lstm + 8 * 10
    with torch.no_grad():  # the fast path is one operation
        assert explain.macs(Tuples().requires_grad_(False), (3, 32, 24)) == convolution + attention + lstm + 8 * 10


class Product(nn.Module):
    """One product of tokens (1, 12, 4), made from an image of 4 channels and 12 pixels."""

    def __init__(self, product: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.product = product

    def forward(self, batch: Tensor) -> Tensor:
        return self.product(batch.flatten(2).transpose(1, 2))


@pytest.mark.parametrize(
    ("product", "count"),
    [
        (lambda tokens: F.scaled_dot_product_attention(tokens, tokens, tokens), 2 * 12 * 12 * 4),
        (lambda tokens: tokens @ tokens.transpose(1, 2), 12 * 12 * 4),
        (lambda tokens: torch.einsum("ntd,kd->ntk", tokens, torch.ones(5, 4)), 12 * 4 * 5),
        (lambda tokens: F.linear(tokens, torch.ones(5, 4)), 12 * 4 * 5),
        (lambda tokens: F.conv1d(tokens, torch.ones(5, 12, 3)), 5 * 2 * 12 * 3),
        (lambda tokens: F.conv1d(tokens, torch.ones(6, 4, 3), groups=3), 6 * 2 * 4 * 3),
        (lambda tokens: F.conv_transpose1d(tokens, torch.ones(12, 5, 3), stride=2), 4 * 12 * 5 * 3),
        (lambda tokens: torch.baddbmm(torch.ones(12), tokens, torch.ones(1, 4, 12)), 12 * 12 * 4),
        (lambda tokens: tokens[0] @ torch.ones(4), 12 * 4),
        (lambda tokens: torch.addmv(torch.ones(12), tokens[0], torch.ones(4)), 12 * 4),
        (lambda tokens: tokens[0, 0] @ torch.ones(4), 4),
        (lambda tokens: nn.Bilinear(4, 4, 3)(tokens, tokens), 12 * 3 * 4 * 4),
        (lambda tokens: nn.GRU(4, 5, batch_first=True)(tokens)[0], 12 * 3 * 5 * (4 + 5)),
        (lambda tokens: nn.LSTM(4, 5, 2, bidirectional=True)(tokens)[0], 2 * 12 * 4 * 5 * ((4 + 5) + (10 + 5))),
        (
            lambda tokens: nn.TransformerEncoderLayer(4, 2, 7, batch_first=True).eval()(tokens),
            12 * 4 * 4 * 4 + 2 * 12 * 12 * 4 + 2 * 12 * 4 * 7,
        ),
    ],
)
def test_macs_of_products_by_hand(product: Callable[[Tensor], Tensor], count: int) -> None:
    assert explain.macs(Product(product), (4, 3, 4)) == count


def test_a_convolution_of_cudnn_is_not_transposed_by_its_benchmark() -> None:
    """Its arguments are padding, stride, dilation, groups, benchmark; 6 x 6 cells of 4 filters of 3 x 3 x 3."""
    formula = FLOPS[torch.ops.aten.cudnn_convolution]
    found = formula((1, 3, 8, 8), (4, 3, 3, 3), (0, 0), (1, 1), (1, 1), 1, True, True, False, out=(1, 4, 6, 6))
    assert found == 2 * 6 * 6 * 4 * 27


@pytest.mark.parametrize("name", ["vit_b_16", "swin_t", "resnet18", "mobilenet_v3_small"])
def test_macs_are_those_of_torchvisions_records(name: str) -> None:
    recorded = models.get_model_weights(name).DEFAULT.meta["_ops"]  # in 10^9, with three digits
    with torch.device("meta"):
        network = models.get_model(name)
    assert explain.macs(network, (3, 224, 224)) / 1e9 == pytest.approx(recorded, abs=1e-3)
