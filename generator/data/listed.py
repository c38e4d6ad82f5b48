"""A data set that a list describes: a CSV file or JSON lines beside its images."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from generator.base.clutter import entries
from generator.base.errors import InputError
from generator.config.schema import DataConfig
from generator.data import lists
from generator.data.classes import Classes
from generator.data.dataset import TRAIN, DataSet, Item, parts_of
from generator.data.lists import Row
from generator.data.naming import chosen, names_beside, numbered, ordered, some
from generator.data.parts import IN_LISTS, MAYBE_SEEN, OWN_SPLIT, as_they_came, came_as, part_of, split_here
from generator.records.report import DataWords

METADATA = ("metadata.csv", "metadata.jsonl")  # Hugging Face's, in the folder or in each part's
LAYOUT = "a CSV or JSONL list of images and classes"
NUMBER = re.compile(r"(0|[1-9]\d{0,8})(\.0)?")  # pandas writes whole numbers so where some are missing


def alone(file: Path) -> dict[Path, str]:
    """A list that was named itself, as `lists_in` gives it."""
    return {file: part_of(file.stem, IN_LISTS) or ""}


def lists_in(root: Path, label: str = "") -> dict[Path, str]:
    """The lists of images and classes in a folder, and the part that each is of, "" where it tells them itself.

    Hugging Face's metadata in the folder or in the parts' folders before any other file.

    Args:
        label: the name of the column of classes, "" for a usual one.
    Raises:
        InputError: for several of which it is not clear what they are of.
    """
    inside = entries(root)
    folders = {entry: part for entry in inside if entry.is_dir() and (part := part_of(entry.name))}
    usable = [entry for entry in inside if lists.is_list(entry) and lists.tells_classes(entry, label)]
    told = {file: "" for file in usable if file.name in METADATA}
    if not told:
        every = {folder / name: part for folder, part in folders.items() for name in METADATA}
        told = {file: part for file, part in every.items() if lists.is_list(file) and lists.tells_classes(file, label)}
    if not told:
        told = {file: part for each in usable for file, part in alone(each).items()}
    twice = len(set(told.values())) < len(told)
    if twice or ("" in told.values() and len(told) > 1):
        found = some([file.relative_to(root).as_posix() for file in told])
        raise InputError(
            f"{root}: expected one list of images and classes, or one for each part, found {found}; name the one "
            "that is meant in [data] root, or take the others away"
        )
    return told


def read(root: Path, told: Mapping[Path, str], said: DataConfig) -> DataSet:
    """The data set that lists describe.

    Args:
        root: its folder, or the list.
        told: the lists, and the part that each is of, as `lists_in` has them.
        said: which classes are asked for, their order, and the column that tells them.
    Raises:
        InputError: for what is wrong in a list, images that are missing or stand there twice, and classes that are not
            there or empty.
    """
    base = root if root.is_dir() else root.parent
    every = [row for file, part in told.items() for row in _of_part(lists.rows(file, said.label), part)]
    where = root if len(told) > 1 else next(iter(told))
    classes, target_of = _classes(base, where, every, said)
    wanted = [row for row in every if row.label in target_of]
    names = _names(base, wanted)
    items = [Item(name, Path(base, name), target_of[row.label]) for row, name in zip(wanted, names, strict=True)]
    listed = " and ".join(file.relative_to(base).as_posix() for file in told)
    split, parts, notes = _parts(where, classes, wanted, items, listed)
    if left := len(every) - len(wanted):
        notes = (*notes, f"{left:,} of the {len(every):,} images listed are of other classes and are left out.")
    words = DataWords(source=base.resolve().name, split=split, notes=notes)
    return DataSet(root, words.source, classes, parts_of(parts), words)


def _of_part(found: Iterable[Row], part: str) -> Iterable[Row]:
    """The rows of a list that is of one part; one that tells parts itself is of none."""
    for row in found:
        if part and row.part and row.part != part:
            raise InputError(f"{row.place}: expected {part}, as the list is called, got {row.called!r}")
        yield row if row.part or not part else Row(row.file, row.line, row.image, row.label, part, part)


def _classes(base: Path, where: Path, every: Sequence[Row], said: DataConfig) -> tuple[Classes, dict[str, int]]:
    """The classes, and the index among them of each label that is one of them."""
    labels = dict.fromkeys(row.label for row in every)
    names, file = names_beside(base)
    matches = {label: NUMBER.fullmatch(label) for label in labels}
    if all(matches.values()):
        number = {label: int(found[1]) for label, found in matches.items() if found}
        classes, by_number = numbered(number.values(), names, said.classes, where, file)
        return classes, {label: by_number[each] for label, each in number.items() if each in by_number}
    if names and (strangers := [row for row in every if row.label not in set(names)]):
        raise InputError(f"{strangers[0].place}: expected one of the classes in {file}, got {strangers[0].label!r}")
    classes = chosen(names or ordered(labels, said.order), said.classes, where, "class")
    return classes, {key: target for target, key in enumerate(classes.keys)}


def _names(base: Path, rows: Sequence[Row]) -> list[str]:
    """The images' paths below the folder, each there and there once."""
    files = dict.fromkeys(row.file for row in rows)
    before = {file: file.parent.relative_to(base).as_posix() for file in files}
    names = [row.image if before[row.file] == "." else f"{before[row.file]}/{row.image}" for row in rows]
    first: dict[str, Row] = {}
    for row, name in zip(rows, names, strict=True):
        other = first.setdefault(name, row)
        if other is not row:
            raise InputError(f"{row.place}: expected each image once, {name} stands in line {other.line} as well")
    if missing := [name for name in names if not _is_file(f"{base}/{name}")]:
        more = f", and {len(missing) - 1:,} more of {len(names):,}," if len(missing) > 1 else ""
        place, mend = first[missing[0]].place, _nearby(base, missing[0])
        raise InputError(f"{place}: expected the image {missing[0]}, it{more} is missing{mend}")
    return names


def _is_file(path: str | Path) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116 (there may be a million)
    except OSError:
        return False


def _nearby(base: Path, name: str) -> str:
    """Where an image lies that was listed elsewhere, as the end of a line."""
    for folder in (entry for entry in entries(base) if entry.is_dir()):
        if _is_file(folder / name):
            return f"; it is {folder.name}/{name}: list it so, or move the list into {folder.name}"
    beside = (base / name).parent
    if "." not in name.rpartition("/")[2] and (found := sorted(beside.glob(f"{name.rpartition('/')[2]}.*"))):
        return f"; did you mean {found[0].relative_to(base).as_posix()}?"
    return ""


def _parts(
    where: Path, classes: Classes, rows: Sequence[Row], items: Sequence[Item], listed: str
) -> tuple[str, dict[str, list[Item]], tuple[str, ...]]:
    """How the parts came about, the parts, and what readers should know of them."""
    given: dict[str, list[Item]] = {}
    names: dict[str, str] = {}
    for row, item in zip(rows, items, strict=True):
        given.setdefault(row.part, []).append(item)
        names.setdefault(row.part, row.called)
    if set(given) <= {"", TRAIN}:
        split = split_here(classes, items, lambda item: item.name, lambda key: f"{where}, class {key}")
        return f"Its classes are those that {listed} tells. {OWN_SPLIT}", split, (MAYBE_SEEN,)
    parts, notes = as_they_came(
        classes, given, lambda part, key: f"{where}: expected {part} images of each class, found none of {key}"
    )
    return f"Its classes are those that {listed} tells. {came_as(names)}", parts, notes
