"""From a folder of class folders to a site: trained, evaluated and built strictly with the command line alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from generator.__main__ import main
from tests.data_sets import kitchen

REPORT = """
[report]
title = "Kitchen"
[data]
root = "things"
{data}
[models]
folder = "models"
[models.net]
architecture = "SmallCNN"
input = {{size = 32}}
[samples]
bundled = false
test_images = 2
"""

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


def made(folder: Path, parts: Mapping[str, int], classes: tuple[str, ...], data: str = "") -> dict[str, Any]:
    """The results of a report on such a folder, and the words of its pages by name."""
    kitchen(folder / "things", parts, classes)
    (folder / "report.toml").write_text(REPORT.format(data=data))
    where = ["--config", str(folder / "report.toml"), "--offline"]
    assert main(["train", "net", "--preset", "quick", "--epochs", "2", "--precision", "float32", *where]) == 0
    assert main(["evaluate", "net", *where]) == 0
    assert main(["build", "--strict", *where]) == 0
    results: dict[str, Any] = json.loads((folder / "site" / "results.json").read_text("utf-8"))
    return results


def words(folder: Path, page: str) -> str:
    text = (folder / "site" / f"{page}.html").read_text("utf-8")
    return re.sub(
        r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"<(script|style|svg).*?</\1>", "", text, flags=re.DOTALL))
    )


def test_two_classes_whose_validation_images_judge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = made(tmp_path, {"train": 8, "val": 6}, ("cups", "spoons"))
    said = capsys.readouterr()
    assert "top-5" not in said.out
    assert "calibration error before scaling" in said.out
    assert "the weights may have been chosen on the images that judge them" in said.err
    assert "no temperature was fitted" in said.err
    data, evaluation = results["data"], results["networks"]["net"]["evaluation"]
    assert (data["counts"], data["wnids"]) == ({"train": 16, "validation": 12}, [])
    assert list(evaluation["splits"]) == ["train", "validation"]
    assert evaluation["splits"]["validation"]["top5"] is None
    assert evaluation["temperature"] == 1
    assert evaluation["data_digest"] == data["digest"]
    trust = evaluation["faithfulness"]
    assert (trust["split"], trust["localisation"], len(trust["perturbation"])) == ("validation", [], 7)
    assert [photo["id"] for photo in results["photos"]][:2] == ["validation-val-cups-0", "validation-val-spoons-0"]
    assert "from 60 × 40 to 72 × 72" in words(tmp_path, "data")
    assert "12 validation images" in words(tmp_path, "evaluation")
    for page in (path.stem for path in (tmp_path / "site").glob("*.html")):
        assert not re.search("Tiny ImageNet|WordNet|first five", words(tmp_path, page)), page


def test_three_classes_that_are_split_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    classes = 'name = "Things in a drawer"\nclasses = ["spoons", "cups", "forks"]\nlicence = "Free of all terms."'
    results = made(tmp_path, {"": 20}, ("cups", "forks", "knives", "spoons"), classes)
    assert "may have seen the test images" in capsys.readouterr().err
    data, evaluation = results["data"], results["networks"]["net"]["evaluation"]
    assert (data["name"], data["class_names"]) == ("Things in a drawer", ["spoons", "cups", "forks"])
    assert data["counts"] == {"train": 48, "validation": 6, "test": 6}
    assert evaluation["temperature"] != 1
    assert results["networks"]["net"]["patches_from"] == "6 validation images of Things in a drawer"
    assert "Free of all terms." in (tmp_path / "models" / "net" / "README.md").read_text("utf-8")
    assert main(["evaluate", "net", "--split", "valid", "--config", str(tmp_path / "report.toml")]) == 1
    assert "--split: expected one of train, validation, test of" in capsys.readouterr().err


def test_a_folder_in_no_layout_is_one_line_for_every_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "report.toml").write_text(REPORT.format(data=""))
    (tmp_path / "things" / "cups").mkdir(parents=True)
    for command in (["build"], ["train", "net"], ["evaluate", "net"]):
        assert main([*command, "--offline", "--config", str(tmp_path / "report.toml")]) == 1
        *told, line = capsys.readouterr().err.splitlines()
        assert set(told) <= {"networks run on the processor (device cpu)"}
        assert "expected Tiny ImageNet's folder, a folder of images for each class, or" in line
        assert line.endswith("found 1 folder (cups)")
