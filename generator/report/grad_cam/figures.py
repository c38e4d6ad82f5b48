"""The Grad-CAM and failures pages' figures: where a network looks, for its answer, the truth and its second choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from generator.figures import raster, theme
from generator.records.figure import Figure, Table
from generator.records.images import Floats, Photo
from generator.records.network import Explanation, Network
from generator.report.grad_cam.comparisons import comparison
from generator.report.grad_cam.facts import strip_columns
from generator.report.plates.frames import PHOTO, SMALL, framed
from generator.report.plates.painting import overlay
from generator.report.plates.wording import cell, listed, method_title, number, percent, place

SIDE = 256  # stored pixels of an overlay, about: a 64-pixel photo is enlarged 4 times, block by block
HEAT = 128  # stored width of a heat map, which is smooth and may be enlarged by the page
MOST_CLASSES = 60  # up to which all classes are shown in one strip
TILE = 64
TOGETHER = 74  # WebP quality of a photo with its map as one picture
LARGE = 128  # a photo this wide or wider is shown smooth; a smaller one is enlarged, its pixels sharp

ROLES = {
    "predicted": "its answer",
    "true": "the true class",
    "runner-up": "its second choice",
    "rival": "what tells the two apart",
    "other": "which was asked for",
}


@dataclass(frozen=True)
class Shown:
    """One map of a photo, with what it is of."""

    role: str
    name: str  # "koala", "koala, not bear"
    cam: Floats
    probability: float
    logit: float
    measure: str = "logit"  # what `logit` is

    @property
    def why(self) -> str:
        """Why it is shown, as a clause."""
        return ROLES["other" if self.role.startswith("other") else self.role]


def shown(network: Network, explanation: Explanation) -> tuple[Shown, ...]:
    """The maps of a photo in their order: those of single classes, then of what is asked beside."""
    classes = [
        Shown(
            role,
            network.class_names[target],
            explanation.cam(target),
            float(explanation.probabilities[target]),
            float(explanation.logits[target]),
        )
        for role, target in roles_of(explanation)
    ]
    replies = [
        Shown(
            role,
            reply.question.named(network.class_names),
            reply.cam,
            reply.probability,
            reply.logit,
            reply.question.measure,
        )
        for role, reply in explanation.replies.items()
    ]
    return (*classes, *replies)


def roles_of(explanation: Explanation) -> tuple[tuple[str, int], ...]:
    """(role, class) of the maps of single classes, each once: the answer, the truth, the second choice."""
    found = {"predicted": explanation.predicted}
    if explanation.label is not None:
        found["true"] = explanation.label
    if len(explanation.logits) > 1:
        found["runner-up"] = explanation.runner_up
    once: dict[str, int] = {}
    for role, target in found.items():
        if target in explanation.targets and target not in once.values():
            once[role] = target
    return tuple(once.items())


def _most(explanation: Explanation) -> float:
    """The end of the scale that the maps of all roles have in common: a weak one stays dark beside a strong one."""
    cams = [explanation.cam(target) for _, target in roles_of(explanation)]
    cams += [reply.cam for reply in explanation.replies.values()]
    return max((float(cam.max()) for cam in cams), default=0.0)


def grad_cam_figures(network: Network, photo: Photo) -> tuple[Figure, ...]:
    """What the network saw; overlay and heat map of each role; all classes and all methods, each as one strip.

    Nothing here depends on other images, so that one photo more leaves all of it in the cache.
    """
    explanation = network.explanations.get(photo.id)
    if explanation is None:
        return ()
    prefix = f"{network.anchor}-cam-{photo.id}"
    figures = [_seen(network, photo, explanation, prefix)]
    for one in shown(network, explanation):
        figures += [
            _overlay(network, photo, explanation, one, prefix),
            _heat(network, photo, explanation, one, prefix),
        ]
    every = set(range(len(network.class_names))) <= set(explanation.targets)
    if every and 1 < len(network.class_names) <= MOST_CLASSES:
        figures.append(_every_class(network, photo, explanation, prefix))
    ways = comparison(network, photo)
    return (*figures, ways) if ways else tuple(figures)


def failure_figures(network: Network, photos: Sequence[Photo]) -> tuple[Figure, ...]:
    """For each mistake that the page shows: the photo, and the maps of the answer and of the true class."""
    known = {photo.id: photo for photo in photos}
    figures: list[Figure] = []
    for identifier in network.failures:
        explanation = network.explanations.get(identifier)
        if explanation is None or identifier not in known:
            continue
        # The same pictures as on the Grad-CAM page, and so the same files.
        prefix, files = f"{network.anchor}-failure-{identifier}", f"{network.anchor}-cam-{identifier}"
        figures.append(_seen(network, known[identifier], explanation, prefix, files))
        for one in shown(network, explanation):
            if one.role in ("predicted", "true"):
                figures.append(_overlay(network, known[identifier], explanation, one, prefix, files))
    return tuple(figures)


def _seen(network: Network, photo: Photo, explanation: Explanation, prefix: str, files: str = "") -> Figure:
    high, wide = explanation.seen.shape[:2]
    answer = network.class_names[explanation.predicted]
    confidence = percent(float(explanation.probabilities[explanation.predicted]))
    verdict = _verdict(network, explanation)
    # What was made of the photo before is known of a network that is here.
    saw, pixels = f" as {network.title} saw it", f": {high} × {wide} pixels, every one shown"
    given, said = (saw, f",{saw}{pixels}") if network.present else ("", "")
    alt = (
        f"Photo of {photo.shows or photo.title}{given}, {wide} pixels wide: called {answer} with {confidence}{verdict}."
    )
    caption = f"{photo.title}{said}. Its answer: {answer}, {confidence}{verdict}."
    best = explanation.ranking[:5]
    table = Table(
        ("class", "probability, %", "logit"),
        tuple(
            (
                network.class_names[index],
                cell(float(explanation.probabilities[index]) * 100, 2),
                cell(float(explanation.logits[index]), 3),
            )
            for index in best
        ),
    )
    small = max(high, wide) < LARGE
    return framed(
        f"{prefix}-photo",
        explanation.seen,
        alt=alt,
        caption=caption,
        quality=SMALL if small else PHOTO,
        pixelated=small,
        table=table,
        name=f"{files or prefix}-photo",
    )


def _overlay(
    network: Network, photo: Photo, explanation: Explanation, one: Shown, prefix: str, files: str = ""
) -> Figure:
    alt, caption = _words(network, photo, explanation, one, f"{explanation.method} overlay")
    photo_seen = raster.enlarge(explanation.seen, max(1, round(SIDE / explanation.seen.shape[1])))
    return framed(
        f"{prefix}-{one.role}",
        overlay(photo_seen, one.cam, _most(explanation)),
        alt=alt,
        caption=caption,
        quality=TOGETHER,
        pixelated=max(explanation.seen.shape[:2]) < LARGE,
        enlarged=True,
        data=_cells(one.cam),
        name=f"{files or prefix}-{one.role}-overlay",
    )


def _cells(cam: Floats) -> Table:
    """A map as it is: a row of cells a row."""
    head = ("row", *(f"column {column}" for column in range(cam.shape[1])))
    return Table(head, tuple((row, *(float(f"{value:.4g}") for value in cells)) for row, cells in enumerate(cam)))


def _heat(network: Network, photo: Photo, explanation: Explanation, one: Shown, prefix: str) -> Figure:
    alt, caption = _words(network, photo, explanation, one, f"{explanation.method} heat map")
    height, width = explanation.seen.shape[:2]
    pixels = raster.heat(one.cam, (round(height * HEAT / width), HEAT), _most(explanation))
    return framed(f"{prefix}-{one.role}-heat", pixels, alt=alt, caption=caption, quality=SMALL)


def _words(network: Network, photo: Photo, explanation: Explanation, one: Shown, kind: str) -> tuple[str, str]:
    """Text alternative and caption of one map."""
    cam, peak, probability = one.cam, float(one.cam.max()), percent(one.probability)
    where = f"raw maximum {number(peak)}, strongest {place(cam)}" if peak > 0 else "no positive evidence"
    alt = (
        f"{kind} of {network.title} for {one.name}, {one.why}, on the photo {photo.title}: "
        f"probability {probability}, {where}."
    )
    notice = (
        f"Raw maximum {number(peak)}, {place(cam)}; the map’s {cam.shape[0]} × {cam.shape[1]} cells are enlarged "
        f"bilinearly and painted from 0, black, to {number(_most(explanation))}, pale yellow, the largest of this "
        "photo’s maps here."
        if peak > 0
        else "Raw maximum 0: no positive evidence for it, so the map is drawn flat."
    )
    caption = (
        f"{network.title}, {method_title(network, explanation)}: {one.name}, {one.why}; probability "
        f"{probability}, {one.measure} {number(one.logit)}. {notice}"
    )
    return alt, caption


def _every_class(network: Network, photo: Photo, explanation: Explanation, prefix: str) -> Figure:
    """All classes on one scale, without gaps, for the page to cut."""
    order = [explanation.targets.index(index) for index in range(len(network.class_names))]
    cams = explanation.cams[order]
    most, peaks = float(cams.max()), cams.max(axis=(1, 2))
    high, wide = explanation.seen.shape[:2]
    smooth = raster.resize(cams, max(1, round(TILE * high / wide)), TILE)
    heat = raster.paint(smooth / most if most > 0 else smooth, theme.HEAT)
    first = [network.class_names[index] for index in np.argsort(-peaks, kind="stable")[:3] if peaks[index] > 0]
    silent = int((peaks == 0).sum())
    none = f"no positive evidence for {silent}" if silent else "some evidence for each"
    finding = (
        f"strongest for {listed(first)}; {none} of {len(peaks)} classes"
        if first
        else "no positive evidence for any class"
    )
    alt = (
        f"{explanation.method} heat maps of {network.title} for each of {len(peaks)} classes on the photo "
        f"{photo.title}: {finding}."
    )
    caption = (
        f"{network.title}, {method_title(network, explanation)}: the maps of all {len(peaks)} classes "
        f"in their order, row by row, on one scale from 0 to {number(most)}, the largest of all; {finding}."
    )
    table = Table(
        ("class", "raw maximum", "logit", "probability, %"),
        tuple(
            (
                name,
                cell(float(peaks[index]), 4),
                cell(float(explanation.logits[index]), 3),
                cell(float(explanation.probabilities[index]) * 100, 2),
            )
            for index, name in enumerate(network.class_names)
        ),
    )
    return framed(
        f"{prefix}-all",
        raster.mosaic(heat, strip_columns(explanation.seen, len(heat)), 1, 0),
        alt=alt,
        caption=caption,
        quality=SMALL,
        table=table,
    )


def _verdict(network: Network, explanation: Explanation) -> str:
    if explanation.label is None:
        return ""
    if explanation.label == explanation.predicted:
        return ", which is right"
    truth = percent(float(explanation.probabilities[explanation.label]))
    return f"; it is {network.class_names[explanation.label]}, which it gave {truth}"
