"""What is asked of an image: a class, one class and not another, several at once, or what speaks against one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from generator.explain.outputs import probabilities


@dataclass(frozen=True)
class Target:
    """The logits of some classes, added up, minus those of others.

    `Target(3, against=5)` asks "why this and not that", the difference of two logits; `Target((2, 7))` for several
    labels at once; `Target(against=0)` of a model with one logit for what speaks against it.
    """

    of: int | tuple[int, ...] = ()
    against: int | tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.classes:
            raise ValueError("Target: expected at least one class, for or against")

    @property
    def classes(self) -> tuple[int, ...]:
        """All that are named."""
        return _several(self.of) + _several(self.against)

    def weights(self, count: int) -> Tensor:
        """(count,) float32, what each logit counts."""
        found = torch.zeros(count)
        for sign, named in ((1, _several(self.of)), (-1, _several(self.against))):
            for index in named:
                found[index] += sign
        return found


def _several(classes: int | tuple[int, ...]) -> tuple[int, ...]:
    return (classes,) if isinstance(classes, int) else tuple(classes)


Targets = Tensor | Sequence[int] | Sequence[int | Target] | NDArray[np.integer] | None
"""One of each image: a class's index, or a `Target`; None: the class that the model predicts."""

Wanted = Tensor | tuple[Target, ...] | None


def check_targets(targets: Targets, count: int) -> Wanted:
    """What can be seen of the targets before the model has run: (N,) indices, or a Target of each image."""
    if targets is None:
        return None
    expected, brief = f"targets: expected one class index for each of {count} images", repr(targets)[:60]
    if isinstance(targets, Target) or (
        not isinstance(targets, Tensor) and (np.isscalar(targets) or not hasattr(targets, "__len__"))
    ):
        raise ValueError(f"{expected}, in a list or a tensor; got {brief}")
    if isinstance(targets, (list, tuple)) and any(isinstance(target, Target) for target in targets):
        return _records(targets, count)
    if isinstance(targets, np.ndarray):
        targets = torch.from_numpy(targets.copy())  # torch warns of arrays that cannot be written
    try:
        wanted = targets if isinstance(targets, Tensor) else torch.as_tensor(targets)
        wanted = wanted if wanted.numel() else wanted.long()  # an empty list is one of floats
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ValueError(f"{expected}, got {brief}") from error
    fits = wanted.shape == (count,) and not (wanted.is_floating_point() or wanted.is_complex())
    if not fits or wanted.dtype == torch.bool:
        raise ValueError(f"{expected}, got {tuple(wanted.shape)} {wanted.dtype}")
    return wanted


def _records(targets: Sequence[Any], count: int) -> tuple[Target, ...]:
    if len(targets) != count:
        raise ValueError(f"targets: expected one for each of {count} images, got {len(targets)}")
    wrong = next((target for target in targets if not isinstance(target, (Target, int, np.integer))), None)
    if wrong is not None:
        raise ValueError(f"targets: expected class indices and Targets, got {wrong!r}")
    return tuple(target if isinstance(target, Target) else Target(int(target)) for target in targets)


def classes_of(wanted: Wanted, logits: Tensor) -> Tensor:
    """Where the logits are: the class of each image, (N,) int64, as wanted or predicted; of Targets (N, K) weights."""
    if wanted is None:
        return logits.detach().argmax(1)
    count = logits.shape[1]
    named = [index for target in wanted for index in target.classes] if isinstance(wanted, tuple) else wanted.tolist()
    outside = [index for index in named if not 0 <= index < count]
    if outside:
        raise ValueError(f"targets: expected class indices from 0 to {count - 1}, got {outside[0]}")
    if isinstance(wanted, tuple):
        return torch.stack([target.weights(count) for target in wanted]).to(logits)
    return wanted.to(logits.device, torch.int64)


def weights_of(classes: Tensor, logits: Tensor) -> Tensor:
    """(N, K) what each logit counts in each image, of what `classes_of` gave."""
    return F.one_hot(classes, logits.shape[1]).to(logits.dtype) if classes.dim() == 1 else classes.to(logits.dtype)


def values_of(logits: Tensor, asked: Tensor) -> Tensor:
    """(P,) the value of one image's target in each of P passes, of logits (P, K) and that image's of `classes_of`."""
    return logits[:, asked] if asked.dim() == 0 else logits @ asked.to(logits)


def chances_of(logits: Tensor, asked: Tensor, apart: bool = False) -> Tensor:
    """(P,) how probable the model finds one image's target.

    Of a class its probability; of one class against another the probability of the first where it is one of the two;
    against a class alone, that it is not that one; of several classes that it is one of them, or, where each has a
    probability of its own, that it is all of them.
    """
    if asked.dim() == 0:
        return probabilities(logits, apart)[:, asked]
    ahead, behind = asked > 0, asked < 0
    if ahead.any() and behind.any():
        return values_of(logits.float(), asked).sigmoid()
    of = probabilities(logits, apart)[:, ahead | behind]
    together = of.prod(1) if apart else of.sum(1)
    return together if ahead.any() else 1 - together
