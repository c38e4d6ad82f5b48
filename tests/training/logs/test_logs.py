"""Logs of other training programs: what each of them writes, as real files have it, becomes the epochs of one run."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from generator.base.errors import InputError
from generator.config.schema import ModelConfig
from generator.records.training import Log, Run
from generator.training import logs
from generator.training.logs import events
from tests import synthetic

SAMPLES = Path(__file__).parent / "samples"
MEASURES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate", "seconds")


def read(path: Path, **said: object) -> Run:
    """The run of a log that lies below the samples, or anywhere."""
    (run,) = logs.read(replace(ModelConfig("net", logs=(path,)), **said), path.parent)  # type: ignore[arg-type]
    return run


def log_of(run: Run) -> Log:
    assert run.log is not None
    return run.log


def table(folder: Path, text: str, name: str = "log.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def told(run: Run) -> dict[str, list[float | None]]:
    """Each measure over the epochs, as far as the log has it."""
    assert {epoch.image_size for epoch in run.epochs} == {None}
    values = {name: [getattr(epoch, name) for epoch in run.epochs] for name in MEASURES}
    return {name: of for name, of in values.items() if any(value is not None for value in of)}


LIGHTNING = {  # the epochs' own rows of metrics.csv, and the learning rate in the row before them
    "train_loss": [1.1228023, 1.0696871, 1.0345724, 1.0123317, 1.0020859],
    "train_accuracy": [0.30859375, 0.421875, 0.484375, 0.51953125, 0.5390625],
    "validation_loss": [1.0830644, 1.0437025, 1.0169597, 1.0033889, 0.9996748],
    "validation_accuracy": [0.375, 0.4609375, 0.5078125, 0.5390625, 0.55078125],
    "learning_rate": [0.001, 0.0009045085, 0.0006545085, 0.0003454915, 9.54915e-05],
}


@pytest.mark.parametrize("name", ["lightning/version_1/metrics.csv", "lightning_tensorboard"])
def test_lightning_says_the_same_in_its_table_and_to_tensorboard(name: str) -> None:
    run = read(SAMPLES / name)
    assert [epoch.epoch for epoch in run.epochs] == [1, 2, 3, 4, 5]
    found = told(run)
    assert set(found) == set(LIGHTNING)
    for measure, values in LIGHTNING.items():
        assert found[measure] == pytest.approx(values, rel=1e-6), measure
    assert log_of(run).columns["training loss"] == "train_loss_epoch"


def test_tensorboard_s_scalars_are_read_in_both_forms() -> None:
    """torch's SummaryWriter, with simple values; and with new_style, as tensors, which TensorFlow writes too."""
    found = told(read(SAMPLES / "tensorboard"))
    assert found["train_loss"] == pytest.approx([2 * 0.6**epoch for epoch in range(5)], rel=1e-6)
    assert found["validation_loss"] == pytest.approx([2 * 0.7**epoch for epoch in range(5)], rel=1e-6)
    assert found["train_accuracy"] == [0.5, 0.75, 0.875, 0.9375, 0.96875]
    assert found["learning_rate"][0] == 0.1  # not 0.10000000149, which is the float32
    tensors = told(read(SAMPLES / "tensors"))
    assert tensors == {"validation_accuracy": found["validation_accuracy"]}


def test_keras_s_table_has_gaps_where_it_says_na() -> None:
    run = read(SAMPLES / "training.log")
    assert run.epochs[0].validation_accuracy is None
    assert run.epochs[1].validation_accuracy == pytest.approx(0.3269, abs=1e-4)
    assert run.epochs[0].train_accuracy == pytest.approx(0.348, abs=1e-3)  # `accuracy`: without val_ it is this
    assert [epoch.epoch for epoch in run.epochs] == [1, 2, 3, 4]


def test_timm_s_table_is_in_percent() -> None:
    run = read(SAMPLES / "timm" / "summary.csv")
    assert told(run)["validation_accuracy"] == [0.4, 0.5, 0.6, 0.7]
    assert log_of(run).format == "timm's log"
    assert log_of(run).columns["validation accuracy"] == "eval_top1 (in percent)"


