"""The same records wherever networks run: on a device that every machine has for tests, and on a GPU where one is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generator.__main__ import main
from generator.base.digest import digest
from generator.evaluation.checks import map_checks
from generator.inspection import layers, prototypes
from generator.inspection.patches import strongest_patches
from generator.inspection.photo import Posed, photos_arrays
from generator.networks import devices
from generator.networks.loaded import Loaded
from generator.records.images import Arrays
from generator.records.network import Question
from tests import live_nets
from tests.conftest import SmallDataSet
from tests.elsewhere import AWAY, elsewhere

CUDA = torch.device("cuda", 0)


class Attending(nn.Module):
    """Patches, a class token and a block of attention, in which nothing is fused."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 5, 5)
        self.first = nn.Parameter(torch.randn(1, 1, 8))
        self.places = nn.Parameter(torch.randn(1, 17, 8))
        self.norm = nn.LayerNorm(8)
        self.mixed = nn.Linear(8, 24)
        self.out = nn.Linear(8, 8)
        self.head = nn.Linear(8, len(live_nets.CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, 20, 20) -> (N, 5)."""
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.first.expand(len(images), -1, -1), tokens], 1) + self.places
        asked, keys, values = (
            part.unflatten(2, (2, 4)).transpose(1, 2) for part in self.mixed(self.norm(tokens)).chunk(3, 2)
        )
        weights = (asked @ keys.transpose(2, 3) / 2).softmax(3)
        tokens = tokens + self.out((weights @ values).transpose(1, 2).flatten(2))
        return self.head(tokens[:, 0])  # type: ignore[no-any-return]


class Adding(nn.Module):
    """A residual block with a batch norm, and ReLUs in place."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = nn.Conv2d(3, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.Conv2d(6, 6, 3, 1, 1)
        self.head = nn.Linear(6, len(live_nets.CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, 20, 20) -> (N, 5)."""
        maps = F.relu(self.norm(self.first(images)), inplace=True)
        return self.head(torch.relu(maps + self.second(maps)).mean((2, 3)))  # type: ignore[no-any-return]


def everything(loaded: Loaded) -> dict[str, Any]:
    """All arrays that a build makes of one network."""
    photos = live_nets.photos()
    posed, asked = [Posed(photo, 1) for photo in photos], [Question((2,), (3,))]
    found: dict[str, Arrays] = {}
    for first in ("Grad-CAM", "LayerCAM"):
        for photo, arrays in zip(photos, photos_arrays(loaded, posed, asked, True, first), strict=True):
            found[f"{first} {photo.id}"] = arrays
    ways = {
        photo.id: {
            name.removeprefix("method "): maps
            for name, maps in found[f"Grad-CAM {photo.id}"].items()
            if name.startswith("method ")
        }
        for photo in photos
    }
    pictures = [photo.pixels for photo in photos]
    found["checks"] = map_checks(loaded, photos, ways, [*next(iter(ways.values()))])
    found["patches"] = strongest_patches(loaded, pictures, layers.shown(loaded))
    found["gave"] = layers.contributions(loaded, pictures)
    found["classes"] = prototypes.made_for_classes(loaded)
    shown, pageless = layers.records(loaded, layers.NOT_ASKED)
    found["weights"] = {one.name: one.weights for one in (*shown, *pageless) if one.weights is not None}
    return {f"{part} {name}": array for part, arrays in found.items() for name, array in arrays.items()}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prototypes, "_steps", lambda way: 3)


@pytest.mark.usefixtures("short", "one_thread")
@pytest.mark.parametrize("build", [live_nets.gmp, Attending, Adding])
def test_a_network_is_observed_alike_elsewhere(build: Callable[[], nn.Module]) -> None:
    """Nothing that a build asks of a network mixes devices, and every array comes back."""
    here = everything(live_nets.made(build))
    with elsewhere() as device:
        loaded = live_nets.made(build).on(device)
        assert (loaded.device, loaded.notes) == (AWAY, ())
        away = everything(loaded)
    _alike(here, away, 1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that PyTorch can use")
@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("build", [live_nets.gmp, Attending, Adding])
def test_a_network_is_observed_alike_on_a_gpu(build: Callable[[], nn.Module]) -> None:
    here = everything(live_nets.made(build))
    with devices.precise(CUDA):
        there = everything(live_nets.made(build).on(CUDA))
    # What is ranked may change places where values are equal but for rounding; after an ascent errors have grown.
    ranked = ("pictures ", "boxes ", "contributors", "contributor maps", "classes ", "checks ")
    assert here.keys() == there.keys()
    kept = [name for name in here if not any(each in name for each in ranked)]
    _alike({name: here[name] for name in kept}, {name: there[name] for name in kept}, 1e-4)


def _alike(here: Mapping[str, Any], there: Mapping[str, Any], within: float) -> None:
    assert here.keys() == there.keys()
    for name, array in here.items():
        if array.dtype.kind == "f":
            scale = max(1.0, float(np.nanmax(np.abs(array), initial=0)))
            np.testing.assert_allclose(there[name], array, rtol=0, atol=within * scale, err_msg=name)
        else:
            np.testing.assert_array_equal(there[name], array, err_msg=name)


REPORT = """
[data]
root = "{root}"
classes = ["goldfish", "ladybug", "banana"]
[models.cnn]
architecture = "SmallCNN"
arguments = {{widths = [4, 8, 8, 8]}}
[samples]
bundled = false
test_images = 2
[explain]
methods = ["Grad-CAM", "occlusion"]
"""


# PyTorch takes the stand-in for its own "meta", where a copy holds no numbers.
@pytest.mark.filterwarnings("ignore:for .*copying from a non-meta parameter")
@pytest.mark.slow
def test_training_evaluation_and_build_elsewhere_are_those_of_the_processor(
    tmp_path: Path, small_data_set: SmallDataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, told = {}, {}
    for place in ("here", "away"):
        (folder := tmp_path / place).mkdir()
        (folder / "report.toml").write_text(REPORT.format(root=small_data_set.root.as_posix()))
        if place == "away":
            monkeypatch.setattr(devices, "chosen", lambda asked: AWAY)
            with elsewhere():
                _run(folder)
        else:
            _run(folder)
        found[place] = json.loads((folder / "site" / "results.json").read_text("utf-8"))
        evaluated = json.loads((folder / "models" / "cnn" / "evaluation.json").read_text("utf-8"))
        told[place] = [each["environment"]["device"] for each in (found[place], evaluated)]
    assert told == {"here": ["cpu", "cpu"], "away": ["meta", "meta"]}
    assert digest(_numbers(found["here"])) == digest(_numbers(found["away"]))


def _run(folder: Path) -> None:
    config = ["--config", str(folder / "report.toml"), "--offline"]
    quick = ["--preset", "quick", "--epochs", "2", "--precision", "float32"]
    assert main(["train", "cnn", *config, *quick]) == 0
    assert main(["evaluate", "cnn", *config]) == 0
    assert main(["build", *config]) == 0


def _numbers(results: Any) -> Any:
    """All of it but what names the device, the time or a digest of weights' files."""
    left_out = {"environment", "started_environment", "seconds", "weights_digest"}
    if isinstance(results, dict):
        return {name: _numbers(value) for name, value in results.items() if name not in left_out}
    return [_numbers(value) for value in results] if isinstance(results, list) else results
