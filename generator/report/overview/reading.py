"""What is said where a network answers better when it is read otherwise than its maker said."""

from __future__ import annotations

from generator.records.reading import Candidate, Reading
from generator.report.plates.wording import percent

MOST = 200  # letters of a key that are said


def doubts(title: str, reading: Reading | None) -> tuple[str, ...]:
    """A sentence for each kind of reading of which another one is better by more than chance explains."""
    return tuple(_doubt(title, reading, one) for one in reading.better) if reading else ()


def confirmed(title: str, reading: Reading | None) -> str:
    """What was tried where nothing is better; "" where nothing was tried."""
    if reading is None or reading.better or not reading.tried:
        return ""
    best = max(reading.tried, key=lambda one: one.ahead)
    part = f" of the {best.count} that it was tried on" if best.count < reading.count else ""
    return (
        f"{title} was read in {len(reading.tried)} other ways, too, on {reading.count} {_images(reading)}: as it is "
        f"read, it is right in {percent(reading.accuracy)} of them, in the best of the other ways "
        f"({best.what}) in {percent(best.accuracy)}{part}."
    )


def _doubt(title: str, reading: Reading, one: Candidate) -> str:
    begin = f"{title} seems to be read otherwise than its maker meant it: of {reading.count} {_images(reading)} it "
    found = (
        f"names {percent(reading.accuracy)} rightly as it is read, and {percent(one.accuracy)} with {one.what}"
        if one.kind != "classes"
        else f"names {percent(reading.accuracy)} rightly, and {percent(one.accuracy)} if its outputs stand for the "
        "classes in another order"
    )
    return f"{begin}{found}.{_mend(reading, one)}"


def _mend(reading: Reading, one: Candidate) -> str:
    if one.kind == "batch norms":
        return (
            " The statistics that its batch norms stored do not fit what they are given: its mean and std were others "
            "in training, or these statistics were not saved with its weights."
        )
    bare = one.kind == "classes" or reading.place != "report.toml"
    key = one.key if bare else f"input = {{{one.key}}}"
    return f" In {reading.place} that is: {key if len(key) <= MOST else key[:MOST] + '…'}"


def _images(reading: Reading) -> str:
    return "training images" if reading.part == "train" else f"{reading.part} images"
