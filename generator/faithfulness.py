"""How far a heat map can be trusted: metrics of maps, baselines for each of them, and `measure`, which takes them all.

Maps, images and boxes in, `Faithfulness` out. Maps are (N, h, w), >= 0 and raw: no metric depends on their scale. No
model is changed: modes are as before afterwards, and what is randomised is a copy.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from generator.explain.passes import logits_of, probabilities
from generator.networks import fitted, in_eval_mode, normalise
from generator.records import (
    Compared,
    Estimate,
    Faithfulness,
    LayerScore,
    Localisation,
    Perturbation,
    Randomisation,
)

# (model, (N, 3, S, S) normalised images, (N,) targets, layer) -> (N, h, w) raw maps >= 0
Method = Callable[[nn.Module, Tensor, Tensor, str | None], Tensor]
Values = NDArray[np.float64]

SMALL = 0.25  # boxes under this share of the image are small
FEWEST = 15  # images with a small box that are told apart: resampling fewer gives no interval to rely on
RESAMPLES = 5000  # of the bootstrap
STEPS = 10  # in which all pixels are exchanged
# Of the blurred image that insertion begins with, as a share of the side. RISE's 5 of 224 pixels leave a 64-pixel photo
# recognisable; with an eighth of the side only colours and their rough places are left.
BLUR = 1 / 8
BATCH = 50
# Values this close to the maximum are the maximum: bilinear weights add up to 1 only to rounding.
TIE = 1e-6
# Wang et al. 2004, section III.B: an 11 x 11 window of standard deviation 1.5, K1 = 0.01, K2 = 0.03.
WINDOW, WINDOW_SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03

_NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm, nn.modules.instancenorm._InstanceNorm)


@dataclass(frozen=True)
class Sizes:
    """How many images each part looks at, the first of one seeded order; None: all."""

    boxes: int | None = None
    perturbation: int = 100
    randomisation: int = 32


@dataclass(frozen=True)
class _Task:
    """What all parts of one measurement share; images and targets stand in the seeded order."""

    network: nn.Module
    pixels: Tensor  # (N, 3, S, S) uint8, as the network is given them
    targets: Tensor  # (N,)
    wrong: Tensor  # (N,) another class for each image
    masks: Tensor  # (N, S, S) bool
    layer: str | None
    steps: int
    seed: int

    def inputs(self, start: int, end: int) -> Tensor:
        """(end - start, 3, S, S) float32 on the network's device."""
        return normalise(self.pixels[start:end].to(_device(self.network)))


# Everything of one network


