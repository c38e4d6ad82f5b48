"""`generator.report(...)`: what it refuses, in one line; how it names classes; what a notebook shows of it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset, Subset, TensorDataset

import generator
from generator.base.errors import InputError
from generator.commands import notebook
from generator.config.schema import InputConfig
from tests.data_sets import kitchen

pytestmark = pytest.mark.usefixtures("one_thread")


class Things(Dataset[Any]):
    """(3, 8, 8) floats from 0 to 1 of three classes, told apart by the brightest channel."""

    def __init__(self, count: int = 12, classes: Any = None) -> None:
        self.count = count
        if classes:
            self.classes = classes

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, at: int) -> tuple[torch.Tensor, int]:
        image = torch.randint(0, 128, (3, 8, 8), generator=torch.Generator().manual_seed(at)) / 255
        image[at % 3] = 1
        return image, at % min(3, len(getattr(self, "classes", NAMES)))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def net(classes: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))


def bytes_of(count: int = 12) -> TensorDataset:
    rows = [Things()[at] for at in range(count)]
    return TensorDataset(
        torch.stack([(image * 255).byte() for image, _ in rows]), torch.tensor([label for _, label in rows])
    )


NAMES = ("cups", "spoons", "forks")
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no network": ({"model": "best.pth"}, r"model: expected a torch.nn.Module, got str"),
    "no data": ({"test_set": 3}, r"test_set: expected a torch Dataset with a length, .* got int$"),
    "no images": ({"test_set": Subset(Things(), [])}, r"test_set: expected from 1 to 10,000,000 images, it has 0"),
    "no labels": ({"test_set": TensorDataset(torch.rand(3, 3, 8, 8))}, r"test_set image 0: expected an image and its"),
    "labels beyond the outputs": ({"model": net(2)}, r"test_set: expected labels from 0 to 1, one for each class, fou"),
    "more classes than outputs": (
        {"model": net(2), "test_set": Things(classes=NAMES)},
        r"classes: expected 2 names, one for each output of the model, test_set has 3 classes; say with classes=\[",
    ),
    "too few names": ({"classes": ["a", "b"]}, r"classes: expected 3 names, one for each output of the model, got 2$"),
    "a name of no class": (
        {"test_set": Things(classes=NAMES), "classes": ["cups", "spoons", "knives"]},
        r"classes: expected a name for each class of test_set, got none for 'forks'",
    ),
    "other classes to train on": (
        {"test_set": Things(classes=NAMES), "train_set": Things(classes=NAMES[::-1])},
        r"train_set: expected the classes of test_set, in the same order, it has others$",
    ),
    "a later image that is none": (
        {"test_set": (torch.cat([torch.rand(39, 3, 8, 8), -torch.ones(1, 3, 8, 8)]), torch.arange(40) % 3)},
        r"test_set image 39: expected bytes or floats from 0 to 1, got -1 to -1; .* say mean and std in the call$",
    ),
    "a mean alone": ({"mean": 0.5}, r"mean and std: expected both or none, got one of them"),
    "bytes and nothing said": (
        {"test_set": bytes_of()},
        r"test_set: expected images as the network is given them, .* say with mean=\.\.\. and std=\.\.\.",
    ),
    "another size than its images": ({"size": 9}, r"size: expected \(8, 8\), as the images of test_set, .* got \(9"),
    "no number": ({"mean": "half", "std": 1}, r"generator.report: mean: expected numbers, one for each"),
    "no text": ({"layer": 3}, r"generator.report: layer: expected a string, got 3"),
    "an object": ({"title": object()}, r"generator.report: title: expected text, numbers or a list of them"),
    "no such layer": ({"layer": "conv7"}, r"layer"),
    "no log": ({"log": "none.csv"}, r"generator.report: logs: expected"),
    "a folder and a Dataset": ({"train_set": "images"}, r"train_set: expected a Dataset, as test_set is one"),
    "no folder": ({"test_set": "images"}, r"test_set: expected a data set's folder or a list of images and classes, f"),
}  # fmt: skip


@pytest.mark.parametrize("kind", list(REFUSED))
def test_what_cannot_be_used_is_one_line_and_leaves_no_site(kind: str, tmp_path: Path) -> None:
    given, message = REFUSED[kind]
    model = given.get("model", net())
    state = torch.get_rng_state()
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        generator.report(**{"test_set": Things(), **given, "model": model})
    assert isinstance(caught.value, InputError)
    assert not any(word in str(caught.value) for word in ("\n", "[models", "at line", "report.toml"))
    assert not (tmp_path / "site").exists()
    assert torch.equal(torch.get_rng_state(), state)


class _Raises(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images[0, 0, 0, 0] > 0.1:  # as the first image that tries it is not
            raise KeyError("width")
        return images.mean((2, 3))


def test_what_its_code_raises_later_is_one_line_too() -> None:
    images = torch.ones(4, 3, 8, 8)
    with pytest.raises(
        InputError, match=r"^(model, given|expected the network's own code to run, it) .*KeyError at test_"
    ):
        generator.report(_Raises(), (images, [0, 1, 2, 0]))


def test_a_mistake_of_the_program_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("generator.config.digests.of_build", {}.__getitem__)  # of C, which has no frame
    with pytest.raises(TypeError):
        generator.report(net(), Things())


def names(own: tuple[str, ...], said: tuple[str, ...], count: int = 3) -> Any:
    return notebook._names(own, said, count)


def test_outputs_have_the_names_of_the_data_or_those_that_were_said() -> None:
    of_data, of_outputs, fact, notes = names(NAMES, ())
    assert (of_data, of_outputs, fact.origin, fact.source) == (NAMES, NAMES, "read", "the classes of test_set")
    of_data, of_outputs, fact, notes = names((), ())
    assert (of_data, of_outputs, fact.origin) == (("0", "1", "2"), ("0", "1", "2"), "assumed")
    of_data, of_outputs, fact, notes = names(NAMES, NAMES[::-1])  # in another order: by name
    assert (of_data, of_outputs, fact.origin, notes) == (NAMES, NAMES[::-1], "declared", ())
    of_data, of_outputs, _, notes = names(NAMES, ("cups", "lids", "forks", "spoons"), 4)
    assert (of_data, of_outputs, notes) == (NAMES, ("cups", "lids", "forks", "spoons"), ())
    of_data, of_outputs, _, notes = names(("n01", "n02", "n03"), NAMES)  # other names for all of them
    assert (of_data, of_outputs) == (NAMES, NAMES)
    assert notes == ("The classes of test_set have the names that were given, in their order.",)


def test_a_test_set_that_lacks_a_class_is_numbered_by_name(tmp_path: Path) -> None:
    assert notebook._in_common(NAMES, NAMES) == (NAMES, None)
    assert notebook._in_common((), NAMES) == (NAMES, None)
    assert notebook._in_common(NAMES, ()) == (NAMES, None)
    assert notebook._in_common(("cups", "forks"), NAMES) == (NAMES, (0, 2))
    for test, train in ((NAMES, ("cups", "forks")), (NAMES[::-1], NAMES), (("cups", "lids"), NAMES)):
        with pytest.raises(InputError, match=r"^train_set: expected the classes of test_set, in the same order"):
            notebook._in_common(test, train)
    lacking, whole = Things(classes=("cups", "forks")), Things(classes=NAMES)
    read = notebook._of_datasets(lacking, whole, notebook._Said("", "", "", (), {}), InputConfig())
    data = read.opened(NAMES)
    assert data.judged is not None
    assert {item.target for item in data.judged.items} == {0, 2}
    assert "There are no test images of spoons." in data.words.notes


def test_the_call_is_told_with_what_was_said() -> None:
    said = notebook._Said("A title", "", "", {"cups": 0}, {"size": 8}, "conv", Path("log.csv"), 3)
    told = "title='A title', classes={'cups': 0}, size=8, layer='conv', log='log.csv', kept=3"
    assert notebook._call(True, said) == f"generator.report(model, test_set, train_set, {told})"
    said = notebook._Said("", "", "", [f"class {number}" for number in range(99)], {}, "", iter([{}]), None)
    assert notebook._call(False, said) == "generator.report(model, test_set, classes=classes, log=log)"


def test_classes_may_come_with_their_numbers() -> None:
    for given in (NAMES, iter(NAMES), {2: "forks", 0: "cups", 1: "spoons"}, {"forks": 2, "cups": 0, "spoons": 1}):
        assert notebook._listed(given) == list(NAMES)
    assert notebook._listed({"0": "cups", "1": "spoons", "2": "forks"}) == list(NAMES)
    for wrong in ({1: "cups", 2: "spoons"}, {"cups": 0, "spoons": 0}, {"a": "b"}):
        with pytest.raises(InputError, match=r"^classes: expected the numbers of the outputs from 0 on"):
            notebook._listed(wrong)


def test_a_folder_of_classes_judges_with_all_of_its_images(tmp_path: Path) -> None:
    said = notebook._Said("", "", "", (), {})
    kitchen(tmp_path / "all", {"": 6})
    kitchen(tmp_path / "parts", {"train": 4, "test": 3})
    one = notebook._joined(notebook._folder("all", "test_set", said, ()), None, said, ())
    assert [(part.name, part.role, len(part)) for part in one.parts] == [("test", "judged on", 12)]
    assert one.words.split.endswith("All of them judge.")
    two = notebook._joined(notebook._folder("parts", "test_set", said, ()), None, said, ())
    assert [(part.name, len(part)) for part in two.parts] == [("train", 8), ("test", 6)]
    both = notebook._joined(notebook._folder("parts/test", "test_set", said, ()), "parts/train", said, ())
    assert [(part.name, part.role, len(part)) for part in both.parts] == [
        ("train", "fitted on", 8),
        ("test", "judged on", 6),
    ]
    assert both.words.split.endswith("training images from train_set and test images from test_set.")
    with pytest.raises(InputError, match=r"^train_set: expected a folder, as test_set is one, got Things$"):
        notebook._joined(one, Things(), said, ())


def test_a_notebook_shows_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    shell = SimpleNamespace(kernel=object())
    display = SimpleNamespace(display=shown.append, FileLink=lambda path: f"link to {path}")
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    notebook._show(tmp_path / "site" / "index.html")
    assert shown == [f"link to {Path('site') / 'index.html'}"]
    shell.kernel = None  # a terminal's
    notebook._show(tmp_path / "site" / "index.html")
    assert len(shown) == 1


def test_a_record_of_the_training_in_memory_is_kept_as_a_log(tmp_path: Path) -> None:
    epochs = [{"loss": torch.tensor(2.5), "lr": np.float64(0.1), "note": "x"}, {"loss": 1, "lr": float("nan")}]
    lines = ['{"epoch": 1, "loss": 2.5, "lr": 0.1}', '{"epoch": 2, "loss": 1}']
    (file,) = notebook._logs(epochs, tmp_path)
    assert file.read_text().splitlines() == lines
    assert notebook._logs({"loss": [2.5, 1], "lr": [0.1, float("inf")]}, tmp_path) == [file]
    assert notebook._logs(iter(epochs), tmp_path) == [file]
    assert notebook._logs("a.csv", tmp_path) == [Path("a.csv")]
    assert notebook._logs(["a.csv", Path("b")], tmp_path) == [Path("a.csv"), Path("b")]
    assert notebook._logs((), tmp_path) == []
    with pytest.raises(InputError, match=r"^log: expected lists of one length, a value an epoch, .*, got others$"):
        notebook._logs({"loss": [1, 2], "lr": [1]}, tmp_path)
    with pytest.raises(InputError, match=r"^log: expected a file, or a mapping an epoch, got list of other things$"):
        notebook._logs([3], tmp_path)


def test_a_place_that_no_site_can_have_is_told_before_the_images_are_read(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"expected an empty folder .*; choose another out$"):
        generator.report(net(), Subset(Things(), []))


def test_values_of_numpy_and_torch_are_said_as_others() -> None:
    said = {"mean": np.array([0.5, 0.25]), "std": torch.tensor([0.5, 0.5]), "size": (8, 9)}
    settings = notebook._settings("Net", notebook._Said("", "", "", (), said), Path("x"), "call")
    (network,) = settings.models.networks
    assert (network.input.mean, network.input.size, network.said_in) == ((0.5, 0.25), (8, 9), "generator.report(...)")
    assert (network.id, settings.report.title, settings.report.command) == ("net", "What Net sees", "call")
