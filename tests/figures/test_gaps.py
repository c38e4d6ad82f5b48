"""Charts of numbers that are missing, alone, endless, tiny or below zero: what can be drawn is seen."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence

import numpy as np
import pytest

from generator.figures import charts, grids, intervals
from generator.figures.charts import Bins, Series
from generator.figures.intervals import Mark, Points, Row

NAN, INF = math.nan, math.inf
SHARES = ([NAN], [0.5], [NAN, 0.5, NAN], [NAN, NAN], [0.5, NAN, 0.5, 0.25])


def drawn(y: Sequence[float], *, percent: bool = False, kept: float | None = None) -> str:
    line = Series("validation", list(range(1, len(y) + 1)), y)
    mark = None if kept is None else (kept, "kept")
    return charts.lines("f", "alt", [line], x_label="epoch", y_label="loss", percent=percent, kept=mark).svg


def sound(svg: str) -> ET.Element:
    """The chart, if it is well-formed and draws nothing that is no number."""
    tree = ET.fromstring(svg)
    attributes = [value for element in tree.iter() for name, value in element.items() if name != "aria-label"]
    assert not [value for value in attributes if re.search(r"\b(nan|inf)\b", value)]
    return tree


@pytest.mark.parametrize(
    ("y", "alone"),
    [
        ([3, 2, NAN, 1.5, NAN, 1, 0.9], 1),
        ([3, NAN, 2, NAN, 1], 3),
        ([NAN, 2, NAN], 1),
        ([2], 1),
        ([3, 2, 1], 0),
        ([3, INF, 2, 1], 1),
        ([NAN, NAN], 0),
        ([INF], 0),
    ],
)
def test_a_value_between_gaps_is_a_dot(y: list[float], alone: int) -> None:
    assert drawn(y).count("<use ") == alone
    for path in sound(drawn(y)).iter():  # none that moves and then draws nothing
        assert not re.search(r"M [-\d.]+ [-\d.]+(?= M|$)", path.get("d", ""))


@pytest.mark.parametrize(
    "y",
    [
        [1e308, 1e-308], [1e300] * 3, [1e-320, 2e-320], [5e-324], [0.0, 0.0], [0.7] * 4, [-1.0, -2.0], [-1e308, 1e308],
        [INF, -INF, NAN, 1.0], [1e20, 1.0],
    ],
)  # fmt: skip
def test_any_numbers_have_an_axis(y: list[float]) -> None:
    sound(drawn(y))
    sound(drawn(y, kept=1))


def test_values_below_zero_are_inside_the_chart() -> None:
    heights = [
        float(number)
        for path in re.findall(r'd="([^"]*)"', drawn([-4.0, -1.0, -2.0]))
        for number in re.findall(r"[ML] [\d.-]+ ([\d.-]+)", path)
    ]
    assert min(heights) >= 0
    assert max(heights) <= 250


@pytest.mark.parametrize("y", SHARES)
def test_shares_with_gaps_in_every_kind_of_chart(y: list[float]) -> None:
    values = np.array(y)
    names = [f"class {number}" for number in range(len(y))]
    sound(drawn(y, percent=True, kept=1))
    sound(charts.dot_plot("f", "alt", names, [("recall", values), ("precision", values[::-1])]).svg)
    sound(charts.strip("f", "alt", values, x_label="x", y_label="y").svg)
    sound(intervals.small_lines("f", "alt", [("t", [Points(y, y, y), Points(y, y, y, 1)])], ("a", "b"), "x").svg)
    rows = [Row(name, [Mark(value, value, value)]) for name, value in zip(names, y, strict=True)]
    sound(intervals.forest("f", "alt", rows, ("a",), "head", "x").svg)
    sound(grids.matrix("f", "alt", names, np.tile(values, (len(y), 1))).svg)
    empty = Bins("t", values, values, np.where(np.isnan(values), 0, 3))
    sound(charts.reliability("f", "alt", [empty]).svg)


def test_a_matrix_of_no_images_and_of_one_class() -> None:
    sound(grids.matrix("f", "alt", ["a", "b"], np.zeros((2, 2))).svg)
    sound(grids.matrix("f", "alt", ["a"], np.ones((1, 1))).svg)
    sound(charts.strip("f", "alt", np.zeros(0), x_label="x", y_label="y").svg)
