"""Nothing false on the pages: each number and each comparison is computed anew from results.json, or is a definition.

Whoever changes a sentence with a number changes its rule; whoever adds one adds a rule to `rules` or `trust_rules`, a
check to `tables`, or, where it holds for every report whatever was measured, a line with its reason to `definitions`.
"""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from functools import cache
from typing import Any

import pytest

from generator.pages import render
from generator.pages.results import results
from generator.records.network import Network
from generator.report.overview.drawing import drawing
from generator.report.portrait import portrait
from tests import sites
from tests.pages.truth import trust_rules  # noqa: F401 - its rules are beside those of `rules`
from tests.pages.truth.definitions import DEFINITIONS
from tests.pages.truth.rules import RULES, ece, main_run
from tests.pages.truth.tables import TABLES, texts
from tests.pages.truth.text import Grid, Piece, Site, patterns, pieces, plain, site
from tests.report.test_overview import block

# What claims something that a measurement could contradict.
CLAIMS = re.compile(
    r"\d|\b(?:most|best|worst|largest|smallest|strongest|weakest|highest|lowest|least|fewest|only|alone|all|none|every|"
    r"always|never|mostly|rarely|usually|often|more|less|fewer|better|worse|larger|smaller|stronger|weaker|beats?|loses?|"
    r"ahead|behind|than|faster|slower)\b",
    re.IGNORECASE,
)


def faults(whole: Site) -> Iterator[str]:
    """What is false, or known to nothing."""
    rules = [(patterns(one.template, whole), literal(one.template), one) for one in RULES]
    known = sorted({plain(one) for group in DEFINITIONS.values() for one in group}, key=len, reverse=True)
    definitions = re.compile("|".join(rf"(?<!\w){re.escape(one)}(?!\w)" for one in known))
    assert all(known)
    for one in pieces(whole):
        if isinstance(one, Grid):
            check = next((found for name, found in TABLES if re.fullmatch(name, one.piece.text)), None)
            if check is not None:
                yield from _tried(one.piece, lambda check=check, one=one: check(one))
                continue
        for piece in texts(one) if isinstance(one, Grid) else [one]:
            yield from _text(piece, rules, definitions)


def _text(piece: Piece, rules: list, definitions: re.Pattern[str]) -> Iterator[str]:  # type: ignore[type-arg]
    text = left = piece.text
    if not CLAIMS.search(definitions.sub(" ", left)):
        return
    for pattern, always, one in rules:
        if always not in text or not re.match(one.page, piece.page) or not re.match(one.kind, piece.kind):
            continue
        for found in _found(pattern, text, one.alone):
            whole = not re.search(r"\w", text[: found.start()][-1:] + text[found.end() :][:1])
            if found[0] in left and whole and CLAIMS.search(found[0]):
                said = {**{name: text or "" for name, text in found.groupdict().items()}, "whole": found[0]}
                yield from _tried(piece, lambda one=one, said=said: one.check(piece, said))
                left = left.replace(found[0], " ", 1)
    left = definitions.sub(" ", without_names(piece, left))
    if claim := CLAIMS.search(left):
        yield f"{piece.page} <{piece.kind}>: no rule and no definition knows “{claim[0]}” in: {left.strip()}"


def literal(template: str) -> str:
    """The longest words that each sentence of a kind has: looked for first, for a pattern costs a hundred times as much."""
    while template != (inner := re.sub(r"⟦[^⟦⟧⟨⟩]*⟧|⟨[^⟦⟧⟨⟩]*⟩", "«»", template)):
        template = inner
    return max(re.split(r"«[^»]*»", template), key=len)


def _found(pattern: re.Pattern[str], text: str, alone: bool) -> list[re.Match[str]]:
    return [found for found in [pattern.fullmatch(text)] if found] if alone else [*pattern.finditer(text)]


def without_names(piece: Piece, text: str) -> str:
    """The text without names that hold numbers: of photos, licences, data sets, layers and stages."""
    results = piece.site.results
    names = {results["data"]["name"], *(photo["title"] for photo in results["photos"])}
    names |= {photo["credit"]["licence"] for photo in results["photos"] if photo["credit"]}
    for network in results["networks"].values():
        names |= {network["title"], *(layer[key] for layer in network["layers"] for key in ("title", "name"))}
        names |= {layer[0] for layer in network["summary"]}
        stages = [stage for look in network["photos"].values() for stage in look["stages"]]
        names |= {stage["layer"] for stage in stages}
        names |= {
            f"stage {place}"
            for place in range(1, 1 + max(map(len, (look["stages"] for look in network["photos"].values())), default=0))
        }
    known = sorted((plain(name) for name in names if re.search(r"\d", name)), key=len, reverse=True)
    return re.sub(
        "|".join(rf"(?<!\d){re.escape(name)}(?!\w)" for name in known) or "(?!)", " ", text, flags=re.IGNORECASE
    )


