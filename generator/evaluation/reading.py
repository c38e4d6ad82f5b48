"""Whether a network is read as its maker meant it: what is most often wrong is tried on labelled training images.

Mean and standard deviation, size, crop, interpolation, the order of the channels and of the classes, and the batch
norms' stored statistics. The images are of the part that weights are fitted on: nothing is tuned on what judges.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from generator.config.reading import input_said
from generator.config.schema import ModelConfig
from generator.data.dataset import DataSet, Item
from generator.data.decoded import Pictures, Remembered
from generator.data.orders import ENOUGH, lead, other_order
from generator.evaluation.answers import given, logits_of
from generator.explain.passes import in_eval_mode
from generator.networks.inputs import LUMA, normalise
from generator.networks.loaded import Loaded
from generator.records.images import Arrays, Pixels
from generator.records.input import MEAN, STD, Input, Interpolation, in_pixels
from generator.records.network import Fact
from generator.records.reading import Candidate, Kind, Reading

BAND = 1 << 20  # pixels whose values are summed at once
COUNT, FEW = 400, 120  # images looked at, and of those with more than LARGE pixels
LARGE = 112 * 112
DEAR = 4  # times as many pixels, of which a fourth of the images is looked at first
# Of many classes so many times as many images are looked at for their order, where fewer than that share are right.
MORE, DOUBTFUL = 5, 0.5
# Of the digits that grey networks are so often tried with (LeCun et al.), as everybody normalises them.
DIGITS = ((0.1307,), (0.3081,))
INTERPOLATIONS: tuple[Interpolation, ...] = ("nearest", "bilinear", "bicubic", "lanczos")


def reading_arrays(loaded: Loaded, data: DataSet, columns: Sequence[int]) -> dict[str, NDArray[Any]]:
    """What was tried, as arrays that a cache can hold: see `reading_of`.

    Args:
        columns: the network's output for each of the data set's classes.
    """
    part = data.fitted
    if part is None or len(part) < 2:  # of one image no difference has an error
        return {}
    return written(_Trial(loaded, data, part.items, columns).reading(part.name))


def written(found: Reading) -> dict[str, NDArray[Any]]:
    """A record as arrays."""
    told = {key: value for key, value in asdict(found).items() if key != "tried" and value is not None}
    arrays = {key: np.array(value) for key, value in told.items()}
    for place, one in enumerate(found.tried):
        arrays |= {f"tried {place} {key}": np.array(value) for key, value in asdict(one).items()}
    return arrays


def reading_of(arrays: Arrays) -> Reading | None:
    """The record of what `reading_arrays` found; None where there was nothing to try it on."""
    if not arrays:
        return None
    count = 1 + max((int(key.split(" ")[1]) for key in arrays if key.startswith("tried ")), default=-1)
    tried = []
    for place in range(count):
        start = f"tried {place} "
        tried.append(
            Candidate(**{key.removeprefix(start): arrays[key].item() for key in arrays if key.startswith(start)})
        )
    told: dict[str, Any] = {key: value.item() for key, value in arrays.items() if not key.startswith("tried ")}
    return Reading(tried=tuple(tried), **told)


def _evenly(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many images, evenly over the part, which is ordered by class."""
    count = min(len(items), most)
    return [items[round(step * (len(items) - 1) / max(1, count - 1))] for step in range(count)]


def _candidate(kind: Kind, what: str, right: NDArray[np.bool_], was: NDArray[np.bool_], key: str) -> Candidate:
    """What another reading makes of images.

    Args:
        was: what the reading that is used makes of the same.
    """
    found = lead(right, was)
    return Candidate(kind, what, float(right.mean()), found.ahead, found.error, found.better, key)


