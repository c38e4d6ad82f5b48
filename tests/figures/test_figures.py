"""Known answers for pixels and markup, worked out by hand; laws that each picture and chart keeps."""

from __future__ import annotations

import io
import itertools
import math
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from matplotlib import rc_context, rcParams
from numpy.typing import NDArray
from PIL import Image

from generator.figures import charts, grids, raster, svg, theme
from generator.figures.charts import Bins, Series

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
CLEAR = [0, 0, 0, 0]
HOSTILE = '<script>alert("x")</script> & $\\frac{1}{2}$'


def pixel(colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    return np.array([[colour]], np.uint8)


def linear(colours: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(..., 3) sRGB -> (...) relative luminance, as WCAG 2.2 defines it."""
    share = colours / 255
    line = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    luminance: NDArray[np.float64] = line @ np.array([0.2126, 0.7152, 0.0722])
    return luminance


def elements(markup: str, tag: str) -> list[ET.Element]:
    return [element for element in ET.fromstring(markup).iter() if element.tag.rpartition("}")[2] == tag]


def texts(markup: str) -> list[str]:
    return [element.text or "" for element in elements(markup, "text")]


@pytest.mark.parametrize("name", [theme.HEAT, theme.MAPS])
def test_lightness_rises_with_the_value(name: theme.Palette) -> None:
    assert (np.diff(linear(raster.palette(name))) > -1e-3).all()
    assert linear(raster.palette(name))[-1] > linear(raster.palette(name))[0] + 0.5


def test_lightness_of_signed_values_falls_to_both_sides_of_zero() -> None:
    lightness = linear(raster.signed_palette())
    assert len(lightness) == 255
    assert lightness.argmax() == 127
    assert (np.diff(lightness[:128]) > 0).all()
    assert (np.diff(lightness[127:]) < 0).all()


def test_paint_uses_the_ends_of_the_map_and_clips() -> None:
    painted = raster.paint(np.array([-1.0, 0.0, 1.0, 7.0]), "viridis")
    assert painted.tolist() == [[68, 1, 84], [68, 1, 84], [253, 231, 37], [253, 231, 37]]
    assert raster.paint(np.array([0.0]), "inferno").tolist() == [[0, 0, 4]]


def test_fewer_levels_keep_the_ends() -> None:
    few = raster.paint(np.linspace(0, 1, 1000), "viridis", 4)
    assert len(np.unique(few, axis=0)) == 4
    assert few[0].tolist() == [68, 1, 84]
    assert few[-1].tolist() == [253, 231, 37]


def test_zero_is_exactly_the_middle_of_the_signed_map() -> None:
    table = raster.signed_palette()
    painted = raster.paint_signed(np.array([-3.0, -0.5, 0.0, 0.5, 3.0]), 1.0)
    assert painted[2].tolist() == table[127].tolist() == [247, 247, 247]
    assert painted[0].tolist() == table[0].tolist()
    assert painted[4].tolist() == table[254].tolist()
    # rint(0.5 * 127) = 64 steps from the middle, to both sides
    assert painted[1].tolist() == table[63].tolist()
    assert painted[3].tolist() == table[191].tolist()


def test_no_scale_paints_everything_as_zero() -> None:
    assert (raster.paint_signed(np.zeros((2, 2)), 0.0) == [247, 247, 247]).all()
    assert (raster.paint_colour(np.zeros((1, 3, 2, 2)), 0.0) == 128).all()


def test_colour_weights_have_zero_at_mid_grey() -> None:
    weights = np.zeros((1, 3, 1, 4))
    weights[0, 0, 0] = [-2.0, 0.0, 1.0, 2.0]
    painted = raster.paint_colour(weights, 2.0)
    assert painted.shape == (1, 1, 4, 3)
    # 128 + 127 * share: -1 -> 1, 0 -> 128, 1/2 -> 128 + rint(63.5) = 192, 1 -> 255
    assert painted[0, 0, :, 0].tolist() == [1, 128, 192, 255]
    assert (painted[0, 0, :, 1:] == 128).all()


def test_min_max() -> None:
    assert raster.min_max(np.array([[2.0, 4.0], [3.0, 6.0]])).tolist() == [[0, 0.5], [0.25, 1]]
    assert raster.min_max(np.full((2, 2), 5.0)).tolist() == [[0, 0], [0, 0]]
    assert raster.min_max(np.zeros((2, 2))).tolist() == [[0, 0], [0, 0]]


def test_resize_by_hand() -> None:
    # Four pixel centres over two: at -1/4 (the edge's value), 1/4, 3/4 and 5/4 (the edge's value).
    assert raster.resize(np.array([[0.0, 1.0]]), 1, 4).tolist() == [[0, 0.25, 0.75, 1]]
    assert raster.resize(np.array([[0.0], [8.0]]), 4, 2).tolist() == [[0, 0], [2, 2], [6, 6], [8, 8]]
    assert raster.resize(np.array([[3.0]]), 2, 2).tolist() == [[3, 3], [3, 3]]


def test_resize_is_torchs_interpolation() -> None:
    maps = np.random.default_rng(0).random((3, 6, 5))
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(maps)[None], size=(64, 41), mode="bilinear", align_corners=False
    )
    np.testing.assert_allclose(raster.resize(maps, 64, 41), expected[0].numpy(), atol=1e-12)


def test_heat_map_is_painted_on_a_scale_from_zero_after_resizing() -> None:
    table = raster.palette("inferno")
    cam = np.array([[0.0, 3.0], [3.0, 6.0]])
    assert raster.heat(cam, (2, 2), 6).tolist() == [
        [table[0].tolist(), table[128].tolist()],
        [table[128].tolist(), table[255].tolist()],
    ]
    enlarged = raster.heat(cam, (8, 8), 6)
    assert enlarged[0, 0].tolist() == table[0].tolist()
    assert enlarged[7, 7].tolist() == table[255].tolist()
    weak = raster.heat(cam / 100, (2, 2), 6)  # beside a map a hundred times as strong it is all but black
    assert weak[1, 1].tolist() == table[3].tolist()


def test_a_map_without_evidence_is_flat() -> None:
    for most in (0.0, 5.0):
        assert (raster.heat(np.zeros((4, 4)), (16, 16), most) == raster.palette("inferno")[0]).all()


def test_blend_by_hand() -> None:
    photo, colours = np.full((1, 2, 3), 100, np.uint8), np.full((1, 2, 3), 200, np.uint8)
    assert raster.blend(photo, colours, 0.25).tolist() == [[[125] * 3, [125] * 3]]
    assert raster.blend(photo, colours, np.array([[0.0, 0.6]])).tolist() == [[[100] * 3, [160] * 3]]


def test_grey_keeps_lightness_alone() -> None:
    assert raster.grey(np.array([[RED, (7, 7, 7)]], np.uint8)).tolist() == [[[76] * 3, [7] * 3]]


def test_enlarging_repeats_pixels() -> None:
    row = np.array([[RED, BLUE]], np.uint8)
    assert raster.enlarge(row, 2).tolist() == [[[*RED], [*RED], [*BLUE], [*BLUE]]] * 2


def test_mosaic_of_two_filters_by_hand() -> None:
    tiles = np.stack([pixel(RED), pixel(BLUE)])
    red, blue = [*RED, 255], [*BLUE, 255]
    row = [red, red, CLEAR, blue, blue]
    assert raster.mosaic(tiles, 2, scale=2, gap=1).tolist() == [row, row]
    assert raster.mosaic(tiles, 1, scale=1, gap=2).tolist() == [[red], [CLEAR], [CLEAR], [blue]]
    assert raster.mosaic(tiles, 2, gap=0).tolist() == [[red, blue]]


def test_mosaic_leaves_the_rest_of_its_last_row_empty() -> None:
    tiles = np.stack([pixel(RED), pixel(GREEN), pixel(BLUE)])
    sheet = raster.mosaic(tiles, 2, gap=1, joints=(9, 9, 9, 128))
    assert sheet.tolist() == [
        [[*RED, 255], [9, 9, 9, 128], [*GREEN, 255]],
        [[9, 9, 9, 128], [9, 9, 9, 128], [9, 9, 9, 128]],
        [[*BLUE, 255], [9, 9, 9, 128], CLEAR],
    ]


def test_struck_tile_is_empty_but_for_its_diagonal() -> None:
    tiles = np.full((1, 3, 3, 3), 200, np.uint8)
    sheet = raster.mosaic(tiles, 1, struck=[0])
    shown = sheet[..., 3] > 0
    assert shown.tolist() == [[False, False, True], [False, True, False], [True, False, False]]
    assert (sheet[shown] == theme.STRUCK).all()


def test_one_tile_has_no_gap() -> None:
    assert raster.mosaic(np.zeros((1, 3, 3, 3), np.uint8), 1, scale=4, gap=5).shape == (12, 12, 4)


def test_compose_lays_panels_over_the_ground() -> None:
    half = np.array([[[200, 0, 100, 51]]], np.uint8)  # 51/255 = 1/5
    on_paper = raster.compose(1, 3, [(pixel(BLUE), 0, 0), (half, 0, 1)], (100, 100, 100))
    assert on_paper.tolist() == [[[*BLUE, 255], [120, 80, 100, 255], [100, 100, 100, 255]]]
    clear = raster.compose(1, 3, [(pixel(BLUE), 0, 0), (half, 0, 1)])
    assert clear.tolist() == [[[*BLUE, 255], [200, 0, 100, 51], CLEAR]]


def test_cover_cuts_out_the_middle() -> None:
    wide = np.zeros((2, 6, 3), np.uint8)
    wide[:, 2:4] = RED
    assert (raster.cover(wide, 2, 2) == RED).all()
    assert (raster.cover(wide.transpose(1, 0, 2), 2, 2) == RED).all()


def test_shrink_never_enlarges() -> None:
    photo = np.full((30, 60, 3), 9, np.uint8)
    assert raster.shrink(photo, 20).shape == (10, 20, 3)
    assert raster.shrink(photo, 61) is photo


def test_lossless_webp_keeps_every_pixel() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    data = raster.webp(pixels)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), pixels)
    clear = np.dstack([pixels, np.where(pixels[..., :1] > 99, 255, 0).astype(np.uint8)])
    back = np.asarray(Image.open(io.BytesIO(raster.webp(clear))))
    assert np.array_equal(back[..., 3], clear[..., 3])
    assert np.array_equal(back[clear[..., 3] > 0], clear[clear[..., 3] > 0])


@pytest.mark.parametrize("encode", [raster.webp, lambda p: raster.webp(p, 84), raster.png, raster.jpeg])
def test_encoding_is_deterministic_and_without_metadata(encode: Callable[[NDArray[np.uint8]], bytes]) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    first = encode(pixels)
    assert first == encode(pixels.copy())
    opened = Image.open(io.BytesIO(first))
    assert opened.size == (30, 40)
    assert not {"exif", "icc_profile", "xmp", "comment"} & set(opened.info)


def every_chart(label: str = "validation") -> dict[str, svg.Chart]:
    epochs = [1, 2, 3]
    share = np.array([math.nan, 0.5, 1.0], np.float32)
    bins = Bins(label, share, share, np.array([0, 4, 5], np.int64))
    return {
        "lines": charts.lines(
            "a-b",
            label,
            [Series(label, epochs, [0.2, math.nan, 0.6]), Series(label, epochs, [0.1, 0.2, 0.3], 1, faint=True)],
            x_label=label,
            y_label=label,
            percent=True,
            kept=(3, label),
            sections=[(1, label), (2, label)],
        ),
        "one epoch": charts.lines("a-b", label, [Series(label, [1], [0.0])], x_label="epoch", y_label="loss"),
        "reliability": charts.reliability("a-b", label, [bins, bins]),
        "dots": charts.dot_plot("a-b", label, [label, "b", "c"], [(label, share), ("r", share)]),
        "strip": charts.strip("a-b", label, np.array([3.0, 1.0, 0.0]), x_label=label, y_label=label),
        "strip of nothing": charts.strip("a-b", label, np.zeros(1), x_label=label, y_label=label),
        "matrix": grids.matrix("a-b", label, [label, "b", "c"], np.eye(3) * 0.5 + 0.1),
    }


def test_words_of_short_sections_do_not_touch() -> None:
    sections = [(1, "96 px"), (57, "128 px"), (81, "96 px"), (88, "128 px"), (93, "9 px")]
    line = Series("", list(range(1, 97)), [0.001] * 96)
    chart = charts.lines("a-b", "rate", [line], x_label="epoch", y_label="rate", sections=sections)
    words = [element for element in elements(chart.svg, "text") if (element.text or "").endswith(" px")]
    assert [element.text for element in words] == [label for _, label in sections]
    for one, other in itertools.combinations(words, 2):
        (x, y), (next_x, next_y) = ([float(word.get(axis, "")) for axis in "xy"] for word in (one, other))
        assert x + 6 * len(one.text or "") <= next_x or abs(y - next_y) >= 12  # 6 pixels a character, 12 a line
    assert len({element.get("y") for element in words}) == 2


CHARTS = sorted(every_chart())


@pytest.mark.parametrize("name", CHARTS)
def test_chart_keeps_the_pages_rules(name: str) -> None:
    chart = every_chart()[name]
    assert chart.svg.startswith("<svg ")
    assert "style" not in chart.svg
    assert "font-family" not in chart.svg
    assert "#000000" not in chart.svg
    assert "xlink" not in chart.svg
    root = ET.fromstring(chart.svg)
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "a-b-title"
    assert root.get("viewBox") == f"0 0 {chart.width} {chart.height}"
    assert "width" not in root.attrib
    title = elements(chart.svg, "title")[0]
    assert (title.get("id"), title.text) == ("a-b-title", "validation")
    ids = Counter(element.get("id", "") for element in root.iter())
    del ids[""]
    assert max(ids.values()) == 1
    assert all(identifier.startswith("a-b-") for identifier in ids)
    assert {use.get("href", "")[1:] for use in elements(chart.svg, "use")} <= set(ids)
    assert not re.search(r"\d\.\d{3}", chart.svg)


def test_charts_drawn_at_once_are_those_drawn_one_by_one() -> None:
    alone, before = every_chart(), dict(rcParams)
    with ThreadPoolExecutor(4) as pool:
        for drawn in pool.map(every_chart, ["validation"] * 8):
            assert drawn == alone
    assert dict(rcParams) == before


@pytest.mark.parametrize("name", CHARTS)
def test_chart_is_deterministic(name: str) -> None:
    assert every_chart()[name] == every_chart()[name]


@pytest.mark.parametrize("name", CHARTS)
def test_hostile_words_stay_words(name: str) -> None:
    chart = every_chart(HOSTILE)[name]
    assert "<script" not in chart.svg
    assert elements(chart.svg, "script") == []
    assert elements(chart.svg, "title")[0].text == HOSTILE
    assert [text for text in texts(chart.svg) if text.startswith("@")] == []


def test_words_that_no_font_of_matplotlib_has_are_kept() -> None:
    chart = charts.dot_plot("d", "alt", ["火", "$x$"], [("精度", np.array([0.5, 0.6]))])
    assert {"火", "$x$", "精度"} <= set(texts(chart.svg))


def test_long_names_are_shortened_in_the_chart_alone() -> None:
    chart = grids.matrix("m", "alt", ["a" * 40, "b"], np.eye(2))
    assert "a" * 19 + "…" in texts(chart.svg)
    assert len(svg.shorten("a" * 18)) == 18


def lines_of(chart: svg.Chart, style: int) -> list[list[tuple[float, float]]]:
    """The points of each drawn path of a series."""
    found = []
    for group in elements(chart.svg, "g"):
        if group.get("class") == f"series-{style + 1}":
            for path in group.iter("{http://www.w3.org/2000/svg}path"):
                numbers = [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", path.get("d", ""))]
                found.append(list(zip(numbers[::2], numbers[1::2], strict=True)))
    return found


def test_line_passes_through_its_points() -> None:
    chart = charts.lines("l", "alt", [Series("", [1, 2, 3], [0, 0.5, 1])], x_label="", y_label="", percent=True)
    # The plot's left margin is 46, its right one 16; above it 30, below it 38 of 250 units.
    assert lines_of(chart, 0) == [[(46, 212), (225, 121), (404, 30)]]


def test_unknown_value_breaks_the_line() -> None:
    chart = charts.lines(
        "l", "alt", [Series("", [1, 2, 3, 4, 5], [0, 0.5, math.nan, 0.5, 1])], x_label="", y_label="", percent=True
    )
    path = next(e.get("d", "") for g in elements(chart.svg, "g") for e in g if e.get("d"))
    assert path.count("M") == 2


def test_one_epoch_is_a_dot() -> None:
    chart = every_chart()["one epoch"]
    assert len(elements(chart.svg, "use")) == 1


def test_names_at_the_lines_ends_keep_apart() -> None:
    series = [Series(f"run {i}", [1, 2], [0.5, 0.5 + i / 1000], i) for i in range(4)]
    chart = charts.lines("l", "alt", series, x_label="epoch", y_label="accuracy", percent=True)
    places = sorted(float(t.get("y", "0")) for t in elements(chart.svg, "text") if (t.text or "").startswith("run"))
    assert len(places) == 4
    assert min(np.diff(places)) >= 12


def test_unknown_precision_has_no_dot() -> None:
    values = np.array([math.nan, 0.25, 1.0])
    chart = charts.dot_plot("d", "alt", ["a", "b", "c"], [("precision", values)])
    # Two dots, and one in the key.
    assert len(elements(chart.svg, "use")) == 3


def test_class_without_any_value_is_still_named() -> None:
    chart = charts.dot_plot("d", "alt", ["a"], [("precision", np.array([math.nan]))])
    assert "a" in texts(chart.svg)


def test_lines_that_are_painted_alike_are_one_path() -> None:
    values = [("recall", np.array([0.5, 0.75, 1])), ("precision", np.array([0.25, 0.5, 0.5]))]
    chart = charts.dot_plot("d", "alt", ["a", "b", "c"], values)
    joined = [path.get("d", "") for path in elements(chart.svg, "path") if path.get("stroke-opacity") == "0.45"]
    assert [data.count("M") for data in joined] == [3]


def test_matrix_paints_right_and_wrong_and_leaves_zeros_empty() -> None:
    chart = grids.matrix("m", "alt", ["a", "b"], np.array([[0.75, 0.25], [0.0, 1.0]]))
    right, wrong = (
        [(path.get("d", "").count("M"), path.get("stroke-opacity")) for path in group]
        for group in elements(chart.svg, "g")
        if group.get("class") in ("series-1", "series-2") and len(group) < 5
    )
    # sqrt(0.75) = 0.866 falls into the shade that ends at 18/20: 0.12 + 0.88 * 0.9
    assert right == [(1, "0.91"), (1, "1")]
    assert wrong == [(1, "0.56")]


def test_matrix_tells_a_script_its_names_whole_and_its_counts() -> None:
    chart = grids.matrix("m", "alt", ["a" * 40, "b\n c"], np.array([[0.75, 0.25], [0, 1]]), np.array([[3, 1], [0, 4]]))
    drawn = ET.fromstring(chart.svg)
    assert drawn.get("data-names") == "a" * 40 + "\tb c"
    assert drawn.get("data-counts") == "3,1;,4"


def test_matrix_shade_grows_with_the_share() -> None:
    assert grids.opacity(0.0) == grids.FAINTEST
    assert grids.opacity(0.25) == pytest.approx(0.56)
    assert grids.opacity(1.0) == 1.0


def test_matrix_names_rows_and_columns_in_order() -> None:
    named = texts(grids.matrix("m", "alt", ["a", "b"], np.eye(2)).svg)
    assert named[:4] == ["a", "b", "a", "b"]


def test_matrix_of_many_classes_has_no_names() -> None:
    chart = grids.matrix("m", "alt", [f"class {i}" for i in range(61)], np.eye(61))
    assert not any(text.startswith("class") for text in texts(chart.svg))


def test_icon_has_one_square_a_pixel() -> None:
    markup = grids.icon(np.array([[RED, BLUE]], np.uint8))
    assert markup == (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 1" aria-hidden="true" shape-rendering="crispEdges">'
        '<path d="M0 0h1v1h-1z" fill="#ff0000" /><path d="M1 0h1v1h-1z" fill="#0000ff" /></svg>'
    )


@pytest.mark.parametrize(("value", "shown"), [(1.0, "1"), (0.126, "0.13"), (-0.001, "0"), (-1.5, "-1.5"), (10, "10")])
def test_numbers_are_short(value: float, shown: str) -> None:
    assert svg.short(value) == shown


def test_what_a_program_has_set_for_its_own_charts_changes_none_here() -> None:
    def drawn() -> svg.Chart:
        return charts.lines("a", "b", [Series("s", [1, 2], [0.1, 0.7])], x_label="epoch", y_label="loss")

    before = drawn()
    with rc_context({"axes.grid": True, "lines.linewidth": 9, "font.size": 30, "axes.facecolor": "r"}):
        assert drawn() == before
