"""report.toml is read as it is written, and every wrong one is told in one line."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from generator.base.errors import InputError
from generator.config.addresses import base_address
from generator.config.places import bundled
from generator.config.reading import load
from generator.config.schema import Asked, InputConfig, Link, ModelConfig, SamplePhoto

WHOLE = """
[report]
title = "Filters & <b>maps</b>"
subtitle = "of two networks"
author = "A. N. Other"
course = "Deep learning"
institution = "A school"
date = 2026-07-31
language = "de-CH"
links = [{title = "Code", url = "https://example.org/code"}, {title = "Mail", url = "mailto:a@example.org"}]
languages = ["Python"]
libraries = ["PyTorch", "NumPy"]
base_url = "https://example.org/report/"

[data]
root = "../tiny"
classes = ["goldfish", "<i>n02165456</i>"]

[models]
folder = "nets"
[models.cnn]
weights = "cnn.pth"
layer = "features.conv7"
[models.alexnet]
weights = "imagenet"
other_class = "seashore"

[explain]
methods = ["Grad-CAM", "occlusion"]

[samples]
bundled = false
test_images = 3
[[samples.photos]]
file = "a.jpg"
title = "A bee"
label = "bee"
author = "Me"
origin = "my garden"
licence = "CC0"
url = "https://example.org/a"
"""


LINE = re.compile(r" \(at line (\d+)\)(?=$|; (?:did|the keys))")


def written(folder: Path, text: str | bytes) -> Path:
    file = folder / "report.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def refusal(folder: Path, text: str | bytes) -> str:
    """What is said of a wrong file, without the file's name and the line."""
    file = written(folder, text)
    with pytest.raises(InputError) as caught:
        load(file)
    said = str(caught.value)
    assert "\n" not in said
    assert said.startswith(f"{file}: ")
    return LINE.sub("", said.removeprefix(f"{file}: "))


def test_every_key_arrives_where_it_belongs(tmp_path: Path) -> None:
    for name in ("cnn.pth", "a.jpg"):
        (tmp_path / name).touch()
    config = load(written(tmp_path, WHOLE))
    assert (config.path, config.folder) == (tmp_path / "report.toml", tmp_path)
    report = config.report
    assert report.title == "Filters & <b>maps</b>"  # text, escaped only where it is shown
    assert (report.subtitle, report.author) == ("of two networks", "A. N. Other")
    assert (report.course, report.institution) == ("Deep learning", "A school")
    assert (report.date, report.language) == ("2026-07-31", "de-CH")
    assert report.links == (Link("Code", "https://example.org/code"), Link("Mail", "mailto:a@example.org"))
    assert (report.languages, report.libraries) == (("Python",), ("PyTorch", "NumPy"))
    assert report.base_url == "https://example.org/report"
    assert config.data.root == tmp_path.parent / "tiny"
    assert config.data.classes == ("goldfish", "<i>n02165456</i>")
    assert config.models.folder == tmp_path / "nets"
    assert config.models["cnn"] == ModelConfig(
        "cnn", tmp_path / "cnn.pth", layer="features.conv7", methods=("Grad-CAM", "occlusion")
    )
    assert config.models["alexnet"] == ModelConfig(
        "alexnet", "imagenet", other_class=(Asked(("seashore",)),), methods=("Grad-CAM", "occlusion")
    )
    assert (config.samples.bundled, config.samples.test_images) == (False, 3)
    photo = SamplePhoto(tmp_path / "a.jpg", "A bee", "bee", "Me", "my garden", "CC0", "https://example.org/a")
    assert config.samples.photos == (photo,)


def test_an_empty_file_is_the_default_report(tmp_path: Path) -> None:
    config = load(written(tmp_path, ""))
    assert config.report.title == "What a small network sees"
    assert config.data.classes is None  # those of Tiny ImageNet that the program names, all of any other data set
    assert config.models.ids == ("cnn", "alexnet")  # those that come with the program
    assert (config.models["cnn"].weights, config.models["cnn"].architecture) == ("bundled", "SmallCNN")
    assert (config.models["alexnet"].weights, config.models["alexnet"].architecture) == ("auto", "AlexNet")
    assert config.models.folder == tmp_path / "models"
    assert config.models.read("cnn") == bundled("models") / "cnn"
    assert (config.samples.bundled, config.samples.photos, config.samples.test_images) == (None, (), None)


