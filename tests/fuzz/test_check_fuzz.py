"""Sites of any bytes are looked into, and what is found can be printed; any address is an address or is none."""

from __future__ import annotations

import json
from dataclasses import asdict

from hypothesis import given, settings
from hypothesis import strategies as st

from generator.config import addresses
from generator.publishing import check

PIECES = """
    < > </ /> = " ' &#0; &amp; % %25 # ? / // \\ .. , <!-- --> <![CDATA[ ]]> <?xml-stylesheet|href=' ?> <svg <math>
    <template> <textarea> <a|href <img|src <img|srcset <base|href <p|id <iframe|srcdoc <style> <script> </script>
    <p|style <meta|http-equiv=refresh|content <link|rel=canonical|href <meta|charset=utf-16> <loc> url( ) @import|
    @media|x{ } image-set( ; \\72 /* */ { ( x: a.html https:// http://[ javascript: data:, localhost:99999 xn--
    {"icons": [ ] null |
    """
ODD = ("\n", "\0", "\u2100", "\u0130", "\ud800")
# A bar stands for a space.
TEXTS = st.lists(st.sampled_from((*PIECES.split(), *ODD)) | st.text(max_size=3), max_size=30).map(
    lambda pieces: "".join(pieces).replace("|", " ")
)
CONTENTS = TEXTS.map(lambda text: text.encode(errors="surrogatepass")) | st.binary(max_size=40)
NAMES = st.sampled_from(
    ("index.html", "404.html", "a.html", "a.css", "a.svg", "a.js", "sitemap.xml", "a.webmanifest", "caf\udce9.html")
)


@settings(max_examples=500)
@given(st.dictionaries(NAMES, CONTENTS, max_size=5))
def test_any_site_is_looked_into(files: dict[str, bytes]) -> None:
    found = check.check(files)
    "".join(check.grouped(found)).encode()
    assert json.loads(json.dumps([asdict(one) for one in found])) == [asdict(one) for one in found]
    assert check.check(files) == found


@settings(max_examples=500)
@given(st.sampled_from(["https://example.org/", "http://", "HTTPS://a", ""]), TEXTS)
def test_a_base_url_is_refused_or_is_ascii_and_stays_as_it_is(start: str, text: str) -> None:
    try:
        sent = addresses.base_address(start + text)
    except ValueError:
        return
    assert sent.isascii()
    assert sent.isprintable()
    assert not set(sent) & set(' "<>\\^`{|}?#')
    assert addresses.base_address(sent) == sent
