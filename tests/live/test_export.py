"""A network as steps for a page: the same function, with weights of few bits; or the reason why it cannot be."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from generator import explain
from generator.data.preprocessing import seen, square
from generator.live import bits, export, running
from generator.live.trace import UnsuitedError
from generator.networks.inputs import normalise
from generator.records.images import Pixels
from generator.records.input import Input
from generator.records.input import square as square_input
from generator.records.live import Live, LiveStep
from tests import live_nets
from tests.live_nets import ARCHITECTURES, CLASSES, INPUTS, SIZE
from tests.loaded import loaded

pytestmark = pytest.mark.usefixtures("one_thread")


WAY = square_input(SIZE)


def images(count: int = 4, seed: int = 1) -> Tensor:
    shown = [square(photo.pixels, SIZE) for photo in live_nets.photos(count, seed)]
    return normalise(torch.tensor(np.stack(shown)).permute(0, 3, 1, 2).contiguous(), WAY)


@pytest.mark.parametrize("build", ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_the_steps_are_the_network(build: Callable[[], nn.Module]) -> None:
    net = live_nets.made(build)
    found = export.export(net, live_nets.photos())
    others = images(8)
    with torch.no_grad():
        wanted, steps = net.network(others), running.run(found, others)
    assert (steps - wanted).abs().max() <= bits.AGREEMENT[0] * wanted.abs().max()
    assert found.difference <= bits.SHARE * bits.AGREEMENT[0]
    assert found.maps <= bits.SHARE * bits.AGREEMENT[1]
    assert torch.equal(steps.argmax(1), wanted.argmax(1))


@pytest.mark.parametrize(("build", "way"), INPUTS.values(), ids=INPUTS)
def test_images_may_have_any_proportions_and_be_grey(build: Callable[[], nn.Module], way: Input) -> None:
    net = live_nets.made(build, way=way)
    found = export.export(net, live_nets.photos())
    others = torch.stack([given_to(way, photo.pixels) for photo in live_nets.photos(8, seed=1)])
    with torch.no_grad():
        wanted, steps = net.network(others), running.run(found, others)
    assert (steps - wanted).abs().max() <= bits.AGREEMENT[0] * wanted.abs().max()
    assert found.layer == found.explained == net.layer


def given_to(way: Input, pixels: Pixels) -> Tensor:
    return normalise(torch.tensor(seen(pixels, way)).permute(2, 0, 1)[None], way)[0]


@pytest.mark.parametrize("channels", [2, 4, 11])
def test_images_of_other_channels_than_a_photo_s_are_refused(channels: int) -> None:
    way = Input((SIZE, SIZE), channels=channels, mean=(0.5,) * channels, std=(0.5,) * channels)
    net = live_nets.made(lambda: nn.Sequential(nn.Conv2d(channels, 2, SIZE), nn.Flatten(), nn.Linear(2, 5)), way=way)
    with pytest.raises(UnsuitedError, match=rf"takes images of {channels} channels, and a visitor's photo has three"):
        export.export(net, live_nets.photos(1))


@pytest.mark.parametrize("build", ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_the_layer_is_the_one_that_the_report_explains(build: Callable[[], nn.Module]) -> None:
    net = live_nets.made(build)
    found = export.export(net, live_nets.photos())
    assert found.layer == found.explained == net.layer
    same_maps(net.network, found)


def same_maps(network: nn.Module, found: Live) -> None:
    """The feature maps and the heat maps of the page's steps are the network's."""
    own, place = live_nets.rebuilt(found), str(found.cam)
    maps = explain.feature_maps(network, images(2), [found.layer])[found.layer]
    shown = explain.feature_maps(own, images(2), [place])[place]
    torch.testing.assert_close(shown, maps, atol=5e-3 * float(maps.abs().max()), rtol=0)
    heat = explain.grad_cam_all(network, images(2), found.layer)
    assert (explain.grad_cam_all(own, images(2), place) - heat).abs().max() <= bits.AGREEMENT[1] * heat.max()


def test_a_layer_before_its_batch_norm_can_be_explained() -> None:
    """Folded, the convolution would give the norm's maps; and other heat maps, for they are not proportional."""
    net = live_nets.made(live_nets.gap, layer="features.conv7")
    found = export.export(net, live_nets.photos())
    assert found.layer == found.explained == "features.conv7"
    assert [step.kind for step in found.steps[-6:]] == ["conv", "scale", "relu", "global", "flatten", "linear"]
    same_maps(net.network, found)


class Nested(nn.Module):
    """Its stages are sequences, which give what their last layer does."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout2d())
        self.then = nn.Sequential(nn.Sequential(nn.Conv2d(5, 6, 3), nn.BatchNorm2d(6), nn.ReLU()), nn.Identity())
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, len(CLASSES)))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, h, w) -> (N, 5)."""
        return self.head(self.then(self.first(x)))  # type: ignore[no-any-return]


