"""Builds a static site that shows what convolutional networks learnt and where they look."""

from __future__ import annotations

__version__ = "0.2.0"
