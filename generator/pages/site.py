"""The files of the site: each page's template filled with its words, the figures and the facts; and what goes along."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape, unescape
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from generator import addresses
from generator.clutter import is_clutter
from generator.config import Config
from generator.errors import InputError
from generator.exhibits import hero
from generator.exhibits.weights import DEAD, DUPLICATE
from generator.pages import words
from generator.pages.facts import Portrait, course, portrait
from generator.pages.network_script import Shipped, shipped
from generator.pages.results import results
from generator.pages.sources import data_files, source_path
from generator.records import Figure, Photo, Report
from generator.slugs import slug

# In the order of the story. Each has templates/<name>.html and content/<name>.md.
PAGES = (
    "index", "data", "training", "evaluation", "filters", "feature-maps", "grad-cam", "failures", "trust", "try",
    "about",
)  # fmt: skip
# Those that show one photo at a time, each photo on a page of its own: <name>-<photo>.html.
SAMPLED = ("feature-maps", "grad-cam")
# Has a page for each convolution, from a template of its own: filters-<network>-conv<number>.html.
LAYERED, LAYER = "filters", "filters-layer.html"
# Has a page for each network's mistakes: evaluation-<network>-mistakes.html.
JUDGED, MISTAKES = "evaluation", "evaluation-mistakes.html"
# Runs a network in the browser: left out, with what it alone loads, where the report has none that can.
LIVE, LIVE_FILES = "try", ("engine.js", "inside.js", "photos.js", "try.js", "try.css")
STATIC = (".css", ".js")
CANONICAL = re.compile('<link rel="canonical" href="([^"]+)">')


@dataclass(frozen=True)
class Page:
    """One page as the navigation speaks of it; plain text."""

    name: str
    title: str
    question: str
    description: str

    @property
    def href(self) -> str:
        """Its address, relative to any other page."""
        return f"{self.name}.html"


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
    portraits = tuple(portrait(network, report.photos) for network in report.networks)
    live = _shipped(report)
    pages, texts = words.environments(templates, {**_facts(report, portraits, figures, config), "live": live})
    shown = [name for name in PAGES if name != LIVE or live]
    sources = {name: _source(pages, f"{name}.html") for name in shown}
    sources[LAYERED] += _source(pages, LAYER)
    sources[JUDGED] += _source(pages, MISTAKES)
    spoken = {name: words.read(content / f"{name}.md", texts, sources[name]) for name in shown}
    story = tuple(Page(name, *(spoken[name].text(key) for key in words.FRONT_MATTER)) for name in shown)
    pages.globals["pages"] = story
    files = {path: data for figure in figures.values() for path, data in figure.files.items()}
    files |= _static(templates, () if live else LIVE_FILES)
    files |= live.files if live else {}
    files |= {licence_path(name): text.encode() for name, text in report.licences.items()}
    for page in story:
        files |= _pages(pages, page, story, spoken[page.name], report.photos)
    named = {page.name: page for page in story}
    files |= _layers(pages, named[LAYERED], spoken[LAYERED], portraits)
    files |= _mistakes(pages, named[JUDGED], spoken[JUDGED], portraits)
    # Served at any depth, so that only an absolute address would be right everywhere.
    files["404.html"] = _filled(
        pages, "404.html", "404.html", root=f"{config.report.base_url}/" if config.report.base_url else ""
    )
    files |= {one.path: one.data for page in spoken.values() for one in page.pictures.values()}
    files |= data_files({path: data for path, data in files.items() if path.endswith(".html")}, figures)
    files["results.json"] = results(report, portraits, figures["teaser"].alt if "teaser" in figures else "")
    files["robots.txt"] = _robots(config.report.base_url)
    files[".nojekyll"] = b""
    if config.report.base_url:
        files["sitemap.xml"] = _sitemap(files)
    return files


def licence_path(name: str) -> str:
    """Where a licence's text stands in the site."""
    return f"assets/licences/{slug(name)}.txt"


def _facts(
    report: Report, portraits: tuple[Portrait, ...], figures: Mapping[str, Figure], config: Config
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
        "photos": report.photos,
        "hero": hero(report),
        "networks": portraits,
        "first": portraits[0],
        "second": portraits[1] if len(portraits) > 1 else None,
        "chance": 1 / len(report.data.class_names),
        "course": course(report),
        "benchmark": next((network.benchmark for network in report.networks if network.benchmark), None),
        "figures": figures,
        "dead": DEAD,
        "duplicate": DUPLICATE,
    }


def _english(config: Config) -> str:
    """How captions, text alternatives and tables, the program's own words, are marked in a report of other words."""
    if config.report.language.split("-")[0].lower() == "en":
        return ""
    return ' lang="en" dir="ltr"' if config.report.direction == "rtl" else ' lang="en"'


