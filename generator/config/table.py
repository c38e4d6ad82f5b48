"""A table of report.toml, read value by value; each mistake is told with file, key and line."""

from __future__ import annotations

import datetime
import difflib
import json
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar, get_args

from generator.base.errors import InputError
from generator.config.addresses import base_address

LARGEST = 2**18  # bytes of the file: fifty times the one with every key explained
LONGEST = 1000  # letters of a text in it
# fmt: on
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]")
HEADER = re.compile(r"\[\[?([^\[\]=#]+)\]")
KEY = re.compile(r"""[\w\s."'-]+""")

T = TypeVar("T")


@dataclass(frozen=True)
class Source:
    """The file as it was written, to find a key's line: a parsed table knows none."""

    file: Path
    text: str

    def at(self, table: str, key: str) -> str:
        """The line of a key, or of what its table stands in, for the end of a message; "" where it was not found."""
        wanted = ".".join(filter(None, (table, key)))
        lines = dict(self._keys())
        while wanted and wanted not in lines:
            # An inline table: [report.links 2] stands where [report] links begins.
            shorter = re.sub(r" \d+$", "", wanted)
            wanted = shorter if shorter != wanted else wanted.rpartition(".")[0]
        return f" (at line {lines[wanted]})" if wanted else ""

    def twice(self) -> str:
        """The first key that stands twice in one table, and its second line; "" where none was found."""
        seen: dict[str, int] = {}
        for name, line in self._keys():
            if name in seen:
                return f"{name} twice, in line {seen[name]} and again (at line {line})"
            seen[name] = line
        return ""

    def _keys(self) -> Iterator[tuple[str, int]]:
        """The full name of each key and table, and its line; those of an array of tables are numbered."""
        table, quoted = "", ""
        counts: Counter[str] = Counter()
        for number, line in enumerate(self.text.splitlines(), start=1):
            inside, quoted = quoted, _still_quoted(line, quoted)
            if inside:
                continue
            stated = line.strip()
            name, equals, _ = stated.partition("=")
            if header := HEADER.match(stated):
                table = _plain(header[1])
                yield table, number
                if stated.startswith("[["):
                    counts[table] += 1
                    table = f"{table} {counts[table]}"
                    yield table, number
            elif equals and KEY.fullmatch(name):
                yield f"{table}.{_plain(name)}".lstrip("."), number


def _plain(name: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in name.split("."))


def _still_quoted(line: str, quote: str) -> str:
    """The quotes of a string of several lines that is open after the line, given those that were open before it."""
    for found in re.findall(r"""\"{3}|'{3}""", line):
        quote = "" if found == quote else quote or found
    return quote


