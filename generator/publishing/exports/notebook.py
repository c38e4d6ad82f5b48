"""A report as a Jupyter notebook: text, code that loads the networks and makes the numbers and figures again, and what
that code gave when the site was built; and the same as one HTML page that sends no request.

nbconvert is not used for the page: its templates fetch scripts from other hosts and drop text alternatives.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from generator.base.errors import InputError
from generator.data.image_files import read_photo
from generator.figures import raster, theme
from generator.pages.prose import clean, literally
from generator.publishing.exports.fragment import figure_html
from generator.publishing.exports.summary import Picture, Summary, results_of
from generator.publishing.published import Published

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
SETUP = '''\
import io
import os
from pathlib import Path

import PIL.Image
from IPython.display import SVG, display

from generator.config import places, reading
from generator.data import decoded, layouts, samples
from generator.data.classes import without_data
from generator.evaluation.evaluation import evaluate_model, measured
from generator.inspection.network import network_record
from generator.inspection.photo import explanation, photo_arrays
from generator.networks import catalogue
from generator.report.filters.weights import filter_figures
from generator.report.grad_cam.figures import grad_cam_figures
from generator.report.training.curves import training_figures
from generator.training import logs

settings = reading.load({report})
root = layouts.find(None, settings.data.root, os.environ)  # the data set's folder, None where it is not here
data = decoded.whole(layouts.opened(root, settings.data, settings.folder), Path(".cache/data")) if root else None
classes = data.classes if data else without_data(settings.data.classes)
told = {{"size": data.words.alike if data else None, "offline": True}}
wanted = [one for one in settings.models.networks if one.predictions is None]
networks = {{one.id: catalogue.load(one, settings, classes, **told) for one in wanted}}


def show(figure):
    """A figure of the report with its text alternative."""
    print(figure.alt)
    display(SVG(figure.svg) if figure.svg else PIL.Image.open(io.BytesIO(figure.files[figure.src])))


for name, loaded in networks.items():
    parameters = sum(weights.numel() for weights in loaded.network.parameters())
    print(f"{{loaded.title}}: {{parameters:,}} weights, {{len(loaded.class_names)}} classes")'''
SCORES = """\
for name, loaded in networks.items():
    evaluation = measured(loaded)
    for split, scores in evaluation.splits.items() if evaluation else ():
        low, high = scores.top1_interval
        print(f"{loaded.title}, {split}: {scores.top1:.1%} of {scores.count:,} images ({low:.1%} to {high:.1%})")"""
AGAIN = """\
if data is None or data.judged is None:
    print("The data set is not here: set TINY_IMAGENET to its folder to measure again.")
else:
    again = evaluate_model(networks[{first}], data, data.judged.name)
    print(f"measured again: {{again.splits[data.judged.name].top1:.1%}}")"""
LOOKS = """\
_, content = places.folders(settings)
known = [*samples.own(settings.samples.photos, classes.names), *samples.bundled(content / "samples", classes.names)]
photos = {{photo.id: photo for photo in known}}
loaded = networks[{first}]


def look(photo):
    \"\"\"What the network says about a photo, with the Grad-CAM map of each class.\"\"\"
    label = None if photo.label is None else loaded.output_of(classes.keys[photo.label], (classes.names[photo.label],))
    return explanation(photo.id, label, (), photo_arrays(loaded, photo, label, ()), apart=loaded.multi_label)


