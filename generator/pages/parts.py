"""Each kind of page, its template filled."""

from __future__ import annotations

import itertools
import re
from typing import Any

from jinja2 import Environment

from generator.base.errors import InputError
from generator.pages import words
from generator.pages.sources import source_path
from generator.records.images import Photo
from generator.report.portrait import Portrait
from generator.report.story import LAYER, MISTAKES, SAMPLED, Page


def story_pages(
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
        path: filled(
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


def layer_pages(
    pages: Environment, page: Page, spoken: words.Words, portraits: tuple[Portrait, ...]
) -> dict[str, bytes]:
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
        files[layer.href] = filled(pages, LAYER, layer.href, page=page, words=spoken, **variables)
    return files


def mistake_pages(
    pages: Environment, page: Page, spoken: words.Words, portraits: tuple[Portrait, ...]
) -> dict[str, bytes]:
    """A page for each network that got test images wrong."""
    return {
        one.confusions_href: filled(pages, MISTAKES, one.confusions_href, page=page, words=spoken, network=one)
        for one in portraits
        if one.confusions
    }


def filled(pages: Environment, name: str, path: str, **variables: Any) -> bytes:
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
