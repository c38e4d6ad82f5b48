"""Any record of the report as arrays and one JSON, and back exactly: the same types, the same bits, the same order.

Unlike `stored`, whose files people read and write, this is for the program's own cache.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TREE = "tree"  # the array of the JSON's bytes; the others are named by numbers
RECORDS = "generator.records."


def written(value: object) -> dict[str, NDArray[Any]]:
    """A record, or anything made of records, arrays, numbers, text, bytes, paths, sequences and mappings.

    Returns:
        arrays of any dtype but object, by name; an array that stands in several places is there once.
    Raises:
        TypeError: for anything else.
    """
    writer = _Writer()
    tree = json.dumps(writer.tree(value)).encode()  # in ASCII: half of a surrogate pair comes back as it was
    return {TREE: np.frombuffer(tree, np.uint8), **writer.arrays}


def read(arrays: Mapping[str, NDArray[Any]]) -> Any:
    """What `written` was given; a sequence of any other type comes back as a tuple, a mapping as a dict."""
    return _read(json.loads(arrays[TREE].tobytes()), arrays)


class _Writer:
    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[Any]] = {}
        self.names: dict[int, str] = {}
        self.held: list[object] = []  # so that no other array takes the place, and with it the id, of one

    def tree(self, value: Any) -> Any:
        """What JSON holds of a value: constants and text as they are, all else as [kind, content]."""
        if value is None or type(value) in (bool, int, float, str):
            return value
        if isinstance(value, np.ndarray):
            return ["array", self.name(value)]
        if isinstance(value, np.generic):
            return ["scalar", self.name(np.asarray(value))]
        if isinstance(value, bytes):
            return ["bytes", self.name(np.frombuffer(value, np.uint8))]
        if isinstance(value, Path):
            return ["path", str(value)]
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            kind = type(value)
            if not kind.__module__.startswith(RECORDS):
                raise TypeError(f"{kind.__qualname__} is no record of the report")
            named = {one.name: self.tree(getattr(value, one.name)) for one in dataclasses.fields(value)}
            return ["record", kind.__module__.removeprefix(RECORDS), kind.__qualname__, named]
        if isinstance(value, Mapping):
            return ["mapping", [[self.tree(key), self.tree(item)] for key, item in value.items()]]
        if isinstance(value, Sequence) and not isinstance(value, str):
            return ["list" if isinstance(value, list) else "tuple", [self.tree(item) for item in value]]
        raise TypeError(f"{type(value).__qualname__} is no part of a record")

    def name(self, array: NDArray[Any]) -> str:
        if id(array) not in self.names:
            self.names[id(array)] = str(len(self.names))
            self.arrays[self.names[id(array)]] = array
            self.held.append(array)
        return self.names[id(array)]


def _read(tree: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    if not isinstance(tree, list):
        return tree
    kind, content = tree[0], tree[1]
    if kind == "array":
        return arrays[content]
    if kind == "scalar":
        return arrays[content][()]
    if kind == "bytes":
        return arrays[content].tobytes()
    if kind == "path":
        return Path(content)
    if kind == "record":
        _, module, name, named = tree
        record = getattr(importlib.import_module(RECORDS + module), name)
        return record(**{key: _read(item, arrays) for key, item in named.items()})
    if kind == "mapping":
        return {_read(key, arrays): _read(item, arrays) for key, item in content}
    found = (_read(item, arrays) for item in content)
    return list(found) if kind == "list" else tuple(found)
