"""What a network answers to a part, a piece of images at a time, each piece kept on disk as soon as it is there.

So an evaluation that was killed goes on where it was, with any number of processes, which share the pieces. What is
kept of an image is small, see `scores.Judged`; its logits are kept only where a temperature is fitted on them.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray

from generator.base import terminal
from generator.base.code import code
from generator.base.digest import digest
from generator.base.errors import InputError, reason
from generator.base.files import replacing
from generator.data.dataset import DataSet, Item
from generator.evaluation.answers import of_part
from generator.evaluation.scores import PIECE, Judged, confidence_at, fit_temperature, joined, kept_of
from generator.networks.loaded import Loaded
from generator.records.images import Arrays, Floats
from generator.training import parallel

HELD = 1 << 28  # bytes of logits that stay in memory for the fit of a temperature; the rest is read again each time
START = ".answers-"  # of the name of a folder with pieces
FORGOTTEN = 24 * 3600.0  # seconds after which nobody goes on with an evaluation of something else
LOGITS, WHOLE = "logits", "whole"
BAR = "{}, {}"  # what the answers to a part are called meanwhile
DAMAGE = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Task:
    """What all parts of one evaluation share."""

    loaded: Loaded
    data: DataSet
    columns: Sequence[int]  # the network's output for each of the data set's classes
    mirrored: bool
    folder: Path


@contextmanager
def kept(loaded: Loaded, *said: object) -> Iterator[Path]:
    """A folder for the pieces of one evaluation, where those of the same one lie that was killed; then it goes.

    Args:
        said: what the answers depend on beside the network, the program and its libraries.
    Raises:
        InputError: where none can be made.
    """
    if loaded.evaluated is None:
        with tempfile.TemporaryDirectory(prefix="answers-") as passing:
            yield Path(passing)
        return
    made_by = code(__name__), torch.__version__, np.__version__, loaded.device.type
    key = digest(loaded.digest, asdict(loaded.input), made_by, said)[:16]
    folder = loaded.evaluated / f"{START}{key}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
    for other in loaded.evaluated.glob(f"{START}*"):
        with suppress(OSError):  # it is gone
            if time.time() - other.stat().st_mtime > FORGOTTEN:
                shutil.rmtree(other, ignore_errors=True)


def answered(
    task: Task, part: str, items: Sequence[Item], temperature: float | None
) -> tuple[Judged, NDArray[np.bool_] | None, float]:
    """What a network gets right of a part, by all processes together.

    Args:
        temperature: of the scaled confidence; None: it is fitted on these images.
    Returns:
        what is kept of the images, in their order; which answers are right where outputs compete that are no class of
        the data set, None: there are none; and the temperature.
    Raises:
        InputError: as `answers.of_part`, and where pieces cannot be kept.
    """
    starts = range(0, len(items), PIECE)
    own = list(enumerate(starts))[parallel.rank() :: parallel.world()]
    files = {number: task.folder / f"{part}-{number:06}.npz" for number, _ in own}
    pieces: dict[int, Arrays] = {}
    count = sum(len(items[start : start + PIECE]) for _, start in own)
    before = 0
    with terminal.bar(BAR.format(task.loaded.title, part), (1 + task.mirrored) * count, "images") as bar:
        for number, start in own:
            asked = items[start : start + PIECE]
            known = _read(files[number])
            if known is None:
                known = _answers(task, asked, temperature, bar)
                _write(files[number], known)
            else:
                before += len(asked)
                bar.advance((1 + task.mirrored) * len(asked))
            pieces[number] = {name: each for name, each in known.items() if name != LOGITS}
    if before:
        terminal.say(f"{task.loaded.title}, {part}: {before:,} of {count:,} images were answered before")
    if temperature is None:
        logits = _Logits(list(files.values()))
        targets = np.array([item.target for _, start in own for item in items[start : start + PIECE]], np.int64)
        temperature = fit_temperature(logits, targets, lambda value: sum(parallel.each(value)))
        for number, found in zip(files, logits, strict=True):
            pieces[number] = {**pieces[number], "scaled": confidence_at(found, temperature)}
    every = {number: piece for found in parallel.each(pieces) for number, piece in found.items()}
    ordered = [every[number] for number in range(len(starts))]
    whole = [piece[WHOLE] for piece in ordered if WHOLE in piece]
    return _judged(ordered), np.concatenate(whole) if whole else None, temperature


def _answers(task: Task, items: Sequence[Item], temperature: float | None, bar: terminal.Bar) -> Arrays:
    """The answers to a piece, as what is kept of it."""
    found, mirrored = of_part(task.loaded, task.data, items, mirrored=task.mirrored, on_batch=bar.advance)
    targets = np.array([item.target for item in items], np.int64)
    columns = list(task.columns)
    logits, turned = found[:, columns], None if mirrored is None else mirrored[:, columns]
    judged = kept_of(logits, turned, targets, temperature or 1.0, apart=task.loaded.multi_label)
    arrays: dict[str, NDArray[Any]] = {
        field.name: value for field in fields(Judged) if (value := getattr(judged, field.name)) is not None
    }
    if len(columns) < found.shape[1]:
        arrays[WHOLE] = found.argmax(1) == np.array(columns)[targets]
    return arrays if temperature is not None else {**arrays, LOGITS: logits}


def _judged(pieces: Sequence[Arrays]) -> Judged:
    names = [field.name for field in fields(Judged)]
    return joined([Judged(**{name: piece[name] for name in names if name in piece}) for piece in pieces])


class _Logits(Sequence[Floats]):
    """The logits of pieces, those beyond `HELD` bytes read when they are asked for."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files, self.held = files, list[Floats]()
        room = HELD
        for file in files:
            found = self._read(file)
            room -= found.nbytes
            if room < 0:
                break
            self.held.append(found)

    def __len__(self) -> int:
        return len(self.files)

    @overload
    def __getitem__(self, index: int) -> Floats: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Floats]: ...

    def __getitem__(self, index: int | slice) -> Floats | Sequence[Floats]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        return self.held[index] if index < len(self.held) else self._read(self.files[index])

    def _read(self, file: Path) -> Floats:
        found = _read(file, (LOGITS,))
        if found is None:
            raise InputError(f"{file}: expected the answers that were kept there, they are gone; evaluate once more")
        return found[LOGITS]


def _read(file: Path, names: Sequence[str] = ()) -> Arrays | None:
    """What `_write` wrote, but for the logits where none are named; None where it is missing or damaged."""
    try:
        with np.load(file, allow_pickle=False) as found:
            return {name: found[name] for name in names or [name for name in found.files if name != LOGITS]}
    except DAMAGE:
        return None


def _write(file: Path, arrays: Arrays) -> None:
    named: dict[str, Any] = {**arrays}
    try:
        with replacing(file) as aside, aside.open("xb") as opened:
            np.savez(opened, **named)
    except OSError as error:
        raise _unwritable(file.parent, error) from error


def _unwritable(folder: Path, error: OSError) -> InputError:
    return InputError(
        f"{folder}: expected a folder to keep answers in while they come, could not write there {reason(error)}"
    )
