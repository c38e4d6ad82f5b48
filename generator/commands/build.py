"""`build`: the site, unless nothing has changed since it was built; `inspect`: how what it is made of is read."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from generator.base import terminal
from generator.base.installation import check_pair
from generator.commands import own
from generator.commands.places import (
    build_digest,
    cache_folder,
    data_at_hand,
    moved,
    out_folder,
    published_at,
    settled,
    tell_own_code,
    with_methods,
)
from generator.config.schema import Config, ModelConfig
from generator.data.classes import without_data
from generator.data.dataset import DataSet
from generator.publishing import check, published, writer
from generator.records.network import Fact
from generator.records.reading import Reading
from generator.records.training import Run
from generator.report.overview.reading import doubts

if TYPE_CHECKING:
    from generator.networks.devices import Device
    from generator.networks.loaded import Loaded


def build_command(options: argparse.Namespace) -> None:
    """`build`: see `build.build`."""
    settings = with_methods(published_at(own.settings(options), options.base_url), options.methods)
    cache, out = cache_folder(settings), out_folder(options, settings)
    begun = time.perf_counter()
    data = data_at_hand(options, settings)
    digest = build_digest(settings, data) + "-draft" * options.draft + f"-{options.device}" * (options.device != "auto")
    if not options.force and writer.unchanged(out, digest):
        if options.strict:
            check.require(published.read(out).files, "it was built before and is still in place", terminal.say)
        terminal.done(f"nothing has changed: {out / 'index.html'} ({time.perf_counter() - begun:.1f} s)")
        return
    tell_own_code(settings)
    from generator.build import pipeline

    index = pipeline.build(
        settings,
        data,
        out,
        cache,
        digest,
        offline=options.offline,
        strict=options.strict,
        anew=options.force,
        draft=options.draft,
        device=options.device,
    )
    terminal.done(f"built {index} in {time.perf_counter() - begun:.1f} s")


def inspect_command(options: argparse.Namespace) -> None:
    """`inspect`: a line a fact."""
    settings = own.settings(options)
    data = data_at_hand(options, settings)
    tell_own_code(settings)
    check_pair()
    from generator.data import decoded, predictions
    from generator.inspection.network import facts
    from generator.networks import devices
    from generator.training import logs

    device = devices.chosen(options.device)
    terminal.say(devices.told(device))
    if data is not None:
        data = decoded.whole(data, cache_folder(settings) / "data")
        _tell_data(data)
    for wanted in settings.models.networks:
        if wanted.predictions:
            answered = predictions.read(wanted, data)
            runs = logs.read(wanted, settings.folder, None, terminal.say)
            _tell(wanted, answered.title, answered.source, answered.facts, answered.notes, runs)
            continue
        with devices.precise(device):
            loaded, tried = as_read(wanted, settings, data, options.offline, device)
        if loaded is None:
            terminal.result(f"[models.{wanted.id}] has no weights yet")
            continue
        runs = logs.read(wanted, settings.folder, loaded.epoch, terminal.say)
        _tell(wanted, loaded.title, loaded.source, facts(loaded), (*loaded.notes, *doubts(loaded.title, tried)), runs)


def as_read(
    wanted: ModelConfig, settings: Config, data: DataSet | None, offline: bool, device: Device | None = None
) -> tuple[Loaded | None, Reading | None]:
    """A network as `build` reads it, tried on the data; None where it has no weights yet.

    Args:
        device: where it is tried; None: on the processor.
    """
    from generator.networks import catalogue

    classes, size = data.classes if data else without_data(settings.data.classes), data.words.alike if data else None
    loaded = catalogue.load(wanted, settings, classes, size=size, offline=offline, say=terminal.say)
    if loaded is None:
        return None, None
    return settled(moved(loaded, device) if device else loaded, settings, data, offline)


def _tell(
    wanted: ModelConfig, title: str, source: str, facts: Sequence[Fact], notes: Sequence[str], runs: Sequence[Run]
) -> None:
    from generator.training import logs

    terminal.result(f"[models.{wanted.id}] {title}: {source}")
    for fact in facts:
        terminal.result(f"  {fact.what}: {fact.value} ({fact.origin}: {fact.source})")
    for note in (*notes, *(line for run in runs for line in logs.told(run))):
        terminal.result(f"  {note}")


def _tell_data(data: DataSet) -> None:
    terminal.result(f"data: {data.root}: {data.name}")
    terminal.result(
        f"  classes: {len(data.classes)}: {', '.join(data.classes.names[:5])}{', …' * (len(data.classes) > 5)}"
    )
    for part in data.parts:
        terminal.result(f"  {part.name}: {len(part):,} image{'s' * (len(part) != 1)}, {part.role}")
    if data.words.size:
        terminal.result(f"  image size: {data.words.size} pixels (width × height)")
    for note in (data.words.split, *data.words.notes):
        if note:
            terminal.result(f"  {note}")
