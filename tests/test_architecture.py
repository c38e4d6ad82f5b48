"""The house by wing: imports run one way between wings and inside them, one library has one door (CONTRIBUTING.md)."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "generator"
MAP = (PACKAGE.parent / "CONTRIBUTING.md").read_text()

# From left to right; wings of one row do not import each other.
FLOW = (
    ("base",),
    ("__init__",),
    ("records", "figures"),
    ("config", "cache", "explain"),
    ("data",),
    ("networks", "report"),
    ("training", "live", "pages"),
    ("evaluation", "inspection", "publishing"),
    ("build",),
    ("commands",),
    ("__main__",),
)
PLACE = {wing: place for place, row in enumerate(FLOW) for wing in row}
ROOMS = 8  # of a wing, about
MORE = {
    "base": "a room a question that every wing has",
    "commands": "a room a command, and the call from Python",
    "data": "a room a layout and a source",
    "evaluation": "a room a measure of the heat maps, beside the scores",
    "explain": "a room a family of methods, and what they stand on",
    "networks": "a room an architecture",
    "pages": "a room a kind of the site's files, and those that read words nobody vouches for",
    "records": "a file a subject",
    "report": "a folder a page",
}

DOORS = {  # library -> the wings or rooms that may open it
    "torch": {"networks", "training", "explain", "evaluation", "inspection", "live"},
    "torchvision": {"networks"},
    "timm": {"networks.sources.timm_models"},
    "onnxruntime": {"networks.sources.onnx_files"},
    "transformers": {"networks.sources.folders"},
    "matplotlib": {"figures"},
    "jinja2": {"pages"},
    "markdown": {"pages"},
    "nh3": {"pages"},
    "cv2": {"data.image_files", "figures"},
    "PIL": {"data.image_files", "data.preprocessing", "figures"},
    "tqdm": {"base.terminal", "data.download"},
    "nbformat": {"publishing.exports"},
    "ghp_import": {"publishing.deploy"},
}
WITHOUT_TORCH = ("base", "cache", "config", "data", "figures", "records", "report", "pages", "publishing")
PURE = ("explain", "figures", "live", "records", "report", "pages")


@cache
def rooms() -> Mapping[str, Path]:
    """Each file of the package by its dotted name below it; a folder's __init__ goes by the folder's name."""
    relative = [path.relative_to(PACKAGE) for path in sorted(PACKAGE.rglob("*.py"))]
    return {
        ".".join(path.with_suffix("").parts).removesuffix(".__init__"): PACKAGE / path
        for path in relative
        if "_bundled" not in path.parts
    }


@cache
def imports(path: Path) -> tuple[str, ...]:
    """The dotted names that a file imports, wherever in it."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative imports hide where an arrow goes"
            assert node.module is not None
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return tuple(found)


@cache
def arrows() -> Mapping[str, frozenset[str]]:
    """Room -> the rooms that it imports."""
    found = {}
    for room, path in rooms().items():
        inner = [name.removeprefix("generator.") for name in imports(path) if name.startswith("generator.")]
        found[room] = frozenset(_room(name) for name in inner) - {room}
    return found


def _room(name: str) -> str:
    """The room of what is imported: `networks.folder.fill` is in `networks.folder`, `__version__` in `__init__`."""
    while name and name not in rooms():
        name = name.rpartition(".")[0]
    return name or "__init__"


def wing(room: str) -> str:
    return room.split(".")[0]


def reached(start: str) -> set[str]:
    """The rooms that importing one room brings along."""
    found, wanted = set(), [start]
    while wanted:
        found.add(one := wanted.pop())
        wanted += arrows()[one] - found
    return found


def test_the_root_holds_wings_and_three_files() -> None:
    assert sorted({wing(room) for room in rooms()} - set(PLACE)) == []
    assert sorted(path.stem for path in PACKAGE.glob("*.py")) == ["__init__", "__main__", "cache"]


def test_every_import_between_wings_goes_to_the_left() -> None:
    back = [
        f"{room} -> {other}"
        for room, others in arrows().items()
        for other in others
        if wing(other) != wing(room) and PLACE[wing(other)] >= PLACE[wing(room)]
    ]
    assert back == []


