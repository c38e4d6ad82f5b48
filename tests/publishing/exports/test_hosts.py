"""Entries lie where Jekyll and Hugo look by their settings, or a note says what to set; the real programs agree."""

from __future__ import annotations

import datetime
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from generator.publishing.exports import export, hugo, jekyll, portfolio, settings
from generator.publishing.published import Published
from tests import sites

DEFAULT = "content/portfolio/my-cnn/index.md"
LANGUAGES = 'defaultContentLanguage = "en"\n[languages.en]\nweight = 1\n[languages.de]\nweight = 2\n'
GERMAN = LANGUAGES.replace('"en"', '"de"')
# Files of a Hugo site -> where the entry's page and the report's first page must be.
HUGO: dict[str, tuple[dict[str, str], str, str]] = {
    "nothing set": ({"hugo.toml": ""}, DEFAULT, "static"),
    "contentDir": ({"hugo.toml": 'contentDir = "src/inhalt"'}, "src/inhalt/portfolio/my-cnn/index.md", "static"),
    "capital letters, YAML": (
        {"hugo.yaml": "ContentDir: ./inhalt/\nSTATICDIR: [fest, static]\n"}, "inhalt/portfolio/my-cnn/index.md", "fest",
    ),
    "JSON": ({"config.json": '{"contentDir": "inhalt"}'}, "inhalt/portfolio/my-cnn/index.md", "static"),
    "byte order mark": ({"hugo.toml": '\ufeffcontentDir = "inhalt"'}, "inhalt/portfolio/my-cnn/index.md", "static"),
    "hugo.* before config.*": (
        {"hugo.yaml": "contentDir: a", "config.toml": 'contentDir = "b"'}, "a/portfolio/my-cnn/index.md", "static",
    ),
    "config/_default before hugo.toml": (
        {"hugo.toml": 'contentDir = "a"', "config/_default/hugo.toml": 'contentDir = "b"'},
        "b/portfolio/my-cnn/index.md", "static",
    ),
    "config/production before all": (
        {"config/_default/config.toml": 'contentDir = "a"', "config/production/config.yaml": "contentDir: b"},
        "b/portfolio/my-cnn/index.md", "static",
    ),
    "a folder for each language": (
        {"hugo.toml": '[languages.en]\ncontentDir = "content/en"\n[languages.de]\ncontentDir = "content/de"\n'},
        "content/en/portfolio/my-cnn/index.md", "static",
    ),
    "languages in a file": (
        {
            "config/_default/hugo.toml": "",
            "config/_default/languages.toml": '[en]\ncontentDir = "content/english"\n[de]\ncontentDir = "content/de"\n',
        },
        "content/english/portfolio/my-cnn/index.md", "static",
    ),
    "a language in a file": (
        {"hugo.toml": "[languages.en]\nweight = 1", "config/_default/hugo.en.toml": 'contentDir = "words"'},
        "words/portfolio/my-cnn/index.md", "static",
    ),
    "languages by name": ({"hugo.toml": LANGUAGES}, DEFAULT, "static"),
    "another first language": (
        {"hugo.toml": GERMAN}, "content/portfolio/my-cnn/index.en.md", "static",
    ),
    "below the language": ({"hugo.toml": f"defaultContentLanguageInSubdir = true\n{LANGUAGES}"}, DEFAULT, "static"),
    "a language that is off": ({"hugo.toml": f'disableLanguages = ["en"]\n{GERMAN}'}, DEFAULT, "static"),
    "no English": (
        {"hugo.toml": 'defaultContentLanguage = "de"\n[languages.de]\ncontentDir = "content/de"\n'},
        "content/de/portfolio/my-cnn/index.md", "static",
    ),
    "an address for each language": (
        {
            "hugo.toml": 'staticDir = ["static"]\n[languages.en]\nbaseURL = "https://en.example.org/"\n'
            'staticDir = ["en", "more"]\n[languages.de]\nbaseURL = "https://de.example.org/"\n'
        },
        DEFAULT, "en",
    ),
    "mounts": (
        {"hugo.toml": '[[module.mounts]]\nsource = "words"\ntarget = "content"\n'
            '[[module.mounts]]\nsource = "fixed/root"\ntarget = "static"\n'},
        "words/portfolio/my-cnn/index.md", "fixed/root",
    ),
    "a mount in a file": (
        {"config/_default/hugo.toml": "", "config/_default/module.yaml": "mounts: [{source: words, target: content}]"},
        "words/portfolio/my-cnn/index.md", "static",
    ),
    "mounts for languages": (
        {"hugo.toml": LANGUAGES + '[[module.mounts]]\nsource = "c/de"\ntarget = "content"\nlang = "de"\n'
            '[[module.mounts]]\nsource = "c/en"\ntarget = "content"\nlang = "en"\n'},
        "c/en/portfolio/my-cnn/index.md", "static",
    ),
    "a mount of the section": (
        {"hugo.toml": '[[module.mounts]]\nsource = "content"\ntarget = "content"\nexcludeFiles = "portfolio/**"\n'
            '[[module.mounts]]\nsource = "work"\ntarget = "content/portfolio"\n'},
        "work/my-cnn/index.md", "static",
    ),
    "the section that is there": (
        {"hugo.toml": 'contentDir = "inhalt"', "inhalt/projects/_index.md": ""},
        "inhalt/projects/my-cnn/index.md", "static",
    ),
    "the site elsewhere": ({"hugo.toml": 'publishDir = "docs"\nuglyURLs = true\n'}, DEFAULT, "static"),
}  # fmt: skip
# Files of a Hugo site -> what the note says where Hugo would leave the entry out.
HUGO_NOTES: dict[str, tuple[dict[str, str], str]] = {
    "outside": ({"hugo.toml": 'contentDir = "../elsewhere"'}, r"contentDir is '\.\./elsewhere', outside .*: move what"),
    "no pages": ({"hugo.toml": 'disableKinds = ["page"]'}, "disableKinds has 'page'"),
    "ignored": ({"hugo.toml": r"ignoreFiles = ['portfolio/my']"}, "ignoreFiles has 'portfolio/my', so Hugo does not"),
    "another form": ({"hugo.toml": '[outputs]\npage = ["JSON"]'}, r"outputs has page = \['JSON'\]"),
    "a bundle": (
        {"hugo.toml": "", "content/portfolio/index.md": "---\ntitle: All\n---\n"},
        r"content/portfolio/index\.md makes one page of its folder, so Hugo leaves the entry out; name it _index\.md",
    ),
    "no mount": (
        {"hugo.toml": '[[module.mounts]]\nsource = "words"\ntarget = "content/blog"\n'},
        "module.mounts has none that takes files to content",
    ),
    "a mount of some files": (
        {"hugo.toml": '[[module.mounts]]\nsource = "words"\ntarget = "content"\nexcludeFiles = "portfolio/**"\n'},
        "the mount of words takes some files alone",
    ),
    "emptied": ({"hugo.toml": 'publishDir = "static/portfolio"'}, "publishDir is 'static/portfolio', where Hugo"),
}  # fmt: skip
PLAIN = "collections:\n  portfolio:\n    output: true\n"
PAGE = "_portfolio/my-cnn.md"
# Files of a Jekyll site -> where the entry's page and the report's first page must be.
JEKYLL: dict[str, tuple[dict[str, str], str, str]] = {
    "one line": ({"_config.yml": "collections: {portfolio: {output: true}}"}, PAGE, "portfolio"),
    "collections_dir": (
        {"_config.yml": f"collections_dir: my_collections\n{PLAIN}"}, f"my_collections/{PAGE}", "portfolio",
    ),
    "collections_dir in quotes, with dots": (
        {"_config.yml": f"'collections_dir' : \"./all/of them/\"  # mine\n{PLAIN}"}, f"all/of them/{PAGE}", "portfolio",
    ),
    "collections_dir that seems to lead out": (
        {"_config.yml": f"collections_dir: ../up\n{PLAIN}"}, f"up/{PAGE}", "portfolio",
    ),
    "source": ({"_config.yml": f"source: src\n{PLAIN}", "src/x.md": ""}, f"src/{PAGE}", "src/portfolio"),
    "source and collections_dir": (
        {"_config.yml": f"source: ./src\ncollections_dir: c\n{PLAIN}", "src/x.md": ""},
        f"src/c/{PAGE}", "src/portfolio",
    ),
    "TOML": (
        {"_config.toml": 'collections_dir = "c"\n[collections.portfolio]\noutput = true\n'}, f"c/{PAGE}", "portfolio",
    ),
    "a document of several, with an anchor": (
        {"_config.yml": f"---\ncollections_dir: &d c\nx: *d\n{PLAIN}---\ncollections_dir: other\n"},
        f"c/{PAGE}", "portfolio",
    ),
    "projects alone": (
        {"_config.yml": "collections:\n  news:\n  projects:\n    output: true\n"}, "_projects/my-cnn.md", "projects",
    ),
    "projects alone are shown": (
        {"_config.yml": "collections:\n  portfolio:\n  projects:\n    output: true\n", "_portfolio/x.md": ""},
        "_projects/my-cnn.md", "projects",
    ),
    "both": (
        {"_config.yml": f"{PLAIN}  projects:\n    output: true\n", "_projects/x.md": ""},
        "_projects/my-cnn.md", "projects",
    ),
    "an exclusion that is none": (
        {"_config.yml": f"exclude: [vendor, '*.gem', portfolio/my-cnn]\ninclude: [portfolio/my-cnn, .x]\n{PLAIN}"},
        PAGE, "portfolio",
    ),
}  # fmt: skip
JEKYLL_NOTES: dict[str, tuple[str, str]] = {
    "output: false": (
        "collections: {portfolio: {output: false}}",
        "has no output: true for portfolio, so Jekyll writes no",
    ),
    "no output": ("collections:\n  portfolio:\n    permalink: /:name\n", "has no output: true for portfolio"),
    "a list": ("collections: [portfolio]", "has no output: true for portfolio"),
    "nothing in it": ("collections:\n  portfolio:\n", "has no output: true for portfolio"),
    "no such collection": (
        "collections: {posts: {output: true}}",
        "names no collection portfolio, so Jekyll leaves the",
    ),
    "the word in another place": ("x:\n  portfolio: 1\n", "names no collection portfolio"),
    "commented out": ("collections:\n  # portfolio:\n  #   output: true\n  news:\n", "names no collection portfolio"),
    "excluded": (f"exclude: [portfolio]\n{PLAIN}", "exclude: 'portfolio' leaves portfolio/my-cnn/report/.* out"),
    "the beginning of a name": (f"exclude: [/port]\n{PLAIN}", "exclude: '/port' leaves portfolio/my-cnn/report/.* out"),
    "scripts excluded": (f"exclude: ['*.json']\n{PLAIN}", r"exclude: '\*\.json' leaves portfolio/.*\.json out"),
    "the entry excluded": (f"exclude: ['_portfolio/my*']\n{PLAIN}", r"leaves _portfolio/my-cnn\.md out"),
    "emptied": (f"destination: ./portfolio/\n{PLAIN}", "destination is './portfolio/', which Jekyll empties"),
    "another ending": (f"markdown_ext: markdown,mkd\n{PLAIN}", "markdown_ext leaves out md"),
    "source elsewhere": (f"source: ../src\n{PLAIN}", r"source is '\.\./src', outside .*: give that folder"),
    "no YAML": ("collections: {portfolio: {output: true}", r"_config\.yml could not be read \(.*line .*\)"),
    "a type of Ruby": (f"x: !ruby/regexp /a/\n{PLAIN}", r"_config\.yml could not be read \(.*!ruby/regexp"),
    "not keys": ("- a\n", r"_config\.yml could not be read \(expected keys with values\)"),
    "itself": ("a: &a {b: *a}\n", "names no collection portfolio"),
}


