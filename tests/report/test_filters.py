"""The units' sheets: patches cut by hand, padding, order, marks; contributions; images of classes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from generator.base.digest import digest
from generator.figures import raster
from generator.figures.theme import PADDING
from generator.records.figure import Figure
from generator.records.images import Photo, Pixels
from generator.records.input import Input
from generator.records.input import square as square_input
from generator.records.network import Examined, LayerPatches, Network
from generator.report.filters import convolutions, facts, prototypes, units
from generator.report.filters import weights as weights_of
from generator.report.filters.units import TILE
from generator.report.grad_cam import contributions
from generator.report.grad_cam.contributors import contributors
from generator.report.jobs import network_jobs
from generator.report.plates.numbers import probabilities
from generator.report.plates.patches import Seen, best_patch, crop, is_own, shows, shrunk, unit_prefix
from generator.report.plates.sheets import CELLS, place, sheet, sheet_id, sheets
from tests import synthetic

Box = tuple[int, int, int, int]


def decoded(figure: Figure) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(figure.files[figure.src])).convert("RGBA"))


def flat(level: int, side: int = 8) -> Pixels:
    return np.full((side, side, 3), level, np.uint8)


def numbered(side: int = 4) -> Pixels:
    """Pixel (row, column) has the red value 16 * row + column."""
    picture = np.zeros((side, side, 3), np.uint8)
    picture[..., 0] = 16 * np.arange(side)[:, None] + np.arange(side)
    return picture


def searched(
    pictures: Sequence[Pixels],
    places: Sequence[Sequence[int]],
    boxes: Sequence[Sequence[Box]],
    weights: NDArray[np.float32] | None = None,
    field: int = 2,
) -> Network:
    """A network with one convolution, its channels' patches at these places and boxes of these pictures."""
    count, side = len(places), pictures[0].shape[0]
    made = np.ones((count, 3, 1, 1), np.float32) if weights is None else weights
    layer = synthetic.convolution("features.0", 1, made, field)
    answers = np.where(np.array(places) < 0, np.nan, 1).astype(np.float32)
    found = LayerPatches("features.0", answers, np.array(places), np.array(boxes), np.ones(count, np.float32))
    names = tuple("abcdefghij"[: len(pictures)])
    examined = Examined("photos", tuple(pictures), names, "12" * 32, True)
    network = synthetic.network("net", "Net", [])
    return replace(network, layers=(layer,), input=square_input(side), examined=examined, patches=(found,))


def drawn(network: Network) -> dict[str, Figure]:
    return {figure.id: figure for figure in units.unit_figures(network, network.layers[0], 1.0)}


class TestCrop:
    def test_inside_the_image(self) -> None:
        patch = crop(numbered(), (1, 2, 2, 3))  # columns 1 and 2, rows 2 and 3
        assert patch[..., 0].tolist() == [[33, 34], [49, 50]]
        assert (patch[..., 3] == 255).all()

    def test_beyond_the_upper_left_corner_is_padding(self) -> None:
        patch = crop(numbered(), (-1, -2, 1, 0))
        assert patch.shape == (3, 3, 4)
        assert patch[2, 1:, 0].tolist() == [0, 1]  # row 0, columns 0 and 1
        assert (patch[:2] == PADDING).all()
        assert (patch[2, 0] == PADDING).all()

    def test_beyond_the_lower_right_corner(self) -> None:
        patch = crop(numbered(), (3, 2, 5, 4))
        assert patch[:2, 0, 0].tolist() == [35, 51]
        assert (patch[2] == PADDING).all()
        assert (patch[:, 1:] == PADDING).all()

    def test_a_field_larger_than_the_image_shows_all_of_it(self) -> None:
        patch = crop(numbered(), (-2, -1, 5, 6))
        np.testing.assert_array_equal(patch[..., :3], numbered())
        assert (patch[..., 3] == 255).all()

    def test_what_a_large_field_does_not_reach_is_veiled(self) -> None:
        """From column -3 to 1 and row -4 to 0 of a 4 x 4 image: two columns of one row."""
        patch = crop(numbered(), (-3, -4, 1, 0))
        assert patch.shape == (4, 4, 4)
        assert patch[0, :2].tolist() == [[0, 0, 0, 255], [1, 0, 0, 255]]
        assert (patch[0, 2:] == PADDING).all()
        assert (patch[1:] == PADDING).all()

    def test_a_field_longer_than_one_side_is_cut_along_that_side_alone(self) -> None:
        wide = np.concatenate([numbered(), numbered() + 100], axis=1)  # 4 x 8
        patch = crop(wide, (-1, -1, 4, 4))  # 6 x 6
        assert patch.shape == (4, 6, 4)
        assert (patch[:, 0] == PADDING).all()
        np.testing.assert_array_equal(patch[:, 1:, :3], wide[:, :5])

    def test_wholly_outside_is_all_padding(self) -> None:
        assert (crop(numbered(), (-4, 0, -1, 3)) == PADDING).all()


