"""A whole network as an ONNX file, which onnxruntime runs: its answers, without gradients or a look inside.

An ONNX file is a graph of operators and numbers; no code of its own is in it, and what it keeps in other files is not
read. Its format is that of https://onnx.ai/onnx/repo-docs/IR.html.
"""

from __future__ import annotations

import ast
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from generator.base.errors import InputError, in_short
from generator.networks.sources.programs import LARGEST, Program
from generator.records import stored

WHAT = "a network in an ONNX file"
INSTALL = "install it with: pip install onnxruntime"
SIGHTLESS = "the network is an ONNX file, which onnxruntime runs without gradients or a look inside"
_KINDS = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
# Under which programs keep what the outputs stand for: Ultralytics "names", others by what they are.
_NAMES = ("names", "classes", "class_names", "labels", "id2label")
_SIDE = ("imgsz", "input_size")  # where they keep the side that was trained on, of an input of any size


def load(path: Path) -> Program:
    """The network of a file, told what it takes and, where it says so, what its outputs stand for.

    Raises:
        InputError: where onnxruntime is missing, or the file is damaged, keeps its numbers elsewhere, takes no images
            or is made of operators that onnxruntime does not have.
    """
    data = stored.content_of(path, WHAT, LARGEST)
    if not data:
        raise InputError(f"{path}: expected {WHAT}, found an empty file")
    count = _numbers(data, path)
    session = _session(data, path)
    given = [node for node in session.get_inputs() if node.name not in _initialised(session)]
    if len(given) != 1 or len(given[0].shape) != 4 or given[0].type not in _KINDS:
        found = ", ".join(f"{node.name} {node.type} {node.shape}" for node in given[:3]) or "none"
        raise InputError(
            f"{path}: expected a network of images alone, one input (N, C, H, W) of floating-point numbers, found "
            f"{found}"
        )
    shape = [side if isinstance(side, int) and side > 0 else None for side in given[0].shape]
    told = session.get_modelmeta().custom_metadata_map
    last = shape[3] in (1, 3) and shape[1] not in (1, 3)  # (N, H, W, C), as TensorFlow's exporters write it
    channels, high, wide = (shape[3], *shape[1:3]) if last else shape[1:]
    side = _side(told)
    high, wide = (high, wide) if high and wide else side or (high, wide)
    network = OnnxNetwork(session, given[0].name, np.dtype(_KINDS[given[0].type]), last, count)
    names = _names(told)
    return Program(network, (channels, high, wide), shape[0] or 0, SIGHTLESS, hashlib.sha256(data).hexdigest(), names)


class OnnxNetwork(nn.Module):
    """A session of onnxruntime as a module without parameters."""

    def __init__(self, session: Any, name: str, kind: np.dtype[Any], last: bool, count: int) -> None:
        super().__init__()
        self.session, self.name, self.kind, self.last = session, name, kind, last
        self.count = count  # of the numbers that it was given by training

    def forward(self, images: Tensor) -> Any:
        """What the file gives of (N, C, H, W) images: a tensor, or several by their names."""
        batch = images.detach().cpu().permute(0, 2, 3, 1) if self.last else images.detach().cpu()
        given = {self.name: np.ascontiguousarray(batch.numpy().astype(self.kind))}
        names = [node.name for node in self.session.get_outputs()]
        found = {
            name: torch.from_numpy(np.array(values, np.float32)).to(images.device)
            for name, values in zip(names, self.session.run(names, given), strict=True)
            if isinstance(values, np.ndarray) and values.dtype.kind == "f"
        }
        return next(iter(found.values())) if len(found) == 1 else found

    def __deepcopy__(self, _memo: Any) -> OnnxNetwork:
        """Itself: a session cannot be copied, and nothing changes it."""
        return self


