"""A report from the command line alone: `--model`, `--weights`, `--data` and what else tells of a network of one's own.

The options become the text of a report.toml: `init` writes it, `build` and `inspect` read it as if it stood here.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from generator.base.errors import InputError, reason
from generator.config import reading
from generator.config.places import FOLDER, PROGRAMS, is_program, own_weights
from generator.config.schema import TEST_IMAGES, Config, DataConfig
from generator.data import layouts
from generator.records.input import Input
from generator.records.network import Fact

# The shorter names of the two packages whose networks need no more.
_PACKAGES = {"torchvision": "torchvision.models"}
TOLD_MORE = ("arguments", "logs", "size", "channels", "mean", "std", "classes", "layer", "title")
OF_ANSWERS = ("logs", "classes", "title")  # of these what may be told of a network that is not here itself
LARGEST = 1 << 20  # bytes of a file of class names


def add_options(parser: argparse.ArgumentParser) -> None:
    """What tells of a network of one's own, where no report.toml does."""
    own = parser.add_argument_group("a network of your own, instead of report.toml")
    own.add_argument(
        "--model",
        metavar="SPEC",
        help="what makes it: file.py:Name (whose code is run), package.module:name, torchvision:resnet18, "
        "timm:resnet18, hf:FOLDER (of transformers or timm), or a file of a whole network: FILE.pt2, TorchScript",
    )
    own.add_argument("--weights", metavar="FILE", help='its weights (.pth, .ckpt, .safetensors), or "random"')
    own.add_argument(
        "--predictions",
        metavar="FILE",
        help="instead of both, its answers to the test images, as any framework wrote them: .csv (file, label, a "
        "column of scores for each class) or .npz",
    )
    own.add_argument(
        "--arguments",
        metavar="TOML",
        help='of what makes it, beside the number of classes: "width = 2, depth = [3, 3]"',
    )
    own.add_argument("--logs", metavar="PATH", help="the record of its training: a file, or a folder to look through")
    own.add_argument("--size", metavar="N|HxW", help="of its images, in pixels")
    own.add_argument("--channels", metavar="N", help="of its images: 1 for grey, 3 for colour")
    own.add_argument("--mean", metavar="X,Y,Z", help="taken off each channel, of values from 0 to 1")
    own.add_argument("--std", metavar="X,Y,Z", help="that each channel is then divided by")
    own.add_argument(
        "--classes", metavar="A,B|FILE", help="what its outputs stand for, in their order; FILE: a line each"
    )
    own.add_argument("--layer", metavar="NAME", help="that heat maps look at")
    own.add_argument("--title", metavar="WORDS", help="of the report")


def is_told(options: argparse.Namespace) -> bool:
    """Whether the options tell of a network of one's own.

    Raises:
        InputError: where they tell more of one that they do not name.
    """
    if options.model or options.weights or options.predictions:
        if options.config:
            told = "predictions" if options.predictions else "model"
            raise InputError(f"--config: expected none beside --{told}, which takes the place of a report.toml")
        for name in ("model", "weights", *TOLD_MORE):
            if options.predictions and getattr(options, name) is not None and name not in OF_ANSWERS:
                raise InputError(f"--{name}: expected none beside --predictions, which are all that is known")
        return True
    for name in TOLD_MORE:
        if getattr(options, name) is not None:
            others = ", or --predictions" if name in OF_ANSWERS else ""
            raise InputError(f"--{name}: expected --model or --weights beside it{others}, which it tells more of")
    return False


def settings(options: argparse.Namespace) -> Config:
    """The settings of a command: of the options, where they tell of a network, else of report.toml."""
    return settings_in(options, Path.cwd()) if is_told(options) else reading.load(options.config)


def settings_in(options: argparse.Namespace, folder: Path) -> Config:
    """The settings that the options make, as of a report.toml in a folder."""
    found = reading.of_text(text(options, folder), "the options", folder)
    return replace(found, report=replace(found.report, command=command(options)))


def command(options: argparse.Namespace) -> str:
    """The command that makes the report again, without where on this machine things lie."""
    words = ["cnn-report", "build"]
    for name in ("model", "weights", "predictions", "data", *TOLD_MORE):
        given = getattr(options, name)
        if given is not None:
            told = str(given)
            words += [f"--{name}", shlex.quote(_without_place(told, name == "model"))]
    return " ".join(words)


def _without_place(told: str, is_model: bool) -> str:
    """An option's value with the last part alone of an absolute path."""
    before, where, after = "", told, ""
    if is_model and told.startswith(FOLDER):
        before, where = FOLDER, told.removeprefix(FOLDER)
    elif is_model and not is_program(told):
        where, colon, attribute = told.rpartition(":")
        after = colon + attribute
    return before + (Path(where).name if os.path.isabs(where) else where) + after  # noqa: PTH117 (of text)


@dataclass(frozen=True)
class Found:
    """What the options left open and a network was read to be: keys of [models.<id>], and of its input."""

    keys: Mapping[str, object]
    input: Mapping[str, object]
    origins: Mapping[str, str]  # by key, for a comment


