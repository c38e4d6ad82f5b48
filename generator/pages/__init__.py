"""Records and figures in, the files of the site out: `render` is all that other modules need."""

from __future__ import annotations

from generator.pages.site import render

__all__ = ["render"]
