"""One network looked at as the report needs it: `Loaded` and photos in, the records `Network` and `Explanation` out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from generator import explain
from generator.base.errors import InputError
from generator.data.preprocessing import in_colour, seen
from generator.explain.layouts import Layout
from generator.explain.methods import METHODS
from generator.explain.one_pass import OnePass
from generator.explain.points import source
from generator.explain.targets import Target
from generator.inspection import comparison, layers
from generator.inspection.comparison import comparison_of
from generator.networks.architecture import require_finite
from generator.networks.devices import array_of
from generator.networks.loaded import Loaded
from generator.records.images import Arrays, Floats, Photo
from generator.records.network import GRAD_CAM, Explanation, Question, Replied, StageMaps

# A network with more classes is explained for the classes that a page names, not for all.
ALL_CLASSES = 100
EACH_ALONE = 20  # likewise by a method that takes a pass there and back for each class
CONTRIBUTORS = 8  # channels that are shown as what a prediction was made of
HEADS = 4  # blocks whose attention is shown
COMPARED = 4  # test images that all methods are asked about, in a report that shows no others
AFFORDED = 1e12  # multiply-accumulates for that; one image may take four times as many


def compared_photos(loaded: Loaded, photos: Sequence[Photo]) -> frozenset[str]:
    """The photos whose answers all methods are asked about: those that somebody chose, else the first test images."""
    chosen = [photo.id for photo in photos if photo.origin != "test"]
    first = [photo.id for photo in photos]
    return frozenset(chosen or first[: explained_in_every_way(photos, sum(loaded.costs.values()))])


def explained_in_every_way(photos: Sequence[Photo], cost: int) -> int:
    """How many photos all methods are asked about.

    Args:
        cost: of all methods for one of them, in multiply-accumulates.
    """
    if chosen := sum(photo.origin != "test" for photo in photos):
        return chosen
    return min(len(photos), COMPARED, max(int(cost <= 4 * AFFORDED), int(AFFORDED // max(1, cost))))


@dataclass(frozen=True, eq=False)
class Posed:
    """A photo for a network, and its class among the network's."""

    photo: Photo
    label: int | None


def photo_arrays(
    loaded: Loaded,
    photo: Photo,
    label: int | None,
    others: Sequence[Question],
    compared: bool = False,
    first: str = GRAD_CAM,
    recorded: Mapping[str, Arrays] | None = None,
) -> dict[str, NDArray[Any]]:
    """One photo through the network: see `photos_arrays`."""
    return photos_arrays(loaded, [Posed(photo, label)], others, compared, first, recorded)[0]


def photos_arrays(
    loaded: Loaded,
    posed: Sequence[Posed],
    others: Sequence[Question],
    compared: bool = False,
    first: str = GRAD_CAM,
    recorded: Mapping[str, Arrays] | None = None,
) -> list[dict[str, NDArray[Any]]]:
    """Photos through the network together, each as arrays that a cache can hold: see `explanation`.

    Args:
        others: what else to explain; of single classes only those that are not explained already.
        compared: whether the answers are explained in all the ways that `methods` knows.
        first: the method that explains the classes, see `soundness.first`.
        recorded: maps on record, by the photos' digests, see `comparison.kept`.
    """
    known = recorded or {}
    given = [seen(one.photo.pixels, loaded.input) for one in posed]
    images = loaded.normalised(given)
    layer, staged = loaded.layer, layers.stages(loaded)
    watched = [*comparison.earlier(loaded, first, compared), *([layer] if layer else [])]
    try:
        with explain.one_pass(loaded.network, images, layouts(loaded, watched), kept=staged) as one:
            logits = one.logits.detach()
            found = one.gradients(logits.argmax(1))
            explained = _explained(loaded, images, one, posed, others, first) if layer else [{} for _ in posed]
    except InputError:
        with torch.no_grad():  # which may tell of it what no explanation knows
            require_finite(loaded.network(images), loaded.network)
        raise
    heads = explain.attention_heads(loaded.network, images) if loaded.attends else {}
    blocks = layers.evenly(list(enumerate(heads, 1)), HEADS)
    on_record = [known.get(one.photo.digest) for one in posed]
    every = comparison.compared(loaded, images, logits, found, first, on_record) if compared else []
    results = []
    for place, each in enumerate(posed):
        arrays = {f"stage {loaded.stages.index(name) + 1} {name}": array_of(one.maps[name][place]) for name in staged}
        arrays |= {f"heads {number} {name}": array_of(heads[name][place]) for number, name in blocks}
        arrays |= every[place] if every else {}
        arrays |= {"seen": in_colour(given[place]), "logits": array_of(logits[place])}
        arrays |= {"layer": np.array(layer), "first": np.array(first)}
        if layer:
            arrays |= _made(loaded, one.maps[layer][place], found[layer].contributions()[place]) | explained[place]
        _require_finite_maps(loaded, each.photo, arrays)
        results.append(arrays)
    return results


