"""What a report of somebody else's network costs: the README's figures of five of them.

A grey network of functions at 28 pixels, torchvision's resnet18 at 64 and at 224, its resnet50 and vit_b_16 at 224,
each from class folders of drawn images and a file of weights, by one `build` with an empty cache in a process of its
own; prints a Markdown table of seconds on the clock by stage, of the processor's seconds, of both as a multiple of what
importing the libraries takes in the same run, of the site's size and of the most memory. The weights are untrained,
which changes no time.
Usage: python benchmarks/own.py [grey 64 224 50 vit]
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
from typing import Any, NamedTuple

REPOSITORY = Path(__file__).resolve().parent.parent
CLASSES = 10
MEASURE = "--measure"  # said by this program to itself
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
    "64": Case("resnet18, 64 px", "torchvision:resnet18", 64, False, 100, 200),
    "224": Case("resnet18, 224 px", "torchvision:resnet18", 224, False, 20, 10),
    "50": Case("resnet50, 224 px", "torchvision:resnet50", 224, False, 20, 10),
    "vit": Case("vit_b_16, 224 px", "torchvision:vit_b_16", 224, False, 20, 10),
}


IMPORTS = "import torch, torchvision, cv2, matplotlib.figure"


def main(names: Sequence[str]) -> None:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], env=environment, check=True)
    imports, processor = time.perf_counter() - begun, _spent(resource.RUSAGE_CHILDREN)
    rows = []
    for name in names:
        with tempfile.TemporaryDirectory() as scratch:
            command = [sys.executable, __file__, MEASURE, name]
            done = subprocess.run(command, cwd=scratch, env=environment, stdout=subprocess.PIPE, check=True)
            rows.append((CASES[name], json.loads(done.stdout.splitlines()[-1])))
    print(f"importing the libraries: {imports:.1f} s, {processor:.1f} s of the processor")
    heads = ["report", "images", *STAGES, "pages and rest", "whole, s", "processor, s", "imports", "imports, processor"]
    heads += ["site, MiB", "memory, MB"]
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    for case, found in rows:
        images = f"{CLASSES * (case.train + case.test):,}"
        numbers = [*(found[stage] for stage in STAGES), found["rest"], found["whole"], found["processor"]]
        numbers += [found["whole"] / imports, found["processor"] / processor, found["size"]]
        print(f"| {case.title} | {images} | " + " | ".join(f"{number:.1f}" for number in numbers), end="")
        print(f" | {found['memory']:.0f} |")


def _spent(who: int) -> float:
    """The processor's seconds, the kernel's among them, of this process or of those that it started."""
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


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
    begun, before = time.perf_counter(), _spent(resource.RUSAGE_SELF)
    if program(["build", *words, "--mean", "0.5", "--std", "0.25", "--offline"]):
        sys.exit(f"{case.title} failed")
    whole, processor = time.perf_counter() - begun, _spent(resource.RUSAGE_SELF) - before
    size = sum(file.stat().st_size for file in Path("site").rglob("*") if file.is_file()) / 2**20
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS, in KiB on Linux
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    rest = whole - sum(spent.values())
    return spent | {"rest": rest, "whole": whole, "processor": processor, "size": size, "memory": memory}


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
        from torchvision.models import get_model

        return get_model(case.model.removeprefix("torchvision:"), num_classes=CLASSES)
    file = Path("net.py")
    file.write_bytes((REPOSITORY / "examples" / "fashion" / "net.py").read_bytes())
    names: dict[str, Any] = {}
    exec(compile(file.read_text("utf-8"), file, "exec"), names)
    return names["Net"]()


if __name__ == "__main__":
    if sys.argv[1:2] == [MEASURE]:
        print(json.dumps(measure(CASES[sys.argv[2]])))
    else:
        main(sys.argv[1:] or list(CASES))
