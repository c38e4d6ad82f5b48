"""What the report says of a network is what direct calls give."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from generator import explain
from generator.base.errors import InputError
from generator.cache import Cache
from generator.data.preprocessing import square
from generator.evaluation import answers
from generator.explain import Target, methods
from generator.inspection import prototypes, selection
from generator.inspection.layers import NOT_ASKED, blocks, records, shown
from generator.inspection.network import FLATTENED_NOTE, GAP_NOTE, MAX_NOTE, network_record
from generator.inspection.network import facts as network_facts
from generator.inspection.patches import layer_patches, strongest_patches
from generator.inspection.photo import (
    COMPARED,
    Posed,
    compared_photos,
    explanation,
    photo_arrays,
    photos_arrays,
    questions_of,
)
from generator.networks.architecture import initialise, require_finite
from generator.networks.folder import ClassSheet, save_card, save_class_images, save_run
from generator.networks.inputs import normalise
from generator.networks.loaded import Loaded
from generator.networks.recipes import STRONGEST
from generator.networks.small_cnn import SmallCNN
from generator.records.images import Photo, Pixels
from generator.records.input import Input
from generator.records.input import square as square_input
from generator.records.network import Question
from generator.records.training import Epoch, Run
from tests import loaded as facts
from tests import synthetic

pytestmark = pytest.mark.usefixtures("one_thread")

WIDTHS = (4, 4, 4, 4)
WAY = square_input(64)
PHOTO = Photo("noise", "Noise", np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8), "own")


def loaded(classes: int = 3, folder: Path | None = None, layer: str = "") -> Loaded:
    network = SmallCNN(classes, WIDTHS)
    initialise(network, 0)
    with torch.no_grad():
        network.get_parameter("head.linear.weight").normal_(generator=torch.Generator().manual_seed(1))
    names = tuple(f"class {number}" for number in range(classes))
    return replace(facts.loaded(network, names, folder=folder, layer=layer), notes=("A note.",))


def images_of(photo: Photo) -> torch.Tensor:
    return normalise(torch.tensor(square(photo.pixels, 64)).permute(2, 0, 1)[None], WAY)


def test_every_convolution_with_what_its_units_see() -> None:
    """By hand: a 5x5 kernel adds 4 jumps, a 3x3 kernel 2, a 2x2 pooling one and doubles the jump."""
    one = loaded()
    found, rest = records(one, NOT_ASKED)
    assert rest == ()
    assert [layer.name for layer in found] == [f"features.conv{number}" for number in range(1, 8)]
    assert [layer.title for layer in found] == [f"convolution {number}" for number in range(1, 8)]
    assert [layer.receptive_field for layer in found] == [5, 10, 20, 28, 48, 64, 80]
    assert [layer.jump for layer in found] == [1, 2, 4, 4, 8, 8, 8]
    assert {(layer.stride, layer.padding) for layer in found} == {(1, 1), (1, 2)}
    for layer in found:
        np.testing.assert_array_equal(layer.weights, one.network.state_dict()[f"{layer.name}.weight"].numpy())


def test_an_explanation_agrees_with_direct_calls() -> None:
    one = loaded()
    images = images_of(PHOTO)
    found = explanation("noise", 1, (), photo_arrays(one, PHOTO, 1, ()))
    with torch.no_grad():
        logits = one.network(images)[0]
    assert found.layer == "features.relu7"
    np.testing.assert_array_equal(found.seen, square(PHOTO.pixels, 64))
    np.testing.assert_array_equal(found.logits, logits.numpy())
    np.testing.assert_allclose(found.probabilities, logits.softmax(0).numpy(), rtol=1e-5)
    assert (found.photo, found.label, found.targets) == ("noise", 1, (0, 1, 2))
    # Of one pass for all classes and of this one the sums are made in another order on some processors.
    np.testing.assert_allclose(found.cams, explain.grad_cam_all(one.network, images)[0].numpy(), rtol=1e-4, atol=1e-8)
    assert found.cams.max() > 0
    wanted = explain.feature_maps(one.network, images, one.stages)
    assert [(stage.layer, stage.title) for stage in found.stages] == [
        (name, f"stage {number}") for number, name in enumerate(wanted, start=1)
    ]
    for stage in found.stages:
        np.testing.assert_array_equal(stage.maps, wanted[stage.layer][0].numpy())


def test_a_cached_explanation_is_the_same(tmp_path: Path) -> None:
    arrays = photo_arrays(loaded(), PHOTO, None, ())
    kept = Cache(tmp_path).arrays("key", lambda: arrays)
    kept = Cache(tmp_path).arrays("key", dict)  # the second time from the disk
    now, then = (explanation("noise", None, (), each) for each in (arrays, kept))
    assert [stage.layer for stage in then.stages] == [stage.layer for stage in now.stages]
    assert (then.layer, then.targets) == (now.layer, now.targets)
    np.testing.assert_array_equal(then.cams, now.cams)


def test_a_comparison_has_every_method_s_map_of_the_answer(tmp_path: Path) -> None:
    one = loaded()
    images = images_of(PHOTO)
    arrays = Cache(tmp_path).arrays("key", lambda: photo_arrays(one, PHOTO, None, (), compared=True))
    found = explanation("noise", None, (), arrays)
    assert found.comparison is not None
    able, _ = one.methods
    assert list(found.comparison.maps) == list(able)
    assert {"Grad-CAM", "Score-CAM", methods.OCCLUSION, "integrated gradients"} < set(able)
    for name, method in able.items():
        wanted = method(one.network, images, torch.tensor([found.predicted]), "features.relu7")[0]
        np.testing.assert_allclose(found.comparison.maps[name], wanted.numpy(), rtol=1e-4, atol=1e-6)
    assert list(found.comparison.layers) == ["features.relu1", "features.relu3", "features.relu5"]
    early = explain.grad_cam(one.network, images, torch.tensor([found.predicted]), "features.relu3")[0]
    np.testing.assert_allclose(found.comparison.layers["features.relu3"], early.numpy(), rtol=1e-4, atol=1e-6)
    assert found.comparison.patch == 16
    assert found.comparison.hidden == found.predicted
    assert found.comparison.answers.shape == found.comparison.probability.shape == (8, 8)
    assert explanation("noise", None, (), photo_arrays(one, PHOTO, None, ())).comparison is None


def test_of_a_misread_photo_the_square_asks_about_the_answer_as_the_other_methods_do() -> None:
    one = loaded()
    predicted = int(one.network(images_of(PHOTO))[0].argmax())
    true = (predicted + 1) % 3
    found = explanation("noise", true, (), photo_arrays(one, PHOTO, true, (), compared=True))
    assert found.comparison is not None
    assert found.comparison.hidden == predicted
    wanted = explain.occlude(one.network, images_of(PHOTO), [predicted], patch=16).probability[0]
    np.testing.assert_allclose(found.comparison.probability, wanted.numpy(), rtol=1e-5)
    wanted = explain.occlude(one.network, images_of(PHOTO), [predicted], patch=16).drop[0]
    np.testing.assert_allclose(found.comparison.maps["occlusion"], wanted.numpy(), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("size", [(24, 96), (96, 24)])
def test_the_square_is_a_quarter_of_the_shorter_side(size: tuple[int, int]) -> None:
    wide = replace(loaded(), input=Input(size))
    found = explanation("noise", None, (), photo_arrays(wide, PHOTO, None, (), compared=True))
    assert found.comparison is not None
    assert found.comparison.patch == 6
    assert found.comparison.probability.shape == (size[0] // 3, size[1] // 3)  # a step of half of it


def test_a_named_layer_is_the_one_explained() -> None:
    one = loaded(layer="features.relu3")
    found = explanation("noise", None, (), photo_arrays(one, PHOTO, None, ()))
    assert found.layer == "features.relu3"
    assert found.cams.shape == (3, 16, 16)
    wanted = explain.grad_cam_all(one.network, images_of(PHOTO), "features.relu3")[0]
    np.testing.assert_allclose(found.cams, wanted.numpy(), rtol=1e-4, atol=1e-8)
    (fact,) = [each for each in network_facts(one) if each.what == "layer explained"]
    assert (fact.value, fact.origin) == ("features.relu3", "declared")
    told = r"report.toml; its 16 × 16 cells are known to lie over the photo, and (\d+) of them move the logits"
    moved = re.fullmatch(told, fact.source)
    assert moved is not None
    assert 1 < int(moved[1]) <= 256


def test_a_named_layer_whose_maps_would_show_nothing_is_refused() -> None:
    with pytest.raises(InputError, match=r"\[models\.\S+\] layer 'head.pool': expected several cells, it gives one"):
        _ = loaded(layer="head.pool").layer
    with pytest.raises(InputError, match=r"\[models\.\S+\] layer: expected none, for it is sealed"):
        _ = replace(loaded(layer="features.relu3"), opaque="it is sealed").layer


def test_without_a_layer_there_are_answers_and_what_needs_none() -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64 * 64, 8), torch.nn.ReLU())
    network.append(torch.nn.Linear(8, 3))
    one = facts.loaded(network, ("a", "b", "c"))
    found = explanation("noise", None, (), photo_arrays(one, PHOTO, None, (), compared=True))
    assert (found.layer, found.targets, found.stages, found.contributions) == ("", (), (), None)
    assert found.cams.shape == (0, 1, 1)
    images = images_of(PHOTO)
    np.testing.assert_array_equal(found.logits, network(images)[0].detach().numpy())
    assert found.comparison is not None
    assert list(found.comparison.maps) == ["occlusion", "guided backprop", "integrated gradients"]
    assert found.comparison.layers == {}
    wanted = explain.integrated_gradients(network, images, [found.predicted]).abs().sum(1)[0]
    np.testing.assert_allclose(found.comparison.maps["integrated gradients"], wanted.numpy(), rtol=1e-4, atol=1e-7)
    record = network_record(one, {"noise": found}, [], None)
    assert (record.layers, record.cam_note) == ((), "")
    assert record.notes[-1].startswith("Grad-CAM, Grad-CAM++, LayerCAM and Score-CAM are left out: the network runs no")
    assert strongest_patches(one, [PHOTO.pixels], shown(one)) == {}


def test_of_many_classes_only_the_named_are_explained() -> None:
    one = loaded(classes=101)
    images = images_of(PHOTO)
    first, second, third, fourth = one.network(images)[0].topk(4).indices.tolist()
    asked = (Question((fourth,)),)
    found = explanation("noise", third, asked, photo_arrays(one, PHOTO, third, asked))
    assert found.targets == (first, second, third)
    assert found.label == third
    assert (found.predicted, found.runner_up) == (first, second)
    assert photo_arrays(one, PHOTO, second, ())["targets"].tolist() == [first, second]
    for target in found.targets:
        wanted = explain.grad_cam(one.network, images, [target])[0].numpy()
        np.testing.assert_allclose(found.cam(target), wanted, rtol=1e-4, atol=1e-6)
    wanted = explain.grad_cam(one.network, images, [fourth])[0].numpy()
    np.testing.assert_allclose(found.replies["other"].cam, wanted, rtol=1e-4, atol=1e-6)


def test_what_is_asked_beside_the_classes() -> None:
    """The answer against the truth it missed, else against the runner-up; what report.toml asks, each once."""
    logits = np.array([1, 3, 2], np.float32)
    rivals = [questions_of(logits, label, ())["rival"] for label in (0, 1, 2, None)]
    assert rivals == [Question((1,), (0,)), *[Question((1,), (2,))] * 3]
    pair, both = Question((1,), (2,)), Question((0, 2))
    found = questions_of(logits, None, (Question((2,)), Question((0,)), pair, both, Question((), (1,))))
    assert list(found) == ["rival", "other", "other-2", "other-3"]  # the runner-up and the pair are shown already
    assert list(found.values()) == [pair, Question((0,)), both, Question((), (1,))]


def test_replies_by_hand() -> None:
    """Logits log 1, log 3, log 2 of three classes are probabilities 1/6, 3/6, 2/6."""
    one, images = loaded(), images_of(PHOTO)
    asked = (Question((0, 1)), Question((), (0,)))
    arrays = photo_arrays(one, PHOTO, None, asked)
    logits = arrays["logits"]
    found = explanation("noise", None, asked, arrays)
    best, second = found.predicted, found.runner_up
    rival = found.replies["rival"]
    assert rival.question == Question((best,), (second,))
    assert rival.logit == pytest.approx(logits[best] - logits[second], abs=1e-5)
    assert rival.probability == pytest.approx(1 / (1 + math.exp(-rival.logit)), abs=1e-6)
    wanted = explain.grad_cam(one.network, images, [Target(best, against=second)])[0].numpy()
    np.testing.assert_allclose(rival.cam, wanted, rtol=1e-4, atol=1e-6)
    arrays = {**arrays, "logits": np.log(np.array([1, 3, 2], np.float32))}
    by_hand = explanation("noise", None, asked, arrays).replies
    assert (by_hand["rival"].question, by_hand["rival"].question.measure) == (
        Question((1,), (2,)),
        "difference of logits",
    )
    assert by_hand["rival"].probability == pytest.approx(3 / 5)
    assert by_hand["other"].probability == pytest.approx(4 / 6)
    assert by_hand["other"].logit == pytest.approx(math.log(3))
    assert by_hand["other-2"].probability == pytest.approx(5 / 6)
    assert by_hand["other-2"].question.named(["a", "b", "c"]) == "not a"


def test_a_hundred_classes_are_all_explained() -> None:
    found = photo_arrays(loaded(classes=100), PHOTO, None, ())
    assert found["targets"].tolist() == list(range(100))


def test_the_network_s_numbers_are_those_worked_out_by_hand(tmp_path: Path) -> None:
    run = Run("augmented", (Epoch(1, 1.0, 0.5, None, None, 0.1, 1.0, 64),), 1, {}, {})
    save_run(tmp_path, run, {0: torch.ones(4, 3, 3, 3)})
    save_card(tmp_path, "# The card")
    found = network_record(loaded(folder=tmp_path), {}, ["noise"], None)
    # Kernels 3x4 and six of 4x4, each 3x3; seven batch norms of scale and shift; the linear layer with its bias.
    assert found.parameters == 25 * 12 + 9 * 6 * 16 + 7 * 8 + 3 * 5
    # Convolutions run before their stage is pooled: at 64, 32, 16, 16 and three times 8 pixels.
    assert found.macs == 25 * 12 * 64**2 + 9 * 16 * (32**2 + 2 * 16**2 + 3 * 8**2) + 4 * 3
    assert (found.runs, found.card, found.failures, found.notes) == ((run,), "# The card", ("noise",), ("A note.",))
    np.testing.assert_array_equal(found.snapshots[0], np.ones((4, 3, 3, 3)))
    assert found.cam_note == MAX_NOTE


@pytest.mark.parametrize(
    ("network", "note"),
    [
        (SmallCNN(5, (4, 4, 4, 4), pool="average"), GAP_NOTE),
        (SmallCNN(5, (4, 4, 4, 4), pool="max"), MAX_NOTE),
        (torchvision.models.resnet18(num_classes=5), GAP_NOTE),
        (torchvision.models.vgg11(num_classes=5), FLATTENED_NOTE),
        (torchvision.models.squeezenet1_1(num_classes=5), ""),  # its last convolution gives the logits
    ],
)
def test_the_head_decides_what_the_map_promises(network: torch.nn.Module, note: str) -> None:
    """Whatever the record says of SmallCNN's pooling: another architecture has none."""
    foreign = replace(loaded().architecture, layer=None, stages=None)
    one = replace(loaded(), network=network.eval(), architecture=foreign)
    assert network_record(one, {}, [], None).cam_note == note


