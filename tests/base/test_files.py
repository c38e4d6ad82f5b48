"""A file is whole or what it was; nothing half written bears its name or stays beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from generator.base import files


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("durable", [False, True])
def test_parts_one_after_the_other_take_the_place_of_what_was_there(tmp_path: Path, durable: bool) -> None:
    (tmp_path / "a").write_bytes(b"a long one from before")
    files.write(tmp_path / "a", b"one ", b"", b"two", durable=durable)
    assert (tmp_path / "a").read_bytes() == b"one two"
    assert names(tmp_path) == ["a"]


def test_what_is_raised_while_it_is_written_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"before")

    def interrupted() -> None:
        with files.replacing(tmp_path / "a") as aside:
            aside.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (tmp_path / "a").read_bytes() == b"before"
    assert names(tmp_path) == ["a"]


def test_nothing_stays_where_the_place_cannot_be_taken(tmp_path: Path) -> None:
    (tmp_path / "folder" / "in it").mkdir(parents=True)
    with pytest.raises(OSError, match="folder"):
        files.write(tmp_path / "folder", b"a file")
    assert names(tmp_path) == ["folder"]


def test_a_folder_that_is_missing_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.write(tmp_path / "none" / "a", b"")
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["x" * 255, "\u96ea" * 85, "a.tar." + "g" * 249])
def test_the_longest_names_have_an_unfinished_file_too(tmp_path: Path, name: str) -> None:
    with files.replacing(tmp_path / name) as aside:
        aside.write_bytes(b"whole")
        assert list(files.unfinished(tmp_path / name)) == [aside]
    assert names(tmp_path) == [name]


def test_two_that_write_the_same_file_do_not_meet(tmp_path: Path) -> None:
    with files.replacing(tmp_path / "a") as first, files.replacing(tmp_path / "a") as second:
        first.write_bytes(b"first")
        second.write_bytes(b"second")
    assert (tmp_path / "a").read_bytes() == b"first"  # it was renamed last
    assert names(tmp_path) == ["a"]


def test_a_link_gives_way_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"other")
    (tmp_path / "a").symlink_to("other")
    files.write(tmp_path / "a", b"new")
    assert not (tmp_path / "a").is_symlink()
    assert (tmp_path / "other").read_bytes() == b"other"


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_killed_at_any_moment_one_of_both_is_there_whole(tmp_path: Path) -> None:
    program = """if True:
        import sys
        from pathlib import Path
        from generator.base import files
        path, value = Path(sys.argv[1]), 0
        while True:
            value = (value + 1) % 256
            files.write(path, bytes([value]) * 2_000_000, b"!")
            print(value, flush=True)
    """
    path = tmp_path / "a"
    for seconds in (0.0, 0.002, 0.01):
        process = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        content = path.read_bytes()
        assert content == content[:1] * 2_000_000 + b"!"
    assert {one.name for one in files.unfinished(path)} == set(names(tmp_path)) - {"a"}


def test_only_the_abandoned_are_swept_away(tmp_path: Path) -> None:
    old, new, other = (tmp_path / name for name in (".a[1].old.part", ".a[1].new.part", ".b.old.part"))
    for file in (old, new, other):
        file.touch()
    for file in (old, other):
        os.utime(file, (0, 0))
    files.sweep([*files.unfinished(tmp_path / "a[1]"), tmp_path / "gone"])
    assert names(tmp_path) == [new.name, other.name]
