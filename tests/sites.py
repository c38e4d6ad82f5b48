"""A small finished site with real figures for the tests of what happens to a site after it was built; no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from generator.config import reading, schema
from generator.pages import render
from generator.publishing import writer
from generator.records.figure import Figure
from generator.records.report import Report
from generator.report.data.figures import data_figures, photo_figures
from generator.report.evaluation import mistakes
from generator.report.evaluation.figures import evaluation_figures
from generator.report.feature_maps.figures import feature_map_figures
from generator.report.filters import convolutions, prototypes, units, weights
from generator.report.grad_cam.contributions import contribution_figures
from generator.report.grad_cam.figures import failure_figures, grad_cam_figures
from generator.report.overview import choices, tile
from generator.report.training import curves
from generator.report.trust.figures import trust_figures
from tests import synthetic

ROOT = Path(__file__).parent.parent
# One page of each kind.
PAGES = (
    "index", "data", "training", "evaluation", "evaluation-cnn-mistakes", "filters", "filters-cnn-conv2",
    "feature-maps", "feature-maps-slice", "grad-cam", "grad-cam-slice", "failures", "trust", "try", "about", "404",
)  # fmt: skip
EVERY = (
    *PAGES, "evaluation-alexnet-mistakes", "filters-cnn-conv1", "filters-alexnet-conv1", "filters-alexnet-conv2",
    "feature-maps-bee", "feature-maps-koala", "grad-cam-bee", "grad-cam-koala",
)  # fmt: skip


def figures_of(report: Report) -> list[Figure]:
    """All figures of a report, as a build draws them."""
    found = [*photo_figures(report.photos), *tile.header_tile(report), *choices.choice_figures(report)]
    found += data_figures(report)
    for network in report.networks:
        scale = weights.first_layer_scale([network])
        found += [
            *curves.training_figures(network),
            *evaluation_figures(network),
            *weights.filter_figures(network, scale),
        ]
        found += [*failure_figures(network, report.photos), *prototypes.class_image_figures(network)]
        found += [*trust_figures(network), *mistakes.mistake_figures(network)]
        if network.pageless:
            found += convolutions.convolution_table(network)
        for layer in network.layers:
            found += units.unit_figures(network, layer, scale)
        for photo in report.photos:
            found += [*feature_map_figures(network, photo), *grad_cam_figures(network, photo)]
            found += contribution_figures(network, photo)
    return found


@cache
def drawn() -> tuple[Report, Mapping[str, Figure]]:
    """The synthetic report with its real figures."""
    small = synthetic.report()
    report = replace(small, networks=tuple(map(synthetic.complete, small.networks)))
    return report, {figure.id: figure for figure in figures_of(report)}


def settings(**said: Any) -> schema.Config:
    """The program's own report.toml with other words in [report]."""
    read = reading.load(ROOT / "report.toml")
    return replace(read, path=None, report=replace(read.report, **said))


def files(**said: Any) -> dict[str, bytes]:
    """A site's files."""
    report, figures = drawn()
    return dict(render(report, figures, settings(**said), (ROOT / "templates",), ROOT / "content"))


def place(folder: Path, **said: Any) -> Path:
    """The site, built into `folder`."""
    writer.place(files(**said), folder, {"inputs": "1"})
    return folder