def test_a_layer_early_in_the_network_is_called_so() -> None:
    """Tokens that are put in another order can be told to lie nowhere, so that what comes before them is chosen."""

    class Reordering(torch.nn.Module):
        def __init__(self, reorders: bool) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.embed = torch.nn.Conv2d(3, 8, 8, 8)
            self.steps = torch.nn.ModuleList(torch.nn.Linear(8, 8) for _ in range(4))
            self.head, self.reorders = torch.nn.Linear(8, 5), reorders

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            tokens = self.embed(batch)
            if self.reorders:
                tokens = tokens.unflatten(3, (2, -1)).transpose(2, 3)
            tokens = tokens.flatten(2).transpose(1, 2)
            for step in self.steps:
                tokens = tokens + step(tokens).relu()
            return self.head(tokens.mean(1))  # type: ignore[no-any-return]

    foreign = replace(loaded().architecture, layer=None, stages=None)
    notes = [
        network_record(replace(loaded(), network=Reordering(how).eval(), architecture=foreign), {}, [], None).cam_note
        for how in (False, True)
    ]
    assert "early" not in notes[0]
    assert notes[1].startswith("Grad-CAM looks at the cells of embed, the last output whose ")
    assert notes[1].endswith(
        "It is early in the network: 5 of its 6 layers with weights come after it, and no map tells what these make of "
        "its cells."
    )


