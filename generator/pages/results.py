"""results.json: every number that the pages show, straight from the records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from generator.pages.network_script import Shipped
from generator.pages.sources import plain
from generator.records.report import Report
from generator.report.filters.facts import LayerPage
from generator.report.grad_cam.facts import Look
from generator.report.portrait import Portrait
from generator.report.training.facts import benchmark
from generator.report.trust.undecided import undecided


def results(report: Report, portraits: tuple[Portrait, ...], live: Shipped | None = None, tile: str = "") -> Any:
    """In JSON's types.

    Args:
        live: what the page that runs a network loads.
        tile: what the teaser shows, in words: no page has it, portfolios do.
    """
    content = {
        "environment": report.environment,
        "notes": report.notes,
        "tile": tile,
        "data": _data(report),
        "photos": [_photo(report, photo) for photo in report.photos],
        "networks": {portrait.id: _network(portrait) for portrait in portraits},
        "live": _live(live) if live else None,
        "benchmark": benchmark(report),
    }
    return plain(content)


def _live(shipped: Shipped) -> Mapping[str, Any]:
    live = shipped.live
    kept = ("network", "layer", "explained", "photos", "difference", "maps")
    return {key: getattr(live, key) for key in kept} | {"bytes": shipped.size, "bits": shipped.bits}


def _data(report: Report) -> Mapping[str, Any]:
    data = report.data
    kept = ("name", "class_names", "wnids", "counts", "per_class", "present", "digest", "skipped")
    return {key: getattr(data, key) for key in kept} | {
        # What a class that is shown by another name is called in the data, and so in addresses.
        **({"own_names": data.own} if data.own else {}),
        "chance": 1 / len(data.class_names) if data.class_names else None,
        "source": data.words.source,
        "sizes": data.words.sizes,
    }


def _photo(report: Report, photo: Any) -> Mapping[str, Any]:
    label = None if photo.label is None else report.data.class_names[photo.label]
    kept = ("id", "title", "origin", "shows", "box", "credit", "digest")
    return {key: getattr(photo, key) for key in kept} | {"label": label, "pixels": photo.pixels.shape[:2]}


def _network(portrait: Portrait) -> Mapping[str, Any]:
    network = portrait.record
    kept = ("title", "class_names", "parameters", "macs", "summary", "weights_source", "weights_digest")
    high, wide = network.input.size
    return {key: getattr(network, key) for key in kept} | {
        "input_size": None if not network.present else high if high == wide else [high, wide],
        "notes": network.notes,
        **({"multi_label": True} if network.multi_label else {}),
        "convolutions": len(network.convolutions),
        "layers": [_layer(layer) for layer in portrait.layers],
        "blocks": network.blocks,
        **({"selection": portrait.selection} if portrait.selection else {}),
        "patches_from": network.examined.said if network.examined else None,
        "class_images": portrait.made,
        "runs": [run.written for run in network.runs],
        "evaluation": network.evaluation,
        "photos": {look.photo.id: _look(look, network.class_names) for look in portrait.looks},
        **({"checks": network.checks} if network.checks else {}),
        **({"undecided": found} if (found := undecided(network)) else {}),
        "photos_judged": len(portrait.judged),
        "photos_right": len(portrait.right),
    }


def _layer(layer: LayerPage) -> Mapping[str, Any]:
    """A layer that has a page; of others there are no more than the numbers behind the table of all convolutions."""
    record, weights = layer.record, layer.record.weights
    return (
        {key: getattr(record, key) for key in ("name", "title", "stride", "padding", "receptive_field", "jump")}
        | {
            "weights": None if weights is None else weights.shape,
            "extreme": None if weights is None else np.abs(weights).max(initial=0),
        }
        | ({"extent": record.extent} if record.extent else {})
        | ({} if record.chosen is None else {"channels": record.channels, "size": record.size})
        | {mark: layer.marked(mark) for mark in ("dead", "repeats", "silent")}
        | {"units": _units(layer)}
    )


def _units(layer: LayerPage) -> Mapping[str, Any]:
    """What is told of each channel, in the order of the channels; marks by channel, for few have one.

    Of channels that were chosen the others have their marks alone.
    """
    columns = ("norm", "answer", "active", "shows")
    chosen = layer.record.chosen is not None
    units = layer.listed if chosen else layer.units
    told = {
        name: [getattr(unit, name) for unit in units] for name in (*columns, *(("channel", "gave") if chosen else ()))
    }
    return told | {"marks": {unit.channel: unit.mark for unit in layer.units if unit.mark}}


def _look(look: Look, class_names: tuple[str, ...]) -> Mapping[str, Any]:
    seen = look.explanation
    mapped = [*zip(seen.targets, seen.cams, strict=True)]
    stages = [
        {
            "layer": stage.layer,
            "shape": stage.maps.shape,
            "mean": stage.maps.mean(),
            "maximum": stage.maps.max(initial=0),
            "zero_maps": int((stage.maps.max(axis=(1, 2), initial=0) <= 0).sum()),
        }
        for stage in seen.stages
    ]
    return {
        "predicted": look.predicted.name,
        "true": look.truth.name if look.truth else None,
        "rank_of_true": look.rank,
        "top": look.top,
        "cam_layer": seen.layer or None,
        "contributors": {one.channel: one.value for one in look.contributors},
        "maps": [
            {
                "class": class_names[target],
                "logit": seen.logits[target],
                "probability": seen.probabilities[target],
                "maximum": cam.max(initial=0),
            }
            for target, cam in mapped
        ],
        "asked": {
            role: {
                "of": [class_names[index] for index in reply.question.of],
                "against": [class_names[index] for index in reply.question.against],
                "logit": reply.logit,
                "probability": reply.probability,
                "maximum": reply.cam.max(initial=0),
            }
            for role, reply in seen.replies.items()
        },
        "ways": [{"name": way.name, "asks": way.asks, "shows": way.shows} for way in look.ways],
        "stages": stages,
    }
