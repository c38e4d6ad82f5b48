"""What `train` and `evaluate` do: a data set in, a model folder with weights and records out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from generator.base import environment, terminal
from generator.base.errors import InputError
from generator.config import places
from generator.config.schema import Config, ModelConfig
from generator.data import decoded
from generator.data.classes import Classes
from generator.data.dataset import DataSet, Part
from generator.networks.agreement import require_classes, require_same
from generator.networks.architecture import Architecture, initialise, made
from generator.networks.card import ONE_A_BATCH
from generator.networks.catalogue import answering, as_asked, from_any_folder, from_folder
from generator.networks.devices import CPU
from generator.networks.folder import (
    SMALL,
    WEIGHTS,
    Description,
    fill,
    has_model,
    load_model,
    load_runs,
    load_snapshots,
    require_usable,
    save_model,
    save_run,
)
from generator.networks.loaded import Loaded
from generator.records.input import Input
from generator.records.recipe import Recipe
from generator.records.training import Run
from generator.training import parallel
from generator.training.fit import Images, Step, Teacher, TrainingState, fit
from generator.training.resume import drop_state, load_state, save_state

# The course's first two runs, recorded for the training page; only the third, augmented, gives weights.
RUNS = ("one batch", "without augmentation")


def train_model(
    wanted: ModelConfig,
    architecture: Architecture,
    preset: str,
    data: DataSet,
    folder: Path,
    cache: Path,
    *,
    resume: bool = False,
    start: Path | None = None,
    teachers: Sequence[Path] = (),
    changes: Mapping[str, object] | None = None,
    report: Config | None = None,
    device: torch.device = CPU,
) -> Run:
    """Train a network of the report by a preset and write its folder: weights, history, snapshots.

    The runs "one batch" and "without augmentation" leave the weights as they are: only their history is recorded.

    Args:
        wanted: what report.toml says of it; `architecture` is what that names.
        data: looked through, see `decoded.whole`.
        folder: models/<id>.
        cache: where decoded images are kept.
        resume: go on from the run that was interrupted there.
        start: the folder of a trained model to go on from; its epochs stay in the record, before the new ones.
        teachers: folders of the trained models whose answers a recipe with `distillation` learns from.
        changes: fields of the recipe to be replaced.
        report: whose networks name the code that `start` and `teachers` may run.
        device: that it is trained on.
    Raises:
        InputError: for an unusable data set, a folder that cannot be written, a run that does not converge, a model to
            start or learn from that is missing or of other classes; for teachers without distillation and vice versa.
    """
    way = as_asked(architecture.input, wanted)
    recipe = replace(recipe_for(architecture, preset, way), **dict(changes or {}))  # type: ignore[arg-type]
    if bool(teachers) != bool(recipe.distillation):
        raise InputError(
            f"preset {preset}: expected {'at least one' if recipe.distillation else 'no'} teacher, got "
            f"{len(teachers) or 'none'}; {'name' if recipe.distillation else 'leave out'} --teacher DIR"
        )
    if parallel.rank() == 0:
        require_usable(folder)
    classes = data.classes
    require_classes(wanted, classes.names, classes.keys, f"the images in {data.root} are of them")
    tell = _telling(report, wanted)
    learnt_from = [from_any_folder(teacher, classes, report, tell) for teacher in teachers]
    if data.fitted is None:
        raise InputError(f"{data.root}: expected images to train on, in a folder train, found none")
    with parallel.one_first():
        train = _squares(data, data.fitted, recipe, cache)
        validation = _squares(data, data.choosing, recipe, cache) if data.choosing else None
    origin: dict[str, object] = {"teachers": [teacher.digest for teacher in learnt_from]} if teachers else {}
    if teachers:
        origin["asked"] = ONE_A_BATCH
    if start:
        origin["started_from"] = from_any_folder(start, classes, report, tell).digest
        require_same(
            start, load_model(start).description, _description(architecture, wanted, classes, recipe, way), architecture
        )
    network = new_network(architecture, len(classes), recipe, wanted.arguments, start)
    answering(network, architecture, way, wanted.id, len(classes))
    key = {
        "preset": preset,
        "data": data.fitted.digest,
        "architecture": architecture.name,
        "arguments": dict(wanted.arguments),
        "input": asdict(way),
        **asdict(recipe),
        **origin,
    }
    side_run = preset if preset in RUNS else ""
    state = load_state(folder, key, side_run) if resume and parallel.rank() == 0 else None
    state = parallel.agreed(state)
    done = len(state.epochs) if state else 0
    title = f"{wanted.title or architecture.title}, {preset}"
    if not side_run and has_model(folder):
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
            way=way,
            teachers=[Teacher(teacher.network, teacher.input) for teacher in learnt_from],
            device=device,
            state=state,
            on_step=_shows_step(bar, recipe),
            on_epoch=_keeps_epoch(title, folder, recipe, key, side_run),
        )
    record = {
        **environment.record(Path(__file__).parents[1]),
        "data": data.fitted.digest,
        "device": str(device),
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
        save_run(folder, run)
    else:
        save_model(folder, state.best, _description(architecture, wanted, classes, recipe, way))
        save_run(folder, run, snapshots)
    drop_state(folder, side_run)
    return run


def recipe_for(architecture: Architecture, preset: str, way: Input) -> Recipe:
    """The preset of an architecture, for images of the size that the network takes.

    Raises:
        InputError: for a preset that the architecture does not have, and an input that no recipe can train for.
    """
    if preset not in architecture.presets:
        known = ", ".join(f'"{name}"' for name in architecture.presets)
        raise InputError(f"--preset: expected one of {known} for {architecture.title}, got {preset!r}")
    recipe = architecture.presets[preset]
    high, wide = way.size
    if high != wide or way.channels not in (1, 3):
        raise InputError(
            f"{architecture.title}: expected a square input of 1 or 3 channels to train for, got "
            f"{high} x {wide} pixels of {way.channels}; train it elsewhere and name its weights in report.toml"
        )
    if architecture.input.size == way.size and "size" not in architecture.told:  # which is its own, not its presets'
        return recipe
    factor = high / recipe.sizes[-1][1]
    return replace(recipe, sizes=tuple((start, max(8, round(size * factor))) for start, size in recipe.sizes))


def new_network(
    architecture: Architecture,
    classes: int,
    recipe: Recipe,
    arguments: Mapping[str, object] | None = None,
    start: Path | None = None,
) -> nn.Module:
    """The network that a recipe trains: untrained, or with the weights of the folder `start`."""
    network = made(architecture, classes, {**architecture.shape(recipe), **(arguments or {})}, "arguments")
    initialise(network, recipe.seed)
    architecture.prepare(network)
    if start:
        fill(network, load_model(start).weights, str(start))
    return network


def _telling(report: Config | None, wanted: ModelConfig) -> Callable[[str], None]:
    """What says whose code is run, each once; that of the network to train is said."""
    tell = terminal.once()
    if report:
        tell(places.code_line(report, wanted.architecture))
    return tell


def _continued(start: Path, run: Run, snapshots: Mapping[int, Tensor]) -> tuple[Run, dict[int, Tensor]]:
    """`run` and its snapshots after the epochs of the run that its first weights come from, counted on."""
    earlier = next((old for old in load_runs(start) if old.name == run.name), None)
    if earlier is None:
        return run, dict(snapshots)
    done = len(earlier.epochs)
    epochs = (*earlier.epochs, *(replace(epoch, epoch=epoch.epoch + done) for epoch in run.epochs))
    kernels = {epoch: torch.from_numpy(values) for epoch, values in load_snapshots(start).items()}
    # Filters that were learnt before hardly change any more: one picture of where they end is enough.
    kernels[done + max(snapshots)] = snapshots[max(snapshots)]
    settings = {
        **run.settings,
        "started_after": done,
        "started_settings": earlier.settings,
        "started_environment": earlier.environment,
    }
    return replace(run, epochs=epochs, kept=(run.kept or 0) + done, settings=settings), kernels


def compress_model(name: str, folder: Path) -> tuple[int, int]:
    """Replace a folder's float16 weights by the small form of `compress`; the sizes in bytes before and after."""
    before = folder / WEIGHTS
    if not before.exists():
        raise InputError(f"{before}: expected weights to compress, found none; train them with: train {name}")
    size = before.stat().st_size
    model = load_model(folder)
    save_model(folder, model.weights, model.description, small=True)
    return size, (folder / SMALL).stat().st_size


