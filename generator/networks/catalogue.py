"""The networks that stand behind the names "cnn" and "alexnet": from a model folder, from a file, or ImageNet's."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import AlexNet_Weights

from generator import explain
from generator.base.errors import InputError
from generator.config import digests, places
from generator.config.schema import Config, ModelConfig
from generator.data.classes import IMAGENET_INDEX, Classes
from generator.data.download import fetch_file
from generator.networks import foreign
from generator.networks.alexnet import alexnet, widen
from generator.networks.architecture import construct, target_layer
from generator.networks.folder import (
    Description,
    fill,
    has_model,
    load_model,
    read_bytes,
    require_fitting,
    weights_file,
)
from generator.networks.small_cnn import WIDTHS

TITLES = {"cnn": "SmallCNN", "alexnet": "AlexNet"}
INPUTS = {"cnn": 64, "alexnet": 128}
LARGEST = 1 << 28  # numbers that a layer may give for one photo: 1 GiB; AlexNet's most are 2e5
ARCHITECTURES = {"cnn": "SmallCNN", "alexnet": "AlexNet"}

_URL = str(AlexNet_Weights.IMAGENET1K_V1.url)


@dataclass(frozen=True)
class Official:
    """A file of weights as its host publishes it."""

    url: str
    size: int  # bytes
    sha256: str  # its first digits are enough


# torchvision's file names carry the first digits of their sha256.
IMAGENET = Official(_URL, 244_408_911, _URL.rsplit("-", 1)[1].removesuffix(".pth"))


@dataclass(frozen=True)
class Loaded:
    """A network with its weights, ready to be looked at."""

    id: str
    network: nn.Module
    description: Description
    digest: str  # sha256 of the weights' file
    source: str  # one sentence: where the weights come from
    notes: tuple[str, ...] = ()
    folder: Path | None = None  # with the records of its training; None: it was trained elsewhere
    # Where what is measured of it is kept: `folder` if that is the report's own, else one for these weights alone.
    evaluated: Path | None = None

    @property
    def title(self) -> str:
        """As the pages name it."""
        return TITLES.get(self.id, self.id)

    @property
    def class_of(self) -> dict[str, int]:
        """wnid -> index among this network's classes."""
        if self.description.wnids:
            return {wnid: index for index, wnid in enumerate(self.description.wnids)}
        return dict(IMAGENET_INDEX)


