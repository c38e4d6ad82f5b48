from __future__ import annotations

import hashlib
import io
import os
import socket
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generator.base.errors import InputError
from generator.data.image_files import digest, read_photo, shrink
from generator.data.preprocessing import square
from generator.records.images import Pixels


def ramp(height: int, width: int, seed: int = 0) -> Pixels:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_square_of_the_right_size_is_left_alone() -> None:
    pixels = ramp(64, 64)
    np.testing.assert_array_equal(square(pixels, 64), pixels)


def test_the_middle_is_cut_out() -> None:
    pixels = ramp(4, 10)
    np.testing.assert_array_equal(square(pixels, 4), pixels[:, 3:7])
    np.testing.assert_array_equal(square(pixels.transpose(1, 0, 2), 4), pixels.transpose(1, 0, 2)[3:7])
    np.testing.assert_array_equal(square(pixels, 2, resize=4), pixels[1:3, 4:6])


def test_shrinking_averages_as_antialiasing_does() -> None:
    """Halving: Pillow's triangle filter weighs four pixels (1, 3, 3, 1) / 8, at an edge three (3, 3, 1) / 7."""
    row = np.repeat(np.array([0, 0, 80, 80], dtype=np.uint8)[None, :, None], 4, axis=0)
    halved = square(np.repeat(row, 3, axis=2), 2)
    # left: (3 * 0 + 3 * 0 + 1 * 80) / 7 = 11.4; right: (1 * 0 + 3 * 80 + 3 * 80) / 7 = 68.6
    np.testing.assert_array_equal(halved[..., 0], [[11, 69], [11, 69]])


@pytest.mark.parametrize(
    ("height", "width"), [(64, 64), (100, 73), (73, 100), (37, 411), (300, 451), (7, 5), (257, 256)]
)
@pytest.mark.parametrize(("size", "resize"), [(64, None), (224, 256), (128, None), (1, None)])
def test_square_is_what_torchvision_does(height: int, width: int, size: int, resize: int | None) -> None:
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

    pixels = ramp(height, width)
    peer = Compose([Resize(resize or size, InterpolationMode.BILINEAR, antialias=True), CenterCrop(size)])
    np.testing.assert_array_equal(square(pixels, size, resize), np.asarray(peer(Image.fromarray(pixels))))


def test_a_cut_larger_than_the_resized_photo_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="resize 32 is smaller than size 64"):
        square(ramp(8, 8), 64, resize=32)


def test_shrink_bounds_the_shorter_side_only() -> None:
    assert shrink(ramp(40, 90), 20).shape == (20, 45, 3)
    pixels = ramp(20, 90)
    assert shrink(pixels, 20) is pixels


def test_digest_is_of_shape_and_pixels() -> None:
    pixels = np.zeros((2, 3, 3), dtype=np.uint8)
    assert digest(pixels) == hashlib.sha256(b"(2, 3, 3)" + bytes(18)).hexdigest()
    assert digest(pixels) != digest(np.zeros((3, 2, 3), dtype=np.uint8))
    assert digest(ramp(4, 8)[:, ::2]) == digest(ramp(4, 8)[:, ::2].copy())


def save(folder: Path, image: Image.Image, name: str = "photo.png", **options: object) -> Path:
    file = folder / name
    image.save(file, **options)  # type: ignore[arg-type]
    return file


def test_grey_becomes_rgb(tmp_path: Path) -> None:
    file = save(tmp_path, Image.fromarray(np.array([[0, 100], [200, 255]], dtype=np.uint8)))
    np.testing.assert_array_equal(read_photo(file), np.array([[[0] * 3, [100] * 3], [[200] * 3, [255] * 3]]))


def test_bits_become_black_and_white(tmp_path: Path) -> None:
    file = save(tmp_path, Image.fromarray(np.array([[0, 255]], dtype=np.uint8)).convert("1"))
    np.testing.assert_array_equal(read_photo(file), [[[0] * 3, [255] * 3]])


def test_16_bit_grey_is_scaled_not_clipped(tmp_path: Path) -> None:
    values = np.array([[0, 257, 128 * 257, 65535]], dtype=np.uint16)
    file = save(tmp_path, Image.fromarray(values))
    np.testing.assert_array_equal(read_photo(file)[0, :, 0], [0, 1, 128, 255])


def test_floating_point_images_are_refused(tmp_path: Path) -> None:
    file = save(tmp_path, Image.fromarray(np.full((4, 4), 0.5, dtype=np.float32)), "photo.tiff")
    with pytest.raises(InputError, match="expected 8 or 16 bits a channel, got F values"):
        read_photo(file)


