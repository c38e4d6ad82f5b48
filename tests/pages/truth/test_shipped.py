"""Nothing false on the pages of the shipped report, which is built whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.__main__ import main
from tests.pages.truth.test_truth import faults
from tests.pages.truth.text import site

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_the_shipped_report_says_nothing_false(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["build", "--offline", "--out", str(tmp_path / "site")]) == 0
    read = [path for path in (tmp_path / "site").rglob("*") if path.suffix in (".html", ".json")]
    found = [*faults(site({path.relative_to(tmp_path / "site").as_posix(): path.read_bytes() for path in read}))]
    assert not found, "\n".join(found)
