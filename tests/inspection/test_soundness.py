"""A method that fails what was measured of it is left out, with the number that says why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from generator.explain import Target
from generator.explain.methods import METHODS
from generator.inspection.network import network_record
from generator.inspection.photo import explanation, photo_arrays
from generator.inspection.soundness import first, unfit
from generator.networks.folder import load_evaluation
from generator.records.trust import Check, Compared, Estimate, Faithfulness, Perturbation, Randomisation
from tests.inspection.test_network import PHOTO, images_of, loaded
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


def deleted(**gaps: tuple[float, float, float]) -> Faithfulness:
    """How much less of the class's probability a method's order leaves than a random one, with its interval."""
    names = {
        "grad_cam": "Grad-CAM",
        "grad_cam_plus_plus": "Grad-CAM++",
        "layer_cam": "LayerCAM",
        "occlusion": "occlusion",
    }
    found = []
    for name, gap in gaps.items():
        ahead = Estimate(*gap)
        deletion = Compared(near(0.3), {"random": near(0.3 - ahead.mean)}, {"random": ahead})
        found.append(Perturbation(names[name], 120, deletion, deletion))
    return replace(MEASURED, perturbation=tuple(found), randomisation=())


ALL = ("Grad-CAM", "Grad-CAM++", "LayerCAM", "occlusion")
CHANCE, BETTER, WORSE = (-0.008, -0.057, 0.041), (-0.076, -0.12, -0.032), (0.02, 0.01, 0.03)


@pytest.mark.parametrize(
    ("found", "able", "chosen"),
    [
        (None, ALL, "Grad-CAM"),
        (deleted(grad_cam=BETTER, layer_cam=BETTER), ALL, "Grad-CAM"),
        (deleted(grad_cam=CHANCE, layer_cam=BETTER), ALL, "LayerCAM"),
        (deleted(grad_cam=CHANCE, grad_cam_plus_plus=WORSE, layer_cam=BETTER), ALL, "LayerCAM"),
        (deleted(grad_cam=CHANCE, grad_cam_plus_plus=BETTER, layer_cam=BETTER), ALL, "Grad-CAM++"),
        (deleted(grad_cam=CHANCE, layer_cam=CHANCE, occlusion=BETTER), ALL, "Grad-CAM"),  # of which none is proved
        (deleted(layer_cam=BETTER), ALL, "Grad-CAM"),  # which was not measured
        (deleted(grad_cam=BETTER, layer_cam=BETTER), ("LayerCAM", "Grad-CAM"), "LayerCAM"),  # as report.toml has them
        (deleted(occlusion=BETTER), ("occlusion",), "Grad-CAM"),
    ],
)
def test_the_first_method_is_the_first_that_is_proved(
    found: Faithfulness | None, able: tuple[str, ...], chosen: str
) -> None:
    name, why = first(able, found)
    assert name == chosen
    assert bool(why) == (chosen != able[0] and chosen != "Grad-CAM")


def test_why_another_method_is_the_first() -> None:
    assert first(ALL, deleted(grad_cam=CHANCE, layer_cam=BETTER))[1] == (
        "Its maps are those of LayerCAM: when the places that these name go first, the class’s probability falls by "
        "0.076 (0.032 to 0.120) more than in a random order, on 120 test images. Of Grad-CAM, which comes first "
        "elsewhere, that is not shown: 0.008 (−0.041 to 0.057)."
    )


@pytest.mark.parametrize("name", ["LayerCAM", "Grad-CAM++"])
def test_the_maps_of_all_classes_are_the_first_method_s(name: str) -> None:
    one = loaded()
    arrays = photo_arrays(one, PHOTO, None, (), True, name)
    found = explanation("noise", None, (), arrays)
    assert found.method == name
    images = images_of(PHOTO)
    for target in range(len(one.class_names)):
        wanted = METHODS[name](one.network, images, torch.tensor([target]), one.layer)[0].numpy()
        np.testing.assert_allclose(found.cam(target), wanted, rtol=1e-4, atol=1e-6)
    pair = Target(found.predicted, against=found.runner_up)
    wanted = METHODS[name](one.network, images, [pair], one.layer)[0].numpy()
    np.testing.assert_allclose(found.replies["rival"].cam, wanted, rtol=1e-4, atol=1e-6)
    assert found.comparison is not None
    earlier, cam = next(iter(found.comparison.layers.items()))
    wanted = METHODS[name](one.network, images, torch.tensor([found.predicted]), earlier)[0].numpy()
    np.testing.assert_allclose(cam, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["cnn", "alexnet"])
def test_the_shipped_networks_methods_pass(name: str) -> None:
    kept = load_evaluation(MODELS / name)
    assert kept is not None
    assert kept.faithfulness is not None
    assert len(kept.faithfulness.perturbation) >= 7
    assert unfit(kept.faithfulness) == {}
    assert first(ALL, kept.faithfulness) == ("Grad-CAM", "")


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


def checked(method: str, gap: Estimate, count: int = 8, constant: int = 0, **likeness: float) -> Check:
    deletion = Compared(near(0.3), {"random": near(0.3 - gap.mean)}, {"random": gap})
    return Check(method, count, constant, deletion, 2 if likeness else 0, **likeness)


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        (checked("A", Estimate(0.05, -0.01, 0.1)), ""),  # of so few photos a mean proves nothing
        (checked("A", Estimate(0.05, -0.01, 0.1), count=20), "leaves 0.300 of the answer’s probability on average"),
        (checked("A", Estimate(0.05, 0.01, 0.1)), "in a random one 0.250, on 8 photos of this report"),
        (checked("A", Estimate(0.05, 0.05, 0.05), count=7), ""),
        (checked("A", Estimate(-0.05, -0.1, 0), classes=0.95, weights=0.9), ""),
        (checked("A", Estimate(-0.05, -0.1, 0), classes=0.9995), "of 1.000 with those of the least probable one, on 2"),
        (checked("A", Estimate(-0.05, -0.1, 0), weights=0.91), "all weights are random: a rank correlation of 0.91 on"),
        (checked("A", Estimate(-0.05, -0.1, 0), count=4, constant=4), "the same in all places, on all of 4 photos"),
        (checked("A", Estimate(-0.05, -0.1, 0), count=3, constant=3), ""),
    ],
)
def test_what_the_build_finds_itself_is_told_with_its_number(check: Check, reason: str) -> None:
    failed = unfit(None, [check])
    assert set(failed) == ({"A"} if reason else set())
    assert reason in failed.get("A", "")


def test_a_method_that_fails_a_check_is_left_out_and_the_first_is_warned_of() -> None:
    one = loaded()
    explained = {"noise": explanation("noise", None, (), photo_arrays(one, PHOTO, None, (), compared=True))}
    bad = Estimate(0.05, 0.01, 0.1)
    record = network_record(one, explained, (), None, checks=(checked("Grad-CAM", bad), checked("occlusion", bad)))
    comparison = record.explanations["noise"].comparison
    assert comparison is not None
    assert "occlusion" not in comparison.maps
    assert "Grad-CAM" in comparison.maps
    assert [note.split(":")[0] for note in record.notes[-2:]] == ["Occlusion is left out", "Do not trust Grad-CAM here"]
