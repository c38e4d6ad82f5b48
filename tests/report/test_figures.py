"""The report's figures from records whose numbers are known: their words, their pixels, and which of them exist."""

from __future__ import annotations

import base64
import dataclasses
import io
import math
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from generator.base.names import slug, slugs
from generator.figures import raster, theme
from generator.records.figure import Figure
from generator.records.images import Photo
from generator.records.network import Comparison, Explanation, Network, Question, Replied, StageMaps
from generator.records.report import Report
from generator.records.scores import Mistake
from generator.records.training import Run
from generator.report.data.figures import data_figures, photo_figures
from generator.report.evaluation import mistakes
from generator.report.evaluation.facts import Scores, seriation
from generator.report.evaluation.figures import evaluation_figures
from generator.report.evaluation.mistakes import confusions
from generator.report.feature_maps.facts import stage_of
from generator.report.feature_maps.figures import feature_map_figures
from generator.report.filters.weights import filter_figures, first_layer_scale
from generator.report.grad_cam.facts import stretched, strip_columns
from generator.report.grad_cam.figures import failure_figures, grad_cam_figures, roles_of
from generator.report.grad_cam.methods import ways
from generator.report.overview import tile
from generator.report.plates import numbers, wording
from generator.report.plates.numbers import columns, dead, duplicates, nearest, norms
from generator.report.plates.painting import by_mean, overlay
from generator.report.training import curves
from tests import sites, synthetic

CLEAR = [0, 0, 0, 0]
HOSTILE = "<script>alert('x')</script>"


def everything(report: Report) -> dict[str, Figure]:
    """All figures of a report by their ids."""
    found = sites.figures_of(report)
    assert max(Counter(figure.id for figure in found).values()) == 1
    return {figure.id: figure for figure in found}


def decoded(figure: Figure) -> NDArray[np.uint8]:
    """The pixels of the file that a figure shows, RGBA."""
    return np.asarray(Image.open(io.BytesIO(figure.files[figure.src])).convert("RGBA"))


def by_id(figures: tuple[Figure, ...]) -> dict[str, Figure]:
    return {figure.id: figure for figure in figures}


def with_weights(*layers: NDArray[np.float32]) -> Network:
    """A network with these convolutions."""
    made = tuple(synthetic.convolution(f"conv{i}", i, w, 3) for i, w in enumerate(layers, start=1))
    return replace(synthetic.network("cnn", "Net", []), layers=made)


def explained(cams: NDArray[np.float32], logits: list[float], label: int | None, side: int = 64) -> Network:
    """A network that was shown one photo, "p"."""
    values = np.array(logits, np.float32)
    probabilities = np.exp(values) / np.exp(values).sum()
    stages = (StageMaps("conv1", "stage 1", np.ones((2, 4, 4), np.float32)),)
    seen = np.full((side, side, 3), 100, np.uint8)
    targets = tuple(range(len(cams)))
    explanation = Explanation("p", seen, values, probabilities, label, "conv1", targets, cams, stages)
    network = synthetic.network("net", "Net", [], class_names=[f"class {i}" for i in range(len(logits))])
    return replace(network, explanations={"p": explanation}, failures=("p",))


PHOTO = synthetic.photo("p", 0, "A photo")


class TestTheWhole:
    report = synthetic.report()
    figures = everything(report)

    def test_ids_that_templates_place(self) -> None:
        expected = {
            "hero-photo", "hero-filters", "hero-maps", "hero-cam", "social", "teaser", "favicon", "mark-index",
            "mark-feature-maps", "scale-heat", "photo-bee", "data-examples-bee",
            "data-augmentation-1", "data-augmentation-2",
            "cnn-curves-augmented", "cnn-loss-one-batch", "cnn-rate-without-augmentation",
            "cnn-runs", "cnn-first-layer-epochs", "cnn-confusion-train", "cnn-confusion-validation",
            "cnn-confusion-test", "cnn-reliability", "cnn-per-class", "cnn-filters-features-conv1",
            "alexnet-filters-features-conv2", "cnn-norms-features-conv2", "cnn-maps-bee-features-conv1",
            "cnn-cam-bee-photo", "cnn-cam-bee-predicted", "cnn-cam-bee-predicted-heat", "cnn-cam-bee-runner-up",
            "cnn-cam-slice-true", "cnn-cam-bee-all", "cnn-failure-slice-photo",
            "cnn-failure-slice-predicted", "cnn-failure-slice-true", "cnn-class-bee", "cnn-conv1-weights-0",
            "alexnet-conv2-patches-0", "cnn-conv2-preview", "cnn-contributions-bee",
        }  # fmt: skip
        assert expected <= set(self.figures)

    def test_what_was_not_recorded_has_no_figure(self) -> None:
        assert not [name for name in self.figures if name.startswith(("alexnet-curves", "alexnet-runs"))]
        # The bee and the koala are called by their names: the truth has no map of its own, and they are no failures.
        assert not {"cnn-cam-bee-true", "cnn-failure-bee-photo"} & set(self.figures)

    def test_every_figure_has_words_and_a_picture(self) -> None:
        decorative = {name for name in self.figures if name.startswith("mark-")} | {"favicon"}
        for name, figure in self.figures.items():
            assert bool(figure.svg) != bool(figure.src)
            assert bool(figure.alt) != (name in decorative)
            assert not figure.alt or figure.alt.endswith(".")
            if figure.svg and name not in decorative:
                assert figure.caption.endswith(".")
                assert figure.table is not None
                assert all(len(row) == len(figure.table.head) for row in figure.table.rows)

    def test_files_lie_where_they_belong_and_have_the_stated_size(self) -> None:
        for name, figure in self.figures.items():
            assert all(re.fullmatch(r"assets/figures/[a-z0-9-]+\.(webp|jpg|png|svg)", path) for path in figure.files)
            if figure.src:
                assert {figure.src, *(path for path, _ in figure.srcset)} <= set(figure.files)
            if figure.src.endswith((".webp", ".jpg")):
                assert Image.open(io.BytesIO(figure.files[figure.src])).size == (figure.width, figure.height), name

    def test_one_name_is_one_file(self) -> None:
        files: dict[str, bytes] = {}
        for figure in self.figures.values():
            assert all(files.setdefault(path, content) == content for path, content in figure.files.items())

    def test_a_failure_shows_the_files_of_the_grad_cam_page(self) -> None:
        for role in ("photo", "predicted", "true"):
            assert self.figures[f"cnn-failure-slice-{role}"].files == self.figures[f"cnn-cam-slice-{role}"].files

    def test_the_same_records_give_the_same_bytes(self) -> None:
        assert everything(synthetic.report()) == self.figures

    def test_ids_inside_charts_are_unique_over_the_page(self) -> None:
        ids = Counter(found for figure in self.figures.values() for found in re.findall(r'\bid="([^"]+)"', figure.svg))
        assert max(ids.values()) == 1
        assert not set(ids) & set(self.figures)


