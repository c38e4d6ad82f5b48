"""Entries for Jekyll and Hugo: the keys that themes read, words that nothing obeys, and real sites built from them."""

from __future__ import annotations

import datetime
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from PIL import Image

from generator.publishing import check
from generator.publishing.exports import Exported, export, portfolio
from generator.publishing.exports.placing import RECORD
from generator.publishing.published import Published
from tests import sites
from tests.publishing.exports.conftest import HOSTILE

JEKYLL = """
title: mine
baseurl: "/my/base"
collections: {portfolio: {output: true, permalink: "/:collection/:path/"}}
defaults: [{scope: {path: "", type: portfolio}, values: {layout: single}}]
"""
LAYOUT = """<!doctype html><html lang="en"><head><title>{{ page.title | strip_html }}</title></head><body>
<h1>{{ page.title | markdownify }}</h1><p id="excerpt">{{ page.excerpt | markdownify | strip_html }}</p>
<div id="tile">{{ page.excerpt }}</div><img id="teaser" src="{{ page.header.teaser | relative_url }}" alt="">
<img id="img" src="{{ page.img | relative_url }}" alt=""><main>{{ content }}</main></body></html>"""


class Page(HTMLParser):
    """A page's elements and its text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.words += data

    def addresses(self, *names: str) -> list[str]:
        return [given[name] for _, given in self.elements for name in names if name in given]


def made(site: Published, kind: str, to: Path, **said: Any) -> Exported:
    return export(kind, site, sites.settings(**said), to, "my-cnn")


def front(text: str) -> dict[str, Any]:
    """The values of a front matter's top level; each is JSON, which is how YAML reads it, too."""
    block = text.split("---\n")[1]
    assert text.startswith("---\n")
    return {key: json.loads(value) for key, _, value in (line.partition(": ") for line in block.splitlines()) if value}


