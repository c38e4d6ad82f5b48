"""How fast training is beside the course's own loop, in one run: the README's and the training page's figures.

The course's loop is played as the coursework had it: a LeNet-like network on grey images, SGD, every image opened by
Pillow when its batch needs it. Ours is the preset "quick". Both learn from the same training images on this machine,
one after the other, and are scored on the same validation images; the test images are not touched.

Usage: python benchmarks/training.py --data DIR [--course-epochs N] [--record]
With --record the figures are kept in models/cnn/benchmark.json, from which the training page quotes them.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from generator.base import environment  # noqa: E402
from generator.config import places, reading  # noqa: E402
from generator.data import decoded, layouts, tiny_imagenet  # noqa: E402
from generator.data.classes import PRESET  # noqa: E402
from generator.data.dataset import DataSet  # noqa: E402
from generator.evaluation import answers  # noqa: E402
from generator.networks import folder  # noqa: E402
from generator.networks.alexnet import ALEXNET  # noqa: E402
from generator.networks.architecture import Architecture, initialise  # noqa: E402
from generator.networks.inputs import fitted  # noqa: E402
from generator.networks.small_cnn import SMALL_CNN  # noqa: E402
from generator.records.input import square  # noqa: E402
from generator.records.training import Benchmark  # noqa: E402
from generator.training import run  # noqa: E402
from generator.training.fit import Images, TrainingState, fit  # noqa: E402

GOAL = 0.46  # what the course's network reached
COURSE_EPOCHS = 50
NETWORKS = {"cnn": SMALL_CNN, "alexnet": ALEXNET}


class CourseImages(Dataset[tuple[Tensor, int]]):
    """Each image from its file, each time it is asked for."""

    def __init__(self, data: DataSet, name: str, augmented: bool) -> None:
        (part,) = (part for part in data.parts if part.name == name)
        self.files = part.items
        steps: list[Callable[..., object]] = [transforms.Grayscale()]
        if augmented:
            steps.append(transforms.RandomHorizontalFlip())
        self.transform = transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize([0.5], [0.5])])

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        file = self.files[index]
        with Image.open(file.path) as image:
            pixels: Tensor = self.transform(image.convert("RGB"))
        return pixels, file.target


def course_network() -> nn.Module:
    """Two 5x5 convolutions with batch norm, dropout, three linear layers."""
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.5), nn.Linear(16 * 13 * 13, 512), nn.ReLU()),
        *(nn.Linear(512, 96), nn.ReLU(), nn.Linear(96, 30)),
    )


def course(data: DataSet, epochs: int) -> tuple[float, float, float]:
    """Seconds for the loop's 50 epochs, images a second, accuracy on the validation images after `epochs`.

    Fewer epochs than 50 are scaled up: all of them cost the same.
    """
    torch.manual_seed(0)
    network = course_network()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)
    loader = DataLoader(CourseImages(data, "train", augmented=True), batch_size=64, shuffle=True)
    begun = time.perf_counter()
    for epoch in range(epochs):
        network.train()
        for images, targets in loader:
            optimizer.zero_grad()
            F.cross_entropy(network(images), targets).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        print(f"course's loop: epoch {epoch + 1} of {epochs}, {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    seconds = (time.perf_counter() - begun) / epochs
    network.eval()
    right = 0
    validation = CourseImages(data, "validation", augmented=False)
    with torch.inference_mode():
        for images, targets in DataLoader(validation, batch_size=250):
            right += int((network(images).argmax(1) == targets).sum())
    count = len(loader.dataset)  # type: ignore[arg-type]
    return seconds * COURSE_EPOCHS, count / seconds, right / len(validation)


def quick(data: DataSet) -> tuple[float, float, float, float]:
    """Seconds of the preset "quick" from the files on, its images a second, its accuracy, seconds to 46 %."""
    with tempfile.TemporaryDirectory() as cache:  # empty: decoding the files counts
        begun = time.perf_counter()
        train = images_of(data, "train", Path(cache))
        opening = time.perf_counter() - begun
        validation = images_of(data, "validation", Path(cache))
    recipe = SMALL_CNN.presets["quick"]
    reached: list[float] = []
    begun = time.perf_counter()

    def note(state: TrainingState) -> None:
        accuracy = state.epochs[-1].validation_accuracy or 0.0
        print(f"quick: epoch {len(state.epochs)}, validation {accuracy:.1%}", file=sys.stderr)
        if accuracy > GOAL and not reached:
            reached.append(time.perf_counter() - begun + opening)

    state = fit(run.new_network(SMALL_CNN, 30, recipe), train, validation, recipe, on_epoch=note)
    seconds = time.perf_counter() - begun + opening
    best = state.epochs[state.kept - 1].validation_accuracy or 0.0
    return seconds, len(train) * len(state.epochs) / seconds, best, reached[0] if reached else float("nan")


def throughput(architecture: Architecture, train: Images, validation: Images) -> tuple[float, float]:
    """Images a second in training at the preset best's last size, and in evaluation."""
    best = architecture.presets["best"]
    size = best.sizes[-1][1]
    recipe = replace(best, epochs=1, limit=1024, tail=1.0, sizes=((0.0, size),), prune=0.0)
    network = run.new_network(architecture, 30, recipe)
    seconds: list[float] = []
    fit(network, train, None, recipe, on_step=lambda _: seconds.append(time.perf_counter()))
    steps = [later - earlier for earlier, later in itertools.pairwise(seconds)]
    if architecture.trained_only:  # it answers in another shape
        network = initialise(architecture.construct(30), 0)
    begun = time.perf_counter()
    answers.logits_of(network, fitted(validation.images[:750], square(size)), square(size))
    return recipe.batch / statistics.median(steps), 750 / (time.perf_counter() - begun)


