"""Networks of several architectures that a page must be able to run, with photos for them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generator.live.running import dequantised
from generator.networks.loaded import Loaded
from generator.networks.small_cnn import SmallCNN
from generator.records.images import Photo
from generator.records.input import Input, square
from generator.records.live import Live
from tests.loaded import loaded

SIZE = 20
CLASSES = ("bee", "koala", "lion", "pizza", "umbrella")


class Functional(nn.Module):
    """Pooling, ReLU and flattening as functions, a head of two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, padding="same")
        self.conv2 = nn.Conv2d(6, 7, 3)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.fc1 = nn.Linear(7 * 4 * 4, 11)
        self.fc2 = nn.Linear(11, len(CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 20, 20) -> (N, 5)."""
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(self.conv2(x).relu())
        x = F.dropout(x.view(x.size(0), -1) if x.dim() == 4 else x, training=False)
        return self.fc2(torch.relu(self.fc1(x)))  # type: ignore[no-any-return]


class Plain(Functional):
    """The same without a branch that tracing cannot follow."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 20, 20) -> (N, 5)."""
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(self.conv2(x).relu())
        x = F.dropout(x.view(x.size(0), -1), training=False)
        return self.fc2(torch.relu(self.fc1(x)))  # type: ignore[no-any-return]


def gmp() -> nn.Module:
    """As SmallCNN ships, narrow."""
    return SmallCNN(len(CLASSES), widths=(6, 8, 9, 10), kernel=5, pool="max")


def gap() -> nn.Module:
    """As SmallCNN shipped before."""
    return SmallCNN(len(CLASSES), widths=(6, 8, 9, 10), kernel=3, pool="average")


def strided() -> nn.Module:
    """Stride, no padding, uneven kernels, no batch norm; the maps are no squares."""
    return nn.Sequential(
        nn.Conv2d(3, 5, (5, 3), stride=(2, 1)), nn.ReLU(),
        nn.Conv2d(5, 6, 2, stride=2, bias=False), nn.ReLU(),
        nn.Conv2d(6, 7, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(7, len(CLASSES)),
    )  # fmt: skip


def sliding() -> nn.Module:
    """Kernels five wide and of other heights, moved by one and by two rows."""
    return nn.Sequential(
        nn.Conv2d(3, 6, (3, 5), stride=(2, 1), padding=(0, 1)), nn.ReLU(),
        nn.Conv2d(6, 5, 5, padding=2), nn.BatchNorm2d(5), nn.ReLU(),
        nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(5, len(CLASSES)),
    )  # fmt: skip


def flattened() -> nn.Module:
    """Batch norm before and after the ReLU, a head of three linear layers with batch norm and dropout."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(8), nn.Conv2d(8, 6, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(), nn.Linear(6 * 4 * 4, 12), nn.BatchNorm1d(12), nn.ReLU(),
        nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, len(CLASSES)),
    )  # fmt: skip


def tangled() -> nn.Module:
    """The explained maps lie before pooling, batch norm and ReLU; the head begins with the last two."""
    return nn.Sequential(
        nn.BatchNorm2d(3), nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3, padding=2), nn.MaxPool2d(3, 2, 1),
        nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.BatchNorm1d(6 * 10 * 10), nn.ReLU(), nn.Dropout(),
        nn.Linear(6 * 10 * 10, len(CLASSES)),
    )  # fmt: skip


class Twice(nn.Module):
    """One ReLU and one pooling for all, both also as functions; the maximum as a tensor's method."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3)
        self.conv2 = nn.Conv2d(6, 8, 3)
        self.relu = nn.ReLU(inplace=True)
        self.drop = nn.Dropout2d()
        self.fc = nn.Linear(8, len(CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 20, 20) -> (N, 5)."""
        x = F.max_pool2d(self.relu(self.conv1(x)), 2, stride=2)
        x = F.dropout(self.relu(self.drop(self.conv2(x))), 0.5, self.training)
        return self.fc(x.amax((2, 3)))  # type: ignore[no-any-return]


def wide() -> nn.Module:
    """For images of 12 x 44 pixels: a head that knows each place, uneven maps."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 7, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(7 * 3 * 11, len(CLASSES)),
    )  # fmt: skip


def grey() -> nn.Module:
    """For grey images of any size."""
    return nn.Sequential(
        nn.Conv2d(1, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 6, (1, 4), stride=2), nn.ReLU(),
        nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(6, len(CLASSES)),
    )  # fmt: skip


# Networks that take images otherwise than as a square in colour.
INPUTS: dict[str, tuple[Callable[[], nn.Module], Input]] = {
    "wide": (wide, Input((12, 44), crop="none", mean=(123.7, 116.3, 103.5), std=(58.4, 57.1, 57.4), range=255.0)),
    "wide, cut out": (gap, Input((20, 36), interpolation="bicubic")),
    "blue first": (gap, Input((20, 20), mean=(0.4, 0.45, 0.48), order="bgr")),
    "high and grey": (grey, Input((41, 18), 30, channels=1, mean=(0.1307,), std=(0.3081,))),
    "grey": (grey, Input((28, 28), channels=1, mean=(0.5,), std=(0.5,), interpolation="lanczos")),
}

ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {
    "global maximum": gmp,
    "global average": gap,
    "stride, no padding, no batch norm": strided,
    "kernels five wide": sliding,
    "three linear layers": flattened,
    "functions": Plain,
    "pooling before batch norm": tangled,
    "modules used twice": Twice,
}


def made(build: Callable[[], nn.Module], seed: int = 0, layer: str = "", way: Input | None = None) -> Loaded:
    """The network with random weights and batch norms of both signs, in eval mode."""
    torch.manual_seed(seed)
    network = build()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
            if module.running_mean is None or module.running_var is None:
                continue
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return loaded(network, CLASSES, way or square(SIZE), layer=layer)


def photos(count: int = 4, seed: int = 0) -> tuple[Photo, ...]:
    """Blotches of colour, 33 x 40 pixels."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        coarse = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
        pixels = coarse.repeat(7, 0).repeat(7, 1)[:33, :40]
        found.append(Photo(f"p{number}", f"Photo {number}", np.ascontiguousarray(pixels), "own"))
    return tuple(found)


def rebuilt(live: Live) -> nn.Sequential:
    """The page's steps as modules with the page's own weights, for PyTorch to run; layer "i" is step i."""
    modules: list[nn.Module] = []
    for step in live.steps:
        module: nn.Module
        if step.kind in ("conv", "linear"):
            weight, bias = dequantised(step), torch.tensor(step.biases)
            if step.kind == "linear":
                module = nn.Linear(weight.shape[1], len(weight))
            else:
                weight = weight.view(len(weight), -1, *step.kernel)
                module = nn.Conv2d(weight.shape[1], len(weight), step.kernel, step.stride, step.padding)
            module.weight = nn.Parameter(weight)
            module.bias = nn.Parameter(bias)
        elif step.kind == "scale":
            module = Scale(torch.tensor(step.factors), torch.tensor(step.biases))
        elif step.kind == "global":
            pooled = nn.AdaptiveMaxPool2d(1) if step.pool == "max" else nn.AdaptiveAvgPool2d(1)
            module = nn.Sequential(pooled, nn.Flatten())
        else:
            pooling = nn.MaxPool2d(step.kernel, step.stride, step.padding)
            module = {"relu": nn.ReLU(), "maxpool": pooling, "flatten": nn.Flatten()}[step.kind]
        modules.append(module)
    return nn.Sequential(*modules).eval()


class Scale(nn.Module):
    """A factor and a bias for each channel."""

    def __init__(self, factors: Tensor, biases: Tensor) -> None:
        super().__init__()
        self.register_buffer("factors", factors)
        self.register_buffer("biases", biases)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) or (N, C) -> the same."""
        shape = (-1, *[1] * (x.dim() - 2))
        return x * self.get_buffer("factors").view(shape) + self.get_buffer("biases").view(shape)
