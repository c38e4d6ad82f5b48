"""The fragment: one piece of HTML that needs nothing, acts nowhere and names nothing of the page around it."""

from __future__ import annotations

import base64
import io
import re
import warnings
from pathlib import Path
from xml.etree.ElementTree import Element

import html5lib
import pytest
from PIL import Image

from generator.publishing.exports import export
from generator.publishing.exports.fragment import style, with_ids
from generator.publishing.published import Published
from tests import sites
from tests.publishing.exports.conftest import HOSTILE

MOST = 150 * 1024  # a page that shows it still loads fast


def made(site: Published, file: Path, name: str = "", **said: object) -> str:
    page = export("fragment", site, sites.settings(**said), file, name).page
    assert page == file
    return page.read_text("utf-8")


def elements(text: str) -> list[Element]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(html5lib.parseFragment(text, namespaceHTMLElements=False).iter())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "with spaces" / "my report.html"


def test_it_is_one_small_element_with_all_in_it(site: Published, file: Path) -> None:
    text = made(site, file)
    assert len(text.encode()) < MOST
    parsed = elements(text)
    assert [child.tag for child in parsed[0]] == ["section"]
    assert not {element.tag for element in parsed} & {"script", "link", "iframe", "html", "body", "head", "object"}
    sources = [element.get("src", "") for element in parsed if element.tag == "img"]
    assert len(sources) == 6  # the four of the hero and two photos
    for source in sources:
        kind, data = source.split(",")
        assert kind == "data:image/webp;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert image.format == "WEBP"
    assert all(element.get("alt") for element in parsed if element.tag == "img")
    assert [element.tag for element in parsed if element.tag.endswith("svg")] != []


def test_it_tells_the_numbers_and_leads_to_the_whole_report(site: Published, file: Path) -> None:
    parsed = elements(made(site, file, author="A. Author"))
    text = " ".join("".join(parsed[0].itertext()).replace("\u00a0", " ").split())
    assert "SmallCNN: accuracy80.0 %of 40 test images are named correctly" in text
    assert "A. Author" in text
    assert "Photo “Bee”: A. Painter, GPL-2" in text
    links = [element.get("href") for element in parsed if element.tag == "a"]
    assert links == ["https://example.org/cnn/index.html"]


def test_without_an_address_there_is_no_link(tmp_path: Path) -> None:
    from generator.publishing import published

    bare = published.read(sites.place(tmp_path / "site"))
    assert not [element for element in elements(made(bare, tmp_path / "a.html")) if element.tag == "a"]


def test_what_a_user_wrote_is_text(site: Published, file: Path) -> None:
    parsed = elements(made(site, file, title=HOSTILE, subtitle="</style></section><script>x</script>", author=HOSTILE))
    text = "".join(parsed[0].itertext())
    assert text.count(HOSTILE) == 2
    assert "</style></section><script>x</script>" in text
    assert not [element for element in parsed if element.tag in ("b", "script") or "onclick" in element.attrib]


def test_a_template_or_a_page_with_formulas_leaves_the_words_alone(site: Published, file: Path) -> None:
    title = "{{ 7 }} {% raw %} {# x #} {{< ref >}} {{{x}}} $5 to $6"
    text = made(site, file, title=title)
    assert not re.search(r"\{[{%#]", text.partition("</style>")[2])
    section = elements(text)[1]
    assert section.get("class") == "mathjax_ignore tex2jax_ignore"
    assert title in "".join(section.itertext())


def test_every_rule_and_every_id_is_its_own(site: Published, file: Path) -> None:
    parsed = elements(made(site, file, "my-cnn"))
    mark = parsed[1].get("id", "")
    assert mark.startswith("cnn-report-my-cnn-")
    ids = [element.get("id", mark) for element in parsed]
    assert all(name.startswith(mark) for name in ids)
    known = set(ids)
    for element in parsed:
        assert element.get("aria-labelledby", mark) in known
        assert element.get("href", f"#{mark}").removeprefix("#") in known or element.tag == "a"
    (rules,) = [element.text or "" for element in parsed if element.tag == "style"]
    selectors = [one for part in re.findall(r"([^{}]+)\{", rules) for one in re.split(r",(?![^(]*\))", part)]
    assert len(selectors) > 15
    assert all(one.strip().startswith(f"#{mark}#{mark}") for one in selectors)


def test_two_fragments_share_no_id(site: Published, tmp_path: Path) -> None:
    ids = [
        {element.get("id") for element in elements(made(site, tmp_path / f"{name}.html", name)) if element.get("id")}
        for name in ("one", "two")
    ]
    assert ids[0] & ids[1] == set()
    assert len(ids[0]) == len(ids[1]) >= 3


def test_the_same_site_gives_the_same_fragment(site: Published, tmp_path: Path) -> None:
    assert made(site, tmp_path / "a.html") == made(site, tmp_path / "b.html")


def test_style_is_below_its_root() -> None:
    assert style("#x").startswith("#x{all:initial;")
    assert "\n#x .hero,#x .figures{display:grid" in style("#x")


def test_ids_of_a_chart_are_prefixed() -> None:
    svg = '<svg aria-labelledby="a-title" data-id="b"><title id="a-title">id</title></svg>'
    leading = '<svg><path id="p"/><use href="#p"/><use xlink:href="#p" clip-path="url(#c)"/><a href="x#p"/></svg>'
    assert with_ids(leading, "m") == (
        '<svg><path id="m-p"/><use href="#m-p"/><use xlink:href="#m-p" clip-path="url(#m-c)"/><a href="x#p"/></svg>'
    )
    assert with_ids(svg, "m") == '<svg aria-labelledby="m-a-title" data-id="b"><title id="m-a-title">id</title></svg>'
