"""The README's lines on the library do what they say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.explain.nets import images, seeded

SECTION = (
    (Path(__file__).parents[2] / "README.md")
    .read_text("utf-8")
    .partition("## Explain a network of your own")[2]
    .partition("\n## ")[0]
)


def lines(begin: str) -> str:
    """The block of code that begins so."""
    return "\n".join(line[4:] for line in re.split(r"\n\n", SECTION) if begin in line for line in line.split("\n"))


def test_any_network_in_three_lines() -> None:
    network = seeded(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    names: dict[str, Any] = {"model": network, "images": images(2, 3, 8, 10), "targets": [0, 3], "layer": "1"}
    exec(lines("    from generator.explain import grad_cam, grad_cam_all"), names)
    assert (names["maps"].shape, names["every"].shape) == ((2, 6, 8), (2, 4, 6, 8))
    assert torch.equal(names["maps"][0], names["every"][0, 0])


@pytest.mark.slow
def test_a_transformer_of_timm_in_five_lines() -> None:
    code = lines("    from generator.explain import Target")
    assert code.count("\n") == 4
    # The weights are not fetched here.
    names: dict[str, Any] = {"timm": pytest.importorskip("timm"), "images": images(2, 3, 224, 224)}
    exec(code.replace("pretrained=True", "pretrained=False"), names)
    assert names["choice"].layer == "blocks.11.norm1"
    assert [candidate.reached for candidate in names["choice"].later] == [0] * 4
    assert names["maps"].shape == names["rollout"].shape == (2, 14, 14)
    assert names["rollout"].amax((1, 2)).min() > 0
