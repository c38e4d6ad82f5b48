"""Which methods of explaining fail on a network, by what was measured of them: their maps are not shown."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from generator.records.network import Explanation
from generator.records.trust import Faithfulness

UNMOVED = 0.9  # rank correlation of maps with those of random weights, from which on they are those of the images


def unfit(found: Faithfulness | None) -> dict[str, str]:
    """The methods that failed, and the number that says why, as a clause.

    A map has to differ from place to place, and with the class; to change when all weights are drawn anew (Adebayo et
    al. 2018, arXiv:1810.03292); and to find places that matter: when they go first, the class's probability has to fall
    faster than in a random order. What is not measured is not failed.
    """
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
