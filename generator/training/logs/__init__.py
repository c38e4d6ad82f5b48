"""The logs of other training programs as runs of the report: curves from TensorBoard, Lightning, Keras, Hugging Face,
timm, Ultralytics, this program's history.json, and any table with a column of epochs. Numbers and text, no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from generator.base import terminal
from generator.base.errors import InputError
from generator.config.places import log_files
from generator.config.schema import ModelConfig
from generator.records import consistent, stored
from generator.records.training import Epoch, Log, Run
from generator.training.logs import epochs, events, folders, tables
from generator.training.logs.folders import Candidate
from generator.training.logs.logged import READ

__all__ = ["read", "told"]

LONGEST = 300  # letters of what is shown of a log


def read(
    wanted: ModelConfig,
    beside: Path,
    saved_after: int | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[Run, ...]:
    """The runs that the logs of a network tell of, in the order of report.toml; of a folder one, that of the newest.

    Args:
        wanted: what report.toml says of the network: its `logs`, and which epoch was `kept` of the last of them.
        beside: report.toml's folder, from which paths are told.
        saved_after: number of the epoch, from 1, after which its weights were saved, as far as they say it.
    Raises:
        InputError: where a file that was named cannot be read, a folder holds no log that can, or the kept epoch is in
            none.
    """
    found: list[Run] = []
    for number, path in enumerate(wanted.logs, start=1):
        last = number == len(wanted.logs)
        asked = wanted if last else replace(wanted, kept=None)
        found += _runs(path, asked, beside, saved_after if last else None, say)
    return tuple(found)


def told(run: Run) -> tuple[str, ...]:
    """How a run was read, a sentence each: from where, and which column as what; of the program's own only how long."""
    length = f"{len(run.epochs):,} epoch{'s' if len(run.epochs) > 1 else ''}"
    if run.log is None:
        return (f"its run {run.name} is on record: {length}",)
    read = ", ".join(f"{what}: {name}" for what, name in run.log.columns.items())
    kept = "" if run.kept is None else f"; the weights are of epoch {run.kept}"
    return (f"its training is read from {run.log.format} {run.log.path}: {length} ({read}){kept}", *run.log.notes)


def _runs(
    path: Path, wanted: ModelConfig, beside: Path, saved_after: int | None, say: Callable[[str], None]
) -> Sequence[Run]:
    if not path.is_dir():
        kind = folders.kind_of(path)
        return _read(Candidate(kind, path.parent, (("", path),)), wanted, beside, saved_after)
    files = log_files(path)
    if len(files) > folders.MOST:
        raise InputError(
            f"{path}: expected the folder of a training, with at most {folders.MOST:,} files that may be logs, found "
            f"{len(files):,}; name the log itself"
        )
    known = folders.candidates(path, files)
    for candidate in known:
        try:
            runs = _read(candidate, wanted, beside, saved_after)
        except InputError as error:
            if isinstance(error, EpochError):
                raise
            say(f"{error}; left out")
            continue
        if more := folders.others(known, candidate):
            say(
                f"{_shown(path, beside)}: {_shown(candidate.path, beside)} is read, the newest of its {more + 1} logs; "
                "name others in `logs` to show them"
            )
        return runs
    raise InputError(f"{path}: expected a log of a training in this folder, found none that can be read; known: {READ}")


class EpochError(InputError):
    """The epoch that report.toml says was kept is not in the log, which itself is whole."""


def _read(candidate: Candidate, wanted: ModelConfig, beside: Path, saved_after: int | None) -> Sequence[Run]:
    path = candidate.path
    if candidate.kind == "history.json" and _is_ours(path):
        runs = consistent.runs(path)
        if wanted.kept is None or not runs:
            return runs
        return (*runs[:-1], replace(runs[-1], kept=_kept(runs[-1], wanted, 1, None)))
    logged = events.read(candidate.files) if candidate.kind == "events" else tables.read(path)
    found = epochs.found(logged, str(path))
    shown = _shown(path, beside)
    columns = {what: _plain(name) for what, name in found.columns.items()}
    log = Log(shown, logged.format, columns, tuple(map(_plain, found.notes)), found.part)
    run = Run(shown, found.epochs, None, {}, {}, log=log)
    return (replace(run, kept=_kept(run, wanted, found.first, saved_after)),)


def _is_ours(path: Path) -> bool:
    """Whether a history.json is this program's: others, Keras's among them, are called so, too."""
    return b'"runs"' in stored.content_of(path, "a file of JSON", stored.LARGEST, first=64)


def _kept(run: Run, wanted: ModelConfig, first: int, saved_after: int | None) -> int | None:
    """Number of the epoch whose weights the network has."""
    numbers = [epoch.epoch for epoch in run.epochs]
    what = f"[models.{wanted.id}] kept"
    if wanted.kept is None:
        return saved_after if saved_after in numbers else None
    if wanted.kept == "last":
        return numbers[-1]
    if wanted.kept == "best":
        best: Epoch | None = run.best_epoch
        if best is None:
            raise EpochError(f'{what}: expected a log with the validation accuracy, of which "best" is, found none')
        return best.epoch
    if wanted.kept + 1 - first not in numbers:
        said = [number - 1 + first for number in (numbers[0], numbers[-1])]
        raise EpochError(
            f"{what}: expected one of the epochs that {run.name} tells of, {said[0]} to {said[1]}, got {wanted.kept}"
        )
    return wanted.kept + 1 - first


def _shown(path: Path, beside: Path) -> str:
    """A path as pages may show it: from report.toml's folder, or its last two names, without this machine's."""
    if path == beside:
        return _plain(path.name)
    if path.parent.parent == beside / folders.IN_MEMORY:
        return "log, in memory"
    inside = path.relative_to(beside) if path.is_relative_to(beside) else Path(*path.parts[-2:])
    return _plain(inside.as_posix())


def _plain(text: str) -> str:
    """A name from a file system or a log in one line of letters that a page can hold, and not too long for it."""
    shown = terminal.plain(text)
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}…"
