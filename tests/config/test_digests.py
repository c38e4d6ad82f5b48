"""The digest of a build changes with whatever the site is made from, and with nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from generator.config import digests, places, reading

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    project = tmp_path / "project"
    for file in (
        "templates/page.html",
        "content/index.md",
        "models/cnn/weights.safetensors",
        "mine.safetensors",
        "nets/net.py",
        "runs/version_0/metrics.csv",
        "log.csv",
    ):
        (project / file).parent.mkdir(parents=True, exist_ok=True)
        (project / file).write_text(file)
    Image.new("RGB", (8, 8), "red").save(project / "photo.png")
    (project / "report.toml").write_text(
        '[report]\ntitle = "One"\n[models.cnn]\nweights = "auto"\narchitecture = "nets/net.py:Net"\n'
        'logs = ["runs", "log.csv"]\n'
        '[models.alexnet]\nweights = "mine.safetensors"\n[samples]\nphotos = ["photo.png"]\n'
    )
    return project


def digest(project: Path, data: str = "") -> str:
    settings = reading.load(project / "report.toml")
    return digests.of_build(settings, data, *places.folders(settings))


def write(file: str) -> Callable[[Path], None]:
    def change(project: Path) -> None:
        (project / file).parent.mkdir(parents=True, exist_ok=True)
        (project / file).write_text("changed")

    return change


def other_title(project: Path) -> None:
    (project / "report.toml").write_text((project / "report.toml").read_text().replace("One", "Two"))


def test_what_report_toml_says_is_the_same_in_another_folder_and_in_other_words(project: Path, tmp_path: Path) -> None:
    def said(folder: Path) -> str:
        return digests.of_report(reading.load(folder / "report.toml"))

    first = said(project)
    moved = Path(shutil.copytree(project, tmp_path / "moved"))
    assert said(moved) == first
    text = (moved / "report.toml").read_text()
    (moved / "report.toml").write_text(f"# mine\n{text}".replace("[report]", '[report]\nlanguage = "en"'))
    assert said(moved) == first
    (moved / "report.toml").write_text(text.replace("[report]", '[report]\nbase_url = "https://example.org"'))
    assert said(moved) == first
    for old, new in (("One", "Two"), ("photo.png", "mine.safetensors"), ('weights = "mine.safetensors"', "")):
        (moved / "report.toml").write_text(text.replace(old, new))
        assert said(moved) != first


def other_photo(project: Path) -> None:
    Image.new("RGB", (8, 8), "blue").save(project / "photo.png")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(other_title, id="report value"),
        pytest.param(other_photo, id="photo"),
        pytest.param(write("templates/page.html"), id="template"),
        pytest.param(write("templates/deep/new.html"), id="new template"),
        pytest.param(write("content/index.md"), id="content"),
        pytest.param(write("models/cnn/weights.safetensors"), id="weights"),
        pytest.param(write("models/cnn/evaluation.json"), id="evaluation"),
        pytest.param(write("models/cnn/README.md"), id="card"),
        pytest.param(write("mine.safetensors"), id="foreign weights"),
        pytest.param(write("nets/net.py"), id="the user's network"),
        pytest.param(write("nets/layers.py"), id="what that imports"),
        pytest.param(write("nets/blocks/one.py"), id="what that imports from a folder"),
        pytest.param(write("log.csv"), id="a log"),
        pytest.param(write("runs/version_0/metrics.csv"), id="a log of a folder"),
        pytest.param(write("runs/version_1/events.out.tfevents.1"), id="a new log of a folder"),
        pytest.param(
            lambda project: (project / "runs/version_0").rename(project / "runs/version_1"), id="a log elsewhere"
        ),
        pytest.param(write("../torch/hub/checkpoints/alexnet-owt-7be5be79.pth"), id="ImageNet's weights"),
        pytest.param(lambda project: shutil.rmtree(project / "templates"), id="templates gone"),
        pytest.param(lambda project: (project / "models/cnn/weights.safetensors").unlink(), id="weights gone"),
    ],
)
def test_what_the_site_is_made_from_changes_it(project: Path, change: Callable[[Path], None]) -> None:
    before = digest(project)
    change(project)
    assert digest(project) != before


def test_other_code_changes_it(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = Path(shutil.copytree(Path(digests.__file__).parents[1], tmp_path / "generator"))
    before = digest(project)
    monkeypatch.setattr(digests, "__file__", str(copy / "config" / "digests.py"))
    assert digest(project) == before  # where the program lies does not matter
    (copy / "notes.txt").write_text("no code")
    assert digest(project) == before
    with (copy / "pages" / "site.py").open("a") as file:
        file.write("# changed\n")
    assert digest(project) != before


def test_another_data_set_changes_it(project: Path) -> None:
    assert len({digest(project), digest(project, "one"), digest(project, "two")}) == 3


def test_nothing_else_changes_it(project: Path) -> None:
    before = digest(project)
    assert digest(project) == before
    write("models/cnn/resume.safetensors")(project)
    write("site/index.html")(project)
    write("runs/version_0/checkpoints/last.ckpt")(project)
    write("templates/__pycache__/filters.pyc")(project)
    os.utime(project / "templates" / "page.html", (0, 0))
    with (project / "report.toml").open("a") as file:
        file.write("# a comment\n")
    assert digest(project) == before


def test_an_unreadable_record_is_left_to_those_who_read_it(project: Path) -> None:
    before = digest(project)
    (project / "models" / "cnn" / "history.json").mkdir()
    assert digest(project) == before


def test_own_templates_go_before_the_bundled_and_own_content_instead_of_it(project: Path) -> None:
    settings = reading.load(project / "report.toml")
    assert places.folders(settings) == (
        (project / "templates", places.bundled("templates")),
        project / "content",
    )
    shutil.rmtree(project / "templates")
    shutil.rmtree(project / "content")
    assert places.folders(settings) == ((places.bundled("templates"),), places.bundled("content"))


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"TORCH_HOME": "/torch", "XDG_CACHE_HOME": "/xdg"}, "/torch"),
        ({"TORCH_HOME": "", "XDG_CACHE_HOME": "/xdg"}, "/xdg/torch"),
        ({"HOME": "/home/me"}, "/home/me/.cache/torch"),
    ],
)
def test_imagenet_s_weights_are_where_torch_keeps_them(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], folder: str
) -> None:
    for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    """Whatever network they are of: the file's name is its architecture's."""
    assert places.published_weights() == Path(folder) / "hub" / "checkpoints"


def test_the_command_line_and_the_digest_need_no_torch() -> None:
    code = (
        "import sys, generator.config.digests, generator.__main__; "
        "print(sorted({'torch', 'torchvision', 'matplotlib', 'jinja2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_templates_of_one_s_own_are_told_and_nobody_else_s(project: Path) -> None:
    settings = reading.load(project / "report.toml")
    assert digests.own_code(settings) == project / "templates"
    (project / "templates" / "page.html").rename(project / "templates" / "README.md")
    assert digests.own_code(settings) is None
    shutil.rmtree(project / "templates")
    assert digests.own_code(settings) is None
    assert digests.own_code(reading.load(places.bundled("report.toml"))) is None
