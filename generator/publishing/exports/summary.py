"""What an export says of a report in short: its title, its main numbers, a few of its figures; from the site alone.

The numbers are those of results.json and the text alternatives those of the pages, so that no export can say anything
that the site does not.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from typing import Any

from generator.base.errors import InputError
from generator.base.names import slug, slugs
from generator.config.schema import ReportConfig
from generator.pages.formats import counted, magnitude, percent
from generator.publishing.published import MAKE, Published
from generator.report.plates.wording import listed

FIGURES = "assets/figures"
HERO = ("photo", "filters", "maps", "cam")
TEASER = f"{FIGURES}/teaser.webp"
CHART = re.compile(r'<svg\b[^>]*\baria-labelledby="([^"]+)-title"[^>]*>.*?</svg>', re.DOTALL)
CHART_TITLE = re.compile(r"<title\b[^>]*>(.*?)</title>", re.DOTALL)
# What HTML, YAML or UTF-8 cannot hold.
UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Number:
    """One of the main numbers; plain text."""

    label: str
    value: str
    context: str


@dataclass(frozen=True)
class Picture:
    """A figure of the site: a file, or a chart's markup."""

    id: str
    alt: str
    caption: str
    path: str = ""
    svg: str = ""


@dataclass(frozen=True)
class Summary:
    """All that the exports say; plain text, but for charts."""

    title: str
    subtitle: str
    byline: tuple[str, ...]
    date: str
    language: str
    links: tuple[tuple[str, str], ...]
    made_with: str
    numbers: tuple[Number, ...]
    hero: tuple[Picture, ...]
    teaser: Picture | None
    figures: tuple[Picture, ...]
    filters: Picture | None  # the first layer of the first network
    credits: tuple[str, ...]
    address: str  # where the whole report is published, "" where that is not known

    @property
    def description(self) -> str:
        """One sentence for lists and search engines."""
        return self.subtitle or self.title


def summary(site: Published, report: ReportConfig) -> Summary:
    """The report in short.

    Raises:
        InputError: the site has no results, or was made by another version.
    """
    files = site.whole()
    results = results_of(site)
    pages = _Pages(files)
    hero = tuple(filter(None, (pages.picture(f"{FIGURES}/hero-{column}.webp") for column in HERO)))
    figures = [*_curves(results, pages), *_looks(results, pages)]
    # Not what a page says of it: no page shows the teaser.
    teaser = Picture("teaser", results["tile"], "", path=TEASER) if TEASER in files and results["tile"] else None
    return Summary(
        title=_line(report.title),
        subtitle=_line(report.subtitle),
        byline=tuple(_line(entry) for entry in (report.author, report.course, report.institution) if entry.strip()),
        date=report.date,
        language=report.language,
        links=tuple((_line(link.title), link.url) for link in report.links),
        made_with=listed([_line(name) for name in (*report.languages, *report.libraries)]),
        numbers=tuple(_number(network) for network in results["networks"].values()),
        hero=hero,
        teaser=teaser,
        figures=tuple(figures),
        filters=_filters(results, pages),
        credits=tuple(dict.fromkeys(_credits(results, filter(None, [*hero, *figures, teaser])))),
        address=pages.address or report.base_url,
    )


class _Pages(HTMLParser):
    """The text alternatives of the site's images, its charts, and the address that it names as its own."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__()
        self.alts: dict[str, str] = {}
        self.charts: dict[str, str] = {}
        self.files = frozenset(files)
        self.address = ""
        self.link = ""
        for path in sorted(files):
            if path.endswith(".html"):
                text = files[path].decode("utf-8", errors="replace")
                self.feed(text)
                self.charts |= {found[1]: found[0] for found in CHART.finditer(text)}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An image's alt, which is also that of the larger one behind it; the canonical address."""
        given = {name: value or "" for name, value in attrs}
        if tag == "a":
            self.link = given.get("href", "")
        elif tag == "img" and given.get("alt"):
            self.alts.setdefault(self.link or given.get("src", ""), given["alt"])
            self.alts.setdefault(given.get("src", ""), given["alt"])
        elif tag == "link" and given.get("rel") == "canonical" and not self.address:
            self.address = given.get("href", "").rsplit("/", 1)[0]

    def handle_endtag(self, tag: str) -> None:
        """A link ends."""
        if tag == "a":
            self.link = ""

    def picture(self, path: str, caption: str = "") -> Picture | None:
        """The image with its text alternative, None where no page shows it."""
        alt = self.alts.get(path, "") if path in self.files else ""
        identity = path.rsplit("/", 1)[-1].partition(".")[0]
        return Picture(identity, alt, caption or alt, path=path) if alt else None

    def chart(self, identity: str, caption: str) -> Picture | None:
        """A chart by its figure's id, None where no page shows it."""
        svg = self.charts.get(identity, "")
        title = CHART_TITLE.search(svg)
        return Picture(identity, html.unescape(title[1]), caption, svg=svg) if title else None


