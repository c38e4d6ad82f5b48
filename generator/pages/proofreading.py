"""Words, templates and styles read before anything is computed: a mistake in them is told at once, not after minutes.

Looked at is what can be known without the report's facts: syntax, names, filters, what a network or a photo can be
asked for, sections that a template places, pictures. What names only what report.toml says is shown in full.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from jinja2 import Environment, UndefinedError, nodes
from jinja2.exceptions import TemplateAssertionError
from jinja2.meta import find_undeclared_variables

from generator.config.schema import Config
from generator.pages import inference, words
from generator.pages.facts import Facts, Given, settled
from generator.pages.mistakes import located
from generator.pages.static import static_files
from generator.report.story import STORY, Kind

Node = TypeVar("Node", bound=nodes.Node)

NOT_FOUND = "404.html"
# What a page is filled with beside the facts: see `parts` and `site`.
AROUND = {
    "address", "after", "apart", "back", "before", "canonical", "layer", "network", "next", "own", "page", "pages",
    "picked", "previous", "root", "sample", "scripts", "source_path", "styles", "words",
}  # fmt: skip
WAYS_IN = (nodes.Extends, nodes.Import, nodes.FromImport, nodes.Include)
HIDDEN = (nodes.If, nodes.CondExpr, nodes.For, nodes.Macro, nodes.CallBlock)  # what stands there may never be shown


def proofread(config: Config, templates: Sequence[Path], content: Path) -> list[str]:
    """Refuse words, templates and styles that cannot be right whatever the report is about.

    Args:
        templates: folders of which the first that has a template wins.
        content: the folder of the Markdown files, one a page.
    Returns:
        what report.toml takes part in, "page key" a passage: `proofread_again` looks at these when it has changed, and
        no others.
    Raises:
        InputError: for the first mistake, with file and line.
    """
    static_files(templates, ())
    pages, texts = words.environments(templates, settled(config))
    found = _read_templates(pages)
    told: list[str] = []
    for kind in STORY:
        path = content / f"{kind.name}.md"
        if kind.always or path.exists():  # of another page the words may be missing, if it is not shown
            spoken = words.read(path, texts, words.placed(pages, kind))
            told += [f"{kind.name} {key}" for key in _read_words(spoken, kind, found)]
    return told


def proofread_again(config: Config, content: Path, told: Iterable[str]) -> None:
    """Show what report.toml takes part in of words that are otherwise known to be right.

    Args:
        told: what `proofread` gave of the very same words.
    Raises:
        InputError: as `proofread`.
    """
    _, texts = words.environments((), settled(config))
    read: dict[str, words.Words] = {}
    for page, _, key in (one.partition(" ") for one in told):
        if page not in read:
            read[page] = words.read(content / f"{page}.md", texts, "")
        _show(read[page], key)


@dataclass(frozen=True)
class _Read:
    """A template or a passage as Jinja understands it, and all of its parts."""

    tree: nodes.Template
    parts: tuple[nodes.Node, ...]

    @cached_property
    def undeclared(self) -> frozenset[str]:
        """Names that it asks for and does not set; one that is set in one branch alone is undeclared in the other."""
        return frozenset(find_undeclared_variables(self.tree) - self.set())

    @cached_property
    def unsure(self) -> Sequence[nodes.Node]:
        """What it takes itself for something that may be missing."""
        return inference.unsure(self.tree)

    def every(self, kind: type[Node]) -> Iterator[Node]:
        """Its parts of a kind."""
        return (part for part in self.parts if isinstance(part, kind))

    def set(self) -> set[str]:
        """Names that it sets, defines or brings in."""
        found = {name.name for name in self.every(nodes.Name) if name.ctx != "load"}
        found |= {macro.name for macro in self.every(nodes.Macro)} | {one.target for one in self.every(nodes.Import)}
        brought = [name for one in self.every(nodes.FromImport) for name in one.names]
        return found | {name if isinstance(name, str) else name[1] for name in brought}

    def placed(self) -> Iterator[tuple[nodes.Call, str | None]]:
        """Where it places a section of the words, and which; None for one that it is told elsewhere."""
        for call in self.every(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name == "words" and call.args:
                key = call.args[0]
                yield call, key.value if isinstance(key, nodes.Const) else None


# Kind of environment and source -> what was read: the same templates and words are read for every report of a process.
_KNOWN: dict[tuple[type[Environment], str], _Read] = {}
_MOST = 1024  # some times what the program's own templates and words have


def _read(environment: Environment, source: str, name: str, path: Path) -> _Read:
    key = type(environment), source
    if key not in _KNOWN:
        tree = environment.parse(source, name, str(path))
        if len(_KNOWN) == _MOST:
            _KNOWN.clear()
        _KNOWN[key] = _Read(tree, tuple(tree.find_all(nodes.Node)))
    return _KNOWN[key]


def _read_templates(pages: Environment) -> dict[str, _Read]:
    """All that pages are made from, and what brings another template in with that one, by name."""
    assert pages.loader is not None
    found: dict[str, _Read] = {}
    paths: dict[str, Path] = {}
    waiting = [NOT_FOUND, *(name for kind in STORY for name in words.templates_of(kind))]
    included: set[str] = set()
    while waiting:
        name = waiting.pop(0)
        if name in found:
            continue
        with located():
            source, file, _ = pages.loader.get_source(pages, name)
            paths[name] = Path(str(file))
            found[name] = one = _read(pages, source, name, paths[name])
        for kind in WAYS_IN:
            for node in one.every(kind):
                other = getattr(node, "template", None)
                if isinstance(other, nodes.Const) and not getattr(node, "ignore_missing", False):
                    waiting.append(other.value)
                    included |= {other.value} if kind is nodes.Include else set()
    # Blocks see what a template sets that extends theirs.
    known = {*get_type_hints(Facts), *AROUND, *pages.globals}.union(*(one.set() for one in found.values()))
    for name, one in found.items():
        _filters(one, paths[name], pages)
        if name not in included:  # which sees what stands around it
            _names(one, (paths[name], 1), known)
    return found


def _read_words(spoken: words.Words, kind: Kind, found: Mapping[str, _Read]) -> Iterator[str]:
    """The passages of one page, each with the names that its place in the templates gives it.

    Returns:
        the keys of those that show what report.toml says, and nothing else that is not known.
    """
    templates = [found[name] for name in words.templates_of(kind)]
    if kind.always:
        for key in _shown(templates[0].tree):
            spoken.require(key)
    placed = [(key, call) for template in templates for call, key in template.placed()]
    rest = any(_shows_rest(template, found) for template in templates)
    now, later, types = spoken.environment.globals, get_type_hints(Facts), get_type_hints(Given)
    for key in spoken.passages:
        calls = [call for where, call in placed if where in (key, None)]
        if calls or rest or key in (*words.FRONT_MATTER, "lead"):
            local = {one.key: types.get(one.key, Any) for call in calls for one in call.kwargs}
            if _read_passage(spoken, key, {**dict.fromkeys(now, Any), **later, **local}):
                yield key
        else:  # a template of somebody's own does not show it
            list(spoken.checked(key))


def _read_passage(spoken: words.Words, key: str, known: Mapping[str, Any]) -> bool:
    """Whether it has words of Jinja and was shown, which what report.toml says may then have taken part in."""
    asked: set[str] = set()
    some = False
    for source in spoken.checked(key):
        some = True
        one = _read(spoken.environment, source, str(spoken.path), spoken.path)
        _filters(one, spoken.path, spoken.environment)
        asked |= _names(one, (spoken.path, spoken.passages[key].line), known)
        for mistake in inference.mistakes(one.tree, known, one.unsure):
            with located(begin=(spoken.path, mistake.line)):
                raise UndefinedError(mistake.message)
    if not asked <= spoken.environment.globals.keys():
        spoken.look(key)
        return False
    _show(spoken, key)
    return some


def _show(spoken: words.Words, key: str) -> None:
    if key in words.FRONT_MATTER:
        spoken.text(key)
    else:
        spoken(key)


def _shows_rest(one: _Read | None, found: Mapping[str, _Read]) -> bool:
    """Whether a template shows the sections that it does not place, itself or by what it extends."""
    own: set[str] = set()  # blocks, which stand for those of the same name in what is extended
    while one is not None:
        blocks = [block for block in one.every(nodes.Block) if block.name in own]
        if _asks_rest([one.tree]) > _asks_rest(blocks):
            return True
        own |= {block.name for block in one.every(nodes.Block)}
        parents = [node.template.value for node in one.every(nodes.Extends) if isinstance(node.template, nodes.Const)]
        one = found.get(parents[0]) if parents else None
    return False


def _asks_rest(parts: Sequence[nodes.Node]) -> int:
    asked = [one for part in parts for one in part.find_all(nodes.Getattr) if one.attr == "rest"]
    return sum(isinstance(one.node, nodes.Name) and one.node.name == "words" for one in asked)


def _shown(node: nodes.Node) -> Iterator[str]:
    """The sections that a template shows whatever the facts are."""
    for child in node.iter_child_nodes():
        if isinstance(child, HIDDEN):
            continue
        if isinstance(child, nodes.Call) and isinstance(child.node, nodes.Name) and child.node.name == "words":
            yield from (key.value for key in child.args[:1] if isinstance(key, nodes.Const))
        yield from _shown(child)


def _filters(one: _Read, path: Path, environment: Environment) -> None:
    """Refuse filters and tests that there are not, which Jinja itself tells in a branch only when it is taken."""
    for kind, there in ((nodes.Filter, environment.filters), (nodes.Test, environment.tests)):
        for node in one.every(kind):
            if node.name not in there:
                with located():
                    said = f"No {kind.__name__.lower()} named {node.name!r}."
                    raise TemplateAssertionError(said, node.lineno, str(path), str(path))


def _names(one: _Read, begin: tuple[Path, int], known: Collection[str]) -> Set[str]:
    """The names that are asked for; one that is not known is refused, unless it is asked whether it is there.

    Args:
        begin: file and line where it begins.
    """
    with located():
        asked = one.undeclared
    unknown = asked - {*known} - {node.name for node in one.unsure if isinstance(node, nodes.Name)}
    for name in one.every(nodes.Name):
        if name.name in unknown:
            with located(known, (begin[0], max(begin[1], name.lineno))):
                raise UndefinedError(f"{name.name!r} is undefined")
    return asked
