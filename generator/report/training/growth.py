"""The first layer's filters over the epochs: how what the filters page shows came to be."""

from __future__ import annotations

import numpy as np

from generator.figures import raster
from generator.records.figure import Figure, Table
from generator.records.images import Floats
from generator.records.network import Network
from generator.report.plates.frames import framed
from generator.report.plates.numbers import BULK, norms
from generator.report.plates.painting import painted_kernels
from generator.report.plates.wording import cell, listed, number, percent

MOST_FILTERS = 16  # columns of the strip: as many as are still seen on a phone
SIDE = 24  # stored pixels of a filter, about
GAP = 2
SIGNED = "blue is negative, white zero, red positive{}"


def growth(network: Network) -> Figure:
    """A row an epoch, a column a filter: how the first layer's weights come to be."""
    epochs = sorted(network.snapshots)
    final = network.snapshots[epochs[-1]]
    order = np.argsort(-norms(final), kind="stable")[:MOST_FILTERS]
    scale = float(np.quantile(np.abs(final), BULK)) or 1.0
    colour = final.shape[1] == network.input.channels == 3
    rows = [painted_kernels(network.snapshots[epoch][order], scale, network.input) for epoch in epochs]
    inputs = "" if final.shape[1] == 1 else ", of each filter the part for the first channel"
    factor = max(1, round(SIDE / max(final.shape[2:])))
    pixels = raster.mosaic(np.concatenate(rows), len(order), factor, GAP)
    likeness = [_likeness(network.snapshots[epoch], final) for epoch in epochs]
    settled = next((e for e, since in zip(epochs, _least_after(likeness), strict=True) if since >= 0.9), epochs[-1])
    finding = f"from epoch {settled} on the layer’s weights correlate with the last ones by 0.9 or more"
    alt = (
        f"Strip of {len(order)} first-layer filters of {network.title} after the epochs "
        f"{listed([str(epoch) for epoch in epochs])}: {finding}."
    )
    caption = (
        f"{network.title}, first layer: the {len(order)} of {len(final)} filters that end with the largest weights, "
        f"one a column; rows from top to bottom: after epoch {listed([str(epoch) for epoch in epochs])}. One scale for "
        f"all: −{number(scale)} to {number(scale)}, within which {percent(BULK, 0)} of the last weights lie; "
        f"{'zero is mid-grey' if colour else SIGNED.format(inputs)}. What to notice: {finding}."
    )
    table = Table(
        ("epoch", "mean norm of a filter", "correlation with the last epoch"),
        tuple(
            (epoch, cell(float(norms(network.snapshots[epoch]).mean()), 4), cell(value, 3))
            for epoch, value in zip(epochs, likeness, strict=True)
        ),
    )
    return framed(f"{network.anchor}-first-layer-epochs", pixels, alt=alt, caption=caption, pixelated=True, table=table)


def _likeness(weights: Floats, final: Floats) -> float:
    """Correlation about zero of two states of one layer: 1 where they point the same way."""
    a, b = weights.astype(np.float64).ravel(), final.astype(np.float64).ravel()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size > 0 else 0.0


def _least_after(values: list[float]) -> list[float]:
    """For each value the least of it and all that follow."""
    return [min(values[index:]) for index in range(len(values))]
