"""The evaluation page's figures: confusion matrices, reliability diagram, precision and recall of each class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from generator.figures import charts, grids, raster
from generator.figures.charts import Bins
from generator.records.figure import Figure, Table
from generator.records.images import Counts, Floats
from generator.records.network import Network
from generator.records.scores import Confusion, Evaluation, SplitScores
from generator.report.evaluation.facts import images_of, seriation
from generator.report.plates.frames import charted, framed
from generator.report.plates.wording import (
    MANY,
    counted,
    digits_of,
    listed,
    number,
    percent,
    percent_cell,
    rate,
    sentence,
)

MOST_CELLS = 60  # classes up to which a page has room for the whole matrix as a chart and in numbers
MOST_ROWS = 100  # classes that a chart or a table of them has room for
MATRIX = 600  # stored pixels of a larger matrix, at least
MOST_IN_ROWS = 300  # classes up to which a table of the matrix has all its cells
TIED = 2  # classes with the same share that are named
NAMED_PAIRS = 3  # confusions that text alternative and caption name, and a row of a class


def evaluation_figures(network: Network) -> tuple[Figure, ...]:
    """A confusion matrix a split, then calibration and classes on the split that training did not see."""
    found = network.evaluation
    if found is None or not found.splits:
        return ()
    scores = found.splits[found.judged]
    matrices: list[Figure] = []
    if scores.matrix is not None:
        order = seriation(scores.matrix)
        matrices = [
            _confusion(network, found, split, matrix, order, split == scores.split)
            for split, one in found.splits.items()
            if (matrix := one.matrix) is not None
        ]
    return (*matrices, _reliability(network, scores, found), _per_class(network, found, scores))


def _confusion(
    network: Network, found: Evaluation, split: str, matrix: Counts, order: NDArray[np.int64], cells: bool
) -> Figure:
    """One split's matrix; its table has all `cells`, or a row a class with its most frequent mistakes."""
    figure_id = f"{network.anchor}-confusion-{split}"
    scores = found.splits[split]
    images = _images(scores)
    totals = np.maximum(scores.totals[:, None], 1)
    counts = matrix[np.ix_(order, order)]
    shares = counts / totals[order]
    names = [found.class_names[index] for index in order]
    strongest = [
        f"{found.class_names[pair.true]} taken for {found.class_names[pair.predicted]} ({_counted(scores, pair)})"
        for pair in scores.pairs[:NAMED_PAIRS]
    ]
    finding = f"most often {listed(strongest)}" if strongest else "nothing is confused"
    alt = (
        f"Confusion matrix of {network.title} on {images}, in percent of the true class: "
        f"{rate(scores.top1, scores.count)} right; {finding}."
    )
    caption = (
        f"{network.title} on {images}: rows are the true classes, columns the answers, in percent of "
        f"the true class. Blue: right, vermilion: wrong, shaded by the square root of the share so that rare mistakes "
        f"are seen; empty: never. Classes that are confused stand together. {sentence(finding)}."
    )
    digits = digits_of(int(totals.max()))
    whole = _cells(names, shares, digits)
    if len(names) > MOST_CELLS:
        pixels = grids.matrix_pixels(shares)
        pixels = raster.enlarge(pixels, -(-MATRIX // len(names)))
        table = _mistaken(names, shares, digits)
        return framed(figure_id, pixels, alt=alt, caption=caption, pixelated=True, table=table, data=whole)
    chart = grids.matrix(figure_id, alt, names, shares, counts)
    table = whole if cells else _mistaken(names, shares, digits)
    return charted(figure_id, chart, alt=alt, caption=caption, table=table, data=whole)


def _cells(names: Sequence[str], shares: NDArray[np.float64], digits: int) -> Table:
    """All cells of a matrix, a row a true class; of very many classes a row for each cell that is not empty."""
    if len(names) > MOST_IN_ROWS:
        places = np.argwhere(shares > 0).tolist()
        cells = tuple(
            (names[true], names[predicted], percent_cell(shares[true, predicted], digits)) for true, predicted in places
        )
        return Table(("true", "predicted", "%"), cells)
    rows: tuple[tuple[str | float, ...], ...] = tuple(
        (name, *(percent_cell(share, digits) for share in row)) for name, row in zip(names, shares, strict=True)
    )
    return Table(("true \\ predicted, %", *names), rows)


def _mistaken(names: Sequence[str], shares: NDArray[np.float64], digits: int) -> Table:
    """Of each class, or those least often right, what is right and what else it is most often taken for."""
    least = sorted(np.argsort(np.diag(shares), kind="stable")[:MOST_ROWS].tolist())
    rows = []
    for index in least:
        name, row = names[index], shares[index]
        others = [other for other in np.argsort(-row, kind="stable") if row[other] > 0 and other != index]
        taken = ", ".join(f"{names[other]} {row[other] * 100:.{digits}f}" for other in others[:NAMED_PAIRS])
        rows.append((name, percent_cell(row[index], digits), taken or "–"))
    return Table(("true class", "right, %", "most often taken for, %"), tuple(rows))


def _reliability(network: Network, scores: SplitScores, found: Evaluation) -> Figure:
    figure_id = f"{network.anchor}-reliability"
    before, after = scores.calibration, scores.calibration_scaled
    bins = [Bins("as trained", before.confidence, before.accuracy, before.counts)]
    if found.fitted_temperature:
        bins.append(Bins("after temperature scaling", after.confidence, after.accuracy, after.counts))
    images = _images(scores)
    gap = float(np.nansum((before.confidence - before.accuracy) * before.counts) / max(1, before.counts.sum()))
    scaled = f", {percent(after.error)} after temperature scaling" if found.fitted_temperature else ""
    diamonds = f"; diamonds: logits divided by {number(found.temperature)}, {percent(after.error)}" if scaled else ""
    tendency = "more sure than right" if gap > 0 else "less sure than right"
    alt = (
        f"Reliability diagram of {network.title} on {images}: expected calibration error "
        f"{percent(before.error)} as trained{scaled}; on average the network is {abs(gap) * 100:.1f} points {tendency}."
    )
    caption = (
        f"{network.title} on {images}: how often answers of a given confidence are right. On the dotted "
        f"diagonal confidence keeps its promise; below it the network is too sure. Circles: as trained, expected "
        f"calibration error {percent(before.error)}{diamonds}. Bars: images in each bin, as trained."
    )
    rows: list[tuple[str | int | float, ...]] = []
    for group in bins:
        for index in range(len(group.counts)):
            span = f"{before.edges[index] * 100:.0f}–{before.edges[index + 1] * 100:.0f}"
            count, right = int(group.counts[index]), group.accuracy[index]
            sure = percent_cell(group.confidence[index])
            rows.append((group.label, span, count, sure, percent_cell(right, digits_of(count))))
    table = Table(("logits", "confidence, %", "images", "mean confidence, %", "accuracy, %"), tuple(rows))
    return charted(figure_id, charts.reliability(figure_id, alt, bins), alt=alt, caption=caption, table=table)


def _per_class(network: Network, found: Evaluation, scores: SplitScores) -> Figure:
    figure_id = f"{network.anchor}-per-class"
    order = np.argsort(-np.nan_to_num(scores.f1, nan=-1.0), kind="stable")
    some = ""
    if len(order) > MOST_ROWS:
        half = MOST_ROWS // 2
        some = f", the best {half} and the last {half} of {len(order)}"
        order = np.concatenate([order[:half], order[-half:]])
    names = [found.class_names[index] for index in order]
    images = _images(scores)
    never = [found.class_names[index] for index in np.flatnonzero(np.isnan(scores.precision))]
    alt = (
        f"Dot plot of {network.title}’s recall and precision for {counted(len(names), 'class', 'classes')}"
        f"{some and f' of {len(found.class_names)}'} on "
        f"{images}: {_extremes(found.class_names, scores.recall, 'recall')}; "
        f"{_extremes(found.class_names, scores.precision, 'precision')}."
    )
    caption = (
        f"{network.title} on {images}, classes by F1, best first{some}. Filled circle: recall, the share of a "
        "class’s images that are found; diamond: precision, the share of answers with that name that are right. A "
        "circle left of its diamond: missed more often than named by mistake."
        + (f" Never answered, so without a precision: {listed(never[:MOST_ROWS])}." if never else "")
    )
    totals = scores.totals
    digits = digits_of(int(totals.max()))
    rows = tuple(
        (
            found.class_names[index],
            percent_cell(scores.recall[index], digits),
            percent_cell(scores.precision[index], digits),
            percent_cell(scores.f1[index], digits),
            int(totals[index]),
        )
        for index in order
    )
    table = Table(("class", "recall, %", "precision, %", "F1, %", "images"), rows)
    values = [("recall", scores.recall[order]), ("precision", scores.precision[order])]
    chart = charts.dot_plot(figure_id, alt, names, values)
    return charted(figure_id, chart, alt=alt, caption=caption, table=table)


def _counted(scores: SplitScores, pair: Confusion) -> str:
    """How many of the true class's images a confusion took: of few how many, of many their share."""
    of = int(scores.totals[pair.true])
    return percent(pair.share, 0) if of >= MANY else f"{pair.count:,} of {of:,}"


def _images(scores: SplitScores) -> str:
    return f"{scores.count:,} {images_of(scores)}"


def _extremes(names: Sequence[str], values: Floats, what: str) -> str:
    if np.isnan(values).all():
        return f"{what} is known of no class"
    ends = [float(end(values)) for end in (np.nanmin, np.nanmax)]
    told = [[name for name, value in zip(names, values, strict=True) if value == end] for end in ends]
    low, high = (
        f"{percent(end, 0)} ({listed(some) if len(some) <= TIED else f'{len(some):,} classes'})"
        for end, some in zip(ends, told, strict=True)
    )
    return f"{what} from {low} to {high}"
