"""What transformers attended to on the way to an answer: attention maps weighed by their gradients.

An attention map is a softmax whose rows say what share of each token goes into another. All of them stand in the graph
behind the logits, whatever computed them: `scaled_dot_product_attention`, nn.MultiheadAttention, or matrix products in
a model's own code.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge
from torch.nn.attention import SDPBackend, sdpa_kernel

from generator.base.errors import InputError
from generator.explain.calls import told
from generator.explain.checks import check_finite, check_images, check_logits, check_unscripted
from generator.explain.flow import leading_to
from generator.explain.gradients import reached
from generator.explain.layouts import Layout
from generator.explain.outputs import answered
from generator.explain.passes import differentiating, runnable
from generator.explain.points import Point, Points, block_ends, points
from generator.explain.targets import Targets, Wanted, check_targets, classes_of, weights_of

_SOFTMAXES = ("SoftmaxBackward0", "SafeSoftmaxBackward0")
_ELSE = "; use a class activation map, occlude or integrated_gradients"


def attention_rollout(model: nn.Module, images: Tensor, targets: Targets = None) -> Tensor:
    """Gradient-weighted attention rollout of one target for each image.

    Chefer, Gur, Wolf 2021, arXiv:2103.15679, equations 5 and 6: each block's attention A, times the gradient of the
    target's logit by it, where that is positive and on average over the heads, is what a token takes from the others;
    block by block R = R + mean(relu(dA A)) R from R = 1. The map is what the token that the head reads has taken from
    each cell, its row of R; of two such tokens, as a distilled DeiT has, their mean. Which are read is told by where
    the last attention has a gradient.

    Args:
        images: (N, C, H, W) float, as the model takes them.
        targets: as of `grad_cam`.
    Returns:
        (N, h, w) float32, unnormalised and >= 0: a cell for each patch.
    Raises:
        ValueError: if targets and images differ in length, or a target is no class of the model.
        InputError: if the model has no attention, or not among all of its tokens (Swin's is within windows), its tokens
            are no cells of the image, or its head reads the cells themselves, as where it averages them: of what each
            is made of without attention nothing is known then; or where there are no gradients.
    """
    with torch.enable_grad():
        found = _watched(model, images, check_targets(targets, len(images)), _total)
    relevance = None
    for attention, gradient in found.maps:
        taken = (attention * gradient).relu().mean(1)  # (N, T, T)
        relevance = taken if relevance is None else relevance + taken + taken @ relevance  # R - 1
    read = _read(found)
    assert relevance is not None
    rows = torch.einsum("nt,ntu->nu", read / read.sum(1, keepdim=True).clamp_min(1), relevance)
    return check_finite(found.layout.maps(rows[..., None])[:, 0].float())


def legrad(model: nn.Module, images: Tensor, targets: Targets = None) -> Tensor:
    """LeGrad of one target for each image: how sensitive each block's own answer is to its attention.

    Bousselham et al. 2024, arXiv:2404.03214: what each block gives is read by the model's head as if it were the last;
    the gradient of that logit by the block's attention, where it is positive, on average over heads and over the tokens
    that ask, and over the blocks.

    Args, returns and errors as of `attention_rollout`; besides, an InputError where the head cannot read a block.
    """
    with torch.enable_grad():
        found = _watched(model, images, check_targets(targets, len(images)), _block_by_block)
    _read(found)
    shares = [gradient.relu().mean((1, 2)) for _, gradient in found.maps]  # (N, T) of each block
    rows = torch.stack(shares).mean(0)
    return check_finite(found.layout.maps(rows[..., None])[:, 0].float())


def attention_heads(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """What each head of each block attends to, whatever is asked: the attention maps themselves, as they ran.

    Of each head the row of the token that the model's head reads: which share of each cell goes into it. Where it reads
    several tokens, or averages the cells, their mean.

    Args:
        images: (N, C, H, W) float, as the model takes them.
    Returns:
        By the block's name (N, heads, h, w) float32, >= 0 and at most 1 in all; without the tokens that are no cells.
    Raises:
        InputError: as of `attention_rollout`, but not where the model's head reads the cells.
    """
    check_images(images)
    found = _watched(model, images, None, _total)
    read = (found.maps[-1][1] != 0).any(-1).any(1).to(found.maps[-1][0])  # (N, T)
    shares = read / read.sum(1, keepdim=True).clamp_min(1)
    every = points(model, images)
    called = {block.number: block.name for block in block_ends(every)}
    names = [called.get(block.number, block.name) for block in _blocks(every, found.layout)]
    rows = (torch.einsum("nt,nhtu->nuh", shares, attention) for attention, _ in found.maps)
    return {name: check_finite(found.layout.maps(row).float()) for name, row in zip(names, rows, strict=True)}


def _read(found: _Attention) -> Tensor:
    """(N, T) 1 for each token that the head reads, which is told by where the last attention has a gradient.

    Raises:
        InputError: where cells are among them: what they are made of without attention, each of itself, has no weight.
    """
    read = (found.maps[-1][1] != 0).any(-1).any(1)
    if found.layout.maps(read[..., None]).any():
        raise InputError(
            "model: its head reads the cells themselves and not a class token, so that what they take from one another "
            f"is not what the answer is made of{_ELSE}"
        )
    return read.to(found.maps[-1][1])


class _Attention(NamedTuple):
    """The attention maps of a pass and their gradients, (N, heads, T, T), and which tokens are cells."""

    maps: list[tuple[Tensor, Tensor]]
    layout: Layout


class _Pass(NamedTuple):
    """A pass with its graph."""

    logits: Tensor  # (N, K), or (blocks * N, K) where each block is read
    images: Tensor  # by which everything has a gradient
    nodes: list[Any]  # the attention's softmaxes in the graph, in the order in which they ran


def _watched(model: nn.Module, images: Tensor, wanted: Wanted, gradients: Callable[..., list[Tensor]]) -> _Attention:
    check_images(images)
    check_unscripted(model)
    found = points(model, images)
    layout = _tokens(found)
    blocks = _blocks(found, layout) if gradients is _block_by_block else []
    with differentiating(model), torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        run = _run(model, images, blocks, layout)
        classes = classes_of(wanted, run.logits[-len(images) :])
        seed = weights_of(classes, run.logits)
        pairs = zip(run.nodes, gradients(run, seed), strict=True)
        maps = [(_by_image(node._saved_result, len(seed)), _by_image(each, len(seed))) for node, each in pairs]
        return _Attention(maps, layout)


def _run(model: nn.Module, images: Tensor, blocks: list[Point], layout: Layout) -> _Pass:
    """One pass; with blocks, what follows the last of them runs on what each of them gave, one after another."""
    inputs = images.detach().clone().requires_grad_()
    given = inputs.clone()  # a model may begin with an in-place operation
    kept: list[Tensor] = []

    def keep(name: str, _module: nn.Module | None, output: Any) -> Tensor | None:
        kept.append(output)
        return torch.cat(kept) if name == blocks[-1].name else None

    with told(model, given, runnable(model), {block.name: keep for block in blocks}):
        output = answered(model, given).logits
    if blocks:
        parts = torch.split(output, len(images)) if isinstance(output, Tensor) and output.dim() == 2 else ()
        if len(parts) != len(blocks):
            raise InputError(f"model: its head cannot read what a block gives{_ELSE}")
        for part in parts:
            check_logits(part, images)
    else:
        check_logits(output, images)
    reached(model, output, inputs)
    return _Pass(output, inputs, _softmaxes(output, len(images), layout))


def _softmaxes(logits: Tensor, count: int, layout: Layout) -> list[Any]:
    """The graph's softmaxes that are attention among the tokens."""
    found: list[Any] = []
    waiting: list[Any] = [logits.grad_fn]
    seen = set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name() in _SOFTMAXES and node._saved_result.dim() >= 3:
            found.append(node)
        waiting += [earlier for earlier, _ in node.next_functions]
    for node in found:
        *ahead, asking, asked = node._saved_result.shape
        if (asking, asked) != (layout.units, layout.units):
            told = f"{asking} of them ask {asked}, of {layout.units}"
        elif ahead[0] == count or (len(ahead) == 1 and ahead[0] % count == 0):  # (N, heads, T, T) or (N heads, T, T)
            continue
        else:
            told = f"it is within {ahead[0] // count} windows of {asked}"
        raise InputError(f"model: its attention is not among all of its tokens: {told}{_ELSE}")
    if not found:
        raise InputError(f"model: no attention lies between the images and the logits{_ELSE}")
    return sorted(found, key=lambda node: int(node._sequence_nr()))


def _by_image(values: Tensor, count: int) -> Tensor:
    """(N, heads, T, T) float32 or wider."""
    wide = values.detach().to(torch.promote_types(values.dtype, torch.float32))
    return wide.reshape(count, -1, *values.shape[-2:])


def _total(run: _Pass, seed: Tensor) -> list[Tensor]:
    """The gradient of each image's target by each attention."""
    return list(torch.autograd.grad(run.logits, [GradientEdge(node, 0) for node in run.nodes], seed, retain_graph=True))


def _block_by_block(run: _Pass, seed: Tensor) -> list[Tensor]:
    """The gradient of what the head makes of each block by that block's attention alone."""
    parts = torch.split(run.logits, len(seed))
    if len(parts) != len(run.nodes):
        raise InputError(f"model: it has {len(parts)} blocks and {len(run.nodes)} attention maps{_ELSE}")
    found = []
    for node, part in zip(run.nodes, parts, strict=True):
        (gradient,) = torch.autograd.grad(part, [GradientEdge(node, 0)], seed, retain_graph=True, allow_unused=True)
        if gradient is None:
            raise InputError(f"model: its attention is not in blocks one after another{_ELSE}")
        found.append(gradient)
    return found


def _tokens(found: Points) -> Layout:
    """How the tokens stand of which the logits are made."""
    last = next((point for point in reversed(found) if point.trunk and point.form == "tokens"), None)
    if last is None:
        raise InputError(f"model: it has no tokens that are cells of the image and that all goes through{_ELSE}")
    return last.layout


def _blocks(found: Points, layout: Layout) -> list[Point]:
    """The end of each block: of what everything goes through, the last that lies before the next attention."""
    used = sorted(leading_to(found.nodes, found.ends))
    attentions = [number for number in used if _attends(found.nodes[number].name)]
    trunk = [point for point in found if point.trunk and point.single and point.name and point.layout == layout]
    ends = []
    if not attentions:
        raise InputError(f"model: no attention lies between the images and the logits{_ELSE}")
    for start, stop in zip(attentions, [*attentions[1:], math.inf], strict=True):
        within = [point for point in trunk if start < point.number < stop and point.kind == "addition"]
        if not within:
            raise InputError(f"model: its attention is not in blocks one after another{_ELSE}")
        last = max(point.number for point in within)
        ends.append(next(point for point in within if point.number == last))
    return ends


def _attends(name: str) -> bool:
    return name in ("_softmax", "_safe_softmax") or name.startswith("_scaled_dot_product")
