"""How a network was judged: each answer comes from its records, and what is in none is said to be in none."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from generator.commands import options
from generator.records.training import Run, command
from generator.report.evaluation.judged import judged
from tests import synthetic

START, OTHER = "a" * 64, "b" * 64
FIRST = {"preset": "best", "changed": {"learning_rate": 0.002, "epochs": 9}, "seed": 0}
DISTILLED = {
    "preset": "distilled", "seed": 0, "teachers": [START, OTHER], "started_from": START, "started_settings": FIRST,
}  # fmt: skip


def rows(*runs: Run) -> dict[str, str]:
    network = replace(synthetic.network("cnn", "Net", [synthetic.photo("p", 0, "A photo")]), runs=runs)
    return {row.what: row.said for row in judged(network)}


def run(**settings: object) -> Run:
    made = synthetic.network("cnn", "Net", [synthetic.photo("p", 0, "A photo")]).runs
    return replace(next(each for each in made if each.name == "augmented"), settings=settings)


def test_a_distilled_network_is_told_with_its_teachers_and_all_of_its_commands() -> None:
    one = run(**DISTILLED)
    said = rows(one)
    assert said["Judged on"] == "40 test images."
    assert said["How often"] == "The test images have been scored once."
    assert said["Seeds"] == "One training is on record (seed 0): how far another seed would come is not known."
    assert said["Teachers"] == (
        "It also learnt from the answers of the network that it began as and 1 other network whose training is in no "
        "record here."
    )
    assert said["Time"].endswith(
        "those it began with included. What training its other teachers took is in no record here."
    )
    assert said["Chosen on"].startswith(
        "The 40 validation images chose the settings, the epoch that was kept and the t"
    )
    assert said["Made by"] == (
        "These commands, one after the other. DIR stands for the folder of a network: --from, the one that the first "
        "command makes (weights aaaaaaaaaaaa); --teacher, the one with the weights aaaaaaaaaaaa and the one with the "
        "weights bbbbbbbbbbbb."
    )
    network = replace(synthetic.network("cnn", "Net", [synthetic.photo("p", 0, "A photo")]), runs=(one,))
    (made,) = [row for row in judged(network) if row.what == "Made by"]
    assert made.commands == (
        "python -m generator train cnn --preset best --lr 0.002 --epochs 9",
        "python -m generator train cnn --preset distilled --from DIR --teacher DIR --teacher DIR",
    )


@pytest.mark.parametrize("settings", [FIRST, DISTILLED, {}])
def test_the_command_is_one_that_the_program_takes(settings: dict[str, object]) -> None:
    words = shlex.split(command("cnn", settings))[3:]
    asked = options.parser().parse_args(words)
    assert (asked.model, asked.preset) == ("cnn", settings.get("preset", "default"))
    assert len(asked.teachers) == len(settings.get("teachers", ()))  # type: ignore[arg-type]


def test_two_seeds_are_no_single_training_and_nothing_is_claimed_of_what_is_not_recorded() -> None:
    assert "Seeds" not in rows(run(seed=0), run(seed=1))
    said = rows()
    assert not {"Seeds", "Teachers", "Time", "Made by"} & set(said)
    assert said["Chosen on"].endswith("What its weights were chosen on is in no record here.")
    network = synthetic.network("cnn", "Net", [synthetic.photo("p", 0, "A photo")])
    assert judged(replace(network, evaluation=None)) == ()
