"""Where a Jekyll site looks for the entries of a portfolio and what it would leave out; after Jekyll 4.3."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from generator.publishing.exports import settings
from generator.publishing.exports.settings import Settings, table, texts

FILES = ("_config.yml", "_config.yaml", "_config.toml")
COLLECTIONS = ("portfolio", "projects")
LAYOUTS = {"portfolio": ("single", "page", "default"), "projects": ("page", "single", "default")}
OF_THEMES = {"minimal-mistakes": "single", "minima": "page"}  # which come as a gem: their layouts are not to be seen
SPECIAL = (".", "_", "#", "~")  # names that begin so are left out; lib/jekyll/entry_filter.rb


@dataclass(frozen=True, kw_only=True)
class JekyllSite(settings.Host):
    """A site that Jekyll makes."""

    OUTPUT = ("destination", "_site", "which Jekyll empties")

    collection: str
    source: str = ""
    entries: str = ""  # the folder of the collection's
    base: str = ""  # the path of its address
    layout: str = "single"

    def ignored(self, paths: Collection[str]) -> Iterator[str]:
        """A note for each file that Jekyll does not publish."""
        include = texts(self.said.get("include", [".htaccess"]))
        exclude = [pattern for pattern in texts(self.said.get("exclude")) if pattern not in include]
        known: dict[str, str] = {}
        for path in paths:
            for part in _parts(path, self.entries if settings.holds(self.entries, path) else self.source):
                if part not in known:
                    known[part] = self._excluded(part, exclude, include)
                if known[part]:
                    yield f"{known[part]} leaves {path} out, so Jekyll does not publish it; add to include: {part!r}"
                    break

    def _excluded(self, path: str, exclude: Collection[str], include: Collection[str]) -> str:
        """By what a file or a folder below the source is left out, "" where it is not."""
        name = posixpath.basename(path)
        if any(_matches(pattern, one) for pattern in include for one in (path, name)):
            return ""
        found = next((pattern for pattern in exclude if _matches(pattern, path)), "")
        if found:
            return f"exclude: {found!r}"
        return f"the first letter of {name!r}" if name.startswith(SPECIAL) else ""


def read(folder: Path) -> JekyllSite:
    """The site in `folder`, with notes on what its owner should set."""
    file = settings.first(folder, FILES)
    if file is None:
        said: Settings = {}
        notes = [f"{folder} has no _config.yml: give the folder of your Jekyll site"]
    else:
        try:
            said, notes = settings.read(file), []
        except ValueError as error:
            said = {}
            notes = [f"{file} could not be read ({error}): the entry is where Jekyll looks without it"]
    source = _source(folder, said, notes)
    # Jekyll takes a path that leads out of the source, too, for one below it.
    container = posixpath.normpath(f"/{said.get('collections_dir') or ''}").lstrip("/")
    container = posixpath.join(source, container) if container else source
    collections = said.get("collections")
    known = table(collections) or dict.fromkeys(texts(collections))
    collection = _collection(known, folder / container)
    if file is not None and not any("could not be read" in note for note in notes):
        notes += _shown(file, known, collection)
    if file is not None and "md" not in re.split(r"[\s,]+", str(said.get("markdown_ext", "md"))):
        notes.append(f"{file}: markdown_ext leaves out md, so Jekyll takes the entry for no page; add it")
    return JekyllSite(
        folder=folder,
        collection=collection,
        source=source,
        entries=posixpath.join(container, f"_{collection}"),
        base=_base(said),
        layout=_layout(folder / source, said, collection),
        future=bool(said.get("future")),
        zone=str(said.get("timezone") or ""),
        notes=tuple(notes),
        said=said,
    )


def _source(folder: Path, said: Settings, notes: list[str]) -> str:
    ruled = str(said.get("source") or "")
    source = settings.below(folder, ruled)
    if source is None:
        notes.append(f"source is {ruled!r}, outside {folder}, and Jekyll looks there alone: give that folder")
    return source or ""


def _collection(known: Settings, container: Path) -> str:
    """The collection for the entry: the one of these that is shown, is set, has a folder; in doubt `portfolio`."""

    def fitness(name: str) -> tuple[bool, bool, bool]:
        return bool(table(known.get(name)).get("output")), name in known, (container / f"_{name}").is_dir()

    return max(COLLECTIONS, key=fitness)  # the first of equals


def _shown(file: Path, known: Settings, collection: str) -> Iterator[str]:
    add = f"collections: {{{collection}: {{output: true, permalink: /:collection/:path/}}}}"
    if collection not in known:
        yield f"{file} names no collection {collection}, so Jekyll leaves the entry out; add: {add}"
    elif not table(known[collection]).get("output"):
        yield f"{file} has no output: true for {collection}, so Jekyll writes no page of the entry; add: {add}"


def _base(said: Settings) -> str:
    """The site's baseurl as Jekyll's relative_url writes it."""
    base = str(said.get("baseurl") or "").strip("/")
    return f"/{quote(base, safe='/%:~@!$&()*+,;=')}" if base else ""


def _layout(source: Path, said: Settings, collection: str) -> str:
    """A layout that the site has, as far as that can be seen."""
    wanted = LAYOUTS[collection]
    folder = source / posixpath.normpath(f"/{said.get('layouts_dir') or '_layouts'}").lstrip("/")
    there = {path.stem for path in folder.iterdir()} if folder.is_dir() else set()
    theme = f"{said.get('theme')} {said.get('remote_theme')}"
    there |= {layout for name, layout in OF_THEMES.items() if name in theme}
    return next((layout for layout in wanted if layout in there), wanted[0])


def _parts(path: str, root: str) -> Iterator[str]:
    """A path and the folders that lead to it, as Jekyll looks at them: from the source, or the collection's folder."""
    inside = path.removeprefix(f"{root}/") if root else path
    label = posixpath.basename(root)
    collected = label.startswith("_")
    names = inside.split("/")
    for count in range(1, len(names) + 1):
        yield posixpath.join(*([label] if collected else []), *names[:count])


def _matches(pattern: str, path: str) -> bool:
    whole = f"/{pattern.lstrip('/')}"
    return fnmatch.fnmatchcase(f"/{path}", whole) or f"/{path}".startswith(whole) or whole == f"/{path}/"
