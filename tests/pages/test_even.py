"""What is read down a column or across a line end: equal decimals, and no number parted from its unit."""

from __future__ import annotations

import re
from itertools import zip_longest

import pytest

from generator.pages.formats import cell, decimals
from generator.records.figure import Table
from tests import sites

PARTED = re.compile(r"\d (?:%|px|pixels?|°)(?!\w)|\d ×|× \d")


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return sites.files()


def test_fractions_of_a_column_have_equally_many_decimals() -> None:
    table = Table(("a", "b", "c"), (("x", 0.57, 1), ("y", 0.6, 2), ("z", "–", 3), ("w", -2.0, 4)))
    assert decimals(table) == (0, 2, 0)
    assert [cell(row[1], 2) for row in table.rows] == ["0.57", "0.60", "–", "−2.00"]
    assert [cell(value, digits) for value, digits in ((4e-05, 5), (1, 5), (float("nan"), 2))] == ["0.00004", "1", "nan"]
    assert decimals(Table(("a",), ())) == ()


def test_columns_of_the_pages_are_even(files: dict[str, bytes]) -> None:
    seen = 0
    for path, data in files.items():
        for table in re.findall(r"<tbody>(.*?)</tbody>", data.decode(), re.DOTALL) if path.endswith(".html") else ():
            rows = [re.findall(r"<td[^>]*>(?:<a[^>]*>)?([^<]*)", row) for row in table.split("</tr>")]
            for column in zip_longest(*rows, fillvalue=""):
                ends = {len(found[1]) for value in column if (found := re.fullmatch(r"−?\d+\.(\d+)(?:\xa0%)?", value))}
                assert len(ends) <= 1, (path, column)
                seen += len(ends)
    assert seen > 50


def test_no_line_ends_between_a_number_and_its_unit(files: dict[str, bytes]) -> None:
    for path, data in files.items():
        if path.endswith(".html"):
            shown = re.sub(r"<(pre|script)\b.*?</\1>", "", data.decode(), flags=re.DOTALL)
            assert PARTED.findall(re.sub(r"<[^>]*>", "|", shown)) == [], path
            assert [name for name in re.findall('class="([^"]*)"', shown) if "\xa0" in name] == [], path
