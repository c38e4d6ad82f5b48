"""Reports of any number of networks, of any shape, on any data: they render, and no visitor meets anything broken."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from generator.config import reading
from generator.config.schema import Config, ReportConfig
from generator.pages import render
from generator.publishing.check import check
from generator.records.images import Floats, Photo
from generator.records.input import UNKNOWN, Input
from generator.records.network import Network, StageMaps
from generator.records.report import DataSummary, DataWords, Report
from generator.records.scores import Evaluation
from generator.records.training import Epoch, Log, Run
from generator.report.anchors import TAKEN, anchored
from generator.report.evaluation.figures import evaluation_figures
from generator.report.filters.weights import filter_figures
from generator.report.grad_cam.figures import grad_cam_figures
from tests import sites, synthetic

ROOT = Path(__file__).parents[2]
SHAPES = ("circle", "square", "star", "triangle")
MEAN = (0.5,)


def settings() -> Config:
    """A report.toml that says nothing."""
    read = reading.load(ROOT / "report.toml")
    return replace(read, path=None, report=ReportConfig(title="Shapes"))


def rendered(report: Report) -> dict[str, bytes]:
    """The finished site, with its real figures."""
    told = replace(report, networks=anchored(report.networks))
    figures = {figure.id: figure for figure in sites.figures_of(told)}
    return dict(render(told, figures, settings(), (ROOT / "templates",), ROOT / "content"))


def flawless(report: Report) -> dict[str, bytes]:
    files = rendered(report)
    assert [str(finding) for finding in check(files) if not finding.harmless] == []
    return files


@cache
def site_of(count: int) -> Mapping[str, bytes]:
    """The site of a report of so many networks, seen to be flawless."""
    return flawless(made(count))


def text(page: bytes) -> str:
    """What a page says: its words, those of its pictures and of its head."""
    source = page.decode()
    spoken = " ".join(re.findall(r'(?:alt|title|content|aria-label)="([^"]*)"', source))
    plain = html.unescape(re.sub(r"<[^>]+>", " ", source) + spoken)
    return " ".join(plain.replace("\u00a0", " ").split())


def photos(names: Sequence[str] = SHAPES, count: int = 2) -> tuple[Photo, ...]:
    """Images of the data set's test part."""
    made = (
        synthetic.photo(f"test-{number}", number % len(names), f"Image {number}", "test") for number in range(count)
    )
    return tuple(made)


def network(
    name: str,
    shown: Sequence[Photo],
    classes: Sequence[str] = SHAPES,
    size: tuple[int, int] = (16, 16),
    channels: int = 3,
    layers: Sequence[Floats] | None = None,
    evaluated: bool = True,
) -> Network:
    """A network of somebody else: no recorded training, no card, one evaluation without boxes."""
    made = synthetic.network(name, f"Net {name}", shown, classes, runs=(), evaluated=evaluated)
    weights = [synthetic.weights(4, channels), synthetic.weights(8, 4)] if layers is None else layers
    convolutions = tuple(
        synthetic.convolution(f"body.{place}", place + 1, each, 3 + 4 * place) for place, each in enumerate(weights)
    )
    ramp = np.mgrid[0 : size[0], 0 : size[1]].sum(axis=0)[..., None].repeat(3, axis=2) % 256
    explanations = {
        key: replace(
            each,
            seen=ramp.astype(np.uint8),
            layer="body.1",
            contributor_layer="body.1" if len(convolutions) > 1 else "",
            comparison=synthetic.comparison(each.predicted) if len(classes) == len(SHAPES) else None,
        )
        for key, each in made.explanations.items()
    }
    return replace(
        made,
        input=Input(size, crop="none", channels=channels, mean=MEAN * channels, std=MEAN * channels),
        layers=convolutions,
        patches=tuple(synthetic.patches(layer) for layer in convolutions),
        explanations=explanations,
        examined=replace(synthetic.examined(), said="3 validation images of Shapes", names=("star", "circle", "star")),
        snapshots={},
        card="",
        summary=(("body.0", "convolution", "4 x 16 x 16"),),
        weights_source="The weights are those of net.pt.",
    )


