"""Work beside a process: in one of its own where that can be forked, in processes that have no other threads."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from generator.base.beside import beside

ROOT = Path(__file__).resolve().parents[2]
forks = pytest.mark.skipif(sys.platform != "linux", reason="only there a process is forked")


def said(program: str) -> str:
    """What a process of its own prints."""
    beginning = "import os, sys, time, signal\nfrom generator.base.beside import beside\n"
    done = subprocess.run(
        [sys.executable, "-c", beginning + program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert not done.stderr
    return done.stdout


@forks
def test_work_is_done_in_another_process_and_its_result_waited_for() -> None:
    lines = said(
        "here = os.getpid()\n"
        "wait = beside(lambda: (os.getpid() != here, list(range(300_000))))\n"
        "elsewhere, many = wait()\n"
        "print(elsewhere, len(many), wait()[1] is many)\n"
    )
    assert lines == "True 300000 True\n"


@forks
def test_it_runs_meanwhile(tmp_path: Path) -> None:
    """Each waits for a file that the other makes."""
    program = (
        "from pathlib import Path\n"
        f"mine, yours = Path({str(tmp_path / 'mine')!r}), Path({str(tmp_path / 'yours')!r})\n"
        "def met(make, seek):\n"
        "    make.touch()\n"
        "    while not seek.exists(): time.sleep(0.01)\n"
        "wait = beside(lambda: met(yours, mine))\n"
        "met(mine, yours)\n"
        "print(wait())\n"
    )
    assert said(program) == "None\n"


@forks
@pytest.mark.parametrize("begun", ["", "import threading\nthreading.Timer(9, int).start()\n"])
def test_what_it_raises_is_raised_where_it_is_waited_for_or_at_once(begun: str) -> None:
    program = (
        "from generator.base.errors import InputError\n"
        "def wrong(): raise InputError('expected another')\n"
        f"{begun}"
        "where = 'at once'\n"
        "try:\n"
        "    wait = beside(wrong)\n"
        "    where = 'later'\n"
        "    wait()\n"
        "except InputError as error:\n"
        "    print(where, error, flush=True)\n"
        "os._exit(0)\n"
    )
    assert said(program) == f"{'at once' if begun else 'later'} expected another\n"


@forks
def test_what_cannot_be_sent_is_made_here() -> None:
    program = (
        "here = os.getpid()\n"
        "made = beside(lambda: lambda: os.getpid() == here)\n"
        "print(made()())\n"
        "class Odd(Exception):\n"
        "    def __init__(self, one, two): super().__init__('only one')\n"
        "def wrong(): raise Odd(1, 2)\n"
        "try: beside(wrong)()\n"
        "except Odd as error: print(error)\n"
    )
    assert said(program) == "True\nonly one\n"


@forks
def test_what_a_killed_process_has_not_done_is_done_here() -> None:
    program = (
        "here = os.getpid()\n"
        "def work():\n"
        "    if os.getpid() != here: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return 'done here'\n"
        "print(beside(work)())\n"
    )
    assert said(program) == "done here\n"


@forks
def test_without_room_for_another_process_it_is_done_here() -> None:
    program = (
        "import errno\n"
        "def full(): raise OSError(errno.EAGAIN, 'no more')\n"
        "os.fork = full\n"
        "print(beside(lambda: 'here')())\n"
    )
    assert said(program) == "here\n"


@forks
def test_it_ends_with_the_process_that_began_it(tmp_path: Path) -> None:
    """Whether that is killed or interrupted: nobody waits for the result any more."""
    other = tmp_path / "other"
    for how in ("os.kill(os.getpid(), signal.SIGKILL)", "os.killpg(0, signal.SIGINT)"):
        program = (
            "os.setsid()\n"
            "from pathlib import Path\n"
            "def work():\n"
            f"    Path({str(other)!r}).write_text(str(os.getpid()))\n"
            "    time.sleep(120)\n"
            "wait = beside(work)\n"
            f"while not (os.path.exists({str(other)!r}) and open({str(other)!r}).read()): time.sleep(0.01)\n"
            "time.sleep(0.2)\n"
            "try:\n"
            f"    {how}\n"
            "    wait()\n"
            "except KeyboardInterrupt: print('interrupted')\n"
        )
        assert said(program) in ("", "interrupted\n")
        number = int(other.read_text())
        until = time.monotonic() + 20
        while _runs(number) and time.monotonic() < until:
            time.sleep(0.05)
        assert not _runs(number)
        other.unlink()


def _runs(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_beside_other_threads_it_is_done_at_once() -> None:
    stop = threading.Event()
    other = threading.Thread(target=stop.wait)
    other.start()
    try:
        assert beside(os.getpid)() == os.getpid()
    finally:
        stop.set()
        other.join()
