"""What is kept comes back exactly, under a key that only equal inputs share; what is damaged is computed again."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generator.base.digest import digest
from generator.base.errors import InputError
from generator.cache import Cache
from generator.records.figure import Figure, Table


class Counted:
    """A computation that counts how often it was asked for."""

    def __init__(self, result: Any) -> None:
        self.result = result
        self.calls = 0

    def __call__(self) -> Any:
        self.calls += 1
        return self.result


def entry(cache: Cache) -> Path:
    (found,) = cache.folder.iterdir()
    return found


def test_arrays_come_back_exactly(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "deep" / "cache")
    arrays = {
        "file": np.array([[1.5, math.nan], [-0.0, math.inf]], dtype=np.float32),
        "a/b": np.asfortranarray(np.arange(6, dtype=">i2").reshape(2, 3)),
        "scalar": np.array(3, dtype=np.int64),
        "none": np.zeros((0, 4), dtype=np.uint8),
        "flags": np.array([True, False]),
        "words": np.array(["bee", "größe"]),
    }
    compute = Counted(arrays)
    key = cache.key("stage", 1)
    for found in (cache.arrays(key, compute), cache.arrays(key, compute), Cache(cache.folder).arrays(key, compute)):
        assert list(found) == list(arrays)
        for name, array in arrays.items():
            assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
            assert found[name].tobytes("A") == array.tobytes("A")
            assert found[name].flags.f_contiguous == array.flags.f_contiguous
    assert compute.calls == 1


def test_what_is_missing_of_several_results_is_made_together(tmp_path: Path) -> None:
    cache, asked = Cache(tmp_path), list[list[int]]()

    def compute(numbers: Sequence[int]) -> list[dict[str, np.ndarray]]:
        asked.append([*numbers])
        return [{"number": np.array(number)} for number in numbers]

    keys = [cache.key("stage", 1, number) for number in range(7)]
    cache.arrays(keys[2], lambda: {"number": np.array(2)})
    found = cache.each(keys, compute, 3)
    assert int(next(found)["number"]) == 0
    assert asked == [[0, 1, 3]]  # the rest is not made before it is asked for
    assert int(Cache(tmp_path).arrays(keys[3], dict)["number"]) == 3  # and what is made is kept at once
    assert [int(each["number"]) for each in found] == [1, 2, 3, 4, 5, 6]
    assert asked == [[0, 1, 3], [4, 5, 6]]
    broken = next(tmp_path.glob(f"{keys[4]}*"))
    broken.write_bytes(broken.read_bytes()[:-1])
    assert [int(each["number"]) for each in cache.each(keys, compute, 3)] == [*range(7)]
    assert asked[2:] == [[4]]


def test_objects_are_refused_instead_of_pickled(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        cache.arrays(cache.key("stage", 1), lambda: {"a": np.array([object()])})
    assert list(tmp_path.iterdir()) == []


def test_json_is_the_same_at_the_first_and_the_second_time(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    compute = Counted({"b": (0.1, np.float32(0.5), np.int64(3)), "a": {1: None}, "ü": "</script>"})
    expected = {"b": [0.1, 0.5, 3], "a": {"1": None}, "ü": "</script>"}
    for _ in range(2):
        found = cache.json(cache.key("stage", 1), compute)
        assert found == expected
        assert list(found) == ["b", "a", "ü"]
    assert compute.calls == 1


def test_files_come_back_exactly(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    compute = Counted({"assets/b.webp": bytes(range(256)), "a": b""})
    for _ in range(2):
        assert list(cache.files(cache.key("stage", 1), compute).items()) == list(compute.result.items())
    assert compute.calls == 1


def test_figures_come_back_exactly(tmp_path: Path) -> None:
    whole = Figure(
        id="cnn-runs",
        alt="line chart of <loss> where it falls",
        caption="Loss, epochs 1–3",
        width=320,
        height=240,
        src="assets/figures/a.webp",
        srcset=(("assets/figures/a.webp", 320), ("assets/figures/b.webp", 640)),
        files={"assets/figures/a.webp": b"\x00\xff", "assets/figures/b.webp": b"RIFF"},
        svg="<svg/>",
        pixelated=True,
        table=Table(("epoch", "loss"), ((1, 0.5), (2, 0.1), ("mean", 0.3))),
    )
    bare = Figure("b", "", "")
    cache = Cache(tmp_path)
    compute = Counted([whole, bare])
    for _ in range(2):
        found = cache.figures(cache.key("stage", 1), compute)
        assert found == (whole, bare)
        assert isinstance(found[0].table, Table)
        assert [type(value) for value in found[0].table.rows[0]] == [int, float]
    assert compute.calls == 1


def test_kinds_of_result_do_not_meet_under_one_key(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    key = cache.key("stage", 1)
    assert cache.files(key, lambda: {"json": b"1"}) == {"json": b"1"}
    assert cache.json(key, lambda: 2) == 2
    assert cache.figures(key, list) == ()


def test_the_same_result_is_the_same_bytes(tmp_path: Path) -> None:
    written = []
    for name in ("one", "two"):
        cache = Cache(tmp_path / name)
        cache.arrays(cache.key("stage", 1), lambda: {"a": np.arange(3)})
        written.append(entry(cache).read_bytes())
    assert written[0] == written[1]


def test_a_key_is_of_all_its_parts(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert cache.key("cam", 1, {"a": 1, "b": 2}) == cache.key("cam", 1, {"b": 2, "a": 1})
    keys = [
        cache.key("cam", 1),
        cache.key("cam", 2),
        cache.key("maps", 1),
        cache.key("cam", 1, "x"),
        cache.key("cam", 1, "x", ""),
        cache.key("cam", 1, "", "x"),
    ]
    assert len(set(keys)) == len(keys)


def test_different_values_have_different_digests() -> None:
    values: list[object] = [
        None, "None", True, "True", 1, "1", 1.0, b"1", 1.5, 0.0, -0.0, math.nan, [1], [[1]], [1, 1], [], {}, "",
        {"a": 1}, {"a": "1"}, {"b": 1}, {1: "a"}, ["a", "b"], ["ab"], {"a": "b", "c": "d"}, {"a": "d", "c": "b"},
        np.array([1]), np.array([1.0]), np.array([[1]]), np.array([1], dtype=np.int8), np.zeros((0, 2)),
        np.zeros((2, 0)), Figure("a", "b", "c"), Figure("a", "b", "d"), Table((), ()),
    ]  # fmt: skip
    assert len({digest(value) for value in values}) == len(values)
    assert digest(1, 2) != digest([1, 2])


def test_equal_values_have_equal_digests() -> None:
    assert digest((1, "a")) == digest([1, "a"])
    assert digest(np.float32(0.5), np.int64(3), np.bool_(True)) == digest(0.5, 3, True)
    assert digest(Path("a/b")) == digest("a/b")
    grid = np.arange(6).reshape(2, 3)
    assert digest(grid) == digest(np.asfortranarray(grid)) != digest(grid.T)


def test_a_digest_is_that_of_its_canonical_form() -> None:
    text = hashlib.sha256(b"text:a").digest()
    assert digest("a") == hashlib.sha256(b"sequence:" + text).hexdigest()


def test_a_value_without_a_canonical_form_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no canonical form"):
        digest({"a": object()})


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:20],
        lambda content: content[:-1],
        lambda content: content + b"x",
        lambda content: content[:-40] + bytes([content[-40] ^ 1]) + content[-39:],
        lambda content: bytes([content[0] ^ 1]) + content[1:],
    ],
)
def test_a_damaged_entry_is_computed_again(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    cache = Cache(tmp_path)
    compute = Counted({"a": np.arange(1000)})
    key = cache.key("stage", 1)
    cache.arrays(key, compute)
    entry(cache).write_bytes(damage(entry(cache).read_bytes()))
    for _ in range(2):
        assert cache.arrays(key, compute)["a"].tolist() == list(range(1000))
    assert compute.calls == 2


def test_a_failed_computation_leaves_nothing(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    with pytest.raises(ZeroDivisionError):
        cache.json(cache.key("stage", 1), lambda: 1 // 0)
    assert list(tmp_path.iterdir()) == []


def test_prune_removes_the_oldest_unused_entries(tmp_path: Path) -> None:
    before = Cache(tmp_path)
    for age, name in enumerate(["new", "older", "oldest"]):
        before.files(name, lambda: {"a": bytes(1000)})
        (path,) = tmp_path.glob(f"{name}-*")
        os.utime(path, (10_000 - age, 10_000 - age))
    cache = Cache(tmp_path)
    cache.files("oldest", dict)
    cache.prune(limit=2600)
    assert {path.name.partition("-")[0] for path in tmp_path.iterdir()} == {"new", "oldest"}
    cache.prune(limit=0)
    assert {path.name.partition("-")[0] for path in tmp_path.iterdir()} == {"oldest"}


def test_prune_sweeps_away_what_was_never_finished(tmp_path: Path) -> None:
    for name, age in ((".old.part", 0), (".new.part", None)):
        (tmp_path / name).touch()
        if age is not None:
            os.utime(tmp_path / name, (age, age))
    Cache(tmp_path).prune()
    assert [path.name for path in tmp_path.iterdir()] == [".new.part"]


def test_pruning_a_cache_that_is_not_there_does_nothing(tmp_path: Path) -> None:
    Cache(tmp_path / "none").prune()


def test_two_processes_may_fill_one_folder(tmp_path: Path) -> None:
    """Four at once, each checking every answer; they meet on the same twenty keys."""
    program = textwrap.dedent("""
        import sys
        from pathlib import Path
        import numpy as np
        from generator.cache import Cache
        cache = Cache(Path(sys.argv[1]))
        for round in range(3):
            for number in range(20):
                found = cache.arrays(cache.key("stage", number), lambda: {"a": np.full(20_000, number)})
                assert (found["a"] == number).all() and found["a"].shape == (20_000,)
    """)
    running = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path)]) for _ in range(4)]
    assert [process.wait(timeout=60) for process in running] == [0, 0, 0, 0]
    assert len(list(tmp_path.iterdir())) == 20


def test_a_full_disk_is_told_in_one_line(tmp_path: Path) -> None:
    """The limit on a file's size stands for the end of the disk: the same error from the same call."""
    program = textwrap.dedent("""
        import resource, sys
        from pathlib import Path
        from generator.cache import Cache
        from generator.base.errors import InputError
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            Cache(Path(sys.argv[1])).files("key", lambda: {"a": bytes(100_000)})
        except InputError as error:
            print(error)
    """)
    ran = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert ran.stdout == (
        f"{tmp_path}: expected a folder to keep results in, could not write there (File too large); "
        "raise the limit on the size of files (ulimit -f)\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_folder_is_told_before_computing(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    compute = Counted({})
    with pytest.raises(InputError, match=r"could not write there \(File exists\)"):
        Cache(tmp_path / "cache").files("key", compute)
    assert compute.calls == 0


@pytest.mark.skipif(sys.platform != "win32" and os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder_is_told_before_computing(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    compute = Counted({})
    with pytest.raises(InputError, match=r"could not write there \(Permission denied\)"):
        Cache(tmp_path).files("key", compute)
    assert compute.calls == 0
