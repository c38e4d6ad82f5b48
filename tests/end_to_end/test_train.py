"""A training run that is really killed, by the command line alone."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from safetensors.torch import load_file

from generator.networks.folder import load_runs
from generator.records.training import command
from tests.conftest import SmallDataSet

REPOSITORY = Path(__file__).resolve().parents[2]
REPORT = """
[data]
root = "{root}"
classes = ["goldfish", "ladybug", "banana"]
"""


ALONE = (sys.executable,)
TWO = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def training(root: Path, beside: Path, folder: Path, *more: str, by: Sequence[str] = ALONE) -> subprocess.Popen[str]:
    """A run of eight epochs, begun."""
    report = beside / "report.toml"
    report.write_text(REPORT.format(root=root.as_posix()))
    options = ["--preset", "quick", "--epochs", "8", "--precision", "float32", "--config", str(report)]
    return subprocess.Popen(
        [*by, "-m", "generator", "train", "cnn", *options, "--folder", str(folder), *more],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


def children(process: subprocess.Popen[str]) -> list[int]:
    """The processes that torchrun started, in an order that need not be theirs."""
    found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
    return [int(number) for number in found.stdout.split()]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize(
    "by",
    [
        pytest.param(ALONE, id="one process"),
        # One of the two is killed: torchrun ends the other.
        pytest.param(TWO, id="two", marks=pytest.mark.skipif(not shutil.which("pgrep"), reason="needs pgrep")),
    ],
)
def test_killed_again_and_again_it_ends_with_the_same_weights(
    by: Sequence[str], small_data_set: SmallDataSet, tmp_path: Path
) -> None:
    begun = partial(training, small_data_set.root, tmp_path, by=by)

    def to_its_end(folder: Path, *more: str) -> None:
        process = begun(folder, *more)
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said

    to_its_end(tmp_path / "whole")
    killed = tmp_path / "killed"
    done: list[int] = []
    for delay in (0.0, 0.02, 0.1):
        process = begun(killed, *["--resume"] * bool(done))
        assert process.stderr is not None
        said = next(line for line in process.stderr if ": epoch " in line)
        time.sleep(delay)  # in the middle of an epoch, or of its file
        os.kill(process.pid if by is ALONE else min(children(process)), signal.SIGKILL)
        process.communicate()
        done.append(int(said.split(": epoch ")[1].split()[0]))
        assert not (killed / "weights.safetensors").exists()
        # Whatever was being written, what bears the name is whole; of an unfinished file only its own name is left.
        load_file(killed / "resume.safetensors")
    assert done == sorted(set(done))  # each went on after the one before
    to_its_end(killed, "--resume")
    for file in ("weights.safetensors", "snapshots.safetensors"):
        assert (killed / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    assert {path.name for path in killed.iterdir()} == {"weights.safetensors", "history.json", "snapshots.safetensors"}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGINT") or sys.platform == "win32", reason="needs SIGINT")
def test_ctrl_c_ends_it_in_one_line_and_the_run_can_go_on(small_data_set: SmallDataSet, tmp_path: Path) -> None:
    process = training(small_data_set.root, tmp_path, tmp_path / "cnn")
    assert process.stderr is not None
    next(line for line in process.stderr if ": epoch " in line)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[1].splitlines()[-1] == "interrupted; what was finished before is kept"
    assert process.returncode == 130
    again = training(small_data_set.root, tmp_path, tmp_path / "cnn", "--resume")
    said = again.communicate(timeout=300)[1]
    assert again.returncode == 0
    assert "going on after epoch" in said


@pytest.mark.slow
def test_the_commands_that_made_the_shipped_network_make_one(small_data_set: SmallDataSet, tmp_path: Path) -> None:
    """Those of "How this was judged", each for one epoch on a few images; DIR is what the first of them makes."""
    (augmented,) = [run for run in load_runs(REPOSITORY / "models" / "cnn") if run.name == "augmented"]
    commands = [command("cnn", settings) for settings in augmented.chain]
    assert len(commands) == 2
    report = tmp_path / "report.toml"
    report.write_text(REPORT.format(root=small_data_set.root.as_posix()))
    made = [tmp_path / f"made-{number}" for number in range(len(commands))]
    for said, folder in zip(commands, made, strict=True):
        python, *words = said.replace("DIR", str(made[0])).split()
        assert python == "python"
        cut = ["--epochs", "1", "--batch", "16", "--config", str(report), "--folder", str(folder)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run([sys.executable, *words, *cut], cwd=REPOSITORY, env=environment, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        (run,) = load_runs(folder)
        assert (run.name, len(run.epochs) > 0) == ("augmented", True)
        assert any(folder.glob("weights.safetensors*"))
    taught = load_runs(made[1])[0].settings
    digest = hashlib.sha256((made[0] / "weights.safetensors").read_bytes()).hexdigest()
    assert taught["started_from"] == digest
    assert taught["teachers"] == [digest, digest]