class TestShrunk:
    def test_small_patches_are_left_alone(self) -> None:
        patch = crop(numbered(), (0, 0, 3, 3))
        assert shrunk([patch], 4)[0] is patch

    def test_the_image_keeps_sharp_edges_in_its_place(self) -> None:
        patch = np.full((24, 24, 4), PADDING, np.uint8)
        patch[4:12, 8:16] = [200, 200, 200, 255]
        small = shrunk([patch], 6)[0]
        assert small.shape == (6, 6, 4)
        assert (small[1:3, 2:4] == [200, 200, 200, 255]).all()
        small[1:3, 2:4] = PADDING
        assert (small == PADDING).all()

    def test_several_are_made_smaller_as_each_alone(self) -> None:
        random = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)
        boxes = [(-9, 3, 14, 26), (2, 3, 25, 26), (30, 20, 53, 43), (20, 16, 43, 39), (40, 30, 63, 53), (5, 6, 9, 10)]
        patches = [crop(random, box) for box in boxes]
        small = shrunk(patches, 7)
        assert [one.shape[:2] for one in small] == [(7, 7)] * 5 + [(5, 5)]
        for patch, one in zip(patches, small, strict=True):
            np.testing.assert_array_equal(one, shrunk([patch], 7)[0])
        np.testing.assert_array_equal(small[1][..., :3], raster.stretch(random[3:27, 2:26], 7, 7))

    def test_nothing_but_padding(self) -> None:
        assert (shrunk([crop(flat(0), (-30, 0, -11, 19))], 5)[0] == PADDING).all()


class TestSheets:
    def test_a_column_of_sixteen_cells(self) -> None:
        column = sheet([np.full((2, 3, 3), level, np.uint8) for level in (10, 20)])
        assert column.shape == (CELLS * 4, 5, 4)
        assert column[1, 1].tolist() == [10, 10, 10, 255]
        assert column[4 + 1, 3].tolist() == [20, 20, 20, 255]
        assert column[4, 1, 3] == 0
        assert not column[8:].any()

    def test_the_seventeenth_begins_a_new_one(self) -> None:
        found = sheets("x", [np.full((2, 2, 3), level, np.uint8) for level in range(17)], "Filters")
        assert [figure.id for figure in found] == ["x-0", "x-1"]
        assert (sheet_id("x", 16), place(16), place(15)) == ("x-1", (1, 0), (0, 15))
        assert [figure.alt for figure in found] == ["Filters 0 to 15.", "Filters 16 to 16."]
        assert decoded(found[1])[1, 1].tolist() == [16, 16, 16, 255]


