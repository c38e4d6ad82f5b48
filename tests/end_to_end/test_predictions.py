"""A network of which only the answers are known: the same numbers as of the network itself, and whole pages."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

from generator.__main__ import main
from generator.config import reading
from generator.data.dataset import DataSet
from generator.evaluation.answers import of_part
from generator.evaluation.scores import softmax
from generator.networks import catalogue
from tests.commands.test_own import somebodys_network
from tests.data_sets import kitchen, opened

CLASSES = ("cups", "forks", "spoons, large")
REPORT = """
[data]
root = "images"
[models.itself]
architecture = "my_net.py:Net"
weights = "best.safetensors"
input = {size = 28, channels = 1, mean = 0.5, std = 0.25}
[models.answers]
title = "Its answers"
predictions = "answers.csv"
[samples]
test_images = 3
"""

pytestmark = [pytest.mark.usefixtures("one_thread")]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a network, its images, and its answers in full precision."""
    somebodys_network(tmp_path)
    kitchen(tmp_path / "images", {"train": 4, "val": 5, "test": 7}, CLASSES)
    (tmp_path / "report.toml").write_text(REPORT)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "answers.csv").touch()
    settings = reading.load()
    data = opened(tmp_path / "images", tmp_path / ".cache" / "data")
    loaded = catalogue.load(settings.models["itself"], settings, data.classes)
    assert loaded is not None
    logits = {part.name: of_part(loaded, data, part.items, mirrored=False)[0] for part in data.parts}
    written(tmp_path / "answers.csv", data, logits)
    written(tmp_path / "keras-net.csv", data, {name: softmax(each.astype(float)) for name, each in logits.items()})
    return tmp_path


def written(file: Path, data: DataSet, scores: Mapping[str, NDArray[Any]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as opened_file:
        table = csv.writer(opened_file)
        table.writerow(["file", "label", *CLASSES])
        for part in data.parts:
            for item, row in zip(part.items, scores[part.name].tolist(), strict=True):
                table.writerow([item.name, CLASSES[item.target], *row])


def results(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "site" / "results.json").read_text("utf-8"))
    return found


def chances(look: dict[str, Any]) -> dict[str, float]:
    return {answer["name"]: answer["probability"] for answer in look["top"]}


def words(page: Path) -> str:
    """What a page says, its pictures' words among them, and those for search engines."""
    source = page.read_text("utf-8")
    spoken = " ".join(re.findall(r'(?:alt|content|aria-label)="([^"]*)"', source))
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", source) + spoken).replace("\u00a0", " ").split())


@pytest.mark.slow
def test_answers_are_scored_as_the_network_is_to_the_digit(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "--strict", "--offline"]) == 0
    assert main(["check"]) == 0
    found = results(here)["networks"]
    itself, answers = (found[name]["evaluation"] for name in ("itself", "answers"))
    assert list(answers["splits"]) == ["train", "validation", "test"]
    for part, scores in itself["splits"].items():
        assert answers["splits"][part] == scores
    assert answers["temperature"] == itself["temperature"] != 1
    assert answers["data_digest"] == itself["data_digest"]
    assert (found["answers"]["parameters"], found["answers"]["macs"], found["answers"]["input_size"]) == (None,) * 3
    shown = found["answers"]["photos"]
    assert len(shown) > 3
    for name, look in shown.items():
        assert chances(look) == pytest.approx(chances(found["itself"]["photos"][name]), abs=1e-5)
    for page, what in (("filters", "filters"), ("grad-cam", "heat maps"), ("feature-maps", "feature maps")):
        line = f"Of Its answers only the answers are known, so there are no {what} of it."
        assert words(here / "site" / f"{page}.html").count(line) == 1
    assert main(["export", "--to", "fragment", "piece.html"]) == 0
    assert main(["export", "--to", "notebook", "book"]) == 0
    capsys.readouterr()
    for command in (
        ["evaluate", "answers"],
        ["train", "answers"],
        ["predict", "images", "--model", "answers", "--csv", "a.csv"],
    ):
        assert main(command) == 1
        assert (
            "[models.answers]: expected a network with weights, of this one only the answers" in capsys.readouterr().err
        )


