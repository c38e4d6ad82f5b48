"""What `evaluate` does: a network and a data set in, the record of its scores out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from generator.base import environment, terminal
from generator.base.errors import InputError, failure
from generator.data.classes import Classes
from generator.data.dataset import DataSet, Item, Part, joint_digest
from generator.data.decoded import Pictures
from generator.data.naming import some
from generator.data.predictions import Predictions
from generator.evaluation import pieces, trust
from generator.evaluation import scores as evaluation_scores
from generator.evaluation.randomisation import executed
from generator.evaluation.scores import MISTAKES, TEST_MISTAKES, Answers, scores_of
from generator.explain.methods import Method, left_out
from generator.networks import card
from generator.networks.devices import named
from generator.networks.folder import SMALL, load_evaluation, load_runs, require_records, save_card, save_evaluation
from generator.networks.loaded import Loaded
from generator.records.report import DataWords
from generator.records.scores import Evaluation, SplitScores
from generator.records.trust import Faithfulness
from generator.training import parallel

TRUSTING = "{}, how far to trust its maps"  # a bar
FITTED = 5000  # images of the part that it was fitted on, evenly of all, that a brief evaluation scores


def evaluate_model(
    loaded: Loaded, data: DataSet, only: str = "", *, brief: bool = False, mirror: bool = False
) -> Evaluation:
    """The scores of a network on the parts of a data set, kept in `loaded.evaluated`, all of them at once.

    Images are read and answered a piece at a time, by all processes that torchrun started; where one is killed, what
    was answered is known the next time (`pieces`).

    Args:
        data: looked through, see `decoded.whole`.
        only: the part that is scored; "": all of them. Of one alone nothing is kept.
        brief: not all images that it was fitted on are scored, and its maps are measured within `trust.BUDGET`.
        mirror: each image is looked at together with its mirror image, too, which takes twice the time.
    Raises:
        InputError: for a class of the data set that the network has no output for.
    """
    before = measured(loaded)
    if loaded.folder is not None:
        require_records(loaded.folder)
    chosen = _columns(loaded, data.classes)
    parts = [part for part in data.parts if only in ("", part.name)]
    known = before is not None and before.weights_digest == loaded.digest
    temperature = before.temperature if before and known else 1.0
    asked = {part.name: _asked(part, data, brief) for part in parts}
    sizes = {part.name: len(asked[part.name]) for part in parts}
    with pieces.kept(loaded, joint_digest(parts), chosen, mirror, temperature, sizes) as folder:
        task = pieces.Task(loaded, data, chosen, mirror, folder)
        scores, temperature = _scores(task, asked, temperature)
        evaluation = Evaluation(
            model=loaded.id,
            class_names=data.classes.names,
            splits=scores,
            temperature=temperature,
            multi_label=loaded.multi_label,
            weights_digest=loaded.digest,
            data_digest=joint_digest(parts),
            environment={**environment.record(Path(__file__).parents[1]), "device": named(loaded.device)},
            test_looks=(before.test_looks if before else 0) + (not known),
        )
        if loaded.evaluated is not None and not only and parallel.rank() == 0:
            evaluation = replace(evaluation, faithfulness=_trusted(loaded, data, chosen, brief))
            save_evaluation(loaded.evaluated, evaluation)
            if loaded.folder == loaded.evaluated:
                save_card(loaded.evaluated, card_of(loaded, evaluation, data.words))
    return evaluation


def _scores(
    task: pieces.Task, asked: Mapping[str, Sequence[Item]], temperature: float
) -> tuple[dict[str, SplitScores], float]:
    """The scores of some images by their part, and the temperature that was fitted on those weights are chosen on.

    Args:
        temperature: where there are no such images.
    """
    data = task.data
    # One temperature is of a softmax: of a sigmoid for each class none is fitted.
    fitted = data.chosen.name if data.chosen and data.judged and not task.loaded.multi_label else ""
    scores: dict[str, SplitScores] = {}
    for name in sorted(asked, key=lambda name: name != fitted):  # the others' scaled confidence needs its temperature
        items = asked[name]
        found, whole, temperature = pieces.answered(task, name, items, None if name == fitted else temperature)
        targets = np.array([item.target for item in items], np.int64)
        most = TEST_MISTAKES if data.judged and name == data.judged.name else MISTAKES
        part = data.part(name)
        scores[name] = replace(
            scores_of(name, found, len(task.columns), targets, [item.name for item in items], most),
            top1_of_all=None if whole is None else float(whole.mean()),
            of=len(part) if part and len(items) < len(part) else None,
        )
    return {name: scores[name] for name in asked}, temperature


def _trusted(loaded: Loaded, data: DataSet, columns: Sequence[int], brief: bool) -> Faithfulness | None:
    """How far the network's heat maps can be trusted; None where nothing judges, or a brief evaluation fails at it."""
    if data.judged is None:
        return None
    try:
        return _faithfulness(loaded, data, data.judged, columns, brief)
    except InputError:
        raise
    except Exception as error:
        if not brief:
            raise
        # the scores do without it
        terminal.say(f"{loaded.title}: how far to trust its maps could not be measured: {failure(error)}")
        return None


