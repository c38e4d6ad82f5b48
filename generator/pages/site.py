"""The files of the site: each page's template filled with its words, the figures and the facts; and what goes along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from generator.base import moved, terminal
from generator.base.beside import beside
from generator.base.errors import InputError, failure
from generator.config.schema import Config
from generator.pages import words
from generator.pages.facts import facts
from generator.pages.parts import filled, page_files
from generator.pages.prose import Picture
from generator.pages.results import results
from generator.pages.sources import data_files, written
from generator.pages.static import licence_path, robots, sitemap, static_files, without_unshown
from generator.records.figure import Figure
from generator.records.report import Report
from generator.report.portrait import portrait
from generator.report.story import BROKEN, Page, story, unused


def render(
    report: Report, figures: Mapping[str, Figure], config: Config, templates: Sequence[Path], content: Path
) -> dict[str, bytes]:
    """All files of the site, the figures' own files among them.

    Args:
        figures: by id; one that is missing is left out or said to be missing, in words.
        templates: folders in which a template, style or script is looked for, the first that has it wins.
        content: the folder of the Markdown files, one a page.
    Returns:
        path below the site's folder -> bytes; the same for the same input.
    Raises:
        InputError: for a mistake in a template or a content file, with file and line.

    A page that fails by no fault of the user's is left out, with its reason, where a report can do without it.
    """
    while True:
        try:
            return _files(report, figures, config, templates, content)
        except _PageError as error:
            name, reason = error.args
            report = replace(report, broken={**report.broken, name: reason})
            terminal.say(BROKEN.format(name, reason))


class _PageError(Exception):
    """The page of a name fails, and why."""


def _files(
    report: Report, figures: Mapping[str, Figure], config: Config, templates: Sequence[Path], content: Path
) -> dict[str, bytes]:
    """As `render`.

    Raises:
        _PageError: for a page that a report can do without.
    """
    networks = tuple(portrait(network, report.photos) for network in report.networks)
    known = facts(report, networks, figures, config)
    pages, texts = words.environments(templates, known)
    shown = story(report, networks)
    spoken = {kind.name: words.read(content / f"{kind.name}.md", texts, words.placed(pages, kind)) for kind in shown}
    told = tuple(Page(kind, *(spoken[kind.name].text(key) for key in words.FRONT_MATTER)) for kind in shown)
    pages.globals["pages"] = told
    files = {path: data for figure in figures.values() for path, data in figure.files.items()}
    files |= static_files(templates, unused(shown))
    files |= known["live"].files if known["live"] else {}
    files |= {licence_path(name): text.encode() for name, text in report.licences.items()}

    def made(page: Page) -> tuple[dict[str, bytes], dict[str, Picture]]:
        """Its files, and the pictures that its words show."""
        try:
            found = page_files(pages, page, told, spoken[page.name], networks, report.photos)
        except InputError:
            raise
        except Exception as error:
            if page.kind.always:
                raise
            raise _PageError(page.name, failure(error)) from error
        return found, dict(spoken[page.name].pictures)

    # Pages of each layer and of each photo are half of the work.
    many = [page for page in told if page.kind.parts and page.kind.parts.each in ("layer", "photo")]
    others = beside(lambda: [made(page) for page in many]) if many else list
    each = {page.name: made(page) for page in told if page not in many}
    tile = figures["teaser"].alt if "teaser" in figures else ""
    recorded = results(report, networks, known["live"], tile)
    each |= zip((page.name for page in many), others(), strict=True)
    for page in told:
        files |= each[page.name][0]
    # Served at any depth, so that only an absolute address would be right everywhere.
    files["404.html"] = filled(
        pages, "404.html", "404.html", root=f"{config.report.base_url}/" if config.report.base_url else ""
    )
    files = without_unshown(files, figures)
    files |= {one.path: one.data for _, pictures in each.values() for one in pictures.values()}
    # Ids may differ in their case alone, which some disks do not tell apart.
    anchored = recorded | {"networks": {one.anchor: recorded["networks"][one.id] for one in networks}}
    files |= data_files({path: data for path, data in files.items() if path.endswith(".html")}, figures, anchored)
    files["results.json"] = written(recorded)
    files["robots.txt"] = robots(config.report.base_url)
    files[".nojekyll"] = b""
    if config.report.base_url:
        files["sitemap.xml"] = sitemap(files)
    return files


def __getattr__(name: str) -> object:
    """What the module held in version 0.1."""
    return moved.look_up(__name__, name)
