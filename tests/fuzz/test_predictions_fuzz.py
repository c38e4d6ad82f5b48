"""A file of answers is cut, overwritten or filled with anything: one line, or a row of finite logits for each image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.base.errors import InputError
from tests.data.test_predictions import LOGITS, PATHS, data_set, read, rows, saved, written

INSERTED = st.sampled_from([b"", b",", b'"', b"\n", b"\0", b"nan", b"1e999", b"\xff", b"PK\x03\x04"]) | st.binary(
    max_size=9
)


def taken(file: Path) -> None:
    try:
        found = read(file)
    except InputError as error:
        told(str(error), file)
        return
    assert found.logits["test"].shape == (len(data_set().parts[0]), LOGITS.shape[1])
    assert np.isfinite(found.logits["test"]).all()


def told(line: str, file: Path) -> None:
    assert "\n" not in line
    assert len(line) < 600 + 2 * len(str(file))


@pytest.mark.parametrize("kind", ["csv", "npz"])
@settings(max_examples=150)
@given(places=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), INSERTED), min_size=1, max_size=5))
def test_damaged(kind: str, tmp_path_factory: pytest.TempPathFactory, places: list[tuple[float, int, bytes]]) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    arrays = {"files": np.array(PATHS), "scores": LOGITS, "labels": np.arange(6) // 2}
    file = written(folder, rows()) if kind == "csv" else saved(folder, **arrays)
    content = file.read_bytes()
    for share, length, inserted in places:
        at = int(share * len(content))
        content = content[:at] + inserted + content[at + length :]
    file.write_bytes(content)
    taken(file)


@settings(max_examples=150)
@given(
    table=st.lists(st.lists(st.text(max_size=8) | st.floats().map(str), min_size=1, max_size=6), max_size=8),
    head=st.lists(
        st.sampled_from(["file", "label", "prediction", "index", "", "cups", "Spoons", "0", "1", "=1+1"]), max_size=6
    ),
)
def test_any_table(tmp_path_factory: pytest.TempPathFactory, table: list[list[str]], head: list[str]) -> None:
    folder = tmp_path_factory.mktemp("any")
    try:
        file = written(folder, table, head)
    except UnicodeEncodeError:  # half letters, which no file can hold
        return
    taken(file)
