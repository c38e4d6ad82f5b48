"""Class activation maps against values worked out by hand, their definitions, and plain automatic differentiation."""

from __future__ import annotations

import math
from collections import OrderedDict
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import VisionTransformer

from generator import explain
from generator.explain import cam
from generator.explain.watching import ZeroRows
from generator.networks.alexnet import alexnet, widen
from generator.networks.small_cnn import SmallCNN
from tests.explain.nets import (
    POOLED,
    RAMP,
    WAYS,
    Alias,
    Functional,
    Maximum,
    assert_same,
    images,
    in_place,
    plain,
    pooled_toy,
    rectified_toy,
    repeated_toy,
    seeded,
    strongest,
)

# Grad-CAM, worked out by hand


@pytest.mark.parametrize(
    ("pooling", "given"),
    [
        (nn.AdaptiveAvgPool2d, [[1.0 * 3, -2 * 4], [-1 * 3, 3 * 4]]),
        (nn.AdaptiveMaxPool2d, [[1.0 * 12, -2 * 18], [-1 * 12, 3 * 18]]),
    ],
)
def test_channel_contributions_and_the_bias_add_up_to_the_logit(
    pooling: type[nn.Module], given: list[list[float]]
) -> None:
    net = pooled_toy(pooling)
    found = explain.channel_contributions(net, torch.cat([POOLED, POOLED]), [0, 1], "0")
    torch.testing.assert_close(found, torch.tensor(given))
    torch.testing.assert_close(found.sum(1) + torch.tensor([0.5, 0]), net.eval()(POOLED)[0])


@pytest.mark.parametrize("maps", [POOLED, torch.full((1, 2, 2, 3), 6.0), torch.zeros(1, 2, 2, 3) + POOLED[:, :1]])
def test_global_maximum_pooling_has_the_weights_of_the_average(maps: Tensor) -> None:
    # The gradient of a maximum is 1 at one cell, whichever of equal ones it is: its mean is 1 / 6 as the average's is.
    net = pooled_toy(nn.AdaptiveMaxPool2d).eval()
    want = (torch.tensor([[1.0, -2], [-1, 3]]) @ maps[0].flatten(1) / 6).relu().view(1, 2, 2, 3)
    torch.testing.assert_close(explain.grad_cam_all(net, maps, "0"), want)
    torch.testing.assert_close(plain(net, maps, "0"), want)


@pytest.mark.parametrize("make", [lambda: SmallCNN(classes=6, widths=(4, 6, 8, 10)), Maximum])
def test_equal_and_dead_maxima_give_the_mean_of_torchs_gradients(make: Any) -> None:
    """A flat image: most cells of each map are equal; and one channel is zero throughout."""
    network, batch = seeded(make), torch.ones(2, 3, 48, 40)
    layer = "conv" if isinstance(network, Maximum) else "features"
    with torch.no_grad():
        if isinstance(network, SmallCNN):
            network.get_parameter("features.bn7.weight")[0] = 0
            network.get_parameter("features.bn7.bias")[0] = -1
    maps = explain.feature_maps(network, batch, [layer])[layer]
    assert ((maps == maps.amax((2, 3), keepdim=True)).sum((2, 3)) > 1).any(), "no maximum is shared"
    assert_same(explain.grad_cam_all(network, batch, layer), plain(network, batch, layer))


def test_pooling_that_repeats_cells_before_two_linear_layers() -> None:
    # Image 2 4 is pooled to 2 4 2 4; hidden 2 + 8 + 6 + 16 = 32 and 13 - 12 = 1, both active. Summed over the cells
    # their weights are 10 and -4, per cell of the map (of two) 5 and -2. alpha: 5 - 2 = 3, and 2 * 5 + 2 = 12.
    # Image 4 4: hidden 40 and 13 - 16 < 0, silent. alpha: 5, and 10.
    batch = torch.tensor([[[[2.0, 4]]], [[[4.0, 4]]]])
    cams = explain.grad_cam_all(repeated_toy(), batch, "0")
    torch.testing.assert_close(cams, torch.tensor([[[[6.0, 12]], [[24, 48]]], [[[20.0, 20]], [[40, 40]]]]))


# Grad-CAM, the same as plain automatic differentiation, whichever way was chosen


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("inplace", [False, True])
def test_equals_plain_differentiation(way: str, inplace: bool) -> None:
    make, layer = WAYS[way]
    network, batch = in_place(seeded(make), inplace), images(3, 3, 20, 24)
    want = plain(network, batch, layer)
    assert_same(explain.grad_cam_all(network, batch, layer), want)
    targets = strongest(want)
    assert_same(explain.grad_cam(network, batch, targets, layer), want[torch.arange(3), targets])


