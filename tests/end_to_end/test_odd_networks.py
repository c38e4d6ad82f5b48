"""Networks that no textbook has, from somebody's file to one whole report: what cannot be shown says why."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from generator.__main__ import main
from generator.evaluation import scores as scoring
from generator.inspection import prototypes
from generator.live import export
from generator.pages import parts
from generator.records import consistent, scores
from generator.report.evaluation import figures
from tests.data_sets import kitchen

NETS = """
import torch
import torch.nn.functional as F
from torch import nn


class Plain(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 6, 3, padding=1)
        self.fc = nn.Linear(6, num_classes)

    def forward(self, x):
        x = F.relu(self.conv2(F.relu(self.conv1(x - 0.5))))
        return self.fc(x.mean((2, 3)))


class InPlace(Plain):
    def forward(self, x):
        x -= 0.5
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        return self.fc(x.mean((2, 3)))


class Silent(Plain):
    def forward(self, x):
        with torch.no_grad():
            return super().forward(x)


class Sealed(Plain):
    def forward(self, x):
        x = F.relu(self.conv2(F.relu(self.conv1(x - 0.5))))
        with torch.no_grad():
            return self.fc(x.mean((2, 3)))


class Half(Plain):
    def forward(self, x):
        return super().forward(x).to(torch.bfloat16)


class Restless(Plain):
    def forward(self, x):
        x = F.relu(self.conv2(F.relu(self.conv1(x - 0.5))))
        return self.fc(F.dropout(x.mean((2, 3)), 0.5))


class Bare(Plain):  # its logits are ln 3, 0 and -ln 3, and the images move them by little
    def forward(self, x):
        return super().forward(x) * 1e-3 + torch.tensor([3.0, 1.0, 1 / 3]).log()


class Several(Bare):
    def forward(self, x):
        return super().forward(x).sigmoid()
"""

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("odd")
    kitchen(root / "things", {"train": 3, "test": 4}, ("cups", "forks", "spoons"))
    (root / "nets.py").write_text(NETS)
    names: dict[str, Any] = {}
    exec(NETS, names)
    torch.manual_seed(0)
    torch.save(names["Plain"](3).state_dict(), root / "weights.pth")
    return root


def built(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What results.json says of the one network."""
    monkeypatch.chdir(folder)
    shutil.rmtree("site", ignore_errors=True)
    words = ["--model", f"nets.py:{name}", "--weights", "weights.pth", "--data", "things", "--size", "24"]
    words += ["--mean", "0.5", "--std", "0.25", "--classes", "cups,forks,spoons", "--offline"]
    assert main(["build", "--strict", *words]) == 0
    found: dict[str, Any] = json.loads((folder / "site" / "results.json").read_text("utf-8"))["networks"]
    return found[name.lower()]  # type: ignore[no-any-return]


def test_a_network_that_changes_its_images_is_as_one_that_does_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, other = (built(folder, name, monkeypatch) for name in ("Plain", "InPlace"))
    assert not any("otherwise from one time" in note for note in other["notes"])
    assert other["evaluation"]["splits"]["test"] == plain["evaluation"]["splits"]["test"]
    for photo, look in plain["photos"].items():
        assert other["photos"][photo] == look, photo


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("Silent", "Guided backprop and integrated gradients are left out: its logits do not depend on the images"),
        ("Sealed", "Grad-CAM, Grad-CAM++, LayerCAM and Score-CAM are left out: at layer conv2+relu, the logits do not"),
        ("Half", ""),
        ("Restless", "It answers the same image otherwise from one time to the next"),
    ],
)
def test_an_odd_network_has_a_report(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, note: str) -> None:
    found = built(folder, name, monkeypatch)
    assert any(note in said for said in found["notes"]) or not note
    assert found["evaluation"]["splits"]["test"]["count"] == 12


