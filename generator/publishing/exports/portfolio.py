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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generator.data.image_files import read_photo
from generator.figures import raster
from generator.publishing.exports.summary import TEASER, Summary
from generator.publishing.published import Published

REPORT = "report"  # the folder of the whole site, beside the entry
# What only the root of a host is asked for.
OF_THE_ROOT = frozenset({"404.html", "robots.txt", "sitemap.xml", ".nojekyll"})
# Characters that Markdown, Liquid, HTML or a theme's attribute may read as more than themselves.
MARKS = re.compile(r"""[\\`*_{}\[\]<>&"|~^$#]""")
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
    """An entry of a collection: `_projects` where the site has one and no `_portfolio`, else `_portfolio`.

    Args:
        name: of the entry, [a-z0-9-]+.
        folder: the Jekyll site, read for its collections, its theme and its baseurl.
    """
    settings = _text(folder / "_config.yml")
    projects = (folder / "_projects").is_dir() and not (folder / "_portfolio").is_dir()
    collection = "projects" if projects else "portfolio"
    page = f"_{collection}/{name}.md"
    report = f"{collection}/{name}/{REPORT}"
    image = f"assets/img/{name}.jpg"
    files = _report(site, report)
    front: dict[str, Any] = {
        "layout": "page" if projects else "single",
        "title": _literal(summary.title),
        "description": _literal(summary.description),
        "excerpt": _literal(summary.description),
        "collection": collection,
        "date": summary.date,
        "lang": summary.language,
        "importance": 1,
        "category": "work",
    }
    if summary.teaser:
        files[image] = _teaser(site)
        alt = _literal(summary.teaser.alt)
        front["header"] = {"teaser": f"/{image}"}
        front["img"] = f"/{image}"
        front["excerpt"] += f'<br/><img src="{_base(settings)}/{image}" alt="{alt}">'
    link = _liquid(f"/{report}/index.html")
    picture = (
        f'<a href="{link}"><img src="{_liquid(f"/{image}")}" alt="{_literal(summary.teaser.alt)}"></a>'
        if summary.teaser
        else ""
    )
    files[page] = _page(front, summary, picture, f'<a href="{link}">Open the whole report</a>')
    notes = (*_jekyll_notes(folder, settings, collection), *_future(summary, "Jekyll", "jekyll build --future"))
    return Entry(files, (page,), notes)


def hugo(site: Published, summary: Summary, name: str, folder: Path) -> Entry:
    """A leaf bundle in content/portfolio, or in the section of projects that the site has.

    The report goes to static/: in a bundle Hugo takes .html files for pages of its own.
    """
    section = next(
        (one for one in ("portfolio", "projects", "project") if (folder / "content" / one).is_dir()), "portfolio"
    )
    bundle = f"content/{section}/{name}"
    files = _report(site, f"static/{section}/{name}/{REPORT}")
    front: dict[str, Any] = {
        "title": summary.title,
        # Where static/ has the report, whatever `permalinks` or `uglyURLs` of the site say.
        "url": f"/{section}/{name}/",
        "description": summary.description,
        "summary": _literal(summary.description),  # which Hugo reads as Markdown, unlike the other values
        "date": summary.date,
        "draft": False,
    }
    if summary.teaser:
        files[f"{bundle}/featured.webp"] = site.files[TEASER]
        front["cover"] = {"image": "featured.webp", "alt": summary.teaser.alt, "relative": True}
    picture = f"[![{_literal(summary.teaser.alt)}](featured.webp)]({REPORT}/index.html)" if summary.teaser else ""
    files[f"{bundle}/index.md"] = _page(front, summary, picture, f"[Open the whole report]({REPORT}/index.html)")
    configured = any((folder / file).exists() for file in _hugo_files())
    note = f"{folder} has no hugo.toml: give the folder of your Hugo site, or make one with: hugo new site"
    notes = (*(() if configured else (note,)), *_future(summary, "Hugo", "hugo --buildFuture"))
    return Entry(files, (f"{bundle}/index.md",), notes)


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
    rows = [f"| {' | '.join(map(_literal, (one.label, one.value, one.context)))} |" for one in summary.numbers]
    table = ["| Measure | Value | Of what |", "|---|---|---|", *rows] if rows else []
    byline = _literal(", ".join([*summary.byline, *filter(None, [summary.date])]))
    parts = [
        _literal(summary.subtitle),
        picture,
        "\n".join(table),
        link,
        f"Made with {_literal(summary.made_with)}." if summary.made_with else "",
        byline,
        "\n".join(f"- {_literal(credit)}" for credit in summary.credits),
    ]
    body = "\n\n".join(part for part in parts if part)
    return f"{front_matter(front)}\n{body}\n".encode()


def _literal(text: str) -> str:
    """Text that Markdown, Liquid and HTML show as it is; an entity is read by none of them."""
    line = MARKS.sub(lambda found: f"&#{ord(found.group())};", " ".join(text.split()))
    # At the beginning of a line these would make a list or a heading of it.
    return re.sub(r"^([-+=:>]|\d+[.)](?=\s|$))", lambda found: f"&#{ord(found[1][0])};{found[1][1:]}", line)


def _liquid(path: str) -> str:
    """An address below the site's baseurl, whatever that is when the site is built."""
    return "{{ '" + path + "' | relative_url }}"


def _report(site: Published, below: str) -> dict[str, bytes]:
    return {posixpath.join(below, path): data for path, data in site.whole().items() if path not in OF_THE_ROOT}


def _teaser(site: Published) -> bytes:
    """As JPEG, for al-folio makes its smaller sizes from JPEG and PNG alone."""
    return raster.jpeg(read_photo(site.folder / TEASER))


def _base(settings: str) -> str:
    """The site's baseurl: in front matter no theme can put it before an <img>."""
    found = re.search(r"""^baseurl\s*:\s*["']?(/[^"'#\s]*)""", settings, re.MULTILINE)
    return found[1].rstrip("/") if found else ""


def _jekyll_notes(folder: Path, settings: str, collection: str) -> Iterator[str]:
    if not settings:
        yield f"{folder} has no _config.yml: give the folder of your Jekyll site"
    elif not re.search(rf"(^[ \t]+|[{{,]\s*){collection}\s*:", settings, re.MULTILINE):
        yield (
            f"{folder / '_config.yml'} names no collection {collection}, so Jekyll leaves the entry out; add: "
            f"collections: {{{collection}: {{output: true, permalink: /:collection/:path/}}}}"
        )


def _future(summary: Summary, program: str, command: str) -> Iterator[str]:
    """Both programs leave out, and say nothing of, a page whose date has not come."""
    if summary.date > datetime.date.today().isoformat():
        yield f"the report's date, {summary.date}, is to come: {program} leaves the entry out until then, or: {command}"


def _hugo_files() -> Iterator[str]:
    yield "config"
    for name in ("hugo", "config"):
        for ending in ("toml", "yaml", "yml", "json"):
            yield f"{name}.{ending}"


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
