"""`evaluate` and `predict`: what a network answers."""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from generator.base import terminal
from generator.base.errors import InputError, reason
from generator.base.files import UNFINISHED, replacing
from generator.base.installation import check_pair
from generator.commands.places import (
    cache_folder,
    data_at_hand,
    loaded_network,
    moved,
    print_json,
    read_as_it_answers,
    wanted_network,
    with_data,
)
from generator.config import places, reading
from generator.data.classes import without_data


def evaluate_command(options: argparse.Namespace) -> None:
    """`evaluate`: a network's scores on the data set, printed and kept."""
    wanted_network(options, reading.load(options.config))  # before a data set is looked through
    check_pair()
    from generator.evaluation import evaluation
    from generator.inspection import comparison, layers, patches, photo, prototypes, selection
    from generator.networks import devices, folder
    from generator.training import parallel

    device = devices.chosen(options.device)
    with parallel.group(device), devices.precise(device):
        if parallel.rank() == 0:
            terminal.say(devices.told(device))
        settings, data = with_data(options)
        with parallel.one_first():
            loaded = read_as_it_answers(options, settings, data, device)
        names = [part.name for part in data.parts]
        if options.split and options.split not in names:
            raise InputError(f"--split: expected one of {', '.join(names)} of {data.root}, got {options.split}")
        found = evaluation.evaluate_model(loaded, data, options.split or "", mirror=options.mirror)
        if not options.split and parallel.rank() == 0:
            prototypes.keep(loaded)
            _, content = places.folders(settings)
            photos, _ = selection.photos(settings, content, data, data.classes, {loaded.id: found})
            asked = photo.compared_photos(loaded, photos)
            comparison.keep(loaded, [one for one in photos if one.id in asked])
            patches.keep(loaded, layers.shown(loaded), selection.examined(data, photos))
    if options.json:
        print_json(folder.plain_evaluation(found))
        return
    unscaled = "" if found.temperature != 1 else " before scaling"  # without images to fit it on nothing was fitted
    for name, scores in found.splits.items():
        low, high = scores.top1_interval
        error = f"calibration error{unscaled} {scores.calibration_scaled.error:.3f}"
        five = "" if scores.top5 is None else f"top-5 {scores.top5:.1%}, "
        terminal.result(
            f"{loaded.title}, {name}: top-1 {scores.top1:.1%} (95 % interval {low:.1%} to {high:.1%}), "
            f"{five}{scores.count} images, {error}"
        )
    for note in data.words.notes:
        terminal.say(note)
    if data.chosen is None:
        terminal.say("no temperature was fitted: there are no validation images beside those that judge")


def predict_command(options: argparse.Namespace) -> None:
    """`predict`: what a network answers to image files, as a table."""
    settings = reading.load(options.config)
    wanted = wanted_network(options, settings)
    data = data_at_hand(options, settings)
    classes = data.classes if data else without_data(settings.data.classes)
    check_pair()
    from generator.data import decoded
    from generator.evaluation import answers
    from generator.networks import devices

    unknown = ":" in wanted.architecture and wanted.input.size is None  # its size may be that of the images
    size = decoded.whole(data, cache_folder(settings) / "data").words.alike if data and unknown else None
    device = devices.chosen(options.device)
    loaded = moved(loaded_network(options, settings, classes, size), device)
    terminal.say(devices.told(device))
    _write_csv(options.csv, None)  # lest an hour's answers find no place
    with devices.precise(device):
        rows = answers.folder(loaded, options.folder)
    _write_csv(options.csv, rows)
    terminal.done(f"{options.csv}: {len(rows)} images")


def _write_csv(path: Path, rows: Sequence[tuple[str, int]] | None) -> None:
    """The course's format: the header Id,Category, then file name and class index; for None only whether it could be.

    Written aside, so that it is there when it is whole; straight into what is no regular file, such as /dev/stdout.
    """
    straight = places.exists(path) and not path.is_file()
    place = path if straight else Path(os.path.realpath(path))
    try:
        with suppress(FileNotFoundError):
            place.lstat()  # a name that is too long is too long now, too
        if straight:
            _write_rows(place, rows)
        elif rows is None:
            with NamedTemporaryFile(dir=place.parent, prefix=".", suffix=UNFINISHED):
                pass
        else:
            with replacing(place) as aside:
                _write_rows(aside, rows)
    except OSError as error:
        raise InputError(f"{path}: expected a file that can be written, got {reason(error)}") from error


def _write_rows(path: Path, rows: Sequence[tuple[str, int]] | None) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        if rows is not None:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(("Id", "Category"))
            table.writerows((_cell(name), target) for name, target in rows)


def _cell(name: str) -> str:
    """A file's name in one printable line, and no formula for a spreadsheet: "=1+1.png" is "./=1+1.png"."""
    return terminal.plain(f"./{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name)
