"""The training page's figures: each run's accuracy, loss and learning rate, the runs together, the filters' growth."""

from __future__ import annotations

import math
from collections.abc import Callable

from generator.base.names import slugs
from generator.figures import charts
from generator.figures.charts import Series
from generator.records.figure import Figure, Table
from generator.records.network import Network
from generator.records.training import Epoch, Run
from generator.report.plates.frames import charted
from generator.report.plates.wording import cell, counted, duration, listed, number, percent, percent_cell
from generator.report.training.growth import growth


def training_figures(network: Network) -> tuple[Figure, ...]:
    """Three charts a run, all runs in one, the first layer over the epochs; what was not recorded is left out."""
    runs = [run for run in network.runs if run.epochs]
    figures: list[Figure] = []
    for run, address in zip(runs, slugs([run.name for run in runs]), strict=True):
        figures += [_accuracy(network, run, address), _loss(network, run, address), _rate(network, run, address)]
    if len(runs) > 1:
        figures.append(_together(network, runs))
    if len(network.snapshots) > 1:
        figures.append(growth(network))
    return tuple(figures)


def _accuracy(network: Network, run: Run, address: str) -> Figure:
    figure_id = f"{network.anchor}-curves-{address}"
    first, kept, last = run.epochs[0], run.kept_epoch, run.epochs[-1]
    if kept.validation_accuracy is None:
        finding = f"training accuracy goes from {percent(first.train_accuracy)} to {percent(last.train_accuracy)}"
        marked = f"kept: epoch {kept.epoch}"
        notice = "No validation images were looked at in this run."
    else:
        finding = (
            f"validation accuracy goes from {percent(_or_nan(first.validation_accuracy))} in epoch {first.epoch} to "
            f"{percent(kept.validation_accuracy)} in the kept epoch {kept.epoch} of {last.epoch}, "
            f"where training accuracy is {percent(kept.train_accuracy)}"
        )
        marked = f"kept: epoch {kept.epoch}, {percent(kept.validation_accuracy)}"
        ahead = kept.train_accuracy - kept.validation_accuracy
        notice = (
            f"In the kept epoch training is {abs(ahead) * 100:.1f} points {'ahead of' if ahead >= 0 else 'behind'} "
            "validation."
        )
    alt = f"Line chart of {network.title}'s accuracy over the epochs of the run {run.name}: {finding}."
    chart = charts.lines(
        figure_id,
        alt,
        _both(run, lambda epoch: epoch.validation_accuracy, lambda epoch: epoch.train_accuracy),
        x_label="epoch",
        y_label="accuracy, %",
        percent=True,
        kept=(kept.epoch, marked),
    )
    caption = (
        f"{network.title}, {run.name}: share of images called by their own name, over the epochs; solid: validation, "
        f"dashed: training. The dotted line marks the epoch whose weights were kept. {notice}"
    )
    rows = tuple((e.epoch, percent_cell(e.train_accuracy), percent_cell(e.validation_accuracy)) for e in run.epochs)
    table = Table(("epoch", "training accuracy, %", "validation accuracy, %"), rows)
    return charted(figure_id, chart, alt=alt, caption=caption, table=table)


def _loss(network: Network, run: Run, address: str) -> Figure:
    figure_id = f"{network.anchor}-loss-{address}"
    first, kept, last = run.epochs[0], run.kept_epoch, run.epochs[-1]
    if kept.validation_loss is None:
        finding = f"training loss goes from {first.train_loss:.2f} to {last.train_loss:.2f}"
    else:
        finding = (
            f"validation loss goes from {_or_nan(first.validation_loss):.2f} to {kept.validation_loss:.2f} in the kept "
            f"epoch {kept.epoch} of {last.epoch}, where training loss is {kept.train_loss:.2f}"
        )
    alt = f"Line chart of {network.title}'s loss over the epochs of the run {run.name}: {finding}."
    chart = charts.lines(
        figure_id,
        alt,
        _both(run, lambda epoch: epoch.validation_loss, lambda epoch: epoch.train_loss),
        x_label="epoch",
        y_label="loss, nats",
        kept=(kept.epoch, f"kept: epoch {kept.epoch}"),
    )
    guess = math.log(len(network.class_names))
    after = run.settings.get("started_after", 0)
    taught = f" (from epoch {after + 1} on mixed with the distance from the teachers' answers)"
    measure = "cross entropy in nats" + taught * bool(run.settings.get("teachers"))
    caption = (
        f"{network.title}, {run.name}: {measure}, over the epochs; solid: validation, dashed: training, "
        "measured during the epoch on the images as the run presents them. Guessing among "
        f"{counted(len(network.class_names), 'class', 'classes')} costs {guess:.2f}."
    )
    rows = tuple((e.epoch, cell(e.train_loss, 4), cell(e.validation_loss, 4)) for e in run.epochs)
    table = Table(("epoch", "training loss", "validation loss"), rows)
    return charted(figure_id, chart, alt=alt, caption=caption, table=table)