def test_hostile_names_stay_words() -> None:
    names = (HOSTILE, "$a_b", "lion", "pizza")
    for figure in everything(synthetic.report(class_names=names)).values():
        assert "<script" not in figure.svg
        assert not any("<" in path for path in figure.files)


def test_class_names_with_one_address_are_told_apart() -> None:
    names = ("a b", "a-b", "火", "水")
    found = by_id(data_figures(synthetic.report(class_names=names)))
    assert slugs(names) == ("a-b", "a-b-2", "unnamed", "unnamed-2")
    assert {f"data-examples-{address}" for address in slugs(names)} <= set(found)


def test_without_the_data_set_there_are_no_examples() -> None:
    assert data_figures(synthetic.report(present=False)) == ()


def test_training_words_come_from_the_epochs() -> None:
    run = synthetic.run("augmented", 4, kept=3)
    found = by_id(curves.training_figures(replace(synthetic.network("cnn", "Net", []), runs=(run,))))
    # Accuracy: 0.9 (1 - 1/2) = 0.45 at first, 0.9 (1 - 1/8) = 0.7875 in epoch 3, where training has 0.875.
    assert found["cnn-curves-augmented"].alt == (
        "Line chart of Net’s accuracy over the epochs of the run augmented: validation accuracy goes from 45.0\u00a0% "
        "in epoch 1 to 78.8\u00a0% in the kept epoch 3 of 4, where training accuracy is 87.5\u00a0%."
    )
    # Loss: 2.5/2 and 2.5/8, training 2/8; four classes cost ln 4 = 1.386 by guessing.
    assert "from 1.25 to 0.31 in the kept epoch 3 of 4, where training loss is 0.25" in found["cnn-loss-augmented"].alt
    assert "Guessing among 4 classes costs 1.39" in found["cnn-loss-augmented"].caption
    assert "at most 0.004 in epoch 1, 0.001 in the last, 4" in found["cnn-rate-augmented"].alt
    assert "32 pixels from epoch 1 and 64 pixels from epoch 2" in found["cnn-rate-augmented"].caption
    assert "The 4 epochs took 50\u00a0s." in found["cnn-rate-augmented"].caption
    table = found["cnn-curves-augmented"].table
    assert table is not None
    assert table.rows[:2] == ((1, 50.0, 45.0), (2, 75.0, 67.5))


def test_caption_says_from_when_on_the_loss_is_not_the_labels_alone() -> None:
    run = synthetic.run("augmented", epochs=4)
    taught = replace(run, settings={**run.settings, "teachers": ["a" * 64], "started_after": 3})

    def told(run: Run) -> str:
        return by_id(curves.training_figures(replace(synthetic.network("cnn", "Net", []), runs=(run,))))[
            "cnn-loss-augmented"
        ].caption

    assert "cross entropy in nats, over the epochs" in told(run)
    assert "nats (from epoch 4 on mixed with the distance to the teachers’ answers), over" in told(taught)


def test_caption_says_how_far_training_is_ahead() -> None:
    run = synthetic.run("augmented", 4, kept=2)  # training 3/4, validation 0.9 * 3/4
    found = by_id(curves.training_figures(replace(synthetic.network("cnn", "Net", []), runs=(run,))))
    assert "In the kept epoch training is 7.5 points ahead of validation." in found["cnn-curves-augmented"].caption


def test_run_without_validation_says_so() -> None:
    run = synthetic.run("one batch", 2)
    found = by_id(curves.training_figures(replace(synthetic.network("cnn", "Net", []), runs=(run,), snapshots={})))
    assert "training accuracy goes from 50.0\u00a0% to 75.0\u00a0%" in found["cnn-curves-one-batch"].alt
    assert "No validation images" in found["cnn-curves-one-batch"].caption
    table = found["cnn-curves-one-batch"].table
    assert table is not None
    assert (table.head, table.rows) == (("epoch", "training accuracy, %"), ((1, 50.0), (2, 75.0)))
    assert set(found) == {"cnn-curves-one-batch", "cnn-loss-one-batch", "cnn-rate-one-batch"}


def test_one_epoch_is_enough() -> None:
    run = synthetic.run("augmented", 1)
    assert len(curves.training_figures(replace(synthetic.network("cnn", "Net", []), runs=(run,), snapshots={}))) == 3


def test_run_without_epochs_has_no_figures() -> None:
    run = replace(synthetic.run("augmented", 1), epochs=())
    assert curves.training_figures(replace(synthetic.network("cnn", "Net", []), runs=(run,), snapshots={})) == ()


def test_the_runs_together_have_a_row_an_epoch_and_gaps_where_a_run_was_shorter() -> None:
    long, short = synthetic.run("long", epochs=3, kept=2), synthetic.run("short", epochs=2, kept=2)
    figure = by_id(curves.training_figures(synthetic.network("cnn", "Net", [], runs=(long, short))))["cnn-runs"]
    assert figure.table is not None
    assert figure.table.head == (
        "epoch",
        "long: training, %",
        "long: validation, %",
        "short: training, %",
        "short: validation, %",
    )
    assert [row[0] for row in figure.table.rows] == [1, 2, 3]
    for row, epoch in zip(figure.table.rows, long.epochs, strict=True):
        assert row[1:3] == (
            round(100 * (epoch.train_accuracy or 0), 1),
            round(100 * (epoch.validation_accuracy or 0), 1),
        )
    assert [row[3] for row in figure.table.rows[:2]] == [round(100 * (e.train_accuracy or 0), 1) for e in short.epochs]
    assert figure.table.rows[2][3:] == ("–", "–")


def test_growth_says_when_the_filters_settle() -> None:
    final = np.zeros((2, 3, 1, 1), np.float32)
    final[0, 0], final[1, 1] = 1, 2
    turned = final[::-1].copy()
    snapshots = {1: turned, 4: final / 2, 9: final}
    found = by_id(curves.training_figures(replace(synthetic.network("cnn", "Net", [], runs=()), snapshots=snapshots)))
    figure = found["cnn-first-layer-epochs"]
    assert "from epoch 4 on the layer’s weights correlate" in figure.alt
    assert "after the epochs 1, 4 and 9" in figure.alt
    pixels = decoded(figure)
    # One weight is 24 stored pixels; the filter that ends larger, the second, stands left. Of the last weights
    # 0, 0, 0, 0, 1 and 2 the 99 % quantile is 1.95, so that 1 is 128 + rint(127 / 1.95).
    assert pixels[-1, 0].tolist() == [128, 255, 128, 255]
    assert pixels[-1, -1].tolist() == [193, 128, 128, 255]
    assert pixels[0, 0].tolist() == [193, 128, 128, 255]
    assert "−1.95 to 1.95, within which 99\u00a0% of the last weights lie" in figure.caption