def test_models_beside_the_file_go_before_the_bundled_ones(tmp_path: Path) -> None:
    (tmp_path / "models" / "cnn").mkdir(parents=True)
    (tmp_path / "models" / "cnn" / "weights.safetensors").touch()
    (tmp_path / "models" / "alexnet").mkdir()  # of a run that has only begun
    models = load(written(tmp_path, "")).models
    assert models.read("cnn") == tmp_path / "models" / "cnn"
    assert models.read("alexnet") == bundled("models") / "alexnet"


def test_the_bundled_report_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load()
    assert config.path is None
    assert config.folder == bundled("report.toml").parent
    assert config.report.libraries[0] == "PyTorch"


def test_a_report_in_the_current_folder_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, '[report]\ntitle = "Mine"')
    monkeypatch.chdir(tmp_path)
    config = load()
    assert (config.path, config.folder, config.report.title) == (Path("report.toml"), tmp_path, "Mine")


def test_a_photo_may_be_a_name_alone(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.png"):
        (tmp_path / name).touch()
    config = load(written(tmp_path, '[samples]\nphotos = ["a.jpg", {file = "b.png", label = "bee"}]'))
    assert config.samples.photos == (SamplePhoto(tmp_path / "a.jpg"), SamplePhoto(tmp_path / "b.png", label="bee"))


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    text = '\ufeff[report]\r\ntitle = "Größe"\r\n'.encode()
    assert load(written(tmp_path, text)).report.title == "Größe"


def test_a_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert load(written(tmp_path, '[data]\nroot = "~/tiny"')).data.root == tmp_path / "home" / "tiny"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[report]\ntitel = 'x'", "[report] titel: expected a known key, got this one; did you mean title?"),
        ("[modls]", "modls: expected a known key, got this one; did you mean models?"),
        # Any name is one of a network; what is no table is none.
        ("[models]\nresnet = 'x'", '[models] resnet: expected a table: the network [models.resnet], got "x"'),
        (
            "[models]\nfoldr = 'x'",
            '[models] foldr: expected a table: the network [models.foldr] (or did you mean folder?), got "x"',
        ),
        ("[models.cnn]\nlayers = 'x'", "[models.cnn] layers: expected a known key, got this one; did you mean layer?"),
        ("[models.cnn]\nshow = ['a', 'a']", "[models.cnn] show: expected different layers, got an array of 2"),
        ("[explain]\nmethods = ['RISE', 'RISE']", "[explain] methods: expected different methods, got an array of 2"),
        ("[models.cnn]\nshow = 'a'", '[models.cnn] show: expected an array of strings that are not empty, got "a"'),
        (
            "[models.cnn]\nother_class = 12",
            (
                "[models.cnn] other_class: expected an array of class names, or tables "
                "{ of = ..., against = ... } of them, got 12"
            ),
        ),
        (
            "[models.cnn]\nother_class = ['bee', {of = 'fly', against = ['bee', 'fly']}]",
            "[models.cnn.other_class 2] against: expected different classes, got an array of 2",
        ),
        (
            "[models.cnn]\nother_class = [{of = ''}]",
            '[models.cnn.other_class 1] of: expected the name of a class, or of some, got ""',
        ),
        (
            "[models.cnn]\nother_class = [{off = 'bee'}]",
            "[models.cnn.other_class 1] of: expected the name of a class, or of some, got nothing",
        ),
        (
            "[models.cnn]\nother_class = ['1', '2', '3', '4', '5', '6', '7', '8', '9']",
            "[models.cnn] other_class: expected at most 8 of them, got an array of 9",
        ),
        ("[models.cnn]\nchannels = 0", "[models.cnn] channels: expected a whole number from 1 to 512, got 0"),
        (
            "[samples]\n'test\\nimages' = 3",
            '[samples] "test\\\\nimages": expected a known key, got this one; did you mean test_images?',
        ),
        ("[report]\ntitle = 3", "[report] title: expected a string, got 3"),
        ("[report]\ntitle = ''", '[report] title: expected a string that is not empty, got ""'),
        ("[report]\ntitle = ' '", '[report] title: expected a string that is not empty, got " "'),
        ("[report]\nauthor = ['a', 'b']", "[report] author: expected a string, got an array of 2"),
        ("[report]\nauthor = {a = 1}", "[report] author: expected a string, got a table"),
        (
            '[report]\nauthor = "a\\u0000b"',
            '[report] author: expected a string without control characters, got "a\\u0000b"',
        ),
        ("report = 'x'", 'report: expected a table, got "x"'),
        ("[report]\ndate = 'May 2026'", '[report] date: expected a date such as 2026-07-31, got "May 2026"'),
        ("[report]\ndate = '2026-02-30'", '[report] date: expected a date such as 2026-07-31, got "2026-02-30"'),
        ("[report]\ndate = '20260730'", '[report] date: expected a date such as 2026-07-31, got "20260730"'),
        (
            "[report]\ndate = 2026-07-31T10:00:00",
            "[report] date: expected a date such as 2026-07-31, got 2026-07-31 10:00:00",
        ),
        ("[report]\nlanguage = ''", '[report] language: expected a language tag such as "en" or "de-CH", got ""'),
        (
            "[report]\nlanguage = 'en\"><script>'",
            '[report] language: expected a language tag such as "en" or "de-CH", got "en\\"><script>"',
        ),
        (
            "[report]\nlinks = [{title = 'x', url = 'data:a'}]",
            '[report.links 1] url: expected an address that begins with https://, http:// or mailto:, got "data:a"',
        ),
        (
            "[report]\nlinks = [{title = 'x'}]",
            "[report.links 1] url: expected an address that begins with https://, http:// or mailto:, got nothing",
        ),
        (
            "[report]\nlinks = ['x']",
            '[report] links: expected an array of {title = ..., url = ...}, got "x" as item 1',
        ),
        (
            "[report]\nlibraries = ['a', '']",
            '[report] libraries: expected an array of strings that are not empty, got "" as item 2',
        ),
        (
            "[report]\nlibraries = 'a'",
            '[report] libraries: expected an array of strings that are not empty, got "a"',
        ),
        (
            "[report]\nbase_url = 'example.org'",
            '[report] base_url: expected a folder\'s address that begins with https:// or http://, got "example.org"',
        ),
        ("[data]\nroot = ''", '[data] root: expected a string that is not empty, got ""'),
        ("[data]\nroot = true", "[data] root: expected a string, got true"),
        (
            "[data]\nclasses = 30",
            '[data] classes: expected "TinyImageNet30", "all" or an array of class names or wnids, got 30',
        ),
        (
            "[data]\nnames = ['a']",
            '[data] names: expected a table such as {icecream = "ice cream"}, got an array of one item, "a"',
        ),
        ("[data]\nnames = {a = ''}", '[data] names: expected strings that are not empty, got "" as a'),
        ("[data]\nnames = {a = 'x', b = 'x'}", '[data] names: expected different names, got "x" more than once'),
        ("[data]\norder = 'abc'", '[data] order: expected "strings" or "natural", got "abc"'),
        ("[data]\nclasses = ['bee']", '[data] classes: expected at least 2 classes, got an array of one item, "bee"'),
        ("[data]\nclasses = ['bee', 'bee']", '[data] classes: expected different classes, got "bee" more than once'),
        (
            "[data]\nclasses = ['bee', 1]",
            "[data] classes: expected an array of strings that are not empty, got 1 as item 2",
        ),
        ("[models.x]\nmulti_label = 1", "[models.x] multi_label: expected true or false, got 1"),
        (
            "[models.x]\npredictions = 'a.csv'\nmulti_label = false",
            (
                "[models.x] multi_label: expected none beside predictions, which are all that is known of the network, "
                "got false"
            ),
        ),
        ("[samples]\nbundled = 1", "[samples] bundled: expected true or false, got 1"),
        ("[samples]\ntest_images = true", "[samples] test_images: expected a whole number from 0 to 1000, got true"),
        ("[samples]\ntest_images = 2.0", "[samples] test_images: expected a whole number from 0 to 1000, got 2.0"),
        ("[samples]\ntest_images = -1", "[samples] test_images: expected a whole number from 0 to 1000, got -1"),
        (
            "[samples]\nphotos = [3]",
            "[samples] photos: expected an array of {file = ..., title = ...} or of files' names, got 3 as item 1",
        ),
    ],
)
def test_a_wrong_value_is_told_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    assert refusal(tmp_path, text) == said


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("# mine\n\n[report]\n  title = 3", 4),
        ("report.title = 3", 1),
        ("[report]\r\n'title' = 3\r\n", 2),
        ("[report] # mine\n\nautor = 'x'", 3),
        ("[report]\n[models . vgg]\nlayr = 1", 3),
        ("[[report]]\ntitle = 'x'", 1),
        ("[models.cnn]\nlayer = ''\n[models.alexnet]\nlayer = 3", 4),
        ('[report]\nsubtitle = """\n[data]\nauthor = 3\n"""\nauthor = 3', 6),
        ("[report]\nsubtitle = '''a'''\nauthor = 3", 3),
        ("[report]\nlinks = [\n  {title = 'x', url = 'https://a'},\n  {title = 'x', url = 'data:x'},\n]", 2),
        ("[[report.links]]\ntitle='x'\nurl='https://a'\n[[report.links]]\ntitle='x'\nurl='data:x'", 6),
        ("[[report.links]]\ntitle='x'\nurl='https://a'\n[[report.links]]\ntitle='x'", 4),
    ],
)
def test_the_line_is_told(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(InputError) as caught:
        load(written(tmp_path, text))
    assert [int(found) for found in LINE.findall(str(caught.value))] == [line]


@pytest.mark.parametrize("url", ['https://a/"onclick="b', "https://a/<b>", "javascript:b", "https://a/\\b", "//a", "a"])
def test_an_address_cannot_break_out_of_where_it_is_written(tmp_path: Path, url: str) -> None:
    assert "[report.links 1] url: expected an address" in refusal(
        tmp_path, f"[report]\nlinks = [{{title = 'x', url = '{url}'}}]"
    )
    assert "[report] base_url: expected a folder's address" in refusal(tmp_path, f"[report]\nbase_url = '{url}'")


@pytest.mark.parametrize(
    "url", ["https://[x", "https://[bad]/", "https:///x", "https://:80", "https://a:b", "https://a:99999"]
)
def test_an_address_that_no_browser_can_read_is_refused(tmp_path: Path, url: str) -> None:
    for text in (f"base_url = '{url}'", f"links = [{{title = 'x', url = '{url}'}}]"):
        assert re.search(r"url: expected (an|a folder's) address", refusal(tmp_path, f"[report]\n{text}"))
    assert "url: expected an address" in refusal(tmp_path, f"[[samples.photos]]\nfile = 'report.toml'\nurl = '{url}'")


def test_a_site_is_below_a_folder_and_not_below_a_page(tmp_path: Path) -> None:
    for url in ("https://example.org/index.html", "https://example.org/a.HTM/"):
        said = refusal(tmp_path, f"[report]\nbase_url = '{url}'")
        assert said.startswith(
            f'[report] base_url: expected a folder\'s address that begins with https:// or http://, got "{url}"'
        )
    for url in ("https://[::1]:8000/html", "http://localhost", "https://xn--bcher-kva.example/a.html.d"):
        assert load(written(tmp_path, f"[report]\nbase_url = '{url}/'")).report.base_url == url


def test_no_password_is_published(tmp_path: Path) -> None:
    assert "expected a folder's address" in refusal(tmp_path, "[report]\nbase_url = 'https://me:secret@example.org/x'")
    assert load(written(tmp_path, "[report]\nbase_url = 'https://example.org/@me'")).report.base_url.endswith("/@me")


def test_a_missing_photo_is_told_with_the_path_that_was_meant(tmp_path: Path) -> None:
    said = refusal(tmp_path, "[[samples.photos]]\nfile = 'photos/a.jpg'")
    meant = tmp_path / "photos" / "a.jpg"
    assert said == f'[samples.photos 1] file: expected a file, got "photos/a.jpg" which is not one ({meant})'


def test_weights_are_a_word_or_a_file(tmp_path: Path) -> None:
    said = refusal(tmp_path, "[models.cnn]\nweights = 'official'")
    meant = tmp_path / "official"
    assert said == (
        '[models.cnn] weights: expected "auto" or "bundled" or "imagenet" or "random" or a file of weights, '
        f'got "official" which is neither ({meant})'
    )  # fmt: skip


def test_a_path_too_long_for_the_system_is_no_file(tmp_path: Path) -> None:
    assert "expected a file" in refusal(tmp_path, f"[[samples.photos]]\nfile = '{'a' * 5000}'")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[report]\ntitle = \n", "expected TOML, got: Invalid value (at line 2, column 9)"),
        ("[report\n", "expected TOML, got: Expected ']' at the end of a table declaration (at line 1, column 8)"),
        ("[report]\n[report]\n", "expected TOML, got: Cannot declare ('report',) twice (at line 2, column 8)"),
    ],
)
def test_what_is_no_toml_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    assert refusal(tmp_path, text) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = " + "[" * 100_000, "expected TOML, got arrays or tables nested too deeply"),
        ("a = " + "9" * 5_000, "expected TOML, got: a number of thousands of digits"),
        ("a" + ".a" * 100_000 + " = 1", "expected at most 500 dots in a line, got more"),
        ("[report]\ntitle = '" + "x" * 10_000 + "'", "[report] title: expected a string of at most 1,000 letters, got"),
        ("[report]\nlanguages = ['" + "x" * 10_000 + "']", "[report] languages: expected strings of at most 1,000"),
        ("[report]\ntitle = 3\n#[" + " " * 200_000 + "x", "[report] title: expected a string, got 3"),
        ("[report]\ntitle = 3\n" + " " * 200_000 + "\n", "[report] title: expected a string, got 3"),
        ("[report]\ntitle = 0x" + "f" * 100_000, "[report] title: expected a string, got a number of more than 60"),
        ("[data]\nclasses = " + str(["a"] * 40_000), '[data] classes: expected different classes, got "a" more than'),
        ("x" * 100_000 + " = 1", '"' + "x" * 56 + '...": expected a known key'),
        ("x" * 300_000, "expected at most 256 KiB in a report.toml, got more"),
    ],
    ids=lambda text: text[:30],
)
def test_hostile_toml_is_refused_like_any_other_and_soon(tmp_path: Path, text: str, said: str) -> None:
    begun = time.process_time()
    assert refusal(tmp_path, text).startswith(said)
    assert time.process_time() - begun < 5


