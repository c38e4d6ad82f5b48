"""Answers from a file: which numbers they are, whose, to which images, and all that is refused."""

from __future__ import annotations

import csv
import hashlib
import shutil
import tracemalloc
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from generator.base.errors import InputError
from generator.config.schema import ModelConfig
from generator.data import prediction_files, predictions
from generator.data.classes import Classes
from generator.data.dataset import DataSet, Item, Part
from generator.data.predictions import Predictions
from generator.evaluation.evaluation import evaluate_predictions
from generator.records import stored
from generator.records.images import Pixels
from generator.records.report import DataWords

NAMES = ("cups", "forks, small", "Spoons")
PATHS = tuple(f"test/{name}/{number}.png" for name in NAMES for number in range(2))
HEAD = ("file", "label", *NAMES)
LOGITS = np.array([[3, 1, -2], [0.5, 2, 1], [-1, 4, 0.25], [2, 1.5, 1], [0, -3, 1], [1, 0, 7]])


class Held:
    """Images that are no files of their own, none of which is looked at."""

    digest = "of them all"

    def __getitem__(self, at: int) -> Pixels:
        raise AssertionError(at)


def part(name: str, paths: Sequence[str], held: Held | None = None, classes: Sequence[str] = NAMES) -> Part:
    """Images of the classes by turns, so many of each as there are of the others."""
    each = len(paths) // len(classes)
    items = tuple(Item(path, Path(path), at // each, held=held, at=at) for at, path in enumerate(paths))
    return Part(name, {"test": "judged on", "train": "fitted on"}.get(name, "chosen on"), items)  # type: ignore[arg-type]


def data_set(*parts: Part) -> DataSet:
    return DataSet(
        Path("things"), "things", Classes(NAMES, NAMES), parts or (part("test", PATHS),), DataWords("things")
    )


def rows(values: np.ndarray | None = None, paths: Sequence[str] = PATHS) -> list[list[object]]:
    """The table whose rows are right."""
    found = LOGITS if values is None else values
    return [[path, path.split("/")[-2], *map(float, each)] for path, each in zip(paths, found, strict=True)]


def written(folder: Path, table: Sequence[Sequence[object]], head: Sequence[str] = HEAD, delimiter: str = ",") -> Path:
    file = folder / "answers.csv"
    with file.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened, delimiter=delimiter).writerows([head, *table])
    return file


def read(file: Path, data: DataSet | None = None, classes: Sequence[str] = ()) -> Predictions:
    return predictions.read(ModelConfig("net", predictions=file, classes=tuple(classes)), data or data_set())


def told(found: Predictions, what: str) -> str:
    return next(f"{fact.value} ({fact.origin})" for fact in found.facts if fact.what == what)


def refused(file: Path, data: DataSet | None = None, classes: Sequence[str] = ()) -> str:
    """What is said of a file, in one line."""
    with pytest.raises(InputError) as caught:
        read(file, data, classes)
    (line,) = str(caught.value).splitlines()
    return line.replace(str(file.parent) + "/", "")


# What is read


def test_logits_come_to_their_images_to_the_last_bit(tmp_path: Path) -> None:
    wide = LOGITS + np.float32(1 / 3)
    found = read(written(tmp_path, rows(wide)[::-1]))
    assert found.logits["test"].dtype == np.float32
    assert np.array_equal(found.logits["test"], wide.astype(np.float32))
    assert told(found, "scores") == "logits (measured)"
    assert told(found, "classes") == "3: cups, forks, small, Spoons (read)"
    assert told(found, "images") == "6, by their paths (read)"
    assert told(found, "labels") == "6 of 6 are the data set's (measured)"
    assert found.digest == hashlib.sha256((tmp_path / "answers.csv").read_bytes()).hexdigest()
    assert (found.title, found.source) == ("net", "It was run elsewhere: its answers to 6 images are in answers.csv.")


def test_probabilities_are_found_by_their_sums(tmp_path: Path) -> None:
    shares = np.array(
        [[0.5, 0.3, 0.2], [1, 0, 0], [0.25, 0.25, 0.5], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [0, 0.01, 0.985]]
    )
    found = read(written(tmp_path, rows(shares)))
    again = np.exp(found.logits["test"])
    np.testing.assert_allclose(again[shares > 0], shares[shares > 0], rtol=1e-6)
    np.testing.assert_allclose(again[shares == 0], np.finfo(np.float32).eps, rtol=1e-5)
    assert told(found, "scores").startswith(
        "probabilities, for every row sums to 1; 3 of them, being 0, count as the least"
    )


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_columns_stand_in_any_order_by_name(tmp_path: Path, delimiter: str) -> None:
    table = [[row[4], row[0], row[2], row[3]] for row in rows()]
    found = read(written(tmp_path, table, (NAMES[2].upper(), "File_Name", NAMES[0], NAMES[1]), delimiter))
    assert np.array_equal(found.logits["test"], LOGITS.astype(np.float32))
    assert told(found, "labels").startswith("the data set's; the file has none to compare")


def test_numbers_are_the_outputs_in_their_order_which_is_said(tmp_path: Path) -> None:
    table = [[path, each[2], each[0], each[1]] for path, each in zip(PATHS, LOGITS, strict=True)]
    found = read(written(tmp_path, table, ("path", "2", "0", "1")))
    assert np.array_equal(found.logits["test"], LOGITS.astype(np.float32))
    assert told(found, "classes").endswith("(assumed)")
    assert found.notes[0] == predictions.ORDER
    declared = read(written(tmp_path, table, ("path", "2", "0", "1")), classes=(NAMES[1], NAMES[0], NAMES[2]))
    assert np.array_equal(declared.logits["test"], LOGITS[:, [1, 0, 2]].astype(np.float32))
    assert told(declared, "classes").endswith("(declared)")
    assert declared.notes == (predictions.ALONE,)


def test_classes_that_are_numbers_are_meant_by_their_names(tmp_path: Path) -> None:
    names = ("0", "1", "10")
    data = data_set(part("test", [f"{name}/{number}" for name in names for number in range(2)]))
    data = replace(data, classes=Classes(names, names))
    table = [[item.name, names[item.target], *each] for item, each in zip(data.parts[0].items, LOGITS, strict=True)]
    found = read(written(tmp_path, table, ("file", "label", "0", "1", "10")), data)
    assert np.array_equal(found.logits["test"], LOGITS.astype(np.float32))
    assert told(found, "classes").endswith("(read)")


def test_report_toml_names_columns_that_are_called_otherwise(tmp_path: Path) -> None:
    file = written(tmp_path, rows(), ("file", "label", "p_a", "p_b", "p_c"))
    assert np.array_equal(read(file, classes=NAMES).logits["test"], LOGITS.astype(np.float32))
    assert "found 'p_a'; leave it out" in refused(file)


def test_of_more_classes_those_of_the_data_set_count(tmp_path: Path) -> None:
    table = [[*row, 9] for row in rows()]
    file = written(tmp_path, table, (*HEAD, "knives"))
    found = read(file, classes=(*NAMES, "knives"))
    assert np.array_equal(found.logits["test"], LOGITS.astype(np.float32))
    assert found.notes[0] == "Its scores for 1 more class, which the data set does not have, are left out."
    assert "found 'knives'; leave it out" in refused(file)


@pytest.mark.parametrize("label", [str, lambda at: f"{at}.0"], ids=["whole", "as floats"])
def test_labels_may_be_the_numbers_of_outputs(tmp_path: Path, label: Callable[[int], str]) -> None:
    table = [[path, label(at // 2), *each] for at, (path, each) in enumerate(zip(PATHS, LOGITS, strict=True))]
    assert told(read(written(tmp_path, table)), "labels") == "6 of 6 are the data set's (measured)"


def test_the_answer_in_words_must_be_that_of_the_scores(tmp_path: Path) -> None:
    table = [[*row, NAMES[best]] for row, best in zip(rows(), LOGITS.argmax(1), strict=True)]
    assert len(read(written(tmp_path, table, (*HEAD, "Prediction"))).logits["test"]) == 6
    table[1][-1] = "cups"
    expected = "answers.csv, line 3: expected the class with the highest score as the answer, got 'cups'"
    assert refused(written(tmp_path, table, (*HEAD, "pred"))).startswith(expected)


@pytest.mark.parametrize(
    "called",
    [
        lambda path: f"./{path}",
        lambda path: f"/home/me/things/{path}",
        lambda path: "C:\\things\\" + path.replace("/", "\\"),
        lambda path: path.removeprefix("test/"),
        lambda path: f"a/../{path}",
    ],
    ids=["dot", "absolute", "windows", "from the part on", "detour"],
)
def test_paths_may_begin_earlier_or_later(tmp_path: Path, called: Callable[[str], str]) -> None:
    table = [[called(str(row[0])), *row[1:]] for row in rows()]
    assert np.array_equal(read(written(tmp_path, table)).logits["test"], LOGITS.astype(np.float32))


def test_a_file_s_name_is_enough_where_it_is_the_only_one(tmp_path: Path) -> None:
    paths = [f"test/{at // 2}/{at}é=1+1.png" for at in range(6)]
    data = data_set(part("test", paths))
    decomposed = [[f"{at}e\u0301=1+1.png", *row[2:]] for at, row in enumerate(rows())]
    found = read(written(tmp_path, decomposed, ("image", *NAMES)), data)
    assert np.array_equal(found.logits["test"], LOGITS.astype(np.float32))


def test_parts_are_found_by_their_images(tmp_path: Path) -> None:
    others = tuple(path.replace("test/", "val/") for path in PATHS)
    data = data_set(part("train", [path.replace("test", "train") for path in PATHS]), part("validation", others))
    data = replace(data, parts=(*data.parts, part("test", PATHS)))
    found = read(written(tmp_path, [*rows(LOGITS + 1, others), *rows()]), data)
    assert np.array_equal(found.logits["validation"], (LOGITS + 1).astype(np.float32))
    assert np.array_equal(found.logits["test"], LOGITS.astype(np.float32))
    assert list(found.logits) == ["validation", "test"]
    line = refused(written(tmp_path, rows(LOGITS, others)), data)
    assert (
        "for each of the 6 test images, none of them has one, the first of these is test/cups/0.png; its rows" in line
    )
    table = [[str(row[0]).removeprefix("test/"), *row[1:]] for row in rows()]
    line = refused(written(tmp_path, table), data)
    assert line.endswith("one image of things, 'cups/0.png' may be train/cups/0.png or val/cups/0.png")


def test_images_that_cannot_be_read_here_are_passed_over(tmp_path: Path) -> None:
    data = replace(data_set(), skipped=("test/cups/9.png",))
    found = read(written(tmp_path, [["test/cups/9.png", "cups", 1, 2, 3], *rows()]), data)
    assert len(found.logits["test"]) == 6
    assert found.notes[0].startswith("1 of its answers are to images that cannot be read here")


def test_pandas_index_says_nothing(tmp_path: Path) -> None:
    file = written(tmp_path, [[at, *row] for at, row in enumerate(rows())], ("", *HEAD))
    assert np.array_equal(read(file).logits["test"], LOGITS.astype(np.float32))
    file = written(tmp_path, [[5 - at, *row] for at, row in enumerate(rows())], ("", *HEAD))
    assert refused(file).startswith("answers.csv, line 2: expected 0 in the first column, which has no name")


# Images that are no files


def numbered() -> DataSet:
    """Six test images in one file, ordered by class and not as they stand in it."""
    names = ("5", "0", "3", "1", "4", "2")
    return data_set(part("test", names, Held()))


def test_without_files_rows_stand_in_the_order_of_the_images(tmp_path: Path) -> None:
    file = written(tmp_path, LOGITS.tolist(), NAMES)
    found = read(file, numbered())
    assert np.array_equal(found.logits["test"], LOGITS[[5, 0, 3, 1, 4, 2]].astype(np.float32))
    assert told(found, "images") == "the 6 test images in their order (assumed)"
    assert found.notes[0].startswith("Which row is which image was not told")
    assert found.notes[1].startswith("It names 50.0% of the test images rightly, as guessing could: are its rows")
    assert "or their numbers in index, got 5 rows" in refused(written(tmp_path, LOGITS[:5].tolist(), NAMES), numbered())


def many(count: int) -> tuple[DataSet, np.ndarray]:
    """So many test images of each class, and logits that are right for all of them."""
    paths = [f"test/{name}/{number}.png" for name in NAMES for number in range(count)]
    held = data_set(part("test", [str(at) for at in range(len(paths))], Held()))
    return held, 9.0 * np.eye(3)[np.repeat(np.arange(3), count)]


def test_answers_in_another_order_of_the_classes_are_told(tmp_path: Path) -> None:
    data, right = many(8)
    assert not any("order:" in note for note in read(written(tmp_path, right.tolist(), NAMES), data).notes)
    (note,) = [
        note for note in read(written(tmp_path, right[:, [1, 0, 2]].tolist(), NAMES), data).notes if "order:" in note
    ]
    assert note == (
        "Its columns seem to stand for the classes in another order: it names 33.3% of the test images rightly, and "
        "100.0% of every other one if “cups” stands for “forks, small”, “forks, small” stands for “cups”."
    )


def test_rows_in_another_order_are_asked_about(tmp_path: Path) -> None:
    data, right = many(8)
    mixed = np.random.default_rng(0).permutation(right)
    notes = read(written(tmp_path, mixed.tolist(), NAMES), data).notes
    assert any("% of the test images rightly, as guessing could: are its rows" in note for note in notes)


def test_numbers_tell_images_that_are_no_files(tmp_path: Path) -> None:
    order = [3, 1, 0, 5, 4, 2]
    table = [[at, *LOGITS[at]] for at in order]
    found = read(written(tmp_path, table, ("index", *NAMES)), numbered())
    assert np.array_equal(found.logits["test"], LOGITS[[5, 0, 3, 1, 4, 2]].astype(np.float32))
    assert told(found, "images") == "6 test images, by their numbers (read)"
    for wrong, line in ((6, "expected the number of one of the test images, got '6'"), (3, "3 stands there twice")):
        table[1][0] = wrong
        assert line in refused(written(tmp_path, table, ("index", *NAMES)), numbered())


# Arrays


def saved(folder: Path, **arrays: object) -> Path:
    file = folder / "answers.npz"
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file


@pytest.mark.parametrize("dtype", ["U", "S"])
def test_arrays_say_the_same(tmp_path: Path, dtype: str) -> None:
    file = saved(
        tmp_path,
        files=np.array(PATHS, dtype),
        logits=LOGITS[:, ::-1],
        labels=np.array([path.split("/")[1] for path in PATHS]),
        classes=np.array(NAMES[::-1], dtype),
    )
    found = read(file)
    assert np.array_equal(found.logits["test"], LOGITS.astype(np.float32))
    assert told(found, "labels") == "6 of 6 are the data set's (measured)"


def test_arrays_without_names_are_in_the_classes_order(tmp_path: Path) -> None:
    found = read(saved(tmp_path, scores=LOGITS.astype(np.float32), labels=np.array([0, 1, 2, 1, 2, 0])), numbered())
    assert np.array_equal(found.logits["test"], LOGITS[[5, 0, 3, 1, 4, 2]].astype(np.float32))
    assert told(found, "images") == "the 6 test images in their order (inferred)"
    assert found.notes[0] == predictions.ORDER
    line = refused(saved(tmp_path, scores=LOGITS, labels=np.array([0, 1, 2, 2, 1, 0])), numbered())
    assert line.startswith("answers.npz, row 4: expected the labels of things, 2 of 6 are others: 3 is of forks, small")


def test_an_array_of_objects_is_not_read(tmp_path: Path) -> None:
    file = saved(tmp_path, scores=LOGITS, files=np.array(PATHS, object))
    assert "expected numbers and strings in files, got objects, which are a pickle and are not read" in refused(file)


def test_a_head_that_tells_of_more_than_is_there_costs_no_memory(tmp_path: Path) -> None:
    file = tmp_path / "answers.npz"
    with zipfile.ZipFile(file, "w") as archive, archive.open("scores.npy", "w") as entry:
        head = {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10**4)}
        np.lib.format.write_array_header_1_0(entry, head)
    assert refused(file).endswith("got what is none (scores: its head tells of more than it holds)")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "got what is none (File is not a zip file)"),
        (b"PK\x03\x04 and nothing", "got what is none"),
    ],
)
def test_what_is_no_file_of_arrays_is_told(tmp_path: Path, content: bytes, line: str) -> None:
    (tmp_path / "answers.npz").write_bytes(content)
    assert line in refused(tmp_path / "answers.npz")


