"""One network looked at as the report needs it: `Loaded` and photos in, the records `Network` and `Explanation` out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from generator import augment, checkpoints, explain
from generator.models import Loaded
from generator.networks import normalise, stages
from generator.photos import square
from generator.recipes import STRONG
from generator.records import ConvLayer, Evaluation, Explanation, Network, Photo, Pixels, StageMaps

# A network with more classes is explained for the classes that a page names, not for all.
ALL_CLASSES = 100

GAP_NOTE = (
    "The head is a global average pooling and one linear layer, so Grad-CAM of the last convolution equals the class "
    "activation map of Zhou et al. 2016: up to the bias, the map's mean before its ReLU is the class's logit."
)
FLATTENED_NOTE = (
    "The head flattens its maps and passes them through three linear layers. There Grad-CAM averages gradients over "
    "positions that the head treats differently, and nothing guarantees that a highlighted place raised the class's "
    "logit (Draelos and Carin 2020, arXiv:2011.08891)."
)

Arrays = Mapping[str, NDArray[Any]]


def network(
    loaded: Loaded,
    explanations: Mapping[str, Explanation],
    failures: Sequence[str],
    evaluation: Evaluation | None,
) -> Network:
    """All that the report tells of one network; the records of its training come from its folder."""
    shape = (3, loaded.description.input_size, loaded.description.input_size)
    folder = loaded.folder
    return Network(
        id=loaded.id,
        title=loaded.title,
        class_names=loaded.description.class_names,
        parameters=sum(parameter.numel() for parameter in loaded.network.parameters()),
        macs=explain.macs(loaded.network, shape),
        input_size=loaded.description.input_size,
        summary=explain.summary(loaded.network, shape),
        weights_source=loaded.source,
        weights_digest=loaded.digest,
        notes=loaded.notes,
        layers=layers(loaded),
        explanations=explanations,
        runs=checkpoints.load_runs(folder) if folder else (),
        evaluation=evaluation,
        snapshots=checkpoints.load_snapshots(folder) if folder else {},
        card=checkpoints.load_card(folder) if folder else "",
        cam_note=FLATTENED_NOTE if loaded.description.architecture == "AlexNet" else GAP_NOTE,
        failures=tuple(failures),
    )


def layers(loaded: Loaded) -> tuple[ConvLayer, ...]:
    """Every convolution with its weights and what its units see."""
    size = loaded.description.input_size
    found = []
    for number, name in enumerate(explain.convolutions(loaded.network), start=1):
        module = loaded.network.get_submodule(name)
        assert isinstance(module, torch.nn.Conv2d)
        field = explain.receptive_field(loaded.network, name, size)
        found.append(
            ConvLayer(
                name=name,
                title=f"convolution {number}",
                weights=module.weight.detach().float().numpy(),
                stride=module.stride[0],
                padding=module.padding[0] if isinstance(module.padding, tuple) else 0,
                receptive_field=field.size,
                jump=field.jump,
            )
        )
    return tuple(found)


def observed(loaded: Loaded, photo: Photo, label: int | None, other: int | None, layer: str) -> dict[str, NDArray[Any]]:
    """One photo through the network, as arrays that a cache can hold: see `explanation`.

    Args:
        label: the photo's class among the network's.
        other: a further class to explain, where not all are.
        layer: that Grad-CAM looks at; "": chosen.
    """
    description = loaded.description
    seen = square(photo.pixels, description.input_size, description.resize)
    images = normalise(torch.tensor(seen).permute(2, 0, 1)[None])
    layer = layer or explain.choose_layer(loaded.network, images)
    with torch.no_grad():
        logits = loaded.network(images)[0]
    targets = _targets(logits, label, other)
    if len(targets) == len(logits):
        cams = explain.grad_cam_all(loaded.network, images, layer)[0]
    else:
        cams = explain.grad_cam(loaded.network, images.expand(len(targets), -1, -1, -1), targets, layer)
    maps = explain.feature_maps(loaded.network, images, stages(loaded.network))
    arrays = {f"stage {number} {name}": tensor[0].numpy() for number, (name, tensor) in enumerate(maps.items())}
    return {
        **arrays,
        "seen": seen,
        "logits": logits.numpy(),
        "targets": np.array(targets, np.int64),
        "cams": cams.numpy(),
        "layer": np.array(layer),
    }


def explanation(photo: str, label: int | None, other: int | None, arrays: Arrays) -> Explanation:
    """The record of what `observed` found."""
    logits = arrays["logits"].astype(np.float32)
    shifted = np.exp(logits - logits.max())
    maps = [(key.split(" ", 2)[2], value) for key, value in arrays.items() if key.startswith("stage ")]
    return Explanation(
        photo=photo,
        seen=arrays["seen"].astype(np.uint8),
        logits=logits,
        probabilities=shifted / shifted.sum(),
        label=label,
        other=other,
        layer=str(arrays["layer"]),
        targets=tuple(arrays["targets"].tolist()),
        cams=arrays["cams"].astype(np.float32),
        stages=tuple(
            StageMaps(name, f"stage {number}", value.astype(np.float32)) for number, (name, value) in enumerate(maps, 1)
        ),
    )


def augmented(image: Tensor, partner: Tensor, seed: int = 4) -> tuple[tuple[str, Pixels], ...]:
    """The steps of the CNN's own augmentation on one (3, H, W) uint8 image."""
    shown = augment.steps(image, partner, STRONG, Generator().manual_seed(seed))
    return tuple((name, step.permute(1, 2, 0).numpy()) for name, step in shown)


def _targets(logits: Tensor, label: int | None, other: int | None) -> list[int]:
    """All classes of a small network; of a large one the predicted, the runner-up, the true and the named one."""
    if len(logits) <= ALL_CLASSES:
        return list(range(len(logits)))
    named = [*logits.topk(2).indices.tolist(), label, other]
    return list(dict.fromkeys(target for target in named if target is not None))
