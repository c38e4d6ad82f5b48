"""Titles and class names whose words are wider than a phone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from generator.pages import render
from generator.publishing import writer
from tests import sites, synthetic
from tests.browser import devtools

pytestmark = pytest.mark.browser

WORD = "Donaudampfschifffahrtsgesellschaftskapitaen"


def test_a_word_wider_than_a_phone_needs_no_sideways_scrolling(chrome: devtools.Browser, tmp_path: Path) -> None:
    small = synthetic.report(class_names=(WORD, "koala", "pizza", "lion"))
    report = replace(small, networks=tuple(map(synthetic.complete, small.networks)))
    figures = {figure.id: figure for figure in sites.figures_of(report)}
    said = sites.settings(title=WORD, subtitle=WORD, author=WORD, course=WORD, institution=WORD)
    files = render(report, figures, said, (sites.ROOT / "templates",), sites.ROOT / "content")
    writer.place(files, tmp_path / "site", {"inputs": "1"})
    for name in sites.PAGES:
        page = devtools.open_page(chrome, (tmp_path / "site" / f"{name}.html").as_uri(), width=320)
        wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, name
        page.close()
    # The bars leave room for words that are no longer than usual.
    page = devtools.open_page(chrome, (tmp_path / "site" / "grad-cam-bee.html").as_uri(), width=320)
    heads = "[...document.querySelectorAll('.bars th')].map((head) => [head.innerText, head.clientHeight])"
    high = dict(page.evaluate(heads))
    assert high["koala"] < 40 < high[WORD]
    page.close()
