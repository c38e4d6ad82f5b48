"""{path: bytes} -> a site's folder, whole or not at all.

The files are written into a sibling folder that then takes the site's place, so that a build that fails or is killed at
any moment leaves the site as it was. `.manifest.json` in it holds the digest of the site's inputs and of each file:
by it a site of ours is known from a folder of somebody else's, and one that is still up to date from one that is not.
It has no secrets, but it is no page: who publishes the site publishes the files that it names.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, TypedDict

from generator.base.errors import InputError, reason
from generator.records import stored

if sys.platform != "win32":
    import fcntl


MANIFEST = ".manifest.json"
PROGRAM = "cnn-report"
KEPT = ".gitignore"  # the one file of the site's folder that is not the program's
CLUTTER = frozenset({".DS_Store", "Thumbs.db"})  # left by file browsers
FLUSHED = 8  # files at a time
LONGEST = 200  # bytes of a folder's name that leave room for what is put around it: 255 is the usual limit
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h


class Manifest(TypedDict, total=False):
    """What `.manifest.json` holds that is read again."""

    generator: str
    inputs: str  # digest of all that the site was made from
    report: str  # `inputs.of_report`
    files: dict[str, str]  # digests by path


def prepare(out: Path) -> None:
    """Clear away what a killed build left beside `out`, and see that a site can be placed there.

    To be called before the long work, so that a wrong --out is known at once; `place` does it again.

    Raises:
        InputError: `out` is a file, holds files that are not of a site of ours, or its parent cannot be written.
    """
    out = out.resolve()
    with _told(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with _locked(out.parent):
            _recover(out)
    _refuse_foreign(out)
    with _told(out), _staging(out):
        pass


def place(files: Mapping[str, bytes], out: Path, manifest: Mapping[str, Any]) -> None:
    """Make `out` the folder of exactly these files, and of the .gitignore that it had.

    Args:
        files: relative POSIX paths -> contents.
        manifest: what `.manifest.json` shall hold beside the files' digests: "inputs", a digest of all that the site
            was made from, and anything else that JSON can hold.
    Raises:
        ValueError: a path leaves the folder, is written in two ways or is both a file and a folder.
        InputError: the site cannot be written there; what was there before is untouched.
    """
    _check_paths(files)
    prepare(out)
    out = out.resolve()
    with _told(out), _staging(out) as new:
        _write({**files, MANIFEST: _manifest(files, manifest)}, new, out)
        with _locked(out.parent):
            # Somebody may have put something there while the pages were made.
            _refuse_foreign(out)
            _keep(out, new)
            _swap(new, out)


def unchanged(out: Path, inputs_digest: str) -> bool:
    """Whether `out` is a site made from these inputs, each file as it was written and none beside them."""
    try:
        manifest = read_manifest(out)
        if manifest is None or manifest.get("inputs") != inputs_digest:
            return False
        stated = manifest["files"]
        return set(_files(out)) == set(stated) and all(_sha256(out / path) == stated[path] for path in stated)
    except OSError:
        return False


def _manifest(files: Mapping[str, bytes], said: Mapping[str, Any]) -> bytes:
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in sorted(files.items())}
    whole = {**said, "generator": PROGRAM, "inputs": said["inputs"], "files": digests}
    return (json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def read_manifest(out: Path) -> Manifest | None:
    """What the manifest in `out` says; None where there is none that is ours."""
    try:
        file = out / MANIFEST
        return manifest_of(file.read_bytes()) if file.is_file() else None  # a pipe would never end
    except (FileNotFoundError, NotADirectoryError):
        return None


def manifest_of(content: bytes) -> Manifest | None:
    """What a manifest says; None where it is damaged or not ours."""
    try:
        said = stored.decode(Manifest, content, MANIFEST, "")
    except InputError:
        return None
    return said if said.get("generator") == PROGRAM and "files" in said else None


def _check_paths(paths: Iterable[str]) -> None:
    seen: dict[str, str] = {}
    for path in paths:
        parts = path.split("/")
        bad = not path.isprintable() or "\\" in path or ":" in path or any(part in {"", ".", ".."} for part in parts)
        if bad or path in {MANIFEST, KEPT}:
            raise ValueError(f"{path!r}: expected a relative path inside the site")
        # macOS and Windows hold A.html and a.html to be the same file.
        twin = seen.setdefault(path.casefold(), path)
        if twin != path:
            raise ValueError(f"{path!r} and {twin!r}: expected paths that differ in more than their case")
    for path in seen:
        if any(str(parent) in seen for parent in PurePosixPath(path).parents):
            raise ValueError(f"{seen[path]!r}: expected a file, its folder is a file too")


def _refuse_foreign(out: Path) -> None:
    """Raise InputError where placing a site would lose something that a build did not make."""
    with _told(out):
        if not out.exists():
            return
    if not out.is_dir():
        raise InputError(f"{out}: expected a folder for the site, got a file; choose another --out")
    with _told(out):
        if os.path.ismount(out):
            raise InputError(f"{out}: expected a folder that can be replaced, got a mount point; choose a folder in it")
        if not os.access(out, os.W_OK):
            raise InputError(f"{out}: expected a folder that can be written, got one that cannot; choose another --out")
        manifest = read_manifest(out)
        foreign = sorted(set(_files(out)) - set(manifest["files"] if manifest else ()))
    if not foreign:
        return
    if manifest is None:
        raise InputError(
            f"{out}: expected an empty folder or a site of this generator, got others; choose another --out"
        )
    raise InputError(
        f"{out}: expected this generator's files alone, found {foreign[0]!r} too; move it out of there first"
    )


def _files(folder: Path) -> Iterator[str]:
    """Relative POSIX paths of a site's files, and of all else that is there but folders; links are not followed."""
    for root, folders, names in os.walk(folder, onerror=_raise):
        links = [name for name in folders if (Path(root) / name).is_symlink()]
        inner = Path(root).relative_to(folder).as_posix()
        for name in (*names, *links):
            path = name if inner == "." else f"{inner}/{name}"
            if path not in {MANIFEST, KEPT} and name not in CLUTTER:
                yield path


