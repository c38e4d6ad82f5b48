"""Model cards: the records of a model folder as the README.md beside its weights, in Hugging Face's sections.

Mitchell et al. 2019, arXiv:1810.03993. Every number comes from the records, so that the card cannot disagree with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from generator.networks.architecture import Architecture
from generator.records.input import Input
from generator.records.report import DataWords
from generator.records.scores import Evaluation, SplitScores
from generator.records.training import Run, command

SHOWN = (
    "epochs",
    "batch",
    "learning_rate",
    "betas",
    "weight_decay",
    "warm_up",
    "smoothing",
    "sizes",
    "average",
    "prune",
    "enlarged",
    "widths",
    "depths",
    "dropout",
    "precision",
    "seed",
)
OF_ONE_KIND = ("widths", "depths", "dropout")  # that only architectures with such `settings` have
# How teachers were asked, where a record says so; before, all of them answered each batch.
ONE_A_BATCH = "one a batch, also mirrored"
WEAKEST = 3  # classes that are named as those least often found
NOTHING = {"enlarged": 1.0}  # values that change nothing, beside 0 and ()


def card(
    name: str,
    architecture: Architecture,
    parameters: int,
    convolutions: int,
    way: Input,
    runs: Sequence[Run],
    evaluation: Evaluation,
    words: DataWords,
    *,
    compressed: bool = False,
) -> str:
    """The card of one model as Markdown.

    Args:
        name: of the model's folder and of the commands, such as "cnn".
        parameters: their number.
        convolutions: the number of convolutional layers.
        way: how it takes images.
        words: of the data that it was trained and evaluated on.
        compressed: whether the weights lie in the small form that `compress` makes.
    """
    classes = ", ".join(evaluation.class_names)
    purpose = architecture.purpose.format(convolutions)
    lines = [
        f"# {architecture.name} on {len(evaluation.class_names)} classes",
        "",
        (
            f"This is {purpose}: {parameters:,} parameters, photos of {way.size[1]} x {way.size[0]} pixels in, "
            f"{len(evaluation.class_names)} logits out."
        ),
        "",
        "## Intended use",
        "",
        "To be looked at: the network is the subject of a report on what a small network learns and where it looks. It",
        "is no tool for recognising anything; it gives one of its classes to every photo, whatever is in it.",
        "",
        "## Data",
        "",
        f"{words.source}, the classes {classes}. {' '.join((words.split, *words.notes))}",
        (
            f"Images: {', '.join(f'{scores.split} {scores.count:,}' for scores in evaluation.splits.values())}. "
            f"Digest of the data: {evaluation.data_digest[:16]}."
        ),
        "",
        "## Training",
        "",
        *_training(name, architecture, runs, evaluation, compressed),
        "",
        "## Evaluation",
        "",
        *_table(evaluation),
        "",
        f"{_temperature(evaluation)} The weights' digest is {evaluation.weights_digest[:16]}.",
        f"Made by `python -m generator evaluate {name}`. {_looks(evaluation)}",
        "",
        *_limits(evaluation, words),
        "",
        "## Licence",
        "",
        words.of_weights,
    ]
    return "\n".join(lines) + "\n"


def _training(
    name: str, architecture: Architecture, runs: Sequence[Run], evaluation: Evaluation, compressed: bool
) -> list[str]:
    run = next((run for run in reversed(runs) if run.name == "augmented"), None)
    if run is None:
        return ["No record of the training came with the weights."]
    settings = run.settings
    machine = run.environment
    where = f"{machine.get('processor', 'an unknown processor')}, {machine.get('cores', '?')} cores, "
    where += f"torch {machine.get('torch', '?')}"
    chosen = "last" if run.told_epoch.validation_accuracy is None else "best by validation accuracy"
    took = "" if run.seconds is None else f" in {run.seconds / 60:.0f} minutes"
    lines = [
        f"`{command(name, settings)}`: from scratch, AdamW, {len(run.epochs)} epochs{took} on {where}; the",
        f"weights of epoch {run.told_epoch.epoch}, the {chosen}, were kept.",
        *_told(architecture, settings),
    ]
    if compressed:
        before, after = run.told_epoch.validation_accuracy, evaluation.splits.get("validation")
        lines += ["", f"The weights were then made small by `python -m generator compress {name}`"]
        if after and before is not None:
            lines[-1] += f": {before:.1%} of the validation images before, {after.top1:.1%} after"
        lines[-1] += "."
    return lines


def _told(architecture: Architecture, settings: Mapping[str, Any]) -> list[str]:
    """A training's settings, after those of the training whose weights it started from, and so on."""
    lines: list[str] = []
    if "started_from" in settings:
        earlier = settings.get("started_settings", {})
        recipe = f", trained by the preset {earlier.get('preset', 'default')}" if earlier else ""
        lines += [
            "",
            (
                f"The first {settings.get('started_after', 0)} epochs are those of the weights that it started from "
                f"(digest {settings['started_from'][:16]}){recipe}."
            ),
            *_told(architecture, earlier),
            *(["", "Then:"] if earlier else []),
        ]
    lines += ["", *_settings(architecture, settings)]
    if "teachers" in settings:
        count, digests = len(settings["teachers"]), ", ".join(digest[:16] for digest in settings["teachers"])
        taught = "the answer of a network" if count == 1 else f"the mean answer of {count} networks"
        lines += [
            "",
            (
                f"Distilled (Hinton et al. 2015, arXiv:1503.02531): {settings['distillation']:.0%} of the loss asks "
                f"for {taught} trained here on the same images ({digests}), at temperature "
                f"{settings['temperature']:g}."
            ),
        ]
        if settings.get("asked") == ONE_A_BATCH:
            who = "It answers" if count == 1 else "One of them, drawn anew, answers"
            lines[-1] += f" {who} each batch, shown as it is or mirrored by the same chance."
    return lines


