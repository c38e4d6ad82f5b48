"""The report's pages in the order of the story, the one list of them: when each is shown, and what it is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from generator.records.report import Report
from generator.report.plates import wording
from generator.report.portrait import Portrait

ANSWERS_ALONE = (
    "Of {} only the answers are known. So there are no pages of what only a network itself could show: its filters, "
    "feature maps and heat maps, and a page to try it on."
)
SEALED = (
    "There are no pages of filters and feature maps: {} cannot be looked into. A file holds the whole network and is "
    "run as it is."
)
BROKEN = "The page called {} is left out, for making it failed: {}."
Shown = Callable[[Report, Sequence[Portrait]], bool]


@dataclass(frozen=True)
class Parts:
    """The pages below a page: one for each of something.

    Those of photos are the page itself with another photo, <name>-<photo>.html; others have a template of their own.
    """

    each: Literal["photo", "layer", "network"]
    template: str = ""
    scripts: tuple[str, ...] = ()


def _always(report: Report, networks: Sequence[Portrait]) -> bool:  # noqa: ARG001
    return True


@dataclass(frozen=True)
class Kind:
    """A page of the story. It has templates/<name>.html and content/<name>.md."""

    name: str
    shown: Shown = _always
    parts: Parts | None = None
    scripts: tuple[str, ...] = ()  # that it names
    styles: tuple[str, ...] = ()  # likewise, beside site.css
    loads: tuple[str, ...] = ()  # scripts that its scripts ask for
    without: str = ""  # says why a report about networks does without it
    inside: bool = False  # whether it looks into a network, and not at its answers alone
    # Of a page with a part for each network: what that has with which the page begins. Where these make it too long,
    # the others have pages of their own, <name>-<network>.html.
    begins: Callable[[Portrait], object] | None = None

    @property
    def always(self) -> bool:
        """Whether every report has it."""
        return self.shown is _always


def _some(has: Callable[[Portrait], object]) -> Shown:
    """Where one of the networks has it."""
    return lambda report, networks: any(has(network) for network in networks)


OPENING = ("opening.css",)  # of pages that begin with a figure beside their first words
STORY = (
    Kind("index", scripts=("overview.js",), styles=("overview.css", "drawing.css")),
    Kind("data", scripts=("lightbox.js",), styles=OPENING),
    Kind(
        "training",
        _some(lambda network: network.runs),
        scripts=("tables.js", "curves.js", "lightbox.js"),
        styles=OPENING,
        without="No training was recorded, so that there are no curves to show.",
        begins=lambda network: network.main_run,
    ),
    Kind(
        "evaluation",
        _some(lambda network: network.scores or not network.blind),
        Parts("network", "evaluation-mistakes.html"),
        scripts=("tables.js", "matrix.js"),
        styles=(*OPENING, "mistakes.css"),
        without="There is no page of evaluation: no image that is read here can be shown to a network.",
        begins=lambda network: network.scores,
    ),
    Kind(
        "filters",
        _some(lambda network: network.record.layers),
        Parts("layer", "filters-layer.html", ("tables.js", "lightbox.js")),
        scripts=("tables.js", "lightbox.js"),
        styles=(*OPENING, "filters.css", "drawing.css"),
        without="There is no page of filters: no network here has a two-dimensional convolution, whose weights are "
        "pictures.",
        inside=True,
        begins=lambda network: network.record.convolutions,
    ),
    Kind(
        "feature-maps",
        _some(lambda network: any(look.stages for look in network.looks)),
        Parts("photo"),
        scripts=("lightbox.js", "picker.js"),
        styles=OPENING,
        without="There is no page of feature maps: none were taken of any photo.",
        inside=True,
    ),
    Kind(
        "grad-cam",
        _some(lambda network: network.mapped or network.compared),
        Parts("photo"),
        scripts=("overlay.js", "ranges.js", "lightbox.js", "picker.js"),
        styles=OPENING,
        without="There is no page of heat maps: none were made of any photo.",
        inside=True,
    ),
    Kind(
        "failures",
        _some(lambda network: network.looks or network.scores),
        scripts=("tables.js", "ranges.js", "lightbox.js"),
        styles=OPENING,
        without="There is no page of failures: no photo was shown to a network, and none was evaluated.",
        begins=lambda network: network.failures,
    ),
    Kind(
        "trust",
        _some(
            lambda network: network.trust or network.checks or network.mapped or not (network.looks or network.blind)
        ),
        scripts=("tables.js",),
        styles=OPENING,
        begins=lambda network: network.trust and not network.blind,
    ),
    Kind(
        "try",
        lambda report, networks: report.live is not None,
        scripts=("try.js",),
        styles=("try.css",),
        loads=("engine.js", "answers.js", "inside.js", "photos.js"),
    ),
    Kind("about", styles=OPENING),
)


@dataclass(frozen=True)
class Page:
    """One page as the navigation speaks of it; plain text."""

    kind: Kind
    title: str
    question: str
    description: str

    @property
    def name(self) -> str:
        """What its template and its words are called."""
        return self.kind.name

    @property
    def href(self) -> str:
        """Its address, relative to any other page."""
        return f"{self.name}.html"


def story(report: Report, networks: Sequence[Portrait]) -> tuple[Kind, ...]:
    """The pages that this report has something for."""
    return tuple(kind for kind in STORY if kind.shown(report, networks) and kind.name not in report.broken)


def left_out(report: Report, networks: Sequence[Portrait]) -> tuple[str, ...]:
    """Why a report about networks does without some of them, a sentence each."""
    broken = tuple(BROKEN.format(name, reason) for name, reason in report.broken.items())
    if not networks:
        return broken
    inside = any(network.present for network in networks)
    lacking = [kind for kind in STORY if kind.without and not kind.shown(report, networks)]
    here = [network for network in networks if network.present]
    sealed = bool(here) and all(network.sealed for network in here)
    if sealed:
        lacking = [kind for kind in lacking if kind.name not in ("filters", "feature-maps")]
    alone = () if inside else (ANSWERS_ALONE.format(wording.listed([network.title for network in networks])),)
    whole = (SEALED.format(wording.listed([network.title for network in here])),) if sealed else ()
    return (*(kind.without for kind in lacking if inside or not kind.inside), *whole, *alone, *broken)


def unused(shown: Sequence[Kind]) -> frozenset[str]:
    """Scripts and styles that only pages ask for which are not shown."""
    return frozenset(file for kind in STORY for file in _files(kind)) - {
        file for kind in shown for file in _files(kind)
    }


def _files(kind: Kind) -> tuple[str, ...]:
    return (*kind.scripts, *kind.styles, *kind.loads, *(kind.parts.scripts if kind.parts else ()))