def test_ultralytics_table_counts_the_time_from_the_beginning() -> None:
    run = read(SAMPLES / "ultralytics" / "results.csv")
    assert told(run) == {
        "train_loss": [2.1022, 1.6023, 1.2021],
        "validation_loss": [1.8021, 1.4022, 1.1021],
        "validation_accuracy": [0.31, 0.48, 0.6],  # accuracy_top1: of the validation, though it does not say so
        "learning_rate": [0.00333, 0.0066, 0.0098],
        "seconds": [12.5, 11.75, 12.25],
    }
    assert run.seconds == 36.5
    older = read(SAMPLES / "older" / "results.csv")  # padded, and counted from 0
    assert [(epoch.epoch, epoch.validation_accuracy) for epoch in older.epochs] == [(1, 0.31), (2, 0.48)]


def test_hugging_face_s_rows_of_an_epoch_become_one() -> None:
    """Of the training losses in it the mean; the row that sums the training up is no loss of an epoch."""
    run = read(SAMPLES / "huggingface" / "checkpoint-16" / "trainer_state.json")
    assert told(run) == {
        "train_loss": [1.5, 0.5],
        "validation_loss": [1.5, 0.9],
        "validation_accuracy": [0.4, 0.7],
        "learning_rate": [3e-05, 1e-05],
    }
    assert log_of(run).columns["training loss"] == "loss (the mean of an epoch's rows)"


def test_rows_of_json_and_what_is_called_test(tmp_path: Path) -> None:
    run = read(SAMPLES / "log.txt")
    assert told(run)["validation_accuracy"] == [0.255, 0.4325]
    assert told(run)["learning_rate"] == [1e-06, 0.0004]
    assert "What it calls test is shown as validation here" in log_of(run).notes[0]
    assert log_of(run).part == "test"
    assert log_of(read(SAMPLES / "history.csv")).part == "validation"
    lists = {"loss": [2.0, 1.0], "val_loss": [2.5, 1.5], "epoch_count": 2}
    assert told(read(table(tmp_path, json.dumps(lists), "history.json"))) == {
        "train_loss": [2.0, 1.0],
        "validation_loss": [2.5, 1.5],
    }
    nested = [{"epoch": 1, "train": {"loss": 2.0}, "val": {"acc": 0.5}}, {"epoch": 2, "val": {"acc": 0.75}}]
    assert told(read(table(tmp_path, json.dumps(nested), "log.json"))) == {
        "train_loss": [2.0, None],
        "validation_accuracy": [0.5, 0.75],
    }


def test_fastai_s_accuracy_is_of_the_validation_and_its_time_a_clock() -> None:
    found = told(read(SAMPLES / "history.csv"))
    assert found["validation_accuracy"] == [0.6, 0.75]
    assert "train_accuracy" not in found
    assert found["seconds"] == [65, 63]


