"""Other readings of a network: what is wrong is found, by how much, and nothing is found where all is right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from generator.config.schema import DataConfig, ModelConfig
from generator.data import decoded, layouts
from generator.data.dataset import DataSet
from generator.evaluation import reading
from generator.evaluation.reading import reading_arrays, reading_of, settled
from generator.networks.catalogue import as_asked
from generator.networks.loaded import Loaded
from generator.networks.small_cnn import SMALL_CNN
from generator.records.images import Arrays
from generator.records.input import Input
from generator.records.reading import Reading
from generator.report.overview.reading import confirmed, doubts

COLOURS = {"blue": (40, 40, 220), "dark": (70, 70, 70), "light": (200, 200, 200), "red": (220, 40, 40)}
HALF = Input((8, 8), mean=(0.5,) * 3, std=(0.5,) * 3)


class Nearest(nn.Module):
    """Names the colour that the mean of its input is nearest to, in values from -1 to 1."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.linear = nn.Linear(3, 4)
        colours = torch.tensor(list(COLOURS.values())) / 127.5 - 1
        with torch.no_grad():
            self.conv.weight.copy_(torch.eye(3).view(3, 3, 1, 1))
            self.conv.bias.zero_()  # type: ignore[union-attr]
            self.linear.weight.copy_(2 * colours)
            self.linear.bias.copy_(-(colours**2).sum(1))

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(self.conv(images).mean((2, 3)))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """Noisy images of four colours, forty of each to train on."""
    root = tmp_path_factory.mktemp("colours")
    noise = np.random.default_rng(0)
    for part, count in (("train", 40), ("test", 4)):
        for name, colour in COLOURS.items():
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = np.clip(np.array(colour) + noise.normal(0, 25, 3) + noise.normal(0, 20, (8, 8, 3)), 0, 255)
                Image.fromarray(pixels.astype(np.uint8)).save(root / part / name / f"{number}.png")
    return decoded.whole(layouts.opened(root, DataConfig()), root / "cache")


def loaded(way: Input, network: nn.Module | None = None, **others: object) -> Loaded:
    names = tuple(COLOURS)
    foreign = replace(SMALL_CNN, name="net.py:Nearest", stages=None, layer=None)
    given = {"class_names": names, "class_keys": names, **others}
    return Loaded(
        "net", "Nearest", (network or Nearest()).eval(), foreign, input=way, digest="0", source="", **given  # type: ignore[arg-type]
    )  # fmt: skip


def tried(one: Loaded, data: DataSet) -> Reading:
    columns = [one.class_names.index(name) for name in data.classes.names]
    found = reading_of(reading_arrays(one, data, columns))
    assert found is not None
    return found


