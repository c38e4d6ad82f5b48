"""The words: Markdown as people mean it, Jinja that can only say things, and every mistake in one line."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from generator.base.errors import InputError
from generator.config import schema
from generator.pages import prose, words
from generator.report.portrait import portrait
from tests import synthetic

ROOT = Path(__file__).parents[2]
TABLE = (
    "<table>\n<thead>\n<tr>\n<th>a</th>\n<th>b</th>\n</tr>\n</thead>\n"
    "<tbody>\n<tr>\n<td>1</td>\n<td>2</td>\n</tr>\n</tbody>\n</table>"
)
FRONT = "---\ntitle: T\nquestion: Q?\ndescription: D\n---\n"  # five lines


@pytest.fixture(scope="module")
def shared() -> dict[str, Any]:
    made = synthetic.report()
    photo = schema.SamplePhoto(ROOT / "report.toml")
    return {
        "data": made.data,
        "network": portrait(made.networks[0], made.photos),
        "photos": made.photos,
        "samples": replace(schema.SamplesConfig(), photos=(photo,)),
        "title": '*a* `b` {{ c }} <i>"d"</i> -- &amp;',
    }


def read(folder: Path, body: str | bytes, shared: dict[str, Any], front: str = FRONT) -> words.Words:
    file = folder / "index.md"
    file.write_bytes(front.encode() + (body if isinstance(body, bytes) else body.encode()))
    return words.read(file, words.environments([], shared)[1], "")


def lead(folder: Path, body: str | bytes, shared: dict[str, Any] | None = None) -> str:
    return str(read(folder, body, shared or {})("lead").body)


def refusal(folder: Path, body: str | bytes, shared: dict[str, Any] | None = None, front: str = FRONT) -> str:
    """Why the words are refused, without the file's name, told within seconds."""
    begun = time.process_time()
    with pytest.raises(InputError) as caught:
        read(folder, body, shared or {}, front)("lead")
    assert time.process_time() - begun < 5
    said = str(caught.value)
    assert "\n" not in said
    assert said.startswith(f"{folder / 'index.md'}:")
    return said.removeprefix(f"{folder / 'index.md'}:").strip()


@pytest.mark.parametrize(
    "expression",
    [
        "cycler.__init__.__globals__.os.popen('touch x').read()",
        "''.__class__.__mro__[1].__subclasses__()",
        "title['__class__']",
        "[title] | map(attribute='__class__') | list",
        "title | attr('__class__')",
        "'{0.__class__}'.format(title)",
        "'{x.__class__}'.format_map({'x': title})",
        "range.__globals__",
        "namespace.__init__.__globals__",
        "self._TemplateReference__context",
        "samples.photos[0].file.read_text()",
        "(samples.photos[0].file / '/etc/passwd').read_text()",
        "samples.photos[0].file",
        "network.record.layers[0].weights.tofile('x')",
        "network.record.layers[0].weights.sort()",
        "network.record.layers[0].weights[[0, 0]]",
        "data.counts.clear()",
        "data.counts.update({'train': 1})",
        "photos",
        "network",
        "title.upper",
        "lipsum()",
    ],
)
def test_words_reach_nothing_but_what_they_may_say(tmp_path: Path, shared: dict[str, Any], expression: str) -> None:
    counts = dict(shared["data"].counts)
    assert re.match("7: .*(words|is undefined|expected)", refusal(tmp_path, f"\n{{{{ {expression} }}}}\n", shared))
    assert list(tmp_path.iterdir()) == [tmp_path / "index.md"]
    assert shared["data"].counts == counts


@pytest.mark.parametrize(
    "statement",
    [
        "{% include 'index.html' %}",
        "{% include '/etc/passwd' %}",
        "{% import 'plates.html' as p %}",
        "{% from 'plates.html' import mark %}",
        "{% extends 'base.html' %}",
        "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}",
        "{% block a %}{{ self.a() }}{% endblock %}",
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    ],
)
def test_words_are_no_program(tmp_path: Path, shared: dict[str, Any], statement: str) -> None:
    assert refusal(tmp_path, f"\n{statement}", shared).startswith("7: ")


