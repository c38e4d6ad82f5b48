"""Occlusion against values worked out by hand, and against captum."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from captum.attr import Occlusion
from torch import Tensor, nn

from generator import explain
from generator.base.errors import InputError
from generator.explain.occlusion import positions
from generator.explain.targets import Target, Targets
from generator.networks.small_cnn import SmallCNN
from tests.explain.nets import assert_same, images, seeded


class Sum(nn.Module):
    """Logits: the sum of the image's pixels, and 0."""

    def forward(self, batch: Tensor) -> Tensor:
        total = batch.sum((1, 2, 3))
        return torch.stack([total, torch.zeros_like(total)], 1)


def test_quadrants_by_hand() -> None:
    # The quadrants sum to 2 ln 3, -ln 3, 0 and 0, all together to ln 3: the probability is 3 / (3 + 1).
    # Without each of them: -ln 3 is 1/4, so that the other class is more probable; 2 ln 3 is 9/10; and as before.
    image = torch.zeros(1, 1, 4, 4)
    image[0, 0, 1, 0] = 2 * math.log(3)
    image[0, 0, 0, 3] = -math.log(3)
    found = explain.occlude(Sum(), image, [0], patch=2, stride=2)
    torch.testing.assert_close(found.unoccluded, torch.tensor([0.75]))
    torch.testing.assert_close(found.probability, torch.tensor([[[0.25, 0.9], [0.75, 0.75]]]))
    assert found.predicted.tolist() == [[[1, 0], [0, 0]]]
    torch.testing.assert_close(found.drop, torch.tensor([[[0.5, 0], [0, 0]]]))
    assert explain.occlude(Sum(), image, [1], patch=2, stride=2).predicted.tolist() == [[[1, 0], [0, 0]]]


@pytest.mark.parametrize(
    ("height", "width", "patch", "stride", "rows", "columns"),
    [
        (4, 4, 2, 2, [2, 2], [2, 2]),
        (4, 4, 4, 2, [3, 3], [3, 3]),  # rows -1 to 2 and 1 to 4: one of each is outside
        (6, 4, 1, 1, [1] * 6, [1] * 4),
        (5, 2, 2, 2, [1, 2, 2], [2]),  # centred on 5/6, 15/6 and 25/6: rows -1 and 0, 1 and 2, 3 and 4
        (3, 2, 9, 2, [3, 3], [2]),  # larger than the image
    ],
)
def test_where_the_square_is(
    height: int, width: int, patch: int, stride: int, rows: list[int], columns: list[int]
) -> None:
    """With 1 for each pixel under it and 0 elsewhere, the odds count the covered pixels."""
    found = explain.occlude(Sum(), torch.zeros(1, 1, height, width), [0], patch=patch, stride=stride, fill=1.0)
    covered = torch.logit(found.probability.double())[0]
    want = torch.tensor(rows).double()[:, None] * torch.tensor(columns).double()
    torch.testing.assert_close(covered, want, atol=1e-2, rtol=0)


def test_every_pixel_is_covered_by_the_square_of_a_default_size() -> None:
    # 64 x 48: a square of 12, which moves by 6 pixels, so that 11 (64 / 6) x 8 positions cover the image.
    probes = torch.zeros(2, 1, 64, 48)
    probes[0, 0, 0, 0] = probes[1, 0, 63, 47] = 1
    found = explain.occlude(Sum(), probes, [0, 0])
    assert found.probability.shape == (2, 11, 8)
    assert positions((64, 48)) == 88
    hidden = found.drop > 0.1
    # Centred on 32/11 and 96/11, on 3 and 9, and so on: they start at -4 and 2, and at -3 and 3.
    assert hidden[0].nonzero().tolist() == [[0, 0]]
    assert hidden[1].nonzero().tolist() == [[10, 7]]


def test_the_square_slides_once_for_all_that_is_asked() -> None:
    network, batch = seeded(lambda: SmallCNN(classes=6, widths=(4, 6, 8, 10))), images(2, 3, 32, 24)
    asked: list[Targets] = [[2, 4], torch.tensor([0, 0]), [Target(1, against=3), 5], None]
    passes: list[int] = []
    hook = network.register_forward_pre_hook(lambda _m, given: passes.append(len(given[0])))
    found = explain.occlude_each(network, batch, asked, patch=8)
    hook.remove()
    assert sum(passes) == 2 + 2 * 8 * 6
    for targets, one in zip(asked, found, strict=True):
        want = explain.occlude(network, batch, targets, patch=8)
        for field in ("probability", "predicted", "unoccluded"):
            torch.testing.assert_close(getattr(one, field), getattr(want, field), rtol=0, atol=0)
    assert explain.occlude_each(network, batch, []) == ()


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_equals_captum_where_the_squares_do_not_overlap(batch_size: int) -> None:
    """captum gives the pixels under a square what the output loses without it; in passes of bounded size."""
    network, batch = seeded(lambda: SmallCNN(classes=6, widths=(4, 6, 8, 10))), images(2, 3, 32, 24)
    softened = nn.Sequential(network, nn.Softmax(1)).eval()
    want = Occlusion(softened).attribute(
        batch, sliding_window_shapes=(3, 8, 8), strides=(3, 8, 8), target=torch.tensor([2, 4]), baselines=0.5
    )[:, 0, ::8, ::8]
    sizes: list[int] = []
    network.register_forward_pre_hook(lambda _m, given: sizes.append(len(given[0])))
    found = explain.occlude(network, batch, [2, 4], patch=8, stride=8, fill=0.5, batch_size=batch_size)
    assert_same(found.unoccluded[:, None, None] - found.probability + 1, want.detach().float() + 1)
    assert max(sizes[1:]) <= batch_size
    assert sizes[0] == 2
    assert len(sizes) == 1 + -(-2 * 4 * 3 // batch_size)  # the squares of both images go together


@pytest.mark.parametrize("wrong", ["patch", "stride", "batch_size"])
def test_sizes_that_are_none(wrong: str) -> None:
    sizes: dict[str, Any] = {wrong: 0}
    with pytest.raises(ValueError, match=f"{wrong}: expected at least 1, got 0"):
        explain.occlude(Sum(), torch.zeros(1, 1, 4, 4), [0], **sizes)


def test_a_network_that_gives_no_logits() -> None:
    with pytest.raises(InputError, match=r"expected logits \(N, K\) = \(1, K\), got \(1, 3, 8, 8\)"):
        explain.occlude(nn.Identity(), images(1, 3, 8, 8), [0])
