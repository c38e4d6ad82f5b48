"""How numbers and lists are written: the filters of the templates and of the Markdown files in content/.

A value that does not exist (None, or nan as in the precision of a class that was never predicted) is written as a dash.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal

from markupsafe import Markup, escape

from generator.base.names import slug, slugs
from generator.records.figure import Table
from generator.report.plates import wording

ABSENT = "–"
NO_BREAK = "\N{NO-BREAK SPACE}"
MOST_DECIMALS = 8  # of a table's cell
OPTION = re.compile(r"(?<!\S)--?[a-z][a-z-]*")
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def percent(rate: float | None, digits: int = 1) -> str:
    """0.8312 -> "83.1 %"."""
    return ABSENT if _absent(rate) else wording.percent(float(rate or 0), _digits(digits))


def share(rate: float | None, count: int) -> str:
    """A share of so many: (0.12, 25) -> "12 %", (0.781, 750) -> "78.1 %"."""
    return percent(rate, wording.digits_of(count))


def number(value: float | None) -> str:
    """13500 -> "13,500", 1080.61 -> "1,081"."""
    return ABSENT if _absent(value) else f"{round(value or 0):,}"


def decimal(value: float | None, digits: int = 2) -> str:
    """0.12345 -> "0.12", with a true minus sign."""
    return ABSENT if _absent(value) else f"{float(value or 0):.{_digits(digits)}f}".replace("-", "\N{MINUS SIGN}")


def significant(value: float | None, digits: int = 3) -> str:
    """0.0012345 -> "0.00123", 5 -> "5.00", 0.0000108 -> "1.08 × 10⁻⁵"; zero has no digits to show."""
    if _absent(value):
        return ABSENT
    return _raised(f"{float(value):#.{_digits(digits)}g}" if value else "0")


def _raised(shown: str) -> str:
    """A number as Python writes it, "1.08e-05", with a true minus sign and its exponent raised."""
    mantissa, _, exponent = shown.partition("e")
    mantissa = mantissa.removesuffix(".")
    power = f"{NO_BREAK}×{NO_BREAK}10{str(int(exponent)).translate(RAISED)}" if exponent else ""
    return mantissa.replace("-", "\N{MINUS SIGN}") + power


def cell(value: str | float, digits: int = 0) -> str:
    """A table's cell as it came, a number with a true minus sign; a fraction with at least so many decimals."""
    if isinstance(value, float) and digits and math.isfinite(value):
        value = f"{value:.{digits}f}"
    elif isinstance(value, str):
        return value
    elif "e" in str(value):  # 8.5e-05
        return _raised(f"{value:.6g}")
    return str(value).replace("-", "\N{MINUS SIGN}")


def decimals(table: Table) -> tuple[int, ...]:
    """How many decimals the fractions of each column need: they are all written with as many, below one another.

    Whoever makes a table rounds the fractions of a column alike: zeros behind one that has fewer would be false.
    """
    columns = zip(*table.rows, strict=True)
    return tuple(max((_decimals(value) for value in column), default=0) for column in columns)


def _decimals(value: str | float) -> int:
    if not isinstance(value, float) or not math.isfinite(value):
        return 0
    return min(MOST_DECIMALS, max(0, -int(Decimal(str(value)).normalize().as_tuple().exponent), 1))


def magnitude(value: float | None) -> str:
    """1234567 -> "1.2 million"; below ten thousand as `number` does."""
    if value is None:
        return ABSENT
    for size, word in ((10**9, "billion"), (10**6, "million"), (10**3, "thousand")):
        if value >= max(size, 10**4):
            scaled = value / size
            return f"{scaled:.0f}{NO_BREAK}{word}" if scaled >= 20 else f"{scaled:.1f}{NO_BREAK}{word}"
    return number(value)


def counted(count: int, one: str, several: str = "") -> str:
    """(1, "photo") -> "1 photo", (3, "photo") -> "3 photos"."""
    return f"{number(count)}{NO_BREAK}{one if count == 1 else several or one + 's'}"


def short(digest: str) -> str:
    """The first twelve characters of a digest, enough to compare by eye."""
    return digest[:12]


def subject(alt: str) -> str:
    """What a text alternative says before its finding: "Line chart of a loss: it falls." -> "Line chart of a loss"."""
    return alt.partition(": ")[0].rstrip(".")


def finding(alt: str) -> str:
    """What a text alternative found, as a sentence: "Line chart of a loss: it falls." -> "It falls."."""
    found = alt.rpartition(": ")[2]
    return found[:1].upper() + found[1:]


def options(text: str) -> Markup:
    """Options of commands in a sentence, as "--from", not torn apart at their hyphens."""
    return Markup(OPTION.sub(r'<span class="unbroken">\g<0></span>', str(escape(text))))


FILTERS: Mapping[str, Callable[..., str | tuple[str, ...]]] = {
    "percent": percent,
    "share": share,
    "number": number,
    "decimal": decimal,
    "significant": significant,
    "cell": cell,
    "magnitude": magnitude,
    "duration": wording.duration,
    "spelled": wording.spelled,
    "listing": wording.listed,
    "counted": counted,
    "short": short,
    "subject": subject,
    "finding": finding,
    "options": options,
    "slug": slug,
    "slugs": slugs,
}


def _digits(digits: object) -> int:
    """So many as a number is written with: a billion of them would be a gigabyte."""
    if not isinstance(digits, int) or not 0 <= digits <= 20:
        raise ValueError(f"expected 0 to 20 digits, got {str(digits)[:20]}")
    return digits


def _absent(value: float | None) -> bool:
    return value is None or math.isnan(value)
