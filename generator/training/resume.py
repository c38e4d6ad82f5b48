"""The state of a training that was interrupted, kept so that the run goes on as if nothing had happened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from generator.base import files
from generator.base.errors import InputError
from generator.networks.folder import RESUME, Numbers, flat, read_tensors, write
from generator.records import stored
from generator.records.recipe import Recipe
from generator.training.fit import TrainingState


def save_state(folder: Path, state: TrainingState, key: Mapping[str, Any], side_run: str = "") -> None:
    """Write resume.safetensors: the whole state of a run after an epoch, and the settings it belongs to.

    A run on the side, such as "one batch", has a file of its own.
    """
    tensors = {
        f"{part}/{name}": tensor
        for part in ("weights", "average", "best", "moments")
        for name, tensor in getattr(state, part).items()
    }
    tensors |= {f"snapshots/{epoch}": tensor for epoch, tensor in state.snapshots.items()}
    numbers = {
        "epochs": [asdict(epoch) for epoch in state.epochs],
        "kept": state.kept,
        "steps": state.steps,
        "precision": state.precision,
        "complete": state.complete,
        "key": dict(key),
    }
    write(_resume_file(folder, side_run), save(flat(tensors), {"state": json.dumps(numbers)}))


def load_state(folder: Path, key: Mapping[str, Any], side_run: str = "") -> TrainingState | None:
    """The state of an interrupted run, None where there is none.

    Raises:
        InputError: where it belongs to a run with other settings.
    """
    path = _resume_file(folder, side_run)
    if not path.exists():
        return None
    tensors, metadata = read_tensors(path)
    advice = "train without --resume"
    if "state" not in metadata:
        raise InputError(f"{path}: expected the state of an interrupted run, found none; {advice}")
    numbers = stored.decode(Numbers, metadata["state"], f"{path}: its state", advice)
    found: dict[str, Any] = numbers.key
    try:
        state = _state(tensors, numbers)
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{path}: expected the tensors of an interrupted run, found others ({error}); {advice}"
        ) from error
    asked: dict[str, Any] = json.loads(json.dumps(dict(key)))
    # What a recipe did not have yet when the run began was as it is by default; the network was not told at all.
    untold = {name: asked[name] for name in ("architecture", "arguments", "input") if name in asked}
    found = json.loads(json.dumps(asdict(Recipe(epochs=0)))) | untold | found
    for name, value in asked.items():
        if found.get(name) != value:
            raise InputError(
                f"{path}: expected a run with {name} = {value}, found {found.get(name)}; "
                "give the same settings, or train without --resume"
            )
    return state


def drop_state(folder: Path, side_run: str = "") -> None:
    """Remove the resume file of a run that has ended, and what processes killed while writing it left behind."""
    path = _resume_file(folder, side_run)
    path.unlink(missing_ok=True)
    for left in files.unfinished(path):
        left.unlink(missing_ok=True)


def _resume_file(folder: Path, side_run: str) -> Path:
    return folder / (f"resume-{side_run.replace(' ', '-')}.safetensors" if side_run else RESUME)


def _state(tensors: Mapping[str, Tensor], numbers: Numbers) -> TrainingState:
    """What `save_state` wrote, from the tensors and the numbers of the file."""
    parts: dict[str, dict[str, Tensor]] = {"weights": {}, "average": {}, "best": {}, "moments": {}, "snapshots": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition("/")
        parts[part][rest] = tensor
    snapshots = {int(epoch): tensor for epoch, tensor in parts.pop("snapshots").items()}
    return TrainingState(
        **parts,
        snapshots=snapshots,
        epochs=list(numbers.epochs),
        kept=numbers.kept,
        steps=numbers.steps,
        precision=numbers.precision,
        complete=numbers.complete,
    )