def made(site: Published, kind: str, to: Path, files: dict[str, str], **said: Any) -> tuple[Path, tuple[str, ...]]:
    for name, text in files.items():
        file = to / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    done = export(kind, site, sites.settings(**said), to, "my-cnn")
    return done.page, done.notes


@pytest.mark.parametrize("case", HUGO)
def test_hugo_finds_the_entry(site: Published, to: Path, case: str) -> None:
    files, page, static = HUGO[case]
    found, notes = made(site, "hugo", to, files)
    section = "projects" if "projects" in page else "portfolio"
    assert found == to / page
    assert (to / static / section / "my-cnn" / "report" / "index.html").is_file()
    assert [note for note in notes if "the report's language" not in note] == []
    if shutil.which("hugo") and case != "byte order mark":  # which Hugo takes in YAML alone
        page_seen, report_seen = seen_by_hugo(to, section)
        assert page_seen
        # Hugo 0.111 copies static files or not, from run to run, where each language has an address of its own.
        assert report_seen or case == "an address for each language"


@pytest.mark.parametrize("case", HUGO_NOTES)
def test_what_hugo_leaves_out_is_noted(site: Published, to: Path, case: str) -> None:
    files, said = HUGO_NOTES[case]
    _, notes = made(site, "hugo", to, files)
    assert len(notes) == 1
    assert re.search(said, notes[0])
    assert "\n" not in notes[0]
    if shutil.which("hugo") and case not in ("emptied", "no mount"):  # Hugo 0.111 took another's mount for none
        assert seen_by_hugo(to, "portfolio")[0] is False


