"""IDX files as MNIST's are: made by hand, byte by byte, and what is refused of them in one line."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from generator.base.errors import InputError
from generator.config.schema import DataConfig
from generator.data import arrays, decoded, idx
from generator.data.layouts import opened
from generator.data.parts import MAYBE_SEEN

DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # of Debian's package dataset-fashion-mnist


def idx_bytes(kind: int, shape: tuple[int, ...], numbers: bytes) -> bytes:
    """The format as its author describes it: 00 00, the type, the number of sides, the sides, the numbers."""
    return bytes([0, 0, kind, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + numbers


def images_of(count: int, high: int = 3, wide: int = 3) -> NDArray[np.uint8]:
    return np.arange(count * high * wide, dtype=np.uint8).reshape(count, high, wide)


def write(
    root: Path,
    part: str = "train",
    labels: tuple[int, ...] = (0, 1, 2, 0, 1, 2),
    *,
    size: tuple[int, int] = (3, 3),
    packed: bool = False,
    before: str = "",
) -> Path:
    """One part's two files; the first pixel of image n is 9 n."""
    root.mkdir(exist_ok=True)
    images = images_of(len(labels), *size)
    for kind, data in {
        "images-idx3": idx_bytes(8, images.shape, images.tobytes()),
        "labels-idx1": idx_bytes(8, (len(labels),), bytes(labels)),
    }.items():
        file = root / f"{before}{part}-{kind}-ubyte{'.gz' if packed else ''}"
        file.write_bytes(gzip.compress(data, mtime=0) if packed else data)
    return root


@pytest.mark.parametrize("packed", [False, True])
def test_images_and_labels_are_read_from_both_forms(tmp_path: Path, packed: bool) -> None:
    root = write(write(tmp_path / "digits", packed=packed), "t10k", (2, 1, 0), packed=packed)
    data = opened(root, DataConfig())
    assert data.classes.names == data.classes.keys == ("0", "1", "2")
    assert [(part.name, part.role) for part in data.parts] == [("train", "fitted on"), ("test", "judged on")]
    assert [(item.name, item.target, item.at) for item in data.parts[1].items] == [
        ("2", 0, 2),
        ("1", 1, 1),
        ("0", 2, 0),
    ]
    image = decoded.pixels(data, data.parts[1].items[0])
    np.testing.assert_array_equal(image, np.repeat(np.arange(18, 27, dtype=np.uint8).reshape(3, 3, 1), 3, axis=2))
    assert (data.name, data.side, data.words.size) == ("digits", 3, "3 × 3")
    end = ".gz" if packed else ""
    assert data.words.split == (
        f"Its images were read from IDX files. The data set came in these parts: training images from "
        f"train-images-idx3-ubyte{end} and test images from t10k-images-idx3-ubyte{end}."
    )
    whole = decoded.whole(data, tmp_path / "cache")
    assert whole.judged is not None
    np.testing.assert_array_equal(
        decoded.squares(whole, whole.judged, 0, tmp_path / "cache")[0], image.transpose(2, 0, 1)
    )


@pytest.mark.parametrize("name", ["train", "training"])
@pytest.mark.parametrize("dots", [False, True])
def test_other_names_of_the_files(tmp_path: Path, name: str, dots: bool) -> None:
    """Such as EMNIST's, and with dots as some unpackers write them."""
    root = write(write(tmp_path, name, before="emnist-letters-"), "test", before="emnist-letters-")
    write(root, "valid", before="emnist-letters-")
    if dots:
        for file in list(root.iterdir()):
            file.rename(file.with_name(file.name.replace("-idx", ".idx")))
    assert [part.name for part in opened(root, DataConfig()).parts] == ["train", "validation", "test"]


def test_an_unpacked_file_goes_before_a_packed_one(tmp_path: Path) -> None:
    write(tmp_path, labels=(0, 1) * 3, packed=True)
    data = opened(write(tmp_path, labels=(0, 1, 2) * 3), DataConfig())
    assert len(data.classes) == 3
    assert {item.path.suffix for part in data.parts for item in part.items} == {""}


