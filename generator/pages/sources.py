"""The numbers behind the figures: assets/data/<page>.json holds those of one page, each under its figure's id.

A figure's link names its own by a JSON Pointer (RFC 6901): assets/data/trust.json#/cnn-trust-pointing.
"""

from __future__ import annotations

import dataclasses
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
    for html in pages.values():
        for path, figure_id in LINK.findall(html.decode()):
            figure = figures[figure_id]
            table = figure.data or figure.table or Table((), ())
            shown = {"shows": figure.alt, "columns": table.head, "rows": table.rows}
            found.setdefault(path, {})[figure_id] = shown
    return {path: written(content) for path, content in found.items()}


def written(content: Any) -> bytes:
    """UTF-8 JSON; floats rounded to six significant digits, nan and infinity as null.

    Without any markup even for a program that sniffs: a class may be named "<script>".
    """
    text = json.dumps(plain(content), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return (text.replace("<", "\\u003c").replace(">", "\\u003e") + "\n").encode()


def plain(value: Any) -> Any:
    """The value in JSON's types."""
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
