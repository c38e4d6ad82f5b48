"""Batch norm folded into the convolution before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from generator.live.trace import Step


def folded(steps: Sequence[Step], kept: str) -> list[Step]:
    """The steps with batch norm in the weights of the layer before it, but for those whose output is to be `kept`.

    A max pooling between them commutes with a factor that is not negative; where one is, the batch norm stays.
    """
    found: list[Step] = []
    for step in steps:
        if step.kind == "scale" and found:
            assert step.weight is not None
            place = len(found) - 1
            if found[place].kind == "maxpool" and found[place].name != kept and bool((step.weight >= 0).all()):
                place -= 1
            before = found[place] if place >= 0 else step
            if before.kind in ("conv", "linear", "scale") and before is not step and before.name != kept:
                found[place] = replace(scaled(before, step), name="")  # no module's output any more
                found[-1] = replace(found[-1], name=step.name)
                continue
        found.append(step)
    return found


def scaled(before: Step, step: Step) -> Step:
    """A convolution or linear step with a scale and a shift after it taken in."""
    assert before.weight is not None
    assert before.bias is not None
    assert step.weight is not None
    assert step.bias is not None
    factor = step.weight.view(-1, *[1] * (before.weight.dim() - 1))
    return replace(before, weight=before.weight * factor, bias=before.bias * step.weight + step.bias)
