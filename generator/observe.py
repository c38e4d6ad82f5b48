"""One network looked at as the report needs it: `Loaded` and photos in, the records `Network` and `Explanation` out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from generator import augment, checkpoints, class_images, explain, methods, patches, tiny_imagenet
from generator.errors import InputError
from generator.models import Loaded
from generator.networks import normalise, require_finite, stages
from generator.photos import square
from generator.recipes import STRONGEST
from generator.records import (
    ClassImages,
    Comparison,
    ConvLayer,
    Evaluation,
    Examined,
    Explanation,
    LayerPatches,
    Network,
    Photo,
    Pixels,
    StageMaps,
)

# A network with more classes is explained for the classes that a page names, not for all.
ALL_CLASSES = 100
STAGES = 5  # other layers that the answer is explained at
CONTRIBUTORS = 8  # channels that are shown as what a prediction was made of
PATCH_BATCH = 50  # images at once while the strongest patches are sought
# Steps towards the images of the classes: for 30 classes at 64 pixels 51 s of one CPU core's time (n = 1, torch 2.14);
# larger images cost more a step and get fewer.
CLASS_STEPS, LARGE_CLASS_STEPS = 128, 64
CLASS_SEED = 0

GAP_NOTE = (
    "The head is a global average pooling and one linear layer, so Grad-CAM of the maps before it equals the class "
    "activation map of Zhou et al. 2016: up to the bias, the sum of the map's cells before its ReLU is the class's "
    "logit."
)
MAX_NOTE = (
    "The head takes each channel's maximum and passes these through one linear layer. A channel's weight in Grad-CAM "
    "is then its weight for the class, as in the class activation map of Zhou et al. 2016; but each channel counts "
    "with its strongest place alone in the logit, while the map shows all its places."
)
FLATTENED_NOTE = (
    "The head flattens its maps and passes them through fully connected layers. There Grad-CAM averages gradients over "
    "positions that the head treats differently, and nothing guarantees that a highlighted place raised the class's "
    "logit (Draelos and Carin 2020, arXiv:2011.08891)."
)

Arrays = Mapping[str, NDArray[Any]]


def network(
    loaded: Loaded,
    explanations: Mapping[str, Explanation],
    failures: Sequence[str],
    evaluation: Evaluation | None,
    examined: Examined | None = None,
    strongest: Sequence[LayerPatches] = (),
    made: ClassImages | None = None,
) -> Network:
    """All that the report tells of one network; the records of its training come from its folder.

    Args:
        examined, strongest: the images that were searched, and what `layer_patches` found in them.
        made: of `class_images_of`.
    """
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
        cam_note=_cam_note(loaded.network),
        failures=tuple(failures),
        benchmark=checkpoints.load_benchmark(folder) if folder else None,
        resize=loaded.description.resize,
        examined=examined,
        patches=tuple(strongest),
        class_images=made,
    )


def _cam_note(network: torch.nn.Module) -> str:
    """What Grad-CAM promises, told by the modules after the last convolution; "" where they are of no known kind."""
    modules = list(network.modules())
    last = max(i for i, module in enumerate(modules) if isinstance(module, torch.nn.Conv2d))
    head = modules[last + 1 :]
    linears = [module for module in head if isinstance(module, torch.nn.Linear)]
    whole = [module for module in head if getattr(module, "output_size", None) in (1, (1, 1))]
    if len(linears) == 1 and any(isinstance(module, torch.nn.AdaptiveAvgPool2d) for module in whole):
        return GAP_NOTE
    if len(linears) == 1 and any(isinstance(module, torch.nn.AdaptiveMaxPool2d) for module in whole):
        return MAX_NOTE
    return FLATTENED_NOTE if len(linears) > 1 and not whole else ""


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


def observed(
    loaded: Loaded, photo: Photo, label: int | None, other: int | None, layer: str, compared: bool = False
) -> dict[str, NDArray[Any]]:
    """One photo through the network, as arrays that a cache can hold: see `explanation`.

    Args:
        label: the photo's class among the network's.
        other: a further class to explain, where not all are.
        layer: that Grad-CAM looks at; "": chosen.
        compared: whether the answer is explained in all the ways that `methods` knows.
    """
    description = loaded.description
    seen = square(photo.pixels, description.input_size, description.resize)
    images = normalise(torch.tensor(seen).permute(2, 0, 1)[None])
    layer = layer or methods.layer_of(loaded.network, images.shape[-1])
    with torch.no_grad():
        answers = loaded.network(images)
    require_finite(answers, loaded.network)
    logits = answers[0]
    targets = _targets(logits, label, other)
    if len(targets) == len(logits):
        cams = explain.grad_cam_all(loaded.network, images, layer)[0]
    else:
        cams = explain.grad_cam(loaded.network, images.expand(len(targets), -1, -1, -1), targets, layer)
    staged = stages(loaded.network)
    maps = explain.feature_maps(loaded.network, images, [*dict.fromkeys([*staged, layer])])
    arrays = {f"stage {number} {name}": maps[name][0].numpy() for number, name in enumerate(staged)}
    contributions = explain.channel_contributions(loaded.network, images, [int(logits.argmax())], layer)[0]
    most = contributions.sort(descending=True, stable=True).indices[:CONTRIBUTORS]
    if compared:
        arrays |= _compared(loaded, images, int(logits.argmax()), label, layer)
    arrays |= {
        "seen": seen,
        "logits": logits.numpy(),
        "targets": np.array(targets, np.int64),
        "cams": cams.numpy(),
        "layer": np.array(layer),
        "contributions": contributions.numpy(),
        "contributors": most.numpy(),
        "contributor maps": maps[layer][0][most].numpy(),
        "contributor layer": np.array(patches.convolution_of(loaded.network, layer) or ""),
    }
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputError(
                f"{loaded.title}: {photo.title}: expected finite numbers, found NaN or infinity in {name!r}, though "
                "the logits are finite: what lies before them grows beyond float32; train it again or name another file"
            )
    return arrays


def _compared(loaded: Loaded, images: Tensor, target: int, label: int | None, layer: str) -> dict[str, NDArray[Any]]:
    """One class of one photo by each method, and what a sliding grey square does: the arrays of `Comparison`."""
    network, targets = loaded.network, torch.tensor([target])
    patch = max(1, images.shape[-1] // 4)
    covered = explain.occlude(network, images, targets, patch=patch)
    # Zeiler and Fergus ask about the true class.
    hidden = target if label is None else label
    shown = covered if hidden == target else explain.occlude(network, images, [hidden], patch=patch)
    found = {
        # Its forward passes are the dearest part, so the square slides over the photo once for all.
        name: covered.drop if name == methods.OCCLUSION else method(network, images, targets, layer)
        for name, method in methods.METHODS.items()
    }
    first = next(iter(methods.METHODS.values()))
    earlier = [name for name in stages(network) if name != layer][-STAGES:]
    return {
        **{f"method {name}": maps[0].numpy() for name, maps in found.items()},
        **{f"layer {name}": first(network, images, targets, name)[0].numpy() for name in earlier},
        "occlusion patch": np.array(patch),
        "occlusion probability": shown.probability[0].numpy(),
        "occlusion answers": shown.predicted[0].numpy(),
        "occlusion class": np.array(hidden),
    }


def _comparison(arrays: Arrays) -> Comparison | None:
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
        contributions=arrays["contributions"].astype(np.float32),
        contributors=tuple(arrays["contributors"].tolist()),
        contributor_maps=arrays["contributor maps"].astype(np.float32),
        contributor_layer=str(arrays["contributor layer"]),
        comparison=_comparison(arrays),
    )


def strongest_patches(loaded: Loaded, pictures: Sequence[Pixels]) -> dict[str, NDArray[Any]]:
    """Where in these pictures each channel of each convolution answers most, as arrays: see `layer_patches`."""
    names = explain.convolutions(loaded.network)
    arrays: dict[str, NDArray[Any]] = {}
    for layer, found in patches.strongest(loaded.network, _batches(loaded, pictures), names).items():
        field = explain.receptive_field(loaded.network, layer, loaded.description.input_size)
        rows, columns = found.cells.numpy().transpose(2, 0, 1)
        left, top = (axis.offset + axis.jump * at for axis, at in ((field.columns, columns), (field.rows, rows)))
        right, bottom = left + field.columns.size - 1, top + field.rows.size - 1
        arrays |= {
            f"answers {layer}": found.answers.numpy(),
            f"pictures {layer}": found.images.numpy(),
            f"boxes {layer}": np.stack([left, top, right, bottom], axis=2),
            f"active {layer}": found.active.numpy(),
        }
    return arrays


def layer_patches(arrays: Arrays) -> tuple[LayerPatches, ...]:
    """The records of what `strongest_patches` found, in the order of the layers."""
    names = [key.removeprefix("answers ") for key in arrays if key.startswith("answers ")]
    return tuple(
        LayerPatches(
            layer=name,
            answers=arrays[f"answers {name}"].astype(np.float32),
            pictures=arrays[f"pictures {name}"].astype(np.int64),
            boxes=arrays[f"boxes {name}"].astype(np.int64),
            active=arrays[f"active {name}"].astype(np.float32),
        )
        for name in names
    )


def made_for_classes(loaded: Loaded) -> dict[str, NDArray[Any]]:
    """An image for each class of a network that has few of them, as arrays: see `class_images_of`."""
    classes, size = len(loaded.description.class_names), loaded.description.input_size
    if classes > ALL_CLASSES:
        return {}
    steps = CLASS_STEPS if size <= tiny_imagenet.SIDE else LARGE_CLASS_STEPS
    images = class_images.maximise(loaded.network, range(classes), size, seed=CLASS_SEED, steps=steps)
    with torch.no_grad():
        logits = loaded.network(normalise(images))
    require_finite(logits, loaded.network)
    return {
        "images": images.permute(0, 2, 3, 1).numpy(),
        "logits": logits.numpy(),
        "seed": np.array(CLASS_SEED),
        "steps": np.array(steps),
    }


def class_images_of(arrays: Arrays) -> ClassImages | None:
    """The record of what `made_for_classes` made."""
    if not arrays:
        return None
    return ClassImages(
        images=arrays["images"].astype(np.uint8),
        logits=arrays["logits"].astype(np.float32),
        seed=int(arrays["seed"]),
        steps=int(arrays["steps"]),
    )


def augmented(image: Tensor, partner: Tensor, seed: int = 4) -> tuple[tuple[str, Pixels], ...]:
    """The steps of the CNN's own augmentation on one (3, H, W) uint8 image."""
    shown = augment.steps(image, partner, STRONGEST, Generator().manual_seed(seed))
    return tuple((name, step.permute(1, 2, 0).numpy()) for name, step in shown)


def _batches(loaded: Loaded, pictures: Sequence[Pixels]) -> Iterator[Tensor]:
    """The pictures as the network is given them, a few at a time."""
    said = loaded.description
    for start in range(0, len(pictures), PATCH_BATCH):
        seen = [square(picture, said.input_size, said.resize) for picture in pictures[start : start + PATCH_BATCH]]
        yield normalise(torch.tensor(np.stack(seen)).permute(0, 3, 1, 2))


def _targets(logits: Tensor, label: int | None, other: int | None) -> list[int]:
    """All classes of a small network; of a large one the predicted, the runner-up, the true and the named one."""
    if len(logits) <= ALL_CLASSES:
        return list(range(len(logits)))
    named = [*logits.topk(2).indices.tolist(), label, other]
    return list(dict.fromkeys(target for target in named if target is not None))
