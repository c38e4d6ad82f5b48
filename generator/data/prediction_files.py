"""Files of a network's answers, as any framework may write them: a CSV table, or NumPy's arrays. No image is opened.

In goes `predictions.csv` or `predictions.npz`, out comes `Answered`: the rows as they stand, their numbers proved to be
logits or made so. Which image a row is about, and which class a column, is for `predictions` to find.
"""

from __future__ import annotations

import io
import itertools
import math
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from generator.base.errors import InputError, reason
from generator.config.reading import lines_of
from generator.data.lists import DELIMITERS, IMAGE, LABEL, header, table
from generator.data.naming import some
from generator.records.images import Floats

Kind = Literal["probabilities", "logits"]

INDEX = ("index",)
PREDICTED = ("prediction", "predicted", "pred")
ARRAYS = {  # what arrays hold by their names, in small letters
    **dict.fromkeys(("files", "paths", "filenames", *IMAGE), "images"),
    **dict.fromkeys(("labels", "targets", *LABEL), "labels"),
    **dict.fromkeys(("classes", "class_names"), "classes"),
    **dict.fromkeys(INDEX, "index"),
    **dict.fromkeys(("scores", "probabilities", "logits"), "scores"),
}
# Bytes of all arrays but the scores, unpacked, and of scores whose columns stand one after the other.
MOST_ARRAYS = 2**30
HELD = 2**28  # bytes of scores that lie in memory; more of them lie in a file without a name, which the system reads
# What zipfile and NumPy raise for what is no archive, is damaged, encrypted, or packed otherwise.
DAMAGE = (ValueError, EOFError, RuntimeError, NotImplementedError, MemoryError, zipfile.BadZipFile, zlib.error)
TOLERANCE = 0.01  # by which the probabilities of a row may miss 1: rounding to a few digits, or half precision
BOTH = "of one probability p give both classes: 1 - p and p"
SLIGHT = 1e-6  # by which rounding may bring one of them below 0 or above 1
LARGEST = 1e30  # of a logit: differences of such are finite in float32


@dataclass(frozen=True)
class Answered:
    """The rows of a file of answers, N of them with K scores each."""

    file: Path
    logits: Floats  # (N, K); of probabilities their logarithms
    kind: Kind  # what stands in the file
    zeros: int  # probabilities of 0 among them, which have no logarithm and were taken to be the least that is there
    columns: tuple[str, ...]  # what the scores are called, () where they have no names
    images: tuple[str, ...] | None  # paths, as they are written
    index: tuple[str, ...] | None  # numbers of images, as they are written
    labels: tuple[str, ...] | None
    predicted: tuple[str, ...] | None  # the answer in words, which the scores must agree with
    lines: tuple[int, ...] | None  # where the rows begin in a text; None: of arrays

    def __len__(self) -> int:
        return len(self.logits)

    def place(self, row: int) -> str:
        """Where a row stands, for messages."""
        return _place(self.file, self.lines, row)


def read(file: Path, classes: Collection[str]) -> Answered:
    """The rows of a file.

    Args:
        classes: names that columns of scores may have; a column called as one of them is no other.
    Raises:
        InputError: for a file that cannot be read or is too large, columns or arrays that are not known or are missing,
            and scores that are neither probabilities nor logits.
    """
    if file.suffix.lower() == ".npz":
        return _of_arrays(file)
    if file.suffix.lower() in (".csv", ".tsv"):
        return _of_text(file, classes)
    raise InputError(f"{file}: expected a file of answers called .csv, .tsv or .npz, got {file.suffix or 'another'}")


# Tables in text


def _of_text(file: Path, classes: Collection[str]) -> Answered:
    with tempfile.SpooledTemporaryFile(HELD) as values:
        return _of_lines(file, classes, values)


