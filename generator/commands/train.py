"""`train` and `compress`: the weights of a network."""

from __future__ import annotations

import argparse

from generator.base import terminal
from generator.base.installation import check_pair
from generator.commands.places import cache_folder, wanted_network, with_data
from generator.config import reading


def train_command(options: argparse.Namespace) -> None:
    """`train`: a network trained by a preset."""
    check_pair()
    from generator.networks import catalogue, devices
    from generator.training import parallel
    from generator.training.run import recipe_for, train_model

    settings = reading.load(options.config)
    wanted = wanted_network(options, settings)
    catalogue.require_present(wanted)
    architecture = catalogue.architecture_of(wanted, settings.folder)
    recipe_for(architecture, options.preset, architecture.input)  # before a data set is asked for
    changes = {
        name: getattr(options, name)
        for name in ("epochs", "batch", "learning_rate", "patience", "seed", "precision")
        if getattr(options, name) is not None
    }
    device = devices.chosen(options.device)
    with parallel.group(device):
        if parallel.rank() == 0:
            terminal.say(devices.told(device))
        settings, data = with_data(options)
        folder = options.folder or settings.models.folder / options.model
        run = train_model(
            wanted,
            architecture,
            options.preset,
            data,
            folder,
            cache_folder(settings) / "data",
            resume=options.resume,
            start=options.start,
            teachers=options.teachers,
            changes=changes,
            report=settings,
            device=device,
        )
    kept = run.told_epoch
    accuracy = "" if kept.validation_accuracy is None else f", validation accuracy {kept.validation_accuracy:.1%}"
    terminal.done(f"{folder}: {run.name}, epoch {run.kept} of {len(run.epochs)} kept{accuracy}")


def compress_command(options: argparse.Namespace) -> None:
    """`compress`: a network's weights in their small form."""
    settings = reading.load(options.config)
    check_pair()
    from generator.training import run

    folder = options.folder or settings.models.folder / wanted_network(options, settings).id
    before, after = run.compress_model(options.model, folder)
    terminal.done(f"{folder}: {before / 1e6:.1f} MB became {after / 1e6:.1f} MB; evaluate it anew")
