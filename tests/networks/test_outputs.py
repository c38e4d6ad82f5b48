"""Whatever a network gives, its logits are found, and its maps are those of the logits."""

from __future__ import annotations

import copy
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from types import MethodType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generator import explain
from generator.base.errors import InputError
from generator.evaluation.perturbation import exchanged_probabilities
from generator.explain.outputs import answered, probabilities
from generator.explain.points import head, points
from generator.networks.outputs import as_logits

IMAGES = torch.randn(3, 1, 6, 6, generator=torch.Generator().manual_seed(1))
Record = namedtuple("Record", ["loss", "logits"])


class Net(nn.Module):
    """A convolution and a linear layer, and then what is asked."""

    def __init__(self, end: Callable[[Tensor], Any], classes: int = 4) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(1, 3, 3)
        self.linear = nn.Linear(3, classes)
        self.end = end

    def forward(self, batch: Tensor) -> Any:
        return self.end(self.linear(F.relu(self.conv(batch)).mean((2, 3))))


def plain(network: Net) -> Tensor:
    return network.linear(F.relu(network.conv(IMAGES)).mean((2, 3)))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("end", "note"),
    [
        (lambda logits: F.log_softmax(logits, dim=1), "ends in a log-softmax"),
        (lambda logits: logits.softmax(1), "ends in a softmax"),
        (nn.Softmax(dim=1), "ends in a softmax"),
        (nn.Sigmoid(), "ends in a sigmoid"),
        (nn.Sigmoid(), "It gives each class a probability of its own, the sigmoid of its logit"),
        (lambda logits: torch.sigmoid(input=logits), "ends in a sigmoid"),
        (lambda logits: (logits, logits.sum()), r"gives a tuple of 2; its logits are the first"),
        (lambda logits: [logits.sum(), logits], r"gives a list of 2; its logits are the second"),
        (lambda logits: {"loss": logits.sum(), "logits": logits}, 'its logits are under "logits"'),
        (lambda logits: OrderedDict(aux=logits.sum(), out=logits.log_softmax(1)), "ends in a log-softmax"),
        (lambda logits: Record(None, logits), "a Record of 2; its logits are the second"),
        (
            lambda logits: {"out": {"logits": logits}, "loss": None},
            r'gives a dict (out, loss); its logits are under "logits" in what is under "out"',
        ),
        (lambda logits: (None, (logits, None)), r"gives a tuple of 2; its logits are the first in what is the second"),
        (lambda logits: (logits[:, :3], logits), r"gives a tuple of 2; its logits are the second"),
    ],
)
def test_logits_are_found_and_explained(end: Callable[[Tensor], Any], note: str) -> None:
    network = Net(end).eval()
    want = plain(network).detach()
    names = list(network.state_dict())
    notes = as_logits(network, IMAGES[:1], 4, "net")
    assert any(note in said for said in notes) or pytest.fail(str(notes))
    torch.testing.assert_close(network(IMAGES), want)
    assert list(network.state_dict()) == names
    torch.testing.assert_close(copy.deepcopy(network)(IMAGES), want)
    bare = Net(lambda logits: logits).eval()
    bare.load_state_dict(network.state_dict(), strict=False)
    assert explain.choose_layer(network, IMAGES) == "conv+relu"
    assert head(points(network, IMAGES), "conv+relu") == "average"
    torch.testing.assert_close(explain.grad_cam_all(network, IMAGES), explain.grad_cam_all(bare, IMAGES))


@pytest.mark.parametrize(
    ("end", "note"),
    [
        (lambda logits: logits.softmax(1).clamp(0, 1), "It gives probabilities"),
        (lambda logits: (logits.softmax(1) + (2 * logits).softmax(1)) / 2, "It gives probabilities"),
        (lambda logits: {"out": logits.softmax(1).view(-1, 4)}, "It gives probabilities"),
        (lambda logits: 1 / (1 + (-logits).exp()), "It gives a probability of each class by itself"),
        (lambda logits: 1 / (1 + (-logits).exp()), "percentages are these and need not add up to 100"),
    ],
)
def test_probabilities_are_known_by_their_numbers(end: Callable[[Tensor], Any], note: str) -> None:
    """Where the softmax is not the last step: the answers stay as sure as they were."""
    network = Net(end).eval()
    with torch.no_grad():
        network.linear.weight.mul_(20)
        given = network(IMAGES)
        want = given["out"] if isinstance(given, dict) else given
    notes = as_logits(network, IMAGES[:1], 4, "net")
    assert any(note in said for said in notes) or pytest.fail(str(notes))
    found = network(IMAGES)
    torch.testing.assert_close(found.softmax(1) if note == "It gives probabilities" else found.sigmoid(), want)


