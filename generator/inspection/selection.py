"""Which pictures the report shows: its photos, each network's mistakes, and the data set's page."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice, zip_longest
from pathlib import Path

import torch
from torch import Generator, Tensor

from generator.base.names import UNNAMED, within
from generator.config.schema import TEST_IMAGES, Config, DataConfig
from generator.data import samples, tiny_imagenet
from generator.data.classes import Classes, of_tiny_imagenet
from generator.data.dataset import ROLES, DataSet, Item, Part
from generator.data.decoded import Remembered, pixels
from generator.data.preprocessing import seen, square
from generator.inspection import layers
from generator.networks.folder import load_runs
from generator.networks.loaded import Loaded
from generator.records.images import Photo, Pixels
from generator.records.input import Input
from generator.records.network import Examined, Explanation
from generator.records.recipe import Augmentation
from generator.records.report import MOST_CLASSES, DataSummary, DataWords
from generator.records.scores import Evaluation, SplitScores
from generator.training import augment

FAILURES = 4  # of each network on the failures page
SHOWN = 24  # photos that a network misreads, of those that the report shows for whatever reason, on that page
FAILED = 16  # of all together: every network explains every photo, so of many networks each has fewer
BESIDE_BUNDLED = 4  # test images of a report that says nothing of them, where it shows bundled photos
EXAMPLES = 4  # of each class on the data page
EXAMPLE = 96  # their longer side at most, and that of the mistaken images, in pixels
AUGMENTED = 64  # side at most of the square that is augmented
SEARCHED = 3000  # images at most among which the strongest patches are sought, evenly of all
ROOM = 1 << 26  # bytes of those that are read once: some are drawn with several channels of several layers
LIMIT = 20 << 20  # bytes that a site has at most, see `publishing.check`
# Estimated from file sizes of the shipped report (64 pixels) and of own ones up to 224: bytes of a photo; of its two
# pages for one network, and of these for each pixel of the network's side; of a channel with its strongest patches;
# and of everything else. Of each network but the first two a photo's pages are larger, for they list all: twenty small
# ones had 45 MiB, of which 24 were expected without.
PHOTO, PAIR, SIDE, CHANNEL, REST, MORE = 45_000, 30_000, 1_160, 2_300, 4_000_000, 80_000
SLACK = 1.15  # by which the estimate may be too low, and says nothing yet


def photos(
    config: Config,
    content: Path,
    data: DataSet | None,
    classes: Classes,
    evaluations: Mapping[str, Evaluation | None],
    shown: Mapping[str, str] | None = None,
) -> tuple[tuple[Photo, ...], dict[str, tuple[str, ...]]]:
    """All photos of the report: one's own, the bundled ones, test images, and the networks' most confident mistakes.

    Args:
        data: None where there is none; then there are no test images and no mistakes.
        classes: the report's.
        evaluations: by network.
        shown: what readers see in place of a class's own name.
    Returns:
        the photos, and by network the ids of those that show its mistakes.
    """
    found = list(samples.own(config.samples.photos, classes.names, shown))
    known = _bundled(config, content, classes)
    found += known
    failures: dict[str, tuple[str, ...]] = dict.fromkeys(evaluations, ())
    counts = dict(zip(evaluations, _shares(len(evaluations)), strict=True))
    if data is not None and data.judged is not None:
        count = config.samples.test_images
        if count is None:
            count = BESIDE_BUNDLED if known else TEST_IMAGES
        found += samples.from_data(data, data.judged, _spread(data.judged, count))
        for name, evaluation in evaluations.items():
            wrong = samples.from_data(data, data.judged, _mistaken(evaluation, data.judged)[: counts[name]])
            failures[name] = tuple(photo.id for photo in wrong)
            found += wrong
    return tuple({photo.id: photo for photo in found}.values()), failures


def surest(wrong: Sequence[str], explanations: Mapping[str, Explanation]) -> tuple[str, ...]:
    """Of photos that a network misreads those that it was surest of, as many as the failures page has room for.

    Args:
        wrong: their ids, some perhaps twice, in the order in which they are shown.
    """

    def sure(photo: str) -> float:
        found = explanations.get(photo)
        return 0.0 if found is None else float(found.probabilities[found.predicted])

    each = dict.fromkeys(wrong)
    kept = sorted(each, key=sure, reverse=True)[:SHOWN]
    return tuple(photo for photo in each if photo in kept)


def _shares(networks: int) -> list[int]:
    """How many mistakes of each network the report explains; of more networks than FAILED the first have one each."""
    each = min(FAILURES, max(1, FAILED // max(1, networks)))
    return [each if number * each < FAILED else 0 for number in range(networks)]


def _bundled(config: Config, content: Path, classes: Classes) -> tuple[Photo, ...]:
    """The bundled photos that a report shows: as it says, else of its own classes, and with Tiny ImageNet's all."""
    wanted, networks = config.samples.bundled, config.models.networks
    if wanted is False or (networks and all(one.predictions for one in networks)):  # to which none is shown
        return ()
    found = samples.bundled(content / "samples", classes.names)
    return found if wanted or of_tiny_imagenet(classes) else tuple(photo for photo in found if photo.label is not None)


