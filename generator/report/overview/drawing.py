"""The picture of a network: its parts in their order, so few that each can be told of, with their pages."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from generator.base.names import slug
from generator.figures import slabs
from generator.figures.slabs import Ends, Slab, Stack
from generator.records.network import Block, Explanation, Network
from generator.report.plates.patches import unit_prefix
from generator.report.plates.wording import counted, listed, sentence

MOST = 12  # parts with words of their own; of more, those that are alike are one
COPIES = 4  # slabs at most that stand for several alike
ANSWERS = 3
Alike = Callable[[Sequence[Block], Sequence[Block]], bool]


@dataclass(frozen=True)
class Part:
    """One or several blocks in a row, in words."""

    title: str
    gives: str  # "48 maps of 64 × 64"
    weights: str  # "" where it has none
    sees: str  # how much of the input a unit sees; "" where that is no size
    paths: str  # what runs beside each other; "" where nothing does
    href: str  # of the page or the row that tells more; ""
    glyph: str  # a block of it, for where there is no room for the whole drawing

    @property
    def told(self) -> str:
        """All that is known of it beside its name."""
        return "; ".join(filter(None, (self.gives, self.weights, self.sees, self.paths)))


@dataclass(frozen=True)
class Drawing:
    """The picture, and the same as a list."""

    svg: str
    parts: tuple[Part, ...]
    caption: str

    def marked(self, href: str) -> str:
        """The picture for the page at an address, as which the parts that lead there are marked."""
        return self.svg.replace(f'href="{href}"', f'href="{href}" aria-current="location"') if href else self.svg


def drawing(network: Network, seen: Explanation | None, photo: str, pages: Collection[str]) -> Drawing | None:
    """The picture of a network, None where nothing is known of its parts.

    Args:
        seen: a photo that it was shown, whose answers stand at the end.
        photo: the address of what it was given of that; "" without one.
        pages: names of the pages to which links may lead.
    """
    if not network.blocks:
        return None
    found = list(_parts(network, pages, seen))
    high, wide = network.input.size
    ranked = () if seen is None else seen.ranking[:ANSWERS]
    ends = Ends(
        size=(high, wide),
        photo=photo,
        lines=("Photo", f"{network.input.channels} × {high} × {wide}", "weights", "a unit sees"),
        answers=tuple((network.class_names[index], float(seen.probabilities[index])) for index in ranked if seen),
        classes=counted(len(network.class_names), "class", "classes"),
        href="evaluation.html" if "evaluation" in pages else "",
    )
    label = f"The parts of {network.title}, from the photo to its answers"
    drawn = slabs.draw(label, [stack for _, stack in found], ends)
    return Drawing(drawn.svg, tuple(part for part, _ in found), _caption(network, [stack for _, stack in found]))


def _caption(network: Network, stacks: Sequence[Stack]) -> str:
    inside = sum(block.weights for block in network.blocks)
    told = (
        f"{network.title}, traced while it looked at an image. A block is what a part of it gives: its height and "
        "depth are the square roots of the height and width of its maps, its thickness that of their number."
    )
    if any(len(stack.slabs) < stack.blocks for stack in stacks):
        told += f" Of several blocks alike at most {COPIES} are drawn."
    if any(stack.paths for stack in stacks):
        told += " Lines around a block are paths beside it; a dashed one passes on what came in."
    if network.parameters and inside < network.parameters:
        told += f" {network.parameters - inside:,} weights belong to no part alone."
    return told


# Which blocks are one part


def stacks(blocks: Sequence[Block]) -> list[list[Block]]:
    """The blocks, as far as there are few of them; else the ones that are alike, or of one module, together."""
    found = [[block] for block in blocks]
    deepest = max((block.inside[0].count(".") + 1 for block in blocks if block.inside), default=0)
    for alike in (_same_shape, _same_grid):
        for depth in range(deepest + 1, 0, -1):
            grouped = [[block] for block in blocks] if depth > deepest else _of_one_module(blocks, depth)
            for tried in (grouped, _joined(grouped, alike)):
                found = min(found, tried, key=_named)
                if _named(found) <= MOST:
                    return found
    return found


def _named(stacks: Sequence[Sequence[Block]]) -> int:
    """How many of them have words."""
    return sum(any(block.steps for block in stack) for stack in stacks)


def _of_one_module(blocks: Sequence[Block], depth: int) -> list[list[Block]]:
    def module(block: Block) -> str:
        return ".".join(block.inside[0].split("+")[0].split(".")[:depth]) if block.inside else block.name

    return [list(group) for _, group in groupby(blocks, module)]


def _joined(stacks: Sequence[Sequence[Block]], alike: Alike) -> list[list[Block]]:
    found: list[list[Block]] = []
    for stack in stacks:
        if found and alike(found[-1], stack):
            found[-1] += stack
        else:
            found.append([*stack])
    return found


def _same_shape(one: Sequence[Block], other: Sequence[Block]) -> bool:
    return one[-1].shape == other[-1].shape and _sort(one) == _sort(other) != "pooling"


def _same_grid(one: Sequence[Block], other: Sequence[Block]) -> bool:
    return one[-1].grid is not None and one[-1].grid == other[-1].grid and "pooling" not in (_sort(one), _sort(other))


def _sort(stack: Sequence[Block]) -> str:
    """What all of them are, where they are alike; else a block, as one with paths of its own is."""
    sorts = {"block" if block.paths else _kind(block) for block in stack}
    shapes = {block.shape for block in stack}
    return sorts.pop() if len(sorts) == len(shapes) == 1 else "block"


# Their words


def _kind(block: Block) -> str:
    """What a block is, in words."""
    if not block.steps:
        return "pooling"
    if block.attends:
        return "attention block"
    if block.joined == "addition":
        return "residual block"
    if block.joined == "concatenation":
        return "dense block" if block.paths[1:] == (0,) else "Inception block"
    if block.joined == "multiplication":
        return "gated block"
    if block.steps == 1:
        if block.convolutions and len(block.shape) == 2:
            return "patch embedding"
        return "convolution" if block.convolutions else "linear layer"
    return "block"


def _parts(network: Network, pages: Collection[str], seen: Explanation | None) -> Iterator[tuple[Part, Stack]]:
    numbers = {layer.name: layer.number for layer in network.convolutions}
    links = _links(network, pages, seen)
    said = {name: what for name, what, _ in network.summary}
    for blocks in stacks(network.blocks):
        last = blocks[-1]
        weights = sum(block.weights for block in blocks)
        weighs = any(block.steps for block in blocks)
        title = sentence(_title(blocks, numbers, said))
        inside = [name for block in blocks for name in block.inside]
        href = next((links[name] for name in reversed(inside) if name in links), "")
        field = _field(last, network)
        alike = all((block.grid, block.channels) == (last.grid, last.channels) for block in blocks)
        stack = Stack(
            slabs=(Slab(last.grid, last.channels),) * (min(len(blocks), COPIES) if alike else 1),
            lines=(title, _shape(last), _short(weights), field) if weighs else (),
            href=href,
            paths=last.paths,
            blocks=len(blocks),
        )
        part = Part(
            title=title,
            gives=_gives(last),
            weights=_weights(blocks, said) if weights else "",
            sees=f"a unit sees {field}" if field and weighs else "",
            paths=_paths(last) if len({block.paths for block in blocks}) == 1 else "",
            href=href,
            glyph=slabs.glyph(stack, network.input.size),
        )
        yield part, replace(stack, told=f"{title}: {part.told}")


def _title(stack: Sequence[Block], numbers: Mapping[str, int], said: Mapping[str, str]) -> str:
    kinds = [_kind(block) for block in stack]
    if len(stack) == 1:
        number = next((numbers[name] for name in stack[0].inside if name in numbers), 0)
        if kinds == ["convolution"] and number:
            return f"convolution {number}"
        return said.get(stack[0].name, kinds[0]) if kinds == ["pooling"] else kinds[0]
    counts = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds) if kind != "pooling"}
    if "attention block" in counts:
        return counted(counts["attention block"], "transformer block")
    if len(counts) == 1:
        (kind,) = counts
        return counted(counts[kind], kind)
    steps = sum(block.convolutions for block in stack)
    return counted(steps, "convolution") if steps else counted(len(stack), "block")


def _weights(stack: Sequence[Block], said: Mapping[str, str]) -> str:
    """How many there are; pooling has none, so that there it is said whose they are."""
    told = counted(sum(block.weights for block in stack), "weight")
    if any(block.steps for block in stack):
        return told
    norms = [said[name] for block in stack for name in block.inside if "normalisation" in said.get(name, "")]
    return f"{told} of {listed(list(dict.fromkeys(norms))) if norms else 'what follows it'}"


def _paths(block: Block) -> str:
    """What runs beside each other in a block."""
    if not block.paths:
        return ""
    steps = [counted(count, "step") for count in block.paths if count]
    around = "a way around" if 0 in block.paths else ""
    if len(steps) == 1:
        return f"{steps[0]} and {around}"
    told = f"{len(steps)} paths of {listed([str(count) for count in block.paths if count])} steps"
    return f"{told} and {around}" if around else told


def _gives(block: Block) -> str:
    if block.grid is None or block.cells == 1:
        return counted(block.channels, "number")
    high, wide = block.grid
    if len(block.shape) == 2:
        tokens = f"{counted(block.shape[0], 'token')} of {counted(block.channels, 'number')}"
        return f"{tokens}, {high} × {wide} of them places of the photo"
    return f"{counted(block.channels, 'map')} of {high} × {wide}"


def _shape(block: Block) -> str:
    """The same as numbers, channels first."""
    if block.grid is None or block.cells == 1:
        return f"{block.channels:,}"
    return " × ".join(map(str, (block.channels, *block.grid)))


def _field(block: Block, network: Network) -> str:
    """How much of the input a unit sees; "" of one that is no unit of a map."""
    if block.sees is None:
        whole = "a part of it" if block.partly else "all of it"
        return whole if block.cells > 1 or len(block.shape) > 1 else ""
    high, wide = (min(side, most) for side, most in zip(block.sees, network.input.size, strict=True))
    return "all of it" if (high, wide) == network.input.size else f"{block.sees[0]} × {block.sees[1]} px"


def _short(weights: int) -> str:
    """A number in as few letters as a label has room for."""
    if weights < 10**6:
        return f"{weights:,}"
    return f"{weights / 10**6:.1f} M" if weights < 10**8 else f"{weights / 10**6:,.0f} M"


def _links(network: Network, pages: Collection[str], seen: Explanation | None) -> dict[str, str]:
    """Name of what runs -> the page or the row that tells of it: its filters, its feature maps, or its numbers."""
    found: dict[str, str] = {}
    if "filters" in pages and network.pageless:
        table = f"filters.html#{network.anchor}"  # which of many networks leads to the page of its own
        found |= {layer.name: table for layer in network.convolutions}
    if "feature-maps" in pages and seen is not None:
        prefix = f"feature-maps-{seen.photo}.html#{network.anchor}-maps-{seen.photo}"
        found |= {stage.layer: f"{prefix}-{slug(stage.layer)}" for stage in seen.stages}
    if "filters" in pages:
        found |= {layer.name: f"filters-{unit_prefix(network, layer)}.html" for layer in network.layers}
    return found
