from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generator.base.errors import InputError
from generator.config.schema import DataConfig, SamplePhoto
from generator.data.classes import TINY_IMAGENET_30
from generator.data.image_files import digest
from generator.data.layouts import opened
from generator.data.samples import box_of, bundled, from_data, licence_texts, own
from generator.records.images import Credit, Photo
from tests.conftest import SmallDataSet
from tests.data_sets import kitchen

FOLDER = Path(__file__).parents[2] / "content" / "samples"
NAMES = tuple(TINY_IMAGENET_30)


@pytest.fixture(scope="module")
def photos() -> tuple[Photo, ...]:
    return bundled(FOLDER, NAMES)


def test_the_bundled_photos_show_what_the_credits_say(photos: tuple[Photo, ...]) -> None:
    found = {photo.id: None if photo.label is None else NAMES[photo.label] for photo in photos}
    assert found == {
        "koala": "koala",
        "elephant": "elephant",
        "lion-standing": "lion",
        "lion-lying": "lion",
        "bison": "bison",
        "pig": "pig",
        "king-penguin": "penguin",
        "little-penguin": "penguin",
        "magellanic-penguin": "penguin",
        "grasshopper": "grasshopper",
        "fly": "fly",
        "banana": "banana",
        "mushroom": "mushroom",
        "cep": "mushroom",
        "espresso": "espresso",
        "candle": "candle",
        "husky": None,
        "cat": None,
    }
    assert {photo.id: photo.shows for photo in photos if photo.label is None} == {"husky": "husky", "cat": "cat"}


def test_masks_lie_on_the_objects(photos: tuple[Photo, ...]) -> None:
    """On a cut-out, what the mask leaves out is the plain ground, but for WebP's ringing and the soft edge."""
    for photo in photos:
        if photo.credit is None or photo.credit.origin.startswith("scikit-image"):
            continue
        assert photo.mask is not None
        assert photo.mask.shape == photo.pixels.shape[:2]
        ground = np.median(photo.pixels[~photo.mask], axis=0)
        plain = (np.abs(photo.pixels.astype(int) - ground) <= 8).all(axis=2)
        assert plain[~photo.mask].mean() > 0.9, photo.id
        assert plain[photo.mask].mean() < 0.2, photo.id
        assert 0.05 < photo.mask.mean() < 0.5, photo.id


def test_boxes_are_those_of_the_masks(photos: tuple[Photo, ...]) -> None:
    for photo in photos:
        if photo.mask is None:
            assert photo.box is None
            continue
        assert photo.box is not None
        x0, y0, x1, y1 = photo.box
        assert photo.mask[y0 : y1 + 1, x0 : x1 + 1].sum() == photo.mask.sum()
        assert photo.mask[y0].any()
        assert photo.mask[y1].any()
        assert photo.mask[:, x0].any()
        assert photo.mask[:, x1].any()


def test_box_of_a_mask_is_inclusive() -> None:
    mask = np.zeros((5, 7), dtype=bool)
    mask[1, 2] = mask[3, 4] = True
    assert box_of(mask) == (2, 1, 4, 3)


def test_every_photo_is_credited_and_digested(photos: tuple[Photo, ...]) -> None:
    for photo in photos:
        assert photo.origin == "bundled"
        assert re.fullmatch(r"[a-z0-9-]+", photo.id)
        assert photo.digest == digest(photo.pixels)
        assert photo.credit is not None
        assert photo.credit.author
        assert photo.credit.origin
        assert photo.credit.licence in ("GPL-2.0-or-later", "CC0-1.0")
        assert photo.credit.url.startswith("https://")
    assert len({photo.id for photo in photos}) == len({photo.digest for photo in photos}) == len(photos) == 18
    by_id = {photo.id: photo.credit for photo in photos}
    assert by_id["cat"] == Credit(
        "Stefan van der Walt",
        "scikit-image, skimage/data/chelsea.png",
        "CC0-1.0",
        "https://scikit-image.org/docs/stable/api/skimage.data.html#skimage.data.chelsea",
    )


def test_the_gpl_travels_with_the_photos_under_it() -> None:
    texts = licence_texts(FOLDER)
    assert list(texts) == ["GPL-2.0-or-later"]
    assert "GNU GENERAL PUBLIC LICENSE" in texts["GPL-2.0-or-later"]
    assert "END OF TERMS AND CONDITIONS" in texts["GPL-2.0-or-later"]


