"""Networks of every family that torchvision has, small and untrained, from somebody's file to one whole report."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from generator.__main__ import main
from generator.base.names import slug
from tests.data_sets import kitchen

NETS = """
import torch
import torch.nn.functional as F
from torch import nn
from torchvision import models
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.mobilenetv3 import InvertedResidualConfig
from torchvision.models.regnet import BlockParams


class Functions(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 6, 3, padding=1)
        self.fc = nn.Linear(6 * 64, num_classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc(torch.flatten(x, 1))


def residual(num_classes):
    network = models.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1], num_classes)
    network.layer3, network.layer4 = nn.Identity(), nn.Identity()
    network.fc = nn.Linear(128, num_classes)
    return network


def dense(num_classes):
    return models.DenseNet(4, (1, 1), 8, num_classes=num_classes)


def regnet(num_classes):
    blocks = BlockParams([1, 1], [8, 16], [8, 8], [1.0, 1.0], [2, 2], se_ratio=0.25)
    return models.RegNet(blocks, num_classes=num_classes, stem_width=8)


def convnext(num_classes):
    return models.ConvNeXt([CNBlockConfig(8, 16, 1), CNBlockConfig(16, None, 1)], num_classes=num_classes)


def mobile(num_classes):
    blocks = [
        InvertedResidualConfig(16, 3, 16, 16, True, "RE", 2, 1, 1),
        InvertedResidualConfig(16, 3, 24, 24, True, "HS", 1, 1, 1),
    ]
    return models.MobileNetV3(blocks, 32, num_classes=num_classes)


def deep(num_classes):
    return models.ResNet(models.resnet.Bottleneck, [1, 1, 1, 1], num_classes)


def perceptron(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 16), nn.ReLU(), nn.Linear(16, num_classes))


def transformer(num_classes):
    return models.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=num_classes)
