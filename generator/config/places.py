"""Where templates, content, models and downloads lie: the report's own, else the bundled ones."""

from __future__ import annotations

import os
import re
from pathlib import Path

from generator.base import clutter
from generator.config.schema import Config

FILE_NAME = "report.toml"

RECORDS = (
    "weights.safetensors",
    "weights.safetensors.xz",
    "history.json",
    "snapshots.safetensors",
    "evaluation.json",
    "benchmark.json",
    "class-images.webp",
    "maps.safetensors",
    "patches.safetensors",
    "README.md",
)
# What training programs call their logs: TensorBoard, tables of any of them, Hugging Face's trainer, this program.
LOG = re.compile(r".*tfevents.*|.*\.(csv|tsv|log|jsonl)|log\.(txt|json)|trainer_state\.json|history\.json")
FOLDER = "hf:"  # begins an architecture that is a folder of transformers or timm, in which these files are
CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
# The ends of architectures that are files of whole networks.
PROGRAMS = (".pt2", ".pt", ".pth", ".ts", ".torchscript", ".onnx")
DOWNLOADED = "tiny-imagenet-200"  # the data set below the cache folder, where nobody named another


def bundled(name: str) -> Path:
    """What comes with the program ("templates", "content", "models", "report.toml"): from a checkout or a wheel."""
    package = Path(__file__).resolve().parents[1]
    wheel = package / "_bundled"
    # Beside an installed package there may be anything, so the wheel's own folder goes first.
    return (wheel if wheel.is_dir() else package.parent) / name


def published_weights() -> Path:
    """Where torch keeps the weights that it downloads, there or not; as torch.hub.get_dir finds the folder."""
    home = os.environ.get("TORCH_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "torch")  # noqa: PTH118
    # Path's own raises where there is no such user, or none at all, as in a container.
    return Path(os.path.expanduser(home)) / "hub" / "checkpoints"  # noqa: PTH111


def exists(path: Path) -> bool:
    """Whether something is there that can be reached: Path's own raises for what is in a closed folder."""
    return os.path.exists(path)  # noqa: PTH110


def code_line(config: Config, architecture: str) -> str:
    """What is said before somebody's code is run; "" for what an installed package that the program knows makes."""
    where = _run(architecture)
    if not where:
        return ""
    same = [one for one in config.models.networks if _run(one.architecture) == where]
    ids = [f"[models.{one.id}]" for one in same]
    named = " and ".join(filter(None, (", ".join(ids[:-1]), *ids[-1:])))
    what = f"the operations in {where}" if is_program(where) else where
    return f"note: runs {what} ({'the architecture' if len(same) == 1 else 'architectures'} of {named})"


def _run(architecture: str) -> str:
    """The file or module that an architecture's name means, where that is somebody's code."""
    if is_program(architecture):
        return architecture
    where = architecture.rpartition(":")[0]
    return "" if where in ("torchvision.models", "timm", "hf") or architecture.startswith(FOLDER) else where


def is_program(architecture: str) -> bool:
    """Whether an architecture's name is that of a file that holds a whole network."""
    return ":" not in architecture and architecture.endswith(PROGRAMS)


def own_weights(architecture: str, folder: Path) -> Path | None:
    """The file of weights that comes with a network, where report.toml names no other; None: none does."""
    if is_program(architecture):
        return folder / architecture
    if not architecture.startswith(FOLDER):
        return None
    beside = folder / architecture.removeprefix(FOLDER)
    found = [name for name in WEIGHTS if (beside / name).is_file()]
    return beside / (found or WEIGHTS)[0]


def code_files(architecture: str, folder: Path) -> list[Path]:
    """The user's files that make a network, or say how: Python's, with what they may import, or a folder's of JSON.

    Args:
        architecture: "file.py:Name" or a program's file below `folder`, or "hf:FOLDER"; none is of the user's for any
            other.
    """
    if is_program(architecture):
        return [folder / architecture]
    if architecture.startswith(FOLDER):
        inside = folder / architecture.removeprefix(FOLDER)
        return [file for file in (inside / CONFIG, inside / PREPROCESSOR) if file.is_file()]
    where = architecture.rpartition(":")[0]
    if not where.endswith(".py"):
        return []
    beside = (folder / where).parent
    packages = {file.parent for file in beside.glob("*/*.py")}
    found = [*beside.glob("*.py"), *(file for package in packages for file in package.rglob("*.py"))]
    return sorted(file for file in found if file.is_file())


def log_files(path: Path) -> list[Path]:
    """The files that a path of `logs` may mean: itself, or those below a folder that are named as logs are."""
    if not path.is_dir():
        return [path]
    return [file for file in clutter.files(path) if LOG.fullmatch(file.name)]


def folders(config: Config) -> tuple[tuple[Path, ...], Path]:
    """Where the templates are, own before bundled, and the content: beside report.toml, else the bundled."""
    own = config.folder / "templates"
    content = config.folder / "content"
    templates = tuple(dict.fromkeys([*([own] if own.is_dir() else []), bundled("templates")]))
    return templates, content if content.is_dir() else bundled("content")
