"""What `train` and `evaluate` do: a data set in, a model folder with weights and records out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from generator import (
    cards,
    checkpoints,
    environment,
    evaluate,
    faithfulness,
    methods,
    parallel,
    recipes,
    terminal,
)
from generator.cards import ONE_A_BATCH
from generator.checkpoints import Description
from generator.classes import Classes
from generator.data import ImageSet, Split, joint_digest
from generator.data import load as load_images
from generator.errors import InputError
from generator.models import ARCHITECTURES, TITLES, Loaded, from_folder
from generator.networks import (
    WIDTHS,
    SmallCNN,
    alexnet,
    initialise,
    pass_on,
    stages,
)
from generator.records import Evaluation, Faithfulness, Run
from generator.tiny_imagenet import SPLITS
from generator.train import Recipe, Step, Teacher, TrainingState, fit

# The course's first two runs, recorded for the training page; only the third, augmented, gives weights.
RUNS = ("one batch", "without augmentation")
GRID: Final = 3  # of AlexNet while it trains on images of 128 pixels, see `networks.alexnet`


def train_model(
    name: str,
    preset: str,
    root: Path,
    classes: Classes,
    folder: Path,
    cache: Path,
    *,
    resume: bool = False,
    start: Path | None = None,
    teachers: Sequence[Path] = (),
    changes: Mapping[str, object] | None = None,
) -> Run:
    """Train `name` by a preset and write its folder: weights, history, snapshots.

    The runs "one batch" and "without augmentation" leave the weights as they are: only their history is recorded.

    Args:
        folder: models/<name>.
        cache: where decoded images are kept.
        resume: go on from the run that was interrupted there.
        start: the folder of a trained model to go on from; its epochs stay in the record, before the new ones.
        teachers: folders of the trained models whose answers a recipe with `distillation` learns from.
        changes: fields of the recipe to be replaced.
    Raises:
        InputError: for an unusable data set, a folder that cannot be written, a run that does not converge, a model to
            start or learn from that is missing or of other classes; for teachers without distillation and vice versa.
    """
    recipe = replace(recipes.PRESETS[name][preset], **dict(changes or {}))  # type: ignore[arg-type]
    if bool(teachers) != bool(recipe.distillation):
        raise InputError(
            f"preset {preset}: expected {'at least one' if recipe.distillation else 'no'} teacher, got "
            f"{len(teachers) or 'none'}; {'name' if recipe.distillation else 'leave out'} --teacher DIR"
        )
    if parallel.rank() == 0:
        checkpoints.require_usable(folder)
    learnt_from = [_trained_in(teacher, classes) for teacher in teachers]
    with parallel.one_first():
        train, validation = (load_images(root, classes, split, cache) for split in ("train", "validation"))
    _say_skipped(train, validation)
    origin: dict[str, object] = {"teachers": [teacher.digest for teacher in learnt_from]} if teachers else {}
    if teachers:
        origin["asked"] = ONE_A_BATCH
    if start:
        origin["started_from"] = _trained_in(start, classes).digest
    network = new_network(name, len(classes), recipe, start)
    key = {"preset": preset, "data": train.digest, **asdict(recipe), **origin}
    side_run = preset if preset in RUNS else ""
    state = checkpoints.load_state(folder, key, side_run) if resume and parallel.rank() == 0 else None
    state = parallel.agreed(state)
    done = len(state.epochs) if state else 0
    title = f"{TITLES.get(name, name)}, {preset}"
    if not side_run and checkpoints.has_model(folder):
        terminal.say(f"{title}: at its end this run replaces the network in {folder}; with --folder DIR both are kept")
    if state:
        terminal.say(f"{title}: going on after epoch {done} of {recipe.epochs}")
    elif resume:
        terminal.say(f"{title}: {folder} holds no interrupted run, so this one begins")
    batches = math.ceil((recipe.limit or len(train)) / recipe.batch)
    with terminal.bar(title, batches * _areas(recipe, done)) as bar:
        state = fit(
            network,
            train,
            validation,
            recipe,
            teachers=[Teacher(teacher.network, teacher.description.input_size) for teacher in learnt_from],
            device=parallel.device(),
            state=state,
            on_step=_shows_step(bar, recipe),
            on_epoch=_keeps_epoch(title, folder, recipe, key, side_run),
        )
    record = {
        **environment.record(Path(__file__).parent),
        "data": train.digest,
        "device": str(parallel.device()),
        "processes": str(parallel.world()),
    }
    settings = {
        "preset": preset,
        "changed": dict(changes or {}),
        **asdict(recipe),
        **origin,
        "precision": state.precision,
    }
    # The one-batch check is about the batch: its last epoch counts, whatever the validation images say.
    kept = len(state.epochs) if recipe.limit else state.kept
    run = Run(preset if preset in RUNS else "augmented", tuple(state.epochs), kept, settings, record)
    snapshots = state.snapshots
    if start and not side_run:
        run, snapshots = _continued(start, run, snapshots)
    if parallel.rank() > 0:
        return run
    if side_run:
        checkpoints.save_run(folder, run)
    else:
        checkpoints.save_model(folder, state.best, _description(name, classes, recipe))
        checkpoints.save_run(folder, run, snapshots)
    checkpoints.drop_state(folder, side_run)
    return run


def new_network(name: str, classes: int, recipe: Recipe, start: Path | None = None) -> nn.Module:
    """The network that a recipe trains: untrained, or with the weights of the folder `start`."""
    if name == "cnn":
        network: nn.Module = SmallCNN(classes, recipe.widths or WIDTHS, dropout=recipe.dropout, depths=recipe.depths)
    else:
        network = alexnet(classes, GRID)
    initialise(network, recipe.seed)
    if isinstance(network, SmallCNN):
        pass_on(network)
    if start:
        checkpoints.fill(network, checkpoints.load_model(start).weights, str(start))
    return network


def _trained_in(folder: Path, classes: Classes) -> Loaded:
    """The trained network of a folder."""
    found = from_folder(folder.name, folder, classes)
    if found is None:
        raise InputError(f"{folder}: expected a trained model, found no weights")
    return found


def _continued(start: Path, run: Run, snapshots: Mapping[int, Tensor]) -> tuple[Run, dict[int, Tensor]]:
    """`run` and its snapshots after the epochs of the run that its first weights come from, counted on."""
    earlier = next((old for old in checkpoints.load_runs(start) if old.name == run.name), None)
    if earlier is None:
        return run, dict(snapshots)
    done = len(earlier.epochs)
    epochs = (*earlier.epochs, *(replace(epoch, epoch=epoch.epoch + done) for epoch in run.epochs))
    kernels = {epoch: torch.from_numpy(values) for epoch, values in checkpoints.load_snapshots(start).items()}
    # Filters that were learnt before hardly change any more: one picture of where they end is enough.
    kernels[done + max(snapshots)] = snapshots[max(snapshots)]
    settings = {
        **run.settings,
        "started_after": done,
        "started_settings": earlier.settings,
        "started_environment": earlier.environment,
    }
    return replace(run, epochs=epochs, kept=run.kept + done, settings=settings), kernels


def evaluate_model(
    loaded: Loaded, root: Path, classes: Classes, cache: Path, splits: Sequence[Split] = SPLITS
) -> Evaluation:
    """The scores of a network on the splits of a data set, kept in `loaded.evaluated`, all of them at once."""
    before = measured(loaded)
    if loaded.folder is not None:
        checkpoints.require_records(loaded.folder)
    answers: dict[str, evaluate.Answers] = {}
    size, resize = loaded.description.input_size, loaded.description.resize
    with parallel.one_first():
        sets = {split: load_images(root, classes, split, cache) for split in splits}
    for split, images in sets.items():
        rows = images.images[parallel.share(len(images))]
        with terminal.bar(f"{loaded.title}, {split}", 2 * len(rows), "images") as bar:
            plain, mirrored = (
                parallel.gathered(
                    evaluate.logits_of(
                        loaded.network,
                        rows,
                        size,
                        resize,
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
    scores, temperature = evaluate.scores(answers, before.temperature if before and known else None)
    looks = (before.test_looks if before else 0) + (not known)
    found = Evaluation(
        model=loaded.id,
        class_names=classes.names,
        splits=scores,
        temperature=temperature,
        weights_digest=loaded.digest,
        data_digest=joint_digest(sets.values()),
        environment=environment.record(Path(__file__).parent),
        test_looks=looks,
    )
    if loaded.evaluated is not None and set(splits) == set(SPLITS) and parallel.rank() == 0:
        found = replace(found, faithfulness=_faithfulness(loaded, sets["test"], chosen))
        checkpoints.save_evaluation(loaded.evaluated, found)
        if loaded.folder == loaded.evaluated:
            checkpoints.save_card(loaded.evaluated, card_of(loaded, found))
    return found


def measured(loaded: Loaded) -> Evaluation | None:
    """What was kept of a network's last evaluation: by this report, else by whoever trained it."""
    for folder in (loaded.evaluated, loaded.folder):
        if folder is not None and (found := checkpoints.load_evaluation(folder)) is not None:
            return found
    return None


