"""{path: bytes} -> somebody else's folder, without losing anything that they made.

`.cnn-report.json` in that folder remembers what was written there and for which report, so that the next export
replaces its own files and nothing else. A page of words that was edited since is kept as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generator.base.errors import InputError
from generator.base.files import write

RECORD = ".cnn-report.json"

Written = dict[str, list[str]]  # path -> digests of what was, or may have been, written there


@dataclass(frozen=True)
class Placed:
    """What an export did: the files that are new or as they should be, and the edited ones that it left alone."""

    written: tuple[str, ...]
    kept: tuple[str, ...]
    others: tuple[str, ...] = ()  # names of other exports of the same report in this folder


@dataclass(frozen=True)
class Owner:
    """The report that an export belongs to: its title, and digests of where its site is.

    `place` is seen from the folder, and so the same when both are moved or copied; `site` is on this machine, and so
    the same when the folder alone is moved.
    """

    title: str
    place: str
    site: str = ""

    def is_of(self, other: Owner) -> bool:
        """Whether both are one report."""
        return self.place == other.place or self.site == other.site != ""


def owner(title: str, site: Path, folder: Path) -> Owner:
    """The report whose site is in `site`. Only digests: no path of this machine is published with the folder."""
    whole = os.path.realpath(site)
    seen = os.path.relpath(whole, os.path.realpath(folder)).replace(os.sep, "/")
    place, on_this_machine = (hashlib.sha256(os.fsencode(path)).hexdigest()[:16] for path in (seen, whole))
    return Owner(title, place, on_this_machine)


def place(
    files: Mapping[str, bytes],
    folder: Path,
    name: str,
    *,
    words: Collection[str] = (),
    owner: Owner | None = None,
    force: bool = False,
) -> Placed:
    """Write an export's files and remove those that its last run wrote and this one does not.

    Args:
        files: relative POSIX paths -> contents.
        folder: made where it is missing.
        name: of the export, its kind and its page: several may share a folder.
        words: paths that people edit; once edited they are kept.
        owner: the report; the export of another one by this name is not replaced.
        force: write over files that are not ours, too, over edited ones, and over those of another report.
    Raises:
        InputError: a file that is not ours, belongs to another report or is the record would be overwritten, a path
            leads out of `folder`, or it cannot be written; nothing was written then, unless the disk failed in the
            middle, which the next run mends.
    """
    if any(path.casefold() == RECORD for path in files):  # some file systems hold A and a to be the same
        raise InputError(f"{folder / RECORD}: expected another name, this file lists what was exported; choose one")
    with in_one_line(folder):
        folder.mkdir(parents=True, exist_ok=True)
        folder = folder.resolve()
        earlier, owners = _read(folder)
        if not force and owner and name in owners and not owners[name].is_of(owner):
            raise InputError(
                f"{folder / name.partition(' ')[2]}: expected an export of this report there, found that of another "
                f"one, “{owners[name].title}”; choose another --slug or file, or replace it: --force"
            )
        before: Written = earlier.get(name, {})
        kept = _edited(files, folder, before, words, force)
        now = {path: content for path, content in files.items() if path not in kept}
        others = {path for one, written in earlier.items() if one != name for path in written}
        stale = [
            path
            for path in before
            if path not in files and path not in others and _digest(_inside(folder, path)) in before[path]
        ]
        digests = {path: hashlib.sha256(content).hexdigest() for path, content in now.items()}
        # Killed in the middle, either content is ours.
        both = {path: [*before.get(path, []), *filter(None, [digests.get(path)])] for path in (*before, *digests)}
        owners |= {name: owner} if owner else {}
        _record(folder, {**earlier, name: both}, owners)
        for path, content in now.items():
            if _digest(folder / path) != digests[path]:
                _write(folder / path, content)
        for path in stale:
            _remove(folder, path)
        after = {path: [digests[path]] if path in digests else before[path] for path in files if path in both}
        _record(folder, {**earlier, name: after}, owners)
    same = [one for one, known in owners.items() if owner and one != name and known.is_of(owner)]
    return Placed(tuple(now), tuple(kept), tuple(same))


def _edited(
    files: Mapping[str, bytes], folder: Path, before: Written, words: Collection[str], force: bool
) -> tuple[str, ...]:
    """The pages to leave alone, after a look at everything that would be written over."""
    kept = []
    for path, content in files.items():
        target = _inside(folder, path)
        if not os.path.lexists(target):
            continue
        if target.is_dir() and not target.is_symlink():
            raise InputError(f"{target}: expected a place for a file, found a folder; move it away first")
        found = _digest(target)
        ours = found in before.get(path, []) or found == hashlib.sha256(content).hexdigest()
        if ours or force:
            continue
        if path in words and path in before:
            kept.append(path)
            continue
        what = "was changed since it was exported" if path in before else "was not made by an export"
        raise InputError(
            f"{target}: expected no file of yours there, this one {what}; move it, or write over it: --force"
        )
    return tuple(kept)


def _inside(folder: Path, path: str) -> Path:
    """The path of a file below `folder`, no link on the way leading out of it."""
    target = folder / path
    parent = target.parent
    while not os.path.lexists(parent):
        parent = parent.parent
    if not Path(os.path.realpath(parent)).is_relative_to(folder):  # Path.resolve raises for a link to itself
        raise InputError(
            f"{target}: expected a place inside {folder}, a link leads out of it; replace the link by a folder"
        )
    if not parent.is_dir():
        raise InputError(f"{parent}: expected a folder, found a file; move it away first")
    return target


def _digest(path: Path) -> str:
    """Of a file's content; nothing of ours is a link."""
    if path.is_symlink() or not path.is_file():
        return ""
    digest = hashlib.sha256()
    with path.open("rb") as file:  # it may be somebody's film
        while part := file.read(2**20):
            digest.update(part)
    return digest.hexdigest()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, content)


