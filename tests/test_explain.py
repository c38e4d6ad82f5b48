"""Explanations against values worked out by hand, against plain automatic differentiation, and against captum."""

from __future__ import annotations

import copy
import gc
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from captum.attr import LayerGradCam
from torch import Tensor, nn
from torchvision import models
from torchvision.ops import Permute

from generator import explain
from generator.errors import InputError
from generator.explain import Axis, ReceptiveField
from generator.networks import SmallCNN, alexnet, widen


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def seeded(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """A network with random weights, and batch norm statistics that are not 0 and 1; the global seed stays."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = make()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.running_mean, std=0.1)  # type: ignore[arg-type]
                nn.init.uniform_(module.running_var, 0.5, 2.0)  # type: ignore[arg-type]
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.1)
        return network.eval()


def in_place(network: nn.Module, inplace: bool) -> nn.Module:
    """A copy of the network whose activation functions all work in place, or all do not."""
    changed = copy.deepcopy(network)
    for module in changed.modules():
        if hasattr(module, "inplace"):
            module.inplace = inplace  # type: ignore[assignment]
    return changed


def plain(network: nn.Module, batch: Tensor, layer: str) -> Tensor:
    """(N, K, h, w) Grad-CAM by its definition: one backward pass a class through the whole network, in float64."""
    network = in_place(network, False).double()
    maps: list[Tensor] = []
    zeros: list[Tensor] = []

    def keep(_module: nn.Module, _args: Any, output: Tensor) -> Tensor:
        maps.append(output.detach().clone())  # a function may work in place
        zeros.append(torch.zeros_like(output).requires_grad_())
        return output + zeros[-1]

    handle = network.get_submodule(layer).register_forward_hook(keep)
    logits = network(batch.double().requires_grad_())
    handle.remove()
    cams = []
    for target in range(logits.shape[1]):
        (gradient,) = torch.autograd.grad(logits[:, target].sum(), zeros[-1], retain_graph=True)
        cams.append((gradient.mean((2, 3), keepdim=True) * maps[-1]).sum(1).relu())
    return torch.stack(cams, 1).float()


def assert_same(got: Tensor, want: Tensor, tolerance: float = 1e-5) -> None:
    """Equal within `tolerance` of each image's largest value."""
    assert got.shape == want.shape
    assert want.amax() > 0, "the test would pass on empty maps"
    scale = want.flatten(1).amax(1).clamp_min(1e-30).view(-1, *[1] * (want.dim() - 1))
    assert ((got - want).abs() / scale).max().item() <= tolerance


def strongest(cams: Tensor) -> Tensor:
    """(N,) the class with the largest map of each image: of a nearly empty map, rounding is a large part."""
    return cams.amax((2, 3)).argmax(1)


# Worked out by hand


def rectified_toy(inplace: bool = False) -> nn.Sequential:
    """captum's toy (its tests' BasicModel_ConvNet_One_Conv): two 3x3 convolutions of ones with biases -50 and -75."""
    net = nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(1, 2, 3),
            relu=nn.ReLU(inplace),
            flatten=nn.Flatten(),
            linear=nn.Linear(8, 4),
            last=nn.ReLU(inplace),
        )
    )
    state = {
        "conv.weight": torch.ones(2, 1, 3, 3),
        "conv.bias": torch.tensor([-50.0, -75.0]),
        "linear.weight": torch.tensor([1.0] * 5 + [-1.0] * 3).repeat(4, 1),
        "linear.bias": torch.zeros(4),
    }
    net.load_state_dict(state)
    return net


RAMP = torch.arange(16.0).view(1, 1, 4, 4)


@pytest.mark.parametrize("inplace", [False, True])
def test_captums_toy_before_the_relu(inplace: bool) -> None:
    # The 3x3 sums of 0..15 are 45 54 81 90, so the maps are -5 4 31 40 and -30 -21 6 15.
    # The logit is 4 + 31 + 40 - 6 - 15 = 54 > 0: the last ReLU passes.
    # Gradients: 0 1 1 1 with the mean 0.75, and 0 0 -1 -1 with the mean -0.5.
    # 0.75 * -5 + 0.5 * 30 = 11.25; 0.75 * 4 + 0.5 * 21 = 13.5; 0.75 * 31 - 0.5 * 6 = 20.25; 0.75 * 40 - 0.5 * 15 = 22.5
    cam = explain.grad_cam(rectified_toy(inplace), RAMP, [2], "conv")
    assert cam.tolist() == [[[11.25, 13.5], [20.25, 22.5]]]


