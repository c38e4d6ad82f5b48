"""Data sets that a CSV or JSONL list describes: what is read of it, and what is refused in one line."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from generator.base.errors import InputError
from generator.config.schema import DataConfig
from generator.data import decoded, lists
from generator.data.dataset import CHOSEN_AND_JUDGED, DataSet
from generator.data.layouts import find, opened
from generator.data.parts import MAYBE_SEEN

SIX = ("a.png,cups,train", "b.png,spoons,train", "c.png,cups,val", "d.png,spoons,dev", "e.png,cups,test",
       "f.png,spoons,Test")  # fmt: skip


def made(root: Path, text: str, *images: str, name: str = "labels.csv", encoding: str = "utf-8") -> Path:
    """A folder with a list and empty files that are called as images."""
    for image in images:
        (root / image).parent.mkdir(parents=True, exist_ok=True)
        (root / image).touch()
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, encoding=encoding, newline="")
    return root


def six(root: Path, header: str = "path,label,split", rows: tuple[str, ...] = SIX, **how: str) -> Path:
    return made(root, "\n".join((header, *rows, "")), *(f"{letter}.png" for letter in "abcdef"), **how)


def listed(data: DataSet) -> dict[str, list[tuple[str, int]]]:
    return {part.name: [(item.name, item.target) for item in part.items] for part in data.parts}


def test_a_list_tells_classes_and_parts(tmp_path: Path) -> None:
    data = opened(six(tmp_path / "kitchen"), DataConfig())
    assert data.classes.names == data.classes.keys == ("cups", "spoons")
    assert listed(data) == {
        "train": [("a.png", 0), ("b.png", 1)],
        "validation": [("c.png", 0), ("d.png", 1)],
        "test": [("e.png", 0), ("f.png", 1)],
    }
    assert [part.role for part in data.parts] == ["fitted on", "chosen on", "judged on"]
    assert data.parts[0].items[0].path == tmp_path / "kitchen" / "a.png"
    assert data.name == "kitchen"
    assert data.words.split == (
        "Its classes are those that labels.csv tells. "
        "The data set came in these parts: training images from train, validation images from val and "
        "test images from test."
    )
    assert data.words.notes == ()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_delimiters_byte_order_marks_and_line_ends(tmp_path: Path, delimiter: str, encoding: str, end: str) -> None:
    lines = [f'File{delimiter} "Class"', *(f"{name}.png{delimiter} löffel {name}" for name in "ab"), "", "  ", ""]
    root = made(tmp_path, end.join(lines), "a.png", "b.png", name="list.tsv", encoding=encoding)
    with pytest.raises(InputError, match=r"class löffel a: expected at least 3 images, one for each part, found 1"):
        opened(root, DataConfig())


def test_quotes_keep_delimiters_and_a_row_of_several_lines_is_refused_with_its_first(tmp_path: Path) -> None:
    rows = ('a.png,"cups, ""blue""",train', "b.png,<b>x/y</b>,train", "c.png,<b>x/y</b>,test")
    data = opened(made(tmp_path, "\n".join(("path,label,split", *rows)), "a.png", "b.png", "c.png"), DataConfig())
    assert data.classes.names == ("<b>x/y</b>", 'cups, "blue"')
    broken = 'path,label,split\na.png,cups,train\nb.png,"spo\nons",train\n'
    with pytest.raises(InputError, match=r"line 3: expected a name without control characters, got 'spo\\nons'"):
        opened(made(tmp_path, broken), DataConfig())
    with pytest.raises(InputError, match=r"line 4: expected CSV, got what is none \(unexpected end of data\)"):
        opened(made(tmp_path, 'path,label\n\na.png,cups\nb.png,"spoons\n'), DataConfig())


def test_without_parts_images_are_split_by_the_hashes_of_their_names(tmp_path: Path) -> None:
    names = [f"images/{target}-{number}.jpg" for target in "xy" for number in range(20)]
    text = "file_name,target\n" + "".join(f"{name},{name[7]}\n" for name in names)
    data = opened(made(tmp_path, text, *names), DataConfig())
    assert [(part.name, len(part)) for part in data.parts] == [("train", 32), ("validation", 4), ("test", 4)]
    assert data.words.notes == (MAYBE_SEEN,)
    assert sorted(name for found in listed(data).values() for name, _ in found) == sorted(names)


