"""Attention weighed by gradients, against the papers' formulas written out, and seen however it is computed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Literal

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import models

from generator import explain
from generator.base.errors import InputError
from generator.explain.points import stage_ends
from tests.explain.nets import assert_same, images, seeded

How = Literal["fused", "written out", "module"]


class Block(nn.Module):
    """A transformer's block whose attention is computed in one of three ways, of the same weights."""

    def __init__(self, how: How) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))
        self.how = how
        self.seen: Tensor | None = None

    def forward(self, tokens: Tensor) -> Tensor:
        read = self.norm(tokens)
        taken = self.attention(read, read, read, need_weights=False)[0] if self.how == "module" else self.mixed(read)
        tokens = tokens + taken
        found: Tensor = tokens + self.mlp(tokens)
        return found

    def mixed(self, read: Tensor) -> Tensor:
        weight, bias = self.attention.in_proj_weight, self.attention.in_proj_bias
        query, key, value = F.linear(read, weight, bias).view(*read.shape[:2], 3, 2, 4).permute(2, 0, 3, 1, 4)
        if self.how == "fused":
            found = F.scaled_dot_product_attention(query, key, value)
        else:
            self.seen = (query @ key.transpose(-2, -1) / 2).softmax(-1)  # the root of 4
            found = self.seen @ value
        joined: Tensor = self.attention.out_proj(found.transpose(1, 2).flatten(2))
        return joined


class Transformer(nn.Module):
    """Three blocks on patches of 4 pixels, with a class token, or without and averaged."""

    def __init__(self, how: How = "written out", token: bool = True) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 4, stride=4)
        self.token = nn.Parameter(torch.ones(1, 1, 8)) if token else None
        self.blocks = nn.Sequential(*(Block(how) for _ in range(3)))
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 5)

    def forward(self, batch: Tensor) -> Tensor:
        return self.read(self.blocks(self.tokens(batch)))

    def tokens(self, batch: Tensor) -> Tensor:
        tokens = self.embed(batch).flatten(2).transpose(1, 2)
        return tokens if self.token is None else torch.cat([self.token.expand(len(batch), -1, -1), tokens], 1)

    def read(self, tokens: Tensor) -> Tensor:
        tokens = self.norm(tokens)
        logits: Tensor = self.head(tokens.mean(1) if self.token is None else tokens[:, 0])
        return logits


BATCH, TARGETS = images(2, 3, 8, 12), [1, 3]


def by_the_book(network: Any, layerwise: bool) -> Tensor:
    """Rollout (Chefer et al. 2021, equations 5 and 6) or LeGrad (Bousselham et al. 2024), image by image."""
    found = []
    for image, target in zip(BATCH, TARGETS, strict=True):
        tokens = [network.tokens(image[None])]
        for block in network.blocks:
            tokens.append(block(tokens[-1]))
        logit = network.read(tokens[-1])[0, target]
        maps = [block.seen for block in network.blocks]
        if layerwise:
            each = [
                torch.autograd.grad(network.read(block)[0, target], seen, retain_graph=True)[0]
                for block, seen in zip(tokens[1:], maps, strict=True)
            ]
            row = torch.stack([gradient[0].relu().mean((0, 1)) for gradient in each]).mean(0)
        else:
            gradients = torch.autograd.grad(logit, maps)
            total = torch.eye(maps[0].shape[-1])
            for seen, gradient in zip(maps, gradients, strict=True):
                total = total + (gradient * seen)[0].relu().mean(0).detach() @ total
            row = total[0]
        found.append(row[1:].detach().view(2, 3))
    return torch.stack(found)


METHODS = {"rollout": explain.attention_rollout, "LeGrad": explain.legrad}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("how", ["fused", "written out", "module"])
def test_the_papers_formulas_however_the_attention_is_computed(method: str, how: How) -> None:
    written, network = seeded(Transformer), seeded(lambda: Transformer(how))
    network.load_state_dict(written.state_dict())
    want = by_the_book(written, method == "LeGrad")
    assert_same(METHODS[method](network, BATCH, TARGETS), want)
    assert_same(METHODS[method](copy.deepcopy(network).requires_grad_(False), BATCH, TARGETS), want)


@pytest.mark.parametrize("method", METHODS)
def test_it_changes_with_the_class_and_is_its_images_one_by_one(method: str) -> None:
    network, ask = seeded(Transformer), METHODS[method]
    together = ask(network, BATCH, TARGETS)
    assert_same(together, torch.cat([ask(network, BATCH[[n]], [TARGETS[n]]) for n in range(2)]))
    assert (together - ask(network, BATCH, [0, 0])).abs().amax() > 0.1 * together.amax()
    pair = ask(network, BATCH, [explain.Target(1, against=0)] * 2)
    assert pair.amax() > 0
    assert not torch.equal(pair, together)