def test_training_images_alone_are_split_by_their_numbers(tmp_path: Path) -> None:
    data = opened(write(tmp_path, labels=tuple(range(3)) * 20), DataConfig())
    assert [(part.name, len(part)) for part in data.parts] == [("train", 48), ("validation", 6), ("test", 6)]
    assert data.words.notes == (MAYBE_SEEN,)
    assert {item.name for part in data.parts for item in part.items} == {f"{number:02}" for number in range(60)}


def test_names_of_the_numbers(tmp_path: Path) -> None:
    root = write(write(tmp_path), "t10k")
    assert opened(root, DataConfig(classes=("T-shirt/top", "<b>", "c"))).classes.names == ("T-shirt/top", "<b>", "c")
    with pytest.raises(InputError, match=r"labels from 0 to 1, for \[data\] classes names 2 classes, found 2"):
        opened(root, DataConfig(classes=("T-shirt/top", "<b>")))
    (root / "labels.txt").write_text("x\ny\nz\n")
    assert opened(root, DataConfig()).classes.names == ("x", "y", "z")
    data = opened(root, DataConfig(classes=("z", "x")))
    assert [item.at for item in data.parts[0].items] == [2, 5, 0, 3]
    assert data.words.notes == ("4 of the 12 images are of other classes and are left out.",)


def test_images_that_are_not_square_keep_their_size(tmp_path: Path) -> None:
    data = decoded.whole(opened(write(write(tmp_path, size=(3, 5)), "t10k", size=(3, 5)), DataConfig()), tmp_path / "c")
    assert (data.side, data.words.sizes) == (0, ((3, 5), (3, 5)))
    assert decoded.pixels(data, data.parts[0].items[0]).shape == (3, 5, 3)


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    root = write(write(tmp_path), "t10k")
    before = opened(root, DataConfig()).fingerprint
    file = root / "t10k-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1] + b"\xff")  # of the same size
    assert opened(root, DataConfig()).fingerprint != before


NAME, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
WHOLE = idx_bytes(8, (6, 3, 3), images_of(6).tobytes())


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        (NAME, b"", r"expected an IDX file, which begins with 00 00 and its type, got $"),
        (NAME, b"P5 28 28 255", r"begins with 00 00 and its type, got 50 35 20 32"),
        (NAME, b"\0\0\x07\x03" + WHOLE[4:], r"begins with 00 00 and its type, got 00 00 07 03"),
        (NAME, WHOLE[:10], r"expected 3 sides at its beginning, it ends before; get it anew"),
        (NAME, WHOLE[:-1], r"expected 70 bytes, as it says, it holds fewer; get it anew"),
        (NAME, WHOLE + b"\0", r"expected 70 bytes, as it says, it holds 71; get it anew"),
        (NAME, idx_bytes(8, (6, 9), WHOLE[16:]), r"a number of images by rows by columns, got 6 by 9 of uint8"),
        (NAME, idx_bytes(13, (6, 3, 3), bytes(216)), r"expected images of bytes, .*, got 6 by 3 by 3 of float32"),
        (NAME, idx_bytes(8, (0, 3, 3), b""), r"got 0 by 3 by 3 of uint8"),
        (NAME, idx_bytes(8, (6, 1, 21), bytes(126)), r"sides of at most 20 to 1, got 21 x 1"),
        (NAME, idx_bytes(8, (7, 3, 3), bytes(63)), r"a whole number for each of the 7 images in train.*, got 6 of"),
        (LABELS, idx_bytes(13, (6,), bytes(24)), r"expected a whole number for each .*, got 6 of float32"),
        (LABELS, idx_bytes(8, (6, 1), bytes(6)), r"expected a whole number for each .*, got 6 by 1 of uint8"),
        (LABELS, idx_bytes(8, (6,), bytes([0, 1, 3, 0, 1, 3])), r"each number from 0 to 3, found none of 2"),
        (LABELS, idx_bytes(8, (6,), bytes(6)), r"expected at least 2 classes, found 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_one_line(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (write(tmp_path) / name).write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        opened(tmp_path, DataConfig())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no gzip", r"expected a whole file packed by gzip, it is damaged \(Not a gzipped file"),
        (gzip.compress(WHOLE, mtime=0)[:-12], r"expected a whole file packed by gzip, it is damaged"),
        (gzip.compress(WHOLE, mtime=0)[:-8] + bytes(8), r"it is damaged \(CRC check failed"),
        (gzip.compress(WHOLE[:-1], mtime=0), r"expected 70 bytes, as it says, it holds fewer"),
        (gzip.compress(WHOLE + b"\0", mtime=0), r"expected 70 bytes, as it says, it holds more"),
        # It is not unpacked.
        (gzip.compress(WHOLE + bytes(10**8), mtime=0), r"expected 70 bytes, as it says, it holds more"),
    ],
)
def test_a_damaged_packed_file_is_refused_when_it_is_read(tmp_path: Path, data: bytes, message: str) -> None:
    (write(write(tmp_path, packed=True), "t10k") / f"{NAME}.gz").write_bytes(data)
    with pytest.raises(InputError, match=message):
        decoded.whole(opened(tmp_path, DataConfig()), tmp_path / "cache")


