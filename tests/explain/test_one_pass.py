"""Several methods at several layers from one pass: the same as from a pass for each, whatever the network."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generator import explain
from generator.base.errors import InputError
from generator.explain.layouts import Layout
from generator.explain.points import stage_ends
from generator.networks.alexnet import alexnet
from generator.networks.small_cnn import SmallCNN
from tests.explain.families import FAMILIES
from tests.explain.nets import assert_same, images, narrowed, seeded


def layers_of(network: nn.Module, batch: Tensor, last: str) -> dict[str, Layout | None]:
    """The ends of the stages, and the one to explain last; every second without its layout, which is then found.

    None behind the one to explain: where a class token is read, the cells behind it get no gradient.
    """
    found = explain.points(network, batch)
    upto = found.found.index(found.named(last))
    named = [name for name in stage_ends(found) if name != last and found.found.index(found.named(name)) <= upto][-3:]
    assert named
    known = {name: found.named(name) for name in (*named, last)}
    layouts = {name: point.layout if point and point.form else None for name, point in known.items()}
    return {name: None if place % 2 else layout for place, (name, layout) in enumerate(layouts.items())}


def same_as_singles(network: nn.Module, batch: Tensor, layers: dict[str, Layout | None], passes: int | None) -> None:
    """Maps, gradients and heat maps of one pass are those of many; and `passes` is how many there are."""
    targets: list[Any] = [2, explain.Target(0, against=1)]
    *_, last = layers
    ran: list[int] = []
    hook = network.register_forward_pre_hook(lambda _m, given: ran.append(len(given[0])))
    with explain.one_pass(network, batch, layers, kept=[last, *layers]) as one:
        found = one.gradients(targets)
        every, asked = one.grad_cam(last), one.grad_cam(last, [targets, None])
    hook.remove()
    assert passes is None or ran == [2] * passes
    want = explain.feature_maps(network, batch, list(layers))
    for layer in layers:
        torch.testing.assert_close(one.maps[layer], want[layer])
        alone = explain.layer_gradients(network, batch, targets, layer)
        torch.testing.assert_close(found[layer].activations, alone.activations)
        assert_same(found[layer].gradients, alone.gradients)
        assert_same(found[layer].contributions(), explain.channel_contributions(network, batch, targets, layer))
    with torch.no_grad():
        torch.testing.assert_close(one.logits.detach(), network(batch))
    scale = found[last].contributions().abs().amax().item()  # the terms of the sums may nearly cancel out
    for got, single in (
        (every, explain.grad_cam_all(network, batch, last)),
        (asked[:, 0], explain.grad_cam(network, batch, targets, last)),
        (asked[:, 1], explain.grad_cam(network, batch, None, last)),
        (found[last].grad_cam(), explain.grad_cam(network, batch, targets, last)),
    ):
        torch.testing.assert_close(got, single, rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize("name", FAMILIES)
def test_of_every_family_it_is_what_single_passes_give(name: str) -> None:
    family = FAMILIES[name]
    network, batch = seeded(family.make), images(2, 3, *family.size)
    same_as_singles(network, batch, layers_of(network, batch, family.layer), None)


@pytest.mark.parametrize("inplace", [False, True])
def test_one_pass_is_enough_where_nothing_hides_the_layers(inplace: bool) -> None:
    network, batch = seeded(lambda: SmallCNN(classes=6, widths=(4, 6, 8, 10))), images(2, 3, 32, 24)
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = inplace
    same_as_singles(network, batch, dict.fromkeys(["features.relu1", "features.relu3", "features.relu7"]), 1)
    narrow = seeded(lambda: narrowed(alexnet(5)))
    same_as_singles(narrow, images(2, 3, 64, 96), dict.fromkeys(["features.1", "features.4", "features.11"]), 1)


class Odd(nn.Module):
    """Layers that a graph alone does not tell of: one that hands on what it got, beside a short cut, and a view."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.same = nn.Identity()
        self.turned = nn.PixelShuffle(1)  # gives a view, into which the next one writes
        self.act = nn.ReLU(inplace=True)
        self.last = nn.Linear(4, 5)

    def forward(self, batch: Tensor) -> Tensor:
        maps = self.first(batch)
        handed = self.same(maps)
        turned = self.turned(handed * 2)
        summed = self.act(turned) + maps  # past `same`
        logits: Tensor = self.last(F.gelu(summed.mean((2, 3))))
        return logits


def test_layers_that_the_graph_does_not_tell_of_have_passes_of_their_own() -> None:
    network, batch = seeded(Odd), images(2, 3, 9, 9)
    same_as_singles(network, batch, dict.fromkeys(["first", "same", "turned", "act"]), None)


def test_a_layer_within_another_and_one_that_runs_twice() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True))
            self.again = nn.Conv2d(4, 4, 3, padding=1)
            self.last = nn.Linear(4, 5)

        def forward(self, batch: Tensor) -> Tensor:
            maps = self.again(self.again(self.stem(batch)).relu())
            logits: Tensor = self.last(maps.mean((2, 3)))
            return logits

    network, batch = seeded(Twice), images(2, 3, 9, 9)
    same_as_singles(network, batch, dict.fromkeys(["stem.0", "stem", "stem.1", "again"]), None)


def test_without_layers_it_is_a_forward_pass_with_maps() -> None:
    network, batch = seeded(lambda: SmallCNN(classes=6, widths=(4, 6, 8, 10))), images(2, 3, 32, 24)
    with explain.one_pass(network, batch, {}, kept=["features.relu1"]) as one:
        assert one.gradients() == {}
    torch.testing.assert_close(one.maps, explain.feature_maps(network, batch, ["features.relu1"]))
    with torch.no_grad():
        torch.testing.assert_close(one.logits, network(batch))


def test_nothing_is_left_behind() -> None:
    network, batch = seeded(lambda: SmallCNN(classes=6, widths=(4, 6, 8, 10))), images(2, 3, 32, 24)
    network.train()
    with pytest.raises(InputError, match="no_such"), explain.one_pass(network, batch, {"no_such": None}):
        pass
    with explain.one_pass(network, batch, dict.fromkeys(["features.relu1", "features.relu7"])) as one:
        one.gradients([1, 2])
    assert all(module.training and not module._forward_hooks for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.is_grad_enabled()
