"""What the evaluation of many images costs: the README's seconds and memory at three sizes, and what follows for more.

Class folders of drawn images of 32 pixels, 1,000 classes, and a network so small that it is the program that is
measured; each size in a process of its own, with an empty cache. Prints a Markdown table of the processor's seconds by
step, of which other work on the machine makes more, so that the least of several rounds count, of the most memory and
of the record, the straight lines through them, and what those give for a million images.
Usage: python benchmarks/scale.py [--images 10000 33000 100000] [--classes 1000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

REPOSITORY = Path(__file__).resolve().parent.parent
SIDE = 32
STEPS = ("list", "look", "answer", "record")
CHOSEN = 2  # images of each class that a temperature is fitted on
MILLION = 10**6

Found = TypeVar("Found")


def main() -> None:
    options = _options()
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    rounds: dict[int, list[dict[str, float]]] = {images: [] for images in options.images}
    for images in list(rounds) * options.rounds:
        with tempfile.TemporaryDirectory() as scratch:
            command = [sys.executable, __file__, "--images", str(images), "--classes", str(options.classes), "--one"]
            done = subprocess.run(command, cwd=scratch, env=environment, stdout=subprocess.PIPE, check=True)
            rounds[images].append(json.loads(done.stdout.splitlines()[-1]))
    rows = [{what: min(one[what] for one in found) for what in found[0]} for found in rounds.values()]
    heads = ["images", *(f"{step}, s" for step in STEPS), "whole, s", "memory, MB", "evaluation.json, KB"]
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    for row in rows:
        row["whole"] = sum(row[step] for step in STEPS)
        print(f"| {row['images']:,} | " + " | ".join(f"{row[step]:.1f}" for step in STEPS), end="")
        print(f" | {row['whole']:.1f} | {row['memory']:.0f} | {row['json'] / 1000:.0f} |")
    counts = [row["images"] for row in rows]
    print()
    for what, unit in (("whole", "s"), ("memory", "MB")) if len(rows) > 1 else ():
        slope, start = np.polyfit(counts, [row[what] for row in rows], 1)
        furthest = max(abs(row[what] / (start + slope * row["images"]) - 1) for row in rows)
        print(
            f"{what} = {start:.1f} {unit} + {slope * 1000:.3f} {unit} x images / 1,000, no size further from it than "
            f"{furthest:.0%}; of a million images {start + slope * MILLION:,.0f} {unit}"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 33_000, 100_000])
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(images: int, classes: int) -> dict[str, float]:
    """Seconds by step, MB of memory and bytes of the record of one size, made in the current folder."""
    _draw(Path("images"), images, classes)
    import torch
    from torch import nn

    from generator.config.schema import DataConfig
    from generator.data import decoded, layouts
    from generator.evaluation.evaluation import evaluate_model
    from generator.networks.folder import EVALUATION, load_evaluation, save_evaluation
    from generator.networks.loaded import Loaded
    from generator.networks.small_cnn import SMALL_CNN
    from generator.records.input import square

    seconds: dict[str, float] = {}

    def timed(step: str, work: Callable[[], Found]) -> Found:
        begun = time.process_time()
        found = work()
        seconds[step] = seconds.get(step, 0.0) + time.process_time() - begun
        return found

    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 16, 8, 8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network = nn.Sequential(body, nn.Linear(16, classes)).eval()
    data = timed("list", lambda: layouts.opened(Path("images"), DataConfig()))
    data = timed("look", lambda: decoded.whole(data, Path("cache")))
    names = data.classes.names
    foreign = replace(SMALL_CNN, name="net.py:Net", stages=None, layer=None)
    loaded = Loaded("net", "Net", network, foreign, names, names, square(SIDE), digest="0", source="")
    found = timed("answer", lambda: evaluate_model(loaded, data))
    timed("record", lambda: save_evaluation(Path(), found))
    timed("record", lambda: load_evaluation(Path()))
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS, in KiB on Linux
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    count = sum(len(part) for part in data.parts)
    return seconds | {"images": count, "memory": memory, "json": Path(EVALUATION).stat().st_size}


def _draw(root: Path, images: int, classes: int) -> None:
    """Class folders of noise, in three parts: an image of each class to fit on, `CHOSEN` to choose on, the rest."""
    from PIL import Image

    noise = np.random.default_rng(0)
    counts = {"train": 1, "val": CHOSEN, "test": max(1, images // classes - 1 - CHOSEN)}
    for part, count in counts.items():
        for target in range(classes):
            folder = root / part / f"class {target:04}"
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = noise.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number:06}.bmp")


if __name__ == "__main__":
    told = _options()
    if told.one:
        print(json.dumps(measure(told.images[0], told.classes)))
    else:
        main()
