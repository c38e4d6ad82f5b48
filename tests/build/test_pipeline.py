"""Builds that leave something out, that go on after a stop, and that find all but their words in the cache."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generator.__main__ import main
from generator.base.errors import InputError
from generator.build import pipeline
from generator.cache import Cache
from generator.config import places, reading

REPOSITORY = Path(__file__).resolve().parents[2]

REPORT = """
[report]
title = "Shapes"
[data]
classes = ["goldfish", "ladybug", "banana"]
[models.net]
architecture = "SmallCNN"
arguments = {widths = [4, 8], depths = [1, 1]}
weights = "random"
[samples]
bundled = false
photos = [{file = "one.png", title = "One", label = "banana"}, {file = "two.png", title = "Two", label = "goldfish"}]
"""


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A report of an untrained network on two drawn photos."""
    for seed, name in enumerate(("one", "two")):
        pixels = np.random.default_rng(seed).integers(0, 256, (70, 90, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    (tmp_path / "report.toml").write_text(REPORT)
    return tmp_path / "report.toml"


def digests(folder: Path) -> dict[str, str]:
    files = [file for file in folder.rglob("*") if file.is_file() and file.name != ".manifest.json"]
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def build(report: Path, *words: str) -> dict[str, str]:
    assert main(["build", "--offline", "--config", str(report), *words]) == 0
    return digests(report.parent / "site")


def test_a_draft_says_what_it_leaves_out_and_leaves_out_nothing_that_is_known(report: Path) -> None:
    index = report.parent / "site" / "index.html"
    draft = build(report, "--draft")
    said = index.read_text("utf-8")
    assert "This is a draft" in said
    for part in (
        "comparison of methods and layers on",
        "strongest patches of the channels of",
        "images of the classes",
    ):
        assert f"the {part}" in said, part
    whole = build(report)
    assert "This is a draft" not in index.read_text("utf-8")
    assert set(draft) < set(whole)
    assert build(report, "--draft", "--force") == whole


def test_words_that_were_found_right_are_not_proofread_again(tmp_path: Path) -> None:
    config = reading.load(REPOSITORY / "report.toml")
    templates, content = places.folders(config)
    results = Cache(tmp_path)

    def entries() -> list[Path]:
        return sorted(tmp_path.glob("*.entry"))

    pipeline._proofread(results, config, templates, content)()
    (entry,) = entries()
    pipeline._proofread(results, replace(config, report=replace(config.report, title="Another")), templates, content)()
    assert entries() == [entry]
    results.keep(entry.name.removesuffix("-arrays.entry"), {"told": np.array(["about nowhere"])})
    with pytest.raises(InputError, match=r"about\.md: expected a section '## ... {#nowhere}'"):
        pipeline._proofread(results, config, templates, content)()
    mine = tmp_path / "content"
    shutil.copytree(content, mine, ignore=shutil.ignore_patterns("samples"))
    (mine / "trust.md").write_text((mine / "trust.md").read_text("utf-8") + "\n{{ netwrks }}\n", "utf-8")
    with pytest.raises(InputError, match=r"trust\.md:\d+: 'netwrks' is undefined"):
        pipeline._proofread(results, config, templates, mine)()
    assert entries() == [entry]


def test_methods_of_the_command_line_are_those_of_the_report(report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named = build(report, "--methods", "Grad-CAM, occlusion")
    looked = json.loads((report.parent / "site" / "results.json").read_text("utf-8"))
    assert "Score-CAM" not in json.dumps(looked)
    assert "Score-CAM" not in (report.parent / "site" / "grad-cam.html").read_text("utf-8")
    report.write_text(report.read_text() + '\n[explain]\nmethods = ["Grad-CAM", "occlusion"]\n')
    assert build(report) == named
    for wrong in ("", "Grad-CAM,,occlusion", "occlusion,occlusion"):
        assert main(["build", "--config", str(report), "--methods", wrong]) == 1
        assert "--methods: expected different names with commas between" in capsys.readouterr().err


def test_after_a_change_of_words_neither_torch_nor_matplotlib_is_loaded(report: Path) -> None:
    program = (
        "import sys; from generator.__main__ import main; "
        "code = main(['build', '--offline', '--config', sys.argv[1]]); "
        "print(code, sorted({'torch', 'matplotlib'} & set(sys.modules)))"
    )
    build(report)
    report.write_text(report.read_text().replace("Shapes", "Forms"))
    command = [sys.executable, "-c", program, str(report)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"
    assert "Its weights are random" in done.stderr  # what is true of the networks is said again
    quick = digests(report.parent / "site")
    assert build(report, "--force") == quick


@pytest.mark.slow
def test_a_killed_build_goes_on_from_what_it_had_found(report: Path) -> None:
    results = report.parent / ".cache" / "results"
    command = [sys.executable, "-m", "generator", "build", "--offline", "--config", str(report)]
    process = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while not list(results.glob("*-arrays.entry")) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (report.parent / "site").exists()
    kept = {entry: entry.stat().st_mtime_ns for entry in results.glob("*.entry")}
    assert kept
    killed = build(report)
    assert {entry: entry.stat().st_mtime_ns for entry in kept} == kept  # none was made again
    for entry in results.iterdir():
        entry.unlink()
    assert build(report, "--force") == killed
