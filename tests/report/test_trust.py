"""The trust page from measurements written out by hand: its figures, its table, its sentences, and the page itself."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise

import pytest

from generator.config import reading
from generator.figures import intervals
from generator.figures.svg import short
from generator.pages import render
from generator.records.network import Network
from generator.records.report import Report
from generator.records.scores import Evaluation
from generator.records.trust import Check, Compared, Estimate, Faithfulness, LayerScore, Perturbation
from generator.report.trust.figures import trust_figures
from generator.report.trust.sentences import verdict
from generator.report.trust.undecided import undecided
from tests import sites, synthetic
from tests.pages.test_site import ROOT, Document
from tests.synthetic import MEASURED, beside, located, near

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<script>alert('x')</script>*b*"


def with_measurements(
    found: Faithfulness | None = MEASURED, title: str = "SmallCNN", identifier: str = "cnn"
) -> Network:
    network = synthetic.network(identifier, title, [])
    assert isinstance(network.evaluation, Evaluation)
    return replace(network, evaluation=replace(network.evaluation, faithfulness=found))


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def page(report: Report) -> Document:
    figures = {figure.id: figure for network in report.networks for figure in trust_figures(network)}
    settings = reading.load(ROOT / "report.toml")
    document = Document()
    files = render(report, figures, settings, (ROOT / "templates",), ROOT / "content")
    document.feed(files["trust.html"].decode())
    return document


def test_nothing_measured_gives_no_figure_and_no_verdict() -> None:
    for network in (with_measurements(None), synthetic.network("cnn", "SmallCNN", [], evaluated=False)):
        assert trust_figures(network) == ()
        assert verdict(network) is None


def test_the_pointing_game_is_told_with_its_baselines() -> None:
    figure = trust_figures(with_measurements())[0]

    assert figure.id == "cnn-trust-pointing"
    alt = plain(figure.alt)
    assert "Forest plot of the pointing game of SmallCNN on 750 test images, each method’s hits less those" in alt
    assert "best on all boxes LayerCAM, +1.0, −1.0 to +3.0" in alt
    assert "best on small boxes LayerCAM, +13.0, +11.0 to +15.0" in alt
    assert "on 750 test images, 560 of which it names correctly: how much more often" in figure.caption
    assert "than the image’s centre does (CAM methods: at features.relu7)." in figure.caption
    assert "Fewer images were used for Score-CAM (40)." in plain(figure.caption)
    assert figure.table is not None
    assert figure.table.head == (
        "boxes", "method", "images", "hits, %", "from", "to", "centre point, %", "uniform map, %", "wrong class, %",
        "ahead of the centre, points", "from", "to", "zero maps", "zero maps, wrong class",
    )  # fmt: skip
    row = ("small boxes", "Grad-CAM", 160, 50.0, 48.0, 52.0, 42.0, 12.0, 30.0, 8.0, 6.0, 10.0, 3, 7)
    assert figure.table.rows[1] == row
    assert figure.table.rows[-1][2:10] == (9, "30", "28", "32", "42", "12", "30", "−12")  # 9 images carry no decimals


def test_each_method_stands_in_one_row_beside_its_own_centre() -> None:
    chart = ET.fromstring(trust_figures(with_measurements())[0].svg)
    words = [element.text for element in chart.iter(f"{SVG}text")]
    assert [words.count(method) for method in ("Grad-CAM", "LayerCAM", "Score-CAM")] == [1, 1, 1]
    assert "all 750 boxes" in words
    assert "the 160 small ones" in words
    # What each hits, and what the centre does on the same images.
    assert [one for one in words if one and " · " in one and "%" not in one] == [
        "80.0 · 84.0", "50.0 · 42.0", "85.0 · 84.0", "55.0 · 42.0", "70 · 84", "30 · 42",
    ]  # fmt: skip
    assert not [e for e in chart.iter() if "style" in e.attrib]


def test_marks_and_whiskers_stand_where_the_numbers_are() -> None:
    rows = [
        intervals.Row("one", [intervals.Mark(-5, -10, 0, "x"), intervals.Mark(10, 5, 20, "y", 1)]),
        intervals.Row("two", [intervals.Mark(float("nan"), float("nan"), float("nan"), "z")]),
    ]
    chart = ET.fromstring(intervals.forest("f", "Alt.", rows, ("a", "b"), "head", "points").svg)
    left, full = 10 + 7 * 3, 420 - 10 - 7 * 3 - 12 - 7
    numbers = [t.text for t in chart.iter(f"{SVG}text") if t.text and t.text.strip("+−").isdigit()]
    assert numbers == ["−10", "0", "+10", "+20"]
    at = {value: left + full * (value + 10) / 30 for value in (-10, -5, 0, 5, 10, 20)}
    drawn = " ".join(path.attrib["d"] for path in chart.iter(f"{SVG}path"))
    assert re.search(rf"M{short(at[-10])} [\d.]+H{short(at[0])}M", drawn)
    assert re.search(rf"M{short(at[5])} [\d.]+H{short(at[20])}M", drawn)
    circles = [float(c.attrib["cx"]) for c in chart.iter(f"{SVG}circle") if c.attrib["r"] != "2.4"]
    squares = [float(r.attrib["x"]) + float(r.attrib["width"]) / 2 for r in chart.iter(f"{SVG}rect")][2:]
    assert circles == pytest.approx([at[-5]], abs=0.01)
    assert squares == pytest.approx([at[10]], abs=0.01)


def test_many_small_lines_fit_a_window_and_their_numbers_each_other() -> None:
    lines = [intervals.Points((1.0,) * 9, (1.0,) * 9, (1.0,) * 9)]
    chart = intervals.small_lines("x", "Alt.", [(f"m{n}", lines) for n in range(7)], ("Spearman",), "layers")
    assert chart.height / chart.width < 1  # 700 pixels are below a page's masthead
    below = [text for text in ET.fromstring(chart.svg).iter(f"{SVG}text") if (text.text or "").isdigit()]
    rows: dict[str, list[float]] = {}
    for text in below:
        rows.setdefault(text.get("y", ""), []).append(float(text.get("x", "nan")))
    level = [row for row in rows.values() if len(row) > 3]
    assert len(level) == 3
    assert all(after - before >= 12 for row in level for before, after in pairwise(sorted(row)))


def test_small_lines_share_a_scale_that_goes_below_zero() -> None:
    lines = intervals.Points((1.0, -0.5), (1.0, -1.0), (1.0, 0.0))
    chart = ET.fromstring(intervals.small_lines("x", "Alt.", [("m", [lines])], ("Spearman",), "layers").svg)
    heights = sorted({float(circle.attrib["cy"]) for circle in chart.iter(f"{SVG}circle")} - {10.0})
    # 1 is at the panel's top (56), -1 at its foot (140): -0.5 is three quarters down.
    assert heights == pytest.approx([56, 56 + 84 * 0.75])


def test_the_randomisation_check_is_told_layer_by_layer() -> None:
    figure = trust_figures(with_measurements())[1]

    assert figure.id == "cnn-trust-randomisation"
    assert "while 3 layers are randomised from the last to the first" in figure.alt
    assert "rank correlation in the end Grad-CAM −0.05 and guided backprop 0.80" in figure.alt
    assert "(1 head, 2 conv2 and 3 conv1)" in figure.caption
    assert figure.table is not None
    assert len(figure.table.rows) == 6
    assert figure.table.rows[2] == ("Grad-CAM", 3, "conv1", -0.05, -0.07, -0.03, 0.2, 0.18, 0.22, 2)
    assert "guided backprop" in figure.svg
    assert len(trust_figures(with_measurements(replace(MEASURED, randomisation=())))) == 1


def test_the_table_holds_every_measure_with_every_baseline() -> None:
    found = verdict(with_measurements())
    assert found is not None
    rows = {(row[0], row[1]): row for row in found.table.rows}

    assert [row[:2] for row in found.table.rows[:4]] == [
        *(("pointing game, all boxes", method) for method in ("Grad-CAM", "LayerCAM", "Score-CAM")),
        ("energy in the box, all boxes", "Grad-CAM"),
    ]
    assert found.table.head[5:] == ("centre point", "uniform map", "wrong class", "random order", "centre out")
    assert rows["pointing game, small boxes", "Grad-CAM"] == (
        "pointing game, small boxes", "Grad-CAM", 160, 50.0, "48.00 to 52.00",
        "42.0 (+8.0, +6.0 to +10.0)", "12.0 (+38.0, +36.0 to +40.0)", "30.0 (+20.0, +18.0 to +22.0)", "–", "–",
    )  # fmt: skip
    assert rows["pointing game, small boxes", "Score-CAM"][3:6] == ("30", "28 to 32", "42 (−12, −14 to −10)")
    assert rows["energy in the box, all boxes", "LayerCAM"][3:6] == (62.0, "60.00 to 64.00", "–")
    assert rows["deletion (low is good)", "Grad-CAM"][8] == "30.0 (−10.0, −12.0 to −8.0)"
    kept = rows["Spearman after all layers randomised, from −1 to 1", "guided backprop"]
    assert kept[2:5] == (30, 0.8, "0.78 to 0.82")
    assert rows["SSIM after the last layer randomised, from −1 to 1", "Grad-CAM"][3] == 0.5
    assert len(rows) == len(found.table.rows) == 6 * 2 + 2 + 2 * 4
    assert {len(row) for row in found.table.rows} == {len(found.table.head)}
    # All values of the column with two decimals: zeros behind one that was rounded to fewer would be false.
    third = verdict(with_measurements(alone(0.848667)))
    assert third is not None
    assert third.table.rows[0][3] == 84.87
    assert found.sweep is not None
    assert found.sweep.rows[1] == ("conv2", "8 × 8", 80.0, "78.0 to 82.0", 50.0, "48.0 to 52.0", 60.0)


def test_the_lead_says_where_the_method_stands() -> None:
    found = verdict(with_measurements())
    assert found is not None
    assert plain(found.lead) == (
        "On 750 test images, the brightest point of SmallCNN’s Grad-CAM map for the true class lies in the object’s "
        "box 80.0 % of the time; so would the image’s centre, 84.0 % of the time. Where the box is "
        "under a quarter of the image, it is 50.0 % against 42.0 %: that beats the centre by 8.0 points (6.0 to 10.0); "
        "of all methods LayerCAM does best there and beats it by 13.0 points (11.0 to 15.0)."
    )


def test_a_method_is_not_the_best_by_the_chance_of_few_images() -> None:
    lucky = replace(MEASURED.localisation[5], pointing=beside(0.60, 0.4, centre=0.42, uniform=0.12, wrong_class=0.3))
    found = verdict(with_measurements(replace(MEASURED, localisation=(*MEASURED.localisation[:5], lucky))))
    assert found is not None
    assert "of all methods LayerCAM does best there" in found.lead


def test_the_lead_gives_no_method_the_numbers_of_another() -> None:
    rows = (MEASURED.localisation[0], *MEASURED.localisation[2:])  # the first saw too few small boxes
    found = verdict(with_measurements(replace(MEASURED, localisation=rows)))
    assert found is not None
    assert found.lead.endswith("of the time.")


def alone(hits: float, wrong: float = 0.3, energy: float = 0.2) -> Faithfulness:
    row = located("Grad-CAM", True, hits, energy, wrong)
    return replace(MEASURED, localisation=(replace(row, small=False), row), perturbation=(), randomisation=(), sweep=())


@pytest.mark.parametrize(
    ("hits", "words"),
    [
        (0.50, "that beats the centre by 8.0 points (6.0 to 10.0)."),
        (0.43, "that cannot be told apart from the centre (difference +1.0, −1.0 to +3.0 points)."),
        (0.30, "that loses to the centre by 12.0 points (10.0 to 14.0)."),
    ],
)
def test_the_lead_follows_the_interval(hits: float, words: str) -> None:
    found = verdict(with_measurements(alone(hits)))
    assert found is not None
    assert found.lead.endswith(words)


def test_methods_that_lose_to_the_centre_are_named() -> None:
    found = verdict(with_measurements())
    assert found is not None
    assert found.pointing == (
        "On all boxes, Grad-CAM by 4.0 points (2.0 to 6.0) and Score-CAM by 14.0 points (12.0 to 16.0) lose to the "
        "centre point; LayerCAM (+1.0, −1.0 to +3.0 points) cannot be told apart from it. "
        "On boxes under a quarter of the image, Grad-CAM by 8.0 points (6.0 to 10.0) and LayerCAM by 13.0 points "
        "(11.0 to 15.0) beat the centre point; Score-CAM by 12.0 points (10.0 to 14.0) loses to it."
    )


def test_a_map_that_is_the_same_for_a_wrong_class_is_said_to_be() -> None:
    some, all_the_same = verdict(with_measurements()), verdict(with_measurements(alone(0.5, 0.49)))
    assert some is not None
    assert all_the_same is not None
    assert plain(some.wrong_class) == (
        "Asked for a wrong class instead, the share of small boxes that are hit falls for Grad-CAM from 50.0 % to "
        "30.0 % and for LayerCAM from 55.0 % to 30.0 %: what is bright depends on the class. For Score-CAM (30 % and "
        "30 %) the difference may be chance: that the map depends on the class is not shown."
    )
    assert plain(all_the_same.wrong_class).startswith(
        "For Grad-CAM (50.0 % and 49.0 %) the difference, asked for a wrong class instead, may be chance"
    )


@pytest.mark.parametrize(
    ("energy", "words"),
    [
        (0.2, "Every method beats such a map by more than chance."),
        (
            0.12,
            "Not every method beats it: by what is bright in all boxes, Grad-CAM (+0.0, −2.0 to +2.0 points) cannot be",
        ),
        (0.05, "by what is bright in small boxes, Grad-CAM by 7.0 points (5.0 to 9.0) loses to it."),
    ],
)
def test_energy_is_compared_with_a_map_without_knowledge(energy: float, words: str) -> None:
    found = verdict(with_measurements(alone(0.5, energy=energy)))
    assert found is not None
    assert "they are 12.0 % of the image" in plain(found.energy)
    assert words in found.energy


def test_what_is_not_better_than_an_order_without_a_map_is_said() -> None:
    found = verdict(with_measurements())
    assert found is not None
    # Deletion: better than random patches, not than from the centre outwards; insertion: better than both.
    taken, put = plain(found.perturbation).split(". ")
    assert (
        "20.0 % averaged over 100 images and all steps, 30.0 % in random patches and 21.0 % from the centre "
        "outwards; less is better"
    ) in taken
    assert taken.endswith("not shown to be better than from the centre outwards")
    assert put.endswith("more is better, so the map is better than each by more than chance.")


def test_maps_that_survive_randomisation_are_named() -> None:
    found = verdict(with_measurements())
    assert found is not None
    assert "Grad-CAM (−0.05; 2 of 30 maps became constant) lost the old map’s order" in found.randomisation
    assert found.randomisation.endswith(" LayerCAM and Score-CAM were not checked.")
    assert "guided backprop (0.80) stayed like the old map, which then shows the photo" in found.randomisation
    assert "kept a part" not in found.randomisation
    assert found.randomisation.startswith(
        "With only head randomised, the rank correlation with the old map is 0.30 for Grad-CAM and 0.99 for guided "
        "backprop; with every layer randomised, Grad-CAM"
    )


def test_the_best_layer_is_named_and_what_is_as_good() -> None:
    found = verdict(with_measurements())
    assert found is not None
    assert plain(found.layers) == (
        "Grad-CAM at conv2, whose maps have 8 × 8 cells, hits the small boxes most often, 50.0 % of the time. It does "
        "so on all boxes too."
    )
    rival = LayerScore("conv1", (32, 32), near(0.9), near(0.47), near(0.55))
    found = verdict(with_measurements(replace(MEASURED, sweep=(rival, MEASURED.sweep[1]))))
    assert found is not None
    assert plain(found.layers).endswith(
        "50.0 % of the time; its interval overlaps that of conv1. On all boxes conv1 is ahead, 90.0 % to 80.0 %."
    )


@pytest.mark.parametrize("end", [0.4, -0.3])
def test_a_map_that_keeps_a_part_of_its_order_is_neither_lost_nor_kept(end: float) -> None:
    """A reversed order is no lost one."""
    half = tuple(replace(each, spearman=(near(0.9), near(end)), silent=(0, 0)) for each in MEASURED.randomisation[:1])
    found = verdict(with_measurements(replace(MEASURED, randomisation=half)))
    assert found is not None
    said = f"Grad-CAM ({end:.2f}) kept a part of the old map’s order, or of its reverse".replace("-0", "−0")
    assert said in found.randomisation
    assert "lost the old" not in found.randomisation


def test_what_was_not_measured_has_no_sentence() -> None:
    found = verdict(with_measurements(replace(MEASURED, perturbation=(), randomisation=(), sweep=())))
    assert found is not None
    assert (found.perturbation, found.randomisation, found.layers, found.sweep) == ("", "", "", None)


def test_without_small_boxes_the_words_are_of_all() -> None:
    found = verdict(with_measurements(replace(MEASURED, small=0, localisation=MEASURED.localisation[:1])))
    assert found is not None
    assert plain(found.lead).endswith("so would the image’s centre, 84.0 % of the time.")
    assert "quarter" not in found.pointing
    assert len(trust_figures(with_measurements(replace(MEASURED, localisation=MEASURED.localisation[:1])))) == 2


# The page


def test_the_page_shows_both_networks() -> None:
    networks = (with_measurements(), with_measurements(title="AlexNet", identifier="alexnet"))
    found = page(synthetic.report(networks=networks, photos=()))

    assert "How far may I believe the maps?" in found.text
    ids = {"cnn-trust-pointing", "cnn-trust-randomisation", "alexnet-trust-pointing", "alexnet-trust-randomisation"}
    assert ids <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))
    assert "LayerCAM does best there and beats it by 13.0 points" in found.text
    assert "HiResCAM, Draelos and Carin 2020" in found.text
    assert "in 10 equal steps" in found.text
    assert "blurred by 12.5 % of its side" in found.text
    assert "python -m generator evaluate" not in found.text


def test_the_page_without_measurements_says_how_to_get_them_and_shows_no_frame() -> None:
    networks = (with_measurements(None), with_measurements(None, title="AlexNet", identifier="alexnet"))
    found = page(synthetic.report(networks=networks, photos=()))

    both = "python -m generator evaluate cnn and python -m generator evaluate alexnet measure it."
    assert found.text.count(both) == 1
    assert not found.every("figure")
    assert not found.every("table")
    assert "HiResCAM" in found.text
    assert "How it was measured" not in found.text


@pytest.mark.parametrize("first", [True, False])
def test_one_network_may_be_measured_alone(first: bool) -> None:
    networks = (
        with_measurements(MEASURED if first else None),
        with_measurements(None if first else MEASURED, title="AlexNet", identifier="alexnet"),
    )
    found = page(synthetic.report(networks=networks, photos=()))

    assert found.text.count("python -m generator evaluate") == 1
    assert f"evaluate {'alexnet' if first else 'cnn'} measures it" in found.text
    assert ("cnn-trust-pointing" in found.ids, "alexnet-trust-pointing" in found.ids) == (first, not first)


def test_what_the_head_does_not_guarantee_stands_there() -> None:
    network = replace(with_measurements(), cam_note="No guarantee for this head.")
    assert "SmallCNN. No guarantee for this head." in page(synthetic.report(networks=(network,), photos=())).text


def test_hostile_names_are_text() -> None:
    rows = tuple(replace(row, method=HOSTILE) for row in MEASURED.localisation[:2])
    layers = tuple(replace(each, layers=(HOSTILE, "b", "c")) for each in MEASURED.randomisation)
    found = page(
        synthetic.report(
            networks=(with_measurements(replace(MEASURED, localisation=rows, randomisation=layers), title=HOSTILE),),
            photos=(),
        )
    )
    assert all(script.get("src") for script in found.every("script"))
    assert HOSTILE in found.text
    assert not found.every("em") + found.every("b")


@pytest.mark.parametrize(
    ("count", "gap", "open_"),
    [
        (8, (-0.1, -0.2, -0.05), False),  # better
        (7, (-0.1, -0.2, -0.05), True),  # of too few photos
        (8, (-0.1, -0.2, 0.05), True),
        (8, (0.1, -0.05, 0.2), True),
        (19, (0.1, -0.05, 0.2), True),
        (20, (0.1, -0.05, 0.2), False),  # failed, and not shown
        (8, (0.1, 0.05, 0.2), False),
    ],
)
def test_what_few_photos_do_not_tell_is_undecided(count: int, gap: tuple[float, float, float], open_: bool) -> None:
    deletion = Compared(near(0.3), {"random": near(0.4)}, {"random": Estimate(*gap)})
    network = replace(with_measurements(None), checks=(Check("RISE", count, 0, deletion),))
    assert [*undecided(network)] == ["RISE"] * open_


def test_what_is_undecided_stands_beside_the_method_and_in_the_results() -> None:
    """Of SmallCNN's maps an evaluation measured one, of occlusion's the build alone looked at seven."""
    drawn = synthetic.report()
    gaps = {"Grad-CAM": (-0.02, -0.05, 0.01), "LayerCAM": (-0.1, -0.2, -0.05)}
    measured = tuple(
        Perturbation(name, 32, *[Compared(near(0.3), {"random": near(0.4)}, {"random": Estimate(*gap)})] * 2)
        for name, gap in gaps.items()
    )
    few = Check("occlusion", 7, 0, Compared(near(0.3), {"random": near(0.2)}, {"random": Estimate(0.1, 0.05, 0.2)}))
    made = synthetic.complete(drawn.networks[0])
    assert made.evaluation is not None
    judged = replace(made.evaluation, faithfulness=replace(MEASURED, perturbation=measured))
    report = replace(drawn, networks=(replace(made, evaluation=judged, checks=(few,)),))
    figures = {figure.id: figure for figure in sites.figures_of(report)}
    files = render(report, figures, reading.load(ROOT / "report.toml"), (ROOT / "templates",), ROOT / "content")
    page = plain(files["grad-cam.html"].decode())
    cells = [cell for cell in re.findall(r"<li>.*?</li>", page, re.DOTALL) if "<strong>" in cell]
    said = {name: cell for cell in cells for name in re.findall("<strong>(.*?)</strong>", cell)}
    asked, order = (
        "undecided on",
        "with pixels taken away in its order the probability differs from that of a random order",
    )
    means = {"Grad-CAM": "32 test images: −2.0 (−5.0 to +1.0)", "occlusion": "7 photos: +10.0 (+5.0 to +20.0)"}
    for name, mean in means.items():
        count, gap = mean.split(": ")
        whole = f"{asked} {count}: {order} by {gap.replace(' (', ' points (')}; below zero is better</p>"
        assert whole in said[name]
    assert all(asked not in cell for name, cell in said.items() if name not in ("Grad-CAM", "occlusion"))
    told = json.loads(files["results.json"])["networks"]["cnn"]["undecided"]
    assert told == {
        "Grad-CAM": {"count": 32, "images": "test image", "gap": {"mean": -0.02, "low": -0.05, "high": 0.01}},
        "occlusion": {"count": 7, "images": "photo", "gap": {"mean": 0.1, "low": 0.05, "high": 0.2}},
    }


def test_what_the_build_checked_itself_is_told_beside() -> None:
    """Of three methods one is better than chance, one worse, and of one nothing can be said."""
    gaps = {"Grad-CAM": (-0.1, -0.2, -0.05), "occlusion": (0.1, 0.05, 0.2), "LayerCAM": (0.0, -0.1, 0.1)}
    found = tuple(
        Check(name, 8, 1, Compared(near(0.3), {"random": near(0.4)}, {"random": Estimate(*gap)}), 2, 0.25, -0.5)
        for name, gap in gaps.items()
    )
    found = (*found, replace(found[0], method="RISE", classes=None, weights=None, asked=0))
    network = replace(with_measurements(None), checks=found)
    shown = page(synthetic.report(networks=(network,), photos=()))
    said = shown.text
    assert "On 8 photos of this report, each for what SmallCNN answers, the build checked the maps of Grad-CAM," in said
    assert (
        "of Grad-CAM and RISE the answer falls faster than in a random order, beyond what chance explains; of occlusion"
        in said
    )
    assert "so few photos do not tell LayerCAM from a random order." in said
    assert "is 0.25 for Grad-CAM, 0.25 for occlusion and 0.25 for LayerCAM: the nearer to 1" in said
    assert "random weights it is −0.50 for Grad-CAM" in said
    assert "40.0 (−10.0, −20.0 to −5.0)" in said
    assert said.count("has not been measured for these weights") == 1
    # A table's four rows of seven numbers each, of which one is in words: dashes stand below numbers, at the right.
    cells = [cell.get("class") for cell in shown.every("td")][-28:]
    assert cells == (["n"] * 3 + [None] + ["n"] * 3) * 4
