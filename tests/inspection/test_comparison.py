"""Maps on record are those that a build would make, and are taken for nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from generator.base.errors import InputError
from generator.config.reading import of_text
from generator.config.schema import ModelConfig
from generator.data.classes import without_data
from generator.inspection import comparison, selection
from generator.inspection.photo import photo_arrays
from generator.networks import catalogue
from generator.networks.architecture import initialise
from generator.networks.folder import MAPS, MapSheet, load_maps, save_maps
from generator.networks.loaded import Loaded
from generator.networks.small_cnn import SmallCNN
from generator.records.images import Arrays, Photo
from tests import loaded as facts

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).resolve().parents[2]
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 70, 90, 3), np.uint8)
PHOTOS = tuple(
    Photo(f"noise-{number}", "Noise", pixels, "own", digest=f"{number}{'a' * 63}")
    for number, pixels in enumerate(PIXELS)
)


def loaded(folder: Path | None = None) -> Loaded:
    network = SmallCNN(3, (4, 4, 4, 4))
    initialise(network, 0)
    with torch.no_grad():
        network.get_parameter("head.linear.weight").normal_(generator=torch.Generator().manual_seed(1))
    return facts.loaded(network, ("one", "two", "three"), folder=folder)


def asked(one: Loaded, photo: Photo, known: Mapping[str, Arrays] | None = None) -> Arrays:
    return photo_arrays(one, photo, None, (), compared=True, recorded=known)


def test_a_photo_on_record_is_explained_as_one_that_is_not(tmp_path: Path) -> None:
    one = loaded(tmp_path)
    comparison.keep(one, PHOTOS)
    known = dict(comparison.kept(one, one.methods[0]))
    assert list(known) == [photo.digest for photo in PHOTOS]
    for photo in PHOTOS:
        direct, read = asked(one, photo), asked(one, photo, known)
        assert list(direct) == list(read)  # methods in their order
        for name, array in direct.items():
            assert read[name].dtype == array.dtype, name
            assert read[name].shape == array.shape, name
            if array.dtype.kind in "fi":  # made together and alone differ in rounding
                np.testing.assert_allclose(read[name], array, rtol=1e-4, atol=1e-6, err_msg=name)


def test_what_is_on_record_is_not_made_again(tmp_path: Path) -> None:
    """Of another photo, and of one whose answer is another class now, it is made."""
    one = loaded(tmp_path)
    comparison.keep(one, PHOTOS)
    known = {photo: dict(arrays) for photo, arrays in comparison.kept(one, one.methods[0]).items()}
    first, second = PHOTOS
    marked = np.full_like(known[first.digest]["method Score-CAM"], 7)
    known[first.digest]["method Score-CAM"] = marked
    np.testing.assert_array_equal(asked(one, first, known)["method Score-CAM"], marked)
    assert (asked(one, replace(first, digest="b" * 64), known)["method Score-CAM"] != marked).any()
    known[first.digest]["occlusion class"] = (known[first.digest]["occlusion class"] + 1) % 3
    assert (asked(one, first, known)["method Score-CAM"] != marked).any()
    np.testing.assert_allclose(
        asked(one, second, known)["method occlusion"], known[second.digest]["method occlusion"], rtol=0
    )


def test_it_is_of_these_weights_this_layer_and_this_definition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = loaded(tmp_path)
    able = one.methods[0]
    assert comparison.kept(one, able) == {}
    comparison.keep(one, PHOTOS[:1])
    assert list(comparison.kept(one, able)) == [PHOTOS[0].digest]
    assert comparison.kept(replace(one, digest="cd" * 32), able) == {}
    assert comparison.kept(replace(one, wanted=ModelConfig("", layer="features.relu6")), able) == {}
    assert comparison.kept(one, ["RISE"]) == {}  # which it was not asked for
    written = (tmp_path / MAPS).stat().st_mtime_ns
    comparison.keep(one, PHOTOS[:1])
    assert (tmp_path / MAPS).stat().st_mtime_ns == written
    comparison.keep(one, PHOTOS)
    assert len(comparison.kept(one, able)) == 2
    monkeypatch.setattr(comparison, "DEFINITION", comparison.DEFINITION + 1)
    assert comparison.kept(one, able) == {}


def test_a_network_without_a_place_for_records_has_none(tmp_path: Path) -> None:
    comparison.keep(loaded(), PHOTOS)
    comparison.keep(loaded(tmp_path), ())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"method Score-CAM": np.array([[np.nan]], np.float32)}, "expected maps (h, w) of finite numbers"),
        ({"method Score-CAM": np.zeros((2, 2, 2), np.float32)}, "expected maps (h, w) of finite numbers"),
        ({"": np.zeros((2, 2), np.float32)}, "expected maps (h, w) of finite numbers"),
    ],
)
def test_a_damaged_record_is_told(tmp_path: Path, arrays: Arrays, said: str) -> None:
    save_maps(tmp_path, MapSheet("ab", "conv", 1, {"photo": arrays}))
    with pytest.raises(InputError, match=r"maps\.safetensors: expected maps \(h, w\)") as found:
        load_maps(tmp_path)
    assert said in str(found.value)
    assert "`evaluate` makes it anew" in str(found.value)


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / MAPS).write_bytes(b"nothing")
    with pytest.raises(InputError, match="expected a whole safetensors file"):
        load_maps(tmp_path)
    (tmp_path / MAPS).write_bytes((2).to_bytes(8, "little") + b"{}")
    with pytest.raises(InputError, match="expected what its maps belong to in its header"):
        load_maps(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cnn", "alexnet"])
def test_the_shipped_networks_record_is_what_they_give_now(name: str) -> None:
    """With a change of a method `DEFINITION` rises and they are made anew: no page shall show its old maps."""
    config = of_text("[models.cnn]\n", "report.toml", ROOT)
    one = catalogue.from_folder(ModelConfig(name), ROOT / "models" / name)
    assert one is not None
    known = comparison.kept(one, one.methods[0])
    photos, _ = selection.photos(config, ROOT / "content", None, without_data(config.data.classes), {})
    assert {photo.digest for photo in photos} == known.keys()
    for photo in photos[::8]:
        found = asked(one, photo)
        for key, array in known[photo.digest].items():
            if key == "occlusion answers":  # two classes may be as probable as one another, but for rounding
                assert (found[key] == array).mean() > 0.98
            else:
                np.testing.assert_allclose(found[key], array, rtol=0, atol=1e-4 * max(1e-6, np.abs(array).max()))


def test_the_square_is_asked_for_the_answer_and_not_for_the_truth(tmp_path: Path) -> None:
    """Once the maps under "what speaks for chihuahua" followed the koala that the photo showed."""
    one = loaded(tmp_path)
    for photo in PHOTOS:
        for label in range(3):
            found = photo_arrays(one, photo, label, (), compared=True)
            answer = int(found["logits"].argmax())
            covered = comparison.comparison_of(found)
            assert covered is not None
            assert covered.hidden == answer
            # Where the answer stays what it is, it is the most probable of the three.
            stays = covered.answers == answer
            assert covered.probability[stays].min(initial=1) >= 1 / 3
