"""What a site's file says about itself: HTML, SVG, CSS and scripts in; addresses, ids and nameless pictures out."""

from __future__ import annotations

import codecs
import posixpath
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Literal

# <link> of these kinds is followed by people and machines; the others are fetched by the browser.
FOLLOWED = frozenset(
    {"alternate", "author", "bookmark", "canonical", "help", "license", "me", "next", "prev", "search"}
)
# fmt: off
VOID = frozenset({
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr",
})
# fmt: on
LINKS = {
    "a": ("href", "xlink:href"),
    "area": ("href",),
    "form": ("action",),
    **dict.fromkeys(("button", "input"), ("formaction",)),
    **dict.fromkeys(("blockquote", "del", "ins", "q"), ("cite",)),
    **dict.fromkeys(("img", "object"), ("usemap",)),
}
DRAWN = ("href", "xlink:href")
FETCHED = {
    **dict.fromkeys(("img", "source"), ("src", "srcset")),
    **dict.fromkeys(("audio", "embed", "iframe", "input", "script", "track"), ("src",)),
    **dict.fromkeys(("feimage", "image", "use"), DRAWN),
    "object": ("data",),
    "video": ("src", "poster"),
    **dict.fromkeys(("body", "table", "thead", "tbody", "tfoot", "tr", "td", "th"), ("background",)),
}
PICTURES = ("feimage", "image", "img", "source", "use")
# Attributes that name parts of their own page by id (HTML, "for" and so on; WAI-ARIA 1.2, 6.2.4).
# fmt: off
NAMING = frozenset({
    "for", "headers", "list", "form", "popovertarget", "aria-activedescendant", "aria-controls", "aria-describedby",
    "aria-details", "aria-errormessage", "aria-flowto", "aria-labelledby", "aria-owns",
})
# fmt: on
# What a data attribute holds for a script to fetch or to go to: words with the ending of a file each.
FILE = re.compile(
    r"[^\s\"'<>{}]+\.(html?|css|js|json|csv|xml|txt|pdf|webp|avif|png|jpe?g|gif|svg|ico)([?#]\S*)?", re.IGNORECASE
)
CSS_ADDRESS = re.compile(
    r"""(@import\s+)?url\(\s*(?:"([^"]*)"|'([^']*)'|([^)"']*?))\s*\)|@import\s*(?:"([^"]*)"|'([^']*)')""",
    re.IGNORECASE,
)
CSS_STRING = re.compile(r"""(\w+)\(\s*(?:"[^"]*"|'[^']*'|[^)"']*)\s*\)|"([^"]*)"|'([^']*)'|\)""")
CSS_ESCAPE = re.compile(r"\\(?:([0-9a-fA-F]{1,6})\s?|(.))", re.DOTALL)
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)

# "asked": a script does, later or never.
Kind = Literal["link", "page", "image", "lazy image", "script", "style", "icon", "asked", "other"]


@dataclass(frozen=True)
class Reference:
    """An address as a file gives it. All but links and absolute page addresses are fetched by the browser itself."""

    address: str
    kind: Kind
    group: int = -1  # of several sizes of one picture the browser takes one


@dataclass
class _Element:
    tag: str
    hidden: bool
    named: bool  # has words, or needs none


@dataclass
class Document:
    """What a parsed file says about itself."""

    ids: Counter[str] = field(default_factory=Counter)
    references: list[Reference] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)  # data-* attributes and texts of scripts, which may name files
    nameless: list[str] = field(default_factory=list)  # pictures and links without words
    named: list[tuple[str, str]] = field(default_factory=list)  # attributes that name an id, and the id
    script: str = ""
    style: str = ""
    base: bool = False
    canonical: str = ""


def is_parsed(path: str) -> bool:
    """Whether a file can lead to others."""
    return is_page(path) or ending(path) in (".svg", ".css", ".js", ".xml")


def is_page(path: str) -> bool:
    """Whether hosts serve a file as a page."""
    return ending(path) in (".html", ".htm")


def ending(path: str) -> str:
    """Hosts tell what a file is by its ending, in letters of either case."""
    return posixpath.splitext(path)[1].lower()


