"""What a report of somebody else's network costs: the README's figures of three of them.

A grey network of functions at 28 pixels, torchvision's resnet18 at 64 and at 224, each from class folders of drawn
images and a file of weights, by one `build` with an empty cache in a process of its own; prints a Markdown table of
seconds on the clock by stage, of the site's size and of the most memory. The weights are untrained, which changes no
time.
Usage: python benchmarks/own.py
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

REPOSITORY = Path(__file__).resolve().parent.parent
CLASSES = 10
STAGES = {  # the pipeline's steps by the stages that the table has
    "read": ("_obtain",),
    "score": ("_evaluation",),
    "explain": ("_observe", "_live"),
    "draw": ("_figures",),
}


class Case(NamedTuple):
    """One report."""

    title: str
    model: str
    side: int
    grey: bool
    train: int  # images of each class
    test: int


CASES = {
    "grey": Case("grey CNN, 28 px", "net.py:Net", 28, True, 200, 50),
    "64": Case("resnet18, 64 px", "torchvision:resnet18", 64, False, 100, 25),
    "224": Case("resnet18, 224 px", "torchvision:resnet18", 224, False, 20, 10),
}


def main() -> None:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    rows = []
    for name in CASES:
        with tempfile.TemporaryDirectory() as scratch:
            command = [sys.executable, __file__, name]
            done = subprocess.run(command, cwd=scratch, env=environment, stdout=subprocess.PIPE, check=True)
            rows.append((CASES[name], json.loads(done.stdout.splitlines()[-1])))
    heads = ["report", "images", *STAGES, "pages and rest", "whole, s", "site, MiB", "memory, MB"]
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    for case, found in rows:
        images = f"{CLASSES * (case.train + case.test):,}"
        numbers = [*(found[stage] for stage in STAGES), found["rest"], found["whole"], found["size"]]
        print(f"| {case.title} | {images} | " + " | ".join(f"{number:.1f}" for number in numbers), end="")
        print(f" | {found['memory']:.0f} |")


def measure(case: Case) -> dict[str, float]:
    """Seconds by stage, MiB of the site and MB of memory of one report, made in the current folder."""
    import torch

    from generator.__main__ import main as program
    from generator.build import observed, pipeline

    _draw(Path("images"), case)
    torch.manual_seed(0)
    torch.save(_network(case).state_dict(), "best.pth")
    spent = dict.fromkeys(STAGES, 0.0)
    for stage, steps in STAGES.items():
        for step in steps:
            room = observed if hasattr(observed, step) else pipeline
            setattr(room, step, _timed(getattr(room, step), stage, spent))
    words = ["--model", case.model, "--weights", "best.pth", "--data", "images", "--size", str(case.side)]
    begun = time.perf_counter()
    if program(["build", *words, "--mean", "0.5", "--std", "0.25", "--offline"]):
        sys.exit(f"{case.title} failed")
    whole = time.perf_counter() - begun
    size = sum(file.stat().st_size for file in Path("site").rglob("*") if file.is_file()) / 2**20
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS, in KiB on Linux
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    return spent | {"rest": whole - sum(spent.values()), "whole": whole, "size": size, "memory": memory}


def _timed(step: Callable[..., Any], stage: str, spent: dict[str, float]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        begun = time.perf_counter()
        try:
            return step(*args, **kwargs)
        finally:
            spent[stage] += time.perf_counter() - begun

    return run


def _draw(root: Path, case: Case) -> None:
    """Class folders of images, each a bright square of the class's place and size in noise."""
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(0)
    for part, count in (("train", case.train), ("test", case.test)):
        for target in range(CLASSES):
            folder = root / part / f"class {target}"
            folder.mkdir(parents=True)
            for number in range(count):
                shape = (case.side, case.side) if case.grey else (case.side, case.side, 3)
                pixels = noise.integers(40, 120, shape, dtype=np.uint8)
                top, left = (case.side * step // 12 for step in (1 + target % 5 * 2, 1 + target // 5 * 6))
                pixels[top : top + case.side // 6, left : left + case.side // 4] = 230
                Image.fromarray(pixels).save(folder / f"{number}.png", compress_level=1)


def _network(case: Case) -> Any:
    if not case.grey:
        from torchvision.models import resnet18

        return resnet18(num_classes=CLASSES)
    file = Path("net.py")
    file.write_bytes((REPOSITORY / "examples" / "fashion" / "net.py").read_bytes())
    names: dict[str, Any] = {}
    exec(compile(file.read_text("utf-8"), file, "exec"), names)
    return names["Net"]()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(CASES[sys.argv[1]])))
    else:
        main()
