"""The fewest bits in which a page's network still answers as the network does."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, partial

import torch
from torch import Tensor

from generator.live.running import cam_and_logits, difference, run_steps, with_weights_of
from generator.live.trace import Step, UnsuitedError
from generator.records.live import LiveStep

# What weights of few bits may change a photo's logits and heat maps by at most, as a share of the largest value. They
# have as few bits as change a SHARE of it, for other photos than the report's may be changed by more.
AGREEMENT = (5e-3, 1e-3)
SHARE = 0.25
BITS = (4, 16)
FINE = 4  # steps of the search a bit
FEW = 6  # images that the search looks at; what it finds is tried on all
# Of the script: 4 MiB with the page around it.
LARGEST = 4 * 2**20 - 256 * 2**10


# Fewer bits


def fewest_bits(
    steps: Sequence[Step], cam: int, images: Tensor, wanted: tuple[Tensor, Tensor]
) -> tuple[list[LiveStep], tuple[float, float]]:
    """The steps with as few bits in all as agree with the `wanted` logits and maps, and the differences that are left.

    Rounding a step's n weights to b bits moves the logits by e 2^-b, e measured; different steps' errors are
    independent. The sum of their squares is then least for a given size where b = log2(e / sqrt(n)) + constant.

    A few images show from how many bits on they agree; from there on up, all are asked.
    """
    some = sorted({place * len(images) // FEW for place in range(FEW)})
    rounded = cache(partial(_rounded, steps))
    weighed = {
        place: step.weight.numel()
        for place, step in enumerate(steps)
        if step.kind in ("conv", "linear") and step.weight is not None
    }
    fine = [rounded(place, 16)[1] for place in range(len(steps))]
    needs, before = {}, images[some]
    for place, step in enumerate(fine):
        if (held := weighed.get(place)) is not None:
            moved = run_steps([rounded(place, 8)[1], *fine[place + 1 :]], before) - wanted[0][some]
            needs[place] = math.log2(max(float(moved.square().mean().sqrt()), 1e-12) / math.sqrt(held))
        before = run_steps([step], before)
    least = min(needs.values())
    levels = [
        [min(BITS[1], max(BITS[0], round(level / FINE + need - least))) for need in needs.values()]
        for level in range(FINE * BITS[0], FINE * BITS[1] + 1)
    ]
    spread = [[dict(zip(needs, level, strict=True)).get(place, 0) for place in range(len(steps))] for level in levels]
    small = [bits for bits in spread if size_in_bytes(steps, bits) <= LARGEST]

    def tried(bits: Sequence[int], of: Sequence[int]) -> tuple[list[LiveStep], tuple[float, float]]:
        pairs = [rounded(place, number) for place, number in enumerate(bits)]
        quantised = [few for few, _ in pairs]
        maps, logits = cam_and_logits([full for _, full in pairs], cam, images[of])
        if not torch.equal(logits.argmax(1), wanted[0][of].argmax(1)):
            return quantised, (math.inf, math.inf)
        return quantised, (difference(logits, wanted[0][of]), difference(maps, wanted[1][of]))

    best, every = None, list(range(len(images)))
    for bits in small[_first(small, lambda bits: _excess(tried(bits, some)[1])) :]:
        best = tried(bits, every)
        if _excess(best[1]) <= SHARE:
            break
    if best is None or _excess(best[1]) > 1:
        raise UnsuitedError(f"would answer otherwise in less than {LARGEST / 2**20:.1f} MiB")
    return best


def _first(levels: Sequence[Sequence[int]], excess: Callable[[Sequence[int]], float]) -> int:
    """The first of these levels that differs by no more than a SHARE of what it may, the last where none does.

    As by bisection; but a bit more halves what a level differs by, so that each that was looked at tells about where
    the first lies, and the next is looked at there. Every third halves what is left, whatever is told.
    """
    low, high = -1, len(levels) - 1
    guess, trial = high // 2, 0
    while high - low > 1:
        trial += 1
        found = excess(levels[guess])
        low, high = (low, guess) if found <= SHARE else (guess, high)
        told = guess + math.ceil(FINE * math.log2(max(found, 1e-9) / SHARE)) if found < math.inf else None
        guess = (low + high) // 2 if told is None or trial % 3 == 0 else min(max(told, low + 1), high - 1)
    return max(high, 0)


def _excess(differences: tuple[float, float]) -> float:
    """How much of what the logits and the maps may differ by they do, of both the larger; infinite for no number."""
    if any(map(math.isnan, differences)):
        return math.inf
    return max(found / most for found, most in zip(differences, AGREEMENT, strict=True))


def _rounded(steps: Sequence[Step], place: int, bits: int) -> tuple[LiveStep, Step]:
    quantised = _quantised(steps[place], bits)
    return quantised, with_weights_of(quantised, steps[place])


def _quantised(step: Step, bits: int) -> LiveStep:
    """Whole numbers in ±(2^(bits - 1) - 1), the largest weight of each output channel at an end."""
    if step.weight is None or step.bias is None:
        return LiveStep(step.kind, step.kernel, step.stride, step.padding, step.pool)
    biases = step.bias.float().numpy()
    if step.kind == "scale":
        return LiveStep("scale", factors=step.weight.float().numpy(), biases=biases)
    rows = step.weight.flatten(1)
    factors = (rows.abs().amax(1) / (2 ** (bits - 1) - 1)).float()
    # A channel of zeros alone keeps them.
    integers = (rows / factors.double().clamp_min(torch.finfo(torch.float32).tiny)[:, None]).round().int()
    integers = integers.clamp(1 - 2 ** (bits - 1), 2 ** (bits - 1) - 1)
    return LiveStep(
        step.kind, step.kernel, step.stride, step.padding,
        bits=bits, factors=factors.numpy(), biases=biases, integers=integers.numpy(),
    )  # fmt: skip


def size_in_bytes(steps: Sequence[Step], bits: Sequence[int]) -> float:
    """Bytes of the scripts: base64 of two float32 a row, and letters of two bytes that hold fifteen bits each."""
    packed = [
        8 * len(step.weight) * 4 / 3 + step.weight.numel() * number * 2 / 15
        for step, number in zip(steps, bits, strict=True)
        if step.weight is not None
    ]
    return sum(packed)
