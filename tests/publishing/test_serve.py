"""The preview answers as a static host would, to this machine alone."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest

from generator.base import clutter
from generator.base.errors import InputError
from generator.publishing.serve import PreviewServer, _opened, server, watching

FILES = {
    "index.html": b"<!doctype html>home",
    "404.html": b"<!doctype html>not here",
    "assets/a.webp": b"RIFF",
    "assets/a.js": b"'use strict'",
    "results.json": b"{}",
    ".manifest.json": b"{}",
    ".git/config": b"secret",
}


needs_links = pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for path, content in FILES.items():
        file = tmp_path / "site" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    (tmp_path / "outside.txt").write_text("outside")
    return tmp_path / "site"


@contextmanager
def running(site: Path, address: str = "") -> Iterator[PreviewServer]:
    """A preview that answers; at its end it has said nothing of what its visitors did."""
    with server(site, address=address) as preview:
        thread = threading.Thread(target=preview.serve_forever)
        thread.start()
        yield preview
        preview.shutdown()
        thread.join()


@pytest.fixture
def preview(site: Path, caplog: pytest.LogCaptureFixture) -> Iterator[PreviewServer]:
    with running(site) as preview:
        yield preview
    assert caplog.records == []


def get(preview: PreviewServer, path: str, method: str = "GET") -> tuple[int, str, bytes]:
    """Status, type and content."""
    connection = http.client.HTTPConnection("127.0.0.1", preview.server_port, timeout=10)
    connection.putrequest(method, path)
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.getheader("Cache-Control") == "no-store"
    found = answer.status, answer.getheader("Content-Type", ""), answer.read()
    connection.close()
    return found


def raw(preview: PreviewServer, sent: bytes) -> bytes:
    """All that comes back for some bytes, in which PLACE stands for the preview's name, until it hangs up."""
    with socket.create_connection(preview.server_address, timeout=20) as connection:
        connection.sendall(sent.replace(b"PLACE", b"localhost:%d" % preview.server_port))
        return b"".join(iter(lambda: connection.recv(65536), b""))


