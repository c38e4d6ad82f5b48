"""The trust page's figures and table, and what the measurements mean in words: how far to believe the heat maps."""

from __future__ import annotations

from collections.abc import Sequence

from generator.figures import intervals
from generator.figures.intervals import Bar, Panel, Points
from generator.records.figure import Figure, Table
from generator.records.network import Network
from generator.records.trust import Estimate, Faithfulness, Localisation
from generator.report.plates.frames import charted
from generator.report.plates.wording import cell, counted, layer_title, listed, percent, percent_cell
from generator.report.trust.measurements import (
    BASELINES,
    counted_images,
    kind_of_boxes,
    localisations,
    measured,
    signed,
    triple,
)


def trust_figures(network: Network) -> tuple[Figure, ...]:
    """The pointing game beside its baselines, and the randomisation check; nothing where nothing was measured."""
    found = measured(network)
    if found is None:
        return ()
    figures = [_pointing(network, found)] if found.boxes else []
    if found.randomisation:
        figures.append(_randomisation(network, found))
    return tuple(figures)


# Figures


def _pointing(network: Network, found: Faithfulness) -> Figure:
    figure_id = f"{network.anchor}-trust-pointing"
    panels, findings = [], []
    for small in (False, True):
        rows = localisations(found, small)
        if rows:
            panels.append(_panel(found, rows, small))
            best = max(rows, key=lambda row: row.pointing.value.low)
            findings.append(
                f"{'under a quarter of the image' if small else 'all boxes'}: {best.method} "
                f"{percent(best.pointing.value.mean)}, centre point {percent(best.pointing.baselines['centre'].mean)}, "
                f"uniform map {percent(best.pointing.baselines['uniform'].mean)}, "
                f"wrong class {percent(best.pointing.baselines['wrong class'].mean)}"
            )
    images = counted_images(found)
    alt = (
        f"Bar plot of the pointing game of {network.title} on {images}, the best method beside its baselines; "
        f"{'; '.join(findings)}."
    )
    layer = f" (CAM methods: at {layer_title(network, found.layer)})" if found.layer else ""
    few = [f"{row.method} {row.count:,}" for row in localisations(found, False) if row.count < found.count]
    caption = (
        f"{network.title} on {images}, {found.correct:,} of which it names correctly: how often the brightest point of "
        f"a heat map lies in the object’s box{layer}. Thick bars: the map of the true class; thin bars below them: the "
        "map of a wrong class drawn at random; grey: the centre of the image, and a map that is the same everywhere, "
        "which hits by chance. Whiskers: 95 % bootstrap intervals; dotted: how often the centre point hits on the very "
        "images of that bar. What to notice: a bar that ends left of its dotted line is worse than not looking at the "
        "photo at all."
        f"{f' Fewer images were used for {listed(few)}.' if few else ''}"
    )
    head = (
        "boxes",
        "method",
        "images",
        "hits, %",
        "from",
        "to",
        *(f"{BASELINES[name]}, %" for name in _POINTING),
        "zero maps",
        "zero maps, wrong class",
    )
    numbers = tuple(
        (
            kind_of_boxes(row.small),
            row.method,
            row.count,
            *triple(row.pointing.value),
            *(percent_cell(row.pointing.baselines[name].mean) for name in _POINTING),
            row.silent,
            row.silent_wrong,
        )
        for row in found.localisation
    )
    key = [("true class", 0, False), ("wrong class", 1, True), ("without a map", None, False)]
    chart = intervals.bars(figure_id, alt, panels, key)
    return charted(figure_id, chart, alt=alt, caption=caption, table=Table(head, numbers))


_POINTING = ("centre", "uniform", "wrong class")


def _panel(found: Faithfulness, rows: Sequence[Localisation], small: bool) -> Panel:
    most = max(rows, key=lambda row: row.count)
    bars: list[Bar] = []
    for row in rows:
        own = row.pointing.baselines["centre"].mean
        bars.append(_bar(row.method, row.pointing.value, 0, mark=own))
        bars.append(_bar("", row.pointing.baselines["wrong class"], 1, thin=True, mark=own))
    bars += [_bar(BASELINES[name], most.pointing.baselines[name], None) for name in ("centre", "uniform")]
    title = (
        f"{counted(found.small, 'box', 'boxes')} under a quarter of the image"
        if small
        else f"All {counted(found.count, 'box', 'boxes')}"
    )
    return Panel(f"{title}: hits, %", bars)


def _bar(label: str, value: Estimate, style: int | None, *, thin: bool = False, mark: float | None = None) -> Bar:
    return Bar(label, value.mean, value.low, value.high, style, thin, mark)


def _randomisation(network: Network, found: Faithfulness) -> Figure:
    figure_id = f"{network.anchor}-trust-randomisation"
    ends = [f"{each.method} {signed(each.spearman[-1].mean)}" for each in found.randomisation]
    first = found.randomisation[0]
    merged = any(" to " in layer for layer in first.layers)
    steps = f"its layers, in {len(first.layers)} steps," if merged else f"{len(first.layers)} layers"
    more = "more layers" if merged else "one more layer"
    alt = (
        f"Line charts of how like their old selves {network.title}’s maps are while {steps} are "
        f"randomised from the last to the first: rank correlation in the end {listed(ends)}."
    )
    order = listed([f"{number} {layer}" for number, layer in enumerate(first.layers, 1)])
    caption = (
        f"{network.title}, {counted(first.count, 'image')}: the map before and after the weights of {more} are drawn "
        f"anew, from the logits down ({order}). Circles: Spearman’s rank correlation of the raw maps; squares: "
        "SSIM of the maps over the image; 1: unchanged. Whiskers: 95 % bootstrap intervals. What to notice: a map of "
        "what the network learnt falls towards zero; one that stays up would be drawn by an untrained network too."
    )
    panels = [(each.method, [_points(each.spearman, 0), _points(each.ssim, 1)]) for each in found.randomisation]
    rows = tuple(
        (
            each.method,
            number,
            layer,
            *(cell(value, 3) for value in (spearman.mean, spearman.low, spearman.high)),
            *(cell(value, 3) for value in (ssim.mean, ssim.low, ssim.high)),
            silent,
        )
        for each in found.randomisation
        for number, (layer, spearman, ssim, silent) in enumerate(
            zip(each.layers, each.spearman, each.ssim, each.silent, strict=True), 1
        )
    )
    head = (
        "method",
        "steps" if merged else "layers",
        "last randomised",
        "Spearman",
        "from",
        "to",
        "SSIM",
        "from",
        "to",
        "constant maps",
    )
    chart = intervals.small_lines(
        figure_id, alt, panels, ("Spearman", "SSIM"), "steps" if merged else "layers randomised"
    )
    return charted(figure_id, chart, alt=alt, caption=caption, table=Table(head, rows))


def _points(values: Sequence[Estimate], style: int) -> Points:
    """With the map as it was, which is all like itself, in front."""
    return Points(
        (1.0, *(value.mean for value in values)),
        (1.0, *(value.low for value in values)),
        (1.0, *(value.high for value in values)),
        style,
    )
