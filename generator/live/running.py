"""The steps of a page's network, run by PyTorch as the page runs them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from generator.live.trace import Step, UnsuitedError
from generator.records.live import Live, LiveStep

TOGETHER = 8  # images that run at once: a report has forty, of which the maps of a layer alone may be 50 MB
COMPARED = 128  # classes at most whose maps are looked at


def dequantised(step: LiveStep) -> Tensor:
    """The weights (O, n) float32 that the page computes with, to the bit."""
    assert step.factors is not None
    assert step.integers is not None
    factors, integers = torch.tensor(step.factors).double(), torch.tensor(step.integers).double()
    return (factors[:, None] * integers).float()


def run(live: Live, images: Tensor) -> Tensor:
    """The logits (N, K) float32 that the page's steps give for (N, 3, S, S) float32 normalised images."""
    return run_steps([whole(step) for step in live.steps], images)


# Running the steps, to compare


def whole(step: LiveStep) -> Step:
    """The step with the weights that the page computes with."""
    full = Step(step.kind, "", step.kernel, step.stride, step.padding, step.pool)
    if step.integers is None:
        return with_weights_of(step, full)
    rows = len(step.integers)
    shape = (rows, -1, *step.kernel) if step.kind == "conv" else (rows, -1)
    return with_weights_of(step, replace(full, weight=torch.empty(step.integers.shape).view(shape)))


def with_weights_of(step: LiveStep, full: Step) -> Step:
    """A step as it runs, with the weights of `full` where it has none of its own."""
    if step.factors is None or step.biases is None:
        return full
    bias = torch.tensor(step.biases)
    if step.integers is None:
        return replace(full, weight=torch.tensor(step.factors), bias=bias)
    assert full.weight is not None
    return replace(full, weight=dequantised(step).view(full.weight.shape), bias=bias)


def run_steps(steps: Sequence[Step], images: Tensor) -> Tensor:
    """The steps one after the other on (N, 3, S, S) images."""
    found = images
    for step in steps:
        # What a page knows are maps and vectors: a linear layer on the last axis of maps is another function there.
        if found.dim() not in AXES.get(step.kind, (2, 4)):
            raise UnsuitedError(f"has a {step.kind} layer on {found.dim()} axes: {step.name or 'a function'}")
        found = RUNS[step.kind](step, found)
    return found


AXES = {"conv": (4,), "maxpool": (4,), "global": (4,), "linear": (2,)}


def compared(classes: int) -> list[int]:
    """The classes whose maps are compared: all, of very many some, evenly, for each needs a backward pass."""
    return sorted({place * classes // COMPARED for place in range(COMPARED)})


def in_parts(work: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """What is made of images (N, ...), of few of them at a time, as of all of them."""
    return torch.cat([work(part) for part in _parts(images)])


def _parts(images: Tensor) -> Sequence[Tensor]:
    """Even ones: some networks answer a single image otherwise."""
    return images.tensor_split(-(-len(images) // TOGETHER))


def cam_and_logits(steps: Sequence[Step], cam: int, images: Tensor) -> tuple[Tensor, Tensor]:
    """Grad-CAM of the classes that are `compared`, at a step's output, (N, k, h, w), and the logits (N, K)."""
    maps, logits = zip(*(_cam_and_logits(steps, cam, part) for part in _parts(images)), strict=True)
    return torch.cat(maps), torch.cat(logits)


def _cam_and_logits(steps: Sequence[Step], cam: int, images: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        activations = run_steps(steps[: cam + 1], images)
        rest = steps[cam + 1 :]
        pooled = bool(rest) and rest[0].kind == "global"
        begin = (run_steps(rest[:1], activations) if pooled else activations).requires_grad_()
    with torch.enable_grad():
        logits = run_steps(rest[1:] if pooled else rest, begin)
        chosen = logits.sum(0)[compared(logits.shape[1])]
        found = [torch.autograd.grad(logit, begin, retain_graph=True)[0] for logit in chosen]
    # Global pooling hands each gradient on whole: what comes out of it has the sum over the cells.
    summed = torch.stack([each if pooled else each.sum((2, 3)) for each in found], 1)  # (N, k, C)
    weights = summed / activations.shape[2:].numel()
    return torch.einsum("nkc,nchw->nkhw", weights, activations.detach()).relu(), logits.detach()


def _weights(step: Step, images: Tensor) -> tuple[Tensor, Tensor]:
    assert step.weight is not None
    assert step.bias is not None
    return step.weight.to(images.dtype), step.bias.to(images.dtype)


def _scale(step: Step, maps: Tensor) -> Tensor:
    factors, biases = (values.view(-1, *[1] * (maps.dim() - 2)) for values in _weights(step, maps))
    return maps * factors + biases


RUNS: dict[str, Callable[[Step, Tensor], Tensor]] = {
    "conv": lambda step, maps: F.conv2d(maps, *_weights(step, maps), step.stride, step.padding),
    "scale": _scale,
    "relu": lambda step, maps: maps.relu(),
    "maxpool": lambda step, maps: F.max_pool2d(maps, step.kernel, step.stride, step.padding),
    "global": lambda step, maps: maps.amax((2, 3)) if step.pool == "max" else maps.mean((2, 3)),
    "flatten": lambda step, maps: maps.flatten(1),
    "linear": lambda step, maps: F.linear(maps, *_weights(step, maps)),
}


def difference(found: Tensor, wanted: Tensor) -> float:
    """The largest difference of a value, as a share of the image's largest; infinite for another shape."""
    if found.shape != wanted.shape:
        return math.inf
    largest = wanted.abs().flatten(1).amax(1).clamp_min(torch.finfo(torch.float32).tiny)
    return float(((found - wanted).abs().flatten(1).amax(1) / largest).max())
