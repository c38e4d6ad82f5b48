"""Gradients by the pixels: references for the class activation maps, signed and as large as the image.

Guided backpropagation draws edges that hardly depend on the class or the weights (Adebayo et al. 2018,
arXiv:1810.03292): it shows what the model can see, not why it decided.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generator.base.errors import InputError
from generator.explain.checks import Targets, check_images, check_positive, check_targets, classes_of
from generator.explain.passes import BATCH, evaluating, logits_of


def guided_backprop(model: nn.Module, images: Tensor, targets: Targets = None) -> Tensor:
    """Guided backpropagation of one target class for each image.

    Springenberg et al. 2015, arXiv:1412.6806: the gradient of the target's logit by the pixels, of which each ReLU on
    the way back lets only the positive part through. Every ReLU of the pass counts, modules, functions and in-place
    ones; other activation functions keep their gradients.

    Args:
        images: (N, C, H, W) float, as the model takes them.
        targets: (N,) class indices; without them the class that the model predicts for each image.
    Returns:
        (N, C, H, W) float32, signed.
    Raises:
        ValueError: if targets and images differ in length, or a target is no class of the model.
        InputError: if the model does not give logits (N, K), or they do not depend on the images.
    """
    check_images(images)
    wanted = check_targets(targets, len(images))
    with evaluating(model), torch.enable_grad():
        points = images.detach().clone().requires_grad_()
        logits = _reached(logits_of(model, points.clone()))  # a model may begin with an in-place operation
        _guide(logits)
        return _gradient(logits, classes_of(wanted, logits), points).float()


def integrated_gradients(
    model: nn.Module,
    images: Tensor,
    targets: Targets = None,
    *,
    baseline: Tensor | None = None,
    steps: int = 64,
    batch_size: int = BATCH,
) -> Tensor:
    """Integrated gradients of one target class for each image.

    Sundararajan et al. 2017, arXiv:1703.01365: the distance of each pixel from the baseline times the mean gradient of
    the target's logit on the straight way there, by the midpoint rule. They add up to the difference between the logits
    of image and baseline, up to the error of the rule.

    Args:
        images: (N, C, H, W) float, as the model takes them.
        targets: (N,) class indices; without them the class that the model predicts for each image.
        baseline: of a shape that can be expanded to that of the images; without it zeros, which is the mean colour of
            normalised images.
        steps: points on the way.
        batch_size: points in one pass.
    Returns:
        (N, C, H, W) float32, signed, in units of the logit.
    Raises:
        ValueError: if targets and images differ in length, a target is no class of the model, or a number is below 1.
        InputError: if the model does not give logits (N, K), or they do not depend on the images.
    """
    check_images(images)
    check_positive(steps=steps, batch_size=batch_size)
    wanted = check_targets(targets, len(images))
    start = torch.zeros_like(images) if baseline is None else baseline.to(images).expand_as(images)
    with evaluating(model):
        classes = classes_of(wanted, logits_of(model, images.detach().clone()))
        way = images.detach() - start
        shares = (torch.arange(steps, device=images.device, dtype=images.dtype) + 0.5) / steps
        sums = torch.zeros_like(images, dtype=torch.promote_types(images.dtype, torch.float32))
        for image in range(len(images)):
            for part in torch.split(shares.view(-1, 1, 1, 1), batch_size):
                with torch.enable_grad():
                    points = (start[image] + part * way[image]).detach().requires_grad_()
                    logits = _reached(logits_of(model, points.clone()))
                    sums[image] += _gradient(logits, classes[image].expand(len(part)), points).sum(0)
        return (way * sums / steps).float()


def _gradient(logits: Tensor, classes: Tensor, points: Tensor) -> Tensor:
    """The gradient of each image's logit of its class by the image, in the images' shape."""
    seed = F.one_hot(classes, logits.shape[1]).to(logits.dtype)
    (found,) = torch.autograd.grad(logits, points, seed, allow_unused=True)
    if found is None:
        raise _unreached()
    return found


def _reached(logits: Tensor) -> Tensor:
    if not logits.requires_grad:
        raise _unreached()
    return logits


def _unreached() -> InputError:
    return InputError("model: its logits do not depend on the images by any differentiable way")


def _guide(logits: Tensor) -> None:
    """Makes each ReLU of the graph behind the logits pass only positive gradients back.

    Hooks on the graph instead of the modules: functional ReLUs are there too, and they vanish with the graph.
    """
    waiting, seen = [logits.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name() == "ReluBackward0":
            node.register_prehook(lambda gradients: tuple(gradient.clamp_min(0) for gradient in gradients))
        waiting += [earlier for earlier, _ in node.next_functions]
