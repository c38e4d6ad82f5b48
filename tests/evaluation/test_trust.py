"""The metrics of heat maps against values counted by hand and against peers, and `measure` on a net that must win."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage, stats  # type: ignore[import-untyped]
from skimage.metrics import structural_similarity
from torch import Tensor, nn

from generator.base.errors import InputError
from generator.data.dataset import Box
from generator.evaluation import trust
from generator.evaluation.bootstrap import RESAMPLES, compared, estimates
from generator.evaluation.perturbation import blurred, curve_area, exchanged_probabilities, removal_order
from generator.evaluation.pointing import (
    FEWEST,
    box_mask,
    centre_map,
    energy_in_box,
    pointing_hits,
    upsampled,
    wrong_classes,
)
from generator.evaluation.randomisation import average_ranks, cascade, executed, randomise, recalibrate, spearman, ssim
from generator.evaluation.task import Sizes
from generator.evaluation.trust import measure, parts
from generator.explain import grad_cam
from generator.explain import methods as explain_methods
from generator.explain.methods import Method
from generator.explain.points import points
from generator.networks import folder
from generator.networks.inputs import fitted
from generator.records.input import square
from generator.records.trust import Estimate, Faithfulness
from tests import synthetic

pytestmark = pytest.mark.usefixtures("one_thread")

SIDE = 16
WHOLE = square(SIDE)
CUT = square(12, 16)


def mask(*rows: str) -> Tensor:
    """One (1, H, W) mask: "#" is in the box."""
    return torch.tensor([[[cell == "#" for cell in row] for row in rows]])


def one(*rows: list[float]) -> Tensor:
    return torch.tensor([rows], dtype=torch.float64)


# Boxes


def test_a_box_is_inclusive_and_grows_with_the_image() -> None:
    box = (1, 2, 2, 3)  # columns 1 and 2, rows 2 and 3

    assert torch.equal(box_mask(box, (4, 4), square(4)), mask("....", "....", ".##.", ".##.")[0])
    doubled = box_mask(box, (4, 4), square(8))
    assert torch.equal(doubled, mask(*["........"] * 4, *["..####.."] * 4)[0])
    # Of the eight rows and columns the crop leaves those from 2 to 5.
    assert torch.equal(box_mask(box, (4, 4), square(4, 8)), mask("....", "....", "####", "####")[0])


@pytest.mark.parametrize(("size", "resize"), [(16, 16), (32, 32), (24, 32), (28, 32)])
@pytest.mark.parametrize("box", [(2, 3, 9, 12), (0, 0, 3, 3), (8, 5, 15, 15)])
def test_a_box_lies_where_the_network_sees_what_is_in_it(size: int, resize: int, box: Box) -> None:
    x0, y0, x1, y1 = box
    image = torch.zeros(1, 3, SIDE, SIDE, dtype=torch.uint8)
    image[:, :, y0 : y1 + 1, x0 : x1 + 1] = 255

    way = square(size, resize)

    assert torch.equal(box_mask(box, (SIDE, SIDE), way), fitted(image, way)[0, 0] > 127)


def test_pointing_by_hand() -> None:
    box = mask("##.", "##.", "...")
    inside = one([0, 0, 0], [0, 3, 0], [2, 2, 2])
    outside = one([1, 1, 0], [1, 1, 0], [0, 0, 2])
    half = one([5, 0, 0], [0, 0, 0], [0, 0, 5])  # two maxima, one of them in the box
    nothing = one([0, 0, 0], [0, 0, 0], [0, 0, 0])
    uniform = one([7, 7, 7], [7, 7, 7], [7, 7, 7])
    faint = 1e-20 * inside

    found = pointing_hits(torch.cat([inside, outside, half, nothing, uniform, faint]), box.expand(6, -1, -1))

    assert found.tolist() == [1, 0, 0.5, 0, pytest.approx(4 / 9), 1]


def test_energy_by_hand() -> None:
    box = mask("##.", "##.", "...")
    most = one([1, 2, 0], [0, 3, 0], [0, 0, 2])  # 6 of 8
    nothing = one([0, 0, 0], [0, 0, 0], [0, 0, 0])
    uniform = one([7, 7, 7], [7, 7, 7], [7, 7, 7])

    found = energy_in_box(torch.cat([most, nothing, uniform, 1e-20 * most]), box.expand(4, -1, -1))

    assert found.tolist() == pytest.approx([0.75, 0, 4 / 9, 0.75])


def test_a_corner_cell_points_at_all_the_pixels_that_show_it_unmixed() -> None:
    # Beyond a cell's centre an enlarged map goes on as it is: 2 x 2 of the 8 x 8 pixels share the maximum.
    cells = one([0, 0], [0, 0.3])
    large = upsampled(cells, (8, 8))

    assert pointing_hits(large, mask(*["........"] * 6, *["......##"] * 2)).item() == 1
    assert pointing_hits(large, mask(*["........"] * 7, ".......#")).item() == 0.25


def test_the_centre_is_one_pixel_of_an_odd_side_and_four_of_an_even_one() -> None:
    assert centre_map((3, 3)).tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert centre_map((4, 4)).tolist() == [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert pointing_hits(centre_map((4, 4))[None], mask("##..", "##..", "....", "....")).item() == 0.25


def test_wrong_classes_are_other_ones_of_those_allowed() -> None:
    targets = torch.tensor([0, 3, 5] * 100)

    found = wrong_classes(targets, (0, 3, 5, 9), seed=1)

    assert set(found.tolist()) == {0, 3, 5, 9}
    assert not (found == targets).any()
    assert torch.equal(found, wrong_classes(targets, (0, 3, 5, 9), seed=1))
    assert not torch.equal(found, wrong_classes(targets, (0, 3, 5, 9), seed=2))
    of_zero = found[targets == 0]
    assert all(abs(int((of_zero == each).sum()) - 100 / 3) < 20 for each in (3, 5, 9))
    with pytest.raises(ValueError, match="at least two classes"):
        wrong_classes(targets, (3,), seed=0)


# Deletion and insertion


def test_pixels_are_taken_from_the_highest_and_noise_decides_between_equals() -> None:
    maps = one([0, 5], [0, 9])
    noise = one([0.1, 0.9], [0.7, 0.2])

    # 9 first, then 5; of the zeros the one with more noise.
    assert removal_order(maps, noise).tolist() == [[[3, 1], [2, 0]]]
    assert removal_order(torch.zeros_like(maps), noise).tolist() == [[[3, 0], [1, 2]]]


class Corner(nn.Module):
    """Probability 3/4 for class 0 where the upper right pixel is on, 1/2 where it is off."""

    def forward(self, images: Tensor) -> Tensor:
        on = images[:, 0, 0, -1] * math.log(3)
        return torch.stack([on, torch.zeros_like(on)], 1)


def test_exchange_by_hand() -> None:
    image, off = torch.ones(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    places = torch.tensor([[[0, 1], [2, 3]]])  # the pixel that matters is the second
    target = torch.tensor([0])

    falls = exchanged_probabilities(Corner(), image, off, places, target, 4)
    rises = exchanged_probabilities(Corner(), off, image, places, target, 4)
    in_halves = exchanged_probabilities(Corner(), image, off, places, target, 2)

    np.testing.assert_allclose(falls, [[0.75, 0.75, 0.5, 0.5, 0.5]], rtol=1e-6)
    np.testing.assert_allclose(rises, [[0.5, 0.5, 0.75, 0.75, 0.75]], rtol=1e-6)
    np.testing.assert_allclose(in_halves, [[0.75, 0.5, 0.5]], rtol=1e-6)
    assert exchanged_probabilities(Corner(), image, off, places, torch.tensor([1]), 4)[0, 0] == pytest.approx(0.25)
    # Trapezoids: (0.75 + 0.625 + 0.5 + 0.5) / 4.
    assert curve_area(falls).item() == pytest.approx(0.59375)
    assert curve_area(torch.tensor([[0.3, 0.3, 0.3]])).item() == pytest.approx(0.3)


def test_blur_is_scipys() -> None:
    image = torch.rand(2, 3, 20, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    expected = ndimage.gaussian_filter(image.numpy(), (0, 0, 2, 2), mode="mirror", truncate=3)

    np.testing.assert_allclose(blurred(image, 2.0), expected, atol=1e-12)
    assert blurred(torch.full((1, 3, 4, 4), 0.7), 8.0).flatten().tolist() == pytest.approx([0.7] * 48)


# Rank correlation, similarity


def test_ranks_by_hand_and_as_scipys() -> None:
    assert average_ranks(np.array([[10.0, 30.0, 20.0, 30.0], [5.0, 5.0, 5.0, 1.0]])).tolist() == [
        [1, 3.5, 2, 3.5],
        [3, 3, 3, 1],
    ]
    values = np.random.default_rng(0).integers(0, 9, (20, 64)).astype(np.float32)
    assert np.array_equal(average_ranks(values), stats.rankdata(values, axis=1))


def test_spearman_by_hand() -> None:
    # Ranks 1 2 3 4 5 and 2 1 4 3 5: 1 - 6 * (1 + 1 + 1 + 1) / (5 * 24).
    first, second = np.array([[1.0, 2, 3, 4, 5]]), np.array([[20.0, 10, 40, 30, 99]])
    assert spearman(first, second) == pytest.approx([0.8])
    assert spearman(first, -second) == pytest.approx([-0.8])
    assert np.isnan(spearman(first, np.ones((1, 5)))).all()


def test_spearman_is_scipys_also_with_ties() -> None:
    rng = np.random.default_rng(1)
    first, second = (np.maximum(rng.normal(size=(20, 64)), 0).astype(np.float32) for _ in range(2))

    expected = [stats.spearmanr(a, b).statistic for a, b in zip(first, second, strict=True)]

    np.testing.assert_allclose(spearman(first, second), expected, atol=1e-12)


def test_ssim_is_scikit_images() -> None:
    rng = np.random.default_rng(2)
    first = rng.random((5, 24, 31)).astype(np.float32)
    second = np.clip(0.7 * first + 0.3 * rng.random(first.shape), 0, 1).astype(np.float32)

    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    pairs = zip(first.astype(np.float64), second.astype(np.float64), strict=True)
    expected = [structural_similarity(a, b, **options) for a, b in pairs]  # type: ignore[no-untyped-call]

    np.testing.assert_allclose(ssim(torch.tensor(first), torch.tensor(second)), expected, atol=1e-6)
    assert 0.1 < min(expected) < max(expected) < 0.99


def test_ssim_by_hand() -> None:
    dark, light = torch.full((1, 11, 11), 0.2), torch.full((1, 11, 11), 0.6)
    # Flat images differ by their means alone: (2 * 0.2 * 0.6 + 0.01^2) / (0.2^2 + 0.6^2 + 0.01^2).
    assert ssim(dark, light).item() == pytest.approx(0.2401 / 0.4001, rel=1e-5)
    assert ssim(light, light).item() == pytest.approx(1)


# Randomised weights


def layered() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6),
        nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(6, 5),
    )  # fmt: skip


def test_the_cascade_goes_from_the_logits_down_and_takes_norms_along() -> None:
    assert cascade(layered()) == (("9", ("9",)), ("3", ("3", "4")), ("0", ("0", "1")))


class Backwards(nn.Module):
    """Registers its layers from the last to the first, has a weight of its own, and one that never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(6, 5)
        self.norm = nn.BatchNorm2d(6)
        self.block = nn.Sequential(nn.Conv2d(4, 6, 3), nn.ReLU())
        self.unused = nn.Linear(2, 2)
        self.stem = nn.Conv2d(3, 4, 3)
        self.shift = nn.Parameter(torch.zeros(1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.norm(self.block(self.stem(images + self.shift))).mean((2, 3)))
        return logits


def test_the_cascade_goes_by_when_layers_run() -> None:
    network = Backwards().eval()
    ran = executed(points(network, torch.randn(1, 3, 8, 8)))
    assert ran[:3] == ("stem", "block.0", "block.1")
    modules = [names for _, names in cascade(network, ran)]
    assert modules == [("head",), ("block.0", "norm"), ("stem",), ("unused",), ("",)]
    assert next(names for _, names in cascade(network)) == ("stem",)  # as it is registered


@pytest.mark.parametrize(
    ("count", "runs"), [(1, [1]), (2, [1, 1]), (8, [1] * 8), (9, [1, 1, 1, 1, 2, 1, 1, 1]), (22, [1] + [3] * 7)]
)
def test_many_layers_are_randomised_in_a_few_steps(count: int, runs: list[int]) -> None:
    """Each layer once, from the last to the first, the last of them alone."""
    steps = cascade(nn.Sequential(*[nn.Linear(2, 2) for _ in range(count)]))
    assert [len(modules) for _, modules in steps] == runs or pytest.fail(str(steps))
    assert [name for _, modules in steps for name in modules] == [str(number) for number in reversed(range(count))]
    for name, modules in steps:
        assert name == (modules[0] if len(modules) == 1 else f"{modules[0]} to {modules[-1]}")


COSTS = {"Grad-CAM": 3, "Score-CAM": 500, "occlusion": 256, "integrated gradients": 192}
BRIEF = {name: explain_methods.METHODS[name] for name in COSTS}


@pytest.mark.parametrize("boxes", [True, False])
def test_what_a_brief_measurement_can_afford(monkeypatch: pytest.MonkeyPatch, boxes: bool) -> None:
    """Of a small network everything, of a larger one less, then the cheap methods alone, then nothing."""
    monkeypatch.setattr(trust, "COSTLY", dict.fromkeys(trust.COSTLY, Sizes(72, 32, 8)))
    kept, images = [], []
    for once in (10**6, 10**8, 10**9, 10**11):
        found = trust.plan(BRIEF, {name: passes * once for name, passes in COSTS.items()}, once, 1000, boxes)
        kept.append(list(found.methods) if found else [])
        images.append(found.sizes["Grad-CAM"].perturbation if found else 0)
        if found:
            assert set(found.methods) | set(found.unmeasured) == set(BRIEF)
            assert all(size.perturbation >= trust.LEAST <= (size.boxes or 1000) for size in found.sizes.values())
            assert found.most.perturbation == max(size.perturbation for size in found.sizes.values())
    assert kept[0] == list(BRIEF)
    assert images[0] == Sizes().perturbation
    assert images == sorted(images, reverse=True)
    assert kept[2] == ["Grad-CAM"]
    assert kept[3] == []


def test_random_weights_are_those_of_an_untrained_layer() -> None:
    network, untouched, again = layered(), layered(), layered()
    with torch.no_grad():
        network[4].weight.fill_(3)  # type: ignore[operator]
        network[4].bias.fill_(2)  # type: ignore[operator]
    for each in (network, again):
        randomise(each, ("3", "4"), torch.Generator().manual_seed(1))

    changed = {
        name
        for (name, after), before in zip(network.named_parameters(), untouched.parameters(), strict=True)
        if not torch.equal(after, before)
    }
    assert changed == {"3.weight", "3.bias"}  # a norm's 1 and 0 are what an untrained one has
    state = network.state_dict()
    assert (state["3.bias"] == 0).all()
    # He: a standard deviation of sqrt(2 / (4 * 9)) for four channels and a 3 x 3 kernel.
    assert float(state["3.weight"].std()) == pytest.approx(math.sqrt(2 / 36), rel=0.15)
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in state.items())