def _faithfulness(loaded: Loaded, images: ImageSet, columns: Sequence[int]) -> Faithfulness:
    """How far the network's heat maps can be trusted, measured on the boxes of `images`.

    Args:
        columns: the network's output for each of the data set's classes.
    """
    network, size = loaded.network, loaded.description.input_size
    layer = methods.layer_of(network, size)
    candidates = [*dict.fromkeys([*stages(network), layer])]
    total = faithfulness.parts(network, methods.METHODS, candidates)
    with terminal.bar(f"{loaded.title}, how far to trust its maps", total, "parts") as bar:
        return faithfulness.measure(
            network,
            images.images,
            torch.tensor(columns)[images.targets],
            images.boxes,
            size,
            loaded.description.resize,
            methods.METHODS,
            layer,
            split=images.split,
            layers=candidates,
            classes=columns,
            exceptions=methods.COSTLY,
            on_part=bar.advance,
        )


def compress_model(name: str, folder: Path) -> tuple[int, int]:
    """Replace a folder's float16 weights by the small form of `compress`; the sizes in bytes before and after."""
    before = folder / checkpoints.WEIGHTS
    if not before.exists():
        raise InputError(f"{before}: expected weights to compress, found none; train them with: train {name}")
    size = before.stat().st_size
    model = checkpoints.load_model(folder)
    checkpoints.save_model(folder, model.weights, model.description, small=True)
    return size, (folder / checkpoints.SMALL).stat().st_size


