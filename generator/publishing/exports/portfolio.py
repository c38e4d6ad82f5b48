"""A report as an entry of somebody's portfolio: files for a Jekyll or a Hugo site, the whole report beside the entry.

Front matter is what these themes' own templates read. Jekyll: minimal-mistakes (_includes/archive-single.html) takes
header.teaser and excerpt; academicpages (its file of that name) the <img> in excerpt; al-folio
(_includes/projects.liquid) img, description, importance and category of the collection `projects`. Hugo: themes take a
bundle's image whose name begins with "featured", PaperMod its `cover`.
"""

from __future__ import annotations

import datetime
import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from generator.data.image_files import read_photo
from generator.figures import raster
from generator.publishing.exports import hugo as exports_hugo
from generator.publishing.exports.jekyll import read
from generator.publishing.exports.summary import TEASER, Summary
from generator.publishing.published import Published

LAST = datetime.timezone(datetime.timedelta(hours=-12))  # where each day comes last
REPORT = "report"  # the folder of the whole site, beside the entry
# What only the root of a host is asked for.
OF_THE_ROOT = frozenset({"404.html", "robots.txt", "sitemap.xml", ".nojekyll"})
# Characters that Markdown, Liquid, HTML or a theme's attribute may read as more than themselves.
MARKS = re.compile(r"""[\\`*_{}\[\]<>&"|~^$#]""")
TYPOGRAPHY = re.compile(r"-{2,}|\.{3,}|:(?=[\w+-]+:)")
# What may not stand in YAML as it is, and what some readers take for the end of a line (YAML 1.2, 5.1 and 5.4).
UNFIT = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Entry:
    """Files below the portfolio's folder, those that people edit, and what its owner should know."""

    files: Mapping[str, bytes]
    words: tuple[str, ...]
    notes: tuple[str, ...]


def jekyll(site: Published, summary: Summary, name: str, folder: Path) -> Entry:
    """An entry of the collection that the site has for such: `portfolio`, or `projects`.

    Args:
        name: of the entry, [a-z0-9-]+.
        folder: the Jekyll site, read for where it looks, its theme and its baseurl.
    """
    host = read(folder)
    page = f"{host.entries}/{name}.md"
    report = f"{host.collection}/{name}/{REPORT}"
    image = f"assets/img/{name}.jpg"
    files = _report(site, posixpath.join(host.source, report))
    front: dict[str, Any] = {
        "layout": host.layout,
        "title": _literal(summary.title),
        "description": _literal(summary.description),
        "excerpt": _literal(summary.description),
        "collection": host.collection,
        "date": summary.date,
        "lang": summary.language,
        "importance": 1,
        "category": "work",
    }
    if summary.teaser:
        files[posixpath.join(host.source, image)] = _teaser(site)
        alt = _literal(summary.teaser.alt)
        front["header"] = {"teaser": f"/{image}"}
        front["img"] = f"/{image}"
        # In front matter no theme can put the baseurl before an <img>.
        front["excerpt"] += f'<br/><img src="{host.base}/{image}" alt="{alt}">'
    link = _liquid(f"/{report}/index.html")
    picture = (
        f'<a href="{link}"><img src="{_liquid(f"/{image}")}" alt="{_literal(summary.teaser.alt)}"></a>'
        if summary.teaser
        else ""
    )
    files[page] = _page(front, summary, picture, f'<a href="{link}">Open the whole report</a>')
    # Where no timezone is set, it is that of the machine: this one, or one of a host, whose clocks mostly show UTC.
    zones = (host.zone,) if host.zone else ("", "UTC")
    come = () if host.future else to_come(summary.date, zones, "Jekyll", "jekyll build --future")
    return Entry(files, (page,), (*host.notes, *host.left_out(files), *come))


def hugo(site: Published, summary: Summary, name: str, folder: Path) -> Entry:
    """A leaf bundle in the section of projects that the site has, or in `portfolio`.

    The report goes to the static files: in a bundle Hugo takes .html files for pages of its own.
    """
    host = exports_hugo.read(folder, summary.language)
    bundle = f"{host.content}/{name}"
    page = f"{bundle}/index{host.suffix}.md"
    files = _report(site, f"{host.static}/{name}/{REPORT}")
    front: dict[str, Any] = {
        "title": summary.title,
        # Where the report is, whatever `permalinks` or `uglyURLs` of the site say.
        "url": f"/{host.section}/{name}/",
        "description": summary.description,
        "summary": _literal(summary.description),  # which Hugo reads as Markdown, unlike the other values
        "date": summary.date,
        "draft": False,
    }
    if summary.teaser:
        files[f"{bundle}/featured.webp"] = site.files[TEASER]
        front["cover"] = {"image": "featured.webp", "alt": summary.teaser.alt, "relative": True}
    picture = f"[![{_literal(summary.teaser.alt)}](featured.webp)]({REPORT}/index.html)" if summary.teaser else ""
    files[page] = _page(front, summary, picture, f"[Open the whole report]({REPORT}/index.html)")
    come = () if host.future else to_come(summary.date, (host.zone,), "Hugo", "hugo --buildFuture")
    return Entry(files, (page,), (*host.notes, *host.left_out(files), *come))