def asked(preview: PreviewServer, target: bytes, method: bytes = b"GET", *fields: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers of the answer to a target that http.client would not send."""
    lines = [b" ".join((method, target, b"HTTP/1.1")), b"Host: PLACE", b"Connection: close", *fields, b"", b""]
    status, *headers = raw(preview, b"\r\n".join(lines)).partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    return int(status.split()[1]), {name: value for name, _, value in (line.partition(": ") for line in headers)}


@pytest.mark.parametrize(
    ("path", "file", "kind"),
    [
        ("/", "index.html", "text/html; charset=utf-8"),
        ("/index.html?a=1", "index.html", "text/html; charset=utf-8"),
        ("/assets/a.webp", "assets/a.webp", "image/webp"),
        ("/assets/a.js", "assets/a.js", "text/javascript; charset=utf-8"),
        ("/results.json", "results.json", "application/json"),
    ],
)
def test_a_file_is_served_with_its_type(preview: PreviewServer, path: str, file: str, kind: str) -> None:
    assert get(preview, path) == (200, kind, FILES[file])
    assert get(preview, path, "HEAD") == (200, kind, b"")


@pytest.mark.parametrize(
    "path", ["/none", "/assets/", "/.manifest.json", "/.git/config", "/../outside.txt", "/%2e%2e/outside.txt", "/a%00b"]
)
def test_what_is_not_published_is_the_sites_own_404_page(preview: PreviewServer, path: str) -> None:
    assert get(preview, path) == (404, "text/html; charset=utf-8", FILES["404.html"])
    assert get(preview, path, "HEAD") == (404, "text/html; charset=utf-8", b"")


def test_without_a_404_page_the_answer_is_404_all_the_same(site: Path, preview: PreviewServer) -> None:
    (site / "404.html").unlink()
    assert get(preview, "/none")[0] == 404


def test_a_site_that_is_replaced_shows_at_once(site: Path, preview: PreviewServer) -> None:
    get(preview, "/")
    site.rename(site.with_name("old"))
    site.mkdir()
    (site / "index.html").write_text("new")
    assert get(preview, "/")[2] == b"new"


@pytest.fixture
def below(site: Path) -> Iterator[PreviewServer]:
    """A preview of the site as it will be below a path of its host."""
    page = b'<link href="https://example.org/reports/cnn/assets/site.css"><a href="https://example.org/reports/cnn2">'
    (site / "404.html").write_bytes(page)
    with running(site, "https://example.org/reports/cnn") as preview:
        yield preview


def test_a_site_for_a_path_is_below_that_path(below: PreviewServer) -> None:
    assert below.url == f"http://127.0.0.1:{below.server_port}/reports/cnn/"
    assert get(below, "/reports/cnn/") == get(below, "/reports/cnn/index.html")
    assert get(below, "/reports/cnn/assets/a.js?v=1") == (200, "text/javascript; charset=utf-8", b"'use strict'")
    assert get(below, "/reports/cnn")[0] == 301  # with a slash at its end
    assert get(below, "/")[0] == 302
    for path in ("/index.html", "/assets/a.js", "/reports/", "/reports/cnn2/", "/reports/cnnindex.html"):
        status, _, content = get(below, path)
        assert (status, b"site.css" in content) == (404, False)  # the host's, not ours
    assert get(below, "/__reload.js")[0] == 200


def test_the_page_for_lost_visitors_needs_no_host_but_this_one(below: PreviewServer) -> None:
    status, _, content = get(below, "/reports/cnn/none/at/all")
    assert (status, content.decode()) == (
        404, f'<link href="{below.url}assets/site.css"><a href="https://example.org/reports/cnn2">',
    )  # fmt: skip


def test_only_this_machine_is_answered(preview: PreviewServer) -> None:
    assert preview.server_address[0] == "127.0.0.1"
    assert preview.url == f"http://127.0.0.1:{preview.server_port}/"


def test_a_free_port_is_found(site: Path) -> None:
    with server(site) as first, server(site) as second:
        assert first.server_port != second.server_port


def test_a_port_in_use_is_told(site: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError) as caught:
            server(site, port)
    assert str(caught.value) == (
        f"--port {port}: expected a free port, could not listen there (Address already in use); "
        "give another, or none to have a free one found"
    )


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_number_that_is_no_port_is_told(site: Path, port: int) -> None:
    with pytest.raises(InputError, match=f"--port {port}: expected a number from 1 to 65535"):
        server(site, port)


@needs_links
def test_a_folder_without_a_site_is_told(tmp_path: Path) -> None:
    (tmp_path / "round").symlink_to("round")
    for name in ("none", "round"):
        with pytest.raises(InputError, match=f"{name}: expected a site, found no index"):
            server(tmp_path / name)


def test_a_page_has_the_script_that_reloads_it_and_no_file_of_the_site_changes(
    site: Path, preview: PreviewServer
) -> None:
    (site / "index.html").write_text("<head><title>a</title></head>")
    for path in ("/", "/index.html", "/index.html?a=1"):
        assert get(preview, path)[2] == b'<head><title>a</title><script src="/__reload.js" defer></script></head>'
    kind, script = get(preview, "/__reload.js")[1:]
    assert kind.startswith("text/javascript")
    assert b"location.reload()" in script
    assert (site / "index.html").read_text() == "<head><title>a</title></head>"


def test_the_build_that_is_shown_is_told_apart_from_the_next(site: Path, preview: PreviewServer) -> None:
    first, again = (get(preview, "/__build")[2] for _ in range(2))
    site.rename(site.with_name("old"))
    between = get(preview, "/__build")[2]
    site.mkdir()
    (site / "index.html").write_text("new")
    assert first == again
    assert len({first, between, get(preview, "/__build")[2]}) == 3


def test_a_build_may_move_the_site_below_another_path(below: PreviewServer) -> None:
    assert json.loads(get(below, "/__build")[2])["below"] == "/reports/cnn"
    below.address = "https://example.org/thesis"
    assert json.loads(get(below, "/__build")[2])["below"] == "/thesis"
    assert below.url.endswith("/thesis/")
    assert get(below, "/thesis/index.html")[0] == 200
    assert get(below, "/reports/cnn/index.html")[0] == 404


@pytest.mark.parametrize("host", ["localhost:{}", "127.0.0.1:{}", "[::1]:{}", "LocalHost:{}"])
def test_this_machine_is_answered_by_its_own_names(preview: PreviewServer, host: str) -> None:
    line = f"Host: {host.format(preview.server_port)}".encode()
    assert raw(preview, b"GET / HTTP/1.1\r\nConnection: close\r\n" + line + b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "lines",
    [
        b"GET / HTTP/1.1\r\nHost: elsewhere.example:{}",
        b"GET / HTTP/1.1\r\nHost: localhost.elsewhere.example:{}",
        b"GET / HTTP/1.1\r\nHost: elsewhere.example",
        b"GET / HTTP/1.1\r\nHost: localhost",  # which means port 80
        b"GET / HTTP/1.1\r\nHost: localhost:1",
        b"GET / HTTP/1.1\r\nHost: localhost:",
        b"GET / HTTP/1.1\r\nHost: localhost.:{}",
        b"GET / HTTP/1.1\r\nHost: 0.0.0.0:{}",
        b"GET / HTTP/1.1\r\nHost: 2130706433:{}",
        b"GET / HTTP/1.1\r\nHost: me@localhost:{}",
        b"GET / HTTP/1.1\r\nHost: {}",
        b"GET / HTTP/1.1\r\nHost:",
        b"GET / HTTP/1.1",
        b"GET / HTTP/1.0",
        b"GET /",
        b"GET / HTTP/1.1\r\nHost: PLACE\r\nHost: elsewhere.example",
        b"GET / HTTP/1.1\r\nHost: elsewhere.example\r\nHost: PLACE",
        b"GET / HTTP/1.1\r\nHost: PLACE\r\nHost: PLACE",
        b"GET / HTTP/1.1\r\nX-Forwarded-Host: PLACE\r\nHost: elsewhere.example",
        b"GET http://elsewhere.example/ HTTP/1.1\r\nHost: PLACE",
        b"GET http://PLACE/ HTTP/1.1\r\nHost: elsewhere.example",
        b"POST / HTTP/1.1\r\nHost: elsewhere.example",
        b"GET /__build HTTP/1.1\r\nHost: elsewhere.example",
    ],
)
def test_whoever_asks_for_another_host_is_told_where_the_preview_is(preview: PreviewServer, lines: bytes) -> None:
    """Otherwise any page could read the preview, once its own host's name leads to 127.0.0.1 (DNS rebinding)."""
    port = str(preview.server_port).encode()
    head, _, body = raw(preview, lines.replace(b"{}", port) + b"\r\nConnection: close\r\n\r\n").partition(b"\r\n\r\n")
    assert head.split()[1] == b"403"
    assert body.decode() == f"403 Forbidden\n\nThis preview is at {preview.url} and answers to no other name.\n"


def test_port_80_goes_without_saying(site: Path) -> None:
    with server(site) as preview:
        preview.server_port = 80
        assert [preview._is_here(host) for host in ("localhost", "[::1]", "127.0.0.1:80", "localhost:8000", "::1")] == [
            True, True, True, False, False,
        ]  # fmt: skip


def test_a_whole_address_as_target_is_its_path(preview: PreviewServer) -> None:
    assert asked(preview, b"GET http://PLACE/assets/a.js".split()[1])[0] == 200
    assert asked(preview, b"HTTP://PLACE/assets/a.js?a#b")[0] == 200
    assert asked(preview, b"http://PLACE")[0] == 200
    assert asked(preview, b"http://PLACE/none")[0] == 404


@needs_links
def test_no_symbolic_link_leads_out_of_the_site(site: Path, preview: PreviewServer) -> None:
    outside = site.parent
    (outside / "folder").mkdir()
    (outside / "folder" / "index.html").write_text("outside")
    (site / "file.txt").symlink_to(outside / "outside.txt")
    (site / "relative.txt").symlink_to("../outside.txt")
    (site / "deep").symlink_to(outside / "folder")
    (site / "root").symlink_to("/")
    (site / "twice.txt").symlink_to("file.txt")
    (site / "nowhere.txt").symlink_to("none")
    (site / "round").symlink_to("round")
    (site / "config.txt").symlink_to(".git/config")
    for path in (
        "/file.txt", "/relative.txt", "/deep/index.html", "/deep/", "/deep", f"/root{outside}/outside.txt",
        "/twice.txt", "/nowhere.txt", "/round", "/round/", "/config.txt",
    ):  # fmt: skip
        assert get(preview, path) == (404, "text/html; charset=utf-8", FILES["404.html"])
    (site / "404.html").unlink()
    (site / "404.html").symlink_to(outside / "outside.txt")
    assert b"outside" not in get(preview, "/none")[2]
    (site / "index.html").unlink()
    (site / "index.html").symlink_to(outside / "outside.txt")
    assert get(preview, "/")[0] == 404


@needs_links
def test_a_symbolic_link_that_stays_in_the_site_is_followed(site: Path, preview: PreviewServer) -> None:
    (site / "script.js").symlink_to("assets/a.js")
    (site / "deep").symlink_to(site / "assets")
    assert get(preview, "/script.js")[2] == FILES["assets/a.js"]
    assert get(preview, "/deep/a.js")[2] == FILES["assets/a.js"]
    assert asked(preview, b"/deep")[1]["Location"] == "/deep/"


@needs_links
def test_a_link_that_takes_a_folder_s_place_meanwhile_is_not_followed(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replaced(path: Path) -> str:
        """As os.path.realpath found it a moment ago."""
        return str(path)

    (site.parent / "a.js").write_text("outside")
    (site / "assets" / "a.js").unlink()
    (site / "assets" / "a.webp").unlink()
    (site / "assets").rmdir()
    (site / "assets").symlink_to(site.parent)
    (site / "linked.js").symlink_to(site.parent / "a.js")
    monkeypatch.setattr("os.path.realpath", replaced)
    for names in (("assets", "a.js"), ("linked.js",)):
        with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
            _opened(site, names)


@pytest.mark.skipif(sys.platform == "win32", reason="needs named pipes")
def test_what_is_no_file_is_not_there_and_nobody_waits_for_it(site: Path, preview: PreviewServer) -> None:
    os.mkfifo(site / "pipe.html")
    (site / "folder.html" / "index.html").mkdir(parents=True)
    assert get(preview, "/pipe.html")[0] == 404
    assert get(preview, "/folder.html")[0] == 301
    assert get(preview, "/folder.html/")[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        b"/%ff", b"/\xff", b"/a%00b", b"/a\x00b", b"/" + b"a" * 300, b"/" + b"a/" * 8000, b"/%", b"/%g1",
        b"/../outside.txt", b"/%2e%2e/outside.txt", b"/..%2foutside.txt", b"/assets/../index.html",
        b"/assets/../../outside.txt",
        b"/..\\outside.txt", b"/..%5coutside.txt", b"/assets%2fa.js", b"/index.html/", b"/index.html%00.js",
        b"/.%2egit", b"/assets/%2e%2e/.git/config", b"//.git/config", b"/assets//../.git/config", b"/C:/index.html",
    ],
)  # fmt: skip
def test_no_path_leads_anywhere_else_nor_to_a_traceback(preview: PreviewServer, path: bytes) -> None:
    status, headers = asked(preview, path)
    assert (status, headers["Content-Length"]) == (404, str(len(FILES["404.html"])))


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET * HTTP/1.1\r\nHost: PLACE\r\nConnection: close\r\n\r\n", 400),
        (b"GET ?a HTTP/1.1\r\nHost: PLACE\r\nConnection: close\r\n\r\n", 400),
        (b"GET index.html HTTP/1.1\r\nHost: PLACE\r\nConnection: close\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\nHost: PLACE\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: PLACE\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: PLACE\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: PLACE\r\nno header\r\n\r\n", 400),
        (b"GET / HTTP/1.1 and more\r\nHost: PLACE\r\n\r\n", 400),
        (b"get / HTTP/1.1\r\nHost: PLACE\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: PLACE\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: PLACE\r\nContent-Length: 99999999\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nHost: PLACE\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n", 200),
        (b"GET / HTTP/9.9\r\nHost: PLACE\r\n\r\n", 200),
    ],
)
def test_a_broken_request_is_answered_in_one_line(preview: PreviewServer, sent: bytes, status: int) -> None:
    assert int(raw(preview, sent).split()[1]) == status
    assert get(preview, "/")[0] == 200


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"NONSENSE"])
def test_a_preview_is_read_only(preview: PreviewServer, method: bytes) -> None:
    status, headers = asked(preview, b"/", method)
    assert (status, headers["Allow"], headers["Cache-Control"]) == (405, "GET, HEAD", "no-store")


