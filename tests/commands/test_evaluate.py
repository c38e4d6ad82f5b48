"""The table that `predict` writes: there when it is whole, tried before the work, straight into what is no file."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from generator.base.errors import InputError
from generator.commands.evaluate import _write_csv

ROWS = [("a.png", 3), ("=1+1.png", 0), ('b"c.png', 12)]
TABLE = 'Id,Category\na.png,3\n./=1+1.png,0\n"b""c.png",12\n'


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_table_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("before")
    _write_csv(tmp_path / "t.csv", ROWS)
    assert (tmp_path / "t.csv").read_text() == TABLE
    assert names(tmp_path) == ["t.csv"]


def test_no_rows_are_a_table_with_its_header(tmp_path: Path) -> None:
    _write_csv(tmp_path / "t.csv", [])
    assert (tmp_path / "t.csv").read_text() == "Id,Category\n"


@pytest.mark.parametrize("there", [False, True])
def test_the_trial_leaves_everything_as_it_was(tmp_path: Path, there: bool) -> None:
    if there:
        (tmp_path / "t.csv").write_text("before")
    _write_csv(tmp_path / "t.csv", None)
    assert names(tmp_path) == ["t.csv"] * there
    assert not there or (tmp_path / "t.csv").read_text() == "before"


def test_a_link_stays_one_and_leads_to_the_table(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "t.csv").symlink_to(tmp_path / "there" / "t.csv")
    _write_csv(tmp_path / "t.csv", ROWS)
    assert (tmp_path / "t.csv").is_symlink()
    assert (tmp_path / "there" / "t.csv").read_text() == TABLE


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_written_into_and_stays_one(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    _write_csv(pipe, ROWS)
    reader.join()
    assert read == [TABLE]
    assert names(tmp_path) == ["pipe"]
    assert pipe.is_fifo()


@pytest.mark.parametrize("place", ["none/t.csv", "x" * 300])
@pytest.mark.parametrize("rows", [None, ROWS])
def test_no_place_is_told_by_the_trial_too(tmp_path: Path, place: str, rows: list[tuple[str, int]] | None) -> None:
    with pytest.raises(InputError, match="expected a file that can be written"):
        _write_csv(tmp_path / place, rows)
    assert names(tmp_path) == []
