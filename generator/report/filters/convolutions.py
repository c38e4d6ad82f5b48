"""The table of all convolutions of a network that has pages for some of its layers only."""

from __future__ import annotations

import numpy as np

from generator.records.figure import Figure, Table
from generator.records.network import Layer, Network
from generator.report.plates.numbers import dead, duplicates, norms
from generator.report.plates.wording import cell

ROWS = 200  # of the table on the page, which has 300 KiB; the data behind it have all
HEAD = ("convolution", "weights", "stride", "a unit sees", "dead", "duplicates", "least norm", "median", "largest")


def convolution_table(network: Network) -> tuple[Figure, ...]:
    """A row for each convolution, in the order in which they run: what it is, and its filters in numbers."""
    rows = tuple(_row(layer) for layer in network.convolutions)
    lost, repeated = (sum(int(row[column]) for row in rows) for column in (4, 5))
    filters = sum(layer.channels for layer in network.convolutions)
    finding = f"of {filters:,} filters {lost:,} are dead and {repeated:,} repeat another"
    first = len(rows) > ROWS
    caption = f"All {len(rows)} convolutions of {network.title}: {finding}."
    if first:
        caption += f" The first {ROWS} of them stand here, all in the data."
    return (
        Figure(
            f"{network.anchor}-convolutions",
            f"Table of the {len(rows)} convolutions of {network.title}: {finding}.",
            caption,
            table=Table(HEAD, rows[:ROWS]),
            data=Table(HEAD, rows) if first else None,
        ),
    )


def _row(layer: Layer) -> tuple[str | int | float, ...]:
    weights = layer.weights
    assert weights is not None
    sizes = norms(weights)
    sees = f"{layer.receptive_field}\u00a0px" if layer.receptive_field else "the whole image"
    marks = (len(dead(sizes)), len(duplicates(weights)))
    spread = (cell(float(value), 4) for value in (sizes.min(), np.median(sizes), sizes.max()))
    return layer.name, "\u00a0×\u00a0".join(map(str, weights.shape)), layer.stride, sees, *marks, *spread
