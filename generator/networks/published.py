"""Weights as their host publishes them: ImageNet's, from torch's own cache or downloaded into it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from generator.base.errors import InputError
from generator.config import places
from generator.config.schema import ModelConfig
from generator.data.classes import IMAGENET_INDEX
from generator.data.download import fetch_file
from generator.networks.alexnet import ALEXNET
from generator.networks.architecture import Architecture, Official
from generator.networks.folder import read_bytes


def official(wanted: ModelConfig, architecture: Architecture) -> Official:
    """What is known of an architecture's published weights.

    Raises:
        InputError: where nothing is.
    """
    found = architecture.official()
    if found is None:
        raise InputError(
            f"[models.{wanted.id}] weights: expected a file, there are no published weights of {architecture.title} "
            "that the program knows"
        )
    return found


def of_imagenet(wanted: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> tuple[str, ...]:
    """ImageNet's classes where the last tensors are for as many, and not for those that are wanted; else ()."""
    official = ALEXNET.official()
    names = official.class_names if official else ()
    other = [name for name, tensor in wanted.items() if name in weights and weights[name].shape != tensor.shape]
    last = bool(other) and list(wanted)[-len(other) :] == other
    return names if last and all(len(weights[name]) == len(names) for name in other) else ()


def imagenet_keys(names: Sequence[str]) -> tuple[str, ...]:
    """The wnid of each of ImageNet's classes that the program knows, else its name."""
    wnids = {index: wnid for wnid, index in IMAGENET_INDEX.items()}
    return tuple(wnids.get(index, name) for index, name in enumerate(names))


def why_not(architecture: Architecture, offline: bool) -> str:
    """What the page says where ImageNet's weights could not be had; not where on this machine."""
    official = architecture.official()
    if official is None:
        return f"ImageNet's weights were asked for first, but none of {architecture.title} are published."
    if places.exists(places.published_weights() / official.url.rsplit("/", 1)[1]):
        why = "the file on this machine is not the official one"
    else:
        why = f"are not on this machine and {'the build was offline' if offline else 'could not be downloaded'}"
    return f"ImageNet's weights were asked for first, but {why}."


def published_file(
    official: Official, title: str, offline: bool, say: Callable[[str], None], path: Path | None = None
) -> Path:
    """The official file in torch's own cache, downloaded there where it is missing; its hash is checked each time.

    Raises:
        InputError: where it is not there and cannot be had, cannot be read, or its hash is wrong.
    """
    path = path or places.published_weights() / official.url.rsplit("/", 1)[1]
    if not places.exists(path):
        if offline:
            raise InputError(f"{path}: expected ImageNet's weights, they are not there and the build is offline")
        say(f"{title}: downloading ImageNet's weights ({official.size / 1e6:.0f} MB)")
        advice = f"or put a copy of it at {path}"
        fetch_file(path, official.url, official.size, official.sha256, advice, pause=0.2)
    elif not hashlib.sha256(read_bytes(path)).hexdigest().startswith(official.sha256):
        raise InputError(
            f"{path}: expected sha256 {official.sha256}…, found another; delete the file to download it again"
        )
    return path
