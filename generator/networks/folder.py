"""A model's folder: weights.safetensors, history.json, snapshots.safetensors, evaluation.json, class-images.webp,
maps.safetensors, patches.safetensors, README.md, and the resume.safetensors of a run that is not finished. The one
door to models/; everything is written atomically.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from msgspec import Meta
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from generator.base import files
from generator.base.errors import InputError, reason
from generator.data import image_files
from generator.networks import compress, foreign
from generator.records import consistent, stored
from generator.records.images import MAX_PIXELS, Arrays, Floats, Pixels
from generator.records.input import Input
from generator.records.ranges import Count, Name
from generator.records.scores import Evaluation
from generator.records.training import Benchmark, Epoch, Run

WEIGHTS, SMALL = "weights.safetensors", "weights.safetensors.xz"
RESUME, SNAPSHOTS = "resume.safetensors", "snapshots.safetensors"
HISTORY, EVALUATION, CARD = "history.json", "evaluation.json", "README.md"
BENCHMARK, CLASS_IMAGES = "benchmark.json", "class-images.webp"
MAPS, PATCHES = "maps.safetensors", "patches.safetensors"
ANEW = "delete it, `evaluate` makes it anew"
OTHERWISE = "train it again, or name somebody else's file as the weights of [models.<name>] in report.toml"

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Description:
    """What a weights file says about itself: enough to make the network and feed it."""

    architecture: Name  # its word alone has no code imported, see `catalogue.architecture_of`
    class_names: tuple[Name, ...]
    wnids: tuple[Name, ...]
    input_size: Annotated[int, Meta(ge=1, le=1024)]
    resize: Annotated[int, Meta(ge=1, le=4096)]  # the shorter side of a photo before the centre crop
    widths: tuple[Annotated[int, Meta(ge=1, le=65536)], ...] = ()  # with the next three: SmallCNN's shape
    depths: tuple[Annotated[int, Meta(ge=1, le=100)], ...] = ()
    kernel: Annotated[int, Meta(ge=1, le=99)] = 5
    pool: Literal["max", "average"] = "max"
    grid: Literal[1, 2, 3, 6] = 6  # AlexNet's pooled features are grid x grid; see `networks.alexnet`
    arguments: Mapping[str, Any] = field(default_factory=dict)  # of any other architecture's constructor
    input: Input | None = None  # where it is not the architecture's own; of its size what stands above

    @property
    def keys(self) -> tuple[str, ...]:
        """What tells each class in a data set."""
        return self.wnids or self.class_names

    def shape(self, names: Sequence[str]) -> dict[str, Any]:
        """The arguments of the constructor, among them those that stand here by name."""
        return {**{name: getattr(self, name) for name in names}, **self.arguments}


@dataclass(frozen=True)
class Model:
    """A model as it lies on disk."""

    description: Description
    weights: Weights  # float32
    digest: str  # sha256 of the file


def save_model(folder: Path, weights: Mapping[str, Tensor], description: Description, *, small: bool = False) -> None:
    """Write weights.safetensors: floating-point tensors as float16, the description in the file's header.

    With `small` weights.safetensors.xz instead, encoded as `compress` does; the other of the two files is removed.
    """
    header = {"description": json.dumps(asdict(description))}
    if small:
        write(folder / SMALL, compress.squeeze(save(flat(compress.encode(weights)), header)))
    else:
        halved = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
        write(folder / WEIGHTS, save(flat(halved), header))
    (folder / (WEIGHTS if small else SMALL)).unlink(missing_ok=True)


def has_model(folder: Path) -> bool:
    """Whether a model's weights lie in the folder."""
    return (folder / WEIGHTS).exists() or (folder / SMALL).exists()


