"""Names for files and addresses, made from titles and class names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence


def slug(text: str) -> str:
    """An address of [a-z0-9-]: "features.conv1" -> "features-conv1", "Löwe" -> "lowe"."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "unnamed"


def slugs(names: Sequence[str]) -> tuple[str, ...]:
    """Addresses of several names, made different by a number where two would be the same."""
    found: list[str] = []
    for name in names:
        base = proposed = slug(name)
        again = 1
        while proposed in found:
            again += 1
            proposed = f"{base}-{again}"
        found.append(proposed)
    return tuple(found)
