"""Tiny ImageNet from the network: fetched once, resumed where it broke off, verified, and only what is wanted unpacked.

In goes a URL and the classes, out comes a folder in the official layout. The archive stays beside that folder, so that
other classes need no second download.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import re
import shutil
import sys
import tempfile
import time
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from generator.base.errors import InputError, reason
from generator.data.classes import Classes

URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
MD5 = "90528d7ca1a48142e341f4ef8d21d0de"
SIZE = 248_100_043  # bytes

VAL_LIST = "val/val_annotations.txt"
LISTS = ("wnids.txt", "words.txt", VAL_LIST)

CHUNK = 1 << 16
TIMEOUT = 30.0  # seconds without a byte
CONNECT = 10.0  # the same before the first byte of what is tried only once: a firewall may drop all that is sent
ATTEMPTS = 5  # in a row that bring nothing
ADVICE = "or get it elsewhere (a data set's folder is given with --data)"


def fetch(
    destination: Path,
    classes: Classes,
    url: str = URL,
    md5: str = MD5,
    size: int = SIZE,
    progress: TextIO | None = None,
    pause: float = 1.0,
) -> Path:
    """The data set with these classes at `destination`, downloaded where it is not there.

    The archive is written to <name>.zip.part beside `destination` and resumed there with an HTTP range request; when
    its size and md5 are right it becomes <name>.zip. Of it the wanted classes, their val images and the lists are
    unpacked into a temporary folder, which then takes its place at once.

    Args:
        destination: the folder to make, such as .../tiny-imagenet-200.
        size: of the archive, in bytes.
        progress: where progress is told, standard error where it is None: a bar on a terminal, else about ten lines.
        pause: seconds before a broken connection is tried again.
    Returns:
        `destination`.
    Raises:
        InputError: no network, no such file, a wrong size or md5, a broken archive, a class that is not in it, or a
            disk that is full or cannot be written. What was downloaded is kept for the next time, unless it is wrong.
    """
    if _complete(destination, classes):
        return destination
    archive = destination.parent / f"{destination.name}.zip"
    with _disk_errors(destination.parent):
        destination.parent.mkdir(parents=True, exist_ok=True)
        _obtain(archive, url, f"md5 {md5}", size, progress or sys.stderr, pause, ADVICE)
        _unpack(archive, destination, classes)
    return destination


def fetch_file(
    file: Path, url: str, size: int, sha256: str, advice: str, progress: TextIO | None = None, pause: float = 1.0
) -> None:
    """One file of weights, downloaded where it is not there; resumed, verified and placed as the data set is.

    It can be done without, so it is tried once; only a download that has begun is gone on with.

    Args:
        sha256: the digest or its first digits, as torchvision's file names carry them.
        advice: what else the user may do where it cannot be had.
    Raises:
        InputError: as `fetch`.
    """
    with _disk_errors(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
        _obtain(file, url, f"sha256 {sha256}", size, progress or sys.stderr, pause, advice, once=True)


def _complete(destination: Path, classes: Classes) -> bool:
    """Folders appear at once and whole, so those of the classes tell."""
    return all((destination / "train" / wnid).is_dir() for wnid in classes.keys)


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(f"{folder}: the disk is full; make room and run it again, it goes on from there") from None
        raise InputError(f"{folder}: expected a folder for the download, cannot write there {reason(error)}") from None


def _obtain(
    archive: Path, url: str, checksum: str, size: int, progress: TextIO, pause: float, advice: str, once: bool = False
) -> None:
    """`archive` whole and verified; `checksum` is the name of the hash and the first digits of its value."""
    part = archive.with_name(archive.name + ".part")
    if 0 < _length(archive) < size:
        os.replace(archive, part)  # somebody's unfinished download
    if archive.is_file():
        _verify(archive, archive, checksum, size, url)
        return
    free, missing = shutil.disk_usage(archive.parent).free, size - _length(part)
    if free < missing:
        raise InputError(
            f"{archive.parent}: expected {_megabytes(missing)} of free disk for {archive.name}, got {_megabytes(free)}"
        )
    with _Progress(archive.name, size, progress) as bar:
        _download(url, part, size, bar, pause, advice, once)
    _verify(part, archive, checksum, size, url)
    os.replace(part, archive)


def _download(url: str, part: Path, size: int, bar: _Progress, pause: float, advice: str, once: bool) -> None:
    """Append to `part` until it has `size` bytes, connecting again as long as that brings any.

    With `once` a first connection that brings nothing is the last.
    """
    failures = 0
    reason = ""
    begun = _length(part)
    while (before := _length(part)) < size:
        try:
            _append(url, part, size, bar, advice, CONNECT if once and before == begun else TIMEOUT)
            reason = "the server closed the connection"
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500:
                raise InputError(
                    f"{url}: expected {part.stem}, the server answered {error.code} {error.reason}; "
                    f"check the address, {advice}"
                ) from None
            reason = f"the server answered {error.code} {error.reason}"
        except (urllib.error.URLError, http.client.HTTPException) as error:
            reason = _reason(error)
        failures = failures + 1 if _length(part) <= before else 0
        if failures >= (1 if once and _length(part) == begun else ATTEMPTS):
            raise InputError(
                f"{url}: cannot download {part.stem} ({reason}); {_length(part):,} of {size:,} bytes are in {part}, "
                f"check the network and run it again to go on from there, {advice}"
            )
        if _length(part) < size:
            time.sleep(pause)


def _append(url: str, part: Path, size: int, bar: _Progress, advice: str, timeout: float) -> None:
    """One connection: ask for what is missing, and write what comes."""
    have = _length(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310
    with _connect(request, timeout) as response:
        # A server that does not know ranges sends the whole file again.
        begin = have if response.status == 206 and _starts_at(response.headers, have) else 0
        length = response.headers.get("Content-Length")
        if length is not None and begin + int(length) != size:
            raise InputError(f"{url}: expected {size:,} bytes, the server offers {begin + int(length):,}; {advice}")
        bar.at(begin)
        with part.open("r+b" if begin else "wb") as file:
            file.seek(begin)
            while chunk := _receive(response):
                file.write(chunk)
                bar.at(file.tell())


def _connect(request: urllib.request.Request, timeout: float) -> http.client.HTTPResponse:
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=timeout)  # noqa: S310
    except (TimeoutError, ConnectionError) as error:
        raise urllib.error.URLError(error) from None
    return response


def _receive(response: http.client.HTTPResponse) -> bytes:
    """The next bytes; an error of the network is told apart from one of the disk, both are OSError."""
    try:
        return response.read(CHUNK)
    except OSError as error:
        raise urllib.error.URLError(error) from None


def _reason(error: Exception) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return str(getattr(cause, "strerror", None) or cause) or type(cause).__name__


def _starts_at(headers: http.client.HTTPMessage, begin: int) -> bool:
    return re.match(rf"bytes {begin}-", headers.get("Content-Range") or "") is not None


def _verify(file: Path, archive: Path, checksum: str, size: int, url: str) -> None:
    """Refuse a file that is not the one; it is removed, since going on from it could only end wrong again."""
    length = _length(file)
    algorithm, _, wanted = checksum.partition(" ")
    came = _digest(file, algorithm) if length == size else ""
    if came and came.startswith(wanted):
        return
    file.unlink()
    wrong = f"{checksum}, got {came}" if came else f"{size:,} bytes, got {length:,}"
    raise InputError(
        f"{archive}: expected {wrong}; the file is removed, run it again to download it anew, or put a whole copy of "
        f"{url} there"
    )


def _digest(file: Path, algorithm: str) -> str:
    state = hashlib.new(algorithm, usedforsecurity=False)
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            state.update(chunk)
    return state.hexdigest()


def _unpack(archive: Path, destination: Path, classes: Classes) -> None:
    work = Path(tempfile.mkdtemp(dir=destination.parent, prefix=f".{destination.name}-"))
    try:
        fresh = work / destination.name
        with zipfile.ZipFile(archive) as contents:
            _extract(contents, fresh, classes.keys, _held(destination))
        if destination.exists():
            os.replace(destination, work / "old")
        os.replace(fresh, destination)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(
            f"{archive}: expected a whole zip archive, it is broken ({error}); delete it and run again"
        ) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _held(destination: Path) -> set[str]:
    """The classes that an earlier call unpacked; they stay."""
    folder = destination / "train"
    return {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()


def _extract(contents: zipfile.ZipFile, folder: Path, wanted: Sequence[str], held: set[str]) -> None:
    """Write members below `folder`, only such whose paths look as they should: none can point elsewhere."""
    members = {name.partition("/")[2]: name for name in contents.namelist() if not name.endswith("/")}
    wnids = {*wanted, *held}
    pattern = re.compile(r"train/(\w+)/(images/)?[\w-][\w.-]*")
    train = {path: found[1] for path in members if (found := pattern.fullmatch(path)) and found[1] in wnids}
    missing = [path for path in LISTS if path not in members] + sorted(set(wanted) - set(train.values()))
    if missing:
        raise InputError(f"{contents.filename}: expected {missing[0]} in the archive, it is not there")
    val = _val_images(contents.read(members[VAL_LIST]).decode("utf-8", "replace"), wnids)
    for path in [*LISTS, *train, *(path for path in val if path in members)]:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(contents.read(members[path]))


def _val_images(annotations: str, wnids: set[str]) -> list[str]:
    """Paths of the val images of these classes."""
    rows = (line.split("\t") for line in annotations.splitlines())
    return [
        f"val/images/{row[0]}"
        for row in rows
        if len(row) > 1 and row[1] in wnids and re.fullmatch(r"[\w-][\w.-]*", row[0])
    ]


def _length(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.0f} MB"


class _Progress:
    """A bar on a terminal; on a pipe a line for each tenth."""

    def __init__(self, name: str, size: int, stream: TextIO) -> None:
        self._name, self._size, self._stream = name, size, stream
        self._tenth = -1
        self._bar: tqdm | None = None
        if stream.isatty():
            self._bar = tqdm(total=size, desc=name, unit="B", unit_scale=True, file=stream)

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def at(self, count: int) -> None:
        """`count` bytes are there."""
        if self._bar is not None:
            self._bar.update(count - self._bar.n)
        elif (tenth := 10 * count // self._size) > self._tenth:
            self._tenth = tenth
            self._stream.write(f"{self._name}: {10 * tenth} % of {_megabytes(self._size)}\n")
            self._stream.flush()
