"""Receptive fields: which pixels of the input a unit of a layer sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from generator.base.errors import InputError
from generator.explain.calls import told
from generator.explain.cells import Axis
from generator.explain.checks import check_unscripted, idle, shape_text
from generator.explain.fields import Following
from generator.explain.passes import blank, evaluating, runnable


@dataclass(frozen=True)
class ReceptiveField:
    """What the units of one layer see of the input, in pixels, along both axes.

    `size`, `jump` and `offset` are those of the axis with the longer field; both are alike where kernels are square.
    """

    rows: Axis
    columns: Axis

    @property
    def size(self) -> int:
        """Side of the square of input pixels that one unit sees."""
        return max(self.rows, self.columns).size

    @property
    def jump(self) -> int:
        """Distance on the input between neighbouring units."""
        return max(self.rows, self.columns).jump

    @property
    def offset(self) -> int:
        """Left edge of the first unit's field; negative in the padding."""
        return max(self.rows, self.columns).offset

    def box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """(x0, y0, x1, y1) of one unit's field, inclusive as Photo.box is; it may reach into the padding."""
        left = self.columns.offset + column * self.columns.jump
        top = self.rows.offset + row * self.rows.jump
        return left, top, left + self.columns.size - 1, top + self.rows.size - 1


def receptive_field(
    model: nn.Module, layer: str, input_size: int | tuple[int, int] | tuple[int, int, int]
) -> ReceptiveField:
    """What a unit of `layer` sees of the input, from the kernels, strides, paddings and dilations on the way.

    Araujo, Norris, Sim 2019, Computing receptive fields of convolutional neural networks, distill.pub. Every operation
    of a forward pass is followed, functional ones too; where branches meet, the field is their union. What is
    normalised by statistics over all cells sees all that any of them sees.

    Args:
        input_size: side of the input in pixels, (H, W), or (C, H, W); adaptive and global pooling depend on it. Without
            C, the first number of channels that the model runs with among those of its convolutions, 3 and 1.
    Raises:
        InputError: if there is no such layer, the model does not run with such an image, or a step on the way has no
            such regular field (unequal adaptive windows, shifted cells, attention): the message names it.
    """
    check_unscripted(model)
    outputs: list[Any] = []
    with evaluating(model):
        size = (input_size, input_size) if isinstance(input_size, int) else input_size
        following = _followed(model, size, layer, outputs)
    if not outputs:
        raise idle(layer)
    seen = following.seen(outputs[-1])
    if seen is None or seen.cause:
        cause = seen.cause if seen else f"its output, {shape_text(outputs[-1])}, which is no tensor made from the image"
        raise InputError(
            f"layer {layer!r}: its receptive field has no regular size, because of {cause} on the way to it"
        )
    return ReceptiveField(seen.rows, seen.columns)


def _followed(model: nn.Module, size: Sequence[int], layer: str, outputs: list[Any]) -> Following:
    """A forward pass of one image of that size, (H, W) or (C, H, W).

    Args:
        outputs: of the layer, to which only those of the pass that succeeds are added.
    """
    *channels, height, width = size
    found = [module.in_channels for module in model.modules() if isinstance(module, nn.Conv2d)]
    tried: list[str] = []
    for count in dict.fromkeys(channels or [*found, 3, 1]):
        images = blank(model, (count, height, width))
        following = Following(images)
        outputs.clear()
        try:
            tap = told(model, images, runnable(model), {layer: lambda _name, _module, output: outputs.append(output)})
            with following, tap:
                model(images)
        except RuntimeError as error:  # torch has no other class for channels that do not fit
            tried.append(f"{count} channels: {str(error).strip().splitlines()[0]}")
        else:
            return following
    raise InputError(
        f"model: it does not run with an image of {height} x {width} pixels ({'; '.join(tried):.300}); "
        "give the input's size as (C, H, W)"
    )
