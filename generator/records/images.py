"""Pixels, arrays, and photos with their credit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]

# Larger than any phone's photo at its usual setting, and 150 MB once decoded: the build must stay below 1.5 GB.
MAX_PIXELS = 50_000_000
# A strip longer than this would be blown up to gigabytes when its shorter side is brought to a network's input size.
MAX_ASPECT = 20

Pixels = NDArray[np.uint8]  # (H, W, 3) RGB
Floats = NDArray[np.float32]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Credit:
    """Where a picture comes from and on what terms."""

    author: str
    origin: str
    licence: str
    url: str = ""


@dataclass(frozen=True)
class Photo:
    """One photo of the report.

    `id` is its stable address ([a-z0-9-]+). `label` indexes the report's class names, None where the photo shows none
    of them; `shows` says in words what is in it. `mask` is True on the object, `box` is (x0, y0, x1, y1) in pixels of
    `pixels`, inclusive, as in Tiny ImageNet's own files.
    """

    id: str
    title: str
    pixels: Pixels
    origin: Literal["bundled", "own", "test"]
    label: int | None = None
    shows: str = ""
    mask: NDArray[np.bool_] | None = None
    box: tuple[int, int, int, int] | None = None
    credit: Credit | None = None
    digest: str = ""
