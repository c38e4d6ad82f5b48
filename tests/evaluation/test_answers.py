from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from generator.base.errors import InputError
from generator.evaluation import answers as evaluation_answers
from generator.networks.architecture import initialise
from generator.networks.small_cnn import SmallCNN
from generator.records.input import square
from tests.conftest import SmallDataSet
from tests.data_sets import kitchen, opened, shapes
from tests.loaded import loaded

pytestmark = pytest.mark.usefixtures("one_thread")


class Strongest(nn.Module):
    """Class 0, 1 or 2 for a red, green or blue image."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3))


LOADED = loaded(Strongest(), ("red", "green", "blue"))


def paint(file: Path, colour: str, size: tuple[int, int] = (70, 90)) -> None:
    Image.new("RGB", size, colour).save(file)


def test_each_image_has_its_class_in_the_order_of_the_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paint(tmp_path / "c.png", "red")
    paint(tmp_path / "a.JPEG", "blue", (20, 10))
    paint(tmp_path / "b.webp", "lime")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "deeper").mkdir()
    paint(tmp_path / "deeper" / "d.png", "red")
    (tmp_path / "._a.JPEG").write_bytes(b"what macOS leaves beside a file")
    assert evaluation_answers.folder(LOADED, tmp_path) == [("a.JPEG", 2), ("b.webp", 1), ("c.png", 0)]
    assert capsys.readouterr().err == ""


def test_a_broken_image_is_named_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paint(tmp_path / "a.png", "lime")
    paint(tmp_path / "c.png", "blue")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    (tmp_path / "folder.png").mkdir()
    assert evaluation_answers.folder(LOADED, tmp_path) == [("a.png", 1), ("c.png", 2)]
    broken, folder = capsys.readouterr().err.splitlines()
    assert broken.startswith(f"left out: {tmp_path / 'b.png'}: ")
    assert folder.startswith(f"left out: {tmp_path / 'folder.png'}: ")


def test_more_than_one_batch_keeps_its_order(tmp_path: Path) -> None:
    for number in range(252):
        paint(tmp_path / f"{number:03}.bmp", "red" if number % 3 else "blue", (2, 2))
    assert evaluation_answers.folder(LOADED, tmp_path) == [
        (f"{number:03}.bmp", 0 if number % 3 else 2) for number in range(252)
    ]


@pytest.mark.parametrize(("size", "resize"), [(64, 64), (128, 128), (112, 128)])
def test_answers_are_those_of_the_evaluation(
    small_data_set: SmallDataSet, tmp_path: Path, size: int, resize: int
) -> None:
    """One way leads through Pillow, image by image, the other through torch, in batches."""
    network = initialise(SmallCNN(3, (4, 4, 4, 4)), 0).eval()
    way = square(size, resize)
    data = shapes(small_data_set.root, tmp_path)
    assert data.judged is not None
    items, one = data.judged.items, loaded(network, "abc", way)
    with torch.no_grad():
        network.get_parameter("head.linear.weight").normal_(generator=torch.Generator().manual_seed(0))
        usual = evaluation_answers.of_part(one, data, items, mirrored=False)[0].mean(0)
        network.get_parameter("head.linear.bias").copy_(-torch.from_numpy(usual))  # so that no class wins always
    answers = evaluation_answers.of_part(one, data, items, mirrored=False)[0].argmax(1).tolist()
    assert len(set(answers)) == 3
    assert evaluation_answers.folder(one, small_data_set.root / "val" / "images") == sorted(
        zip((item.name for item in items), answers, strict=True)
    )


def test_images_of_any_size_are_answered_with_their_mirror_images(tmp_path: Path) -> None:
    data = opened(kitchen(tmp_path / "kitchen", {"test": 3}, ("red", "green", "blue")), tmp_path / "cache")
    assert data.judged is not None
    for item in data.judged.items:  # black but for one half
        with Image.open(item.path) as image:
            black = Image.new("RGB", image.size)
        black.paste(("red", "lime", "blue")[item.target], (0, 0, black.width // 2, black.height))
        black.save(item.path)
    counts: list[int] = []

    class Left(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images[..., : images.shape[3] // 2].mean((2, 3))

    way = square(16, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    one = loaded(Left(), ("red", "green", "blue"), way)
    plain, mirrored = evaluation_answers.of_part(one, data, data.judged.items, mirrored=True, on_batch=counts.append)
    assert mirrored is not None
    assert plain.argmax(1).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert plain.max(1).min() > 0.9
    assert mirrored.max() < 0.1
    assert counts == [9, 9]
    assert evaluation_answers.of_part(one, data, (), mirrored=False)[0].shape == (0, 3)


def test_a_folder_without_an_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected images \(\.jpeg, .*\), found none that can be read"):
        evaluation_answers.folder(LOADED, tmp_path)
    (tmp_path / "a.png").write_bytes(b"broken")
    with pytest.raises(InputError, match="found none that can be read"):
        evaluation_answers.folder(LOADED, tmp_path)
    with pytest.raises(InputError, match=r"a\.png: expected a folder of images, found none"):
        evaluation_answers.folder(LOADED, tmp_path / "a.png")


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="needs names that are any bytes")
def test_what_is_no_image_is_left_out_whatever_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paint(tmp_path / "caf\udce9.png", "lime")
    paint(tmp_path / "two\nlines.png", "red")
    os.mkfifo(tmp_path / "pipe\x1b[31m.png")
    (tmp_path / "lost.png").symlink_to("nothing")
    assert evaluation_answers.folder(LOADED, tmp_path) == [("caf\udce9.png", 1), ("two\nlines.png", 0)]
    lost, pipe = capsys.readouterr().err.splitlines()
    assert lost.endswith("lost.png: expected an image file, found a link that leads nowhere; check the path")
    assert pipe.endswith(r"pipe\x1b[31m.png: expected an image file, this is a named pipe")