def _remove(folder: Path, path: str) -> None:
    """A file, and the folders that are empty without it."""
    target = folder / path
    target.unlink()
    for parent in target.parents:
        if parent == folder or any(parent.iterdir()):
            return
        parent.rmdir()


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Owner]]:
    """The exports by their names, and whose they are."""
    file = folder / RECORD
    if not os.path.lexists(file):
        return {}, {}
    try:
        told: Any = json.loads(file.read_bytes()) if file.is_file() else None  # a pipe would never end
    except (ValueError, RecursionError):
        told = None
    if not _is_record(told):
        raise InputError(
            f"{file}: expected the list of exported files, it is damaged; delete it and export with --force"
        )
    exports: dict[str, Any] = told["exports"]
    return exports, {name: Owner(*known) for name, known in told.get("reports", {}).items()}


def _is_record(told: Any) -> bool:
    exports = told.get("exports") if isinstance(told, dict) else None
    owners = told.get("reports", {}) if isinstance(told, dict) else None  # earlier versions wrote none
    return (
        isinstance(exports, dict)
        and all(
            isinstance(written, dict)
            and all(_is_path(path) and isinstance(digests, list) for path, digests in written.items())
            for written in exports.values()
        )
        and isinstance(owners, dict)
        and all(map(_is_owner, owners.values()))
    )


def _is_path(path: str) -> bool:
    """Whether it is one of a file below a folder."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return "\0" not in path and not {"", ".", ".."} & set(path.split("/"))


def _is_owner(known: Any) -> bool:
    return isinstance(known, list) and list(map(type, known)) in ([str] * 2, [str] * 3)  # earlier versions wrote two


def _record(folder: Path, exports: Mapping[str, Written], owners: Mapping[str, Owner]) -> None:
    told = {
        "generator": "cnn-report",
        "exports": exports,
        "reports": {name: [known.title, known.place, known.site] for name, known in owners.items()},
    }
    text = json.dumps(told, indent=1, sort_keys=True, ensure_ascii=False)
    # What is no UTF-8 in the name of a file becomes an escape of JSON.
    _write(folder / RECORD, f"{text}\n".encode("utf-8", "backslashreplace"))


@contextmanager
def in_one_line(folder: Path) -> Iterator[None]:
    """Turn the system's refusals into one line."""
    try:
        yield
    except FileExistsError as error:
        raise InputError(f"{error.filename}: expected a folder, found a file; choose another place") from error
    except OSError as error:
        where = error.filename or folder
        raise InputError(f"{where}: could not be written ({error.strerror}); choose another place") from error
