"""The pixels of a data set: read one by one at their own size, looked through once, and as squares kept on disk.

What was found lies in the cache's folder under the images' fingerprint, so that a data set is decoded once. Squares are
one file a part, mapped into memory: a set may be larger than the memory. What is found in images of any size is kept a
piece of them at a time: who was killed while looking through a million goes on, and several processes share the pieces.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from generator.base import terminal
from generator.base.errors import InputError, reason
from generator.base.files import replacing, write
from generator.data import image_files
from generator.data.dataset import DataSet, Item, Part, fingerprint
from generator.data.image_files import read_photo
from generator.data.preprocessing import square
from generator.records import stored
from generator.records.images import Pixels

CACHE_VERSION = 3  # of what decoding means; raise it with any change there
CHUNK = 512  # squares that are hashed at once
PIECE = 1000  # images looked through whose finding is kept, until all were
FINDING = np.dtype([("whole", "?"), ("size", "<i4", 2), ("content", "u1", 32)])
HELD = 1 << 29  # bytes of images that are looked at many times, such as 400 of 640 x 480
NAMED = 3  # images that a line names
CONTENTS = ".contents"

Size = tuple[int, int]


@dataclass(frozen=True)
class _Look:
    """What was found in the images of one part."""

    digest: str
    skipped: tuple[str, ...] = ()
    sizes: tuple[Size, Size] | None = None  # (H, W), the least and the most
    contents: str = ""  # digest of the file that `_keep_contents` wrote


class Pictures(Sequence[Pixels]):
    """Images of a data set as a sequence of pixels, each read when it is asked for."""

    def __init__(self, data: DataSet, items: Sequence[Item]) -> None:
        self.data, self.items = data, items

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> Pixels: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Pixels]: ...

    def __getitem__(self, index: int | slice) -> Pixels | Sequence[Pixels]:
        if isinstance(index, slice):
            return Pictures(self.data, self.items[index])
        return self._one(index)

    def _one(self, index: int) -> Pixels:
        return pixels(self.data, self.items[index])


class Remembered(Pictures):
    """The same for images that are gone through many times: those that fit into `room` (`HELD`) are read once."""

    def __init__(self, data: DataSet, items: Sequence[Item], room: int | None = None) -> None:
        super().__init__(data, items)
        self.room, self.known = HELD if room is None else room, dict[int, Pixels]()

    def _one(self, index: int) -> Pixels:
        if (known := self.known.get(index)) is not None:
            return known
        found = super()._one(index)
        if found.nbytes <= self.room:
            self.room -= found.nbytes
            self.known[index] = found
        return found


def pixels(data: DataSet, item: Item) -> Pixels:
    """One image at its own size, (H, W, 3) uint8.

    Raises:
        InputError: if it cannot be read.
    """
    found = _read(item)
    return square(found, data.side) if data.side else found


def whole(data: DataSet, cache: Path) -> DataSet:
    """The data set without the images that cannot be read, with its digests and its images' sizes.

    Args:
        cache: folder for what is found; made where it is missing.
    Raises:
        InputError: for a part in which no image of a class can be read, or a cache that cannot be written.
    """
    looked = [_looked(data, part, cache) for part in data.parts]
    looks = [look for look, _ in looked]
    contents = {part.name: found for part, (_, found) in zip(data.parts, looked, strict=True)}
    parts = []
    for part, look in zip(data.parts, looks, strict=True):
        broken = set(look.skipped)
        kept = tuple(item for item in part.items if item.name not in broken)
        _refuse_emptied(data, part, kept)
        if broken:
            names = ", ".join(look.skipped[:NAMED]) + (", …" if len(broken) > NAMED else "")
            count = "1 broken image is" if len(broken) == 1 else f"{len(broken):,} broken images are"
            terminal.say(f"{part.name}: {count} left out: {names}")
        parts.append(replace(part, items=kept, digest=look.digest))
    sides = [size for look in looks if look.sizes for size in look.sizes]
    sizes = (_least(sides), _most(sides)) if sides else data.words.sizes
    skipped = tuple(name for look in looks for name in look.skipped)
    found = replace(data, parts=tuple(parts), skipped=skipped, words=replace(data.words, sizes=sizes))
    if shared := _shared(found, contents):
        terminal.say(f"{data.name}: {shared}")
        found = replace(found, words=replace(found.words, notes=(*found.words.notes, shared)))
    return found


def _shared(data: DataSet, contents: Mapping[str, NDArray[np.uint64]]) -> str:
    """What readers should know of images that judge and are among those that the network was fitted on, too.

    Told by what the files hold, or the pixels of images that are no files: another compression is another image.
    """
    judged, fitted = data.judged, data.fitted
    if judged is None or fitted is None or judged.name == fitted.name:
        return ""
    count = int(np.isin(contents[judged.name], contents[fitted.name]).sum())
    if not count:
        return ""
    whole = count == len(judged)
    which = "All" if whole else f"{count:,} of the {len(judged):,}"
    are = "is" if count == 1 and not whole else "are"
    return (
        f"{which} {judged.called} {are} also among the {fitted.called}: how a network answers what it was fitted on is "
        "no test of it."
    )


def squares(data: DataSet, part: Part, side: int, cache: Path) -> NDArray[np.uint8]:
    """The images of one part as squares, (N, 3, side, side), in the order of its items.

    Args:
        data: of `whole`.
        side: in pixels; where all images are known to be alike, theirs is taken.
    Returns:
        an array that lies in a file of the cache's folder and is read from there as it is used; it may be written to,
        which does not change the file.
    Raises:
        InputError: for a cache that cannot be written, and an image that cannot be read any more.
    """
    side = data.side or side
    file = _place(data, part, side, cache)
    look = _read_look(file)
    found = _mapped(file, len(part), side)
    # The checksum also finds a file whose length is right and whose content is not.
    if (
        look is None
        or look.skipped
        or found is None
        or look.digest != _digest(part.items, _rows(file.with_suffix(".npy")))
    ):
        look = _keep_squares(part, side, file)
        if look.skipped:
            raise InputError(f"{part.name}: {look.skipped[0]}: expected the image that was read before, it is broken")
        found = _mapped(file, len(part), side)
        assert found is not None
    return found


def _looked(data: DataSet, part: Part, cache: Path) -> tuple[_Look, NDArray[np.uint64]]:
    """What is in the images of a part, and the beginning of each one's digest: from before, else looked at now."""
    file = _place(data, part, data.side, cache)
    look = _read_look(file)
    contents = None if look is None else _contents(file, look)
    if look is None or contents is None:
        look = _keep_squares(part, data.side, file) if data.side else _keep_look(part, file)
        contents = _contents(file, look)
        assert contents is not None
    return look, contents