def test_the_program_s_own_record_is_taken_as_it_is(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[3] / "models" / "alexnet" / "history.json"
    (run,) = logs.read(ModelConfig("net", logs=(shipped,)), tmp_path)
    assert (run.name, run.kept, run.log, len(run.epochs)) == ("augmented", 96, None, 96)
    (run,) = logs.read(ModelConfig("net", logs=(shipped,), kept=90), tmp_path)
    assert run.kept == 90


NAMES = {
    "epoch,Train Loss,Val Acc\n1,2,0.5": {"train_loss": [2.0], "validation_accuracy": [0.5]},
    "Epoch;trainLoss;valAcc\n1;2,5;0,5": {"train_loss": [2.5], "validation_accuracy": [0.5]},
    "# epoch\tloss\tacc@1\tacc@5\n1\t2\t50.5\t90": {"train_loss": [2.0], "train_accuracy": [0.505]},
    "epoch,valid/err\n1,0.25\n2,0.125": {"validation_accuracy": [0.75, 0.875]},
    "epoch,val_error_pct\n1,25": {"validation_accuracy": [0.75]},
    "epoch,val_acc (%)\n1,0.5": {"validation_accuracy": [0.005]},
    "epoch,val_acc\n1,84.5%": {"validation_accuracy": [0.845]},
    "epoch,val_acc,val_acc_ema,val_balanced_acc\n1,0.5,0.6,0.4": {"validation_accuracy": [0.5]},
    "epoch,val_MulticlassAccuracy,val_f1\n1,0.5,0.4": {"validation_accuracy": [0.5]},
    "epoch,eval_top1,eval_top5,eval_loss\n1,0.75,1.5,7": {"validation_accuracy": [0.0075], "validation_loss": [7.0]},
    "epoch,lr-AdamW,lr-AdamW-momentum,grad_norm,loss\n1,0.1,0.9,3,2": {"train_loss": [2.0], "learning_rate": [0.1]},
}


@pytest.mark.parametrize("text", list(NAMES))
def test_a_table_of_anybody_is_understood_by_its_names(tmp_path: Path, text: str) -> None:
    assert told(read(table(tmp_path, text))) == NAMES[text]


def test_epochs_are_numbered_from_one_whatever_they_are_counted_from(tmp_path: Path) -> None:
    for start, first in ((0, 1), (1, 1), (7, 7)):
        rows = "".join(f"{start + place},1\n" for place in range(3))
        run = read(table(tmp_path, f"epoch,loss\n{rows}"))
        assert [epoch.epoch for epoch in run.epochs] == [first, first + 1, first + 2]


def test_a_training_that_began_again_counts_once(tmp_path: Path) -> None:
    """After a crash in epoch 3 it went on from epoch 2; another program appends a second training."""
    head = "epoch,loss\n"
    run = read(table(tmp_path, f"{head}0,5\n1,4\n2,3\n1,2\n2,1\n"))
    assert told(run)["train_loss"] == [5, 2, 1]
    assert "begins again at an earlier epoch" in log_of(run).notes[0]
    again = read(table(tmp_path, f"{head}1,5\n2,4\n3,3\n{head}1,9\n2,8\n"))
    assert told(again)["train_loss"] == [9, 8]


def test_what_is_no_number_is_a_gap_that_is_told(tmp_path: Path) -> None:
    run = read(table(tmp_path, "epoch,loss,val_acc\n1,2,0.5\n2,nan,0.1\n3,inf,0.1\n"))
    assert told(run)["train_loss"] == [2, None, None]
    assert log_of(run).notes == ("In 2 of its epochs loss is no number.",)


def test_numbers_that_are_no_accuracy_are_left_out_and_told(tmp_path: Path) -> None:
    run = read(table(tmp_path, "epoch,loss,val_acc\n1,2,-0.5\n2,1,3200\n"))
    assert told(run) == {"train_loss": [2, 1]}
    assert "val_acc is left out: its numbers are neither shares nor percentages" in log_of(run).notes[0]


def test_two_columns_that_say_the_same_are_told(tmp_path: Path) -> None:
    run = read(table(tmp_path, "epoch,val_acc,val_accuracy\n1,0.5,0.6\n"))
    assert told(run)["validation_accuracy"] == [0.5]
    assert log_of(run).notes == ("Its validation accuracy may be val_acc or val_accuracy; the first is shown.",)


def test_the_last_row_may_still_be_written_and_odd_ones_are_counted(tmp_path: Path) -> None:
    run = read(table(tmp_path, "epoch,loss\n1,3\n2,2,9\n3,1\n4"))
    assert told(run)["train_loss"] == [3, 1]
    assert log_of(run).notes == ("1 of its rows have another number of cells than its head and are left out.",)


# Which epoch


@pytest.mark.parametrize(("kept", "expected"), [("best", 2), ("last", 3), (0, 1), (2, 3), (None, None)])
def test_the_kept_epoch_is_the_one_that_is_declared(tmp_path: Path, kept: object, expected: int | None) -> None:
    """By a number as the log counts, here from 0."""
    path = table(tmp_path, "epoch,val_acc\n0,0.5\n1,0.75\n2,0.625\n")
    run = read(path, kept=kept)
    assert run.kept == expected
    assert (run.kept_epoch is None) == (expected is None)
    assert run.told_epoch.epoch == (expected or 3)


def test_the_epoch_that_the_weights_say_is_kept_where_the_log_has_it(tmp_path: Path) -> None:
    wanted = ModelConfig("net", logs=(table(tmp_path, "epoch,val_acc\n0,0.5\n1,0.75\n"),))
    for saved, kept in ((2, 2), (3, None), (None, None)):
        (run,) = logs.read(wanted, tmp_path, saved)
        assert run.kept == kept
    (run,) = logs.read(replace(wanted, kept=0), tmp_path, 2)
    assert run.kept == 1


def test_an_epoch_that_the_log_does_not_have_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path, "epoch,loss\n0,5\n1,4\n")
    with pytest.raises(
        InputError, match=r"^\[models.net\] kept: expected one of the epochs .* log.csv .*, 0 to 1, got 2$"
    ):
        read(path, kept=2)
    with pytest.raises(InputError, match='kept: expected a log with the validation accuracy, of which "best" is'):
        read(path, kept="best")
    with pytest.raises(InputError, match="kept: expected one of the epochs"):  # not: this log cannot be read
        logs.read(ModelConfig("net", logs=(tmp_path,), kept=7), tmp_path)