@pytest.mark.parametrize(("inplace", "times"), [(False, 1.0), (True, 2.0)])
def test_another_name_of_the_same_maps_counts_too(inplace: bool, times: float) -> None:
    # As in the pooled toy, class 1 has 0 3 0 | 0 0 9. In place, `maps` is the ReLU's output, and its gradient doubles.
    found = explain.grad_cam(Alias(inplace), POOLED, [1], "relu")
    torch.testing.assert_close(found, times * torch.tensor([[[0.0, 3, 0], [0, 0, 9]]]))


@pytest.mark.parametrize(
    "way", ["gap", "global maximum", "overlapping maximum pooling", "average pooling", "uneven adaptive windows"]
)
def test_no_backward_pass_where_the_head_allows_it(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, layer = WAYS[way]
    network, batch = seeded(make), images(2, 3, 24, 32)
    want = plain(network, batch, layer)

    def refuse(*_args: Any, **_options: Any) -> None:
        raise AssertionError("a backward pass ran")

    monkeypatch.setattr(torch.autograd, "grad", refuse)
    assert_same(explain.grad_cam_all(network, batch, layer), want)
    with pytest.raises(AssertionError, match="backward"):
        explain.grad_cam_all(seeded(Functional), batch, "conv")


def test_many_classes_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    network, batch = seeded(Functional), images(2, 3, 10, 12)
    whole = explain.grad_cam_all(network, batch, "conv")
    monkeypatch.setattr(cam, "_GRADIENTS_AT_ONCE", 2 * 2 * 6 * 8 * 10)  # two of the five classes
    assert_same(explain.grad_cam_all(network, batch, "conv"), whole, 1e-6)


def test_classes_one_by_one_skip_rows_of_zeros_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a class token's head most of the last block is for nothing, in parts of one class as in larger ones."""
    transformer = partial(VisionTransformer, 16, 4, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=16, num_classes=5)
    network, batch = seeded(transformer).eval(), images(1, 3, 16, 16)
    choice = explain.layer_choice(network, batch)

    def products() -> int:
        with FlopCounterMode(display=False) as counter:
            explain.grad_cam_all(network, batch, choice)
        return int(counter.get_total_flops())

    together = products()
    monkeypatch.setattr(cam, "_GRADIENTS_AT_ONCE", 1)
    one_by_one = products()
    assert one_by_one <= together
    monkeypatch.setattr(ZeroRows, "__torch_dispatch__", lambda _self, func, _types, args, given: func(*args, **given))
    assert one_by_one < products()


@pytest.mark.parametrize("pixels", [64, 128])
def test_alexnet_whose_pooling_repeats_cells(pixels: int) -> None:
    """At 128 pixels torchvision's AlexNet has 3x3 features, which its pooling repeats to 6x6; at 64 just one cell."""
    network, batch = seeded(lambda: alexnet(4)).double(), images(2, 3, pixels, pixels).double()
    for layer in ("features.11", "features"):
        assert_same(explain.grad_cam_all(network, batch, layer), plain(network, batch, layer), 1e-6)


def test_alexnet_with_a_smaller_grid_and_widened_is_explained_alike() -> None:
    narrow = seeded(lambda: alexnet(4, grid=3)).double()
    wide = alexnet(4).double()
    wide.load_state_dict(widen(narrow.state_dict()))
    batch = images(2, 3, 128, 128).double()
    assert_same(explain.grad_cam_all(wide, batch, "features"), explain.grad_cam_all(narrow, batch, "features"), 1e-6)


# Grad-CAM++


def test_grad_cam_plus_plus_of_an_averaged_head() -> None:
    # All gradients of a channel are w / 6. A channel's weight is 6 (w / 6) / (2 + w / 6 sum(A)), where w is above 0.
    # class 0: w = 1, sum(A0) = 18: 1 / (2 + 3) = 1 / 5, times 6 and 12; w = -2 gives the second channel nothing.
    # class 1: w = 3, sum(A1) = 24: 3 / (2 + 12) = 3 / 14, times 6 and 18.
    found = explain.grad_cam_plus_plus(pooled_toy(), torch.cat([POOLED, POOLED]), [0, 1], "0")
    want = [[[6 / 5, 0, 0], [0, 12 / 5, 0]], [[0, 18 / 14, 0], [0, 0, 54 / 14]]]
    torch.testing.assert_close(found, torch.tensor(want))


def test_grad_cam_plus_plus_is_the_papers_for_the_exponential_of_the_logit() -> None:
    """alpha from the second and third derivatives of Y = exp(S) by automatic differentiation, cell by cell."""
    network = seeded(
        lambda: nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(3, 4, 3),
                maps=nn.ReLU(True),
                flatten=nn.Flatten(),
                hidden=nn.Linear(4 * 2 * 3, 7),
                relu=nn.ReLU(),
                last=nn.Linear(7, 3),
            )
        )
    ).double()
    batch = images(2, 3, 4, 5).double()
    tail = nn.Sequential(*list(network.children())[2:])
    targets = [2, 0]
    want = []
    for image, target in zip(batch, targets, strict=True):
        with torch.no_grad():
            activations = network[:2](image[None])  # type: ignore[index]
        cells = activations.clone().requires_grad_()
        score = tail(cells)[0, target].exp()
        (first,) = torch.autograd.grad(score, cells, create_graph=True)
        second, third = torch.zeros_like(first), torch.zeros_like(first)
        for cell in range(first.numel()):  # only d2Y / dA2 and d3Y / dA3 of the same cell count
            (twice,) = torch.autograd.grad(first.flatten()[cell], cells, create_graph=True)
            (thrice,) = torch.autograd.grad(twice.flatten()[cell], cells, retain_graph=True)
            second.flatten()[cell] = twice.flatten()[cell].detach()
            third.flatten()[cell] = thrice.flatten()[cell]
        alpha = second / (2 * second + activations.sum((2, 3), keepdim=True) * third)
        weights = (alpha.nan_to_num(0) * first.relu()).sum((2, 3), keepdim=True)
        want.append((weights * activations).sum(1).relu()[0].detach() / score.item())  # without the factor Y
    assert_same(explain.grad_cam_plus_plus(network, batch, targets, "maps"), torch.stack(want).float(), 1e-6)


