"""From each layout of a data set to a site, with the command line alone: trained, evaluated, built and asked."""

from __future__ import annotations

import csv
import gzip
import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from generator.__main__ import main
from tests.end_to_end.test_folders import words

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

CLASSES = ("T-shirt/top", "<b>bag</b>")
COUNTS = {"train": 24, "test": 10}
REPORT = """
[report]
title = "Things"
[data]
root = "{root}"
name = "Things in a drawer"
{more}
[models.net]
architecture = "SmallCNN"
input = {{size = 32}}
[samples]
bundled = false
test_images = 2
"""
CODE = """
import numpy as np

def datasets():
    held = np.load(__file__.replace("mine.py", "things.npz"))
    return {part: list(zip(held[part] / 255, held[part + "_labels"])) for part in ("train", "test")}
"""


def pictures(part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(N, 32, 32, 3) noise and (N,) labels: in class 1 a bright square."""
    rng = np.random.default_rng(len(part))
    images = rng.integers(40, 90, (COUNTS[part], 32, 32, 3), dtype=np.uint8)
    labels = np.arange(COUNTS[part], dtype=np.uint8) % 2
    images[labels == 1, 8:24, 8:24] = 220
    return images, labels


def as_list(folder: Path) -> str:
    lines = ["path;label;split"]
    for part in COUNTS:
        (folder / "things" / part).mkdir(parents=True)
        for number, (image, label) in enumerate(zip(*pictures(part), strict=True)):
            Image.fromarray(image).save(folder / "things" / part / f"{number}.png")
            lines.append(f"{part}/{number}.png;{CLASSES[label]};{part}")
    (folder / "things" / "list.csv").write_text("\n".join(lines), encoding="utf-8-sig")
    (folder / "things" / "labels.txt").write_text("\n".join(CLASSES))  # in no order of letters
    return "things/list.csv"


def as_idx(folder: Path) -> str:
    (folder / "things").mkdir()
    for part, name in {"train": "train", "test": "t10k"}.items():
        images, labels = pictures(part)
        for kind, held in {"images-idx3": images[..., 0], "labels-idx1": labels}.items():
            sides = struct.pack(f">{held.ndim}I", *held.shape)
            content = bytes([0, 0, 8, held.ndim]) + sides + held.tobytes()
            (folder / "things" / f"{name}-{kind}-ubyte.gz").write_bytes(gzip.compress(content))
    (folder / "things" / "labels.txt").write_text("\n".join(CLASSES))
    return "things"


def as_cifar(folder: Path) -> str:
    (folder / "things").mkdir()
    for part in COUNTS:
        images, labels = pictures(part)
        rows = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        content = np.concatenate([labels[:, None], labels[:, None], rows], axis=1)
        (folder / "things" / f"{part}.bin").write_bytes(content.tobytes())
    (folder / "things" / "fine_label_names.txt").write_text("\n".join(CLASSES))
    return "things"


def as_code(folder: Path) -> str:
    (train, of_train), (test, of_test) = map(pictures, COUNTS)
    np.savez(folder / "things.npz", train=train, test=test, train_labels=of_train, test_labels=of_test)
    (folder / "mine.py").write_text(CODE)
    return "mine.py:datasets"


LAYOUTS: dict[str, tuple[Callable[[Path], str], str, str]] = {
    "list": (as_list, "", "Its classes are those that list.csv tells. The data set came in these parts: training"),
    "idx": (as_idx, "", "Its images were read from IDX files. The data set came in these parts: training"),
    "cifar": (as_cifar, "", "Its images were read from the binary files of CIFAR-100. The data set came in these "),
    "code": (as_code, f"classes = {json.dumps(CLASSES)}", "Its images are those that mine.py gives. The data set came"),
}  # fmt: skip


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_a_report_of_each_layout(layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, more, told = LAYOUTS[layout]
    (tmp_path / "report.toml").write_text(REPORT.format(root=make(tmp_path), more=more))
    where = ["--config", str(tmp_path / "report.toml"), "--offline"]
    quick = ["--preset", "quick", "--epochs", "10", "--batch", "8", "--precision", "float32"]
    assert main(["train", "net", *quick, *where]) == 0
    assert main(["evaluate", "net", *where]) == 0
    assert main(["build", "--strict", *where]) == 0
    assert capsys.readouterr().err.count("note: runs mine.py") == (3 if layout == "code" else 0)

    results = json.loads((tmp_path / "site" / "results.json").read_text("utf-8"))
    data, evaluation = results["data"], results["networks"]["net"]["evaluation"]
    assert (data["name"], data["class_names"], data["counts"]) == ("Things in a drawer", list(CLASSES), COUNTS)
    assert evaluation["data_digest"] == data["digest"]
    assert {part: scores["count"] for part, scores in evaluation["splits"].items()} == COUNTS
    assert evaluation["splits"]["test"]["top1"] == 1  # which it can only be where image and label belong together
    page = words(tmp_path, "data")
    assert "Things in a drawer has 2 classes; the network was trained with 24 of its images, 12 of each class" in page
    assert "Every image is 32 × 32 pixels" in page
    assert told in page
    titles = [photo["title"] for photo in results["photos"]]
    assert titles[0].startswith("T-shirt/top, test image 0")
    assert "<b>bag</b>" not in (tmp_path / "site" / "data.html").read_text("utf-8")

    (tmp_path / "new").mkdir()
    for number, image in enumerate(pictures("test")[0][:2]):
        Image.fromarray(image).save(tmp_path / "new" / f"{number}.png")
    assert main(["predict", str(tmp_path / "new"), "--csv", str(tmp_path / "new.csv"), *where]) == 0
    with (tmp_path / "new.csv").open(newline="") as file:
        assert list(csv.reader(file))[1:] == [["0.png", "0"], ["1.png", "1"]]
    assert main(["build", *where]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("nothing has changed")
