"""How long a build takes, cold, unchanged and after each kind of change, and how much memory: the README's figures.

Runs `python -m generator build` in processes of its own, into a scratch folder with an empty cache, from the models
that are shipped; prints a Markdown table. On a machine that others use too, seconds say little: beside them stand the
processor's seconds, and both as a multiple of what importing the libraries takes in the same run.
Usage: python benchmarks/build_time.py [--data DIR]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2

REPOSITORY = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a data set; without one the bundled photos alone are shown")
    options = parser.parse_args()
    environment = {name: value for name, value in os.environ.items() if name != "TINY_IMAGENET"}
    environment["PYTHONPATH"] = str(REPOSITORY)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _report(folder, REPOSITORY / "models")
        command = [sys.executable, "-m", "generator", "build", "--offline"]
        if options.data:
            command += ["--data", str(options.data.resolve())]
        imports = _run([sys.executable, "-c", IMPORTS], folder, environment)
        rows = [("importing the libraries", imports)]
        for name, change, extra in RUNS:
            change(folder)
            rows.append((name, _run([*command, *extra], folder, environment)))
        other = folder / "unrecorded"  # as of a network that nobody has evaluated
        shutil.copytree(REPOSITORY / "models", other / "models", ignore=shutil.ignore_patterns(*RECORDS))
        _report(other, other / "models")
        rows.append(("cold, nothing on record", _run(command, other, environment)))
    print(
        "| build | seconds | processor, s | imports | imports, processor | peak memory, MB |\n|---|---|---|---|---|---|"
    )
    for name, run in rows:
        times = f"{run.seconds / imports.seconds:.1f} | {run.processor / imports.processor:.1f}"
        print(f"| {name} | {run.seconds:.1f} | {run.processor:.1f} | {times} | {run.megabytes:.0f} |")


RECORDS = "maps.safetensors", "patches.safetensors"  # what `evaluate` spares a build
IMPORTS = "import torch, torchvision, cv2, matplotlib.figure"


def _report(folder: Path, models: Path) -> None:
    said = f'[models]\nfolder = "{models.as_posix()}"\n[models.cnn]\n[models.alexnet]\nweights = "bundled"\n'
    (folder / "report.toml").write_text(said, encoding="utf-8")


@dataclass(frozen=True)
class Run:
    """What one process took."""

    seconds: float  # on the clock
    processor: float  # seconds of all cores, the kernel's for it among them
    megabytes: float  # the largest resident set


def _nothing(folder: Path) -> None:
    pass


def _title(folder: Path) -> None:
    told = (folder / "report.toml").read_text(encoding="utf-8")
    (folder / "report.toml").write_text(f'[report]\ntitle = "Another title"\n{told}', encoding="utf-8")


def _words(folder: Path) -> None:
    shutil.copytree(REPOSITORY / "content", folder / "content")
    page = folder / "content" / "grad-cam.md"
    page.write_text(f"{page.read_text(encoding='utf-8')}\nOne sentence more.\n", encoding="utf-8")


def _style(folder: Path) -> None:
    (folder / "templates" / "styles").mkdir(parents=True)
    (folder / "templates" / "styles" / "mine.css").write_text("figcaption { font-style: italic }\n", encoding="utf-8")


def _photo(folder: Path) -> None:
    photo = next((REPOSITORY / "content" / "samples").glob("*.webp"))
    pixels = cv2.flip(cv2.imread(str(photo)), 1)
    cv2.imwrite(str(folder / "mine.png"), pixels)
    with (folder / "report.toml").open("a", encoding="utf-8") as file:
        file.write('[samples]\nphotos = [{file = "mine.png"}]\n')


# In this order: each finds what those before it have left.
RUNS: tuple[tuple[str, Callable[[Path], None], tuple[str, ...]], ...] = (
    ("cold", _nothing, ()),
    ("unchanged", _nothing, ()),
    ("another title", _title, ()),
    ("another sentence in content/", _words, ()),
    ("another style", _style, ()),
    ("again, from the cache (--force)", _nothing, ("--force",)),
    ("one more photo", _photo, ()),
)


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> Run:
    begun = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"{' '.join(command)} failed")
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS, in KiB on Linux
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 1e6)


if __name__ == "__main__":
    main()