@pytest.mark.parametrize(
    "hostile",
    [
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{% for a in range(10000000000) %}{% endfor %}",
        "{{ 'a' * 100000000000 }}",
        "{{ 100000000000 * 'a' }}",
        "{{ 10 ** 10 ** 10 ** 10 }}",
        "{{ 2 ** 100000000 }}",
        "{{ '%1000000000s' % 1 }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ 'a' | center(10 ** 9) }}",
        "{{ 'a'.center(10 ** 9) }}",
        "{{ 'a' | indent(10 ** 9) }}",
        "{{ 0.5 | percent(10 ** 9) }}",
        "{{ 0.5 | percent('1000000000') }}",
        "{{ 1.5 | round(10 ** 9, 'ceil') }}",
        "{{ range(100000) | join('a' * 10000) }}",
        "{{ ('a' * 10000) | replace('a', 'a' * 10000) }}",
        "{{ [1] | batch(10 ** 9, 1) | list }}",
        "{% set n = namespace(x='a') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
        "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
        "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}",
        "{% set a = range(50000) | list %}{% for i in a %}{% if -1 in a %}{% endif %}{% endfor %}",
        "{{ range(1000) | select('in', range(100000) | list) | list | length }}",
        "{% for i in range(9000) %}0123456789{% endfor %}",
        "{{ " + "[" * 20_000 + "]" * 20_000 + " }}",
        "{{ " + "(" * 60_000,
        "{{ " + "not " * 12_000 + "1 }}",
        "{{ 1" + " + 1" * 10_000 + " }}",
        "{{ title" + ".a" * 20_000 + " }}",
        "{{ 'a'" + "|upper" * 8_000 + " }}",
        "{% if 1 %}" * 2_000 + "{% endif %}" * 2_000,
        "{% for i in [1] %}" * 25 + "{% endfor %}" * 25,
        "[" * 60_000,
        "[" * 9_000,
        ("[" * 990 + "\n\n") * 40,
        ("![" * 450 + "\n\n") * 40,
        "> " * 20_000,
        "a|" * 7_000 + "\n" + "-|" * 7_000 + "\n" + "a|b\n" * 500,
        "<math>" + "<mrow>" * 8_000,
        "".join(" " * 2 * deep + "- a\n" for deep in range(150)),
    ],
    ids=lambda text: text[:40],
)
def test_words_that_would_never_end_are_refused_soon(tmp_path: Path, shared: dict[str, Any], hostile: str) -> None:
    assert re.match(r"[67]: ", refusal(tmp_path, f"\n{hostile}", shared))


