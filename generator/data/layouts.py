"""The door to a data set: where its folder is, and which of the known layouts it is in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from generator.base.clutter import is_clutter
from generator.base.errors import InputError, reason
from generator.config.schema import DataConfig
from generator.data import folder, tiny_imagenet
from generator.data.dataset import DataSet

VARIABLE = "TINY_IMAGENET"
KNOWN = f"Tiny ImageNet's folder, {folder.LAYOUT}"


def find(argument: Path | None, configured: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The data set's folder: `--data`, else the variable TINY_IMAGENET, else `[data] root`; None where none is set.

    Raises:
        InputError: if the one that is set is no folder.
    """
    variable = environ.get(VARIABLE, "")
    wanted = (
        ("--data", argument),
        (f"the variable {VARIABLE}", Path(variable) if variable else None),
        ("[data] root", configured),
    )
    for source, root in wanted:
        if root is not None:
            if not root.is_dir():
                raise InputError(f"{source}: expected a data set's folder, {root} is not a folder; check the path")
            return root
    return None


def opened(root: Path, told: DataConfig) -> DataSet:
    """The data set in a folder, in whichever layout it is; no image is read.

    Args:
        told: what report.toml says of it.
    Raises:
        InputError: where the folder is in no layout that is known, or what it holds does not fit.
    """
    lacking = tiny_imagenet.lacks(root)
    if not lacking:
        found = tiny_imagenet.read(root, told.classes)
    elif set(tiny_imagenet.LISTS) - set(lacking):
        raise InputError(
            f"{root}: expected Tiny ImageNet, whose lists it holds, it lacks {', '.join(lacking)}; "
            "give the unpacked folder tiny-imagenet-200"
        )
    elif folder.looks_like(root):
        found = folder.read(root, told.classes)
    else:
        raise InputError(f"{root}: expected {KNOWN}; found {_found(root)}")
    words = replace(found.words, source=told.name or found.words.source, licence=told.licence or found.words.licence)
    return replace(found, name=told.name or found.name, words=words)


def _found(root: Path) -> str:
    """What lies in a folder that is in no layout, in words."""
    try:
        entries = sorted(entry for entry in root.iterdir() if not is_clutter(entry.name))
    except OSError as error:
        raise InputError(f"{root}: expected a data set's folder, it cannot be read {reason(error)}") from None
    folders = [entry for entry in entries if entry.is_dir()]
    files = len(entries) - len(folders)
    inner = next((one for one in folders if not tiny_imagenet.lacks(one) or folder.looks_like(one)), None)
    if inner:
        return f"{inner.name} in it; did you mean {inner}?"
    if not entries:
        return "an empty folder"
    names = ", ".join(one.name for one in folders[:3]) + (", …" if len(folders) > 3 else "")
    told = [f"{len(folders)} {'folder' if len(folders) == 1 else 'folders'} ({names})"] if folders else []
    told += [f"{files} {'file' if files == 1 else 'files'}"] if files else []
    return " and ".join(told)
