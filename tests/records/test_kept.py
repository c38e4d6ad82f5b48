"""Records as arrays and back: the same types and bits, and what is no record is refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from generator.base.digest import digest
from generator.cache import Cache
from generator.records import kept
from generator.records.images import Photo
from generator.records.input import square
from generator.records.network import Fact, StageMaps


def test_every_kind_of_value_comes_back_as_it_was(tmp_path: Path) -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    value = {
        "constants": (None, True, False, 1, 1.0, "1"),
        "floats": [0.1, math.inf, 1e-310, np.float32(0.1), np.int64(3), np.bool_(True)],
        "text": "half a pair: \udcff, é",
        3: b"\x00\xff",
        "path": Path("a/b"),
        "records": (square(64), Fact("what", "value", "read", "source"), Photo("bee", "A bee", pixels, "own")),
        "maps": StageMaps("conv1", "", np.zeros((0, 3, 3), np.float32)),
        "twice": (pixels, pixels),
        "nan": np.array([np.nan, -0.0], np.float32),
        "order": {"b": 1, "a": 2},
    }
    cache = Cache(tmp_path)
    assert cache.found("key") is None
    cache.keep("key", kept.written(value))
    arrays = cache.found("key")
    assert arrays is not None
    found = kept.read(arrays)
    assert digest(found) == digest(value)  # which tells types apart
    assert list(found["order"]) == ["b", "a"]
    assert [type(one) for one in found["floats"]] == [type(one) for one in value["floats"]]  # type: ignore[attr-defined]
    assert isinstance(found["floats"], list)
    assert isinstance(found["constants"], tuple)
    assert found["records"][0] == square(64)
    assert isinstance(found["path"], Path)
    assert found["nan"].tobytes() == value["nan"].tobytes()  # type: ignore[attr-defined]
    assert len([name for name, one in arrays.items() if one.shape == pixels.shape]) == 1  # what stands there twice


def test_a_nan_in_a_record_comes_back() -> None:
    (found,) = kept.read(kept.written([math.nan]))
    assert math.isnan(found)


@pytest.mark.parametrize("value", [object(), {1, 2}, 1j, (1 for _ in range(2))])
def test_what_is_no_record_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="no part of a record"):
        kept.written([value])


def test_a_dataclass_of_elsewhere_is_refused() -> None:
    from generator.config.schema import Link

    with pytest.raises(TypeError, match="Link is no record"):
        kept.written(Link("title", "url"))