def test_ranges_and_dates_change_nothing(preview: PreviewServer) -> None:
    fields = (b"Range: bytes=0-1", b"If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT", b"If-None-Match: *")
    status, headers = asked(preview, b"/assets/a.js", b"GET", *fields)
    assert (status, headers["Content-Length"]) == (200, str(len(FILES["assets/a.js"])))


@pytest.mark.parametrize(
    ("target", "location"),
    [
        (b"/sub", "/sub/"),
        (b"/sub?a=1&b=%0d%0aX:1", "/sub/?a=1&b=%0d%0aX:1"),
        (b"/sub?\xff\x0b\x85", "/sub/?%FF%0B%85"),
        (b"//sub", "/sub/"),
        (b"///sub//sub", "/sub/sub/"),
        (b"http://PLACE/sub", "/sub/"),
        (b"/%73ub", "/sub/"),
        (b"/a%20b%25%C3%BC", "/a%20b%25%C3%BC/"),
        (b"/a%20b%25\xc3\xbc", "/a%20b%25%C3%BC/"),
        (b"//elsewhere.example", None),
        (b"/\\elsewhere.example", None),
        (b"//elsewhere.example/..", None),
    ],
)
def test_a_folder_is_found_with_a_slash_at_its_end_and_never_at_another_host(
    site: Path, preview: PreviewServer, target: bytes, location: str | None
) -> None:
    for folder in ("sub/sub", "a b%ü"):
        (site / folder).mkdir(parents=True)
    status, headers = asked(preview, target)
    assert (status, headers.get("Location")) == ((404, None) if location is None else (301, location))


