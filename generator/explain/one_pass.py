"""One forward pass that several methods share: the maps of layers, and what a pass back tells of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from generator.explain.cam import LayerGradients, cams_of, gradients_of, layer_gradients
from generator.explain.checks import check_images
from generator.explain.choice import Choice
from generator.explain.layouts import Layout
from generator.explain.targets import Targets, check_targets, classes_of, weights_of
from generator.explain.watching import Run, watching, watching_all


@dataclass(frozen=True, eq=False)
class OnePass:
    """A forward pass and what can be asked of it within the block of `one_pass`."""

    logits: Tensor  # (N, K)
    maps: Mapping[str, Tensor]  # by layer, (N, C, h, w) float32
    _model: nn.Module
    _images: Tensor
    _layouts: Mapping[str, Layout | None]
    _runs: Mapping[str, Run]  # those that the pass could tell of; of others another one is made

    def gradients(self, targets: Targets = None) -> dict[str, LayerGradients]:
        """By layer the gradient of one target of each image, of all layers from one pass back.

        Args and errors as of `grad_cam`.
        """
        wanted = check_targets(targets, len(self._images))
        found = self._together(classes_of(wanted, self.logits))
        return {
            layer: found[layer]
            if layer in found
            else layer_gradients(self._model, self._images, targets, self._choice(layer))
            for layer in self._layouts
        }

    def grad_cam(self, layer: str, asked: Sequence[Targets] | None = None) -> Tensor:
        """(N, K, h, w) Grad-CAM of every class, or (N, R, h, w) of several targets, each as of `grad_cam`."""
        rows = None
        if asked is not None:
            classes = [classes_of(check_targets(targets, len(self._images)), self.logits) for targets in asked]
            rows = torch.stack([weights_of(each, self.logits) for each in classes], 1)
        if layer in self._runs:
            return cams_of(self._runs[layer], rows)
        with watching(self._model, self._images, layer, True, self._layouts[layer]) as run:
            return cams_of(run, rows)

    def _together(self, classes: Tensor) -> dict[str, LayerGradients]:
        runs = list(self._runs.values())
        try:
            return gradients_of(runs, classes) if len(runs) > 1 else {}
        except RuntimeError:
            # An operation before the last of the layers has no derivative: it may not be in the way of the others.
            return {}

    def _choice(self, layer: str) -> str | Choice:
        layout = self._layouts[layer]
        return layer if layout is None else Choice(layer, layout, None)


@contextmanager
def one_pass(
    model: nn.Module, images: Tensor, layers: Mapping[str, Layout | None], kept: Sequence[str] = ()
) -> Iterator[OnePass]:
    """A pass of which several methods ask what each would make a pass for.

    Args:
        images: (N, C, H, W) float, as the model takes them.
        layers: whose gradients can be asked for, the one whose Grad-CAM is asked for last, each with how its cells
            stand where that is known.
        kept: layers of which only the maps are asked for.
    Raises:
        InputError: as `grad_cam` and `feature_maps` do.
    """
    check_images(images)
    with watching_all(model, images, layers, [*layers, ""][len(layers) - 1], kept) as watched:
        yield OnePass(watched.logits, watched.maps, model, images, layers, watched.runs)
