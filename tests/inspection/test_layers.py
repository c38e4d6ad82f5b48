"""Which layers and channels have pages: all of a small network; of a large one stages, and what gives most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from generator import explain
from generator.base.errors import InputError
from generator.config.schema import ModelConfig
from generator.inspection import layers
from generator.inspection.layers import NOT_ASKED, Asked
from generator.inspection.network import network_record
from generator.inspection.patches import layer_patches, strongest_patches
from generator.inspection.photo import explanation, photo_arrays
from generator.networks.architecture import initialise
from generator.networks.inputs import normalise
from generator.networks.loaded import Loaded
from generator.networks.small_cnn import SmallCNN
from generator.records.images import Photo, Pixels
from generator.records.input import Input, square
from generator.records.network import Examined
from tests import synthetic
from tests.loaded import loaded

pytestmark = pytest.mark.usefixtures("one_thread")

GREY = Input((2, 2), crop="none", channels=1, mean=(0.0,), std=(1.0,))


class Residual(nn.Module):
    """Nine convolutions of four channels: a stem, and two stages of two blocks each that add to what they are given."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.layer1 = nn.Sequential(Block(4), Block(4))
        self.pool = nn.MaxPool2d(2)
        self.layer2 = nn.Sequential(Block(4), Block(4))
        self.fc = nn.Linear(4, classes)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.layer2(self.pool(self.layer1(self.stem(images).relu())))
        return torch.as_tensor(self.fc(maps.mean((2, 3))))


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, maps: Tensor) -> Tensor:
        return torch.as_tensor((self.conv2(self.conv1(maps).relu()) + maps).relu())


