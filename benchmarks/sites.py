"""What large reports cost: the README's figures of many channels, photos, classes and networks.

Each report is of drawn images and untrained weights, made by one `build` with an empty cache in a process of its own.
Prints a Markdown table of the processor's seconds, of the most memory, of the site's size and of its files, with what
the build says beforehand of a site that would be too large; then, of reports of more and more photos, what the check
and the writer take for each file, which stays the same where they are linear.
Usage: python benchmarks/sites.py [channels classes networks linear]
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parent.parent
MEASURE = "--measure"  # said by this program to itself
SIDE = 32
NETWORK = """
import torch
from torch import nn


class Net(nn.Sequential):
    def __init__(self, channels: int = {channels}, layers: int = {layers}, classes: int = {classes}) -> None:
        groups = channels // 4 if channels > 100 else 1
        inner = [nn.Conv2d(channels, channels, 3, padding=1, groups=groups) for _ in range(layers - 1)]
        stem = nn.Conv2d(3, channels, 4, stride=4)
        blocks = [part for conv in (stem, *inner) for part in (conv, nn.ReLU())]
        super().__init__(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))

"""
PHOTOS = (25, 50, 100, 200)  # of the reports by which the check and the writer are measured


def main(names: Sequence[str]) -> None:
    print("| report | processor's seconds | memory, MB | site, MiB | files | told |\n" + "|---" * 6 + "|")
    for name in (one for one in names if one != "linear"):
        found = _measured(name)
        numbers = f"{found['processor']:.0f} | {found['memory']:.0f} | {found['size']:.1f} | {found['files']:,}"
        print(f"| {CASES[name][0]} | {numbers} | {found['told'] or '–'} |", flush=True)
    if "linear" in names:
        print("\n| photos | files | check, ms a file | writer, ms a file | whole, processor's s |\n" + "|---" * 5 + "|")
        for photos in PHOTOS:
            found = _measured("linear", str(photos))
            each = " | ".join(f"{1000 * found[step] / found['files']:.2f}" for step in ("check", "writer"))
            print(f"| {photos} | {found['files']:,} | {each} | {found['processor']:.0f} |", flush=True)


def _measured(*words: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, __file__, MEASURE, *words]
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
        done = subprocess.run(command, cwd=scratch, env=environment, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _channels() -> None:
    _draw(classes=1000, train=1, test=1)
    _say(5 * [2000], 1000, "[samples]\ntest_images = 200\n", scored=False)


def _classes() -> None:
    _draw(classes=21_843, train=0, test=1)
    _say([16, 16], 21_843)


def _networks() -> None:
    _draw(classes=10, train=8, test=20)
    _say([16, 16], 10, networks=20, scored=False)


def _linear(photos: int) -> None:
    _draw(classes=10, train=4, test=max(1, photos // 10 + 1))
    _say([8, 8], 10, f"[samples]\ntest_images = {photos}\n")


CASES: dict[str, tuple[str, Callable[..., None]]] = {
    "channels": ("10,000 channels, 200 photos, 1,000 classes, not scored", _channels),
    "classes": ("21,843 classes of one image each, scored", _classes),
    "networks": ("twenty networks, not scored", _networks),
    "linear": ("", _linear),
}


def measure(name: str, *words: str) -> dict[str, Any]:
    """What one report takes, made in the current folder."""
    CASES[name][1](*map(int, words))
    from generator.__main__ import main as program
    from generator.base import terminal
    from generator.publishing import check, writer

    spent = {"check": 0.0, "writer": 0.0}
    told: list[str] = []
    say = terminal.say

    def heard(line: str) -> None:
        told.extend([line] if "MiB" in line else [])
        say(line)

    terminal.say = heard
    check.require = _timed(check.require, "check", spent)
    writer.place = _timed(writer.place, "writer", spent)
    before = _processor()
    strict = ["--strict"] if name == "linear" else []
    if program(["build", "--offline", *strict]):
        sys.exit(f"{name} failed")
    files = [file for file in Path("site").rglob("*") if file.is_file()]
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS, in KiB on Linux
    return spent | {
        "processor": _processor() - before,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6,
        "size": sum(file.stat().st_size for file in files) / 2**20,
        "files": len(files),
        "told": told[0] if told else "",
    }


def _processor() -> float:
    """Seconds of the processor, of this process and of those that it started."""
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


def _timed(step: Callable[..., Any], name: str, spent: dict[str, float]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        begun = time.process_time()
        try:
            return step(*args, **kwargs)
        finally:
            spent[name] += time.process_time() - begun

    return run


def _draw(classes: int, train: int, test: int) -> None:
    """Class folders of noise."""
    from PIL import Image

    noise = np.random.default_rng(0)
    for part, count in (("train", train), ("test", test)):
        for target in range(classes if count else 0):
            folder = Path("images") / part / f"class {target:05}"
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = noise.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number:06}.bmp")


def _say(channels: Sequence[int], classes: int, more: str = "", *, networks: int = 1, scored: bool = True) -> None:
    """report.toml, the network's code and its weights; of "random" ones the program measures nothing."""
    import torch

    code = NETWORK.replace("{channels}", str(channels[0])).replace("{layers}", str(len(channels)))
    code = code.replace("{classes}", str(classes))
    Path("net.py").write_text(code, encoding="utf-8")
    held: dict[str, Any] = {}
    exec(compile(code, "net.py", "exec"), held)
    torch.manual_seed(0)
    torch.save(held["Net"]().state_dict(), "net.pth")
    told = [f'[data]\nroot = "images"\n{more}']
    for number in range(networks):
        weights = "net.pth" if scored else "random"
        told.append(f'[models.n{number}]\narchitecture = "net.py:Net"\nweights = "{weights}"')
        told.append(f'title = "Network {number}"\n')
    Path("report.toml").write_text("\n".join(told), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == [MEASURE]:
        print(json.dumps(measure(*sys.argv[2:])))
    else:
        main(sys.argv[1:] or list(CASES))
