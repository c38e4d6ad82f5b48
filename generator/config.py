"""report.toml, read and validated once: every other module can trust what a `Config` holds.

Each error is one line that names the file, the table, the key, what was expected, what came, and the line where it
stands. Strings may hold any text, HTML too: they are text here, and the pages escape them.
"""

from __future__ import annotations

import codecs
import datetime
import difflib
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar

from generator import addresses
from generator.errors import InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE_NAME = "report.toml"
LARGEST = 2**18  # bytes of the file: fifty times the one with every key explained
LONGEST = 1000  # letters of a text in it
DOTS = 500  # of a line: the reader of TOML takes a time that grows with the square of a key's parts
# A language tag (RFC 5646, 2.1): language, script, region, variants, extensions, private use.
LANGUAGE = re.compile(
    r"[a-z]{2,3}(-[a-z]{3}){0,3}(-[a-z]{4})?(-([a-z]{2}|\d{3}))?(-([a-z\d]{5,8}|\d[a-z\d]{3}))*"
    r"(-[a-wyz\d](-[a-z\d]{2,8})+)*(-x(-[a-z\d]{1,8})+)?",
    re.IGNORECASE | re.ASCII,
)
# Scripts of today that run from right to left, and languages that are written in one of them where no script is named
# (Unicode CLDR, likely subtags).
# fmt: off
RIGHT_TO_LEFT = frozenset({
    "adlm", "arab", "aran", "gara", "hebr", "mand", "nkoo", "rohg", "samr", "syrc", "syre", "syrj", "syrn", "thaa",
    "yezi",
})
RIGHT_TO_LEFT_LANGUAGES = frozenset({
    "acm", "acq", "acw", "acx", "acy", "adf", "aeb", "aec", "afb", "aii", "ajp", "apc", "apd", "ar", "arc", "arq",
    "ars", "ary", "arz", "ayl", "azb", "bal", "bcc", "bej", "bgn", "brh", "ckb", "dcc", "dv", "fa", "gbz", "glk",
    "hac", "haz", "he", "hno", "iw", "ji", "khw", "ks", "kvx", "kxp", "lad", "lki", "lrc", "luz", "mid", "mvy", "mzn",
    "nqo", "ota", "pbt", "pbu", "phl", "phr", "pnb", "prd", "prs", "ps", "rhg", "rmt", "sam", "sd", "sdg", "sdh",
    "skr", "syr", "trw", "ug", "ur", "wni", "wsg", "yi", "zum",
})
# fmt: on
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
# Without what no address may hold as it is (RFC 3986, appendix A) and what breaks out of HTML, CSS and Markdown.
LINK = re.compile(r"""(https?://(?!/)|mailto:)[^\s"<>\\^`{|}]+""")
# No name and password: a base_url is shown to everybody.
ADDRESS = re.compile(r"""https?://[^\s/?#@"<>\\^`{|}]+(/[^\t\n\r?#"<>\\^`{|}]*)?""", re.IGNORECASE)
BASE = "a folder's address that begins with https:// or http://"
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]")
HEADER = re.compile(r"\[\[?([^\[\]=#]+)\]")
KEY = re.compile(r"""[\w\s."'-]+""")

T = TypeVar("T")


@dataclass(frozen=True)
class Link:
    """A link that the report shows beside its author."""

    title: str
    url: str


@dataclass(frozen=True)
class ReportConfig:
    """[report]: the words around the figures."""

    title: str = "What a small network sees"
    subtitle: str = ""
    author: str = ""
    course: str = ""
    institution: str = ""
    date: str = ""  # YYYY-MM-DD, or "" for none
    language: str = "en"
    links: tuple[Link, ...] = ()
    languages: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    base_url: str = ""  # ASCII, as it is sent, without a slash at its end

    @property
    def direction(self) -> str:
        """Which way the report's words run, by their script: "rtl" or "ltr"."""
        language, *more = self.language.lower().split("-")
        script = next((part for part in more if len(part) == 4 and part.isalpha()), "")
        rtl = script in RIGHT_TO_LEFT if script else language in RIGHT_TO_LEFT_LANGUAGES
        return "rtl" if rtl else "ltr"


@dataclass(frozen=True)
class DataConfig:
    """[data]: the data set and the classes taken from it; a name of a set of classes, or the classes themselves."""

    root: Path | None = None
    classes: str | tuple[str, ...] = "TinyImageNet30"


@dataclass(frozen=True)
class ModelConfig:
    """[models.<name>]: one network's weights and the layer that Grad-CAM looks at ("": chosen by the program)."""

    weights: Path | Literal["auto", "bundled", "imagenet"]
    layer: str = ""
    other_class: str = ""  # a class to explain beside the predicted one, "" for none


@dataclass(frozen=True)
class ModelsConfig:
    """[models]: where the models' folders are, and each network of the report.

    What is trained is written below `folder`. A network without weights there is read from `fallback`, where
    the models that come with the program are; None: from nowhere else.
    """

    folder: Path
    fallback: Path | None = None
    cnn: ModelConfig = field(default_factory=lambda: ModelConfig("bundled"))
    alexnet: ModelConfig = field(default_factory=lambda: ModelConfig("auto"))

    def read(self, name: str) -> Path:
        """The folder that a network is read from."""
        own = self.folder / name
        # A folder may hold the records of a side run alone, or a run that is under way.
        trained = any(own.glob("weights.safetensors*"))
        return own if trained or self.fallback is None else self.fallback / name