def _of_lines(file: Path, classes: Collection[str], values: IO[bytes]) -> Answered:
    """The rows of a text; their scores are put down in `values` as they come, and read from there."""
    told_lines = lines_of(file, "file of answers", "expected a file of answers, there is none")
    known = {*IMAGE, *LABEL, *INDEX, *PREDICTED, *(name.casefold() for name in classes)}
    begun = next(told_lines, "")
    first = begun.rstrip("\r\n")
    delimiter, names = header(first, known)
    if not known & {name.casefold() for name in names}:  # as where columns are called 0, 1, 2
        delimiter = max(DELIMITERS, key=first.count)
    rows = table(file, itertools.chain([begun], told_lines), delimiter)
    _, names = next(rows, (0, []))
    places = _columns(file, names, classes)
    called = tuple(names[at] for at in places["scores"])
    lines: list[int] = []
    told: dict[str, list[str]] = {role: [] for role in places if role not in ("scores", "order")}
    for line, cells in rows:
        if "order" in places and cells[0].strip() != str(len(lines)):
            raise InputError(
                f"{file}, line {line}: expected {len(lines)} in the first column, which has no name and would number "
                f"the rows, got {cells[0]!r:.60}; give it a name, or write the file without an index"
            )
        lines.append(line)
        for role, cells_of in told.items():
            cells_of.append(cells[places[role][0]].strip())
        values.write(_numbers(file, line, [cells[at] for at in places["scores"]], called, classes).tobytes())
    if not lines:
        raise InputError(f"{file}: expected a row for each image, found none")

    @contextmanager
    def opened() -> Iterator[IO[bytes]]:
        values.seek(0)
        yield values

    scores = _Scores((len(lines), len(called)), np.dtype(np.float64), opened)
    logits, kind, zeros = _as_logits(file, scores, "", tuple(lines))
    found = {role: tuple(cells) for role, cells in told.items()}
    return Answered(
        file,
        logits,
        kind,
        zeros,
        called,
        found.get("images"),
        found.get("index"),
        found.get("labels"),
        found.get("predicted"),
        tuple(lines),
    )


def _columns(file: Path, names: Sequence[str], classes: Collection[str]) -> dict[str, list[int]]:
    """Role -> its columns: of images, index, labels and the answer one at most, of scores the rest."""
    if not names:
        raise InputError(f"{file}: expected the names of the columns in its first line, it is empty")
    if again := next((name for at, name in enumerate(names) if name in names[:at]), None):
        raise InputError(f"{file}: expected columns of different names, {again!r:.60} stands there twice")
    roles = {"images": IMAGE, "labels": LABEL, "index": INDEX, "predicted": PREDICTED}
    found: dict[str, list[int]] = {}
    for at, name in enumerate(names):
        role = next((role for role, known in roles.items() if name.casefold() in known), "scores")
        role = "scores" if name in classes else "order" if not name and not at else role
        found.setdefault(role, []).append(at)
    for role in roles:
        if len(several := found.get(role, [])) > 1:
            called = " and ".join(names[at] for at in several)
            raise InputError(f"{file}: expected one column of {role}, found {called}; leave the others out")
    if "scores" not in found:
        alone = f" beside {names[found['predicted'][0]]}, which alone tells how often" if "predicted" in found else ""
        raise InputError(
            f"{file}: expected a column of scores for each class, called as the class is{alone}"
            f"{' it is right and nothing of how sure' if alone else ''}; found {some(names)}"
        )
    if len(found["scores"]) == 1:
        raise InputError(
            f"{file}: expected a column of scores for each class, found {names[found['scores'][0]]!r:.60} alone; {BOTH}"
        )
    return found


def _numbers(
    file: Path, line: int, cells: Sequence[str], names: Sequence[str], classes: Collection[str]
) -> NDArray[np.float64]:
    try:
        return np.array([float(cell) for cell in cells])
    except ValueError:
        at = next(at for at, cell in enumerate(cells) if not _is_number(cell))
        came = repr(cells[at])[:60] if cells[at].strip() else "nothing"
        mend = "; write decimals with a point" if _is_number(cells[at].replace(",", ".")) else ""
        if names[at] not in classes:
            mend = f"; a column of images is called {' or '.join(IMAGE)}, leave out what is none and no class"
        raise InputError(f"{file}, line {line}: expected a number in {names[at][:60]!r}, got {came}{mend}") from None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


