"""A log's rows as the epochs of a training: which row is of which epoch, and what is said of each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from generator.base.errors import InputError
from generator.records.training import Epoch
from generator.training.logs.columns import FIELDS, Chosen, Column, choose, epoch_column
from generator.training.logs.logged import PERCENT, Logged

MOST = 10_000  # epochs
LARGEST = 1e7  # number of an epoch
DAY = 86_400.0  # seconds; a first epoch that took more than a thousand of them is a date
CLOSE = 1e-3  # Hugging Face rounds the share of an epoch that is done
BEYOND = 1e-6  # of 1, by rounding

Row = Mapping[str, float]


@dataclass(frozen=True)
class Found:
    """The epochs of a log, numbered from 1."""

    epochs: tuple[Epoch, ...]
    first: int  # what the log calls epoch 1: 0 or 1
    columns: Mapping[str, str]  # what was read -> its name in the log, and how it was read
    notes: tuple[str, ...]
    part: str  # the images that its validation numbers are of: "validation", or "test"


def found(logged: Logged, source: str) -> Found:
    """The epochs of a log.

    Args:
        source: for messages: the log's path.
    Raises:
        InputError: where it numbers no epochs, or has no losses, accuracies or learning rates.
    """
    notes = list(logged.notes)
    counts = {name: sum(name in row for row in logged.rows) for name in logged.names}
    chosen = choose(counts)
    if not chosen.columns:
        raise InputError(f"{source}: expected losses or accuracies by epoch, found {_listed(logged.names)}")
    notes += chosen.notes
    numbers, first = _numbers(logged, chosen, source, notes)
    rows: dict[int, list[Row]] = {}
    for number, row in zip(numbers, logged.rows, strict=True):
        if number is not None:
            rows.setdefault(number, []).append(row)
    if len(rows) > MOST:
        raise InputError(f"{source}: expected at most {MOST:,} epochs, found {len(rows):,}")
    values, columns = _values(rows, logged, chosen, notes)
    epochs = tuple(
        _epoch(number, {field: of[number] for field, of in values.items() if number in of})
        for number in sorted(rows)
        if any(number in of for of in values.values())
    )
    if not epochs:
        raise InputError(f"{source}: expected losses or accuracies by epoch, found no number in any of them")
    return Found(epochs, first, columns, tuple(dict.fromkeys(notes)), chosen.part)


def _listed(names: Sequence[str]) -> str:
    shown = [f"{name[:40]!r}" for name in names[:6]]
    return f"the columns {', '.join(shown)}{', …' * (len(names) > 6)}" if names else "no numbers"


# Which row is of which epoch


def _numbers(logged: Logged, chosen: Chosen, source: str, notes: list[str]) -> tuple[list[int | None], int]:
    """The epoch of each row, from 1, None for one that is of none; and what the log calls epoch 1."""
    column = epoch_column(logged.names)
    if not column and not logged.steps:
        raise InputError(f"{source}: expected a column epoch, found {_listed(logged.names)}")
    if not column:
        return _by_steps(logged, chosen, notes)
    said = _filled([row.get(column) for row in logged.rows])
    known = [value for value in said if value is not None]
    if not known:
        raise InputError(f"{source}: expected numbers in its column {column[:40]!r}, found none")
    if min(known) < 0 or max(known) > LARGEST:
        raise InputError(f"{source}: expected epochs from 0 to {LARGEST:,.0f}, found {min(known):g} to {max(known):g}")
    if any(value != int(value) for value in known):  # the share of the training that is done
        whole = [None if value is None else max(1, math.ceil(value - CLOSE)) for value in said]
        return _without_earlier(whole, notes), 1
    first = 0 if min(known) == 0 else 1
    counted = [None if value is None else int(value) + 1 - first for value in said]
    return _without_earlier(counted, notes), first


def _filled(said: Sequence[float | None]) -> list[float | None]:
    """Each row's epoch: of one that has none that of the next which has, as Lightning's learning rates are written."""
    found: list[float | None] = []
    after: float | None = None
    for value in reversed(said):
        after = after if value is None or math.isnan(value) else value
        found.append(after)
    last = next((value for value in found if value is not None), None)
    return [last if value is None else value for value in reversed(found)]


def _without_earlier(numbers: Sequence[int | None], notes: list[str]) -> list[int | None]:
    """Without what was logged of epochs that were begun again later, as after a crash."""
    known = [number for number in numbers if number is not None]
    again = any(after < before for before, after in pairwise(known))
    if not again or len(set(known)) == len(known):
        return list(numbers)
    kept: list[int | None] = []
    after, limit = math.inf, math.inf
    # From the end: where a later row is of an earlier epoch, all before it that is of that epoch or a later one is old.
    for number in reversed(numbers):
        if number is not None:
            limit = min(limit, after) if number > after else limit
            after = number
        kept.append(number if number is not None and number < limit else None)
    notes.append("It begins again at an earlier epoch; what it said before of the epochs from there on is left out.")
    return kept[::-1]


def _by_steps(logged: Logged, chosen: Chosen, notes: list[str]) -> tuple[list[int | None], int]:
    """TensorBoard knows steps alone: they are epochs where they follow each other, else each validation ends one."""
    measured = [field for field in FIELDS if field in chosen.columns]
    marking = next((field for field in reversed(measured) if field.startswith("validation")), measured[0])
    marks = [step for step, row in zip(logged.steps, logged.rows, strict=True) if chosen.columns[marking].name in row]
    if all(after == before + 1 for before, after in pairwise(marks)) and marks[0] in (0, 1):
        first = marks[0]
        numbers = [step + 1 - first if marks[0] <= step <= marks[-1] else None for step in logged.steps]
        beyond = {name for number, row in zip(numbers, logged.rows, strict=True) if number is None for name in row}
        for field, column in chosen.columns.items():
            if column.name in beyond:
                notes.append(f"{column.name} goes on beyond these epochs, so that its {FIELDS[field]} may be of steps.")
        return numbers, first
    notes.append("It numbers no epochs: each measurement on the validation images counts as the end of one.")
    place = {mark: number for number, mark in enumerate(marks, start=1)}
    found: list[int | None] = []
    following: int | None = None
    for step in reversed(logged.steps):
        following = place.get(step, following)
        found.append(following)
    return found[::-1], 1


# What is said of each


def _values(
    rows: Mapping[int, Sequence[Row]], logged: Logged, chosen: Chosen, notes: list[str]
) -> tuple[dict[str, dict[int, float]], dict[str, str]]:
    """The value of each field in each epoch, and what it was read from."""
    values: dict[str, dict[int, float]] = {}
    columns: dict[str, str] = {}
    for field, column in chosen.columns.items():
        found, how = _of_column(rows, column, notes)
        if field.endswith("accuracy"):
            found, scale = _shares(found, column, logged.percent, notes)
            how += scale
        elif field == "seconds":
            found, scale = _durations(found)
            how += scale
        elif field == "learning_rate":
            found = {number: value for number, value in found.items() if value >= 0}
        if found:
            values[field] = found
            columns[FIELDS[field]] = f"{column.name} ({', '.join(how)})" if how else column.name
    return values, columns


def _of_column(
    rows: Mapping[int, Sequence[Row]], column: Column, notes: list[str]
) -> tuple[dict[int, float], list[str]]:
    """A column's number in each epoch: of several that of the training is their mean, any other the last."""
    mean = column.field in ("train_loss", "train_accuracy")
    found, several, broken = {}, False, 0
    for number, entries in rows.items():
        said = [row[column.name] for row in entries if column.name in row]
        known = [value for value in said if not math.isnan(value)]
        several |= len(known) > 1
        broken += bool(said) and not known
        if known:
            found[number] = sum(known) / len(known) if mean else known[-1]
    if broken:
        notes.append(f"In {broken:,} of its epochs {column.name} is no number.")
    how = [("the mean of" if mean else "the last of") + " an epoch's rows"] if several else []
    return found, how