def parsed(path: str, content: bytes) -> Document:
    """The file, as far as it can be read: browsers read everything."""
    wide = content.startswith(codecs.BOM_UTF16_LE)
    text = content.decode("utf-16" if wide else "utf-8", errors="replace")
    if ending(path) == ".css":
        return Document(references=list(_of_css(text)))
    if ending(path) == ".js":
        return Document(hints=[text], script=text)
    if ending(path) == ".xml":
        return Document(references=[Reference(loc, "page") for loc in re.findall(r"<loc>([^<]*)</loc>", text)])
    parser = _Parser(is_page=is_page(path))
    parser.feed(text)
    parser.close()
    return parser.document


def short(address: str) -> str:
    """An address for one line of a terminal."""
    shown = address if address.isprintable() else repr(address)
    return shown if len(shown) <= 100 else f"{shown[:97]}..."


def _of_css(text: str) -> Iterator[Reference]:
    bare = COMMENT.sub("", text)
    for imported, *groups in CSS_ADDRESS.findall(bare):
        address = _unescaped("".join(groups))
        # A fragment alone is a filter or a gradient of the page that the style is used on.
        if address and not address.startswith("#"):
            yield Reference(address, "style" if imported or any(groups[3:]) else "image")
    for found in re.finditer(r"image-set\(", bare, re.IGNORECASE):
        for inner in CSS_STRING.finditer(bare, found.end()):
            if inner[0] == ")":
                break
            if address := _unescaped(inner[2] or inner[3] or ""):
                yield Reference(address, "image")


def _unescaped(text: str) -> str:
    """A string of CSS as the browser reads it: \\2f is a slash."""
    return CSS_ESCAPE.sub(lambda found: found[2] or chr(min(int(found[1], 16), sys.maxunicode)), text)


