"""The one door for image files: what a file must be to be read as a photo, and its pixels."""

from __future__ import annotations

import hashlib
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from generator.base.errors import InputError
from generator.records.images import Pixels

# Larger than any phone's photo at its usual setting, and 150 MB once decoded: the build must stay below 1.5 GB.
MAX_PIXELS = 50_000_000
# A strip longer than this would be blown up to gigabytes when its shorter side is brought to a network's input size.
MAX_ASPECT = 20
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

    EXIF orientation is applied, transparency lies on white, grey, palette, CMYK and 16-bit images become 8-bit RGB.

    Returns:
        (H, W, 3) uint8.
    Raises:
        InputError: naming the file, if it is missing, broken, animated, too large or not an image.
    """
    try:
        with warnings.catch_warnings():
            # Pillow's own bomb warning is replaced by the limit below; its other warnings are about metadata.
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                _refuse_unfit(path, image)
                image.load()
                return np.array(_to_rgb(path, ImageOps.exif_transpose(image)), dtype=np.uint8)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: expected an image file, found nothing there; check the path") from None
    except IsADirectoryError:
        raise InputError(f"{path}: expected an image file, this is a folder") from None
    except Image.DecompressionBombError:
        raise InputError(f"{path}: {_too_large('far more')}") from None
    except UnidentifiedImageError:
        raise InputError(
            f"{path}: expected an image (JPEG, PNG, WebP, TIFF, ...), this is none that can be read"
        ) from None
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


def _refuse_unfit(path: Path, image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise InputError(f"{path}: {_too_large(f'{width} x {height}')}")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise InputError(f"{path}: expected sides of at most {MAX_ASPECT} to 1, got {width} x {height}; crop the image")
    if image.format == "EPS":  # a program, which Pillow would have Ghostscript run
        raise InputError(f"{path}: expected a photo, this is an EPS drawing; save it as PNG")
    # A phone's MPO file holds one photo and its preview or depth map.
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        raise InputError(f"{path}: expected a single image, this one is animated or has several pages; save one frame")


def _too_large(got: str) -> str:
    return f"expected at most {MAX_PIXELS // 1_000_000} million pixels, got {got}; make the image smaller"


def _to_rgb(path: Path, image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _from_deep_grey(path, image)
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        layered = image.convert("RGBA")
        ground = Image.new("RGBA", layered.size, "white")
        return Image.alpha_composite(ground, layered).convert("RGB")
    return image.convert("RGB")


def _from_deep_grey(path: Path, image: Image.Image) -> Image.Image:
    """16-bit grey to 8 bits; Pillow's own conversion clips at 255 instead of scaling."""
    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 65535:
        raise InputError(f"{path}: expected 8 or 16 bits a channel, got {image.mode} values; save it as 8-bit PNG")
    if isinstance(clear := image.info.get("transparency"), int):  # the one grey that is transparent lies on white
        values = np.where(values == clear, 65535, values)
    grey = np.round(values / 257).astype(np.uint8)  # 65535 / 257 = 255
    return Image.fromarray(grey).convert("RGB")


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