def test_a_jekyll_entry_has_the_keys_that_three_themes_read(site: Published, to: Path) -> None:
    done = made(site, "jekyll", to, date="2026-07-31")
    text = done.page.read_text("utf-8")
    values = front(text)
    assert done.page == to / "_portfolio" / "my-cnn.md"
    assert values["title"] == "What a small network sees"
    assert (values["collection"], values["layout"], values["date"]) == (
        "portfolio",
        "single",
        "2026-07-31",
    )  # academicpages
    assert re.search(r'^header:\n  teaser: "/assets/img/my-cnn.jpg"$', text, re.MULTILINE)  # minimal-mistakes
    assert (values["img"], values["importance"], values["category"]) == (
        "/assets/img/my-cnn.jpg",
        1,
        "work",
    )  # al-folio
    assert values["description"].startswith("Learnt filters")
    assert re.fullmatch(r'Learnt .*<br/><img src="/assets/img/my-cnn.jpg" alt="[^"<>]+">', values["excerpt"])
    with Image.open(to / "assets" / "img" / "my-cnn.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (800, 500))


def test_al_folio_has_its_projects(site: Published, to: Path) -> None:
    (to / "_projects").mkdir(parents=True)
    done = made(site, "jekyll", to)
    assert done.page == to / "_projects" / "my-cnn.md"
    text = done.page.read_text("utf-8")
    assert (front(text)["layout"], front(text)["collection"]) == ("page", "projects")
    assert "'/projects/my-cnn/report/index.html' | relative_url" in text
    assert (to / "projects" / "my-cnn" / "report" / "index.html").is_file()


def test_the_baseurl_stands_before_the_picture_that_no_theme_can_address(site: Published, to: Path) -> None:
    to.mkdir()
    (to / "_config.yml").write_text(
        "title: x\nbaseurl : '/my/base/' # mine\ncollections:\n  portfolio:\n    output: true\n"
    )
    done = made(site, "jekyll", to)
    assert '<img src=\\"/my/base/assets/img/my-cnn.jpg\\"' in done.page.read_text("utf-8")
    assert done.notes == ()


@pytest.mark.parametrize(
    ("config", "note"),
    [(None, "has no _config.yml"), ("title: x\n", "names no collection portfolio, so Jekyll leaves the entry out")],
)
def test_what_the_jekyll_site_lacks_is_said(site: Published, to: Path, config: str | None, note: str) -> None:
    to.mkdir()
    if config:
        (to / "_config.yml").write_text(config)
    (said,) = made(site, "jekyll", to).notes
    assert note in said


@pytest.mark.parametrize(
    ("kind", "file", "command"),
    [("jekyll", "_config.yml", "jekyll build --future"), ("hugo", "hugo.toml", "hugo --buildFuture")],
)
def test_an_entry_that_is_left_out_until_its_date_is_noted(
    site: Published, to: Path, kind: str, file: str, command: str
) -> None:
    to.mkdir()
    (to / file).write_text("collections: {portfolio: {output: true}}" if kind == "jekyll" else "")
    today = datetime.date.today()
    tomorrow = (today + datetime.timedelta(days=1)).isoformat()
    for date in ("", today.isoformat()):
        assert made(site, kind, to, date=date).notes == ()
    assert made(site, kind, to, date=tomorrow).notes == (
        f"the report's date, {tomorrow}, is to come: {kind.title()} leaves the entry out until then, or: {command}",
    )


def test_a_hugo_bundle_has_its_picture_and_its_report_in_static(site: Published, to: Path) -> None:
    done = made(site, "hugo", to, date="2026-07-31")
    bundle = to / "content" / "portfolio" / "my-cnn"
    text = done.page.read_text("utf-8")
    assert done.page == bundle / "index.md"
    assert sorted(path.name for path in bundle.iterdir()) == ["featured.webp", "index.md"]
    assert (bundle / "featured.webp").read_bytes() == site.files["assets/figures/teaser.webp"]
    values = front(text)
    assert (values["title"], values["date"], values["draft"]) == ("What a small network sees", "2026-07-31", False)
    assert values["url"] == "/portfolio/my-cnn/"
    assert '\ncover:\n  image: "featured.webp"\n  alt: "' in text
    assert "\nimages:" not in text
    assert (to / "static" / "portfolio" / "my-cnn" / "report" / "index.html").is_file()
    assert "hugo new site" in done.notes[0]


def test_hugo_takes_the_section_of_projects_that_the_site_has(site: Published, to: Path) -> None:
    (to / "content" / "projects").mkdir(parents=True)
    (to / "hugo.toml").write_text("")
    done = made(site, "hugo", to)
    assert done.page == to / "content" / "projects" / "my-cnn" / "index.md"
    assert done.notes == ()


@pytest.mark.parametrize(("kind", "below"), [("jekyll", "portfolio"), ("hugo", "static/portfolio")])
def test_the_report_beside_the_entry_is_the_site_without_what_roots_are_asked_for(
    site: Published, to: Path, kind: str, below: str
) -> None:
    made(site, kind, to)
    report = to / below / "my-cnn" / "report"
    copied = {path.relative_to(report).as_posix(): path.read_bytes() for path in report.rglob("*") if path.is_file()}
    roots = {"404.html", "robots.txt", "sitemap.xml", ".nojekyll"}
    assert copied == {path: data for path, data in site.files.items() if path not in roots}
    assert not list(to.rglob(".manifest.json"))
    assert [str(one) for one in check.check(copied) if not one.harmless] == []


def test_without_a_teaser_no_picture_is_named(site: Published, to: Path) -> None:
    bare = replace(site, files={path: data for path, data in site.files.items() if "teaser" not in path})
    for kind in ("jekyll", "hugo"):
        text = made(bare, kind, to).page.read_text("utf-8")
        assert not re.search(r"teaser|img|cover|featured", text)


@pytest.mark.parametrize(
    "text", ['"', "\\", "a: b # c", "- x", "{{ x }}", "\u2028\x85\ufeff", "'", "é 😀", "yes", "a\tb"]
)
def test_front_matter_is_quoted(text: str) -> None:
    line = portfolio.front_matter({"title": text}).splitlines()[1]
    assert json.loads(line.removeprefix("title: ")) == text
    assert not re.search("[\x7f-\x9f\u2028\u2029\ufeff]", line)


# The real programs, from the Debian packages of their names.


@pytest.fixture
def jekyll() -> str:
    return program("jekyll")


@pytest.fixture
def hugo() -> str:
    return program("hugo")


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}: it is not installed (Debian: apt-get install {name})")
    return found


