"""What several commands need: where the data, the cache and the site are, and what a build's inputs amount to."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from generator.base import terminal
from generator.base.errors import PROGRAM, InputError
from generator.config import addresses, digests, places, reading
from generator.config.schema import Config, ModelConfig
from generator.data import layouts
from generator.data.classes import ALL, Classes, of_tiny_imagenet, without_data
from generator.data.dataset import DataSet
from generator.records.reading import Reading

if TYPE_CHECKING:  # it loads torch, which an unchanged build does without
    from generator.networks.devices import Device
    from generator.networks.loaded import Loaded


def tell_own_code(settings: Config) -> None:
    """Say whose code a build runs, where it is not the program's: a line for the templates, and one for each file."""
    if folder := digests.own_code(settings):
        terminal.say(f"note: runs the templates in {folder}")
    tell = terminal.once()
    for network in settings.models.networks:
        tell(places.code_line(settings, network.architecture))


def print_json(value: object) -> None:
    """In ASCII, which every stream takes as it is."""
    for line in json.dumps(value, indent=1).split("\n"):
        terminal.result(line)


def published_at(settings: Config, address: str | None) -> Config:
    """The settings with another base_url."""
    if address is None:
        return settings
    try:
        base = addresses.base_address(address)
    except ValueError as error:
        raise InputError(f"--base-url: expected {error}, got {address!r}") from None
    return replace(settings, report=replace(settings.report, base_url=base))


def with_methods(settings: Config, methods: str | None) -> Config:
    """The settings with other methods of explaining, by their names with commas between; None: as they are.

    Raises:
        InputError: where none is named, or one twice. What names there are, the networks' side knows.
    """
    if methods is None:
        return settings
    names = tuple(name.strip() for name in methods.split(","))
    if not all(names) or len(set(names)) < len(names):
        raise InputError(f"--methods: expected different names with commas between, got {methods!r}")
    networks = tuple(replace(network, methods=names) for network in settings.models.networks)
    return replace(settings, models=replace(settings.models, networks=networks))


def out_folder(options: argparse.Namespace, settings: Config) -> Path:
    """The site's folder."""
    out: Path = options.out or beside(settings) / "site"
    return out


def wanted_network(options: argparse.Namespace, settings: Config) -> ModelConfig:
    """What report.toml says of the network that the command is about.

    Raises:
        InputError: where it names none of that id.
    """
    if options.model is None and settings.models.networks:
        return settings.models.networks[0]
    try:
        return settings.models[options.model]
    except KeyError:
        file = settings.path or "the report that comes with the program"
        if options.model is None:
            raise InputError(f"{file}: expected a network, it names none; add one as [models.<id>]") from None
        known = ", ".join(settings.models.ids) or "none"
        raise InputError(
            f"{options.model}: expected a network of {file}, which has {known}; add it as [models.{options.model}]"
        ) from None


def loaded_network(
    options: argparse.Namespace, settings: Config, classes: Classes, size: tuple[int, int] | None = None
) -> Loaded:
    """The network that the command is about, with its weights.

    Args:
        size: (H, W) of all images of the data set, None where they differ or there is none.
    """
    from generator.networks import catalogue

    wanted = wanted_network(options, settings)
    terminal.once()(places.code_line(settings, wanted.architecture))
    loaded = catalogue.load(wanted, settings, classes, size=size, offline=options.offline, say=terminal.say)
    if loaded is None:
        raise InputError(
            f"{settings.models.folder / wanted.id}: expected weights, found none; "
            f"train them with: {PROGRAM} train {wanted.id}"
        )
    for note in loaded.notes:
        terminal.say(f"{loaded.title}: {note}")
    return loaded


def read_as_it_answers(options: argparse.Namespace, settings: Config, data: DataSet, device: Device) -> Loaded:
    """The network that the command is about, read as it answers best where nobody declared how: see `reading`.

    Args:
        device: that it is moved to.
    """
    from generator.report.overview.reading import doubts

    loaded = moved(loaded_network(options, settings, data.classes, data.words.alike), device)
    loaded, found = settled(loaded, settings, data, options.offline)
    for line in doubts(loaded.title, found):
        terminal.say(line)
    return loaded


def moved(loaded: Loaded, device: Device) -> Loaded:
    """The network on a device; what hinders it from running there is told."""
    found = loaded.on(device)
    for note in found.notes[len(loaded.notes) :]:
        terminal.say(f"{found.title}: {note}")
    return found


def settled(loaded: Loaded, settings: Config, data: DataSet | None, offline: bool) -> tuple[Loaded, Reading | None]:
    """A network as `evaluation.reading` settles it, and what was tried; the trials are kept nowhere."""
    from generator.evaluation import reading
    from generator.networks import catalogue

    def again(wanted: ModelConfig) -> Loaded:
        assert data is not None
        size = data.words.alike
        found = catalogue.load(wanted, settings, data.classes, size=size, offline=offline, say=terminal.say)
        assert found is not None
        return found.on(loaded.device)

    return reading.settled(loaded, data, again, lambda _, trial: trial())


def with_data(options: argparse.Namespace) -> tuple[Config, DataSet]:
    """The settings and a data set, looked through by all processes; downloaded by one where none is at hand."""
    from generator.data import decoded
    from generator.training import parallel

    with parallel.one_first():
        settings, data = _found(options)
    cache = cache_folder(settings) / "data"
    number, of = parallel.neighbours()
    if of > 1:
        decoded.look(data, cache, number, of)
        parallel.meet()
    with parallel.one_first():
        return settings, decoded.whole(data, cache)


def _found(options: argparse.Namespace) -> tuple[Config, DataSet]:
    from generator.data import download

    settings = reading.load(options.config)
    data = data_at_hand(options, settings)
    if data is None:
        classes = without_data(settings.data.classes)
        if options.offline or not of_tiny_imagenet(classes):
            more = "" if not options.offline else ", or run it without --offline"
            raise InputError(f"a data set is needed: give one with --data DIR{more}")
        data = layouts.opened(download.fetch(cache_folder(settings) / places.DOWNLOADED, classes), settings.data)
    return settings, data


def data_at_hand(options: argparse.Namespace, settings: Config) -> DataSet | None:
    """The data set of --data, the variable TINY_IMAGENET or [data] root, else what was downloaded before."""
    root = layouts.find(options.data, settings.data.root, os.environ)
    if root is None:
        downloaded = cache_folder(settings) / places.DOWNLOADED
        wanted = settings.data.classes
        if not downloaded.is_dir() or (wanted != ALL and not of_tiny_imagenet(without_data(wanted))):
            return None
        root = downloaded
    data = layouts.opened(root, settings.data, settings.folder)
    for name in data.aside:
        terminal.say(f"{root / name}: left out, for it holds no class folders of a part")
    return data


def build_digest(settings: Config, data: DataSet | None) -> str:
    """The digest of all that a build reads."""
    templates, content = places.folders(settings)
    told = [data.fingerprint, str(data.root)] if data else []
    return digests.of_build(settings, " ".join(told), templates, content)


def beside(settings: Config) -> Path:
    """Where the site and the cache go: beside report.toml, else here."""
    return settings.folder if settings.path else Path.cwd()


def cache_folder(settings: Config) -> Path:
    """The folder for results and decoded images, beside report.toml."""
    return beside(settings) / ".cache"
