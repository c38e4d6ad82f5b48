"""The types of what words name, without a value: whether a network has what is asked of it.

The types are those that records and facts are annotated with. What no annotation tells, such as what most filters make,
may be anything, and nothing is said of it.
"""

from __future__ import annotations

import difflib
import inspect
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, cached_property, reduce
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from jinja2 import nodes
from jinja2.runtime import LoopContext
from jinja2.visitor import NodeVisitor

from generator.pages.sandbox import SHAPES

Type = Any  # an annotation; Any itself where none is known

# Filters by what comes out: a list of what was in, one of it, or another type.
SAME = {"list", "reject", "rejectattr", "reverse", "select", "selectattr", "sort", "unique"}
ONE = {"first", "last", "max", "min"}
MADE: Mapping[str, Type] = {"count": int, "length": int, "wordcount": int}
ASKED = {"map", "max", "min", "rejectattr", "selectattr", "sort", "sum", "unique"}  # those that are told an attribute
UNSURE = {"defined", "undefined"}  # tests of what need not be there; "default" is such a filter


@dataclass(frozen=True)
class Mistake:
    """What cannot be right whatever the facts are, and its line."""

    message: str
    line: int


@dataclass(frozen=True)
class _Method:
    """What is called, and the type of what it gives."""

    gives: Type


_MISSING = object()


def unsure(tree: nodes.Node) -> Sequence[nodes.Node]:
    """What a template itself takes for something that may be missing."""
    tests = [test.node for test in tree.find_all(nodes.Test) if test.name in UNSURE]
    return [*tests, *(one.node for one in tree.find_all(nodes.Filter) if one.name in ("d", "default") and one.node)]


def mistakes(tree: nodes.Node, known: Mapping[str, Type], unsure: Sequence[nodes.Node]) -> list[Mistake]:
    """Parts that are asked of what has none of that name, in the order in which they stand.

    Args:
        known: the types of names.
        unsure: what may be missing, see `unsure`.
    """
    reading = _Reading(known, unsure)
    reading.visit(tree)
    return sorted(reading.found, key=lambda mistake: mistake.line)


