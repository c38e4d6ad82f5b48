"""Each kind of page, its template filled."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment
from markupsafe import Markup, escape

from generator.base.errors import InputError
from generator.pages import words
from generator.pages.mistakes import located
from generator.pages.sources import source_path
from generator.records.images import Photo
from generator.report.portrait import Portrait
from generator.report.story import Page

Variables = Mapping[str, Any]


def page_files(
    pages: Environment,
    page: Page,
    story: tuple[Page, ...],
    spoken: words.Words,
    networks: tuple[Portrait, ...],
    photos: tuple[Photo, ...],
) -> dict[str, bytes]:
    """The page and those below it."""
    place = story.index(page)
    about: Variables = {
        "page": page,
        "words": spoken,
        "scripts": page.kind.scripts,
        "styles": page.kind.styles,
    }
    around: Variables = {
        "previous": story[place - 1] if place else None,
        "next": story[place + 1] if place + 1 < len(story) else None,
    }
    parts = page.kind.parts
    if parts is not None and parts.each == "photo":
        return _photo_pages(pages, page, {**about, **around}, photos)
    files = _whole_or_apart(pages, page, {**about, **around, "sample": None}, networks)
    if parts is None:
        return files
    if parts.each == "network":
        return files | _mistake_pages(pages, page, {**about, **around, "scripts": parts.scripts}, networks, files)
    return files | _layer_pages(pages, parts.template, {**about, **around, "scripts": parts.scripts}, networks)


FEW = 2  # networks that always share a page
LONGEST = 240 << 10  # bytes of a page that several share; styles and scripts come to them, see `check.FIRST_LOAD`


def _whole_or_apart(
    pages: Environment, page: Page, about: Variables, networks: tuple[Portrait, ...]
) -> dict[str, bytes]:
    """The page; where many networks make it too long, that of one network and a page for each of the others."""
    whole = filled(pages, page.href, page.href, **about)
    if page.kind.begins is None or len(networks) <= FEW or len(whole) <= LONGEST:
        return {page.href: whole}
    first = next(filter(page.kind.begins, networks), networks[0])
    others = [one for one in networks if one is not first]
    links = [
        {"href": _apart(page, one), "title": one.title, "question": page.question, "anchor": one.anchor}
        for one in others
    ]
    files = {page.href: filled(pages, page.href, page.href, **about, networks=(first,), apart=links)}
    start = {"href": page.href, "title": page.title, "question": page.question}
    for one, before, after in zip(others, [start, *links], [*links[1:], about["next"]], strict=False):
        alone: Variables = {"networks": (one,), "own": one, "benchmark": None, "previous": before, "next": after}
        files[_apart(page, one)] = filled(pages, page.href, _apart(page, one), **{**about, **alone})
    return files


def _apart(page: Page, network: Portrait) -> str:
    return f"{page.name}-{network.anchor}.html"


PICKED = 24  # photos beside its own to which a photo's page leads: with all of them, 200 pages would have 40,000 links


def _photo_pages(pages: Environment, page: Page, about: Variables, photos: tuple[Photo, ...]) -> dict[str, bytes]:
    """The page shows the first of its photos itself, which has an address of its own besides, and leads to all."""
    first = photos[0] if photos else None
    files = {page.href: filled(pages, page.href, page.href, **about, sample=first, picked=photos)}
    for place, photo in enumerate(photos):
        path = f"{page.name}-{photo.id}.html"
        start = max(0, min(place - PICKED // 2, len(photos) - PICKED - 1))
        more: Variables = {"sample": photo, "picked": photos[start : start + PICKED + 1]}
        files[path] = filled(pages, page.href, path, **about, canonical=page.href if photo is first else path, **more)
    return files


def _layer_pages(
    pages: Environment, template: str, about: Variables, networks: tuple[Portrait, ...]
) -> dict[str, bytes]:
    """A page for each layer of each network that has one; the one before and the one after it are a link away."""
    shown = [(network, layer) for network in networks for layer in network.layers]
    files = {}
    for place, (network, layer) in enumerate(shown):
        variables = {
            "network": network,
            "layer": layer,
            "previous": shown[place - 1] if place else None,
            "next": shown[place + 1] if place + 1 < len(shown) else None,
        }
        files[layer.href] = filled(pages, template, layer.href, **{**about, **variables})
    return files


def _mistake_pages(
    pages: Environment, page: Page, about: Variables, networks: tuple[Portrait, ...], above: Mapping[str, bytes]
) -> dict[str, bytes]:
    """A page for each network that got test images wrong; between them and the story's next page it goes on.

    Args:
        above: the pages of `_whole_or_apart`, to which they lead back.
    """
    assert page.kind.parts is not None
    shown = [one for one in networks if one.confusions]
    neighbours = zip(shown, [None, *shown], [*shown[1:], None], strict=False)
    return {
        one.confusions_href: filled(
            pages,
            page.kind.parts.template,
            one.confusions_href,
            **about,
            network=one,
            before=before,
            after=after,
            back=_apart(page, one) if _apart(page, one) in above else f"{page.href}#{one.anchor}",
        )
        for one, before, after in neighbours
    }


def filled(pages: Environment, name: str, path: str, **variables: Any) -> bytes:
    """The page at `path` from the template `name`."""
    usual = {"root": "", "scripts": (), "styles": (), "address": path, "canonical": path, "own": None, "apart": ()}
    variables = {**usual, "source_path": source_path(path), **variables}
    with located([*pages.globals, *variables]):
        html = _compact(pages.get_template(name).render(**variables))
    spoken = variables.get("words")
    return _with_contents(_own_ids(html, spoken) if spoken else html).encode()


def _own_ids(html: str, spoken: words.Words) -> str:
    """The page with the ids of the words' headings told apart where a section stands there several times."""
    for name, line in spoken.ids.items():
        heading = re.compile(f'(<h[2-6] id="{name})">')
        if html.count(f'id="{name}"') > len(heading.findall(html)):
            raise InputError(f"{spoken.path}:{line}: {{#{name}}} is taken by the page itself; choose another id")
        count = itertools.count(1)
        html = heading.sub(lambda found: f'{found[1]}{"" if (n := next(count)) == 1 else f"-{n}"}">', html)  # noqa: B023
    return html


