"""What editors and systems leave beside a file is neither read nor a change, wherever files are listed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from generator.base import clutter
from generator.base.clutter import is_clutter
from generator.base.errors import InputError
from generator.commands.serve import _watched
from generator.config import digests, places, reading
from generator.pages import words
from generator.pages.mistakes import located
from generator.pages.static import static_files
from generator.publishing import scaffold

LEFT_BEHIND = (
    ".index.md.swp", ".index.md.swo", "index.md.swp", "4913", "index.md~", "index.md.~1~", ".#index.md", "#index.md#",
    "index.md.tmp", "index.md.TMP", ".DS_Store", "._index.md", "Thumbs.db", "desktop.ini", "Icon\r",
    "index.md___jb_tmp___", "index.md___jb_old___", ".index.md.kate-swp", ".goutputstream-X1Y2Z3", "index.md.part",
    "index.md.crdownload", "index.md.vsctmp", "~$index.docx", ".~lock.index.md#", ".nfs0000001", ".gitignore",
)  # fmt: skip
FOLDERS = ("__pycache__", ".git", ".ipynb_checkpoints", "__MACOSX")
MEANT = (
    "index.md", "site.css", "a.swift", "4913.md", "photo.JPG", "tmp", "tmp.md", "part.html", "CNAME", "über.md", "a b",
    "a#b", "~a", "#a", "49134", "swp", "party", "x.tmpl", ".", "..",
)  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for file in ("templates/site.css", "content/index.md", "content/deep/photo.png"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("x")
    (tmp_path / "report.toml").write_text("[samples]\nbundled = false\n")
    return tmp_path


def seen(project: Path) -> tuple[str, set[Path]]:
    """The build's digest, and what `serve` watches."""
    settings = reading.load(project / "report.toml")
    return digests.of_build(settings, "", *places.folders(settings)), set(_watched(project / "report.toml"))


@pytest.mark.parametrize("name", LEFT_BEHIND)
def test_what_an_editor_leaves_is_clutter(name: str) -> None:
    assert is_clutter(name)


@pytest.mark.parametrize("name", MEANT)
def test_what_somebody_means_is_not(name: str) -> None:
    assert not is_clutter(name)


def test_clutter_is_no_change_for_the_build_nor_for_the_preview(project: Path) -> None:
    before = seen(project)
    for folder in ("content", "content/deep", "templates"):
        for name in LEFT_BEHIND:
            (project / folder / name).write_text("left behind")
        for name in FOLDERS:
            (project / folder / name).mkdir()
            (project / folder / name / "inner.md").write_text("left behind")
    assert seen(project) == before
    (project / "content/deep/new.md").write_text("meant")
    digest, watched = seen(project)
    assert digest != before[0]
    assert watched - before[1] == {project / "content/deep/new.md"}


def test_clutter_becomes_no_part_of_the_site_and_no_template(project: Path) -> None:
    for name in (".hidden.css", "._site.css", "~$a.css", "#a#", "site.css~"):
        (project / "templates" / name).write_text("left behind")
    assert list(static_files((project / "templates",), ())) == ["assets/site.css"]
    (project / "templates" / ".part.html").write_text("left behind")
    (project / "templates" / "page.html").write_text("{% include './site.css' %}{% include '.part.html' %}")
    pages, _ = words.environments((project / "templates",), {})
    with pytest.raises(InputError) as caught, located():
        pages.get_template("page.html").render()
    assert str(caught.value) == (
        "template .part.html: expected a name that is neither hidden nor an editor's; rename it"
    )


def test_a_new_report_begins_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundled = places.bundled

    def ours(name: str) -> Path:
        return tmp_path / name if name in ("content", "templates") else bundled(name)

    for file in ("content/index.md", "content/.index.md.swp", "content/4913", "templates/a.css", "templates/.#a.css"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("x")
    monkeypatch.setattr(scaffold, "bundled", ours)
    scaffold.init(tmp_path / "new")
    assert [path.name for path in (tmp_path / "new/content").iterdir()] == ["index.md"]
    assert ".#a.css" not in (tmp_path / "new/templates/README.md").read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links and permissions")
def test_files_that_go_round_in_a_circle_or_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "content"
    (folder / "deep").mkdir(parents=True)
    (folder / "b.md").write_text("x")
    (folder / "deep" / "a.md").write_text("x")
    (folder / "deep" / "round").symlink_to(folder)
    (folder / "itself.md").symlink_to(folder / "itself.md")
    (folder / "nowhere.md").symlink_to(tmp_path / "none")
    (folder / "linked.md").symlink_to(folder / "b.md")
    os.mkfifo(folder / "pipe.md")
    found = [path.relative_to(folder).as_posix() for path in clutter.files(folder)]
    assert found == ["b.md", "linked.md", "deep/a.md"]
    assert list(clutter.files(tmp_path / "none")) == []
    assert list(clutter.files(folder / "b.md")) == []
