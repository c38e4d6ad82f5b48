"""One small site for all tests of exports, and the words that no export may obey."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.publishing import published
from generator.publishing.published import Published
from tests import sites

# What YAML, Liquid, Hugo, Markdown and HTML each would read as more than text.
HOSTILE = (
    """It's: "a" & <b onclick=x>b</b> {{ 7 | times: 7 }} {% raw %} {{< ref >}} *b* _i_ [a](javascript:b) `c` # - |é😀"""
)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """As it is built from the program's own report.toml."""
    return published.read(sites.place(tmp_path_factory.mktemp("built") / "site", base_url="https://example.org/cnn"))


@pytest.fixture
def to(tmp_path: Path) -> Path:
    """Somebody's folder."""
    return tmp_path / "to"
