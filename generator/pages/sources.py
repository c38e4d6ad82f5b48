"""The numbers behind the figures: assets/data/<page>.json holds those of one page, each under its figure's id.

A figure's link names its own by a JSON Pointer (RFC 6901): assets/data/trust.json#/cnn-trust-pointing. Beside it leads
one to the same numbers alone, as a table for spreadsheets: assets/data/cnn-trust-pointing.csv. Links into
results.json have one, too: that of #/networks/cnn/blocks is assets/data/results/networks/cnn/blocks.csv, with the
network's anchor in place of its id.
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
from html import unescape
from typing import Any

import numpy as np

from generator.records import stored
from generator.records.figure import Figure, Table

FOLDER = "assets/data"
DIGITS = 6  # significant digits of a float: more than any page shows, fewer than float32 and float64 disagree in
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what begins so, a spreadsheet computes
SHEET = re.compile(rf'href="({FOLDER}/([^"/]+)\.csv)"')
RECORD = re.compile(rf'href="({FOLDER}/results/([^"]+)\.csv)"')
LINK = re.compile(rf'href="({FOLDER}/[^"#]+)#/([^"]+)"')


def source_path(page: str) -> str:
    """Where the numbers behind a page's figures stand: "trust.html" -> "assets/data/trust.json"."""
    return f"{FOLDER}/{page.removesuffix('.html')}.json"


def data_files(pages: Mapping[str, bytes], figures: Mapping[str, Figure], results: Any) -> dict[str, bytes]:
    """The files that the pages link to, with the numbers that they ask for and no others.

    Args:
        pages: HTML by path; its links to numbers tell which figures it shows.
        results: what results.json holds, in JSON's types, its networks by their anchors.
    """
    found: dict[str, dict[str, Any]] = {}
    sheets: dict[str, bytes] = {}
    for html in pages.values():
        for path, figure_id in LINK.findall(html.decode()):
            figure, table = figures[figure_id], _table(figures[figure_id])
            shown = {"shows": figure.alt, "columns": table.head, "rows": table.rows}
            found.setdefault(path, {})[figure_id] = shown
        sheets |= {path: sheet(_table(figures[figure_id])) for path, figure_id in SHEET.findall(html.decode())}
        for path, pointer in RECORD.findall(html.decode()):
            sheets[path] = sheets.get(path) or sheet(tabled(_pointed(results, pointer)))
    return {path: written(content) for path, content in found.items()} | sheets


def _pointed(content: Any, pointer: str) -> Any:
    """What a JSON Pointer without its first "/" leads to."""
    for part in unescape(pointer).split("/"):
        content = content[int(part)] if isinstance(content, list) else content[part]
    return content


def tabled(record: Any) -> Table:
    """A part of results.json as a table.

    A list of records has a row for each; so has a record of equally long columns, where a mapping beside them tells of
    some rows by their channel; of any other record each entry is a row. What is nested has the names on the way to it,
    with dots between; a list within is one cell.
    """
    columns = {key: value for key, value in record.items() if isinstance(value, list)} if _mapping(record) else {}
    if _mapping(record) and columns and len({*map(len, columns.values())}) == 1 and not _scalars(record):
        numbers = columns.pop("channel", None) or range(len(next(iter(columns.values()))))
        some = {key: value for key, value in record.items() if _mapping(value)}
        rows = [
            {"channel": number}
            | {key: value[place] for key, value in columns.items()}
            | {key: value.get(str(number)) for key, value in some.items()}
            for place, number in enumerate(numbers)
        ]
    elif _mapping(record):
        return Table(("entry", "value"), tuple(_flat(record).items()))
    else:
        rows = [_flat(one) if _mapping(one) else {"value": one} for one in record]
    head = tuple(dict.fromkeys(key for row in rows for key in row))
    return Table(head, tuple(tuple(_flat_cell(row.get(key)) for key in head) for row in rows))


def _mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def _scalars(record: Mapping[str, Any]) -> bool:
    return any(not isinstance(value, (list, Mapping)) for value in record.values())


def _flat(record: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in record.items():
        found |= _flat(value, f"{before}{key}.") if _mapping(value) else {f"{before}{key}": _flat_cell(value)}
    return found


def _flat_cell(value: Any) -> Any:
    if isinstance(value, list) and not any(isinstance(one, (list, Mapping)) for one in value):
        return " ".join("" if one is None else str(one) for one in value)
    if isinstance(value, (list, Mapping)):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else value


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
