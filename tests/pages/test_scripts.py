"""The pages' scripts as they are written; `make lint` has Biome look into them where there is Node.js."""

from __future__ import annotations

from pathlib import Path

import pytest

TEMPLATES = Path(__file__).parents[2] / "templates"
LONGEST = 120  # letters of a line
SCRIPTS = sorted(TEMPLATES.glob("*.js"))


def test_there_are_scripts() -> None:
    assert "engine.js" in {script.name for script in SCRIPTS}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_is_a_classic_strict_one_of_short_lines(script: Path) -> None:
    lines = script.read_text("utf-8").splitlines()
    assert [(number, len(line)) for number, line in enumerate(lines, 1) if len(line) > LONGEST] == []
    assert next(line for line in lines if not line.startswith("//")) == '"use strict";'
    assert [line for line in lines if line.startswith(("import ", "export "))] == []
