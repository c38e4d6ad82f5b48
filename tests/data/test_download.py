from __future__ import annotations

import errno
import hashlib
import io
import os
import socket
import threading
import zipfile
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from generator.base.errors import InputError
from generator.config.schema import DataConfig
from generator.data.classes import Classes
from generator.data.dataset import PARTS
from generator.data.download import fetch
from generator.data.layouts import opened
from generator.data.tiny_imagenet import list_images
from tests.conftest import SmallDataSet

TWO = Classes(("goldfish", "banana"), ("n01443537", "n07753592"))


@dataclass
class Archive:
    """What the server offers, and what it was asked for."""

    content: bytes
    url: str = ""
    ranges: bool = True  # whether the server knows range requests
    breaks_after: list[int] = field(default_factory=list)  # bytes of the first connections, which then break
    status: int = 200
    asked: list[str] = field(default_factory=list)  # Range header of each request

    @property
    def md5(self) -> str:
        return hashlib.md5(self.content, usedforsecurity=False).hexdigest()


class Handler(BaseHTTPRequestHandler):
    archive: Archive

    def do_GET(self) -> None:
        archive = self.archive
        archive.asked.append(self.headers.get("Range", ""))
        if archive.status != 200:
            self.send_error(archive.status)
            return
        begin = 0
        if archive.ranges and (wanted := self.headers.get("Range")):
            begin = int(wanted.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(archive.content) - 1}/{len(archive.content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(archive.content) - begin))
        self.end_headers()
        end = begin + archive.breaks_after.pop(0) if archive.breaks_after else None
        self.wfile.write(archive.content[begin:end])
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name in the base class)
        pass


@contextmanager
def served(archive: Archive) -> Iterator[Archive]:
    handler = type("ArchiveHandler", (Handler,), {"archive": archive})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        archive.url = f"http://127.0.0.1:{server.server_address[1]}/tiny-imagenet-200.zip"
        try:
            yield archive
        finally:
            server.shutdown()
            thread.join()


