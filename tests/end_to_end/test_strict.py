"""A whole report of the networks that come with the program: its pages hold the bar, and `build --strict` keeps it.

Two photos stand for all, one that both networks name rightly and one that both get wrong: the photos' pages are alike.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from generator.__main__ import main
from tests import sites
from tests.browser import devtools
from tests.browser.test_pages_in_browser import FIRST_LOAD, SHOWN

REPORT = """
[report]
language = "de-CH"
[models.cnn]
architecture = "SmallCNN"
[models.alexnet]
architecture = "AlexNet"
weights = "bundled"
[samples]
bundled = false
photos = [{file = "content/samples/elephant.webp", label = "elephant"},
    {file = "content/samples/koala.webp", label = "koala"}]
"""
NOTE = "Captions, text alternatives and controls are the program’s, in English; the other words are in de-CH."

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a report and its site, built with --strict."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(sites.ROOT / "content", folder / "content")
    (folder / "report.toml").write_text(REPORT)
    told = subprocess.run(
        [sys.executable, "-m", "generator", "build", "--offline", "--strict", "--config", folder / "report.toml"],
        cwd=sites.ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert NOTE in told.stderr.splitlines()
    return folder


@pytest.mark.browser
def test_every_page_holds_the_bar_in_a_browser(project: Path, browser: Path, tmp_path: Path) -> None:
    """Nothing goes wrong or comes from elsewhere; each page is light, fits a phone, and is complete without scripts."""
    site = project / "site"
    faults: list[tuple[object, ...]] = []
    chrome = devtools.Browser(browser, tmp_path)
    # What runs the network comes when the page can already be read.
    later = {site / "assets" / name for name in ("engine.js", "answers.js", "inside.js", "photos.js")}
    later |= {*site.glob("assets/network*.js"), *site.glob("assets/samples/*")}
    pages = sorted(site.glob("*.html"))
    for path in pages:
        page = devtools.open_page(chrome, path.as_uri(), width=320)
        aside = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        fetched = [url for url in page.requests if not url.startswith(("data:", "blob:", "about:"))]
        files = {Path(unquote(urlsplit(url).path)) for url in fetched if url.startswith("file:")}
        load = sum(file.stat().st_size for file in files - later)
        shown = page.evaluate(SHOWN)
        elsewhere = [url for url in fetched if not url.startswith(f"{site.as_uri()}/")]
        faults += [(path.name, *found) for found in (("problems", page.problems), ("elsewhere", elsewhere)) if found[1]]
        faults += [(path.name, "scrolls sideways", aside)] if aside > 0 else []
        faults += [(path.name, "bytes at first", load)] if load > FIRST_LOAD else []
        page.close()
        if path.name != "try.html":  # the network runs with scripts, a worked example stands there without
            page = devtools.open_page(chrome, path.as_uri(), width=320, scripts=False)
            faults += [(path.name, "differs", "without scripts")] if page.evaluate(SHOWN) != shown else []
            page.close()
    chrome.close()
    assert faults == []
    assert len(pages) >= 30


def test_a_broken_site_does_not_replace_a_sound_one(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report, site = project / "report.toml", project / "site"
    words = ["build", "--offline", "--config", str(report)]
    before = {path: path.read_bytes() for path in site.rglob("*") if path.is_file()}
    page = (site / "index.html").read_text("utf-8")
    assert '<html lang="de-CH">' in page
    assert NOTE in page

    index = project / "content" / "index.md"
    index.write_text(index.read_text("utf-8") + "\n[astray](nowhere/at/all.php)\n", encoding="utf-8")
    capsys.readouterr()
    assert main([*words, "--strict"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert "index.html: nowhere/at/all.php leads nowhere; mend the address or remove it" in lines
    assert lines[-1].startswith(
        "error: expected a site without faults, found 1, such as index.html: nowhere/at/all.php"
    )
    assert lines[-1].endswith(f"; the previous one in {site} was kept")
    assert {path: path.read_bytes() for path in site.rglob("*") if path.is_file()} == before

    assert main([*words, "--base-url", "https://example.org/cnn/"]) == 0
    assert "https://example.org/cnn/sitemap.xml" in (site / "robots.txt").read_text()
    # Nothing to build, and still a fault.
    assert main([*words, "--strict", "--base-url", "https://example.org/cnn/"]) == 1
    assert main([*words, "--base-url", "example.org"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: --base-url: expected a folder's address that begins with https:// or http://, got 'example.org'"
    )