class _Trial:
    """One network on one set of images, read in one way after the other."""

    def __init__(self, loaded: Loaded, data: DataSet, items: Sequence[Item], columns: Sequence[int]) -> None:
        self.loaded, self.columns, self.alike = loaded, list(columns), bool(data.side)
        self.data, self.items = data, items
        self.count = COUNT if math.prod(loaded.input.size) <= LARGE else FEW
        chosen = _evenly(items, self.count)
        self.pictures = Remembered(data, chosen)
        self.targets = np.array([item.target for item in chosen])
        self.own = self._right(self._logits(loaded.input))

    def reading(self, part: str) -> Reading:
        shift, spread = self._first_norm()
        tried = (*self._inputs(), *self._swapped(), *self._classes(), *self._norms())
        return Reading(part, len(self.targets), float(self.own.mean()), tried, shift, spread)

    def _logits(self, way: Input, rows: slice = slice(None)) -> NDArray[np.floating[Any]]:
        """(N, classes of the data set) of those images, read in that way."""
        asked = (self.pictures[row] for row in range(len(self.pictures))[rows])
        images = given(asked, way, alike=self.alike)
        return logits_of(self.loaded.network, images, way)[:, self.columns]

    def _right(self, logits: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = logits.argmax(1) == self.targets
        return found

    def _candidate(
        self, kind: Kind, what: str, right: NDArray[np.bool_], key: str, rows: Any = slice(None)
    ) -> Candidate:
        return _candidate(kind, what, right, self.own[rows], key)

    def _inputs(self) -> Iterator[Candidate]:
        """Other ways to take images, as far as the network runs with them."""
        for kind, what, way, key in readings(self.loaded.input, self.pictures):
            # Images of many times the size cost as many times as much: every fourth tells whether to go on.
            rows = slice(None, None, DEAR if math.prod(way.size) > DEAR * math.prod(self.loaded.input.size) else 1)
            with suppress(Exception):  # somebody else's network may refuse another size in any way
                right = self._logits(way, rows=rows).argmax(1) == self.targets[rows]
                one = self._candidate(kind, what, right, key, rows)
                if one.better and rows.step != 1:
                    one = self._candidate(kind, what, self._right(self._logits(way)), key)
                yield one

    def _swapped(self) -> Iterator[Candidate]:
        if self.loaded.input.channels == 3:
            other = "bgr" if self.loaded.input.order == "rgb" else "rgb"
            words = "blue first, as OpenCV has it" if other == "bgr" else "red first, as Pillow has it"
            right = self._right(self._logits(replace(self.loaded.input, order=other)))  # type: ignore[arg-type]
            yield self._candidate("order of channels", words, right, f'order = "{other}"')

    def _classes(self) -> Iterator[Candidate]:
        """The outputs in another order, found on every other image and tried on the rest."""
        names = [self.loaded.class_names[column] for column in self.columns]
        answers, targets = self._logits(self.loaded.input).argmax(1), self.targets
        if len(targets) < 2 * ENOUGH * len(names):  # whose names are right needs no more images
            if self.own.mean() > DOUBTFUL:
                return
            chosen = _evenly(self.items, min(2 * ENOUGH * len(names), self.count * MORE))
            images = given(Pictures(self.data, chosen), self.loaded.input, alike=self.alike)
            answers = logits_of(self.loaded.network, images, self.loaded.input)[:, self.columns].argmax(1)
            targets = np.array([item.target for item in chosen])
        found = other_order(answers, targets, len(names))
        if found is None:
            return
        order = list(self.loaded.class_names)
        for column, place in zip(self.columns, found.meant, strict=True):
            order[column] = names[place]
        key = "classes = [" + ", ".join(f'"{name}"' for name in order) + "]"
        was = (answers == targets)[1::2]
        yield _candidate("classes", "the outputs in another order", found.right, was, key)

    def _norms(self) -> Iterator[Candidate]:
        """Batch norms that take the statistics of each batch, as while training."""
        if not any(_is_norm(module) for module in self.loaded.network.modules()):
            return
        network = copy.deepcopy(self.loaded.network)
        norms = [module for module in network.modules() if _is_norm(module)]
        shuffled = np.random.default_rng(0).permutation(len(self.targets))
        images = given((self.pictures[row] for row in shuffled.tolist()), self.loaded.input, alike=self.alike)
        with torch.no_grad(), in_eval_mode(network):
            for module in norms:
                module.training = True
            logits = torch.cat(
                [
                    network(normalise(batch.to(self.loaded.device), self.loaded.input)).cpu()
                    for batch in torch.split(images, 100)
                ]
            )
        right = np.empty(len(self.targets), bool)
        right[shuffled] = logits.numpy()[:, self.columns].argmax(1) == self.targets[shuffled]
        yield self._candidate("batch norms", "batch norms with each batch’s own statistics", right, "")

    def _first_norm(self) -> tuple[float | None, float | None]:
        """How far the statistics that the first batch norm stores are from those of these images."""
        runs = self.loaded.points.runs
        norm = next((run.module for run in runs if isinstance(run.module, nn.BatchNorm2d)), None)
        if norm is None or norm.running_mean is None or norm.running_var is None:
            return None, None
        seen: list[Tensor] = []
        with norm.register_forward_pre_hook(lambda _module, args: seen.append(args[0].detach())):
            self._logits(self.loaded.input)
        values = torch.cat(seen).transpose(0, 1).flatten(1)
        variance = norm.running_var.clamp_min(norm.eps)
        shift = ((values.mean(1) - norm.running_mean).abs() / variance.sqrt()).mean()
        spread = (values.var(1).clamp_min(norm.eps) / variance).log().abs().mean()
        return float(shift), float(spread)


def _is_norm(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._BatchNorm)


def readings(way: Input, pictures: Sequence[Pixels]) -> Iterator[tuple[Kind, str, Input, str]]:
    """Other inputs, with what they are in words and the keys that would say so; the input itself is none of them."""
    # Of squares, as of all that have the network's proportions, nothing is squeezed.
    sizes = {picture.shape[:2] for picture in pictures}
    squares = all(high * way.size[1] == wide * way.size[0] for high, wide in sizes)
    for what, mean, std, values in (*_statistics(way.channels), *_own(way.channels, pictures)):
        other = replace(way, mean=mean, std=std, range=values)
        if (other.mean, other.std, other.range) != (way.mean, way.std, way.range):
            yield "mean and std", what, other, _said(other)
    more = round(min(way.size) * 8 / 7)
    for what, crop, resize in (
        ("the whole image squeezed to the size", "none", 0),
        ("the whole image squeezed to 8/7 of the size, the middle cut out", "squash", more),
        ("the middle, as large as can be", "centre", 0),
        ("the shorter side to 8/7 of the size, the middle cut out", "centre", more),
    ):
        other = replace(way, crop=crop, resize=resize)  # type: ignore[arg-type]
        if (crop, resize) != (way.crop, way.resize) and not (crop == "squash" and squares):
            yield "crop", what, other, f'crop = "{crop}"' + (f", resize = {resize}" if resize else "")
    for method in INTERPOLATIONS:
        if method != way.interpolation:
            yield (
                "interpolation",
                f"{method} resampling",
                replace(way, interpolation=method),
                f'interpolation = "{method}"',
            )
    for high, wide in dict.fromkeys([*(sizes if len(sizes) == 1 else ()), (224, 224)]):
        if (high, wide) != way.size and high * wide <= 224 * 224:
            size = f"{high}" if high == wide else f"[{high}, {wide}]"
            yield "size", in_pixels((high, wide)), replace(way, size=(high, wide), resize=0), f"size = {size}"


def _statistics(channels: int) -> Iterator[tuple[str, tuple[float, ...], tuple[float, ...], float]]:
    """What is most often taken off and divided by: in words, mean, std and range."""
    if channels == 3:
        yield "ImageNet’s mean and std", MEAN, STD, 1.0
    if channels == 1:
        yield "the mean and std of the digits of MNIST", *DIGITS, 1.0
    yield "a mean and a std of 0.5", (0.5,) * channels, (0.5,) * channels, 1.0
    yield "no mean and std, values from 0 to 1", (0.0,) * channels, (1.0,) * channels, 1.0
    yield "no mean and std, values from 0 to 255", (0.0,) * channels, (1.0,) * channels, 255.0


def _own(
    channels: int, pictures: Sequence[Pixels]
) -> Iterator[tuple[str, tuple[float, ...], tuple[float, ...], float]]:
    """The images' own mean and standard deviation, to two digits: nobody's are known better."""
    if channels not in (1, 3) or not pictures:
        return
    count, total, squared = 0, np.zeros(channels), np.zeros(channels)
    for picture in pictures:
        flat = picture.reshape(-1, 3)
        for start in range(0, len(flat), BAND):
            values = flat[start : start + BAND] / 255
            if channels == 1:
                values = values @ np.array(LUMA)[:, None] / 2**16
            count, total, squared = count + len(values), total + values.sum(0), squared + (values**2).sum(0)
    average = total / count
    spread = np.sqrt(np.maximum(0, squared / count - average**2))
    mean, std = (tuple(np.round(found, 2).tolist()) for found in (average, spread))
    if min(std) > 0:
        yield "the images’ own mean and std", mean, std, 1.0


def _said(way: Input) -> str:
    mean, std = (_one(values) for values in (way.mean, way.std))
    return f"mean = {mean}, std = {std}" + (f", range = {way.range:g}" if way.range != 1 else "")


def _one(values: tuple[float, ...]) -> str:
    return f"{values[0]:g}" if len(set(values)) == 1 else "[" + ", ".join(f"{value:g}" for value in values) + "]"


# What follows from it

OWN_KEYS = {
    "mean and std": ("mean", "std", "range"),
    "size": ("size",),
    "crop": ("crop", "resize"),
    "interpolation": ("interpolation",),
    "order of channels": ("order",),
}
ROUNDS = 3  # readings that are taken one after the other where nobody declared them


def settled(
    loaded: Loaded,
    data: DataSet | None,
    again: Callable[[ModelConfig], Loaded],
    known: Callable[[Loaded, Callable[[], Arrays]], Arrays],
) -> tuple[Loaded, Reading | None]:
    """A network of somebody else's read as it answers best, as far as nobody declared how; and what was tried.

    Args:
        data: looked through; None: there is none to try it on.
        again: the network as report.toml would then say it.
        known: what was found of a network before, else what the function finds.
    """
    elsewhere = isinstance(loaded.wanted.weights, Path) or loaded.wanted.weights == "memory"
    if data is None or data.fitted is None or not elsewhere:
        return loaded, None
    if not loaded.input.takes_photos:
        return loaded, None
    columns = [loaded.output_of(key, (name,)) for key, name in zip(data.classes.keys, data.classes.names, strict=True)]
    if any(column is None for column in columns):
        return loaded, None
    outputs = [column for column in columns if column is not None]
    taken: dict[str, str] = {}
    notes: list[str] = []
    for number in range(ROUNDS + 1):
        trial = partial(reading_arrays, loaded, data, outputs)
        found = reading_of(known(loaded, trial))
        free = [one for one in found.better if _is_free(one, loaded)] if found else []
        if found is None or not free or number == ROUNDS:
            break
        best = max(free, key=lambda one: one.ahead)
        said = input_said(best.key)
        wanted = replace(loaded.wanted, input=replace(loaded.wanted.input, **said.given))  # type: ignore[arg-type]
        taken[best.kind] = (
            f"so it names {best.accuracy:.1%} of {found.count} training images rightly, {found.accuracy:.1%} as usual"
        )
        notes.append(f"Nobody declared its {best.kind}; it is read with {best.what}, for {taken[best.kind]}.")
        loaded = again(wanted)
    if found is not None and loaded.wanted.weights == "memory":
        found = replace(found, place=loaded.wanted.said_in)
    return replace(loaded, facts=_told(loaded.facts, taken), notes=(*loaded.notes, *notes)), found


def _is_free(one: Candidate, loaded: Loaded) -> bool:
    """Whether nobody declared what the candidate has otherwise, no file of the network says it, and a key can."""
    keys = OWN_KEYS.get(one.kind, ())
    read = {key for key, (origin, _) in loaded.architecture.told.items() if origin == "read"}
    return bool(keys) and not any(key in {*loaded.wanted.input.given, *read} for key in keys)


WHATS = {
    "mean and std": ("mean", "standard deviation", "range of values"),
    "size": ("image size",),
    "crop": ("resize and crop",),
}


def _told(facts: Sequence[Fact], taken: Mapping[str, str]) -> tuple[Fact, ...]:
    """The facts, and of those that were measured by what."""
    source = {what: said for kind, said in taken.items() for what in WHATS.get(kind, (kind,))}
    return tuple(
        replace(fact, origin="measured", source=source[fact.what]) if fact.what in source else fact for fact in facts
    )
