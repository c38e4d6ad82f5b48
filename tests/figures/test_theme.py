"""The one place of colours: what is read and seen has contrast in both themes, and no colour stands elsewhere."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import tinycss2
from numpy.typing import NDArray
from tinycss2.color3 import parse_color

from generator.figures import theme

ROOT = Path(__file__).parents[2]
TEXT, MARK = 4.5, 3.0  # WCAG 2.2, 1.4.3 and 1.4.11
PAGE_SIDE = ("figures", "report", "pages", "publishing")  # wings that might paint
# What lies below a photo's transparency, and around one too small for the cut, is how the photo is read, as Pillow and
# torchvision have it, and no look of the report.
READING = {("generator/data/image_files.py", "white"), ("templates/photos.js", "#fff"), ("templates/photos.js", "#000")}
FUNCTIONS = {"rgb", "rgba", "hsl", "hsla", "hwb", "lab", "lch", "oklab", "oklch", "color", "color-mix", "light-dark"}
NO_COLOUR = {"transparent", "currentcolor"}
WRITTEN = re.compile(
    r"""(?<![&\w/"]) (?<!href=") (?<!href=') \#(?:[0-9a-f]{8}|[0-9a-f]{6}|[0-9a-f]{3,4})\b   # not &#123; and no address
    | (?<=["'`]) (?<!href=["']) \#(?:[0-9a-f]{8}|[0-9a-f]{6}|[0-9a-f]{3,4}) (?=["'`])
    | \b(?:rgb|hsl|hwb|lab|lch|oklab|oklch)a?\(\s*[\d.]
    | \b[0-9a-f]{6}(?:[ ,]+[0-9a-f]{6}){2,}\b                                     # a ramp
    """,
    re.VERBOSE | re.IGNORECASE,
)
PAINTED = re.compile(r"""(?:\w*colou?r|background|fill\w*|stroke\w*)["']?\s*[:=]\s*["'`](\w+)["'`]""", re.IGNORECASE)


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio of two colours #rrggbb."""

    def luminance(colour: str) -> float:
        shares = [value / 255 for value in theme.rgb(colour)]
        red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def shade(name: str, dark: bool) -> str:
    return theme.PAGE[name].dark if dark else theme.PAGE[name].light


def named(word: str) -> bool:
    return word.lower() not in NO_COLOUR and parse_color(word) is not None


def in_style(text: str) -> Iterator[str]:
    """The colours that a style sheet says by value; a selector's #id is none."""
    waiting = list(tinycss2.parse_stylesheet(text, skip_comments=True, skip_whitespace=True))
    while waiting:
        node = waiting.pop()
        if node.type == "qualified-rule":
            waiting += tinycss2.parse_blocks_contents(node.content, skip_comments=True, skip_whitespace=True)
        elif node.type == "at-rule":
            waiting += node.prelude
            if node.content is not None:
                waiting += tinycss2.parse_blocks_contents(node.content, skip_comments=True, skip_whitespace=True)
        elif node.type == "declaration":
            waiting += node.value
        elif node.type == "function":
            if node.lower_name in FUNCTIONS:
                yield node.serialize()
            waiting += node.arguments
        elif node.type == "() block":
            waiting += node.content
        elif node.type in ("hash", "ident") and named(node.serialize()):
            yield node.serialize()


def in_text(text: str) -> Iterator[str]:
    """The colours of a script or a template."""
    yield from (found.group() for found in WRITTEN.finditer(text))
    yield from (found[1] for found in PAINTED.finditer(text) if named(found[1]))


def in_code(text: str, paints: bool = True) -> Iterator[str]:
    """The colours of a Python file: in its strings, its calls and, where it `paints`, as bytes and maps by name."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from (found.group() for found in WRITTEN.finditer(node.value))
            if paints and node.value in {"inferno", "viridis", "cividis", "magma", "plasma", "turbo", "jet", "RdBu_r"}:
                yield node.value
        elif isinstance(node, ast.Call):
            said = [*node.args, *(keyword.value for keyword in node.keywords)]
            words = [one.value for one in said if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            yield from filter(named, words)
        elif isinstance(node, ast.Dict):
            yield from (found[1] for found in PAINTED.finditer(ast.unparse(node)) if named(found[1]))
        elif paints and isinstance(node, (ast.Tuple, ast.List)) and len(node.elts) in (3, 4):
            values = [one.value for one in node.elts if isinstance(one, ast.Constant)]
            bytes_ = [one for one in values if type(one) is int and 0 <= one <= 255]
            if len(bytes_) == len(node.elts) and max(bytes_) >= 100:
                yield ast.unparse(node)


def colours_of(file: Path) -> set[str]:
    text = file.read_text("utf-8")
    if file.suffix == ".css":
        return set(in_style(text))
    if file.suffix == ".py":
        return set(in_code(text, file.relative_to(ROOT).parts[1] in PAGE_SIDE))
    return set(in_text(text))


def test_no_colour_stands_outside_the_theme() -> None:
    own = "generator/figures/theme.py"
    files = [file for ending in ("css", "js", "html") for file in (ROOT / "templates").rglob(f"*.{ending}")]
    files += [file for file in (ROOT / "generator").rglob("*.py") if "_bundled" not in file.parts]
    found = {(file.relative_to(ROOT).as_posix(), colour) for file in files for colour in colours_of(file)}
    assert len(files) > 200
    assert sorted(pair for pair in found - READING if pair[0] != own) == []
    assert found >= READING
    assert {colour for file, colour in found if file == "generator/figures/theme.py"} >= {
        "#fcfbf8",
        "#14161a",
        "RdBu_r",
    }


@pytest.mark.parametrize(
    ("finder", "text", "colours"),
    [
        (in_style, "#fade, .bad { color: var(--ink); border: 1px solid transparent }", []),
        (in_style, "p { color: #fff; background: url(#abc) White }", ["#fff", "White"]),
        (in_style, "@media print { p { margin: 0; outline: 1px solid rgb(0 0 0 / 0.5) } }", ["rgb(0 0 0 / 0.5)"]),
        (in_style, "@supports (color: light-dark(red, red)) { p { a { fill: hsl(1 2% 3%) } } }", None),
        (in_text, '<a href="#add">&#123; #{{ id }}</a> <p id="fff">rgb(${one})', []),
        (in_text, '<i value="#d02020"> x.fillStyle = "#fff"; y.strokeStyle = `black`', ["#d02020", "#fff", "black"]),
        (in_text, 'ramp("000004 1b0c41 4a0c6b") + `rgb(1, 2, 3)`', ["000004 1b0c41 4a0c6b", "rgb(1"]),
        (in_code, "plot(color='black'); new('RGB', 1, 'white')", ["black", "white"]),
        (in_code, "STYLE = 'body{color:#1b1b19}'; A = {'color': 'black'}", ["#1b1b19", "black"]),
        (in_code, "PAPER = (252, 251, 248); AXES = (0, 2, 3); paint(x, 'viridis')", ["(252, 251, 248)", "viridis"]),
        (in_code, "said = 'black' if dark else f'{white}'; 'red is positive, #3'", []),
    ],
)  # fmt: skip
def test_a_colour_is_found_however_it_is_written(finder, text, colours) -> None:  # type: ignore[no-untyped-def]
    found = list(finder(text))
    assert found if colours is None else sorted(found) == sorted(colours)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_what_is_read_and_seen_has_contrast_on_its_grounds(dark: bool) -> None:
    for ground in ("paper", "wash"):
        for words in ("ink", "soft", "accent"):
            assert contrast(shade(words, dark), shade(ground, dark)) >= TEXT, (words, ground)
    paper = shade("paper", dark)
    marks = [*theme.SERIES, theme.MARK, *series(dark)]
    assert [mark for mark in marks if contrast(mark, paper) < MARK] == []


def test_a_frame_over_a_photo_is_seen_on_any_colour() -> None:
    """One of its two lines is, whatever lies below: of black and white one is at 4.58 or more."""
    greys = [f"#{value:02x}{value:02x}{value:02x}" for value in range(256)]
    lines = (theme.OVER["frame"], theme.OVER["rim"])
    assert min(max(contrast(line, grey) for line in lines) for grey in greys) >= MARK


def test_contrast_is_that_of_the_recommendation() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)  # the lightest grey that is read on white


# Machado, Oliveira and Fernandes 2009, doi:10.1109/TVCG.2009.113: linear RGB as it looks without one kind of cone.
SIGHT = {
    "full": np.eye(3),
    "no long cones": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "no middle cones": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "no short cones": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def lab(colour: str, sight: str) -> NDArray[np.float64]:
    """CIELAB of a colour as it looks to somebody, for D65."""
    share = np.frombuffer(bytes.fromhex(colour[1:]), np.uint8) / 255
    line = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(xyz @ np.clip(SIGHT[sight] @ line, 0.009, 1) / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def series(dark: bool) -> list[str]:
    """The colours of charts as the pages show them."""
    changed = {name: shade(name, dark) for name in theme.PAGE}
    return [changed.get(f"series-{number}", colour) for number, colour in enumerate(theme.SERIES, start=1)]


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize(
    "colours", [[*theme.SERIES], series(dark=False), series(dark=True)], ids=["svg", "light", "dark"]
)
def test_series_are_told_apart_by_everybody(colours: list[str], sight: str) -> None:
    """By 20 units of CIELAB; 2.3 are a just noticeable difference."""
    for one, other in combinations([lab(colour, sight) for colour in colours], 2):
        assert np.linalg.norm(one - other) >= 20


def test_the_theme_is_plain_data() -> None:
    """Pages and exports take it without matplotlib, NumPy or Pillow."""
    parts = list(ast.walk(ast.parse(Path(theme.__file__).read_text("utf-8"))))
    imported = [node for node in parts if isinstance(node, ast.Import)]
    brought = [node.module for node in parts if isinstance(node, ast.ImportFrom)]
    assert (imported, brought) == ([], ["__future__", "collections.abc", "dataclasses", "typing"])


def test_the_bytes_of_a_colour() -> None:
    assert theme.rgb("#fcfbf8") == (252, 251, 248) == theme.PAPER
    assert theme.STRUCK == (138, 138, 134, 255)


def declarations(rules: list[object]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for rule in rules:
        for one in tinycss2.parse_blocks_contents(rule.content, skip_comments=True, skip_whitespace=True):  # type: ignore[attr-defined]
            found[one.lower_name] = tinycss2.serialize(one.value).strip()
    return found


def test_style_sheets_are_given_every_colour_twice() -> None:
    """First as old browsers read it, then for both themes where a browser knows how."""
    *first, later = tinycss2.parse_stylesheet(theme.declared(), skip_whitespace=True)
    assert [tinycss2.serialize(rule.prelude).split() for rule in first] == [[":root"], [":root,", "::backdrop"]]
    assert declarations(first) == {
        **{f"--{name}": one.light for name, one in theme.PAGE.items()},
        **{f"--{name}": colour for name, colour in theme.OVER.items()},
    }
    assert later.at_keyword == "supports"
    inner = tinycss2.parse_rule_list(later.content, skip_whitespace=True)
    assert declarations(inner) == {
        f"--{name}": f"light-dark({one.light}, {one.dark})" for name, one in theme.PAGE.items()
    }


def test_style_sheets_name_only_what_is_declared() -> None:
    styles = [file.read_text("utf-8") for file in sorted((ROOT / "templates").rglob("*.css"))]
    said = {*re.findall(r"var\((--[\w-]+)", "".join(styles))}
    known = {*re.findall(r"(--[\w-]+):", theme.declared() + "".join(styles))}
    assert sorted(said - known) == []
    assert sorted({f"--{name}" for name in (*theme.PAGE, *theme.OVER)} - said) == []
