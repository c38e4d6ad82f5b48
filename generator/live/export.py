"""A network as a list of steps that a page can run in plain JavaScript, with weights of few bits.

`Loaded` in, the record `Live` out; or `UnsuitedError` with the reason, for a page must never show a wrong number. The
steps are run here too, and what they answer is compared with what the network answers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from generator import explain
from generator.data.preprocessing import TALL_FIRST, seen
from generator.explain.passes import in_eval_mode
from generator.live import running
from generator.live.bits import LARGEST, fewest_bits, size_in_bytes
from generator.live.fold import folded
from generator.live.running import cam_and_logits, run_steps
from generator.live.trace import Step, UnsuitedError, steps_of
from generator.networks import devices
from generator.networks.inputs import normalise
from generator.networks.loaded import Loaded
from generator.records.images import Photo
from generator.records.input import Input
from generator.records.live import Live, LiveStep

# Folding batch norm reorders sums; more than this is another function.
ROUNDING = 1e-4

# Bytes of the page, which may have 300 KiB, for its list of classes, and of an entry beside the name.
NAMES, ENTRY = 160 * 2**10, 40

PASSING = (nn.Identity, nn.Dropout, nn.Dropout2d)  # which are no steps
ARRAYS = ("factors", "biases", "integers")  # of a step


def export(loaded: Loaded, photos: Sequence[Photo]) -> Live:
    """The network as a page runs it, tried on the photos.

    Args:
        photos: of the report; without any, images of noise take their place.
    Raises:
        UnsuitedError: where it has a step that the page does not know, would be too large, or answers otherwise.
    """
    if not loaded.input.takes_photos:
        raise UnsuitedError(
            f"takes images of {loaded.input.channels} channels, and a visitor's photo has three, or one in grey"
        )
    if sum(ENTRY + len(name.encode()) for name in loaded.class_names) > NAMES:
        raise UnsuitedError(f"has {len(loaded.class_names):,} classes, more than the page has room to list")
    if loaded.multi_label:
        raise UnsuitedError("gives each class a probability of its own, and the page shows shares of one whole")
    if loaded.opaque:
        raise UnsuitedError(loaded.opaque.removeprefix("the network "))
    with in_eval_mode(loaded.network), torch.no_grad():
        plain = steps_of(loaded.network)
        images = _images(photos, loaded.input)
        wanted = running.in_parts(lambda part: loaded.network(part).float(), images)
        if wanted.shape != (len(images), len(loaded.class_names)):
            raise UnsuitedError("does not give one logit a class")
        explained, inner = loaded.layer, _within(loaded.network, loaded.layer)
        steps = folded(plain, inner)
        if not running.difference(running.in_parts(partial(run_steps, steps), images), wanted) <= ROUNDING:
            raise UnsuitedError("answers otherwise when its steps are run one by one")
        if (size := size_in_bytes(steps, [8] * len(steps))) > LARGEST:
            raise UnsuitedError(f"would be {size / 2**20:.0f} MiB, more than a page should load")
        cam = _explained(steps, inner)
        if not explained:
            raise UnsuitedError("has no layer whose maps could show where it looks")
        maps, _ = cam_and_logits(steps, cam, images)
        own = maps
        if steps[cam].name == inner:
            every = partial(explain.grad_cam_all, loaded.network, layer=explained)
            own = running.in_parts(every, images)[:, running.compared(wanted.shape[1])]
        if not running.difference(maps, own) <= ROUNDING:
            raise UnsuitedError(f"has other heat maps at {explained} when its steps are run one by one")
        quantised, (difference, of_maps) = fewest_bits(steps, cam, images, (wanted, maps))
    # A page tells how a stage's units came about: before the first convolution there is no sum to tell.
    first = [step.kind for step in steps].index("conv")
    shown = {step.name: place for place, step in enumerate(steps[: cam + 1]) if step.name and place >= first}
    stages = [(shown.get(_within(loaded.network, name)), name) for name in loaded.stages]
    return Live(
        network=loaded.id,
        steps=tuple(quantised),
        cam=cam,
        layer=explained if steps[cam].name == inner else steps[cam].name,
        explained=explained,
        stages=tuple((at, name) for at, name in stages if at is not None) or ((cam, steps[cam].name),),
        difference=difference,
        maps=of_maps,
        photos=len(photos),
        tall_first=TALL_FIRST,
    )


def tried(loaded: Loaded, photos: Sequence[Photo]) -> dict[str, NDArray[Any]]:
    """`export` as arrays that a cache can hold: see `recorded`. On the processor, as every visitor's script."""
    try:
        found = export(loaded.on(devices.CPU), photos)
    except UnsuitedError as reason:
        return {"reason": np.array(str(reason))}
    arrays: dict[str, NDArray[Any]] = {}
    steps = []
    for place, step in enumerate(found.steps):
        told = vars(step)
        steps.append({name: value for name, value in told.items() if name not in ARRAYS})
        arrays |= {f"{place} {name}": told[name] for name in ARRAYS if told[name] is not None}
    rest = {name: value for name, value in vars(found).items() if name != "steps"}
    return {**arrays, "told": np.array(json.dumps({"steps": steps, **rest}))}


def recorded(arrays: Mapping[str, NDArray[Any]]) -> Live | str:
    """The record of what `tried` found, or the reason why there is none."""
    if "reason" in arrays:
        return str(arrays["reason"])
    told = _tuples(json.loads(str(arrays["told"])))
    steps = []
    for place, step in enumerate(told.pop("steps")):
        found: dict[str, Any] = {name: arrays[key] for name in ARRAYS if (key := f"{place} {name}") in arrays}
        steps.append(LiveStep(**step, **found))
    return Live(steps=tuple(steps), **told)


def _tuples(value: Any) -> Any:
    """JSON's lists as the records' tuples."""
    if isinstance(value, dict):
        return {key: _tuples(inner) for key, inner in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _within(network: nn.Module, layer: str) -> str:
    """The layer whose output a plain sequence gives: its last that does something; any other layer itself."""
    module = dict(network.named_modules()).get(layer)
    while layer and isinstance(module, nn.Sequential):
        inner = [(name, child) for name, child in module.named_children() if not isinstance(child, PASSING)]
        if not inner:
            break
        name, module = inner[-1]
        layer = f"{layer}.{name}"
    return layer


def _explained(steps: Sequence[Step], layer: str) -> int:
    """The place of the maps that Grad-CAM explains: of `layer`, or the last before the head, rectified, not pooled.

    The page follows gradients back through anything but a convolution.
    """
    kinds = [step.kind for step in steps]
    if "conv" not in kinds or kinds[-1] != "linear":
        raise UnsuitedError("does not end in a linear layer after convolutions")
    last = max(place for place, kind in enumerate(kinds) if kind == "conv")
    head = next(place for place in range(len(kinds)) if kinds[place] in ("global", "flatten"))
    named = [place for place in range(last, head) if steps[place].name == layer]
    place = named[-1] if named else head - 1
    while not named and kinds[place] == "maxpool":
        place -= 1
    return place


def _images(photos: Sequence[Photo], way: Input) -> Tensor:
    """(N, C, H, W) normalised."""
    given = [torch.tensor(seen(photo.pixels, way)).permute(2, 0, 1) for photo in photos]
    if not given:
        noise = torch.Generator().manual_seed(0)
        given = list(torch.randint(0, 256, (4, *way.shape), generator=noise, dtype=torch.uint8))
    return normalise(torch.stack(given), way)
