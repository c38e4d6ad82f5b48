"""The files beside the pages: styles, scripts, robots.txt and the sitemap."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from html import escape, unescape
from pathlib import Path

from generator.base import addresses
from generator.base.clutter import is_clutter
from generator.base.errors import InputError
from generator.base.names import slug
from generator.records.figure import Figure

STATIC = (".css", ".js")
CANONICAL = re.compile('<link rel="canonical" href="([^"]+)">')


def licence_path(name: str) -> str:
    """Where a licence's text stands in the site."""
    return f"assets/licences/{slug(name)}.txt"


def static_files(templates: Sequence[Path], without: Collection[str]) -> dict[str, bytes]:
    """Styles and scripts by their path in the site."""
    found: dict[str, bytes] = {}
    for folder in reversed(templates):
        files = [
            file
            for file in folder.iterdir()
            if file.suffix in STATIC and file.name not in without and not is_clutter(file.name) and file.is_file()
        ]
        found |= {f"assets/{file.name}": _content(file) for file in files}
    return dict(sorted(found.items()))


def without_unshown(files: Mapping[str, bytes], figures: Mapping[str, Figure]) -> dict[str, bytes]:
    """The files but the colour scales that no page shows, of kinds of figures that this report does not have."""
    pages = [data for path, data in files.items() if path.endswith(".html")]
    scales = {path for identity, figure in figures.items() if identity.startswith("scale-") for path in figure.files}
    unshown = {path for path in scales if not any(path.encode() in page for page in pages)}
    return {path: data for path, data in files.items() if path not in unshown}


def _content(file: Path) -> bytes:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: expected a style or script that can be read ({error.strerror or error})") from None
    # A seventh of a style's bytes is indentation.
    return re.sub(rb"\s*\n\s*", b"\n", content) if file.suffix == ".css" else content


def robots(base_url: str) -> bytes:
    """robots.txt, which names the sitemap where the site's address is known."""
    sitemap = f"Sitemap: {addresses.normalised(f'{base_url}/sitemap.xml')}\n" if base_url else ""
    return f"User-agent: *\nAllow: /\n{sitemap}".encode()


def sitemap(files: Mapping[str, bytes]) -> bytes:
    """Every page by its canonical address, which sitemaps.org wants escaped as RFC 3986 says."""
    named = [CANONICAL.search(data.decode()) for path, data in files.items() if path.endswith(".html")]
    listed = dict.fromkeys(addresses.normalised(unescape(found[1])) for found in named if found)
    lines = "".join(f"<url><loc>{escape(address)}</loc></url>\n" for address in listed)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{lines}</urlset>\n'
    ).encode()
