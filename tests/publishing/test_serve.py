"""The preview answers as a static host would, to this machine alone."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from generator.base.errors import InputError
from generator.publishing.serve import PreviewServer, server, watching

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


@pytest.fixture
def below(site: Path) -> Iterator[PreviewServer]:
    """A preview of the site as it will be below a path of its host."""
    page = b'<link href="https://example.org/reports/cnn/assets/site.css"><a href="https://example.org/reports/cnn2">'
    (site / "404.html").write_bytes(page)
    with server(site, address="https://example.org/reports/cnn") as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


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


def test_a_folder_without_a_site_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a site, found no index"):
        server(tmp_path / "none")


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


def test_a_change_of_a_watched_file_leads_to_one_call(tmp_path: Path) -> None:
    calls: list[int] = []
    called = threading.Event()

    def rebuild() -> None:
        calls.append(1)
        called.set()

    (tmp_path / "one").write_text("a")
    with watching(lambda: tmp_path.iterdir(), rebuild, seconds=0.02):
        for change in (
            lambda: (tmp_path / "one").write_text("changed"),
            lambda: (tmp_path / "two").write_text("new"),
            lambda: (tmp_path / "one").unlink(),
        ):
            time.sleep(0.1)
            called.clear()
            change()
            assert called.wait(5)
        time.sleep(0.1)
    assert 3 <= len(calls) <= 6  # a write may be seen halfway
    (tmp_path / "two").write_text("after the end")
    count = len(calls)
    time.sleep(0.1)
    assert len(calls) == count


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
