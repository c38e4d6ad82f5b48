"""A watch over the operations that torch runs, which does not make it load its compiler."""

from __future__ import annotations

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class Dispatching(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A `TorchDispatchMode` without what torch does for each: keep its compiler out, for which it loads that.

    Importing torch._dynamo and sympy takes more than a second and 150 MB in each process. Nothing is compiled while a
    model is explained (see `evaluating`), so there is nobody to be kept out.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __init_subclass__(cls, **options: Any) -> None:
        super(TorchDispatchMode, cls).__init_subclass__(**options)
