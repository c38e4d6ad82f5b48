"""A network as a list of steps that a page can run in plain JavaScript, with weights of few bits.

`Loaded` in, the record `Live` out; or `UnsuitedError` with the reason, for a page must never show a wrong number. The
steps are run here too, and what they answer is compared with what the network answers.
"""

from __future__ import annotations

import bisect
import json
import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from generator import explain, methods
from generator.errors import InputError
from generator.models import Loaded
from generator.networks import MEAN, STD, in_eval_mode, normalise, scale_and_shift, stages
from generator.photos import TALL_FIRST, square
from generator.records import Live, LiveStep, Photo

# What weights of few bits may change a photo's logits and heat maps by at most, as a share of the largest value. They
# have as few bits as change a SHARE of it, for other photos than the report's may be changed by more.
AGREEMENT = (5e-3, 1e-3)
SHARE = 0.25
BITS = (4, 16)
FINE = 4  # steps of the search a bit
# Folding batch norm reorders sums; more than this is another function.
ROUNDING = 1e-4
# Of the script: 4 MiB with the page around it.
LARGEST = 4 * 2**20 - 256 * 2**10

ARRAYS = ("factors", "biases", "integers")  # of a step


class UnsuitedError(Exception):
    """Why a page cannot run a network, as the end of a sentence that begins with its name."""


@dataclass(frozen=True)
class _Step:
    """A step in full precision; `name` is the dotted name of the module whose output it gives, "" for a function."""

    kind: Any
    name: str
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    pool: Any = ""
    weight: Tensor | None = None  # (O, I, kh, kw), (O, I); of "scale" (O,)
    bias: Tensor | None = None  # (O,)


def export(loaded: Loaded, photos: Sequence[Photo], layer: str = "") -> Live:
    """The network as a page runs it, tried on the photos.

    Args:
        photos: of the report; without any, images of noise take their place.
        layer: whose maps the report explains; "": as `methods.layer_of` chooses. The page explains the same one, or
            the last maps before the head where it cannot.
    Raises:
        UnsuitedError: where it has a step that the page does not know, would be too large, or answers otherwise.
    """
    described = loaded.description
    with in_eval_mode(loaded.network), torch.no_grad():
        plain = _steps(loaded.network)
        images = _images(photos, described.input_size, described.resize)
        wanted = loaded.network(images).float()
        if wanted.shape != (len(images), len(described.class_names)):
            raise UnsuitedError("does not give one logit a class")
        explained = _layer(loaded, layer)
        steps = _folded(plain, explained)
        if not _difference(_run(steps, images), wanted) <= ROUNDING:
            raise UnsuitedError("answers otherwise when its steps are run one by one")
        if (size := _size(steps, [8] * len(steps))) > LARGEST:
            raise UnsuitedError(f"would be {size / 2**20:.0f} MiB, more than a page should load")
        cam = _explained(steps, explained)
        maps = _maps(steps, cam, images)
        own = explain.grad_cam_all(loaded.network, images, explained) if steps[cam].name == explained else maps
        if not _difference(maps, own) <= ROUNDING:
            raise UnsuitedError(f"has other heat maps at {explained} when its steps are run one by one")
        quantised, (difference, of_maps) = _fewest_bits(steps, cam, images, (wanted, maps))
    # A page tells how a stage's units came about: before the first convolution there is no sum to tell.
    first = [step.kind for step in steps].index("conv")
    shown = {step.name: place for place, step in enumerate(steps[: cam + 1]) if step.name and place >= first}
    return Live(
        network=loaded.id,
        steps=tuple(quantised),
        mean=MEAN,
        std=STD,
        cam=cam,
        layer=steps[cam].name,
        explained=explained,
        stages=tuple((shown[name], name) for name in stages(loaded.network) if name in shown)
        or ((cam, steps[cam].name),),
        difference=difference,
        maps=of_maps,
        photos=len(photos),
        tall_first=TALL_FIRST,
    )


def tried(loaded: Loaded, photos: Sequence[Photo], layer: str = "") -> dict[str, NDArray[Any]]:
    """`export` as arrays that a cache can hold: see `recorded`."""
    try:
        found = export(loaded, photos, layer)
    except UnsuitedError as reason:
        return {"reason": np.array(str(reason))}
    arrays: dict[str, NDArray[Any]] = {}
    steps = []
    for place, step in enumerate(found.steps):
        told = vars(step)
        steps.append({name: value for name, value in told.items() if name not in ARRAYS})
        arrays |= {f"{place} {name}": told[name] for name in ARRAYS if told[name] is not None}
    rest = {name: value for name, value in vars(found).items() if name != "steps"}
    return {**arrays, "told": np.array(json.dumps({"steps": steps, **rest}))}


