"""Records and figures in, the files of the site out: `render` is all that other modules need."""

from generator.pages.site import render

__all__ = ["render"]
