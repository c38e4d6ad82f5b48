"""Answers piece by piece: the same record whatever stays in memory, after a kill, and from two processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from generator.__main__ import main
from generator.base import terminal
from generator.data.dataset import DataSet
from generator.evaluation import pieces
from generator.evaluation.answers import of_part
from generator.evaluation.evaluation import brief_bars, evaluate_model
from generator.networks.folder import load_evaluation, plain_evaluation
from generator.networks.loaded import Loaded
from generator.records.input import square
from tests.data_sets import kitchen, opened
from tests.loaded import loaded
from tests.training.test_parallel import torchrun

NAMES = ("cups", "lids", "pans", "pots")
COUNTS = {"train": 10, "valid": 150, "test": 70}  # of each class: 600 images are three pieces, 280 two


class Guess(nn.Module):
    """Answers that depend on every pixel, some of them right."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * 16 * 16, len(NAMES))
        nn.init.normal_(self.linear.weight, std=0.3, generator=torch.Generator().manual_seed(0))

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.linear(images.flatten(1))
        return found


def guessing(folder: Path | None) -> Loaded:
    torch.manual_seed(0)
    return replace(loaded(Guess().eval(), NAMES, square(16)), evaluated=folder)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kitchen(tmp_path_factory.mktemp("pieces") / "kitchen", COUNTS, NAMES)


@pytest.fixture(scope="module")
def data(root: Path) -> DataSet:
    return opened(root, root.parent / "cache")


def test_the_record_is_the_same_whatever_stays_in_memory(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = plain_evaluation(evaluate_model(guessing(tmp_path / "usual"), data))
    assert 0.05 < usual["splits"]["validation"]["top1"] < 0.95
    read: list[Path] = []
    monkeypatch.setattr(pieces, "HELD", 1)
    monkeypatch.setattr(pieces._Logits, "_read", _counted(pieces._Logits._read, read))
    assert plain_evaluation(evaluate_model(guessing(tmp_path / "tiny"), data)) == usual
    assert len(read) > 3 * 5  # three pieces, again and again
    assert sorted(path.name for path in (tmp_path / "tiny").iterdir()) == ["evaluation.json"]


def _counted(inner: Any, read: list[Path]) -> Any:
    def call(self: Any, file: Path) -> Any:
        read.append(file)
        return inner(self, file)

    return call


def test_the_bars_of_a_brief_evaluation_are_known_before(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build counts each as a stage of its own."""
    shown: list[tuple[str, int]] = []
    inner = terminal.bar

    def bar(title: str, total: int, unit: str = "") -> Any:
        shown.append((title, total))
        return inner(title, total, unit)

    monkeypatch.setattr(terminal, "bar", bar)
    loaded = guessing(tmp_path)
    evaluate_model(loaded, data, brief=True)
    expected = brief_bars(loaded, data)
    assert [one for one in shown if expected.get(one[0])] == [
        (title, count) for title, count in expected.items() if count
    ]
    assert {title for title, _ in shown} <= {*expected}


def test_what_was_answered_is_not_asked_again_and_a_damaged_piece_is(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = plain_evaluation(evaluate_model(guessing(None), data))
    asked: list[int] = []

    def counted(*given: Any, **named: Any) -> Any:
        asked.append(len(given[2]))
        return of_part(*given, **named)

    def tired(*given: Any, **named: Any) -> Any:
        if len(asked) == 3:
            raise KeyboardInterrupt
        return counted(*given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(pieces, "of_part", tired)
        with pytest.raises(KeyboardInterrupt):
            evaluate_model(guessing(tmp_path), data)
    assert asked == [250, 250, 100]  # those that a temperature is fitted on come first
    (folder,) = tmp_path.iterdir()
    (folder / "validation-000001.npz").write_bytes(b"cut short")
    asked.clear()
    monkeypatch.setattr(pieces, "of_part", counted)
    found = plain_evaluation(evaluate_model(guessing(tmp_path), data))
    assert asked == [250, 40, 250, 30]
    assert found["splits"] == expected["splits"]
    assert "validation: 350 of 600 images were answered before" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["evaluation.json"]


def test_other_weights_are_asked_anew_and_what_was_forgotten_goes(data: DataSet, tmp_path: Path) -> None:
    old, new = (tmp_path / f"{pieces.START}{name}" for name in ("old", "new"))
    for folder in (old, new):
        folder.mkdir()
        (folder / "test-000000.npz").write_bytes(b"")
    past = time.time() - 2 * pieces.FORGOTTEN
    os.utime(old, (past, past))
    with pieces.kept(guessing(tmp_path)) as first, pieces.kept(replace(guessing(tmp_path), digest="other")) as second:
        assert first != second
    assert not old.exists()
    assert new.exists()


REPORT = """
[data]
root = "{root}"
[models]
folder = "models"
[models.guess]
architecture = "guess.py:Guess"
weights = "guess.pth"
input = {{size = 16, mean = 0.5, std = 0.25}}
"""
CODE = """
import os, time, torch
from torch import nn

class Guess(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3 * 16 * 16, 4)

    def forward(self, images):
        if len(images) >= 100:
            time.sleep(float(os.environ.get("SLOWLY", 0)))
        return self.linear(images.flatten(1))
"""


@pytest.fixture
def report(root: Path, tmp_path: Path) -> Path:
    (tmp_path / "guess.py").write_text(CODE)
    torch.save({f"linear.{name}": each for name, each in Guess().linear.state_dict().items()}, tmp_path / "guess.pth")
    text = REPORT.format(root=root.as_posix()) + '[explain]\nmethods = ["occlusion"]\n'
    (tmp_path / "report.toml").write_text(text)
    return tmp_path / "report.toml"


def alone(report: Path, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "generator", "evaluate", "guess", "--config", str(report)]
    settings = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(command, env=settings, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_killed_evaluation_goes_on_where_it_was_and_two_processes_give_what_one_does(report: Path) -> None:
    assert main(["evaluate", "guess", "--config", str(report)]) == 0
    (file,) = (report.parent / "models").rglob("evaluation.json")
    before = load_evaluation(file.parent)
    file.unlink()

    killed = alone(report, SLOWLY="1")
    try:
        deadline = time.monotonic() + 200
        while len(list(file.parent.glob(".answers-*/*.npz"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
    kept = len(list(file.parent.glob(".answers-*/*.npz")))
    assert kept >= 2
    assert not file.exists()

    again = torchrun("-m", "generator", "evaluate", "guess", "--config", str(report))
    assert again.returncode == 0, again.stderr
    assert "images were answered before" in again.stderr
    after = load_evaluation(file.parent)
    assert before is not None
    assert after is not None
    assert [path.name for path in file.parent.iterdir() if path.name.startswith(".")] == []
    assert after.temperature == pytest.approx(before.temperature, rel=1e-6)
    for name, scores in before.splits.items():
        assert np.array_equal(scores.confusion, after.splits[name].confusion)
        assert after.splits[name].loss == pytest.approx(scores.loss, rel=1e-6)
        assert after.splits[name].mistakes == scores.mistakes
