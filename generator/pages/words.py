"""The words of a page: one Markdown file in content/ with Jinja variables, cut into sections that a template places.

    ---
    title: Filters
    question: What patterns does it look for?
    description: One sentence for search engines.
    ---
    The first paragraphs are the lead.

    ## A heading {#key}

    Text that the template of the page places with words("key").

What a variable holds is text: neither its HTML nor its Markdown is obeyed. HTML of the file itself is cleaned, so that
no script and no style in it has an effect.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import markdown
import nh3
from jinja2 import BaseLoader, Environment, FileSystemLoader, StrictUndefined, Template, TemplateError, TemplateNotFound
from jinja2.exceptions import TemplateSyntaxError
from markupsafe import Markup

from generator.base.clutter import is_clutter
from generator.base.errors import InputError
from generator.pages.formats import FILTERS

FRONT_MATTER = ("title", "question", "description")
HEADING = re.compile(r"^## +(?P<title>.+?) *\{ *#(?P<key>[a-z0-9-]+) *\} *$")
# Everything that Markdown may read as more than a character; as an entity it is one.
MARKS = re.compile(r"""[\\`*_{}\[\]()#+\-!|~.<>&"']""")
# fmt: off
TAGS = {
    "a", "abbr", "b", "blockquote", "br", "cite", "code", "dd", "dfn", "dl", "dt", "em", "h2", "h3", "h4", "h5", "h6",
    "hr", "i", "kbd", "li", "ol", "p", "pre", "q", "s", "small", "strong", "sub", "sup", "table", "tbody", "td", "th",
    "thead", "tr", "ul", "var",
    # MathML Core (W3C), as far as formulas need it: browsers and screen readers read it without a script.
    "math", "mfrac", "mi", "mn", "mo", "mover", "mrow", "msqrt", "mstyle", "msub", "msubsup", "msup", "mtext",
    "munder", "munderover",
}
# fmt: on
ATTRIBUTES = {
    "a": {"href", "title"},
    "abbr": {"title"},
    "dfn": {"title"},
    "math": {"display"},
    "mi": {"mathvariant"},
}  # fmt: skip
SCHEMES = {"http", "https", "mailto"}
# What a mistake in a template or in the use of a filter raises; RecursionError where a template extends itself.
MISTAKES = (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)


@dataclass(frozen=True)
class Section:
    """A part of a page's words, rendered."""

    title: Markup
    body: Markup


@dataclass(frozen=True)
class Passage:
    """A part of the file, not rendered yet; `line` is where it begins, from 1."""

    title: str
    text: str
    line: int


@dataclass(frozen=True)
class Words:
    """The words of one page: w("key", network=...) renders a section.

    `template` is the source of the page's template, which tells the sections that it places from those that the writer
    added.
    """

    path: Path
    passages: Mapping[str, Passage]
    environment: Environment
    template: str
    compiled: dict[tuple[int, str], Template] = field(default_factory=dict)

    def __call__(self, key: str, **variables: Any) -> Section:
        """The section `key`, with further variables.

        Raises:
            InputError: if the file has no such section, or names something unknown.
        """
        if key not in self.passages:
            raise InputError(f"{self.path}: expected a section '## ... {{#{key}}}', which the page's template places")
        passage = self.passages[key]
        title = self._expand(passage.title, passage.line, variables)
        return Section(Markup(inline(title)), Markup(clean(self._expand(passage.text, passage.line, variables))))

    def text(self, key: str) -> str:
        """A line of the front matter as plain text."""
        expanded = self._expand(self.passages[key].text, self.passages[key].line, {})
        return Markup(inline(expanded)).striptags()

    @property
    def rest(self) -> Iterator[tuple[str, Section]]:
        """The sections that the template does not place, in the order of the file: whoever writes one more sees it."""
        for key in self.passages:
            placed = re.search(rf'\b(words|part)\("{key}"', self.template)
            if key not in (*FRONT_MATTER, "lead") and not placed:
                yield key, self(key)

    def _expand(self, source: str, line: int, variables: Mapping[str, Any]) -> str:
        with located(self.environment.globals):
            if (line, source) not in self.compiled:
                # The blank lines before it make Jinja count as the file's reader does.
                code = self.environment.compile("\n" * (line - 1) + source, str(self.path), str(self.path))
                self.compiled[line, source] = Template.from_code(self.environment, code, self.environment.globals)
            return self.compiled[line, source].render(**variables).strip("\n")


def read(path: Path, environment: Environment, template: str) -> Words:
    """A content file, cut into its passages: title, question, description, "lead" and one a section.

    Args:
        template: the source of the page's template.

    Raises:
        InputError: if it cannot be read or lacks a line of the front matter.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected the page's words as a UTF-8 text file, got: {error}") from None
    front, first = _front_matter(lines, path)
    return Words(path, front | _sections(lines, first, path), environment, template)


class _Templates(FileSystemLoader):
    """Templates by their names in folders; one that cannot be read is the user's error."""

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        """The text of a template, its file, and whether it is still so."""
        if any(map(is_clutter, template.split("/"))):  # a change of it would not count
            raise InputError(f"template {template}: expected a name that is neither hidden nor an editor's; rename it")
        try:
            return super().get_source(environment, template)
        except UnicodeDecodeError as error:
            raise InputError(f"template {template}: expected a UTF-8 text file, got: {error}") from None
        except OSError as error:
            raise InputError(f"template {template}: expected a readable file ({error.strerror or error})") from None


def environments(templates: Sequence[Path], shared: Mapping[str, Any]) -> tuple[Environment, Environment]:
    """One environment for templates, in which values are escaped for HTML, and one for Markdown, for Markdown too."""
    pages = _environment(_Templates([str(folder) for folder in templates]), shared)
    texts = _environment(None, shared)
    texts.finalize = literally
    return pages, texts


def literally(value: Any) -> Any:
    """The value as text that Markdown and HTML show as it is; markup that our own functions made is left alone."""
    if isinstance(value, Markup) or value is None:
        return value
    # str() raises for an undefined value; a line break could begin a list or a heading.
    line = " ".join(str(value).splitlines())
    return Markup(MARKS.sub(lambda found: f"&#{ord(found.group())};", line))


def clean(text: str) -> str:
    """Markdown -> HTML without scripts, styles, images, forms or anything else that acts."""
    html = markdown.markdown(text, extensions=["tables", "sane_lists", "smarty"], output_format="html")
    return str(nh3.clean(html, tags=TAGS, attributes=ATTRIBUTES, url_schemes=SCHEMES, link_rel=None))


def inline(text: str) -> str:
    """One line of Markdown -> HTML without the paragraph around it."""
    return re.sub(r"^<p>|</p>$", "", clean(text.strip()).strip())


def card(text: str, level: int) -> Markup:
    """A Markdown document whose first-level headings become headings of `level`."""
    shifted = re.sub(
        r"<(/?)h([1-6])>",
        lambda found: f"<{found[1]}h{min(6, int(found[2]) + level - 1)}>",
        str(
            nh3.clean(
                markdown.markdown(_without_front_matter(text), extensions=["tables", "sane_lists", "fenced_code"]),
                tags=TAGS | {"h1"},
                attributes={"a": {"href"}},
                url_schemes=SCHEMES,
                link_rel=None,
            )
        ),
    )
    return Markup(shifted)


@contextmanager
def located(known: Iterable[str] = ()) -> Iterator[None]:
    """Turns a mistake in a template or a content file into one line that names file and line.

    Args:
        known: the names that could have been meant.
    """
    try:
        yield
    except InputError:
        raise
    except TemplateNotFound as error:
        raise InputError(f"expected a template {error.name} in the folder of templates, there is none") from None
    except TemplateSyntaxError as error:
        raise InputError(f"{error.filename or error.name}:{error.lineno}: {_one_line(error.message)}") from None
    except MISTAKES as error:
        place = _place(error.__traceback__)
        if place is None:
            raise
        raise InputError(f"{place}: {_one_line(str(error))}{_hint(str(error), known)}") from None


def _environment(loader: BaseLoader | None, shared: Mapping[str, Any]) -> Environment:
    made = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(FILTERS, card=card)
    made.tests["match_prefix"] = str.startswith
    made.globals.update(shared)
    return made


def _front_matter(lines: Sequence[str], path: Path) -> tuple[dict[str, Passage], int]:
    """The passages of the front matter and the index of the first line after it."""
    end = next((i for i, line in enumerate(lines) if i and line.strip() == "---"), 0)
    if not lines or lines[0].strip() != "---" or not end:
        raise InputError(f"{path}:1: expected a front matter between two lines of ---")
    found = {}
    for index in range(1, end):
        key, colon, text = lines[index].partition(":")
        if not colon or key.strip() not in FRONT_MATTER:
            raise InputError(f"{path}:{index + 1}: expected one of {', '.join(FRONT_MATTER)} and a colon")
        found[key.strip()] = Passage("", text.strip(), index + 1)
    if missing := [key for key in FRONT_MATTER if key not in found]:
        raise InputError(f"{path}:1: expected {' and '.join(missing)} in the front matter")
    return found, end + 1


def _sections(lines: Sequence[str], first: int, path: Path) -> dict[str, Passage]:
    """The lead and the sections after it, each under a key of its own."""
    heads = [(i, head) for i in range(first, len(lines)) if (head := HEADING.match(lines[i]))]
    bounds = [*(i for i, _ in heads), len(lines)]
    found = {"lead": Passage("", "\n".join(lines[first : bounds[0]]), first + 1)}
    for (start, head), end in zip(heads, bounds[1:], strict=True):
        key = head["key"]
        if key in found or key in FRONT_MATTER:
            raise InputError(f"{path}:{start + 1}: {{#{key}}} is taken already; give this section another key")
        # The heading's own line stays empty, so that the text's first line keeps its number.
        found[key] = Passage(head["title"], "\n".join(["", *lines[start + 1 : end]]), start + 1)
    return found


def _without_front_matter(text: str) -> str:
    return re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)


def _place(trace: TracebackType | None) -> str | None:
    """ "file:line" of the innermost frame that is a template or a content file."""
    place = None
    while trace:
        file = trace.tb_frame.f_code.co_filename
        if Path(file).suffix in (".html", ".md", ".xml", ".txt"):
            place = f"{file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _hint(message: str, known: Iterable[str]) -> str:
    """ "; did you mean ...?" for an undefined name that is near to a known one."""
    unknown = re.match(r"'(\w+)' is undefined", message)
    near = difflib.get_close_matches(unknown[1], list(known), n=1) if unknown else []
    return f"; did you mean {near[0]!r}?" if near else ""


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())