@pytest.mark.parametrize("hostile", ["<ul><li>", "<div><q>", "> a\n", "*a **b ", "<b>", "<a ", "` `` "])
def test_markdown_takes_a_time_that_grows_with_its_length(tmp_path: Path, hostile: str) -> None:
    begun = time.process_time()
    lead(tmp_path, (hostile * (9_000 // len(hostile)) + "\n\n") * 4)
    assert time.process_time() - begun < 5


def test_all_passages_together_have_a_bound(tmp_path: Path) -> None:
    slow = read(tmp_path, "{% for i in range(100000) %}{% set x = 1 %}{% endfor %}{{ number }}", {})
    with pytest.raises(InputError, match=r"index\.md:6: these words take too many steps"):
        _ = [slow("lead", number=number) for number in range(1_000)]
    usual = read(tmp_path, "{% for i in range(1000) %}{% set x = 1 %}{% endfor %}{{ number }}", {})
    for number in range(200):
        assert usual("lead", number=number).body == f"<p>{number}</p>"


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("{% set n = namespace(x=0) %}{% for i in range(60) %}{% set n.x = n.x + i %}{% endfor %}{{ n.x }}", "1770"),
        ("{% for i in range(5) if i % 2 %}{{ loop.index }}:{{ i }}{{ ', ' if not loop.last }}{% endfor %}", "1:1, 2:3"),
        ("{% for k, v in data.counts.items() %}{{ k }}={{ v }};{% endfor %}", "train=1800;validation=200;test=200;"),
        ("{{ data.class_names | list | listing }}", "bee, koala, lion and pizza"),
        ("{{ [3, 1, 2] | sort | join('-') }} {{ [1, 2] | sum }} {{ 7 // 2 }} {{ 2 ** 10 }}", "1-2-3 3 3 1024"),
        ("{% with a = 'x' %}{{ a ~ 1 }}{% endwith %}{% filter upper %}y{% endfilter %}", "x1Y"),
        ("{% raw %}{{ x }}{% endraw %} {{ '{#' }} a {# gone #}b", "{{ x }} {# a b"),
        ("{{ network.record.layers[0].weights.shape }}", "(4, 3, 3, 3)"),
        ("{{ network.look(photos[0]).top[0].name }}", "bee"),
        ("{{ 'no' if none }}{{ nothing | default('-') }}", "-"),
    ],
)
def test_words_can_say_what_they_want(tmp_path: Path, shared: dict[str, Any], source: str, shown: str) -> None:
    assert lead(tmp_path, source, shared) == f"<p>{shown}</p>"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("a {# b", "{# begins a comment, which ends with #}; as text, write {{ '{#' }}"),
        ("{{ title title }}", "expected token '}}', got 'title'"),
        ("{% if x", "unexpected end of template, expected '%}'."),
        ("{{ x", "unexpected end of template, expected '}}'."),
        ("{{ " + "9" * 5000 + " }}", "expected a shorter number"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ 'a' | tojson }}", "words may not use the filter tojson, only abs, "),
        ("{{ 'a b' | truncate(1) }}", "expected length >= 3, got 1"),
        ("{% autoescape false %}x{% endautoescape %}", "words may use if, for and set, got "),
        ("{{ 'a' - 1 }}", "expected two numbers for -, got a str and an int"),
        ("{{ titel }}", "'titel' is undefined; did you mean 'title'?"),
    ],
)
def test_a_mistake_names_its_line_in_plain_words(
    tmp_path: Path, shared: dict[str, Any], source: str, said: str
) -> None:
    assert refusal(tmp_path, f"x\n\n{source}", shared).startswith(f"8: {said}")


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("```sh\n# once\nmake \"site\"\n```", '<pre><code># once\nmake "site"\n</code></pre>'),
        ("~~~\n{{ x }} {% if %} {# c\n~~~", "<pre><code>{{ x }} {% if %} {# c\n</code></pre>"),
        ("````\n```\n````", "<pre><code>```\n</code></pre>"),
        ("```\n## No heading {#no}\n```", "<pre><code>## No heading {#no}\n</code></pre>"),
        ("- a\n\n  ```\n  {{ x }}\n  ```", "<ul>\n<li>\n<p>a</p>\n<pre><code>{{ x }}\n</code></pre>\n</li>\n</ul>"),
        ("> ~~~\n> {{ x }}\n> ~~~", "<blockquote>\n<pre><code>{{ x }}\n</code></pre>\n</blockquote>"),
        ("    make \"site\"", '<pre><code>make "site"\n</code></pre>'),
        ("`\"a\" -- b` \"c\" -- it's...", "<p><code>\"a\" -- b</code> “c” – it’s…</p>"),
        ("a\n- b\n  - c", "<p>a</p>\n<ul>\n<li>b\n<ul>\n<li>c</li>\n</ul>\n</li>\n</ul>"),
        ("3. c\n4. d", '<ol start="3">\n<li>c</li>\n<li>d</li>\n</ol>'),
        ("a  \nb\\\nc", "<p>a<br>\nb<br>\nc</p>"),
        ("<https://a.b/x--y>", '<p><a href="https://a.b/x--y">https://a.b/x--y</a></p>'),
        ("&copy; &amp; &#33; &", "<p>© &amp; ! &amp;</p>"),
        ("# A\n\n### B {#Key_1}\n\n#### C {: #c-2}", '<h2>A</h2>\n<h3 id="Key_1">B</h3>\n<h4 id="c-2">C</h4>'),
        ("~~a~~ *b* __c__ d_e_f", "<p><s>a</s> <em>b</em> <strong>c</strong> d_e_f</p>"),
        ("a | b\n--|--\n1 | 2", TABLE),
        ("<details><summary>s</summary>\n\n*t*\n\n</details>", "s\n<p><em>t</em></p>"),
        ("{{ title }}", "<p>*a* `b` {{ c }} &lt;i&gt;\"d\"&lt;/i&gt; -- &amp;amp;</p>"),
        ("`{{ title }}`", "<p><code>*a* `b` {{ c }} &lt;i&gt;\"d\"&lt;/i&gt; -- &amp;amp;</code></p>"),
    ],
)  # fmt: skip
def test_markdown_is_read_as_people_mean_it(tmp_path: Path, shared: dict[str, Any], markdown: str, html: str) -> None:
    assert lead(tmp_path, markdown, shared) == html


