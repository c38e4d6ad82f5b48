"""Each fault that a site can have is found once, at its page, with a remedy; a sound site has none."""

from __future__ import annotations

import codecs
import html
import time
from urllib.parse import quote

import pytest

from generator.base.errors import InputError
from generator.publishing import check
from generator.publishing.check import FIRST_LOAD, KIB, SCRIPTS, STYLES, WHOLE, Finding
from generator.publishing.check.documents import parsed
from generator.publishing.check.references import short
from tests import sites

HEAD = '<!doctype html><html lang="en"><title>t</title><link rel="stylesheet" href="assets/site.css">'
SOUND = {
    "index.html": f"""{HEAD}<script src="assets/a.js"></script>
        <a href="#part">down</a> <a href="a.html#there">over</a> <a href="https://example.org/x">out</a>
        <a href="mailto:a@example.org">write</a> <a href="#top">up</a> <a href="a%20b.html?x=1">spaced</a>
        <h2 id="part">part</h2><img src="assets/p.webp" alt="a bee" srcset="assets/p.webp 1x, assets/q.webp 2x">
        <img src="data:image/gif;base64,R0lGOD" alt=""><svg aria-hidden="true"><path d="M0 0"/></svg>
        <svg role="img" aria-labelledby="n"><title id="n">a chart</title></svg><a href="a.html"><img src="assets/p.webp"
        alt="home"></a><a href="a.html" aria-label="next"></a><p data-heat="assets/heat.webp">""",
    "a.html": f'{HEAD}<p id="there">text <a href="index.html#part">back</a><a href="assets/n.svg#eye">eye</a>',
    "a b.html": f"{HEAD}<a href='index.html'>back</a>",
    "404.html": f"{HEAD}<a href='index.html'>home</a>",
    "robots.txt": "",
    ".nojekyll": "",
    "assets/site.css": "/* from https://example.org */ p { background: url('p.webp') } a { fill: url(#x) }",
    "assets/a.js": 'const x = "http://www.w3.org/2000/svg"; fetch("results.json"); // see https://example.org',
    "assets/n.svg": '<svg xmlns="http://www.w3.org/2000/svg"><path id="eye"/></svg>',
    "assets/p.webp": "p",
    "assets/q.webp": "q",
    "assets/heat.webp": "h",
    "results.json": "{}",
}


def site(**changes: str | None) -> dict[str, bytes]:
    """The sound site with other contents; "index" stands for index.html, None takes a file away."""
    made: dict[str, str | None] = {**SOUND, **{path.replace("__", "/"): text for path, text in changes.items()}}
    return {path: text.encode() for path, text in made.items() if text is not None}


def found(files: dict[str, bytes]) -> list[str]:
    return [f"{one.page}: {one.what}" for one in check.check(files)]


def with_(html: str, page: str = "index.html") -> dict[str, bytes]:
    """The sound site with a piece of HTML at the end of a page."""
    return site(**{page: SOUND[page] + html})


def test_a_sound_site_has_no_faults() -> None:
    assert check.check(site()) == ()