@pytest.mark.parametrize(
    ("end", "said", "apart"),
    [
        (nn.Sigmoid(), None, True),
        (nn.Sigmoid(), False, False),
        (lambda logits: 1 / (1 + (-20 * logits).exp()), None, True),
        (lambda logits: logits, True, True),  # as trained with BCEWithLogitsLoss
        (lambda logits: logits, None, False),
        (nn.Softmax(dim=1), False, False),
        (lambda logits: logits.softmax(1).clamp(0, 1), None, False),
    ],
)
def test_whether_each_class_has_a_probability_of_its_own(
    end: Callable[[Tensor], Any], said: bool | None, apart: bool
) -> None:
    """As occlusion, whose drops are of probabilities, and a copy with random weights see it too."""
    network = Net(end).eval()
    notes = as_logits(network, IMAGES[:1], 4, "net", said)
    assert any("a probability of its own" in note for note in notes) == apart
    logits = network(IMAGES).detach()
    want = logits.sigmoid() if apart else logits.softmax(1)
    for model in (network, copy.deepcopy(network)):
        torch.testing.assert_close(probabilities(*answered(model, IMAGES)), want)
    hidden = explain.occlude(network, IMAGES, [0, 1, 2], patch=6, stride=6)
    blank = network(torch.zeros_like(IMAGES)).detach()
    left = blank.sigmoid() if apart else blank.softmax(1)
    torch.testing.assert_close(hidden.probability[:, 0, 0], left[range(3), range(3)])
    one = torch.tensor([0, 1, 2])
    curve = exchanged_probabilities(network, IMAGES, IMAGES, torch.zeros(3, 6, 6), one, steps=1)
    torch.testing.assert_close(curve[:, 0].float(), want[range(3), range(3)])


@pytest.mark.parametrize(
    ("end", "classes", "got"),
    [
        (nn.Softmax(dim=1), 4, "what a softmax makes of them"),
        (lambda logits: logits.log_softmax(1), 4, "what a log-softmax makes of them"),
        (lambda logits: logits.softmax(1).clamp(0, 1), 4, "what a softmax makes of them"),
        (nn.Sigmoid(), 1, "one logit for two classes"),
    ],
)
def test_what_ends_in_a_softmax_has_no_probabilities_apart(
    end: Callable[[Tensor], Any], classes: int, got: str
) -> None:
    network = Net(end, classes).eval()
    with pytest.raises(
        InputError, match=f"net: expected a logit or a sigmoid for each class, .* it gives {got}; leave"
    ):
        as_logits(network, IMAGES[:1], max(2, classes), "net", True)


@pytest.mark.parametrize(
    "end",
    [
        lambda logits: torch.sigmoid(logits).squeeze(1),
        lambda logits: 1 / (1 + torch.exp(-logits)),
        lambda logits: torch.special.expit(logits).view(-1),
        lambda logits: logits.sigmoid_(),
    ],
)
def test_one_probability_is_that_of_the_second_class(end: Callable[[Tensor], Any]) -> None:
    network = Net(end, classes=1).eval()
    with torch.no_grad():
        network.linear.weight.mul_(20)
        want = network(IMAGES).flatten()
    as_logits(network, IMAGES[:1], 2, "net")
    torch.testing.assert_close(network(IMAGES).softmax(1)[:, 1], want)
    assert (want < 0.5).any()
    assert (want > 0.5).any()


