"""CHANGELOG.md in the form of Keep a Changelog 1.1.0, and the version that the program says it is."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date
from pathlib import Path

from generator import __version__

TEXT = (Path(__file__).parents[1] / "CHANGELOG.md").read_text("utf-8")
KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
RELEASE = re.compile(r"\[(\d+)\.(\d+)\.(\d+)\] - (\d{4}-\d\d-\d\d)")


def sections(level: str, text: str) -> list[tuple[str, str]]:
    """The headings of a level with what stands below each."""
    _, *parts = re.split(rf"(?m)^{level} (.+)\n", text)
    return list(zip(parts[::2], parts[1::2], strict=True))


def test_what_is_not_released_stands_above_the_releases_the_newest_first() -> None:
    first, *releases = [heading for heading, _ in sections("##", TEXT)]
    assert first == "[Unreleased]"
    found = [RELEASE.fullmatch(heading) for heading in releases]
    told = [(tuple(map(int, one.groups()[:3])), date.fromisoformat(one[4])) for one in found if one]
    assert len(told) == len(releases) > 0
    assert told == sorted(set(told), reverse=True)
    assert ".".join(map(str, told[0][0])) == __version__


def test_each_version_has_each_kind_of_change_once() -> None:
    for _, text in sections("##", TEXT):
        kinds = [kind for kind, _ in sections("###", text)]
        assert set(kinds) <= set(KINDS)
        assert len(kinds) == len(set(kinds))
        assert all(below.strip().startswith("- ") for _, below in sections("###", text))


def test_nothing_is_told_twice() -> None:
    entries = [" ".join(entry.split()) for entry in re.findall(r"(?m)^- (.+(?:\n  .+)*)", TEXT)]
    assert [entry for entry, times in Counter(entries).items() if times > 1] == []
    begun = Counter(entry[:60] for entry in entries)
    assert [entry for entry, times in begun.items() if times > 1] == []
