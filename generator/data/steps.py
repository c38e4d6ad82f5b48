"""The transform of a torch Dataset, step by step: what its steps are, what the last of them do, the images before them.

Neither torch nor torchvision is needed: a step is known by its name and its attributes, as torchvision calls them in
both of its versions. A data set is never changed; what is taken off is taken off a copy.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from generator.base.errors import InputError
from generator.records.input import Interpolation

# torchvision's transforms that change an image at random, beside those whose names begin with Random.
RANDOM = (
    "ColorJitter",
    "AutoAugment",
    "RandAugment",
    "TrivialAugmentWide",
    "AugMix",
    "ElasticTransform",
    "ScaleJitter",
    "GaussianNoise",
    "JPEG",
    "CutMix",
    "MixUp",
)
# Steps that change an image's kind, and of its numbers the scale alone.
CONVERSIONS = (
    "ToTensor",
    "PILToTensor",
    "ToPILImage",
    "ToImage",
    "ToDtype",
    "ConvertImageDtype",
    "ToPureTensor",
    "MaybeToTensor",  # timm's
    "MaybePILToTensor",
    "Identity",
)
PRESET = "ImageClassification"  # of torchvision: what belongs to published weights, in one step
METHODS: Mapping[object, Interpolation] = {  # torchvision's words, and Pillow's numbers
    "nearest": "nearest", "nearest-exact": "nearest", 0: "nearest",
    "bilinear": "bilinear", 2: "bilinear",
    "bicubic": "bicubic", 3: "bicubic",
    "lanczos": "lanczos", 1: "lanczos",
}  # fmt: skip
DEEPEST = 16  # data sets in one another, or transforms
PLAIN = "give the images without Normalize, and say mean and std in report.toml's input"


class Normalisation(NamedTuple):
    """What a Normalize takes off and divides by, a number a channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Read:
    """What some steps do to an image, one after the other."""

    squeezed: tuple[int, int] | None = None  # (H, W) that it is brought to whatever its shape; None: it keeps that
    resize: int = 0  # the shorter side; 0: it is left as it is
    cut: bool = False  # the middle is cut out
    interpolation: Interpolation | None = None
    norm: Normalisation | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """What they tell of an input, by the names of `records.input.Input`."""
        return (
            *(("crop", "resize") if self.squeezed or self.resize or self.cut else ()),
            *(("interpolation",) if self.interpolation else ()),
            *(("mean", "std") if self.norm else ()),
        )


class First:
    """The first steps of a transform, in the place of all of them."""

    def __init__(self, steps: Sequence[Any]) -> None:
        self.steps = tuple(steps)

    def __call__(self, *image: Any, **named: Any) -> Any:
        """The image after these steps; by its name, as albumentations has it, it comes back by its name."""
        if named:
            for step in self.steps:
                named = step(*image, **named)
            return named
        (found,) = image
        for step in self.steps:
            found = step(found)
        return found


def innermost(dataset: Any) -> Any:
    """The data set itself, below what takes some of it (Subset) or joins several (ConcatDataset)."""
    return _ways(dataset)[0][0]


def transforms(dataset: Any) -> list[list[Any]]:
    """The steps that an image goes through, in their order, of each data set below one; [] where none can be seen."""
    return [[step for each in way for step in _steps(each)] for way in _ways(dataset)]


def common(ways: Sequence[Sequence[Any]]) -> list[Any]:
    """The last steps that all ways have in common."""
    first, *others = ways
    count = len(first)
    for way in others:
        pairs = zip(reversed(first), reversed(way), strict=False)
        alike = [repr(one) == repr(other) for one, other in pairs]
        count = min(count, (*alike, False).index(False))
    return list(first[len(first) - count :])


def without(dataset: Any, count: int, instead: Sequence[Any] = ()) -> Any:
    """A copy of a data set whose transforms lack the last `count` steps, as seen from the outermost inwards.

    Args:
        instead: steps that come in their place, in the innermost data set that had some of them.
    Raises:
        InputError: for a data set that cannot be copied, or whose copy cannot have another transform.
    """
    steps = _steps(dataset)
    mine = min(count, len(steps))
    changed: dict[str, Any] = {}
    deeper = False
    for name, inner in _inside(dataset).items():
        deeper = any(any(way) for each in inner for way in transforms(each)) and count > mine
        taken = [without(each, count - mine, instead if deeper else ()) for each in inner]
        changed[name] = taken if isinstance(getattr(dataset, name), (list, tuple)) else taken[0]
    if mine:
        changed[_named(dataset)] = First([*steps[: len(steps) - mine], *(() if deeper else instead)])
    try:
        found = copy.copy(dataset)
        for name, value in vars(found).items():
            if isinstance(value, (dict, list, set)):  # a cache of images among them, which stays the user's
                setattr(found, name, copy.copy(value))
        for name, value in changed.items():
            setattr(found, name, value)
    except (AttributeError, TypeError) as error:
        raise InputError(
            f"{called(dataset)}: expected a Dataset whose copy can have another transform: {error}"
        ) from error
    return found


def called(transform: Any) -> str:
    """The name of a transform's kind."""
    return type(transform).__name__