PLACE = '<nav class="contents" aria-label="On this page"></nav>\n'  # of the list of contents, in base.html
HEADING = re.compile(r'<h([23]) id="([^"]+)"[^>]*>(.*?)</h\1>', re.DOTALL)
LONG = 4  # headings from which on a page is long


def _with_contents(html: str) -> str:
    """The page with a list of its headings, where it is long; those of the third level below those of the second."""
    found = [(level, identity, Markup(title).striptags()) for level, identity, title in HEADING.findall(html)]
    found = list(itertools.dropwhile(lambda part: part[0] == "3", found))
    if len(found) < LONG:
        return html.replace(PLACE, "")
    parts: list[str] = []
    last = ""
    for level, identity, title in found:
        if last:
            parts.append("<ol>" if level > last else "</li>" if level == last else "</li></ol></li>")
        parts.append(f'<li><a href="#{identity}" dir="auto">{escape(title)}</a>')
        last = level
    parts.append("</li></ol></li>" if last == "3" else "</li>")
    return html.replace(PLACE, PLACE.replace("></nav>", f"><ol>{''.join(parts)}</ol></nav>"))


def _compact(html: str) -> str:
    """Without indentation and empty lines, but for preformatted text: a third of a page's bytes."""
    parts = re.split(r"(<pre.*?</pre>)", html, flags=re.DOTALL)
    return (
        "".join(part if part.startswith("<pre") else _held(re.sub(r"\s*\n\s*", "\n", part)) for part in parts).strip()
        + "\n"
    )


# Spaces at which no line may break: between a number and its unit, and about the sign between two numbers.
UNBROKEN = re.compile(r"(?<=\d) (?=(?:%|px|pixels?|°|×)(?!\w))|(?<=\d[ \u00a0]×) (?=\d)")


TAGS = re.compile(r"(<(?:script|style)\b.*?</(?:script|style)>|<[^>]*>)", re.DOTALL)  # Jinja escapes ">" in attributes


# An apostrophe between two letters, or at the end of a genitive: as an element's text begins, and of several.
APOSTROPHE = re.compile(r"(?<=\w)(?:'|&#39;)(?=\w)|^(?:'|&#39;)(?=s\b)|(?<=s)(?:'|&#39;)(?= [a-z])")
SPOKEN = re.compile(r'(?<= )(?:alt|aria-label|title|content|placeholder)="[^"]*"')  # attributes that are read out


def _held(html: str) -> str:
    """In words alone: the classes "k0 pixels" of an element are two, and code is code."""
    parts, code = TAGS.split(html), 0
    for place, part in enumerate(parts):
        if part.startswith(("<code", "</code")):
            code += -1 if part.startswith("</") else 1
        quoted = "'" in part or "&#39;" in part
        if not part.startswith("<"):
            text = APOSTROPHE.sub("’", part) if quoted and not code else part
            parts[place] = UNBROKEN.sub("\u00a0", text) if " " in text else text
        elif quoted and not part.startswith(("<code", "</code")):
            parts[place] = SPOKEN.sub(lambda found: APOSTROPHE.sub("’", found[0]), part)
    return "".join(parts)