@pytest.mark.parametrize(
    "html",
    [
        "<script>alert(1)</script>", "<script>\n\nalert(1)\n\n</script>", "<style>p { alert: 1 }</style>",
        "<b onclick='alert(1)'>", "<p style='alert: 1'>", "[a](javascript:alert(1))", "<javascript:alert(1)>",
        "<a href='JaVaScript:alert(1)'>", "<a href='&#106;avascript:alert(1)'>", "<a href='java\nscript:alert(1)'>",
        "[a](data:text/html,alert)", "<iframe src='alert'></iframe>", "<object data='alert'>", "<embed src='alert'>",
        "<svg onload='alert(1)'>", "<math><mi href='javascript:alert(1)'>", "<form action='alert'><input name='alert'>",
        "<base href='alert'>", "<meta content='alert'>", "<link href='alert'>", "<img src='https://alert.org/a.png'>",
        "<img srcset='alert 2x'>", "<b id='alert'>", "<h3 id='alert 1'>", "{{ '<b onclick=alert(1)>' | safe }}",
    ],
)  # fmt: skip
def test_nothing_in_the_words_acts(tmp_path: Path, html: str) -> None:
    assert "alert" not in re.sub("&lt;.*?&gt;|>[^<]*<", "", lead(tmp_path, html)).replace(">javascript:alert(1)<", "")
    assert not re.search(r"<(script|style|iframe|object|embed|svg|form|input|base|meta|link|img)", lead(tmp_path, html))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("\n### Größe {#größe}", "7: expected an id of a-z, A-Z, 0-9, - and _ in {#...}, got 'größe'"),
        ("\n## A {#a}\n\n### B {#a}", "9: {#a} is taken already; give this section another key"),
        ("\n### A {#a}\n### A {#a}", "8: {#a} is taken already; give this section another key"),
        ("a\n\n```sh\nb\n\n## C {#c}\n", "8: expected an end to the code that is fenced from here on"),
        ("a[^1]\n\n[^1]: b", "8: expected no footnotes"),
    ],
)
def test_what_cannot_be_meant_is_told(tmp_path: Path, body: str, said: str) -> None:
    assert refusal(tmp_path, body).startswith(said)


def test_a_heading_with_a_comment_has_no_id(tmp_path: Path) -> None:
    assert lead(tmp_path, "### A {# remark #}") == "<h3>A</h3>"


