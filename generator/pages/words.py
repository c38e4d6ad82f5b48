"""The words of a page: one Markdown file in content/ with Jinja variables, cut into sections that a template places.

    ---
    title: Filters
    question: What patterns does it look for?
    description: One sentence for search engines.
    ---
    The first paragraphs are the lead.

    ## A heading {#key}

    Text that the template of the page places with words("key"). ![A picture](beside-this-file.jpg)

The file may be somebody else's: its Jinja is a sandbox's (see `sandbox`), and HTML in it is cleaned, so that no script
and no style has an effect. What a variable holds is text: neither its HTML nor its Markdown is obeyed. In fenced code
braces are braces.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from typing import Any
from urllib.parse import unquote

from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined, Template, TemplateNotFound
from jinja2.bccache import Bucket
from markupsafe import Markup

from generator.base.clutter import is_clutter
from generator.base.errors import InputError
from generator.config.reading import text_of
from generator.pages.formats import FILTERS, decimals
from generator.pages.mistakes import located
from generator.pages.prose import (
    ID,
    LONGEST,
    Picture,
    RefusedError,
    card,
    clean,
    fences,
    inline,
    literally,
    picture,
    pictured,
)
from generator.pages.sandbox import WordsEnvironment
from generator.report.story import Kind

FRONT_MATTER = ("title", "question", "description")
LARGEST = 2**17  # bytes of a file: a page of the site may have 300 KiB
LETTER = 10  # steps that Markdown takes for one
# A heading that names its id, {#key} or {: #key}; not one with a comment of Jinja's, {# remark #}.
NAMED = re.compile(r"^(?P<start> {0,3}(?P<level>#{1,6}) +(?P<title>.*?) *)\{:? *#(?P<id>[^{}#]*?) *\}[ #]*$")
TAG = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)  # Jinja's
FOOTNOTE = re.compile(r"^ {0,3}\[\^[^\]]+\]:")
BRACE = "\ufdd0"  # stands for a brace that Jinja shall not see; Unicode keeps it for a program's own use
# What Python's own compiler raises for words that are too deeply nested.
TOO_DEEP = (RecursionError, SyntaxError, MemoryError)
# `slugs` makes addresses for templates, in a time that grows with the square of its names.
SPOKEN = {name: one for name, one in FILTERS.items() if name not in ("slug", "slugs")}

# Source -> what Jinja made of a passage, and the steps that it took meanwhile for constants. Words are
# proofread and then shown, and a preview shows the same ones again and again; most of that time went into compiling.
PROGRAMS: dict[str, tuple[CodeType, int]] = {}
MOST_PROGRAMS = 1024  # ten times what the program's own words have


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
    added; `ids` are those of the headings inside sections, and `pictures` what has been shown so far.
    """

    path: Path
    passages: Mapping[str, Passage]
    environment: WordsEnvironment
    template: str
    ids: Mapping[str, int] = field(default_factory=dict)  # -> line
    compiled: dict[tuple[int, str], Template] = field(default_factory=dict)
    made: dict[str, Markup] = field(default_factory=dict)
    pictures: dict[str, Picture] = field(default_factory=dict)

    def __call__(self, key: str, **variables: Any) -> Section:
        """The section `key`, with further variables.

        Raises:
            InputError: if the file has no such section, or names something unknown.
        """
        self.require(key)
        passage = self.passages[key]
        title = Markup(inline(self._expand(passage.title, passage.line, variables)))
        text = self._expand(passage.text, passage.line, variables)
        if text not in self.made:  # most passages are the same on many pages
            self.environment.spare -= len(text) * LETTER
            with self._refusing(passage):
                self.made[text] = Markup(clean(text, self._find))
        return Section(title, self.made[text])

    def require(self, key: str) -> None:
        """Refuse a file without the section `key`."""
        if key not in self.passages:
            raise InputError(f"{self.path}: expected a section '## ... {{#{key}}}', which the page's template places")

    def checked(self, key: str) -> Iterator[str]:
        """The title and the text of a passage as Jinja takes them, where they have any of it.

        Raises:
            InputError: for what is no Jinja, or more of it than words may use.
        """
        passage = self.passages[key]
        for source in filter(_has_tags, (passage.title, passage.text)):
            with located(begin=(self.path, passage.line)):
                self._compile(source, passage.line)
            yield _padded(source, passage.line)

    def look(self, key: str) -> None:
        """See that the pictures are there that a passage names.

        Raises:
            InputError: for one that cannot be shown.
        """
        passage = self.passages[key]
        with self._refusing(passage):
            for source in pictured(TAG.sub(BRACE, passage.text)):
                if BRACE not in unquote(source):  # else its name is not known yet
                    self._find(source)

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
        self.environment.begin()
        if not _has_tags(source):
            self._require_short(source, line)
            return source.strip("\n").replace(BRACE, "{")
        with located(self.environment.globals, (self.path, line)):
            if (line, source) not in self.compiled:
                self.compiled[line, source] = self._compile(source, line)
            expanded = self.compiled[line, source].render(**variables)
        return expanded.strip("\n").replace(BRACE, "{")

    def _compile(self, source: str, line: int) -> Template:
        self._require_short(source, line)
        padded, file = _padded(source, line), str(self.path)
        if padded in PROGRAMS:
            code, steps = PROGRAMS[padded]
            self.environment.spend(steps)
        else:
            before = self.environment.steps
            try:
                code = self.environment.compile(self.environment.checked(padded, file), file, file)
            except TOO_DEEP:
                raise InputError(f"{file}:{line}: this is too deeply nested; say it in parts") from None
            if len(PROGRAMS) == MOST_PROGRAMS:
                PROGRAMS.clear()
            PROGRAMS[padded] = code, before - self.environment.steps
        # Where a mistake is, is told by this name.
        return Template.from_code(self.environment, code.replace(co_filename=file), self.environment.globals)

    def _require_short(self, source: str, line: int) -> None:
        if len(source) > LONGEST:
            raise InputError(f"{self.path}:{line}: expected at most {LONGEST:,} letters up to the next heading")

    @contextmanager
    def _refusing(self, passage: Passage) -> Iterator[None]:
        """Tells what Markdown refuses with its line, as far as the file itself names it."""
        try:
            yield
        except RefusedError as refused:
            lines = passage.text.split("\n")
            named = (number for number, line in enumerate(lines) if refused.about and refused.about in line)
            raise InputError(f"{self.path}:{passage.line + next(named, 0)}: {refused}") from None

    def _find(self, source: str) -> Picture:
        if source not in self.pictures:
            self.pictures[source] = picture(self.path.parent, source)
        return self.pictures[source]


