"""IDX, the format of MNIST and of data sets made after it, packed by gzip or not: http://yann.lecun.com/exdb/mnist/."""

from __future__ import annotations

import gzip
import math
import re
import struct
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from generator.base.clutter import entries
from generator.base.errors import InputError
from generator.config.schema import DataConfig
from generator.data import arrays
from generator.data.arrays import Rows, Stored, unreadable
from generator.data.dataset import PARTS, DataSet
from generator.data.naming import names_beside, some
from generator.data.parts import NAMES
from generator.records.images import MAX_ASPECT, MAX_PIXELS

LAYOUT = "MNIST's IDX files"
FILE = re.compile(
    rf"(?P<set>|.*[-_.])(?P<part>t10k|{'|'.join(NAMES)})[-_.](?P<kind>images|labels)[-_.]idx\d[-_.]ubyte(\.gz)?",
    re.IGNORECASE,
)
TYPES: Mapping[int, np.dtype[Any]] = {  # the third byte of the file -> its numbers, which are big-endian
    0x08: np.dtype(np.uint8), 0x09: np.dtype(np.int8), 0x0B: np.dtype(">i2"), 0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"), 0x0E: np.dtype(">f8"),
}  # fmt: skip
UNPACKED = 2**32  # bytes that a packed file may hold: a hundred times MNIST
RATIO = 1032  # of what deflate can unpack at most (https://zlib.net/zlib_tech.html)
CHUNK = 2**20
DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error)


@dataclass(frozen=True)
class Header:
    """What an IDX file says of itself."""

    type: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def start(self) -> int:
        """Where its numbers begin, in bytes."""
        return 4 + 4 * len(self.shape)

    @property
    def bytes(self) -> int:
        """How many it has in all, unpacked."""
        return self.start + math.prod(self.shape) * self.type.itemsize


def files(root: Path) -> dict[str, dict[str, Path]]:
    """Part -> its "images" and its "labels", of the IDX files in a folder that are called so; unpacked ones first.

    Raises:
        InputError: for files of several data sets, and for one of both without the other.
    """
    sets: dict[str, dict[str, dict[str, Path]]] = {}
    for file in reversed(entries(root)):  # "x.gz" before "x"
        told = FILE.fullmatch(file.name)
        if told and file.is_file():
            part = NAMES.get(told["part"].lower(), "test")
            sets.setdefault(told["set"], {}).setdefault(part, {})[told["kind"].lower()] = file
    if len(sets) > 1:
        found = some([next(iter(next(iter(parts.values())).values())).name for parts in sets.values()])
        raise InputError(
            f"{root}: expected the IDX files of one data set, found {found}; give each a folder of its own"
        )
    parts = next(iter(sets.values()), {})
    for part, pair in parts.items():
        if len(pair) < 2:
            (kind, file), *_ = pair.items()
            lacks = "labels" if kind == "images" else "images"
            raise InputError(f"{file}: expected a file of the {part} {lacks} beside it, found none")
    return {part: parts[part] for part in PARTS if part in parts}


def read(root: Path, found: Mapping[str, Mapping[str, Path]], said: DataConfig) -> DataSet:
    """The data set in IDX files.

    Args:
        found: of `files`.
        said: which classes are asked for, or what they are called.
    Raises:
        InputError: for files that are none of IDX, end early or go on, or do not fit each other.
    """
    given = {part: [_stored(pair["images"], pair["labels"])] for part, pair in found.items()}
    called = {part: pair["images"].name for part, pair in found.items()}
    names, named_in = names_beside(root)
    return arrays.read(root, given, called, names, named_in, said, "Its images were read from IDX files.")


