"""The methods of which few images do not tell whether their maps find what matters: neither proved nor left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from generator.records.network import Network
from generator.records.trust import Estimate
from generator.report.plates.wording import counted
from generator.report.trust.measurements import measured, number_of


@dataclass(frozen=True)
class Undecided:
    """By how much the probability differs, on average over deletion's steps, from that of a random order."""

    count: int
    images: str  # what they are: "photo", "test image"
    gap: Estimate  # below zero where the map's order is better

    @property
    def said(self) -> str:
        """In words, beside the method's name."""
        mean, low, high = (number_of(value, "+") for value in (self.gap.mean, self.gap.low, self.gap.high))
        return (
            f"undecided on {counted(self.count, self.images)}: with pixels taken away in its order the probability "
            f"differs from that of a random order by {mean} points ({low} to {high}); below zero is better"
        )


def undecided(network: Network) -> Mapping[str, Undecided]:
    """By the method's name; without those that failed, whose maps are not shown (`inspection.soundness`)."""
    found: dict[str, Undecided] = {}
    faithfulness = measured(network)
    for each in faithfulness.perturbation if faithfulness is not None else ():
        gap = each.deletion.ahead.get("random")
        if gap is not None and gap.mean < 0 <= gap.high:
            found[each.method] = Undecided(each.count, "test image", gap)
    for one in network.checks:  # of maps that the evaluation has not measured, or not at this layer
        found.pop(one.method, None)
        if not one.better and not one.worse:
            found[one.method] = Undecided(one.count, "photo", one.deletion.ahead["random"])
    return found
