"""report.toml, read and validated once: every other module can trust what a `Config` holds.

Each error is one line that names the file, the table, the key, what was expected, what came, and the line where it
stands. Strings may hold any text, HTML too: they are text here, and the pages escape them.
"""

from __future__ import annotations

import codecs
import io
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from generator.base.errors import InputError
from generator.config.addresses import is_link
from generator.config.languages import LANGUAGE
from generator.config.places import FILE_NAME, PROGRAMS, bundled, is_program, own_weights
from generator.config.schema import (
    Asked,
    Config,
    DataConfig,
    InputConfig,
    Kept,
    Link,
    ModelConfig,
    ModelsConfig,
    Order,
    ReportConfig,
    SamplePhoto,
    SamplesConfig,
)
from generator.config.table import LARGEST, Source, Table
from generator.records.input import ChannelOrder, Crop, Interpolation

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


# What a network of a report may be called: it stands in file names and addresses.
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
ARCHITECTURE = re.compile(
    r"(?!hf:|timm:)[^:\s][^:]*:[A-Za-z_][\w.]*|SmallCNN|AlexNet|timm:[A-Za-z_][\w.-]*|hf:[^:\s][^:]*"
    rf"|[^:\s][^:]*(?:{'|'.join(map(re.escape, PROGRAMS))})"
)
# The networks that come with the program.
BUNDLED = (
    ModelConfig("cnn", architecture="SmallCNN"),
    ModelConfig("alexnet", "auto", architecture="AlexNet"),
)
# What only a network itself has, not its answers alone.
OF_THE_NETWORK = (
    "architecture",
    "weights",
    "weights_key",
    "arguments",
    "input",
    "multi_label",
    "layer",
    "other_class",
    "show",
    "channels",
)
DOTS = 500  # of a line: the reader of TOML takes a time that grows with the square of a key's parts
CHANNELS = 512  # that a page has room for
OTHER_CLASSES = 8  # likewise, of maps beside those of the answer


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
    config = _config(path, file, text, folder)
    if path is None:  # nothing is written among the program's own files
        mine = replace(config.models, folder=Path.cwd() / "models", fallback=bundled("models"))
        config = replace(config, models=mine)
    return config


def of_text(text: str, called: str, folder: Path) -> Config:
    """The settings that a text tells which is no file.

    Args:
        called: the text, in messages.
        folder: what its paths are relative to.
    Raises:
        InputError: as `load`.
    """
    config = _config(None, Path(called), text, folder)
    networks = tuple(replace(network, said_in="the command line") for network in config.models.networks)
    return replace(config, models=replace(config.models, fallback=None, networks=networks))


def input_said(keys: str) -> InputConfig:
    """What a network's input table says: 'mean = 0.5, std = 0.5'."""
    text = f"[models.network]\ninput = {{{keys}}}"
    return of_text(text, "an input", Path()).models.networks[0].input


def _config(path: Path | None, file: Path, text: str, folder: Path) -> Config:
    top = Table(Source(file, text), "", _parsed(file, text), folder)
    config = Config(
        path=path,
        folder=folder,
        report=top.table("report", _report),
        data=top.table("data", _data),
        models=top.table("models", _models),
        samples=top.table("samples", _samples),
    )
    methods = top.table("explain", _methods)
    top.finish()
    networks = tuple(replace(network, methods=methods) for network in config.models.networks)
    return replace(config, models=replace(config.models, networks=networks))


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


def lines_of(file: Path, what: str, missing: str) -> Iterator[str]:
    """The lines of such a file, with what ends them, one at a time: it may be larger than memory.

    Args, Raises:
        as `text_of`.
    """
    try:
        if file.exists() and not (file.is_file() or file.is_dir()):  # a pipe would be waited for
            raise InputError(f"{file}: expected a readable {what}, got what is no file")
        with file.open("rb") as opened:
            for number, line in enumerate(opened, start=1):
                if number == 1 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                    raise InputError(f"{file}: expected UTF-8 text, got UTF-16 (at line 1); save it as UTF-8")
                if b"\0" in line:
                    raise InputError(
                        f"{file}: expected UTF-8 text, got a NUL character (at line {number}); save it as UTF-8"
                    )
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError:
                    raise InputError(
                        f"{file}: expected UTF-8 text, got another encoding (at line {number}); save it as UTF-8"
                    ) from None
                yield from io.StringIO(text, newline="")  # a carriage return alone may end a line, too
    except FileNotFoundError:
        raise InputError(f"{file}: {missing}") from None
    except OSError as error:
        raise InputError(f"{file}: expected a readable {what}, got: {error.strerror}") from None


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
            said = Source(file, text).twice() or said
        elif said.startswith("Exceeds the limit"):
            said = "a number of thousands of digits"
        raise InputError(f"{file}: expected TOML, got: {said}") from None
    return parsed


def _report(table: Table) -> ReportConfig:
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


def _link(table: Table) -> Link:
    return Link(
        title=table.text("title", empty=False),
        url=table.matching("url", is_link, "an address that begins with https://, http:// or mailto:", required=True),
    )


def _data(table: Table) -> DataConfig:
    return DataConfig(
        root=table.path("root"),
        classes=table.classes("classes"),
        order=table.one_of("order", Order) or DataConfig.order,
        label=table.text("label"),
        name=table.text("name"),
        names=table.names("names"),
        licence=table.text("licence"),
    )


