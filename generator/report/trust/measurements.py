"""The measurements that are shown, and how their numbers are said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from generator.records.network import Network
from generator.records.trust import Estimate, Faithfulness, Localisation
from generator.report.plates.wording import SPLITS, digits_of, percent_cell

BASELINES = {  # how the records and the page call what a method is compared with
    "centre": "centre point",
    "uniform": "uniform map",
    "wrong class": "wrong class",
    "random": "random order",
    "centre out": "centre out",
}


# Words and numbers


def measured(network: Network) -> Faithfulness | None:
    """What was measured of a network's heat maps; None where nothing was."""
    return network.evaluation.faithfulness if network.evaluation else None


def localisations(found: Faithfulness, small: bool) -> list[Localisation]:
    """The measurements on all boxes, or on the small ones."""
    return [row for row in found.localisation if row.small == small]


def counted_images(found: Faithfulness, count: int | None = None) -> str:
    """How many images of which split, in words."""
    return f"{count or found.count:,} {SPLITS.get(found.split, f'images of {found.split}')}"


def kind_of_boxes(small: bool) -> str:
    """Which boxes, in words."""
    return "small boxes" if small else "all boxes"


def plural(parts: Sequence[str]) -> str:
    """The verb's ending: "s" after one thing."""
    return "s" if len(parts) == 1 else ""


def span_of(gap: Estimate) -> str:
    """A difference's size: "2.0 points (0.4 to 3.7)", whichever sign it has."""
    low, high = sorted((abs(gap.low), abs(gap.high)))
    return f"{abs(gap.mean) * 100:.1f} points ({low * 100:.1f} to {high * 100:.1f})"


def difference(gap: Estimate, digits: int = 1) -> str:
    """With its sign and interval: "+2.0, −0.4 to +4.4"."""
    mean, low, high = (number_of(value, "+", digits) for value in (gap.mean, gap.low, gap.high))
    return f"{mean}, {low} to {high}"


def interval(value: Estimate, digits: int = 1) -> str:
    """A 95 % interval in words, in percent."""
    return f"{number_of(value.low, digits=digits)} to {number_of(value.high, digits=digits)}"


def triple(value: Estimate, count: int) -> Iterable[float | str]:
    """Mean and interval of so many images as cells of a table, in percent."""
    return (share_cell(each, count) for each in (value.mean, value.low, value.high))


def share_cell(share: float, count: int, digits: int = 1) -> float | str:
    """A share of so many images for a table in percent: without decimals, as a text, where they cannot carry any.

    A column's numbers are written with equally many decimals, which a whole number is not to get.
    """
    return percent_cell(share, digits) if digits_of(count) else number_of(share, digits=0)


def number_of(share: float, sign: str = "-", digits: int = 1) -> str:
    """A share in percent without its sign."""
    shown = f"{round(share * 100, digits) + 0.0:{sign}.{digits}f}"  # -0.0 is 0
    return shown.replace("-", "−")


def signed(value: float) -> str:
    """A number with two decimals and a real minus."""
    return f"{value:.2f}".replace("-", "−")
