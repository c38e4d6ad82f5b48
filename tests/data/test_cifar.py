"""CIFAR-10 and CIFAR-100 in both of their forms, made by hand; and pickles that would run code, which are not run."""

from __future__ import annotations

import os
import pickle  # noqa: TID251 (to write what must not be run)
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from generator.base.errors import InputError
from generator.config.schema import DataConfig
from generator.data import decoded, pickles
from generator.data.layouts import opened


def python2(value: object) -> bytes:
    """A pickle of protocol 2 as Python 2 wrote CIFAR's files, with text as bytes and numpy's old names."""
    return b"\x80\x02" + _python2(value) + b"."


def _python2(value: Any) -> bytes:
    if isinstance(value, dict):
        return b"}(" + b"".join(_python2(each) for pair in value.items() for each in pair) + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(map(_python2, value)) + b"e"
    if isinstance(value, int):
        return b"K" + bytes([value])
    if isinstance(value, str):
        return b"T" + struct.pack("<i", len(value)) + value.encode()
    kind = b"cnumpy\ndtype\nT\2\0\0\0u1K\0K\1\x87R(K\3T\1\0\0\0|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    new = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85T\1\0\0\0b\x87R"
    shape = b"".join(b"M" + struct.pack("<H", side) for side in value.shape)
    content = b"T" + struct.pack("<i", value.size) + value.tobytes()
    return b"".join([new, b"(K\1", shape, b"\x86", kind, b"\x89", content, b"tb"])


def python3(value: object) -> bytes:
    return pickle.dumps(value, protocol=3)


def images_of(labels: Sequence[int], start: int) -> NDArray[np.uint8]:
    """(N, 3072): image n is of the red start + n, the green 100 and the blue 200, and its second pixel is white."""
    rows = np.repeat(np.array([[0, 100, 200]], np.uint8), 1024, axis=1).repeat(len(labels), axis=0)
    rows[:, :1024] = np.arange(start, start + len(labels))[:, None]
    rows[:, 1::1024] = 255
    return rows


def ten(root: Path, write: Any = python2, labels: tuple[int, ...] = (0, 1, 2), names: bool = True) -> Path:
    root.mkdir(exist_ok=True)
    for number, name in enumerate([*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]):
        rows = images_of(labels, 10 * number)
        told = {"batch_label": name, "labels": list(labels), "data": rows, "filenames": ["x.png"] * len(labels)}
        (root / name).write_bytes(write(told))
    if names:
        (root / "batches.meta").write_bytes(write({"label_names": ["airplane", "<b>bird", "cat"], "num_vis": 120}))
    return root


def ten_binary(root: Path, labels: tuple[int, ...] = (0, 1, 2)) -> Path:
    root.mkdir()
    for number, name in enumerate([*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]):
        rows = np.concatenate([np.array(labels, np.uint8)[:, None], images_of(labels, 10 * number)], axis=1)
        (root / f"{name}.bin").write_bytes(rows.tobytes())
    (root / "batches.meta.txt").write_text("airplane\n<b>bird\ncat\n\n")
    return root


def hundred(root: Path, *, binary: bool = False) -> Path:
    """Four images a part, of four fine classes and two coarse ones."""
    root.mkdir()
    fine, coarse = [3, 2, 1, 0], [1, 0, 1, 0]
    for number, part in enumerate(("train", "test")):
        rows = images_of(fine, 10 * number)
        if binary:
            both = np.array([coarse, fine], np.uint8).T
            (root / f"{part}.bin").write_bytes(np.concatenate([both, rows], axis=1).tobytes())
        else:
            told = {"fine_labels": fine, "coarse_labels": coarse, "data": rows, "filenames": ["x"] * 4}
            (root / part).write_bytes(python2(told))
    if binary:
        (root / "fine_label_names.txt").write_text("a\nb\nc\nd\n")
        (root / "coarse_label_names.txt").write_text("x\ny\n")
    else:
        names = {"fine_label_names": list("abcd"), "coarse_label_names": ["x", "y"]}
        (root / "meta").write_bytes(python2(names))
    return root


