"""What a build finds of heat maps where no evaluation did: on few photos, of the maps that it has made anyway."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from generator.base.errors import InputError
from generator.evaluation.bootstrap import compared
from generator.evaluation.perturbation import STEPS, curve_area, exchanged_probabilities, removal_order
from generator.evaluation.pointing import upsampled
from generator.evaluation.randomisation import cascade, randomise, recalibrate, spearman
from generator.explain.methods import Method
from generator.explain.passes import in_eval_mode, logits_of
from generator.networks.loaded import Loaded
from generator.records.images import Arrays, Floats, Photo
from generator.records.trust import Check

LEAST, MOST = 4, 24  # photos
SHARE = 0.1  # of what the maps themselves cost, that the checks may
CHEAP = 3  # forward passes up to which a method is asked again on every photo
SEED = 0


def photos_afforded(costs: Mapping[str, int], once: int, photos: int) -> int:
    """On how many photos maps are checked.

    Args:
        costs: of one map, by method; `once`: of one forward pass.
        photos: of which there are maps by all methods.
    """
    one = once * (STEPS + 1) * (len(costs) + 1)
    return min(photos, MOST, max(LEAST, int(SHARE * sum(costs.values()) * photos / max(1, one))))


def asked_again(costs: Mapping[str, int], once: int, photos: int, checked: int) -> dict[str, int]:
    """On how many of the checked photos each method is asked for another class, and of random weights.

    Those of many passes on as many as are a small share of all maps, and on one at least.
    """
    share = SHARE * sum(costs.values()) * photos / max(1, len(costs))
    return {
        name: checked if cost <= CHEAP * once else min(checked, max(1, int(share / (2 * cost))))
        for name, cost in costs.items()
    }


def map_checks(
    loaded: Loaded, photos: Sequence[Photo], ways: Mapping[str, Mapping[str, Floats]], names: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """Some methods' maps of a network's answers to the report's photos, checked as far as that costs little.

    Args:
        ways: the maps by photo and method.
    """
    able, _ = loaded.methods
    costs = {name: loaded.costs[name] for name in names}
    count = photos_afforded(costs, loaded.once, len(photos))
    chosen = [photos[place] for place in np.linspace(0, len(photos) - 1, count).round().astype(int)]
    images = loaded.inputs([photo.pixels for photo in chosen])
    maps = {name: torch.tensor(np.stack([ways[photo.id][name] for photo in chosen])) for name in names}
    again = asked_again(costs, loaded.once, len(photos), count)
    return checked(loaded.network, images, maps, able, loaded.layer, again)


def checked(
    network: nn.Module,
    images: Tensor,
    maps: Mapping[str, Tensor],
    methods: Mapping[str, Method],
    layer: str | None,
    again: Mapping[str, int],
) -> dict[str, NDArray[Any]]:
    """What is found of the maps of a network's answers, as arrays that a cache can hold: see `checks_of`.

    Args:
        network: in eval mode; it is not changed, for what is randomised is a copy.
        images: (N, C, H, W) normalised.
        maps: (N, h, w) raw, by method, of the class that is the answer to each.
        again: see `asked_again`.
    """
    count = len(images)
    noise = torch.rand(count, *next(iter(maps.values())).shape[1:], generator=torch.Generator().manual_seed(SEED))
    with in_eval_mode(network):
        with torch.no_grad():
            logits = logits_of(network, images)
        answers, least = logits.argmax(1), logits.argmin(1)
        random = _forgetful(network, images)
        patches = upsampled(noise, _size(images))
        found: dict[str, NDArray[Any]] = {
            "random": _areas(network, images, answers, torch.zeros_like(patches), patches)
        }
        for name, cams in maps.items():
            found[f"{name} left"] = _areas(network, images, answers, upsampled(cams, _size(images)), patches)
            found[f"{name} constant"] = (cams == cams[:, :1, :1]).flatten(1).all(1).numpy()
            some = again[name]
            asked = [("classes", network, least[:some])] + ([("weights", random, answers[:some])] if random else [])
            for what, of, targets in asked if some else ():
                try:
                    others = methods[name](of, images[:some], targets, layer).detach().cpu()
                except InputError:  # which the method says of other weights, and not of these
                    continue
                found[f"{name} {what}"] = np.nan_to_num(spearman(_flat(cams[:some]), _flat(others)))
    return found


def _size(images: Tensor) -> tuple[int, int]:
    return images.shape[2], images.shape[3]


def _flat(maps: Tensor) -> NDArray[np.floating]:
    flat: NDArray[np.floating] = maps.flatten(1).numpy()
    return flat


def _forgetful(network: nn.Module, images: Tensor) -> nn.Module | None:
    """The network with random weights; None where nobody can draw them, as TorchScript's."""
    layers = [module for _, modules in cascade(network) for module in modules]
    if not layers:
        return None
    random = copy.deepcopy(network)
    randomise(random, layers, torch.Generator().manual_seed(SEED))
    recalibrate(random, layers, [images])
    return random


def _areas(network: nn.Module, images: Tensor, answers: Tensor, maps: Tensor, noise: Tensor) -> NDArray[Any]:
    """(N,) what is left of the answer's probability while the places go in a map's order, on average over the steps."""
    places = removal_order(maps, noise).to(images.device)
    curves = exchanged_probabilities(network, images, torch.zeros_like(images), places, answers, STEPS)
    area: NDArray[Any] = curve_area(curves).numpy()
    return area


def checks_of(arrays: Arrays) -> tuple[Check, ...]:
    """The records of what `checked` found."""
    names = [key.removesuffix(" left") for key in arrays if key.endswith(" left")]
    return tuple(_check(name, arrays) for name in names)


def _check(name: str, arrays: Arrays) -> Check:
    left = arrays[f"{name} left"].astype(np.float64)
    classes, weights = (arrays.get(f"{name} {what}") for what in ("classes", "weights"))
    return Check(
        method=name,
        count=len(left),
        constant=int(arrays[f"{name} constant"].sum()),
        deletion=compared(left, {"random": arrays["random"].astype(np.float64)}, SEED),
        asked=max((len(found) for found in (classes, weights) if found is not None), default=0),
        classes=None if classes is None else float(classes.mean()),
        weights=None if weights is None else float(weights.mean()),
    )