def blind(name: str, channels: int) -> Network:
    """A network that takes images of so many channels, to which nothing was shown."""
    made = network(name, (), channels=channels, evaluated=False)
    return replace(made, patches=(), examined=None, class_images=None)


def answers(name: str, shown: Sequence[Photo]) -> Network:
    """A network of which only the answers are known."""
    made = network(name, shown, layers=[])
    explanations = {
        key: replace(each, layer="", targets=(), cams=each.cams[:0], stages=(), comparison=None, contributions=None)
        for key, each in made.explanations.items()
    }
    assert made.evaluation is not None
    splits = {part: replace(scores, top1_flipped=None) for part, scores in made.evaluation.splits.items()}
    return replace(
        made,
        parameters=None,
        macs=None,
        input=UNKNOWN,
        summary=(),
        examined=None,
        patches=(),
        class_images=None,
        evaluation=replace(made.evaluation, splits=splits),
        explanations={key: replace(each, contributors=()) for key, each in explanations.items()},
        weights_source="Its answers are in answers.csv.",
    )


def report(*networks: Network, classes: Sequence[str] = SHAPES, shown: Sequence[Photo] = ()) -> Report:
    data = DataSummary(
        name="Shapes",
        class_names=tuple(classes),
        keys=tuple(classes),
        counts={"train": 40 * len(classes) + 1, "test": 10 * len(classes)},
        per_class={"train": 40, "test": 10},
        examples={index: (synthetic.pixels(28, index),) for index in range(len(classes))},
        augmented=(),
        present=True,
        words=DataWords("Shapes", "The parts are as they came: train and test.", sizes=((28, 28), (40, 90))),
    )
    return Report(networks, tuple(shown), data, {"python": "3.11.2"})


def made(count: int) -> Report:
    """A report of so many networks, each with an id that something else has already."""
    shown = photos(count=1)
    names = ("photo", "Photo", "data-2")
    return report(*(network(name, shown) for name in names[:count]), shown=shown)


class TestAnyNumber:
    def test_of_none_the_data_is_shown(self) -> None:
        files = site_of(0)
        pages = {path for path in files if path.endswith(".html")}
        assert pages == {"index.html", "data.html", "about.html", "404.html"}
        assert "This report shows no network yet" in text(files["index.html"])
        assert "assets/try.js" not in files
        assert "assets/overlay.js" not in files
        assert "assets/lightbox.js" in files
        assert check(files) == ()  # no file too many either

    @pytest.mark.parametrize("count", [1, 2, 3])
    def test_of_some_all_are_shown(self, count: int) -> None:
        told = made(count)
        files = site_of(count)
        assert "try.html" not in files
        assert "training.html" not in files
        assert b"Networks on this page" not in files["evaluation.html"]
        assert "No training was recorded" in text(files["index.html"])
        for name in ("index", "evaluation", "filters", "grad-cam", "feature-maps", "failures", "about"):
            for one in told.networks:
                assert one.title in text(files[f"{name}.html"]), name
        assert text(files["filters.html"]).count("begins with 4") == count

    def test_the_network_that_runs_is_the_one_on_the_page(self) -> None:
        told = made(2)
        live = replace(synthetic.live(SHAPES), network="Photo")
        page = text(flawless(replace(told, live=live))["try.html"])
        assert "Net Photo itself" in page
        assert "Net photo" not in page

    def test_terms_are_explained_once_where_they_are_first_met(self) -> None:
        shown = photos(count=1)
        first, second = network("a", shown, evaluated=False), network("b", shown)
        page = text(flawless(report(first, second, shown=shown))["evaluation.html"])
        assert page.count("A confusion matrix has a row") == 1
        assert "Of 40 test images, Net b names 32 (80 %) correctly." in page


