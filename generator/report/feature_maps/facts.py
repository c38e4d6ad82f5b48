"""One stage of a network as the page speaks of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from generator.records.network import StageMaps
from generator.report.plates.painting import scale_of

# Activations in one mosaic (about 30 KB), and maps; beyond them the channels with the lowest mean are left out.
MOST_CELLS, MOST_MAPS = 131_072, 512


@dataclass(frozen=True)
class Stage:
    """The feature maps of one stage in a few numbers; `active` is the share of units above zero."""

    layer: str
    title: str
    channels: int
    height: int
    width: int
    maximum: float
    silent: int  # channels that are zero everywhere
    active: float
    scale: float  # of its maps' colours
    mean: float  # of the map with the largest, which has the longest bar
    drawn: int  # maps in its picture, the most active ones
    signed: bool  # whether some are negative


def stage_of(stage: StageMaps) -> Stage:
    """The facts of one stage's maps."""
    channels, height, width = stage.maps.shape
    largest = np.abs(stage.maps).max(axis=(1, 2), initial=0)
    return Stage(
        layer=stage.layer,
        title=stage.title,
        channels=channels,
        height=height,
        width=width,
        maximum=float(largest.max(initial=0)),
        silent=int((largest == 0).sum()),
        active=float((stage.maps > 0).mean()),
        scale=scale_of(stage.maps),
        mean=float(np.abs(stage.maps.mean(axis=(1, 2), dtype=np.float64)).max(initial=0)),
        drawn=drawn(channels, height, width),
        signed=bool((stage.maps < 0).any()),
    )


def drawn(channels: int, height: int, width: int) -> int:
    """How many of a stage's maps its picture has room for."""
    return max(1, min(channels, MOST_MAPS, MOST_CELLS // (height * width)))
