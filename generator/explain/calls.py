"""The calls of a forward pass by name: of modules, and of functions that a model's own code calls ("conv3+relu").

A module's call has its dotted name. A function's is named after what it was given: "conv3+relu" is the `relu` of what
`conv3` gave, "conv3+relu+max_pool2d" the pooling of that; the images themselves are called "images". Where a name comes
again in one pass, ":2" and so on follow. What a module of torch.nn calls within itself is its own business.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from generator.explain.checks import module_named

JOINT = "+"  # between what a function was given and its own name
IMAGES = "images"

# By the name that torch gives a function; views, shapes and arithmetic with numbers are no places of interest.
_FUNCTIONS = frozenset(
    {
        *("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "hardswish", "hardsigmoid"),
        *("hardtanh", "tanh", "sigmoid", "softplus", "prelu", "rrelu", "clamp", "clamp_min", "threshold", "softmax"),
        *(
            "conv2d",
            "conv_transpose2d",
            "linear",
            "batch_norm",
            "layer_norm",
            "group_norm",
            "instance_norm",
            "rms_norm",
        ),
        *("max_pool2d", "avg_pool2d", "adaptive_max_pool2d", "adaptive_avg_pool2d", "lp_pool2d", "mean", "amax"),
        *("add", "mul", "cat", "concat", "concatenate", "interpolate", "scaled_dot_product_attention", "pixel_shuffle"),
        *("log_softmax", "instance_norm"),
    }
)
_TORCH = ("torch.nn.", "torch.ao.")  # whose modules are not looked into

Begin = Callable[[str, "nn.Module | None", tuple[Any, ...]], None]  # (name, module, positional arguments)
End = Callable[[str, "nn.Module | None", Any], Any]  # (name, module, output) -> another output, or None


def is_function(layer: Any) -> bool:
    """Whether a name is that of a function's call."""
    return isinstance(layer, str) and JOINT in layer


def function_of(name: str) -> str:
    """The function whose call has that name: "relu" of "conv3+relu:2"."""
    return name.rsplit(JOINT, 1)[-1].split(":")[0]


def label(name: str) -> str:
    """What a function of that name is called as a point, "" where it is none: "add" for __iadd__ and add_."""
    plain = name.partition(".")[0].strip("_")  # "relu.default" of an exported program
    if name.startswith("__") and plain[:1] in ("i", "r") and plain[1:] in _FUNCTIONS:  # __iadd__, __radd__
        plain = plain[1:]
    return plain if plain in _FUNCTIONS else ""


class Calls(TorchFunctionMode):
    """While active, and its hooks are set, tells of each call that begins or ends, and may change what it gives.

    Args:
        modules: those to be told of, by name; all of them are followed.
        every: whether modules are told of too, or functions alone.
    """

    def __init__(self, model: nn.Module, images: Tensor, end: End, begin: Begin | None = None, every: bool = False):
        super().__init__()
        self._begin, self._end, self._every = begin, end, every
        self._named = WeakTensorKeyDictionary()
        self._named[images] = IMAGES
        self._counts: Counter[str] = Counter()
        self._within: list[bool] = []  # of each module that runs just now, whether it is one of torch's
        self._names = {module: name for name, module in model.named_modules()}

    def hooks(self, modules: Sequence[nn.Module]) -> ExitStack:
        """Hooks on these modules, for a with statement."""
        stack = ExitStack()
        for module in modules:
            stack.enter_context(module.register_forward_pre_hook(self._enter))
            stack.enter_context(module.register_forward_hook(self._leave))
        return stack

    def _enter(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        self._within.append(type(module).__module__.startswith(_TORCH))
        if self._every and self._begin:
            self._begin(self._names[module], module, args)

    def _leave(self, module: nn.Module, _args: Any, output: Any) -> Any:
        self._within.pop()
        name = self._names[module]
        other = self._end(name, module, output) if self._every else None
        self._name(output if other is None else other, name)
        return other

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if self._within and self._within[-1]:
            return func(*args, **given)
        before = next((self._named[leaf] for leaf in _tensors((args, given)) if leaf in self._named), "")
        name = (
            self._numbered(before + JOINT + found) if before and (found := label(getattr(func, "__name__", ""))) else ""
        )
        if name and self._begin:
            self._begin(name, None, args)
        output = func(*args, **given)
        other = self._end(name, None, output) if name else None
        output = output if other is None else other
        if name or before:
            self._name(output, name or before)
        return output

    def _name(self, output: Any, name: str) -> None:
        for leaf in _tensors(output):
            self._named[leaf] = name

    def _numbered(self, name: str) -> str:
        self._counts[name] += 1
        return name if self._counts[name] == 1 else f"{name}:{self._counts[name]}"


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


@contextmanager
def told(
    model: nn.Module,
    images: Tensor,
    modules: Sequence[nn.Module],
    layers: Mapping[str, End],
    begin: Begin | None = None,
) -> Iterator[None]:
    """Within the block a pass of these very images tells of each of the layers, modules or functions, when it ends.

    Args:
        modules: all that hooks can be put on.
        layers: what is told, by name; what it returns, unless None, takes the output's place.
        begin: told before each of them.
    Raises:
        InputError: if there is no module of that name; of functions only the pass can tell.
    """

    functions = {layer for layer in layers if is_function(layer)}

    def start(name: str, module: nn.Module | None, args: tuple[Any, ...]) -> None:
        if begin is not None and name in layers:
            begin(name, module, args)

    def end(name: str, module: nn.Module | None, output: Any) -> Any:
        return layers[name](name, module, output) if name in layers else None

    with ExitStack() as hooks:
        for layer in [layer for layer in layers if layer not in functions]:
            module = module_named(model, layer)
            hooks.enter_context(module.register_forward_pre_hook(partial(_started, start, layer)))
            hooks.enter_context(module.register_forward_hook(partial(_ended, end, layer)))
        if functions:
            calls = Calls(model, images, end, start)
            hooks.enter_context(calls.hooks(modules))
            hooks.enter_context(calls)
        yield


def _started(start: Begin, layer: str, module: nn.Module, args: tuple[Any, ...]) -> None:
    start(layer, module, args)


def _ended(end: End, layer: str, module: nn.Module, _args: Any, output: Any) -> Any:
    return end(layer, module, output)
