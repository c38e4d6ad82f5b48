"""A report of a network that nobody can look into: an ONNX file, from its own report.toml to pages."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generator.__main__ import main
from tests.data_sets import kitchen

onnx = pytest.importorskip("onnx", reason="ONNX files are made with the package onnx, which is not installed")
pytest.importorskip("onnxruntime", reason="ONNX files are run by onnxruntime, which is not installed")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

REPORT = """
[data]
root = "things"

[models.net]
title = "Net"
architecture = "net.onnx"
input = {size = 24, mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25]}

[explain]
methods = ["occlusion", "RISE"]
"""


def saved(path: Path) -> None:
    """A convolution of a channel each, rectified, averaged and told apart: right about a kitchen's things, not sure."""
    helper, numbers = onnx.helper, onnx.numpy_helper
    kernels = np.zeros((3, 3, 3, 3), np.float32)
    for channel in range(3):
        kernels[channel, channel, 1, 1], kernels[channel, (channel + 1) % 3, 1, 1] = 1, -0.5
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["images", "kernels"], ["sums"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["sums"], ["maps"]),
            helper.make_node("GlobalAveragePool", ["maps"], ["means"]),
            helper.make_node("Flatten", ["means"], ["logits"]),
        ],
        "net",
        [helper.make_tensor_value_info("images", 1, ["N", 3, 24, 24])],
        [helper.make_tensor_value_info("logits", 1, ["N", 3])],
        [numbers.from_array(kernels, "kernels")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    entry = model.metadata_props.add()
    entry.key, entry.value = "names", "{0: 'cups', 1: 'forks', 2: 'spoons'}"
    onnx.save(model, path)


def text(page: Path) -> str:
    """What readers see of a page."""
    within = re.sub(r"(?s)<(script|style|head)\b.*?</\1>", " ", page.read_text("utf-8"))
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", within)).replace("\xa0", " ")


def test_a_report_of_an_onnx_file_claims_what_answers_alone_can_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kitchen(tmp_path / "things", {"train": 3, "test": 4}, ("cups", "forks", "spoons"))
    saved(tmp_path / "net.onnx")
    (tmp_path / "report.toml").write_text(REPORT)
    monkeypatch.chdir(tmp_path)
    assert main(["build", "--strict", "--offline"]) == 0
    told = capsys.readouterr().err
    assert (
        "cannot try it on the page, for the network is an ONNX file, which onnxruntime runs without gradients" in told
    )
    site = tmp_path / "site"
    assert main(["check"]) == 0

    net: dict[str, Any] = json.loads((site / "results.json").read_text("utf-8"))["networks"]["net"]
    assert net["evaluation"]["splits"]["test"]["top1"] == 1.0
    names = {path.name for path in site.glob("*.html")}
    assert not [name for name in names if name.startswith(("filters", "feature-maps", "try", "training"))]
    pages = {name: text(site / name) for name in names}
    assert "There are no pages of filters and feature maps: Net cannot be looked into." in pages["index.html"]

    maps = pages["grad-cam.html"]
    for said in (
        "occlusion no gradients: a grey square",
        "RISE no gradients: random masks",
        "Net is run from a file that shows no layer, whose maps Grad-CAM could weigh.",
        "What is left asks for none, nor for gradients: these maps are made of answers alone.",
        "Petsiuk et al. 2018",
    ):
        assert said in maps
    for name, page in pages.items():
        for claim in ("ntegrated gradients", "uided backprop", "LayerCAM", "Score-CAM", "Grad-CAM weighs", "attention"):
            assert claim not in page, (name, claim)
    assert "strongest of each map" in maps
    assert "strongest of a photo’s maps" not in maps
    assert "What no map promises" in pages["trust.html"]
    assert "so that its maps were not compared with those of random weights" in pages["trust.html"]
    assert "convolution" not in pages["index.html"]
