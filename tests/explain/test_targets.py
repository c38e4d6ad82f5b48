"""What is asked of an image: one class against another, several at once, what speaks against one."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from generator import explain
from generator.explain import Target
from generator.explain.targets import chances_of
from tests.explain.nets import OF_TARGETS, POOLED, assert_same, images, pooled_toy, seeded, stacked

# Of `pooled_toy` the map of class 0 is (A0 - 2 A1) / 6, that of class 1 is (-A0 + 3 A1) / 6.
BY_HAND: list[tuple[int | Target, list[list[int]]]] = [
    (Target(1, against=0), [[0, 5, 0], [0, 0, 15]]),  # (-2 A0 + 5 A1) / 6
    (Target(0, against=1), [[2, 0, 0], [0, 4, 0]]),
    (Target((0, 1)), [[0, 1, 0], [0, 0, 3]]),  # A1 / 6
    (Target(against=0), [[0, 2, 0], [0, 0, 6]]),
    (Target(1), [[0, 3, 0], [0, 0, 9]]),
    (1, [[0, 3, 0], [0, 0, 9]]),
]


def test_maps_of_targets_by_hand() -> None:
    for target, want in BY_HAND:
        found = explain.grad_cam(pooled_toy(), POOLED, [target], "0")
        torch.testing.assert_close(found, torch.tensor([want], dtype=torch.float32))
    batch = POOLED.expand(len(BY_HAND), -1, -1, -1)
    together = explain.grad_cam(pooled_toy(), batch, [target for target, _ in BY_HAND], "0")
    torch.testing.assert_close(together, torch.tensor([want for _, want in BY_HAND], dtype=torch.float32))


def test_a_target_of_one_class_is_that_class() -> None:
    network = seeded(stacked(nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 8), nn.ReLU()))
    batch = images(2, 3, 12, 16)
    for method in OF_TARGETS:
        torch.testing.assert_close(method(network, batch, [Target(1), Target(4)]), method(network, batch, [1, 4]))
    ours, theirs = explain.occlude(network, batch, [Target(1), 4]), explain.occlude(network, batch, [1, 4])
    torch.testing.assert_close(ours.probability, theirs.probability)
    torch.testing.assert_close(ours.unoccluded, theirs.unoccluded)


def test_gradients_of_a_pair_are_the_difference_of_two() -> None:
    network, batch = (
        seeded(stacked(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 8))),
        images(2, 3, 12, 16),
    )
    pair = [Target(1, against=3)] * 2
    for method in (explain.integrated_gradients, explain.channel_contributions):
        assert_same(method(network, batch, pair), method(network, batch, [1, 1]) - method(network, batch, [3, 3]))


class Binary(nn.Module):
    """One logit: the mean of the image."""

    def forward(self, batch: Tensor) -> Tensor:
        return batch.mean((1, 2, 3))[:, None]


def test_what_speaks_against_a_binary_logit() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network.load_state_dict({"0.weight": torch.ones(1, 1, 1, 1), "0.bias": torch.zeros(1)})
    batch = torch.tensor([[[[3.0, -1], [-2, 0]]]])
    assert explain.grad_cam(network, batch, [0], "0").tolist() == [[[0.75, 0], [0, 0]]]
    assert explain.grad_cam(network, batch, [Target(against=0)], "0").tolist() == [[[0, 0.25], [0.5, 0]]]
    covered = explain.occlude(Binary(), torch.full((1, 1, 4, 4), math.log(3)), [Target(against=0)], patch=4, stride=4)
    assert covered.unoccluded.item() == pytest.approx(1 / 4)
    assert covered.probability.flatten().tolist() == pytest.approx([1 / 2])


def test_chances_by_hand() -> None:
    logits = torch.tensor([[0, math.log(3), math.log(4)]])  # softmax 1/8 3/8 4/8, sigmoids 1/2 3/4 4/5
    for target, softmax, sigmoid in (
        (Target(1, against=2), 3 / 7, 3 / 7),
        (Target((1, 2)), 7 / 8, 3 / 5),
        (Target(against=0), 7 / 8, 1 / 2),
    ):
        for apart, want in ((False, softmax), (True, sigmoid)):
            assert chances_of(logits, target.weights(3), apart).tolist() == pytest.approx([want])
    assert chances_of(logits, torch.tensor(1), apart=True).tolist() == pytest.approx([3 / 4])


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([Target(1)], "expected one for each of 2 images, got 1"),
        (Target(1), "expected one class index for each of 2 images, in a list"),
        ([Target(1), Target(against=7)], "expected class indices from 0 to 1, got 7"),
        ([Target(1), "2"], "expected class indices and Targets, got '2'"),
    ],
)
def test_wrong_targets_are_refused(targets: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        explain.grad_cam(pooled_toy(), POOLED.expand(2, -1, -1, -1), targets, "0")  # type: ignore[arg-type]


def test_a_target_names_a_class() -> None:
    with pytest.raises(ValueError, match="expected at least one class"):
        Target()
