"""The model randomisation check (Adebayo et al. 2018): maps of a network that forgets what it learnt."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, pairwise

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from generator.evaluation.bootstrap import Values, estimates
from generator.evaluation.pointing import upsampled
from generator.evaluation.task import BATCH, Task, gaussian, maps_of
from generator.explain.methods import Method
from generator.explain.points import Points
from generator.records.trust import Randomisation

# Wang et al. 2004, section III.B: an 11 x 11 window of standard deviation 1.5, K1 = 0.01, K2 = 0.03.
WINDOW, WINDOW_SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03

MOST_STEPS = 8  # each asks all methods again

_NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm, nn.modules.instancenorm._InstanceNorm)


# The randomisation check


def executed(points: Points) -> tuple[str, ...]:
    """The modules of a pass in the order in which they end."""
    return tuple(point.name for point in points if point.module is not None)


def cascade(network: nn.Module, ran: Sequence[str] = ()) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The layers from the logits down, in the order in which they run, each with the norms that follow it, in steps.

    More than MOST_STEPS of them are randomised in so many steps, of which the first is the last layer alone. Those of
    TorchScript are none: nobody could measure their norms' statistics anew.

    Args:
        ran: of `executed`; (): the model registers them in that order.
    Returns:
        by step its name, that of its layer or of its first and its last, and the modules that it randomises.
    """
    groups: list[tuple[str, ...]] = []
    for name, module in _in_order(network, ran):
        if isinstance(module, torch.jit.ScriptModule) or not any(True for _ in module.parameters(recurse=False)):
            continue
        if isinstance(module, _NORMS) and groups:
            groups[-1] += (name,)
        else:
            groups.append((name,))
    own = " and ".join(name for name, _ in network.named_parameters(recurse=False))  # the network has no name itself
    last, rest = groups[-1:], groups[-2::-1]
    count = min(len(rest), MOST_STEPS - 1)
    cuts = [round(step * len(rest) / count) for step in range(count + 1)] if count else []
    steps = [last] * len(last) + [rest[start:end] for start, end in pairwise(cuts)]
    return tuple((_name(step[0][0] or own, step[-1][0] or own), tuple(chain.from_iterable(step))) for step in steps)


def _in_order(network: nn.Module, ran: Sequence[str]) -> list[tuple[str, nn.Module]]:
    """The named modules by when they begin to run; of one that is never called itself, when what it is a part of does.

    A module that holds others begins with the first of these; its own weights, as a class token, are of its beginning.
    """
    began: dict[str, int] = {}
    for number, name in enumerate(ran):
        parts = name.split(".")
        for count in range(len(parts) + 1):
            began.setdefault(".".join(parts[:count]), number)

    def when(name: str) -> int:
        return began[name] if name in began or not name else when(name.rpartition(".")[0])

    found = list(network.named_modules())
    return sorted(found, key=lambda each: when(each[0])) if ran else found


def _name(first: str, last: str) -> str:
    return first if first == last else f"{first} to {last}"


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
    kernel = gaussian(WINDOW_SIGMA, WINDOW // 2)

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


def randomisations(
    task: Task,
    methods: Mapping[str, Method],
    raw: Mapping[str, Tensor],
    on_part: Callable[[str], None],
    ran: Sequence[str] = (),
) -> tuple[Randomisation, ...]:
    """Adebayo et al. 2018, arXiv:1810.03292: the layers are randomised one after the other and stay so.

    Maps that were constant before have no order to lose and are left out. `ran` is that of `cascade`.
    """
    network = copy.deepcopy(task.network)
    generator = torch.Generator().manual_seed(task.seed)
    kept = {name: np.flatnonzero(~_constant(maps)) for name, maps in raw.items()}
    likeness: dict[str, list[tuple[Values, Values, int]]] = {name: [] for name in methods}
    layers = cascade(network, ran)
    most = max(map(len, raw.values()))
    batches = [task.inputs(start, min(start + BATCH, most)) for start in range(0, most, BATCH)]
    random: list[str] = []
    for step, modules in layers:
        randomise(network, modules, generator)
        random += modules
        recalibrate(network, random, batches)
        for name, method in methods.items():
            if len(kept[name]):
                maps = maps_of(task, name, method, len(raw[name]), task.targets, network=network)
                rows = kept[name]
                likeness[name].append(_likeness(raw[name][rows], maps[rows], task.input.size))
        on_part(f"{step} randomised")
    found = []
    for name in methods:
        if likeness[name]:
            both = np.stack([values for each in likeness[name] for values in each[:2]])
            means = estimates(both, task.seed)
            silent = tuple(each[2] for each in likeness[name])
            names = tuple(name for name, _ in layers)
            found.append(Randomisation(name, len(kept[name]), names, tuple(means[::2]), tuple(means[1::2]), silent))
    return tuple(found)


def _likeness(before: Tensor, after: Tensor, size: tuple[int, int]) -> tuple[Values, Values, int]:
    """Spearman of the raw maps, SSIM of the maps over the image, each divided by its maximum; how many are constant."""
    constant = _constant(after)
    ranks = spearman(before.flatten(1).numpy(), after.flatten(1).numpy())
    pair = [upsampled(maps, (max(size[0], WINDOW), max(size[1], WINDOW))) for maps in (before, after)]
    pair = [maps / maps.amax((1, 2), keepdim=True).clamp(min=torch.finfo(torch.float32).tiny) for maps in pair]
    return np.where(constant, 0, ranks), ssim(*pair).numpy(), int(constant.sum())


def _constant(maps: Tensor) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (maps == maps[:, :1, :1]).flatten(1).all(1).numpy()
    return found
