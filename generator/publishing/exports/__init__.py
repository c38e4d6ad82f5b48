"""A finished site carried elsewhere: into a Jekyll or a Hugo portfolio, onto any page, into a notebook."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from generator.base.errors import InputError
from generator.base.names import slug
from generator.config.schema import Config
from generator.publishing.exports import fragment, notebook, portfolio
from generator.publishing.exports.placing import Placed, in_one_line, owner, place
from generator.publishing.exports.summary import Summary, summary
from generator.publishing.published import Published

__all__ = ["Exported", "export"]

LONGEST = 200  # letters of an entry's name: systems take 255 bytes for the name of a file


@dataclass(frozen=True)
class Exported:
    """The page that an export made, and what its user should know."""

    page: Path
    placed: Placed
    notes: tuple[str, ...] = ()


def export(kind: str, site: Published, config: Config, to: Path, name: str = "", *, force: bool = False) -> Exported:
    """Carry a site to `to`.

    Args:
        kind: "jekyll", "hugo", "fragment" or "notebook".
        to: the folder of the Jekyll or Hugo site; the HTML file of the fragment; the notebook or the folder for it.
        name: of the entry in addresses and file names; "": made from the title.
        force: write over files that no export made.
    Raises:
        InputError: there is no whole site, or something of the user's would be lost; nothing was written then.
    """
    with in_one_line(to):
        return _export(kind, site, config, to, name, force)


def _export(kind: str, site: Published, config: Config, to: Path, name: str, force: bool) -> Exported:
    told = summary(site, config.report)
    retitled = not name and kind in ("jekyll", "hugo")  # if there is an entry already, the title has changed since
    name = _name(name, told)
    _refuse_inside(site, to)
    files: Mapping[str, bytes]
    words: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    if kind in ("jekyll", "hugo"):
        entry = (portfolio.jekyll if kind == "jekyll" else portfolio.hugo)(site, told, name, to)
        folder, files, words, notes = to, entry.files, entry.words, entry.notes
        first = words[0]
    elif kind == "fragment":
        if to.is_dir():
            raise InputError(
                f"{to}: expected a file for the fragment, got a folder; name one, such as {to / name}.html"
            )
        folder, first = to.parent, to.name
        files = {first: fragment.fragment(site, told, name)}
    else:
        folder, stem = (to.parent, to.stem) if to.suffix == ".ipynb" else (to, name)
        made = notebook.cells(site, told, _report(config, folder))
        first = f"{stem}.ipynb"
        files = {first: notebook.notebook(site, told, made), f"{stem}.html": notebook.page(site, told, made)}
    mine = owner(told.title, site.folder, folder)
    placed = place(files, folder, f"{kind} {first}", words=words, owner=mine, force=force)
    earlier = [other for other in placed.others if other.startswith(f"{kind} ")] if retitled else []
    return Exported(folder / first, placed, (*notes, *map(_earlier, earlier)))


def _earlier(export: str) -> str:
    """What to do about an entry that a report left behind when its title changed."""
    _, _, page = export.partition(" ")
    path = Path(page)
    kept = path.parent.name if path.name == "index.md" else path.stem
    return f"{page} is an earlier entry of this report: delete it and its files, or go on with it by --slug {kept}"


def _name(wanted: str, told: Summary) -> str:
    if len(wanted) > LONGEST:
        raise InputError(f"--slug: expected {LONGEST} letters at most, got {len(wanted)}")
    fit = slug(wanted or told.title, longest=LONGEST)
    if wanted not in ("", fit):
        raise InputError(f"--slug: expected small letters, digits and hyphens, got {wanted!r}; try {fit!r}")
    return fit


def _refuse_inside(site: Published, to: Path) -> None:
    """A build would refuse to replace a site that somebody put files into."""
    if Path(os.path.realpath(to)).is_relative_to(os.path.realpath(site.folder)):
        raise InputError(f"{to}: expected a place outside the site itself; choose another")


def _report(config: Config, folder: Path) -> str | None:
    """Where report.toml is, seen from `folder`."""
    if config.path is None:
        return None
    return Path(os.path.relpath(config.path.resolve(), folder.resolve())).as_posix()
