"""Scores against values worked out by hand on a few answers."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from generator.base.errors import InputError
from generator.evaluation import scores as scoring
from generator.evaluation.answers import logits_of
from generator.evaluation.scores import (
    BINS,
    MISTAKES,
    Judged,
    calibration,
    cells_of,
    confident_mistakes,
    fit_temperature,
    in_pieces,
    interval,
    kept_of,
    log_softmax,
    matrix_of,
    most_confused,
    rates,
    scores,
    scores_of,
    softmax,
    split_scores,
)
from generator.networks.inputs import fitted, normalise
from generator.records import scores as record
from generator.records import stored
from generator.records.images import Counts, Floats
from generator.records.input import square

pytestmark = pytest.mark.usefixtures("one_thread")


def floats(*rows: Sequence[float] | float) -> Floats:
    return np.array(rows, np.float32)


def whole(*values: int) -> Counts:
    return np.array(values, np.int64)


def surest(confidences: Sequence[float]) -> Floats:
    """(N, 2) probabilities that answer 0 with these confidences."""
    found = np.array(confidences, np.float32)
    return np.stack([found, 1 - found], 1)


def zeros(count: int) -> Counts:
    """So many answers, all of class 0."""
    return np.zeros(count, np.int64)


def cells(confusion: Counts) -> Counts:
    """Those above 0 of a matrix, as `cells_of` gives them."""
    true, predicted = np.nonzero(confusion)
    return np.column_stack([true, predicted, confusion[true, predicted]])


def test_confusion_has_the_truth_in_rows() -> None:
    counted = cells_of(whole(0, 0, 0, 1, 2, 2), whole(0, 1, 1, 1, 0, 1), 3)
    assert counted.tolist() == [[0, 0, 1], [0, 1, 2], [1, 1, 1], [2, 0, 1], [2, 1, 1]]
    found = matrix_of(counted, 3)

    assert found.tolist() == [[1, 2, 0], [0, 1, 0], [1, 1, 0]]
    assert found.dtype == np.int64


def test_rates_by_hand_with_a_class_never_predicted_and_one_that_does_not_occur() -> None:
    confusion = np.array([[1, 2, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]], np.int64)

    precision, recall, f1 = rates(cells(confusion), 4)

    np.testing.assert_allclose(precision, [1 / 2, 1 / 4, np.nan, np.nan], rtol=1e-6)
    np.testing.assert_allclose(recall, [1 / 3, 1, 0, np.nan], rtol=1e-6)
    np.testing.assert_allclose(f1, [2 / 5, 2 / 5, 0, np.nan], rtol=1e-6)


def test_of_classes_with_probabilities_of_their_own() -> None:
    """Sigmoids 3/4, 1/2, 1/4 of an image of class 0, and the same of one of class 2: the losses are -log of these."""
    logits = np.log(np.array([[3, 1, 1 / 3], [3, 1, 1 / 3]], np.float32))
    turned = np.log(np.array([[1 / 9, 4, 1 / 9], [9, 1, 9]], np.float32))  # sigmoids 1/10 4/5 1/10, 9/10 1/2 9/10

    found = kept_of(logits, turned, np.array([0, 2]), apart=True)

    np.testing.assert_allclose(found.confidence, [3 / 4, 3 / 4], rtol=1e-6)
    np.testing.assert_allclose(found.scaled, found.confidence)
    rest = np.log(2), np.log(4 / 3)  # not there: 1 - 1/2 and 1 - 1/4
    np.testing.assert_allclose(
        found.losses, [(np.log(4 / 3) + sum(rest)) / 3, (np.log(4) + np.log(4) + np.log(2)) / 3], rtol=1e-6
    )
    assert found.predicted.tolist() == [0, 0]
    assert found.flipped is not None
    assert found.flipped.tolist() == [False, False]  # 17/20 13/10 7/20; 33/20 1 23/20
    np.testing.assert_array_equal(kept_of(floats([-1e4, -1e4]), None, zeros(1), apart=True).losses, [5e3])


def test_most_confused_ranks_by_the_share_of_the_true_class() -> None:
    found = most_confused(cells(np.array([[6, 4, 0], [1, 1, 0], [5, 0, 5]], np.int64)))

    # Of equal shares the lower class comes first.
    assert [(pair.true, pair.predicted, pair.count, pair.share) for pair in found] == [
        (1, 0, 1, 0.5),
        (2, 0, 5, 0.5),
        (0, 1, 4, 0.4),
    ]


def test_mistakes_come_with_the_surest_first_and_without_the_right_answers() -> None:
    found = confident_mistakes(floats(0.6, 0.9, 0.99, 0.7), zeros(4), whole(1, 1, 0, 1), ["a", "b", "c", "d"])

    assert [(mistake.image, mistake.true, mistake.predicted) for mistake in found] == [
        ("b", 1, 0),
        ("d", 1, 0),
        ("a", 1, 0),
    ]
    assert [mistake.confidence for mistake in found] == pytest.approx([0.9, 0.7, 0.6])


def test_no_more_mistakes_are_kept_than_the_page_needs() -> None:
    count = MISTAKES + 5

    found = confident_mistakes(
        floats(*[0.8] * count), zeros(count), whole(*[1] * count), [str(number) for number in range(count)]
    )

    assert [mistake.image for mistake in found] == [str(number) for number in range(MISTAKES)]


def test_of_the_test_images_every_mistake_is_kept() -> None:
    count = MISTAKES + 5
    logits = np.log(surest([0.8] * count))
    names = [str(number) for number in range(count)]

    answers = (logits, logits, whole(*[1] * count), names)
    found, _ = scores({"test": answers, "validation": answers})

    assert len(found["test"].mistakes) == count
    assert len(found["validation"].mistakes) == MISTAKES
    # Where there are none, those of the part that judges.
    alone, _ = scores({"validation": answers}, chosen="", judged="validation")
    assert len(alone["validation"].mistakes) == count


def test_expected_calibration_error_by_hand() -> None:
    # Two share the last bin (0.9, 1]: mean confidence 0.95, one of them right.
    found = calibration(floats(0.92, 0.98, 0.75, 0.55), whole(0, 1, 0, 1) == 0)

    assert found.error == pytest.approx((2 * abs(0.5 - 0.95) + abs(1 - 0.75) + abs(0 - 0.55)) / 4, abs=1e-6)
    assert found.counts.tolist() == [0] * 5 + [1, 0, 1, 0, 2]
    np.testing.assert_allclose(found.confidence[[5, 7, 9]], [0.55, 0.75, 0.95], rtol=1e-6)
    assert found.accuracy[[5, 7, 9]].tolist() == [0, 1, 0.5]
    assert np.isnan(found.confidence[found.counts == 0]).all()
    np.testing.assert_allclose(found.edges, np.arange(BINS + 1) / BINS, rtol=1e-6)


def test_what_chance_makes_of_the_calibration_error() -> None:
    """All n answers with a confidence of 0.75 share a bin: the mean distance of a binomial share from 0.75 is about
    sqrt(2 / pi) times its standard deviation."""
    count = 400
    found = calibration(floats(*[0.75] * count), whole(*([0, 0, 0, 1] * (count // 4))) == 0)

    assert found.error == pytest.approx(0, abs=1e-6)
    assert found.chance == pytest.approx(math.sqrt(2 / math.pi * 0.75 * 0.25 / count), rel=0.2)


def test_certainty_falls_into_the_last_bin_and_is_calibrated_where_it_is_right() -> None:
    found = calibration(floats(1.0, 1.0), np.array([True, True]))

    assert found.counts[-1] == 2
    assert found.error == 0


def test_the_temperature_that_logits_were_scaled_by_is_found() -> None:
    # Of four equal images three are of class 0: the likeliest probability is 3/4, which logits / 3 give.
    logits = np.tile(3 * np.log(floats([0.75, 0.25])), (4, 1))

    assert fit_temperature([logits], whole(0, 0, 0, 1)) == pytest.approx(3, rel=1e-4)


def test_the_temperature_of_drawn_answers_is_that_of_the_draw() -> None:
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(4000, 5)).astype(np.float32)
    targets = np.array([rng.choice(5, p=row / row.sum()) for row in softmax(wide).astype(np.float64)])

    assert fit_temperature(in_pieces(wide * np.float32(0.5)), targets) == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize(("target", "expected"), [(0, 0.05), (1, 20)])
def test_the_temperature_keeps_within_bounds(target: int, expected: float) -> None:
    logits = floats([1, 0], [1, 0])

    assert fit_temperature([logits], whole(target, target)) == pytest.approx(expected, rel=1e-3)


def test_temperature_changes_no_answer_but_mends_the_calibration() -> None:
    logits = np.tile(3 * np.log(floats([0.75, 0.25])), (4, 1))
    targets = whole(0, 0, 0, 1)

    found, temperature = scores({"validation": (logits, logits, targets, ["a", "b", "c", "d"])})

    assert temperature == pytest.approx(3, rel=1e-4)
    validation = found["validation"]
    assert validation.calibration.error == pytest.approx(27 / 28 - 0.75, abs=1e-5)
    assert validation.calibration_scaled.error == pytest.approx(0, abs=1e-5)


def test_without_validation_images_the_temperature_is_one() -> None:
    logits = floats([2, 0])

    found, temperature = scores({"test": (logits, logits, whole(0), ["a"])})

    assert temperature == 1.0
    assert list(found) == ["test"]
    assert found["test"].calibration.error == found["test"].calibration_scaled.error


def test_on_images_that_judge_no_temperature_is_fitted() -> None:
    logits = np.tile(3 * np.log(floats([0.75, 0.25])), (4, 1))

    _, temperature = scores({"validation": (logits, logits, whole(0, 0, 0, 1), list("abcd"))}, chosen="")

    assert temperature == 1.0


def test_without_validation_images_a_known_temperature_is_used() -> None:
    logits = floats([2, 0])

    found, temperature = scores({"test": (logits, logits, whole(0), ["a"])}, 4.0)

    assert temperature == 4.0
    assert found["test"].calibration_scaled.error == pytest.approx(1 - 1 / (1 + math.exp(-0.5)), abs=1e-6)


def test_interval_is_seeded_and_near_the_normal_approximation() -> None:
    right = np.arange(400) % 2 == 0

    low, high = interval(right)

    assert (low, high) == interval(right)
    margin = 1.96 * math.sqrt(0.25 / 400)
    assert (low, high) == pytest.approx((0.5 - margin, 0.5 + margin), abs=0.006)
    assert interval(right, seed=1) == pytest.approx((low, high), abs=0.006)


@pytest.mark.parametrize("answer", [False, True])
def test_interval_of_unanimous_answers_is_wilson_s(answer: bool) -> None:
    """Of 10 of 10 from 72.2 % on, of 1 of 1 from 20.7 %: not "100 % to 100 %"."""
    for count, least in ((10, 0.7225), (1, 0.2065), (36, 0.9036)):
        low, high = interval(np.full(count, answer))
        assert (low, high) == pytest.approx((least, 1) if answer else (0, 1 - least), abs=1e-4)


def test_softmax_by_hand_also_of_huge_logits() -> None:
    logits = np.array([[0.0, math.log(3)], [1000.0, 1000.0], [-1000.0, 1000.0]])

    np.testing.assert_allclose(softmax(logits), [[0.25, 0.75], [0.5, 0.5], [0.0, 1.0]], atol=1e-12)
    assert log_softmax(logits)[2].tolist() == [-2000, 0]


def test_softmax_rows_sum_to_one_in_the_logits_dtype() -> None:
    logits = np.random.default_rng(0).normal(scale=20, size=(50, 30)).astype(np.float32)

    found = softmax(logits)

    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
    assert np.array_equal(found.argmax(1), logits.argmax(1))


def test_of_equal_logits_the_lower_class_ranks_first() -> None:
    logits = np.zeros((10, 10), np.float32)

    found = split_scores("test", logits, logits, np.arange(10), list("abcdefghij"), 1.0)

    assert found.top1 == pytest.approx(1 / 10)
    assert found.top5 == pytest.approx(5 / 10)
    assert found.loss == pytest.approx(math.log(10))


def test_of_fewer_than_ten_classes_five_answers_are_not_told() -> None:
    found = {
        classes: split_scores("test", np.eye(classes, dtype=np.float32), np.eye(classes, dtype=np.float32),
                              np.arange(classes), list("abcdefghij")[:classes], 1.0)
        for classes in (2, 9, 10)
    }  # fmt: skip

    assert {classes: scores.top5 for classes, scores in found.items()} == {2: None, 9: None, 10: 1.0}
    assert {classes: scores.top5_interval for classes, scores in found.items()} == {
        2: None,
        9: None,
        10: interval(np.ones(10, bool)),
    }


def test_a_split_by_hand() -> None:
    logits = np.log(floats([0.5, 0.25, 0.25], [0.75, 0.125, 0.125], [0.25, 0.5, 0.25], [0.5, 0.25, 0.25]))
    mirrored = np.log(floats([0.5, 0.25, 0.25], [0.0625, 0.875, 0.0625], [0.25, 0.5, 0.25], [0.5, 0.25, 0.25]))

    found = split_scores("test", logits, mirrored, whole(0, 1, 1, 2), ["a", "b", "c", "d"], 1.0)

    assert (found.split, found.count, found.top1, found.top5) == ("test", 4, 0.5, None)
    assert found.top1_flipped == 0.75  # the second image: 0.75 + 0.0625 < 0.125 + 0.875
    assert found.loss == pytest.approx((math.log(2) + math.log(8) + math.log(2) + math.log(4)) / 4)
    assert found.confusion.tolist() == [[1, 0, 0], [1, 1, 0], [1, 0, 0]]
    assert [mistake.image for mistake in found.mistakes] == ["b", "d"]
    assert [(pair.true, pair.predicted) for pair in found.pairs] == [(2, 0), (1, 0)]
    assert found.top1_interval[0] < 0.5 < found.top1_interval[1]
    assert found.top5_interval is None


def test_of_too_many_classes_for_a_matrix_all_else_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = np.random.default_rng(0).normal(size=(200, 12)).astype(np.float32)
    targets = np.arange(200) % 11  # one class does not occur
    names = [str(number) for number in range(200)]
    dense = split_scores("test", logits, None, targets, names, 1.5)
    for module in (scoring, record):
        monkeypatch.setattr(module, "MOST_IN_MATRIX", 11)

    found = split_scores("test", logits, None, targets, names, 1.5)

    assert found.matrix is None
    assert np.array_equal(matrix_of(found.confusion, 12), dense.confusion)
    assert stored.plain(replace(found, confusion=whole())) == stored.plain(replace(dense, confusion=whole()))
    assert np.array_equal(found.totals, dense.confusion.sum(1))
    assert np.array_equal(found.answers, dense.confusion.sum(0))
    assert np.array_equal(found.right, dense.confusion.diagonal())
    assert [found.taken(3, each) for each in range(12)] == dense.confusion[3].tolist()


def test_scores_of_21843_classes_need_no_matrix() -> None:
    """As many as ImageNet-21k has, of which a matrix has 477 million cells."""
    classes = 21_843
    targets = np.repeat(np.arange(classes), 2)
    predicted = targets.copy()
    predicted[::2] = (predicted[::2] + 1) % classes
    counts = np.zeros(len(targets), np.int32)
    sure = np.full(len(targets), 0.75, np.float32)
    judged = Judged(predicted.astype(np.int32), counts, sure, sure, sure)
    tracemalloc.start()

    found = scores_of("test", judged, classes, targets, [""] * len(targets))

    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1e8
    assert found.confusion.shape == (2 * classes, 3)
    assert (found.top1, found.recall.min(), found.precision.max()) == (0.5, 0.5, 0.5)
    assert (found.pairs[0].true, found.pairs[0].predicted, found.pairs[0].share) == (0, 1, 0.5)


CUT = square(12, 16)


class Patchwork(nn.Module):
    """A small network whose answer depends on mode, place and batch norm statistics."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.norm = nn.BatchNorm2d(3)
        self.drop = nn.Dropout(0.5)
        self.linear = nn.Linear(3 * 12 * 12, 4)
        nn.init.normal_(self.linear.weight, std=0.1, generator=generator)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.linear(self.drop(self.norm(images)).flatten(1))
        return found


