"""The trust page's figures and table, and what the measurements mean in words: how far to believe the heat maps."""

from __future__ import annotations

from collections.abc import Sequence

from generator.figures import intervals
from generator.figures.intervals import Mark, Points, Row
from generator.records.figure import Figure, Table
from generator.records.network import Network
from generator.records.trust import Estimate, Faithfulness, Localisation
from generator.report.plates.frames import charted
from generator.report.plates.wording import cell, counted, digits_of, layer_title, listed
from generator.report.trust.measurements import (
    BASELINES,
    counted_images,
    difference,
    kind_of_boxes,
    localisations,
    measured,
    number_of,
    share_cell,
    signed,
    triple,
)


def trust_figures(network: Network) -> tuple[Figure, ...]:
    """The pointing game beside the centre, and the randomisation check; nothing where nothing was measured."""
    found = measured(network)
    if found is None:
        return ()
    figures = [_pointing(network, found)] if found.boxes else []
    if found.randomisation:
        figures.append(_randomisation(network, found))
    return tuple(figures)


# Figures


def _pointing(network: Network, found: Faithfulness) -> Figure:
    """Each method's lead over the image's centre in the pointing game, each beside the centre on its own images."""
    figure_id = f"{network.anchor}-trust-pointing"
    every, few = localisations(found, False), {row.method: row for row in localisations(found, True)}
    rows = [
        Row(row.method, [_ahead(row, 0), *([_ahead(few[row.method], 1)] if row.method in few else [])]) for row in every
    ]
    best = max(every, key=lambda row: row.pointing.ahead["centre"].low)
    findings = [f"best on all boxes {best.method}, {difference(best.pointing.ahead['centre'])}"]
    if few:
        top = max(few.values(), key=lambda row: row.pointing.ahead["centre"].low)
        findings.append(f"best on small boxes {top.method}, {difference(top.pointing.ahead['centre'])}")
    images = counted_images(found)
    alt = (
        f"Forest plot of the pointing game of {network.title} on {images}, each method’s hits less those of the "
        f"image’s centre, in points with 95 % intervals: {'; '.join(findings)}."
    )
    layer = f" (CAM methods: at {layer_title(network, found.layer)})" if found.layer else ""
    fewer = [f"{row.method} ({row.count:,})" for row in every if row.count < found.count]
    small = f"; squares: on the {counted(found.small, 'box', 'boxes')} under a quarter of the image" if few else ""
    caption = (
        f"{network.title} on {images}, {found.correct:,} of which it names correctly: how much more often the "
        f"brightest point of a heat map lies in the object’s box than the image’s centre does{layer}. Circles: on all "
        f"boxes{small}; lines: 95 % bootstrap intervals. At the right, how often map and centre hit on the very "
        "images of that row. What to notice: left of the line at 0, not looking at the photo at all does better."
        f"{f' Fewer images were used for {listed(fewer)}.' if fewer else ''}"
    )
    head = (
        "boxes",
        "method",
        "images",
        "hits, %",
        "from",
        "to",
        *(f"{BASELINES[name]}, %" for name in _POINTING),
        "ahead of the centre, points",
        "from",
        "to",
        "zero maps",
        "zero maps, wrong class",
    )
    numbers = tuple(
        (
            kind_of_boxes(row.small),
            row.method,
            row.count,
            *triple(row.pointing.value, row.count),
            *(share_cell(row.pointing.baselines[name].mean, row.count) for name in _POINTING),
            *triple(row.pointing.ahead["centre"], row.count),
            row.silent,
            row.silent_wrong,
        )
        for row in found.localisation
    )
    key = [f"all {counted(found.count, 'box', 'boxes')}", f"the {found.small:,} small ones"][: 2 if few else 1]
    chart = intervals.forest(figure_id, alt, rows, key, "map · centre, %", "points ahead of the centre")
    return charted(figure_id, chart, alt=alt, caption=caption, table=Table(head, numbers))


_POINTING = ("centre", "uniform", "wrong class")


def _ahead(row: Localisation, style: int) -> Mark:
    """A method's lead over the centre on the same images, in points, and both as they are."""
    gap = row.pointing.ahead["centre"]
    both = (row.pointing.value, row.pointing.baselines["centre"])
    hits, centre = (number_of(value.mean, digits=digits_of(row.count)) for value in both)
    return Mark(gap.mean * 100, gap.low * 100, gap.high * 100, f"{hits} · {centre}", style)


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
