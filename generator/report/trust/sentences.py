"""What the measurements of the heat maps mean, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from generator.records.figure import Table
from generator.records.network import GRAD_CAM, Network
from generator.records.trust import Estimate, Faithfulness
from generator.report.plates.wording import digits_of, listed, percent, sentence
from generator.report.trust.measurements import (
    counted_images,
    difference,
    kind_of_boxes,
    localisations,
    measured,
    plural,
    signed,
    span_of,
)
from generator.report.trust.tables import all_measurements, layer_sweep

# Rank correlations with the old map, after all weights were randomised: up to the first its order is called lost, above
# the second kept.
UNLIKE, ALIKE = 0.25, 0.5


@dataclass(frozen=True)
class Verdict:
    """What the measurements of one network say, in sentences; "" where there is nothing to say."""

    lead: str  # the page's first sentences
    pointing: str  # each method against the centre point
    wrong_class: str
    energy: str
    perturbation: str
    randomisation: str
    unmeasured: str
    layers: str
    table: Table  # all measurements
    sweep: Table | None  # the pointing game at several layers
    record: Faithfulness


def verdict(network: Network, shown: str = GRAD_CAM) -> Verdict | None:
    """The measurements in words; None where nothing was measured.

    Args:
        shown: the method whose maps are all over the report, of which the first sentences are.
    """
    found = measured(network)
    if found is None:
        return None
    return Verdict(
        lead=_lead(network, found, shown),
        pointing=_against_centre(found),
        wrong_class=_against_wrong_class(found),
        energy=_energy(found),
        perturbation=_perturbation(found),
        randomisation=_loss(found),
        unmeasured=_unmeasured(found),
        layers=_layers(found),
        table=all_measurements(found),
        sweep=layer_sweep(found),
        record=found,
    )


# Sentences


def _lead(network: Network, found: Faithfulness, shown: str) -> str:
    if not localisations(found, False):
        return _perturbation(found, network, shown, brief=True) or (
            f"The images came without boxes, so that where the heat maps of {network.title} point was not measured."
        )
    rows = localisations(found, False)
    row = next((row for row in rows if row.method == shown), rows[0])
    hits = row.pointing
    said = (
        f"On {counted_images(found, row.count)}, the brightest point of {network.title}’s {row.method} map for the "
        f"true class lies in the object’s box {percent(hits.value.mean)} of the time; so would the image’s centre, "
        f"{percent(hits.baselines['centre'].mean)} of the time."
    )
    few = {each.method: each.pointing for each in localisations(found, True)}
    if row.method not in few:
        return said
    own = few[row.method]
    # By the lower end: a method that looked at few images is not the best by chance.
    best = max(few, key=lambda method: few[method].ahead["centre"].low)
    digits = digits_of(next(each.count for each in localisations(found, True) if each.method == row.method))
    said += (
        f" Where the box is under a quarter of the image, it is {percent(own.value.mean, digits)} against "
        f"{percent(own.baselines['centre'].mean, digits)}"
    )
    said += f": that {_stands(own.ahead['centre'], 'the centre')}"
    if best != row.method:
        said += f"; of all methods {best} does best there and {_stands(few[best].ahead['centre'], 'it')}"
    return f"{said}."


def _against_centre(found: Faithfulness) -> str:
    parts = []
    for small, where in ((False, "on all boxes"), (True, "on boxes under a quarter of the image")):
        rows = localisations(found, small)
        if rows:
            gaps = {row.method: row.pointing.ahead["centre"] for row in rows}
            parts.append(f"{sentence(where)}, {_grouped(gaps, 'the centre point')}.")
    return " ".join(parts)


def _against_wrong_class(found: Faithfulness) -> str:
    rows = localisations(found, True) or localisations(found, False)
    if not rows:
        return ""
    boxes = "small boxes" if rows[0].small else "boxes"
    depend, same = [], []
    for row in rows:
        digits = digits_of(row.count)
        values = (row.pointing.value, row.pointing.baselines["wrong class"])
        hits, wrong = (percent(value.mean, digits) for value in values)
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
    rows = localisations(found, True) or localisations(found, False)
    if not rows:
        return ""
    row = rows[0]
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
            ("what is bright", {each.method: each.energy.ahead["uniform"] for each in localisations(found, small)}),
            (
                "the brightest point",
                {each.method: each.pointing.ahead["uniform"] for each in localisations(found, small)},
            ),
        ):
            rest = {name: gap for name, gap in gaps.items() if gap.low <= 0}
            if rest:
                behind.append(f"by {what} in {kind_of_boxes(small)}, {_grouped(rest, 'it')}")
    judged = (
        f"Not every method beats it: {'; '.join(behind)}"
        if behind
        else "Every method beats such a map by more than chance"
    )
    return f"{told}. {judged}."


def _perturbation(found: Faithfulness, network: Network | None = None, shown: str = "", *, brief: bool = False) -> str:
    """What deletion and insertion found; `brief`: deletion alone."""
    if not found.perturbation:
        return ""
    first = next((each for each in found.perturbation if each.method == shown), found.perturbation[0])
    method = f"{network.title}’s {first.method}" if network else first.method
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
            f"With pixels {what} in the order of {method}, the true class has a probability of "
            f"{percent(values.value.mean)} averaged over {first.count:,} images and all steps, {beside}; "
            f"{better} is better, so the map is {judged}."
        )
    return parts[0] if brief else " ".join(parts)


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
        told = f"{each.method} ({signed(end)}{constant})"
        (gone if abs(end) <= UNLIKE else part if abs(end) <= ALIKE else kept).append(told)
    starts = [f"{signed(each.spearman[0].mean)} for {each.method}" for each in found.randomisation]
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
    left_out = [each.method for each in localisations(found, False) if each.method not in checked]
    rest = f" {sentence(listed(left_out))} {'was' if len(left_out) == 1 else 'were'} not checked." if left_out else ""
    return (
        f"With only {first.layers[0]} randomised, the rank correlation with the old map is {listed(starts)}; with "
        f"every layer randomised, {'; '.join(said)}.{rest}"
    )


def _unmeasured(found: Faithfulness) -> str:
    if not found.unmeasured:
        return ""
    return (
        f"{sentence(listed(found.unmeasured))} {'was' if len(found.unmeasured) == 1 else 'were'} not measured, and the "
        "others on few images: this network takes long. The command evaluate measures all of it."
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
    won = [f"{name} by {span_of(gap)}" for name, gap in gaps.items() if gap.low > 0]
    lost = [f"{name} by {span_of(gap)}" for name, gap in gaps.items() if gap.high < 0]
    even = [f"{name} ({difference(gap)} points)" for name, gap in gaps.items() if gap.low <= 0 <= gap.high]
    parts = [f"{listed(won)} beat{plural(won)} {baseline}"] if won else []
    parts += [f"{listed(lost)} lose{plural(lost)} to {baseline if not parts else 'it'}"] if lost else []
    parts += [f"{listed(even)} cannot be told apart from {baseline if not parts else 'it'}"] if even else []
    return "; ".join(parts)


def _stands(gap: Estimate, baseline: str) -> str:
    if gap.low > 0:
        return f"beats {baseline} by {span_of(gap)}"
    if gap.high < 0:
        return f"loses to {baseline} by {span_of(gap)}"
    return f"cannot be told apart from {baseline} (difference {difference(gap)} points)"