def test_a_key_that_stands_twice_is_named_with_both_lines(tmp_path: Path) -> None:
    text = "[report]\ntitle = 'a'\n[data]\n[models]\nfolder = 'a'\n\nfolder = 'b'\n"
    assert refusal(tmp_path, text) == "expected TOML, got: models.folder twice, in line 5 and again"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_text_of_two_bytes_a_letter_is_told(tmp_path: Path, encoding: str) -> None:
    said = refusal(tmp_path, "[report]\ntitle = 'a'".encode(encoding))
    assert re.fullmatch(r"expected UTF-8 text, got (UTF-16|a NUL character) \(at line 1\); save it as UTF-8", said)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "report.toml")
    with pytest.raises(InputError, match=r"expected a readable report\.toml, got what is no file"):
        load(tmp_path / "report.toml")
    with pytest.raises(InputError, match=r"expected a readable report\.toml, got what is no file"):
        load(Path("/dev/zero"))


def test_another_encoding_is_told_with_its_line(tmp_path: Path) -> None:
    said = refusal(tmp_path, "[report]\ntitle = 'Größe'".encode("latin-1"))
    assert said == "expected UTF-8 text, got another encoding (at line 2); save it as UTF-8"


@pytest.mark.parametrize(
    ("language", "direction"),
    [
        ("he", "rtl"), ("HE-IL", "rtl"), ("ar", "rtl"), ("fa-IR", "rtl"), ("ur", "rtl"), ("ps", "rtl"), ("sd", "rtl"),
        ("yi", "rtl"), ("dv", "rtl"), ("ckb", "rtl"), ("ug-CN", "rtl"), ("iw", "rtl"), ("az-Arab-IR", "rtl"),
        ("pa-Arab", "rtl"), ("yi-Latn", "ltr"), ("ar-Latn", "ltr"), ("en", "ltr"), ("de-CH", "ltr"), ("ku", "ltr"),
        ("zh-Hant-TW", "ltr"), ("sl-rozaj-biske", "ltr"), ("ff-adlm", "rtl"), ("en-u-ca-hebrew", "ltr"),
    ],
)  # fmt: skip
def test_the_direction_of_the_words_follows_from_their_script(tmp_path: Path, language: str, direction: str) -> None:
    assert load(written(tmp_path, f"[report]\nlanguage = '{language}'")).report.direction == direction


