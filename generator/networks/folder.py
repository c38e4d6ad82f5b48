"""A model's folder: weights.safetensors, history.json, snapshots.safetensors, evaluation.json, README.md, and the
resume.safetensors of a run that is not finished. The one door to models/; everything is written atomically.
"""

from __future__ import annotations

import glob
import hashlib
import json
import lzma
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from generator.base.errors import InputError
from generator.networks import compress
from generator.records import stored
from generator.records.images import Floats
from generator.records.scores import Evaluation
from generator.records.training import Benchmark, Run

WEIGHTS, SMALL = "weights.safetensors", "weights.safetensors.xz"
RESUME, SNAPSHOTS = "resume.safetensors", "snapshots.safetensors"
HISTORY, EVALUATION, CARD = "history.json", "evaluation.json", "README.md"
BENCHMARK = "benchmark.json"
STALE = 3600.0  # seconds after which a temporary file is nobody's

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Description:
    """What a weights file says about itself: enough to make the network and feed it."""

    architecture: str  # "SmallCNN", "AlexNet" or package.module:name
    class_names: tuple[str, ...]
    wnids: tuple[str, ...]
    input_size: int
    resize: int  # the shorter side of a photo is brought to this before the centre crop
    widths: tuple[int, ...] = ()  # with the next three: SmallCNN's shape
    depths: tuple[int, ...] = ()
    kernel: int = 5
    pool: str = "max"
    grid: int = 6  # AlexNet's pooled features are grid x grid; see `networks.alexnet`
    arguments: Mapping[str, Any] = field(default_factory=dict)  # of any other architecture's constructor
    input: Mapping[str, Any] = field(default_factory=dict)  # where it is not the architecture's own, beside its size

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
    small = (folder / SMALL).exists()
    path = folder / (SMALL if small else WEIGHTS)
    content = read_bytes(path)
    try:
        tensors, metadata = _tensors(compress.stretch(content) if small else content)
    except (SafetensorError, lzma.LZMAError, EOFError) as error:
        raise _damaged(path, error) from error
    try:
        said: dict[str, Any] = json.loads(metadata["description"])
        lists = {key: tuple(value) for key, value in said.items() if isinstance(value, list)}
        description = Description(**{**said, **lists})
        weights = compress.decode(tensors)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise InputError(
            f"{path}: expected a model written by this program ({error!r}); train it again, "
            "or name somebody else's file as the weights of [models.<name>] in report.toml"
        ) from error
    return Model(description, weights, hashlib.sha256(content).hexdigest())


def load_foreign(path: Path) -> Weights:
    """The state dict in somebody else's .pth or .safetensors file, read without running any of its code.

    Raises:
        InputError: where the file is missing, cut short, or holds anything but a state dict.
    """
    if path.suffix == ".safetensors":
        return read_tensors(path)[0]
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{path}: expected a file of weights, found none") from error
    except Exception as error:  # torch.load raises a dozen kinds for a damaged or hostile file
        raise InputError(
            f"{path}: expected a state dict saved by torch.save, which weights_only=True can read "
            f"({(str(error) or type(error).__name__).splitlines()[0][:120]})"
        ) from error
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    if not (isinstance(found, Mapping) and found and all(isinstance(value, Tensor) for value in found.values())):
        raise InputError(f"{path}: expected a state dict (names and tensors), found {type(found).__name__}")
    return dict(found)