@pytest.mark.parametrize("address", ["https://example.org/über/ä b", "https://example.org/%C3%BCber/%c3%a4%20b"])
def test_an_address_beyond_ascii_is_one_however_it_is_written(site: Path, address: str) -> None:
    with running(site, address) as preview:
        assert preview.url == f"http://127.0.0.1:{preview.server_port}/%C3%BCber/%C3%A4%20b/"
        for path in (b"/%C3%BCber/%C3%A4%20b/", b"/%c3%bcber/%c3%a4%20b/index.html", b"/\xc3\xbcber/\xc3\xa4%20b/"):
            assert asked(preview, path)[0] == 200
        assert asked(preview, b"/uber/")[0] == 404
        assert asked(preview, b"/")[1]["Location"] == "/%C3%BCber/%C3%A4%20b/"
        assert asked(preview, b"/\xc3\xbcber/%C3%A4%20b?q")[1]["Location"] == "/%C3%BCber/%C3%A4%20b/?q"
        assert json.loads(get(preview, "/__build")[2])["below"] == "/%C3%BCber/%C3%A4%20b"


@pytest.mark.parametrize(
    ("address", "below"),
    [
        ("https://example.org//report", "/report"),
        ("https://example.org///a//b/", "/a/b"),
        ("https://example.org/a/../b", "/b"),
        ("https://example.org/%0d%0aX:1", "/%0D%0AX:1"),
        ("https://example.org/%FF", "/%FF"),
        ("https://example.org/.hidden/~me", "/.hidden/~me"),
        ("https://[broken/report", ""),
        ("https://example.org", ""),
    ],
)
def test_whatever_the_site_s_address_the_preview_stays_at_its_own_host(site: Path, address: str, below: str) -> None:
    with running(site, address) as preview:
        assert preview.url == f"http://127.0.0.1:{preview.server_port}{below}/"
        status, headers = asked(preview, b"/?q")
        assert (status, headers.get("Location")) == ((302, f"{below}/?q") if below else (200, None))
        assert asked(preview, f"{below}/assets/a.js".encode())[0] == 200
        assert asked(preview, f"{below}/.git/config".encode())[0] == 404


