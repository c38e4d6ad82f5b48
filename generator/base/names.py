"""Names for files and addresses, made from titles and class names of any length and kind."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence

# Two or three of them and some words are one file's name, which may have 255 bytes (143 on an encrypted folder).
LONGEST = 60
TAIL = 8  # digits of a digest, which tell apart what begins alike
UNNAMED = "The data set"  # what a data set is called that has no name


def within(name: str) -> str:
    """A data set's name as it stands within a sentence."""
    return UNNAMED[:1].lower() + UNNAMED[1:] if name == UNNAMED else name


def slug(text: str, otherwise: str = "unnamed", longest: int = LONGEST) -> str:
    """The text as [a-z0-9-]+ of at most `longest` letters: "features.conv1" -> "features-conv1", "Löwe" -> "lowe".

    Of a longer one the end is a digest of the whole. `otherwise` stands where nothing of the text is left.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    short = re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or otherwise
    if len(short) <= longest:
        return short
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:TAIL]
    return f"{short[: longest - TAIL - 1].rstrip('-')}-{digest}"


def slugs(names: Sequence[str], otherwise: str = "unnamed") -> tuple[str, ...]:
    """Slugs of several names, made different by a number where two would be the same."""
    found: dict[str, None] = {}
    last: dict[str, int] = {}  # the number that the last of a slug has: thousands of names may give the same
    for name in names:
        base = proposed = slug(name, otherwise)
        again = last.get(base, 1)
        while proposed in found:
            again += 1
            proposed = f"{base}-{again}"
        found[proposed] = None
        last[base] = again
    return tuple(found)


def addresses(names: Sequence[str], own: Mapping[str, str]) -> tuple[str, ...]:
    """Slugs of classes, the same whatever they are shown as.

    Args:
        own: what a class that is shown by another name is called in its data, by the name that is shown.
    """
    return slugs([own.get(name, name) for name in names])