# The facts that tell where each key's value is from, as the page about has them.
_TOLD_BY = {
    "classes": "classes", "layer": "layer explained", "size": "image size", "channels": "channels",
    "resize": "resize and crop", "crop": "resize and crop", "mean": "mean", "std": "standard deviation",
    "range": "range of values", "interpolation": "interpolation", "order": "order of channels",
}  # fmt: skip


def found(names: Sequence[str], way: Input, layer: str, facts: Sequence[Fact]) -> Found:
    """What a report.toml can say of a network that was read.

    Args:
        names: of its classes.
    """
    origins = {fact.what: f"{fact.origin}: {fact.source}" for fact in facts if fact.origin != "declared"}
    high, wide = way.size
    inputs: dict[str, object] = {
        "size": high if high == wide else [high, wide], "channels": way.channels, "crop": way.crop,
        "resize": way.resize, "interpolation": way.interpolation, "mean": list(way.mean), "std": list(way.std),
        "range": way.range, "order": way.order,
    }  # fmt: skip
    if way.crop == "none" or not way.resize:
        del inputs["resize"]
    if way.channels != 3:
        del inputs["order"]
    keys: dict[str, object] = {"classes": list(names)} | ({"layer": layer} if layer else {})
    told = {key: origins[fact] for key, fact in _TOLD_BY.items() if fact in origins}
    return Found(keys, inputs, told)


def text(options: argparse.Namespace, folder: Path, read: Found | None = None) -> str:
    """The report.toml that says what the options do.

    Args:
        folder: where it will lie; paths are written relative to it.
        read: what else is written, with a comment that says where it is from; what is but assumed as a comment alone,
            for what report.toml says counts as declared.
    Raises:
        InputError: where an option cannot be meant.
    """
    architecture = _architecture(options.model or "", folder)
    called = _called(architecture, options.predictions or options.weights)
    name = _id(called)
    title = options.title or f"What {called} {'answers' if options.predictions else 'sees'}"
    model = _model(options, folder, architecture)
    way = _input(options)
    if way and read is None:
        model["input"] = way
    comments = {key: f"  # {line}" for key, line in (read.origins if read else {}).items()}
    said = set(model)  # on the command line
    lines = ["[report]", f"title = {toml(title)}", ""]
    if options.data:
        lines += ["[data]", f"root = {toml(_relative(options.data, folder))}"]
        named = model.get("classes")
        if isinstance(named, list) and _is_unnamed(options.data, len(named)):
            lines.append(f"classes = {toml(named)}  # what its numbers stand for")
        lines.append("")
    lines.append(f"[models.{name}]")
    guessed = {key for key, line in comments.items() if line.startswith("  # assumed")} - said
    if read:
        model |= {key: value for key, value in read.keys.items() if key not in model}
    lines += [
        f"{'# ' * (key in guessed)}{key} = {toml(value)}{'' if key in said else comments.get(key, '')}"
        for key, value in model.items()
    ]
    if read:
        lines += ["", f"[models.{name}.input]"]
        lines += [
            f"{'# ' * (key in guessed)}{key} = {toml(value)}{comments.get(key, '')}"
            for key, value in read.input.items()
        ]
    lines += ["", "[samples]", "bundled = false", f"test_images = {TEST_IMAGES}", ""]
    return "\n".join(lines)


def _model(options: argparse.Namespace, folder: Path, architecture: str) -> dict[str, object]:
    """The keys of [models.<id>] but its input."""
    model: dict[str, object] = {"architecture": architecture} if architecture else {}
    if options.predictions:
        model["predictions"] = _file("predictions", "answers", options.predictions, folder)
    elif options.weights or own_weights(architecture, folder) is None:
        model["weights"] = _weights(options.weights, folder)
    for key, meant in (
        ("arguments", _arguments),
        ("classes", _classes),
        ("logs", lambda logs: _relative(Path(logs), folder)),
        ("layer", str),
    ):
        if given := getattr(options, key):
            model[key] = meant(given)
    return model


def _is_unnamed(data: Path, count: int) -> bool:
    """Whether a data set has so many classes, and knows them by their numbers alone, as MNIST's files do."""
    try:
        found = layouts.opened(data, DataConfig())
    except InputError:  # told when the data set is asked for
        return False
    return found.classes.names == tuple(map(str, range(count)))


def _architecture(spec: str, folder: Path) -> str:
    """As report.toml names it: a file below the folder, a package's long name."""
    if not spec or spec in ("SmallCNN", "AlexNet"):
        return spec
    if spec.startswith(FOLDER):
        path = Path(spec.removeprefix(FOLDER))
        if not path.is_dir():
            raise InputError(f"--model: expected a folder of transformers or timm after {FOLDER}, found none at {path}")
        return FOLDER + _relative(path, folder)
    where, colon, name = spec.rpartition(":") if not is_program(spec) else (spec, "", "")
    if not is_program(spec) and not (colon and where and name):
        raise InputError(
            "--model: expected file.py:Name, package.module:name, torchvision:resnet18, timm:resnet18, hf:FOLDER or a "
            f"file of a whole network (.pt2, .pt), got {spec!r}"
        )
    if not where.endswith((".py", *PROGRAMS)):
        return f"{_PACKAGES.get(where, where)}:{name}"
    path = Path(where)
    if not path.is_file():
        what = "a file of a whole network" if is_program(spec) else "a Python file"
        raise InputError(f"--model: expected {what}, found none at {path}")
    inside = os.path.relpath(path.resolve(), folder.resolve())
    if inside.startswith(".."):
        raise InputError(
            f"--model: expected a file below {folder}, {path} lies elsewhere; run the command where it lies"
        )
    return Path(inside).as_posix() + (f":{name}" if name else "")


