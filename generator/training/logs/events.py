"""TensorBoard's event files: TFRecords of protobuf messages, of which the scalars are read.

TFRecord (tensorflow.org/tutorials/load_data/tfrecord): length uint64, its masked CRC-32C, the bytes, theirs. The
messages are Event, Summary and TensorProto (tensorflow/core/util/event.proto, framework/summary.proto, tensor.proto)
in protobuf's wire format (protobuf.dev/programming-guides/encoding). Nothing else is unpacked: histograms and images
are passed over unread.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from generator.base.errors import InputError, reason
from generator.records import stored
from generator.training.logs.logged import Logged

POLYNOMIAL = 0x82F63B78  # of CRC-32C, reversed (RFC 3720, appendix B.4)
LARGEST = 1 << 34  # bytes of a file
LONGEST = 1 << 20  # bytes of an event that may hold scalars; one of images or histograms is passed over
MOST = 2_000_000  # scalars of all files
FLOAT, DOUBLE, INT32, INT64 = 1, 2, 3, 9  # tensorflow/core/framework/types.proto
PACKED = {5: ("<f", FLOAT), 6: ("<d", DOUBLE)}  # of TensorProto: float_val, double_val
CONTENT = {FLOAT: "<f", DOUBLE: "<d", INT32: "<i", INT64: "<q"}  # of tensor_content

Scalar = tuple[int, str, float]  # step, tag, value
Field = tuple[int, "int | bytes"]


def read(files: Sequence[tuple[str, Path]]) -> Logged:
    """The scalars of one run.

    Args:
        files: (what its tags begin with, such as "train/", or "", the file), in the order in which they were written.
    Raises:
        InputError: where a file cannot be read or is none of TensorBoard's, and where there is no scalar in any.
    """
    found: dict[int, dict[str, float]] = {}
    notes: list[str] = []
    count = 0
    for prefix, file in files:
        for step, tag, value in _scalars(file, notes):
            found.setdefault(step, {})[prefix + tag] = value  # of two of one step, the later
            count += 1
            if count > MOST:
                raise InputError(f"{file}: expected at most {MOST:,} scalars in a log, found more")
    if not found:
        raise InputError(f"{files[0][1]}: expected scalars in TensorBoard's event files, found none")
    steps = sorted(found)
    return Logged("TensorBoard's log", tuple(found[step] for step in steps), tuple(steps), notes=tuple(notes))


def crc(data: bytes) -> int:
    """The masked CRC-32C of TFRecord: 32 bits."""
    value = 0xFFFFFFFF
    for byte in data:
        value = TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    value ^= 0xFFFFFFFF
    return (((value >> 15) | (value << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _table() -> tuple[int, ...]:
    found = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ POLYNOMIAL * (value & 1)
        found.append(value)
    return tuple(found)


TABLE = _table()


def _scalars(file: Path, notes: list[str]) -> Iterator[Scalar]:
    """The scalars of a file up to its end, or to where it is cut off or damaged, which is noted."""
    stored.content_of(file, "a log of TensorBoard", LARGEST, first=0)  # a pipe would be waited for
    try:
        with file.open("rb") as opened:
            for record in _records(file, opened, notes):
                try:
                    yield from _of_event(record)
                except (ValueError, struct.error, UnicodeDecodeError, IndexError):
                    notes.append(f"An event in {file.name} is damaged and left out.")
    except OSError as error:
        raise InputError(f"{file}: expected a log of TensorBoard, it cannot be read {reason(error)}") from error


def _records(file: Path, opened: BinaryIO, notes: list[str]) -> Iterator[bytes]:
    first = True
    while header := opened.read(12):
        length = int.from_bytes(header[:8], "little")
        if len(header) == 12 and crc(header[:8]) != int.from_bytes(header[8:], "little"):
            if first:
                raise InputError(f"{file}: expected a log of TensorBoard (TFRecords), found something else")
            notes.append(f"{file.name} is damaged; what stands before that is read.")
            return
        if length > LONGEST:
            opened.seek(length + 4, 1)
            first = False
            continue
        record, check = opened.read(length), opened.read(4)
        if len(header) < 12 or len(record) < length or len(check) < 4:
            if first:
                raise InputError(f"{file}: expected a log of TensorBoard (TFRecords), found the beginning of one")
            notes.append(f"The end of {file.name} is cut off; what stands before it is read.")
            return
        if crc(record) != int.from_bytes(check, "little"):
            notes.append(f"{file.name} is damaged; what stands before that is read.")
            return
        yield record
        first = False


def _of_event(record: bytes) -> Iterator[Scalar]:
    """The scalars of an Event: step = 2, summary = 5; a Summary's value = 1."""
    step = 0
    summaries: list[bytes] = []
    for number, value in _fields(record):
        if number == 2 and isinstance(value, int):
            step = value - (1 << 64) * (value >> 63)  # int64
        elif number == 5 and isinstance(value, bytes):
            summaries.append(value)
    for summary in summaries:
        for number, value in _fields(summary):
            if number == 1 and isinstance(value, bytes) and (scalar := _of_value(value)):
                yield step, *scalar


def _of_value(message: bytes) -> tuple[str, float] | None:
    """Tag and number of a Summary.Value: tag = 1, simple_value = 2, tensor = 8; None where it is no scalar."""
    tag, number = "", None
    for field, value in _fields(message):
        if field == 1 and isinstance(value, bytes):
            tag = value.decode()
        elif field == 2 and isinstance(value, bytes):
            number = _rounded(struct.unpack("<f", value)[0])
        elif field == 8 and isinstance(value, bytes):
            number = _of_tensor(value)
    return None if number is None or not tag else (tag, float(number))


def _of_tensor(message: bytes) -> float | None:
    """The one number of a TensorProto: dtype = 1, tensor_content = 4, float_val = 5, double_val = 6."""
    kind, found = 0, None
    for field, value in _fields(message):
        if field == 1 and isinstance(value, int):
            kind = value
        elif field == 4 and isinstance(value, bytes) and value:
            form = CONTENT.get(kind, "")
            found = struct.unpack(form, value)[0] if form and len(value) == struct.calcsize(form) else None
        elif field in PACKED and isinstance(value, bytes):
            form, wanted = PACKED[field]
            found = struct.unpack(form, value)[0] if kind == wanted and len(value) == struct.calcsize(form) else None
    return None if found is None else _rounded(found) if kind == FLOAT else float(found)


def _rounded(value: float) -> float:
    """A float32 with the digits that it has: 0.1, not 0.10000000149."""
    return float(f"{value:.7g}")


def _fields(message: bytes) -> Iterator[Field]:
    """Number and value of each field of a message: a varint as int, all else as bytes.

    Raises:
        ValueError: for what is no message.
    """
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == 2:
            length, at = _varint(message, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if at + length > len(message):
            raise ValueError("a field that is longer than its message")
        yield number, message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A base-128 number and where what follows begins."""
    value = 0
    for place in range(10):
        if at >= len(message):
            raise ValueError("a number that is cut off")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value & (1 << 64) - 1, at
    raise ValueError("a number of more than ten bytes")