def test_captums_toy_after_the_relu() -> None:
    # The maps are now 0 4 31 40 and 0 0 6 15, the gradients 1 1 1 1 and 1 -1 -1 -1, their means 1 and -0.5.
    cam = explain.grad_cam(rectified_toy(True), RAMP, torch.tensor([0]), "relu")
    assert cam.tolist() == [[[0.0, 4.0], [28.0, 32.5]]]


def test_feature_maps_are_those_before_an_in_place_relu() -> None:
    maps = explain.feature_maps(rectified_toy(True), RAMP, ["relu", "conv"])
    assert list(maps) == ["relu", "conv"]
    assert maps["conv"].tolist() == [[[[-5.0, 4.0], [31.0, 40.0]], [[-30.0, -21.0], [6.0, 15.0]]]]
    assert maps["relu"].tolist() == [[[[0.0, 4.0], [31.0, 40.0]], [[0.0, 0.0], [6.0, 15.0]]]]


def pooled_toy() -> nn.Sequential:
    """Two channels handed through, averaged, and weighed by [[1, -2], [-1, 3]] with biases 0.5 and 0."""
    net = nn.Sequential(nn.Conv2d(2, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(2, 2))
    state = {
        "0.weight": torch.eye(2).view(2, 2, 1, 1),
        "0.bias": torch.zeros(2),
        "4.weight": torch.tensor([[1.0, -2.0], [-1.0, 3.0]]),
        "4.bias": torch.tensor([0.5, 0.0]),
    }
    net.load_state_dict(state)
    return net


POOLED = torch.tensor([[[[6.0, 0, 0], [0, 12, 0]], [[0, 6, 0], [0, 0, 18]]]])  # means 3 and 4


def test_average_pooled_head_gives_the_classic_class_activation_map() -> None:
    # Zhou et al. 2016: the class's weights times the maps, here divided by 6 cells; then ReLU.
    # class 0: (A0 - 2 A1) / 6 = 1 -2 0 | 0 2 -6, class 1: (-A0 + 3 A1) / 6 = -1 3 0 | 0 -2 9
    cams = explain.grad_cam_all(pooled_toy(), POOLED, "0")
    torch.testing.assert_close(cams, torch.tensor([[[[1.0, 0, 0], [0, 2, 0]], [[0, 3, 0], [0, 0, 9]]]]))
    torch.testing.assert_close(explain.grad_cam(pooled_toy(), POOLED, [1], "0"), cams[:, 1])


def test_channel_contributions_and_the_bias_add_up_to_the_logit() -> None:
    # class 0: 1 * 3 and -2 * 4, logit 3 - 8 + 0.5 = -4.5; class 1: -1 * 3 and 3 * 4
    both = torch.cat([POOLED, POOLED])
    given = explain.channel_contributions(pooled_toy(), both, [0, 1], "0")
    torch.testing.assert_close(given, torch.tensor([[3.0, -8.0], [-3.0, 12.0]]))
    assert pooled_toy().eval()(POOLED)[0, 0].item() == pytest.approx(-4.5)


def repeated_toy() -> nn.Sequential:
    """One channel of 1x2 cells that average pooling repeats to 2x2, and two linear layers."""
    net = nn.Sequential(
        nn.Conv2d(1, 1, 1), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4, 2), nn.ReLU(True), nn.Linear(2, 2)
    )
    state = {
        "0.weight": torch.ones(1, 1, 1, 1),
        "0.bias": torch.zeros(1),
        "3.weight": torch.tensor([[1.0, 2, 3, 4], [-1, -1, -1, -1]]),
        "3.bias": torch.tensor([0.0, 13]),
        "5.weight": torch.tensor([[1.0, 1], [2, -1]]),
        "5.bias": torch.zeros(2),
    }
    net.load_state_dict(state)
    return net