# Arrays


def _of_arrays(file: Path) -> Answered:
    arrays = _arrays(file)
    found: dict[str, str] = {}
    for name in arrays:
        role = ARRAYS.get(name.casefold())
        if role is None:
            expected = "scores (or probabilities, or logits), files, labels, classes, index"
            raise InputError(f"{file}: expected arrays called {expected}, found {name[:60]!r}; leave it out")
        if role in found:
            raise InputError(f"{file}: expected one array of {role}, found {found[role]} and {name}")
        found[role] = name
    if "scores" not in found:
        raise InputError(f"{file}: expected an array scores, probabilities or logits, found {some(arrays) or 'none'}")
    scores = arrays[found["scores"]]
    if len(scores.shape) != 2 or scores.shape[1] < 2 or not scores.shape[0] or scores.dtype.kind not in "fiu":
        shape = " x ".join(map(str, scores.shape)) or "a single one"
        binary = scores.dtype.kind == "f" and scores.shape and math.prod(scores.shape) == scores.shape[0] > 1
        mend = f"; {BOTH}" if binary else ""
        raise InputError(
            f"{file}: expected numbers in {found['scores']}, a row an image and a column a class, got {shape} of "
            f"{scores.dtype}{mend}"
        )
    assert isinstance(scores, _Scores)
    count = scores.shape[0]
    said = found["scores"].casefold()
    logits, kind, zeros = _as_logits(file, scores, said if said != "scores" else "", None)
    listed = {
        role: _words(file, name, array) for role, name in found.items() if isinstance(array := arrays[name], np.ndarray)
    }
    for role, words in listed.items():
        wanted, of = (scores.shape[1], "columns") if role == "classes" else (count, "rows")
        if len(words) != wanted:
            raise InputError(
                f"{file}: expected one of {found[role]} for each of the {wanted:,} {of} of {found['scores']}, got "
                f"{len(words):,}"
            )
    columns = listed.get("classes", ())
    if again := next(iter({name for name in columns if columns.count(name) > 1}), None):
        raise InputError(f"{file}: expected different classes, {again!r:.60} stands there twice")
    return Answered(
        file,
        logits,
        kind,
        zeros,
        columns,
        listed.get("images"),
        listed.get("index"),
        listed.get("labels"),
        None,
        None,
    )


