"""The fragment on a page that would spoil it, and a portfolio's report, in a real browser."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from generator.publishing import published
from generator.publishing.exports import export
from tests import sites
from tests.browser import devtools

pytestmark = pytest.mark.browser

# What themes do to pages, and more; `#content` outranks any class.
HOST_STYLE = """
* { letter-spacing: 1px } p, h2, dd, dt, figure { margin: 40px; text-transform: uppercase }
#content img { width: 20px; border: 5px solid red; opacity: .5 } #content h2 { font-size: 80px; float: right }
#content dl div { display: none } .hero { display: none } .figures { width: 30px } .value { color: red }
#content section { padding: 99px; background: red } svg { display: none } a { pointer-events: none }
"""
HOST = """<!doctype html><html lang="en"><head><title>host</title><style>{style}</style>
<meta name="viewport" content="width=device-width"></head><body><div id="content"><h2 class="value">A host</h2>
<p class="context">words</p><div class="hero">hero</div><img src="data:," alt=""><dl><dt>t</dt><dd class="value">d</dd>
</dl><small>s</small></div><div id="content">{fragment}</div></body></html>"""
# The look of each element, as far as it can be told from numbers and words.
LOOK = """JSON.stringify([...document.querySelectorAll(%r)].map(one => {
  const look = getComputedStyle(one), box = one.getBoundingClientRect();
  return [one.tagName, look.display, look.margin, look.padding, look.color, look.fontSize, look.textTransform,
    look.float, look.opacity, look.border, look.letterSpacing, look.backgroundColor, Math.round(box.width),
    Math.round(box.height)];
}))"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> published.Published:
    return published.read(sites.place(tmp_path_factory.mktemp("built") / "site"))


@pytest.fixture(scope="module")
def chrome(browser: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[devtools.Browser]:
    running = devtools.Browser(browser, tmp_path_factory.mktemp("profile"))
    yield running
    running.close()


def page(folder: Path, name: str, fragment: str, style: str) -> str:
    file = folder / name
    file.write_text(HOST.format(style=style, fragment=fragment), encoding="utf-8")
    return file.as_uri()


def test_host_and_fragment_leave_each_other_alone(
    chrome: devtools.Browser, site: published.Published, tmp_path: Path
) -> None:
    fragment = export("fragment", site, sites.settings(), tmp_path / "fragment.html").page.read_text("utf-8")
    ours, hosts = LOOK % "section, section *:not(svg *)", LOOK % "#content:first-of-type *"
    plain = devtools.open_page(chrome, page(tmp_path, "plain.html", fragment, ""))
    hostile = devtools.open_page(chrome, page(tmp_path, "hostile.html", fragment, HOST_STYLE))
    without = devtools.open_page(chrome, page(tmp_path, "without.html", "", HOST_STYLE))
    assert len(plain.evaluate(ours)) > 1000
    assert json.loads(hostile.evaluate(ours)) == json.loads(plain.evaluate(ours))
    assert hostile.evaluate(hosts) == without.evaluate(hosts)
    for tab in (plain, hostile, without):
        assert not tab.problems
        assert all(url.startswith(("file:", "data:", "about:")) for url in tab.requests)
        tab.close()


@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_the_fragment_fits_and_is_seen(
    chrome: devtools.Browser, site: published.Published, tmp_path: Path, width: int, dark: bool
) -> None:
    fragment = export("fragment", site, sites.settings(), tmp_path / "fragment.html").page.read_text("utf-8")
    style = "body { margin: 8px; background: #111; color: #eee }" if dark else "body { margin: 8px }"
    tab = devtools.open_page(chrome, page(tmp_path, "page.html", fragment, style), width=width)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate("[...document.querySelectorAll('section img')].every(one => one.naturalWidth > 10)")
    colour = "rgb(238, 238, 238)" if dark else "rgb(0, 0, 0)"
    assert tab.evaluate("getComputedStyle(document.querySelector('section h2')).color") == colour
    assert tab.evaluate("getComputedStyle(document.querySelector('section svg')).color") == colour
    tab.close()


def test_the_notebooks_page_opens_without_a_fault(
    chrome: devtools.Browser, site: published.Published, tmp_path: Path
) -> None:
    pytest.importorskip("nbformat")
    export("notebook", site, sites.settings(), tmp_path / "a.ipynb")
    tab = devtools.open_page(chrome, (tmp_path / "a.html").as_uri(), width=390)
    assert not tab.problems
    assert [url for url in tab.requests if not url.startswith(("data:", "about:"))] == [(tmp_path / "a.html").as_uri()]
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    assert tab.evaluate("[...document.images].every(one => one.naturalWidth > 10 && one.alt)")
    tab.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["jekyll", "hugo"])
def test_from_a_portfolios_entry_to_the_report(
    chrome: devtools.Browser, site: published.Published, tmp_path: Path, kind: str
) -> None:
    program = shutil.which(kind)
    if program is None:
        pytest.skip(f"needs {kind}: it is not installed (Debian: apt-get install {kind})")
    to = tmp_path / "to"
    if kind == "jekyll":
        (to / "_layouts").mkdir(parents=True)
        (to / "_layouts" / "single.html").write_text("<!doctype html><title>t</title>{{ content }}")
        (to / "_config.yml").write_text(
            'collections: {portfolio: {output: true, permalink: "/:collection/:path/"}}\n'
            # A page that is opened as a file has its site's folder for a base.
            f'baseurl: "{(to / "_site").as_posix()}"\n'
        )
        command, public = [program, "build", "--quiet", "--disable-disk-cache"], to / "_site"
    else:
        (to / "layouts" / "_default").mkdir(parents=True)
        (to / "layouts" / "_default" / "single.html").write_text("<!doctype html><title>t</title>{{ .Content }}")
        (to / "config.toml").write_text(
            'baseURL = "https://example.org/"\ndisableKinds = ["taxonomy", "term", "RSS", "home", "section"]\n'
        )
        command, public = [program, "--quiet"], to / "public"
    export(kind, site, sites.settings(), to, "a")
    subprocess.run(command, cwd=to, check=True, timeout=200)
    tab = devtools.open_page(chrome, (public / "portfolio" / "a" / "index.html").as_uri())
    assert not tab.problems
    assert tab.evaluate("[...document.images].every(one => one.naturalWidth === 800 && one.alt)")
    address = tab.evaluate("document.querySelector('a:has(img)').href")
    tab.close()
    report = devtools.open_page(chrome, address)
    assert not report.problems
    assert report.evaluate("document.querySelector('h1').textContent") == "What a small network sees"
    assert report.evaluate("[...document.images].filter(one => one.complete && !one.naturalWidth).length") == 0
    report.close()