def test_pooling_that_repeats_cells_before_two_linear_layers() -> None:
    # Image 2 4 is pooled to 2 4 2 4; hidden 2 + 8 + 6 + 16 = 32 and 13 - 12 = 1, both active. Summed over the cells
    # their weights are 10 and -4, per cell of the map (of two) 5 and -2. alpha: 5 - 2 = 3, and 2 * 5 + 2 = 12.
    # Image 4 4: hidden 40 and 13 - 16 < 0, silent. alpha: 5, and 10.
    batch = torch.tensor([[[[2.0, 4]]], [[[4.0, 4]]]])
    cams = explain.grad_cam_all(repeated_toy(), batch, "0")
    torch.testing.assert_close(cams, torch.tensor([[[[6.0, 12]], [[24, 48]]], [[[20.0, 20]], [[40, 40]]]]))


def test_a_map_without_positive_evidence_is_all_zero() -> None:
    net = pooled_toy()
    net.load_state_dict(net.state_dict() | {"4.weight": torch.tensor([[-1.0, -2.0], [-1.0, 3.0]])})
    cam = explain.grad_cam(net, POOLED, [0], "0")
    assert cam.tolist() == [[[0.0] * 3] * 2]
    assert explain.grad_cam(net, POOLED, [1], "0").max() > 0


# The same as plain automatic differentiation, whichever way was chosen


class Functional(nn.Module):
    """A head of functions instead of modules: the batched gradients' case."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.hidden = nn.Linear(6, 8)
        self.last = nn.Linear(8, 5)

    def forward(self, batch: Tensor) -> Tensor:
        maps = F.relu(self.conv(batch), inplace=True)
        logits: Tensor = self.last(F.gelu(self.hidden(maps.mean((2, 3)))))
        return logits


class Scaled(nn.Module):
    """Looks like a pooled head by its attributes, but its forward doubles the maps in place where no module sees it."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(True))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(6, 5)
        self.where = where

    def forward(self, batch: Tensor) -> Tensor:
        maps: Tensor = self.features(batch)
        if self.where == "maps":
            maps.mul_(maps.detach().amax((1, 2, 3), keepdim=True) + 2)
        pooled = self.avgpool(maps).flatten(1)
        if self.where == "pooled":
            pooled *= torch.arange(1.0, 7).to(pooled)
        if self.where == "detached":
            pooled = pooled.detach()
        logits: Tensor = self.classifier(pooled)
        if self.where == "logits":
            logits.mul_(torch.arange(1.0, 6).to(logits))
        if self.where == "branch":
            return logits + maps.amax((2, 3))[:, :5]
        return logits


class Residual(nn.Module):
    """Ends like ResNet18: batch norm, the identity added in place, an in-place ReLU that ran before."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1)
        self.conv2 = nn.Conv2d(6, 6, 3, padding=1)
        self.bn = nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(6, 5)

    def forward(self, batch: Tensor) -> Tensor:
        start = self.relu(self.conv1(batch))
        maps = self.bn(self.conv2(start))
        maps += start
        logits: Tensor = self.fc(torch.flatten(self.avgpool(self.relu(maps)), 1))
        return logits


class Stubborn(torch.autograd.Function):
    """Doubles; its gradient leaves torch, which no batching over classes can follow."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return values * 2

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return torch.from_numpy(gradient.numpy() * 2)


