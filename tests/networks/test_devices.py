"""Which device is taken, what is said where it is not there, and networks that do not run on it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from generator.__main__ import main
from generator.base.errors import InputError
from generator.networks import devices
from generator.records.input import square
from tests.elsewhere import elsewhere
from tests.live_nets import Plain, made
from tests.loaded import loaded


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch says that it finds two."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.fixture
def none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize(
    ("asked", "found"),
    [("auto", "cuda:0"), ("cuda", "cuda:0"), ("cuda:0", "cuda:0"), ("cuda:1", "cuda:1"), ("cpu", "cpu")],
)
def test_a_device_that_is_there_is_taken(asked: str, found: str) -> None:
    assert str(devices.chosen(asked)) == found


@pytest.mark.usefixtures("gpus")
def test_each_of_several_processes_has_the_gpu_of_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    taken = []
    for rank in range(4):
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        taken.append(str(devices.chosen("cuda")))
    assert taken == ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]
    with pytest.raises(InputError, match="--device cuda:1: expected cuda for several processes"):
        devices.chosen("cuda:1")


@pytest.mark.usefixtures("none")
def test_without_a_gpu_it_is_the_processor() -> None:
    assert devices.chosen() == devices.CPU
    assert devices.told(devices.CPU) == "networks run on the processor (device cpu)"


@pytest.mark.usefixtures("none")
@pytest.mark.parametrize("asked", ["cuda", "cuda:0", "mps"])
def test_a_device_that_is_not_there_is_refused_with_its_mend(asked: str) -> None:
    with pytest.raises(InputError, match=rf"^--device {asked}: expected a GPU .*PyTorch finds none.*--device cpu, or"):
        devices.chosen(asked)


@pytest.mark.usefixtures("gpus")
def test_a_gpu_beyond_the_last_is_refused() -> None:
    with pytest.raises(InputError, match="--device cuda:2: expected cuda:0 to cuda:1, PyTorch finds 2 GPUs"):
        devices.chosen("cuda:2")


@pytest.mark.usefixtures("none")
@pytest.mark.parametrize("command", [["build"], ["evaluate", "cnn"], ["train", "cnn"]])
def test_a_command_ends_with_the_line(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*command, "--offline", "--device", "cuda"]) != 0
    assert "error: --device cuda: expected a GPU of CUDA, PyTorch finds none" in capsys.readouterr().err


def test_what_is_no_device_is_told_by_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["build", "--device", "gpu"])
    assert "invalid device (auto, cpu, cuda, cuda:N or mps) value: 'gpu'" in capsys.readouterr().err


def test_whole_float32_ends_with_the_block() -> None:
    def now() -> tuple[bool, bool]:
        return torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic

    with torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=True):
        with devices.precise(torch.device("cuda")):
            assert now() == (False, True)
        assert now() == (True, False)
        with devices.precise(devices.CPU):
            assert now() == (True, False)


class Rooted(nn.Module):
    """It holds a tensor that nobody can move."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * 8 * 8, 2)
        self.held = torch.ones(3, 8, 8)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear((images * self.held).flatten(1))  # type: ignore[no-any-return]


def test_a_network_that_does_not_run_there_stays_and_says_why() -> None:
    one = loaded(Rooted(), ("a", "b"), square(8))
    with elsewhere() as device:
        found = one.on(device)
        assert found.device == devices.CPU
        (note,) = found.notes
        assert note.startswith("It runs on the processor, for on meta it does not run: ")
        assert "same device" in note
        moved = made(Plain).on(device)
        assert (moved.device, moved.notes) == (device, ())
        assert moved.on(devices.CPU).device == devices.CPU
