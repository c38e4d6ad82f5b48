"""Which images, and where in them, each channel of a network answers most strongly.

Batches of images go through the network once; of every channel only the few strongest answers are kept, at most one an
image, so that the memory needed does not grow with the number of images. Where a network is evaluated, what is found in
a data set is put on record: it belongs to the very weights and images that it was found in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from generator.base import terminal
from generator.base.errors import InputError
from generator.explain.calls import told
from generator.explain.checks import check_maps, idle
from generator.explain.layouts import Layout
from generator.explain.passes import evaluating, runnable
from generator.explain.points import Point, Points, points, rectifier, source
from generator.explain.receptive_fields import ReceptiveField
from generator.networks.folder import PARTS, PatchSheet, load_patches, save_patches
from generator.networks.loaded import Loaded
from generator.records.images import Arrays, Counts, Pixels
from generator.records.network import Examined, LayerPatches

COUNT = 9  # of the strongest images that are kept for each channel

PATCH_BATCH = 50  # images at once while the strongest patches are sought
# Of what `strongest_patches` gives: to be raised with every change of it, for it may be on record.
DEFINITION = 1


@dataclass(frozen=True)
class Strongest:
    """One layer's strongest answers; C channels, P images each, strongest first.

    Of two equal answers the earlier image's is first, and within an image the one further up, then further left. A
    channel that answers all images alike has no strongest one: its images are -1 and its answers nan, as where there
    are fewer than P images.
    """

    answers: Tensor  # (C, P) float32
    images: Tensor  # (C, P) int64, in the order of the batches
    cells: Tensor  # (C, P, 2) int64, row and column in the layer's maps
    active: Tensor  # (C,) float32, share of the images in which the rectified channel is above zero; nan: no nn.ReLU


def strongest(
    model: nn.Module, batches: Iterable[Tensor], layers: Sequence[str], count: int = COUNT
) -> dict[str, Strongest]:
    """The strongest answers of each channel of the named layers; of one that runs more than once, in its last run.

    Args:
        batches: (B, C, H, W) float32 each, normalised.
        layers: names of convolutions, or of other points that give (N, C, h, w), (N, h, w, C) or tokens.
        count: P, how many are kept.
    Returns:
        by layer; hooks and modes of the model are as before afterwards.
    Raises:
        ValueError: if there is no batch.
        InputError: if a layer does not exist, does not run or gives no (N, C, h, w), or where an answer is not finite.
    """
    found = {layer: _Best(layer, count) for layer in layers}
    seen = 0
    with evaluating(model):
        modules = runnable(model)
        rectified: dict[tuple[str, int], list[_Best]] = {}
        for batch in batches:
            if not seen:
                traced = points(model, batch)
                rectified = _rectified(traced, found)
                for layer, best in found.items():
                    best.layout = point.layout if (point := traced.named(layer)) is not None else Layout()
            runs: Counter[str] = Counter()

            look = partial(_look, found, rectified, runs)
            with told(model, batch, modules, dict.fromkeys([*found, *(name for name, _ in rectified)], look)):
                model(batch)
            for best in found.values():
                best.take(seen, len(batch))
            seen += len(batch)
    if not seen:
        raise ValueError("batches: expected at least one batch of images, got none")
    return {layer: best.result(seen) for layer, best in found.items()}


def _look(
    found: Mapping[str, _Best],
    rectified: Mapping[tuple[str, int], Sequence[_Best]],
    runs: Counter[str],
    name: str,
    _module: nn.Module | None,
    output: Any,
) -> None:
    """What a point gave in a run, for the layers that it is or rectifies."""
    runs[name] += 1
    if name in found:
        found[name].look(output)
    for best in rectified.get((name, runs[name]), ()):
        best.fire(output)


def _rectified(traced: Points, found: Mapping[str, _Best]) -> dict[tuple[str, int], list[_Best]]:
    """By name and run of a rectifier, the layers whose channels it rectifies."""
    by_run: dict[tuple[str, int], list[_Best]] = {}
    for layer, best in found.items():
        own = traced.named(layer)
        # The end of a residual block is its ReLU already.
        if (point := own if own is not None and own.rectified else rectifier(traced, layer)) is not None:
            by_run.setdefault((point.name, point.run), []).append(best)
    return by_run


class _Best:
    """The running best of one layer."""

    def __init__(self, layer: str, count: int) -> None:
        self.layer, self.count = layer, count
        self.answers: Tensor | None = None  # (C, up to P)
        self.images = self.cells = torch.empty(0)
        self.least = self.fired = torch.empty(0)
        self.width = 1
        self.rectified = False
        self.layout = Layout()  # how its cells stand
        self.held: Any = None  # the layer's output in this pass, if it is no maps
        self.strongest: tuple[Tensor, Tensor] | None = None  # each image's, and its cell, both (B, C)
        self.firing: Tensor | None = None  # (C,) in how many of this pass's images

    def look(self, output: Any) -> None:
        """The layer's output in a pass: its maxima are taken before an in-place ReLU can change it."""
        self.held, self.strongest, self.firing = output, None, None
        if (maps := self._maps(output)) is not None:
            self.held, self.width = None, maps.shape[3]
            answers, cells = maps.flatten(2).float().max(dim=2)  # of equal ones the first
            self.strongest = answers.cpu(), cells.cpu()

    def fire(self, output: Any) -> None:
        """What the rectifier of its channels gave: those that fire are above zero."""
        if (maps := self._maps(output)) is not None:
            self.firing = (maps.flatten(2).amax(2) > 0).float().sum(0).cpu()

    def _maps(self, output: Any) -> Tensor | None:
        """(B, C, h, w), None where it is no such thing."""
        if not isinstance(output, Tensor) or output.dim() != (3 if self.layout.form == "tokens" else 4):
            return None
        return self.layout.maps(output.detach())

    def take(self, start: int, count: int) -> None:
        """What a pass of so many images, the first of which has the number `start`, showed."""
        if self.held is None and self.strongest is None:
            raise idle(self.layer)
        if self.strongest is None:
            check_maps(self.layer, self.held, count)
        assert self.strongest is not None
        answers, cells = self.strongest
        if not answers.isfinite().all():
            raise InputError("expected finite answers of each channel, found NaN or infinity; train the network again")
        images = torch.arange(start, start + len(answers)).expand(answers.shape[1], -1)
        answers, cells = answers.T, cells.T  # (C, B)
        least = answers.amin(1)
        if self.answers is None:
            self.least, self.fired = least, torch.zeros(len(answers))
        else:
            least = torch.minimum(self.least, least)
            answers = torch.cat([self.answers, answers], 1)
            images = torch.cat([self.images, images], 1)
            cells = torch.cat([self.cells, cells], 1)
        # Stable, so that of equal answers the earlier image's stays in front.
        order = answers.sort(dim=1, descending=True, stable=True).indices[:, : self.count]
        self.least = least
        self.answers, self.images, self.cells = (kept.gather(1, order) for kept in (answers, images, cells))
        if self.firing is not None:
            self.rectified, self.fired = True, self.fired + self.firing
        self.held = self.strongest = self.firing = None

    def result(self, seen: int) -> Strongest:
        assert self.answers is not None
        channels, kept = self.answers.shape
        answers = torch.full((channels, self.count), torch.nan)
        images = torch.full((channels, self.count), -1)
        cells = torch.zeros(channels, self.count, 2, dtype=torch.int64)
        told = (self.answers[:, 0] > self.least) | torch.tensor(seen == 1)
        answers[told, :kept] = self.answers[told]
        images[told, :kept] = self.images[told]
        cells[told, :kept] = torch.stack([self.cells // self.width, self.cells % self.width], 2)[told]
        active = self.fired / seen if self.rectified else torch.full((channels,), torch.nan)
        return Strongest(answers, images, cells, active)


def strongest_patches(loaded: Loaded, pictures: Sequence[Pixels], layers: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Where in these pictures each channel of these layers answers most, and of the layer that is explained.

    Of that layer the convolution that makes its channels, and the layer itself where none does, as behind a residual
    block's addition. As arrays: see `layer_patches`.
    """
    if not (names := _asked(loaded, layers)):
        return {}
    arrays: dict[str, NDArray[Any]] = {}
    for layer, found in strongest(loaded.network, batches(loaded, pictures), names).items():
        point = loaded.points.named(layer)
        rows, columns = found.cells.numpy().transpose(2, 0, 1)
        arrays |= {
            f"answers {layer}": found.answers.numpy(),
            f"pictures {layer}": found.images.numpy(),
            f"boxes {layer}": _boxes(_field(point), rows, columns, loaded.input.size),
            f"active {layer}": found.active.numpy(),
        }
    return arrays


def _asked(loaded: Loaded, layers: Sequence[str]) -> list[str]:
    """These layers, and the one whose channels are explained."""
    explained = loaded.points.named(source(loaded.points, loaded.layer) or loaded.layer) if loaded.layer else None
    extra = [explained.name] if explained is not None and explained.form else []
    return list(dict.fromkeys([*layers, *extra]))


def kept(loaded: Loaded, layers: Sequence[str], examined: Examined) -> dict[str, NDArray[Any]] | None:
    """What is on record of these very weights, layers and images, as `strongest_patches` gives it; None: nothing is."""
    names = _asked(loaded, layers)
    for folder in loaded.recorded:
        found = load_patches(folder)
        if found is None or not set(names) <= found.layers.keys():
            continue
        if (found.weights_digest, found.examined, found.definition) == (loaded.digest, examined.digest, DEFINITION):
            pictures = [found.layers[layer]["pictures"] for layer in names]
            if all(each.max(initial=-1) < len(examined.pictures) for each in pictures):
                return {f"{part} {layer}": found.layers[layer][part] for layer in names for part in PARTS}
    return None


def keep(loaded: Loaded, layers: Sequence[str], examined: Examined | None) -> None:
    """Put the patches of these layers in a data set on record, in place of those of others, if they are not on it."""
    if loaded.evaluated is None or not loaded.input.takes_photos or examined is None or not examined.data_set:
        return
    if kept(loaded, layers, examined) is not None:
        return
    with terminal.bar(f"{loaded.title}: strongest patches", 1, "part") as bar:
        found = strongest_patches(loaded, examined.pictures, layers)
        bar.advance()
    held = {layer: {part: found[f"{part} {layer}"] for part in PARTS} for layer in _asked(loaded, layers)}
    save_patches(loaded.evaluated, PatchSheet(loaded.digest, examined.digest, DEFINITION, held))


def _field(point: Point | None) -> ReceptiveField | None:
    """What a cell sees of the image; of a token, which has seen all others, the patch that it is."""
    if point is None:
        return None
    return point.place if point.form == "tokens" and point.field is None else point.field


def _boxes(field: ReceptiveField | None, rows: Counts, columns: Counts, size: tuple[int, int]) -> Counts:
    """(C, P, 4) x0, y0, x1, y1 of what the cells see, inclusive; the whole image where that is of no regular size."""
    if field is None:
        whole = np.array([0, 0, size[1] - 1, size[0] - 1], np.int64)
        return np.tile(whole, (*rows.shape, 1))
    left, top = (axis.offset + axis.jump * at for axis, at in ((field.columns, columns), (field.rows, rows)))
    boxes: Counts = np.stack([left, top, left + field.columns.size - 1, top + field.rows.size - 1], axis=2)
    return boxes


def layer_patches(arrays: Arrays) -> tuple[LayerPatches, ...]:
    """The records of what `strongest_patches` found, in the order of the layers."""
    names = [key.removeprefix("answers ") for key in arrays if key.startswith("answers ")]
    return tuple(
        LayerPatches(
            layer=name,
            answers=arrays[f"answers {name}"].astype(np.float32),
            pictures=arrays[f"pictures {name}"].astype(np.int64),
            boxes=arrays[f"boxes {name}"].astype(np.int64),
            active=arrays[f"active {name}"].astype(np.float32),
        )
        for name in names
    )


def batches(loaded: Loaded, pictures: Sequence[Pixels], count: int = PATCH_BATCH) -> Iterator[Tensor]:
    """The pictures as the network is given them, so many at a time."""
    for start in range(0, len(pictures), count):
        yield loaded.inputs(pictures[start : start + count])
