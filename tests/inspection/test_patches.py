"""The strongest answers of each channel: by hand, against brute force, and nothing left behind in the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from generator import explain
from generator.base.errors import InputError
from generator.inspection import layers, patches
from generator.inspection.patches import _field, strongest, strongest_patches
from generator.networks.architecture import initialise
from generator.networks.folder import PARTS, PATCHES, PatchSheet, load_patches, save_patches
from generator.networks.loaded import Loaded
from generator.networks.small_cnn import SmallCNN
from generator.records.images import Arrays
from generator.records.network import Examined
from tests import loaded as facts

pytestmark = pytest.mark.usefixtures("one_thread")


def one_pixel_net(*scales: float) -> nn.Sequential:
    """One channel a scale: the red pixel times it; rectified in place."""
    convolution = nn.Conv2d(3, len(scales), 1, bias=False)
    with torch.no_grad():
        convolution.weight.zero_()
        convolution.weight[:, 0, 0, 0] = torch.tensor(scales)
    return nn.Sequential(convolution, nn.ReLU(inplace=True))


def images_of(*reds: list[list[float]]) -> Tensor:
    """Images with these red values and nothing else."""
    images = torch.zeros(len(reds), 3, len(reds[0]), len(reds[0][0]))
    images[:, 0] = torch.tensor(reds)
    return images


def small(seed: int = 0) -> SmallCNN:
    network = SmallCNN(3, (4, 5, 6, 7))
    initialise(network, seed)
    return network


def noise(count: int, side: int = 16) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(3))


def test_answers_images_and_cells_by_hand() -> None:
    images = images_of([[1, 2], [0, 0]], [[0, 0], [5, 3]], [[0, 4], [0, 0]])
    found = strongest(one_pixel_net(2), [images], ["0"], count=2)["0"]
    assert found.answers.tolist() == [[10, 8]]
    assert found.images.tolist() == [[1, 2]]
    assert found.cells.tolist() == [[[1, 0], [0, 1]]]


def test_of_equal_answers_the_earlier_image_and_the_upper_left_cell_come_first() -> None:
    images = images_of([[0, 1], [0, 0]], [[0, 7], [7, 7]], [[7, 0], [0, 0]], [[0, 0], [0, 7]])
    for batches in ((images,), torch.split(images, 1), (images[:2], images[2:])):
        found = strongest(one_pixel_net(1), batches, ["0"], count=3)["0"]
        assert found.images.tolist() == [[1, 2, 3]]
        assert found.cells.tolist() == [[[0, 1], [0, 0], [1, 1]]]


def test_too_few_images_leave_places_empty() -> None:
    found = strongest(one_pixel_net(1), [images_of([[1, 2]], [[3, 0]])], ["0"], count=4)["0"]
    assert found.images.tolist() == [[1, 0, -1, -1]]
    np.testing.assert_array_equal(found.answers.numpy(), [[3, 2, np.nan, np.nan]])
    alone = strongest(one_pixel_net(1), [images_of([[1, 2]])], ["0"], count=2)["0"]
    assert alone.images.tolist() == [[0, -1]]


def test_a_channel_that_answers_all_alike_has_no_strongest() -> None:
    found = strongest(one_pixel_net(0, 1), [images_of([[1, 2]], [[3, 0]])], ["0"], count=2)["0"]
    assert found.images.tolist() == [[-1, -1], [1, 0]]
    assert found.answers[0].isnan().all()


def test_the_share_of_images_in_which_a_channel_fires() -> None:
    images = images_of([[1, -2]], [[-3, -1]], [[0, 0]], [[0, 2]])
    found = strongest(one_pixel_net(1, -1), torch.split(images, 3), ["0"])["0"]
    assert found.active.tolist() == [0.5, 0.5]  # images 0 and 3; 0 and 1
    # The answers are the convolution's own, also those that the ReLU in place sets to zero.
    assert found.answers[0, :4].tolist() == [2, 1, 0, -1]
    unrectified = strongest(nn.Sequential(nn.Conv2d(3, 2, 1)), [images], ["0"])["0"]
    assert unrectified.active.isnan().all()


def ranked(maps: NDArray[np.float32], count: int) -> tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.intp]]:
    """(N, C, h, w) -> answers, images and flat cells, all maps held at once."""
    flat = maps.reshape(*maps.shape[:2], -1)
    answers, cells = flat.max(axis=2).T, flat.argmax(axis=2).T
    order = np.argsort(-answers, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(answers, order, 1), order, np.take_along_axis(cells, order, 1)


@pytest.mark.parametrize("batch", [1, 7, 40])
def test_the_running_best_is_that_of_all_maps_at_once(batch: int) -> None:
    network, images = small(), noise(40)
    layers = explain.convolutions(network)
    found = strongest(network, torch.split(images, batch), layers, count=9)
    maps = explain.feature_maps(network, images, layers)
    for layer in layers:
        answers, order, cells = ranked(maps[layer].numpy(), 9)
        np.testing.assert_allclose(found[layer].answers.numpy(), answers, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(found[layer].images.numpy(), order)
        width = maps[layer].shape[3]
        np.testing.assert_array_equal(found[layer].cells.numpy(), np.stack([cells // width, cells % width], axis=2))
        # At most one patch an image.
        assert all(len(set(row)) == 9 for row in found[layer].images.tolist())


class Tokens(nn.Module):
    """Each pixel a token of two channels behind a class token, which the logits are read from."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(1, 2, 1, bias=False)
        self.embed.weight.data = torch.tensor([1.0, -1]).view(2, 1, 1, 1)
        self.mix = nn.Identity()

    def forward(self, batch: Tensor) -> Tensor:
        tokens = self.embed(batch).flatten(2).transpose(1, 2)
        read = torch.cat([torch.full((len(batch), 1, 2), 99.0), tokens], 1)
        mixed: Tensor = self.mix(read + read.mean(1, keepdim=True) * 0)
        return mixed.mean(1)


