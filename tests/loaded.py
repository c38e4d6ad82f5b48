"""A network as the report loads it, made of a module and a few facts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from generator.config.schema import ModelConfig
from generator.networks.alexnet import ALEXNET, AlexNet
from generator.networks.architecture import GENERAL, Architecture
from generator.networks.loaded import Loaded
from generator.networks.small_cnn import SMALL_CNN, SmallCNN
from generator.records.input import Input, square


def architecture_of(network: nn.Module) -> Architecture:
    """What the program knows of a network's kind: its own, or as little as of somebody else's."""
    if isinstance(network, SmallCNN):
        return SMALL_CNN
    if isinstance(network, AlexNet):
        return ALEXNET
    name = f"tests:{type(network).__name__}"
    return Architecture(name, "a network", type(network), square(64), f"a network of the architecture {name}", GENERAL)


def loaded(
    network: nn.Module,
    class_names: Sequence[str],
    way: Input | None = None,
    *,
    keys: Sequence[str] = (),
    digest: str = "ab" * 32,
    folder: Path | None = None,
    layer: str = "",
) -> Loaded:
    """The network "cnn" in eval mode, what is measured of it kept where it was trained.

    Args:
        way: how it takes images; None: as its architecture does.
        keys: of its classes; (): their names.
        layer: as report.toml may name it.
    """
    architecture = architecture_of(network)
    return Loaded(
        id="cnn",
        title=architecture.title,
        network=network.eval(),
        architecture=architecture,
        class_names=tuple(class_names),
        class_keys=tuple(keys or class_names),
        input=way or architecture.input,
        digest=digest,
        source="made for a test",
        folder=folder,
        evaluated=folder,
        wanted=ModelConfig("cnn", layer=layer),
    )