def ran(*command: str, folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not re.search(r"(?i)\b(error|warn(ing)?)\b", done.stdout + done.stderr), done.stdout + done.stderr


def resolved(root: Path, page: str, address: str, base: str) -> Path:
    """The file of an address on a page, as a browser and a static host find it."""
    path = unquote(urlsplit(address).path)
    if path.startswith("/"):
        assert path.startswith(f"{base}/"), address
        found = root / path.removeprefix(f"{base}/")
    else:
        found = (root / page).parent / path
    return found / "index.html" if found.is_dir() else found


@pytest.mark.slow
def test_a_real_jekyll_site_shows_the_entry(site: Published, to: Path, jekyll: str) -> None:
    (to / "_layouts").mkdir(parents=True)
    (to / "_layouts" / "single.html").write_text(LAYOUT)
    (to / "_config.yml").write_text(JEKYLL)
    done = made(site, "jekyll", to, title=HOSTILE, subtitle=HOSTILE, author=HOSTILE, date="2020-01-31")
    assert done.notes == ()
    ran(jekyll, "build", "--quiet", "--disable-disk-cache", folder=to)
    entry = "portfolio/my-cnn/index.html"
    page = Page((to / "_site" / entry).read_text("utf-8"))
    # Each word of the title reaches the reader as it was written, wherever the theme puts it.
    words = " ".join(page.words.replace("\u2019", "'").replace("\u201c", '"').replace("\u201d", '"').split())
    assert words.count(HOSTILE) >= 4
    assert not [tag for tag, given in page.elements if tag in ("b", "script", "em", "i", "code") or "onclick" in given]
    links = page.addresses("href", "src")
    assert len(links) >= 5
    assert "/my/base/portfolio/my-cnn/report/index.html" in links
    assert links.count("/my/base/assets/img/my-cnn.jpg") == 4  # tile, teaser, img, and the page's own
    for link in links:
        assert resolved(to / "_site", entry, link, "/my/base").is_file(), link
    report = to / "_site" / "portfolio" / "my-cnn" / "report"
    copied = {path.relative_to(report).as_posix(): path.read_bytes() for path in report.rglob("*") if path.is_file()}
    assert copied["index.html"] == site.files["index.html"]
    assert [str(one) for one in check.check(copied) if not one.harmless] == []
    assert not list((to / "_site").rglob(RECORD))


@pytest.mark.slow
@pytest.mark.parametrize("moved", ["", "uglyURLs = true\n", "[permalinks]\nportfolio = '/projects/:year/:title/'\n"])
def test_a_real_hugo_site_shows_the_entry(site: Published, to: Path, hugo: str, moved: str) -> None:
    layouts = to / "layouts" / "_default"
    layouts.mkdir(parents=True)
    (layouts / "single.html").write_text(
        '<!doctype html><html lang="en"><head><title>{{ .Title }}</title></head><body><h1>{{ .Title }}</h1>'
        '<p>{{ .Summary }}</p>{{ with .Resources.GetMatch "featured*" }}<img src="{{ .RelPermalink }}" alt="">{{ end }}'
        "<main>{{ .Content }}</main></body></html>"
    )
    (layouts / "list.html").write_text(
        "<ul>{{ range .Pages }}<li><a href='{{ .RelPermalink }}'>{{ .Title }}</a>{{ end }}"
    )
    (to / "config.toml").write_text(
        'baseURL = "https://example.org/my/base/"\ntitle = "mine"\ndisableKinds = ["taxonomy", "term", "RSS", "home"]\n'
        + moved
    )
    done = made(site, "hugo", to, title=HOSTILE, subtitle=HOSTILE, author=HOSTILE, date="2020-01-31")
    assert done.notes == ()
    ran(hugo, "--quiet", folder=to)
    entry = "portfolio/my-cnn/index.html"
    page = Page((to / "public" / entry).read_text("utf-8"))
    words = " ".join(page.words.replace("\u2019", "'").replace("\u201c", '"').replace("\u201d", '"').split())
    assert words.count(HOSTILE) >= 4
    assert not [tag for tag, given in page.elements if tag in ("b", "script", "em", "i", "code") or "onclick" in given]
    links = page.addresses("href", "src")
    assert {"report/index.html", "featured.webp", "/my/base/portfolio/my-cnn/featured.webp"} <= set(links)
    for link in links:
        if not link.startswith("https://example.org/stamps"):  # a credit's address, which Hugo makes a link
            assert resolved(to / "public", entry, link, "/my/base").is_file(), link
    with Image.open(io.BytesIO((to / "public" / "portfolio" / "my-cnn" / "featured.webp").read_bytes())) as image:
        assert image.size == (800, 500)
    report = to / "public" / "portfolio" / "my-cnn" / "report"
    assert (report / "index.html").read_bytes() == site.files["index.html"]
