"""A report of many networks: no page grows with their number beyond what a browser takes at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import pytest

from generator.pages import parts, render
from generator.publishing.check import FIRST_LOAD, check
from generator.records.report import Report
from tests import sites, synthetic

NETWORKS = 4
LONG = 20 << 10  # where figures are placeholders
APART = ("training", "evaluation", "filters", "failures", "trust")


def report(networks: int) -> Report:
    """The synthetic report with so many copies of its first network, under other names."""
    made = synthetic.report()
    first = synthetic.complete(made.networks[0])
    copies = [replace(first, id=f"n{number}", title=f"Network {number}") for number in range(networks)]
    return replace(made, networks=tuple(copies), live=None)


def rendered(told: Report) -> Mapping[str, bytes]:
    return render(told, synthetic.figures(told), sites.settings(), (sites.ROOT / "templates",), sites.ROOT / "content")


@pytest.fixture(scope="module")
def files() -> Mapping[str, bytes]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(parts, "LONGEST", 0)
        return rendered(report(NETWORKS))


@pytest.mark.parametrize("page", APART)
def test_each_of_the_others_has_a_page_of_its_own(files: Mapping[str, bytes], page: str) -> None:
    own = [path for path in files if re.fullmatch(rf"{page}-n\d+\.html", path)]
    assert len(own) == NETWORKS - 1
    main = files[f"{page}.html"].decode()
    assert len(main) < LONG
    assert "Each of the other networks has a page of its own" in main
    for path in own:
        number = path.removeprefix(f"{page}-n").removesuffix(".html")
        html = files[path].decode()
        assert len(html) < LONG
        assert f'<li id="n{number}"><a href="{path}">Network {number}</a></li>' in main
        (heading,) = re.findall(r"<h1>(.*?)</h1>", html)
        assert heading.startswith(f"Network {number}: ")
        assert html.count(f'id="n{number}"') == 1
        text = html[html.index("<main") : html.index("</main>")]
        assert set(re.findall(r"Network \d+", text)) == {f"Network {number}"}


def test_every_link_of_such_a_report_leads_somewhere(files: Mapping[str, bytes]) -> None:
    # Placeholders have no words for those who do not see them.
    assert [str(one) for one in check(files) if not one.harmless and "<svg>" not in str(one)] == []
    back = re.findall(r'class="previous" href="([^"]+)"', files["evaluation-n0-mistakes.html"].decode())
    assert back == ["evaluation.html#n0"]


def test_a_page_that_is_short_enough_is_one_for_all() -> None:
    few = rendered(report(3))
    assert not [path for path in few if re.fullmatch(r"(training|evaluation|filters|failures|trust)-n\d+\.html", path)]
    assert b"has a page of its own" not in few["evaluation.html"]


def test_two_networks_share_their_pages_however_long_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "LONGEST", 0)
    two = rendered(report(2))
    assert not [path for path in two if re.fullmatch(r"(training|evaluation|filters|failures|trust)-n\d+\.html", path)]


def test_what_several_may_share_leaves_room_for_styles_and_scripts() -> None:
    assert parts.LONGEST + (50 << 10) <= FIRST_LOAD