def _pages(
    pages: Environment, page: Page, story: tuple[Page, ...], spoken: words.Words, photos: tuple[Photo, ...]
) -> dict[str, bytes]:
    """The page, and the pages of its photos if it shows one at a time; itself it shows the first."""
    shown: dict[str, Photo | None] = {page.href: None}
    if page.name in SAMPLED and photos:
        shown = {page.href: photos[0], **{f"{page.name}-{photo.id}.html": photo for photo in photos}}
    place = story.index(page)
    around = {
        "previous": story[place - 1] if place else None,
        "next": story[place + 1] if place + 1 < len(story) else None,
    }
    # The page without a photo in its name shows the first one: two addresses of one page.
    first = photos[0] if photos else None
    return {
        path: _filled(
            pages,
            page.href,
            path,
            canonical=page.href if photo is first else path,
            page=page,
            words=spoken,
            sample=photo,
            **around,
        )
        for path, photo in shown.items()
    }


def _layers(pages: Environment, page: Page, spoken: words.Words, portraits: tuple[Portrait, ...]) -> dict[str, bytes]:
    """A page for each convolution of each network; the one before and the one after it are a link away."""
    shown = [(network, layer) for network in portraits for layer in network.convolutions]
    files = {}
    for place, (network, layer) in enumerate(shown):
        variables = {
            "network": network,
            "layer": layer,
            "previous": shown[place - 1] if place else None,
            "next": shown[place + 1] if place + 1 < len(shown) else None,
        }
        files[layer.href] = _filled(pages, LAYER, layer.href, page=page, words=spoken, **variables)
    return files


def _mistakes(pages: Environment, page: Page, spoken: words.Words, portraits: tuple[Portrait, ...]) -> dict[str, bytes]:
    """A page for each network that got test images wrong."""
    return {
        one.confusions_href: _filled(pages, MISTAKES, one.confusions_href, page=page, words=spoken, network=one)
        for one in portraits
        if one.confusions
    }


def _source(pages: Environment, name: str) -> str:
    with words.located():
        return pages.loader.get_source(pages, name)[0] if pages.loader else ""


def _filled(pages: Environment, name: str, path: str, **variables: Any) -> bytes:
    """The page at `path` from the template `name`."""
    variables = {"root": "", "address": path, "canonical": path, "source_path": source_path(path), **variables}
    with words.located([*pages.globals, *variables]):
        html = _compact(pages.get_template(name).render(**variables))
    spoken = variables.get("words")
    return (_own_ids(html, spoken) if spoken else html).encode()


def _own_ids(html: str, spoken: words.Words) -> str:
    """The page with the ids of the words' headings told apart where a section stands there several times."""
    for name, line in spoken.ids.items():
        heading = re.compile(f'(<h[2-6] id="{name})">')
        if html.count(f'id="{name}"') > len(heading.findall(html)):
            raise InputError(f"{spoken.path}:{line}: {{#{name}}} is taken by the page itself; choose another id")
        count = itertools.count(1)
        html = heading.sub(lambda found: f'{found[1]}{"" if (n := next(count)) == 1 else f"-{n}"}">', html)  # noqa: B023
    return html


def _compact(html: str) -> str:
    """Without indentation and empty lines, but for preformatted text: a third of a page's bytes."""
    parts = re.split(r"(<pre.*?</pre>)", html, flags=re.DOTALL)
    return (
        "".join(part if part.startswith("<pre") else re.sub(r"\s*\n\s*", "\n", part) for part in parts).strip() + "\n"
    )


def _shipped(report: Report) -> Shipped | None:
    """What the page that runs a network loads."""
    if report.live is None:
        return None
    return shipped(report.live, next(one for one in report.networks if one.id == report.live.network))


def _static(templates: Sequence[Path], without: Sequence[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for folder in reversed(templates):
        files = [
            file
            for file in folder.iterdir()
            if file.suffix in STATIC and file.name not in without and not is_clutter(file.name) and file.is_file()
        ]
        found |= {f"assets/{file.name}": _content(file) for file in files}
    return dict(sorted(found.items()))


def _content(file: Path) -> bytes:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: expected a style or script that can be read ({error.strerror or error})") from None
    # A seventh of a style's bytes is indentation.
    return re.sub(rb"\s*\n\s*", b"\n", content) if file.suffix == ".css" else content


def _robots(base_url: str) -> bytes:
    sitemap = f"Sitemap: {addresses.normalised(f'{base_url}/sitemap.xml')}\n" if base_url else ""
    return f"User-agent: *\nAllow: /\n{sitemap}".encode()


def _sitemap(files: Mapping[str, bytes]) -> bytes:
    """Every page by its canonical address, which sitemaps.org wants escaped as RFC 3986 says."""
    named = [CANONICAL.search(data.decode()) for path, data in files.items() if path.endswith(".html")]
    listed = dict.fromkeys(addresses.normalised(unescape(found[1])) for found in named if found)
    lines = "".join(f"<url><loc>{escape(address)}</loc></url>\n" for address in listed)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{lines}</urlset>\n'
    ).encode()