def trained(name: str, folder: Path, classes: Classes) -> Loaded:
    """The network that was just trained into `folder`."""
    found = from_folder(name, folder, classes)
    if found is None:
        raise InputError(f"{folder}: expected the weights that were just trained, found none")
    return found


def card_of(loaded: Loaded, evaluation: Evaluation) -> str:
    """The model card of a network that was trained into its folder."""
    assert loaded.folder is not None
    parameters = sum(parameter.numel() for parameter in loaded.network.parameters())
    convolutions = sum(isinstance(module, nn.Conv2d) for module in loaded.network.modules())
    said = loaded.description
    runs = checkpoints.load_runs(loaded.folder)
    small = (loaded.folder / checkpoints.SMALL).exists()
    return cards.card(
        loaded.id, said.architecture, parameters, convolutions, said.input_size, runs, evaluation, compressed=small
    )


def _description(name: str, classes: Classes, recipe: Recipe) -> Description:
    said = Description(ARCHITECTURES[name], classes.names, classes.wnids, *recipe.shown)
    if name != "cnn":
        return replace(said, grid=GRID)
    return replace(said, widths=recipe.widths or WIDTHS, depths=recipe.depths)


def _columns(loaded: Loaded, classes: Classes) -> list[int]:
    """Which of the network's outputs are the data set's classes, in their order."""
    try:
        return [loaded.class_of[wnid] for wnid in classes.wnids]
    except KeyError as error:
        raise InputError(f"{loaded.title}: expected an output for the class {error}, it has none") from error


def _areas(recipe: Recipe, done: int) -> int:
    """The area of an image, summed over the epochs that come after the first `done`: what they cost."""
    return sum(recipe.size(epoch) ** 2 for epoch in range(done + 1, recipe.epochs + 1))


def _shows_step(bar: terminal.Bar, recipe: Recipe) -> Callable[[Step], None]:
    def show(step: Step) -> None:
        bar.advance(recipe.size(step.epoch) ** 2, f"epoch {step.epoch} of {recipe.epochs}, loss {step.loss:.3f}")

    return show


def _keeps_epoch(
    title: str, folder: Path, recipe: Recipe, key: Mapping[str, object], side_run: str
) -> Callable[[TrainingState], None]:
    def keep(state: TrainingState) -> None:
        if parallel.rank() > 0:
            return
        checkpoints.save_state(folder, state, key, side_run)
        last = state.epochs[-1]
        left = last.seconds * _areas(recipe, last.epoch) / last.image_size**2
        accuracy = "" if last.validation_accuracy is None else f", validation {last.validation_accuracy:.1%}"
        terminal.say(
            f"{title}: epoch {last.epoch} of {recipe.epochs}, loss {last.train_loss:.3f}{accuracy}, "
            f"{last.seconds:.0f} s{terminal.left(left)}"
        )

    return keep


def _say_skipped(*sets: ImageSet) -> None:
    for images in sets:
        if images.skipped:
            names = ", ".join(images.skipped[:3]) + (", …" if len(images.skipped) > 3 else "")
            terminal.say(f"{images.split}: {len(images.skipped)} broken images are left out: {names}")