# Folders


def test_of_a_folder_the_newest_run_is_read_and_that_is_said() -> None:
    said: list[str] = []
    (run,) = logs.read(ModelConfig("net", logs=(SAMPLES / "lightning",)), SAMPLES, say=said.append)
    assert (run.name, len(run.epochs)) == ("lightning/version_1/metrics.csv", 5)
    (line,) = said
    assert line.startswith("lightning: lightning/version_1/metrics.csv is read, the newest of its 2 logs; name others")
    both = (SAMPLES / "lightning" / "version_0", SAMPLES / "lightning" / "version_1")
    assert [len(run.epochs) for run in logs.read(ModelConfig("net", logs=both), SAMPLES)] == [1, 5]


def test_versions_are_counted_as_numbers(tmp_path: Path) -> None:
    for version in (2, 9, 10):
        (tmp_path / f"version_{version}").mkdir()
        table(tmp_path / f"version_{version}", f"epoch,loss\n1,{version}\n", "metrics.csv")
    assert told(read(tmp_path))["train_loss"] == [10]


def test_of_hugging_face_s_folder_the_last_checkpoint_s_log_is_read(tmp_path: Path) -> None:
    said: list[str] = []
    (run,) = logs.read(ModelConfig("net", logs=(SAMPLES / "huggingface",)), SAMPLES, say=said.append)
    assert (run.name, len(run.epochs)) == ("huggingface/checkpoint-16/trainer_state.json", 2)
    assert said == []


def test_of_several_logs_of_one_run_the_best_known_is_read(tmp_path: Path) -> None:
    """Lightning writes to its table and to TensorBoard, Ultralytics likewise: it is one training."""
    table(tmp_path, "epoch,step,val_acc\n0,7,0.5\n", "metrics.csv")
    (tmp_path / "events.out.tfevents.1").write_bytes(record(1, {"val_acc": 0.25}))
    table(tmp_path, "file,label\na.png,1\n", "labels.csv")  # no log
    said: list[str] = []
    (run,) = logs.read(ModelConfig("net", logs=(tmp_path,)), tmp_path, say=said.append)
    assert (told(run), said) == ({"validation_accuracy": [0.5]}, [])


