"""Pickled dicts of arrays, as CIFAR's files are, read as data: nothing that a pickle names is ever imported or called.

Python's own unpickler runs what a file asks for. Here names stay words, of which two (an array, its type) mean records
of this module; every instruction that these files do not need is refused.
"""

from __future__ import annotations

import io
import math
import pickle  # noqa: TID251 (its reader of instructions, without what they would call)
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from generator.base.errors import InputError, reason

LARGEST = 2**30  # bytes; CIFAR-100's training images are 155 MB
ARRAY = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
TYPE = ("numpy.dtype",)
PLAIN = ("numpy.ndarray",)
# What dicts, lists, tuples, text, bytes and whole numbers are written with, of any protocol, and one name at a time.
ADMITTED = (
    *(pickle.PROTO, pickle.FRAME, pickle.MARK, pickle.STOP, pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE),
    *(pickle.EMPTY_DICT, pickle.DICT, pickle.SETITEM, pickle.SETITEMS),
    *(pickle.EMPTY_LIST, pickle.LIST, pickle.APPEND, pickle.APPENDS),
    *(pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
    *(pickle.INT, pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG, pickle.LONG1),
    *(pickle.STRING, pickle.BINSTRING, pickle.SHORT_BINSTRING),
    *(pickle.UNICODE, pickle.BINUNICODE, pickle.SHORT_BINUNICODE),
    *(pickle.BINBYTES, pickle.SHORT_BINBYTES),
    *(pickle.GET, pickle.BINGET, pickle.LONG_BINGET, pickle.PUT, pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE),
    *(pickle.GLOBAL, pickle.STACK_GLOBAL),
)
DAMAGE = (pickle.UnpicklingError, ValueError, TypeError, LookupError, AttributeError, EOFError, OverflowError)


def load(file: Path) -> Mapping[str, Any]:
    """The dict in a file: its values by name, arrays of bytes as such.

    Raises:
        InputError: where the file cannot be read, is larger than any of CIFAR's, is damaged, or holds anything else.
    """
    try:
        if file.stat().st_size > LARGEST:
            raise InputError(f"{file}: expected at most {LARGEST >> 20} MiB in a pickle, got more")
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: expected a file that can be read, got {reason(error)}") from None
    try:
        found = _Reader(io.BytesIO(content), encoding="bytes").load()
    except _ForeignError as error:
        raise InputError(
            f"{file}: expected a pickle of dicts, lists and arrays alone, as CIFAR's are, found {error}; it was not run"
        ) from None
    except DAMAGE as error:
        raise InputError(f"{file}: expected a whole pickle, it is damaged ({_said(error)}); get it anew") from None
    if not isinstance(found, dict):
        raise InputError(f"{file}: expected a pickled dict, found {type(found).__name__.strip('_').lower()}")
    try:
        return {_word(key): _plain(value) for key, value in found.items()}
    except DAMAGE as error:
        raise InputError(
            f"{file}: expected names, lists and arrays of bytes in a pickle, found others ({error})"
        ) from None


class _ForeignError(Exception):
    """Something that is in no file of CIFAR's; its words say what."""


class _Name:
    """The name of a function or a class, and never that itself."""

    def __init__(self, name: str) -> None:
        self.name = name


class _Type:
    """A type of numbers: "u1" for bytes."""

    def __init__(self, code: object) -> None:
        self.code = code


class _Array:
    """An array before it is looked at: the state that numpy's has."""

    def __init__(self) -> None:
        self.state: Any = None


class _Admitted(dict[int, Any]):
    """Instructions by their first byte."""

    def __missing__(self, code: int) -> Any:
        raise _ForeignError(f"the instruction {code:#04x}")


class _Reader(pickle._Unpickler):  # the one in Python: the one in C takes a memory of any size that a file asks for
    def find_class(self, module: str, name: str) -> Any:
        """The name alone."""
        whole = f"{module}.{name}"
        if whole not in (*ARRAY, *TYPE, *PLAIN):
            raise _ForeignError(f"the name {whole:.80}")
        return _Name(whole)

    def _call(self) -> None:
        """An array or a type, empty as yet."""
        arguments, called = self.stack.pop(), self.stack[-1]  # type: ignore[attr-defined]
        name = called.name if isinstance(called, _Name) else ""
        if name not in (*ARRAY, *TYPE):
            raise _ForeignError("a call")
        self.stack[-1] = _Array() if name in ARRAY else _Type(arguments[0])  # type: ignore[attr-defined]

    def _fill(self) -> None:
        state, filled = self.stack.pop(), self.stack[-1]  # type: ignore[attr-defined]
        if isinstance(filled, _Array):
            filled.state = state
        elif not isinstance(filled, _Type):  # a type's own state is the order of bytes, of which one has none
            raise _ForeignError("a state")

    dispatch: ClassVar[dict[int, Any]] = _Admitted(
        {code[0]: pickle._Unpickler.dispatch[code[0]] for code in ADMITTED}
        | {pickle.REDUCE[0]: _call, pickle.BUILD[0]: _fill}
    )


def _said(error: Exception) -> str:
    return str(error)[:80] or "it ends early"


def _word(key: object) -> str:
    return key.decode() if isinstance(key, bytes) else str(key)


def _plain(value: Any) -> Any:
    return _bytes(value) if isinstance(value, _Array) else value


def _bytes(found: _Array) -> NDArray[np.uint8]:
    """The array of what numpy's __setstate__ is given: version, shape, type, Fortran's order or not, bytes."""
    _, shape, kind, by_columns, content = found.state
    if not isinstance(kind, _Type) or kind.code not in (b"u1", "u1"):
        raise TypeError("an array of other numbers than bytes")
    if len(content) != math.prod(shape):
        raise ValueError(f"{len(content):,} bytes of {math.prod(shape):,}")
    numbers: NDArray[np.uint8] = np.frombuffer(content, np.uint8).reshape(shape, order="F" if by_columns else "C")
    return numbers
