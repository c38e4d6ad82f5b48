"""A preview of the site at a local address, as a static host would serve it; reached from this machine alone.

A site that was built for https://example.org/some/path is below /some/path here, too.

A page in the preview asks once a second which build it belongs to, and loads itself anew after the next one. `watching`
makes that next one when a file that the site is made from changes.
"""

from __future__ import annotations

import json
import socketserver
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from generator.base.errors import InputError

HOST = "127.0.0.1"
FIRST_PORT, LAST_PORT = 8000, 8019
BUILD, RELOAD = "/__build", "/__reload.js"  # addresses of the preview alone, no files of the site
SCRIPT = b"""\
// Loads the page anew when the site was built anew. Only the preview has this script.
"use strict";
(function () {
  let shown = null;
  setInterval(async function () {
    try {
      const now = await (await fetch("/__build", { cache: "no-store" })).json();
      const page = location.pathname.split("/").pop() + location.hash;
      // report.toml may have moved the site below another path.
      if (!location.pathname.startsWith(now.below + "/")) location.replace(now.below + "/" + page);
      else if (shown !== null && now.build !== shown) location.reload();
      shown = now.build;
    } catch {
      // The preview has ended, or the site is being replaced at this moment.
    }
  }, 1000);
})();
"""


class PreviewServer(ThreadingHTTPServer):
    """An HTTP server of one folder; `url` is its address.

    `address` is where the site will be published, as far as that is known; a build may change it.
    """

    daemon_threads = True
    address = ""

    @property
    def below(self) -> str:
        """The path that comes before each of the site's own, without a slash at its end."""
        return urlsplit(self.address).path.rstrip("/")

    @property
    def url(self) -> str:
        """Where the site is, with a slash at its end."""
        return f"http://{HOST}:{self.server_port}{self.below}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a browser that goes away in the middle of a page."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def server(folder: Path, port: int | None = None, address: str = "") -> PreviewServer:
    """A server of `folder` that listens already; the caller runs and closes it.

    Args:
        folder: a built site.
        port: where to listen; None: the first free one from 8000 on, or any that is free.
        address: where the site will be published; the preview has its path.
    Raises:
        InputError: there is no site in `folder`, or the port is in use or none that can be had.
    """
    folder = folder.resolve()
    if not (folder / "index.html").is_file():
        raise InputError(f"{folder}: expected a site, found no index.html; make it with: python -m generator build")
    found = _listening_anywhere(partial(_Handler, directory=str(folder)), port)
    found.address = address
    return found


@contextmanager
def watching(files: Callable[[], Iterable[Path]], rebuild: Callable[[], None], seconds: float = 0.5) -> Iterator[None]:
    """Call `rebuild` in a thread of its own whenever one of `files` changes, appears or goes.

    Args:
        files: the files as they are now.
        rebuild: takes its time; what changes meanwhile leads to one more call.
        seconds: between two looks.
    """
    ended = threading.Event()
    first = _stamps(files())  # here, not in the thread: whatever changes from now on counts

    def watch() -> None:
        known = first
        while not ended.wait(seconds):
            now = _stamps(files())
            if now != known:
                known = now
                rebuild()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _stamps(files: Iterable[Path]) -> dict[Path, tuple[int, int]]:
    """Time of change and size of each file that is there."""
    found = {}
    for file in files:
        try:
            stat = file.stat()
        except OSError:
            continue  # it went between the listing and now
        found[file] = (stat.st_mtime_ns, stat.st_size)
    return found


def _listening_anywhere(handler: Callable[..., socketserver.BaseRequestHandler], port: int | None) -> PreviewServer:
    if port is not None:
        return _listening(port, handler)
    for candidate in range(FIRST_PORT, LAST_PORT + 1):
        try:
            return _listening(candidate, handler)
        except InputError:
            continue
    return _listening(0, handler)


