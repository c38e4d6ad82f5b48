"""Numbers, lists and places as words: how captions and text alternatives say what the records hold."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from generator.records.images import Floats
from generator.records.network import Explanation, Network

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

_SPELLED = (
    "No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve",
)  # fmt: skip

SPLITS = {"train": "training images", "validation": "validation images", "test": "test images"}

WITHOUT_LAYER = ("attention rollout",)  # methods whose maps are of no one layer
MANY = 100  # images from which on a percentage of them says something in its first decimal
SHOWN = 5  # answers, pairs and classes that a sentence or a short list names


def percent(share: float, digits: int = 1) -> str:
    """A share of 1: 0.712 -> "71.2 %", the space unbreakable; "unknown" for nan."""
    return "unknown" if math.isnan(share) else f"{share * 100:.{digits}f}\u00a0%"


def digits_of(count: int) -> int:
    """The decimals that a percentage of so many can carry: of fewer than 100 none."""
    return 1 if count >= MANY else 0


def rate(share: float, count: int) -> str:
    """A share of so many that were named before: of 100 or more as `percent`, of fewer how many.

    (0.75, 12) -> "9 (75 %)".
    """
    if count >= MANY or math.isnan(share):
        return percent(share)
    return f"{round(share * count):,} ({percent(share, 0)})"


def number(value: float) -> str:
    """Three significant digits with a true minus sign: -0.0312 -> "−0.0312", 0.3 -> "0.300"; 12 -> "12"."""
    return _raised(f"{value:.3g}" if float(value).is_integer() else f"{value:#.3g}")


def setting(value: float) -> str:
    """A number that somebody chose, which has no digits that mean nothing: 0.004 -> "0.004"."""
    return _raised(f"{value:.3g}")


def _raised(shown: str) -> str:
    mantissa, _, exponent = shown.partition("e")
    mantissa = mantissa.removesuffix(".").replace("-", "−")
    return f"{mantissa} × 10{str(int(exponent)).translate(_RAISED)}" if exponent else mantissa


def cell(value: float | None, digits: int) -> float | str:
    """A number for a table, rounded; a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    return round(float(value), digits) if digits else round(float(value))


def percent_cell(share: float | None, digits: int = 1) -> float | str:
    """A share of 1 for a table whose head says "%": 0.7123 -> 71.2."""
    return cell(None if share is None else share * 100, digits)


def counted(count: int, one: str, many: str = "") -> str:
    """1 -> "1 filter", 1500 -> "1,500 filters", 0 -> "no filter"."""
    return f"{format(count, ',') if count else 'no'} {one if count in (0, 1) else many or one + 's'}"


def spelled(count: int) -> str:
    """A small number at the beginning of a heading: 7 -> "Seven", 13 -> "13"."""
    return _SPELLED[count] if 0 <= count < len(_SPELLED) else f"{count:,}"


def duration(seconds: float) -> str:
    """3725 -> "1 h 2 min"; the two largest units."""
    whole = round(seconds)
    minutes, left = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (left, "s"))
    shown = [f"{value}\u00a0{unit}" for value, unit in parts if value][:2]
    return "\u00a0".join(shown) or "0\u00a0s"


def listed(parts: Sequence[str], last: str = "and") -> str:
    """("a", "b", "c") -> "a, b and c"."""
    return f" {last} ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)


def sentence(text: str) -> str:
    """With a capital at its beginning; a name such as iPod keeps its own."""
    return text if text[1:2].isupper() else text[:1].upper() + text[1:]


def colour_of_nothing(network: Network) -> str:
    """The colour that stands for "nothing" in a network's input, in a word."""
    neutral = network.input.neutral
    return "black" if max(neutral) < 40 else "white" if min(neutral) > 215 else "grey"


def layer_title(network: Network, name: str) -> str:
    """What a layer is called on the page, "convolution 3 (features.conv3)", else its dotted name."""
    known = {layer.name: layer.title for layer in (*network.pageless, *network.layers)}
    known |= {stage.layer: stage.title for shown in network.explanations.values() for stage in shown.stages}
    return f"{known[name]} ({name})" if known.get(name, name) != name else name


def method_title(network: Network, explanation: Explanation) -> str:
    """What made the maps of a photo's classes: "Grad-CAM at stage 4 (features.conv4)"."""
    if explanation.method in WITHOUT_LAYER:
        return explanation.method
    return f"{explanation.method} at {layer_title(network, explanation.layer)}"


def place(cam: Floats | NDArray[np.float64]) -> str:
    """Where a map is highest, in words: "in the centre", "at the upper left"."""
    height, width = cam.shape
    row, column = divmod(int(cam.argmax()), width)
    vertical = ("upper", "", "lower")[min(2, int(3 * (row + 0.5) / height))]
    horizontal = ("left", "", "right")[min(2, int(3 * (column + 0.5) / width))]
    if not vertical and not horizontal:
        return "in the centre"
    if not horizontal:
        return f"at the {'top' if vertical == 'upper' else 'bottom'}"
    return f"at the {vertical or 'middle'} {horizontal}"
