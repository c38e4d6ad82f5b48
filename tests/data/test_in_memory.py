"""Datasets in memory: what a transform is read as, proved against what it gives; loaders, pairs and hostile ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
)
from torchvision import transforms
from torchvision.models import ResNet18_Weights
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.functional import to_tensor

from generator.base.errors import InputError
from generator.data import in_memory, rows, steps
from generator.data.preprocessing import seen
from generator.data.steps import Normalisation
from generator.records.input import Input

SIZES = ((40, 60), (52, 48), (72, 72))
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
NORM = transforms.Normalize(MEAN, STD)
HALF = (0.5, 0.5, 0.5)
NONE, ONES = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


class Pictures(Dataset[Any]):
    """Pillow's images of coloured squares, (H, W) of three sizes or of one, and two labels."""

    classes = ("cups", "spoons")

    def __init__(self, transform: Any = None, size: tuple[int, int] | None = None, mode: str = "RGB") -> None:
        self.transform, self.size, self.mode = transform, size, mode

    def __len__(self) -> int:
        return 10

    def __getitem__(self, at: int) -> tuple[Any, int]:
        height, width = self.size or SIZES[at % 3]
        squares = np.random.default_rng(at).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
        image = Image.fromarray(squares.repeat(4, 0).repeat(4, 1)).convert(self.mode)
        return (self.transform(image) if self.transform else image), at % 2


def composed(*each: Any) -> Any:
    return transforms.Compose(each)


def understood(dataset: Any, said: Normalisation | None = None) -> in_memory.Understood:
    return in_memory.understood(dataset, "test_set", said)


def ours(found: in_memory.Understood) -> np.ndarray[Any, Any]:
    """(N, C, H, W) as the network is given them here, of an independent formula."""
    way = found.way
    assert way is not None
    pictures = [rows.pixels(found.images[at][0], found.back, "") for at in range(len(found.images))]
    values = np.stack([seen(each, way) for each in pictures]).astype(np.float64) / 255 * way.range
    normed: np.ndarray[Any, Any] = (values - np.array(way.mean)) / np.array(way.std)
    return np.moveaxis(normed, 3, 1)


CUT = (transforms.Resize(36), transforms.CenterCrop(32), transforms.ToTensor())
SQUEEZED = transforms.Resize((32, 24), interpolation=InterpolationMode.BICUBIC)
V2 = (v2.ToImage(), v2.Resize(36), v2.CenterCrop(32), v2.ToDtype(torch.float32, scale=True))
EXACT: dict[str, tuple[Any, Input, Sequence[str]]] = {  # of pictures of three sizes: transform, input, what remains
    "the usual one": (composed(*CUT, NORM), Input((32, 32), 36, mean=MEAN, std=STD), ()),
    "without Normalize": (composed(*CUT), Input((32, 32), 36, mean=NONE, std=ONES), ()),
    "squeezed": (
        composed(SQUEEZED, transforms.ToTensor(), NORM),
        Input((32, 24), 0, "none", "bicubic", mean=MEAN, std=STD),
        (),
    ),
    "composed twice": (composed(composed(*CUT), composed(NORM)), Input((32, 32), 36, mean=MEAN, std=STD), ()),
    "grey": (
        composed(transforms.Grayscale(), *CUT, transforms.Normalize(0.3, 0.2)),
        Input((32, 32), 36, channels=1, mean=(0.3,), std=(0.2,)),
        (),
    ),
    "grey in three channels": (
        composed(transforms.Grayscale(3), *CUT, NORM),
        Input((32, 32), 36, mean=MEAN, std=STD),
        ("Grayscale",),
    ),
    "of published weights": (
        ResNet18_Weights.DEFAULT.transforms(),
        Input((224, 224), 256),
        (),
    ),
    "a function first": (
        composed(lambda image: image.rotate(90, expand=True), *CUT, NORM),
        Input((32, 32), 36, mean=MEAN, std=STD),
        ("function",),
    ),
    "squeezed and cut": (
        composed(transforms.Resize((40, 40)), transforms.CenterCrop(32), transforms.ToTensor(), NORM),
        Input((32, 32), 40, "squash", mean=MEAN, std=STD),
        (),
    ),
    "squeezed and cut to another shape": (
        composed(transforms.Resize((40, 40)), transforms.CenterCrop((32, 24)), transforms.ToTensor(), NORM),
        Input((32, 24), 40, mean=MEAN, std=STD),
        ("Resize",),
    ),
    "tensors resized": (
        v2.Compose([*V2, v2.Normalize(list(HALF), list(HALF))]),
        Input((32, 32), 36, mean=HALF, std=HALF),
        ("ToImage", "Resize"),
    ),
    "blue first": (
        composed(*CUT, lambda image: image[[2, 1, 0]], NORM),
        Input((32, 32), 32, mean=MEAN, std=STD),
        ("Resize", "CenterCrop", "ToTensor", "function"),
    ),
}


