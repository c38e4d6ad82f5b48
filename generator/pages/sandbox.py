"""The language of the words: Jinja cut down to numbers and sentences, for files that somebody else may have written.

Words can show values, ask `if`, go through lists and name things; they cannot call, open, import or change anything.
What is allowed is listed, everything else is refused. Each passage has a number of steps, of which every round of a
loop, every filter and every piece of text takes some, so that none runs for ever or grows beyond bounds: the same
passage is refused on a fast machine and on a slow one.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import is_dataclass
from functools import wraps
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from jinja2 import Environment, StrictUndefined, Undefined, nodes, pass_context, pass_environment
from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.filters import do_sum
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from generator.report.portrait import Portrait

STEPS = 1_000_000  # of one passage: a second or two of the slowest kind, a hundred times what the longest needs
SPARE = 10 * STEPS  # of all passages together, beyond the
USUAL = 20_000  # that each has every time it is shown: a page may be repeated for thousands of photos
DEEPEST = 40  # Python's own compiler gives up at 200 brackets, which are about four a level
LARGEST = 2**64  # of whole numbers that are reckoned with
FARTHEST = 10_000  # of a number that tells a filter how much: digits, a length
# Filters whose numbers are values, as a count of images or what others are compared with, and say not how much.
OF_VALUES = ("share", "select", "reject", "selectattr", "rejectattr", "default", "d")

# fmt: off
NODES = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.For, nodes.If, nodes.Assign, nodes.AssignBlock, nodes.With,
    nodes.FilterBlock, nodes.Name, nodes.NSRef, nodes.Const, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Filter,
    nodes.Test, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.CondExpr, nodes.Call, nodes.Keyword,
    nodes.Pair, nodes.List, nodes.Tuple, nodes.Dict, nodes.Concat, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div,
    nodes.FloorDiv, nodes.Mod, nodes.Pow, nodes.Neg, nodes.Pos,
)
# Of Jinja's own filters those whose result is about as large as what goes in.
KEPT = (
    "abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float", "groupby", "int",
    "items", "join", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr",
    "reverse", "round", "safe", "select", "selectattr", "sort", "string", "striptags", "title", "trim", "truncate",
    "unique", "upper", "urlencode", "wordcount",
)
METHODS: Mapping[type, frozenset[str]] = {
    str: frozenset((
        "lower", "upper", "title", "capitalize", "strip", "lstrip", "rstrip", "startswith", "endswith", "removeprefix",
        "removesuffix", "split", "partition", "count", "find",
    )),
    Mapping: frozenset(("get", "keys", "values", "items")),
    Sequence: frozenset(("index", "count")),
    LoopContext: frozenset(("cycle", "changed")),
    Portrait: frozenset(("look",)),
}
# fmt: on
SHAPES = frozenset(("shape", "size", "ndim"))  # what an array tells of itself
OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
}

T = TypeVar("T")


class WordsEnvironment(ImmutableSandboxedEnvironment):
    """Jinja for words that are not trusted; `begin` gives a passage its steps."""

    intercepted_binops = frozenset(OPERATORS)

    def __init__(
        self, filters: Mapping[str, Callable[..., Any]], shared: Mapping[str, Any], show: Callable[[Any], Any]
    ) -> None:
        super().__init__(
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            # That it gets a context keeps Jinja from calling it for constants, after they were made text.
            finalize=pass_context(lambda _, value: show(self._printable(value))),
        )
        self.spare, self.steps = SPARE, 0
        known: dict[str, Callable[..., Any]] = {name: self.filters[name] for name in KEPT}
        known |= {"sum": _sum, "replace": self._replaced, **filters}
        self.filters = {name: self._counted(name, function, name in OF_VALUES) for name, function in known.items()}
        self.filters |= {_WEIGHED: self.weighed, _ROUNDS: self._taken}
        tests: Mapping[str, Any] = self.tests
        self.tests = {name: self._counted(name, test, far=True) for name, test in tests.items()}
        self.globals = {**{name: self.globals[name] for name in ("range", "namespace")}, **shared}

    def begin(self) -> None:
        """All steps again, for the next passage, as far as the ones before it have left some."""
        self.spare += self.steps + USUAL
        self.steps = min(STEPS, self.spare)
        self.spare -= self.steps

    def checked(self, source: str, name: str) -> nodes.Template:
        """The passage, parsed, with every loop and everything that can grow counting its steps.

        Raises:
            TemplateSyntaxError: for what is no Jinja, or more of it than words may use.
        """
        self._shallow(source, name)
        tree = self.parse(source, name, name)
        waiting: list[tuple[nodes.Node, ...]] = [(tree,)]  # each with those that it is in, which are before it
        while waiting:
            path = waiting.pop()
            if wrong := self._wrong(path[-1], len(path) - 1):
                raise TemplateSyntaxError(wrong, next(filter(None, map(_line, reversed(path))), 1), name, name)
            waiting += [(*path, child) for child in path[-1].iter_child_nodes()]
        _Counting().visit(tree)
        return tree

    def spend(self, steps: int) -> None:
        """Take steps from the passage.

        Raises:
            SecurityError: if it has none left.
        """
        self.steps -= steps
        if self.steps < 0:
            raise SecurityError("these words take too many steps; shorten the loops or the texts")

    def weighed(self, value: T) -> T:
        """The value, of which each letter and each item has taken a step."""
        waiting: list[Any] = [value]
        while waiting:
            one = waiting.pop()
            self.spend(len(one) + 1 if isinstance(one, (str, bytes, Sequence, Mapping, set)) else 1)
            if isinstance(one, Mapping):
                waiting += [*one, *one.values()]
            elif isinstance(one, (Sequence, set)) and not isinstance(one, (str, bytes, range)):
                waiting += one
        return value

    # What Jinja asks of its environment

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Whether words may read it: a record's field or fact, a method that only looks, an array's shape."""
        if attr.startswith("_"):
            return False
        if callable(value):
            return _is_method(obj, attr)
        if isinstance(obj, np.ndarray):
            return attr in SHAPES
        return is_dataclass(obj) or isinstance(obj, (LoopContext, Namespace))

    def is_safe_callable(self, obj: Any) -> bool:
        """Whether words may call it."""
        if obj is Namespace or obj is self.globals["range"] or isinstance(obj, Undefined):
            return True
        return _is_method(getattr(obj, "__self__", None), getattr(obj, "__name__", ""))

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:
        """What stands for something that words may not read; the message comes when it is used."""
        if isinstance(obj, Undefined):
            return obj
        message = f"words cannot ask for {attribute!r} of {_named(obj)}"
        return self.undefined(message, name=attribute, obj=obj, exc=SecurityError)

    def wrap_str_format(self, value: Any) -> None:
        """No format strings: a width in them is as much memory as its author likes."""

    def getitem(self, obj: Any, argument: Any) -> Any:
        """One item; of an array by its numbers alone, since a list of them copies as often as it is long."""
        if isinstance(obj, np.ndarray) and not all(
            isinstance(part, int) for part in (argument if isinstance(argument, tuple) else (argument,))
        ):
            raise SecurityError("expected whole numbers as places in an array")
        return super().getitem(obj, argument)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """A call of what is safe; its arguments take their steps."""
        if not __self.is_safe_callable(__obj):
            raise SecurityError(f"words cannot call {_named(__obj)}")
        __self.weighed((getattr(__obj, "__self__", None), *args, *kwargs.values()))
        return __context.call(__obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ARG002
        """Arithmetic with numbers of a size that is meant; + and * of texts and lists within the passage's steps."""
        left, right = (one.item() if isinstance(one, np.generic) else one for one in (left, right))
        if _is_number(left) and _is_number(right):
            if any(isinstance(one, int) and abs(one) >= LARGEST for one in (left, right)):
                raise SecurityError("expected numbers below 2^64")
            if operator == "**" and abs(right) > 64:
                raise SecurityError("expected an exponent of at most 64")
        elif operator == "+" and isinstance(left, (str, list, tuple)):
            self.weighed((left, right))
        elif operator == "*" and isinstance(left, (str, list, tuple)) and isinstance(right, int):
            self.weighed(left)
            self.spend(max(0, right - 1) * (len(left) + 1))
        else:
            raise TypeError(f"expected two numbers for {operator}, got {_named(left)} and {_named(right)}")
        return OPERATORS[operator](left, right)

    # What the checked tree calls

    def _taken(self, items: Iterable[T], steps: int = 1) -> list[T]:
        """All items, as far as there are `steps` for each: the rounds of a loop, the result of a filter."""
        taken = list(islice(items, self.steps // steps + 1))
        self.spend(len(taken) * steps)
        return taken

    def _counted(self, name: str, function: Callable[..., Any], far: bool = False) -> Callable[..., Any]:
        """A filter or test whose arguments and result take steps; `far` is whether its numbers may be of any size."""

        @wraps(function)
        def counted(*args: Any, **kwargs: Any) -> Any:
            value, *how = args[1:] if hasattr(function, "jinja_pass_arg") else args
            how += kwargs.values()
            if large := [one for one in how if isinstance(one, int) and abs(one) > FARTHEST and not far]:
                raise SecurityError(f"{name}: expected a number of at most {FARTHEST:,}, got {large[0]:.3g}")
            self.weighed((value, *how))
            if name == "join" and isinstance(value, Sized):  # it puts its text between all of them
                self.spend(len(value) * sum(len(one) for one in how if isinstance(one, str)))
            found = function(*args, **kwargs)
            return self.weighed(self._taken(found) if isinstance(found, Iterator) else found)

        return counted

    def _replaced(self, value: str, old: str, new: str) -> str:
        self.spend(str(value).count(str(old)) * len(str(new)))
        return str(value).replace(str(old), str(new))

    def _printable(self, value: Any) -> Any:
        """The value, if it is text, a number or a list of such."""
        waiting = [self.weighed(value)]
        while waiting:
            one = waiting.pop()
            if isinstance(one, (list, tuple)):
                waiting += one
            elif isinstance(one, Undefined):
                str(one)  # raises what it stands for
            elif not (one is None or isinstance(one, (str, np.generic)) or _is_number(one)):
                raise SecurityError(f"expected a text or a number to show, got {_named(one)}; name a part of it")
        return value

    def _wrong(self, node: nodes.Node, depth: int) -> str:
        """What is wrong with one part of a passage, "" for nothing."""
        if depth > DEEPEST:
            return "this is too long or too deeply nested; say it in parts"
        if not isinstance(node, NODES):
            name = type(node).__name__.lower()
            return f"words may use if, for and set, got {name}; what is more than words belongs into templates/"
        if isinstance(node, nodes.For) and node.recursive:
            return "words have no recursive loops"
        if isinstance(node, nodes.Filter) and node.name in JINJA_FILTERS and node.name not in self.filters:
            known = ", ".join(sorted(filter(str.isalpha, self.filters)))
            return f"words may not use the filter {node.name}, only {known}"
        return ""

    def _shallow(self, source: str, name: str) -> None:
        """Refuse brackets so deep that the parser would run out of its own depth, and numbers that Python refuses."""
        depth = 0
        for line, kind, text in self.lex(source, name, name):
            if kind == "operator":
                depth += (text in "([{") - (text in ")]}")
                if depth > DEEPEST // 2:
                    raise TemplateSyntaxError("the brackets are too deeply nested", line, name, name)
            elif kind in ("integer", "float") and len(text) > 400:
                raise TemplateSyntaxError("expected a shorter number", line, name, name)


def _line(node: nodes.Node) -> int:
    """A part's line, or that of the first part of it that has one, as some have none; 0 where none has."""
    return node.lineno or next((part.lineno for part in node.find_all(nodes.Node) if part.lineno), 0)


_WEIGHED, _ROUNDS = "-weighed", "-rounds"  # no filter's name can be written like this


class _Counting(NodeTransformer):
    """Puts what counts steps around everything in a tree that repeats, collects, copies or compares."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        size = 1 + sum(1 + len(getattr(inner, "data", "")) for part in node.body for inner in part.find_all(nodes.Node))
        self.generic_visit(node)
        node.iter = _filtered(node.iter, _ROUNDS, nodes.Const(size))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.nodes = [_filtered(part, _WEIGHED) for part in node.nodes]
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.expr = _filtered(node.expr, _WEIGHED)
        for other in node.ops:
            other.expr = _filtered(other.expr, _WEIGHED)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            node.node = _filtered(node.node, _WEIGHED)
        return node

    def visit_List(self, node: nodes.List) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filtered(node, _WEIGHED)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filtered(node, _WEIGHED)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return node if node.ctx == "store" else _filtered(node, _WEIGHED)


def _filtered(node: nodes.Node, name: str, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)


def _is_method(obj: Any, name: str) -> bool:
    return any(isinstance(obj, kind) and name in names for kind, names in METHODS.items())


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _named(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


@pass_environment
def _sum(environment: Environment, items: Iterable[Any], attribute: str | None = None) -> Any:
    return do_sum(environment, items, attribute)