def test_the_reading_is_the_same_whatever_stays_in_memory(data: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    one, columns = loaded(HALF), list(range(len(COLOURS)))
    read: list[str] = []
    usual = decoded.pixels
    monkeypatch.setattr(decoded, "pixels", lambda data, item: (read.append(item.name), usual(data, item))[1])  # type: ignore[func-returns-value]
    found = []
    for room in (decoded.HELD, 10 * 8 * 8 * 3, 0):
        read.clear()
        monkeypatch.setattr(decoded, "HELD", room)
        monkeypatch.setattr("generator.evaluation.reading.BAND", 1 << 20 if room else 7)
        found.append((reading_arrays(one, data, columns), len(read)))
    (first, least), *others = found
    assert least == 160
    for arrays, count in others:
        assert count > 5 * 150  # of a hundred and sixty all but ten, again and again
        assert arrays.keys() == first.keys()
        assert all(np.array_equal(arrays[key], first[key]) for key in first)


def test_where_all_is_right_nothing_is_better(data: DataSet) -> None:
    found = tried(loaded(HALF), data)
    assert (found.part, found.count) == ("train", 160)
    assert found.accuracy > 0.9
    assert found.better == ()
    assert {one.kind for one in found.tried} >= {"mean and std", "crop", "interpolation", "order of channels", "size"}
    assert doubts("Nearest", found) == ()
    assert confirmed("Nearest", found).startswith("Nearest was read in ")


@pytest.mark.parametrize(
    ("wrong", "kind", "key"),
    [
        (replace(HALF, mean=(0.0,) * 3, std=(1.0,) * 3), "mean and std", "mean = 0.5, std = 0.5"),
        (replace(HALF, order="bgr"), "order of channels", 'order = "rgb"'),
    ],
)
def test_a_wrong_input_is_found_and_its_key_is_told(data: DataSet, wrong: Input, kind: str, key: str) -> None:
    found = tried(loaded(wrong), data)
    right = tried(loaded(HALF), data)
    one = next(one for one in found.better if one.kind == kind)
    assert one.key == key
    assert one.accuracy == pytest.approx(right.accuracy)
    assert one.ahead == pytest.approx(one.accuracy - found.accuracy)
    (said,) = [line for line in doubts("Nearest", found) if key in line]
    assert said.startswith("Nearest seems to be read otherwise than its maker meant it: of 160 training images it")


def test_another_order_of_the_classes_is_a_bijection(data: DataSet) -> None:
    order = ("red", "blue", "light", "dark")
    found = tried(loaded(HALF, class_names=order, class_keys=order), data)
    assert found.accuracy < 0.3
    (one,) = [one for one in found.better if one.kind == "classes"]
    assert one.accuracy > 0.9
    assert one.key == 'classes = ["blue", "dark", "light", "red"]'
    assert "if its outputs stand for the classes in another order" in doubts("Nearest", found)[0]


class Shades(nn.Module):
    """Names the grey that the mean of its input is nearest to, of so many."""

    def __init__(self, greys: Tensor) -> None:
        super().__init__()
        self.linear = nn.Linear(1, len(greys))
        with torch.no_grad():
            self.linear.weight.copy_(2 * greys[:, None])
            self.linear.bias.copy_(-(greys**2))

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(images.mean((1, 2, 3))[:, None])  # type: ignore[no-any-return]


def test_another_order_of_many_classes_is_found_too(tmp_path: Path) -> None:
    """Of sixty classes, of which the images of a score of other readings are too few to tell it."""
    count = 60
    greys = np.linspace(10, 245, count).round().astype(np.uint8)
    names = tuple(f"grey {place:02}" for place in range(count))
    for part, images in (("train", 9), ("test", 1)):
        for name, grey in zip(names, greys, strict=True):
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(images):
                Image.fromarray(np.full((8, 8, 3), grey, np.uint8)).save(tmp_path / part / name / f"{number}.png")
    data = decoded.whole(layouts.opened(tmp_path, DataConfig()), tmp_path / "cache")
    network = Shades(torch.tensor(greys / 127.5 - 1, dtype=torch.float32))
    assert tried(loaded(HALF, network, class_names=names, class_keys=names), data).better == ()
    order = names[::-1]
    found = tried(loaded(HALF, network, class_names=order, class_keys=order), data)
    (one,) = [one for one in found.better if one.kind == "classes"]
    assert one.accuracy > 0.9
    assert one.key.startswith('classes = ["grey 00", "grey 01", "grey 02", ')


def test_of_one_training_image_nothing_is_tried(data: DataSet) -> None:
    (fitted,) = [part for part in data.parts if part.name == "train"]
    others = tuple(part for part in data.parts if part is not fitted)
    one = replace(data, parts=(replace(fitted, items=fitted.items[:1]), *others))
    assert reading_of(reading_arrays(loaded(HALF), one, range(4))) is None


def test_where_all_names_are_wrong_no_other_reading_is_better(data: DataSet, tmp_path: Path) -> None:
    """Whatever disturbs answers that are all under wrong names, such as values to 255, makes some of them right."""
    order = ("red", "blue", "dark", "light")
    wrong = loaded(
        HALF, class_names=order, class_keys=order, wanted=ModelConfig("net", weights=tmp_path / "weights.pth")
    )
    assert max(one.accuracy for one in tried(wrong, data).tried if one.kind == "mean and std") > 0.2
    found, reading = settled(wrong, data, lambda _: pytest.fail("read anew"), lambda _, trial: trial())
    assert found.input == HALF
    assert reading is not None
    assert reading.accuracy < 0.05
    assert [one.kind for one in reading.better] == ["classes"]


def test_batch_norms_without_their_statistics(data: DataSet) -> None:
    class Normed(Nearest):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(3, affine=False)

        def forward(self, images: Tensor) -> Tensor:
            return self.linear(self.norm(self.conv(images)).mean((2, 3)))  # type: ignore[no-any-return]

    network = Normed()
    network.norm.running_mean.fill_(9.0)  # type: ignore[union-attr]
    found = tried(loaded(HALF, network), data)
    assert found.shift is not None
    assert found.shift > 5
    assert "batch norms" in {one.kind for one in found.better}


def test_what_nobody_declared_is_read_as_it_answers_best(data: DataSet, tmp_path: Path) -> None:
    ways: list[ModelConfig] = []

    def again(wanted: ModelConfig) -> Loaded:
        ways.append(wanted)
        return loaded(as_asked(HALF, wanted), wanted=wanted)

    def known(_one: Loaded, trial: Callable[[], Arrays]) -> Arrays:
        return trial()

    wanted = ModelConfig("net", weights=tmp_path / "weights.pth")
    wrong = loaded(replace(HALF, mean=(0.0,) * 3, std=(1.0,) * 3), wanted=wanted)
    found, reading = settled(wrong, data, again, known)
    assert found.input == HALF
    assert reading is not None
    assert reading.better == ()
    assert found.notes[0].startswith(
        "Nobody declared its mean and std; it is read with a mean and a std of 0.5, for so"
    )
    declared = replace(wanted, input=replace(wanted.input, mean=(0.0,), std=(1.0,)))
    kept, reading = settled(replace(wrong, wanted=declared), data, again, known)
    assert kept.input == wrong.input  # what was declared is never changed
    assert reading is not None
    assert [one.kind for one in reading.better] == ["mean and std"]
    assert settled(wrong, None, again, known) == (wrong, None)


def test_a_dear_network_is_tried_on_a_part_first(data: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not ahead on every fourth image is not looked at further; what is ahead is found as on all of them."""
    wrong = loaded(replace(HALF, order="bgr"))
    usual, columns = tried(wrong, data), list(range(len(COLOURS)))
    passes = reading.cost(wrong, data) / wrong.once
    monkeypatch.setattr(reading, "BUDGET", 0)
    found = reading_of(reading_arrays(wrong, data, columns))
    assert found is not None
    assert (found.count, found.accuracy) == (usual.count, usual.accuracy) == (160, usual.accuracy)
    assert (found.shift, found.spread) == (usual.shift, usual.spread)
    assert found.better == usual.better
    assert found.better[0].kind == "order of channels"
    assert [(one.kind, one.what) for one in found.tried] == [(one.kind, one.what) for one in usual.tried]
    for one, before in zip(found.tried, usual.tried, strict=True):
        assert one == before if one.count == before.count else (one.count, one.ahead <= 0) == (40, True), one
    assert sum(one.count == 40 for one in found.tried) > len(found.tried) / 2
    assert passes == 160 * reading.WAYS == reading.STEP * reading.cost(wrong, data) / wrong.once
    right = tried(loaded(HALF), data)
    best = max(right.tried, key=lambda one: one.ahead)
    assert best.count == 40
    assert confirmed("Nearest", right).endswith("% of the 40 that it was tried on.")


def test_statistics_of_batches_are_those_of_all_images() -> None:
    norm = nn.BatchNorm2d(2)
    norm.running_mean, norm.running_var = torch.tensor([1.0, 0.0]), torch.tensor([4.0, 0.25])
    images = torch.randn(7, 2, 3, 3, generator=torch.Generator().manual_seed(0)) * 3 + 5
    watched = reading._Watched(norm)
    with watched:
        for batch in torch.split(images, 3):
            norm.eval()(batch)
    norm(images + 100)  # no longer
    values = images.transpose(0, 1).flatten(1)
    shift = ((values.mean(1) - torch.tensor([1.0, 0.0])).abs() / torch.tensor([2.0, 0.5])).mean()
    spread = (values.var(1) / torch.tensor([4.0, 0.25])).log().abs().mean()
    assert list(watched.apart) == pytest.approx([float(shift), float(spread)], rel=1e-5)
