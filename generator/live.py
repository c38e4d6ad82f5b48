"""A network as a list of steps that a page can run in plain JavaScript, with weights of few bits.

`Loaded` in, the record `Live` out; or `UnsuitedError` with the reason, for a page must never show a wrong number. The
steps are run here too, and what they answer is compared with what the network answers.
"""

from __future__ import annotations

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

from generator.models import Loaded
from generator.networks import MEAN, STD, in_eval_mode, normalise, stages
from generator.photos import TALL_FIRST, square
from generator.records import Live, LiveStep, Photo

# Weights have as few bits as keep every photo's answer, and its logits within AIM of their largest, so that heat maps
# differ by about a thousandth of theirs. What the script's size does not allow may fall back to AGREEMENT.
AIM = 7.5e-4
AGREEMENT = 5e-3
BITS = (4, 16)
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


def export(loaded: Loaded, photos: Sequence[Photo]) -> Live:
    """The network as a page runs it, tried on the photos.

    Args:
        photos: of the report; without any, images of noise take their place.
    Raises:
        UnsuitedError: where it has a step that the page does not know, would be too large, or answers otherwise.
    """
    described = loaded.description
    with in_eval_mode(loaded.network), torch.no_grad():
        steps = _folded(_steps(loaded.network))
        cam = _explained(steps)
        if (size := _size(steps, [8] * len(steps))) > LARGEST:
            raise UnsuitedError(f"would be {size / 2**20:.0f} MiB, more than a page should load")
        images = _images(photos, described.input_size, described.resize)
        wanted = loaded.network(images).float()
        if wanted.shape != (len(images), len(described.class_names)):
            raise UnsuitedError("does not give one logit a class")
        if not _difference(_run(steps, images), wanted) <= ROUNDING:
            raise UnsuitedError("answers otherwise when its steps are run one by one")
        quantised, difference = _fewest_bits(steps, images, wanted)
    shown = {step.name: place for place, step in enumerate(steps)}
    return Live(
        network=loaded.id,
        steps=tuple(quantised),
        mean=MEAN,
        std=STD,
        cam=cam,
        layer=steps[cam].name,
        stages=tuple((shown[name], name) for name in stages(loaded.network) if shown.get(name, len(steps)) <= cam)
        or ((cam, steps[cam].name),),
        difference=difference,
        photos=len(photos),
        tall_first=TALL_FIRST,
    )


def tried(loaded: Loaded, photos: Sequence[Photo]) -> dict[str, NDArray[Any]]:
    """`export` as arrays that a cache can hold: see `recorded`."""
    try:
        found = export(loaded, photos)
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
    if name in ("relu", "relu_"):
        yield _Step("relu", "")
    elif (name == "flatten" and (rest == (1,) or node.kwargs == {"start_dim": 1})) or (
        name in ("view", "reshape") and len(rest) == 2
    ):
        yield _Step("flatten", "")
    elif name in ("mean", "amax") and _over(node) in ((2, 3), (-2, -1)):
        yield _Step("global", "", pool="max" if name == "amax" else "average")
    elif not (name == "dropout" and node.kwargs.get("training") is False):
        raise UnsuitedError(f"has a step that the page does not know: {name}")


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
    factor = (module.running_var.double() + module.eps).rsqrt()
    if module.affine:
        factor = factor * module.weight.double()
    bias = -module.running_mean.double() * factor
    return _Step("scale", name, weight=factor, bias=bias + module.bias.double() if module.affine else bias)


def _max_pool(name: str, module: nn.MaxPool2d) -> _Step:
    if _pair(module.dilation) != (1, 1) or module.ceil_mode or module.return_indices:
        raise UnsuitedError(f"has a max pooling with dilation, rounded up or with indices: {name}")
    return _Step("maxpool", name, _pair(module.kernel_size), _pair(module.stride), _pair(module.padding))


def _bias(module: nn.Conv2d | nn.Linear) -> Tensor:
    return torch.zeros(len(module.weight), dtype=torch.float64) if module.bias is None else module.bias.double()


def _pair(value: Any) -> tuple[int, int]:
    first, second = value if isinstance(value, tuple | list) else (value, value)
    return int(first), int(second)


def _folded(steps: Sequence[_Step]) -> list[_Step]:
    """The steps with batch norm in the weights of the layer before it.

    A max pooling between them commutes with a factor that is not negative; where one is, the batch norm stays.
    """
    found: list[_Step] = []
    for step in steps:
        if step.kind == "scale" and found:
            assert step.weight is not None
            place = len(found) - 1
            if found[place].kind == "maxpool" and bool((step.weight >= 0).all()):
                place -= 1
            before = found[place] if place >= 0 else step
            if before.kind in ("conv", "linear", "scale") and before is not step:
                found[place] = _scaled(before, step)
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


def _explained(steps: Sequence[_Step]) -> int:
    """The place of the last maps before the head, which Grad-CAM explains: rectified, not pooled.

    Behind it only pooling, flattening and linear layers with ReLUs between them may come: the page's closed form.
    """
    kinds = [step.kind for step in steps]
    if "conv" not in kinds or kinds[-1] != "linear":
        raise UnsuitedError("does not end in a linear layer after convolutions")
    heads = [place for place, kind in enumerate(kinds) if kind in ("global", "flatten")]
    if not heads or any(kind == "conv" for kind in kinds[heads[0] :]):
        raise UnsuitedError("has no head of pooling or flattening and linear layers")
    after = [kind for kind in kinds[heads[0] :] if kind not in ("global", "flatten")]
    if after[0] != "linear" or any(kind not in ("linear", "relu") for kind in after):
        raise UnsuitedError("has a head of more than linear layers and ReLUs")
    place = heads[0] - 1
    while kinds[place] == "maxpool":
        place -= 1
    return place


# Fewer bits


def _fewest_bits(steps: Sequence[_Step], images: Tensor, wanted: Tensor) -> tuple[list[LiveStep], float]:
    """The steps with as few bits in all as agree with `wanted`, and the difference that is left.

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
        moved = _run(_rounded(steps, alone)[1], images) - wanted
        needs[place] = math.log2(max(float(moved.square().mean().sqrt()), 1e-12) / math.sqrt(count))
    least = min(needs.values())
    best: tuple[list[LiveStep], float] | None = None
    for level in range(2 * BITS[0], 2 * BITS[1] + 1):
        bits = [
            min(BITS[1], max(BITS[0], round(level / 2 + needs[place] - least))) if place in needs else 0
            for place in range(len(steps))
        ]
        if _size(steps, bits) > LARGEST:
            break
        quantised, rounded = _rounded(steps, bits)
        logits = _run(rounded, images)
        if bool((logits.argmax(1) == wanted.argmax(1)).all()):
            best = quantised, _difference(logits, wanted)
            if best[1] <= AIM:
                return best
    if best is None or best[1] > AGREEMENT:
        raise UnsuitedError(f"would answer otherwise in less than {LARGEST / 2**20:.1f} MiB")
    return best


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
    """Bytes of the script: base64 of two float32 a row and of the packed numbers."""
    packed = [
        8 * len(step.weight) + step.weight.numel() * number / 8
        for step, number in zip(steps, bits, strict=True)
        if step.weight is not None
    ]
    return sum(packed) * 4 / 3


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
        found = RUNS[step.kind](step, found)
    return found


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


def _difference(logits: Tensor, wanted: Tensor) -> float:
    """The largest difference of a logit, as a share of the image's largest; infinite for another shape."""
    if logits.shape != wanted.shape:
        return math.inf
    return float(((logits - wanted).abs().amax(1) / wanted.abs().amax(1)).max())
