"""Logits are found in what a model gives, and before a softmax or a sigmoid at its end: maps are those of logits."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generator import explain
from generator.base.errors import InputError
from tests.explain.nets import OF_TARGETS, images, seeded

BATCH = images(2, 3, 16, 12)


@dataclass
class Record:
    loss: Tensor | None
    logits: Tensor


Pair = namedtuple("Pair", "logits aux")
Named = namedtuple("Named", "features logits")


class Net(nn.Module):
    def __init__(self, end: Callable[[Tensor, Tensor], Any] | None = None) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.fc = nn.Linear(6, 4)
        self.end = end

    def forward(self, batch: Tensor) -> Any:
        maps = F.relu(self.conv(batch))
        logits = self.fc(maps.mean((2, 3)))
        return logits if self.end is None else self.end(logits, maps)


ENDS: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "tuple": lambda logits, maps: (logits, maps),
    "tuple that begins with its maps": lambda logits, maps: (maps, logits),
    "list": lambda logits, maps: [logits],
    "named tuple": lambda logits, maps: Pair(logits, maps),
    "mapping": lambda logits, maps: {"features": maps.mean((2, 3)), "logits": logits},
    "transformers' record": lambda logits, maps: OrderedDict(loss=None, logits=logits, hidden_states=(maps,)),
    "record": lambda logits, maps: Record(None, logits),
    "named tuple that begins with its features": lambda logits, maps: Named(maps.mean((2, 3)), logits),
    "nested": lambda logits, maps: {"out": {"logits": logits, "features": maps.mean((2, 3))}, "loss": None},
    "nested tuples": lambda logits, maps: (None, [(maps, logits.log_softmax(1))]),
    "nested record": lambda logits, maps: (Record(None, logits), maps),
    "log-softmax": lambda logits, maps: F.log_softmax(logits, 1),
    "softmax": lambda logits, maps: logits.softmax(-1),
    "module": lambda logits, maps: nn.LogSoftmax(1)(logits),
    "softmax in a tuple": lambda logits, maps: (torch.softmax(logits, 1), logits.argmax(1)),
    "sigmoid": lambda logits, maps: logits.sigmoid(),
}


@pytest.mark.parametrize("name", ENDS)
def test_maps_are_those_of_the_logits(name: str) -> None:
    network, bare = seeded(lambda: Net(ENDS[name])), seeded(Net)
    assert explain.choose_layer(network, BATCH) == "conv+relu"
    for method in OF_TARGETS:
        torch.testing.assert_close(method(network, BATCH, [0, 3]), method(bare, BATCH, [0, 3]))
        torch.testing.assert_close(method(network, BATCH), method(bare, BATCH))
    torch.testing.assert_close(explain.grad_cam_all(network, BATCH), explain.grad_cam_all(bare, BATCH))


@pytest.mark.parametrize("name", ENDS)
def test_occlusion_asks_for_the_probability_that_the_model_gives(name: str) -> None:
    network, bare = seeded(lambda: Net(ENDS[name])), seeded(Net)
    found = explain.occlude(network, BATCH, [0, 3])
    logits = bare(BATCH)
    want = logits.sigmoid() if name == "sigmoid" else logits.softmax(1)
    torch.testing.assert_close(found.unoccluded, want[[0, 1], [0, 3]].detach())


def test_a_single_number_for_each_image_is_one_logit() -> None:
    network = seeded(lambda: Net(lambda logits, maps: logits[:, 1]))
    bare = seeded(lambda: Net(lambda logits, maps: logits[:, 1:2]))
    torch.testing.assert_close(explain.grad_cam(network, BATCH), explain.grad_cam(bare, BATCH))
    ended = seeded(lambda: Net(lambda logits, maps: logits[:, 1].sigmoid()))
    torch.testing.assert_close(explain.grad_cam(ended, BATCH), explain.grad_cam(bare, BATCH))


class Featured(Net):
    """Gives what its last weights read, too, and a projection of it."""

    def __init__(self, order: str) -> None:
        super().__init__()
        self.order, self.drop, self.project = order, nn.Dropout(), nn.Linear(6, 3)

    def forward(self, batch: Tensor) -> Any:
        features = F.relu(self.conv(batch)).flatten(2).mean(2)
        logits = self.fc(self.drop(features * 2).relu())
        held = {"f": features, "l": logits, "p": self.project(features), "s": logits.softmax(1)}
        return tuple(held[each] for each in self.order)


@pytest.mark.parametrize("order", ["lf", "fl", "sfl", "fls"])
def test_features_that_the_logits_are_made_of_are_none(order: str) -> None:
    network, bare = seeded(lambda: Featured(order)), seeded(lambda: Featured("l"))
    for method in OF_TARGETS:
        torch.testing.assert_close(method(network, BATCH, [0, 3]), method(bare, BATCH, [0, 3]))


@pytest.mark.parametrize(
    ("order", "which"), [("lp", r"\(2, 4\) and \(2, 3\)"), ("plf", r"\(2, 3\), \(2, 4\) and \(2, 6\)")]
)
def test_two_that_may_be_the_logits_are_not_chosen_between(order: str, which: str) -> None:
    said = f"it gives a tuple of {len(order)} in which any might be them, {which}; give them alone, or under the name"
    with pytest.raises(InputError, match=said):
        explain.grad_cam(seeded(lambda: Featured(order)), BATCH, [0, 3], "conv")


def test_two_nested_ones_are_not_chosen_between() -> None:
    network = seeded(lambda: Net(lambda logits, maps: {"first": (logits,), "second": [2 * logits]}))
    said = r"it gives a dict \(first, second\) in which any might be them, \(2, 4\) and \(2, 4\)"
    with pytest.raises(InputError, match=said):
        explain.grad_cam(network, BATCH, [0, 3], "conv")


def test_one_logit_of_a_record() -> None:
    network = seeded(lambda: Net(lambda logits, maps: {"logits": logits[:, 1]}))
    bare = seeded(lambda: Net(lambda logits, maps: logits[:, 1:2]))
    torch.testing.assert_close(explain.grad_cam(network, BATCH), explain.grad_cam(bare, BATCH))
