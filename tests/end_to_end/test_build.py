"""From images to a site: trained, evaluated and built in one place, with the command line alone."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from PIL import Image

from generator.__main__ import main
from generator.config import reading
from generator.config.digests import of_report
from generator.networks import alexnet, small_cnn
from generator.publishing import published
from tests.conftest import SmallDataSet

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = (
    "index", "data", "training", "evaluation", "filters", "feature-maps", "grad-cam", "failures", "trust", "try",
    "about",
)  # fmt: skip
CONVOLUTIONS_OF_ALEXNET = ((64, 3, 11), (192, 64, 5), (384, 192, 3), (256, 384, 3), (256, 256, 3))  # out, in, side
REPORT = """
[report]
title = "Shapes & <b>colours</b>"
[data]
root = "{root}"
classes = ["goldfish", "ladybug", "banana"]
[models]
folder = "models"
[models.cnn]
architecture = "SmallCNN"
[models.other]
architecture = "SmallCNN"
weights = "bundled"
[samples]
bundled = false
test_images = 2
photos = [{{file = "photo.png", title = "An orange <i>disc</i>", label = "goldfish"}}]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, small_data_set: SmallDataSet) -> Path:
    """A folder with a report.toml, a photo, and both networks trained for a moment on the drawn shapes."""
    folder = begun(tmp_path_factory.mktemp("project"), small_data_set)
    where = ["--config", str(folder / "report.toml")]
    quick = ["--epochs", "2", "--precision", "float32", *where]  # else a processor measures for long which is faster
    for seed, model in enumerate(("cnn", "other")):
        assert main(["train", model, "--preset", "quick", "--seed", str(seed), *quick]) == 0
        assert main(["evaluate", model, *where]) == 0
    assert main(["train", "cnn", "--preset", "one batch", *quick]) == 0
    return folder


def begun(folder: Path, data: SmallDataSet) -> Path:
    """The folder with a report.toml and a photo."""
    (folder / "report.toml").write_text(REPORT.format(root=data.root.as_posix()))
    pixels = np.full((90, 120, 3), 110, np.uint8)
    rows, columns = np.mgrid[:90, :120]
    pixels[(rows - 45) ** 2 + (columns - 60) ** 2 < 900] = (240, 140, 30)
    Image.fromarray(pixels).save(folder / "photo.png")
    return folder


@pytest.fixture(scope="module")
def site(project: Path) -> Path:
    """The site as it was first built; tests that change it work on a copy of the project."""
    assert main(["build", "--config", str(project / "report.toml")]) == 0
    return project / "site"


@pytest.fixture
def copy(project: Path, site: Path, tmp_path: Path) -> Path:
    """A project of a test's own, with the site built."""
    assert site.is_dir()
    return Path(shutil.copytree(project, tmp_path / "project"))


