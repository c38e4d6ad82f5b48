"""Builds a static site that shows what convolutional networks learnt and where they look.

`generator.report(model, test_set)` makes one of a network in memory.
"""

from __future__ import annotations

import importlib

from generator.base import moved

__version__ = "0.2.0"

moved.install()


def __getattr__(name: str) -> object:
    """`report`, which need not be imported by name to be called."""
    if name == "report":
        return importlib.import_module("generator.report")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
