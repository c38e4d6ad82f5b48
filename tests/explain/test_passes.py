"""Forward passes and what is refused before, in and after them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from generator import explain
from generator.base.errors import InputError
from tests.explain.nets import POOLED, RAMP, Scaled, images, pooled_toy, rectified_toy


def test_feature_maps_are_those_before_an_in_place_relu() -> None:
    maps = explain.feature_maps(rectified_toy(True), RAMP, ["relu", "conv"])
    assert list(maps) == ["relu", "conv"]
    assert maps["conv"].tolist() == [[[[-5.0, 4.0], [31.0, 40.0]], [[-30.0, -21.0], [6.0, 15.0]]]]
    assert maps["relu"].tolist() == [[[[0.0, 4.0], [31.0, 40.0]], [[0.0, 0.0], [6.0, 15.0]]]]


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


def test_torchs_compiler_is_not_loaded() -> None:
    """It takes more than a second and 150 MB; in a process of its own, for other tests load it."""
    code = """
import sys, torch
from torch import nn
from generator import explain
net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
images = torch.rand(1, 3, 8, 8)
for method in (explain.grad_cam, explain.grad_cam_all, explain.integrated_gradients, explain.occlude):
    method(net, images)
explain.macs(net, (3, 8, 8)), explain.summary(net, (3, 8, 8)), explain.points(net, images)
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
