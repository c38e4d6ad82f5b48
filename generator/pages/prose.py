"""Markdown -> HTML that acts nowhere: CommonMark with tables, curly quotes, ids of headings, and pictures of one's own.

markdown-it-py reads it, in time that grows with its length and never with its tricks; nh3 cleans what comes out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererProtocol
from markdown_it.rules_block import StateBlock, html_block
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup

from generator.base.errors import InputError
from generator.base.names import slug
from generator.data.image_files import digest, read_photo
from generator.figures import raster

LONGEST = 50_000  # letters; with the two limits below the parsers take two seconds for the worst of them
PARAGRAPH = 10_000  # letters of one paragraph
BRACKETS = 1_000  # outside code: without an end they take time that grows with the square of their number
CELLS = 20_000  # of tables: a row has an empty cell for each column that it leaves out
DEEPEST = 100  # lists in lists and quotes in quotes
WIDEST = 1600  # pixels of a picture: twice the column it stands in
QUALITY = 84  # of its WebP
PICTURES = "assets/words"
ID = r"[A-Za-z0-9_-]+"
# fmt: off
TAGS = {
    "a", "abbr", "b", "blockquote", "br", "cite", "code", "dd", "dfn", "dl", "dt", "em", "h2", "h3", "h4", "h5", "h6",
    "hr", "i", "img", "kbd", "li", "ol", "p", "pre", "q", "s", "small", "strong", "sub", "sup", "table", "tbody", "td",
    "th", "thead", "tr", "ul", "var",
    # MathML Core (W3C), as far as formulas need it: browsers and screen readers read it without a script.
    "math", "mfrac", "mi", "mn", "mo", "mover", "mrow", "msqrt", "mstyle", "msub", "msubsup", "msup", "mtext",
    "munder", "munderover",
}
# fmt: on
ATTRIBUTES = {
    "a": {"href", "title"},
    "abbr": {"title"},
    "dfn": {"title"},
    "img": {"src", "alt", "width", "height", "loading"},
    "math": {"display"},
    "mi": {"mathvariant"},
    "ol": {"start"},
    **{f"h{level}": {"id"} for level in range(2, 7)},
}
SCHEMES = {"http", "https", "mailto"}
# Everything that Markdown may read as more than a character; as an entity it is one.
MARKS = re.compile(r"""[\\`*_{}\[\]()#+\-!|~.<>&"']""")
CODE = re.compile(r"(?<=<code>)[^<]+(?=</code>)")
# An option or a name in a command, where browsers end lines at hyphens; longer ones may not fit a phone's line.
HYPHENED = re.compile(r"(?<!\S)(?=\S*-)(?=\S*[a-z])[^\s&]{2,24}(?!\S)")
# As nobody else writes it, so that it is known again in code, where Markdown leaves entities alone.
VALUE = re.compile(r"&#0000(\d{3});")
ACTING = re.compile(r"</?(script|style)\b", re.IGNORECASE)
IMAGE = re.compile(r"<img\b[^<>]*>", re.IGNORECASE)
HEADING_ID = re.compile(rf"\s*\{{:?\s*#({ID})\s*\}}$")
FORMULA = re.compile(r'<p>(<math display="block">(?:(?!</?p>).)*</math>)</p>', re.DOTALL)


@dataclass(frozen=True)
class Picture:
    """A picture of the words as the site has it; `path` is below the site's folder."""

    path: str
    data: bytes
    width: int
    height: int


class RefusedError(ValueError):
    """What Markdown asks for and cannot have; `about` is what the file has where it does so."""

    def __init__(self, message: str, about: str = "") -> None:
        super().__init__(message)
        self.about = about


Find = Callable[[str], Picture]


def literally(value: Any) -> Any:
    """The value as text that Markdown and HTML show as it is; markup that our own functions made is left alone."""
    if isinstance(value, Markup) or value is None:
        return value
    # str() raises for an undefined value; a line break could begin a list or a heading.
    line = " ".join(str(value).splitlines())
    return Markup(MARKS.sub(lambda found: f"&#{ord(found.group()):07};", line))


def clean(text: str, find: Find | None = None) -> str:
    """Markdown -> HTML without scripts, styles, forms or anything else that acts.

    Args:
        find: the picture of an address in the text; without it a picture's words stand for it.
    Raises:
        RefusedError: for a picture that `find` refuses or that has no words, for too much text, too deeply nested.
    """
    if len(text) > LONGEST:
        raise RefusedError(f"expected at most {LONGEST:,} letters, got {len(text):,}")
    html: str = _MARKDOWN.render(text, {"find": find})
    return FORMULA.sub(r"\1", _unbroken(_safe(html))).strip()


def inline(text: str) -> str:
    """One line of Markdown -> HTML without the paragraph around it."""
    return re.sub(r"^<p>|</p>$", "", clean(text.strip()).strip())


def card(text: str, level: int) -> Markup:
    """A Markdown document whose first-level headings become headings of `level`; none of them is an address."""
    if len(text) > LONGEST:
        raise RefusedError(f"expected a model card of at most {LONGEST:,} letters, got {len(text):,}")
    body = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    lowered = _markdown(level - 1).render(body)
    return Markup(re.sub(r'<(h[2-6]) id="[^"]*">', r"<\1>", _unbroken(_safe(lowered))).strip())


def picture(folder: Path, source: str) -> Picture:
    """A picture beside the words, as the site shows it: decoded, of a size for a page, without what a camera wrote.

    Raises:
        RefusedError: if it is not a picture file in that folder.
    """
    name = unquote(source)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:|//", name):
        raise RefusedError(
            f"{source}: expected a picture file beside the words, for pages fetch nothing from elsewhere", source
        )
    try:
        file = (folder / name).resolve()
        inside = file.is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # a name too long, a NUL, links in a circle
        raise RefusedError(f"{source[:60]!r}: expected the name of a picture file", source) from None
    if not inside:
        raise RefusedError(f"{source}: expected a picture in {folder} or below; copy it there", source)
    if file.suffix.lower() in (".svg", ".svgz"):
        raise RefusedError(
            f"{source}: expected a picture of pixels, for an SVG can hold scripts; save it as PNG", source
        )
    try:
        pixels = read_photo(file)
    except InputError as error:
        raise RefusedError(str(error), source) from None
    pixels = raster.shrink(pixels, min(WIDEST, pixels.shape[1]))
    height, width = pixels.shape[:2]
    path = f"{PICTURES}/{slug(file.stem)[:60]}-{digest(pixels)[:8]}.webp"
    return Picture(path, raster.webp(pixels, QUALITY), width, height)


def pictured(text: str) -> list[str]:
    """The addresses of a Markdown text's pictures; none of a text that cannot be read."""
    try:
        tokens = _MARKDOWN.parse(text, {})
    except RefusedError:  # which is told of the text as it is shown
        return []
    every = (child for token in tokens for child in token.children or ())
    return [str(child.attrs["src"]) for child in every if child.type == "image"]


def fences(text: str) -> list[tuple[int, int, bool]]:
    """The fenced blocks of code in a text: first line, the line after the last, from 0, and whether each is closed."""
    lines = text.split("\n")
    found = []
    for token in _BLOCKS.parse(text):
        if token.type == "fence" and token.map:
            first, end = token.map
            last = lines[min(end, len(lines)) - 1].strip().lstrip("> ")
            found.append((first, end, end - first > 1 and last == token.markup[0] * len(last) >= token.markup))
    return found


def _safe(html: str) -> str:
    return str(
        nh3.clean(
            html,
            tags=TAGS,
            attributes=ATTRIBUTES,
            url_schemes=SCHEMES,
            link_rel=None,
            attribute_filter=_attribute,
        )
    )


def _unbroken(html: str) -> str:
    """With what code has hyphens in marked, so that no line ends at them."""
    return CODE.sub(lambda found: HYPHENED.sub(r'<span class="unbroken">\g<0></span>', found[0]), html)


def _attribute(tag: str, name: str, value: str) -> str | None:
    """The value of an allowed attribute, None to leave it out."""
    if tag == "img" and name == "src" and not re.fullmatch(rf"{PICTURES}/[a-z0-9-]+\.webp", value):
        return None
    if name == "id" and not re.fullmatch(ID, value):
        return None
    return value


def _markdown(lower: int = 0) -> MarkdownIt:
    """A parser; `lower` is by how many levels it lowers headings."""
    made = MarkdownIt("commonmark", {"typographer": True, "maxNesting": DEEPEST})
    made.validateLink = lambda url: True  # type: ignore[method-assign]  # nh3 decides, and leaves the words
    made.enable(["table", "strikethrough", "smartquotes"])
    made.block.ruler.at("html_block", _html_block, {"alt": ["paragraph", "reference", "blockquote"]})
    made.core.ruler.before("block", "tables", _bound_tables)
    made.core.ruler.before("inline", "paragraphs", _bound_paragraphs)
    made.core.ruler.before("smartquotes", "words", lambda state: _amend(state, lower))
    for name, rule in (
        ("image", _image),
        ("html_inline", _raw),
        ("html_block", _raw),
        ("code_inline", _code),
        ("code_block", _code),
        ("fence", _code),
    ):
        made.add_render_rule(name, rule)
    return made


def _html_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """CommonMark's, but for scripts and styles: they are taken out, and what follows them in their line is not."""
    line = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]]
    return not ACTING.match(line) and html_block(state, start, end, silent)


def _bound_tables(state: StateCore) -> None:
    """The end of tables that would be larger than their text."""
    bars = [line.count("|") for line in state.src.split("\n")]
    if max(bars) * sum(map(bool, bars)) > CELLS:
        raise RefusedError(f"expected tables of at most {CELLS:,} cells")


def _bound_paragraphs(state: StateCore) -> None:
    """The end of what would take long: too much in one paragraph, or too deep in one another."""
    for token in state.tokens:
        if token.level >= DEEPEST - 2:  # markdown-it leaves out what is deeper than DEEPEST without a word
            raise RefusedError(f"expected lists and quotes at most {DEEPEST - 2} deep")
        if token.type == "inline" and len(token.content) > PARAGRAPH:
            begins = token.content[:20].split("\n")[0]
            raise RefusedError(f"expected paragraphs of at most {PARAGRAPH:,} letters", begins)
    if sum(token.content.count("[") for token in state.tokens if token.type == "inline") > BRACKETS:
        raise RefusedError(f"expected at most {BRACKETS:,} brackets up to the next heading")


def _amend(state: StateCore, lower: int) -> None:
    """Ids of headings, levels, dashes and dots."""
    for place, token in enumerate(state.tokens):
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, max(2, int(token.tag[1]) + lower))}"  # the page's own is the first
        if token.type == "heading_open":
            _take_id(token, (state.tokens[place + 1].children or [])[-1:])
        automatic = False
        for child in token.children or ():
            if child.type.startswith("link_"):
                automatic = child.info == "auto" and child.type == "link_open"
            elif child.type == "text" and not automatic:
                child.content = _typeset(child.content)


def _take_id(heading: Token, last: list[Token]) -> None:
    if last and last[0].type == "text" and (found := HEADING_ID.search(last[0].content)):
        heading.attrSet("id", found[1])
        last[0].content = last[0].content[: found.start()]


def _typeset(text: str) -> str:
    for typed, meant in (("---", "—"), ("--", "–"), ("...", "…")):
        text = text.replace(typed, meant)
    return text


def _code(_: RendererProtocol, tokens: list[Token], place: int, __: OptionsDict, ___: EnvType) -> str:
    """Code as it is written, a value in it too."""
    code = escape(VALUE.sub(lambda found: chr(int(found[1])), tokens[place].content), quote=False)
    return f"<code>{code}</code>" if tokens[place].type == "code_inline" else f"<pre><code>{code}</code></pre>\n"


def _image(renderer: RendererProtocol, tokens: list[Token], place: int, options: OptionsDict, env: EnvType) -> str:
    token = tokens[place]
    words = renderer.renderInlineAsText(token.children or [], options, env)  # type: ignore[attr-defined]
    return _shown(str(token.attrs["src"]), words, env)


def _raw(_: RendererProtocol, tokens: list[Token], place: int, __: OptionsDict, env: EnvType) -> str:
    """HTML of the file's own, its pictures like Markdown's; one from elsewhere leaves its words."""
    return IMAGE.sub(lambda found: _tagged(found.group(), env), tokens[place].content)


def _tagged(tag: str, env: EnvType) -> str:
    reader = _Attributes()
    reader.feed(tag)
    source, words = reader.found.get("src") or "", reader.found.get("alt") or ""
    local = source and not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:|//", source)
    return _shown(source, words, env) if local else escape(words)


class _Attributes(HTMLParser):
    """The attributes of one tag."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str | None] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self.found = dict(reversed(attrs))  # of two of one name browsers take the first

    handle_startendtag = handle_starttag


def _shown(source: str, words: str, env: EnvType) -> str:
    find: Find | None = env.get("find")
    if find is None:
        return escape(words)
    if not words.strip():
        raise RefusedError(
            f"{source}: expected words for who cannot see the picture: ![what it shows]({source})", source
        )
    found = find(source)
    size = f'width="{found.width}" height="{found.height}" loading="lazy"'
    return f'<img src="{found.path}" alt="{escape(words)}" {size}>'


_MARKDOWN = _markdown()
_BLOCKS = MarkdownIt("commonmark", {"maxNesting": DEEPEST})


_BLOCKS.core.ruler.enableOnly(["normalize", "block"])
