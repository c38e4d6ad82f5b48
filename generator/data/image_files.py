"""The one door for image files: what a file must be to be read as a photo, and its pixels."""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import stat
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from generator.base.errors import InputError, reason
from generator.records.images import MAX_ASPECT, MAX_PIXELS, Pixels

Turn = Callable[[Pixels], Pixels]

# Some decoders read a file whole; 50 million pixels of four 16-bit channels are 400 MB.
MAX_BYTES = 500_000_000
BAND_PIXELS = 1 << 20
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
ORIENTATION, DESCRIPTION = 0x0112, 0x010E
TILE_SIDES = (322, 323)
# What brings a photo upright, by the value of its orientation tag (TIFF 6.0); of a turn Pillow would make a copy.
TURNS: dict[object, Turn] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].transpose(1, 0, 2),
    8: lambda pixels: np.rot90(pixels),
}
# What decoders raise on damaged files, beside OSError.
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
)


def read_photo(path: Path) -> Pixels:
    """The pixels of one image file, upright and in RGB.

    EXIF orientation is applied, transparency lies on white, grey, palette, CMYK and 16-bit images become 8-bit RGB; of
    what is animated or has several pages it is the first, as trainers that read with Pillow have it.

    Returns:
        (H, W, 3) uint8.
    Raises:
        InputError: naming the file, if it is missing, broken, too large or not an image.
    """
    pixels, turn, _ = _read(path)
    return np.ascontiguousarray(turn(pixels))


def read_described(path: Path) -> tuple[Pixels, str]:
    """The pixels of an image file that `described` made, and what it says of itself; "" where it says nothing.

    Raises:
        InputError: as `read_photo`.
    """
    pixels, _, description = _read(path)
    return pixels, description


def described(pixels: Pixels, description: str) -> bytes:
    """A file of (H, W, 3) pixels, none of which is changed, with words in its tag ImageDescription: WebP."""
    memory, tags = io.BytesIO(), Image.Exif()
    tags[DESCRIPTION] = description
    Image.fromarray(pixels).save(memory, "WEBP", lossless=True, method=6, quality=100, exif=tags)
    return memory.getvalue()


def _read(path: Path) -> tuple[Pixels, Turn, str]:
    """The pixels as the file has them, how to turn them upright, and the description among its tags."""
    _refuse_no_file(path)
    try:
        with warnings.catch_warnings():
            # Pillow's own bomb warning is replaced by the limit below; its other warnings are about metadata.
            warnings.simplefilter("ignore")
            return _decoded(path)
    except InputError:
        raise
    except Image.DecompressionBombError:
        raise InputError(f"{path}: {_too_large('far more')}") from None
    except UnidentifiedImageError:
        raise InputError(
            f"{path}: expected an image (JPEG, PNG, WebP, TIFF, ...), this is none that can be read"
        ) from None
    except PermissionError as error:
        raise InputError(f"{path}: expected an image file that can be read, got {reason(error)}") from None
    except DAMAGE as error:
        raise InputError(
            f"{path}: expected a whole image, this file is broken or unreadable ({_line(error)})"
        ) from None


def shrink(pixels: Pixels, shorter: int) -> Pixels:
    """The photo with its shorter side at most `shorter` pixels; as it is where that is so already."""
    height, width = pixels.shape[:2]
    if min(height, width) <= shorter:
        return pixels
    scale = shorter / min(height, width)
    to = (round(width * scale), round(height * scale))
    return np.array(Image.fromarray(pixels).resize(to, Image.Resampling.LANCZOS), dtype=np.uint8)


def digest(pixels: Pixels) -> str:
    """sha256 over shape and pixels, in hex."""
    state = hashlib.sha256(repr(pixels.shape).encode())
    state.update(np.ascontiguousarray(pixels).data)
    return state.hexdigest()


def _refuse_no_file(path: Path) -> None:
    """Before it is opened: a named pipe would be waited for, a device never ends."""
    try:
        found = path.stat()
    except FileNotFoundError:
        what = "a link that leads nowhere" if path.is_symlink() else "nothing there"
        raise InputError(f"{path}: expected an image file, found {what}; check the path") from None
    except OSError as error:
        raise InputError(f"{path}: expected an image file that can be read, got {reason(error)}") from None
    except ValueError:  # a NUL in it
        raise InputError(f"{str(path)!r}: expected an image file, this is no file's name") from None
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{path}: expected an image file, this is {KINDS.get(stat.S_IFMT(found.st_mode), 'none')}")
    if not found.st_size:
        raise InputError(f"{path}: expected an image file, this one is empty")
    if found.st_size > MAX_BYTES:
        raise InputError(
            f"{path}: expected at most {MAX_BYTES // 1_000_000} MB, got {found.st_size / 1e6:,.0f} MB; "
            "make the image smaller"
        )


