"""What a site says, piece by piece, and what its numbers mean: nothing here knows how the program computes them."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import html5lib

SVG, MATH = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1998/Math/MathML}"
INLINE = frozenset(
    [
        "a",
        "abbr",
        "b",
        "bdi",
        "bdo",
        "code",
        "dfn",
        "em",
        "i",
        "kbd",
        "mark",
        "q",
        "s",
        "small",
        "span",
        "strong",
        "sub",
        "sup",
        "var",
        "wbr",
        "img",
        "input",
        "br",
        "label",
    ]
)
SPOKEN = ("alt", "title", "aria-label", "content")  # attributes that are read out or shown
RAISED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
SIZES = {"thousand": 1e3, "million": 1e6, "billion": 1e9}
NUMBER = r"[−+-]?\d+(?:,\d{3})*(?:\.\d+)?(?: × 10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?(?: (?:thousand|million|billion))?"  # "1,234", "−0.5", "1.2 million"
UNITS = {"h": 3600, "min": 60, "s": 1}


@dataclass(frozen=True)
class Site:
    """A built site: its results, the numbers behind its figures by figure, and its pages."""

    results: Mapping[str, Any]
    figures: Mapping[str, Any]
    pages: Mapping[str, ET.Element]

    @property
    def networks(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.results["networks"]
        return found

    @property
    def titles(self) -> dict[str, str]:
        """Title -> id of each network."""
        return {network["title"]: name for name, network in self.networks.items()}

    @property
    def classes(self) -> list[str]:
        """All names of classes, the longer ones first, so that a pattern of them finds the whole name."""
        names = {*self.results["data"]["class_names"]}
        for network in self.networks.values():
            names |= {*network["class_names"]}
        return sorted(names, key=lambda name: (-len(name), name))


@dataclass(frozen=True)
class Piece:
    """A block of text, or a text alternative, with what stands around it."""

    site: Site
    page: str
    kind: str  # the element's name, or the attribute's
    text: str
    ids: tuple[str, ...] = ()  # of what it stands in, the outermost first
    names: dict[str, str] = field(default_factory=dict, compare=False)  # what a sentence before it settled

    @property
    def stem(self) -> str:
        return self.page.removesuffix(".html")

    @property
    def figure(self) -> str:
        """The id of the figure that it stands in."""
        return next((name for name in reversed(self.ids) if name in self.site.figures), "")

    @property
    def network(self) -> Any:
        """The results of the network whose part of a page it stands in."""
        return self.site.networks[self.network_id]

    @property
    def network_id(self) -> str:
        places = (*reversed(self.ids), self.stem)
        for name in self.site.networks:
            if any(place == name or f"-{name}-" in f"-{place}-" for place in places):
                return name
        return next(iter(self.site.networks))

    @property
    def photo(self) -> str:
        """The id of the photo that it is about."""
        photos = {str(photo["id"]) for photo in self.site.results["photos"]}
        for place in (*reversed(self.ids), self.stem):
            # The longest: of "a" and "a-b" the page a-b is the second's.
            held = [name for name in photos if f"-{name}-" in f"-{place}-"]
            if held:
                return max(held, key=len)
        return next(str(photo["id"]) for photo in self.site.results["photos"] if photo["id"] in self.network["photos"])

    @property
    def look(self) -> Any:
        """What the network says of the photo."""
        return self.network["photos"][self.photo]


@dataclass(frozen=True)
class Grid:
    """A table of a page: its name for who does not see it, its head and its rows."""

    piece: Piece
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def site(files: Mapping[str, bytes]) -> Site:
    """A site from its files."""
    pages = {
        path: html5lib.parse(data.decode(), namespaceHTMLElements=False)
        for path, data in files.items()
        if path.endswith(".html")
    }
    figures: dict[str, Any] = {}
    for path, data in files.items():
        if path.startswith("assets/data/") and path.endswith(".json"):
            figures |= json.loads(data)
    return Site(json.loads(files["results.json"]), figures, pages)


def pieces(whole: Site) -> Iterator[Piece | Grid]:
    """All that the pages say, in their order."""
    for page, tree in sorted(whole.pages.items()):
        yield from _walk(whole, page, tree, (), {})


def plain(text: str) -> str:
    """Spaces and apostrophes of one kind."""
    return " ".join(text.replace("\u00a0", " ").replace("’", "'").split())


def value(said: str) -> float:
    """ "1,234", "−0.05", "1.2 million", "3.5 × 10⁻⁵" or "85.3 %" (as 85.3) as a number."""
    text = said.removesuffix(" %").replace("−", "-").replace(",", "")
    mantissa, _, power = text.partition(" × 10")
    for word, size in SIZES.items():
        if mantissa.endswith(word):
            return float(mantissa.removesuffix(word)) * size
    return float(mantissa) * 10.0 ** int(power.translate(RAISED) or 0)


def same(said: str, truth: float | None, what: str = "") -> None:
    """The number is the truth, rounded as it is said."""
    assert truth is not None, f"{what}: {said} is said, nothing is known"
    digits = said.removesuffix(" %").partition(" × ")[0].partition(" ")[0]
    decimals = len(digits.partition(".")[2])
    size = abs(value(said) / value(digits)) if value(digits) else 1.0
    # Of what results.json rounded to six digits the last may be half a unit off.
    room = 0.5 * 10.0**-decimals * size * (1 + 1e-9) + 2e-6 * abs(truth)
    assert abs(value(said) - truth) <= room, f"{what}: {said} is said, {truth} is so"


def share(said: str, truth: float, count: int, what: str = "") -> None:
    """A percentage of so many images is so, with no decimals that they cannot carry."""
    same(said, truth * 100, what)
    assert count >= 100 or "." not in said, f"{what}: {said} of {count} images has decimals that so few cannot carry"


def lasting(said: str, seconds: float) -> None:
    """ "3 h 19 min" is so many seconds, cut off after its last unit."""
    parts = re.findall(r"(\d+) (h|min|s)", said)
    told = sum(int(count) * UNITS[unit] for count, unit in parts)
    assert parts, said
    assert told - 1 <= seconds < told + UNITS[parts[-1][1]] + 1, f"{said} is said, {seconds} s is so"


def listed(said: str) -> list[str]:
    """ "a, b and c" -> a, b, c."""
    before, _, last = said.rpartition(" and ")
    return [*filter(None, before.split(", ")), last] if before else said.split(", ")


def _walk(
    whole: Site, page: str, element: ET.Element, ids: tuple[str, ...], names: dict[str, str]
) -> Iterator[Piece | Grid]:
    tag = element.tag
    # Comments have a function for a tag.
    if not isinstance(tag, str) or tag in ("script", "style", "noscript", f"{MATH}math"):  # type: ignore[redundant-expr]
        return
    named = _named_ids(element, ids)
    yield from _attributes(whole, page, element, named, names)
    if tag == "section" and element.get("aria-label"):
        names["table"] = plain(element.get("aria-label", ""))
    if tag == f"{SVG}svg":
        yield from _chart(whole, page, element, named, names)
    elif tag == "table":
        yield _grid(whole, page, element, named, names)
    elif "card" not in element.get("class", "").split():  # a model card has a test of its own
        yield from _blocks(whole, page, element, named, names)


def _named_ids(element: ET.Element, ids: tuple[str, ...]) -> tuple[str, ...]:
    return (*ids, *(value for key in ("id", "aria-labelledby") if (value := element.get(key))))


def _attributes(
    whole: Site, page: str, element: ET.Element, ids: tuple[str, ...], names: dict[str, str]
) -> Iterator[Piece]:
    for key in () if _is_mark(element) else SPOKEN:
        said = plain(element.get(key, ""))
        about = f"{element.get('name')}{element.get('property')}"
        if said and (element.tag != "meta" or re.search("description|title|alt", about)):
            yield Piece(whole, page, key, said, ids, names)


def _chart(whole: Site, page: str, element: ET.Element, ids: tuple[str, ...], names: dict[str, str]) -> Iterator[Piece]:
    for title in element.iter(f"{SVG}title"):
        yield Piece(whole, page, "alt", plain(title.text or ""), ids, names)
    for label in element.iter(f"{SVG}text"):  # bare numbers are those of ticks and cells
        said = plain("".join(label.itertext()))
        if re.search("[a-z]{2}", said):
            yield Piece(whole, page, "label", said, ids, names)


def _blocks(
    whole: Site, page: str, element: ET.Element, ids: tuple[str, ...], names: dict[str, str]
) -> Iterator[Piece | Grid]:
    words = [element.text or ""]

    def spoken() -> Iterator[Piece]:
        text = plain("".join(words))
        words.clear()
        if text:
            yield Piece(whole, page, str(element.tag), text, ids, names)
        if text and element.tag == "dt":
            names["dt"] = text

    for child in element:
        if child.tag == f"{MATH}math":
            words.append("…")
        elif child.tag in INLINE and not _holds_blocks(child):
            words.append(_inline(child))
            for one in child.iter():
                yield from _attributes(whole, page, one, _named_ids(one, ids), names)
        else:
            yield from spoken()
            yield from _walk(whole, page, child, ids, names)
        words.append(child.tail or "")
    yield from spoken()


def _holds_blocks(element: ET.Element) -> bool:
    return any(one.tag not in INLINE for one in element.iter())


def _inline(element: ET.Element) -> str:
    """The words of a link or an emphasis; of the marks for an address and for data nothing."""
    if element.tag == "br":
        return " · "
    if _is_mark(element):
        return ""
    return (element.text or "") + "".join(_inline(child) + (child.tail or "") for child in element)


def _is_mark(element: ET.Element) -> bool:
    """Whether it is a link to an address or to data, whose words are an id."""
    return bool({"address", "source"} & {*element.get("class", "").split()})


def _grid(whole: Site, page: str, table: ET.Element, ids: tuple[str, ...], names: dict[str, str]) -> Grid:
    rows = [tuple(plain(_inline(cell)) for cell in row if cell.tag in ("td", "th")) for row in table.iter("tr")]
    head = rows.pop(0) if table.find("thead") is not None else ()
    caption = plain("".join(text for one in table.iter("caption") for text in one.itertext()))
    return Grid(Piece(whole, page, "table", caption or names.get("table", ""), ids, names), head, tuple(rows))


def patterns(template: str, whole: Site) -> re.Pattern[str]:
    """A sentence with its values named as a pattern: "«net» has «n» weights, «p%» of «c:name»; ⟦perhaps⟧ ⟨this|that⟩".

    «net» is a network's title; «n» a number; «p%» a percentage; «c:name» a class; «w:name» any words; «k:name» a count, of
    nothing "no" or "none"; «t:time» a time.
    """
    out: list[str] = []
    for token in re.split(r"(«[^»]+»|⟦|⟧|⟨|⟩|\|)", template):
        if token in ("⟦", "⟨"):
            out.append("(?:")
        elif token in ("⟧", "⟩"):
            out.append(")?" if token == "⟧" else ")")
        elif token == "|":
            out.append("|")
        elif token.startswith("«"):
            out.append(_named(token[1:-1], whole))
        else:
            out.append(re.escape(token).replace(r"\ ", " "))
            # A full stop is no decimal point.
            out[-1] = re.sub(r"\\\.(?!\d)", r"\\.(?!\\d)", out[-1])
    return re.compile("".join(out))


def _named(name: str, whole: Site) -> str:
    kind, _, rest = name.rpartition(":")
    if name == "net" or kind == "net":
        return f"(?P<{rest}>{_any(whole.titles)})"
    if kind == "c":
        return f"(?P<{rest}>{_any(whole.classes)})"
    if kind == "w":
        return rf"(?P<{rest}>(?=\S)(?:(?!\. [A-Z]).)+?)"  # within a sentence
    if kind == "k":
        return rf"(?P<{rest}>\d[\d,]*|none|no)"
    if kind == "t":
        return rf"(?P<{rest}>\d+ (?:h|min|s)(?: \d+ (?:min|s))?)"
    if name.endswith("%"):
        return f"(?P<{name[:-1]}>{NUMBER} %)"
    return f"(?P<{name}>{NUMBER})"


def _any(names: Sequence[str] | Mapping[str, str]) -> str:
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)) or "(?!)"