class TestAnyAddress:
    def test_networks_may_have_the_names_of_something_else(self) -> None:
        names = [
            "photo",
            "Photo",
            "data",
            "hero",
            "scale",
            "mark",
            "title",
            "content",
            "reading",
            "growth",
            "numbers",
            "trust",
            "404",
            "a",
            "a-conv1",
        ]
        shown = photos(count=1)
        told = report(*(replace(network(name, shown), class_images=None) for name in names), shown=shown)
        many = replace(told, networks=anchored(told.networks))
        figures = synthetic.figures(many)
        files = render(many, figures, settings(), (ROOT / "templates",), ROOT / "content")
        assert [str(finding) for finding in check(files) if not finding.harmless and "svg" not in str(finding)] == []
        assert len({path.casefold() for path in files}) == len(files)
        # Long pages begin with where each network's part is; `check` has seen that the links lead there.
        for page in ("evaluation", "filters", "failures"):
            (jumps,) = re.findall(
                rb'<nav class="layers" aria-label="Networks on this page">(.*?)</nav>', files[f"{page}.html"], re.DOTALL
            )
            assert jumps.count(b"<a href=") == len(names)
        assert text(files["filters.html"]).count("begins with 4") == 1  # not one network after the other
        assert "first layers of the 14 other networks" in text(files["filters.html"])

    def test_what_the_pages_call_their_own_is_taken(self) -> None:
        """An id of a page that begins with no network's anchor is in the list, or belongs to a photo or a figure."""
        report_, figures = sites.drawn()
        files = render(report_, figures, sites.settings(), (ROOT / "templates",), ROOT / "content")
        own = set()
        for path, page in files.items():
            if path.endswith(".html") and "mistakes" not in path:
                own |= set(re.findall(r'\bid="([^"]+)"', page.decode()))
        own = {one for one in own if not re.match(r"(cnn|alexnet)(-|$)|(photo|data)[-=]", one)}
        assert sorted(own - TAKEN) == []

    def test_anchors_are_told_apart(self) -> None:
        def anchors(*names: str) -> list[str]:
            return [one.anchor for one in anchored([synthetic.network(name, name, ()) for name in names])]

        assert anchors("cnn", "alexnet") == ["cnn", "alexnet"]
        assert anchors("photo", "network-photo") == ["network-2-photo", "network-photo"]
        assert anchors("CNN", "cnn") == ["CNN", "network-cnn"]
        assert anchors("resnet", "resnet-18", "resnet-conv1") == ["resnet", "resnet-18", "network-resnet-conv1"]
        assert anchors("data-2") == ["network-data-2"]

    def test_addresses_of_the_numbers_stay_those_of_report_toml(self) -> None:
        files = site_of(1)
        assert b'results.json#/networks/photo/layers/0"' in files["filters.html"]
        assert "filters-network-photo-conv1.html" in files


