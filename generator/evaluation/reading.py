"""Whether a network is read as its maker meant it: what is most often wrong is tried on labelled training images.

Mean and standard deviation, size, crop, interpolation, the order of the channels and of the classes, and the batch
norms' stored statistics. The images are of the part that weights are fitted on: nothing is tuned on what judges.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
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
# What costs more is looked at on every STEP-th image first, and on the others only where it is ahead there.
DEAR = 4  # times the pixels of the network's input
BUDGET = 1e11  # multiply-accumulates of all images read in one way, about a second of two cores
STEP = 4
WAYS = 16  # in which a network is read, about
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
    return Candidate(kind, what, len(right), float(right.mean()), found.ahead, found.error, found.better, key)


def cost(loaded: Loaded, data: DataSet) -> int:
    """What trying to read a network otherwise costs in multiply-accumulates, more or less."""
    count = min(_count(loaded), len(data.fitted or ()))
    return loaded.once * count * (WAYS // STEP if _is_dear(loaded, count) else WAYS)


def _count(loaded: Loaded) -> int:
    """Images that are looked at, at most."""
    return COUNT if math.prod(loaded.input.size) <= LARGE else FEW


def _is_dear(loaded: Loaded, count: int) -> bool:
    return loaded.once * count > BUDGET


class _Trial:
    """One network on one set of images, read in one way after the other."""

    def __init__(self, loaded: Loaded, data: DataSet, items: Sequence[Item], columns: Sequence[int]) -> None:
        self.loaded, self.columns, self.alike = loaded, list(columns), bool(data.side)
        self.data, self.items = data, items
        self.count = _count(loaded)
        chosen = _evenly(items, self.count)
        self.dear = _is_dear(loaded, len(chosen))
        self.pictures = Remembered(data, chosen)
        self.targets = np.array([item.target for item in chosen])
        norm = self._first_norm()
        with norm or nullcontext():
            self.answers = self._answers(loaded.input)
        self.apart = norm.apart if norm else (None, None)
        self.own: NDArray[np.bool_] = self.answers == self.targets

    def reading(self, part: str) -> Reading:
        tried = (*self._inputs(), *self._swapped(), *self._classes(), *self._norms())
        return Reading(part, len(self.targets), float(self.own.mean()), tried, *self.apart)

    def _images(self, way: Input, rows: Sequence[int]) -> Tensor:
        return given((self.pictures[row] for row in rows), way, alike=self.alike)

    def _answers(self, way: Input, rows: Sequence[int] | None = None) -> NDArray[np.intp]:
        """(N,) classes of the data set that those images, all where no rows are named, are called, read in that way."""
        images = self._images(way, range(len(self.pictures)) if rows is None else rows)
        found: NDArray[np.intp] = logits_of(self.loaded.network, images, way)[:, self.columns].argmax(1)
        return found

    def _tried(
        self, kind: Kind, what: str, key: str, answers: Callable[[Sequence[int]], NDArray[np.intp]], dear: bool = False
    ) -> Candidate:
        """What another reading makes of the images; where it is dear, of a part of them unless it is ahead there."""

        def on(rows: Sequence[int]) -> Candidate:
            return _candidate(kind, what, answers(rows) == self.targets[rows], self.own[rows], key)

        every = range(len(self.targets))
        first = every[::STEP]
        if not (dear or self.dear) or len(first) < 2:  # of one image no difference has an error
            return on(every)
        found = on(first)
        return on(every) if found.ahead > 0 else found

    def _inputs(self) -> Iterator[Candidate]:
        """Other ways to take images, as far as the network runs with them."""
        for kind, what, way, key in readings(self.loaded.input, self.pictures):
            dear = math.prod(way.size) > DEAR * math.prod(self.loaded.input.size)
            with suppress(Exception):  # somebody else's network may refuse another size in any way
                yield self._tried(kind, what, key, partial(self._answers, way), dear)

    def _swapped(self) -> Iterator[Candidate]:
        if self.loaded.input.channels == 3:
            other = "bgr" if self.loaded.input.order == "rgb" else "rgb"
            words = "blue first, as OpenCV has it" if other == "bgr" else "red first, as Pillow has it"
            way = replace(self.loaded.input, order=other)  # type: ignore[arg-type]
            yield self._tried("order of channels", words, f'order = "{other}"', partial(self._answers, way))

    def _classes(self) -> Iterator[Candidate]:
        """The outputs in another order, found on every other image and tried on the rest."""
        names = [self.loaded.class_names[column] for column in self.columns]
        answers, targets = self.answers, self.targets
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
        if any(_is_norm(module) for module in self.loaded.network.modules()):
            words = "batch norms with each batch’s own statistics"
            yield self._tried("batch norms", words, "", self._of_batches)

    def _of_batches(self, rows: Sequence[int]) -> NDArray[np.intp]:
        """As `_answers`, with the statistics of batches in which the images are shuffled."""
        network = copy.deepcopy(self.loaded.network)
        norms = [module for module in network.modules() if _is_norm(module)]
        shuffled = np.random.default_rng(0).permutation(len(rows))
        images = self._images(self.loaded.input, [rows[place] for place in shuffled.tolist()])
        with torch.no_grad(), in_eval_mode(network):
            for module in norms:
                module.training = True
            logits = torch.cat(
                [
                    network(normalise(batch.to(self.loaded.device), self.loaded.input)).cpu()
                    for batch in torch.split(images, 100)
                ]
            )
        answers = np.empty(len(rows), np.intp)
        answers[shuffled] = logits.numpy()[:, self.columns].argmax(1)
        return answers

    def _first_norm(self) -> _Watched | None:
        """The first batch norm, as far as it stores statistics."""
        norm = next((run.module for run in self.loaded.points.runs if isinstance(run.module, nn.BatchNorm2d)), None)
        return None if norm is None or norm.running_mean is None else _Watched(norm)


class _Watched:
    """How far the statistics that a batch norm stores are from those of what it is given meanwhile."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        self.norm = norm
        self.batches: list[tuple[int, Tensor, Tensor]] = []  # values a channel, their means and variances

    def __enter__(self) -> None:
        self.hook = self.norm.register_forward_pre_hook(self._add)

    def __exit__(self, *_: object) -> None:
        self.hook.remove()

    def _add(self, _module: nn.Module, args: tuple[Tensor, ...]) -> None:
        values = args[0].detach().transpose(0, 1).flatten(1)
        variance, mean = torch.var_mean(values, 1)
        self.batches.append((values.shape[1], mean.cpu().double(), variance.cpu().double()))

    @property
    def apart(self) -> tuple[float, float]:
        """The mean distance of the means, in standard deviations, and of the logarithms of the variances."""
        counts, means, variances = zip(*self.batches, strict=True)
        each = torch.tensor(counts, dtype=torch.float64)[:, None]
        mean = (each * torch.stack(means)).sum(0) / each.sum()
        within = ((each - 1) * torch.stack(variances)).sum(0)
        found = (within + (each * (torch.stack(means) - mean) ** 2).sum(0)) / (each.sum() - 1)
        stored, variance = self.norm.running_mean, self.norm.running_var
        assert stored is not None
        assert variance is not None
        stored, variance = stored.cpu(), variance.cpu().clamp_min(self.norm.eps)
        shift = ((mean - stored).abs() / variance.sqrt()).mean()
        spread = (found.clamp_min(self.norm.eps) / variance).log().abs().mean()
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
