from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from generator.base.errors import InputError
from generator.config.schema import DataConfig
from generator.data import decoded, layouts
from generator.data.dataset import DataSet, Item, Part, fingerprint, joint_digest
from tests.conftest import SHAPES, SmallDataSet
from tests.data_sets import kitchen


@pytest.fixture
def copied(small_data_set: SmallDataSet, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_data_set.root, tmp_path / "data"))


def opened(root: Path) -> DataSet:
    return layouts.opened(root, DataConfig(classes=tuple(SHAPES)))


def loaded(root: Path, name: str, cache: Path) -> tuple[DataSet, Part, NDArray[np.uint8]]:
    """The data set looked through, one of its parts, and that part's squares."""
    data = decoded.whole(opened(root), cache)
    part = data.part(name)
    assert part is not None
    return data, part, decoded.squares(data, part, 0, cache)


def red(folder: Path, *sizes: tuple[int, int]) -> None:
    folder.mkdir(parents=True)
    for number, size in enumerate(sizes):
        Image.new("RGB", size, "red").save(folder / f"{number}.png")


def test_squares_are_uint8_rgb_in_the_order_of_the_items(small_data_set: SmallDataSet, tmp_path: Path) -> None:
    data, test, squares = loaded(small_data_set.root, "test", tmp_path)
    assert (squares.dtype, squares.shape) == (np.dtype(np.uint8), (18, 3, 64, 64))
    assert [item.target for item in test.items] == [0] * 6 + [1] * 6 + [2] * 6
    for image, item in zip(squares, test.items, strict=True):
        assert small_data_set.boxes[item.name] == item.box
        x0, y0, x1, y1 = small_data_set.boxes[item.name]
        wnid = data.classes.keys[item.target]
        # Where each drawn shape is sure to be, some pixels away from its edge.
        y = y0 + 1 if SHAPES[wnid][2] == "stripes" else (y0 + y1) // 2 + 4
        colour = image[:, y, (x0 + x1) // 2].astype(int)
        assert np.abs(colour - SHAPES[wnid][1]).max() < 40, (item.name, colour)


def test_grey_files_have_three_equal_channels(small_data_set: SmallDataSet, tmp_path: Path) -> None:
    """The data set draws the images 9 and 19 of each class in grey."""
    grey = set()
    for name in ("train", "validation"):
        _, part, squares = loaded(small_data_set.root, name, tmp_path)
        same = (squares == squares[:, :1]).all((1, 2, 3))
        grey |= {item.name for item, alike in zip(part.items, same, strict=True) if alike}
    assert grey == {f"{wnid}_{number}.JPEG" for wnid in small_data_set.wnids for number in (9, 19)}


def test_the_digest_is_of_names_and_pixels(small_data_set: SmallDataSet, tmp_path: Path) -> None:
    data, test, squares = loaded(small_data_set.root, "test", tmp_path)
    told = "\n".join(item.name for item in test.items).encode() + squares.tobytes()
    assert test.digest == hashlib.sha256(told).hexdigest()
    assert data.digest == hashlib.sha256(" ".join(part.digest for part in data.parts).encode()).hexdigest()
    assert joint_digest([test]) == hashlib.sha256(test.digest.encode()).hexdigest()


def test_the_squares_lie_in_a_file_and_what_is_written_into_them_does_not(
    small_data_set: SmallDataSet, tmp_path: Path
) -> None:
    _, _, squares = loaded(small_data_set.root, "test", tmp_path)
    assert isinstance(squares, np.memmap)
    before = squares.copy()
    squares[:] = 0
    np.testing.assert_array_equal(loaded(small_data_set.root, "test", tmp_path)[2], before)


def test_one_image_is_the_square_that_is_kept(small_data_set: SmallDataSet, tmp_path: Path) -> None:
    data, test, squares = loaded(small_data_set.root, "test", tmp_path)
    pictures = decoded.Pictures(data, test.items)
    assert len(pictures) == 18
    np.testing.assert_array_equal(pictures[7], squares[7].transpose(1, 2, 0))
    np.testing.assert_array_equal(pictures[3:5][1], squares[4].transpose(1, 2, 0))


def test_a_second_look_reads_the_cache_and_finds_the_same(copied: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = decoded.whole(opened(copied), cache)
    # The same number of bytes, other content: only the cache can still know the image.
    image = copied / "val" / "images" / "val_0.JPEG"
    image.write_bytes(bytes(image.stat().st_size))
    assert decoded.whole(opened(copied), cache) == first
    assert decoded.whole(opened(copied), tmp_path / "other").skipped == ("val_0.JPEG",)


def test_a_changed_data_set_misses_the_cache(copied: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    _, first, _ = loaded(copied, "test", cache)
    Image.new("RGB", (64, 64), "white").save(first.items[0].path)
    _, second, squares = loaded(copied, "test", cache)
    assert squares[0].min() == 255
    assert second.digest != first.digest


@pytest.mark.parametrize("damage", ["truncated", "scrambled", "emptied", "headless"])
@pytest.mark.parametrize("suffix", [".npy", ".json", ".contents"])
def test_a_damaged_cache_is_made_again(small_data_set: SmallDataSet, tmp_path: Path, damage: str, suffix: str) -> None:
    data, part, squares = loaded(small_data_set.root, "validation", tmp_path)
    before = squares.copy()
    del squares
    (file,) = tmp_path.glob(f"validation-*{suffix}")
    whole = file.read_bytes()
    file.unlink()
    file.write_bytes(
        {
            "truncated": whole[: len(whole) // 2],
            "scrambled": whole[:-100] + bytes(b ^ 1 for b in whole[-100:]),
            "emptied": b"",
            "headless": b"\xff" * 8 + whole[8:],
        }[damage]
    )
    again, same, found = loaded(small_data_set.root, "validation", tmp_path)
    assert (again, same) == (data, part)
    np.testing.assert_array_equal(found, before)
    assert file.read_bytes() == whole


def test_broken_files_are_left_out_and_named_and_move_no_other(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, before, squares = loaded(copied, "train", tmp_path / "before")
    broken = before.items[5]
    broken.path.write_bytes(broken.path.read_bytes()[:200])
    data, after, kept = loaded(copied, "train", tmp_path / "after")
    assert data.skipped == (broken.name,)
    assert f"train: 1 broken image is left out: {broken.name}" in capsys.readouterr().err
    assert after.items == (*before.items[:5], *before.items[6:])
    np.testing.assert_array_equal(kept, np.delete(squares, 5, axis=0))
    assert loaded(copied, "train", tmp_path / "after")[0] == data
    told = "\n".join(item.name for item in after.items).encode() + kept.tobytes()
    assert after.digest == hashlib.sha256(told).hexdigest()


def test_a_class_of_broken_files_is_refused(copied: Path, tmp_path: Path) -> None:
    for number in range(6):
        (copied / "val" / "images" / f"val_{number}.JPEG").write_text("broken")
    with pytest.raises(InputError, match=r"expected whole images of n01443537, every one in the test part is broken"):
        decoded.whole(opened(copied), tmp_path / "cache")


def test_a_cache_that_cannot_be_written_is_refused_in_one_line(small_data_set: SmallDataSet, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="expected room for the decoded images, cannot write there") as caught:
        decoded.whole(opened(small_data_set.root), tmp_path / "file" / "cache")
    assert "\n" not in str(caught.value)


def test_nothing_is_left_of_a_cache_that_could_not_be_written(
    small_data_set: SmallDataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: str, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(InputError, match="No space left on device"):
        decoded.whole(opened(small_data_set.root), tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_nothing_is_written_into_the_data_set(copied: Path, tmp_path: Path) -> None:
    def state() -> dict[str, tuple[int, int]]:
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in [copied, *copied.rglob("*")]}

    before = state()
    loaded(copied, "train", tmp_path / "cache")
    assert state() == before


def test_images_of_any_size_keep_it_until_squares_are_asked_for(tmp_path: Path) -> None:
    red(tmp_path / "photos" / "cups", *[(40 + number, 30) for number in range(10)])
    red(tmp_path / "photos" / "spoons", *[(30, 50)] * 10)
    data = decoded.whole(layouts.opened(tmp_path / "photos", DataConfig()), tmp_path / "cache")
    assert (data.side, data.words.sizes) == (0, ((30, 40), (50, 30)))
    assert data.words.size == "from 40 × 30 to 30 × 50"
    (test,) = (part for part in data.parts if part.name == "test")
    assert decoded.pixels(data, test.items[1]).shape == (50, 30, 3)
    squares = decoded.squares(data, test, 16, tmp_path / "cache")
    assert squares.shape == (2, 3, 16, 16)
    assert squares[:, 0].min() == 255
    assert squares[:, 1:].max() == 0


def test_the_digest_of_images_of_any_size_is_of_their_files(tmp_path: Path) -> None:
    red(tmp_path / "photos" / "cups", *[(8, 8)] * 3)
    red(tmp_path / "photos" / "spoons", *[(8, 8)] * 3)

    def digest(cache: str) -> str:
        return decoded.whole(layouts.opened(tmp_path / "photos", DataConfig()), tmp_path / cache).digest

    before = digest("one")
    assert digest("two") == before
    file = tmp_path / "photos" / "cups" / "0.png"
    content = file.read_bytes()
    Image.new("RGB", (8, 8), "blue").save(file)
    assert digest("three") != before
    file.write_bytes(content)
    assert digest("four") == before


@pytest.mark.parametrize("alike", [False, True], ids=["of any size", "squares"])
def test_images_that_judge_and_were_fitted_on_too_are_told(tmp_path: Path, alike: bool) -> None:
    root = kitchen(tmp_path / "kitchen", {"train": 4, "test": 3})
    data = replace(layouts.opened(root, DataConfig()), side=16 if alike else 0)
    assert decoded.whole(data, tmp_path / "cache").words.notes == ()
    train, test = (sorted((root / part).rglob("*.png")) for part in ("train", "test"))
    shutil.copy(train[0], test[0])
    data = replace(layouts.opened(root, DataConfig()), side=16 if alike else 0)
    said = (
        "1 of the 6 test images is also among the training images: how a network answers what it was fitted on is no t"
    )
    for _ in range(2):  # looked at, and known from before
        (note,) = decoded.whole(data, tmp_path / "cache").words.notes
        assert note.startswith(said)
    for one, other in zip(train, test, strict=False):
        shutil.copy(one, other)
    data = replace(layouts.opened(root, DataConfig()), side=16 if alike else 0)
    (note,) = decoded.whole(data, tmp_path / "cache").words.notes
    assert note.startswith("All test images are also among the training images")


def test_an_image_that_breaks_after_it_was_looked_at_is_refused(tmp_path: Path) -> None:
    red(tmp_path / "photos" / "cups", *[(8, 8)] * 3)
    red(tmp_path / "photos" / "spoons", *[(8, 8)] * 3)
    data = decoded.whole(layouts.opened(tmp_path / "photos", DataConfig()), tmp_path / "cache")
    assert data.fitted is not None
    data.fitted.items[0].path.write_bytes(b"no image")
    with pytest.raises(InputError, match="expected the image that was read before, it is broken"):
        decoded.squares(replace(data), data.fitted, 8, tmp_path / "cache")


def test_the_real_data_set_decodes_without_a_broken_file(tiny_imagenet: Path, tmp_path: Path) -> None:
    data = decoded.whole(layouts.opened(tiny_imagenet, DataConfig()), tmp_path)
    # As the models' evaluations have it on record.
    assert data.digest == "bdae589872e39d930bd7b67f9f350ef84c9e61817998d6af04c56ba10286569d"
    assert (data.name, data.skipped) == ("TinyImageNet30", ())
    assert data.chosen is not None
    squares = decoded.squares(data, data.chosen, 0, tmp_path)
    assert squares.shape == (1500, 3, 64, 64)
    with Image.open(data.chosen.items[77].path) as image:
        np.testing.assert_array_equal(squares[77].transpose(1, 2, 0), np.asarray(image.convert("RGB")))


def test_who_was_killed_while_looking_goes_on_and_finds_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = kitchen(tmp_path / "kitchen", {"train": 4, "test": 3})
    (root / "test" / "cups" / "broken.png").write_bytes(b"no image")
    expected = decoded.whole(layouts.opened(root, DataConfig()), tmp_path / "at once")
    monkeypatch.setattr(decoded, "PIECE", 2)
    read: list[str] = []
    usual = decoded._found

    def tired(item: Item) -> tuple[bool, tuple[int, ...], NDArray[np.uint8]]:
        if len(read) == 5:
            raise KeyboardInterrupt
        read.append(item.name)
        return usual(item)

    cache = tmp_path / "cache"
    with monkeypatch.context() as patched:
        patched.setattr(decoded, "_found", tired)
        with pytest.raises(KeyboardInterrupt):
            decoded.whole(layouts.opened(root, DataConfig()), cache)
    kept = sorted(cache.rglob("*.pieces/*"))
    assert len(kept) == 2  # the third was not whole
    kept[0].write_bytes(b"cut short")
    read.clear()
    monkeypatch.setattr(decoded, "_found", lambda item: (read.append(item.name), usual(item))[1])  # type: ignore[func-returns-value]
    assert decoded.whole(layouts.opened(root, DataConfig()), cache) == expected
    assert len(read) == 8 + 7 - 2
    assert list(cache.rglob("*.pieces")) == []


def test_several_processes_look_through_shares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = kitchen(tmp_path / "kitchen", {"train": 5, "test": 4})
    data = layouts.opened(root, DataConfig())
    expected = decoded.whole(data, tmp_path / "alone")
    monkeypatch.setattr(decoded, "PIECE", 3)
    read: dict[int, list[str]] = {}
    usual = decoded._found
    for number in range(3):
        names = read.setdefault(number, [])
        monkeypatch.setattr(decoded, "_found", lambda item, names=names: (names.append(item.name), usual(item))[1])
        decoded.look(data, tmp_path / "cache", number, 3)
    assert [len(names) for names in read.values()] == [3 + 1 + 3, 3 + 3, 3 + 2]  # pieces 0 and 3, 1, 2 of each part
    assert len({name for names in read.values() for name in names}) == 18
    monkeypatch.setattr(decoded, "_found", None)  # nothing is left to look at
    assert decoded.whole(data, tmp_path / "cache") == expected
    decoded.look(data, tmp_path / "cache", 0, 3)  # known as a whole


def test_sizes_of_as_many_pixels_are_not_one_size(tmp_path: Path) -> None:
    red(tmp_path / "photos" / "cups", *[(16, 8)] * 3)
    red(tmp_path / "photos" / "spoons", *[(8, 16)] * 3)
    words = decoded.whole(layouts.opened(tmp_path / "photos", DataConfig()), tmp_path / "cache").words
    assert words.sizes == ((8, 16), (16, 8))
    assert words.alike is None


def test_a_fingerprint_is_of_json_that_is_never_held_as_a_whole(tmp_path: Path) -> None:
    """The same as of all at once: what was decoded under it before is found again."""
    red(tmp_path / "cups", (8, 8), (9, 9))
    files = sorted((tmp_path / "cups").iterdir())
    items = [Item(f"caf\u00e9/{file.name}", file, at, (0, 0, 7, at)) for at, file in enumerate(files)]
    listed = [(item.name, item.path.stat().st_size, item.target, item.box) for item in items]
    others = ("one", 2, [("three", None)])
    for count in range(3):
        told = json.dumps([listed[:count], others]).encode()
        assert fingerprint(items[:count], *others) == hashlib.sha256(told).hexdigest()