@pytest.mark.parametrize(
    "tag", ["english", "en_US", "en-", "-en", "e", "en-a", "en US", "he-Hebr-Arab", "en-US-GB", "ñ"]
)
def test_what_is_no_language_tag_is_told(tmp_path: Path, tag: str) -> None:
    assert refusal(tmp_path, f"[report]\nlanguage = '{tag}'") == (
        f'[report] language: expected a language tag such as "en" or "de-CH", got "{tag}"'
    )


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path / "none.toml")
    said = "expected a report.toml, there is no such file; give one with --config FILE"
    assert str(caught.value) == f"{tmp_path / 'none.toml'}: {said}"


def test_a_folder_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a readable report\.toml, got: Is a directory"):
        load(tmp_path)


def test_the_bundled_report_names_every_key() -> None:
    """The default report.toml explains the format, so no key may be missing there, not even as a comment."""
    text = bundled("report.toml").read_text(encoding="utf-8")
    keys = "title subtitle author course institution date language links languages libraries base_url root classes"
    keys += " folder weights layer other_class show channels bundled photos test_images file label origin licence url"
    keys += " methods names"
    lines = [line.lstrip("# ") for line in text.splitlines()]
    assert [key for key in keys.split() if not any(line.startswith(f"{key} =") for line in lines)] == []


