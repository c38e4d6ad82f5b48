"""Networks: architectures, their weights on disk, and which weights a network of the report gets."""

from __future__ import annotations

from generator.base import moved


def __getattr__(name: str) -> object:
    """What the module of this name held in version 0.1."""
    return moved.look_up(__name__, name)
