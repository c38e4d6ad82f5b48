"""Class activation maps: weighted sums of a layer's maps that show where the model found what speaks for a class.

All return raw maps >= 0, as large as the layer's and in float32. To show one: resize it bilinearly to the image, and
state its maximum; a map that is all zero says that nothing spoke for the class.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generator.explain.checks import (
    check_finite,
    check_images,
    check_logits,
    check_positive,
)
from generator.explain.choice import Layer, located
from generator.explain.obstacles import Obstacles
from generator.explain.passes import (
    at_once,
    evaluating,
    format_of,
    logits_of,
    maps_and_output,
    parts,
)
from generator.explain.targets import Targets, check_targets, classes_of, values_of, weights_of
from generator.explain.watching import Run, ZeroRows, gradients, watching

# Gradients of so many activations are asked for at once, 4 MiB in float32, which a processor's caches can hold: six of
# ViT-B/16's classes, of which 30 take its last block 1.2 forward passes then, and 1.6 all at once (AMD EPYC, one
# thread, torch 2.14).
_GRADIENTS_AT_ONCE = 2**20
# Rows that a large matrix is multiplied with sooner than its own entries are added up: reading it is what takes long.
_FEW_ROWS = 16
# Up to so many entries for each row of a matrix, adding those rows up is faster than multiplying with all of them.
_SPARSE = 0.75


# From gradients


def grad_cam(model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None) -> Tensor:
    """Grad-CAM of one target class for each image.

    Selvaraju et al. 2017, arXiv:1610.02391: each channel's map weighted by the mean gradient of the target's logit.

    Args:
        images: (N, C, H, W) float, as the model takes them.
        targets: (N,) class indices, or a list with a `Target` among them: one class against another, several classes,
            what speaks against one; without them the class that the model predicts for each image. Of a model with one
            logit that is always 0, what the logit speaks for.
        layer: dotted name, or what `layer_choice` gave, which spares the search for a token's place; without it
            `layer_choice` decides, at the price of one more forward pass of one image, of transformers of several. Of a
            layer that runs more than once, the last run.
    Returns:
        (N, h, w) float32, unnormalised and >= 0; all zero where nothing speaks for the class.
    Raises:
        ValueError: if targets and images differ in length, or a target is no class of the model.
        InputError: if the layer does not exist, does not run, gives neither (N, C, h, w) nor (N, h, w, C) or does not
            reach the logits; or if these are nan or inf.
    """
    with _run(model, images, targets, layer) as (run, classes):
        return cams_of(run, classes if classes.dim() == 1 else classes[:, None])[:, 0]


def grad_cam_all(model: nn.Module, images: Tensor, layer: Layer = None) -> Tensor:
    """Grad-CAM of every class for each image, in one forward pass and without one backward pass a class.

    Args and errors as of `grad_cam`.

    Returns:
        (N, K, h, w) float32, unnormalised and >= 0.
    """
    with _run(model, images, None, layer) as (run, _):
        return cams_of(run, None)


def grad_cam_plus_plus(model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None) -> Tensor:
    """Grad-CAM++ of one target class for each image: only cells that raise the logit give a channel its weight.

    Chattopadhay et al. 2018, arXiv:1710.11063, in their closed form for Y = exp(S) of the logit S: with g = dS/dA at a
    cell, Y has the second and third derivatives Y g^2 and Y g^3 where the layers above are piecewise linear, so that
    alpha = g^2 / (2 g^2 + g^3 sum(A)), and a channel's weight is sum(alpha relu(Y g)). The factor Y is left out: it is
    the same for all cells of a map and so changes nothing that is seen, and it overflows above a logit of 88.

    Args and errors as of `grad_cam`; the layer's activations should not be negative, as after a ReLU.

    Returns:
        (N, h, w) float32, unnormalised and >= 0.
    """
    return layer_gradients(model, images, targets, layer).grad_cam_plus_plus()


def layer_cam(model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None) -> Tensor:
    """LayerCAM of one target class for each image: each cell weighted by its own gradient, where that is positive.

    Jiang et al. 2021, LayerCAM: exploring hierarchical class activation maps for localization, IEEE TIP 30: it stays
    sharp at early layers, where a channel's mean gradient says little.

    Args and errors as of `grad_cam`.

    Returns:
        (N, h, w) float32, unnormalised and >= 0.
    """
    return layer_gradients(model, images, targets, layer).layer_cam()


def channel_contributions(model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None) -> Tensor:
    """What each channel of `layer` gave to the target's logit: gradient times activation, summed over its cells.

    For global average or maximum pooling and one linear layer these and the bias add up to the logit; for other heads
    they are its first-order share.

    Args and errors as of `grad_cam`.

    Returns:
        (N, C) float32 in units of the logit; negative where the channel spoke against the class.
    """
    return layer_gradients(model, images, targets, layer).contributions()


@dataclass(frozen=True, eq=False)
class LayerGradients:
    """A layer's maps and the gradient of one target's logit by them: all that these methods ask of a network."""

    layer: str
    activations: Tensor  # (N, C, h, w) float32 or wider
    gradients: Tensor  # the same

    def grad_cam(self) -> Tensor:
        """(N, h, w), see `grad_cam`."""
        return self._cam(self.gradients.mean((2, 3)))

    def grad_cam_plus_plus(self) -> Tensor:
        """(N, h, w), see `grad_cam_plus_plus`."""
        # alpha g with g^2 cancelled: small gradients do not underflow, and a gradient of zero gives no 0 / 0.
        denominator = 2 + self.gradients * self.activations.sum((2, 3), keepdim=True)
        shares = torch.where(denominator != 0, self.gradients.relu() / denominator, 0)  # (N, C, h, w)
        return self._cam(shares.sum((2, 3)))

    def layer_cam(self) -> Tensor:
        """(N, h, w), see `layer_cam`."""
        return check_finite((self.gradients.relu() * self.activations).sum(1).relu().float(), self.layer)

    def contributions(self) -> Tensor:
        """(N, C), see `channel_contributions`."""
        return check_finite((self.gradients * self.activations).sum((2, 3)).float(), self.layer)

    def _cam(self, weights: Tensor) -> Tensor:
        return check_finite(_weighted(self.activations, weights[:, None])[:, 0], self.layer)


def layer_gradients(model: nn.Module, images: Tensor, targets: Targets = None, layer: Layer = None) -> LayerGradients:
    """What several methods ask for, from one pass there and back.

    Args and errors as of `grad_cam`.
    """
    with _run(model, images, targets, layer, each_cell=True) as (run, classes):
        return gradients_of([run], classes)[run.layer]


def gradients_of(runs: Sequence[Run], classes: Tensor) -> dict[str, LayerGradients]:
    """Of one pass, by layer, without those that the target's logit has no gradient by.

    Args:
        classes: of `classes_of`.
    Raises:
        InputError: where there is one layer, and no gradient by it.
    """
    if not runs:
        return {}
    seed = weights_of(classes, runs[0].logits)
    every = [_gradient(runs[0], seed)] if len(runs) == 1 else gradients(runs, seed)
    found = {}
    for run, gradient in zip(runs, every, strict=True):
        if gradient is not None:
            precision = torch.promote_types(gradient.dtype, torch.float32)
            found[run.layer] = LayerGradients(run.layer, run.activations.to(precision), gradient.to(precision))
    return found


@contextmanager
def _run(
    model: nn.Module, images: Tensor, targets: Targets, layer: Layer, each_cell: bool = False
) -> Iterator[tuple[Run, Tensor]]:
    """A watched forward pass with the (N,) classes to explain."""
    check_images(images)
    wanted = check_targets(targets, len(images))
    name, layout = located(model, images, layer)
    with watching(model, images, name, each_cell, layout) as run:
        yield run, classes_of(wanted, run.logits)


def _weighted(activations: Tensor, weights: Tensor) -> Tensor:
    """(N, C, h, w) and (N, K, C) -> (N, K, h, w)."""
    precision = torch.promote_types(torch.promote_types(weights.dtype, activations.dtype), torch.float32)
    cams = torch.bmm(weights.to(precision), activations.to(precision).flatten(2)).relu().float()
    return cams.view(*weights.shape[:2], *activations.shape[2:])


# Grad-CAM's channel weights: the mean over a map's cells of the logit's gradient


def cams_of(run: Run, asked: Tensor | None) -> Tensor:
    """Grad-CAM from a watched pass, (N, R, h, w) float32.

    Args:
        asked: (N,) classes, R = 1; (N, R, K) what each logit counts, of R targets of each image; None: all classes.
    """
    weights = _closed_form(run, asked)
    weights = _by_gradients(run, asked) if weights is None else weights
    return check_finite(_weighted(run.activations, weights), run.layer)


def _closed_form(run: Run, asked: Tensor | None) -> Tensor | None:
    """The channel weights from matrix products alone, or None where the tail is not pooling, flattening and an MLP.

    Pooling hands each gradient on whole: each output cell's weights on the input cells add up to 1 (a maximum gives all
    to one cell, whichever of equal ones it is). So the mean of the gradient over the layer's cells is the gradient's
    sum over the pooled cells divided by the number of the layer's cells; for many targets it is taken in the first
    linear layer's weights beforehand. ReLUs between the linear layers are masks known from the forward pass. Global
    average or maximum pooling is the case of one linear layer, weights / cells; with the average, Grad-CAM is CAM (Zhou
    et al. 2016).
    """
    steps = _tail_steps(run)
    if not steps:
        return None
    channels, height, width = run.activations.shape[1:]

    def summed(rows: Tensor) -> Tensor:  # (..., i) -> (..., C)
        cells = rows.shape[-1] // channels  # not -1, which is ambiguous where there are no images
        return rows.reshape(*rows.shape[:-1], channels, cells).sum(-1)

    *inner, last = steps
    rows = last[None]  # (1, K, i)
    if asked is not None:  # (N, R, i)
        rows = last[asked][:, None] if asked.dim() == 1 else asked.to(last) @ last
    few = False
    for place, step in reversed([*enumerate(inner)]):
        few = rows.shape[:2].numel() <= _FEW_ROWS
        masked = step.dtype == torch.bool
        rows = rows * step[:, None] if masked else _times(rows, step if place or few else summed(step))
    rows = rows if inner and not few else summed(rows)
    return (rows / (height * width)).expand(len(run.logits), -1, -1)


def _times(rows: Tensor, matrix: Tensor) -> Tensor:
    """(N, R, o) by (o, i), rows that are mostly 0, as behind a ReLU, without reading what they do not count.

    Of few rows reading the matrix is what takes long: AlexNet's first is 151 MB.
    """
    entries = rows.flatten(0, 1)
    if entries.dtype != torch.float32 or matrix.dtype != torch.float32 or entries.device.type != "cpu":
        return rows @ matrix
    used = entries != 0
    counts = used.sum(1)
    if int(counts.sum()) > _SPARSE * len(matrix):
        return rows @ matrix
    columns = used.nonzero()[:, 1]
    sums = F.embedding_bag(
        columns, matrix, counts.cumsum(0) - counts, mode="sum", per_sample_weights=entries[used].contiguous()
    )
    return sums.view(*rows.shape[:2], matrix.shape[1])


def _tail_steps(run: Run) -> list[Tensor]:
    """The tail as (out, in) matrices, the first of pooled and flattened maps, and (N, in) masks; else empty."""
    steps: list[Tensor] = []
    for step in run.tail or ():
        if step.weight is not None:
            steps.append(step.weight.detach())
        elif step.kind == "relu" and steps:
            steps.append(step.output.detach() > 0)
        elif step.kind == "relu" or (step.kind == "pooling" and steps):
            return []
    return steps if steps and steps[-1].dtype != torch.bool else []


def _by_gradients(run: Run, asked: Tensor | None) -> Tensor:
    """The channel weights by automatic differentiation of the tail alone, (N, R, C)."""
    count, outputs = run.logits.shape
    if asked is None:
        seeds = torch.eye(outputs, dtype=run.logits.dtype, device=run.logits.device)[:, None].expand(-1, count, -1)
    elif asked.dim() == 1:
        seeds = weights_of(asked, run.logits)[None]
    else:
        seeds = asked.to(run.logits).transpose(0, 1)
    at_once = max(1, _GRADIENTS_AT_ONCE // max(1, run.activations.numel()))
    sums = torch.cat([_summed(run, part) for part in torch.split(seeds, at_once)])  # (R, N, C)
    return sums.transpose(0, 1) / run.activations.shape[2:].numel()


def _summed(run: Run, seeds: Tensor) -> Tensor:
    """Gradients by the layer of the logits weighted by each of `seeds` (R, N, K), summed over cells: (R, N, C)."""
    if len(seeds) > 1:
        try:
            return _gradient(run, seeds, batched=True).sum((-2, -1))
        except RuntimeError:
            # Some operation has no batched gradient (or the memory no room for it); one by one they are the same.
            pass
    with ZeroRows():
        return torch.stack([_gradient(run, seed).sum((-2, -1)) for seed in seeds])


def _gradient(run: Run, seed: Tensor, batched: bool = False) -> Tensor:
    (found,) = gradients([run], seed, batched)
    if found is None:
        raise run.unreached(Obstacles().cause(run.reached))
    return found


# Without gradients


def score_cam(
    model: nn.Module,
    images: Tensor,
    targets: Targets = None,
    layer: Layer = None,
    *,
    batch_size: int | None = None,
) -> Tensor:
    """Score-CAM of one target class for each image: each channel weighted by what the image scores behind its map.

    Wang et al. 2020, arXiv:1910.01279, algorithm 1. A channel's map, enlarged to the image and scaled to [0, 1],
    multiplies the image; the weights are the softmax over the channels of the target's logits. (The baseline's logit,
    which the algorithm subtracts from all of them, cancels out there.) A channel that is the same in all cells masks
    nothing: it has no part in the softmax, nor a pass.

    Args and errors as of `grad_cam`; besides:
        images: normalised, so that 0, to which a mask darkens, is the mean colour.
        batch_size: masked images in one forward pass, without it `at_once` decides; the memory needed grows with it,
            not with channels or images.
    Returns:
        (N, h, w) float32, unnormalised and >= 0, in units of the layer's activations.
    """
    check_images(images)
    batch_size = at_once(images) if batch_size is None else batch_size
    check_positive(batch_size=batch_size)
    wanted = check_targets(targets, len(images))
    name, _ = located(model, images, layer)
    with evaluating(model):
        found, output = maps_and_output(model, images, [name])
        activations = found[name]
        classes = classes_of(wanted, check_logits(output, images))
        masking = activations.amax((2, 3)) > activations.amin((2, 3))  # (N, C)
        scores = torch.full_like(activations[:, :, 0, 0], -torch.inf)
        pairs = masking.nonzero()
        for part in parts(len(pairs), batch_size, images.device):
            of, channel = pairs[part].unbind(1)
            masked = images[of] * _masks(activations[of, channel], images.shape[2:]).to(images.dtype)
            logits = logits_of(model, masked.contiguous(memory_format=format_of(images))).float()
            for image in sorted(set(of.tolist())):
                scores[image, channel[of == image]] = values_of(logits[of == image], classes[image])
        weights = torch.where(masking, scores.softmax(1), 0)  # of an image without a masking channel all are NaN
        return check_finite(_weighted(activations, weights[:, None]), name)[:, 0]


def _masks(maps: Tensor, size: Sequence[int]) -> Tensor:
    """(P, 1, H, W) of maps (P, h, w), enlarged and each scaled to [0, 1]."""
    masks = F.interpolate(maps[:, None], size=tuple(size), mode="bilinear", align_corners=False)
    low, high = masks.amin((2, 3), keepdim=True), masks.amax((2, 3), keepdim=True)
    return (masks - low) / (high - low).clamp_min(torch.finfo(masks.dtype).tiny)