def _has_tags(source: str) -> bool:
    """Whether a text holds anything that Jinja does not take for text: half of the passages do not."""
    return any(tag in source for tag in ("{{", "{%", "{#"))


def _padded(source: str, line: int) -> str:
    """With the blank lines before it that make Jinja count as the file's reader does."""
    return "\n" * (line - 1) + source


def read(path: Path, environment: WordsEnvironment, template: str) -> Words:
    """A content file, cut into its passages: title, question, description, "lead" and one a section.

    Args:
        template: the source of the page's template.

    Raises:
        InputError: if it cannot be read or lacks a line of the front matter.
    """
    lines = re.split(
        r"\r\n|\r|\n", text_of(path, "content file", "expected the page's words here, there is no such file", LARGEST)
    )
    front, first = _front_matter(lines, path)
    code = _code(lines, first, path)
    sections, ids = _sections(lines, first, code, path)
    return Words(path, front | sections, environment, template, ids)


class _Templates(FileSystemLoader):
    """Templates by their names in folders; one that cannot be read is the user's error."""

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        """The text of a template, its file, and whether it is still so."""
        if any(map(is_clutter, template.split("/"))):  # a change of it would not count
            raise InputError(f"template {template}: expected a name that is neither hidden nor an editor's; rename it")
        try:
            return super().get_source(environment, template)
        except TemplateNotFound:  # an OSError, too
            raise
        except UnicodeDecodeError as error:
            raise InputError(f"template {template}: expected a UTF-8 text file, got: {error}") from None
        except OSError as error:
            raise InputError(f"template {template}: expected a readable file ({error.strerror or error})") from None


class _Compiled(BytecodeCache):
    """Templates as Python runs them, kept for the next report of this process while their sources stay the same."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[str, CodeType]] = {}  # name and file -> digest of the source, code

    def load_bytecode(self, bucket: Bucket) -> None:
        """The code of a template, if it was compiled from this source."""
        checksum, code = self.kept.get(bucket.key, ("", None))
        if checksum == bucket.checksum:
            bucket.code = code

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep the code of a template."""
        if bucket.code is not None:
            self.kept[bucket.key] = bucket.checksum, bucket.code


TEMPLATES = _Compiled()