@dataclass(frozen=True)
class SamplePhoto:
    """[[samples.photos]]: a photo of one's own; the file is there. `label` is the class that it shows, "" for none."""

    file: Path
    title: str = ""
    label: str = ""
    author: str = ""
    origin: str = ""
    licence: str = ""
    url: str = ""


@dataclass(frozen=True)
class SamplesConfig:
    """[samples]: the photos that the networks are shown."""

    bundled: bool = True
    photos: tuple[SamplePhoto, ...] = ()
    test_images: int = 4


@dataclass(frozen=True)
class Config:
    """All of report.toml. `path` is the file that was read, None for the one that comes with the program."""

    path: Path | None
    folder: Path  # what the file's relative paths are relative to
    report: ReportConfig
    data: DataConfig
    models: ModelsConfig
    samples: SamplesConfig


def load(path: Path | None = None) -> Config:
    """Read `path`, else report.toml in the current folder, else the report.toml that comes with the program.

    Raises:
        InputError: the file is missing, is no TOML, or holds a key or a value that is not understood.
    """
    if path is None and Path(FILE_NAME).is_file():
        path = Path(FILE_NAME)
    file = bundled(FILE_NAME) if path is None else path
    folder = Path(os.path.abspath(file)).parent  # noqa: PTH100 (Path.absolute keeps "..")
    text = text_of(
        file, "report.toml", "expected a report.toml, there is no such file; give one with --config FILE", LARGEST
    )
    top = _Table(_Source(file, text), "", _parsed(file, text), folder)
    config = Config(
        path=path,
        folder=folder,
        report=top.table("report", _report),
        data=top.table("data", _data),
        models=top.table("models", _models),
        samples=top.table("samples", _samples),
    )
    top.finish()
    if path is None:  # nothing is written among the program's own files
        mine = replace(config.models, folder=Path.cwd() / "models", fallback=bundled("models"))
        config = replace(config, models=mine)
    return config


def text_of(file: Path, what: str, missing: str, largest: int) -> str:
    """A text file that the user wrote, UTF-8 with or without a byte order mark.

    Args:
        what: it is, for messages; `missing`: what is said where it is not there.
        largest: bytes that it may have.
    Raises:
        InputError: it is no file, cannot be read, is too large, or is no UTF-8 text.
    """
    try:
        if file.exists() and not (file.is_file() or file.is_dir()):  # a pipe would be waited for
            raise InputError(f"{file}: expected a readable {what}, got what is no file")
        with file.open("rb") as opened:
            data = opened.read(largest + 1)
    except FileNotFoundError:
        raise InputError(f"{file}: {missing}") from None
    except OSError as error:
        raise InputError(f"{file}: expected a readable {what}, got: {error.strerror}") from None
    if len(data) > largest:
        raise InputError(f"{file}: expected at most {largest // 1024} KiB in a {what}, got more")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(f"{file}: expected UTF-8 text, got UTF-16 (at line 1); save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{file}: expected UTF-8 text, got another encoding (at line {line}); save it as UTF-8"
        ) from None
    if (nul := text.find("\0")) >= 0:
        line = text.count("\n", 0, nul) + 1
        raise InputError(f"{file}: expected UTF-8 text, got a NUL character (at line {line}); save it as UTF-8")
    return text


def bundled(name: str) -> Path:
    """What comes with the program ("templates", "content", "models", "report.toml"): from a checkout or a wheel."""
    package = Path(__file__).resolve().parent
    wheel = package / "_bundled"
    # Beside an installed package there may be anything, so the wheel's own folder goes first.
    return (wheel if wheel.is_dir() else package.parent) / name


def _parsed(file: Path, text: str) -> Mapping[str, Any]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") > DOTS:
            raise InputError(f"{file}: expected at most {DOTS:,} dots in a line, got more (at line {number})")
    try:
        parsed: Mapping[str, Any] = tomllib.loads(text)
    except RecursionError:
        raise InputError(f"{file}: expected TOML, got arrays or tables nested too deeply") from None
    except ValueError as error:  # a TOMLDecodeError; a number of thousands of digits is a plain ValueError
        said = " ".join(str(error).split())
        if said.startswith("Cannot overwrite a value"):
            said = _Source(file, text).twice() or said
        elif said.startswith("Exceeds the limit"):
            said = "a number of thousands of digits"
        raise InputError(f"{file}: expected TOML, got: {said}") from None
    return parsed


def _report(table: _Table) -> ReportConfig:
    default = ReportConfig()
    return ReportConfig(
        title=table.text("title", default.title, empty=False),
        subtitle=table.text("subtitle", default.subtitle),
        author=table.text("author", default.author),
        course=table.text("course", default.course),
        institution=table.text("institution", default.institution),
        date=table.date("date"),
        language=table.matching(
            "language", LANGUAGE.fullmatch, 'a language tag such as "en" or "de-CH"', default.language
        ),
        links=table.each("links", _link, "{title = ..., url = ...}"),
        languages=table.texts("languages"),
        libraries=table.texts("libraries"),
        base_url=table.base("base_url"),
    )


