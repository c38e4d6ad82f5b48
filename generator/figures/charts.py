"""Numbers -> curves, reliability diagrams, dot plots and strips, as inline SVG drawn by matplotlib.

Charts are 420 units wide, with room for words that can be read on a phone. Axes are named above and below, never
sideways; lines are named at their ends.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from generator.figures.svg import CHARACTER, LONGEST, TEXT, Chart, rewrite, shorten
from generator.figures.theme import DRAWN, SERIES

if TYPE_CHECKING:  # it is loaded where something is drawn: a build after a change of words draws nothing
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.floating[Any]]

WIDTH = 420
DASHES: tuple[tuple[float, ...], ...] = ((), (4, 2), (1, 1.2), (6, 2, 1, 2))  # in line widths: never colour alone
MARKERS = (("o", 6.5), ("D", 5.0), ("s", 5.0), ("^", 6.0))  # and their sizes; the first filled, the others hollow

LARGEST, SMALLEST = 1e300, 1e-300  # of what an axis shows

_LEFT = 46.0  # margin for numbers like 0.0025
_LINE = 14.0  # from one line of words to the next
_HAIRLINE: dict[str, Any] = {"color": DRAWN, "linewidth": 0.8}
_DOTTED: dict[str, Any] = {**_HAIRLINE, "dashes": (2, 2), "alpha": 0.6}
_PERCENT = (0, 0.25, 0.5, 0.75, 1), ("0", "25", "50", "75", "100")
_SETTINGS = Lock()  # matplotlib's, of which a process has one set
_OPTIONS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "path.simplify": False,
    "font.size": TEXT,
    "lines.dash_capstyle": "butt",
}


@dataclass(frozen=True)
class Series:
    """One line of a chart; nan breaks it. `style` counts from 0; a faint line is thin, dotted and has no label.

    A full line is one whatever its style, for its name stands at its end.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    style: int = 0
    faint: bool = False
    full: bool = False


@dataclass(frozen=True)
class Bins:
    """Reliability bins of equal width: mean confidence and accuracy in [0, 1], nan where empty, and images."""

    label: str
    confidence: Floats
    accuracy: Floats
    counts: NDArray[np.int64]


def lines(
    figure_id: str,
    alt: str,
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    percent: bool = False,
    kept: tuple[float, str] | None = None,
    sections: Sequence[tuple[float, str]] = (),
    height: int = 250,
) -> Chart:
    """Lines over whole numbers (epochs), each with its name at its end.

    Args:
        percent: the values are shares of 1, and the axis runs from 0 to 100 %.
        kept: an x to mark, and its words.
        sections: (x, words) where a part of the x axis begins.
    """
    from matplotlib.ticker import MaxNLocator

    words: list[str] = []
    named = [line for line in series if line.label and not line.faint]
    longest = max((len(part) for line in named for part in _wrap(line.label)), default=0)
    x = [value for line in series for value in line.x]
    with _own_style():
        right = 16 + CHARACTER * longest
        figure, axes = _canvas(height, left=_LEFT, right=right, top=30, bottom=38)
        first, last = min(x), max(max(x), min(x) + 1)
        low, high = (0.0, 1.0) if percent else _range(series, 1.3 if sections else 1.04)
        _frame(axes, (first, last), (low, high), percent=percent)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        _axis_words(axes, x_label, y_label, words)
        unit = (WIDTH - _LEFT - right) / (last - first)  # pixels
        ends: list[float] = []  # of the last words in each row: what would touch them goes one row down
        for start, label in sections:
            axes.axvline(start, **_HAIRLINE, alpha=0.3)
            row = next((at for at, end in enumerate(ends) if end <= (start - first) * unit), len(ends))
            ends[row : row + 1] = [(start - first) * unit + 6 + CHARACTER * len(label)]
            _annotate(axes, _say(words, label, WIDTH), (start, 1), (3, -9 - _LINE * row), x_data=True)
        if kept is not None:
            _mark_kept(axes, kept, words)
        for line in series:
            _draw_line(axes, line, None if kept is None or line.faint else kept[0])
        _end_labels(axes, named, words)
        return _finish(figure, figure_id, alt, words, f"{_LEFT:g} {WIDTH - right:g} {first:g} {last:g}")