class TestUnits:
    def test_patches_stand_in_their_order_and_missing_ones_stay_empty(self) -> None:
        boxes = [[(0, 0, 1, 1)] * 4, [(0, 0, 1, 1)] * 4]
        network = searched([flat(50), flat(100), flat(150)], [[2, 0, 1, -1], [1, 2, 0, -1]], boxes)
        pixels = decoded(drawn(network)["net-conv1-patches-0"])
        # Three rows of three patches of 2 pixels, gaps of 1, and 1 pixel of margin.
        cell = 3 * 3 - 1 + 2
        assert pixels.shape == (CELLS * cell, 8 + 2, 4)
        assert [pixels[1, 1 + 3 * rank, 0] for rank in range(3)] == [150, 50, 100]
        assert [pixels[cell + 1, 1 + 3 * rank, 0] for rank in range(3)] == [100, 150, 50]
        assert pixels[1 + 3, 1, 3] == 0

    def test_a_patch_is_what_its_box_holds_of_the_network_s_input(self) -> None:
        network = searched([numbered(8)], [[0]], [[(5, 6, 6, 7)]])
        pixels = decoded(drawn(network)["net-conv1-patches-0"])
        assert pixels[1:3, 1:3, 0].tolist() == [[16 * 6 + 5, 16 * 6 + 6], [16 * 7 + 5, 16 * 7 + 6]]
        # Given at twice the size, the same box holds the middle of the picture's upper left quarter.
        larger = replace(searched([numbered(8)], [[0]], [[(5, 6, 6, 7)]]), input=square_input(16))
        from generator.data.preprocessing import square

        wanted = square(numbered(8), 16)[6:8, 5:7]
        np.testing.assert_array_equal(decoded(drawn(larger)["net-conv1-patches-0"])[1:3, 1:3, :3], wanted)

    def test_padding_is_a_veil(self) -> None:
        network = searched([flat(9)], [[0]], [[(-1, 0, 0, 1)]])
        pixels = decoded(drawn(network)["net-conv1-patches-0"])
        assert (pixels[1:3, 1] == PADDING).all()
        assert (pixels[1:3, 2] == [9, 9, 9, 255]).all()

    def test_large_fields_are_made_smaller(self) -> None:
        network = searched([flat(90, 64)], [[0]], [[(-20, -20, 83, 83)]], field=104)
        figure = drawn(network)["net-conv1-patches-0"]
        assert figure.width == TILE + 3 * 2 + 2 * TILE
        assert not figure.pixelated

    @pytest.mark.parametrize(("size", "tile", "across"), [((48, 192), (10, 42), 2), ((192, 48), (42, 10), 6)])
    def test_patches_of_a_whole_wide_or_high_image_fill_a_square(
        self, size: tuple[int, int], tile: tuple[int, int], across: int
    ) -> None:
        """Nine of 1 : 4, as large as they fit in 84 pixels: five rows of two, two of six, not three of three."""
        picture = np.full((*size, 3), 90, np.uint8)
        network = searched([picture], [[0] * 9], [[(-30, -30, 300, 300)] * 9], field=331)
        pixels = decoded(drawn(replace(network, input=Input(size)))["net-conv1-patches-0"])
        side = max(across * (tile[1] + 2), -(-9 // across) * (tile[0] + 2)) - 2
        assert pixels.shape == (CELLS * (side + 2), side + 2, 4)
        shown = pixels[: side + 2, :, 3] == 255
        assert shown.sum() == pytest.approx(9 * tile[0] * tile[1])

    def test_weights_in_colour_and_dead_ones_struck(self) -> None:
        weights = np.zeros((2, 3, 1, 1), np.float32)
        weights[0, 0] = 1
        found = drawn(searched([flat(0)], [[0], [0]], [[(0, 0, 1, 1)]] * 2, weights))
        pixels = decoded(found["net-conv1-weights-0"])
        step = TILE + 2
        assert pixels[1, 1].tolist() == [255, 128, 128, 255]
        second = pixels[step + 1 : 2 * step - 1, 1:-1]
        assert (second[..., 3] > 0).sum() == TILE  # the stroke alone
        assert found["net-conv1-weights-0"].pixelated

    def test_slices_of_deeper_filters_the_strongest_first(self) -> None:
        weights = np.zeros((1, 12, 1, 1), np.float32)
        weights[0, :, 0, 0] = [0, 0, -9, 0, 0, 0, 0, 8, 0, 0, 0, 1]
        network = searched([flat(0)], [[0]], [[(0, 0, 1, 1)]], weights)
        pixels = decoded(drawn(network)["net-conv1-weights-0"])
        table = raster.signed_palette()
        step = TILE // 3 + 2
        tiles = [pixels[1 + row * step, 1 + column * step, :3].tolist() for row in range(3) for column in range(3)]
        assert tiles[0] == table[0].tolist()  # -9, beyond the scale
        assert tiles[3:] == [table[127].tolist()] * 6  # nine are shown, these are zero
        assert tiles[1][0] > 100 > tiles[1][2]  # 8: red
        assert tiles[2][0] > tiles[2][2]

    def test_without_patches_there_are_weights_alone(self) -> None:
        network = replace(searched([flat(0)], [[0]], [[(0, 0, 1, 1)]]), patches=())
        assert set(drawn(network)) == {"net-conv1-weights-0"}

    def test_the_preview_shows_no_image_twice_where_it_can_be_helped(self) -> None:
        pictures = [flat(level) for level in (10, 20, 30)]
        places = [[0]] + [[0], [1]] * 12 + [[-1]]
        network = searched(pictures, places, [[(0, 0, 1, 1)]] * len(places))
        figure = drawn(network)["net-conv1-preview"]
        assert "channels 0, 2, 4, 6," in figure.alt  # of 25 with a patch the first, then one that shows another image
        pixels = decoded(figure)
        assert figure.width == 12 * 3 - 1
        assert [pixels[0, 0, 0], pixels[0, 3, 0]] == [10, 20]

    def test_what_the_patches_show(self) -> None:
        network = searched([flat(0)] * 4, [[0, 1, 2, -1]], [[(0, 0, 1, 1)] * 4])
        assert network.examined is not None
        network = replace(network, examined=replace(network.examined, names=("bee", "lion", "bee", "fly")))
        assert shows(network, network.patches[0], 0) == "bee 2, lion 1"

    def test_addresses_count_the_convolutions(self) -> None:
        network = synthetic.network("cnn", "Net", [])
        assert [unit_prefix(network, layer) for layer in network.layers] == ["cnn-conv1", "cnn-conv2"]


class TestSelection:
    """A network of two convolutions of which the second has no page, and a stage of ten channels of which four have."""

    def network(self) -> Network:
        network = synthetic.network("net", "Net", [synthetic.photo("p", 0)])
        ten = synthetic.stage("layer1", 1, 10, (1, 4, 6, 8))
        found = synthetic.patches(ten)
        found.active[[2, 4]] = 0
        return replace(
            network,
            layers=(network.layers[0], ten),
            pageless=(network.layers[1],),
            patches=(network.patches[0], found),
            selected="chosen",
            asked="the 3 photos of this report",
        )

    def test_all_convolutions_in_their_order_whoever_has_a_page(self) -> None:
        network = replace(self.network(), layers=self.network().pageless, pageless=self.network().layers[:1])
        assert [layer.name for layer in network.convolutions] == ["features.conv1", "features.conv2"]
        assert network.kernels is network.convolutions[0].weights
        # The first stands at the beginning of the page on filters, whether it has one of its own or not.
        assert [layer.number for layer in weights_of.pictured(network)] == [1, 2]
        assert [layer.number for layer in weights_of.pictured(self.network())] == [1]

    def test_a_stage_has_patches_of_its_chosen_channels_and_no_weights(self) -> None:
        network = self.network()
        found = {figure.id: figure for figure in units.unit_figures(network, network.layers[1], 1.0)}
        assert set(found) == {"net-stage1-patches-0", "net-stage1-preview"}
        assert found["net-stage1-patches-0"].alt.endswith("the end of stage 1, channels 1 to 8.")
        assert "channels 1, 4, 6 and 8" in found["net-stage1-preview"].alt

    def test_what_is_the_matter_with_the_others_is_said_by_number(self) -> None:
        page = facts.layers(self.network())[1]
        assert (page.href, page.sees) == ("filters-net-stage1.html", "12 × 12 pixels")
        assert [(unit.channel, unit.cell) for unit in page.listed] == [(1, 0), (4, 1), (6, 2), (8, 3)]
        assert [unit.gave for unit in page.listed] == pytest.approx([0.1, 0.4, 0.6, 0.8])
        assert {unit.norm for unit in page.units} == {None}
        assert page.marked("silent") == 3
        assert [other.said for other in page.others] == ["2 never fired (2 and 9)"]
        assert facts.Others("dead", (5,)).said == "1 is dead (5)"
        assert facts.Others("repeats", tuple(range(60))).said.endswith("38, 39, …)")

    def test_what_was_selected_in_numbers(self) -> None:
        found = facts.selection(self.network())
        assert found is not None
        assert (found.layers, found.convolutions, found.pictured, found.channels) == (2, 1, 8, 14)
        assert (found.named, found.sampled, found.explained) == (False, False, False)
        assert facts.selection(synthetic.network("net", "Net", [])) is None

    def test_a_row_for_each_convolution(self, monkeypatch: pytest.MonkeyPatch) -> None:
        network = self.network()
        (figure,) = convolutions.convolution_table(network)
        assert figure.table is not None
        # Weights rise evenly from -1 to 1: each filter's norm is worked out from them.
        sizes = np.sqrt((synthetic.weights(4, 3).astype(float) ** 2).sum((1, 2, 3)))
        spread = [round(float(value), 4) for value in (sizes.min(), np.median(sizes), sizes.max())]
        assert figure.table.rows[0] == (
            "features.conv1",
            "4 × 3 × 3 × 3".replace(" ", "\u00a0"),
            1,
            "3\u00a0px",
            0,
            2,
            *spread,
        )
        assert [row[0] for row in figure.table.rows] == ["features.conv1", "features.conv2"]
        assert figure.data is None
        monkeypatch.setattr(convolutions, "ROWS", 1)
        (figure,) = convolutions.convolution_table(network)
        assert figure.table is not None
        assert figure.data is not None
        assert (len(figure.table.rows), len(figure.data.rows)) == (1, 2)
        assert "The first 1 of them stand here" in figure.caption


class TestContributions:
    photo = replace(synthetic.photo("p", 0, "A photo"), pixels=255 - synthetic.photo("p", 0, "A photo").pixels)

    def test_channels_are_sorted_and_only_those_that_spoke_for_it(self) -> None:
        network = synthetic.network("cnn", "Net", [self.photo])
        figure = contributions.contribution_figure(network, self.photo)
        assert figure is not None
        assert figure.table is not None
        # Contributions 0.5, -1, 0.25, 3, 0, 0, 0, 1; of the five listed the last gave 0. Its maps run from 0 to 2.
        assert [row[:2] for row in figure.table.rows] == [(3, 3.0), (7, 1.0), (0, 0.5), (2, 0.25)]
        assert figure.table.rows[0][3] == "bee 2, lion 1"
        assert "3 (3), 7 (1) and 0 (0.500)" in figure.alt
        assert "the 4 channels of 8 that gave most to bee" in figure.caption
        told = "these 4 add 4.75, all 8 together 3.75, since others subtract; the logit is 4"
        assert told in figure.caption
        assert "whose channels are those of convolution 2" in figure.caption
        assert (figure.width, figure.height) == (2 * 64 + 4 + 2, CELLS * 66)

    def test_a_photo_is_no_evidence_for_itself(self) -> None:
        photo = synthetic.photo("p", 0, "A photo")  # which is the first of those that were searched
        network = synthetic.network("cnn", "Net", [photo])
        assert network.examined is not None
        assert np.array_equal(network.examined.pictures[0], photo.pixels)
        figure, other = (contributions.contribution_figure(network, each) for each in (photo, self.photo))
        assert figure is not None
        assert figure.table is not None
        assert other is not None
        assert figure.table.rows[0][3] == "lion, bee"  # each once
        assert contributors(network, photo, network.explanations["p"])[0].shows == "lion, bee"
        assert not np.array_equal(decoded(figure)[1:65, 1:65], decoded(other)[1:65, 1:65])

    def test_a_cell_is_the_patch_and_the_map_over_the_grey_photo(self) -> None:
        network = synthetic.network("cnn", "Net", [self.photo])
        figure = contributions.contribution_figure(network, self.photo)
        assert figure is not None
        pixels = decoded(figure).astype(int)
        first, last = pixels[1:65, 1:-1], pixels[3 * 66 + 1 : 3 * 66 + 65, 1:-1]
        assert first[2, 2, 3] < 100  # the patch begins outside the image
        assert first[40, 40, 3] == 255
        assert first[:, 64:68, 3].max() == 0
        assert last[:, 68:, :3].mean() > first[:, 68:, :3].mean() + 40  # its activations are larger
        assert not pixels[4 * 66 :, :, 3].any()

    def test_nothing_to_show(self) -> None:
        network = synthetic.network("cnn", "Net", [self.photo])
        seen = network.explanations["p"]
        for changed in (
            replace(seen, contributions=None),
            replace(seen, contributions=-np.ones(8, np.float32)),
        ):
            assert contributions.contribution_figure(replace(network, explanations={"p": changed}), self.photo) is None
        assert contributions.contribution_figure(replace(network, explanations={}), self.photo) is None

    def test_without_patches_their_place_is_struck(self) -> None:
        network = replace(synthetic.network("cnn", "Net", [self.photo]), patches=(), examined=None)
        figure = contributions.contribution_figure(network, self.photo)
        assert figure is not None
        assert figure.table is not None
        assert figure.table.rows[0][3] == "unknown"
        assert decoded(figure)[2, 2, 3] == 0

    def test_alone_they_are_drawn_anew_with_other_images(self) -> None:
        network = synthetic.network("cnn", "Net", [self.photo])
        assert network.examined is not None
        searched = replace(network, examined=replace(network.examined, digest="others"))
        report = replace(synthetic.report(), photos=(self.photo,), networks=(network,))
        before, after = (
            {digest(*parts): (parts, draw) for parts, draw in network_jobs(report, one)} for one in (network, searched)
        )
        anew = [after[key] for key in after.keys() - before.keys()]
        drawn = [figure.id for _, draw in anew for figure in draw()]
        assert "cnn-contributions-p" in drawn
        assert not [name for name in drawn if name.startswith(("cnn-cam", "cnn-ways"))]
        assert {parts[0] for parts, _ in anew} == {"channels", "units"}


class TestClassImages:
    def test_one_figure_a_class_with_what_the_network_says(self) -> None:
        found = prototypes.class_image_figures(synthetic.network("cnn", "Net", []))
        assert [figure.id for figure in found] == [f"cnn-class-{name}" for name in synthetic.CLASSES]
        # Softmax of 4, 0, 0, 0 and of 5, 0, 0, 4: 0.948 and 0.724.
        assert found[0].alt == "Image made to look like bee to Net: Net calls it bee with 94.8\u00a0%."
        assert "raise this class’s logit, which is 4; Net calls it bee with 72.4\u00a0%" in found[3].caption
        assert (found[0].width, found[0].pixelated) == (16, True)

    def test_no_images_no_figures(self) -> None:
        assert prototypes.class_image_figures(replace(synthetic.network("cnn", "Net", []), class_images=None)) == ()

    def test_probabilities_do_not_overflow(self) -> None:
        found = probabilities(np.array([[1000.0, 1000, 0]], np.float32))
        assert found.tolist() == [[0.5, 0.5, pytest.approx(0)]]


def test_a_photo_is_no_evidence_for_itself() -> None:
    """Where patches were sought among the report's own photos, the one that is explained is left out of its own."""
    small = synthetic.report()
    network = synthetic.complete(small.networks[0])
    bee, koala, _ = small.photos  # the searched pictures are these, in this order
    network = replace(
        network, examined=replace(synthetic.examined(False), pictures=tuple(p.pixels for p in small.photos))
    )
    told = {photo.id: contributors(network, photo, network.explanations[photo.id])[0].shows for photo in small.photos}
    assert told == {"bee": "lion, bee", "koala": "bee 2", "slice": "bee, lion"}
    patches = next(one for one in network.patches if one.layer == network.explanations["bee"].contributor_layer)
    seen = Seen(network)

    def patch(rank: int, photo: Photo | None = None) -> Pixels:
        found = best_patch(seen, patches, 0, rank, None if photo is None else is_own(network, photo))
        assert found is not None
        return found

    assert np.array_equal(patch(0, koala), patch(0))
    assert np.array_equal(patch(0, bee), patch(1))
    assert not np.array_equal(patch(0), patch(1))
