"""The answers of a network that is not here itself: rows of a file, brought to the images of a data set by their paths.

Whatever could make them another network's answers, or those to other images, is refused: a row too few or too many, a
class without a column, a label that is not the image's.
"""

from __future__ import annotations

import math
import posixpath
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from generator.base.digest import of_file
from generator.base.errors import InputError
from generator.config.schema import ModelConfig
from generator.data import prediction_files
from generator.data.classes import Classes
from generator.data.dataset import DataSet, Part
from generator.data.naming import some
from generator.data.orders import CERTAIN, other_order
from generator.data.prediction_files import Answered
from generator.records.images import Floats
from generator.records.network import CLASSES, Fact, first_classes

Place = tuple[str, int]  # the name of a part, and which of its images
ORDER = "The order of its outputs was not declared: they are taken to be the report's classes in its order."
ALONE = "Only its answers are known, so that no filters, feature maps or heat maps of it can be shown."


@dataclass(frozen=True)
class Predictions:
    """What a network answered to all images of some parts of a data set, the one that judges among them."""

    wanted: ModelConfig  # what report.toml says of it
    logits: Mapping[
        str, Floats
    ]  # by part (N, K): a row an image, in the part's order; a column a class of the data set
    digest: str  # sha256 of the file
    facts: tuple[Fact, ...]  # how it was read
    notes: tuple[str, ...]  # what readers should know

    @property
    def title(self) -> str:
        """As the pages name the network."""
        return self.wanted.title or self.wanted.id

    @property
    def source(self) -> str:
        """One sentence: where the answers come from."""
        count = sum(map(len, self.logits.values()))
        return f"It was run elsewhere: its answers to {count:,} images are in {_file(self.wanted).name}."


def read(wanted: ModelConfig, data: DataSet | None) -> Predictions:
    """The answers in the file that report.toml names.

    Args:
        data: looked through, see `decoded.whole`.
    Raises:
        InputError: without a data set; for what is wrong in the file; where its rows are not those of whole parts of
            the data set, or its columns not the classes; where its labels are others than the data set's.
    """
    file = _file(wanted)
    if data is None or data.judged is None:
        raise InputError(
            f"[models.{wanted.id}] predictions: expected the data set whose images {file.name} is about, there is none "
            "here; give it with --data DIR or [data] root"
        )
    known = {*data.classes.names, *data.classes.keys, *wanted.classes}
    rows = prediction_files.read(file, known)
    outputs, of_classes, notes = _outputs(rows, wanted, data.classes)
    target_of = _Names(data.classes, outputs)
    chosen = _columns(rows, wanted, data.classes, outputs, target_of)
    places, dropped, of_images, assumed = _places(rows, data)
    parts = _whole_parts(rows, data, places)
    labels = _labels(rows, data, places, target_of, wanted)
    _require_answers(rows, wanted, target_of, chosen)
    by_part = {part.name: np.empty(len(part), np.int64) for part in parts}
    for row, place in enumerate(places):
        if place is not None:
            by_part[place[0]][place[1]] = row
    values = "probabilities, for every row sums to 1" if rows.kind == "probabilities" else "logits"
    if rows.zeros:
        values += (
            f"; {rows.zeros:,} of them, being 0, count as the least above it, at most {np.finfo(np.float32).eps:.1g}"
        )
    if len(outputs) > len(chosen):
        left = len(outputs) - len(chosen)
        more = f"{left:,} more {'class' if left == 1 else 'classes'}"
        notes = (*notes, f"Its scores for {more}, which the data set does not have, are left out.")
    if dropped:
        notes = (*notes, f"{dropped:,} of its answers are to images that cannot be read here, and are left out.")
    logits = {name: _arranged(rows.logits, order, chosen) for name, order in by_part.items()}
    named = tuple(data.classes.names)
    assumed = (*assumed, *_doubts(logits[data.judged.name], data.judged, named, (of_classes, of_images)))
    return Predictions(
        wanted=wanted,
        logits=logits,
        digest=of_file(file),
        facts=(
            Fact("predictions", f"{len(rows):,} rows in {file.name}", "declared", wanted.said_in),
            Fact("scores", values, "measured", file.name),
            of_classes,
            of_images,
            labels,
        ),
        notes=(*notes, *assumed, ALONE),
    )