def test_weights_from_elsewhere_have_no_records() -> None:
    found = network_record(loaded(), {}, [], None)
    assert (found.runs, found.snapshots, found.card) == ((), {}, "")


@pytest.mark.parametrize("seed", [4, 5])
def test_augmentation_begins_with_the_image_and_is_repeatable(seed: int) -> None:
    image, partner = torch.randint(
        0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    steps = selection.augmented(image, partner, STRONGEST, seed)
    np.testing.assert_array_equal(steps[0][1], image.permute(1, 2, 0).numpy())
    for (name, step), (same_name, same_step) in zip(
        steps, selection.augmented(image, partner, STRONGEST, seed), strict=True
    ):
        assert name == same_name
        np.testing.assert_array_equal(step, same_step)
    assert not np.array_equal(steps[-1][1], steps[0][1])


def pictures(count: int, side: int = 64) -> list[Pixels]:
    return list(np.random.default_rng(5).integers(0, 256, (count, side, side, 3), np.uint8))


def test_patches_lie_where_the_channel_answers_most() -> None:
    one, images = loaded(), pictures(3)
    found = layer_patches(strongest_patches(one, images, shown(one)))
    assert [patches.layer for patches in found] == explain.convolutions(one.network)
    batch = normalise(torch.tensor(np.stack(images)).permute(0, 3, 1, 2), WAY)
    maps = explain.feature_maps(one.network, batch, [patches.layer for patches in found])
    for patches in found:
        field = explain.receptive_field(one.network, patches.layer, 64)
        for channel in range(4):
            first = int(patches.pictures[channel, 0])
            best = maps[patches.layer][:, channel].flatten(1).amax(1)
            assert first == int(best.argmax())
            assert patches.answers[channel, 0] == pytest.approx(best.max().item(), rel=1e-4)
            cell = int(maps[patches.layer][first, channel].argmax())
            width = maps[patches.layer].shape[3]
            assert tuple(patches.boxes[channel, 0]) == field.box(cell // width, cell % width)
        assert (patches.pictures[:, 3:] == -1).all()  # three images, nine places


def test_a_box_of_the_first_layer_holds_what_the_filter_saw() -> None:
    """The answer is the sum of weights times the cropped pixels, zeros where the box leaves the image."""
    one, images = loaded(), pictures(2)
    (first, *_) = layer_patches(strongest_patches(one, images, shown(one)))
    weights = one.network.state_dict()["features.conv1.weight"]
    for channel in range(4):
        seen = normalise(torch.tensor(images[first.pictures[channel, 0]]).permute(2, 0, 1)[None], WAY)[0]
        x0, y0, x1, y1 = first.boxes[channel, 0].tolist()
        side = x1 - x0 + 1
        assert (side, y1 - y0 + 1) == (weights.shape[3], weights.shape[2])
        padded = torch.nn.functional.pad(seen, (side, side, side, side))
        patch = padded[:, y0 + side : y1 + 1 + side, x0 + side : x1 + 1 + side]
        assert (patch * weights[channel]).sum().item() == pytest.approx(first.answers[channel, 0], rel=1e-4)


def test_pictures_are_cut_as_the_network_is_given_them() -> None:
    one, wide = loaded(), pictures(1, 100)[0][:80]
    whole = strongest_patches(one, [wide], shown(one))
    cut = strongest_patches(one, [square(wide, 64)], shown(one))
    assert whole.keys() == cut.keys()
    for key, value in whole.items():
        np.testing.assert_array_equal(value, cut[key])


def test_cached_patches_are_the_same(tmp_path: Path) -> None:
    arrays = strongest_patches(loaded(), pictures(2), shown(loaded()))
    Cache(tmp_path).arrays("key", lambda: arrays)
    then = layer_patches(Cache(tmp_path).arrays("key", dict))
    for one, other in zip(layer_patches(arrays), then, strict=True):
        assert one.layer == other.layer
        np.testing.assert_array_equal(one.boxes, other.boxes)
        np.testing.assert_array_equal(one.answers, other.answers)


def test_contributions_add_up_to_the_answer_s_logit() -> None:
    one = loaded(layer="features.relu7")
    found = explanation("noise", None, (), photo_arrays(one, PHOTO, None, ()))
    assert found.contributions is not None
    assert found.contributor_maps is not None
    bias = one.network.get_parameter("head.linear.bias")[found.predicted].item()
    assert found.contributions.sum() + bias == pytest.approx(found.logits[found.predicted], rel=1e-4)
    assert found.contributors == tuple(np.argsort(-found.contributions, kind="stable")[:8])
    assert found.contributor_layer == "features.conv7"
    maps = explain.feature_maps(one.network, images_of(PHOTO), ["features.relu7"])["features.relu7"][0]
    np.testing.assert_array_equal(found.contributor_maps, maps[list(found.contributors)].numpy())


def test_an_image_for_each_class_and_what_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prototypes, "CLASS_STEPS", 2)
    one = loaded()
    found = prototypes.class_images_of(prototypes.made_for_classes(one))
    assert found is not None
    assert (found.images.shape, found.steps, found.seed) == ((3, 64, 64, 3), 2, 0)
    seen = normalise(torch.tensor(found.images).permute(0, 3, 1, 2), WAY)
    with torch.no_grad():
        np.testing.assert_allclose(found.logits, one.network(seen).numpy(), rtol=1e-4, atol=1e-5)
    wanted = prototypes.maximise(one.network, range(3), WAY, seed=0, steps=2)
    np.testing.assert_array_equal(found.images, wanted.permute(0, 2, 3, 1).numpy())


def test_images_on_record_are_those_of_the_weights_that_they_were_made_for(tmp_path: Path) -> None:
    one = loaded(folder=tmp_path)
    assert prototypes.kept(one) is None
    noise = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    save_class_images(tmp_path, ClassSheet(one.digest, 5, 9, noise))
    on_record = prototypes.kept(one)
    found = prototypes.class_images_of(prototypes.made_for_classes(one, on_record))
    assert found is not None
    np.testing.assert_array_equal(found.images, noise)
    assert (found.seed, found.steps) == (5, 9)
    with torch.no_grad():
        answers = one.network(normalise(torch.tensor(noise).permute(0, 3, 1, 2), WAY))
    np.testing.assert_array_equal(found.logits, answers.numpy())
    assert prototypes.kept(replace(one, digest="cd" * 32)) is None  # of other weights
    assert prototypes.kept(replace(one, input=square_input(32))) is None  # of another size
    assert prototypes.kept(replace(loaded(4, tmp_path), digest=one.digest)) is None  # of other classes


def test_images_are_put_on_record_once_and_are_what_is_made_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prototypes, "CLASS_STEPS", 2)
    one = loaded(folder=tmp_path)
    prototypes.keep(one)
    file = tmp_path / "class-images.webp"
    written = file.stat().st_mtime_ns
    direct, recorded = prototypes.made_for_classes(one), prototypes.made_for_classes(one, prototypes.kept(one))
    assert direct.keys() == recorded.keys()
    for name in direct:
        np.testing.assert_array_equal(direct[name], recorded[name])
    prototypes.keep(one)
    assert file.stat().st_mtime_ns == written
    prototypes.keep(replace(one, digest="cd" * 32))
    assert prototypes.kept(one) is None
    prototypes.keep(loaded(101, tmp_path / "many"))
    assert not (tmp_path / "many").exists()


