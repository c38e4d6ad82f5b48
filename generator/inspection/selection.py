"""Which pictures the report shows: its photos, each network's mistakes, and the data set's page."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from generator.config.schema import Config
from generator.data import dataset, samples, tiny_imagenet
from generator.data.classes import Classes
from generator.data.decoded import ImageSet, joint_digest, load
from generator.data.preprocessing import square
from generator.networks.catalogue import Loaded
from generator.networks.folder import load_runs
from generator.records.images import Photo, Pixels
from generator.records.network import Examined
from generator.records.recipe import Augmentation
from generator.records.report import DataSummary
from generator.records.scores import Evaluation
from generator.training import augment

FAILURES = 4  # of each network on the failures page
EXAMPLES = 4  # of each class on the data page


def photos(
    config: Config,
    content: Path,
    root: Path | None,
    decoded: Path,
    classes: Classes,
    evaluations: Mapping[str, Evaluation | None],
) -> tuple[tuple[Photo, ...], dict[str, tuple[str, ...]]]:
    """All photos of the report: one's own, the bundled ones, test images, and the networks' most confident mistakes.

    Args:
        root: the data set, None where there is none; then there are no test images and no mistakes.
        decoded: where its decoded images are kept.
        evaluations: by network.
    Returns:
        the photos, and by network the ids of those that show its mistakes.
    """
    found = list(samples.own(config.samples.photos, classes.names))
    if config.samples.bundled:
        found += samples.bundled(content / "samples", classes.names)
    failures: dict[str, tuple[str, ...]] = dict.fromkeys(evaluations, ())
    if root is not None:
        test = load(root, classes, "test", decoded)
        found += samples.from_test(root, classes, _spread(test, len(classes), config.samples.test_images))
        for name, evaluation in evaluations.items():
            wrong = samples.from_test(root, classes, _mistaken(evaluation, test.files))
            failures[name] = tuple(photo.id for photo in wrong)
            found += wrong
    return tuple({photo.id: photo for photo in found}.values()), failures


def summary(
    name: str,
    classes: Classes,
    root: Path | None,
    decoded: Path,
    evaluation: Evaluation | None,
    shown: Sequence[Photo],
    how: tuple[str, Augmentation] | None = None,
) -> DataSummary:
    """The data set as it lies on disk; without it, as a network's evaluation has recorded it.

    Args:
        decoded: where decoded images are kept.
        shown: the report's photos, of which two show the augmentation where there is no data set.
        how: see `augmentation_of`; None: no augmentation is shown.
    """
    if root is None:
        counts = {split: scores.count for split, scores in evaluation.splits.items()} if evaluation else {}
        pair = [torch.tensor(square(photo.pixels, tiny_imagenet.SIDE)).permute(2, 0, 1) for photo in shown[:2]]
        return DataSummary(
            name=name,
            class_names=classes.names,
            wnids=classes.wnids,
            counts=counts,
            per_class={split: count // len(classes) for split, count in counts.items()},
            examples={},
            augmented=augmented(pair[0], pair[-1], how[1]) if pair and how else (),
            augmented_for=how[0] if pair and how else "",
            present=False,
            digest=evaluation.data_digest if evaluation else "",
        )
    sets = {split: load(root, classes, split, decoded) for split in dataset.SPLITS}
    train = sets["train"]
    examples = {
        target: tuple(image.permute(1, 2, 0).numpy() for image in train.images[train.targets == target][:EXAMPLES])
        for target in range(len(classes))
    }
    return DataSummary(
        name=name,
        class_names=classes.names,
        wnids=classes.wnids,
        counts={split: len(images) for split, images in sets.items()},
        per_class={split: len(images) // len(classes) for split, images in sets.items()},
        examples=examples,
        augmented=augmented(train.images[0], train.images[len(train) // 2], how[1]) if how else (),
        augmented_for=how[0] if how else "",
        present=True,
        digest=joint_digest(sets.values()),
        skipped=tuple(file for images in sets.values() for file in images.skipped),
    )


def examined(root: Path | None, classes: Classes, decoded: Path, shown: Sequence[Photo]) -> Examined | None:
    """The images among which each channel's strongest patches are: the validation images, else the report's photos.

    Args:
        decoded: where decoded images are kept.
        shown: the report's photos.
    Returns:
        None where there is neither.
    """
    if root is not None:
        images = load(root, classes, "validation", decoded)
        return Examined(
            said=f"{len(images):,} validation images of Tiny ImageNet",
            pictures=tuple(image.permute(1, 2, 0).numpy() for image in images.images),
            names=tuple(classes.names[target] for target in images.targets.tolist()),
            digest=images.digest,
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


def mistaken(root: Path | None, classes: Classes, decoded: Path, evaluation: Evaluation | None) -> dict[str, Pixels]:
    """The test images that a network got wrong, by file name, as far as they are here; (H, W, 3) uint8."""
    if root is None or evaluation is None or "test" not in evaluation.splits:
        return {}
    images = load(root, classes, "test", decoded)
    wrong = {mistake.image for mistake in evaluation.splits["test"].mistakes}
    return {
        file: np.ascontiguousarray(image.permute(1, 2, 0).numpy())
        for file, image in zip(images.files, images.images, strict=True)
        if file in wrong
    }


def _spread(test: ImageSet, classes: int, count: int) -> list[str]:
    """File names of so many whole test images, of classes as far apart in the list as can be."""
    firsts: dict[int, str] = {}
    for target, file in zip(test.targets.tolist(), test.files, strict=True):
        firsts.setdefault(target, file)
    count = min(count, classes)
    chosen = [round(step * (classes - 1) / max(1, count - 1)) for step in range(count)]
    return [firsts[target] for target in chosen]


def _mistaken(evaluation: Evaluation | None, files: Sequence[str]) -> list[str]:
    """File names of the most confident mistakes on test images, one for each true class.

    Only of images that are here: a network may have been evaluated on another part of the official images.
    """
    if evaluation is None or "test" not in evaluation.splits:
        return []
    here = set(files)
    firsts: dict[int, str] = {}
    for mistake in evaluation.splits["test"].mistakes:
        if mistake.image in here:
            firsts.setdefault(mistake.true, mistake.image)
    return list(firsts.values())[:FAILURES]


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
