"""Forward passes that leave no trace: of the whole model, to named layers, and watched from a layer to the logits."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from generator.base.errors import InputError
from generator.explain.calls import told
from generator.explain.cells import Seen
from generator.explain.checks import check_images, check_logits, check_maps, check_model, idle, shape_text
from generator.explain.fields import Following
from generator.explain.layouts import Layout
from generator.explain.obstacles import explained
from generator.explain.outputs import answered

# Images in one pass where a method runs many for each image: enough to use a processor well. Of small images twice as
# many, for a large linear layer costs a pass nearly as much for few as for many: SmallCNN at 64 and AlexNet at 128
# pixels take a fifth to a quarter less processor time so (two cores, torch 2.14).
BATCH = 32
_SMALL = 2**14  # pixels

# In eval mode these return what they get.
IDENTITIES = (
    nn.Identity,
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)
POOLINGS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool2d)

_SET_UP = nn.Module().__dict__.keys()  # what every module has
_PLAIN = frozenset((int, float, bool, str, type(None)))  # what most of their other attributes are

_MAKERS = "parametrizations"  # as torch.nn.utils.parametrize calls them
# What these take and give is (N, C, h, w) by contract.
GRIDS = (*POOLINGS, nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, nn.InstanceNorm2d)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients, also under an outer inference mode; afterwards each module's own mode again.

    What torch.compile compiled runs as it was written: compiled, it has neither hooks nor single operations.
    """
    check_model(model)
    # torch.compile imports torch._dynamo, which takes more than a second: where it is not there, nothing is compiled.
    as_written = torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()
    with in_eval_mode(model), torch.inference_mode(False), torch.no_grad(), as_written:
        yield


@contextmanager
def differentiating(model: nn.Module) -> Iterator[None]:
    """`evaluating`, where gradients may be asked for: what the model keeps of a pass, it keeps without its graph."""
    with evaluating(model), explained(model):
        modules = list(model.modules())
        with torch.enable_grad():  # each operation of a thread has a number above those before it
            begun = torch.zeros((), requires_grad=True).clone().grad_fn._sequence_nr()  # type: ignore[union-attr]
        try:
            yield
        finally:
            for holder, name, value in _kept(modules):
                if any(_made_since(begun, leaf) for leaf in tree_leaves(value)):
                    holder[name] = tree_map(lambda leaf: leaf.detach() if _made_since(begun, leaf) else leaf, value)


def _kept(modules: Sequence[nn.Module]) -> list[tuple[dict[str, Any], str, Any]]:
    """What modules hold that has a graph behind it: attributes and buffers, lists and mappings of them."""
    found = []
    for module in modules:
        attributes = module.__dict__
        for holder in (attributes, attributes.get("_buffers", {})):
            for name, value in holder.items():
                if type(value) not in _PLAIN and name not in _SET_UP and _has_graph(value):
                    found.append((holder, name, value))
    return found


def _made_since(begun: int, leaf: Any) -> bool:
    """Whether it is a tensor with a graph behind it that was made after an operation of that number."""
    return isinstance(leaf, Tensor) and leaf.grad_fn is not None and leaf.grad_fn._sequence_nr() > begun


def _has_graph(value: Any) -> bool:
    """Whether it is a tensor with a graph behind it, or holds one."""
    if isinstance(value, Tensor):
        return value.grad_fn is not None
    if isinstance(value, (list, tuple, dict)):
        held = value.values() if isinstance(value, dict) else value
        return any(_has_graph(each) for each in held if type(each) not in _PLAIN)
    return False


def at_once(images: Tensor, gradients: bool = False) -> int:
    """How many images of the size of these go in one pass, where nobody says another number.

    Args:
        gradients: the pass keeps what every layer gives, for the way back: of ResNet-50 at 224 pixels 86 MB an image.
    """
    large = images.shape[2:].numel() > _SMALL
    if gradients:
        return BATCH // 4 if large else BATCH
    return BATCH if large else 2 * BATCH


def parts(count: int, size: int, device: torch.device) -> Sequence[Tensor]:
    """The numbers from 0 to below `count`, at most `size` of them at once; none where there are none."""
    return torch.split(torch.arange(count, device=device), size) if count else ()


def format_of(images: Tensor) -> torch.memory_format:
    """How images lie in memory, for others to lie as they do: channels last, or as usual."""
    last = images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format


def logits_of(model: nn.Module, images: Tensor) -> Tensor:
    """(N, K), checked; to be called within `evaluating`. The images are the model's to change."""
    return check_logits(answered(model, images).logits, images)


