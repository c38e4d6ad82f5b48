"""The record of one network: its layers, its channels, and what its maps mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from generator import explain
from generator.networks.catalogue import Loaded
from generator.networks.folder import load_benchmark, load_card, load_runs, load_snapshots
from generator.records.network import ClassImages, ConvLayer, Examined, Explanation, LayerPatches, Network
from generator.records.scores import Evaluation

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


def network_record(
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
    shape = loaded.input.shape
    folder = loaded.folder
    return Network(
        id=loaded.id,
        title=loaded.title,
        class_names=loaded.class_names,
        parameters=sum(parameter.numel() for parameter in loaded.network.parameters()),
        macs=explain.macs(loaded.network, shape),
        input=loaded.input,
        summary=explain.summary(loaded.network, shape),
        weights_source=loaded.source,
        weights_digest=loaded.digest,
        notes=loaded.notes,
        layers=convolution_records(loaded),
        explanations=explanations,
        runs=load_runs(folder) if folder else (),
        evaluation=evaluation,
        snapshots=load_snapshots(folder) if folder else {},
        card=load_card(folder) if folder else "",
        cam_note=cam_note(loaded.network),
        failures=tuple(failures),
        benchmark=load_benchmark(folder) if folder else None,
        examined=examined,
        patches=tuple(strongest),
        class_images=made,
    )


def cam_note(network: torch.nn.Module) -> str:
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


def convolution_records(loaded: Loaded) -> tuple[ConvLayer, ...]:
    """Every convolution with its weights and what its units see."""
    size = loaded.input.size
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