class TestAnyArchitecture:
    def test_of_any_channels(self) -> None:
        shown = photos(count=1)
        grey, five = network("grey", shown, channels=1), blind("five", 5)
        files = flawless(report(grey, five, shown=shown))
        page = text(files["filters.html"])
        assert "red, green and blue" not in page
        assert "White is a weight of zero; red adds, blue subtracts" in page
        assert "Net five cannot be shown the images here, so there is no score" in text(files["evaluation.html"])
        assert "The photos here cannot be shown to Net five." in text(files["failures.html"])
        assert "evaluate five" not in text(files["trust.html"])
        assert "Net five was not shown this photo." in text(files["grad-cam.html"])
        patches = text(files["filters-five-conv1.html"])
        assert "The images here cannot be shown to Net five, so there are no patches to show." in patches
        assert "strongest patches" not in patches
        page = text(site_of(1)["filters.html"])
        assert "in red, green and blue" in page
        assert "red adds, blue subtracts" not in page

    def test_where_no_image_can_be_shown_to_any_there_are_its_weights(self) -> None:
        files = flawless(report(blind("five", 5)))
        pages = {path.removesuffix(".html") for path in files if path.endswith(".html") and "-" not in path}
        assert pages == {"404", "index", "data", "filters", "about"}
        index, about = text(files["index.html"]), text(files["about.html"])
        assert "The images here cannot be shown to it; guessing would name 25.0 %." in index
        assert "no image that is read here can be shown to a network" in index
        assert "the about page has the command" not in index
        assert "python -m generator train" not in about
        assert "python -m generator evaluate" not in about
        assert "multiplications for one image of 5 channels and 16 × 16 pixels" in about

    def test_of_some_only_the_answers_are_known(self) -> None:
        shown = photos()
        one = answers("keras", shown)
        alone, beside = flawless(report(one, shown=shown)), flawless(report(one, network("net", shown), shown=shown))
        pages = {path.removesuffix(".html") for path in alone if path.endswith(".html") and "-" not in path}
        assert pages == {"404", "index", "data", "evaluation", "failures", "about"}
        index = text(alone["index.html"])
        assert (
            "Net keras is a network that was run elsewhere, and of which only the answers are known. It correctly names"
            in index
        )
        assert "Of Net keras only the answers are known. So there are no pages of what only a network itself" in index
        assert "two-dimensional convolution" not in index
        assert "Multiplications" not in index
        assert "with mirror image" not in text(alone["evaluation.html"])
        assert "python -m generator evaluate" not in text(alone["about.html"])
        index = text(beside["index.html"])
        assert "only the answers are known. So" not in index
        assert "Net keras – – – 4" in index
        assert "python -m generator evaluate net ." in text(beside["about.html"])
        for page, what in (("filters", "filters"), ("feature-maps", "feature maps"), ("grad-cam", "heat maps")):
            line = f"Of Net keras only the answers are known, so there are no {what} of it."
            assert text(beside[f"{page}.html"]).count(line) == 1
        # The tile is of the network that was looked into, though it is the second.
        assert "The report in four columns" in beside["results.json"].decode()

    def test_of_one_only_the_answers_are_known_and_none_is_wrong(self) -> None:
        shown = photos()
        one = answers("keras", shown)
        right = {
            key: replace(each, logits=np.eye(4, dtype=np.float32)[each.label or 0])
            for key, each in one.explanations.items()
        }
        said = text(flawless(report(replace(one, explanations=right, failures=()), shown=shown))["failures.html"])
        assert "Net keras names every sample photo that shows one of its classes." in said
        assert "Net keras named every photo of this report that shows one of its classes." in said

    def test_only_what_was_trained_here_is_to_be_trained_again(self) -> None:
        about = text(site_of(1)["about.html"])
        assert "Score a network with python -m generator evaluate photo ." in about
        assert "python -m generator train" not in about

    def test_grey_filters_are_tiles_side_by_side(self) -> None:
        shown = photos()
        one = network("net", shown, channels=1, layers=[synthetic.weights(64, 1, 5), synthetic.weights(8, 64)])
        mosaic, *_ = filter_figures(one)
        assert 0.5 < mosaic.width / mosaic.height < 2
        assert mosaic.caption.startswith("Net net, convolution 1 (body.0): all 64 filters")

    def test_without_convolutions(self) -> None:
        shown = photos()
        one = replace(network("net", shown, layers=[]), class_images=None, examined=None)
        files = flawless(report(one, shown=shown))
        assert "filters.html" not in files
        assert "no network here has a two-dimensional convolution" in text(files["index.html"])
        assert "is a network of 1.2 million weights" in text(files["index.html"])
        assert "The report in three columns" in files["results.json"].decode()

    def test_not_square(self) -> None:
        shown = photos()
        one = network("net", shown, size=(48, 192))
        files = flawless(report(one, shown=shown))
        assert "as given: 48 × 192 pixels, height × width" in text(files["grad-cam.html"])
        assert "of 48 × 192 pixels (height × width)." in text(files["about.html"])
        drawn = {figure.id: figure for figure in grad_cam_figures(one, shown[0])}
        for name in ("net-cam-test-0-predicted", "net-cam-test-0-photo", "net-cam-test-0-predicted-heat"):
            assert drawn[name].width == 4 * drawn[name].height, name
        assert drawn["net-ways-test-0"].height == 16 * drawn["net-ways-test-0"].width / 4  # cells of four to one

    def test_a_unit_may_see_the_whole_image(self) -> None:
        shown = photos()
        one = network("net", shown, size=(12, 16))
        whole = np.tile(np.array([0, 0, 15, 11]), (8, 4, 1))
        layers = (one.layers[0], replace(one.layers[1], receptive_field=None))
        patches = (one.patches[0], replace(one.patches[1], boxes=whole))
        files = flawless(report(replace(one, layers=layers, patches=patches), shown=shown))
        assert "it grows from 3 to the whole image" in text(files["filters.html"])
        assert "One unit sees the whole image." in text(files["filters-net-conv2.html"])

    def test_of_many_channels_the_page_shows_the_largest(self) -> None:
        shown = photos()
        one = network("net", shown, layers=[synthetic.weights(4, 3), synthetic.weights(700, 4, 1)])
        files = flawless(report(one, shown=shown))
        page = files["filters-net-conv2.html"].decode()
        room = 200 * 1024 // (400 + 4 * len("netconv2") + 2 * (len("circle") + 6))
        assert f"This page shows the {room} filters with the largest norms." in text(files["filters-net-conv2.html"])
        assert len(re.findall(r'<li id="net-conv2-\d+"', page)) == room
        # Weights rise from -1 to 1, so that the filters in the middle are the smallest.
        assert 'id="net-conv2-699"' in page
        assert 'id="net-conv2-350"' not in page

    @pytest.mark.parametrize(("count", "heading"), [(12, "How to read a channel"), (13, "Every channel and its")])
    def test_no_heading_promises_channels_that_all_stand_above_it(self, count: int, heading: str) -> None:
        shown = photos()
        layers = [synthetic.weights(4, 3), synthetic.weights(count, 4)]
        page = flawless(report(network("net", shown, layers=layers), shown=shown))["filters-net-conv2.html"].decode()
        above, below = page.split('id="units"')
        assert below.lstrip(">").startswith(heading)
        assert above.count('<li id="net-conv2-') == 12
        assert below.count('<li id="net-conv2-') == count - 12

    def test_long_names_leave_room_for_fewer(self) -> None:
        shown = photos()
        name = "n" * 40
        one = network(name, shown, layers=[synthetic.weights(700, 3, 16), synthetic.weights(8, 700)])
        assert one.examined is not None
        one = replace(one, examined=replace(one.examined, names=("a star of a kind that has a long name",) * 3))
        files = flawless(report(one, shown=shown))
        units = re.findall(rf'<li id="{name}-conv1-\d+"', files[f"filters-{name}-conv1.html"].decode())
        assert 200 < len(units) < 400
        # Of filters as large as a transformer's patches a mosaic has room for few.
        assert "the 64 largest of 700 filters" in text(files["filters.html"])
        assert "The layer’s largest filters, to one scale" in text(files[f"filters-{name}-conv1.html"])

    def test_of_a_large_network_a_selection_has_pages(self) -> None:
        shown = photos()
        one = network("net", shown)
        ten = synthetic.stage("layer1", 1, 10, (1, 4, 6, 8))
        found = replace(synthetic.patches(ten), active=np.array([1, 1, 0, 1, 1, 1, 1, 1, 1, 0], np.float32))
        large = replace(
            one,
            layers=(one.layers[0], ten),
            pageless=(one.layers[1],),
            patches=(*one.patches, found),
            selected="chosen",
            asked="the 2 photos of this report",
        )
        files = flawless(report(large, shown=shown))
        assert "filters-net-conv2.html" not in files
        ladder, page = text(files["filters.html"]), text(files["filters-net-stage1.html"])
        assert "Net net has 2 convolutions. Not all of them are shown here: 2 layers have pages" in ladder
        assert (
            "1 convolution has none and is in the table below. Of the 14 channels of the layers with pages, 8" in ladder
        )
        assert "those that gave most to the network’s answers on the 2 photos of this report" in ladder
        assert "All 2 convolutions of Net net" in ladder
        assert "10 channels of 4 × 4 cells; a unit sees 12 × 12 pixels; 2 silent on " in ladder
        assert "This page shows the 4 of 10 channels that gave most" in page
        assert "Of the channels that are not shown, 2 never fired (2 and 9)." in page
        assert "gave 0.40, strongest 3.00 · fires in 100 %" in page
        assert "strongest answer, and the share of the images in which the channel fires at all." in page
        assert "The weights" not in page
        assert "is a network of 2 convolutions and" in text(files["index.html"])
        results = json.loads(files["results.json"])["networks"]["net"]
        assert [layer["name"] for layer in results["layers"]] == ["body.0", "layer1"]
        assert results["layers"][1]["units"]["channel"] == [1, 4, 6, 8]
        assert results["layers"][1]["units"]["marks"] == {"2": "silent", "9": "silent"}
        assert len(json.loads(files["assets/data/filters.json"])["net-convolutions"]["rows"]) == 2

    def test_of_a_layer_without_a_rectifier_nothing_is_said_of_firing(self) -> None:
        shown = photos()
        one = network("net", shown)
        unknown = [replace(found, active=np.full_like(found.active, np.nan)) for found in one.patches]
        files = flawless(report(replace(one, patches=tuple(unknown)), shown=shown))
        page = text(files[f"filters-net-{one.layers[0].address}.html"])
        assert "the filter’s norm, and its strongest answer before any normalisation." in page
        assert "fires" not in page

    def test_the_first_convolution_stands_on_the_page_of_filters_without_one_of_its_own(self) -> None:
        shown = photos()
        one = network("net", shown)
        named = replace(one, layers=one.layers[1:], pageless=one.layers[:1], patches=one.patches[1:], selected="named")
        files = flawless(report(named, shown=shown))
        page = files["filters.html"].decode()
        assert 'id="net-filters-body-0"' in page
        assert "filters-net-conv1.html" not in page
        assert "1 layer has a page, as report.toml names them" in text(files["filters.html"])