def test_a_connection_is_kept(preview: PreviewServer) -> None:
    wanted = (("GET", "/", 19), ("HEAD", "/", 0), ("GET", "/none", 23), ("GET", "/assets/a.js", 12))
    with closing(http.client.HTTPConnection("localhost", preview.server_port, timeout=10)) as connection:
        for method, path, length in wanted:
            connection.request(method, path)
            opened = connection.sock
            assert len(connection.getresponse().read()) == length
            assert connection.sock is opened is not None


def test_connections_that_say_nothing_or_little_keep_nobody_waiting(
    preview: PreviewServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview._http, "most", 40)
    monkeypatch.setattr(preview._http.adj, "connection_limit", 80)
    threads = threading.active_count()
    with ExitStack() as opened:
        kept = [opened.enter_context(socket.create_connection(preview.server_address)) for _ in range(300)]
        for connection in kept[::2]:
            with suppress(OSError):  # it was hung up already
                connection.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        assert get(preview, "/")[0] == 200
        assert threading.active_count() == threads
        assert len(preview._http.active_channels) <= 80


def test_readers_that_never_fetch_their_answers_keep_nobody_waiting(site: Path, preview: PreviewServer) -> None:
    (site / "large.bin").write_bytes(bytes(8_000_000))
    line = b"GET /large.bin HTTP/1.1\r\nHost: localhost:%d\r\n\r\n" % preview.server_port
    with ExitStack() as opened:
        for _ in range(10):
            opened.enter_context(socket.create_connection(preview.server_address)).sendall(line * 10)
        assert get(preview, "/")[0] == 200


