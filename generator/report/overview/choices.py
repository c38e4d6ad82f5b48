"""The photos of the overview, one of which is shown at first, each through the network as five pictures that change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from generator.base.names import addresses
from generator.figures import raster
from generator.records.figure import Figure
from generator.records.images import Photo, Pixels
from generator.records.network import Explanation, Network
from generator.records.report import Report
from generator.report.grad_cam.facts import Answer, Look, look_at
from generator.report.overview.cells import ACROSS, LARGE, Row, cell, part, veil
from generator.report.plates.frames import framed
from generator.report.plates.sheets import sheet
from generator.report.plates.wording import SHOWN, sentence

MOST = 6  # photos to choose from
RIGHT = 4  # of them at most that the network names correctly, while there are others
SQUARE = 360
SMALL = 64  # side of the pictures by which a photo is chosen
VEIL_SIDE = 96  # of a heat map alone, which is smooth
GAP = 4  # between such, so that none shines into another where a page enlarges them
QUALITY = 74  # of the photos, which are most of what the page loads
FINE = 90  # of those that are shown pixel by pixel
PLAIN = 0.9  # share of a photo's rim in one colour from which on it is a thing on a plain ground
NEAR = 12  # levels by which that colour may differ


@dataclass(frozen=True)
class Pointed:
    """An answer to point at: the place of its map among those of the photo, and its row on the page of heat maps."""

    answer: Answer
    place: int | None  # None: it has no map
    row: str


@dataclass(frozen=True)
class Choice:
    """A photo of the overview with what the network says of it; `prefix` begins the ids of its pictures."""

    prefix: str
    network: Network
    look: Look
    answers: tuple[Pointed, ...]


def choices(report: Report) -> tuple[Choice, ...]:
    """The photos to choose from, the one that is shown first at the front."""
    chosen = rows(report)
    return tuple(_choice(row, prefix(row.photo, row is chosen[0])) for row in chosen)


def _choice(row: Row, begin: str) -> Choice:
    look = look_at(row.network, row.photo)
    places = {index: place for place, index in enumerate(targets(row.explanation))}
    slugs = addresses(row.network.class_names, row.network.own)
    answers = tuple(
        Pointed(answer, places.get(index), f"{row.network.anchor}-for-{slugs[index]}")
        for answer, index in zip(look.top, map(int, row.explanation.ranking), strict=False)
    )
    return Choice(begin, row.network, look, answers)


def rows(report: Report) -> list[Row]:
    """At most `MOST` photos: photographs before things on a plain ground, else in the order of their probability.

    They are of the network shown first of those that saw a photo, and of which more is known than its answers, if there
    is one. Among them are some that it gets wrong, or that show none of its classes, if there are such: a report that
    showed its successes alone would flatter. The first one is right, if one is.
    """
    seeing = sorted((one for one in report.networks if one.explanations), key=lambda one: not one.present)
    if not seeing:
        return []
    network = seeing[0]
    drawn = next((one for one in (network, *report.networks) if one.kernels is not None), None)
    found = [
        Row(photo, seen, network, drawn, 0, _most(seen), answering=True)
        for photo in report.photos
        if (seen := network.explanations.get(photo.id)) is not None
    ]
    found.sort(key=lambda row: (row.photo.origin == "test", plain(row.photo.pixels), -_confidence(row)))
    named = _distinct(found, right=True)[:RIGHT]
    chosen = [*named, *_distinct(found, right=False)[: MOST - len(named)]]
    chosen += [place for place in range(len(found)) if place not in chosen][: MOST - len(chosen)]
    first = sorted(chosen, key=lambda place: (place != chosen[0], place))
    return [found[place] for place in first[: MOST if network.present else 1]]  # of answers alone no page is to choose


def choice_figures(report: Report) -> tuple[Figure, ...]:
    """The pictures of each of them, those of the first with the shorter names; small ones of all to choose by."""
    chosen = rows(report)
    figures: list[Figure] = []
    for row in chosen:
        figures += _pictures(row, prefix(row.photo, row is chosen[0]))
    if len(chosen) > 1:
        small = [cell(row, "photo", SMALL, SMALL) for row in chosen]
        alt = "The photos to choose from."
        figures.append(framed("hero-choices", sheet(small), alt=alt, caption="", quality=QUALITY))
    return tuple(figures)


def prefix(photo: Photo, first: bool) -> str:
    """How the ids of a photo's pictures begin."""
    return "hero" if first else f"hero-{photo.id}"


def targets(seen: Explanation) -> list[int]:
    """The classes whose maps are shown, in the order of the answers."""
    return [int(index) for index in seen.ranking[:SHOWN] if index in seen.targets]


def plain(pixels: Pixels) -> bool:
    """Whether a photo shows a thing on a ground of one colour, by its rim."""
    rim = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).astype(int)
    near = (np.abs(rim - np.median(rim, axis=0)) <= NEAR).all(axis=1)
    return bool(near.mean() >= PLAIN)


def _most(seen: Explanation) -> float:
    """The end of the scale that these maps have in common."""
    return max((float(seen.cam(target).max()) for target in targets(seen)), default=0.0)


def _confidence(row: Row) -> float:
    return float(row.explanation.probabilities.max())


def _distinct(rows: Sequence[Row], right: bool) -> list[int]:
    """The places of those that are right, or are not: of each answer the first."""
    found: dict[int, int] = {}
    for place, row in enumerate(rows):
        if row.right == right:
            found.setdefault(row.explanation.predicted, place)
    return list(found.values())


def _pictures(row: Row, begin: str) -> Iterator[Figure]:
    for column in row.columns:
        flat = column in ACROSS
        text = f"{sentence(part(row, column))}."
        pixels = cell(row, column, SQUARE, SQUARE)
        sharp = row.whole and max(row.explanation.seen.shape[:2]) < LARGE
        quality = None if flat else FINE if sharp else QUALITY
        yield framed(f"{begin}-{column}", pixels, alt=text, caption=text, quality=quality, pixelated=flat)
    if mapped := targets(row.explanation):
        veils = [veil(row, target, VEIL_SIDE) for target in mapped]
        alt = f"The {row.explanation.method} maps of {_names(row.network, mapped)} on one scale."
        yield framed(f"{begin}-veils", _column(veils), alt=alt, caption="", quality=QUALITY)


def _names(network: Network, classes: Iterable[int]) -> str:
    return ", ".join(network.class_names[index] for index in classes)


def _column(pictures: Sequence[Pixels]) -> Pixels:
    """Squares below one another with gaps, and room for as many as there may be."""
    side = len(pictures[0])
    panels = [(picture, place * (side + GAP), 0) for place, picture in enumerate(pictures)]
    return raster.compose(SHOWN * (side + GAP) - GAP, side, panels)
