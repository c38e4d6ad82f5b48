"""Somebody else's file of weights: a .pth or .safetensors in, dense tensors by name out; none of its code is run.

What a file claims is compared with what it holds before anything is unpacked, and whatever is no state dict is told
apart: a whole model, a TorchScript program, a web page, a pointer of Git LFS, weights of another kind.
"""

from __future__ import annotations

import re
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from generator.base.errors import InputError
from generator.records import stored

Weights = dict[str, Tensor]

WHAT = "a file of weights"
LARGEST = 4 << 30  # bytes of a file of weights; AlexNet's has 2.4e8
SPARE = 1 << 20  # numbers that the tensors may have beyond the bytes of their file, as one that was expanded has
SAVE = "torch.save(model.state_dict(), 'weights.pth')"

# Where training programs keep the weights among other things; the first that is there is taken. The averages over the
# training come first: where there are some, it is those that were measured (timm's models/_helpers.py does the same).
KEYS = (
    *("state_dict_ema", "model_ema", "ema_state_dict", "ema", "state_dict", "model_state_dict", "model", "net"),
    *("network", "module", "weights", "params", "model_state", "net_state_dict"),
)
# What wrappers put into the names: DataParallel, torch.compile, FSDP, activation checkpoints.
WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
COUNTERS = {"n_averaged"}  # of torch.optim.swa_utils.AveragedModel, beside the weights

BEGINNINGS = (  # of files that are often taken for weights
    (rb"version https://git-lfs", "a pointer of Git LFS instead of the file itself; fetch it with: git lfs pull"),
    (rb"\s*(<!doctype|<html|<head|<\?xml)", "a web page, such as an error or sign-in page; download the file itself"),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!", "an archive; unpack it first"),
    (rb"\x89HDF", "a file of Keras; save the weights with torch"),
    (rb"\x93NUMPY", "a file of NumPy; save the weights with torch"),
    (rb"\s*[{\[]", "text in JSON; name the file of the weights themselves"),
)


@dataclass(frozen=True)
class Found:
    """The weights of a file, and in a sentence each what was taken off or left out on the way."""

    weights: Weights  # float32, or whole numbers
    notes: tuple[str, ...] = ()
    key: str = ""  # under which they stand in the file; "": they are all of it
    epoch: int | None = None  # the number, from 1, of the one after which they were saved, as far as the file says it


