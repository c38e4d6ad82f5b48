"""The overview: the photos to choose from with their pictures, and the picture of a network."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from generator.records.figure import Figure
from generator.records.images import Photo
from generator.records.input import Input, square
from generator.records.network import Block, Network
from generator.records.report import Report
from generator.report.overview import cells, choices, drawing
from tests import synthetic


def pictures(report: Report) -> dict[str, Figure]:
    return {figure.id: figure for figure in choices.choice_figures(report)}


def decoded(figure: Figure) -> NDArray[np.int64]:
    return np.asarray(Image.open(io.BytesIO(figure.files[figure.src])).convert("RGBA")).astype(np.int64)


def scene(identifier: str, label: int | None) -> Photo:
    """A photo without a ground of one colour."""
    return synthetic.photo(identifier, label)


def thing(identifier: str, label: int | None) -> Photo:
    """A photo of something on a plain ground."""
    pixels = np.full((16, 16, 3), 230, np.uint8)
    pixels[5:10, 5:10] = [10, 90, 10]
    return replace(synthetic.photo(identifier, label), pixels=pixels)


class TestChoices:
    def test_photographs_come_before_things_on_a_plain_ground(self) -> None:
        photos = [thing("a", 0), scene("b", 1), thing("c", 2), scene("d", 3)]
        assert [one.look.photo.id for one in choices.choices(synthetic.report(photos=photos))] == ["b", "d", "a", "c"]

    def test_at_most_six_and_not_the_right_ones_alone(self) -> None:
        # Photo i is called class i modulo 4: from the fifth on each is labelled otherwise.
        photos = [thing(f"p{i}", i % 4 if i < 8 else (i + 1) % 4) for i in range(12)]
        found = choices.choices(synthetic.report(photos=photos))
        assert [one.look.photo.id for one in found] == ["p0", "p1", "p2", "p3", "p8", "p9"]
        assert [one.look.right for one in found] == [True] * 4 + [False] * 2

    def test_the_first_is_right_if_one_is(self) -> None:
        photos = [scene("wrong", 1), thing("right", 1)]
        assert [one.look.photo.id for one in choices.choices(synthetic.report(photos=photos))] == ["right", "wrong"]

    def test_test_images_come_last(self) -> None:
        photos = [replace(scene("test", 0), origin="test"), thing("b", 1)]
        assert [one.look.photo.id for one in choices.choices(synthetic.report(photos=photos))] == ["b", "test"]

    def test_each_has_its_five_pictures_and_one_of_all_to_choose_by(self) -> None:
        found = pictures(synthetic.report())
        parts = ("photo", "filters", "maps", "cam", "veils")
        named = {f"{begin}-{part}" for begin in ("hero", "hero-koala", "hero-slice") for part in parts}
        assert set(found) == named | {"hero-choices"}

    def test_of_one_photo_there_is_nothing_to_choose(self) -> None:
        assert "hero-choices" not in pictures(synthetic.report(photos=[scene("bee", 0)]))

    def test_without_photos_or_networks_there_is_nothing(self) -> None:
        assert choices.choices(synthetic.report(photos=())) == ()
        assert pictures(synthetic.report(networks=())) == {}

    def test_an_answer_has_the_place_of_its_map_and_its_row(self) -> None:
        (bee, *_) = choices.choices(synthetic.report())
        assert [(one.answer.name, one.place, one.row) for one in bee.answers] == [
            ("bee", 0, "cnn-for-bee"), ("koala", 1, "cnn-for-koala"), ("lion", 2, "cnn-for-lion"),
            ("pizza", 3, "cnn-for-pizza"),
        ]  # fmt: skip

    def test_the_maps_of_all_answers_are_on_one_scale_and_clear_where_they_are_zero(self) -> None:
        photo = thing("bee", 0)
        one = synthetic.network("cnn", "Net", [photo])
        cams = np.zeros((4, 4, 4), np.float32)
        cams[0], cams[1] = 1, 0.5
        seen = {key: replace(each, cams=cams) for key, each in one.explanations.items()}
        report = synthetic.report(networks=[replace(one, explanations=seen)], photos=[photo])
        veils = decoded(pictures(report)["hero-veils"])
        assert veils.shape == (5 * 96 + 4 * 4, 96, 4)
        opacity = [int(veils[place * 100 + 48, 48, 3]) for place in range(5)]
        assert np.abs(np.array(opacity) - [191, 96, 0, 0, 0]).max() <= 2  # at most three quarters
        assert veils[96:100, :, 3].max() == 0

    def test_the_filters_stand_in_the_order_of_their_answers(self) -> None:
        # A dark image with one white pixel: the filter of ones finds 9 places of it alike, that of its middle just one.
        seen = np.zeros((5, 5, 3), np.uint8)
        seen[2, 2] = 255
        kernels = np.zeros((3, 3, 3, 3), np.float32)
        kernels[0], kernels[1], kernels[2, :, 1, 1] = 1, -1, 2
        way = Input((5, 5), mean=(0, 0, 0), std=(0.5, 0.5, 0.5))
        first = synthetic.convolution("conv", 1, kernels, 3)
        assert cells.fits(seen, kernels, way, first).tolist() == [6, 0, 12]
        # The same further down, where it is another part of the image's rows that is tried.
        tall = np.zeros((40, 5, 3), np.uint8)
        tall[37, 2] = 255
        assert cells.fits(tall, kernels, way, first).tolist() == [6, 0, 12]
        # Blue, green, red: the first channel is what the image has last.
        red = np.zeros((1, 3, 3, 3), np.float32)
        red[:, 2] = 1
        seen[2, 2] = [255, 0, 0]
        assert cells.fits(seen, red, replace(way, order="bgr"), first).tolist() == [2]


def block(name: str, shape: tuple[int, ...], steps: int = 1, **said: Any) -> Block:
    """Of a convolution, unless it is said otherwise, whose units see three pixels more each time."""
    grid = (shape[1], shape[2]) if len(shape) == 3 else None
    made = Block(name, (name,), shape, grid, shape[0], 100 * steps, (3, 3), steps, steps)
    return replace(made, **said)


def linear(name: str, outputs: int) -> Block:
    return block(name, (outputs,), convolutions=0, sees=None)


def residual(name: str, shape: tuple[int, int, int], around: int = 0) -> Block:
    return block(name, shape, steps=2 + around, paths=(2, around), joined="addition")


def drawn(blocks: Sequence[Block], **said: Any) -> drawing.Drawing:
    network = synthetic.network("cnn", "Net", [])
    made = replace(network, blocks=tuple(blocks), input=square(64), **said)
    found = drawing.drawing(made, None, "", ("filters", "feature-maps", "evaluation"))
    assert found is not None
    return found


PLAIN = (
    block("features.conv1", (4, 64, 64)),
    block("pool", (4, 32, 32), steps=0, weights=0),
    block("features.conv2", (8, 32, 32), sees=(12, 12)),
    linear("head", 4),
)


class TestDrawing:
    def test_of_an_unknown_inside_there_is_none(self) -> None:
        network = replace(synthetic.network("cnn", "Net", []), blocks=())
        assert drawing.drawing(network, None, "", ()) is None

    def test_a_plain_network_in_words(self) -> None:
        found = drawn(PLAIN)
        assert [(part.title, part.told) for part in found.parts] == [
            ("Convolution 1", "4 maps of 64 × 64; 100 weights; a unit sees 3 × 3 px"),
            ("Pooling", "4 maps of 32 × 32"),
            ("Convolution 2", "8 maps of 32 × 32; 100 weights; a unit sees 12 × 12 px"),
            ("Linear layer", "4 numbers; 100 weights"),
        ]

    def test_weights_beside_pooling_are_those_of_what_follows(self) -> None:
        pooled = block("pool", (4, 32, 32), steps=0, weights=8, inside=("pool", "bn"))
        summary = (("pool", "maximum pooling 2×2", ""), ("bn", "batch normalisation", ""))
        (part,) = drawn((pooled,), summary=summary).parts
        assert part.told == "4 maps of 32 × 32; 8 weights of batch normalisation"
        assert drawn((pooled,), summary=()).parts[0].weights == "8 weights of what follows it"

    def test_each_part_leads_to_its_page(self) -> None:
        assert [part.href for part in drawn(PLAIN).parts] == [
            "filters-cnn-conv1.html", "", "filters-cnn-conv2.html", "",
        ]  # fmt: skip

    def test_a_convolution_without_a_page_leads_to_the_table(self) -> None:
        first, second = synthetic.network("cnn", "Net", []).layers
        found = drawn(PLAIN, layers=(first,), pageless=(second,))
        assert found.parts[2].href == "filters.html#cnn"

    def test_the_end_of_a_stage_leads_to_its_maps(self) -> None:
        photo = synthetic.photo("bee", 0)
        network = replace(synthetic.network("cnn", "Net", [photo]), blocks=PLAIN, layers=())
        found = drawing.drawing(network, network.explanations["bee"], "", ("feature-maps",))
        assert found is not None
        assert found.parts[0].href == "feature-maps-bee.html#cnn-maps-bee-features-conv1"
        assert "3 × 16 × 16" in found.svg
        assert "85" not in found.svg  # probabilities are bars
        assert "evaluation.html" not in found.svg

    def test_a_page_s_own_part_is_marked(self) -> None:
        marked = drawn(PLAIN).marked("filters-cnn-conv2.html")
        assert marked.count("aria-current") == 1
        assert 'href="filters-cnn-conv2.html" aria-current="location"' in marked

    def test_blocks_are_as_large_as_their_maps(self) -> None:
        """Sides go by square roots: 64 cells are 150 units, 16 half of that."""
        found = ET.fromstring(drawn([block("a", (4, 64, 64)), block("b", (16, 16, 16)), linear("c", 4)]).svg)
        sides = [path.get("d", "") for path in found.iter("path") if path.get("class") == "side"]
        wide, high = zip(
            *((float(w), float(h)) for w, h in re.findall(r"h([\d.]+)v([\d.]+)", " ".join(sides))), strict=True
        )
        assert high == (150, 75, 6)
        assert wide == pytest.approx((3.4, 6.8, 3.4), abs=0.01)

    def test_every_part_is_an_item_with_its_words(self) -> None:
        found = ET.fromstring(drawn(PLAIN).svg)
        assert found.get("role") == "group"
        items = [one for one in found.iter("g") if one.get("role") == "group"]
        assert len(items) == 1 + len(PLAIN) + 1
        assert items[1].findtext("a/title") == ("Convolution 1: 4 maps of 64 × 64; 100 weights; a unit sees 3 × 3 px")

    def test_a_residual_block_has_a_way_around(self) -> None:
        found = drawn(
            [block("a", (4, 64, 64)), residual("b", (4, 64, 64)), residual("c", (8, 32, 32), 1), linear("d", 4)]
        )
        assert [part.title for part in found.parts[1:3]] == ["Residual block"] * 2
        assert found.parts[1].told.endswith("; 2 steps and a way around")
        assert found.parts[2].told.endswith("; 2 paths of 2 and 1 steps")
        tree = ET.fromstring(found.svg)
        assert len([path for path in tree.iter("path") if path.get("class") == "around"]) == 1
        assert "a dashed one passes on what came in" in found.caption

    def test_four_paths_of_an_inception_block(self) -> None:
        made = block("b", (4, 64, 64), steps=6, paths=(1, 2, 2, 1), joined="concatenation")
        found = drawn([block("a", (4, 64, 64)), made, linear("d", 4)])
        assert found.parts[1].title == "Inception block"
        assert found.parts[1].told.endswith("; 4 paths of 1, 2, 2 and 1 steps")
        assert len(re.findall(r"[\d.]C", found.svg)) == 3  # around the fourth

    def test_a_dense_block(self) -> None:
        made = block("b", (4, 64, 64), steps=12, paths=(12, 0), joined="concatenation")
        assert drawn([block("a", (4, 64, 64)), made, linear("d", 4)]).parts[1].title == "Dense block"

    def test_of_many_blocks_alike_ones_are_one_part(self) -> None:
        stages = [residual(f"layer{n}.{i}", (4 * n, 64 // n, 64 // n)) for n in (1, 2, 4) for i in range(6)]
        found = drawn([block("conv", (4, 64, 64)), *stages, linear("fc", 4)])
        assert [part.title for part in found.parts] == ["Convolution", *["6 residual blocks"] * 3, "Linear layer"]
        assert found.parts[1].weights == "1,200 weights"
        assert "Of several blocks alike at most 4 are drawn." in found.caption
        assert found.svg.count('class="side"') == 1 + 3 * 4 + 1

    def test_a_transformer_s_blocks_are_one_part(self) -> None:
        tokens: dict[str, Any] = {"grid": (8, 8), "channels": 32, "sees": None, "convolutions": 0}
        both = [
            block(f"blocks.{i}", (65, 32), paths=(1, 0), joined="addition", attends=i % 2 == 0, **tokens)
            for i in range(24)
        ]
        embedding = block("embed", (65, 32), **{**tokens, "convolutions": 1, "sees": (8, 8)})
        found = drawn([embedding, *both, linear("head", 4)])
        assert [part.title for part in found.parts] == ["Patch embedding", "12 transformer blocks", "Linear layer"]
        assert found.parts[1].gives == "65 tokens of 32 numbers, 8 × 8 of them places of the photo"
        assert found.parts[1].sees == "a unit sees all of it"
        found = drawn([embedding, *[replace(one, partly=True) for one in both], linear("head", 4)])
        assert found.parts[1].sees == "a unit sees a part of it"

    def test_of_many_blocks_that_differ_those_of_one_module_are_one_part(self) -> None:
        shapes = [(8 + 8 * n, 64 >> n, 64 >> n) for n in range(4)]
        each = [block(f"features.{n}.{i}", (c + i, h, w)) for n, (c, h, w) in enumerate(shapes) for i in range(5)]
        found = drawn([*each, linear("fc", 4)])
        assert [part.title for part in found.parts] == [*["5 convolutions"] * 4, "Linear layer"]

    def test_weights_of_no_part_are_told(self) -> None:
        assert "1,234,267 weights belong to no part alone." in drawn(PLAIN).caption
        assert "belong to no part" not in drawn(PLAIN, parameters=300).caption

    def test_hostile_names_are_escaped(self) -> None:
        hostile = '"><script>alert(1)</script>'
        photo = synthetic.photo("bee", 0)
        network: Network = synthetic.network("cnn", hostile, [photo], class_names=[hostile, "b", "c", "d"])
        found = drawing.drawing(replace(network, blocks=PLAIN), network.explanations["bee"], "", ("evaluation",))
        assert found is not None
        assert "<script" not in found.svg
