"""The Nu HTML checker, where it is installed, finds no error in any page: html5lib's parser knows no schema."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import sites


def found_by_vnu(folder: Path) -> list[str]:
    """Its errors, one a line."""
    vnu = shutil.which("vnu")
    if vnu is None:
        pytest.skip("needs the Nu HTML checker: there is no vnu on the PATH (https://validator.github.io/validator/)")
    done = subprocess.run(
        [vnu, "--errors-only", "--stdout", "--format", "gnu", "--exit-zero-always", "--skip-non-html", str(folder)],
        # Its schema goes deeper than Java's stack does on some machines.
        env={**os.environ, "JAVA_TOOL_OPTIONS": "-Xss8m"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_every_page_is_valid(tmp_path: Path) -> None:
    assert found_by_vnu(sites.place(tmp_path / "site", base_url="https://example.org/cnn")) == []


@pytest.mark.slow
def test_a_fault_is_found(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text('<!doctype html><html lang="en"><title>t</title><p><img src="x"><td>')
    (first, *_) = found_by_vnu(tmp_path)
    assert "page.html" in first