@dataclass(frozen=True)
class _Scores:
    """Scores that are read some rows at a time, as often as they are asked for."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    opened: Callable[[], AbstractContextManager[IO[bytes]]]  # where the first number stands, a row after the other


def _arrays(file: Path) -> dict[str, NDArray[Any] | _Scores]:
    """The arrays of an .npz file, none of which is a pickle or larger than the file says; scores are not read yet."""
    expected = f"{file}: expected an .npz file, as numpy.savez writes it"
    found: dict[str, NDArray[Any] | _Scores] = {}
    try:
        if not file.is_file():
            raise InputError(f"{file}: expected a file of answers, there is none")
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            names = [entry.filename.removesuffix(".npy") for entry in entries]
            others = [entry for entry, name in zip(entries, names, strict=True) if not _holds_scores(name)]
            if (total := sum(entry.file_size for entry in others)) > MOST_ARRAYS:
                raise InputError(
                    f"{expected}, of at most {MOST_ARRAYS >> 20:,} MiB unpacked beside the scores, got "
                    f"{total >> 20:,} MiB"
                )
            for entry, name in zip(entries, names, strict=True):
                with archive.open(entry) as opened:
                    shape, by_columns, dtype = _require_array(file, name, opened, entry.file_size)
                if not _holds_scores(name):
                    with archive.open(entry) as opened:
                        found[name] = npy.read_array(opened, allow_pickle=False)
                elif by_columns and len(shape) > 1:
                    if entry.file_size > MOST_ARRAYS:
                        raise InputError(
                            f"{expected}, with the scores of an image beside one another, got those of a class; save "
                            f"numpy.ascontiguousarray({name[:60]})"
                        )
                    with archive.open(entry) as opened:
                        turned = npy.read_array(opened, allow_pickle=False).tobytes("C")
                    found[name] = _Scores(shape, dtype, partial(io.BytesIO, turned))
                else:
                    found[name] = _Scores(shape, dtype, partial(_unpacked, file, entry.filename))
    except InputError:  # which is a ValueError
        raise
    except OSError as error:
        raise InputError(f"{expected}, it cannot be read {reason(error)}") from None
    except DAMAGE as error:
        raise InputError(f"{expected}, got what is none ({' '.join(str(error).split())[:100]})") from None
    return found


def _holds_scores(name: str) -> bool:
    return ARRAYS.get(name.casefold()) == "scores"


@contextmanager
def _unpacked(file: Path, entry: str) -> Iterator[IO[bytes]]:
    """An array of an .npz file, from its first number on."""
    with zipfile.ZipFile(file) as archive, archive.open(entry) as opened:
        _head(opened)
        yield opened


def _head(opened: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns stand one after the other, and type of an array, whose numbers come next."""
    version = npy.read_magic(opened)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of its arrays")
    return npy.read_array_header_1_0(opened) if version == (1, 0) else npy.read_array_header_2_0(opened)


def _require_array(file: Path, name: str, opened: IO[bytes], size: int) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """The head of an array; refused is one of objects, and, before memory is asked for, of more than is there."""
    shape, by_columns, dtype = _head(opened)
    if dtype.hasobject:
        raise InputError(
            f"{file}: expected numbers and strings in {name[:60]}, got objects, which are a pickle and are not read; "
            "for strings save numpy.array(names, dtype=str)"
        )
    if any(side < 0 for side in shape) or math.prod(shape) * dtype.itemsize > size:
        raise ValueError(f"{name[:60]}: its head tells of more than it holds")
    return shape, by_columns, dtype


def _words(file: Path, name: str, array: NDArray[Any]) -> tuple[str, ...]:
    """A list of names or whole numbers as words."""
    if array.ndim == 1 and array.dtype.kind in "USiu":
        try:
            words = (word.decode() if isinstance(word, bytes) else str(word) for word in array.tolist())
            return tuple(word.strip() for word in words)
        except UnicodeDecodeError:
            raise InputError(f"{file}: expected text in UTF-8 in {name}, got another encoding") from None
    shape = " x ".join(map(str, array.shape)) or "a single one"
    raise InputError(f"{file}: expected a list of strings or whole numbers in {name}, got {shape} of {array.dtype}")


# Scores


