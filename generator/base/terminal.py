"""What the program says: results on standard output; what happens meanwhile on standard error, as bars with the
remaining time on a terminal, as plain lines into a pipe.

Whatever a stream is (closed, full, left by its reader, of few letters), it costs words and never the work. Words that
come from files or their names cannot steer the terminal.
"""

from __future__ import annotations

import errno
import io
import os
import re
import select
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

from tqdm import tqdm

from generator.base.errors import InputError

# Into a pipe a long piece of work says how far it is this often.
SECONDS_BETWEEN_LINES = 20.0
# What moves a cursor, begins a line, turns the direction of reading, or is no letter at all: half of a pair, or a byte
# of a file's name that is not UTF-8, as Python's surrogateescape (PEP 383) has it.
STEERING = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Bar(Protocol):
    """A piece of work of known length."""

    def advance(self, count: int = 1, note: str = "") -> None:
        """So many more steps are done."""


def speaks() -> bool:
    """Whether this process speaks: of several that torchrun started, the first does."""
    return os.environ.get("RANK", "0") == "0"


def plain(text: str) -> str:
    """The text in one line, what could steer a terminal escaped: "a\\nb" and the name of bytes b"caf\\xe9" as such."""
    return STEERING.sub(_escaped, text)


def say(line: str) -> None:
    """One line on standard error; results alone go to standard output."""
    if speaks():
        tqdm.write(plain(line), file=sys.stderr)  # above a bar, not into it
        sys.stderr.flush()


def once() -> Callable[[str], None]:
    """A `say` of its own that says no line twice, and nothing where the line is empty."""
    said = {""}

    def tell(line: str) -> None:
        if line not in said:
            said.add(line)
            say(line)

    return tell


def fail(line: str) -> None:
    """Why this process ends, whichever it is."""
    which = "" if speaks() else f"process {os.environ['RANK']}: "
    _write(sys.stderr, f"{which}{line}")


def result(line: str) -> None:
    """One line of what was asked for, on standard output.

    Raises:
        InputError: it could not be written.
        BrokenPipeError: nobody reads any longer, as behind `| head -1`.
    """
    if not speaks():
        return
    failure = _write(sys.stdout, line)
    if isinstance(failure, BrokenPipeError):
        raise failure
    if failure is not None:
        raise InputError(f"standard output: expected a stream that takes what was asked for, got: {failure.strerror}")


def done(line: str) -> None:
    """The last line of a command whose work is in files, on standard output.

    A stream that its owner closed, or its reader left, is no failure: the work is done.

    Raises:
        InputError: the line could not be written, as on a full disk; it tells that the work is done.
    """
    if not speaks():
        return
    failure = _write(sys.stdout, line)
    if failure is not None and failure.errno not in (errno.EBADF, errno.EPIPE):
        raise InputError(
            f"standard output: expected a stream that takes words, got: {failure.strerror}; the work is done ({line})"
        )


