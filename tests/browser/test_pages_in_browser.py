"""The whole site in a real browser, from file://: nothing breaks, nothing comes from elsewhere, everything works."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.browser import devtools, hosts
from tests.sites import EVERY

FIRST_LOAD = 300 * 1024
# What a visitor reads and sees, but for what only scripts can use: switches, sliders, the values under the pointer.
SHOWN = """(function () {
    for (const part of document.querySelectorAll("#theme, .controls, .tip")) part.remove();
    // Parts far below are laid out when they come near, at no fixed moment.
    for (const part of document.body.querySelectorAll("*")) part.style.contentVisibility = "visible";
    const seen = [...document.images].filter((image) => image.checkVisibility({ visibilityProperty: true }));
    return [document.body.innerText.split(/\\s+/), seen.map((image) => image.getAttribute("src"))];
})()"""

pytestmark = pytest.mark.browser


@pytest.fixture(params=EVERY)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_loads_from_disk_without_a_fault(chrome: devtools.Browser, site: Path, name: str) -> None:
    page = devtools.open_page(chrome, (site / f"{name}.html").as_uri())
    assert page.evaluate("document.querySelectorAll('h1').length") == 1
    page.evaluate("new Promise(done => setTimeout(done, 100))")
    assert not page.problems
    assert page.evaluate("document.getAnimations().length") == 0  # less motion is asked for
    fetched = [url for url in page.requests if not url.startswith(("data:", "about:"))]
    files = {Path(unquote(urlsplit(url).path)) for url in fetched}
    assert all(url.startswith("file:") for url in fetched)
    assert all(file.is_relative_to(site) for file in files)
    # What runs the network comes when the page can already be read.
    later = [site / "assets" / name for name in ("engine.js", "answers.js", "inside.js", "photos.js")]
    later += [*site.glob("assets/network*.js"), *site.glob("assets/samples/*")]
    assert sum(file.stat().st_size for file in files - {*later}) <= FIRST_LOAD
    page.close()


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the site is published: below a path of its host, with nothing else of it there."""
    root = site.parent / "host"
    below = root / "reports" / "cnn"
    below.parent.mkdir(parents=True)
    below.symlink_to(site, target_is_directory=True)
    with hosts.serving(root) as origin:
        yield f"{origin}/reports/cnn"


def test_all_pages_are_looked_at(site: Path) -> None:
    assert {path.stem for path in site.glob("*.html")} == {*EVERY}


def test_loads_below_a_path_of_a_host_without_a_fault(chrome: devtools.Browser, address: str, name: str) -> None:
    page = devtools.open_page(chrome, f"{address}/{name}.html")
    # Pictures further down, too, are asked for.
    page.evaluate("for (const image of document.images) image.loading = 'eager'")
    page.evaluate("Promise.all([...document.images].filter((image) => image.src).map((image) => image.decode()))")
    assert not page.problems
    fetched = [url for url in page.requests if not url.startswith(("data:", "blob:", "about:"))]
    assert [url for url in fetched if not url.startswith(f"{address}/")] == []
    assert len(fetched) > 2
    page.close()


def test_a_missing_file_would_be_noticed(chrome: devtools.Browser, address: str) -> None:
    page = devtools.open_page(chrome, f"{address}/about.html")
    page.evaluate("new Promise((done) => (Object.assign(new Image(), { src: 'gone.webp' }).onerror = done))")
    page.evaluate("console.error('said')")
    assert f"{address}/gone.webp: 404" in page.problems
    assert [problem for problem in page.problems if "said" in problem]
    page.close()


@pytest.mark.parametrize("width", [320, 390])
def test_a_narrow_window_needs_no_sideways_scrolling(
    chrome: devtools.Browser, site: Path, name: str, width: int
) -> None:
    page = devtools.open_page(chrome, (site / f"{name}.html").as_uri(), width=width)
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0
    page.close()


def test_letters_of_twice_the_size_need_no_sideways_scrolling(chrome: devtools.Browser, site: Path, name: str) -> None:
    """On a phone whose reader has asked for letters of 32 pixels."""
    page = devtools.open_page(chrome, (site / f"{name}.html").as_uri(), width=390)
    chrome.call("Page.setFontSizes", page.session, fontSizes={"standard": 32, "fixed": 26})
    assert page.evaluate("getComputedStyle(document.documentElement).fontSize") == "34px"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()


def test_reads_the_same_without_scripts(chrome: devtools.Browser, site: Path, name: str) -> None:
    shown = []
    for scripts in (True, False):
        page = devtools.open_page(chrome, (site / f"{name}.html").as_uri(), scripts=scripts)
        shown.append(page.evaluate(SHOWN))
        page.close()
    (text, images), (plain_text, plain_images) = shown
    if name == "try":  # the network runs in one and a worked example stands in the other
        assert len(plain_text) >= 0.9 * len(text)
        assert len(plain_images) >= len(images)
    else:
        assert plain_text == text
        assert plain_images == images
    assert len(plain_text) > 20