def test_a_palette_becomes_its_colours(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 150, 100])
    image.putpixel((1, 0), 1)
    np.testing.assert_array_equal(read_photo(save(tmp_path, image)), [[[10, 20, 30], [200, 150, 100]]])


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    middle = read_photo(save(tmp_path, image, "photo.jpg", quality=100))[4, 4]
    assert middle[0] > 250
    assert (middle[1:] < 5).all()


@pytest.mark.parametrize(("alpha", "value"), [(0, 255), (51, 204), (255, 0)])
def test_transparency_lies_on_white(tmp_path: Path, alpha: int, value: int) -> None:
    """Black with alpha 51 / 255 = 0.2 on white: 0.8 * 255 = 204."""
    file = save(tmp_path, Image.new("RGBA", (1, 1), (0, 0, 0, alpha)))
    np.testing.assert_array_equal(read_photo(file), [[[value] * 3]])
    file = save(tmp_path, Image.new("LA", (1, 1), (0, alpha)))
    np.testing.assert_array_equal(read_photo(file), [[[value] * 3]])


def test_a_transparent_colour_lies_on_white(tmp_path: Path) -> None:
    file = save(tmp_path, Image.fromarray(np.array([[[9, 9, 9], [1, 2, 3]]], dtype=np.uint8)), transparency=(9, 9, 9))
    np.testing.assert_array_equal(read_photo(file), [[[255] * 3, [1, 2, 3]]])


def png(depth: int, colour: int, row: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of one row, written by hand: Pillow writes no 16 bits in colour and no single grey as transparent."""
    width = len(row) * 8 // depth // {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    header = width.to_bytes(4, "big") + (1).to_bytes(4, "big") + bytes([depth, colour, 0, 0, 0])
    made = b"\x89PNG\r\n\x1a\n"
    for name, data in ((b"IHDR", header), *chunks, (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")):
        made += len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")
    return made


@pytest.mark.parametrize(
    ("content", "pixels"),
    [
        # Opaque red, green that is not there, black of which a fifth is: 255 * 0.8 = 204.
        (
            png(8, 3, bytes([0, 1, 2]), (b"PLTE", b"\xff\0\0\0\xff\0\0\0\0"), (b"tRNS", bytes([255, 0, 51]))),
            [[255, 0, 0], [255] * 3, [204] * 3],
        ),
        (png(16, 0, b"\0\0\x80\x80", (b"tRNS", b"\0\0")), [[255] * 3, [128] * 3]),
        (png(16, 2, b"\xff\xff\x80\x80\x01\x01"), [[255, 128, 1]]),
        (png(16, 6, bytes(6) + b"\x33\x33"), [[204] * 3]),
        (png(1, 0, b"\x55"), [[0] * 3, [255] * 3] * 4),
    ],
    ids=["palette with alpha", "grey 16, one transparent", "RGB 16", "RGBA 16", "one bit"],
)
def test_rarer_pngs_are_right(tmp_path: Path, content: bytes, pixels: list[list[int]]) -> None:
    (tmp_path / "photo.png").write_bytes(content)
    np.testing.assert_array_equal(read_photo(tmp_path / "photo.png")[0], pixels)


def test_a_drawing_that_is_a_program_is_not_run(tmp_path: Path) -> None:
    file = tmp_path / "photo.jpg"
    file.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(x) print\nshowpage\n")
    with pytest.raises(InputError, match=r"photo\.jpg: expected a photo, this is an EPS drawing; save it as PNG"):
        read_photo(file)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_shows_the_same_photo(tmp_path: Path, orientation: int) -> None:
    """The camera's eight ways to hold a photo (TIFF 6.0, Orientation); 6 alone is worked out below."""
    upright = ramp(3, 5)
    turned = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.transpose(1, 0, 2),
        6: np.rot90(upright), 7: np.rot90(upright, 2).transpose(1, 0, 2), 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = save(tmp_path, Image.fromarray(np.ascontiguousarray(turned)), exif=exif)
    np.testing.assert_array_equal(read_photo(file), upright)


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    """Orientation 6: the camera was turned, so that the file's left column is the top row."""
    exif = Image.Exif()
    exif[0x0112] = 6
    file = save(tmp_path, Image.fromarray(np.array([[[255, 0, 0]], [[0, 0, 255]]], dtype=np.uint8)), exif=exif)
    # 2 x 1 in the file: red above blue; turned clockwise: blue left, red right
    np.testing.assert_array_equal(read_photo(file), [[[0, 0, 255], [255, 0, 0]]])


def test_missing_files_folders_and_texts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.jpg: expected an image file, found nothing there"):
        read_photo(tmp_path / "none.jpg")
    with pytest.raises(InputError, match="this is a folder"):
        read_photo(tmp_path)
    (tmp_path / "text.jpg").write_text("no photo")
    with pytest.raises(InputError, match=r"text\.jpg: expected an image .*, this is none"):
        read_photo(tmp_path / "text.jpg")


@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "photo.webp", "photo.bmp", "photo.gif", "photo.tiff"])
def test_truncated_and_scrambled_files_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    whole = save(tmp_path, Image.fromarray(ramp(64, 64)), name).read_bytes()
    broken = tmp_path / f"broken-{name}"
    for content in (whole[: len(whole) // 2], whole[:20], whole[:30] + bytes(40) + whole[70 : len(whole) // 3]):
        broken.write_bytes(content)
        with pytest.raises(InputError, match=f"broken-{name}: expected") as caught:
            read_photo(broken)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["moving.gif", "moving.png", "moving.webp", "pages.tif"])
def test_of_several_frames_or_pages_it_is_the_first(tmp_path: Path, name: str) -> None:
    colours = ([200, 30, 20], [0, 0, 255], [0, 255, 0])
    frames = [Image.fromarray(np.full((8, 9, 3), colour, np.uint8)) for colour in colours]
    file = save(tmp_path, frames[0], name, save_all=True, append_images=frames[1:])
    with Image.open(file) as opened:
        assert getattr(opened, "n_frames", 1) == 3
    found = read_photo(file)
    assert found.shape == (8, 9, 3)
    assert np.abs(found.astype(int) - colours[0]).max() <= 4  # WebP's loss


@pytest.mark.parametrize(("side", "got"), [(8_000, "8000 x 8000"), (30_000, "far more")])
def test_decompression_bombs_are_refused_before_they_are_decoded(tmp_path: Path, side: int, got: str) -> None:
    """A PNG whose header promises far more than the file holds."""
    content = io.BytesIO()
    Image.new("L", (1, 1)).save(content, "PNG")
    header = b"IHDR" + side.to_bytes(4, "big") * 2 + content.getvalue()[24:29]
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(content.getvalue()[:12] + header + zlib.crc32(header).to_bytes(4, "big") + content.getvalue()[33:])
    with pytest.raises(InputError, match=rf"bomb\.png: expected at most 50 million pixels, got {got}; make"):
        read_photo(bomb)


def test_long_strips_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected sides of at most 20 to 1, got 210 x 10"):
        read_photo(save(tmp_path, Image.new("RGB", (210, 10))))
    assert read_photo(save(tmp_path, Image.new("RGB", (200, 10)))).shape == (10, 200, 3)


def exif(*entries: tuple[int, int, int, bytes]) -> bytes:
    """An EXIF block of these (tag, type, count, four bytes) entries, in Intel's order (TIFF 6.0, section 2)."""
    directory = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4)


