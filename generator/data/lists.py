"""Lists of images with their classes, as CSV or JSON lines: what each of their rows says. No image is opened here."""

from __future__ import annotations

import csv
import io
import json
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from generator.base.errors import InputError
from generator.config.reading import text_of
from generator.data.naming import require_name, some
from generator.data.parts import IN_LISTS, part_of

SUFFIXES = (".csv", ".tsv", ".jsonl")
DELIMITERS = ",;\t|"
IMAGE = ("path", "file", "image", "file_name", "filename", "filepath", "image_path")
LABEL = ("label", "class", "target")
SPLIT = "split"
LARGEST = 2**28  # bytes of a list: some millions of rows
HEAD = 2**16  # bytes in which a first line is looked for
ELSEWHERE = re.compile(r"/|[A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]*://")


class Row(NamedTuple):  # there may be a million
    """One image of a list."""

    file: Path  # the list
    line: int
    image: str  # its path from the list's folder on
    label: str
    part: str  # "" where the list tells none
    called: str  # what the list calls that part

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return f"{self.file}, line {self.line}"


class _Columns(NamedTuple):
    image: str
    label: str
    split: str  # "" for none


class _Cells(NamedTuple):
    line: int
    image: object
    label: object
    split: object  # "" without such a column


def is_list(path: Path) -> bool:
    """Whether a file is called as a list is."""
    return path.suffix.lower() in SUFFIXES and path.is_file()


def tells_classes(file: Path, label: str) -> bool:
    """Whether the first line of a list has a column of images and one of classes.

    Args:
        label: the name of the column of classes, "" for a usual one.
    """
    try:
        with file.open("rb") as opened:
            first = opened.read(HEAD).decode("utf-8-sig", "replace").partition("\n")[0].rstrip("\r")
    except OSError:
        return False
    names = list(_object(first) or ()) if file.suffix.lower() == ".jsonl" else _header(first)[1]
    return bool(_of(names, IMAGE)) and bool(_of(names, (label,) if label else LABEL))


def rows(file: Path, label: str = "") -> Iterator[Row]:
    """The rows of a list.

    Args:
        label: the name of the column of classes, "" for a usual one.
    Raises:
        InputError: for a list that cannot be read, and a row without an image, a class or a part, or whose image may
            lie elsewhere than below the list.
    """
    text = text_of(file, "list of images", "expected a list of images, there is none", LARGEST)
    read = _json_lines if file.suffix.lower() == ".jsonl" else _csv_lines
    line = 0
    for columns, (line, image, named, split) in read(file, text, label):
        place = f"{file}, line {line}"
        if not isinstance(image, str) or not image.strip():
            raise InputError(f"{place}: expected the path of an image in {columns.image}, got {_came(image)}")
        called = split.strip() if isinstance(split, str) else ""
        part = part_of(called, IN_LISTS) or ""
        if columns.split and not part:
            raise InputError(f"{place}: expected {' or '.join(IN_LISTS)} in {columns.split}, got {_came(split)}")
        yield Row(file, line, _below(place, image.strip()), _label(place, columns.label, named), part, called)
    if not line:
        raise InputError(f"{file}: expected a line for each image, found none")


def _csv_lines(file: Path, text: str, label: str) -> Iterator[tuple[_Columns, _Cells]]:
    """What each row of a CSV file holds; a row may be of several lines, of which the first is told."""
    delimiter, _ = _header(first_line(text))
    columns: _Columns | None = None
    places: list[int] = []
    for line, cells in table(file, io.StringIO(text, newline=""), delimiter):
        if columns is None:
            columns = _columns(file, cells, label)
            places = [cells.index(name) for name in columns if name]
            continue
        image, named, *split = (cells[place] for place in places)
        yield columns, _Cells(line, image, named, split[0] if split else "")


def first_line(text: str) -> str:
    """The first line of a text, where the names of a CSV file's columns stand."""
    return text.partition("\n")[0].rstrip("\r")