@pytest.mark.parametrize("kind", list(EXACT))
def test_a_transform_is_read_as_what_it_does_to_the_last_bit(kind: str) -> None:
    transform, way, first = EXACT[kind]
    dataset = Pictures(transform)
    found = understood(dataset)
    assert found.way == way
    assert [steps.called(step) for step in found.first] == list(first)
    theirs = np.stack([dataset[at][0].numpy() for at in range(len(dataset))])
    assert np.abs(ours(found) - theirs).max() < 1e-4
    assert found.agreement == "the same numbers"
    assert dataset.transform is transform  # which was not changed
    if not first:
        assert isinstance(found.images[0][0], Image.Image)
        assert found.images[0][0].size == (60, 40)
        assert found.notes == ()


def test_of_images_of_one_size_a_cut_alone_and_the_scale_are_read() -> None:
    cut = composed(transforms.CenterCrop(32), transforms.ToTensor(), NORM)
    assert understood(Pictures(cut, (40, 48))).way == Input((32, 32), 40, mean=MEAN, std=STD)
    digits = composed(transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,)))
    way = Input((28, 28), 28, channels=1, mean=(0.1307,), std=(0.3081,))
    assert understood(Pictures(digits, (28, 28), "L")).way == way
    large = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32), v2.Normalize([120.0] * 3, [60.0] * 3)])
    way = Input((28, 28), 28, mean=(120.0,) * 3, std=(60.0,) * 3, range=255.0)
    assert understood(Pictures(large, (28, 28))).way == way


def test_a_size_that_only_some_images_have_is_told() -> None:
    class Others(Pictures):
        def __len__(self) -> int:
            return 64

        def __getitem__(self, at: int) -> tuple[Any, int]:
            self.size = (52, 48) if at == 63 else (40, 48)  # which no probe is
            return super().__getitem__(at)

    dataset = Others(composed(transforms.CenterCrop(32), transforms.ToTensor()), (40, 48))
    found = understood(dataset)
    assert found.shorter == 40
    with pytest.raises(InputError, match=r"^test_set: expected images whose shorter side is 40, .* got 48 x 52; give"):
        in_memory.held(dataset, found, "test_set", fitted=False)
    assert understood(Pictures(composed(*CUT))).shorter == 0


def test_what_told_each_key_is_said() -> None:
    found = understood(Pictures(composed(*CUT, NORM)))
    transform, images = "the transform of test_set", "the images of test_set, as the network is given them"
    assert found.sources == {
        **dict.fromkeys(("crop", "resize", "interpolation", "mean", "std"), transform),
        **dict.fromkeys(("size", "channels", "order", "range"), images),
    }
    images_alone = understood(TensorDataset(torch.zeros(4, 1, 8, 8), torch.zeros(4, dtype=torch.int64)), None)
    assert set(images_alone.sources.values()) == {images}


def test_shares_and_joins_are_seen_through_and_left_as_they_are() -> None:
    other = composed(transforms.Resize(40), *CUT[1:], NORM)
    first, second = Pictures(composed(*CUT, NORM)), Pictures(other)
    share = Subset(first, [7, 3, 5])
    found = understood(share)
    assert found.way == Input((32, 32), 36, mean=MEAN, std=STD)
    assert [found.images[at][0].size for at in range(3)] == [(48, 52), (60, 40), (72, 72)]
    assert share.dataset is first
    joined = understood(ConcatDataset([first, second]))  # whose Resize differs, so that it stays
    assert joined.way == Input((32, 32), 32, mean=MEAN, std=STD)
    assert [joined.images[at][0].size for at in (0, 10)] == [(32, 32), (32, 32)]
    outer = Subset(Pictures(composed(*CUT)), [1, 2])
    outer.transform = NORM  # type: ignore[attr-defined]
    taken = steps.without(outer, 2)
    assert [len(each) for each in steps.transforms(taken)] == [2]
    assert [len(each) for each in steps.transforms(outer)] == [4]


