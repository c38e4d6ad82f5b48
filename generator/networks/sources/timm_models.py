"""Networks of timm by their name, and how timm's own settings say that images are given to them.

timm is imported only where report.toml names it. Nothing is fetched: a network is made without weights.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from types import ModuleType
from typing import Any

from torch import nn

from generator.base import own_code
from generator.base.digest import digest
from generator.base.errors import InputError
from generator.networks.architecture import GENERAL, Architecture
from generator.records.input import MEAN, STD, Input, Interpolation, grey
from generator.records.network import Origin

INSTALL = "install it with: pip install timm"
# Of timm.create_model, what reads a file, by an unpickler that runs what it finds, or fetches one.
LOADS = {"checkpoint_path", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"}
INTERPOLATIONS: Mapping[str, Interpolation] = {
    "nearest": "nearest",
    "bilinear": "bilinear",
    "bicubic": "bicubic",
    "lanczos": "lanczos",
    "random": "bilinear",  # while training one or the other
}


def architecture(name: str) -> Architecture:
    """A network of timm's: "timm:resnet18", or with the name of published weights, whose settings are then taken.

    Raises:
        InputError: where timm is not installed or has none of that name.
    """
    timm, asked = _timm(f"architecture {name!r}"), name.partition(":")[2]
    found = _settings(timm, asked, f"architecture {name!r}")
    way, told, share = input_of(found, "inferred", f"timm's settings of {asked}, which its training program uses")
    return Architecture(
        name=name,
        title=asked,
        construct=_constructor(timm, name, asked, {}),
        input=way,
        purpose=f"timm's network {asked} with {{}} convolutions",
        presets=GENERAL,
        code=digest("timm", version("timm")),
        told=told,
        share=share,
    )


def of_folder(
    name: str, said: Mapping[str, Any], class_names: tuple[str, ...], file: str, content: str
) -> Architecture:
    """A network whose config.json timm wrote.

    Args:
        name: "hf:FOLDER".
        said: config.json, with `architecture`, `model_args` and `pretrained_cfg` as far as they are there.
        class_names: of its outputs; (): it does not say.
        file: its name; `content`: a digest of it.
    Raises:
        InputError: as `architecture`, and where it says what timm cannot take.
    """
    what = f"architecture {name!r}: {file}"
    timm, asked = _timm(what), said.get("architecture")
    if not isinstance(asked, str):
        raise InputError(f"{what}: expected the name of a network of timm under architecture, got {str(asked)[:60]!r}")
    arguments = said.get("model_args") or {}
    if not isinstance(arguments, dict):
        raise InputError(f"{what}: expected a table of arguments under model_args, got {type(arguments).__name__}")
    own = said.get("pretrained_cfg", {})
    if not isinstance(own, dict):
        raise InputError(f"{what}: expected a table under pretrained_cfg, got {type(own).__name__}")
    usual, told, share = input_of(
        _settings(timm, asked, what), "inferred", f"timm's settings of {asked}, for {file} says nothing of it"
    )
    way, read, own_share = input_of(own, "read", file, usual)
    arguments = {key: value for key, value in arguments.items() if key != "num_classes"}
    return Architecture(
        name=name,
        title=asked,
        construct=_constructor(timm, name, asked, arguments),
        input=way,
        purpose=f"timm's network {asked} with {{}} convolutions",
        presets=GENERAL,
        code=digest("timm", version("timm"), content),
        told={**told, **read},
        share=own_share or share,
        class_names=class_names,
        classes_in=file if class_names else "",
    )


def input_of(
    said: Mapping[str, Any], origin: Origin, source: str, usual: Input | None = None
) -> tuple[Input, dict[str, tuple[Origin, str]], float]:
    """How images are given to a network by timm's settings of it, as its validation gives them.

    Args:
        said: `pretrained_cfg` or a part of it.
        origin, source: of what it says.
        usual: what holds where it says nothing.
    Returns:
        the input, from where each of its fields is, and the share of the resized image that is cut out, 0: unsaid.
    Raises:
        InputError: where a setting is of another kind.
    """
    given = usual or Input((224, 224), mean=MEAN, std=STD)
    try:
        values, share = _values(said)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{source}: expected timm's settings of its images (input_size, mean, std, interpolation, crop_pct), got "
            f"{' '.join(str(error).split())[:100]}"
        ) from None
    told: dict[str, tuple[Origin, str]] = dict.fromkeys(values, (origin, source))
    channels = values.get("channels", given.channels)
    for key in ("mean", "std"):
        if len(values.get(key, ())) not in (0, channels):
            values[key] = grey(values[key]) * channels
            told[key] = ("assumed", f"the mean of the {len(said[key])} numbers of {source}")
    if share or "size" in values:
        values["resize"] = cut_from(values.get("size", given.size), share)
        told["crop"] = (origin, source)
    if said.get("crop_mode") == "squash":
        cut = cut_from(values.get("size", given.size), share)
        values |= {"crop": "squash" if cut else "none", "resize": cut}
        told["crop"] = (origin, source)
    return replace(given, **values), told, share


def _values(said: Mapping[str, Any]) -> tuple[dict[str, Any], float]:
    """What settings of timm say of an input's fields, and `crop_pct`.

    Raises:
        KeyError, TypeError, ValueError: where one is of another kind.
    """
    values: dict[str, Any] = {}
    if said.get("input_size") is not None:
        channels, high, wide = (side(each) for each in said["input_size"])
        values |= {"channels": channels, "size": (high, wide)}
    for key in ("mean", "std"):
        if said.get(key) is not None:
            values[key] = numbers(said[key], 0.0 if key == "std" else None)
    if said.get("interpolation") is not None:
        values["interpolation"] = INTERPOLATIONS[said["interpolation"]]
    share = float(said.get("crop_pct") or 0)
    if share and not 0.1 <= share <= 1:
        raise ValueError(f"crop_pct = {share}")
    return values, share


def cut_from(size: tuple[int, int], share: float) -> int:
    """The shorter side before the cut, as timm rounds it (timm/data/transforms_factory.py); 0: as small as can be."""
    return math.floor(min(size) / share) if 0 < share < 1 else 0


def side(value: object) -> int:
    """A side of an image in pixels, or a number of channels.

    Raises:
        ValueError: where it is none.
    """
    if type(value) is not int or not 1 <= value <= 4096:
        raise ValueError(f"a side of {str(value)[:40]}")
    return value


def numbers(values: object, above: float | None) -> tuple[float, ...]:
    """A finite number for each channel.

    Raises:
        ValueError: where they are none, or not above that.
    """
    if not isinstance(values, list | tuple) or not 1 <= len(values) <= 64:
        raise ValueError(f"{str(values)[:40]} where numbers are expected")
    found = tuple(float(value) for value in values)
    if not all(math.isfinite(value) and (above is None or value > above) for value in found):
        raise ValueError(f"{str(values)[:40]} where finite numbers are expected")
    return found


def _timm(what: str) -> ModuleType:
    try:
        import timm
    except ImportError as error:
        raise InputError(f"{what}: expected the package timm, it is not installed ({error}); {INSTALL}") from None
    found: ModuleType = timm
    return found


def _settings(timm: ModuleType, asked: str, what: str) -> Mapping[str, Any]:
    """What timm knows of a network, or of one of its published weights.

    Raises:
        InputError: where it knows none of that name.
    """
    bare, _, tag = asked.partition(".")
    if not timm.is_model(bare):
        near = difflib.get_close_matches(bare, timm.list_models(), n=3, cutoff=0.5)
        raise InputError(
            f"{what}: expected the name of a network that timm {timm.__version__} has, got {asked[:80]!r}"
            + (f"; nearest: {', '.join(near)}" if near else "")
        )
    known = [name.partition(".")[2] for name in timm.list_pretrained(f"{bare}.*")]
    if tag and tag not in known:
        raise InputError(
            f"{what}: expected one of the weights that timm knows of {bare} ({', '.join(known[:4]) or 'none'}), "
            f"got {tag[:80]!r}; {bare!r} alone makes the same network"
        )
    found = timm.get_pretrained_cfg(asked)
    return found.to_dict() if found is not None else {}


def _constructor(timm: ModuleType, name: str, asked: str, usual: Mapping[str, Any]) -> Any:
    def construct(classes: int, **arguments: Any) -> nn.Module:
        if loads := sorted(LOADS & {*usual, *arguments}):
            raise InputError(f"architecture {name!r}: expected arguments of the network alone, got {loads[0]}")
        with own_code.told(f"architecture {name!r}"):
            made = timm.create_model(asked, pretrained=False, **{"num_classes": classes, **usual, **arguments})
        assert isinstance(made, nn.Module)
        return made

    return construct
