"""Networks that take other images than squares in colour, from report.toml to a site, with the command line alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from generator.__main__ import main
from tests.data_sets import kitchen

NET = """
from torch import nn

def net(num_classes, channels):
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, num_classes),
    )
"""
REPORT = """
[data]
root = "things"
[models.wide]
architecture = "net.py:net"
arguments = {channels = 3}
weights = "random"
input = {size = [12, 48]}
[models.grey]
architecture = "net.py:net"
arguments = {channels = 1}
weights = "random"
input = {size = [28, 20], crop = "none", channels = 1, mean = [0.2], std = [0.3]}
[models.four]
architecture = "net.py:net"
arguments = {channels = 4}
weights = "random"
input = {size = 16, channels = 4, mean = [0.5, 0.5, 0.5, 0.5], std = [0.5, 0.5, 0.5, 0.5]}
[samples]
bundled = false
test_images = 1
"""

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    kitchen(tmp_path / "things", {"train": 2, "test": 1})
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "report.toml").write_text(REPORT)
    return tmp_path


def test_wide_grey_and_of_four_channels(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "--strict", "--offline", "--config", str(folder / "report.toml")]) == 0
    results = json.loads((folder / "site" / "results.json").read_text("utf-8"))
    assert [one["input_size"] for one in results["networks"].values()] == [[12, 48], [28, 20], 16]
    explained = {name: len(one["photos"]) for name, one in results["networks"].items()}
    assert explained == {"wide": 1, "grey": 1, "four": 0}
    # The first network that a page can run is there, as it takes photos.
    script = (folder / "site" / "assets" / "network.js").read_text("utf-8")
    told = json.loads(script.removeprefix("window.liveNetwork = ").rstrip().removesuffix(";"))
    assert told["input"]["size"] == [12, 48]
    said = " ".join(capsys.readouterr().err.split())
    assert "It takes images of 4 channels, but images are read in colour or in grey here" in said


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_what_cannot_be_shown_anything_is_one_line(
    folder: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    what = (
        ["four"]
        if command == "evaluate"
        else [str(folder / "things" / "test" / "cups"), "--model", "four", "--csv", str(folder / "out.csv")]
    )
    assert main([command, *what, "--config", str(folder / "report.toml")]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "expected a network that takes images of 3 channels, or of 1 for grey, got one that takes 4" in line
