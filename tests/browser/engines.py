"""A tab with the engine of the page that runs a network, and what a test asks of it."""

from __future__ import annotations

import base64
import codecs
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generator.pages.network_script import network_scripts
from generator.records.input import Input, square
from generator.records.live import Live
from tests.browser import devtools
from tests.live_nets import CLASSES

ROOT = Path(__file__).parents[2]
# A generator to its end; arrays as base64, so that no digit is lost.
HELP = """
window.whole = (work) => { for (;;) { const { done, value } = work.next(); if (done) return value; } };
window.added = (src) => new Promise((onload, onerror) =>
  document.head.append(Object.assign(document.createElement("script"), { src, onload, onerror })));
window.floats = (text) => new Float32Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
window.bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
window.sent = (array) => { const raw = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  let text = ""; for (const byte of raw) text += String.fromCharCode(byte); return btoa(text); };
"ready";
"""


@dataclass
class Page:
    """A tab with the engine in it."""

    tab: devtools.Tab

    def value(self, script: str) -> Any:
        """The value of an expression, by way of JSON."""
        return json.loads(self.tab.evaluate(f"JSON.stringify({script})"))

    def bytes(self, script: str) -> bytes:
        """What a typed array holds."""
        return base64.b64decode(self.tab.evaluate(f"sent({script})"))

    def floats(self, script: str) -> NDArray[np.float32]:
        """A Float32Array, to the bit."""
        return np.frombuffer(self.bytes(script), np.float32)

    def load(self, found: Live, way: Input | int, classes: Sequence[str] = CLASSES, folder: Path | None = None) -> None:
        """The network as the page's `model`; with the page's folder, from files in it as the report's page loads it."""
        given = square(way) if isinstance(way, int) else way
        shape: Any = SimpleNamespace(input=given, class_names=classes, explanations={})
        scripts = network_scripts(found, shape)
        self.tab.evaluate("delete window.liveLetters; 0")
        if folder:
            own = Path(tempfile.mkdtemp(dir=folder))  # one each, for the browser keeps files by their addresses
            for path, script in scripts.items():
                (own / path).parent.mkdir(exist_ok=True)
                (own / path).write_bytes(script)
            sources = json.dumps([f"{own.name}/{path}" for path in scripts])
            self.tab.evaluate(f"Promise.all({sources}.map(added)).then(() => 0)")
        for script in () if folder else reversed(scripts.values()):
            self.tab.evaluate(script.decode("utf-16" if script.startswith(codecs.BOM_UTF16_LE) else "utf-8") + " 0")
        self.tab.evaluate("window.model = whole(Engine.load(liveNetwork, window.liveLetters)); 0")

    def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logits for (C, H, W) normalised pixels."""
        return self.floats(f"whole(Engine.run(model, floats('{encoded(pixels)}')))")


def encoded(array: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def page_in(folder: Path) -> Path:
    """A page of the engine alone, made in a folder."""
    (folder / "engine.js").write_bytes((ROOT / "templates" / "engine.js").read_bytes())
    head = '<title>engine</title><link rel="icon" href="data:,"><script src="engine.js"></script>'
    (folder / "index.html").write_text(f"<!doctype html>{head}")
    return folder


def opened(chrome: devtools.Browser, address: str) -> Page:
    tab = devtools.open_page(chrome, address)
    assert tab.evaluate(HELP) == "ready"
    return Page(tab)
