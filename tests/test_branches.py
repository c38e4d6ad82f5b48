"""Convolutions with shortcuts, and the plain ones that they become."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generator import branches
from generator.branches import Branched
from generator.networks import SmallCNN, initialise

SHAPE = (4, 6, 8)


def inputs(count: int = 16, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def plain() -> SmallCNN:
    network = initialise(SmallCNN(5, SHAPE), 0)
    assert isinstance(network, SmallCNN)
    return network


def trained() -> SmallCNN:
    """Branched, after some steps that moved weights, scales and running statistics away from where they start."""
    network = branches.add(plain(), 0).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    for step in range(12):
        optimizer.zero_grad()
        F.cross_entropy(network(3 * inputs(seed=step) + 1), torch.arange(16) % 5).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return network.eval()


def test_only_convolutions_with_as_many_channels_out_as_in_get_shortcuts() -> None:
    found = branches.add(plain(), 0)

    names = [name for name, module in found.named_modules() if isinstance(module, Branched)]
    assert names == ["features.conv3", "features.conv5"]


def test_the_three_branches_by_hand() -> None:
    """One channel; batch norm as it starts divides by the root of 1 + eps, hardly."""
    conv, norm = nn.Conv2d(1, 1, 3, padding=1, bias=False), nn.BatchNorm2d(1)
    branched = Branched(conv, norm, torch.Generator(), 1.0).eval()
    nn.init.constant_(conv.weight, 2.0)
    nn.init.constant_(branched.pointwise.weight, 10.0)
    image = torch.zeros(1, 1, 3, 3)
    image[..., 1, 1] = 1.0

    with torch.no_grad():
        kernels, biases = branched.kernel()
        answered = branched(image)

    expected = torch.full((3, 3), 2.0)
    expected[1, 1] = 2.0 + 10.0 + 1.0
    torch.testing.assert_close(answered[0, 0], expected, rtol=1e-4, atol=0)
    torch.testing.assert_close(kernels[0, 0], expected, rtol=1e-4, atol=0)
    assert biases.tolist() == [0.0]


def test_shortcuts_that_start_at_nothing_leave_the_function_as_it_was() -> None:
    network, images = plain().eval(), inputs()
    with torch.no_grad():
        before = network(images)
        after = branches.add(network, 0, scale=0.0).eval()(images)

    torch.testing.assert_close(after, before)


def test_folded_it_is_plain_and_the_same_function() -> None:
    network, images = trained(), 3 * inputs(seed=99) + 1
    with torch.no_grad():
        maps, logits = network.features(images), network(images)

    folded = branches.fold(network, inputs(64, seed=5))

    assert list(folded.state_dict()) == list(SmallCNN(5, SHAPE).state_dict())
    assert float(maps.std()) > 0.1
    with torch.no_grad():
        torch.testing.assert_close(folded.features(images), maps, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(folded(images), logits, rtol=1e-4, atol=1e-5)


def test_batch_norm_of_the_folded_network_knows_its_inputs_so_training_can_go_on() -> None:
    images = inputs(64, seed=5)
    layers = dict(branches.fold(trained(), images).features.named_children())
    names = list(layers)
    with torch.no_grad():
        before = nn.Sequential(*(layers[name] for name in names[: names.index("bn5")]))(images)
        known = layers["bn5"](before)
        found = layers["bn5"].train()(before)

    torch.testing.assert_close(found, known, rtol=1e-3, atol=2e-3)


def test_shortcuts_follow_the_seed_alone() -> None:
    first, second, other = (branches.add(plain(), seed).state_dict() for seed in (1, 1, 2))

    assert all(torch.equal(first[name], second[name]) for name in first)
    name = "features.conv3.pointwise.weight"
    assert not torch.equal(first[name], other[name])


def test_fold_leaves_eval_mode() -> None:
    assert not branches.fold(branches.add(plain(), 0).train(), inputs()).training


def test_shortcuts_do_not_start_as_the_first_kernels_do() -> None:
    network = branches.add(plain(), 0)
    first = network.get_parameter("features.conv1.weight").detach().flatten()
    for number in (3, 5):
        point = network.get_parameter(f"features.conv{number}.pointwise.weight").detach().flatten()
        count = min(len(first), len(point))
        assert abs(float(torch.corrcoef(torch.stack([first[:count], point[:count]]))[0, 1])) < 0.5
