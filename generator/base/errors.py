"""The one exception that a user's input can cause; `__main__` turns it into one line and exit code 1."""

from __future__ import annotations

import errno
import sys
import sysconfig
import traceback
import warnings
from pathlib import Path

# How the program was called, for the commands that messages name: beside a generator.py of a user's own, `python -m
# generator` would run that.
PROGRAM = "cnn-report" if Path(sys.argv[0]).stem == "cnn-report" else "python -m generator"

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


LONGEST = 160  # letters of a message that is no line of its own


class PartLeftOut(Warning):
    """A part that a report can do without went wrong, by no fault of the user's.

    It is not shown, for the report says it; the tests make it an error, and `python -W error` shows where it came from.
    """


warnings.filterwarnings("ignore", category=PartLeftOut, append=True)


def in_short(error: BaseException) -> str:
    """Its message on one line, cut where it is long."""
    said = " ".join(str(error).split())
    return f"{said[:LONGEST]}…" if len(said) > LONGEST else said


def failure(error: Exception) -> str:
    """What went wrong in such a part, as the end of a sentence."""
    said = in_short(error)
    told = type(error).__name__ + (f" ({said})" if said else "")
    warnings.warn(told, PartLeftOut, stacklevel=2)
    return told


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


def raised(error: BaseException) -> str:
    """What somebody's code raised, with its own file and line: "raised KeyError at net.py:8: 'width'"."""
    places, said = _places(error), str(error)
    if isinstance(error, SyntaxError):  # where it stands, not where it was imported
        places, said = [(error.filename or "", error.lineno)], error.msg
    at = f" at {Path(places[-1][0]).name}:{places[-1][1]}" if places else ""
    return f"raised {type(error).__name__}{at}: {' '.join(said.split())[:200]}".rstrip(": ")


def of_own_code(error: BaseException) -> bool:
    """Whether code that is neither the program's nor a package's was running when it was raised."""
    return bool(_places(error))


def _places(error: BaseException) -> list[tuple[str, int | None]]:
    """File and line of each call of a traceback that is the user's own, the innermost last."""
    frames = traceback.extract_tb(error.__traceback__)
    return [(frame.filename, frame.lineno) for frame in frames if not _is_elsewhere(frame.filename)]


def _is_elsewhere(file: str) -> bool:
    """Whether a file of a traceback is none of the user's: the program's, Python's own, or a package's."""
    packaged = "site-packages" in file or "dist-packages" in file
    return packaged or file.startswith(("<", str(Path(__file__).parents[1]), sysconfig.get_paths()["stdlib"]))
