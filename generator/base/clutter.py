"""Which files of a folder somebody means, and which ones editors, systems and half-done transfers leave beside them.

The one rule for templates, words, photos and the program's own code: what is clutter is neither read nor counted as a
change nor waited for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from generator.base.errors import InputError, reason

CLUTTER = re.compile(
    r"""
    \.(?!\.?\Z).*                           # hidden: Vim's .x.swp, Emacs's .#x, .x.kate-swp, .DS_Store, ._x, .git
    | .*~ | ~\$.* | \#.*\#                  # backups and locks: x~, ~$x.docx, Emacs's #x#
    | 4913                                  # Vim tries with it whether it may write into the folder
    | .*\.(sw[nop]|tmp|temp|part|partial|crdownload|vsctmp)
    | .*___jb_(tmp|old|bak)___              # IntelliJ and PyCharm while they save
    | thumbs\.db | ehthumbs\.db | desktop\.ini | icon\r | __macosx
    | __pycache__ | .*\.py[co]
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)


def is_clutter(name: str) -> bool:
    """Whether a file or a folder of this name, without a path, is none that somebody means."""
    return CLUTTER.fullmatch(name) is not None


def entries(folder: Path, meant: str = "a data set's folder") -> list[Path]:
    """What lies in a folder and somebody means, by name.

    Args:
        meant: what the folder should be, for the message.
    Raises:
        InputError: where it cannot be read.
    """
    try:
        return sorted(entry for entry in folder.iterdir() if not is_clutter(entry.name))
    except OSError as error:
        raise InputError(f"{folder}: expected {meant}, it cannot be read {reason(error)}") from None


def files(folder: Path) -> Iterator[Path]:
    """The files below a folder that somebody means, in an order that is the same on every machine.

    None where the folder is missing or cannot be listed, and nothing of one that goes meanwhile; a folder that is
    behind a symbolic link is not entered, so that none leads round in a circle.
    """
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_clutter(name))
        for name in sorted(names):
            file = Path(where, name)
            if not is_clutter(name) and os.path.isfile(file):  # noqa: PTH113 (Path's raises where it may not look)
                yield file