def reliability(figure_id: str, alt: str, bins: Sequence[Bins]) -> Chart:
    """Reliability diagram (Guo et al. 2017): accuracy over confidence, and below it how many images lie where.

    The dotted diagonal is where confidence keeps its promise; the bars count the images of the first of `bins`.
    """
    words: list[str] = []
    counts = bins[0].counts
    most = max(1, int(counts.max()))
    with _own_style():
        figure, axes = _canvas(430, left=_LEFT, right=24, top=48, bottom=132)
        _frame(axes, (0, 1), (0, 1), percent=True)
        axes.set_xticks([])
        _axis_words(axes, "", "accuracy, %", words)
        axes.plot([0, 1], [0, 1], **_DOTTED, clip_on=False)
        for style, group in enumerate(bins):
            seen = group.counts > 0
            _points(axes, group.confidence[seen], group.accuracy[seen], style, joined=True)
        _key(axes, [group.label for group in bins], words)
        below = _axes(figure, 430, left=_LEFT, right=24, top=332, bottom=38)
        _frame(below, (0, 1), (0, most), percent=False)
        below.set_yticks([0, most], ["0", str(most)])
        below.set_xticks(*_PERCENT)
        below.stairs(counts, np.linspace(0, 1, len(counts) + 1), fill=True, color=DRAWN, alpha=0.4)
        _axis_words(below, "confidence, %", "images", words)
        return _finish(figure, figure_id, alt, words)


def dot_plot(figure_id: str, alt: str, names: Sequence[str], values: Sequence[tuple[str, Floats]]) -> Chart:
    """One row a name, one dot a value of [0, 1], the dots of a row joined by a hairline; nan has no dot.

    Args:
        values: (words, (N,) numbers), at most four.
    """
    words: list[str] = []
    left = 14 + CHARACTER * max(len(shorten(name)) for name in names)
    with _own_style():
        figure, axes = _canvas(50 + 15 * len(names), left=left, right=24, top=30, bottom=20)
        axes.set_xlim(0, 1)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xticks(_PERCENT[0], [*_PERCENT[1][:-1], "100 %"])
        axes.grid(axis="x", **_HAIRLINE, alpha=0.15)
        axes.set_yticks(range(len(names)), [_say(words, name) for name in names])
        table = np.stack([np.asarray(numbers, np.float64) for _, numbers in values])  # (values, N)
        rows = np.flatnonzero(~np.isnan(table).all(axis=0))
        low, high = np.nanmin(table[:, rows], axis=0), np.nanmax(table[:, rows], axis=0)
        axes.hlines(rows, low, high, color=DRAWN, alpha=0.45, linewidth=1)
        for style, numbers in enumerate(table):
            seen = np.flatnonzero(~np.isnan(numbers))
            _points(axes, numbers[seen], seen, style)
        _key(axes, [label for label, _ in values], words)
        return _finish(figure, figure_id, alt, words)


def strip(figure_id: str, alt: str, values: Floats, *, x_label: str, y_label: str) -> Chart:
    """Numbers of at least 0 side by side as one filled outline."""
    words: list[str] = []
    values = np.nan_to_num(values, nan=0.0, posinf=LARGEST, neginf=0.0)
    count, high = len(values), min(float(values.max(initial=0)), LARGEST) or 1.0
    with _own_style():
        figure, axes = _canvas(104, left=_LEFT, right=12, top=24, bottom=22)
        _frame(axes, (0, max(1, count)), (0, high), percent=False)
        axes.set_yticks([0, high], ["0", f"{high:.2g}"])
        axes.set_xticks([0.5, count - 0.5] if count > 1 else [0.5], ["1", str(count)] if count > 1 else ["1"])
        axes.stairs(values, np.arange(count + 1), fill=True, color=DRAWN, alpha=0.5)
        _axis_words(axes, "", y_label, words)
        _annotate(axes, _say(words, x_label, WIDTH), (0.5, 0), (0, -14), horizontal="center")
        return _finish(figure, figure_id, alt, words)


