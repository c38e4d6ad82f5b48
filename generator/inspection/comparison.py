"""Photos explained by every method and at several stages.

What takes many forward passes a photo is made once, when a network is evaluated, and lies with it. On record it belongs
to the very weights, photo, layer and definition that it was made of; of any other it is made anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from generator import explain
from generator.base import terminal
from generator.explain import LayerGradients, methods
from generator.explain.occlusion import square_of
from generator.explain.passes import evaluating, logits_of
from generator.networks.devices import array_of
from generator.networks.folder import MapSheet, load_maps, save_maps
from generator.networks.loaded import Loaded
from generator.records.images import Arrays, Photo
from generator.records.network import Comparison

OF_MANY_PASSES = ("Score-CAM", "RISE", "integrated gradients")
TOGETHER = 6  # photos that are explained together: a pass of one takes a large network nearly as long as one of six
STAGES = 5  # other layers that the answer is explained at
# Of what `of_many_passes` gives: to be raised with every change of it, for it may be on record. A test makes what is on
# record of the shipped networks anew.
DEFINITION = 1
_SQUARE = tuple(f"occlusion {what}" for what in ("patch", "probability", "answers", "class"))


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
    recorded: Sequence[Arrays | None],
) -> list[dict[str, NDArray[Any]]]:
    """The predicted class of each photo by each method, and what a sliding grey square does: arrays of `Comparison`.

    Args:
        logits: (N, K) of the photos.
        gradients: by the layer explained and the `earlier` ones, of the predicted classes.
        recorded: what is on record of each photo of what `of_many_passes` gives, None where nothing is.
    """
    network, layer, targets = loaded.network, loaded.layer, logits.argmax(1)

    def maps(name: str, at: str) -> Tensor:
        method = methods.METHODS[name]
        if method.shared is not None and at in gradients:
            return method.shared(gradients[at])
        return method(network, images, targets, at)

    dear: list[Arrays | None] = [
        one if one is not None and int(one["occlusion class"]) == target else None
        for one, target in zip(recorded, targets.tolist(), strict=True)
    ]
    if missing := [place for place, one in enumerate(dear) if one is None]:
        for place, arrays in zip(missing, of_many_passes(loaded, images[missing], targets[missing]), strict=True):
            dear[place] = arrays
    able, shown = loaded.methods[0], _shown(loaded, first)
    found = {name: maps(name, layer) for name in able if name not in (*OF_MANY_PASSES, methods.OCCLUSION)}
    before = {name: maps(shown, name) for name in earlier(loaded, first)}
    wanted = [*(f"method {name}" for name in able), *(f"layer {name}" for name in before), *_SQUARE]
    results = []
    for place, many in enumerate(dear):
        assert many is not None
        own = {f"method {name}": array_of(cams[place]) for name, cams in found.items()}
        own |= {f"layer {name}": array_of(cams[place]) for name, cams in before.items()}
        results.append({name: many[name] if name in many else own[name] for name in wanted})
    return results


def of_many_passes(loaded: Loaded, images: Tensor, targets: Tensor) -> list[dict[str, NDArray[Any]]]:
    """What of `compared` takes many passes an image: of the methods `OF_MANY_PASSES`, and of the sliding square.

    Args:
        images, targets: (N, C, H, W) normalised, and (N,) the predicted classes.
    """
    network, layer, able = loaded.network, loaded.layer, loaded.methods[0]
    patch = square_of(images.shape[2:])
    many = images.clone(memory_format=loaded.layout)
    # The forward passes are the dearest part, so the square slides over the photos once for all.
    (covered,) = explain.occlude_each(network, many, [targets], patch=patch)
    found = {name: methods.METHODS[name](network, many, targets, layer) for name in able if name in OF_MANY_PASSES}
    if methods.OCCLUSION in able:
        found[methods.OCCLUSION] = covered.drop
    return [
        {
            **{f"method {name}": array_of(cams[place]) for name, cams in found.items()},
            "occlusion patch": np.array(patch),
            "occlusion probability": array_of(covered.probability[place]),
            "occlusion answers": array_of(covered.predicted[place]),
            "occlusion class": np.array(int(targets[place])),
        }
        for place in range(len(images))
    ]


def kept(loaded: Loaded, able: Iterable[str]) -> Mapping[str, Arrays]:
    """What is on record of these very weights at the layer explained, by the photos' digests; see `of_many_passes`.

    Args:
        able: the methods that are asked for; a photo without one of their maps is not on record.
    """
    for folder in loaded.recorded:
        found = load_maps(folder)
        if found and (found.weights_digest, found.layer, found.definition) == (loaded.digest, loaded.layer, DEFINITION):
            wanted = {f"method {name}" for name in able if name in (*OF_MANY_PASSES, methods.OCCLUSION)}
            return {photo: arrays for photo, arrays in found.maps.items() if wanted <= arrays.keys()}
    return {}


def keep(loaded: Loaded, photos: Sequence[Photo]) -> None:
    """Put the maps of photos on record, in place of those of others, where not all of them are on it yet."""
    known = kept(loaded, loaded.methods[0])
    if loaded.evaluated is None or not loaded.input.takes_photos or all(photo.digest in known for photo in photos):
        return
    said = f"{loaded.title}: maps that take many passes"
    maps: dict[str, Arrays] = {}
    with terminal.bar(said, len(photos), "photos") as bar:
        for begin in range(0, len(photos), TOGETHER):
            group = photos[begin : begin + TOGETHER]
            images = loaded.inputs([photo.pixels for photo in group])
            with evaluating(loaded.network):
                targets = logits_of(loaded.network, images.clone()).argmax(1)
            for photo, arrays in zip(group, of_many_passes(loaded, images, targets), strict=True):
                maps[photo.digest] = arrays
                bar.advance()
    save_maps(loaded.evaluated, MapSheet(loaded.digest, loaded.layer, DEFINITION, maps))


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
