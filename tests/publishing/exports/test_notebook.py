"""The notebook is a valid one, its code makes what it shows, and its page needs nothing but itself."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import re
import shutil
import sys
import types
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import html5lib
import pytest
from markdown_it import MarkdownIt
from PIL import Image

from generator.__main__ import main
from generator.base.errors import InputError
from generator.publishing.exports import export
from generator.publishing.published import Published
from tests import sites
from tests.publishing.exports.conftest import HOSTILE

REPORT = """
[models.cnn]
architecture = "SmallCNN"
[models.alexnet]
architecture = "AlexNet"
weights = "bundled"
[samples]
bundled = false
photos = [{file = "koala.webp", label = "koala"}, {file = "candle.webp", label = "candle"}]
"""

nbformat = pytest.importorskip("nbformat")


def made(site: Published, to: Path, **said: object) -> dict[str, Any]:
    page = export("notebook", site, sites.settings(**said), to).page
    read: dict[str, Any] = nbformat.read(page, as_version=4)
    return read


@pytest.fixture
def notebook(site: Published, to: Path) -> dict[str, Any]:
    return made(site, to)


def outputs(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [output for cell in notebook["cells"] for output in cell.get("outputs", ())]


def test_it_is_a_valid_notebook_with_code_text_and_figures(notebook: dict[str, Any]) -> None:
    nbformat.validate(notebook)
    kinds = [cell["cell_type"] for cell in notebook["cells"]]
    assert kinds.count("code") == 7
    assert kinds[0] == kinds[-1] == "markdown"
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            compile(cell["source"], "cell", "exec")
            assert cell["execution_count"] is None  # it was not run here
    shown = [output["data"] for output in outputs(notebook) if output["output_type"] == "display_data"]
    assert [next(iter(data)) for data in shown] == ["image/png", "image/png", "image/svg+xml", "image/png"]
    for data in shown:
        assert data["text/plain"]
        if "image/png" in data:
            with Image.open(io.BytesIO(base64.b64decode(data["image/png"]))) as image:
                assert image.format == "PNG"
        else:
            assert 'color="#1c1a17"><rect width="100%" height="100%" fill="#fcfbf8" />' in data["image/svg+xml"]


def test_it_shows_the_numbers_of_the_results(notebook: dict[str, Any]) -> None:
    printed = "".join(output["text"] for output in outputs(notebook) if output["output_type"] == "stream")
    assert "SmallCNN, test: 80.0% of 40 images (" in printed
    assert "A slice of pizza: lion, 85.3%" in printed


def test_two_exports_are_the_same(site: Published, to: Path, tmp_path: Path) -> None:
    made(site, to), made(site, tmp_path / "again")
    for name in ("what-a-small-network-sees.ipynb", "what-a-small-network-sees.html"):
        assert (to / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_a_file_can_be_named(site: Published, to: Path) -> None:
    export("notebook", site, sites.settings(), to / "my own.ipynb")
    assert {path.name for path in to.iterdir()} == {"my own.ipynb", "my own.html", ".cnn-report.json"}


def test_report_toml_is_named_as_seen_from_the_notebook(site: Published, tmp_path: Path) -> None:
    settings = replace(sites.settings(), path=tmp_path / "mine 😀" / 'my "report".toml')
    page = export("notebook", site, settings, tmp_path / "to" / "notebooks").page
    (setup, *_) = [cell["source"] for cell in nbformat.read(page, as_version=4)["cells"] if cell["cell_type"] == "code"]
    assert """reading.load(Path('../../mine 😀/my "report".toml'))""" in setup
    assert str(tmp_path) not in page.read_text("utf-8")


def parsed(text: str) -> list[Any]:
    parser = html5lib.HTMLParser(namespaceHTMLElements=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        elements = list(parser.parse(text).iter())
    assert [error for error in parser.errors if error[1] != "expected-doctype-but-got-start-tag"] == []
    return elements


def test_the_page_is_self_contained(site: Published, to: Path) -> None:
    made(site, to)
    text = (to / "what-a-small-network-sees.html").read_text("utf-8")
    elements = parsed(text)
    assert not {"script", "link", "iframe"} & {element.tag for element in elements if isinstance(element.tag, str)}
    images = [element for element in elements if element.tag == "img"]
    assert len(images) == 3
    assert all(image.get("src").startswith("data:image/webp;base64,") and image.get("alt") for image in images)
    assert not re.search(r"url\(|@import|https?://(?!example\.org|www\.w3\.org)", text)
    assert [element.text for element in elements if element.tag == "h1"] == ["What a small network sees"]
    assert [element.get("lang") for element in elements if element.tag == "html"] == ["en"]
    assert "80.0% of 40 images" in text


def test_what_a_user_wrote_is_text(site: Published, to: Path) -> None:
    notebook = made(site, to, title=HOSTILE, subtitle=HOSTILE, author=HOSTILE)
    assert notebook["metadata"]["title"] == HOSTILE
    text = next(to.glob("*.html")).read_text("utf-8")
    elements = parsed(text)
    whole = "".join(text for element in elements for text in element.itertext() if element.tag in ("h1", "p", "title"))
    assert whole.replace("\u2019", "'").replace("\u201c", '"').replace("\u201d", '"').count(HOSTILE) == 4
    assert not [element for element in elements if element.tag in ("b", "em") or "onclick" in element.attrib]


@pytest.mark.parametrize(
    "title",
    ["From $5 to $6 a month", r"\(x\) and \[y\]", r"\begin{equation}x\end{equation}", r"$$x$$ \$5", "@@0@@ $a$"],
)
def test_no_formula_begins_in_words(site: Published, to: Path, title: str) -> None:
    """Jupyter takes formulas out of the Markdown, and MathJax looks for more on the page, in each element's text."""
    cells = made(site, to, title=title, subtitle=title, author=title)["cells"]
    text = "\n".join(cell["source"] for cell in cells if cell["cell_type"] == "markdown")
    assert not re.search(r"[$\\]", text)
    parts = list(html5lib.parseFragment(MarkdownIt("commonmark").render(text), namespaceHTMLElements=False).itertext())
    assert [part for part in parts if re.search(r"\$.|.\$|\\.", part)] == []
    assert "".join(parts).count(title) == 3
    page = next(to.glob("*.html")).read_text("utf-8")
    (heading,) = re.findall("<h1>.*</h1>", page)
    assert "".join(html5lib.parseFragment(heading, namespaceHTMLElements=False).itertext()) == title
    assert "<span" not in page.replace(heading, "").replace('<span class="unbroken">', "")