def test_probabilities_alone_make_a_report(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "report.toml").unlink()
    (here / "log.csv").write_text("epoch,loss,val_accuracy\n0,2,0.3\n1,1,1.0\n")
    own = ["--predictions", "keras-net.csv", "--data", "images", "--logs", "log.csv"]
    assert main(["inspect", *own, "--offline"]) == 0
    said = capsys.readouterr().out
    assert "[models.keras-net] keras-net: It was run elsewhere: its answers to 48 images are in keras-net.csv." in said
    assert "scores: probabilities, for every row sums to 1 (measured: keras-net.csv)" in said
    assert "labels: 48 of 48 are the data set's (measured: keras-net.csv)" in said
    assert main(["build", "--strict", *own, "--offline"]) == 0
    assert main(["check"]) == 0
    site = here / "site"
    pages = {page.stem: words(page) for page in site.glob("*.html")}
    kinds = {"index", "data", "training", "evaluation", "evaluation-keras-net-mistakes", "failures", "about", "404"}
    assert set(pages) == kinds
    (alone,) = (
        page for page, said in pages.items() if "Of keras-net only the answers are known. So there are no" in said
    )
    assert alone == "index"
    # What is said of maps is that there are none: in that sentence, and in the note beside the results.
    note = "Only its answers are known, so that no filters, feature maps or heat maps of it can be shown."
    for page, said in pages.items():
        rest = re.sub(r"Of keras-net only the answers are known\. .*? try it on\.", "", said.replace(note, ""))
        assert not re.search(r"heat map|feature map|filter|Grad-CAM|where it look|they look|mirror|layer", rest), page
        assert not re.search(r"0 × 0|1 × 1|0 weights|None|nan", rest), page
    assert "a sign that the answers are those of another training" in pages["training"]
    scores = results(here)["networks"]["keras-net"]["evaluation"]["splits"]["test"]
    right = round(scores["top1"] * scores["count"])
    assert f"names {right} ({scores['top1']:.0%}) correctly".replace("%", " %") in pages["evaluation"]
    before = {path: path.read_bytes() for path in site.rglob("*") if path.is_file()}
    assert main(["build", *own, "--offline", "--force"]) == 0
    assert {path: path.read_bytes() for path in site.rglob("*") if path.is_file()} == before
    content = (here / "keras-net.csv").read_text()
    (here / "keras-net.csv").write_text(content.replace("test/cups/0.png,cups", "test/cups/0.png,forks"))
    assert main(["build", *own, "--offline"]) == 1
    assert "1 of 48 are others: test/cups/0.png is of cups there, of 'forks' here" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in site.rglob("*") if path.is_file()} == before


def test_init_writes_what_the_options_say(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["init", "new", "--predictions", "keras-net.csv", "--data", "images", "--classes", ",".join("abc")]) == 0
    )
    (network,) = reading.load(here / "new" / "report.toml").models.networks
    assert (network.id, network.predictions, network.classes) == ("keras-net", here / "keras-net.csv", ("a", "b", "c"))
    for more, line in (
        (["--size", "28"], "--size: expected none beside --predictions, which are all that is known"),
        (["--weights", "best.safetensors"], "--weights: expected none beside --predictions"),
        (["--config", "report.toml"], "--config: expected none beside --predictions, which takes the place"),
    ):
        assert main(["build", "--predictions", "keras-net.csv", *more]) == 1
        assert line in capsys.readouterr().err
    assert main(["build", "--predictions", "none.csv", "--data", "images"]) == 1
    assert "--predictions: expected a file of answers, found none at none.csv" in capsys.readouterr().err