class _Parser(HTMLParser):
    """Fills a document from HTML or SVG."""

    def __init__(self, *, is_page: bool) -> None:
        super().__init__(convert_charrefs=True)
        self.document = Document()
        self.is_page = is_page
        self.open: list[_Element] = []
        self.group = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        given = {name: value or "" for name, value in attrs}
        self._addresses(tag, given)
        for name, value in given.items():
            if name == "id" or (name == "name" and tag in ("a", "map") and value != given.get("id")):
                self.document.ids[value] += 1
            elif name in NAMING:
                self.document.named += [(name, word) for word in value.split()]
            elif name.startswith("data-"):
                self._data(name, value)
            elif name == "style" or "url(" in value.lower():
                self.document.references += _of_css(value)
        self._words(tag, given)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """<path/> in SVG; HTML does not know it, but <img/> is common."""
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        """An element ends, and all in it whose ends were left out."""
        if not any(element.tag == tag for element in self.open):
            return
        while (element := self.open.pop()).tag != tag:
            self._ended(element)
        self._ended(element)

    def handle_data(self, data: str) -> None:
        """Text, in scripts and styles too."""
        inner = self.open[-1].tag if self.open else ""
        if inner == "script":
            self.document.script += data
            self.document.hints.append(data)
        elif inner == "style":
            self.document.style += data
            self.document.references += _of_css(data)
        elif data.strip():
            self._named()

    def close(self) -> None:
        """The file ends."""
        super().close()
        while self.open:
            self._ended(self.open.pop())

    def _data(self, name: str, value: str) -> None:
        self.document.hints.append(value)
        words = list(_candidates(value)) if name.endswith("srcset") else value.split()
        named = [word for word in words if FILE.fullmatch(word)]
        if len(named) == len(words) or name.endswith("srcset"):
            self.document.references += [Reference(word, "asked") for word in named]

    def _named(self) -> None:
        """What is open has words in it."""
        for element in self.open:
            element.named = True

    def _words(self, tag: str, given: Mapping[str, str]) -> None:
        """Pictures need words, unless they are hidden from those who listen."""
        hidden = given.get("aria-hidden") == "true" or (bool(self.open) and self.open[-1].hidden)
        label = any(given.get(name, "").strip() for name in ("aria-label", "aria-labelledby"))
        needs = tag == "img" or (tag == "area" and "href" in given) or (tag == "input" and given.get("type") == "image")
        if needs and not hidden:
            self._picture(tag, given, label)
        if tag not in VOID:
            told = label or bool(given.get("title", "").strip()) or not self.is_page
            inner = any(element.tag == "svg" for element in self.open)
            needs = (tag == "svg" and not inner) or (tag == "a" and "href" in given) or tag == "iframe"
            needs = needs or (given.get("role") == "img" and not inner)
            self.open.append(_Element(tag, hidden, told or hidden or not needs))
            if label:
                for element in self.open[:-1]:
                    element.named = True

    def _picture(self, tag: str, given: Mapping[str, str], label: bool) -> None:
        alt, source = given.get("alt"), given.get("src") or given.get("href", "")
        file = posixpath.basename(source)
        decorates = tag == "img" and (alt == "" or given.get("role") in ("presentation", "none"))
        if label or (alt and alt.strip() and alt != file):
            self._named()
        elif not decorates:
            why = "no alternative text" if not (alt or "").strip() else "its file's name as alternative text"
            self.document.nameless.append(f"<{tag}> {short(source)} has {why}")

    def _ended(self, element: _Element) -> None:
        if not element.named:
            what = "a link has no words" if element.tag == "a" else f"<{element.tag}> has no label and no title"
            self.document.nameless.append(what)

    def _addresses(self, tag: str, given: Mapping[str, str]) -> None:
        if tag == "picture" or (tag == "img" and not any(element.tag == "picture" for element in self.open)):
            self.group += 1
        if tag == "base":
            self.document.base = True
        elif tag == "link":
            self._link(given)
        elif tag == "meta":
            self._meta(given)
        for name in LINKS.get(tag, ()):
            if name in given:
                self.document.references.append(Reference(given[name], "link"))
        self.document.references += [Reference(word, "asked") for word in given.get("ping", "").split()]
        if tag == "iframe" and "srcdoc" in given:
            self._inner_page(given["srcdoc"])
        for name in FETCHED.get(tag, ()):
            self._fetched(tag, given, name)

    def _inner_page(self, text: str) -> None:
        """A page inside an attribute: its addresses are relative to the page around it, its ids are its own."""
        inner = _Parser(is_page=True)
        inner.feed(text)
        inner.close()
        found = inner.document
        self.document.references += [one for one in found.references if not one.address.startswith("#")]
        self.document.hints += found.hints
        self.document.nameless += found.nameless
        self.document.script += found.script
        self.document.style += found.style

    def _fetched(self, tag: str, given: Mapping[str, str], name: str) -> None:
        kind: Kind = "script" if tag == "script" else "image" if tag in PICTURES else "other"
        if given.get("loading") == "lazy":
            kind = "lazy image"
        addresses = _candidates(given.get(name, "")) if name == "srcset" else [given[name]] if name in given else []
        group = self.group if tag in ("img", "source") else -1
        self.document.references += [Reference(address, kind, group) for address in addresses]

    def _link(self, given: Mapping[str, str]) -> None:
        kinds = set(given.get("rel", "").lower().split())
        if "canonical" in kinds:
            self.document.canonical = given.get("href", "")
        kind: Kind = "other"
        if "stylesheet" in kinds:
            kind = "style"
        elif kinds & {"icon", "apple-touch-icon", "mask-icon"}:
            kind = "icon"
        elif kinds <= FOLLOWED:
            kind = "page"
        if "href" in given:
            self.document.references.append(Reference(given["href"], kind))
        self.document.references += [Reference(one, "other") for one in _candidates(given.get("imagesrcset", ""))]

    def _meta(self, given: Mapping[str, str]) -> None:
        name = given.get("property", given.get("name", ""))
        content = given.get("content", "")
        if given.get("http-equiv", "").lower() == "refresh" and (
            found := re.search(r"url=(.+)", content, re.IGNORECASE)
        ):
            self.document.references.append(Reference(found[1].strip("\"' "), "link"))
        if name in ("og:image", "og:url", "twitter:image"):
            self.document.references.append(Reference(content, "page"))


def _candidates(srcset: str) -> Iterator[str]:
    """Addresses of a srcset as browsers read it (HTML, "parse a srcset attribute"): without a space too, after 1x."""
    rest = srcset.lstrip(" \t\n\f\r,")
    while rest:
        address = rest.split(maxsplit=1)[0]
        rest = rest[len(address) :]
        if not address.endswith(","):  # then come 2x or 640w, up to the next comma
            rest = rest.partition(",")[2]
        yield address.rstrip(",")
        rest = rest.lstrip(" \t\n\f\r,")