class Links(HTMLParser):
    """The ids of a page, and what it points to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.targets: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            elif name in ("href", "src") and value:
                self.targets.add(value)
            elif name == "srcset" and value:
                self.targets |= {part.split()[0] for part in value.split(",")}


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "generator", *words],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )


@pytest.mark.slow
def test_every_page_is_there_and_every_link_resolves(site: Path) -> None:
    pages = {path.name: Links(path.read_text("utf-8")) for path in site.glob("*.html")}
    assert {f"{page}.html" for page in PAGES} <= set(pages)
    for name, page in pages.items():
        for target in page.targets:
            if target.startswith("data:"):
                continue
            parts = urlsplit(target)
            if parts.scheme in ("http", "https", "mailto"):
                continue
            path = unquote(parts.path) or name
            assert (site / path).is_file(), f"{name} points to {target}"
            if parts.fragment and path.endswith(".html"):
                assert unquote(parts.fragment) in pages[path].ids, f"{name} points to {target}"


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for path in site.glob("*.html"):
        text = path.read_text("utf-8")
        assert 'src="http' not in text
        assert 'src="//' not in text
        assert '<link rel="stylesheet" href="http' not in text


def test_title_and_photo_are_text_not_html(site: Path) -> None:
    index, cam = ((site / f"{page}.html").read_text("utf-8") for page in ("index", "grad-cam"))
    assert "Shapes &amp; &lt;b&gt;colours&lt;/b&gt;" in index
    assert "<b>colours" not in index
    assert "<i>disc" not in cam


@pytest.mark.slow
def test_alexnet_is_trained_scored_and_shown(
    small_data_set: SmallDataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With linear layers of 128 outputs in place of 4,096, of which the larger is still kept in 4 bits a weight.

    It learns with cells of 3 x 3 and is kept, scored and shown with 6 x 6.
    """
    monkeypatch.setattr(alexnet, "HIDDEN", 128)
    report = begun(tmp_path, small_data_set) / "report.toml"
    one = report.read_text().replace('[models.cnn]\narchitecture = "SmallCNN"\n', "")
    one = one.replace("other", "alexnet").replace("SmallCNN", "AlexNet")
    report.write_text(f'{one}[explain]\nmethods = ["Grad-CAM"]\n')
    assert main(["train", "alexnet", "--config", str(report), "--epochs", "2", "--precision", "float32"]) == 0
    assert main(["evaluate", "alexnet", "--config", str(report)]) == 0
    assert main(["build", "--strict", "--config", str(report)]) == 0
    assert_results_are_what_evaluate_wrote(tmp_path, tmp_path / "site", ["alexnet"])
    results = json.loads((tmp_path / "site" / "results.json").read_text("utf-8"))
    widened = 256 * 6 * 6 * 128 + 128 * 128 + 128 * 3
    parameters = results["networks"]["alexnet"]["parameters"]
    convolutions = sum(o * i * k * k + o for o, i, k in CONVOLUTIONS_OF_ALEXNET)
    assert parameters == convolutions + widened + 128 + 128 + 3


def test_results_are_what_evaluate_wrote(project: Path, site: Path) -> None:
    assert_results_are_what_evaluate_wrote(project, site, ["cnn", "other"])