@pytest.mark.parametrize(
    ("html", "what"),
    [
        ('<a href="b.html">b</a>', "b.html leads nowhere"),
        ('<a href="assets/">b</a>', "assets/ leads to a folder"),
        ('<a href="A.html">b</a>', "A.html leads nowhere"),
        ('<a href="a.html#nowhere">b</a>', "a.html#nowhere leads to a part that a.html does not have"),
        ('<a href="#Part">b</a>', "#Part leads to a part that index.html does not have"),
        ('<a href="assets/n.svg#ear">b</a>', "assets/n.svg#ear leads to a part that assets/n.svg does not have"),
        ('<a href="/a.html">b</a>', "/a.html begins at the host's root"),
        ('<a href="../a.html">b</a>', "../a.html leads out of the site"),
        ('<a href="x/../../y.html">b</a>', "x/../../y.html leads out of the site"),
        ('<a href="%2e%2e/y.html">b</a>', "%2e%2e/y.html leads out of the site"),
        ('<a href="a\\b.html">b</a>', "a\\b.html has a backslash"),
        ('<a href="file:///home/me/a.html">b</a>', "file:///home/me/a.html works on one machine or in one browser"),
        ('<a href="C:/a.html">b</a>', "C:/a.html works on one machine or in one browser"),
        ('<a href="javascript:alert(1)">b</a>', "javascript:alert(1) works on one machine or in one browser"),
        ('<a href="//example.org/a">b</a>', "//example.org/a has no scheme"),
        ('<a href="http://[x">b</a>', "http://[x is no address"),
        ('<form action="send.php"></form>', "send.php leads nowhere"),
        ('<meta http-equiv="refresh" content="0; url=gone.html">', "gone.html leads nowhere"),
        ('<img src="gone.webp" alt="x">', "gone.webp leads nowhere"),
        ('<img src="" alt="x">', "an image, script or style has an empty address"),
        ('<img src="assets/p.webp" srcset="gone.webp 2x" alt="x">', "gone.webp leads nowhere"),
        ('<img src="https://example.org/p.png" alt="x">', "https://example.org/p.png is fetched from another host"),
        ('<script src="//cdn.example.org/x.js"></script>', "//cdn.example.org/x.js is fetched from another host"),
        ('<link rel="preconnect" href="https://example.org">', "https://example.org is fetched from another host"),
        ('<iframe src="https://example.org" title="x"></iframe>', "https://example.org is fetched from another host"),
        ('<video poster="gone.jpg"></video>', "gone.jpg leads nowhere"),
        ('<p style="background: url(gone.webp)">', "gone.webp leads nowhere"),
        ("<style>@import 'gone.css';</style>", "gone.css leads nowhere"),
        ("<script>fetch('https://example.org/data')</script>", "a script names https://example.org/data"),
        ('<base href="/x/">', "<base> moves every address"),
        ('<img src="assets/p.webp">', "<img> assets/p.webp has no alternative text"),
        ('<img src="assets/p.webp" alt="  ">', "<img> assets/p.webp has no alternative text"),
        ('<img src="assets/p.webp" alt="p.webp">', "<img> assets/p.webp has its file's name as alternative text"),
        ('<input type="image" src="assets/p.webp">', "<input> assets/p.webp has no alternative text"),
        ('<a href="a.html"><img src="assets/p.webp" alt=""></a>', "a link has no words"),
        ('<svg role="img"><path d="M0 0"/></svg>', "<svg> has no label and no title"),
        ('<b id="part"></b>', "the id 'part' stands there 2 times"),
        ('<img src="assets/p.webp" srcset="assets/p.webp 1x,gone.webp 2x" alt="x">', "gone.webp leads nowhere"),
        ('<img src="assets/p.webp" srcset="gone.webp, assets/p.webp 2x" alt="x">', "gone.webp leads nowhere"),
        ('<link rel="preload" as="image" imagesrcset="assets/p.webp 1x, gone.webp 2x">', "gone.webp leads nowhere"),
        ("<p style=\"background: image-set('assets/p.webp' 1x, 'gone.webp' 2x)\">", "gone.webp leads nowhere"),
        ('<style>p { background: image-set("gone.webp" type("image/webp")) }</style>', "gone.webp leads nowhere"),
        ("<style>p { background: -webkit-image-set(url(gone.webp) 1x) }</style>", "gone.webp leads nowhere"),
        ("<style>@import url(gone.css);</style>", "gone.css leads nowhere"),
        ("<style>p { background: URL(gone.webp) }</style>", "gone.webp leads nowhere"),
        ("<style>p { background: url('\\2f p.webp') }</style>", "/p.webp begins at the host's root"),
        ('<p data-heat="assets/gone.webp">', "assets/gone.webp leads nowhere"),
        ('<p data-page="a.html#nowhere">', "a.html#nowhere leads to a part that a.html does not have"),
        ('<p data-srcset="assets/p.webp 1x, gone.webp 2x">', "gone.webp leads nowhere"),
        ('<p data-scripts="assets/a.js gone.js">', "gone.js leads nowhere"),
        ('<p data-src="https://example.org/p.webp">', "https://example.org/p.webp is fetched from another host"),
        ('<a href="JaVa\nScript:alert(1)">b</a>', "JaVaScript:alert(1) works on one machine or in one browser"),
        ('<a href="\x01javascript:alert(1)">b</a>', "javascript:alert(1) works on one machine or in one browser"),
        ('<a href="vbscript:x">b</a>', "vbscript:x works on one machine or in one browser"),
        ('<a href="data:text/html,x">b</a>', "data:text/html,x works on one machine or in one browser"),
        ('<a href="blob:x">b</a>', "blob:x works on one machine or in one browser"),
        ('<a href="ftp://example.org/a">b</a>', "ftp://example.org/a works on one machine or in one browser"),
        ('<a href="https:a.html">b</a>', "https:a.html names no host"),
        ('<a href="\\\\example.org\\a">b</a>', "\\\\example.org\\a has a backslash"),
        ('<button formaction="send.php">b</button>', "send.php leads nowhere"),
        ('<q cite="gone.html">b</q>', "gone.html leads nowhere"),
        ('<img src="assets/p.webp" alt="x" usemap="#gone">', "#gone leads to a part that index.html does not have"),
        ('<label for="gone">x</label>', 'for="gone" names no part of the page'),
        ('<p aria-labelledby="part gone">x</p>', 'aria-labelledby="gone" names no part of the page'),
        ('<p aria-describedby="gone">x</p>', 'aria-describedby="gone" names no part of the page'),
        ('<button aria-controls="gone">x</button>', 'aria-controls="gone" names no part of the page'),
        ('<div role="img"></div>', "<div> has no label and no title"),
        ('<iframe src="a.html"></iframe>', "<iframe> has no label and no title"),
        ('<iframe title="x" srcdoc="<img src=gone.webp alt=x>"></iframe>', "gone.webp leads nowhere"),
        (
            """<iframe title="x" srcdoc="<script>fetch('https://example.org/data')</script>"></iframe>""",
            "a script names https://example.org/data",
        ),
        ('<iframe title="x" srcdoc="<img src=assets/p.webp>"></iframe>', "<img> assets/p.webp has no alternative text"),
        ('<table background="gone.webp"></table>', "gone.webp leads nowhere"),
        (
            '<table><td background="https://example.org/p.png"></table>',
            "https://example.org/p.png is fetched from another host",
        ),
        ('<a href="a.html" ping="https://example.org/p">b</a>', "https://example.org/p is fetched from another host"),
        ("<script>fetch('/data.json')</script>", "a script names /data.json, which begins at the host's root"),
        ("<script>fetch(`assets/gone.json?v=1`)</script>", "a script names assets/gone.json?v=1, which is not there"),
        # What browsers see and a reader by eye may not.
        ('<a href="a.html/">b</a>', "a.html/ leads nowhere"),
        ('<a href="a.html/#there">b</a>', "a.html/#there leads nowhere"),
        ('<a href="assets//p.webp">b</a>', "assets//p.webp leads nowhere"),
        ('<a href="a.html/../gone.html">b</a>', "a.html/../gone.html leads nowhere"),
        ('<a href="assets%2Fp.webp">b</a>', "assets%2Fp.webp leads nowhere"),
        ('<a href="gone.html" href="a.html">b</a>', "gone.html leads nowhere"),
        ("<a href=gone.html/>b</a>", "gone.html/ leads nowhere"),
        ("<!--><a href=gone.html>b</a>-->", "gone.html leads nowhere"),
        ("<!-- --!><a href=gone.html>b</a>", "gone.html leads nowhere"),
        ("<![CDATA[ ><a href=gone.html>b</a>]]>", "gone.html leads nowhere"),
        ("<image src=gone.webp alt=x>", "gone.webp leads nowhere"),
        (
            '<svg aria-hidden="true"><image href="gone.webp" xlink:href="assets/p.webp"/></svg>',
            "gone.webp leads nowhere",
        ),
        ('<svg aria-hidden="true"><use href="#gone"/></svg>', "#gone leads to a part that index.html does not have"),
        ('<a href="#100%25">b</a>', "#100%25 leads to a part that index.html does not have"),
        ('<map name="m"></map><a href="#m">b</a>', "#m leads to a part that index.html does not have"),
        ('<a href="https://exa mple.org/">b</a>', "https://exa mple.org/ is no address"),
        ('<a href="https://example.org:99999/">b</a>', "https://example.org:99999/ is no address"),
        ('<meta http-equiv="Refresh" content=" 3 , gone.html">', "gone.html leads nowhere"),
        ('<style>a { background: u\\72l("gone.webp") }</style>', "gone.webp leads nowhere"),
        ("<style>a { b { background: url(gone.webp) } }</style>", "gone.webp leads nowhere"),
        ('<style>a { background: src("gone.webp") }</style>', "gone.webp leads nowhere"),
        ('<style>@import /**/ "gone.css" layer(x);</style>', "gone.css leads nowhere"),
    ],
)
def test_a_fault_is_found_at_its_page(html: str, what: str) -> None:
    assert found(with_(html)) == [f"index.html: {what}"]


