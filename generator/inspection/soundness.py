"""Which methods of explaining fail on a network, by what was measured of them: their maps are not shown."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from generator.records.network import GRAD_CAM, Explanation
from generator.records.scores import Evaluation
from generator.records.trust import Check, Estimate, Faithfulness

# Whose maps a page may show first: coarse ones, of one class as of many, of few passes; in the list's order.
FIRST = (GRAD_CAM, "Grad-CAM++", "LayerCAM", "attention rollout")
SAME = 0.999  # rank correlation of maps with those of another class, from which on they are the same
SILENT = 4  # photos: on fewer nothing may have spoken for the answer, which is no fault of the method
UNMOVED = 0.9  # rank correlation of maps with those of random weights, from which on they are those of the images


def unfit(found: Faithfulness | None, checks: Iterable[Check] = ()) -> dict[str, str]:
    """The methods that failed, and the number that says why, as a clause.

    A map has to differ from place to place, and with the class; to change when all weights are drawn anew (Adebayo et
    al. 2018, arXiv:1810.03292); and to find places that matter: when they go first, the class's probability has to fall
    faster than in a random order. What is not measured is not failed.
    """
    return {**{one.method: reason for one in checks if (reason := _fault(one))}, **_measured_unfit(found)}


def _fault(found: Check) -> str:
    """Why a method fails what the build itself found, as a clause; "" where it does not."""
    photos = f"photo{'s' if found.count > 1 else ''}"
    if found.constant == found.count >= SILENT:
        return f"its maps are the same in all places, on all of {found.count} {photos}"
    if found.classes is not None and found.classes > SAME:
        return (
            f"its maps are the same for another class: a rank correlation of {found.classes:.3f} with those of the "
            f"least probable one, on {found.asked} {photos}"
        )
    if found.weights is not None and found.weights > UNMOVED:
        return (
            "its maps stay the same when all weights are random: a rank correlation of "
            f"{found.weights:.2f} on {found.asked} {photos}"
        )
    if found.worse:
        value, chance = found.deletion.value.mean, found.deletion.baselines["random"].mean
        return (
            "what it shows as important matters no more than any place: taken away in its order it leaves "
            f"{value:.3f} of the answer’s probability on average, in a random one {chance:.3f}, on {found.count} "
            f"{photos} of this report"
        )
    return ""


def _measured_unfit(found: Faithfulness | None) -> dict[str, str]:
    if found is None:
        return {}
    failed: dict[str, str] = {}
    for each in found.perturbation:
        random, wrong = each.deletion.ahead.get("random"), each.deletion.ahead.get("wrong class")
        if wrong is not None and wrong.low == wrong.high == 0:
            failed[each.method] = f"its maps are the same for every class, on all of {each.count} test images"
        elif random is not None and random.mean >= 0:
            value, chance = each.deletion.value.mean, each.deletion.baselines["random"].mean
            failed[each.method] = (
                "what it shows as important matters no more than any place: taken away in its order it leaves "
                f"{value:.3f} of the class’s probability on average, in a random one {chance:.3f}, on {each.count} "
                "test images"
            )
    for one in found.randomisation:
        if not one.count:
            failed[one.method] = "its maps are the same in all places, on every test image"
        elif one.spearman and one.spearman[-1].mean > UNMOVED:
            failed[one.method] = (
                "its maps stay the same when all weights are random: a rank correlation of "
                f"{one.spearman[-1].mean:.2f} on {one.count} test images"
            )
    return failed


def measured(evaluation: Evaluation | None, layer: str) -> Faithfulness | None:
    """What was measured of the maps of this layer; None where nothing was, or of another one's."""
    found = evaluation.faithfulness if evaluation is not None else None
    return found if found is not None and found.layer == layer else None


def first(able: Iterable[str], found: Faithfulness | None) -> tuple[str, str]:
    """The method whose maps are all over the report, and what is said of it where it is not the list's first.

    The first in the list of which it is proved that it finds what matters: when the places that it names go first, the
    class's probability falls faster than in a random order, beyond the interval; and that fails in nothing else. Where
    none is proved the list's first stays.
    """
    named = [*able]
    candidates = [name for name in named if name in FIRST]
    if not candidates:
        return GRAD_CAM, ""
    usual = candidates[0]
    gaps = {each.method: each for each in found.perturbation} if found is not None else {}
    ahead = {name: each.deletion.ahead["random"] for name, each in gaps.items() if "random" in each.deletion.ahead}
    failed = unfit(found)
    proved = [name for name in candidates if name in ahead and ahead[name].high < 0 and name not in failed]
    if usual not in ahead or not proved or proved[0] == usual:
        return usual, ""
    chosen = proved[0]
    return chosen, (
        f"Its maps are those of {chosen}: when the places that these name go first, the class’s probability falls by "
        f"{_fall(ahead[chosen])} more than in a random order, on {gaps[chosen].count} test images. Of {usual}, which "
        f"comes first elsewhere, that is not shown: {_fall(ahead[usual])}."
    )


def _fall(gap: Estimate) -> str:
    """How much less is left than in a random order, with its interval."""
    mean, low, high = (f"{-value:.3f}".replace("-", "−") for value in (gap.mean, gap.high, gap.low))
    return f"{mean} ({low} to {high})"


def without(explanations: Mapping[str, Explanation], methods: Collection[str]) -> Mapping[str, Explanation]:
    """The explanations without these methods' maps."""
    if not methods:
        return explanations
    return {photo: _without(explanation, methods) for photo, explanation in explanations.items()}


def _without(explanation: Explanation, methods: Collection[str]) -> Explanation:
    found = explanation.comparison
    if found is None:
        return explanation
    maps = {name: cam for name, cam in found.maps.items() if name not in methods}
    return replace(explanation, comparison=replace(found, maps=maps))
