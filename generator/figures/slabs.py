"""A network drawn as slabs from left to right: as high and deep as its maps, as thick as they are many."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass

from generator.figures import svg
from generator.figures.svg import Chart

WIDTH = 1240  # of the drawing where it fits; a longer one is wider
SIDE = 150.0  # of the photo's longer side
LEAN, RISE = 0.42, 0.26  # of a map's plane to the right and up, for each unit of its width
THICK = 1.7  # for the square root of the channels
FLAT = 6.0  # height of what has no cells
GAP = 9.0  # between slabs
LINE = 16.0  # of words
LETTER, BOLD = 7.5, 8.2  # width of one, generously, and of a name's
LONG = 13  # letters of a name from which on it is two lines
LEAST = 60.0  # room for a slab's words
ANSWER = 96.0  # length of a bar of probability 1
GLYPH = 100  # width of a block's drawing of its own


@dataclass(frozen=True)
class Slab:
    """What one block gives: (height, width) cells of so many channels; without cells a rod."""

    cells: tuple[int, int] | None
    channels: int
    picture: str = ""  # a map of it, as an address


@dataclass(frozen=True)
class Stack:
    """Blocks with words below them: the first line is their name, `told` all that is known of them."""

    slabs: tuple[Slab, ...]
    lines: tuple[str, ...] = ()
    told: str = ""
    href: str = ""
    paths: tuple[int, ...] = ()  # steps of each path; 0: what came in is passed on
    blocks: int = 1  # that they are


@dataclass(frozen=True)
class Ends:
    """What goes in and what comes out."""

    size: tuple[int, int]  # of the input, in pixels
    photo: str  # its address; "": none
    lines: tuple[str, ...]
    answers: tuple[tuple[str, float], ...]  # the most probable classes
    classes: str  # in words
    href: str  # of the answers


def draw(label: str, stacks: Sequence[Stack], ends: Ends) -> Chart:
    """The network as a list of links for a page, which gives it its colours: of class "anatomy"."""
    scale = SIDE / math.sqrt(max(ends.size))
    tallest = max([ends.size[0], *(slab.cells[0] for stack in stacks for slab in stack.slabs if slab.cells)])
    deepest = max([ends.size[1], *(slab.cells[1] for stack in stacks for slab in stack.slabs if slab.cells)])
    above = scale * (math.sqrt(tallest) + RISE * math.sqrt(deepest)) / 2 + 2
    middle, below = above + 14, above + 14
    words = middle + below + LINE + 6
    height = round(words + (max((len(stack.lines) for stack in stacks), default=1) - 1) * LINE + 8)
    root = ET.Element("svg", {"class": "anatomy", "role": "group"})
    root.set("aria-label", label)
    strands = svg.add(root, "g", **{"class": "strands"})
    pen = _Pen(scale, middle, words, root, strands)
    pen.photo(ends)
    for stack in stacks:
        pen.stack(stack)
    width = max(WIDTH, round(pen.answers(ends)))
    root.set("viewBox", f"0 0 {width} {height}")
    return Chart(svg.text(root), width, height)


def glyph(stack: Stack, size: tuple[int, int]) -> str:
    """The last block of a stack lying down, as decoration beside its words: as wide and deep as its maps.

    Args:
        size: of the input, to whose scale it is drawn.
    """
    slab = stack.slabs[-1]
    rows, columns = slab.cells or (1, 1)
    scale = (GLYPH - 4) / (math.sqrt(max(size)) * (1 + LEAN / 2))
    wide, deep = scale * math.sqrt(columns), scale * math.sqrt(rows)
    thick = THICK / 2 * math.sqrt(slab.channels)
    lean, rise = LEAN / 2 * deep, RISE * deep
    x = (GLYPH - wide - lean) / 2
    if max(rows, columns) == 1:  # a rod
        x, wide, thick, lean, rise = (GLYPH - min(thick * 2, GLYPH)) / 2, min(thick * 2, GLYPH), FLAT, 0.0, 0.0
    high = math.ceil(thick + rise + 2)
    root = ET.Element("svg", {"class": "slab", "aria-hidden": "true"})
    root.attrib |= {"viewBox": f"0 0 {GLYPH} {high}", "width": str(GLYPH), "height": str(high)}
    if rise:
        roof = f"M{_pair(x, rise + 1)}l{_pair(lean, -rise)}h{svg.short(wide)}l{_pair(-lean, rise)}z"
        end = f"M{_pair(x + wide, rise + 1)}l{_pair(lean, -rise)}v{svg.short(thick)}l{_pair(-lean, rise)}z"
        svg.add(root, "path", d=roof, **{"class": "face"})
        svg.add(root, "path", d=end, **{"class": "roof"})
    svg.add(root, "path", d=_box(x, rise + 1, wide, thick), **{"class": "side"})
    return svg.text(root)


@dataclass
class _Pen:
    """Draws one part after another, each to the right of the last."""

    scale: float
    middle: float
    words: float
    root: ET.Element
    strands: ET.Element
    at: float = 0.0  # where the next part begins
    last: float = 0.0  # where the one before ends in the picture

    def photo(self, ends: Ends) -> None:
        part = self._part("", "", "")
        room = max(len(line) for line in ends.lines) * LETTER
        right = self._plane(part, 0.0, ends.size, ends.photo)
        self._lines(part, ends.lines)
        self.at, self.last = max(right, room) + GAP, right

    def stack(self, stack: Stack) -> None:
        part = self._part(stack.href, stack.told, "few" if len(stack.slabs) > 1 else "")
        begin, x = self.at, self.at
        tall = 0.0
        for place, slab in enumerate(stack.slabs):
            end = self._slab(part, x, slab)
            tall = max(tall, self.scale * math.sqrt(slab.cells[0]) if slab.cells else FLAT)
            # Those that stand for several alike lie one before another.
            x = end if place == len(stack.slabs) - 1 else x + THICK * math.sqrt(slab.channels) + GAP
        self._strands(begin, x, tall, stack.paths)
        self._lines(part, stack.lines)
        room = max([len(line) * LETTER for line in stack.lines[1:]], default=0.0)
        room = max([room, *(len(line) * BOLD for name in stack.lines[:1] for line in _broken(name))])
        self.last = x
        self.at = max(x, begin + max(room, LEAST if stack.lines else 0)) + GAP

    def answers(self, ends: Ends) -> float:
        """The right end of the drawing."""
        part = self._part(ends.href, "", "")
        self._strands(self.at, self.at, 0, ())
        top = self.middle - len(ends.answers) * LINE * 1.25 / 2
        for place, (name, share) in enumerate(ends.answers):
            y = top + place * LINE * 1.25
            svg.add(part, "text", x=self.at, y=y + 8).text = svg.shorten(name)
            bar = f"M{svg.short(self.at)} {svg.short(y + 13)}h{svg.short(max(1.0, ANSWER * share))}"
            svg.add(part, "path", d=bar, **{"class": "answer"})
        self._lines(part, (ends.classes,))
        widest = max([len(svg.shorten(name)) for name, _ in ends.answers] + [len(ends.classes)])
        return self.at + max(ANSWER, widest * LETTER)

    def _part(self, href: str, told: str, kind: str) -> ET.Element:
        """A group, or a link, whose words are told when it is pointed at."""
        group = svg.add(self.root, "g", role="group")
        if kind:
            group.set("class", kind)
        part = svg.add(group, "a", href=href) if href else group
        if told:
            svg.add(part, "title").text = told
        return part

    def _lines(self, part: ET.Element, lines: Sequence[str]) -> None:
        for place, line in enumerate(lines):
            if not line:
                continue
            broken = _broken(line) if place == 0 else (line,)
            kind = {"class": "name"} if place == 0 else {}
            for above, words in enumerate(reversed(broken)):
                svg.add(part, "text", x=self.at, y=self.words + (place - above) * LINE, **kind).text = words

    def _slab(self, part: ET.Element, x: float, slab: Slab) -> float:
        """Its right end."""
        thick = THICK * math.sqrt(slab.channels)
        if slab.cells is None or max(slab.cells) == 1:
            svg.add(part, "path", d=_box(x, self.middle - FLAT / 2, thick, FLAT), **{"class": "side"})
            return x + thick
        high, lean, rise = self._sides(slab.cells)
        top = self.middle - high / 2 + rise / 2
        svg.add(part, "path", d=_box(x, top, thick, high), **{"class": "side"})
        roof = f"M{_pair(x, top)}l{_pair(lean, -rise)}h{svg.short(thick)}l{_pair(-lean, rise)}z"
        svg.add(part, "path", d=roof, **{"class": "roof"})
        return self._plane(part, x + thick, slab.cells, slab.picture)

    def _plane(self, part: ET.Element, x: float, cells: tuple[int, int], picture: str) -> float:
        """A map seen from the side; its right end."""
        high, lean, rise = self._sides(cells)
        top = self.middle - high / 2 + rise / 2
        if picture:
            # A unit square, laid on the plane.
            numbers = (lean, -rise, 0, high, x, top)
            matrix = f"matrix({' '.join(map(svg.short, numbers))})"
            square = {"href": picture, "transform": matrix, "preserveAspectRatio": "none", "aria-hidden": "true"}
            ET.SubElement(part, "image", {"width": "1", "height": "1", **square})
        outline = f"M{_pair(x, top)}l{_pair(lean, -rise)}v{svg.short(high)}l{_pair(-lean, rise)}z"
        svg.add(part, "path", d=outline, **{"class": "frame" if picture else "face"})
        return x + lean

    def _sides(self, cells: tuple[int, int]) -> tuple[float, float, float]:
        """Height, lean and rise of a plane of so many cells."""
        wide = self.scale * math.sqrt(cells[1])
        return self.scale * math.sqrt(cells[0]), LEAN * wide, RISE * wide

    def _strands(self, begin: float, end: float, tall: float, paths: Sequence[int]) -> None:
        """What leads from the part before to this one, and what runs around it; behind everything."""
        svg.add(self.strands, "path", d=f"M{_pair(self.last, self.middle)}H{svg.short(begin)}")
        others = [steps for place, steps in enumerate(paths) if place != _main(paths)]
        start, stop = self.last, end + GAP
        for place, steps in enumerate(others):
            away = (tall / 2 + 26) * (-1 if place % 2 == 0 else 1) * (1 + place // 2 * 0.5)
            bow = f"M{_pair(start, self.middle)}C{_pair(start, self.middle + away)} "
            bow += f"{_pair(stop, self.middle + away)} {_pair(stop, self.middle)}"
            kind = {"class": "around"} if steps == 0 else {}
            svg.add(self.strands, "path", d=bow, **kind)


def _broken(name: str) -> tuple[str, ...]:
    """A name in two lines where it is long and has a space: "12 transformer", "blocks"."""
    if len(name) <= LONG or " " not in name:
        return (name,)
    first, _, last = name.rpartition(" ")
    return first, last


def _main(paths: Sequence[int]) -> int:
    """The path with the most steps, through which the slab itself stands."""
    return max(range(len(paths)), key=lambda place: paths[place], default=0)


def _box(x: float, y: float, wide: float, high: float) -> str:
    return f"M{_pair(x, y)}h{svg.short(wide)}v{svg.short(high)}h{svg.short(-wide)}z"


def _pair(x: float, y: float) -> str:
    return f"{svg.short(x)} {svg.short(y)}"