def table(file: Path, lines: Iterable[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file that are not empty, each with its first line's number: first the names of the columns.

    Args:
        lines: of the file, with what ends them.
    Raises:
        InputError: for what is no CSV, and a row of more or fewer columns than there are names.
    """
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    width = ended = 0
    try:
        for cells in reader:
            line, ended = ended + 1, reader.line_num
            if not cells or not any(map(str.strip, cells)):
                continue
            if not width:
                width = len(cells)
                cells = [cell.strip() for cell in cells]
            if len(cells) != width:
                raise InputError(f"{file}, line {line}: expected {width} columns, got {len(cells)}")
            yield line, cells
    except csv.Error as error:
        raise InputError(f"{file}, line {reader.line_num}: expected CSV, got what is none ({error})") from None


def _json_lines(file: Path, text: str, label: str) -> Iterator[tuple[_Columns, _Cells]]:
    """What each line's object holds; the first tells what columns there are."""
    columns: _Columns | None = None
    for line, written in enumerate(text.split("\n"), start=1):
        if not written.strip():
            continue
        found = _object(written)
        if found is None:
            raise InputError(f"{file}, line {line}: expected an object of JSON, got {written.strip()[:60]!r}")
        columns = columns or _columns(file, list(found), label)
        split = found.get(columns.split) if columns.split else ""
        yield columns, _Cells(line, found.get(columns.image), found.get(columns.label), split)


def _object(written: str) -> dict[str, object] | None:
    try:
        found = json.loads(written)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def header(first: str, known: Collection[str]) -> tuple[str, list[str]]:
    """The delimiter of a CSV file and the names of its columns: the delimiter that shows the most known ones.

    Args:
        first: the file's first line.
        known: names of columns, in small letters.
    """
    found = []
    for delimiter in DELIMITERS:
        try:
            names = [name.strip() for name in next(csv.reader([first], delimiter=delimiter, skipinitialspace=True), [])]
        except csv.Error:
            continue
        found.append((sum(name.casefold() in known for name in names), delimiter, names))
    _, delimiter, names = max(found, key=lambda each: each[0], default=(0, ",", [first]))
    return delimiter, names


def _header(first: str) -> tuple[str, list[str]]:
    return header(first, (*IMAGE, *LABEL, SPLIT))


def _of(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """Which of some columns are called by one of the known names, in capital letters or not."""
    wanted = {name.casefold() for name in known}
    return [name for name in names if name.casefold() in wanted]


def _columns(file: Path, names: Sequence[str], label: str) -> _Columns:
    images, labels, splits = (_of(names, known) for known in (IMAGE, (label,) if label else LABEL, (SPLIT,)))
    if not images or not labels:
        lacks, known = ("images", IMAGE) if not images else ("classes", LABEL)
        mend = "" if not images else "; or name it in [data] label"
        expected = f"called {label} ([data] label)" if label and images else f"of {lacks} ({', '.join(known)}{mend})"
        raise InputError(f"{file}: expected a column {expected}, found {some(names)}")
    if len(images) > 1:
        raise InputError(f"{file}: expected one column of images, found {' and '.join(images)}; rename all but one")
    if len(labels) > 1:
        raise InputError(
            f"{file}: expected one column of classes, found {' and '.join(labels)}; name the one that is meant in "
            "[data] label"
        )
    return _Columns(images[0], labels[0], splits[0] if splits else "")


def _label(place: str, column: str, value: object) -> str:
    """A name, or a number as a word."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise InputError(
            f"{place}: expected a name or a whole number in {column}, one class an image, got {_came(value)}"
        )
    require_name(value.strip(), place)
    return value.strip()


def _below(place: str, path: str) -> str:
    """A path as it is below the list's folder, with slashes on every system."""
    plain = path.replace("\\", "/")
    if ELSEWHERE.match(plain):
        raise InputError(f"{place}: expected a path from the list's folder on, got {path[:200]!r}")
    require_name(plain, place)
    normal = posixpath.normpath(plain)
    if normal in (".", "..") or normal.startswith("../"):
        raise InputError(f"{place}: expected a file below the list's folder, got {path[:200]!r}; move it there")
    return normal


def _came(value: object) -> str:
    return "nothing" if value in (None, "") else f"{value!r:.60}"