def _models(table: Table) -> ModelsConfig:
    """The networks; without any table [models] those that come with the program, until a report has its own."""
    default = ModelsConfig(table.folder / "models", bundled("models"), BUNDLED)
    if not table.given:
        return default
    folder = table.path("folder")
    networks = table.rest(_model, "a table: the network [models.{}]")
    known: dict[str, str] = {}
    for network in networks:
        other = known.setdefault(network.id.lower(), network.id)
        if other != network.id:
            # Of their folders and pages one would be written over the other, where a system takes them for the same.
            table.refuse(network.id, f"a name that differs from [models.{other}] by more than capital letters")
    return ModelsConfig(
        folder=folder or default.folder, fallback=None if folder else default.fallback, networks=networks
    )


def _model(name: str, table: Table) -> ModelConfig:
    default = ModelConfig(name)
    if not ID.fullmatch(name):
        table.refuse_name("letters, digits, - and _, at most 40 of them, the first a letter or a digit")
    logs, kept = table.paths("logs", "a file or folder of logs"), table.epoch("kept", get_args(Kept))
    if kept is not None and not logs:
        table.refuse("kept", "logs beside it, of which it is an epoch")
    table.refuse_beside("predictions", OF_THE_NETWORK, "which are all that is known of the network")
    architecture = table.matching(
        "architecture",
        ARCHITECTURE.fullmatch,
        '"SmallCNN", "AlexNet", "package.module:name", "file.py:Name", "timm:NAME", "hf:FOLDER" or a file of a whole '
        "network such as model.pt2",
    )
    weights = table.weights("weights", ("auto", "bundled", "imagenet", "random"), None)
    if weights is not None and is_program(architecture):
        table.refuse("weights", f"none, for {architecture} holds its own")
    return ModelConfig(
        id=name,
        weights=weights or own_weights(architecture, table.folder) or default.weights,
        weights_key=table.text("weights_key"),
        predictions=table.optional_file("predictions"),
        title=table.text("title"),
        architecture=architecture,
        arguments=table.mapping("arguments"),
        classes=table.texts("classes"),
        input=table.table("input", _input),
        multi_label=table.optional_flag("multi_label"),
        layer=table.text("layer"),
        other_class=_other_class(table),
        logs=logs,
        kept=kept,
        show=_show(table),
        channels=table.whole("channels", 1, CHANNELS),
    )


def _other_class(table: Table) -> tuple[Asked, ...]:
    key = "other_class"
    if table.is_text(key):
        name = table.text(key)
        return (Asked((name,)),) if name else ()
    found = table.each(key, _asked, "class names, or tables { of = ..., against = ... } of them", short="of")
    if len(found) > OTHER_CLASSES:
        table.refuse(key, f"at most {OTHER_CLASSES} of them")
    return found


def _asked(table: Table) -> Asked:
    of, against = (table.texts(key) if table.is_list(key) else (table.text(key),) for key in ("of", "against"))
    found = Asked(*(tuple(name for name in names if name) for names in (of, against)))
    every = found.of + found.against
    if not every:
        table.refuse("of", "the name of a class, or of some")
    if len(set(every)) < len(every):
        table.refuse("against" if found.against else "of", "different classes")
    return found


def _methods(table: Table) -> tuple[str, ...]:
    names = table.texts("methods")
    if len(set(names)) < len(names):
        table.refuse("methods", "different methods")
    return names


def _show(table: Table) -> tuple[str, ...]:
    names = table.texts("show")
    if len(set(names)) < len(names):
        table.refuse("show", "different layers")
    return names


def _input(table: Table) -> InputConfig:
    channels = table.whole("channels", 1, 64)
    mean, std = table.numbers("mean"), table.numbers("std", above=0)
    # A number alone is that of every channel.
    listed = {key: values for key, values in (("mean", mean), ("std", std)) if values and table.is_list(key)}
    channels = channels or next((len(values) for values in listed.values()), None)
    for key, values in listed.items():
        if len(values) != channels:
            table.refuse(key, f"a number for each of the {channels} channels")
    size = table.sides("size", 4096)
    resize = table.whole("resize", 1, 8192)
    if size and resize and resize < min(size):
        table.refuse("resize", f"at least the shorter side of size, {min(size)}")
    return InputConfig(
        size=size,
        resize=resize,
        crop=table.one_of("crop", Crop),
        interpolation=table.one_of("interpolation", Interpolation),
        channels=channels,
        mean=mean,
        std=std,
        range=table.number("range", 1e-3, 65535),
        order=table.one_of("order", ChannelOrder),
    )


def _samples(table: Table) -> SamplesConfig:
    return SamplesConfig(
        bundled=table.flag("bundled"),
        photos=table.each("photos", _photo, "{file = ..., title = ...} or of files' names", short="file"),
        test_images=table.count("test_images"),
    )


def _photo(table: Table) -> SamplePhoto:
    return SamplePhoto(
        file=table.file("file"),
        title=table.text("title"),
        label=table.text("label"),
        author=table.text("author"),
        origin=table.text("origin"),
        licence=table.text("licence"),
        url=table.matching("url", is_link, "an address that begins with https:// or http://"),
    )