class TestAnyLog:
    """Runs that another program's log tells of, with whatever it has."""

    LOG = Log("logs/<b>.csv", "the table", {"validation accuracy": "val_acc (in percent)"}, ("Some rows are odd.",))
    NOTHING = Epoch(1, None, None, None, None, None, None, None)

    def page(self, *epochs: Epoch, kept: int | None = None) -> tuple[str, str]:
        shown = photos(count=1)
        one = Run("logs/<b>.csv", epochs, kept, {}, {}, log=self.LOG)
        files = flawless(report(replace(network("net", shown), runs=(one,)), shown=shown))
        return text(files["training.html"]), text(files["index.html"])

    @pytest.mark.parametrize("name", ["train_loss", "train_accuracy", "validation_loss", "validation_accuracy"])
    def test_that_knows_one_measure_alone(self, name: str) -> None:
        first, second = (replace(self.NOTHING, **{name: value}) for value in (0.5, 0.25))  # type: ignore[arg-type]
        found, index = self.page(first, replace(second, epoch=2))
        assert "whose log tells of 2 epochs." in found
        assert "These curves are read from the table: logs/<b>.csv. Which epoch’s weights the network has" in found
        assert "Some rows are odd." in found
        assert "val_acc (in percent)" in found
        for wrong in ("0 pixels", " 0 s", "nan", "None", "unknown", "seconds", "learning rate of each", "Settings of"):
            assert wrong not in found, wrong
        assert "time to train" not in index

    def test_that_knows_the_kept_epoch_and_the_time(self) -> None:
        first = replace(self.NOTHING, validation_accuracy=0.8, train_loss=0.75, seconds=30.0)
        found, index = self.page(first, replace(first, epoch=2, validation_accuracy=0.5), kept=1)
        assert (
            "whose log tells of 2 epochs in 1 min. The weights of epoch 1 were kept: they name 80.0 % of the" in found
        )
        assert "Its log’s validation accuracy of epoch 1, whose weights these are, is 80.0 %; measured here" in found
        assert "is not known" not in found
        assert "time to train 1 min 2 epochs." in index


