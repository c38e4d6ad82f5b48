"""A report of very many photos: each of its pages leads to those nearby and to the page with all of them."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from generator.pages import render
from generator.pages.parts import PICKED
from generator.publishing.check import check
from tests import sites, synthetic

COUNTS = (60, 120)
PICKERS = ("grad-cam", "feature-maps")
LINK = re.compile(r'data-photo="(p\d+)"')


def rendered(count: int) -> Mapping[str, bytes]:
    photos = [synthetic.photo(f"p{number}", number % 4) for number in range(count)]
    told = synthetic.report(photos=photos)
    return render(told, synthetic.figures(told), sites.settings(), (sites.ROOT / "templates",), sites.ROOT / "content")


@pytest.fixture(scope="module")
def files() -> Mapping[int, Mapping[str, bytes]]:
    return {count: rendered(count) for count in COUNTS}


def picked(files: Mapping[str, bytes], path: str) -> list[str]:
    page = files[path].decode()
    picker = page[page.index('id="sample"') :]
    return LINK.findall(picker[: picker.index("</nav>")])


@pytest.mark.parametrize("name", PICKERS)
def test_a_photo_leads_to_those_around_it(files: Mapping[int, Mapping[str, bytes]], name: str) -> None:
    count = COUNTS[0]
    every = [f"p{number}" for number in range(count)]
    assert picked(files[count], f"{name}.html") == every
    half = PICKED // 2
    for place, first in ((0, 0), (half, 0), (30, 30 - half), (count - 1, count - 1 - PICKED)):
        path = f"{name}-p{place}.html"
        assert picked(files[count], path) == every[first : first + PICKED + 1]
        page = files[count][path].decode()
        assert f'<a href="{name}.html#sample">All {count} photos</a>' in page
        assert re.search(rf'data-photo="p{place}"[^>]*aria-current="true"', page)
    assert "photos</a></p></nav>" not in files[count][f"{name}.html"].decode().replace("\n", "")


@pytest.mark.parametrize("name", PICKERS)
def test_a_photo_costs_as_much_whatever_their_number(files: Mapping[int, Mapping[str, bytes]], name: str) -> None:
    """With a list of all on each page, 200 photos had 22 MB of lists."""
    sizes = {count: len(files[count][f"{name}-p30.html"]) for count in COUNTS}
    assert abs(sizes[COUNTS[1]] - sizes[COUNTS[0]]) < 100


def test_every_link_leads_somewhere(files: Mapping[int, Mapping[str, bytes]]) -> None:
    # Placeholders have no words for those who do not see them.
    found = [str(one) for one in check(files[COUNTS[0]]) if not one.harmless and "<svg>" not in str(one)]
    assert found == []
