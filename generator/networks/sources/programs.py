"""A file that holds a whole network: a program of torch.export (.pt2), or of TorchScript.

A .pt2 is loaded only as `archives` has written it anew, as a graph of torch's own operators. TorchScript has no such
form: it is code, and is loaded where report.toml names it.
"""

from __future__ import annotations

import hashlib
import io
import logging
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from generator.base.errors import InputError
from generator.explain.passes import in_eval_mode
from generator.networks.outputs import as_logits
from generator.networks.sources import layers
from generator.networks.sources.archives import GRAPH, Refused, written_anew
from generator.records import stored
from generator.records.input import MEAN, STD, grey, square

WHAT = "a file of a whole network"
LARGEST = 4 << 30  # bytes of it
# Operators that do something else while training, and where they are told to.
_TRAINING = {"batch_norm": "training", "dropout": "train", "native_dropout": "train", "feature_dropout": "train"}

HOOKLESS = "the network is TorchScript (torch.jit), which has no hooks to look inside"
EXPORT = "torch.export.save(torch.export.export(model.eval(), (images,)), 'model.pt2')"


@dataclass(frozen=True)
class Program:
    """A whole network from a file."""

    network: nn.Module  # gives what it gives, of (N, C, H, W)
    shape: tuple[int | None, ...]  # (C, H, W) of what it was made for, None where it is not fixed; (): it does not say
    batch: int  # images that it takes at once; 0: any number
    opaque: str  # why nobody can look into it, as a clause; "": its layers run one by one
    sha256: str
    class_names: tuple[str, ...] = ()  # what its outputs stand for, where the file says so


def load(path: Path) -> Program:
    """A whole network from a file, told by its content.

    Raises:
        InputError: where it is missing, damaged, no whole network, or holds more than a graph of torch's operators.
    """
    data = stored.content_of(path, WHAT, LARGEST)
    members = _members(data, path)
    sha256 = hashlib.sha256(data).hexdigest()
    if any("/code/" in name or name.endswith("/constants.pkl") for name in members):
        return _of_torchscript(data, path, sha256)
    if any(name.endswith("/archive_format") for name in members):
        return _of_export(data, members, path, sha256)
    if "serialized_exported_program.json" in members:
        raise InputError(
            f"{path}: expected a program of torch 2.8 or newer, found an older one; save it anew: {EXPORT}"
        )
    raise InputError(
        f"{path}: expected a whole network of torch.export or TorchScript, found a file of torch.save; name what makes "
        "the network with --model (file.py:Name) and this file with --weights"
    )


def input_of(program: Program, file: str) -> dict[str, Any]:
    """What a program says of the images that it takes, as the fields `input` and `told` of an architecture."""
    way, told = square(64), {}
    channels, high, wide = program.shape or (None, None, None)
    if channels in (1, 3):  # of others nothing is usual: the user says the mean and std
        mean, std = (MEAN, STD) if channels == 3 else (grey(MEAN), grey(STD))
        way = replace(way, channels=channels, mean=mean, std=std)
        told["channels"] = ("read", file)
    if high and wide:
        way = replace(way, size=(high, wide))
        told["size"] = ("read", file)
    return {"input": way, "told": told}


def opaque(
    network: nn.Module, batch: int, sample: Tensor, classes: int, source: str, several: bool | None = None
) -> tuple[nn.Module, tuple[str, ...]]:
    """A network into which nobody looks, giving logits for any number of images.

    Args:
        batch: of `Program`.
        sample: (1, C, H, W), which it is tried with.
        classes: K.
        source: of the network, for a message.
        several: as of `as_logits`.
    Returns:
        it, and what was done, in a sentence each.
    """
    whole = _Opaque(network, batch)
    with in_eval_mode(whole), torch.no_grad():
        notes = as_logits(network, sample.expand(max(batch, 1), -1, -1, -1), classes, source, several)
        try:
            whole(torch.cat([sample, sample]))
        except Exception:  # noqa: BLE001 - whatever it raises: it takes one image, or another error is told later
            whole.batch = whole.batch or 1
    if whole.batch:
        notes = (*notes, f"It takes {whole.batch} image{'s' * (whole.batch > 1)} at once; batches are cut for it.")
    return whole, notes


class _Opaque(nn.Module):
    """A network whose steps cannot be looked at: cuts batches for it."""

    def __init__(self, network: nn.Module, batch: int) -> None:
        super().__init__()
        self.network, self.batch = network, batch

    def forward(self, images: Tensor) -> Tensor:
        given: Tensor = torch.cat([*self._parts(images)]) if self.batch else self.network(images)
        return given

    def _parts(self, images: Tensor) -> Iterator[Tensor]:
        for part in torch.split(images, self.batch):
            lacking = self.batch - len(part)
            full = torch.cat([part, part[-1:].expand(lacking, -1, -1, -1)]) if lacking else part
            yield self.network(full)[: len(part)]


