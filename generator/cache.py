"""Results kept on disk under a key made from their content: stage, version, parameters and digests of the inputs.

An entry is a sha256 followed by a zip archive whose members are arrays (.npy), JSON or plain bytes; no pickle, no
modification times. Whatever cannot be read whole is computed again, so two processes may share a folder, and a killed
one or a power cut leaves nothing that harms: no entry waits for the disk.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generator.base import files
from generator.base.digest import Arrays, digest, written_arrays
from generator.base.errors import InputError, reason
from generator.records.figure import Figure, Table

Json = Any

DIGEST_BYTES = hashlib.sha256().digest_size
SUFFIX = ".entry"
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip archive can hold: the same bytes every time


class Cache:
    """A folder of results. It is made when the first one is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._used: set[str] = set()

    def key(self, stage: str, version: int, *parts: object) -> str:
        """The address of a result; see `digest` for what the parts may be. Raise `version` when the stage changes."""
        return digest(stage, version, *parts)

    def arrays(self, key: str, compute: Callable[[], Arrays]) -> dict[str, NDArray[Any]]:
        """Arrays of any shape and dtype but object, by name."""
        return _read_arrays(self._members(f"{key}-arrays", lambda: written_arrays(compute())))

    def found(self, key: str) -> dict[str, NDArray[Any]] | None:
        """Arrays that were kept, None where there are none that are whole."""
        self._used.add(f"{key}-arrays")
        members = _read(self._path(f"{key}-arrays"))
        return None if members is None else _read_arrays(members)

    def holds(self, key: str) -> bool:
        """Whether there is an entry of arrays, be it whole or not."""
        return self._path(f"{key}-arrays").is_file()

    def keep(self, key: str, arrays: Arrays) -> None:
        """Keep arrays, which `found` and `arrays` then find."""
        self._used.add(f"{key}-arrays")
        self._make_folder()
        self._write(self._path(f"{key}-arrays"), written_arrays(arrays))

    def each(
        self, keys: Sequence[str], compute: Callable[[Sequence[int]], Sequence[Arrays]], together: int
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """As `arrays`, of several results in their order, of which those that are missing are computed together.

        Args:
            compute: makes the results of the keys of these numbers, in their order; asked for at most `together`.
        """
        missing = [number for number, key in enumerate(keys) if not self._path(f"{key}-arrays").exists()]
        for number, key in enumerate(keys):
            if missing and number == missing[0]:
                group, missing = missing[:together], missing[together:]
                for one, arrays in zip(group, compute(group), strict=True):
                    self.keep(keys[one], arrays)
            yield self.arrays(key, partial(_one_of, compute, number))  # computed alone where it was there and is broken

    def json(self, key: str, compute: Callable[[], Json]) -> Json:
        """Anything that JSON can hold, as JSON gives it back: tuples as lists, keys as strings."""
        return json.loads(self._members(f"{key}-json", lambda: {"json": _written_json(compute())})["json"])

    def files(self, key: str, compute: Callable[[], Mapping[str, bytes]]) -> dict[str, bytes]:
        """Bytes by name, in their order."""
        return self._members(f"{key}-files", compute)

    def figures(self, key: str, compute: Callable[[], Sequence[Figure]]) -> tuple[Figure, ...]:
        """Figures with their files and the numbers behind them."""
        return _read_figures(self._members(_of_figures(key), lambda: _written_figures(compute())))

    def holds_figures(self, key: str) -> bool:
        """Whether there is an entry of these, be it whole or not."""
        return self._path(_of_figures(key)).is_file()

    def prune(self, limit: int = 2 << 30) -> None:
        """Remove the oldest entries that this process did not use until at most `limit` bytes are left.

        Also sweeps away what killed processes left half written.
        """
        files.sweep(self.folder.glob(f"*{files.UNFINISHED}"))
        entries = {path: _stat(path) for path in self.folder.glob(f"*{SUFFIX}")}
        total = sum(stat.st_size for stat in entries.values())
        for path in sorted(entries, key=lambda path: (entries[path].st_mtime, path.name)):
            if total <= limit:
                break
            if path.name.removesuffix(SUFFIX) not in self._used:
                _remove(path)
                total -= entries[path].st_size

    def _members(self, name: str, compute: Callable[[], Mapping[str, bytes]]) -> dict[str, bytes]:
        self._used.add(name)
        path = self._path(name)
        found = _read(path)
        if found is None:
            self._make_folder()
            found = dict(compute())
            self._write(path, found)
        return found

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}{SUFFIX}"

    def _make_folder(self) -> None:
        """Before the computing, so that an unwritable folder is known before minutes are spent."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise self._unwritable(PermissionError(errno.EACCES, os.strerror(errno.EACCES)))

    def _write(self, path: Path, members: Mapping[str, bytes]) -> None:
        packed = _packed(members)
        try:
            files.write(path, hashlib.sha256(packed).digest(), packed)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> InputError:
        return InputError(f"{self.folder}: expected a folder to keep results in, could not write there {reason(error)}")


def _of_figures(key: str) -> str:
    shape = digest([field.name for field in dataclasses.fields(Figure)])[:8]  # a record that grew is another result
    return f"{key}-figures-{shape}"


def _one_of(compute: Callable[[Sequence[int]], Sequence[Arrays]], number: int) -> Arrays:
    return compute([number])[0]


def _packed(members: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:  # stored: images are compressed already, weights hardly shrink
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, ZIP_EPOCH), content)
    return packed.getvalue()


def _read(path: Path) -> dict[str, bytes] | None:
    """The members of an entry; None where there is none that is whole."""
    try:
        with path.open("rb") as file:
            stated, packed = file.read(DIGEST_BYTES), file.read()
    except OSError:
        return None
    if hashlib.sha256(packed).digest() != stated:
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, ValueError, NotImplementedError):  # whole, and never written by this program
        return None


def _read_arrays(members: Mapping[str, bytes]) -> dict[str, NDArray[Any]]:
    return {
        name.removesuffix(".npy"): np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
        for name, content in members.items()
    }


def _written_json(value: Json) -> bytes:
    return json.dumps(value, ensure_ascii=False, default=_plain).encode()


def _plain(value: object) -> object:
    """A numpy number among the numbers of a record, as Python's; a table as its parts."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Table):
        return vars(value)
    raise TypeError(f"{type(value).__qualname__} is not JSON")