def _settings(architecture: Architecture, settings: Mapping[str, Any]) -> list[str]:
    """A recipe's values, and how its images were changed; nothing where no settings were recorded."""
    if not settings:
        return []
    told = [
        f"{key.replace('_', ' ')} {value}"
        for key in SHOWN
        if (value := settings.get(key)) and value != NOTHING.get(key)
        if key in architecture.settings or key not in OF_ONE_KIND
    ]
    lines = [f"Settings: {', '.join(told)}.", f"Augmentation: {settings.get('augmentation', 'none')}."]
    if settings.get("tail"):
        lines.append(f"In the last {settings['tail']:.0%} of the epochs: {settings['mild']}.")
    return lines


def _table(evaluation: Evaluation) -> list[str]:
    """A row for each part; the first five answers only where they say anything."""
    five = any(scores.top5 is not None for scores in evaluation.splits.values())
    head = ("images", "number", "top-1", "95 % interval", *(("top-5",) if five else ()))
    head = (*head, "with the mirror image", "loss", "ECE, scaled" if evaluation.fitted_temperature else "ECE")
    return [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *(map(_row, evaluation.splits.values()))]


def _row(scores: SplitScores) -> str:
    low, high = scores.top1_interval
    five = "" if scores.top5 is None else f"{scores.top5:.1%} | "
    flipped = "–" if scores.top1_flipped is None else f"{scores.top1_flipped:.1%}"
    return (
        f"| {scores.split} | {scores.count:,} | {scores.top1:.1%} | {low:.1%} to {high:.1%} | {five}"
        f"{flipped} | {scores.loss:.3f} | {scores.calibration_scaled.error:.3f} |"
    )


def _temperature(evaluation: Evaluation) -> str:
    if not evaluation.fitted_temperature:
        return "No temperature was fitted, for there are no images for it beside those that judge."
    return f"The temperature, fitted on the {evaluation.fitted_temperature} images, is {evaluation.temperature:.3f}."


def _looks(evaluation: Evaluation) -> str:
    judged = evaluation.judged
    chosen = "everything was chosen on the validation images"
    if judged != "test":
        chosen = "they may have been chosen on these very images"
    elif "validation" not in evaluation.splits:
        chosen = "nothing was chosen on other images"
    if evaluation.test_looks == 1:
        return f"The {judged} images have been scored once; {chosen}."
    return (
        f"The {judged} images have scored {evaluation.test_looks} networks of this folder, each once it was final; "
        f"{chosen}."
    )


def _limits(evaluation: Evaluation, words: DataWords) -> list[str]:
    split = evaluation.splits[evaluation.judged]
    seen = [index for index in range(len(evaluation.class_names)) if split.totals[index]]
    ranked = sorted(seen, key=lambda index: float(split.recall[index]))
    weakest, rest = ranked[:WEAKEST], ranked[WEAKEST:]
    totals = split.totals
    named = ", ".join(
        f"{evaluation.class_names[index]} ({split.right[index]:,} of {totals[index]:,} found)" for index in weakest
    )
    tied = bool(rest) and split.recall[rest[0]] == split.recall[weakest[-1]]
    lines = ["## Limits", "", f"{'Among the weakest' if tied else 'Weakest'} on the {split.split} images: {named}."]
    if split.pairs:
        pair = split.pairs[0]
        called, true = evaluation.class_names[pair.predicted], evaluation.class_names[pair.true]
        lines.append(f"It calls {pair.count:,} of {totals[pair.true]:,} images of {true} {called}.")
    return [
        *lines,
        f"How well it names photos unlike {words.source}'s, such as cut-outs on a plain ground, was not measured.",
    ]
