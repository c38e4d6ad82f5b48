"""What the page that runs the network costs in headless Chromium: the README's figures.

Takes a built site, and comes to the page from its overview. A photo's time is that of one pass and the maps of all
classes, the median of many after a warm-up; beside it stand PyTorch's on one thread, on the same machine and in the
same minute, and a plain loop of as many multiplications and additions in the same tab. Ready is from the page's load
event until the network can answer. The longest task is the longest time that the page kept the browser waiting from
its start until its first answer, and in passes after that. onnxruntime-web takes part where --onnxruntime-web names its
package's `dist` folder; it needs 'wasm-unsafe-eval', a host, and the package onnx to write the network.

Usage: python benchmarks/live.py [--site DIR] [--rounds N] [--onnxruntime-web DIR]
"""

from __future__ import annotations

import argparse
import functools
import http.server
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from generator import explain  # noqa: E402
from generator.base import environment  # noqa: E402
from generator.config.schema import ModelConfig  # noqa: E402
from generator.networks import catalogue  # noqa: E402
from tests.browser import devtools  # noqa: E402
from tests.conftest import CHROME_NAMES  # noqa: E402

WATCH = """window.tasks = []; new PerformanceObserver(list => tasks.push(...list.getEntries().map(one => one.duration)))
.observe({ type: "longtask", buffered: true });"""
READY = """new Promise(done => { (function look() {
  performance.getEntriesByName("network ready").length ? done() : setTimeout(look, 5); })(); })"""
ANSWERED = """new Promise(done => { (function look() {
  document.querySelector("#answers button") ? done(performance.now()) : setTimeout(look, 10); })(); })"""
# The engine of the page, with the network loaded once more, for the page keeps its own to itself.
LOAD = """(async () => {
  await Promise.all(document.getElementById("live").dataset.network.split(" ").map(src => new Promise(done => {
    const script = document.createElement("script"); script.src = src; script.onload = done;
    document.head.append(script); })));
  window.whole = work => { for (;;) { const { done, value } = work.next(); if (done) return value; } };
  const start = performance.now(); window.model = whole(Engine.load(liveNetwork, liveLetters));
  return performance.now() - start; })()"""
PASSES = """(() => { const { size: [high, wide], channels } = model.input, times = [];
  const pixels = Float32Array.from({ length: channels * high * wide }, (_none, i) => Math.sin(i * 12.9898) * 2);
  for (let i = 0; i < %d; i++) { const start = performance.now();
    whole(Engine.run(model, pixels)); whole(Engine.cams(model)); times.push(performance.now() - start); }
  return times; })()"""
LOOP = """(() => { const a = Float64Array.from({ length: 4096 }, Math.random), times = [];
  for (let i = 0; i < 9; i++) { const start = performance.now(); let p = 0, q = 0, r = 0, s = 0;
    for (let n = 0; n < 4000; n++) for (let j = 0; j < 4096; j += 4) {
      p += a[j] * 1.1; q += a[j + 1] * 1.2; r += a[j + 2] * 1.3; s += a[j + 3] * 1.4; }
    times.push((performance.now() - start) / (4000 * 4096) + (p + q + r + s > 1e300 ? 1 : 0)); }
  return Math.min(...times); })()"""
DRAG = """(async () => { tasks.length = 0; const stage = document.getElementById("stage"); stage.focus();
  for (let i = 0; i < 20; i++) { stage.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
    await new Promise(done => setTimeout(done, 60)); }
  await new Promise(done => setTimeout(done, 500)); return Math.max(0, ...tasks); })()"""


PHOTO = """new Promise(done => { const start = performance.now(); tasks.length = 0;
  (function look() { document.getElementById("status").textContent.startsWith("phone.jpg: ")
    ? done({ photo: performance.now() - start - 400, photoTask: Math.max(0, ...tasks) })
    : setTimeout(look, 5); })(); })"""


