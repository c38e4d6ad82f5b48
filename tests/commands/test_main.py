"""The command line as a shell runs it: whatever its streams and its surroundings are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from generator.base.errors import InputError
from generator.commands.evaluate import _write_csv
from tests import sites

ROOT = Path(__file__).parents[2]
posix = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


def shell(command: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command line in which $RUN is the program; what it says as text, whatever bytes it holds."""
    run = f"{sys.executable} -m generator"
    told = {**os.environ, "RUN": run, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        ["bash", "-c", command], cwd=cwd, env=told, capture_output=True, text=True, errors="replace", check=False
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished site, not to be changed."""
    return sites.place(tmp_path_factory.mktemp("built") / "site")


@posix
@full
@pytest.mark.parametrize(
    "words", ["--help", "--version", "build --help", "check --out SITE", "check --json --out SITE"]
)
def test_words_that_cannot_be_written_are_one_line_and_no_success(site: Path, words: str) -> None:
    ran = shell(f"$RUN {words.replace('SITE', str(site))} >/dev/full")
    assert (ran.returncode, ran.stderr) == (
        1,
        "error: standard output: expected a stream that takes what was asked for, got: No space left on device\n",
    )
    assert shell(f"$RUN {words.replace('SITE', str(site))} >&-").returncode == 1
    silent = shell(f"$RUN {words.replace('SITE', str(site))} >/dev/full 2>/dev/full")
    assert (silent.returncode, silent.stderr) == (1, "")


@posix
@pytest.mark.parametrize("streams", ["2>&-", "<&-", "2>/dev/full <&-"])
def test_words_are_said_though_other_streams_are_closed(site: Path, streams: str) -> None:
    ran = shell(f"$RUN check --out {site} {streams}")
    assert ran.returncode == 0, ran
    assert ran.stdout.startswith(f"{site}: {len(sites.EVERY)} pages, ")


@posix
def test_a_reader_that_leaves_ends_it_quietly(site: Path) -> None:
    ran = shell(f"set -o pipefail; $RUN check --json --out {site} | head -1")
    assert (ran.returncode in (0, 1), ran.stdout, ran.stderr) == (True, "{\n", "")


@posix
@pytest.mark.parametrize("streams", [">&-", "2>&-", ">&- 2>&-", ">&- 2>&- <&-", "2>/dev/full", ">&- 2>/dev/full"])
def test_work_is_done_and_a_success_where_nobody_listens(tmp_path: Path, streams: str) -> None:
    ran = shell(f"$RUN init new {streams}", tmp_path)
    assert (ran.returncode, "Traceback" in ran.stderr) == (0, False)
    assert (tmp_path / "new" / "report.toml").is_file()


@posix
@full
def test_work_is_done_where_the_last_word_finds_no_room(tmp_path: Path) -> None:
    ran = shell("$RUN init new >/dev/full", tmp_path)
    assert ran.returncode == 1
    last = ran.stderr.splitlines()[-1]
    assert last.startswith("error: standard output: expected a stream that takes words, got: No space left on device; ")
    assert "the work is done (next: cd new && " in last
    assert (tmp_path / "new" / "report.toml").is_file()


@posix
@full
@pytest.mark.parametrize("stream", ["2>&-", "2>/dev/full"])
def test_wrong_usage_and_failures_keep_their_codes(tmp_path: Path, stream: str) -> None:
    assert shell(f"$RUN nonsense {stream}", tmp_path).returncode == 2
    assert shell(f"$RUN check --out nothing {stream}", tmp_path).returncode == 1


@posix
@pytest.mark.parametrize("encoding", ["ascii", "latin-1:strict", "cp1252:strict", "utf-8:strict"])
def test_letters_that_a_stream_lacks_are_escaped(tmp_path: Path, encoding: str) -> None:
    ran = shell("$RUN init neu-日本", tmp_path, PYTHONIOENCODING=encoding)
    assert (ran.returncode, "Traceback" in ran.stderr) == (0, False)
    assert ("neu-日本" if "utf" in encoding else r"neu-\u65e5\u672c") in ran.stdout
    assert (tmp_path / "neu-日本" / "report.toml").is_file()


@posix
def test_json_is_json_on_a_stream_of_ascii(tmp_path: Path) -> None:
    site = sites.place(tmp_path / "sité")
    ran = shell(f"$RUN check --json --out {site}", PYTHONIOENCODING="ascii")
    assert json.loads(ran.stdout)["site"] == str(site)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="needs names that are any bytes")
def test_names_cannot_steer_the_terminal(tmp_path: Path) -> None:
    ran = shell(
        r"""$RUN init $'caf\xe9' && $RUN init $'two\nlines\e[31m' && $RUN check --out $'\e]0;title\a'""", tmp_path
    )
    said = ran.stdout + ran.stderr
    assert (ran.returncode, "\x1b" in said, "\a" in said) == (1, False, False)
    assert r"next: cd 'caf\xe9' && " in said
    assert r"next: cd 'two\nlines\x1b[31m' && " in said
    assert ran.stderr.splitlines()[-1].startswith(r"error: \x1b]0;title\x07: expected a site")


@posix
def test_a_current_folder_that_is_gone_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    ran = shell("rmdir ../gone; $RUN build --offline", tmp_path / "gone")
    assert (ran.returncode, ran.stderr.splitlines()[-1]) == (
        1,
        "error: expected a current folder, it is gone or closed (No such file or directory); change into another one",
    )


@posix
def test_a_mask_that_shuts_its_owner_out_is_softened(tmp_path: Path) -> None:
    ran = shell("umask 0777; $RUN init new", tmp_path)
    assert ran.returncode == 0, ran.stderr
    made = tmp_path / "new" / "report.toml"
    assert (made.stat().st_mode & 0o777, made.parent.stat().st_mode & 0o777) == (0o600, 0o700)


SURROUNDINGS = """
import sys, warnings
from generator.base import environment, installation, terminal
terminal.use_lenient_streams()
environment.put_right()
installation.check_pair()
installation.import_matplotlib()
import matplotlib.font_manager
warnings.warn("not meant for users", UserWarning)
print(matplotlib.rcParams["lines.linewidth"])
"""


@pytest.mark.parametrize(
    "environment",
    [
        {"MPLBACKEND": "garbage", "PYTHONWARNINGS": "error", "HOME": "/dev/null", "TMPDIR": "/nowhere"},
        {
            "XDG_CACHE_HOME": "~nobody-of-this-name",
            "TORCH_HOME": "~nobody-of-this-name",
            "PYTHONOPTIMIZE": "2",
            "OMP_NUM_THREADS": "garbage",
            "SOURCE_DATE_EPOCH": "garbage",
            "LC_ALL": "garbage",
            "TZ": "garbage",
        },
    ],
    ids=["backend, warnings, home", "users, numbers"],
)
def test_what_is_set_for_other_programs_does_not_matter(tmp_path: Path, environment: dict[str, str]) -> None:
    """matplotlib's lines are 1.5 points wide unless a matplotlibrc says otherwise; this one is no text at all."""
    (tmp_path / "matplotlibrc").write_bytes(b"lines.linewidth: 9\n\xff\xfe\0")
    told = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    ran = subprocess.run(
        [sys.executable, "-c", SURROUNDINGS], cwd=tmp_path, env=told, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, "1.5\n"), ran.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["matplotlibrc"]


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv")
def test_a_user_without_a_home_or_an_entry_is_a_user(tmp_path: Path) -> None:
    """As in a container that is run with --user 12345."""
    if os.geteuid() != 0:
        pytest.skip("needs to be root, to become nobody")
    program = "from generator.config import places; print(places.exists(places.published_weights()))"
    told = {name: value for name, value in os.environ.items() if name not in ("HOME", "TORCH_HOME", "XDG_CACHE_HOME")}
    for home in ({}, {"TORCH_HOME": "/root/closed"}, {"HOME": "/root"}):
        ran = subprocess.run(
            ["setpriv", "--reuid", "12345", "--clear-groups", sys.executable, "-c", program],
            cwd=ROOT, env={**told, **home}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (ran.stdout, ran.stderr) == ("False\n", "")


ROWS = [("a.png", 1), ("caf\udce9.png", 2), ("two\nlines\x1b[31m.png", 3), ("=1+1.png", 4), ('q",.png', 5)]
TABLE = 'Id,Category\na.png,1\ncaf\\xe9.png,2\ntwo\\nlines\\x1b[31m.png,3\n./=1+1.png,4\n"q"",.png",5\n'


def test_a_table_holds_any_name_and_no_formula(tmp_path: Path) -> None:
    _write_csv(tmp_path / "a.csv", ROWS)
    assert (tmp_path / "a.csv").read_text() == TABLE


def test_a_place_for_the_table_is_tried_before_the_work(tmp_path: Path) -> None:
    """And nothing of it is seen: neither a new file nor a change in an old one."""
    (tmp_path / "old.csv").write_text("kept")
    (tmp_path / "link.csv").symlink_to("old.csv")
    for name in ("old.csv", "link.csv", "new.csv"):
        _write_csv(tmp_path / name, None)
    assert (sorted(file.name for file in tmp_path.iterdir()), (tmp_path / "old.csv").read_text()) == (
        ["link.csv", "old.csv"],
        "kept",
    )
    for name, why in (("no/a.csv", "No such file"), ("", "Is a directory"), ("x" * 300, "give it a shorter name")):
        with pytest.raises(InputError, match=f"expected a file that can be written, got .*{why}"):
            _write_csv(tmp_path / name, None)
    _write_csv(tmp_path / "link.csv", ROWS)
    assert ((tmp_path / "link.csv").is_symlink(), (tmp_path / "old.csv").read_text()) == (True, TABLE)


@posix
@full
def test_a_device_stays_one(tmp_path: Path) -> None:
    _write_csv(Path("/dev/null"), ROWS)
    assert Path("/dev/null").is_char_device()
    with pytest.raises(InputError, match=r"/dev/full: .*, got \(No space left"):
        _write_csv(Path("/dev/full"), ROWS)


@posix
@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))", "got: (No space left on device); free some space"),
        (
            "OSError(errno.EMFILE, os.strerror(errno.EMFILE), 'a')",
            "got: (Too many open files); raise the limit on open",
        ),
        ("MemoryError", "got: no memory left; free some memory"),
    ],
)
def test_what_the_system_refuses_anywhere_is_one_line(tmp_path: Path, error: str, said: str) -> None:
    program = f"""
import errno, os, sys
from generator import __main__
from generator.config import reading
def load(path): raise {error}
reading.load = load
sys.exit(__main__.main(["check"]))
"""
    ran = shell(f"{sys.executable} -c '{program.replace(chr(39), chr(34))}'", tmp_path)
    assert ran.returncode == 1
    assert ran.stderr.count("\n") == 1
    assert said in ran.stderr