def test_a_build_makes_no_images_that_take_long_but_evaluate_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(prototypes, "CLASS_STEPS", 2)
    one = loaded(folder=tmp_path)
    assert prototypes.cost(one) == 3 * one.once * 3 * 2
    monkeypatch.setattr(prototypes, "BUDGET", prototypes.cost(one) - 1)
    assert prototypes.made_for_classes(one) == {}
    assert "no images of its classes are made, which would take long; `evaluate` makes them" in capsys.readouterr().err
    prototypes.keep(one)
    assert prototypes.made_for_classes(one, prototypes.kept(one))["images"].shape == (3, 64, 64, 3)
    monkeypatch.setattr(prototypes, "BUDGET", prototypes.cost(one))
    assert prototypes.made_for_classes(one) != {}


def test_a_thousand_classes_get_no_images() -> None:
    assert prototypes.class_images_of(prototypes.made_for_classes(loaded(classes=101))) is None


def overflowing() -> Loaded:
    """Weights that are finite, and answers that are not: three convolutions of 1e20 make more than float32 holds."""
    made = loaded()
    with torch.no_grad():
        for name, weight in made.network.named_parameters():
            if weight.ndim == 4:
                made.network.get_parameter(name).fill_(1e20)
    return made


@pytest.mark.parametrize(
    "look",
    [
        lambda made: photo_arrays(made, PHOTO, None, ()),
        lambda made: strongest_patches(made, [PHOTO.pixels], shown(made)),
        lambda made: answers.logits_of(
            made.network, torch.tensor(square(PHOTO.pixels, 64)).permute(2, 0, 1)[None], WAY
        ),
    ],
    ids=["observed", "patches", "evaluate"],
)
def test_answers_that_are_not_finite_are_told(look: Callable[[Loaded], object]) -> None:
    with pytest.raises(InputError, match=r"expected finite (logits|answers|gradients).*, found NaN") as error:
        look(overflowing())
    assert "\n" not in str(error.value)


