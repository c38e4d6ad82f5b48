"""The one exception that a user's input can cause; `__main__` turns it into one line and exit code 1."""

from __future__ import annotations

import errno

# These need no path to be understood.
SHORTAGES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO})
# What the user can do about what the system refuses; each is the end of a line.
MENDS = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some of your quota",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "close some programs",
    errno.ENOMEM: "free some memory",
    errno.ENAMETOOLONG: "give it a shorter name",
    errno.EACCES: "make it accessible to you",
    errno.EPERM: "make it accessible to you",
    errno.EROFS: "choose a place that is not read-only",
    errno.ELOOP: "mend its symbolic links",
    errno.EIO: "look after the disk",
}


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line for the terminal: what was expected, what came, how to mend it.
    """


def reason(error: OSError, otherwise: str = "") -> str:
    """What the system refused and how to mend it: "(No space left on device); free some space or choose another --out".

    Args:
        otherwise: what else the user may do.
    """
    mends = " or ".join(filter(None, (MENDS.get(error.errno or 0), otherwise)))
    said = f"({error.strerror or type(error).__name__})"
    return f"{said}; {mends}" if mends else said
