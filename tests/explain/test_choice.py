"""The layer to explain, chosen by proof: still a grid over the image, with a gradient at more than one cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision import models

from generator import explain
from generator.base.errors import InputError
from generator.explain.layouts import Layout
from tests.explain.nets import images, seeded

SMALL = {"num_classes": 4, "depth": 3, "embed_dim": 24, "num_heads": 2}


def vit(**options: object) -> Any:
    return timm.create_model("vit_tiny_patch16_224", **{**SMALL, **options})


def torchvision_vit() -> Any:
    network = models.VisionTransformer(32, 8, 3, 2, 16, 32, num_classes=4)
    nn.init.normal_(network.heads.head.weight)  # torchvision begins with zeros
    return network


def mixer() -> Any:
    network = timm.models.mlp_mixer.MlpMixer(num_classes=4, img_size=64, patch_size=16, num_blocks=2, embed_dim=24)
    nn.init.normal_(network.head.weight)
    return network


# Network, size of the image, layer, layout, and the names that come after it and have no gradient at the cells.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int], str, Layout, tuple[str, ...]]] = {
    "torchvision's ViT": (
        torchvision_vit,
        (32, 32),
        "encoder.layers.encoder_layer_2.ln_1",
        Layout("tokens", (4, 4), (1, 0)),
        ("encoder", "encoder.layers", "encoder.layers.encoder_layer_2.ln_2"),
    ),
    "ViT, not square": (
        lambda: vit(img_size=(32, 64)),
        (32, 64),
        "blocks.2.norm1",
        Layout("tokens", (2, 4), (1, 0)),
        ("norm", "blocks", "blocks.2.norm2"),
    ),
    "ViT, averaged": (
        lambda: vit(img_size=(64, 32), global_pool="avg", class_token=False),
        (64, 32),
        "blocks",
        Layout("tokens", (4, 2), (0, 0)),
        (),
    ),
    "ViT with registers": (
        lambda: vit(img_size=48, reg_tokens=4),
        (48, 48),
        "blocks.2.norm1",
        Layout("tokens", (3, 3), (5, 0)),  # with the class token 14: no square
        ("norm", "blocks", "blocks.2.norm2"),
    ),
    "DeiT, distilled": (
        lambda: timm.create_model("deit_tiny_distilled_patch16_224", img_size=64, **SMALL),
        (64, 64),
        "blocks.2.norm1",
        Layout("tokens", (4, 4), (2, 0)),
        ("norm", "blocks", "blocks.2.norm2"),
    ),
    "torchvision's Swin": (
        lambda: models.SwinTransformer([4, 4], 24, [2, 2], [2, 4], [4, 4], num_classes=4),
        (64, 96),
        "permute",
        Layout("maps", (8, 12)),
        (),
    ),
    "timm's Swin": (
        lambda: timm.create_model(
            "swin_tiny_patch4_window7_224",
            num_classes=4,
            img_size=64,
            window_size=4,
            depths=(2, 2),
            embed_dim=24,
            num_heads=(2, 4),
        ),
        (64, 64),
        "norm",
        Layout("maps, channels last", (8, 8)),
        (),
    ),
    "mixer": (mixer, (64, 64), "norm", Layout("tokens", (4, 4)), ()),
    "hybrid": (
        lambda: timm.create_model(
            "vit_tiny_r_s16_p8_224", num_classes=4, img_size=64, depth=2, embed_dim=24, num_heads=2
        ),
        (64, 64),
        "blocks.1.norm1",
        Layout("tokens", (2, 2), (1, 0)),
        ("norm", "blocks", "blocks.1.norm2"),
    ),
    "torchvision's ConvNeXt": (
        lambda: models.ConvNeXt([models.convnext.CNBlockConfig(16, None, 2)], num_classes=4),
        (32, 64),
        "features",
        Layout("maps", (8, 16)),
        (),
    ),
    "timm's ConvNeXt": (
        lambda: timm.create_model("convnext_atto", num_classes=4, depths=(1, 1, 1, 1), dims=(8, 8, 16, 16)),
        (64, 96),
        "stages",
        Layout("maps", (2, 3)),
        (),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_layer_its_cells_and_what_was_left_behind(name: str) -> None:
    make, size, layer, layout, later = NETWORKS[name]
    network, batch = seeded(make), images(2, 3, *size)
    choice = explain.layer_choice(network, batch)
    assert (choice.layer, choice.layout) == (layer, layout)
    assert tuple(candidate.layer for candidate in choice.later[: len(later)]) == later
    assert all(candidate.reached == 0 for candidate in choice.later)
    assert choice.earlier
    assert explain.choose_layer(network, batch) == layer
    for method in (explain.grad_cam, explain.layer_cam, explain.grad_cam_plus_plus, explain.score_cam):
        assert torch.equal(method(network, batch, [1, 3], choice), method(network, batch, [1, 3], layer))


class Early(nn.Module):
    """A class token that reads its patches in the first of two blocks alone, and nothing but them."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(1, 2, 2, stride=2)
        self.norm = nn.LayerNorm(2)
        self.mix = nn.Linear(2, 2)
        self.head = nn.Linear(2, 2)
        self.token = nn.Parameter(torch.ones(1, 1, 2))

    def forward(self, batch: Tensor) -> Tensor:
        tokens = torch.cat([self.token.expand(len(batch), -1, -1), self.embed(batch).flatten(2).transpose(1, 2)], 1)
        read = self.norm(tokens)
        tokens = tokens + torch.cat([read.mean(1, keepdim=True), torch.zeros_like(read[:, 1:])], 1)
        tokens = tokens + self.mix(tokens)
        logits: Tensor = self.head(tokens[:, 0])
        return logits