def test_relative_paths_do_not_depend_on_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    file = written(inner, "[data]\nroot = 'tiny'")
    monkeypatch.chdir(tmp_path)
    config = load(Path(os.path.relpath(file)))
    assert config.data.root == inner / "tiny"


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://example.org/über", "https://example.org/%C3%BCber"),
        ("https://example.org/%C3%BCber/", "https://example.org/%C3%BCber"),
        ("https://bücher.example/", "https://xn--bcher-kva.example"),
        ("https://example.org/my report", "https://example.org/my%20report"),
        (" https://example.org/report/ ", "https://example.org/report"),
        ("HTTPS://Example.ORG:443/Report", "https://example.org/Report"),
        ("http://example.org:8080///", "http://example.org:8080"),
        ("https://example.org/a/./b/../c", "https://example.org/a/c"),
        ("https://example.org/%2e%2E/a", "https://example.org/a"),
        ("https://example.org/100%", "https://example.org/100%25"),
        ("https://example.org/a[1]", "https://example.org/a%5B1%5D"),
        ("https://example.org/报告/🐝", "https://example.org/%E6%8A%A5%E5%91%8A/%F0%9F%90%9D"),
        ("http://localhost:8000/~me/it's", "http://localhost:8000/~me/it's"),
    ],
)
def test_a_base_url_is_kept_as_it_is_sent(tmp_path: Path, url: str, sent: str) -> None:
    assert load(written(tmp_path, f'[report]\nbase_url = "{url}"')).report.base_url == sent
    assert base_address(sent) == sent


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("https://example.org//report", ", without // in its path"),
        ("https://example.org/a/..//b", ", without // in its path"),
        ("https://example.org/report?x=1", ", without ? and what follows it"),
        ("https://example.org/report#x", ", without ? and what follows it"),
        ("https://example.org:99999/", ""),
        ("https://example.org:0/", ""),
        ("https://exa mple.org/", ""),
        ("https://1.2.3.4.5/", ""),
        ("https://", ""),
        ("ftp://example.org/", ""),
        ("https://me@example.org/", ""),
    ],
)
def test_a_base_url_that_no_site_can_have_is_refused_with_its_cause(tmp_path: Path, url: str, cause: str) -> None:
    said = refusal(tmp_path, f"[report]\nbase_url = '{url}'")
    assert said.startswith(
        f"[report] base_url: expected a folder's address that begins with https:// or http://{cause}"
    )


