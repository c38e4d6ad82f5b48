"""A network as a page runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from generator.records.images import Floats


@dataclass(frozen=True)
class LiveStep:
    """One step of a network as the page runs it.

    "conv" and "linear" have weights `factors`[:, None] * `integers` in float32, and `biases`; "scale" multiplies each
    channel by its factor and adds its bias; "global" takes each channel's maximum or average, as `pool` says.
    """

    kind: Literal["conv", "scale", "relu", "maxpool", "global", "flatten", "linear"]
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    pool: Literal["", "max", "average"] = ""
    bits: int = 0  # of a weight
    factors: Floats | None = None  # (O,)
    biases: Floats | None = None  # (O,)
    integers: NDArray[np.integer[Any]] | None = None  # (O, I kh kw) or (O, I), int32: there may be millions


@dataclass(frozen=True)
class Live:
    """A network that runs in the visitor's browser; the places are those of `steps`, whose outputs are meant."""

    network: str  # Network.id
    steps: tuple[LiveStep, ...]
    cam: int  # the maps that Grad-CAM explains
    layer: str  # their dotted name in the network; "": they are a function's
    stages: tuple[tuple[int, str], ...]  # (place, layer) of the maps that the page shows
    difference: float  # largest of a logit from the full-precision network's, as a share of the photo's largest
    photos: int  # on which that was found
    explained: str = ""  # the layer that the report explains
    maps: float = 0.0  # largest difference of a heat map's value, as a share of the photo's largest
    tall_first: bool = True  # photos that lose most of their height are shrunk vertically first
