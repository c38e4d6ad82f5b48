"""Where a model's logits are in what it gives: in tuples, mappings and records, and before a softmax at its end.

Networks that end in a log-softmax, a softmax or a sigmoid are right to, but a heat map is one of a logit: of a
log-probability it is black where the network is sure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

# By the names that torch gives the functions; modules such as nn.LogSoftmax call them.
ENDINGS = {
    "log_softmax": "a log-softmax",
    "softmax": "a softmax",
    "sigmoid": "a sigmoid",
    "logsigmoid": "a log-sigmoid",
}
_PRODUCTS = ("linear", "addmm", "mm", "matmul", "rmatmul")
# Where networks that give several things keep their logits; transformers' records have the first.
_KEYS = ("logits", "out", "output", "prediction", "predictions", "scores", "main")


class Endings(TorchFunctionMode):
    """While active, knows of what each softmax and sigmoid was taken, and which tables (N, D) each table is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.before = WeakTensorKeyDictionary()
        self._numbers = WeakTensorKeyDictionary()  # of the tables, for none of them is to be kept
        self._made: list[tuple[bool, tuple[int, ...]]] = []  # by number: whether by a product, and of which

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if not isinstance(output, Tensor):
            return output
        name = str(getattr(func, "__name__", "")).partition(".")[0].strip("_")  # "softmax.int" of an exported program
        if output.dim() == 2:
            tables = [each for each in (*args, *(kwargs or {}).values()) if isinstance(each, Tensor)]
            if all(each is not output for each in tables):
                self._number(output, name in _PRODUCTS, [self._number(each) for each in tables if each.dim() == 2])
        if name in ENDINGS:
            given = args[0] if args else (kwargs or {}).get("input")
            if isinstance(given, Tensor) and given is not output:
                self.before[output] = given, name
        return output

    def _number(self, table: Tensor, product: bool = False, made_of: Sequence[int] = ()) -> int:
        known: int | None = self._numbers.get(table)  # type: ignore[no-untyped-call]
        if known is None:
            known = len(self._made)
            self._numbers[table] = known
            self._made.append((product, tuple(made_of)))
        return known

    def weighs(self, later: Tensor, earlier: Tensor) -> bool:
        """Whether a table is a product of another, or made of one, as far as that went from table to table."""
        last, aim = (self._numbers.get(table) for table in (later, earlier))  # type: ignore[no-untyped-call]
        waiting, seen = [(last, False)], set()
        while waiting:
            number, weighed = step = waiting.pop()
            if number is not None and step not in seen:
                seen.add(step)
                product, made_of = self._made[number]
                waiting += [(parent, weighed or product) for parent in made_of]
        return aim is not None and (aim, True) in seen


class Answer(NamedTuple):
    """What a model gave, with its logits found where they can be."""

    logits: Any  # (N, K); what the model gave where they are not found
    apart: bool = False  # whether each class has a probability of its own, the sigmoid of its logit


def answer(output: Any, endings: Endings) -> Answer:
    """Of what a model gave while `endings` was active; a single logit (N,), of one image also (), becomes (N, 1)."""
    found = place_of(output, endings)
    if found is None:
        return Answer(output)
    logits, name = endings.before.get(found[1], (found[1], ""))  # type: ignore[no-untyped-call]
    if logits.dim() < 2:
        logits = logits.reshape(-1, 1)  # a squeeze() of one image's logit leaves no axis
    return Answer(logits, name in ("sigmoid", "logsigmoid"))


def answered(model: Any, images: Tensor) -> Answer:
    """A pass, and its logits; each class has a probability of its own where a model says so of itself, too."""
    endings = Endings()
    with endings:
        output = model(images)
    found = answer(output, endings)
    return found._replace(apart=True) if multi_label(model) else found


def multi_label(model: Any) -> bool:
    """Whether a model that gives logits says that each class has a probability of its own: `model.multi_label = True`.

    The numbers do not tell: trained with `BCEWithLogitsLoss`, a model has no sigmoid at its end.
    """
    return getattr(model, "multi_label", False) is True


def place_of(output: Any, endings: Endings, classes: int = 0) -> tuple[str, Tensor] | None:
    """Where the logits are in what a network gives, in words, "" if they are all of it; and the logits.

    Of a mapping or a record under a name that says so, else the first (N, K) of those that no other is a product of, as
    logits are of features, if they have one K. Of what holds none itself those of the one thing in it that does. None
    where there are none, or several that might be.

    Args:
        classes: K where it is known; 0: it is not.
    """
    if isinstance(output, Tensor):
        return "", output
    parts = _parts(output)
    for key in _KEYS:
        for where, name, value in parts:
            if (
                name == key
                and isinstance(value, Tensor)
                and (value.dim() == 2 or (key == "logits" and value.dim() < 2))
            ):
                return where, value
    tables = [(where, value) for where, _, value in parts if isinstance(value, Tensor) and value.dim() == 2]
    if tables:
        ends = [one for one in tables if one[1].shape[1] == classes] or tables
        ends = [one for one in ends if not any(endings.weighs(other, one[1]) for _, other in ends)]
        return ends[0] if len({table.shape[1] for _, table in ends}) == 1 else None
    within = [(where, place_of(value, endings, classes)) for where, _, value in parts if not isinstance(value, Tensor)]
    found = [(f"{inner[0]} in what is {where}", inner[1]) for where, inner in within if inner is not None]
    return found[0] if len(found) == 1 else None


def _parts(output: Any) -> list[tuple[str, str, Any]]:
    """What a mapping, a tuple, a list or a record holds: where, in words, under which name, and what."""
    if isinstance(output, Mapping):
        return [(f'under "{key}"', str(key), value) for key, value in output.items()]
    if isinstance(output, tuple | list):
        names = getattr(output, "_fields", ("",) * len(output))
        return [(f"the {_ordinal(place)}", names[place], value) for place, value in enumerate(output)]
    held = {key: getattr(output, key, None) for key in _KEYS}
    return [(f"under its name {key}", key, value) for key, value in held.items() if value is not None]


def _ordinal(place: int) -> str:
    return ("first", "second", "third")[place] if place < 3 else f"{place + 1}th"


def unfound(output: Any) -> str:
    """What a network gives in which `place_of` found no logits, in words, and what to do."""
    shapes = [tuple(leaf.shape) for leaf in tree_leaves(output) if isinstance(leaf, Tensor) and leaf.dim() == 2]
    if not shapes:
        return f"{called(output)} without any"
    *others, last = map(str, shapes)
    which = f"{', '.join(others)} and {last}" if others else last
    return f'{called(output)} in which any might be them, {which}; give them alone, or under the name "logits"'


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