def header(file: Path) -> Header:
    """What an IDX file says of itself, compared with the length of the file.

    Raises:
        InputError: where it is none, or is shorter or longer than it says.
    """
    with _opened(file) as opened:
        first = opened.read(4)
        kind = TYPES.get(first[2]) if len(first) == 4 and first[:2] == b"\0\0" else None
        if kind is None:
            raise InputError(
                f"{file}: expected an IDX file, which begins with 00 00 and its type, got {first.hex(' ')}"
            )
        sides = opened.read(4 * first[3])
    if len(sides) < 4 * first[3]:
        raise InputError(f"{file}: expected {first[3]} sides at its beginning, it ends before; get it anew")
    told = Header(kind, struct.unpack(f">{first[3]}I", sides))
    size = file.stat().st_size
    packed = _is_packed(file)
    if (packed and told.bytes > RATIO * size + CHUNK) or (not packed and told.bytes > size):
        raise InputError(f"{file}: expected {told.bytes:,} bytes, as it says, it holds fewer; get it anew")
    if not packed and told.bytes < size:
        raise InputError(f"{file}: expected {told.bytes:,} bytes, as it says, it holds {size:,}; get it anew")
    if packed and told.bytes > UNPACKED:
        raise InputError(
            f"{file}: expected at most {UNPACKED >> 30} GiB unpacked, it says {told.bytes:,} bytes; unpack it"
        )
    return told


def array(file: Path, told: Header) -> NDArray[Any]:
    """The numbers of an IDX file as they lie there; those of a packed one lie in a file that is gone when they are.

    Raises:
        InputError: where a packed file is damaged, or holds fewer or more than it says.
    """
    if not _is_packed(file):
        return np.memmap(file, told.type, "r", told.start, told.shape)
    with _opened(file) as opened, tempfile.TemporaryFile() as unpacked:
        left = told.bytes
        while chunk := opened.read(min(CHUNK, left)):
            unpacked.write(chunk)
            left -= len(chunk)
        if left or opened.read(1):  # at its end the checksum is looked at
            fewer = "fewer" if left else "more"
            raise InputError(f"{file}: expected {told.bytes:,} bytes, as it says, it holds {fewer}; get it anew")
        unpacked.flush()
        return np.memmap(unpacked, told.type, "r", told.start, told.shape)


def _stored(images: Path, labels: Path) -> Stored:
    """A file of images with its file of labels."""
    told = header(images)
    if told.type != np.uint8 or len(told.shape) != 3 or not all(told.shape):
        raise InputError(
            f"{images}: expected images of bytes, a number of images by rows by columns, got "
            f"{' by '.join(map(str, told.shape)) or 'one number'} of {told.type.name}"
        )
    count, high, wide = told.shape
    if high * wide > MAX_PIXELS or max(high, wide) > MAX_ASPECT * min(high, wide):
        raise InputError(
            f"{images}: expected at most {MAX_PIXELS // 1_000_000} million pixels and sides of at most {MAX_ASPECT} to "
            f"1, got {wide} x {high}"
        )
    of_labels = header(labels)
    if of_labels.type.kind not in "iu" or of_labels.shape != (count,):
        raise InputError(
            f"{labels}: expected a whole number for each of the {count:,} images in {images.name}, got "
            f"{' by '.join(f'{side:,}' for side in of_labels.shape)} of {of_labels.type.name}"
        )
    numbers = np.asarray(array(labels, of_labels), np.int64)
    return Stored(Rows(images, partial(_images, images, told)), numbers, (high, wide))


def _images(file: Path, told: Header) -> NDArray[np.uint8]:
    return array(file, told).view(np.uint8)


def _is_packed(file: Path) -> bool:
    return file.suffix.lower() == ".gz"


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO | gzip.GzipFile]:
    """The file unpacked; what is wrong with it as one line."""
    try:
        with file.open("rb") as raw:
            yield gzip.GzipFile(fileobj=raw) if _is_packed(file) else raw
    except DAMAGE as error:
        raise InputError(
            f"{file}: expected a whole file packed by gzip, it is damaged ({error}); get it anew"
        ) from None
    except OSError as error:
        if error.filename is None:  # of the disk that it is unpacked onto
            raise
        raise unreadable(file, error) from None
