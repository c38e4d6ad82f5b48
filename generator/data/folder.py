"""Folders with a folder of images for each class, alone or below a folder for each part."""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from generator.base.clutter import is_clutter
from generator.base.errors import InputError, reason
from generator.data.classes import ALL, PRESET, Classes, repeated
from generator.data.dataset import (
    CHOSEN_AND_JUDGED,
    PARTS,
    TEST,
    TRAIN,
    VALIDATION,
    DataSet,
    Item,
    parts_of,
)
from generator.records.report import DataWords

SUFFIXES = (".jpeg", ".jpg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")
NAMES = {  # of a part's folder -> the part
    "train": TRAIN, "training": TRAIN,
    "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION,
    "test": TEST, "testing": TEST,
}  # fmt: skip
LAYOUT = "a folder of images for each class, or such folders below train, val (or valid, validation) and test"
OWN_SPLIT = (
    "Of each class's images a tenth, chosen by a hash of the file name, is kept for validation and another tenth for "
    "the test."
)
MAYBE_SEEN = "The split is this program's own: a network that was trained elsewhere may have seen the test images."


def read(root: Path, wanted: str | Sequence[str] | None) -> DataSet:
    """The data set in a folder of class folders, or of parts with class folders.

    Args:
        wanted: the classes by the names of their folders, in this order; None or "all": all of them, sorted as strings,
            as torchvision's ImageFolder does.
    Raises:
        InputError: where the folder is in neither layout, and for classes that are not there, empty or of other parts.
    """
    parts = _part_folders(root)
    if not parts:
        return _split_here(root, _class_folders(root), wanted, ())
    if set(parts) == {TRAIN}:
        return _split_here(root, _class_folders(parts[TRAIN]), wanted, _beside(root, parts))
    found = {name: _class_folders(folder) for name, folder in parts.items()}
    known = found.get(TRAIN) or dict.fromkeys(sorted({name for folders in found.values() for name in folders}))
    classes = _classes(root, list(known), wanted)
    listed: dict[str, list[Item]] = {}
    notes: list[str] = []
    for part, folders in found.items():
        if wanted in (None, ALL) and (strangers := [name for name in folders if name not in known]):
            raise InputError(
                f"{parts[part]}: expected the classes of {parts[TRAIN]}, found {_some(strangers)} besides; "
                "add images to train on, or name the classes that are meant in [data] classes"
            )
        images = {key: _images(folders[key]) if key in folders else [] for key in classes.keys}
        empty = [key for key in classes.keys if not images[key]]
        if empty and (part == TRAIN or len(empty) == len(classes)):
            raise InputError(f"{parts[part] / empty[0]}: expected images ({', '.join(SUFFIXES)}), found none")
        if empty:
            notes.append(f"There are no {part} images of {_some(empty)}.")
        listed[part] = [
            _item(root, folders[key], name, target)
            for target, key in enumerate(classes.keys)
            for name in sorted(images[key])
        ]
    if TEST not in listed:
        notes.insert(0, CHOSEN_AND_JUDGED)
    told = " and ".join(f"{parts[part].name} ({part})" for part in listed)
    words = DataWords(source=root.resolve().name, split=f"The parts are as they came: {told}.", notes=tuple(notes))
    return DataSet(root, words.source, classes, parts_of(listed), words, aside=_beside(root, parts))


