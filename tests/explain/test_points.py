"""Points of a forward pass: what ran, what is made from what, and the questions that a report asks of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import models

from generator import explain
from generator.base.errors import InputError
from generator.explain.choice import of_convolutions
from generator.explain.points import Points, head, points, rectifier, source, stage_ends
from generator.networks.alexnet import alexnet
from generator.networks.small_cnn import SmallCNN
from tests.explain.nets import images, seeded


def chosen(found: Points) -> str:
    """The last convolution's maps, which the head follows."""
    point, why_not = of_convolutions(found)
    assert point is not None, why_not
    return point.name


class Functions(nn.Module):
    """As PyTorch's own MNIST example is written: rectifiers, poolings and the log-softmax are functions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 6, 3, padding=1)
        self.fc1 = nn.Linear(6 * 3 * 2, 8)
        self.fc2 = nn.Linear(8, 5)

    def forward(self, batch: Tensor) -> Tensor:
        maps = F.max_pool2d(F.relu(self.conv1(batch)), 2)
        maps = F.max_pool2d(torch.relu_(self.conv2(maps)), 2)
        return self.fc2(F.relu(self.fc1(maps.view(len(maps), -1))))  # type: ignore[no-any-return]


class Block(nn.Module):
    """A residual block whose one ReLU runs twice."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, maps: Tensor) -> Tensor:
        found = self.second(self.relu(self.first(maps)))
        found += maps
        return self.relu(found)  # type: ignore[no-any-return]


def residual() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), Block(4), nn.MaxPool2d(2), Block(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, 5),
    )  # fmt: skip


