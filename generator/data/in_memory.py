"""Data sets in memory: torch Datasets, DataLoaders and pairs of arrays as parts of a data set of the report.

A Dataset gives its images as a network is given them. The report is about the images before that: so the transform is
taken apart at its end (see `steps`), the steps that are taken off become the network's input, and the two together are
tried against what the Dataset itself gives. torch is not needed for any of it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generator.base import own_code, terminal
from generator.base.errors import InputError
from generator.data import image_files, rows, steps
from generator.data.arrays import MOST_SIDE
from generator.data.classes import Classes
from generator.data.dataset import DataSet, Item, parts_of
from generator.data.parts import as_they_came, came_as
from generator.data.preprocessing import seen
from generator.data.steps import Normalisation, Read
from generator.records.images import Pixels
from generator.records.input import Crop, Input
from generator.records.report import DataWords

PROBES = 32  # images, evenly spaced, that a reading is tried on
# Levels of brightness, of 255, by which a network's input here may be apart from what the Dataset gives: a reading is
# the same within SAME, which goes before all others, close within CLOSE on average, and none beyond FAR on average.
SAME, CLOSE, FAR = 0.02, 0.5, 2.0
LONGEST = 10**7  # images of a part
AS_IS = "give it without what is random"
SUBSETS = "SubsetRandomSampler"  # which takes some of the images, as a validation part often is
WHOLE = ("SequentialSampler", "RandomSampler", "WeightedRandomSampler", "DistributedSampler")


@dataclass(frozen=True)
class Understood:
    """How the images of a Dataset become what its network is given."""

    images: Any  # the Dataset without the steps that `way` stands for
    back: Normalisation | None  # what is taken back of its images beside that
    way: Input | None  # None: nothing tells it, for they are pictures or bytes without a transform that makes them more
    sources: Mapping[str, str]  # key of the input -> what tells it
    first: tuple[Any, ...] = ()  # the steps that remain a part of the images
    notes: tuple[str, ...] = ()
    size: tuple[int, int] | None = None  # (H, W) of the images that were looked at, None where they differ
    shorter: int = 0  # side that all images have, for they are cut and not resized; 0: it does not matter
    agreement: str = ""  # how well what `way` makes of images agrees with what the Dataset gives; "": not compared


class Pair:
    """Images and their labels as a Dataset."""

    def __init__(self, images: Any, labels: Any) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, at: int) -> tuple[Any, Any]:
        """An image and its label."""
        return self.images[at], self.labels[at]


class Share:
    """Some of a Dataset's images, as torch's Subset."""

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, at: int) -> Any:
        """A row of the Dataset."""
        return self.dataset[self.indices[at]]


class Held:
    """The images of a Dataset, each asked for when it is needed, after all were looked at once."""

    def __init__(self, images: Any, back: Normalisation | None, what: str, labels: Sequence[int] | None = None) -> None:
        """
        Args:
            labels: which class each label stands for; None: that of its number.
        Raises:
            InputError: for an image or a label that is none, and for images that differ at each look.
        """
        self.images, self.back, self.what, self.labels = images, back, what, labels
        count = len(images)
        self.targets = np.empty(count, np.int64)
        sizes: set[tuple[int, int]] = set()
        state, again = hashlib.sha256(), set(probes(count))
        with terminal.bar(f"reading {what}", count, "images") as bar:
            for at in range(count):
                image, self.targets[at] = self._row(at)
                sizes.add(image.shape[:2])
                state.update(bytes.fromhex(image_files.digest(image)) + int(self.targets[at]).to_bytes(8, "little"))
                if at in again and not np.array_equal(image, self._row(at)[0]):
                    raise InputError(f"{what} image {at}: expected one image, it is another at each look; {AS_IS}")
                bar.advance()
        self.sizes = sorted(sizes, key=lambda size: size[0] * size[1])
        self.digest = state.hexdigest()

    def __getitem__(self, at: int) -> Pixels:
        """One image, (H, W, 3), whose label is the one that it had before."""
        image, target = self._row(at)
        if target != self.targets[at]:
            raise InputError(
                f"{self.what} image {at}: expected the label {self.targets[at]}, as before, it gives {target}"
            )
        return image

    def _row(self, at: int) -> tuple[Pixels, int]:
        image, target = row(self.images, at, self.what)
        if self.labels is not None:
            target = self.labels[target] if 0 <= target < len(self.labels) else -1
        with own_code.told(f"{self.what} image {at}"):
            return rows.pixels(image, self.back, f"{self.what} image {at}"), target


def dataset_of(given: Any, what: str) -> Any:
    """The Dataset that was given, the one of a DataLoader, or that of a pair of arrays.

    Args:
        what: it is called, for messages.
    Raises:
        InputError: for anything else, one without images, and a DataLoader that takes images of its Dataset, or changes
            them, in a way that cannot be read.
    """
    if hasattr(given, "batch_sampler") and hasattr(given, "collate_fn") and hasattr(given, "dataset"):
        return _of_loader(given, what)
    if isinstance(given, (tuple, list)) and len(given) == 2 and len(getattr(given[0], "shape", ())) > 2:
        images, labels = given[0], rows.plain(given[1])
        if labels.shape[:1] != tuple(images.shape[:1]):
            told = f"{images.shape[0]:,} images and labels of shape {labels.shape}"
            raise InputError(f"{what}: expected a label for each image, got {told}")
        given = Pair(images, labels)
    if isinstance(given, (str, bytes, Mapping)) or not hasattr(given, "__getitem__") or not hasattr(given, "__len__"):
        raise InputError(
            f"{what}: expected a torch Dataset with a length, a DataLoader of one, a pair of arrays (images, labels), "
            f"or a folder, got {type(given).__name__}"
        )
    with own_code.told(what):
        count = len(given)
    if not 0 < count <= LONGEST:
        raise InputError(f"{what}: expected from 1 to {LONGEST:,} images, it has {count:,}")
    return given


def understood(dataset: Any, what: str, said: Normalisation | None) -> Understood:
    """How the images of a Dataset become what its network is given: read from its transform, and proved on some.

    Args:
        said: the mean and the standard deviation that the network was trained with; None: nobody said them.
    Raises:
        InputError: for images of several sizes or such as differ at each look, and where no reading gives what the
            Dataset does.
    """
    ways = steps.transforms(dataset)
    if random := next((step for way in ways for step in way if steps.is_random(step)), None):
        raise InputError(
            f"{what}: expected images as they are judged, its transform has {steps.called(random)}; {AS_IS}"
        )
    places = probes(len(dataset))
    theirs = [row(dataset, at, what)[0] for at in places]
    for at, image in zip(places, theirs, strict=True):  # all of them: a flip changes every other one
        if not _same(image, row(dataset, at, what)[0]):
            raise InputError(f"{what} image {at}: expected one image, it is another at each look; {AS_IS}")
    if not all(_is_float(image) for image in theirs):
        pictures = [rows.pixels(image, None, f"{what} image {at}") for at, image in zip(places, theirs, strict=True)]
        sizes = [picture.shape[:2] for picture in pictures]
        return Understood(dataset, None, None, {}, size=sizes[0] if len(set(sizes)) == 1 else None)
    given = _stacked([rows.by_channel(image, what) for image in theirs], what)
    last = steps.common(ways)
    own = next((True for step in last if steps.called(step) in ("Normalize", steps.PRESET)), False)
    low, high = float(given.min()), float(given.max())
    within = low >= -rows.SLACK and high <= 1 + rows.SLACK
    back = None if own or within else said
    if said and not own and within:  # the network is given what becomes of them then
        given = _normalised(given, said)
    found = _closest(dataset, last, what, given, None if own else said, back)
    norm = (steps.read(last[-1:], what) or Read()).norm if last else None
    if found is None and norm:  # it was applied elsewhere than where the Dataset has it, as to images that it keeps
        found = _closest(dataset, (), what, given, norm, norm)
        told = dict.fromkeys(("mean", "std"), f"the transform of {what}")
        found = found and replace(found, sources={**found.sources, **told})
    if found is None or (said and found.way and not _is_said(found.way, said)):
        raise InputError(_not_read(what, low, high, own, said, found))
    return found


def held(dataset: Any, how: Understood, what: str, *, fitted: bool, labels: Sequence[int] | None = None) -> Held:
    """The images of a Dataset, before the steps that were understood.

    Args:
        how: the test's.
        fitted: the network was fitted on them: their own transform is that of the training, in whose place come the
            first steps of the test's.
        labels: of `Held`.
    Raises:
        InputError: as `Held`, and for images that are resized here and not by the transform.
    """
    if not fitted:
        found = Held(how.images, how.back, what, labels)
        if other := next((size for size in found.sizes if how.shorter not in (0, min(size))), None):
            high, wide = other
            raise InputError(
                f"{what}: expected images whose shorter side is {how.shorter}, as that of those looked at first, got "
                f"{wide} x {high}; give its transform a Resize"
            )
        return found
    own = steps.common(steps.transforms(dataset))
    images = steps.without(dataset, len(own), how.first) if own else dataset
    return Held(images, how.back, what)


def data_set(parts: Mapping[str, Held], names: Sequence[str], source: str, called: Mapping[str, str]) -> DataSet:
    """The data set of some Datasets.

    Args:
        parts: "train", "test".
        names: of the classes, in the order of the labels.
        source: what it is called.
        called: what each part was given as.
    Raises:
        InputError: for labels beyond the classes, and a class without training images.
    """
    for part, images in parts.items():
        if len(wrong := images.targets[(images.targets < 0) | (images.targets >= len(names))]):
            raise InputError(
                f"{called[part]}: expected labels from 0 to {len(names) - 1}, one for each class, found {wrong[0]}"
            )
    classes = Classes(tuple(names), tuple(names))
    items, notes = as_they_came(
        classes,
        {part: list(_items(images)) for part, images in parts.items()},
        lambda part, key: f"{called[part]}: expected images of each class, found none of {key}",
    )
    sizes = sorted((size for images in parts.values() for size in images.sizes), key=lambda size: size[0] * size[1])
    alike = len(set(sizes)) == 1 and sizes[0][0] == sizes[0][1] <= MOST_SIDE
    words = DataWords(source, f"Its images were in memory. {came_as(called)}", notes=notes, sizes=(sizes[0], sizes[-1]))
    side = sizes[0][0] if alike else 0
    return DataSet(Path(source), source, classes, parts_of(items), words, side=side)


def row(dataset: Any, at: int, what: str) -> tuple[Any, int]:
    """An image and its label, as a Dataset gives them."""
    with own_code.told(f"{what} image {at}"):
        return rows.parted(dataset[at], f"{what} image {at}")


def probes(count: int, most: int = PROBES) -> list[int]:
    """At most so many places among `count`, evenly spaced, rising."""
    return sorted({at * count // most for at in range(most)})


def distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Names of which none stands twice: ImageNet's two cranes become "crane (134)" and "crane (517)"."""
    count = Counter(names)
    return tuple(f"{name} ({number})" if count[name] > 1 else name for number, name in enumerate(names))


