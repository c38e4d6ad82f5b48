"""The settings of somebody's Jekyll or Hugo site, read by parsers of the formats that they are written in."""

from __future__ import annotations

import json
import os
import posixpath
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


Settings = Mapping[str, Any]


def _yaml(text: str) -> Any:
    return next(yaml.safe_load_all(text), None)  # the first document, as Jekyll takes it


PARSERS: Mapping[str, Callable[[str], Any]] = {
    ".toml": tomllib.loads,
    ".yaml": _yaml,
    ".yml": _yaml,
    ".json": json.loads,
}


@dataclass(frozen=True, kw_only=True)
class Host(ABC):
    """What the settings of a site say to whoever brings an entry; all paths are below the folder that was given."""

    OUTPUT: ClassVar[tuple[str, str, str]]  # the setting of the folder that is written, its default, what happens there

    folder: Path
    future: bool = False  # whether an entry is shown before its date
    zone: str = ""
    notes: tuple[str, ...] = ()
    said: Settings = field(default_factory=dict)

    def left_out(self, paths: Collection[str]) -> Iterator[str]:
        """A note for the first of the paths that the site leaves out by its settings.

        Args:
            paths: of files, below the folder.
        """
        key, usual, why = self.OUTPUT
        ruled = self.said.get(key.lower(), usual)
        output = below(self.folder, ruled) if isinstance(ruled, str) else usual
        lost = [path for path in paths if output and holds(output, path)]
        if lost:
            yield f"{key} is {ruled!r}, {why}, with {lost[0]} in it; name another folder"
        else:
            yield from islice(self.ignored(paths), 1)

    @abstractmethod
    def ignored(self, paths: Collection[str]) -> Iterator[str]:
        """A note for each of the paths that the program does not read."""


def read(file: Path) -> Settings:
    """The settings in a file.

    Raises:
        ValueError: it cannot be read; the message says why in one line.
    """
    try:
        found = PARSERS[file.suffix.lower()](file.read_bytes().decode("utf-8-sig", "replace"))
    except (ValueError, yaml.YAMLError, RecursionError, OSError) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ValueError(" ".join(said.split())) from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ValueError("expected keys with values")
    return {str(key): value for key, value in found.items()}


def first(folder: Path, names: Iterable[str]) -> Path | None:
    """The first of the files that is there."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


def table(value: Any) -> Settings:
    """A value that should hold keys; none where it does not."""
    return {str(key): one for key, one in value.items()} if isinstance(value, Mapping) else {}


def texts(value: Any) -> tuple[str, ...]:
    """A text or a list of them."""
    if isinstance(value, str):
        return (value,)
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def below(folder: Path, path: str) -> str | None:
    """A path of the settings as one below `folder`, "" for itself; None where it leads out of it."""
    root = os.path.realpath(folder)
    seen = os.path.relpath(os.path.realpath(os.path.join(root, path)), root).replace(os.sep, "/")  # noqa: PTH118
    if seen == ".." or seen.startswith("../"):
        return None
    return "" if seen == "." else seen


def holds(folder: str, path: str) -> bool:
    """Whether `path` is `folder` or below it; "" holds all."""
    return not folder or path == folder or path.startswith(f"{posixpath.normpath(folder)}/")