def results_of(site: Published) -> dict[str, Any]:
    """results.json, each text in it on one line.

    Raises:
        InputError: there is none, or it was made by another version.
    """
    try:
        results: dict[str, Any] = _on_lines(json.loads(site.files["results.json"]))
        for network in results["networks"].values():
            network["title"], network["parameters"], network["photos"]
        results["photos"], results["tile"].split()
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        raise InputError(
            f"{site.folder / 'results.json'}: expected the results of this version of the program; "
            f"make the site with: {MAKE}"
        ) from None
    return results


def _number(network: Mapping[str, Any]) -> Number:
    """The network's accuracy with its interval; its size where it was not evaluated."""
    title, splits = network["title"], (network.get("evaluation") or {}).get("splits", {})
    known = network["parameters"] is not None  # of others there are only the answers
    weights = f"{magnitude(network['parameters'])} weights." if known else ""
    for split in ("test", "validation"):
        if split in splits:
            scores = splits[split]
            low, high = scores["top1_interval"]
            images = counted(scores["count"], f"{split} image")
            return Number(
                f"{title}: accuracy",
                percent(scores["top1"]),
                f"of {images} are named correctly (95 % interval: {percent(low)} to {percent(high)}). "
                f"Guessing: {percent(1 / len(network['class_names']))}. {weights}".rstrip(),
            )
    return Number(f"{title}: weights", weights.removesuffix(" weights."), "It has not been evaluated.")


def _curves(results: Mapping[str, Any], pages: _Pages) -> Iterator[Picture]:
    """The first network's accuracy while it was trained."""
    for identity, network in results["networks"].items():
        runs = [run for run in network.get("runs", ()) if run["epochs"]]
        addressed = [*zip(runs, slugs([run["name"] for run in runs]), strict=True)]
        for run, address in sorted(addressed, key=lambda pair: pair[0]["name"] != "augmented"):
            caption = f"{network['title']} while it was trained{_lines(run)}."
            if found := pages.chart(f"{identity}-curves-{address}", caption):
                yield found
                return


def _lines(run: Mapping[str, Any]) -> str:
    """Which line is which in a run's chart of accuracy, as the end of a sentence."""
    train, validation = (
        any(epoch[f"{part}_accuracy"] is not None for epoch in run["epochs"]) for part in ("train", "validation")
    )
    if train and validation:
        return "; solid: validation images, dashed: training images"
    return ", on the training images" if train else ", on the validation images"


def _first(results: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The id of the first network and what is told of it; of none, nothing."""
    nothing: Mapping[str, Any] = {}
    return next(iter(results["networks"].items()), ("", nothing))


def _looks(results: Mapping[str, Any], pages: _Pages) -> Iterator[Picture]:
    """Grad-CAM of the first network: the photo that it is surest of, right, and the one where it errs most surely."""
    identity, network = _first(results)
    photos = {photo["id"]: photo for photo in results["photos"] if photo["origin"] != "test"}
    told = [(photo, look) for photo, look in network.get("photos", {}).items() if photo in photos and look.get("true")]
    told.sort(key=lambda entry: -entry[1]["top"][0]["probability"])
    for right in (True, False):
        for photo, look in told:
            said = f"{look['predicted']}, {percent(look['top'][0]['probability'])}"
            verdict = "right" if right else f"wrong: it is {look['true']}"
            caption = f"{photos[photo]['title']}: {said} ({verdict}). Bright: what spoke for the answer."
            found = pages.picture(f"{FIGURES}/{identity}-cam-{photo}-predicted-overlay.webp", caption)
            if found and (look["rank_of_true"] == 1) == right:
                yield replace(found, id=f"{identity}-cam-{photo}")
                break


def _filters(results: Mapping[str, Any], pages: _Pages) -> Picture | None:
    identity, network = _first(results)
    layers = [layer for layer in network.get("layers", ()) if layer["weights"]]
    if not layers:
        return None
    caption = f"The first-layer filters of {network['title']}."
    return pages.picture(f"{FIGURES}/{identity}-filters-{slug(layers[0]['name'])}.webp", caption)


def _credits(results: Mapping[str, Any], shown: Iterable[Picture]) -> Iterator[str]:
    """Who made the photos that are shown, and on what terms they may be."""
    words = " ".join(f"{picture.id} {picture.alt}" for picture in shown)
    for photo in results["photos"]:
        credit = photo.get("credit")
        if credit and (f"-cam-{photo['id']}" in words or photo["title"] in words):
            told = [credit.get(key) or "" for key in ("author", "licence", "url")]
            if any(told):
                yield f"Photo “{photo['title']}”: {', '.join(filter(None, told))}."


def _on_lines(told: Any) -> Any:
    if isinstance(told, dict):
        return {key: _on_lines(value) for key, value in told.items()}
    if isinstance(told, list):
        return [_on_lines(value) for value in told]
    return _line(told) if isinstance(told, str) else told


def _line(text: str) -> str:
    return UNFIT.sub("\N{REPLACEMENT CHARACTER}", " ".join(text.split()))
