"""Means with their intervals as SVG: bars in panels, and small line charts side by side. By hand, as grids are."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from generator.figures.svg import CHARACTER, LONGEST, Chart, add, add_series, root, short, shorten, text

WIDTH = 420

_ROW, _THICK, _THIN = 16.0, 10.0, 5.0  # from one bar to the next, and the bars' heights
_TITLE, _AXIS = 30.0, 22.0  # room above and below a panel
_KEY = 26.0
_LEFT, _PANEL, _GAP = 28.0, 84.0, 44.0  # of the small charts


@dataclass(frozen=True)
class Bar:
    """A mean in [0, 1] with its interval. `style` counts from 0, None is ink; a thin bar belongs to the one above.

    `mark` is what it is to be compared with, measured on the same images: a dotted line along its row.
    """

    label: str
    mean: float
    low: float
    high: float
    style: int | None = 0
    thin: bool = False
    mark: float | None = None


@dataclass(frozen=True)
class Panel:
    """Bars under a title."""

    title: str
    bars: Sequence[Bar]


@dataclass(frozen=True)
class Points:
    """Means with their intervals at 0, 1, 2, ...; `style` counts from 0."""

    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    style: int = 0


def bars(figure_id: str, alt: str, panels: Sequence[Panel], key: Sequence[tuple[str, int | None, bool]]) -> Chart:
    """Level bars from 0 to 100 % with whiskers, the panels below one another on one scale.

    Args:
        key: words, style and thinness of each kind of bar.
    """
    longest = max(len(shorten(bar.label)) for panel in panels for bar in panel.bars)
    left, right = 10 + CHARACTER * longest, 16.0
    scale = WIDTH - left - right
    height = _KEY + sum(_TITLE + _span(panel.bars) + _AXIS for panel in panels)
    chart = root(figure_id, alt, WIDTH, round(height))
    _key(chart, key)
    top = _KEY
    for panel in panels:
        add(chart, "text", x=0, y=top + 18, font_weight="bold").text = panel.title
        top += _TITLE
        _scale(chart, left, scale, top, _span(panel.bars))
        if line := _marks(panel.bars, left, scale, top):
            add(chart, "path", d=line, fill="none", stroke="currentColor", stroke_dasharray="2 2", stroke_opacity=0.8)
        for place, bar in zip(_places(panel.bars, top), panel.bars, strict=True):
            _bar(chart, bar, left, scale, place)
        top += _span(panel.bars) + _AXIS
    return Chart(text(chart), WIDTH, round(height))


def small_lines(
    figure_id: str, alt: str, panels: Sequence[tuple[str, Sequence[Points]]], key: Sequence[str], x_label: str
) -> Chart:
    """Small line charts, two a row, all on one scale from the least value (at most 0) to 1.

    Args:
        panels: title and lines of each.
        key: words for styles 0, 1, ...
        x_label: what the numbers below count.
    """
    least = min([0.0, *(value for _, lines in panels for line in lines for value in line.low if math.isfinite(value))])
    rows = (len(panels) + 1) // 2
    height = round(_KEY + rows * (_TITLE + _PANEL + _GAP))
    chart = root(figure_id, alt, WIDTH, height)
    _key(chart, [(words, style, False) for style, words in enumerate(key)], lines=True)
    for number, (title, lines) in enumerate(panels):
        left = _LEFT + (number % 2) * WIDTH / 2
        top = _KEY + (number // 2) * (_TITLE + _PANEL + _GAP) + _TITLE
        _small(chart, title, lines, _Frame(left, top, WIDTH / 2 - _LEFT - 14, least), x_label)
    return Chart(text(chart), WIDTH, height)


@dataclass(frozen=True)
class _Frame:
    """Where one small chart stands."""

    left: float
    top: float
    width: float
    least: float

    def y(self, value: float) -> float:
        return self.top + _PANEL * (1 - value) / (1 - self.least)


def _span(found: Sequence[Bar]) -> float:
    return sum(_step(bar) for bar in found)


def _step(bar: Bar) -> float:
    return _THIN + 4 if bar.thin else _ROW


def _places(found: Sequence[Bar], top: float) -> list[float]:
    """The middle of each bar; a thin one stands close below the one before it."""
    places = []
    for bar in found:
        places.append(top + (_THIN / 2 - 1 if bar.thin else _ROW / 2))
        top += _step(bar)
    return places


def _marks(found: Sequence[Bar], left: float, scale: float, top: float) -> str:
    """The dotted lines as a path: one line where rows below one another have the same mark."""
    lines: list[tuple[float, float, float]] = []  # mark, from, to
    for bar in found:
        if bar.mark is not None and math.isfinite(bar.mark):
            joined = lines and lines[-1][0] == bar.mark and lines[-1][2] == top
            lines[-1:] = (
                [(bar.mark, lines[-1][1], top + _step(bar))]
                if joined
                else [*lines[-1:], (bar.mark, top, top + _step(bar))]
            )
        top += _step(bar)
    return "".join(f"M{short(left + scale * mark)} {short(start)}V{short(end)}" for mark, start, end in lines)


def _scale(chart: ET.Element, left: float, scale: float, top: float, span: float) -> None:
    data = "".join(f"M{short(left + scale * share)} {short(top)}v{short(span)}" for share in (0, 0.25, 0.5, 0.75, 1))
    add(chart, "path", d=data, fill="none", stroke="currentColor", stroke_opacity=0.15, stroke_width=0.8)
    words = add(chart, "g", text_anchor="middle")
    for share in (0, 25, 50, 75, 100):
        unit = " %" if share == 100 else ""
        add(words, "text", x=left + scale * share / 100, y=top + span + 13).text = f"{share}{unit}"


def _bar(chart: ET.Element, bar: Bar, left: float, scale: float, middle: float) -> None:
    if not bar.thin:
        add(chart, "text", x=left - 6, y=middle + 4, text_anchor="end").text = shorten(bar.label)
    thickness = _THIN if bar.thin else _THICK
    if math.isfinite(bar.mean):
        _block(chart, bar.style, bar.thin, left, middle - thickness / 2, scale * bar.mean, thickness)
    if not (math.isfinite(bar.low) and math.isfinite(bar.high)):
        return
    low, high = (short(left + scale * value) for value in (bar.low, bar.high))
    half = thickness / 2 - 1
    caps = "".join(f"M{place} {short(middle - half)}v{short(2 * half)}" for place in (low, high))
    data = f"M{low} {short(middle)}H{high}{caps}"
    add(chart, "path", d=data, fill="none", stroke="currentColor", stroke_width=1.2)


def _block(chart: ET.Element, style: int | None, hollow: bool, x: float, y: float, width: float, height: float) -> None:
    """A filled bar, or a faint one with an outline: never colour alone."""
    group = add(chart, "g", fill_opacity=0.3) if style is None else add_series(chart, style)
    options: dict[str, str | float] = {"fill_opacity": 0.25, "stroke": "currentColor"} if hollow else {}
    add(group, "rect", x=x, y=y, width=max(0.0, width), height=height, **options)


def _key(chart: ET.Element, key: Sequence[tuple[str, int | None, bool]], *, lines: bool = False) -> None:
    left = 4.0
    for words, style, thin in key:
        if lines:
            _line(chart, [(left, 10.0), (left + 18, 10.0)], style or 0)
        else:
            height = _THIN if thin else _THICK
            _block(chart, style, thin, left, 10 - height / 2, 18, height)
        add(chart, "text", x=left + 24, y=14).text = words
        left += 44 + CHARACTER * len(words)


def _small(chart: ET.Element, title: str, lines: Sequence[Points], frame: _Frame, x_label: str) -> None:
    add(chart, "text", x=frame.left, y=frame.top - 12, font_weight="bold").text = shorten(title, LONGEST + 6)
    grid = "".join(f"M{short(frame.left)} {short(frame.y(value))}h{short(frame.width)}" for value in (0, 0.5, 1))
    add(chart, "path", d=grid, fill="none", stroke="currentColor", stroke_opacity=0.2, stroke_width=0.8)
    numbers = add(chart, "g", text_anchor="end")
    for value in (0, 0.5, 1):
        add(numbers, "text", x=frame.left - 5, y=frame.y(value) + 3.5).text = f"{value:g}"
    count = max(len(line.mean) for line in lines)
    places = [frame.left + frame.width * index / max(1, count - 1) for index in range(count)]
    foot = frame.top + _PANEL
    below = add(chart, "g", text_anchor="middle")
    for index, place in enumerate(places):
        if count <= 10 or index % (count // 8) == 0:
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


def _line(chart: ET.Element, points: Sequence[tuple[float, float]], style: int) -> None:
    """Points joined where they are finite: circles and a full line for style 0, else hollow squares and dashes."""
    group = add_series(chart, style)
    data = "".join(
        f"M{short(x)} {short(y)}L{short(u)} {short(v)}" for (x, y), (u, v) in pairwise(points) if math.isfinite(y + v)
    )
    dashes: dict[str, str | float] = {"stroke_dasharray": "4 3"} if style else {}
    add(group, "path", d=data, fill="none", stroke="currentColor", stroke_width=1.6, **dashes)
    for x, y in points:
        if not math.isfinite(y):
            continue
        if style:
            add(group, "rect", x=x - 2, y=y - 2, width=4, height=4, fill="none", stroke="currentColor")
        else:
            add(group, "circle", cx=x, cy=y, r=2.4)
