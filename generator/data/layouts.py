"""The door to a data set: where its folder is, and which of the known layouts it is in."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from generator.base.clutter import entries
from generator.base.errors import InputError
from generator.base.names import UNNAMED
from generator.config.schema import DataConfig
from generator.data import cifar, folder, idx, listed, lists, tiny_imagenet
from generator.data.dataset import DataSet
from generator.data.naming import some

FUNCTION = re.compile(r".+\.py:[A-Za-z_]\w*", re.DOTALL)
VARIABLE = "TINY_IMAGENET"
# Folders' names that name no data set.
PLAIN = frozenset({"data", "dataset", "datasets", "image", "images", "img", "imgs", "photos", "pictures", "root"})
KNOWN = f"Tiny ImageNet's folder, {folder.LAYOUT}, {listed.LAYOUT}, {idx.LAYOUT}, or {cifar.LAYOUT}"


def find(argument: Path | None, configured: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The data set's folder or list: `--data`, else the variable TINY_IMAGENET, else `[data] root`; None for none.

    Raises:
        InputError: if the one that is set is neither.
    """
    variable = environ.get(VARIABLE, "")
    wanted = (
        ("--data", argument),
        (f"the variable {VARIABLE}", Path(variable) if variable else None),
        ("[data] root", configured),
    )
    for source, root in wanted:
        if root is not None:
            if is_function(root) and VARIABLE not in source:
                return Path(os.path.abspath(root))  # noqa: PTH100 (Path.absolute keeps "..")
            if not root.is_dir() and not lists.is_list(root):
                expected = f"a data set's folder, or a list ({', '.join(lists.SUFFIXES)})"
                raise InputError(f"{source}: expected {expected}, {root} is not a folder; check the path")
            return root
    return None


def is_function(root: Path) -> bool:
    """Whether a data set is named by the function that gives it: "file.py:name"."""
    return FUNCTION.fullmatch(str(root)) is not None


def opened(root: Path, told: DataConfig, beside: Path | None = None) -> DataSet:
    """The data set in a folder, in whichever layout it is, where no image is read; or that a function gives.

    Args:
        told: what report.toml says of it.
        beside: report.toml's folder, below which the file of a function must lie, which is run; None: none may be.
    Raises:
        InputError: where the folder is in no layout that is known, or what it holds does not fit.
    """
    if not is_function(root):
        found = _read(root, told)
    elif beside is None:
        raise InputError(
            f"{root}: expected a data set's folder, found code, which only a report.toml beside it may name"
        )
    else:
        from generator.data import factory  # it loads Pillow, which an unchanged build does without

        found = factory.read(root, beside, _unlabelled(root, told))
    source = found.words.source if found.words.source.casefold() not in PLAIN else UNNAMED
    words = replace(found.words, source=told.name or source, licence=told.licence or found.words.licence)
    name = source if found.name == found.words.source else found.name
    return replace(found, name=told.name or name, words=words)


def _read(root: Path, told: DataConfig) -> DataSet:
    """The data set, as its layout's reader has it."""
    if root.is_file():
        return listed.read(root, listed.alone(root), told)
    lacking = tiny_imagenet.lacks(root)
    if not lacking:
        return tiny_imagenet.read(root, _unlabelled(root, told).classes)
    if set(tiny_imagenet.LISTS) - set(lacking):
        raise InputError(
            f"{root}: expected Tiny ImageNet, whose lists it holds, it lacks {', '.join(lacking)}; "
            "give the unpacked folder tiny-imagenet-200"
        )
    if pairs := idx.files(root):
        return idx.read(root, pairs, _unlabelled(root, told))
    if batches := cifar.files(root):
        return cifar.read(root, batches, told)
    if usable := listed.lists_in(root, told.label):
        return listed.read(root, _preferred(root, usable), told)
    _unlabelled(root, told)
    if folder.looks_like(root):
        return folder.read(root, told)
    raise InputError(f"{root}: expected {KNOWN}; found {_found(root)}")


def _unlabelled(root: Path, told: DataConfig) -> DataConfig:
    """What is said of a data set in which there is one label an image."""
    if told.label:
        raise InputError(
            f"[data] label: expected a list with a column {told.label} in {root}, found none; leave it out"
        )
    return told


def _preferred(root: Path, usable: Mapping[Path, str]) -> Mapping[Path, str]:
    """The lists of a folder, unless class folders may be meant as well; Hugging Face's go before those."""
    folders = folder.class_folders(root)
    if folders and not all(file.name in listed.METADATA for file in usable):
        names = some([file.name for file in usable])
        raise InputError(
            f"{root}: expected class folders or a list, found both: {some(folders)}, and {names}; name the list in "
            "[data] root, or move it elsewhere"
        )
    return usable


def _is_known(root: Path) -> bool:
    try:
        known = (
            not tiny_imagenet.lacks(root)
            or idx.files(root)
            or cifar.files(root)
            or listed.lists_in(root)
            or folder.looks_like(root)
        )
    except InputError:
        return True  # which says itself what is wrong with it
    return bool(known)


def _found(root: Path) -> str:
    """What lies in a folder that is in no layout, in words."""
    inside = entries(root)
    folders = [entry for entry in inside if entry.is_dir()]
    files = len(inside) - len(folders)
    deeper = (inner for one in folders for inner in entries(one) if inner.is_dir())  # torchvision's MNIST/raw
    if inner := next(filter(_is_known, (*folders, *deeper)), None):
        return f"{inner.relative_to(root)} in it; did you mean {inner}?"
    if not inside:
        return "an empty folder"
    names = ", ".join(one.name for one in folders[:3]) + (", …" if len(folders) > 3 else "")
    told = [f"{len(folders)} {'folder' if len(folders) == 1 else 'folders'} ({names})"] if folders else []
    told += [f"{files} {'file' if files == 1 else 'files'}"] if files else []
    return " and ".join(told)