def feature_maps(model: nn.Module, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """The activations of the named layers, as each layer returns them, also where a later in-place ReLU changes them.

    Args:
        images: (N, C, H, W) float, as the model takes them.
    Returns:
        Layer -> (N, C, h, w) float32, of layers that give (N, h, w, C) too, or tokens that are cells of the image, of
        which others, as a class token, are left out; quantised ones as the numbers they stand for. Of a layer that runs
        more than once, the last run.
    Raises:
        InputError: if a layer does not exist, does not run, or gives no such tensor.
    """
    check_images(images)
    if isinstance(layers, str):
        raise ValueError(f"layers: expected a list of dotted names, got the text {layers!r}")
    with evaluating(model):
        return maps_and_output(model, images, layers)[0]


def maps_and_output(model: nn.Module, images: Tensor, layers: Sequence[str]) -> tuple[dict[str, Tensor], Any]:
    """What `feature_maps` returns, and the model's logits or what else it gives; to be called within `evaluating`."""
    runs: Counter[str] = Counter()
    outputs: dict[str, Any] = {}
    shapes: set[tuple[int, ...]] = set()

    def keep(layer: str, _module: nn.Module | None, output: Any) -> None:
        runs[layer] += 1
        outputs[layer] = output.detach().clone() if isinstance(output, Tensor) else output

    def note(_module: nn.Module, args: Any, output: Any) -> None:
        shapes.update(tuple(each.shape) for each in (*args, output) if isinstance(each, Tensor))

    given = images.detach().clone()  # a model may begin with an in-place operation
    modules = runnable(model)
    with ExitStack() as hooks:
        for module in modules:
            if isinstance(module, GRIDS):
                hooks.enter_context(module.register_forward_hook(note))
        hooks.enter_context(told(model, given, modules, dict.fromkeys(layers, keep)))
        output = answered(model, given).logits
    maps = {}
    for layer in layers:
        if not runs[layer]:
            raise idle(layer)
        found = check_maps(layer, outputs[layer], len(images), runs[layer])
        maps[layer] = as_maps(model, images, layer, found, shapes)
    return maps, output


def as_maps(model: nn.Module, images: Tensor, layer: str, given: Tensor, shapes: set[tuple[int, ...]]) -> Tensor:
    """(N, C, h, w) float32, of what a layer gave; `shapes` as of `layout_of`."""
    layout = layout_of(model, images, layer, given, shapes)
    found = given.dequantize() if given.is_quantized else given
    return (found if layout.form == "maps" else layout.maps(found).contiguous()).float()


def layout_of(model: nn.Module, images: Tensor, layer: str, maps: Tensor, shapes: set[tuple[int, ...]]) -> Layout:
    """How a layer's cells stand: as maps, with their channels last, or as tokens.

    Where the shape alone leaves a doubt, one image is followed through the model, operation by operation.

    Args:
        shapes: what layers took and gave that take and give (N, C, h, w) by contract.
    Raises:
        InputError: if they do in no such way.
    """
    known = maps.is_quantized or tuple(maps.shape) in shapes  # quantised operations know no other order
    (height, width), (rows, columns) = images.shape[2:], maps.shape[1:3]
    if known and (maps.is_quantized or abs(rows * width - columns * height) > max(height, width)):
        return Layout()
    outputs: list[Any] = []
    one = images[:1].detach().clone() if len(images) else images.new_zeros(1, *images.shape[1:])
    following = Following(one)
    tap = told(model, one, runnable(model), {layer: lambda _name, _module, output: outputs.append(output)})
    with torch.no_grad(), following, tap:
        model(one)
    seen = following.seen(outputs[-1]) if outputs else None
    if maps.dim() == 3:
        if seen is not None and seen.at == (-2, -2) and seen.units == maps.shape[1]:
            return Layout("tokens", seen.grid, seen.around)
        raise _formless(layer, maps, "tokens, none of which can be told to be a cell of the image", seen)
    if seen is None:  # made from nothing of the image: as the others are
        return Layout()
    if seen.at in ((-2, -1), (-3, -2)):
        return Layout("maps, channels last" if seen.at == (-3, -2) else "maps")
    if known or not seen.cause:
        return Layout()
    raise _formless(layer, maps, "of which no axes are the image's rows and columns", seen)


def _formless(layer: str, maps: Tensor, what: str, seen: Seen | None) -> InputError:
    cause = f", because of {seen.cause}" if seen is not None and seen.cause else ""
    return InputError(
        f"layer {layer!r}: expected feature maps (N, C, h, w) or (N, h, w, C), got {shape_text(maps)}, {what}{cause}; "
        "name another layer, or explain the model with occlude or integrated_gradients, which need none"
    )


def runnable(model: nn.Module) -> list[nn.Module]:
    """The modules that hooks can be put on, without those that only make parameters."""
    modules = list(model.modules())
    if any(isinstance(module, nn.DataParallel) and len(module.device_ids) > 1 for module in modules):
        raise InputError("model: nn.DataParallel splits each batch over devices; explain what it holds, its .module")
    made = [module._modules[_MAKERS] for module in modules if _MAKERS in module._modules]
    makers = {part for each in made if each is not None for part in each.modules()}
    return [module for module in modules if not isinstance(module, torch.jit.ScriptModule) and module not in makers]


def is_leaf(module: nn.Module) -> bool:
    """Whether it has no modules of its own, but for those that make its parameters."""
    return module._modules.keys() <= {_MAKERS}


def blank(model: nn.Module, input_shape: Sequence[int]) -> Tensor:
    """One image of zeros, where and in the precision in which the model's parameters are."""
    if len(input_shape) != 3:
        raise ValueError(f"input shape: expected (C, H, W) of one image, got {tuple(input_shape)}")
    like = next((found for found in model.parameters() if found.is_floating_point()), torch.empty(0))
    return torch.zeros(1, *input_shape, dtype=like.dtype, device=like.device)


@contextmanager
def in_eval_mode(network: nn.Module) -> Iterator[None]:
    """Eval mode; afterwards each module's own mode again, which may differ from its parent's."""
    # TorchScript that was frozen has no modes.
    modes = [(module, module.training) for module in network.modules() if hasattr(module, "training")]
    try:
        for module, mode in modes:
            if mode:  # setting an attribute of a module takes long beside reading it
                module.training = False
        yield
    finally:
        for module, mode in modes:
            if module.training != mode:
                module.training = mode
