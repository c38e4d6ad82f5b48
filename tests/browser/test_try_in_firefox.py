"""The page in which the network runs, in Firefox: the same bits and answers, and its noise against fingerprints."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from generator import explain
from generator.data.image_files import read_photo
from generator.data.preprocessing import square
from generator.pages.network_script import network_scripts
from tests import live_nets, synthetic
from tests.browser import shipped
from tests.browser.bidi import Firefox
from tests.browser.test_try_in_browser import SEEN, STATUS, pictures

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("one_thread")]

# A network once more, for the page keeps its own to itself.
LOAD = """(async () => { delete window.liveLetters;
  await Promise.all(SCRIPTS.map(src => new Promise(done => { const script = document.createElement('script');
  script.src = src; script.onload = done; document.head.append(script); })));
  window.whole = work => { for (;;) { const { done, value } = work.next(); if (done) return value; } };
  window.model = whole(Engine.load(liveNetwork, liveLetters)); })()"""
RUN = """(() => { const pixels = Engine.normalise(model.input, Uint8Array.from(PIXELS));
  return { logits: [...whole(Engine.run(model, pixels))], maps: [...whole(Engine.cams(model))] }; })()"""


@pytest.fixture(scope="module")
def program() -> Path:
    """A Firefox; the environment variable FIREFOX names one that is not on the PATH."""
    named = os.environ.get("FIREFOX", "")
    found = next(filter(None, map(shutil.which, (named,) if named else ("firefox", "firefox-esr"))), None)
    if found is None:
        pytest.skip("needs Firefox: none is installed, and FIREFOX names none")
    return Path(found)


@pytest.fixture(scope="module")
def firefox(program: Path, site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    running = Firefox(program, tmp_path_factory.mktemp("firefox"))
    running.open((site / "try.html").as_uri())
    until(running, f"{STATUS}.startsWith('Bee: ')")
    yield running
    running.evaluate("0")
    assert not running.problems
    running.close()


def until(firefox: Firefox, condition: str) -> None:
    """Wait for a condition, twenty seconds at most."""
    held = firefox.evaluate(
        f"new Promise(done => {{ const end = Date.now() + 20000; const look = () => ({condition}) ? done(true) : "
        "Date.now() > end ? done(false) : setTimeout(look, 20); look(); })"
    )
    assert held, (condition, firefox.evaluate(STATUS))


def test_a_photo_is_cut_as_pillow_cuts_it(firefox: Firefox, tmp_path: Path) -> None:
    different = {}
    files = pictures(tmp_path)
    firefox.give("#file", [files.pop("avif-420")])
    until(firefox, f"{STATUS}.startsWith('avif-420.avif is an AVIF with chroma subsampling')")
    for name, file in files.items():
        firefox.give("#file", [file])
        until(firefox, f"{STATUS}.startsWith('{file.name}: ')")
        size, _wide, *values = firefox.evaluate(SEEN)
        found = np.array(values, np.uint8).reshape(size, size, 4)[..., :3]
        wanted = square(read_photo(file), size)
        if not np.array_equal(found, wanted):
            different[name] = int(np.abs(found.astype(int) - wanted).max())
    assert different == {}


def test_the_same_answers_and_maps_as_pytorch(firefox: Firefox) -> None:
    live, seen = synthetic.live(), synthetic.report().networks[0].explanations["bee"].seen
    own = live_nets.rebuilt(live)
    firefox.evaluate(LOAD.replace("SCRIPTS", "document.getElementById('live').dataset.network.split(' ')"))
    found = asked(firefox, seen)
    images = torch.tensor(seen).permute(2, 0, 1)[None] / 127.5 - 1  # its mean and standard deviation are a half
    with torch.no_grad():
        wanted = own(images)[0].numpy()
    assert np.abs(found[0] - wanted).max() <= 1e-5 * np.abs(wanted).max()
    maps = explain.grad_cam_all(own, images, str(live.cam))[0].numpy().ravel()
    assert np.abs(found[1] - maps).max() <= 1e-3 * maps.max()


def asked(firefox: Firefox, seen: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The engine's logits and maps of an image (S, S, 3)."""
    found = firefox.evaluate(RUN.replace("PIXELS", json.dumps(seen.ravel().tolist())))
    return np.array(found["logits"], np.float32), np.array(found["maps"], np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("images", ["bundled", "test"])
def test_the_shipped_network(firefox: Firefox, site: Path, images: str, request: pytest.FixtureRequest) -> None:
    if images == "test":
        judged = shipped.of_the_test_split(request.getfixturevalue("tiny_imagenet"))
    else:
        judged = shipped.bundled()
    said: Any = SimpleNamespace(explanations={}, **vars(shipped.network()[0]))
    scripts = network_scripts(shipped.exported(), said)
    for path, content in scripts.items():
        (site / "shipped" / path).parent.mkdir(parents=True, exist_ok=True)
        (site / "shipped" / path).write_bytes(content)
    firefox.evaluate(LOAD.replace("SCRIPTS", json.dumps([f"shipped/{path}" for path in scripts])))
    found = [asked(firefox, seen) for seen in judged.seen]
    judged.agrees([logits for logits, _ in found], [maps for _, maps in found])


def test_noise_against_fingerprints_is_recognised(program: Path, site: Path, tmp_path: Path) -> None:
    """The report's own photos are answered all the same."""
    (tmp_path / "profile").mkdir()
    firefox = Firefox(program, tmp_path / "profile", {"privacy.resistFingerprinting": True})
    firefox.open((site / "try.html").as_uri())
    until(firefox, f"{STATUS}.startsWith('Bee: ')")
    Image.new("RGB", (20, 20), "red").save(tmp_path / "a.png")
    firefox.give("#file", [tmp_path / "a.png"])
    until(firefox, f"{STATUS}.startsWith('This browser changes what a page reads from pictures')")
    firefox.close()
