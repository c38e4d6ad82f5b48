"""The short form says what the site's results and pages say, and nothing else."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import replace
from html import escape, unescape
from pathlib import Path

import html5lib
import pytest

from generator.base.errors import InputError
from generator.config import schema
from generator.publishing import published, writer
from generator.publishing.exports import export
from generator.publishing.exports.summary import Summary, summary
from generator.publishing.published import Published
from tests import sites
from tests.pages.test_any_report import site_of
from tests.publishing.exports.conftest import HOSTILE


@pytest.fixture(scope="module")
def told(site: Published) -> Summary:
    return summary(site, sites.settings(author="A. Author", course=" Seeing \n machines ", date="2026-07-31").report)


def test_title_and_byline_are_those_of_report_toml_on_one_line(told: Summary) -> None:
    assert told.title == "What a small network sees"
    assert told.byline == ("A. Author", "Seeing machines")
    assert (told.date, told.language) == ("2026-07-31", "en")
    assert told.made_with.startswith("Python, HTML, CSS, JavaScript, PyTorch")


def test_the_numbers_are_those_of_the_results(told: Summary) -> None:
    cnn, alexnet = told.numbers
    # 32 of 40 right; the interval of the synthetic records is written beside it, as guessing among four classes is.
    assert (cnn.label, cnn.value) == ("SmallCNN: accuracy", "80.0\u00a0%")
    assert cnn.context.startswith("of 40\u00a0test images are named correctly (95 % interval: ")
    assert cnn.context.endswith("Guessing: 25.0\u00a0%. 1.2\u00a0million weights.")
    assert alexnet.label == "AlexNet: accuracy"


def test_a_network_that_was_not_evaluated_is_said_to_be_so(site: Published) -> None:
    results = json.loads(site.files["results.json"])
    results["networks"]["cnn"]["evaluation"] = None
    files = {**site.files, "results.json": json.dumps(results).encode()}
    number = summary(replace(site, files=files), sites.settings().report).numbers[0]
    assert (number.label, number.context) == ("SmallCNN: weights", "It has not been evaluated.")


def test_the_pictures_are_the_sites_with_their_text_alternatives(told: Summary, site: Published) -> None:
    assert [picture.id for picture in told.hero] == ["hero-photo", "hero-filters", "hero-maps", "hero-cam"]
    assert all(picture.path in site.files and picture.alt for picture in told.hero)
    pages = b"".join(data for path, data in site.files.items() if path.endswith(".html")).decode()
    assert all(f'alt="{picture.alt}"' in pages for picture in told.hero)
    assert told.teaser is not None
    # The teaser has two rows, the tile on the first page one.
    first, second = told.teaser.alt.split("; below, ")
    assert first.startswith("The report in four columns: the photo Bee, ")
    assert second.startswith("the photo ")
    assert "Bee" not in second


def test_the_figures_are_a_curve_and_a_right_and_a_wrong_photo(told: Summary) -> None:
    curve, right, wrong = told.figures
    assert curve.svg.startswith("<svg")
    assert curve.alt.startswith("Line chart of SmallCNN’s accuracy over the epochs of the run augmented")
    # The bee is named rightly; the pizza is called a lion: logit 4, one of 2, two of 0, e⁴ / (e⁴ + e² + 2) = 0.853.
    assert "(right)" in right.caption
    assert (
        wrong.caption == "A slice of pizza: lion, 85.3\u00a0% (wrong: it is pizza). Bright: what spoke for the answer."
    )


def test_photos_that_are_shown_are_credited(told: Summary) -> None:
    assert "Photo “Bee”: A. Painter, GPL-2, https://example.org/stamps." in told.credits
    assert len(told.credits) == len(set(told.credits))


def test_the_photo_of_the_teasers_second_row_is_credited_too(site: Published) -> None:
    results = json.loads(site.files["results.json"])
    results["tile"] = "The report in four columns: the photo of nobody; below, the photo Zebra."
    credit = {"author": "Z. Ebra", "licence": "CC0", "url": "", "origin": ""}
    results["photos"].append({**results["photos"][0], "id": "zebra", "title": "Zebra", "credit": credit})
    files = {**site.files, "results.json": json.dumps(results).encode()}
    assert "Photo “Zebra”: Z. Ebra, CC0." in summary(replace(site, files=files), sites.settings().report).credits


def test_the_address_is_the_one_that_the_site_was_built_for(told: Summary) -> None:
    assert told.address == "https://example.org/cnn"


def test_a_bare_site_has_a_short_form_too(site: Published) -> None:
    files = {path: data for path, data in site.files.items() if path in ("index.html", "results.json")}
    told = summary(replace(site, files=files), sites.settings().report)
    assert (told.teaser, told.figures, len(told.numbers)) == (None, (), 2)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "[]",
        "{}",
        '{"networks": {}, "photos": [], "data": {"chance": 1}}',
        '{"networks": {"cnn": {}}, "photos": [], "data": {}}',
        '{"networks": {"cnn": {"title": "", "parameters": 1, "photos": {}}}, "photos": [], "data": {}}',
    ],
)
def test_results_of_another_version_are_told(site: Published, text: str | None) -> None:
    files = {path: data for path, data in site.files.items() if path != "results.json"}
    if text is not None:
        files["results.json"] = text.encode()
    with pytest.raises(InputError, match=r"results\.json: expected the results of this version of the program"):
        summary(replace(site, files=files), sites.settings().report)


KINDS = ("fragment", "jekyll", "hugo", "notebook")
# What each line of an export says where a part of the sentence is missing.
HOLES = re.compile(r"Made with \.|: \.|, \.|, ,|\(\)|· ·|\bNone\b(?! of them)|“”|\[\]\(|\(/index|Sources\s*$")
WHOLE = {
    "subtitle": "Seen", "author": "A. Author", "course": "Seeing", "institution": "A school", "date": "2020-01-31",
    "languages": ("Python",), "libraries": ("NumPy",), "links": (schema.Link("Mine", "https://example.org"),),
}  # fmt: skip


def bare(site: Published, without: str) -> Published:
    """The site as one that has no evaluation, no photos, or no credits would be."""
    results = json.loads(site.files["results.json"])
    for network in results["networks"].values():
        if without in ("evaluation", "every"):
            network["evaluation"] = None
        if without in ("photos", "every"):
            network["photos"] = {}
        if without in ("runs", "every"):
            network["runs"] = []
    for photo in results["photos"]:
        if without in ("credits", "every"):
            photo["credit"] = {"author": "", "licence": "", "url": "", "origin": ""}
    return replace(site, files={**site.files, "results.json": json.dumps(results).encode()})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("without", [*WHOLE, "evaluation", "photos", "runs", "credits", "every"])
def test_what_is_missing_leaves_no_hole_in_a_sentence(site: Published, tmp_path: Path, kind: str, without: str) -> None:
    if kind == "notebook":
        pytest.importorskip("nbformat")
    said = {key: value for key, value in WHOLE.items() if without not in (key, "every")}
    empty = {key: type(value)() for key, value in WHOLE.items()}
    settings = sites.settings(**{**empty, **said})
    to = tmp_path / ("a.html" if kind == "fragment" else "to")
    page = export(kind, bare(site, without), settings, to, "a").page
    text = page.read_text("utf-8")
    if kind == "notebook":
        cells = json.loads(text)["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        for line in text.splitlines():
            assert line.strip("# ") or line == ""
        text += re.sub(r"<pre.*?</pre>", "", page.with_suffix(".html").read_text("utf-8"), flags=re.DOTALL)
    words = unescape(re.sub(r"\{\{.*?\}\}", "/x", text))
    assert not HOLES.search(words), HOLES.search(words)
    assert ("Made with" in words) == (without not in ("every",))


@pytest.mark.parametrize("kind", KINDS)
def test_what_no_file_can_hold_is_a_replacement_character(site: Published, tmp_path: Path, kind: str) -> None:
    """NUL, other control characters, halves of surrogates: a record may hold them, HTML, YAML and UTF-8 may not."""
    if kind == "notebook":
        pytest.importorskip("nbformat")
    results = json.loads(site.files["results.json"])
    for network in results["networks"].values():
        network["title"] = "a\0b\x1bc\ud800d"
    files = {**site.files, "results.json": json.dumps(results).encode()}
    to = tmp_path / ("a.html" if kind == "fragment" else "to")
    page = export(kind, replace(site, files=files), sites.settings(), to, "a").page
    text = page.read_text("utf-8")
    assert "a\ufffdb\ufffdc\ufffdd" in text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]", text)


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_title_makes_a_short_name(site: Published, tmp_path: Path, kind: str) -> None:
    if kind == "notebook":
        pytest.importorskip("nbformat")
    to = tmp_path / ("a.html" if kind == "fragment" else "to")
    done = export(kind, site, sites.settings(title="word " * 100), to)
    names = {part for path in done.placed.written for part in path.split("/")}
    assert max(map(len, names)) <= 200 + len(".ipynb")
    with pytest.raises(InputError, match="--slug: expected 200 letters at most, got 300"):
        export(kind, site, sites.settings(), to, "a" * 300)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are not bytes")
@pytest.mark.parametrize("kind", KINDS)
def test_folders_with_any_name(site: Published, tmp_path: Path, kind: str) -> None:
    if kind == "notebook":
        pytest.importorskip("nbformat")
    folder = tmp_path / os.fsdecode(b"caf\xe9 '\"\n:\\ -x")
    folder.mkdir()
    (folder / "report.toml").touch()
    settings = replace(sites.settings(), path=folder / "report.toml")
    to = folder / os.fsdecode(b"n\xff.html" if kind == "fragment" else b"n\xff")
    for _ in range(2):
        assert export(kind, site, settings, to).page.is_file()
    assert json.loads((to.parent if kind == "fragment" else to).joinpath(".cnn-report.json").read_text("utf-8"))


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_photos_classes_and_networks_are_text_in_every_export(
    site: Published, tmp_path: Path, kind: str
) -> None:
    """The words of the data, not only those of report.toml: as the records and the pages would hold them."""
    if kind == "notebook":
        pytest.importorskip("nbformat")
    results = json.loads(site.files["results.json"])
    results["tile"] = f"{HOSTILE} {results['tile']}"
    for photo in results["photos"]:
        photo["title"] += f" {HOSTILE}"
    for network in results["networks"].values():
        network["title"] += f" {HOSTILE}"
        for look in network["photos"].values():
            look["predicted"] += f" {HOSTILE}"
    files = {
        path: data.replace(b' alt="', f' alt="{escape(HOSTILE)} '.encode()) if path.endswith(".html") else data
        for path, data in site.files.items()
    }
    files["results.json"] = json.dumps(results).encode()
    to = tmp_path / ("a.html" if kind == "fragment" else "to")
    page = export(kind, replace(site, files=files), sites.settings(), to, "a").page
    text = (page.with_suffix(".html") if kind == "notebook" else page).read_text("utf-8")
    if kind in ("jekyll", "hugo"):
        # Neither Markdown, Liquid, a shortcode nor HTML begins in the words; the values in front are JSON strings.
        body = text.split("---\n", 2)[2].replace("{{ '/", "").replace("' | relative_url }}", "")
        assert not re.search(r"\{\{|\{%|<b |\*b\*|\[a\]\(j", body)
        return
    parsed = list(html5lib.parse(text, namespaceHTMLElements=False).iter())
    assert unescape(text).count(HOSTILE) > 10
    assert not [element for element in parsed if element.tag in ("b", "script") or "onclick" in element.attrib]


@pytest.fixture(scope="module")
def unfilled(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """The site of a report that names no network yet."""
    folder = tmp_path_factory.mktemp("unfilled") / "site"
    writer.place(dict(site_of(0)), folder, {"inputs": "1"})
    return published.read(folder)


@pytest.mark.parametrize("kind", ["jekyll", "hugo", "fragment"])
def test_a_report_of_no_network_is_carried_as_any(unfilled: Published, tmp_path: Path, kind: str) -> None:
    """Before, its results were taken for those of another version."""
    (tmp_path / "_config.yml").touch()
    (tmp_path / "hugo.toml").touch()
    config = sites.settings(title="Nothing yet")
    page = export(kind, unfilled, config, tmp_path / "entry.html" if kind == "fragment" else tmp_path).page
    assert "Nothing yet" in page.read_text()
    told = summary(unfilled, config.report)
    assert (told.numbers, told.hero, told.figures, told.filters) == ((), (), (), None)


def test_a_notebook_of_no_network_is_refused_in_one_line(unfilled: Published, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"^--to notebook: expected a report of at least one network, .* shows none: add"
    ):
        export("notebook", unfilled, sites.settings(), tmp_path)
    assert list(tmp_path.iterdir()) == []