@pytest.mark.parametrize(
    ("arrays", "line"),
    [
        (
            {"scores": LOGITS[0]},
            "a row an image and a column a class, got 3 of float64; of one probability p give both",
        ),
        ({"scores": LOGITS[:, :1]}, "got 6 x 1 of float64; of one probability p give both classes: 1 - p and p"),
        ({"scores": LOGITS > 0}, "got 6 x 3 of bool"),
        ({"scores": LOGITS, "logits": LOGITS}, "expected one array of scores, found scores and logits"),
        ({"scores": LOGITS, "weights": LOGITS}, "found 'weights'; leave it out"),
        ({"labels": np.arange(6)}, "expected an array scores, probabilities or logits, found labels"),
        ({"scores": LOGITS, "files": np.array(PATHS[:5])}, "one of files for each of the 6 rows of scores, got 5"),
        ({"scores": LOGITS, "labels": np.eye(6)}, "strings or whole numbers in labels, got 6 x 6 of float64"),
        ({"scores": LOGITS, "classes": np.array(["a", "b", "a"])}, "'a' stands there twice"),
        ({"scores": LOGITS, "files": np.array([b"\xff"] * 6)}, "expected text in UTF-8 in files"),
        ({"probabilities": LOGITS}, "answers.npz, row 1: expected probabilities, as the array is called"),
        ({"logits": np.full((6, 3), 1 / 3)}, "expected logits, as the array is called, got probabilities"),
        ({"scores": LOGITS}, "expected an array of the images' files (files), found none"),
    ],
)
def test_arrays_that_do_not_fit_are_told(tmp_path: Path, arrays: dict[str, np.ndarray], line: str) -> None:
    assert line in refused(saved(tmp_path, **arrays))


