"""A model card quotes the records it is made from."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from generator.data.tiny_imagenet import WORDS
from generator.networks import card as cards
from generator.networks import named
from generator.networks.alexnet import ALEXNET
from generator.networks.card import ONE_A_BATCH
from generator.networks.small_cnn import SMALL_CNN
from generator.records.input import square
from generator.records.report import DataWords
from tests import synthetic

OTHER = named.architecture("torchvision.models:resnet18", Path())
NAMES = ("bee", "fly", "koala", "pig")


def card(*parts: object, words: DataWords = WORDS, compressed: bool = False) -> str:
    return cards.card(*parts, words, compressed=compressed)  # type: ignore[arg-type, misc]


def test_card_quotes_the_records() -> None:
    evaluation = synthetic.evaluation("cnn", NAMES)
    run = synthetic.run("augmented", epochs=3, kept=2)
    text = card("cnn", SMALL_CNN, 2_110_094, 7, square(64), [synthetic.run("one batch"), run], evaluation)
    scores = evaluation.splits["test"]
    low, high = scores.top1_interval
    assert "a plain network of 7 convolutions with batch norm" in text
    assert "2,110,094 parameters" in text
    assert f"| test | {scores.count:,} | {scores.top1:.1%} | {low:.1%} to {high:.1%} | {scores.top5:.1%} |" in text
    assert "3 epochs in" in text
    assert "weights of epoch 2, the best by validation accuracy" in text
    # Of ten images each, by hand from `synthetic.confusion`: six of bees, seven of lions, nine of koalas are found.
    assert (
        f"Weakest on the test images: {NAMES[0]} (6 of 10 found), {NAMES[2]} (7 of 10 found), {NAMES[1]} (9 of 10 "
        in text
    )
    assert f"It calls 3 of 10 images of {NAMES[2]} {NAMES[0]}.\n" in text
    for section in ("Intended use", "Data", "Training", "Evaluation", "Limits", "Licence"):
        assert f"\n## {section}\n" in text


def test_weights_without_a_record_of_training_say_so() -> None:
    text = card("cnn", OTHER, 10, 1, square(64), [], synthetic.evaluation("cnn", NAMES))
    assert "No record of the training came with the weights." in text
    assert "a network of the architecture torchvision.models:resnet18" in text


def test_card_counts_how_often_the_test_images_were_looked_at() -> None:
    once = synthetic.evaluation("cnn", NAMES)
    assert "The test images have scored 2 networks" in card(
        "cnn", OTHER, 1, 1, square(64), [], replace(once, test_looks=2)
    )
    assert "The test images have been scored once" in card("cnn", OTHER, 1, 1, square(64), [], once)


def test_card_tells_how_to_train_it_again() -> None:
    run = synthetic.run("augmented", epochs=5, kept=4)
    origin = {"started_from": "a" * 64, "started_after": 3, "teachers": ["b" * 64, "c" * 64]}
    settings = {**run.settings, "preset": "distilled", "distillation": 0.8, "temperature": 2.0, **origin}
    evaluation = synthetic.evaluation("cnn", NAMES)
    text = card("cnn", OTHER, 1, 1, square(64), [replace(run, settings=settings)], evaluation, compressed=True)
    assert "`python -m generator train cnn --preset distilled --from DIR --teacher DIR --teacher DIR`" in text
    assert f"The first 3 epochs are those of the weights that it started from (digest {'a' * 16})." in text
    assert "80% of the loss asks for the mean answer of 2 networks trained here" in text
    assert f"({'b' * 16}, {'c' * 16}), at temperature 2." in text
    before, after = run.epochs[3].validation_accuracy, evaluation.splits["validation"].top1
    assert f"compress cnn`: {before:.1%} of the validation images before, {after:.1%} after" in text


@pytest.mark.parametrize(
    ("teachers", "told"),
    [
        (1, "at temperature 2. It answers each batch, shown as it is or mirrored"),
        (
            2,
            "at temperature 2. One of them, drawn anew, answers each batch, shown as it is or mirrored",
        ),
    ],
)
def test_card_tells_how_teachers_were_asked(teachers: int, told: str) -> None:
    run = synthetic.run("augmented", epochs=5, kept=4)
    origin = {"distillation": 0.8, "temperature": 2.0, "teachers": ["b" * 64] * teachers, "asked": ONE_A_BATCH}
    text = card("cnn", OTHER, 1, 1, square(64), [replace(run, settings=origin)], synthetic.evaluation("cnn", NAMES))
    assert told in text


def test_card_tells_both_parts_of_a_training_and_what_was_asked_for() -> None:
    run = synthetic.run("augmented", epochs=5, kept=4)
    origin = {"started_from": "a" * 64, "started_after": 3}
    first = {"preset": "best", "batch": 64, "dropout": 0.3, "tail": 0.15, "mild": {"area": 0.7}}
    settings = {"preset": "distilled", "changed": {"learning_rate": 0.01, "epochs": 2}, "batch": 128, "dropout": 0.3}
    whole = {**settings, **origin, "started_settings": first}
    text = card("cnn", SMALL_CNN, 1, 1, square(64), [replace(run, settings=whole)], synthetic.evaluation("cnn", NAMES))
    assert "train cnn --preset distilled --lr 0.01 --epochs 2 --from DIR`" in text
    assert "trained by the preset best.\n\nSettings: batch 64, dropout 0.3.\n" in text
    assert "In the last 15% of the epochs: {'area': 0.7}.\n\nThen:\n" in text
    assert "\nSettings: batch 128, dropout 0.3.\n" in text
    again = {
        "preset": "distilled",
        "batch": 32,
        "started_from": "d" * 64,
        "started_after": 9,
        "started_settings": whole,
    }
    text = card("cnn", SMALL_CNN, 1, 1, square(64), [replace(run, settings=again)], synthetic.evaluation("cnn", NAMES))
    parts = ("The first 9 epochs", "The first 3 epochs", "batch 64", "Then:", "batch 128", "Then:", "batch 32")
    assert re.search(".*".join(parts), text, re.DOTALL)
    assert text.count("Settings: ") == 3
    assert "\n\n\n" not in text
    # torchvision's AlexNet has a dropout of its own.
    other = card(
        "alexnet", ALEXNET, 1, 1, square(128), [replace(run, settings=settings)], synthetic.evaluation("cnn", NAMES)
    )
    assert "Settings: batch 128.\n" in other


def test_the_words_of_the_data_are_its_own() -> None:
    text = card("cnn", SMALL_CNN, 1, 1, square(64), [], synthetic.evaluation("cnn", NAMES))
    assert "Tiny ImageNet, the classes bee, fly, koala, pig. Of each class's training images a tenth" in text
    assert text.endswith("trained on images of ImageNet, whose terms allow non-commercial research and education.\n")
    words = DataWords("My kitchen", "As they came.", "CC0.", notes=("Nothing was chosen.",))
    text = card("cnn", SMALL_CNN, 1, 1, square(64), [], synthetic.evaluation("cnn", NAMES), words=words)
    assert "My kitchen, the classes bee, fly, koala, pig. As they came. Nothing was chosen.\n" in text
    assert "photos unlike My kitchen's" in text
    assert text.endswith("The weights were trained on these images. CC0.\n")
    assert "ImageNet" not in text


def test_what_was_not_measured_is_not_told() -> None:
    whole = synthetic.evaluation("cnn", NAMES)
    few = {name: replace(scores, top5=None, top5_interval=None) for name, scores in whole.splits.items()}
    del few["test"]
    text = card("cnn", SMALL_CNN, 1, 1, square(64), [], replace(whole, splits=few))
    assert "| images | number | top-1 | 95 % interval | with the mirror image | loss | ECE |\n" in text
    assert "\n|---|---|---|---|---|---|---|\n" in text
    assert "top-5" not in text
    assert "No temperature was fitted" in text
    assert "The validation images have been scored once; they may have been chosen on these very images." in text
    assert "Weakest on the validation images" in text
