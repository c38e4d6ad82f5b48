"""What the training page says of a run that another program's log tells of: what there is, and nothing of the rest."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import pytest

from generator.figures import charts
from generator.figures.charts import Series
from generator.records.figure import Figure
from generator.records.network import Network
from generator.records.scores import Evaluation
from generator.records.training import Epoch, Log, Run
from generator.report.portrait import portrait
from generator.report.training import curves
from generator.report.training.facts import agreement, turns
from tests import synthetic

NOTHING = Epoch(1, None, None, None, None, None, None, None)
LOG = Log("runs/a/metrics.csv", "Lightning’s log", {"validation accuracy": "val_acc"}, ("It was read so.",))


def run(*epochs: Epoch, kept: int | None = None) -> Run:
    numbered = tuple(replace(epoch, epoch=number) for number, epoch in enumerate(epochs, start=1))
    return Run("runs/a/metrics.csv", numbered, kept, {}, {}, log=LOG)


def accuracies(*values: float | None, kept: int | None = None) -> Run:
    return run(*(replace(NOTHING, validation_accuracy=value) for value in values), kept=kept)


def figures(found: Run) -> dict[str, Figure]:
    network = replace(synthetic.network("net", "Net", []), runs=(found,), snapshots={})
    return {
        figure.id.removeprefix("net-").removesuffix("-runs-a-metrics-csv"): figure
        for figure in curves.training_figures(network)
    }


def evaluation(top1: float) -> Evaluation:
    """With an interval of 3 points to either side, on 40 validation images."""
    found = synthetic.evaluation("net", synthetic.CLASSES)
    scores = replace(found.splits["validation"], top1=top1, top1_interval=(top1 - 0.03, top1 + 0.03))
    return replace(found, splits={**found.splits, "validation": scores})


def test_only_what_was_recorded_is_drawn() -> None:
    assert set(figures(accuracies(0.25, 0.5))) == {"curves"}
    assert set(figures(run(replace(NOTHING, train_loss=2.0)))) == {"loss"}
    assert set(figures(run(replace(NOTHING, learning_rate=0.1)))) == {"rate"}
    assert set(figures(run(replace(NOTHING, seconds=3.0)))) == set()


def test_one_line_is_said_to_be_of_which_images() -> None:
    found = figures(accuracies(0.25, 0.5, None))["curves"]
    assert found.alt == (
        "Line chart of Net’s accuracy over the epochs of the run runs/a/metrics.csv: validation accuracy goes from "
        "25.0\u00a0% in epoch 1 to 50.0\u00a0% in epoch 2 of 3."
    )
    assert "over the epochs, of the validation images." in found.caption
    assert "were kept" not in found.caption
    assert "dashed" not in found.caption
    assert found.table is not None
    assert (found.table.head, found.table.rows[2]) == (("epoch", "validation accuracy, %"), (3, "–"))
    assert "kept" not in found.svg


def test_the_highest_is_told_where_it_is_not_the_last() -> None:
    assert "; its highest is 75.0\u00a0% in epoch 2." in figures(accuracies(0.25, 0.75, 0.5))["curves"].alt
    assert "in the kept epoch 2 of 3." in figures(accuracies(0.25, 0.75, 0.5, kept=2))["curves"].alt


def test_losses_of_another_program_are_not_called_nats() -> None:
    rows = [Epoch(1, loss, None, loss + 1, None, None, None, None) for loss in (2.0, 0.5, 1.0)]
    found = figures(run(*rows))["loss"]
    assert found.alt.endswith("validation loss goes from 3.00 to 2.00 in epoch 3 of 3; its lowest is 1.50 in epoch 2.")
    assert "solid: validation, dashed: training, as the log has it. Guessing among 4 classes costs 1.39 nats" in (
        found.caption
    )
    assert "loss, nats" not in found.svg


def test_time_and_size_of_images_are_told_where_they_are_known() -> None:
    """Before, the images of such a run were 0 pixels wide."""
    known = figures(run(replace(NOTHING, learning_rate=0.1, seconds=3.0)))["rate"]
    assert known.caption == "Net, runs/a/metrics.csv: learning rate of each epoch. The 1 epoch took 3\u00a0s."
    found = figures(run(replace(NOTHING, learning_rate=0.1), replace(NOTHING, seconds=3.0)))["rate"]
    assert found.caption == "Net, runs/a/metrics.csv: learning rate of each epoch."
    assert found.table is not None
    assert found.table.rows == ((1, 0.1, "–"), (2, "–", 3.0))


def test_a_learning_rate_has_all_digits_that_a_page_has_room_for() -> None:
    """Six of them were evened out with a zero that was false: 0.01234560."""
    table = figures(run(replace(NOTHING, learning_rate=0.012345678)))["rate"].table
    assert table is not None
    assert table.rows == ((1, 0.012345678),)


def test_runs_without_accuracy_are_not_in_the_chart_of_all() -> None:
    lost = replace(run(replace(NOTHING, train_loss=2.0)), name="lost")
    network = replace(synthetic.network("net", "Net", []), snapshots={})
    both = replace(network, runs=(accuracies(0.5), lost))
    assert "net-runs" not in {figure.id for figure in curves.training_figures(both)}
    both = replace(network, runs=(accuracies(0.5), accuracies(0.25, 0.75), lost))
    (together,) = (figure for figure in curves.training_figures(both) if figure.id == "net-runs")
    assert "runs/a/metrics.csv 75.0\u00a0% on validation images" in together.alt
    assert "lost" not in together.caption


@pytest.mark.parametrize(
    ("logged", "measured", "words"),
    [
        (accuracies(0.5, 0.842), 0.841, "Its log’s best validation accuracy is 84.2\u00a0%; measured here on the 40 v"),
        (
            accuracies(0.5, 0.842, kept=1),
            0.5,
            "Its log’s validation accuracy of epoch 1, whose weights these are, is 50",
        ),
    ],
)
def test_a_log_that_agrees_is_said_with_what_was_measured(logged: Run, measured: float, words: str) -> None:
    said = agreement(logged, evaluation(measured))
    assert said.startswith(words)
    assert said.endswith("\u00a0%).")
    assert "differ" not in said


def test_the_loss_is_told_where_both_have_it() -> None:
    epoch = replace(NOTHING, validation_accuracy=0.842, validation_loss=0.6449)
    said = agreement(run(epoch), evaluation(0.841))
    assert "is 84.2\u00a0% at a loss of 0.64; measured here" in said
    assert said.endswith("(95 % interval 81\u00a0% to 87\u00a0%) at a loss of 0.62.")  # 0.625 in the records


def test_a_difference_beyond_the_interval_is_named_as_a_sign() -> None:
    said = agreement(accuracies(0.5, 0.842), evaluation(0.7))
    assert "measured here on the 40 validation images: 70\u00a0% (95 % interval 67\u00a0% to 73\u00a0%)." in said
    assert "They differ by 14.2 points, more than chance explains: a sign that the network is read otherwise" in said
    assert said.endswith("unless it has the weights of another epoch, or was measured on other images.")
    certain = agreement(accuracies(0.5, 0.842, kept=2), evaluation(0.7))
    assert certain.endswith("unless it was measured on other images.")
    better = agreement(accuracies(0.5), evaluation(0.7))  # no epoch of the log was as good
    assert better.endswith("unless it was measured on other images.")


def test_what_a_log_calls_test_is_compared_with_the_test_images() -> None:
    logged = accuracies(0.5)
    assert logged.log is not None
    said = agreement(replace(logged, log=replace(logged.log, part="test")), evaluation(0.1))
    assert said.startswith(
        "Its log’s best test accuracy is 50.0\u00a0%; measured here on the 40 test images: 80\u00a0%"
    )


def test_without_a_measurement_that_is_said() -> None:
    assert agreement(accuracies(0.842), None).endswith("correctly was not measured here.")
    assert agreement(run(replace(NOTHING, train_loss=1.0)), evaluation(0.7)) == ""
    assert agreement(synthetic.run("augmented"), evaluation(0.1)) == ""


def test_a_network_s_page_knows_what_its_runs_recorded() -> None:
    network: Network = replace(synthetic.network("net", "Net", []), runs=(accuracies(0.5),), evaluation=evaluation(0.5))
    found = portrait(network, ())
    assert found.recorded == {"epoch", "validation_accuracy"}
    assert found.main_run is not None
    assert found.main_run.kept is None
    assert found.main_run.seconds is None
    assert found.main_run.agreement.startswith("Its log’s best validation accuracy")


def changing(**settings: Any) -> Run:
    """Ten epochs whose training accuracy rises by a tenth of a percent each."""
    epochs = (replace(NOTHING, train_accuracy=0.5 + number / 1000) for number in range(1, 11))
    return replace(run(*epochs), settings=settings)


def test_where_images_become_harder_or_milder_is_told_from_the_settings() -> None:
    strong, mild = {"area": 0.25, "cutmix": 0.8, "rotation": 10}, {"area": 0.55, "cutmix": 0.5, "rotation": 0.0}
    first = {"epochs": 6, "augmentation": {**strong, "cutmix": 0.4}, "mild": mild, "tail": 0.0}
    later = {"epochs": 4, "augmentation": strong, "mild": mild, "tail": 0.5, "started_after": 6}
    assert turns(changing(**later, started_settings=first)).replace("\u00a0", " ") == (
        "From epoch 7 on CutMix pastes a part of another image into those of 80 % of the batches instead of 40 %: "
        "training accuracy goes from 50.6 % to 50.7 %. "
        "From epoch 9 on crops keep at least 55 % of an image instead of 25 %, CutMix pastes a part of another image "
        "into those of 50 % of the batches instead of 80 % and images are turned by up to 0° instead of 10°: "
        "training accuracy goes from 50.8 % to 50.9 %."
    )


def test_what_the_settings_do_not_tell_is_not_told() -> None:
    how = {"area": 0.5}
    assert turns(changing()) == ""
    assert turns(changing(epochs=10, augmentation=how, mild={"area": 0.9}, tail=0.0)) == ""
    assert turns(changing(epochs=10, augmentation=how, mild=how, tail=0.5)) == ""
    assert turns(accuracies(0.1, 0.2)) == ""


def test_a_run_that_ends_early_is_named_at_its_end() -> None:
    """No leader leads from there to the edge, which would read as more of the run; and no line is dotted."""
    ends = charts.lines(
        "f",
        "alt",
        [
            Series("short", [1, 2, 3], [0.1, 0.2, 0.3], 0, full=True),
            Series("long", list(range(1, 101)), [0.9] * 100, 2, full=True),
        ],
        x_label="epoch",
        y_label="accuracy, %",
        percent=True,
    )
    drawn = ET.fromstring(ends.svg)
    places = {text.text: float(text.attrib["x"]) for text in drawn.iter("{http://www.w3.org/2000/svg}text")}
    assert places["short"] < 100
    assert places["long"] > 300
    assert not [path for path in drawn.iter() if "stroke-dasharray" in path.attrib]
    reach = [
        float(number)
        for group in drawn.iter()
        if group.attrib.get("class") == "series-1"
        for path in group.iter()
        for number in re.findall(r"[ML] ([\d.]+)", path.attrib.get("d", ""))
    ]
    assert max(reach) < places["short"]