def test_an_unreadable_log_of_a_folder_is_said_and_left_out(tmp_path: Path) -> None:
    for version, text in ((1, "epoch,loss\n1,3\n"), (2, "epoch,name\n1,b\n"), (3, "")):
        (tmp_path / f"version_{version}").mkdir()
        table(tmp_path / f"version_{version}", text, "metrics.csv")
    said: list[str] = []
    (run,) = logs.read(ModelConfig("net", logs=(tmp_path,)), tmp_path, say=said.append)
    assert run.name == "version_1/metrics.csv"
    assert [line.partition("metrics.csv: ")[2] for line in said[:2]] == [
        "expected a log of a training, found an empty file; left out",
        "expected losses or accuracies by epoch, found the columns 'epoch'; left out",
    ]


def test_a_folder_without_a_log_is_refused_and_a_link_round_it_followed_by_nobody(tmp_path: Path) -> None:
    (tmp_path / "round").symlink_to(tmp_path)
    (tmp_path / "metrics.csv").symlink_to(tmp_path / "metrics.csv")
    with pytest.raises(InputError, match="expected a log of a training in this folder, found none that can be read"):
        read(tmp_path)


def test_no_page_shows_where_on_this_machine_a_log_lies(tmp_path: Path) -> None:
    """The pages are published."""
    (tmp_path / "runs" / "a").mkdir(parents=True)
    path = table(tmp_path / "runs" / "a", "epoch,loss\n1,3\n")
    (run,) = logs.read(ModelConfig("net", logs=(path,)), tmp_path / "report")
    assert run.name == log_of(run).path == "a/log.csv"


def test_names_of_files_and_columns_are_letters_in_one_line(tmp_path: Path) -> None:
    """Whatever a log is called and calls its numbers: pages and the terminal show it."""
    path = tmp_path / os.fsdecode(b"a\nb\xe9.csv")
    path.write_text(f"epoch,\x07val {'x' * 400} acc\n1,0.5\n")
    run = read(path)
    assert run.name == "a\\nb\\xe9.csv"
    column = log_of(run).columns["validation accuracy"] if run.epochs[0].validation_accuracy else ""
    assert column.startswith("\\x07val")
    assert len(column) < 310
    lines = json.dumps({"epoch": 1, "val_acc\ud800": 0.5})
    (tmp_path / "log.json").write_text(f"[{lines}]")
    assert log_of(read(tmp_path / "log.json")).columns == {"validation accuracy": "val_acc\\ud800"}


# TensorBoard


def field(number: int, wire: int, content: bytes) -> bytes:
    """One field of a protobuf message; numbers below 16 have a key of one byte."""
    length = bytes([len(content)]) if wire == 2 else b""
    return bytes([number << 3 | wire]) + length + content


def record(step: int, scalars: Mapping[str, float], kind: str = "simple") -> bytes:
    """A TFRecord with an Event of these scalars."""
    values = b""
    for tag, value in scalars.items():
        if kind == "simple":
            said = field(2, 5, struct.pack("<f", value))
        elif kind == "content":  # TensorFlow's: the tensor's bytes
            said = field(8, 2, field(1, 0, b"\x01") + field(4, 2, struct.pack("<f", value)))
        else:
            said = field(8, 2, field(1, 0, b"\x02") + field(6, 2, struct.pack("<d", value)))
        values += field(1, 2, field(1, 2, tag.encode()) + said)
    event = field(1, 1, struct.pack("<d", 1.7e9)) + field(2, 0, bytes([step])) + field(5, 2, values)
    return framed(event)


def framed(event: bytes) -> bytes:
    length = struct.pack("<Q", len(event))
    return length + struct.pack("<I", events.crc(length)) + event + struct.pack("<I", events.crc(event))


def test_the_checksum_is_that_of_the_standard() -> None:
    """RFC 3720, appendix B.4: 32 bytes of zeros have the CRC-32C 8a9136aa; TFRecord turns and shifts it."""
    plain = 0x8A9136AA
    assert events.crc(bytes(32)) == ((plain >> 15 | plain << 17) + 0xA282EAD8) & 0xFFFFFFFF


