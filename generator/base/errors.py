"""The one exception that a user's input can cause; `__main__` turns it into one line and exit code 1."""

from __future__ import annotations


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line for the terminal: what was expected, what came, how to mend it.
    """