def environments(templates: Sequence[Path], shared: Mapping[str, Any]) -> tuple[Environment, WordsEnvironment]:
    """One environment for templates, which are trusted, and one for words; what they show is escaped in both."""
    pages = Environment(
        loader=_Templates([str(folder) for folder in templates]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        bytecode_cache=TEMPLATES,
    )
    pages.filters.update(FILTERS, card=card, decimals=decimals)
    pages.tests["match_prefix"] = str.startswith
    pages.globals.update(shared)
    return pages, WordsEnvironment(SPOKEN, shared, literally)


def templates_of(kind: Kind) -> tuple[str, ...]:
    """The page's template, and that of the pages below it where they have one of their own."""
    below = kind.parts.template if kind.parts else ""
    return (f"{kind.name}.html", *([below] if below else []))


def placed(pages: Environment, kind: Kind) -> str:
    """The sources of a page's templates, which tell the sections that they place."""
    with located():
        return "".join(pages.loader.get_source(pages, name)[0] for name in templates_of(kind)) if pages.loader else ""


def _front_matter(lines: Sequence[str], path: Path) -> tuple[dict[str, Passage], int]:
    """The passages of the front matter and the index of the first line after it."""
    end = next((i for i, line in enumerate(lines) if i and line.strip() == "---"), 0)
    if lines[0].strip() != "---" or not end:
        came = ", got TOML's +++" if lines[0].strip() == "+++" else ""
        raise InputError(f"{path}:1: expected a front matter between two lines of ---{came}")
    found: dict[str, Passage] = {}
    for number, line in enumerate(lines[1:end], start=2):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, colon, text = (part.strip() for part in line.partition(":"))
        if not colon or key not in FRONT_MATTER:
            near = difflib.get_close_matches(key.lower(), FRONT_MATTER, n=1) if colon else []
            meant = f"; did you mean {near[0]}?" if near else ""
            raise InputError(f"{path}:{number}: expected one of {', '.join(FRONT_MATTER)} and a colon{meant}")
        if key in found:
            raise InputError(f"{path}:{number}: expected one {key}, got another in line {found[key].line}")
        quoted = re.fullmatch(r""""([^"]*)"|'([^']*)'""", text)
        text = (quoted[1] or quoted[2] or "") if quoted else text
        if re.fullmatch(r"([>|][+-]?\d?)?", text):
            raise InputError(f"{path}:{number}: expected the {key} in this line, after the colon")
        found[key] = Passage("", text, number)
    if missing := [key for key in FRONT_MATTER if key not in found]:
        raise InputError(f"{path}:1: expected {' and '.join(missing)} in the front matter")
    return found, end + 1


def _code(lines: Sequence[str], first: int, path: Path) -> set[int]:
    """The indices of the lines of fenced code."""
    code: set[int] = set()
    for start, end, closed in fences("\n".join(lines[first:])):
        if not closed:
            raise InputError(f"{path}:{first + start + 1}: expected an end to the code that is fenced from here on")
        code |= set(range(first + start, first + end))
    return code


def _sections(
    lines: Sequence[str], first: int, code: set[int], path: Path
) -> tuple[dict[str, Passage], dict[str, int]]:
    """The lead and the sections after it, each under a key of its own; the ids of other headings, with their lines."""
    found: dict[str, list[str]] = {"lead": []}
    titles, begins, ids = {"lead": ""}, {"lead": first + 1}, {}
    key = "lead"
    for number, line in enumerate(lines[first:], start=first + 1):
        if number - 1 in code:  # whose braces are none of Jinja's
            found[key].append(line.replace("{", BRACE))
            continue
        if FOOTNOTE.match(line):
            raise InputError(
                f"{path}:{number}: expected no footnotes, for a page is put together from parts; "
                "write the note where it belongs, in brackets"
            )
        named = NAMED.match(line)
        if named is None:
            found[key].append(line)
            continue
        name = named["id"]
        if not re.fullmatch(ID, name):
            raise InputError(f"{path}:{number}: expected an id of a-z, A-Z, 0-9, - and _ in {{#...}}, got {name!r}")
        if name in found or name in ids or name in FRONT_MATTER:
            raise InputError(f"{path}:{number}: {{#{name}}} is taken already; give this section another key")
        if len(named["level"]) == 2:
            key = name
            # The heading's own line stays empty, so that the text's first line keeps its number.
            found[key], titles[key], begins[key] = [""], named["title"], number
        else:
            ids[name] = number
            found[key].append(f"{named['start']}{BRACE}#{name}}}")
    return {key: Passage(titles[key], "\n".join(text), begins[key]) for key, text in found.items()}, ids