def _listening(port: int, handler: Callable[..., socketserver.BaseRequestHandler]) -> PreviewServer:
    try:
        return PreviewServer((HOST, port), handler)
    except OverflowError:
        raise InputError(f"--port {port}: expected a number from 1 to 65535") from None
    except OSError as error:
        raise InputError(
            f"--port {port}: expected a free port, could not listen there ({error.strerror}); "
            "give another, or none to have a free one found"
        ) from error


def _build_of(folder: Path, below: str) -> str:
    """What differs from build to build: the site is placed as a whole, its pages are never changed."""
    try:
        return json.dumps({"build": str((folder / "index.html").stat().st_mtime_ns), "below": below})
    except OSError:
        return ""  # between the old site and the new


class _Handler(SimpleHTTPRequestHandler):
    """What a static host does: pages, a 404 page, no listings, no hidden files, and nothing kept by the browser."""

    server: PreviewServer

    # By our own list alone: what the system's says differs from machine to machine.
    extensions_map = {  # noqa: RUF012 (http.server looks it up on the class)
        "": "application/octet-stream",
        ".css": "text/css; charset=utf-8",
        ".csv": "text/csv; charset=utf-8",
        ".html": "text/html; charset=utf-8",
        ".ico": "image/x-icon",
        ".jpg": "image/jpeg",
        ".js": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".png": "image/png",
        ".svg": "image/svg+xml",
        ".txt": "text/plain; charset=utf-8",
        ".webp": "image/webp",
        ".xml": "application/xml",
    }

    def guess_type(self, path: object) -> str:
        """The type of a file by its ending."""
        return self.extensions_map.get(Path(str(path)).suffix.lower(), self.extensions_map[""])

    def do_GET(self) -> None:
        """The preview's own addresses; a page with the script that reloads it; any other file as it is."""
        path = self.path.partition("?")[0]
        if path == "/" != f"{self.server.below}/":
            self.send_response(HTTPStatus.FOUND)
            self.send_header("Location", f"{self.server.below}/")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path == BUILD:
            self._answer(_build_of(Path(self.directory), self.server.below).encode(), ".json")
        elif path == RELOAD:
            self._answer(SCRIPT, ".js")
        elif (page := self._page()) is not None:
            content = page.read_bytes()
            self._answer(content.replace(b"</head>", f'<script src="{RELOAD}" defer></script></head>'.encode(), 1))
        else:
            super().do_GET()

    def _page(self) -> Path | None:
        """The page that is asked for, if it is one."""
        found = Path(self.translate_path(self.path))
        if found.is_dir() and self.path.partition("?")[0].endswith("/"):
            found /= "index.html"
        return found if found.suffix == ".html" and found.is_file() else None

    def _answer(self, content: bytes, kind: str = ".html") -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", self.extensions_map[kind])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def translate_path(self, path: str) -> str:
        """The file of an address; one that is not there for a hidden file and for what is not below the site's path."""
        within = self._is_within(path)
        found = super().translate_path(path[len(self.server.below) :] or "/")
        hidden = (
            not within
            or "\0" in found
            or any(part.startswith(".") for part in Path(found).relative_to(self.directory).parts)
        )
        return str(Path(self.directory) / "no such file") if hidden else found

    def _is_within(self, path: str) -> bool:
        """Whether an address is the site's; all others are those of its host."""
        return f"{path.partition('?')[0]}/".startswith(f"{self.server.below}/")

    def list_directory(self, path: object) -> None:  # noqa: ARG002 (http.server's signature)
        """No listing, as on a static host."""
        self.send_error(HTTPStatus.NOT_FOUND)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """The site's own page for what is not there, http.server's for everything else."""
        page = Path(self.directory) / "404.html"
        if code != HTTPStatus.NOT_FOUND or not page.is_file() or not self._is_within(self.path):
            super().send_error(code, message, explain)
            return
        content = page.read_bytes()
        if self.server.address:  # which this page alone needs in full, for its styles and its links
            content = content.replace(f"{self.server.address}/".encode(), self.server.url.encode())
        self.send_response(code)
        self.send_header("Content-Type", self.extensions_map[".html"])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def end_headers(self) -> None:
        """A rebuilt page shows at once."""
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (http.server's name)
        """Nothing for each request."""