class TestAnyClasses:
    def test_two(self) -> None:
        names = ("cat", "dog")
        shown = photos(names, 2)
        files = flawless(report(network("net", shown, names), classes=names, shown=shown))
        for path in ("index.html", "evaluation.html"):
            assert "first five" not in text(files[path])
            assert "Top-5" not in text(files[path])
        assert "guessing would name 50 %" in text(files["index.html"])

    def test_a_hundred_and_fifty(self) -> None:
        names = tuple(f"kind {number} of thing" for number in range(150))
        shown = photos(names, 2)
        one = network("net", shown, names)
        wrong = (
            [
                replace(
                    one.evaluation.splits["test"].mistakes[0],
                    image=f"{number}.png",
                    true=number % 150,
                    predicted=(7 * number) % 149,
                )
                for number in range(2000)
            ]
            if one.evaluation
            else []
        )
        many = replace(one, evaluation=with_mistakes(one.evaluation, wrong))
        files = flawless(report(many, classes=names, shown=shown))
        assert max(len(page) for path, page in files.items() if path.endswith(".html")) < 300 * 1024
        assert "has the right name among its first five" in text(files["evaluation.html"])
        assert "as many of those that it got wrong as this page has room for" in text(
            files["evaluation-net-mistakes.html"]
        )
        assert "of the first 120 of 150" in text(files["data.html"])

    def test_of_hundreds_a_page_still_has_room(self) -> None:
        names = tuple(f"kind {number} of thing" for number in range(300))
        dense = np.ones((300, 300), np.int64)
        one = network("net", (), names)
        assert one.evaluation is not None
        splits = {part: replace(scores, confusion=dense) for part, scores in one.evaluation.splits.items()}
        one = replace(one, evaluation=replace(one.evaluation, splits=splits), class_images=None)
        drawn = evaluation_figures(one)
        files = render(
            report(one, classes=names), {figure.id: figure for figure in drawn}, settings(), (ROOT / "templates",),
            ROOT / "content",
        )  # fmt: skip
        assert max(len(page) for path, page in files.items() if path.endswith(".html")) < 300 * 1024
        assert [str(finding) for finding in check(files) if not finding.harmless] == []
        assert "the best 50 and the last 50 of 300" in text(files["evaluation.html"])

    def test_of_thousands_the_data_page_names_the_first(self) -> None:
        names = tuple(f"kind {number} of thing" for number in range(5000))
        files = flawless(report(classes=names))
        assert len(files["data.html"]) < 300 * 1024
        assert "These are the first 1,000; all are in the numbers" in text(files["data.html"])
        assert json.loads(files["results.json"])["data"]["class_names"][-1] == "kind 4999 of thing"

    def test_of_any_text(self) -> None:
        names = ("<b>", "a/b", "Ünïcode 🐝", "a b")
        shown = photos(names)
        flawless(report(network("net", shown, names), classes=names, shown=shown))