TURNED = (0x0112, 3, 1, struct.pack("<HH", 6, 0))  # SHORT 6
BAD_TAGS = {
    "resolution as text": exif(TURNED, (0x011A, 2, 3, b"72\0\0")),
    "resolution without a value": exif(TURNED, (0x011A, 5, 1, struct.pack("<I", 9999))),
    "a type that there is not": exif(TURNED, (0x0131, 99, 1, b"abcd")),
    "a folder that is a number of another type": exif(TURNED, (0x8769, 2, 4, b"abcd")),
    "a folder in a circle": exif(TURNED, (0x8769, 4, 1, struct.pack("<I", 8))),
    "more entries promised than there are": exif(TURNED)[:8] + b"\xff\0" + exif(TURNED)[10:],
    "the end is missing": exif(TURNED, (0x0131, 2, 400, struct.pack("<I", 60)))[:-8],
    "sixty thousand bytes of a note": exif(TURNED, (0x927C, 7, 60_000, struct.pack("<I", 38))) + bytes(60_000),
}


def with_exif(folder: Path, form: str, block: bytes) -> Path:
    """An image of 64 x 48 pixels with an EXIF block put into the file as it is."""
    file = folder / f"photo.{form}"
    image = Image.fromarray(ramp(48, 64))
    if form == "jpg":
        whole = save(folder, image, file.name).read_bytes()
        payload = b"Exif\0\0" + block
        file.write_bytes(whole[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + whole[2:])
    elif form == "png":
        whole = save(folder, image, file.name).read_bytes()
        chunk = struct.pack(">I", len(block)) + b"eXIf" + block + struct.pack(">I", zlib.crc32(b"eXIf" + block))
        file.write_bytes(whole[:33] + chunk + whole[33:])
    else:
        image.save(file, lossless=True, exif=block)
    return file


@pytest.mark.parametrize("form", ["jpg", "png", "webp"])
@pytest.mark.parametrize("block", BAD_TAGS.values(), ids=BAD_TAGS)
def test_a_photo_is_turned_whatever_its_other_tags_are(tmp_path: Path, block: bytes, form: str) -> None:
    assert read_photo(with_exif(tmp_path, form, block)).shape == (64, 48, 3)


@pytest.mark.parametrize("block", [b"", b"II*\0", b"nothing of the kind", exif((0x0112, 2, 2, b"6\0\0\0"))])
def test_a_photo_without_a_readable_tag_is_shown_as_it_lies(tmp_path: Path, block: bytes) -> None:
    assert read_photo(with_exif(tmp_path, "jpg", block)).shape == (48, 64, 3)


def test_the_turn_may_stand_in_xmp(tmp_path: Path) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    assert read_photo(save(tmp_path, Image.fromarray(ramp(48, 64)), "photo.jpg", xmp=xmp)).shape == (64, 48, 3)


def test_a_large_image_is_the_same_band_by_band(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (37, 11, 4), dtype=np.uint8)
    deep = np.random.default_rng(0).integers(0, 65536, (37, 11), dtype=np.uint16)
    palette = Image.fromarray(noise[..., :3]).convert("P")
    files = [
        save(tmp_path, Image.fromarray(noise), "rgba.png"),
        save(tmp_path, Image.fromarray(deep), "deep.png"),
        save(tmp_path, palette, "palette.png", transparency=bytes(range(0, 256, 8))),
        save(tmp_path, Image.fromarray(noise[..., 0]).convert("1"), "bits.png"),
    ]
    at_once = [read_photo(file) for file in files]
    monkeypatch.setattr("generator.data.image_files.BAND_PIXELS", 25)  # two rows at a time, the last one alone
    for file, whole in zip(files, at_once, strict=True):
        np.testing.assert_array_equal(read_photo(file), whole)


MEASURED = """
import re, sys
from pathlib import Path
from generator.data.image_files import read_photo
shape = read_photo(Path(sys.argv[1])).shape
# getrusage's ru_maxrss counts what the process was before exec, too: pytest.
print(*shape, re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("mode", ["I;16", "LA"])
def test_an_image_at_the_limit_needs_less_than_half_a_gigabyte(tmp_path: Path, mode: str) -> None:
    file = save(tmp_path, Image.new(mode, (7_000, 7_142)), compress_level=1)
    ran = subprocess.run([sys.executable, "-c", MEASURED, str(file)], capture_output=True, text=True, check=True)
    *shape, peak = map(int, ran.stdout.split())
    assert shape == [7_142, 7_000, 3]
    assert peak < 500_000


def test_a_tile_larger_than_its_image_is_refused(tmp_path: Path) -> None:
    """36,000 x 40,000 zeros in one tile are 1.4 GB, of an image of 10 x 10 pixels."""
    tags = {256: 10, 257: 10, 258: 8, 259: 8, 262: 1, 277: 1, 322: 36_000, 323: 40_000, 324: 0, 325: 9}
    entries = [(tag, 4, 1, struct.pack("<I", value)) for tag, value in tags.items()]
    (tmp_path / "tile.tiff").write_bytes(exif(*entries) + zlib.compress(b""))
    with pytest.raises(InputError, match="expected at most 50 million pixels, got tiles of 36000 x 40000; make"):
        read_photo(tmp_path / "tile.tiff")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "lost.png").symlink_to(tmp_path / "nothing")
    (tmp_path / "circle.png").symlink_to(tmp_path / "circle.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "inside.png").symlink_to(tmp_path)
    for name, found in (
        ("pipe.png", "expected an image file, this is a named pipe"),
        ("zero.png", "expected an image file, this is a device"),
        ("inside.png", "expected an image file, this is a folder"),
        ("lost.png", "expected an image file, found a link that leads nowhere; check the path"),
        ("circle.png", "expected an image file that can be read, got .*; mend its symbolic links"),
        ("x" * 300, "expected an image file that can be read, got .*; give it a shorter name"),
        ("a\0b", "expected an image file, this is no file's name"),
    ):
        with pytest.raises(InputError, match=found):
            read_photo(tmp_path / name)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(tmp_path / "socket.png"))  # their names are short
        with pytest.raises(InputError, match="expected an image file, this is a socket"):
            read_photo(tmp_path / "socket.png")


def test_an_empty_and_an_endless_file_are_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(InputError, match="expected an image file, this one is empty"):
        read_photo(tmp_path / "empty.jpg")
    with (tmp_path / "hole.webp").open("wb") as file:
        file.write(b"RIFF\0\0\0\0WEBPVP8 ")
        file.truncate(600_000_000)
    with pytest.raises(InputError, match="expected at most 500 MB, got 600 MB; make the image smaller"):
        read_photo(tmp_path / "hole.webp")
