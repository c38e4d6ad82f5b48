"""What a site's file says about itself: HTML, SVG, CSS and scripts in; addresses, ids and nameless pictures out."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

import webencodings

from generator.publishing.check.markup import of_page, of_xml
from generator.publishing.check.references import Document, Reference
from generator.publishing.check.styles import of_style

STYLE, DRAWING, XML, MANIFEST = ".css", ".svg", ".xml", ".webmanifest"
SCRIPTS = (".js", ".mjs")


def is_parsed(path: str) -> bool:
    """Whether a file can lead to others."""
    return is_page(path) or ending(path) in (STYLE, DRAWING, XML, MANIFEST, *SCRIPTS)


def is_page(path: str) -> bool:
    """Whether hosts serve a file as a page."""
    return ending(path) in (".html", ".htm")


def has_parts(path: str) -> bool:
    """Whether a fragment of a file's address names an element in it."""
    return is_page(path) or ending(path) == DRAWING


def ending(path: str) -> str:
    """Hosts tell what a file is by its ending, in letters of either case."""
    return posixpath.splitext(path)[1].lower()


def parsed(path: str, content: bytes) -> Document:
    """The file as a browser reads it."""
    if is_page(path):
        return of_page(content)
    if ending(path) in (DRAWING, XML):
        return of_xml(content)
    text = webencodings.decode(content, webencodings.UTF8)[0]
    if ending(path) == STYLE:
        return Document(references=[*of_style(text)])
    if ending(path) == MANIFEST:
        return _of_manifest(text)
    return Document(hints=[text], scripts=[text])


def _of_manifest(text: str) -> Document:
    """What a browser asks for when the page is added to a home screen (W3C, Web Application Manifest)."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return Document(broken="it is no JSON, so that browsers pass it over")
    icons = [icon for key in ("icons", "screenshots") for icon in _tables(said, key)]
    references = [Reference(icon["src"], "asked") for icon in icons if isinstance(icon.get("src"), str)]
    if isinstance(said, dict) and isinstance(said.get("start_url"), str):
        references.append(Reference(said["start_url"], "link"))
    return Document(references=references)


def _tables(said: Any, key: str) -> Iterator[Mapping[str, Any]]:
    listed = said.get(key) if isinstance(said, dict) else None
    return (one for one in listed if isinstance(one, dict)) if isinstance(listed, list) else iter(())
