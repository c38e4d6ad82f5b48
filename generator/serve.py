"""A preview of the site at a local address, as a static host would serve it; reached from this machine alone."""

from __future__ import annotations

import socketserver
import sys
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from generator.errors import InputError

HOST = "127.0.0.1"
FIRST_PORT, LAST_PORT = 8000, 8019


class PreviewServer(ThreadingHTTPServer):
    """An HTTP server of one folder; `url` is its address."""

    daemon_threads = True

    @property
    def url(self) -> str:
        """Where the site is, with a slash at its end."""
        return f"http://{HOST}:{self.server_port}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a browser that goes away in the middle of a page."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def server(folder: Path, port: int | None = None) -> PreviewServer:
    """A server of `folder` that listens already; the caller runs and closes it.

    Args:
        folder: a built site.
        port: where to listen; None: the first free one from 8000 on, or any that is free.
    Raises:
        InputError: there is no site in `folder`, or the port is in use or none that can be had.
    """
    folder = folder.resolve()
    if not (folder / "index.html").is_file():
        raise InputError(f"{folder}: expected a site, found no index.html; make it with: python -m generator build")
    handler = partial(_Handler, directory=str(folder))
    if port is not None:
        return _listening(port, handler)
    for candidate in range(FIRST_PORT, LAST_PORT + 1):
        try:
            return _listening(candidate, handler)
        except InputError:
            continue
    return _listening(0, handler)


def serve(folder: Path, port: int | None = None, say: Callable[[str], None] = print) -> None:
    """Serve `folder` until Ctrl-C; see `server`."""
    with server(folder, port) as preview:
        try:
            say(f"{preview.url} shows {folder}; Ctrl-C ends it")
            preview.serve_forever()
        except KeyboardInterrupt:
            say("ended")


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


class _Handler(SimpleHTTPRequestHandler):
    """What a static host does: pages, a 404 page, no listings, no hidden files, and nothing kept by the browser."""

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

    def translate_path(self, path: str) -> str:
        """The file of an address; one that is not there for a hidden file."""
        found = super().translate_path(path)
        hidden = "\0" in found or any(part.startswith(".") for part in Path(found).relative_to(self.directory).parts)
        return str(Path(self.directory) / "no such file") if hidden else found

    def list_directory(self, path: object) -> None:  # noqa: ARG002 (http.server's signature)
        """No listing, as on a static host."""
        self.send_error(HTTPStatus.NOT_FOUND)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """The site's own page for what is not there, http.server's for everything else."""
        page = Path(self.directory) / "404.html"
        if code != HTTPStatus.NOT_FOUND or not page.is_file():
            super().send_error(code, message, explain)
            return
        content = page.read_bytes()
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
