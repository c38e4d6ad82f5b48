"""Work in a process of its own, while this one does something else."""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from functools import cache
from multiprocessing.connection import Connection
from typing import TypeVar

Made = TypeVar("Made")

DEATH = 1  # PR_SET_PDEATHSIG, linux/prctl.h


def beside(work: Callable[[], Made]) -> Callable[[], Made]:
    """Begin work beside this process, where it can: on Linux, in a process without other threads and without torch.

    Else it is done at once. For work that takes a second or more, and whose result is pickled in little time; what it
    changes in memory is changed there alone.

    Returns:
        what waits for the result, and raises what the work has raised. Where the other process was killed the work is
        done here.
    """
    if sys.platform != "linux" or "torch" in sys.modules or threading.active_count() > 1:
        made = work()
        return lambda: made
    near, far = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_work, args=(work, far), daemon=True)
    with warnings.catch_warnings():  # Python 3.12 counts the threads of NumPy's library, which knows how to be forked
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    far.close()

    @cache
    def result() -> tuple[Made | None, Exception | None]:
        try:
            found: tuple[Made | None, Exception | None] = near.recv()
        except (EOFError, OSError):
            found = work(), None
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
    ctypes.CDLL(None).prctl(DEATH, signal.SIGKILL)
    made, error = None, None
    try:
        made = work()
    except Exception as raised:  # noqa: BLE001 - whatever it is, it is raised where the result is asked for
        error = raised
    far.send((made, error))