def _as_logits(file: Path, values: _Scores, said: str, lines: Sequence[int] | None) -> tuple[Floats, Kind, int]:
    """Logits, what the scores were, and how many zeros were among their probabilities.

    Where every row sums to 1 they are probabilities, and anything else are logits, unless it looks like neither.

    Args:
        values: (N, K) of any kind of number; float64 are made of a few rows at a time.
        said: "probabilities" or "logits", by the array's name; "": found.
    """

    def refuse(rows: NDArray[np.bool_], expected: str) -> InputError:
        row = int(np.flatnonzero(rows)[0])
        low, high, total = least[row], most[row], sums[row]
        return InputError(
            f"{_place(file, lines, row)}: expected {expected}; got {low:g} to {high:g}, the sum {total:g}"
        )

    sums, least, most = (np.empty(values.shape[0]) for _ in range(3))
    for rows, block in _blocks(file, values):
        if (wild := ~(np.abs(block) <= LARGEST)).any():  # NaN too
            row, at = np.argwhere(wild)[0].tolist()
            raise InputError(f"{_place(file, lines, rows.start + row)}: expected finite scores, got {block[row, at]:g}")
        sums[rows], least[rows], most[rows] = block.sum(1), block.min(1), block.max(1)
    outside, uneven = (least < -SLIGHT) | (most > 1 + SLIGHT), np.abs(sums - 1) > TOLERANCE
    if not uneven.any():
        if outside.any():
            raise refuse(outside, "probabilities from 0 to 1, for every row sums to 1")
        if said == "logits":
            raise InputError(
                f"{file}: expected logits, as the array is called, got probabilities: every row sums to 1; call it "
                "probabilities"
            )
        logits, zeros = _logarithms(file, values)
        return logits, "probabilities", zeros
    if said == "probabilities":
        raise refuse(uneven | outside, "probabilities, as the array is called: from 0 to 1, the sum of a row 1")
    if not outside.any():
        raise refuse(
            uneven,
            "probabilities, of which each row sums to 1, or logits, but all scores lie between 0 and 1 (of sigmoids, "
            "divide each row by its sum; of rounded ones, write more digits)",
        )
    if (least >= 0).all() and (np.abs(sums - 100) <= 100 * TOLERANCE).all():
        raise refuse(uneven, "probabilities or logits, not percentages: divide them by 100")
    logits = room(values.shape)
    for rows, block in _blocks(file, values):
        logits[rows] = block
    return logits, "logits", 0


def _logarithms(file: Path, values: _Scores) -> tuple[Floats, int]:
    """Of probabilities, and how many are 0: taken to be the least number above it, at most float32's epsilon."""
    least, zeros = float(np.finfo(np.float32).eps), 0
    for _, block in _blocks(file, values):
        least = float(block.min(where=block > 0, initial=least))
        zeros += int((block <= 0).sum())
    found = room(values.shape)
    for rows, block in _blocks(file, values):
        found[rows] = np.log(np.maximum(block, least))
    return found, zeros


BLOCK = 1 << 21  # numbers that are float64 at once: 16 MiB


def _blocks(file: Path, values: _Scores) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Rows of the scores, some at a time, and where they are; all as float64 would take four times half precision."""
    count, width = values.shape
    step = max(1, BLOCK // width)
    try:
        with values.opened() as stream:
            for start in range(0, count, step):
                asked = min(step, count - start)
                raw = stream.read(asked * width * values.dtype.itemsize)
                block = np.frombuffer(raw, values.dtype).reshape(asked, width)
                yield slice(start, start + asked), block.astype(np.float64)
    except OSError as error:
        raise InputError(f"{file}: expected an .npz file, it cannot be read {reason(error)}") from None
    except DAMAGE as error:
        told = " ".join(str(error).split())[:100]
        raise InputError(
            f"{file}: expected an .npz file, as numpy.savez writes it, got what is none ({told})"
        ) from None


def room(shape: tuple[int, ...]) -> Floats:
    """Place for so many float32: in memory, or of more than `HELD` bytes in a file that is gone when nothing uses it.

    Raises:
        InputError: where the disk has no room for it.
    """
    size = 4 * math.prod(shape)
    if size <= HELD:
        return np.empty(shape, np.float32)
    folder = tempfile.gettempdir()
    if shutil.disk_usage(folder).free < size:  # what is written to a file that has no room ends the program
        raise InputError(
            f"{folder}: expected room for {size >> 20:,} MiB, the answers as they are read; make some, or name another "
            "folder in the environment variable TMPDIR"
        )
    with tempfile.TemporaryFile(dir=folder) as opened:
        found: Floats = np.memmap(opened, np.float32, "w+", shape=shape)
    return found


def _place(file: Path, lines: Sequence[int] | None, row: int) -> str:
    return f"{file}, row {row + 1}" if lines is None else f"{file}, line {lines[row]}"
