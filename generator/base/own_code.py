"""Somebody else's Python file, run where report.toml names it and only there; what it raises is one line.

A file is imported under a private name, with its folder on the path only meanwhile, so that a user's data.py or
generator.py takes no other module's place.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from generator.base.errors import InputError, raised


def imported(file: str, folder: Path, what: str) -> ModuleType:
    """A Python file as a module.

    Args:
        file: its path, relative to `folder` or not.
        folder: report.toml's, below which it must lie.
        what: it is for, as a message begins: "architecture 'net.py'".
    Raises:
        InputError: where it lies elsewhere or is missing, and for whatever it raises.
    """
    path = (folder / file).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise InputError(f"{what}: expected a file below {folder}, it lies elsewhere")
    if not path.is_file():
        raise InputError(f"{what}: expected a Python file, found none at {path}")
    private = f"_network_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(private, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{what}: expected a Python file")
    module = importlib.util.module_from_spec(spec)
    with _beside(path.parent), told(what):
        sys.modules[private] = module  # dataclasses and others look their own module up
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[private]
            raise
    return module


@contextmanager
def told(what: str) -> Iterator[None]:
    """Whatever somebody else's code raises, as one line with its own file and line."""
    try:
        yield
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(f"{what}: it {raised(error)}") from error


@contextmanager
def _beside(folder: Path) -> Iterator[None]:
    """What lies in a folder can be imported; whatever was is forgotten afterwards, so that it shadows nothing."""
    before = dict(sys.modules)
    own = {path.stem for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()}
    hidden = {name: module for name, module in before.items() if name.partition(".")[0] in own - {"generator"}}
    for name in hidden:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - set(before):
            if name.partition(".")[0] in own:
                del sys.modules[name]
        sys.modules.update(hidden)
