"""Records and figures in, the files of the site out: `render`. Before there are any: `proofread`."""

from __future__ import annotations

from generator.pages.proofreading import proofread, proofread_again
from generator.pages.site import render

__all__ = ["proofread", "proofread_again", "render"]