def test_the_folder_holds_what_is_credited_and_is_small(photos: tuple[Photo, ...]) -> None:
    wanted = {"CREDITS.toml", "LICENSE-GPL-2.txt"}
    wanted |= {f"{photo.id}.webp" for photo in photos}
    wanted |= {f"{photo.id}.mask.png" for photo in photos if photo.mask is not None}
    assert {file.name for file in FOLDER.iterdir()} == wanted
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 1_000_000


def test_labels_follow_the_report_s_classes() -> None:
    labels = {photo.id: photo.label for photo in bundled(FOLDER, ["banana", "koala"])}
    assert labels["koala"] == 1
    assert labels["banana"] == 0
    assert labels["pig"] is None


def test_a_damaged_folder_of_samples_is_named(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(FOLDER, tmp_path / "samples"))
    Image.new("1", (10, 10), 1).save(folder / "koala.mask.png")
    with pytest.raises(InputError, match=r"koala\.mask\.png: expected a mask as large as its photo"):
        bundled(folder, NAMES)
    (folder / "koala.webp").write_bytes((folder / "koala.webp").read_bytes()[:1000])
    with pytest.raises(InputError, match=r"koala\.webp: expected a whole image"):
        bundled(folder, NAMES)
    (folder / "koala.webp").unlink()
    with pytest.raises(InputError, match=r"koala\.webp: expected an image file, found nothing"):
        bundled(folder, NAMES)
    folder = Path(shutil.copytree(FOLDER, tmp_path / "again"))
    credits_file = folder / "CREDITS.toml"
    credits_file.write_text(credits_file.read_text().replace('title = "Koala"\n', ""))
    with pytest.raises(InputError, match=r"CREDITS\.toml: expected 'title' with each photo"):
        bundled(folder, NAMES)
    credits_file.write_text("[[")
    with pytest.raises(InputError, match=r"CREDITS\.toml: expected the list of bundled photos as TOML"):
        bundled(folder, NAMES)
    credits_file.unlink()
    with pytest.raises(InputError, match=r"CREDITS\.toml: expected a text file"):
        bundled(folder, NAMES)


def test_own_photos_carry_what_their_entries_say(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20), (1, 2, 3)).save(tmp_path / "My_Cat-1.png")
    Image.new("L", (20, 30), 9).save(tmp_path / "two.png")
    entries = (
        SamplePhoto(tmp_path / "My_Cat-1.png"),
        SamplePhoto(tmp_path / "two.png", title="<b>Löwe</b>", label="lion", author="me", licence="CC0-1.0"),
    )
    first, second = own(entries, NAMES)
    assert (first.id, first.title, first.label, first.shows, first.credit) == (
        "own-my-cat-1",
        "My Cat 1",
        None,
        "",
        None,
    )
    assert (second.id, second.title, second.shows) == ("own-b-lowe-b", "<b>Löwe</b>", "lion")
    assert second.label == NAMES.index("lion")
    assert second.credit == Credit("me", "", "CC0-1.0", "")
    np.testing.assert_array_equal(first.pixels, np.full((20, 30, 3), (1, 2, 3)))
    assert {first.origin, second.origin} == {"own"}
    assert second.digest == digest(second.pixels)


def test_own_photos_of_one_name_get_addresses_of_their_own(tmp_path: Path) -> None:
    for folder in ("a", "b", "c"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (9, 9)).save(tmp_path / folder / "cat.png")
    (tmp_path / "c" / "cat.png").rename(tmp_path / "cat-2.png")
    entries = [SamplePhoto(tmp_path / name) for name in ("a/cat.png", "cat-2.png", "b/cat.png")]
    assert [photo.id for photo in own(entries, NAMES)] == ["own-cat", "own-cat-2", "own-cat-3"]


def test_large_own_photos_are_made_smaller(tmp_path: Path) -> None:
    Image.new("RGB", (3000, 1536), "red").save(tmp_path / "large.jpg")
    (photo,) = own([SamplePhoto(tmp_path / "large.jpg")], NAMES)
    assert photo.pixels.shape == (768, 1500, 3)


