"""How far a heat map can be trusted: metrics of maps, baselines for each of them, and `measure`, which takes them all.

Maps, images and boxes in, `Faithfulness` out. Maps are (N, h, w), >= 0 and raw: no metric depends on their scale. No
model is changed: modes are as before afterwards, and what is randomised is a copy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType

import torch
from torch import Tensor, nn

from generator.data.dataset import Box
from generator.evaluation import pointing
from generator.evaluation.answers import given
from generator.evaluation.perturbation import BLUR, STEPS, perturbations
from generator.evaluation.pointing import SMALL, box_mask, box_shares, layer_score, wrong_classes
from generator.evaluation.randomisation import MOST_STEPS, cascade, randomisations
from generator.evaluation.task import BATCH, Sizes, Task, logits_of, maps_of
from generator.explain.methods import OCCLUSION, Method
from generator.explain.passes import in_eval_mode
from generator.records.images import Pixels
from generator.records.input import Input
from generator.records.trust import Faithfulness, Localisation

# Enough boxes for an interval of the small ones (a quarter of Tiny ImageNet's), and for the randomisation check a look.
_FEW = Sizes(boxes=72, perturbation=32, randomisation=8)
# These need a forward pass for each channel, each place, each mask or each step, so they are measured on fewer images.
COSTLY: Mapping[str, Sizes] = MappingProxyType(
    {"Score-CAM": _FEW, OCCLUSION: _FEW, "RISE": _FEW, "integrated gradients": _FEW}
)

# What `build` spends on it where nobody asked: multiply-accumulates, one or two minutes of two cores of 2025.
BUDGET = 2e12
LEAST = 8  # images: an interval of fewer says nothing

MOST = 2000  # images that are looked at
ROOM = MOST * 3 * 224 * 224  # bytes that they take at most, 0.3 GB: of more than 224 pixels they are fewer


# What is afforded


@dataclass(frozen=True)
class Plan:
    """How many images each method is measured on, and which are not measured at all."""

    methods: Mapping[str, Method]
    sizes: Mapping[str, Sizes]  # by method
    unmeasured: tuple[str, ...]

    @property
    def most(self) -> Sizes:
        """What no method goes beyond, of those that were cut down."""
        if self.sizes is COSTLY:
            return Sizes()
        found = self.sizes.values()
        return Sizes(
            None if any(each.boxes is None for each in found) else max(each.boxes or 0 for each in found),
            max(each.perturbation for each in found),
            max(each.randomisation for each in found),
        )


def plan(methods: Mapping[str, Method], costs: Mapping[str, int], once: int, images: int, boxes: bool) -> Plan | None:
    """A measurement within BUDGET; None where even the methods of few passes would cost more than twice as much.

    Args:
        costs: multiply-accumulates of one map, by method; `once`: of one forward pass.
        images: that there are; `boxes`: each with a box.
    """
    sizes, cost = {}, 0.0
    for name in methods:
        full = COSTLY.get(name, Sizes())
        maps = min(images, full.boxes or images) if boxes else _needed(full)
        whole = costs[name] * (2 * maps + MOST_STEPS * full.randomisation)
        whole += once * 4 * (STEPS + 1) * full.perturbation
        scale = min(1.0, BUDGET / len(methods) / max(1, whole))
        least = max(scale, min(1.0, LEAST / full.perturbation))
        if scale < least and name in COSTLY:
            continue
        cost += whole * least
        sizes[name] = Sizes(
            full.boxes if scale == 1 else max(min(LEAST, maps), int(maps * scale)),
            max(min(LEAST, full.perturbation), int(full.perturbation * scale)),
            max(min(LEAST // 2, full.randomisation), int(full.randomisation * scale)),
        )
    if not sizes or cost > 2 * BUDGET:
        return None
    able = {name: method for name, method in methods.items() if name in sizes}
    return Plan(able, sizes, tuple(name for name in methods if name not in able))


# Everything of one network


def measure(
    network: nn.Module,
    images: Sequence[Pixels],
    targets: Tensor,
    boxes: Sequence[Box] | None,
    way: Input,
    methods: Mapping[str, Method],
    layer: str | None = None,
    *,
    split: str = "test",
    layers: Sequence[str] = (),
    classes: Sequence[int] | None = None,
    sizes: Sizes = Sizes(),
    exceptions: Mapping[str, Sizes] | None = None,
    unmeasured: Sequence[str] = (),
    steps: int = STEPS,
    seed: int = 0,
    alike: bool = False,
    ran: Sequence[str] = (),
    on_part: Callable[[int, str], None] = lambda count, part: None,
) -> Faithfulness:
    """The pointing game, energy in the box, deletion, insertion and the randomisation check, with their baselines.

    Everything is asked about each image's true class. An image whose box lies outside of what the network is shown is
    left out. Without boxes nothing is said of where the maps point, and the rest is measured.

    Args:
        images: (H, W, 3) uint8 each, at their own size; only those that are looked at are read.
        targets: (N,) true classes as the network counts them.
        boxes: x0, y0, x1, y1 of each image in its pixels, inclusive; None: there are none.
        way: how the network takes an image.
        methods: by the name that the page shows; the first is the one that `layers` are compared with.
        layer: for each method; None: its own choice.
        split: what the images are called.
        layers: dotted names that the pointing game is played at, to choose between them.
        classes: of the network's, those that a wrong class is drawn from; None: all.
        sizes: how many images each part looks at.
        exceptions: the same for single methods, such as one that needs a forward pass a channel.
        unmeasured: methods that explain the network too, and cost too much to be asked here.
        seed: of the choice of images, wrong classes, random orders, random weights and the bootstrap.
        alike: the images are all of one size, see `answers.given`.
        ran: the modules in the order in which they run, by which they are randomised, see `randomisation.cascade`.
        on_part: called with 1 and a few words after each of `parts`.
    Raises:
        ValueError: if no method or image is given, lengths differ, no box is in sight, or a method's maps are no maps.
    """
    if not methods or not len(images) == len(targets) == (len(targets) if boxes is None else len(boxes)) > 0:
        raise ValueError("measure: expected at least one method, and as many images as targets and boxes, at least one")
    drawn = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed)).tolist()
    most = max(1, min(_needed(sizes) if boxes is None else MOST, ROOM // (way.channels * math.prod(way.size))))
    order = torch.tensor(drawn[:most] if boxes is None else _in_sight(images, boxes, way, alike, drawn, most))
    pixels, masks = _shown(images, boxes, order.tolist(), way, alike)
    chosen = targets[order].cpu()
    asked = exceptions or {}
    with in_eval_mode(network):
        logits = logits_of(network, pixels, way)
        wrong = wrong_classes(chosen, range(logits.shape[1]) if classes is None else classes, seed)
        task = Task(network, pixels, way, chosen, wrong, masks, layer, steps, seed)
        raw: dict[str, Tensor] = {}
        others: dict[str, Tensor] = {}
        localisation: list[Localisation] = []
        for name, method in methods.items():
            own = asked.get(name, sizes)
            limit = _needed(own) if boxes is None else own.boxes
            raw[name] = maps_of(task, name, method, limit, task.targets)
            others[name] = maps_of(task, name, method, limit, task.wrong)
            if boxes is not None:
                localisation += pointing.localisation(task, name, raw[name], others[name])
            for maps in (raw, others):  # what comes needs no more, and those of all methods would fill the memory
                maps[name] = maps[name][: _needed(own)].clone()
            on_part(1, f"{name}, maps")
        pairs = {
            name: (raw[name][:most], others[name][:most])
            for name in methods
            for most in [asked.get(name, sizes).perturbation]
        }
        perturbation = perturbations(task, pairs, lambda part: on_part(1, part))
        subsets = {name: raw[name][: asked.get(name, sizes).randomisation] for name in methods}
        randomisation = randomisations(task, methods, subsets, lambda part: on_part(1, part), ran)
        first, method = next(iter(methods.items()))
        sweep = []
        for each in layers if boxes is not None else ():
            sweep.append(layer_score(task, first, method, each, asked.get(first, sizes).boxes))
            on_part(1, f"layer {each}")
    return Faithfulness(
        split=split,
        count=len(order),
        small=0 if boxes is None else int((box_shares(task.masks) < SMALL).sum()),
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
        unmeasured=tuple(unmeasured),
    )


def _needed(sizes: Sizes) -> int:
    """How many images what needs no boxes looks at."""
    return max(1, sizes.perturbation, sizes.randomisation)


def _in_sight(
    images: Sequence[Pixels], boxes: Sequence[Box], way: Input, alike: bool, drawn: Sequence[int], most: int
) -> list[int]:
    """The first images, in the order that was drawn, whose box does not lie in the margin that is cut off.

    Raises:
        ValueError: where there is none.
    """
    shape = images[0].shape if alike else None
    seen = (row for row in drawn if box_mask(boxes[row], shape or images[row].shape, way).any())
    found = list(islice(seen, most))
    if not found:
        raise ValueError("measure: expected a box that the network is shown, each lies in the margin that is cut off")
    return found


def _shown(
    images: Sequence[Pixels], boxes: Sequence[Box] | None, order: Sequence[int], way: Input, alike: bool
) -> tuple[Tensor, Tensor]:
    """The images in their order as the network is given them, (n, C, h, w), and their boxes as masks, (n, h, w).

    Without boxes the masks are empty, (n, 0, 0).
    """
    pixels, masks = [], []
    for start in range(0, len(order), BATCH):
        pictures = [images[row] for row in order[start : start + BATCH]]
        pixels.append(given(pictures, way, alike=alike))
        if boxes is None:
            masks.append(torch.zeros(len(pictures), 0, 0, dtype=torch.bool))
        else:
            rows = order[start : start + BATCH]
            masks += [box_mask(boxes[row], one.shape, way)[None] for row, one in zip(rows, pictures, strict=True)]
    return torch.cat(pixels), torch.cat(masks)


def parts(
    network: nn.Module, methods: Mapping[str, Method], layers: Sequence[str] = (), ran: Sequence[str] = ()
) -> int:
    """How often `measure` calls `on_part`."""
    return 2 * len(methods) + 1 + len(cascade(network, ran)) + len(layers)
