"""The addresses that CSS has a browser fetch: text in, references out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import tinycss2

from generator.publishing.check.references import Kind, Reference

ONE_STRING = ("url", "src")
MANY_STRINGS = ("image-set", "-webkit-image-set")
# What may stand before an @import: behind anything else browsers pass it over (CSS Cascading 5, section 2).
BEFORE_IMPORTS = ("charset", "import", "layer")


@lru_cache(maxsize=64)  # every site of this program has the same ones
def of_style(text: str) -> tuple[Reference, ...]:
    """References of a style sheet."""
    return tuple(_of_rules(text))


def _of_rules(text: str) -> Iterator[Reference]:
    importing = True
    for rule in tinycss2.parse_stylesheet(text, skip_comments=True, skip_whitespace=True):
        keyword = getattr(rule, "lower_at_keyword", "")
        content = getattr(rule, "content", None)
        importing = importing and keyword in BEFORE_IMPORTS and content is None
        if importing and keyword == "import":
            yield from _references(_imported(rule.prelude), "style")
        if content:
            yield from _references(_in_block(content), "image")


@lru_cache(maxsize=1024)  # the same ones stand on many pages
def of_attribute(text: str) -> tuple[Reference, ...]:
    """References of a style attribute."""
    return tuple(_references(_in_block(text), "image")) if "(" in text else ()


def of_value(text: str) -> tuple[Reference, ...]:
    """References of the value of one property, which in SVG may stand as an attribute."""
    return of_attribute(f"x:{text}")


def _references(addresses: Iterable[str], kind: Kind) -> Iterator[Reference]:
    """Without those of nothing; a fragment alone is a filter or a gradient of the page that the style is used on."""
    return (Reference(address, kind) for address in addresses if address and not address.startswith("#"))


def _imported(prelude: Iterable[Any]) -> Iterator[str]:
    for token in prelude:
        if token.type == "string":
            yield token.value
        elif token.type not in ("whitespace", "comment"):
            yield from _of_token(token)
        if token.type not in ("whitespace", "comment"):
            return  # then come layers and conditions


def _in_block(content: str | list[Any]) -> Iterator[str]:
    """Addresses in declarations, those of rules inside it too; in names and conditions of rules nothing is fetched."""
    blocks = [content]
    while blocks:
        for part in tinycss2.parse_blocks_contents(blocks.pop(), skip_comments=True, skip_whitespace=True):
            if part.type == "declaration":
                yield from _in_value(part.value)
            elif getattr(part, "content", None):
                blocks.append(part.content)


def _in_value(tokens: list[Any]) -> Iterator[str]:
    waiting = tokens[::-1]
    while waiting:
        token = waiting.pop()
        yield from _of_token(token)
        waiting += reversed(getattr(token, "arguments", None) or getattr(token, "content", None) or ())


def _of_token(token: Any) -> Iterator[str]:
    if token.type == "url":
        yield token.value
    elif token.type == "function" and token.lower_name in (*ONE_STRING, *MANY_STRINGS):
        strings = [one.value for one in token.arguments if one.type == "string"]
        yield from strings[:1] if token.lower_name in ONE_STRING else strings
