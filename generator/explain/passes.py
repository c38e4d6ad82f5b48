"""Forward passes that leave no trace: of the whole model, to named layers, and watched from a layer to the logits."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook
from torch.utils._pytree import tree_map

from generator.base.errors import InputError
from generator.explain.calls import told
from generator.explain.cells import Seen
from generator.explain.checks import check_images, check_logits, check_maps, check_model, idle, shape_text
from generator.explain.fields import Following
from generator.explain.layouts import Layout
from generator.explain.obstacles import Obstacles, blockers, explained
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

_VIEWS = ("ViewBackward", "UnsafeViewBackward", "ReshapeAliasBackward", "SqueezeBackward", "SelectBackward")

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
    modules = list(model.modules())
    with evaluating(model), explained(model):
        before = {id(value) for _, _, value in _kept(modules)}
        try:
            yield
        finally:
            for holder, name, value in _kept(modules):
                if id(value) not in before:
                    holder[name] = tree_map(lambda leaf: leaf.detach() if _has_graph(leaf) else leaf, value)


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


def _has_graph(value: Any) -> bool:
    """Whether it is a tensor with a graph behind it, or holds one."""
    if isinstance(value, Tensor):
        return value.grad_fn is not None
    if isinstance(value, (list, tuple, dict)):
        held = value.values() if isinstance(value, dict) else value
        return any(_has_graph(each) for each in held if type(each) not in _PLAIN)
    return False


def at_once(images: Tensor) -> int:
    """How many images of the size of these go in one pass, where nobody says another number."""
    return BATCH if images.shape[2:].numel() > _SMALL else 2 * BATCH


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
        layout = layout_of(model, images, layer, found, shapes)
        found = found.dequantize() if found.is_quantized else found
        maps[layer] = found if layout.form == "maps" else layout.maps(found).contiguous()
    return {layer: found.float() for layer, found in maps.items()}, output


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


# One forward pass, watched from a layer on


class Step(NamedTuple):
    """A module that did just what its class does; `weight` is what a linear layer used."""

    module: nn.Module
    output: Tensor
    weight: Tensor | None


@dataclass(frozen=True)
class Run:
    """What a forward pass left: the layer's maps, a handle for their gradient, and the way from there to the logits.

    `nudge` are zeros that were added to the maps, so that the logits' gradient by them is the gradient by the maps: of
    the shape of the maps, or (N, C, 1, 1), which gives the gradient summed over the cells. `tail` lists the modules
    between; None where anything else happens between.
    """

    layer: str
    activations: Tensor  # (N, C, h, w)
    nudge: Tensor
    logits: Tensor  # (N, K)
    tail: tuple[Step, ...] | None

    def unreached(self, cause: str) -> InputError:
        """The error where the logits have no gradient by the layer."""
        return InputError(f"layer {self.layer!r}: the logits do not depend on it by any differentiable way{cause}")


@contextmanager
def watching(
    model: nn.Module, images: Tensor, layer: str, each_cell: bool = False, layout: Layout | None = None
) -> Iterator[Run]:
    """A forward pass without gradients up to `layer`, with them from there on and within the block.

    Args:
        each_cell: whether gradients by each cell are wanted, or their sums over the cells of a channel.
        layout: how the layer's cells stand, where that is known; else it is found.
    """
    with differentiating(model):
        watch = _Watch(model, layer, each_cell, layout)
        run = watch.run(images)
        if layout is None:
            found = layout_of(model, images, layer, watch.given, watch.chain.shapes)
            if found.form != "maps":
                watch.layout = found
                run = watch.run(images)
        assert run is not None
        if run.tail is None and not blockers(run.logits, run.nudge).reached:
            # The model may have turned gradients off before the layer: then they stay on if they were on before that.
            obstacles = Obstacles()
            with torch.enable_grad():
                run = watch.run(images, obstacles)
            assert run is not None
            if not (blocked := blockers(run.logits, run.nudge)).reached:
                raise run.unreached(obstacles.cause(blocked))
        yield run


class _Watch:
    """Runs a model with gradients by one layer's maps."""

    def __init__(self, model: nn.Module, layer: str, each_cell: bool, layout: Layout | None) -> None:
        self.model, self.layer, self.each_cell = model, layer, each_cell
        self.modules = runnable(model)
        self.layout = layout or Layout()

    def run(self, images: Tensor, obstacles: Obstacles | None = None) -> Run | None:
        """One pass; None where the layer gives what maps of this layout are not."""
        self.count = len(images)
        self.chain = _Chain()
        self.runs = 0
        self.given: Any = None  # by the last run
        self.seen: tuple[Tensor, Tensor] = (torch.empty(0), torch.empty(0))  # that run's maps, and their nudge
        given = images.detach().clone()
        with ExitStack() as hooks:
            for leaf in filter(is_leaf, self.modules):
                if as_written(leaf):
                    self.chain.own.add(leaf)
                hooks.enter_context(leaf.register_forward_pre_hook(self.chain.enter))
                # Before other hooks, which may replace the output: the chain then breaks.
                hooks.enter_context(leaf.register_forward_hook(self.chain.leave, prepend=True))
            self.obstacles = obstacles
            hooks.enter_context(told(self.model, given, self.modules, {self.layer: self._end}, self._begin))
            if obstacles is not None:
                hooks.enter_context(obstacles)
            output = answered(self.model, given).logits
        if not self.runs:
            raise idle(self.layer)
        check_maps(self.layer, self.given, self.count, self.runs)
        logits = check_logits(output, images)
        return Run(self.layer, *self.seen, logits, self.chain.tail(logits)) if self._fits(self.given) else None

    def _fits(self, output: Any) -> bool:
        axes = 3 if self.layout.form == "tokens" else 4
        return isinstance(output, Tensor) and output.dim() == axes and len(output) == self.count

    def _begin(self, _layer: str, _module: nn.Module | None, args: tuple[Any, ...]) -> None:
        self.versions = [(arg, arg._version) for arg in args if isinstance(arg, Tensor) and not arg.is_inference()]

    def _end(self, _layer: str, _module: nn.Module | None, output: Any) -> Tensor | None:
        nudged = self._nudged(output)
        if self.obstacles is not None:
            self.obstacles.met.clear()  # what comes before the layer does no harm
        return nudged

    def _nudged(self, output: Any) -> Tensor | None:
        self.runs += 1
        self.given = output
        if not self._fits(output):
            return None  # this need not be the last run
        maps = check_maps(self.layer, output, self.count, self.runs)
        if maps.is_quantized:
            raise InputError(
                f"layer {self.layer!r}: it gives quantised numbers, which have no gradients; explain the model as it "
                "was before its conversion, or this one with score_cam or occlude"
            )
        if maps.is_inference():
            raise InputError(
                f"layer {self.layer!r}: the model runs it in inference mode, which keeps no gradients; take "
                "torch.inference_mode out of its forward, or make the model outside of it"
            )
        activations = self.layout.maps(maps.detach())  # (N, C, h, w)
        size = activations.shape if self.each_cell else (*activations.shape[:2], 1, 1)
        activations = activations.clone()  # an in-place ReLU may follow
        nudge = maps.new_zeros(size).requires_grad_()
        torch.set_grad_enabled(True)  # until `evaluating` ends
        added = self.layout.placed(nudge)
        nudged = maps.add_(added) if self._worked_in_place(maps) else maps + added
        self.seen = activations, nudge
        self.chain.start(nudged, followed=self.layout.form == "maps")
        return nudged

    def _worked_in_place(self, maps: Tensor) -> bool:
        """Whether the layer returns its input, changed: what else holds that takes part in the gradient then.

        What the model keeps is not to be touched, and views that were made without gradients refuse it.
        """
        if maps._is_view() or not any(maps is arg and arg._version != version for arg, version in self.versions):
            return False
        memory = maps.untyped_storage().data_ptr()
        kept = (held for module in self.modules for held in (*module._parameters.values(), *module._buffers.values()))
        return all(tensor is None or tensor.untyped_storage().data_ptr() != memory for tensor in kept)


