"""Whatever bytes are sent to the preview: no traceback, no file from outside the site, and it goes on answering."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals and symbolic links")
SECRET = b"not-for-the-reader"
FILES = {
    "index.html": b"<!doctype html><html><head><title>t</title></head><body>home</body></html>",
    "404.html": b"<!doctype html>not here",
    "sub/index.html": b"<!doctype html>sub",
    "assets/a.js": b"'use strict'",
    ".hidden": SECRET,
    ".git/config": SECRET,
}
# fmt: off
NAMES = st.sampled_from((
    b"sub", b"index.html", b"assets", b"a.js", b"..", b"%2e%2e", b".", b".hidden", b".git", b"config", b"link.txt",
    b"links", b"outside.txt", b"%2fetc%2fpasswd", b"etc", b"passwd", b"%00", b"\x00", b"%ff", b"\xff", b"\xc3\xbc",
    b"%C3%BC", b"", b"\\", b"%5c..", b"a" * 300, b"%2e%2e%2foutside.txt", b"host.example", b"%", b"%g1", b"__build",
))
HEADERS = st.sampled_from((
    b"Host: PLACE", b"Host: PLACE", b"Host: host.example", b"Host:", b"host: PLACE", b"Host : PLACE",
    b"Connection: close", b"Connection: keep-alive",
    b"Range: bytes=0-3", b"Range: bytes=9-,-", b"If-Modified-Since: 0", b"Content-Length: 3",
    b"Content-Length: -1", b"Content-Length: 9LONG", b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip",
    b"Expect: 100-continue", b" folded", b"X: " + 20 * b"LONG", b"X\x00: a", b"X: \xff", b"no colon", b":", b"X: a\rb",
))
# fmt: on
PATHS = st.one_of(
    st.lists(NAMES, max_size=6).map(lambda names: b"/" + b"/".join(names)),
    st.sampled_from([b"*", b"", b"//", b"http://[", b"http://host.example/", b"http://localhost/", b"?", b"#"]),
    st.binary(max_size=40),
)
TARGETS = st.tuples(PATHS, st.sampled_from([b"", b"?", b"?a=1", b"?%0d%0aSet-Cookie:a", b"?\xff", b"#a"])).map(b"".join)
METHODS = st.sampled_from([b"GET"] * 6 + [b"HEAD", b"POST", b"OPTIONS", b"get", b"G\x00T", b""])
VERSIONS = st.sampled_from([b"HTTP/1.1"] * 4 + [b"HTTP/1.0", b"HTTP/9.9", b"HTTP/1", b"", b"HTTP/1.1\x00"])
FIELDS = st.one_of(HEADERS, HEADERS, st.binary(max_size=30))
BODIES = st.sampled_from([b"", b"", b"abc", b"3\r\nabc\r\n0\r\n\r\n", b"fffffffffff\r\n", b"-1\r\n", b"\r\n" * 5])
REQUESTS = st.builds(
    lambda method, target, version, fields, body: (
        b"\r\n".join([b" ".join([method, target, version]), *fields]) + b"\r\n\r\n" + body
    ),
    METHODS,
    TARGETS,
    VERSIONS,
    st.lists(FIELDS, max_size=4).map(lambda fields: [b"Host: PLACE", *fields]) | st.lists(FIELDS, max_size=4),
    BODIES,
)
STREAMS = st.one_of(
    REQUESTS,
    st.lists(REQUESTS, max_size=3).map(b"".join),
    st.tuples(REQUESTS, st.integers(0, 200)).map(lambda cut: cut[0][: cut[1]]),
    st.binary(max_size=200),
)


@pytest.fixture(scope="module")
def preview(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a preview in a process of its own, which must have said nothing but where it is."""
    folder = tmp_path_factory.mktemp("preview")
    for path, content in FILES.items():
        (folder / "site" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "site" / path).write_bytes(content)
    (folder / "outside.txt").write_bytes(SECRET)
    (folder / "site" / "link.txt").symlink_to(folder / "outside.txt")
    (folder / "site" / "links").symlink_to(folder)
    (folder / "report.toml").write_text("")
    command = [sys.executable, "-m", "generator", "serve", "--config", str(folder / "report.toml")]
    said = folder / "said.txt"
    root = Path(__file__).parents[2]
    with said.open("wb") as output, subprocess.Popen(command, cwd=root, stderr=output, stdout=output) as process:
        try:
            while (found := re.search(r"is at http://127\.0\.0\.1:(\d+)/", said.read_text())) is None:
                assert process.poll() is None, said.read_text()
            yield int(found[1])
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130
        finally:
            process.kill()
    place, interrupted = said.read_text().splitlines()
    assert place.startswith(f"{folder / 'site'} is at ")
    assert interrupted.startswith("interrupted")


def answer(port: int, sent: bytes) -> bytes:
    """All that comes back until the preview, which is told that no more is to come, hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        try:
            connection.sendall(sent.replace(b"PLACE", b"localhost:%d" % port).replace(b"LONG", b"9" * 5000))
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except TimeoutError:
            raise
        except OSError:  # it refused before it had read everything, and hung up
            return b""


@settings(max_examples=700)
@given(sent=STREAMS)
def test_any_bytes_get_an_answer_or_none_but_never_what_is_not_published(preview: int, sent: bytes) -> None:
    found = answer(preview, sent)
    assert SECRET not in found
    assert b"root:" not in found
    assert not found or re.match(rb"HTTP/1\.[01] (100|200|30[12]|4\d\d|501) ", found)
    for location in re.findall(rb"\r\nLocation: ([^\r]*)", found):
        assert re.match(rb"/[^/\\]", location)
    assert b"Set-Cookie" not in found.replace(b"Set-Cookie:a", b"")
    usual = answer(preview, b"GET /sub/ HTTP/1.1\r\nHost: PLACE\r\nConnection: close\r\n\r\n")
    assert usual.endswith(b"\r\n\r\n<!doctype html>sub")
