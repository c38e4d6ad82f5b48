"""What the data page finds in the summary of the data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from generator.records.report import DataSummary

THUMBNAIL = 96  # pixels of a side up to which an image is about as large as a thumbnail
MOST_CLASSES = 120  # whose images the page has room for


@dataclass(frozen=True)
class Material:
    """How large the images are, and how many there are of each class."""

    each: Mapping[str, int]  # images a class, of the parts in which all classes have as many
    about: Mapping[str, int]  # images a class on average, rounded down, of the others
    alike: bool  # whether all images are of one size
    squares: bool  # whether the least and the largest are
    thumbnails: bool  # whether none is larger than a thumbnail
    shown: int  # classes whose images are shown


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
    )
