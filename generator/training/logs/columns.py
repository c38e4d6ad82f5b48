"""Which column of a log is what: losses and accuracies of the training and the validation images, learning rate, time.

Told by the words in its name, however these are joined: "train_loss_epoch", "Loss/train", "valAcc",
"metrics/accuracy_top1".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

EPOCH = {"epoch", "epochs"}
COUNTING = {"num", "number", "no", "idx", "index", "current", "train", "training"}  # words beside that one
TRAIN = {"train", "training", "tr", "trn"}
VALIDATION = {"val", "valid", "validation", "validate", "eval", "evaluation", "dev", "holdout"}
TEST = {"test", "testing"}
LOSS = {"loss", "nll", "xent", "crossentropy"}
ACCURACY = {"acc", "accuracy", "acc1", "accuracy1", "top1", "prec1"}
ERROR = {"err", "error", "err1"}
RATE = {"lr"}
TIME = {"time", "seconds", "secs", "sec", "elapsed"}
# Words that say nothing of what a number is, so that a name with them is as good as one without.
NEUTRAL = {
    *("metrics", "metric", "avg", "average", "mean", "epoch", "total", "rate", "1", "top", "score"),
    *("categorical", "sparse", "binary", "multiclass", "cross", "entropy", "on", "the", "pct", "percent"),
}
EVERY_STEP = {"step", "batch", "iter", "iteration", "running"}  # of a part of an epoch
# Numbers of another kind: one with such a word is none of those that are looked for.
OTHER = {
    *("top5", "acc5", "5", "top3", "3", "balanced", "f1", "auc", "auroc", "recall", "class", "std", "var", "samples"),
    *("ema", "runtime", "per", "prec5", "best", "min", "max", "eta", "data", "wall", "momentum", "decay", "norm"),
}
FIELDS = {  # of records.training.Epoch, as the page says them
    "train_loss": "training loss",
    "train_accuracy": "training accuracy",
    "validation_loss": "validation loss",
    "validation_accuracy": "validation accuracy",
    "learning_rate": "learning rate",
    "seconds": "seconds",
}


@dataclass(frozen=True)
class Column:
    """A column of a log, and what it is."""

    name: str
    field: str  # of an epoch
    error: bool = False  # an error rate, the rest of an accuracy
    partial: bool = False  # of a step or a batch, not of an epoch


@dataclass(frozen=True)
class Chosen:
    """The column of each field that a log has, and what readers should know of the choice."""

    columns: Mapping[str, Column]
    notes: tuple[str, ...] = ()
    part: str = "validation"  # the images that are looked at after each epoch, as the log calls them: or "test"


def epoch_column(names: Sequence[str]) -> str:
    """The column that numbers the epochs; "" where there is none."""
    found = [name for name in names if (words := set(_words(name))) & EPOCH and words <= {*EPOCH, *COUNTING}]
    return min(found, key=lambda name: (len(_words(name)), names.index(name)), default="")


def choose(counts: Mapping[str, int]) -> Chosen:
    """What each field is read from.

    Args:
        counts: how many rows have a number in each column, in the order of the columns.
    """
    read = [found for name in counts if (found := _read(name))]
    parts = _parts(read)
    candidates: dict[str, list[_Read]] = {}
    for one in read:
        if one.kind in ("learning_rate", "seconds"):
            if one.part in ("", "train"):
                candidates.setdefault(one.kind, []).append(one)
        elif part := parts.get(one.part) if one.part else parts.get(f" {one.kind}"):
            candidates.setdefault(f"{part}_{one.kind}", []).append(one)
    columns, notes = {}, []
    for field in FIELDS:
        ranked = sorted(candidates.get(field, ()), key=lambda one: _rank(one, counts, candidates[field]))
        if not ranked:
            continue
        best = ranked[0]
        columns[field] = Column(best.name, field, best.error, best.partial)
        alike = len(ranked) > 1 and _rank(best, counts, ranked) == _rank(ranked[1], counts, ranked)
        if alike and field != "learning_rate":
            notes.append(f"Its {FIELDS[field]} may be {best.name} or {ranked[1].name}; the first is shown.")
    tested = "test" in parts and any(name.startswith("validation") for name in columns)
    if tested:
        notes.append("What it calls test is shown as validation here: images that were looked at after each epoch.")
    return Chosen(columns, tuple(notes), "test" if tested else "validation")


@dataclass(frozen=True)
class _Read:
    """A name as it was understood."""

    name: str
    kind: str  # "loss", "accuracy", "learning_rate", "seconds"
    part: str  # "train", "validation", "test"; "": it does not say
    unknown: int  # words that mean nothing here
    error: bool = False
    partial: bool = False


def _words(name: str) -> list[str]:
    """ "valAcc@1" -> ["val", "acc", "1"]"""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return re.findall(r"[a-z0-9]+", apart.lower())


def _read(name: str) -> _Read | None:
    """What a column is, None where it is none of those that are looked for."""
    words = _words(name)
    told = set(words)
    if told & OTHER:
        return None
    kind, own = _kind(told, words)
    if not kind:
        return None
    part = next((key for key, of in (("train", TRAIN), ("validation", VALIDATION), ("test", TEST)) if told & of), "")
    known = {*own, *TRAIN, *VALIDATION, *TEST, *NEUTRAL, *EVERY_STEP}
    unknown = len([word for word in words if word not in known])
    return _Read(name, kind, part, unknown, bool(told & ERROR) and kind == "accuracy", bool(told & EVERY_STEP))


def _kind(told: set[str], words: Sequence[str]) -> tuple[str, set[str]]:
    """The kind of a number, and the words that say so."""
    if told & RATE or {"learning", "rate"} <= told:
        return "learning_rate", {*RATE, "learning", *told}  # of whatever optimiser and group
    if told & LOSS or {"cross", "entropy"} <= told:
        return "loss", LOSS
    if told & ACCURACY or any(word.endswith("accuracy") for word in words):
        return "accuracy", {*ACCURACY, *(word for word in words if word.endswith("accuracy"))}
    if told & ERROR and not told & {"squared", "absolute"}:
        return "accuracy", ERROR
    if {"top", "1"} <= told:
        return "accuracy", {"top", "1"}
    if told & TIME and not told & VALIDATION:
        return "seconds", TIME
    return "", set()


def _parts(read: Sequence[_Read]) -> Mapping[str, str]:
    """The part of an epoch's record that each part of a name means, and " accuracy" or " loss" alone.

    Without a word a number is of the training, as Keras and Hugging Face have it; but where the losses of both parts
    have theirs and an accuracy has none, it is of the validation, as fastai and Ultralytics have it.
    """
    named = {(one.kind, one.part) for one in read}
    validated = "validation" if any(part == "validation" for _, part in named) else "test"
    parts = {"train": "train", validated: "validation"}
    for kind in ("accuracy", "loss"):
        other = "loss" if kind == "accuracy" else "accuracy"
        both = {(other, "train"), (other, validated)} <= named
        parts[f" {kind}"] = "validation" if both and (kind, validated) not in named else "train"
    return parts


def _rank(one: _Read, counts: Mapping[str, int], all_of: Sequence[_Read]) -> tuple[bool, bool, int, int, bool]:
    """The better a name says what is looked for, the lower: an epoch's, with numbers in most rows that have any."""
    most = max(counts[other.name] for other in all_of if other.partial == one.partial)
    sparse = 2 * counts[one.name] < most
    whole = "epoch" in _words(one.name)
    return sparse, one.error, int(one.partial) - int(whole), one.unknown, not one.part
