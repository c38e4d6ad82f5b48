"""One photo explained by every method and at several stages."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from generator import explain
from generator.explain import methods
from generator.explain.occlusion import square_of
from generator.networks.loaded import Loaded
from generator.records.images import Arrays
from generator.records.network import Comparison

OF_MANY_PASSES = ("Score-CAM", "RISE", "integrated gradients")
STAGES = 5  # other layers that the answer is explained at


def compared(loaded: Loaded, images: Tensor, target: int, layer: str, first: str) -> dict[str, NDArray[Any]]:
    """One class of one photo by each method, and what a sliding grey square does: the arrays of `Comparison`."""
    network, targets = loaded.network, torch.tensor([target])
    able, _ = loaded.methods
    patch = square_of(images.shape[2:])
    many = images.clone(memory_format=loaded.layout)
    # The forward passes are the dearest part, so the square slides over the photo once for all.
    (covered,) = explain.occlude_each(network, many, [targets], patch=patch)
    found = {
        name: covered.drop
        if name == methods.OCCLUSION
        else method(network, many if name in OF_MANY_PASSES else images, targets, layer)
        for name, method in able.items()
    }
    shown = methods.METHODS[first if first in able else next(iter(able))]
    asked = layer and "layer" in shown.asks
    earlier = [name for name in loaded.earlier if name != layer][-STAGES:] if asked else []
    return {
        **{f"method {name}": maps[0].numpy() for name, maps in found.items()},
        **{f"layer {name}": shown(network, images, targets, name)[0].numpy() for name in earlier},
        "occlusion patch": np.array(patch),
        "occlusion probability": covered.probability[0].numpy(),
        "occlusion answers": covered.predicted[0].numpy(),
        "occlusion class": np.array(target),
    }


def comparison_of(arrays: Arrays) -> Comparison | None:
    """The record of what `compared` found; None where it was not asked for."""
    if "occlusion patch" not in arrays:
        return None
    return Comparison(
        maps={
            key.removeprefix("method "): cam.astype(np.float32)
            for key, cam in arrays.items()
            if key.startswith("method ")
        },
        layers={
            key.removeprefix("layer "): cam.astype(np.float32)
            for key, cam in arrays.items()
            if key.startswith("layer ")
        },
        patch=int(arrays["occlusion patch"]),
        probability=arrays["occlusion probability"].astype(np.float32),
        answers=arrays["occlusion answers"].astype(np.int64),
        hidden=int(arrays["occlusion class"]),
    )
