"""Any file that is given as weights: its tensors by the network's names, or one line that says what it is."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import struct
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from generator.base.errors import InputError
from generator.networks import foreign
from generator.networks.architecture import initialise
from generator.networks.foreign import Found
from generator.networks.small_cnn import SmallCNN
from tests.networks.test_folder import assert_one_line, assert_same

pytestmark = pytest.mark.usefixtures("one_thread")


def network() -> SmallCNN:
    made = SmallCNN(2, (4, 4, 4, 4))
    initialise(made, 0)
    return made


def refusal(file: Path) -> str:
    """What is said of a file, without its path."""
    with pytest.raises(InputError) as error:
        foreign.load(file)
    assert_one_line(error, file)
    assert str(error.value).isprintable()
    return str(error.value).removeprefix(f"{file}: ")


def of_kind(kind: str) -> Tensor:
    """A tensor that is not a dense one of numbers; some are made with a word of warning."""
    eye = torch.eye(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made: dict[str, Callable[[], Tensor]] = {
            "meta": lambda: torch.empty(2, 2, device="meta"),
            "sparse": eye.to_sparse,
            "rows": eye.to_sparse_csr,
            "quantised": lambda: torch.quantize_per_tensor(eye, 0.1, 0, torch.qint8),
            "complex": lambda: eye.to(torch.complex64),
            "expanded": lambda: torch.zeros(1).expand(100_000, 100_000),
        }
        return made[kind]()


def rewritten(file: Path, change: Callable[[str, bytes], bytes], compression: int = zipfile.ZIP_STORED) -> None:
    """The archive with other members."""
    with zipfile.ZipFile(file) as archive:
        members = {name: change(name, archive.read(name)) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.mark.parametrize("wrapped", [False, True])
def test_somebody_else_s_state_dict_is_read(tmp_path: Path, wrapped: bool) -> None:
    weights = network().state_dict()
    torch.save({"state_dict": weights, "epoch": 3} if wrapped else weights, tmp_path / "net.pth")
    assert_same(foreign.load(tmp_path / "net.pth").weights, weights)


def test_a_foreign_safetensors_file_is_read(tmp_path: Path) -> None:
    save_file(network().state_dict(), tmp_path / "net.safetensors")
    assert_same(foreign.load(tmp_path / "net.safetensors").weights, network().state_dict())


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.marker),)


def test_code_in_a_foreign_file_never_runs(tmp_path: Path) -> None:
    marker = tmp_path / "it ran"
    torch.save({"conv.weight": torch.zeros(1), "payload": Payload(marker)}, tmp_path / "net.pth")
    with pytest.raises(InputError) as error:
        foreign.load(tmp_path / "net.pth")
    assert_one_line(error, tmp_path / "net.pth")
    assert not marker.exists()
    torch.load(tmp_path / "net.pth", weights_only=False)
    assert marker.exists()  # so the payload is a real one


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", [None, b"", b"GIF89a, no weights"])
def test_a_foreign_file_without_weights_is_named(tmp_path: Path, suffix: str, content: bytes | None) -> None:
    file = tmp_path / f"net{suffix}"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError) as error:
        foreign.load(file)
    assert_one_line(error, file)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_folder_in_a_foreign_file_s_place_is_named(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"net{suffix}").mkdir()
    with pytest.raises(InputError) as error:
        foreign.load(tmp_path / f"net{suffix}")
    assert_one_line(error, tmp_path / f"net{suffix}")


def test_a_foreign_file_cut_short_is_named(tmp_path: Path) -> None:
    torch.save(network().state_dict(), tmp_path / "net.pth")
    content = (tmp_path / "net.pth").read_bytes()
    for length in (100, len(content) // 2, len(content) - 1):
        (tmp_path / "net.pth").write_bytes(content[:length])
        with pytest.raises(InputError) as error:
            foreign.load(tmp_path / "net.pth")
        assert_one_line(error, tmp_path / "net.pth")


def test_a_list_of_tensors_is_no_state_dict(tmp_path: Path) -> None:
    torch.save([torch.zeros(2)], tmp_path / "net.pth")
    with pytest.raises(InputError, match=r"net\.pth: expected a state dict \(names and tensors\), found list"):
        foreign.load(tmp_path / "net.pth")


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64", "float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu"])
def test_floating_point_of_any_type_becomes_float32(tmp_path: Path, kind: str) -> None:
    values = torch.tensor([[0.5, 1.0], [2.0, 4.0]])  # powers of two, which every type holds exactly
    torch.save({"w": values.to(getattr(torch, kind)), "n": torch.tensor(3)}, tmp_path / "net.pth")
    found = foreign.load(tmp_path / "net.pth").weights
    assert found["w"].dtype == torch.float32
    assert found["w"].tolist() == values.tolist()
    assert int(found["n"]) == 3


def test_float8_in_safetensors_is_exact(tmp_path: Path) -> None:
    eighths = torch.arange(-16, 16).float() / 8
    save_file({"w": eighths.to(torch.float8_e4m3fn)}, tmp_path / "net.safetensors")
    assert foreign.load(tmp_path / "net.safetensors").weights["w"].tolist() == eighths.tolist()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("meta", "w: expected a dense tensor of numbers, found one without values (of the device meta)"),
        ("sparse", "w: expected a dense tensor of numbers, found a sparse one (sparse_coo)"),
        ("rows", "w: expected a dense tensor of numbers, found a sparse one (sparse_csr)"),
        ("quantised", "w: expected a dense tensor of numbers, found a quantised one (qint8)"),
        ("complex", "w: expected a dense tensor of numbers, found complex ones (complex64)"),
        ("expanded", "w: expected as many numbers as the file has room for, found a shape of (100000, 100000)"),
    ],
)
def test_tensors_of_other_kinds_are_told(tmp_path: Path, kind: str, words: str) -> None:
    torch.save({"w": of_kind(kind)}, tmp_path / "net.pth")
    assert refusal(tmp_path / "net.pth").startswith(words)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({3: torch.zeros(1)}, "expected names of tensors, found int 3 as a name"),
        ({("a", "b"): torch.zeros(1)}, "expected names of tensors, found tuple ('a', 'b') as a name"),
        ({"a": torch.zeros(1), "b": 3}, "expected a state dict (names and tensors), found int under b"),
        ({}, "expected a state dict (names and tensors), found no tensor"),
        (torch.zeros(3), "expected a state dict (names and tensors), found Tensor"),
        (
            {"generator": {"w": torch.zeros(1)}, "critic": {"w": torch.zeros(1)}},
            'expected a state dict (names and tensors), found 2 inside; weights_key says which is meant: "generator"',
        ),
        (
            {"run": {"net": {"w": torch.zeros(1)}, "step": 3}, "adam": {"state": {0: {"exp_avg": torch.zeros(1)}}}},
            'expected a state dict (names and tensors), found 1 inside; weights_key says which is meant: "run.net"',
        ),
        ({"a\x1b[1m\n": "b"}, "expected a state dict (names and tensors), found str under 'a\\x1b[1m\\n'…"),
    ],
)
def test_what_is_no_state_dict_is_told(tmp_path: Path, said: Any, words: str) -> None:
    torch.save(said, tmp_path / "net.pth")
    assert refusal(tmp_path / "net.pth").startswith(words)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_whole_model_is_told_with_what_it_needs(tmp_path: Path, zipped: bool) -> None:
    torch.save(network(), tmp_path / "net.pth", _use_new_zipfile_serialization=zipped)
    told = refusal(tmp_path / "net.pth")
    assert told.startswith("expected a state dict, found a whole model (torch.save(model)), which needs code to be")
    assert "generator.networks.small_cnn.SmallCNN" in told
    assert told.endswith("save its weights alone: torch.save(model.state_dict(), 'weights.pth')")


class Settings(dict):  # type: ignore[type-arg]
    """As Lightning's AttributeDict and others keep the settings of a run; making one leaves a trace."""

    made: ClassVar[list[str]] = []

    def __init__(self, *args: Any, **others: Any) -> None:
        super().__init__(*args, **others)
        Settings.made.append("made")

    def __setstate__(self, state: Any) -> None:
        Settings.made.append("set")