def recorded(arrays: Mapping[str, NDArray[Any]]) -> Live | str:
    """The record of what `tried` found, or the reason why there is none."""
    if "reason" in arrays:
        return str(arrays["reason"])
    told = _tuples(json.loads(str(arrays["told"])))
    steps = []
    for place, step in enumerate(told.pop("steps")):
        found: dict[str, Any] = {name: arrays[key] for name in ARRAYS if (key := f"{place} {name}") in arrays}
        steps.append(LiveStep(**step, **found))
    return Live(steps=tuple(steps), **told)


def _tuples(value: Any) -> Any:
    """JSON's lists as the records' tuples."""
    if isinstance(value, dict):
        return {key: _tuples(inner) for key, inner in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def dequantised(step: LiveStep) -> Tensor:
    """The weights (O, n) float32 that the page computes with, to the bit."""
    assert step.factors is not None
    assert step.integers is not None
    factors, integers = torch.tensor(step.factors).double(), torch.tensor(step.integers).double()
    return (factors[:, None] * integers).float()


def run(live: Live, images: Tensor) -> Tensor:
    """The logits (N, K) float32 that the page's steps give for (N, 3, S, S) float32 normalised images."""
    return _run([_whole(step) for step in live.steps], images)


# From modules to steps


def _steps(network: nn.Module) -> list[_Step]:
    """The network's operations in their order.

    Raises:
        UnsuitedError: naming the first one that is not known, or that takes more than the output of the one before.
    """
    try:
        graph = fx.symbolic_trace(network).graph
    except Exception as error:  # noqa: BLE001 - whatever a network's forward does under tracing, the page cannot repeat it
        raise UnsuitedError(f"has a forward pass that cannot be followed ({type(error).__name__})") from None
    modules = dict(network.named_modules())
    found: list[_Step] = []
    last: fx.Node | None = None
    for node in graph.nodes:
        if node.op == "placeholder" and last is None:
            last = node
        elif node.op == "output":
            if node.args != (last,):
                raise UnsuitedError("gives more than its logits")
        elif not _is_size(node):
            if [other for other in node.all_input_nodes if not _is_size(other)] != [last]:
                raise UnsuitedError(f"is no chain of layers: {node.name}")
            name = str(node.target)
            found += _module(name, modules[name]) if node.op == "call_module" else _function(node)
            last = node
    return found


def _is_size(node: fx.Node) -> bool:
    """Whether the node asks for a tensor's shape or computes with one, as in x.view(x.size(0), -1)."""
    if node.op == "call_method":
        return node.target == "size"
    if node.op != "call_function":
        return False
    if node.target is operator.getitem:
        return isinstance(node.args[0], fx.Node) and _is_size(node.args[0])
    return node.target is getattr and bool(node.args[1] == "shape")


def _module(name: str, module: nn.Module) -> Iterator[_Step]:
    match module:
        case nn.Conv2d():
            yield _convolution(name, module)
        case nn.Linear():
            yield _Step("linear", name, weight=module.weight.double(), bias=_bias(module))
        case nn.BatchNorm2d() | nn.BatchNorm1d():
            yield _batch_norm(name, module)
        case nn.ReLU():
            yield _Step("relu", name)
        case nn.MaxPool2d():
            yield _max_pool(name, module)
        case nn.AdaptiveMaxPool2d(output_size=1 | (1, 1), return_indices=False):
            yield _Step("global", name, pool="max")
        case nn.AdaptiveAvgPool2d(output_size=1 | (1, 1)):
            yield _Step("global", name, pool="average")
        case nn.Flatten(start_dim=1, end_dim=-1):
            yield _Step("flatten", name)
        case nn.Identity() | nn.Dropout() | nn.Dropout2d():
            pass
        case _:
            raise UnsuitedError(f"has a layer that the page does not know: {name} ({type(module).__name__})")


def _function(node: fx.Node) -> Iterator[_Step]:
    """A step that is written as a function or a tensor's method."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    rest = node.args[1:]
    if node.target in (F.max_pool2d, torch.max_pool2d):
        named: dict[str, Any] = dict(zip(POOLING, rest, strict=False))
        yield _max_pool("", nn.MaxPool2d(**{**named, **node.kwargs}))
    elif name in ("relu", "relu_"):
        yield _Step("relu", "")
    elif (name == "flatten" and (rest == (1,) or node.kwargs == {"start_dim": 1})) or (
        name in ("view", "reshape") and len(rest) == 2
    ):
        yield _Step("flatten", "")
    elif name in ("mean", "amax") and _over(node) in ((2, 3), (-2, -1)):
        yield _Step("global", "", pool="max" if name == "amax" else "average")
    elif not (name == "dropout" and (node.kwargs.get("training") is False or rest[1:2] == (False,))):
        raise UnsuitedError(f"has a step that the page does not know: {name}")


POOLING = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")  # as max_pool2d takes them


def _over(node: fx.Node) -> Any:
    """The axes that a mean or a maximum is taken over."""
    given = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
    return tuple(given) if isinstance(given, list | tuple) else given


def _convolution(name: str, module: nn.Conv2d) -> _Step:
    if module.groups != 1 or module.dilation != (1, 1) or module.padding_mode != "zeros":
        raise UnsuitedError(f"has a convolution with groups, dilation or another padding than zeros: {name}")
    padding = module.padding
    if isinstance(padding, str):
        if padding == "same" and not all(side % 2 for side in module.kernel_size):
            raise UnsuitedError(f"has a convolution with uneven padding: {name}")
        padding = tuple(side // 2 for side in module.kernel_size) if padding == "same" else (0, 0)
    return _Step(
        "conv", name, _pair(module.kernel_size), _pair(module.stride), _pair(padding),
        weight=module.weight.double(), bias=_bias(module),
    )  # fmt: skip


def _batch_norm(name: str, module: nn.BatchNorm2d | nn.BatchNorm1d) -> _Step:
    """In eval mode a factor and a bias for each channel."""
    if module.running_mean is None or module.running_var is None:
        raise UnsuitedError(f"has a batch norm that depends on the other images: {name}")
    factor, bias = scale_and_shift(module)
    return _Step("scale", name, weight=factor, bias=bias)


def _max_pool(name: str, module: nn.MaxPool2d) -> _Step:
    if _pair(module.dilation) != (1, 1) or module.ceil_mode or module.return_indices:
        raise UnsuitedError(f"has a max pooling with dilation, rounded up or with indices: {name or 'a function'}")
    return _Step("maxpool", name, _pair(module.kernel_size), _pair(module.stride), _pair(module.padding))


def _bias(module: nn.Conv2d | nn.Linear) -> Tensor:
    return torch.zeros(len(module.weight), dtype=torch.float64) if module.bias is None else module.bias.double()


def _pair(value: Any) -> tuple[int, int]:
    first, second = value if isinstance(value, tuple | list) else (value, value)
    return int(first), int(second)


def _folded(steps: Sequence[_Step], kept: str) -> list[_Step]:
    """The steps with batch norm in the weights of the layer before it, but for those whose output is to be `kept`.

    A max pooling between them commutes with a factor that is not negative; where one is, the batch norm stays.
    """
    found: list[_Step] = []
    for step in steps:
        if step.kind == "scale" and found:
            assert step.weight is not None
            place = len(found) - 1
            if found[place].kind == "maxpool" and found[place].name != kept and bool((step.weight >= 0).all()):
                place -= 1
            before = found[place] if place >= 0 else step
            if before.kind in ("conv", "linear", "scale") and before is not step and before.name != kept:
                found[place] = replace(_scaled(before, step), name="")  # no module's output any more
                found[-1] = replace(found[-1], name=step.name)
                continue
        found.append(step)
    return found


def _scaled(before: _Step, step: _Step) -> _Step:
    assert before.weight is not None
    assert before.bias is not None
    assert step.weight is not None
    assert step.bias is not None
    factor = step.weight.view(-1, *[1] * (before.weight.dim() - 1))
    return replace(before, weight=before.weight * factor, bias=before.bias * step.weight + step.bias)


def _layer(loaded: Loaded, layer: str) -> str:
    """The layer whose maps the report explains; "" where there is none."""
    try:
        return layer or methods.layer_of(loaded.network, loaded.description.input_size)
    except InputError:
        return ""


def _explained(steps: Sequence[_Step], layer: str) -> int:
    """The place of the maps that Grad-CAM explains: of `layer`, or the last before the head, rectified, not pooled.

    The page follows gradients back through anything but a convolution.
    """
    kinds = [step.kind for step in steps]
    if "conv" not in kinds or kinds[-1] != "linear":
        raise UnsuitedError("does not end in a linear layer after convolutions")
    last = max(place for place, kind in enumerate(kinds) if kind == "conv")
    head = next(place for place in range(len(kinds)) if kinds[place] in ("global", "flatten"))
    named = [place for place in range(last, head) if steps[place].name == layer]
    place = named[-1] if named else head - 1
    while not named and kinds[place] == "maxpool":
        place -= 1
    return place


# Fewer bits


def _fewest_bits(
    steps: Sequence[_Step], cam: int, images: Tensor, wanted: tuple[Tensor, Tensor]
) -> tuple[list[LiveStep], tuple[float, float]]:
    """The steps with as few bits in all as agree with the `wanted` logits and maps, and the differences that are left.

    Rounding a step's n weights to b bits moves the logits by e 2^-b, e measured; different steps' errors are
    independent. The sum of their squares is then least for a given size where b = log2(e / sqrt(n)) + constant.
    """
    weighed = {
        place: step.weight.numel()
        for place, step in enumerate(steps)
        if step.kind in ("conv", "linear") and step.weight is not None
    }
    needs = {}
    for place, count in weighed.items():
        alone = [16 if other != place else 8 for other in range(len(steps))]
        moved = _run(_rounded(steps, alone)[1], images) - wanted[0]
        needs[place] = math.log2(max(float(moved.square().mean().sqrt()), 1e-12) / math.sqrt(count))
    least = min(needs.values())
    levels = [
        [min(BITS[1], max(BITS[0], round(level / FINE + need - least))) for need in needs.values()]
        for level in range(FINE * BITS[0], FINE * BITS[1] + 1)
    ]
    spread = [[dict(zip(needs, level, strict=True)).get(place, 0) for place in range(len(steps))] for level in levels]
    small = [bits for bits in spread if _size(steps, bits) <= LARGEST]

    def tried(bits: Sequence[int]) -> tuple[list[LiveStep], tuple[float, float]]:
        quantised, rounded = _rounded(steps, bits)
        logits = _run(rounded, images)
        if not torch.equal(logits.argmax(1), wanted[0].argmax(1)):
            return quantised, (math.inf, math.inf)
        return quantised, (_difference(logits, wanted[0]), _difference(_maps(rounded, cam, images), wanted[1]))

    fewest = bisect.bisect_left(small, True, key=lambda bits: _agree(tried(bits)[1], SHARE)) if small else 0
    best = tried(small[min(fewest, len(small) - 1)]) if small else None
    if best is None or not _agree(best[1], 1):
        raise UnsuitedError(f"would answer otherwise in less than {LARGEST / 2**20:.1f} MiB")
    return best


def _agree(differences: tuple[float, float], share: float) -> bool:
    return all(found <= share * most for found, most in zip(differences, AGREEMENT, strict=True))


def _rounded(steps: Sequence[_Step], bits: Sequence[int]) -> tuple[list[LiveStep], list[_Step]]:
    quantised = [_quantised(step, number) for step, number in zip(steps, bits, strict=True)]
    return quantised, [_of(step, full) for step, full in zip(quantised, steps, strict=True)]


def _quantised(step: _Step, bits: int) -> LiveStep:
    """Whole numbers in ±(2^(bits - 1) - 1), the largest weight of each output channel at an end."""
    if step.weight is None or step.bias is None:
        return LiveStep(step.kind, step.kernel, step.stride, step.padding, step.pool)
    biases = step.bias.float().numpy()
    if step.kind == "scale":
        return LiveStep("scale", factors=step.weight.float().numpy(), biases=biases)
    rows = step.weight.flatten(1)
    factors = (rows.abs().amax(1) / (2 ** (bits - 1) - 1)).float()
    # A channel of zeros alone keeps them.
    integers = (rows / factors.double().clamp_min(torch.finfo(torch.float32).tiny)[:, None]).round().long()
    integers = integers.clamp(1 - 2 ** (bits - 1), 2 ** (bits - 1) - 1)
    return LiveStep(
        step.kind, step.kernel, step.stride, step.padding,
        bits=bits, factors=factors.numpy(), biases=biases, integers=integers.numpy(),
    )  # fmt: skip


def _size(steps: Sequence[_Step], bits: Sequence[int]) -> float:
    """Bytes of the scripts: base64 of two float32 a row, and letters of two bytes that hold fifteen bits each."""
    packed = [
        8 * len(step.weight) * 4 / 3 + step.weight.numel() * number * 2 / 15
        for step, number in zip(steps, bits, strict=True)
        if step.weight is not None
    ]
    return sum(packed)


# Running the steps, to compare


def _whole(step: LiveStep) -> _Step:
    """The step with the weights that the page computes with."""
    full = _Step(step.kind, "", step.kernel, step.stride, step.padding, step.pool)
    if step.integers is None:
        return _of(step, full)
    rows = len(step.integers)
    shape = (rows, -1, *step.kernel) if step.kind == "conv" else (rows, -1)
    return _of(step, replace(full, weight=torch.empty(step.integers.shape).view(shape)))


def _of(step: LiveStep, full: _Step) -> _Step:
    if step.factors is None or step.biases is None:
        return full
    bias = torch.tensor(step.biases)
    if step.integers is None:
        return replace(full, weight=torch.tensor(step.factors), bias=bias)
    assert full.weight is not None
    return replace(full, weight=dequantised(step).view(full.weight.shape), bias=bias)


def _run(steps: Sequence[_Step], images: Tensor) -> Tensor:
    found = images
    for step in steps:
        # What a page knows are maps and vectors: a linear layer on the last axis of maps is another function there.
        if found.dim() not in AXES.get(step.kind, (2, 4)):
            raise UnsuitedError(f"has a {step.kind} layer on {found.dim()} axes: {step.name or 'a function'}")
        found = RUNS[step.kind](step, found)
    return found


AXES = {"conv": (4,), "maxpool": (4,), "global": (4,), "linear": (2,)}


def _maps(steps: Sequence[_Step], cam: int, images: Tensor) -> Tensor:
    """Grad-CAM of each class at a step's output, (N, K, h, w)."""
    with torch.enable_grad():
        activations = _run(steps[: cam + 1], images).detach().requires_grad_()
        logits = _run(steps[cam + 1 :], activations)
        summed = [torch.autograd.grad(logit, activations, retain_graph=True)[0] for logit in logits.sum(0)]
    weights = torch.stack(summed, 1).mean((3, 4))  # (N, K, C, h, w) -> (N, K, C)
    return torch.einsum("nkc,nchw->nkhw", weights, activations.detach()).relu()


def _weights(step: _Step, images: Tensor) -> tuple[Tensor, Tensor]:
    assert step.weight is not None
    assert step.bias is not None
    return step.weight.to(images.dtype), step.bias.to(images.dtype)


def _scale(step: _Step, maps: Tensor) -> Tensor:
    factors, biases = (values.view(-1, *[1] * (maps.dim() - 2)) for values in _weights(step, maps))
    return maps * factors + biases


RUNS: dict[str, Callable[[_Step, Tensor], Tensor]] = {
    "conv": lambda step, maps: F.conv2d(maps, *_weights(step, maps), step.stride, step.padding),
    "scale": _scale,
    "relu": lambda step, maps: maps.relu(),
    "maxpool": lambda step, maps: F.max_pool2d(maps, step.kernel, step.stride, step.padding),
    "global": lambda step, maps: maps.amax((2, 3)) if step.pool == "max" else maps.mean((2, 3)),
    "flatten": lambda step, maps: maps.flatten(1),
    "linear": lambda step, maps: F.linear(maps, *_weights(step, maps)),
}


def _images(photos: Sequence[Photo], size: int, resize: int) -> Tensor:
    """(N, 3, S, S) normalised."""
    seen = [torch.tensor(square(photo.pixels, size, resize)).permute(2, 0, 1) for photo in photos]
    if not seen:
        noise = torch.Generator().manual_seed(0)
        seen = list(torch.randint(0, 256, (4, 3, size, size), generator=noise, dtype=torch.uint8))
    return normalise(torch.stack(seen))


def _difference(found: Tensor, wanted: Tensor) -> float:
    """The largest difference of a value, as a share of the image's largest; infinite for another shape."""
    if found.shape != wanted.shape:
        return math.inf
    largest = wanted.abs().flatten(1).amax(1).clamp_min(torch.finfo(torch.float32).tiny)
    return float(((found - wanted).abs().flatten(1).amax(1) / largest).max())
