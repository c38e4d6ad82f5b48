"""A package that can be called: `generator.report` is a wing of the program, and the way to a report from Python."""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType
from typing import Any


class CallablePackage(ModuleType):
    """A package whose call is that of a function of another module, which is imported when it is called.

    The package's `CALLS` names it: "generator.commands.notebook:report".
    """

    CALLS: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the function gives."""
        return self._function(*args, **kwargs)

    @property
    def __signature__(self) -> inspect.Signature:
        """The function's, as notebooks show it."""
        return inspect.signature(self._function)

    @property
    def _function(self) -> Any:
        module, _, name = self.CALLS.partition(":")
        return getattr(importlib.import_module(module), name)