def test_a_network_runs_its_own_forward_and_so_does_its_copy() -> None:
    """A method set on the object is the network's; a function that holds the network is refused."""
    network = Net(lambda logits: logits.softmax(1)).eval()
    network.forward = MethodType(lambda self, batch: -Net.forward(self, batch), network)  # type: ignore[method-assign]
    want = network(IMAGES).detach()
    as_logits(network, IMAGES[:1], 4, "net")
    torch.testing.assert_close(network(IMAGES), want)
    other = copy.deepcopy(network)
    with torch.no_grad():
        other.linear.weight.zero_()
        other.linear.bias.zero_()
    torch.testing.assert_close(other(IMAGES), torch.full((3, 4), -0.25))
    wrapped, held = Net(lambda logits: logits).eval(), Net(lambda logits: logits).eval()
    wrapped.forward = lambda batch: held(batch)  # type: ignore[method-assign]
    with pytest.raises(
        InputError, match="net: expected forward to be a method, the network has a function in its place"
    ):
        as_logits(wrapped, IMAGES[:1], 4, "net")


def test_logits_are_of_single_precision() -> None:
    network = Net(lambda logits: logits.to(torch.bfloat16)).eval()
    assert as_logits(network, IMAGES[:1], 4, "net") == ()
    assert network(IMAGES).dtype == torch.float32


def test_images_stay_as_they_are() -> None:
    """A network that changes them in place is given a copy."""

    class Changing(Net):
        def forward(self, batch: Tensor) -> Any:
            batch *= 2
            return super().forward(batch)

    network, images = Changing(lambda logits: logits).eval(), IMAGES.clone()
    want = Net.forward(network, 2 * IMAGES)
    assert as_logits(network, images[:1], 4, "net") == ()
    for _ in range(2):
        torch.testing.assert_close(network(images), want)
    assert torch.equal(images, IMAGES)


@pytest.mark.parametrize("end", [lambda logits: logits, lambda logits: ((logits + logits) / 2)[:, None].mean(1)])
def test_small_logits_are_no_probabilities(end: Callable[[Tensor], Any]) -> None:
    """A norm and small weights keep them between 0 and 1, whatever the network is shown."""

    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.linear = nn.LayerNorm(16, elementwise_affine=False), nn.Linear(16, 4)

        def forward(self, batch: Tensor) -> Any:
            return end(self.linear(self.norm(batch.flatten(1)[:, :16])))

    network = Normed().eval()
    with torch.no_grad():
        network.linear.weight.uniform_(-0.1, 0.1)
        network.linear.bias.fill_(0.5)
    assert as_logits(network, IMAGES[:1], 4, "net") == ()
    squashed = Normed().eval()
    squashed.load_state_dict(network.state_dict())
    inner = type(squashed).forward
    squashed.forward = MethodType(lambda self, batch: inner(self, batch).clamp(0, 1), squashed)  # type: ignore[method-assign]
    assert "a probability of each class by itself" in as_logits(squashed, IMAGES[:1], 4, "net")[0]


def test_logits_stay_as_they_are() -> None:
    network = Net(lambda logits: logits * 2).eval()
    assert as_logits(network, IMAGES[:1], 4, "net") == ()
    assert "forward" not in vars(network)


@pytest.mark.parametrize("end", [lambda logits: logits, torch.sigmoid, lambda logits: logits.squeeze(1)])
def test_one_logit_is_that_of_the_second_class(end: Callable[[Tensor], Any]) -> None:
    network = Net(end, classes=1).eval()
    want = plain(network).detach()
    notes = as_logits(network, IMAGES[:1], 2, "net")
    assert "one logit" in notes[-1]
    given = network(IMAGES)
    torch.testing.assert_close(given.softmax(1)[:, 1:], want.sigmoid())
    assert given.shape == (3, 2)


@pytest.mark.parametrize("end", [lambda logits: "words", lambda logits: {}, lambda logits: (logits.sum(),)])
def test_a_network_without_logits_is_told(end: Callable[[Tensor], Any]) -> None:
    with pytest.raises(InputError, match=r"net: expected logits \(N, K\), it gives a"):
        as_logits(Net(end).eval(), IMAGES[:1], 4, "net")
