"""ONNX files: what they give by hand, what is read of them, and what is refused in one line."""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from generator.base.errors import InputError
from generator.config.schema import ModelConfig
from generator.data.classes import without_data
from generator.networks import catalogue
from generator.networks.loaded import Loaded
from generator.networks.sources import onnx_files

onnx = pytest.importorskip("onnx", reason="ONNX files are made with the package onnx, which is not installed")
pytest.importorskip("onnxruntime", reason="ONNX files are run by onnxruntime, which is not installed")

WEIGHTS = np.array([[1, 0, 0], [0, 2, 0]], np.float32)  # logits: the mean of red, twice the mean of green
NAMES = ("red", "green")


def saved(
    path: Path,
    shape: Sequence[int | str] = ("N", 3, 6, 8),
    told: dict[str, str] | None = None,
    kind: int = 1,
    softmax: bool = False,
    last: bool = False,
) -> Path:
    """A file of a network of two classes: the mean over the image, and a product."""
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    axes = [1, 2] if last else [2, 3]
    steps = [
        helper.make_node("ReduceMean", ["images", "axes"], ["means"], keepdims=0)
        if len(shape) == 4
        else helper.make_node("Identity", ["images"], ["means"]),
        helper.make_node("Gemm", ["means", "weights"], ["logits"], transB=1),
    ]
    if softmax:
        steps.append(helper.make_node("Softmax", ["logits"], ["shares"], axis=1))
    of = onnx.helper.tensor_dtype_to_np_dtype(kind)
    graph = helper.make_graph(
        steps,
        "net",
        [helper.make_tensor_value_info("images", kind, list(shape))],
        [helper.make_tensor_value_info("shares" if softmax else "logits", kind, ["N", 2])],
        [numpy_helper.from_array(np.array(axes), "axes"), numpy_helper.from_array(WEIGHTS.astype(of), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    for key, value in (told or {}).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.save(model, path)
    return path


def loaded(folder: Path, **more: Any) -> Loaded:
    wanted = ModelConfig("net", folder / "net.onnx", architecture="net.onnx", **more)
    return catalogue._whole(wanted, without_data(NAMES), None, folder)


def images(high: int = 6, wide: int = 8) -> torch.Tensor:
    """Three images of one colour each: red 1, green 1, and half of both."""
    colours = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0.5, 0.5, 0]])
    return colours[:, :, None, None].expand(3, 3, high, wide)


WANTED = torch.tensor([[1, 0], [0, 2], [0.5, 1]])


@pytest.mark.parametrize(
    ("more", "shape", "batch"),
    [
        ({}, (3, 6, 8), 0),
        ({"shape": (1, 3, 6, 8)}, (3, 6, 8), 1),
        ({"shape": ("N", 3, "H", "W")}, (3, None, None), 0),
        ({"shape": ("N", 3, "H", "W"), "told": {"imgsz": "[6, 8]"}}, (3, 6, 8), 0),
        ({"shape": ("N", 6, 8, 3), "last": True}, (3, 6, 8), 0),
        ({"kind": 10}, (3, 6, 8), 0),
        ({"kind": 11}, (3, 6, 8), 0),
    ],
)
def test_answers_and_shape_by_hand(tmp_path: Path, more: dict[str, Any], shape: tuple[int, ...], batch: int) -> None:
    program = onnx_files.load(saved(tmp_path / "net.onnx", **more))
    assert (program.shape, program.batch) == (shape, batch)
    given = images()[: batch or 3]
    torch.testing.assert_close(program.network(given), WANTED[: len(given)])
    assert copy.deepcopy(program.network) is program.network
    assert isinstance(program.network, onnx_files.OnnxNetwork)
    assert program.network.count == 6


@pytest.mark.parametrize(
    ("told", "names"),
    [
        ({"names": "{0: 'red', 1: 'green'}"}, NAMES),
        ({"id2label": '{"1": "green", "0": "red"}'}, NAMES),
        ({"classes": '["red", "green"]'}, NAMES),
        ({"labels": "red\ngreen\n"}, NAMES),
        ({"class_names": "red, green"}, NAMES),
        ({"names": "{0: 'red', 2: 'green'}"}, ()),
        ({"names": "__import__('os').abort()"}, ()),
        ({}, ()),
    ],
)
def test_the_order_of_the_outputs_is_read(tmp_path: Path, told: dict[str, str], names: tuple[str, ...]) -> None:
    assert onnx_files.load(saved(tmp_path / "net.onnx", told=told)).class_names == names


def test_what_the_report_holds_of_one(tmp_path: Path) -> None:
    saved(tmp_path / "net.onnx", shape=(1, 3, 6, 8), told={"names": "{0: 'red', 1: 'green'}"})
    found = loaded(tmp_path)
    assert (found.class_names, found.input.size, found.input.channels) == (NAMES, (6, 8), 3)
    torch.testing.assert_close(found.network(images()), WANTED)  # one after another
    assert (found.parameters, found.macs, found.layer) == (6, None, "")
    assert not found.differentiable
    able, why_not = found.methods
    assert list(able) == ["occlusion"]
    assert set(why_not.values()) == {onnx_files.SIGHTLESS}
    assert "integrated gradients" in why_not
    assert list(loaded(tmp_path, methods=("RISE", "occlusion")).methods[0]) == ["RISE", "occlusion"]
    named = {fact.what: (fact.value, fact.origin, fact.source) for fact in found.facts}
    assert named["classes"] == ("2: red, green", "read", "net.onnx")


def test_probabilities_become_logits(tmp_path: Path) -> None:
    saved(tmp_path / "net.onnx", softmax=True)
    torch.testing.assert_close(loaded(tmp_path).network(images()).softmax(1), WANTED.softmax(1))


def test_without_onnxruntime_the_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path / "net.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"net\.onnx: expected the package onnxruntime, .*: pip install onnxruntime$"):
        onnx_files.load(tmp_path / "net.onnx")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "found an empty file"),
        (b"\xff" * 40, "found a damaged file, or one of another program"),
        (b"PK\x03\x04" + bytes(60), "found a damaged"),
    ],
)
def test_what_is_no_onnx_is_told(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(InputError, match=said) as error:
        onnx_files.load(tmp_path / "net.onnx")
    assert "\n" not in str(error.value)


def test_one_cut_short_one_of_no_images_and_one_with_weights_elsewhere_are_told(tmp_path: Path) -> None:
    whole = saved(tmp_path / "net.onnx").read_bytes()
    (tmp_path / "net.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="found a damaged"):
        onnx_files.load(tmp_path / "net.onnx")
    with pytest.raises(InputError, match=r"one input \(N, C, H, W\) of floating-point numbers, found images"):
        onnx_files.load(saved(tmp_path / "flat.onnx", shape=("N", 3)))
    model = onnx.load(saved(tmp_path / "net.onnx"))
    onnx.external_data_helper.convert_model_to_external_data(model, location="weights.bin", size_threshold=0)
    (tmp_path / "out.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="with its weights in it, it keeps them in another file"):
        onnx_files.load(tmp_path / "out.onnx")
