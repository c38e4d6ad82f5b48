"""Every colour of the report: of its pages in both themes, of charts, maps and marks, and of what is exported.

Plain data, for pages, figures and exports alike. Style sheets name a colour as a custom property, `var(--paper)`, which
`declared` gives its value; the rest is taken from here by name. tests/figures/test_theme.py holds what is read to a
contrast of 4.5 and what is seen to one of 3 (WCAG 2.2, 1.4.3 and 1.4.11), and finds a colour that stands elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

RGB: TypeAlias = tuple[int, int, int]
RGBA: TypeAlias = tuple[int, int, int, int]
Palette = Literal["inferno", "viridis"]  # of matplotlib's, perceptual: lightness rises with the value
INFERNO: Palette = "inferno"
VIRIDIS: Palette = "viridis"


@dataclass(frozen=True)
class Shade:
    """One colour as #rrggbb in the light and in the dark theme."""

    light: str
    dark: str


# One accent; every other colour belongs to the figures.
PAGE: Mapping[str, Shade] = {
    "paper": Shade("#fcfbf8", "#14161a"),
    "ink": Shade("#1c1a17", "#d9d5cc"),
    "soft": Shade("#5d574e", "#a39d92"),  # words that come second
    "line": Shade("#d8d3c8", "#363a42"),  # between parts
    "wash": Shade("#f2efe8", "#1d2026"),  # below code, and where a picture leaves room
    "accent": Shade("#9a2c1a", "#f0967f"),  # links, and what is chosen
    # Two of SERIES, stronger where the ground is known.
    "series-1": Shade("#0072b2", "#56b4e9"),
    "series-2": Shade("#c24e00", "#f0813a"),
}
# The same in both themes: over a photo, which may be of any colour.
OVER: Mapping[str, str] = {"frame": "#ffffff", "rim": "#000000", "veil": "rgb(0 0 0 / 0.7)"}

# Of a chart wherever it stands. Blue and vermilion of Okabe and Ito 2008, a green and a pink that nobody takes for them
# or for one another, whichever cones are missing; each is seen on both grounds.
SERIES = ("#0072b2", "#d55e00", "#779966", "#bb7799")
DRAWN = "#000000"  # what matplotlib draws ink in: a page has the ink of its text there
BRUSH = "#d02020"  # with which a visitor begins to draw on a photo

HEAT = INFERNO  # heat maps, where the network looks
MAPS = VIRIDIS  # feature maps, and other values that begin at 0
# From dark blue over white to dark red (ColorBrewer's RdBu, Harrower and Brewer 2003): weights, zero in the middle.
SIGNED = "RdBu_r"


def rgb(colour: str) -> RGB:
    """The bytes of #rrggbb."""
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


MARK = "#8a8a86"  # a grey that is seen on both grounds
PAPER = rgb(PAGE["paper"].light)  # of a picture that has a ground of its own
CLEAR: RGBA = (0, 0, 0, 0)
STRUCK: RGBA = (*rgb(MARK), 255)
JOINT: RGBA = (*rgb(MARK), 140)  # half-transparent, between tiles as light as paper
PADDING: RGBA = (*rgb(MARK), 60)  # where a unit sees no image: a veil over the page's ground


def declared() -> str:
    """The colours of pages as the custom properties of a style sheet.

    Declared twice: browsers from before 2024, which do not know light-dark(), show the light theme. A dialog's backdrop
    inherits from the root only since then, too.
    """
    light = "".join(f"--{name}: {shade.light};\n" for name, shade in PAGE.items())
    both = "".join(f"--{name}: light-dark({shade.light}, {shade.dark});\n" for name, shade in PAGE.items())
    over = "".join(f"--{name}: {colour};\n" for name, colour in OVER.items())
    known = "color: light-dark(#000, #fff)"
    return f":root {{\n{light}}}\n:root,\n::backdrop {{\n{over}}}\n@supports ({known}) {{\n:root {{\n{both}}}\n}}\n"
