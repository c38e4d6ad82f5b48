"""Mistakes in words and templates are told before anything is computed, and what is right is let through."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from generator.base.errors import InputError
from generator.config import reading
from generator.config.schema import Link
from generator.pages import proofread, proofread_again, words
from generator.report.story import STORY

ROOT = Path(__file__).parents[2]
BUNDLED = ROOT / "templates"
CONFIG = reading.load(ROOT / "report.toml")


@pytest.fixture
def content(tmp_path: Path) -> Path:
    copy = tmp_path / "content"
    shutil.copytree(ROOT / "content", copy, ignore=shutil.ignore_patterns("samples"))
    return copy


def refusal(content: Path, templates: tuple[Path, ...] = (BUNDLED,)) -> str:
    """The one line that is told, without the folder; "" where all is well."""
    try:
        proofread(CONFIG, templates, content)
    except InputError as error:
        said = str(error)
    else:
        said = ""
    assert "\n" not in said
    return said.replace(f"{content.parent}/", "")


def test_the_programs_own_words_and_templates_are_right(content: Path) -> None:
    assert refusal(content) == ""


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ("{% if networks %}", "Unexpected end of template."),
        ("{{ netwrks }}", "'netwrks' is undefined; did you mean 'networks'?"),
        ("{% if 0 %}{{ sight.title }}{% endif %}", "'sight' is undefined; did you mean 'site'?"),
        ("{{ 0.5 | percentt }}", "No filter named 'percentt'."),
        ("{% if 0 %}{{ 0.5 | percentt }}{% endif %}", "No filter named 'percentt'."),
        ("{% if 0 is oddd %}{% endif %}", "No test named 'oddd'."),
        ("{{ site.titel }}", "site has no 'titel'; did you mean 'title'?"),
        ("{{ first.record.macz }}", "first.record has no 'macz'; did you mean 'macs'?"),
        ("{{ networks.title }}", "networks has no 'title'"),
        ("{{ networks[0].titel }}", "this has no 'titel'; did you mean 'title'?"),
        ("{{ (networks | first).titel }}", "this has no 'titel'; did you mean 'title'?"),
        ("{{ networks | selectattr('rums') }}", "each of these has no 'rums'; did you mean 'runs'?"),
        ("{% for n in networks %}{{ n.scores.secn }}{% endfor %}", "n.scores has no 'secn'; did you mean 'seen'?"),
        ("{% set a = first.main_run %}{{ a.kepd }}", "a has no 'kepd'; did you mean 'kept'?"),
        ("{{ first.look(photos[0]).rigth }}", "this has no 'rigth'; did you mean 'right'?"),
        ("{% for n in networks %}{{ loop.lats }}{% endfor %}", "loop has no 'lats'"),
        ("{{ site.title / 2 }}", "expected two numbers for /, got a str and an int"),
        ("![A desk](desk.png) {{ first.title }}", "content/desk.png: "),
        ("![](desk.png)", "desk.png: expected words for who cannot see the picture"),
        ("[^1]: a note", "expected no footnotes"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_words_is_told_with_its_line(content: Path, added: str, said: str) -> None:
    file = content / "data.md"
    words = file.read_text("utf-8").rstrip("\n") + "\n\n## More {#more}\n\n"
    file.write_text(f"{words}{added}\n", "utf-8")
    assert refusal(content).startswith(f"content/data.md:{words.count(chr(10)) + 1}: {said}")


def test_what_a_section_is_given_is_known_there_alone(content: Path) -> None:
    file = content / "evaluation.md"
    words = file.read_text("utf-8")
    file.write_text(words.replace("{#pairs}\n", "{#pairs}\n{{ network.titel }}", 1), "utf-8")
    assert refusal(content).endswith(": network has no 'titel'; did you mean 'title'?")
    file.write_text(f"{words}\n## More {{#more}}\n\n{{{{ network.title }}}}\n", "utf-8")
    assert refusal(content).endswith(": 'network' is undefined; did you mean 'networks'?")


@pytest.mark.parametrize(
    "right",
    [
        "{{ data.counts.anything }} {{ environment['torch'] }} {{ first.record.runs[0].settings.epochs }}",
        "{% if nothing is defined %}{{ nothing.at_all }}{% endif %} {{ later | default('') }}",
        "{% if first.later is defined %}{{ first.later }}{% endif %} {{ first.sooner | default('') }}",
        "{% for site in site.links %}{{ site.url }}{% endfor %}",
        "{% if networks %}{% set a = first %}{% else %}{% set a = data %}{% endif %}{{ a.title or a.name }}",
        "{% for a, b in environment.items() %}{{ a.upper() }}{{ b }}{{ loop.last }}{% endfor %}",
        "{{ networks | map(attribute='record.title') | join(', ') }} {{ networks | groupby('size') | length }}",
        "{{ first.convolutions[0].record.weights.shape[0] }} {{ (photos | first).credit.author }}",
        "```\n{{ braces }} ![x](nowhere.png)\n```\n{# {{ remark }} ![x](nowhere.png) #}",
        "{% for n in range(3) %}{{ n }}{% endfor %}{% set m = namespace(x=1) %}{{ m.x }}",
        "![A desk]({{ first.id }}.png)",
    ],
)
def test_what_can_be_right_is_let_through(content: Path, right: str) -> None:
    (content / "index.md").write_text((content / "index.md").read_text("utf-8") + f"\n{right}\n", "utf-8")
    assert refusal(content) == ""


def test_a_picture_that_is_there_is_let_through_and_what_is_none_is_told(content: Path) -> None:
    Image.new("RGB", (4, 4)).save(content / "desk.png")
    words = (content / "index.md").read_text("utf-8")
    (content / "index.md").write_text(f"{words}\n![A desk](desk.png) {{{{ first.title }}}}\n", "utf-8")
    assert refusal(content) == ""
    (content / "desk.png").write_bytes(b"none")
    assert re.search(r"index\.md:\d+: content/desk\.png: expected an image", refusal(content))


def test_most_names_of_the_shipped_words_are_told_when_they_are_misspelt(content: Path) -> None:
    """A sample of them; what only the facts tell, such as the parts of a data set, is not."""

    def blank(quoted: re.Match[str]) -> str:
        return "_" * len(quoted[0])

    told = []
    for page in STORY:
        file = content / f"{page.name}.md"
        words = file.read_text("utf-8")
        names = [
            tag.start() + name.end()
            for tag in re.finditer(r"\{\{.*?\}\}", words)
            for name in re.finditer(
                r"(?<=[. ])[a-z_]\w+(?= |\.|\))", re.sub(r'"[^"]*"', lambda q: "_" * len(q[0]), tag[0])
            )
            if name[0] not in ("if", "else", "not", "and", "or", "in", "is") and "_" * 3 not in name[0]
        ]
        for end in names[::40]:
            file.write_text(f"{words[:end]}x{words[end:]}", "utf-8")
            told.append(refusal(content).startswith(f"content/{page.name}.md:{words.count(chr(10), 0, end) + 1}: "))
        file.write_text(words, "utf-8")
    assert len(told) > 10
    assert sum(told) >= 0.9 * len(told)


def test_a_section_that_every_report_places_is_required(content: Path) -> None:
    words = (content / "about.md").read_text("utf-8")
    assert "{#again}" in words
    (content / "about.md").write_text(words.replace("{#again}", "{#anew}"), "utf-8")
    assert refusal(content).startswith("content/about.md: expected a section '## ... {#again}', which the page's templ")


def test_the_words_of_a_page_that_may_not_be_shown_may_be_missing(content: Path) -> None:
    (content / "trust.md").unlink()
    assert refusal(content) == ""
    (content / "data.md").unlink()
    assert refusal(content).startswith("content/data.md: expected the page's words")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("404.html", "<p>\n{{ site.title", "404.html:2: unexpected end of template, expected '}}'."),
        ("404.html", "<p>\n{% if 0 %}{{ siteb }}{% endif %}", "404.html:2: 'siteb' is undefined; did you mean 'site'?"),
        ("trust.html", "{% extends 'bases.html' %}", "expected a template bases.html in the folder of templates"),
        ("trust.html", "{% include 'bases.html' ignore missing %}", ""),
        ("trust.html", "{% include 'part.html' %}", "part.html:1: No filter named 'shou'."),
        ("trust.html", "{% extends 'base.html' %}", "content/trust.md:13: 'network' is undefined"),
        ("trust.html", "{% extends 'base.html' %}{% block rest %}{% endblock %}", ""),
        ("about.html", "{{ words('agian') }}", "content/about.md: expected a section '## ... {#agian}'"),
        ("about.html", "{% if networks %}{{ words('agian') }}{% endif %}", ""),
        ("evaluation.html", "{{ words('network', mine=1) }}", "content/evaluation.md:15: 'network' is undefined"),
        ("unused.html", "{{", ""),
        ("styles/foot.css", b"\xff", ""),
    ],
)  # fmt: skip
def test_a_mistake_in_a_template_is_told(
    content: Path, tmp_path: Path, name: str, text: str | bytes, said: str
) -> None:
    own = tmp_path / "templates"
    (own / name).parent.mkdir(parents=True)
    (own / "part.html").write_text("{{ around_me | shou }}")
    (own / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    told = refusal(content, (own, BUNDLED)).replace("templates/", "")
    assert told.startswith(said) if said else told == ""


def test_words_that_name_only_report_toml_are_read_as_they_will_be_shown(content: Path) -> None:
    """As here, where the title makes a paragraph too long."""
    many = "\n## More {#more}\n\n{% for n in range(200) %}{{ site.title }} {% endfor %}\n"
    (content / "about.md").write_text((content / "about.md").read_text("utf-8") + many, "utf-8")
    assert refusal(content) == ""
    long = replace(CONFIG, report=replace(CONFIG.report, title="a" * 60))
    with pytest.raises(InputError, match=r"about\.md:\d+: expected paragraphs of at most 10,000 letters"):
        proofread(long, (BUNDLED,), content)


def test_of_words_that_were_right_before_what_report_toml_takes_part_in_is_looked_at_again(content: Path) -> None:
    page = content / "about.md"
    page.write_text(f"{page.read_text()}\n## Home {{#home}}\n\n{{{{ site.links[0].url }}}}\n", "utf-8")
    linked = replace(CONFIG, report=replace(CONFIG.report, links=(Link("The code", "https://example.org"),)))
    told = proofread(linked, (BUNDLED,), content)
    assert "about home" in told
    assert len(told) < 20  # of a hundred and more
    proofread_again(linked, content, told)
    with pytest.raises(InputError, match=r"about\.md:\d+: .*") as refused:
        proofread_again(CONFIG, content, told)
    assert str(refused.value).replace(f"{content.parent}/", "") == refusal(content) != ""


def test_texts_without_any_of_jinja_are_shown_as_jinja_shows_them(tmp_path: Path) -> None:
    front = "---\ntitle: A { b }} c %}\nquestion: d\ndescription: e #} f\n---\n"
    file = tmp_path / "index.md"
    file.write_text(f"{front}\nOne {{ 2 }} }}}} three\n\n```\n{{{{ code }}}}\n```\n", "utf-8")
    _, environment = words.environments((), {"empty": ""})
    plain = words.read(file, environment, "")
    file.write_text(file.read_text().replace("three", "three{{ empty }}").replace("c %}", "c %}{{ empty }}"), "utf-8")
    by_jinja = words.read(file, environment, "")
    assert plain.text("title") == by_jinja.text("title") == "A { b }} c %}"
    assert plain("lead") == by_jinja("lead")
    assert "<code>{{ code }}" in plain("lead").body
