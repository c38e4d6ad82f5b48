from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from generator.config import places, reading, schema
from generator.data import decoded
from generator.data.classes import Classes
from generator.data.tiny_imagenet import list_images
from generator.evaluation import scores as evaluation_scores
from generator.inspection import selection
from generator.networks.folder import save_run
from generator.networks.recipes import STRONGEST
from generator.networks.small_cnn import SmallCNN
from generator.records.recipe import Augmentation
from generator.records.scores import Evaluation
from tests import synthetic
from tests.conftest import SmallDataSet
from tests.loaded import loaded

pytestmark = pytest.mark.usefixtures("one_thread")

CONTENT = places.bundled("content")


@pytest.fixture(scope="module")
def classes(small_data_set: SmallDataSet) -> Classes:
    return Classes(small_data_set.names, small_data_set.wnids)


@pytest.fixture(scope="module")
def evaluation(small_data_set: SmallDataSet, classes: Classes) -> Evaluation:
    """Of a network that calls everything the first class, surer of each image than of the one before."""
    listed = list_images(small_data_set.root, classes, "test")
    logits = np.zeros((len(listed), len(classes)), np.float32)
    logits[:, 0] = 1 + np.arange(len(listed)) / 4
    targets = np.array([image.target for image in listed])
    scores, _ = evaluation_scores.scores({"test": (logits, logits, targets, [image.name for image in listed])})
    return Evaluation("cnn", classes.names, scores, 1.0, "", "d" * 64, {})


def configured(folder: Path, test_images: int, bundled: bool = False) -> schema.Config:
    (folder / "report.toml").write_text(f"[samples]\nbundled = {str(bundled).lower()}\ntest_images = {test_images}\n")
    return reading.load(folder / "report.toml")


def last(root: Path, classes: Classes, target: int) -> str:
    """Name of the last test image of a class: the one that was mistaken with the most confidence."""
    return [image.name for image in list_images(root, classes, "test") if image.target == target][-1]


def test_without_a_data_set_there_are_the_bundled_photos_alone(
    tmp_path: Path, classes: Classes, evaluation: Evaluation
) -> None:
    found, failures = selection.photos(
        configured(tmp_path, 8, bundled=True), CONTENT, None, tmp_path, classes, {"cnn": evaluation, "alexnet": None}
    )
    assert {photo.origin for photo in found} == {"bundled"}
    assert failures == {"cnn": (), "alexnet": ()}
    assert [photo.label for photo in found if photo.id == "banana"] == [2]


def test_mistakes_are_the_surest_of_each_true_class(
    tmp_path: Path, small_data_set: SmallDataSet, classes: Classes, evaluation: Evaluation
) -> None:
    root = small_data_set.root
    found, failures = selection.photos(
        configured(tmp_path, 0), CONTENT, root, tmp_path, classes, {"cnn": evaluation, "alexnet": None}
    )
    # The surest of all is the last image of the last class.
    wanted = [last(root, classes, 2), last(root, classes, 1)]
    assert failures == {
        "cnn": tuple(f"test-{name.removesuffix('.JPEG').replace('_', '-')}" for name in wanted),
        "alexnet": (),
    }
    assert [photo.id for photo in found] == list(failures["cnn"])
    assert [photo.label for photo in found] == [2, 1]
    assert [photo.box for photo in found] == [small_data_set.boxes[name] for name in wanted]


def test_two_networks_may_share_a_mistake_and_it_is_shown_once(
    tmp_path: Path, small_data_set: SmallDataSet, classes: Classes, evaluation: Evaluation
) -> None:
    found, failures = selection.photos(
        configured(tmp_path, 0),
        CONTENT,
        small_data_set.root,
        tmp_path,
        classes,
        {"cnn": evaluation, "alexnet": evaluation},
    )
    assert failures["cnn"] == failures["alexnet"]
    assert [photo.id for photo in found] == list(failures["cnn"])


@pytest.mark.parametrize(("count", "labels"), [(0, []), (1, [0]), (2, [0, 2]), (3, [0, 1, 2]), (8, [0, 1, 2])])
def test_test_images_are_spread_over_the_classes(
    tmp_path: Path, small_data_set: SmallDataSet, classes: Classes, count: int, labels: list[int]
) -> None:
    found, _ = selection.photos(
        configured(tmp_path, count), CONTENT, small_data_set.root, tmp_path, classes, {"cnn": None}
    )
    assert [photo.label for photo in found] == labels
    assert {photo.origin for photo in found} <= {"test"}