def _shares(
    found: dict[int, float], column: Column, percent: frozenset[str], notes: list[str]
) -> tuple[dict[int, float], list[str]]:
    """Accuracies as shares of 1, from whatever they are in."""
    if not found:
        return found, []
    name = column.name.lower()
    said = column.name in percent or any(word in name for word in PERCENT) or name == "eval_top1"  # timm's
    in_percent = said or max(found.values()) > 1 + BEYOND
    shares = {number: value / 100 if in_percent else value for number, value in found.items()}
    if column.error:
        shares = {number: 1 - value for number, value in shares.items()}
    if any(not -BEYOND <= value <= 1 + BEYOND for value in shares.values()):
        notes.append(f"{column.name} is left out: its numbers are neither shares nor percentages of the images.")
        return {}, []
    how = ["in percent"] if in_percent else []
    return {number: min(max(value, 0.0), 1.0) for number, value in shares.items()}, how + ["of errors"] * column.error


def _durations(found: dict[int, float]) -> tuple[dict[int, float], list[str]]:
    """Seconds of each epoch, from those or from the time since the training began."""
    order = sorted(found)
    times = [found[number] for number in order]
    if not times or min(times) < 0 or times[0] > 1000 * DAY:
        return {}, []
    summed = (
        len(times) > 2
        and all(after > before for before, after in pairwise(times))
        and times[-1] > (len(times) + 1) / 2 * times[0]
    )
    if not summed:
        return found, []
    each = [times[0], *(after - before for before, after in pairwise(times))]
    return dict(zip(order, each, strict=True)), ["since the beginning"]


def _epoch(number: int, said: Mapping[str, float]) -> Epoch:
    return Epoch(
        epoch=number,
        train_loss=said.get("train_loss"),
        train_accuracy=said.get("train_accuracy"),
        validation_loss=said.get("validation_loss"),
        validation_accuracy=said.get("validation_accuracy"),
        learning_rate=said.get("learning_rate"),
        seconds=said.get("seconds"),
        image_size=None,
    )
