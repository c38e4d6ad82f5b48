"""RISE against its definition: masks, each weighed by what the model answers behind it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from generator import explain
from generator.explain.rise import _masks
from tests.explain.nets import images


class Corner(nn.Module):
    """Two logits: of what it sees in the upper left quarter, more or less than half, and 0."""

    def forward(self, batch: Tensor) -> Tensor:
        seen = batch[:, :, : batch.shape[2] // 2, : batch.shape[3] // 2].mean((1, 2, 3))
        return torch.stack([12 * seen - 6, torch.zeros_like(seen)], 1)


def test_it_is_the_mean_of_masks_weighed_by_probabilities() -> None:
    batch = images(2, 3, 12, 20).abs()
    drawn = _masks(10, batch.shape[2:], 4, 0.5, torch.Generator().manual_seed(3))
    want = torch.zeros(2, 12, 20)
    for image, target in ((0, 0), (1, 1)):
        for mask in drawn:
            probability = Corner()(batch[[image]] * mask).softmax(1)[0, target]
            want[image] += probability * mask / (10 * 0.5)
    found = explain.rise(Corner(), batch, [0, 1], masks=10, cells=4, seed=3, batch_size=32)
    torch.testing.assert_close(found, want)
    torch.testing.assert_close(explain.rise(Corner(), batch, [0, 1], masks=10, cells=4, seed=3, batch_size=3), found)
    alone = explain.rise(Corner(), batch[1:], [1], masks=10, cells=4, seed=3)
    torch.testing.assert_close(alone, found[1:])


def test_it_finds_what_the_model_looks_at() -> None:
    found = explain.rise(Corner(), torch.ones(1, 3, 16, 16), [0], masks=400, cells=4)[0]
    inside, outside = found[:8, :8].mean(), torch.cat([found[8:].flatten(), found[:8, 8:].flatten()]).mean()
    assert inside > 1.15 * outside


def test_a_mask_shows_as_much_as_it_keeps() -> None:
    drawn = _masks(500, torch.Size((21, 14)), 7, 0.3, torch.Generator().manual_seed(0))
    assert drawn.shape == (500, 21, 14)
    assert 0 <= drawn.amin() < drawn.amax() <= 1
    torch.testing.assert_close(drawn.mean(0), torch.full((21, 14), 0.3), atol=0.06, rtol=0)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="masks: expected at least 1"):
        explain.rise(Corner(), images(1, 3, 8, 8), masks=0)
    with pytest.raises(ValueError, match="keep: expected a probability above 0"):
        explain.rise(Corner(), images(1, 3, 8, 8), keep=0.0)
