from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from generator.base import environment


def git(folder: Path, *words: str) -> str:
    settings = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *settings, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_versions_are_those_of_the_packages() -> None:
    found = environment.versions()
    assert found["python"] == platform.python_version()
    assert found["numpy"] == np.__version__
    assert set(found) <= {"python", *environment.PACKAGES}


def test_a_package_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "PACKAGES", ("numpy", "no-such-package-anywhere"))
    assert list(environment.versions()) == ["python", "numpy"]


def test_hardware_names_the_processor_and_the_cores_that_may_be_used() -> None:
    found = environment.hardware()
    assert found["processor"]
    assert 1 <= int(found["cores"]) <= (os.cpu_count() or 1)
    assert found["system"].startswith(platform.system())


def test_outside_a_checkout_there_is_no_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert environment.revision(tmp_path) == ""
    assert environment.revision(tmp_path / "nowhere") == ""


def test_without_git_there_is_no_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment.revision(Path(__file__).parent) == ""


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_plus_tells_that_files_were_changed(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "a.txt").write_text("a")
    git(tmp_path, "add", "a.txt")
    git(tmp_path, "commit", "--quiet", "--message", "a")
    clean = environment.revision(tmp_path)
    assert re.fullmatch("[0-9a-f]{12}", clean)
    assert git(tmp_path, "rev-parse", "HEAD").startswith(clean)
    (tmp_path / "new.txt").write_text("untracked files do not count")
    assert environment.revision(tmp_path) == clean
    (tmp_path / "a.txt").write_text("b")
    assert environment.revision(tmp_path) == f"{clean}+"


def test_a_record_is_all_of_it(tmp_path: Path) -> None:
    found = environment.record(tmp_path)
    assert {"processor", "cores", "system", "python", "revision"} <= set(found)
