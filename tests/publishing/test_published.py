"""What is published is what the build wrote, all of it and nothing else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from generator.base.errors import InputError
from generator.publishing import published
from generator.publishing.writer import place

FILES = {"index.html": b"home", "assets/a b.css": b"p{}", "assets/\u00fc.webp": b"RIFF", ".nojekyll": b""}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    place(FILES, tmp_path / "site", {"inputs": "1"})
    return tmp_path / "site"


def test_a_site_is_read_as_it_was_built(site: Path) -> None:
    found = published.read(site)
    assert dict(found.whole()) == FILES
    assert (found.missing, found.changed, found.foreign) == ((), (), ())


def test_what_the_build_did_not_write_stays_behind(site: Path) -> None:
    (site / "notes.txt").write_text("mine")
    (site / ".secret").write_text("mine")
    (site / ".DS_Store").write_text("")
    (site / ".gitignore").write_text("*")
    found = published.read(site)
    assert dict(found.whole()) == FILES
    assert found.foreign == ("notes.txt",)


def test_a_missing_file_is_told(site: Path) -> None:
    (site / "assets" / "a b.css").unlink()
    found = published.read(site)
    assert found.missing == ("assets/a b.css",)
    with pytest.raises(InputError) as caught:
        found.whole()
    assert str(caught.value) == (
        f"{site / 'assets' / 'a b.css'}: expected the file as it was built, it is missing; "
        "make it with: python -m generator build"
    )


def test_a_changed_file_is_told(site: Path) -> None:
    (site / "index.html").write_text("mine")
    found = published.read(site)
    assert (found.changed, found.files["index.html"]) == (("index.html",), b"mine")
    with pytest.raises(InputError, match=r"index\.html: expected the file as it was built, it was changed"):
        found.whole()


@pytest.mark.parametrize("which", ["file", "folder"])
def test_a_link_out_of_the_site_is_not_followed(site: Path, tmp_path: Path, which: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a b.css").write_bytes(b"p{}")
    (outside / "\u00fc.webp").write_bytes(b"RIFF")
    if which == "file":
        (site / "assets" / "a b.css").unlink()
        (site / "assets" / "a b.css").symlink_to(outside / "a b.css")
    else:
        (site / "assets").rename(tmp_path / "gone")
        (site / "assets").symlink_to(outside, target_is_directory=True)
    found = published.read(site)
    # Its content is even what the build wrote.
    assert "assets/a b.css" in found.changed
    assert "assets/a b.css" not in found.files
    with pytest.raises(InputError, match="it was changed"):
        found.whole()


def test_a_link_to_itself_is_a_changed_file(site: Path) -> None:
    (site / "index.html").unlink()
    (site / "index.html").symlink_to("index.html")
    assert published.read(site).changed == ("index.html",)


def test_a_site_behind_a_link_is_a_site(site: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(site, target_is_directory=True)
    assert dict(published.read(tmp_path / "link").whole()) == FILES


@pytest.mark.parametrize(("made", "what"), [("", "nothing"), ("folder", "no manifest in it"), ("file", "a file")])
def test_no_site_is_told(tmp_path: Path, made: str, what: str) -> None:
    place_of = tmp_path / "site"
    if made == "folder":
        place_of.mkdir()
    elif made == "file":
        place_of.write_text("")
    with pytest.raises(InputError) as caught:
        published.read(place_of)
    assert str(caught.value) == (
        f"{place_of}: expected a site of this program, found {what}; make it with: python -m generator build"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"files": {}}',
        '{"generator": "other", "files": {}}',
        '{"generator": "cnn-report", "files": []}',
        '{"generator": "cnn-report", "files": {"index.html": 3}}',
        '{"generator": "cnn-report", "files": {"\\ud800": "00"}}',  # half of a letter
    ],
)
def test_a_damaged_manifest_is_told(site: Path, text: str) -> None:
    (site / ".manifest.json").write_text(text)
    with pytest.raises(InputError, match="expected the list of the site's files, it is damaged; delete the folder"):
        published.read(site)


@pytest.mark.parametrize(
    "path", ["../outside.txt", "/etc/hostname", "a/../../x", "C:/x", "a\\..\\x", "a//b", "", "a\0b"]
)
def test_a_manifest_cannot_name_a_file_outside(site: Path, path: str) -> None:
    manifest = json.loads((site / ".manifest.json").read_text())
    manifest["files"][path] = "0" * 64
    (site / ".manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="expected paths inside the site"):
        published.read(site)


def test_a_copy_without_a_manifest_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "copy" / ".git").mkdir(parents=True)
    (tmp_path / "copy" / "index.html").write_text("home")
    (tmp_path / "copy" / ".git" / "config").write_text("secret")
    assert published.unmarked(tmp_path / "copy").files == {"index.html": b"home"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_read(site: Path) -> None:
    (site / "index.html").unlink()
    os.mkfifo(site / "index.html")
    assert published.read(site).changed == ("index.html",)
    assert "index.html" not in published.unmarked(site).files
    (site / ".manifest.json").unlink()
    os.mkfifo(site / ".manifest.json")
    with pytest.raises(InputError, match="expected the list of the site's files, it is damaged"):
        published.read(site)