def test_thousands_of_images_are_written_with_a_comma() -> None:
    network = synthetic.complete(synthetic.network("cnn", "Net", []))
    assert network.evaluation is not None
    many = {name: replace(scores, count=13500) for name, scores in network.evaluation.splits.items()}
    for figure in evaluation_figures(replace(network, evaluation=replace(network.evaluation, splits=many))):
        assert "on 13,500 " in figure.alt
        assert "on 13,500 " in figure.caption


def test_confusion_words_and_table() -> None:
    found = by_id(evaluation_figures(synthetic.network("cnn", "Net", [])))
    figure = found["cnn-confusion-test"]
    # 6 + 9 + 7 + 10 of 40 are right; 3 of 10 lions are called bees.
    assert "on 40 test images, in percent of the true class: 32 (80\u00a0%) right" in figure.alt
    assert "lion taken for bee (3 of 10)" in figure.alt
    table = figure.table
    assert table is not None
    row = next(row for row in table.rows if row[0] == "lion")
    assert row[1 + table.head[1:].index("bee")] == 30.0
    assert row[1 + table.head[1:].index("lion")] == 70.0


def test_the_matrices_of_the_other_parts_list_each_class_s_mistakes() -> None:
    """The three most frequent ones."""
    figure = by_id(evaluation_figures(synthetic.network("net", "Net", [])))["net-confusion-train"]
    assert figure.table is not None
    assert figure.data is not None
    assert figure.table.head == ("true class", "right, %", "most often taken for, %")
    told = {row[0]: row[1:] for row in figure.table.rows}
    assert told == {
        "bee": (60.0, "lion 20, pizza 10, koala 10"),
        "koala": (90.0, "lion 10"),
        "lion": (70.0, "bee 30"),
        "pizza": (100.0, "–"),
    }
    assert {len(row) for row in figure.data.rows} == {5}  # in the files of numbers it is whole


def test_the_numbers_of_a_matrix_of_very_many_classes_are_those_that_are_not_empty() -> None:
    names = [f"class {number}" for number in range(400)]
    figure = by_id(evaluation_figures(synthetic.network("net", "Net", [], names)))["net-confusion-test"]
    assert figure.data is not None
    assert figure.data.head == ("true", "predicted", "%")
    assert len(figure.data.rows) == 3 * 400  # of 160,000: eight right, and one each called the next and the one after
    told = {(true, predicted): share for true, predicted, share in figure.data.rows}
    assert (told["class 7", "class 7"], told["class 7", "class 8"]) == (80.0, 10.0)


def test_seriation_puts_confused_classes_together() -> None:
    confusion = np.zeros((6, 6), np.int64)
    np.fill_diagonal(confusion, 10)
    for group in ((0, 3), (1, 4), (2, 5)):  # pairs, mixed up with one another
        confusion[group[0], group[1]] = confusion[group[1], group[0]] = 4
    confusion[3, 1] = confusion[4, 2] = 1  # and a faint chain from pair to pair
    order = seriation(confusion).tolist()
    assert sorted(order) == list(range(6))
    assert [{*order[:2]}, {*order[2:4]}, {*order[4:]}] == [{0, 3}, {1, 4}, {2, 5}]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_seriation_of_perfect_answers_is_an_order(count: int) -> None:
    assert sorted(seriation(np.eye(count, dtype=np.int64)).tolist()) == list(range(count))


def test_unknown_precision_is_said() -> None:
    network = synthetic.network("cnn", "Net", [])
    assert network.evaluation is not None
    scores = network.evaluation.splits["test"]
    precision = scores.precision.copy()
    precision[1] = math.nan
    splits = {"test": replace(scores, precision=precision)}
    found = by_id(evaluation_figures(replace(network, evaluation=replace(network.evaluation, splits=splits))))
    figure = found["cnn-per-class"]
    assert "Never answered, so without a precision: koala." in figure.caption
    assert figure.table is not None
    assert next(row[:3] for row in figure.table.rows if row[0] == "koala") == ("koala", 90.0, "–")
    # Precision of the others: bee 6/9, lion 7/10, pizza 10/11.
    assert "precision from 67\u00a0% (bee) to 91\u00a0% (pizza)" in figure.alt


def test_reliability_words() -> None:
    figure = by_id(evaluation_figures(synthetic.network("cnn", "Net", [])))["cnn-reliability"]
    assert "error 8.8\u00a0% as trained, 2.1\u00a0% after temperature scaling" in figure.alt
    # (8 (0.4 - 0.5) + 12 (0.6 - 0.75) + 20 (0.9 - 0.95)) / 40 = -0.09
    assert "9.0 points less sure than right" in figure.alt
    assert "logits divided by 1.31" in figure.caption
    assert figure.table is not None
    assert figure.table.rows[0] == ("as trained", "0–25", 0, "–", "–")
    assert figure.table.rows[1] == ("as trained", "25–50", 8, 40.0, 50.0)


def test_no_evaluation_no_figures() -> None:
    assert evaluation_figures(synthetic.network("cnn", "Net", [], evaluated=False)) == ()


def test_first_layer_mosaic_by_hand() -> None:
    weights = np.zeros((2, 3, 1, 1), np.float32)
    weights[0, :, 0, 0] = [2, 0, -1]
    weights[1, :, 0, 0] = [1, 1, 1]
    figure = filter_figures(with_weights(weights), scale=4.0)[0]
    pixels = decoded(figure)
    assert pixels.shape == (66, 4 * 66 + 3 * 5, 4)  # as of four, lest two be as large as a page
    assert pixels[0, 0].tolist() == [192, 128, 96, 255]  # 128 + rint(63.5), 128, 128 - rint(31.75)
    assert pixels[0, 68].tolist() == CLEAR
    assert pixels[65, 136].tolist() == [160, 160, 160, 255]
    assert pixels[65, -1].tolist() == CLEAR
    assert figure.pixelated
    assert "all 2 filters" in figure.caption
    assert "−4 to 4" in figure.caption
    assert "within which 100\u00a0% of the weights lie; zero is mid-grey, this network’s largest weight is 2" in (
        figure.caption
    )
    assert "1 filter is nearly without colour, 1 prefer a colour; no filter is dead" in figure.alt


def test_dead_filters_are_struck_and_counted() -> None:
    weights = np.ones((4, 3, 3, 3), np.float32)
    weights[2] = 1e-3
    mosaic, strip = filter_figures(with_weights(weights))
    assert "1 filter is dead" in mosaic.alt
    assert "1 dead filter" in strip.alt
    pixels = decoded(mosaic)
    assert pixels[-66:, :66][33, 20].tolist() == CLEAR
    assert (pixels[-66:, :66, 3] > 0).any()


