"""A new report of one's own: a folder with report.toml, the words, and a place for templates.

All of it is made from what comes with the program, so that a new report begins as the report that everybody knows.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from generator.base.clutter import files, is_clutter
from generator.base.errors import InputError
from generator.config.places import FILE_NAME, bundled

IGNORED = """\
# Made by the program
site/
.cache/
.*.cnn-report-*
"""
FOLDER = """\
# One folder a model: weights.safetensors and the records of its training. Left out: models/ beside this file; a
# network that is not there is the one that comes with the program.
# folder = "models\""""
PHOTOS = """\
# Photos

Put photos of your own here and name them in ../report.toml:

    [samples]
    photos = ["photos/holiday.jpg"]

or, to say more about each of them:

    [[samples.photos]]
    file = "photos/holiday.jpg"
    title = "A bee in the garden"
    label = "bee"

JPEG, PNG, WebP and whatever else Pillow reads. `label` is the class that the photo shows, if it is one of the report's;
without it the report says what the networks make of the photo, but not whether they are right. A published report
publishes its photos: say in `author` and `licence` who made them and on what terms.

The photos that come with the program are in ../content/samples; `bundled = false` under [samples] leaves them out.
"""
TEMPLATES = """\
# Templates of your own

A file here takes the place of the program's file of the same name; what is not here comes from the program. This prints
where the program's files are:

    {folder}

Copy the one that you want to change from there to here, change it, and build:

| file | makes |
|---|---|
{rows}

`base.html` is the frame around each page. The look of all pages is in `styles`: the program writes the colours
(`--paper`, `--ink`, `--accent` and so on) and joins those files below them into one site.css. A file of another name in
`styles` comes last, so that it can change a few rules, or a colour in both themes:

    :root {{ --accent: light-dark(teal, aquamarine) }}

A `site.css` here takes the place of all of them, colours included. Templates are Jinja
(https://jinja.palletsprojects.com); the words of the pages are not in them but in ../content. A mistake is told with
its file and line, and the site stays as it was. `python -m generator check` looks at the result.

Templates are code: they can do whatever you can. Read those that somebody else gives you before you build with them.

To go back, delete the file here.
"""


def init(folder: Path) -> tuple[str, ...]:
    """Make a new report in `folder`.

    Args:
        folder: missing, or empty but for a .git.
    Returns:
        the names of what was made in it.
    Raises:
        InputError: the folder holds something, or cannot be written; what was there is untouched.
    """
    with _told(folder):
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder}: expected a folder for the new report, got a file; choose another name")
        held = sorted(path.name for path in folder.iterdir() if path.name != ".git") if folder.is_dir() else []
        if held:
            raise InputError(f"{folder}: expected an empty folder, found {held[0]!r} in it; choose another name")
        fresh = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return tuple(_fill(folder))
        except BaseException:
            _clear(folder, fresh)
            raise


def begin(folder: Path, text: str) -> Path:
    """Write a report.toml into a folder, which may hold anything else.

    Returns:
        the file.
    Raises:
        InputError: where there is one already, or it cannot be written.
    """
    with _told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / FILE_NAME
        try:
            with file.open("x", encoding="utf-8", newline="\n") as opened:
                opened.write(text)
        except FileExistsError:
            raise there_is_one(file) from None
    return file


def there_is_one(file: Path) -> InputError:
    """The error where a report.toml would be written over."""
    return InputError(f"{file}: expected none yet, there is one; change it, or choose another folder")


def report_toml(title: str) -> str:
    """The report.toml of a new report: the program's own, each key explained, with its title and without its models."""
    text = bundled(FILE_NAME).read_text(encoding="utf-8")
    for old, new in (
        (r"\A# .*", "# Your report. Make it with `python -m generator build` in this folder."),
        (r"^title = .*", f"title = {json.dumps(title, ensure_ascii=False)}"),
        (r"^folder = .*", FOLDER),
    ):
        text, count = re.subn(old, lambda _, new=new: new, text, flags=re.MULTILINE)  # type: ignore[misc]
        if count != 1:
            raise ValueError(f"{FILE_NAME}: expected one line {old}, found {count}")
    return text


def _fill(folder: Path) -> Iterator[str]:
    shutil.copytree(bundled("content"), folder / "content", ignore=lambda _, names: set(filter(is_clutter, names)))
    yield "content"
    for name, text in (
        (FILE_NAME, report_toml(_title(folder))),
        ("templates/README.md", _about_templates()),
        ("photos/README.md", PHOTOS),
        (".gitignore", IGNORED),
    ):
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="\n")
        yield name


def _about_templates() -> str:
    """With each of the program's templates by name."""
    made = {"base.html": "the frame of every page", "plates.html": "how figures and tables stand on a page"}
    kinds: Mapping[str, Callable[[Path], str]] = {
        ".html": lambda file: f"the page {file.stem}",
        ".css": _dressed,
        ".js": lambda _: "a script of the pages",
    }
    rows = [
        f"| {file.relative_to(bundled('templates')).as_posix()} | {made.get(file.name) or kinds[file.suffix](file)} |"
        for file in files(bundled("templates"))
        if file.suffix in kinds
    ]
    shown = "python -c \"from generator.config.places import bundled; print(bundled('templates'))\""
    return TEMPLATES.format(folder=shown, rows="\n".join(rows))


def _dressed(file: Path) -> str:
    """What a style sheet is for, as its first line says."""
    said = re.match(r"/\* (.*?)[.]? \*/", file.read_text(encoding="utf-8"))
    return f"the styles of {said[1][:1].lower()}{said[1][1:]}" if said else "styles"


def _title(folder: Path) -> str:
    """The folder's name as words."""
    letters = (letter if letter.isprintable() and letter not in "-_" else " " for letter in folder.resolve().name)
    words = " ".join("".join(letters).split())
    return words[:1].upper() + words[1:] or "What a small network sees"


def _clear(folder: Path, fresh: bool) -> None:
    """Take away what a failed init left."""
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for path in folder.iterdir():
        if path.name == ".git":
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Turn the system's refusals into one line."""
    try:
        yield
    except OSError as error:
        where = os.fspath(error.filename or folder)
        raise InputError(f"{where}: could not be written ({error.strerror}); choose another folder") from error
