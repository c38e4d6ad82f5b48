"""Exports replace what they made themselves and nothing else, and write nothing where they would have to."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

import pytest

from generator.base.errors import InputError
from generator.publishing.exports.placing import RECORD, Owner, owner, place

FILES = {"_portfolio/a.md": b"words", "portfolio/a/report/index.html": b"home", "assets/img/a.jpg": b"JPEG"}
WORDS = ("_portfolio/a.md",)


def content(folder: Path) -> dict[str, bytes]:
    """All files but the record."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != RECORD
    }


def test_files_are_written_and_written_again(tmp_path: Path) -> None:
    to = tmp_path / "new" / "site"
    assert place(FILES, to, "jekyll a", words=WORDS).written == tuple(FILES)
    assert content(to) == FILES
    changed = {**FILES, "portfolio/a/report/index.html": b"new home"}
    place(changed, to, "jekyll a", words=WORDS)
    assert content(to) == changed


def test_what_is_no_longer_exported_goes_with_its_empty_folders(tmp_path: Path) -> None:
    place(FILES, tmp_path, "jekyll a")
    (tmp_path / "assets" / "mine.css").write_text("mine")
    place({"_portfolio/a.md": b"words"}, tmp_path, "jekyll a")
    assert content(tmp_path) == {"_portfolio/a.md": b"words", "assets/mine.css": b"mine"}
    assert not (tmp_path / "portfolio").exists()


def test_two_exports_share_a_folder(tmp_path: Path) -> None:
    place({"a.html": b"a"}, tmp_path, "fragment a")
    place({"b.html": b"b"}, tmp_path, "fragment b")
    place({"a.html": b"A"}, tmp_path, "fragment a")
    assert content(tmp_path) == {"a.html": b"A", "b.html": b"b"}


@pytest.mark.parametrize("path", FILES)
def test_a_file_of_the_users_is_not_overwritten_and_nothing_is_written(tmp_path: Path, path: str) -> None:
    mine = tmp_path / path
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(InputError) as caught:
        place(FILES, tmp_path, "jekyll a", words=WORDS)
    assert str(caught.value) == (
        f"{mine}: expected no file of yours there, this one was not made by an export; "
        "move it, or write over it: --force"
    )
    assert content(tmp_path) == {path: b"mine"}
    assert not (tmp_path / RECORD).exists()
    place(FILES, tmp_path, "jekyll a", words=WORDS, force=True)
    assert content(tmp_path) == FILES


@pytest.mark.parametrize("name", [RECORD, RECORD.upper()])
@pytest.mark.parametrize("force", [False, True])
def test_the_record_is_no_place_for_an_export(tmp_path: Path, name: str, force: bool) -> None:
    with pytest.raises(InputError) as caught:
        place({name: b"a"}, tmp_path / "to", "fragment a", force=force)
    assert str(caught.value) == (
        f"{tmp_path / 'to' / RECORD}: expected another name, this file lists what was exported; choose one"
    )
    assert not (tmp_path / "to").exists()


def test_an_equal_file_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_bytes(b"a")
    place({"a.html": b"a"}, tmp_path, "fragment a")
    place({"a.html": b"b"}, tmp_path, "fragment a")
    assert content(tmp_path) == {"a.html": b"b"}


def test_an_edited_page_is_kept_and_said(tmp_path: Path) -> None:
    place(FILES, tmp_path, "jekyll a", words=WORDS)
    (tmp_path / "_portfolio" / "a.md").write_text("my words")
    changed = {**FILES, "_portfolio/a.md": b"new words", "portfolio/a/report/index.html": b"new home"}
    for _ in range(2):  # it is known to be edited after another export, too
        placed = place(changed, tmp_path, "jekyll a", words=WORDS)
        assert (placed.kept, len(placed.written)) == (WORDS, 2)
        assert content(tmp_path) == {**changed, "_portfolio/a.md": b"my words"}
    place(changed, tmp_path, "jekyll a", words=WORDS, force=True)
    assert content(tmp_path) == changed


def test_another_edited_file_is_refused_and_kept_when_it_is_no_longer_exported(tmp_path: Path) -> None:
    place(FILES, tmp_path, "jekyll a", words=WORDS)
    home = tmp_path / "portfolio" / "a" / "report" / "index.html"
    home.write_text("mine")
    with pytest.raises(InputError, match="this one was changed since it was exported"):
        place({**FILES, "portfolio/a/report/index.html": b"new home"}, tmp_path, "jekyll a", words=WORDS)
    place({"_portfolio/a.md": b"words"}, tmp_path, "jekyll a", words=WORDS)
    assert home.read_text() == "mine"


