"""A device for tests that no machine need have: it calculates on the processor, and is as strict as a GPU.

Within `elsewhere()` the device AWAY, which PyTorch calls "meta", holds numbers: `network.to(AWAY)` moves a network
there, `.cpu()` brings tensors back, and what mixes tensors of both, or reads one by `.numpy()`, fails as it does with
CUDA. So a mistake with devices is found by a machine without a GPU; how a GPU rounds is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

AWAY = torch.device("meta")
CPU = torch.device("cpu")
BETWEEN = ("_to_copy", "to", "copy_", "_copy_from", "is_same_size")  # what may have tensors of two devices
MAKING = (torch.tensor, torch.as_tensor)  # on "meta" PyTorch does not even look at their numbers


class _Away(Tensor):
    """A tensor on AWAY: a shell for autograd and a tensor of the processor with the numbers."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> _Away:
        return Tensor._make_wrapper_subclass(
            cls, here.size(), here.stride(), here.storage_offset(), dtype=here.dtype, device=AWAY
        )

    def __init__(self, here: Tensor) -> None:
        self.here = here

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _calculated(func, args, kwargs or {})

    def tolist(self) -> Any:  # which copies from a GPU of its own accord
        return self.detach().cpu().tolist()

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"away({self.here})"


class _Device(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _calculated(func, args, kwargs or {})


class _Makers(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        if func in MAKING and given.get("device") == AWAY:
            return func(*args, **{**given, "device": CPU}).to(given["device"])
        if func is Tensor.__getitem__ and isinstance(args[1], list):
            return args[0][torch.tensor(args[1])]
        return func(*args, **given)


@contextmanager
def elsewhere() -> Iterator[torch.device]:
    """The device, which is there until the block ends."""
    # Tensors of inference mode cannot be shells, without it they are the same; and no backend is called "meta".
    inference = mock.patch.object(torch, "inference_mode", lambda on=True: torch.no_grad() if on else nullcontext())
    rounding = mock.patch.object(torch, "autocast", _autocast)
    with inference, rounding, _Makers(), _Device():  # type: ignore[no-untyped-call]
        yield AWAY


def _autocast(device: str, *, dtype: torch.dtype, enabled: bool) -> AbstractContextManager[None]:
    assert not enabled, f"{device}: {dtype} is not what is tested here"
    return nullcontext()


def _calculated(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What an operation gives, on the device that it names, else on that of what it is given."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    away = any(isinstance(leaf, _Away) for leaf in tensors)
    named = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.device)]
    goes = named[0] == AWAY if named else away
    name = func.overloadpacket.__name__
    if away and name not in BETWEEN:
        _refuse_mixtures(name, args, kwargs, tensors)
    if goes and isinstance(kwargs.get("generator"), torch.Generator):
        raise RuntimeError(f"{name}: expected a generator of the device, got one of the processor")
    here = tree_map_only(torch.device, lambda _: CPU, tree_map_only(_Away, _numbers, (args, kwargs)))
    # A copy to another device is one, also where both calculate in one place.
    found = func(*here[0], **{**here[1], **({"copy": True} if name == "to" else {})})
    if func._schema.is_mutable and tensors and name != "native_batch_norm":
        changed = [
            given
            for given, argument in zip(args, func._schema.arguments, strict=False)
            if argument.alias_info is not None and argument.alias_info.is_write
        ]
        changed += [kwargs[key.name] for key in func._schema.arguments if key.name in kwargs and key.is_out]
        if len(changed) == 1 and isinstance(found, Tensor):
            return changed[0]
    return tree_map_only(Tensor, _Away, found) if goes else found


def _numbers(tensor: _Away) -> Tensor:
    return tensor.here


def _refuse_mixtures(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], tensors: list[Tensor]) -> None:
    """As CUDA does: a number of the processor may take part, and indices that pick from a tensor of the device."""
    picking = name in ("index", "index_put", "index_put_", "_index_put_impl_") and isinstance(args[0], _Away)
    allowed = {id(leaf) for leaf in tree_leaves(args[1])} if picking else set()
    mixed = [leaf for leaf in tensors if not isinstance(leaf, _Away) and leaf.dim() > 0 and id(leaf) not in allowed]
    if mixed:
        shape = tuple(mixed[0].shape)
        raise RuntimeError(
            f"{name}: expected all tensors to be on the same device, found one of the processor, {shape}"
        )
