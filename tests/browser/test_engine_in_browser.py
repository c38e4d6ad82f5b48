"""The engine of the page that runs a network, in a real browser: by hand, and beside PyTorch with the same weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from generator import explain
from generator.data.preprocessing import TALL_FIRST, square
from generator.data.preprocessing import seen as given
from generator.live import export
from generator.networks.inputs import fitted, normalise
from generator.records.images import Pixels
from generator.records.input import Input
from generator.records.input import square as square_input
from generator.records.live import Live, LiveStep
from tests import live_nets
from tests.browser import devtools, engines, shipped
from tests.browser.engines import Page, encoded, opened
from tests.browser.hosts import serving
from tests.conftest import REAL_DATA
from tests.live_nets import ARCHITECTURES, INPUTS, SIZE

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("one_thread")]

# (H, W) of images: as large, smaller, larger, higher and wider than what networks are given, and such as Pillow makes
# smaller vertically first.
IMAGES = [(64, 64), (48, 64), (65, 33), (37, 300), (256, 17), (1, 9), (300, 120), (200, 100)]
WAYS = {
    "a square in colour": square_input(64),
    "cut out of more": square_input(64, 72),
    "wide": Input((48, 192)),
    "wide, whatever the shape": Input((48, 192), crop="none"),
    "high, cut out of too little": Input((60, 20), 30),
    "grey": Input((28, 28), channels=1, mean=(0.1307,), std=(0.3081,)),
    "grey and wide": Input((31, 57), crop="none", channels=1, mean=(0.5,), std=(0.5,)),
    "bicubic": Input((40, 56), 60, interpolation="bicubic"),
    "bicubic, grey": Input((30, 70), crop="none", interpolation="bicubic", channels=1, mean=(0.4,), std=(0.2,)),
    "lanczos": Input((57, 31), interpolation="lanczos"),
    "nearest": Input((33, 47), interpolation="nearest"),
    "nearest, whatever the shape": Input((70, 90), crop="none", interpolation="nearest"),
    "of bytes": Input((24, 36), mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375), range=255.0),
    "blue first": Input((24, 36), mean=(104.0, 117.0, 124.0), std=(1.0, 2.0, 3.0), range=255.0, order="bgr"),
    "of another range": Input((24, 36), mean=(2.0, 3.0, 4.1), std=(1.1, 0.9, 7.0), range=10.0),
}


@pytest.fixture(scope="module")
def chrome(browser: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[devtools.Browser]:
    running = devtools.Browser(browser, tmp_path_factory.mktemp("profile"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return engines.page_in(tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="module")
def host(folder: Path) -> Iterator[str]:
    with serving(folder) as address:
        yield f"{address}/index.html"


@pytest.fixture(scope="module")
def page(chrome: devtools.Browser, folder: Path) -> Iterator[Page]:
    found = opened(chrome, (folder / "index.html").as_uri())
    yield found
    assert not found.tab.problems
    found.tab.close()


def weighed(kind: Any, integers: Sequence[Sequence[int]], side: tuple[int, int] = (1, 1), **said: Any) -> LiveStep:
    """A step whose weights are whole numbers."""
    return LiveStep(
        kind, side, bits=8, factors=np.ones(len(integers), np.float32),
        biases=np.array(said.pop("biases", [0] * len(integers)), np.float32),
        integers=np.array(integers, np.int64), **said,
    )  # fmt: skip


def network(*steps: LiveStep, cam: int = 0) -> Live:
    return Live("cnn", steps, cam, "", ((cam, "maps"),), 0.0, 0)


def image(*channels: Sequence[Sequence[float]]) -> NDArray[np.float32]:
    """(3, S, S), the channels that are not given all zero."""
    found = np.zeros((3, len(channels[0]), len(channels[0])), np.float32)
    found[: len(channels)] = channels
    return found


def output(page: Page, step: int) -> list[float]:
    return [float(value) for value in page.value(f"[...model.layers[{step}].output]")]


# By hand


def test_a_convolution_of_any_kernel_is_a_sum_of_products(page: Page) -> None:
    # 1 2 3        1 2          1*1 + 2*2 + 4*3 + 5*4 = 37   2 + 6 + 15 + 24 = 47
    # 4 5 6   by   3 4   gives  4 + 10 + 21 + 32 = 67        5 + 12 + 24 + 36 = 77, and the bias 1
    # 7 8 9
    page.load(network(weighed("conv", [[1, 2, 3, 4, *[0] * 8]], (2, 2), biases=[1])), 3)
    page.run(image([[1, 2, 3], [4, 5, 6], [7, 8, 9]]))
    assert output(page, 0) == [38, 48, 68, 78]
    assert page.value("model.layers[0].shape") == [1, 2, 2]


def test_stride_and_padding(page: Page) -> None:
    # Rows -1 and 1 of the columns 0 and 2: padding is zero.
    page.load(network(weighed("conv", [[1, 10, *[0] * 4]], (2, 1), stride=(2, 2), padding=(1, 0))), 3)
    page.run(image([[1, 2, 3], [4, 5, 6], [7, 8, 9]]))
    assert page.value("model.layers[0].shape") == [1, 2, 2]
    assert output(page, 0) == [0 + 10 * 1, 0 + 10 * 3, 4 + 10 * 7, 6 + 10 * 9]


def test_a_three_by_three_convolution_by_winograd_is_the_same_sum(page: Page) -> None:
    ones = [1] * 9 + [0] * 18
    page.load(network(weighed("conv", [ones, [0] * 4 + [1] + [0] * 22], (3, 3), padding=(1, 1))), 5)
    assert page.value("model.layers[0].winograd") is True
    page.run(image([[1] * 5] * 5))
    edge, inner = [4, 6, 6, 6, 4], [6, 9, 9, 9, 6]
    found = output(page, 0)
    assert found[:25] == pytest.approx([*edge, *inner, *inner, *inner, *edge], abs=1e-5)
    assert found[25:] == pytest.approx([1] * 25, abs=1e-6)  # the second filter passes its middle on


def test_pooling_takes_the_largest_and_padding_never_wins(page: Page) -> None:
    steps = (weighed("conv", [[1, 0, 0]]), LiveStep("maxpool", (2, 2), (2, 2), (1, 1)))
    page.load(network(*steps), 3)
    page.run(image([[-1, -2, -3], [-4, -5, -6], [-7, -8, -9]]))
    assert output(page, 1) == [-1, -2, -4, -5]


def test_relu_and_scale(page: Page) -> None:
    scale = LiveStep("scale", factors=np.array([-2], np.float32), biases=np.array([3], np.float32))
    page.load(network(weighed("conv", [[1, 0, 0]]), LiveStep("relu"), scale), 2)
    page.run(image([[-1, 2], [0, 4]]))
    assert output(page, 1) == [0, 2, 0, 4]
    assert output(page, 2) == [3, -1, 3, -5]


HEADS = {"max": ([4.0, 6.0], [4 * 2 + 6 * 1 + 1, -4 + 6 * 3.0]), "average": ([1.5, 3.0], [1.5 * 2 + 3 + 1, -1.5 + 9.0])}


@pytest.mark.parametrize("pool", ["max", "average"])
def test_a_global_head_its_maps_and_its_channels(page: Page, pool: Any) -> None:
    steps = (
        weighed("conv", [[1, 0, 0], [0, 1, 0]]), LiveStep("global", pool=pool),
        weighed("linear", [[2, 1], [-1, 3]], biases=[1, 0]),
    )  # fmt: skip
    page.load(network(*steps), 2, ("one", "two"))
    logits = page.run(image([[0, 2], [0, 4]], [[6, 6], [0, 0]]))
    pooled, wanted = HEADS[pool]
    assert output(page, 1) == pooled
    assert logits.tolist() == wanted
    # A channel's weight in the map is its weight for the class by the four cells: (2 a + b) / 4 and (-a + 3 b) / 4.
    maps = page.floats("whole(Engine.cams(model))").reshape(2, 2, 2)
    assert maps[0].tolist() == [[6 / 4, 10 / 4], [0, 8 / 4]]
    assert maps[1].tolist() == [[18 / 4, 16 / 4], [0, 0]]  # -4 / 4 is no evidence
    assert page.value("[...Engine.contributions(model, 1)]") == [-pooled[0], 3 * pooled[1]]


def test_a_head_of_two_linear_layers_is_followed_back_through_its_relu(page: Page) -> None:
    steps = (
        weighed("conv", [[1, 0, 0]]), LiveStep("flatten"), weighed("linear", [[1, 0, 0, 1], [-1, -1, -1, -1]]),
        LiveStep("relu"), weighed("linear", [[2, 5], [1, -5]]),
    )  # fmt: skip
    page.load(network(*steps), 2, ("one", "two"))
    # The hidden values are 1 + 4 = 5 and -10, which the ReLU stops: only the first counts.
    assert page.run(image([[1, 2], [3, 4]])).tolist() == [10, 5]
    # The gradient is 2 (1, 0, 0, 1), its mean over the cells 1.
    assert page.floats("whole(Engine.cams(model))")[:4].tolist() == [1, 2, 3, 4]
    assert page.value("[...Engine.contributions(model, 0)]") == [2 * (1 + 4)]


def test_a_map_each_is_a_slice_of_work(page: Page) -> None:
    """The gradient of one class goes through the whole head, that of thirty at once would hold the browser up."""
    classes = [f"class {k}" for k in range(7)]
    page.load(network(weighed("conv", [[1, 0, 0]]), LiveStep("flatten"), weighed("linear", [[1] * 4] * 7)), 2, classes)
    page.run(image([[1, 2], [3, 4]]))
    assert page.value("(() => { let n = 0; for (const _ of Engine.cams(model)) n++; return n; })()") >= len(classes)


def test_weights_of_odd_widths_are_unpacked(page: Page) -> None:
    step = LiveStep(
        "conv", bits=11, factors=np.array([0.5, 2], np.float32), biases=np.array([0, -1], np.float32),
        integers=np.array([[-1023, 0, 1023], [1, -1, 512]]),
    )  # fmt: skip
    page.load(network(step), 1)
    assert page.value("[...model.layers[0].weights]") == [-511.5, 0, 511.5, 2, -2, 1024]
    assert page.run(image([[1]])).tolist() == [-511.5, 1]


def test_the_arithmetic_of_a_unit_and_what_it_sees(page: Page) -> None:
    steps = (
        weighed("conv", [[0, 0, 0, 0, 1, 0, 0, 0, 2, *[0] * 18]], (3, 3), padding=(1, 1), biases=[1]),
        LiveStep("maxpool", (2, 2), (2, 2)), LiveStep("relu"),
    )  # fmt: skip
    page.load(network(*steps, cam=2), 4)
    page.run(image([[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 5, 0], [0, 0, 0, 3]]))
    # Cell (1, 1) of the pooled maps is the largest of four sums: at (2, 2), 5 + 2 * 3 + 1 = 12.
    unit = page.value(
        "(({parts, ...rest}) => ({...rest, steps: rest.steps.map((s) => [s.kind, s.value]), "
        "parts: parts.map((p) => [p.channel, p.sum, [...p.patch]])}))(Engine.unit(model, 2, 0, 1, 1))"
    )
    assert (unit["place"], unit["y"], unit["x"], unit["bias"], unit["sum"]) == (0, 2, 2, 1, 12)
    assert [kind for kind, _ in unit["steps"]] == ["maxpool", "relu"]
    assert [value for _, value in unit["steps"]] == pytest.approx([12, 12], rel=1e-6)
    assert unit["parts"][0] == [0, 11, [0, 0, 0, 0, 5, 0, 0, 0, 3]]
    assert page.value("Engine.field(model, 0, 2, 2)") == [1, 1, 4, 4]
    assert page.value("Engine.field(model, 2, 0, 1)") == [-1, 1, 3, 5]  # two by two sums of three by three


def test_a_photo_is_cut_by_hand(page: Page) -> None:
    # 4 x 2 to 1 x 1: the middle two columns weigh what a triangle of half-width 2 gives them at the centre.
    rgba = [value for grey in (0, 100, 200, 40, 0, 100, 200, 40) for value in (grey, grey, grey, 255)]
    made = f"const cutter = Engine.cutter(4, 2, {told(square_input(1))}, true); cutter.add({rgba}, 2);"
    # Resized to 2 x 1 (the shorter side to 1); the centre cut rounds 0.5 to the even 0: the left one of the two, whose
    # weights over columns 0 to 2 are 3/8, 3/8, 1/8 and on column 3 0 - normalised 3/7, 3/7, 1/7.
    assert page.value(f"(() => {{ {made} return [...cutter.finish()]; }})()") == [round(100 * 3 / 7 + 200 / 7)] * 3


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_numpy_torch_and_the_page_give_a_network_the_same(page: Page, way: Input) -> None:
    """The three faces of `records.input.Input`: the same bytes of each photo, and of these the same numbers."""
    for seed, (high, wide) in enumerate(IMAGES):
        photo = np.random.default_rng(seed).integers(0, 256, (high, wide, 3), np.uint8)
        one = given(photo, way)
        batch = fitted(torch.tensor(photo).permute(2, 0, 1)[None], way)
        np.testing.assert_array_equal(batch[0].permute(1, 2, 0).numpy(), one)
        np.testing.assert_array_equal(cut(page, photo, way), one, f"{high} x {wide}")
        pixels = page.floats(f"Engine.normalise({told(way)}, bytes('{encoded(one)}'))")
        np.testing.assert_array_equal(pixels, normalise(batch, way).numpy().ravel())


def told(way: Input) -> str:
    return json.dumps(asdict(way))


def cut(page: Page, photo: Pixels, way: Input) -> Pixels:
    """The page's face: a photo comes as strips of RGBA, of columns where it asks for them."""
    high, wide = photo.shape[:2]
    clear = np.dstack([photo, np.full((high, wide), 255, np.uint8)])
    script = f"""(() => {{ const cutter = Engine.cutter({wide}, {high}, {told(way)}, {json.dumps(TALL_FIRST)});
      const rgba = bytes(cutter.turned ? '{encoded(clear.transpose(1, 0, 2))}' : '{encoded(clear)}');
      const [row, rows] = cutter.turned ? [{4 * high}, {wide}] : [{4 * wide}, {high}];
      for (let top = 0; top < rows; top += 7)
        cutter.add(rgba.subarray(top * row, (top + 7) * row), Math.min(7, rows - top));
      return cutter.finish(); }})()"""
    return np.frombuffer(page.bytes(script), np.uint8).reshape(*way.size, way.channels)


