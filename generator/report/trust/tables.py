"""The measurements of the heat maps as tables."""

from __future__ import annotations

from generator.records.figure import Table
from generator.records.trust import Compared, Faithfulness
from generator.report.plates.wording import cell, digits_of, percent_cell
from generator.report.trust.measurements import (
    BASELINES,
    difference,
    interval,
    kind_of_boxes,
    localisations,
    number_of,
    share_cell,
    signed,
)

DIGITS = 2  # of all values of a column: percentages as the correlations and similarities below them

# Tables


def all_measurements(found: Faithfulness) -> Table:
    """A row for each measure and method, a column for each baseline: its value, and how far the method is ahead."""
    rows: list[tuple[str | int | float, ...]] = []
    for small in (False, True):
        located, boxes = localisations(found, small), kind_of_boxes(small)
        rows += [_row(f"pointing game, {boxes}", row.method, row.count, row.pointing) for row in located]
        rows += [_row(f"energy in the box, {boxes}", row.method, row.count, row.energy) for row in located]
    rows += [_row("deletion (low is good)", each.method, each.count, each.deletion) for each in found.perturbation]
    rows += [_row("insertion (high is good)", each.method, each.count, each.insertion) for each in found.perturbation]
    for index, after in ((0, "the last layer"), (-1, "all layers")):
        for check in found.randomisation:
            for what, values in (("Spearman", check.spearman), ("SSIM", check.ssim)):
                end = values[index]
                measure = f"{what} after {after} randomised, from −1 to 1"
                span = f"{signed(end.low)} to {signed(end.high)}"
                rows.append(
                    (measure, check.method, check.count, cell(end.mean, DIGITS), span, *("–" for _ in BASELINES))
                )
    head = (
        "measure, in % where nothing else is said",
        "method",
        "images",
        "value",
        "95 % interval",
        *BASELINES.values(),
    )
    return Table(head, tuple(rows))


def _row(measure: str, method: str, count: int, values: Compared) -> tuple[str | int | float, ...]:
    few = digits_of(count)
    beside = [
        f"{number_of(values.baselines[name].mean, digits=few)} ({difference(values.ahead[name], few)})"
        if name in values.baselines
        else "–"
        for name in BASELINES
    ]
    value = share_cell(values.value.mean, count, DIGITS)
    return (measure, method, count, value, interval(values.value, DIGITS if few else 0), *beside)


def layer_sweep(found: Faithfulness) -> Table | None:
    """The pointing game at several layers, as a table."""
    if not found.sweep:
        return None
    head = ("layer", "cells", "hits, all boxes, %", "interval", "hits, small boxes, %", "interval", "energy, %")
    return Table(
        head,
        tuple(
            (
                each.layer,
                f"{each.side[0]} × {each.side[1]}",
                percent_cell(each.pointing.mean),
                interval(each.pointing),
                percent_cell(each.pointing_small.mean if each.pointing_small else None),
                interval(each.pointing_small) if each.pointing_small else "–",
                percent_cell(each.energy.mean),
            )
            for each in found.sweep
        ),
    )
