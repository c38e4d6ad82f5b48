"""What a build finds of maps by itself: by hand on a network of one cell, and of maps that show nothing."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from generator import explain
from generator.evaluation.checks import LEAST, MOST, asked_again, checked, checks_of, map_checks, photos_afforded
from generator.evaluation.randomisation import spearman
from generator.inspection.photo import explanation, photo_arrays
from generator.inspection.soundness import unfit
from generator.networks.inputs import normalise
from tests.inspection.test_network import PHOTO, loaded


class Corner(nn.Module):
    """Three logits of the upper left quarter: its mean times 8, minus that, and 0."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(1, 3, bias=False)
        self.head.weight.data = torch.tensor([[8.0], [-8.0], [0.0]])

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(images[:, :1, :4, :4].mean((2, 3)))
        return logits


def cam(model: nn.Module, images: Tensor, targets: Tensor, _layer: str | None) -> Tensor:
    """One cell a quarter: the upper left one's part in the target's logit."""
    assert isinstance(model, Corner)
    maps = torch.zeros(len(images), 2, 2)
    maps[:, 0, 0] = (model.head.weight[targets, 0] * images[:, 0, :4, :4].mean((1, 2))).relu()
    return maps.detach()


def edges(_model: nn.Module, images: Tensor, _targets: Tensor, _layer: str | None) -> Tensor:
    """The same whatever is asked of whichever network, and darkest where the network looks."""
    maps = torch.ones(len(images), 2, 2)
    maps[:, 0, 0] = 0
    maps[:, 1, 1] = 2
    return maps


def flat(_model: nn.Module, images: Tensor, _targets: Tensor, _layer: str | None) -> Tensor:
    return torch.ones(len(images), 2, 2)


def test_maps_are_checked_by_hand() -> None:
    """With the quarter that counts gone first the answer's probability falls at once, in the other order at last."""
    network, images = Corner().eval(), torch.ones(4, 1, 8, 8)
    answers = torch.zeros(4, dtype=torch.int64)
    methods = {"cam": cam, "edges": edges, "flat": flat}
    maps = {name: method(network, images, answers, None) for name, method in methods.items()}
    before = copy.deepcopy(network.state_dict())
    again = {"cam": 4, "edges": 4, "flat": 1}
    found = {one.method: one for one in checks_of(checked(network, images, maps, methods, None, again))}
    assert all(torch.equal(before[name], kept) for name, kept in network.state_dict().items())
    assert not any(parameter.grad is not None for parameter in network.parameters())
    right, wrong, silent = found["cam"], found["edges"], found["flat"]
    sure = float(torch.tensor([8.0, -8.0, 0.0]).softmax(0)[0])
    assert right.deletion.value.mean < right.deletion.baselines["random"].mean < wrong.deletion.value.mean < sure
    assert (right.count, right.constant, right.asked, right.classes) == (4, 0, 4, 0)  # nothing speaks for the other
    assert right.weights in (0, 1)  # a network that looks at one place cannot forget where
    assert [wrong.classes, wrong.weights] == pytest.approx([1, 1])
    assert (silent.constant, silent.asked) == (4, 1)
    assert set(unfit(None, [replace(right, weights=None), wrong, silent])) == {"edges", "flat"}
    reason = unfit(None, [wrong])["edges"]
    assert reason.startswith("its maps are the same for another class: a rank correlation of 1.000 with those of the")
    assert unfit(None, [silent])["flat"] == "its maps are the same in all places, on all of 4 photos"


def test_checks_cost_a_tenth_of_the_maps() -> None:
    costs = {"cam": 3, "masks": 400, "occlusion": 200}
    assert photos_afforded(costs, 1, 60) == MOST
    assert photos_afforded({"cam": 3, "masks": 60}, 1, 40) == int(0.1 * 63 * 40 / (11 * 3)) == 7
    assert photos_afforded({"cam": 3}, 1, 18) == LEAST
    assert photos_afforded(costs, 1, 2) == 2
    again = asked_again(costs, 1, 60, 20)
    assert again["cam"] == 20
    assert again["masks"] == int(0.1 * 603 * 60 / 3 / (2 * 400)) == 1
    assert again["occlusion"] == int(0.1 * 603 * 60 / 3 / (2 * 200)) == 3
    assert asked_again(costs, 1, 4, 4) == {"cam": 4, "masks": 1, "occlusion": 1}
    assert asked_again(costs, 1, 600, 3) == {"cam": 3, "masks": 3, "occlusion": 3}
    spent = 2 * sum(costs[name] * count for name, count in again.items() if name != "cam")
    assert spent <= 0.1 * 603 * 60


def test_a_network_s_own_maps_are_checked_as_far_as_they_are_there() -> None:
    """The least tried is a photo; of the network nothing changes, and each method has its record."""
    one = loaded()
    arrays = photo_arrays(one, PHOTO, None, (), compared=True)
    seen = explanation("noise", None, (), arrays)
    assert seen.comparison is not None
    names = list(seen.comparison.maps)
    before = copy.deepcopy(one.network.state_dict())
    found = checks_of(map_checks(one, [PHOTO], {PHOTO.id: seen.comparison.maps}, names))
    assert all(torch.equal(before[name], kept) for name, kept in one.network.state_dict().items())
    assert [check.method for check in found] == names
    for check in found:
        assert check.count == 1
        assert 0 <= check.deletion.value.mean <= 1
        assert check.asked == 1
    images = normalise(torch.tensor(seen.seen).permute(2, 0, 1)[None], one.input)
    least = int(seen.logits.argmin())
    other = explain.grad_cam(one.network, images, [least]).flatten(1).numpy()
    wanted = np.nan_to_num(spearman(seen.comparison.maps["Grad-CAM"].reshape(1, -1), other))[0]
    assert found[0].classes == pytest.approx(wanted, abs=1e-6)