def evaluate_predictions(found: Predictions, data: DataSet) -> Evaluation:
    """The scores of a network of which only the answers are known; nothing is kept, for they are found in no time."""
    parts = [part for part in data.parts if part.name in found.logits]
    answers: dict[str, Answers] = {
        part.name: (
            found.logits[part.name],
            None,
            np.array([item.target for item in part.items], np.int64),
            [item.name for item in part.items],
        )
        for part in parts
    }
    scores, temperature = evaluation_scores.scores(
        answers,
        chosen=data.chosen.name if data.chosen and data.judged else "",
        judged=data.judged.name if data.judged else "",
    )
    return Evaluation(
        model=found.wanted.id,
        class_names=data.classes.names,
        splits=scores,
        temperature=temperature,
        weights_digest=found.digest,
        data_digest=joint_digest(parts),
        environment=environment.versions(),
    )


def measured(loaded: Loaded) -> Evaluation | None:
    """What was kept of a network's last evaluation: by this report, else by whoever trained it."""
    for folder in loaded.recorded:
        if (found := load_evaluation(folder)) is not None:
            return found
    return None


def brief_bars(loaded: Loaded, data: DataSet) -> dict[str, int]:
    """The bars of a brief evaluation in their order, with the images that each stands for; of maps 0."""
    fitted = data.chosen if data.judged else None
    parts = sorted(data.parts, key=lambda part: part is not fitted)
    images = {pieces.BAR.format(loaded.title, part.name): len(_asked(part, data, True)) for part in parts}
    return {**images, TRUSTING.format(loaded.title): 0}


def _asked(part: Part, data: DataSet, brief: bool) -> Sequence[Item]:
    """The images of a part that are scored."""
    count = len(part)
    if not brief or count <= FITTED or part.name != (data.fitted and data.fitted.name):
        return part.items
    return [part.items[place * count // FITTED] for place in range(FITTED)]


def _faithfulness(
    loaded: Loaded, data: DataSet, part: Part, columns: Sequence[int], brief: bool
) -> Faithfulness | None:
    """How far the network's heat maps can be trusted, measured on the images that judge, and on their boxes if any.

    Args:
        columns: the network's output for each of the data set's classes.
    Returns:
        None: brief, and too much for that.
    """
    network, layer = loaded.network, loaded.layer
    able: Mapping[str, Method]
    able, why_not = loaded.methods
    for line in left_out(why_not):
        terminal.say(f"{loaded.title}: {line}")
    plan: trust.Plan | None = trust.Plan(able, trust.COSTLY, ())
    if brief:
        plan = trust.plan(able, loaded.costs, loaded.once, len(part), data.boxes)
    if plan is None or plan.unmeasured:
        what = some(plan.unmeasured, len(plan.unmeasured)) if plan else "its maps"
        terminal.say(
            f"{loaded.title}: how far to trust {what} is not measured, which would take long; `evaluate` does it"
        )
    if plan is None:
        return None
    able = plan.methods
    candidates = [*dict.fromkeys([*loaded.earlier, layer])] if data.boxes and layer else []
    ran = executed(loaded.points)
    total = trust.parts(network, able, candidates, ran)
    with terminal.bar(TRUSTING.format(loaded.title), total, "parts") as bar:
        return trust.measure(
            network,
            Pictures(data, part.items),
            torch.tensor([columns[item.target] for item in part.items]),
            [item.box for item in part.items if item.box] if data.boxes else None,
            loaded.input,
            able,
            layer,
            split=part.name,
            layers=candidates,
            classes=columns,
            sizes=plan.most,
            exceptions=plan.sizes,
            unmeasured=plan.unmeasured,
            alike=bool(data.side),
            ran=ran,
            on_part=bar.advance,
        )


def card_of(loaded: Loaded, evaluation: Evaluation, words: DataWords) -> str:
    """The model card of a network that was trained into its folder; readers see its classes as they do on the pages."""
    assert loaded.folder is not None
    evaluation = replace(evaluation, class_names=tuple(loaded.shown.get(name, name) for name in evaluation.class_names))
    parameters = sum(parameter.numel() for parameter in loaded.network.parameters())
    convolutions = sum(isinstance(module, nn.Conv2d) for module in loaded.network.modules())
    runs = load_runs(loaded.folder)
    small = (loaded.folder / SMALL).exists()
    return card.card(
        loaded.id,
        loaded.architecture,
        parameters,
        convolutions,
        loaded.input,
        runs,
        evaluation,
        words,
        compressed=small,
    )


def _columns(loaded: Loaded, classes: Classes) -> list[int]:
    """Which of the network's outputs are the data set's classes, in their order."""
    if lacking := loaded.without_output(classes):
        more = f" and {len(lacking) - 1:,} more" if len(lacking) > 1 else ""
        raise InputError(
            f"{loaded.title}: expected an output for each class of the data set, it has none for {lacking[0]!r}{more}, "
            f"but for {some(loaded.class_names, 3)}; say what its outputs stand for in [models.{loaded.id}] classes"
        )
    found = [loaded.output_of(key, (name,)) for key, name in zip(classes.keys, classes.names, strict=True)]
    return [index for index in found if index is not None]
