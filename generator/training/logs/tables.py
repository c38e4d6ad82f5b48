"""Logs in text: tables (CSV and its kin) and JSON, whole or a row a line, as the rows that they hold."""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from generator.base.errors import InputError
from generator.records import stored
from generator.training.logs.logged import READ, Logged

LARGEST = 1 << 26  # bytes
MOST_COLUMNS, MOST_ROWS = 2000, 1_000_000
DEEPEST = 3  # tables inside a row of JSON
DELIMITERS = ",;\t"
ABSENT = {"", "na", "n/a", "none", "null", "-", "--"}  # Keras writes NA, R's and pandas' tables too
CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{2}(?:\.\d+)?)")  # fastai's 01:23


def read(path: Path) -> Logged:
    """The rows of a log in text.

    Raises:
        InputError: where it cannot be read, is no text, or no table of numbers.
    """
    text = _text(path)
    if text.lstrip()[:1] in ("{", "["):
        return _of_json(path, text)
    found = _of_table(path, text)
    if "\n" in text.strip() and not found.names:
        raise InputError(
            f"{path}: expected a table of a training's epochs, found text without one, such as a program prints on a "
            f"console; have it write one of those that are read: {READ}"
        )
    return found


def has_epochs(path: Path) -> bool:
    """Whether a table says something of epochs in its first lines, or nothing at all: what is no log is passed over."""
    try:
        start = stored.content_of(path, "a log", LARGEST, first=4096)
    except InputError:
        return True  # whoever reads it says why
    return b"epoch" in start.lower() or not start.strip()


def _text(path: Path) -> str:
    what = "a log of a training"
    data = stored.content_of(path, what, LARGEST)
    if not data.strip():
        raise InputError(f"{path}: expected {what}, found an empty file")
    try:
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # as PowerShell redirects
            text = data.decode("utf-16")
        else:
            text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        kind = "something else" if b"\0" in data[:4096] else "another encoding; save it as UTF-8"
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}: expected {what} in UTF-8, found {kind} (at line {line})") from None
    if "\0" in text:
        raise InputError(f"{path}: expected {what} in text, found something else")
    return text


# Tables


def _of_table(path: Path, text: str) -> Logged:
    first, _, _ = text.lstrip().partition("\n")
    delimiter = max(DELIMITERS, key=first[:65536].count)
    try:
        lines = [line for line in csv.reader(io.StringIO(text), delimiter=delimiter) if any(map(str.strip, line))]
    except csv.Error as error:
        raise InputError(f"{path}: expected a table of a training's epochs, found another text ({error})") from None
    if not lines:
        raise InputError(f"{path}: expected a table of a training's epochs, found no cell with anything in it")
    head = [name.strip().lstrip("#").strip() for name in lines[0]]
    if len(head) > MOST_COLUMNS or len(lines) > MOST_ROWS:
        raise InputError(
            f"{path}: expected at most {MOST_COLUMNS:,} columns and {MOST_ROWS:,} rows, found {len(head):,} and "
            f"{len(lines):,}"
        )
    if repeated := [name for name, count in Counter(head).items() if name and count > 1]:
        raise InputError(f"{path}: expected columns of different names, found two called {repeated[0][:60]!r}")
    cut = not text.endswith(("\n", "\r"))
    rows, percent, odd = [], set[str](), 0
    for place, cells in enumerate(lines[1:], start=2):
        if [cell.strip() for cell in cells] == [name.strip() for name in lines[0]]:
            continue  # a run that went on wrote it again
        if len(cells) < len(head) and cut and place == len(lines):
            continue  # still being written
        if len(cells) != len(head):
            odd += 1
            continue
        row = {}
        for name, cell in zip(head, cells, strict=True):
            number = _number(cell, delimiter)
            if name and number is not None:
                row[name] = number
                if cell.rstrip().endswith("%"):
                    percent.add(name)
        rows.append(row)
    notes = (f"{odd:,} of its rows have another number of cells than its head and are left out.",) if odd else ()
    return Logged(_format(path, head), tuple(rows), percent=frozenset(percent), notes=notes)