def _arranged(logits: Floats, order: NDArray[np.int64], chosen: Sequence[int]) -> Floats:
    """Rows of the scores in another order, and some of their columns; a block of them is in memory at once."""
    if np.array_equal(order, np.arange(len(logits))) and [*chosen] == [*range(logits.shape[1])]:
        return logits
    found = prediction_files.room((len(order), len(chosen)))
    step = max(1, prediction_files.BLOCK // logits.shape[1])
    for start in range(0, len(order), step):
        found[start : start + step] = logits[order[start : start + step]][:, chosen]
    return found


def _doubts(logits: Floats, part: Part, names: Sequence[str], facts: Sequence[Fact]) -> tuple[str, ...]:
    """What is said where answers fit other classes, or those whose order was assumed are hardly ever right.

    Args:
        names: of the classes, in the order of the columns of `logits`.
        facts: from where the order of the classes and of the images is known.
    """
    answers, targets = logits.argmax(1), np.array([item.target for item in part.items])
    right = float((answers == targets).mean())
    found = other_order(answers, targets, len(names))
    if found and found.better:
        meant = some([f"“{names[at]}” stands for “{names[to]}”" for at, to in enumerate(found.meant) if at != to])
        seems = "Its columns seem to stand for the classes in another order: it names"
        than = f"{found.right.mean():.1%} of every other one if {meant}."
        return (f"{seems} {right:.1%} of the {part.name} images rightly, and {than}",)
    chance = 1 / len(names)
    least = chance + CERTAIN * math.sqrt(chance * (1 - chance) / len(part))
    if "assumed" not in {fact.origin for fact in facts} or least >= 1 or right > least:
        return ()
    rightly = f"It names {right:.1%} of the {part.name} images rightly, as guessing could"
    return (f"{rightly}: are its rows and columns in the order that they are taken to be in?",)


def _file(wanted: ModelConfig) -> Path:
    assert wanted.predictions is not None
    return wanted.predictions


# Classes


class _Names:
    """Which class of the data set a word means: by its key, its name, or the number of an output."""

    def __init__(self, classes: Classes, outputs: Sequence[str]) -> None:
        self.outputs = outputs
        self.exact = dict(zip((*classes.names, *classes.keys), 2 * [*range(len(classes))], strict=True))
        alike: dict[str, set[int]] = {}
        for target, name in enumerate(classes.names):
            alike.setdefault(name.casefold(), set()).add(target)
        self.alike = {name: min(targets) for name, targets in alike.items() if len(targets) == 1}

    def __getitem__(self, word: str) -> int | None:
        """The index of the class, None where the word means none."""
        found = self.exact.get(word)
        return self.alike.get(word.casefold()) if found is None else found

    def meant(self, word: str) -> int | None:
        """The same, for a word that may also be the number of an output, from 0 on."""
        found = self[word]
        if found is None and word.removesuffix(".0").isdecimal() and len(word) < 9:
            number = int(word.removesuffix(".0"))
            return self[self.outputs[number]] if number < len(self.outputs) else None
        return found


def _outputs(rows: Answered, wanted: ModelConfig, classes: Classes) -> tuple[tuple[str, ...], Fact, tuple[str, ...]]:
    """What the columns stand for, from where that is known, and what readers should know of it."""
    columns, count = rows.columns, rows.logits.shape[1]
    named = _Names(classes, ())
    unnamed = not columns or not any(named[name] is not None or name in wanted.classes for name in columns)
    numbers = [*map(str, range(count))]
    if wanted.classes and unnamed:
        if len(wanted.classes) != count:
            raise InputError(
                f"[models.{wanted.id}] classes: expected a class for each of the {count:,} scores of a row in "
                f"{rows.file.name}, got {len(wanted.classes):,}"
            )
        names = wanted.classes
        if columns and sorted(columns) == sorted(numbers):  # which may stand in another order
            names = tuple(wanted.classes[int(name)] for name in columns)
        return names, _named(names, "declared", wanted.said_in), ()
    if wanted.classes and set(columns) != set(wanted.classes):
        other = next(name for name in (*columns, *wanted.classes) if (name in columns) != (name in wanted.classes))
        raise InputError(
            f"[models.{wanted.id}] classes: expected the columns of {rows.file.name} in any order, they differ in "
            f"{other[:60]!r}; leave the key out, for the columns have names"
        )
    if columns and not (unnamed and sorted(columns) == sorted(numbers)):
        return columns, _named(columns, "read", f"the columns of {rows.file.name}"), ()
    if count != len(classes):
        raise InputError(
            f"{rows.file}: expected a score for each of the {len(classes):,} classes of the data set, got {count:,} a "
            f"row; where they stand for others, [models.{wanted.id}] classes says for which, in their order"
        )
    names = tuple(classes.names[int(name)] for name in columns) if columns else classes.names
    return names, _named(names, "assumed", "the data set's classes in its order"), (ORDER,)


def _named(names: Sequence[str], origin: Literal["declared", "read", "assumed"], source: str) -> Fact:
    return Fact(CLASSES, first_classes(names), origin, source)


def _columns(
    rows: Answered, wanted: ModelConfig, classes: Classes, outputs: Sequence[str], target_of: _Names
) -> list[int]:
    """The column of each class of the data set, in their order."""
    found: dict[int, int] = {}
    for column, name in enumerate(outputs):
        target = target_of[name]
        if target is None and not wanted.classes:
            raise InputError(
                f"{rows.file}: expected columns of images, labels, and the data set's {len(classes):,} classes "
                f"({some(classes.names, 3)}), found {name[:60]!r}; leave it out"
            )
        if target is not None and found.setdefault(target, column) != column:
            both = f"{outputs[found[target]]} and {name}"
            raise InputError(f"{rows.file}: expected one column for {classes.names[target]}, found {both}")
    if lacking := [name for target, name in enumerate(classes.names) if target not in found]:
        raise InputError(
            f"{rows.file}: expected a column of scores for each class of the data set, it has none for "
            f"{some(lacking, 3)}; where its columns are called otherwise, [models.{wanted.id}] classes names them in "
            "their order"
        )
    return [found[target] for target in range(len(classes))]


def _require_answers(rows: Answered, wanted: ModelConfig, target_of: _Names, chosen: Sequence[int]) -> None:
    """Where the file tells the answer in words, too, it is the class with the highest score."""
    if rows.predicted is None:
        return
    best = rows.logits.max(1)
    for row, word in enumerate(rows.predicted):
        target = target_of.meant(word)
        if target is None and wanted.classes:  # a class that the data set does not have
            continue
        if target is None or rows.logits[row, chosen[target]] < best[row]:
            raise InputError(
                f"{rows.place(row)}: expected the class with the highest score as the answer, got {word[:60]!r}; are "
                "the columns in the order of their names?"
            )


# Images


def _places(rows: Answered, data: DataSet) -> tuple[list[Place | None], int, Fact, tuple[str, ...]]:
    """Which image each row is about, None for one that cannot be read here; how many these are; how that is known."""
    assert data.judged is not None
    held = all(item.held for part in data.parts for item in part.items)
    if held:
        return _numbered(rows, data.judged)
    if rows.images is None:
        raise InputError(
            f"{rows.file}: expected {'a column' if rows.lines else 'an array'} of the images' files "
            f"({'file' if rows.lines else 'files'}), found none; without it nothing tells which image a row is about"
        )
    known = _Paths(data)
    places: list[Place | None] = []
    first: dict[Place, int] = {}
    dropped = 0
    for row, path in enumerate(rows.images):
        found = known.find(path)
        if found == []:
            mend = f"; its images are called as {data.judged.items[0].name}"
            raise InputError(f"{rows.place(row)}: expected an image of {data.root}, got {path[:200]!r}{mend}")
        if len(found) > 1:
            names = " or ".join(known.names[one] for one in found[:2])
            raise InputError(
                f"{rows.place(row)}: expected a path that tells one image of {data.root}, {path[:200]!r} may be {names}"
            )
        place = found[0]
        if place in known.unread:
            dropped += 1
            places.append(None)
            continue
        if (other := first.setdefault(place, row)) != row:
            raise InputError(
                f"{rows.place(row)}: expected one row for each image, {known.names[place]} has "
                f"{rows.place(other).rpartition(', ')[2]} as well"
            )
        places.append(place)
    return places, dropped, Fact("images", f"{len(first):,}, by their paths", "read", rows.file.name), ()


def _numbered(rows: Answered, part: Part) -> tuple[list[Place | None], int, Fact, tuple[str, ...]]:
    """The images of a part that are no files of their own: by their numbers, else in the order of the rows."""
    place_of = {int(item.name): at for at, item in enumerate(part.items)}
    images = f"{part.name} images"
    if rows.index is None:
        if len(rows) != len(part) or sorted(place_of) != [*range(len(part))]:
            raise InputError(
                f"{rows.file}: expected a row for each of the {len(part):,} {images} in their order, or their numbers "
                f"in index, got {len(rows):,} rows without numbers"
            )
        places: list[Place | None] = [(part.name, place_of[row]) for row in range(len(rows))]
        told = f"the {len(rows):,} {images} in their order"
        if rows.labels is not None:  # which are compared, and would hardly fit in another order
            return places, 0, Fact("images", told, "inferred", "there are as many rows, and their labels fit"), ()
        note = f"Which row is which image was not told: they are taken to be the {images} in order."
        return places, 0, Fact("images", told, "assumed", "there are as many rows"), (note,)
    first: dict[int, int] = {}
    places = []
    for row, word in enumerate(rows.index):
        number = int(word.removesuffix(".0")) if word.removesuffix(".0").isdecimal() and len(word) < 12 else -1
        if number not in place_of:
            raise InputError(f"{rows.place(row)}: expected the number of one of the {images}, got {word[:60]!r}")
        if first.setdefault(number, row) != row:
            raise InputError(f"{rows.place(row)}: expected one row for each image, {number} stands there twice")
        places.append((part.name, place_of[number]))
    return places, 0, Fact("images", f"{len(first):,} {images}, by their numbers", "read", rows.file.name), ()


class _Paths:
    """The images of a data set by their paths, or by the end of these where no other image's path ends so."""

    def __init__(self, data: DataSet) -> None:
        self.names: dict[Place, str] = {
            (part.name, at): item.name for part in data.parts for at, item in enumerate(part.items)
        }
        self.unread = {("", at) for at in range(len(data.skipped))}
        self.names |= {("", at): name for at, name in enumerate(data.skipped)}
        self.whole: dict[str, list[Place]] = {}
        for place, name in self.names.items():
            self.whole.setdefault(_plain(name), []).append(place)
        self.ends: dict[str, list[Place]] | None = None

    def find(self, path: str) -> list[Place]:
        """The images that a path may mean: of its own name, else those that it is the end of, or that end it."""
        plain = _plain(path)
        if plain in self.whole:
            return self.whole[plain]
        if self.ends is None:  # which files of relative paths do without
            self.ends = {}
            for name, places in self.whole.items():
                for end in _ends(name):
                    self.ends.setdefault(end, []).extend(places)
        beyond = next((self.whole[end] for end in _ends(plain) if end in self.whole), [])
        return [*dict.fromkeys([*self.ends.get(plain, []), *beyond])]


def _plain(path: str) -> str:
    """A path with slashes, without detours, its letters composed as most systems have them."""
    return unicodedata.normalize("NFC", posixpath.normpath(path.replace("\\", "/")))


def _ends(path: str) -> list[str]:
    """Without the first folder, without the first two, and so on: "a/b/c" -> ["b/c", "c"]."""
    return [path[at + 1 :] for at, letter in enumerate(path) if letter == "/"]


def _whole_parts(rows: Answered, data: DataSet, places: Sequence[Place | None]) -> list[Part]:
    """The parts that the rows are about, of each of which every image has a row; the one that judges among them."""
    assert data.judged is not None
    answered = {place for place in places if place is not None}
    held = {name for name, _ in answered}
    found = [part for part in data.parts if part.name in held or part.role == "judged on"]
    for part in sorted(found, key=lambda part: part.role != "judged on"):
        missing = [item.name for at, item in enumerate(part.items) if (part.name, at) not in answered]
        if missing:
            lack = "none of them has one" if len(missing) == len(part) else f"{len(missing):,} have none"
            others = (
                "" if part.name in held or not held else f"; its rows are of the {' and '.join(sorted(held))} images"
            )
            raise InputError(
                f"{rows.file}: expected a row for each of the {len(part):,} {part.name} images, {lack}, the first of "
                f"these is {missing[0]}{others}"
            )
    return found


def _labels(
    rows: Answered, data: DataSet, places: Sequence[Place | None], target_of: _Names, wanted: ModelConfig
) -> Fact:
    """Whether the labels in the file are those of the data set, as all of them must be."""
    if rows.labels is None:
        return Fact("labels", "the data set's; the file has none to compare", "read", str(data.root.name))
    items = {part.name: part.items for part in data.parts}
    wrong: list[tuple[int, str]] = []
    count = 0
    for row, (place, word) in enumerate(zip(places, rows.labels, strict=True)):
        if place is None:
            continue
        count += 1
        item = items[place[0]][place[1]]
        if target_of.meant(word) != item.target:
            wrong.append((row, f"{item.name} is of {data.classes.names[item.target]} there, of {word[:60]!r} here"))
    if wrong:
        row, told = wrong[0]
        raise InputError(
            f"{rows.place(row)}: expected the labels of {data.root}, {len(wrong):,} of {count:,} are others: {told}; "
            f"are the rows of other images, or [models.{wanted.id}] classes in another order?"
        )
    return Fact("labels", f"{count:,} of {count:,} are the data set's", "measured", rows.file.name)
