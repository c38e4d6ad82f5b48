"""A site is placed whole or not at all: at whatever moment a build ends, the old site or the new one is there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from generator.base.errors import InputError
from generator.publishing.writer import MANIFEST, place, prepare, unchanged

OLD = {"index.html": b"old", "assets/a.webp": b"\x00old", "assets/deep/b.json": b"{}"}
NEW = {"index.html": b"new", "assets/a.webp": b"\x00new", "about.html": b"about"}

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals and locks")


def content(out: Path) -> dict[str, bytes]:
    """All files of a folder but the manifest."""
    found = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    found.pop(MANIFEST, None)
    return found


def beside(out: Path) -> list[str]:
    return [path.name for path in out.parent.iterdir() if path != out]


def test_the_folder_holds_these_files_and_no_others(tmp_path: Path) -> None:
    out = tmp_path / "a" / "site"
    place(OLD, out, {"inputs": "1"})
    assert content(out) == OLD
    place(NEW, out, {"inputs": "2"})
    assert content(out) == NEW
    assert beside(out) == []


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    place(OLD, tmp_path / "one", {"inputs": "1", "notes": ["b", "a"]})
    place(dict(reversed(OLD.items())), tmp_path / "two", {"notes": ["b", "a"], "inputs": "1"})
    assert (tmp_path / "one" / MANIFEST).read_bytes() == (tmp_path / "two" / MANIFEST).read_bytes()


def test_the_manifest_says_what_was_made_from_what(tmp_path: Path) -> None:
    place({"b.txt": b"", "a.txt": b"abc"}, tmp_path / "site", {"inputs": "1", "seconds": 3})
    assert json.loads((tmp_path / "site" / MANIFEST).read_text()) == {
        "generator": "cnn-report",
        "inputs": "1",
        "seconds": 3,
        "files": {  # FIPS 180-2, appendix B.1, and the digest of nothing
            "a.txt": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "b.txt": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        },
    }


@pytest.mark.skipif(sys.platform == "win32", reason="files have other permissions there")
def test_what_the_site_has_already_is_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But where it was touched, is a link, or would have other permissions, it is written as ever."""
    out, names = tmp_path / "site", ("a/same.webp", "new.html", "touched.html", "linked.html", "private.html")
    first = dict.fromkeys(names, b"words")
    place(first, out, {"inputs": "1"})
    (out / "touched.html").write_bytes(b"wards")
    (tmp_path / "elsewhere").write_bytes(b"words")
    (out / "linked.html").unlink()
    (out / "linked.html").symlink_to(tmp_path / "elsewhere")
    (out / "private.html").chmod(0o600)
    before = {name: (out / name).stat() for name in names}
    place({**first, "new.html": b"other"}, out, {"inputs": "1"})
    after = {name: (out / name).lstat() for name in names}
    assert [name for name in names if after[name].st_ino == before[name].st_ino] == ["a/same.webp"]
    assert after["a/same.webp"].st_nlink == 1  # the old site is gone
    assert content(out)["touched.html"] == b"words"
    assert not (out / "linked.html").is_symlink()
    assert after["private.html"].st_mode == after["new.html"].st_mode
    assert unchanged(out, "1")

    def refused(*_args: object) -> None:
        raise OSError("no such thing here")

    monkeypatch.setattr(os, "link", refused)
    place(first, out, {"inputs": "1"})
    assert content(out) == first
    assert unchanged(out, "1")


def test_the_folders_gitignore_and_permissions_stay(tmp_path: Path) -> None:
    out = tmp_path / "site"
    out.mkdir(mode=0o750)
    (out / ".gitignore").write_text("*\n")
    for files in (OLD, NEW):
        place(files, out, {"inputs": "1"})
        assert content(out) == {**files, ".gitignore": b"*\n"}
        assert out.stat().st_mode & 0o777 == 0o750