def split_names(names: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(train, validation) of one class's file names, each sorted: the tenth with the smallest sha256 is validation.

    A class of two to nineteen images gives one to validation, a class of one none.
    """
    ranked = _ranked(names)
    tenth = _tenth(len(ranked))
    return tuple(sorted(ranked[tenth:])), tuple(sorted(ranked[:tenth]))


def image_names(folder: Path) -> list[str]:
    """The names of the image files in a folder, not of those in folders below it.

    Raises:
        InputError: where there are none.
    """
    names = [
        entry.name
        for entry in _scan(folder)
        if entry.name.lower().endswith(SUFFIXES) and not is_clutter(entry.name) and entry.is_file()
    ]
    if not names:
        raise InputError(f"{folder}: expected images, found none")
    return names


def looks_like(root: Path) -> bool:
    """Whether there are at least two folders with images, or parts with such folders, in a folder."""
    return bool(_part_folders(root)) or sum(map(_holds_images, _folders(root))) > 1


def _split_here(
    root: Path, folders: Mapping[str, Path], wanted: str | Sequence[str] | None, aside: tuple[str, ...]
) -> DataSet:
    """By the hash of the file name a tenth of each class is for validation, the next tenth for the test."""
    classes = _classes(root, list(folders), wanted)
    listed: dict[str, list[Item]] = {part: [] for part in PARTS}
    for target, key in enumerate(classes.keys):
        ranked = _ranked(_images(folders[key]))
        tenth = _tenth(len(ranked))
        if len(ranked) < 3:
            raise InputError(f"{folders[key]}: expected at least 3 images, one for each part, found {len(ranked)}")
        shares = {VALIDATION: ranked[:tenth], TEST: ranked[tenth : 2 * tenth], TRAIN: ranked[2 * tenth :]}
        for part, names in shares.items():
            listed[part] += [_item(root, folders[key], name, target) for name in sorted(names)]
    words = DataWords(source=root.resolve().name, split=OWN_SPLIT, notes=(MAYBE_SEEN,))
    return DataSet(root, words.source, classes, parts_of(listed), words, aside=aside)


def _part_folders(root: Path) -> dict[str, Path]:
    """Part -> its folder, of those that hold class folders, in the parts' order."""
    found: dict[str, Path] = {}
    for folder in _folders(root):
        part = NAMES.get(folder.name.casefold())
        if part and any(map(_holds_images, _folders(folder))):
            if part in found:
                raise InputError(
                    f"{root}: expected one folder for {part}, found {found[part].name} and {folder.name}; "
                    "move one of them elsewhere"
                )
            found[part] = folder
    return {part: found[part] for part in PARTS if part in found}


def _class_folders(root: Path) -> dict[str, Path]:
    """Name -> folder of each class, sorted as strings.

    Raises:
        InputError: for fewer than two of them, one whose name is not UTF-8, or a part without class folders.
    """
    folders = {folder.name: folder for folder in _folders(root)}
    flat = [name for name in folders if NAMES.get(name.casefold())]
    if flat and {NAMES[name.casefold()] for name in flat} != {TRAIN}:  # a class may be called train, as the vehicle is
        raise InputError(
            f"{root / flat[0]}: expected a folder of images for each class in it, found images alone; "
            "sort them into such folders, or move it elsewhere"
        )
    if unreadable := [name for name in folders if not _is_utf8(name)]:
        raise InputError(f"{root}: expected the names of folders in UTF-8, found {unreadable[0]!r}; rename it")
    if len(folders) < 2:
        raise InputError(f"{root}: expected a folder of images for each of at least 2 classes, found {len(folders)}")
    return {name: folders[name] for name in sorted(folders)}


def _beside(root: Path, parts: Mapping[str, Path]) -> tuple[str, ...]:
    """The folders that lie beside the parts."""
    return tuple(sorted(folder.name for folder in _folders(root) if folder not in parts.values()))


def _classes(root: Path, known: Sequence[str], wanted: str | Sequence[str] | None) -> Classes:
    """The classes among the folders' names that are asked for."""
    if wanted in (None, ALL):
        names = tuple(known)
    elif isinstance(wanted, str):
        meant = f'"{PRESET}" is of Tiny ImageNet, ' if wanted == PRESET else ""
        raise InputError(
            f'[data] classes: {meant}expected "{ALL}" or a list of the folders in {root} ({_some(known)}), got '
            f'"{wanted}"; leave the key out for all of them'
        )
    else:
        names = tuple(_named(root, known, name) for name in wanted)
        if again := repeated(names):
            raise InputError(f'[data] classes: "{again}" stands there twice; name each class once')
    if len(names) < 2:
        raise InputError(f"{root}: expected at least 2 classes, found {len(names)}")
    return Classes(names, names)


def _named(root: Path, known: Sequence[str], name: str) -> str:
    alike = [one for one in known if one.casefold() == name.casefold()]
    if name in known or len(alike) == 1:
        return name if name in known else alike[0]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"expected one of {_some(known)}"
    raise InputError(f'[data] classes: {root} has no folder "{name}"; {hint}')


def _item(root: Path, folder: Path, name: str, target: int) -> Item:
    path = folder / name
    told = path.relative_to(root).as_posix()
    return Item(told.encode("utf-8", "backslashreplace").decode(), path, target)


def _images(folder: Path) -> list[str]:
    """The paths of all image files below a class folder, relative to it."""
    return list(_walk(folder))


def _holds_images(folder: Path) -> bool:
    return any(True for _ in _walk(folder))


def _walk(folder: Path) -> Iterator[str]:
    """The relative path of each image file below a folder; linked folders are entered, each once."""
    entered: set[str] = set()
    for where, folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        real = os.path.realpath(where)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        folders[:] = sorted(name for name in folders if not is_clutter(name))
        inner = Path(where).relative_to(folder)
        yield from ((inner / name).as_posix() for name in names if _is_image(Path(where, name)))


def _is_image(path: Path) -> bool:
    """By its name; a pipe is none, and a link that leads nowhere is one, so that whoever reads it says so."""
    meant = path.name.lower().endswith(SUFFIXES) and not is_clutter(path.name)
    return meant and (path.is_file() or path.is_symlink())


def _refuse(error: OSError) -> None:
    raise InputError(f"{error.filename}: expected a folder of images, it cannot be read {reason(error)}") from None


def _folders(root: Path) -> list[Path]:
    """The folders in a folder that somebody means, linked ones too."""
    return [Path(entry.path) for entry in _scan(root) if not is_clutter(entry.name) and entry.is_dir()]


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        raise InputError(f"{folder}: expected a folder of images, it is missing") from None
    except OSError as error:
        _refuse(error)
        raise


def _is_utf8(name: str) -> bool:
    return not any("\udc80" <= letter <= "\udcff" for letter in name)


def _ranked(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest())


def _tenth(count: int) -> int:
    return 0 if count < 2 else max(1, count // 10)


def _some(names: Iterable[str], most: int = 5) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