def timms(**options: object) -> Any:
    small = {"num_classes": 4, "img_size": 48, "depth": 2, "embed_dim": 24, "num_heads": 2}
    return timm.create_model("vit_tiny_patch16_224", **{**small, **options})


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("make", "size"),
    [
        (timms, (48, 48)),
        (lambda: timms(img_size=(32, 64), reg_tokens=4), (32, 64)),
        (
            lambda: timm.create_model(
                "deit_tiny_distilled_patch16_224", num_classes=4, img_size=48, depth=2, embed_dim=24, num_heads=2
            ),
            (48, 48),
        ),
    ],
)
def test_transformers_of_timm(method: str, make: Callable[[], nn.Module], size: tuple[int, int]) -> None:
    network, batch = seeded(make).train(), images(2, 3, *size)
    before = {name: (value.grad, value._version) for name, value in network.named_parameters()}
    found = METHODS[method](network, batch, [0, 2])
    assert found.shape == (2, size[0] // 16, size[1] // 16)
    assert found.amax((1, 2)).min() > 0
    assert found.amin() >= 0
    assert network.training
    assert {name: (value.grad, value._version) for name, value in network.named_parameters()} == before
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert torch._C._get_flash_sdp_enabled()  # the kernels that were put aside are there again


class Pooling(Transformer):
    """The head attends to the tokens by a query of its own."""

    def read(self, tokens: Tensor) -> Tensor:
        asked = (self.head.weight[:1] @ tokens.transpose(1, 2)).softmax(-1)
        logits: Tensor = self.head((asked @ tokens)[:, 0])
        return logits


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("make", "size", "message"),
    [
        (lambda: models.resnet18(num_classes=4), 32, "it has no tokens that are cells of the image"),
        (
            lambda: timm.models.mlp_mixer.MlpMixer(
                num_classes=4, img_size=32, patch_size=16, num_blocks=1, embed_dim=8
            ),
            32,
            "no attention lies between",
        ),
        (
            lambda: models.SwinTransformer([4, 4], 24, [2], [2], [4, 4], num_classes=4),
            32,
            "no tokens that are cells of the image",
        ),
        (  # windows of as many tokens as there are at the end
            lambda: timm.create_model(
                "swinv2_tiny_window8_256",
                num_classes=4,
                img_size=64,
                window_size=4,
                depths=(1, 1, 1),
                embed_dim=8,
                num_heads=(1, 1, 1),
            ),
            64,
            "its attention is not",
        ),
        (lambda: Transformer(token=False), 8, "its head reads the cells themselves"),
        (Pooling, 8, "its attention is not"),
    ],
)
def test_where_it_is_not_defined_one_line_says_why(
    method: str, make: Callable[[], nn.Module], size: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        METHODS[method](seeded(make), images(1, 3, size, size), [1])


def test_an_exception_leaves_nothing_behind() -> None:
    network = seeded(Transformer).train()

    def fail(_module: nn.Module, _args: Any) -> None:
        raise ArithmeticError("broken on purpose")

    handle = network.get_submodule("head").register_forward_pre_hook(fail)
    for method in METHODS.values():
        with pytest.raises(ArithmeticError):
            method(network, BATCH, TARGETS)
    handle.remove()
    assert network.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch._C._get_flash_sdp_enabled()


@pytest.mark.parametrize("token", [True, False])
def test_heads_are_the_attention_maps_as_they_ran(token: bool) -> None:
    """The class token's row of each; where the cells are averaged, the mean of all rows."""
    network: Any = seeded(lambda: Transformer(token=token)).eval()
    batch = images(2, 3, 12, 16)
    found = explain.attention_heads(network, batch)
    network(batch)
    assert list(found) == ["blocks.0", "blocks.1", "blocks.2"]
    for number, maps in enumerate(found.values()):
        block = network.blocks[number]
        rows = block.seen[:, :, 0, 1:] if token else block.seen.mean(2)
        assert maps.shape == (2, 2, 3, 4)
        assert_same(maps, rows.reshape(2, 2, 3, 4).detach())


def test_the_blocks_of_tokens_are_stages() -> None:
    network = seeded(Transformer).eval()
    batch = images(1, 3, 12, 16)
    ends = stage_ends(explain.points(network, batch))
    assert ends == ("embed", "blocks.0", "blocks.1", "blocks.2")
    maps = explain.feature_maps(network, batch, ends)
    assert [maps[name].shape for name in ends] == [(1, 8, 3, 4)] * 4