def trained(wanted: ModelConfig, folder: Path, classes: Classes, beside: Path | None = None) -> Loaded:
    """The network that was just trained into `folder`."""
    found = from_folder(wanted, folder, classes, beside)
    if found is None:
        raise InputError(f"{folder}: expected the weights that were just trained, found none")
    return found


def _description(
    architecture: Architecture, wanted: ModelConfig, classes: Classes, recipe: Recipe, way: Input
) -> Description:
    shape = {**architecture.shape(recipe), **wanted.arguments}
    named = {name: shape.pop(name) for name in architecture.stored if name in shape}
    for name in architecture.settings:
        shape.pop(name, None)
    return Description(
        architecture.name,
        classes.names,
        classes.keys,
        *recipe.shown,
        **named,
        arguments=shape,
        input=None if way == architecture.input else way,
    )


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
        save_state(folder, state, key, side_run)
        last = state.epochs[-1]
        assert last.seconds is not None
        left = last.seconds * _areas(recipe, last.epoch) / recipe.size(last.epoch) ** 2
        accuracy = "" if last.validation_accuracy is None else f", validation {last.validation_accuracy:.1%}"
        terminal.say(
            f"{title}: epoch {last.epoch} of {recipe.epochs}, loss {last.train_loss:.3f}{accuracy}, "
            f"{last.seconds:.0f} s{terminal.left(left)}"
        )

    return keep


def _squares(data: DataSet, part: Part, recipe: Recipe, cache: Path) -> Images:
    """The images of a part as large as a recipe ever shows them."""
    side = max(recipe.shown[1], *(size for _, size in recipe.sizes))
    images = torch.from_numpy(decoded.squares(data, part, side, cache))
    return Images(images, torch.tensor([item.target for item in part.items]))