def _of_loader(loader: Any, what: str) -> Any:
    """The images that a DataLoader goes through, if it gives them as its Dataset does."""
    dataset, sampler = loader.dataset, getattr(loader, "sampler", None)
    taken, batches = type(sampler).__name__, type(loader.batch_sampler).__name__
    if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
        raise InputError(
            f"{what}: expected the DataLoader of a Dataset with a length, got that of {type(dataset).__name__}"
        )
    if sampler is None or taken not in (*WHOLE, SUBSETS) or batches not in ("BatchSampler", "NoneType"):
        raise InputError(
            f"{what}: expected a DataLoader of all its images, or of those of a {SUBSETS}, it has a "
            f"{taken if taken not in (*WHOLE, SUBSETS) else batches}; give a Dataset of the images that are meant"
        )
    found = dataset_of(Share(dataset, list(sampler.indices)) if taken == SUBSETS else dataset, what)
    if getattr(loader.collate_fn, "__name__", "") not in ("default_collate", "default_convert"):
        first = [found[at] for at in probes(len(found), 2)]
        with own_code.told(f"{what}, its collate_fn"):
            batch = loader.collate_fn(first)
            image = rows.parted([batch[0][0], 0] if isinstance(batch, (tuple, list)) else batch, what)[0]
        if not _same(image, rows.parted(first[0], what)[0]):
            raise InputError(
                f"{what}: expected images as its Dataset gives them, its collate_fn changes them; give a Dataset that "
                "does so"
            )
    return found