# What is refused


@pytest.mark.parametrize(
    ("place", "value", "line"),
    [
        ((1, 2), "nan", "answers.csv, line 3: expected finite scores, got nan"),
        ((1, 2), "-inf", "answers.csv, line 3: expected finite scores, got -inf"),
        ((1, 2), "1e40", "answers.csv, line 3: expected finite scores, got 1e+40"),
        ((1, 2), "", "answers.csv, line 3: expected a number in 'cups', got nothing"),
        ((1, 3), "0,5", "answers.csv, line 3: expected a number in 'forks, small', got '0,5'; write decimals with a"),
        ((1, 3), "=1+1", "answers.csv, line 3: expected a number in 'forks, small', got '=1+1'"),
        ((2, 0), "test/forks, small/7.png", "line 4: expected an image of things, got 'test/forks, small/7.png'; its"),
        ((2, 0), "../../etc/passwd", "line 4: expected an image of things, got '../../etc/passwd'"),
        ((2, 0), PATHS[0], "line 4: expected one row for each image, test/cups/0.png has line 2 as well"),
        (
            (2, 1),
            "cups",
            "line 4: expected the labels of things, 1 of 6 are others: test/forks, small/0.png is of forks",
        ),
        ((2, 1), "7", "line 4: expected the labels of things, 1 of 6 are others"),
    ],
)
def test_a_wrong_cell_is_told_with_its_row(tmp_path: Path, place: tuple[int, int], value: object, line: str) -> None:
    table = rows()
    table[place[0]][place[1]] = value
    assert line in refused(written(tmp_path, table))


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (
            [[1.2, -0.1, -0.1]] * 6,
            "line 2: expected probabilities from 0 to 1, for every row sums to 1; got -0.1 to 1.2",
        ),
        ([[0.9, 0.8, 0.1]] * 6, "all scores lie between 0 and 1 (of sigmoids, divide each row by its sum"),
        ([[0.5, 0.5, 0.2]] + [[1, 0, 0]] * 5, "line 2: expected probabilities, of which each row sums to 1, or logits"),
        ([[80, 15, 5]] * 6, "expected probabilities or logits, not percentages: divide them by 100"),
    ],
)
def test_what_is_neither_probability_nor_logit_is_told(tmp_path: Path, values: list[list[float]], line: str) -> None:
    assert line in refused(written(tmp_path, rows(np.array(values))))


