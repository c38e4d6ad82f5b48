"""Where networks run: on the processor, or on a GPU that PyTorch finds.

    device = devices.chosen("auto")
    with devices.precise(device):
        ...

Random numbers are drawn on the processor wherever a network runs, so that one seed gives one choice everywhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from generator.base.errors import InputError

Device = torch.device  # for those who do without torch itself
CPU = Device("cpu")
AUTO = "auto"


def chosen(asked: str = AUTO) -> torch.device:
    """The device that was asked for; of several processes each has the GPU of its number, as torchrun counts them.

    Args:
        asked: "auto": a GPU where PyTorch finds one, else the processor; "cpu", "cuda", "cuda:N" or "mps".
    Raises:
        InputError: where there is no such device.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    kind, _, number = asked.partition(":")
    if kind == AUTO:
        kind = "cuda" if gpus else "mps" if torch.backends.mps.is_available() else "cpu"
    if kind == "cuda":
        if not gpus:
            raise InputError(f"--device {asked}: expected a GPU of CUDA, PyTorch finds none ({_lacking()}); {_MEND}")
        if number and int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise InputError(f"--device {asked}: expected cuda for several processes, each takes a GPU of its own")
        at = int(number or os.environ.get("LOCAL_RANK", "0"))
        if number and at >= gpus:
            raise InputError(f"--device {asked}: expected cuda:0 to cuda:{gpus - 1}, PyTorch finds {gpus} GPUs of CUDA")
        return torch.device("cuda", at % gpus)
    if kind == "mps" and not torch.backends.mps.is_available():
        raise InputError(f"--device mps: expected a GPU of an Apple computer, PyTorch finds none; {_MEND}")
    if kind not in ("cpu", "mps"):
        raise InputError(f"--device: expected auto, cpu, cuda, cuda:N or mps, got {asked!r}")
    return torch.device(kind)


_MEND = "take --device cpu, or auto, which takes what is there"


def _lacking() -> str:
    """Why there is no CUDA."""
    if torch.version.cuda is None and torch.version.hip is None:
        return "this PyTorch was made without CUDA; https://pytorch.org/get-started/locally names one with it"
    return "the driver is missing or does not fit, or CUDA_VISIBLE_DEVICES hides it"


def named(device: torch.device) -> str:
    """A device in words, the same in each of several processes: "cpu", "mps", "cuda (NVIDIA H200)"."""
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type


def told(device: torch.device) -> str:
    """The line that says where networks run."""
    if device.type == "cpu":
        return "networks run on the processor (device cpu)"
    return f"networks run on a GPU: {device}" + (
        f", {torch.cuda.get_device_name(device)}" if device.type == "cuda" else ""
    )


def device_of(network: nn.Module) -> torch.device:
    """Where the network's parameters are, which is where it takes its images; of one without any the processor."""
    return next((parameter.device for parameter in network.parameters()), CPU)


@contextmanager
def precise(device: torch.device) -> Iterator[None]:
    """A GPU calculates in whole float32, as a processor does, and by algorithms that give the same each time.

    PyTorch lets cuDNN's convolutions round to TF32, ten bits, of its own accord: an error of 1e-3 instead of 1e-6.
    """
    if device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def array_of(tensor: Tensor) -> NDArray[Any]:
    """A tensor of any device, without a gradient, as NumPy takes it."""
    found: NDArray[Any] = tensor.cpu().numpy()
    return found