def _closest(
    dataset: Any,
    last: Sequence[Any],
    what: str,
    given: NDArray[np.float64],
    said: Normalisation | None,
    back: Normalisation | None,
) -> Understood | None:
    """The reading that takes off the most steps and gives what the Dataset does, else the one that is closest to it.

    Args:
        last: the steps that can be taken off.
        given: (N, C, H, W), some images as the network is given them.
        said: what it was said to be normalised with beside these steps.
        back: what is taken back of the images.
    """
    best: Understood | None = None
    least = FAR
    for count in range(len(last), -1, -1):
        read = steps.read(last[len(last) - count :], what)
        images, pictures = _pictures(dataset, count, back, what) if read else (None, [])
        if not read or not pictures:
            continue
        for way in _inputs(read, said, given.shape, pictures):
            mean, most = _apart(pictures, way, given)
            if mean > least or (best and most > SAME and least <= CLOSE):  # the first of those that are close
                continue
            first = tuple(last[: len(last) - count])
            apart = f"{mean:.2g} of 255 levels of brightness on average, {most:.2g} at most"
            notes = (*_noted(first, what), *([_differing(what, apart)] if most > SAME else []))
            agreement = "the same numbers" if most <= SAME else f"the same but for {apart}"
            sources = _sources(read, said, what)
            shorter = 0 if read.resize or read.squeezed else way.resize
            least = mean
            best = Understood(images, back, way, sources, first, notes, shorter=shorter, agreement=agreement)
            if most <= SAME:
                return best
    return best


