"""The page in which the network runs, in a real browser: a visitor's photo to the last bit, and all it lets one do."""

from __future__ import annotations

import base64
import io
import itertools
import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from generator.data.image_files import read_photo
from generator.data.preprocessing import square
from generator.pages import render
from generator.publishing import writer
from generator.records.images import Pixels
from generator.records.input import square as square_input
from generator.records.live import LiveStep
from tests import sites, synthetic
from tests.browser import devtools
from tests.browser.hosts import Quiet, serving

pytestmark = pytest.mark.browser

STATUS = "document.getElementById('status').textContent"
# A layer's pixels, read from a copy of it.
SEEN = """(() => { const seen = document.querySelectorAll('#stage canvas')[1], copy = document.createElement('canvas');
  copy.width = seen.width; copy.height = seen.height;
  const context = copy.getContext('2d', { willReadFrequently: true });
  context.drawImage(seen, 0, 0);
  return [seen.height, seen.width, ...context.getImageData(0, 0, seen.width, seen.height).data]; })()"""
# What is announced from now on.
LISTEN = """window.words = []; new MutationObserver(() => words.push(document.getElementById('status').textContent))
  .observe(document.getElementById('status'), { childList: true }); 0"""
INK = SEEN.replace("[1]", "[2]")
# EXIF whose one entry is an orientation of 6.
BIG_ENDIAN = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06" + bytes(6)
# An AVIF of 2 x 2 pixels with ten bits a colour, which Pillow cannot write.
TEN_BITS = (
    "AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUIAAADrbWV0YQAAAAAAAAAhaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAA"
    "AAAAAAAOcGl0bQAAAAAAAQAAAB5pbG9jAAAAAEQAAAEAAQAAAAEAAAETAAAAHgAAAChpaW5mAAAAAAABAAAAGmluZmUCAAAAAAEA"
    "AGF2MDFDb2xvcgAAAABqaXBycAAAAEtpcGNvAAAAFGlzcGUAAAAAAAAAAgAAAAIAAAAQcGl4aQAAAAADCgoKAAAADGF2MUOBAEwA"
    "AAAAE2NvbHJuY2x4AAEADQAGgAAAABdpcG1hAAAAAAAAAAEAAQQBAoMEAAAAJm1kYXQSAAoIGAA2qAhoNCAyEBlHh4YhiaaaZoJA"
    "AJA/mvw="
)
TOP = "document.querySelector('#answers button').textContent"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic report; its network is given 16 pixels."""
    return sites.place(tmp_path_factory.mktemp("built") / "site")


@pytest.fixture(scope="module")
def cropping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with the centre 64 pixels of 72 cut out."""
    report, figures = sites.drawn()
    network = replace(report.networks[0], input=square_input(64, 72), explanations={})
    report = replace(report, networks=(network, *report.networks[1:]), live=synthetic.live())
    files = render(report, figures, sites.settings(), (sites.ROOT / "templates",), sites.ROOT / "content")
    folder = tmp_path_factory.mktemp("built") / "site"
    writer.place(dict(files), folder, {"inputs": "1"})
    return folder


