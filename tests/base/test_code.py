"""Which code a result depends on: by sets of modules, against Python's own import, and on copies that are edited."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from generator.base.code import PACKAGE, ROOT, _imports, _module, closure, code
from generator.build import observed

PAGE_SIDE = {"report", "pages", "figures", "publishing", "commands", "build"}
TOLD = (
    "import json, sys; from generator.base.code import {name} as f; print(json.dumps({{m: {f} for m in sys.argv[1:]}}))"
)


def makers() -> Iterator[str]:
    """The modules of the functions whose results a build keeps, from its own calls of `site.key(stage, maker, ...)`."""
    for node in ast.walk(ast.parse(Path(observed.__file__).read_bytes())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "site.key":
            yield eval(ast.unparse(node.args[1]), vars(observed)).__module__


INSPECTED = sorted(set(makers()))


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The program once more, to be edited: `generator/` and `templates/` below the folder."""
    passed = shutil.ignore_patterns("__pycache__", "_bundled")
    for folder in (ROOT, ROOT.parent / "templates"):
        shutil.copytree(folder, tmp_path / folder.name, ignore=passed)
    return tmp_path


def told(folder: Path, name: str, call: str, *modules: str) -> dict[str, str | list[str]]:
    """What a copy's own `base.code` answers for each module."""
    program = TOLD.format(name=name, f=call)
    ran = subprocess.run([sys.executable, "-c", program, *modules], cwd=folder, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    answers: dict[str, str | list[str]] = json.loads(ran.stdout)
    return answers


def keys(folder: Path, *modules: str) -> dict[str, str | list[str]]:
    return told(folder, "code", "f(m)", *modules)


def edit(*files: Path) -> None:
    assert files
    for file in files:
        file.write_bytes(file.read_bytes() + b"\n# touched\n")


def test_a_build_keeps_what_is_found_out_about_a_network_by_the_code_that_finds_it() -> None:
    assert {module.split(".")[1] for module in INSPECTED} >= {"inspection", "live"}
    assert len(INSPECTED) >= 4


@pytest.mark.parametrize("module", INSPECTED)
def test_no_inspection_depends_on_the_page_side(module: str) -> None:
    assert {name for name in closure(module) if name.split(".")[1:2] and name.split(".")[1] in PAGE_SIDE} == set()
    assert f"{PACKAGE}.explain.cam" in closure(module)


def test_no_figure_depends_on_how_a_network_is_explained() -> None:
    drawn = {name for name in closure(f"{PACKAGE}.report.jobs") if name.startswith((f"{PACKAGE}.explain", "torch"))}
    assert drawn == set()


def test_touching_pages_and_templates_leaves_the_key_of_every_inspection(copied: Path) -> None:
    drawn = f"{PACKAGE}.report.grad_cam.figures"
    before = keys(copied, *INSPECTED, drawn)
    edit(*(copied / PACKAGE / "report").rglob("*.py"), *(copied / PACKAGE / "pages").rglob("*.py"))
    edit(*(file for file in (copied / "templates").rglob("*") if file.is_file()))
    after = keys(copied, *INSPECTED, drawn)
    assert [module for module in (*INSPECTED, drawn) if after[module] != before[module]] == [drawn]


def test_touching_a_method_changes_the_key_of_every_inspection_and_of_no_figure(copied: Path) -> None:
    drawn = f"{PACKAGE}.report.grad_cam.figures"
    before = keys(copied, *INSPECTED, drawn)
    edit(copied / PACKAGE / "explain" / "cam.py")
    after = keys(copied, *INSPECTED, drawn)
    assert [module for module in (*INSPECTED, drawn) if after[module] != before[module]] == INSPECTED


def test_a_copy_that_nobody_edits_has_the_same_keys(copied: Path) -> None:
    assert keys(copied, *INSPECTED) == {module: code(module) for module in INSPECTED}


@pytest.mark.parametrize("module", [f"{PACKAGE}.inspection.photo", f"{PACKAGE}.report.jobs"])
def test_the_closure_is_what_an_import_really_loads(module: str) -> None:
    program = f"import {module}, sys; print(*(name for name in sys.modules if name.split('.')[0] == {PACKAGE!r}))"
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT.parent, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert closure(module) == set(ran.stdout.split())


def test_imports_are_read_as_python_reads_them() -> None:
    for file in sorted(ROOT.rglob("*.py")):
        named = ".".join([PACKAGE, *file.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")
        if "_bundled" in named:
            continue
        whole = set()
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Import):
                whole |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                whole |= {f"{node.module}.{alias.name}" for alias in node.names}
        ours = {name for name in whole if name.split(".")[0] == PACKAGE}
        parts = named.split(".")
        packages = {".".join(parts[:end]) for end in range(1, len(parts))}
        wanted = {_module(name) for name in ours | packages}
        if named == f"{PACKAGE}.publishing.exports.notebook":  # which holds the cells of a notebook as text
            assert set(_imports(named)) >= wanted
        else:
            assert set(_imports(named)) == wanted, named


def test_the_closure_of_a_small_program_by_hand(tmp_path: Path) -> None:
    """What is imported late, through a package or by a function's name counts; what only looks like it does not."""
    package = tmp_path / PACKAGE
    shutil.copytree(ROOT / "base", package / "base", ignore=shutil.ignore_patterns("__pycache__"))
    texts = {
        "__init__": "",
        "first": "def late():\n    from generator.wing.second import answer\n",
        "wing/__init__": "import generator.third\n",
        "wing/second": "import json\nfrom generator import fourth\nanswer = 42\n",
        "third": "from generator.wing import second\n",  # a circle ends
        "fourth": "name = 'generator.fifth'\n",
        "fifth": "import generator_of_others\n",
    }
    for name, text in texts.items():
        (package / f"{name}.py").parent.mkdir(exist_ok=True)
        (package / f"{name}.py").write_text(text)
    found = told(tmp_path, "closure", "sorted(f(m))", "generator.first", "generator.fourth", "generator.fifth")
    assert found == {
        "generator.first": [
            "generator",
            "generator.first",
            "generator.fourth",
            "generator.third",
            "generator.wing",
            "generator.wing.second",
        ],
        "generator.fourth": ["generator", "generator.fourth"],
        "generator.fifth": ["generator", "generator.fifth"],
    }