def with_mistakes(evaluation: Evaluation | None, mistakes: Sequence[object]) -> Evaluation:
    assert evaluation is not None
    splits: Mapping[str, object] = {
        **evaluation.splits,
        "test": replace(evaluation.splits["test"], mistakes=tuple(mistakes)),  # type: ignore[arg-type]
    }
    return replace(evaluation, splits=splits)  # type: ignore[arg-type]


def test_the_words_of_a_data_set_are_shown_where_it_is_this_one() -> None:
    told = made(1)
    tiny = DataWords("Tiny ImageNet", "A hash decides.", sizes=((64, 64), (64, 64)))
    files = rendered(replace(told, data=replace(told.data, words=tiny)))
    data = text(files["data.html"])
    assert "40 more images were kept back for the test. Every image is 64 × 64 pixels large." in data
    assert "A hash decides." in data
    assert "pixel for pixel." in data
    assert "python -m generator build --data tiny-imagenet-200" in text(files["about.html"])
    other = text(site_of(1)["data.html"])
    assert (
        "40 more images were kept back for the test. The images are from 28 × 28 to 90 × 40 pixels large (width × "
        "height)." in other
    )
    assert "about 40" in other  # of the part whose classes are not equally large
    counts, each = {**told.data.counts, "test": 1}, {**told.data.per_class, "test": 0}
    few = text(rendered(replace(told, data=replace(told.data, counts=counts, per_class=each)))["data.html"])
    assert "fewer than 1" in few
    assert "about 0" not in few
    assert "The parts are as they came: train and test." in other


