"""What several tests need: the real data set where it is, a small one made here, and a real browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from generator.evaluation import trust
from generator.evaluation.task import Sizes
from generator.inspection import prototypes

# Taken out of the environment: it goes before a report's own [data] root, and only tests that ask for it shall have it.
# pytest-xdist's workers inherit the environment after that, so they are told under a name of the tests' own.
REAL_DATA = os.environ.pop("TINY_IMAGENET", "") or os.environ.get("TESTS_TINY_IMAGENET", "")
os.environ["TESTS_TINY_IMAGENET"] = REAL_DATA
SIZE = 64  # pixels, as in Tiny ImageNet
SHAPES = {  # wnid -> name, colour, shape
    "n01443537": ("goldfish", (240, 140, 30), "disc"),
    "n02165456": ("ladybug", (200, 30, 50), "triangle"),
    "n07753592": ("banana", (240, 210, 60), "stripes"),
}
CHROME_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROME_ON_MACOS = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class SmallDataSet:
    """A data set in the layout of tiny-imagenet-200: three classes of drawn shapes, told apart by shape and colour.

    Every tenth image of a class is a grey JPEG, as some of the real ones are.
    """

    root: Path
    wnids: tuple[str, ...]
    names: tuple[str, ...]
    train: int  # images a class in train/
    test: int  # images a class in val/
    boxes: dict[str, Box]  # file name -> x0, y0, x1, y1, inclusive


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that the last of them does not keep one worker while the other waits."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session", autouse=True)
def _few_images_for_costly_methods() -> Iterator[None]:
    """`evaluate` asks the methods that need hundreds of passes an image about two images only."""
    few = Sizes(boxes=2, perturbation=2, randomisation=0)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(trust, "COSTLY", dict.fromkeys(trust.COSTLY, few))
        yield


@pytest.fixture(scope="session", autouse=True)
def _few_steps_to_the_images_of_classes() -> Iterator[None]:
    """In all steps they took a third of a small report's time; what shows a class names its steps itself."""
    with pytest.MonkeyPatch.context() as patched:
        for name in ("CLASS_STEPS", "LARGE_CLASS_STEPS"):
            patched.setattr(prototypes, name, 8)
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk() -> Iterator[None]:
    """What a power cut leaves no test can tell, and a site of 170 files waits half a second to be safe from one."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda _descriptor: None)
        yield


@pytest.fixture(scope="session")
def tiny_imagenet() -> Path:
    """The real data set."""
    if not REAL_DATA:
        pytest.skip("needs the real data set: TINY_IMAGENET is not set")
    if not (Path(REAL_DATA) / "wnids.txt").is_file():
        pytest.skip(f"needs the real data set: TINY_IMAGENET={REAL_DATA} has no wnids.txt")
    return Path(REAL_DATA)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Networks as small as the tests' spend their time waiting for threads where other programs run too."""
    import torch  # here, since half of the tests need none of it

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def browser() -> Path:
    """A Chrome or Chromium; the environment variable CHROME names one that is not on the PATH."""
    named = os.environ.get("CHROME", "")
    candidates = (named,) if named else (*CHROME_NAMES, str(CHROME_ON_MACOS))
    found = next(filter(None, map(shutil.which, candidates)), None)
    if found is None:
        reason = f"CHROME={named} is no program" if named else "none is installed, and CHROME names none"
        pytest.skip(f"needs Chrome or Chromium: {reason}")
    return Path(found)


@pytest.fixture(scope="session")
def small_data_set(tmp_path_factory: pytest.TempPathFactory) -> SmallDataSet:
    """Made once for all tests: one that changes it works on a copy (shutil.copytree)."""
    return draw_data_set(tmp_path_factory.mktemp("data") / "tiny-imagenet-200", train=20, test=6)


def draw_data_set(root: Path, train: int, test: int) -> SmallDataSet:
    """The same images each time, with the lists and folders of the official layout."""
    rng = np.random.default_rng(0)
    boxes: dict[str, Box] = {}
    annotations: list[str] = []
    (root / "val" / "images").mkdir(parents=True)
    for wnid in SHAPES:
        folder = root / "train" / wnid
        (folder / "images").mkdir(parents=True)
        lines = []
        for number in range(train):
            name = f"{wnid}_{number}.JPEG"
            boxes[name] = _draw(folder / "images" / name, wnid, rng, grey=number % 10 == 9)
            lines.append(_line(name, *boxes[name]))
        (folder / f"{wnid}_boxes.txt").write_text("".join(lines))
        for _ in range(test):
            name = f"val_{len(annotations)}.JPEG"
            boxes[name] = _draw(root / "val" / "images" / name, wnid, rng, grey=False)
            annotations.append(_line(name, wnid, *boxes[name]))
    (root / "val" / "val_annotations.txt").write_text("".join(annotations))
    (root / "wnids.txt").write_text("".join(_line(wnid) for wnid in SHAPES))
    (root / "words.txt").write_text("".join(_line(wnid, f"{name}, drawn") for wnid, (name, _, _) in SHAPES.items()))
    return SmallDataSet(root, tuple(SHAPES), tuple(name for name, _, _ in SHAPES.values()), train, test, boxes)


def _draw(file: Path, wnid: str, rng: np.random.Generator, *, grey: bool) -> Box:
    """One shape somewhere on a noisy ground; returns its box."""
    _, colour, shape = SHAPES[wnid]
    pixels: NDArray[np.uint8] = rng.integers(90, 130, (SIZE, SIZE, 3), dtype=np.uint8)
    side = int(rng.integers(24, 48))
    x, y = (int(value) for value in rng.integers(0, SIZE - side, 2))
    pixels[y : y + side, x : x + side][_shape(shape, side)] = colour
    image = Image.fromarray(pixels)
    (image.convert("L") if grey else image).save(file, "JPEG", quality=95)
    return x, y, x + side - 1, y + side - 1


def _shape(name: str, side: int) -> NDArray[np.bool_]:
    """(side, side), True on the shape, which touches all four edges."""
    rows, columns = np.mgrid[0:side, 0:side]
    middle = (side - 1) / 2
    if name == "disc":
        return np.asarray((rows - middle) ** 2 + (columns - middle) ** 2 <= (side / 2) ** 2)
    if name == "triangle":
        return np.asarray(np.abs(columns - middle) <= (rows + 1) / 2)
    return np.asarray((rows * 7 // side) % 2 == 0)


def _line(*fields: object) -> str:
    return "\t".join(map(str, fields)) + "\n"