def _require_finite_maps(loaded: Loaded, photo: Photo, arrays: Arrays) -> None:
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputError(
                f"{loaded.title}: {photo.title}: expected finite numbers, found NaN or infinity in {name!r}, though "
                "the logits are finite: what lies before them grows beyond float32; train it again or name another file"
            )


def layouts(loaded: Loaded, names: Sequence[str]) -> dict[str, Layout | None]:
    """How the cells of layers stand, as far as the points of the network tell."""
    points = {name: loaded.points.named(name) for name in names}
    return {name: point.layout if point is not None and point.form else None for name, point in points.items()}


def _explained(
    loaded: Loaded, images: Tensor, one: OnePass, posed: Sequence[Posed], others: Sequence[Question], first: str
) -> list[dict[str, NDArray[Any]]]:
    """Of each photo the heat maps of the target classes and of each question, by its role."""
    logits = one.logits.detach()
    targets = [_targets(row, each.label, first) for row, each in zip(logits, posed, strict=True)]
    questions = [questions_of(array_of(row), each.label, others) for row, each in zip(logits, posed, strict=True)]
    asked: list[list[int | Target]] = [
        [*classes, *(Target(each.of, each.against) for each in of.values())]
        for classes, of in zip(targets, questions, strict=True)
    ]
    if first == GRAD_CAM:
        # Each image has as many targets as the one with most: some are asked twice then.
        most = max(len(each) for each in asked)
        filled = [[*each, *each[:1] * (most - len(each))] for each in asked]
        cams = [*one.grad_cam(loaded.layer, [*zip(*filled, strict=True)])]
    else:
        cams = [
            METHODS[first](loaded.network, image.expand(len(each), -1, -1, -1), each, loaded.layer)
            for image, each in zip(images, asked, strict=True)
        ]
    return [
        {
            "targets": np.array(classes, np.int64),
            "cams": array_of(maps[: len(classes)]),
            **{f"asked {role}": array_of(cam) for role, cam in zip(of, maps[len(classes) :], strict=False)},
        }
        for classes, of, maps in zip(targets, questions, cams, strict=True)
    ]


def _made(loaded: Loaded, maps: Tensor, contributions: Tensor) -> dict[str, NDArray[Any]]:
    """The channels that an answer is made of, at the layer explained.

    Args:
        maps, contributions: (C, h, w) and (C,) of that layer.
    """
    most = contributions.sort(descending=True, stable=True).indices[:CONTRIBUTORS]
    return {
        "contributions": array_of(contributions),
        "contributors": array_of(most),
        "contributor maps": array_of(maps[most]),
        "contributor layer": np.array(source(loaded.points, loaded.layer) or loaded.layer),
    }


