"""Arrays -> image bytes: colour, resampling, mosaics, blending, encoding.

Colours are perceptual: lightness rises with the value, or falls to both sides of zero (signed); `theme` names them.
Mosaics have transparent gaps, so that the page's ground shows through in its light and its dark theme.
The same arrays give the same bytes; no file carries a date or a version.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from generator.figures import colormaps, theme

Floats = NDArray[np.floating[Any]]
Pixels = NDArray[np.uint8]  # (..., 3) RGB or (..., 4) RGBA

LEVELS = 64  # steps of a painted feature map: one step is below what an eye tells apart, the file two thirds as long
SIGNED_STEPS = 127  # to each side of zero, which has one entry of its own: the table is symmetric about it


def palette(name: theme.Palette, steps: int = 256) -> Pixels:
    """(steps, 3) colours of a sequential map, darkest first."""
    table = np.frombuffer(bytes.fromhex(colormaps.TABLES[name]), np.uint8).reshape(-1, 3)
    places = (np.linspace(0, 1, steps) * len(table)).astype(np.intp)
    colours: Pixels = table[np.minimum(places, len(table) - 1)]
    return colours


def signed_palette(steps: int = SIGNED_STEPS) -> Pixels:
    """(2 * steps + 1, 3) colours for -1..1; the middle one, for exactly zero, is the lightest."""
    anchors = np.frombuffer(bytes.fromhex(colormaps.SIGNED), np.uint8).reshape(-1, 3)
    places, known = np.linspace(0, 1, 2 * steps + 1), np.linspace(0, 1, len(anchors))
    table = np.stack([np.interp(places, known, channel / 255) for channel in anchors.T], axis=1)
    colours: Pixels = (table * 255).round().astype(np.uint8)
    return colours


def ramp(table: Pixels) -> str:
    """(steps, 3) colours as a script has them, six hexadecimal digits each."""
    return " ".join(bytes(colour).hex() for colour in table)


def paint(values: Floats, name: theme.Palette = theme.MAPS, steps: int = 256) -> Pixels:
    """Values of [0, 1] in a sequential map; what lies outside is clipped.

    Returns:
        (..., 3) uint8.
    """
    index = np.rint(np.clip(values, 0, 1) * (steps - 1)).astype(np.intp)
    painted: Pixels = palette(name, steps)[index]
    return painted


def paint_signed(values: Floats, scale: float) -> Pixels:
    """Signed values on -scale..scale in the diverging map; zero is exactly its middle.

    Returns:
        (..., 3) uint8; all middle where `scale` is 0.
    """
    share = np.clip(np.asarray(values, np.float64) / scale, -1, 1) if scale > 0 else np.zeros(np.shape(values))
    painted: Pixels = signed_palette()[np.rint(share * SIGNED_STEPS).astype(np.intp) + SIGNED_STEPS]
    return painted


def paint_colour(weights: Floats, scale: float) -> Pixels:
    """Weights of red, green and blue as a colour: -scale..scale becomes 1..255, so that zero is the mid-grey 128.

    Args:
        weights: (O, 3, kh, kw).
    Returns:
        (O, kh, kw, 3) uint8.
    """
    share = np.clip(np.asarray(weights, np.float64) / scale, -1, 1) if scale > 0 else np.zeros(weights.shape)
    colours: Pixels = (np.rint(share * 127) + 128).astype(np.uint8).transpose(0, 2, 3, 1)
    return colours


def min_max(values: Floats) -> NDArray[np.float64]:
    """Values stretched to [0, 1]; a map that is the same everywhere has nothing to stretch and becomes all 0."""
    values = np.asarray(values, np.float64)
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.zeros(values.shape)


def resize(maps: Floats, height: int, width: int) -> NDArray[np.float64]:
    """Bilinear resampling of maps, pixel centres aligned (as F.interpolate with align_corners=False).

    Args:
        maps: (..., h, w).
    Returns:
        (..., height, width) float64.
    """
    maps = np.asarray(maps, np.float64)
    tiles = maps.reshape(-1, *maps.shape[-2:])
    # One plane a call: OpenCV takes at most 512 channels.
    resized = [cv2.resize(tile, (width, height), interpolation=cv2.INTER_LINEAR) for tile in tiles]
    return np.stack(resized).reshape(*maps.shape[:-2], height, width).astype(np.float64)


def shares(values: Floats, most: float) -> NDArray[np.float64]:
    """Values of at least 0 as shares of the end of their scale, at most 1; all 0 where the scale has no length."""
    values = np.asarray(values, np.float64)
    return np.clip(values / most, 0, 1) if most > 0 else np.zeros(values.shape)


def heat(cam: Floats, size: tuple[int, int], most: float) -> Pixels:
    """A raw map, at least 0, as a heat map: resized to (height, width), then painted on the scale from 0 to `most`.

    Returns:
        (height, width, 3) uint8; in the darkest colour where the map is 0.
    """
    return paint(shares(resize(cam, *size), most), theme.HEAT)


def blend(photo: Pixels, colours: Pixels, strength: float | Floats) -> Pixels:
    """strength * colours + (1 - strength) * photo, rounded; both (..., H, W, 3) uint8.

    Args:
        strength: one for all, or (..., H, W), one a pixel.
    """
    share = np.asarray(strength, np.float64)[..., None]
    return np.rint((1 - share) * photo + share * colours).astype(np.uint8)


def laid_over(photo: Pixels, values: Floats, veil: tuple[float, float]) -> Pixels:
    """A heat map over a photo, the more opaque the higher it is.

    Args:
        photo: (H, W, 3).
        values: (H, W) in [0, 1].
        veil: opacity where the map is 0 and where it is 1.
    """
    return blend(photo, paint(values, theme.HEAT), veil[0] + (veil[1] - veil[0]) * values)


def grey(photo: Pixels) -> Pixels:
    """The photo without its colours: each pixel its luma (ITU-R BT.601, as Pillow's "L")."""
    luma = np.asarray(Image.fromarray(photo).convert("L"))
    return np.repeat(luma[..., None], 3, axis=2)


def enlarge(pixels: Pixels, factor: int) -> Pixels:
    """Each pixel of (..., H, W, C) as a block of factor x factor: nothing is blurred."""
    return pixels.repeat(factor, axis=-3).repeat(factor, axis=-2)


def mosaic(
    tiles: Pixels,
    columns: int,
    scale: int = 1,
    gap: int = 1,
    struck: Sequence[int] = (),
    joints: theme.RGBA = theme.CLEAR,
) -> Pixels:
    """Tiles in reading order, each enlarged `scale` times, with gaps of `gap` pixels between them.

    Args:
        tiles: (N, h, w, 3) uint8.
        struck: indices of tiles with nothing to show: left empty, with a grey diagonal.
        joints: RGBA of the gaps; transparent ones let the page's ground through.
    Returns:
        (rows * (h * scale + gap) - gap, columns * (w * scale + gap) - gap, 4) uint8, transparent where no tile is left.
    """
    count, height, width = tiles.shape[0], tiles.shape[1] * scale, tiles.shape[2] * scale
    rows = -(-count // columns)
    cells = np.zeros((rows * columns, height + gap, width + gap, 4), np.uint8)
    cells[:count] = joints
    cells[:count, :height, :width, :3] = enlarge(tiles, scale)
    cells[:count, :height, :width, 3] = 255
    for index in struck:
        cells[index, :height, :width] = stroke(height, width)
    # (rows, columns, h, w, 4) -> (rows * h, columns * w, 4)
    sheet = cells.reshape(rows, columns, height + gap, width + gap, 4).transpose(0, 2, 1, 3, 4)
    flat: Pixels = sheet.reshape(rows * (height + gap), columns * (width + gap), 4)
    return flat[: flat.shape[0] - gap, : flat.shape[1] - gap]


def stroke(height: int, width: int) -> Pixels:
    """An empty tile with a grey diagonal from its lower left to its upper right corner."""
    tile = np.zeros((height, width, 4), np.uint8)
    steps = np.arange(2 * max(height, width))
    rows = (height - 1 - steps * height // len(steps)).clip(0)
    tile[rows, steps * width // len(steps)] = theme.STRUCK
    return tile


def cover(photo: Pixels, height: int, width: int) -> Pixels:
    """The photo resized (antialiased) until it covers height x width, its middle cut out."""
    source = Image.fromarray(photo)
    ratio = width / height
    wide, high = min(source.width, source.height * ratio), min(source.height, source.width / ratio)
    left, top = (source.width - wide) / 2, (source.height - high) / 2
    box = (left, top, left + wide, top + high)
    return np.asarray(source.resize((width, height), Image.Resampling.LANCZOS, box=box))


def stretch(photo: Pixels, height: int, width: int) -> Pixels:
    """The whole photo at height x width (antialiased), whatever its proportions."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(photo)).resize((width, height), Image.Resampling.LANCZOS))


def stretch_all(photos: Pixels, height: int, width: int) -> Pixels:
    """(N, H, W, 3) photos, each to the very pixels that `stretch` makes, which goes along rows, then along columns."""
    count, high, wide = photos.shape[:3]
    rows = np.ascontiguousarray(photos).reshape(count * high, wide, 3)
    narrow = np.asarray(Image.fromarray(rows).resize((width, count * high), Image.Resampling.LANCZOS))
    # (N * H, width, 3) -> (H, N * width, 3): so side by side that no column has two photos' pixels
    columns = narrow.reshape(count, high, width, 3).transpose(1, 0, 2, 3).reshape(high, count * width, 3)
    low = np.asarray(Image.fromarray(columns).resize((count * width, height), Image.Resampling.LANCZOS))
    small: Pixels = low.reshape(height, count, width, 3).transpose(1, 0, 2, 3)
    return small


def shrink(photo: Pixels, width: int) -> Pixels:
    """The photo at most `width` wide, its proportions kept; never enlarged."""
    source = Image.fromarray(photo)
    if source.width <= width:
        return photo
    size = (width, max(1, round(source.height * width / source.width)))
    return np.asarray(source.resize(size, Image.Resampling.LANCZOS))


def compose(
    height: int, width: int, panels: Sequence[tuple[Pixels, int, int]], ground: theme.RGB | None = None
) -> Pixels:
    """Panels, each (picture, top, left), laid on a ground; where a panel is transparent the ground shows.

    Returns:
        (height, width, 4) uint8; transparent between the panels where `ground` is None.
    """
    picture = np.zeros((height, width, 4), np.uint8)
    if ground is not None:
        picture[:] = (*ground, 255)
    for panel, top, left in panels:
        target = picture[top : top + panel.shape[0], left : left + panel.shape[1]]
        if panel.shape[2] == 3:
            target[..., :3], target[..., 3] = panel, 255
        elif ground is None:
            target[:] = panel
        else:
            target[..., :3] = blend(target[..., :3], panel[..., :3], panel[..., 3] / 255)
    return picture


def webp(pixels: Pixels, quality: int | None = None, *, enlarged: bool = False) -> bytes:
    """WebP: lossless for flat figures (`quality` None), else at that quality of 0 to 100, for photos.

    Args:
        enlarged: of photos whose pixels are blocks, or that lie beneath a smooth map.
    """
    # Of a report's 1,588 pictures: method 4, which is usual, takes a photo twice the time of method 2 and saves 4 % of
    # its bytes, but a tenth to a fifth of one enlarged; a flat figure takes 1.6 times the time of method 1 at effort
    # 50, and saves 1 %. 6 takes ten times that.
    if quality is None:
        return _encoded(pixels, "WEBP", lossless=True, method=1, quality=50)
    return _encoded(pixels, "WEBP", quality=quality, method=4 if enlarged else 2)


def png(pixels: Pixels) -> bytes:
    """PNG, for icons that not every browser reads as WebP."""
    return _encoded(pixels, "PNG", optimize=True)


def jpeg(pixels: Pixels, quality: int = 82) -> bytes:
    """JPEG without chroma subsampling, for social cards, which not every reader takes as WebP."""
    return _encoded(pixels[..., :3], "JPEG", quality=quality, subsampling=0, optimize=True)


def _encoded(pixels: Pixels, kind: str, **options: Any) -> bytes:
    opaque = pixels.shape[2] == 4 and bool((pixels[..., 3] == 255).all())
    memory = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels[..., :3] if opaque else pixels)).save(memory, kind, **options)
    return memory.getvalue()