def _raise(error: OSError) -> None:
    raise error


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def _staging(out: Path) -> Iterator[Path]:
    """A new, empty, locked folder beside `out`, gone at the end with all that is in it then."""
    new = out.parent / f"{_hidden(out)}-{secrets.token_hex(8)}"
    with ExitStack() as held:
        with _locked(out.parent):  # lest another build finds it before it has its lock, and clears it away
            new.mkdir()
            held.callback(shutil.rmtree, new, ignore_errors=True)
            held.enter_context(_locked(new))
        yield new


def _write(files: Mapping[str, bytes], folder: Path, before: Path) -> None:
    """Write and only then flush: the disk gets one long queue instead of a thousand short ones.

    Args:
        before: the site whose place this one takes. A file that it has already is on the disk: it gets a second name.
    """
    folders = sorted({(folder / path).parent for path in files})
    for inner in folders:
        inner.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).write_bytes(files[MANIFEST])
    fresh = (folder / MANIFEST).stat()
    written = [folder / MANIFEST]
    for path, content in files.items():
        if path != MANIFEST and not _linked(before / path, folder / path, content, fresh):
            (folder / path).write_bytes(content)
            written.append(folder / path)
    # A file system flushes what waits together: eight at a time take a tenth of the time of one after the other.
    with ThreadPoolExecutor(FLUSHED) as pool:
        list(pool.map(_flush, written))
        list(pool.map(_flush, folders))


def _linked(old: Path, new: Path, content: bytes, fresh: os.stat_result) -> bool:
    """Give a file that holds this very content a second name; not where one just written would be another's or have
    other permissions, nor where the file system knows no such names.
    """
    try:
        found = old.lstat()
        like = (stat.S_ISREG(found.st_mode), found.st_mode, found.st_uid, found.st_gid, found.st_size)
        if like != (True, fresh.st_mode, fresh.st_uid, fresh.st_gid, len(content)) or old.read_bytes() != content:
            return False
        os.link(old, new)
    except OSError:
        return False
    return True


def _flush(path: Path) -> None:
    if sys.platform == "win32":  # where a file opened for reading cannot be flushed, and a folder not at all
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _keep(out: Path, new: Path) -> None:
    """Bring over what belongs to the folder and not to the build: its permissions and its .gitignore."""
    if out.is_dir():
        shutil.copymode(out, new)
        if (out / KEPT).is_file():
            shutil.copy2(out / KEPT, new / KEPT)
            _flush(new / KEPT)


def _swap(new: Path, out: Path) -> None:
    """Put `new` in the place of `out`: in one step, or where the system cannot, in two that `_recover` can mend."""
    if not out.exists():
        new.rename(out)
    elif not _exchanged(new, out):
        old = _old(out)
        out.rename(old)
        try:
            new.rename(out)
        except OSError:
            old.rename(out)
            raise
        shutil.rmtree(old, ignore_errors=True)
    _flush(out.parent)


def _exchanged(new: Path, out: Path) -> bool:
    """Let two folders change places in one step, renameat2(2); False where the system has no such step."""
    if sys.platform != "linux":
        return False
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # musl, or glibc before 2.28
        return False
    failed = renameat2(AT_FDCWD, os.fsencode(new), AT_FDCWD, os.fsencode(out), RENAME_EXCHANGE)
    return not failed


def _old(out: Path) -> Path:
    """Where a site is while the next one takes its place in two steps."""
    return out.parent / f"{_hidden(out)}-old"


def _hidden(out: Path) -> str:
    """How the names begin that a site's folder has before and after its time."""
    name = os.fsencode(out.name)
    if len(name) > LONGEST:
        name = name[:20] + hashlib.sha256(name).hexdigest()[:20].encode()
    return f".{os.fsdecode(name)}.{PROGRAM}"


def _recover(out: Path) -> None:
    """Put back the site of a build that was killed between the two steps, and remove what killed builds left."""
    old = _old(out)
    if old.is_dir():
        if out.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(out)
    for left in out.parent.glob(f"{_escaped(_hidden(out))}-*"):
        if left.is_dir() and left != old and not _is_locked(left):
            shutil.rmtree(left, ignore_errors=True)


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, which the system releases when the process ends, however it ends."""
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_locked(folder: Path) -> bool:
    """Whether another process holds a folder's lock, or is just removing the folder, or owns it."""
    if sys.platform == "win32":
        return True
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def _told(out: Path) -> Iterator[None]:
    """Turn the system's refusals into one line."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{out}: could not write the site there {reason(error, 'choose another --out')}; "
            "what was there before is untouched"
        ) from error