class _Array:
    """In the place of NumPy's arrays and numbers beside the weights."""

    def __init__(self, *_args: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        """Forget it."""


class _Baggage:
    """In the place of what else stands beside the weights: its class is not looked for, and nothing of it is made.

    torch fills plain mappings alone, so it is one of these.
    """

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Any:
        """A mapping instead of one's own kind."""
        return OrderedDict()


def load(path: Path, key: str = "") -> Found:
    """The state dict in a .pth, .ckpt or .safetensors file, told apart by their content.

    Floating-point tensors of any type become float32, float8 exactly. Settings and other things beside the weights are
    passed over, whatever their classes.

    Args:
        key: under which the weights stand, where that is said; parts of it are divided by dots.

    Raises:
        InputError: where the file is missing, cut short, or holds anything but a state dict of dense tensors.
    """
    start = stored.content_of(path, WHAT, LARGEST, first=512)
    if not start:
        raise InputError(f"{path}: expected {WHAT}, found an empty file")
    for beginning, what in BEGINNINGS:
        if re.match(beginning, start, re.IGNORECASE):
            raise InputError(f"{path}: expected {WHAT}, found {what}")
    if path.suffix == ".safetensors" or start[8:9] == b"{":  # after the length of the header, which is JSON
        if key:
            raise InputError(f"weights_key: expected none for {path}, a safetensors file, got {key!r}")
        return Found(_dense(_of_safetensors(path), path))
    whole = _of_torch(path, start)
    said, notes, place = _state_dict(whole, path, key)
    return Found(_dense(said, path), notes, place, _epoch(whole))


def fitted(found: Found, wanted: Mapping[str, Tensor], source: str) -> Found:
    """The weights by the names that a network has for them: without what was put around or before these.

    DataParallel puts "module." somewhere into the names, torch.compile "_orig_mod.", Lightning "model." before them.

    Raises:
        InputError: where two sets of names fit.
    """
    if set(wanted) <= set(found.weights):
        return found
    file = Path(source).name
    weights, notes = found.weights, list(found.notes)
    bare = {name: ".".join(part for part in name.split(".") if part not in WRAPPERS) for name in weights}
    if len(set(bare.values())) == len(bare) and list(bare) != list(bare.values()):
        parts = [f"{part}." for part in WRAPPERS if any(part in name.split(".") for name in weights)]
        notes.append(f"In the names of {file}, {' and '.join(parts)} was taken off.")
        weights = {bare[name]: tensor for name, tensor in weights.items()}
    prefix = _prefix(weights, wanted, source)
    if prefix:
        notes.append(f"In the names of {file}, {shown(prefix)} was taken off.")
    inside = {name.removeprefix(prefix): weights[name] for name in weights if name.startswith(prefix)}
    others = sorted(name for name in weights if not name.startswith(prefix))
    if not prefix:
        others = sorted(COUNTERS & set(inside))
        inside = {name: tensor for name, tensor in inside.items() if name not in COUNTERS}
    if others:
        notes.append(f"Of {file}, {', '.join(map(shown, others[:3]))}{', …' * (len(others) > 3)} was left out.")
    return replace(found, weights=inside, notes=tuple(notes))


def _prefix(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor], source: str) -> str:
    """What stands before each wanted name in a file; "": nothing, or not before each."""
    first = next(iter(wanted), "")
    before = sorted(name.removesuffix(first) for name in weights if name == first or name.endswith(f".{first}"))
    whole = [prefix for prefix in before if all(prefix + name in weights for name in wanted)]
    if len(whole) > 1:
        raise InputError(
            f"{source}: expected one set of weights, found {len(whole)}, under {' and '.join(map(shown, whole))}; "
            "save the one that is meant by itself"
        )
    return next(iter(whole or before), "")


def shown(name: object) -> str:
    """A name from a file on one line, whatever it is."""
    text = str(name)
    return text if text.isprintable() and len(text) <= 80 else f"{text[:60]!r}…"


# Files


def _of_safetensors(path: Path) -> Weights:
    try:
        return load_safetensors(stored.content_of(path, WHAT, LARGEST))
    except SafetensorError as error:
        raise InputError(f"{path}: expected a whole safetensors file, found a damaged one ({error})") from error
    except KeyError as error:
        raise InputError(
            f"{path}: expected numbers of a type that torch has, found {error.args[0]}; save them as float32"
        ) from error


