"""On a small transformer that learnt Fashion-MNIST, the maps of the right class are told from others by measurement.

In full that is benchmarks/transformer.py; here it is fewer images and epochs, a minute or two of training.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "transformer.py"
VARIABLE = "FASHION_MNIST"
IMAGES, EPOCHS, JUDGED = 12_000, 4, 160

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(not os.environ.get(VARIABLE), reason=f"needs Fashion-MNIST's four files: {VARIABLE} is not set"),
]


def benchmark() -> ModuleType:
    found = importlib.util.spec_from_file_location("transformer", FILE)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_the_right_class_s_map_is_told_from_a_wrong_one_s_and_from_random_weights(tmp_path: Path) -> None:
    measuring = benchmark()
    parts = measuring.images_of(Path(os.environ[VARIABLE]))
    images, labels = (each[:IMAGES] for each in parts["train"])
    network = measuring.trained(tmp_path / "network.pt", EPOCHS, images, labels)
    images, labels = parts["test"]
    right = measuring.logits_of(network, images[:2000], measuring.WAY).argmax(1) == labels[:2000]
    assert right.float().mean() > 0.7
    kept = right.nonzero()[:, 0][:JUDGED]
    names = "LayerCAM", "attention rollout", "occlusion"
    found = measuring.measured(network, images[kept], labels[kept], names)
    assert set(found) == {"random", *names}
    for name in names:
        for other in ("than a random order", "than another class's", "than random weights'"):
            assert found[name][other].high < 0, (name, other, found[name][other])
        assert found[name]["like random weights'"].high < 0.2


def test_a_training_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    measuring = benchmark()
    images, labels = (each[:256] for each in measuring.images_of(Path(os.environ[VARIABLE]))["train"])
    whole = measuring.trained(tmp_path / "whole.pt", 2, images, labels).state_dict()
    with pytest.MonkeyPatch.context() as stopped:
        stopped.setattr(measuring, "range", lambda done, epochs: range(done, epochs - 1), raising=False)
        measuring.trained(tmp_path / "parts.pt", 2, images, labels)
    parts = measuring.trained(tmp_path / "parts.pt", 2, images, labels).state_dict()
    assert all(whole[name].equal(parts[name]) for name in whole)
