"""Folders with a folder of images for each class, alone or below a folder for each part."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from generator.base.clutter import is_clutter
from generator.base.errors import InputError, reason
from generator.config.schema import DataConfig
from generator.data.classes import ALL
from generator.data.dataset import PARTS, TRAIN, DataSet, Item, parts_of
from generator.data.naming import chosen, ordered, some
from generator.data.parts import MAYBE_SEEN, OWN_SPLIT, as_they_came, came_as, part_of, split_here
from generator.records.report import DataWords

SUFFIXES = (".jpeg", ".jpg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")
LAYOUT = "a folder of images for each class, or such folders below train, val (or valid, validation) and test"


def read(root: Path, said: DataConfig) -> DataSet:
    """The data set in a folder of class folders, or of parts with class folders.

    Args:
        said: which classes are asked for, by the names of their folders, and in which order they stand.
    Raises:
        InputError: where the folder is in neither layout, and for classes that are not there, empty or of other parts.
    """
    parts = _part_folders(root)
    if not parts:
        return _split_here(root, _class_folders(root), said, ())
    if set(parts) == {TRAIN}:
        return _split_here(root, _class_folders(parts[TRAIN]), said, _beside(root, parts))
    found = {name: _class_folders(folder) for name, folder in parts.items()}
    known = found.get(TRAIN) or {name for folders in found.values() for name in folders}
    classes = chosen(ordered(known, said.order), said.classes, root)
    for part, folders in found.items():
        if said.classes in (None, ALL) and (strangers := [name for name in folders if name not in known]):
            raise InputError(
                f"{parts[part]}: expected the classes of {parts[TRAIN]}, found {some(strangers)} besides; "
                "add images to train on, or name the classes that are meant in [data] classes"
            )
    listed = {
        part: [
            _item(root, folders[key], name, target)
            for target, key in enumerate(classes.keys)
            if key in folders
            for name in _walk(folders[key])
        ]
        for part, folders in found.items()
    }
    every, notes = as_they_came(
        classes, listed, lambda part, key: f"{parts[part] / key}: expected images ({', '.join(SUFFIXES)}), found none"
    )
    split = came_as({part: folder.name for part, folder in parts.items()})
    words = DataWords(source=root.resolve().name, split=split, notes=notes)
    return DataSet(root, words.source, classes, parts_of(every), words, aside=_beside(root, parts))


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


def class_folders(root: Path) -> list[str]:
    """The folders in a folder that are for classes, or for parts with such: [] where images only lie in some folder."""
    parts = [folder.name for folder in _part_folders(root).values()]
    classes = [one.name for one in _folders(root) if not part_of(one.name) and _holds_images(one)]
    return parts or (classes if len(classes) > 1 else [])


def _split_here(root: Path, folders: Mapping[str, Path], said: DataConfig, aside: tuple[str, ...]) -> DataSet:
    """The class folders' images, split by the hashes of their names."""
    classes = chosen(ordered(folders, said.order), said.classes, root)
    items = [
        _item(root, folders[key], name, target)
        for target, key in enumerate(classes.keys)
        for name in _walk(folders[key])
    ]

    def hashed(item: Item) -> str:
        return item.path.relative_to(folders[classes.keys[item.target]]).as_posix()

    listed = split_here(classes, items, hashed, folders.__getitem__)
    words = DataWords(source=root.resolve().name, split=OWN_SPLIT, notes=(MAYBE_SEEN,))
    return DataSet(root, words.source, classes, parts_of(listed), words, aside=aside)


def _part_folders(root: Path) -> dict[str, Path]:
    """Part -> its folder, of those that hold class folders, in the parts' order."""
    found: dict[str, Path] = {}
    for folder in _folders(root):
        part = part_of(folder.name)
        if part and any(map(_holds_images, _folders(folder))):
            if part in found:
                raise InputError(
                    f"{root}: expected one folder for {part}, found {found[part].name} and {folder.name}; "
                    "move one of them elsewhere"
                )
            found[part] = folder
    return {part: found[part] for part in PARTS if part in found}


def _class_folders(root: Path) -> dict[str, Path]:
    """Name -> folder of each class.

    Raises:
        InputError: for fewer than two of them, one whose name is not UTF-8, or a part without class folders.
    """
    folders = {folder.name: folder for folder in _folders(root)}
    flat = [name for name in folders if part_of(name)]
    if flat and set(map(part_of, flat)) != {TRAIN}:  # a class may be called train, as the vehicle is
        raise InputError(
            f"{root / flat[0]}: expected a folder of images for each class in it, found images alone; "
            "sort them into such folders, or move it elsewhere"
        )
    if unreadable := [name for name in folders if not _is_utf8(name)]:
        raise InputError(f"{root}: expected the names of folders in UTF-8, found {unreadable[0]!r}; rename it")
    if len(folders) < 2:
        raise InputError(f"{root}: expected a folder of images for each of at least 2 classes, found {len(folders)}")
    return folders


def _beside(root: Path, parts: Mapping[str, Path]) -> tuple[str, ...]:
    """The folders that lie beside the parts."""
    return tuple(sorted(folder.name for folder in _folders(root) if folder not in parts.values()))


def _item(root: Path, folder: Path, name: str, target: int) -> Item:
    path = folder / name
    told = path.relative_to(root).as_posix()
    return Item(told.encode("utf-8", "backslashreplace").decode(), path, target)


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
    every = [Path(entry.path) for entry in _scan(root) if not is_clutter(entry.name)]
    return [path for path in every if os.path.isdir(path)]  # noqa: PTH112 (which a link in a circle is not)


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
