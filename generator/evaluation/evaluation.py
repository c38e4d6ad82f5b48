"""What `evaluate` does: a network and a data set in, the record of its scores out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from generator.base import environment, terminal
from generator.base.errors import InputError
from generator.data.classes import Classes
from generator.data.dataset import DataSet, Part, joint_digest
from generator.data.decoded import Pictures
from generator.data.naming import some
from generator.data.predictions import Predictions
from generator.evaluation import scores as evaluation_scores
from generator.evaluation import trust
from generator.evaluation.answers import of_part
from generator.evaluation.scores import Answers
from generator.explain.methods import left_out
from generator.networks import card
from generator.networks.folder import SMALL, load_evaluation, load_runs, require_records, save_card, save_evaluation
from generator.networks.loaded import Loaded
from generator.records.report import DataWords
from generator.records.scores import Evaluation
from generator.records.trust import Faithfulness
from generator.training import parallel


def evaluate_model(loaded: Loaded, data: DataSet, only: str = "") -> Evaluation:
    """The scores of a network on the parts of a data set, kept in `loaded.evaluated`, all of them at once.

    Args:
        data: looked through, see `decoded.whole`.
        only: the part that is scored; "": all of them. Of one alone nothing is kept.
    Raises:
        InputError: for a class of the data set that the network has no output for.
    """
    before = measured(loaded)
    if loaded.folder is not None:
        require_records(loaded.folder)
    chosen = _columns(loaded, data.classes)
    parts = [part for part in data.parts if only in ("", part.name)]
    answers: dict[str, Answers] = {}
    for part in parts:
        items = part.items[parallel.share(len(part))]
        with terminal.bar(f"{loaded.title}, {part.name}", 2 * len(items), "images") as bar:
            found = of_part(loaded, data, items, device=parallel.device(), on_batch=bar.advance)
        plain, mirrored = (parallel.gathered(rows)[:, chosen] for rows in found)
        targets = np.array([item.target for item in part.items], np.int64)
        answers[part.name] = (plain, mirrored, targets, [item.name for item in part.items])
    loaded.network.cpu()
    known = before is not None and before.weights_digest == loaded.digest
    scores, temperature = evaluation_scores.scores(
        answers,
        before.temperature if before and known else None,
        chosen=data.chosen.name if data.chosen and data.judged else "",
        judged=data.judged.name if data.judged else "",
    )
    looks = (before.test_looks if before else 0) + (not known)
    evaluation = Evaluation(
        model=loaded.id,
        class_names=data.classes.names,
        splits=scores,
        temperature=temperature,
        weights_digest=loaded.digest,
        data_digest=joint_digest(parts),
        environment=environment.record(Path(__file__).parents[1]),
        test_looks=looks,
    )
    if loaded.evaluated is not None and not only and parallel.rank() == 0:
        if data.judged:
            evaluation = replace(evaluation, faithfulness=_faithfulness(loaded, data, data.judged, chosen))
        save_evaluation(loaded.evaluated, evaluation)
        if loaded.folder == loaded.evaluated:
            save_card(loaded.evaluated, card_of(loaded, evaluation, data.words))
    return evaluation


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
    for folder in (loaded.evaluated, loaded.folder):
        if folder is not None and (found := load_evaluation(folder)) is not None:
            return found
    return None


def _faithfulness(loaded: Loaded, data: DataSet, part: Part, columns: Sequence[int]) -> Faithfulness:
    """How far the network's heat maps can be trusted, measured on the images that judge, and on their boxes if any.

    Args:
        columns: the network's output for each of the data set's classes.
    """
    network, layer = loaded.network, loaded.layer
    able, why_not = loaded.methods
    for line in left_out(why_not):
        terminal.say(f"{loaded.title}: {line}")
    candidates = [*dict.fromkeys([*loaded.stages, layer])] if data.boxes and layer else []
    total = trust.parts(network, able, candidates)
    with terminal.bar(f"{loaded.title}, how far to trust its maps", total, "parts") as bar:
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
            exceptions=trust.COSTLY,
            alike=bool(data.side),
            on_part=bar.advance,
        )


def card_of(loaded: Loaded, evaluation: Evaluation, words: DataWords) -> str:
    """The model card of a network that was trained into its folder."""
    assert loaded.folder is not None
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
