"""Firefox, driven over WebDriver BiDi on a bare websocket: no driver and no package besides it.

https://w3c.github.io/webdriver-bidi/ and RFC 6455.
"""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LISTENING = re.compile(rb"WebDriver BiDi listening on ws://127\.0\.0\.1:(\d+)")


class Firefox:
    """One browser process with one tab; `problems` are the console's errors and warnings."""

    def __init__(self, program: Path, profile: Path, preferences: Mapping[str, bool] | None = None) -> None:
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in (preferences or {}).items()]
        (profile / "user.js").write_text("\n".join(lines))
        self._process = subprocess.Popen(
            [str(program), "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self.problems: list[str] = []
        self._number = 0
        try:
            self._connect()
        except BaseException:  # nobody could end it any more
            self._process.kill()
            self._process.communicate()
            raise

    def open(self, url: str) -> None:
        """Load a page."""
        self.call("browsingContext.navigate", context=self._tab, url=url, wait="complete")

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise; by way of JSON."""
        found = self.call(
            "script.evaluate",
            expression=f"(async () => JSON.stringify(await ({script})))()",
            target={"context": self._tab},
            awaitPromise=True,
        )
        if found["type"] != "success":
            raise RuntimeError(f"{script}: {found['exceptionDetails']['text']}")
        return json.loads(found["result"]["value"]) if "value" in found["result"] else None

    def give(self, selector: str, files: Sequence[Path]) -> None:
        """Choose files, as the visitor does."""
        locator = {"type": "css", "value": selector}
        node = self.call("browsingContext.locateNodes", context=self._tab, locator=locator)["nodes"][0]
        element = {"sharedId": node["sharedId"]}
        self.call("input.setFiles", context=self._tab, element=element, files=[str(file) for file in files])

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of one command."""
        self._number += 1
        self._send(json.dumps({"id": self._number, "method": method, "params": parameters}).encode())
        while True:
            told = json.loads(self._message())
            if told.get("method") == "log.entryAdded" and told["params"]["level"] in ("error", "warn"):
                self.problems.append(str(told["params"]["text"]))
            if told.get("id") != self._number:
                continue
            if told["type"] == "error":
                raise RuntimeError(f"{method}: {told['message']}")
            return dict(told["result"])

    def close(self) -> None:
        """End the process."""
        self._socket.close()
        self._process.terminate()
        self._process.wait(timeout=30)
        assert self._process.stderr is not None
        self._process.stderr.close()

    def _connect(self) -> None:
        port = self._port()
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=180)
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            f"GET /session HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._exactly(1)
        assert b" 101 " in answer, answer
        self.call("session.new", capabilities={})
        self.call("session.subscribe", events=["log.entryAdded"])
        self._tab = self.call("browsingContext.getTree")["contexts"][0]["context"]

    def _port(self) -> int:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if found := LISTENING.search(line):
                return int(found[1])
        raise RuntimeError("Firefox ended before it listened")

    def _send(self, data: bytes) -> None:
        """One text frame, masked as a client must mask it; Firefox takes no mask of zeros."""
        size = len(data)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        if size > 0xFFFF:
            length = b"\xff" + size.to_bytes(8, "big")
        mask = b"mask"
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
        self._socket.sendall(b"\x81" + length + mask + masked)

    def _message(self) -> bytes:
        """The next text message, whose frames may be several; pings are not sent on this socket."""
        whole, last = b"", False
        while not last:
            first, second = self._exactly(2)
            size = second & 0x7F
            if size > 125:
                size = int.from_bytes(self._exactly(2 if size == 126 else 8), "big")
            whole += self._exactly(size)
            last = bool(first & 0x80)
        return whole

    def _exactly(self, count: int) -> bytes:
        found = bytearray()
        while len(found) < count:
            part = self._socket.recv(count - len(found))
            if not part:
                raise RuntimeError("Firefox ended")
            found += part
        return bytes(found)
