"""Each module imports only from the left of it in the flow, and one library has one door (see CONTRIBUTING.md)."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "generator"

# From left to right; modules of one row do not import each other.
FLOW = (
    ("errors", "records", "addresses", "clutter", "slugs", "__init__"),
    ("stored",),
    ("config", "cache", "check", "writer", "installation", "environment", "terminal"),
    ("classes", "photos", "inputs", "cards", "published", "scaffold", "serve"),
    ("tiny_imagenet", "download"),
    ("samples", "data", "augment", "networks", "compress", "foreign", "parallel"),
    ("train",),
    ("recipes", "checkpoints", "evaluate", "explain"),
    ("faithfulness",),
    ("models", "methods", "patches", "class_images"),
    ("workshop", "observe", "predict", "live"),
    ("selection",),
    ("figures",),
    ("exhibits",),
    ("pages",),
    ("exports", "deploy"),
    ("build",),
    ("__main__",),
)
PLACE = {name: place for place, row in enumerate(FLOW) for name in row}

TORCH_SIDE = {
    "data",
    "augment",
    "networks",
    "compress",
    "foreign",
    "parallel",
    "train",
    "checkpoints",
    "evaluate",
    "explain",
    "faithfulness",
    "methods",
    "models",
    "patches",
    "class_images",
    "live",
}

DOORS = {  # library -> the modules that may open it
    "torch": TORCH_SIDE | {"workshop", "observe", "predict", "selection"},
    "torchvision": {"networks", "models"},
    "matplotlib": {"figures"},
    "jinja2": {"pages"},
    "markdown_it": {"pages"},
    "nh3": {"pages"},
    "ada_url": {"addresses"},
    "selectolax": {"check"},
    "tinycss2": {"check"},
    "cv2": {"photos", "figures"},
    "PIL": {"photos", "figures"},
    "tqdm": {"terminal", "download"},
    "nbformat": {"exports"},
    "msgspec": {"records", "stored", "checkpoints"},
    "waitress": {"serve"},
    "yaml": {"exports"},
}
WITHOUT_TORCH = (
    "config",
    "stored",
    "cache",
    "writer",
    "serve",
    "inputs",
    "tiny_imagenet",
    "download",
    "samples",
    "figures",
    "exhibits",
    "pages",
    "check",
    "published",
    "exports",
    "deploy",
    "scaffold",
)
PURE = ("networks", "augment", "evaluate", "explain", "faithfulness", "figures", "exhibits", "pages", "records")


@cache
def sources() -> tuple[tuple[str, Path], ...]:
    """Each file of the package with its module's name below it: a package's files go by the package's name."""
    relative = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
    return tuple(
        (path.parts[0].removesuffix(".py"), PACKAGE / path) for path in relative if "_bundled" not in path.parts
    )


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
def arrows() -> dict[str, set[str]]:
    """Module -> the modules of the package that it imports."""
    found: dict[str, set[str]] = {}
    for module, path in sources():
        inner = {name.split(".")[1] for name in imports(path) if name.startswith("generator.")}
        # `from generator import __version__` names something in __init__, not a module.
        named = {name if name in dict(sources()) else "__init__" for name in inner}
        found.setdefault(module, set()).update(named - {module})
    return found


def test_every_module_has_its_place_in_the_flow() -> None:
    assert sorted({module for module, _ in sources()} - set(PLACE)) == []


def test_every_import_goes_to_the_left() -> None:
    back = [(module, other) for module, others in arrows().items() for other in others if PLACE[other] >= PLACE[module]]
    assert back == []


def test_nothing_imports_build_but_the_command_line() -> None:
    assert {module for module, others in arrows().items() if "build" in others} <= {"__main__"}
    assert {module for module, others in arrows().items() if "cache" in others} <= {"build", "inputs"}


def test_each_library_has_its_door() -> None:
    opened = {(name.split(".")[0], module) for module, path in sources() for name in imports(path)}
    wrong = [(library, module) for library, module in opened if module not in DOORS.get(library, {module})]
    assert sorted(wrong) == []


def test_pyplot_is_nowhere() -> None:
    assert [path.name for _, path in sources() if any("pyplot" in name for name in imports(path))] == []


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_the_page_side_does_not_reach_torch(module: str) -> None:
    reached, wanted = set(), [module]
    while wanted:
        reached.add(one := wanted.pop())
        wanted += arrows().get(one, set()) - reached
    torch_side = {name for name, path in sources() if any(i.split(".")[0] == "torch" for i in imports(path))}
    assert reached & torch_side == set()


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_neither_prints_nor_opens_files(module: str) -> None:
    called = [
        f"{path.name}:{node.lineno} {node.func.id}"
        for name, path in sources()
        if name == module
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"print", "open", "input"}
    ]
    assert called == []


@pytest.mark.parametrize(
    "module", ["generator", "generator.__main__", *(f"generator.{name}" for row in FLOW[1:3] for name in row)]
)
def test_the_command_line_starts_without_the_heavy_libraries(module: str) -> None:
    heavy = ("torch", "torchvision", "cv2", "matplotlib", "jinja2", "markdown_it", "PIL", "waitress")
    program = f"import sys, {module}; print(*sorted(set(sys.modules) & set({heavy!r})))"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=PACKAGE.parent, check=True
    )
    assert ran.stdout.strip() == ""