@pytest.mark.parametrize(
    "html",
    [
        '<a href="a.html#:~:text=word">b</a>',
        '<a href="tel:+4912">b</a>',
        '<a href="a.html"><img src="assets/p.webp" alt=""> bee</a>',
        '<div aria-hidden="true"><img src="assets/p.webp"><svg></svg></div>',
        '<img src="assets/p.webp" role="presentation">',
        '<link rel="canonical" href="https://example.org/index.html">',
        '<link rel="me" href="https://example.org/me">',
        '<a id="both" name="both">b</a><a href="#both">c</a>',
        "<!-- <a href='gone.html'>b</a> -->",
        "<p>1 < 2 &amp; <b>bold",
        '<label for="later">x</label><input id="later" aria-describedby="part">',
        '<p data-title="not a file.webp" data-number="1.5" data-note="see https://example.org/x">',
        "<p style=\"background: image-set(url(assets/p.webp) 1x, 'assets/q.webp' 2x); content: 'gone.webp'\">",
        '<img src="assets/p.webp" srcset="data:image/gif;base64,R0lGOD 1x,assets/q.webp 2x" alt="x">',
        '<img src="assets/p.webp" alt="x" usemap="#map"><map name="map"></map>',
        '<div role="img" aria-label="a chart"></div><iframe src="a.html" title="a"></iframe>',
        """<iframe title="x" srcdoc="<b id='part'>b</b><a href='#part'>c</a><a href='a.html'>d</a>"></iframe>""",
        "<script>const name = 'map.png', type = 'image/svg+xml', file = `assets/${name}`</script>",
        "<script>fetch('./assets/heat.webp'); fetch('assets/q.webp#x')</script>",
        # Text is no markup, and what is inert is no part of the page.
        '<textarea aria-label="x"><img src="gone.webp"></textarea>',
        '<template><p id="part"></p><img src="gone.webp"><label for="gone"></label></template>',
        "<xmp><img src=gone.webp></xmp>",
        "<noembed><img src=gone.webp></noembed>",
        "<select><option><b></select><svg aria-hidden=true><![CDATA[<a href=gone.html>]]></svg>",
        '<script type="application/ld+json">{"@context": "https://schema.org", "url": "/gone.html"}</script>',
        '<script type="text/x-template"><img src="gone.webp"></script>',
        "<plaintext><img src=gone.webp>",
        '<a href="a.html" href="gone.html">b</a>',
        '<input src="gone.webp" aria-label="x"><video><source src="assets/p.webp" srcset="gone.webp"></video>',
        '<picture><source src="gone.webp" srcset="assets/q.webp"><img src="assets/p.webp" alt="x"></picture>',
        '<p title="url(gone.webp)" data-x="url(gone.webp)">',
        '<base target="_blank">',
        '<link rel="unheard-of" href="https://example.org/">',
        # Parts of a page.
        '<p id="100%25"></p><a href="#100%25">b</a>',
        '<p id="100%"></p><a href="#100%25">b</a><a href="#100%">c</a>',
        '<p id="für"></p><a href="#für">b</a><a href="#f%C3%BCr">c</a>',
        '<p id="a b"></p><a href="#a b">b</a>',
        '<a name="old"></a><a href="#old">b</a>',
        '<a href="#">b</a><a href="#TOP">c</a><a href="">d</a><a href="a.html#">e</a>',
        '<svg role="img" aria-label="x"><path id="Heart"/></svg><a href="#Heart">b</a>',
        # Addresses.
        '<a href=" a.\nhtml\t">b</a><a href="./assets/../a.html">c</a><a href="assets/%2e%2E/a.html">d</a>',
        '<a href="&#97;.html">b</a><a href="a.html?x=1&amp;y=2#there">c</a><a href="HTTPS://EXAMPLE.org:443/">d</a>',
        '<a href="?x=1\\2">b</a><a href="https://bücher.example/ü?ü">c</a>',
        '<meta http-equiv="refresh" content="300">',
        # Styles.
        "<style>@namespace svg url(http://www.w3.org/2000/svg);</style>",
        "<style>/* url(gone.webp) */ a::after { content: 'url(gone.webp)' } [x='url(gone.webp)'] { }</style>",
        "<style>a { color: red } @import 'gone.css';</style>",
        "<style>@supports (background: url(gone.webp)) { a { color: red } }</style>",
        "<style>a { background: url(#x), url() }</style>",
        '<style type="text/plain">a { background: url(gone.webp) }</style>',
    ],
)
def test_what_is_right_is_not_a_fault(html: str) -> None:
    assert found(with_(html)) == []


