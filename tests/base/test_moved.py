"""Names of version 0.1 lead to where things are now."""

from __future__ import annotations

import importlib

import pytest

from generator.base import moved
from generator.base.errors import InputError
from generator.networks.small_cnn import SmallCNN


@pytest.mark.parametrize("old", sorted(moved.MODULES))
def test_every_module_of_then_is_found_and_what_it_names_is_there(old: str) -> None:
    assert importlib.import_module(f"generator.{old}").__name__ == f"generator.{old}"
    for new in moved.MODULES[old].split():
        importlib.import_module(f"generator.{new}")


def test_what_they_held_is_the_same_thing() -> None:
    assert importlib.import_module("generator.errors").InputError is InputError
    assert importlib.import_module("generator.networks").SmallCNN is SmallCNN
    for package, names in moved.NAMES.items():
        for name in names:
            assert callable(getattr(importlib.import_module(f"generator.{package}"), name))


def test_what_is_gone_is_told_as_python_tells_it() -> None:
    with pytest.raises(AttributeError, match=r"module 'generator\.errors' has no attribute 'Nothing'"):
        importlib.import_module("generator.errors").Nothing  # noqa: B018
    with pytest.raises(ModuleNotFoundError, match=r"No module named .generator\.nothing."):
        importlib.import_module("generator.nothing")
