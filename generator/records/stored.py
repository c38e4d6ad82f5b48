"""Values as the JSON that lies on disk, by the types that they should have, and back."""

from __future__ import annotations

import codecs
import json
import math
import re
import reprlib
import stat
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import msgspec
import numpy as np
from numpy.typing import NDArray

from generator.base.errors import InputError, reason
from generator.records.ranges import Count, Share

T = TypeVar("T")

LARGEST = 1 << 29  # bytes of a file of JSON
DENSE = 10**5  # counts in rows that are written as such; of more only those above 0, if they are few
LARGEST_MATRIX = 10**8  # counts: those of 10,000 classes
DEEPEST = 100  # a run that went on from another holds the other's settings, and so on
NAN = {"chance", "seconds_to_goal"}  # numbers that may be nan, which is null in the file
KINDS = {"object": "named values", "array": "a list", "str": "text", "int": "a whole number", "float": "a number"} | {
    "bool": "true or false",
    "null": "null",
}


def read(kind: type[T], path: Path, advice: str) -> T:
    """A file of JSON as the type that it should have: a dataclass, a msgspec.Struct, or a container of such.

    Args:
        advice: how to mend the file, the last words of each message.
    Raises:
        InputError: where it cannot be read, is no JSON or holds anything else, in one line.
    """
    return decode(kind, content_of(path, "a file of JSON", LARGEST), str(path), advice)


def content_of(path: Path, what: str, largest: int, first: int = -1) -> bytes:
    """The bytes of a file, or the first of them.

    Args:
        what: is expected there, such as "a file of weights".
        largest: so many bytes it may have.
    Raises:
        InputError: where there is no file, or a folder, a pipe, a device, one that cannot be read, or a larger one.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # to read a pipe or a device may take for ever
            raise InputError(f"{path}: expected {what}, found {'a folder' if path.is_dir() else 'a pipe or a device'}")
        if found.st_size > largest:
            raise InputError(
                f"{path}: expected {what}, found {found.st_size:,} bytes, where {largest:,} are the most that are read"
            )
        with path.open("rb") as file:
            return file.read(first)
    except FileNotFoundError as error:
        raise InputError(f"{path}: expected {what}, found none") from error
    except OSError as error:
        raise InputError(f"{path}: expected {what}, it cannot be read {reason(error)}") from error


def decode(kind: type[T], content: bytes | str, source: str, advice: str) -> T:
    """JSON as the type that it should have; see `read`.

    Args:
        source: what messages begin with, such as the file's path.
    """
    try:
        said = msgspec.json.decode(_unmarked(content))
    except msgspec.ValidationError as error:
        raise InputError(f"{source}: expected numbers that can be held, found a larger one; {advice}") from error
    except (msgspec.DecodeError, UnicodeError) as error:
        raise InputError(f"{source}: expected JSON, found a damaged file ({error}); {advice}") from error
    except RecursionError as error:
        raise InputError(f"{source}: {_nested()}; {advice}") from error
    if _depth(said) > DEEPEST:
        raise InputError(f"{source}: {_nested()}; {advice}")
    said = _without_nan(said)
    try:
        found = msgspec.convert(said, kind, dec_hook=_array)
    except msgspec.ValidationError as error:
        raise InputError(f"{source}: {worded(error, kind, said)}; {advice}") from error
    for place in _strangers(said, found):
        raise InputError(f"{source}: expected no {place}, which is no part of such a record; {advice}")
    return found


def encode(value: object) -> bytes:
    """A record as JSON, the same bytes every time; see `plain`."""
    return (json.dumps(plain(value), indent=1, ensure_ascii=False) + "\n").encode()


def plain(value: Any) -> Any:
    """What JSON can hold of a record: arrays and tuples as lists, floats to 6 digits, None for what is not finite.

    Of counts in very many rows, hardly any above 0, it is their shape and (row, column, count) of these.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, np.ndarray):
        return plain(rows_of(value))
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, str):  # of a file whose name is no UTF-8, the bytes are spelt out
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def rows_of(value: NDArray[Any]) -> Any:
    """An array as lists; many counts of which few are above 0, see `plain`, as their shape and those few."""
    counts = value.ndim == 2 and value.dtype.kind == "i" and value.size > DENSE
    if not counts or 8 * np.count_nonzero(value) > value.size:  # of thousands of classes hardly any pair is confused
        return value.tolist()
    places = np.argwhere(value)
    return {"shape": list(value.shape), "counts": np.column_stack([places, value[tuple(places.T)]]).tolist()}


def _whole(said: dict[str, Any], dtype: type) -> NDArray[Any]:
    """What `rows_of` made smaller."""
    if set(said) != {"shape", "counts"}:
        raise ValueError("Expected an array, or its shape and counts, got an object of other fields")
    rows, columns = msgspec.convert(said["shape"], tuple[Count, Count])
    found = msgspec.convert(said["counts"], list[tuple[Count, Count, Count]])
    if rows * columns > LARGEST_MATRIX:
        raise ValueError(f"Expected at most {LARGEST_MATRIX:,} counts, got {rows:,} x {columns:,}")
    if any(row >= rows or column >= columns for row, column, _ in found):
        raise ValueError(f"Expected counts within {rows} x {columns}, got others")
    whole: NDArray[Any] = np.zeros((rows, columns), dtype)
    for row, column, count in found:
        whole[row, column] = count
    return whole