# Networks


def test_a_report_has_the_networks_that_it_names_in_their_order(tmp_path: Path) -> None:
    """Not two that the program names, as before: none, one, or any number."""
    for names in ((), ("alexnet",), ("zebra", "photo", "A-1"), tuple(f"net_{number}" for number in range(20, 0, -1))):
        text = "[models]\n" + "".join(f"[models.{name}]\nweights = 'random'\n" for name in names)
        models = load(written(tmp_path, text)).models
        assert models.ids == names
        assert [models[name].weights for name in names] == ["random"] * len(names)
        with pytest.raises(KeyError):
            models["cnn"]


def test_all_that_is_said_of_a_network_arrives(tmp_path: Path) -> None:
    network = load(
        written(
            tmp_path,
            """
[models.mine]
title = "My <b>net</b>"
architecture = "nets/net.py:Outer.Net"
arguments = {width = 4, "odd name" = [1, 2], deep = {a = true}}
classes = ["n01443537", "banana"]
input = {size = [48, 192], resize = 60, crop = "none", interpolation = "lanczos", mean = [1, 2], std = 0.5, range = 255}
layer = "conv"
other_class = ["banana", { of = "goldfish", against = ["bee", "fly"] }, { against = "bee" }]
show = ["conv1", "conv3+relu"]
channels = 64
""",
        )
    ).models["mine"]
    assert network == ModelConfig(
        "mine",
        title="My <b>net</b>",
        architecture="nets/net.py:Outer.Net",
        arguments={"width": 4, "odd name": [1, 2], "deep": {"a": True}},
        classes=("n01443537", "banana"),
        input=InputConfig((48, 192), 60, "none", "lanczos", 2, (1.0, 2.0), (0.5,), 255.0),
        layer="conv",
        other_class=(Asked(("banana",)), Asked(("goldfish",), ("bee", "fly")), Asked((), ("bee",))),
        show=("conv1", "conv3+relu"),
        channels=64,
    )
    assert InputConfig().given == {}
    assert InputConfig((8, 9), std=(0.5,)).given == {"size": (8, 9), "std": (0.5,)}


