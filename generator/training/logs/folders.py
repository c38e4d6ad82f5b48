"""Which log of a folder tells of the training: of several of one run the best known, of several runs the newest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from generator.training.logs.tables import has_epochs

IN_MEMORY = "logs"  # where the cache keeps those that a program had in memory
MOST = 5000  # files that may be logs, below one folder
# The better known, the sooner taken, where one run left several.
KINDS = (
    ("history.json", r"history\.json"),
    ("trainer", r"trainer_state\.json"),
    ("table", r"(metrics|results|summary|history|training|train_log|log)\.(csv|tsv|log)"),
    ("lines", r"log\.(txt|json)|.*\.jsonl"),
    ("other", r".*\.(csv|tsv|log)"),
    ("events", r".*tfevents.*"),
)
# Folders that hold a part of one run each: Keras's train/ and validation/.
PARTS = {"train", "training", "val", "valid", "validation", "eval", "test"}
CHECKPOINT = re.compile(r"checkpoint-\d+")  # Hugging Face's, each with the log up to it
STAMP = re.compile(r"tfevents\.(\d+)")  # seconds since 1970


@dataclass(frozen=True)
class Candidate:
    """A log that may be read: one file, or the event files of one run, each with what its tags begin with."""

    kind: str
    root: Path  # the run's folder
    files: tuple[tuple[str, Path], ...]

    @property
    def path(self) -> Path:
        """What it is called by."""
        return self.root if self.kind == "events" else self.files[0][1]


def kind_of(file: Path) -> str:
    """Whose log a file is, by its name."""
    return next((kind for kind, form in KINDS if re.fullmatch(form, file.name)), "other")


def candidates(folder: Path, files: Sequence[Path]) -> list[Candidate]:
    """The logs of a folder, the one to be read first; only those of the same run follow each other as its substitutes.

    Args:
        files: those below it that are named as logs are.
    """
    runs: dict[Path, list[Candidate]] = {}
    for found in (*_tables(folder, files), *_events(folder, files)):
        runs.setdefault(found.root, []).append(found)
    # A run's own folder may hold another: Hugging Face's runs/, with the same training in TensorBoard's form.
    inner = {root for root in runs if any(other in root.parents for other in runs)}
    ordered = sorted(runs, key=lambda root: (root not in inner, _age(root, runs[root])), reverse=True)
    order = [kind for kind, _ in KINDS]
    return [one for root in ordered for one in sorted(runs[root], key=lambda one: order.index(one.kind))]


def others(found: Sequence[Candidate], chosen: Candidate) -> int:
    """How many logs of other trainings there are beside the one that is read."""
    roots = {one.root for one in found}
    inner = {root for root in roots if any(other in root.parents for other in roots)}
    apart = {one.root for one in found if one.root not in inner} - {chosen.root}
    return len(apart) + sum(one.root == chosen.root and one.kind == chosen.kind for one in found) - 1


def _tables(folder: Path, files: Sequence[Path]) -> Iterator[Candidate]:
    latest: dict[Path, Path] = {}
    for file in files:
        kind = kind_of(file)
        if kind == "trainer":
            inside = CHECKPOINT.fullmatch(file.parent.name) and file.parent != folder
            root = file.parent.parent if inside else file.parent
            latest[root] = max((latest.get(root, file), file), key=lambda one: (one.parent == root, _natural(one)))
        elif kind not in ("events", "trainer") and (kind not in ("other", "table", "lines") or has_epochs(file)):
            yield Candidate(kind, file.parent, (("", file),))
    for root, file in latest.items():
        yield Candidate("trainer", root, (("", file),))


def _events(folder: Path, files: Sequence[Path]) -> Iterator[Candidate]:
    """Event files by run: add_scalars and Keras put parts of one into folders of their own."""
    events = [file for file in files if kind_of(file) == "events"]
    holding = {file.parent for file in events}
    siblings: dict[Path, set[str]] = {}
    for place in holding:
        siblings.setdefault(place.parent, set()).add(place.name.lower())
    found: dict[Path, list[tuple[str, Path]]] = {}
    for file in sorted(events, key=lambda one: (_stamp(one), _natural(one))):
        root = file.parent
        while root != folder and (root.parent in holding or _is_part(root, siblings)):
            root = root.parent
        inside = file.parent.relative_to(root).as_posix()
        found.setdefault(root, []).append(("" if inside == "." else f"{inside}/", file))
    for root, parts in found.items():
        yield Candidate("events", root, tuple(parts))


def _is_part(place: Path, siblings: Mapping[Path, set[str]]) -> bool:
    """Whether a folder holds a part of a run beside another that does."""
    beside = siblings.get(place.parent, set())
    return place.name.lower() in PARTS and len(beside & PARTS) > 1


def _age(root: Path, found: Sequence[Candidate]) -> tuple[bool, int, list[tuple[int, int | str]]]:
    """Newer runs are larger: by the folder's name; of TensorBoard, which goes after tables, by its files' time."""
    only = all(one.kind == "events" for one in found)
    stamps = [_stamp(file) for one in found for _, file in one.files]
    return not only, (max(stamps) if only else 0), _natural(root)


def _stamp(file: Path) -> int:
    match = STAMP.search(file.name)
    return int(match[1][:18]) if match else 0


def _natural(path: Path) -> list[tuple[int, int | str]]:
    """version_10 after version_9."""
    parts = re.split(r"(\d+)", str(path))
    return [(1, int(part[:18])) if part.isdigit() else (0, part) for part in parts]