@pytest.mark.parametrize(
    ("front", "said"),
    [
        ("", "1: expected a front matter between two lines of ---"),
        ("title: T\n", "1: expected a front matter between two lines of ---"),
        ("+++\ntitle = 'T'\n+++\n", "1: expected a front matter between two lines of ---, got TOML's +++"),
        ("---\ntitle: T\n", "1: expected a front matter between two lines of ---"),
        ("---\ntitel: T\n---\n", "2: expected one of title, question, description and a colon; did you mean title?"),
        ("---\nTitle: T\n---\n", "2: expected one of title, question, description and a colon; did you mean title?"),
        ("---\ntitle = T\n---\n", "2: expected one of title, question, description and a colon"),
        ("---\ntitle: T\ntitle: U\n---\n", "3: expected one title, got another in line 2"),
        ("---\ntitle: >\n  T\n---\n", "2: expected the title in this line, after the colon"),
        ("---\ntitle:\n---\n", "2: expected the title in this line, after the colon"),
        ("---\ntitle: T\n---\n", "1: expected question and description in the front matter"),
    ],
)
def test_a_front_matter_that_is_none_is_told(tmp_path: Path, front: str, said: str) -> None:
    assert refusal(tmp_path, "", front=front) == said


@pytest.mark.parametrize(
    "front",
    [
        "\ufeff" + FRONT,
        FRONT.replace("\n", "\r\n"),
        FRONT.replace("\n", "\r"),
        FRONT.replace("title: T", "# mine\n\ntitle :\tT"),
        FRONT.replace("title: T", 'title: "T"').replace("Q?", "'Q?'"),
    ],
)
def test_front_matters_of_other_editors_are_read(tmp_path: Path, front: str) -> None:
    read_ = read(tmp_path, "hello", {}, front)
    assert (read_.text("title"), read_.text("question"), read_("lead").body) == ("T", "Q?", "<p>hello</p>")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("Größe".encode("latin-1"), "expected UTF-8 text, got another encoding (at line 6); save it as UTF-8"),
        (b"a\n\0", "expected UTF-8 text, got a NUL character (at line 7); save it as UTF-8"),
        (b"a" * 2**18, "expected at most 128 KiB in a content file, got more"),
    ],
)
def test_what_is_no_text_is_told_with_its_line(tmp_path: Path, body: bytes, said: str) -> None:
    assert refusal(tmp_path, body) == said


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf_16_is_told(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "index.md"
    file.write_bytes(FRONT.encode(encoding))
    with pytest.raises(InputError, match=r"expected UTF-8 text, got (UTF-16|a NUL character) \(at line 1\)"):
        words.read(file, words.environments([], {})[1], "")


def test_a_picture_comes_along_with_its_words(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    Image.fromarray(np.full((4, 3200, 3), 200, np.uint8)[:, :60]).save(tmp_path / "photos" / "my desk.png")
    markdown = 'Look: ![my *set-up* & "desk"](<photos/my desk.png>)'
    said = read(tmp_path, f'{markdown}\n\n<img alt=again src="photos/my desk.png">', {})
    html = said("lead").body
    (found,) = set(said.pictures.values())
    assert re.fullmatch(r"assets/words/my-desk-[0-9a-f]{8}\.webp", found.path)
    assert (
        f'<img src="{found.path}" alt="my set-up &amp; &quot;desk&quot;" width="60" height="4" loading="lazy">' in html
    )
    assert f'<img src="{found.path}" alt="again"' in html
    assert found.data.startswith(b"RIFF")


def test_a_picture_is_no_wider_than_a_page_needs(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((200, 3200, 3), np.uint8)).save(tmp_path / "wide.png")
    found = prose.picture(tmp_path, "wide.png")
    assert (found.width, found.height) == (1600, 100)


@pytest.mark.parametrize(
    ("markdown", "said"),
    [
        ("![a](https://example.org/a.png)", "https://example.org/a.png: expected a picture file beside the words"),
        ("![a](//example.org/a.png)", "//example.org/a.png: expected a picture file beside the words"),
        ("![a](data:image/png;base64,AAAA)", "data:image/png;base64,AAAA: expected a picture file beside the words"),
        ("![a](none.png)", "{folder}/none.png: expected an image file, found nothing there"),
        ("![a](../a.png)", "../a.png: expected a picture in {folder} or below; copy it there"),
        ("![a](/etc/passwd)", "/etc/passwd: expected a picture in {folder} or below; copy it there"),
        ("![a](out.png)", "out.png: expected a picture in {folder} or below; copy it there"),
        ("![a](a.svg)", "a.svg: expected a picture of pixels, for an SVG can hold scripts; save it as PNG"),
        ("![a](index.md)", "{folder}/index.md: expected an image (JPEG, PNG"),
        ("![](index.md)", "index.md: expected words for who cannot see the picture: ![what it shows](index.md)"),
        ("![a](%00.png)", "'%00.png': expected the name of a picture file"),
        ("<img src='none.png' alt='a'>", "{folder}/none.png: expected an image file, found nothing there"),
    ],
)
def test_a_picture_that_cannot_be_shown_is_told(tmp_path: Path, markdown: str, said: str) -> None:
    folder = tmp_path / "content"
    folder.mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    (folder / "out.png").symlink_to(tmp_path / "a.png")
    assert refusal(folder, f"a\n\n{markdown}\n").startswith("8: " + said.format(folder=folder))


def test_a_picture_from_elsewhere_in_html_leaves_its_words(tmp_path: Path) -> None:
    assert lead(tmp_path, "a <img src='https://example.org/a.png' alt='b & c'> d") == "<p>a b &amp; c d</p>"


def test_a_card_begins_below_its_page_s_headings_and_has_no_addresses() -> None:
    card = prose.card("---\nlicense: mit\n---\n# A {#a}\n\n## B\n\n```py\nx\n```\n![p](q.png)", 3)
    assert card == "<h3>A</h3>\n<h4>B</h4>\n<pre><code>x\n</code></pre>\n<p>p</p>"


def test_words_that_were_compiled_before_take_as_many_steps_and_name_their_own_file(
    tmp_path: Path, shared: dict[str, Any]
) -> None:
    """A constant takes its steps while it is compiled, which is done once in a process for the same words."""
    body = "\n{{ 'a constant' | upper }}, {% if once %}{{ later }}{% endif %}\n"
    left = []
    for folder in (tmp_path / "one", tmp_path / "other"):
        folder.mkdir()
        spoken = read(folder, body, shared)
        assert spoken("lead", once=False).body == "<p>A CONSTANT,</p>"
        left.append(spoken.environment.steps)
        with pytest.raises(InputError, match=f"{re.escape(str(folder / 'index.md'))}:7: 'later' is undefined"):
            read(folder, body, shared)("lead", once=True)
    assert left[0] == left[1] < words.environments([], shared)[1].spare


def test_more_words_than_are_kept_compiled_are_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "PROGRAMS", {})
    monkeypatch.setattr(words, "MOST_PROGRAMS", 2)
    for _ in range(2):
        for number in range(5):
            assert lead(tmp_path, f"{{{{ {number} + 1 }}}}") == f"<p>{number + 1}</p>"
            assert len(words.PROGRAMS) <= 2


def test_a_template_that_was_changed_meanwhile_is_compiled_anew(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    for text in ("once", "again"):
        file.write_text(f"{{{{ 1 }}}} {text}")
        for _ in range(2):
            assert words.environments([tmp_path], {})[0].get_template("page.html").render() == f"1 {text}"


def test_of_how_many_something_is_may_be_any_number_and_how_much_is_written_may_not(tmp_path: Path) -> None:
    assert lead(tmp_path, "{{ 0.5 | share(1281167) }}") == "<p>50.0&nbsp;%</p>"
    assert lead(tmp_path, "{{ [9, 50000] | select('ge', 20000) | join }}") == "<p>50000</p>"
    assert "truncate: expected a number of at most 10,000" in refusal(tmp_path, "{{ 'a' | truncate(10001) }}\n")