@pytest.fixture(scope="module")
def chrome(browser: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[devtools.Browser]:
    running = devtools.Browser(browser, tmp_path_factory.mktemp("profile"))
    yield running
    running.close()


def opened(chrome: devtools.Browser, site: Path, **said: Any) -> devtools.Tab:
    """The page once it is ready; with samples the first has been answered."""
    tab = devtools.open_page(chrome, (site / "try.html").as_uri(), **said)
    until(tab, "document.querySelectorAll('#stage canvas').length > 2")
    if tab.evaluate("document.querySelectorAll('[data-sample]').length"):
        until(tab, f"{STATUS}.includes(', then ')")
    return tab


@pytest.fixture
def tab(chrome: devtools.Browser, site: Path) -> Iterator[devtools.Tab]:
    found = opened(chrome, site)
    yield found
    found.evaluate("0")
    assert not found.problems
    assert all(url.startswith(("file:", "data:", "blob:")) for url in found.requests)
    found.close()


def started(chrome: devtools.Browser, host: str, **said: Any) -> devtools.Tab:
    """The page from a host, over a connection that is not known to be fast: the visitor has the network come."""
    tab = devtools.open_page(chrome, f"{host}/try.html", **said)
    until(tab, "!document.getElementById('start').hidden")
    tab.evaluate("document.getElementById('start').click()")
    until(tab, f"{STATUS}.includes(', then ')")
    return tab


def until(tab: devtools.Tab, condition: str) -> None:
    """Wait for a condition, ten seconds at most."""
    held = tab.evaluate(
        f"new Promise(done => {{ const end = Date.now() + 10000; const look = () => ({condition}) ? done(true) : "
        "Date.now() > end ? done(false) : setTimeout(look, 20); look(); })"
    )
    assert held, (condition, tab.evaluate(STATUS))


def give(tab: devtools.Tab, *files: Path) -> None:
    """Choose a file, as the visitor does."""
    document = tab.browser.call("DOM.getDocument", tab.session)["root"]["nodeId"]
    found = tab.browser.call("DOM.querySelector", tab.session, nodeId=document, selector="#file")["nodeId"]
    tab.browser.call("DOM.setFileInputFiles", tab.session, nodeId=found, files=[str(file) for file in files])


def seen(tab: devtools.Tab, script: str = SEEN) -> Pixels:
    """(H, W, 3) what the network was given."""
    high, wide, *values = tab.evaluate(script)
    return np.array(values, np.uint8).reshape(high, wide, 4)[..., :3]


def colours(height: int, width: int) -> Pixels:
    """Smooth colours with an edge, unlike anywhere."""
    rows, columns = np.mgrid[0:height, 0:width]
    found = np.stack([rows * 255 / height, columns * 255 / width, (rows * 7 + columns * 3) % 256], axis=2)
    part = (slice(height // 3, height // 2), slice(width // 4, width // 2))
    found[part] = 255 - found[part]
    return found.astype(np.uint8)


def swapped_profile() -> bytes:
    """sRGB's colour profile with red and green exchanged: a browser that obeyed it would show other colours."""
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return plain.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")


def pictures(folder: Path) -> dict[str, Path]:
    """Files of many kinds."""
    alpha: NDArray[np.uint8] = np.dstack([colours(90, 120), (np.mgrid[0:90, 0:120][1] * 2).astype(np.uint8)])
    made: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
        "plain": (Image.fromarray(colours(100, 150)), "png", {}),
        "jpeg": (Image.fromarray(colours(203, 301)), "jpg", {"quality": 90}),
        "jpeg-444": (Image.fromarray(colours(99, 64)), "jpg", {"quality": 80, "subsampling": 0}),
        "grey": (Image.fromarray(colours(70, 50)).convert("L"), "png", {}),
        "grey-jpeg": (Image.fromarray(colours(131, 77)).convert("L"), "jpg", {}),
        "palette": (Image.fromarray(colours(64, 64)).convert("P", palette=Image.Palette.ADAPTIVE), "png", {}),
        "alpha": (Image.fromarray(alpha), "png", {}),
        "webp": (Image.fromarray(colours(140, 90)), "webp", {"lossless": True}),
        "tall": (Image.fromarray(colours(500, 41)), "png", {}),
        "twice": (Image.fromarray(colours(200, 100)), "png", {}),
        "more-than-twice": (Image.fromarray(colours(201, 100)), "png", {}),
        "tall-alpha": (Image.fromarray(alpha[:, :30]), "png", {}),
        "wide": (Image.fromarray(colours(30, 411)), "png", {}),
        "single": (Image.fromarray(colours(3, 5)[1:2, 2:3]), "png", {}),
        "small": (Image.fromarray(colours(9, 7)), "png", {}),
        "exact": (Image.fromarray(colours(64, 64)), "png", {}),
    }
    made |= {
        "black-and-white": (Image.fromarray(colours(75, 60)).convert("1"), "png", {}),
        "grey-alpha": (Image.fromarray(alpha).convert("LA"), "png", {}),
        "transparent-colour": (Image.fromarray(colours(40, 50)).convert("P"), "png", {"transparency": 7}),
        "bitmap": (Image.fromarray(colours(51, 70)), "bmp", {}),
        "gif": (Image.fromarray(colours(51, 70)), "gif", {}),
        "webp-exact": (Image.fromarray(colours(88, 70)), "webp", {"lossless": True, "exact": True}),
        "webp-lossy": (Image.fromarray(colours(88, 70)), "webp", {"quality": 60}),
        "webp-alpha": (Image.fromarray(alpha), "webp", {"quality": 60}),
        "palette-alpha": (Image.fromarray(colours(40, 50)).convert("P"), "png", {"transparency": bytes(range(256))}),
        "icon": (Image.fromarray(alpha[:64, :64]), "ico", {"sizes": [(64, 64)]}),
        "avif": (Image.fromarray(colours(88, 71)), "avif", {"quality": 70, "subsampling": "4:4:4"}),
        "avif-420": (Image.fromarray(colours(88, 71)), "avif", {"quality": 70}),
        "avif-grey": (Image.fromarray(colours(88, 71)), "avif", {"quality": 70, "subsampling": "4:0:0"}),
        "progressive": (Image.fromarray(colours(88, 70)), "jpg", {"progressive": True, "quality": 70}),
        "with-a-profile": (Image.fromarray(colours(88, 70)), "png", {"icc_profile": swapped_profile()}),
        "jpeg-with-a-profile": (Image.fromarray(colours(88, 70)), "jpg", {"icc_profile": swapped_profile()}),
    }
    files = {}
    for name, (image, kind, options) in made.items():
        files[name] = folder / f"{name}.{kind}"
        image.save(files[name], **options)
    kinds: dict[str, dict[str, Any]] = {
        "jpg": {"quality": 92}, "png": {}, "webp": {"lossless": True}, "avif": {"subsampling": "4:4:4"},
    }  # fmt: skip
    for turn, kind in itertools.product(range(2, 9), kinds):
        file = files[f"turned-{turn}-{kind}"] = folder / f"turned-{turn}.{kind}"
        Image.fromarray(colours(90, 140 if turn % 2 else 240)).save(file, exif=oriented(turn), **kinds[kind])
    for name, content in {
        **told_elsewhere(colours(60, 90)),
        "interlaced.png": interlaced(colours(61, 90)),
        "interlaced-alpha.png": interlaced(alpha),
    }.items():
        files[name] = folder / name
        files[name].write_bytes(content)
    files["turned-alpha"] = folder / "turned-alpha.webp"
    Image.fromarray(alpha).save(files["turned-alpha"], lossless=True, exif=oriented(8))
    files["large"] = folder / "large.jpg"  # as a phone saves what it was held upright for
    Image.fromarray(colours(3024, 4032)).save(files["large"], exif=oriented(6), quality=85)
    return files


def oriented(turn: int) -> Image.Exif:
    """EXIF that tells a turn."""
    exif = Image.Exif()
    exif[0x0112] = turn
    return exif


def xmp(turn: int) -> bytes:
    """A description that tells a turn."""
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="{turn}"/></rdf:RDF></x:xmpmeta>'
    ).encode()


def told_elsewhere(pixels: Pixels) -> dict[str, bytes]:
    """Files that tell a turn where Pillow heeds it and browsers do not, or tell two."""
    image = Image.fromarray(pixels)

    def saved(kind: str, **options: Any) -> bytes:
        file = io.BytesIO()
        image.save(file, kind, **options)
        return file.getvalue()

    plain = saved("png")
    start, end = 33, plain.index(b"IEND") - 4  # behind the header, and before the last chunk
    exif = oriented(6).tobytes()
    raw = f"\nexif\n{len(exif):8}\n{exif.hex()}\n".encode()
    name = b"XML:com.adobe.xmp\0"

    def with_(place: int, kind: bytes, content: bytes) -> bytes:
        return plain[:place] + chunk(kind, content) + plain[place:]

    return {
        "late-exif.png": with_(end, b"eXIf", exif.removeprefix(b"Exif\0\0")),
        "early-exif.png": with_(start, b"eXIf", exif.removeprefix(b"Exif\0\0")),
        "raw-profile.png": with_(start, b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw)),
        "raw-profile-plain.png": with_(end, b"tEXt", b"Raw profile type exif\0" + raw),
        "xmp.png": with_(start, b"iTXt", name + b"\0\0en\0XMP\0" + xmp(5)),
        "packed-xmp.png": with_(start, b"iTXt", name + b"\1\0\0\0" + zlib.compress(xmp(7))),
        "xmp.jpg": saved("jpeg", xmp=xmp(8)),
        "xmp-zero.jpg": saved("jpeg", xmp=xmp(0)),  # which is no turn
        "exif-zero.webp": saved("webp", lossless=True, exif=oriented(0)),
        "xmp-upright.jpg": saved("jpeg", xmp=xmp(1)),
        "exif-before-xmp.jpg": saved("jpeg", exif=oriented(6), xmp=xmp(3)),
        "exif-upright.jpg": saved("jpeg", exif=oriented(1), xmp=xmp(3)),
        "xmp.webp": saved("webp", lossless=True, xmp=xmp(4)),
        "exif-before-xmp.webp": saved("webp", lossless=True, exif=oriented(6), xmp=xmp(3)),
        "big-endian.webp": saved("webp", lossless=True, exif=BIG_ENDIAN),
    }


def chunk(kind: bytes, content: bytes) -> bytes:
    """A part of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def interlaced(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG that comes in seven passes (Adam7), which Pillow reads but does not write."""
    height, width, values = pixels.shape
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    rows = [row for top, left, down, right in passes for row in pixels[top::down, left::right]]
    header = struct.pack(">IIBBBBB", width, height, 8, {3: 2, 4: 6}[values], 0, 0, 1)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.slow
@pytest.mark.parametrize("crop", [False, True], ids=["whole", "cropped"])
def test_a_photo_is_cut_as_pillow_cuts_it_to_the_last_bit(
    chrome: devtools.Browser, site: Path, cropping: Path, tmp_path: Path, crop: bool
) -> None:
    tab = opened(chrome, cropping if crop else site)
    size, resize = (64, 72) if crop else (16, 16)
    different = {}
    for name, file in pictures(tmp_path).items():
        give(tab, file)
        until(tab, f"{STATUS}.startsWith('{file.name}: ')")
        wanted = square(read_photo(file), size, resize)
        found = seen(tab)
        if not np.array_equal(found, wanted):
            different[name] = int(np.abs(found.astype(int) - wanted).max())
    assert different == {}
    assert not tab.problems
    tab.close()


def test_the_sample_is_what_the_report_gave_the_network(tab: devtools.Tab) -> None:
    assert np.array_equal(seen(tab), synthetic.report().networks[0].explanations["bee"].seen)
    tab.evaluate("document.querySelector('[data-sample=slice]').click()")
    until(tab, f"{STATUS}.startsWith('A slice of pizza: ')")
    assert np.array_equal(seen(tab), synthetic.report().networks[0].explanations["slice"].seen)
    assert tab.evaluate("document.querySelector('.picker [aria-current]').dataset.sample") == "slice"