@posix
def test_a_new_folder_can_be_read_by_a_web_server(tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        place(OLD, tmp_path / "site", {"inputs": "1"})
    finally:
        os.umask(mask)
    for path in (tmp_path / "site", *(tmp_path / "site").rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644)


@posix
def test_a_link_to_the_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "site").symlink_to("real")
    place(OLD, tmp_path / "site", {"inputs": "1"})
    assert (tmp_path / "site").is_symlink()
    assert content(tmp_path / "real") == OLD


def test_unchanged_is_true_of_the_site_as_it_was_placed(tmp_path: Path) -> None:
    out = tmp_path / "site"
    assert not unchanged(out, "1")
    place(OLD, out, {"inputs": "1"})
    assert unchanged(out, "1")
    assert not unchanged(out, "2")
    (out / ".gitignore").write_text("*\n")
    (out / "assets" / ".DS_Store").touch()
    assert unchanged(out, "1")


def test_unchanged_is_false_once_anything_was_touched(tmp_path: Path) -> None:
    out = tmp_path / "site"
    place(OLD, out, {"inputs": "1"})
    page, spare = out / "index.html", tmp_path / "spare"
    page.write_bytes(b"odd")
    assert not unchanged(out, "1")
    page.write_bytes(b"old")
    assert unchanged(out, "1")
    page.rename(spare)
    assert not unchanged(out, "1")
    spare.rename(page)
    assert unchanged(out, "1")
    (out / "more.txt").touch()
    assert not unchanged(out, "1")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"generator": "cnn-report"}', '{"generator": "x", "files": {}}'])
def test_a_manifest_that_is_not_ours_makes_no_site_of_ours(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    (tmp_path / "index.html").touch()
    assert not unchanged(tmp_path, "1")
    with pytest.raises(InputError, match="expected an empty folder or a site of this generator, got others"):
        place(NEW, tmp_path, {"inputs": "1"})


def test_somebody_elses_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "home"
    out.mkdir()
    (out / "thesis.tex").write_text("all of it")
    said = f"{out}: expected an empty folder or a site of this generator, got others; choose another --out"
    with pytest.raises(InputError) as caught:
        prepare(out)
    assert str(caught.value) == said
    with pytest.raises(InputError) as caught:
        place(NEW, out, {"inputs": "1"})
    assert str(caught.value) == said
    assert content(out) == {"thesis.tex": b"all of it"}
    assert beside(out) == []


def test_somebody_elses_file_in_our_site_is_named(tmp_path: Path) -> None:
    out = tmp_path / "site"
    place(OLD, out, {"inputs": "1"})
    (out / "assets" / "CNAME").write_text("example.org")
    with pytest.raises(InputError, match="found 'assets/CNAME' too; move it out of there first"):
        place(NEW, out, {"inputs": "2"})
    assert content(out) == {**OLD, "assets/CNAME": b"example.org"}


@posix
def test_a_linked_folder_in_our_site_is_somebody_elses(tmp_path: Path) -> None:
    out, photos = tmp_path / "site", tmp_path / "photos"
    place(OLD, out, {"inputs": "1"})
    photos.mkdir()
    (photos / "a.jpg").touch()
    (out / "photos").symlink_to(photos)
    with pytest.raises(InputError, match="found 'photos' too"):
        place(NEW, out, {"inputs": "2"})
    assert (photos / "a.jpg").exists()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    out = tmp_path / "site"
    out.write_text("mine")
    with pytest.raises(InputError, match="expected a folder for the site, got a file"):
        place(NEW, out, {"inputs": "1"})
    with pytest.raises(InputError, match="could not write the site there"):
        place(NEW, out / "below", {"inputs": "1"})
    assert out.read_text() == "mine"


@posix
def test_the_root_is_refused() -> None:
    with pytest.raises(InputError, match="got a mount point; choose a folder in it"):
        place(NEW, Path("/"), {"inputs": "1"})


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../a",
        "a/../../b",
        "a//b",
        "./a",
        "a/",
        "a\\b",
        "c:a",
        "a\0b",
        "a\nb",
        MANIFEST,
        ".gitignore",
    ],
)
def test_a_path_that_leaves_the_folder_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="expected a relative path inside the site"):
        place({"index.html": b"", path: b""}, tmp_path / "site", {"inputs": "1"})
    assert list(tmp_path.iterdir()) == []


