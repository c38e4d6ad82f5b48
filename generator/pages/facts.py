"""What every template and every text of the report can name, each with its type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from markupsafe import Markup

from generator.config.schema import Config, ReportConfig, SamplesConfig
from generator.figures import raster, theme
from generator.pages.network_script import Shipped, shipped
from generator.pages.static import licence_path
from generator.records.figure import Figure
from generator.records.images import Photo
from generator.records.report import DataSummary, Report
from generator.records.training import Benchmark
from generator.report.data.facts import Cut, Material, cuts, material
from generator.report.filters.facts import LayerPage
from generator.report.grad_cam.facts import Look
from generator.report.overview.choices import Choice, choices
from generator.report.overview.drawing import Drawing, drawing
from generator.report.plates.numbers import DEAD, DUPLICATE
from generator.report.portrait import Portrait
from generator.report.story import left_out, story
from generator.report.training.facts import Reference, benchmark, course

STOPS = 33  # colours of heat maps, between which scripts mix


class Settled(TypedDict):
    """What report.toml and the program itself say: known before anything is computed."""

    site: ReportConfig
    english: Markup  # what marks the program's own words, see `_english`
    samples: SamplesConfig
    dead: float
    duplicate: float
    heat_colours: str  # of heat maps, for scripts


class Facts(Settled):
    """What the records say besides."""

    data: DataSummary
    environment: Mapping[str, str]
    notes: tuple[str, ...]
    licences: Mapping[str, str]  # name -> where its text stands
    material: Material
    augmented_by: Portrait | None  # the network whose training's augmentation is shown
    photos: tuple[Photo, ...]
    cuts: Mapping[str, tuple[Cut, ...]]  # by Photo.id, what the networks are given of it
    choices: tuple[Choice, ...]  # the photos of the overview, as their network sees them
    hero: Look | None  # the one of them that is shown first
    drawings: Mapping[str, Drawing | None]  # the picture of each network, by Portrait.id
    networks: tuple[Portrait, ...]
    first: Portrait | None  # the network that is shown first
    running: Portrait | None  # the network that a page runs
    live: Shipped | None  # and what that page loads
    story: list[str]  # pages to which a link may lead
    chance: float | None
    left_out: tuple[str, ...]
    course: Reference | None
    benchmark: Benchmark | None
    figures: Mapping[str, Figure]


class Given(TypedDict, total=False):
    """What the program's templates give a section besides, for one network, layer or photo."""

    network: Portrait
    layer: LayerPage
    sample: Photo
    explains: bool  # whether it is the first of its kind, which explains the words


def settled(config: Config) -> Settled:
    """What can be named before anything is computed."""
    return {
        "site": config.report,
        "english": Markup(_english(config)),
        "samples": config.samples,
        "dead": DEAD,
        "duplicate": DUPLICATE,
        "heat_colours": raster.ramp(raster.palette(theme.HEAT, STOPS)),
    }


def facts(report: Report, networks: tuple[Portrait, ...], figures: Mapping[str, Figure], config: Config) -> Facts:
    """What every template and text can name."""
    chosen = choices(report)
    hero = chosen[0].look if chosen else None
    pages = [kind.name for kind in story(report, networks)]
    return {
        **settled(config),
        "data": report.data,
        "environment": report.environment,
        "notes": report.notes,
        "licences": {name: licence_path(name) for name in report.licences},
        "material": material(report.data),
        "augmented_by": next((one for one in networks if one.title == report.data.augmented_for and one.runs), None),
        "photos": report.photos,
        "cuts": cuts(report.photos, [one.input for one in report.networks if one.present]),
        "choices": chosen,
        "hero": hero,
        "drawings": {one.id: _drawing(one, hero, figures, pages) for one in networks},
        "networks": networks,
        "first": networks[0] if networks else None,
        "running": next((one for one in networks if report.live and one.id == report.live.network), None),
        "live": _shipped(report),
        "story": pages,
        "chance": 1 / len(report.data.class_names) if report.data.class_names else None,
        "left_out": left_out(report, networks),
        "course": course(report),
        "benchmark": benchmark(report),
        "figures": figures,
    }


def _english(config: Config) -> str:
    """How captions, text alternatives and tables, the program's own words, are marked in a report of other words."""
    if config.report.language.split("-")[0].lower() == "en":
        return ""
    return ' lang="en" dir="ltr"' if config.report.direction == "rtl" else ' lang="en"'


def _drawing(
    network: Portrait, hero: Look | None, figures: Mapping[str, Figure], pages: Sequence[str]
) -> Drawing | None:
    """The picture of a network, with the photo that the overview begins with if it saw that."""
    look = (network.look(hero.photo) if hero else None) or next(iter(network.looks), None)
    photo = figures.get(f"{network.anchor}-cam-{look.photo.id}-photo") if look else None
    return drawing(network.record, look.explanation if look else None, photo.src if photo else "", pages)


def _shipped(report: Report) -> Shipped | None:
    """What the page that runs a network loads."""
    if report.live is None:
        return None
    return shipped(report.live, next(one for one in report.networks if one.id == report.live.network))
