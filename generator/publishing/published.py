"""A finished site as it lies on disk: a folder in, the files that its manifest names out.

Whoever publishes a site takes it from here, so that nothing else that lies in its folder ever goes along, and nothing
that was cut short or changed by hand goes out unnoticed.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from generator.base.errors import PROGRAM, InputError
from generator.publishing import writer

MAKE = f"{PROGRAM} build"
UNFIT = re.compile("[\\\\:\0\ud800-\udfff]")  # of no path that a build writes
AFRESH = f"delete the folder and make it with: {MAKE}"


@dataclass(frozen=True)
class Published:
    """A site's files by their paths below its folder, and where the folder differs from what the build wrote.

    `files` holds changed files as they are, but for those that became links.
    """

    folder: Path
    files: Mapping[str, bytes]
    missing: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()  # files that are in the folder and not in the manifest; they are not published

    def whole(self) -> Mapping[str, bytes]:
        """The files.

        Raises:
            InputError: one of them is missing or is not as it was built.
        """
        faults = [
            *((path, "it is missing") for path in self.missing),
            *((path, "it was changed") for path in self.changed),
        ]
        for path, what in faults:
            raise InputError(f"{self.folder / path}: expected the file as it was built, {what}; make it with: {MAKE}")
        return self.files


def read(folder: Path) -> Published:
    """The site in `folder`.

    Links are not followed: a file that became a link counts as changed.

    Raises:
        InputError: there is no site of ours, or it cannot be read.
    """
    digests = _digests(folder)
    root = folder.resolve()
    files: dict[str, bytes] = {}
    missing: list[str] = []
    changed: list[str] = []
    for path, digest in sorted(digests.items()):
        file = root / path
        try:
            # A folder on the way may be a link too; a pipe would never end.
            linked = file.is_symlink() or os.path.realpath(file) != str(file)
            content = None if linked or not stat.S_ISREG(file.stat().st_mode) else file.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            missing.append(path)
            continue
        except OSError as error:
            raise InputError(f"{file}: expected a file that can be read, got: {error.strerror}") from error
        if content is None or hashlib.sha256(content).hexdigest() != digest:
            changed.append(path)
        if content is not None:
            files[path] = content
    foreign = sorted(_present(root) - set(digests))
    return Published(folder, files, tuple(missing), tuple(changed), tuple(foreign))


def unmarked(folder: Path) -> Published:
    """The files of a site without a manifest, such as a copy that was exported; hidden files are left out.

    Raises:
        InputError: it cannot be read.
    """
    root = folder.resolve()
    try:
        files = {path: (root / path).read_bytes() for path in sorted(_present(root)) if (root / path).is_file()}
    except OSError as error:
        raise InputError(f"{error.filename}: expected a file that can be read, got: {error.strerror}") from error
    return Published(folder, files)


def is_marked(folder: Path) -> bool:
    """Whether a manifest lies in `folder`."""
    return (folder / writer.MANIFEST).exists()


def report_of(folder: Path) -> str:
    """`inputs.of_report` when the site in `folder` was built; "" where that is not known."""
    try:
        said = writer.read_manifest(folder)
    except OSError:
        return ""
    return said.get("report", "") if said else ""


def _digests(folder: Path) -> Mapping[str, str]:
    """The manifest's files with their digests."""
    manifest = folder / writer.MANIFEST
    try:
        content = manifest.read_bytes() if manifest.is_file() or not manifest.exists() else b""
    except (FileNotFoundError, NotADirectoryError):
        what = "no manifest in it" if folder.is_dir() else "a file" if folder.exists() else "nothing"
        raise InputError(f"{folder}: expected a site of this program, found {what}; make it with: {MAKE}") from None
    except OSError as error:
        raise InputError(f"{manifest}: expected a file that can be read, got: {error.strerror}") from error
    said = writer.manifest_of(content)
    if said is None:
        raise InputError(f"{manifest}: expected the list of the site's files, it is damaged; {AFRESH}")
    digests = said["files"]
    for path in digests:
        if UNFIT.search(path) or path.startswith("/") or {"", ".", ".."} & set(path.split("/")):
            raise InputError(f"{manifest}: expected paths inside the site, got {path!r}; {AFRESH}")
    return digests


def _present(root: Path) -> set[str]:
    """Relative POSIX paths of the folder's files that are neither hidden nor left there by a file browser."""
    found: set[str] = set()
    for where, folders, names in os.walk(root):
        links = [name for name in folders if (Path(where) / name).is_symlink()]
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in (*names, *links):
            if not name.startswith(".") and name not in writer.CLUTTER:
                found.add((Path(where) / name).relative_to(root).as_posix())
    return found
