"""The program as a wheel, in an empty folder far from any checkout: a new report is begun, built and looked at."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel holds; torch and the other libraries are those of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    # Where the build tool is here already, nothing has to be downloaded for it.
    isolated = [] if importlib.util.find_spec("hatchling") is None else ["--no-build-isolation"]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    made = subprocess.run(
        [*pip, "wheel", "--no-deps", *isolated, "--wheel-dir", str(folder), str(REPOSITORY)],
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"needs pip and hatchling to build a wheel: {made.stderr.strip().splitlines()[-1:]}")
    (wheel,) = folder.glob("*.whl")
    target = folder / "installed"
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", str(target), str(wheel)], check=True)
    return target


def run(installed: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The installed program in a folder."""
    environment = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={name: value for name, value in environment.items() if name != "TINY_IMAGENET"},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )


@pytest.mark.slow
def test_a_report_is_begun_built_and_carried_on_without_a_checkout(installed: Path, tmp_path: Path) -> None:
    where = run(installed, tmp_path, "-c", "import generator; print(generator.__file__)").stdout.strip()
    assert Path(where).is_relative_to(installed)
    begun = run(installed, tmp_path, "-m", "generator", "init", "my report")
    assert begun.returncode == 0, begun.stderr
    assert begun.stdout.startswith("next: cd 'my report' && ")
    report = tmp_path / "my report"
    checked = run(installed, report, "-m", "generator", "check")
    assert (checked.returncode, checked.stderr.count("\n")) == (1, 1)
    assert "expected a site of this program, found nothing" in checked.stderr

    pixels = np.full((96, 128, 3), 110, np.uint8)
    pixels[20:70, 30:90] = (240, 140, 30)
    Image.fromarray(pixels).save(report / "photos" / "mine.png")
    toml = report / "report.toml"
    text = toml.read_text("utf-8")
    for old, new in (
        ("bundled = true", "bundled = false"),
        ("\nphotos = []", '\nphotos = ["photos/mine.png"]'),
        ('weights = "auto"', 'weights = "bundled"'),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    toml.write_text(text, encoding="utf-8")
    built = run(installed, report, "-m", "generator", "build", "--offline")
    assert built.returncode == 0, built.stderr
    assert {path.name for path in report.iterdir()} == {
        ".cache", ".gitignore", "content", "photos", "report.toml", "site", "templates"
    }  # fmt: skip
    found = json.loads(run(installed, report, "-m", "generator", "check", "--json").stdout)
    assert found["pages"] > 10
    assert [one for one in found["findings"] if not one["harmless"]] == []
    exported = run(installed, report, "-m", "generator", "export", "--to", "jekyll", "../to")
    assert exported.returncode == 0, exported.stderr
    assert (tmp_path / "to" / "_portfolio" / "my-report.md").is_file()
    assert not list(installed.rglob("*.part"))