FOREIGN = ("Tiny ImageNet", "TinyImageNet", "course", "SmallCNN", "64 ×", "WordNet", "koala", "bundled")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_report_of_ones_own_tells_nothing_of_another(count: int) -> None:
    for path, page in site_of(count).items():
        if path.endswith(".html"):
            assert [word for word in FOREIGN if word in text(page)] == [], path


def test_pages_tell_by_which_method_each_network_s_maps_are() -> None:
    report = made(2)
    second = report.networks[1]
    looks = {photo: replace(seen, method="LayerCAM") for photo, seen in second.explanations.items()}
    files = flawless(replace(report, networks=(report.networks[0], replace(second, explanations=looks))))
    told = text(files["grad-cam.html"])
    assert f"The maps of {second.title} are those of LayerCAM (Jiang et al. 2021)" in told
    assert "attention rollout" not in told
    assert "Heat maps" in told
    assert f"The maps of {second.title} are" not in text(site_of(2)["grad-cam.html"])


def test_a_transformer_s_heads_are_shown_with_its_feature_maps() -> None:
    """Head 1 puts three quarters on the patch at the lower right, head 0 a tenth on each."""
    report = made(2)
    maps = np.full((2, 2, 2), 0.1, np.float32)
    maps[1] = 0.05
    maps[1, 1, 1] = 0.75
    first = report.networks[0]
    heads = (StageMaps("blocks.0", "block 1", maps),)
    looks = {photo: replace(seen, heads=heads) for photo, seen in first.explanations.items()}
    files = flawless(replace(report, networks=(replace(first, explanations=looks), report.networks[1])))
    told = text(files["feature-maps.html"])
    assert f"What each head of {first.title} attends to" in told
    assert "head 1 puts most on one patch, 75.0 %, at the lower right; head 0 least, 10.0 %" in told
    assert "attends to" not in text(site_of(2)["feature-maps.html"])


def test_the_parts_of_large_data_sets() -> None:
    """As many images as ImageNet judges on, and training images beyond a million: no number is too large for words."""
    one = network("net", photos())
    assert one.evaluation is not None
    splits = {
        name: replace(scores, count=scores.count * times, confusion=scores.confusion * times)
        for name, scores in one.evaluation.splits.items()
        for times in [40_000 if name == "train" else 1_300]
    }
    assert splits["test"].count == 52_000
    files = flawless(report(replace(one, evaluation=replace(one.evaluation, splits=splits))))
    assert "It correctly names 80.0 % of 52,000 photos" in text(files["index.html"])
    assert "guessing would name 25.0 %" in text(files["index.html"])