@pytest.mark.parametrize("kind", ["simple", "content", "double"])
def test_keras_s_folders_of_train_and_validation_are_one_run(tmp_path: Path, kind: str) -> None:
    for part, factor in (("train", 1.0), ("validation", 0.5)):
        (tmp_path / part).mkdir()
        written = [record(step, {"epoch_loss": 4 - step, "epoch_accuracy": factor * step / 4}, kind) for step in (1, 2)]
        (tmp_path / part / "events.out.tfevents.1.host").write_bytes(b"".join(written))
    assert told(read(tmp_path)) == {
        "train_loss": [3, 2],
        "train_accuracy": [0.25, 0.5],
        "validation_loss": [3, 2],
        "validation_accuracy": [0.125, 0.25],
    }


def test_add_scalars_folders_belong_to_the_run_around_them(tmp_path: Path) -> None:
    (tmp_path / "events.out.tfevents.1").write_bytes(record(0, {"lr": 0.5}) + record(1, {"lr": 0.25}))
    for part, value in (("train", 2.0), ("val", 3.0)):
        (tmp_path / f"Loss_{part}").mkdir()
        content = record(0, {"Loss": value}) + record(1, {"Loss": value / 2})
        (tmp_path / f"Loss_{part}" / "events.out.tfevents.2").write_bytes(content)
    assert told(read(tmp_path)) == {
        "train_loss": [2, 1],
        "validation_loss": [3, 1.5],
        "learning_rate": [0.5, 0.25],
    }


def test_of_runs_in_tensorboard_the_one_begun_last_is_read(tmp_path: Path) -> None:
    """torch names their folders by the month, which sorts wrongly."""
    for name, stamp, value in (("Dec01_host", 1764547200, 0.25), ("Jan02_host", 1767312000, 0.5)):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"events.out.tfevents.{stamp}.host.1.0").write_bytes(record(1, {"val_acc": value}))
    assert told(read(tmp_path)) == {"validation_accuracy": [0.5]}


def test_steps_that_are_no_epochs_are_counted_by_the_validations(tmp_path: Path) -> None:
    written = [record(step, {"train_loss": 100 - step}) for step in (10, 20, 30, 40, 50)]
    written += [record(step, {"val_acc": step / 100}) for step in (25, 50)]
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(b"".join(written))
    run = read(path)
    assert told(run) == {
        "train_loss": [85, 60],
        "validation_accuracy": [0.25, 0.5],
    }  # means of 90, 80 and of 70, 60, 50
    assert "each measurement on the validation images counts as the end of one" in log_of(run).notes[0]


def test_a_log_that_is_cut_off_or_damaged_is_read_up_to_there(tmp_path: Path) -> None:
    whole = record(1, {"val_acc": 0.25}) + record(2, {"val_acc": 0.5})
    path = tmp_path / "events.out.tfevents.1"
    for content, note in (
        (whole + record(3, {"val_acc": 0.75})[:-6], "The end of events.out.tfevents.1 is cut off"),
        (whole + b"\0" + record(3, {"val_acc": 0.75})[1:], "events.out.tfevents.1 is damaged"),
        (whole + record(3, {"val_acc": 0.75})[:-1] + b"\0", "events.out.tfevents.1 is damaged"),
        (whole + framed(b"\x0b\xff"), "An event in events.out.tfevents.1 is damaged"),
    ):
        path.write_bytes(content)
        run = read(path)
        assert told(run) == {"validation_accuracy": [0.25, 0.5]}
        assert note in log_of(run).notes[0]


def test_images_and_histograms_are_passed_over(tmp_path: Path) -> None:
    large = framed(field(1, 1, struct.pack("<d", 1.7e9)) + b"\x12\x80\x80\x60" + bytes(3 << 19))
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(large + record(1, {"val_acc": 0.25}))
    assert told(read(path)) == {"validation_accuracy": [0.25]}


# What is no log


