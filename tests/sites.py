"""A small finished site with real figures for the tests of what happens to a site after it was built; no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from generator import config, exhibits, writer
from generator.pages import render
from generator.records import Figure, Report
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
    found = [*exhibits.photos(report.photos), *exhibits.header_tile(report), *exhibits.data_figures(report)]
    for network in report.networks:
        scale = exhibits.first_layer_scale([network])
        found += [*exhibits.training(network), *exhibits.evaluation(network), *exhibits.filters(network, scale)]
        found += [*exhibits.failures(network, report.photos), *exhibits.class_images(network)]
        found += [*exhibits.trust(network), *exhibits.mistakes(network)]
        for layer in network.layers:
            found += exhibits.units(network, layer, scale)
        for photo in report.photos:
            found += [*exhibits.feature_maps(network, photo), *exhibits.grad_cam(network, photo)]
    return found


@cache
def drawn() -> tuple[Report, Mapping[str, Figure]]:
    """The synthetic report with its real figures."""
    small = synthetic.report()
    report = replace(small, networks=tuple(map(synthetic.complete, small.networks)))
    return report, {figure.id: figure for figure in figures_of(report)}


def settings(**said: Any) -> config.Config:
    """The program's own report.toml with other words in [report]."""
    read = config.load(ROOT / "report.toml")
    return replace(read, path=None, report=replace(read.report, **said))


def files(**said: Any) -> dict[str, bytes]:
    """A site's files."""
    report, figures = drawn()
    return dict(render(report, figures, settings(**said), (ROOT / "templates",), ROOT / "content"))


def place(folder: Path, **said: Any) -> Path:
    """The site, built into `folder`."""
    writer.place(files(**said), folder, {"inputs": "1"})
    return folder
