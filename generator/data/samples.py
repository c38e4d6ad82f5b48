"""The photos that the report shows its networks: bundled ones, the user's own, and test images of the data set.

Image files in, `Photo` records out. Nothing here needs torch.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generator.base.errors import InputError
from generator.base.names import slug, slugs
from generator.config.schema import SamplePhoto
from generator.data.dataset import Box, DataSet, Part
from generator.data.decoded import pixels as pixels_of
from generator.data.image_files import digest, read_photo, shrink
from generator.records.images import Credit, Photo

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


CREDITS = "CREDITS.toml"
# No network sees more than 256 pixels of a photo's shorter side, and no page shows more than this.
SHORTER_SIDE = 768


def bundled(folder: Path, class_names: Sequence[str]) -> tuple[Photo, ...]:
    """The photos that come with the program, in the order of their CREDITS.toml.

    Some show none of the classes that they were gathered for, Tiny ImageNet's.

    Args:
        folder: content/samples.
        class_names: the report's classes; a photo of none of them has no label.
    Raises:
        InputError: if one of the files is missing or damaged.
    """
    told = _credits(folder)
    try:
        return tuple(_bundled(folder, entry, told["sources"], class_names) for entry in told["photos"])
    except KeyError as error:
        raise InputError(f"{folder / CREDITS}: expected {error} with each photo, it is missing; restore it") from None


def licence_texts(folder: Path) -> Mapping[str, str]:
    """Name of a licence -> its text, for the licences of bundled photos that must travel with every copy."""
    return {name: _read_text(folder / file) for name, file in _credits(folder)["licences"].items()}


def own(
    entries: Iterable[SamplePhoto], class_names: Sequence[str], shown: Mapping[str, str] | None = None
) -> tuple[Photo, ...]:
    """The user's photos, as report.toml lists them; large ones are made smaller.

    Args:
        shown: what readers see in place of a class's own name, which does as a label, too.
    Raises:
        InputError: naming the file that is missing, broken, too large or no image, or the label that is none
            of the classes.
    """
    photos = []
    names = {name: own for own, name in (shown or {}).items() if own in class_names}
    entries = tuple(replace(entry, label=names.get(entry.label, entry.label)) for entry in entries)
    ids = slugs([entry.title or entry.file.stem for entry in entries], "photo")
    for entry, address in zip(entries, ids, strict=True):
        pixels = shrink(read_photo(entry.file), SHORTER_SIDE)
        credited = entry.author or entry.origin or entry.licence or entry.url
        photos.append(
            Photo(
                id=f"own-{address}",
                title=entry.title or re.sub(r"[\s_-]+", " ", entry.file.stem).strip() or entry.file.name,
                pixels=pixels,
                origin="own",
                label=_label(entry, class_names),
                shows=entry.label,
                credit=Credit(entry.author, entry.origin, entry.licence, entry.url) if credited else None,
                digest=digest(pixels),
            )
        )
    return tuple(photos)


def from_data(data: DataSet, part: Part, names: Sequence[str]) -> tuple[Photo, ...]:
    """Images of a part of the data set by their names, with their boxes, in the order of `names`; large ones smaller.

    Raises:
        InputError: if one of them is not in that part, or is broken.
    """
    listed = {item.name: item for item in part.items}
    addresses = ids(part)
    photos = []
    for name in names:
        if name not in listed:
            raise InputError(f"{data.root}: expected the {part.name} image {name}, it is not in this data set")
        item = listed[name]
        whole = pixels_of(data, item)
        pixels = shrink(whole, SHORTER_SIDE)
        shows = data.classes.names[item.target]
        photos.append(
            Photo(
                id=addresses[name],
                title=f"{shows}, {part.name} image {item.at if item.held else Path(item.name).stem}",
                pixels=pixels,
                origin="test",
                label=item.target,
                shows=shows,
                box=item.box and scaled(item.box, whole.shape, pixels.shape),
                digest=digest(pixels),
            )
        )
    return tuple(photos)


def scaled(box: Box, before: Sequence[int], after: Sequence[int]) -> Box:
    """A box (x0, y0, x1, y1), inclusive, on an image that was brought from one shape (H, W, ...) to another."""
    x0, y0, x1, y1 = box
    down, across = after[0] / before[0], after[1] / before[1]
    return (
        min(int(x0 * across), after[1] - 1),
        min(int(y0 * down), after[0] - 1),
        min(max(round((x1 + 1) * across) - 1, 0), after[1] - 1),
        min(max(round((y1 + 1) * down) - 1, 0), after[0] - 1),
    )


def ids(part: Part) -> dict[str, str]:
    """Name of an image -> the id of its photo; those that would be alike are told apart by their names' hashes."""
    plain = {item.name: slug(str(Path(item.name).with_suffix("")), "photo") for item in part.items}
    often = Counter(plain.values())
    return {
        name: f"{part.name}-{address}" + (f"-{_short(name)}" if often[address] > 1 else "")
        for name, address in plain.items()
    }


def _short(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def box_of(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """(x0, y0, x1, y1), inclusive, of the smallest box around the True pixels of an (H, W) mask that has some."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def _bundled(
    folder: Path, entry: Mapping[str, Any], sources: Mapping[str, Mapping[str, str]], class_names: Sequence[str]
) -> Photo:
    source = sources[entry["source"]]
    pixels = read_photo(folder / f"{entry['id']}.webp")
    mask = _read_mask(folder / f"{entry['id']}.mask.png", pixels.shape[:2]) if entry["mask"] else None
    return Photo(
        id=entry["id"],
        title=entry["title"],
        pixels=pixels,
        origin="bundled",
        label=class_names.index(entry["label"]) if entry["label"] in class_names else None,
        shows=entry["shows"],
        mask=mask,
        box=None if mask is None else box_of(mask),
        credit=Credit(source["author"], f"{source['origin']}, {entry['path']}", source["licence"], source["url"]),
        digest=digest(pixels),
    )


def _credits(folder: Path) -> dict[str, Any]:
    file = folder / CREDITS
    try:
        told: dict[str, Any] = tomllib.loads(_read_text(file))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{file}: expected the list of bundled photos as TOML, {error}; restore the file") from None
    return told


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{file}: expected a text file of the bundled photos, cannot read it; restore it") from None


def _read_mask(file: Path, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = read_photo(file)[..., 0] >= 128
    if mask.shape != shape or not mask.any():
        raise InputError(f"{file}: expected a mask as large as its photo and not empty; restore the file")
    return mask


def _label(entry: SamplePhoto, class_names: Sequence[str]) -> int | None:
    if not entry.label:
        return None
    if entry.label in class_names:
        return class_names.index(entry.label)
    near = difflib.get_close_matches(entry.label, class_names, n=1)
    hint = f'; did you mean "{near[0]}"?' if near else "; leave the label out if the photo shows none of the classes"
    raise InputError(f'{entry.file}: expected one of the classes as its label, got "{entry.label}"{hint}')