@pytest.mark.parametrize("name", ["b.htm", "b.HTML", "b.Htm"])
def test_a_page_is_known_by_any_ending_that_hosts_know(name: str) -> None:
    files = with_(f'<a href="{name}#part">b</a>')
    files[name] = f'{HEAD}<b id="part"></b><a href="gone.html">b</a><a href="#gone">c</a>'.encode()
    assert found(files) == [
        f"{name}: gone.html leads nowhere",
        f"{name}: #gone leads to a part that {name} does not have",
    ]
    files[name] = HEAD.encode() + b"a" * check.FIRST_LOAD
    assert any(line.startswith(f"{name}: ") and "on the first load" in line for line in found(files))


def test_addresses_are_relative_to_their_own_file() -> None:
    files = site(**{"assets/site.css": "p { background: url(gone.webp) }", "assets/p.webp": "p"})
    assert found(files) == ["assets/site.css: gone.webp leads nowhere"]
    inner = {"in/a.html": b'<a href="../index.html">up</a><a href="../../x.html">out</a>'}
    assert "in/a.html: ../../x.html leads out of the site" in found({**site(), **inner})
    assert not [line for line in found({**site(), **inner}) if "../index.html" in line]


def test_the_sites_own_address_is_checked_like_any_other_of_its_files() -> None:
    index = SOUND["index.html"] + '<link rel="canonical" href="https://example.org/r/index.html">'
    lost = '<meta property="og:image" content="https://example.org/r/social.jpg">'
    assert found(site(**{"index.html": index + lost})) == ["index.html: https://example.org/r/social.jpg leads nowhere"]
    # From a file, an image of the own host is a request to the net; the page for lost visitors has no other choice.
    image = '<img src="https://example.org/r/assets/p.webp" alt="x">'
    assert found(site(**{"index.html": index + image})) == [
        "index.html: https://example.org/r/assets/p.webp is fetched from the net"
    ]
    assert found(site(**{"index.html": index, "404.html": SOUND["404.html"] + image})) == []
    sitemap = "<urlset><url><loc>https://example.org/r/b.html</loc></url></urlset>"
    assert found(site(**{"index.html": index, "sitemap.xml": sitemap})) == [
        "sitemap.xml: https://example.org/r/b.html leads nowhere"
    ]


