"""The surroundings: what a record says of the machine and the software, and what of them is put right for the program.

Needs none of the packages it names.
"""

from __future__ import annotations

import os
import platform
import subprocess
import warnings
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from generator.base.errors import InputError

PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "opencv-python-headless",
    "matplotlib",
    "jinja2",
    "markdown-it-py",
    "Pillow",
)


def put_right() -> None:
    """See to it that what is set for other programs keeps this process from nothing.

    Raises:
        InputError: the current folder is gone.
    """
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        if not os.path.isabs(os.path.expanduser(os.environ.get(name, "/"))):  # noqa: PTH111, PTH117
            del os.environ[name]  # to be ignored, by its specification; matplotlib would make the folder "~nobody" here
    os.umask(os.umask(0o077) & 0o077)  # what this process makes it can use itself
    # A library's warning is no reason to stop, whatever PYTHONWARNINGS says of a program under test.
    for action, message, category, module, line in list(warnings.filters):
        if action == "error":
            warnings.filters.remove((action, message, category, module, line))  # type: ignore[attr-defined]
    try:
        os.getcwd()  # noqa: PTH109
    except OSError as error:
        raise InputError(
            f"expected a current folder, it is gone or closed ({error.strerror}); change into another one"
        ) from None


def versions() -> dict[str, str]:
    """Python's and the packages' versions; a package that is not installed is left out."""
    return dict(_versions(PACKAGES))


@cache
def _versions(packages: tuple[str, ...]) -> Mapping[str, str]:
    """Read once: a build asks for them many times, and a process keeps the packages that it began with."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, str]:
    """Processor, number of cores that may be used, and operating system."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"processor": _processor(), "cores": str(cores), "system": f"{platform.system()} {platform.machine()}"}


def revision(folder: Path) -> str:
    """The git revision of a checkout, with "+" where files differ from it; empty outside a checkout."""
    try:
        head = _git(folder, "rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def record(folder: Path) -> dict[str, str]:
    """All of it, for a training run or an evaluation."""
    return {**hardware(), **versions(), "revision": revision(folder)}


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