class Table:
    """One table of the file while it is read: hands out typed values, and names the place of a wrong one."""

    def __init__(
        self, source: Source, name: str, values: Mapping[str, Any], folder: Path, *, present: bool = True
    ) -> None:
        self.present = present
        self.source = source
        self.name = name
        self.values = values
        self.folder = folder
        self.known: list[str] = []

    def text(self, key: str, default: str = "", *, empty: bool = True, longest: int = LONGEST) -> str:
        """A string; an empty one, or none at all where there is no default, only if `empty`."""
        value = self._take(key, default)
        if not isinstance(value, str):
            self._refuse(key, "a string", value)
        if not empty and not value.strip():
            self._refuse(key, "a string that is not empty", value)
        if UNPRINTABLE.search(value):
            self._refuse(key, "a string without control characters", value)
        if len(value) > longest:
            self._refuse(key, f"a string of at most {longest:,} letters", value, f"of {len(value):,}")
        return value

    def matching(
        self, key: str, fits: Callable[[str], object], expected: str, default: str = "", *, required: bool = False
    ) -> str:
        """A string of one shape; empty for none where it is neither required nor has a default."""
        value = self.text(key, default)
        optional = not required and not default
        if not (fits(value) or (optional and not value)):
            self._refuse(key, expected, value)
        return value

    def base(self, key: str) -> str:
        """The address of a folder, normalised; empty for none."""
        value = self.text(key)
        try:
            return base_address(value) if value else ""
        except ValueError as error:
            self._refuse(key, str(error), value)

    def texts(self, key: str) -> tuple[str, ...]:
        """An array of strings that are not empty."""
        values = self._take(key, [])
        expected = "an array of strings that are not empty"
        if not isinstance(values, list):
            self._refuse(key, expected, values)
        for number, value in enumerate(values, start=1):
            if not isinstance(value, str) or not value.strip() or UNPRINTABLE.search(value):
                self._refuse(key, expected, value, f"as item {number}")
            if len(value) > LONGEST:
                self._refuse(key, f"strings of at most {LONGEST:,} letters", value, f"of {len(value):,}")
        return tuple(values)

    def classes(self, key: str) -> str | tuple[str, ...] | None:
        """The name of a set of classes, or at least two different names or wnids; None where nothing is said."""
        value = self._take(key, None)
        if value is None:
            return None
        if not isinstance(value, list):
            expected = '"TinyImageNet30", "all" or an array of class names or wnids'
            if not isinstance(value, str) or not value.strip():
                self._refuse(key, expected, value)
            return value
        named = self.texts(key)
        repeated = sorted(name for name, count in Counter(named).items() if count > 1)
        if repeated:
            self._refuse(key, "different classes", repeated[0], "more than once")
        if len(named) < 2:
            self._refuse(key, "at least 2 classes", list(named))
        return named

    def is_list(self, key: str) -> bool:
        """Whether an array stands there."""
        return isinstance(self.values.get(key), list)

    def is_text(self, key: str) -> bool:
        """Whether a string stands there, or nothing."""
        return isinstance(self.values.get(key, ""), str)

    @property
    def given(self) -> bool:
        """Whether the table stands in the file."""
        return self.present

    def mapping(self, key: str) -> Mapping[str, object]:
        """A table of values that a weights file can keep, for somebody else's code; {} where there is none."""
        values = self._take(key, {})
        if not isinstance(values, dict):
            self._refuse(key, "a table", values)
        for name, value in values.items():
            if not _is_plain(value):
                expected = "strings, finite numbers, true, false, arrays and tables of these"
                self._refuse(key, expected, value, f"as {name}")
        return {str(name): value for name, value in values.items()}

    def names(self, key: str) -> Mapping[str, str]:
        """A table of strings that are not empty, no two alike; {} where there is none."""
        values = self._take(key, {})
        if not isinstance(values, dict):
            self._refuse(key, 'a table such as {icecream = "ice cream"}', values)
        for name, value in values.items():
            if not isinstance(value, str) or not value.strip() or UNPRINTABLE.search(value):
                self._refuse(key, "strings that are not empty", value, f"as {name}")
            if len(value) > LONGEST:
                self._refuse(key, f"strings of at most {LONGEST:,} letters", value, f"of {len(value):,}")
        if again := next((name for name, count in Counter(values.values()).items() if count > 1), ""):
            self._refuse(key, "different names", again, "more than once")
        return {str(name): value.strip() for name, value in values.items()}

    def optional_flag(self, key: str) -> bool | None:
        """true or false; None where nothing is said."""
        value = self._take(key, None)
        if value is not None and not isinstance(value, bool):
            self._refuse(key, "true or false", value)
        return value

    def whole(self, key: str, least: int, most: int) -> int | None:
        """A whole number within limits; None where none is given."""
        value = self._take(key, None)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most):
            self._refuse(key, f"a whole number from {least} to {most}", value)
        return value

    def number(self, key: str, least: float, most: float) -> float | None:
        """A number within limits; None where none is given."""
        value = self._take(key, None)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
            self._refuse(key, f"a number from {least:g} to {most:g}", value)
        return float(value)

    def numbers(self, key: str, above: float = -math.inf) -> tuple[float, ...] | None:
        """A finite number or an array of some; None where none is given."""
        value = self._take(key, None)
        if value is None:
            return None
        found = value if isinstance(value, list) else [value]
        fits = bool(found) and all(
            isinstance(each, (int, float)) and not isinstance(each, bool) and above < each < 1e6 and each > -1e6
            for each in found
        )
        if not fits:
            self._refuse(key, f"numbers{' above 0' if above == 0 else ''}, one for each channel", value)
        return tuple(float(each) for each in found)

    def sides(self, key: str, most: int) -> tuple[int, int] | None:
        """A side in pixels, or [height, width]; None where none is given."""
        value = self._take(key, None)
        if value is None:
            return None
        found = value if isinstance(value, list) else [value, value]
        if len(found) != 2 or not all(type(side) is int and 1 <= side <= most for side in found):
            self._refuse(key, f"a side in pixels from 1 to {most}, or [height, width]", value)
        return found[0], found[1]

    def one_of(self, key: str, kind: Any) -> Any:
        """One of a Literal's words; None where none is given."""
        value = self._take(key, None)
        words = get_args(kind)
        if value is not None and value not in words:
            self._refuse(key, " or ".join(json.dumps(word) for word in words), value)
        return value

    def rest(self, read: Callable[[str, Table], T], expected: str) -> tuple[T, ...]:
        """All tables that nobody asked for by name, in the order of the file."""
        found = []
        for key in [name for name in self.values if name not in self.known]:
            values = self._take(key, {})
            if not isinstance(values, dict):
                near = difflib.get_close_matches(key.lower(), self.known[:-1], n=1, cutoff=0.7)
                self._refuse(key, f"{expected.format(key)}{f' (or did you mean {near[0]}?)' if near else ''}", values)
            found.append(self._inner(f"{self.name}.{key}", values, partial(read, key)))
        return tuple(found)

    def refuse_beside(self, key: str, others: Iterable[str], why: str) -> None:
        """Refuse any of some other keys beside a key that is given."""
        for other in others:
            if key in self.values and other in self.values:
                self._refuse(other, f"none beside {key}, {why}", self.values[other])

    def refuse(self, key: str, expected: str) -> NoReturn:
        """Refuse the value of a key for a reason that only the reader knows."""
        self._refuse(key, expected, self.values.get(key))

    def refuse_name(self, expected: str) -> NoReturn:
        """Refuse the name of the table itself."""
        shown, at = re.sub(r"[^ -~]", "?", self.name), self.source.at(self.name, "")
        raise InputError(f"{self.source.file}: [{shown}]: expected a name of {expected}{at}")

    def flag(self, key: str) -> bool | None:
        """A boolean; None where there is none."""
        value = self._take(key, None)
        if value is not None and not isinstance(value, bool):
            self._refuse(key, "true or false", value)
        return value

    def count(self, key: str) -> int | None:
        """A whole number from 0 to 1000; None where there is none."""
        value = self._take(key, None)
        if value is None:
            return None
        # TOML's true is an int to Python.
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1000:
            self._refuse(key, "a whole number from 0 to 1000", value)
        return value

    def date(self, key: str) -> str:
        """A day as TOML's date or as a string, given back as YYYY-MM-DD; empty for none."""
        value = self._take(key, "")
        if value == "":
            return ""
        text = value.isoformat() if type(value) is datetime.date else value
        try:
            if not DATE.fullmatch(text):  # Python 3.11 reads other forms of ISO 8601 too, 3.10 does not
                raise ValueError(text)
            return datetime.date.fromisoformat(text).isoformat()
        except (TypeError, ValueError):
            self._refuse(key, "a date such as 2026-07-31", value)

    def path(self, key: str) -> Path | None:
        """A path, made absolute; None where none is given."""
        value = self.text(key, empty=key not in self.values, longest=LARGEST)
        return self._absolute(value) if value else None

    def file(self, key: str) -> Path:
        """The path of a file that is there."""
        value = self.text(key, empty=False, longest=LARGEST)
        file = self._absolute(value)
        if not _is_file(file):
            self._refuse(key, "a file", value, f"which is not one ({file})")
        return file

    def optional_file(self, key: str) -> Path | None:
        """The same; None where none is given."""
        return self.file(key) if key in self.values else self._take(key, None)

    def paths(self, key: str, what: str) -> tuple[Path, ...]:
        """Paths of what is there, as a string or an array of strings; () where none is given."""
        values = self._take(key, [])
        expected = f"{what}, or an array of such"
        found = []
        for value in values if isinstance(values, list) else [values]:
            if not isinstance(value, str) or not value.strip() or UNPRINTABLE.search(value):
                self._refuse(key, expected, value)
            path = self._absolute(value)
            if not _is_there(path):
                self._refuse(key, expected, value, f"which is not there ({path})")
            found.append(path)
        return tuple(dict.fromkeys(found))

    def epoch(self, key: str, words: tuple[str, ...]) -> Any:
        """A whole number from 0 on or one of the words; None where nothing is said."""
        value = self._take(key, None)
        number = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9
        if value is not None and not number and value not in words:
            self._refuse(key, f"the number of an epoch or {' or '.join(map(json.dumps, words))}", value)
        return value

    def weights(self, key: str, words: tuple[str, ...], default: Any) -> Any:
        """One of the words, or the path of a file that is there."""
        if key not in self.values:
            return self._take(key, default)
        value = self.text(key, empty=False, longest=LARGEST)
        if value in words:
            return value
        file = self._absolute(value)
        if not _is_file(file):
            expected = " or ".join([*(json.dumps(word) for word in words), "a file of weights"])
            self._refuse(key, expected, value, f"which is neither ({file})")
        return file

    def table(self, key: str, read: Callable[[Table], T]) -> T:
        """A table inside this one, read; an empty one where there is none."""
        values = self._take(key, {})
        if not isinstance(values, dict):
            self._refuse(key, "a table", values)
        return self._inner(f"{self.name}.{key}" if self.name else key, values, read, present=key in self.values)

    def each(self, key: str, read: Callable[[Table], T], expected: str, short: str = "") -> tuple[T, ...]:
        """An array of tables, each read; a plain string stands for a table with the key `short` alone."""
        values = self._take(key, [])
        if not isinstance(values, list):
            self._refuse(key, f"an array of {expected}", values)
        found = []
        for number, value in enumerate(values, start=1):
            given = {short: value} if short and isinstance(value, str) else value
            if not isinstance(given, dict):
                self._refuse(key, f"an array of {expected}", value, f"as item {number}")
            found.append(self._inner(f"{self.name}.{key} {number}", given, read))
        return tuple(found)

    def finish(self) -> None:
        """Refuse what nobody asked for, and name the key that was probably meant."""
        for key in self.values:
            if key not in self.known:
                near = difflib.get_close_matches(key.lower(), self.known, n=1, cutoff=0.7)
                meant = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(self.known)}"
                at = self.source.at(self.name, key)
                raise InputError(f"{self._place(key)}: expected a known key, got this one{at}; {meant}")

    def _inner(self, name: str, values: Mapping[str, Any], read: Callable[[Table], T], *, present: bool = True) -> T:
        inner = Table(self.source, name, values, self.folder, present=present)
        found = read(inner)
        inner.finish()
        return found

    def _take(self, key: str, default: Any) -> Any:
        self.known.append(key)
        return self.values.get(key, default)

    def _absolute(self, value: str) -> Path:
        return Path(os.path.normpath(self.folder / os.path.expanduser(value)))  # noqa: PTH111 (Path's raises for ~nobody)

    def _place(self, key: str) -> str:
        table = f"[{self.name}] " if self.name else ""
        return f"{self.source.file}: {table}{key if re.fullmatch(r'[A-Za-z0-9_-]{1,60}', key) else _came(key)}"

    def _refuse(self, key: str, expected: str, value: Any, remark: str = "") -> NoReturn:
        came = "nothing" if key not in self.values else " ".join([_came(value), remark]).strip()
        raise InputError(f"{self._place(key)}: expected {expected}, got {came}{self.source.at(self.name, key)}")


def _came(value: Any) -> str:
    """A value as the user may have written it, on one line and short."""
    if isinstance(value, (str, bool)):
        text = json.dumps(value, ensure_ascii=False)
        return text if len(text) <= 60 else f'{text[:57]}..."'
    if isinstance(value, int) and abs(value) >= 10**60:
        return "a number of more than 60 digits"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, Sequence):
        return f"an array of {len(value)}" if len(value) != 1 else f"an array of one item, {_came(value[0])}"
    return str(value)[:60]


def _is_plain(value: Any) -> bool:
    """Whether JSON holds it as TOML does: no date, no nan."""
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, int):
        return abs(value) < 2**63
    return isinstance(value, str) or (isinstance(value, float) and math.isfinite(value))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long for the file system
        return False


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # likewise, and one behind a link that leads to itself
        return False