def test_a_near_name_is_offered() -> None:
    mends = [one.mend for one in check.check(with_('<a href="A.html">x</a><a href="a.html#ther">y</a>'))]
    assert mends == ["did you mean a.html? Hosts tell A from a", "did you mean #there?"]


def test_a_file_that_nothing_leads_to_is_found_and_breaks_nothing() -> None:
    files = site(**{"assets/lost.webp": "x"})
    (one,) = check.check(files)
    assert (one.page, one.what, one.harmless) == ("assets/lost.webp", "nothing leads to this file", True)
    check.require(files, "nothing was published", print)


def test_names_that_jekyll_leaves_out_are_found() -> None:
    assert found(site(**{"_x/p.webp": "x"}) | with_('<img src="_x/p.webp" alt="x">')) == [
        "_x/p.webp: its name begins with _, which Jekyll leaves out"
    ]


def test_without_a_first_page_there_is_no_site() -> None:
    assert "index.html: there is no such page" in found(site(**{"index.html": None}))


def page_of(size: int, **more: str) -> dict[str, bytes]:
    """A site whose first page has so many bytes of its own."""
    files = site(**more)
    files["index.html"] += b" " * (size - len(files["index.html"]))
    return files


def test_the_first_load_counts_what_the_browser_fetches_at_once() -> None:
    # With the page come the style (and its picture), the script, and the larger one of each picture's sizes.
    beside = sum(len(SOUND[f"assets/{name}"]) for name in ("site.css", "a.js", "p.webp", "q.webp"))
    assert found(page_of(FIRST_LOAD - beside)) == []
    assert found(page_of(FIRST_LOAD - beside + 1)) == ["index.html: 300 KiB on the first load, expected 300 at most"]