def test_a_bad_own_photo_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.jpg: expected an image file, found nothing"):
        own([SamplePhoto(tmp_path / "none.jpg")], NAMES)
    whole = tmp_path / "whole.jpg"
    Image.effect_noise((64, 64), 50).save(whole)
    (tmp_path / "half.jpg").write_bytes(whole.read_bytes()[:900])
    with pytest.raises(InputError, match=r"half\.jpg: expected a whole image"):
        own([SamplePhoto(whole), SamplePhoto(tmp_path / "half.jpg")], NAMES)
    with pytest.raises(InputError, match=r'got "loin"; did you mean "lion"\?'):
        own([SamplePhoto(whole, label="loin")], NAMES)
    with pytest.raises(InputError, match='got "zeppelin"; leave the label out'):
        own([SamplePhoto(whole, label="zeppelin")], NAMES)


def test_photos_that_are_called_alike_have_ids_of_their_own(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    titles = ("a b", "A-B", "日本", "///", "x" * 300, "x" * 300, "x" * 301)
    ids = [photo.id for photo in own([SamplePhoto(tmp_path / "a.png", title) for title in titles], NAMES)]
    assert ids[:4] == ["own-a-b", "own-a-b-2", "own-photo", "own-photo-2"]
    assert len(set(ids)) == 7
    assert max(map(len, ids)) <= 70


def test_test_images_carry_class_and_box(small_data_set: SmallDataSet) -> None:
    data = opened(small_data_set.root, DataConfig(classes=small_data_set.wnids))
    assert data.judged is not None
    second, first = from_data(data, data.judged, ["val_13.JPEG", "val_0.JPEG"])
    assert (first.id, first.title, first.shows, first.label) == (
        "test-val-0",
        "goldfish, test image val_0",
        "goldfish",
        0,
    )
    assert (second.id, second.label, second.box) == ("test-val-13", 2, small_data_set.boxes["val_13.JPEG"])
    with Image.open(small_data_set.root / "val" / "images" / "val_13.JPEG") as image:
        np.testing.assert_array_equal(second.pixels, np.asarray(image))
    with pytest.raises(InputError, match=r"expected the test image n01443537_0\.JPEG"):
        from_data(data, data.judged, ["n01443537_0.JPEG"])


def test_images_of_the_same_name_have_addresses_of_their_own(tmp_path: Path) -> None:
    data = opened(kitchen(tmp_path, {"val": 2, "train": 1}, ("Cups", "cups", "a-b", "a b")), DataConfig())
    assert data.judged is not None
    found = from_data(data, data.judged, [item.name for item in data.judged.items])
    ids = [photo.id for photo in found]
    assert len(set(ids)) == len(ids) == 8
    assert all(address.startswith("validation-val-") for address in ids)
    # The same whichever others are shown beside it.
    assert from_data(data, data.judged, [data.judged.items[3].name])[0].id == ids[3]
    assert found[0].title == "Cups, validation image 0"
    assert [photo.box for photo in found] == [None] * 8


def test_large_images_are_made_smaller_and_their_boxes_with_them(tmp_path: Path) -> None:
    data = opened(kitchen(tmp_path, {"test": 1}), DataConfig())
    assert data.judged is not None
    Image.new("RGB", (2000, 1536), "red").save(data.judged.items[0].path)
    part = replace(data.judged, items=(replace(data.judged.items[0], box=(0, 2, 999, 1535)),))
    (photo,) = from_data(data, part, [part.items[0].name])
    assert photo.pixels.shape == (768, 1000, 3)
    assert photo.box == (0, 1, 499, 767)


def test_real_test_images_fit_their_boxes(tiny_imagenet: Path) -> None:
    data = opened(tiny_imagenet, DataConfig())
    assert data.judged is not None
    (photo,) = from_data(data, data.judged, ["val_11.JPEG"])
    assert (photo.title, photo.box) == ("banana, test image val_11", (0, 1, 63, 47))
    assert photo.pixels.shape == (64, 64, 3)


def test_samples_need_no_torch() -> None:
    """An unchanged build answers without loading torch, cv2 or matplotlib."""
    loaded = "any(name in sys.modules for name in ('torch', 'cv2', 'matplotlib'))"
    check = f"import generator.data.samples, sys; sys.exit({loaded})"
    assert subprocess.run([sys.executable, "-c", check], cwd=FOLDER.parents[1], check=False).returncode == 0


def test_a_label_may_be_what_readers_see(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / "cone.png")
    entry = SamplePhoto(tmp_path / "cone.png", label="ice cream")
    (photo,) = own([entry], ("cup", "icecream"), {"icecream": "ice cream"})
    assert (photo.label, photo.shows) == (1, "icecream")
