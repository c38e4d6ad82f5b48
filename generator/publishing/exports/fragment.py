"""A report in short as one piece of HTML for any page: pictures inside it, no script, no request, styles of its own.

Host and fragment leave each other alone: every rule of the fragment begins with its id, written twice so that it
outranks what the host says of `#content img`; `all: initial` keeps out what it would inherit, and `all: revert` undoes
what the host's rules would do to its elements. Font and colour of the text are the host's: it looks at home on a light
and on a dark page. A host that sets formulas or is a template leaves the words as they are.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from html import escape

from generator.publishing.exports.summary import Picture, Summary
from generator.publishing.published import Published

NO_FORMULAS = "mathjax_ignore tex2jax_ignore"  # MathJax's own words, of version 3 and 2
TAG = re.compile(r"\{(?=[{%#])")  # Liquid, Jinja, Hugo and their like
TYPES = {"webp": "image/webp", "png": "image/png", "jpg": "image/jpeg", "svg": "image/svg+xml"}
STYLE = """
R{all:initial;display:block;box-sizing:border-box;max-width:60rem;margin:2rem auto;
line-height:1.5;color:inherit;font-family:inherit;font-size:inherit}
R *:not(svg,svg *){all:revert;box-sizing:border-box;color:inherit;font-family:inherit}
R :is(p,h2,dl,figure){margin:0 0 1rem}
R h2{font-size:1.6em;line-height:1.2;font-weight:650}
R a{text-decoration:underline}
R .hero,R .figures{display:grid;gap:.75rem;margin:0 0 1rem;padding:0;list-style:none}
R .hero{grid-template-columns:repeat(4,minmax(0,1fr))}
R .figures{grid-template-columns:repeat(auto-fit,minmax(min(15rem,100%),1fr));gap:1.5rem}
R svg,R svg *{letter-spacing:normal;word-spacing:normal;text-transform:none}
R img,R .figures svg{display:block;width:100%;height:auto}
R .figures img{max-width:20rem}
R .flat{image-rendering:pixelated}
R dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(13rem,100%),1fr));gap:1rem}
R dd{margin:0}
R .value{font-size:1.8em;font-weight:650;line-height:1.2}
R small,R figcaption,R .context{font-size:.875em}
"""


def fragment(site: Published, summary: Summary, name: str) -> bytes:
    """HTML in UTF-8 to be put between <body> and </body>.

    Args:
        name: [a-z0-9-]+, part of the ids, so that two fragments can stand on one page.
    """
    root = f"cnn-report-{name}"
    # A class or an id of the host cannot be the same by chance.
    mark = f"{root}-{hashlib.sha256(root.encode()).hexdigest()[:8]}"
    lines = [
        f'<section id="{mark}" class="{NO_FORMULAS}" lang="{escape(summary.language)}" aria-labelledby="{mark}-title">',
        f"<style>{style(f'#{mark}#{mark}')}</style>",
        *(TAG.sub("&#123;", line) for line in body(site, summary, mark)),
        "</section>",
    ]
    return ("\n".join(lines) + "\n").encode()


def style(root: str) -> str:
    """The rules below one selector."""
    return re.sub(r"\bR\b(?=[\s{])", root, STYLE).strip()


def body(site: Published, summary: Summary, mark: str) -> Iterator[str]:
    """The lines of the report in short; every id begins with `mark`."""
    yield f'<h2 id="{mark}-title">{escape(summary.title)}</h2>'
    if summary.subtitle:
        yield f"<p>{escape(summary.subtitle)}</p>"
    if summary.hero:
        yield '<div class="hero">'
        yield from (picture_html(site, picture, mark) for picture in summary.hero)
        yield "</div>"
    if summary.numbers:
        yield "<dl>"
        for one in summary.numbers:
            yield (
                f'<div><dt>{escape(one.label)}</dt><dd class="value">{escape(one.value)}</dd>'
                f'<dd class="context">{escape(one.context)}</dd></div>'
            )
        yield "</dl>"
    if summary.figures:
        yield '<div class="figures">'
        for picture in summary.figures:
            yield figure_html(site, picture, mark)
        yield "</div>"
    yield from _end(summary)


def figure_html(site: Published, picture: Picture, mark: str) -> str:
    """A picture with its caption."""
    caption = f"<figcaption>{escape(picture.caption)}</figcaption>"
    return f"<figure>{picture_html(site, picture, mark)}{caption}</figure>"


def picture_html(site: Published, picture: Picture, mark: str) -> str:
    """A picture with its text alternative, its data in it."""
    if picture.svg:
        return with_ids(picture.svg, mark)
    kind = TYPES[picture.path.rsplit(".", 1)[-1]]
    data = base64.b64encode(site.files[picture.path]).decode()
    # Weights and maps are squares of few pixels: no browser may blur them.
    flat = ' class="flat"' if picture.id in ("hero-filters", "hero-maps") else ""
    return f'<img src="data:{kind};base64,{data}" alt="{escape(picture.alt)}"{flat}>'


def with_ids(svg: str, mark: str) -> str:
    """A chart whose ids are none of the host's, nor what leads to them."""
    svg = re.sub(r'(?<=\s)(id|aria-labelledby)="', rf'\1="{mark}-', svg)
    return re.sub(r'((?<=href=")|(?<=url\())#', f"#{mark}-", svg)


def _end(summary: Summary) -> Iterator[str]:
    if summary.address:
        yield f'<p><a href="{escape(summary.address)}/index.html">Open the whole report</a></p>'
    links = [f'<a href="{escape(url)}">{escape(title)}</a>' for title, url in summary.links]
    told = [escape(entry) for entry in (*summary.byline, summary.date) if entry]
    if told or links:
        yield f"<p><small>{' · '.join([*told, *links])}</small></p>"
    if summary.made_with:
        yield f"<p><small>Made with {escape(summary.made_with)}.</small></p>"
    yield from (f"<p><small>{escape(credit)}</small></p>" for credit in summary.credits)
