"""The examples do what their README says, on drawn images in the place of Fashion-MNIST's."""

from __future__ import annotations

import gzip
import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from generator.__main__ import main

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def drawn(folder: Path, part: str, count: int, seed: int) -> None:
    """Images of a bar in one of ten rows, as IDX files."""
    noise = np.random.default_rng(seed)
    targets = (np.arange(count) % 10).astype(np.uint8)
    images = noise.integers(0, 60, (count, 28, 28), dtype=np.uint8)
    for image, target in zip(images, targets, strict=True):
        image[2 * target + 3 : 2 * target + 7, 4:24] = 220
    for name, header, values in (
        ("images-idx3", struct.pack(">HBB3I", 0, 8, 3, count, 28, 28), images),
        ("labels-idx1", struct.pack(">HBBI", 0, 8, 1, count), targets),
    ):
        (folder / f"{part}-{name}-ubyte.gz").write_bytes(gzip.compress(header + values.tobytes()))


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_the_fashion_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, data = tmp_path / "fashion", tmp_path / "data"
    shutil.copytree(EXAMPLES / "fashion", folder)
    data.mkdir()
    drawn(data, "train", 600, 0)
    drawn(data, "t10k", 100, 1)
    subprocess.run([sys.executable, "train.py", str(data), "--epochs", "2"], cwd=folder, check=True, timeout=300)
    monkeypatch.chdir(folder)
    words = ["--model", "net.py:Net", "--weights", "best.pth", "--logs", "log.csv", "--data", str(data)]
    assert main(["build", "--strict", *words, "--classes", "classes.txt", "--offline"]) == 0
    results = json.loads((folder / "site" / "results.json").read_text("utf-8"))
    network = results["networks"]["net"]
    assert network["evaluation"]["splits"]["test"]["count"] == 100
    assert network["evaluation"]["class_names"][0] == "T-shirt/top"
    assert len(network["runs"][0]["epochs"]) == 2
    assert any("ends in a log-softmax" in note for note in network["notes"])
