"""A user's code is run where report.toml names it: each command says so, and what the code raises is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.__main__ import main
from tests.data_sets import kitchen

pytestmark = pytest.mark.usefixtures("one_thread")

# Line 9 fails for several images at once; a network is tried with one.
NET = """\
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, num_classes)

    def forward(self, x):
        {wrong}
        return self.fc(self.conv(x).amax((2, 3)))

class Other(Net):
    pass
"""
WRONG = {
    "an error": ("if len(x) > 1: {}['width']", "raised KeyError at net.py:9: 'width'"),
    "of the system": ("if len(x) > 1: open('no/such')", "raised FileNotFoundError at net.py:9: [Errno 2]"),
    "an exit": ("if len(x) > 1: raise SystemExit(0)", "raised SystemExit at net.py:9: 0"),
}
REPORT = """
[data]
root = "kitchen"
[models.mine]
architecture = "net.py:Net"
weights = "random"
[models.second]
architecture = "net.py:Other"
weights = "random"
[samples]
bundled = false
"""


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a report whose networks are made by one file of its own."""
    monkeypatch.chdir(tmp_path)
    kitchen(tmp_path / "kitchen", {"train": 12, "val": 4, "test": 4})
    (tmp_path / "report.toml").write_text(REPORT)
    (tmp_path / "net.py").write_text(NET.format(wrong=WRONG["an error"][0]))
    return tmp_path


COMMANDS = {
    "build": ["build", "--offline"],
    "train": ["train", "mine", "--preset", "quick"],
    "evaluate": ["evaluate", "mine"],
    "predict": ["predict", "kitchen/test/cups", "--csv", "answers.csv"],
}


@pytest.mark.parametrize("command", list(COMMANDS))
def test_each_command_says_whose_code_it_runs_once(
    command: str, report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And an error far from where the network was made is one line, too: before, it was a traceback."""
    assert main(COMMANDS[command]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines.count("note: runs net.py (architectures of [models.mine] and [models.second])") == 1
    assert sum("note: runs" in line for line in lines) == 1
    assert lines[-1] == "error: expected the network's own code to run, it raised KeyError at net.py:9: 'width'"
    assert "Traceback" not in "".join(lines)


def test_inspect_says_whose_code_it_runs_and_how_logs_are_read(
    report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (report / "net.py").write_text(NET.format(wrong="pass"))
    (report / "log.csv").write_text("epoch,loss,val_acc\n0,2,50\n1,1,75\n")
    (report / "report.toml").write_text(
        '[data]\nroot = "kitchen"\n[models.mine]\narchitecture = "net.py:Net"\nweights = "random"\n'
        'logs = "log.csv"\nkept = "best"\n'
    )
    assert main(["inspect"]) == 0
    said = capsys.readouterr()
    assert said.err.splitlines().count("note: runs net.py (the architecture of [models.mine])") == 1
    read = "training loss: loss, validation accuracy: val_acc (in percent)"
    line = f"  its training is read from the table log.csv: 2 epochs ({read}); the weights are of epoch 2"
    assert line in said.out.splitlines()


@pytest.mark.parametrize("kind", list(WRONG))
def test_whatever_the_code_raises_is_one_line(kind: str, report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong, said = WRONG[kind]
    (report / "net.py").write_text(NET.format(wrong=wrong))
    assert main(COMMANDS["evaluate"]) == 1
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_debug_shows_the_whole_trace_first(report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*COMMANDS["evaluate"], "--debug"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert "Traceback (most recent call last):" in lines
    assert any('net.py", line 9, in forward' in line for line in lines)
    assert lines[-1].startswith("error: expected the network's own code to run")
    assert main(["build", "--config", "none.toml", "--debug"]) == 1
    assert "Traceback (most recent call last):" in capsys.readouterr().err


def test_a_mistake_of_the_program_stays_one(report: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not told as the user's."""

    monkeypatch.setattr("generator.config.reading.load", {}.__getitem__)  # of C, which has no frame
    with pytest.raises(KeyError):
        main(COMMANDS["evaluate"])


def test_a_package_is_named_and_torchvision_is_not(report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (report / "report.toml").write_text(
        '[data]\nroot = "kitchen"\n[models.a]\narchitecture = "torchvision.models:alexnet"\nweights = "random"\n'
        '[models.b]\narchitecture = "torch.nn:Identity"\nweights = "random"\n'
    )
    assert main(["evaluate", "b"]) == 1  # it gives no logits
    assert "note: runs torch.nn (the architecture of [models.b])" in capsys.readouterr().err.splitlines()
    main(["evaluate", "a", "--split", "no"])
    assert "note: runs" not in capsys.readouterr().err


def test_a_network_that_report_toml_lacks_is_told_before_a_data_set_is_looked_at(
    report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (report / "report.toml").write_text('[data]\nroot = "no data set"\n[models]\n')
    for command in ("train", "evaluate", "predict"):
        assert main(COMMANDS[command]) == 1
        assert "expected a network" in capsys.readouterr().err.splitlines()[-1]