def test_transparency_lies_on_white_for_the_visitor_too(chrome: devtools.Browser, site: Path, tmp_path: Path) -> None:
    Image.new("RGBA", (40, 40), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    with serving(site) as host:  # a canvas that shows a picture from a file cannot be read
        tab = started(chrome, host)
        give(tab, tmp_path / "clear.png")
        until(tab, f"{STATUS}.startsWith('clear.png: ')")
        assert (seen(tab, SEEN.replace("[1]", "[0]")) == 255).all()
        tab.close()


def test_a_sample_that_cannot_be_loaded_is_told_and_the_page_goes_on(chrome: devtools.Browser, site: Path) -> None:
    tab = opened(chrome, site)
    tab.evaluate("document.querySelector('[data-sample=koala]').dataset.script = 'assets/samples/gone.js'; 0")
    tab.evaluate("document.querySelector('[data-sample=koala]').click()")
    until(tab, f"{STATUS} === 'Koala could not be loaded.'")
    tab.evaluate("document.querySelector('[data-sample=slice]').click()")
    until(tab, f"{STATUS}.startsWith('A slice of pizza: ')")
    tab.close()


def test_what_is_no_photo_gets_a_sentence(tab: devtools.Tab, tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "words.jpg").write_text("no image at all")
    Image.new("1", (10001, 10000)).save(tmp_path / "huge.png")
    Image.new("L", (1000, 40)).save(tmp_path / "strip.png")
    Image.new("CMYK", (40, 30)).save(
        tmp_path / "print.jpg", icc_profile=bytes(200_000)
    )  # which stands before the frame
    Image.fromarray(np.full((30, 40), 300, np.uint16)).save(tmp_path / "deep.png")
    (tmp_path / "lines.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><path d="M0 0"/></svg>'
    )
    clear = Image.new("RGBA", (40, 30), (200, 0, 0, 100))
    clear.save(tmp_path / "clear.avif")
    clear.convert("RGB").save(tmp_path / "xmp.avif", xmp=xmp(6))
    (tmp_path / "deep.avif").write_bytes(base64.b64decode(TEN_BITS))
    (tmp_path / "cut.gif").write_bytes(b"GIF89a" + bytes(20))
    Image.fromarray(colours(200, 200)).save(tmp_path / "half.jpg")
    (tmp_path / "half.jpg").write_bytes((tmp_path / "half.jpg").read_bytes()[:3000])
    for name, words in {
        "empty.png": "empty.png is empty: it has 0 bytes.",
        "words.jpg": "words.jpg is no image that this browser can read.",
        "huge.png": "huge.png has 100 million pixels, more than the 50 million",
        "strip.png": "strip.png is 1000 × 40: its sides may be at most 20 to 1",
        "print.jpg": "print.jpg is in the colours of print (CMYK)",
        "deep.png": "deep.png has 16 bits a colour",
        "lines.svg": "lines.svg is a drawing in SVG",
        "clear.avif": "clear.avif is an AVIF with transparency, which browsers read in their own ways; save it as",
        "xmp.avif": "xmp.avif is an AVIF with a turn told by XMP",
        "deep.avif": "deep.avif is an AVIF with more than 8 bits a colour",
        "cut.gif": "cut.gif is no image that this browser can read.",
        "half.jpg": "half.jpg is damaged",
    }.items():
        give(tab, tmp_path / name)
        until(tab, f"{STATUS}.startsWith({json.dumps(words)})")
    assert tab.evaluate("document.getElementById('shown').textContent") == "Bee"  # what was shown stays


def test_a_browser_that_changes_pixels_is_told_so(tab: devtools.Tab, tmp_path: Path) -> None:
    tab.evaluate(
        """(() => { const read = CanvasRenderingContext2D.prototype.getImageData;
        CanvasRenderingContext2D.prototype.getImageData = function (...where) {
          const found = read.apply(this, where); found.data[0] ^= 1; return found; }; })()"""
    )
    Image.fromarray(colours(20, 20)).save(tmp_path / "a.png")
    give(tab, tmp_path / "a.png")
    until(tab, f"{STATUS}.startsWith('This browser changes what a page reads from pictures')")


def test_a_photo_can_be_pasted_and_dropped(tab: devtools.Tab) -> None:
    tab.evaluate(
        """(async () => { const canvas = document.createElement('canvas'); canvas.width = canvas.height = 20;
        canvas.getContext('2d').fillRect(0, 0, 20, 10);
        window.blob = await new Promise(done => canvas.toBlob(done));
        window.given = name => { const data = new DataTransfer();
          data.items.add(new File([blob], name, { type: 'image/png' })); return data; };
        document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: given('pasted.png') })); })()"""
    )
    until(tab, f"{STATUS}.startsWith('pasted.png: ')")
    tab.evaluate(
        "document.getElementById('stage').dispatchEvent(new DragEvent('drop', "
        "{ dataTransfer: given('dropped.png'), bubbles: true }))"
    )
    until(tab, f"{STATUS}.startsWith('dropped.png: ')")


def test_the_last_choice_wins_however_late_another_arrives(tab: devtools.Tab, tmp_path: Path) -> None:
    Image.fromarray(colours(20, 20)).save(tmp_path / "late.png")
    tab.evaluate(
        """window.decode = createImageBitmap; window.late = new Promise(done => (window.release = done));
        createImageBitmap = async (...what) => { await late; const found = await decode(...what);
          setTimeout(() => (window.arrived = true), 200); return found; }; 0"""
    )
    give(tab, tmp_path / "late.png")
    until(tab, f"{STATUS} === 'Reading late.png …'")
    tab.evaluate("document.querySelector('[data-sample=koala]').click()")
    until(tab, f"{STATUS}.startsWith('Koala: ')")
    before = tab.evaluate("document.getElementById('answers').innerText")
    tab.evaluate("release()")
    until(tab, "window.arrived")
    assert tab.evaluate(STATUS).startswith("Koala: ")
    assert tab.evaluate("document.getElementById('shown').textContent") == "Koala"
    assert np.array_equal(seen(tab), synthetic.report().networks[0].explanations["koala"].seen)
    assert tab.evaluate("document.getElementById('answers').innerText") == before


@pytest.mark.parametrize("chosen", ["click", "paste"])
def test_what_is_chosen_while_the_network_loads_is_shown(chrome: devtools.Browser, host: str, chosen: str) -> None:
    """The page is read, the engine is held back until the visitor has chosen."""
    tab = held_back(chrome, host)
    until(tab, "window.asked")
    tab.evaluate(
        "document.querySelector('[data-sample=slice]').click()"
        if chosen == "click"
        else """(async () => { const canvas = document.createElement('canvas'); canvas.width = canvas.height = 20;
        const blob = await new Promise(done => canvas.toBlob(done)), data = new DataTransfer();
        data.items.add(new File([blob], 'own.png', { type: 'image/png' }));
        document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data })); })()"""
    )
    tab.evaluate("release()")
    title = "A slice of pizza" if chosen == "click" else "own.png"
    until(tab, f"{STATUS}.startsWith('{title}: ')")
    assert tab.evaluate("document.getElementById('shown').textContent") == title
    assert tab.evaluate("document.querySelectorAll('.picker [aria-current]').length") == int(chosen == "click")
    assert not tab.problems
    tab.close()


def test_where_the_first_choice_is_no_photo_a_sample_is_shown(chrome: devtools.Browser, host: str) -> None:
    tab = held_back(chrome, host)
    tab.evaluate(
        "{ const data = new DataTransfer(); data.items.add(new File([], 'bad.png', { type: 'image/png' }));"
        "document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data })); release(); }"
    )
    until(tab, "document.querySelector('#answers button')")
    tab.evaluate("new Promise(done => setTimeout(done, 900))")  # an answer is said after 0.4 seconds
    assert tab.evaluate("document.getElementById('shown').textContent") == "Bee"
    assert tab.evaluate(STATUS) == "bad.png is empty: it has 0 bytes."
    assert not tab.problems
    tab.close()


def held_back(chrome: devtools.Browser, host: str) -> devtools.Tab:
    """The page before its network: the engine's script is added only by `release()`."""
    tab = devtools.open_page(chrome, "about:blank")
    tab.browser.call(
        "Page.addScriptToEvaluateOnNewDocument", tab.session,
        source="""const append = Element.prototype.append; const waiting = [];
        Element.prototype.append = function (...what) {
          if (!what[0]?.src?.endsWith("engine.js")) return append.apply(this, what);
          window.asked = true; waiting.push(() => append.apply(this, what)); };
        window.release = () => waiting.forEach(one => one());""",
    )  # fmt: skip
    tab.browser.call("Page.navigate", tab.session, url=f"{host}/try.html")
    until(tab, "document.readyState === 'complete' && !document.getElementById('start').hidden")
    tab.evaluate("document.getElementById('start').click()")
    return tab


def test_a_mistake_of_an_earlier_choice_is_not_told(tab: devtools.Tab, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"")
    tab.evaluate(LISTEN)
    give(tab, tmp_path / "broken.png")
    tab.evaluate("document.querySelector('[data-sample=slice]').click()")
    until(tab, f"{STATUS}.startsWith('A slice of pizza: ')")
    # Each choice is told once; the answer comes last.
    assert [words.split(":")[0] for words in tab.evaluate("words")][-1] == "A slice of pizza"
    assert len(tab.evaluate("words")) == len(set(tab.evaluate("words")))


def test_a_mistake_is_not_spoken_over_by_the_pass_under_way(tab: devtools.Tab, tmp_path: Path) -> None:
    """The answer to the photo before comes after the sentence that says what is wrong with the new one."""
    (tmp_path / "bad.png").write_bytes(b"")
    tab.evaluate(
        """(() => { const cams = Engine.cams; window.held = true;
        Engine.cams = function* (...what) { window.passing = true; while (held) yield; return yield* cams(...what); };
        document.getElementById('size').dispatchEvent(new Event('input')); })()"""
    )
    until(tab, "window.passing")
    tab.evaluate(LISTEN)
    give(tab, tmp_path / "bad.png")
    until(tab, f"{STATUS}.startsWith('bad.png is empty')")
    tab.evaluate("held = false; new Promise(done => setTimeout(done, 900))")  # an answer is said after 0.4 seconds
    assert tab.evaluate("words") == ["Reading bad.png …", "bad.png is empty: it has 0 bytes."]
    tab.evaluate("document.getElementById('size').dispatchEvent(new Event('input')); 0")
    until(tab, f"{STATUS}.startsWith('Bee: ')")  # what is asked for from then on is answered


def test_no_answer_stands_below_another_photos_name(chrome: devtools.Browser, site: Path) -> None:
    tab = opened(chrome, site)
    right = {}
    for name, title in (("slice", "A slice of pizza"), ("bee", "Bee")):
        tab.evaluate(f"document.querySelector('[data-sample={name}]').click()")
        until(tab, f"{STATUS}.startsWith('{title}: ')")
        right[title] = tab.evaluate("document.getElementById('answers').innerText")
    assert right["A slice of pizza"] != right["Bee"]
    tab.evaluate(
        """(() => { const run = Engine.run, words = id => document.getElementById(id);
        Engine.run = function* (...what) { const end = Date.now() + 300; let work = run(...what);
          while (Date.now() < end) yield; return yield* work; };
        window.pairs = [];
        new MutationObserver(() => pairs.push([words('shown').textContent, words('answers').innerText]))
          .observe(words('answers').tBodies[0], { childList: true });
        document.querySelector('[data-sample=slice]').click(); })()"""
    )
    until(tab, "document.getElementById('shown').textContent === 'A slice of pizza'")
    tab.evaluate("document.querySelector('[data-sample=bee]').click()")
    until(tab, f"pairs.some(([title, answers]) => title === 'Bee' && answers === {json.dumps(right['Bee'])})")
    pairs = tab.evaluate("pairs")
    assert all(right[title] == answers for title, answers in pairs)
    tab.close()


def test_an_address_restores_the_view(chrome: devtools.Browser, site: Path) -> None:
    other = synthetic.CLASSES[2]
    tab = devtools.open_page(chrome, f"{(site / 'try.html').as_uri()}#photo=koala&class={other}&unit=1.3.2.5")
    until(tab, f"{STATUS}.startsWith('Koala: ')")
    assert tab.evaluate("document.getElementById('map').textContent").startswith(f"Map of {other}, ")
    fields = "['which', 'channel', 'row', 'column'].map(id => document.getElementById(id).value)"
    assert tab.evaluate(fields) == ["4", "3", "2", "5"]
    # What is chosen from then on is in the address; the way back is that of the browser.
    tab.evaluate("document.querySelectorAll('#classes button')[1].click()")
    until(tab, f"location.hash === '#photo=koala&class={synthetic.CLASSES[1]}&unit=1.3.2.5'")
    tab.evaluate("document.querySelector('[data-sample=slice]').click()")
    until(tab, "location.hash === '#photo=slice&unit=1.3.2.5'")
    tab.evaluate("location.hash = '#photo=bee'")
    until(tab, f"{STATUS}.startsWith('Bee: ')")
    assert not tab.problems
    tab.close()


def test_an_address_that_names_nothing_is_the_page_as_it_is(chrome: devtools.Browser, site: Path) -> None:
    tab = devtools.open_page(chrome, f"{(site / 'try.html').as_uri()}#photo=nobody&class=nothing&unit=9.9.9.9")
    until(tab, f"{STATUS}.startsWith('Bee: ')")
    assert tab.evaluate("document.getElementById('map').textContent").startswith(f"Map of {tab.evaluate(TOP)}, ")
    assert not tab.problems
    tab.close()


def test_a_visitors_own_photo_has_no_address(tab: devtools.Tab, tmp_path: Path) -> None:
    tab.evaluate("document.querySelector('[data-sample=slice]').click()")
    until(tab, "location.hash === '#photo=slice'")
    Image.fromarray(colours(20, 20)).save(tmp_path / "a.png")
    give(tab, tmp_path / "a.png")
    until(tab, "location.hash === ''")


def pointer(tab: devtools.Tab, kind: str, x: float, y: float) -> None:
    """The mouse at a share of the photo's sides."""
    left, top, width, height = tab.evaluate(
        "(({ x, y, width, height }) => [x, y, width, height])(document.getElementById('stage').getBoundingClientRect())"
    )
    buttons = {} if kind == "mouseReleased" else {"buttons": 1}
    tab.browser.call(
        "Input.dispatchMouseEvent", tab.session, type=kind, x=left + x * width, y=top + y * height, button="left",
        clickCount=1, **buttons,
    )  # fmt: skip


def tool(tab: devtools.Tab, name: str, size: int) -> None:
    tab.evaluate(
        f"document.querySelector('[name=tool][value={name}]').click(); document.getElementById('size').value = {size};"
        "document.getElementById('size').dispatchEvent(new Event('input')); 0"
    )


def test_drawing_erasing_and_undoing_change_the_answer(tab: devtools.Tab) -> None:
    before = tab.evaluate("document.getElementById('answers').innerText")
    tab.evaluate("document.getElementById('stage').scrollIntoView()")
    tool(tab, "draw", 4)
    assert tab.evaluate("document.getElementById('undo').getAttribute('aria-disabled')") == "true"
    pointer(tab, "mousePressed", 0.25, 0.5)
    pointer(tab, "mouseMoved", 0.75, 0.5)
    until(tab, f"document.getElementById('answers').innerText !== {json.dumps(before)}")  # while it is dragged
    pointer(tab, "mouseReleased", 0.75, 0.5)
    drawn = seen(tab, INK)
    assert drawn[8, 4:12].tolist() == [[0xD0, 0x20, 0x20]] * 8  # row 8 of 16, columns 4 to 12, without a gap
    assert drawn[2].sum() == 0
    tool(tab, "erase", 4)
    pointer(tab, "mousePressed", 0.5, 0.5)
    pointer(tab, "mouseReleased", 0.5, 0.5)
    assert seen(tab, INK)[8, 7].tolist() == [0, 0, 0]
    tab.evaluate("document.getElementById('undo').click()")
    assert np.array_equal(seen(tab, INK), drawn)
    tab.evaluate("document.getElementById('undo').click()")
    assert tab.evaluate("document.getElementById('undo').getAttribute('aria-disabled')") == "true"
    until(tab, f"document.getElementById('answers').innerText === {json.dumps(before)}")


def test_a_stroke_is_all_within_the_brushs_radius_of_its_line(tab: devtools.Tab) -> None:
    tab.evaluate("document.getElementById('stage').scrollIntoView()")
    tool(tab, "draw", 3)
    side = tab.evaluate("document.getElementById('stage').getBoundingClientRect().width")
    ends = np.array([[2, 3], [12, 15.5]])  # x and y
    shares = np.round(ends / 16 * side) / side  # a pointer stands on whole pixels of the screen
    pointer(tab, "mousePressed", *shares[0])
    pointer(tab, "mouseMoved", *shares[1])
    pointer(tab, "mouseReleased", *shares[1])
    (fx, fy), (tx, ty) = shares * 16
    rows, columns = np.mgrid[0:16, 0:16] + 0.5
    share = np.clip(((columns - fx) * (tx - fx) + (rows - fy) * (ty - fy)) / ((tx - fx) ** 2 + (ty - fy) ** 2), 0, 1)
    distance = np.hypot(columns - fx - share * (tx - fx), rows - fy - share * (ty - fy))
    assert np.array_equal(seen(tab, INK).any(axis=2), distance <= 1.5)


FRAMES = "[...document.querySelectorAll('#stage .sight')].filter(one => !one.hidden).length"


def test_no_unit_is_framed_before_one_is_chosen(tab: devtools.Tab) -> None:
    """Nobody would know what the frame is."""
    assert tab.evaluate("document.querySelector('#arithmetic p').textContent").startswith("Channel ")
    assert tab.evaluate(FRAMES) == 0
    unit(tab, 1, 0, 8, 8)
    assert tab.evaluate(FRAMES) == 1


def test_the_brush_keeps_its_outline_beside_the_units(tab: devtools.Tab) -> None:
    """After a pass, too, which draws the unit's anew."""
    unit(tab, 1, 0, 8, 8)
    tool(tab, "draw", 4)
    tab.evaluate("document.getElementById('stage').focus()")
    tab.evaluate(LISTEN)
    tab.press("ArrowRight")
    until(tab, "words.some((said) => said.startsWith('Bee: '))")
    frames = "[...document.querySelectorAll('#stage .sight')].filter(one => !one.hidden).map(one => one.style.left)"
    assert "43.75%" in tab.evaluate(frames)  # from column 7 of 16, for the brush's middle is at 9
    assert len(tab.evaluate(frames)) == 2


def test_the_grey_square_follows_the_pointer_and_the_keys(tab: devtools.Tab) -> None:
    before = tab.evaluate("document.getElementById('answers').innerText")
    tab.evaluate("document.getElementById('stage').scrollIntoView()")
    tool(tab, "patch", 8)
    pointer(tab, "mousePressed", 0.5, 0.5)
    pointer(tab, "mouseReleased", 0.5, 0.5)
    grey = seen(tab, INK).any(axis=2)
    assert (np.flatnonzero(grey.any(0)).tolist(), grey.sum()) == ([4, 5, 6, 7, 8, 9, 10, 11], 64)
    until(tab, f"document.getElementById('answers').innerText !== {json.dumps(before)}")
    tab.evaluate("document.getElementById('stage').focus()")
    tab.evaluate(LISTEN)
    tab.press("ArrowRight")
    until(tab, f"{STATUS}.startsWith('Bee: ')")
    assert tab.evaluate("words")[0] == "Row 8, column 9 of 16."  # then what the network says
    grey = seen(tab, INK).any(axis=2)
    assert np.flatnonzero(grey.any(0)).tolist() == [5, 6, 7, 8, 9, 10, 11, 12]
    tab.evaluate("document.getElementById('clear').click()")
    until(tab, f"document.getElementById('answers').innerText === {json.dumps(before)}")


@pytest.mark.parametrize("arrow", ["", "ArrowRight"])
def test_the_space_bar_paints_before_any_arrow_too(tab: devtools.Tab, arrow: str) -> None:
    """And the page stays where it is."""
    tool(tab, "draw", 4)
    for key in filter(None, (arrow, " ")):
        pressed = f"new KeyboardEvent('keydown', {{ key: '{key}', cancelable: true }})"
        assert tab.evaluate(f"document.getElementById('stage').dispatchEvent({pressed})") is False, key
    columns = np.flatnonzero(seen(tab, INK).any(axis=2).any(0)).tolist()
    assert columns == [one + bool(arrow) for one in (6, 7, 8, 9)]  # of 16: around the middle


def test_a_held_space_bar_paints_and_is_undone_once(tab: devtools.Tab) -> None:
    """And the focus stays on the button that has nothing left to undo."""
    tool(tab, "draw", 4)
    for held in ("false", "true", "true"):
        pressed = f"new KeyboardEvent('keydown', {{ key: ' ', repeat: {held}, cancelable: true }})"
        assert tab.evaluate(f"document.getElementById('stage').dispatchEvent({pressed})") is False  # does not scroll
    assert seen(tab, INK).any()
    tab.evaluate("undo.focus(); undo.click()")
    assert not seen(tab, INK).any()
    assert tab.evaluate("[undo.getAttribute('aria-disabled'), document.activeElement.id]") == ["true", "undo"]


@pytest.mark.parametrize("key", ["alt", "ctrl", "meta"])
def test_arrows_with_the_browsers_own_keys_are_left_to_it(tab: devtools.Tab, key: str) -> None:
    """Alt and the left arrow go back, for example."""
    for place in ("#stage", "#stages canvas"):
        pressed = f"new KeyboardEvent('keydown', {{ key: 'ArrowLeft', {key}Key: true, cancelable: true }})"
        assert tab.evaluate(f"document.querySelector('{place}').dispatchEvent({pressed})") is True, place


def test_the_way_back_from_a_heading_keeps_what_is_drawn(tab: devtools.Tab) -> None:
    tool(tab, "draw", 4)
    pressed = "new KeyboardEvent('keydown', { key: ' ', cancelable: true })"
    tab.evaluate(f"document.getElementById('stage').dispatchEvent({pressed})")
    tab.evaluate("document.querySelectorAll('#classes button')[1].click()")
    address = f"#photo=bee&class={synthetic.CLASSES[1]}"
    until(tab, f"location.hash === '{address}'")
    tab.evaluate("location.hash = '#inside'")
    tab.evaluate("document.querySelectorAll('#classes button')[2].dispatchEvent(new PointerEvent('pointerenter'))")
    tab.evaluate("history.back()")
    until(tab, f"document.getElementById('map').textContent.startsWith('Map of {synthetic.CLASSES[1]}, ')")
    assert tab.evaluate("location.hash") == address
    tab.evaluate("location.hash = '#photo=bee&unit=1.3.2.5'")
    until(tab, "document.getElementById('column').value === '5'")
    assert seen(tab, INK).any()
    assert tab.evaluate("undo.getAttribute('aria-disabled')") == "false"


MAP = "document.getElementById('map').textContent"
PRESSED = "document.querySelector('#classes [aria-pressed=true]').innerText"


def test_any_class_is_laid_over_the_photo_by_pointer_and_keys(tab: devtools.Tab) -> None:
    top = tab.evaluate(TOP)
    assert tab.evaluate(MAP).startswith(f"Map of {top}, ")
    other = next(name for name in synthetic.CLASSES if name != top)
    place = synthetic.CLASSES.index(other)
    tab.evaluate(f"document.querySelectorAll('#classes button')[{place}].focus()")
    assert tab.evaluate(MAP).startswith(f"Map of {other}, ")
    assert tab.evaluate(PRESSED).startswith(other)
    assert tab.evaluate(STATUS) == tab.evaluate(MAP)  # for who does not see it
    tab.evaluate("document.activeElement.blur()")  # and then it is as before
    assert tab.evaluate(MAP).startswith(f"Map of {top}, ")
    tab.evaluate(f"document.querySelectorAll('#classes button')[{place}].click()")
    assert tab.evaluate(MAP).startswith(f"Map of {other}, ")
    until(tab, f"location.hash === '#photo=bee&class={other}'")
    tab.evaluate(f"document.querySelectorAll('#classes button')[{place}].click()")  # lets it go
    assert tab.evaluate(MAP).startswith(f"Map of {top}, ")
    until(tab, "location.hash === '#photo=bee'")


def test_passing_over_a_tile_shows_its_map_for_as_long_as_the_pointer_is_there(tab: devtools.Tab) -> None:
    chosen, passed = [k for k, name in enumerate(synthetic.CLASSES) if name != tab.evaluate(TOP)][:2]
    tile = "document.querySelectorAll('#classes button')[%d]"
    tab.evaluate(f"{tile % chosen}.click()")
    until(tab, f"location.hash === '#photo=bee&class={synthetic.CLASSES[chosen]}'")
    tab.evaluate(f"{tile % passed}.scrollIntoView({{ block: 'center', behavior: 'instant' }})")
    for one, wanted in ((passed, passed), (None, chosen)):
        x, y = (1, 1) if one is None else tab.evaluate(
            f"(({{ x, y, width }}) => [x + width / 2, y + 9])({tile % one}.getBoundingClientRect())"
        )  # fmt: skip
        tab.browser.call("Input.dispatchMouseEvent", tab.session, type="mouseMoved", x=x, y=y)
        until(tab, f"{MAP}.startsWith('Map of {synthetic.CLASSES[wanted]}, ')")
        assert tab.evaluate(PRESSED).startswith(synthetic.CLASSES[wanted])
    tab.evaluate("new Promise(done => setTimeout(done, 300))")
    assert tab.evaluate("location.hash") == f"#photo=bee&class={synthetic.CLASSES[chosen]}"


def test_where_no_class_was_chosen_the_map_follows_the_answer(tab: devtools.Tab) -> None:
    """What was passed over on the way to the brush is forgotten."""
    top = tab.evaluate(TOP)
    for kind in ("pointerenter", "pointerleave"):
        tab.evaluate(f"document.querySelectorAll('#classes button')[3].dispatchEvent(new PointerEvent('{kind}'))")
    tab.evaluate("document.getElementById('stage').focus()")
    for size in range(1, 9):  # until it covers what the answer was seen in
        tool(tab, "patch", size)
        tab.evaluate(LISTEN)
        tab.press("ArrowRight")
        until(tab, "words.some(said => said.startsWith('Bee: '))")
        assert tab.evaluate(MAP).startswith(f"Map of {tab.evaluate(TOP)}, ")
        if tab.evaluate(TOP) != top:
            break
    assert "class" not in tab.evaluate("location.hash")


def test_the_tiles_are_one_stop_of_the_keyboard(tab: devtools.Tab) -> None:
    stops = "[...document.querySelectorAll('#classes button')].filter(one => one.tabIndex === 0).length"
    focused = "[...document.querySelectorAll('#classes button')].indexOf(document.activeElement)"
    assert tab.evaluate(stops) == 1
    tab.evaluate("document.querySelector('#classes [tabindex=\"0\"]').focus()")
    count = len(synthetic.CLASSES)
    for key, wanted in (("Home", 0), ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", count - 1),
                        ("ArrowRight", count - 1)):  # fmt: skip
        tab.press(key)
        assert tab.evaluate(focused) == wanted, key
        assert tab.evaluate(MAP).startswith(f"Map of {synthetic.CLASSES[wanted]}, ")
        assert tab.evaluate(stops) == 1
    tab.press("Tab")
    assert tab.evaluate(focused) == -1
    assert tab.evaluate(MAP).startswith(f"Map of {tab.evaluate(TOP)}, ")


def test_a_units_arithmetic_adds_up(tab: devtools.Tab) -> None:
    tab.evaluate(
        "for (const [id, value] of [['which', 4], ['channel', 3], ['row', 2], ['column', 5]]) {"
        "document.getElementById(id).value = value; document.getElementById(id).dispatchEvent(new Event('input')); } 0"
    )
    said = tab.evaluate("document.querySelector('#arithmetic p').textContent").replace("−", "-")
    assert said.startswith("Channel 3: ")
    terms, _, rest = said.removeprefix("Channel 3: ").partition(" = ")
    parts = [float(term.split()[0]) for term in terms.replace(" - ", " + -").split(" + ")]
    total = float(rest.split(". ")[0])
    assert len(parts) == 5  # four input channels and the bias
    assert sum(parts) == pytest.approx(total, abs=0.03)
    assert float(said.rstrip(".").split()[-1]) == pytest.approx(max(total, 0), abs=0.01)
    assert tab.evaluate("document.querySelectorAll('#arithmetic td').length") == 9
    # A pixel of a picture chooses its unit: the second channel's first.
    tab.evaluate(
        "(() => { const picture = document.querySelectorAll('#stages canvas')[1];"
        "const box = picture.getBoundingClientRect();"
        "picture.dispatchEvent(new PointerEvent('pointerdown', {clientX: box.x + box.width * 9.5 / picture.width,"
        "clientY: box.y + 0.5 * box.height / picture.height})); })()"
    )
    fields = "['channel', 'row', 'column'].map(id => document.getElementById(id).value)"
    assert tab.evaluate(fields) == ["1", "0", "0"]
    # So do the arrow keys, which stay within the map; with the shift key they go to the next one.
    for key, shift, wanted in (("ArrowRight", 0, "101"), ("ArrowDown", 0, "111"), ("ArrowUp", 0, "101"),
                               ("ArrowUp", 0, "101"), ("ArrowRight", 1, "201"), ("ArrowLeft", 1, "101")):  # fmt: skip
        tab.evaluate(
            f"document.querySelectorAll('#stages canvas')[1].dispatchEvent(new KeyboardEvent('keydown', "
            f"{{ key: '{key}', shiftKey: {str(bool(shift)).lower()} }})); 0"
        )
        assert tab.evaluate(fields) == list(wanted), key
        # A screen reader is told where that is and what stands there, which ends the sum in words, too.
        value = tab.evaluate("document.querySelector('#arithmetic p').textContent").rstrip(".").split()[-1]
        place = "Channel {}, row {}, column {}: ".format(*wanted)
        assert tab.evaluate(STATUS) == f"{place}{value}.", key


# What the page shows of a unit's field, as it shows a layer.
FIELD = """(() => { const picture = document.querySelector('#arithmetic figure canvas');
  return [112, 112, ...picture.getContext('2d').getImageData(0, 0, 112, 112).data]; })()"""


def unit(tab: devtools.Tab, *address: int) -> None:
    """Name a unit by its stage's place, channel, row and column."""
    for name, value in zip(("which", "channel", "row", "column"), address, strict=True):
        tab.evaluate(f"{name}.value = {value}; {name}.dispatchEvent(new Event('input')); 0")


def test_what_a_unit_sees_has_the_edits_too(chrome: devtools.Browser, host: str) -> None:
    tab = started(chrome, host)  # a canvas that shows a picture from a file cannot be read
    unit(tab, 1, 0, 8, 8)
    before = seen(tab, FIELD)
    tab.evaluate("document.getElementById('seen').click()")
    plain = seen(tab, FIELD)
    assert not np.array_equal(plain, before)  # the network's pixels, without waiting for another pass
    wanted = synthetic.report().networks[0].explanations["bee"].seen[7:10, 7:10]
    assert np.array_equal(plain[18::37, 18::37], wanted)
    tool(tab, "draw", 2)
    tab.evaluate("document.getElementById('stage').scrollIntoView()")
    pointer(tab, "mousePressed", 8.5 / 16, 8.5 / 16)
    pointer(tab, "mouseReleased", 8.5 / 16, 8.5 / 16)
    until(tab, f"{FIELD}.slice(2 + 4 * (56 * 112 + 56)).slice(0, 3).join() === '208,32,32'")
    tool(tab, "patch", 2)
    until(tab, f"{FIELD}.slice(2 + 4 * (56 * 112 + 56)).slice(0, 3).join() === '124,116,104'")
    tab.close()


def test_what_a_unit_sees_ends_at_the_photos_edges(tab: devtools.Tab) -> None:
    words = "document.querySelector('#arithmetic figcaption').textContent"
    unit(tab, 1, 0, 8, 8)
    assert tab.evaluate(words) == "What the unit sees: 3 × 3 pixels of the photo."
    unit(tab, 1, 0, 0, 8)
    value = tab.evaluate("document.querySelector('#arithmetic p').textContent").rstrip(".").split()[-1]
    assert tab.evaluate(STATUS) == f"Channel 0, row 0, column 8: {value}."  # the fields tell it, too
    assert tab.evaluate(words) == "What the unit sees: 2 × 3 pixels of the photo; the rest of its 3 × 3 is padding."


def test_a_unit_before_any_convolution_has_no_sum(
    chrome: devtools.Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The sum of another unit would be a wrong number below its address."""
    report, figures = sites.drawn()
    offsets = np.array([-0.003, -2e-5, 1], np.float32)
    known = synthetic.live()
    steps = (LiveStep("scale", factors=0 * offsets, biases=offsets), *known.steps)
    stages = ((0, "norm"), *((place + 1, name) for place, name in known.stages))
    report = replace(report, live=replace(known, steps=steps, cam=known.cam + 1, stages=stages))
    folder = tmp_path_factory.mktemp("built") / "site"
    files = render(report, figures, sites.settings(), (sites.ROOT / "templates",), sites.ROOT / "content")
    writer.place(dict(files), folder, {"inputs": "1"})
    tab = opened(chrome, folder)
    words, framed = (
        "document.getElementById('arithmetic').textContent",
        "[...document.querySelectorAll('#stage .sight')].some(one => !one.hidden)",
    )
    for place, there in ((5, True), (0, False), (2, True)):
        unit(tab, place, 0, 0, 0)
        assert (tab.evaluate(words) != "", tab.evaluate(framed)) == (there, there), place
    # Nor is there a minus before zero, or a hyphen in its place.
    for channel, value in enumerate(("0.00", "−2.0e−5")):
        unit(tab, 0, channel, 0, 0)
        assert tab.evaluate(STATUS) == f"Channel {channel}, row 0, column 0: {value}."
    assert not tab.problems
    tab.close()


POLICY = (
    "default-src 'none'; connect-src 'self'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)


class Strict(Quiet):
    """A static host with a strict policy, which says that scripts are UTF-8 as most hosts do."""

    extensions_map = {**Quiet.extensions_map, ".js": "text/javascript; charset=utf-8"}  # noqa: RUF012

    def end_headers(self) -> None:
        """The policy with each answer."""
        self.send_header("Content-Security-Policy", POLICY)
        super().end_headers()


@pytest.fixture(scope="module")
def host(site: Path) -> Iterator[str]:
    with serving(site, Strict) as address:
        yield address


def test_over_http_with_a_strict_policy_it_answers_as_from_a_file(
    chrome: devtools.Browser, tab: devtools.Tab, host: str, tmp_path: Path
) -> None:
    Image.fromarray(colours(90, 140)).save(tmp_path / "a.png")
    served = started(chrome, host)
    answers = []
    for one in (tab, served):
        until(one, f"{STATUS}.startsWith('Bee: ')")
        give(one, tmp_path / "a.png")
        until(one, f"{STATUS}.startsWith('a.png: ')")
        answers.append(one.evaluate("document.body.innerText"))
    assert answers[0] == answers[1]
    assert not served.problems
    assert all(url.startswith((host, "data:", "blob:")) for url in served.requests)
    served.close()


@pytest.fixture
def phone(chrome: devtools.Browser, site: Path) -> Iterator[devtools.Tab]:
    """The page under a finger, the photo in the middle of its window."""
    tab = opened(chrome, site, width=390)
    tab.browser.call("Emulation.setTouchEmulationEnabled", tab.session, enabled=True)
    tab.evaluate("document.getElementById('stage').scrollIntoView({ block: 'center', behavior: 'instant' })")
    assert tab.evaluate("scrollY") > 0
    yield tab
    tab.close()


def finger(tab: devtools.Tab, *places: tuple[float, float]) -> None:
    """From one share of the photo's sides to the next, and up."""
    left, top, side = tab.evaluate(
        "(({ x, y, width }) => [x, y, width])(document.getElementById('stage').getBoundingClientRect())"
    )
    points = [[{"x": left + x * side, "y": top + y * side}] for x, y in places]
    kinds = ["touchStart", *["touchMove"] * (len(places) - 1), "touchEnd"]
    for kind, at in zip(kinds, [*points, []], strict=True):
        tab.browser.call("Input.dispatchTouchEvent", tab.session, type=kind, touchPoints=at)


def test_a_finger_draws_without_moving_the_page(phone: devtools.Tab) -> None:
    tool(phone, "draw", 2)
    before, scrolled = phone.evaluate("document.getElementById('answers').innerText"), phone.evaluate("scrollY")
    finger(phone, (0.5, 0.25), (0.5, 0.5), (0.5, 0.75))  # downwards, where a page would scroll
    assert seen(phone, INK)[4:12, 8].tolist() == [[0xD0, 0x20, 0x20]] * 8
    assert phone.evaluate("scrollY") == scrolled
    until(phone, f"document.getElementById('answers').innerText !== {json.dumps(before)}")


@pytest.mark.parametrize("places", [[(0.5, 0.75)], [(0.2, 0.75), (0.35, 0.75), (0.5, 0.75)]], ids=["tap", "sideways"])
def test_a_finger_lays_the_square(phone: devtools.Tab, places: list[tuple[float, float]]) -> None:
    tool(phone, "patch", 8)
    before, scrolled = phone.evaluate("document.getElementById('answers').innerText"), phone.evaluate("scrollY")
    finger(phone, *places)
    until(phone, "document.getElementById('clear').getAttribute('aria-disabled') === 'false'")
    rows, columns = (np.unique(found).tolist() for found in np.nonzero(seen(phone, INK).any(axis=2)))
    assert (columns, rows) == ([*range(4, 12)], [*range(8, 16)])  # where the finger left it
    assert phone.evaluate("scrollY") == scrolled
    until(phone, f"document.getElementById('answers').innerText !== {json.dumps(before)}")


def test_a_finger_that_scrolls_over_the_photo_moves_the_page(phone: devtools.Tab) -> None:
    tool(phone, "patch", 8)
    scrolled = phone.evaluate("scrollY")
    finger(phone, *((0.5, 0.9 - 0.05 * step) for step in range(16)))
    until(phone, f"scrollY > {scrolled} + 100")
    assert not seen(phone, INK).any()  # and lays nothing


def test_on_a_phone_the_photo_stays_in_view_beside_the_classes(phone: devtools.Tab) -> None:
    """Of which there may be many more."""
    phone.evaluate(
        """{ const list = document.getElementById('classes');
        for (let more = 0; more < 60; more++) list.append(list.firstChild.cloneNode(true));
        list.lastChild.scrollIntoView({ block: 'end', behavior: 'instant' }); }"""
    )
    top, bottom = phone.evaluate(
        "(({ top, bottom }) => [top, bottom])(document.getElementById('stage').getBoundingClientRect())"
    )
    assert (top >= -1, bottom < 0.6 * phone.evaluate("innerHeight")) == (True, True)
    assert phone.evaluate("document.querySelector('#classes li').getBoundingClientRect().bottom") < 0


def test_the_main_thread_is_left_to_the_browser(chrome: devtools.Browser, site: Path) -> None:
    """Work comes in slices: a clock that the page is given keeps counting while the network runs."""
    tab = opened(chrome, site)
    tab.evaluate(
        "window.turns = 0; window.now = performance.now.bind(performance); let spent = 0;"
        "performance.now = () => now() + (spent += 15); (function tick() { turns++; setTimeout(tick); })(); 0"
    )
    before = tab.evaluate("turns")
    tab.evaluate("document.querySelector('[data-sample=koala]').click()")
    until(tab, f"{STATUS}.startsWith('Koala: ')")
    assert tab.evaluate("turns") > before + 3
    # The maps, too, wait for the browser's turn; five seconds without one are for ever.
    tab.evaluate(
        "window.cams = Engine.cams; Engine.cams = function* (...what) { const [from, end] = [turns, now() + 5000];"
        "while (turns === from && now() < end) yield; window.given = turns > from; return yield* cams(...what); };"
        "document.querySelector('[data-sample=bee]').click()"
    )
    until(tab, f"{STATUS}.startsWith('Bee: ')")
    assert tab.evaluate("given") is True
    tab.close()


def test_no_map_stands_below_another_photos_name(chrome: devtools.Browser, site: Path) -> None:
    """Another photo is chosen while the maps of the first are made."""
    tab = opened(chrome, site)
    tab.evaluate(
        """(() => { const cams = Engine.cams, words = id => document.getElementById(id).textContent;
        window.shown = []; new MutationObserver(() => shown.push(words('shown')))
          .observe(document.getElementById('answers').tBodies[0], { childList: true });
        const choose = id => document.querySelector(`[data-sample=${id}]`).click();
        Engine.cams = function* (...what) { Engine.cams = cams; choose('koala');
          for (const end = Date.now() + 5000; words('shown') !== 'Koala' && Date.now() < end; ) yield;
          return yield* cams(...what); };
        choose('slice'); })()"""
    )
    until(tab, f"{STATUS}.startsWith('Koala: ')")
    assert tab.evaluate("shown") == ["Koala"]  # the pizza's answer came too late
    tab.close()


def test_without_scripts_it_shows_a_worked_example(chrome: devtools.Browser, site: Path) -> None:
    tab = devtools.open_page(chrome, (site / "try.html").as_uri(), scripts=False)
    text = tab.evaluate("document.body.innerText")
    assert "Without scripts this page cannot run the network" in text
    assert tab.evaluate("[...document.querySelectorAll('#answers tr')].map(row => row.innerText)")[0].startswith("bee")
    assert tab.evaluate("document.querySelectorAll('#stage img').length") == 2
    assert tab.evaluate("getComputedStyle(document.getElementById('undo')).visibility") == "hidden"
    touch = "getComputedStyle(document.getElementById('stage')).touchAction"
    assert tab.evaluate(touch) == "auto"  # a finger on the picture moves the page
    tab.close()


def test_the_network_comes_when_the_visitor_starts_it(chrome: devtools.Browser, host: str) -> None:
    tab = devtools.open_page(chrome, f"{host}/try.html")
    until(tab, f"{STATUS}.startsWith('This is a worked example.')")
    tab.evaluate("new Promise(done => setTimeout(done, 700))")
    network = [url for url in tab.requests if "/assets/network" in url or "/engine.js" in url]
    assert network == []
    assert tab.evaluate("document.querySelectorAll('#answers tr').length") > 1  # of the worked example
    size = "document.getElementById('start').innerText"
    assert tab.evaluate(size).startswith("Start the network (")
    assert tab.evaluate("document.getElementById('file').closest('.scripted')") is None  # a photo starts it, too
    tab.evaluate("document.getElementById('strength').focus()")
    tab.press("Home")  # the example's map needs no network to fade
    assert tab.evaluate("getComputedStyle(document.querySelector('#stage .heat')).opacity") == "0"
    tab.evaluate("document.querySelector('[data-sample=koala]').click()")
    until(tab, f"{STATUS}.startsWith('Koala: ')")
    assert tab.evaluate("[document.getElementById('start').hidden, document.getElementById('progress').hidden]") == [
        True,
        True,
    ]
    assert not tab.problems
    tab.close()


@pytest.mark.parametrize(
    ("line", "comes"),
    [
        ("{ effectiveType: '4g', downlink: 10, saveData: false }", True),
        ("{ effectiveType: '4g', downlink: 10, saveData: true }", False),
        ("{ effectiveType: '3g', downlink: 10, saveData: false }", False),
        ("undefined", False),
    ],
)
def test_over_a_fast_connection_it_comes_by_itself(chrome: devtools.Browser, host: str, line: str, comes: bool) -> None:
    told = f"{STATUS}.startsWith('Bee: ')" if comes else "!document.getElementById('start').hidden"
    tab = devtools.open_page(chrome, "about:blank")
    tab.browser.call(
        "Page.addScriptToEvaluateOnNewDocument", tab.session,
        source=f"Object.defineProperty(Navigator.prototype, 'connection', {{ get: () => ({line}) }});",
    )  # fmt: skip
    tab.browser.call("Page.navigate", tab.session, url=f"{host}/try.html")
    until(tab, f"location.protocol === 'http:' && document.readyState === 'complete' && ({told})")
    tab.close()


def test_an_address_of_a_view_has_the_network_come(chrome: devtools.Browser, host: str) -> None:
    tab = devtools.open_page(chrome, f"{host}/try.html#photo=koala")
    until(tab, f"{STATUS}.startsWith('Koala: ')")
    tab.close()


def test_its_progress_is_seen(chrome: devtools.Browser, host: str) -> None:
    tab = held_back(chrome, host)
    until(tab, "document.getElementById('progress').value > 1")
    value, most, hidden = tab.evaluate("(({ value, max, hidden }) => [value, max, hidden])(progress)")
    assert (0 < value < most, hidden) == (True, False)  # all but the engine are there
    tab.evaluate("release()")
    until(tab, f"{STATUS}.startsWith('Bee: ')")
    assert tab.evaluate("progress.hidden") is True
    tab.close()


def test_the_network_says_that_it_is_loading(chrome: devtools.Browser, host: str) -> None:
    tab = held_back(chrome, host)
    until(tab, f"{STATUS} === 'Loading the network …'")
    tab.evaluate("release()")
    until(tab, f"{STATUS}.startsWith('Bee: ')")
    tab.close()


def test_a_report_without_photos_waits_for_the_visitors(
    chrome: devtools.Browser, cropping: Path, tmp_path: Path
) -> None:
    tab = opened(chrome, cropping)
    assert tab.evaluate("document.querySelectorAll('[data-sample]').length") == 0
    until(tab, f"{STATUS} === ''")  # no longer that it is loading
    inner = "['deciding', 'stages', 'arithmetic'].map(id => document.getElementById(id).closest('section').hidden)"
    assert tab.evaluate(inner) == [True] * 3  # they would be empty
    unit(tab, 1, 0, 8, 8)  # a number of the address may still be changed by a script
    assert not tab.problems
    Image.fromarray(colours(20, 20)).save(tmp_path / "a.png")
    give(tab, tmp_path / "a.png")
    until(tab, f"{STATUS}.startsWith('a.png: ')")
    assert tab.evaluate(inner) == [False] * 3
    tab.close()


def test_a_photo_can_be_taken_with_the_camera(tab: devtools.Tab) -> None:
    tab.evaluate(
        """navigator.mediaDevices.getUserMedia = async () => { const film = document.createElement('canvas');
        film.width = film.height = 32; const context = film.getContext('2d');
        setInterval(() => { context.fillStyle = '#208040'; context.fillRect(0, 0, 32, 32); }, 20);
        return film.captureStream(); }; document.getElementById('camera').click()"""
    )
    until(tab, "document.getElementById('camera').textContent === 'Take the photo'")
    until(tab, "document.querySelector('#stage video').videoWidth === 32")
    tab.evaluate("new Promise(done => setTimeout(done, 200))")
    tab.evaluate("document.getElementById('camera').click()")
    until(tab, f"{STATUS}.startsWith('Your photo: ')")
    assert tab.evaluate("document.querySelectorAll('#stage video').length") == 0
    assert np.abs(seen(tab).astype(int) - [0x20, 0x80, 0x40]).max() <= 8  # a film's colours are not exact
    assert tab.evaluate("document.getElementById('camera').textContent") == "Use the camera"


@pytest.mark.parametrize("ended", ["the Escape key", "the camera itself"])
def test_the_camera_says_that_it_begins_and_ends(tab: devtools.Tab, ended: str) -> None:
    tab.evaluate(
        """navigator.mediaDevices.getUserMedia = async () => { const film = document.createElement('canvas');
        film.getContext('2d').fillRect(0, 0, 9, 9); window.stream = film.captureStream(); return stream; };
        document.getElementById('camera').click()"""
    )
    until(tab, f"{STATUS}.startsWith('The camera is on: ')")
    if ended == "the Escape key":
        tab.press("Escape")
    else:
        tab.evaluate("stream.getTracks()[0].dispatchEvent(new Event('ended')); 0")
    assert tab.evaluate(STATUS) == "The camera is off."
    assert tab.evaluate("document.getElementById('camera').textContent") == "Use the camera"
    assert tab.evaluate("[stream.active, document.querySelectorAll('video').length]") == [False, 0]


def test_a_camera_that_is_not_allowed_gets_a_sentence(tab: devtools.Tab) -> None:
    tab.evaluate(
        "navigator.mediaDevices.getUserMedia = () => Promise.reject(new Error('no'));"
        "document.getElementById('camera').click()"
    )
    until(tab, f"{STATUS}.startsWith('The camera cannot be used')")
