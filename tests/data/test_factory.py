"""Data sets that a user's function gives: torch Datasets, tensors, arrays and pictures; and what is no data set."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, Subset, TensorDataset
from torchvision import transforms
from torchvision.transforms import v2

from generator.base.errors import InputError
from generator.config.schema import DataConfig
from generator.data import decoded, rows, steps
from generator.data.dataset import DataSet
from generator.data.layouts import find, opened
from generator.data.parts import MAYBE_SEEN

START = """
import numpy as np
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset
from torchvision import datasets as tv, transforms
from torchvision.transforms import v2

IMAGES = torch.arange(6 * 3 * 4 * 5, dtype=torch.uint8).reshape(6, 3, 4, 5)
LABELS = torch.tensor([0, 1, 2, 2, 1, 0])
ONE, TWO = transforms.Normalize(.5, .5), transforms.Normalize([.5] * 2, [.5] * 2)

class Things(Dataset):
    classes = ["<b>cups</b>", "T-shirt/top", "forks"]
    def __init__(self, transform=None, targets=None):
        self.transform = transform
        if targets is not None:
            self.targets = targets
    def __len__(self):
        return 6
    def __getitem__(self, at):
        image = Image.fromarray(IMAGES[at].permute(1, 2, 0).numpy())
        return (self.transform(image) if self.transform else image), int(LABELS[at])
"""
THINGS = np.arange(6 * 3 * 4 * 5, dtype=np.uint8).reshape(6, 3, 4, 5)


def made(folder: Path, function: str, start: str = START, **said: Any) -> DataSet:
    """The data set of a file with such a function's body."""
    text = f"{start}\ndef datasets():\n{textwrap.indent(textwrap.dedent(function).strip(), '    ')}\n"
    (folder / "mine.py").write_text(text)
    return opened(folder / "mine.py:datasets", DataConfig(**said), folder)


def test_datasets_by_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = made(tmp_path, "return {'train': Things(), 'Val': Things(), 'test': Things()}")
    assert [(part.name, part.role, len(part)) for part in data.parts] == [
        ("train", "fitted on", 6), ("validation", "chosen on", 6), ("test", "judged on", 6),
    ]  # fmt: skip
    assert data.classes.names == ("<b>cups</b>", "T-shirt/top", "forks")
    assert [(item.name, item.target) for item in data.parts[2].items] == [
        ("0", 0), ("5", 0), ("1", 1), ("4", 1), ("2", 2), ("3", 2),
    ]  # fmt: skip
    image = decoded.pixels(data, data.parts[2].items[1])
    np.testing.assert_array_equal(image, THINGS[5].transpose(1, 2, 0))
    assert data.name == "Things"
    assert data.words.split == (
        "Its images are those that mine.py gives. "
        "The data set came in these parts: training images from train, validation images from Val and "
        "test images from test."
    )
    assert capsys.readouterr().err.splitlines() == ["note: runs mine.py (the data set of [data] root)"]
    whole = decoded.whole(data, tmp_path / "cache")
    assert whole.words.size == "5 × 4"
    assert (
        made(tmp_path, "return {'train': Things(), 'Val': Things(), 'test': Things()}").fingerprint == data.fingerprint
    )


IMAGE_KINDS = {
    "bytes": "IMAGES",
    "floats": "IMAGES / 255",
    "half": "(IMAGES / 255).half()",
    "with gradients": "(IMAGES / 255).requires_grad_()",
    "an array": "IMAGES.permute(0, 2, 3, 1).numpy()",
    "an array by channels": "IMAGES.numpy()",
    "pictures": "[Image.fromarray(image) for image in IMAGES.permute(0, 2, 3, 1).numpy()]",
}


@pytest.mark.parametrize("kind", list(IMAGE_KINDS))
def test_images_of_any_kind_are_the_same_bytes(tmp_path: Path, kind: str) -> None:
    data = made(tmp_path, f"return {{'test': [(i, int(t)) for i, t in zip({IMAGE_KINDS[kind]}, LABELS)]}}")
    for item in data.parts[0].items:
        np.testing.assert_array_equal(decoded.pixels(data, item), THINGS[item.at].transpose(1, 2, 0))


