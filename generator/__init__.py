"""Builds a static site that shows what convolutional networks learnt and where they look."""

from __future__ import annotations

from generator.base import moved

__version__ = "0.2.0"

moved.install()