class Last(nn.Module):
    """Its block gives (N, h, w, C), as Swin's do: the first channel the image's rows, the second its columns."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 1, bias=False)
        self.block = Turned()
        self.fc = nn.Linear(3, 2)

    def forward(self, images: Tensor) -> Tensor:
        return torch.as_tensor(self.fc(self.block(self.conv(images)).mean((1, 2))))


class Turned(nn.Module):
    def forward(self, maps: Tensor) -> Tensor:
        return maps.movedim(1, -1) * 2


def residual(**wanted: object) -> Loaded:
    one = loaded(initialise(Residual(), 0), ("a", "b", "c"), square(16))
    return replace(one, wanted=replace(ModelConfig("net"), **wanted), id="net")  # type: ignore[arg-type]


def noise(count: int = 3, side: int = 16) -> list[Pixels]:
    return list(np.random.default_rng(3).integers(0, 256, (count, side, side, 3), np.uint8))


def asked(one: Loaded, pictures: Sequence[Pixels]) -> Asked:
    return Asked("the 3 photos of this report", layers.contributions(one, pictures))


class TestLayers:
    def test_of_a_small_network_every_convolution_has_a_page(self) -> None:
        one = loaded(SmallCNN(3, (4, 4, 4, 4)), ("a", "b", "c"))
        assert layers.selected(one) == ""
        assert layers.shown(one) == tuple(f"features.conv{number}" for number in range(1, 8))
        assert layers.contributions(one, noise()) == {}
        found, rest = layers.records(one, NOT_ASKED)
        assert [(layer.title, layer.address) for layer in found[:2]] == [
            ("convolution 1", "conv1"), ("convolution 2", "conv2"),
        ]  # fmt: skip
        assert rest == ()

    def test_of_a_large_one_the_first_and_the_end_of_each_stage(self) -> None:
        one = residual()
        assert len(explain.convolutions(one.network)) == 9
        assert layers.selected(one) == "chosen"
        assert layers.shown(one) == ("stem", "layer1", "layer2")
        found, rest = layers.records(one, asked(one, noise()))
        assert [(layer.name, layer.title, layer.address, layer.channels, layer.size) for layer in found] == [
            ("stem", "convolution 1", "conv1", 4, (16, 16)),
            ("layer1", "the end of stage 1", "stage1", 4, (16, 16)),
            ("layer2", "the end of stage 2", "stage2", 4, (8, 8)),
        ]
        # A stem of 3 x 3, and four more for the first stage: 3 + 4 * 2.
        assert [layer.receptive_field for layer in found[:2]] == [3, 11]
        assert [layer.weights is None for layer in found] == [False, True, True]
        assert [layer.number for layer in rest] == list(range(2, 10))
        assert {layer.kind for layer in rest} == {"convolution"}

    def test_an_end_that_one_convolution_makes_is_shown_as_this_one(self) -> None:
        one = loaded(models.vgg11_bn(num_classes=2), ("a", "b"), square(32))
        wide = replace(one, wanted=ModelConfig("net", channels=8))
        assert layers.selected(wide) == "chosen"
        many = loaded(models.vgg13_bn(num_classes=2), ("a", "b"), square(32))
        # Ten convolutions, two a stage of which the second ends it; stages of one cell are none.
        assert many.stages == ("features.5", "features.12", "features.19", "features.26", "features.33")
        assert layers.shown(many) == (
            "features.0", "features.3", "features.10", "features.17", "features.24", "features.31",
        )  # fmt: skip

    def test_of_many_stages_some_evenly_and_of_their_maps_too(self) -> None:
        steps = [nn.Sequential(nn.Conv2d(1 if not place else 2, 2, 3), nn.ReLU()) for place in range(12)]
        network = nn.Sequential(*steps, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2))
        one = loaded(initialise(network, 0), ("a", "b"), Input((32, 32), channels=1, mean=(0.5,), std=(0.5,)))
        assert one.stages == tuple(str(place) for place in range(12))
        assert layers.stages(one) == ("0", "2", "3", "5", "6", "8", "9", "11")
        assert layers.shown(one) == ("0.0", "1.0", "3.0", "5.0", "6.0", "8.0", "10.0", "11.0")
        assert layers.selected(one) == "sampled"
        photo = Photo("p", "P", noise(1, 32)[0], "own")
        found = explanation("p", None, (), photo_arrays(one, photo, None, ()))
        assert [(stage.layer, stage.title) for stage in found.stages][1::3] == [
            ("2", "stage 3"), ("6", "stage 7"), ("11", "stage 12"),
        ]  # fmt: skip
        assert network_record(one, {"p": found}, [], None).stages == 12

    def test_report_toml_names_any_layer_with_maps(self) -> None:
        one = residual(show=("layer2", "layer1.0.conv1", "stem+relu"))
        assert layers.selected(one) == "named"
        assert layers.shown(one) == ("stem+relu", "layer1.0.conv1", "layer2")
        found, rest = layers.records(one, asked(one, noise()))
        assert [(layer.title, layer.address) for layer in found] == [
            ("stem+relu", "layer1"), ("convolution 2", "conv2"), ("the end of stage 2", "stage2"),
        ]  # fmt: skip
        assert [layer.number for layer in rest] == [1, 3, 4, 5, 6, 7, 8, 9]

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            (
                "layer3",
                r"\[models.net\] show: expected names of layers that give maps, got 'layer3'; nearest: layer[12]",
            ),
            ("fc", r"got 'fc', which gives 3; nearest"),
        ],
    )
    def test_what_is_no_such_layer_is_told_with_the_nearest(self, name: str, message: str) -> None:
        with pytest.raises(InputError, match=message):
            layers.shown(residual(show=(name,)))

    def test_a_network_without_convolutions_has_no_such_layer(self) -> None:
        network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 2))
        one = replace(loaded(network, ("a", "b"), square(16)), wanted=ModelConfig("net", show=("1",)))
        with pytest.raises(InputError, match=r"got '1', which gives 2; this network has none"):
            layers.shown(one)
        assert layers.shown(replace(one, wanted=ModelConfig("net"))) == ()


class TestChannels:
    def test_what_a_channel_gives_by_hand(self) -> None:
        """Logit 0 is 3 times the mean of channel 0 less that of channel 1, which is twice the image: 3 m - 2 m."""
        network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2))
        with torch.no_grad():
            network.get_parameter("0.weight").copy_(torch.tensor([1.0, 2.0]).view(2, 1, 1, 1))
            network.get_parameter("0.bias").zero_()
            network.get_parameter("4.weight").copy_(torch.tensor([[3.0, -1.0], [0.0, 0.0]]))
            network.get_parameter("4.bias").zero_()
        one = replace(loaded(network, ("a", "b"), GREY), wanted=ModelConfig("net", channels=1))
        grey = [np.full((2, 2, 3), value, np.uint8) for value in (51, 153)]  # 0.2 and 0.6
        gave = layers.contributions(one, grey)
        np.testing.assert_allclose(gave["0"], [3 * 0.4, -2 * 0.4], rtol=1e-5)
        (layer,), _ = layers.records(one, Asked("x", gave))
        assert layer.chosen is not None
        assert layer.chosen.channels == (0,)
        np.testing.assert_allclose(layer.chosen.gave, [1.2, -0.8], rtol=1e-5)

    def test_they_are_those_of_the_heat_map_s_page(self) -> None:
        one = residual()
        photo = Photo("p", "P", noise(1)[0], "own")
        found = explanation("p", None, (), photo_arrays(one, photo, None, ()))
        gave = layers.contributions(one, [photo.pixels])
        assert found.contributor_layer == "layer2"
        assert found.contributions is not None
        np.testing.assert_allclose(gave["layer2"], found.contributions, rtol=1e-4, atol=1e-7)

    def test_a_convolution_for_a_stage_is_asked_where_its_channels_are_rectified(self) -> None:
        one = replace(
            loaded(initialise(SmallCNN(3, (4, 4, 4, 4)), 0), ("a", "b", "c")), wanted=ModelConfig("n", channels=2)
        )
        picture = noise(1, 64)[0]
        images = normalise(torch.tensor(picture).permute(2, 0, 1)[None], square(64))
        wanted = explain.channel_contributions(one.network, images, None, "features.relu7")[0]
        np.testing.assert_allclose(layers.contributions(one, [picture])["features.conv7"], wanted, rtol=1e-4, atol=1e-7)

    def test_silent_channels_come_after_those_that_spoke_against(self) -> None:
        gave = np.array([0.5, -3, 0, 0.1, -0.2, 0], np.float32)
        one = residual(channels=3)
        (first, *_), _ = layers.records(one, Asked("x", {"stem": gave[:4]}))
        assert first.chosen is not None
        assert first.chosen.channels == (0, 1, 3)

    def test_without_images_a_layer_that_has_no_weights_has_no_page(self) -> None:
        found, rest = layers.records(residual(), NOT_ASKED)
        assert [layer.name for layer in found] == ["stem"]
        assert len(rest) == 8

    def test_a_named_layer_that_no_gradient_reaches_is_told(self) -> None:
        class Aside(Residual):
            def forward(self, images: Tensor) -> Tensor:
                self.layer1[0](self.stem(images))
                return torch.as_tensor(self.fc(self.stem(images).mean((2, 3))))

        one = loaded(initialise(Aside(), 0), ("a", "b", "c"), square(16))
        named = replace(one, wanted=ModelConfig("net", show=("layer1.0",)))
        with pytest.raises(InputError, match=r"\[models.cnn\] show: layer 'layer1.0': the logits do not depend on it"):
            layers.contributions(named, noise())

    def test_the_images_that_are_asked(self) -> None:
        photos = [Photo(str(number), "P", picture, "own") for number, picture in enumerate(noise(30))]
        said, chosen = layers.asked_on(photos[:2], None)
        assert (said, len(chosen)) == ("the 2 photos of this report", 2)
        assert layers.asked_on(photos[:1], None)[0] == "the photo of this report"
        said, chosen = layers.asked_on(photos, None)
        assert (said, len(chosen)) == ("24 of the 30 photos of this report", 24)
        assert chosen[0] is photos[0].pixels
        assert chosen[-1] is photos[-1].pixels
        assert layers.asked_on((), synthetic.examined())[0] == "the 3 validation images of Tiny ImageNet"
        assert layers.asked_on((), None)[1] == []


class TestPatches:
    def test_of_layers_with_pages_and_of_the_one_that_is_explained(self) -> None:
        one = residual(show=("stem",))
        found = layer_patches(strongest_patches(one, noise(), layers.shown(one)))
        assert [patches.layer for patches in found] == ["stem", "layer2"]

    def test_a_block_s_end_fires_where_it_is_above_zero(self) -> None:
        one, pictures = residual(), noise(4)
        (found,) = layer_patches(strongest_patches(one, pictures, ["layer2"]))
        batch = normalise(torch.tensor(np.stack(pictures)).permute(0, 3, 1, 2), square(16))
        maps = explain.feature_maps(one.network, batch, ["layer2"])["layer2"]
        np.testing.assert_allclose(found.active, (maps.amax((2, 3)) > 0).float().mean(0))
        np.testing.assert_allclose(found.answers[:, 0], maps.amax((0, 2, 3)), rtol=1e-5)

    def test_channels_may_come_last(self) -> None:
        network = Last()
        with torch.no_grad():
            network.conv.weight.copy_(torch.tensor([1.0, -1.0, 0.5]).view(3, 1, 1, 1))
        one = replace(loaded(network, ("a", "b"), GREY), wanted=ModelConfig("net", show=("block",)))
        pictures = [np.zeros((2, 2, 3), np.uint8) for _ in range(2)]
        pictures[1][1, 0] = 255
        (found, _) = layer_patches(strongest_patches(one, pictures, layers.shown(one)))
        assert found.layer == "block"
        np.testing.assert_allclose(found.answers[:, :2], np.array([[2, 0], [np.nan, np.nan], [1, 0]]), atol=1e-6)
        assert found.pictures[:, 0].tolist() == [1, -1, 1]  # of the second channel no image is the strongest
        assert found.boxes[0, 0].tolist() == [0, 1, 0, 1]
        (layer,), _ = layers.records(one, asked(one, pictures))
        assert (layer.channels, layer.size) == (3, (2, 2))


class Wide(nn.Sequential):
    """Two convolutions, the second of which has more channels than a page can show."""

    def __init__(self, channels: int) -> None:
        super().__init__(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, channels, 1), nn.ReLU())
        self.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 3)))


def test_of_a_small_network_with_a_very_wide_layer_channels_are_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "WIDE", 12)
    monkeypatch.setattr(layers, "CHANNELS", 5)
    pictures = [synthetic.pixels(16, shift) for shift in (0, 3)]
    kept = {}
    for channels in (12, 13):
        one = loaded(initialise(Wide(channels), 0), ("a", "b", "c"), square(16))
        assert layers.selected(one) == ("" if channels == 12 else "chosen")
        found, _ = layers.records(one, Asked("two photos", layers.contributions(one, pictures)))
        kept[channels] = [len(layer.chosen.channels) if layer.chosen else layer.channels for layer in found]
    assert kept == {12: [4, 12], 13: [4, 5]}


def test_of_the_images_that_are_examined_only_those_are_read_that_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    class Watched(list[Pixels]):
        def __getitem__(self, at: Any) -> Any:
            read.append(at)
            return super().__getitem__(at)

    every = Watched(np.zeros((2, 2, 3), np.uint8) for _ in range(1000))
    said, chosen = layers.asked_on((), Examined("1,000 images", every, ("a",) * 1000, "d", True))
    assert (said, len(chosen), len(read)) == ("24 of the 1,000 images", 24, 24)


def test_the_blocks_of_a_network_are_its_layers_with_what_belongs_to_them() -> None:
    made = loaded(SmallCNN(3), ("a", "b", "c"))
    found = layers.blocks(made)
    assert [block.steps for block in found] == [1, 0, 1, 0, 1, 1, 0, 1, 1, 1, 0, 1]
    first, pooled = found[:2]
    assert (first.name, first.shape, first.sees) == ("features.conv1", (48, 64, 64), (5, 5))
    # The batch norm and the ReLU follow the pooling.
    assert pooled.inside == ("features.pool1", "features.bn1", "features.relu1")
    assert (pooled.grid, pooled.weights) == ((32, 32), 96)
    assert found[-1].shape == (3,)
    assert sum(block.weights for block in found) == sum(weights.numel() for weights in made.network.parameters())


def test_a_residual_block_is_one_of_the_blocks() -> None:
    found = layers.blocks(loaded(Residual(), ("a", "b", "c"), square(16)))
    assert [block.paths for block in found] == [(), (2, 0), (2, 0), (), (2, 0), (2, 0), (), ()]
    assert [block.joined for block in found][1] == "addition"
    assert found[1].inside[-1] == "layer1.0"  # with the ReLU after the sum
    assert found[2].sees == (11, 11)