class Hostile:
    """Runs what it is given where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Settings.made.append, ("run",)


def test_settings_beside_the_weights_are_passed_over_whatever_they_are(tmp_path: Path) -> None:
    settings = Settings(lr=0.1)
    settings.note = "mine"  # type: ignore[attr-defined]
    baggage = {
        "args": argparse.Namespace(lr=0.1, data=Path("/somewhere")),
        "best": np.float64(0.9),
        "seen": np.arange(3),
        "hyper_parameters": settings,
        "when": datetime.datetime(2026, 1, 2),
        "epoch": 3,
        "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1}]},
    }
    torch.save({"state_dict": network().state_dict(), **baggage}, tmp_path / "net.ckpt")
    Settings.made.clear()
    found = foreign.load(tmp_path / "net.ckpt")
    assert found.key == "state_dict"
    assert_same(found.weights, network().state_dict())
    assert Settings.made == []


def test_what_would_run_is_not_run(tmp_path: Path) -> None:
    torch.save({"state_dict": network().state_dict(), "other": Hostile()}, tmp_path / "net.pth")
    Settings.made.clear()
    with suppress(InputError):
        foreign.load(tmp_path / "net.pth")
    assert Settings.made == []


def test_averages_come_first_and_a_key_chooses(tmp_path: Path) -> None:
    plain = network().state_dict()
    average = {name: tensor + 1 if tensor.is_floating_point() else tensor for name, tensor in plain.items()}
    torch.save({"run": {"model": plain}, "state_dict": plain, "state_dict_ema": average}, tmp_path / "net.pth")
    found = foreign.load(tmp_path / "net.pth")
    assert found.key == "state_dict_ema"
    beside = "The file holds others under state_dict; weights_key chooses."
    assert found.notes == (f"The weights are those under state_dict_ema in net.pth. {beside}",)
    assert_same(found.weights, average)
    for key in ("state_dict", "run.model"):
        assert_same(foreign.load(tmp_path / "net.pth", key).weights, plain)
    for key, said in (
        ("none", "weights_key: expected a key of .*, which holds run, state_dict, state_dict_ema; got 'none'"),
        ("run", "weights_key: expected weights under 'run' in .*, found something else"),
        ("run.model.x.y", "weights_key: expected a key of"),
    ):
        with pytest.raises(InputError, match=said):
            foreign.load(tmp_path / "net.pth", key)


@pytest.mark.filterwarnings("ignore")
def test_a_torchscript_program_is_told(tmp_path: Path) -> None:
    torch.jit.script(nn.Sequential(nn.Linear(2, 2))).save(str(tmp_path / "net.pth"))  # type: ignore[no-untyped-call]
    assert refusal(tmp_path / "net.pth").startswith("expected a state dict, found a TorchScript program")


def test_an_archive_that_unpacks_to_more_than_it_has_is_not_unpacked(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(1_000_000)}, tmp_path / "net.pth")
    rewritten(tmp_path / "net.pth", lambda name, content: content, zipfile.ZIP_DEFLATED)
    assert refusal(tmp_path / "net.pth").startswith("expected a file of weights as torch.save writes it, found one of")


def test_a_tensor_larger_than_its_memory_is_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.arange(4.0)}, tmp_path / "net.pth")

    def lie(name: str, content: bytes) -> bytes:
        """200 million numbers where there are 4."""
        return content.replace(b"K\x04", b"J" + struct.pack("<i", 200_000_000)) if "pkl" in name else content

    rewritten(tmp_path / "net.pth", lie)
    assert refusal(tmp_path / "net.pth").startswith("expected a state dict saved by torch.save, found a damaged file")


@pytest.mark.parametrize(
    "header",
    [
        {"w": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 8]}},
        {"w": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}},
        {"w": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}},
        {"w": {"dtype": "X9", "shape": [2], "data_offsets": [0, 8]}},
        {"w": {"dtype": "F4", "shape": [16], "data_offsets": [0, 8]}},
        {"w": []},
    ],
)
def test_a_safetensors_header_that_lies_is_told(tmp_path: Path, header: dict[str, object]) -> None:
    text = json.dumps(header).encode()
    (tmp_path / "net.pth").write_bytes(struct.pack("<Q", len(text)) + text + bytes(8))  # known by its content
    assert refusal(tmp_path / "net.pth").startswith(("expected a whole safetensors file", "expected numbers of a type"))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "expected a file of weights, found an empty file"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
            "expected a file of weights, found a pointer of",
        ),
        (b"<!DOCTYPE html>\n<html>Not found</html>", "expected a file of weights, found a web page"),
        (b'\n{"error": "no such model"}', "expected a file of weights, found text in JSON"),
        (b"\x1f\x8b\x08\x00", "expected a file of weights, found an archive; unpack it first"),
        (b"\x89HDF\r\n", "expected a file of weights, found a file of Keras"),
    ],
    ids=["empty", "git-lfs", "html", "json", "gzip", "hdf5"],
)
def test_files_that_are_taken_for_weights_are_told_apart(
    tmp_path: Path, suffix: str, content: bytes, words: str
) -> None:
    (tmp_path / f"net{suffix}").write_bytes(content)
    assert refusal(tmp_path / f"net{suffix}").startswith(words)


def test_an_archive_of_something_else_is_told(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "net.pth", "w") as archive:
        archive.writestr("weights.npy", b"1")
    assert refusal(tmp_path / "net.pth").startswith("expected a state dict saved by torch.save, found an archive of we")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "net.pth")
    assert refusal(tmp_path / "net.pth") == "expected a file of weights, found a pipe or a device"


@pytest.mark.parametrize("key", ["model", "model_state_dict", "net", "ema", "something"])
def test_weights_under_a_key_are_found(tmp_path: Path, key: str) -> None:
    torch.save({"epoch": 3, key: network().state_dict(), "optimizer": {"state": {}}}, tmp_path / "net.pth")
    found = foreign.load(tmp_path / "net.pth")
    assert_same(found.weights, network().state_dict())
    assert found.notes == ()


@pytest.mark.parametrize(
    ("renamed", "taken"),
    [
        (lambda name: f"module.{name}", "module."),
        (lambda name: f"_orig_mod.{name}", "_orig_mod."),
        (lambda name: f"module._orig_mod.{name}", "module. and _orig_mod."),
        (lambda name: name.replace("features.", "features.module."), "module."),  # as in torchvision's own training
        (lambda name: f"model.{name}", "model."),
        (lambda name: f"net.backbone.{name}", "net.backbone."),
    ],
)
def test_what_stands_before_the_names_is_taken_off_and_told(renamed: Callable[[str], str], taken: str) -> None:
    weights = network().state_dict()
    found = foreign.fitted(Found({renamed(name): w for name, w in weights.items()}), weights, "runs/net.pth")
    assert_same(found.weights, weights)
    assert found.notes == (f"In the names of net.pth, {taken} was taken off.",)


def test_what_lies_beside_the_weights_is_left_out_and_told() -> None:
    weights = network().state_dict()
    named = {f"model.{name}": tensor for name, tensor in weights.items()} | {"loss.weight": torch.ones(2)}
    found = foreign.fitted(Found(named), weights, "net.ckpt")
    assert_same(found.weights, weights)
    assert found.notes[1] == "Of net.ckpt, loss.weight was left out."


def test_two_sets_of_weights_are_not_chosen_between() -> None:
    weights = network().state_dict()
    named = {f"{side}.{name}": tensor for side in ("student", "teacher") for name, tensor in weights.items()}
    with pytest.raises(InputError, match=r"^net\.pth: expected one set of weights, found 2, under student\. and teach"):
        foreign.fitted(Found(named), weights, "net.pth")


def test_an_averaged_model_s_counter_is_left_out() -> None:
    averaged = torch.optim.swa_utils.AveragedModel(network())
    weights = network().state_dict()
    found = foreign.fitted(Found(dict(averaged.state_dict())), weights, "net.pth")
    assert_same(found.weights, weights)


@pytest.mark.parametrize(
    ("more", "epoch"),
    [
        ({"pytorch-lightning_version": "2.6.6", "global_step": 40, "epoch": 4}, 5),
        ({"arch": "resnet18", "version": 2, "metric": 70.5, "epoch": 0}, 1),
        ({"epoch": 4}, None),  # of who knows what program, from 0 or from 1
        ({"pytorch-lightning_version": "2.6.6", "epoch": "four"}, None),
        ({}, None),
    ],
)
def test_the_epoch_of_a_checkpoint_is_taken_from_programs_that_are_known(
    tmp_path: Path, more: dict[str, object], epoch: int | None
) -> None:
    weights = {"model.fc.weight": torch.ones(2, 3)}
    torch.save({"state_dict": weights, **more}, tmp_path / "last.ckpt")
    found = foreign.load(tmp_path / "last.ckpt")
    assert found.epoch == epoch
    assert foreign.fitted(found, {"fc.weight": torch.ones(2, 3)}, "last.ckpt").epoch == epoch