def test_urgent_data_ends_the_connection(preview: PreviewServer) -> None:
    with socket.create_connection(preview.server_address, timeout=10) as connection:
        connection.send(b"!", socket.MSG_OOB)
        with suppress(ConnectionResetError):
            assert connection.recv(1) == b""


def test_two_hundred_at_once_are_all_answered(preview: PreviewServer) -> None:
    with ThreadPoolExecutor(200) as visitors:
        found = list(visitors.map(lambda _: get(preview, "/assets/a.js")[2], range(200)))
    assert found == [FILES["assets/a.js"]] * 200


class Builds:
    """Counts its calls."""

    def __init__(self, error: Exception | None = None) -> None:
        self.count, self.error, self.called = 0, error, threading.Event()

    def __call__(self) -> None:
        self.count += 1
        self.called.set()
        if self.error:
            raise self.error

    def after(self, change: Callable[[], object], seconds: float = 0.3) -> int:
        """How many builds a change leads to, until so long after the first."""
        before = self.count
        self.called.clear()
        change()
        self.called.wait(10)
        time.sleep(seconds)
        return self.count - before


def test_a_change_of_a_watched_file_leads_to_one_call(tmp_path: Path) -> None:
    builds, file = Builds(), tmp_path / "one"
    file.write_text("a")
    with watching(lambda: clutter.files(tmp_path), builds, seconds=0.05):
        assert builds.after(lambda: file.write_text("changed")) == 1
        assert builds.after(lambda: (tmp_path / "two").write_text("new")) == 1
        assert builds.after(file.unlink) == 1
    (tmp_path / "two").write_text("after the end")
    time.sleep(0.2)
    assert builds.count == 3


def test_a_save_in_several_steps_leads_to_one_call(tmp_path: Path) -> None:
    file = tmp_path / "index.md"

    def put_in_place() -> None:
        """As VS Code, gedit and most others do it."""
        (tmp_path / "index.md.tmp").write_text("new words")
        (tmp_path / "index.md.tmp").replace(file)

    def like_vim() -> None:
        (tmp_path / "4913").touch()
        (tmp_path / "4913").unlink()
        file.rename(tmp_path / "index.md~")
        time.sleep(0.06)  # nothing is there for a moment
        file.write_text("other new words")
        (tmp_path / "index.md~").unlink()

    def bit_by_bit() -> None:
        with file.open("w") as opened:
            for _ in range(10):
                opened.write("more ")
                opened.flush()
                time.sleep(0.02)

    file.write_text("words")
    builds = Builds()
    with watching(lambda: clutter.files(tmp_path), builds, seconds=0.2):
        assert [builds.after(save, 0.8) for save in (put_in_place, like_vim, bit_by_bit)] == [1, 1, 1]


