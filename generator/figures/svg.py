"""SVG text that may stand in a page: built by hand, or rewritten from what matplotlib writes.

The pages have a strict content security policy and two themes, so: no style attribute or element; ink is currentColor;
a series is a group with a class and a `color`, and its strokes and fills are currentColor too; every id begins with the
figure's; text stays text; numbers have two decimals.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from generator.figures.theme import DRAWN, SERIES

TEXT = 11  # units of the words' size, where a page's style does not suit it to the chart's width
WIDEST = 13.5  # units of it in the narrowest charts (templates/styles/figures.css), for which there is room
CHARACTER = 7.0  # width of one of system-ui then, generously
LONGEST = 20  # characters of a name inside a chart; tables have the whole

_NAMESPACE = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
# What matplotlib says of each element and the root already says of all, or what the page's style sheet decides.
_SAID = {"font-family", "font", "stroke-miterlimit", "stroke-linejoin", "clip-path", "style"}


@dataclass(frozen=True)
class Chart:
    """Inline SVG markup and the size of its viewBox."""

    svg: str
    width: int
    height: int


def root(figure_id: str, alt: str, width: int, height: int) -> ET.Element:
    """An empty chart of width x height units with its text alternative; as large as its place in the page."""
    element = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "class": "chart",
            "role": "img",
            "aria-labelledby": f"{figure_id}-title",
            "viewBox": f"0 0 {width} {height}",
            "font-size": str(TEXT),
            "fill": "currentColor",
            "stroke-linejoin": "round",
        },
    )
    add(element, "title", id=f"{figure_id}-title").text = alt
    return element


def add(parent: ET.Element, tag: str, **attributes: str | float) -> ET.Element:
    """Append an element; `fill_opacity` becomes fill-opacity, numbers are written short."""
    return ET.SubElement(
        parent,
        tag,
        {
            name.replace("_", "-"): value if isinstance(value, str) else short(value)
            for name, value in attributes.items()
        },
    )


def add_series(parent: ET.Element, style: int, **attributes: str | float) -> ET.Element:
    """Append the group of series `style` (from 0), in whose colour its marks are painted."""
    group = add(parent, "g", **attributes)
    group.attrib |= {"class": f"series-{style + 1}", "color": SERIES[style]}
    return group


def text(element: ET.Element) -> str:
    """The markup, every word in it escaped."""
    return ET.tostring(element, encoding="unicode")


def short(value: float) -> str:
    """A number with at most two decimals, none that say nothing."""
    rounded = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if rounded == "-0" else rounded


def shorten(name: str, limit: int = LONGEST) -> str:
    """A name of at most `limit` characters."""
    return name if len(name) <= limit else name[: limit - 1] + "…"


def rewrite(drawn: bytes, figure_id: str, alt: str, words: Sequence[str], plot: str = "") -> Chart:
    """matplotlib's SVG made fit for a page.

    Args:
        plot: for the script that reads values off it: left and right end of the x axis in units, and their values.
        drawn: its output with svg.fonttype "none"; a text "@3" stands for words[3], an artist whose gid is "series-2"
            belongs to the second series.
    """
    source = ET.fromstring(drawn)  # noqa: S314 - matplotlib's own output of this very moment
    width, height = (round(float(part)) for part in source.attrib["viewBox"].split()[2:])
    target = root(figure_id, alt, width, height)
    if plot:
        target.set("data-plot", plot)
    names = _Names(figure_id, words, {})
    for child in source:
        _take(child, target, "", names)
    return Chart(text(target), width, height)


@dataclass(frozen=True)
class _Names:
    """What the rewriting needs to know: the prefix of ids, the words behind stand-ins, the ids given to markers."""

    figure_id: str
    words: Sequence[str]
    marks: dict[str, str]


def _take(source: ET.Element, parent: ET.Element, colour: str, names: _Names) -> None:
    """Append a rewritten copy of `source`; groups that say nothing are dissolved into `parent`."""
    tag = source.tag.removeprefix(_NAMESPACE)
    if tag in ("style", "metadata", "clipPath"):
        return
    if tag in ("g", "defs"):
        target = parent
        if tag == "defs" and source.find(f"{_NAMESPACE}path") is not None:
            target = ET.SubElement(parent, "defs")
        elif re.fullmatch(r"series-\d", source.get("id", "")):
            style = int(source.attrib["id"][-1]) - 1
            target, colour = add_series(parent, style), SERIES[style]
        for child in source:
            _take(child, target, colour, names)
        return
    attributes = _attributes(source, colour, names)
    last = parent[-1] if len(parent) else None
    if last is not None and tag == last.tag == "path" and _alike(attributes, last.attrib):
        last.attrib["d"] += attributes["d"]  # the lines of a dot plot and those of a grid are many
        return
    copy = ET.SubElement(parent, tag, attributes)
    if tag == "text":
        copy.text = re.sub(r"^@(\d+)$", lambda match: names.words[int(match[1])], source.text or "")


def _alike(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether two paths are painted alike, as lines."""
    return one.get("fill") == "none" and {**one, "d": ""} == {**other, "d": ""}


def _attributes(source: ET.Element, colour: str, names: _Names) -> dict[str, str]:
    """The element's attributes and its style's declarations, as attributes."""
    found = dict(source.attrib)
    for declaration in source.get("style", "").split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        found[name] = value
    kept: dict[str, str] = {}
    for name, value in found.items():
        if not value or name in _SAID or (name, value) in {("font-size", f"{TEXT}px"), ("stroke-dashoffset", "0")}:
            continue
        if name == "id":
            kept["id"] = names.marks.setdefault(value, f"{names.figure_id}-m{len(names.marks) + 1}")
        elif name == _LINK:
            kept["href"] = "#" + names.marks[value.removeprefix("#")]
        elif name in ("fill", "stroke") and value in (DRAWN, colour):
            kept[name] = "currentColor"
        elif name == "d":
            kept[name] = _path(value)
        elif not value.startswith("rotate(-0 "):
            kept[name] = re.sub(r"-?\d+\.\d+", lambda match: short(float(match[0])), value.removesuffix("px"))
    return kept


def _path(data: str) -> str:
    """Path data with two decimals and no line-to written twice in a row."""
    parts: list[str] = []
    last = ""
    for part in data.split():
        if not part.isalpha():
            parts.append(short(float(part)))
        elif part != last or part == "M":
            parts.append(part)
        last = part if part.isalpha() else last
    return " ".join(parts)
