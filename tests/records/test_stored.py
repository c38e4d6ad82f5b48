"""Records come back from JSON as they went, or one line says what is wrong at which place of which file."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generator.base.errors import InputError
from generator.records import consistent, stored
from generator.records.scores import Evaluation
from generator.records.training import Run
from tests import synthetic

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "models").glob("*/*.json"))
READ: dict[str, Callable[[Path], Any]] = {
    "history.json": consistent.runs,
    "evaluation.json": consistent.evaluation,
    "benchmark.json": consistent.benchmark,
}


def evaluation() -> Evaluation:
    return replace(synthetic.evaluation("cnn", synthetic.CLASSES), faithfulness=synthetic.MEASURED)


def said(name: str) -> Any:
    """The file's content as JSON gives it."""
    records: dict[str, Any] = {
        "history.json": {"runs": [asdict(synthetic.run("augmented", 3, kept=2))]},
        "evaluation.json": evaluation(),
        "benchmark.json": synthetic.benchmark(),
    }
    return json.loads(stored.encode(records[name]))


def changed(folder: Path, name: str, place: str, value: Any) -> Path:
    """The file with one value changed; ... takes it away."""
    whole = said(name)
    *way, last = [int(key) if key.isdecimal() else key for key in place.split(".")]
    inner = whole
    for key in way:
        inner = inner[key]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    (folder / name).write_text(json.dumps(whole))
    return folder / name


def refusal(file: Path) -> str:
    with pytest.raises(InputError) as error:
        READ[file.name](file)
    line = str(error.value)
    assert line.startswith(f"{file}: ")
    assert "\n" not in line
    return line.removeprefix(f"{file}: ")


@pytest.mark.parametrize("file", SHIPPED, ids=[f"{file.parent.name}-{file.stem}" for file in SHIPPED])
def test_the_shipped_records_are_written_again_to_the_byte(file: Path) -> None:
    found = READ[file.name](file)
    again = {"runs": [run.written for run in found]} if file.name == "history.json" else found
    assert stored.encode(again) == file.read_bytes()


def test_arrays_have_their_types_and_nan_is_null(tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_bytes(stored.encode(evaluation()))
    scores = consistent.evaluation(tmp_path / "evaluation.json").splits["test"]
    np.testing.assert_array_equal(scores.confusion, synthetic.CONFUSION)
    assert [str(values.dtype) for values in (scores.confusion, scores.recall)] == ["int64", "float32"]
    assert np.isnan(scores.calibration.confidence).tolist() == [True, False, False, False]
    assert np.isnan(scores.calibration.chance)  # left out of the file, or null in it


def test_many_counts_of_which_few_are_above_zero_are_written_alone(tmp_path: Path) -> None:
    """Of 5,000 classes the whole matrix would be 125 MB."""
    names = tuple(f"class {number}" for number in range(5000))
    (tmp_path / "evaluation.json").write_bytes(stored.encode(synthetic.evaluation("cnn", names)))
    assert (tmp_path / "evaluation.json").stat().st_size < 10**7
    told = json.loads((tmp_path / "evaluation.json").read_text())["splits"]["test"]["confusion"]
    assert (told["shape"], told["counts"][0]) == ([5000, 5000], [0, 0, 8])
    scores = consistent.evaluation(tmp_path / "evaluation.json").splits["test"]
    np.testing.assert_array_equal(scores.confusion, synthetic.confusion_matrix(5000))
    assert scores.confusion.dtype == np.int64


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"shape": [4, 4]}, "expected an array, or its shape and counts, found an object of other fields"),
        ({"shape": [4, 4, 4], "counts": []}, "expected a list of"),
        ({"shape": [10**6, 10**6], "counts": []}, "expected at most 100,000,000 counts, found 1,000,000 x 1,000,000"),
        ({"shape": [4, 4], "counts": [[0, 4, 1]]}, "expected counts within 4 x 4, found others"),
        ({"shape": [4, 4], "counts": [[0, 0, -1]]}, "expected a whole number of at least 0"),
        ({"shape": [4, 4], "counts": [[0, 0, 1]]}, "the 1 images of the confusion matrix, at least one"),
    ],
)
def test_counts_that_are_written_alone_are_looked_at(told: object, words: str, tmp_path: Path) -> None:
    found = json.loads(stored.encode(evaluation()))
    found["splits"]["test"]["confusion"] = told
    (tmp_path / "evaluation.json").write_text(json.dumps(found))
    assert words in refusal(tmp_path / "evaluation.json")


