"""What the program says while it works: bars with the remaining time on a terminal, plain lines into a pipe."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from tqdm import tqdm

# Into a pipe a long piece of work says how far it is this often.
SECONDS_BETWEEN_LINES = 20.0


class Bar(Protocol):
    """A piece of work of known length."""

    def advance(self, count: int = 1, note: str = "") -> None:
        """So many more steps are done."""


def speaks() -> bool:
    """Whether this process speaks: of several that torchrun started, the first does."""
    return os.environ.get("RANK", "0") == "0"


def say(line: str) -> None:
    """One line on standard error; results alone go to standard output."""
    if speaks():
        tqdm.write(line, file=sys.stderr)  # above a bar, not into it
        sys.stderr.flush()


def fail(line: str) -> None:
    """Why this process ends, whichever it is."""
    which = "" if speaks() else f"process {os.environ['RANK']}: "
    print(f"{which}{line}", file=sys.stderr, flush=True)


def result(line: str) -> None:
    """One line on standard output."""
    if speaks():
        print(line, flush=True)


def left(seconds: float) -> str:
    """How long something still takes, as the end of a line; nothing where it is over."""
    if seconds < 0.5:
        return ""
    return f", about {seconds:.0f} s left" if seconds < 90 else f", about {seconds / 60:.0f} min left"


@contextmanager
def bar(title: str, total: int, unit: str = "") -> Iterator[Bar]:
    """A bar for `total` steps, closed at the end; without a unit it tells their share, not their number."""
    if sys.stderr.isatty() and speaks():
        form = None if unit else "{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}{postfix}]"
        shown = tqdm(
            total=total, desc=title, unit=unit, file=sys.stderr, leave=False, dynamic_ncols=True, bar_format=form
        )
        try:
            yield _Shown(shown)
        finally:
            shown.close()
    else:
        yield _Lines(title, total, unit)


class _Shown:
    def __init__(self, shown: tqdm) -> None:
        self.shown = shown

    def advance(self, count: int = 1, note: str = "") -> None:
        if note:
            self.shown.set_postfix_str(note, refresh=False)
        self.shown.update(count)


class _Lines:
    def __init__(self, title: str, total: int, unit: str) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.done, self.last = 0, time.monotonic()

    def advance(self, count: int = 1, note: str = "") -> None:
        self.done += count
        if self.done < self.total and time.monotonic() - self.last > SECONDS_BETWEEN_LINES:
            self.last = time.monotonic()
            far = f"{self.done} of {self.total} {self.unit}" if self.unit else f"{self.done / self.total:.0%}"
            say(f"{self.title}: {far}{', ' + note if note else ''}")
