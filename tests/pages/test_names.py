"""What readers see of names: classes by the names that are shown, and one apostrophe; addresses stay what they were."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache

import html5lib
import pytest

from generator.pages import render
from generator.pages.parts import _held
from generator.publishing.check import check
from generator.records.displayed import displayed
from generator.records.images import Photo
from tests import sites, synthetic

SHOWN = {"lion": "big cat", "pizza": "iPie"}
UNREAD = ("script", "style", "code", "pre")  # elements of which no visitor reads the words as words
READ_OUT = ("alt", "title", "aria-label", "content", "placeholder")


@cache
def files() -> Mapping[str, bytes]:
    """The synthetic report with two classes shown by other names, and a word of the user's with an apostrophe."""
    small = synthetic.report()
    whole = replace(small, networks=tuple(map(synthetic.complete, small.networks)))
    photos = tuple(_as_of_data(photo) for photo in whole.photos)
    report = displayed(replace(whole, photos=photos), SHOWN)
    figures = {figure.id: figure for figure in sites.figures_of(report)}
    settings = sites.settings(title="The lab's networks")
    return dict(render(report, figures, settings, (sites.ROOT / "templates",), sites.ROOT / "content"))


def _as_of_data(photo: Photo) -> Photo:
    """The last photo as one of the data set's images, which are called by their class."""
    if photo.id != "slice":
        return photo
    return replace(photo, origin="test", shows="pizza", title="pizza, test image 7", credit=None)


def said(page: bytes) -> Iterator[str]:
    """Each text of a page, and what of its attributes is read out."""
    waiting = [html5lib.parse(page.decode(), namespaceHTMLElements=False)]
    while waiting:
        element = waiting.pop()
        yield from (element.get(name) for name in READ_OUT if element.get(name))
        if element.tail:
            yield element.tail
        if element.tag not in UNREAD:
            if element.text:
                yield element.text
            waiting += element


def pages() -> list[tuple[str, bytes]]:
    return [(path, data) for path, data in files().items() if path.endswith(".html")]


def test_no_page_shows_a_class_by_another_name_than_its_own_to_be_shown() -> None:
    assert [str(finding) for finding in check(dict(files())) if not finding.harmless] == []
    own = re.compile(r"\b(?:lion|pizza|ipie)\b", re.IGNORECASE)
    assert json.loads(files()["results.json"])["photos"][2]["title"] == "iPie, test image 7"
    for path, data in pages():
        found = [text for text in said(data) if own.search(text.replace("iPie", ""))]
        # An address is told as an address: "Address of this part: lion-bee", "Data of data-examples-lion as CSV".
        assert [text for text in found if not re.match(r"Address of this part: |Data of \S+( as CSV)?$", text)] == [], (
            path
        )
    words = " ".join(text for _, data in pages() for text in said(data))
    assert min(words.count("big cat"), words.count("iPie")) > 50
    assert "IPie" not in words


def test_tables_and_the_page_that_runs_a_network_show_the_same_names() -> None:
    told = json.loads(files()["results.json"])
    assert told["data"]["own_names"] == {"big cat": "lion", "iPie": "pizza"}
    assert told["networks"]["cnn"]["class_names"] == ["bee", "koala", "big cat", "iPie"]
    assert (
        json.loads(files()["assets/network.js"].decode().partition(" = ")[2].rstrip(";\n"))["classes"][2] == "big cat"
    )
    tables = [data.decode() for path, data in files().items() if path.endswith(".csv")]
    tables += [data.decode() for path, data in files().items() if path.startswith("assets/data/") and "csv" not in path]
    assert any("big cat" in table for table in tables)
    rows = [row for table in tables for row in re.findall(r'"lion"|(?<=,)lion(?=,)|^lion(?=,)', table, re.MULTILINE)]
    assert rows == []


def test_addresses_keep_the_own_names() -> None:
    parts = {path: {*re.findall(r'\bid="([^"]*)"', data.decode())} for path, data in pages()}
    assert {"cnn-class-lion", "alexnet-class-pizza"} <= parts["evaluation.html"] & parts["filters.html"]
    assert {"cnn-for-lion", "cnn-for-pizza"} <= parts["grad-cam-bee.html"]
    assert {"lion-bee", "bee-lion"} <= parts["evaluation-cnn-mistakes.html"]
    assert "data-examples-lion" in parts["data.html"]
    assert not [one for found in parts.values() for one in found if "big-cat" in one or "ipie" in one]


def test_no_apostrophe_is_straight() -> None:
    seen = 0
    for path, data in pages():
        for text in said(data):
            assert not re.search(r"\w'\w|s' [a-z]", text), (path, text)
            seen += "’" in text
    assert seen > 50
    assert "The lab’s networks" in files()["index.html"].decode()


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("<p>The dog's ear, <em>AlexNet</em>'s maps</p>", "<p>The dog’s ear, <em>AlexNet</em>’s maps</p>"),
        ("<p title=\"a bee&#39;s\" class=\"a'b\">bees' legs</p>", "<p title=\"a bee’s\" class=\"a'b\">bees’ legs</p>"),
        ("<code>it's</code> and it's", "<code>it's</code> and it’s"),
        ("<script>let a = 'b'; // it's</script>", "<script>let a = 'b'; // it's</script>"),
        ("<p>'quoted' 3 px</p>", "<p>'quoted' 3\u00a0px</p>"),
    ],
)  # fmt: skip
def test_apostrophes_are_those_of_words(written: str, shown: str) -> None:
    assert _held(written) == shown
