"""The test images that a network got wrong, by what was taken for what: behind each cell of the confusion matrix."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from generator.base.names import addresses, slugs
from generator.records.figure import Figure
from generator.records.network import Network
from generator.records.scores import JUDGING, Mistake
from generator.report.evaluation.facts import SPLITS
from generator.report.plates.painting import boxed
from generator.report.plates.sheets import place, sheet_id, sheets
from generator.report.plates.wording import sentence

SHARP = 64  # pixels of a side up to which an image is shown enlarged, its pixels sharp
QUALITY = 46
SHOWN = 4  # images of a confusion beside the pointer
LISTED = 30  # classes of which the page counts the mistakes
# Bytes of a page, of which it may have 300 KiB, and what the head of a confusion and an image take of them, about.
ROOM, GROUP, IMAGE = 230_000, 330, 270


@dataclass(frozen=True)
class Taken:
    """One image that was taken for something else; where its picture is, `sheet` "" where there is none."""

    image: str
    confidence: float
    sheet: str
    cell: int
    name: str = ""  # what is shown of the file's name: without its folders, which mostly tell its class


@dataclass(frozen=True)
class Mixed:
    """All images of one class that were taken for one other; `id` is the group's address."""

    id: str
    true: str
    predicted: str
    images: tuple[Taken, ...]


@dataclass(frozen=True)
class Missed:
    """How many of a class's `total` images were taken for something else; `id`: its first confusion's, "" if unseen."""

    true: str
    count: int
    total: int
    id: str


def mistake_figures(network: Network) -> tuple[Figure, ...]:
    """The wrong test images on sheets, in the order of `confusions`; none without the data set."""
    pictures = [network.mistaken[one.image] for one in _ordered(network) if one.image in network.mistaken]
    if not pictures:
        return ()
    side = max(max(each.shape[:2]) for each in pictures)
    cells = [boxed(each, (side, side)) for each in pictures]
    alt = f"{sentence(SPLITS[_judged(network)])} that {network.title} got wrong, numbers"
    return sheets(f"{network.anchor}-mistakes", cells, alt, quality=QUALITY, pixelated=side <= SHARP)


def confusions(network: Network) -> tuple[Mixed, ...]:
    """Which images were taken for what, the most frequent confusion first."""
    evaluation = network.evaluation
    if evaluation is None:
        return ()
    names, parts = evaluation.class_names, addresses(evaluation.class_names, network.own)
    groups: dict[tuple[int, int], list[Taken]] = defaultdict(list)
    shown = 0
    for one in _ordered(network):
        pictured = one.image in network.mistaken
        sheet, cell = (sheet_id(f"{network.anchor}-mistakes", shown), place(shown)[1]) if pictured else ("", 0)
        groups[one.true, one.predicted].append(Taken(one.image, one.confidence, sheet, cell))
        shown += pictured
    # "sea", "lion-fish" and "sea-lion", "fish" are joined to the same words.
    joined = dict(zip(sorted(groups), slugs([f"{parts[a]}-{parts[b]}" for a, b in sorted(groups)]), strict=True))
    return tuple(
        Mixed(joined[true, predicted], names[true], names[predicted], _named(found))
        for (true, predicted), found in groups.items()
    )


def _named(images: Sequence[Taken]) -> tuple[Taken, ...]:
    """The images with what is shown of their names, which is more where less would be the same for two of them."""
    whole = [one.image.rpartition(".")[0] or one.image for one in images]
    short = [name.rpartition("/")[2] for name in whole]
    shown = short if len(set(short)) == len(short) else whole
    return tuple(replace(one, name=name) for one, name in zip(images, shown, strict=True))


def missed(network: Network) -> tuple[Missed, ...]:
    """The classes with mistakes, the most first; of more than `LISTED` classes those."""
    if network.evaluation is None or not (part := _judged(network)):
        return ()
    names, split = network.evaluation.class_names, network.evaluation.splits[part]
    counts: Counter[int] = Counter()
    for true, answer, count in split.cells.tolist():
        counts[true] += count * (true != answer)
    counts = +counts
    ids: dict[str, str] = {}
    for group in confusions(network):
        ids.setdefault(group.true, group.id)
    ordered = sorted(counts, key=lambda true: (-counts[true], true))[:LISTED]
    return tuple(
        Missed(names[true], counts[true], int(split.totals[true]), ids.get(names[true], "")) for true in ordered
    )


def pictures(groups: Sequence[Mixed]) -> tuple[tuple[str, ...], dict[tuple[str, str], str]]:
    """Where the pictures of confusions are: their sheets, and by (true class, answer) the first `SHOWN` as "0.3 1.12".

    That is, the fourth cell of the first sheet and the thirteenth of the second.
    """
    sheets = tuple(dict.fromkeys(one.sheet for group in groups for one in group.images if one.sheet))
    numbers = {sheet: number for number, sheet in enumerate(sheets)}
    cells = {
        (group.true, group.predicted): " ".join(
            f"{numbers[one.sheet]}.{one.cell}" for one in [one for one in group.images if one.sheet][:SHOWN]
        )
        for group in groups
    }
    return sheets, cells


def _judged(network: Network) -> str:
    """The part whose mistakes are shown; "" where none judged."""
    judged = network.evaluation.judged if network.evaluation else ""
    return judged if judged in JUDGING else ""


def _ordered(network: Network) -> list[Mistake]:
    """Those that the page has room for, the most frequent confusion first; within it the surest first."""
    if network.evaluation is None or not (part := _judged(network)):
        return []
    found = network.evaluation.splits[part].mistakes
    counts = Counter((one.true, one.predicted) for one in found)
    ordered = sorted(
        found, key=lambda one: (-counts[one.true, one.predicted], one.true, one.predicted, -one.confidence)
    )
    groups, kept = set[tuple[int, int]](), list[Mistake]()
    for one in ordered:
        groups.add((one.true, one.predicted))
        kept.append(one)
        if len(groups) * GROUP + len(kept) * IMAGE > ROOM:
            return kept[:-1]
    return kept
