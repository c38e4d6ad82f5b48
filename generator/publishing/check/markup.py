"""HTML and XML as browsers read them: bytes in, a document out.

The parsers decide what is an element, an attribute and a text: lexbor for HTML (html.spec.whatwg.org, 13.2), expat for
XML. Here stands what the elements mean.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from selectolax.lexbor import LexborHTMLParser, LexborNode

from generator.publishing.check.references import Document, Kind, Reference, short
from generator.publishing.check.styles import of_attribute, of_style, of_value

# What a browser does with the target of <link>; those of all other kinds are followed by people and machines.
ICONS = frozenset({"icon", "apple-touch-icon", "mask-icon"})
# fmt: off
LOADED = ICONS | {
    "dns-prefetch", "expect", "manifest", "modulepreload", "preconnect", "prefetch", "preload", "prerender",
    "stylesheet",
}
# fmt: on
LINKS = {
    "a": ("href",),
    "area": ("href",),
    "form": ("action",),
    **dict.fromkeys(("button", "input"), ("formaction",)),
    **dict.fromkeys(("blockquote", "del", "ins", "q"), ("cite",)),
}
FETCHED = {
    **dict.fromkeys(("audio", "embed", "frame", "iframe", "img", "input", "script", "source", "track"), ("src",)),
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
# SVG's attributes that are properties of CSS and may hold an address (SVG 2, 6.6).
DRAWN = frozenset({
    "clip-path", "cursor", "fill", "filter", "marker", "marker-end", "marker-mid", "marker-start", "mask", "stroke",
})
# Text in these is shown to nobody: it is read, or passed over.
READ = frozenset({"loc", "script", "style"})  # <loc> is a sitemap's
SILENT = frozenset({"iframe", "noembed", "noframes"})
# fmt: on
HTML_INSIDE = frozenset({"foreignobject", "desc", "title"})  # of SVG: what is in them is HTML again
SHARED = ("og:audio", "og:image", "og:image:url", "og:url", "og:video", "twitter:image")
# What a data attribute holds for a script to fetch or to go to: words with the ending of a file each.
FILE = re.compile(
    r"[^\s\"'<>{}]+\.(html?|css|js|json|csv|xml|txt|pdf|webp|avif|png|jpe?g|gif|svg|ico)([?#]\S*)?", re.IGNORECASE
)
SPACE = " \t\n\f\r"
WORD = re.compile(f"[^{SPACE}]+")
CANDIDATE = re.compile(f"[{SPACE},]*([^{SPACE}]+)")
DESCRIPTORS = re.compile(r"(?:[^,(]+|\([^)]*\)?)*")
# A type of JavaScript, and those that HTML has for it; a script of any other type is data (HTML, "prepare the script").
JAVASCRIPT = re.compile(
    r"|module|(application|text)/(x-)?(java|ecma)script|text/(javascript1\.[0-5]|jscript|livescript)", re.IGNORECASE
)
# "shared declarative refresh steps" of HTML: seconds, and where to go then.
REFRESH = re.compile(
    rf"""[{SPACE}]*[0-9.]+(?:[{SPACE}]*[;,]|[{SPACE}])[{SPACE}]*(?:url[{SPACE}]*=[{SPACE}]*)?(?:(["'])(.*?)(?:\1|$)|(.*))""",
    re.IGNORECASE | re.DOTALL,
)
SVG, XHTML, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xhtml", "http://www.w3.org/1999/xlink"
SHEET = re.compile(r"""\bhref\s*=\s*(?:"([^"]*)"|'([^']*)')""")
# Browsers stop at 512 elements inside one another. lexbor does not, and takes time with the square of their number.
DEEPEST = 10_000
TAG = re.compile(rb"<(/?)([A-Za-z][A-Za-z0-9]*)")
# fmt: off
NEVER_DEEP = frozenset({  # they have no end, or one that may be left out
    b"a", b"area", b"base", b"body", b"br", b"button", b"col", b"colgroup", b"dd", b"dt", b"embed", b"head", b"hr",
    b"html", b"img", b"input", b"li", b"link", b"meta", b"optgroup", b"option", b"p", b"param", b"rp", b"rt", b"source",
    b"tbody", b"td", b"tfoot", b"th", b"thead", b"tr", b"track", b"wbr",
})


# fmt: on


def of_page(content: bytes) -> Document:
    """A page in the encoding that it names, else in UTF-8."""
    reader = _Reader(is_page=True)
    _read(content, reader, encoding=True)
    # A page inside an attribute: its addresses are relative to the page around it, its ids are its own.
    while reader.inner_pages:
        inner = _Reader(is_page=True)
        _read(reader.inner_pages.pop().encode(), inner, encoding=False)
        reader.inner_pages += inner.inner_pages
        _take_in(reader.document, inner.document)
    return reader.document


def of_xml(content: bytes) -> Document:
    """SVG, a sitemap, or any other XML."""
    reader = _Reader(is_page=False)
    try:
        _parse(content, reader)
    except expat.ExpatError as error:
        what = f"{expat.errors.messages[error.code]}, line {error.lineno}"
    except (LookupError, ValueError) as error:  # an encoding that Python does not know, or that expat cannot use
        what = str(error)
    else:
        return reader.document
    return Document(broken=f"it is no XML that browsers can read ({what})")


def candidates(srcset: str) -> Iterator[str]:
    """Addresses of a srcset as browsers read it (HTML, "parse a srcset attribute"): without a space too, after 1x."""
    place = 0
    while found := CANDIDATE.match(srcset, place):
        address, place = found[1], found.end()
        if not address.endswith(",") and (described := DESCRIPTORS.match(srcset, place)):  # 2x or 640w, up to a comma
            place = described.end()
        if address := address.rstrip(","):
            yield address


def _read(content: bytes, reader: _Reader, *, encoding: bool) -> None:
    if _is_too_deep(content):
        reader.document.broken = f"more than {DEEPEST:,} of its elements stand inside one another"
    else:
        _walk(LexborHTMLParser(content, encoding=encoding).root, reader)


def _is_too_deep(content: bytes) -> bool:
    if content.count(b"<") <= DEEPEST:
        return False
    depth = 0
    for closes, name in TAG.findall(content.replace(b"\0", b"")):  # without what UTF-16 has between letters
        if name.lower() not in NEVER_DEEP:
            depth = max(depth - 1, 0) if closes else depth + 1
            if depth > DEEPEST:
                return True
    return False


def _walk(root: LexborNode | None, reader: _Reader) -> None:
    """Tell a reader what a tree has, however deep it is."""
    node = root
    while node is not None:
        if node.is_text_node:
            reader.text(node.text_content or "")
        elif node.is_element_node:
            tag = str(node.tag).lower()
            reader.begins(tag, {name: value or "" for name, value in node.attributes.items()})
            if tag == "template":  # no part of the page until a script takes it
                reader.document.hints.append(node.html or "")
            if (child := node.first_child) is not None:
                node = child
                continue
            reader.ends()
        while node is not None and node.next is None:
            node = node.parent
            if node is not None and node.is_element_node:
                reader.ends()
        node = node.next if node is not None else None


def _parse(content: bytes, reader: _Reader) -> None:
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True

    def begins(name: str, attributes: Mapping[str, str]) -> None:
        space, _, tag = name.rpartition(" ")
        known = space in ("", SVG, XHTML) or tag in READ
        given = {key.replace(f"{XLINK} ", "xlink:"): value for key, value in attributes.items()}
        reader.begins(tag.lower() if known else name, given)

    def instructed(target: str, data: str) -> None:
        if target == "xml-stylesheet" and (found := SHEET.search(data)):
            reader.document.references.append(Reference(found[1] or found[2] or "", "style"))

    parser.StartElementHandler = begins
    parser.EndElementHandler = lambda _: reader.ends()
    parser.CharacterDataHandler = reader.text
    parser.ProcessingInstructionHandler = instructed
    parser.Parse(content, True)


def _take_in(document: Document, inner: Document) -> None:
    document.references += [one for one in inner.references if not one.address.startswith("#")]
    document.hints += inner.hints
    document.nameless += inner.nameless
    document.scripts += inner.scripts
    document.styles += inner.styles
    document.broken = document.broken or inner.broken


@dataclass
class _Element:
    tag: str
    drawn: bool = False  # SVG
    in_drawing: bool = False
    hidden: bool = False
    named: bool = True  # has words, or needs none
    data: bool = False  # a script or style of a language that browsers do not know
    texts: list[str] = field(default_factory=list)


class _Reader:
    """Fills a document from elements and texts in the order of a file."""

    def __init__(self, *, is_page: bool) -> None:
        self.document = Document()
        self.is_page = is_page
        self.inner_pages: list[str] = []
        self.open = [_Element("")]  # the file around all elements
        self.nameless: list[_Element] = []  # of the open ones
        self.group = 0

    def begins(self, tag: str, given: Mapping[str, str]) -> None:
        """An element begins: its name in small letters, and its attributes."""
        around = self.open[-1]
        element = _Element(
            tag,
            drawn=tag == "svg" or (around.drawn and around.tag not in HTML_INSIDE),
            in_drawing=around.drawn or around.in_drawing,
            hidden=around.hidden or given.get("aria-hidden") == "true",
            data=_is_data(tag, given.get("type", "")),
        )
        self._parts(tag, given)
        self._addresses(element, given)
        self._words(element, given)
        self.open.append(element)

    def text(self, data: str) -> None:
        """Text, in scripts and styles too."""
        if self.open[-1].tag in READ:
            self.open[-1].texts.append(data)
        elif self.open[-1].tag not in SILENT and data.strip():
            self._named()

    def ends(self) -> None:
        """The innermost element ends."""
        element = self.open.pop()
        if not element.named:
            self.nameless.pop()
            what = "a link has no words" if element.tag == "a" else f"<{element.tag}> has no label and no title"
            self.document.nameless.append(what)
        if element.tag not in READ:
            return
        text = "".join(element.texts)
        if element.tag == "loc":
            self.document.references.append(Reference(text, "page"))
        elif element.tag == "script":
            self.document.hints.append(text)
            self.document.scripts += [] if element.data else [text]
        elif not element.data:
            self.document.styles.append(text)
            self.document.references += of_style(text)

    def _parts(self, tag: str, given: Mapping[str, str]) -> None:
        """Ids and names, and what refers to them."""
        identity, name = given.get("id", ""), given.get("name", "")
        if identity:
            self.document.ids[identity] += 1
        if tag == "a" and name and name != identity:
            self.document.anchors[name] += 1
        if tag == "map":
            self.document.maps |= {identity, name}
        if tag in ("img", "object") and "#" in given.get("usemap", ""):
            self.document.mapped.append(given["usemap"].partition("#")[2])
        for key in NAMING & given.keys():
            self.document.named += [(key, word) for word in WORD.findall(given[key])]

    def _addresses(self, element: _Element, given: Mapping[str, str]) -> None:
        for name, value in given.items():
            if name.startswith("data-"):
                self._data(name, value)
            elif name == "style":
                self.document.references += of_attribute(value)
            elif element.drawn and name in DRAWN:
                self.document.references += of_value(value)
        if element.drawn:
            self._drawn(element, given)
        elif element.tag == "base":
            self.document.base = given.get("href") if self.document.base is None else self.document.base
        elif element.tag == "link":
            self._link(given)
        elif element.tag == "meta":
            self._meta(given)
        else:
            self._linked_and_fetched(element, given)

    def _drawn(self, element: _Element, given: Mapping[str, str]) -> None:
        """SVG 2: href goes before xlink:href, whatever the element."""
        address = given.get("href", given.get("xlink:href"))
        if address is None or element.data:
            return
        kind: Kind = "link" if element.tag == "a" else "script" if element.tag == "script" else "other"
        self.document.references.append(Reference(address, "image" if element.tag in PICTURES else kind))

    def _linked_and_fetched(self, element: _Element, given: Mapping[str, str]) -> None:
        tag = element.tag
        in_picture = self.open[-1].tag == "picture"
        self.group += tag == "picture" or (tag == "img" and not in_picture)
        self.document.references += [Reference(given[name], "link") for name in LINKS.get(tag, ()) if name in given]
        if tag in ("a", "area"):
            self.document.references += [Reference(word, "asked") for word in WORD.findall(given.get("ping", ""))]
        if tag == "iframe" and "srcdoc" in given:
            self.inner_pages.append(given["srcdoc"])
            return  # it goes before src
        if element.data or (tag == "input" and given.get("type", "").lower() != "image"):
            return
        kind: Kind = "script" if tag == "script" else "image" if tag in PICTURES else "other"
        if given.get("loading", "").lower() == "lazy":
            kind = "lazy image"
        # Inside <picture>, <source> has no address but those of its sizes; inside <video>, it has no sizes.
        sized = tag == "img" or (tag == "source" and in_picture)
        names = () if tag == "source" and in_picture else FETCHED.get(tag, ())
        addresses = [given[name] for name in names if name in given]
        addresses += candidates(given.get("srcset", "")) if sized else ()
        group = self.group if sized else -1
        self.document.references += [Reference(address, kind, group) for address in addresses]

    def _link(self, given: Mapping[str, str]) -> None:
        kinds = set(WORD.findall(given.get("rel", "").lower()))
        if "canonical" in kinds:
            self.document.canonical = given.get("href", "")
        loads: Kind = "style" if "stylesheet" in kinds else "icon" if kinds & ICONS else "other"
        kind: Kind = loads if kinds & LOADED else "page"
        if "href" in given:
            self.document.references.append(Reference(given["href"], kind))
        self.document.references += [Reference(one, "other") for one in candidates(given.get("imagesrcset", ""))]

    def _meta(self, given: Mapping[str, str]) -> None:
        content = given.get("content", "")
        if given.get("http-equiv", "").lower() == "refresh" and (found := REFRESH.match(content)):
            self.document.references.append(Reference(found[2] or found[3] or "", "link"))
        if given.get("property", given.get("name", "")).lower() in SHARED:
            self.document.references.append(Reference(content, "page"))

    def _data(self, name: str, value: str) -> None:
        self.document.hints.append(value)
        words = list(candidates(value)) if name.endswith("srcset") else value.split()
        named = [word for word in words if FILE.fullmatch(word)]
        if len(named) == len(words) or name.endswith("srcset"):
            self.document.references += [Reference(word, "asked") for word in named]

    def _named(self) -> None:
        """What is open has words in it."""
        while self.nameless:
            self.nameless.pop().named = True

    def _words(self, element: _Element, given: Mapping[str, str]) -> None:
        """Pictures need words, unless they are hidden from those who listen."""
        tag = element.tag
        label = any(given.get(name, "").strip() for name in ("aria-label", "aria-labelledby"))
        is_picture = tag == "img" or (tag == "area" and "href" in given)
        is_picture = is_picture or (tag == "input" and given.get("type", "").lower() == "image")
        if is_picture:
            self._picture(tag, given, label, hidden=element.hidden)
        elif label:
            self._named()
        if is_picture or label or element.hidden or not self.is_page or given.get("title", "").strip():
            return
        is_drawing = tag == "svg" or given.get("role") == "img"
        if (is_drawing and not element.in_drawing) or (tag == "a" and "href" in given) or tag == "iframe":
            element.named = False
            self.nameless.append(element)

    def _picture(self, tag: str, given: Mapping[str, str], label: bool, *, hidden: bool) -> None:
        alt, source = given.get("alt"), given.get("src") or given.get("href", "")
        file = posixpath.basename(source)
        decorates = tag == "img" and (alt == "" or given.get("role") in ("presentation", "none"))
        if hidden:
            return
        if label or (alt and alt.strip() and alt != file):
            self._named()
        elif not decorates:
            why = "no alternative text" if not (alt or "").strip() else "its file's name as alternative text"
            self.document.nameless.append(f"<{tag}> {short(source)} has {why}")


def _is_data(tag: str, language: str) -> bool:
    """Whether browsers pass over what a <script> or a <style> holds."""
    if tag == "script":
        return JAVASCRIPT.fullmatch(language.strip()) is None
    return tag == "style" and language.strip().lower() not in ("", "text/css")