def test_filters_that_are_all_zero() -> None:
    found = filter_figures(with_weights(np.zeros((1, 3, 3, 3), np.float32), np.zeros((1, 1, 3, 3), np.float32)))
    assert "1 filter is dead" in found[0].alt
    assert len(found) == 4


def test_duplicates_point_the_same_way_as_a_larger_filter() -> None:
    """In two dimensions: 3 (1, 0); (4, 3), whose cosine with it is 0.8; 2 (1, 0); 1 (10, 1), cosine 0.995; nothing."""
    pairs = [(3, 0), (4, 3), (2, 0), (1, 0.1), (0, 0)]
    weights = np.array(pairs, np.float32).reshape(5, 2, 1, 1)
    closest, cosines = nearest(weights)
    assert closest[:4].tolist() == [2, 3, 0, 0]
    np.testing.assert_allclose(cosines, [1, (4 + 0.3) / (5 * math.hypot(1, 0.1)), 1, 1 / math.hypot(1, 0.1), -1])
    assert duplicates(weights) == {2: 0, 3: 0}
    assert duplicates(np.ones((3, 1, 1, 1), np.float32)) == {1: 0, 2: 0}  # of equals the later repeats the earlier
    assert duplicates(-weights) == {2: 0, 3: 0}
    assert duplicates(np.array([1.0, -1], np.float32).reshape(2, 1, 1, 1)) == {}  # the opposite is no duplicate