explanations = {{name: look(photos[name]) for name in {photos}}}
logged = logs.read(loaded.wanted, settings.folder, loaded.epoch)
network = network_record(loaded, explanations, (), None, logged=logged)
for name, seen in explanations.items():
    print(f"{{photos[name].title}}: {{network.class_names[seen.predicted]}}, {{seen.probabilities.max():.1%}}")"""
CAMS = """\
for name in explanations:
    for figure in grad_cam_figures(network, photos[name]):
        if figure.id.endswith("-predicted"):
            show(figure)"""
CURVES = """\
for figure in training_figures(network):
    if figure.id == {curves}:
        show(figure)"""
FILTERS = "show(filter_figures(network)[0])"
MEASURED = "As it was measured when they were trained, with 95 % intervals."
NOT_MEASURED = "None of them has been evaluated."
BRIGHT = "Grad-CAM (Selvaraju et al. 2017): bright is what spoke for the answer."
OF_FORMULAS = {"$": "<span>&#36;</span>", "&#0000092;": "<span>&#92;</span>"}
HINT = (
    "What stands below each piece of code is what it gave when the report was made. To make it again, run this where "
    "the program `cnn-report` is installed."
)


@dataclass(frozen=True)
class Cell:
    """Markdown, or code with what it printed and drew."""

    text: str = ""
    code: str = ""
    printed: str = ""
    pictures: tuple[Picture, ...] = ()


def cells(site: Published, summary: Summary, report: str | None) -> tuple[Cell, ...]:
    """The notebook's cells in order.

    Args:
        report: where report.toml is, seen from the notebook; None: the one that comes with the program.
    Raises:
        InputError: the report shows no network, so that there is no code to write.
    """
    results = results_of(site)
    # Of others only the answers are known: there is nothing to load.
    results["networks"] = {name: one for name, one in results["networks"].items() if one["parameters"] is not None}
    if not results["networks"]:
        raise InputError(
            f"--to notebook: expected a report of at least one network, which the notebook would load; {site.folder} "
            "shows none: add one with its weights as [models.<id>] and build it"
        )
    identity, network = next(iter(results["networks"].items()))
    looks = tuple(picture for picture in summary.figures if picture.path)
    shown = [picture.id.removeprefix(f"{identity}-cam-") for picture in looks]
    curves = next((picture for picture in summary.figures if picture.svg), None)
    filters = summary.filters
    scores = "".join(map(_scores, results["networks"].values()))
    found = [
        Cell(_opening(summary)),
        Cell("## The networks"),
        Cell(
            code=SETUP.format(report=f"Path({report!r})" if report else ""),
            printed="".join(map(_size, results["networks"].values())),
        ),
        Cell(f"## How often they are right\n\n{MEASURED if scores else NOT_MEASURED}"),
        Cell(code=SCORES, printed=scores),
        Cell(code=AGAIN.format(first=repr(identity))),
        *([Cell(f"## Where the network looks\n\n{BRIGHT}")] if looks else []),
        Cell(
            code=LOOKS.format(first=repr(identity), photos=repr(shown)),
            printed="".join(_answer(results, network, photo) for photo in shown),
        ),
    ]
    found += [Cell(code=CAMS, pictures=looks)] if looks else []
    found += (
        [Cell("## How it was trained"), Cell(code=CURVES.format(curves=repr(curves.id)), pictures=(curves,))]
        if curves
        else []
    )
    found += [Cell("## What its first layer looks for"), Cell(code=FILTERS, pictures=(filters,))] if filters else []
    closing = _closing(summary)
    return (*found, *([Cell(f"## Sources\n\n{closing}")] if closing else []))


def notebook(site: Published, summary: Summary, made: tuple[Cell, ...]) -> bytes:
    """The cells as .ipynb, format 4.5.

    Raises:
        InputError: nbformat is not installed.
    """
    try:
        import nbformat
        from nbformat import v4
    except ImportError:
        raise InputError(
            "--to notebook: expected the package nbformat, it is not installed; "
            "get it with: python -m pip install nbformat"
        ) from None
    whole = v4.new_notebook(
        metadata={
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "title": summary.title,
        }
    )
    for number, cell in enumerate(made):
        # Random ids, as nbformat gives them, would make two exports of one site differ.
        identity = {"id": f"cell-{number}"}
        if cell.text:
            whole.cells.append(v4.new_markdown_cell(cell.text, **identity))
        else:
            outputs = [v4.new_output("stream", name="stdout", text=cell.printed)] if cell.printed else []
            for picture in cell.pictures:
                outputs.append(v4.new_output("stream", name="stdout", text=f"{picture.alt}\n"))
                outputs.append(v4.new_output("display_data", data=_shown(site, picture)))
            whole.cells.append(v4.new_code_cell(cell.code, outputs=outputs, **identity))
    nbformat.validate(whole)
    return f"{nbformat.writes(whole)}\n".encode()


def page(site: Published, summary: Summary, made: tuple[Cell, ...]) -> bytes:
    """The cells as one HTML page."""
    lines = [
        "<!doctype html>",
        f'<html lang="{escape(summary.language)}">',
        '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        f"<title>{escape(summary.title)}</title>",
        f'<meta name="description" content="{escape(summary.description)}">',
        '<meta name="color-scheme" content="light dark">',
        f"<style>{theme.declared()}{PAGE_STYLE}</style></head>",
        "<body><main>",
        *(line for number, cell in enumerate(made) for line in _cell_html(site, cell, f"cell-{number}")),
        "</main></body></html>",
    ]
    return ("\n".join(lines) + "\n").encode()


PAGE_STYLE = """
html{color-scheme:light dark}
body{margin:0;font:1rem/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
a{color:var(--accent)}
main{max-width:52rem;margin:0 auto;padding:1.5rem}
pre{overflow-x:auto;padding:.75rem 1rem;background:var(--wash);font:.8125rem/1.5 ui-monospace,monospace}
pre.printed{background:none;padding:0 1rem;white-space:pre-wrap}
figure{margin:1rem 0}
figure img,figure svg{display:block;width:100%;max-width:34rem;height:auto}
figure img{max-width:20rem;image-rendering:pixelated}
""".strip()


def _opening(summary: Summary) -> str:
    told = ", ".join(entry for entry in (*summary.byline, summary.date) if entry)
    whole = f"[The whole report]({_address(summary.address)}/index.html)" if summary.address else ""
    return _paragraphs(f"# {_text(summary.title)}", _text(summary.subtitle), _text(told), whole, HINT)


def _closing(summary: Summary) -> str:
    made_with = f"Made with {_text(summary.made_with)}." if summary.made_with else ""
    return _paragraphs(made_with, "\n".join(f"- {_text(credit)}" for credit in summary.credits))


def _paragraphs(*parts: str) -> str:
    return "\n\n".join(filter(None, parts))


def _text(words: str) -> str:
    """Text that Markdown, HTML and the mathematics of notebooks show as it is.

    Jupyter looks for formulas twice: in the Markdown, where an entity is none of its signs, and by MathJax on the page,
    where no formula reaches beyond an element.
    """
    return re.sub(r"\$|&#0000092;", lambda found: OF_FORMULAS[found[0]], str(literally(words)))


def _address(url: str) -> str:
    return re.sub(r"[()<>\s]", lambda found: f"%{ord(found.group()):02X}", url)


def _size(network: Mapping[str, Any]) -> str:
    return f"{network['title']}: {network['parameters']:,} weights, {len(network['class_names'])} classes\n"


def _scores(network: Mapping[str, Any]) -> str:
    splits = (network.get("evaluation") or {}).get("splits", {})
    return "".join(
        f"{network['title']}, {split}: {scores['top1']:.1%} of {scores['count']:,} images "
        f"({scores['top1_interval'][0]:.1%} to {scores['top1_interval'][1]:.1%})\n"
        for split, scores in splits.items()
    )


def _answer(results: Mapping[str, Any], network: Mapping[str, Any], identity: str) -> str:
    title = next(photo["title"] for photo in results["photos"] if photo["id"] == identity)
    best = network["photos"][identity]["top"][0]
    return f"{title}: {best['name']}, {best['probability']:.1%}\n"


def _shown(site: Published, picture: Picture) -> Mapping[str, str]:
    """A picture as a notebook holds it: PNG, for not every viewer shows WebP, or SVG on paper."""
    if picture.svg:
        # Of its own, for a chart would take a dark notebook's light text for its ink.
        paper, ink = theme.PAGE["paper"].light, theme.PAGE["ink"].light
        opening, rest = picture.svg.split(">", 1)
        svg = f'{opening} color="{ink}"><rect width="100%" height="100%" fill="{paper}" />{rest}'
        return {"image/svg+xml": svg, "text/plain": picture.alt}
    pixels = read_photo(site.folder / picture.path)
    return {"image/png": base64.b64encode(raster.png(pixels)).decode(), "text/plain": picture.alt}


def _cell_html(site: Published, cell: Cell, mark: str) -> Iterator[str]:
    if cell.text:
        # `clean` takes first-level headings away; the title is ours.
        title = re.match(r"# (.*)\n", cell.text)
        if title:
            yield f"<h1>{title[1]}</h1>"
        yield clean(cell.text[title.end() :] if title else cell.text)
        return
    # Long lines scroll, with the keyboard too.
    yield f'<pre tabindex="0"><code>{escape(cell.code)}</code></pre>'
    if cell.printed:
        yield f'<pre class="printed">{escape(cell.printed)}</pre>'
    for picture in cell.pictures:
        yield figure_html(site, picture, mark)