def _tried(piece: Piece, check) -> Iterator[str]:  # type: ignore[no-untyped-def]
    try:
        check()
    except (AssertionError, LookupError, ValueError, TypeError, StopIteration) as error:
        line = traceback.extract_tb(error.__traceback__)[-1].line
        yield f"{piece.page} <{piece.kind}> {piece.text[:150]}: {type(error).__name__} {error} ({line})"


@cache
def small() -> Mapping[str, bytes]:
    """The tests' synthetic report, with bins that say what its calibration errors say, and all of its mistakes."""
    drawn, _ = sites.drawn()
    report = replace(drawn, networks=tuple(map(consistent, drawn.networks)))
    figures = {figure.id: figure for figure in sites.figures_of(report)}
    return dict(render(report, figures, sites.settings(), (sites.ROOT / "templates",), sites.ROOT / "content"))


def consistent(network: Network) -> Network:
    """The network with calibration errors that follow from their bins."""
    assert network.evaluation is not None
    splits = {
        name: replace(
            scores,
            calibration=replace(scores.calibration, error=ece(asdict(scores.calibration))),
            calibration_scaled=replace(scores.calibration_scaled, error=ece(asdict(scores.calibration_scaled))),
        )
        for name, scores in network.evaluation.splits.items()
    }
    return replace(network, evaluation=replace(network.evaluation, splits=splits))


def test_a_report_of_ones_own_says_nothing_false() -> None:
    found = [*faults(site(small()))]
    assert not found, "\n".join(found)


FALSE = (
    ("index.html", "It correctly names 32", "It correctly names 33"),
    ("evaluation.html", "3 of 10 images of lion named bee", "3 of 10 images of bee named lion"),
    ("evaluation.html", "Best found: pizza (10 of 10)", "Worst found: pizza (10 of 10)"),
    ("evaluation.html", "Here it is 9.0", "Here it is 8.9"),
    ("evaluation.html", "points less sure than right", "points more sure than right"),
    ("failures.html", "SmallCNN gets 1 of", "SmallCNN gets 2 of"),
    ("feature-maps.html", "none silent", "1 silent"),
    ("grad-cam-slice.html", "strongest at the lower right", "strongest at the upper right"),
    ("grad-cam.html", "no positive evidence for 1 of 4", "no positive evidence for 2 of 4"),
    ("training.html", "8.8 points ahead of validation", "8.8 points behind validation"),
    ("training.html", "at most 0.004 in epoch 1", "at most 0.004 in epoch 2"),
    ("trust.html", "of all methods LayerCAM does best there", "of all methods Score-CAM does best there"),
    ("trust.html", "cannot be told apart from it", "beats it"),
    ("index.html", "8 maps of 4\u00a0×\u00a04", "8 maps of 8\u00a0×\u00a08"),
    ("index.html", "; 288 weights", "; 289 weights"),
    ("filters.html", "a unit sees 8\u00a0×\u00a08", "a unit sees 3\u00a0×\u00a03"),
    ("trust.html", ">80.00<", ">80.01<"),
    ("try.html", "every answer is the same", "the best answers are the same"),
    ("data.html", "1,800 of its images", "1,900 of its images"),
)


@pytest.mark.parametrize(("page", "so", "false"), FALSE)
def test_a_sentence_that_is_made_false_is_found(page: str, so: str, false: str) -> None:
    files = dict(small())
    text = files[page].decode()
    assert so in text, f"{page} does not say “{so}”"
    only = {path: data for path, data in files.items() if not path.endswith(".html")}
    assert [*faults(site(only | {page: text.replace(so, false).encode()}))]


def test_a_measurement_that_changes_makes_its_sentences_false() -> None:
    files = dict(small())
    told = json.loads(files["results.json"])
    told["networks"]["cnn"]["evaluation"]["splits"]["test"]["confusion"][2][0] += 1
    pages = {path: data for path, data in files.items() if not path.endswith(".html") or path == "evaluation.html"}
    found = [*faults(site(pages | {"results.json": json.dumps(told).encode()}))]
    assert any("most frequent confusion" in one for one in found)


def branching() -> dict[str, bytes]:
    """The results and the pictures of networks that branch: a residual one and a transformer."""
    tokens: dict[str, Any] = {"grid": (4, 4), "channels": 32, "sees": None, "convolutions": 0}
    first = block("features.conv1", (4, 16, 16))
    ways = [
        replace(block(f"layer1.{place}", (4, 16, 16), steps=2 + way), paths=(2, way), joined="addition")
        for place, way in enumerate((1, 0, 0))
    ]
    mixed = block("mixed", (8, 8, 8), steps=6, paths=(1, 2, 2, 1), joined="concatenation")
    pooled = block("pool", (8, 8, 8), steps=0, weights=8, inside=("pool", "norm"))
    attending = [
        block(f"blocks.{place}", (17, 32), paths=(1, 0), joined="addition", attends=place % 2 == 0, **tokens)
        for place in range(12)
    ]
    end = block("head", (4,), convolutions=0, sees=None)
    drawn, _ = sites.drawn()
    cnn, alexnet = drawn.networks
    summary = (("pool", "maximum pooling 2×2", ""), ("norm", "batch normalisation", ""))
    residual = replace(cnn, blocks=(first, *ways, mixed, pooled, end), summary=summary)
    embedded = block("embed", (17, 32), **{**tokens, "convolutions": 1, "sees": (4, 4)})
    networks = (residual, replace(alexnet, blocks=(embedded, *attending, end)))
    report = replace(drawn, networks=networks)
    told = results(report, tuple(portrait(network, report.photos) for network in networks))
    return {
        "results.json": json.dumps(told).encode(),
        **{f"filters-{one.id}-conv.html": pictured(one).encode() for one in networks},
    }


