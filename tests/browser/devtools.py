"""A real browser, driven over its DevTools pipe (--remote-debugging-pipe): no driver and no package besides it.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
    "about:blank",
)
LOWEST = 10  # file descriptors 3 and 4 belong to the browser


class Browser:
    """One browser process; `page` opens a tab of it."""

    def __init__(self, program: Path, profile: Path) -> None:
        theirs_in, self._out = _pipe()
        self._in, theirs_out = _pipe()
        # The browser reads commands from descriptor 3 and writes answers to 4; Popen alone cannot number them, nor can
        # every shell, if there are two digits.
        script = (
            f"import os, sys; os.dup2({theirs_in}, 3); os.dup2({theirs_out}, 4); os.execv(sys.argv[1], sys.argv[1:])"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", script, str(program), f"--user-data-dir={profile}", *ARGUMENTS],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._buffer = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """The result of one command; events that arrive meanwhile are kept in `events`."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") != self._number:
                self.events.append(answer)
            elif "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']}")
            else:
                return dict(answer["result"])

    def wait(self, method: str, session: str) -> None:
        """Until the event has come."""
        while not any(e.get("method") == method and e.get("sessionId") == session for e in self.events):
            self.events.append(self._read())

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait(timeout=20)
        os.close(self._in)
        os.close(self._out)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._in, 1 << 16)
            if not part:
                raise RuntimeError("the browser ended")
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(message))


@dataclass
class Tab:
    """One page in the browser."""

    browser: Browser
    session: str
    target: str
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise."""
        found = self.browser.call(
            "Runtime.evaluate", self.session, expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in found:
            raise RuntimeError(f"{script}: {found['exceptionDetails']}")
        self._collect()
        return found["result"].get("value")

    def allow_scripts(self) -> None:
        """Let scripts run from now on, in a page that was opened without."""
        self.browser.call("Emulation.setScriptExecutionDisabled", self.session, value=False)

    def press(self, key: str) -> None:
        """One key, as from a keyboard."""
        codes = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        codes |= {" ": 32, "Home": 36, "End": 35, "Escape": 27, "Tab": 9, "Enter": 13}
        for kind in ("keyDown", "keyUp"):
            self.browser.call(
                "Input.dispatchKeyEvent", self.session, type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key]
            )

    def printed(self, height: float = 11.69) -> bytes:
        """The page as a PDF of sheets as wide as A4, and as high in inches as is said."""
        found = self.browser.call("Page.printToPDF", self.session, paperWidth=8.27, paperHeight=height)
        return base64.b64decode(found["data"])

    def close(self) -> None:
        """Close the tab."""
        self.browser.call("Target.closeTarget", targetId=self.target)

    def _collect(self) -> None:
        for event in self.browser.events:
            if event.get("sessionId") != self.session:
                continue
            method, told = event["method"], event["params"]
            if method == "Network.requestWillBeSent":
                self.requests.append(told["request"]["url"])
            elif method == "Runtime.exceptionThrown":
                self.problems.append(str(told["exceptionDetails"]))
            elif method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
                self.problems.append(told["entry"]["text"])
            elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
                self.problems.append(str(told["args"]))
            elif method == "Network.loadingFailed" and not told.get("canceled"):
                self.problems.append(told["errorText"])
            elif method == "Network.responseReceived" and told["response"]["status"] >= 400:
                self.problems.append(f"{told['response']['url']}: {told['response']['status']}")
        self.browser.events.clear()


def open_page(
    browser: Browser, url: str, *, width: int = 1280, dark: bool = False, scripts: bool = True, media: str = ""
) -> Tab:
    """A tab that has loaded `url`; `media` is what it is shown on, "print" or, if left out, a screen."""
    target = browser.call("Target.createTarget", url="about:blank")["targetId"]
    session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Page", "Runtime", "Network", "Log"):
        browser.call(f"{domain}.enable", session)
    browser.call(
        "Emulation.setDeviceMetricsOverride", session, width=width, height=900, deviceScaleFactor=1, mobile=width < 500
    )
    features = [
        {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    browser.call("Emulation.setEmulatedMedia", session, media=media, features=features)
    browser.call("Emulation.setScriptExecutionDisabled", session, value=not scripts)
    browser.events.clear()
    browser.call("Page.navigate", session, url=url)
    browser.wait("Page.loadEventFired", session)
    # Evaluating still works where the page's own scripts are switched off.
    tab = Tab(browser, session, target)
    tab.evaluate("document.title")
    return tab


def _pipe() -> tuple[int, int]:
    read, write = os.pipe()
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, LOWEST) for end in (read, write))
    os.close(read)
    os.close(write)
    return moved[0], moved[1]
