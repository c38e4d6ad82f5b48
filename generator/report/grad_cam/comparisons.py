"""The Grad-CAM page's comparison: one answer explained in several ways, and what covering a part of the photo does."""

from __future__ import annotations

import numpy as np

from generator.figures import raster, theme
from generator.records.figure import Figure, Table
from generator.records.images import Floats, Photo, Pixels
from generator.records.network import Comparison, Explanation, Network
from generator.report.grad_cam.methods import KINDS, OF_PIXELS, cells_of, ways, worst
from generator.report.plates.frames import framed
from generator.report.plates.painting import boxed, fitted
from generator.report.plates.sheets import box_of, kind_of, sheet
from generator.report.plates.wording import cell, colour_of_nothing, counted, layer_title, percent, place

TILE = 128  # stored pixels of one picture's longer side, about
QUALITY = 50
VEIL = (0.5, 0.85)  # opacity of a map over the grey photo, where it is lowest and highest
# Percentile of a map of single pixels that is painted brightest: a few outliers would leave the rest dark.
BRIGHT = 99.5


def comparison(network: Network, photo: Photo) -> Figure | None:
    """All pictures of one photo's comparison as a sheet, see `plates.sheets`; None where none was made."""
    explanation = network.explanations.get(photo.id)
    if explanation is None or explanation.comparison is None:
        return None
    found = explanation.comparison
    shown = ways(network, explanation)
    box = box_of(kind_of(explanation.seen), TILE)
    size = fitted(explanation.seen, box)
    pictures = [_alone(cam, size) if name in OF_PIXELS else _laid(explanation, cam, size) for name, cam in _maps(found)]
    pictures += [_covered(network, explanation, found, size), _probability(found, size), _answers(found, size)]
    answer = network.class_names[explanation.predicted]
    told = "; ".join(f"{way.name} {way.shows}" for way in shown)
    colour = colour_of_nothing(network)
    hidden = network.class_names[found.hidden]
    yellow = f"yellow is {hidden}" if (found.answers == found.hidden).any() else f"{hidden} nowhere, which were yellow"
    alt = f"{network.title}’s answer {answer} on the photo {photo.title}, explained in several ways: {told}."
    layers = f"Maps of layers at {layer_title(network, explanation.layer)}, each" if explanation.layer else "Each map"
    caption = (
        f"{network.title}, the answer {answer}. {layers} over "
        "its own range, black to pale yellow; in maps of single pixels the brightest 0.5 % look alike. "
        f"The {colour} square is {_side(found, explanation)}; its two maps show, at the square’s centre, what is left "
        f"of {network.class_names[found.hidden]}’s probability "
        f"{percent(float(explanation.probabilities[found.hidden]))}, from 0, dark, to 1, yellow, and which answer is "
        f"then the most probable: {yellow}."
    )
    rows = tuple(
        (name, cell(float(cam.max()), 4), place(cam) if cam.max() > 0 else "nowhere", cells_of(cam))
        for name, cam in _maps(found)
    )
    head = ("method or layer", "raw maximum", "strongest", "map")
    return framed(
        f"{network.anchor}-ways-{photo.id}",
        sheet([boxed(picture, box) for picture in pictures]),
        alt=alt,
        caption=caption,
        quality=QUALITY,
        enlarged=True,
        table=Table(head, rows),
    )


def _maps(found: Comparison) -> tuple[tuple[str, Floats], ...]:
    return *found.maps.items(), *found.layers.items()


def _side(found: Comparison, explanation: Explanation) -> str:
    """How large the square is, in words."""
    high, wide = explanation.seen.shape[:2]
    whole = "" if high == wide else f" and high, on an image of {high} × {wide}"
    return f"{counted(found.patch, 'pixel')} wide{whole}"


def shown_neutral(network: Network) -> tuple[int, int, int]:
    """The colour that stands for "nothing", as a picture shows it."""
    told = network.input.neutral
    red, green, blue = told if len(told) == 3 else (told[0],) * 3
    return red, green, blue


def _alone(cam: Floats, size: tuple[int, int]) -> Pixels:
    """A map of single pixels."""
    values = np.clip(cam / max(float(np.percentile(cam, BRIGHT)), 1e-12), 0, 1)
    return raster.paint(raster.resize(values.astype(np.float32), *size).clip(0, 1), theme.HEAT)


def _laid(explanation: Explanation, cam: Floats, size: tuple[int, int]) -> Pixels:
    """A map over the photo without its colours."""
    values = raster.min_max(raster.resize(cam, *size))
    ground = raster.grey(raster.cover(explanation.seen, *size))
    return raster.laid_over(ground, values, VEIL)


def _covered(network: Network, explanation: Explanation, found: Comparison, size: tuple[int, int]) -> Pixels:
    """The photo with the square where the probability is least."""
    seen = explanation.seen.copy()
    row, column = worst(found)
    rows, columns = found.probability.shape
    top = round((row + 0.5) * seen.shape[0] / rows - found.patch / 2)
    left = round((column + 0.5) * seen.shape[1] / columns - found.patch / 2)
    seen[max(0, top) : top + found.patch, max(0, left) : left + found.patch] = shown_neutral(network)
    return raster.cover(raster.enlarge(seen, max(1, TILE // max(seen.shape[:2]))), *size)


def _probability(found: Comparison, size: tuple[int, int]) -> Pixels:
    return raster.paint(raster.resize(found.probability, *size).clip(0, 1), theme.MAPS)


def _answers(found: Comparison, size: tuple[int, int]) -> Pixels:
    """Which class is the most probable: the one asked about yellow, the others darker the rarer they are."""
    classes, counts = np.unique(found.answers, return_counts=True)
    others = [int(each) for each in classes[np.argsort(-counts, kind="stable")] if each != found.hidden]
    shades = {found.hidden: 1.0}
    shades |= {each: max(0.0, 0.7 - 0.7 * place / KINDS) for place, each in enumerate(others)}
    values = np.vectorize(shades.__getitem__, otypes=[np.float64])(found.answers)
    shown = zip(size, values.shape, strict=True)
    rows, columns = (np.arange(length) * side // length for length, side in shown)
    return raster.paint(values[rows][:, columns], theme.MAPS)