def is_link(text: str) -> bool:
    """Whether a browser could follow it: the shape of an address, and a host in it."""
    return bool(LINK.fullmatch(text)) and (text.startswith("mailto:") or _has_host(text))


def base_address(text: str) -> str:
    """The address of a folder as it is sent, without a slash at its end: punycode, percent-encoded, dots followed.

    Raises:
        ValueError: with what was expected instead. No site is below a page, and none is shown with a password.
    """
    stripped = text.strip(" ")
    if re.match("https?://", stripped, re.IGNORECASE) and re.search("[?#]", stripped):
        raise ValueError(f"{BASE}, without ? and what follows it, without #")
    if not ADDRESS.fullmatch(stripped) or not _has_host(stripped):
        raise ValueError(BASE)
    address = addresses.normalised(stripped).rstrip("/")
    if address.lower().endswith((".html", ".htm")):
        raise ValueError(BASE)
    if "//" in address.partition("://")[2]:
        raise ValueError(f"{BASE}, without // in its path: hosts and browsers differ in what that means")
    return address


def _has_host(address: str) -> bool:
    try:
        url = addresses.parsed(address)
    except ValueError:  # a port that is no number raises, too
        return False
    return bool(url.hostname) and url.port != "0"


def _link(table: _Table) -> Link:
    return Link(
        title=table.text("title", empty=False),
        url=table.matching("url", is_link, "an address that begins with https://, http:// or mailto:", required=True),
    )


def _data(table: _Table) -> DataConfig:
    return DataConfig(root=table.path("root"), classes=table.classes("classes", DataConfig.classes))


def _models(table: _Table) -> ModelsConfig:
    # A report of one's own shows the models that come with the program until it has its own.
    default = ModelsConfig(table.folder / "models", bundled("models"))
    folder = table.path("folder")
    return ModelsConfig(
        folder=folder or default.folder,
        fallback=None if folder else default.fallback,
        cnn=table.table("cnn", lambda inner: _model(inner, default.cnn, ("bundled",))),
        alexnet=table.table("alexnet", lambda inner: _model(inner, default.alexnet, ("auto", "imagenet", "bundled"))),
    )


def _model(table: _Table, default: ModelConfig, words: tuple[str, ...]) -> ModelConfig:
    return ModelConfig(
        weights=table.weights("weights", words, default.weights),
        layer=table.text("layer", default.layer),
        other_class=table.text("other_class", default.other_class),
    )


def _samples(table: _Table) -> SamplesConfig:
    default = SamplesConfig()
    return SamplesConfig(
        bundled=table.flag("bundled", default.bundled),
        photos=table.each("photos", _photo, "{file = ..., title = ...} or of files' names", short="file"),
        test_images=table.count("test_images", default.test_images),
    )


def _photo(table: _Table) -> SamplePhoto:
    return SamplePhoto(
        file=table.file("file"),
        title=table.text("title"),
        label=table.text("label"),
        author=table.text("author"),
        origin=table.text("origin"),
        licence=table.text("licence"),
        url=table.matching("url", is_link, "an address that begins with https:// or http://"),
    )


@dataclass(frozen=True)
class _Source:
    """The file as it was written, to find a key's line: a parsed table knows none."""

    file: Path
    text: str

    def at(self, table: str, key: str) -> str:
        """The line of a key, or of what its table stands in, for the end of a message; "" where it was not found."""
        wanted = f"{table}.{key}" if table else key
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


class _Table:
    """One table of the file while it is read: hands out typed values, and names the place of a wrong one."""

    def __init__(self, source: _Source, name: str, values: Mapping[str, Any], folder: Path) -> None:
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

    def classes(self, key: str, default: str | tuple[str, ...]) -> str | tuple[str, ...]:
        """The name of a set of classes, or at least two different names or wnids."""
        if not isinstance(self.values.get(key), list):
            expected = '"TinyImageNet30" or an array of class names or wnids'
            value = self._take(key, default)
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

    def flag(self, key: str, default: bool) -> bool:
        """A boolean."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            self._refuse(key, "true or false", value)
        return value

    def count(self, key: str, default: int) -> int:
        """A whole number from 0 to 1000."""
        value = self._take(key, default)
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

    def table(self, key: str, read: Callable[[_Table], T]) -> T:
        """A table inside this one, read; an empty one where there is none."""
        values = self._take(key, {})
        if not isinstance(values, dict):
            self._refuse(key, "a table", values)
        return self._inner(f"{self.name}.{key}" if self.name else key, values, read)

    def each(self, key: str, read: Callable[[_Table], T], expected: str, short: str = "") -> tuple[T, ...]:
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

    def _inner(self, name: str, values: Mapping[str, Any], read: Callable[[_Table], T]) -> T:
        inner = _Table(self.source, name, values, self.folder)
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


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long for the file system
        return False
