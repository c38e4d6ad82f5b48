"""Means with their intervals as SVG: a forest plot, and small line charts side by side. By hand, as grids are."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from generator.figures.svg import CHARACTER, LONGEST, Chart, add, add_series, root, short, shorten, text

WIDTH = 420

_ROW, _APART = 16.0, 14.0  # of a forest plot: what a row needs besides its marks, and from one mark to the next
_TITLE, _KEY = 30.0, 26.0  # room above a small chart, and above all
_LEFT, _PANEL, _GAP = 28.0, 84.0, 44.0  # of the small charts
_LOW = 56.0  # height of one where there are many: all of them in one window
_NUMBER = 15.0  # room for one below them, of two digits on a phone
_LEAST = 192.0  # of all rows together
_STEPS = (1, 2, 5, 10, 20, 25, 50)  # from one number of a forest plot's axis to the next
_MOST = 6  # of them


@dataclass(frozen=True)
class Mark:
    """A difference with its interval, in the axis's unit; `said` stands beside it, `style` counts from 0."""

    mean: float
    low: float
    high: float
    said: str = ""
    style: int = 0


@dataclass(frozen=True)
class Row:
    """What was compared, and its differences below one another."""

    label: str
    marks: Sequence[Mark]


@dataclass(frozen=True)
class Points:
    """Means with their intervals at 0, 1, 2, ...; `style` counts from 0."""

    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    style: int = 0


def forest(figure_id: str, alt: str, rows: Sequence[Row], key: Sequence[str], head: str, x_label: str) -> Chart:
    """A forest plot (Lewis and Clarke 2001, BMJ 322:1479): differences and their whiskers, a row each, and a line at 0.

    Args:
        rows: at least one; a mark that is not finite is left out.
        key: words for styles 0, 1, ...
        head: of what stands beside the marks.
        x_label: what the axis counts.
    """
    said = max([len(mark.said) for row in rows for mark in row.marks], default=0)
    left = 10 + CHARACTER * max(len(shorten(row.label)) for row in rows)
    right = 12 + CHARACTER * said
    ticks = _ticks([value for row in rows for mark in row.marks for value in (mark.mean, mark.low, mark.high)])
    heights = [max(_LEAST / len(rows), _ROW + _APART * max(1, len(row.marks))) for row in rows]
    top = _KEY + 18
    foot = top + sum(heights)
    height = round(foot + 38)
    chart = root(figure_id, alt, WIDTH, height)
    _key(chart, key)
    frame = _Axis(left, (WIDTH - left - right) / (ticks[-1] - ticks[0]), ticks[0])
    _grid(chart, frame, ticks, top, foot)
    add(chart, "text", x=WIDTH, y=top - 8, text_anchor="end").text = head
    add(chart, "text", x=frame.x(ticks[-1]), y=height - 4, text_anchor="end").text = x_label
    for row, high in zip(rows, heights, strict=True):
        middle = top + high / 2
        add(chart, "text", x=left - 8, y=middle + 4, text_anchor="end").text = shorten(row.label)
        for number, mark in enumerate(row.marks):
            _mark(chart, mark, frame, middle + _APART * (number - (len(row.marks) - 1) / 2))
        top += high
    return Chart(text(chart), WIDTH, height)