@contextmanager
def _own_style() -> Iterator[None]:
    """The report's own style, whatever the program around it has set for its charts; in one thread at a time."""
    from matplotlib import rc_context, rcdefaults, rcParams

    with _SETTINGS, rc_context():
        rcdefaults()
        rcParams.update(_OPTIONS)
        yield


def _canvas(height: int, **margins: float) -> tuple[Figure, Axes]:
    """A figure of WIDTH x height units (its points and its pixels are units too) with one axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / 72, height / 72), dpi=72)
    figure.patch.set_visible(False)
    return figure, _axes(figure, height, **margins)


def _axes(figure: Figure, height: int, *, left: float, right: float, top: float, bottom: float) -> Axes:
    axes = figure.add_axes(
        (left / WIDTH, bottom / height, (WIDTH - left - right) / WIDTH, (height - top - bottom) / height)
    )
    axes.patch.set_visible(False)
    axes.tick_params(length=0, pad=5)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def _finish(figure: Figure, figure_id: str, alt: str, words: Sequence[str], plot: str = "") -> Chart:
    memory = io.BytesIO()
    figure.savefig(memory, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return rewrite(memory.getvalue(), figure_id, alt, words, plot)


def _frame(axes: Axes, x: tuple[float, float], y: tuple[float, float], *, percent: bool) -> None:
    """The range of both axes, level hairlines, and the base line."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.set_xlim(*x)
    axes.set_ylim(*y)
    axes.grid(axis="y", **_HAIRLINE, alpha=0.15)
    if percent:
        axes.set_yticks(*_PERCENT)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.plot(x, (0, 0), **_HAIRLINE, clip_on=False)


def _annotate(
    axes: Axes,
    token: str,
    place: tuple[float, float],
    offset: tuple[float, float],
    *,
    horizontal: str = "left",
    x_data: bool = False,
) -> None:
    """Words at a share of the axes' width (or, with `x_data`, at an x) and of its height, moved by units."""
    axes.annotate(
        token,
        place,
        offset,
        xycoords=("data" if x_data else "axes fraction", "axes fraction"),
        textcoords="offset points",
        ha=horizontal,
    )


def _axis_words(axes: Axes, x_label: str, y_label: str, words: list[str]) -> None:
    _annotate(axes, _say(words, y_label, WIDTH), (0, 1), (5 - _LEFT, 10))
    if x_label:
        _annotate(axes, _say(words, x_label, WIDTH), (1, 0), (0, -32), horizontal="right")


def _mark_kept(axes: Axes, kept: tuple[float, str], words: list[str]) -> None:
    x, label = kept
    axes.axvline(x, **_DOTTED)
    # Left of the line, where there is room beside the y axis's words; else right of it.
    late = float(axes.transData.transform((x, 0))[0]) - CHARACTER * len(label) > 2 * _LEFT + 10
    token = _say(words, label, WIDTH)
    _annotate(axes, token, (x, 1), (-4 if late else 4, 5), horizontal="right" if late else "left", x_data=True)


def _draw_line(axes: Axes, line: Series, kept: float | None) -> None:
    style = line.style % len(SERIES)
    y = np.where(np.isfinite(np.asarray(line.y, np.float64)), line.y, math.nan)
    known = np.concatenate([[False], ~np.isnan(y), [False]])
    alone = known[1:-1] & ~known[:-2] & ~known[2:]  # a line of one point would not be seen
    joined = np.where(alone, math.nan, y)
    if not np.isnan(joined).all():
        (drawn,) = axes.plot(
            line.x,
            joined,
            color=SERIES[style],
            linewidth=1 if line.faint else 2,
            dashes=(1, 2) if line.faint else () if line.full else DASHES[style],
            clip_on=False,
        )
        drawn.set_gid(f"series-{style + 1}")
    dots = alone | (np.asarray(line.x) == kept) & known[1:-1]
    if dots.any():
        (dot,) = axes.plot(
            np.asarray(line.x)[dots],
            y[dots],
            "o",
            color=SERIES[style],
            markersize=3 if line.faint else 6,
            clip_on=False,
        )
        dot.set_gid(f"series-{style + 1}")