def test_without_gradients_by_the_image_there_are_no_class_images() -> None:
    made = overflowing()
    assert "nan or inf" in made.methods[1]["integrated gradients"]
    assert prototypes.class_images_of(prototypes.made_for_classes(made)) is None


def test_photos_together_are_as_each_alone_and_share_their_passes() -> None:
    one = loaded(classes=5)
    other = replace(PHOTO, id="other", pixels=np.ascontiguousarray(PHOTO.pixels[::-1, 10:90]))
    asked = (Question((2,), (0,)),)
    posed = [Posed(PHOTO, None), Posed(other, 3)]
    singles = [photo_arrays(one, each.photo, each.label, asked, compared=True) for each in posed]
    sizes: list[int] = []
    hook = one.network.register_forward_pre_hook(lambda _m, given: sizes.append(len(given[0])))
    for found, want in zip(photos_arrays(one, posed, asked, compared=True), singles, strict=True):
        assert list(found) == list(want)
        for name, array in want.items():
            if array.dtype.kind == "f":
                np.testing.assert_allclose(found[name], array, rtol=1e-3, atol=1e-4 * np.abs(array).max())
            else:
                np.testing.assert_array_equal(found[name], array)
    hook.remove()
    # One for all class activation maps at all stages; occlusion, Score-CAM and integrated gradients look at the photos
    # before they change them, integrated gradients at where their ways begin too, guided backpropagation has its own.
    assert sizes.count(2) == 6