def test_grey_images_have_three_equal_channels(tmp_path: Path) -> None:
    for grey in (
        "IMAGES[:, 0]",
        "IMAGES[:, :1] / 255",
        "IMAGES[:, 0].numpy()",
        "IMAGES[:, :1].permute(0, 2, 3, 1).numpy()",
    ):
        data = made(tmp_path, f"return {{'test': list(zip({grey}, LABELS))}}")
        image = decoded.pixels(data, next(item for item in data.parts[0].items if item.at == 3))
        np.testing.assert_array_equal(image, np.repeat(THINGS[3, 0][..., None], 3, axis=2))


NORMALISED = {
    "v1": "transforms.Compose([transforms.ToTensor(), transforms.Normalize([.4, .5, .6], [.2, .3, .1])])",
    "one for all": "transforms.Compose([transforms.ToTensor(), transforms.Normalize(.5, .5)])",
    "v2": "v2.Compose([v2.ToImage(), v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize([.4, .5, .6], [.2, .3, .1])])])",  # noqa: E501
}


@pytest.mark.parametrize("how", list(NORMALISED))
def test_a_normalize_that_can_be_seen_is_taken_back(tmp_path: Path, how: str) -> None:
    data = made(
        tmp_path,
        f"way = {NORMALISED[how]}\nreturn {{'test': ConcatDataset([Things(way), Subset(Things(way), [2, 3])])}}",
    )
    assert "Its Normalize was taken back." in data.words.split
    for item in data.parts[0].items:
        expected = THINGS[item.at if item.at < 6 else item.at - 4].transpose(1, 2, 0)
        np.testing.assert_array_equal(decoded.pixels(data, item), expected)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ("IMAGES / 127.5 - 1", r"bytes or floats from 0 to 1, got -1 to .*; are they normalised\? give the"),
        ("IMAGES.float()", r"image 0: expected bytes or floats from 0 to 1, got 0 to 59; divide them by 255"),
        ("IMAGES.long()", r"expected bytes or floats from 0 to 1, got int64; give it as uint8"),
        ("IMAGES / 0.", r"expected finite values, got others"),
        ("IMAGES.repeat(1, 4, 1, 1)[:, :11]", r"expected 1 or 3 channels, got 11 \(Tensor of 11 by 4 by 5\)"),
        ("IMAGES.permute(0, 2, 3, 1)", r"expected 1 or 3 channels, got 4 \(Tensor of 4 by 5 by 3\)"),
        ("IMAGES[:, None]", r"expected a picture, a tensor or an array, it gives Tensor of 1 by 3 by 4 by 5"),
        ("['x.png'] * 6", r"expected a picture, a tensor or an array, it gives str"),
        ("torch.zeros(6, 1, 1, 21)", r"sides of at most 20 to 1, got 21 x 1"),
        ("torch.zeros(6, 1, 0, 3)", r"expected at most 50 million pixels and sides of at most 20 to 1, got 3 x 0"),
        ("[Image.new('L', (21, 1))] * 6", r"sides of at most 20 to 1, got 21 x 1"),
        ("[None] * 6", r"image 0: expected an image and its label, it gives tuple"),
    ],
)  # fmt: skip
def test_what_is_no_image_is_one_line(tmp_path: Path, images: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^the data set mine.py:datasets, test.* {message}") as caught:
        assert made(tmp_path, f"return {{'test': list(zip({images}, LABELS))}}").fingerprint
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("return None", r"expected a torch Dataset with a length, or a dict .*, it gives NoneType$"),
        ("return {}", r"expected at least one data set, it gives an empty dict"),
        ("return Things(), Things()", r"an image and its label, it gives Things"),
        ("return {'holdout': Things()}", r"expected data sets by part \(train, .*\), it gives 'holdout'"),
        ("return {0: Things()}", r"expected data sets by part \(train, .*\), it gives 0"),
        ("return {'val': Things(), 'valid': Things()}", r"one data set for validation, it gives val and valid"),
        ("return {'train': iter(Things())}", r"a torch Dataset with a length, .*, it gives iterator for train"),
        ("return {'train': []}", r"train: expected from 1 to 10,000,000 images, it has 0"),
        ("return {'test': [1, 2]}", r"image 0: expected an image and its label, it gives int"),
        ("return {'test': TensorDataset(IMAGES)}", r"image 0: expected an image and its label, it gives tuple"),
        ("return {'test': TensorDataset(IMAGES, torch.ones(6, 3))}", r"or a 1 among zeros .* it gives Tensor of 3"),
        ("return {'test': [(IMAGES[0], 'cups')] * 3}", r"expected a whole number for its class, it gives str"),
        ("return {'test': [(IMAGES[0], 0.5)] * 3}", r"expected a whole number for its class, it gives 0.5"),
        ("return {'test': [(IMAGES[0], True)] * 3}", r"expected a whole number for its class, it gives bool"),
        ("return {'test': [(IMAGES[0], 0)] * 3}", r"expected at least 2 classes, found 1"),
        ("return {'test': Things(targets=[0, 1, 2, 2, 1, 1])}", r"image 5: expected the label 1, .*, it gives 0"),
        ("Things.classes = ['a', 'b']\nreturn {'test': Things()}", r"its classes names 2 classes, found 2"),
        ("Things.classes = ['a', 'b\\n', 'c']\nreturn {'test': Things()}", r"a name without control characters"),
        ("other = Things()\nother.classes = list('abc')\nreturn {'train': Things(), 'test': other}",
         r"expected the same classes in each part, those of train and test differ"),
        ("return {'train': Subset(Things(), [0, 1, 4]), 'test': Things()}", r"train images of .*, found none of forks"),
        ("raise KeyError('width')", r"it raised KeyError at mine.py:\d+: 'width'"),
        ("raise SystemExit(0)", r"it raised SystemExit at mine.py:\d+: 0"),
        ("return {'test': Things(lambda image: 1 / 0)}", r"test image 0: it raised ZeroDivisionError at mine.py:\d+"),
        ("return {'test': Things(transforms.RandomHorizontalFlip())}",
         r"expected each image as it is, its transform has RandomHorizontalFlip; give it without what is random"),
        ("return {'test': Things(transforms.Compose([transforms.ToTensor(), transforms.ColorJitter(.5)]))}",
         r"its transform has ColorJitter"),
        ("return {'test': Things(lambda image: torch.rand(3, 4, 5))}", r"expected one image, it is another at each"),
        ("return {'test': Things(transforms.Compose([ONE, transforms.CenterCrop(2)]))}",
         r"expected Normalize once, as the last step, where it can be taken back; give"),
        ("way = transforms.Normalize(.5, .5)\nreturn {'test': ConcatDataset([Things(), Things(way)])}",
         r"expected the same Normalize for all of its images, it has several"),
        ("return {'test': Things(transforms.Compose([transforms.ToTensor(), TWO]))}", r"it raised RuntimeError"),
    ],
)  # fmt: skip
def test_what_is_no_data_set_is_one_line(tmp_path: Path, function: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^the data set mine.py:datasets.* ?{message}") as caught:
        assert made(tmp_path, function).fingerprint
    assert "\n" not in str(caught.value)


def test_one_data_set_is_split_here(tmp_path: Path) -> None:
    data = made(tmp_path, "return ConcatDataset([Things()] * 10)")
    assert [(part.name, len(part)) for part in data.parts] == [("train", 48), ("validation", 6), ("test", 6)]
    assert data.words.notes == (MAYBE_SEEN,)
    assert [part.name for part in made(tmp_path, "return {'train': ConcatDataset([Things()] * 10)}").parts] == [
        "train", "validation", "test",
    ]  # fmt: skip


def test_rows_may_be_dicts_as_hugging_faces_are(tmp_path: Path) -> None:
    start = START + textwrap.dedent("""
        class Label:
            names = ["a", "b", "c"]
        class Rows(list):
            features = {"image": None, "label": Label()}
        """)
    rows = "[{'label': int(t), 'image': i} for i, t in zip(IMAGES, LABELS)]"
    data = made(tmp_path, f"return {{'train': Rows({rows}), 'test': Rows({rows})}}", start)
    assert data.classes.names == ("a", "b", "c")
    assert decoded.pixels(data, data.parts[0].items[0]).shape == (4, 5, 3)


def test_classes_are_named_and_chosen_in_report_toml(tmp_path: Path) -> None:
    data = made(tmp_path, "return {'test': Things()}", classes=("forks", "<b>cups</b>"))
    assert [item.at for item in data.parts[0].items] == [2, 3, 0, 5]
    plain = "return {'test': TensorDataset(IMAGES, LABELS)}"
    assert made(tmp_path, plain).classes.names == ("0", "1", "2")
    assert made(tmp_path, plain, classes=("x", "y", "z")).classes.names == ("x", "y", "z")


def test_the_fingerprint_is_of_code_labels_and_images(tmp_path: Path) -> None:
    def fingerprint(function: str) -> str:
        return made(tmp_path, f"images, labels = IMAGES.clone(), LABELS.clone()\n{function}\n"
                              "return {'test': TensorDataset(images, labels)}").fingerprint  # fmt: skip

    found = {fingerprint(each) for each in ("", "images[3, 2, 1, 4] = 9", "labels[0] = 1", "# a word")}
    assert len(found) == 4
    (tmp_path / "beside.py").write_text("x = 1")
    assert fingerprint("") not in found


def test_code_is_run_only_below_the_report_and_only_where_it_is_named(tmp_path: Path) -> None:
    inner = tmp_path / "report"
    inner.mkdir()
    (tmp_path / "mine.py").write_text("raise SystemExit('it was run')")
    root = tmp_path / "mine.py:datasets"
    with pytest.raises(InputError, match=r"expected a file below .*report, it lies elsewhere"):
        opened(root, DataConfig(), inner)
    with pytest.raises(InputError, match=r"found code, which only a report.toml beside it may name"):
        opened(root, DataConfig())
    with pytest.raises(InputError, match=r"the variable TINY_IMAGENET: expected a data set's folder"):
        find(None, None, {"TINY_IMAGENET": str(root)})
    assert find(None, root, {}) == root
    with pytest.raises(InputError, match=r"expected a Python file, found none at .*none.py"):
        opened(inner / "none.py:datasets", DataConfig(), inner)
    (inner / "mine.py").write_text("def dataset():\n    pass\n")
    with pytest.raises(InputError, match=r"expected a function datasets, found none; it has dataset$"):
        opened(inner / "mine.py:datasets", DataConfig(), inner)
    with pytest.raises(InputError, match=r"\[data\] label: expected a list with a column x"):
        opened(inner / "mine.py:dataset", DataConfig(label="x"), inner)


def test_targets_are_found_below_shares_and_joins() -> None:
    base: Any = TensorDataset(torch.zeros(4, 1, 2, 2), torch.arange(4))
    assert rows.targets(base) is None
    base.targets = torch.arange(4)
    share = Subset(base, [3, 1])
    found = rows.targets(ConcatDataset([share, Subset(share, [1])]))
    assert found is not None
    assert found.tolist() == [3, 1, 1]
    base.target_transform = lambda target: target + 1
    assert rows.targets(share) is None


def test_transforms_are_seen_from_the_inside_out() -> None:
    inner: Any = TensorDataset(torch.zeros(1))
    inner.transform = transforms.Compose([transforms.ToTensor(), transforms.Resize(3)])
    outer: Any = Subset(inner, [0])
    outer.transform = v2.Normalize([0.5], [0.25])
    ((first, second, third),) = steps.transforms(outer)
    assert [steps.called(each) for each in (first, second, third)] == ["ToTensor", "Resize", "Normalize"]
    assert steps.normalisation(steps.transforms(outer), "x") == ((0.5,), (0.25,))
    assert steps.innermost(outer) is inner


def test_pictures_of_other_modes_are_colour_on_white(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (2, 2), (255, 0, 0, 0))
    assert rows.pixels(clear, None, "x").min() == 255
    deep = Image.fromarray(np.full((2, 2), 65535, np.uint16))
    assert rows.pixels(deep, None, "x").min() == 255
    assert rows.pixels(np.array([[True, False]]), None, "x")[0].tolist() == [[255] * 3, [0] * 3]