def test_the_list_itself_is_named_as_root(tmp_path: Path) -> None:
    root = six(tmp_path / "kitchen")
    data = opened(root / "labels.csv", DataConfig())
    assert listed(data) == listed(opened(root, DataConfig()))
    assert data.name == "kitchen"
    assert find(None, root / "labels.csv", {}) == root / "labels.csv"
    with pytest.raises(InputError, match=r"a.png is not a folder"):
        find(root / "a.png", None, {})


def test_a_list_a_part(tmp_path: Path) -> None:
    made(tmp_path, "file,class\nimages/a.png,x\nimages/b.png,y\n", "images/a.png", "images/b.png", name="train.csv")
    made(tmp_path, "file,class\nimages/c.png,y\n", "images/c.png", name="valid.csv")
    data = opened(tmp_path, DataConfig())
    assert listed(data) == {
        "train": [("images/a.png", 0), ("images/b.png", 1)],
        "validation": [("images/c.png", 1)],
    }
    assert data.words.notes == (CHOSEN_AND_JUDGED, "There are no validation images of x.")
    made(tmp_path, "file,class,split\nimages/c.png,y,train\n", name="valid.csv")
    with pytest.raises(InputError, match=r"valid.csv, line 2: expected validation, as the list is called, got 'train'"):
        opened(tmp_path, DataConfig())


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_hugging_faces_metadata_in_each_parts_folder(tmp_path: Path, name: str) -> None:
    for part, images in {"train": "ab", "test": "cd"}.items():
        rows = [{"file_name": f"{image}.png", "label": target} for target, image in enumerate(images)]
        lines = [json.dumps(row) for row in rows]
        table = ["file_name,label", *(f"{row['file_name']},{row['label']}" for row in rows)]
        text = "\n".join(lines if name.endswith("jsonl") else table)
        made(tmp_path, text, *(f"{part}/{image}.png" for image in images), name=f"{part}/{name}")
    (tmp_path / "labels.txt").write_text("\ufeffcups\r\n<i>spoons</i>\n\n")
    data = opened(tmp_path, DataConfig())
    assert data.classes.names == ("cups", "<i>spoons</i>")
    assert listed(data) == {
        "train": [("train/a.png", 0), ("train/b.png", 1)],
        "test": [("test/c.png", 0), ("test/d.png", 1)],
    }


def test_metadata_goes_before_class_folders_and_any_other_list_beside_them_is_refused(tmp_path: Path) -> None:
    images = [f"{folder}/{letter}.png" for folder in ("x", "y") for letter in "abc"]
    text = "file_name,label\n" + "".join(f"{image},{'pq'[at % 2]}\n" for at, image in enumerate(images))
    root = made(tmp_path, text, *images, name="metadata.csv")
    assert opened(root, DataConfig()).classes.names == ("p", "q")
    (root / "metadata.csv").rename(root / "answers.csv")
    with pytest.raises(InputError, match=r"expected class folders or a list, found both: x, y, and answers.csv; name"):
        opened(root, DataConfig())
    assert opened(root / "answers.csv", DataConfig()).classes.names == ("p", "q")
    (root / "answers.csv").write_text("image,score\nx/a.png,1\n")  # which tells no classes
    assert opened(root, DataConfig()).classes.names == ("x", "y")


def numbers(root: Path, *labels: str) -> Path:
    """Three images to train on and three to judge, with the same labels."""
    parts = ["train"] * 3 + ["test"] * 3
    rows = zip("abcdef", labels * 2, parts, strict=True)
    return six(root, rows=tuple(f"{letter}.png,{label},{part}" for letter, label, part in rows))


def test_numbers_are_classes_in_the_order_of_their_values(tmp_path: Path) -> None:
    data = opened(numbers(tmp_path, "10", "11", "9"), DataConfig())
    assert (data.classes.names, listed(data)["train"]) == (
        ("9", "10", "11"),
        [("c.png", 0), ("a.png", 1), ("b.png", 2)],
    )
    data = opened(numbers(tmp_path, "0.0", "1.0", "2"), DataConfig())  # as pandas writes them
    assert data.classes.names == ("0", "1", "2")


