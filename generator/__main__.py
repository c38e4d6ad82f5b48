"""The command line: `python -m generator build` and the commands beside it.

Exit codes: 0 done, 1 could not (one line says why), 2 wrong usage, 130 interrupted. torch is imported only by commands
that need it, after a look at whether anything has changed at all.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

from generator.base import environment, moved, terminal
from generator.base.errors import MENDS, SHORTAGES, InputError, of_own_code, raised, reason
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
    debug = False
    try:
        options = parser().parse_args(arguments)
        debug = options.debug
        options.run(options)
    except InputError as error:
        return _failed(" ".join(str(error).split()), debug)
    except KeyboardInterrupt:
        terminal.say("interrupted; what was finished before is kept")
        return 130
    except BrokenPipeError:  # the reader of our output has gone
        return 1
    except OSError as error:  # what the user can mend; all else that the system says is a mistake of the program
        if error.errno not in (SHORTAGES if error.filename is None else MENDS):
            if of_own_code(error):
                return _failed(_raised_by_code(error), debug)
            raise
        what = f"{error.filename}: expected a path that can be used" if error.filename else "expected to go on"
        return _failed(f"{what}, got: {reason(error)}", debug)
    except MemoryError:
        return _failed("expected to go on, got: no memory left; free some memory", debug)
    except (Exception, SystemExit) as error:
        if not of_own_code(error):  # a mistake of the program
            raise
        return _failed(_raised_by_code(error), debug)
    return 0


def _raised_by_code(error: BaseException) -> str:
    return f"expected the network's own code to run, it {raised(error)}"


def _failed(line: str, debug: bool) -> int:
    """Say why, where it was asked for after the whole way there."""
    if debug:
        for each in traceback.format_exc().rstrip("\n").split("\n"):
            terminal.fail(each)
    terminal.fail(f"error: {line}")
    return 1


def __getattr__(name: str) -> object:
    """What the module held in version 0.1."""
    return moved.look_up("generator.__main__", name)


if __name__ == "__main__":
    sys.exit(program())
