"""The channels that a prediction is made of, and where they stand."""

from __future__ import annotations

from dataclasses import dataclass

from generator.records.images import Photo
from generator.records.network import Explanation, Network
from generator.report.plates.numbers import listed_channels
from generator.report.plates.patches import is_own, shows, unit_prefix


@dataclass(frozen=True)
class Contributor:
    """One channel among those that made up a prediction; `href` leads to its unit, None where it has none."""

    channel: int
    value: float
    shows: str
    href: str | None
    cell: int


def contributors(network: Network, photo: Photo, explanation: Explanation) -> tuple[Contributor, ...]:
    """The channels that spoke most for the answer, as the figure `contributions` shows them."""
    if explanation.contributions is None:
        return ()
    layer = next((one for one in network.layers if one.name == explanation.contributor_layer), None)
    patches = next((one for one in network.patches if one.layer == explanation.contributor_layer), None)
    prefix = unit_prefix(network, layer) if layer else ""
    own = is_own(network, photo)
    told = set(listed_channels(network, layer)) if layer else set()
    given = [channel for channel in explanation.contributors if explanation.contributions[channel] > 0]
    return tuple(
        Contributor(
            channel=channel,
            value=float(explanation.contributions[channel]),
            shows=shows(network, patches, channel, without=own) if patches and network.examined is not None else "",
            href=f"filters-{prefix}.html#{prefix}-{channel}" if layer and channel in told else None,
            cell=cell,
        )
        for cell, channel in enumerate(given)
    )