def test_a_number_without_images_is_never_skipped_untold(tmp_path: Path) -> None:
    """A network has an output for it."""
    root = numbers(tmp_path, "0", "2", "9")
    with pytest.raises(InputError, match="expected images of each number from 0 to 9, found none of 1; name all"):
        opened(root, DataConfig())
    data = opened(root, DataConfig(classes=("9", "0")))
    assert (data.classes.names, listed(data)["train"]) == (("9", "0"), [("c.png", 0), ("a.png", 1)])
    assert data.words.notes == ("2 of the 6 images listed are of other classes and are left out.",)


def test_report_toml_names_numbers(tmp_path: Path) -> None:
    root = numbers(tmp_path, "0", "2", "1")
    assert opened(root, DataConfig(classes=("x", "y", "z"))).classes.names == ("x", "y", "z")
    with pytest.raises(InputError, match=r"labels from 0 to 1, for \[data\] classes names 2 classes, found 2"):
        opened(root, DataConfig(classes=("x", "y")))
    with pytest.raises(InputError, match=r"labels.csv: expected train images of each class, found none of d"):
        opened(root, DataConfig(classes=("a", "b", "c", "d")))


def test_a_file_of_names_beside_the_list_names_numbers(tmp_path: Path) -> None:
    root = numbers(tmp_path, "0", "2", "1")
    (root / "labels.txt").write_text("c\nb\na")
    assert opened(root, DataConfig()).classes.names == ("c", "b", "a")
    assert listed(opened(root, DataConfig(classes=("a", "c"))))["train"] == [("b.png", 0), ("a.png", 1)]
    data = opened(numbers(tmp_path, "1", "3", "2"), DataConfig())  # from 1 on
    assert (data.classes.names, listed(data)["train"][0]) == (("c", "b", "a"), ("a.png", 0))
    for text, message in {
        "a\n\nb\nc": "labels.txt, line 2: expected the name of a class, got nothing",
        "a\nb\nb\n": 'labels.txt: "b" stands there twice',
        "a\nb\nc\x07\n": "labels.txt, line 3: expected a name without control characters",
    }.items():
        (root / "labels.txt").write_text(text)
        with pytest.raises(InputError, match=message):
            opened(root, DataConfig())


def test_names_stand_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    rows = tuple(row.replace("cups", "c10").replace("spoons", "c9") for row in SIX)
    root = six(tmp_path, rows=rows)
    assert opened(root, DataConfig()).classes.names == ("c10", "c9")
    assert opened(root, DataConfig(order="natural")).classes.names == ("c9", "c10")
    (root / "labels.txt").write_text("c9\nc10\n")
    assert opened(root, DataConfig()).classes.names == ("c9", "c10")
    (root / "labels.txt").write_text("c9\nc11\n")
    with pytest.raises(InputError, match=r"labels.csv, line 2: expected one of the classes in .*labels.txt, got 'c10'"):
        opened(root, DataConfig())