@pytest.mark.parametrize("linked", ["portfolio", "portfolio/a", "portfolio/a/report"])
def test_a_link_out_of_the_folder_is_refused(tmp_path: Path, linked: str) -> None:
    outside, to = tmp_path / "outside", tmp_path / "to"
    outside.mkdir()
    (to / linked).parent.mkdir(parents=True)
    (to / linked).symlink_to(outside, target_is_directory=True)
    for force in (False, True):
        with pytest.raises(InputError, match=r"expected a place inside .*, a link leads out of it"):
            place(FILES, to, "jekyll a", force=force)
    assert list(outside.iterdir()) == []
    assert content(to) == {}


def test_a_link_to_itself_is_told(tmp_path: Path) -> None:
    (tmp_path / "portfolio").symlink_to("portfolio")
    with pytest.raises(InputError, match="expected a folder, found a file"):
        place(FILES, tmp_path, "jekyll a")


def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "_portfolio").symlink_to("pages", target_is_directory=True)
    place(FILES, tmp_path, "jekyll a")
    assert (tmp_path / "pages" / "a.md").read_bytes() == b"words"


def test_a_file_that_is_a_link_is_the_users(tmp_path: Path) -> None:
    (tmp_path / "outside.txt").write_text("mine")
    to = tmp_path / "to"
    to.mkdir()
    (to / "a.html").symlink_to(tmp_path / "outside.txt")
    with pytest.raises(InputError, match="was not made by an export"):
        place({"a.html": b"a"}, to, "fragment a")
    place({"a.html": b"a"}, to, "fragment a", force=True)
    assert (to / "a.html").read_bytes() == b"a"
    assert not (to / "a.html").is_symlink()
    assert (tmp_path / "outside.txt").read_text() == "mine"


def test_a_folder_in_a_files_place_and_a_file_in_a_folders_place_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.html").mkdir()
    (tmp_path / "assets").write_text("mine")
    for path in ("a.html", "assets/x.css"):
        for force in (False, True):
            with pytest.raises(InputError, match=r"found a folder; move it|found a file; move it"):
                place({path: b""}, tmp_path, "a", force=force)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"exports": []}',
        '{"exports": {"a": []}}',
        '{"exports": {"a": {"b": "c"}}}',
        '{"exports": {}, "reports": []}',
        '{"exports": {}, "reports": {"a": ["Mine"]}}',
    ],
)
def test_a_damaged_record_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(InputError, match="expected the list of exported files, it is damaged"):
        place(FILES, tmp_path, "jekyll a")
    assert content(tmp_path) == {}


def test_an_export_that_was_killed_is_finished_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(FILES, tmp_path, "jekyll a", words=WORDS)
    replace, written = os.replace, []

    def killed(new: Path, path: Path) -> None:
        written.append(path)
        if len(written) == 3:  # the record, one file, and no more
            raise KeyboardInterrupt
        replace(new, path)

    changed = {path: b"new " + data for path, data in FILES.items()}
    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        place(changed, tmp_path, "jekyll a", words=WORDS)
    monkeypatch.undo()
    assert place(changed, tmp_path, "jekyll a", words=WORDS).kept == ()
    assert content(tmp_path) == changed


@pytest.mark.parametrize(
    "path", ["../up", "/etc/passwd", "a/../../b", "a\\u0000b", "\\ud800", "", "a//b", "."],
)  # fmt: skip
def test_a_record_that_names_what_no_export_wrote_is_damaged(tmp_path: Path, path: str) -> None:
    (tmp_path / RECORD).write_text(f'{{"exports": {{"jekyll a": {{"{path}": []}}}}, "reports": {{}}}}')
    with pytest.raises(InputError, match="expected the list of exported files, it is damaged"):
        place(FILES, tmp_path, "jekyll a")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_neither_read_nor_written(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / RECORD)
    with pytest.raises(InputError, match="expected the list of exported files, it is damaged"):
        place(FILES, tmp_path, "jekyll a")
    (tmp_path / RECORD).unlink()
    (tmp_path / "_portfolio").mkdir()
    os.mkfifo(tmp_path / "_portfolio" / "a.md")
    with pytest.raises(InputError, match="expected no file of yours there, this one was not made by an export"):
        place(FILES, tmp_path, "jekyll a")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, where nobody can write")
def test_a_place_that_cannot_be_written_is_told() -> None:
    with pytest.raises(InputError, match=r"^/proc/site: could not be written \(.*\); choose another place$"):
        place(FILES, Path("/proc/site"), "jekyll a")


@pytest.mark.skipif(sys.platform != "win32" and os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="could not be written"):
            place(FILES, tmp_path, "jekyll a")
    finally:
        tmp_path.chmod(0o700)


