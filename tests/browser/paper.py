"""Where words and pictures of a printed page stand, read from a PDF of Chromium (ISO 32000-1, 8.3 and 9.4)."""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

_COMMAND = re.compile(
    rb"(?P<save>\bq\b)|(?P<restore>\bQ\b)|(?P<begin>\bBT\b)"
    rb"|(?P<numbers>(?:-?[\d.]+ )+)(?P<what>cm|Tm|Td)\b|/\w+ (?P<size>[\d.]+) Tf|<(?P<glyph>[0-9A-F]+)> Tj"
    rb"|(?P<clip>(?:-?[\d.]+ ){4})re\nW|/X\d+ (?P<picture>Do)\b"
)
_SPACE = b"0003"
_APART = 20.0  # points; letters are smaller

Box = tuple[float, float, float, float]  # left, low, right, high


@dataclass(frozen=True)
class Letter:
    """A letter's beginning on its sheet and its font's size, in points; `run` is the piece of text it belongs to."""

    run: int
    x: float
    y: float
    size: float

    def on(self, other: Letter) -> bool:
        """Whether both cannot be read."""
        size = min(self.size, other.size)
        return other.run != self.run and abs(other.x - self.x) < size / 4 and abs(other.y - self.y) < size / 2


@dataclass
class Sheet:
    """What stands on one sheet, of pictures what is seen of them."""

    letters: list[Letter] = field(default_factory=list)
    pictures: list[Box] = field(default_factory=list)

    def collisions(self) -> int:
        """How many letters stand on others, or in a picture."""
        near: dict[tuple[int, int], list[Letter]] = defaultdict(list)
        for one in self.letters:
            near[int(one.x // _APART), int(one.y // _APART)].append(one)
        count = 0
        for one in self.letters:
            column, row = int(one.x // _APART), int(one.y // _APART)
            around = (near.get((column + dx, row + dy), []) for dx in (-1, 0, 1) for dy in (-1, 0, 1))
            middle = one.y + one.size / 4  # of a letter without an ascender
            count += any(one.on(other) for some in around for other in some) or any(
                left < one.x < right and low < middle < high for left, low, right, high in self.pictures
            )
        return count


def sheets(pdf: bytes) -> list[Sheet]:
    """The sheets of a printed page."""
    objects = {int(found[1]): found.end() for found in re.finditer(rb"\b(\d+) 0 obj\b", pdf)}
    found = []
    for page in re.finditer(rb"<</Type /Page\b[^s].*?endobj", pdf, re.DOTALL):
        told = re.search(rb"/Contents (\d+) 0 R", page[0])
        assert told, page[0]
        start = pdf.index(b"stream", objects[int(told[1])]) + len(b"stream")
        found.append(_sheet(zlib.decompress(pdf[start : pdf.index(b"endstream", start)].lstrip(b"\r\n"))))
    return found


def _sheet(drawn: bytes) -> Sheet:
    sheet, kept, run, size = Sheet(), list[tuple[NDArray[Any], Box]](), 0, 0.0
    now = line = np.eye(3)
    seen: Box = (-np.inf, -np.inf, np.inf, np.inf)
    for found in _COMMAND.finditer(drawn):
        if found["save"]:
            kept.append((now, seen))
        elif found["restore"]:
            now, seen = kept.pop()
        elif found["begin"]:
            run += 1
        elif found["size"]:
            size = float(found["size"])
        elif found["clip"]:
            left, top, width, height = _numbers(found["clip"])
            seen = _within(seen, _box(now, (left, top), (left + width, top + height)))
        elif found["what"] == b"cm":
            now = _matrix(found["numbers"]) @ now
        elif found["what"]:
            line = _matrix(found["numbers"]) @ (line if found["what"] == b"Td" else np.eye(3))
        elif found["picture"]:
            sheet.pictures.append(_within(seen, _box(now, (0, 0), (1, 1))))
        elif found["glyph"] != _SPACE:
            place = line @ now
            sheet.letters.append(Letter(run, place[2, 0], place[2, 1], size * float(np.hypot(*place[0, :2]))))
    return sheet


def _numbers(told: bytes) -> list[float]:
    return [float(part) for part in told.split()]


def _matrix(told: bytes) -> NDArray[Any]:
    """Of cm and Tm, or of the two numbers of Td."""
    a, b, c, d, e, f = [1, 0, 0, 1, *_numbers(told)][-6:]
    return np.array([[a, b, 0], [c, d, 0], [e, f, 1]])


def _box(now: NDArray[Any], *corners: tuple[float, float]) -> Box:
    (a, b), (c, d) = (([*corner, 1] @ now)[:2] for corner in corners)
    return min(a, c), min(b, d), max(a, c), max(b, d)


def _within(one: Box, other: Box) -> Box:
    return max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])
