"""The heavy libraries, imported so that what is wrong with them or around them is one line.

A wrong pair of torch and torchvision fails deep inside torchvision; matplotlib fails by settings that are for others.
"""

from __future__ import annotations

import importlib
import os
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from generator.base.errors import MENDS, SHORTAGES, InputError

# What says that something else than the installed packages is at fault -> how to mend that.
ELSEWHERE = {os.strerror(number): MENDS[number] for number in sorted(SHORTAGES)} | {
    "failed to map segment": "free some memory, or raise the limit on it (ulimit -v)",
    "No usable temporary directory": "set TMPDIR to a folder that can be written",
}
PAIR = ("torch", "torchvision")


def check_pair() -> None:
    """Import torch, and torchvision too, which takes as long, where it is not by its version that torch's.

    Raises:
        InputError: one of them is missing, or they are of different releases; says how to mend it.
    """
    try:
        for name in PAIR[:1] if _of_one_release(*map(_version, PAIR)) else PAIR:
            importlib.import_module(name)
    except (ImportError, RuntimeError, AttributeError, OSError) as error:  # OSError: a shared library does not load
        reason = " ".join(str(error).split())
        if mend := next((mend for said, mend in ELSEWHERE.items() if said in reason), ""):
            raise InputError(f"expected to load torch and torchvision, got: {reason[:200]}; {mend}") from error
        versions = [_version(name) for name in PAIR]
        found = " and ".join(
            f"{name} {number or '(not installed)'}" for name, number in zip(PAIR, versions, strict=True)
        )
        raise InputError(
            f"expected torch and torchvision of one release from one index, got {found} ({reason[:200]}); "
            f"mend it with: {_remedy(versions[0])}"
        ) from error


def import_matplotlib() -> None:
    """Import matplotlib with its own settings alone, so that charts are the same wherever they are drawn.

    It reads the matplotlibrc of the current folder before any other, so that it is imported in its own.

    Raises:
        InputError: it is missing or cannot be used.
    """
    spec = find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise InputError("expected matplotlib, it is not installed; mend it with: python -m pip install matplotlib")
    here, backend = Path.cwd(), os.environ.pop("MPLBACKEND", None)
    try:
        os.chdir(Path(spec.origin).parent / "mpl-data")
        importlib.import_module("matplotlib")
    except (ImportError, OSError, ValueError) as error:
        raise InputError(
            f"expected matplotlib to load, got: {' '.join(str(error).split())[:200]}; "
            "set MPLCONFIGDIR to a folder that can be written, or install matplotlib anew"
        ) from error
    finally:
        os.chdir(here)
        if backend is not None:
            os.environ["MPLBACKEND"] = backend


def _of_one_release(torch: str, torchvision: str) -> bool:
    """Whether the versions are those of a pair from one index: torch 2.N goes with torchvision 0.(N + 15)."""
    (number, _, build), (other, _, others) = torch.partition("+"), torchvision.partition("+")
    torches, visions = number.split(".")[:2], other.split(".")[:2]
    minors = [part[1] for part in (torches, visions) if len(part) == 2 and part[1].isdecimal()]
    if len(minors) != 2 or torches[0] != "2" or visions[0] != "0":
        return False
    return build == others and int(minors[1]) == int(minors[0]) + 15


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _remedy(torch_version: str) -> str:
    """The pip command for a matching pair; from PyTorch's own index if torch's version names one ("2.9.0+cpu")."""
    build = torch_version.partition("+")[2]
    index = f" --index-url https://download.pytorch.org/whl/{build}" if build else ""
    return f"python -m pip install --upgrade --force-reinstall torch torchvision{index}"