@pytest.mark.parametrize(
    ("head", "line"),
    [
        (("file", "label", "cups", "cups", "Spoons"), "expected columns of different names, 'cups' stands there twice"),
        (("file", "path", *NAMES), "expected one column of images, found file and path"),
        (("file", "label", *NAMES[:2], "x"), "expected columns of images, labels, and the data set's 3 classes"),
        (("file", "label", *NAMES[:2], "CUPS"), "expected one column for cups, found cups and CUPS"),
        (("id", "label", *NAMES), "found 'id'; leave it out"),
        (("label", "y", *NAMES), "found 'y'; leave it out"),
    ],
)
def test_columns_that_cannot_be_meant_are_told(tmp_path: Path, head: Sequence[str], line: str) -> None:
    table = [[row[0], row[1], *row[2:]] for row in rows()]
    for row in table:
        row[:2] = [1.0 if name in ("id", "y") else cell for name, cell in zip(head[:2], row[:2], strict=True)]
    assert line in refused(written(tmp_path, table, head))


def test_columns_that_are_missing_are_told(tmp_path: Path) -> None:
    table = [row[:4] for row in rows()]
    assert "it has none for Spoons; where its columns" in refused(written(tmp_path, table, HEAD[:4]))
    line = refused(written(tmp_path, [row[:3] for row in rows()], ("file", "label", "p")))
    assert line.endswith("for each class, found 'p' alone; of one probability p give both classes: 1 - p and p")
    line = refused(written(tmp_path, [[*row[:2], row[1]] for row in rows()], ("file", "label", "prediction")))
    assert "expected a column of scores for each class, called as the class is beside prediction, which alone" in line
    assert "of the images' files (file), found none" in refused(written(tmp_path, [row[2:] for row in rows()], NAMES))
    assert "columns of answers.csv in any order, they differ in 'Spoons'" in refused(
        written(tmp_path, rows()), classes=("cups", "forks, small", "knives")
    )
    assert "a score for each of the 3 classes of the data set, got 2 a row" in refused(
        written(tmp_path, table, ("file", "label", "0", "1"))
    )


