"""A pair of torch and torchvision that does not fit is told in one line with the command that mends it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
from generator.base.errors import InputError
from generator.base.installation import check_pair
try:
    check_pair()
except InputError as error:
    print(error)
else:
    print("a pair")
"""
MISMATCH = 'raise RuntimeError("operator torchvision::nms does not exist")'
MEND = "mend it with: python -m pip install --upgrade --force-reinstall torch torchvision"
EXPECTED = "expected torch and torchvision of one release from one index, got "


def package(folder: Path, name: str, version: str, code: str = "") -> None:
    """A package as pip would leave it."""
    (folder / f"{name}.py").write_text(code)
    metadata = folder / f"{name}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def said(folder: Path) -> str:
    """What `check_pair` says in a Python that has the packages of `folder`, and no others but its own library."""
    program = f"import sys; sys.path[:0] = [{str(folder)!r}, {str(Path(__file__).parents[2])!r}]\n{PROGRAM}"
    ran = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True, cwd=folder)
    assert ran.stdout.count("\n") == 1
    return ran.stdout.rstrip("\n")


def test_a_pair_passes(tmp_path: Path) -> None:
    package(tmp_path, "torch", "2.9.0")
    package(tmp_path, "torchvision", "0.24.0")
    assert said(tmp_path) == "a pair"


def test_of_a_pair_torchvision_is_not_imported(tmp_path: Path) -> None:
    package(tmp_path, "torch", "2.9.0+cpu")
    package(tmp_path, "torchvision", "0.24.1+cpu", "raise RuntimeError('imported')")
    assert said(tmp_path) == "a pair"


def test_a_mismatch_is_told_with_both_versions(tmp_path: Path) -> None:
    package(tmp_path, "torch", "2.9.0")
    package(tmp_path, "torchvision", "0.20.0", MISMATCH)
    found = "torch 2.9.0 and torchvision 0.20.0 (operator torchvision::nms does not exist)"
    assert said(tmp_path) == f"{EXPECTED}{found}; {MEND}"


def test_the_remedy_takes_both_from_the_index_that_torch_came_from(tmp_path: Path) -> None:
    package(tmp_path, "torch", "2.9.0+cpu")
    package(tmp_path, "torchvision", "0.24.0", MISMATCH)
    assert said(tmp_path).endswith(f"{MEND} --index-url https://download.pytorch.org/whl/cpu")


@pytest.mark.parametrize(
    "code",
    [
        "raise OSError('libtorch.so: cannot open\\nshared object file')",
        "raise ImportError('undefined symbol: _ZN3c10')",
        "import torch; torch.library.register_fake",
    ],
)
def test_whatever_else_a_mismatch_raises_is_told_too(tmp_path: Path, code: str) -> None:
    package(tmp_path, "torch", "2.9.0")
    package(tmp_path, "torchvision", "0.20.0", code)
    assert said(tmp_path).startswith(f"{EXPECTED}torch 2.9.0 and torchvision 0.20.0 (")


def test_a_missing_package_is_told(tmp_path: Path) -> None:
    package(tmp_path, "torch", "2.9.0")
    found = "torch 2.9.0 and torchvision (not installed) (No module named 'torchvision')"
    assert said(tmp_path) == f"{EXPECTED}{found}; {MEND}"


@pytest.mark.parametrize(
    ("raised", "mend"),
    [
        ("ImportError('libtorch.so: failed to map segment from shared object')", r"free some memory, .*"),
        ("OSError(24, 'Too many open files')", r"raise the limit on open files \(ulimit -n\)"),
        ("FileNotFoundError(2, 'No usable temporary directory found in [a]')", "set TMPDIR to a folder .*"),
    ],
)
def test_what_is_no_fault_of_the_pair_is_told_as_what_it_is(tmp_path: Path, raised: str, mend: str) -> None:
    package(tmp_path, "torch", "2.9.0", f"raise {raised}")
    package(tmp_path, "torchvision", "0.24.0")
    assert re.fullmatch(f"expected to load torch and torchvision, got: .*; {mend}", said(tmp_path))