BROKEN = {
    "empty": ("log.csv", b"", "found an empty file"),
    "blank": ("log.csv", b"\n \n", "found an empty file"),
    "binary": ("log.csv", bytes(range(256)) * 40, "found something else"),
    "a picture": ("log.csv", b"\x89PNG\r\n\x1a\n" + bytes(100), "found something else"),
    "latin-1": ("log.csv", "epoch,loss,größe\n1,2,3\n".encode("latin-1"), "another encoding; save it as UTF-8"),
    "zeros": ("log.csv", b"epoch,loss\n1,2\n" + bytes(100), "expected a log of a training in text"),
    "no epochs": ("log.csv", b"step,loss\n1,2\n", "expected a column epoch, found the columns 'step', 'loss'"),
    "no measure": ("log.csv", b"epoch,name\n1,2\n", "expected losses or accuracies by epoch, found the columns"),
    "a head alone": ("log.csv", b"epoch,loss\n", "expected losses or accuracies by epoch, found no numbers"),
    "no numbers": ("log.csv", b"epoch,loss\n1,nan\n", "found no number in any of them"),
    "no numbered epoch": ("log.csv", b"epoch,loss\nnan,1\n", "expected numbers in its column 'epoch', found none"),
    "epochs below 0": ("log.csv", b"epoch,loss\n-3,1\n", "expected epochs from 0 to 10,000,000, found -3 to -3"),
    "columns twice": ("log.csv", b"epoch,loss,loss\n1,2,3\n", "found two called 'loss'"),
    "a line of 10 MB": ("log.csv", b"epoch,loss\n" + b"1" * 10_000_000, "expected a table of a training's epochs"),
    "a line of many": ("log.csv", b"epoch,loss" + b",a" * 3000 + b"\n1,2\n", "expected at most 2,000 columns"),
    "too many epochs": (
        "log.csv",
        b"epoch,loss\n" + b"".join(b"%d,1\n" % n for n in range(10_001)),
        "at most 10,000 ep",
    ),
    "a console's bars": (
        "train.log",
        b"Epoch 1/2\n469/469 [====] - 3s 5ms/step - loss: 0.29 - accuracy: 0.92\nEpoch 2/2\n",
        "such as a program prints on a console; have it write one of those that are read: TensorBoard's event files",
    ),
    "a console's lines": ("log.txt", b"10:00:00 INFO epoch 1: loss 0.51, acc 0.81\n" * 2, "prints on a console"),
    "prose": ("log.csv", b"It went well.\n", "expected losses or accuracies by epoch"),
    "half a JSON": ("log.json", b'{"log_history": [', "found a damaged one"),
    "a deep JSON": ("log.json", b"[" * 100_000, "expected a log in JSON, found"),
    "another JSON": ("log.json", b'["a", 3]', "found something else"),
    "no events": ("events.out.tfevents.1", b"no events at all", "expected a log of TensorBoard (TFRecords)"),
    "a beginning": ("events.out.tfevents.1", b"\x01", "found the beginning of one"),
    "no scalars": ("events.out.tfevents.1", record(1, {}), "expected scalars in TensorBoard's event files, found none"),
}


@pytest.mark.parametrize("kind", list(BROKEN))
def test_a_file_that_was_named_and_is_no_log_is_one_line(tmp_path: Path, kind: str) -> None:
    name, content, words = BROKEN[kind]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(tmp_path / name)
    said = str(caught.value)
    assert said.startswith(str(tmp_path / name))
    assert words in said
    assert "\n" not in said
    assert len(said) < 400 + len(str(tmp_path))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    for name in ("log.csv", "events.out.tfevents.1"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(InputError, match="found a pipe or a device"):
            read(tmp_path / name)


def test_utf_16_is_read_as_powershell_writes_it(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes("epoch,loss\r\n1,2\r\n".encode("utf-16"))
    assert told(read(tmp_path / "log.csv")) == {"train_loss": [2]}


def test_logs_are_read_without_torch() -> None:
    program = "import sys; import generator.training.logs; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_what_a_run_tells_is_that_of_its_epochs() -> None:
    run = synthetic.run("augmented", 3)
    assert run.best_epoch == run.epochs[-1]
    assert run.seconds == 37.5
    gap = replace(run, epochs=(replace(run.epochs[0], seconds=None), *run.epochs[1:]))
    assert gap.seconds is None
    assert "log" not in run.written
