from __future__ import annotations

import errno
import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from generator.base.errors import InputError
from generator.data import decoded
from generator.data.classes import Classes, resolve_classes
from generator.data.dataset import SPLITS
from generator.data.tiny_imagenet import image_path
from tests.conftest import SHAPES, SmallDataSet


@pytest.fixture
def copied(small_data_set: SmallDataSet, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_data_set.root, tmp_path / "data"))


@pytest.fixture
def classes(small_data_set: SmallDataSet) -> Classes:
    return Classes(small_data_set.names, small_data_set.wnids)


def same(one: decoded.ImageSet, other: decoded.ImageSet) -> bool:
    return (
        torch.equal(one.images, other.images)
        and torch.equal(one.targets, other.targets)
        and torch.equal(one.boxes, other.boxes)
        and (one.files, one.skipped, one.digest) == (other.files, other.skipped, other.digest)
    )


def test_images_are_uint8_rgb_with_their_class_and_box(
    small_data_set: SmallDataSet, classes: Classes, tmp_path: Path
) -> None:
    test = decoded.load(small_data_set.root, classes, "test", tmp_path)
    assert test.images.dtype == torch.uint8
    assert test.images.shape == (18, 3, 64, 64)
    assert test.targets.tolist() == [0] * 6 + [1] * 6 + [2] * 6
    for image, target, (x0, y0, x1, y1), file in zip(
        test.images, test.targets.tolist(), test.boxes.tolist(), test.files, strict=True
    ):
        assert small_data_set.boxes[file] == (x0, y0, x1, y1)
        # Where each drawn shape is sure to be, some pixels away from its edge.
        y = y0 + 1 if SHAPES[classes.wnids[target]][2] == "stripes" else (y0 + y1) // 2 + 4
        colour = image[:, y, (x0 + x1) // 2].to(torch.int64)
        wanted = torch.tensor(SHAPES[classes.wnids[target]][1])
        assert (colour - wanted).abs().max() < 40, (file, colour, wanted)


def test_grey_files_have_three_equal_channels(small_data_set: SmallDataSet, classes: Classes, tmp_path: Path) -> None:
    """The data set draws the images 9 and 19 of each class in grey."""
    sets = [decoded.load(small_data_set.root, classes, split, tmp_path) for split in ("train", "validation")]
    grey = {
        file
        for images in sets
        for file, image in zip(images.files, images.images, strict=True)
        if torch.equal(image[0], image[1]) and torch.equal(image[1], image[2])
    }
    assert grey == {f"{wnid}_{number}.JPEG" for wnid in classes.wnids for number in (9, 19)}


def test_the_digest_is_of_names_and_pixels(small_data_set: SmallDataSet, classes: Classes, tmp_path: Path) -> None:
    test = decoded.load(small_data_set.root, classes, "test", tmp_path)
    told = "\n".join(test.files).encode() + test.images.numpy().tobytes()
    assert test.digest == hashlib.sha256(told).hexdigest()


def test_a_second_load_reads_the_cache_and_gives_the_same(copied: Path, classes: Classes, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = decoded.load(copied, classes, "test", cache)
    # The same number of bytes, other content: only the cache can still know the image.
    image = copied / "val" / "images" / "val_0.JPEG"
    image.write_bytes(bytes(image.stat().st_size))
    assert same(decoded.load(copied, classes, "test", cache), first)
    assert decoded.load(copied, classes, "test", tmp_path / "other").skipped == ("val_0.JPEG",)


def test_a_changed_data_set_misses_the_cache(copied: Path, classes: Classes, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = decoded.load(copied, classes, "test", cache)
    Image.new("RGB", (64, 64), "white").save(copied / "val" / "images" / first.files[0])
    second = decoded.load(copied, classes, "test", cache)
    assert second.images[0].min() == 255
    assert second.digest != first.digest


def test_classes_in_another_order_miss_the_cache(
    small_data_set: SmallDataSet, classes: Classes, tmp_path: Path
) -> None:
    first = decoded.load(small_data_set.root, classes, "test", tmp_path)
    turned = Classes(classes.names[::-1], classes.wnids[::-1])
    second = decoded.load(small_data_set.root, turned, "test", tmp_path)
    assert second.files[-6:] == first.files[:6]
    assert torch.equal(second.images[-6:], first.images[:6])


@pytest.mark.parametrize("damage", ["truncated", "scrambled", "emptied", "headless"])
def test_a_damaged_cache_is_made_again(
    small_data_set: SmallDataSet, classes: Classes, tmp_path: Path, damage: str
) -> None:
    first = decoded.load(small_data_set.root, classes, "validation", tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    first = decoded.ImageSet(**{**vars(first), "images": first.images.clone()})
    file.unlink()
    file.write_bytes(
        {
            "truncated": whole[: len(whole) // 2],
            "scrambled": whole[:-100] + bytes(b ^ 1 for b in whole[-100:]),
            "emptied": b"",
            "headless": b"\xff" * 8 + whole[8:],
        }[damage]
    )
    assert same(decoded.load(small_data_set.root, classes, "validation", tmp_path), first)
    assert file.read_bytes() == whole


def test_broken_files_are_skipped_and_named_and_move_no_other(copied: Path, classes: Classes, tmp_path: Path) -> None:
    before = {split: decoded.load(copied, classes, split, tmp_path / "before") for split in SPLITS}
    name = before["train"].files[5]
    file = image_path(copied, classes, name)
    file.write_bytes(file.read_bytes()[:200])
    after = {split: decoded.load(copied, classes, split, tmp_path / "after") for split in SPLITS}
    assert after["train"].skipped == (name,)
    assert len(after["train"]) == len(before["train"]) - 1
    kept = [index for index in range(len(before["train"])) if index != 5]
    assert torch.equal(after["train"].images, before["train"].images[kept])
    assert torch.equal(after["train"].targets, before["train"].targets[kept])
    assert torch.equal(after["train"].boxes, before["train"].boxes[kept])
    assert same(decoded.load(copied, classes, "train", tmp_path / "after"), after["train"])
    for split in ("validation", "test"):
        assert same(after[split], before[split])


def test_a_class_of_broken_files_is_refused(copied: Path, classes: Classes, tmp_path: Path) -> None:
    for number in range(6):
        (copied / "val" / "images" / f"val_{number}.JPEG").write_text("broken")
    with pytest.raises(InputError, match=r"expected whole images of n01443537, every one in the test split is broken"):
        decoded.load(copied, classes, "test", tmp_path / "cache")


def test_a_cache_that_cannot_be_written_is_refused_in_one_line(
    small_data_set: SmallDataSet, classes: Classes, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="expected room for the decoded images, cannot write there") as caught:
        decoded.load(small_data_set.root, classes, "test", tmp_path / "file" / "cache")
    assert "\n" not in str(caught.value)


def test_nothing_is_left_of_a_cache_that_could_not_be_written(
    small_data_set: SmallDataSet, classes: Classes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: str, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(InputError, match="No space left on device"):
        decoded.load(small_data_set.root, classes, "test", tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_nothing_is_written_into_the_data_set(copied: Path, classes: Classes, tmp_path: Path) -> None:
    def state() -> dict[str, tuple[int, int]]:
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in [copied, *copied.rglob("*")]}

    before = state()
    for split in SPLITS:
        decoded.load(copied, classes, split, tmp_path / "cache")
    assert state() == before


def test_any_folder_of_class_folders_is_cut_square(tmp_path: Path) -> None:
    for name, colour in (("cups", (255, 0, 0)), ("spoons", (0, 0, 255))):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(10):
            Image.new("RGB", (40 + number, 30), colour).save(tmp_path / "photos" / name / f"{number}.png")
    sets = {split: decoded.image_folder(tmp_path / "photos", split, tmp_path / "cache", 16) for split in SPLITS}
    assert [len(sets[split]) for split in SPLITS] == [16, 2, 2]
    assert sets["test"].classes == Classes(("cups", "spoons"), ("cups", "spoons"))
    assert sets["test"].targets.tolist() == [0, 1]
    wanted = np.zeros((2, 3, 16, 16), dtype=np.uint8)
    wanted[0, 0] = wanted[1, 2] = 255
    np.testing.assert_array_equal(sets["test"].images.numpy(), wanted)
    assert sets["test"].boxes.tolist() == [[0, 0, 15, 15]] * 2


def test_the_real_data_set_decodes_without_a_broken_file(tiny_imagenet: Path, tmp_path: Path) -> None:
    classes = resolve_classes("TinyImageNet30", tiny_imagenet)
    validation = decoded.load(tiny_imagenet, classes, "validation", tmp_path)
    assert validation.images.shape == (1500, 3, 64, 64)
    assert validation.skipped == ()
    assert validation.targets.bincount().tolist() == [50] * 30
    with Image.open(image_path(tiny_imagenet, classes, validation.files[77])) as image:
        np.testing.assert_array_equal(
            validation.images[77].numpy().transpose(1, 2, 0), np.asarray(image.convert("RGB"))
        )
