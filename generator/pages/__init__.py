"""Records and figures in, the files of the site out: `render`. Before there are any: `proofread`."""

from __future__ import annotations

from generator.pages.proofreading import proofread
from generator.pages.site import render

__all__ = ["proofread", "render"]