@pytest.mark.parametrize("make", [ten, lambda root: ten(root, python3), ten_binary])
def test_the_ten_classes(tmp_path: Path, make: Any) -> None:
    data = opened(make(tmp_path / "cifar"), DataConfig())
    assert data.classes.names == ("airplane", "<b>bird", "cat")
    assert [(part.name, part.role, len(part)) for part in data.parts] == [
        ("train", "fitted on", 15), ("test", "judged on", 3),
    ]  # fmt: skip
    cat = data.parts[0].items[11]  # the second of its class
    assert (cat.name, cat.target, cat.path.name.removesuffix(".bin")) == ("05", 2, "data_batch_2")
    image = decoded.pixels(data, cat)
    assert image.shape == (32, 32, 3)
    assert (image[0, 0].tolist(), image[0, 1].tolist(), image[1, 0].tolist()) == (
        [12, 100, 200],
        [255] * 3,
        [12, 100, 200],
    )
    assert (data.side, data.words.size) == (32, "32 × 32")
    assert data.words.split.startswith(
        f"Its images were read from the {'binary' if cat.path.suffix else 'Python'} files of CIFAR-10."
    )
    whole = decoded.whole(data, tmp_path / "cache")
    assert whole.fitted is not None
    squares = decoded.squares(whole, whole.fitted, 0, tmp_path / "cache")
    np.testing.assert_array_equal(squares[11], image.transpose(2, 0, 1))


def test_both_forms_give_the_same_images(tmp_path: Path) -> None:
    one, other = opened(ten(tmp_path / "a"), DataConfig()), opened(ten_binary(tmp_path / "b"), DataConfig())
    digests = [decoded.whole(data, tmp_path / "cache").digest for data in (one, other)]
    assert digests[0] == digests[1]


@pytest.mark.parametrize("binary", [False, True])
def test_the_hundred_classes_have_two_labels(tmp_path: Path, binary: bool) -> None:
    root = hundred(tmp_path / "cifar", binary=binary)
    data = opened(root, DataConfig())
    assert data.classes.names == ("a", "b", "c", "d")
    assert [item.name for item in data.parts[1].items] == ["3", "2", "1", "0"]
    assert opened(root, DataConfig(label="fine")).fingerprint == data.fingerprint
    coarse = opened(root, DataConfig(label="coarse"))
    assert coarse.classes.names == ("x", "y")
    assert [(item.name, item.target) for item in coarse.parts[1].items] == [("1", 0), ("3", 0), ("0", 1), ("2", 1)]
    assert decoded.pixels(coarse, coarse.parts[1].items[0])[0, 0].tolist() == [11, 100, 200]
    end = ".bin" * binary
    said = f"The data set came in these parts: training images from train{end} and test images from test{end}."
    assert coarse.words.split.endswith(said)
    with pytest.raises(InputError, match=r'\[data\] label: expected "fine" or "coarse", got "kind"'):
        opened(root, DataConfig(label="kind"))


def test_the_ten_classes_have_one_label(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'expected nothing, for CIFAR-10 has one label an image, got "fine"'):
        opened(ten(tmp_path), DataConfig(label="fine"))


def test_without_a_file_of_names_the_classes_are_numbers(tmp_path: Path) -> None:
    root = ten(tmp_path, names=False)
    assert opened(root, DataConfig()).classes.names == ("0", "1", "2")
    assert opened(root, DataConfig(classes=("x", "y", "z"))).classes.names == ("x", "y", "z")
    (root / "labels.txt").write_text("p\nq\nr")
    assert opened(root, DataConfig(classes=("r", "p"))).classes.names == ("r", "p")


def test_folders_called_train_and_test_are_none_of_cifars(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for name in ("a", "b"):
            (tmp_path / part / name).mkdir(parents=True)
            (tmp_path / part / name / "x.png").touch()
    (tmp_path / "meta").touch()
    assert opened(tmp_path, DataConfig()).classes.names == ("a", "b")


def test_files_of_half_a_data_set_or_of_two_are_refused(tmp_path: Path) -> None:
    root = ten(tmp_path)
    (root / "data_batch_3").rename(root / "batch")
    with pytest.raises(InputError, match=r"expected CIFAR-10's 5 files data_batch_1 to data_batch_5, it lacks 3"):
        opened(root, DataConfig())
    (root / "batch").rename(root / "data_batch_3.bin")
    with pytest.raises(
        InputError, match=r"expected the files of CIFAR-10 or CIFAR-100 in one form, found data_batch_1"
    ):
        opened(root, DataConfig())


class Evil:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.file),)