def test_no_wing_has_a_circle_inside() -> None:
    circles = [f"{room} -> {other} -> {room}" for room in rooms() for other in arrows()[room] if room in reached(other)]
    assert circles == []


def test_a_wing_has_about_eight_rooms_or_a_reason() -> None:
    folders: dict[Path, int] = {}
    for path in rooms().values():
        if path.stem not in ("__init__", "__main__") and path.parent != PACKAGE:
            folders[path.parent] = folders.get(path.parent, 0) + 1
    crowded = {folder.relative_to(PACKAGE).as_posix(): count for folder, count in folders.items() if count > ROOMS}
    assert sorted(set(crowded) - set(MORE)) == []


def test_the_tests_mirror_the_wings() -> None:
    folders = {path.name for path in Path(__file__).parent.iterdir() if path.is_dir() and path.name != "__pycache__"}
    wings = {wing(room) for room, path in rooms().items() if path.parent != PACKAGE}
    assert sorted(folders - wings) == ["browser", "end_to_end", "fuzz"]


def test_the_map_names_every_wing_in_one_line() -> None:
    table = MAP.partition("| wing of")[2].partition("\n\n")[0].splitlines()[2:]
    named = [name for line in table for name in re.findall(r"`(\w+)/?`", line.split("|")[1])]
    assert sorted(named) == sorted(set(PLACE) - {"__init__"})


def test_the_map_names_only_what_is_there() -> None:
    """NAME stands for what is to come; other files are below the package or beside it."""
    named = {path for path in re.findall(r"`([\w/.-]+/[\w/.-]*|[\w-]+\.py)`", MAP) if "NAME" not in path}
    gone = [path for path in named if not any((folder / path).exists() for folder in (PACKAGE, PACKAGE.parent))]
    assert sorted(gone) == []


def test_the_map_has_the_files_of_ten_changes() -> None:
    changes = MAP.partition("| to add or change")[2].partition("\n\n")[0].splitlines()[2:]
    assert len(changes) == 10
    assert [line for line in changes if not re.search(r"`[\w/-]+\.(py|css)`", line)] == []


def test_nothing_imports_build_but_the_command_line() -> None:
    into = {room for room, others in arrows().items() if any(wing(other) == "build" for other in others)}
    assert {wing(room) for room in into} <= {"build", "commands"}
    assert {wing(room) for room, others in arrows().items() if "cache" in others} <= {"build"}


def test_each_library_has_its_door() -> None:
    opened = {(name.split(".")[0], room) for room, path in rooms().items() for name in imports(path)}
    wrong = [
        (library, room)
        for library, room in opened
        if library in DOORS and not any(room == door or room.startswith(f"{door}.") for door in DOORS[library])
    ]
    assert sorted(wrong) == []


def test_pyplot_is_nowhere() -> None:
    assert [room for room, path in rooms().items() if any("pyplot" in name for name in imports(path))] == []


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_the_page_side_does_not_reach_torch(name: str) -> None:
    torch_side = {room for room, path in rooms().items() if any(i.split(".")[0] == "torch" for i in imports(path))}
    assert {room: both for room in rooms() if wing(room) == name and (both := reached(room) & torch_side)} == {}


@pytest.mark.parametrize("name", PURE)
def test_a_pure_wing_neither_prints_nor_opens_files(name: str) -> None:
    called = [
        f"{room}:{node.lineno} {node.func.id}"
        for room, path in rooms().items()
        if wing(room) == name
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"print", "open", "input"}
    ]
    assert called == []


def test_the_command_line_starts_without_the_heavy_libraries() -> None:
    heavy = ("torch", "torchvision", "cv2", "matplotlib", "jinja2", "markdown", "PIL")
    light = [f"generator.{room}" for room in rooms() if wing(room) in {"base", "config"}]
    program = (
        f"import sys, {', '.join(['generator.__main__', *light])}; print(*sorted(set(sys.modules) & set({heavy!r})))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=PACKAGE.parent, check=True
    )
    assert ran.stdout.strip() == ""