def _end_labels(axes: Axes, series: Sequence[Series], words: list[str]) -> None:
    """Each line's name: at the right edge, or where the line ends before; pushed up where names would touch."""
    ends: list[tuple[float, float, Series]] = []
    for line in series:
        known = [index for index, value in enumerate(line.y) if math.isfinite(value)]
        if known:
            x, y = axes.transData.transform((line.x[known[-1]], line.y[known[-1]]))
            ends.append((float(y), float(x), line))
    edge = float(axes.bbox.x1) + 10
    taken: list[tuple[float, float, float, float]] = []  # left, right, foot and head of names
    for y, x, line in sorted(ends, key=lambda end: end[:2]):
        parts = _wrap(line.label)
        half, wide = _LINE / 2 * len(parts), CHARACTER * max(map(len, parts))
        # A leader from the end of a shorter line to the edge would read as more of it.
        left = x + 8 if x + 8 + wide < edge - 10 else edge
        level = y
        for start, end, foot, head in sorted(taken, key=lambda name: name[2]):
            if start < left + wide and left < end and foot - half < level < head + half:
                level = head + half
        taken.append((left, left + wide, level - half, level + half + 4))
        style = line.style % len(SERIES)
        (leader,) = axes.plot(
            [x, left - 2], [y, level], color=SERIES[style], linewidth=0.8, alpha=0.6, transform=None, clip_on=False
        )
        leader.set_gid(f"series-{style + 1}")
        for number, part in enumerate(parts):
            height = level + half - _LINE * (number + 0.5)
            axes.annotate(_say(words, part), (left, height), xycoords="figure pixels", va="center")


def _points(axes: Axes, x: Floats, y: Floats | NDArray[np.intp], style: int, *, joined: bool = False) -> None:
    (drawn,) = axes.plot(x, y, linewidth=2 if joined else 0, dashes=DASHES[style], **_marker(style))
    drawn.set_gid(f"series-{style + 1}")


def _key(axes: Axes, labels: Sequence[str], words: list[str]) -> None:
    """Marker and name of each series in one line at the top."""
    left, level = 8.0, float(axes.figure.bbox.y1) - 10
    for style, label in enumerate(labels):
        (dot,) = axes.plot([left], [level], transform=None, **_marker(style))
        dot.set_gid(f"series-{style + 1}")
        axes.annotate(_say(words, label, WIDTH), (left + 9, level), xycoords="figure pixels", va="center")
        left += 30 + CHARACTER * len(label)


def _marker(style: int) -> dict[str, Any]:
    shape, size = MARKERS[style]
    colour = SERIES[style]
    fill = colour if style == 0 else "none"
    options: dict[str, Any] = {"color": colour, "marker": shape, "markersize": size, "markerfacecolor": fill}
    return {**options, "markeredgewidth": 1.4, "clip_on": False}


def _range(series: Sequence[Series], room: float) -> tuple[float, float]:
    """The axis of the finite values: from 0, or the lowest below it, with some room up to `room` times the highest."""
    known = [value for line in series for value in line.y if math.isfinite(value)]
    low, high = min(0.0, *known, 0.0), max(0.0, *known, 0.0)
    # Of less, and of almost as much as a float can hold, matplotlib makes no axis.
    low, high = max(low, -LARGEST), min(high, LARGEST) * room
    return low, high if high - low > SMALLEST else low + 1.0


def _wrap(label: str) -> list[str]:
    """A label in lines of about twelve characters, broken at spaces."""
    parts: list[str] = []
    for word in label.split():
        if parts and len(parts[-1]) + 1 + len(word) <= 12:
            parts[-1] += " " + word
        else:
            parts.append(shorten(word))
    return parts


def _say(words: list[str], text: str, limit: int = LONGEST) -> str:
    """A stand-in for `text` while matplotlib lays it out.

    So the user's words never meet matplotlib: no formula is read into a dollar sign, no glyph of its font is missed.
    """
    words.append(shorten(text, limit))
    return f"@{len(words) - 1}"
