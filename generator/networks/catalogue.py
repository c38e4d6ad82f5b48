"""The networks of the report, as report.toml names them: from a model folder, a file, or as their host has them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from generator.base import own_code
from generator.base.digest import digest
from generator.base.errors import PROGRAM, InputError
from generator.config import places
from generator.config.schema import Config, ModelConfig
from generator.data.classes import Classes, shown_names
from generator.explain.passes import in_eval_mode
from generator.networks import foreign, named, recognise
from generator.networks.agreement import require_arguments, require_classes
from generator.networks.alexnet import ALEXNET
from generator.networks.architecture import Architecture, initialise, largest_output, made
from generator.networks.folder import (
    fill,
    filled,
    has_model,
    load_model,
    read_bytes,
    require_fitting,
    weights_file,
)
from generator.networks.loaded import Loaded
from generator.networks.outputs import as_logits
from generator.networks.published import imagenet_keys, of_imagenet, official, published_file, why_not
from generator.networks.small_cnn import SMALL_CNN
from generator.networks.sources import onnx_files, programs
from generator.networks.sources.timm_models import cut_from
from generator.records.input import MEAN, Input, grey, square
from generator.records.network import CLASSES, Fact, first_classes

KNOWN: Mapping[str, Architecture] = {known.name: known for known in (SMALL_CNN, ALEXNET)}
LARGEST = 1 << 28  # numbers that a layer may give for one photo: 1 GiB; AlexNet's most are 2e5
SEED = 0  # of random weights
BLIND = (
    "It takes images of {} channels, but images are read in colour or in grey here: none was shown to it, so that it "
    "has no answers, maps or patches on these pages."
)
RESTLESS = (
    "It answers the same image otherwise from one time to the next, as a dropout does that is never turned off: each "
    "number and map here is of one time."
)


def architecture_of(wanted: ModelConfig, folder: Path | None, said: str = "") -> Architecture:
    """The architecture that report.toml names, else the one that the weights say.

    Args:
        folder: report.toml's; None: of a network of no report, which has no file of code.
        said: by the weights' own description.
    Raises:
        InputError: where neither does.
    """
    name = wanted.architecture or said
    if not name:
        raise InputError(
            f'[models.{wanted.id}] architecture: expected "SmallCNN", "AlexNet", "package.module:name", '
            '"file.py:Name", "timm:NAME" or "hf:FOLDER", got none, and there are no weights that say it'
        )
    own = name in KNOWN or name.startswith("torchvision.models:")
    if not own and not wanted.architecture:  # to import what a file names would run it
        raise InputError(
            f"[models.{wanted.id}] architecture: its weights name {foreign.shown(name)}, code that no file of weights "
            "has run; name it in report.toml if you trust it"
        )
    if said and wanted.architecture not in ("", said):
        raise InputError(
            f"[models.{wanted.id}] architecture: expected that of its weights, {foreign.shown(said)}, got {name!r}"
        )
    if folder is None and named.is_file(name):
        raise InputError(f"[models.{wanted.id}] architecture {name!r}: expected a report.toml beside it, got none")
    return KNOWN.get(name) or named.architecture(name, folder or Path())


def require_present(wanted: ModelConfig) -> None:
    """Refuse a network that is not here itself, so that nothing can be asked of it.

    Raises:
        InputError: where only its answers are known.
    """
    if wanted.predictions:
        raise InputError(
            f"[models.{wanted.id}]: expected a network with weights, of this one only the answers are known, in "
            f"{wanted.predictions.name}; its scores are what `build` shows"
        )


def load(
    wanted: ModelConfig,
    config: Config,
    classes: Classes,
    *,
    size: tuple[int, int] | None = None,
    offline: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Loaded | None:
    """One network of report.toml; None where its folder holds no weights yet.

    Args:
        size: (H, W) of all images of the data set, None where they differ or there is none.
    Raises:
        InputError: where its weights are damaged, of another architecture or for other classes; for a network that
            cannot be made, or does not answer an image with a logit for each class.
    """
    require_present(wanted)
    found = _sought(wanted, config, classes, size, offline, say)
    if found is None:
        return None
    found = _tried(found)
    notes = () if found.input.takes_photos else (BLIND.format(found.input.channels),)
    return replace(found, notes=(*found.notes, *notes), shown=shown_names(classes, config.data.names))


def _sought(
    wanted: ModelConfig,
    config: Config,
    classes: Classes,
    size: tuple[int, int] | None,
    offline: bool,
    say: Callable[[str], None],
) -> Loaded | None:
    """The network from wherever its weights are."""
    if places.is_program(wanted.architecture):
        return _from_elsewhere(_whole(wanted, classes, size, config.folder), config)
    if isinstance(wanted.weights, Path):
        return _from_elsewhere(_from_file(wanted, wanted.weights, classes, size, config.folder), config)
    if wanted.weights == "random":
        return _from_elsewhere(_untrained(wanted, classes, size, config.folder), config)
    notes: tuple[str, ...] = ()
    if wanted.weights in ("imagenet", "auto"):
        read = config.models.read(wanted.id)
        said = load_model(read).description.architecture if not wanted.architecture and has_model(read) else ""
        architecture = architecture_of(wanted, config.folder, said)
        if official := architecture.official():
            names = official.class_names
            require_classes(wanted, names, imagenet_keys(names), "ImageNet's weights say", classes)
        try:
            return _from_elsewhere(_published(wanted, architecture, offline, say), config)
        except InputError as error:
            if wanted.weights == "imagenet":
                raise
            say(f"{wanted.title or architecture.title}: {error}")
            notes = (why_not(architecture, offline),)
    folder = config.models.read(wanted.id)
    found = from_folder(wanted, folder, classes, config.folder)
    if found and folder != config.models.folder / wanted.id:
        found = _from_elsewhere(found, config)
    return found and replace(found, notes=(*notes, *found.notes))


def _tried(found: Loaded) -> Loaded:
    """The same network; one of somebody else's code after it has answered an image, and then with logits."""
    several = found.wanted.multi_label
    if found.architecture.name in KNOWN and several is None:
        return found
    notes = answering(found.network, found.architecture, found.input, found.id, len(found.class_names), several)
    # What was measured of it where percentages were others is not of it.
    key = digest(found.digest, "multi_label") if found.multi_label else found.digest
    return replace(found, notes=(*found.notes, *notes), digest=key)


