"""One digest for values of any kind: the same value, the same digest, on every machine."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]

SHORT = 64  # letters of a text whose digest is remembered


def digest(*parts: object) -> str:
    """sha256 of values, the same for equal ones whatever the order of a mapping's keys, different for unequal ones.

    Args:
        parts: None, bool, int, float, str, bytes, arrays, paths (as text), dataclasses, and sequences and mappings of
            these; values of different types differ (1, 1.0, True and "1"), a list and a tuple do not.
    Returns:
        64 hexadecimal digits.
    Raises:
        TypeError: for anything else.
    """
    return hashed(parts).hex()


def of_file(file: Path) -> str:
    """sha256 of a file that may be larger than memory: 64 hexadecimal digits."""
    found = hashlib.sha256()
    with file.open("rb") as opened:
        while part := opened.read(1 << 20):
            found.update(part)
    return found.hexdigest()


def hashed(value: object) -> bytes:
    """The sha256 of one value, its kind among what is hashed."""
    if type(value) is str and len(value) <= SHORT:
        return _of_name(value)
    return _hashed(value)


def _hashed(value: object) -> bytes:
    kind, content = canonical(value)
    return hashlib.sha256(kind.encode() + b":" + content).digest()


_of_name = lru_cache(4096)(_hashed)  # the names of fields and of classes come a hundred times each


def canonical(value: object) -> tuple[str, bytes]:
    """A type's name and bytes that only equal values of that type share."""
    if type(value) is tuple:  # the most frequent kinds first, which `isinstance` would come to last
        return "sequence", b"".join(map(hashed, value))
    if value is None or isinstance(value, (bool, np.bool_)):
        return "constant", str(value).encode()
    if isinstance(value, (int, np.integer)):
        return "int", str(int(value)).encode()
    if isinstance(value, (float, np.floating)):
        return "float", struct.pack("<d", float(value))
    if isinstance(value, (str, Path)):
        return "text", str(value).encode(errors="surrogatepass")
    if isinstance(value, bytes):
        return "bytes", value
    if isinstance(value, np.ndarray):
        return "array", written_arrays({"": value.copy(order="C")})[".npy"]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        named = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return type(value).__qualname__, hashed(named)
    if isinstance(value, Mapping):
        return "mapping", b"".join(sorted(hashed(key) + hashed(item) for key, item in value.items()))
    if isinstance(value, Sequence):
        return "sequence", b"".join(map(hashed, value))
    raise TypeError(f"{type(value).__qualname__} has no canonical form to make a key from")


def written_arrays(arrays: Arrays) -> dict[str, bytes]:
    """Each array as the bytes of its file."""
    members = {}
    for name, array in arrays.items():
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, np.asarray(array), allow_pickle=False)
        members[f"{name}.npy"] = buffer.getvalue()
    return members