def test_grad_cam_plus_plus_neither_overflows_nor_underflows() -> None:
    net = pooled_toy()
    net.get_parameter("4.weight").data *= 1e-15  # the cube of the gradient is 0 in float32
    found = explain.grad_cam_plus_plus(net, POOLED, [1], "0")
    torch.testing.assert_close(found * 1e15, torch.tensor([[[0.0, 9, 0], [0, 0, 27]]]))  # 3 / 2 of the map
    net.get_parameter("4.bias").data += 1000.0  # exp(1000) is infinite
    assert torch.equal(explain.grad_cam_plus_plus(net, POOLED, [1], "0"), found)


# LayerCAM


def test_layer_cam_weighs_each_cell_by_its_own_positive_gradient() -> None:
    # The toy's maps are 0 4 31 40 and 0 0 6 15, their gradients 1 1 1 1 and 1 -1 -1 -1: the second adds only 1 * 0.
    assert explain.layer_cam(rectified_toy(True), RAMP, [0], "relu").tolist() == [[[0.0, 4.0], [31.0, 40.0]]]
    # Pooled by the maximum, all of the gradient is at one cell: class 1 has 3 at the 18.
    found = explain.layer_cam(pooled_toy(nn.AdaptiveMaxPool2d), POOLED, [1], "0")
    assert found.tolist() == [[[0.0, 0, 0], [0, 0, 54]]]


def test_layer_cam_is_zero_where_the_sum_of_its_terms_is_negative() -> None:
    # class 0: 1 / 6 for the first channel, which is -6 and 12 at two cells; the second's gradient is negative.
    maps = torch.tensor([[[[-6.0, 0, 0], [0, 12, 0]], [[6.0, 6, 0], [0, 6, 18]]]])
    assert explain.layer_cam(pooled_toy(), maps, [0], "0").tolist() == [[[0.0, 0, 0], [0, 2, 0]]]


# Score-CAM


def scored_toy() -> nn.Module:
    """Maps x, 4 - x and 5 of an image x of 2x2 cells, and logits +s and -s for s = 2 ln 3 / 7 times the image's sum."""

    class Toy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.maps = nn.Conv2d(1, 3, 1)
            self.maps.weight.data = torch.tensor([1.0, -1, 0]).view(3, 1, 1, 1)
            self.maps.bias = nn.Parameter(torch.tensor([0.0, 4, 5]))

        def forward(self, batch: Tensor) -> Tensor:
            total = self.maps(batch)[:, 0].sum((1, 2)) * 2 / 7 * math.log(3)
            return torch.stack([total, -total], 1)

    return Toy()


