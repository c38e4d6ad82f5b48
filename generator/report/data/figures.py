"""The data page's figures: examples of each class, the steps of augmentation; and the report's photos themselves."""

from __future__ import annotations

from collections.abc import Sequence

from generator.base.names import addresses, within
from generator.figures import raster
from generator.records.figure import Figure, Table
from generator.records.images import Photo, Pixels
from generator.records.report import DataSummary, Report
from generator.report.data.facts import material
from generator.report.plates.frames import FOLDER, PHOTO, SMALL, framed
from generator.report.plates.wording import counted, sentence

WIDTHS = (400, 800)  # at which a large photo is stored
GAP = 2


def data_figures(report: Report) -> tuple[Figure, ...]:
    """A row of photos a class and the augmentation's steps; without the data set only what there is."""
    data = report.data
    figures: list[Figure] = []
    if data.present:
        for index, address in enumerate(addresses(data.class_names, data.own)[: material(data).shown]):
            if data.examples.get(index):
                figures.append(_examples(data, index, address))
    if data.augmented:
        figures += _augmentation(data.augmented)
    return tuple(figures)


def photo_figures(shown: Sequence[Photo]) -> tuple[Figure, ...]:
    """Each photo as it came, at most 800 pixels wide; a large one also 400 wide."""
    return tuple(_photo(photo) for photo in shown)


def _examples(data: DataSummary, index: int, address: str) -> Figure:
    name, images, each = data.class_names[index], data.examples[index], material(data).each
    image = "training image" if "train" in data.counts else "image"
    widths = {one.shape[1] for one in images}
    wide = f"{max(widths)} pixels wide {'each' if len(widths) == 1 else 'at most'}"
    return framed(
        f"data-examples-{address}",
        _row(data, images),
        alt=f"Row of {counted(len(images), 'photo')} of the class {name}, {wide}.",
        caption=f"{sentence(name)}: {counted(len(images), image)} of {within(data.name)}.",
        quality=PHOTO,
        pixelated=material(data).thumbnails,
        data=Table(
            ("class", *(["WordNet number"] if data.wnids else []), *(f"{part} images" for part in each)),
            ((name, *data.wnids[index : index + 1], *each.values()),),
        ),
    )


def _row(data: DataSummary, images: Sequence[Pixels]) -> Pixels:
    """Images side by side, each in the middle of a cell; cells are as many and as large for every class."""
    every = [each.shape[:2] for shown in data.examples.values() for each in shown]
    high, wide = (max(sides) for sides in zip(*every, strict=True))
    count = max(map(len, data.examples.values()))
    panels = [
        (each, (high - each.shape[0]) // 2, place * (wide + GAP) + (wide - each.shape[1]) // 2)
        for place, each in enumerate(images)
    ]
    return raster.compose(high, count * (wide + GAP) - GAP, panels)


def _augmentation(steps: Sequence[tuple[str, Pixels]]) -> list[Figure]:
    """The image after each step, in the order in which they are applied."""
    figures = []
    for index, (name, pixels) in enumerate(steps, start=1):
        alt = f"Step {index} of {len(steps)} of augmentation, {name}: the same image, {pixels.shape[1]} pixels wide."
        figures.append(
            framed(f"data-augmentation-{index}", pixels, alt=alt, caption=sentence(name), quality=SMALL, pixelated=True)
        )
    return figures


def _photo(photo: Photo) -> Figure:
    largest = raster.shrink(photo.pixels, WIDTHS[-1])
    small = largest.shape[1] < WIDTHS[0] // 2
    source = (
        f" {photo.credit.author}, {photo.credit.origin}, {photo.credit.licence}." if photo.credit is not None else ""
    )
    figure = framed(
        f"photo-{photo.id}",
        largest,
        alt=f"Photo of {photo.shows or photo.title}.",
        caption=f"{photo.title}.{source}",
        quality=SMALL if small else PHOTO,
        pixelated=small,
    )
    if largest.shape[1] <= WIDTHS[0]:
        return figure
    narrow = raster.shrink(photo.pixels, WIDTHS[0])
    path = f"{FOLDER}/photo-{photo.id}-{WIDTHS[0]}.webp"
    files = {**figure.files, path: raster.webp(narrow, PHOTO)}
    return Figure(
        figure.id,
        figure.alt,
        figure.caption,
        figure.width,
        figure.height,
        src=figure.src,
        srcset=((path, WIDTHS[0]), (figure.src, figure.width)),
        files=files,
    )
