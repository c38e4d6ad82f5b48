from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from generator.base.errors import InputError
from generator.data.classes import Classes, resolve_classes
from generator.data.dataset import SPLITS, fingerprint
from generator.data.folder import list_folder, split_names
from generator.data.tiny_imagenet import find, image_path, list_images
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
    listed = {split: list_images(small_data_set.root, classes, split) for split in SPLITS}
    assert [len(listed[split]) for split in SPLITS] == [3 * 18, 3 * 2, 3 * 6]
    every = [image for split in SPLITS for image in listed[split]]
    assert {image.name: image.box for image in every} == small_data_set.boxes
    assert len(every) == len(small_data_set.boxes)
    for image in listed["train"]:
        assert image.name.startswith(classes.wnids[image.target])
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
    train, validation, test = (list_images(tiny_imagenet, classes, split) for split in SPLITS)
    assert (len(train), len(validation)) == (13500, 1500)
    assert [sum(image.target == k for image in validation) for k in range(30)] == [50] * 30
    assert not {image.name for image in train} & {image.name for image in validation}
    assert len({image.target for image in test}) == 30
    assert all(0 <= x0 <= x1 < 64 and 0 <= y0 <= y1 < 64 for x0, y0, x1, y1 in (image.box for image in train + test))


def test_find_prefers_the_argument_then_the_variable_then_the_file(
    small_data_set: SmallDataSet, tmp_path: Path
) -> None:
    one = small_data_set.root
    other = Path(shutil.copytree(one, tmp_path / "other"))
    assert find(one, other, {"TINY_IMAGENET": str(other)}) == one
    assert find(None, other, {"TINY_IMAGENET": str(one)}) == one
    assert find(None, one, {"TINY_IMAGENET": ""}) == one
    assert find(None, None, {}) is None


def test_find_says_where_a_wrong_folder_was_named_and_what_is_missing(copied: Path) -> None:
    with pytest.raises(InputError, match=r"^--data: .* nowhere is not a folder"):
        find(Path("nowhere"), None, {})
    shutil.rmtree(copied / "val")
    with pytest.raises(
        InputError, match=r"^the variable TINY_IMAGENET: .* lacks val/images, val/val_annotations\.txt; give"
    ):
        find(None, None, {"TINY_IMAGENET": str(copied)})
    (copied.parent / "tiny-imagenet-200").mkdir()
    with pytest.raises(InputError, match=r"^\[data\] root: .*did you mean .*tiny-imagenet-200\?"):
        find(None, copied.parent, {})


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


def test_image_path_finds_what_was_listed_and_nothing_else(small_data_set: SmallDataSet, classes: Classes) -> None:
    root = small_data_set.root
    for split in SPLITS:
        for image in list_images(root, classes, split):
            assert image_path(root, classes, image.name) == image.path
    for name in ("val_99.JPEG", "n01443537_99.JPEG", "../data/words.txt", "n01443537_../../../words.txt"):
        with pytest.raises(InputError, match="it is not in this data set"):
            image_path(root, classes, name)


def test_a_fingerprint_is_of_the_content_and_not_of_the_place(
    small_data_set: SmallDataSet, copied: Path, classes: Classes
) -> None:
    before = fingerprint(list_images(small_data_set.root, classes, "test"))
    assert fingerprint(list_images(copied, classes, "test")) == before
    assert fingerprint(list_images(copied, classes, "test"), "more") != before
    with (copied / "val" / "images" / "val_0.JPEG").open("ab") as file:
        file.write(b"x")
    assert fingerprint(list_images(copied, classes, "test")) != before


def test_a_folder_of_class_folders_is_split_in_three(tmp_path: Path) -> None:
    for name in ("cups", "<b>spoons</b>".replace("/", "")):
        (tmp_path / name).mkdir()
        for letter in LETTERS:
            (tmp_path / name / f"{letter}.JPEG").touch()
    classes, validation = list_folder(tmp_path, "validation", 32)
    assert classes.names == ("<b>spoons<b>", "cups")
    assert [image.name for image in validation if image.target == 1] == [f"cups/{name}" for name in VALIDATION_NAMES]
    every = [image.name for split in SPLITS for image in list_folder(tmp_path, split, 32)[1]]
    assert len(every) == len(set(every)) == 40
    assert validation[0].box == (0, 0, 31, 31)
    assert image_path(tmp_path, classes, "cups/a.JPEG") == tmp_path / "cups" / "a.JPEG"


def test_too_few_class_folders_or_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cups").mkdir()
    with pytest.raises(InputError, match="for each of at least 2 classes, found 1"):
        list_folder(tmp_path, "train", 32)
    (tmp_path / "spoons").mkdir()
    for name in ("cups/a.png", "cups/b.png", "spoons/a.png"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"cups: expected at least 3 images, one for each split, found 2"):
        list_folder(tmp_path, "train", 32)