def _decoded(path: Path) -> tuple[Pixels, Turn, str]:
    with Image.open(path) as image:
        _refuse_unfit(path, image)
        image.load()
        orientation, description = _tag(image, ORIENTATION), _tag(image, DESCRIPTION)
        turn = TURNS.get(orientation if isinstance(orientation, int) else None, _as_it_is)
        return _to_rgb(path, image), turn, description if isinstance(description, str) else ""


def _tag(image: Image.Image, number: int) -> object:
    """An EXIF or XMP tag, whatever else is wrong with the metadata."""
    for _ in range(2):  # what was read before an error is there the second time
        with contextlib.suppress(*DAMAGE):
            found: object = image.getexif().get(number)
            return found
    return None


def _refuse_unfit(path: Path, image: Image.Image) -> None:
    width, height = image.size
    # OpenJPEG holds each channel in 32 bits, and a copy.
    limit = MAX_PIXELS // 2 if image.format == "JPEG2000" else MAX_PIXELS
    if width * height > limit:
        raise InputError(f"{path}: {_too_large(f'{width} x {height}', limit)}")
    tags = getattr(image, "tag_v2", {})  # a TIFF's tile is unpacked whole, however small the image
    tile = [side for side in map(tags.get, TILE_SIDES) if isinstance(side, int)]
    if math.prod(tile) > MAX_PIXELS:
        raise InputError(f"{path}: {_too_large(f'tiles of {tile[0]} x {tile[-1]}')}")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise InputError(f"{path}: expected sides of at most {MAX_ASPECT} to 1, got {width} x {height}; crop the image")
    if image.format == "EPS":  # a program, which Pillow would have Ghostscript run
        raise InputError(f"{path}: expected a photo, this is an EPS drawing; save it as PNG")


def _too_large(got: str, limit: int = MAX_PIXELS) -> str:
    return f"expected at most {limit // 1_000_000} million pixels, got {got}; make the image smaller"


def from_pillow(image: Image.Image, what: str) -> Pixels:
    """The pixels of an image that Pillow has opened already, as it is: no tag turns it.

    Args:
        what: it is, for messages.
    Returns:
        (H, W, 3) uint8.
    Raises:
        InputError: if it is too large; whatever Pillow raises for a damaged one.
    """
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_ASPECT * min(width, height):
        limit = f"{MAX_PIXELS // 1_000_000} million pixels and sides of at most {MAX_ASPECT} to 1"
        raise InputError(f"{what}: expected at most {limit}, got {width} x {height}")
    return _to_rgb(what, image)


def _to_rgb(path: Path | str, image: Image.Image) -> Pixels:
    """Band by band: several copies of a whole large image would take gigabytes."""
    width, height = image.size
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    rows = max(1, BAND_PIXELS // width)
    for top in range(0, height, rows):
        band = image.crop((0, top, width, min(top + rows, height)))
        pixels[top : top + rows] = np.asarray(_band_to_rgb(path, band))
    return pixels


def _band_to_rgb(path: Path | str, image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _from_deep_grey(path, image)
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        layered = image.convert("RGBA")
        ground = Image.new("RGBA", layered.size, "white")
        return Image.alpha_composite(ground, layered).convert("RGB")
    return image.convert("RGB")


def _from_deep_grey(path: Path | str, image: Image.Image) -> Image.Image:
    """16-bit grey to 8 bits; Pillow's own conversion clips at 255 instead of scaling."""
    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 65535:
        raise InputError(f"{path}: expected 8 or 16 bits a channel, got {image.mode} values; save it as 8-bit PNG")
    if isinstance(clear := image.info.get("transparency"), int):  # the one grey that is transparent lies on white
        values = np.where(values == clear, 65535, values)
    grey = np.round(values / 257).astype(np.uint8)  # 65535 / 257 = 255
    return Image.fromarray(grey).convert("RGB")


def _as_it_is(pixels: Pixels) -> Pixels:
    return pixels


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
