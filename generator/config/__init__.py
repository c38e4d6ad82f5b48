"""report.toml as typed values: what it may say, how it is read, and the places and digests that follow from it."""

from __future__ import annotations

from generator.base import moved


def __getattr__(name: str) -> object:
    """What the module of this name held in version 0.1."""
    return moved.look_up(__name__, name)