def test_dark_and_reduced_motion(chrome: devtools.Browser, site: Path) -> None:
    grounds = []
    for dark in (False, True):
        page = devtools.open_page(chrome, (site / "index.html").as_uri(), dark=dark)
        grounds.append(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
        assert page.evaluate("document.getAnimations().length") == 0
        page.close()
    assert grounds == ["rgb(252, 251, 248)", "rgb(20, 22, 26)"]


def test_the_theme_is_chosen_and_remembered(chrome: devtools.Browser, site: Path) -> None:
    address = (site / "about.html").as_uri()
    page = devtools.open_page(chrome, address)
    scheme = "getComputedStyle(document.documentElement).colorScheme"
    assert page.evaluate(scheme) == "light dark"
    page.evaluate("document.getElementById('theme').click(); document.getElementById('theme').click()")
    assert page.evaluate(scheme) == "dark"
    assert page.evaluate("document.getElementById('theme').innerText") == "Theme: dark"
    page.close()
    page = devtools.open_page(chrome, address)
    assert page.evaluate(scheme) == "dark"
    page.evaluate("document.getElementById('theme').click()")
    assert page.evaluate(scheme) == "light dark"
    page.close()


def test_the_strength_of_the_heat_map_follows_the_keys(chrome: devtools.Browser, site: Path) -> None:
    page = devtools.open_page(chrome, (site / "grad-cam-slice.html").as_uri())
    opacity = "getComputedStyle(document.querySelector('.stack .heat')).opacity"
    assert page.evaluate(opacity) == "0.75"
    page.evaluate("document.getElementById('strength').focus()")
    page.press("ArrowRight")
    assert page.evaluate(opacity) == "0.8"
    page.press("Home")
    assert page.evaluate(opacity) == "0"
    page.press("End")
    assert page.evaluate(opacity) == "1"
    assert page.evaluate("document.getElementById('strength').getAttribute('aria-valuetext')") == "100 percent"
    page.close()


def test_where_a_heat_map_is_zero_the_photo_is_untouched(chrome: devtools.Browser, site: Path) -> None:
    """The synthetic map of the true class is zero everywhere, that of the answer is not."""
    page = devtools.open_page(chrome, (site / "grad-cam-slice.html").as_uri())

    def seen(role: str, heat: bool) -> str:
        """What is painted of a photo with its map, or without."""
        x, y, width, height = page.evaluate(
            f"""(async function () {{
                const stack = document.querySelector("#cnn-cam-slice-{role} .stack");
                stack.querySelector(".heat").style.display = "{"block" if heat else "none"}";
                await Promise.all([...stack.querySelectorAll("img")].map((image) => {{
                    image.loading = "eager";
                    return image.decode();
                }}));
                stack.scrollIntoView();
                await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
                const box = stack.getBoundingClientRect();
                return [box.x + scrollX, box.y + scrollY, box.width, box.height];
            }})()"""
        )
        clip = {"x": x, "y": y, "width": width, "height": height, "scale": 1}
        shot = chrome.call("Page.captureScreenshot", page.session, clip=clip, captureBeyondViewport=True)
        return str(shot["data"])

    assert seen("true", heat=True) == seen("true", heat=False)
    assert seen("predicted", heat=True) != seen("predicted", heat=False)
    page.close()


def test_any_class_can_be_laid_over_the_photo(chrome: devtools.Browser, site: Path) -> None:
    page = devtools.open_page(chrome, (site / "grad-cam-slice.html").as_uri())
    pressed = "document.querySelector('.every [aria-current=true]').innerText"
    position = "document.querySelector('.every .heat').style.backgroundPosition"
    assert page.evaluate(pressed) == "lion"  # the answer, at first
    page.evaluate("document.querySelector('.every tbody a').focus()")
    assert page.evaluate(pressed) == "bee"
    assert page.evaluate(position) == "0% 0%"
    page.press("Tab")
    assert page.evaluate(pressed) == "koala"
    assert page.evaluate(position) == "33.3333% 0%"  # the second of four columns
    page.evaluate("document.activeElement.click()")
    address = page.evaluate("location.href")
    page.close()
    assert address.endswith("grad-cam-slice.html#cnn-for-koala")
    again = devtools.open_page(chrome, address)
    assert again.evaluate(pressed) == "koala"
    assert 100 <= again.evaluate("document.querySelector('.every .stack').getBoundingClientRect().bottom") <= 900
    again.evaluate("location.hash = 'cnn-for-bee'")
    again.evaluate("new Promise(done => setTimeout(done, 100))")
    assert again.evaluate(pressed) == "bee"
    again.close()
    plain = devtools.open_page(chrome, address, scripts=False)
    assert plain.evaluate("document.querySelector('tr:target th').innerText") == "koala"
    assert -1 <= plain.evaluate("document.querySelector('tr:target').getBoundingClientRect().top") <= 900
    plain.close()


def test_every_choice_of_a_class_moves_the_address_and_its_mark(chrome: devtools.Browser, site: Path) -> None:
    """A click in the list or in the strip; what the pointer only passes over is shown while it is there."""
    page = devtools.open_page(chrome, (site / "grad-cam-slice.html").as_uri() + "#cnn-cam-slice-predicted")
    page.evaluate("""(function () {
        const every = document.querySelector(".every"), strip = every.querySelector(".strip");
        every.scrollIntoView();
        window.over = function (column, kind) {
            const { left, top, width } = strip.getBoundingClientRect();
            const [clientX, clientY] = [left + ((column + 0.5) * width) / 4, top + 5];
            strip.dispatchEvent(new PointerEvent(kind, { bubbles: true, clientX, clientY }));
        };
    })()""")
    pressed = "document.querySelector('.every [aria-current=true]').innerText"
    marked = "[...document.querySelectorAll(':target')].map((part) => part.id)"
    wanted, at = "location.hash", "scrollY"
    top = page.evaluate(at)
    assert page.evaluate(marked) == ["cnn-cam-slice-predicted"]
    page.evaluate("over(1, 'pointermove')")
    assert (page.evaluate(pressed), page.evaluate(wanted)) == ("koala", "#cnn-cam-slice-predicted")
    page.evaluate("over(1, 'pointerleave')")
    assert page.evaluate(pressed) == "lion"  # the answer, until a class is chosen
    page.evaluate("over(1, 'click')")
    assert (page.evaluate(pressed), page.evaluate(wanted)) == ("koala", "#cnn-for-koala")
    assert page.evaluate(marked) == ["cnn-for-koala"]
    page.evaluate("document.querySelector('.every tbody a').focus({ preventScroll: true })")
    page.evaluate("document.activeElement.click()")
    page.evaluate("new Promise(done => setTimeout(done, 100))")
    assert (page.evaluate(pressed), page.evaluate(wanted)) == ("bee", "#cnn-for-bee")
    assert page.evaluate(marked) == ["cnn-for-bee"]
    assert page.evaluate("document.activeElement.innerText") == "bee"
    assert page.evaluate(at) == top
    page.close()


@pytest.mark.parametrize(
    ("name", "view", "onward"),
    [
        ("feature-maps", "cnn-maps-slice-features-conv2", "cnn-maps-koala-features-conv2"),
        ("feature-maps", "alexnet", "alexnet"),
        ("feature-maps", "reading", "sample"),  # nothing of the photo's: the picker stays where it is
        ("grad-cam", "cnn-for-bee", "cnn-for-bee"),
    ],
)
def test_the_next_photo_is_shown_from_the_same_view(
    chrome: devtools.Browser, site: Path, name: str, view: str, onward: str
) -> None:
    page = devtools.open_page(chrome, (site / f"{name}-slice.html").as_uri() + f"#{view}")
    link = "document.querySelector('.picker a[data-photo=koala]').href"
    address = (site / f"{name}-koala.html").as_uri() + f"#{onward}"
    assert page.evaluate(link) == address
    page.evaluate("location.hash = 'sample'")
    page.evaluate("new Promise(done => setTimeout(done, 100))")
    assert page.evaluate(link).endswith("#sample")
    page.close()
    page = devtools.open_page(chrome, address)
    assert page.evaluate("document.querySelector(':target').id") == onward
    page.close()


@pytest.mark.parametrize("name", ["feature-maps", "grad-cam"])
@pytest.mark.parametrize(("view", "scrolled"), [("", 0), ("", 77), ("#cnn", 300)])
def test_the_picker_stays_where_it_is_in_the_window(
    chrome: devtools.Browser, site: Path, name: str, view: str, scrolled: int
) -> None:
    page = devtools.open_page(chrome, (site / f"{name}-slice.html").as_uri() + view)
    page.evaluate(f"scrollTo({{ top: {scrolled}, behavior: 'instant' }})")
    place = "document.querySelector('.picker').getBoundingClientRect().top"
    before = page.evaluate(place)
    chrome.events.clear()
    click = "document.querySelector('.picker a[data-photo=koala]').click()"
    chrome.call("Runtime.evaluate", page.session, expression=click)
    chrome.wait("Page.loadEventFired", page.session)
    page.evaluate("new Promise(done => setTimeout(done, 100))")
    assert page.evaluate("location.pathname").endswith(f"/{name}-koala.html")
    assert page.evaluate("location.hash") == view
    assert abs(page.evaluate(place) - before) < 1
    page.close()


def test_on_a_phone_the_photo_comes_back_when_a_class_is_chosen(chrome: devtools.Browser, site: Path) -> None:
    page = devtools.open_page(chrome, (site / "grad-cam-bee.html").as_uri(), width=390)
    page.evaluate("document.querySelector('.every tbody').scrollIntoView({ behavior: 'instant' })")
    top = "document.querySelector('.every .stack').getBoundingClientRect().top"
    assert page.evaluate(top) < 0
    page.evaluate("document.querySelectorAll('.every tbody a')[1].click()")
    page.evaluate("new Promise(done => setTimeout(done, 100))")
    assert page.evaluate(top) >= 0
    page.close()


@pytest.mark.parametrize(("name", "other"), [("feature-maps", "grad-cam"), ("grad-cam", "feature-maps")])
def test_a_photo_is_a_link_away_on_the_other_pages(chrome: devtools.Browser, site: Path, name: str, other: str) -> None:
    page = devtools.open_page(chrome, (site / f"{name}-koala.html").as_uri())
    links = page.evaluate("[...document.querySelectorAll('.elsewhere a')].map((link) => link.getAttribute('href'))")
    assert links == [f"{other}-koala.html", "try.html#photo=koala"]
    page.close()


def test_a_class_has_an_address_in_the_table_of_classes(chrome: devtools.Browser, site: Path) -> None:
    """With scripts and without; the table is folded away until somebody asks for it."""
    for scripts in (True, False):
        address = (site / "evaluation.html").as_uri() + "#cnn-class-lion"
        page = devtools.open_page(chrome, address, scripts=scripts)
        assert page.evaluate("document.querySelector('tr:target th').innerText") == "lion"
        assert -1 <= page.evaluate("document.querySelector('tr:target').getBoundingClientRect().top") <= 900
        page.close()


def test_a_cell_of_the_confusion_matrix_is_a_link_without_scripts_too(chrome: devtools.Browser, site: Path) -> None:
    page = devtools.open_page(chrome, (site / "evaluation.html").as_uri(), scripts=False)
    links = "[...document.querySelectorAll('#cnn-confusion-test td a')].map((link) => link.getAttribute('href'))"
    assert page.evaluate(links) == [f"evaluation-cnn-mistakes.html#{name}" for name in ("bee-lion", "lion-bee")]
    page.evaluate("document.querySelector('#cnn-confusion-test details').open = true")
    page.evaluate("document.querySelector('#cnn-confusion-test tbody th a').focus()")
    for _ in range(2):
        page.press("Tab")
    assert page.evaluate("document.activeElement.href").endswith("#bee-lion")
    page.close()


def test_the_light_box_opens_and_closes(chrome: devtools.Browser, site: Path) -> None:
    page = devtools.open_page(chrome, (site / "filters.html").as_uri())
    page.evaluate("document.querySelector('a.zoom').focus()")
    page.evaluate("document.activeElement.click()")
    assert page.evaluate("document.querySelector('dialog').open") is True
    assert page.evaluate("document.querySelector('dialog img').alt.length") > 20
    # Weights stay squares however large they are.
    assert page.evaluate("getComputedStyle(document.querySelector('dialog img')).imageRendering") == "pixelated"
    width = "document.querySelector('dialog img').getBoundingClientRect().width"
    fitting = page.evaluate(width)
    page.evaluate("document.querySelector('dialog input').focus()")
    page.press("End")
    assert page.evaluate(width) == pytest.approx(8 * fitting, rel=0.01)
    page.press("Escape")
    page.evaluate("new Promise(done => setTimeout(done, 50))")
    assert page.evaluate("document.querySelector('dialog').open") is False
    assert page.evaluate("document.activeElement.className") == "zoom"
    page.close()


def test_a_click_in_the_light_box_opens_one_map_of_a_mosaic(chrome: devtools.Browser, site: Path) -> None:
    page = devtools.open_page(chrome, (site / "feature-maps-slice.html").as_uri())
    page.evaluate("document.querySelector('.stages a.zoom').click()")
    page.evaluate("document.querySelector('dialog img').decode()")
    # The middle of a quarter of the picture, and where it then stands in the pane.
    page.evaluate("""(function () {
        const image = document.querySelector("dialog img"), pane = document.querySelector("dialog .pane");
        window.place = function () {
            const [seen, around] = [image.getBoundingClientRect(), pane.getBoundingClientRect()];
            return [seen.left + seen.width / 4 - around.left - pane.clientWidth / 2,
                seen.top + seen.height / 4 - around.top - pane.clientHeight / 2];
        };
        window.click = function () {
            const seen = image.getBoundingClientRect();
            const [clientX, clientY] = [seen.left + seen.width / 4, seen.top + seen.height / 4];
            image.dispatchEvent(new MouseEvent("click", { bubbles: true, clientX, clientY }));
        };
    })()""")
    size = "document.querySelector('dialog input').value"
    width = "document.querySelector('dialog img').getBoundingClientRect().width"
    fitting = page.evaluate(width)
    page.evaluate("click()")
    assert (page.evaluate(size), page.evaluate(width)) == ("8", pytest.approx(8 * fitting, rel=0.01))
    assert page.evaluate("place()") == pytest.approx([0, 0], abs=8)  # half a pixel, eight times
    page.evaluate("click()")
    assert (page.evaluate(size), page.evaluate(width)) == ("1", pytest.approx(fitting, rel=0.01))
    page.close()


def test_a_table_is_sorted_by_its_heads(chrome: devtools.Browser, site: Path) -> None:
    page = devtools.open_page(chrome, (site / "evaluation.html").as_uri())
    first = "document.querySelector('.heading:has(#alexnet-pairs) ~ section table tbody tr').innerText.split('\\t')[0]"
    table = "document.querySelector('.heading:has(#alexnet-pairs) ~ section table')"
    assert page.evaluate(first) == "lion"  # three images
    page.evaluate(f"{table}.querySelectorAll('th button')[0].click()")
    assert page.evaluate(first) == "bee"
    assert page.evaluate(f"{table}.querySelector('[aria-sort]').getAttribute('aria-sort')") == "ascending"
    page.evaluate(f"{table}.querySelectorAll('th button')[2].click()")
    assert page.evaluate(first) == "lion"
    page.close()


def test_curves_tell_the_values_under_the_pointer(chrome: devtools.Browser, site: Path) -> None:
    page = devtools.open_page(chrome, (site / "training.html").as_uri())
    page.evaluate("""(function () {
        const chart = document.querySelector("svg[data-plot]");
        const [left, right] = chart.dataset.plot.split(" ").map(Number);
        window.point = function (share, kind) {
            const at = new DOMPoint(left + share * (right - left), 100).matrixTransform(chart.getScreenCTM());
            chart.dispatchEvent(new MouseEvent(kind, { bubbles: true, clientX: at.x, clientY: at.y }));
        };
    })()""")
    figure = "document.querySelector('svg[data-plot]').closest('figure')"
    tip = f"{figure}.querySelector('.tip').innerText"
    height = page.evaluate("document.documentElement.scrollHeight")
    caption = f"{figure}.querySelector('figcaption').getBoundingClientRect().top"
    below = page.evaluate(caption)
    row = f"[...[...{figure}.querySelectorAll('tbody tr')].%s.cells].map((cell) => cell.textContent.trim())"
    for share, place in ((0, "at(0)"), (1, "at(-1)")):
        page.evaluate(f"point({share}, 'pointermove')")
        told = page.evaluate(tip)
        assert told.startswith("epoch ")
        assert [number for number in page.evaluate(row % place) if number not in told] == []
        assert page.evaluate(f"{figure}.querySelector('.tip').getBoundingClientRect().right <= innerWidth")
    assert page.evaluate("document.documentElement.scrollHeight") == height  # nothing moved
    assert page.evaluate(caption) == below
    assert re.fullmatch(r"epoch 4: training accuracy [\d.]+\u00a0%, validation accuracy [\d.]+\u00a0%", told)
    lifted = "new PointerEvent('pointerleave', { pointerType: 'touch' })"
    page.evaluate(f"document.querySelector('svg[data-plot]').dispatchEvent({lifted})")
    assert page.evaluate(tip) != ""
    page.evaluate("point(0, 'pointerleave')")
    assert page.evaluate(tip) == ""
    page.close()


def test_curves_tell_their_values_to_the_arrow_keys(chrome: devtools.Browser, site: Path) -> None:
    page = devtools.open_page(chrome, (site / "training.html").as_uri())
    page.evaluate("document.querySelector('svg[data-plot]').focus({ focusVisible: true })")
    tip = "document.querySelector('.tip').innerText.split(':')[0]"
    assert page.evaluate(tip) == "Arrow keys go from epoch to epoch."
    # Who does not see it hears it with the chart's name.
    assert "Arrow keys" in page.evaluate("document.querySelector('svg[data-plot]').getAttribute('aria-label')")
    for key, told in (
        ("ArrowRight", "epoch 1"),
        ("ArrowRight", "epoch 2"),
        ("End", "epoch 4"),
        ("ArrowRight", "epoch 4"),
    ):
        page.press(key)
        assert page.evaluate(tip) == told
    back = "new KeyboardEvent('keydown', { key: 'ArrowLeft', altKey: true, cancelable: true })"
    assert page.evaluate(f"document.querySelector('svg[data-plot]').dispatchEvent({back})") is True  # the browser's own
    assert page.evaluate(tip) == "epoch 4"
    page.press("Tab")
    assert page.evaluate(tip) == ""
    page.close()


def test_a_cell_of_the_confusion_matrix_leads_to_its_images(chrome: devtools.Browser, site: Path) -> None:
    page = devtools.open_page(chrome, (site / "evaluation.html").as_uri())
    page.evaluate(
        "document.querySelector('#cnn-confusion-test th:last-child button').click()"
    )  # sorting moves the rows
    page.evaluate("""(function () {
        const holder = document.querySelector("#cnn-confusion-test"), chart = holder.querySelector("svg.chart");
        const names = [...holder.querySelectorAll("thead th")].slice(1).map((head) => head.textContent.trim());
        const grid = chart.querySelector("path");
        window.click = function (row, column, kind) {
            const at = new DOMPoint(names.indexOf(column) + 0.5, names.indexOf(row) + 0.5);
            const { x, y } = at.matrixTransform(grid.getScreenCTM()); // in units of a cell
            chart.dispatchEvent(new MouseEvent(kind, { bubbles: true, clientX: x, clientY: y }));
        };
    })()""")
    cursor = "document.querySelector('#cnn-confusion-test svg.chart').style.cursor"
    page.evaluate("click('lion', 'bee', 'pointermove')")
    assert page.evaluate(cursor) == "pointer"
    assert page.evaluate("document.querySelector('.tip').innerText") == "lion called bee: 3 of 10, 30\u00a0%"
    page.evaluate("click('bee', 'bee', 'pointermove')")  # right answers lead nowhere
    assert page.evaluate(cursor) == ""
    assert page.evaluate("document.querySelector('.tip').innerText") == "bee, right: 6 of 10, 60\u00a0%"
    page.evaluate("void setTimeout(click, 50, 'lion', 'bee', 'click')")
    time.sleep(1)  # the page is left, and nothing could be waited for in it
    assert page.evaluate("location.href").endswith("evaluation-cnn-mistakes.html#lion-bee")
    assert page.evaluate("document.querySelector(':target h2').innerText").startswith("lion called bee")
    page.close()


def test_a_finger_learns_which_cell_it_met_before_it_follows_it(chrome: devtools.Browser, site: Path) -> None:
    page = devtools.open_page(chrome, (site / "evaluation.html").as_uri(), width=390)
    page.browser.call("Emulation.setTouchEmulationEnabled", page.session, enabled=True)
    page.evaluate("""(function () {
        const holder = document.querySelector("#cnn-confusion-test"), chart = holder.querySelector("svg.chart");
        const names = [...holder.querySelectorAll("thead th")].slice(1).map((head) => head.textContent.trim());
        chart.scrollIntoView({ block: "center", behavior: "instant" });
        window.cell = function (row, column) {
            const at = new DOMPoint(names.indexOf(column) + 0.5, names.indexOf(row) + 0.5);
            const { x, y } = at.matrixTransform(chart.querySelector("path").getScreenCTM());
            return [x, y];
        };
    })()""")

    def tap(row: str, column: str) -> None:
        x, y = page.evaluate(f"cell('{row}', '{column}')")
        for kind, points in (("touchStart", [{"x": x, "y": y}]), ("touchEnd", [])):
            page.browser.call("Input.dispatchTouchEvent", page.session, type=kind, touchPoints=points)
        time.sleep(0.5)  # until the browser knows that it was no double tap

    tip = "document.querySelector('#cnn-confusion-test .tip').innerText"
    tap("lion", "bee")
    assert page.evaluate(tip) == "lion called bee: 3 of 10, 30\u00a0%"
    assert page.evaluate("document.querySelector('.tip a').href").endswith("evaluation-cnn-mistakes.html#lion-bee")
    tap("bee", "bee")  # right answers lead nowhere
    assert page.evaluate(tip).startswith("bee, right: ")
    assert page.evaluate("document.querySelector('.tip a')") is None
    tap("lion", "bee")
    assert page.evaluate("location.pathname").endswith("evaluation.html")
    tap("lion", "bee")
    time.sleep(0.5)  # the page is left, and nothing could be waited for in it
    assert page.evaluate("location.href").endswith("evaluation-cnn-mistakes.html#lion-bee")
    page.close()


# Each cell of the first matrix is pointed at: whether what it tells can be seen whole, and whether anything moves.
POINTED = """(function () {
    const chart = document.querySelector("svg[data-counts]"), grid = chart.querySelector("path");
    chart.scrollIntoView({ behavior: "instant" });
    const tip = chart.nextElementSibling, count = chart.dataset.names.split("\\t").length, found = [];
    const height = document.documentElement.scrollHeight;
    for (let cell = 0; cell < count * count; cell++) {
        const at = new DOMPoint((cell % count) + 0.5, Math.floor(cell / count) + 0.5);
        const { x, y } = at.matrixTransform(grid.getScreenCTM());
        chart.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, clientX: x, clientY: y }));
        const box = tip.getBoundingClientRect();
        const inside = box.left >= 0 && box.right <= innerWidth && box.top >= 0 && box.bottom <= innerHeight;
        const near = Math.abs((box.top + box.bottom) / 2 - y) < 200;
        found.push([tip.innerText !== "", y > innerHeight || (inside && near)]);
    }
    return [found, document.documentElement.scrollHeight - height, document.documentElement.scrollWidth - innerWidth];
})()"""


@pytest.mark.parametrize("width", [1280, 390])
def test_a_matrix_tells_each_cell_beside_it(chrome: devtools.Browser, site: Path, width: int) -> None:
    page = devtools.open_page(chrome, (site / "evaluation.html").as_uri(), width=width)
    told, moved, wider = page.evaluate(POINTED)
    assert (told, moved) == ([[True, True]] * 16, 0)
    assert wider <= 0
    page.close()


def test_arrow_keys_reach_each_cell_of_a_matrix(chrome: devtools.Browser, site: Path) -> None:
    page = devtools.open_page(chrome, (site / "evaluation.html").as_uri())
    chart = "document.querySelector('svg[data-counts]')"
    tip = f"{chart}.nextElementSibling.innerText"
    names = page.evaluate(f"{chart}.dataset.names.split('\t')")
    assert len(names) == 4
    page.evaluate(f"{chart}.focus({{ focusVisible: true }})")
    assert page.evaluate(tip).startswith("Arrow keys lead from cell to cell")
    assert page.evaluate(tip) in page.evaluate(f"{chart}.getAttribute('aria-label')")
    for row in range(4):
        page.press("ArrowDown")
        page.press("Home")
        for column in range(4):
            said = f"{names[row]}, right: " if row == column else f"{names[row]} called {names[column]}: "
            assert page.evaluate(tip).startswith(said)
            page.press("ArrowRight")  # which stays within the matrix
    page.press("Tab")
    assert page.evaluate(tip) == ""
    page.evaluate(f"{chart}.focus({{ focusVisible: true }})")
    place = (names.index("lion"), names.index("bee"))
    for key, times in (("ArrowDown", place[0] + 1), ("ArrowRight", place[1])):
        for _ in range(times):
            page.press(key)
    assert page.evaluate(tip) == "lion called bee: 3 of 10, 30\u00a0%"
    page.press("Enter")
    time.sleep(1)  # the page is left, and nothing could be waited for in it
    assert page.evaluate("location.href").endswith("evaluation-cnn-mistakes.html#lion-bee")
    page.close()


def test_a_mistake_shows_its_first_images_at_the_pointer(chrome: devtools.Browser, site: Path) -> None:
    page = devtools.open_page(chrome, (site / "evaluation.html").as_uri())
    shown = """(function () {
        const chart = document.querySelector("#cnn-confusion-test svg"), grid = chart.querySelector("path");
        const names = chart.dataset.names.split("\\t");
        const at = new DOMPoint(names.indexOf("%s") + 0.5, names.indexOf("%s") + 0.5);
        const { x, y } = at.matrixTransform(grid.getScreenCTM());
        chart.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, clientX: x, clientY: y }));
        const pictures = [...chart.nextElementSibling.querySelectorAll("img")];
        return Promise.all(pictures.map((one) => one.decode())).then(() => pictures.map((one) =>
            [one.getAttribute("src"), getComputedStyle(one).objectPosition, one.clientWidth === one.clientHeight]));
    })()"""
    sheet = "assets/figures/cnn-mistakes-0.webp"
    # The two confusions with images are as frequent, so they are in the order of their classes: bee, then lion.
    assert page.evaluate(shown % ("lion", "bee")) == [[sheet, "0px 0px", True]]
    assert page.evaluate(shown % ("bee", "lion")) == [[sheet, "0px 6.6667%", True]]
    assert page.evaluate(shown % ("bee", "bee")) == []
    page.close()


def test_the_matrices_of_the_parts_change_places(chrome: devtools.Browser, site: Path) -> None:
    page = devtools.open_page(chrome, (site / "evaluation.html").as_uri())
    order = "[...document.querySelectorAll('figure[data-part]')].map((one) => one.id)"
    ids = [f"{name}-confusion-{part}" for name in ("cnn", "alexnet") for part in ("test", "validation", "train")]
    assert page.evaluate(order) == ids
    top = "document.querySelector('figure.first svg').getBoundingClientRect().top"
    before = page.evaluate(top)
    page.evaluate("document.querySelectorAll('figure.first input[type=radio]')[2].click()")
    assert page.evaluate(order) == [ids[2], ids[1], ids[0], *ids[3:]]
    assert page.evaluate("document.querySelector('figure.first').id") == "cnn-confusion-train"
    assert page.evaluate(top) == pytest.approx(before, abs=1)
    assert page.evaluate("document.activeElement.closest('label').innerText.trim()") == "training images"
    assert page.evaluate("document.querySelectorAll('figure.first fieldset, figure.first :checked').length") == 2
    page.evaluate("document.querySelectorAll('figure.first input[type=radio]')[0].click()")
    assert page.evaluate(order) == ids
    page.close()


def test_an_address_leads_to_its_figure(chrome: devtools.Browser, site: Path) -> None:
    page = devtools.open_page(chrome, (site / "feature-maps-slice.html").as_uri() + "#cnn-maps-slice-features-conv2")
    top = page.evaluate("document.querySelector(':target').getBoundingClientRect().top")
    assert -1 <= top <= 900
    page.close()


def test_a_unit_shows_its_own_cell_of_the_sheet(chrome: devtools.Browser, site: Path) -> None:
    page = devtools.open_page(chrome, (site / "filters-cnn-conv2.html").as_uri() + "#cnn-conv2-5")
    image = "document.querySelector(':target img')"
    page.evaluate(f"{image}.loading = 'eager'; {image}.decode()")
    width, height = page.evaluate(f"[{image}.clientWidth, {image}.clientHeight]")
    assert width == pytest.approx(height, abs=1)  # one square cell, not the column of sixteen
    assert page.evaluate(f"getComputedStyle({image}).objectPosition") == "0px 33.3333%"  # 5 of 15 steps
    assert page.evaluate(f"getComputedStyle({image}).objectFit") == "cover"
    page.close()


# The mean colour of what is shown of a figure's maps, each painted anew; the last of a class is the map alone.
BRIGHTNESS = """(async (figures) => {
    const canvas = document.createElement("canvas");
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const mean = async (image) => {
        image.loading = "eager"; // what is far below is not fetched else
        await image.decode();
        [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
        context.drawImage(image, 0, 0);
        const found = context.getImageData(0, 0, canvas.width, canvas.height).data;
        return found.reduce((sum, value) => sum + value, 0) / found.length;
    };
    const shown = (figure) => [...figure.querySelectorAll("img")].filter((image) => image.checkVisibility()).at(-1);
    return Promise.all([...document.querySelectorAll(figures)].map((figure) => mean(shown(figure))));
})(%r)"""
MAPS = ".views figure[data-own]:not([data-own$='AAAAAAAAAAA=='])"


def test_maps_are_shown_on_their_own_range_by_a_key(chrome: devtools.Browser, address: str) -> None:
    """The maps of the answer are large, those of class 0 a third of the scale at most: they become as bright."""
    page = devtools.open_page(chrome, f"{address}/grad-cam-bee.html")
    words = "document.querySelector('#ranged').innerText"
    before, height = page.evaluate(BRIGHTNESS % MAPS), page.evaluate("document.querySelector('.every').offsetHeight")
    assert "share one scale" in page.evaluate(words)
    page.evaluate("document.getElementById('ranges').focus()")
    page.press(" ")
    after = page.evaluate(BRIGHTNESS % MAPS)
    assert "compare the raw maxima" in page.evaluate(words)
    assert "own range" in page.evaluate("document.querySelector('.every .role').innerText")
    assert max(after) - min(after) < max(before) - min(before)
    assert min(after) > min(before) + 20  # of 255
    assert page.evaluate("document.querySelector('.every').offsetHeight") == height
    # The map of a class that is passed over is laid on the photo on its own range, too.
    over = "getComputedStyle([...document.querySelectorAll('.every .heat')].find((one) => one.checkVisibility()))"
    assert page.evaluate(f"{over}.backgroundImage.slice(5, 15)") == "data:image"
    page.evaluate("document.querySelectorAll('.every tbody a')[2].focus()")
    assert page.evaluate(f"{over}.backgroundPosition") == "66.6667% 0%"  # the third of four a row
    # So is the picture that is enlarged, and the maps of the next photo.
    page.evaluate("document.querySelector('a.zoom.stack').click()")
    enlarged = "[...document.querySelectorAll('dialog .stack img')].map((one) => one.getAttribute('src').slice(-9, -5))"
    assert page.evaluate("document.querySelector('dialog .heat img').src.slice(0, 10)") == "data:image"
    assert page.evaluate(enlarged)[0] == "hoto"
    sides = "[...document.querySelectorAll('dialog .stack img')].map((one) => one.getBoundingClientRect().toJSON())"
    photo, heat = page.evaluate(sides)
    assert photo == heat
    page.evaluate("document.querySelector('dialog button').click()")
    page.evaluate("document.getElementById('ranges').click()")
    page.evaluate("document.querySelector('a.zoom.stack').click()")
    assert page.evaluate("document.querySelectorAll('dialog .stack img').length") == 1
    page.evaluate("document.querySelector('dialog button').click()")
    page.evaluate("document.getElementById('ranges').click()")
    chrome.events.clear()
    onward = "document.querySelector('.picker a[data-photo=slice]').click()"
    chrome.call("Runtime.evaluate", page.session, expression=onward)
    chrome.wait("Page.loadEventFired", page.session)
    assert page.evaluate("document.getElementById('ranges').checked") is True
    assert "own range" in page.evaluate("document.querySelector('.every .role').innerText")
    assert not page.problems
    page.close()
    page = devtools.open_page(chrome, f"{address}/grad-cam-bee.html", media="print")
    page.evaluate("document.getElementById('ranges').click()")
    assert page.evaluate(BRIGHTNESS % MAPS) == before  # on paper nothing says how to change it
    assert page.evaluate("[...document.querySelectorAll('.own')].some((one) => one.checkVisibility())") is False
    page.close()


def test_a_failure_shows_its_maps_on_their_own_range(chrome: devtools.Browser, site: Path) -> None:
    page = devtools.open_page(chrome, (site / "failures.html").as_uri())
    figures = "[...document.querySelectorAll('figure[data-own]')]"
    sides = (
        f"{figures}.map((one) => Math.round([...one.querySelectorAll('img')].find((i) => i.checkVisibility()).width))"
    )
    before = page.evaluate(sides)
    assert before
    page.evaluate("document.getElementById('ranges').click()")
    shown = f"{figures}.map((one) => [...one.querySelectorAll('img')].filter((i) => i.checkVisibility()).length)"
    assert page.evaluate(shown) == [2] * len(before)  # the photo, and the map over it
    assert page.evaluate(sides) == before
    page.evaluate("document.getElementById('ranges').click()")
    assert page.evaluate(shown) == [1] * len(before)
    assert not page.problems
    page.close()
