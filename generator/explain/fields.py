"""What each tensor of a forward pass sees of the images, and which of its axes are the images' rows and columns.

Every operation is followed as it runs, within modules and outside of them, so no type, name or order is trusted.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from generator.explain.cells import Axis, Seen
from generator.explain.dispatching import Dispatching
from generator.explain.rules import CONSTANTS, Call, after, sides


class Following(Dispatching):
    """While active, knows what each tensor that comes from `images` (N, C, H, W) sees of them."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        unit = Axis(size=1, jump=1, offset=0)
        # The tensors are kept with what they see so that no id is used twice.
        self._kept: dict[int, tuple[Tensor, Seen]] = {}
        self.keep(images, Seen(unit, unit, (-2, -1), (images.shape[2], images.shape[3])))
        self._functions = _Functions(self)

    def __enter__(self) -> Following:
        super().__enter__()  # type: ignore[no-untyped-call]
        self._functions.__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        self._functions.__exit__(*error)  # type: ignore[no-untyped-call]
        super().__exit__(*error)  # type: ignore[no-untyped-call]

    def seen(self, value: Any) -> Seen | None:
        """What one tensor of the pass sees; None if it does not come from the images."""
        return self._kept[id(value)][1] if id(value) in self._kept else None

    def keep(self, tensor: Tensor, seen: Seen) -> None:
        """Note what a tensor sees."""
        self._kept[id(tensor)] = (tensor, seen)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if torch.is_inference_mode_enabled():  # where operations come whole that otherwise come in their parts
            super().__enter__()  # type: ignore[no-untyped-call]
            try:
                output = func.decompose(*args, **(kwargs or {}))
            finally:
                super().__exit__(None, None, None)  # type: ignore[no-untyped-call]
            if output is not NotImplemented:
                return output
        # What a tensor saw that is overwritten does not count.
        read = args[1:] if func is torch.ops.aten.copy_.default else args
        given = [leaf for leaf in tree_leaves((read, kwargs)) if isinstance(leaf, Tensor)]
        parts = [(tuple(leaf.shape), self.seen(leaf)) for leaf in given]  # before an operation in place changes them
        inputs = [(shape, seen) for shape, seen in parts if seen is not None]
        output = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if not inputs or name in CONSTANTS:
            return output
        outputs = [tensor for tensor in tree_leaves(output) if isinstance(tensor, Tensor)]
        for number, tensor in enumerate(outputs):
            self.keep(tensor, after(Call(func, args, kwargs or {}, tensor, number, parts), inputs))
        base = outputs[0]._base if outputs and func._schema.is_mutable else None
        if base is not None and base.numel() != outputs[0].numel():
            self.keep(base, inputs[-1][1].mixed(f"{name} (only a part of a tensor is written)"))
        return output


class _Functions(TorchFunctionMode):
    """Functions that are regular as a whole, while the operations that they consist of are not."""

    def __init__(self, following: Following) -> None:
        super().__init__()
        self.following = following

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        seen = self.following.seen(args[0]) if args else None
        if seen is None or seen.at is None or not isinstance(output, Tensor):
            return output
        if func in (F.pad, torch._C._nn.pad):
            given = dict(zip(("pad", "mode"), args[1:3], strict=False)) | (kwargs or {})
            if given.get("mode") == "circular" and seen.at == (-2, -1) and len(given["pad"]) == 4:
                left, _, top, _ = given["pad"]
                self.following.keep(output, seen.slid([(1, 1, top, 1), (1, 1, left, 1)], sides(output, seen.at)))
        elif func in _PRODUCTS and not any(self.following.seen(leaf) for leaf in tree_leaves((args[1:], kwargs))):
            # Each cell's last axis is multiplied by a matrix that is the same for all of them.
            by_cell = -1 not in seen.at and output.dim() == args[0].dim()
            self.following.keep(output, seen if by_cell else self.following.seen(output) or seen.mixed("matmul"))
        return output


_PRODUCTS = (F.linear, torch.matmul, Tensor.matmul, Tensor.__matmul__)
