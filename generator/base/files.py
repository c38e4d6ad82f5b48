"""A file written whole or not at all: beside its place, and then into it. The one such write of the program."""

from __future__ import annotations

import glob
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

UNFINISHED = ".part"
LETTERS = 40  # of a file's name in that of its unfinished one, for systems take 255 bytes
ABANDONED = 3600.0  # seconds after which nobody writes any more


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The name of a new file beside `path` to write; it takes that place at once where nothing was raised.

    Otherwise `path` stays as it was and the new file goes, unless the process is killed: see `sweep`.

    Raises:
        OSError: as the system says it.
    """
    aside = path.with_name(f".{path.name[:LETTERS]}.{secrets.token_hex(8)}{UNFINISHED}")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        with suppress(OSError):  # it was renamed or never made; and what cannot be removed is only a copy
            aside.unlink()


def write(path: Path, *parts: bytes, durable: bool = False) -> None:
    """A file of these bytes, one part after the other, in a folder that is there.

    Args:
        durable: on the disk itself before it takes the place of what was there: also a power cut leaves one of both.
    Raises:
        OSError: as the system says it; what was there before is untouched.
    """
    with replacing(path) as aside, aside.open("xb") as file:
        file.writelines(parts)
        if durable:
            file.flush()
            os.fsync(file.fileno())


def unfinished(path: Path) -> Iterator[Path]:
    """What processes that write `path` have beside it, or had when they were killed."""
    return path.parent.glob(f".{glob.escape(path.name[:LETTERS])}.*")


def sweep(left: Iterable[Path]) -> None:
    """Remove those files that are abandoned; what another process removes first, or cannot be removed, is no matter."""
    for file in left:
        with suppress(OSError):
            if time.time() - file.stat().st_mtime > ABANDONED:
                file.unlink()