def _of_torch(path: Path, start: bytes) -> object:
    """What torch.save has put into a file."""
    if start.startswith(b"PK"):
        _refuse_archive(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises a dozen kinds for a damaged or hostile file
        needed = _needed(path, error)
        if needed and not any(name.startswith("torch.") for name in needed) and zipfile.is_zipfile(path):
            return _without_baggage(path, needed)
        raise InputError(f"{path}: {_cause(needed, error)}") from error


def _without_baggage(path: Path, names: Sequence[str]) -> object:
    """What torch.save has put into a file, with nothing in the place of what needs these classes and functions."""
    stand_ins: list[Any] = [(_Array if name.startswith("numpy.") else _Baggage, name) for name in names]
    try:
        with torch.serialization.safe_globals(stand_ins):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a class does that is not there
        raise InputError(f"{path}: {_cause(names, error)}") from error


def _refuse_archive(path: Path) -> None:
    """Look at the list of a zip archive before torch unpacks it.

    Raises:
        InputError: where it is damaged, is no archive of torch.save, or holds more than its own size.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise InputError(f"{path}: expected {WHAT}, found a damaged one, or one that is cut short") from error
    names = [member.filename for member in members]
    size, room = sum(member.file_size for member in members), path.stat().st_size
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        raise InputError(
            f"{path}: expected a state dict, found a TorchScript program, which holds code; name it as the whole "
            f"network (--model {path.name}), or save the weights of the model that it was made from: {SAVE}"
        )
    if size > room:  # torch.save compresses nothing
        raise InputError(
            f"{path}: expected {WHAT} as torch.save writes it, found one of {room:,} bytes that would unpack to "
            f"{size:,}; save it anew: {SAVE}"
        )
    if not any(name.endswith("data.pkl") for name in names):
        inside = ", ".join(map(shown, names[:3])) or "nothing"
        raise InputError(f"{path}: expected a state dict saved by torch.save, found an archive of {inside}; {SAVE}")


def _cause(needed: Sequence[str], error: Exception) -> str:
    """Why torch did not read a file: never in its own words, which may advise to run the file's code."""
    if needed:
        # Of a whole model the classes that are not torch's tell most.
        named = ", ".join(shown(name) for name in sorted(needed, key=lambda name: name.startswith("torch."))[:3])
        if any(name.startswith("torch.nn.") for name in needed):
            return (
                f"expected a state dict, found a whole model (torch.save(model)), which needs code to be read "
                f"({named}); save its weights alone: {SAVE}"
            )
        return (
            f"expected a state dict, found a file that needs code to be read ({named}); save the weights alone: {SAVE}"
        )
    return (
        "expected a state dict saved by torch.save, found a damaged file, one that is cut short, or one of another "
        f"program ({type(error).__name__})"
    )


def _needed(path: Path, error: Exception) -> list[str]:
    """The classes and functions that a file needs to be read, as far as they can be told without running anything."""
    if zipfile.is_zipfile(path):
        try:
            return list(torch.serialization.get_unsafe_globals_in_checkpoint(path))
        except Exception:  # noqa: BLE001 - of a damaged file, which is told all the same
            return []
    refused = re.findall(r"GLOBAL (\S+)", str(error))  # the first one, in an older file
    return [*refused, *re.findall(r"torch\.nn\.modules\.\w+", _start(path))] if refused else []


def _start(path: Path) -> str:
    """The first 64 KiB as text: the names of an older file's classes stand there as they are."""
    with path.open("rb") as file:
        return file.read(1 << 16).decode("latin-1")


def _epoch(said: object) -> int | None:
    """Which epoch a checkpoint was saved after, from 1: of programs that are known to count them from 0."""
    if not isinstance(said, Mapping):
        return None
    lightning = "pytorch-lightning_version" in said
    timm = {"arch", "state_dict", "version"} <= set(said)
    epoch = said.get("epoch")
    return epoch + 1 if (lightning or timm) and type(epoch) is int and 0 <= epoch < 10**9 else None


# State dicts


def _state_dict(said: object, path: Path, key: str) -> tuple[Mapping[str, Tensor], tuple[str, ...], str]:
    """The state dict itself, or the one that lies under one of the usual keys, or the only one that lies inside.

    Args:
        key: the one that is asked for; "": none.
    Returns:
        it, what readers should know of the choice, and its key.
    """
    if not isinstance(said, Mapping):
        raise InputError(
            f"{path}: expected a state dict (names and tensors), found {type(said).__name__}; save it with: {SAVE}"
        )
    if key:
        return _under(said, key, path), (), key
    if _is_state_dict(said):
        return said, (), ""
    inside = [key for key, value in said.items() if isinstance(value, Mapping) and _is_state_dict(value)]
    named = [key for key in KEYS if key in inside] or (inside if len(inside) == 1 else [])
    if named:
        others = [shown(each) for each in inside if each != named[0]]
        beside = f" The file holds others under {', '.join(others)}; weights_key chooses." if others else ""
        notes = (f"The weights are those under {shown(named[0])} in {path.name}.{beside}",) if beside else ()
        return said[named[0]], notes, str(named[0])
    if deeper := _places(said):
        which = " or ".join(f'"{shown(place)}"' for place in deeper[:3])
        raise InputError(
            f"{path}: expected a state dict (names and tensors), found {len(deeper)} inside; weights_key says which is "
            f"meant: {which}{', …' if len(deeper) > 3 else ''}"
        )
    raise InputError(f"{path}: {_stranger(said)}; save the weights alone: {SAVE}")


def _places(said: Mapping[Any, Any], within: str = "", depth: int = 4) -> list[str]:
    """Where state dicts lie in mappings of mappings, as `weights_key` names them; those of an optimiser are none."""
    found: list[str] = []
    for key, value in said.items():
        if isinstance(key, str) and isinstance(value, Mapping) and depth:
            place = f"{within}{key}"
            found += [place] if _is_state_dict(value) else _places(value, f"{place}.", depth - 1)
    return found


def _under(said: Mapping[Any, Any], key: str, path: Path) -> Mapping[str, Tensor]:
    """The state dict under a key, whose parts are divided by dots."""
    found: Any = said
    for part in [key] if key in said else key.split("."):
        if not isinstance(found, Mapping) or part not in found:
            held = ", ".join(shown(each) for each in list(found)[:6]) if isinstance(found, Mapping) else "no names"
            raise InputError(f"weights_key: expected a key of {path}, which holds {held}; got {key!r}")
        found = found[part]
    if not isinstance(found, Mapping) or not _is_state_dict(found):
        raise InputError(f"weights_key: expected weights under {key!r} in {path}, found something else")
    return found


def _is_state_dict(said: Mapping[Any, Any]) -> bool:
    return bool(said) and all(isinstance(key, str) and isinstance(value, Tensor) for key, value in said.items())


def _stranger(said: Mapping[Any, Any]) -> str:
    """What is not as it is in a state dict."""
    for key, value in said.items():
        if not isinstance(key, str):
            return f"expected names of tensors, found {type(key).__name__} {shown(key)} as a name"
        if not isinstance(value, Tensor):
            return f"expected a state dict (names and tensors), found {type(value).__name__} under {shown(key)}"
    return "expected a state dict (names and tensors), found no tensor"


def _dense(weights: Mapping[str, Tensor], path: Path) -> Weights:
    """Each tensor as float32 in memory of its own, or as the whole numbers that it has."""
    for name, tensor in weights.items():
        for kind in _kinds(tensor):
            raise InputError(
                f"{path}: {shown(name)}: expected a dense tensor of numbers, found {kind}; save it as dense float32"
            )
    numbers, room = sum(tensor.numel() for tensor in weights.values()), path.stat().st_size
    if numbers > room + SPARE:  # a number takes a byte at least
        name = max(weights, key=lambda name: weights[name].numel())
        raise InputError(
            f"{path}: {shown(name)}: expected as many numbers as the file has room for, found a shape of "
            f"{tuple(weights[name].shape)} in a file of {room:,} bytes; save it with: {SAVE}"
        )
    return {name: _plain(tensor, f"{path}: {shown(name)}") for name, tensor in weights.items()}


def _plain(tensor: Tensor, source: str) -> Tensor:
    whole = not tensor.is_floating_point()
    try:
        return tensor.detach().clone() if whole else tensor.detach().to(torch.float32, copy=True)
    except (RuntimeError, TypeError) as error:  # a type that torch can hold and not convert
        raise InputError(f"{source}: expected float32, found {_type(tensor)}, which cannot be converted") from error


def _kinds(tensor: Tensor) -> Iterator[str]:
    """What a tensor is that has no numbers of its own to be filled in."""
    if tensor.is_nested:
        yield "a nested one"
    elif tensor.layout != torch.strided:
        yield f"a sparse one ({str(tensor.layout).removeprefix('torch.')})"
    elif tensor.is_quantized:
        yield f"a quantised one ({_type(tensor)})"
    elif tensor.is_meta:
        yield "one without values (of the device meta)"
    elif tensor.is_complex():
        yield f"complex ones ({_type(tensor)})"


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
