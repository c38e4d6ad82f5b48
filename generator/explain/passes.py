"""Forward passes that leave no trace: of the whole model, to named layers, and watched from a layer to the logits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from generator.base.errors import InputError
from generator.explain.checks import check_images, check_logits, check_maps, idle, module_named

# Images in one pass where a method runs many for each image: enough to use a processor well.
BATCH = 32


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients, also under an outer inference mode; afterwards each module's own mode again."""
    with in_eval_mode(model), torch.inference_mode(False), torch.no_grad():
        yield


def logits_of(model: nn.Module, images: Tensor) -> Tensor:
    """(N, K), checked; to be called within `evaluating`. The images are the model's to change."""
    return check_logits(model(images), len(images))


def feature_maps(model: nn.Module, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """The activations of the named layers, as each layer returns them, also where a later in-place ReLU changes them.

    Args:
        images: (N, C, H, W) float, as the model takes them.
    Returns:
        Layer -> (N, C, h, w) float32. Of a layer that runs more than once, the last run.
    Raises:
        InputError: if a layer does not exist, does not run, or gives no (N, C, h, w) tensor.
    """
    check_images(images)
    with evaluating(model):
        return maps_and_output(model, images, layers)[0]


def maps_and_output(model: nn.Module, images: Tensor, layers: Sequence[str]) -> tuple[dict[str, Tensor], Any]:
    """What `feature_maps` returns, and what the model returns; to be called within `evaluating`."""
    maps: dict[str, Tensor] = {}

    def keeps(layer: str) -> Callable[[nn.Module, Any, Any], None]:
        def keep(_module: nn.Module, _args: Any, output: Any) -> None:
            maps[layer] = check_maps(layer, output, len(images)).detach().clone().float()

        return keep

    with ExitStack() as hooks:
        for layer in layers:
            hooks.enter_context(module_named(model, layer).register_forward_hook(keeps(layer)))
        output = model(images.detach().clone())  # a model may begin with an in-place operation
    for layer in layers:
        if layer not in maps:
            raise idle(layer)
    return {layer: maps[layer] for layer in layers}, output


# One forward pass, watched from a layer on


@dataclass(frozen=True)
class Run:
    """What a forward pass left: the layer's maps, a handle for their gradient, and the way from there to the logits.

    `nudge` are zeros that were added to the maps, so that the logits' gradient by them is the gradient by the maps: of
    the shape of the maps, or (N, C, 1, 1), which gives the gradient summed over the cells. `tail` lists the modules
    between with their outputs; None where anything else happens between.
    """

    layer: str
    activations: Tensor  # (N, C, h, w)
    nudge: Tensor
    logits: Tensor  # (N, K)
    tail: tuple[tuple[nn.Module, Tensor], ...] | None

    @property
    def unreached(self) -> str:
        """The error where the logits have no gradient by the layer."""
        return f"layer {self.layer!r}: the logits do not depend on it by any differentiable way; name another layer"


@contextmanager
def watching(model: nn.Module, images: Tensor, layer: str, each_cell: bool = False) -> Iterator[Run]:
    """A forward pass without gradients up to `layer`, with them from there on and within the block.

    Args:
        each_cell: whether gradients by each cell are wanted, or their sums over the cells of a channel.
    """
    with evaluating(model):
        yield _watched(model, images, layer, each_cell)


def _watched(model: nn.Module, images: Tensor, layer: str, each_cell: bool) -> Run:
    module = module_named(model, layer)
    chain = _Chain()
    seen: list[tuple[Tensor, Tensor]] = []

    def watch(_module: nn.Module, _args: Any, output: Any) -> Tensor:
        maps = check_maps(layer, output, len(images))
        if maps.is_inference():
            raise InputError(
                f"layer {layer!r}: the model runs it in inference mode, which keeps no gradients; take "
                "torch.inference_mode out of its forward"
            )
        activations = maps.detach().clone()  # an in-place ReLU may follow
        nudge = maps.new_zeros(maps.shape if each_cell else (*maps.shape[:2], 1, 1)).requires_grad_()
        torch.set_grad_enabled(True)  # until `evaluating` ends
        # In place, so that whatever else holds the maps takes part in the gradient; views made without one refuse that.
        nudged = maps + nudge if maps._is_view() else maps.add_(nudge)
        seen.append((activations, nudge))
        chain.start(nudged)
        return nudged

    with ExitStack() as hooks:
        for leaf in filter(is_leaf, model.modules()):
            hooks.enter_context(leaf.register_forward_pre_hook(chain.enter))
            # Before other hooks, which may replace the output: the chain then breaks.
            hooks.enter_context(leaf.register_forward_hook(chain.leave, prepend=True))
        hooks.enter_context(module.register_forward_hook(watch))
        output = model(images.detach().clone())
    if not seen:
        raise idle(layer)
    logits = check_logits(output, len(images))
    tail = tuple(chain.calls) if chain.calls is not None and chain.ends_in(logits) else None
    run = Run(layer, *seen[-1], logits, tail)
    if not logits.requires_grad:
        raise InputError(run.unreached)
    return run


class _Chain:
    """Follows one tensor through modules without children, for as long as nothing else reads or writes it.

    The identity of the tensor and its version (which every in-place operation raises) prove that a module got just what
    the one before it gave. So the names of a model's attributes need not be trusted.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[nn.Module, Tensor]] | None = None
        self.tensor: Tensor | None = None
        self.version = -1

    def start(self, tensor: Tensor) -> None:
        self.calls = []
        self._hold(tensor)

    def enter(self, _module: nn.Module, args: tuple[Any, ...]) -> None:
        if not (len(args) == 1 and self.ends_in(args[0])):
            self.calls = None

    def leave(self, module: nn.Module, _args: Any, output: Any) -> None:
        if self.calls is None:
            return
        if isinstance(output, Tensor):
            self.calls.append((module, output))
            self._hold(output)
        else:
            self.calls = None

    def ends_in(self, value: Any) -> bool:
        """Whether `value` is the tensor followed, as it was or flattened from the second axis on, unchanged since."""
        held = self.tensor
        if held is None or not isinstance(value, Tensor) or value._version != self.version or not value.requires_grad:
            return False  # without a gradient it was detached, although it is the same memory
        flattened = (
            value.data_ptr() == held.data_ptr()
            and value.shape == (len(held), held.shape[1:].numel())
            and value.is_contiguous()
            and held.is_contiguous()
        )
        return value is held or flattened

    def _hold(self, tensor: Tensor) -> None:
        self.tensor, self.version = tensor, tensor._version


def is_leaf(module: nn.Module) -> bool:
    """Whether it has no modules of its own."""
    return next(module.children(), None) is None


def blank(model: nn.Module, input_shape: Sequence[int]) -> Tensor:
    """One image of zeros, where and in the precision in which the model's parameters are."""
    if len(input_shape) != 3:
        raise ValueError(f"input shape: expected (C, H, W) of one image, got {tuple(input_shape)}")
    like = next(model.parameters(), torch.empty(0))
    return torch.zeros(1, *input_shape, dtype=like.dtype, device=like.device)


@contextmanager
def in_eval_mode(network: nn.Module) -> Iterator[None]:
    """Eval mode; afterwards each module's own mode again, which may differ from its parent's."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        for module, _ in modes:
            module.training = False
        yield
    finally:
        for module, mode in modes:
            module.training = mode