def seen_by_hugo(to: Path, section: str) -> tuple[bool, bool]:
    """Whether the real program makes a page of the entry, with the report beside it."""
    layouts = to / "layouts" / "_default"
    layouts.mkdir(parents=True)
    (layouts / "single.html").write_text("<title>{{ .Title }}</title>")
    (layouts / "single.json").write_text("{}")
    (layouts / "list.html").write_text("list")
    found = (False, False)
    for attempt in range(3):  # Hugo 0.111 sometimes copies no static file where each language has an address of its own
        out = to / f"public{attempt}"
        done = subprocess.run(
            ["hugo", "--destination", out.name], cwd=to, capture_output=True, text=True, timeout=200, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        for page in (place / section / "my-cnn" / "index.html" for place in (out, out / "en")):
            if page.is_file():
                beside = (page.parent / "report" / "index.html").is_file()
                found = ("What a small network sees" in page.read_text(), beside)
                if all(found):
                    return found
    return found


def test_a_reports_language_chooses_the_folder_and_that_is_said(site: Published, to: Path) -> None:
    files = {"hugo.toml": '[languages.en]\ncontentDir = "content/en"\n[languages.de]\ncontentDir = "content/de"\n'}
    page, notes = made(site, "hugo", to, files, language="de-CH")
    assert page == to / "content/de/portfolio/my-cnn/index.md"
    assert notes == ("the entry is among the pages in 'de', the report's language; the site's first is 'en'",)


def test_settings_that_cannot_be_read_are_told(site: Published, to: Path) -> None:
    (note,) = made(site, "hugo", to, {"hugo.toml": "contentDir = "})[1]
    assert re.fullmatch(
        r".*hugo\.toml could not be read \(Invalid value .*\): the entry is where Hugo looks without it", note
    )
    (note,) = made(site, "hugo", to, {"hugo.toml": "", "config/_default/params.yaml": "a: &a {b: *a}"})[1]
    assert "params.yaml could not be read (" in note


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_no_settings(tmp_path: Path) -> None:
    for name in ("_config.yml", "hugo.toml"):
        os.mkfifo(tmp_path / name)
    assert "has no _config.yml" in jekyll.read(tmp_path).notes[0]
    assert "has no hugo.toml" in hugo.read(tmp_path, "en").notes[0]


@pytest.mark.parametrize("case", JEKYLL)
def test_jekyll_finds_the_entry(site: Published, to: Path, case: str) -> None:
    files, page, below = JEKYLL[case]
    found, notes = made(site, "jekyll", to, files)
    assert found == to / page
    assert (to / below / "my-cnn" / "report" / "index.html").is_file()
    assert notes == ()


@pytest.mark.parametrize("case", JEKYLL_NOTES)
def test_what_jekyll_leaves_out_is_noted(site: Published, to: Path, case: str) -> None:
    text, said = JEKYLL_NOTES[case]
    _, notes = made(site, "jekyll", to, {"_config.yml": text})
    assert len(notes) == 1
    assert re.search(said, notes[0])
    assert "\n" not in notes[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        "collections_dir in quotes, with dots", "collections_dir that seems to lead out", "source and collections_dir",
        "a document of several, with an anchor", "both", "an exclusion that is none", "output: false", "a list",
        "the beginning of a name", "scripts excluded", "the entry excluded", "another ending",
    ],
)  # fmt: skip
def test_a_real_jekyll_agrees(site: Published, to: Path, case: str) -> None:
    if shutil.which("jekyll") is None:
        pytest.skip("needs jekyll: it is not installed (Debian: apt-get install jekyll)")
    files = JEKYLL[case][0] if case in JEKYLL else {"_config.yml": JEKYLL_NOTES[case][0]}
    page, notes = made(site, "jekyll", to, files)
    done = subprocess.run(
        ["jekyll", "build", "--quiet", "--disable-disk-cache"],
        cwd=to, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    entries = [*(to / "_site").rglob("my-cnn*.html"), *(to / "_site").rglob("my-cnn/index.html")]
    copied = {path.relative_to(to / "_site").as_posix() for path in (to / "_site").rglob("*") if path.is_file()}
    section = page.parent.name.removeprefix("_")
    roots = {"404.html", "robots.txt", "sitemap.xml", ".nojekyll"}
    whole = {f"{section}/my-cnn/report/{path}" for path in site.files if path not in roots} <= copied
    assert (bool(entries) and whole) == (notes == ()), (entries, whole)


def test_the_baseurl_is_read_whatever_its_form(tmp_path: Path) -> None:
    for text, base in (
        ("baseurl: /a", "/a"), ("baseurl : '/a b/' # mine", "/a%20b"), ('{"baseurl": "a"}', "/a"), ("baseurl:", ""),
        ("baseurl: /", ""), ("baseurl: 2024", "/2024"), ("baseurl: /ü", "/%C3%BC"), ("x:\n  baseurl: /no\n", ""),
    ):  # fmt: skip
        (tmp_path / "_config.yml").write_text(text, encoding="utf-8")
        assert jekyll.read(tmp_path).base == base


@pytest.mark.parametrize(
    ("text", "there", "layout"),
    [
        ("", (), "single"), ("", ("page",), "page"), ("", ("page", "single"), "single"), ("", ("default",), "default"),
        ("theme: minima", (), "page"), ("remote_theme: mmistakes/minimal-mistakes", ("page",), "single"),
        ("layouts_dir: l", ("page",), "single"),
    ],
)  # fmt: skip
def test_the_layout_is_one_that_the_site_has(tmp_path: Path, text: str, there: tuple[str, ...], layout: str) -> None:
    (tmp_path / "_config.yml").write_text(text)
    (tmp_path / "_layouts").mkdir()
    for name in there:
        (tmp_path / "_layouts" / f"{name}.html").touch()
    assert jekyll.read(tmp_path).layout == layout


def test_the_day_is_that_of_the_host() -> None:
    def note(date: str, zone: str, hour: int) -> str:
        now = datetime.datetime(2026, 3, 1, hour, tzinfo=datetime.timezone.utc)
        return next(portfolio.to_come(date, (zone,), "Hugo", "hugo --buildFuture", now), "")

    # At 11:00 UTC of 1 March it is 2 March on Kiritimati (+14) and 28 February west of -11.
    assert note("2026-03-01", "UTC", 11) == ""
    assert note("2026-03-02", "UTC", 11).startswith("the report's date, 2026-03-02, is to come: Hugo leaves the entry")
    assert note("2026-03-02", "Pacific/Kiritimati", 11) == ""
    assert note("2026-03-02", "Pacific/Kiritimati", 9) != ""
    assert note("2026-03-01", "America/Los_Angeles", 8) == ""
    assert note("2026-03-01", "America/Los_Angeles", 7) == (
        "the report's date, 2026-03-01, is to come by the time of America/Los_Angeles: Hugo leaves the entry out until "
        "then, or: hugo --buildFuture"
    )
    # What is no zone may be any.
    for zone in ("Nowhere/Town", "../../etc/passwd", "EST5EDT4,M3", "a\0b", "/etc"):
        assert note("2026-03-01", zone, 12) == ""
        assert note("2026-03-01", zone, 11) != ""
    for date in ("", "0001-01-01"):
        assert note(date, "Etc/GMT+12", 0) == note(date, "Etc/GMT-14", 23) == ""
    assert note("9999-12-31", "Etc/GMT-14", 0) != ""


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="needs a time zone that a process can choose")
@pytest.mark.parametrize(
    ("kind", "file", "late", "zone"),
    [
        ("hugo", "hugo.toml", "", "timeZone = 'Etc/GMT-14'"),
        ("jekyll", "_config.yml", PLAIN, f"{PLAIN}timezone: Etc/GMT-14"),
    ],
)
def test_today_here_is_tomorrow_there(
    site: Published, to: Path, kind: str, file: str, late: str, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At UTC+14, from 10:00 UTC on; before that, the day of UTC is to come at UTC-12."""
    utc = datetime.datetime.now(datetime.timezone.utc)
    if utc.hour >= 10:
        monkeypatch.setenv("TZ", "<+14>-14")
        date, there = (utc + datetime.timedelta(hours=14)).date().isoformat(), "UTC"
    else:
        zone, late = (text.replace("-14", "-0") + "" for text in (zone, zone.replace("-14", "+12")))
        date, there = utc.date().isoformat(), "Etc/GMT+12"
    time.tzset()
    try:
        notes = made(site, kind, to, {file: late}, date=date)[1]
        assert len(notes) == 1
        assert f"{date}, is to come by the time of {there}: {kind.title()} leaves" in notes[0]
        assert made(site, kind, to, {file: zone}, date=date)[1] == ()
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(("kind", "file", "text"), [
    ("hugo", "hugo.toml", "buildFuture = true"), ("jekyll", "_config.yml", f"{PLAIN}future: true"),
])  # fmt: skip
def test_a_host_that_shows_what_is_to_come_needs_no_note(
    site: Published, to: Path, kind: str, file: str, text: str
) -> None:
    assert made(site, kind, to, {file: text}, date="2999-01-01")[1] == ()


def test_settings_that_nest_without_end_are_told(tmp_path: Path) -> None:
    for name, text in (("a.yml", "[" * 100_000), ("a.json", '{"a":' * 100_000), ("a.toml", "a = " + "[" * 100_000)):
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match=r"\w"):
            settings.read(tmp_path / name)