def explanation(
    photo: str, label: int | None, others: Sequence[Question], arrays: Arrays, *, apart: bool = False
) -> Explanation:
    """The record of what `photo_arrays` found.

    Args:
        apart: each class has a probability of its own, the sigmoid of its logit.
    """
    logits = arrays["logits"].astype(np.float32)
    chances = _probabilities(logits, apart)
    maps = [(key.split(" ", 2), value) for key, value in arrays.items() if key.startswith("stage ")]
    heads = [(key.split(" ", 2), value) for key, value in arrays.items() if key.startswith("heads ")]
    return Explanation(
        photo=photo,
        seen=arrays["seen"].astype(np.uint8),
        logits=logits,
        probabilities=chances,
        label=label,
        layer=str(arrays["layer"]),
        stages=tuple(
            StageMaps(name, f"{stage} {number}", value.astype(np.float32)) for (stage, number, name), value in maps
        ),
        heads=tuple(StageMaps(name, f"block {number}", value.astype(np.float32)) for (_, number, name), value in heads),
        replies={
            role: _replied(question, logits, chances, arrays[f"asked {role}"], apart)
            for role, question in questions_of(logits, label, others).items()
            if f"asked {role}" in arrays  # of a network without a layer to look at there are no maps
        },
        comparison=comparison_of(arrays),
        method=str(arrays["first"]),
        **(_made_of(arrays) if str(arrays["layer"]) else {"targets": (), "cams": np.zeros((0, 1, 1), np.float32)}),
    )


def _made_of(arrays: Arrays) -> dict[str, Any]:
    """What `_explained` found, by the names of the record."""
    return {
        "targets": tuple(arrays["targets"].tolist()),
        "cams": arrays["cams"].astype(np.float32),
        "contributions": arrays["contributions"].astype(np.float32),
        "contributors": tuple(arrays["contributors"].tolist()),
        "contributor_maps": arrays["contributor maps"].astype(np.float32),
        "contributor_layer": str(arrays["contributor layer"]),
    }


def _targets(logits: Tensor, label: int | None, first: str) -> list[int]:
    """All classes of a small network; of a large one the predicted, the runner-up and the true one."""
    if len(logits) <= (ALL_CLASSES if first == GRAD_CAM else EACH_ALONE):
        return list(range(len(logits)))
    named = [*logits.topk(2).indices.tolist(), label]
    return list(dict.fromkeys(target for target in named if target is not None))


def questions_of(logits: Floats, label: int | None, others: Sequence[Question]) -> dict[str, Question]:
    """What is asked beside the classes that are explained anyway, by its role on the page.

    The answer against the true class, which it was taken for, or where it is right against its second choice: why this
    and not that. And what report.toml asks for, without what is shown already.
    """
    ranking = np.argsort(-logits, kind="stable")
    shown = {int(index) for index in ranking[:2]} | ({label} if label is not None else set())
    found: dict[str, Question] = {}
    if len(logits) > 1:
        answer, second = int(ranking[0]), int(ranking[1])
        found["rival"] = Question((answer,), (second if label in (None, answer) else label,))
    for one in others:
        single = one.of[0] if len(one.of) == 1 and not one.against else None
        if single not in shown and one not in found.values():
            number = sum(role.startswith("other") for role in found) + 1
            found["other" if number == 1 else f"other-{number}"] = one
    return found


def _probabilities(logits: Floats, apart: bool) -> Floats:
    """(K,) of each class, alone or among all."""
    if apart:
        alone: Floats = torch.from_numpy(logits).sigmoid().numpy()
        return alone
    shifted = np.exp(logits - logits.max())
    among: Floats = shifted / shifted.sum()
    return among


def _replied(question: Question, logits: Floats, chances: Floats, cam: Floats, apart: bool) -> Replied:
    """A question's map, with the sum of logits that was asked for, and how probable that is: `targets.chances_of`."""
    of, against = (logits[list(named)] for named in (question.of, question.against))
    worth = float(of.sum() - against.sum())
    if question.of and question.against:
        probability = float(1 / (1 + np.exp(-worth)))
    else:
        named = chances[list(question.of or question.against)]
        together = float(named.prod() if apart else named.sum())
        probability = together if question.of else 1 - together
    return Replied(question, cam.astype(np.float32), worth, probability)
