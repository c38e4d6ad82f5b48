"""The program's own code as part of a result's key: of the modules that a result is made by, and of no others.

A module depends on what it imports, wherever in it, and on what that imports; so an edit to a caption leaves every
heat map in the cache, and an edit to a method makes them anew.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from generator.base.digest import digest

PACKAGE = "generator"
ROOT = Path(__file__).resolve().parents[1]


def code(*modules: str) -> str:
    """Digest of the source of some modules of the program and of all that they import of it.

    Args:
        modules: dotted names, such as "generator.inspection.photo".
    """
    needed = sorted(set().union(*(closure(module) for module in modules)))
    return digest([(name, _source(name)) for name in needed])


@cache
def closure(module: str) -> frozenset[str]:
    """A module and every module of the program that it brings along when it is imported."""
    found: set[str] = set()
    wanted = [module]
    while wanted:
        name = wanted.pop()
        if name not in found:
            found.add(name)
            wanted += [other for other in _imports(name) if other not in found]
    return frozenset(found)


@cache
def _imports(module: str) -> tuple[str, ...]:
    """The modules of the program that one module imports itself, and the packages that hold it."""
    parts = module.split(".")
    named = [".".join(parts[:end]) for end in range(1, len(parts))]
    for node in ast.walk(ast.parse(_source(module))):
        named += [name for name in _names(node) if name.partition(".")[0] == PACKAGE]
    return tuple(dict.fromkeys(_module(name) for name in named))


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _module(name: str) -> str:
    """The module of what is imported: of `generator.explain.cam.grad_cam` it is `generator.explain.cam`."""
    while not _file(name):
        name = name.rpartition(".")[0]
    return name


@cache
def _file(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split(".")[1:])
    found = [file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()]
    return found[-1] if found else None


@cache
def _source(module: str) -> bytes:
    file = _file(module)
    assert file is not None
    return file.read_bytes()