def _pictures(dataset: Any, count: int, back: Normalisation | None, what: str) -> tuple[Any, list[Pixels]]:
    """A Dataset without some steps, and some of its images as bytes; none where they are none before these steps."""
    try:
        images = steps.without(dataset, count) if count else dataset
        places = probes(len(images))
        return images, [rows.pixels(row(images, at, what)[0], back, f"{what} image {at}") for at in places]
    except InputError:
        return None, []


def _inputs(
    read: Read, said: Normalisation | None, shape: tuple[int, ...], pictures: Sequence[Pixels]
) -> Iterable[Input]:
    """The inputs that steps may mean: the scale of their values is left to be tried."""
    channels, size = shape[1], (shape[2], shape[3])
    norm = read.norm or said or Normalisation((0.0,), (1.0,))
    if channels not in (1, 3) or any(len(each) not in (1, channels) for each in norm):
        return
    mean, std = (tuple(each) * channels if len(each) == 1 else tuple(each) for each in norm)
    crop: Crop = "centre"
    resize = read.resize
    if read.squeezed:
        resize, crop = (min(read.squeezed), "squash") if read.cut and read.squeezed != size else (0, "none")
        if Input(size, resize, crop).resized(*read.squeezed) != read.squeezed:  # cut to another shape
            return
    elif not resize:  # cut out at their own size, which only one size of all allows
        shorter = {min(picture.shape[:2]) for picture in pictures}
        resize = shorter.pop() if len(shorter) == 1 else 0
    if crop == "none" or resize >= min(size):
        for values in (1.0, 255.0):
            yield Input(
                size,
                resize,
                crop,
                read.interpolation or "bilinear",
                channels,
                mean,
                std,
                values,
            )