class Kept(Pictures):
    """Has transformed its images when it was made."""

    def __init__(self, transform: Any) -> None:
        super().__init__(transform)
        self.kept = [transform(Pictures()[at][0]) for at in range(len(self))]

    def __getitem__(self, at: int) -> tuple[Any, int]:
        return self.kept[at], at % 2


class Closed(Pictures):
    """Its transform cannot be replaced."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in vars(self):
            raise AttributeError(f"{name} is set once")
        super().__setattr__(name, value)


@pytest.mark.parametrize("kind", [Kept, Closed])
def test_where_a_transform_cannot_be_taken_off_its_normalize_is_taken_back(kind: type[Pictures]) -> None:
    dataset = kind(composed(*CUT, NORM))
    found = understood(dataset)
    assert found.images is dataset
    assert found.way == Input((32, 32), 32, mean=MEAN, std=STD)
    assert found.sources["mean"] == "the transform of test_set"
    theirs = np.stack([dataset[at][0].numpy() for at in range(len(dataset))])
    assert np.abs(ours(found) - theirs).max() < 1e-4


def test_what_is_resized_as_numbers_is_read_with_a_note_of_how_far_it_is() -> None:
    steps_of = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Resize(36), v2.CenterCrop(32)]
    dataset = Pictures(v2.Compose([*steps_of, v2.Normalize(list(HALF), list(HALF))]))
    found = understood(dataset)
    assert found.way == Input((32, 32), 36, mean=HALF, std=HALF)
    (note,) = found.notes
    theirs = np.stack([dataset[at][0].numpy() for at in range(len(dataset))])
    levels = np.abs(ours(found) - theirs) * 0.5 * 255
    assert 0.1 < levels.mean() < 0.5
    assert levels.max() < 1.01
    assert note.startswith("What it is given differs from what test_set gives, by 0.")
    assert "of 255 levels of brightness on average, 1 at most" in note


def test_tensors_are_images_or_what_was_said_is_taken_back() -> None:
    images = torch.arange(4 * 3 * 8 * 8).reshape(4, 3, 8, 8) % 256
    labels = torch.tensor([0, 1, 0, 1])
    floats = images / 255
    assert understood(TensorDataset(floats, labels)).way == Input((8, 8), 8, mean=NONE, std=ONES)
    normed = TensorDataset((floats - 0.5) / 0.25, labels)
    found = understood(normed, Normalisation((0.5,), (0.25,)))
    assert found.way == Input((8, 8), 8, mean=HALF, std=(0.25,) * 3)
    assert (rows.pixels(found.images[1][0], found.back, "") == images[1].permute(1, 2, 0).numpy()).all()
    later = understood(TensorDataset(floats, labels), Normalisation((0.5,), (0.25,)))  # normalised after the Dataset
    assert (later.way, later.back) == (found.way, None)
    assert set(later.sources).isdisjoint({"mean", "std"})
    raw = understood(TensorDataset(images.byte(), labels))
    assert (raw.way, raw.size) == (None, (8, 8))


WRONG: dict[str, tuple[Callable[[], Any], Normalisation | None, str]] = {
    "random": (
        lambda: Pictures(composed(transforms.RandomHorizontalFlip(), transforms.ToTensor())),
        None,
        r"images as they are judged, its transform has RandomHorizontalFlip; give it without what is random$",
    ),
    "random function": (lambda: Pictures(lambda _: torch.rand(3, 8, 8)), None, r"it is another at each look"),
    "sizes": (lambda: Pictures(to_tensor), None, r"expected images of one size, .* got 3 x 40 x 60 and 3 x 52 x 48"),
    "after Normalize": (
        lambda: Pictures(composed(*CUT, NORM, lambda image: image * 2)),
        None,
        r"expected Normalize as the last step of its transform, .* its images hold values from -",
    ),
    "unknown numbers": (
        lambda: Pictures(composed(*CUT, lambda image: image * 2 - 1)),
        None,
        r"its images hold values from -1 to 1; say with mean=\.\.\. and std=\.\.\.",
    ),
    "other numbers": (
        lambda: Pictures(composed(*CUT, lambda image: image * 2 - 1)),
        Normalisation((2.0,), (1.0,)),
        r"expected images from 0 to 1 after mean and std are taken back",
    ),
    "four channels": (lambda: Pictures(composed(*CUT), None, "RGBA"), None, r"of 1 or 3 channels, got 4"),
    "rows alone": (lambda: TensorDataset(torch.rand(4, 784), torch.zeros(4)), None, r"it gives Tensor of 784"),
    "no labels": (lambda: TensorDataset(torch.rand(4, 3, 8, 8)), None, r"image 0: expected an image and its label"),
    "raises": (
        lambda: Pictures(lambda _: dict[str, int]()["width"]),
        None,
        r"it raised KeyError at test_in_memory.py:\d+: 'width'",
    ),
    "infinite": (
        lambda: TensorDataset(torch.full((4, 3, 8, 8), torch.inf), torch.zeros(4)),
        None,
        r"expected finite values",
    ),
}


@pytest.mark.parametrize("kind", list(WRONG))
def test_what_cannot_be_understood_is_one_line(kind: str) -> None:
    make, said, message = WRONG[kind]
    with pytest.raises(InputError, match=f"^test_set.*{message}") as caught:
        understood(make(), said)
    assert "\n" not in str(caught.value)


def test_a_mean_that_contradicts_the_transform_is_refused() -> None:
    dataset = Pictures(composed(*CUT, NORM))
    with pytest.raises(
        InputError, match=r"^mean and std: expected those of test_set's transform, 0\.4, 0\.5, 0\.6 and"
    ):
        understood(dataset, Normalisation(HALF, STD))
    assert understood(dataset, Normalisation(MEAN, STD)).way == Input((32, 32), 36, mean=MEAN, std=STD)


def test_a_loader_stands_for_the_images_that_it_goes_through() -> None:
    dataset = Pictures(composed(*CUT))
    assert in_memory.dataset_of(DataLoader(dataset, 3, shuffle=True), "x") is dataset
    share = in_memory.dataset_of(DataLoader(dataset, 3, sampler=SubsetRandomSampler([8, 1])), "x")
    assert [share[at][1] for at in range(len(share))] == [0, 1]
    assert understood(share).way == Input((32, 32), 36, mean=NONE, std=ONES)
    with pytest.raises(InputError, match=r"^x: expected a DataLoader of all its images, .* it has a _Every"):
        in_memory.dataset_of(DataLoader(dataset, sampler=_Every()), "x")
    same = DataLoader(dataset, 4, collate_fn=lambda batch: (torch.stack([each[0] for each in batch]), 0))
    assert in_memory.dataset_of(same, "x") is dataset
    other = DataLoader(dataset, 4, collate_fn=lambda batch: (torch.stack([each[0] for each in batch]) * 2, 0))
    with pytest.raises(InputError, match=r"^x: expected images as its Dataset gives them, its collate_fn changes them"):
        in_memory.dataset_of(other, "x")
    with pytest.raises(
        InputError, match=r"^x: expected the DataLoader of a Dataset with a length, got that of _Endless"
    ):
        in_memory.dataset_of(DataLoader(_Endless()), "x")


class _Every:
    def __iter__(self) -> Any:
        return iter([1, 2])


class _Endless(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter(())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, r"expected a torch Dataset with a length, .*, got int$"),
        ({"test": []}, r"expected .*, got dict$"),
        ([], r"expected from 1 to 10,000,000 images, it has 0$"),
        (
            (np.zeros((4, 8, 8)), np.zeros(3)),
            r"expected a label for each image, got 4 images and labels of shape \(3,\)$",
        ),
    ],
    ids=["number", "mapping", "empty", "too few labels"],
)
def test_what_is_no_data_set_is_one_line(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^train_set: {message}"):
        in_memory.dataset_of(given, "train_set")


def held(labels: Any, images: Any = None) -> in_memory.Held:
    images = torch.zeros(len(labels), 3, 8, 8, dtype=torch.uint8) if images is None else images
    return in_memory.Held(in_memory.dataset_of((images, labels), "test_set"), None, "test_set")


def test_labels_are_numbers_of_any_kind_or_ones_among_zeros() -> None:
    for labels in (torch.tensor([0, 2, 1]), np.array([0.0, 2.0, 1.0]), torch.eye(3)[[0, 2, 1]], np.eye(3)[[0, 2, 1]]):
        assert held(labels).targets.tolist() == [0, 2, 1]
    with pytest.raises(InputError, match=r"^test_set image 0: expected a whole number for its class, it gives 0\.5"):
        held(np.array([0.5, 1]))
    with pytest.raises(InputError, match=r"^test_set image 0: expected one class, or a 1 among zeros"):
        held(np.ones((2, 3)))


def test_rows_may_be_those_of_hugging_face() -> None:
    image = torch.arange(192).reshape(3, 8, 8) / 255
    row = {"image": Image.new("RGB", (9, 9)), "pixel_values": image, "labels": 1}
    found, label = in_memory.row([row], 0, "x")
    assert found is image
    assert label == 1
    assert in_memory.row([{"img": image, "target": 2}], 0, "x")[1] == 2


def test_the_digest_is_of_every_image_and_label() -> None:
    images = np.zeros((200, 8, 8), np.uint8)
    labels = np.zeros(200, np.int64)
    first = held(labels, images).digest
    assert held(labels, images).digest == first
    images[101, 3, 4] = 1
    second = held(labels, images).digest
    labels[57] = 1
    assert len({first, second, held(labels, images).digest}) == 3


def test_parts_have_classes_in_the_order_of_labels_and_refuse_labels_beyond_them() -> None:
    parts = {"train": held(np.array([0, 1, 2])), "test": held(np.array([2, 0, 0]))}
    called = {"train": "train_set", "test": "test_set"}
    data = in_memory.data_set(parts, ["b", "a", "c"], "things", called)
    assert data.classes.names == ("b", "a", "c")
    assert [(part.name, part.role, [item.target for item in part.items]) for part in data.parts] == [
        ("train", "fitted on", [0, 1, 2]),
        ("test", "judged on", [0, 0, 2]),
    ]
    assert data.words.notes == ("There are no test images of a.",)
    with pytest.raises(InputError, match=r"^train_set: expected labels from 0 to 1, one for each class, found 2$"):
        in_memory.data_set(parts, ["b", "a"], "things", called)
    with pytest.raises(InputError, match=r"^train_set: expected images of each class, found none of d$"):
        in_memory.data_set(parts, ["b", "a", "c", "d"], "things", called)


def test_what_training_does_to_its_images_is_left_out() -> None:
    test = Pictures(composed(transforms.Grayscale(3), *CUT, NORM))
    train = Pictures(composed(transforms.RandomResizedCrop(32), transforms.ToTensor(), NORM))
    images = in_memory.held(train, understood(test), "train_set", fitted=True)
    grey = np.asarray(Pictures()[4][0].convert("L"))
    assert (images[4] == grey[..., None]).all()
    assert images.sizes == sorted(SIZES, key=lambda size: size[0] * size[1])


class Named(Pictures):
    """Pictures whose transform takes an image by its name and gives it back so, as albumentations' Compose does."""

    def __getitem__(self, at: int) -> tuple[Any, int]:
        way, self.transform = self.transform, None
        image, label = super().__getitem__(at)
        self.transform = way
        return way(image=np.asarray(image))["image"], label