def test_the_summary_counts_what_lies_there(
    tmp_path: Path, small_data_set: SmallDataSet, classes: Classes, evaluation: Evaluation
) -> None:
    root = small_data_set.root
    found = selection.summary("shapes", classes, root, tmp_path, evaluation, (), ("SmallCNN", STRONGEST))
    assert found.augmented_for == "SmallCNN"
    assert found.counts == {"train": 54, "validation": 6, "test": 18}
    assert found.per_class == {"train": 18, "validation": 2, "test": 6}
    assert found.present
    assert found.skipped == ()
    assert {target: len(images) for target, images in found.examples.items()} == dict.fromkeys(
        range(3), selection.EXAMPLES
    )
    train = decoded.load(root, classes, "train", tmp_path)
    np.testing.assert_array_equal(found.examples[1][0], train.images[18].permute(1, 2, 0).numpy())
    np.testing.assert_array_equal(found.augmented[0][1], train.images[0].permute(1, 2, 0).numpy())
    assert found.digest != evaluation.data_digest


def test_without_a_data_set_the_summary_is_the_evaluation_s(
    tmp_path: Path, small_data_set: SmallDataSet, classes: Classes, evaluation: Evaluation
) -> None:
    shown, _ = selection.photos(configured(tmp_path, 2), CONTENT, small_data_set.root, tmp_path, classes, {})
    found = selection.summary("shapes", classes, None, tmp_path, evaluation, shown, ("SmallCNN", STRONGEST))
    assert (found.counts, found.per_class, found.present) == ({"test": 18}, {"test": 6}, False)
    assert (found.digest, found.examples) == ("d" * 64, {})
    np.testing.assert_array_equal(found.augmented[0][1], shown[0].pixels)


def test_without_a_data_set_and_an_evaluation_there_is_nothing_to_count(tmp_path: Path, classes: Classes) -> None:
    found = selection.summary("shapes", classes, None, tmp_path, None, ())
    assert (found.counts, found.per_class, found.augmented, found.digest) == ({}, {}, (), "")


def test_images_that_are_not_here_or_broken_are_not_shown(
    tmp_path: Path, small_data_set: SmallDataSet, classes: Classes, evaluation: Evaluation
) -> None:
    root = Path(shutil.copytree(small_data_set.root, tmp_path / "copy"))
    gone, listed = last(root, classes, 2), list_images(root, classes, "test")
    (root / "val" / "images" / gone).unlink()
    broken = next(image for image in listed if image.target == 0)
    broken.path.write_bytes(b"no image")
    found, failures = selection.photos(
        configured(tmp_path, 1), CONTENT, root, tmp_path / "cache", classes, {"cnn": evaluation}
    )
    assert gone.removesuffix(".JPEG").replace("_", "-") not in " ".join(failures["cnn"])
    assert failures["cnn"]
    second = [image for image in listed if image.target == 0][1]
    assert found[0].id == f"test-{second.path.stem.replace('_', '-')}"


def test_the_validation_images_are_searched(tmp_path: Path, small_data_set: SmallDataSet, classes: Classes) -> None:
    found = selection.examined(small_data_set.root, classes, tmp_path, ())
    assert found is not None
    images = decoded.load(small_data_set.root, classes, "validation", tmp_path)
    assert (found.data_set, found.digest) == (True, images.digest)
    assert found.said == f"{len(images)} validation images of Tiny ImageNet"
    assert found.names == tuple(classes.names[target] for target in images.targets)
    np.testing.assert_array_equal(found.pictures[1], images.images[1].permute(1, 2, 0).numpy())


def test_without_a_data_set_the_report_s_photos_are_searched(tmp_path: Path, classes: Classes) -> None:
    shown, _ = selection.photos(configured(tmp_path, 0, bundled=True), CONTENT, None, tmp_path, classes, {})
    found = selection.examined(None, classes, tmp_path, shown)
    assert found is not None
    assert not found.data_set
    assert found.said == f"{len(shown)} photos of this report"
    assert [picture is photo.pixels for picture, photo in zip(found.pictures, shown, strict=True)] == [True] * len(
        shown
    )
    assert found.names[0] == shown[0].shows
    fewer = selection.examined(None, classes, tmp_path, shown[1:])
    assert fewer is not None
    assert fewer.digest != found.digest
    assert selection.examined(None, classes, tmp_path, ()) is None


def test_the_augmentation_shown_is_that_of_the_first_network_whose_training_is_on_record(tmp_path: Path) -> None:
    """Not one preset's, whatever trained the network; of weights from elsewhere nobody knows it."""
    network = SmallCNN(2, (4, 4))
    own = Augmentation(area=0.5, rotation=3.0)
    for name, said in (("none", {}), ("trained", {"augmentation": asdict(own)})):
        save_run(tmp_path / name, replace(synthetic.run("augmented"), settings=said), {0: torch.ones(4, 3, 5, 5)})
    elsewhere, unrecorded, trained = (
        loaded(network, "ab", folder=folder) for folder in (None, tmp_path / "none", tmp_path / "trained")
    )
    assert selection.augmentation_of([elsewhere, unrecorded, trained]) == ("SmallCNN", own)
    assert selection.augmentation_of([elsewhere, unrecorded]) is None
    assert selection.augmentation_of([]) is None