def test_each_class_has_a_probability_of_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sigmoids of 3/4, 1/2 and 1/4, whose softmax would be 9/13, 3/13 and 1/13."""
    several = built(folder, "Several", monkeypatch)
    pages = {page.name: page.read_text("utf-8") for page in (folder / "site").glob("*.html")}
    bare = built(folder, "Bare", monkeypatch)
    assert (several["multi_label"], bare.get("multi_label")) == (True, None)
    assert bare["evaluation"]["splits"]["test"]["calibration"]["error"] == pytest.approx(9 / 13 - 1 / 3, abs=1e-3)
    scores = several["evaluation"]["splits"]["test"]
    assert scores["top1"] == pytest.approx(1 / 3)  # of three classes it always says the first
    assert scores["calibration"]["error"] == pytest.approx(3 / 4 - 1 / 3, abs=1e-3)
    # softplus of ln 3, 0 and -ln 3 are ln 4, ln 2 and ln 4/3; the labels' own logits are 0 on average.
    assert scores["loss"] == pytest.approx((5 * math.log(2) - math.log(3)) / 3, abs=1e-3)
    assert several["evaluation"]["temperature"] == 1
    for photo, look in several["photos"].items():
        found, other = ({one["class"]: one for one in each["maps"]} for each in (look, bare["photos"][photo]))
        for name, chance in {"cups": 3 / 4, "forks": 1 / 2, "spoons": 1 / 4}.items():
            assert found[name]["probability"] == pytest.approx(chance, abs=1e-3)
            for same in ("logit", "maximum"):  # of the logits before the sigmoid
                assert found[name][same] == pytest.approx(other[name][same], rel=1e-4)
        against = look["asked"]["rival"]  # "cups, not forks": 3/4 to 1/2, of odds 3 to 1
        assert against["probability"] == pytest.approx(3 / 4 if against["against"] == ["forks"] else 9 / 10, abs=1e-3)
    assert "the sigmoid makes a probability of it" in pages["grad-cam.html"]
    assert "softmax" not in pages["grad-cam.html"]
    for said in ("gives each class a probability of its own, but each image", "no <dfn>temperature</dfn> is fitted"):
        assert said in pages["evaluation.html"]
    assert "try.html" not in pages


def test_more_classes_than_a_matrix_has_room_for(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A matrix of 21,843 classes by as many took 12 GB: the pairs that occur are counted, and no picture is drawn."""
    whole = built(folder, "Plain", monkeypatch)["evaluation"]["splits"]["test"]
    shutil.copytree(folder / "things", tmp_path / "things")
    for name in ("nets.py", "weights.pth"):  # and no record of scores
        shutil.copy(folder / name, tmp_path)
    for module in (scoring, scores, consistent):
        monkeypatch.setattr(module, "MOST_IN_MATRIX", 2)
    found = built(tmp_path, "Plain", monkeypatch)["evaluation"]["splits"]["test"]
    rows = [{str(answer): count for answer, count in enumerate(row) if count} for row in whole["confusion"]]
    assert found["confusion"] == [[true, int(to), count] for true, row in enumerate(rows) for to, count in row.items()]
    assert {**found, "confusion": []} == {**whole, "confusion": []}
    page = (tmp_path / "site" / "evaluation.html").read_text("utf-8")
    assert "A confusion matrix of 3 classes would have 9 cells" in page
    assert "plain-confusion-test" not in page


def broken(*_args: object, **_kwargs: object) -> object:
    raise ZeroDivisionError("nobody thought of that")


@pytest.mark.filterwarnings("ignore::generator.base.errors.PartLeftOut")
def test_a_part_that_fails_leaves_itself_out_with_its_reason(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of whatever kind: what is computed, a figure, a page, the live page. The rest is one whole report."""
    monkeypatch.setattr(prototypes, "maximise", broken)
    monkeypatch.setattr(export, "export", broken)
    monkeypatch.setattr(figures, "_confusion", broken)
    monkeypatch.setattr(parts, "_photo_pages", broken)
    shutil.copytree(folder / "things", tmp_path / "things")
    for name in ("nets.py", "weights.pth"):
        shutil.copy(folder / name, tmp_path)
    found = built(tmp_path, "Plain", monkeypatch)
    assert found["evaluation"]["splits"]["test"]["count"] == 12
    told = capsys.readouterr().err
    for what in ("Plain: the images of its classes", "Plain: the page to try it on", "A group of figures"):
        assert f"{what} could not be made and is left out: ZeroDivisionError (nobody thought of that)." in told
    pages = {path.name: path.read_text("utf-8") for path in (tmp_path / "site").glob("*.html")}
    assert not [name for name in pages if name.startswith(("grad-cam", "feature-maps", "try"))]
    assert "The page called grad-cam is left out, for making it failed: ZeroDivisionError" in pages["index.html"]
