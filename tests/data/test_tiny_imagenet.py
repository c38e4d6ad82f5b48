from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from generator.base.errors import InputError
from generator.data.classes import Classes, resolve_classes
from generator.data.dataset import PARTS, fingerprint
from generator.data.parts import split_names
from generator.data.tiny_imagenet import list_images, read
from tests.conftest import SmallDataSet

LETTERS = "abcdefghijklmnopqrst"
VALIDATION_NAMES = ("a.JPEG", "o.JPEG")


@pytest.fixture
def copied(small_data_set: SmallDataSet, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_data_set.root, tmp_path / "data"))


@pytest.fixture
def classes(small_data_set: SmallDataSet) -> Classes:
    return Classes(small_data_set.names, small_data_set.wnids)


def test_validation_is_the_tenth_with_the_smallest_hash() -> None:
    """By `printf a.JPEG | sha256sum` and so on, of these twenty VALIDATION_NAMES have the smallest hashes."""
    names = [f"{letter}.JPEG" for letter in LETTERS]
    train, validation = split_names(names)
    assert validation == VALIDATION_NAMES
    assert sorted((*train, *validation)) == names


def test_the_split_does_not_depend_on_the_order() -> None:
    names = [f"{letter}.JPEG" for letter in LETTERS]
    assert split_names(names) == split_names(names[::-1])


@pytest.mark.parametrize(("count", "validation"), [(1, 0), (2, 1), (9, 1), (19, 1), (20, 2), (500, 50)])
def test_a_tenth_is_held_out(count: int, validation: int) -> None:
    train, held_out = split_names([f"{number}.JPEG" for number in range(count)])
    assert (len(train), len(held_out)) == (count - validation, validation)


def test_lists_hold_every_image_once_with_its_box(small_data_set: SmallDataSet, classes: Classes) -> None:
    listed = {part: list_images(small_data_set.root, classes, part) for part in PARTS}
    assert [len(listed[part]) for part in PARTS] == [3 * 18, 3 * 2, 3 * 6]
    every = [image for part in PARTS for image in listed[part]]
    assert {image.name: image.box for image in every} == small_data_set.boxes
    assert len(every) == len(small_data_set.boxes)
    for image in listed["train"]:
        assert image.name.startswith(classes.keys[image.target])
        assert image.path.is_file()
    # The fixture writes the val images class by class, six each.
    assert {image.name: image.target for image in listed["test"]} == {f"val_{i}.JPEG": i // 6 for i in range(18)}


def test_only_the_wanted_classes_are_listed(small_data_set: SmallDataSet) -> None:
    two = Classes(("banana", "goldfish"), ("n07753592", "n01443537"))
    assert {image.name for image in list_images(small_data_set.root, two, "test") if image.target == 0} == {
        f"val_{number}.JPEG" for number in range(12, 18)
    }


def test_annotated_images_that_are_not_on_disk_are_left_out(copied: Path, classes: Classes) -> None:
    (copied / "val" / "images" / "val_3.JPEG").unlink()
    assert "val_3.JPEG" not in {image.name for image in list_images(copied, classes, "test")}


def test_the_real_data_set_is_split_450_to_50(tiny_imagenet: Path) -> None:
    classes = resolve_classes("TinyImageNet30", tiny_imagenet)
    train, validation, test = (list_images(tiny_imagenet, classes, part) for part in PARTS)
    assert (len(train), len(validation)) == (13500, 1500)
    assert [sum(image.target == k for image in validation) for k in range(30)] == [50] * 30
    assert not {image.name for image in train} & {image.name for image in validation}
    assert len({image.target for image in test}) == 30
    boxes = [image.box for image in train + test if image.box]
    assert len(boxes) == len(train + test)
    assert all(0 <= x0 <= x1 < 64 and 0 <= y0 <= y1 < 64 for x0, y0, x1, y1 in boxes)


def test_the_data_set_says_what_it_is_and_what_its_parts_are_for(
    small_data_set: SmallDataSet, classes: Classes
) -> None:
    data = read(small_data_set.root, small_data_set.names)
    assert (data.name, data.classes, data.side, data.boxes) == ("Tiny ImageNet", classes, 64, True)
    assert [(part.name, part.role, len(part)) for part in data.parts] == [
        ("train", "fitted on", 54), ("validation", "chosen on", 6), ("test", "judged on", 18),
    ]  # fmt: skip
    assert data.words.size == "64 × 64"
    assert "the official validation images are the test images" in data.words.split
    assert data.choosing is data.chosen
    assert data.words.notes == ()


@pytest.mark.parametrize("line", ["garbage", "a.JPEG\t1\t2\t3", "a.JPEG\t1\t2\t3\tx", "a.JPEG\t-1\t2\t3\t4", "\x00"])
def test_garbage_in_a_list_of_boxes_is_named_with_its_line(copied: Path, classes: Classes, line: str) -> None:
    file = copied / "train" / "n02165456" / "n02165456_boxes.txt"
    file.write_text(file.read_text() + line + "\n")
    with pytest.raises(InputError, match=r"n02165456_boxes\.txt, line 21: expected a file name and a box") as caught:
        list_images(copied, classes, "train")
    assert "\n" not in str(caught.value)


def test_damaged_lists_are_named(copied: Path, classes: Classes) -> None:
    annotations = copied / "val" / "val_annotations.txt"
    annotations.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"val_annotations\.txt: expected the data set's annotations as text"):
        list_images(copied, classes, "test")
    annotations.write_text("val_0.JPEG\t1\t2\t3\t4\n")
    with pytest.raises(InputError, match=r"val_annotations\.txt, line 1: expected a file name, a wnid and a box"):
        list_images(copied, classes, "test")
    annotations.unlink()
    with pytest.raises(InputError, match=r"val_annotations\.txt: .* the file is missing"):
        list_images(copied, classes, "test")


def test_an_image_without_a_box_is_named(copied: Path, classes: Classes) -> None:
    file = copied / "train" / "n01443537" / "n01443537_boxes.txt"
    held_out = list_images(copied, classes, "validation")[0].name
    file.write_text("".join(line for line in file.read_text().splitlines(keepends=True) if held_out not in line))
    with pytest.raises(InputError, match=f"expected a line for each image, found none for {held_out}"):
        list_images(copied, classes, "validation")


def test_missing_and_empty_classes_are_named(copied: Path, classes: Classes) -> None:
    for number in range(6):
        (copied / "val" / "images" / f"val_{number}.JPEG").unlink()
    with pytest.raises(InputError, match="expected test images of each class, found none of n01443537"):
        list_images(copied, classes, "test")
    folder = copied / "train" / "n02165456" / "images"
    shutil.rmtree(folder)
    with pytest.raises(InputError, match=r"n02165456.images: expected a folder of images, it is missing"):
        list_images(copied, classes, "train")
    folder.mkdir()
    (folder / ".hidden.JPEG").touch()
    (folder / "notes.txt").touch()
    with pytest.raises(InputError, match=r"n02165456.images: expected images, found none"):
        list_images(copied, classes, "train")


def test_a_fingerprint_is_of_the_content_and_not_of_the_place(
    small_data_set: SmallDataSet, copied: Path, classes: Classes
) -> None:
    before = fingerprint(list_images(small_data_set.root, classes, "test"))
    assert fingerprint(list_images(copied, classes, "test")) == before
    assert fingerprint(list_images(copied, classes, "test"), "more") != before
    with (copied / "val" / "images" / "val_0.JPEG").open("ab") as file:
        file.write(b"x")
    assert fingerprint(list_images(copied, classes, "test")) != before
