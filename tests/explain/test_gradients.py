"""Gradients by the pixels against values worked out by hand, and against captum."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from captum.attr import GuidedBackprop, IntegratedGradients
from torch import Tensor, nn
from torchvision import models

from generator import explain
from generator.base.errors import InputError
from generator.networks.alexnet import alexnet
from generator.networks.small_cnn import SmallCNN
from tests.explain.nets import Functional, Maximum, assert_same, images, in_place, seeded


class TwoPaths(nn.Module):
    """h = relu(x), relu(2 x); u = relu(h1 - 2 h2 + 10), v = relu(h1 + h2); logits 3 u - v and v."""

    def __init__(self, relu: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.relu = relu

    def forward(self, batch: Tensor) -> Tensor:
        pixel = batch.flatten(1)
        first, second = self.relu(1 * pixel), self.relu(2 * pixel)
        u, v = self.relu(first - 2 * second + 10), self.relu(first + second)
        return torch.cat([3 * u - v, v], 1)


RELUS: dict[str, Callable[[Tensor], Tensor]] = {
    "module": nn.ReLU(),
    "module, in place": nn.ReLU(True),
    "function": F.relu,
    "function, in place": lambda values: F.relu(values, inplace=True),
    "method": lambda values: values.relu(),
    "method, in place": lambda values: values.relu_(),
}


@pytest.mark.parametrize("relu", RELUS.values(), ids=RELUS)
def test_guided_backprop_by_hand(relu: Callable[[Tensor], Tensor]) -> None:
    # x = 1, all units active. By u: 3. By v: -1, which its ReLU stops. By h1: 3; by h2: -6, stopped. By x: 3.
    # (The gradient is (3 - 1) + 2 (-6 - 1) = -12.) Class 1: v hands on 1 to h1 and h2: 1 + 2 = 3.
    # x = 3: u = relu(3 - 12 + 10) = 1 is still active, x = 4 not: then class 0 has nothing left.
    pixels = torch.tensor([1.0, 1, 4]).view(3, 1, 1, 1)
    network = TwoPaths(relu)
    assert explain.guided_backprop(network, pixels, [0, 1, 0]).flatten().tolist() == [3, 3, 0]
    assert explain.guided_backprop(network, -pixels, [0, 1, 0]).flatten().tolist() == [0, 0, 0]


def test_guided_backprop_leaves_the_gradients_of_a_network_as_they_are() -> None:
    pixel = torch.ones(1, 1, 1, 1, requires_grad=True)
    network = TwoPaths(nn.ReLU())
    explain.guided_backprop(network, pixel, [0])
    (gradient,) = torch.autograd.grad(network(pixel)[0, 0], pixel)
    assert gradient.item() == -12


GUIDED = {
    "smallcnn": lambda: SmallCNN(classes=5, widths=(4, 6, 8, 10)),
    "alexnet": lambda: alexnet(5, grid=1),
    "squeezenet": lambda: models.squeezenet1_1(num_classes=5),
}


@pytest.mark.parametrize("make", GUIDED.values(), ids=GUIDED)
@pytest.mark.filterwarnings(
    "ignore:Setting backward hooks on ReLU activations", "ignore:Input Tensor 0 did not already"
)
def test_guided_backprop_equals_captum(make: Callable[[], nn.Module]) -> None:
    """captum hooks modules, and asks that they do not work in place; ours is of a network that does."""
    network, batch = seeded(make), images(2, 3, 64, 72)
    want = GuidedBackprop(in_place(network, False)).attribute(batch, target=torch.tensor([3, 1])).detach()
    assert_same(explain.guided_backprop(in_place(network, True), batch, [3, 1]), want)


def test_integrated_gradients_by_hand() -> None:
    # f = relu(x1 - 1) + 2 x2. From 0 to x1 = 3 the first gradient is 1 beyond a third of the way: at the middles of the
    # second and the third of three steps. So 3 * 2/3 = 2 and 5 * 2 = 10, together f(3, 5) - f(0, 0) = 12.
    class Net(nn.Module):
        def forward(self, batch: Tensor) -> Tensor:
            first, second = batch[:, 0, 0, 0], batch[:, 0, 0, 1]
            return torch.stack([-second, F.relu(first - 1) + 2 * second], 1)

    image = torch.tensor([3.0, 5]).view(1, 1, 1, 2)
    found = explain.integrated_gradients(Net(), image, [1], steps=3)
    torch.testing.assert_close(found, torch.tensor([2.0, 10]).view(1, 1, 1, 2))
    # From 1 on the gradient is 1 all the way: (3 - 1) * 1 and (5 - 1) * 2.
    found = explain.integrated_gradients(Net(), image, [1], steps=3, baseline=torch.tensor(1.0))
    torch.testing.assert_close(found, torch.tensor([2.0, 8]).view(1, 1, 1, 2))


@pytest.mark.parametrize("make", [lambda: SmallCNN(classes=5, widths=(4, 6, 8, 10)), Functional, Maximum])
def test_integrated_gradients_equal_captums_and_add_up(make: Callable[[], nn.Module]) -> None:
    network, batch = seeded(make).double(), images(2, 3, 32, 24).double()
    start = images(3, 1, 1, seed=1).double()
    found = explain.integrated_gradients(network, batch, [3, 1], baseline=start, steps=20, batch_size=7)
    want = IntegratedGradients(network).attribute(
        batch, start.expand_as(batch), target=torch.tensor([3, 1]), n_steps=20, method="riemann_middle"
    )
    assert_same(found, want.float(), 1e-6)
    fine = explain.integrated_gradients(network, batch, [3, 1], baseline=start, steps=300)
    with torch.no_grad():
        rise = (network(batch) - network(start.expand_as(batch)))[torch.arange(2), torch.tensor([3, 1])].float()
    torch.testing.assert_close(fine.sum((1, 2, 3)), rise, rtol=0.02, atol=0)


class Late(nn.Module):
    """One logit: how far the only pixel is above 0.9."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def forward(self, batch: Tensor) -> Tensor:
        self.asked += len(batch)
        return F.relu(batch.flatten(1) - 0.9)


