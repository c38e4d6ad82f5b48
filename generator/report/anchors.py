"""The networks' part of addresses: their ids, told apart from everything else that has an address.

Ids of elements, ids of figures and names of files begin with it: `cnn`, `cnn-conv3`, `filters-cnn-conv3.html`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from generator.records.network import Network

# What templates, scripts and the words of the pages call something of their own; a test finds what is missing.
# fmt: off
TAKEN = frozenset((
    "address", "again", "answers", "arithmetic", "augmentation", "by-strength", "camera", "channel", "channels",
    "classes", "clear", "colour", "column", "content", "counts", "data", "deciding", "done", "drawing",
    "environment", "evaluation", "examples", "favicon", "feature-maps", "file", "filters", "first-layers",
    "grad-cam", "growth", "hero", "how", "inside", "licences", "limits", "live", "look", "made", "map", "mark",
    "method", "networks", "notes", "numbers", "photo", "photos", "progress", "question", "ranged", "ranges",
    "reading", "rooms", "row", "sample", "scale", "seen", "shown", "size", "social", "speed", "stage", "stages",
    "start", "status", "strength", "teaser", "theme", "title", "trust", "try", "undo", "unit", "units", "weights",
    "which",
))
# fmt: on
# Words that begin the ids of figures and parts that are no network's: "photo-bee", "data-examples-bee".
BEFORE = re.compile(r"(data|hero|mark|photo|scale)-", re.IGNORECASE)
# What follows a network's part in an address: "cnn-conv3" is of the network "cnn".
AFTER = re.compile(
    r"-(calibration|cam|class|classes|confident|confusion|contributions|conv\d+|convolutions|curves|failure|filters|first|for|growth"
    r"|layer\d+|layers|loss|maps|mistakes|norms|numbers|pairs|parts|per-class|perturbation|randomisation|rate|reliability|run"
    r"|runs|settings|side-by-side|stage\d+|trust|ways)(-|$)",
    re.IGNORECASE,
)


def anchored(networks: Sequence[Network]) -> tuple[Network, ...]:
    """The networks, each with an anchor that no other has; two that differ in case alone share files on some disks.

    An id that can be one stays what it is, so that addresses last.
    """
    ids = {network.id.casefold() for network in networks}
    given: set[str] = set()
    found = []
    for network in networks:
        anchor, others, again = network.id, (ids - {network.id.casefold()}) | given, 1
        while _taken(anchor.casefold(), others, given):
            anchor = f"network-{network.id}" if again == 1 else f"network-{again}-{network.id}"
            others, again = ids | given, again + 1
        given.add(anchor.casefold())
        found.append(network if anchor == network.id else replace(network, apart=anchor))
    return tuple(found)


def _taken(name: str, others: set[str], given: set[str]) -> bool:
    """Whether it is the address of something else, or one would begin the other and be taken for its part."""
    inside = any(_begins(other, name) for other in others) or any(_begins(name, other) for other in given)
    return name in TAKEN | others or bool(BEFORE.match(name)) or inside


def _begins(one: str, other: str) -> bool:
    return other.startswith(one) and bool(AFTER.match(other[len(one) :]))