def test_rows_that_are_missing_are_told(tmp_path: Path) -> None:
    line = refused(written(tmp_path, [*rows()[:2], *rows()[4:]]))
    assert line.endswith(
        "a row for each of the 6 test images, 2 have none, the first of these is test/forks, small/0.png"
    )
    assert refused(written(tmp_path, [])).endswith("expected a row for each image, found none")
    assert "expected 5 columns, got 4" in refused(written(tmp_path, [rows()[0][:4]]))


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "expected the names of the columns in its first line, it is empty"),
        ("file,label,cups\n".encode("utf-16"), "expected UTF-8 text, got UTF-16"),
        (b"file,label,cups,forks\n\xff,a,1,2\n", "expected UTF-8 text, got another encoding (at line 2)"),
        (b'file,label,cups,forks\n"a,b,1,1\n', "expected CSV, got what is none"),
        (
            b"file,cups,forks\n" + b"a" * 200_000 + b",1,1\n",
            "expected CSV, got what is none (field larger than field limit",
        ),
    ],
)
def test_what_is_no_table_is_told(tmp_path: Path, content: bytes, line: str) -> None:
    (tmp_path / "answers.csv").write_bytes(content)
    assert line in refused(tmp_path / "answers.csv")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("generator.data.prediction_files.MOST_ARRAYS", 100)
    assert "of at most 0 MiB unpacked beside the scores" in refused(saved(tmp_path, scores=LOGITS, files=list(PATHS)))
    turned = saved(tmp_path, scores=np.asfortranarray(LOGITS))
    assert "got those of a class; save numpy.ascontiguousarray(scores)" in refused(turned)
    (tmp_path / "answers.json").write_text("{}")
    assert "expected a file of answers called .csv, .tsv or .npz, got .json" in refused(tmp_path / "answers.json")