def test_watching_goes_on_when_a_folder_goes_and_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "content"
    folder.mkdir()
    (folder / "index.md").write_text("words")

    def careless() -> Iterator[Path]:
        """Raises where the folder is missing."""
        yield from sorted(folder.iterdir())

    builds = Builds()
    with watching(careless, builds, seconds=0.05):
        assert builds.after(lambda: folder.rename(tmp_path / "away")) == 1
        assert builds.after(lambda: (tmp_path / "away").rename(folder)) == 1
        assert builds.after(lambda: (folder / "index.md").write_text("other words")) == 1


def test_a_folder_that_is_away_for_a_moment_is_no_change(tmp_path: Path) -> None:
    (tmp_path / "content").mkdir()
    (tmp_path / "content" / "index.md").write_text("words")
    builds = Builds()
    with watching(lambda: clutter.files(tmp_path / "content"), builds, seconds=0.2):
        (tmp_path / "content").rename(tmp_path / "away")
        (tmp_path / "away").rename(tmp_path / "content")
        time.sleep(1)
    assert builds.count == 0


def test_what_a_build_raises_is_told_and_the_watching_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    builds, file = Builds(OSError("no more processes")), tmp_path / "index.md"
    with watching(lambda: clutter.files(tmp_path), builds, seconds=0.05):
        assert builds.after(lambda: file.write_text("a")) == 1
        assert builds.after(lambda: file.write_text("ab")) == 1
    line = "error: could not build anew (OSError('no more processes')); the next change tries again"
    assert capsys.readouterr().err.splitlines() == [line, line]


def serving(site: Path, report: Path) -> subprocess.Popen[str]:
    arguments = [
        sys.executable,
        "-u",
        "-m",
        "generator",
        "serve",
        "--config",
        str(report),
        "--out",
        str(site),
        "--offline",
    ]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGINT, 130, "interrupted; what was finished before is kept\n"),
        (signal.SIGTERM, 143, ""),
    ],
)
def test_the_end_of_a_preview_ends_its_build_too(
    site: Path, tmp_path: Path, number: signal.Signals, code: int, said: str
) -> None:
    """The build, which would take minutes, holds the same output: that ends with the last who holds it."""
    (tmp_path / "report.toml").write_text("")
    with serving(site, tmp_path / "report.toml") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(f"{site} is at http://127.0.0.1:")
        (tmp_path / "report.toml").write_text('[report]\ntitle = "Another"\n')
        assert process.stdout.readline() == "a file has changed: building the site anew\n"
        time.sleep(0.5)
        process.send_signal(number)
        rest, _ = process.communicate(timeout=20)
    assert (process.returncode, rest) == (code, said)
    assert (site / "index.html").read_bytes() == FILES["index.html"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_a_report_toml_that_goes_is_told_and_no_other_report_is_built_in_its_place(site: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.toml"
    report.write_text("")
    with serving(site, report) as process:
        assert process.stdout is not None
        process.stdout.readline()
        report.unlink()
        assert process.stdout.readline() == "a file has changed: building the site anew\n"
        assert process.stdout.readline().startswith(f"error: {report}: expected a report.toml, there is no such file")
        report.write_text("nonsense = ")
        assert process.stdout.readline() == "a file has changed: building the site anew\n"
        assert process.stdout.readline().startswith(f"error: {report}: expected TOML")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_serve_builds_anew_after_a_change_and_ctrl_c_ends_it(site: Path, tmp_path: Path) -> None:
    """A broken report.toml is told by the build in one line; the preview goes on."""
    report = tmp_path / "report.toml"
    report.write_text("")
    arguments = [sys.executable, "-u", "-m", "generator", "serve", "--config", str(report), "--out", str(site)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(f"{site} is at http://127.0.0.1:")
        report.write_text("nonsense = ")
        assert process.stdout.readline() == "a file has changed: building the site anew\n"
        assert process.stdout.readline().startswith(f"error: {report}")
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=20)
    assert (process.returncode, rest) == (130, "interrupted; what was finished before is kept\n")
