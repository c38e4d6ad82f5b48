"""What the page that runs a network loads: the network, and each sample as the network is given it, as scripts.

Scripts, because a page that was opened from a file may load nothing else. The weights' are UTF-16: a letter of two
bytes holds fifteen bits of weights, where two letters of base64 hold twelve. They come in pieces, because a browser
reads each script in one go, in which it answers nobody.
"""

from __future__ import annotations

import base64
import codecs
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generator.figures import raster, theme
from generator.records.images import Pixels
from generator.records.live import Live, LiveStep
from generator.records.network import Network

SCRIPT = "assets/network.js"
LETTERS = 2**17  # of a piece: a few milliseconds to read
# Fifteen bits become one letter from here on: U+5000 to U+CFFF are no surrogates and nothing that a script escapes.
FIRST_LETTER = 0x5000
STOPS = 10  # colours of a ramp, between which the script mixes


@dataclass(frozen=True)
class Shipped:
    """The scripts, and what the page says about them."""

    live: Live
    scripts: tuple[str, ...]  # paths of the network
    samples: Mapping[str, str]  # Photo.id -> path
    files: Mapping[str, bytes]  # all of them
    size: int  # of the network, in bytes

    @property
    def bits(self) -> list[int]:
        """How many a weight has, from the fewest on."""
        return sorted({step.bits for step in self.live.steps if step.bits})

    @property
    def colours(self) -> Mapping[str, str]:
        """What the page's script paints heat maps, feature maps and signed values with, and a visitor at first."""
        return {
            "heat": raster.ramp(raster.palette(theme.HEAT, STOPS)),
            "maps": raster.ramp(raster.palette(theme.MAPS, STOPS)),
            "signed": raster.ramp(raster.signed_palette(STOPS // 2)),
            "brush": theme.BRUSH,
        }


def shipped(live: Live, network: Network) -> Shipped:
    """All that the page asks for once it is read."""
    samples = {photo: f"assets/samples/{photo}.js" for photo in network.explanations}
    scripts = network_scripts(live, network)
    # What was given in grey is shown in three equal channels.
    given = {photo: one.seen[..., : network.input.channels] for photo, one in network.explanations.items()}
    files = {path: sample_script(photo, given[photo]) for photo, path in samples.items()}
    return Shipped(live, tuple(scripts), samples, scripts | files, sum(map(len, scripts.values())))


def network_scripts(live: Live, network: Network) -> dict[str, bytes]:
    """The network as `Engine.load` of templates/engine.js reads it: what it is, and the letters of its weights.

    Returns:
        path -> script; they may be read in any order.
    """
    steps, letters = _steps(live.steps)
    titles = {stage.layer: stage.title for one in network.explanations.values() for stage in one.stages}
    key = hashlib.sha256(letters.encode()).hexdigest()[:16]
    told = {
        "pieces": [key, math.ceil(len(letters) / LETTERS)],
        "input": {**asdict(network.input), "neutral": network.input.neutral},
        "tallFirst": live.tall_first,
        "classes": network.class_names,
        "cam": live.cam,
        "stages": [[place, titles.get(layer, layer)] for place, layer in live.stages],
        "steps": steps,
    }
    scripts = {SCRIPT: f"window.liveNetwork = {json.dumps(told, ensure_ascii=False)};\n".encode()}
    for number, start in enumerate(range(0, len(letters), LETTERS)):
        # A cache may still hold pieces of another network: each says whose it is.
        owner = f'((window.liveLetters ??= {{}})["{key}"] ??= [])[{number}]'
        piece = f'{owner} = "{letters[start : start + LETTERS]}";\n'
        # A browser obeys the byte order mark before any header.
        scripts[f"assets/network-{number}.js"] = codecs.BOM_UTF16_LE + piece.encode("utf-16-le")
    return scripts


def sample_script(photo: str, seen: Pixels) -> bytes:
    """A photo as the network is given it, (H, W, C) row by row: exact, whatever a browser makes of image files."""
    data = base64.b64encode(np.ascontiguousarray(seen).tobytes()).decode()
    return f'(window.liveSamples ??= {{}})["{photo}"] = "{data}";\n'.encode()


def pack(integers: NDArray[np.integer[Any]], bits: int) -> str:
    """Whole numbers in [-2^(bits - 1), 2^(bits - 1)) as `bits` bits each above the lowest, the lowest bit first."""
    lifted = (integers.reshape(-1, 1) + 2 ** (bits - 1)).astype("<u2").view(np.uint8)
    single = np.unpackbits(lifted, axis=1, bitorder="little")[:, :bits].ravel()  # (n, 16) -> (n bits,)
    filled = np.pad(single, (0, -len(single) % 15)).reshape(-1, 15)
    letters: NDArray[np.uint16] = np.packbits(filled, axis=1, bitorder="little").view("<u2") + np.uint16(FIRST_LETTER)
    return letters.astype("<u2").tobytes().decode("utf-16-le")


def _steps(steps: Iterable[LiveStep]) -> tuple[list[dict[str, object]], str]:
    """What each step is, `start` being the first of its letters; the letters of all of them."""
    told, letters = [], ""
    for step in steps:
        told.append(_step(step))
        if step.integers is not None:
            told[-1]["start"] = len(letters)
            letters += pack(step.integers, step.bits)
    return told, letters


def _step(step: LiveStep) -> dict[str, object]:
    told: dict[str, object] = {"kind": step.kind}
    if step.kind in ("conv", "maxpool"):
        told |= {"kernel": step.kernel, "stride": step.stride, "padding": step.padding}
    if step.kind == "global":
        told["pool"] = step.pool
    if step.factors is not None and step.biases is not None:
        floats = np.concatenate([step.factors, step.biases]).astype("<f4").tobytes()
        told |= {"out": len(step.factors), "bits": step.bits, "floats": base64.b64encode(floats).decode()}
    return told
