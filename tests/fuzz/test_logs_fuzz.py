"""A log of another program is cut, overwritten or made up: one line, or runs whose curves can be drawn."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.base.errors import InputError
from generator.config.schema import ModelConfig
from generator.records.training import Epoch, Run
from generator.report.training import curves
from tests import synthetic

SAMPLES = Path(__file__).parents[1] / "training" / "logs" / "samples"
FILES = sorted(file for file in SAMPLES.rglob("*") if file.is_file())
CELLS = st.one_of(
    st.sampled_from(["", "NA", "nan", "-inf", "1e400", "-1", "0", "1", "2.5", "99 %", "101", "1:02", "é", '"', "1,5"]),
    st.floats().map(str),
    st.text(max_size=5),
)
NAMES = st.sampled_from(
    ["epoch", "step", "loss", "val_loss", "acc", "val_acc", "val_acc (%)", "err", "test_acc", "lr", "time", "", "f1"]
)


def taken(file: Path) -> None:
    """Refused in one line, or read as epochs that any page can show."""
    from generator.training import logs

    try:
        runs = logs.read(ModelConfig("net", logs=(file,), kept=None), file.parent)
    except InputError as error:
        told(str(error), file)
        return
    for run in runs:
        whole(run)


def told(line: str, file: Path) -> None:
    assert "\n" not in line
    assert len(line) < 600 + len(str(file))


def whole(run: Run) -> None:
    numbers = [epoch.epoch for epoch in run.epochs]
    assert numbers == sorted(set(numbers))
    assert numbers[0] >= 1
    for epoch in run.epochs:
        values = {field.name: getattr(epoch, field.name) for field in fields(Epoch)}
        assert all(math.isfinite(value) for value in values.values() if value is not None)
        for name in ("train_accuracy", "validation_accuracy"):
            assert values[name] is None or 0 <= values[name] <= 1
        assert (epoch.learning_rate or 0) >= 0
        assert (epoch.seconds or 0) >= 0
    curves.training_figures(replace(synthetic.network("net", "Net", []), runs=(run,), snapshots={}))


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(SAMPLES)) for file in FILES])
@given(at=st.floats(0, 1), length=st.integers(0, 40), new=st.binary(max_size=40))
@settings(max_examples=6)
def test_a_log_in_which_bytes_are_others(
    tmp_path_factory: pytest.TempPathFactory, file: Path, at: float, length: int, new: bytes
) -> None:
    content = file.read_bytes()
    place = round(at * len(content))
    changed = tmp_path_factory.mktemp("log") / file.name
    changed.write_bytes(content[:place] + new + content[place + length :])
    taken(changed)
    changed.write_bytes(content[:place])
    taken(changed)


@given(
    names=st.lists(NAMES, max_size=6, unique=True),
    rows=st.lists(st.lists(CELLS, max_size=6), max_size=8),
    delimiter=st.sampled_from(",;\t"),
)
@settings(max_examples=40)
def test_a_table_of_anything(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], rows: list[list[str]], delimiter: str
) -> None:
    file = tmp_path_factory.mktemp("log") / "log.csv"
    lines = [delimiter.join(cells) for cells in ([*names], *rows)]
    file.write_text("\n".join(lines), encoding="utf-8", errors="surrogatepass")
    taken(file)