class TwoStreams(nn.Module):
    """Neither stream is passed by all that the logits are made from."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(8, 2)

    def forward(self, batch: Tensor) -> Tensor:
        both = torch.cat([self.left(batch).mean((2, 3)), self.right(batch).mean((2, 3))], 1)
        return self.head(both)  # type: ignore[no-any-return]


def test_points_of_functions_by_hand() -> None:
    found = points(Functions(), images(2, 1, 12, 8))
    told = [(point.name, point.kind, point.grid, point.trunk) for point in found]
    assert told == [
        ("conv1", "convolution", (12, 8), True),
        ("conv1+relu", "activation", (12, 8), True),
        ("conv1+relu+max_pool2d", "pooling", (6, 4), True),
        ("conv2", "convolution", (6, 4), True),
        ("conv2+relu", "activation", (6, 4), True),
        ("conv2+relu+max_pool2d", "pooling", (3, 2), True),
        ("fc1", "product", None, True),
        ("fc1+relu", "activation", None, True),
        ("fc2", "product", None, True),
        ("", "product", None, True),
    ]
    field = found.named("conv2+relu").field  # type: ignore[union-attr]
    assert field is not None
    assert (field.size, field.jump) == (8, 2)  # 3, then pooled to 4 at steps of 2, then 3 of them
    assert [point.row for point in found] == [True] * 9 + [False]
    assert stage_ends(found) == ("conv1+relu", "conv2+relu")
    assert chosen(found) == "conv2+relu"
    assert head(found, "conv2+relu") == "flattened"
    assert source(found, "conv2+relu+max_pool2d") == "conv2"
    assert source(found, "fc1+relu") == ""


def test_maps_and_gradients_at_a_function_are_those_at_a_module_in_its_place() -> None:
    class Modules(Functions):
        def __init__(self) -> None:
            super().__init__()
            self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()

        def forward(self, batch: Tensor) -> Tensor:
            maps = F.max_pool2d(self.relu1(self.conv1(batch)), 2)
            maps = F.max_pool2d(self.relu2(self.conv2(maps)), 2)
            return self.fc2(F.relu(self.fc1(maps.view(len(maps), -1))))  # type: ignore[no-any-return]

    functions, modules = seeded(Functions), seeded(Modules)
    batch = images(3, 1, 12, 8)
    for function, module in (("conv1+relu", "relu1"), ("conv2+relu", "relu2")):
        torch.testing.assert_close(
            explain.feature_maps(functions, batch, [function])[function],
            explain.feature_maps(modules, batch, [module])[module],
        )
        for method in (explain.grad_cam, explain.grad_cam_plus_plus, explain.layer_cam, explain.score_cam):
            torch.testing.assert_close(
                method(functions, batch, [0, 1, 4], function), method(modules, batch, [0, 1, 4], module)
            )
        assert explain.receptive_field(functions, function, (1, 12, 8)) == explain.receptive_field(
            modules, module, (1, 12, 8)
        )
    torch.testing.assert_close(explain.grad_cam_all(functions, batch), explain.grad_cam_all(modules, batch, "relu2"))
    with pytest.raises(InputError, match=r"layer 'conv2\+gelu' does not run"):
        explain.grad_cam(functions, batch, [0, 1, 4], "conv2+gelu")


def test_points_of_residual_blocks() -> None:
    found = points(residual(), images(1, 3, 8, 8))
    trunk = [point.name for point in found if point.trunk and point.name]
    assert "1.first" not in trunk
    assert "1.second+add" in trunk
    assert stage_ends(found) == ("1", "3")
    assert chosen(found) == "3"
    assert head(found, "3") == "average"
    assert source(found, "3") == ""  # an addition mixes the channels of two
    assert source(found, "3.first") == "3.first"
    inner, outer = rectifier(found, "3.first"), rectifier(found, "3.second")
    assert inner is not None
    assert (inner.name, inner.run) == ("3.relu", 1)
    assert outer is None  # what is rectified there is the sum


def test_without_a_trunk_the_last_maps_are_taken() -> None:
    found = points(TwoStreams(), images(1, 3, 8, 8))
    assert chosen(found) == "right"
    assert head(found, "right") == ""
    assert stage_ends(found) == ("right",)


def test_the_head_is_told_by_what_it_does() -> None:
    maps = nn.Conv2d(3, 4, 3)
    for end, want in (
        ([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(4, 3)], "average"),
        ([nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, 3)], "maximum"),
        ([nn.MaxPool2d(6), nn.Flatten(), nn.Linear(4, 3)], "maximum"),
        ([nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)], "flattened"),
        ([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3)], ""),
        ([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(4), nn.Linear(4, 3)], ""),
        ([nn.Conv2d(4, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()], ""),
    ):
        net = nn.Sequential(maps, nn.ReLU(), *end)
        assert head(points(net, images(1, 3, 8, 8)), "1") == want, end


FAMILIES: dict[str, tuple[Callable[[], nn.Module], tuple[str, ...], str]] = {
    "SmallCNN": (
        lambda: SmallCNN(widths=(4, 6, 8, 10)),
        ("features.conv1", "features.conv2", "features.conv4", "features"),
        "features",
    ),
    "alexnet": (lambda: alexnet(4), ("features.1", "features.4", "features.11"), "features.11"),
    "resnet18": (lambda: models.resnet18(), ("relu", "layer1", "layer2", "layer3", "layer4"), "layer4"),
    "squeezenet": (
        lambda: models.squeezenet1_1(),
        ("features.1", "features.4", "features.7", "features"),
        "classifier.2",
    ),
    "mobilenet": (
        lambda: models.mobilenet_v3_small(),
        ("features.0", "features.1", "features.3", "features.8", "features"),
        "features",
    ),
    "densenet": (
        lambda: models.densenet121(),
        ("features.relu0", *(f"features.denseblock{number}" for number in (1, 2, 3)), "features+relu"),
        "features+relu",
    ),
    "regnet": (
        lambda: models.regnet_y_400mf(),
        ("stem", *(f"trunk_output.block{number}" for number in (1, 2, 3)), "trunk_output"),
        "trunk_output",
    ),
    "convnext": (lambda: models.convnext_tiny(), ("features.1", "features.3", "features.5", "features"), "features"),
    "shufflenet": (lambda: models.shufflenet_v2_x0_5(), ("conv1", "stage2", "stage3", "conv5"), "conv5"),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_stages_and_layers_of_known_families(name: str) -> None:
    make, stages, layer = FAMILIES[name]
    found = points(seeded(make), images(1, 3, 128, 128))
    assert chosen(found) == layer
    assert stage_ends(found) == stages
    assert all(point.field is not None for point in found if point.kind == "convolution")


def test_nothing_is_left_behind() -> None:
    network = residual().train()
    points(network, images(1, 3, 8, 8))
    with pytest.raises(RuntimeError):
        points(network, images(1, 2, 8, 8))
    assert all(module.training for module in network.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