def test_norms_are_measured_anew_where_they_are_named() -> None:
    network = layered().eval()
    images = torch.randn(20, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    recalibrate(network, ("9", "0", "1"), torch.split(images, 10))

    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    with torch.no_grad():
        maps = network[0](images)
        normed = network[1](maps)
    np.testing.assert_allclose(network.state_dict()["1.running_mean"], maps.mean((0, 2, 3)), atol=1e-6)
    np.testing.assert_allclose(normed.std((0, 2, 3)), torch.ones(4), atol=0.02)
    assert not any(module.training for module in network.modules())


# Intervals


def test_the_interval_of_two_answers() -> None:
    # Resampled means of 0 and 1 are 0, 1/2 and 1 with probabilities 1/4, 1/2, 1/4.
    assert estimates(np.array([[0.0, 1.0]]), seed=0) == [Estimate(0.5, 0.0, 1.0)]
    assert estimates(np.array([[0.25, 0.25]]), seed=0) == [Estimate(0.25, 0.25, 0.25)]


def test_intervals_are_seeded_and_near_the_normal_approximation() -> None:
    values = np.random.default_rng(0).normal(3, 2, (1, 400))
    (found,) = estimates(values, seed=5)

    margin = 1.96 * values.std() / math.sqrt(400)
    assert found.mean == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((values.mean() - margin, values.mean() + margin), abs=0.02)
    assert [found] == estimates(values, seed=5)
    assert [found] != estimates(values, seed=6)
    assert RESAMPLES >= 1000


def test_a_difference_is_taken_image_by_image() -> None:
    baseline = np.random.default_rng(0).random(50)

    found = compared(baseline + 0.125, {"none": np.zeros(50), "nearly": baseline}, seed=0)

    # The values spread, and so does their lead over nothing; over the baseline it is the same on every image.
    assert found.value.high - found.value.low > 0.1
    assert found.ahead["none"] == found.value
    nearly = found.ahead["nearly"]
    assert (nearly.mean, nearly.low, nearly.high) == pytest.approx((0.125, 0.125, 0.125))
    assert found.baselines["nearly"].mean == pytest.approx(baseline.mean())


# The whole


class Colours(nn.Module):
    """Class 0 is red, class 1 green: each has a map, and its mean is the logit's evidence."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Conv2d(3, 2, 1)
        self.norm = nn.BatchNorm2d(2)
        self.relu = nn.ReLU()
        self.drop = nn.Dropout(0.5)
        self.linear = nn.Linear(2, 2)
        with torch.no_grad():
            self.maps.weight.copy_(torch.tensor([[1.0, -1, 0], [-1, 1, 0]])[:, :, None, None])
            self.maps.bias.fill_(-1.0)  # type: ignore[union-attr]
            self.linear.weight.copy_(torch.tensor([[9.0, -0.1], [-0.2, 8.0]]))
            self.linear.bias.zero_()

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.linear(self.drop(self.relu(self.norm(self.maps(images)))).mean((2, 3)))
        return found


def squares(count: int = 24, side: int = 5) -> tuple[list[NDArray[np.uint8]], Tensor, list[Box]]:
    """Grey images with one red or green square, the last quarter of them large; classes; boxes."""
    rng = np.random.default_rng(0)
    images = np.full((count, SIDE, SIDE, 3), 110, dtype=np.uint8)
    targets, boxes = torch.arange(count) % 2, []
    for index, image in enumerate(images):
        length = side if index < count * 3 // 4 else 10
        x, y = (int(value) for value in rng.integers(0, SIDE - length + 1, 2))
        image[y : y + length, x : x + length] = 0
        image[y : y + length, x : x + length, index % 2] = 255
        boxes.append((x, y, x + length - 1, y + length - 1))
    return list(images), targets, boxes


def brightness(_model: nn.Module, images: Tensor, _targets: Tensor, _layer: str | None) -> Tensor:
    """A map that knows nothing of the network."""
    return images.amax(1) - images.amin()


def middle(_model: nn.Module, images: Tensor, _targets: Tensor, _layer: str | None) -> Tensor:
    return centre_map((SIDE, SIDE)).expand(len(images), -1, -1)


def nothing(_model: nn.Module, images: Tensor, _targets: Tensor, _layer: str | None) -> Tensor:
    return torch.zeros(len(images), 4, 4)


METHODS: dict[str, Method] = {"Grad-CAM": grad_cam, "brightness": brightness, "middle": middle, "nothing": nothing}


def measured(network: nn.Module | None = None, seed: int = 0, **options: object) -> Faithfulness:
    images, targets, boxes = squares()
    given: dict[str, object] = {
        "layer": "relu",
        "sizes": Sizes(None, 16, 8),
        "methods": METHODS,
        "boxes": boxes,
    } | options
    return measure(network or Colours().eval(), images, targets, way=WHOLE, seed=seed, **given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def whole() -> Faithfulness:
    return measured(layers=("maps", "relu"))


def test_counts(whole: Faithfulness) -> None:
    assert (whole.count, whole.small, whole.correct, whole.layer) == (24, 18, 24, "relu")
    assert [(row.method, row.small, row.count, row.silent) for row in whole.localisation] == [
        (name, small, 18 if small else 24, (18 if small else 24) if name == "nothing" else 0)
        for name in METHODS
        for small in (False, True)
    ]
    assert [(each.method, each.count) for each in whole.perturbation] == [(name, 16) for name in METHODS]
    # Maps that are constant have no order to lose.
    assert [(each.method, each.count) for each in whole.randomisation] == [(name, 8) for name in list(METHODS)[:3]]


def test_a_right_map_beats_every_baseline_by_more_than_chance(whole: Faithfulness) -> None:
    every, small = whole.localisation[:2]

    for row in (every, small):
        assert row.pointing.value == Estimate(1, 1, 1)
        assert row.energy.value.mean == pytest.approx(1)
        assert row.pointing.baselines["wrong class"].mean == 0
        assert row.energy.baselines["centre"] == row.pointing.baselines["centre"]
        assert all(gap.low > 0 for gap in (*row.pointing.ahead.values(), *row.energy.ahead.values()))
    shares = [25 / 256] * 18 + [100 / 256] * 6
    assert every.pointing.baselines["uniform"].mean == pytest.approx(np.mean(shares))
    assert small.energy.baselines["uniform"].mean == pytest.approx(25 / 256)
    first = whole.perturbation[0]
    assert set(first.deletion.ahead) == set(first.insertion.ahead) == {"random", "centre out", "wrong class"}
    assert all(gap.high < 0 for gap in first.deletion.ahead.values())
    assert all(gap.low > 0 for gap in first.insertion.ahead.values())


def test_maps_that_know_nothing_are_found_out(whole: Faithfulness) -> None:
    rows = {(row.method, row.small): row for row in whole.localisation}

    blank = rows["nothing", False]
    assert blank.pointing.value == blank.energy.value == Estimate(0, 0, 0)
    centred = rows["middle", False].pointing
    assert centred.value == centred.baselines["centre"] == centred.baselines["wrong class"]
    assert centred.ahead["centre"] == Estimate(0, 0, 0)
    unlearnt = {each.method: each for each in whole.randomisation}["brightness"]
    assert [value.mean for value in (*unlearnt.spearman, *unlearnt.ssim)] == pytest.approx([1] * 4)
    # Without any order of its own it is taken in the random one.
    random = {each.method: each for each in whole.perturbation}["nothing"]
    assert rows["nothing", False].silent_wrong == 24
    assert random.deletion.ahead["random"] == random.insertion.ahead["random"] == Estimate(0, 0, 0)


def test_the_map_of_a_network_falls_with_its_weights() -> None:
    found = measured(layered(), layer="5", classes=(0, 1)).randomisation[0]

    assert found.layers == ("9", "3", "0")
    assert min(value.mean for value in found.spearman) < 0.7
    assert all(-1 <= value.low <= value.mean <= value.high <= 1 for value in (*found.spearman, *found.ssim))


def test_the_layers_stay_random_and_their_norms_fit() -> None:
    network = layered().eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    changed: list[set[str]] = []

    def watch(model: nn.Module, images: Tensor, targets: Tensor, _layer: str | None) -> Tensor:
        assert isinstance(model, nn.Sequential)
        if model is not network:
            state = model.state_dict()
            changed.append({name for name, tensor in state.items() if not torch.equal(tensor, before[name])})
            with torch.no_grad():
                gap = (model[:4](images).mean((0, 2, 3)) - state["4.running_mean"]).abs().max()
            assert (float(gap) < 1e-3) == (len(changed) > 1)  # the norm fits once the layer below it is random
        return images.amax(1) - images.amin()

    measured(network, methods={"watch": watch}, sizes=Sizes(None, 0, 8), classes=(0, 1))

    # A first scale of ones and shift of zeros are the same in any order.
    norm = {"running_mean", "running_var", "num_batches_tracked"}
    head = {"9.weight", "9.bias"}
    middle = head | {"3.weight", "3.bias"} | {f"4.{name}" for name in norm}
    assert changed == [head, middle, middle | {"0.weight", "0.bias"} | {f"1.{name}" for name in norm}]


def test_a_map_that_becomes_constant_counts_as_no_likeness() -> None:
    network = Colours().eval()

    def once(model: nn.Module, images: Tensor, _targets: Tensor, _layer: str | None) -> Tensor:
        return images.amax(1) - images.amin() if model is network else torch.ones(len(images), SIDE, SIDE)

    (found,) = measured(network, methods={"once": once}).randomisation

    assert found.silent == (8, 8)
    assert found.spearman == (Estimate(0, 0, 0),) * 2


def test_the_layers_are_compared_on_the_same_images(whole: Faithfulness) -> None:
    assert whole.sweep_method == "Grad-CAM"
    assert [each.layer for each in whole.sweep] == ["maps", "relu"]
    at_target = whole.sweep[1]
    assert at_target.pointing == whole.localisation[0].pointing.value
    assert at_target.pointing_small == whole.localisation[1].pointing.value
    assert at_target.energy == whole.localisation[0].energy.value


def test_each_layer_is_asked_for_its_own_maps() -> None:
    def by_layer(model: nn.Module, images: Tensor, targets: Tensor, layer: str | None) -> Tensor:
        return torch.ones(len(images), 4, 8) if layer == "flat" else grad_cam(model, images, targets, layer)

    found = measured(methods={"by layer": by_layer}, layers=("flat", "relu"), sizes=Sizes(None, 0, 0))

    assert [each.side for each in found.sweep] == [(4, 8), (16, 16)]
    uniform = found.localisation[0].pointing.baselines["uniform"]
    assert [each.energy.mean for each in found.sweep] == pytest.approx([uniform.mean, 1])


def test_the_same_seed_gives_the_same_numbers_and_another_one_others(whole: Faithfulness) -> None:
    other = measured(seed=1)

    assert measured(layers=("maps", "relu")) == whole
    assert (other.perturbation, other.randomisation) != (whole.perturbation, whole.randomisation)
    # The wrong class of two is the same, and the images are all: only the intervals may differ.
    assert other.localisation[0].pointing.value == whole.localisation[0].pointing.value


def test_single_methods_may_look_at_fewer_images(whole: Faithfulness) -> None:
    found = measured(exceptions={"brightness": Sizes(6, 4, 0)})

    rows = {row.method: row.count for row in found.localisation if not row.small}
    assert rows == {"Grad-CAM": 24, "brightness": 6, "middle": 24, "nothing": 24}
    assert {each.method: each.count for each in found.perturbation}["brightness"] == 4
    assert [each.method for each in found.randomisation] == ["Grad-CAM", "middle"]
    # The other methods are not touched by it.
    others = [row for row in found.localisation if row.method != "brightness"]
    assert others == [row for row in whole.localisation if row.method != "brightness"]


def test_boxes_that_the_network_is_not_shown_are_left_out() -> None:
    images, targets, boxes = squares()
    boxes[:2] = [(0, 0, 1, 1), (0, 0, 2, 2)]  # the first is cut off with the margin of 2 pixels

    found = measure(Colours().eval(), images, targets, boxes, CUT, {"nothing": nothing}, sizes=Sizes(None, 0, 0))

    assert found.count == 23
    assert (found.perturbation, found.randomisation, found.sweep) == ((), (), ())
    with pytest.raises(ValueError, match="margin that is cut off"):
        measure(Colours().eval(), images[:1], targets[:1], boxes[:1], CUT, {"nothing": nothing})


def test_without_boxes_only_what_needs_none_is_measured(whole: Faithfulness) -> None:
    read: list[int] = []

    class Watched(list[NDArray[np.uint8]]):
        def __getitem__(self, row: Any) -> Any:
            read.append(row)
            return super().__getitem__(row)

    images, targets, _ = squares()
    told: list[tuple[int, str]] = []
    found = measure(
        Colours().eval(), Watched(images), targets, None, WHOLE, METHODS, "relu",
        sizes=Sizes(None, 16, 8), layers=("relu",), on_part=lambda count, part: told.append((count, part)),
    )  # fmt: skip

    assert (found.boxes, found.localisation, found.small, found.sweep, found.sweep_method) == (False, (), 0, (), "")
    assert whole.boxes
    # The same images in the same order: the boxes have no part in it.
    assert (found.perturbation, found.randomisation) == (whole.perturbation, whole.randomisation)
    assert found.count == len(set(read)) == 16  # no more are read than are looked at
    assert len(told) == parts(Colours(), METHODS)


def test_each_image_is_taken_from_its_own_size() -> None:
    """Larger images, and their boxes with them, are the same to the network."""
    images, targets, boxes = squares()
    mixed = [image if row % 2 else image.repeat(2, 0).repeat(2, 1) for row, image in enumerate(images)]
    moved = [
        box if row % 2 else (2 * box[0], 2 * box[1], 2 * box[2] + 1, 2 * box[3] + 1) for row, box in enumerate(boxes)
    ]
    methods: dict[str, Method] = {"Grad-CAM": grad_cam}
    sizes = Sizes(None, 0, 0)

    found = measure(Colours().eval(), mixed, targets, moved, WHOLE, methods, "relu", sizes=sizes)
    plain = measure(Colours().eval(), images, targets, boxes, WHOLE, methods, "relu", sizes=sizes)
    batched = measure(Colours().eval(), images, targets, boxes, WHOLE, methods, "relu", sizes=sizes, alike=True)

    assert [row.count for row in found.localisation] == [row.count for row in plain.localisation]
    for one, other in zip(found.localisation, plain.localisation, strict=True):
        assert one.energy.value.mean == pytest.approx(other.energy.value.mean, abs=0.05)
    assert batched == plain


def test_of_very_many_images_some_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    images, targets, boxes = squares()
    read: set[int] = set()

    class Watched(list[NDArray[np.uint8]]):
        def __getitem__(self, row: Any) -> Any:
            read.add(row)
            return super().__getitem__(row)

    def found() -> Faithfulness:
        read.clear()
        return measure(Colours().eval(), Watched(images), targets, boxes, WHOLE, METHODS, sizes=Sizes(None, 0, 0))

    whole = found()
    assert whole.count == len(read) == len(images)
    monkeypatch.setattr(trust, "MOST", 5)
    few = found()
    assert few.count == len(read) == 5  # no more are decoded to find those that are in sight
    monkeypatch.setattr(trust, "MOST", 2000)
    monkeypatch.setattr(trust, "ROOM", 5 * 3 * WHOLE.size[0] * WHOLE.size[1] + 1)
    assert found() == few


def test_without_small_boxes_there_is_no_row_for_them() -> None:
    images, targets, boxes = squares(8)

    found = measure(Colours().eval(), images[6:], targets[6:], boxes[6:], WHOLE, METHODS, "relu", layers=("relu",))

    assert found.small == 0
    assert not any(row.small for row in found.localisation)
    assert found.sweep[0].pointing_small is None


def test_too_few_small_boxes_are_not_told_apart() -> None:
    images, targets, boxes = squares()  # 18 of 24 are small

    def rows(count: int) -> Faithfulness:
        chosen = images[:count], targets[:count], boxes[:count]
        return measure(Colours().eval(), *chosen, WHOLE, {"middle": middle}, layers=("relu",), sizes=Sizes(None, 0, 0))

    enough, few = rows(FEWEST), rows(FEWEST - 1)

    assert [(row.small, row.count) for row in enough.localisation] == [(False, FEWEST), (True, FEWEST)]
    assert [(row.small, row.count) for row in few.localisation] == [(False, FEWEST - 1)]
    assert (enough.sweep[0].pointing_small is None, few.sweep[0].pointing_small is None) == (False, True)
    assert few.small == FEWEST - 1


def test_progress_is_told_part_by_part() -> None:
    told: list[tuple[int, str]] = []

    measured(layers=("relu",), on_part=lambda count, part: told.append((count, part)))

    assert len(told) == parts(Colours(), METHODS, ("relu",)) == 4 + 1 + 4 + 2 + 1
    assert told[0] == (1, "Grad-CAM, maps")
    assert told[-1] == (1, "layer relu")


def check_untouched(network: nn.Module, run: Callable[[], object]) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    modes = [module.training for module in network.modules()]

    run()

    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_nothing_is_left_behind(whole: Faithfulness) -> None:
    network = Colours().train()
    network.norm.eval()
    found: list[Faithfulness] = []

    check_untouched(network, lambda: found.append(measured(network)))

    assert replace(found[0], sweep_method=whole.sweep_method, sweep=whole.sweep) == whole  # whatever the mode was


def test_nothing_is_left_behind_after_an_error() -> None:
    network = Colours().train()

    def fails(model: nn.Module, images: Tensor, targets: Tensor, layer: str | None) -> Tensor:
        assert not model.training
        raise KeyError("of the method")

    def run() -> None:
        with pytest.raises(KeyError, match="of the method"):
            measured(network, methods={"broken": fails})

    check_untouched(network, run)


@pytest.mark.parametrize(
    "maps",
    [torch.full((24, 4, 4), -1.0), torch.full((24, 4, 4), math.nan), torch.ones(24, 2, 4, 4), torch.ones(3, 4, 4)],
)
def test_what_is_no_map_is_refused_by_name(maps: Tensor) -> None:
    with pytest.raises(ValueError, match=r"odd: expected finite maps >= 0 of shape \(24, h, w\)"):
        measured(methods={"odd": lambda model, images, targets, layer: maps})


def test_lengths_are_checked() -> None:
    images, targets, boxes = squares()
    for wrong in ((images[:5], targets, boxes), (images, targets, boxes[:5]), (images[:0], targets[:0], boxes[:0])):
        with pytest.raises(ValueError, match="as many images as targets and boxes"):
            measure(Colours(), *wrong, WHOLE, METHODS)
    with pytest.raises(ValueError, match="at least one method"):
        measure(Colours(), images, targets, boxes, WHOLE, {})


# In evaluation.json


def test_it_is_kept_with_the_evaluation(tmp_path: Path, whole: Faithfulness) -> None:
    evaluation = replace(synthetic.evaluation("cnn", synthetic.CLASSES), faithfulness=whole)

    folder.save_evaluation(tmp_path, evaluation)
    found = folder.load_evaluation(tmp_path)

    assert found is not None
    assert folder.plain_evaluation(found) == folder.plain_evaluation(evaluation)
    kept = found.faithfulness
    assert kept is not None
    assert type(kept.localisation[0].pointing.ahead["centre"]) is Estimate
    assert kept.randomisation[0].layers == whole.randomisation[0].layers
    assert kept.sweep[1] == whole.sweep[1]
    assert hash(kept.sweep) == hash(whole.sweep)  # tuples again, not lists


def test_it_is_kept_without_boxes(tmp_path: Path) -> None:
    found = measured(boxes=None)
    evaluation = replace(synthetic.evaluation("cnn", synthetic.CLASSES), faithfulness=found)

    folder.save_evaluation(tmp_path, evaluation)
    kept = folder.load_evaluation(tmp_path)

    assert kept is not None
    assert kept.faithfulness is not None
    assert folder.plain_evaluation(kept) == folder.plain_evaluation(evaluation)
    assert not kept.faithfulness.boxes


def test_evaluations_without_it_are_as_before(tmp_path: Path) -> None:
    folder.save_evaluation(tmp_path, synthetic.evaluation("cnn", synthetic.CLASSES))

    assert "faithfulness" not in json.loads((tmp_path / "evaluation.json").read_text())
    found = folder.load_evaluation(tmp_path)
    assert found is not None
    assert found.faithfulness is None


@pytest.mark.parametrize("damage", [{"count": 3}, {"localisation": [{}]}, ["x"], "x"])
def test_a_damaged_record_is_one_input_error(tmp_path: Path, whole: Faithfulness, damage: object) -> None:
    folder.save_evaluation(tmp_path, replace(synthetic.evaluation("cnn", ("a", "b")), faithfulness=whole))
    file = tmp_path / "evaluation.json"
    said = json.loads(file.read_text())
    said["faithfulness"] = damage
    file.write_text(json.dumps(said))

    with pytest.raises(InputError, match="evaluate the model again"):
        folder.load_evaluation(tmp_path)
