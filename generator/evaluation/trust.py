"""How far a heat map can be trusted: metrics of maps, baselines for each of them, and `measure`, which takes them all.

Maps, images and boxes in, `Faithfulness` out. Maps are (N, h, w), >= 0 and raw: no metric depends on their scale. No
model is changed: modes are as before afterwards, and what is randomised is a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor, nn

from generator.evaluation import pointing
from generator.evaluation.perturbation import BLUR, STEPS, perturbations
from generator.evaluation.pointing import SMALL, box_masks, box_shares, layer_score, wrong_classes
from generator.evaluation.randomisation import cascade, randomisations
from generator.evaluation.task import BATCH, Sizes, Task, logits_of, maps_of
from generator.explain.methods import OCCLUSION, Method
from generator.explain.passes import in_eval_mode
from generator.networks.inputs import fitted
from generator.records.input import Input
from generator.records.trust import Faithfulness, Localisation

# Enough boxes for an interval of the small ones (a quarter of Tiny ImageNet's), and for the randomisation check a look.
_FEW = Sizes(boxes=72, perturbation=32, randomisation=8)
# These need a forward pass for each channel, each place or each step, so they are measured on fewer images.
COSTLY: Mapping[str, Sizes] = MappingProxyType({"Score-CAM": _FEW, OCCLUSION: _FEW, "integrated gradients": _FEW})


# Everything of one network


def measure(
    network: nn.Module,
    images: Tensor,
    targets: Tensor,
    boxes: Tensor,
    way: Input,
    methods: Mapping[str, Method],
    layer: str | None = None,
    *,
    split: str = "test",
    layers: Sequence[str] = (),
    classes: Sequence[int] | None = None,
    sizes: Sizes = Sizes(),
    exceptions: Mapping[str, Sizes] | None = None,
    steps: int = STEPS,
    seed: int = 0,
    on_part: Callable[[int, str], None] = lambda count, part: None,
) -> Faithfulness:
    """The pointing game, energy in the box, deletion, insertion and the randomisation check, with their baselines.

    Everything is asked about each image's true class. An image whose box lies outside of what the network is shown is
    left out.

    Args:
        images: (N, 3, H, H) uint8; brought to the network's input as `networks.fitted` does.
        targets: (N,) true classes as the network counts them.
        boxes: (N, 4) x0, y0, x1, y1 in pixels of `images`, inclusive.
        way: as of `networks.fitted`.
        methods: by the name that the page shows; the first is the one that `layers` are compared with.
        layer: for each method; None: its own choice.
        split: what the images are called.
        layers: dotted names that the pointing game is played at, to choose between them.
        classes: of the network's, those that a wrong class is drawn from; None: all.
        sizes: how many images each part looks at.
        exceptions: the same for single methods, such as one that needs a forward pass a channel.
        seed: of the choice of images, wrong classes, random orders, random weights and the bootstrap.
        on_part: called with 1 and a few words after each of `parts`.
    Raises:
        ValueError: if no method or image is given, lengths differ, or a method's maps are no maps.
    """
    if not methods or not len(images) == len(targets) == len(boxes) > 0:
        raise ValueError("measure: expected at least one method, and as many images as targets and boxes, at least one")
    masks = box_masks(boxes, (images.shape[-2], images.shape[-1]), way)
    seen = torch.nonzero(masks.flatten(1).any(1))[:, 0]
    order = seen[torch.randperm(len(seen), generator=torch.Generator().manual_seed(seed))]
    if not len(order):
        raise ValueError("measure: expected a box that the network is shown, each lies in the margin that is cut off")
    pixels = torch.cat([fitted(part, way) for part in torch.split(images[order].cpu(), BATCH)])
    chosen = targets[order].cpu()
    asked = exceptions or {}
    with in_eval_mode(network):
        logits = logits_of(network, pixels, way)
        wrong = wrong_classes(chosen, range(logits.shape[1]) if classes is None else classes, seed)
        task = Task(network, pixels, way, chosen, wrong, masks[order], layer, steps, seed)
        raw: dict[str, Tensor] = {}
        others: dict[str, Tensor] = {}
        localisation: list[Localisation] = []
        for name, method in methods.items():
            limit = asked.get(name, sizes).boxes
            raw[name] = maps_of(task, name, method, limit, task.targets)
            others[name] = maps_of(task, name, method, limit, task.wrong)
            localisation += pointing.localisation(task, name, raw[name], others[name])
            on_part(1, f"{name}, boxes")
        pairs = {
            name: (raw[name][:most], others[name][:most])
            for name in methods
            for most in [asked.get(name, sizes).perturbation]
        }
        perturbation = perturbations(task, pairs, lambda part: on_part(1, part))
        subsets = {name: raw[name][: asked.get(name, sizes).randomisation] for name in methods}
        randomisation = randomisations(task, methods, subsets, lambda part: on_part(1, part))
        first, method = next(iter(methods.items()))
        sweep = []
        for each in layers:
            sweep.append(layer_score(task, first, method, each, asked.get(first, sizes).boxes))
            on_part(1, f"layer {each}")
    return Faithfulness(
        split=split,
        count=len(order),
        small=int((box_shares(task.masks) < SMALL).sum()),
        correct=int((logits.argmax(1) == chosen).sum()),
        layer=layer or "",
        steps=steps,
        blur=BLUR,
        seed=seed,
        localisation=tuple(localisation),
        perturbation=perturbation,
        randomisation=randomisation,
        sweep_method=first if sweep else "",
        sweep=tuple(sweep),
    )


def parts(network: nn.Module, methods: Mapping[str, Method], layers: Sequence[str] = ()) -> int:
    """How often `measure` calls `on_part`."""
    return 2 * len(methods) + 1 + len(cascade(network)) + len(layers)
