"""Whether the installed torch and torchvision belong together; a wrong pair fails deep inside torchvision."""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version

from generator.base.errors import InputError

PAIR = ("torch", "torchvision")


def check_pair() -> None:
    """Import torch and torchvision.

    Raises:
        InputError: one of them is missing, or they are of different releases; says how to mend it.
    """
    try:
        for name in PAIR:
            importlib.import_module(name)
    except (ImportError, RuntimeError, AttributeError, OSError) as error:  # OSError: a shared library does not load
        reason = " ".join(str(error).split())
        versions = [_version(name) for name in PAIR]
        found = " and ".join(
            f"{name} {number or '(not installed)'}" for name, number in zip(PAIR, versions, strict=True)
        )
        raise InputError(
            f"expected torch and torchvision of one release from one index, got {found} ({reason[:200]}); "
            f"mend it with: {_remedy(versions[0])}"
        ) from error


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
