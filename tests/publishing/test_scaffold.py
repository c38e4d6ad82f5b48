"""A new report explains every key, loads, and loses nothing that was there."""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from generator.base.errors import InputError
from generator.config import places, reading, schema
from generator.pages import render
from generator.publishing.scaffold import init, report_toml
from tests import sites


def keys(record: type[Any]) -> set[str]:
    """The names of all keys of a table of report.toml and of the tables in it."""
    found: set[str] = set()
    for name, kind in get_type_hints(record).items():
        inner = [one for one in (kind, *get_args(kind)) if dataclasses.is_dataclass(one)]
        found |= {name} | {key for one in inner for key in keys(one)}  # type: ignore[arg-type]
    return found


def everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_keys_are_found() -> None:
    assert {"title", "base_url", "url", "test_images", "other_class", "licence", "root"} <= keys(schema.Config)


def test_every_key_stands_in_report_toml_with_words(tmp_path: Path) -> None:
    init(tmp_path / "mine")
    text = (tmp_path / "mine" / "report.toml").read_text("utf-8")
    # Places, names of tables, and what the command line says: no keys.
    for key in keys(schema.Config) - {"path", "fallback", "id", "networks", "command", "said_in"}:
        if key == "folder":  # also a field of Config; [models] folder is the key
            assert '\n# folder = "models"\n' in text
        named = re.search(rf"^(# )?\[+[a-z.]*\b{key}\]+|^(# )?{key} = |\b{key} = ", text, re.MULTILINE)
        assert named, f"{key} is not mentioned"


def test_the_commented_keys_are_right_too(tmp_path: Path) -> None:
    init(tmp_path / "mine")
    file = tmp_path / "mine" / "report.toml"
    text = file.read_text("utf-8").replace("photos = []  ", "# photos = []  ")
    (tmp_path / "mine" / "photos" / "holiday.jpg").write_bytes(b"")
    uncommented = re.sub(
        r"^# (?=(date|root|folder|file|title|label|author|origin|licence|url) = |\[\[)", "", text, flags=re.MULTILINE
    )
    assert uncommented != text
    file.write_text(uncommented, encoding="utf-8")
    read = reading.load(file)
    assert read.report.date == "2026-07-31"
    assert read.models.folder == tmp_path / "mine" / "models"
    assert [photo.label for photo in read.samples.photos] == ["bee"]


def test_it_loads_and_is_the_bundled_report_by_another_title(tmp_path: Path) -> None:
    init(tmp_path / "my-first_report")
    mine, theirs = (
        reading.load(tmp_path / "my-first_report" / "report.toml"),
        reading.load(places.bundled("report.toml")),
    )
    assert mine.report == dataclasses.replace(theirs.report, title="My first report")
    assert mine.models.networks == theirs.models.networks
    assert (mine.data, mine.samples) == (theirs.data, theirs.samples)


def test_models_of_ones_own_are_taken_once_they_are_there(tmp_path: Path) -> None:
    init(tmp_path / "mine")
    (tmp_path / "mine" / "models" / "cnn").mkdir(parents=True)
    (tmp_path / "mine" / "models" / "cnn" / "weights.safetensors").touch()
    models = reading.load(tmp_path / "mine" / "report.toml").models
    assert models.folder == tmp_path / "mine" / "models"
    assert models.read("cnn") == tmp_path / "mine" / "models" / "cnn"
    assert models.read("alexnet") == places.bundled("models") / "alexnet"


@pytest.mark.parametrize("made", [True, False], ids=["after init", "in an empty folder"])
def test_nothing_is_written_among_the_programs_own_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: bool
) -> None:
    if made:
        init(tmp_path / "mine")
    else:
        (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    models = reading.load().models
    assert models.folder == tmp_path / "mine" / "models"
    assert models.read("cnn") == places.bundled("models") / "cnn"


def test_the_words_are_all_there(tmp_path: Path) -> None:
    made = init(tmp_path / "mine")
    theirs = everything(places.bundled("content"))
    assert everything(tmp_path / "mine" / "content") == theirs
    assert set(made) == {"content", "report.toml", "templates/README.md", "photos/README.md", ".gitignore"}


def test_a_template_in_the_folder_replaces_the_programs(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    init(folder)
    settings = reading.load(folder / "report.toml")
    templates, content = places.folders(settings)
    assert content == folder / "content"
    report, figures = sites.drawn()
    before = render(report, figures, settings, templates, content)
    (folder / "templates" / "404.html").write_text("<p>mine: {{ site.title }}</p>")
    (folder / "templates" / "styles").mkdir()
    (folder / "templates" / "styles" / "foot.css").write_text("p { color: red }")
    after = render(report, figures, settings, templates, content)
    changed = {path for path in after if after[path] != before.get(path)}
    assert changed == {"404.html", "assets/site.css"}
    assert after["404.html"] == b"<p>mine: Mine</p>\n"
    assert "README.md" not in str(sorted(after))


def test_the_readme_names_each_template(tmp_path: Path) -> None:
    init(tmp_path / "mine")
    text = (tmp_path / "mine" / "templates" / "README.md").read_text("utf-8")
    for file in everything(places.bundled("templates")):
        assert f"| {file} | " in text
    assert "| styles/masthead.css | the styles of the masthead: " in text
    (command,) = re.findall(r"python -c \"(.*)\"", text)
    assert eval(f"str({command.split('print(')[1]}", {"bundled": places.bundled}) == str(places.bundled("templates"))
    assert str(tmp_path) not in text


@pytest.mark.parametrize("held", ["report.toml", ".hidden", "content/index.md"])
def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path, held: str) -> None:
    mine = tmp_path / "mine" / held
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(InputError) as caught:
        init(tmp_path / "mine")
    assert str(caught.value) == (
        f"{tmp_path / 'mine'}: expected an empty folder, found {held.split('/')[0]!r} in it; choose another name"
    )
    assert everything(tmp_path / "mine") == {held: b"mine"}


def test_an_empty_folder_and_a_new_repository_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine" / ".git").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "mine")
    init(Path())
    assert reading.load().report.title == "Mine"


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(InputError, match="expected a folder for the new report, got a file"):
        init(tmp_path / "mine")
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, where nobody can write")
def test_a_place_that_cannot_be_written_is_told() -> None:
    with pytest.raises(InputError, match=r"^/proc/mine: could not be written \(.*\); choose another folder$"):
        init(Path("/proc/mine"))


def test_what_fails_halfway_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, *words: Any, **more: Any) -> int:
        raise OSError(28, "No space left on device", str(self))

    (tmp_path / "empty" / ".git").mkdir(parents=True)
    monkeypatch.setattr(Path, "write_text", full)
    for name in ("new", "empty"):
        with pytest.raises(InputError, match="No space left on device"):
            init(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]
    assert [path.name for path in (tmp_path / "empty").iterdir()] == [".git"]


@pytest.mark.parametrize("title", ['a "b" \\ c', "'''", "é 😀", "# x", "{{ x }}"])
def test_any_title_can_be_written(tmp_path: Path, title: str) -> None:
    (tmp_path / "report.toml").write_text(report_toml(title), encoding="utf-8")
    assert reading.load(tmp_path / "report.toml").report.title == title


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no such names")
@pytest.mark.parametrize(
    ("name", "title"), [('it\'s "mine"\n&', 'It\'s "mine" &'), ("--", "What a small network sees"), ("ünï_x", "Ünï x")]
)
def test_any_folder_name_makes_a_title(tmp_path: Path, name: str, title: str) -> None:
    init(tmp_path / name)
    assert reading.load(tmp_path / name / "report.toml").report.title == title
