"""How a layer's cells stand in what it gives: as maps, as maps with their channels last, or as tokens in one row."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch.nn.functional as F
from torch import Tensor

Form = Literal["maps", "maps, channels last", "tokens", ""]


class Layout(NamedTuple):
    """(N, C, h, w), (N, h, w, C), or (N, T, C) of which `around` tokens before and after the cells are none."""

    form: Form = "maps"
    grid: tuple[int, int] = (1, 1)  # cells along rows and columns; of maps, their shape tells
    around: tuple[int, int] = (0, 0)

    @property
    def units(self) -> int:
        """How many tokens there are."""
        return self.grid[0] * self.grid[1] + sum(self.around)

    def maps(self, values: Tensor) -> Tensor:
        """What the layer gave, as a view: (N, C, h, w)."""
        if self.form == "tokens":
            before, behind = self.around
            cells = values[:, before : values.shape[1] - behind]
            return cells.view(len(values), *self.grid, -1).movedim(-1, 1)
        return values.movedim(-1, 1) if self.form == "maps, channels last" else values

    def placed(self, maps: Tensor) -> Tensor:
        """What is to be added to what the layer gives, from (N, C, h, w), or (N, C, 1, 1) for all cells."""
        if self.form == "tokens":
            tokens = maps.expand(*maps.shape[:2], *self.grid).flatten(2).transpose(1, 2)
            return F.pad(tokens, (0, 0, *self.around))
        return maps.movedim(1, -1) if self.form == "maps, channels last" else maps
