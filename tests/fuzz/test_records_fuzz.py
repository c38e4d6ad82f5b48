"""One value of a stored record, or of what a file of weights says of itself, is another one: one line, or it is taken.

What is taken can be drawn: whoever has a record may trust it.
"""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from generator.base.errors import InputError
from generator.config.schema import ModelConfig
from generator.data.classes import Classes
from generator.networks import catalogue, foreign
from generator.networks.folder import Description
from generator.networks.small_cnn import SmallCNN
from generator.records import consistent, stored
from generator.records.network import Network
from generator.report.evaluation import figures
from generator.report.training import curves
from generator.report.trust.figures import trust_figures
from generator.report.trust.sentences import verdict
from tests import synthetic

pytestmark = pytest.mark.usefixtures("one_thread")

Way = tuple[str | int, ...]

GONE = object()
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.just(GONE),
    st.sampled_from([0, 1, -1, 2, 10**6, 10**12, 10**30, -(10**30), 0.5, -0.5, 1e300, float("nan"), float("inf")]),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["", "x" * 5000, "\0", "a\nb", "<b>", "../..", "\ud800"]),
    st.lists(st.one_of(st.none(), st.integers(), st.lists(st.integers(), max_size=2)), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)
NETWORK: Network = synthetic.complete(synthetic.report().networks[0])
EVALUATION: Any = json.loads(stored.encode(NETWORK.evaluation))
HISTORY: Any = json.loads(stored.encode({"runs": [asdict(synthetic.run("augmented", 2))]}))

CLASSES = Classes(("a", "b"), ("n01443537", "n07753592"))
DESCRIPTION = Description("SmallCNN", CLASSES.names, CLASSES.keys, 64, 64, (4, 4))
WEIGHTS = SmallCNN(2, (4, 4)).state_dict()


def ways(value: Any, way: Way = ()) -> Iterator[Way]:
    """To each value, those inside it after it."""
    yield way
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield from ways(inner, (*way, key))


def changed(whole: Any, way: Way, value: Any) -> Any:
    """A copy with one value changed, or without it."""
    if not way:
        return None if value is GONE else value
    whole = copy.deepcopy(whole)
    inner = whole
    for key in way[:-1]:
        inner = inner[key]
    if value is GONE:
        del inner[way[-1]]
    else:
        inner[way[-1]] = value
    return whole


def taken(read: Callable[[Path], Any], file: Path) -> Any:
    """What is read from a file; None where that is refused, in one line with the file's name."""
    try:
        return read(file)
    except InputError as error:
        line = str(error)
    assert line.startswith((str(file), str(file.parent), "architecture ", "[models.cnn] architecture: "))
    assert "\n" not in line
    return None


@settings(max_examples=200)
@given(st.sampled_from([*ways(EVALUATION)]), VALUES)
@example(("temperature",), "x")
@example(("splits", "test", "precision"), [])
@example(("splits", "test", "calibration", "chance"), float("nan"))
def test_a_value_of_an_evaluation(tmp_path: Path, way: Way, value: Any) -> None:
    (tmp_path / "evaluation.json").write_text(json.dumps(changed(EVALUATION, way, value)))
    found = taken(consistent.evaluation, tmp_path / "evaluation.json")
    if found is not None:
        network = replace(NETWORK, evaluation=found)
        assert figures.evaluation_figures(network)
        trust_figures(network)
        verdict(network)


@settings(max_examples=100)
@given(st.sampled_from([*ways(HISTORY)]), VALUES)
@example(("runs", 0, "epochs", 0, "train_loss"), "x")
@example(("runs", 0, "epochs", 0, "train_loss"), 3e38)
@example(("runs", 0, "settings", "started_after"), None)
def test_a_value_of_a_history(tmp_path: Path, way: Way, value: Any) -> None:
    (tmp_path / "history.json").write_text(json.dumps(changed(HISTORY, way, value)))
    found = taken(consistent.runs, tmp_path / "history.json")
    if found:
        assert curves.training_figures(replace(NETWORK, runs=found))


@settings(max_examples=200)
@given(st.sampled_from([EVALUATION, HISTORY]), st.data())
def test_bytes_of_a_record(tmp_path: Path, whole: Any, data: st.DataObject) -> None:
    content = bytearray(json.dumps(whole).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    file = tmp_path / ("history.json" if whole is HISTORY else "evaluation.json")
    file.write_bytes(content)
    taken(consistent.runs if whole is HISTORY else consistent.evaluation, file)


@settings(max_examples=200)
@given(st.sampled_from([*ways(json.loads(json.dumps(asdict(DESCRIPTION))))]), VALUES)
@example(("widths", 0), 100_000_000)
@example(("input_size",), -5)
@example(("depths",), [100, 100])
def test_a_value_of_what_weights_say_of_themselves(tmp_path: Path, way: Way, value: Any) -> None:
    said = changed(json.loads(json.dumps(asdict(DESCRIPTION))), way, value)
    file = tmp_path / "weights.safetensors"
    file.write_bytes(save(WEIGHTS, {"description": json.dumps(said)}))
    taken(lambda file: catalogue.from_folder(ModelConfig("cnn"), file.parent, CLASSES), file)


@pytest.mark.filterwarnings("ignore")  # torch warns of some damaged files before it refuses them
@settings(max_examples=150)
@given(st.booleans(), st.data())
def test_bytes_of_somebody_else_s_weights(tmp_path: Path, zipped: bool, data: st.DataObject) -> None:
    stream = io.BytesIO()
    torch.save({"w": torch.arange(8.0), "n": torch.tensor(3)}, stream, _use_new_zipfile_serialization=zipped)
    content = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    (tmp_path / "net.pth").write_bytes(content)
    found = taken(foreign.load, tmp_path / "net.pth")
    if found is not None:
        assert all(tensor.numel() <= len(content) + foreign.SPARE for tensor in found.weights.values())