def test_paths_that_some_systems_confuse_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="differ in more than their case"):
        place({"A.html": b"", "a.html": b""}, tmp_path / "site", {"inputs": "1"})
    with pytest.raises(ValueError, match="'a/b': expected a file, its folder is a file too"):
        place({"A": b"", "a/b": b""}, tmp_path / "site", {"inputs": "1"})


# Python reports each call of the system's that matters here (open, mkdir, rename, remove, ...) to its audit hooks, so
# that a process can end itself at the n-th of them, for every n.
KILLED_AT_EVERY_STEP = """
import os, signal, sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
import test_writer as t
from generator.publishing import writer

step_of = {{"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.scandir", "os.chmod", "shutil.rmtree",
           "shutil.copyfile", "ctypes.dlopen", "ctypes.call_function", "fcntl.flock"}}

def child(out, last, two_steps):
    seen = 0
    def hook(event, arguments):
        nonlocal seen
        if two_steps and event == "ctypes.dlopen":
            raise OSError("no libc")
        if event in step_of:
            seen += 1
            if seen == last:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    writer.place(t.NEW, out, {{"inputs": "2"}})
    os._exit(0)

def run(folder, two_steps, first):
    outcomes = []
    for last in range(1, 10_000):
        out = folder / str(last) / "site"
        if not first:
            writer.place(t.OLD, out, {{"inputs": "1"}})
        process = os.fork()
        if process == 0:
            child(out, last, two_steps)
        ended = os.waitpid(process, 0)[1]
        there = out.exists()
        writer.prepare(out)
        found = t.content(out) if out.exists() else {{}}
        assert found in ({{}} if first else t.OLD, t.NEW), (last, found)
        assert first or there or two_steps, last
        assert t.beside(out) == [], (last, t.beside(out))
        assert writer.unchanged(out, "2") == (found == t.NEW)
        outcomes.append((there, found == t.NEW))
        if ended == 0:
            print(*("-on"[there + new] for there, new in outcomes), sep="")
            return
        assert os.WTERMSIG(ended) == signal.SIGKILL, ended

run(Path(sys.argv[1]), sys.argv[2] == "two", sys.argv[3] == "first")
"""


def outcomes(folder: Path, steps: str, place_before: str) -> str:
    """One letter for each moment of the kill: "o" the old site was there, "n" the new one, "-" none until prepare."""
    program = KILLED_AT_EVERY_STEP.format(tests=str(Path(__file__).parent))
    arguments = [sys.executable, "-c", program, str(folder), steps, place_before]
    ran = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux exchanges two folders in one step")
def test_killed_at_any_step_the_old_site_or_the_new_one_is_there(tmp_path: Path) -> None:
    seen = outcomes(tmp_path, "one", "second")
    assert seen.strip("on") == ""
    assert seen.count("on") == 1  # never back again
    assert seen.startswith("o" * 20)
    assert seen.endswith("nn")


@posix
def test_without_an_exchange_the_next_start_mends_the_moment_between_two_renames(tmp_path: Path) -> None:
    seen = outcomes(tmp_path, "two", "second")
    assert seen.strip("o").strip("n") == "-"


@posix
def test_a_first_build_that_is_killed_leaves_no_site(tmp_path: Path) -> None:
    seen = outcomes(tmp_path, "one", "first")
    assert seen.strip("-").strip("n") == ""
    assert seen.startswith("-" * 10)