def test_a_file_for_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "to").write_text("mine")
    with pytest.raises(InputError, match="expected a folder, found a file; choose another place"):
        place(FILES, tmp_path / "to", "jekyll a")


def test_the_record_holds_digests_and_no_path_of_this_machine(tmp_path: Path) -> None:
    place({"a.html": b"a"}, tmp_path, "fragment a", owner=owner("Mine", tmp_path / "secret" / "site", tmp_path))
    told = json.loads((tmp_path / RECORD).read_text())
    digest = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"  # sha256 of "a"
    site = tmp_path.resolve() / "secret" / "site"
    seen, whole = (hashlib.sha256(path.encode()).hexdigest()[:16] for path in ("secret/site", str(site)))
    assert told == {
        "generator": "cnn-report",
        "exports": {"fragment a": {"a.html": [digest]}},
        "reports": {"fragment a": ["Mine", seen, whole]},
    }


def test_the_export_of_another_report_is_not_replaced_unless_told(tmp_path: Path) -> None:
    to, files = tmp_path / "to", {"a.html": b"a", "b.html": b"b"}
    mine, theirs = (owner(title, tmp_path / title / "site", to) for title in ("Mine", "Theirs"))
    place(files, to, "hugo a.html", owner=theirs)
    before = content(to)
    with pytest.raises(InputError) as caught:
        place({"a.html": b"mine"}, to, "hugo a.html", owner=mine)
    assert str(caught.value) == (
        f"{to / 'a.html'}: expected an export of this report there, found that of another one, “Theirs”; "
        "choose another --slug or file, or replace it: --force"
    )
    assert content(to) == before
    place({"a.html": b"mine"}, to, "hugo a.html", owner=mine, force=True)
    assert content(to) == {"a.html": b"mine"}
    # From now on it is ours, by another title too.
    place({"a.html": b"again"}, to, "hugo a.html", owner=owner("Other", tmp_path / "Mine" / "site", to))
    assert content(to) == {"a.html": b"again"}


def test_an_export_whose_report_was_not_noted_is_taken_over(tmp_path: Path) -> None:
    place({"a.html": b"a"}, tmp_path, "hugo a.html")
    place({"a.html": b"b"}, tmp_path, "hugo a.html", owner=owner("Mine", tmp_path / "site", tmp_path))
    assert content(tmp_path) == {"a.html": b"b"}


def test_a_report_is_known_from_wherever_it_is_seen_with_its_portfolio(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "link").symlink_to("here")
    here, there, link = (
        owner("t", tmp_path / name / "site", tmp_path / name / "to") for name in ("here", "there", "link")
    )
    assert here == link
    assert here.is_of(there)
    assert here.is_of(Owner("t", here.place))  # as earlier versions noted it
    assert not Owner("t", "a").is_of(Owner("t", "b"))


def test_a_portfolio_that_was_moved_keeps_its_reports_and_what_was_edited(tmp_path: Path) -> None:
    def export(to: Path, site: Path, files: dict[str, bytes]) -> None:
        place(files, to, "jekyll a", words=WORDS, owner=owner("Mine", site, to))

    site = tmp_path / "report" / "site"
    export(tmp_path / "to", site, FILES)
    moved = tmp_path / "elsewhere" / "deep" / "to"
    moved.parent.mkdir(parents=True)
    (tmp_path / "to").rename(moved)
    (moved / "_portfolio" / "a.md").write_text("my words")
    changed = {**FILES, "portfolio/a/report/index.html": b"new home"}
    export(moved, site, changed)
    assert content(moved) == {**changed, "_portfolio/a.md": b"my words"}
    # Both are moved, by the same way from one to the other.
    (tmp_path / "all").mkdir()
    (tmp_path / "elsewhere").rename(tmp_path / "all" / "elsewhere")
    export(tmp_path / "all" / "elsewhere" / "deep" / "to", tmp_path / "all" / "report" / "site", FILES)
    # Another report's is still another's.
    with pytest.raises(InputError, match="found that of another one, “Mine”"):
        export(tmp_path / "all" / "elsewhere" / "deep" / "to", tmp_path / "other" / "site", changed)


def test_a_file_that_two_exports_share_stays_while_one_has_it(tmp_path: Path) -> None:
    place({"a.html": b"a", "a.jpg": b"JPEG"}, tmp_path, "jekyll a.html")
    place({"b.html": b"b", "a.jpg": b"JPEG"}, tmp_path, "jekyll b.html")
    place({"a.html": b"a"}, tmp_path, "jekyll a.html")
    assert content(tmp_path) == {"a.html": b"a", "b.html": b"b", "a.jpg": b"JPEG"}
    place({"b.html": b"b"}, tmp_path, "jekyll b.html")
    assert content(tmp_path) == {"a.html": b"a", "b.html": b"b"}
