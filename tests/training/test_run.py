"""Training and evaluating by a preset: what they leave in a model's folder."""

from __future__ import annotations

import io
import json
import shutil
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from generator.base.errors import InputError
from generator.config import places
from generator.config.schema import InputConfig, ModelConfig
from generator.data.classes import SHOWN, Classes
from generator.data.dataset import DataSet, Item, Part
from generator.data.tiny_imagenet import WORDS
from generator.evaluation.evaluation import card_of, evaluate_model
from generator.explain import methods
from generator.networks import alexnet, catalogue, small_cnn
from generator.networks.architecture import initialise
from generator.networks.folder import (
    Description,
    load_evaluation,
    load_model,
    load_runs,
    load_snapshots,
    plain_evaluation,
)
from generator.networks.loaded import Loaded
from generator.networks.small_cnn import SMALL_CNN, SmallCNN
from generator.records.input import Input
from generator.records.recipe import Augmentation, Recipe
from generator.records.training import Run
from generator.training import fit
from generator.training import run as training_run
from generator.training.run import compress_model, train_model
from tests.conftest import SmallDataSet
from tests.data_sets import kitchen, opened, shapes
from tests.loaded import loaded

pytestmark = pytest.mark.usefixtures("one_thread")

# float32, since "auto" measures which arithmetic is faster: two runs might differ in it. Four steps an epoch, since the
# average, which is what is kept, takes in the weights every fourth step.
CNN = ModelConfig("cnn")
PRESETS = {"cnn": small_cnn.PRESETS, "alexnet": alexnet.PRESETS}
SHORT = {"epochs": 1, "precision": "float32", "limit": 16, "batch": 4, "sizes": ((0.0, 32),)}


@pytest.fixture(scope="module")
def classes(small_data_set: SmallDataSet) -> Classes:
    return Classes(small_data_set.names, small_data_set.wnids)


@pytest.fixture(scope="module")
def decoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("decoded")


@pytest.fixture(scope="module")
def data(small_data_set: SmallDataSet, decoded: Path) -> DataSet:
    return shapes(small_data_set.root, decoded)