def _rate(network: Network, run: Run, address: str) -> Figure:
    figure_id = f"{network.anchor}-rate-{address}"
    peak = max(run.epochs, key=lambda epoch: epoch.learning_rate)
    sizes = _sizes(run)
    last = run.epochs[-1]
    alt = (
        f"Line chart of {network.title}'s learning rate over the epochs of the run {run.name}: at most "
        f"{number(peak.learning_rate)} in epoch {peak.epoch}, {number(last.learning_rate)} in the last, {last.epoch}."
    )
    series = [Series("", [e.epoch for e in run.epochs], [e.learning_rate for e in run.epochs])]
    marks = [(start, f"{size} px") for start, size in sizes] if len(sizes) > 1 else []
    chart = charts.lines(figure_id, alt, series, x_label="epoch", y_label="learning rate", sections=marks, height=150)
    grown = (
        f"The images grow on the way: {listed([f'{size} pixels from epoch {start}' for start, size in sizes])}."
        if len(sizes) > 1
        else f"The images are {sizes[0][1]} pixels wide throughout."
    )
    seconds = sum(epoch.seconds for epoch in run.epochs)
    caption = (
        f"{network.title}, {run.name}: learning rate of each epoch. {grown} The "
        f"{counted(len(run.epochs), 'epoch')} took {duration(seconds)}."
    )
    rows = tuple((e.epoch, e.learning_rate, e.image_size, cell(e.seconds, 1)) for e in run.epochs)
    table = Table(("epoch", "learning rate", "image size, px", "seconds"), rows)
    return charted(figure_id, chart, alt=alt, caption=caption, table=table)


def _together(network: Network, runs: list[Run]) -> Figure:
    figure_id = f"{network.anchor}-runs"
    series: list[Series] = []
    for style, run in enumerate(runs):
        epochs = [epoch.epoch for epoch in run.epochs]
        trained = [epoch.train_accuracy for epoch in run.epochs]
        validated = [_or_nan(epoch.validation_accuracy) for epoch in run.epochs]
        alone = all(math.isnan(value) for value in validated)
        series.append(Series(run.name, epochs, trained if alone else validated, style))
        if not alone:
            series.append(Series("", epochs, trained, style, faint=True))
    ends = [f"{run.name} {_end(run)}" for run in runs]
    alt = f"Line chart of the accuracy of {network.title}'s {len(runs)} runs over their epochs: {listed(ends)}."
    chart = charts.lines(figure_id, alt, series, x_label="epoch", y_label="accuracy, %", percent=True)
    unseen = [run.name for run in runs if run.kept_epoch.validation_accuracy is None]
    caption = (
        f"{network.title}: the runs side by side. Thick lines: accuracy on the validation images"
        f"{f' (for {listed(unseen)}: on the images it was trained with)' if unseen else ''}; fine dotted lines in the "
        "same colour: on the training images. The space between the two is what was learnt by heart."
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


def _both(run: Run, validation: Callable[[Epoch], float | None], train: Callable[[Epoch], float]) -> list[Series]:
    epochs = [epoch.epoch for epoch in run.epochs]
    validated = [_or_nan(validation(epoch)) for epoch in run.epochs]
    return [
        Series("validation", epochs, validated, 0),
        Series("training", epochs, [train(epoch) for epoch in run.epochs], 1),
    ]


def _end(run: Run) -> str:
    kept = run.kept_epoch
    if kept.validation_accuracy is None:
        return f"{percent(kept.train_accuracy)} on its own training images"
    return f"{percent(kept.validation_accuracy)} on validation images"


def _sizes(run: Run) -> list[tuple[int, int]]:
    """(first epoch, image size) of each part of the run with one size."""
    found: list[tuple[int, int]] = []
    for epoch in run.epochs:
        if not found or found[-1][1] != epoch.image_size:
            found.append((epoch.epoch, epoch.image_size))
    return found


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