def test_one_of_several_columns_is_named(tmp_path: Path) -> None:
    rows = tuple(f"{row},kitchen,{'AB'[at % 2]}" for at, row in enumerate(SIX))
    root = six(tmp_path, "path,label,split,class,kind", rows)
    with pytest.raises(InputError, match=r"expected one column of classes, found label and class; name the one"):
        opened(root, DataConfig())
    assert opened(root, DataConfig(label="Kind")).classes.names == ("A", "B")
    with pytest.raises(InputError, match=r"at least 2 classes, found 1"):
        opened(root, DataConfig(label="class"))
    with pytest.raises(InputError, match=r"\[data\] label: expected a list with a column sort in .*, found none"):
        opened(root, DataConfig(label="sort"))
    with pytest.raises(InputError, match=r"expected a column called sort \(\[data\] label\), found path, label"):
        opened(root / "labels.csv", DataConfig(label="sort"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"labels.csv: expected a line for each image, found none"),
        ("path,label\n", r"labels.csv: expected a line for each image, found none"),
        ("a.png,cups\nb.png,cups\n", r"expected a column of images \(path, .*\), found"),
        ("path,size\na.png,3\n", r"a column of classes \(label, class, target; or name it in \[data\] label\), "),
        ("path,file,label\na.png,a.png,x\n", r"one column of images, found path and file; rename all but one"),
        ("path,label\na.png\n", r"line 2: expected 2 columns, got 1"),
        ("path,label\na.png,x,y\n", r"line 2: expected 2 columns, got 3"),
        ("path,label\n,x\n", r"line 2: expected the path of an image in path, got nothing"),
        ("path,label\na.png,\n", r"line 2: expected a name or a whole number in label, .*, got nothing"),
        ("path,label,split\na.png,x,holdout\n", r"line 2: expected train or .* or dev in split, got 'holdout'"),
        ("path,label,split\na.png,x,\n", r"line 2: expected train or .* in split, got nothing"),
        ("path,label\n/etc/passwd,x\n", r"line 2: expected a path from the list's folder on, got '/etc/passwd'"),
        ("path,label\nC:\\a.png,x\n", r"line 2: expected a path from the list's folder on, got"),
        ("path,label\nhttps://example.org/a.png,x\n", r"line 2: expected a path from the list's folder on, got"),
        ("path,label\nx/../../a.png,x\n", r"a file below the list's folder, got 'x/../../a.png'; move"),
        ("path,label\n..\\a.png,x\n", r"line 2: expected a file below the list's folder, got"),
        ("path,label\n.,x\n", r"line 2: expected a file below the list's folder, got"),
        ("path,label\na\x07.png,x\n", r"line 2: expected a name without control characters, got 'a\\x07.png'"),
        ("path,label\na.png,x\n./b/../a.png,y\n", r"line 3: expected each image once, a.png stands in line 2 as well"),
        ("path,label\na.png,x\nz.png,y\nw.png,y\n", r"line 3: .* image z.png, it, and 1 more of 3, is missing$"),
        ("path,label\nz.png,x\na.png,y\n", r"line 2: expected the image z.png, it is missing$"),
        ("path,label\ninner,x\na.png,y\n", r"line 2: expected the image inner, it is missing"),
        ("path,label\ng.png,x\na.png,y\n", r"it is missing; it is inner/g.png: list it so, or move the list"),
        ("path,label\na,x\nb.png,y\n", r"line 2: expected the image a, it is missing; did you mean a.png\?"),
        ("path,label\na.png," + 1001 * "x" + "\nb.png,y\n", r"a name of at most 1,000 letters, got 1,001"),
        ("path,label\na.png," + 200_000 * "x" + "\nb.png,y\n", r"expected CSV, got what is none \(field larger"),
        ("path,label,split\na.png,x,train\nb.png,y,test\n", r"expected train images of each class, found none of y"),
        ("path,label\na.png,-1\nb.png,0\n", r"class -1: expected at least 3 images"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_list_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    root = made(tmp_path, text, *(f"{letter}.png" for letter in "abcdef"), "inner/g.png")
    with pytest.raises(InputError, match=message) as caught:
        opened(root / "labels.csv", DataConfig())
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1]", r"expected an object of JSON, got '\[1\]'"),
        ("{", r"expected an object of JSON, got '{'"),
        ("[" * 100_000, r"expected an object of JSON"),
        ('{"image": "b.png", "label": null}', r"expected a name or a whole number in label, .*, got nothing"),
        ('{"image": "b.png", "label": true}', r"expected a name or a whole number in label, .*, got True"),
        ('{"image": "b.png", "label": ["x", "y"]}', r"in label, one class an image, got \['x', 'y'\]"),
        ('{"image": "b.png", "label": 1.5}', r"in label, one class an image, got 1.5"),
        ('{"image": "b.png"}', r"in label, one class an image, got nothing"),
        ('{"image": {"path": "b.png"}, "label": 1}', r"expected the path of an image in image, got {'path'"),
        (r'{"image": "b.png", "label": "\ud800"}', r"expected a name without control characters"),
        (r'{"image": "\u0000.png", "label": "x"}', r"expected a name without control characters"),
    ],
)
def test_what_is_wrong_in_json_lines_is_one_line(tmp_path: Path, line: str, message: str) -> None:
    text = f'{{"image": "a.png", "label": "x"}}\n\n{line}\n'
    root = made(tmp_path, text, "a.png", "b.png", name="labels.jsonl")
    with pytest.raises(InputError, match=f"labels.jsonl, line 3: .*{message}") as caught:
        opened(root, DataConfig())
    assert "\n" not in str(caught.value)


def test_json_lines_hold_numbers_and_separators_of_lines(tmp_path: Path) -> None:
    rows = [{"image": "a.png", "label": 1.0, "text": "x\u2028y"}, {"label": 0, "image": "b.png"}]
    text = "\r\n".join(json.dumps({"split": "test"} | row, ensure_ascii=False) for row in rows)
    data = opened(made(tmp_path, text, "a.png", "b.png", name="labels.jsonl"), DataConfig())
    assert (data.classes.names, listed(data)) == (("0", "1"), {"test": [("b.png", 0), ("a.png", 1)]})


