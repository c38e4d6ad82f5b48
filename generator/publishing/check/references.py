"""What a file of a site says about itself, whatever its format: records."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

# "asked": a script does, later or never.
Kind = Literal["link", "page", "image", "lazy image", "script", "style", "icon", "asked", "other"]


@dataclass(frozen=True)
class Reference:
    """An address as a file gives it. All but links and absolute page addresses are fetched by the browser itself."""

    address: str
    kind: Kind
    group: int = -1  # of several sizes of one picture the browser takes one


@dataclass
class Document:
    """What a parsed file says about itself."""

    ids: Counter[str] = field(default_factory=Counter)
    anchors: Counter[str] = field(default_factory=Counter)  # names of <a>, which fragments find as they find ids
    maps: set[str] = field(default_factory=set)  # names of <map>
    references: list[Reference] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)  # data-* attributes and texts of scripts, which may name files
    nameless: list[str] = field(default_factory=list)  # pictures and links without words
    named: list[tuple[str, str]] = field(default_factory=list)  # attributes that name an id, and the id
    mapped: list[str] = field(default_factory=list)  # names of maps that pictures use
    scripts: list[str] = field(default_factory=list)
    styles: list[str] = field(default_factory=list)
    base: str | None = None  # what the page's addresses are relative to instead of itself
    canonical: str = ""
    broken: str = ""  # why nothing of it could be read

    @property
    def script(self) -> str:
        """All scripts inside the file."""
        return "\n".join(self.scripts)

    @property
    def style(self) -> str:
        """All styles inside the file."""
        return "\n".join(self.styles)


def short(address: str) -> str:
    """An address for one line of a terminal."""
    shown = address if address.isprintable() else repr(address)
    return shown if len(shown) <= 100 else f"{shown[:97]}..."
