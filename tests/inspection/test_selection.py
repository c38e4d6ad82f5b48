from __future__ import annotations

import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from generator.config import places, reading, schema
from generator.config.schema import DataConfig, ModelConfig
from generator.data import decoded, layouts, tiny_imagenet
from generator.data.classes import Classes
from generator.data.dataset import DataSet
from generator.evaluation import scores as evaluation_scores
from generator.inspection import selection
from generator.networks.folder import save_run
from generator.networks.small_cnn import SmallCNN
from generator.records.input import square
from generator.records.recipe import Augmentation
from generator.records.report import DataWords
from generator.records.scores import Evaluation
from tests import synthetic
from tests.conftest import SmallDataSet
from tests.data_sets import kitchen, shapes
from tests.loaded import loaded

pytestmark = pytest.mark.usefixtures("one_thread")

CONTENT = places.bundled("content")


@pytest.fixture(scope="module")
def data(small_data_set: SmallDataSet, tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return shapes(small_data_set.root, tmp_path_factory.mktemp("decoded"))


def judging_all_wrong(data: DataSet) -> Evaluation:
    """Of a network that calls everything the first class, surer of each image than of the one before."""
    assert data.judged is not None
    items = data.judged.items
    logits = np.zeros((len(items), len(data.classes)), np.float32)
    logits[:, 0] = 1 + np.arange(len(items)) / 4
    targets = np.array([item.target for item in items])
    answers = (logits, logits, targets, [item.name for item in items])
    scores, _ = evaluation_scores.scores({data.judged.name: answers}, judged=data.judged.name)
    return Evaluation("cnn", data.classes.names, scores, 1.0, "", "d" * 64, {})


@pytest.fixture(scope="module")
def evaluation(data: DataSet) -> Evaluation:
    return judging_all_wrong(data)


def configured(folder: Path, test_images: int, bundled: bool = False) -> schema.Config:
    (folder / "report.toml").write_text(f"[samples]\nbundled = {str(bundled).lower()}\ntest_images = {test_images}\n")
    return reading.load(folder / "report.toml")


def last(data: DataSet, target: int) -> str:
    """Name of the last test image of a class: the one that was mistaken with the most confidence."""
    assert data.judged is not None
    return [item.name for item in data.judged.items if item.target == target][-1]


def test_without_a_data_set_there_are_the_bundled_photos_alone(
    tmp_path: Path, data: DataSet, evaluation: Evaluation
) -> None:
    found, failures = selection.photos(
        configured(tmp_path, 8, bundled=True), CONTENT, None, data.classes, {"cnn": evaluation, "alexnet": None}
    )
    assert {photo.origin for photo in found} == {"bundled"}
    assert failures == {"cnn": (), "alexnet": ()}
    assert [photo.label for photo in found if photo.id == "banana"] == [2]


def test_where_nothing_is_said_bundled_photos_are_of_the_reports_classes(tmp_path: Path, data: DataSet) -> None:
    """All of them with Tiny ImageNet's; of other data the images are its own."""
    (tmp_path / "report.toml").write_text("")
    settings = reading.load(tmp_path / "report.toml")
    found, _ = selection.photos(settings, CONTENT, data, data.classes, {})
    shown = [photo for photo in found if photo.origin == "bundled"]
    assert any(photo.label is None for photo in shown)
    assert [photo.shows for photo in found if photo.origin == "test"] == ["goldfish", "ladybug", "banana", "goldfish"]
    kitchen(tmp_path / "things", {"train": 1, "test": 2}, [f"thing {number}" for number in range(14)])
    things = decoded.whole(layouts.opened(tmp_path / "things", DataConfig()), tmp_path / "decoded")
    found, _ = selection.photos(settings, CONTENT, things, things.classes, {})
    assert ({photo.origin for photo in found}, len(found)) == ({"test"}, schema.TEST_IMAGES)
    kitchen(tmp_path / "food", {"train": 1, "test": 1}, ("banana", "bread"))
    food = decoded.whole(layouts.opened(tmp_path / "food", DataConfig()), tmp_path / "decoded")
    found, _ = selection.photos(settings, CONTENT, food, food.classes, {})
    assert {photo.shows for photo in found if photo.origin == "bundled"} == {"banana"}


def test_where_no_network_can_be_shown_any_there_are_no_bundled_photos(tmp_path: Path, data: DataSet) -> None:
    (tmp_path / "a.csv").touch()
    (tmp_path / "report.toml").write_text('[models.a]\npredictions = "a.csv"\n[samples]\nbundled = true\n')
    found, _ = selection.photos(reading.load(tmp_path / "report.toml"), CONTENT, data, data.classes, {})
    assert {photo.origin for photo in found} == {"test"}


def test_mistakes_are_the_surest_of_each_true_class(
    tmp_path: Path, small_data_set: SmallDataSet, data: DataSet, evaluation: Evaluation
) -> None:
    found, failures = selection.photos(
        configured(tmp_path, 0), CONTENT, data, data.classes, {"cnn": evaluation, "alexnet": None}
    )
    # The surest of all is the last image of the last class.
    wanted = [last(data, 2), last(data, 1)]
    assert failures == {
        "cnn": tuple(f"test-{name.removesuffix('.JPEG').replace('_', '-')}" for name in wanted),
        "alexnet": (),
    }
    assert [photo.id for photo in found] == list(failures["cnn"])
    assert [photo.label for photo in found] == [2, 1]
    assert [photo.box for photo in found] == [small_data_set.boxes[name] for name in wanted]


def test_two_networks_may_share_a_mistake_and_it_is_shown_once(
    tmp_path: Path, data: DataSet, evaluation: Evaluation
) -> None:
    found, failures = selection.photos(
        configured(tmp_path, 0), CONTENT, data, data.classes, {"cnn": evaluation, "alexnet": evaluation}
    )
    assert failures["cnn"] == failures["alexnet"]
    assert [photo.id for photo in found] == list(failures["cnn"])


@pytest.mark.parametrize(
    ("count", "labels"), [(0, []), (1, [0]), (2, [0, 2]), (3, [0, 1, 2]), (8, [0, 1, 2, 0, 1, 2, 0, 1])]
)
def test_test_images_are_spread_over_the_classes(tmp_path: Path, data: DataSet, count: int, labels: list[int]) -> None:
    found, _ = selection.photos(configured(tmp_path, count), CONTENT, data, data.classes, {"cnn": None})
    assert [photo.label for photo in found] == labels
    assert {photo.origin for photo in found} <= {"test"}


def test_the_summary_counts_what_lies_there(data: DataSet, evaluation: Evaluation) -> None:
    found = selection.summary(data, data.classes, evaluation, (), ("SmallCNN", Augmentation(flip=True)))
    assert found.counts == {"train": 54, "validation": 6, "test": 18}
    assert found.per_class == {"train": 18, "validation": 2, "test": 6}
    assert found.roles == {"train": "fitted on", "validation": "chosen on", "test": "judged on"}
    assert (found.present, found.boxes, found.wnids) == (True, True, data.classes.keys)
    assert found.skipped == ()
    assert {target: len(images) for target, images in found.examples.items()} == dict.fromkeys(
        range(3), selection.EXAMPLES
    )
    assert data.fitted is not None
    np.testing.assert_array_equal(found.examples[1][0], decoded.pixels(data, data.fitted.items[18]))
    np.testing.assert_array_equal(found.augmented[0][1], decoded.pixels(data, data.fitted.items[0]))
    assert found.digest == data.digest != evaluation.data_digest
    assert selection.summary(data, data.classes, evaluation, ()).augmented == ()


def test_without_a_data_set_the_summary_is_the_evaluation_s(
    tmp_path: Path, data: DataSet, evaluation: Evaluation
) -> None:
    shown, _ = selection.photos(configured(tmp_path, 2), CONTENT, data, data.classes, {})
    how = ("SmallCNN", Augmentation(flip=True))
    found = selection.summary(DataConfig(), data.classes, evaluation, shown, how)
    assert (found.counts, found.per_class, found.present) == ({"test": 18}, {"test": 6}, False)
    assert (found.digest, found.examples, found.roles) == ("d" * 64, {}, {"test": "judged on"})
    assert (found.name, found.words) == ("TinyImageNet30", tiny_imagenet.WORDS)
    np.testing.assert_array_equal(found.augmented[0][1], shown[0].pixels)


def test_without_a_data_set_and_an_evaluation_there_is_nothing_to_count(data: DataSet) -> None:
    found = selection.summary(DataConfig(), data.classes, None, ())
    assert (found.counts, found.per_class, found.augmented, found.digest) == ({}, {}, (), "")
    own = selection.summary(DataConfig(licence="CC0."), Classes(("cups", "spoons"), ("cups", "spoons")), None, ())
    assert (own.name, own.wnids, own.words) == ("The data set", (), DataWords(licence="CC0."))


def test_images_that_are_not_here_or_broken_are_not_shown(
    tmp_path: Path, small_data_set: SmallDataSet, data: DataSet, evaluation: Evaluation
) -> None:
    root = Path(shutil.copytree(small_data_set.root, tmp_path / "copy"))
    gone = last(data, 2)
    (root / "val" / "images" / gone).unlink()
    (root / "val" / "images" / "val_0.JPEG").write_bytes(b"no image")
    less = shapes(root, tmp_path / "cache")
    found, failures = selection.photos(configured(tmp_path, 1), CONTENT, less, less.classes, {"cnn": evaluation})
    assert gone.removesuffix(".JPEG").replace("_", "-") not in " ".join(failures["cnn"])
    assert failures["cnn"]
    assert found[0].id == "test-val-1"


def test_the_validation_images_are_searched(data: DataSet) -> None:
    found = selection.examined(data, ())
    assert found is not None
    assert data.chosen is not None
    assert (found.data_set, found.digest) == (True, data.chosen.digest)
    assert found.said == f"{len(data.chosen)} validation images of Tiny ImageNet"
    assert found.names == tuple(data.classes.names[item.target] for item in data.chosen.items)
    np.testing.assert_array_equal(found.pictures[1], decoded.pixels(data, data.chosen.items[1]))


def test_of_very_many_images_some_are_searched_evenly(data: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "SEARCHED", 3)
    found = selection.examined(data, ())
    assert found is not None
    assert found.said == "3 of 6 validation images of Tiny ImageNet"
    assert found.names == data.classes.names
    assert len(found.pictures) == 3


def test_where_the_validation_images_judge_they_are_what_is_shown(tmp_path: Path) -> None:
    folder = kitchen(tmp_path / "kitchen", {"train": 3, "val": 6})
    data = decoded.whole(layouts.opened(folder, DataConfig()), tmp_path / "cache")
    evaluation = judging_all_wrong(data)
    found, failures = selection.photos(configured(tmp_path, 2), CONTENT, data, data.classes, {"net": evaluation})
    assert [photo.label for photo in found] == [0, 1, 1]
    assert failures == {"net": ("validation-val-spoons-5",)}
    pictures = selection.mistaken(data, evaluation)
    assert set(pictures) == {f"val/spoons/{number}.png" for number in range(6)}
    named = {item.name: item for item in data.judged.items} if data.judged else {}
    for name, picture in pictures.items():  # whole, as they are: none is larger than it is shown
        np.testing.assert_array_equal(picture, decoded.pixels(data, named[name]))
    searched = selection.examined(data, ())
    assert searched is not None
    assert searched.said == "12 validation images of kitchen"
    unnamed = selection.examined(replace(data, words=replace(data.words, source="The data set")), ())
    assert unnamed is not None
    assert unnamed.said == "12 validation images of the data set"
    assert searched.pictures[2].shape == (72, 72, 3)
    summary = selection.summary(data, data.classes, evaluation, ())
    assert (summary.wnids, summary.boxes, summary.words.size) == ((), False, "from 60 × 40 to 72 × 72")
    assert summary.roles == {"train": "fitted on", "validation": "judged on"}
    assert summary.examples[0][0].shape == decoded.pixels(data, (data.fitted or data.parts[0]).items[0]).shape


def test_without_a_data_set_the_report_s_photos_are_searched(tmp_path: Path, data: DataSet) -> None:
    shown, _ = selection.photos(configured(tmp_path, 0, bundled=True), CONTENT, None, data.classes, {})
    found = selection.examined(None, shown)
    assert found is not None
    assert not found.data_set
    assert found.said == f"{len(shown)} photos of this report"
    assert [picture is photo.pixels for picture, photo in zip(found.pictures, shown, strict=True)] == [True] * len(
        shown
    )
    assert found.names[0] == shown[0].shows
    fewer = selection.examined(None, shown[1:])
    assert fewer is not None
    assert fewer.digest != found.digest
    assert selection.examined(None, ()) is None


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


@pytest.mark.parametrize(("size", "shown"), [((300, 1200), (24, 96)), ((1200, 300), (96, 24)), ((200, 96), (96, 46))])
def test_of_large_images_all_is_shown_made_smaller(
    tmp_path: Path, size: tuple[int, int], shown: tuple[int, int]
) -> None:
    """An object at the end of a wide image would be cut off by a square."""
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[-size[0] // 8 :, -size[1] // 8 :] = 255
    for part in ("train/cups", "train/spoons", "test/cups", "test/spoons"):
        (tmp_path / "set" / part).mkdir(parents=True)
        Image.fromarray(pixels).save(tmp_path / "set" / part / "a.png")
    data = decoded.whole(layouts.opened(tmp_path / "set", DataConfig()), tmp_path / "cache")
    found = selection.summary(data, data.classes, None, ()).examples[0][0]
    assert found.shape == (*shown, 3)
    assert found[-1, -1].tolist() == [255, 255, 255]
    assert found[0, 0].tolist() == [0, 0, 0]


def test_a_site_that_will_be_too_large_is_told_with_the_key_that_makes_it_smaller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = loaded(SmallCNN(3), ("a", "b", "c"), square(64))
    config = configured(tmp_path, 400)

    def told(count: int, origin: str = "test") -> str:
        return selection.too_large(
            [one], [synthetic.photo(f"p{at}", None, origin=origin) for at in range(count)], config
        )

    assert told(20) == ""
    said = re.fullmatch(
        r"the site is going to have about (\d+) MiB, 20 are the most it should have: \[samples\] test_images = (\d+) "
        r"makes it smaller; it has 400 photos now",
        told(400),
    )
    assert said is not None
    assert int(said[1]) > 40
    assert told(int(said[2])) == ""  # it would do
    assert told(int(said[2]) * 3 // 2) != ""  # and not far more
    many = [synthetic.photo(f"p{at}", None, origin="test") for at in range(14)]
    assert selection.too_large([one] * 3, many, config) == ""
    assert selection.too_large([one] * 20, many, config).startswith("the site is going to have about 54 MiB")
    assert told(400, "own").endswith("[samples] photos lists 400, and fewer make it smaller")
    monkeypatch.setattr(selection, "LIMIT", 4_500_000)
    assert "[models.cnn] channels = " in told(1)
    few = replace(one, wanted=ModelConfig("SmallCNN", channels=16))
    assert selection.too_large([few], [synthetic.photo("p", None, origin="test")], config) == ""


@pytest.mark.parametrize(
    ("networks", "each"),
    [(1, [4]), (2, [4, 4]), (4, [4] * 4), (5, [3] * 5), (8, [2] * 8), (16, [1] * 16), (20, [1] * 16 + [0] * 4)],
)
def test_many_networks_share_the_photos_of_mistakes(networks: int, each: list[int]) -> None:
    """Each photo is explained by every network, so that four of each would cost the square of their number."""
    assert selection._shares(networks) == each
    assert sum(each) <= max(selection.FAILED, selection.FAILURES)


def test_of_very_many_misread_photos_the_surest_are_shown() -> None:
    """200 of them made the failures page 822 KiB."""
    photos = [synthetic.photo(f"p{number}", 1) for number in range(selection.SHOWN + 10)]
    explanations = {}
    for place, photo in enumerate(photos):
        made = synthetic.explanation(photo, ("a", "b"), 0)
        share = 0.5 + (place * 7 % len(photos)) / 100  # no two alike
        explanations[photo.id] = replace(made, probabilities=np.array([share, 1 - share], np.float32))
    every = list(explanations)

    found = selection.surest([every[3], *every, "gone"], explanations)

    sure = sorted(every, key=lambda photo: -explanations[photo].probabilities[0])
    assert set(found) == set(sure[: selection.SHOWN])
    shown = [every[3], *(photo for photo in every if photo != every[3])]
    assert list(found) == [photo for photo in shown if photo in found]
    assert selection.surest(every[:5], explanations) == tuple(every[:5])
