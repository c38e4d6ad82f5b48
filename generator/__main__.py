"""The command line: `python -m generator build` and the commands beside it.

Exit codes: 0 done, 1 could not (one line says why), 2 wrong usage, 130 interrupted. torch is imported only by commands
that need it, after a look at whether anything has changed at all.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from generator.base import environment, moved, terminal
from generator.base.errors import MENDS, SHORTAGES, InputError, reason
from generator.commands.options import parser


def program() -> int:
    """What a shell runs: `main`, wherever its words go and whatever surrounds it."""
    terminal.use_lenient_streams()
    try:
        environment.put_right()
    except InputError as error:
        terminal.fail(f"error: {error}")
        return 1
    return main()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    try:
        options = parser().parse_args(arguments)
        options.run(options)
    except InputError as error:
        terminal.fail(f"error: {' '.join(str(error).split())}")
        return 1
    except KeyboardInterrupt:
        terminal.say("interrupted; what was finished before is kept")
        return 130
    except BrokenPipeError:  # the reader of our output has gone
        return 1
    except OSError as error:  # what the user can mend; all else that the system says is a mistake of the program
        if error.errno not in (SHORTAGES if error.filename is None else MENDS):
            raise
        what = f"{error.filename}: expected a path that can be used" if error.filename else "expected to go on"
        terminal.fail(f"error: {what}, got: {reason(error)}")
        return 1
    except MemoryError:
        terminal.fail("error: expected to go on, got: no memory left; free some memory")
        return 1
    return 0


def __getattr__(name: str) -> object:
    """What the module held in version 0.1."""
    return moved.look_up("generator.__main__", name)


if __name__ == "__main__":
    sys.exit(program())