@pytest.mark.parametrize("name", ["cnn", "resnet-18_b", "0", "photo", "folder2", "a" * 40])
def test_a_network_may_have_any_short_name(tmp_path: Path, name: str) -> None:
    assert load(written(tmp_path, f"[models.{name}]")).models.ids == (name,)


@pytest.mark.parametrize("name", ["", "-a", "_a", "a b", "a/b", "..", "a.b", "é", "<b>", "a" * 41, "a\\n"])
def test_a_name_that_could_be_no_file_s_is_refused(tmp_path: Path, name: str) -> None:
    said = refusal(tmp_path, f'[models."{name}"]')
    assert "expected a name of letters, digits, - and _, at most 40 of them, the first a letter or a digit" in said


def test_two_names_that_differ_in_capital_letters_only_are_refused(tmp_path: Path) -> None:
    """Some systems would keep both in one folder, and write one's pages over the other's."""
    said = refusal(tmp_path, "[models.cnn]\n[models.other]\n[models.CNN]")
    assert (
        said == "[models] CNN: expected a name that differs from [models.cnn] by more than capital letters, got a table"
    )


@pytest.mark.parametrize("name", ["SmallCNN", "AlexNet", "torchvision.models:resnet18", "net.py:Net", "a/b.py:A.B"])
def test_an_architecture_is_one_of_two_or_a_place_and_a_name(tmp_path: Path, name: str) -> None:
    assert load(written(tmp_path, f"[models.a]\narchitecture = '{name}'")).models["a"].architecture == name


@pytest.mark.parametrize("name", ["resnet18", "net.py", "net.py:", ":Net", "net.py:Net()", "net.py: Net", "smallcnn"])
def test_another_architecture_is_refused(tmp_path: Path, name: str) -> None:
    said = refusal(tmp_path, f"[models.a]\narchitecture = '{name}'")
    assert said.startswith('[models.a] architecture: expected "SmallCNN", "AlexNet", "package.module:name", "file.py')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("size = 0", "size: expected a side in pixels from 1 to 4096, or [height, width], got 0"),
        ("size = [64]", "size: expected a side in pixels from 1 to 4096, or [height, width], got an array of one item"),
        ("size = [64, true]", "size: expected a side in pixels from 1 to 4096, or [height, width], got an array of 2"),
        ("size = 64\nresize = 32", "resize: expected at least the shorter side of size, 64, got 32"),
        ("size = [48, 192]\nresize = 47", "resize: expected at least the shorter side of size, 48, got 47"),
        ("resize = 0", "resize: expected a whole number from 1 to 8192, got 0"),
        ("crop = 'center'", 'crop: expected "centre" or "squash" or "none", got "center"'),
        (
            "interpolation = 'box'",
            'interpolation: expected "nearest" or "bilinear" or "bicubic" or "lanczos", got "box"',
        ),
        ("channels = 0", "channels: expected a whole number from 1 to 64, got 0"),
        ("channels = 1\nmean = [1, 2, 3]", "mean: expected a number for each of the 1 channels, got an array of 3"),
        ("mean = [1, 2, 3]\nstd = [1, 2]", "std: expected a number for each of the 3 channels, got an array of 2"),
        ("mean = []", "mean: expected numbers, one for each channel, got an array of 0"),
        ("mean = nan", "mean: expected numbers, one for each channel, got nan"),
        ("std = [1, 0, 1]", "std: expected numbers above 0, one for each channel, got an array of 3"),
        ("range = 0", "range: expected a number from 0.001 to 65535, got 0"),
        ("colour = 3", "colour: expected a known key, got this one; the keys are "),
    ],
)
def test_a_wrong_input_is_told_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    assert refusal(tmp_path, f"[models.cnn.input]\n{text}").startswith(f"[models.cnn.input] {said}")