@pytest.fixture(scope="module")
def trained(data: DataSet, decoded: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    """A model's folder after one epoch, and its run; tests that change it work on a copy."""
    folder = tmp_path_factory.mktemp("models") / "cnn"
    run = train_model(CNN, SMALL_CNN, "quick", data, folder, decoded, changes=SHORT)
    return folder, run


def small(folder: Path | None, classes: Classes, order: tuple[int, ...] = (0, 1, 2)) -> Loaded:
    """A small network with its outputs in this order."""
    network = SmallCNN(len(order), (4, 4, 4, 4))
    initialise(network, 0)
    rows = 5 * torch.randn(len(classes), 4, generator=torch.Generator().manual_seed(0))
    network.get_parameter("head.linear.weight").data = rows[list(order)]
    wnids = tuple(classes.keys[index] for index in order)
    return loaded(network, wnids, digest="w" * 64, folder=folder)


def test_training_leaves_weights_and_records_and_nothing_to_resume(trained: tuple[Path, Run], classes: Classes) -> None:
    folder, run = trained
    assert {path.name for path in folder.iterdir()} == {"weights.safetensors", "history.json", "snapshots.safetensors"}
    model = load_model(folder)
    assert model.description == Description(
        "SmallCNN", classes.names, classes.keys, 32, 32, (24, 48, 96, 192), (1, 1, 1, 1)
    )
    (recorded,) = load_runs(folder)
    assert (recorded.name, recorded.kept, recorded.environment) == (run.name, run.kept, run.environment)
    assert recorded.epochs[0].train_loss == pytest.approx(run.epochs[0].train_loss, rel=1e-5)
    assert (run.name, run.kept, len(run.epochs)) == ("augmented", 1, 1)
    assert (run.settings["preset"], run.settings["epochs"], run.settings["precision"]) == ("quick", 1, "float32")
    assert {"processor", "torch", "revision", "data", "device"} <= set(run.environment)
    snapshots = load_snapshots(folder)
    first = model.weights["features.conv1.weight"].numpy()
    np.testing.assert_allclose(snapshots[1], first, atol=1e-3)  # float16's rounding
    assert np.abs(snapshots[0] - snapshots[1]).max() > 1e-3


def test_a_run_for_the_record_leaves_the_weights_as_they_are(
    trained: tuple[Path, Run], data: DataSet, classes: Classes, decoded: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(trained[0], tmp_path / "cnn"))
    before = (folder / "weights.safetensors").read_bytes()
    train_model(CNN, SMALL_CNN, "one batch", data, folder, decoded, changes=SHORT)
    assert (folder / "weights.safetensors").read_bytes() == before
    assert [run.name for run in load_runs(folder)] == ["augmented", "one batch"]
    assert not (folder / "resume.safetensors").exists()


def test_images_are_as_large_as_the_recipe_asks_and_no_larger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of any size on disk; where no images are for choosing, the last epoch is kept."""
    folder = kitchen(tmp_path / "kitchen", {"train": 8, "test": 2})
    data = opened(folder, tmp_path / "cache")
    learnt: list[fit.Images] = []

    def watched(network: nn.Module, train: fit.Images, *rest: Any, **options: Any) -> fit.TrainingState:
        learnt.append(train)
        return fit.fit(network, train, *rest, **options)

    monkeypatch.setattr(training_run, "fit", watched)
    changes = {**SHORT, "limit": 0, "enlarged": 1.5, "epochs": 2}
    run = train_model(CNN, SMALL_CNN, "quick", data, tmp_path / "cnn", tmp_path / "cache", changes=changes)
    assert learnt[0].images.shape == (16, 3, 48, 48)
    assert learnt[0].targets.tolist() == [0] * 8 + [1] * 8
    assert [epoch.validation_accuracy for epoch in run.epochs] == [None, None]
    assert run.kept == 2


def test_validation_images_that_judge_are_chosen_on(tmp_path: Path) -> None:
    data = opened(kitchen(tmp_path / "kitchen", {"train": 8, "val": 2}), tmp_path / "cache")
    run = train_model(CNN, SMALL_CNN, "quick", data, tmp_path / "cnn", tmp_path / "cache", changes=SHORT)
    assert run.epochs[0].validation_accuracy is not None


def test_without_images_to_train_on_it_does_not_begin(tmp_path: Path) -> None:
    data = opened(kitchen(tmp_path / "kitchen", {"test": 2}), tmp_path / "cache")
    with pytest.raises(InputError, match="kitchen: expected images to train on, in a folder train, found none"):
        train_model(CNN, SMALL_CNN, "quick", data, tmp_path / "cnn", tmp_path / "cache", changes=SHORT)


class Impatient(io.StringIO):
    """A terminal whose user presses Ctrl-C when the first of two epochs is told."""

    def write(self, text: str) -> int:
        if "epoch 1 of 2" in text:
            raise KeyboardInterrupt
        return super().write(text)


@pytest.mark.parametrize("preset", ["quick", "distilled"])
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(
    preset: str,
    trained: tuple[Path, Run],
    data: DataSet,
    decoded: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changes = {**SHORT, "widths": (8, 8, 12, 12), "depths": (1, 1, 2, 2)}

    def train(folder: Path, *, resume: bool = False, epochs: int = 2) -> Run:
        return train_model(
            CNN,
            SMALL_CNN,
            preset,
            data,
            folder,
            decoded,
            resume=resume,
            teachers=[trained[0]] * 2 if preset == "distilled" else (),
            changes={**changes, "epochs": epochs},
        )

    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", Impatient())
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "interrupted")
    assert [path.name for path in (tmp_path / "interrupted").iterdir()] == ["resume.safetensors"]
    with pytest.raises(InputError, match=r"expected a run with epochs = 3, found 2"):
        train(tmp_path / "interrupted", resume=True, epochs=3)
    resumed, whole = train(tmp_path / "interrupted", resume=True), train(tmp_path / "whole")
    assert [epoch.epoch for epoch in resumed.epochs] == [1, 2]
    assert [epoch.train_loss for epoch in resumed.epochs] == [epoch.train_loss for epoch in whole.epochs]
    for file in ("weights.safetensors", "snapshots.safetensors"):
        assert (tmp_path / "interrupted" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    assert not (tmp_path / "interrupted" / "resume.safetensors").exists()


def test_a_network_goes_on_from_another_and_learns_from_teachers(
    trained: tuple[Path, Run], data: DataSet, classes: Classes, decoded: Path, tmp_path: Path
) -> None:
    teacher, first = trained
    widths, depths = (24, 48, 96, 192), (1, 1, 1, 1)
    plain = {"augmentation": Augmentation(), "tail": 0.0, "learning_rate": 1e-6}
    changes = {**SHORT, "epochs": 2, "widths": widths, "depths": depths, **plain}

    def train(folder: str, *teachers: Path, start: Path | None = teacher, preset: str = "distilled") -> Run:
        return train_model(
            CNN,
            SMALL_CNN,
            preset,
            data,
            tmp_path / folder,
            decoded,
            start=start,
            teachers=teachers,
            changes=changes,
        )

    run = train("cnn", teacher, teacher)
    assert [epoch.epoch for epoch in run.epochs] == [1, 2, 3]
    assert run.epochs[0].train_loss == pytest.approx(first.epochs[0].train_loss, rel=1e-5)
    assert run.kept in (2, 3)
    digest = load_model(teacher).digest
    origin = {name: run.settings[name] for name in ("started_from", "started_after", "teachers")}
    assert origin == {"started_from": digest, "started_after": 1, "teachers": [digest, digest]}
    assert sorted(load_snapshots(tmp_path / "cnn")) == [0, 1, 3]
    before, after = (load_model(folder).weights for folder in (teacher, tmp_path / "cnn"))
    for name, _ in SmallCNN(3, widths, depths=depths).named_parameters():
        torch.testing.assert_close(after[name], before[name], rtol=1e-2, atol=1e-3)
    with pytest.raises(InputError, match="preset distilled: expected at least one teacher, got none; name --teacher"):
        train("cnn")
    with pytest.raises(InputError, match="preset quick: expected no teacher, got 1; leave out --teacher"):
        train("cnn", teacher, preset="quick")
    with pytest.raises(InputError, match="nowhere: expected a trained model, found no weights"):
        train("cnn", teacher, start=tmp_path / "nowhere")


def test_a_training_that_report_toml_contradicts_does_not_begin(
    trained: tuple[Path, Run], data: DataSet, decoded: Path, tmp_path: Path
) -> None:
    """Its weights would be refused after it; a network of another make would go on under the same name."""

    def train(wanted: ModelConfig, **more: Any) -> None:
        train_model(wanted, SMALL_CNN, "quick", data, tmp_path / "cnn", decoded, changes=SHORT, **more)

    with pytest.raises(
        InputError, match=r"classes: expected 3, as the images in .* are of them, got 2; leave them out"
    ):
        train(ModelConfig("cnn", classes=("goldfish", "banana")))
    with pytest.raises(
        InputError, match=r'cnn: expected weights of pool = "average" to start from, found those of "max'
    ):
        train(ModelConfig("cnn", arguments={"pool": "average"}), start=trained[0])
    assert not (tmp_path / "cnn" / "weights.safetensors").exists()


def test_a_run_of_other_arguments_is_not_gone_on_with(
    data: DataSet, decoded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tensors have the same shapes, so nothing else would tell."""
    changes = {**SHORT, "widths": (8, 8, 12, 12), "epochs": 2}

    def train(**arguments: str) -> Run:
        wanted = ModelConfig("cnn", arguments=arguments)
        return train_model(wanted, SMALL_CNN, "quick", data, tmp_path, decoded, resume=True, changes=changes)

    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", Impatient())
        with pytest.raises(KeyboardInterrupt):
            train()
    with pytest.raises(InputError, match=r"expected a run with arguments = \{'pool': 'average'\}, found \{\}"):
        train(pool="average")


def test_nothing_to_resume_is_said(
    data: DataSet, classes: Classes, decoded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_model(CNN, SMALL_CNN, "quick", data, tmp_path, decoded, resume=True, changes=SHORT)
    assert f"SmallCNN, quick: {tmp_path} holds no interrupted run, so this one begins" in capsys.readouterr().err


def test_only_a_whole_evaluation_is_written(data: DataSet, classes: Classes, decoded: Path, tmp_path: Path) -> None:
    loaded = small(tmp_path, classes)
    some = evaluate_model(loaded, data, "test")
    assert {name: scores.count for name, scores in some.splits.items()} == {"test": 18}
    assert some.faithfulness is None
    assert list(tmp_path.iterdir()) == []
    found = evaluate_model(loaded, data)
    assert {name: int(scores.confusion.sum()) for name, scores in found.splits.items()} == {
        "train": 54,
        "validation": 6,
        "test": 18,
    }
    assert (found.model, found.weights_digest) == ("cnn", "w" * 64)
    written = load_evaluation(tmp_path)
    assert written is not None
    assert plain_evaluation(written) == plain_evaluation(found)
    trust = written.faithfulness
    assert trust is not None
    assert (trust.split, trust.count, trust.layer) == ("test", 18, "features.relu7")
    assert {row.method for row in trust.localisation} == {
        name for name, method in methods.usual().items() if "attention" not in method.asks
    }
    assert [row.layer for row in trust.sweep] == [
        "features.relu1",
        "features.relu3",
        "features.relu5",
        "features.relu7",
    ]


def test_the_layer_that_report_toml_names_is_the_one_that_is_measured(
    data: DataSet, classes: Classes, decoded: Path, tmp_path: Path
) -> None:
    """It reached the maps of the photos alone, and the page on trust spoke of another layer."""
    one = replace(small(tmp_path, classes), wanted=ModelConfig("cnn", layer="features.relu3"))
    trust = evaluate_model(one, data).faithfulness
    assert trust is not None
    assert trust.layer == "features.relu3"


def test_a_network_without_a_layer_is_measured_by_what_needs_none(data: DataSet, tmp_path: Path) -> None:
    class Perceptron(torch.nn.Sequential):
        def __init__(self) -> None:
            super().__init__(torch.nn.Flatten(), torch.nn.Linear(3 * 64 * 64, 4), torch.nn.ReLU())
            self.append(torch.nn.Linear(4, 3))
            self.shift = torch.nn.Parameter(torch.ones(1))  # of the network itself, which has no name

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self[3](self[2](self[1](self[0](images)))) + self.shift  # type: ignore[no-any-return]

    one = loaded(initialise(Perceptron(), 0), data.classes.names)
    evaluate_model(replace(one, evaluated=tmp_path), data)
    written = load_evaluation(tmp_path)
    assert written is not None
    assert written.faithfulness is not None
    trust = written.faithfulness
    assert (trust.layer, trust.sweep_method, trust.sweep) == ("", "", ())
    asked = {"occlusion", "guided backprop", "integrated gradients"}
    assert {row.method for row in trust.localisation} == {row.method for row in trust.perturbation} == asked
    assert trust.randomisation[0].layers == ("3", "1", "shift")


def test_what_is_measured_of_weights_from_elsewhere_is_kept_beside_the_models(
    data: DataSet, classes: Classes, decoded: Path, tmp_path: Path
) -> None:
    one = replace(small(tmp_path, classes), folder=None, evaluated=tmp_path / "cnn-wwwwwwww")
    found = evaluate_model(one, data)
    written = load_evaluation(tmp_path / "cnn-wwwwwwww")
    assert written is not None
    assert written.faithfulness is not None
    assert plain_evaluation(written) == plain_evaluation(found)
    assert [path.name for path in tmp_path.rglob("*.*")] == ["evaluation.json"]  # no card: nobody here trained it


def test_each_network_that_the_test_images_score_is_counted(
    data: DataSet, classes: Classes, decoded: Path, tmp_path: Path
) -> None:
    first = small(tmp_path, classes)
    networks = (first, first, replace(first, digest="v" * 64))
    looks = [evaluate_model(each, data).test_looks for each in networks]
    assert looks == [1, 1, 2]


def test_weights_from_elsewhere_are_scored_and_nothing_is_written(
    data: DataSet, classes: Classes, decoded: Path
) -> None:
    """Its outputs stand in another order; the data set's classes are found by their wnids."""
    one = evaluate_model(small(None, classes), data)
    other = evaluate_model(small(None, classes, (2, 0, 1)), data)
    assert one.splits["train"].top1 not in (0, 1)
    for name, scores in one.splits.items():
        np.testing.assert_array_equal(scores.confusion, other.splits[name].confusion)
    fewer = small(None, classes, (0, 1))
    with pytest.raises(InputError, match="expected an output for each class of the data set, it has none for 'banana'"):
        evaluate_model(fewer, data, "test")


def test_outputs_that_are_no_class_here_compete_in_a_score_of_their_own(tmp_path: Path) -> None:
    data = opened(kitchen(tmp_path / "kitchen", {"val": 80}), tmp_path / "cache")
    network = initialise(SmallCNN(3, (4, 4, 4, 4)), 0)
    bias = network.get_parameter("head.linear.bias").data
    bias.copy_(torch.tensor([9.0, 8.0, 0.0]))  # everything is a cup, then a lid
    names = (data.classes.names[0], "lids", data.classes.names[1])
    scores = evaluate_model(loaded(network, names), data, "validation").splits["validation"]
    assert (scores.top1, scores.top1_of_all) == (0.5, 0.5)
    bias.copy_(torch.tensor([8.0, 9.0, 0.0]))  # a lid, which the data set does not have
    scores = evaluate_model(loaded(network, names), data, "validation").splits["validation"]
    assert (scores.top1, scores.top1_of_all) == (0.5, 0.0)


def test_a_folder_of_images_is_evaluated_by_its_parts_without_boxes(tmp_path: Path) -> None:
    """Two classes: no five answers; validation images that judge: no temperature, and all of their mistakes."""
    data = opened(kitchen(tmp_path / "kitchen", {"train": 3, "val": 80}), tmp_path / "cache")
    network = initialise(SmallCNN(2, (4, 4, 4, 4)), 0)
    network.get_parameter("head.linear.bias").data = torch.tensor([9.0, 0.0])  # everything is a cup
    found = evaluate_model(loaded(network, data.classes.names, folder=tmp_path / "cnn"), data)
    assert {name: (scores.count, scores.top1, scores.top5) for name, scores in found.splits.items()} == {
        "train": (6, 0.5, None), "validation": (160, 0.5, None),
    }  # fmt: skip
    assert (found.temperature, found.judged, found.fitted_temperature) == (1.0, "validation", "")
    assert len(found.splits["validation"].mistakes) == 80
    assert found.data_digest == data.digest
    trust = found.faithfulness
    assert trust is not None
    assert (trust.split, trust.boxes, trust.localisation, trust.sweep, trust.small) == ("validation", False, (), (), 0)
    assert {row.method for row in trust.perturbation} == {
        name for name, method in methods.usual().items() if "attention" not in method.asks
    }
    assert trust.randomisation
    assert trust.count == 100  # as many as any part looks at
    written = load_evaluation(tmp_path / "cnn")
    assert written is not None
    assert plain_evaluation(written) == plain_evaluation(found)
    card = (tmp_path / "cnn" / "README.md").read_text("utf-8")
    assert "may have been chosen on the images that judge them" in card


def test_the_temperature_is_fitted_on_what_is_chosen_on(tmp_path: Path) -> None:
    data = opened(kitchen(tmp_path / "kitchen", {"train": 3, "valid": 6, "test": 4}), tmp_path / "cache")
    network = initialise(SmallCNN(2, (4, 4, 4, 4)), 0)
    network.get_parameter("head.linear.bias").data = torch.tensor([9.0, 0.0])
    found = evaluate_model(loaded(network, data.classes.names), data)
    assert (found.judged, found.fitted_temperature) == ("test", "validation")
    assert found.temperature > 10  # half of the answers are wrong, and it is sure of all
    assert found.faithfulness is None


def test_compressed_weights_are_smaller_and_load(trained: tuple[Path, Run], classes: Classes, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(trained[0], tmp_path / "cnn"))
    whole = load_model(folder)
    before, after = compress_model("cnn", folder)
    assert before == (trained[0] / "weights.safetensors").stat().st_size
    assert after == (folder / "weights.safetensors.xz").stat().st_size
    assert after < 0.55 * before  # 8 bits a weight instead of 16
    assert not (folder / "weights.safetensors").exists()
    assert training_run.trained(CNN, folder, classes).digest != whole.digest
    with pytest.raises(InputError, match=r"expected weights to compress, found none; train them with: train cnn"):
        training_run.compress_model("cnn", folder)


def test_a_folder_without_weights_was_not_trained(tmp_path: Path, classes: Classes) -> None:
    assert catalogue.from_folder(CNN, tmp_path, classes) is None
    with pytest.raises(InputError, match="expected the weights that were just trained"):
        training_run.trained(CNN, tmp_path, classes)


@pytest.mark.parametrize("damage", ["a file in its place", "a damaged record"])
def test_a_folder_that_could_not_keep_a_run_is_told_before_it_begins(
    data: DataSet, tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cnn"
    if damage == "a damaged record":
        folder.mkdir()
        (folder / "history.json").write_text("{")
    else:
        folder.touch()
    monkeypatch.setattr(fit, "fit", lambda *_, **__: pytest.fail("it began"))
    with pytest.raises(
        InputError, match="could not be written" if folder.is_file() else r"history\.json: expected JSON"
    ):
        training_run.train_model(CNN, SMALL_CNN, "quick", data, folder, tmp_path / "cache")


@pytest.mark.parametrize("name", ["cnn", "alexnet"])
def test_what_comes_with_the_program_belongs_together(name: str) -> None:
    """Weights, what was measured of them, and the card made of that."""
    folder = places.bundled("models") / name
    loaded = catalogue.from_folder(ModelConfig(name), folder)
    evaluation = load_evaluation(folder)
    assert loaded is not None
    assert evaluation is not None
    assert evaluation.weights_digest == loaded.digest
    named = replace(loaded, shown=SHOWN)  # as `evaluate` loads it, which knows the data
    assert (folder / "README.md").read_text("utf-8") == card_of(named, evaluation, WORDS)
    assert {scores.split: scores.count for scores in evaluation.splits.values()} == {
        "train": 13_500,
        "validation": 1_500,
        "test": 750,
    }
    (weights,) = folder.glob("weights.*")
    assert weights.stat().st_size <= 10_000_000
    if name == "cnn":
        assert sum(parameter.numel() for parameter in loaded.network.parameters()) <= 3_000_000
    (run,) = (run for run in load_runs(folder) if run.name == "augmented")
    assert [epoch.epoch for epoch in run.epochs] == list(range(1, len(run.epochs) + 1))
    assert run.kept_epoch is not None
    kept = run.kept_epoch.validation_accuracy
    assert kept is not None
    assert evaluation.splits["validation"].top1 > kept - 0.01  # what making the weights small may cost
    assert evaluation.splits["test"].top1 >= {"cnn": 0.78, "alexnet": 0.62}[name]
    for side in (side for side in load_runs(folder) if side.name in training_run.RUNS):
        recipe = json.loads(json.dumps(asdict(PRESETS[name][side.name])))
        del recipe["precision"]  # recorded as measured
        assert {key: side.settings[key] for key in recipe} == recipe


@pytest.mark.parametrize("name", ["cnn", "alexnet"])
def test_the_presets_are_those_that_trained_the_shipped_networks(name: str) -> None:
    runs = load_runs(places.bundled("models") / name)
    (run,) = (run for run in runs if run.name == "augmented")
    for settings, preset in ((run.settings, "distilled"), (run.settings["started_settings"], "best")):
        assert settings["preset"] == preset
        recipe = json.loads(json.dumps(asdict(PRESETS[name][preset])))
        # A record may be older than a field of the recipe, whose default then is what it did.
        older = json.loads(json.dumps(asdict(Recipe(epochs=0))))
        if name == "alexnet":
            older["enlarged"] = recipe["enlarged"]  # only how its photos are shown
        recorded = {**older, **settings, "precision": "auto"}
        for how in ("augmentation", "mild"):
            recorded[how] = {**older[how], **settings[how]}
        assert {key: recorded[key] for key in recipe} == recipe


@pytest.mark.parametrize("name", ["history.json", "evaluation.json", "benchmark.json", "snapshots.safetensors"])
def test_a_damaged_record_is_told_before_any_image_is_looked_at(tmp_path: Path, classes: Classes, name: str) -> None:
    (tmp_path / name).write_text("{}")
    part = Part("test", "judged on", (Item("a", tmp_path / "nothing there", 0),))
    nowhere = DataSet(tmp_path, "", classes, (part,), WORDS)
    with pytest.raises(InputError, match=rf"{name}: expected "):  # and not that there is no image
        evaluate_model(small(tmp_path, classes), nowhere)


def test_a_network_trained_for_another_input_is_shown_images_in_that_way(
    data: DataSet, classes: Classes, decoded: Path, tmp_path: Path
) -> None:
    way = InputConfig((32, 32), mean=(0.5, 0.4, 0.3), std=(0.25,), interpolation="bicubic")
    wanted = ModelConfig("cnn", architecture="SmallCNN", input=way)
    changes = {**SHORT, "widths": (4, 4), "depths": (1, 1)}
    train_model(wanted, SMALL_CNN, "quick", data, tmp_path, decoded, changes=changes)
    expected = Input((32, 32), interpolation="bicubic", mean=(0.5, 0.4, 0.3), std=(0.25, 0.25, 0.25))
    for asked in (wanted, CNN):  # the weights say it, whatever report.toml does
        found = catalogue.from_folder(asked, tmp_path, classes)
        assert found is not None
        assert found.input == expected


def test_arguments_that_no_network_takes_are_told_before_a_training_begins(
    data: DataSet, classes: Classes, decoded: Path, tmp_path: Path
) -> None:
    wanted = ModelConfig("cnn", arguments={"colour": 3})
    with pytest.raises(InputError, match=r"arguments: expected arguments that SmallCNN takes: .* 'colour'"):
        train_model(wanted, SMALL_CNN, "quick", data, tmp_path, decoded, changes=SHORT)