def _id(called: str) -> str:
    """The network's id: what it is called, in letters that stand in addresses."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", called).strip("-_")[:40].lower() or "network"


def _called(architecture: str, weights: str | None) -> str:
    """A network by the name of what makes it, else of its file."""
    if is_program(architecture):
        return Path(architecture).stem
    if architecture.startswith(FOLDER):
        return Path(architecture.removeprefix(FOLDER)).name or "network"
    return architecture.rpartition(":")[2] or Path(weights or "a network").stem


def _weights(weights: str | None, folder: Path) -> str:
    if weights is None:
        raise InputError(
            '--weights: expected the file of the network\'s weights, none is given; "random" shows it untrained'
        )
    if weights in ("random", "imagenet", "auto", "bundled"):
        return weights
    return _file("weights", "weights", weights, folder)


def _file(option: str, what: str, given: str, folder: Path) -> str:
    path = Path(given)
    if not path.is_file():
        raise InputError(f"--{option}: expected a file of {what}, found none at {path}")
    return _relative(path, folder)


def _relative(path: Path, folder: Path) -> str:
    """A path as a report.toml in the folder names it: a link by its own name, for where it leads to may change."""
    inside = os.path.relpath(path.absolute(), folder.absolute())
    if inside.startswith(".."):
        inside = os.path.relpath(path.parent.resolve() / path.name, folder.resolve())
    return Path(inside).as_posix()


def _arguments(given: str) -> dict[str, object]:
    """The values of a line of TOML by their names."""
    try:
        found: dict[str, object] = tomllib.loads(f"arguments = {{{given}}}")["arguments"]
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            f"--arguments: expected names and values as TOML has them, such as \"width = 2, kind = 'wide'\", got "
            f"{given!r} ({str(error).split(' (')[0]})"
        ) from None
    return found


def _input(options: argparse.Namespace) -> dict[str, object]:
    way: dict[str, object] = {}
    if options.size:
        way["size"] = _size(options.size)
    if options.channels:
        way["channels"] = _whole("channels", options.channels)
    for key in ("mean", "std"):
        if getattr(options, key):
            way[key] = _numbers(key, getattr(options, key))
    return way


def _size(given: str) -> int | list[int]:
    found = re.fullmatch(r"(\d{1,4})(?:\s*[x×,]\s*(\d{1,4}))?", given.strip())
    if not found:
        raise InputError(f"--size: expected a side in pixels such as 64, or HxW such as 48x192, got {given!r}")
    return int(found[1]) if found[2] is None else [int(found[1]), int(found[2])]


def _whole(option: str, given: str) -> int:
    if not given.strip().isdecimal():
        raise InputError(f"--{option}: expected a whole number, got {given!r}")
    return int(given)


def _numbers(option: str, given: str) -> float | list[float]:
    try:
        found = [float(part) for part in re.split(r"[\s,;]+", given.strip(" []()"))]
    except ValueError:
        raise InputError(
            f"--{option}: expected a number, or one for each channel such as 0.5,0.5,0.5; got {given!r}"
        ) from None
    return found[0] if len(found) == 1 else found


def _classes(given: str) -> list[str]:
    """Names in the order of the outputs: as they are given, or from a file of lines or JSON."""
    path = Path(given)
    if path.suffix not in (".txt", ".json", ".csv") and not path.is_file():
        return [part.strip() for part in given.split(",")]
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"--classes: expected a file of at most {LARGEST >> 20} MiB, {path} is larger")
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        told = reason(error) if isinstance(error, OSError) else "(it is no UTF-8 text)"
        raise InputError(f"--classes: expected a file of class names, {path} cannot be read {told}") from None
    if path.suffix == ".json":
        return _of_json(content, path)
    return [line.strip() for line in content.splitlines() if line.strip()]


def _of_json(content: str, path: Path) -> list[str]:
    """A list of names, {"0": name} as in id2label, or {name: 0} as in class_to_idx and label2id."""
    expected = f"--classes: expected a list of names, or a table of names and numbers from 0 on, in {path}"
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise InputError(f"{expected}; it is no JSON") from None
    if isinstance(found, dict):
        if all(isinstance(value, int) for value in found.values()):
            found = {str(index): name for name, index in found.items()}
        places = [str(number) for number in range(len(found))]
        if set(places) != set(found):
            raise InputError(f"{expected}; its numbers are others")
        found = [found[place] for place in places]
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise InputError(f"{expected}; found something else")
    return found


def toml(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
