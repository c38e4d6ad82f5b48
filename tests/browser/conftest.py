"""The site of the tests and a browser to open it in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import sites
from tests.browser import devtools


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished site with a page of each kind."""
    return sites.place(tmp_path_factory.mktemp("built") / "site")


@pytest.fixture(scope="module")
def chrome(browser: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[devtools.Browser]:
    """A running browser."""
    running = devtools.Browser(browser, tmp_path_factory.mktemp("profile"))
    yield running
    running.close()
