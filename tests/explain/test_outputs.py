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
from tests.explain.nets import OF_TARGETS, images, seeded

BATCH = images(2, 3, 16, 12)


@dataclass
class Record:
    loss: Tensor | None
    logits: Tensor


Pair = namedtuple("Pair", "logits aux")


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
