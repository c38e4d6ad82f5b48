"""Where a model's logits are in what it gives: in tuples, mappings and records, and before a softmax at its end.

Networks that end in a log-softmax, a softmax or a sigmoid are right to, but a heat map is one of a logit: of a
log-probability it is black where the network is sure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

# By the names that torch gives the functions; modules such as nn.LogSoftmax call them.
ENDINGS = {
    "log_softmax": "a log-softmax",
    "softmax": "a softmax",
    "sigmoid": "a sigmoid",
    "logsigmoid": "a log-sigmoid",
}
# Where networks that give several things keep their logits; transformers' records have the first.
_KEYS = ("logits", "out", "output", "prediction", "predictions", "scores", "main")


class Endings(TorchFunctionMode):
    """While active, knows of what each softmax and sigmoid was taken."""

    def __init__(self) -> None:
        super().__init__()
        self.before = WeakTensorKeyDictionary()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        name = str(getattr(func, "__name__", "")).partition(".")[0].strip("_")  # "softmax.int" of an exported program
        if name in ENDINGS and isinstance(output, Tensor):
            given = args[0] if args else (kwargs or {}).get("input")
            if isinstance(given, Tensor) and given is not output:
                self.before[output] = given, name
        return output


class Answer(NamedTuple):
    """What a model gave, with its logits found where they can be."""

    logits: Any  # (N, K); what the model gave where they are not found
    apart: bool = False  # whether each class has a probability of its own, the sigmoid of its logit


def answer(output: Any, endings: Endings) -> Answer:
    """Of what a model gave while `endings` was active; a single logit (N,), of one image also (), becomes (N, 1)."""
    found = place_of(output)
    if found is None:
        return Answer(output)
    logits, name = endings.before.get(found[1], (found[1], ""))  # type: ignore[no-untyped-call]
    if logits.dim() < 2 and (name or isinstance(output, Tensor)):
        logits = logits.reshape(-1, 1)  # a squeeze() of one image's logit leaves no axis
    return Answer(logits, name in ("sigmoid", "logsigmoid"))


def answered(model: Any, images: Tensor) -> Answer:
    """A pass, and its logits."""
    endings = Endings()
    with endings:
        output = model(images)
    return answer(output, endings)


def place_of(output: Any) -> tuple[str, Tensor] | None:
    """Where the logits are in what a network gives, in words, "" if they are all of it; and the logits.

    Of a mapping under a name that says so, else the first (N, K); of a tuple the first; None where there are none.
    """
    if isinstance(output, Tensor):
        return "", output
    if isinstance(output, Mapping):
        named = {str(key): value for key, value in output.items() if isinstance(value, Tensor)}
        for key in (*_KEYS, *named):
            if key in named and named[key].dim() == 2:
                return f'under "{key}"', named[key]
    elif isinstance(output, tuple | list):
        for place, value in enumerate(output):
            if isinstance(value, Tensor) and value.dim() == 2:
                return f"the {('first', 'second', 'third')[place] if place < 3 else f'{place + 1}th'}", value
    elif isinstance(logits := getattr(output, "logits", None), Tensor):
        return "under its name logits", logits
    return None


def called(output: Any) -> str:
    """What a network gives, in words."""
    if isinstance(output, Mapping):
        keys = ", ".join(str(key) for key in list(output)[:4])
        return f"a {type(output).__name__} ({keys}{', …' if len(output) > 4 else ''})"
    if isinstance(output, tuple | list):
        return f"a {type(output).__name__} of {len(output)}"
    return f"a {type(output).__name__}"


def probabilities(logits: Tensor, apart: bool = False) -> Tensor:
    """(N, K) float32 or wider: the softmax over the classes; of one logit, as of a binary head, the sigmoid.

    Args:
        apart: whether each class has a probability of its own.
    """
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return wide.sigmoid() if apart or logits.shape[1] == 1 else wide.softmax(1)
