"""The report's pages in the order of the story: the one list of them."""

from __future__ import annotations

from dataclasses import dataclass

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