def use_lenient_streams() -> None:
    """Put streams that never raise in the place of this process's own, for all that writes to them.

    A closed one leads nowhere from here on, lest the next file that is opened takes its number, and with it the words.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number: this one
    sys.stdout, sys.stderr = _lenient(sys.stdout), _lenient(sys.stderr)


def left(seconds: float) -> str:
    """How long something still takes, as the end of a line; nothing where it is over."""
    if seconds < 0.5:
        return ""
    return f", about {seconds:.0f} s left" if seconds < 90 else f", about {seconds / 60:.0f} min left"


@contextmanager
def bar(title: str, total: int, unit: str = "") -> Iterator[Bar]:
    """A bar for `total` steps, closed at the end; without a unit it tells their share, not their number.

    One that is called as a stage of a `whole` is told as that, which begins with it.
    """
    title = plain(title)
    if _wholes and title in _wholes[-1].expected:
        if title != _wholes[-1].stage:
            _wholes[-1].begin(title)
        yield _Part(_wholes[-1], total)
    elif sys.stderr.isatty() and speaks():
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


class Whole:
    """How far work of several stages is, as one line: percent, the stage, and the time left.

    What a stage takes is expected at first, and corrected by what it and the stages before it have taken so far.
    """

    def __init__(self, expected: Mapping[str, float], clock: Callable[[], float] = time.monotonic) -> None:
        """`expected` has the stages in order, with the seconds that each is thought to take."""
        self.expected, self.clock = dict(expected), clock
        self.began = self.since = self.told = clock()
        self.stage, self.share = next(iter(self.expected)), 0.0
        self.took: dict[str, float] = {}
        self.shown: tqdm | None = None

    def begin(self, stage: str) -> None:
        """The stage before is over; those between the two were not needed. One that nobody expects is no stage."""
        now = self.clock()
        if stage not in self.expected:
            return
        self.took[self.stage] = now - self.since
        for passed in list(self.expected)[: list(self.expected).index(stage)]:
            self.took.setdefault(passed, 0.0)
        self.stage, self.share, self.since = stage, 0.0, now
        self.tell()

    def expect(self, stage: str, seconds: float) -> None:
        """A stage is known better."""
        self.expected[stage] = seconds

    def divide(self, stage: str, into: Mapping[str, float]) -> None:
        """A stage that has not begun is several; of what has begun already nothing changes."""
        if stage in self.expected and stage != self.stage and stage not in self.took:
            at = list(self.expected).index(stage)
            items = list(self.expected.items())
            self.expected = dict([*items[:at], *into.items(), *items[at + 1 :]])

    def reach(self, share: float) -> None:
        """The stage is done as far as that."""
        self.share = share
        self.tell()

    @property
    def seconds_left(self) -> float:
        """Of all stages together."""
        known = sum(self.expected[stage] for stage in self.took)
        # One second more of each, so that a stage of almost no time says almost nothing of the others.
        pace = min(max((sum(self.took.values()) + 1) / (known + 1), 0.1), 10.0)
        ahead = sum(seconds for stage, seconds in self.expected.items() if stage not in {*self.took, self.stage}) * pace
        elapsed, thought = self.clock() - self.since, self.expected[self.stage] * pace
        if not self.share:
            return ahead + max(thought - elapsed, thought / 10)
        weight = min(1.0, 4 * self.share)  # of what was measured in this stage
        return ahead + (1 - self.share) * (weight * elapsed / self.share + (1 - weight) * thought)

    @property
    def line(self) -> str:
        """What is shown."""
        elapsed, rest = self.clock() - self.began, self.seconds_left
        percent = 100 * elapsed / (elapsed + rest) if rest > 0 else 100.0
        return f"{min(percent, 99):.0f} %: {plain(self.stage)}{left(rest)}"

    def tell(self) -> None:
        """Rewrite the line on a terminal; into a pipe, say it now and then."""
        now = self.clock()
        if self.shown is not None:
            self.shown.set_description_str(self.line)
        elif now - self.told > SECONDS_BETWEEN_LINES:
            self.told = now
            say(self.line)


tqdm.monitor_interval = 0  # a thread that would look after lines that nobody rewrites
_wholes: list[Whole] = []  # at most one: bars are parts of it


@contextmanager
def whole(expected: Mapping[str, float]) -> Iterator[Whole]:
    """One line for work of several stages; bars within it are told as parts of its stage."""
    found = Whole(expected)
    if sys.stderr.isatty() and speaks():
        found.shown = tqdm(total=1, file=sys.stderr, leave=False, dynamic_ncols=True, bar_format="{desc}")
    _wholes.append(found)
    try:
        found.tell()
        yield found
    finally:
        _wholes.pop()
        if found.shown is not None:
            found.shown.close()


class _Part:
    def __init__(self, within: Whole, total: int) -> None:
        self.within, self.total, self.done = within, total, 0

    def advance(self, count: int = 1, note: str = "") -> None:  # noqa: ARG002 - the line has no room for it
        self.done += count
        self.within.reach(min(1.0, self.done / max(1, self.total)))


def progress() -> Whole:
    """The whole that this work is a part of; where there is none, one that nobody sees."""
    return _wholes[-1] if _wholes else Whole({"": 0.0})


class _Shown:
    def __init__(self, shown: tqdm) -> None:
        self.shown = shown

    def advance(self, count: int = 1, note: str = "") -> None:
        if note:
            self.shown.set_postfix_str(plain(note), refresh=False)
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


class _Lenient(io.RawIOBase):
    """A stream whose failures are remembered, not raised: `failure` is the first one."""

    def __init__(self, inner: Any, failure: OSError | None = None) -> None:
        self.inner, self.failure = inner, failure

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return bool(self.inner.isatty())

    def fileno(self) -> int:
        return int(self.inner.fileno())

    def write(self, data: Any) -> int:
        try:
            while (written := self.inner.write(data)) is None:  # a pipe that does not block, and is full
                select.select([], [self.inner], [])
        except OSError as error:
            self.failure = self.failure or error
            return len(data)
        return int(written)


def _lenient(stream: TextIO | None) -> TextIO:
    """A stream that goes the same way; letters that its encoding lacks are escaped. None is a closed one."""
    if stream is None:
        closed = OSError(errno.EBADF, "it is closed")
        raw = _Lenient(io.FileIO(os.devnull, "w"), closed)
        return io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", "backslashreplace")
    raw = _Lenient(getattr(stream.buffer, "raw", stream.buffer))  # python -u has no buffer between
    lines = bool(stream.line_buffering)
    return io.TextIOWrapper(io.BufferedWriter(raw), stream.encoding, "backslashreplace", line_buffering=lines)


def _write(stream: TextIO, line: str) -> OSError | None:
    """Write a line now; why it could not be, where the stream is a lenient one."""
    stream.write(f"{plain(line)}\n")
    stream.flush()
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.failure if isinstance(raw, _Lenient) else None


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return found[0].encode("unicode_escape").decode("ascii")
