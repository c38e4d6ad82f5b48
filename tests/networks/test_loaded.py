"""What is found of a network once it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from generator.base.errors import InputError
from generator.config.schema import Asked
from generator.networks.architecture import initialise
from generator.networks.small_cnn import SmallCNN
from generator.records.input import square
from generator.records.network import Question
from tests.loaded import loaded

pytestmark = pytest.mark.usefixtures("one_thread")


class Own(nn.Module):
    """A convolution, what somebody does with its maps, and logits."""

    def __init__(self, flat: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.linear = nn.Linear(4 * 6 * 6, 2)
        self.flat = flat

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, 8, 8) -> (N, 2)."""
        logits: Tensor = self.linear(self.flat(self.conv(images)))
        return logits


def layout(network: nn.Module, side: int) -> torch.memory_format:
    initialise(network, 0)
    return loaded(network, ("a", "b"), square(side)).layout


def test_images_lie_channels_last_where_that_changes_no_answer() -> None:
    assert layout(SmallCNN(2, (4, 4, 4, 4)), 64) == torch.channels_last
    assert layout(Own(lambda maps: maps.flatten(1)), 8) == torch.channels_last


def test_they_lie_as_usual_where_somebody_s_forward_asks_for_it() -> None:
    assert layout(Own(lambda maps: maps.view(len(maps), -1)), 8) == torch.contiguous_format  # it cannot view them else
    by_memory = Own(lambda maps: maps.as_strided((len(maps), 144), (144, 1)))  # it would answer otherwise
    assert layout(by_memory, 8) == torch.contiguous_format
    assert layout(nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), 8) == torch.contiguous_format  # it gains nothing


def test_another_class_may_be_called_as_readers_see_it() -> None:
    network = loaded(nn.Linear(2, 3), ("icecream", "fly", "cup"))
    shown = {"icecream": "ice cream", "pear": "cup"}  # of a class that this network does not have
    wanted = replace(network.wanted, other_class=(Asked(("ice cream",), ("icecream", "cup")),))
    assert replace(network, shown=shown, wanted=wanted).others == (Question((0,), (0, 2)),)
    with pytest.raises(InputError, match=r"other_class: expected classes among the network's 3, got 'ice cream'"):
        assert replace(network, wanted=wanted).others


def test_what_methods_were_found_to_be_is_not_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    one = loaded(SmallCNN(3, (4, 4, 4, 4)), ("a", "b", "c"))

    def tried(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("tried again")

    monkeypatch.setattr("generator.networks.loaded.suited", tried)
    one.recall(["occlusion", "Grad-CAM"], {"RISE": "it may not"})
    assert list(one.methods[0]) == ["occlusion", "Grad-CAM"]
    assert one.methods[0]["occlusion"].name == "occlusion"
    assert one.methods[1] == {"RISE": "it may not"}
