"""Every group of figures that a report has, each with what it depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from generator.base.digest import digest
from generator.records.figure import Figure
from generator.records.network import Network
from generator.records.report import Report
from generator.report.data import figures
from generator.report.evaluation import mistakes
from generator.report.evaluation.figures import evaluation_figures
from generator.report.feature_maps.figures import feature_map_figures
from generator.report.filters import convolutions, prototypes, units, weights
from generator.report.grad_cam.contributions import contribution_figures
from generator.report.grad_cam.figures import failure_figures, grad_cam_figures
from generator.report.overview import choices, tile
from generator.report.training import curves
from generator.report.trust.figures import trust_figures

Job = tuple[tuple[object, ...], Callable[[], tuple[Figure, ...]]]


def common_jobs(report: Report) -> Iterator[Job]:
    """The groups of figures that are of no one network."""
    told = [(one.title, one.weights_digest, one.class_names, one.own, one.input) for one in report.networks]
    photos = digest(report.photos)  # once, as below: what is large and many groups depend on
    yield ("photos", photos), partial(figures.photo_figures, report.photos)
    yield ("header", told, photos), partial(tile.header_tile, report)
    yield ("choices", told, photos), partial(choices.choice_figures, report)
    yield ("data", report.data), partial(figures.data_figures, report)


def network_jobs(report: Report, network: Network) -> Iterator[Job]:
    """The groups of figures of one network."""
    scale = weights.first_layer_scale([network])
    said = digest(network.anchor, network.title, network.class_names, network.own, network.input)
    scores, layers = digest(network.evaluation), [digest(layer) for layer in network.layers]
    photos = {photo.id: photo for photo in report.photos}
    wrong = [(photos[photo], network.explanations[photo]) for photo in network.failures]
    yield ("training", said, network.runs, network.snapshots), partial(curves.training_figures, network)
    yield ("evaluation", said, scores), partial(evaluation_figures, network)
    yield ("trust", said, layers, scores), partial(trust_figures, network)
    drawn = weights.pictured(network)
    yield ("filters", said, drawn, scale), partial(weights.filter_figures, network, scale)
    if network.pageless:
        yield ("convolutions", said, network.weights_digest), partial(convolutions.convolution_table, network)
    yield ("mistakes", said, scores, dict(network.mistaken)), partial(mistakes.mistake_figures, network)
    yield ("failures", said, wrong), partial(failure_figures, network, report.photos)
    yield ("class images", said, network.class_images), partial(prototypes.class_image_figures, network)
    searched = network.examined.digest if network.examined else ""
    patches = {one.layer: one for one in network.patches}
    for layer, looks in zip(network.layers, layers, strict=True):
        found = patches.get(layer.name)
        yield ("units", said, looks, found, searched, scale), partial(units.unit_figures, network, layer, scale)
    for photo in (one for one in report.photos if network.present and one.id in network.explanations):
        asked = digest(said, photo, network.explanations[photo.id])
        yield ("maps", asked), partial(feature_map_figures, network, photo)
        yield ("cam", asked, network.weights_digest), partial(grad_cam_figures, network, photo)
        parts = asked, network.weights_digest, searched  # channels are shown by patches of other images
        yield ("channels", *parts), partial(contribution_figures, network, photo)