def measure(
    network: nn.Module,
    images: Tensor,
    targets: Tensor,
    boxes: Tensor,
    size: int,
    resize: int,
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
        size, resize: as of `networks.fitted`.
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
    masks = box_masks(boxes, images.shape[-1], size, resize)
    seen = torch.nonzero(masks.flatten(1).any(1))[:, 0]
    order = seen[torch.randperm(len(seen), generator=torch.Generator().manual_seed(seed))]
    if not len(order):
        raise ValueError("measure: expected a box that the network is shown, each lies in the margin that is cut off")
    pixels = torch.cat([fitted(part, size, resize) for part in torch.split(images[order].cpu(), BATCH)])
    chosen = targets[order].cpu()
    asked = exceptions or {}
    with in_eval_mode(network):
        logits = _logits(network, pixels)
        wrong = wrong_classes(chosen, range(logits.shape[1]) if classes is None else classes, seed)
        task = _Task(network, pixels, chosen, wrong, masks[order], layer, steps, seed)
        raw: dict[str, Tensor] = {}
        others: dict[str, Tensor] = {}
        localisation: list[Localisation] = []
        for name, method in methods.items():
            limit = asked.get(name, sizes).boxes
            raw[name] = _maps(task, name, method, limit, task.targets)
            others[name] = _maps(task, name, method, limit, task.wrong)
            localisation += _localisation(task, name, raw[name], others[name])
            on_part(1, f"{name}, boxes")
        pairs = {
            name: (raw[name][:most], others[name][:most])
            for name in methods
            for most in [asked.get(name, sizes).perturbation]
        }
        perturbation = _perturbations(task, pairs, lambda part: on_part(1, part))
        subsets = {name: raw[name][: asked.get(name, sizes).randomisation] for name in methods}
        randomisation = _randomisations(task, methods, subsets, lambda part: on_part(1, part))
        first, method = next(iter(methods.items()))
        sweep = []
        for each in layers:
            sweep.append(_layer_score(task, first, method, each, asked.get(first, sizes).boxes))
            on_part(1, f"layer {each}")
    return Faithfulness(
        split=split,
        count=len(order),
        small=int((_shares(task.masks) < SMALL).sum()),
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


# Boxes


def box_masks(boxes: Tensor, side: int, size: int, resize: int) -> Tensor:
    """Which pixels of a network's input lie in the box.

    Args:
        boxes: (N, 4) x0, y0, x1, y1 in pixels of (side, side) images, inclusive.
        size, resize: as of `networks.fitted`.
    Returns:
        (N, size, size) bool: the pixels whose centre is in the scaled box.
    """
    start = round((resize - size) / 2)
    centres = (torch.arange(size, dtype=torch.float64) + start + 0.5) * side / resize
    x0, y0, x1, y1 = (boxes[:, index, None].cpu().double() for index in range(4))
    columns = (centres >= x0) & (centres < x1 + 1)  # (N, size)
    rows = (centres >= y0) & (centres < y1 + 1)
    return rows[:, :, None] & columns[:, None, :]


def upsampled(maps: Tensor, size: int) -> Tensor:
    """(N, h, w) maps over the network's input, (N, size, size) float64, bilinear."""
    return F.interpolate(maps.double()[:, None], size=(size, size), mode="bilinear", align_corners=False)[:, 0]


def pointing_hits(maps: Tensor, masks: Tensor) -> Tensor:
    """The pointing game: whether each map's maximum lies in the box, without a margin.

    Zhang et al. 2016, arXiv:1608.00507. Of several pixels at the maximum one is drawn, so to say: the hit is their
    share in the box. A map that is zero everywhere is a miss.

    Args:
        maps: (N, H, W), >= 0, over the network's input.
        masks: (N, H, W) bool.
    Returns:
        (N,) float64 in [0, 1].
    """
    peak = maps.amax((1, 2), keepdim=True)
    peaks = (maps >= peak * (1 - TIE)) & (peak > 0)
    return (peaks & masks).sum((1, 2)).double() / peaks.sum((1, 2)).clamp(min=1)


def energy_in_box(maps: Tensor, masks: Tensor) -> Tensor:
    """The energy-based pointing game: the share of the map's sum that lies in the box.

    Wang et al. 2020, arXiv:1910.01279, section 4.3. A map that is zero everywhere has none.

    Args and shapes as of `pointing_hits`.
    """
    wide = maps.double()
    total = wide.sum((1, 2))
    return torch.where(total > 0, (wide * masks).sum((1, 2)) / total.where(total > 0, torch.ones_like(total)), 0.0)


def centre_map(size: int) -> Tensor:
    """(size, size) with all weight in the middle: one pixel of an odd side, four of an even one."""
    found = torch.zeros(size, size, dtype=torch.float64)
    middle = slice((size - 1) // 2, size // 2 + 1)
    found[middle, middle] = 1
    return found


def wrong_classes(targets: Tensor, classes: Sequence[int], seed: int) -> Tensor:
    """For each target another one of `classes`, each as likely as the others.

    Raises:
        ValueError: where there is no other.
    """
    rng = np.random.default_rng(seed)
    others = [[each for each in classes if each != target] for target in targets.tolist()]
    if not all(others):
        raise ValueError("measure: expected at least two classes, for maps of a wrong one")
    return torch.tensor([each[rng.integers(len(each))] for each in others])


def _localisation(task: _Task, name: str, raw: Tensor, wrong: Tensor) -> list[Localisation]:
    """Pointing and energy of a method's maps of the true classes, beside those of the wrong ones."""
    size, count = task.masks.shape[-1], len(raw)
    masks, shares = task.masks[:count], _shares(task.masks[:count])
    pointing, energy = _scores(raw, masks)
    pointing_wrong, energy_wrong = _scores(wrong, masks)
    # The middle's hits are its energy in the box too: all that it has lies there.
    centre = pointing_hits(centre_map(size).expand(count, -1, -1), masks).numpy()
    silent, silent_wrong = (~maps.flatten(1).any(1).numpy() for maps in (raw, wrong))
    found = []
    for small in (False, True):
        rows = np.flatnonzero(shares < SMALL) if small else np.arange(count)
        if not small or len(rows) >= FEWEST:
            hits, inside = (
                compared(
                    values[rows],
                    {"centre": centre[rows], "uniform": shares[rows], "wrong class": other[rows]},
                    task.seed,
                )
                for values, other in ((pointing, pointing_wrong), (energy, energy_wrong))
            )
            zero, zero_wrong = int(silent[rows].sum()), int(silent_wrong[rows].sum())
            found.append(Localisation(name, small, len(rows), zero, hits, inside, zero_wrong))
    return found


def _layer_score(task: _Task, name: str, method: Method, layer: str, limit: int | None) -> LayerScore:
    raw = _maps(task, name, method, limit, task.targets, layer=layer)
    pointing, energy = _scores(raw, task.masks[: len(raw)])
    small = _shares(task.masks[: len(raw)]) < SMALL
    first, second = estimates(np.stack([pointing, energy]), task.seed)
    few = estimates(pointing[None, small], task.seed)[0] if small.sum() >= FEWEST else None
    return LayerScore(layer, (raw.shape[1], raw.shape[2]), first, few, second)


def _scores(raw: Tensor, masks: Tensor) -> tuple[Values, Values]:
    """Hits and energies (n,) of raw maps, a batch after the other: upsampled they are large."""
    pairs = [
        (pointing_hits(maps, boxes), energy_in_box(maps, boxes))
        for part, boxes in zip(torch.split(raw, BATCH), torch.split(masks, BATCH), strict=True)
        for maps in [upsampled(part, masks.shape[-1])]
    ]
    hits, energies = (torch.cat(values).numpy() for values in zip(*pairs, strict=True))
    return hits, energies


def _shares(masks: Tensor) -> Values:
    """(N,) the box's share of the image."""
    found: Values = masks.double().mean((1, 2)).numpy()
    return found


# Deletion and insertion


def removal_order(maps: Tensor, noise: Tensor) -> Tensor:
    """The place of each pixel in the order from the highest value to the lowest.

    Args:
        maps: (N, H, W).
        noise: (N, H, W), decides between equal values: read row by row, the zeros of a map would come from the top.
    Returns:
        (N, H, W) int64: 0 for the first pixel to be taken.
    """
    first = noise.flatten(1).argsort(dim=1, descending=True, stable=True)
    second = maps.flatten(1).gather(1, first).argsort(dim=1, descending=True, stable=True)
    order = first.gather(1, second)
    places = torch.empty_like(order).scatter_(1, order, torch.arange(order.shape[1]).expand_as(order))
    return places.view(maps.shape)


def exchanged_probabilities(
    network: nn.Module, before: Tensor, after: Tensor, places: Tensor, targets: Tensor, steps: int = STEPS
) -> Tensor:
    """The probability of the target while the pixels of one image are exchanged for those of another, in equal steps.

    Petsiuk et al. 2018, arXiv:1806.07421, section 4.3 and algorithm 1: deletion goes from the image to the baseline,
    insertion from a blurred image to the image.

    Args:
        network: in eval mode.
        before, after: (N, 3, H, W).
        places: (N, H, W) from `removal_order`.
        targets: (N,).
    Returns:
        (N, steps + 1) float64 on the CPU, the first of `before`, the last of `after`.
    """
    total = places.shape[1] * places.shape[2]
    found = []
    with torch.no_grad():
        for step in range(steps + 1):
            mixed = torch.where((places < step * total / steps)[:, None], after, before)
            found.append(probabilities(logits_of(network, mixed)).gather(1, targets[:, None])[:, 0].cpu().double())
    return torch.stack(found, 1)


def curve_area(probabilities: Tensor) -> Tensor:
    """(N, steps + 1) -> (N,) area under the curve over the share of pixels, trapezoids; in [0, 1]."""
    return (probabilities[:, :-1] + probabilities[:, 1:]).mean(1) / 2


def blurred(images: Tensor, sigma: float) -> Tensor:
    """(N, C, H, W) after a Gaussian of standard deviation `sigma` in pixels, the edges mirrored."""
    radius = min(round(3 * sigma), min(images.shape[-2:]) - 1)
    kernel = _gaussian(sigma, radius).to(images)
    channels = images.shape[1]
    padded = F.pad(images, (radius,) * 4, mode="reflect")
    rows = F.conv2d(padded, kernel.view(1, 1, -1, 1).expand(channels, -1, -1, -1), groups=channels)
    return F.conv2d(rows, kernel.view(1, 1, 1, -1).expand(channels, -1, -1, -1), groups=channels)


def _perturbations(
    task: _Task, maps: Mapping[str, tuple[Tensor, Tensor]], on_part: Callable[[str], None]
) -> tuple[Perturbation, ...]:
    """Deletion and insertion of each method's maps, beside random and centre-out orders and that of a wrong class.

    Args:
        maps: of the true and of the wrong classes, by method.

    The random order is one of soft patches as large as the first method's cells: single pixels taken out at random are
    noise, which harms a network more than any patch, so that they would beat every map (Petsiuk's order is by pixel).
    """
    size, most = task.pixels.shape[-1], max(len(true) for true, _ in maps.values())
    grid = next(iter(maps.values()))[0].shape[1:]
    noise = upsampled(torch.rand(most, *grid, generator=torch.Generator().manual_seed(task.seed)), size)
    away = torch.linspace(-1, 1, size, dtype=torch.float64) ** 2
    centre_out = -(away[:, None] + away[None]).expand(most, -1, -1)
    orders = {"random": torch.zeros_like(noise), "centre out": centre_out}
    baselines = {name: _areas(task, order, noise) for name, order in orders.items()} if most else {}
    on_part("random orders")
    found = []
    for name, (true, wrong) in maps.items():
        count = len(true)
        if count:
            values = _areas(task, true, noise)
            beside = {**baselines, "wrong class": _areas(task, wrong, noise)}
            deletion, insertion = (
                compared(values[part], {base: areas[part][:count] for base, areas in beside.items()}, task.seed)
                for part in (0, 1)
            )
            found.append(Perturbation(name, count, deletion, insertion))
        on_part(f"{name}, deletion and insertion")
    return tuple(found)


def _areas(task: _Task, maps: Tensor, noise: Tensor) -> Values:
    """(2, n) areas under the deletion and the insertion curve."""
    size, device = task.pixels.shape[-1], _device(task.network)
    found = []
    for start in range(0, len(maps), BATCH):
        end = min(start + BATCH, len(maps))
        images = task.inputs(start, end)
        places = removal_order(upsampled(maps[start:end], size), noise[start:end]).to(device)
        targets = task.targets[start:end].to(device)
        # Normalised images have the data's mean colour at 0.
        ends = ((images, torch.zeros_like(images)), (blurred(images, BLUR * size), images))
        curves = [exchanged_probabilities(task.network, *pair, places, targets, task.steps) for pair in ends]
        found.append(torch.stack([curve_area(curve) for curve in curves]))
    areas: Values = torch.cat(found, 1).numpy()
    return areas


# The randomisation check


def cascade(network: nn.Module) -> tuple[tuple[str, ...], ...]:
    """The layers from the logits down, as the model registers them: each with the norms that follow it."""
    groups: list[tuple[str, ...]] = []
    for name, module in network.named_modules():
        if not any(True for _ in module.parameters(recurse=False)):
            continue
        if isinstance(module, _NORMS) and groups:
            groups[-1] += (name,)
        else:
            groups.append((name,))
    return tuple(groups[::-1])


def randomise(network: nn.Module, layers: Sequence[str], generator: torch.Generator) -> None:
    """Draw the weights of the named modules anew as before a training, in place.

    Weights by He et al. 2015 (arXiv:1502.01852), biases 0; norms scale by 1 and shift by 0.
    """
    with torch.no_grad():
        for layer in layers:
            module = network.get_submodule(layer)
            for name, parameter in module.named_parameters(recurse=False):
                if parameter.dim() > 1:
                    drawn = nn.init.kaiming_normal_(
                        torch.empty(parameter.shape), nonlinearity="relu", generator=generator
                    )
                    parameter.copy_(drawn)
                else:
                    parameter.fill_(isinstance(module, _NORMS) and name == "weight")


def recalibrate(network: nn.Module, layers: Sequence[str], batches: Sequence[Tensor]) -> None:
    """Measure the running statistics of those of the named modules that are batch norms anew, in place.

    The old ones do not fit a random layer: they shift whole channels below the ReLU, until the network is dead
    rather than random.

    Args:
        network: in eval mode, and so again afterwards.
        batches: of normalised images.
    """
    norms = [
        module for module in map(network.get_submodule, layers) if getattr(module, "running_mean", None) is not None
    ]
    for norm in norms:
        assert isinstance(norm, nn.modules.batchnorm._NormBase)
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over the batches
        norm.train()
    if norms:
        with torch.no_grad():
            for batch in batches:
                network(batch)
    for norm in norms:
        norm.eval()


def average_ranks(values: NDArray[np.floating]) -> Values:
    """(N, M) -> (N, M) ranks from 1 along each row; equal values share the mean of their ranks."""
    ranks = np.empty(values.shape)
    for row, found in zip(values, ranks, strict=True):
        _, place, counts = np.unique(row, return_inverse=True, return_counts=True)
        found[:] = (np.cumsum(counts) - (counts - 1) / 2)[place.reshape(-1)]
    return ranks


def spearman(first: NDArray[np.floating], second: NDArray[np.floating]) -> Values:
    """Spearman's rank correlation of each row: Pearson's of the average ranks.

    Args:
        first, second: (N, M).
    Returns:
        (N,) in [-1, 1]; nan where a row is constant.
    """
    a, b = (average_ranks(values) - (values.shape[1] + 1) / 2 for values in (first, second))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Values = (a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return found


def ssim(first: Tensor, second: Tensor) -> Tensor:
    """Structural similarity of pairs of images with a range of 1, the mean over all whole windows.

    Wang et al. 2004, doi:10.1109/TIP.2003.819861.

    Args:
        first, second: (N, H, W) float in [0, 1], H and W at least `WINDOW`.
    Returns:
        (N,) float64 in [-1, 1].
    """
    kernel = _gaussian(WINDOW_SIGMA, WINDOW // 2)

    def mean(images: Tensor) -> Tensor:
        rows = F.conv2d(images[:, None], kernel.view(1, 1, -1, 1))
        return F.conv2d(rows, kernel.view(1, 1, 1, -1))[:, 0]

    a, b = first.double(), second.double()
    mean_a, mean_b = mean(a), mean(b)
    variances = mean(a * a) - mean_a**2 + mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    c1, c2 = K1**2, K2**2
    likeness = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return (likeness / ((mean_a**2 + mean_b**2 + c1) * (variances + c2))).mean((1, 2))


def _randomisations(
    task: _Task, methods: Mapping[str, Method], raw: Mapping[str, Tensor], on_part: Callable[[str], None]
) -> tuple[Randomisation, ...]:
    """Adebayo et al. 2018, arXiv:1810.03292: the layers are randomised one after the other and stay so.

    Maps that were constant before have no order to lose and are left out.
    """
    network = copy.deepcopy(task.network)
    generator = torch.Generator().manual_seed(task.seed)
    kept = {name: np.flatnonzero(~_constant(maps)) for name, maps in raw.items()}
    likeness: dict[str, list[tuple[Values, Values, int]]] = {name: [] for name in methods}
    layers = cascade(network)
    most = max(map(len, raw.values()))
    batches = [task.inputs(start, min(start + BATCH, most)) for start in range(0, most, BATCH)]
    random: list[str] = []
    for group in layers:
        randomise(network, group, generator)
        random += group
        recalibrate(network, random, batches)
        for name, method in methods.items():
            if len(kept[name]):
                maps = _maps(task, name, method, len(raw[name]), task.targets, network=network)
                rows = kept[name]
                likeness[name].append(_likeness(raw[name][rows], maps[rows], task.pixels.shape[-1]))
        on_part(f"{group[0]} randomised")
    found = []
    for name in methods:
        if likeness[name]:
            both = np.stack([values for step in likeness[name] for values in step[:2]])
            means = estimates(both, task.seed)
            silent = tuple(step[2] for step in likeness[name])
            names = tuple(group[0] for group in layers)
            found.append(Randomisation(name, len(kept[name]), names, tuple(means[::2]), tuple(means[1::2]), silent))
    return tuple(found)


def _likeness(before: Tensor, after: Tensor, size: int) -> tuple[Values, Values, int]:
    """Spearman of the raw maps, SSIM of the maps over the image, each divided by its maximum; how many are constant."""
    constant = _constant(after)
    ranks = spearman(before.flatten(1).numpy(), after.flatten(1).numpy())
    pair = [upsampled(maps, max(size, WINDOW)) for maps in (before, after)]
    pair = [maps / maps.amax((1, 2), keepdim=True).clamp(min=torch.finfo(torch.float32).tiny) for maps in pair]
    return np.where(constant, 0, ranks), ssim(*pair).numpy(), int(constant.sum())


def _constant(maps: Tensor) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (maps == maps[:, :1, :1]).flatten(1).all(1).numpy()
    return found


# Intervals


def estimates(values: Values, seed: int) -> list[Estimate]:
    """The mean of each row of (M, n) and its 95 % percentile bootstrap interval over the n images.

    Efron and Tibshirani 1993, chapter 13. All rows are resampled alike.
    """
    count = values.shape[1]
    rng = np.random.default_rng(seed)
    drawn = rng.integers(count, size=(RESAMPLES, count))
    resampled = np.stack([row[drawn].mean(1) for row in values])
    low, high = np.percentile(resampled, [2.5, 97.5], axis=1)
    return [Estimate(*map(float, each)) for each in zip(values.mean(1), low, high, strict=True)]


def compared(values: Values, baselines: Mapping[str, Values], seed: int) -> Compared:
    """The mean of (n,) values beside those of the baselines, and of the paired differences."""
    gaps = [values - other for other in baselines.values()]
    value, *found = estimates(np.stack([values, *baselines.values(), *gaps]), seed)
    beside, ahead = found[: len(baselines)], found[len(baselines) :]
    return Compared(value, dict(zip(baselines, beside, strict=True)), dict(zip(baselines, ahead, strict=True)))


# Running networks and methods


def _maps(
    task: _Task,
    name: str,
    method: Method,
    count: int | None,
    targets: Tensor,
    *,
    network: nn.Module | None = None,
    layer: str | None = None,
) -> Tensor:
    """(n, h, w) raw maps of the first `count` images, on the CPU.

    Raises:
        ValueError: where they are no maps.
    """
    end = len(task.pixels) if count is None else min(count, len(task.pixels))
    found = [torch.zeros(0, 1, 1)]
    for start in range(0, end, BATCH):
        stop = min(start + BATCH, end)
        images = task.inputs(start, stop)
        maps = method(network or task.network, images, targets[start:stop].to(images.device), layer or task.layer)
        maps = maps.detach().cpu()
        if maps.shape[:1] != images.shape[:1] or maps.dim() != 3 or not bool(((maps >= 0) & maps.isfinite()).all()):
            raise ValueError(
                f"{name}: expected finite maps >= 0 of shape ({len(images)}, h, w), got {tuple(maps.shape)} "
                f"from {float(maps.min())} to {float(maps.max())}"
            )
        found.append(maps)
    return torch.cat(found[1:] or found)


def _logits(network: nn.Module, pixels: Tensor) -> Tensor:
    device = _device(network)
    with torch.no_grad():
        inputs = (normalise(part.to(device)) for part in torch.split(pixels, BATCH))
        return torch.cat([logits_of(network, part).float().cpu() for part in inputs])


def _device(network: nn.Module) -> torch.device:
    return next((parameter.device for parameter in network.parameters()), torch.device("cpu"))


def _gaussian(sigma: float, radius: int) -> Tensor:
    """(2 * radius + 1,) float64, sum 1."""
    places = torch.arange(-radius, radius + 1, dtype=torch.float64)
    weights = torch.exp(-(places**2) / (2 * sigma**2))
    return weights / weights.sum()
