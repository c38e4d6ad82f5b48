"""Why logits have no gradient by what is before them: found in the graph, and in what the model does in its pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from generator.base.errors import InputError

# What to do where there can be no gradients.
_WITHOUT = "or explain the model with occlude, which needs no gradients"

_CAUSES = {
    "inference": "its forward runs under torch.inference_mode, which keeps no gradients; take that out",
    "no_grad": "its forward turns gradients off (torch.no_grad); take that out",
    "quantised": "quantised numbers have no gradients; take the model as it was before its conversion",
    "detached": "its forward detaches tensors (Tensor.detach or .data); take that out",
}
_DETACHING = (
    Tensor.detach,
    Tensor.detach_,
    torch.detach,
    vars(torch._C.TensorBase)["data"].__get__,
    Tensor.numpy,
    Tensor.tolist,
)


class Blockers(NamedTuple):
    """Whether the logits' graph reaches a tensor, and the operations in it that hand no gradient on."""

    reached: bool
    blocking: tuple[str, ...]


def blockers(logits: Tensor, point: Tensor) -> Blockers:
    """What lies in the graph between the logits and a tensor without a graph of its own."""
    waiting, seen, blocking = [logits.grad_fn], set(), []
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if getattr(node, "variable", None) is point:
            return Blockers(True, ())
        # So torch names operations for which nobody has written a derivative.
        if type(node).__name__ == "CppFunction" or node.name().endswith("NotImplemented"):
            blocking.append(node.name())
        else:
            waiting += [earlier for earlier, _ in node.next_functions]
    return Blockers(False, tuple(blocking))


class Obstacles(TorchFunctionMode):
    """While active, notes what keeps gradients from going back."""

    def __init__(self) -> None:
        super().__init__()
        self.met: set[str] = set()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if func is torch._C._set_grad_enabled and not args[0]:
            self.met.add("no_grad")
        elif func in _DETACHING:
            self.met.add("detached")
        elif isinstance(output, Tensor):
            if output.is_inference():
                self.met.add("inference")
            if output.is_quantized:
                self.met.add("quantised")
        return output

    def cause(self, found: Blockers) -> str:
        """The end of a sentence that says that there is no differentiable way."""
        for name, text in _CAUSES.items():
            if name in self.met:
                return f", as {text}, {_WITHOUT}"
        if found.blocking:
            return f", as an operation on the way has no derivative (quantised ones have none); {_WITHOUT[3:]}"
        return f": it is not used, or only by steps without a gradient, as rounding and comparing are; {_WITHOUT[3:]}"


@contextmanager
def explained(model: nn.Module) -> Iterator[None]:
    """What torch refuses of inference tensors, or of what was overwritten, as one line with its cause."""
    try:
        yield
    except RuntimeError as error:
        if "modified by an inplace operation" in str(error):
            raise InputError(
                "model: there are no gradients, as its forward overwrites in place what they are calculated from; take "
                f"that out, {_WITHOUT}"
            ) from error
        if "nference tensor" not in str(error):
            raise
        made = any(tensor.is_inference() for tensor in chain(model.parameters(), model.buffers()))
        where = (
            "its parameters were made under torch.inference_mode; make or load the model outside of it"
            if made
            else "its forward runs a part of it under torch.inference_mode; take that out"
        )
        raise InputError(f"model: there are no gradients, as {where}, {_WITHOUT}") from error
