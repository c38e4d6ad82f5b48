"""One digest for values of any kind: the same value, the same digest, on every machine."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]


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


def hashed(value: object) -> bytes:
    """The sha256 of one value, its kind among what is hashed."""
    kind, content = canonical(value)
    return hashlib.sha256(kind.encode() + b":" + content).digest()


def canonical(value: object) -> tuple[str, bytes]:
    """A type's name and bytes that only equal values of that type share."""
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
        return "sequence", b"".join(hashed(item) for item in value)
    raise TypeError(f"{type(value).__qualname__} has no canonical form to make a key from")


def written_arrays(arrays: Arrays) -> dict[str, bytes]:
    """Each array as the bytes of its file."""
    members = {}
    for name, array in arrays.items():
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, np.asarray(array), allow_pickle=False)
        members[f"{name}.npy"] = buffer.getvalue()
    return members