def test_a_lazy_picture_and_a_linked_page_are_not_part_of_the_first_load() -> None:
    big = "x" * FIRST_LOAD
    files = with_('<img src="assets/big.webp" alt="x" loading="lazy"><a href="big.html">b</a>')
    files |= {"assets/big.webp": big.encode(), "big.html": b"<p>"}
    assert found(files) == []
    eager = with_('<img src="assets/big.webp" alt="x">') | {"assets/big.webp": big.encode()}
    (one,) = check.check(eager)
    assert one.mend == "make it smaller or load it lazily: assets/big.webp has 300 KiB"


@pytest.mark.parametrize(
    ("path", "limit", "what"), [("assets/a.js", SCRIPTS, "scripts"), ("assets/site.css", STYLES, "styles")]
)
def test_scripts_and_styles_have_their_limit(path: str, limit: int, what: str) -> None:
    assert found(site(**{path: SOUND[path].ljust(limit)})) == []
    pages = {line.split(": ")[0] for line in found(site(**{path: SOUND[path].ljust(limit + 1)}))}
    assert pages == ({"index.html"} if what == "scripts" else {"index.html", "a.html", "a b.html", "404.html"})
    inline = {"scripts": "<script>{}</script>", "styles": "<style>{}</style>"}[what].format(" " * limit)
    assert found(with_(inline)) == [f"index.html: 25 KiB {what}, expected 25 at most"]


def test_the_whole_site_has_its_limit() -> None:
    link = '<a href="assets/big.bin">b</a>'
    files = with_(link)
    left = WHOLE - sum(map(len, files.values()))
    assert found({**files, "assets/big.bin": bytes(left)}) == []
    (one,) = check.check({**files, "assets/big.bin": bytes(left + 2**20)})
    assert (one.page, one.what) == ("the site", "21.0 MiB, expected 20 at most")
    assert "the largest file is assets/big.bin" in one.mend


def test_the_limits_are_those_that_were_promised() -> None:
    assert (FIRST_LOAD, SCRIPTS, STYLES, WHOLE) == (300 * KIB, 25 * KIB, 25 * KIB, 20 * KIB * KIB)


def test_require_tells_each_fault_and_refuses() -> None:
    said: list[str] = []
    with pytest.raises(InputError) as caught:
        check.require(
            with_('<a href="faraway.html">x</a><a href="someplace.html">y</a>'), "nothing was published", said.append
        )
    assert said == [
        "index.html: faraway.html leads nowhere; mend the address or remove it",
        "index.html: someplace.html leads nowhere; mend the address or remove it",
    ]
    assert str(caught.value) == f"expected a site without faults, found 2, such as {said[0]}; nothing was published"


def test_the_same_fault_of_several_pages_is_one_line() -> None:
    faults = (Finding("a.html", "x leads nowhere", "mend it"), Finding("b.html", "x leads nowhere", "mend it"))
    assert list(check.grouped(faults)) == ["a.html and 1 more: x leads nowhere; mend it"]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"<" * 5000, b"<a href=x" + b"<" * 50, b"<!doctype html><a"])
def test_no_page_is_too_broken_to_be_looked_at(content: bytes) -> None:
    check.check({**site(), "a.html": content, "assets/n.svg": content, "assets/site.css": content})