def load(
    name: str,
    config: Config,
    classes: Classes,
    *,
    offline: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Loaded | None:
    """The network that report.toml asks for under `name`; None where its folder holds no weights yet.

    Raises:
        InputError: where its weights are damaged, of another architecture or for other classes.
    """
    wanted: ModelConfig = getattr(config.models, name)
    if isinstance(wanted.weights, Path):
        return _from_elsewhere(_from_file(name, wanted.weights, classes), config)
    notes: tuple[str, ...] = ()
    if wanted.weights in ("imagenet", "auto"):
        try:
            return _from_elsewhere(_from_imagenet(name, offline, say), config)
        except InputError as error:
            if wanted.weights == "imagenet":
                raise
            say(f"{TITLES[name]}: {error}")
            # The page says what happened, not where on this machine.
            if digests.exists(places.imagenet_file()):
                why = "the file on this machine is not the official one"
            else:
                why = f"are not on this machine and {'the build was offline' if offline else 'could not be downloaded'}"
            notes = (f"ImageNet's weights were asked for first, but {why}.",)
    folder = config.models.read(name)
    found = from_folder(name, folder, classes)
    if found and folder != config.models.folder / name:
        found = _from_elsewhere(found, config)
    return found and replace(found, notes=notes)


def from_folder(name: str, folder: Path, classes: Classes | None = None) -> Loaded | None:
    """The network of a model folder, None where it holds no weights.

    Raises:
        InputError: where they are damaged, or for other classes than these.
    """
    if not has_model(folder):
        return None
    model = load_model(folder)
    said = model.description
    if classes is not None and said.wnids != classes.wnids:
        raise InputError(
            f"{folder}: expected a network for the {len(classes)} classes of the report, found one for "
            f"{len(said.wnids)} {'others' if len(said.wnids) == len(classes) else 'classes'}; train it for these with: "
            f"python -m generator train {name}"
        )
    file = str(weights_file(folder))
    _require_possible(said, model.weights, file)
    weights = widen(model.weights, said.grid) if said.architecture == "AlexNet" else model.weights
    network = fill(_constructed(replace(said, grid=6)), weights, file)
    names = ", ".join(said.class_names[:3])
    source = f"Trained from scratch on {len(said.class_names)} classes ({names}, …) with this program."
    if classes is not None:  # the report's own spelling of the names
        said = replace(said, class_names=classes.names)
    return Loaded(name, network.eval(), said, model.digest, source, folder=folder, evaluated=folder)


def _from_elsewhere(found: Loaded, config: Config) -> Loaded:
    """With a folder of its own for what `evaluate` measures: models/<name>-<first digits of the weights' digest>."""
    return replace(found, evaluated=config.models.folder / f"{found.id}-{found.digest[:8]}")


def _from_file(name: str, path: Path, classes: Classes) -> Loaded:
    """Weights of our own architectures in somebody's file."""
    size = INPUTS[name]
    said = Description(ARCHITECTURES[name], classes.names, classes.wnids, size, size, WIDTHS)
    found = foreign.fitted(foreign.load(path), _on_meta(said).state_dict(), str(path))
    _require_possible(said, found.weights, str(path))
    network = fill(_constructed(said), found.weights, str(path))
    digest = hashlib.sha256(read_bytes(path)).hexdigest()
    return Loaded(name, network.eval(), said, digest, f"Loaded from the file {path.name}.", found.notes)


def _constructed(said: Description) -> nn.Module:
    """The network of a description, without weights."""
    if said.architecture == "AlexNet":
        found: nn.Module = alexnet(len(said.class_names), said.grid)
        return found
    shape = {"widths": said.widths, "depths": said.depths, "kernel": said.kernel, "pool": said.pool}
    return construct(said.architecture, len(said.class_names), **shape)


def _on_meta(said: Description) -> nn.Module:
    """The same on the device meta, where it has shapes and no values and takes no memory."""
    with torch.device("meta"):
        return _constructed(said).eval()


def _require_possible(said: Description, weights: Mapping[str, Tensor], source: str) -> None:
    """Before memory is asked for: whether the weights fit the description, and a photo passes through the network.

    Raises:
        InputError: where they do not, or a layer would give more than LARGEST numbers.
    """
    sizes: list[int] = []
    try:
        network = _on_meta(said)
        require_fitting(network, weights, source)
        for module in network.modules():
            module.register_forward_hook(lambda _module, _args, output: sizes.append(torch.as_tensor(output).numel()))
        network(torch.empty(1, 3, said.input_size, said.input_size, device="meta"))
    except (RuntimeError, OverflowError) as error:
        raise InputError(
            f"{source}: its description: expected sizes through which a photo of {said.input_size} pixels can pass, "
            f"found some that do not fit ({str(error).splitlines()[0][:100]})"
        ) from error
    if max(sizes) > LARGEST:
        raise InputError(
            f"{source}: its description: expected a layer to give at most {LARGEST:,} numbers, found {max(sizes):,} "
            f"for a photo of {said.input_size} pixels"
        )


def _from_imagenet(name: str, offline: bool, say: Callable[[str], None]) -> Loaded:
    """torchvision's AlexNet with ImageNet's weights, from torch's cache or downloaded into it."""
    path = imagenet_file(offline, say)
    network = alexnet(1000)
    fill(network, foreign.load(path).weights, str(path))
    names = tuple(AlexNet_Weights.IMAGENET1K_V1.meta["categories"])
    said = Description("AlexNet", names, (), 224, 256)
    source = (
        "ImageNet's weights (torchvision, IMAGENET1K_V1): trained on 1.28 million photos of 1000 classes, "
        "for non-commercial research by ImageNet's terms."
    )
    return Loaded(name, network.eval(), said, hashlib.sha256(read_bytes(path)).hexdigest(), source)


def imagenet_file(offline: bool, say: Callable[[str], None], path: Path | None = None) -> Path:
    """The official file in torch's own cache, downloaded there where it is missing; its hash is checked each time.

    Raises:
        InputError: where it is not there and cannot be had, cannot be read, or its hash is wrong.
    """
    path = path or places.imagenet_file()
    if not digests.exists(path):
        if offline:
            raise InputError(f"{path}: expected ImageNet's weights, they are not there and the build is offline")
        if path.parts[0].startswith("~"):
            raise InputError(f"{path}: expected a folder for ImageNet's weights, there is no such home; set TORCH_HOME")
        say(f"AlexNet: downloading ImageNet's weights ({IMAGENET.size / 1e6:.0f} MB)")
        advice = f"or put a copy of it at {path}"
        fetch_file(path, IMAGENET.url, IMAGENET.size, IMAGENET.sha256, advice, pause=0.2)
    elif not hashlib.sha256(read_bytes(path)).hexdigest().startswith(IMAGENET.sha256):
        raise InputError(
            f"{path}: expected sha256 {IMAGENET.sha256}…, found another; delete the file to download it again"
        )
    return path


def layer_of(network: nn.Module, side: int) -> str:
    """The layer that a network is explained at where none is named.

    Args:
        side: of the images that the network takes.
    """
    return target_layer(network) or explain.choose_layer(network, torch.zeros(1, 3, side, side))
