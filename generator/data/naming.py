"""The classes of any data set but Tiny ImageNet: in which order they stand, and which of them are asked for."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from generator.base.errors import InputError
from generator.config.reading import text_of
from generator.config.schema import Order
from generator.config.table import LONGEST
from generator.data.classes import ALL, PRESET, Classes, repeated

NAMES_FILE = "labels.txt"  # a class a line, in the order of their numbers
LARGEST = 2**22  # bytes of it
UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")  # in a name: control characters, half letters


def ordered(names: Iterable[str], order: Order) -> list[str]:
    """Names in the order of a trainer's outputs.

    Args:
        order: "strings": by their letters' numbers, as torchvision's ImageFolder has them (1, 10, 2); "natural": the
            numbers in them by their value and capital letters as small ones, as timm's natural_key has them (1, 2, 10).
    """
    return sorted(names) if order == "strings" else sorted(names, key=_natural)


def chosen(known: Sequence[str], wanted: str | Sequence[str] | None, where: object, what: str = "folder") -> Classes:
    """The classes that are asked for.

    Args:
        known: all there are, in their order.
        wanted: some of them, in another order; None or "all": all.
        where: what holds them, and `what` one of them is there, for messages.
    Raises:
        InputError: for one that is not there or stands there twice, and for fewer than two.
    """
    if wanted in (None, ALL):
        names = tuple(known)
    elif isinstance(wanted, str):
        meant = f'"{PRESET}" is of Tiny ImageNet, ' if wanted == PRESET else ""
        raise InputError(
            f'[data] classes: {meant}expected "{ALL}" or a list of the {what}s in {where} ({some(known)}), got '
            f'"{wanted}"; leave the key out for all of them'
        )
    else:
        exact, alike = set(known), _by_casefold(known)
        names = tuple(name if name in exact else _meant(name, alike, known, where, what) for name in wanted)
        if again := repeated(names):
            raise InputError(f'[data] classes: "{again}" stands there twice; name each class once')
    if len(names) < 2:
        raise InputError(f"{where}: expected at least 2 classes, found {len(names)}")
    return Classes(names, names)


def numbered(
    numbers: Iterable[int], names: Sequence[str], wanted: str | Sequence[str] | None, where: object, named_in: object
) -> tuple[Classes, dict[int, int]]:
    """The classes of images whose labels are numbers, in the numbers' order.

    Args:
        numbers: the labels of all images.
        names: of the classes, from number 0 on, or from 1 where that is the first and all others have a name; (): none.
        wanted: see `chosen`; where `names` is empty, they name the numbers, unless they are such numbers themselves.
        where: what holds the images, and `named_in` what names the numbers, for messages.
    Returns:
        the classes, and by number the index among them; a class may have no images.
    Raises:
        InputError: where a number has no name or, without names, stands for no image between two that do; as `chosen`.
    """
    held = sorted(set(numbers))
    told = [str(number) for number in held]
    if not names and wanted is not None and not isinstance(wanted, str) and not set(wanted) <= set(told):
        names, wanted, named_in = wanted, None, "[data] classes"
    if names:
        if again := repeated(names):
            raise InputError(f'{named_in}: "{again}" stands there twice; name each class once')
        start = int(held == list(range(1, len(names) + 1)))
        if strangers := [number for number in held if not 0 <= number - start < len(names)]:
            raise InputError(
                f"{where}: expected labels from 0 to {len(names) - 1}, for {named_in} names {len(names)} classes, "
                f"found {strangers[0]}"
            )
        number_of = {name: start + place for place, name in enumerate(names)}
    else:
        gap = next((one for one, after in pairwise(held) if after > one + 1), None)
        if gap is not None and wanted in (None, ALL):
            raise InputError(
                f"{where}: expected images of each number from {held[0]} to {held[-1]}, found none of {gap + 1}; "
                "name all classes, or those that are meant, in [data] classes"
            )
        number_of = dict(zip(told, held, strict=True))
    classes = chosen(list(number_of), wanted, where, "class")
    return classes, {number_of[key]: target for target, key in enumerate(classes.keys)}


def names_beside(folder: Path) -> tuple[tuple[str, ...], Path]:
    """The classes that labels.txt names in a folder, () where there is none; and that file.

    Raises:
        InputError: as `names_in`.
    """
    file = folder / NAMES_FILE
    return (names_in(file) if file.is_file() else ()), file


def names_in(file: Path) -> tuple[str, ...]:
    """The classes that a file names, a line each.

    Raises:
        InputError: where it cannot be read, and for an empty line between others.
    """
    text = text_of(file, "list of classes", "expected a list of classes, there is none", LARGEST)
    names = tuple(line.strip() for line in text.rstrip().split("\n"))
    for line, name in enumerate(names, start=1):
        if not name:
            raise InputError(f"{file}, line {line}: expected the name of a class, got nothing")
        require_name(name, f"{file}, line {line}")
    if again := repeated(names):
        raise InputError(f'{file}: "{again}" stands there twice; name each class once')
    return names


def require_name(name: str, place: str) -> None:
    """Whether a name is text of one line that pages and addresses can hold.

    Raises:
        InputError: where it is none.
    """
    if UNFIT.search(name):
        raise InputError(f"{place}: expected a name without control characters, got {name[:60]!r}")
    if len(name) > LONGEST:
        raise InputError(f"{place}: expected a name of at most {LONGEST:,} letters, got {len(name):,}")


def some(names: Iterable[str], most: int = 5) -> str:
    """The first few of some names."""
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """timm/data/readers/reader_image_folder.py has natural_key; here names that are alike to it have an order too."""
    pieces = re.split(r"(\d+)", name.lower())
    return [(int(piece), "") if at % 2 else (-1, piece) for at, piece in enumerate(pieces)], name


def _by_casefold(known: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in known:
        found.setdefault(name.casefold(), []).append(name)
    return found


def _meant(name: str, alike: dict[str, list[str]], known: Sequence[str], where: object, what: str) -> str:
    found = alike.get(name.casefold(), [])
    if len(found) == 1:
        return found[0]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"expected one of {some(known)}"
    raise InputError(f'[data] classes: {where} has no {what} "{name}"; {hint}')
