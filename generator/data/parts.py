"""Which images a network is fitted on, chosen on and judged on: by the parts' usual names, else by a hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping

from generator.base.errors import InputError
from generator.data.classes import Classes
from generator.data.dataset import CHOSEN_AND_JUDGED, PARTS, TEST, TRAIN, VALIDATION, Item
from generator.data.naming import some

NAMES = {  # that data sets give a part -> the part
    "train": TRAIN, "training": TRAIN,
    "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION,
    "test": TEST, "testing": TEST,
}  # fmt: skip
IN_LISTS = {**NAMES, "dev": VALIDATION}  # which is no less a name for a class's folder
OWN_SPLIT = (
    "Of each class's images a tenth, chosen by a hash of the file name, is kept for validation and another tenth for "
    "the test."
)
MAYBE_SEEN = "The split is this program's own: a network that was trained elsewhere may have seen the test images."


def part_of(name: str, names: Mapping[str, str] = NAMES) -> str | None:
    """The part that a name means, in capital letters or not; None where it means none."""
    return names.get(name.casefold())


def split_names(names: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(train, validation) of one class's file names, each sorted: the tenth with the smallest sha256 is validation.

    A class of two to nineteen images gives one to validation, a class of one none.
    """
    ranked = _ranked(names)
    tenth = _tenth(len(ranked))
    return tuple(sorted(ranked[tenth:])), tuple(sorted(ranked[:tenth]))


def split_here(
    classes: Classes, items: Iterable[Item], hashed: Callable[[Item], str], place: Callable[[str], object]
) -> dict[str, list[Item]]:
    """Part -> items: by the hash of a name a tenth of each class is for validation, the next tenth for the test.

    Args:
        hashed: the name of an image that decides where it goes.
        place: where the images of a class lie, by the class's key, for a message.
    Raises:
        InputError: for a class of fewer than three images.
    """
    held: dict[int, list[Item]] = {target: [] for target in range(len(classes))}
    for item in items:
        held[item.target].append(item)
    found: dict[str, list[Item]] = {part: [] for part in PARTS}
    for target, every in held.items():
        if len(every) < 3:
            where = place(classes.keys[target])
            raise InputError(f"{where}: expected at least 3 images, one for each part, found {len(every)}")
        by_name = {hashed(item): item for item in every}
        ranked = _ranked(by_name)
        tenth = _tenth(len(ranked))
        shares = {VALIDATION: ranked[:tenth], TEST: ranked[tenth : 2 * tenth], TRAIN: ranked[2 * tenth :]}
        for part, names in shares.items():
            found[part] += [by_name[name] for name in sorted(names)]
    return found


def as_they_came(
    classes: Classes, given: Mapping[str, Iterable[Item]], lacking: Callable[[str, str], str]
) -> tuple[dict[str, list[Item]], tuple[str, ...]]:
    """Parts that a data set brings along, each sorted by class and name, and what readers should know of them.

    Args:
        lacking: what to say of a part and a class's key that has no images in it.
    Raises:
        InputError: for a class without images to train on, and a part without images.
    """
    found: dict[str, list[Item]] = {}
    notes = [] if TEST in given else [CHOSEN_AND_JUDGED]
    for part in (name for name in PARTS if name in given):
        found[part] = sorted(given[part], key=lambda item: (item.target, item.name))
        held = {item.target for item in found[part]}
        empty = [key for target, key in enumerate(classes.keys) if target not in held]
        if empty and (part == TRAIN or not held):
            raise InputError(lacking(part, empty[0]))
        if empty:
            notes.append(f"There are no {part} images of {some(empty)}.")
    return found, tuple(notes)


def came_as(names: Mapping[str, str]) -> str:
    """How parts came about that a data set brings along, by part and what it calls them."""
    called = [f"{'training' if part == TRAIN else part} images from {names[part]}" for part in PARTS if part in names]
    listed = " and ".join(called) if len(called) < 3 else f"{', '.join(called[:-1])} and {called[-1]}"
    return f"The data set came in these parts: {listed}."


def _ranked(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest())


def _tenth(count: int) -> int:
    return 0 if count < 2 else max(1, count // 10)