def test_a_sequence_is_the_last_of_its_layers() -> None:
    """What a report explains at "then" the page has at "then.0.2": the same maps."""
    net = live_nets.made(Nested, layer="then")
    found = export.export(net, live_nets.photos())
    assert found.layer == found.explained == "then"
    assert found.steps[found.cam].kind == "relu"
    own, place = live_nets.rebuilt(found), str(found.cam)
    heat = explain.grad_cam_all(net.network, images(2), "then")
    assert (explain.grad_cam_all(own, images(2), place) - heat).abs().max() <= bits.AGREEMENT[1] * heat.max()
    wanted = explain.feature_maps(net.network, images(1), list(net.stages))
    assert [name for _, name in found.stages] == list(net.stages)
    for at, name in found.stages:
        shown = explain.feature_maps(own, images(1), [str(at)])[str(at)]
        torch.testing.assert_close(shown, wanted[name], atol=5e-3 * float(wanted[name].abs().max()), rtol=0)


def test_where_another_layer_is_explained_the_record_says_so() -> None:
    net = live_nets.made(live_nets.gap, layer="features.relu1")
    found = export.export(net, live_nets.photos())  # convolutions behind it
    assert (found.layer, found.explained) == ("features.relu7", "features.relu1")
    same_maps(net.network, found)


def test_stages_begin_with_the_first_convolution() -> None:
    """Before it no unit is a sum of products, as the page tells it; there `tangled` has a batch norm."""
    found = export.export(live_nets.made(live_nets.tangled), live_nets.photos())
    assert [step.kind for step in found.steps[:2]] == ["scale", "conv"]
    assert found.stages == ((2, "2"), (3, "3"))


def test_batch_norm_with_a_negative_factor_stays_behind_the_pooling() -> None:
    """-1 times the largest of 1, 2, 3 and 4 is -4; the largest of -1, -2, -3 and -4 would be -1."""
    norm = nn.BatchNorm2d(1, eps=0)
    conv, linear = nn.Conv2d(3, 1, 1, bias=False), nn.Linear(1, 1)
    network = nn.Sequential(conv, nn.MaxPool2d(2), norm, nn.AdaptiveMaxPool2d(1), nn.Flatten(), linear)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    with torch.no_grad():
        conv.weight[:] = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
        norm.weight[:], norm.bias[:], norm.running_mean[:], norm.running_var[:] = -1, 0, 0, 1
        linear.weight[:], linear.bias[:] = 1, 0
    found = export.export(loaded(network, ("one",), square_input(2)), ())
    assert [step.kind for step in found.steps] == ["conv", "maxpool", "scale", "global", "flatten", "linear"]
    image = torch.zeros(1, 3, 2, 2)
    image[0, 0] = torch.tensor([[1.0, 2], [3, 4]])
    assert running.run(found, image).item() == pytest.approx(-4, abs=1e-3)
    with torch.no_grad():
        norm.weight[:] = 2
    found = export.export(loaded(network, ("one",), square_input(4), layer="2"), ())
    assert [step.kind for step in found.steps] == ["conv", "maxpool", "global", "flatten", "linear"]
    assert running.run(found, image.repeat(1, 1, 2, 2)).item() == pytest.approx(8, abs=1e-3)


def test_the_largest_weight_of_each_channel_is_at_an_end_of_the_numbers() -> None:
    found = export.export(live_nets.made(live_nets.gmp), live_nets.photos())
    for step in found.steps:
        if step.integers is not None:
            assert (np.abs(step.integers).max(1) == 2 ** (step.bits - 1) - 1).all()
            assert step.factors is not None
            assert step.factors.dtype == np.float32


def test_weights_are_numbers_times_factors_in_float32() -> None:
    step = LiveStep("linear", bits=4, factors=np.array([0.1], np.float32), integers=np.array([[3, -7]]))
    # 3 * 0.1 in double precision, rounded once
    assert running.dequantised(step).tolist() == [
        [float(np.float32(3 * float(np.float32(0.1)))), -float(np.float32(0.7))]
    ]


def test_large_steps_have_fewer_bits() -> None:
    found = export.export(live_nets.made(live_nets.gmp), live_nets.photos())
    steps = [step for step in found.steps if step.integers is not None]
    largest = max(steps, key=lambda step: 0 if step.integers is None else step.integers.size)
    assert largest.bits < max(step.bits for step in steps)


def test_what_the_cache_holds_is_the_record() -> None:
    net, photos = live_nets.made(live_nets.flattened), live_nets.photos()
    found, kept = export.export(net, photos), export.recorded(export.tried(net, photos))
    assert not isinstance(kept, str)
    assert replace(kept, steps=()) == replace(found, steps=())
    for one, other in zip(kept.steps, found.steps, strict=True):
        for name, value in vars(other).items():
            np.testing.assert_array_equal(getattr(one, name), value)


class Residual(nn.Module):
    """Adds what it skipped."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, len(CLASSES)))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, h, w) -> (N, 5)."""
        return self.head(self.conv(x) + x)  # type: ignore[no-any-return]


