"""Whether two say the same of a network: report.toml, its weights, the data set, the network that it goes on from.

Where they do not, one of them would be ignored in silence; so it is told in one line instead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from generator.base.errors import PROGRAM, InputError
from generator.config.schema import ModelConfig
from generator.data.classes import Classes
from generator.networks import foreign
from generator.networks.architecture import Architecture
from generator.networks.folder import Description


def require_classes(
    wanted: ModelConfig, names: Sequence[str], keys: tuple[str, ...], source: str, classes: Classes | None = None
) -> None:
    """Whether the outputs, as report.toml names them, are those that something else says.

    Args:
        names, keys: of the outputs in order, as it says them.
        source: what says so: "its weights in cnn.safetensors say".
        classes: the report's, whose names do as well.
    Raises:
        InputError: naming the first that differs.
    """
    if not wanted.classes:
        return
    key_of = dict(zip(classes.names, classes.keys, strict=True)) if classes else {}
    key_of |= {**dict(zip(names, keys, strict=True)), **{key: key for key in keys}}
    asked = tuple(key_of.get(entry, entry) for entry in wanted.classes)
    if asked == keys:
        return
    what = f"[models.{wanted.id}] classes: expected"
    if len(asked) != len(keys):
        raise InputError(f"{what} {len(keys)}, as {source}, got {len(asked)}; leave them out")
    at = next(place for place, pair in enumerate(zip(asked, keys, strict=True)) if pair[0] != pair[1])
    raise InputError(
        f"{what} {foreign.shown(names[at])} in place {at + 1}, as {source}, got {foreign.shown(wanted.classes[at])}; "
        "leave them out"
    )


def require_arguments(wanted: ModelConfig, architecture: Architecture, stored: Mapping[str, Any], source: str) -> None:
    """Whether the constructor's arguments, as report.toml names them, are those that weights were trained with.

    Args:
        stored: what the weights say, with the defaults of what the program's own architectures keep.
        source: the file of weights.
    Raises:
        InputError: naming the first that differs.
    """
    for name, value in wanted.arguments.items():
        if name not in stored and name in architecture.settings:  # of the training alone
            continue
        if name not in stored or _written(value) != _written(stored[name]):
            said = f"{name} = {_written(stored[name])}" if name in stored else f"no {name}"
            raise InputError(
                f"[models.{wanted.id}] arguments: expected {said}, as its weights in {source} say, got "
                f"{name} = {_written(value)}; leave it out, or train it again with: "
                f"{PROGRAM} train {wanted.id}"
            )


def require_same(start: Path, theirs: Description, ours: Description, architecture: Architecture) -> None:
    """Whether the network to go on from is of the same make, as far as no tensor's shape tells.

    Args:
        start: its folder; `theirs` is what its weights say.
        ours: what those of the new network will say.
    Raises:
        InputError: naming what differs.
    """
    if theirs.architecture != ours.architecture:
        raise InputError(f"{start}: expected {ours.architecture} to start from, found {theirs.architecture}")
    mine, found = ours.shape(architecture.stored), theirs.shape(architecture.stored)
    for name in sorted({*mine, *found} - {*architecture.settings, *architecture.trained_only}):
        pair = [_written(each.get(name, "nothing")) for each in (mine, found)]
        if pair[0] != pair[1]:
            raise InputError(
                f"{start}: expected weights of {name} = {pair[0]} to start from, found those of {pair[1]}; "
                "name the same arguments in report.toml"
            )


def _written(value: object) -> str:
    return json.dumps(value, sort_keys=True)