@posix
def test_a_build_that_runs_is_not_swept_away_and_a_dead_one_is(tmp_path: Path) -> None:
    """One process stops with its half-written folder locked; only once it is dead does the next start remove it."""
    out = tmp_path / "site"
    program = textwrap.dedent("""
        import os, signal, sys
        from pathlib import Path
        from generator.publishing.writer import place
        def hook(event, arguments):
            if event == "open" and str(arguments[0]).endswith("about.html"):
                print("writing", flush=True)
                signal.pause()
        sys.addaudithook(hook)
        place({"index.html": b"", "about.html": b""}, Path(sys.argv[1]), {"inputs": "1"})
    """)
    with subprocess.Popen([sys.executable, "-c", program, str(out)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        place(NEW, out, {"inputs": "2"})
        (left,) = beside(out)
        assert left.startswith(".site.cnn-report-")
        process.send_signal(signal.SIGKILL)
        process.wait()
    prepare(out)
    assert beside(out) == []
    assert content(out) == NEW


@posix
def test_builds_into_one_folder_at_once_leave_one_whole_site(tmp_path: Path) -> None:
    out = tmp_path / "site"
    program = textwrap.dedent("""
        import sys
        from pathlib import Path
        from generator.publishing.writer import place
        for round in range(10):
            place({f"{n}.txt": sys.argv[2].encode() for n in range(20)}, Path(sys.argv[1]), {"inputs": sys.argv[2]})
    """)
    running = [subprocess.Popen([sys.executable, "-c", program, str(out), name]) for name in ("one", "two", "three")]
    assert [process.wait(timeout=60) for process in running] == [0, 0, 0]
    (name,) = {written.decode() for written in content(out).values()}
    assert unchanged(out, name)
    assert beside(out) == []


FILLED = """
import resource, sys
from pathlib import Path
from generator.base.errors import InputError
from generator.publishing.writer import place
if len(sys.argv) > 2:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    place({"index.html": b"new", "big.bin": bytes(4_000_000)}, Path(sys.argv[1]), {"inputs": "2"})
except InputError as error:
    print(error)
"""


@posix
def test_a_file_that_cannot_be_written_is_told_and_changes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "site"
    place(OLD, out, {"inputs": "1"})
    arguments = [sys.executable, "-c", FILLED, str(out), "100000"]
    ran = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert ran.stdout == (
        f"{out}: could not write the site there (File too large); "
        "raise the limit on the size of files (ulimit -f) or choose another --out; "
        "what was there before is untouched\n"
    )
    assert unchanged(out, "1")
    assert beside(out) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or error
        pytest.skip(f"needs to mount a small disk: {said}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_told_and_changes_nothing(small_disk: Path) -> None:
    out = small_disk / "site"
    place(OLD, out, {"inputs": "1"})
    ran = subprocess.run([sys.executable, "-c", FILLED, str(out)], capture_output=True, text=True, check=True)
    assert ran.stdout == (
        f"{out}: could not write the site there (No space left on device); free some space or choose another --out; "
        "what was there before is untouched\n"
    )
    assert unchanged(out, "1")
    assert beside(out) == []


def test_a_mount_point_is_refused(small_disk: Path) -> None:
    with pytest.raises(InputError, match="expected a folder that can be replaced, got a mount point"):
        place(NEW, small_disk, {"inputs": "1"})


@pytest.mark.skipif(sys.platform != "win32" and os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("which", ["site", "its parent"])
def test_a_folder_that_may_not_be_written_is_told_before_the_work(tmp_path: Path, which: str) -> None:
    out = tmp_path / "site"
    place(OLD, out, {"inputs": "1"})
    locked = out if which == "site" else tmp_path
    locked.chmod(0o500)
    try:
        with pytest.raises(InputError, match=r"cannot; choose another --out|Permission denied"):
            prepare(out)
        assert unchanged(out, "1")
    finally:
        locked.chmod(0o700)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="needs names that are any bytes")
@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "caf\udce9", "two\nlines\x1b[31m", "[a]*?"])
def test_a_site_may_be_called_anything_that_the_system_takes(tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    for files, inputs in ((OLD, "1"), (NEW, "2")):
        place(files, out, {"inputs": inputs})
        assert unchanged(out, inputs)
    assert beside(out) == []


@posix
def test_a_name_that_is_too_long_is_told_before_the_work_with_its_own_cause(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\(File name too long\); give it a shorter name or choose another --out; "):
        prepare(tmp_path / ("x" * 256))
    assert list(tmp_path.iterdir()) == []
