"""The numbers behind the figures: assets/data/<page>.json holds those of one page, each under its figure's id.

A figure's link names its own by a JSON Pointer (RFC 6901): assets/data/trust.json#/cnn-trust-pointing. Beside it leads
one to the same numbers alone, as a table for spreadsheets: assets/data/cnn-trust-pointing.csv.
"""

from __future__ import annotations

import codecs
import csv
import dataclasses
import io
import json
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from generator.records import stored
from generator.records.figure import Figure, Table

FOLDER = "assets/data"
DIGITS = 6  # significant digits of a float: more than any page shows, fewer than float32 and float64 disagree in
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what begins so, a spreadsheet computes
SHEET = re.compile(rf'href="({FOLDER}/([^"/]+)\.csv)"')
LINK = re.compile(rf'href="({FOLDER}/[^"#]+)#/([^"]+)"')


def source_path(page: str) -> str:
    """Where the numbers behind a page's figures stand: "trust.html" -> "assets/data/trust.json"."""
    return f"{FOLDER}/{page.removesuffix('.html')}.json"


def data_files(pages: Mapping[str, bytes], figures: Mapping[str, Figure]) -> dict[str, bytes]:
    """The files that the pages link to, with the numbers that they ask for and no others.

    Args:
        pages: HTML by path; its links to numbers tell which figures it shows.
    """
    found: dict[str, dict[str, Any]] = {}
    sheets: dict[str, bytes] = {}
    for html in pages.values():
        for path, figure_id in LINK.findall(html.decode()):
            figure, table = figures[figure_id], _table(figures[figure_id])
            shown = {"shows": figure.alt, "columns": table.head, "rows": table.rows}
            found.setdefault(path, {})[figure_id] = shown
        sheets |= {path: sheet(_table(figures[figure_id])) for path, figure_id in SHEET.findall(html.decode())}
    return {path: written(content) for path, content in found.items()} | sheets


def _table(figure: Figure) -> Table:
    return figure.data or figure.table or Table((), ())


def sheet(table: Table) -> bytes:
    """CSV (RFC 4180) in UTF-8 with the mark by which spreadsheets know it; numbers as in `written`.

    Text that a spreadsheet would compute is kept text by an apostrophe before it: a class may be named "=1+1".
    """
    out = io.StringIO()
    csv.writer(out).writerows([_cell(value) for value in row] for row in (table.head, *table.rows))
    return codecs.BOM_UTF8 + out.getvalue().encode()


def _cell(value: Any) -> Any:
    told = plain(value)
    return f"'{told}" if isinstance(told, str) and told.startswith(FORMULA) else told


def written(content: Any) -> bytes:
    """UTF-8 JSON; floats rounded to six significant digits, nan and infinity as null.

    Without any markup even for a program that sniffs: a class may be named "<script>".
    """
    text = json.dumps(plain(content), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return (text.replace("<", "\\u003c").replace(">", "\\u003e") + "\n").encode()


def plain(value: Any) -> Any:
    """The value in JSON's types."""
    kind = type(value)  # the most frequent kinds first, which `isinstance` would come to last
    if kind is float:
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    if kind is str or kind is int or value is None:
        return value
    if kind is list or kind is tuple:
        return [plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(stored.rows_of(value))
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)