# TorchScript


class Script(nn.Module):
    """A TorchScript program, whose own forward cannot be replaced."""

    def __init__(self, script: torch.jit.ScriptModule) -> None:
        super().__init__()
        self.script = script

    def forward(self, images: Tensor) -> Any:
        """What the program gives."""
        return self.script(images)


def _of_torchscript(data: bytes, path: Path, sha256: str) -> Program:
    with _quiet():
        try:
            script = torch.jit.load(io.BytesIO(data), map_location="cpu").float()  # type: ignore[no-untyped-call]
        except Exception as error:  # torch raises many kinds for a damaged file
            raise InputError(
                f"{path}: expected a TorchScript program that this torch can read, found a damaged one, or one of "
                f"operators that it does not have ({type(error).__name__})"
            ) from error
    return Program(Script(script), (), 0, HOOKLESS, sha256)


# torch.export


def _of_export(data: bytes, members: Mapping[str, int], path: Path, sha256: str) -> Program:
    """A program of torch.export, from its file written anew."""
    try:
        clean, description = written_anew(data, members)
        with _quiet():
            program = torch.export.load(io.BytesIO(clean))
            images = _images(program)
            network: nn.Module = torch.export.unflatten(program)
        trained = _training(description)
        _lighten(network)
        layers.restored(network)
        network.float()  # as images are, whatever it was exported with
    except Refused as error:
        raise InputError(
            f"{path}: expected a graph of torch's own operators, as torch.export.save writes it, found {error}; "
            f"save it with: {EXPORT}"
        ) from None
    except Exception as error:  # torch raises many kinds for a damaged file
        raise InputError(
            f"{path}: expected a program of torch.export that this torch can read, found a damaged one, or one of "
            f"another version ({type(error).__name__}: {_short(error)}); save it anew: {EXPORT}"
        ) from error
    if trained:
        raise InputError(
            f"{path}: expected a network in eval mode, its {trained} is in training mode; save it with: {EXPORT}"
        )
    if len(images) != 4:
        raise InputError(
            f"{path}: expected a network of images (N, C, H, W), it was exported for {len(images)} axes; export it "
            "with a batch of images"
        )
    batch, *shape = images
    reason = f"the program was exported for {batch} image{'s' * (batch != 1)} at once"
    return Program(network, tuple(shape), batch or 0, "" if batch is None else reason, sha256)


def _training(description: Any) -> str:
    """The operator of a graph that was exported while training; "" where there is none."""
    for node in description["graph_module"]["graph"]["nodes"]:
        word = _TRAINING.get(node["target"].split(".")[3] if node["target"].count(".") > 3 else "")
        for given in node["inputs"] if word else ():
            if given["name"] == word and given["arg"] == {"as_bool": True}:
                return "batch norm" if word == "training" else "dropout"
    return ""


def _lighten(network: Any) -> None:
    """Put a program into eval mode, without what was noted while it was exported, which can be neither copied nor used.

    Args:
        network: of torch.export.unflatten.
    """
    network.check_input_constraints = False  # by what was noted
    for module in network.modules():
        module.training = False
        for graph in (getattr(module, "graph", None), getattr(getattr(module, "graph_module", None), "graph", None)):
            for node in graph.nodes if graph is not None else ():
                node.meta = {}


def _images(program: torch.export.ExportedProgram) -> tuple[int | None, ...]:
    """The shape of the images that a program takes, None for an axis that is not fixed."""
    names = program.graph_signature.user_inputs
    if len(names) != 1:
        raise Refused(f"{len(names)} inputs where images alone are expected")
    node = next(node for node in program.graph.nodes if node.op == "placeholder" and node.name == names[0])
    return tuple(side if isinstance(side, int) else None for side in node.meta["val"].shape)


def _members(data: bytes, path: Path) -> dict[str, int]:
    """Name and size of each file in an archive, before anything is unpacked."""
    if not data:
        raise InputError(f"{path}: expected {WHAT}, found an empty file")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        raise InputError(
            f"{path}: expected a whole network of torch.export or TorchScript, found a damaged file, one that is cut "
            "short, or one of another program"
        ) from None
    if sum(info.file_size for info in infos) > len(data):  # torch compresses nothing but TorchScript's own text
        grown = [info for info in infos if info.compress_type != zipfile.ZIP_STORED]
        if any("/code/" not in info.filename for info in grown) or sum(info.file_size for info in grown) > GRAPH:
            raise InputError(
                f"{path}: expected {WHAT} as torch writes it, found one that would unpack to more than it has"
            )
    return {info.filename: info.file_size for info in infos}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch says of formats that are deprecated, and of a file that it cannot read: its error tells."""
    log = logging.getLogger("torch.export")
    before = log.disabled
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log.disabled = True
        try:
            yield
        finally:
            log.disabled = before


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
