"""Image files with bytes changed, cut out or put in: a picture or one line, soon, whatever they are."""

from __future__ import annotations

import io
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

from generator.base.errors import InputError
from generator.data.image_files import read_photo
from generator.evaluation import answers
from generator.records.input import square
from tests.loaded import loaded

FORMS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "MPO", "PPM", "TGA", "ICO")
MODES = ("RGB", "P", "L")
SUFFIX = {"JPEG": ".jpg", "MPO": ".jpg", "WEBP": ".webp", "BMP": ".bmp"}
SECONDS = 5  # more than a hundred times what any of them takes


@cache
def seed(form: str, mode: str) -> bytes:
    """A small image with metadata, written by Pillow."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 4), dtype=np.uint8)
    image = Image.fromarray(noise).convert("RGB").convert(mode)
    tags = Image.Exif()
    tags[0x0112], tags[0x010E], tags[0x011A] = 6, "a description", 72.0
    whole = io.BytesIO()
    with_tags = {"exif": tags} if form in ("PNG", "JPEG", "WEBP", "TIFF", "MPO") else {}
    image.save(whole, form, **with_tags)
    return whole.getvalue()


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[str, bytes]:
    """A form, and the bytes of such a file after one to six changes, most of them near its beginning."""
    form = draw(st.sampled_from(FORMS))
    mode = (
        draw(st.sampled_from(("RGB", "L"))) if form in ("JPEG", "WEBP", "MPO", "PPM") else draw(st.sampled_from(MODES))
    )
    content = bytearray(seed(form, mode))
    for _ in range(draw(st.integers(1, 6))):
        place = min(draw(st.integers(0, 400) | st.integers(0, 6_000)), len(content))
        put = draw(st.sampled_from((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff", b"\x80")) | st.binary(max_size=8))
        cut = draw(st.sampled_from((len(put), len(put), 0, 4, 10_000)))
        content[place : place + cut] = put
    return form, bytes(content)


@contextmanager
def limited() -> Iterator[None]:
    """Fail what takes longer than SECONDS."""
    if sys.platform == "win32":
        yield
        return

    def late(*_: object) -> None:
        raise AssertionError(f"took more than {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@given(spoilt())
@settings(max_examples=400)
def test_a_spoilt_image_is_a_picture_or_one_line(tmp_path: Path, drawn: tuple[str, bytes]) -> None:
    form, content = drawn
    file = tmp_path / f"photo{SUFFIX.get(form, '.png')}"
    file.write_bytes(content)
    try:
        with limited():
            pixels = read_photo(file)
    except InputError as error:
        said = str(error)
        assert said.startswith(f"{file}: expected ")
        assert said.isprintable(), said
    else:
        assert (str(pixels.dtype), pixels.ndim, pixels.shape[2]) == ("uint8", 3, 3)
        assert pixels.flags.c_contiguous


class Brightest(nn.Module):
    """Class 0, 1 or 2 for a red, green or blue image."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3))


LOADED = loaded(Brightest(), ("red", "green", "blue"), square(32))


@given(st.lists(spoilt(), min_size=1, max_size=5))
@settings(max_examples=60)
def test_spoilt_images_spoil_no_others(capsys: pytest.CaptureFixture[str], drawn: list[tuple[str, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as made:
        Image.new("RGB", (8, 8), "lime").save(Path(made) / "whole.png")
        for number, (form, content) in enumerate(drawn):
            (Path(made) / f"{number}{SUFFIX.get(form, '.png')}").write_bytes(content)
        with limited(), torch.inference_mode():
            rows = answers.folder(LOADED, Path(made))
    said = capsys.readouterr().err.splitlines()
    assert ("whole.png", 1) in rows
    assert len(rows) + len(said) == len(drawn) + 1
    assert all(line.startswith(f"left out: {made}/") for line in said)
