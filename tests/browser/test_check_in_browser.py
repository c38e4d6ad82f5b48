"""What `check` reads in a page and in a style is what a real browser reads: ids, links, requests, parts of a page."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from generator.base import addresses
from generator.publishing import check
from generator.publishing.check.documents import parsed
from generator.publishing.check.references import Document
from tests.browser import devtools, hosts

pytestmark = pytest.mark.browser

# Each piece has names of its own, so that what one of them has a browser do is seen whatever the others do.
HTML = r"""<!doctype html><html lang="en"><head><meta charset=utf-8><title>t<a id=n1 href=n1></title>
<noscript><link rel=stylesheet href=y1.css></noscript>
<link rel="STYLESHEET" href=a.css><link rel=stylesheet href=b.css href=n2.css><link rel="next nofollow" href=n3.html>
<link rel=unheard-of href=n4.html><link rel="icon" href="data:,">
<style>/* url(n5) */ @import "y2.css"; @import url( 'y3.css' ) screen; @namespace svg url(n6); @import "n7.css";
.a { background: u\72l(y4), image-set("y5" 1x, url(y5) 1x) } .b { background: url(y7\.png) }
.c::after { content: "url(n8)" }
.d { background: url("y8" ) } .e { background: url(n9"); } @media screen { .f { background: URL(y9) } }
@supports (background: url(n10)) { .g { background: url('y\31 0') } } .h { color: blue; .i { background: url(y11) } }
[title="url(n11)"] { color: red } .j { background: url(#n12) } .k { background: url() }</style>
<style type="text/x">.a { background: url(n13) }</style><script type="text/x-template"><img src=n14></script>
<script>"<img src=n15>"; // <!-- <script> </script> <img src=n41> --></script>
<!-- <a id=n16 href=n16> --></head><body background="y12">
<p class=a>a<p class=b>b<p class=c>c<p class=d>d<p class=e>e<p class=f>f<p class=g>g
<div class=h>h<p class=i>i</p></div><p class=j>
<p style="background: url(&quot;y13&quot;)"><p style='background: url(y14) /* url(n17) */'><p title="url(n18)">
<a id=i1 href=l1.html href=n19.html>1</a><a id=i2 id=n20 href="&#108;2.html?a&amp;b&copy=c#d">2</a>
<a HREF = 'l3.html' id=i3>3</a>
<a id=i4 href=l4.html/>4</a><a id="i5" href=" l5
.html	">5</a><a href="l6\x.html">6</a><a href="./x/../l7.html">7</a><a href="%2e/%2E%2e/l8.html">8</a><a href="HTTPS://EXAMPLE.org:443/ü?ü#ü">9</a>
<a href="//example.org\l9">10</a><a href="l10/ü%fc.html">11</a><a href=l11.html></a>
<a href="">12</a><a href="#">13</a><a href="#ü x">14</a>
<a href="JaVa
Script:void(0)">15</a><a href="mailto:a@example.org">16</a><a href="https://bücher.example/">17</a>
<a name=i6 href=/l12>18</a>
<textarea><img src=n21><a id=n22 href=n22></textarea><!-- <a id=n23> -- > --!>
<a id=i7 href=l13.html>x</a><!--><a id=i8 href=l14.html>y</a>
<!-- --><![CDATA[<a id=n42 href=n42>]]></a><template id=i10><p id=n24><img src=n25><a href=n26></a></template>
<xmp><img id=n27 src=n27></xmp>
<iframe title=x src=y15.html><img id=n28 src=n28></iframe><iframe srcdoc="<img src=y16>" src=n29></iframe>
<svg><a id=i11 xlink:href=l16.html>s</a><a href=l17.html xlink:href=n30>s</a>
<image href=y17 xlink:href=n31 width=9 height=9 />
<![CDATA[<a id=n32 href=n32>]]><style>.m { fill: url(#n33) }</style>
<title>t<b id=i12></b></title><foreignObject><img src=y18><svg>
<image xlink:href="y19" width=9 height=9 /></svg></foreignObject><path id=i13 fill="url(n34)"/><p id=i14></svg>
<image src=y20><math><mi id=i15 href=n35>x</mi></math><table><tr><td background=y21>x<a id=i16 href=l18.html>y</table>
<td id=n36 background=n36>
<img src="y22" srcset="y22 1x"><img srcset="y23, y23 1x"><img src=y24 src=n37>
<picture><source src=n38 srcset="y25"><img src=y25></picture>
<input src=n39><input type=IMAGE src=y27><video poster=y28></video><object data=y29></object><embed src=y30>
<img src="data:image/gif;base64,R0lGOD"><img src=" y31
x "><img src="y32?q#f"><form action=l19></form><map name=i17><area id=i18 href=l20.html></map><b id=""></b>
<select><option><a id=i19 href=l21.html>x</a></option></select><button formaction=l22></button><p id="i20 x"></p>
<plaintext><a id=n40 href=n40></body></html>"""
CSS = {
    "a.css": '@charset "utf-8"; @import url(s1.css) layer(x); .a { cursor: url(n50), auto }',
    "b.css": "<!-- @import 's2.css'; --> .b { border-image: url(s3) 1 }",
    "y2.css": "@layer x; @import 's4.css'; @layer y { } @import 'n51.css';",
}


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[str]:
    """The page on a host, below two folders."""
    below = tmp_path / "in" / "the"
    below.mkdir(parents=True)
    for name, text in {"page.html": HTML, **CSS}.items():
        (below / name).write_text(text, encoding="utf-8")
    with hosts.serving(tmp_path) as address:
        yield f"{address}/in/the/"


def resolved(document: Document, base: str, *, followed: bool) -> set[str]:
    kinds = ("link",) if followed else ("image", "script", "style", "other")
    return {addresses.parsed(one.address, base).href for one in document.references if one.kind in kinds}


def test_a_page_has_the_ids_the_links_and_the_requests_of_a_browser(chrome: devtools.Browser, origin: str) -> None:
    page = devtools.open_page(chrome, f"{origin}page.html", scripts=False)
    document = parsed("page.html", HTML.encode())
    ids = page.evaluate('[...document.querySelectorAll("[id]")].map(one => one.id).filter(Boolean)')
    assert sorted(document.ids.elements()) == sorted(ids)
    assert set(ids) == {f"i{number}" for number in range(1, 20) if number not in (6, 9, 17)} | {"i20 x"}
    links = page.evaluate("""[
        ...[...document.querySelectorAll("a[href], area[href], svg a")].map(
            one => one.href.baseVal === undefined ? one.href : new URL(one.href.baseVal, one.baseURI).href),
        ...[...document.querySelectorAll("form[action]")].map(one => one.action),
        ...[...document.querySelectorAll("[formaction]")].map(one => one.formAction),
    ]""")
    expected = resolved(document, f"{origin}page.html", followed=True)
    assert (sorted(expected - {*links}), sorted({*links} - expected)) == ([], [])
    expected = resolved(document, f"{origin}page.html", followed=False)
    for name, text in CSS.items():
        expected |= resolved(parsed(name, text.encode()), f"{origin}{name}", followed=False)
    time.sleep(0.5)  # without scripts, no timer of the page runs
    page.evaluate("0")
    asked = {url.partition("#")[0] for url in page.requests if url.startswith("http")} - {f"{origin}page.html"}
    expected = {url.partition("#")[0] for url in expected if url.startswith("http")}
    assert (sorted(expected - asked), sorted(asked - expected)) == ([], [])
    page.close()


PARTS = ["a", "100%25", "50%", "%C3%BC", "ü", "a b", "a%20b", "Top", "é", "x:~:y", "%zz", "a\\b", "old"]
FRAGMENTS = [
    "a", "A", "100%25", "100%2525", "50%25", "50%", "ü", "%C3%BC", "%c3%bc", "%25C3%25BC", "a b", "a%20b", "a%2520b",
    "a+b", "Top", "é", "%E9", "x:~:text=a", "x", "%zz", "%25zz", "a\\b", "a%5Cb", "old", "a ", "gone",
]  # fmt: skip


def test_a_fragment_finds_the_part_that_a_browser_finds(chrome: devtools.Browser, tmp_path: Path) -> None:
    parts = "".join(f'<a name="{one}">x</a>' if one == "old" else f'<p id="{one}">x' for one in PARTS)
    links = "".join(f'<a class="link" href="#{one}">x</a>' for one in FRAGMENTS)
    text = f"<!doctype html><meta charset=utf-8><title>t</title><h1>t</h1>{parts}{links}"
    (tmp_path / "index.html").write_text(text, encoding="utf-8")
    page = devtools.open_page(chrome, (tmp_path / "index.html").as_uri())
    found = page.evaluate("""[...document.querySelectorAll(".link")].map(one => {
        one.click();
        return document.querySelector(":target") !== null;
    })""")
    page.close()
    lost = [one.what for one in check.check({"index.html": text.encode()}) if "leads to a part" in one.what]
    # The finding shows the address as it is written, but for spaces around it.
    expected = [one.strip() for one, there in zip(FRAGMENTS, found, strict=True) if not there]
    assert lost == [f"#{one} leads to a part that index.html does not have" for one in expected]
    assert 5 < len(lost) < 15