def is_random(transform: Any) -> bool:
    """Whether it gives another image at each look."""
    return called(transform).startswith("Random") or called(transform) in RANDOM


def read(steps: Sequence[Any], what: str) -> Read | None:
    """What steps do; None where one of them is not known, or they do in sum what no network's input is told to be.

    Args:
        what: the data set is called, for messages.
    """
    found: Read | None = Read()
    for step in steps:
        if found is None or found.norm:  # what comes after a Normalize is not taken back
            return None
        found = _after(found, step, what)
    return found


def normalisation(ways: Sequence[Sequence[Any]], what: str) -> Normalisation | None:
    """The Normalize at the end of transforms, None where there is none.

    Args:
        ways: of `transforms`.
    Raises:
        InputError: where something comes after it, or not all have the same, so that it cannot be taken back.
    """
    found = {_last(steps, what) for steps in ways}
    if len(found) > 1:
        raise InputError(f"{what}: expected the same Normalize for all of its images, it has several; {PLAIN}")
    return next(iter(found))


def _after(found: Read, step: Any, what: str) -> Read | None:
    """What was found of the steps before one, and of that."""
    name = called(step)
    if name in CONVERSIONS or (name == "Grayscale" and getattr(step, "num_output_channels", 0) == 1):
        return found
    if name == "Normalize":
        return replace(found, norm=_normalised(step, what))
    if name == "CenterCrop" and not found.cut:
        return replace(found, cut=True)
    untouched = not (found.cut or found.squeezed or found.resize)
    told = getattr(step, "interpolation", None)
    method = METHODS.get(getattr(told, "value", told))
    if name == "Resize" and untouched and method and getattr(step, "max_size", None) is None:
        size = _sides(getattr(step, "size", None))
        if len(size) == 1:
            return replace(found, resize=size[0], interpolation=method)
        return replace(found, squeezed=size, interpolation=method) if len(size) == 2 else None
    if name == PRESET and untouched and method and len(size := _sides(getattr(step, "resize_size", None))) == 1:
        return Read(None, size[0], True, method, _normalised(step, what))
    return None


def _sides(size: Any) -> tuple[int, ...]:
    """A size as transforms have it, a number or several; () for anything else."""
    found = tuple(size) if isinstance(size, (list, tuple)) else (size,)
    return found if all(isinstance(each, int) for each in found) else ()


def _ways(dataset: Any, depth: int = 0) -> list[list[Any]]:
    """From each innermost data set outwards to this one."""
    below = [each for inner in _inside(dataset).values() for each in inner]
    ways = [way for each in below for way in _ways(each, depth + 1)] if depth < DEEPEST else []
    return [[*way, dataset] for way in ways] or [[dataset]]


def _inside(dataset: Any) -> dict[str, list[Any]]:
    """The data sets that one takes some of, or joins, by the attribute that holds them."""
    inner, several = getattr(dataset, "dataset", None), getattr(dataset, "datasets", None)
    if _is_dataset(inner):
        return {"dataset": [inner]}
    return {"datasets": list(several)} if isinstance(several, (list, tuple)) and several else {}


def _is_dataset(found: Any) -> bool:
    return hasattr(found, "__len__") and hasattr(found, "__getitem__") and not hasattr(found, "dtype")


def _named(dataset: Any) -> str:
    """The attribute that holds a data set's own transform, "" where none does."""
    if getattr(dataset, "transform", None) is not None:
        return "transform"
    several = getattr(dataset, "transforms", None)  # torchvision's own holds both transforms, as a record
    return "transforms" if callable(several) and called(several) != "StandardTransform" else ""


def _steps(dataset: Any) -> list[Any]:
    """The steps of a data set's own transform."""
    name = _named(dataset)
    return list(_flat(getattr(dataset, name))) if name else []


def _flat(transform: Any, depth: int = 0) -> Iterable[Any]:
    steps = getattr(transform, "transforms", transform if called(transform) == "Sequential" else None)
    chained = called(transform) in ("Compose", "Sequential") and not type(transform).__module__.startswith("albument")
    if depth < DEEPEST and chained and isinstance(steps, Iterable):
        for step in steps:
            yield from _flat(step, depth + 1)
    elif transform is not None:
        yield transform


def _last(steps: Sequence[Any], what: str) -> Normalisation | None:
    places = [at for at, step in enumerate(steps) if called(step) == "Normalize"]
    if not places:
        return None
    if places != [len(steps) - 1]:
        raise InputError(f"{what}: expected Normalize once, as the last step, where it can be taken back; {PLAIN}")
    return _normalised(steps[-1], what)


def _normalised(step: Any, what: str) -> Normalisation:
    """The numbers of a Normalize."""
    mean, std = (
        tuple(float(each) for each in np.ravel(np.asarray(getattr(step, name, ())))) for name in ("mean", "std")
    )
    if not mean or len(std) not in (1, len(mean)) or not np.isfinite([*mean, *std]).all() or min(std) <= 0:
        raise InputError(f"{what}: expected a Normalize of finite means and of deviations above 0; {PLAIN}")
    return Normalisation(mean, std)