def _apart(pictures: Sequence[Pixels], way: Input, given: NDArray[np.float64]) -> tuple[float, float]:
    """How far what an input makes of pictures is from what the network is given: on average, and at most."""
    ours = np.stack([seen(picture, way) for picture in pictures]).transpose(0, 3, 1, 2)
    apart = np.abs(_normalised(ours / 255 * way.range, Normalisation(way.mean, way.std)) - given)
    levels = apart * np.array(way.std).reshape(1, -1, 1, 1) * 255 / way.range
    return float(levels.mean()), float(levels.max())


def _normalised(images: NDArray[np.float64], norm: Normalisation) -> NDArray[np.float64]:
    mean, std = (np.array(each).reshape(1, -1, 1, 1) for each in norm)
    found: NDArray[np.float64] = (images - mean) / std
    return found


def _stacked(found: Sequence[NDArray[Any]], what: str) -> NDArray[np.float64]:
    """Images as one array, (N, C, H, W)."""
    shapes = list(dict.fromkeys(image.shape for image in found))
    if len(shapes) > 1:
        sizes = " and ".join(" x ".join(map(str, shape)) for shape in shapes[:2])
        raise InputError(
            f"{what}: expected images of one size, as a batch has, got {sizes}; resize them in its transform"
        )
    if shapes[0][0] not in (1, 3):
        raise InputError(f"{what}: expected images of 1 or 3 channels, got {shapes[0][0]}")
    stacked = np.stack(found).astype(np.float64)
    if not np.isfinite(stacked).all():
        raise InputError(f"{what}: expected finite values, its images hold others")
    return stacked


def _same(image: Any, other: Any) -> bool:
    return np.array_equal(rows.plain(image), rows.plain(other))


def _is_float(image: Any) -> bool:
    """Whether an image is as a network is given it: numbers that are no bytes, and no picture."""
    return not hasattr(image, "getbands") and rows.plain(image).dtype.kind == "f"


def _sources(read: Read, said: Normalisation | None, what: str) -> dict[str, str]:
    keys = ("size", "channels", "order", "range", "crop", "resize", "interpolation", "mean", "std")
    found = dict.fromkeys(keys, f"the images of {what}, as the network is given them")
    found |= dict.fromkeys(read.keys, f"the transform of {what}")
    return {key: source for key, source in found.items() if not (said and key in ("mean", "std"))}


def _is_said(way: Input, said: Normalisation) -> bool:
    pairs = zip((way.mean, way.std), said, strict=True)
    return all(np.allclose(ours, theirs, rtol=1e-4) for ours, theirs in pairs if len(theirs) in (1, len(ours)))


def _not_read(
    what: str, low: float, high: float, own: bool, said: Normalisation | None, found: Understood | None
) -> str:
    """What is said where there is no reading, or another one than was declared."""
    if found is not None and found.way is not None:
        numbers = " and ".join(", ".join(f"{one:g}" for one in each) for each in (found.way.mean, found.way.std))
        return f"mean and std: expected those of {what}'s transform, {numbers}, got others; leave them out"
    values = f"its images hold values from {low:.3g} to {high:.3g}"
    if own:
        return f"{what}: expected Normalize as the last step of its transform, where it can be taken back, {values}"
    if said:
        return f"{what}: expected images from 0 to 1 after mean and std are taken back, {values}"
    return (
        f"{what}: expected images from 0 to 1, or a transform that tells how they become others, {values}; say with "
        "mean=... and std=... what was taken off them and what they were divided by"
    )


def _noted(first: Sequence[Any], what: str) -> list[str]:
    names = [getattr(step, "__name__", steps.called(step)).replace("<lambda>", "a function") for step in first]
    names = [name for name in names if name not in steps.CONVERSIONS]
    return [f"Its images are shown after the first steps of {what}’s transform: {', '.join(names)}."] if names else []


def _differing(what: str, apart: str) -> str:
    return (
        f"What it is given differs from what {what} gives, by {apart}: here images are kept in bytes, and resized as "
        "Pillow does it."
    )


def _items(images: Held) -> Iterator[Item]:
    digits = len(str(len(images.targets) - 1))
    for at, target in enumerate(images.targets.tolist()):
        yield Item(f"{at:0{digits}}", Path(images.what), target, held=images, at=at)