def test_bilinear_enlargement_is_that_of_torch(page: Page) -> None:
    coarse = np.array([[0, 1, 2], [3, 4, 9]], np.float32)
    found = page.floats(f"Engine.enlarge(floats('{encoded(coarse)}'), 2, 3, 7, 5)").reshape(7, 5)
    wanted = nn.functional.interpolate(torch.tensor(coarse)[None, None], size=(7, 5), mode="bilinear")[0, 0]
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-6)


def test_weights_of_another_network_are_refused(page: Page) -> None:
    """A cache may hold a piece from before the site was placed anew."""
    page.load(network(weighed("conv", [[1, 2, 3]])), 2)
    page.tab.evaluate("liveLetters = { other: Object.values(liveLetters)[0] }; 0")
    tried = (
        "(() => { try { whole(Engine.load(liveNetwork, liveLetters)); } catch (error) { return error.message; } })()"
    )
    assert page.value(tried) == "weights of another network came along: reload the page"


# Beside PyTorch


@pytest.mark.parametrize("protocol", ["file", "http"])
@pytest.mark.parametrize("build", ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_the_same_answers_maps_and_channels_as_pytorch(
    chrome: devtools.Browser, folder: Path, host: str, build: Callable[[], nn.Module], protocol: str
) -> None:
    loaded = live_nets.made(build)
    found = export.export(loaded, live_nets.photos())
    own, layer = live_nets.rebuilt(found), str(found.cam)
    page = opened_by(protocol, chrome, folder, host)
    page.load(found, SIZE, folder=folder)
    for photo in live_nets.photos(3, seed=2):
        agree(page, own, layer, square(photo.pixels, SIZE), loaded.input)
    assert not page.tab.problems
    page.tab.close()


@pytest.mark.parametrize(("build", "way"), INPUTS.values(), ids=INPUTS)
def test_also_of_images_that_are_no_squares_in_colour(page: Page, build: Callable[[], nn.Module], way: Input) -> None:
    loaded = live_nets.made(build, way=way)
    found = export.export(loaded, live_nets.photos())
    own, layer = live_nets.rebuilt(found), str(found.cam)
    page.load(found, way)
    for photo in live_nets.photos(3, seed=2):
        agree(page, own, layer, cut(page, photo.pixels, way), way)


def agree(page: Page, own: nn.Module, layer: str, seen: NDArray[np.uint8], way: Input) -> NDArray[np.float32]:
    """The page's logits, maps and contributions are those of the same weights in PyTorch; returns the logits."""
    images = normalise(torch.tensor(seen).permute(2, 0, 1)[None].contiguous(), way)
    pixels = page.floats(f"Engine.normalise(model.input, bytes('{encoded(seen)}'))")
    assert np.array_equal(pixels, images.numpy().ravel())
    logits = page.run(images[0].numpy())
    with torch.no_grad():
        wanted = own(images)[0].numpy()
    assert np.abs(logits - wanted).max() <= 1e-5 * np.abs(wanted).max()
    maps = explain.grad_cam_all(own, images, layer)[0].numpy()
    cams = page.floats("whole(Engine.cams(model))").reshape(maps.shape)
    assert np.abs(cams - maps).max() <= 1e-3 * maps.max()
    most = maps.max((1, 2))
    assert (np.abs(cams - maps).max((1, 2)) <= 1e-3 * most + 1e-6 * maps.max()).all()
    target = int(wanted.argmax())
    shares = explain.channel_contributions(own, images, [target], layer)[0].numpy()
    np.testing.assert_allclose(
        page.value(f"[...Engine.contributions(model, {target})]"), shares, atol=1e-5 * np.abs(shares).max()
    )
    return logits


def opened_by(protocol: str, chrome: devtools.Browser, folder: Path, host: str) -> Page:
    return opened(chrome, host if protocol == "http" else (folder / "index.html").as_uri())


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["file", "http"])
def test_the_shipped_network_on_every_bundled_photo(
    chrome: devtools.Browser, folder: Path, host: str, protocol: str
) -> None:
    page, loaded, judged = opened_by(protocol, chrome, folder, host), shipped.network()[0], shipped.bundled()
    page.load(shipped.exported(), loaded.input.size[0], loaded.class_names, folder)
    own, layer = live_nets.rebuilt(shipped.exported()), str(shipped.exported().cam)
    logits, maps = [], []
    for seen in judged.seen:
        logits.append(agree(page, own, layer, seen, loaded.input))
        maps.append(page.floats("whole(Engine.cams(model))"))
    judged.agrees(logits, maps)
    page.tab.close()


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["file", "http"])
@pytest.mark.skipif(not REAL_DATA, reason="needs the real data set: TINY_IMAGENET is not set")
def test_the_shipped_network_on_300_test_images(
    chrome: devtools.Browser, folder: Path, host: str, protocol: str, tiny_imagenet: Path
) -> None:
    page, loaded = opened_by(protocol, chrome, folder, host), shipped.network()[0]
    judged = shipped.of_the_test_split(tiny_imagenet)
    page.load(shipped.exported(), loaded.input.size[0], loaded.class_names, folder)
    logits, maps = [], []
    for seen in judged.seen:
        logits.append(page.floats(f"whole(Engine.run(model, Engine.normalise(model.input, bytes('{encoded(seen)}'))))"))
        maps.append(page.floats("whole(Engine.cams(model))"))
    judged.agrees(logits, maps)
    page.tab.close()