def images_of(data: DataSet, name: str, cache: Path) -> Images:
    """One part, decoded and in memory."""
    (part,) = (part for part in data.parts if part.name == name)
    (part,) = decoded.whole(replace(data, parts=(part,)), cache).parts
    squares = torch.from_numpy(decoded.squares(data, part, data.side, cache)).clone()
    return Images(squares, torch.tensor([item.target for item in part.items]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a data set (default: where the other commands find one)")
    parser.add_argument("--course-epochs", type=int, default=COURSE_EPOCHS, help="fewer: scaled up to 50")
    parser.add_argument("--record", action="store_true", help="keep the figures in models/cnn/benchmark.json")
    options = parser.parse_args()
    downloaded = REPOSITORY / ".cache" / places.DOWNLOADED
    root = layouts.find(options.data, reading.load(None).data.root, os.environ) or downloaded
    if not root.is_dir():
        print("training: no data set; give one with --data DIR or the variable TINY_IMAGENET")
        return
    # The course's loop first: `fit` changes how the process keeps memory.
    data = tiny_imagenet.read(root, PRESET)
    course_seconds, course_rate, course_accuracy = course(data, options.course_epochs)
    quick_seconds, quick_rate, quick_accuracy, to_goal = quick(data)
    with tempfile.TemporaryDirectory() as cache:
        sets = [images_of(data, name, Path(cache)) for name in ("train", "validation")]
    rates = {name: throughput(architecture, *sets) for name, architecture in NETWORKS.items()}
    found = Benchmark(
        course_seconds=course_seconds,
        course_rate=course_rate,
        course_accuracy=course_accuracy,
        course_epochs=options.course_epochs,
        quick_seconds=quick_seconds,
        quick_rate=quick_rate,
        quick_accuracy=quick_accuracy,
        seconds_to_goal=to_goal,
        training_rates={name: train for name, (train, _) in rates.items()},
        evaluation_rates={name: scored for name, (_, scored) in rates.items()},
        validation_images=len(sets[1]),
        environment=environment.record(REPOSITORY),
    )
    print(_table(found))
    if options.record:
        folder.save_benchmark(REPOSITORY / "models" / "cnn", found)


def _table(found: Benchmark) -> str:
    said = found.environment
    rows = [
        ("course's loop, 50 epochs", f"{found.course_seconds:.0f} s, {found.course_rate:.0f} images a second"),
        ("its accuracy", f"{found.course_accuracy:.1%}"),
        (
            'ours, preset "quick", from the files on',
            f"{found.quick_seconds:.0f} s, {found.quick_rate:.0f} images a second",
        ),
        ("its accuracy", f"{found.quick_accuracy:.1%}"),
        ("time to 46 %", f"{found.seconds_to_goal:.0f} s"),
        ("course's time by ours", f"{found.course_seconds / found.quick_seconds:.1f}"),
    ]
    for name, title in (("cnn", "SmallCNN, 64 px"), ("alexnet", "AlexNet, 128 px")):
        rows.append((f"{title}: training", f"{found.training_rates[name]:.0f} images a second"))
        rows.append((f"{title}: evaluation", f"{found.evaluation_rates[name]:.0f} images a second"))
    head = f"{said['processor']}, {said['cores']} cores, torch {said['torch']}"
    return "\n".join([f"| {head} | |", "|---|---|", *(f"| {what} | {value} |" for what, value in rows)])


if __name__ == "__main__":
    main()