def test_the_gradient_and_not_the_place_decides() -> None:
    choice = explain.layer_choice(seeded(Early), images(1, 1, 4, 6))
    assert choice.layer == "norm"
    assert choice.layout == Layout("tokens", (2, 3), (1, 0))
    assert [candidate.reached for candidate in choice.later] == [0, 0]


def test_where_no_cell_has_a_gradient_there_is_no_layer() -> None:
    """Every ViT of torchvision begins so: its head is all zeros."""
    network = models.VisionTransformer(32, 8, 1, 2, 16, 32, num_classes=4).eval()
    with pytest.raises(InputError, match=r"no gradient by any cell of its layers \(conv_proj to encoder\), as where"):
        explain.choose_layer(network, images(1, 3, 32, 32))


def test_tokens_of_which_none_is_a_cell_are_refused() -> None:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 4, stride=4)
            self.tokens = nn.Linear(4, 4)

        def forward(self, batch: Tensor) -> Tensor:
            maps = self.conv(batch).flatten(2)  # (N, 4, 64)
            logits: Tensor = self.tokens((maps @ maps.transpose(1, 2)).softmax(2)).mean(1)
            return logits

    with pytest.raises(InputError, match=r"\(2, 4, 4\), tokens, none of which can be told to be a cell of the image"):
        explain.grad_cam(seeded(Pooled), images(2, 3, 32, 32), [1, 0], "tokens")


def test_choosing_leaves_no_trace() -> None:
    network = seeded(lambda: vit(img_size=32)).train()
    before = [(len(module._forward_hooks), module.training) for module in network.modules()]
    explain.layer_choice(network, images(1, 3, 32, 32))
    with pytest.raises(AssertionError):
        explain.layer_choice(network, images(1, 3, 48, 48))
    assert [(len(module._forward_hooks), module.training) for module in network.modules()] == before
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_choice_spares_the_search_for_the_tokens_places() -> None:
    network, batch = seeded(lambda: vit(img_size=32)), images(2, 3, 32, 32)
    choice = explain.layer_choice(network, batch)
    passes = []
    with network.register_forward_pre_hook(lambda _module, _args: passes.append(1)):
        explain.grad_cam(network, batch, [0, 1], choice)
        assert len(passes) == 1
        explain.grad_cam(network, batch, [0, 1], choice.layer)
        assert len(passes) == 1 + 3  # one to see tokens, one to follow them, one to weigh them


class Blocks(nn.Module):
    """Two convolutions, a head that reads the left half of their maps, and parts that are no grid, or do not run."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 2, 3, padding=1)
        self.conv2 = nn.Conv2d(2, 2, 3, padding=1)
        self.aside = nn.Conv2d(2, 2, 1)
        self.idle = nn.Conv2d(2, 2, 1)
        self.turned = nn.Identity()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(2, 3)

    def forward(self, batch: Tensor) -> Tensor:
        maps = self.conv2(self.conv1(batch))
        self.aside(maps)
        self.turned(maps.flip(3))
        logits: Tensor = self.head(self.pool(maps[..., :3]).flatten(1))
        return logits


@pytest.mark.parametrize(("layer", "reached"), [("conv2", 12), ("conv1", 16)])
def test_of_a_layer_that_somebody_names_it_is_proved_what_it_shows(layer: str, reached: int) -> None:
    """Of 4 x 6 cells the head reads three columns, and a 3 x 3 kernel one more of what is before it."""
    choice = explain.layer_proof(seeded(Blocks), images(1, 1, 4, 6), layer)
    assert (choice.layer, choice.layout.grid, choice.reached) == (layer, (4, 6), reached)


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ("conv3", "layer: expected a module's dotted name, got 'conv3'; nearest: conv2, conv1"),
        ("conv2+relu", r"layer: expected a module or a function that runs, got 'conv2\+relu'; nearest: conv2"),
        ("idle", "layer 'idle': expected one that the model runs, it does not run this one"),
        ("pool", "layer 'pool': expected several cells, it gives one, whose map is the same in all places"),
        ("head", r"layer 'head': expected cells that lie over the image, none of what it gives \(3\)"),
        ("turned", r"none of what it gives \(2, 4, 6\) can be told to be one, because flip \(cells change places\)"),
        ("aside", "layer 'aside': expected one that the logits are made of, they are not made of this one"),
    ],
)
def test_a_layer_whose_maps_are_of_something_else_is_refused(layer: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        explain.layer_proof(seeded(Blocks), images(1, 1, 4, 6), layer)


def test_a_transformer_s_last_block_is_refused_and_what_it_reads_is_not() -> None:
    network, batch = seeded(lambda: vit(img_size=32)), images(1, 3, 32, 32)
    for layer in ("blocks.2", "norm", "blocks"):
        with pytest.raises(InputError, match=f"layer '{layer}': the logits have a gradient by none of its 4 cells"):
            explain.layer_proof(network, batch, layer)
    assert explain.layer_proof(network, batch, "blocks.1").reached == 4


def test_a_layer_of_a_mirrored_image_is_refused() -> None:
    class Mirrored(Blocks):
        def forward(self, batch: Tensor) -> Tensor:
            return super().forward(batch.flip(3))

    with pytest.raises(InputError, match="layer 'conv2': its cells do not lie where they stand over the"):
        explain.layer_proof(seeded(Mirrored), images(1, 1, 16, 24), "conv2")


def test_of_a_network_without_gradients_a_named_layer_stays() -> None:
    """Score-CAM asks for none."""

    class Detached(Blocks):
        def forward(self, batch: Tensor) -> Tensor:
            return super().forward(batch).detach()

    choice = explain.layer_proof(seeded(Detached), images(1, 1, 4, 6), "conv1")
    assert (choice.layer, choice.reached) == ("conv1", None)
