"""Gradients by the pixels: references for the class activation maps, signed and as large as the image.

Guided backpropagation draws edges that hardly depend on the class or the weights (Adebayo et al. 2018,
arXiv:1810.03292): it shows what the model can see, not why it decided.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from generator.base.errors import InputError
from generator.explain.checks import (
    check_finite,
    check_images,
    check_positive,
    check_unscripted,
)
from generator.explain.dispatching import Dispatching
from generator.explain.obstacles import Obstacles, blockers
from generator.explain.passes import at_once, differentiating, format_of, logits_of, parts
from generator.explain.targets import Targets, check_targets, classes_of, weights_of

# Points of integrated gradients, and thrice as many where what they add up to is more than TOLERANCE of the difference
# of the logits away from it: see docs/experiments.md.
STEPS = 24
TOLERANCE = 0.05


def guided_backprop(model: nn.Module, images: Tensor, targets: Targets = None) -> Tensor:
    """Guided backpropagation of one target class for each image.

    Springenberg et al. 2015, arXiv:1412.6806: the gradient of the target's logit by the pixels, of which each ReLU on
    the way back lets only the positive part through. Every ReLU of the pass counts, modules, functions and in-place
    ones; other activation functions keep their gradients. Without a ReLU it would be the plain gradient.

    Args:
        images: (N, C, H, W) float, as the model takes them.
        targets: as of `grad_cam`; without them the class that the model predicts for each image.
    Returns:
        (N, C, H, W) float32, signed.
    Raises:
        ValueError: if targets and images differ in length, or a target is no class of the model.
        InputError: if the model does not give logits (N, K), they do not depend on the images, or no ReLU lies
            between, or one that the graph does not show (TorchScript, checkpointing).
    """
    check_images(images)
    check_unscripted(model)
    wanted = check_targets(targets, len(images))
    with differentiating(model), torch.enable_grad():
        points = images.detach().clone().requires_grad_()
        with _HiddenReLUs() as hidden:
            logits = logits_of(model, points.clone())  # a model may begin with an in-place operation
        reached(model, logits, points)
        _guide(logits, hidden.count)
        return _gradient(model, logits, classes_of(wanted, logits), points).float()


def integrated_gradients(
    model: nn.Module,
    images: Tensor,
    targets: Targets = None,
    *,
    baseline: Tensor | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
) -> Tensor:
    """Integrated gradients of one target class for each image.

    Sundararajan et al. 2017, arXiv:1703.01365: the distance of each pixel from the baseline times the mean gradient of
    the target's logit on the straight way there, by the midpoint rule. They add up to the difference between the logits
    of image and baseline, up to the error of the rule. Without `steps` the points are the squares of equally spaced
    ones, each with the weight of the square's derivative: a gradient changes most near the baseline, where the biases
    of a network of rectifiers still count beside what the image makes.

    Args:
        images: (N, C, H, W) float, as the model takes them.
        targets: as of `grad_cam`; without them the class that the model predicts for each image.
        baseline: of a shape that can be expanded to that of the images; without it zeros, which is the mean colour of
            normalised images.
        steps: equally spaced points on the way; without it 24 denser towards the baseline, and 72 for an image whose
            values add up to something that is more than 5 % away from the difference of the logits.
        batch_size: points in one pass; without it `at_once` decides.
    Returns:
        (N, C, H, W) float32, signed, in units of the logit.
    Raises:
        ValueError: if targets and images differ in length, a target is no class of the model, or a number is below 1.
        InputError: if the model does not give logits (N, K), or they do not depend on the images.
    """
    check_images(images)
    batch_size = at_once(images, gradients=True) if batch_size is None else batch_size
    count = STEPS if steps is None else steps
    check_positive(steps=count, batch_size=batch_size)
    wanted = check_targets(targets, len(images))
    start = torch.zeros_like(images) if baseline is None else baseline.to(images).expand_as(images)
    with differentiating(model):
        logits = logits_of(model, images.detach().clone())
        classes = classes_of(wanted, logits)
        way = images.detach() - start
        sums = _on_the_way(model, start, way, classes, _middles(count, images), batch_size, squared=steps is None)
        found = way * sums / count
        if steps is None:
            weights = weights_of(classes, logits)
            change = ((logits - logits_of(model, start.clone())) * weights).sum(1)
            # Of an image without a finite difference nothing more is asked.
            coarse = ((found.flatten(1).sum(1) - change).abs() > TOLERANCE * change.abs()).nonzero()[:, 0]
            if len(coarse):
                # Each third is the middle of three: the points between them are those that are not asked yet.
                between = _middles(3 * count, images).view(-1, 3)[:, ::2].flatten()
                more = _on_the_way(
                    model, start[coarse], way[coarse], classes[coarse], between, batch_size, squared=True
                )
                found[coarse] = way[coarse] * (sums[coarse] + more) / (3 * count)
        return found.float()


def _middles(count: int, like: Tensor) -> Tensor:
    """(count,) the middles of so many equal parts of the way from 0 to 1."""
    return (torch.arange(count, device=like.device, dtype=like.dtype) + 0.5) / count


def _on_the_way(
    model: nn.Module, start: Tensor, way: Tensor, classes: Tensor, points: Tensor, batch_size: int, squared: bool
) -> Tensor:
    """(N, C, H, W) float32 or wider, the gradients of each image's logit at `points` of its way, added up.

    Args:
        squared: the points are at the squares of these numbers, so that each counts as often as the square's
            derivative says.
    """
    sums = torch.zeros_like(way, dtype=torch.promote_types(way.dtype, torch.float32))
    for part in parts(len(way) * len(points), batch_size, way.device):
        of, share = part // len(points), points[part % len(points)].view(-1, 1, 1, 1)
        share, weight = (share * share, 2 * share) if squared else (share, torch.ones_like(share))
        with torch.enable_grad():
            given = (start[of] + share * way[of]).detach().requires_grad_()
            logits = logits_of(model, given.clone(memory_format=format_of(way)))
            reached(model, logits, given)
            found = weight * _gradient(model, logits, classes[of], given)
            sums.index_add_(0, of, found.to(sums.dtype))
    return sums


def _gradient(model: nn.Module, logits: Tensor, classes: Tensor, points: Tensor) -> Tensor:
    """The gradient of each image's logit of its class by the image, in the images' shape."""
    # Of one number: for weights beside it torch imports sympy, which takes 0.4 s and 35 MB.
    with torch.enable_grad():
        asked = (logits * weights_of(classes, logits)).sum()
    (found,) = torch.autograd.grad(asked, points, allow_unused=True)
    if found is None:
        raise _unreached(model, logits, points)
    return check_finite(found)


def reached(model: nn.Module, logits: Tensor, points: Tensor) -> None:
    """The logits have a gradient by the points, as far as the graph tells; else an InputError says why not."""
    if not blockers(logits, points).reached:
        raise _unreached(model, logits, points)


def _unreached(model: nn.Module, logits: Tensor, points: Tensor) -> InputError:
    obstacles, images = Obstacles(), points.detach().clone()
    with obstacles:
        model(images)  # once more, now watched
    cause = obstacles.cause(blockers(logits, points))
    return InputError(f"model: its logits do not depend on the images by any differentiable way{cause}")


class _HiddenReLUs(Dispatching):
    """While active, counts the ReLUs that run without leaving their place in the graph, as functions of Python do."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _RELUS and not torch.is_grad_enabled():
            self.count += 1
        return func(*args, **(kwargs or {}))


_RELUS = (torch.ops.aten.relu.default, torch.ops.aten.relu_.default)


def _guide(logits: Tensor, hidden: int) -> None:
    """Makes each ReLU of the graph behind the logits pass only positive gradients back.

    Hooks on the graph instead of the modules: functional ReLUs are there too, and they vanish with the graph.

    Args:
        hidden: how many ReLUs ran where gradients were off.
    """
    waiting, seen, guided = [logits.grad_fn], set(), 0
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name() == "ReluBackward0":
            node.register_prehook(_positive)
            guided += 1
        elif (hidden and issubclass(type(node), torch.autograd.function.BackwardCFunction)) or "::Diff" in node.name():
            raise InputError(
                f"model: {node.name()} hides what lies within it, so that its ReLUs cannot be guided; take "
                "checkpointing or torch.jit out of its forward, or use integrated_gradients"
            )
        waiting += [earlier for earlier, _ in node.next_functions]
    if not guided:
        raise InputError(
            "model: no ReLU lies between the images and the logits, so that guided backpropagation would be the plain "
            "gradient; use integrated_gradients"
        )


def _positive(gradients: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    return tuple(None if gradient is None else gradient.clamp_min(0) for gradient in gradients)
