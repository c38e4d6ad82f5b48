"""The record of one network: its layers, its channels, and what its maps mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from generator.data import samples
from generator.data.dataset import DataSet
from generator.data.predictions import Predictions
from generator.explain.choice import LEARNT, Choice
from generator.explain.layers import rows
from generator.explain.methods import METHODS, left_out
from generator.explain.points import head
from generator.inspection import layers, soundness
from generator.inspection.layers import NOT_ASKED, Asked
from generator.networks.folder import load_benchmark, load_card, load_runs, load_snapshots
from generator.networks.loaded import Loaded
from generator.records.images import Photo
from generator.records.input import UNKNOWN
from generator.records.network import GRAD_CAM, ClassImages, Examined, Explanation, Fact, LayerPatches, Network
from generator.records.scores import Evaluation
from generator.records.training import Run
from generator.records.trust import Check

GAP_NOTE = (
    "The head is a global average pooling and one linear layer, so Grad-CAM of the maps before it equals the class "
    "activation map of Zhou et al. 2016: up to the bias, the sum of the map's cells before its ReLU is the class's "
    "logit."
)
MAX_NOTE = (
    "The head takes each channel's maximum and passes these through one linear layer. A channel's weight in Grad-CAM "
    "is then its weight for the class, as in the class activation map of Zhou et al. 2016; but only a "
    "channel's strongest place counts in the logit, while the map shows all its places."
)
FLATTENED_NOTE = (
    "The head flattens its maps and passes them through fully connected layers. There Grad-CAM averages gradients over "
    "positions that the head treats differently, and nothing guarantees that a highlighted place raised the class's "
    "logit (Draelos and Carin 2020, arXiv:2011.08891)."
)


def network_record(
    loaded: Loaded,
    explanations: Mapping[str, Explanation],
    failures: Sequence[str],
    evaluation: Evaluation | None,
    examined: Examined | None = None,
    strongest: Sequence[LayerPatches] = (),
    made: ClassImages | None = None,
    logged: Sequence[Run] = (),
    asked: Asked = NOT_ASKED,
    tried: tuple[Sequence[str], Mapping[str, str]] | None = None,
    checks: Sequence[Check] = (),
) -> Network:
    """All that the report tells of one network; the records of its training come from its folder.

    Args:
        logged: what the logs of other programs tell of its training, see `training.logs`.
        examined, strongest: the images that were searched, and what `layer_patches` found in them.
        made: of `class_images_of`.
        asked: what channels gave to answers, by which a large network's are chosen.
        tried: the methods that can explain it, and why others cannot, where that is known already.
        checks: what the build found of the maps by methods that no evaluation measured.
    """
    able, why_not = loaded.methods if tried is None else tried
    shown, pageless = layers.records(loaded, asked)
    folder = loaded.folder
    failed, first, beware = _checked(loaded, evaluation, able, checks)
    return Network(
        id=loaded.id,
        title=loaded.title,
        class_names=loaded.class_names,
        parameters=loaded.parameters,
        macs=loaded.macs,
        input=loaded.input,
        summary=rows(loaded.points),
        weights_source=loaded.source,
        weights_digest=loaded.digest,
        notes=(*loaded.notes, *left_out({**why_not, **failed}), *beware),
        layers=shown,
        explanations=soundness.without(explanations, failed),
        runs=(*(load_runs(folder) if folder else ()), *logged),
        evaluation=evaluation,
        snapshots=load_snapshots(folder) if folder else {},
        card=load_card(folder) if folder else "",
        cam_note=_cam_note(loaded, first),
        failures=tuple(failures),
        benchmark=load_benchmark(folder) if folder else None,
        examined=examined,
        patches=tuple(strongest),
        class_images=made,
        pageless=pageless,
        selected=layers.selected(loaded),
        blocks=layers.blocks(loaded),
        stages=len(loaded.stages),
        asked=asked.said if asked.gave else "",
        facts=facts(loaded),
        checks=tuple(checks),
        multi_label=loaded.multi_label,
    )


def predictions_record(
    found: Predictions,
    data: DataSet,
    photos: Sequence[Photo],
    failures: Sequence[str],
    evaluation: Evaluation,
    logged: Sequence[Run] = (),
) -> Network:
    """All that the report tells of a network of which only the answers are known.

    Args:
        photos: the report's; it answered those that are images of the data set.
        failures, logged: as `network_record`.
    """
    return Network(
        id=found.wanted.id,
        title=found.title,
        class_names=data.classes.names,
        parameters=None,
        macs=None,
        input=UNKNOWN,
        summary=(),
        weights_source=found.source,
        weights_digest=found.digest,
        notes=found.notes,
        layers=(),
        explanations={one.photo: one for one in _answers(found, data, photos)},
        runs=tuple(logged),
        evaluation=evaluation,
        failures=tuple(failures),
        facts=found.facts,
    )


def _answers(found: Predictions, data: DataSet, photos: Sequence[Photo]) -> Iterator[Explanation]:
    """What was answered to the photos that are judging images; as they come, for what was made of them is not known."""
    assert data.judged is not None
    rows = {name: row for row, name in enumerate(samples.ids(data.judged).values())}
    for photo in photos:
        if photo.origin == "test" and photo.id in rows:
            logits = found.logits[data.judged.name][rows[photo.id]]
            shifted = np.exp(logits - logits.max())
            yield Explanation(
                photo=photo.id,
                seen=photo.pixels,
                logits=logits,
                probabilities=shifted / shifted.sum(),
                label=photo.label,
                layer="",
                targets=(),
                cams=np.zeros((0, 1, 1), np.float32),
                stages=(),
            )


def _checked(
    loaded: Loaded, evaluation: Evaluation | None, able: Iterable[str], checks: Sequence[Check]
) -> tuple[dict[str, str], str, tuple[str, ...]]:
    """The methods that failed what was measured and are not shown, with the reasons; the first, and what is said of it.

    Its maps are all over the report, so they are shown with a warning where it failed.
    """
    found = soundness.measured(evaluation, loaded.layer)
    first, why = soundness.first(able, found)
    failed = {name: reason for name, reason in soundness.unfit(found, checks).items() if name in able}
    shown = first if first in able else next(iter(able))  # of a network without a layer
    reason = failed.pop(shown, "")
    beware = f"Do not trust {shown} here: {reason}." if reason else ""
    return failed, first, tuple(said for said in (why, beware) if said)


NAMED = 3  # layers that could be explained, too
EARLY = 0.6  # of the layers with weights, after which a layer is called early

NOTES = {"average": GAP_NOTE, "maximum": MAX_NOTE, "flattened": FLATTENED_NOTE, "": ""}


def facts(loaded: Loaded) -> tuple[Fact, ...]:
    """How a network was read, each fact with its origin."""
    return (*loaded.facts, _layer(loaded))


def _layer(loaded: Loaded) -> Fact:
    """The layer that is explained, and who chose it."""
    if not loaded.layer:
        return Fact("layer explained", "none", "inferred", loaded.no_layer)
    if loaded.proof is not None:
        return Fact("layer explained", loaded.layer, "declared", f"{loaded.wanted.said_in}{_proved(loaded.proof)}")
    if loaded.architecture.layer:
        return Fact("layer explained", loaded.layer, "read", f"it is known of {loaded.architecture.title}")
    if loaded.choice is not None and loaded.choice.reached is not None:
        later = [f"{candidate.layer} ({candidate.reached})" for candidate in reversed(loaded.choice.later)]
        tried = f"; after it there are {_some(later)}" if later else ""
        earlier = [candidate.layer for candidate in loaded.choice.earlier]
        others = f"; before it {_some(earlier)}" if earlier else ""
        return Fact("layer explained", loaded.layer, "measured", f"{_last_cells(loaded.choice)}{tried}{others}")
    return Fact("layer explained", loaded.layer, "inferred", "the last convolution’s maps, rectified and not pooled")


def _cam_note(loaded: Loaded, first: str) -> str:
    """What Grad-CAM stands on, and what it guarantees for the network's head."""
    if not loaded.layer:
        return ""
    choice = loaded.choice
    if choice is None or choice.reached is None:
        return NOTES[head(loaded.points, loaded.layer)]
    cells = "tokens" if choice.layout.form == "tokens" else "cells"
    by = first if "layer" in METHODS[first].asks else GRAD_CAM
    said = f"{by} looks at the {cells} of {choice.layer}, {_last_cells(choice)}."
    if choice.later and not any(candidate.reached for candidate in choice.later):
        said += f" After it, as at {choice.later[-1].layer}, none does: the head reads other tokens."
    return said + _early(loaded)


def _early(loaded: Loaded) -> str:
    """What is said of a layer that most of a network's layers come after; "" of another."""
    numbers = [point.number for point in loaded.points if point.row and point.kind in LEARNT]
    chosen = loaded.points.named(loaded.layer)
    after = sum(number > chosen.number for number in numbers) if chosen is not None else 0
    if after <= EARLY * len(numbers):
        return ""
    return (
        f" It is early in the network: {after} of its {len(numbers)} layers with weights come after it, "
        "and no map tells what these make of its cells."
    )


def _last_cells(choice: Choice) -> str:
    """What was proved of the layer."""
    rows, columns = choice.layout.grid
    return (
        f"the last output whose {rows} × {columns} cells are known to lie over the photo, and where more than one of "
        f"them moves the logits ({choice.reached} of {rows * columns} do)"
    )


def _proved(choice: Choice) -> str:
    """What was proved of a layer that somebody named."""
    rows, columns = choice.layout.grid
    moved = f", and {choice.reached} of them move the logits" if choice.reached is not None else ""
    return f"; its {rows} × {columns} cells are known to lie over the photo{moved}"


def _some(names: Sequence[str]) -> str:
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")