def test_an_image_that_does_not_add_up_is_asked_at_more_points() -> None:
    # The points are the squares of middles t, and count 2t each. From 0 to 1 a square is above 0.9 where t is above
    # 0.9487: of 24 middles the last one, 23.5/24, and 2 * 23.5/24 / 24 is 18 % less than 0.1. Of 72 they are four, from
    # 68.5/72 to 71.5/72: 2 * 280/72 / 72 is 8 % more. From 0 to 9 the kink is at a tenth of the way, where t is 0.3162:
    # 16 of 24 are above, from 8.5/24 on, and 9 * 2 * 256/24 / 24 is 1.2 % less than 8.1.
    network, batch = Late(), torch.tensor([1, 9.0]).view(2, 1, 1, 1)
    found = explain.integrated_gradients(network, batch, [0, 0])
    torch.testing.assert_close(found.flatten(), torch.tensor([560 / 72**2, 9 * 512 / 24**2]))
    assert network.asked == 2 * (2 + 24) + 48
    alone = torch.cat([explain.integrated_gradients(network, one[None], [0]) for one in batch])
    torch.testing.assert_close(alone, found, rtol=0, atol=0)
    even = explain.integrated_gradients(network, batch[:1], [0], steps=72)  # of which 7 are above 0.9
    torch.testing.assert_close(even.flatten(), torch.tensor([7 / 72]))


def test_points_in_one_pass_are_bounded() -> None:
    network, sizes = seeded(Functional), list[int]()
    network.register_forward_pre_hook(lambda _m, given: sizes.append(len(given[0])))
    explain.integrated_gradients(network, images(2, 3, 8, 8), [0, 1], steps=10, batch_size=4)
    assert sizes == [2, 4, 4, 4, 4, 4]  # both images' points go together
    with pytest.raises(ValueError, match="steps: expected at least 1, got 0"):
        explain.integrated_gradients(network, images(2, 3, 8, 8), [0, 1], steps=0)


class Blind(nn.Module):
    """Logits that have nothing to do with the image, or no gradient by it."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.how = how

    def forward(self, batch: Tensor) -> Tensor:
        pooled = batch.mean((2, 3))
        logits: Tensor = self.linear(torch.zeros_like(pooled) if self.how == "constant" else pooled.detach())
        return logits


@pytest.mark.parametrize("method", [explain.guided_backprop, explain.integrated_gradients])
@pytest.mark.parametrize("how", ["constant", "detached"])
@pytest.mark.parametrize("frozen", [False, True])
def test_a_network_without_a_gradient(method: Callable[..., Tensor], how: str, frozen: bool) -> None:
    network = Blind(how).requires_grad_(not frozen)
    with pytest.raises(InputError, match="logits do not depend on the images by any differentiable way"):
        method(network, images(1, 3, 4, 4), [0])