def read_bytes(path: Path) -> bytes:
    """What a file of weights holds.

    Raises:
        InputError: where it is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path}: expected a file of weights, found none") from error
    except OSError as error:
        raise InputError(f"{path}: expected a file of weights, it cannot be read ({error.strerror})") from error


def fill(network: torch.nn.Module, weights: Mapping[str, Tensor], source: str) -> torch.nn.Module:
    """Put weights into a network.

    Raises:
        InputError: naming the first tensor that is missing, superfluous, of another shape or not finite.
    """
    wanted = network.state_dict()
    for name, tensor in wanted.items():
        if name not in weights:
            raise InputError(f"{source}: expected a tensor {name} for {type(network).__name__}, found none")
        if weights[name].shape != tensor.shape:
            raise InputError(
                f"{source}: expected {name} of shape {tuple(tensor.shape)}, found {tuple(weights[name].shape)}: "
                "a model with another number of classes or another architecture; train it again or name the right file"
            )
        # A finite sum has finite terms, and costs a hundredth of looking at each of them.
        if not weights[name].sum().isfinite() and not weights[name].isfinite().all():
            raise InputError(
                f"{source}: expected finite numbers in {name}, found NaN or infinity: the training diverged or the "
                "file is damaged; train it again or name another file"
            )
    if extra := sorted(set(weights) - set(wanted)):
        raise InputError(f"{source}: expected the tensors of {type(network).__name__}, found also {extra[0]}")
    network.load_state_dict(dict(weights))
    return network


def require_usable(folder: Path) -> None:
    """Before hours are spent on a run: whether it could be recorded in `folder`.

    Raises:
        InputError: where nothing can be written there, or the record of earlier runs is damaged.
    """
    load_runs(folder)
    probe = folder / ".writable"
    write(probe, b"")
    probe.unlink()


def save_run(folder: Path, run: Run, snapshots: Mapping[int, Tensor] | None = None) -> None:
    """Put one run into history.json, in place of an earlier one of that name; with the snapshots of its filters."""
    runs = [old for old in load_runs(folder) if old.name != run.name] + [run]
    write(folder / HISTORY, stored.encode({"runs": [asdict(each) for each in runs]}))
    if snapshots:
        named = {str(epoch): tensor.float() for epoch, tensor in sorted(snapshots.items())}
        write(folder / SNAPSHOTS, save(flat(named)))


def load_runs(folder: Path) -> tuple[Run, ...]:
    """The runs of history.json, in the order in which they were recorded; none where there is no such file."""
    path = folder / HISTORY
    return stored.runs(path) if path.exists() else ()


def load_snapshots(folder: Path) -> dict[int, Floats]:
    """Kernels (O, 3, kh, kw) of the first layer by epoch; none where there is no such file."""
    path = folder / SNAPSHOTS
    if not path.exists():
        return {}
    return {
        int(epoch): tensor.numpy() for epoch, tensor in sorted(read_tensors(path)[0].items(), key=lambda i: int(i[0]))
    }


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
    return stored.evaluation(path) if path.exists() else None


def save_benchmark(folder: Path, benchmark: Benchmark) -> None:
    """Write benchmark.json; nan becomes null."""
    write(folder / BENCHMARK, stored.encode(benchmark))


def load_benchmark(folder: Path) -> Benchmark | None:
    """Read benchmark.json; None where there is none."""
    path = folder / BENCHMARK
    return stored.benchmark(path) if path.exists() else None


def load_card(folder: Path) -> str:
    """The model card, Markdown; empty where there is none."""
    path = folder / CARD
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def save_card(folder: Path, text: str) -> None:
    """Write the model card."""
    write(folder / CARD, text.encode())


def flat(tensors: Mapping[str, Tensor]) -> Weights:
    """Each tensor in rows and in memory of its own: kernels may lie channels last, parts may share a tensor."""
    return {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}


def read_tensors(path: Path) -> tuple[Weights, dict[str, str]]:
    """The tensors and the metadata of a safetensors file."""
    content = read_bytes(path)
    try:
        return _tensors(content)
    except SafetensorError as error:
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


def unfinished(path: Path) -> Iterator[Path]:
    """The temporary files of `_write` beside `path`: a process that writes still, or one that was killed."""
    return path.parent.glob(f".{glob.escape(path.name)}.*")


def write(path: Path, content: bytes) -> None:
    """Whole or not at all: a temporary file beside it, flushed to the disk, then renamed over it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in unfinished(path):
            if time.time() - left.stat().st_mtime > STALE:
                left.unlink(missing_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):  # such as a folder that is a file
            temporary.unlink()
        raise InputError(
            f"{path}: could not be written ({error.strerror}); what was there before is untouched"
        ) from error