def test_without_nbformat_the_way_to_get_it_is_told(site: Published, to: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nbformat", None)
    with pytest.raises(InputError, match=r"expected the package nbformat.* python -m pip install nbformat"):
        made(site, to)
    assert not to.exists()


class Shown(list[Any]):
    """What a notebook's code displays."""

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        module = types.ModuleType("IPython.display")
        module.display = self.append  # type: ignore[attr-defined]
        module.SVG = str  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
        monkeypatch.setitem(sys.modules, "IPython.display", module)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_its_code_makes_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real site from the models that come with the program, its notebook, and the notebook's code."""
    project, to = tmp_path / "project", tmp_path / "notebooks"
    project.mkdir()
    report = project / "report.toml"
    for name in ("candle", "koala"):
        shutil.copy(sites.ROOT / "content" / "samples" / f"{name}.webp", project)
    report.write_text(REPORT)
    assert main(["build", "--offline", "--config", str(report)]) == 0
    assert main(["export", "--to", "notebook", str(to / "a.ipynb"), "--config", str(report)]) == 0
    notebook = nbformat.read(to / "a.ipynb", as_version=4)
    shown = Shown()
    shown.install(monkeypatch)
    monkeypatch.chdir(to)
    space: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        printed, before = io.StringIO(), len(shown)
        with contextlib.redirect_stdout(printed):
            exec(compile(cell["source"], cell["id"], "exec"), space)
        said = "".join(output["text"] for output in cell["outputs"] if output["output_type"] == "stream")
        if "TINY_IMAGENET" in cell["source"]:
            assert printed.getvalue().startswith("The data set is not here")
            continue
        assert printed.getvalue() == said
        pictures = [output["data"] for output in cell["outputs"] if output["output_type"] == "display_data"]
        for picture, again in zip(pictures, shown[before:], strict=True):
            if "image/png" in picture:
                with Image.open(io.BytesIO(base64.b64decode(picture["image/png"]))) as image:
                    # What is clear between the tiles is white in the notebook's own picture.
                    white = Image.new("RGBA", again.size, "white")
                    on_white = Image.alpha_composite(white, again.convert("RGBA"))
                    assert image.convert("RGBA").tobytes() == on_white.tobytes()
            else:
                assert again.split(">", 1)[1] in picture["image/svg+xml"]
    assert len(shown) == 4
    evaluation = json.loads((sites.ROOT / "models" / "cnn" / "evaluation.json").read_text())
    top1 = evaluation["splits"]["test"]["top1"]
    assert f"SmallCNN, test: {top1:.1%}" in json.dumps(notebook["cells"])
