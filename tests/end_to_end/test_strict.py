"""`build --strict` keeps the previous site where the new one would send its visitors astray."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generator.__main__ import main
from tests import sites

REPORT = """
[report]
language = "de-CH"
[models.alexnet]
weights = "bundled"
[samples]
bundled = false
photos = ["photo.png"]
"""


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_broken_site_does_not_replace_a_sound_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The networks that come with the program, so that their pages' weight is held to its limits, too."""
    Image.fromarray(np.full((80, 80, 3), 110, np.uint8)).save(tmp_path / "photo.png")
    shutil.copytree(sites.ROOT / "content", tmp_path / "content")
    report, site = tmp_path / "report.toml", tmp_path / "site"
    report.write_text(REPORT)
    words = ["build", "--offline", "--config", str(report)]
    assert main([*words, "--strict"]) == 0
    before = {path: path.read_bytes() for path in site.rglob("*") if path.is_file()}
    note = "Captions, text alternatives and controls are the program's, in English; the other words are in de-CH."
    assert note in capsys.readouterr().err.splitlines()
    page = (site / "index.html").read_text("utf-8")
    assert '<html lang="de-CH">' in page
    assert note.replace("'", "&#39;") in page

    index = tmp_path / "content" / "index.md"
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
        "error: --base-url: expected an address that begins with https:// or http://, got 'example.org'"
    )