def answering(
    network: nn.Module,
    architecture: Architecture,
    way: Input,
    name: str,
    classes: int,
    several: bool | None = None,
) -> tuple[str, ...]:
    """Let somebody else's network answer an image with logits, in place: see `outputs.as_logits`.

    Args:
        name: of the network in report.toml.
        several: what that says of multi_label.
    Raises:
        InputError: where it does not, or not with one for each class.
    """
    if architecture.name in KNOWN and several is None:
        return ()
    what = f"[models.{name}] architecture {architecture.name!r}"
    image = torch.rand(1, *way.shape, generator=torch.Generator().manual_seed(SEED))
    with own_code.told(f"{what}: given an image of {' x '.join(map(str, way.shape))}"), in_eval_mode(network):
        notes = as_logits(network, image, classes, what, several)
        with torch.no_grad():
            first, second = network(image), network(image)
    given = tuple(first.shape)
    if given != (1, classes):
        raise InputError(
            f"{what}: expected logits of shape (1, {classes}) for an image, one for each class, got {given}; "
            "`classes` says what its outputs stand for"
        )
    if not torch.equal(first, second):
        notes = (*notes, RESTLESS)
    return notes


def from_folder(
    wanted: ModelConfig, folder: Path, classes: Classes | None = None, beside: Path | None = None
) -> Loaded | None:
    """The network of a model folder, None where it holds no weights.

    Args:
        classes: the report's; None: any will do.
        beside: report.toml's folder, below which a file of code lies; None: of no report.
    Raises:
        InputError: where they are damaged, for other classes than these, or other than report.toml says of them.
    """
    if not has_model(folder):
        return None
    model = load_model(folder)
    said = model.description
    keys = said.keys
    if classes is not None and keys != classes.keys:
        raise InputError(
            f"{folder}: expected a network for the {len(classes)} classes of the report, found one for "
            f"{len(keys)} {'others' if len(keys) == len(classes) else 'classes'}; train it for these with: "
            f"{PROGRAM} train {wanted.id}"
        )
    architecture = architecture_of(wanted, beside, said.architecture)
    file = str(weights_file(folder))
    stored = said.shape(architecture.stored)
    require_classes(wanted, said.class_names, keys, f"its weights in {file} say", classes)
    require_arguments(wanted, architecture, stored, file)
    shape = {name: value for name, value in stored.items() if name not in architecture.trained_only}
    shown = square(said.input_size, said.resize)
    way = replace(said.input or architecture.input, size=shown.size, resize=shown.resize)
    way = as_asked(way, wanted)
    _require_possible(architecture, len(said.class_names), stored, way, model.weights, file)
    weights = architecture.converted(model.weights, stored)
    make = partial(made, architecture, len(said.class_names), shape, file)
    network = filled(make, weights, file) if architecture.name in KNOWN else fill(make(), weights, file)
    return Loaded(
        id=wanted.id,
        title=wanted.title or architecture.title,
        network=network.eval(),
        architecture=architecture,
        # The report's own spelling of the names.
        class_names=said.class_names if classes is None else classes.names,
        class_keys=keys,
        input=way,
        # What report.toml says once more of them makes no other network.
        digest=_digest(model.digest, way, replace(wanted, classes=(), arguments={}), architecture),
        source=f"Trained from scratch on {len(said.class_names)} classes with this program.",
        folder=folder,
        evaluated=folder,
        wanted=wanted,
        facts=(
            Fact("architecture", architecture.name, "read", weights_file(folder).name),
            replace(_named(wanted, said.class_names), origin="read", source=weights_file(folder).name),
            *recognise.told(way, wanted, (), ("read", weights_file(folder).name)),
        ),
    )