@pytest.mark.parametrize(
    ("data", "message"), [(b"path,label\n\xff.png,x\n", "UTF-8"), ("path,label".encode("utf-16"), "UTF-16")]
)
def test_other_encodings_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "labels.csv").write_bytes(data)
    with pytest.raises(InputError, match=message):
        opened(tmp_path / "labels.csv", DataConfig())


def test_two_lists_are_refused_and_one_without_classes_is_none(tmp_path: Path) -> None:
    root = six(six(tmp_path), name="more.csv")
    with pytest.raises(
        InputError, match=r"expected one list .*, found labels.csv, more.csv; name the one that is meant"
    ):
        opened(root, DataConfig())
    (root / "more.csv").write_text("Id,Category\na.png,3\n")
    assert len(opened(root, DataConfig()).parts) == 3


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may read every file")
def test_a_list_that_cannot_be_read(tmp_path: Path) -> None:
    (six(tmp_path) / "labels.csv").chmod(0)
    with pytest.raises(InputError, match=r"labels.csv: expected a readable list of images, got: Permission denied"):
        opened(tmp_path / "labels.csv", DataConfig())


def test_the_list_belongs_to_the_fingerprint(tmp_path: Path) -> None:
    before = opened(six(tmp_path), DataConfig()).fingerprint
    six(tmp_path, rows=(*SIX[:4], "e.png,spoons,test", "f.png,cups,test"))
    assert opened(tmp_path, DataConfig()).fingerprint != before


def test_listed_images_are_looked_through_whatever_they_are_called(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A JPEG without an ending, a GIF, and one that is no image, which is named and left out."""
    rows = [f"{part}{number},{'xy'[number % 2]},{part}" for part in ("train", "test") for number in range(4)]
    root = made(tmp_path / "data", "\n".join(("path,label,split", *rows)))
    for row in rows:
        Image.new("L", (9, 8), 200).save(root / row.split(",")[0], "GIF" if "0" in row else "JPEG")
    (root / "test3").write_text("no image")
    data = decoded.whole(opened(root, DataConfig()), tmp_path / "cache")
    assert data.skipped == ("test3",)
    assert re.search("test: 1 broken image is left out: test3", capsys.readouterr().err)
    assert decoded.pixels(data, data.parts[1].items[0]).shape == (8, 9, 3)


def test_links_in_a_circle_devices_and_huge_images_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = six(tmp_path / "data")
    (root / "a.png").unlink()
    (root / "a.png").symlink_to(root / "a.png")
    with pytest.raises(InputError, match=r"line 2: expected the image a.png, it is missing"):
        opened(root, DataConfig())
    (root / "a.png").unlink()
    os.mkfifo(root / "a.png")
    with pytest.raises(InputError, match=r"line 2: expected the image a.png, it is missing"):
        opened(root, DataConfig())
    (root / "a.png").unlink()
    for name in "abcdef":
        Image.new("RGB", (8, 8)).save(root / f"{name}.png")
    Image.new("1", (8000, 8000)).save(root / "g.png")
    with (root / "labels.csv").open("a") as file:
        file.write("g.png,cups,train\n")
    (root / "inner").symlink_to(root, target_is_directory=True)  # a circle of folders is of no matter to a list
    data = decoded.whole(opened(root, DataConfig()), tmp_path / "cache")
    assert data.skipped == ("g.png",)
    assert "train: 1 broken image is left out: g.png" in capsys.readouterr().err


def test_two_hundred_thousand_rows_take_seconds(tmp_path: Path) -> None:
    """Five thousand classes among them; 4 s on two busy cores of an AMD EPYC."""
    names = [f"{number:06}" for number in range(200_000)]
    text = "path,label\n" + "".join(f"{name}.png,class {number % 5000}\n" for number, name in enumerate(names))
    (tmp_path / "labels.csv").write_text(text)
    start = time.process_time()
    found = list(lists.rows(tmp_path / "labels.csv"))
    assert time.process_time() - start < 20
    assert len(found) == 200_000
    assert (found[-1].image, found[-1].label, found[-1].line) == ("199999.png", "class 4999", 200_001)