def to_come(
    date: str, zones: Iterable[str], program: str, command: str, now: datetime.datetime | None = None
) -> Iterator[str]:
    """A note where a host would leave out a page, and say nothing, because its date has not come.

    Args:
        date: YYYY-MM-DD, which both programs take for the first moment of that day; "" for none.
        zones: the time zones by which the host may read it; "" is this machine's.
        command: what shows the entry all the same.
        now: in UTC; None: now.
    """
    now = now or datetime.datetime.now(datetime.timezone.utc)
    here = now.astimezone().date().isoformat()
    for zone in zones:
        if date > _day(now, zone):
            come = f"{date}, is to come" + (f" by the time of {zone}" if date <= here else "")
            yield f"the report's date, {come}: {program} leaves the entry out until then, or: {command}"
            return


def _day(now: datetime.datetime, zone: str) -> str:
    """The day in a time zone; where that is not known, the last one that it can be."""
    try:
        # Not every system has the table of zones.
        there = now if zone == "UTC" else now.astimezone(ZoneInfo(zone) if zone else None)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        there = now.astimezone(LAST)
    return there.date().isoformat()


def front_matter(values: Values) -> str:
    """YAML between two lines of ---; what is empty is left out.

    A JSON string is a double-quoted YAML string, but for characters that YAML does not allow as they are.
    """
    return "".join(["---\n", *_yaml(values, ""), "---\n"])


def _yaml(values: Values, indent: str) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield f"{indent}{key}:\n"
            yield from _yaml(value, f"{indent}  ")
        elif value != "":
            yield f"{indent}{key}: {_quoted(value) if isinstance(value, str) else json.dumps(value)}\n"


def _quoted(text: str) -> str:
    return UNFIT.sub(lambda found: f"\\u{ord(found.group()):04x}", json.dumps(text, ensure_ascii=False))


def _page(front: Values, summary: Summary, picture: str, link: str) -> bytes:
    """The entry: a picture that leads to the report, the main numbers, the credits."""
    rows = [f"| {' | '.join(map(_words, (one.label, one.value, one.context)))} |" for one in summary.numbers]
    table = ["| Measure | Value | Of what |", "|---|---|---|", *rows] if rows else []
    byline = _words(", ".join([*summary.byline, *filter(None, [summary.date])]))
    parts = [
        _words(summary.subtitle),
        picture,
        "\n".join(table),
        link,
        f"Made with {_words(summary.made_with)}." if summary.made_with else "",
        byline,
        "\n".join(f"- {_words(credit)}" for credit in summary.credits),
    ]
    body = "\n\n".join(part for part in parts if part)
    return f"{front_matter(front)}\n{body}\n".encode()


def _literal(text: str) -> str:
    """Text that Markdown, Liquid and HTML show as it is; an entity is read by none of them."""
    line = MARKS.sub(lambda found: f"&#{ord(found.group())};", " ".join(text.split()))
    # At the beginning of a line these would make a list or a heading of it.
    return re.sub(r"^([-+=:>]|\d+[.)](?=\s|$))", lambda found: f"&#{ord(found[1][0])};{found[1][1:]}", line)


def _words(text: str) -> str:
    """`_literal` for the page itself, where two hyphens would become a dash, three dots one sign, :joy: a picture."""
    return TYPOGRAPHY.sub(lambda found: "".join(f"&#{ord(sign)};" for sign in found[0]), _literal(text))


def _liquid(path: str) -> str:
    """An address below the site's baseurl, whatever that is when the site is built."""
    return "{{ '" + path + "' | relative_url }}"


def _report(site: Published, below: str) -> dict[str, bytes]:
    return {posixpath.join(below, path): data for path, data in site.whole().items() if path not in OF_THE_ROOT}


def _teaser(site: Published) -> bytes:
    """As JPEG, for al-folio makes its smaller sizes from JPEG and PNG alone."""
    return raster.jpeg(read_photo(site.folder / TEASER))
