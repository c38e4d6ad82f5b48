"""A preview of the site at a local address, as a static host would serve it; for this machine's own browser alone.

A site that was built for https://example.org/some/path is below /some/path here, too.

waitress reads the requests and writes the answers, with a few threads for any number of connections. Answered is only
who asks for this machine by its own names: a page of somebody else's host whose name leads here (DNS rebinding) is not.
Sent are only the site's own files: none that is hidden, none to which a symbolic link leads out of the site.

A page in the preview asks once a second which build it belongs to, and loads itself anew after the next one. `watching`
makes that next one when a file that the site is made from changes.
"""

from __future__ import annotations

import json
import logging
import os
import posixpath
import re
import socket
import stat
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote, unquote_to_bytes, urlsplit

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer

from generator.base import terminal
from generator.base.errors import PROGRAM, InputError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

if sys.platform != "win32":
    import resource


HOST = "127.0.0.1"
HERE = ("localhost", HOST, "[::1]")  # what this machine's browser calls it
FIRST_PORT, LAST_PORT = 8000, 8019
WAITING = 1024  # connections that the system holds until they are accepted
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
      const inside = decodeURI(location.pathname).startsWith(decodeURI(now.below) + "/");
      if (!inside) location.replace(now.below + "/" + page);
      else if (shown !== null && now.build !== shown) location.reload();
      shown = now.build;
    } catch {
      // The preview has ended, or the site is being replaced at this moment.
    }
  }, 1000);
})();
"""
# By our own list alone: what the system's says differs from machine to machine.
TYPES = {
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
UNKNOWN = "application/octet-stream"
# What a request asks for (RFC 9112, 3.2): a path, or a whole address as a proxy is given it.
TARGET = re.compile(r"(?:https?://(?P<host>[^/?#]*))?(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?(?:#.*)?", re.I | re.S)
UNRESERVED = "!$&'()*+,;=:@~"  # what a path may hold as it is, beside letters, digits and -._ (RFC 3986, 3.3)
ASCII = bytes(range(128))
UNSERVED = re.compile(r"\.|.*[/\\\0]", re.S)  # hidden, "..", or what would be several names
# O_NONBLOCK: opening a named pipe would wait for somebody who writes into it.
READING = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))


class PreviewServer:
    """A server of one folder; `url` is its address. It listens from the beginning, and answers while it runs.

    `address` is where the site will be published, as far as that is known; a build may change it.
    """

    def __init__(self, folder: Path, listening: socket.socket, address: str = "") -> None:
        self.folder = folder
        self.address = address
        self.server_address: tuple[str, int] = listening.getsockname()
        self.server_port = self.server_address[1]
        self._ended, self._running = threading.Event(), threading.Lock()
        self._open: dict[int, wasyncore.dispatcher] = {}
        # How busy its threads are is nobody's business, nor who went away in the middle of a page.
        logging.getLogger("waitress").setLevel(logging.ERROR)
        most = _connections()
        self._http = _Connections(
            self._respond,
            map=self._open,
            _sock=listening,
            bind_socket=False,
            sockinfo=(listening.family, listening.type, listening.proto, self.server_address),
            ident="",
            backlog=WAITING,
            most=most,
            connection_limit=2 * most,
            max_request_header_size=64 * 1024,
            max_request_body_size=64 * 1024,
            outbuf_high_watermark=2**40,  # what a slow reader has not fetched yet never keeps a thread waiting
            log_socket_errors=False,
        )

    @property
    def below(self) -> str:
        """The path that comes before each of the site's own, percent-encoded, without a slash at its end."""
        return _written(_base(self.address))

    @property
    def url(self) -> str:
        """Where the site is, with a slash at its end."""
        return f"http://{HOST}:{self.server_port}{self.below}/"

    def serve_forever(self, poll_interval: float = 1.0) -> None:
        """Answer until `shutdown`; it looks for that at least every `poll_interval` seconds."""
        with self._running:
            while not self._ended.is_set():
                wasyncore.loop(timeout=poll_interval, use_poll=True, map=self._open, count=1)

    def shutdown(self) -> None:
        """End `serve_forever`, which runs in another thread, and wait for that."""
        self._ended.set()
        self._http.pull_trigger()
        with self._running:
            pass

    def __enter__(self) -> PreviewServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.task_dispatcher.shutdown(timeout=1)
        for channel in list(self._http.active_channels.values()):
            channel.handle_close()
        wasyncore.close_all(self._open)

    def _respond(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """The application, as WSGI (PEP 3333) has it."""
        answer = self._answer(environ)
        size = answer.content.seek(0, os.SEEK_END)
        answer.content.seek(0)
        headers = [
            ("Cache-Control", "no-store"),  # a rebuilt page shows at once
            ("Content-Type", TYPES.get(answer.kind, UNKNOWN)),
            ("Content-Length", str(size)),
            *answer.headers,
        ]
        start_response(f"{answer.status.value} {answer.status.phrase}", headers)
        if environ["REQUEST_METHOD"] == "HEAD":
            answer.content.close()
            return []
        sent: Iterable[bytes] = environ["wsgi.file_wrapper"](answer.content)
        return sent

    def _answer(self, environ: WSGIEnvironment) -> _Answer:
        """What is said to a request, whatever it asks for."""
        target = TARGET.fullmatch(environ["REQUEST_URI"])
        hosts = [environ.get("HTTP_HOST", "")]
        if target and target["host"] is not None:
            hosts.append(target["host"])
        if not all(map(self._is_here, hosts)):
            return _told(HTTPStatus.FORBIDDEN, f"This preview is at {self.url} and answers to no other name.")
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _told(HTTPStatus.METHOD_NOT_ALLOWED, "A preview is read only.", ("Allow", "GET, HEAD"))
        if target is None or not (target["host"] or target["path"]):
            return _told(HTTPStatus.BAD_REQUEST, "Expected a path that begins with a slash.")
        return self._found(target["path"] or "/", target["query"] or "")

    def _is_here(self, host: str) -> bool:
        """Whether a Host names this machine and this port; browsers leave out port 80."""
        name, colon, port = host.lower().rpartition(":")
        if self.server_port == 80 and host.lower() in HERE:
            return True
        return bool(colon) and name in HERE and port == str(self.server_port)

    def _found(self, path: str, query: str) -> _Answer:
        """The preview's own addresses; a page with the script that reloads it; any other file as it is."""
        if path == BUILD:
            return _Answer(HTTPStatus.OK, BytesIO(self._build().encode()), ".json")
        if path == RELOAD:
            return _Answer(HTTPStatus.OK, BytesIO(SCRIPT), ".js")
        base, names = _base(self.address), _names(path.encode("latin-1"))
        if base and not names:
            return _moved(HTTPStatus.FOUND, base, query)
        if names[: len(base)] != base:
            return _told(HTTPStatus.NOT_FOUND, f"The site is at {self.url}.")
        inner = (*names[len(base) :], *(["index.html"] if path.endswith("/") else []))
        try:
            file = _opened(self.folder, inner)
        except IsADirectoryError:
            return self._missing() if path.endswith("/") else _moved(HTTPStatus.MOVED_PERMANENTLY, names, query)
        except (OSError, ValueError):
            return self._missing()
        kind = Path(inner[-1]).suffix.lower()
        if kind != ".html":
            return _Answer(HTTPStatus.OK, file, kind)
        with file:
            page = file.read().replace(b"</head>", f'<script src="{RELOAD}" defer></script></head>'.encode(), 1)
        return _Answer(HTTPStatus.OK, BytesIO(page))

    def _missing(self) -> _Answer:
        """The site's own page for what is not there."""
        try:
            with _opened(self.folder, ("404.html",)) as file:
                page = file.read()
        except (OSError, ValueError):
            return _told(HTTPStatus.NOT_FOUND, "There is no such file in the site.")
        if self.address:  # which this page alone needs in full, for its styles and its links
            page = page.replace(f"{self.address}/".encode(), self.url.encode())
        return _Answer(HTTPStatus.NOT_FOUND, BytesIO(page))

    def _build(self) -> str:
        """What differs from build to build: the site is placed as a whole, its pages are never changed."""
        try:
            return json.dumps({"build": str((self.folder / "index.html").stat().st_mtime_ns), "below": self.below})
        except OSError:
            return ""  # between the old site and the new


def server(folder: Path, port: int | None = None, address: str = "") -> PreviewServer:
    """A server of `folder` that listens already; the caller runs and closes it.

    Args:
        folder: a built site.
        port: where to listen; None: the first free one from 8000 on, or any that is free.
        address: where the site will be published; the preview has its path.
    Raises:
        InputError: there is no site in `folder`, or the port is in use or none that can be had.
    """
    folder = Path(os.path.realpath(folder))  # Path.resolve raises for a link that leads to itself
    if not (folder / "index.html").is_file():
        raise InputError(f"{folder}: expected a site, found no index.html; make it with: {PROGRAM} build")
    return PreviewServer(folder, _listening_anywhere() if port is None else _listening(port), address)


@contextmanager
def watching(files: Callable[[], Iterable[Path]], rebuild: Callable[[], None], seconds: float = 0.5) -> Iterator[None]:
    """Call `rebuild` in a thread of its own whenever one of `files` changes, appears or goes.

    A change counts when the next look finds the same: an editor that puts a new file in the old one's place, or writes
    it in several goes, causes one call. Whatever `rebuild` raises is told, and the watching goes on.

    Args:
        files: the files as they are now.
        rebuild: takes its time; what changes meanwhile leads to one more call.
        seconds: between two looks.
    """
    ended = threading.Event()
    first = _stamps(files)  # here, not in the thread: whatever changes from now on counts

    def watch() -> None:
        known = before = first
        with ThreadPoolExecutor(1) as builds:
            while not ended.wait(seconds):
                now = _stamps(files)
                if now == before != known:
                    known = now
                    if (error := builds.submit(rebuild).exception()) is not None:
                        terminal.say(f"error: could not build anew ({error!r}); the next change tries again")
                before = now

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(5)  # not for ever: a file system may hang


def _stamps(files: Callable[[], Iterable[Path]]) -> dict[Path, tuple[int, int]]:
    """Time of change and size of each file that is there."""
    found = {}
    with suppress(OSError):  # a folder went while it was listed: the next look differs, so that this one does not count
        for file in files():
            with suppress(OSError):  # it went between the listing and now
                status = file.stat()
                found[file] = (status.st_mtime_ns, status.st_size)
    return found


def _connections() -> int:
    """How many connections are kept open: four for each would still leave files for the rest of the program."""
    if sys.platform == "win32":
        return 200  # select() looks at 512 there
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 500 if soft == resource.RLIM_INFINITY else min(500, soft // 4)


def _listening_anywhere() -> socket.socket:
    for candidate in range(FIRST_PORT, LAST_PORT + 1):
        try:
            return _listening(candidate)
        except InputError:
            continue
    return _listening(0)


def _listening(port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise InputError(f"--port {port}: expected a number from 1 to 65535")
    try:
        return socket.create_server((HOST, port), backlog=WAITING)
    except OSError as error:
        raise InputError(
            f"--port {port}: expected a free port, could not listen there ({os.strerror(error.errno or 0)}); "
            "give another, or none to have a free one found"
        ) from error


@dataclass(frozen=True)
class _Answer:
    """A status and what goes with it; `kind` is the ending of a file's name."""

    status: HTTPStatus
    content: BinaryIO
    kind: str = ".html"
    headers: Sequence[tuple[str, str]] = ()


def _told(status: HTTPStatus, words: str, *headers: tuple[str, str]) -> _Answer:
    return _Answer(status, BytesIO(f"{status.value} {status.phrase}\n\n{words}\n".encode()), ".txt", headers)


def _moved(status: HTTPStatus, names: Sequence[str], query: str) -> _Answer:
    """To a folder of this preview: after the one slash at the beginning there is a name, never another host's."""
    asked = quote(query.encode("latin-1"), safe=f"{UNRESERVED}/?%")
    return _Answer(status, BytesIO(), ".txt", [("Location", f"{_written(names)}/{asked}")])


def _base(address: str) -> tuple[str, ...]:
    """The names in the path of a site's address, "https://example.org//a/b/../%C3%BC" -> ("a", "ü")."""
    try:
        return _names(posixpath.normpath(f"/{urlsplit(address).path}").encode())
    except ValueError:  # no address, or one with a letter that is none
        return ()


def _names(path: bytes) -> tuple[str, ...]:
    """The names in an address's path, decoded; bytes that are no UTF-8 as `os.fsdecode` has them."""
    return tuple(unquote_to_bytes(name).decode("utf-8", "surrogateescape") for name in path.split(b"/") if name)


def _written(names: Sequence[str]) -> str:
    """The path of names, encoded: each after a slash."""
    return "".join(f"/{quote(name, safe=UNRESERVED, errors='surrogateescape')}" for name in names)


def _opened(folder: Path, names: Sequence[str]) -> BinaryIO:
    """The file of a site, open for reading.

    Args:
        folder: the site, without a symbolic link in its path.
        names: as they came, whatever they hold.
    Raises:
        IsADirectoryError: this is a folder.
        OSError, ValueError: there is no such file, it is hidden, or a symbolic link leads out of the site.
    """
    if any(UNSERVED.match(name) for name in names):
        raise FileNotFoundError(names)
    inner = Path(os.path.realpath(folder.joinpath(*names))).relative_to(folder).parts
    if any(UNSERVED.match(name) for name in inner):
        raise FileNotFoundError(names)
    descriptor = _descriptor(folder, inner)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise IsADirectoryError(names) if stat.S_ISDIR(mode) else FileNotFoundError(names)


def _descriptor(folder: Path, names: Sequence[str]) -> int:
    """Opened name by name, so that a symbolic link that was put there a moment ago is not followed either."""
    if os.open not in os.supports_dir_fd:  # Windows
        return os.open(folder.joinpath(*names), READING)
    found = os.open(folder, READING)
    for name in names:
        try:
            inner = os.open(name, READING, dir_fd=found)
        finally:
            os.close(found)
        found = inner
    return found


class _Parser(HTTPRequestParser):  # type: ignore[misc]
    """waitress's, but: an address may hold letters beyond ASCII as they are, and what urlsplit or int refuse is a bad
    request, not a traceback.
    """

    def parse_header(self, header_plus: bytes) -> None:
        line, end, fields = header_plus.partition(b"\r\n")
        try:
            super().parse_header(quote(line, safe=ASCII).encode() + end + fields)
        except ValueError as error:
            raise ParsingError(str(error)) from None
        if self.body_rcv is None:  # nobody waits to send what is not there
            self.expect_continue = False


class _Channel(HTTPChannel):  # type: ignore[misc]
    """One connection."""

    parser_class = _Parser

    def handle_close(self) -> None:
        """Read first what has come and nobody wants: closed before, the answer is lost with it (RFC 9112, 9.6)."""
        with suppress(OSError, AttributeError):  # nothing more has come, or it is closed already
            for _ in range(64):
                self.socket.recv(65536)
        super().handle_close()

    def handle_expt(self) -> None:
        """Urgent data (RFC 9293, 3.8.5) is none of HTTP's and would wake the loop for ever."""
        self.will_close = True


class _Connections(TcpWSGIServer):  # type: ignore[misc]
    """All connections: where there are more than `most`, the one that is open longest and asks for nothing goes."""

    channel_class = _Channel

    def __init__(self, application: object, *, most: int, **settings: object) -> None:
        super().__init__(application, **settings)
        self.most = most

    def handle_accept(self) -> None:
        super().handle_accept()
        channels = list(self.active_channels.values())
        if len(channels) > self.most:
            idle = (one for one in channels if not (one.requests or one.total_outbufs_len or one.will_close))
            for channel in islice(idle, 1):
                channel.will_close = True
