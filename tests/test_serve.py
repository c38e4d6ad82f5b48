"""The preview answers as a static host would, to this machine alone."""

from __future__ import annotations

import http.client
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from generator.errors import InputError
from generator.serve import PreviewServer, server

FILES = {
    "index.html": b"<!doctype html>home",
    "404.html": b"<!doctype html>not here",
    "assets/a.webp": b"RIFF",
    "assets/a.js": b"'use strict'",
    "results.json": b"{}",
    ".manifest.json": b"{}",
    ".git/config": b"secret",
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for path, content in FILES.items():
        file = tmp_path / "site" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    (tmp_path / "outside.txt").write_text("outside")
    return tmp_path / "site"


@pytest.fixture
def preview(site: Path) -> Iterator[PreviewServer]:
    with server(site) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


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


def test_a_folder_without_a_site_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a site, found no index"):
        server(tmp_path / "none")


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_ctrl_c_ends_it(site: Path) -> None:
    program = "import sys; from pathlib import Path; from generator.serve import serve; serve(Path(sys.argv[1]))"
    arguments = [sys.executable, "-u", "-c", program, str(site)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("http://127.0.0.1:")
        assert line.endswith(f"/ shows {site}; Ctrl-C ends it\n")
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=10)
    assert (process.returncode, rest, errors) == (0, "ended\n", "")