def test_what_json_cannot_hold_is_null_or_spelt_out() -> None:
    told = json.loads(stored.encode({"loss": float("inf"), "file": "caf\udce9.png", "pair": (1, 2.00000001)}))
    assert told == {"loss": None, "file": "caf\\udce9.png", "pair": [1, 2.0]}


@pytest.mark.parametrize(
    ("name", "place", "value", "words"),
    [
        ("evaluation.json", "temperature", "x", "temperature: expected a number, found text; restore the file"),
        ("evaluation.json", "temperature", True, "temperature: expected a number, found true or false"),
        ("evaluation.json", "temperature", ..., "expected a field temperature, found none"),
        ("evaluation.json", "splits", {}, "splits: expected the scores of at least one split, found none"),
        ("evaluation.json", "splits.test", [], "splits.test: expected named values, found a list"),
        ("evaluation.json", "splits.test.loss", -1, "splits.test.loss: expected a number of at least -0.001, found -1"),
        ("evaluation.json", "splits.test.count", -40, "splits.test.count: expected a whole number of at least 0"),
        ("evaluation.json", "splits.test.count", 41, "splits.test.count: expected the 40 images of the confusion ma"),
        ("evaluation.json", "splits.test.split", "train", "splits.test.split: expected test, as its key says, found t"),
        ("evaluation.json", "splits.test.top1", 0.9, "splits.test.top1: expected 0.8, as follows from the confusion"),
        ("evaluation.json", "splits.test.precision", [], "splits.test.precision: expected 4 values, one for each cla"),
        ("evaluation.json", "splits.test.recall.1", None, "splits.test.recall[1]: expected 0.9, as follows from the"),
        ("evaluation.json", "splits.test.recall.1", 9e9, "splits.test.recall[1]: expected a number of at most 1, f"),
        ("evaluation.json", "splits.test.confusion.0.0", "6", "splits.test.confusion[0][0]: expected a whole number"),
        ("evaluation.json", "splits.test.confusion.2", [1], "splits.test.confusion[2]: expected 4 counts, as in the"),
        ("evaluation.json", "splits.test.confusion.3", ..., "splits.test.confusion: expected 4 rows and columns, on"),
        ("evaluation.json", "splits.test.confusion.0.0", 10**30, "splits.test.confusion[0][0]: expected a whole num"),
        ("evaluation.json", "splits.test.pairs.0.true", 4, "splits.test.pairs[0].true: expected the index of one of"),
        ("evaluation.json", "splits.test.mistakes.1.predicted", 9, "splits.test.mistakes[1].predicted: expected the i"),
        (
            "evaluation.json",
            "splits.test.calibration.edges",
            [0, 1],
            "splits.test.calibration.edges: expected 5 values",
        ),
        (
            "evaluation.json",
            "splits.test.calibration.counts.1",
            7,
            "splits.test.calibration.counts: expected counts of",
        ),
        ("evaluation.json", "splits.test.calibration.accuracy.0", 1, "splits.test.calibration.accuracy[0]: expected n"),
        ("evaluation.json", "splits.test.top1_interval", [0.9, 0.1], "splits.test.top1_interval: expected an interval"),
        (
            "evaluation.json",
            "class_names",
            ["bee"] * 4,
            "class_names: expected at least one name, each once, found bee",
        ),
        ("evaluation.json", "class_names.3", ..., "splits.train.confusion: expected 3 rows and columns, one for each"),
        ("evaluation.json", "splits.test.chance", 1, "expected no splits.test.chance, which is no part of such a rec"),
        ("evaluation.json", "environment", {"a\nb": 1}, r"environment.'a\nb': expected text, found a whole number"),
        ("evaluation.json", "faithfulness.localisation.0.pointing.ahead.centre", ..., "faithfulness.localisation[0].p"),
        ("evaluation.json", "faithfulness.randomisation.0.silent.0", ..., "faithfulness.randomisation[0].silent: exp"),
        (
            "history.json",
            "runs.0.epochs.0.train_loss",
            "x",
            "runs[0].epochs[0].train_loss: expected a number or null, found t",
        ),
        ("history.json", "runs.0.epochs.0.train_loss", 1e300, "runs[0].epochs[0].train_loss: expected a number of at"),
        ("history.json", "runs.0.epochs.1.epoch", 1, "runs[0].epochs[1].epoch: expected a number above 1, that of th"),
        ("history.json", "runs.0.epochs", [], "runs[0].epochs: expected at least one epoch, found none"),
        ("history.json", "runs.0.kept", 4, "runs[0].kept: expected the number of one of the run's epochs, found 4"),
        ("history.json", "runs.0.settings.started_after", "3", "runs[0].settings: expected the settings of a training"),
        ("history.json", "runs.0.settings.teachers", ["a"], "runs[0].settings: expected distillation beside teachers"),
        ("history.json", "runs", {}, "runs: expected a list, found named values; restore the file, or delete"),
        ("benchmark.json", "training_rates.alexnet", None, "training_rates.alexnet: expected a number, found null"),
        (
            "benchmark.json",
            "quick_rate",
            -1,
            "quick_rate: expected a number of at least 0, found -1; delete it",
        ),
    ],
)
def test_one_wrong_value_is_named_with_its_place(tmp_path: Path, name: str, place: str, value: Any, words: str) -> None:
    assert refusal(changed(tmp_path, name, place, value)).startswith(words)