"""
NAMES = ("Functions", "residual", "dense", "regnet", "convnext", "mobile")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


def built(folder: Path, names: Sequence[str], samples: str = "", size: int = 32, more: str = "") -> dict[str, Any]:
    """What results.json says of a report of untrained networks, built strictly.

    Args:
        samples, more: lines of the tables [samples] and [models.<id>].
    """
    kitchen(folder / "things", {"train": 3, "val": 2}, ("cups", "forks", "spoons"))
    (folder / "nets.py").write_text(NETS)
    text = f'[data]\nroot = "things"\n[samples]\nbundled = false\ntest_images = 2\n{samples}\n'
    for name in names:
        text += (
            f'[models.{name}]\narchitecture = "nets.py:{name}"\nweights = "random"\ninput = {{size = {size}}}\n{more}\n'
        )
    (folder / "report.toml").write_text(text)
    assert main(["build", "--strict", "--config", str(folder / "report.toml"), "--offline"]) == 0
    results: dict[str, Any] = json.loads((folder / "site" / "results.json").read_text("utf-8"))
    return results


def test_a_report_of_six_families(tmp_path: Path) -> None:
    results = built(tmp_path, NAMES)
    assert list(results["networks"]) == list(NAMES)
    for name, layer, stages in (
        ("Functions", "conv2+relu", ["conv1+relu", "conv2+relu"]),
        ("residual", "layer2", ["relu", "layer1", "layer2"]),
        ("dense", "features+relu", ["features.relu0", "features.denseblock1", "features+relu"]),
        ("regnet", "trunk_output", ["stem", "trunk_output.block1", "trunk_output"]),
        ("convnext", "features", ["features.1", "features"]),
        ("mobile", "features", ["features.0", "features"]),
    ):
        explained = next(iter(results["networks"][name]["photos"].values()))
        assert explained["cam_layer"] == layer, name
        assert [stage["layer"] for stage in explained["stages"]] == stages, name
        # Each channel that gave to the answer has its strongest patches: no struck-out square.
        assert explained["contributors"], name
    notes = results["networks"]["convnext"]["notes"]
    assert any("Guided backprop is left out: no ReLU lies between" in note for note in notes)


@pytest.mark.parametrize("names", [("perceptron",), ("perceptron", "Functions")])
def test_networks_without_a_layer_to_explain_have_a_report_too(tmp_path: Path, names: tuple[str, ...]) -> None:
    results = built(tmp_path, names, 'photos = ["things/val/cups/0.png"]')
    pages = {path.name: path.read_text("utf-8") for path in (tmp_path / "site").glob("*.html")}
    heat = pages["grad-cam-own-0.html"]
    assert ("<title>0 – Grad-CAM –" in heat) == ("Functions" in names)
    for name in set(names) - {"Functions"}:
        looks = results["networks"][name]["photos"]
        assert {look["cam_layer"] for look in looks.values()} == {None}
        assert {"occlusion", "integrated gradients"} <= {way["name"] for way in looks["own-0"]["ways"]}
        assert f'id="{name}-ways-own-0"' in heat
        assert f'id="{name}-cam-own-0-predicted"' not in heat
        assert "Grad-CAM, Grad-CAM++, LayerCAM and Score-CAM are left out: " in heat
        test = pages["grad-cam-validation-val-cups-0.html"]
        assert f"No heat map was made of this photo for {name}." in test
    assert ("filters.html" in pages) == (names != ("perceptron",))


def test_a_transformer_is_explained_at_the_last_tokens_that_have_a_gradient(tmp_path: Path) -> None:
    results = built(tmp_path, ["transformer"], 'photos = ["things/val/cups/0.png"]')
    looks = results["networks"]["transformer"]["photos"]
    assert {look["cam_layer"] for look in looks.values()} == {"encoder.layers.encoder_layer_1.ln_1"}
    ways = [way["name"] for way in looks["own-0"]["ways"]]
    assert {"Grad-CAM", "LayerCAM", "occlusion", "integrated gradients"} <= set(ways)
    heat = (tmp_path / "site" / "grad-cam-own-0.html").read_text("utf-8").replace("\u00a0", " ")
    assert "<title>0 – Grad-CAM –" in heat
    assert 'id="transformer-cam-own-0-predicted"' in heat
    assert "4 × 4 cells" in heat  # of patches, without the class token
    assert "Grad-CAM looks at the tokens of encoder.layers.encoder_layer_1.ln_1, the last output whose 4 × 4" in heat
    blocks = [f"encoder.layers.encoder_layer_{number}" for number in (0, 1)]
    assert [stage["layer"] for stage in looks["own-0"]["stages"]][-2:] == blocks
    inside = (tmp_path / "site" / "feature-maps-own-0.html").read_text("utf-8")
    for block in blocks:
        assert f'id="transformer-heads-own-0-{slug(block)}"' in inside
    trust = (tmp_path / "site" / "trust.html").read_text("utf-8")
    assert "On 1 photo of this report, each for what " in trust
    checks = {check["method"]: check for check in results["networks"]["transformer"]["checks"]}
    assert {"Grad-CAM", "attention rollout", "occlusion"} <= set(checks)
    assert checks["Grad-CAM"]["asked"] == 1
    assert "(16 of 16 do)" in heat
    assert "attention rollout" in ways
    about = (tmp_path / "site" / "about.html").read_text("utf-8")
    assert "encoder.layers.encoder_layer_1.ln_2 (0)" in about  # tried before, and why not


def test_a_large_network_has_pages_for_its_stages(tmp_path: Path) -> None:
    results = built(tmp_path, ["deep"], size=64)
    network = results["networks"]["deep"]
    assert [layer["name"] for layer in network["layers"]] == ["conv1", "layer1", "layer2", "layer3", "layer4"]
    pages = {path.name: path for path in (tmp_path / "site").glob("filters*.html")}
    assert set(pages) == {"filters.html", "filters-deep-conv1.html"} | {
        f"filters-deep-stage{number}.html" for number in range(2, 6)
    }
    last = network["layers"][-1]
    assert (last["channels"], len(last["units"]["channel"]), last["weights"]) == (2048, 128, None)
    assert network["selection"]["convolutions"] == 16
    # What answers are made of leads to the pages of those channels that have one.
    listed = {f"filters-deep-stage5.html#deep-stage5-{channel}" for channel in last["units"]["channel"]}
    page = (tmp_path / "site" / "grad-cam.html").read_text("utf-8")
    linked = set(re.findall(r'href="(filters-deep-[^"]+)"', page))
    assert linked
    assert linked <= listed
    data = json.loads((tmp_path / "site" / "assets" / "data" / "filters.json").read_text("utf-8"))
    assert len(data["deep-convolutions"]["rows"]) == 17
    assert (tmp_path / "site" / "results.json").stat().st_size < 100 * 1024


def test_report_toml_names_the_layers_with_pages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = 'show = ["conv2+relu", "conv2"]\nchannels = 2'
    results = built(tmp_path, ["Functions"], more=more)
    found = results["networks"]["Functions"]["layers"]
    assert [layer["title"] for layer in found] == ["convolution 2", "the end of stage 2"]
    assert [len(layer["units"]["channel"]) for layer in found] == [2, 2]
    site = tmp_path / "site"
    assert {path.name for path in site.glob("filters-*.html")} == {
        "filters-Functions-conv2.html", "filters-Functions-stage2.html",
    }  # fmt: skip
    text = (tmp_path / "report.toml").read_text().replace('"conv2"]', '"conv3"]')
    (tmp_path / "report.toml").write_text(text)
    capsys.readouterr()
    assert main(["build", "--config", str(tmp_path / "report.toml"), "--offline"]) == 1
    said = capsys.readouterr().err
    assert "error: [models.Functions] show: expected names of layers that give maps, got 'conv3'; nearest: conv" in said
    assert "explaining" not in said
