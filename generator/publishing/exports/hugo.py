"""Where a Hugo site looks for content and static files, and what it would leave out; after Hugo 0.111 and later."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generator.publishing.exports import settings
from generator.publishing.exports.settings import Settings, table, texts

ENDINGS = ("toml", "yaml", "yml", "json")
NAMES = ("hugo", "config")
FILES = tuple(f"{name}.{ending}" for name in NAMES for ending in ENDINGS)
FOLDERS = ("config/_default", "config/production")  # what `hugo` reads: the second outranks the first
SECTIONS = ("portfolio", "projects", "project")


@dataclass(frozen=True, kw_only=True)
class HugoSite(settings.Host):
    """A site that Hugo makes."""

    OUTPUT = ("publishDir", "public", "where Hugo writes its site")

    section: str = SECTIONS[0]
    content: str = "content"  # the folder that is read for entries of the section's folder
    static: str = "static"
    suffix: str = ""  # of a page's name, where a language is told by it

    def ignored(self, paths: Collection[str]) -> Iterator[str]:
        """A note for each page that Hugo does not read."""
        pages = [path for path in paths if settings.holds(self.content, path)]
        for pattern in texts(self.said.get("ignorefiles")):
            for path in pages:
                if _found(pattern, str(self.folder.resolve() / path)):
                    yield f"ignoreFiles has {pattern!r}, so Hugo does not read {path}; take it out"


def read(folder: Path, language: str) -> HugoSite:
    """The site in `folder`, with notes on what its owner should set.

    Args:
        language: of the report; its entry goes where the site has pages in that language, else in its first one.
    """
    notes: list[str] = []
    said, there = _merged(folder, notes)
    if not there:
        notes.append(f"{folder} has no hugo.toml: give the folder of your Hugo site, or make one with: hugo new site")
    code, first, chosen = _language(said, language)
    if code != first:
        notes.append(f"the entry is among the pages in {code!r}, the report's language; the site's first is {first!r}")
    own = chosen.get("contentdir")
    # With an address for each language, each has static files of its own.
    hosts = any(table(one).get("baseurl") for one in table(said.get("languages")).values())
    content, static = (
        list(_mounts(folder, said, component)) or list(_settled(folder, component, ruled, language, notes))
        for component, ruled, language in (
            ("content", own or said.get("contentdir"), code if own else ""),
            ("static", (chosen.get("staticdir") if hosts else None) or said.get("staticdir"), ""),
        )
    )
    section = next(
        (one for one in SECTIONS if (folder / _placed(content, f"content/{one}", code)).is_dir()), SECTIONS[0]
    )
    mount = _mount(content, f"content/{section}", code)
    notes += _kept_out(said, {"content": mount, "static": _mount(static, f"static/{section}", code)})
    notes += _bundled(folder, dict.fromkeys([mount.source, mount.place(f"content/{section}")] if mount else []))
    return HugoSite(
        folder=folder,
        section=section,
        content=_placed(content, f"content/{section}", code),
        static=_placed(static, f"static/{section}", code),
        suffix="" if code == first or (mount and mount.language) else f".{code}",
        future=bool(said.get("buildfuture")),
        zone=str(chosen.get("timezone") or said.get("timezone") or "UTC"),
        notes=tuple(notes),
        said=said,
    )


def _settled(folder: Path, component: str, ruled: Any, language: str, notes: list[str]) -> Iterator[_Mount]:
    """The folders of a setting that need no mount: contentDir, staticDir."""
    names = texts(ruled or component) or (component,)
    inside = [found for name in names if (found := settings.below(folder, name)) is not None]
    if not inside:
        notes.append(
            f"{component}Dir is {names[0]!r}, outside {folder}, and Hugo reads no {component} elsewhere: "
            f"move what is in {component}/ there"
        )
    for path in inside or [component]:
        yield _Mount(path, component, language)


def _placed(mounts: Collection[_Mount], path: str, code: str) -> str:
    mount = _mount(mounts, path, code)
    return mount.place(path) if mount else path


def _kept_out(said: Settings, mounts: Mapping[str, _Mount | None]) -> Iterator[str]:
    for component, mount in mounts.items():
        if mount is None:
            yield f"module.mounts has none that takes files to {component}, so Hugo may not read the entry; add one"
        elif mount.picky:
            yield f"the mount of {mount.source} takes some files alone: see that the entry is among them"
    if "page" in map(str.lower, texts(said.get("disablekinds"))):
        yield "disableKinds has 'page', so Hugo writes no page for the entry; take it out"
    outputs = texts(table(said.get("outputs")).get("page"))
    if outputs and "html" not in map(str.lower, outputs):
        yield f"outputs has page = {list(outputs)}, so Hugo writes no HTML for the entry; add 'HTML'"


def _merged(folder: Path, notes: list[str]) -> tuple[Settings, bool]:
    """All settings with keys in small letters, and whether there are any."""
    files = [file for file in (settings.first(folder, FILES),) if file]
    for name in FOLDERS:
        files += sorted(file for file in (folder / name).rglob("*.*") if file.suffix[1:] in ENDINGS and file.is_file())
    said: dict[str, Any] = {}
    for file in files:
        try:
            one: Any = settings.read(file)
            for key in reversed(() if file.parent == folder else _keys(file.stem)):
                one = {key: one}
            said = _over(said, one)
        except (ValueError, RecursionError) as error:  # YAML can hold a table that holds itself
            notes.append(f"{file} could not be read ({error}): the entry is where Hugo looks without it")
    return said, bool(files)


def _keys(stem: str) -> tuple[str, ...]:
    """Where the settings of a file in config/ belong: params.toml, languages.toml, params.de.toml, hugo.toml."""
    name, _, language = stem.partition(".")
    if stem in NAMES:
        return ()
    if not language:
        return (name,)
    return ("languages", language, *([name] if name in ("menu", "menus", "params") else []))


def _bundled(folder: Path, around: Collection[str]) -> Iterator[str]:
    """To Hugo a folder with an index.md is one page, and what is below no page at all."""
    for path in around:
        for file in sorted((folder / path).glob("index.*")):
            if file.suffix in (".md", ".markdown", ".html", ".org", ".adoc", ".rst"):
                below = posixpath.join(path, file.name)
                yield f"{below} makes one page of its folder, so Hugo leaves the entry out; name it _{file.name}"
                return


def _over(said: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Two tables as one, in which the other's values stand; Hugo does not tell capital letters from small ones."""
    found = dict(said)
    for key, value in ((str(key).lower(), value) for key, value in other.items()):
        found[key] = _over(table(found.get(key)), value) if isinstance(value, Mapping) else value
    return found


