"""Small networks with answers worked out by hand, Grad-CAM by its definition, and how maps are compared."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import models

from generator import explain
from generator.networks.small_cnn import SmallCNN


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def seeded(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """A network with random weights, and batch norm statistics that are not 0 and 1; the global seed stays."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = make()
        for module in network.modules():
            if isinstance(module, nn.Linear):
                module.reset_parameters()  # `stacked` made some of them elsewhere
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
    """Equal within `tolerance` of each image's value that is largest in size."""
    assert got.shape == want.shape
    assert want.abs().amax() > 0, "the test would pass on empty maps"
    scale = want.abs().flatten(1).amax(1).clamp_min(1e-30).view(-1, *[1] * (want.dim() - 1))
    assert ((got - want).abs() / scale).max().item() <= tolerance


def strongest(cams: Tensor) -> Tensor:
    """(N,) the class with the largest map of each image: of a nearly empty map, rounding is a large part."""
    return cams.amax((2, 3)).argmax(1)


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


def pooled_toy(pooling: type[nn.Module] = nn.AdaptiveAvgPool2d) -> nn.Sequential:
    """Two channels handed through, pooled to one cell, and weighed by [[1, -2], [-1, 3]] with biases 0.5 and 0."""
    net = nn.Sequential(nn.Conv2d(2, 2, 1), pooling(1), nn.Flatten(), nn.Dropout(), nn.Linear(2, 2))
    state = {
        "0.weight": torch.eye(2).view(2, 2, 1, 1),
        "0.bias": torch.zeros(2),
        "4.weight": torch.tensor([[1.0, -2.0], [-1.0, 3.0]]),
        "4.bias": torch.tensor([0.5, 0.0]),
    }
    net.load_state_dict(state)
    return net


POOLED = torch.tensor([[[[6.0, 0, 0], [0, 12, 0]], [[0, 6, 0], [0, 0, 18]]]])  # means 3 and 4, maxima 12 and 18


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


class Maximum(nn.Module):
    """Global maximum pooling by a function, whose gradient is shared among equal maxima."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.last = nn.Linear(6, 5)

    def forward(self, batch: Tensor) -> Tensor:
        logits: Tensor = self.last(F.relu(self.conv(batch)).amax((2, 3)))
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
    return lambda: nn.Sequential(nn.Conv2d(3, 6, 3), *copy.deepcopy(tail), nn.Linear(8, 5))


WAYS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "gap": (lambda: SmallCNN(classes=6, widths=(4, 6, 8, 10), pool="average"), "features"),
    "gap, through batch norm and relu": (
        lambda: SmallCNN(classes=6, widths=(4, 6, 8, 10), pool="average"),
        "features.conv7",
    ),
    "gap, through convolutions": (lambda: SmallCNN(classes=6, widths=(4, 6, 8, 10), pool="average"), "features.relu3"),
    "gap, first layer": (lambda: SmallCNN(classes=6, widths=(4, 6, 8, 10), pool="average"), "features.conv1"),
    "global maximum": (lambda: SmallCNN(classes=6, widths=(4, 6, 8, 10)), "features"),
    "global maximum, through batch norm and relu": (
        lambda: SmallCNN(classes=6, widths=(4, 6, 8, 10)),
        "features.conv7",
    ),
    "global maximum, through convolutions": (lambda: SmallCNN(classes=6, widths=(4, 6, 8, 10)), "features.relu3"),
    "global maximum by a function": (Maximum, "conv"),
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


def narrowed(network: nn.Module) -> nn.Module:
    """AlexNet or VGG with hidden layers of 256 units instead of 4096: a hundredth of the work."""
    classifier = network.get_submodule("classifier")
    assert isinstance(classifier, nn.Sequential)
    for index, module in enumerate(classifier):
        if isinstance(module, nn.Linear):
            first = module.in_features != 4096
            classifier[index] = nn.Linear(module.in_features if first else 256, min(module.out_features, 256))
    return network


PEERS: dict[str, tuple[Callable[[], nn.Module], tuple[str, ...]]] = {
    "alexnet": (
        lambda: narrowed(models.alexnet(num_classes=3)),
        ("features", "features.10", "features.11", "features.3"),
    ),
    "vgg11": (lambda: narrowed(models.vgg11(num_classes=3)), ("features", "features.18")),
    "resnet18": (lambda: models.resnet18(num_classes=3), ("layer4", "layer4.1.bn2", "layer3")),
    "smallcnn": (lambda: SmallCNN(classes=3, widths=(8, 12, 16, 20)), ("features", "features.bn7", "features.conv5")),
    "smallcnn, average": (
        lambda: SmallCNN(classes=3, widths=(8, 12, 16, 20), pool="average"),
        ("features", "features.bn7", "features.conv5"),
    ),
}

# Of a model, images and targets; where nobody names a layer it is chosen.
OF_TARGETS = (
    explain.grad_cam,
    explain.grad_cam_plus_plus,
    explain.layer_cam,
    explain.score_cam,
    explain.guided_backprop,
    explain.integrated_gradients,
    explain.channel_contributions,
)
