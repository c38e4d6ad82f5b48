"""report.toml and the words, mutated: read, or refused in one line of the file, and soon."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.base.errors import InputError
from generator.config import reading, schema
from generator.pages import facts, proofreading, words
from generator.report.portrait import portrait
from tests import synthetic

ROOT = Path(__file__).parents[2]
SECONDS = 8  # of this process's own time, of any single case; most take milliseconds
TOML = (ROOT / "report.toml").read_bytes()
# Those of trust.md need measures that the small report has not.
PAGES = tuple(sorted(path.read_bytes() for path in (ROOT / "content").glob("*.md") if path.stem != "trust"))
# What means something to one of the readers, in any order and number.
TOML_PIECES = (
    b"[", b"]", b"[[", b"]]", b"=", b'"', b"'", b'"""', b"\n", b"\r\n", b"#", b".", b"{", b"}", b",", b"title",
    b"report", b"[report]\n", b"[models.cnn]\n", b"1e999", b"nan", b"0x", b"9" * 30, b"2026-02-30", b"true", b"\\u0000",
    b"\\ud800", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\xe2\x80\xae", b"a.a.", b"[" * 3000, b" " * 3000,
    b"x" * 3000,
)  # fmt: skip
WORDS_PIECES = (
    b"{{", b"}}", b"{%", b"%}", b"{#", b"#}", b"{{ data.name }}", b"{{ data.", b"|", b"|map(attribute='", b"__class__",
    b"{% for i in range(99999) %}", b"{% endfor %}", b"{% if ", b"{% endif %}", b"{% set a = a ~ a %}", b"{% raw %}",
    b"{% macro f() %}", b"{% include 'x' %}", b"'a' * 99999999", b"9 ** 9 ** 9", b"'%9999999s' % 1", b"[" * 400,
    b"(" * 400, b"not " * 400, b"```\n", b"~~~\n", b"\n## A {#a}\n", b"### B {#b}\n", b"![a](b.png)", b"<img src=x>",
    b"<script>", b"<b onclick=x>", b"[a](javascript:x)", b"<math><mrow>", b"<!--", b"<ul><li>" * 300, b"> " * 300,
    b"| a | b |\n|---|---|\n", b"[^1]: x\n", b"---\n", b"title: x\n", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\r", b"\t",
    b"\xef\xb7\x90", b"&#0000060;", b"*" * 300, b"`" * 300, b"\\" * 300, b"\n" * 300,
)  # fmt: skip


def mutated(texts: tuple[bytes, ...], pieces: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """One of the texts with some of the pieces put in, laid over it, or in place of its end."""
    change = st.tuples(st.integers(0, 4000), st.integers(0, 60), st.sampled_from(pieces))

    def changed(text: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
        for at, length, piece in changes:
            place = at % (len(text) + 1)
            text = text[:place] + piece + text[place + length :]
        return text

    return st.builds(changed, st.sampled_from(texts), st.lists(change, min_size=1, max_size=6))


@cache
def shared() -> Mapping[str, Any]:
    """What a page's words can name, of a report that has everything."""
    made = synthetic.report()
    networks = tuple(portrait(network, made.photos) for network in made.networks)
    folder = Path(__file__).parents[2]
    return {**facts.facts(made, networks, {}, reading.load(folder / "report.toml")), "live": None}


def accepted(folder: Path, name: str, text: bytes, read: Any) -> object:
    """What is read of the text, None where it is refused as it ought to be."""
    file = folder / name
    file.write_bytes(text)
    begun, found, said = time.process_time(), None, None
    try:
        found = read(file)
    except InputError as error:
        said = str(error)
    assert time.process_time() - begun < SECONDS
    assert said is None or (said.startswith(f"{file}:") and "\n" not in said and len(said) < 1000), said
    return found


def rendered(file: Path) -> str:
    """Every passage of a page, as its template would ask for it."""
    _, environment = words.environments([], shared())
    spoken = words.read(file, environment, "")
    network = shared()["first"]
    more = {"network": network, "layer": network.convolutions[0], "sample": shared()["photos"][0], "explains": True}
    said = [spoken.text(key) for key in words.FRONT_MATTER]
    return "".join(
        [*said, *(str(spoken(key, **more).body) for key in spoken.passages if key not in words.FRONT_MATTER)]
    )


def proofread(file: Path) -> bool:
    """Every passage of a page, as it is read before there are facts."""
    known = {**get_type_hints(facts.Facts), **get_type_hints(facts.Given)}
    settled = facts.settled(reading.load(ROOT / "report.toml"))
    spoken = words.read(file, words.environments([], settled)[1], "")
    for key in spoken.passages:
        proofreading._read_passage(spoken, key, {**dict.fromkeys(spoken.environment.globals, Any), **known})
    return True


@settings(max_examples=120)
@given(text=mutated((TOML,), TOML_PIECES))
def test_any_report_toml_is_read_or_refused_in_one_line(tmp_path: Path, text: bytes) -> None:
    read = accepted(tmp_path, "report.toml", text, reading.load)
    assert read is None or isinstance(read, schema.Config)


@settings(max_examples=100)
@given(text=mutated(PAGES, WORDS_PIECES))
def test_any_words_are_shown_or_refused_in_one_line_and_act_nowhere(tmp_path: Path, text: bytes) -> None:
    html = accepted(tmp_path, "index.md", text, rendered)
    assert not re.search(r"<(script|img|style|iframe)|<[^>]* on\w+=|href=\"\s*javascript", str(html), re.IGNORECASE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.md"]


@settings(max_examples=100)
@given(text=mutated(PAGES, WORDS_PIECES))
def test_any_words_are_proofread_or_refused_in_one_line(tmp_path: Path, text: bytes) -> None:
    accepted(tmp_path, "index.md", text, proofread)


@settings(max_examples=80)
@given(pieces=st.lists(st.sampled_from(WORDS_PIECES), max_size=12))
def test_pieces_of_jinja_and_markdown_in_any_order_are_refused_or_shown(tmp_path: Path, pieces: list[bytes]) -> None:
    front = b"---\ntitle: T\nquestion: Q\ndescription: D\n---\n"
    html = accepted(tmp_path, "index.md", front + b" ".join(pieces), rendered)
    assert not re.search(r"<(script|img|style|iframe)|<[^>]* on\w+=|href=\"\s*javascript", str(html), re.IGNORECASE)


@pytest.mark.parametrize("text", [TOML, *PAGES], ids=lambda text: text[:20].decode())
def test_without_a_change_everything_is_read(tmp_path: Path, text: bytes) -> None:
    """Else the tests above would say little."""
    name, read = ("report.toml", reading.load) if text is TOML else ("index.md", rendered)
    found = accepted(tmp_path, name, text, read)
    assert found is not None
    assert text is TOML or accepted(tmp_path, name, text, proofread)