# The classes of which it is known what they do, and how.
_FORWARDS = {kind: kind.forward for kind in (nn.Linear, nn.ReLU, nn.Flatten, *POOLINGS, *IDENTITIES)}


def as_written(module: nn.Module) -> bool:
    """Whether a module does what its class is known to do: with nobody's hooks, nor with a forward of its own."""
    kind = type(module)
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return (
        kind in _FORWARDS
        and kind.forward is _FORWARDS[kind]
        and "forward" not in module.__dict__
        and not any(hooks)
        and not _has_any_global_hook()  # type: ignore[no-untyped-call]
    )


class _Chain:
    """Follows one tensor through modules without children, for as long as nothing else reads or writes it.

    The identity of the tensor and its version (which every in-place operation raises) prove that a module got just what
    the one before it gave. So the names of a model's attributes need not be trusted.
    """

    def __init__(self) -> None:
        self.own: set[nn.Module] = set()  # the modules that are `as_written`
        self.shapes: set[tuple[int, ...]] = set()  # of what is (N, C, h, w) by contract
        self.calls: list[tuple[Step, int]] | None = None  # each with its weight's version
        self.tensor: Tensor | None = None
        self.version = -1

    def start(self, tensor: Tensor, followed: bool) -> None:
        self.calls = [] if followed else None
        self._hold(tensor)

    def enter(self, _module: nn.Module, args: tuple[Any, ...]) -> None:
        if self.calls is not None and not (len(args) == 1 and self.ends_in(args[0])):
            self.calls = None

    def leave(self, module: nn.Module, args: Any, output: Any) -> None:
        if isinstance(module, GRIDS):
            self.shapes.update(tuple(each.shape) for each in (*args, output) if isinstance(each, Tensor))
        if self.calls is None:
            return
        weight = module.weight if type(module) is nn.Linear else None
        plain = weight is None or type(weight) in (nn.Parameter, Tensor)
        if module in self.own and not module.training and plain and isinstance(output, Tensor):
            self.calls.append((Step(module, output, weight), -1 if weight is None else weight._version))
            self._hold(output)
        else:
            self.calls = None

    def tail(self, logits: Tensor) -> tuple[Step, ...] | None:
        """The modules from the start to the logits, if there is nothing else."""
        if self.calls is None or not self.ends_in(logits):
            return None
        if any(step.weight is not None and step.weight._version != version for step, version in self.calls):
            return None
        return tuple(step for step, _ in self.calls)

    def ends_in(self, value: Any) -> bool:
        """Whether `value` is the tensor followed, as it was or flattened from the second axis on, unchanged since."""
        held = self.tensor
        if held is None or not isinstance(value, Tensor) or value._version != self.version or not value.requires_grad:
            return False  # without a gradient it was detached, although it is the same memory
        if value._backward_hooks or held._backward_hooks:
            return False  # which may change the gradient
        flattened = value.shape == (len(held), held.shape[1:].numel()) and value.data_ptr() == held.data_ptr()
        return value is held or (flattened and _is_view_of(value, held))

    def _hold(self, tensor: Tensor) -> None:
        self.tensor, self.version = tensor, tensor._version


def _is_view_of(value: Tensor, held: Tensor) -> bool:
    """Whether nothing but views lie between: a function with a gradient of its own may return the same memory."""
    node, end = value.grad_fn, held.grad_fn
    while node is not None and node is not end and node.name().startswith(_VIEWS):
        node = node.next_functions[0][0]
    return node is end and value.is_contiguous() and held.is_contiguous()


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
        for module, _ in modes:
            module.training = False
        yield
    finally:
        for module, mode in modes:
            module.training = mode