def _number(cell: str, delimiter: str) -> float | None:
    """A cell's number, nan for what is none that can be drawn; None where it is empty or says something else."""
    text = cell.strip().removesuffix("%").strip()
    if text.lower() in ABSENT:
        return None
    if clock := CLOCK.fullmatch(text):
        hours, minutes, seconds = clock.groups(default="0")
        return 3600 * int(hours[:9]) + 60 * int(minutes) + float(seconds)
    try:
        number = float(text.replace(",", ".") if delimiter == ";" else text)
    except ValueError:
        return None
    return number if math.isfinite(number) else math.nan


def _format(path: Path, head: Sequence[str]) -> str:
    """Whose table it is, as far as its columns tell."""
    names = set(head)
    if {"epoch", "step"} <= names and path.name == "metrics.csv":
        return "Lightning's log"
    if {"epoch", "eval_top1", "eval_loss"} <= names:
        return "timm's log"
    if {"epoch", "train/loss"} <= names:
        return "Ultralytics' log"
    return "the table"


# JSON


def _of_json(path: Path, text: str) -> Logged:
    try:
        said = json.loads(text)
    except RecursionError:
        raise InputError(f"{path}: expected a log in JSON, found one that is nested too deeply") from None
    except ValueError as error:
        found = list(_of_lines(text))
        if len(found) < 2 and not text.rstrip().endswith("}"):
            raise InputError(f"{path}: expected a log in JSON, found a damaged one ({error})") from None
        return Logged("the log", tuple(found), notes=_left_out(text, found))
    if isinstance(said, Mapping) and isinstance(said.get("log_history"), list):
        return Logged("Hugging Face's log", tuple(_of_trainer(said["log_history"])))
    if isinstance(said, Mapping) and (columns := _columns(said)):
        rows = (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))
        numbers = ({name: value for name, value in row.items() if value is not None} for row in rows)
        return Logged("the log", tuple({"epoch": float(place), **row} for place, row in enumerate(numbers, start=1)))
    if isinstance(said, Mapping):
        said = [said]
    if isinstance(said, list) and all(isinstance(entry, Mapping) for entry in said):
        return Logged("the log", tuple(_flat(entry) for entry in said))
    raise InputError(f"{path}: expected a log in JSON: rows with an epoch, or lists of numbers; found something else")


def _of_lines(text: str) -> Iterator[Mapping[str, float]]:
    for line in text.splitlines():
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(said, Mapping):
            yield _flat(said)


def _left_out(text: str, found: Sequence[object]) -> tuple[str, ...]:
    """Of lines that hold something else; the last may still be written."""
    lines = [line for line in text.splitlines() if line.strip()]
    odd = len(lines) - len(found) - (not text.endswith("\n"))
    return (f"{odd:,} of its lines are no rows and are left out.",) if odd > 0 else ()


def _of_trainer(history: Sequence[object]) -> Iterator[Mapping[str, float]]:
    """Hugging Face's rows; not the one that sums the training up, which would be a loss of another kind."""
    for entry in history:
        if isinstance(entry, Mapping) and "train_runtime" not in entry:
            yield _flat(entry)


def _columns(said: Mapping[str, Any]) -> Mapping[str, list[float | None]]:
    """Lists of one length, such as Keras's History has; {} where it is anything else."""
    lists = {name: value for name, value in said.items() if isinstance(value, list) and value}
    if not lists or len({len(value) for value in lists.values()}) > 1:
        return {}
    found = {name: [_plain(each) for each in value] for name, value in lists.items()}
    return {name: values for name, values in found.items() if any(value is not None for value in values)}


def _flat(entry: Mapping[str, Any], before: str = "", depth: int = 0) -> Mapping[str, float]:
    """The numbers of a row, those of tables inside it by "train/loss"."""
    row: dict[str, float] = {}
    for name, value in entry.items():
        if isinstance(value, Mapping) and depth < DEEPEST:
            row |= _flat(value, f"{before}{name}/", depth + 1)
        elif (number := _plain(value)) is not None:
            row[before + str(name)] = number
    return row


def _plain(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else math.nan
    except OverflowError:
        return math.nan