def test_a_packed_file_that_claims_more_than_it_can_hold_is_not_unpacked(tmp_path: Path) -> None:
    file = write(tmp_path, packed=True) / f"{NAME}.gz"
    file.write_bytes(gzip.compress(idx_bytes(8, (2**31, 3, 3), bytes(99))))
    with pytest.raises(InputError, match=r"expected 19,327,352,848 bytes, as it says, it holds fewer; get it anew"):
        opened(tmp_path, DataConfig())


def test_a_packed_file_of_many_gigabytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idx, "UNPACKED", 2**30)
    file = write(tmp_path, packed=True) / f"{NAME}.gz"
    whole = gzip.compress(idx_bytes(8, (2**17, 100, 100), b""))
    file.write_bytes(whole + bytes(2**21))  # as long as such a file would be at least
    with pytest.raises(InputError, match=r"expected at most 1 GiB unpacked, it says 1,310,720,016 bytes; unpack it"):
        opened(tmp_path, DataConfig())


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    root = write(tmp_path)
    (root / LABELS).rename(root / "labels")
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte: expected a file of the train labels beside it"):
        opened(root, DataConfig())
    (root / "labels").rename(root / LABELS)
    write(root, before="emnist-letters-")
    with pytest.raises(InputError, match=r"the IDX files of one data set, found .*; give each a folder of its own"):
        opened(root, DataConfig())


def test_a_column_is_of_lists_alone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\[data\] label: expected a list with a column fine in"):
        opened(write(tmp_path), DataConfig(label="fine"))


def test_torchvisions_folder_is_told_where_the_files_are(tmp_path: Path) -> None:
    write(tmp_path / "MNIST").rename(tmp_path / "x")
    (tmp_path / "data" / "MNIST").mkdir(parents=True)
    (tmp_path / "x").rename(tmp_path / "data" / "MNIST" / "raw")
    with pytest.raises(InputError, match=r"found MNIST/raw in it; did you mean .*data/MNIST/raw\?"):
        opened(tmp_path / "data", DataConfig())


def test_large_images_are_not_kept_twice(tmp_path: Path) -> None:
    side = arrays.MOST_SIDE + 1
    assert opened(write(write(tmp_path, size=(side, side)), "t10k", size=(side, side)), DataConfig()).side == 0


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="needs Debian's package dataset-fashion-mnist")
def test_the_real_fashion_mnist() -> None:
    data = opened(DEBIAN, DataConfig())
    assert [(part.name, len(part)) for part in data.parts] == [("train", 60_000), ("test", 10_000)]
    counts = np.bincount([item.target for item in data.parts[0].items])
    assert counts.tolist() == [6000] * 10
    first = next(item for item in data.parts[0].items if item.at == 0)
    assert (first.name, data.classes.names[first.target]) == ("00000", "9")  # an ankle boot
    assert decoded.pixels(data, first).sum() == 3 * 76247