def from_any_folder(
    folder: Path, classes: Classes, report: Config | None = None, say: Callable[[str], None] = lambda line: None
) -> Loaded:
    """The trained network of a folder that no report need name, to start or learn from.

    Args:
        report: whose networks name the code that may be run, and below whose folder it lies; None: none may be.
    Raises:
        InputError: where there is none, and as `from_folder`; for code that the report does not name, and for a file
            of code beside weights from outside the report, where another file may have that name.
    """
    if not has_model(folder):
        raise InputError(f"{folder}: expected a trained model, found no weights")
    name = load_model(folder).description.architecture
    own = name in KNOWN or name.startswith("torchvision.models:")
    trusted = {network.architecture for network in report.models.networks} if report else set()
    if not own and name not in trusted:
        raise InputError(
            f"{folder}: expected weights of SmallCNN, AlexNet or an architecture that report.toml names, found "
            f"those of {foreign.shown(name)}, code that no file of weights has run; if you trust it, name it there"
        )
    if named.is_file(name) and report and not folder.resolve().is_relative_to(report.folder.resolve()):
        raise InputError(
            f"{folder}: expected a model below {report.folder}, where its {foreign.shown(name)} lies, found one "
            "elsewhere, where another file may have that name; copy the model to there"
        )
    if report:
        say(places.code_line(report, name))
    found = from_folder(ModelConfig(folder.name, architecture=name), folder, classes, report.folder if report else None)
    assert found is not None
    return found


def as_asked(way: Input, wanted: ModelConfig, share: float = 0.0) -> Input:
    """The input with what report.toml says of it; a new size takes the old resize with it.

    Args:
        share: of the resized image's side that is cut out, where the architecture says that.
    Raises:
        InputError: where that does not fit together.
    """
    given: dict[str, Any] = wanted.input.given
    if "size" in given and "resize" not in given:
        given = {"resize": 0 if way.crop == "none" else cut_from(given["size"], share), **given}
    asked = replace(way, **given)
    mean, std = (_of_channels(wanted, name, getattr(asked, name), asked.channels) for name in ("mean", "std"))
    asked = replace(asked, mean=mean, std=std)
    if asked.crop != "none" and 0 < asked.resize < min(asked.size):
        raise InputError(
            f"[models.{wanted.id}] input: expected a resize of at least the shorter side of size, {min(asked.size)}, "
            f"got {asked.resize}"
        )
    return asked