class Unbatchable(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.linear = nn.Linear(6, 5)

    def forward(self, batch: Tensor) -> Tensor:
        doubled: Tensor = Stubborn.apply(self.conv(batch))
        logits: Tensor = self.linear(doubled.mean((2, 3)))
        return logits


class Shuffled(nn.Module):
    """The layer's output is a view that was made without gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.shuffle = nn.ChannelShuffle(2)
        self.swap = nn.Sequential(nn.Identity())
        self.swap.register_forward_hook(lambda _m, _a, output: output.transpose(2, 3))
        self.linear = nn.Linear(6, 5)

    def forward(self, batch: Tensor) -> Tensor:
        logits: Tensor = self.linear(self.swap(self.shuffle(self.conv(batch))).relu().mean((2, 3)))
        return logits


def stacked(*tail: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Conv2d(3, 6, 3), *tail, nn.Linear(8, 5))


WAYS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "gap": (lambda: SmallCNN(classes=6, widths=(4, 6, 8, 10), pool="average"), "features"),
    "gap, through batch norm and relu": (
        lambda: SmallCNN(classes=6, widths=(4, 6, 8, 10), pool="average"),
        "features.conv7",
    ),
    "gap, through convolutions": (lambda: SmallCNN(classes=6, widths=(4, 6, 8, 10), pool="average"), "features.relu3"),
    "gap, first layer": (lambda: SmallCNN(classes=6, widths=(4, 6, 8, 10), pool="average"), "features.conv1"),
    "overlapping maximum pooling": (
        stacked(
            nn.ReLU(True), nn.MaxPool2d(3, 2, padding=1), nn.AdaptiveAvgPool2d((2, 2)), nn.Flatten(), nn.Linear(24, 8)
        ),
        "1",
    ),
    "average pooling": (
        stacked(nn.AvgPool2d(3, 2, ceil_mode=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 8)),
        "0",
    ),
    "average pooling that counts its padding": (
        stacked(nn.AvgPool2d(3, 2, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 8)),
        "0",
    ),
    "average pooling with another divisor": (
        stacked(nn.AvgPool2d(2, divisor_override=3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 8)),
        "0",
    ),
    "adaptive maximum": (
        stacked(nn.AdaptiveMaxPool2d((2, 2)), nn.Flatten(), nn.Dropout(), nn.Linear(24, 8), nn.ReLU()),
        "0",
    ),
    "uneven adaptive windows": (
        stacked(nn.AdaptiveAvgPool2d((4, 3)), nn.Flatten(), nn.Linear(72, 8), nn.ReLU(True)),
        "0",
    ),
    "relu before flattening": (stacked(nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 8)), "0"),
    "another activation": (stacked(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 8), nn.Tanh()), "0"),
    "relu on the pooled values": (stacked(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.ReLU(), nn.Linear(6, 8)), "0"),
    "functions": (Functional, "conv"),
    "scaled maps": (lambda: Scaled("maps"), "features"),
    "scaled pooled values": (lambda: Scaled("pooled"), "features"),
    "scaled logits": (lambda: Scaled("logits"), "features"),
    "a branch": (lambda: Scaled("branch"), "features"),
    "identity added in place": (Residual, "bn"),
    "relu that runs twice": (Residual, "relu"),
    "early layer of a residual net": (Residual, "conv1"),
    "no batched gradient": (Unbatchable, "conv"),
    "a view": (Shuffled, "swap"),
    "shuffled channels": (Shuffled, "shuffle"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("inplace", [False, True])
def test_equals_plain_differentiation(way: str, inplace: bool) -> None:
    make, layer = WAYS[way]
    network, batch = in_place(seeded(make), inplace), images(3, 3, 20, 24)
    want = plain(network, batch, layer)
    assert_same(explain.grad_cam_all(network, batch, layer), want)
    targets = strongest(want)
    assert_same(explain.grad_cam(network, batch, targets, layer), want[torch.arange(3), targets])


class Alias(nn.Module):
    """Reads a tensor once more after an in-place ReLU has turned it into its own output."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 1)
        self.relu = nn.ReLU(inplace)
        self.linear = nn.Linear(2, 2)
        self.load_state_dict(
            {
                "conv.weight": torch.eye(2).view(2, 2, 1, 1),
                "conv.bias": torch.zeros(2),
                "linear.weight": torch.tensor([[1.0, -2.0], [-1.0, 3.0]]),
                "linear.bias": torch.zeros(2),
            }
        )

    def forward(self, batch: Tensor) -> Tensor:
        maps = self.conv(batch)
        logits: Tensor = self.linear((self.relu(maps) + maps).mean((2, 3)))
        return logits


@pytest.mark.parametrize(("inplace", "times"), [(False, 1.0), (True, 2.0)])
def test_another_name_of_the_same_maps_counts_too(inplace: bool, times: float) -> None:
    # As in the pooled toy, class 1 has 0 3 0 | 0 0 9. In place, `maps` is the ReLU's output, and its gradient doubles.
    cam = explain.grad_cam(Alias(inplace), POOLED, [1], "relu")
    torch.testing.assert_close(cam, times * torch.tensor([[[0.0, 3, 0], [0, 0, 9]]]))


@pytest.mark.parametrize("way", ["gap", "overlapping maximum pooling", "average pooling", "uneven adaptive windows"])
def test_no_backward_pass_where_the_head_allows_it(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, layer = WAYS[way]
    network, batch = seeded(make), images(2, 3, 24, 32)
    want = plain(network, batch, layer)

    def refuse(*_args: Any, **_options: Any) -> None:
        raise AssertionError("a backward pass ran")

    monkeypatch.setattr(torch.autograd, "grad", refuse)
    assert_same(explain.grad_cam_all(network, batch, layer), want)
    with pytest.raises(AssertionError, match="backward"):
        explain.grad_cam_all(seeded(Functional), batch, "conv")


def test_many_classes_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    network, batch = seeded(Functional), images(2, 3, 10, 12)
    whole = explain.grad_cam_all(network, batch, "conv")
    monkeypatch.setattr(explain, "_GRADIENTS_AT_ONCE", 2 * 2 * 6 * 8 * 10)  # two of the five classes
    assert_same(explain.grad_cam_all(network, batch, "conv"), whole, 1e-6)


@pytest.mark.parametrize("pixels", [64, 128])
def test_alexnet_whose_pooling_repeats_cells(pixels: int) -> None:
    """At 128 pixels torchvision's AlexNet has 3x3 features, which its pooling repeats to 6x6; at 64 just one cell."""
    network, batch = seeded(lambda: alexnet(4)).double(), images(2, 3, pixels, pixels).double()
    for layer in ("features.11", "features"):
        assert_same(explain.grad_cam_all(network, batch, layer), plain(network, batch, layer), 1e-6)


def test_alexnet_with_a_smaller_grid_and_widened_is_explained_alike() -> None:
    narrow = seeded(lambda: alexnet(4, grid=3)).double()
    wide = alexnet(4).double()
    wide.load_state_dict(widen(narrow.state_dict()))
    batch = images(2, 3, 128, 128).double()
    assert_same(explain.grad_cam_all(wide, batch, "features"), explain.grad_cam_all(narrow, batch, "features"), 1e-6)


# The same as captum, and as grad-cam where that is right


PEERS: dict[str, tuple[Callable[[], nn.Module], tuple[str, ...]]] = {
    "alexnet": (lambda: models.alexnet(num_classes=3), ("features", "features.10", "features.11", "features.3")),
    "vgg11": (lambda: models.vgg11(num_classes=3), ("features", "features.18")),
    "resnet18": (lambda: models.resnet18(num_classes=3), ("layer4", "layer4.1.bn2", "layer3")),
    "smallcnn": (
        lambda: SmallCNN(classes=3, widths=(8, 12, 16, 20), pool="average"),
        ("features", "features.bn7", "features.conv5"),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("peer", PEERS)
def test_equals_captum(peer: str) -> None:
    """In float64 to the last digits of the float32 result, in float32 within the rounding of the terms of the sum.

    The channels of a network with random weights nearly cancel out: a map can be a hundredth of its terms.
    """
    make, layers = PEERS[peer]
    network, batch = seeded(make), images(2, 3, 64, 80)
    exact = copy.deepcopy(network).double()
    for layer in layers:
        captum = LayerGradCam(exact, exact.get_submodule(layer))
        terms = [captum.attribute(batch.double(), target, attr_dim_summation=False).detach() for target in range(3)]
        want = torch.stack([term.sum(1).relu() for term in terms], 1)
        targets = strongest(want)
        one = captum.attribute(batch.double(), targets, relu_attributions=True).detach()[:, 0]
        assert_same(explain.grad_cam_all(exact, batch.double(), layer), want.float(), 1e-6)
        assert_same(explain.grad_cam(exact, batch.double(), targets, layer), one.float(), 1e-6)
        magnitude = torch.stack([term.abs().sum(1).amax((1, 2)) for term in terms], 1)  # (N, K)
        for found in (
            explain.grad_cam_all(network, batch, layer),
            torch.stack([explain.grad_cam(network, batch, [target] * 2, layer) for target in range(3)], 1),
        ):
            assert ((found - want).abs().amax((2, 3)) / magnitude).max() < 1e-5


def test_equals_grad_cam_after_its_double_normalisation() -> None:
    """At a layer that no in-place ReLU follows; the package is right there."""
    peer = pytest.importorskip("pytorch_grad_cam", reason="the package grad-cam is not installed")
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    network, batch = seeded(lambda: SmallCNN(classes=6, widths=(4, 6, 8, 10), pool="average")), images(2, 3, 32, 32)
    with peer.GradCAM(model=network, target_layers=[network.get_submodule("features")]) as cam:
        theirs = cam(input_tensor=batch, targets=[targets.ClassifierOutputTarget(index) for index in (1, 4)])
    ours = explain.grad_cam(network, batch, [1, 4], "features")

    def scaled(maps: Tensor) -> Tensor:
        low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
        return (maps - low) / (1e-7 + (high - low))

    enlarged = F.interpolate(scaled(ours)[:, None], (32, 32), mode="bilinear", align_corners=False)[:, 0]
    assert_same(scaled(enlarged), torch.from_numpy(theirs))


# Laws


def law_networks() -> list[tuple[nn.Module, str]]:
    return [(seeded(make), layer) for make, layer in (WAYS["gap"], WAYS["functions"], WAYS["uneven adaptive windows"])]


def test_a_batch_equals_its_images_one_by_one() -> None:
    batch = images(5, 3, 24, 32)
    for network, layer in law_networks():
        together = explain.grad_cam_all(network, batch, layer)
        singly = torch.cat([explain.grad_cam_all(network, image[None], layer) for image in batch])
        assert_same(together, singly)
        targets = strongest(together)
        one_class = [explain.grad_cam(network, batch[i : i + 1], targets[i : i + 1], layer) for i in range(5)]
        assert_same(explain.grad_cam(network, batch, targets, layer), torch.cat(one_class))


def test_no_images_give_no_maps() -> None:
    for network, layer in law_networks():
        classes, size = explain.grad_cam_all(network, images(1, 3, 24, 32), layer).shape[1:2], (24, 32)
        assert explain.grad_cam_all(network, torch.empty(0, 3, *size), layer).shape[:2] == (0, *classes)
        assert len(explain.grad_cam(network, torch.empty(0, 3, *size), torch.empty(0, dtype=torch.int64), layer)) == 0


def test_frozen_parameters_make_no_difference() -> None:
    batch = images(2, 3, 24, 32)
    for network, layer in law_networks():
        want = explain.grad_cam_all(network, batch, layer)
        frozen = network.requires_grad_(False)
        assert torch.equal(explain.grad_cam_all(frozen, batch, layer), want)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_an_outer_gradient_mode_makes_no_difference(mode: Callable[[], Any]) -> None:
    batch = images(2, 3, 24, 32)
    for network, layer in law_networks():
        want = explain.grad_cam_all(network, batch, layer)
        with mode():
            here = images(2, 3, 24, 32)  # under inference mode, a tensor that no gradient may be taken through
            before = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
            found = explain.grad_cam_all(network, here, layer)
            explain.grad_cam(network, here, torch.tensor([1, 2]), layer)
            assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == before
        assert torch.equal(found, want)
        assert not found.requires_grad


def test_layers_and_images_in_double_and_half_precision() -> None:
    network, batch = seeded(WAYS["gap"][0]), images(2, 3, 24, 32)
    want = explain.grad_cam_all(network, batch, "features")
    double = explain.grad_cam_all(copy.deepcopy(network).double(), batch.double(), "features")
    assert double.dtype == torch.float32
    assert_same(double, want)
    brief = explain.grad_cam_all(copy.deepcopy(network).bfloat16(), batch.bfloat16(), "features")
    assert brief.dtype == torch.float32
    assert_same(brief, want, 0.05)


class Fragile(nn.Module):
    """Raises after its convolution, and has parts in different modes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.relu = nn.ReLU(inplace=True)
        self.bn = nn.BatchNorm2d(6)
        self.drop = nn.Dropout()
        self.linear = nn.Linear(6, 5)
        self.breaks = False

    def forward(self, batch: Tensor) -> Tensor:
        maps = self.bn(self.relu(self.conv(batch)))
        if self.breaks:
            raise ArithmeticError("broken on purpose")
        logits: Tensor = self.linear(self.drop(maps).mean((2, 3)))
        return logits


def traces(network: nn.Module) -> list[Any]:
    """All that a careless explanation leaves behind."""
    hooks = [
        len(registered)
        for module in network.modules()
        for registered in (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
    ]
    tensors = [
        (
            tensor._version,
            tensor.requires_grad,
            tensor.data_ptr(),
            None if tensor.grad is None else tensor.grad.tolist(),
        )
        for tensor in network.state_dict(keep_vars=True).values()
    ]
    return [hooks, [module.training for module in network.modules()], tensors, torch.is_grad_enabled()]


@pytest.mark.parametrize("breaks", [False, True])
@pytest.mark.parametrize(
    "call",
    [
        lambda network, batch: explain.grad_cam(network, batch, [0, 1], "conv"),
        lambda network, batch: explain.grad_cam(network, batch, [0, 1]),
        lambda network, batch: explain.grad_cam_all(network, batch, "relu"),
        lambda network, batch: explain.channel_contributions(network, batch, [0, 1], "bn"),
        lambda network, batch: explain.feature_maps(network, batch, ["conv", "bn"]),
        lambda network, batch: explain.choose_layer(network, batch),
        lambda network, batch: explain.receptive_field(network, "conv", 10),
        lambda network, batch: explain.macs(network, (3, 10, 10)),
        lambda network, batch: explain.summary(network, (3, 10, 10)),
    ],
)
def test_nothing_is_left_behind(call: Callable[[nn.Module, Tensor], Any], breaks: bool) -> None:
    network = Fragile().train()
    network.bn.eval()
    network.conv.weight.requires_grad_(False)
    network.linear.weight.grad = torch.ones_like(network.linear.weight)
    network.breaks = breaks
    batch = images(2, 3, 10, 12)
    before, version, copied = traces(network), batch._version, batch.clone()
    if breaks:
        with pytest.raises(ArithmeticError):
            call(network, batch)
    else:
        call(network, batch)
    assert traces(network) == before
    assert (batch._version, batch.requires_grad) == (version, False)
    assert torch.equal(batch, copied)


def test_no_activation_outlives_the_call() -> None:
    """Reference counting alone frees them: nothing waits for the garbage collector on a small GPU."""
    for network, layer in law_networks():
        outputs: list[weakref.ref[Tensor]] = []
        for module in network.modules():
            module.register_forward_hook(lambda _m, _a, output, seen=outputs: seen.append(weakref.ref(output)))
        gc.disable()
        try:
            explain.grad_cam_all(network, images(2, 3, 24, 32), layer)
            alive = [reference for reference in outputs if reference() is not None]
        finally:
            gc.enable()
        assert outputs
        assert not alive


def test_images_survive_a_network_that_begins_in_place() -> None:
    network = nn.Sequential(nn.ReLU(True), nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    batch = images(2, 3, 8, 8)
    copied = batch.clone()
    explain.grad_cam(network, batch, [0, 1], "0")
    explain.feature_maps(network, batch, ["0"])
    explain.choose_layer(network, batch)
    assert torch.equal(batch, copied)


def test_a_users_own_hooks_are_part_of_the_network() -> None:
    """A hook that changes a module's output lies between the modules, so the closed form must not be taken."""
    network, batch = seeded(WAYS["gap"][0]), images(2, 3, 24, 32)
    handle = network.get_submodule("head.pool").register_forward_hook(lambda _m, _a, output: output**2)
    want = plain(network, batch, "features")
    assert_same(explain.grad_cam_all(network, batch, "features"), want)
    handle.remove()
    assert (explain.grad_cam_all(network, batch, "features") - want).abs().max() > 1e-3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_gpu_equals_cpu() -> None:
    batch = images(3, 3, 24, 32)
    for network, layer in law_networks():
        want = explain.grad_cam_all(network, batch, layer)
        there = copy.deepcopy(network).cuda()
        assert_same(explain.grad_cam_all(there, batch.cuda(), layer).cpu(), want, 1e-3)
        chosen = explain.grad_cam(there, batch.cuda(), [1, 2, 3], layer)
        assert_same(chosen.cpu(), want[torch.arange(3), torch.tensor([1, 2, 3])], 1e-3)


# Layers


@pytest.mark.parametrize(
    ("make", "pixels", "layer"),
    [
        (lambda: SmallCNN(widths=(4, 6, 8, 10)), 64, "features"),
        (lambda: alexnet(4), 128, "features.11"),
        (lambda: models.resnet18(num_classes=4), 64, "layer4"),
        (lambda: models.squeezenet1_1(num_classes=4), 64, "classifier.2"),
        (lambda: models.mobilenet_v3_small(num_classes=4), 64, "features"),
        (Residual, 16, "relu"),
        (Functional, 16, "conv"),
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


class Odd(nn.Module):
    """A layer that never runs, one that gives a pair, one that is detached, and logits on demand in the wrong form."""

    def __init__(self, wrong: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.pair = nn.MaxPool2d(2, return_indices=True)
        self.idle = nn.Conv2d(4, 4, 1)
        self.probe = nn.Linear(4, 3)
        self.wrong = wrong

    def forward(self, batch: Tensor) -> Tensor:
        maps, _ = self.pair(self.conv(batch))
        logits: Tensor = self.probe(maps.mean((2, 3)).detach())
        return logits[:, :, None] if self.wrong else logits


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("idle", "layer 'idle' does not run"),
        ("pair", r"layer 'pair': expected feature maps \(2, C, h, w\), got a tuple"),
        ("probe", r"layer 'probe': expected feature maps \(2, C, h, w\), got \(2, 3\)"),
        ("conv", "layer 'conv': the logits do not depend on it"),
    ],
)
def test_layers_that_cannot_be_explained(layer: str, message: str) -> None:
    for network in (Odd(), Odd().requires_grad_(False)):
        with pytest.raises(InputError, match=message):
            explain.grad_cam_all(network, images(2, 3, 8, 8), layer)


def test_a_detached_head_is_no_way_to_the_layer() -> None:
    with pytest.raises(InputError, match="layer 'features': the logits do not depend on it"):
        explain.grad_cam_all(Scaled("detached"), images(2, 3, 8, 8), "features")


def test_a_network_that_gives_no_logits() -> None:
    with pytest.raises(InputError, match=r"expected logits \(N, K\) = \(2, K\), got \(2, 3, 1\)"):
        explain.grad_cam(Odd(wrong=True), images(2, 3, 8, 8), [0, 0], "conv")


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([1], r"one class index for each of 4 images, got \(1,\)"),
        (torch.tensor(1), r"one class index for each of 4 images, got \(\)"),
        ([0.0, 1.0, 1.0, 0.0], "torch.float32"),
        ([0, 1, 2, 0], "class indices from 0 to 1, got 2"),
        ([0, 1, -1, 0], "class indices from 0 to 1, got -1"),
    ],
)
def test_targets_that_do_not_fit(targets: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        explain.grad_cam(pooled_toy(), POOLED.expand(4, -1, -1, -1), targets, "0")


def test_images_must_be_normalised_floats() -> None:
    with pytest.raises(ValueError, match=r"expected \(N, C, H, W\) float"):
        explain.grad_cam(pooled_toy(), POOLED.to(torch.uint8), [0], "0")
    with pytest.raises(ValueError, match=r"got \(2, 2, 3\)"):
        explain.grad_cam_all(pooled_toy(), POOLED[0], "0")


# Receptive fields


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


# Cost and summary


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
        ("5", "flatten", "4"),
        ("6", "dropout, 25%", "4"),
        ("7", "linear, 4 → 5", "5"),
    )
    with pytest.raises(ValueError, match=r"expected \(C, H, W\) of one image, got \(1, 3, 19, 23\)"):
        explain.summary(net, (1, 3, 19, 23))