def _session(data: bytes, path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise InputError(
            f"{path}: expected the package onnxruntime, which runs ONNX files, found none; {INSTALL}"
        ) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it says is told in one line below
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # it has a dozen kinds, all its own
        raise InputError(
            f"{path}: expected {WHAT} that this onnxruntime can read, found a damaged one, or one of operators that it "
            f"does not have ({in_short(error)})"
        ) from error


def _initialised(session: Any) -> set[str]:
    """The inputs that are weights, which older files list among them."""
    return {node.name for node in session.get_overridable_initializers()}


# What a file says of itself


def _names(told: Mapping[str, str]) -> tuple[str, ...]:
    """What the outputs stand for, in their order, as a file's metadata say; () where they do not."""
    for key in _NAMES:
        found = _read(told.get(key, ""))
        if isinstance(found, Mapping):
            found = _numbered(found)
        if isinstance(found, Sequence) and len(found) > 1 and all(isinstance(name, str) and name for name in found):
            return tuple(found)
    return ()


def _numbered(named: Mapping[Any, Any]) -> list[Any]:
    """The names of a mapping from 0 on, whose keys may be written as strings; [] where one is missing."""
    by_number = {str(key): name for key, name in named.items()}
    found = [by_number.get(str(number)) for number in range(len(named))]
    return [] if None in found else found


def _read(text: str) -> Any:
    """A value as JSON or Python writes it, else lines or what stands between commas."""
    for reader in (json.loads, ast.literal_eval):
        try:
            return reader(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
    return [part.strip() for part in text.split("\n" if "\n" in text else ",") if part.strip()]


def _side(told: Mapping[str, str]) -> tuple[int, int] | None:
    for key in _SIDE:
        found = _read(told.get(key, ""))
        sides = [found, found] if isinstance(found, int) else found
        if (
            isinstance(sides, Sequence)
            and len(sides) >= 2
            and all(type(side) is int and side > 0 for side in sides[-2:])
        ):
            return sides[-2], sides[-1]
    return None


# How many numbers it holds: the initializers of its graph, in protobuf's wire format

_GRAPH, _INITIALIZER = 7, 5  # fields of ModelProto and GraphProto
_DIMS, _KIND, _LOCATION = 1, 2, 14  # of TensorProto
_FLOATS = (1, 10, 11, 16)  # its data types: float, float16, double, bfloat16
_EXTERNAL = 1


def _numbers(data: bytes, path: Path) -> int:
    """How many floating-point numbers the graph holds.

    Raises:
        InputError: where the file is no ONNX, or keeps numbers in other files.
    """
    count = 0
    try:
        for field, graph in _fields(memoryview(data)):
            for inner, tensor in _fields(graph) if field == _GRAPH and isinstance(graph, memoryview) else ():
                if inner == _INITIALIZER and isinstance(tensor, memoryview):
                    count += _size(tensor, path)
    except InputError:
        raise
    except (IndexError, ValueError):
        raise InputError(f"{path}: expected {WHAT}, found a damaged file, or one of another program") from None
    return count


def _size(tensor: memoryview, path: Path) -> int:
    shape: list[int] = []
    kind = 0
    for field, value in _fields(tensor):
        if field == _LOCATION and value == _EXTERNAL:
            raise InputError(
                f"{path}: expected {WHAT} with its weights in it, it keeps them in another file; save it as one: "
                "onnx.save(onnx.load(FILE), NEW_FILE)"
            )
        if field == _KIND and isinstance(value, int):
            kind = value
        if field == _DIMS:
            shape += [value] if isinstance(value, int) else _packed(value)
    return math.prod(shape) if kind in _FLOATS else 0


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message: their numbers, and a whole number or what has a length."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
        elif kind == 2:
            length, at = _varint(data, at)
            if at + length > len(data):
                raise ValueError("cut short")
            yield key >> 3, data[at : at + length]
            at += length
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError("no message")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("no number")


def _packed(data: memoryview) -> list[int]:
    found, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        found.append(value)
    return found