def _language(said: Settings, wanted: str) -> tuple[str, str, Settings]:
    """The site's language for a report in `wanted`, its first language, and the settings of the one."""
    first = str(said.get("defaultcontentlanguage") or "en").lower()
    off = {name.lower() for name in texts(said.get("disablelanguages"))}
    known = {
        code: table(one)
        for code, one in table(said.get("languages")).items()
        if code not in off and not table(one).get("disabled")
    }
    whole = wanted.lower()
    code = next((one for one in (whole, whole.partition("-")[0]) if one in known), first)
    return code, first, known.get(code, {})


@dataclass(frozen=True)
class _Mount:
    """A folder that Hugo reads as one of content/ or static/, or as a folder below these."""

    source: str
    target: str
    language: str = ""  # "" for each
    picky: bool = False  # it takes some of the files alone

    def place(self, path: str) -> str:
        """Where a folder of the target is."""
        return posixpath.join(self.source, path[len(self.target) :].strip("/"))


def _mounts(folder: Path, said: Settings, component: str) -> Iterator[_Mount]:
    ruled = table(said.get("module")).get("mounts")
    for one in ruled if isinstance(ruled, list) else ():
        mount = _over({}, table(one))
        target, source = (str(mount.get(key, "")).strip("/") for key in ("target", "source"))
        inside = settings.below(folder, source)
        if settings.holds(component, target) and inside is not None:
            picky = any(mount.get(key) for key in ("includefiles", "excludefiles", "files", "sites"))
            yield _Mount(inside, target, str(mount.get("lang") or "").lower(), picky)


def _mount(mounts: Collection[_Mount], path: str, code: str) -> _Mount | None:
    fit = [one for one in mounts if settings.holds(one.target, path) and one.language in ("", code)]
    return max(fit, key=lambda one: (not one.picky, len(one.target), one.language != ""), default=None)


def _found(pattern: str, path: str) -> bool:
    try:
        return re.search(pattern, path) is not None
    except re.error:  # Go knows other patterns than Python
        return False