def pixels(count: int) -> Tensor:
    return torch.randint(0, 256, (count, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def direct(network: nn.Module, images: Tensor) -> NDArray[np.float32]:
    with torch.inference_mode():
        found: NDArray[np.float32] = network.eval()(normalise(fitted(images, CUT), CUT)).numpy()
    return found


def test_logits_are_the_networks_own_on_fitted_images() -> None:
    network, images = Patchwork().train(), pixels(251)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    found = logits_of(network, fitted(images, CUT), CUT)

    assert network.training
    assert network.norm.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    np.testing.assert_allclose(found, direct(network, images), atol=1e-5)


def test_the_mode_is_restored_also_after_an_error() -> None:
    network = Patchwork().train()

    with pytest.raises(RuntimeError):
        logits_of(network, pixels(2), CUT)  # the linear layer wants 12 x 12

    assert network.training


@pytest.mark.parametrize("words", ["CUDA out of memory.", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"])
def test_memory_that_runs_out_is_told(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(images: Tensor) -> Tensor:
        raise RuntimeError(words)

    network = Patchwork()
    monkeypatch.setattr(network, "forward", full)
    with pytest.raises(InputError, match=r"^out of memory with batches of 250; close what else uses it"):
        logits_of(network, fitted(pixels(2), CUT), CUT)


def test_a_network_in_evaluation_mode_stays_in_it() -> None:
    network = Patchwork().eval()

    logits_of(network, fitted(pixels(2), CUT), CUT)

    assert not network.training
    assert not network.drop.training