def small_lines(
    figure_id: str, alt: str, panels: Sequence[tuple[str, Sequence[Points]]], key: Sequence[str], x_label: str
) -> Chart:
    """Small line charts, all on one scale from the least value (at most 0) to 1: two a row, of more than four three.

    Args:
        panels: title and lines of each.
        key: words for styles 0, 1, ...
        x_label: what the numbers below count.
    """
    least = min([0.0, *(value for _, lines in panels for line in lines for value in line.low if math.isfinite(value))])
    across, high = (2, _PANEL) if len(panels) <= 4 else (3, _LOW)
    height = round(_KEY + -(-len(panels) // across) * (_TITLE + high + _GAP))
    chart = root(figure_id, alt, WIDTH, height)
    _key(chart, key)
    for number, (title, lines) in enumerate(panels):
        left = _LEFT + (number % across) * WIDTH / across
        top = _KEY + (number // across) * (_TITLE + high + _GAP) + _TITLE
        _small(chart, title, lines, _Frame(left, top, WIDTH / across - _LEFT - 14, high, least), x_label)
    return Chart(text(chart), WIDTH, height)


@dataclass(frozen=True)
class _Frame:
    """Where one small chart stands."""

    left: float
    top: float
    width: float
    height: float
    least: float

    def y(self, value: float) -> float:
        return self.top + self.height * (1 - value) / (1 - self.least)


@dataclass(frozen=True)
class _Axis:
    """A level axis: where its least number stands, and units of the chart for one of its own."""

    left: float
    scale: float
    least: float

    def x(self, value: float) -> float:
        return self.left + self.scale * (value - self.least)


def _ticks(values: Sequence[float]) -> list[float]:
    """Round numbers around the finite ones and 0, at least two."""
    known = [0.0, *(value for value in values if math.isfinite(value))]
    step: float = next((one for one in _STEPS if (max(known) - min(known)) / one <= _MOST - 1), _STEPS[-1])
    low, high = math.floor(min(known) / step), math.ceil(max(known) / step)
    return [step * place for place in range(low, max(high, low + 1) + 1)]


def _grid(chart: ET.Element, axis: _Axis, ticks: Sequence[float], top: float, foot: float) -> None:
    data = "".join(f"M{short(axis.x(tick))} {short(top)}V{short(foot)}" for tick in ticks if tick)
    add(chart, "path", d=data, fill="none", stroke="currentColor", stroke_opacity=0.15, stroke_width=0.8)
    zero = f"M{short(axis.x(0))} {short(top)}V{short(foot)}"
    add(chart, "path", d=zero, fill="none", stroke="currentColor", stroke_width=1.2)
    numbers = add(chart, "g", text_anchor="middle")
    for tick in ticks:
        sign = "+" if tick > 0 else "\N{MINUS SIGN}" if tick < 0 else ""
        add(numbers, "text", x=axis.x(tick), y=foot + 14).text = f"{sign}{abs(tick):g}"


def _mark(chart: ET.Element, mark: Mark, axis: _Axis, y: float) -> None:
    add(chart, "text", x=WIDTH, y=y + 4, text_anchor="end").text = mark.said
    if not math.isfinite(mark.mean):
        return
    if math.isfinite(mark.low) and math.isfinite(mark.high):
        low, high = (short(axis.x(value)) for value in (mark.low, mark.high))
        caps = "".join(f"M{place} {short(y - 3)}v6" for place in (low, high))
        group = add_series(chart, mark.style)
        data = f"M{low} {short(y)}H{high}{caps}"
        add(group, "path", d=data, fill="none", stroke="currentColor", stroke_width=1.4)
    _line(chart, [(axis.x(mark.mean), y)], mark.style, size=1.6)


def _key(chart: ET.Element, key: Sequence[str]) -> None:
    left = 4.0
    for style, words in enumerate(key):
        _line(chart, [(left, 10.0), (left + 18, 10.0)], style)
        add(chart, "text", x=left + 24, y=14).text = words
        left += 44 + CHARACTER * len(words)


def _small(chart: ET.Element, title: str, lines: Sequence[Points], frame: _Frame, x_label: str) -> None:
    add(chart, "text", x=frame.left - _LEFT + 6, y=frame.top - 12, font_weight="bold").text = shorten(
        title, LONGEST + 6
    )
    grid = "".join(f"M{short(frame.left)} {short(frame.y(value))}h{short(frame.width)}" for value in (0, 0.5, 1))
    add(chart, "path", d=grid, fill="none", stroke="currentColor", stroke_opacity=0.2, stroke_width=0.8)
    numbers = add(chart, "g", text_anchor="end")
    for value in (0, 0.5, 1):
        add(numbers, "text", x=frame.left - 5, y=frame.y(value) + 3.5).text = f"{value:g}"
    count = max(len(line.mean) for line in lines)
    places = [frame.left + frame.width * index / max(1, count - 1) for index in range(count)]
    foot = frame.top + frame.height
    apart = math.ceil(count * _NUMBER / frame.width)
    below = add(chart, "g", text_anchor="middle")
    for index, place in enumerate(places):
        if index % apart == 0:
            add(below, "text", x=place, y=foot + 14).text = str(index)
    add(chart, "text", x=frame.left + frame.width, y=foot + 27, text_anchor="end").text = x_label
    for line in lines:
        _line(chart, [(x, frame.y(y)) for x, y in zip(places, line.mean, strict=False)], line.style)
        whiskers = "".join(
            f"M{short(x)} {short(frame.y(high))}V{short(frame.y(low))}"
            for x, low, high in zip(places, line.low, line.high, strict=False)
            if math.isfinite(low) and math.isfinite(high)
        )
        group = add_series(chart, line.style)
        add(group, "path", d=whiskers, fill="none", stroke="currentColor", stroke_width=1, stroke_opacity=0.6)


def _line(chart: ET.Element, points: Sequence[tuple[float, float]], style: int, size: float = 1) -> None:
    """Points joined where they are finite: circles and a full line for style 0, else hollow squares and dashes."""
    group = add_series(chart, style)
    data = "".join(
        f"M{short(x)} {short(y)}L{short(u)} {short(v)}" for (x, y), (u, v) in pairwise(points) if math.isfinite(y + v)
    )
    dashes: dict[str, str | float] = {"stroke_dasharray": "4 3"} if style else {}
    if data:
        add(group, "path", d=data, fill="none", stroke="currentColor", stroke_width=1.6, **dashes)
    for x, y in points:
        if not math.isfinite(y):
            continue
        if style:
            half = 2 * size
            place = {"x": x - half, "y": y - half, "width": 2 * half, "height": 2 * half}
            add(group, "rect", **place, fill="none", stroke="currentColor")
        else:
            add(group, "circle", cx=x, cy=y, r=2.4 * size)
