"""The page in which the network runs, for networks that take photos otherwise than as a square in colour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from generator.data import preprocessing
from generator.data.image_files import read_photo
from generator.pages import render
from generator.publishing import writer
from generator.records.input import Input
from tests import sites, synthetic
from tests.browser import devtools
from tests.browser.hosts import serving
from tests.browser.test_try_in_browser import (
    INK,
    STATUS,
    colours,
    give,
    opened,
    pointer,
    seen,
    started,
    tool,
    unit,
    until,
)

pytestmark = pytest.mark.browser

GREY = {"channels": 1, "mean": (0.1307,), "std": (0.3081,)}
WAYS = {
    "wide": Input((12, 40)),
    "wide, whatever the shape": Input((12, 40), crop="none", interpolation="bicubic"),
    "wide, squashed and cut": Input((12, 40), 16, "squash"),
    "high, in black": Input((40, 24), 30),
    "grey": Input((20, 28), 24, **GREY),  # type: ignore[arg-type]
}


@dataclass
class Opened:
    """The page of a network that takes photos in this way."""

    tab: devtools.Tab
    way: Input
    site: Path


@pytest.fixture(scope="module", params=list(WAYS.values()), ids=list(WAYS))
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Input, Path]:
    """A site with such a network, whose samples are as it is given them."""
    way: Input = request.param
    report, figures = sites.drawn()
    first = report.networks[0]
    given = {
        photo.id: preprocessing.in_colour(preprocessing.seen(photo.pixels, way))
        for photo in report.photos
        if photo.id in first.explanations
    }
    shown = {key: replace(each, seen=given[key]) for key, each in first.explanations.items()}
    live = replace(synthetic.live(channels=way.channels), stages=((0, "features.conv1"), (4, "features.conv2")))
    told = replace(report, networks=(replace(first, input=way, explanations=shown), *report.networks[1:]), live=live)
    files = render(told, figures, sites.settings(), (sites.ROOT / "templates",), sites.ROOT / "content")
    folder = tmp_path_factory.mktemp("built") / "site"
    writer.place(dict(files), folder, {"inputs": "1"})
    return way, folder


@pytest.fixture
def page(chrome: devtools.Browser, built: tuple[Input, Path]) -> Iterator[Opened]:
    tab = opened(chrome, built[1])
    yield Opened(tab, *built)
    assert not tab.problems
    tab.close()


def given_to(way: Input, file: Path) -> Any:
    return preprocessing.in_colour(preprocessing.seen(read_photo(file), way))


def test_the_network_is_given_what_the_report_gives_it(page: Opened, tmp_path: Path) -> None:
    bee = next(photo for photo in synthetic.report().photos if photo.id == "bee")
    wanted = preprocessing.in_colour(preprocessing.seen(bee.pixels, page.way))
    assert np.array_equal(seen(page.tab), wanted)
    for name, pixels in {
        "wide.png": colours(50, 170),
        "high.png": colours(190, 60),
        "small.png": colours(9, 7),
    }.items():
        Image.fromarray(pixels).save(tmp_path / name)
        give(page.tab, tmp_path / name)
        until(page.tab, f"{STATUS}.startsWith('{name}: ')")
        assert np.array_equal(seen(page.tab), given_to(page.way, tmp_path / name)), name


def test_the_photo_and_what_lies_on_it_have_the_input_s_proportions(page: Opened) -> None:
    high, wide = page.way.size
    layers = page.tab.evaluate(
        "[...document.querySelectorAll('#stage canvas')].map(({ width, height }) => [height, width])"
    )
    assert layers[1] == layers[2] == [high, wide]
    for tall, across in (layers[0], layers[3]):
        assert across / tall == pytest.approx(wide / high, rel=0.02)
    width, height = page.tab.evaluate(
        "(({ width, height }) => [width, height])(document.getElementById('stage').getBoundingClientRect())"
    )
    assert width / height == pytest.approx(wide / high, rel=0.02)
    assert height <= page.tab.evaluate("innerHeight") * 1.3


def test_the_photo_lies_where_the_cut_is(chrome: devtools.Browser, built: tuple[Input, Path], tmp_path: Path) -> None:
    """What the visitor sees of a photo is what the network sees of it, black around it where it is too small."""
    way, site = built
    high, wide = way.size
    Image.fromarray(colours(200, 230)).save(tmp_path / "plain.png")
    shrunk = f"""(() => {{ const [photo] = document.querySelectorAll('#stage canvas');
      const copy = document.createElement('canvas'); copy.width = {wide}; copy.height = {high};
      const context = copy.getContext('2d', {{ willReadFrequently: true }}); context.imageSmoothingQuality = 'high';
      context.drawImage(photo, 0, 0, {wide}, {high});
      return [{high}, {wide}, ...context.getImageData(0, 0, {wide}, {high}).data]; }})()"""
    with serving(site) as host:  # a canvas that shows a picture from a file cannot be read
        tab = started(chrome, host)
        give(tab, tmp_path / "plain.png")
        until(tab, f"{STATUS}.startsWith('plain.png: ')")
        shown = seen(tab, shrunk)
        tab.close()
    if way.channels == 1:
        shown = preprocessing.in_colour(preprocessing.seen(shown, replace(way, crop="none")))
    assert np.abs(shown.astype(int) - given_to(way, tmp_path / "plain.png")).mean() < 8


def test_the_square_and_the_brush_reach_every_side(page: Opened) -> None:
    high, wide = page.way.size
    page.tab.evaluate("document.getElementById('stage').scrollIntoView()")
    tool(page.tab, "patch", 4)
    pointer(page.tab, "mousePressed", (wide - 4) / wide, (high - 3) / high)
    pointer(page.tab, "mouseReleased", (wide - 4) / wide, (high - 3) / high)
    covered = seen(page.tab, INK)
    rows, columns = np.nonzero(covered.any(axis=2))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (high - 5, high - 2, wide - 6, wide - 3)
    neutral = page.way.neutral * (3 if page.way.channels == 1 else 1)
    assert covered[high - 4, wide - 5].tolist() == list(neutral)
    tool(page.tab, "draw", 1)
    pointer(page.tab, "mousePressed", 0.5 / wide, (high - 0.5) / high)
    pointer(page.tab, "mouseReleased", 0.5 / wide, (high - 0.5) / high)
    red = [0xD0, 0x20, 0x20]
    wanted = np.asarray(Image.fromarray(np.array([[red]], np.uint8)).convert("L")).ravel().tolist() * 3
    assert seen(page.tab, INK)[high - 1, 0].tolist() == (wanted if page.way.channels == 1 else red)
    page.tab.evaluate(
        "document.getElementById('stage').dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowUp' })); 0"
    )
    until(page.tab, f"/^Row ({high - 2}|{high - 1}), column [01] of {high} × {wide}[.]$/.test({STATUS})")


def test_a_unit_s_arithmetic_is_told_of_the_photo_s_channels(page: Opened) -> None:
    unit(page.tab, 0, 0, 5, 5)
    named = page.tab.evaluate(
        "[...document.querySelectorAll('#arithmetic li p')].map((p) => p.textContent.split(':')[0])"
    )
    assert sorted(named) == (["grey"] if page.way.channels == 1 else ["blue", "green", "red"])
    words = page.tab.evaluate("document.querySelector('#arithmetic figcaption').textContent")
    assert words == "What the unit sees: 3 × 3 pixels of the photo."


def test_maps_with_negative_activations_have_a_scale_with_a_middle(page: Opened) -> None:
    """The first stage is a convolution as it is, the second is rectified."""
    first, second = page.tab.evaluate("[...document.querySelectorAll('#stages figcaption')].map((p) => p.textContent)")
    assert first.startswith("Blue is negative, white zero, red positive; the largest size is ")
    assert second.startswith("The brightest pixel is ")
    colours = page.tab.evaluate(
        "[...document.querySelectorAll('#stages canvas')].map((c) => {"
        " const all = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, seen = new Set();"
        " for (let i = 0; i < all.length; i += 4) if (all[i + 3]) seen.add(all[i] > all[i + 2] ? 'red' : 'blue');"
        " return [...seen].sort().join(); })"
    )
    assert colours[0] == "blue,red"


def test_the_words_say_how_a_photo_is_taken(page: Opened) -> None:
    high, wide = page.way.size
    told = page.tab.evaluate("document.getElementById('how').closest('section').innerText").replace("\xa0", " ")
    whole = "all of it, brought to" if page.way.crop == "none" else "the middle of it,"
    assert f"The network sees {whole} " in told
    assert ("without its colours" in told) == (page.way.channels == 1)
    assert f"{high} × {wide}" in told or f"{wide} × {high}" in told
