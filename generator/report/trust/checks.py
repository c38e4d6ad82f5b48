"""What a build found of heat maps by itself, on its own photos, in words and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from generator.records.figure import Table
from generator.records.network import Network
from generator.records.trust import Check
from generator.report.plates.wording import cell, counted, listed, percent_cell, sentence
from generator.report.trust.measurements import difference, number_of, signed


@dataclass(frozen=True)
class Checks:
    """The checks of one network's maps: what they found, in sentences, and their numbers."""

    told: str
    table: Table


def checks(network: Network) -> Checks | None:
    """The checks in words; None where there are none."""
    found = network.checks
    if not found:
        return None
    photos = counted(found[0].count, "photo")
    methods = listed([one.method for one in found])
    said = [
        f"On {photos} of this report, each for what {network.title} answers, the build checked the maps of {methods}.",
        _deletion(found),
        _asked(
            {one.method: one.classes for one in found if one.classes is not None},
            "Asked for the least probable class instead, the rank correlation of the maps is {}: the nearer to 1, the "
            "less they depend on the class.",
        ),
        _asked(
            {one.method: one.weights for one in found if one.weights is not None},
            "With the maps of the same network with random weights it is {}: the nearer to 1, the less they show what "
            "was learnt.",
        ),
    ]
    return Checks(" ".join(part for part in said if part), _table(found))


def _deletion(found: tuple[Check, ...]) -> str:
    groups = {
        "of {} the answer falls faster than in a random order, beyond what chance explains": [
            one.method for one in found if one.better
        ],
        "of {} it falls no faster, so that what they show matters no more than any place": [
            one.method for one in found if one.worse
        ],
        "so few photos do not tell {} from a random order": [
            one.method for one in found if not one.better and not one.worse
        ],
    }
    parts = [what.format(listed(names)) for what, names in groups.items() if names]
    return sentence(f"when the most important places go first, {'; '.join(parts)}.")


def _asked(values: Mapping[str, float], said: str) -> str:
    return said.format(listed([f"{signed(value)} for {name}" for name, value in values.items()])) if values else ""


def _table(found: tuple[Check, ...]) -> Table:
    head = (
        "method",
        "photos",
        "constant maps",
        "deletion, %",
        "random order, % (difference)",
        "rank correlation: another class",
        "random weights",
        "of photos",
    )
    rows = tuple(
        (
            one.method,
            one.count,
            one.constant,
            percent_cell(one.deletion.value.mean),
            f"{number_of(one.deletion.baselines['random'].mean)} ({difference(one.deletion.ahead['random'])})",
            cell(one.classes, 2),
            cell(one.weights, 2),
            one.asked or "–",
        )
        for one in found
    )
    return Table(head, rows)
