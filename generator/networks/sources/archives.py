"""A file of torch.export written anew: nothing but a graph of torch's own operators, and tensors.

torch.export.load unpickles freely, looks every callable of a graph up by its name, makes Python of the names in it, and
evaluates sizes, guards and the nesting of outputs. So a graph's description is looked through word for word before,
what is not needed of it is left out, and the archive that is then loaded holds what was looked at and nothing else.
"""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import torch

GRAPH = 1 << 26  # bytes of the description of a graph; ResNet-152's has 1.3e6
LONG = 500  # letters of a name

_NAME = re.compile(r"[A-Za-z0-9_.]*")
_OPERATOR = re.compile(
    r"torch\.ops\.aten\.\w+\.\w+|_operator\.(?:add|sub|mul|neg|floordiv|truediv|mod|pow|getitem|eq|ne|lt|le|gt|ge)"
    r"|torch\.ops\.higher_order\.wrap_with_set_grad_enabled|torch\.sym_(?:int|float|max|min|not)|math\.(?:ceil|floor|trunc)"
)
_FILES = re.compile(r"from_file|save|load|print")  # of aten's operators those that read or write
_PLACE = re.compile(r"[A-Za-z0-9_.@]*")  # of a module among others, "@1" where it is called again
# Of sizes that are not fixed: their symbols, and what torch's own arithmetic of them is called.
_SIZES = re.compile(
    r"Symbol\('[su]\d{1,9}'(?:, [a-z]+=(?:True|False))*\)|[su]?\d{1,9}|Integer|Add|Mul|Mod|PythonMod|FloorDiv|CleanDiv"
    r"|CeilDiv|Max|Min|True|False|[-+*/(), ]"
)
_PLAIN_TYPES = {None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"}


class Refused(Exception):  # noqa: N818 - it is caught here and becomes a line
    """What is no part of a graph of torch's own operators."""


def written_anew(data: bytes, members: Mapping[str, int]) -> tuple[bytes, Any]:
    """The archive with nothing but a checked graph and tensors, and the graph's description.

    Args:
        members: the names of its files, which have together no more bytes than it.
    Raises:
        Refused: where it holds anything else.
    """
    (root,) = {name.partition("/")[0] for name in members}
    inside = {name.partition("/")[2]: name for name in members}
    graphs = [name for name in inside if name.startswith("models/")]
    if graphs != ["models/model.json"]:
        raise Refused("no single graph named model")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:

        def read(name: str) -> bytes:
            if name not in inside:
                raise Refused(f"no {name}")
            return archive.read(inside[name])

        kept = {"archive_format": b"pt2"}
        for name in ("archive_version", "byteorder", ".data/version"):  # a word each
            if name in inside:
                kept[name] = read(name)
        description = _graph(_json(read("models/model.json")))
        kept["models/model.json"] = json.dumps(description).encode()
        for folder, prefix in (("weights", "weight_"), ("constants", "tensor_")):
            file = f"data/{folder}/model_{folder}_config.json"
            config = _tensors(_json(read(file)), prefix, len(data))
            kept[file] = json.dumps(config).encode()
            for held in config["config"].values():
                kept[f"data/{folder}/{held['path_name']}"] = read(f"data/{folder}/{held['path_name']}")
        sample = read("data/sample_inputs/model.pt")
        try:
            torch.load(io.BytesIO(sample), weights_only=True)
        except Exception:  # noqa: BLE001 - what needs more than tensors
            raise Refused("sample inputs that need code to be read") from None
        kept["data/sample_inputs/model.pt"] = sample
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in kept.items():
            archive.writestr(f"{root}/{name}", content)
    return buffer.getvalue(), description


def _json(content: bytes) -> Any:
    if len(content) > GRAPH:
        raise Refused(f"a description of {len(content):,} bytes")
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise Refused("a description that is no JSON") from None


def _graph(described: Any) -> Any:
    """The description of a graph, checked word for word, on the CPU and without what is only told of it."""
    found = _checked(described)
    if not isinstance(found, dict) or "graph_module" not in found:
        raise Refused("a description of no graph")
    return {**found, "guards_code": []}  # which would be run as Python


def _checked(said: Any) -> Any:
    if isinstance(said, dict):
        if set(said) == {"type", "index"}:  # a device
            return {"type": "cpu", "index": None}
        for word in said:
            _require(_NAME, word)
        return {word: _SPECIAL.get(word, _checked)(value) for word, value in said.items()}
    if isinstance(said, list):
        return [_checked(each) for each in said]
    if isinstance(said, str):
        return _require(_NAME, said)
    return said


def _require(pattern: re.Pattern[str], text: Any) -> str:
    if not isinstance(text, str) or len(text) > LONG or not pattern.fullmatch(text):
        raise Refused(f"{str(text)[:60]!r} in its description")
    return text


def _nodes(said: Any) -> Any:
    """The nodes of a graph: each calls one of torch's own operators, which neither reads nor writes a file."""
    for each in said if isinstance(said, list) else ():
        called = str(each.get("target") if isinstance(each, dict) else "")[:LONG]
        if not _OPERATOR.fullmatch(called) or _FILES.match(called.removeprefix("torch.ops.aten.")):
            raise Refused(f"a call of {called[:60]}")
    return _checked(said)


def _size(said: Any) -> str:
    """Arithmetic of sizes, without powers, which may have more digits than memory holds."""
    if not isinstance(said, str) or len(said) > LONG or _SIZES.sub("", said) or "**" in said:
        raise Refused(f"{str(said)[:60]!r} as a size")
    return said


def _metadata(said: Any) -> Any:
    """Of what is told of an operator, the modules that it belongs to, without their classes; of a graph nothing."""
    stack = said.get("nn_module_stack") if isinstance(said, dict) else None
    if not isinstance(stack, str):
        return {}
    calls = [each.split(",", 2) for each in stack.split(";")]
    return {"nn_module_stack": ";".join(f"{_place(key)},{_place(path)},Module" for key, path, _ in calls)}


def _place(text: str) -> str:
    return _require(_PLACE, text)


def _structure(said: Any) -> Any:
    """How inputs and outputs are nested: in tuples, lists and mappings alone, for others would be looked up."""
    if said in (None, ""):
        return said
    try:
        held = json.loads(said)
    except (TypeError, ValueError, RecursionError):
        raise Refused("inputs or outputs that are nested in no known way") from None
    waiting = [held]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += each
        elif isinstance(each, dict):
            if each.get("type") not in _PLAIN_TYPES or not set(each) <= {"type", "context", "children_spec"}:
                raise Refused(f"outputs in a {str(each.get('type'))[:60]}; let it give its logits alone")
            names = each.get("context")
            names = json.loads(names) if isinstance(names, str) and names.startswith("[") else names
            for name in names if isinstance(names, list) else [names]:
                if name is not None:
                    _require(_NAME, str(name) if name != "null" else "")
            waiting += each.get("children_spec") or []
    return said


_SPECIAL: Mapping[str, Callable[[Any], Any]] = {
    "nodes": _nodes,
    "metadata": _metadata,
    "in_spec": _structure,
    "out_spec": _structure,
    "expr_str": _size,
    "guards_code": lambda _said: [],
    "torch_version": lambda _said: "",
    "stack_trace": lambda _said: "",
}


def _tensors(said: Any, prefix: str, room: int) -> Any:
    """The list of a program's tensors: none is pickled, none is larger than the file."""
    if not isinstance(said, dict) or not isinstance(said.get("config"), dict):
        raise Refused("no list of tensors")
    found, numbers = _checked(said), 0
    for name, held in found["config"].items():
        if not isinstance(held, dict) or held.get("use_pickle") is not False:
            raise Refused(f"a pickle under {name}, which needs code to be read")
        if not re.fullmatch(prefix + r"\d+", str(held.get("path_name"))):
            raise Refused(f"no tensor under {name}")
        sizes = [side.get("as_int") for side in held["tensor_meta"]["sizes"]]
        if not all(type(side) is int and side >= 0 for side in sizes):
            raise Refused(f"a tensor without a fixed size, {name}")
        numbers += math.prod(sizes)
    if numbers > room:
        raise Refused(f"{numbers:,} numbers in a file of {room:,} bytes")
    return found