def test_of_the_channels_the_longest_list_tells_how_many_there_are_and_a_number_alone_nothing(tmp_path: Path) -> None:
    """0.5 is every channel's, as users write it; [0.5] is that of a grey image."""
    for text, channels in (
        ("mean = 0.5\nstd = 0.5", None),
        ("mean = [0.5]", 1),
        ("mean = 0.5\nstd = [1, 2, 3]", 3),
        ("channels = 1\nmean = 0.5", 1),
    ):
        assert load(written(tmp_path, f"[models.cnn.input]\n{text}")).models["cnn"].input.channels == channels


def test_arguments_and_classes_are_read_by_their_kind(tmp_path: Path) -> None:
    assert refusal(tmp_path, "[models.a]\narguments = 3") == "[models.a] arguments: expected a table, got 3"
    assert "classes: expected an array of strings" in refusal(tmp_path, "[models.a]\nclasses = 'a'")


@pytest.mark.parametrize("value", ["2026-07-31", "nan", "[1, [-inf]]", "{deep = 07:30:00}", "9223372036854775808"])
def test_an_argument_that_no_weights_file_could_keep_is_refused(tmp_path: Path, value: str) -> None:
    """Before, it was found out after the training."""
    said = refusal(tmp_path, f"[models.a]\narguments = {{width = 4, since = {value}}}")
    assert said.startswith("[models.a] arguments: expected strings, finite numbers, true, false, arrays and tables of")
    assert "as since" in said


def test_logs_are_files_and_folders_from_report_toml_on(tmp_path: Path) -> None:
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "log.csv").touch()
    for said, found in (
        ('"log.csv"', ("log.csv",)),
        ('["runs/a", "./log.csv", "log.csv"]', ("runs/a", "log.csv")),
        ('"."', (".",)),
        ("[]", ()),
    ):
        network = load(written(tmp_path, f"[models.a]\nlogs = {said}")).models["a"]
        assert network.logs == tuple(tmp_path / name for name in found)


@pytest.mark.parametrize(
    ("said", "came"),
    [
        ("3", "3"),
        ('""', '""'),
        ('["log.csv", 3]', "3"),
        ("true", "true"),
        ('"a\\u0001b"', '"a\\u0001b"'),
        ("{a = 1}", "a table"),
    ],
)
def test_what_is_no_path_of_a_log_is_refused(tmp_path: Path, said: str, came: str) -> None:
    (tmp_path / "log.csv").touch()
    expected = f"[models.a] logs: expected a file or folder of logs, or an array of such, got {came}"
    assert refusal(tmp_path, f"[models.a]\nlogs = {said}") == expected


def test_a_log_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "round").symlink_to(tmp_path / "round")
    for name in ("none.csv", "round", "x" * 300):
        said = refusal(tmp_path, f'[models.a]\nlogs = ["{name}"]')
        assert said.endswith(f"which is not there ({tmp_path / name})")


def test_predictions_are_a_file_and_all_that_is_said_of_their_network(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    told = 'predictions = "a.csv"'
    found = load(written(tmp_path, f'[models.a]\n{told}\nclasses = ["b", "c"]')).models["a"]
    assert (found.predictions, found.classes) == (tmp_path / "a.csv", ("b", "c"))
    for key, value in (
        ("weights", '"random"'),
        ("architecture", '"SmallCNN"'),
        ("input", "{size = 3}"),
        ("show", "[]"),
    ):
        said = refusal(tmp_path, f"[models.a]\n{told}\n{key} = {value}")
        assert said.startswith(
            f"[models.a] {key}: expected none beside predictions, which are all that is known of the"
        )
    assert refusal(tmp_path, '[models.a]\npredictions = "b.csv"').startswith(
        "[models.a] predictions: expected a file, got"
    )


@pytest.mark.parametrize(("said", "found"), [("0", 0), ("12", 12), ('"best"', "best"), ('"last"', "last")])
def test_the_kept_epoch_is_a_number_or_a_word(tmp_path: Path, said: str, found: object) -> None:
    (tmp_path / "log.csv").touch()
    assert load(written(tmp_path, f'[models.a]\nlogs = "log.csv"\nkept = {said}')).models["a"].kept == found
    alone = refusal(tmp_path, f"[models.a]\nkept = {said}")
    assert alone.startswith("[models.a] kept: expected logs beside it, of which it is an epoch, got ")


@pytest.mark.parametrize("said", ["-1", "1.5", "true", '"first"', "[1]"])
def test_another_kept_epoch_is_refused(tmp_path: Path, said: str) -> None:
    found = refusal(tmp_path, f"[models.a]\nkept = {said}")
    assert found.startswith('[models.a] kept: expected the number of an epoch or "best" or "last", got ')
