"""A local folder in which transformers or timm keeps a network: config.json, preprocessor_config.json and the weights.

Its files of JSON are read as data. The network is made by the installed package, never by code that lies in the folder
or that config.json names; nothing is fetched.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from generator.base.digest import digest
from generator.base.errors import InputError
from generator.config.places import CONFIG, PREPROCESSOR
from generator.networks.architecture import GENERAL, Architecture
from generator.networks.sources import timm_models
from generator.records import stored
from generator.records.input import MEAN, STD, Input, Interpolation
from generator.records.network import Origin

LARGEST = 4 << 20  # bytes of a file of JSON; ImageNet-21k's names have 1e6
WIDEST, DEEPEST = 100_000, 1_000  # numbers of config.json: of a layer's channels, of layers
LONG = 500  # letters of a class's name
INSTALL = "install it with: pip install transformers"
RESAMPLE: Mapping[int, Interpolation] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers

CUT = f"{PREPROCESSOR}, to a pixel"

Told = dict[str, tuple[Origin, str]]


def architecture(name: str, folder: Path) -> Architecture:
    """The network of a folder: "hf:FOLDER".

    Args:
        folder: that folder.
    Raises:
        InputError: where there is none, its files are damaged or hostile, or the package that made them is missing.
    """
    if not folder.is_dir():
        raise InputError(f"architecture {name!r}: expected a folder of transformers or timm, found none at {folder}")
    said, content = _json(folder / CONFIG, "as save_pretrained of transformers or timm writes it")
    _require_harmless(said, folder / CONFIG)
    if said.get("model_type") == "timm_wrapper" or ("architecture" in said and "model_type" not in said):
        return timm_models.of_folder(name, said, _label_names(said, folder / CONFIG), CONFIG, content)
    if not isinstance(said.get("model_type"), str):
        raise InputError(
            f"{folder / CONFIG}: expected model_type, as transformers writes it, or architecture, as timm does, "
            f"found neither among {', '.join(list(said)[:5]) or 'nothing'}"
        )
    shown: dict[str, Any] = {}
    if (folder / PREPROCESSOR).exists():
        shown, more = _json(folder / PREPROCESSOR, "as save_pretrained of transformers writes it")
        content = digest(content, more)
    return _of_transformers(name, folder, said, shown, content)


def _of_transformers(
    name: str, folder: Path, said: Mapping[str, Any], shown: Mapping[str, Any], content: str
) -> Architecture:
    transformers = _transformers(f"architecture {name!r}")
    names = _id2label(said, folder / CONFIG)

    def construct(classes: int, **arguments: Any) -> nn.Module:
        _require_harmless(arguments, Path("arguments"))
        with _quiet(transformers):
            return _made(transformers, {**said, **arguments}, classes, folder / CONFIG)

    def renamed(weights: Mapping[str, Tensor], network: nn.Module) -> Mapping[str, Tensor]:
        with _quiet(transformers):
            return _renamed(weights, network)

    way, told = input_of(said, shown, folder / PREPROCESSOR)
    return Architecture(
        name=name,
        title=folder.resolve().name,
        construct=construct,
        input=way,
        purpose=f"a network of transformers' kind {said['model_type']} with {{}} convolutions",
        presets=GENERAL,
        code=digest("transformers", version("transformers"), content),
        told=told,
        class_names=names,
        classes_in=CONFIG if names else "",
        renamed=renamed,
    )


# Networks of transformers


def _transformers(what: str) -> ModuleType:
    try:
        import transformers
    except ImportError as error:
        raise InputError(
            f"{what}: expected the package transformers, it is not installed ({error}); {INSTALL}"
        ) from None
    found: ModuleType = transformers
    return found


@contextmanager
def _quiet(transformers: ModuleType) -> Iterator[None]:
    """Without the bars and reports that transformers prints of weights, whose faults are told here."""
    log = transformers.utils.logging
    level, shown = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity(log.CRITICAL)
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if shown:
            log.enable_progress_bar()


def _made(transformers: ModuleType, said: Mapping[str, Any], classes: int, file: Path) -> nn.Module:
    """A network without weights, of the class that transformers has for such a config.json.

    Raises:
        InputError: where it has none, or the settings are not what that takes.
    """
    kind = said["model_type"]
    if kind not in transformers.CONFIG_MAPPING:
        raise InputError(
            f"{file}: expected a model_type that transformers {transformers.__version__} has, got {kind[:60]!r}"
        )
    plain = {key: value for key, value in said.items() if key not in ("id2label", "label2id", "num_labels")}
    try:
        config = transformers.CONFIG_MAPPING[kind].from_dict({**plain, "num_labels": classes})
        if type(config) not in transformers.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING:
            raise InputError(f"{file}: expected a network that classifies images, {kind} is none in transformers")
        made = transformers.AutoModelForImageClassification.from_config(config, trust_remote_code=False)
    except InputError:
        raise
    except Exception as error:  # whatever settings of the wrong kind lead to
        raise InputError(
            f"{file}: expected settings of a network of the kind {kind}: {' '.join(str(error).split())[:160]}"
        ) from error
    assert isinstance(made, nn.Module)
    return made.float()  # whatever the weights were saved as


def _renamed(weights: Mapping[str, Tensor], network: nn.Module) -> Mapping[str, Tensor]:
    """Weights by the names that transformers' present version gives them, where a file has older ones.

    Args:
        network: without values.
    """
    wanted = set(network.state_dict())
    if wanted <= set(weights):
        return weights
    kind: Any = type(network)
    try:
        loaded, found = kind.from_pretrained(
            None,
            config=network.config,
            state_dict=dict(weights),
            dtype="float32",
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            local_files_only=True,
        )
    except Exception:  # noqa: BLE001 - what does not fit is told by name where the weights are put in
        return weights
    missing = set(found["missing_keys"])
    if missing >= wanted:  # of something else altogether
        return weights
    # What is missing, or has another shape there, is told by its present name where the weights are put in.
    others = {name: torch.empty(shape, device="meta") for name, shape, _ in found["mismatched_keys"]}
    here = {name: value for name, value in loaded.state_dict().items() if name not in missing}
    renamed: Mapping[str, Tensor] = {**here, **others}
    return renamed


def _require_harmless(said: Mapping[str, Any], file: Path) -> None:
    """Whether settings name no code and nothing to fetch, and no network that no memory could hold.

    Raises:
        InputError: naming the first that does.
    """
    if said.get("auto_map") is not None:
        raise InputError(
            f"{file}: expected a network of transformers' own, found auto_map, which names code of its own; write "
            "--model file.py:Name for that code if you trust it"
        )
    waiting = [(key, value) for key, value in said.items() if key not in _ELSEWHERE]
    while waiting:
        key, value = waiting.pop()
        kernels = "attn_implementation" in key or "experts_implementation" in key
        if value and (key in _FETCHING or (kernels and value not in ("eager", "sdpa"))):
            raise InputError(f"{file}: expected settings of a network alone, found {key}, which fetches or runs others")
        if isinstance(value, dict):
            waiting += [(str(inner), each) for inner, each in value.items()]
        elif isinstance(value, list):
            waiting += [(key, each) for each in value]
        elif isinstance(value, int | float):
            most = DEEPEST if "layers" in key or "depth" in key else WIDEST
            if not abs(value) <= most:
                raise InputError(f"{file}: expected at most {most:,} under {key[:60]}, found {str(value)[:40]}")


_ELSEWHERE = ("id2label", "label2id", "label_names", "pretrained_cfg")  # of config.json, read for itself
_FETCHING = {"backbone", "use_pretrained_backbone", "use_timm_backbone", "use_kernels", "quantization_config"}
_FETCHING |= timm_models.LOADS


# What the files say


def _json(file: Path, how: str) -> tuple[dict[str, Any], str]:
    """A table of a file of JSON, and a digest of it.

    Raises:
        InputError: where there is none, it is too large, or no table.
    """
    content = stored.content_of(file, f"a file of JSON {how}", LARGEST)
    try:
        said = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise InputError(f"{file}: expected a file of JSON {how}, it is no JSON, or damaged") from None
    if not isinstance(said, dict):
        raise InputError(f"{file}: expected a table {how}, found {type(said).__name__}")
    return said, digest(content)


def _id2label(said: Mapping[str, Any], file: Path) -> tuple[str, ...]:
    """What the outputs stand for, in order; () where transformers numbered them itself, or nothing is said."""
    names = _names(said.get("id2label"), "id2label", file)
    return () if names == tuple(f"LABEL_{number}" for number in range(len(names))) else names


def _label_names(said: Mapping[str, Any], file: Path) -> tuple[str, ...]:
    """What the outputs of a network of timm stand for, in order; () where it does not say."""
    own = said.get("pretrained_cfg")
    given = said.get("label_names") or (own.get("label_names") if isinstance(own, dict) else None)
    names, count = _names(given, "label_names", file), said.get("num_classes")
    if names and isinstance(count, int) and count != len(names):
        raise InputError(f"{file}: expected {count} names under label_names, as num_classes says, found {len(names)}")
    return names


def _names(given: Any, key: str, file: Path) -> tuple[str, ...]:
    """Names of classes in order: a list of them, or a table by their numbers."""
    if given is None:
        return ()
    if isinstance(given, dict) and set(given) == {str(number) for number in range(len(given))}:
        given = [given[str(number)] for number in range(len(given))]
    if not isinstance(given, list):
        raise InputError(f"{file}: expected names under the numbers from 0 on in {key}, found something else")
    for name in given:
        if not isinstance(name, str) or not name.strip() or len(name) > LONG or not name.isprintable():
            raise InputError(
                f"{file}: expected names of classes under {key}, lines of at most {LONG} letters, "
                f"got {str(name)[:60]!r}"
            )
    return tuple(given)


# How images are given


def input_of(said: Mapping[str, Any], shown: Mapping[str, Any], file: Path) -> tuple[Input, Told]:
    """How transformers' image processors give images to a network, and from where each of it is.

    They round down where a cut begins, torchvision rounds to the nearest even number: so a cut may lie a pixel off.

    Args:
        said: config.json; `shown`: preprocessor_config.json, {} where there is none.
        file: the latter.
    Raises:
        InputError: where a setting is of another kind.
    """
    try:
        values, told = _read(said, shown)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{file}: expected settings of an image processor (size, resample, image_mean, image_std), got "
            f"{' '.join(str(error).split())[:100]}"
        ) from None
    return Input(**({"size": (224, 224), "mean": MEAN, "std": STD} | values)), told


def _read(said: Mapping[str, Any], shown: Mapping[str, Any]) -> tuple[dict[str, Any], Told]:
    values: dict[str, Any] = {}
    told: Told = {}

    def take(key: str, value: object, origin: Origin = "read", source: str = PREPROCESSOR) -> None:
        values[key], told[key] = value, (origin, source)

    channels = said.get("num_channels")
    if channels is not None:
        take("channels", timm_models.side(channels), source=CONFIG)
    if said.get("image_size") is not None:
        take("size", _pair(said["image_size"]), source=CONFIG)
    if not shown:
        return values, told
    if shown.get("do_resize", True) and "resample" in shown:
        take("interpolation", RESAMPLE[shown["resample"]])
    _read_statistics(shown, values.get("channels", 3), take)
    _read_sizes(shown, take)
    take("order", "bgr" if shown.get("do_flip_channel_order") else "rgb")
    return values, told


def _read_statistics(shown: Mapping[str, Any], channels: int, take: Any) -> None:
    factor = float(shown.get("rescale_factor", 1 / 255)) if shown.get("do_rescale", True) else 1.0
    if not 0 < factor <= 1:
        raise ValueError(f"rescale_factor = {factor}")
    take("range", round(255 * factor, 6))
    normalised = shown.get("do_normalize")  # where it is not written, they do not
    mean = shown.get("image_mean") if normalised else [0.0] * channels
    std = shown.get("image_std") if normalised else [1.0] * channels
    if mean is None or std is None:
        return
    # Some processors bring values to -1 to 1 before that.
    lower = 1.0 if shown.get("do_rescale", True) and (shown.get("rescale_offset") or shown.get("offset")) else 0.0
    mean, std = ([each] * channels if isinstance(each, int | float) else each for each in (mean, std))
    take("mean", tuple(value + lower for value in timm_models.numbers(mean, None)))
    std = timm_models.numbers(std, 0.0)
    take("std", tuple(value**2 for value in std) if shown.get("include_top") else std)  # EfficientNet's divides twice


def _read_sizes(shown: Mapping[str, Any], take: Any) -> None:
    size, cut = shown.get("size"), shown.get("crop_size") if shown.get("do_center_crop") else None
    if not shown.get("do_resize", True):
        size = None
    if cut is not None:
        take("size", _pair(cut))
    if size is None:
        take("crop", "centre")
        return
    whole = isinstance(size, dict) and "shortest_edge" in size
    if not whole and not (isinstance(size, int) and (cut is not None or shown.get("crop_pct"))):
        _read_squeezed(_pair(size), cut, take)
        return
    shorter = timm_models.side(size["shortest_edge"] if isinstance(size, dict) else size)
    if share := shown.get("crop_pct"):
        large = shorter >= 384 and "convnext" in str(shown.get("image_processor_type", "")).lower()
        if cut is None:
            take("size", (shorter, shorter))
        take("crop", "none" if large else "centre", source=PREPROCESSOR if large else CUT)
        take("resize", 0 if large else math.floor(shorter / float(share)))
    elif cut is not None:
        take("crop", "centre", source=CUT)
        take("resize", shorter)
    else:
        take("size", (shorter, shorter))
        take("crop", "centre", "assumed", f"{PREPROCESSOR} leaves images their proportions, which are cut here")


def _read_squeezed(size: tuple[int, int], cut: Any, take: Any) -> None:
    """Of processors that squeeze an image to a height and a width."""
    if cut is None or _pair(cut) == size:
        take("size", size)
        take("crop", "none")
    elif Input(_pair(cut), min(size), "squash").resized(*size) == size and min(size) >= min(_pair(cut)):
        take("crop", "squash", source=CUT)
        take("resize", min(size))
    else:
        take("crop", "none", "assumed", f"by {PREPROCESSOR} the squeezed image’s edges are cut off, which is left out")


def _pair(size: Any) -> tuple[int, int]:
    """(H, W) of a side, of both, or of a table of them."""
    if isinstance(size, dict):
        return timm_models.side(size["height"]), timm_models.side(size["width"])
    if isinstance(size, list):
        high, wide = size
        return timm_models.side(high), timm_models.side(wide)
    return timm_models.side(size), timm_models.side(size)
