"""Every figure of every page: it leads to its numbers, its words hold some, and a chart has its table."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import json
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from typing import Any

import html5lib
import numpy as np
import pytest

from generator.config.schema import Link
from generator.pages.sources import sheet, tabled
from generator.records.figure import Table
from tests import sites


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return sites.files()


@pytest.fixture(scope="module")
def trees(files: dict[str, bytes]) -> dict[str, ET.Element]:
    return {
        path: html5lib.parse(data.decode(), namespaceHTMLElements=False)
        for path, data in files.items()
        if path.endswith(".html")
    }


def has_class(element: ET.Element, name: str) -> bool:
    return name in element.get("class", "").split()


def figures(trees: Mapping[str, ET.Element]) -> Iterator[tuple[str, ET.Element]]:
    for path, tree in trees.items():
        yield from ((f"{path}#{figure.get('id')}", figure) for figure in tree.iter("figure"))


def pointed(files: Mapping[str, bytes], href: str) -> Any:
    """What a link with a JSON Pointer (RFC 6901) as its fragment leads to."""
    path, _, pointer = href.partition("#")
    found = json.loads(files[path])
    for part in pointer.split("/")[1:]:
        found = found[int(part)] if isinstance(found, list) else found[part]
    return found


def test_every_figure_leads_to_its_numbers(files: dict[str, bytes], trees: dict[str, ET.Element]) -> None:
    seen = 0
    for place, figure in figures(trees):
        links = [
            link.get("href", "")
            for link in figure.iter("a")
            if has_class(link, "source") and not has_class(link, "sheet")
        ]
        assert len(links) == 1, place
        found = pointed(files, links[0])
        if links[0].startswith("assets/data/"):
            assert links[0].endswith(f"#/{figure.get('id')}"), place
            assert found["rows"], place
            assert all(len(row) == len(found["columns"]) for row in found["rows"]), place
        else:
            assert found, place
        seen += 1
    assert seen > 100


def test_every_figure_s_numbers_are_a_table_for_spreadsheets_too(
    files: dict[str, bytes], trees: dict[str, ET.Element]
) -> None:
    seen = 0
    for place, figure in figures(trees):
        sheets = [link.get("href", "") for link in figure.iter("a") if has_class(link, "sheet")]
        links = [
            link.get("href", "")
            for link in figure.iter("a")
            if has_class(link, "source") and not has_class(link, "sheet")
        ]
        assert len(sheets) == 1, place
        for href in sheets if links[0].startswith("assets/data/") else ():
            found = pointed(files, links[0])
            rows = [*csv.reader(io.StringIO(files[href].decode("utf-8-sig"), newline=""))]
            said = [["" if cell is None else str(cell) for cell in row] for row in (found["columns"], *found["rows"])]
            assert rows == said, place
            seen += 1
    assert seen > 100
    assert files["assets/data/cnn-per-class.csv"].startswith(codecs.BOM_UTF8)


def test_parts_of_the_results_are_tables_for_spreadsheets_too(
    files: dict[str, bytes], trees: dict[str, ET.Element]
) -> None:
    kinds = set()
    for path, tree in trees.items():
        links = [link for link in tree.iter("a") if has_class(link, "source")]
        for link, after in itertools.pairwise([*links, ET.Element("a")]):
            if (href := link.get("href", "")).startswith("results.json#/"):
                assert has_class(after, "sheet"), (path, href)
                pointer = href.partition("#/")[2]
                assert after.get("href", "").startswith("assets/data/results/"), (path, href)
                rows = [*csv.reader(io.StringIO(files[after.get("href", "")].decode("utf-8-sig"), newline=""))]
                assert len(rows) > 1, (path, href)
                assert {len(row) for row in rows} == {len(rows[0])}, (path, href)
                kinds.add(re.sub(r"/\d+", "", pointer.partition("networks/")[2].partition("/")[2] or pointer))
    assert kinds >= {"blocks", "class_images", "layers", "layers/units", "photos"}


def test_records_of_each_shape_are_tables() -> None:
    assert tabled([{"a": 1, "b": {"c": [1, None]}}, {"a": 2, "d": [{}]}]) == Table(
        ("a", "b.c", "d"), ((1, "1 ", ""), (2, "", "[{}]"))
    )
    assert tabled({"norm": [0.5, 0.25], "shows": [["bee", "cup"], []], "marks": {"1": "dead"}}) == Table(
        ("channel", "norm", "shows", "marks"), ((0, 0.5, "bee cup", ""), (1, 0.25, "", "dead"))
    )
    assert tabled({"channel": [7], "gave": [2], "marks": {"7": "silent"}}).rows == ((7, 2, "silent"),)
    assert tabled({"title": "Bee", "credit": {"author": None}}).rows == (("title", "Bee"), ("credit.author", ""))


def test_no_cell_is_a_formula() -> None:
    table = Table(("=cmd", "n"), (("@SUM(A1)", -0.5), ("+1", 2), ("a,b", math.nan), ("\t=1", 1)))
    lines = sheet(table).decode("utf-8-sig").split("\r\n")
    assert lines == ["'=cmd,n", "'@SUM(A1),-0.5", "'+1,2", '"a,b",', "'\t=1,1", ""]


def test_the_numbers_that_a_figure_leads_to_are_those_of_its_table(
    files: dict[str, bytes], trees: dict[str, ET.Element]
) -> None:
    (figure,) = (one for one in trees["evaluation.html"].iter("figure") if one.get("id") == "cnn-per-class")
    shown = [["".join(cell.itertext()) for cell in row] for row in figure.findall(".//tbody/tr")]
    rows = json.loads(files["assets/data/evaluation.json"])["cnn-per-class"]["rows"]
    told = [[value if isinstance(value, str) else float(value) for value in row] for row in rows]
    assert [[row[0], *map(float, row[1:])] for row in shown] == told


def test_a_heat_map_leads_to_its_cells(files: dict[str, bytes]) -> None:
    cam = sites.drawn()[0].networks[0].explanations["bee"].cam(0)
    for path, name in (("grad-cam-bee", "cam-bee-predicted"), ("grad-cam", "cam-bee-predicted")):
        found = json.loads(files[f"assets/data/{path}.json"])[f"cnn-{name}"]
        assert np.array([row[1:] for row in found["rows"]]) == pytest.approx(cam, rel=1e-3)


def test_units_mistakes_and_images_made_for_classes_lead_to_theirs(
    files: dict[str, bytes], trees: dict[str, ET.Element]
) -> None:
    for path, kind in (
        ("filters-cnn-conv2.html", "norm"), ("evaluation-cnn-mistakes.html", "confidence"), ("filters.html", "answer"),
    ):  # fmt: skip
        outside = [
            link.get("href", "")
            for link in trees[path].iter("a")
            if has_class(link, "source") and link.get("href", "").startswith("results.json#")
        ]
        assert any(f'"{kind}"' in json.dumps(pointed(files, href)) for href in outside), path


def test_every_chart_has_a_table(trees: dict[str, ET.Element]) -> None:
    seen = 0
    for path, tree in trees.items():
        for parent in tree.iter():
            for figure, after in itertools.zip_longest([*parent], [*parent][1:]):
                if figure.tag == "figure" and any(has_class(one, "chart") for one in figure.iter()):
                    told = [*figure.iter("table"), *(after.iter("table") if after is not None else ())]
                    assert told, f"{path}#{figure.get('id')}"
                    seen += 1
    assert seen > 20


def test_rows_of_tables_have_heads(trees: dict[str, ET.Element]) -> None:
    for path, tree in trees.items():
        for row in tree.iterfind(".//tbody/tr"):
            assert [cell.get("scope") for cell in row if cell.tag == "th"] == ["row"], path


def test_words_for_pictures_hold_their_numbers(trees: dict[str, ET.Element]) -> None:
    """But for photos as they came and for thumbnails that name what they lead to."""
    for path, tree in trees.items():
        thumbnails = {image for nav in tree.iter("nav") for image in nav.iter("img")}
        for image in tree.iter("img"):
            source, alt = image.get("src", ""), image.get("alt", "")
            if not alt or image in thumbnails or re.search("/(photo-|hero-([a-z]+-)?photo|scale-)", source):
                continue
            assert re.search(r"\d|no positive evidence", alt), (path, source, alt)
        for chart in tree.iter("svg"):
            if has_class(chart, "chart"):
                assert re.search(r"\d", chart.findtext("title", "")), path


def test_the_overview_leads_through_the_network_in_its_order() -> None:
    html = sites.files()["index.html"].decode()
    tour = html[html.index('<ul class="tour">') : html.index("<template")]
    answers = [f"grad-cam-bee.html#cnn-for-{name}" for name in ("bee", "koala", "lion", "pizza")]
    doors = ["data.html", "filters.html", "feature-maps-bee.html", *answers, "evaluation.html", "grad-cam-bee.html"]
    assert re.findall(r'<a href="([^"]+)"', tour) == doors
    # Softmax of the logits 4, 2, 0, 0, of the photo that stands at the door before: 0.8533, 0.1155, 0.0156 twice.
    said = [("bee", "85.3"), ("koala", "11.5"), ("lion", "1.6"), ("pizza", "1.6")]
    assert re.findall(r"<bdi>([^<]+)</bdi></a> <span>([\d.]+)\u00a0%</span>", tour) == said
    assert 'alt="The photo Bee."' in tour


def test_the_overview_begins_with_who_made_it() -> None:
    def opening(**said: Any) -> str:
        html = sites.files(**said)["index.html"].decode()
        return html[html.index("<h1") : html.index('<div class="choosing">')]

    links = (Link("The code", "https://example.org/code"),)
    link = '<a href="https://example.org/code"><bdi>The code</bdi></a>'
    assert f"<bdi>A. Painter</bdi> · <bdi>Vision &lt;1&gt;</bdi> · {link}</p>" in opening(
        author="A. Painter", course="Vision <1>", links=links
    )
    assert f'<p class="caption">{link}</p>' in opening(links=links)
    assert '<p class="caption">' not in opening()
