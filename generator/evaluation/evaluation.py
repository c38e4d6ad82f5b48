"""What `evaluate` does: a network and a data set in, the record of its scores out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from generator.base import environment, terminal
from generator.base.errors import InputError
from generator.data.classes import Classes
from generator.data.dataset import SPLITS, Split
from generator.data.decoded import ImageSet, joint_digest
from generator.data.decoded import load as load_images
from generator.evaluation import scores as evaluation_scores
from generator.evaluation import trust
from generator.evaluation.answers import logits_of
from generator.evaluation.scores import Answers
from generator.explain import methods
from generator.networks import card
from generator.networks.catalogue import Loaded
from generator.networks.folder import SMALL, load_evaluation, load_runs, require_records, save_card, save_evaluation
from generator.records.scores import Evaluation
from generator.records.trust import Faithfulness
from generator.training import parallel


def evaluate_model(
    loaded: Loaded, root: Path, classes: Classes, cache: Path, splits: Sequence[Split] = SPLITS
) -> Evaluation:
    """The scores of a network on the splits of a data set, kept in `loaded.evaluated`, all of them at once."""
    before = measured(loaded)
    if loaded.folder is not None:
        require_records(loaded.folder)
    answers: dict[str, Answers] = {}
    with parallel.one_first():
        sets = {split: load_images(root, classes, split, cache) for split in splits}
    for split, images in sets.items():
        rows = images.images[parallel.share(len(images))]
        with terminal.bar(f"{loaded.title}, {split}", 2 * len(rows), "images") as bar:
            plain, mirrored = (
                parallel.gathered(
                    logits_of(
                        loaded.network,
                        rows,
                        loaded.input,
                        mirrored=flip,
                        device=parallel.device(),
                        on_batch=bar.advance,
                    )
                )
                for flip in (False, True)
            )
        chosen = _columns(loaded, classes)
        answers[split] = (plain[:, chosen], mirrored[:, chosen], images.targets.numpy(), images.files)
    loaded.network.cpu()
    known = before is not None and before.weights_digest == loaded.digest
    scores, temperature = evaluation_scores.scores(answers, before.temperature if before and known else None)
    looks = (before.test_looks if before else 0) + (not known)
    found = Evaluation(
        model=loaded.id,
        class_names=classes.names,
        splits=scores,
        temperature=temperature,
        weights_digest=loaded.digest,
        data_digest=joint_digest(sets.values()),
        environment=environment.record(Path(__file__).parents[1]),
        test_looks=looks,
    )
    if loaded.evaluated is not None and set(splits) == set(SPLITS) and parallel.rank() == 0:
        found = replace(found, faithfulness=_faithfulness(loaded, sets["test"], chosen))
        save_evaluation(loaded.evaluated, found)
        if loaded.folder == loaded.evaluated:
            save_card(loaded.evaluated, card_of(loaded, found))
    return found


def measured(loaded: Loaded) -> Evaluation | None:
    """What was kept of a network's last evaluation: by this report, else by whoever trained it."""
    for folder in (loaded.evaluated, loaded.folder):
        if folder is not None and (found := load_evaluation(folder)) is not None:
            return found
    return None


def _faithfulness(loaded: Loaded, images: ImageSet, columns: Sequence[int]) -> Faithfulness:
    """How far the network's heat maps can be trusted, measured on the boxes of `images`.

    Args:
        columns: the network's output for each of the data set's classes.
    """
    network, layer = loaded.network, loaded.layer
    candidates = [*dict.fromkeys([*loaded.stages, layer])]
    total = trust.parts(network, methods.METHODS, candidates)
    with terminal.bar(f"{loaded.title}, how far to trust its maps", total, "parts") as bar:
        return trust.measure(
            network,
            images.images,
            torch.tensor(columns)[images.targets],
            images.boxes,
            loaded.input,
            methods.METHODS,
            layer,
            split=images.split,
            layers=candidates,
            classes=columns,
            exceptions=trust.COSTLY,
            on_part=bar.advance,
        )


def card_of(loaded: Loaded, evaluation: Evaluation) -> str:
    """The model card of a network that was trained into its folder."""
    assert loaded.folder is not None
    parameters = sum(parameter.numel() for parameter in loaded.network.parameters())
    convolutions = sum(isinstance(module, nn.Conv2d) for module in loaded.network.modules())
    runs = load_runs(loaded.folder)
    small = (loaded.folder / SMALL).exists()
    return card.card(
        loaded.id, loaded.architecture, parameters, convolutions, loaded.input, runs, evaluation, compressed=small
    )


def _columns(loaded: Loaded, classes: Classes) -> list[int]:
    """Which of the network's outputs are the data set's classes, in their order."""
    found = [loaded.output_of(key, (name,)) for key, name in zip(classes.keys, classes.names, strict=True)]
    if None in found:
        name = classes.names[found.index(None)]
        raise InputError(f"{loaded.title}: expected an output for each class of the data set, it has none for {name!r}")
    return [index for index in found if index is not None]
