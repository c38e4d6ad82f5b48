"""The files of the site: each page's template filled with its words, the figures and the facts; and what goes along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from generator.base import moved
from generator.config.schema import Config
from generator.pages import words
from generator.pages.network_script import Shipped, shipped
from generator.pages.parts import filled, page_files
from generator.pages.results import results
from generator.pages.sources import data_files
from generator.pages.static import licence_path, robots, sitemap, static_files, without_unshown
from generator.records.figure import Figure
from generator.records.report import Report
from generator.report.data.facts import material
from generator.report.grad_cam.facts import Look
from generator.report.overview.tile import hero
from generator.report.plates.numbers import DEAD, DUPLICATE
from generator.report.portrait import Portrait, portrait
from generator.report.story import Page, left_out, story, unused
from generator.report.training.facts import benchmark, course


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
    """
    networks = tuple(portrait(network, report.photos) for network in report.networks)
    live = _shipped(report)
    pages, texts = words.environments(templates, {**_facts(report, networks, figures, config), "live": live})
    shown = story(report, networks)
    spoken = {}
    for kind in shown:
        below = _source(pages, kind.parts.template) if kind.parts and kind.parts.template else ""
        source = _source(pages, f"{kind.name}.html") + below
        spoken[kind.name] = words.read(content / f"{kind.name}.md", texts, source)
    told = tuple(Page(kind, *(spoken[kind.name].text(key) for key in words.FRONT_MATTER)) for kind in shown)
    pages.globals["pages"] = told
    files = {path: data for figure in figures.values() for path, data in figure.files.items()}
    files |= static_files(templates, unused(shown))
    files |= live.files if live else {}
    files |= {licence_path(name): text.encode() for name, text in report.licences.items()}
    for page in told:
        files |= page_files(pages, page, told, spoken[page.name], networks, report.photos)
    # Served at any depth, so that only an absolute address would be right everywhere.
    files["404.html"] = filled(
        pages, "404.html", "404.html", root=f"{config.report.base_url}/" if config.report.base_url else ""
    )
    files = without_unshown(files, figures)
    files |= {one.path: one.data for page in spoken.values() for one in page.pictures.values()}
    files |= data_files({path: data for path, data in files.items() if path.endswith(".html")}, figures)
    files["results.json"] = results(report, networks, figures["teaser"].alt if "teaser" in figures else "")
    files["robots.txt"] = robots(config.report.base_url)
    files[".nojekyll"] = b""
    if config.report.base_url:
        files["sitemap.xml"] = sitemap(files)
    return files


def _facts(
    report: Report, networks: tuple[Portrait, ...], figures: Mapping[str, Figure], config: Config
) -> Mapping[str, Any]:
    """What every template and text can name."""
    return {
        "site": config.report,
        "english": Markup(_english(config)),
        "samples": config.samples,
        "data": report.data,
        "environment": report.environment,
        "notes": report.notes,
        "licences": {name: licence_path(name) for name in report.licences},
        "material": material(report.data),
        "augmented_id": next((one.id for one in networks if one.title == report.data.augmented_for), ""),
        "photos": report.photos,
        "hero": _hero(report, networks),
        "networks": networks,
        "first": networks[0] if networks else None,  # the network that is shown first
        "running": next((one for one in networks if report.live and one.id == report.live.network), None),
        "story": [kind.name for kind in story(report, networks)],  # pages to which a link may lead
        "chance": 1 / len(report.data.class_names) if report.data.class_names else None,
        "left_out": left_out(report, networks),
        "course": course(report),
        "benchmark": benchmark(report),
        "figures": figures,
        "dead": DEAD,
        "duplicate": DUPLICATE,
    }


def _english(config: Config) -> str:
    """How captions, text alternatives and tables, the program's own words, are marked in a report of other words."""
    if config.report.language.split("-")[0].lower() == "en":
        return ""
    return ' lang="en" dir="ltr"' if config.report.direction == "rtl" else ' lang="en"'


def _hero(report: Report, networks: tuple[Portrait, ...]) -> Look | None:
    """The photo of the header's tile as its network sees it."""
    found = hero(report)
    if found is None:
        return None
    photo, network = found
    return next(one.look(photo) for one in networks if one.record is network)


def _source(pages: Environment, name: str) -> str:
    with words.located():
        return pages.loader.get_source(pages, name)[0] if pages.loader else ""


def _shipped(report: Report) -> Shipped | None:
    """What the page that runs a network loads."""
    if report.live is None:
        return None
    return shipped(report.live, next(one for one in report.networks if one.id == report.live.network))


def __getattr__(name: str) -> object:
    """What the module held in version 0.1."""
    return moved.look_up(__name__, name)