def test_the_reports_own_site_has_no_faults() -> None:
    for address in ("", "https://example.org/reports/cnn"):
        assert [str(one) for one in check.check(sites.files(base_url=address)) if not one.harmless] == []


def test_a_fault_that_a_page_has_twice_is_told_once() -> None:
    assert found(with_('<a href="/x">x</a><a href="/x">x</a>')) == ["index.html: /x begins at the host's root"]


def test_words_and_pictures_that_break_the_site_are_found_in_it() -> None:
    files = sites.files()
    del files["assets/site.css"]
    assert {one.what for one in check.check(files) if not one.harmless} == {"assets/site.css leads nowhere"}


def test_a_script_with_a_byte_order_mark_is_read_as_browsers_read_it() -> None:
    script = 'load("a.js")'
    assert parsed("network.js", codecs.BOM_UTF16_LE + script.encode("utf-16-le")).script == script


def test_a_base_inside_the_site_is_followed_and_told() -> None:
    files = with_('<base href="assets/">')
    assert found(files)[0] == "index.html: <base> moves every address"
    assert "index.html: assets/site.css leads nowhere" in found(files)
    inner = {"in/b.html": f"{HEAD}<base href='../'><a href='a.html'>b</a>".encode()}
    assert found({**with_('<a href="in/b.html">b</a>'), **inner}) == ["in/b.html: <base> moves every address"]


@pytest.mark.parametrize("name", ["für.html", "a#b?.html", "100%.html", "a%2Fb.html", "caf\udce9.html", "a b.html"])
def test_a_file_of_any_name_is_found_by_its_encoded_address(name: str) -> None:
    address = quote(name, errors="surrogateescape")
    files = {**with_(f'<a href="{address}#x">b</a>'), name: f"{HEAD}<p id=x><a href=#y>b</a>".encode()}
    (one,) = check.check(files)
    assert (one.page, one.what) == (name, f"#y leads to a part that {short(name)} does not have")
    str(one).encode()  # whatever the name, it can be printed


def test_letters_composed_otherwise_are_other_letters_to_a_host() -> None:
    files = {**with_('<a href="fu\u0308r.html">b</a><a href="f\u00fcr.html">b</a>'), "f\u00fcr.html": HEAD.encode()}
    assert [one.mend for one in check.check(files)] == ["did you mean für.html? Its letters are composed otherwise"]


def test_a_slash_after_a_file_is_told_as_such() -> None:
    (one,) = check.check(with_('<a href="a.html/">b</a>'))
    assert one.mend == "did you mean a.html? With / at its end it is a folder"


def test_a_page_is_read_in_the_encoding_that_it_names() -> None:
    page = f'{HEAD}<meta charset="{{}}"><a href="für.html">b</a>'
    for encoding in ("latin-1", "utf-8", "utf-16"):
        files = {**with_('<a href="c.html">c</a>'), "c.html": page.format(encoding).encode(encoding)}
        files["für.html"] = HEAD.encode()
        assert found(files) == [], encoding


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('<svg xmlns="http://www.w3.org/2000/svg"><image href="gone.webp"/></svg>', "gone.webp leads nowhere"),
        (
            """<svg xmlns="http://www.w3.org/2000/svg" xmlns:x="http://www.w3.org/1999/xlink">
            <image x:href="gone.webp"/><use x:href="#eye"/><path id="eye" fill="url(#gone)"/></svg>""",
            "gone.webp leads nowhere",
        ),
        (
            '<svg xmlns="http://www.w3.org/2000/svg"><style>a { fill: url(gone.svg#x) } /* </style></svg>',
            "gone.svg#x leads nowhere",
        ),
        ('<svg xmlns="http://www.w3.org/2000/svg"><![CDATA[<image href="gone.webp"/>]]></svg>', ""),
        ('<?xml-stylesheet href="gone.css"?><svg xmlns="http://www.w3.org/2000/svg"/>', "gone.css leads nowhere"),
        ("<svg><path></svg>", "it is no XML that browsers can read (mismatched tag, line 1)"),
        ('<svg a="1" a="2"/>', "it is no XML that browsers can read (duplicate attribute, line 1)"),
    ],
)
def test_a_drawing_is_read_as_xml(text: str, what: str) -> None:
    files = {**with_('<img src="d.svg" alt="x">'), "d.svg": text.encode()}
    assert found(files) == ([f"d.svg: {what}"] if what else [])


