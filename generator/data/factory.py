"""A data set that somebody's Python function gives: torch Datasets, or anything like them, by part.

torch itself is not needed for it: a Dataset is what has a length and gives rows, a tensor what numpy can read.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from generator.base import own_code, terminal
from generator.base.digest import digest
from generator.base.errors import InputError
from generator.config.places import code_files
from generator.config.schema import DataConfig
from generator.data import rows, steps
from generator.data.dataset import PARTS, TRAIN, DataSet, Item, parts_of
from generator.data.naming import numbered, require_name
from generator.data.parts import IN_LISTS, MAYBE_SEEN, OWN_SPLIT, as_they_came, came_as, part_of, split_here
from generator.records.images import Pixels
from generator.records.report import DataWords

PROBES = 64  # images of a part, evenly spaced, that tell one data set from another without reading all
TWICE = 8  # of them are read twice, to find what is changed at random
LONGEST = 10**7  # images of a part
EVERY = ""  # the part of what is not divided
AS_IS = "give it without what is random, for the report is about the images themselves"


def read(root: Path, folder: Path, said: DataConfig) -> DataSet:
    """The data set that a function gives; the file that it is in is run.

    Args:
        root: "file.py:name", the function that takes nothing and gives a dict of part -> Dataset, or one Dataset.
        folder: report.toml's, below which the file must lie.
        said: which classes are asked for, or what they are called.
    Raises:
        InputError: where there is no such function, it raises or gives something else, and for images and labels that
            are none.
    """
    where, _, name = str(root).rpartition(":")
    file = Path(where)
    what = f"the data set {file.name}:{name}"
    given = {part: _Given(part, each, what) for part, each in _datasets(_made(file, name, folder, what), what).items()}
    classes, target_of = numbered(
        {number for each in given.values() for number in np.unique(each.targets).tolist()},
        _names(given.values(), what),
        said.classes,
        what,
        "its classes",
    )
    beside = [
        (str(code.relative_to(file.parent)), code.read_bytes()) for code in code_files(f"{file.name}:", file.parent)
    ]
    made_by = digest(beside)
    items = {part: _items(file, each, target_of, made_by) for part, each in given.items()}
    notes: tuple[str, ...] = ()
    if set(given) <= {EVERY, TRAIN}:
        (every,) = items.values()
        parts = split_here(classes, every, lambda item: item.name, lambda key: f"{what}, class {key}")
        split, notes = OWN_SPLIT, (MAYBE_SEEN,)
    else:
        parts, notes = as_they_came(
            classes, items, lambda part, key: f"{what}: expected {part} images of each class, found none of {key}"
        )
        split = came_as({part: each.called for part, each in given.items()})
    back = [each.normalisation for each in given.values() if each.normalisation]
    taken = " Its Normalize was taken back." if back else ""
    source = _source(next(iter(given.values())).dataset)
    words = DataWords(source, f"Its images are those that {file.name} gives.{taken} {split}", notes=notes)
    return DataSet(root, source, classes, parts_of(parts), words)


class _Given:
    """One of the data sets, looked at: its labels, and how its images are taken."""

    def __init__(self, part: str, dataset: tuple[str, Any], what: str) -> None:
        self.called, self.dataset = dataset
        self.what = f"{what}, {part}" if part else what
        with own_code.told(self.what):
            self.count = len(self.dataset)
        if not 0 < self.count <= LONGEST:
            raise InputError(f"{self.what}: expected from 1 to {LONGEST:,} images, it has {self.count:,}")
        ways = steps.transforms(self.dataset)
        if random := next((step for way in ways for step in way if steps.is_random(step)), None):
            raise InputError(
                f"{self.what}: expected each image as it is, its transform has {steps.called(random)}; {AS_IS}"
            )
        self.normalisation = steps.normalisation(ways, self.what)
        self.targets = self._targets()

    def image(self, at: int) -> Pixels:
        """One image, (H, W, 3), whose label is the one that was listed."""
        image, target = self._row(at)
        if target != self.targets[at]:
            listed = f"{self.targets[at]}, as its targets say"
            raise InputError(f"{self.what} image {at}: expected the label {listed}, it gives {target}")
        with own_code.told(f"{self.what} image {at}"):
            return rows.pixels(image, self.normalisation, f"{self.what} image {at}")

    def _row(self, at: int) -> tuple[Any, int]:
        with own_code.told(f"{self.what} image {at}"):
            return rows.parted(self.dataset[at], f"{self.what} image {at}")

    def _targets(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """(N,) the labels: as the data set lists them, else read one by one."""
        with own_code.told(self.what):
            listed = rows.targets(self.dataset)
        if listed is not None:
            return listed
        found = np.empty(self.count, np.int64)
        with terminal.bar(f"{self.what}: reading the labels", self.count, "images") as bar:
            for at in range(self.count):
                found[at] = self._row(at)[1]
                bar.advance()
        return found


class Drawn:
    """The images of one data set, each asked for when it is needed."""

    def __init__(self, given: _Given, made_by: str) -> None:
        self.given, self.made_by = given, made_by

    def __getitem__(self, at: int) -> Pixels:
        """One image, (H, W, 3)."""
        return self.given.image(at)

    @cached_property
    def digest(self) -> str:
        """Of the code, the labels, and some of the images: a change in none of these goes unnoticed.

        Raises:
            InputError: for an image that is another one when it is read again.
        """
        count = self.given.count
        probes = sorted({at * count // PROBES for at in range(PROBES)})
        found = [self.given.image(at) for at in probes]
        for at, image in list(zip(probes, found, strict=True))[:: max(1, len(probes) // TWICE)]:
            again = self.given.image(at)
            if again.shape != image.shape or not np.array_equal(again, image):
                raise InputError(
                    f"{self.given.what} image {at}: expected one image, it is another at each look; {AS_IS}"
                )
        return digest(self.made_by, self.given.what, self.given.targets, found)


def _made(file: Path, name: str, folder: Path, what: str) -> Any:
    """What the function gives."""
    terminal.say(f"note: runs {file.name} (the data set of [data] root)")
    module = own_code.imported(str(file), folder, what)
    found = getattr(module, name, None)
    if not callable(found):
        known = [each for each, value in vars(module).items() if callable(value) and not each.startswith("_")]
        near = difflib.get_close_matches(name, known) or known[:5]
        hint = f"; it has {', '.join(near)}" if near else ""
        raise InputError(f"{what}: expected a function {name}, found none{hint}")
    with own_code.told(what):
        return found()


def _datasets(made: Any, what: str) -> dict[str, tuple[str, Any]]:
    """Part -> what it is called, and its data set."""
    by_name = made if isinstance(made, Mapping) else {EVERY: made}
    found: dict[str, tuple[str, Any]] = {}
    for name, each in by_name.items():
        part = part_of(name, IN_LISTS) if isinstance(name, str) and name else EVERY if by_name is not made else None
        if part is None:
            raise InputError(f"{what}: expected data sets by part ({', '.join(IN_LISTS)}), it gives {name!r:.60}")
        if part in found:
            raise InputError(f"{what}: expected one data set for {part}, it gives {found[part][0]} and {name}")
        if not hasattr(each, "__len__") or not hasattr(each, "__getitem__") or isinstance(each, (str, bytes)):
            expected = "expected a torch Dataset with a length, or a dict of them by part (train, val, test)"
            raise InputError(f"{what}: {expected}, it gives {type(each).__name__}{_for(part)}")
        found[part] = (name, each)
    if not found:
        raise InputError(f"{what}: expected at least one data set, it gives an empty dict")
    return {part: found[part] for part in (*PARTS, EVERY) if part in found}


def _for(part: str) -> str:
    return "" if part == EVERY else f" for {part}"


def _names(given: Iterable[_Given], what: str) -> Sequence[str]:
    """The names of the classes, () where no data set has them."""
    known: dict[tuple[str, ...], str] = {}
    for each in given:
        with own_code.told(what):
            names = rows.class_names(each.dataset)
        if names:
            known.setdefault(names, each.called)
            for name in names:
                require_name(name, what)
    if len(known) > 1:
        raise InputError(
            f"{what}: expected the same classes in each part, those of {' and '.join(known.values())} differ"
        )
    return next(iter(known), ())


def _items(file: Path, given: _Given, target_of: Mapping[int, int], made_by: str) -> list[Item]:
    held, digits = Drawn(given, made_by), len(str(given.count - 1))
    return [
        Item(f"{at:0{digits}}", file, target_of[label], held=held, at=at)
        for at, label in enumerate(given.targets.tolist())
        if label in target_of
    ]


def _source(dataset: Any) -> str:
    """What the data set is called: by its class, below what takes a share of it."""
    return type(steps.innermost(dataset)).__name__
