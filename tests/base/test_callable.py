"""`generator.report` is a wing of the program and can be called."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import generator
import generator.report.story
from generator.commands import notebook


def test_the_wing_is_called_as_the_function_is() -> None:
    wing: Any = sys.modules["generator.report"]
    assert vars(generator)["report"] is wing
    assert wing.story is sys.modules["generator.report.story"]
    assert inspect.signature(wing) == inspect.signature(notebook.report)


def test_it_is_there_without_being_imported_and_loads_nothing_before_it_is_called() -> None:
    program = (
        "import sys, generator; assert callable(generator.report); from generator import report; "
        "print(*{'torch', 'numpy', 'PIL', 'matplotlib'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""