def load_model(folder: Path) -> Model:
    """Read a model's weights.

    Raises:
        InputError: where they are missing, cut short, or no model of ours.
    """
    path = weights_file(folder)
    small = path.name == SMALL
    content = read_bytes(path)
    try:
        tensors, metadata = _tensors(compress.stretch(content) if small else content)
    except (SafetensorError, KeyError, lzma.LZMAError, EOFError) as error:
        raise _damaged(path, error) from error
    if "description" not in metadata:
        raise InputError(f"{path}: expected a model written by this program, found no description of it; {OTHERWISE}")
    source = f"{path}: its description"
    description = stored.decode(Description, metadata["description"], source, OTHERWISE)
    for place, expected, found in _faults(description):
        raise InputError(f"{source}: {place}: expected {expected}, found {found}; {OTHERWISE}")
    try:
        weights = compress.decode(tensors)
    except (LookupError, TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise InputError(f"{path}: expected weights as `compress` codes them, found others; {OTHERWISE}") from error
    return Model(description, weights, hashlib.sha256(content).hexdigest())


def weights_file(folder: Path) -> Path:
    """Where a folder's weights lie, in the small form where there is one."""
    return folder / (SMALL if (folder / SMALL).exists() else WEIGHTS)


def read_bytes(path: Path) -> bytes:
    """What a file of weights holds.

    Raises:
        InputError: where it is missing, cannot be read, or is no file.
    """
    return stored.content_of(path, foreign.WHAT, foreign.LARGEST)


def filled(make: Callable[[], torch.nn.Module], weights: Mapping[str, Tensor], source: str) -> torch.nn.Module:
    """A network with these weights in the place of its own, which are never made: half of the memory, and no time.

    Args:
        make: makes the network, of layers that hold parameters and buffers alone, so that it can be on the device meta.
        weights: become the network's own where they are all that it has; else they are copied, as `fill` does.
    Raises:
        InputError: as `fill`.
    """
    with torch.device("meta"):
        network = make()
    wanted = network.state_dict()
    if any(name not in weights for name in wanted):  # a counter that old files have not
        return fill(make(), weights, source)
    return fill(network, weights, source)


def fill(network: torch.nn.Module, weights: Mapping[str, Tensor], source: str) -> torch.nn.Module:
    """Put weights into a network; one on the device meta has them themselves from then on.

    Raises:
        InputError: naming the first tensor that is missing, superfluous, of another shape or kind, or not finite.
    """
    require_fitting(network, weights, source)
    for name, tensor in weights.items():
        # A finite sum has finite terms, and costs a hundredth of looking at each of them.
        if not tensor.sum().isfinite() and not tensor.isfinite().all():
            raise InputError(
                f"{source}: expected finite numbers in {name}, found NaN or infinity: the training diverged or the "
                "file is damaged; train it again or name another file"
            )
    wanted = network.state_dict()
    bare = any(tensor.is_meta for tensor in wanted.values())
    given = {name: tensor.to(wanted[name].dtype).contiguous() for name, tensor in weights.items()} if bare else weights
    network.load_state_dict(dict(given), assign=bare)
    return network


def require_fitting(network: torch.nn.Module, weights: Mapping[str, Tensor], source: str, declared: str = "") -> None:
    """Whether weights have the names, shapes and kinds of a network's, which may be on the device meta.

    Args:
        declared: the key that says what its outputs stand for, and so how many they are; "": none does.
    Raises:
        InputError: naming the first tensor that has not, and the likeliest cause.
    """
    kind = type(network).__name__
    # Batch norms' counters are in no file of torch before 0.4.1; load_state_dict does without them.
    wanted = {name: each for name, each in network.state_dict().items() if name in weights or not _is_counter(name)}
    missing, extra = [name for name in wanted if name not in weights], [name for name in weights if name not in wanted]
    if missing:
        there = f"instead there is {_first(sorted(extra)) or 'nothing'}"
        if weights and not extra:
            there = f"only {len(weights):,} of its {len(wanted):,} tensors are there"
        cause = "another architecture" if len(missing) > len(wanted) / 2 else "another version of it, or a part"
        raise InputError(
            f"{source}: expected a tensor {missing[0]} for {kind}, found none{_nor(missing[1:])}; {there}: "
            f"weights of {cause}; name the right file or save the whole state dict"
        )
    if extra:
        raise InputError(
            f"{source}: expected the tensors of {kind}, found also {foreign.shown(extra[0])}: weights of a larger "
            "network; name the right file"
        )
    other = [name for name, tensor in wanted.items() if weights[name].shape != tensor.shape]
    if other:
        found, expected = (tuple(of[other[0]].shape) for of in (weights, wanted))
        rows = {(tuple(weights[name].shape[1:]), wanted[name].shape[1:]) for name in other}
        last = list(wanted)[-len(other) :] == other and all(one == another for one, another in rows)
        if last and found and declared:
            raise InputError(
                f"{declared}: expected {found[0]:,} names, one for each output of {source}, got {expected[0]:,}"
            )
        cause = f"a model with another number of classes, {found[:1][0]}" if last and found else "another architecture"
        raise InputError(
            f"{source}: expected {other[0]} of shape {expected}, found {found}: {cause}; train it again or name the "
            "right file"
        )
    for name, tensor in wanted.items():
        if tensor.is_floating_point() != weights[name].is_floating_point() or weights[name].is_complex():
            raise InputError(
                f"{source}: expected {'floating-point' if tensor.is_floating_point() else 'whole'} numbers in {name}, "
                f"found {str(weights[name].dtype).removeprefix('torch.')}; save the weights as they were trained"
            )


def _is_counter(name: str) -> bool:
    return name.rpartition(".")[2] == "num_batches_tracked"


def _nor(names: Sequence[str]) -> str:
    """Up to four more names, as what comes after "none"."""
    return f", nor {_first(names[:4])}{', …' if len(names) > 4 else ''}" if names else ""


def _first(names: Sequence[str]) -> str:
    """The first five names, and whether there are more."""
    return ", ".join(foreign.shown(name) for name in names[:5]) + (", …" if len(names) > 5 else "")


def require_usable(folder: Path) -> None:
    """Before hours are spent on a run: whether it could be recorded in `folder`.

    Raises:
        InputError: where nothing can be written there, or the record of earlier runs is damaged.
    """
    load_runs(folder)
    probe = folder / ".writable"
    write(probe, b"")
    probe.unlink()


def require_records(folder: Path) -> None:
    """Before minutes are spent on a network: whether what is recorded of its training can be read.

    Raises:
        InputError: where one of the files is damaged.
    """
    load_runs(folder)
    load_snapshots(folder)
    load_benchmark(folder)
    load_class_images(folder)
    load_maps(folder)
    load_patches(folder)


def save_run(folder: Path, run: Run, snapshots: Mapping[int, Tensor] | None = None) -> None:
    """Put one run into history.json, in place of an earlier one of that name; with the snapshots of its filters."""
    runs = [old for old in load_runs(folder) if old.name != run.name] + [run]
    write(folder / HISTORY, stored.encode({"runs": [each.written for each in runs]}))
    if snapshots:
        named = {str(epoch): tensor.float() for epoch, tensor in sorted(snapshots.items())}
        write(folder / SNAPSHOTS, save(flat(named)))


def load_runs(folder: Path) -> tuple[Run, ...]:
    """The runs of history.json, in the order in which they were recorded; none where there is no such file."""
    path = folder / HISTORY
    return consistent.runs(path) if path.exists() else ()


def load_snapshots(folder: Path) -> dict[int, Floats]:
    """Kernels (O, 3, kh, kw) of the first layer by epoch; none where there is no such file."""
    path = folder / SNAPSHOTS
    if not path.exists():
        return {}
    advice = "restore the file, or delete it and train the model again"
    kernels = {}
    for name, tensor in read_tensors(path)[0].items():
        if not name.isdecimal() or len(name) > 9 or tensor.ndim != 4 or tensor.shape[1] != 3 or not tensor.numel():
            raise InputError(
                f"{path}: expected kernels (O, 3, h, w) named by their epoch, found {foreign.shown(name)} of shape "
                f"{tuple(tensor.shape)}; {advice}"
            )
        if not tensor.is_floating_point() or not tensor.float().isfinite().all():
            raise InputError(f"{path}: expected finite numbers, found others in those of epoch {name}; {advice}")
        kernels[int(name)] = tensor.float().numpy()
    if len({found.shape for found in kernels.values()}) > 1:
        raise InputError(f"{path}: expected kernels of one shape, found several; {advice}")
    return dict(sorted(kernels.items()))


def save_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write evaluation.json; nan becomes null."""
    write(folder / EVALUATION, stored.encode(plain_evaluation(evaluation)))


def plain_evaluation(evaluation: Evaluation) -> dict[str, Any]:
    """What evaluation.json holds, as JSON can hold it; faithfulness only where it was measured."""
    plain: dict[str, Any] = stored.plain(evaluation)
    if plain["faithfulness"] is None:
        del plain["faithfulness"]
    return plain


def load_evaluation(folder: Path) -> Evaluation | None:
    """Read evaluation.json; None where there is none."""
    path = folder / EVALUATION
    return consistent.evaluation(path) if path.exists() else None


def save_benchmark(folder: Path, benchmark: Benchmark) -> None:
    """Write benchmark.json; nan becomes null."""
    write(folder / BENCHMARK, stored.encode(benchmark))


def load_benchmark(folder: Path) -> Benchmark | None:
    """Read benchmark.json; None where there is none."""
    path = folder / BENCHMARK
    return consistent.benchmark(path) if path.exists() else None


@dataclass(frozen=True, eq=False)
class ClassSheet:
    """The images that were made for a network's classes, and what they belong to."""

    weights_digest: str  # as of `Loaded`
    seed: int
    steps: int
    images: Pixels  # (K, H, W, 3)


@dataclass(frozen=True)
class Sheet:
    """What class-images.webp says of itself: K images of (H, W) pixels side by side, row after row."""

    weights_digest: str
    seed: Count
    steps: Count
    classes: Annotated[int, Meta(ge=1, le=10_000)]
    size: tuple[Annotated[int, Meta(ge=1, le=1024)], Annotated[int, Meta(ge=1, le=1024)]]
    columns: Annotated[int, Meta(ge=1, le=10_000)]


def save_class_images(folder: Path, made: ClassSheet) -> None:
    """Write class-images.webp, lossless; not where it would be a larger picture than is read."""
    count, height, width = made.images.shape[:3]
    columns = max(1, round(math.sqrt(count * height / width)))  # about as high as wide
    rows = -(-count // columns)
    if rows * columns * height * width > MAX_PIXELS:
        return
    cells = np.zeros((rows * columns, height, width, 3), np.uint8)
    cells[:count] = made.images
    sheet = cells.reshape(rows, columns, height, width, 3).swapaxes(1, 2).reshape(rows * height, columns * width, 3)
    said = Sheet(made.weights_digest, made.seed, made.steps, count, (height, width), columns)
    write(folder / CLASS_IMAGES, image_files.described(sheet, json.dumps(asdict(said))))


def load_class_images(folder: Path) -> ClassSheet | None:
    """Read class-images.webp; None where there is none."""
    path = folder / CLASS_IMAGES
    if not path.exists():
        return None
    sheet, description = image_files.read_described(path)
    said = stored.decode(Sheet, description, f"{path}: its description", ANEW)
    (height, width), columns, rows = said.size, said.columns, -(-said.classes // said.columns)
    if sheet.shape[:2] != (rows * height, columns * width):
        raise InputError(
            f"{path}: expected {rows} x {columns} images of {height} x {width} pixels, as it says, found "
            f"{sheet.shape[0]} x {sheet.shape[1]} pixels; {ANEW}"
        )
    cells = sheet.reshape(rows, height, columns, width, 3).swapaxes(1, 2).reshape(-1, height, width, 3)
    return ClassSheet(said.weights_digest, said.seed, said.steps, cells[: said.classes])


@dataclass(frozen=True, eq=False)
class MapSheet:
    """Maps that took many passes a photo, and what they belong to."""

    weights_digest: str  # as of `Loaded`
    layer: str
    definition: int  # as of `comparison.DEFINITION`
    maps: Mapping[str, Arrays]  # by the photo's digest, then by name; float32 maps and integers


def save_maps(folder: Path, made: MapSheet) -> None:
    """Write maps.safetensors."""
    said = {"weights_digest": made.weights_digest, "layer": made.layer, "definition": str(made.definition)}
    tensors = {
        f"{photo} {name}": torch.as_tensor(array)
        for photo, arrays in made.maps.items()
        for name, array in arrays.items()
    }
    write(folder / MAPS, save(flat(tensors), metadata=said))


def load_maps(folder: Path) -> MapSheet | None:
    """Read maps.safetensors; None where there is none."""
    path = folder / MAPS
    if (found := _made(path, "maps", "layer")) is None:
        return None
    tensors, said, definition = found
    maps: dict[str, dict[str, NDArray[Any]]] = {}
    for key, tensor in sorted(tensors.items()):
        photo, _, name = key.partition(" ")
        if not name or tensor.ndim not in (0, 2) or not tensor.double().isfinite().all():
            raise InputError(
                f"{path}: expected maps (h, w) of finite numbers, found others in {foreign.shown(key)}; {ANEW}"
            )
        maps.setdefault(photo, {})[name] = tensor.numpy()
    return MapSheet(said["weights_digest"], said["layer"], definition, maps)


@dataclass(frozen=True, eq=False)
class PatchSheet:
    """The strongest patches of a network's channels among some images, and what they belong to."""

    weights_digest: str  # as of `Loaded`
    examined: str  # digest of the images
    definition: int  # as of `patches.DEFINITION`
    layers: Mapping[str, Arrays]  # by layer: answers (C, P), pictures (C, P), boxes (C, P, 4), active (C,)


PARTS = {"answers": 2, "pictures": 2, "boxes": 3, "active": 1}  # with their axes


def save_patches(folder: Path, made: PatchSheet) -> None:
    """Write patches.safetensors; whole numbers of 32 bits."""
    said = {"weights_digest": made.weights_digest, "examined": made.examined, "definition": str(made.definition)}
    tensors = {
        f"{name} {layer}": torch.as_tensor(array if array.dtype.kind == "f" else array.astype(np.int32))
        for layer, arrays in made.layers.items()
        for name, array in arrays.items()
    }
    write(folder / PATCHES, save(flat(tensors), metadata=said))


def load_patches(folder: Path) -> PatchSheet | None:
    """Read patches.safetensors; None where there is none."""
    path = folder / PATCHES
    if (found := _made(path, "patches", "examined")) is None:
        return None
    tensors, said, definition = found
    layers: dict[str, dict[str, NDArray[Any]]] = {}
    for key, tensor in tensors.items():
        name, _, layer = key.partition(" ")
        layers.setdefault(layer, {})[name] = tensor.numpy()
    for layer, arrays in layers.items():
        if not _are_patches(arrays):
            said_of = foreign.shown(layer)
            raise InputError(f"{path}: expected the patches of channels, found others in {said_of}; {ANEW}")
    return PatchSheet(said["weights_digest"], said["examined"], definition, layers)


def _made(path: Path, what: str, of: str) -> tuple[Weights, dict[str, str], int] | None:
    """The tensors of a record that `evaluate` makes, what they belong to, and their definition; None: there is none.

    Args:
        what: they are, for messages.
        of: a word of the header beside the weights' digest and the definition.
    """
    if not path.exists():
        return None
    tensors, said = read_tensors(path)
    if not {"weights_digest", of, "definition"} <= said.keys() or not said["definition"].isdecimal():
        raise InputError(f"{path}: expected what its {what} belong to in its header, found none; {ANEW}")
    return tensors, said, int(said["definition"][:9])


def _are_patches(arrays: Arrays) -> bool:
    """Whether these are one layer's: as many channels and patches in each, a box's corners in their order."""
    if {name: array.ndim for name, array in arrays.items()} != PARTS:
        return False
    answers, pictures, boxes, active = (arrays[name] for name in PARTS)
    alike = answers.shape == pictures.shape == boxes.shape[:2] and active.shape == answers.shape[:1]
    kinds = [array.dtype.kind for array in (answers, pictures, boxes, active)]
    if not alike or boxes.shape[2:] != (4,) or kinds != ["f", "i", "i", "f"]:
        return False
    return bool((pictures >= -1).all() and (boxes[..., :2] <= boxes[..., 2:]).all() and not np.isinf(answers).any())


def load_card(folder: Path) -> str:
    """The model card, Markdown; empty where there is none."""
    path = folder / CARD
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def save_card(folder: Path, text: str) -> None:
    """Write the model card."""
    write(folder / CARD, text.encode())


@dataclass(frozen=True)
class Numbers:
    """What the file of an interrupted run holds beside tensors."""

    epochs: tuple[Epoch, ...]
    kept: Count
    steps: Count
    precision: Literal["float32", "bfloat16"]
    complete: bool
    key: dict[str, Any]


def _faults(said: Description) -> Iterator[consistent.Fault]:
    """What does not fit together in a description."""
    classes = len(said.class_names)
    if not classes:
        yield "class_names", "the name of at least one class", "none"
    if len(said.wnids) not in (0, classes):
        yield "wnids", f"one for each of the {classes} classes", len(said.wnids)
    if said.resize < said.input_size:
        yield "resize", f"at least the input size, {said.input_size}", said.resize
    if said.input and not len(said.input.mean) == len(said.input.std) == said.input.channels:
        yield "input", f"a mean and a deviation for each of the {said.input.channels} channels", "others"
    if said.architecture != "SmallCNN":
        return
    if not 0 < len(said.widths) <= 100:
        yield "widths", "the channels of 1 to 100 stages", len(said.widths)
    if len(said.depths) not in (0, len(said.widths)):
        yield "depths", f"one for each of the {len(said.widths)} widths", len(said.depths)


def flat(tensors: Mapping[str, Tensor]) -> Weights:
    """Each tensor in rows and in memory of its own: kernels may lie channels last, parts may share a tensor."""
    return {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}


def read_tensors(path: Path) -> tuple[Weights, dict[str, str]]:
    """The tensors and the metadata of a safetensors file."""
    content = read_bytes(path)
    try:
        return _tensors(content)
    except (SafetensorError, KeyError) as error:  # KeyError: of a type of numbers that torch does not have
        raise _damaged(path, error) from error


def _tensors(content: bytes) -> tuple[Weights, dict[str, str]]:
    """The tensors of a safetensors file, and its header's words."""
    tensors = load(content)
    length = int.from_bytes(content[:8], "little")
    words: dict[str, str] = json.loads(content[8 : 8 + length]).get("__metadata__", {})
    return tensors, words


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{path}: expected a whole safetensors file, found a damaged one ({error}); restore it or train again"
    )


def write(path: Path, content: bytes) -> None:
    """Whole or not at all, whatever ends the process or the machine; the folder is made where it is missing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.sweep(files.unfinished(path))
        files.write(path, content, durable=True)
    except OSError as error:
        raise InputError(f"{path}: could not be written {reason(error)}; what was there before is untouched") from error
