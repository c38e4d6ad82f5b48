"""Builds a static site that shows what convolutional networks learnt and where they look."""

__version__ = "0.1.0"