def pictured(network: Network) -> str:
    """A network's picture and the list below it, as templates/drawing.html has them."""
    made = drawing(network, None, "", ("filters",))
    assert made is not None
    items = (f"<li><div><strong>{part.title}</strong> <small>{part.told}</small></div></li>" for part in made.parts)
    return f"<figure>{made.svg}<ol>{''.join(items)}</ol><figcaption>{made.caption}</figcaption></figure>"


def test_pictures_of_networks_that_branch_say_nothing_false() -> None:
    files = branching()
    text = b"".join(files.values()).decode()
    found = [*faults(site(files))]
    assert not found, "\n".join(found)
    for so, false in (
        ("2 paths of 2 and 1 steps", "2 paths of 2 and 2 steps"),
        ("2 steps and a way around", "2 paths of 2 and 1 steps"),
        ("4 paths of 1, 2, 2 and 1 steps", "3 paths of 1, 2 and 2 steps"),
        ("Inception block", "Dense block"),
        ("6 transformer blocks", "7 transformer blocks"),
        ("17 tokens of 32 numbers", "16 tokens of 32 numbers"),
        ("4 × 4 of them", "5 × 5 of them"),
        ("8 weights of batch normalisation", "8 weights of layer normalisation"),
    ):
        assert so in text, so
        told = {path: data if path == "results.json" else data.decode().replace(so, false).encode()
                for path, data in files.items()}  # fmt: skip
        assert [*faults(site(told))], so


TURNS = (
    "From epoch 3 on crops keep at least 55 % of an image instead of 35 % and images are turned by up to 0° instead of 5°: "
    "training accuracy goes from 30.0 % to 50.0 %."
)


@pytest.mark.parametrize(
    ("so", "false"), [("", ""), ("3 on", "2 on"), ("55 %", "54 %"), ("5°", "6°"), ("50.0", "50.1"), ("crops", "images")]
)
def test_where_images_become_milder_follows_from_the_settings(so: str, false: str) -> None:
    told = json.loads(small()["results.json"])
    run = main_run(told["networks"]["cnn"])
    how = {"area": 0.35, "cutmix": 0.5, "rotation": 5}
    run["settings"] = {"epochs": 4, "tail": 0.5, "augmentation": how, "mild": {**how, "area": 0.55, "rotation": 0.0}}
    accuracies = enumerate((0.1, 0.3, 0.5, 0.6), 1)
    run["epochs"] = [{"epoch": number, "train_accuracy": accuracy} for number, accuracy in accuracies]
    page = f'<section id="cnn"><p>{TURNS.replace(so, false, 1)}</p></section>'
    found = [*faults(site({"results.json": json.dumps(told).encode(), "training.html": page.encode()}))]
    assert bool(found) == bool(so), found


def test_words_that_stand_for_every_report_claim_nothing_that_is_measured() -> None:
    """A sentence of content/ or of a template without a computed value is a definition or makes no comparison."""
    known = sorted({plain(one) for group in DEFINITIONS.values() for one in group}, key=len, reverse=True)
    definitions = re.compile("|".join(map(re.escape, known)))
    found = [
        f"{file.name}: “{claim[0]}” in: {sentence}"
        for file in (*sites.ROOT.glob("content/*.md"), *sites.ROOT.glob("templates/*.html"))
        for sentence in constant(file.read_text("utf-8"))
        if (claim := CLAIMS.search(definitions.sub(" ", sentence))) and not any(sentence in one for one in known)
    ]
    assert not found, "\n".join(found)


def constant(source: str) -> list[str]:
    """The sentences of a file that hold no value, cut at its tags; a condition cuts a sentence, too."""
    text = re.sub(r"\{#.*?#\}", " ", source, flags=re.DOTALL)
    text = re.sub(r"\{\{.*?\}\}", "▯", text, flags=re.DOTALL)
    text = re.sub(r"\{%.*?%\}", "\n", text, flags=re.DOTALL)
    text = re.sub(r"^#+ |^\w+: |<[^>]*>|^---$", "\n", text, flags=re.MULTILINE | re.DOTALL)
    sentences = (plain(one) for one in re.split(r"(?<=[.?!]) (?=[A-Z▯])|\n", text.replace("*", "")))
    return [one for one in sentences if one and "▯" not in one]