def phone(opened: devtools.Tab) -> dict[str, float]:
    """A photo of 12 million pixels from a phone held upright, until its answer, which is told 400 ms later."""
    rows, columns = np.mgrid[0:3024, 0:4032]
    pixels = np.stack([rows // 12, columns // 16, (rows * 7 + columns * 3) // 32 % 256], axis=2).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/phone.jpg"
        Image.fromarray(pixels).save(file, exif=exif, quality=90)
        node = opened.browser.call("DOM.getDocument", opened.session)["root"]["nodeId"]
        found = opened.browser.call("DOM.querySelector", opened.session, nodeId=node, selector="#file")["nodeId"]
        opened.browser.call("DOM.setFileInputFiles", opened.session, nodeId=found, files=[file])
        told: dict[str, float] = opened.evaluate(PHOTO)
        return told


def chrome() -> Path:
    named = os.environ.get("CHROME", "")
    found = next(filter(None, map(shutil.which, (named,) if named else CHROME_NAMES)), None)
    if found is None:
        print("live: no Chrome or Chromium; name one with CHROME=...")
        sys.exit(0)
    return Path(found)


def version(program: Path) -> str:
    said = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False).stdout
    return said.strip().partition(" built")[0] or program.name


@contextmanager
def tab(address: str) -> Iterator[devtools.Tab]:
    """A fresh browser at the address, its long tasks watched from the start."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = devtools.Browser(chrome(), Path(profile))
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime"):
            browser.call(f"{domain}.enable", session)
        # Of the main thread alone: what other programs take meanwhile is not in it.
        browser.call("Performance.enable", session, timeDomain="threadTicks")
        browser.call("Page.addScriptToEvaluateOnNewDocument", session, source=WATCH)
        opened = devtools.Tab(browser, session, target)
        visit(opened, address)
        yield opened
        browser.close()


def visit(opened: devtools.Tab, address: str) -> None:
    """Go to another address, and wait until it has loaded."""
    opened.browser.events.clear()
    opened.browser.call("Page.navigate", opened.session, url=address)
    opened.browser.wait("Page.loadEventFired", opened.session)


def spent(opened: devtools.Tab) -> float:
    """Milliseconds of processor time in the main thread's tasks so far."""
    found = opened.browser.call("Performance.getMetrics", opened.session)["metrics"]
    return 1000 * float(next(one["value"] for one in found if one["name"] == "TaskDuration"))


def page(site: Path, rounds: int) -> tuple[dict[str, float], list[float]]:
    """Times in milliseconds: of the beginning, and of each pass."""
    with tab((site / "index.html").as_uri()) as opened:
        time.sleep(1)  # a visitor, too, comes from another page, in a browser that has long begun
        visit(opened, (site / "try.html").as_uri())
        begun = spent(opened)
        opened.evaluate(READY)
        own = spent(opened) - begun
        answered = opened.evaluate(ANSWERED)
        told = opened.evaluate(
            "(() => { const { loadEventEnd } = performance.getEntriesByType('navigation')[0];"
            "const [ready] = performance.getEntriesByName('network ready');"
            "return { load: loadEventEnd, ready: ready.startTime - loadEventEnd, task: Math.max(0, ...tasks) }; })()"
        )
        told["own"] = own
        told["answered"] = answered - told["load"]
        told["dragging"] = opened.evaluate(DRAG)
        told |= phone(opened)
        told["unpacking"] = opened.evaluate(LOAD)
        told["loop"] = opened.evaluate(LOOP)
        opened.evaluate(PASSES % 10)
        return told, opened.evaluate(PASSES % rounds)


def pytorch(network: torch.nn.Module, size: int, rounds: int) -> list[float]:
    """One pass and all maps on one thread, in milliseconds."""
    torch.set_num_threads(1)
    images = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        explain.grad_cam_all(network, images, "features")
        times.append(1000 * (time.perf_counter() - start))
    return times


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A host that says nothing."""

    def log_message(self, *_: object) -> None:
        pass


ONNX = """(async () => { ort.env.wasm.numThreads = 1; const session = await ort.InferenceSession.create("network.onnx");
  const pixels = Float32Array.from({ length: 3 * %d * %d }, (_none, i) => Math.sin(i * 12.9898) * 2), times = [];
  for (let i = 0; i < %d; i++) { const start = performance.now();
    await session.run({ [session.inputNames[0]]: new ort.Tensor("float32", pixels, [1, 3, %d, %d]) });
    times.push(performance.now() - start); }
  return times; })()"""


def onnxruntime_web(dist: Path, network: torch.nn.Module, size: int, rounds: int) -> list[float]:
    """Its passes without maps, in milliseconds, over http."""
    with tempfile.TemporaryDirectory() as folder:
        for file in dist.glob("ort*wasm*"):
            shutil.copy(file, folder)
        torch.onnx.export(network, (torch.zeros(1, 3, size, size),), f"{folder}/network.onnx", dynamo=False)
        Path(folder, "index.html").write_text('<!doctype html><script src="ort.wasm.min.js"></script>')
        handler = functools.partial(Quiet, directory=folder)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            with tab(f"http://127.0.0.1:{server.server_address[1]}/index.html") as opened:
                times: list[float] = opened.evaluate(ONNX % (size, size, rounds + 10, size, size))[10:]
            server.shutdown()
        return times


def kib(*files: Path) -> str:
    return f"{sum(file.stat().st_size for file in files) / 1024:,.0f} KiB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--site", type=Path, default=REPOSITORY / "site")
    parser.add_argument("--models", type=Path, default=REPOSITORY / "models")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--onnxruntime-web", type=Path)
    said = parser.parse_args()
    if not (said.site / "try.html").is_file():
        print(f"live: {said.site} holds no try.html; build the site first, or name one with --site DIR")
        return
    loaded = catalogue.from_folder(ModelConfig("cnn"), said.models / "cnn")
    if loaded is None:
        sys.exit(f"{said.models}: expected the weights of the network in cnn/")
    size = loaded.input.size[0]
    macs = explain.macs(loaded.network, (3, size, size))
    told, passes = page(said.site, said.rounds)
    peer = pytorch(loaded.network, size, said.rounds)
    rows: list[tuple[str, Any]] = [
        ("multiply-accumulates a photo", f"{macs / 1e6:.0f} million"),
        ("a photo with all maps, median", f"{statistics.median(passes):.0f} ms (fastest {min(passes):.0f})"),
        ("the same in PyTorch, one thread", f"{statistics.median(peer):.0f} ms (fastest {min(peer):.0f})"),
        ("as many products in a plain loop", f"{told['loop'] * macs:.0f} ms"),
        ("ready after the load event", f"{told['ready']:.0f} ms, of it unpacking about {told['unpacking']:.0f}"),
        ("processor time of the main thread from load to ready", f"{told['own']:.0f} ms"),
        ("first answer after the load event", f"{told['answered']:.0f} ms"),
        ("longest task until then", f"{told['task']:.0f} ms" if told["task"] else "below 50 ms"),
        ("longest task while the square moves", f"{told['dragging']:.0f} ms" if told["dragging"] else "below 50 ms"),
        ("answer to a photo of 12 million pixels", f"{told['photo']:.0f} ms"),
        ("longest task until then", f"{told['photoTask']:.0f} ms" if told["photoTask"] else "below 50 ms"),
        ("page, styles and scripts", kib(*(said.site / name for name in OWN))),
        ("network", kib(*said.site.glob("assets/network*.js"))),
    ]
    if said.onnxruntime_web:
        times = onnxruntime_web(said.onnxruntime_web, loaded.network, size, said.rounds)
        rows.append(("onnxruntime-web, one thread, without maps", f"{statistics.median(times):.0f} ms"))
        parts = [said.onnxruntime_web / f"ort{name}" for name in (".wasm.min.js", *ENGINE)]
        rows.append(("onnxruntime-web, script and engine", kib(*parts)))
    else:
        rows.append(("onnxruntime-web", "left out: --onnxruntime-web names no folder"))
    machine = environment.hardware()
    print(f"{machine['processor']}, {machine['cores']} cores, {version(chrome())}, torch {torch.__version__}")
    for name, value in rows:
        print(f"| {name} | {value} |")


ENGINE = ("-wasm-simd-threaded.mjs", "-wasm-simd-threaded.wasm")
OWN = (
    "try.html",
    *(
        f"assets/{name}"
        for name in ("site.css", "try.css", "theme.js", "try.js", "inside.js", "photos.js", "engine.js")
    ),
)

if __name__ == "__main__":
    main()