def test_a_sitemap_is_read_as_xml() -> None:
    index = SOUND["index.html"] + '<link rel="canonical" href="https://example.org/%C3%BC/index.html">'
    sitemap = "<urlset><url><loc>\n https://EXAMPLE.org/ü/b.html?x&amp;y </loc></url><!-- <loc>x</loc> --></urlset>"
    assert found(site(**{"index.html": index, "sitemap.xml": sitemap})) == [
        "sitemap.xml: https://EXAMPLE.org/ü/b.html?x&y leads nowhere"
    ]


def test_the_icons_of_a_manifest_are_looked_for() -> None:
    link = with_('<link rel="manifest" href="in/site.webmanifest">')
    manifest = '{"icons": [{"src": "../assets/p.webp"}, {"src": "gone.png"}], "start_url": "../a.html"}'
    assert found({**link, "in/site.webmanifest": manifest.encode()}) == ["in/site.webmanifest: gone.png leads nowhere"]
    assert found({**link, "in/site.webmanifest": b"["}) == [
        "in/site.webmanifest: it is no JSON, so that browsers pass it over"
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.html", bytes(range(256)) * 500),
        ("a.html", b"<div>" * 100_000),
        ("a.html", b"<div>" * 100_000 + b"</div>" * 100_000),
        ("a.html", ("\ufeff" + "<b>" * 50_000).encode("utf-16-le")),
        ("a.html", b"<a href=gone.html>" * 20_000),
        ("a.html", b"".join(b"<a href=gon%d.html#x%d>" % (number, number) for number in range(20_000))),
        ("a.html", b"<a id=x" + b" href=x" * 2_000 + b">"),
        ("a.html", b"<img alt=x srcset='" + b"gone.webp 1x," * 20_000 + b"'>"),
        ("a.html", b"<p style='" + b"a:url(x" * 2_000 + b"'>"),
        ("a.html", b"<svg>" * 5_000),
        ("a.html", b"<table>" * 5_000),
        ("a.html", b"<script>" + b"'\"`" * 50_000),
        ("a.html", b"<script>x</script>" * 20_000),
        ("a.html", "<script>'//a\u2100b'</script><p data-x='//\u2100/a.html'>".encode()),
        ("a.html", b"<p>\0<a href='\0x\0.html' id=\0>"),
        ("assets/site.css", b"a{" * 20_000 + b"b:url(x)"),
        ("assets/site.css", b"(" * 50_000),
        ("assets/site.css", bytes(range(256)) * 100),
        ("assets/n.svg", b"<g>" * 50_000),
        ("assets/n.svg", b"<g>" * 50_000 + b"</g>" * 50_000),
        ("assets/n.svg", b"<?xml version='1.0' encoding='punycode'?><svg/>"),
        ("assets/n.svg", b'<!DOCTYPE a [<!ENTITY a "' + b"a" * 9999 + b'">]><a>' + b"&a;" * 50_000 + b"</a>"),
    ],
    ids=range(22),
)
def test_no_file_takes_long_however_hostile(name: str, content: bytes) -> None:
    began = time.process_time()
    for one in check.check({**site(), name: content}):
        str(one).encode()
    assert time.process_time() - began < 10


def test_pages_inside_pages_however_deep() -> None:
    page = "<img src=gone.webp alt=x>"
    for _ in range(12):
        page = f'<iframe title="x" srcdoc="{html.escape(page)}"></iframe>'
    assert found(with_(page)) == ["index.html: gone.webp leads nowhere"]


def test_elements_too_deep_for_browsers_are_told_and_not_looked_into() -> None:
    files = with_('<a href="deep.html#any">b</a>') | {"deep.html": HEAD.encode() + b"<div>" * 20_000}
    assert found(files) == ["deep.html: more than 10,000 of its elements stand inside one another"]
    # Ends that may be left out, and ends that come, are no depth.
    for flat in (b"<li>x", b"<tr><td>x", b"<div>x</div>", b"<br><img alt src=assets/p.webp>"):
        assert not parsed("a.html", flat * 10_001).broken
