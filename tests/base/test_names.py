from __future__ import annotations

import hashlib
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from generator.base.names import slug, slugs
from generator.pages import render
from generator.publishing import check
from generator.publishing.writer import place, unchanged
from generator.report.filters import prototypes
from tests import sites, synthetic

# What class names, photos' titles and runs have been called, and what file systems make of some of them.
ODD = (
    "x" * 300, "x" * 301, "/etc/passwd", "..", "a\\b", "CON", "con", "Con.", "\u202egnp", "🐝", "日本", "#%?&", "<b>",
    "", "-", "a b", "a-b", "é" * 150, "--2", "a b-2",
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Été à Paris!", "ete-a-paris"),
        ("features.conv1", "features-conv1"),
        ("///", "unnamed"),
        ("日本", "unnamed"),
        ("a" * 60, "a" * 60),
        ("A" * 61, f"{'a' * 51}-{hashlib.sha256(b'A' * 61).hexdigest()[:8]}"),
        ("caf\udce9", "caf"),
    ],
)
def test_a_slug_is_plain_and_short(text: str, wanted: str) -> None:
    assert slug(text) == wanted


def test_slugs_differ_wherever_files_are_kept() -> None:
    found = slugs(ODD)
    assert found[5:8] == ("con", "con-2", "con-3")
    assert (found[4], *found[15:17]) == ("a-b", "a-b-2", "a-b-3")
    assert found[-1] == "a-b-2-2"
    assert len({one.casefold() for one in found}) == len(ODD)
    assert max(map(len, found)) <= 62
    assert slugs(["a", "a"], "photo") == ("a", "a-2")
    assert slugs(["", "!"], "photo") == ("photo", "photo-2")


def test_a_report_of_oddly_named_classes_is_a_sound_site(tmp_path: Path) -> None:
    """Every figure of every class has a file of its own, whose name any system takes, and `check` finds no fault."""
    names = (*ODD[:2], "a/b:c.", "A/B:C.")
    small = synthetic.report(class_names=names)
    report = replace(small, networks=tuple(map(synthetic.complete, small.networks)))
    figures = {figure.id: figure for figure in sites.figures_of(report)}
    files = render(report, figures, sites.settings(), (sites.ROOT / "templates",), sites.ROOT / "content")
    assert max(len(part.encode()) for path in files for part in path.split("/")) <= 143
    place(files, tmp_path / "site", {"inputs": "1"})
    assert unchanged(tmp_path / "site", "1")
    assert check.check(files) == ()
    assert json.loads(files["results.json"])["networks"]
    drawn = [figure for figure in prototypes.class_image_figures(report.networks[0]) if "-class-" in figure.id]
    assert len({figure.id for figure in drawn}) == len(drawn)


def test_thousands_of_names_that_give_one_slug_take_no_time() -> None:
    names = [chr(0x4E00 + number) for number in range(20_000)]  # of which nothing is left in ASCII
    start = time.process_time()
    found = slugs(names)
    assert time.process_time() - start < 10  # 200 million looks before
    assert (found[0], found[1], found[-1]) == ("unnamed", "unnamed-2", "unnamed-20000")
    assert slugs(("a", "a-2", "a", "a")) == ("a", "a-2", "a-3", "a-4")