def worded(error: Exception, kind: Any, said: Any) -> str:
    """msgspec's message in the words of the others, with the whole place and what is found there."""
    words, *places = str(error).split(" - at ")
    place = "".join(re.sub(r".*`\$?([^`]*)`.*", r"\1", one) for one in reversed(places))
    place, found = _named(kind, said, place, str(error))
    words = re.sub(r"`([^`]+)`", lambda named: " or ".join(KINDS.get(one, one) for one in named[1].split(" | ")), words)
    words = re.sub("^Object missing required field (.*)", r"expected a field \1, found none", words)
    words = re.sub(r" >= (-?[\d.e+]+)$", lambda least: f" of at least {float(least[1]):g}", words)
    words = re.sub(r" <= (-?[\d.e+]+)$", lambda most: f" of at most {float(most[1]):g}", words)
    words = words[:1].lower() + words[1:].replace(", got", ", found")
    words += "" if "found" in words else f", found {reprlib.repr(found)}"
    return f"{place}: {words}" if place else words


def shown(key: str) -> str:
    """A key as a message has it: on one line, whatever it is."""
    return key if key.isprintable() and len(key) < 80 else reprlib.repr(key)


def _unmarked(content: bytes | str) -> bytes | str:
    """Without the byte order mark that some editors begin a file with."""
    return content.removeprefix(codecs.BOM_UTF8) if isinstance(content, bytes) else content


def _depth(value: Any) -> int:
    """How deep lists and objects lie in each other."""
    depth, level = 0, [value]
    while level := [
        inner
        for one in level
        if isinstance(one, dict | list)
        for inner in (one.values() if isinstance(one, dict) else one)
    ]:
        depth += 1
    return depth


def _nested() -> str:
    return f"expected values at most {DEEPEST} levels deep, found more"


def _without_nan(said: Any) -> Any:
    """Without the nulls that stand for a nan where a number may be one: such a value is as if it were left out."""
    if isinstance(said, dict):
        return {key: _without_nan(item) for key, item in said.items() if item is not None or key not in NAN}
    if isinstance(said, list):
        return [_without_nan(item) for item in said]
    return said


def _array(kind: Any, said: Any) -> Any:
    """JSON's lists as the arrays of a record: shares, null where one is nan, and counts in rows or alone."""
    if get_origin(kind) is not np.ndarray:
        raise NotImplementedError(str(kind))
    (dtype,) = get_args(get_args(kind)[1])
    try:
        if dtype is np.float32:
            shares = msgspec.convert(said, list[Share | None])
            return np.array([math.nan if share is None else share for share in shares], dtype)
        if isinstance(said, dict) and dtype is not np.float32:
            return _whole(said, dtype)
        if not (isinstance(said, list) and said and isinstance(said[0], list)):
            return np.array(msgspec.convert(said, list[Count]), dtype)
        rows = msgspec.convert(said, list[list[Count]])
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error  # to which the place of the array is added
    for place, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise ValueError(f"Expected {len(rows[0])} counts, as in the first row, got {len(row)} - at `$[{place}]`")
    return np.array(rows, dtype)


def _named(kind: Any, said: Any, place: str, error: str) -> tuple[str, Any]:
    """msgspec's place with the keys for which it has [...], and what lies there.

    The key is the one with which alone the error is the same.
    """
    named, inner = "", said
    for field, index in re.findall(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]", place):
        key: str | int | None = int(index) if index.isdecimal() else field
        if index == "...":
            key = next((key for key in list(inner) if _failure(kind, said, inner, key) == error), None)
        if key is None or (isinstance(inner, dict) and key not in inner):
            break
        inner = inner[key]
        named += f"[{key}]" if isinstance(key, int) else f".{shown(key)}"
    return named.removeprefix("."), inner


def _failure(kind: Any, said: Any, values: dict[str, Any], key: str) -> str:
    """Why `said` cannot be converted where `values`, a part of it, holds this key alone; as it was afterwards."""
    before = dict(values)
    values.clear()
    values[key] = before[key]
    try:
        msgspec.convert(said, kind, dec_hook=_array)
    except msgspec.ValidationError as error:
        return str(error)
    finally:
        values.clear()
        values.update(before)
    return ""


def _strangers(said: Any, found: Any, place: str = "") -> Iterator[str]:
    """Places in what was said that the record has no field for."""
    if is_dataclass(found) or isinstance(found, msgspec.Struct):
        names = {field.name for field in fields(found)} if is_dataclass(found) else {*found.__struct_fields__}
        yield from (f"{place}.{shown(key)}".removeprefix(".") for key in said if key not in names)
        pairs = [(said[key], getattr(found, key), f"{place}.{key}") for key in said if key in names]
    elif isinstance(found, Mapping):
        pairs = [(said[key], value, f"{place}.{shown(key)}") for key, value in found.items()]
    elif isinstance(found, tuple):
        pairs = [(one, value, f"{place}[{index}]") for index, (one, value) in enumerate(zip(said, found, strict=True))]
    else:
        return
    for pair in pairs:
        yield from _strangers(*pair)