def test_what_a_training_does_by_name_is_left_out_too() -> None:
    def judged(*, image: np.ndarray) -> dict[str, Any]:
        return {"image": NORM(to_tensor(np.ascontiguousarray(image[:32, :32])))}

    def fitted(*, image: np.ndarray) -> dict[str, Any]:
        return {"image": NORM(to_tensor(np.ascontiguousarray(image[8:40, 8:40])))}

    how = understood(Named(judged), said=Normalisation(MEAN, STD))
    images = in_memory.held(Named(fitted), how, "train_set", fitted=True)
    assert (images[4] == np.asarray(Pictures()[4][0])[:32, :32]).all()


def test_an_image_whose_label_changes_is_told() -> None:
    images = held(np.array([0, 1]))
    images.targets[1] = 0
    with pytest.raises(InputError, match=r"^test_set image 1: expected the label 0, as before, it gives 1"):
        images[1]


def test_names_that_stand_twice_get_their_numbers() -> None:
    assert in_memory.distinct(["crane", "bee", "crane"]) == ("crane (0)", "bee", "crane (2)")
    assert in_memory.distinct(["a", "b"]) == ("a", "b")


def test_class_to_idx_goes_before_the_order_of_classes() -> None:
    dataset = Pictures()
    assert rows.class_names(dataset) == ("cups", "spoons")
    dataset.class_to_idx = {"cups": 1, "spoons": 0}  # type: ignore[attr-defined]
    assert rows.class_names(dataset) == ("spoons", "cups")
    dataset.class_to_idx = {"cups": 1, "mugs": 1, "spoons": 0}  # type: ignore[attr-defined]
    assert rows.class_names(dataset) == ("cups", "spoons")
