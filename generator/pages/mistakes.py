"""What Jinja and the words raise, as one line that names file and line, in words for who does not know Jinja."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from jinja2 import TemplateError, TemplateNotFound
from jinja2.exceptions import TemplateSyntaxError

from generator.base.errors import InputError

# What a mistake in a template or in the use of a filter raises; RecursionError where a template extends itself.
MISTAKES = (
    TemplateError,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    AssertionError,
    RecursionError,
)
PLAINER = {
    "Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).": "expected a range of at most 100,000",
    "Missing end of comment tag": "{# begins a comment, which ends with #}; as text, write {{ '{#' }}",
    "'end of print statement'": "'}}'",
    "'end of statement block'": "'%}'",
    "'begin of statement block'": "'{%'",
}


@contextmanager
def located(known: Iterable[str] = (), begin: tuple[Path, int] | None = None) -> Iterator[None]:
    """Turns a mistake in a template or a content file into one line that names file and line.

    Args:
        known: the names that could have been meant.
        begin: file and line where the words begin, the place of a mistake that names none.
    """
    try:
        yield
    except InputError:
        raise
    except TemplateNotFound as error:
        raise InputError(f"expected a template {error.name} in the folder of templates, there is none") from None
    except TemplateSyntaxError as error:
        raise InputError(f"{error.filename or error.name}:{error.lineno}: {_plain(error.message)}") from None
    except MISTAKES as error:
        place = _place(error.__traceback__)
        if begin and (place is None or place[1] < begin[1]):
            place = (str(begin[0]), begin[1])
        if place is None:
            raise
        raise InputError(f"{place[0]}:{place[1]}: {_plain(str(error))}{_hint(str(error), known)}") from None


def _place(trace: TracebackType | None) -> tuple[str, int] | None:
    """File and line of the innermost frame that is a template or a content file."""
    place = None
    while trace:
        file = trace.tb_frame.f_code.co_filename
        if Path(file).suffix in (".html", ".md", ".xml", ".txt"):
            place = (file, trace.tb_lineno)
        trace = trace.tb_next
    return place


def _hint(message: str, known: Iterable[str]) -> str:
    """ "; did you mean ...?" for an undefined name that is near to a known one."""
    unknown = re.match(r"'(\w+)' is undefined", message)
    near = difflib.get_close_matches(unknown[1], list(known), n=1) if unknown else []
    return f"; did you mean {near[0]!r}?" if near else ""


def _plain(message: str | None) -> str:
    """A message of Jinja's on one line, in words for who does not know Jinja."""
    line = " ".join((message or "").split())
    for said, meant in PLAINER.items():
        line = line.replace(said, meant)
    return line