def test_where_there_are_boxes_all_of_them_were_measured(tmp_path: Path) -> None:
    """An empty list is right: of images without boxes nothing can be said of where the maps point."""
    row = {**said("evaluation.json")["faithfulness"]["localisation"][0], "small": True}
    place = "faithfulness.localisation"
    assert refusal(changed(tmp_path, "evaluation.json", place, [row])).startswith(
        f"{place}: expected measurements on all boxes"
    )
    found = consistent.evaluation(changed(tmp_path, "evaluation.json", place, []))
    assert found.faithfulness is not None
    assert not found.faithfulness.boxes


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "expected JSON, found a damaged file (Input data was truncated)"),
        (b'{"runs": [', "expected JSON, found a damaged file (Input data was truncated)"),
        (b'{"a": NaN}', "expected JSON, found a damaged file (JSON is malformed: invalid character (byte 6))"),
        (b'{"a": 1e400}', "expected numbers that can be held, found a larger one"),
        (b'{"a": "\xe9"}', "expected JSON, found a damaged file (Invalid UTF-8 encoded string)"),
        (b"[" * 100_000, "expected values at most 100 levels deep, found more"),
        (b'{"a":' * 500 + b"1" + b"}" * 500, "expected values at most 100 levels deep, found more"),
        (b"[]", "expected named values, found a list"),
    ],
    ids=["empty", "cut short", "nan", "1e400", "no UTF-8", "endless", "deep", "a list"],
)
def test_what_is_no_record_is_said(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert refusal(tmp_path / name).startswith(words)


def test_a_byte_order_mark_is_no_part_of_a_record(tmp_path: Path) -> None:
    (tmp_path / "history.json").write_bytes(b"\xef\xbb\xbf" + stored.encode(said("history.json")))
    assert consistent.runs(tmp_path / "history.json")[0].kept == 2


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"history\.json: expected a file of JSON, found none$"):
        consistent.runs(tmp_path / "history.json")
    (tmp_path / "history.json").mkdir()
    assert refusal(tmp_path / "history.json") == "expected a file of JSON, found a folder"
    (tmp_path / "benchmark.json").write_bytes(b"12345")
    with pytest.raises(InputError, match=r"expected a file of JSON, found 5 bytes, where 4 are the most that are read"):
        stored.content_of(tmp_path / "benchmark.json", "a file of JSON", 4)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "evaluation.json")
    assert refusal(tmp_path / "evaluation.json") == "expected a file of JSON, found a pipe or a device"


def test_settings_of_the_training_before_are_looked_at_too(tmp_path: Path) -> None:
    whole = said("history.json")
    earlier = {"teachers": ["ab"], "distillation": 0.5, "temperature": 2.0}
    whole["runs"][0]["settings"] |= {"started_from": "cd", "started_after": 2, "started_settings": earlier}
    (tmp_path / "history.json").write_text(json.dumps(whole))
    (run,) = consistent.runs(tmp_path / "history.json")
    assert isinstance(run, Run)
    assert run.settings["started_settings"] == earlier
    worse = copy.deepcopy(whole)
    del worse["runs"][0]["settings"]["started_settings"]["temperature"]
    (tmp_path / "history.json").write_text(json.dumps(worse))
    assert refusal(tmp_path / "history.json").startswith(
        "runs[0].settings.started_settings: expected temperature beside teachers, found none"
    )