def test_score_cam_by_hand() -> None:
    # x = 0 1 2 4: behind its own map x / 4 it sums to 0 + 1/4 + 1 + 4 = 5.25, behind 1 - x / 4 to 0 + 3/4 + 1 + 0 =
    # 1.75. The difference of 3.5 is ln 3 between the logits: softmax 3/4 and 1/4. The constant map has no part.
    # class 0: 3/4 x + 1/4 (4 - x) = 1 + x / 2; class 1: 1/4 x + 3/4 (4 - x) = 3 - x / 2
    image = torch.tensor([0.0, 1, 2, 4]).view(1, 1, 2, 2)
    found = explain.score_cam(scored_toy(), image.expand(2, -1, -1, -1), [0, 1], "maps")
    torch.testing.assert_close(found, torch.tensor([[[1, 1.5], [2, 3]], [[3, 2.5], [2, 1]]]))


def by_definition(network: nn.Module, image: Tensor, target: int, layer: str) -> Tensor:
    """Score-CAM of one image, channel by channel, with the baseline's logit subtracted as in the paper."""
    with torch.no_grad():
        maps = explain.feature_maps(network, image, [layer])[layer]
        scores = []
        for channel in range(maps.shape[1]):
            mask = F.interpolate(maps[:, channel : channel + 1], image.shape[2:], mode="bilinear")
            if mask.max() - mask.min() < 1e-6:
                scores.append(torch.tensor(-torch.inf))
                continue
            mask = (mask - mask.min()) / (mask.max() - mask.min())
            scores.append((network(image * mask) - network(torch.zeros_like(image)))[0, target])
        weights = torch.stack(scores).softmax(0)
        return (weights.view(1, -1, 1, 1) * maps).sum(1).relu()


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_score_cam_by_its_definition_in_passes_of_bounded_size(batch_size: int) -> None:
    network, batch = seeded(lambda: SmallCNN(classes=6, widths=(4, 6, 8, 10))), images(3, 3, 24, 32)
    with torch.no_grad():
        network.get_parameter("features.bn7.weight")[3] = 0
        network.get_parameter("features.bn7.bias")[3] = -1
    want = torch.cat([by_definition(network, image[None], 5, "features") for image in batch])
    sizes: list[int] = []
    handle = network.register_forward_pre_hook(lambda _m, given: sizes.append(len(given[0])))
    assert_same(explain.score_cam(network, batch, [5] * 3, "features", batch_size=batch_size), want)
    handle.remove()
    assert sizes[0] == 3
    assert max(sizes[1:]) <= batch_size
    assert sum(sizes[1:]) <= 3 * 9  # the dead channel is not run
    assert len(sizes) == 1 + -(-sum(sizes[1:]) // batch_size)  # the images' channels go together


def test_score_cam_of_a_network_whose_maps_are_all_constant_is_zero() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    nn.init.zeros_(network.get_parameter("0.weight"))
    nn.init.ones_(network.get_parameter("0.bias"))
    assert explain.score_cam(network, images(1, 3, 8, 8), [0], "0").tolist() == [[[0.0] * 6] * 6]


# Without targets


def test_without_targets_the_predicted_class_is_explained() -> None:
    network, batch = seeded(WAYS["global maximum"][0]), images(6, 3, 24, 32)
    with torch.no_grad():
        network.get_parameter("head.linear.bias").sub_(network(batch).mean(0))
        predicted = network(batch).argmax(1)
    assert len(set(predicted.tolist())) > 1
    for method in (
        explain.grad_cam,
        explain.grad_cam_plus_plus,
        explain.layer_cam,
        explain.score_cam,
        explain.channel_contributions,
        explain.guided_backprop,
        explain.integrated_gradients,
    ):
        assert torch.equal(method(network, batch), method(network, batch, predicted))
    found, want = (explain.occlude(network, batch, targets, patch=8) for targets in (None, predicted))
    assert torch.equal(found.probability, want.probability)


@pytest.mark.parametrize(("used", "multiplied"), [([3], 1), ([0, 2], 2), ([0, 1, 2, 4], 6), ([], 0)])
def test_products_skip_rows_of_zeros(used: list[int], multiplied: int) -> None:
    rows, matrix = torch.zeros(6, 4), images(4, 5)
    rows[used] = images(len(used), 4)
    with FlopCounterMode(display=False) as counter, ZeroRows():
        product = rows @ matrix
    assert counter.get_total_flops() == 2 * multiplied * 4 * 5
    torch.testing.assert_close(product, rows @ matrix)