def summary(
    data: DataSet | DataConfig,
    classes: Classes,
    evaluation: Evaluation | None,
    shown: Sequence[Photo],
    how: tuple[str, Augmentation] | None = None,
) -> DataSummary:
    """The data set as it lies on disk; without it, as a network's evaluation has recorded it.

    Args:
        data: looked through, see `decoded.whole`; where there is none, what report.toml says of it.
        classes: the report's.
        shown: the report's photos, of which two show the augmentation where there is no data set.
        how: see `augmentation_of`; None: no augmentation is shown.
    """
    if isinstance(data, DataConfig):
        return _recorded(data, classes, evaluation, shown, how)
    side = min(AUGMENTED, *(data.words.sizes[0] if data.words.sizes else ()))
    of = data.fitted or data.judged or data.parts[0]
    firsts: dict[int, list[Item]] = {}
    for item in of.items:
        if item.target < MOST_CLASSES:
            firsts.setdefault(item.target, []).append(item)
    pair = [_tensor(square(pixels(data, of.items[place]), side)) for place in (0, len(of) // 2)]
    return DataSummary(
        name=data.name,
        class_names=classes.names,
        keys=classes.keys,
        counts={part.name: len(part) for part in data.parts},
        per_class={part.name: len(part) // len(classes) for part in data.parts},
        examples={
            target: tuple(_small(pixels(data, item)) for item in items[:EXAMPLES]) for target, items in firsts.items()
        },
        augmented=augmented(pair[0], pair[1], how[1]) if how else (),
        augmented_for=how[0] if how else "",
        present=True,
        digest=data.digest,
        skipped=data.skipped,
        words=data.words,
        roles={part.name: part.role for part in data.parts},
        boxes=data.boxes,
    )


def _recorded(
    told: DataConfig,
    classes: Classes,
    evaluation: Evaluation | None,
    shown: Sequence[Photo],
    how: tuple[str, Augmentation] | None,
) -> DataSummary:
    """The data set as far as it is known where it is not."""
    tiny = of_tiny_imagenet(classes)
    counts = {part: scores.count for part, scores in evaluation.splits.items()} if evaluation else {}
    pair = [_tensor(square(photo.pixels, AUGMENTED)) for photo in shown[:2]]
    name = told.name or (tiny_imagenet.name(told.classes) if tiny else UNNAMED)
    words = tiny_imagenet.WORDS if tiny else DataWords(source=told.name)
    return DataSummary(
        name=name,
        class_names=classes.names,
        keys=classes.keys,
        counts=counts,
        per_class={part: count // len(classes) for part, count in counts.items()},
        examples={},
        augmented=augmented(pair[0], pair[-1], how[1]) if pair and how else (),
        augmented_for=how[0] if pair and how else "",
        present=False,
        digest=evaluation.data_digest if evaluation else "",
        words=replace(words, licence=told.licence or words.licence),
        roles={
            part: "judged on" if evaluation and part == evaluation.judged else ROLES.get(part, "judged on")
            for part in counts
        },
        boxes=bool(evaluation and evaluation.faithfulness and evaluation.faithfulness.boxes),
    )


def examined(data: DataSet | None, shown: Sequence[Photo]) -> Examined | None:
    """The images among which each channel's strongest patches are: such as nothing was fitted on, else the photos.

    Args:
        shown: the report's photos.
    Returns:
        None where there is neither.
    """
    part = data and (data.chosen or data.judged)
    if data and part:
        items = part.items
        count = f"{len(items):,}"
        digest = part.digest
        if len(items) > SEARCHED:
            items = tuple(items[place * len(items) // SEARCHED] for place in range(SEARCHED))
            count, digest = f"{SEARCHED:,} of {count}", f"{digest} {SEARCHED}"
        return Examined(
            said=f"{count} {part.called} of {within(data.words.source)}",
            pictures=Remembered(data, items, ROOM),
            names=tuple(data.classes.names[item.target] for item in items),
            digest=digest,
            data_set=True,
        )
    if not shown:
        return None
    return Examined(
        said=f"{len(shown)} photos of this report",
        pictures=tuple(photo.pixels for photo in shown),
        names=tuple(photo.shows or photo.title for photo in shown),
        digest=hashlib.sha256(" ".join(photo.digest for photo in shown).encode()).hexdigest(),
        data_set=False,
    )


def mistaken(data: DataSet | None, evaluation: Evaluation | None) -> dict[str, Pixels]:
    """The judging images that a network got wrong, by name, as far as they are here; small, uint8."""
    scores = _judged(evaluation)
    if data is None or data.judged is None or scores is None or scores.split != data.judged.name:
        return {}
    wrong = {mistake.image for mistake in scores.mistakes}
    return {item.name: _small(pixels(data, item)) for item in data.judged.items if item.name in wrong}


def _spread(part: Part, count: int) -> list[str]:
    """Names of so many images, chosen whatever the networks say: of classes as far apart in the list as can be.

    Of fewer classes than that, each gives as many as the others, as far as it has them.
    """
    of: dict[int, list[str]] = {}
    for item in part.items:
        of.setdefault(item.target, []).append(item.name)
    held = [of[target] for target in sorted(of)]
    if count <= len(held):
        return [held[round(step * (len(held) - 1) / max(1, count - 1))][0] for step in range(count)]
    rounds = zip_longest(*held)
    return list(islice((name for each in rounds for name in each if name is not None), count))


def _mistaken(evaluation: Evaluation | None, part: Part) -> list[str]:
    """Names of the most confident mistakes on the images of a part, one for each true class.

    Only of images that are here: a network may have been evaluated on others.
    """
    scores = _judged(evaluation)
    if scores is None or scores.split != part.name:
        return []
    here = {item.name for item in part.items}
    firsts: dict[int, str] = {}
    for mistake in scores.mistakes:
        if mistake.image in here:
            firsts.setdefault(mistake.true, mistake.image)
    return list(firsts.values())


def _judged(evaluation: Evaluation | None) -> SplitScores | None:
    return evaluation.splits.get(evaluation.judged) if evaluation else None


def _small(whole: Pixels) -> Pixels:
    """All of an image, its longer side at most `EXAMPLE`."""
    height, width = whole.shape[:2]
    if max(height, width) <= EXAMPLE:
        return whole
    high, wide = (max(1, round(side * EXAMPLE / max(height, width))) for side in (height, width))
    return seen(whole, Input((high, wide), crop="none"))


def _tensor(pixels: Pixels) -> Tensor:
    """(H, W, 3) -> (3, H, W)."""
    return torch.tensor(pixels).permute(2, 0, 1)


def augmentation_of(networks: Sequence[Loaded]) -> tuple[str, Augmentation] | None:
    """The first network whose training is on record with an augmentation: its title, and that augmentation."""
    for loaded in networks:
        runs = load_runs(loaded.folder) if loaded.folder else ()
        told = next((run.settings.get("augmentation") for run in reversed(runs) if run.name == "augmented"), None)
        if told:
            return loaded.title, Augmentation(**told)
    return None


def augmented(image: Tensor, partner: Tensor, how: Augmentation, seed: int = 4) -> tuple[tuple[str, Pixels], ...]:
    """The steps of an augmentation on one (3, H, W) uint8 image."""
    shown = augment.steps(image, partner, how, Generator().manual_seed(seed))
    return tuple((name, step.permute(1, 2, 0).numpy()) for name, step in shown)


# How large that makes the site


def too_large(networks: Sequence[Loaded], photos: Sequence[Photo], config: Config) -> str:
    """What to say of a site that is going to be too large, and which key makes it smaller; "": it is not.

    Before the work: the estimate is from what reports of networks of 32 to 224 pixels had.
    """
    pairs = [
        len(photos) * (_pair(one) + MORE * (place > 1)) for place, one in enumerate(networks) if one.input.takes_photos
    ]
    channels = {one.id: CHANNEL * _channels(one) for one in networks}
    size = REST + PHOTO * len(photos) + sum(pairs) + sum(channels.values())
    if size <= LIMIT * SLACK:
        return ""
    about = f"the site is going to have about {size / (1 << 20):.0f} MiB, {LIMIT >> 20} are the most it should have: "
    tests = sum(photo.origin == "test" for photo in photos)
    each = PHOTO + sum(pairs) / max(1, len(photos))
    if tests and len(photos) * each >= sum(channels.values()):
        asked = config.samples.test_images
        fewer = max(1, tests - math.ceil((size - LIMIT) / each))
        fewer = fewer if asked is None else min(fewer, max(1, asked))
        return f"{about}[samples] test_images = {fewer} makes it smaller; it has {len(photos):,} photos now"
    if len(photos) * each >= sum(channels.values()):
        return f"{about}[samples] photos lists {len(photos):,}, and fewer make it smaller"
    widest = max(channels, key=channels.__getitem__)
    return f"{about}[models.{widest}] channels = {_fewer(networks, size)} makes it smaller, or fewer layers in `show`"


def _pair(loaded: Loaded) -> int:
    """Bytes of what the pages of a photo show of one network."""
    return PAIR + round(SIDE * math.sqrt(math.prod(loaded.input.size)))


def _channels(loaded: Loaded, limit: int = 0) -> int:
    """How many channels have their strongest patches on a page."""
    asked = loaded.wanted.channels or layers.CHANNELS if layers.selected(loaded) else 0
    most = min(limit or math.inf, asked or math.inf)
    points = [loaded.points.named(name) for name in layers.shown(loaded)]
    return sum(int(min(point.channels, most)) for point in points if point is not None)


def _fewer(networks: Sequence[Loaded], size: int) -> int:
    """Channels a layer with which the site would be small enough, if any number is."""
    every = sum(_channels(one) for one in networks)
    allowed = every - (size - LIMIT) / CHANNEL
    fitting = [limit for limit in (96, 64, 48, 32, 16) if sum(_channels(one, limit) for one in networks) <= allowed]
    return fitting[0] if fitting else 8
