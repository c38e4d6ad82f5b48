"""Folders of class folders in every form, where a data set is looked for, and what is said of a folder that is none."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

from generator.base.errors import InputError
from generator.config.schema import DataConfig
from generator.data import decoded
from generator.data.classes import Classes
from generator.data.dataset import CHOSEN_AND_JUDGED, DataSet
from generator.data.layouts import find, opened
from generator.data.parts import MAYBE_SEEN
from tests.conftest import SmallDataSet

LETTERS = "abcdefghijklmnopqrst"
VALIDATION_NAMES = ("a.JPEG", "o.JPEG")  # of these twenty letters those with the smallest hashes


def tree(root: Path, *folders: str, names: str = "abc", suffix: str = ".png") -> Path:
    """Folders with an empty file for each letter of `names`."""
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            (root / folder / f"{name}{suffix}").touch()
    return root


def listed(data: DataSet) -> dict[str, list[tuple[str, int]]]:
    return {part.name: [(item.name, item.target) for item in part.items] for part in data.parts}


def test_class_folders_alone_are_split_in_three_by_their_files_hashes(tmp_path: Path) -> None:
    root = tree(tmp_path, "<b>spoons<b>", "cups", names=LETTERS, suffix=".JPEG")
    data = opened(root, DataConfig())
    assert data.classes == Classes(("<b>spoons<b>", "cups"), ("<b>spoons<b>", "cups"))
    assert [(part.name, part.role, len(part)) for part in data.parts] == [
        ("train", "fitted on", 32), ("validation", "chosen on", 4), ("test", "judged on", 4),
    ]  # fmt: skip
    found = listed(data)
    assert [name for name, target in found["validation"] if target == 1] == [
        f"cups/{name}" for name in VALIDATION_NAMES
    ]
    every = [name for names in found.values() for name, _ in names]
    assert len(every) == len(set(every)) == 40
    assert data.words.notes == (MAYBE_SEEN,)
    assert not data.boxes
    assert data.name == tmp_path.name


@pytest.mark.parametrize("validation", ["val", "valid", "validation", "Val"])
def test_train_validation_and_test_are_told_by_their_folders(tmp_path: Path, validation: str) -> None:
    root = tree(tmp_path, *(f"{part}/{name}" for part in ("train", validation, "test") for name in ("cups", "spoons")))
    data = opened(root, DataConfig())
    assert [(part.name, part.role, len(part)) for part in data.parts] == [
        ("train", "fitted on", 6), ("validation", "chosen on", 6), ("test", "judged on", 6),
    ]  # fmt: skip
    assert listed(data)["validation"][3] == (f"{validation}/spoons/a.png", 1)
    assert data.words.notes == ()
    assert data.chosen is data.choosing is data.part("validation")
    assert data.judged is data.part("test")


def test_without_test_images_the_validation_images_judge_and_that_is_said(tmp_path: Path) -> None:
    data = opened(tree(tmp_path, "train/cups", "train/spoons", "val/cups", "val/spoons"), DataConfig())
    assert [(part.name, part.role) for part in data.parts] == [("train", "fitted on"), ("validation", "judged on")]
    assert data.words.notes == (CHOSEN_AND_JUDGED,)
    assert data.chosen is None
    assert data.choosing is data.judged


def test_without_validation_images_nothing_is_chosen_on(tmp_path: Path) -> None:
    data = opened(tree(tmp_path, "train/cups", "train/spoons", "test/cups", "test/spoons"), DataConfig())
    assert [(part.name, part.role) for part in data.parts] == [("train", "fitted on"), ("test", "judged on")]
    assert (data.chosen, data.choosing, data.words.notes) == (None, None, ())


def test_a_test_folder_alone_is_what_judges(tmp_path: Path) -> None:
    data = opened(tree(tmp_path, "test/spoons", "test/cups"), DataConfig())
    assert [(part.name, part.role) for part in data.parts] == [("test", "judged on")]
    assert data.fitted is None
    assert data.classes.names == ("cups", "spoons")


def test_a_train_folder_alone_is_split(tmp_path: Path) -> None:
    data = opened(tree(tmp_path, "train/spoons", "train/cups", names=LETTERS), DataConfig())
    assert [(part.name, len(part)) for part in data.parts] == [("train", 32), ("validation", 4), ("test", 4)]
    assert data.parts[0].items[0].name.startswith("train/cups/")


def test_classes_stand_in_the_order_of_strings_as_torchvision_has_it(tmp_path: Path) -> None:
    names = ("10", "2", "B", "a", "é")
    root = tree(tmp_path, *(f"train/{name}" for name in reversed(names)), "test/2", "test/10", "test/a", "test/B")
    data = opened(root, DataConfig())
    assert data.classes.names == names
    assert {target for _, target in listed(data)["test"]} == {0, 1, 2, 3}
    assert data.words.notes == ("There are no test images of é.",)


def test_the_natural_order_is_timms(tmp_path: Path) -> None:
    """timm 1.0.31: sorted(names, key=natural_key) of timm/utils/misc.py."""
    names = ("1", "2", "10", "a", "A1", "a2", "a10", "B", "é")
    root = tree(tmp_path, *names)
    assert opened(root, DataConfig(order="natural")).classes.names == names
    assert opened(root, DataConfig()).classes.names == ("1", "10", "2", "A1", "B", "a", "a10", "a2", "é")
    one, other = (opened(root, DataConfig(order=order)).fingerprint for order in ("natural", "strings"))
    assert one != other
    assert opened(root, DataConfig(classes=("B", "10"), order="natural")).classes.names == ("B", "10")


def test_named_classes_are_taken_in_their_order(tmp_path: Path) -> None:
    root = tree(tmp_path, "train/cups", "train/forks", "train/spoons", "test/cups", "test/spoons", "test/others")
    data = opened(root, DataConfig(classes=("spoons", "Cups")))
    assert data.classes == Classes(("spoons", "cups"), ("spoons", "cups"))
    assert listed(data)["test"][0] == ("test/spoons/a.png", 0)
    assert len(data.parts[0]) == 6
    assert opened(tree(tmp_path / "more", "a", "b"), DataConfig(classes="all")).classes.names == ("a", "b")


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (
            "TinyImageNet30",
            '"TinyImageNet30" is of Tiny ImageNet, expected "all" or a list of the folders in .*cups, spo',
        ),
        (("cups", "spoon"), r'has no folder "spoon"; did you mean "spoons"\?'),
        (("cups", "lion"), 'has no folder "lion"; expected one of cups, spoons'),
        (("cups", "CUPS"), '"cups" stands there twice'),
        (("cups",), "at least 2 classes, found 1"),
    ],
)
def test_classes_that_are_not_there_are_refused(tmp_path: Path, classes: str | tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        opened(tree(tmp_path, "cups", "spoons"), DataConfig(classes=classes))
    assert "\n" not in str(caught.value)


def test_a_class_that_nothing_was_trained_on_is_refused(tmp_path: Path) -> None:
    root = tree(tmp_path, "train/cups", "train/spoons", "val/cups", "val/zebras")
    with pytest.raises(InputError, match=r"val: expected the classes of .*train, found zebras besides"):
        opened(root, DataConfig())


def test_empty_classes_are_refused_where_something_is_trained_and_said_elsewhere(tmp_path: Path) -> None:
    root = tree(tmp_path, "train/cups", "train/spoons", "test/cups")
    (root / "test" / "spoons").mkdir()
    assert opened(root, DataConfig()).words.notes == ("There are no test images of spoons.",)
    (root / "train" / "forks").mkdir()
    with pytest.raises(InputError, match=r"forks: expected images \(.jpeg, .jpg, .*\), found none"):
        opened(root, DataConfig())


def test_too_few_images_for_three_parts_are_refused(tmp_path: Path) -> None:
    root = tree(tree(tmp_path, "cups"), "spoons", names="ab")
    with pytest.raises(InputError, match=r"spoons: expected at least 3 images, one for each part, found 2"):
        opened(root, DataConfig())


def test_folders_below_a_class_and_links_belong_to_it_and_clutter_does_not(tmp_path: Path) -> None:
    root = tree(tmp_path / "data", "train/cups/blue/old", "train/cups", "train/spoons", "test/cups")
    elsewhere = tree(tmp_path / "elsewhere", "forks", names="xyz")
    (root / "test" / "spoons").symlink_to(elsewhere / "forks", target_is_directory=True)
    (root / "train" / "spoons" / "round").symlink_to(root / "train" / "spoons", target_is_directory=True)
    (root / "train" / "spoons" / "link.png").symlink_to(elsewhere / "forks" / "x.png")
    for name in (".hidden.png", "notes.txt", "a.png~", ".DS_Store"):
        (root / "train" / "cups" / name).touch()
    tree(root, "train/.ipynb_checkpoints", "train/cups/__MACOSX", "__MACOSX/cups")
    found = listed(opened(root, DataConfig()))
    assert [name for name, target in found["train"] if target == 0] == [
        "train/cups/a.png", "train/cups/b.png", *(f"train/cups/blue/old/{letter}.png" for letter in "abc"),
        "train/cups/c.png",
    ]  # fmt: skip
    assert [name for name, target in found["train"] if target == 1] == [
        *(f"train/spoons/{letter}.png" for letter in "abc"), "train/spoons/link.png",
    ]  # fmt: skip
    assert [name for name, target in found["test"] if target == 1] == [f"test/spoons/{letter}.png" for letter in "xyz"]


def test_a_link_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    root = tree(tmp_path, "cups", "spoons")
    (root / "cups" / "z.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(InputError, match=r"z.png: expected an image, it cannot be read"):
        assert opened(root, DataConfig()).fingerprint


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' names are UTF-8")
def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    root = tree(tmp_path, "cups", "spoons")
    (root / os.fsdecode(b"cups/caf\xe9.png")).touch()
    names = [name for found in listed(opened(root, DataConfig())).values() for name, _ in found]
    assert r"cups/caf\udce9.png" in names
    (root / os.fsdecode(b"tass\xe9")).mkdir()
    with pytest.raises(InputError, match=r"expected the names of folders in UTF-8, found 'tass\\udce9'; rename it"):
        opened(root, DataConfig())


def test_what_lies_beside_the_parts_is_left_out_and_named(tmp_path: Path) -> None:
    root = tree(tmp_path, "train/cups", "train/spoons", "val/cups", "val/spoons", "test", "scripts")
    data = opened(root, DataConfig())
    assert data.aside == ("scripts", "test")
    assert [part.name for part in data.parts] == ["train", "validation"]


def test_two_folders_for_one_part_are_refused(tmp_path: Path) -> None:
    root = tree(tmp_path, "train/a", "train/b", "val/a", "validation/a")
    with pytest.raises(InputError, match="expected one folder for validation, found val and validation"):
        opened(root, DataConfig())


def test_parts_without_class_folders_are_no_classes(tmp_path: Path) -> None:
    root = tree(tmp_path, "train", "test")
    with pytest.raises(InputError, match=r"test: expected a folder of images for each class in it, found images alone"):
        opened(root, DataConfig())
    vehicles = tree(tmp_path / "vehicles", "car", "train")
    assert opened(vehicles, DataConfig()).classes.names == ("car", "train")


@pytest.mark.parametrize(
    ("folders", "found"),
    [
        ((), "an empty folder"),
        (("cups",), r"1 folder \(cups\)"),
        (("data/cups", "data/spoons"), r"data in it; did you mean .*data\?"),
        (("data/train/a", "data/test/a"), r"data in it; did you mean .*data\?"),
    ],
)
def test_another_folder_is_told_the_known_layouts_and_what_it_is(
    tmp_path: Path, folders: tuple[str, ...], found: str
) -> None:
    root = tree(tmp_path / "root", *folders)
    root.mkdir(exist_ok=True)
    known = "expected Tiny ImageNet's folder, a folder of images for each class, or such folders below train, val"
    with pytest.raises(InputError, match=f"{known} .*; found {found}") as caught:
        opened(root, DataConfig())
    assert "\n" not in str(caught.value)
    (root / "list.csv").touch()
    (root / "a.png").touch()
    if not folders:
        with pytest.raises(InputError, match="found 2 files"):
            opened(root, DataConfig())


def test_a_damaged_tiny_imagenet_is_told_what_it_lacks(small_data_set: SmallDataSet, tmp_path: Path) -> None:
    root = Path(shutil.copytree(small_data_set.root, tmp_path / "data"))
    (root / "words.txt").unlink()
    shutil.rmtree(root / "val")
    with pytest.raises(InputError, match=r"it lacks val/images, val/val_annotations\.txt, words\.txt; give"):
        opened(root, DataConfig())


def test_what_report_toml_says_goes_before_the_folder(tmp_path: Path) -> None:
    data = opened(tree(tmp_path, "cups", "spoons"), DataConfig(name="My kitchen", licence="CC0."))
    assert (data.name, data.words.source, data.words.licence) == ("My kitchen", "My kitchen", "CC0.")


def test_find_prefers_the_argument_then_the_variable_then_the_file(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    assert find(one, other, {"TINY_IMAGENET": str(other)}) == one
    assert find(None, other, {"TINY_IMAGENET": str(one)}) == one
    assert find(None, one, {"TINY_IMAGENET": ""}) == one
    assert find(None, None, {}) is None


def test_find_says_where_a_wrong_folder_was_named(tmp_path: Path) -> None:
    for arguments, source in (
        ((Path("nowhere"), None, {}), "--data"),
        ((None, None, {"TINY_IMAGENET": "nowhere"}), "the variable TINY_IMAGENET"),
        ((None, tmp_path / "nowhere", {}), r"\[data\] root"),
    ):
        with pytest.raises(InputError, match=rf"^{source}: expected a data set's folder, .*nowhere is not a folder"):
            find(*arguments)


def test_the_fingerprint_is_of_the_content_and_not_of_the_place(tmp_path: Path) -> None:
    root = tree(tmp_path / "one" / "data", "cups", "spoons")
    copy = Path(shutil.copytree(root, tmp_path / "two" / "data"))
    before = opened(root, DataConfig()).fingerprint
    assert opened(copy, DataConfig()).fingerprint == before
    assert opened(copy, DataConfig(classes=("spoons", "cups"))).fingerprint != before
    (copy / "cups" / "a.png").write_bytes(b"x")
    assert opened(copy, DataConfig()).fingerprint != before


def test_files_that_are_no_images_are_left_out_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("cups", "spoons"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (9, 7 + number), "red").save(tmp_path / "data" / name / f"{number}.png")
    (tmp_path / "data" / "cups" / "list.png").write_text("a text")
    data = decoded.whole(opened(tmp_path / "data", DataConfig()), tmp_path / "cache")
    assert data.skipped == ("cups/list.png",)
    assert "1 broken image is left out: cups/list.png" in capsys.readouterr().err
    assert sum(map(len, data.parts)) == 8
    assert data.words.size == "from 9 × 7 to 9 × 10"