def _place(data: DataSet, part: Part, side: int, cache: Path) -> Path:
    """The file of what is found in a part, without its ending."""
    key = fingerprint(part.items, CACHE_VERSION, part.name, data.classes.keys, side)
    return cache / f"{part.name}-{key[:32]}"


def _read(item: Item) -> Pixels:
    return read_photo(item.path) if item.held is None else item.held[item.at]


def _read_or_skip(item: Item) -> Pixels | None:
    """None for a file that is broken; of images that share one, each is there or none is."""
    try:
        return _read(item)
    except InputError:
        if item.held is not None:
            raise
        return None


def look(data: DataSet, cache: Path, number: int, of: int) -> None:
    """One process's share of what `whole` looks through, the `number`th `of` several; the others' it leaves to them.

    Raises:
        InputError: for a cache that cannot be written.
    """
    for part in data.parts:
        file = _place(data, part, data.side, cache)
        if not data.side and _read_look(file) is None:
            with _written(cache):
                for _ in _findings(part, file, range(number, -(-len(part) // PIECE), of)):
                    pass


def _keep_look(part: Part, file: Path) -> _Look:
    """Every image read once: which are broken, the others' sizes, and a digest of their files, or of their pixels."""
    state, skipped = hashlib.sha256(), list[str]()
    with _written(file.parent):
        found = np.concatenate([np.zeros(0, FINDING), *_findings(part, file, range(-(-len(part) // PIECE)))])
        contents = found["content"].tobytes()
        for at, item in enumerate(part.items):
            if found["whole"][at]:
                name = item.name.encode("utf-8", "surrogateescape")
                state.update(len(name).to_bytes(8, "little") + name + contents[32 * at : 32 * at + 32])
            else:
                skipped.append(item.name)
        found = found[found["whole"]]
        sizes: Sequence[Size] = [(int(high), int(wide)) for high, wide in np.unique(found["size"], axis=0)]
        ends = (_least(sizes), _most(sizes)) if sizes else None
        kept = _keep_contents(file, [each.tobytes() for each in found["content"]])
        told = _Look(state.hexdigest(), tuple(skipped), ends, kept)
        _write_look(file, told)
        shutil.rmtree(_pieces(file), ignore_errors=True)
    return told


def _pieces(file: Path) -> Path:
    """Where what is found in a part lies until all of it was looked through."""
    return file.with_suffix(".pieces")


def _findings(part: Part, file: Path, numbers: range) -> Iterator[NDArray[np.void]]:
    """What is found in some pieces of a part, (n,) FINDING each: from before, else looked at now and kept."""
    count = sum(len(part.items[PIECE * number : PIECE * (number + 1)]) for number in numbers)
    _pieces(file).mkdir(exist_ok=True)
    with terminal.bar(f"reading the {part.called}", count, "images") as bar:
        for number in numbers:
            place, items = _pieces(file) / f"{number:06}", part.items[PIECE * number : PIECE * (number + 1)]
            found = _read_finding(place, len(items))
            if found is None:
                found = np.zeros(len(items), FINDING)
                for at, item in enumerate(items):
                    found[at] = _found(item)
                    bar.advance()
                write(place, found.tobytes())
            else:
                bar.advance(len(items))
            yield found


def _read_finding(place: Path, count: int) -> NDArray[np.void] | None:
    """What was kept of a piece, None where it is missing or cut short."""
    try:
        content = place.read_bytes()
    except OSError:
        return None
    return np.frombuffer(content, FINDING) if len(content) == count * FINDING.itemsize else None


def _found(item: Item) -> tuple[bool, tuple[int, ...], NDArray[np.uint8]]:
    """Whether an image can be read, its size, and a digest of its file, or of its pixels."""
    pixels = _read_or_skip(item)
    if pixels is None:
        return False, (0, 0), np.zeros(32, np.uint8)
    held = item.held and bytes.fromhex(image_files.digest(pixels))
    content = held or hashlib.sha256(item.path.read_bytes()).digest()
    return True, pixels.shape[:2], np.frombuffer(content, np.uint8)


def _keep_squares(part: Part, side: int, file: Path) -> _Look:
    """Every image cut square and kept in one file; a digest of the names and the pixels."""
    skipped: list[str] = []
    contents: list[bytes] = []

    def cuts() -> Iterator[Pixels]:
        with terminal.bar(f"decoding the {part.called}", len(part), "images") as bar:
            for item in part.items:
                found = _read_or_skip(item)
                if found is None:
                    skipped.append(item.name)
                else:
                    cut = square(found, side)
                    contents.append(hashlib.sha256(np.ascontiguousarray(cut).data).digest())
                    yield cut.transpose(2, 0, 1)
                bar.advance()

    with _written(file.parent):
        with replacing(file.with_suffix(".npy")) as unfinished:
            count = _fill(unfinished, (len(part), 3, side, side), cuts())
            broken = set(skipped)
            kept = [item for item in part.items if item.name not in broken]
            if skipped:  # the file ends where its images do
                with replacing(unfinished) as shorter:
                    _fill(shorter, (count, 3, side, side), (row for rows in _rows(unfinished) for row in rows))
            digest = _digest(kept, _rows(unfinished))
        look = _Look(digest, tuple(skipped), contents=_keep_contents(file, contents))
        _write_look(file, look)
    return look


def _keep_contents(file: Path, contents: Sequence[bytes]) -> str:
    """The first eight bytes of each image's digest: of a billion images two others' agree once in forty data sets.

    Returns:
        a digest of the file.
    """
    content = b"".join(content[:8] for content in contents)
    write(file.with_suffix(CONTENTS), content)
    return hashlib.sha256(content).hexdigest()


def _contents(file: Path, look: _Look) -> NDArray[np.uint64] | None:
    """What `_keep_contents` kept, None where it is missing or damaged."""
    try:
        content = file.with_suffix(CONTENTS).read_bytes()
    except OSError:
        return None
    return np.frombuffer(content, "<u8") if hashlib.sha256(content).hexdigest() == look.contents else None


def _fill(file: Path, shape: tuple[int, ...], rows: Iterable[NDArray[np.uint8]]) -> int:
    """Write rows into a new .npy file of that shape, which ends with them; how many there were."""
    count = 0
    with file.open("xb") as opened:
        said = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(opened, said)
        for row in rows:
            opened.write(np.ascontiguousarray(row).data)
            count += 1
    return count


def _rows(file: Path) -> Iterator[NDArray[np.uint8]]:
    """What `_fill` wrote, as far as it goes, `CHUNK` rows at a time: read, not mapped, so that memory stays free."""
    with file.open("rb") as opened:
        np.lib.format.read_magic(opened)
        shape, _, _ = np.lib.format.read_array_header_1_0(opened)
        size = math.prod(shape[1:])
        while content := opened.read(CHUNK * size):
            yield np.frombuffer(content, np.uint8).reshape(-1, *shape[1:])


def _mapped(file: Path, count: int, side: int) -> NDArray[np.uint8] | None:
    """The squares in a file, None where it is missing or is not what it should be."""
    try:
        found: NDArray[np.uint8] = np.load(file.with_suffix(".npy"), mmap_mode="c")
    except (OSError, ValueError, EOFError):
        return None
    return found if found.shape == (count, 3, side, side) and found.dtype == np.uint8 else None


def _digest(items: Sequence[Item], chunks: Iterable[NDArray[np.uint8]]) -> str:
    """sha256 over names and pixels."""
    state = hashlib.sha256("\n".join(item.name for item in items).encode("utf-8", "surrogateescape"))
    for chunk in chunks:
        state.update(np.ascontiguousarray(chunk).data)
    return state.hexdigest()


def _refuse_emptied(data: DataSet, part: Part, kept: Sequence[Item]) -> None:
    """Refuse a part in which every image of a class is broken."""
    read = {item.target for item in kept}
    for item in part.items:
        if item.target not in read:
            key = data.classes.keys[item.target]
            raise InputError(
                f"{item.path}: expected whole images of {key}, every one in the {part.name} part is broken"
            )


def _read_look(file: Path) -> _Look | None:
    """What `_write_look` wrote, None where it is missing or damaged."""
    try:
        return stored.read(_Look, file.with_suffix(".json"), "")
    except InputError:
        return None


def _write_look(file: Path, look: _Look) -> None:
    write(file.with_suffix(".json"), json.dumps(asdict(look)).encode())


@contextmanager
def _written(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise InputError(
            f"{folder}: expected room for the decoded images, cannot write there {reason(error)}"
        ) from None


def _least(sizes: Sequence[Size]) -> Size:
    return min(sizes, key=_area)


def _most(sizes: Sequence[Size]) -> Size:
    return max(sizes, key=_area)


def _area(size: Size) -> tuple[int, int]:
    """What sizes are ordered by: of as many pixels the wider comes first, so that two that differ are not one."""
    return size[0] * size[1], size[0]
