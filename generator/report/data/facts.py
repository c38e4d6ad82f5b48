"""What the data page finds in the summary of the data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from generator.records.images import Photo
from generator.records.input import Input
from generator.records.report import MOST_CLASSES, DataSummary

THUMBNAIL = 96  # pixels of a side up to which an image is about as large as a thumbnail
SLIGHT = 0.01  # of a side that is cut off, which is not marked
MOST_NAMES = 1000  # classes that the page has room to name


@dataclass(frozen=True)
class Material:
    """How large the images are, and how many there are of each class."""

    each: Mapping[str, int]  # images a class, of the parts in which all classes have as many
    about: Mapping[str, int]  # images a class on average, rounded down, of the others
    alike: bool  # whether all images are of one size
    squares: bool  # whether the least and the largest are
    thumbnails: bool  # whether none is larger than a thumbnail
    shown: int  # classes whose images are shown
    listed: int  # classes that the page names


@dataclass(frozen=True)
class Cut:
    """What a network is given of a photo, where that is not all of it, on a drawing as large as the photo.

    `edge` goes around the part; `around` goes around the photo and the part, so that an even-odd filling is the rest.
    """

    width: int
    height: int
    around: str
    edge: str


def cuts(photos: Sequence[Photo], inputs: Sequence[Input]) -> Mapping[str, tuple[Cut, ...]]:
    """By photo; of several networks those that are given different parts."""
    return {photo.id: tuple(dict.fromkeys(filter(None, (_cut(photo, way) for way in inputs)))) for photo in photos}


def _cut(photo: Photo, way: Input) -> Cut | None:
    height, width = photo.pixels.shape[:2]
    high, wide = way.resized(height, width)
    top, left = way.cut(high, wide)
    ends = []
    for start, size, side, before in ((top, way.size[0], high, height), (left, way.size[1], wide, width)):
        ends.append((round(max(0, start) * before / side), round(min(side, start + size) * before / side)))
    (above, below), (first, last) = ends
    if below - above >= (1 - SLIGHT) * height and last - first >= (1 - SLIGHT) * width:
        return None
    edge = f"M{first} {above}H{last}V{below}H{first}z"
    return Cut(width, height, f"M0 0H{width}V{height}H0z{edge}", edge)


def material(data: DataSummary) -> Material:
    """The facts of the data page."""
    classes = len(data.class_names)
    each = {part: count for part, count in data.per_class.items() if count * classes == data.counts.get(part)}
    sizes = data.words.sizes
    return Material(
        each=each,
        about={part: count for part, count in data.per_class.items() if part not in each},
        alike=sizes is not None and sizes[0] == sizes[1],
        squares=sizes is None or all(high == wide for high, wide in sizes),
        thumbnails=sizes is not None and max(sizes[1]) <= THUMBNAIL,
        shown=min(classes, MOST_CLASSES),
        listed=min(classes, MOST_NAMES),
    )