class _Reading(NodeVisitor):
    """Goes through a passage; each visit gives the type of its expression."""

    def __init__(self, known: Mapping[str, Type], unsure: Sequence[nodes.Node]) -> None:
        self.known, self.unsure = dict(known), unsure
        self.found: list[Mistake] = []

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Type:
        """What is not told below may be anything."""
        super().generic_visit(node, *args, **kwargs)
        return Any

    def visit_Const(self, node: nodes.Const) -> Type:  # noqa: N802
        """A text or a number."""
        return type(node.value)

    def visit_Name(self, node: nodes.Name) -> Type:  # noqa: N802
        """As it is known."""
        return self.known.get(node.name, Any)

    def visit_Getattr(self, node: nodes.Getattr) -> Type:  # noqa: N802
        """A part of something."""
        return Any if node in self.unsure else self._part(self.visit(node.node), node.attr, node)

    def visit_Getitem(self, node: nodes.Getitem) -> Type:  # noqa: N802
        """One of several, or as many."""
        whole = self.visit(node.node)
        if isinstance(node.arg, nodes.Slice):
            self.visit(node.arg)
            return whole
        self.visit(node.arg)
        return _merged(_item(one, node.arg) for one in _members(whole))

    def visit_Call(self, node: nodes.Call) -> Type:  # noqa: N802
        """What a method gives."""
        called = self.visit(node.node)
        for part in (*node.args, *node.kwargs):
            self.visit(part)
        return called.gives if isinstance(called, _Method) else Any

    def visit_CondExpr(self, node: nodes.CondExpr) -> Type:  # noqa: N802
        """Either of two."""
        self.visit(node.test)
        return _merged([self.visit(node.expr1), self.visit(node.expr2) if node.expr2 else Any])

    def visit_Filter(self, node: nodes.Filter) -> Type:  # noqa: N802
        """What a filter makes of what comes in."""
        given = Any if node.node is None else self.visit(node.node)
        for part in (*node.args, *node.kwargs):
            self.visit(part)
        element = _merged(_element(one) for one in _members(given))
        asked = [keyword.value for keyword in node.kwargs if keyword.key == "attribute"]
        asked += node.args[:1] if node.name in ("rejectattr", "selectattr") else []
        told = element
        if node.name in ASKED and asked and isinstance(asked[0], nodes.Const) and isinstance(asked[0].value, str):
            told = reduce(lambda whole, name: self._part(whole, name, node), asked[0].value.split("."), element)
        if node.name == "map" and asked:
            return list[told]  # type: ignore[valid-type]
        if node.name in SAME:
            return list[element]  # type: ignore[valid-type]
        return element if node.name in ONE else MADE.get(node.name, Any)

    def visit_For(self, node: nodes.For) -> Type:  # noqa: N802
        """Its name stands for each in turn."""
        several = self.visit(node.iter)
        self.known["loop"] = LoopContext
        self._bind(node.target, _merged(_element(one) for one in _members(several)))
        for part in (*([node.test] if node.test else []), *node.body, *node.else_):
            self.visit(part)
        return Any

    def visit_Assign(self, node: nodes.Assign) -> Type:  # noqa: N802
        """Its name stands for something from here on."""
        self._bind(node.target, self.visit(node.node))
        return Any

    def visit_With(self, node: nodes.With) -> Type:  # noqa: N802
        """Likewise, for as long as it lasts."""
        for target, value in zip(node.targets, node.values, strict=True):
            self._bind(target, self.visit(value))
        for part in node.body:
            self.visit(part)
        return Any

    def visit_AssignBlock(self, node: nodes.AssignBlock) -> Type:  # noqa: N802
        """Likewise, for a text."""
        self._bind(node.target, Any)
        return self.generic_visit(node)

    def _bind(self, target: nodes.Node, kind: Type) -> None:
        """A name that stands for one thing here and for another there may be anything."""
        several = target.items if isinstance(target, nodes.Tuple) else [target]
        for one in several:
            if isinstance(one, nodes.Name):
                kind = kind if one is target else Any
                self.known[one.name] = kind if self.known.get(one.name, kind) == kind else Any

    def _part(self, whole: Type, name: str, node: nodes.Node) -> Type:
        among = _members(whole)
        parts = [_part(one, name) for one in among]
        if not among or any(part is not _MISSING for part in parts):
            return _merged(part for part in parts if part is not _MISSING)
        near = difflib.get_close_matches(name, [one for kind in among for one in _names(kind)], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        self.found.append(Mistake(f"{_said(node)} has no {name!r}{hint}", node.lineno))
        return Any


def _said(node: nodes.Node) -> str:
    """What is asked, as it is written where that is short."""
    whole = node.node if isinstance(node, nodes.Getattr) else None
    if isinstance(whole, nodes.Name):
        return whole.name
    if isinstance(whole, nodes.Getattr):
        return f"{_said(whole)}.{whole.attr}"
    return "each of these" if isinstance(node, nodes.Filter) else "this"


def _members(kind: Type) -> list[Type]:
    """The types that a value may be of, without None; none where it may be anything."""
    if isinstance(kind, _Method):
        return [kind]
    origin: Any = get_origin(kind)
    if origin in (Union, types.UnionType):
        inner = [_members(one) for one in get_args(kind) if one is not type(None)]
        return [one for group in inner for one in group] if all(inner) else []
    if origin is Literal:
        return list({type(value) for value in get_args(kind)})
    return [] if kind in (Any, None, type(None), object) or isinstance(kind, (TypeVar, str)) else [kind]


def _merged(kinds: Iterable[Type]) -> Type:
    """The one type of all of them, else any."""
    several = list(kinds)
    return several[0] if several and all(one == several[0] for one in several) else Any


def _class(kind: Type) -> type | None:
    """The class of a type: tuple of tuple[int, ...]."""
    origin: Any = get_origin(kind)
    base: Any = kind if origin is None else origin
    return base if isinstance(base, type) else None


def _part(kind: Type, name: str) -> Type:
    """The type of a part, _MISSING where there is none of that name for certain."""
    base = _class(kind)
    if base is np.ndarray:
        return Any if name in SHAPES else _MISSING
    if base is not None and issubclass(base, Mapping):
        return Any if hasattr(base, name) else _item(kind, None)
    if base is not None and is_dataclass(base):
        return _parts(base).get(name, _MISSING)
    if base is not None and issubclass(base, (str, int, float, Sequence, LoopContext)):
        return Any if hasattr(base, name) else _MISSING
    return Any


def _names(kind: Type) -> list[str]:
    base = _class(kind)
    return [*_parts(base)] if base is not None and is_dataclass(base) else []


@cache
def _parts(kind: type) -> Mapping[str, Type]:
    """The public parts of a record: fields, properties, methods."""
    found: dict[str, Type] = {field.name: Any for field in fields(kind)}
    found |= {name: hint for name, hint in _hints(kind).items() if not name.startswith("_")}
    for name in dir(kind):
        if name in found or name.startswith("_"):
            continue
        part = inspect.getattr_static(kind, name)
        if isinstance(part, property):
            found[name] = _hints(part.fget).get("return", Any)
        elif isinstance(part, cached_property):
            found[name] = _hints(part.func).get("return", Any)
        else:
            found[name] = _Method(_hints(part).get("return", Any)) if callable(part) else Any
    return found


def _hints(annotated: Any) -> Mapping[str, Type]:
    try:
        return get_type_hints(annotated)
    except (NameError, TypeError):  # of a name that is only there for a type checker
        return {}


def _element(kind: Type) -> Type:
    """The type of each of several."""
    base, inner = _class(kind), get_args(kind)
    if base is not None and issubclass(base, str):
        return str
    if base is tuple:
        return _merged(one for one in inner if one is not ...)
    return inner[0] if inner and base is not None and issubclass(base, (Sequence, Mapping)) else Any


def _item(kind: Type, place: nodes.Node | None) -> Type:
    """The type of what lies at a place."""
    base, inner = _class(kind), get_args(kind)
    if base is not None and issubclass(base, Mapping):
        return inner[1] if len(inner) == 2 else Any
    if base is tuple and ... not in inner and isinstance(place, nodes.Const) and isinstance(place.value, int):
        return inner[place.value] if -len(inner) <= place.value < len(inner) else Any
    return _element(kind)