def _written_figures(figures: Sequence[Figure]) -> dict[str, bytes]:
    """One member a file, named by its figure's number, and figures.json with all the rest."""
    words = [{**vars(figure), "files": {}} for figure in figures]
    members = {
        f"{number}/{path}": content for number, figure in enumerate(figures) for path, content in figure.files.items()
    }
    return {"figures.json": _written_json(words), **members}


def _read_figures(members: Mapping[str, bytes]) -> tuple[Figure, ...]:
    files: dict[int, dict[str, bytes]] = {}
    for name, content in members.items():
        number, _, path = name.partition("/")
        if path:
            files.setdefault(int(number), {})[path] = content
    return tuple(
        _figure(words, files.get(number, {})) for number, words in enumerate(json.loads(members["figures.json"]))
    )


def _figure(words: Mapping[str, Any], files: Mapping[str, bytes]) -> Figure:
    values = {name: _tupled(value) for name, value in words.items()}
    tables = {name: None if values[name] is None else Table(**values[name]) for name in ("table", "data")}
    return Figure(**{**values, **tables, "files": files})


def _tupled(value: Any) -> Any:
    """JSON's lists as the tuples that the records have."""
    if isinstance(value, list):
        return tuple(_tupled(item) for item in value)
    if isinstance(value, dict):
        return {name: _tupled(item) for name, item in value.items()}
    return value


def _stat(path: Path) -> os.stat_result:
    """A file's size and age; nothing and old where another process was faster to remove it."""
    try:
        return path.stat()
    except OSError:
        return os.stat_result((0,) * 10)


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError:  # gone already; and what cannot be removed stays, it is only a copy
        return
