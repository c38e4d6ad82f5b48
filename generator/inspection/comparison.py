"""Photos explained by every method and at several stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from generator import explain
from generator.explain import LayerGradients, methods
from generator.explain.occlusion import square_of
from generator.networks.devices import array_of
from generator.networks.loaded import Loaded
from generator.records.images import Arrays
from generator.records.network import Comparison

OF_MANY_PASSES = ("Score-CAM", "RISE", "integrated gradients")
STAGES = 5  # other layers that the answer is explained at


def earlier(loaded: Loaded, first: str, compared: bool = True) -> list[str]:
    """The other stages that an answer is explained at, where it is compared and the method looks at layers."""
    asked = compared and loaded.layer and "layer" in methods.METHODS[_shown(loaded, first)].asks
    return [name for name in loaded.earlier if name != loaded.layer][-STAGES:] if asked else []


def _shown(loaded: Loaded, first: str) -> str:
    """The method that explains at other stages too."""
    able, _ = loaded.methods
    return first if first in able else next(iter(able))


def compared(
    loaded: Loaded,
    images: Tensor,
    logits: Tensor,
    gradients: Mapping[str, LayerGradients],
    first: str,
) -> list[dict[str, NDArray[Any]]]:
    """The predicted class of each photo by each method, and what a sliding grey square does: arrays of `Comparison`.

    Args:
        logits: (N, K) of the photos.
        gradients: by the layer explained and the `earlier` ones, of the predicted classes.
    """
    network, layer, targets = loaded.network, loaded.layer, logits.argmax(1)
    able, _ = loaded.methods
    patch = square_of(images.shape[2:])
    many = images.clone(memory_format=loaded.layout)
    # The forward passes are the dearest part, so the square slides over the photos once for all.
    (covered,) = explain.occlude_each(network, many, [targets], patch=patch)

    def maps(name: str, at: str) -> Tensor:
        method = methods.METHODS[name]
        if method.shared is not None and at in gradients:
            return method.shared(gradients[at])
        return method(network, many if name in OF_MANY_PASSES else images, targets, at)

    found = {name: covered.drop if name == methods.OCCLUSION else maps(name, layer) for name in able}
    shown = _shown(loaded, first)
    before = {name: maps(shown, name) for name in earlier(loaded, first)}
    return [
        {
            **{f"method {name}": array_of(cams[place]) for name, cams in found.items()},
            **{f"layer {name}": array_of(cams[place]) for name, cams in before.items()},
            "occlusion patch": np.array(patch),
            "occlusion probability": array_of(covered.probability[place]),
            "occlusion answers": array_of(covered.predicted[place]),
            "occlusion class": np.array(int(targets[place])),
        }
        for place in range(len(images))
    ]


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