def test_of_tokens_the_cells_are_those_of_the_image_and_the_class_token_is_none() -> None:
    images = images_of([[1, 2, 0], [0, 0, -4]], [[0, 0, 5], [3, 0, 0]])[:, :1]
    found = strongest(Tokens(), [images], ["mix"], count=1)["mix"]
    assert found.answers.tolist() == [[5], [4]]
    assert found.images.tolist() == [[1], [0]]
    assert found.cells.tolist() == [[[0, 2]], [[1, 2]]]
    point = explain.points(Tokens(), images).named("mix")
    assert point is not None
    assert point.field is None  # each has seen all others
    field = _field(point)
    assert field is not None
    assert field.box(1, 2) == (2, 1, 2, 1)


def test_nothing_is_left_behind() -> None:
    network = small().train()
    strongest(network, [noise(2)], ["features.conv2"])
    with pytest.raises(RuntimeError):
        strongest(network, [noise(2)[:, :2]], ["features.conv2"])
    assert all(module.training for module in network.modules())
    assert not any(module._forward_hooks for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_no_images_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one batch"):
        strongest(small(), [], ["features.conv1"])


class Reused(nn.Module):
    """One ReLU, registered first, after the first convolution and on a vector; the second goes into a function."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.second = nn.Conv2d(2, 2, 1, bias=False)
        self.first = nn.Conv2d(3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(2)
        with torch.no_grad():
            for convolution in (self.first, self.second):
                convolution.weight.zero_()
            self.first.weight[:, 0, 0, 0] = torch.tensor([1.0, -1])
            self.second.weight[:, 0, 0, 0] = torch.tensor([1.0, 3])

    def forward(self, images: Tensor) -> Tensor:
        maps = self.second(self.relu(self.norm(self.first(images))))
        return self.relu(maps.sigmoid().mean((2, 3)))  # type: ignore[no-any-return]


def test_a_relu_counts_where_it_runs_and_not_where_it_is_registered() -> None:
    images = images_of([[1, -2]], [[-3, -1]], [[0, 0]], [[0, 2]])
    found = strongest(Reused(), torch.split(images, 3), ["first", "second"], count=1)
    assert found["first"].active.tolist() == [0.5, 0.5]
    assert found["second"].active.isnan().all()
    assert found["second"].answers.flatten().tolist() == pytest.approx([2, 6], rel=1e-4)


class Twice(nn.Module):
    """One convolution that runs on the image and on half of it."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = one_pixel_net(1)[0]
        self.idle = nn.Conv2d(3, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.convolution(images).mean() + self.convolution(images[..., :1]).mean()  # type: ignore[no-any-return]


def test_of_a_convolution_that_runs_twice_the_last_run_counts() -> None:
    images = images_of([[1, 9]], [[3, 2]])
    found = strongest(Twice(), torch.split(images, 1), ["convolution"], count=2)["convolution"]
    assert found.answers.tolist() == [[3, 1]]
    assert found.images.tolist() == [[1, 0]]
    with pytest.raises(InputError, match="layer 'idle' does not run"):
        strongest(Twice(), [images], ["idle"])


# On record


def evaluated(folder: Path | None = None) -> Loaded:
    return facts.loaded(small(), ("one", "two", "three"), folder=folder)


def examined(count: int = 12, *, data_set: bool = True) -> Examined:
    pictures = np.random.default_rng(1).integers(0, 256, (count, 70, 70, 3), np.uint8)
    return Examined("noise", tuple(pictures), ("noise",) * count, "d" * 64, data_set)


def test_what_is_on_record_is_what_would_be_found(tmp_path: Path) -> None:
    one, images = evaluated(tmp_path), examined()
    shown = layers.shown(one)
    assert patches.kept(one, shown, images) is None
    patches.keep(one, shown, images)
    known, found = patches.kept(one, shown, images), strongest_patches(one, images.pictures, shown)
    assert known is not None
    assert list(known) == list(found)
    for read, direct in zip(patches.layer_patches(known), patches.layer_patches(found), strict=True):
        assert read.layer == direct.layer
        for name in PARTS:
            np.testing.assert_array_equal(getattr(read, name), getattr(direct, name))
            assert getattr(read, name).dtype == getattr(direct, name).dtype
    some = patches.kept(one, shown[:1], images)  # of fewer layers, too
    assert some is not None
    assert list(some) == list(strongest_patches(one, images.pictures, shown[:1]))


def test_a_record_is_of_these_weights_images_and_layers_and_this_definition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, images = evaluated(tmp_path), examined()
    shown = layers.shown(one)
    patches.keep(one, shown[1:], images)
    assert patches.kept(one, shown[1:], images) is not None
    assert patches.kept(one, shown, images) is None
    assert patches.kept(replace(one, digest="cd" * 32), shown[1:], images) is None
    assert patches.kept(one, shown[1:], replace(images, digest="e" * 64)) is None
    assert patches.kept(one, shown[1:], examined(1)) is None  # with fewer images than it names
    written = (tmp_path / PATCHES).stat().st_mtime_ns
    patches.keep(one, shown[1:], images)
    assert (tmp_path / PATCHES).stat().st_mtime_ns == written
    patches.keep(one, shown, images)
    assert patches.kept(one, shown, images) is not None
    monkeypatch.setattr(patches, "DEFINITION", patches.DEFINITION + 1)
    assert patches.kept(one, shown, images) is None


def test_no_record_without_a_place_or_a_data_set(tmp_path: Path) -> None:
    patches.keep(evaluated(), ("features.conv1",), examined())
    patches.keep(evaluated(tmp_path), ("features.conv1",), examined(data_set=False))
    patches.keep(evaluated(tmp_path), ("features.conv1",), None)
    assert list(tmp_path.iterdir()) == []


def _one(**other: NDArray[np.generic]) -> Arrays:
    boxes = np.tile(np.array([0, 0, 3, 3]), (1, 2, 1))
    parts = {"answers": np.ones((1, 2), np.float32), "pictures": np.zeros((1, 2), int), "boxes": boxes}
    return {**parts, "active": np.ones(1, np.float32), **other}


@pytest.mark.parametrize(
    "arrays",
    [
        _one(answers=np.array([[np.inf, 1]], np.float32)),
        _one(answers=np.ones((2, 2), np.float32)),
        _one(answers=np.ones((1, 2), int)),
        _one(pictures=np.full((1, 2), -2)),
        _one(pictures=np.ones((1, 2), np.float32)),
        _one(boxes=np.tile(np.array([3, 0, 0, 3]), (1, 2, 1))),
        _one(boxes=np.zeros((1, 2, 3), int)),
        _one(active=np.ones(2, np.float32)),
        _one(more=np.ones(2, np.float32)),
    ],
)
def test_a_damaged_record_of_patches_is_told(tmp_path: Path, arrays: Arrays) -> None:
    save_patches(tmp_path, PatchSheet("ab", "d", 1, {"conv": _one()}))
    assert load_patches(tmp_path) is not None
    save_patches(tmp_path, PatchSheet("ab", "d", 1, {"conv": arrays}))
    with pytest.raises(InputError, match=r"patches\.safetensors: expected the patches of channels") as found:
        load_patches(tmp_path)
    assert "found others in conv" in str(found.value)
    assert "`evaluate` makes it anew" in str(found.value)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_bytes(b"nothing"), "expected a whole safetensors file"),
        (lambda path: path.write_bytes((2).to_bytes(8, "little") + b"{}"), "expected what its patches belong to"),
    ],
)
def test_a_file_that_is_no_record_is_told(tmp_path: Path, spoil: Callable[[Path], object], said: str) -> None:
    spoil(tmp_path / PATCHES)
    with pytest.raises(InputError, match=said):
        load_patches(tmp_path)
