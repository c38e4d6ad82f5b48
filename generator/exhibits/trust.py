"""The trust page's figures and table, and what the measurements mean in words: how far to believe the heat maps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from generator.exhibits.frames import charted
from generator.exhibits.scores import SPLITS
from generator.exhibits.wording import cell, counted, layer_title, listed, percent, percent_cell, sentence
from generator.figures import intervals
from generator.figures.intervals import Bar, Panel, Points
from generator.records import Compared, Estimate, Faithfulness, Figure, Localisation, Network, Table

# Rank correlations with the old map, after all weights were randomised: up to the first its order is called lost, above
# the second kept.
UNLIKE, ALIKE = 0.25, 0.5
BASELINES = {  # how the records and the page call what a method is compared with
    "centre": "centre point",
    "uniform": "uniform map",
    "wrong class": "wrong class",
    "random": "random order",
    "centre out": "centre out",
}


@dataclass(frozen=True)
class Verdict:
    """What the measurements of one network say, in sentences; "" where there is nothing to say."""

    lead: str  # the page's first sentences
    pointing: str  # each method against the centre point
    wrong_class: str
    energy: str
    perturbation: str
    randomisation: str
    layers: str
    table: Table  # all measurements
    sweep: Table | None  # the pointing game at several layers
    record: Faithfulness


def trust(network: Network) -> tuple[Figure, ...]:
    """The pointing game beside its baselines, and the randomisation check; nothing where nothing was measured."""
    found = _measured(network)
    if found is None:
        return ()
    figures = [_pointing(network, found)]
    if found.randomisation:
        figures.append(_randomisation(network, found))
    return tuple(figures)


def verdict(network: Network) -> Verdict | None:
    """The measurements in words; None where nothing was measured."""
    found = _measured(network)
    if found is None:
        return None
    return Verdict(
        lead=_lead(network, found),
        pointing=_against_centre(found),
        wrong_class=_against_wrong_class(found),
        energy=_energy(found),
        perturbation=_perturbation(found),
        randomisation=_loss(found),
        layers=_layers(found),
        table=_table(found),
        sweep=_sweep(found),
        record=found,
    )


# Figures


def _pointing(network: Network, found: Faithfulness) -> Figure:
    figure_id = f"{network.id}-trust-pointing"
    panels, findings = [], []
    for small in (False, True):
        rows = _rows(found, small)
        if rows:
            panels.append(_panel(found, rows, small))
            best = max(rows, key=lambda row: row.pointing.value.low)
            findings.append(
                f"{'under a quarter of the image' if small else 'all boxes'}: {best.method} "
                f"{percent(best.pointing.value.mean)}, centre point {percent(best.pointing.baselines['centre'].mean)}, "
                f"uniform map {percent(best.pointing.baselines['uniform'].mean)}, "
                f"wrong class {percent(best.pointing.baselines['wrong class'].mean)}"
            )
    images = _images(found)
    alt = (
        f"Bar plot of the pointing game of {network.title} on {images}, the best method beside its baselines; "
        f"{'; '.join(findings)}."
    )
    layer = f" (class activation maps: of {layer_title(network, found.layer)})" if found.layer else ""
    few = [
        f"{row.method} {row.count:,} (the centre point hits {percent(row.pointing.baselines['centre'].mean)} of theirs)"
        for row in _rows(found, False)
        if row.count < found.count
    ]
    caption = (
        f"{network.title} on {images}, {found.correct:,} of which it names correctly: how often the brightest point of "
        f"a heat map lies in the object’s box{layer}. Thick bars: the map of the true class; thin bars below them: the "
        "map of a wrong class drawn at random; grey: the centre of the image, and a map that is the same everywhere, "
        "which hits by chance. Whiskers: 95 % bootstrap intervals; dotted: the centre point on all images. What to "
        "notice: a bar that ends left of the dotted line is worse than not looking at the photo at all."
        f"{f' Fewer images, with a centre point of their own, were used for {listed(few)}.' if few else ''}"
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
        "of a wrong class",
    )
    numbers = tuple(
        (
            _boxes(row.small),
            row.method,
            row.count,
            *_triple(row.pointing.value),
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
        bars.append(_bar(row.method, row.pointing.value, 0))
        bars.append(_bar("", row.pointing.baselines["wrong class"], 1, thin=True))
    bars += [_bar(BASELINES[name], most.pointing.baselines[name], None) for name in ("centre", "uniform")]
    title = (
        f"{counted(found.small, 'box', 'boxes')} under a quarter of the image"
        if small
        else f"All {counted(found.count, 'box', 'boxes')}"
    )
    return Panel(f"{title}: hits, %", bars, most.pointing.baselines["centre"].mean)


def _bar(label: str, value: Estimate, style: int | None, *, thin: bool = False) -> Bar:
    return Bar(label, value.mean, value.low, value.high, style, thin)


def _randomisation(network: Network, found: Faithfulness) -> Figure:
    figure_id = f"{network.id}-trust-randomisation"
    ends = [f"{each.method} {_signed(each.spearman[-1].mean)}" for each in found.randomisation]
    first = found.randomisation[0]
    alt = (
        f"Line charts of how like their old selves {network.title}’s maps are while {len(first.layers)} layers are "
        f"randomised from the last to the first: rank correlation in the end {listed(ends)}."
    )
    order = listed([f"{number} {layer}" for number, layer in enumerate(first.layers, 1)])
    caption = (
        f"{network.title}, {counted(first.count, 'image')}: the map before and after the weights of one more layer are "
        f"drawn anew, from the logits down ({order}). Circles: Spearman’s rank correlation of the raw maps; squares: "
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
    head = ("method", "layers", "last randomised", "Spearman", "from", "to", "SSIM", "from", "to", "constant maps")
    chart = intervals.small_lines(figure_id, alt, panels, ("Spearman", "SSIM"), "layers randomised")
    return charted(figure_id, chart, alt=alt, caption=caption, table=Table(head, rows))


def _points(values: Sequence[Estimate], style: int) -> Points:
    """With the map as it was, which is all like itself, in front."""
    return Points(
        (1.0, *(value.mean for value in values)),
        (1.0, *(value.low for value in values)),
        (1.0, *(value.high for value in values)),
        style,
    )


# Tables


def _table(found: Faithfulness) -> Table:
    """A row for each measure and method, a column for each baseline: its value, and how far the method is ahead."""
    rows: list[tuple[str | int | float, ...]] = []
    for small in (False, True):
        located, boxes = _rows(found, small), _boxes(small)
        rows += [_row(f"pointing game, {boxes}", row.method, row.count, row.pointing) for row in located]
        rows += [_row(f"energy in the box, {boxes}", row.method, row.count, row.energy) for row in located]
    rows += [_row("deletion (low is good)", each.method, each.count, each.deletion) for each in found.perturbation]
    rows += [_row("insertion (high is good)", each.method, each.count, each.insertion) for each in found.perturbation]
    for index, after in ((0, "the last layer"), (-1, "all layers")):
        for check in found.randomisation:
            for what, values in (("Spearman", check.spearman), ("SSIM", check.ssim)):
                end = values[index]
                measure = f"{what} after {after} randomised, from −1 to 1"
                span = f"{_signed(end.low)} to {_signed(end.high)}"
                rows.append((measure, check.method, check.count, cell(end.mean, 2), span, *("–" for _ in BASELINES)))
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
    beside = [
        f"{_number(values.baselines[name].mean)} ({_difference(values.ahead[name])})"
        if name in values.baselines
        else "–"
        for name in BASELINES
    ]
    span = f"{_number(values.value.low)} to {_number(values.value.high)}"
    return (measure, method, count, percent_cell(values.value.mean), span, *beside)


def _sweep(found: Faithfulness) -> Table | None:
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
                _interval(each.pointing),
                percent_cell(each.pointing_small.mean if each.pointing_small else None),
                _interval(each.pointing_small) if each.pointing_small else "–",
                percent_cell(each.energy.mean),
            )
            for each in found.sweep
        ),
    )


# Sentences


def _lead(network: Network, found: Faithfulness) -> str:
    row = _rows(found, False)[0]
    hits = row.pointing
    said = (
        f"On {_images(found, row.count)}, the brightest point of {network.title}’s {row.method} map for the true class "
        f"lies in the object’s box {percent(hits.value.mean)} of the time; the centre of the image would "
        f"{percent(hits.baselines['centre'].mean)} of the time, without looking."
    )
    few = {each.method: each.pointing for each in _rows(found, True)}
    if row.method not in few:
        return said
    own = few[row.method]
    # By the lower end: a method that looked at few images is not the best by chance.
    best = max(few, key=lambda method: few[method].ahead["centre"].low)
    said += (
        f" Where the box is under a quarter of the image, it is {percent(own.value.mean)} against "
        f"{percent(own.baselines['centre'].mean)}"
    )
    said += f": that {_stands(own.ahead['centre'], 'the centre')}"
    if best != row.method:
        said += f"; of all methods {best} stands best there and {_stands(few[best].ahead['centre'], 'it')}"
    return f"{said}."


def _against_centre(found: Faithfulness) -> str:
    parts = []
    for small, where in ((False, "on all boxes"), (True, "on boxes under a quarter of the image")):
        rows = _rows(found, small)
        if rows:
            gaps = {row.method: row.pointing.ahead["centre"] for row in rows}
            parts.append(f"{sentence(where)}, {_grouped(gaps, 'the centre point')}.")
    return " ".join(parts)


def _against_wrong_class(found: Faithfulness) -> str:
    rows = _rows(found, True) or _rows(found, False)
    boxes = "small boxes" if rows[0].small else "boxes"
    depend, same = [], []
    for row in rows:
        hits, wrong = (percent(value.mean) for value in (row.pointing.value, row.pointing.baselines["wrong class"]))
        if row.pointing.ahead["wrong class"].low > 0:
            depend.append(f"for {row.method} from {hits} to {wrong}")
        else:
            same.append(f"for {row.method} ({hits} and {wrong})")
    parts = []
    if depend:
        parts.append(
            f"Asked for a wrong class instead, the share of {boxes} that are hit falls {listed(depend)}: what is "
            "bright depends on the class."
        )
    if same:
        asked = "" if depend else ", asked for a wrong class instead,"
        parts.append(
            f"{sentence(listed(same))} the difference{asked} may be chance: that the map depends on the class is not "
            "shown."
        )
    return " ".join(parts)


def _energy(found: Faithfulness) -> str:
    row = (_rows(found, True) or _rows(found, False))[0]
    values = row.energy
    uniform = values.baselines["uniform"].mean
    where = "the small boxes" if row.small else "the boxes"
    told = (
        f"Of all that is bright in a {row.method} map, {percent(values.value.mean)} lies in {where}; they are "
        f"{percent(uniform)} of the image, which is what a map without any knowledge would put there"
    )
    behind = []
    for small in (False, True):
        for what, gaps in (
            ("what is bright", {each.method: each.energy.ahead["uniform"] for each in _rows(found, small)}),
            ("the brightest point", {each.method: each.pointing.ahead["uniform"] for each in _rows(found, small)}),
        ):
            rest = {name: gap for name, gap in gaps.items() if gap.low <= 0}
            if rest:
                behind.append(f"by {what} in {_boxes(small)}, {_grouped(rest, 'it')}")
    judged = f"Not all beat it: {'; '.join(behind)}" if behind else "Every method beats such a map by more than chance"
    return f"{told}. {judged}."


def _perturbation(found: Faithfulness) -> str:
    if not found.perturbation:
        return ""
    first = found.perturbation[0]
    parts = []
    for what, better, values, sign in (
        ("taken away", "less", first.deletion, -1),
        ("put back", "more", first.insertion, 1),
    ):
        beside = listed([f"{percent(value.mean)} {_ORDERS[name]}" for name, value in values.baselines.items()])
        unproven = [_ORDERS[name] for name, gap in values.ahead.items() if min(sign * gap.low, sign * gap.high) <= 0]
        judged = (
            f"not shown to be better than {listed(unproven)}" if unproven else "better than each by more than chance"
        )
        parts.append(
            f"With pixels {what} in the order of {first.method}, the true class has a probability of "
            f"{percent(values.value.mean)} on average over {first.count:,} images and the whole way, {beside}; "
            f"{better} is better, so the map is {judged}."
        )
    return " ".join(parts)


_ORDERS = {
    "random": "in random patches",
    "centre out": "from the centre outwards",
    "wrong class": "in the order of a wrong class’s map",
}


def _loss(found: Faithfulness) -> str:
    if not found.randomisation:
        return ""
    first = found.randomisation[0]
    gone: list[str] = []
    part: list[str] = []
    kept: list[str] = []
    for each in found.randomisation:
        end = each.spearman[-1].mean
        constant = f"; {each.silent[-1]} of {each.count:,} maps became constant" if each.silent[-1] else ""
        told = f"{each.method} ({_signed(end)}{constant})"
        (gone if abs(end) <= UNLIKE else part if abs(end) <= ALIKE else kept).append(told)
    starts = [f"{_signed(each.spearman[0].mean)} for {each.method}" for each in found.randomisation]
    said = []
    if gone:
        said.append(f"{listed(gone)} lost the old map’s order, as it should be: what was shown had been learnt")
    if part:
        said.append(
            f"{listed(part)} kept a part of the old map’s order, or of its reverse, which then comes from the photo "
            "and not from what was learnt"
        )
    if kept:
        said.append(f"{listed(kept)} stayed like the old map, which then shows the photo rather than the network")
    checked = {each.method for each in found.randomisation}
    left_out = [each.method for each in _rows(found, False) if each.method not in checked]
    rest = f" {sentence(listed(left_out))} {'was' if len(left_out) == 1 else 'were'} not checked." if left_out else ""
    return (
        f"With only {first.layers[0]} randomised, the rank correlation with the old map is {listed(starts)}; with "
        f"every layer randomised, {'; '.join(said)}.{rest}"
    )


def _layers(found: Faithfulness) -> str:
    if not found.sweep:
        return ""
    small = all(each.pointing_small for each in found.sweep)
    scores = {each.layer: each.pointing_small or each.pointing if small else each.pointing for each in found.sweep}
    best = max(found.sweep, key=lambda each: scores[each.layer].mean)
    top = scores[best.layer]
    near = [name for name, score in scores.items() if name != best.layer and score.high >= top.low]
    unsure = f"; its interval overlaps that of {listed(near)}" if near else ""
    told = (
        f"{found.sweep_method} at {best.layer}, whose maps have {best.side[0]} × {best.side[1]} cells, hits the "
        f"{'small boxes' if small else 'boxes'} most often, {percent(top.mean)} of the time{unsure}."
    )
    if not small:
        return told
    overall = max(found.sweep, key=lambda each: each.pointing.mean)
    if overall.layer == best.layer:
        return f"{told} It does so on all boxes too."
    pair = f"{percent(overall.pointing.mean)} to {percent(best.pointing.mean)}"
    return f"{told} On all boxes {overall.layer} is ahead, {pair}."


def _grouped(gaps: Mapping[str, Estimate], baseline: str) -> str:
    """Which methods beat a baseline, which lose to it, which can be told apart from it by nothing but chance."""
    won = [f"{name} by {_span_of(gap)}" for name, gap in gaps.items() if gap.low > 0]
    lost = [f"{name} by {_span_of(gap)}" for name, gap in gaps.items() if gap.high < 0]
    even = [f"{name} ({_difference(gap)} points)" for name, gap in gaps.items() if gap.low <= 0 <= gap.high]
    parts = [f"{listed(won)} beat{_s(won)} {baseline}"] if won else []
    parts += [f"{listed(lost)} lose{_s(lost)} to {baseline if not parts else 'it'}"] if lost else []
    parts += [f"{listed(even)} cannot be told apart from {baseline if not parts else 'it'}"] if even else []
    return "; ".join(parts)


def _stands(gap: Estimate, baseline: str) -> str:
    if gap.low > 0:
        return f"beats {baseline} by {_span_of(gap)}"
    if gap.high < 0:
        return f"loses to {baseline} by {_span_of(gap)}"
    return f"cannot be told apart from {baseline} (difference {_difference(gap)} points)"


# Words and numbers


def _measured(network: Network) -> Faithfulness | None:
    return network.evaluation.faithfulness if network.evaluation else None


def _rows(found: Faithfulness, small: bool) -> list[Localisation]:
    return [row for row in found.localisation if row.small == small]


def _images(found: Faithfulness, count: int | None = None) -> str:
    return f"{count or found.count:,} {SPLITS.get(found.split, f'images of {found.split}')}"


def _boxes(small: bool) -> str:
    return "small boxes" if small else "all boxes"


def _s(parts: Sequence[str]) -> str:
    return "s" if len(parts) == 1 else ""


def _span_of(gap: Estimate) -> str:
    """A difference's size: "2.0 points (0.4 to 3.7)", whichever sign it has."""
    low, high = sorted((abs(gap.low), abs(gap.high)))
    return f"{abs(gap.mean) * 100:.1f} points ({low * 100:.1f} to {high * 100:.1f})"


def _difference(gap: Estimate) -> str:
    """With its sign and interval: "+2.0, −0.4 to +4.4"."""
    mean, low, high = (_number(value, "+") for value in (gap.mean, gap.low, gap.high))
    return f"{mean}, {low} to {high}"


def _interval(value: Estimate) -> str:
    return f"{_number(value.low)} to {_number(value.high)}"


def _triple(value: Estimate) -> Iterable[float | str]:
    return (percent_cell(each) for each in (value.mean, value.low, value.high))


def _number(share: float, sign: str = "-") -> str:
    return f"{share * 100:{sign}.1f}".replace("-", "−")


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
