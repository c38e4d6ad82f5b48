"""The training page's figures: each run's accuracy, loss and learning rate, the runs together, the filters' growth."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise

from generator.base.names import slugs
from generator.figures import charts
from generator.figures.charts import Series
from generator.records.figure import Figure, Table
from generator.records.network import Network
from generator.records.training import Run
from generator.report.plates.frames import charted
from generator.report.plates.wording import cell, counted, duration, listed, percent, percent_cell, setting
from generator.report.training.growth import growth

ACCURACY = "train_accuracy", "validation_accuracy"  # fields of an epoch
LOSS = "train_loss", "validation_loss"
TALL = 290  # units of the charts that may be a page's own figure, a third of a window


def training_figures(network: Network) -> tuple[Figure, ...]:
    """Three charts a run, all runs in one, the first layer over the epochs; what was not recorded is left out."""
    runs = [run for run in network.runs if run.epochs]
    figures: list[Figure] = []
    for run, address in zip(runs, slugs([run.name for run in runs]), strict=True):
        if _has(run, *ACCURACY):
            figures.append(_accuracy(network, run, address))
        if _has(run, *LOSS):
            figures.append(_loss(network, run, address))
        if _has(run, "learning_rate"):
            figures.append(_rate(network, run, address))
    measured = [run for run in runs if _has(run, *ACCURACY)]
    if len(measured) > 1:
        figures.append(_together(network, measured))
    if len(network.snapshots) > 1:
        figures.append(growth(network))
    return tuple(figures)


def _accuracy(network: Network, run: Run, address: str) -> Figure:
    figure_id = f"{network.anchor}-curves-{address}"
    finding = _accuracy_finding(run)
    kept = run.kept_epoch
    marked = f"kept: epoch {kept.epoch}" if kept else ""
    if kept and kept.validation_accuracy is not None:
        marked += f", {percent(kept.validation_accuracy)}"
    alt = f"Line chart of {network.title}’s accuracy over the epochs of the run {run.name}: {finding}."
    chart = charts.lines(
        figure_id,
        alt,
        _both(run, *ACCURACY),
        x_label="epoch",
        y_label="accuracy, %",
        percent=True,
        kept=(kept.epoch, marked) if kept else None,
        height=TALL,
    )
    told = (_which(run, ACCURACY), _kept_words(run), _ahead(run))
    caption = (
        f"{network.title}, {run.name}: share of images named correctly, over the epochs{told[0]}."
        f"{''.join(f' {each}' for each in told[1:] if each)}"
    )
    table = _table(run, {"training accuracy, %": ACCURACY[0], "validation accuracy, %": ACCURACY[1]}, percent_cell)
    return charted(figure_id, chart, alt=alt, caption=caption, table=table)


def _accuracy_finding(run: Run) -> str:
    """How far the run came, in one clause; of the validation images where they were looked at."""
    train, validation = (_known(run, name) for name in ACCURACY)
    kept, last = run.kept_epoch, run.epochs[-1]
    if not validation:
        return f"training accuracy goes from {percent(train[0][1])} to {percent(train[-1][1])}"
    (start, first), (end, final) = validation[0], validation[-1]
    begun = f"validation accuracy goes from {percent(first)} in epoch {start}"
    if kept is None or kept.validation_accuracy is None:
        best = run.best_epoch
        assert best is not None
        highest = f"; its highest is {percent(best.validation_accuracy or 0)} in epoch {best.epoch}"
        return f"{begun} to {percent(final)} in epoch {end} of {last.epoch}{highest if best.epoch != end else ''}"
    beside = "" if kept.train_accuracy is None else f", where training accuracy is {percent(kept.train_accuracy)}"
    return f"{begun} to {percent(kept.validation_accuracy)} in the kept epoch {kept.epoch} of {last.epoch}{beside}"


def _ahead(run: Run) -> str:
    """How far training and validation lie apart, in one sentence; "" where that is not known."""
    if not _has(run, "validation_accuracy"):
        return "No validation images were looked at in this run." if run.log is None else ""
    epoch = run.told_epoch
    if epoch.train_accuracy is None or epoch.validation_accuracy is None:
        return ""
    ahead = epoch.train_accuracy - epoch.validation_accuracy
    where = "ahead of" if ahead >= 0 else "behind"
    which = "kept" if run.kept_epoch else "last"
    return f"In the {which} epoch training is {abs(ahead) * 100:.1f} points {where} validation."


def _loss(network: Network, run: Run, address: str) -> Figure:
    figure_id = f"{network.anchor}-loss-{address}"
    kept = run.kept_epoch
    alt = f"Line chart of {network.title}’s loss over the epochs of the run {run.name}: {_loss_finding(run)}."
    chart = charts.lines(
        figure_id,
        alt,
        _both(run, *LOSS),
        x_label="epoch",
        y_label="loss, nats" if run.log is None else "loss",
        kept=(kept.epoch, f"kept: epoch {kept.epoch}") if kept else None,
        height=TALL,
    )
    caption = f"{network.title}, {run.name}: {_loss_words(network, run)}"
    table = _table(run, {"training loss": LOSS[0], "validation loss": LOSS[1]}, lambda value: cell(value, 4))
    return charted(figure_id, chart, alt=alt, caption=caption, table=table)


def _loss_finding(run: Run) -> str:
    train, validation = (_known(run, name) for name in LOSS)
    kept, last = run.kept_epoch, run.epochs[-1]
    if not validation:
        return f"training loss goes from {train[0][1]:.2f} to {train[-1][1]:.2f}"
    begun = f"validation loss goes from {validation[0][1]:.2f}"
    if kept is None or kept.validation_loss is None:
        end, final = validation[-1]
        least, at = min((value, epoch) for epoch, value in validation)
        lowest = f"; its lowest is {least:.2f} in epoch {at}" if at != end else ""
        return f"{begun} to {final:.2f} in epoch {end} of {last.epoch}{lowest}"
    beside = "" if kept.train_loss is None else f", where training loss is {kept.train_loss:.2f}"
    return f"{begun} to {kept.validation_loss:.2f} in the kept epoch {kept.epoch} of {last.epoch}{beside}"


def _loss_words(network: Network, run: Run) -> str:
    """What the loss is; of a log only what its trainer called it is known, not how it was computed."""
    guess = (
        f"Guessing among {counted(len(network.class_names), 'class', 'classes')} costs "
        f"{math.log(len(network.class_names)):.2f}"
    )
    lines = _which(run, LOSS)
    if run.log is not None:
        return f"loss over the epochs{lines}, as the log has it. {guess} nats of cross entropy."
    after = run.settings.get("started_after", 0)
    taught = f" (from epoch {after + 1} on mixed with the distance to the teachers’ answers)"
    measure = "cross entropy in nats" + taught * bool(run.settings.get("teachers"))
    return (
        f"{measure}, over the epochs{lines}, measured during the epoch on the images as the run presents them. {guess}."
    )


def _rate(network: Network, run: Run, address: str) -> Figure:
    figure_id = f"{network.anchor}-rate-{address}"
    rates = _known(run, "learning_rate")
    peak, highest = max(rates, key=lambda point: point[1])
    end, final = rates[-1]
    sizes = _sizes(run)
    alt = (
        f"Line chart of {network.title}’s learning rate over the epochs of the run {run.name}: at most "
        f"{setting(highest)} in epoch {peak}, {setting(final)} in the last, {end}."
    )
    series = [Series("", [e.epoch for e in run.epochs], [_or_nan(e.learning_rate) for e in run.epochs])]
    marks = [(start, f"{size} px") for start, size in sizes] if len(sizes) > 1 else []
    chart = charts.lines(figure_id, alt, series, x_label="epoch", y_label="learning rate", sections=marks, height=150)
    told = [f"{network.title}, {run.name}: learning rate of each epoch."]
    if len(sizes) > 1:
        grown = listed([f"{size} pixels from epoch {start}" for start, size in sizes])
        grow = all(one < after for (_, one), (_, after) in pairwise(sizes))
        told.append(f"The images {'grow' if grow else 'change their size'} on the way: {grown}.")
    elif sizes:
        told.append(f"The images are {sizes[0][1]} pixels wide throughout.")
    if run.seconds is not None:
        told.append(f"The {counted(len(run.epochs), 'epoch')} took {duration(run.seconds)}.")
    columns = {"learning rate": "learning_rate", "image size, px": "image_size", "seconds": "seconds"}
    known = {head: name for head, name in columns.items() if _has(run, name)}
    rows = tuple((e.epoch, *(_rate_cell(getattr(e, name), name) for name in known.values())) for e in run.epochs)
    return charted(figure_id, chart, alt=alt, caption=" ".join(told), table=Table(("epoch", *known), rows))


def _rate_cell(value: float | None, name: str) -> float | str:
    if name == "seconds" or value is None:
        return cell(value, 1)
    # As many digits as a page has room for: the zeros that even a column out are true then.
    return value if isinstance(value, int) else float(f"{value:.9g}")


def _together(network: Network, runs: list[Run]) -> Figure:
    figure_id = f"{network.anchor}-runs"
    series: list[Series] = []
    for style, run in enumerate(runs):
        epochs = [epoch.epoch for epoch in run.epochs]
        trained, validated = ([_or_nan(getattr(epoch, name)) for epoch in run.epochs] for name in ACCURACY)
        alone = not _has(run, "validation_accuracy")
        series.append(Series(run.name, epochs, trained if alone else validated, style, full=True))
        if not alone:
            series.append(Series("", epochs, trained, style, faint=True))
    ends = [f"{run.name} {_end(run)}" for run in runs]
    alt = f"Line chart of the accuracy of {network.title}’s {len(runs)} runs over their epochs: {listed(ends)}."
    chart = charts.lines(figure_id, alt, series, x_label="epoch", y_label="accuracy, %", percent=True)
    unseen = [run.name for run in runs if not _has(run, "validation_accuracy")]
    caption = (
        f"{network.title}: the runs side by side. Thick lines: accuracy on the validation images"
        f"{f' (for {listed(unseen)}: on the images it was trained with)' if unseen else ''}; fine dotted lines in the "
        "same colour: on the training images, as the run presents them. A run’s name stands where its lines end."
    )
    return charted(figure_id, chart, alt=alt, caption=caption, table=_epochs(runs))


def _epochs(runs: list[Run]) -> Table:
    """A row an epoch, two columns a run; a run that was shorter leaves its cells empty."""
    recorded = [{epoch.epoch: epoch for epoch in run.epochs} for run in runs]
    rows = []
    for place in sorted({place for run in recorded for place in run}):
        row: list[int | float | str] = [place]
        for run in recorded:
            epoch = run.get(place)
            shares = (epoch.train_accuracy, epoch.validation_accuracy) if epoch else (None, None)
            row += map(percent_cell, shares)
        rows.append(tuple(row))
    measured = [f"{run.name}: {what}, %" for run in runs for what in ("training", "validation")]
    return Table(("epoch", *measured), tuple(rows))


def _table(run: Run, columns: Mapping[str, str], shown: Callable[[float | None], float | str]) -> Table:
    """A row an epoch, a column for each measure that was recorded."""
    known = {head: name for head, name in columns.items() if _has(run, name)}
    rows = tuple((e.epoch, *(shown(getattr(e, name)) for name in known.values())) for e in run.epochs)
    return Table(("epoch", *known), rows)


def _both(run: Run, train: str, validation: str) -> list[Series]:
    """The lines of a measure on both kinds of images, as far as it was recorded."""
    epochs = [epoch.epoch for epoch in run.epochs]
    named = (("validation", validation, 0), ("training", train, 1))
    return [
        Series(label, epochs, [_or_nan(getattr(epoch, name)) for epoch in run.epochs], style)
        for label, name, style in named
        if _has(run, name)
    ]


def _which(run: Run, names: tuple[str, str]) -> str:
    """Which line is which, as the end of a sentence."""
    train, validation = (_has(run, name) for name in names)
    if train and validation:
        return "; solid: validation, dashed: training"
    return ", of the training images" if train else ", of the validation images"


def _kept_words(run: Run) -> str:
    """What marks the epoch whose weights were kept; the page says where none is marked."""
    return "The dotted line marks the epoch whose weights were kept." if run.kept_epoch else ""


def _end(run: Run) -> str:
    epoch = run.kept_epoch or run.best_epoch or run.epochs[-1]
    if epoch.validation_accuracy is not None:
        return f"{percent(epoch.validation_accuracy)} on validation images"
    return f"{percent(_or_nan(epoch.train_accuracy))} on its own training images"


def _sizes(run: Run) -> list[tuple[int, int]]:
    """(first epoch, image size) of each part of the run with one size, as far as sizes were recorded."""
    found: list[tuple[int, int]] = []
    for epoch in run.epochs:
        if epoch.image_size is not None and (not found or found[-1][1] != epoch.image_size):
            found.append((epoch.epoch, epoch.image_size))
    return found


def _known(run: Run, name: str) -> list[tuple[int, float]]:
    """(epoch, value) of each epoch in which a measure was recorded."""
    return [(epoch.epoch, value) for epoch in run.epochs if (value := getattr(epoch, name)) is not None]


def _has(run: Run, *names: str) -> bool:
    """Whether one of the measures was recorded in some epoch."""
    return any(_known(run, name) for name in names)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