class Odd(nn.Module):
    """A linear layer over the rows' last axis, which a page would take for one over everything."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.rows = nn.Linear(SIZE, SIZE)
        self.last = nn.Linear(4 * SIZE * SIZE, len(CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 20, 20) -> (N, 5)."""
        return self.last(self.rows(self.conv(x)).flatten(1))  # type: ignore[no-any-return]


class Doubled(nn.Module):
    """Gives its logits twice over."""

    def __init__(self) -> None:
        super().__init__()
        self.net = live_nets.gap()

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, h, w) -> (N, 5)."""
        return self.net(x) * 2  # type: ignore[no-any-return]


def ending(*layers: nn.Module, channels: int = 4) -> Callable[[], nn.Module]:
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, len(CLASSES)))
    return lambda: nn.Sequential(*layers, *head)


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (Residual, "is no chain of layers: add"),
        (live_nets.Functional, "cannot be followed"),
        (ending(nn.Conv2d(3, 4, 3), nn.GELU()), r"does not know: 1 \(GELU\)"),
        (ending(nn.Conv2d(3, 4, 3, dilation=2)), "groups, dilation"),
        (ending(nn.Conv2d(3, 3, 3, groups=3), channels=3), "groups, dilation"),
        (ending(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")), "another padding than zeros"),
        (ending(nn.Conv2d(3, 4, 4, padding="same")), "uneven padding"),
        (ending(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2, ceil_mode=True)), "rounded up"),
        (ending(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)), "depends on the other images"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(1200, 5)), "does not end in a linear layer after convolutions"),
        (lambda: nn.Sequential(nn.Conv2d(3, 5, 20), nn.Flatten()), "does not end in a linear layer"),
        (Odd, "has a linear layer on 4 axes: rows"),
        (Doubled, "does not know: mul"),
        (ending(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1)), "has a global layer on 2 axes: 2"),
        (ending(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(2), channels=16), r"does not know: 1 \(AdaptiveAvgPool2d\)"),
        (ending(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2, dilation=2)), "with dilation"),
        (ending(nn.Conv2d(3, 4, 3), nn.AvgPool2d(2)), r"does not know: 1 \(AvgPool2d\)"),
        (ending(nn.Conv2d(3, 4, 3), nn.Dropout(), nn.Softmax(1)), r"does not know: 2 \(Softmax\)"),
        (lambda: nn.Sequential(nn.Conv2d(3, 4, 20), nn.Flatten(), nn.Linear(4, 6)), "one logit a class"),
        (lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(1600, 2500), nn.Linear(2500, 5)), "MiB"),
    ],
)
def test_what_the_page_cannot_run_is_said(build: Callable[[], nn.Module], reason: str) -> None:
    net = live_nets.made(build)
    with pytest.raises(UnsuitedError, match=reason):
        export.export(net, live_nets.photos(2))
    said = export.recorded(export.tried(net, live_nets.photos(2)))
    assert isinstance(said, str)


def test_a_step_that_answers_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is wrong with the steps, their answers are compared with the network's."""
    monkeypatch.setitem(running.RUNS, "relu", lambda _step, maps: maps.relu() * 1.01)
    with pytest.raises(UnsuitedError, match="answers otherwise when its steps are run"):
        export.export(live_nets.made(live_nets.gap), live_nets.photos())


def test_of_very_many_classes_the_maps_of_some_are_compared() -> None:
    assert running.compared(30) == list(range(30))
    found = running.compared(5000)
    assert (len(found), found[0], found[-1]) == (running.COMPARED, 0, 4960)


def test_more_classes_than_the_page_has_room_for_are_refused() -> None:
    net = live_nets.made(live_nets.gap)
    many = replace(net, class_names=tuple(f"class {number:05d}" for number in range(21843)))
    with pytest.raises(UnsuitedError, match="has 21,843 classes, more than the page has room to list"):
        export.export(many, live_nets.photos(1))


def test_what_is_no_number_never_agrees() -> None:
    assert bits._excess((math.nan, 0.0)) == bits._excess((0.0, math.nan)) == math.inf
    assert bits._excess((5e-3, 0.0)) == bits._excess((0.0, 1e-3)) == 1


def test_photos_run_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even parts, for there are networks that answer a single image otherwise; what is found is the same."""
    sizes: list[int] = []

    def watched(images: Tensor) -> Tensor:
        sizes.append(len(images))
        return images + 1

    images = torch.arange(17.0)[:, None]
    assert torch.equal(running.in_parts(watched, images), images + 1)
    assert sizes == [6, 6, 5]
    net, photos = live_nets.made(live_nets.gap), live_nets.photos(5)
    whole = export.export(net, photos)
    monkeypatch.setattr(running, "TOGETHER", 2)
    parts = export.export(net, photos)
    assert [step.bits for step in parts.steps] == [step.bits for step in whole.steps]
    assert [parts.difference, parts.maps] == pytest.approx([whole.difference, whole.maps], rel=1e-2)