def test_filters_are_compared_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    made = np.random.default_rng(2).normal(size=(40, 3, 3, 3)).astype(np.float32)
    made[7], made[31], made[38] = 0, made[2] * 2, made[30] / 3
    whole = nearest(made)
    assert duplicates(made) == {2: 31, 38: 30}
    monkeypatch.setattr(numbers, "ROWS", 16)
    for one, other in zip(nearest(made), whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_duplicates_are_framed_and_named() -> None:
    weights = np.zeros((3, 3, 1, 1), np.float32)
    weights[0, 0], weights[1, 1], weights[2, 0] = 2, 1, 1
    figure = filter_figures(with_weights(weights), scale=2.0)[0]
    said = "1 filter is a duplicate; the two most alike, 0 and 2, have a cosine similarity of 1"
    assert said in figure.alt
    assert "framed" in figure.caption
    assert figure.table is not None
    assert [row[2:] for row in figure.table.rows] == [(2, 1.0, ""), (0, 0.0, ""), (0, 1.0, "repeats 0")]
    pixels = decoded(figure)
    # Three tiles of 66 and gaps of 5 in one row of 3: the frame stands in the gap before the third.
    left = 2 * (66 + 5)
    assert (pixels[:66, left - 2 : left] == theme.STRUCK).all()
    assert pixels[10, left - 3].tolist() == CLEAR
    assert pixels[10, left].tolist() == [192, 128, 128, 255]  # the weights themselves are untouched
    assert not (pixels[:, 66 : 66 + 3] == theme.STRUCK).all(axis=2).any()


def test_one_scale_for_all_first_layers() -> None:
    small, large = (with_weights(np.full((1, 3, 1, 1), size, np.float32)) for size in (0.5, -3.0))
    assert first_layer_scale([small, large]) == 3.0
    assert first_layer_scale([]) == 0.0


def test_deeper_layer_says_how_much_of_it_is_shown() -> None:
    generator = np.random.default_rng(3)
    layers = generator.normal(size=(4, 3, 3, 3)), generator.normal(size=(40, 30, 3, 3))
    figure = filter_figures(with_weights(*(layer.astype(np.float32) for layer in layers)))[2]
    assert "16 of 40 filters by 24 of 30 input channels, 3 by 3 weights each" in figure.alt
    assert "16 of 40 filters, evenly over their ranks by norm" in figure.caption
    sizes = np.sort(norms(layers[1].astype(np.float32)))
    assert f"norms from {wording.number(sizes[-1])} to {wording.number(sizes[0])}" in figure.alt
    assert figure.table is not None
    assert len(figure.table.rows) == 16


def test_slices_are_signed_about_zero() -> None:
    weights = np.array([[[[1.0]], [[0.0]], [[-1.0]]]], np.float32)  # one filter, three input channels
    figure = filter_figures(with_weights(np.ones((3, 3, 1, 1), np.float32), weights))[2]
    row = decoded(figure)[10]
    table = raster.signed_palette()
    assert [row[x, :3].tolist() for x in (0, 23, 46)] == [table[254].tolist(), table[127].tolist(), table[0].tolist()]
    assert row[21].tolist() == list(theme.JOINT)


def test_filters_of_one_channel_are_pictures() -> None:
    figure = filter_figures(with_weights(np.ones((2, 1, 3, 3), np.float32)))[0]
    assert figure.alt.startswith("Mosaic of the 2 filters")
    assert "blue is negative, white zero, red positive" in figure.caption


@pytest.mark.parametrize(("count", "wide"), [(1, 1), (2, 2), (7, 3), (48, 8), (64, 8), (96, 12), (320, 20), (37, 7)])
def test_columns(count: int, wide: int) -> None:
    assert columns(count) == wide


def test_dead_is_below_a_hundredth_of_the_largest() -> None:
    assert dead(np.array([100.0, 1.5, 1.0, 0.0])).tolist() == [2, 3]


def maps_of(maps: NDArray[np.float32]) -> Figure:
    network = explained(np.ones((1, 2, 2), np.float32), [1.0, 0.0], 0)
    explanation = replace(network.explanations["p"], stages=(StageMaps("s", "stage 1", maps),))
    (figure,) = feature_map_figures(replace(network, explanations={"p": explanation}), PHOTO)
    return figure


def test_feature_maps_are_sorted_and_silent_ones_struck() -> None:
    maps = np.zeros((4, 2, 2), np.float32)
    maps[1], maps[3] = 1, 4
    figure = maps_of(maps)
    viridis = raster.palette("viridis", raster.LEVELS)
    pixels = decoded(figure)
    # Half the activations are 0, so the 99.5 % quantile is the largest, 4.
    assert pixels[1, 1, :3].tolist() == viridis[63].tolist()
    assert pixels[1, -2, :3].tolist() == viridis[16].tolist()  # 1/4 of 63 steps
    # A unit is 80 stored pixels; below a map are 1 pixel, a bar of 3 and a gap of 40.
    side = 160
    assert pixels.shape[:2] == (side + 4 + 40 + 8, 2 * side + 40)
    assert (pixels[side + 1 : side + 4, :side] == theme.STRUCK).all()  # the mean 4: the longest bar
    assert (pixels[side + 1 : side + 4, side + 40 :][:, :40] == theme.STRUCK).all()  # the mean 1: a quarter of it
    assert not pixels[side + 1 : side + 4, side + 40 + 40 :].any()
    strokes = pixels[side + 4 + 40 :]
    assert strokes[:, :side, 3].any(axis=0).all()  # silent maps: a low stroke each, from left to right
    assert strokes[:, side + 40 :, 3].any(axis=0).all()
    assert not strokes[:, side : side + 40].any()
    assert "2 maps of 4 are silent, 50\u00a0% of all units are active, largest activation 4" in figure.alt
    assert "all 4 feature maps of Net after stage 1 for the photo A photo, 2 by 2 units each" in figure.alt
    assert figure.table is not None
    assert figure.table.rows == ((3, 4.0, 4.0), (1, 1.0, 1.0), (0, 0.0, 0.0), (2, 0.0, 0.0))
    assert by_mean(maps).tolist() == [3, 1, 0, 2]


def test_maps_of_a_silent_stage() -> None:
    figure = maps_of(np.zeros((1, 2, 2), np.float32))
    assert "1 map of 1 is silent" in figure.alt


def test_negative_activations_are_drawn_about_zero() -> None:
    figure = maps_of(np.array([[[-2.0, 0.0], [0.0, 2.0]]], np.float32))
    assert "−2 (blue) to 2 (red)" in figure.caption
    pixels = decoded(figure)
    assert pixels[0, 0, :3].tolist() == raster.signed_palette()[0].tolist()
    assert pixels[0, -1, :3].tolist() == [247, 247, 247]


def test_silent_maps_come_after_negative_ones() -> None:
    maps = np.zeros((3, 1, 2), np.float32)
    maps[1], maps[2] = -1, 2
    assert by_mean(maps).tolist() == [2, 1, 0]


def pooled(maps: NDArray[np.float32]) -> Figure:
    """The course's figure of a network whose only stage is a max pooling."""
    network = explained(np.ones((1, 2, 2), np.float32), [1.0, 0.0], 0)
    summary = (("conv1", "convolution 3×3, 3 → 16", "16 × 4 × 4"), ("s", "maximum pooling 3×3, stride 2", "16 × 1 × 1"))
    explanation = replace(network.explanations["p"], stages=(StageMaps("s", "stage 1", maps),))
    found = feature_map_figures(replace(network, summary=summary, explanations={"p": explanation}), PHOTO)
    return by_id(found)["net-first-p-s"]


def test_the_course_s_maps_are_the_first_sixteen_in_their_own_order() -> None:
    maps = np.arange(20, dtype=np.float32).reshape(20, 1, 1)
    figure = pooled(maps)
    assert "The first 16 feature maps of Net after the max pooling s" in figure.alt
    assert "largest activation 15" in figure.alt  # not 19
    assert figure.table is not None
    assert [row[0] for row in figure.table.rows] == list(range(16))
    pixels = decoded(figure)
    # One unit is 60 stored pixels; 4 columns, each 60 and a gap of 30; map 0 is silent and struck, 15 the brightest.
    assert pixels.shape == (4 * (60 + 4 + 30) - 30, 4 * 90 - 30, 4)
    assert pixels[0, 0].tolist() == CLEAR
    assert pixels[0, 90, :3].tolist() == raster.palette("viridis", raster.LEVELS)[round(63 / 15)].tolist()
    assert pixels[3 * 94, -1, :3].tolist() == raster.palette("viridis", raster.LEVELS)[63].tolist()
    assert "1 map of 16 is silent" in figure.caption


def test_a_stage_that_is_no_pooling_has_no_first_maps() -> None:
    network = synthetic.network("cnn", "Net", [PHOTO])
    assert not [figure.id for figure in feature_map_figures(network, PHOTO) if "-first-" in figure.id]


def test_large_stages_say_how_many_maps_are_shown() -> None:
    figure = maps_of(np.ones((50, 64, 64), np.float32))
    assert "the 32 most active of 50 feature maps" in figure.alt


def test_of_thousands_of_tiny_maps_five_hundred_are_drawn() -> None:
    maps = np.ones((2048, 2, 2), np.float32)
    maps[7] = 3
    figure = maps_of(maps)
    assert "the 512 most active of 2048 feature maps" in figure.alt
    assert figure.table is not None
    assert figure.table.rows[0] == (7, 3.0, 3.0)
    assert stage_of(StageMaps("s", "stage 5", maps)).drawn == 512
    assert stage_of(StageMaps("s", "stage 1", np.ones((512, 4, 4), np.float32))).drawn == 512
    assert stage_of(StageMaps("s", "stage 1", np.ones((64, 112, 112), np.float32))).drawn == 10


def test_photo_that_a_network_was_not_shown_has_no_figures() -> None:
    network = synthetic.network("cnn", "Net", [])
    assert feature_map_figures(network, PHOTO) == ()
    assert grad_cam_figures(network, PHOTO) == ()


def test_roles() -> None:
    cams = np.ones((3, 2, 2), np.float32)

    def roles(logits: list[float], label: int | None, shown: int = 3) -> tuple[tuple[str, int], ...]:
        return roles_of(explained(cams[:shown], logits, label).explanations["p"])

    assert roles([1, 3, 2], 0) == (("predicted", 1), ("true", 0), ("runner-up", 2))
    assert roles([1, 3, 2], 1) == (("predicted", 1), ("runner-up", 2))
    assert roles([1, 3, 2], 2) == (("predicted", 1), ("true", 2))  # the second choice is the truth
    assert roles([1, 3, 2], None) == (("predicted", 1), ("runner-up", 2))
    assert roles([1, 3, 2], 0, shown=2) == (("predicted", 1), ("true", 0))  # no map of the third class


def test_what_is_asked_beside_has_its_map_on_the_scale_of_all() -> None:
    """The pair's map reaches 4, twice the largest of a class: the answer's is painted half as bright."""
    network = explained(np.full((3, 2, 2), 2, np.float32), [1, 3, 2], 1)
    replies = {
        "rival": Replied(Question((1,), (2,)), np.full((2, 2), 4, np.float32), 1.0, 0.731),
        "other": Replied(Question((0, 2)), np.zeros((2, 2), np.float32), 3.0, 0.3),
    }
    seen = dataclasses.replace(network.explanations["p"], replies=replies)
    found = by_id(grad_cam_figures(dataclasses.replace(network, explanations={"p": seen}), PHOTO))
    rival = found["net-cam-p-rival"]
    assert "Grad-CAM overlay of Net for class 1, not class 2, what tells the two apart, on the photo" in rival.alt
    assert "probability 73.1\u00a0%, difference of logits 1. Raw maximum 4" in rival.caption
    assert "class 0 and class 2, which was asked for" in found["net-cam-p-other"].alt
    assert "no positive evidence" in found["net-cam-p-other"].alt
    assert "from 0, black, to 4, pale yellow" in found["net-cam-p-predicted"].caption
    assert found["net-cam-p-rival-heat"].alt != rival.alt


def test_cam_words_give_probability_logit_and_raw_maximum() -> None:
    cams = np.zeros((2, 2, 2), np.float32)
    cams[1, 0, 1] = 0.25
    found = by_id(grad_cam_figures(explained(cams, [0.0, math.log(3)], 0), PHOTO))
    predicted = found["net-cam-p-predicted"]
    assert predicted.alt == (
        "Grad-CAM overlay of Net for class 1, its answer, on the photo A photo: probability 75.0\u00a0%, "
        "raw maximum 0.250, strongest at the upper right."
    )
    assert "probability 75.0\u00a0%, logit 1.10. Raw maximum 0.250, at the upper right" in predicted.caption
    assert "Grad-CAM at stage 1 (conv1)" in predicted.caption
    assert "2 × 2 cells" in predicted.caption
    true = found["net-cam-p-true"]
    assert true.alt.endswith("no positive evidence.")
    assert "Raw maximum 0: no positive evidence" in true.caption
    seen = found["net-cam-p-photo"]
    assert "called class 1 with 75.0\u00a0%; it is class 0, which it gave 25.0\u00a0%" in seen.alt
    assert seen.table is not None
    assert seen.table.rows == (("class 1", 75.0, 1.099), ("class 0", 25.0, 0.0))
    every = found["net-cam-p-all"]
    assert "strongest for class 1; no positive evidence for 1 of 2 classes" in every.alt
    assert every.table is not None
    assert every.table.rows[0] == ("class 0", 0.0, 0.0, 25.0)


@pytest.mark.parametrize(("method", "said"), [("LayerCAM", "LayerCAM at stage 1 (conv1)"), ("attention rollout",) * 2])
def test_the_words_name_the_method_that_made_the_maps(method: str, said: str) -> None:
    network = explained(np.ones((2, 2, 2), np.float32), [0.0, 1.0], 1)
    seen = dataclasses.replace(network.explanations["p"], method=method)
    found = by_id(grad_cam_figures(dataclasses.replace(network, explanations={"p": seen}), PHOTO))
    assert f"Net, {said}: class 1" in found["net-cam-p-predicted"].caption
    assert f"Net, {said}: the maps of all 2 classes" in found["net-cam-p-all"].caption
    for figure in found.values():
        assert "Grad-CAM" not in figure.alt + figure.caption


def test_the_comparison_by_hand() -> None:
    """Covering the lower right leaves 10 % of the answer's 75 % and turns it into class 0."""
    network = explained(np.ones((2, 2, 2), np.float32), [0.0, math.log(3)], 1)
    made = Comparison(
        maps={"Grad-CAM": np.array([[0, 0], [0, 2]], np.float32), "occlusion": np.zeros((2, 2), np.float32)},
        layers={"early": np.array([[3, 0], [0, 0]], np.float32)},
        patch=1,
        probability=np.array([[0.75, 0.75], [0.75, 0.1]], np.float32),
        answers=np.array([[1, 1], [1, 0]]),
        hidden=1,
    )
    explanation = dataclasses.replace(
        network.explanations["p"], comparison=made, seen=np.full((2, 2, 3), 200, np.uint8)
    )
    network = dataclasses.replace(network, explanations={"p": explanation})

    figure = by_id(grad_cam_figures(network, PHOTO))["net-ways-p"]

    shown = ways(network, explanation)
    assert [(way.cell, way.name, way.shows) for way in shown] == [
        (0, "Grad-CAM", "strongest at the lower right, raw maximum 2"),
        (1, "occlusion", "no positive evidence"),
        (2, "Grad-CAM at early", "strongest at the upper left, raw maximum 3"),
        (3, "hiding this hurts most", "class 1 falls to 10.0\u00a0%"),
        (4, "probability of class 1", "58.7\u00a0% on average"),
        (5, "the answer", "class 1 75\u00a0% and class 0 25\u00a0%"),
    ]
    assert figure.table is not None
    assert figure.table.rows == (
        ("Grad-CAM", 2.0, "at the lower right", "2 × 2 cells"),
        ("occlusion", 0.0, "nowhere", "2 × 2 cells"),
        ("early", 3.0, "at the upper left", "2 × 2 cells"),
    )
    cells = decoded(figure).reshape(16, 130, 130, 4)[:6, 1:-1, 1:-1, :3].astype(int)
    covered = cells[3]
    assert np.abs(covered[:64, :64] - 200).max() < 30
    assert np.abs(covered[70:, 70:] - 124).max() < 40
    viridis = raster.palette("viridis").astype(int)
    assert np.abs(cells[5, 10, 10] - viridis[255]).max() < 25  # the answer
    assert np.abs(cells[5, 120, 120] - viridis[round(0.7 * 255)]).max() < 25  # the other class
    # 2 of 450 places are too few to be named.
    rare = np.ones((30, 15), np.int64)
    rare[:2, 0] = 0
    seldom = dataclasses.replace(explanation, comparison=dataclasses.replace(made, answers=rare))
    assert ways(network, seldom)[5].shows == "class 1 100\u00a0%"
    # Of a misread photo the true class is hidden, and yellow where it is the answer.
    misread = dataclasses.replace(explanation, comparison=dataclasses.replace(made, hidden=0))
    assert ways(network, misread)[3].shows == "class 0 falls to 10.0\u00a0%"
    figure = by_id(grad_cam_figures(dataclasses.replace(network, explanations={"p": misread}), PHOTO))["net-ways-p"]
    assert "what is left of class 0’s probability 25.0\u00a0%" in figure.caption
    cells = decoded(figure).reshape(16, 130, 130, 4)[:6, 1:-1, 1:-1, :3].astype(int)
    assert np.abs(cells[5, 120, 120] - viridis[255]).max() < 25


def test_map_without_evidence_is_drawn_flat() -> None:
    found = by_id(grad_cam_figures(explained(np.zeros((2, 2, 2), np.float32), [0.0, 1.0], 0), PHOTO))
    flat = decoded(found["net-cam-p-predicted-heat"])
    assert flat.reshape(-1, 4).std(axis=0).max() < 1
    assert flat.mean() < 70  # black, opaque
    assert "no positive evidence for any class" in found["net-cam-p-all"].alt


def test_overlay_by_hand() -> None:
    photo = np.full((1, 2, 3), 100, np.uint8)
    half, high = raster.palette("inferno")[[128, 255]].astype(np.float64)
    laid = overlay(photo, np.array([[0.0, 7.0]], np.float32), 7.0)
    assert laid[0, 0].tolist() == [100, 100, 100]  # where there is nothing, the photo is as it is
    assert laid[0, 1].tolist() == np.rint(0.25 * 100 + 0.75 * high).tolist()
    weaker = overlay(photo, np.array([[0.0, 7.0]], np.float32), 14.0)
    assert weaker[0, 1].tolist() == np.rint(0.625 * 100 + 0.375 * half).tolist()
    assert (overlay(photo, np.zeros((1, 2), np.float32), 0.0) == photo).all()


def test_maps_that_are_compared_share_one_scale() -> None:
    cams = np.zeros((2, 2, 2), np.float32)
    cams[0, 0, 0], cams[1, 1, 1] = 4, 0.04
    found = by_id(grad_cam_figures(explained(cams, [0.0, 1.0], 0), PHOTO))
    strong, weak = (found[f"net-cam-p-{role}-heat"] for role in ("true", "predicted"))
    assert decoded(strong)[..., :3].max() > 200
    assert decoded(weak)[..., :3].max() < 40
    assert all("painted from 0, black, to 4, pale yellow" in figure.caption for figure in (strong, weak))


def test_small_photo_is_enlarged_block_by_block() -> None:
    cams = np.ones((2, 2, 2), np.float32)
    small = by_id(grad_cam_figures(explained(cams, [0, 1], 0, side=64), PHOTO))
    assert (small["net-cam-p-photo"].width, small["net-cam-p-predicted"].width) == (64, 256)
    assert small["net-cam-p-photo"].pixelated
    large = by_id(grad_cam_figures(explained(cams, [0, 1], 0, side=224), PHOTO))
    assert (large["net-cam-p-photo"].width, large["net-cam-p-predicted"].width) == (224, 224)
    assert not large["net-cam-p-predicted"].pixelated


def test_sprite_has_six_tiles_a_row_without_gaps() -> None:
    cams = np.zeros((7, 2, 2), np.float32)
    cams[6] = 1
    figure = by_id(grad_cam_figures(explained(cams, list(range(7)), 0), PHOTO))["net-cam-p-all"]
    assert (figure.width, figure.height) == (6 * 64, 2 * 64)
    pixels = decoded(figure)
    assert pixels[96, 32, :3].mean() > 180  # the seventh class: the brightest colour
    assert pixels[32, 32, :3].mean() < 10


def test_many_classes_have_no_strip() -> None:
    found = by_id(grad_cam_figures(explained(np.ones((61, 2, 2), np.float32), list(range(61)), 0), PHOTO))
    assert "net-cam-p-all" not in found
    partly = by_id(grad_cam_figures(explained(np.ones((2, 2, 2), np.float32), [1, 2, 0], 0), PHOTO))
    assert "net-cam-p-all" not in partly


def test_failures_show_the_photo_the_answer_and_the_truth() -> None:
    network = explained(np.ones((3, 2, 2), np.float32), [1, 3, 2], 0)
    found = failure_figures(network, [PHOTO])
    assert [figure.id for figure in found] == ["net-failure-p-photo", "net-failure-p-predicted", "net-failure-p-true"]
    assert failure_figures(replace(network, failures=()), [PHOTO]) == ()
    assert failure_figures(network, []) == ()


def large_photo(identifier: str, width: int) -> Photo:
    return replace(synthetic.photo(identifier, 0), pixels=np.full((width // 2, width, 3), 90, np.uint8))


def test_large_photos_come_in_two_widths() -> None:
    (figure,) = photo_figures([large_photo("big", 1000)])
    assert (figure.width, figure.height) == (800, 400)
    assert figure.srcset == (("assets/figures/photo-big-400.webp", 400), ("assets/figures/photo-big.webp", 800))
    (small,) = photo_figures([large_photo("small", 384)])
    assert small.srcset == ()
    assert (small.width, small.pixelated) == (384, False)
    (tiny,) = photo_figures([large_photo("tiny", 64)])
    assert tiny.pixelated


def test_mistakes_stand_together_by_what_was_taken_for_what() -> None:
    """The pictures' cells follow the list, of which one image is not here."""
    network = synthetic.network("cnn", "Net", [PHOTO])
    assert network.evaluation is not None
    test = network.evaluation.splits["test"]
    wrong = (Mistake("a", 0, 1, 0.9), Mistake("b", 1, 2, 0.8), Mistake("c", 1, 2, 0.95), Mistake("d", 2, 0, 0.5))
    splits = {"test": dataclasses.replace(test, mistakes=wrong)}
    pictures = {name: np.full((64, 64, 3), shade, np.uint8) for name, shade in (("a", 40), ("b", 120), ("c", 200))}
    network = dataclasses.replace(
        network, evaluation=dataclasses.replace(network.evaluation, splits=splits), mistaken=pictures
    )
    names = network.class_names

    groups = confusions(network)
    (sheet,) = mistakes.mistake_figures(network)

    assert [(one.true, one.predicted) for one in groups] == [
        (names[1], names[2]), (names[0], names[1]), (names[2], names[0])
    ]  # fmt: skip
    taken = [(one.image, one.sheet, one.cell) for group in groups for one in group.images]
    assert taken == [("c", sheet.id, 0), ("b", sheet.id, 1), ("a", sheet.id, 2), ("d", "", 0)]
    cells = decoded(sheet).reshape(16, 66, 66, 4)
    assert [round(float(cells[cell, 1:-1, 1:-1, 0].mean()), -1) for cell in range(3)] == [200, 120, 40]
    assert mistakes.mistake_figures(dataclasses.replace(network, mistaken={})) == ()
    # Classes by how many of their images were missed, counted in the matrix: not every image has a place on the page.
    counts = 8 * np.eye(len(names), dtype=np.int64)
    counts[0, 1], counts[1, 2], counts[2, 0], counts[3, 0] = 1, 5, 1, 4
    assert network.evaluation is not None
    splits = {"test": dataclasses.replace(test, mistakes=wrong, confusion=counts)}
    network = dataclasses.replace(network, evaluation=dataclasses.replace(network.evaluation, splits=splits))
    ids = {one.true: one.id for one in groups}
    assert [dataclasses.astuple(one) for one in mistakes.missed(network)] == [
        (names[1], 5, 13, ids[names[1]]),
        (names[3], 4, 12, ""),
        (names[0], 1, 9, ids[names[0]]),
        (names[2], 1, 9, ids[names[2]]),
    ]


def test_a_mistake_is_named_without_its_folders_where_that_is_clear() -> None:
    network = synthetic.network("cnn", "Net", [PHOTO])
    assert network.evaluation is not None
    files = (("test/a/1.png", 0), ("test/a/2.png", 0), ("left/7.png", 1), ("right/7.png", 1), ("12", 2))
    wrong = tuple(Mistake(file, true, 3, 0.9 - 0.1 * place) for place, (file, true) in enumerate(files))
    splits = {"test": dataclasses.replace(network.evaluation.splits["test"], mistakes=wrong)}
    network = dataclasses.replace(network, evaluation=dataclasses.replace(network.evaluation, splits=splits))
    names = [one.name for group in confusions(network) for one in group.images]
    assert names == ["1", "2", "left/7", "right/7", "12"]


def test_header_is_made_of_a_bundled_photo() -> None:
    photos = (
        synthetic.photo("own", 0, origin="own"),
        synthetic.photo("koala", 1, "A koala", shift=1),
        synthetic.photo("other", 2, origin="test"),
    )
    found = by_id(tile.header_tile(synthetic.report(photos=photos)))
    assert "the photo A koala" in found["social"].alt
    assert "4 first-layer filters of SmallCNN" in found["social"].alt
    assert "4 feature maps after stage 1" in found["social"].alt
    # logits 4, 2, 0, 0
    confidence = math.exp(4) / (math.exp(4) + math.exp(2) + 2)
    assert f"the Grad-CAM map for koala ({confidence * 100:.0f}\u00a0%)" in found["social"].alt


def test_header_pictures_have_the_sizes_that_their_readers_ask_for() -> None:
    found = by_id(tile.header_tile(synthetic.report()))
    social = Image.open(io.BytesIO(found["social"].files["assets/figures/social.jpg"]))
    assert (social.format, social.size) == ("JPEG", (1200, 630))
    assert np.abs(np.asarray(social)[0, 0].astype(int) - theme.PAPER).max() <= 2
    assert (found["teaser"].width, found["teaser"].height) == (800, 500)
    icons = found["favicon"].files
    assert Image.open(io.BytesIO(icons["assets/figures/favicon-180.png"])).size == (180, 180)
    assert icons["assets/figures/favicon.svg"].startswith(b"<svg xmlns")


def test_report_without_photos_has_no_header_but_an_icon() -> None:
    found = by_id(tile.header_tile(synthetic.report(photos=())))
    assert "social" not in found
    assert {"favicon", "mark-index", "scale-heat"} <= set(found)
    assert "favicon" not in by_id(tile.header_tile(synthetic.report(networks=())))


def test_colour_bars_run_from_end_to_end() -> None:
    found = by_id(tile.header_tile(synthetic.report()))
    assert decoded(found["scale-weights"])[0, [0, 255], :3].tolist() == raster.signed_palette()[[0, 254]].tolist()
    assert decoded(found["scale-colour"])[0, [0, 255], :3].tolist() == [[1, 1, 1], [255, 255, 255]]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0312, "0.0312"),
        (-12.345, "−12.3"),
        (0, "0"),
        (1234567, "1.23 × 10⁶"),
        (2.5e-9, "2.50 × 10⁻⁹"),
        (0.3, "0.300"),
        (12.0, "12"),
        (123.4, "123"),
    ],
)
def test_number(value: float, words: str) -> None:
    assert wording.number(value) == words


@pytest.mark.parametrize(("count", "words"), [(0, "No"), (1, "One"), (7, "Seven"), (12, "Twelve"), (13, "13")])
def test_a_heading_begins_with_a_word(count: int, words: str) -> None:
    assert wording.spelled(count) == words


def test_what_was_set_has_no_digits_that_mean_nothing() -> None:
    assert [wording.setting(value) for value in (0.004, 2.5e-5, 1)] == ["0.004", "2.5 × 10⁻⁵", "1"]


@pytest.mark.parametrize(
    ("size", "count", "columns"), [((8, 8), 30, 6), ((8, 8), 2, 2), ((2, 8), 30, 3), ((8, 2), 4, 4)]
)
def test_the_maps_of_few_classes_have_no_empty_columns_beside_them(
    size: tuple[int, int], count: int, columns: int
) -> None:
    assert strip_columns(np.zeros((*size, 3), np.uint8), count) == columns


def test_words() -> None:
    assert wording.percent(0.7125) == "71.2\u00a0%"
    assert wording.percent(math.nan) == "unknown"
    assert [wording.counted(n, "class", "classes") for n in (0, 1, 2)] == ["no class", "1 class", "2 classes"]
    assert wording.counted(13500, "image") == "13,500 images"
    assert [wording.duration(n) for n in (0, 59.6, 3725)] == ["0\u00a0s", "1\u00a0min", "1\u00a0h\u00a02\u00a0min"]
    assert [wording.listed(p) for p in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
    assert wording.sentence("all maps") == "All maps"
    assert slug("Löwe, features.0") == "lowe-features-0"
    assert wording.cell(math.nan, 2) == "–"
    assert wording.percent_cell(0.1234) == 12.3


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [(1, 1, "in the centre"), (0, 0, "at the upper left"), (2, 1, "at the bottom"), (1, 2, "at the middle right")],
)
def test_place(row: int, column: int, words: str) -> None:
    cam = np.zeros((3, 3))
    cam[row, column] = 1
    assert wording.place(cam) == words


@pytest.mark.parametrize(
    ("confusion", "said"),
    [
        ([[4, 0], [0, 2]], "No class is found more often than another: 100\u00a0% of the images of each."),
        ([[0, 0], [1, 3]], "Of dogs 3 of 4 are found; no other class has images here."),
        ([[3, 1], [0, 2]], "Best found: dogs (2 of 2). Worst found: cats (3 of 4)."),
    ],
)
def test_classes_are_best_or_worst_found_where_they_differ(confusion: list[list[int]], said: str) -> None:
    counts = np.array(confusion)
    with np.errstate(invalid="ignore"):
        recall = (counts.diagonal() / counts.sum(1)).astype(np.float32)
    record = replace(synthetic.split_scores("test", 2), confusion=counts, recall=recall)
    assert Scores(record, ("cats", "dogs")).extremes == said


def test_of_one_image_the_words_are_of_one() -> None:
    record = synthetic.split_scores("validation", 2)
    assert Scores(record, ("cats", "dogs")).images == "validation images"
    assert Scores(replace(record, count=1), ("cats", "dogs")).images == "validation image"


def test_maps_travel_on_their_own_range() -> None:
    cams = np.array([[[0, 1], [2, 4]], [[0, 0], [0, 0]], [[0.001, 0], [0, 0.0005]]], np.float32)
    rows, columns, told = stretched(cams).split()
    assert (rows, columns) == ("2", "2")
    assert [*base64.b64decode(told)] == [0, 64, 128, 255, 0, 0, 0, 0, 255, 0, 0, 128]
    many = np.ones((60, 56, 56), np.float32)
    assert stretched(many)[:6] == "16 16 "  # 60 maps of 56 x 56 would be a page's weight
    assert len(stretched(many)) < 22_000