@pytest.mark.parametrize("block", [1, 5, 7, 1 << 21])
@pytest.mark.parametrize("kind", ["probabilities", "logits"])
def test_scores_are_the_same_whatever_is_looked_at_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, kind: str
) -> None:
    exact = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True) if kind == "probabilities" else LOGITS
    exact = np.where(exact == exact.min(), 0.0, exact) if kind == "probabilities" else exact
    monkeypatch.setattr("generator.data.prediction_files.BLOCK", block)
    found = prediction_files.read(saved(tmp_path, scores=exact), ())
    least = min(exact[exact > 0].min(), np.finfo(np.float32).eps) if kind == "probabilities" else 0
    wanted = np.log(np.maximum(exact, least)) if kind == "probabilities" else exact
    assert (found.kind, found.zeros) == (kind, int(kind == "probabilities"))
    np.testing.assert_array_equal(found.logits, wanted.astype(np.float32))
    wrong = exact.copy()
    wrong[4, 1] = np.nan
    assert "row 5: expected finite scores, got nan" in refused(saved(tmp_path, scores=wrong))


def test_many_answers_are_never_whole_in_float64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half precision of a million images of 1,000 classes is 2 GB, in float64 8, and each comparison as much again."""
    monkeypatch.setattr(prediction_files, "BLOCK", 1 << 16)
    count, classes = 60_000, 100
    scores = np.random.default_rng(0).normal(size=(count, classes)).astype(np.float16)
    file = saved(tmp_path, scores=scores)
    del scores
    tracemalloc.start()
    try:
        found = prediction_files.read(file, ())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.logits.dtype == np.float32
    numbers = count * classes
    assert peak < 4 * numbers + 64 * prediction_files.BLOCK  # the logits


@pytest.mark.parametrize("kind", ["csv", "npz", "compressed", "by columns", "float16"])
def test_answers_that_memory_has_no_room_for_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if kind == "csv":
        file = written(tmp_path, rows()[::-1])
    else:
        values = LOGITS.astype(np.float16 if kind == "float16" else float)[::-1]
        values = np.asfortranarray(values) if kind == "by columns" else values
        save = np.savez_compressed if kind == "compressed" else np.savez
        file = tmp_path / "answers.npz"
        save(file, scores=values, files=list(PATHS[::-1]), classes=list(NAMES))
    held = read(file)
    monkeypatch.setattr(prediction_files, "HELD", 0)
    monkeypatch.setattr(prediction_files, "BLOCK", 4)
    found = read(file)
    assert isinstance(found.logits["test"], np.memmap)
    assert not isinstance(held.logits["test"], np.memmap)
    assert np.array_equal(found.logits["test"], held.logits["test"])
    assert found.facts == held.facts
    scored = evaluate_predictions(found, data_set()).splits
    assert stored.plain(scored) == stored.plain(evaluate_predictions(held, data_set()).splits)


def test_a_disk_without_room_for_answers_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction_files, "HELD", 0)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=10))
    assert "make some, or name another folder in the environment variable TMPDIR" in refused(written(tmp_path, rows()))


def test_without_a_data_set_nothing_tells_the_images(tmp_path: Path) -> None:
    file = written(tmp_path, rows())
    with pytest.raises(InputError, match=r"\[models.net\] predictions: expected the data set whose images answers.csv"):
        predictions.read(ModelConfig("net", predictions=file), None)
