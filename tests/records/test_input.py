"""How a network takes an image: against torchvision and Pillow, and two faces of the one record against each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, Grayscale, InterpolationMode, Resize

from generator.data import preprocessing
from generator.networks import inputs
from generator.records.images import Pixels
from generator.records.input import MEAN, STD, Input, square

SIDES = st.integers(1, 300)
# (H, W) of images: as large, smaller, larger, higher, wider, odd, and one pixel wide.
IMAGES = [(64, 64), (48, 64), (65, 33), (100, 101), (224, 224), (37, 300), (256, 17), (1, 9)]
SIZES = [(64, 64), (224, 224), (48, 192), (31, 30), (7, 5)]


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def torchvision_s(pixels: Pixels, way: Input) -> Pixels:
    """The same by torchvision's own transforms, as a user has them."""
    mode = InterpolationMode(way.interpolation)
    grey = [Grayscale()] if way.channels == 1 else []
    short = min(way.size)
    squashed = [side * way.resize // short for side in way.size] if way.crop == "squash" else way.resize
    sized = [Resize(list(way.size), mode)] if way.crop == "none" else [Resize(squashed, mode), CenterCrop(way.size)]
    found = np.asarray(Compose([*grey, *sized])(Image.fromarray(pixels)))
    return found.reshape(*way.size, way.channels)


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("more", [0, 1, 32])
def test_resized_and_cut_are_torchvision_s(image: tuple[int, int], size: tuple[int, int], more: int) -> None:
    """Also where the image is smaller than the cut: torchvision then lays black around it."""
    way = Input(size, max(size) + more)
    np.testing.assert_array_equal(preprocessing.seen(noise(*image), way), torchvision_s(noise(*image), way))


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("resize", [20, 47, 48, 100])
def test_what_is_too_small_for_the_cut_lies_in_the_middle_of_black_as_torchvision_has_it(
    image: tuple[int, int], resize: int
) -> None:
    way = Input((48, 192), resize)
    np.testing.assert_array_equal(preprocessing.seen(noise(*image), way), torchvision_s(noise(*image), way))


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("size", SIZES)
def test_without_a_cut_the_image_is_brought_to_the_size_whatever_its_shape(
    image: tuple[int, int], size: tuple[int, int]
) -> None:
    way = Input(size, crop="none")
    assert way.resized(*image) == size
    assert way.cut(*size) == (0, 0)
    np.testing.assert_array_equal(preprocessing.seen(noise(*image), way), torchvision_s(noise(*image), way))


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("more", [0, 1, 32])
def test_squashed_is_torchvision_s_resize_to_two_sides_and_a_cut(
    image: tuple[int, int], size: tuple[int, int], more: int
) -> None:
    way = Input(size, min(size) + more, "squash")
    np.testing.assert_array_equal(preprocessing.seen(noise(*image), way), torchvision_s(noise(*image), way))


def test_squashed_without_a_resize_is_brought_to_the_size() -> None:
    assert Input((48, 192), crop="squash").resized(10, 1000) == (48, 192)
    assert Input((224, 224), 256, "squash").resized(10, 1000) == (256, 256)
    assert Input((48, 192), 60, "squash").resized(10, 1000) == (60, 240)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("crop", ["centre", "squash", "none"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_interpolation_is_pillow_s(interpolation: str, crop: str, channels: int) -> None:
    way = Input((40, 56), 60, crop, interpolation, channels)  # type: ignore[arg-type]
    np.testing.assert_array_equal(preprocessing.seen(noise(90, 70), way), torchvision_s(noise(90, 70), way))


@settings(deadline=None)
@given(SIDES, SIDES, SIDES, SIDES)
@example(48, 192, 64, 64)
@example(300, 1, 1, 300)
def test_of_itself_an_image_is_as_small_as_the_cut_allows(high: int, wide: int, height: int, width: int) -> None:
    way = Input((high, wide))
    found = way.resized(height, width)
    assert found[0] >= high
    assert found[1] >= wide
    top, left = way.cut(*found)
    assert 0 <= top <= found[0] - high
    assert 0 <= left <= found[1] - wide
    # One pixel less on the shorter side, and it is too small: so nothing more is cut off than must be.
    short = min(found) - 1
    scaled = (int(short * height / width), short) if width <= height else (short, int(short * width / height))
    assert scaled[0] < high or scaled[1] < wide


@settings(deadline=None)
@given(SIDES, SIDES, st.integers(1, 400))
def test_resized_is_torchvision_s_arithmetic(height: int, width: int, resize: int) -> None:
    found = Resize(resize)(torch.zeros(1, height, width, dtype=torch.uint8))
    assert Input((1, 1), resize).resized(height, width) == tuple(found.shape[-2:])


def test_a_square_network_sees_the_shorter_side_whole() -> None:
    assert square(64).resized(80, 100) == (64, 80)
    assert square(64).cut(64, 80) == (0, 8)
    assert square(64, 64) == square(64)  # as old records say it
    assert square(64, 72).resized(80, 100) == (72, 90)


def test_grey_is_pillow_s_to_the_last_bit() -> None:
    """Of every pixel that differs in what rounding makes of it: a ramp of each channel, and noise."""
    ramps = np.stack(np.meshgrid(np.arange(0, 256, 5), np.arange(256), indexing="ij"), 2).astype(np.uint8)
    for pixels in (np.dstack([ramps, 255 - ramps[..., :1]]), noise(200, 200)):
        wanted = np.asarray(Image.fromarray(pixels).convert("L"))
        high, wide = wanted.shape
        way = Input((high, wide), channels=1, mean=(0.5,), std=(0.5,))
        np.testing.assert_array_equal(preprocessing.seen(pixels, way)[..., 0], wanted)
        batch = torch.tensor(pixels).permute(2, 0, 1)[None]
        np.testing.assert_array_equal(inputs.as_channels(batch, way)[0, 0].numpy(), wanted)
        # Of floating-point images the same weights, unrounded.
        np.testing.assert_allclose(inputs.as_channels(batch.float(), way)[0, 0].numpy(), wanted, atol=0.51)


# Left as it is, enlarged by powers of two as torch does it, and otherwise as only Pillow does.
WAYS = [
    square(64),
    square(128),
    square(224, 256),
    square(224),
    square(48),
    Input((56, 64), 64),
    Input((128, 128), crop="none"),
    Input((48, 192), crop="none"),
    Input((64, 64), channels=1, mean=(0.5,), std=(0.25,)),
    Input((128, 128), channels=1, mean=(0.5,), std=(0.25,)),
    Input((28, 28), channels=1, mean=(0.5,), std=(0.25,)),
    Input((48, 192), 100, mean=(0.0,) * 3, std=(1.0,) * 3),
    Input((192, 48), 60),
    Input((128, 64), 128, interpolation="bicubic"),
    Input((100, 80), interpolation="nearest"),
    Input((96, 96), 110, interpolation="lanczos"),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("image", [(64, 64), (64, 60), (33, 150)])
def test_the_numpy_face_is_the_torch_face(way: Input, image: tuple[int, int]) -> None:
    pixels = noise(*image)
    one = preprocessing.seen(pixels, way)
    many = inputs.fitted(torch.tensor(pixels).permute(2, 0, 1)[None], way)
    assert one.shape == (*way.size, way.channels)
    assert many.shape == (1, *way.shape)
    np.testing.assert_array_equal(many[0].permute(1, 2, 0).numpy(), one)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 80), st.integers(1, 80), st.integers(0, 3), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_torch_enlarges_by_powers_of_two_as_pillow_does(
    high: int, wide: int, down: int, across: int, seed: int
) -> None:
    """Of any image: what `fitted` leaves to torch for its speed is left to it where it is exact."""
    way = Input((high << down, wide << across), crop="none")
    pixels = noise(high, wide, seed)
    many = inputs.fitted(torch.tensor(pixels).permute(2, 0, 1)[None], way)
    np.testing.assert_array_equal(many[0].permute(1, 2, 0).numpy(), preprocessing.seen(pixels, way))


def test_values_are_brought_to_the_range_before_mean_and_deviation() -> None:
    image = torch.tensor([0, 255, 51], dtype=torch.uint8).view(1, 3, 1, 1)
    of_bytes = Input((1, 1), mean=(100.0, 110.0, 120.0), std=(1.0, 2.0, 3.0), range=255.0)
    assert inputs.normalise(image, of_bytes).flatten().tolist() == pytest.approx([-100, 72.5, -23])
    signed = Input((1, 1), mean=(0.5,) * 3, std=(0.5,) * 3)
    assert inputs.normalise(image, signed).flatten().tolist() == pytest.approx([-1, 1, -0.6])
    one = Input((1, 1), channels=1, mean=(0.1,), std=(0.2,))
    assert inputs.normalise(image[:, 1:2], one).flatten().tolist() == pytest.approx([4.5])


def test_nothing_is_the_colour_of_the_mean() -> None:
    assert square(64).neutral == (124, 116, 104)  # 0.485, 0.456 and 0.406 of 255
    assert replace(square(64), mean=(0.0, 1.0, 0.5)).neutral == (0, 255, 128)
    assert Input((1, 1), mean=(123.7, 300.0, -5.0), range=255.0).neutral == (124, 255, 0)
    assert Input((1, 1), channels=1, mean=(0.1307,), std=(0.3081,)).neutral == (33,)
    assert (MEAN, STD) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_the_shape_is_that_of_one_image() -> None:
    assert Input((48, 192), channels=1, mean=(0.5,), std=(0.5,)).shape == (1, 48, 192)