def test_test_images_are_compared_where_there_are_no_other_photos() -> None:
    """As many as a network's size affords; those that somebody chose, in any case."""
    tests = [synthetic.photo(f"test-{number}", 0, origin="test") for number in range(6)]
    own = synthetic.photo("mine", None, origin="own")
    one = loaded()
    assert compared_photos(one, tests) == {photo.id for photo in tests[:COMPARED]}
    assert compared_photos(one, [*tests, own]) == {own.id}
    large = loaded()
    for count, cost in ((4, 1e11), (2, 5e11), (1, 3e12), (0, 5e12)):
        large.__dict__["costs"] = {"Grad-CAM": cost}
        assert len(compared_photos(large, tests)) == count


def test_logits_at_the_edge_of_float32_are_told_and_large_ones_are_not() -> None:
    network = loaded().network
    require_finite(torch.tensor([[1e30, -1e30]]), network)
    with pytest.raises(InputError, match=r"^SmallCNN: expected finite logits, .* for 2 of 3 images, though"):
        require_finite(torch.tensor([[0.0, 1.0], [3e38, -3e38], [torch.nan, 0.0]]), network)


def test_gradients_that_are_not_finite_are_told() -> None:
    """The logit is 0; its gradient, that of a root at 0, is not finite."""

    class Steep(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return (images.mean((1, 2, 3)) * 0).sqrt()[:, None].expand(-1, 3)

    with pytest.raises(InputError, match=r"^Steep: expected finite gradients of its logits, found NaN or infinity"):
        prototypes.maximise(Steep(), range(3), square_input(16), steps=1)


@pytest.mark.parametrize(("windows", "partly"), [(4, True), (16, False)])
def test_attention_within_windows_sees_a_part_of_the_photo(windows: int, partly: bool) -> None:
    """Of 16 x 16 cells in windows of 4, in the second block moved by half of one; and in one window."""
    network = torchvision.models.SwinTransformer([4, 4], 8, [2], [2], [windows, windows], num_classes=3).eval()
    found = blocks(replace(facts.loaded(network, ("a", "b", "c")), input=Input((64, 64))))
    attending = ("features.0+add", "features.1.0", "features.1.0+add", "features")
    assert {block.name for block in found if block.partly} == set(attending if partly else ())
    assert {block.name for block in found if block.sees is None and block.cells > 1} == set(attending)