def assert_results_are_what_evaluate_wrote(project: Path, site: Path, names: Sequence[str]) -> None:
    results = json.loads((site / "results.json").read_text("utf-8"))
    assert list(results["networks"]) == [*names]
    for name, network in results["networks"].items():
        measured = json.loads((project / "models" / name / "evaluation.json").read_text("utf-8"))
        for split in ("train", "validation", "test"):
            told = network["evaluation"]["splits"][split]
            assert told["confusion"] == measured["splits"][split]["confusion"]
            assert told["top1"] == pytest.approx(measured["splits"][split]["top1"], abs=1e-4)
            assert sum(map(sum, told["confusion"])) == {"train": 54, "validation": 6, "test": 18}[split]


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_serve_shows_a_changed_word_without_being_asked(copy: Path) -> None:
    """As a browser sees it: the preview tells of another build, and the page has the new word and the new place."""
    report = copy / "report.toml"
    command = [sys.executable, "-u", "-m", "generator", "serve", "--config", str(report), "--offline"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        try:
            assert run.stdout is not None
            address = urlsplit(next(word for word in run.stdout.readline().split() if word.startswith("http://")))

            def get(path: str) -> str:
                with closing(http.client.HTTPConnection(address.netloc, timeout=10)) as connection:
                    connection.request("GET", path)
                    return connection.getresponse().read().decode()

            assert json.loads(get("/__build"))["below"] == ""
            assert "Shapes &amp;" in get("/")
            changed = report.read_text().replace("Shapes &", "Forms &")
            report.write_text(changed.replace("[report]", '[report]\nbase_url = "https://example.org/forms"'))
            ends = time.monotonic() + 120
            while '"/forms"' not in get("/__build") and time.monotonic() < ends:
                time.sleep(0.2)
            assert "Forms &amp;" in get("/forms/")
            run.send_signal(signal.SIGINT)
            assert "a file has changed: building the site anew" in run.communicate(timeout=60)[0]
        finally:
            run.kill()


def test_unchanged_build_imports_no_torch_and_writes_nothing(project: Path, site: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in site.rglob("*")}
    code = (
        "import sys; from generator.__main__ import main; "
        f"code = main(['build', '--config', {str(project / 'report.toml')!r}]); "
        "print(code, sorted({'torch', 'cv2', 'matplotlib', 'jinja2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0].startswith("nothing has changed")
    assert done.stdout.splitlines()[-1] == "0 []"
    assert {path: path.stat().st_mtime_ns for path in site.rglob("*")} == before


def test_a_build_after_a_change_of_words_loads_neither_torch_nor_matplotlib(copy: Path, tmp_path: Path) -> None:
    """And its site has the bytes of one that is made from nothing."""
    report = copy / "report.toml"
    program = (
        "import sys; from generator.__main__ import main; code = main(['build', '--config', sys.argv[1]]); "
        "print(code, sorted({'torch', 'matplotlib'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, str(report)]
    assert main(["build", "--force", "--config", str(report)]) == 0  # it lies at another place now
    report.write_text(report.read_text().replace("Shapes &", "Forms &"))
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"
    assert "Trained from scratch on 3 classes" in done.stderr  # what is true of the networks is said again
    quick = digests(copy / "site")
    shutil.rmtree(copy / ".cache" / "results")
    assert main(["build", "--force", "--config", str(report)]) == 0
    assert digests(copy / "site") == quick


def test_what_was_observed_is_observed_again_where_a_record_changes(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["build", "--config", str(copy / "report.toml")]
    assert main([*words, "--force"]) == 0
    (copy / "models" / "cnn" / "README.md").write_text("# Another card\n\nWith other words.\n", "utf-8")
    assert main(words) == 0
    assert b"With other words." in (copy / "site" / "about.html").read_bytes()
    evaluation = copy / "models" / "cnn" / "evaluation.json"
    evaluation.unlink()
    capsys.readouterr()
    assert main(words) == 0
    assert "it was not scored yet, which is done now" in capsys.readouterr().err
    assert evaluation.is_file()


def test_built_anew_without_a_cache_the_bytes_are_the_same(copy: Path, site: Path) -> None:
    shutil.rmtree(copy / ".cache")
    # Another folder means other paths in the configuration; the pages must not know.
    assert main(["build", "--config", str(copy / "report.toml")]) == 0
    ours, theirs = digests(copy / "site"), digests(site)
    ours.pop(".manifest.json"), theirs.pop(".manifest.json")
    assert ours == theirs


def test_a_changed_word_changes_the_page(copy: Path) -> None:
    before = digests(copy / "site")
    report = copy / "report.toml"
    assert published.report_of(copy / "site") == of_report(reading.load(report))
    report.write_text(report.read_text().replace("Shapes &", "Forms &"))
    assert published.report_of(copy / "site") != of_report(reading.load(report))
    assert main(["build", "--config", str(report)]) == 0
    assert published.report_of(copy / "site") == of_report(reading.load(report))
    after = digests(copy / "site")
    changed = {name for name in before if before[name] != after[name]}
    assert "index.html" in changed
    assert not [name for name in changed if name.startswith("assets/figures")]


@pytest.mark.slow
def test_killed_at_any_moment_the_old_site_is_whole(copy: Path) -> None:
    before = digests(copy / "site")
    shutil.rmtree(copy / ".cache" / "results")
    command = [sys.executable, "-m", "generator", "build", "--force", "--config", str(copy / "report.toml")]
    for seconds in (1.0, 3.0, 5.0):
        process = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert digests(copy / "site") == before
    assert main(["build", "--force", "--config", str(copy / "report.toml")]) == 0
    assert [path.name for path in copy.iterdir() if ".cnn-report-" in path.name] == []


@pytest.mark.slow
def test_build_trains_what_is_missing_and_says_so(
    copy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = replace(small_cnn.PRESETS["default"], epochs=5, precision="float32")
    monkeypatch.setitem(small_cnn.PRESETS, "default", few)
    shutil.rmtree(copy / "models" / "cnn")
    assert main(["build", "--config", str(copy / "report.toml")]) == 0
    said = capsys.readouterr().err
    assert "holds no weights, so they are trained now" in said
    assert re.search(r"about \d+ (s|min) left", said)
    history = json.loads((copy / "models" / "cnn" / "history.json").read_text("utf-8"))
    assert len(history["runs"][0]["epochs"]) == few.epochs
    assert not (copy / "models" / "cnn" / "resume.safetensors").exists()


def spoil_toml(project: Path) -> None:
    (project / "report.toml").write_text("[report\ntitle = 1")


def spoil_key(project: Path) -> None:
    report = project / "report.toml"
    report.write_text(report.read_text().replace("[report]", '[report]\nautor = "me"'))


def spoil_weights(project: Path) -> None:
    weights = project / "models" / "cnn" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


def spoil_classes(project: Path) -> None:
    report = project / "report.toml"
    report.write_text(report.read_text().replace(', "banana"', ""))


def spoil_history(project: Path) -> None:
    (project / "models" / "cnn" / "history.json").write_text('{"runs": [')


def spoil_data(project: Path) -> None:
    report = project / "report.toml"
    report.write_text(report.read_text().replace("root = ", 'root = "nowhere" # '))


def spoil_photo(project: Path) -> None:
    (project / "photo.png").write_bytes((project / "photo.png").read_bytes()[:80])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_toml, "report.toml"),
        (spoil_key, "author"),
        (spoil_weights, "weights.safetensors"),
        (spoil_classes, "python -m generator train cnn"),
        (spoil_history, "history.json"),
        (spoil_data, "nowhere"),
        (spoil_photo, "photo.png"),
    ],
)
def test_bad_input_is_one_line_and_the_site_stays(
    copy: Path, spoil: Callable[[Path], None], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = digests(copy / "site")
    spoil(copy)
    capsys.readouterr()
    assert main(["build", "--config", str(copy / "report.toml")]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ")
    assert words in last
    assert digests(copy / "site") == before


def test_no_weights_and_no_data_offline_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "report.toml").write_text('[models]\nfolder = "models"\n[models.cnn]\narchitecture = "SmallCNN"\n')
    assert main(["build", "--offline", "--config", str(tmp_path / "report.toml")]) == 1
    assert "--data DIR" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "site").exists()


def test_words_are_read_before_a_network_is_looked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "report.toml").write_text('[models]\nfolder = "models"\n[models.cnn]\narchitecture = "SmallCNN"\n')
    shutil.copytree(REPOSITORY / "content", tmp_path / "content", ignore=shutil.ignore_patterns("samples"))
    with (tmp_path / "content" / "trust.md").open("a") as file:
        file.write("{{ networks[0].titel }}\n")
    assert main(["build", "--offline", "--config", str(tmp_path / "report.toml")]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.endswith("this has no 'titel'; did you mean 'title'?")
    assert "content/trust.md:" in last


def test_predict_writes_the_course_format(project: Path, small_data_set: SmallDataSet, tmp_path: Path) -> None:
    images = small_data_set.root / "val" / "images"
    words = ["--model", "cnn", "--csv", str(tmp_path / "out.csv"), "--config", str(project / "report.toml")]
    assert main(["predict", str(images), *words]) == 0
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0] == "Id,Category"
    assert [line.split(",")[0] for line in lines[1:]] == sorted(path.name for path in images.iterdir())
    assert {line.split(",")[1] for line in lines[1:]} <= {"0", "1", "2"}


def test_wrong_usage_is_exit_code_2() -> None:
    assert run("biuld").returncode == 2
    assert run().returncode == 2


@pytest.mark.slow
def test_shipped_report_from_the_real_data(tiny_imagenet: Path, tmp_path: Path) -> None:
    # Few photos: each is explained in seven ways.
    networks = '[models.cnn]\n[models.alexnet]\nweights = "bundled"\n'  # their weights say the architecture
    few = f"{networks}[samples]\nbundled = false\ntest_images = 2\n"
    (tmp_path / "report.toml").write_text(few)
    done = run("build", "--config", str(tmp_path / "report.toml"), TINY_IMAGENET=str(tiny_imagenet))
    assert done.returncode == 0, done.stderr
    pages = {path.stem for path in (tmp_path / "site").glob("*.html")}
    assert set(PAGES) <= pages
    assert any("test-val" in page for page in pages)
    results = json.loads((tmp_path / "site" / "results.json").read_text("utf-8"))
    assert set(results["networks"]) == {"cnn", "alexnet"}
