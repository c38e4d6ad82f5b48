"""The tables of the pages, each cell against results.json or the numbers that its figure's link leads to."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.pages.truth.rules import answer, counts, ece, epoch, pairs_of, split, took
from tests.pages.truth.text import NUMBER, Grid, Piece, lasting, plain, same, share, value
from tests.pages.truth.trust_rules import rows as localised

Check = Callable[[Grid], None]
TABLES: list[tuple[str, Check]] = []
DASH = "–"
MOST_DECIMALS = 8  # of a cell
PARTS = {"train": "training", "validation": "validation", "test": "test"}


def table(*names: str) -> Callable[[Check], Check]:
    """The check of tables with a name like these (regular expressions of all of it)."""

    def noted(check: Check) -> Check:
        TABLES.extend((name, check) for name in names)
        return check

    return noted


def net(grid: Grid) -> Any:
    titles = grid.piece.site.titles
    named = next((title for title in sorted(titles, key=len, reverse=True) if title in grid.piece.text), "")
    return grid.piece.site.networks[titles[named]] if named else grid.piece.network


def cells(row: tuple[str, ...], truths: list[Any]) -> None:
    """Numbers as rounded, texts as they are, dashes where there is nothing."""
    assert len(row) == len(truths), (row, truths)
    for said, truth in zip(row, truths, strict=True):
        if truth is None:
            assert said == DASH, row
        elif isinstance(truth, str):
            assert said == truth.replace("’", "'").replace("\u00a0", " "), (said, truth)
        else:
            same(said, truth, str(row))


@table("Images in each part of the data set")
def _parts(grid: Grid) -> None:
    data = grid.piece.site.results["data"]
    assert [row[0] for row in grid.rows] == [*data["counts"]]
    for part, count, each in grid.rows:
        same(count, data["counts"][part])
        same(each.removeprefix("about "), data["per_class"][part])


@table("The classes.*")
def _classes(grid: Grid) -> None:
    data = grid.piece.site.results["data"]
    assert [row[0] for row in grid.rows] == data["class_names"]
    if data["wnids"]:
        assert [row[1] for row in grid.rows] == data["wnids"]


@table("The networks compared")
def _compared(grid: Grid) -> None:
    for row, network in zip(grid.rows, grid.piece.site.networks.values(), strict=True):
        scores = split(grid.piece, {"net": network["title"]})
        told = dict(zip(grid.head, row, strict=True))
        assert told["Network"] == network["title"]
        same(told["Weights"], network["parameters"])
        same(told["Multiplications a photo"], network["macs"])
        same(told["Classes"], len(network["class_names"]))
        share(told["Top-1"], scores["top1"], scores["count"])
        same(told["Photo's side"].removesuffix(" px"), network["input_size"])
        if "Top-5" in told:
            share(told["Top-5"], scores["top5"], scores["count"])


@table("Scores of .* on each part of the data set")
def _scores(grid: Grid) -> None:
    for row in grid.rows:
        scores = net(grid)["evaluation"]["splits"][row[0]]
        keys = {
            "Top-1": "top1",
            "Top-5": "top5",
            "Top-1 with mirror image": "top1_flipped",
            "Top-1 of all outputs": "top1_of_all",
        }
        intervals = iter(("top1_interval", "top5_interval"))
        for head, said in zip(grid.head[1:], row[1:], strict=True):
            if head == "Images":
                same(said, scores["count"])
            elif head == "95 % interval":
                low, high = scores[next(intervals)]
                found = re.fullmatch(rf"({NUMBER} %) to ({NUMBER} %)", said)
                assert found, said
                same(found[1], low * 100)
                same(found[2], high * 100)
            elif head == "Loss":
                same(said, scores["loss"])
            else:
                share(said, scores[keys[head]], scores["count"])
        assert abs(scores["top1"] - counts(scores).trace() / scores["count"]) < 1e-5


@table("Pairs of classes that .* confuses most", "The pairs that .* confuses most")
def _pairs(grid: Grid) -> None:
    scores, names = split(grid.piece, {"net": net(grid)["title"]}), net(grid)["evaluation"]["class_names"]
    found = {(names[one[3]], names[one[4]]): one for one in pairs_of(scores)}
    ranked = [one[0] for one in pairs_of(scores)]
    for place, (true, called, count, part) in enumerate(grid.rows):
        truth = found[true, called]
        assert abs(truth[0] - ranked[place]) < 1e-9, f"{true} called {called} is not the {place + 1}. most frequent"
        same(count, truth[1])
        share(part, truth[0], truth[2])


@table("The most confident mistakes of .*")
def _confident(grid: Grid) -> None:
    scores, names = split(grid.piece, {"net": net(grid)["title"]}), net(grid)["evaluation"]["class_names"]
    ranked = sorted(scores["mistakes"], key=lambda one: -one["confidence"])
    for row, truth in zip(grid.rows, ranked, strict=False):
        cells(row[-4:], [truth["image"], names[truth["true"]], names[truth["predicted"]], truth["confidence"] * 100])


@table("Training runs of .*")
def _runs(grid: Grid) -> None:
    keys = {
        "Training accuracy": ("train_accuracy", 100), "Validation accuracy": ("validation_accuracy", 100),
        "Training loss": ("train_loss", 1), "Validation loss": ("validation_loss", 1),
    }  # fmt: skip
    for row, run in zip(grid.rows, net(grid)["runs"], strict=True):
        told = dict(zip(grid.head, row, strict=True))
        one = epoch(run, run["kept"] or run["epochs"][-1]["epoch"])
        assert told["Run"] == run["name"]
        same(told["Epochs"], len(run["epochs"]))
        same(told["Kept"], run["kept"])
        for head, (key, unit) in keys.items():
            if head in told:
                cells((told[head],), [None if one[key] is None else one[key] * unit])
        if told.get("Time", DASH) != DASH:
            lasting(told["Time"], took(run))


@table("Layers of .*")
def _layers(grid: Grid) -> None:
    assert [list(row) for row in grid.rows] == [[plain(cell) for cell in layer] for layer in net(grid)["summary"]]


@table(".*'s answers")
def _answers(grid: Grid) -> None:
    for (name, _, part), truth in zip(grid.rows, grid.piece.look["top"], strict=True):
        assert name == truth["name"]
        same(part, truth["probability"] * 100)


@table(".*, every class: raw maximum, logit and probability")
def _every(grid: Grid) -> None:
    for name, *numbers in grid.rows:
        one = answer(grid.piece.look, name)
        for said, truth in zip(numbers, (one["maximum"], one["logit"], one["probability"] * 100), strict=True):
            assert abs(value(said) - truth) <= 0.0051 if abs(truth) < 100 else True, (name, said, truth)


@table("The pointing game of .* at several layers")
def _sweep(grid: Grid) -> None:
    for row, each in zip(grid.rows, net(grid)["evaluation"]["faithfulness"]["sweep"], strict=True):
        assert row[0] == each["layer"]
        assert row[1] == f"{each['side'][0]} × {each['side'][1]}"
        values = (each["pointing"], each["pointing_small"])
        for (said, span), truth in zip((row[2:4], row[4:6]), values, strict=True):
            if truth is None:
                assert (said, span) == (DASH, DASH)
                continue
            same(said, truth["mean"] * 100)
            within(span, truth)
        same(row[6], each["energy"]["mean"] * 100)


def within(said: str, truth: Any, unit: float = 100) -> None:
    found = re.fullmatch(rf"({NUMBER}) to ({NUMBER})", said)
    assert found, said
    same(found[1], truth["low"] * unit)
    same(found[2], truth["high"] * unit)


BASELINES = {
    "centre point": "centre",
    "uniform map": "uniform",
    "wrong class": "wrong class",
    "random order": "random",
    "centre out": "centre out",
}


@table("All measurements of .*'s heat maps")
def _trust(grid: Grid) -> None:
    found = net(grid)["evaluation"]["faithfulness"]
    beside = [BASELINES[head] for head in grid.head[5:]]
    for measure, method, count, said, span, *others in grid.rows:
        check = re.fullmatch(r"(Spearman|SSIM) after (the last layer|all layers) randomised, from −1 to 1", measure)
        if check:
            one = next(each for each in found["randomisation"] if each["method"] == method)
            truth = one[check[1].lower()][0 if check[2] == "the last layer" else -1]
            same(count, one["count"])
            same(said, truth["mean"])
            within(span, truth, 1)
            continue
        kind, _, boxes = measure.partition(", ")
        if boxes:
            row = next(one for one in localised(grid.piece, {}, boxes == "small boxes") if one["method"] == method)
            values = row["pointing" if kind == "pointing game" else "energy"]
        else:
            row = next(one for one in found["perturbation"] if one["method"] == method)
            values = row[kind.partition(" ")[0]]
        same(count, row["count"])
        same(said, values["value"]["mean"] * 100)
        within(span, values["value"])
        for name, other in zip(beside, others, strict=True):
            if name not in values["baselines"]:
                assert other == DASH
                continue
            told = re.fullmatch(rf"({NUMBER}) \(({NUMBER}), ({NUMBER}) to ({NUMBER})\)", other)
            assert told, other
            gap = values["ahead"][name]
            for number, truth in zip(
                told.groups(), (values["baselines"][name]["mean"], gap["mean"], gap["low"], gap["high"]), strict=True
            ):
                same(number, truth * 100)


@table("Numbers: .*", ".* convolutions of .*")
def _of_figure(grid: Grid) -> None:
    """What stands folded below a figure is what its link leads to, and for the main ones what the results say."""
    figure = grid.piece.figure
    told = grid.piece.site.figures[figure]
    if len(told["rows"]) == len(grid.rows) and len(told["columns"]) == len(grid.head):
        for row, truth in zip(grid.rows, told["rows"], strict=True):
            assert all(_shown(cell, _plain(one)) for cell, one in zip(row, truth, strict=True)), (figure, row)
    for ending, check in FIGURES.items():
        if ending in figure:
            check(grid, told)


def _is_number(cell: str) -> bool:
    return re.fullmatch(NUMBER, cell) is not None


def _shown(cell: str, truth: Any) -> bool:
    """Whether it is the text or the number; a number of more decimals than a cell has room for is rounded to those."""
    if not _is_number(cell) or isinstance(truth, str):
        return bool(cell == truth)
    rounded = len(cell.partition(".")[2]) == MOST_DECIMALS and "×" not in cell
    return value(cell) == (float(f"{truth:.{MOST_DECIMALS}f}") if rounded else truth)


def _plain(cell: Any) -> Any:
    if isinstance(cell, str):
        text = cell.replace("’", "'").replace("\u00a0", " ")
        return value(text) if _is_number(text) else text
    return cell


def room(said: float) -> float:
    """Half a unit of the last digit: whole numbers stand for shares of few."""
    return 0.501 if isinstance(said, int) else 0.051


def _per_class(grid: Grid, told: Any) -> None:
    scores, names = split(grid.piece, {}), grid.piece.network["evaluation"]["class_names"]
    confusion = counts(scores)
    f1 = []
    for name, recall, precision, both, images in told["rows"]:
        index = names.index(name)
        hits, asked, called = (
            int(n) for n in (confusion[index, index], confusion[index].sum(), confusion[:, index].sum())
        )
        assert images == asked
        for said, of in ((recall, asked), (precision, called)):
            assert said == DASH if not of else abs(said - 100 * hits / of) <= room(said), (name, said)
        f1.append(-1.0 if both == DASH else float(both))
    assert f1 == sorted(f1, reverse=True)


def _confusion(grid: Grid, told: Any) -> None:
    name = next(part for part in ("test", "validation", "train") if grid.piece.figure.endswith(part))
    scores, names = grid.piece.network["evaluation"]["splits"][name], grid.piece.network["evaluation"]["class_names"]
    confusion = counts(scores)
    for true, *row in told["rows"]:
        for called, said in zip(told["columns"][1:], row, strict=True):
            index = names.index(true)
            assert abs(said - 100 * confusion[index, names.index(called)] / confusion[index].sum()) <= room(said)


def _reliability(grid: Grid, told: Any) -> None:
    scores = split(grid.piece, {})
    both = {"as trained": scores["calibration"], "after temperature scaling": scores["calibration_scaled"]}
    for label, bins in both.items():
        shown = [row for row in told["rows"] if row[0] == label]
        assert [row[2] for row in shown] in ([], bins["counts"])
        assert abs(ece(bins) - bins["error"]) < 1e-4


def _curve(grid: Grid, told: Any) -> None:
    runs = {run["name"].replace(" ", "-"): run for run in grid.piece.network["runs"]}
    slug = max((name for name in runs if grid.piece.figure.endswith(name)), key=len)
    keys = {
        "training accuracy, %": ("train_accuracy", 100), "validation accuracy, %": ("validation_accuracy", 100),
        "training loss": ("train_loss", 1), "validation loss": ("validation_loss", 1), "learning rate": ("learning_rate", 1),
        "image size, px": ("image_size", 1), "seconds": ("seconds", 1),
    }  # fmt: skip
    for row in told["rows"]:
        one = epoch(runs[slug], row[0])
        for head, said in zip(told["columns"][1:], row[1:], strict=True):
            key, unit = keys[head]
            if said == DASH:
                assert one[key] is None
            else:
                room = 2e-6 * abs(one[key]) if key == "learning_rate" else 6e-5
                assert abs(said - one[key] * unit) <= (0.051 if unit == 100 or key == "seconds" else room)


FIGURES: Mapping[str, Callable[[Grid, Any], None]] = {
    "-per-class": _per_class, "-confusion-": _confusion, "-reliability": _reliability, "-curves-": _curve, "-loss-": _curve,
    "-rate-": _curve,
}  # fmt: skip


@table("Sources and licences of the photos")
def _licences(grid: Grid) -> None:
    for row, photo in zip(grid.rows, grid.piece.site.results["photos"], strict=True):
        assert row[0] == photo["title"].replace("’", "'")
        assert photo["digest"].startswith(row[-1])


@table("How .* was read")
def _read(grid: Grid) -> None:
    """What was taken for granted and from where: records of the reading, told by tests of their own."""


def texts(grid: Grid) -> list[Piece]:
    """The cells of a table that has no check, as pieces of text."""
    piece = grid.piece
    return [
        Piece(piece.site, piece.page, "cell", text, piece.ids, piece.names)
        for row in (grid.head, *grid.rows)
        for cell in row
        for text in cell.split(" · ")
        if text
    ]