def _of_channels(wanted: ModelConfig, name: str, values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """A number for each channel: of one for all, or of those of red, green and blue for grey."""
    if len(values) == channels:
        return values
    if len(values) == 1:
        return values * channels
    if channels == 1 and len(values) == len(MEAN):
        return grey(values)
    raise InputError(f"[models.{wanted.id}] input: expected a {name} of {channels} numbers, one for each channel")


def _digest(weights: str, way: Input, wanted: ModelConfig, architecture: Architecture) -> str:
    """The weights' own digest, and another one where report.toml or somebody's code makes another network of them."""
    if not wanted.input.given and not wanted.classes and not wanted.arguments and not architecture.code:
        return weights
    which = (architecture.code, architecture.name) if architecture.code else (architecture.code,)
    return digest(weights, way, wanted.classes, dict(wanted.arguments), *which)


def _from_elsewhere(found: Loaded, config: Config) -> Loaded:
    """With a folder of its own for what `evaluate` measures: models/<id>-<first digits of the weights' digest>."""
    return replace(found, evaluated=config.models.folder / f"{found.id}-{found.digest[:8]}")


def _outputs(
    wanted: ModelConfig, classes: Classes, architecture: Architecture | None = None
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Names and keys of the outputs in their order, and what readers should know of how that order was found.

    report.toml's names go before those that the architecture's own files say.
    """
    read = architecture.class_names if architecture else ()
    notes: tuple[str, ...] = ()
    if architecture and read and wanted.classes and read != wanted.classes:
        others = ", ".join(read[:3]) + ", …" * (len(read) > 3)
        notes = (f"Its {architecture.classes_in} names the outputs otherwise: {others}.",)
    if not wanted.classes and not read:
        note = "The order of its outputs was not declared: they are taken to be the report's classes in its order."
        return classes.names, classes.keys, (note,)
    key_of = {**dict(zip(classes.names, classes.keys, strict=True)), **{key: key for key in classes.keys}}
    name_of = dict(zip(classes.keys, classes.names, strict=True))
    named_so = wanted.classes or read
    keys = tuple(key_of.get(entry, entry) for entry in named_so)
    if not wanted.classes:  # ImageNet has two cranes
        keys = tuple(f"{key} ({place})" if key in keys[:place] else key for place, key in enumerate(keys))
    if repeated := [key for key in dict.fromkeys(keys) if keys.count(key) > 1]:
        raise InputError(
            f"[models.{wanted.id}] classes: expected different classes, got {repeated[0]!r} more than once"
        )
    return tuple(name_of.get(key, entry) for key, entry in zip(keys, named_so, strict=True)), keys, notes


def _recognised(weights: Mapping[str, Tensor], classes: int) -> str:
    """The program's own architecture whose tensors' names most of a file's end with; "" where there is none."""
    shares = {}
    for name, architecture in KNOWN.items():
        with torch.device("meta"):
            wanted = architecture.construct(classes).state_dict()
        ends = {
            end for held in weights for end in (held, *(held[at + 1 :] for at, sign in enumerate(held) if sign == "."))
        }
        shares[name] = sum(each in ends for each in wanted) / len(wanted)
    best = max(shares, key=lambda name: shares[name])
    return best if shares[best] > 0.5 else ""


def _from_file(wanted: ModelConfig, path: Path, classes: Classes, size: tuple[int, int] | None, beside: Path) -> Loaded:
    """Weights in somebody's file, for the architecture that report.toml names, else for that whose tensors they are."""
    architecture = architecture_of(wanted, beside) if wanted.architecture else None
    given = foreign.load(path, wanted.weights_key)
    names, keys, notes = _outputs(wanted, classes, architecture)
    architecture = architecture or architecture_of(wanted, beside, _recognised(given.weights, len(names)))
    way = as_asked(architecture.input, wanted)
    with torch.device("meta"):
        sketch = made(architecture, len(names), wanted.arguments, f"[models.{wanted.id}] arguments").eval()
    given = replace(given, weights=dict(architecture.renamed(given.weights, sketch)))
    found = foreign.fitted(given, sketch.state_dict(), str(path))
    known = not wanted.classes and not architecture.class_names and of_imagenet(sketch.state_dict(), found.weights)
    if known:
        names, keys, notes = known, imagenet_keys(known), (f"It has {len(known)} outputs: ImageNet's classes.",)
        with torch.device("meta"):
            sketch = made(architecture, len(names), wanted.arguments, f"[models.{wanted.id}] arguments").eval()
    declared = f"[models.{wanted.id}] classes" if wanted.classes else ""
    require_fitting(sketch, found.weights, str(path), declared)  # before memory is asked for
    _require_possible(architecture, len(names), wanted.arguments, way, found.weights, str(path))
    network = fill(
        made(architecture, len(names), wanted.arguments, f"[models.{wanted.id}] arguments"), found.weights, str(path)
    )
    way, seen = _seen(network, architecture, wanted, size)
    return Loaded(
        id=wanted.id,
        title=wanted.title or architecture.title,
        network=network.eval(),
        architecture=architecture,
        class_names=names,
        class_keys=keys,
        input=way,
        digest=_digest(hashlib.sha256(read_bytes(path)).hexdigest(), way, wanted, architecture),
        source=f"Loaded from the file {path.name}.",
        notes=(*notes, *found.notes),
        epoch=found.epoch,
        wanted=wanted,
        facts=(
            _made_by(wanted, architecture, path.name),
            Fact("weights", f"under {foreign.shown(given.key)}" if given.key else "all of the file", "read", path.name),
            replace(_named(wanted, names), source="as many as ImageNet has, in its order")
            if known
            else _named(wanted, names, architecture),
            *seen,
        ),
    )


def _whole(wanted: ModelConfig, classes: Classes, size: tuple[int, int] | None, beside: Path) -> Loaded:
    """A whole network from a file, with its weights."""
    architecture = architecture_of(wanted, beside)
    what = f"[models.{wanted.id}] architecture {architecture.name!r}"
    if wanted.arguments:
        raise InputError(f"[models.{wanted.id}] arguments: expected none beside a whole network, which is made already")
    path = beside / architecture.name
    program = onnx_files.load(path) if path.suffix == ".onnx" else programs.load(path)
    architecture = replace(
        architecture,
        code=program.sha256,
        class_names=program.class_names,
        classes_in=path.name,
        **programs.input_of(program, path.name),
    )
    names, keys, notes = _outputs(wanted, classes, architecture)
    network, opaque = program.network, program.opaque
    way, seen = _seen(network, architecture, wanted, size)
    if opaque:
        with own_code.told(f"{what}: given an image of {' x '.join(map(str, way.shape))}"):
            sample = torch.zeros(1, *way.shape)
            network, more = programs.opaque(network, program.batch, sample, len(names), what, wanted.multi_label)
        notes = (*notes, *more)
    return Loaded(
        id=wanted.id,
        title=wanted.title or architecture.title,
        network=network,
        architecture=architecture,
        class_names=names,
        class_keys=keys,
        input=way,
        digest=_digest(program.sha256, way, wanted, architecture),
        source=f"Loaded from the file {path.name}, which holds the whole network.",
        notes=notes,
        wanted=wanted,
        facts=(
            _made_by(wanted, architecture, path.name),
            Fact("weights", "all of the file", "read", path.name),
            _named(wanted, names, architecture),
            *seen,
        ),
        opaque=opaque,
    )


def _untrained(wanted: ModelConfig, classes: Classes, size: tuple[int, int] | None, beside: Path) -> Loaded:
    """A network as it starts."""
    architecture = architecture_of(wanted, beside)
    names, keys, notes = _outputs(wanted, classes, architecture)
    way = as_asked(architecture.input, wanted)
    network = initialise(
        made(architecture, len(names), wanted.arguments, f"[models.{wanted.id}] arguments"), SEED
    ).eval()
    way, seen = _seen(network, architecture, wanted, size)
    return Loaded(
        id=wanted.id,
        title=wanted.title or architecture.title,
        network=network,
        architecture=architecture,
        class_names=names,
        class_keys=keys,
        input=way,
        digest=_digest(digest(architecture.name, len(names), SEED), way, wanted, architecture),
        source="Its weights are random: it has learnt nothing.",
        wanted=wanted,
        notes=notes if wanted.classes else (),
        facts=(_made_by(wanted, architecture, ""), _named(wanted, names, architecture), *seen),
    )


def _seen(
    network: nn.Module, architecture: Architecture, wanted: ModelConfig, size: tuple[int, int] | None
) -> tuple[Input, tuple[Fact, ...]]:
    """How a network takes images: as report.toml says, else as shows, else as is usual."""
    usual, usual_for = architecture.input, architecture.usual_for
    found: tuple[Fact, ...] = ()
    if architecture.name not in KNOWN:
        usual, found = recognise.input_of(
            network, usual, wanted, size, usual_for, architecture.told, architecture.share
        )
    way = as_asked(usual, wanted, architecture.share)
    told = f"{usual_for} is used so" if usual_for else "nobody said it: what is most usual"
    return way, recognise.told(way, wanted, found, ("assumed", told), known=architecture.told)


def _made_by(wanted: ModelConfig, architecture: Architecture, file: str) -> Fact:
    if wanted.architecture:
        name = architecture.name
        if name.startswith(places.FOLDER):  # where on this machine it lies is nobody's business
            name = places.FOLDER + Path(name.removeprefix(places.FOLDER)).name
        return Fact("architecture", name, "declared", wanted.said_in)
    return Fact("architecture", architecture.name, "inferred", f"the names of the tensors in {file} are its")


def _named(wanted: ModelConfig, names: Sequence[str], architecture: Architecture | None = None) -> Fact:
    value = first_classes(names)
    if wanted.classes:
        return Fact(CLASSES, value, "declared", wanted.said_in)
    if architecture and architecture.class_names:
        return Fact(CLASSES, value, "read", architecture.classes_in)
    return Fact(CLASSES, value, "assumed", "the data set's classes in its order")


def _require_possible(
    architecture: Architecture,
    classes: int,
    shape: Mapping[str, Any],
    way: Input,
    weights: Mapping[str, Tensor],
    source: str,
) -> None:
    """Before memory is asked for: whether the weights fit the description, and a photo passes through the network.

    Raises:
        InputError: where they do not, or a layer would give more than LARGEST numbers.
    """
    if architecture.name not in KNOWN:
        return
    size = " x ".join(map(str, way.size))
    try:
        with torch.device("meta"):
            network = architecture.construct(classes, **shape)
        require_fitting(network, weights, source)
        most = largest_output(network, way.shape)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(f"{source}: its description: {' '.join(str(error).split())[:200]}") from error
    except (RuntimeError, OverflowError) as error:
        raise InputError(
            f"{source}: its description: expected sizes through which a photo of {size} pixels can pass, "
            f"found some that do not fit ({str(error).splitlines()[0][:100]})"
        ) from error
    if most > LARGEST:
        raise InputError(
            f"{source}: its description: expected a layer to give at most {LARGEST:,} numbers, found {most:,} "
            f"for a photo of {size} pixels"
        )


def _published(wanted: ModelConfig, architecture: Architecture, offline: bool, say: Callable[[str], None]) -> Loaded:
    """A network with ImageNet's weights, from torch's cache or downloaded into it."""
    host = official(wanted, architecture)
    path = published_file(host, architecture.title, offline, say)
    way = as_asked(host.input, wanted)
    network = made(architecture, len(host.class_names), wanted.arguments, f"[models.{wanted.id}] arguments")
    fill(network, foreign.load(path).weights, str(path))
    return Loaded(
        id=wanted.id,
        title=wanted.title or architecture.title,
        network=network.eval(),
        architecture=architecture,
        class_names=host.class_names,
        class_keys=imagenet_keys(host.class_names),
        input=way,
        digest=_digest(hashlib.sha256(read_bytes(path)).hexdigest(), way, wanted, architecture),
        source=(
            f"ImageNet's weights (torchvision, {host.name}): trained on 1.28 million photos of 1000 classes, "
            "for non-commercial research by ImageNet's terms."
        ),
        wanted=wanted,
        facts=(
            _made_by(wanted, architecture, path.name),
            replace(_named(wanted, host.class_names), origin="read", source=f"torchvision, {host.name}"),
            *recognise.told(way, wanted, (), ("read", f"torchvision, {host.name}")),
        ),
    )