def zipped(root: Path, extra: dict[str, bytes] | None = None, without: str = "\0") -> bytes:
    """A data set in the official archive's layout."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.is_file() and without not in name:
                archive.write(path, f"tiny-imagenet-200/{name}")
        for name, content in (extra or {}).items():
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.fixture(scope="module")
def content(small_data_set: SmallDataSet) -> bytes:
    return zipped(small_data_set.root)


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "tiny-imagenet-200"


def get(archive: Archive, destination: Path, classes: Classes = TWO) -> str:
    """Fetch, and return what was told of the progress."""
    progress = io.StringIO()
    fetch(destination, classes, archive.url, archive.md5, len(archive.content), progress, pause=0.0)
    return progress.getvalue()


def assert_is_the_data_set(destination: Path, small: SmallDataSet) -> None:
    """The two classes are there, byte for byte, and no other."""
    assert opened(destination, DataConfig(classes=TWO.keys)).root == destination
    assert {folder.name for folder in (destination / "train").iterdir()} == set(TWO.keys)
    listed = [image for part in PARTS for image in list_images(destination, TWO, part)]
    assert len(listed) == 2 * (small.train + small.test)
    assert len(list((destination / "val" / "images").iterdir())) == 2 * small.test
    for image in listed:
        original = small.root / image.path.relative_to(destination)
        assert image.path.read_bytes() == original.read_bytes()
        assert image.box == small.boxes[image.name]


def test_only_the_wanted_classes_are_unpacked(small_data_set: SmallDataSet, content: bytes, destination: Path) -> None:
    with served(Archive(content)) as archive:
        get(archive, destination)
    assert_is_the_data_set(destination, small_data_set)
    assert {entry.name for entry in destination.parent.iterdir()} == {"tiny-imagenet-200", "tiny-imagenet-200.zip"}


def test_a_pipe_gets_a_line_for_each_tenth(content: bytes, destination: Path) -> None:
    with served(Archive(content)) as archive:
        lines = get(archive, destination).splitlines()
    assert 2 <= len(lines) <= 11
    assert lines[0].startswith("tiny-imagenet-200.zip: 0 % of ")
    assert lines[-1].startswith("tiny-imagenet-200.zip: 100 % of ")


def test_a_terminal_gets_a_bar(content: bytes, destination: Path) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    with served(Archive(content)) as archive:
        fetch(destination, TWO, archive.url, archive.md5, len(content), terminal)
    assert "tiny-imagenet-200.zip: 100%" in terminal.getvalue()


def test_a_second_fetch_asks_nobody(content: bytes, destination: Path) -> None:
    with served(Archive(content)) as archive:
        get(archive, destination)
        get(archive, destination)
    assert archive.asked == [""]


def test_more_classes_come_from_the_archive_that_is_there(
    small_data_set: SmallDataSet, content: bytes, destination: Path
) -> None:
    with served(Archive(content)) as archive:
        get(archive, destination)
        get(archive, destination, Classes(("ladybug", "banana"), ("n02165456", "n07753592")))
    assert archive.asked == [""]
    three = {folder.name for folder in (destination / "train").iterdir()}
    assert three == set(small_data_set.wnids)
    assert len(list((destination / "val" / "images").iterdir())) == 3 * small_data_set.test


def test_a_broken_connection_goes_on_where_it_broke(
    small_data_set: SmallDataSet, content: bytes, destination: Path
) -> None:
    with served(Archive(content, breaks_after=[1000, 500])) as archive:
        get(archive, destination)
    assert archive.asked == ["", "bytes=1000-", "bytes=1500-"]
    assert_is_the_data_set(destination, small_data_set)


def test_a_server_without_ranges_sends_it_all_again(
    small_data_set: SmallDataSet, content: bytes, destination: Path
) -> None:
    with served(Archive(content, ranges=False, breaks_after=[1000])) as archive:
        get(archive, destination)
    assert archive.asked == ["", "bytes=1000-"]
    assert_is_the_data_set(destination, small_data_set)


def test_a_later_run_goes_on_from_the_part_that_was_kept(
    small_data_set: SmallDataSet, content: bytes, destination: Path
) -> None:
    with served(Archive(content, breaks_after=[1000, 0, 0, 0, 0, 0])) as archive:
        with pytest.raises(
            InputError, match=r"cannot download .*; 1,000 of [\d,]+ bytes are in .*\.zip\.part, check"
        ) as it:
            get(archive, destination)
        assert "\n" not in str(it.value)
        assert not destination.exists()
        archive.asked.clear()
        get(archive, destination)
    assert archive.asked == ["bytes=1000-"]
    assert_is_the_data_set(destination, small_data_set)


def test_somebody_s_truncated_archive_is_completed(
    small_data_set: SmallDataSet, content: bytes, destination: Path
) -> None:
    destination.parent.mkdir()
    destination.with_name("tiny-imagenet-200.zip").write_bytes(content[:2000])
    with served(Archive(content)) as archive:
        get(archive, destination)
    assert archive.asked == ["bytes=2000-"]
    assert_is_the_data_set(destination, small_data_set)


def test_an_archive_put_there_by_hand_is_used_offline(
    small_data_set: SmallDataSet, content: bytes, destination: Path
) -> None:
    destination.parent.mkdir()
    destination.with_name("tiny-imagenet-200.zip").write_bytes(content)
    get(Archive(content, url="http://127.0.0.1:9/"), destination)
    assert_is_the_data_set(destination, small_data_set)


def test_a_wrong_md5_is_told_and_the_file_removed(content: bytes, destination: Path) -> None:
    with (
        served(Archive(content)) as archive,
        pytest.raises(InputError, match=rf"expected md5 {'0' * 32}, got {archive.md5}; the file is removed"),
    ):
        fetch(destination, TWO, archive.url, "0" * 32, len(content), io.StringIO(), pause=0.0)
    assert list(destination.parent.iterdir()) == []


def test_a_part_that_grew_wrong_is_told_and_removed(content: bytes, destination: Path) -> None:
    destination.parent.mkdir()
    part = destination.with_name("tiny-imagenet-200.zip.part")
    part.write_bytes(bytes(len(content) + 1))
    with pytest.raises(
        InputError, match=rf"expected {len(content):,} bytes, got {len(content) + 1:,}; the file is removed"
    ):
        get(Archive(content, url="http://127.0.0.1:9/"), destination)
    assert not part.exists()


def test_another_size_is_refused_before_it_is_downloaded(content: bytes, destination: Path) -> None:
    with (
        served(Archive(content)) as archive,
        pytest.raises(InputError, match=rf"expected 5,000,000 bytes, the server offers {len(content):,}"),
    ):
        fetch(destination, TWO, archive.url, archive.md5, 5_000_000, io.StringIO(), pause=0.0)


def test_a_missing_file_is_told_at_once(content: bytes, destination: Path) -> None:
    with (
        served(Archive(content, status=404)) as archive,
        pytest.raises(InputError, match=r"the server answered 404 Not Found; check the address"),
    ):
        get(archive, destination)
    assert archive.asked == [""]


def test_a_failing_server_is_tried_five_times(content: bytes, destination: Path) -> None:
    with (
        served(Archive(content, status=503)) as archive,
        pytest.raises(
            InputError, match=r"cannot download tiny-imagenet-200.zip \(the server answered 503 Service Unavailable\)"
        ),
    ):
        get(archive, destination)
    assert archive.asked == [""] * 5


def test_no_network_is_one_line(content: bytes, destination: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        archive = Archive(content, url=f"http://127.0.0.1:{unused.getsockname()[1]}/data.zip")
        with pytest.raises(
            InputError, match=r"cannot download tiny-imagenet-200.zip \(Connection refused\); 0 of .*--data"
        ) as caught:
            get(archive, destination)
    assert "\n" not in str(caught.value)


def test_an_archive_that_is_none_is_told(destination: Path) -> None:
    with (
        served(Archive(b"no zip at all" * 1000)) as archive,
        pytest.raises(InputError, match=r"expected a whole zip archive, it is broken \(File is not a zip file\)"),
    ):
        get(archive, destination)
    assert not destination.exists()


def test_a_member_that_is_damaged_is_told(content: bytes, destination: Path) -> None:
    damaged = bytearray(content)
    at = content.index(b"tiny-imagenet-200/train/n07753592/images/n07753592_5.JPEG") + 80
    damaged[at : at + 50] = bytes(50)
    with served(Archive(bytes(damaged))) as archive, pytest.raises(InputError, match="expected a whole zip archive"):
        get(archive, destination)
    assert {entry.name for entry in destination.parent.iterdir()} == {"tiny-imagenet-200.zip"}


@pytest.mark.parametrize(("without", "named"), [("n07753592", "n07753592"), ("words.txt", "words.txt")])
def test_what_the_archive_lacks_is_told(
    small_data_set: SmallDataSet, destination: Path, without: str, named: str
) -> None:
    with (
        served(Archive(zipped(small_data_set.root, without=without))) as archive,
        pytest.raises(InputError, match=rf"expected {named} in the archive"),
    ):
        get(archive, destination)
    assert not destination.exists()


def test_nothing_is_written_outside_the_folder(small_data_set: SmallDataSet, destination: Path) -> None:
    hostile = {
        "../evil.txt": b"x",
        "/evil.txt": b"x",
        "tiny-imagenet-200/../../evil.txt": b"x",
        "tiny-imagenet-200/train/n01443537/images/../../../../../evil.txt": b"x",
        "tiny-imagenet-200/train/n01443537/images/..": b"x",
        "tiny-imagenet-200/train/../evil.txt": b"x",
        "tiny-imagenet-200/val/images/../../../evil.txt": b"x",
        "tiny-imagenet-200/val/images/..": b"x",
        "tiny-imagenet-200/val/val_annotations.txt": (
            (small_data_set.root / "val" / "val_annotations.txt").read_bytes()
            + b"../../../evil.txt\tn01443537\t0\t0\t1\t1\n..\tn01443537\t0\t0\t1\t1\n"
        ),
    }
    with served(Archive(zipped(small_data_set.root, hostile, without="val_annotations"))) as archive:
        get(archive, destination)
    assert_is_the_data_set(destination, small_data_set)
    assert list(destination.parent.parent.rglob("*evil*")) == []
    assert {entry.name for entry in destination.parent.iterdir()} == {"tiny-imagenet-200", "tiny-imagenet-200.zip"}


def test_a_disk_without_room_is_told_before_the_download(
    content: bytes, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", ("total", "used", "free"))
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10, 10, 0))
    with (
        served(Archive(content)) as archive,
        pytest.raises(InputError, match=r"expected 0 MB of free disk for tiny-imagenet-200.zip, got 0 MB"),
    ):
        get(archive, destination)
    assert archive.asked == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_disk_that_fills_up_is_told(content: bytes, destination: Path) -> None:
    destination.parent.mkdir()
    destination.with_name("tiny-imagenet-200.zip.part").symlink_to("/dev/full")
    with served(Archive(content)) as archive, pytest.raises(InputError, match="the disk is full; make room"):
        get(archive, destination)


def test_a_disk_that_fills_up_while_unpacking_leaves_the_old_folder(
    small_data_set: SmallDataSet, content: bytes, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes

    def full(path: Path, written: bytes) -> int:
        if path.name == "n02165456_3.JPEG":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, written)

    with served(Archive(content)) as archive:
        get(archive, destination)
        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(InputError, match="the disk is full"):
            get(archive, destination, Classes(("ladybug",), ("n02165456",)))
    assert_is_the_data_set(destination, small_data_set)
    assert {entry.name for entry in destination.parent.iterdir()} == {"tiny-imagenet-200", "tiny-imagenet-200.zip"}


def test_a_place_that_cannot_be_written_is_told(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="expected a folder for the download, cannot write there"):
        get(Archive(content, url="http://127.0.0.1:9/"), tmp_path / "file" / "tiny-imagenet-200")
