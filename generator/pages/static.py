"""The files beside the pages: the style sheet joined from its parts, scripts, robots.txt and the sitemap."""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection, Mapping, Sequence
from html import escape, unescape
from pathlib import Path

from generator.base import addresses
from generator.base.clutter import is_clutter
from generator.base.errors import InputError
from generator.base.names import slug
from generator.figures import theme
from generator.records.figure import Figure

STATIC = (".css", ".js")
LOOK = "site.css"  # of all pages: the colours, these parts of the folder `styles`, then others that somebody adds there
ORDER = (
    "base.css", "masthead.css", "controls.css", "grid.css", "figures.css", "numbers.css", "samples.css",
    "answers.css", "units.css", "channels.css", "lightbox.css", "foot.css", "contrast.css", "print.css",
)  # fmt: skip
HEADING = re.compile(rb"\A\s*/\*(?!!).*?\*/", re.DOTALL)  # what a part is for, unless it is a licence
# At a line's beginning, where no string goes on; what stands behind it on that line stays.
COMMENT = re.compile(rb"^[ \t]*/\*(?!!)(?:(?!\*/).)*\*/[ \t]*$", re.DOTALL | re.MULTILINE)
CANONICAL = re.compile('<link rel="canonical" href="([^"]+)">')


def licence_path(name: str) -> str:
    """Where a licence's text stands in the site."""
    return f"assets/licences/{slug(name)}.txt"


def static_files(templates: Sequence[Path], without: Collection[str]) -> dict[str, bytes]:
    """Styles and scripts by their path in the site.

    Args:
        templates: folders of which the first that has a file wins; so for the parts of site.css, in `styles`. A
            site.css of one's own takes the place of all of them.
        without: names of files that no page needs.
    Raises:
        InputError: for a file that cannot be read, and for parts that a site.css beside them hides.
    """
    found: dict[str, Path] = {}
    parts: dict[str, Path] = {}
    for folder in reversed(templates):
        whole, own = _files(folder, STATIC), _files(folder / "styles", (".css",))
        if LOOK in whole and own:
            raise InputError(
                f"{folder / LOOK}: expected it alone or the files in {folder / 'styles'}, which it takes the place of; "
                "delete it or them"
            )
        found |= whole
        parts |= own
    files = {f"assets/{name}": _content(file) for name, file in found.items() if name not in without}
    if LOOK not in found:
        order = dict.fromkeys([*(part for part in ORDER if part in parts), *sorted(parts)])
        joined = [theme.declared().encode(), *(HEADING.sub(b"", _read(parts[part])) for part in order)]
        files[f"assets/{LOOK}"] = _narrow(b"\n".join(joined))
    return dict(sorted(files.items()))


def _files(folder: Path, endings: Collection[str]) -> dict[str, Path]:
    """The files of a folder by name; none where there is no folder."""
    there = folder.iterdir() if folder.is_dir() else ()
    return {
        file.name: file for file in there if file.suffix in endings and not is_clutter(file.name) and file.is_file()
    }


# Colour scales, the sections' marks, photos as a network is given them, and the images made for classes.
OF_PAGES = re.compile(r"scale-.+|mark-.+|.+-cam-.+-photo|.+-class-.+")


def without_unshown(files: Mapping[str, bytes], figures: Mapping[str, Figure]) -> dict[str, bytes]:
    """The files but those of figures whose page this report may lack, such as the filters', and that none shows."""
    pages = [data for path, data in files.items() if path.endswith(".html")]
    doubtful = {path for identity, figure in figures.items() if OF_PAGES.fullmatch(identity) for path in figure.files}
    unshown = {path for path in doubtful if not any(path.encode() in page for page in pages)}
    return {path: data for path, data in files.items() if path not in unshown}


def _content(file: Path) -> bytes:
    return _narrow(_read(file)) if file.suffix == ".css" else _read(file)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes().removeprefix(codecs.BOM_UTF8)  # which in the middle of a style sheet hides a rule
    except OSError as error:
        raise InputError(f"{file}: expected a style or script that can be read ({error.strerror or error})") from None


# Spaces after a property's name, and line ends that end no rule: at the ends of lines, where no string goes on.
SPARE = re.compile(rb"^([\w-]+:) +| +(?={\n)|(?<=[{,;])\n|;?\n(?=})", re.MULTILINE)


def _narrow(style: bytes) -> bytes:
    """Without indentation and spaces before braces, and without the comments that have lines of their own."""
    return SPARE.sub(rb"\1", re.sub(rb"\s*\n\s*", b"\n", COMMENT.sub(b"", style)))


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