ROWS = images_of((0, 1, 2), 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"it is damaged \(it ends early\); get it anew"),
        (python2({"labels": [0, 1, 2], "data": ROWS})[:-100], r"expected a whole pickle, it is damaged"),
        (b"PK\3\4" + bytes(100), r"expected a pickle of dicts, lists and arrays alone, .* instruction 0x50"),
        (pickle.dumps([1]), r"expected a pickled dict, found list"),
        (python2({"labels": [0, 1, 2]}), r"expected images of 3,072 bytes called data, found others or none"),
        (python2({"labels": [0, 1, 2], "data": [1]}), r"expected images of 3,072 bytes called data"),
        (python2({"labels": [0, 1, 2], "data": ROWS[:, :99]}), r"expected images of 3,072 bytes called data"),
        (python2({"labels": [0, 1, 2], "data": ROWS[:0]}), r"expected images of 3,072 bytes called data"),
        (python2({"labels": [0, 1], "data": ROWS}), r"a whole number for each of the 3 images in labels, found others"),
        (python2({"labels": [0, 1, "x"], "data": ROWS}), r"a whole number for each of the 3 images in labels"),
        (python2({"labels": "abc", "data": ROWS}), r"a whole number for each of the 3 images in labels"),
        (python2({"data": ROWS}), r"a whole number for each of the 3 images in labels"),
        (python2({"labels": [0, 1, 9], "data": ROWS}), r"for .*batches.meta names 3 classes, found 9"),
        (python3({"data": ROWS.astype(np.float32)}), r"found others \(an array of other numbers than bytes\)"),
        (python2({"data": ROWS}).replace(b"M\0\x0c", b"M\0\x0d"), r"found others \(9,216 bytes of 9,984\)"),
        (pickle.dumps({"data": bytearray(9)}, protocol=5), r"found the instruction 0x96; it was not run"),
        # A memory of 2^31 places, which the unpickler in C would make.
        (b"\x80\x02}r\xff\xff\xff\x7f.", r"expected images of 3,072 bytes called data"),
        (b"\x80\x05\x96" + b"\xff" * 7 + b"\x0f.", r"found the instruction 0x96"),
        (b"\x80\x02(i__main__\nx\n.", r"found the instruction 0x69"),
        (b"\x80\x02\x82\1.", r"found the instruction 0x82"),
        (b"\x80\x02}R.", r"it is damaged"),
        (b"\x80\x02}}R.", r"found a call"),
        (b"\x80\x02cnumpy\nndarray\n)R.", r"found a call"),
        (b"\x80\x02cnumpy\nndarray\n}b.", r"found a state"),
        (b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n.", r"expected a pickled dict, found name"),
        (b"\x80\x02\x8c\x02os\x8c\x06system\x93.", r"found the name os.system; it was not run"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_pickle_is_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    (ten(tmp_path) / "test_batch").write_bytes(content)
    with pytest.raises(InputError, match=f"test_batch: .*{message}|{message}") as caught:
        opened(tmp_path, DataConfig())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("protocol", range(6))
def test_no_pickle_is_run(tmp_path: Path, protocol: int) -> None:
    root = ten(tmp_path / "data")
    (root / "data_batch_1").write_bytes(pickle.dumps({"data": Evil(tmp_path / "ran")}, protocol))
    with pytest.raises(InputError, match=r"expected a pickle of dicts, lists and arrays alone, .*; it was not run"):
        opened(root, DataConfig())
    assert not (tmp_path / "ran").exists()


def test_the_names_file_is_looked_at_too(tmp_path: Path) -> None:
    root = ten(tmp_path)
    (root / "batches.meta").write_bytes(python2({"label_names": [1, 2]}))
    with pytest.raises(InputError, match=r"batches.meta: expected a list of names called label_names, found none"):
        opened(root, DataConfig())
    (root / "batches.meta").write_bytes(python2({"label_names": ["a", "b\nc", "d"]}))
    with pytest.raises(InputError, match=r"batches.meta: expected a name without control characters, got 'b\\nc'"):
        opened(root, DataConfig())


def test_a_binary_file_of_another_length_is_refused(tmp_path: Path) -> None:
    root = ten_binary(tmp_path / "data")
    file = root / "data_batch_2.bin"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"data_batch_2.bin: expected 3,073 bytes an image, got 9,218 in all; get it"):
        opened(root, DataConfig())


def test_a_pickle_of_gigabytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "LARGEST", 2**10)
    with pytest.raises(InputError, match=r"data_batch_1: expected at most 0 MiB in a pickle, got more"):
        opened(ten(tmp_path), DataConfig())
