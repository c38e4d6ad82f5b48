"""Work in a process of its own, while this one does something else."""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from multiprocessing.connection import Connection
from typing import TypeVar

Made = TypeVar("Made")

DEATH = 1  # PR_SET_PDEATHSIG, linux/prctl.h


def beside(work: Callable[[], Made]) -> Callable[[], Made]:
    """Begin work beside this process, where it can: on Linux, in a process without other threads of Python.

    Else it is done at once. For work that takes a second or more, does not run torch, whose threads are not forked, and
    whose result is pickled in little time; what it changes in memory is changed there alone.

    Returns:
        what waits for the result, and raises what the work has raised. Where the other process was killed or could not
        send it, the work is done here.
    """
    if sys.platform != "linux" or threading.active_count() > 1:
        made = work()
        return lambda: made
    near, far = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_work, args=(work, far), daemon=True)
    with warnings.catch_warnings(), suppress(OSError):  # no room for another process
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 counts the threads of libraries, too
        process.start()
    far.close()

    @cache
    def result() -> tuple[Made | None, Exception | None]:
        try:
            found: tuple[Made | None, Exception | None] = near.recv()
        except Exception:  # noqa: BLE001 - the process is gone, or sent what cannot be put together again
            found = work(), None
        if process.pid is not None:
            process.join()
        return found

    def waited() -> Made:
        made, error = result()
        if error is not None:
            raise error
        return made  # type: ignore[return-value]

    return waited


def _work(work: Callable[[], object], far: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the other's to tell of, at whose end this one ends
    with suppress(AttributeError):  # of a C library that does not know it
        ctypes.CDLL(None).prctl(DEATH, signal.SIGKILL)
    made, error = None, None
    try:
        made = work()
    except Exception as raised:  # noqa: BLE001 - whatever it is, it is raised where the result is asked for
        error = raised
    with suppress(Exception):  # what cannot be sent is made where it is asked for
        far.send((made, error))
