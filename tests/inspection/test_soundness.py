"""A method that fails what was measured of it is left out, with the number that says why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from generator.inspection.network import network_record
from generator.inspection.photo import explanation, photo_arrays
from generator.inspection.soundness import unfit
from generator.networks.folder import load_evaluation
from generator.records.trust import Compared, Estimate, Faithfulness, Perturbation, Randomisation
from tests.inspection.test_network import PHOTO, loaded
from tests.synthetic import MEASURED, beside, evaluation, near

MODELS = Path(__file__).parents[2] / "models"
CERTAIN = Estimate(0.0, 0.0, 0.0)


def measured(method: str, deletion: Compared, spearman: float = 0.1, count: int = 30) -> Faithfulness:
    layers, ssim = ("head", "conv1"), (near(0.5), near(0.2))
    return replace(
        MEASURED,
        perturbation=(Perturbation(method, 100, deletion, deletion),),
        randomisation=(Randomisation(method, count, layers, (near(0.95), near(spearman)), ssim, (0, 0)),),
    )


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (None, ""),
        (measured("A", beside(0.2, random=0.3, wrong_class=0.25)), ""),
        (measured("A", beside(0.3, random=0.25, wrong_class=0.4)), "it leaves 0.300 of the class’s probability on"),
        (measured("A", beside(0.3, random=0.3)), "in a random one 0.300, on 100 test images"),
        (
            measured("A", Compared(near(0.2), {"wrong class": near(0.2)}, {"wrong class": CERTAIN})),
            "the same for every class, on all of 100 test images",
        ),
        (measured("A", beside(0.2, random=0.3), spearman=0.93), "a rank correlation of 0.93 on 30 test images"),
        (measured("A", beside(0.2, random=0.3), count=0), "the same in all places, on every test image"),
    ],
)
def test_what_fails_is_told_with_its_number(found: Faithfulness | None, reason: str) -> None:
    failed = unfit(found)
    assert set(failed) == ({"A"} if reason else set())
    assert reason in failed.get("A", "")


@pytest.mark.parametrize("name", ["cnn", "alexnet"])
def test_the_shipped_networks_methods_pass(name: str) -> None:
    kept = load_evaluation(MODELS / name)
    assert kept is not None
    assert kept.faithfulness is not None
    assert len(kept.faithfulness.perturbation) >= 7
    assert unfit(kept.faithfulness) == {}


def test_its_maps_are_not_shown_and_the_first_s_with_a_warning() -> None:
    one = loaded()
    explained = {"noise": explanation("noise", None, (), photo_arrays(one, PHOTO, None, (), compared=True))}
    found = evaluation(one.id, one.class_names)
    for method in ("LayerCAM", "Grad-CAM"):
        judged = replace(found, faithfulness=measured(method, beside(0.3, random=0.25)))
        record = network_record(one, explained, (), judged)
        comparison = record.explanations["noise"].comparison
        assert comparison is not None
        (note,) = [note for note in record.notes if "taken away in its order it leaves 0.300" in note]
        if method == "LayerCAM":
            assert note.startswith("LayerCAM is left out: what it shows")
            assert "LayerCAM" not in comparison.maps
        else:
            assert note.startswith("Do not trust Grad-CAM here: what it shows")
        assert {"Grad-CAM", "occlusion"} <= set(comparison.maps)
    elsewhere = replace(found, faithfulness=replace(measured("LayerCAM", beside(0.3, random=0.25)), layer="other"))
    comparison = network_record(one, explained, (), elsewhere).explanations["noise"].comparison
    assert comparison is not None
    assert "LayerCAM" in comparison.maps  # it was measured of another layer
