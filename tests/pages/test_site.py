"""The pages: their numbers are the records', their links resolve, and what a user writes acts nowhere."""

from __future__ import annotations

import base64
import io
import itertools
import json
import math
import posixpath
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import html5lib
import numpy as np
import pytest
from PIL import Image

from generator.base.errors import InputError
from generator.config import addresses, reading, schema
from generator.data.classes import TINY_IMAGENET_30
from generator.figures import theme
from generator.pages import formats, network_script, prose, render, static
from generator.publishing import check
from generator.records.figure import Figure, Table
from generator.records.report import Report
from generator.report.data.figures import photo_figures
from generator.report.plates import wording
from generator.report.training.facts import Training
from tests import synthetic

ROOT = Path(__file__).parents[2]
PAGES = (
    "index", "data", "training", "evaluation", "filters", "feature-maps", "grad-cam", "failures", "trust", "try",
    "about",
)  # fmt: skip
HOSTILE = "<img src=x onerror=alert(1)>\"'&{{7*7}}[a](javascript:alert(2))*b*`c`"


@dataclass
class Document(HTMLParser):
    """A page's elements in order, its ids and its visible text."""

    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag in ("td", "th", "p", "dd", "dt", "li"):
            self.words.append(" ")

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).replace("\u00a0", " ").split())

    @property
    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]

    def every(self, name: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.elements if tag == name]


def site(
    report: Report | None = None,
    figures: Mapping[str, Figure] | None = None,
    settings: schema.ReportConfig | None = None,
    templates: tuple[Path, ...] = (ROOT / "templates",),
    content: Path = ROOT / "content",
) -> dict[str, bytes]:
    made = synthetic.report() if report is None else report
    read = reading.load(ROOT / "report.toml")
    return render(
        made,
        synthetic.figures(made) if figures is None else figures,
        replace(read, report=settings or read.report),
        templates,
        content,
    )


def pages(files: Mapping[str, bytes]) -> dict[str, Document]:
    found = {}
    for path, data in files.items():
        if path.endswith(".html"):
            found[path] = Document()
            found[path].feed(data.decode())
    return found


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return site()


@pytest.fixture(scope="module")
def documents(files: dict[str, bytes]) -> dict[str, Document]:
    return pages(files)


def own_content(folder: Path) -> Path:
    """A copy of the pages' words, to be changed."""
    copy = folder / "content"
    shutil.copytree(ROOT / "content", copy, ignore=shutil.ignore_patterns("samples"))
    return copy


def test_files_of_the_site(files: dict[str, bytes]) -> None:
    photos = ("bee", "koala", "slice")
    expected = {f"{name}.html" for name in PAGES} | {"404.html", "results.json", "robots.txt", ".nojekyll"}
    expected |= {f"{name}-{photo}.html" for name in ("feature-maps", "grad-cam") for photo in photos}
    assert expected <= set(files)
    assert files["robots.txt"] == b"User-agent: *\nAllow: /\n"
    assert files["assets/figures/cnn-confusion-test.webp"] == b"RIFFcnn-confusion-test"
    assert not [path for path in files if path.startswith(("/", "_", "..")) or "/_" in path]


def test_overview_quotes_the_records(documents: dict[str, Document]) -> None:
    text = documents["index.html"].text
    # 32 of the 40 images of the confusion matrix are on its diagonal; guessing among 4 classes gets a quarter.
    assert "It correctly names 32 (80 %) of 40 photos that it was not trained with, out of 4 classes" in text
    assert "guessing would name 25 %" in text
    assert "1.2 million weights" in text
    assert "50 s" in text  # four epochs of 12.5 s
    # Four classes are not the course's thirty.
    assert "course’s own recipe" not in text


def test_figures_say_that_their_words_are_english_in_a_report_of_another_language(
    documents: dict[str, Document],
) -> None:
    assert not [path for path, page in documents.items() if [one for one in page.every("figure") if "lang" in one]]
    german = pages(site(settings=schema.ReportConfig(title="Bericht", language="de-CH")))
    assert german["index.html"].every("html") == [{"lang": "de-CH"}]
    figures = [one for page in german.values() for one in page.every("figure")]
    assert len(figures) > 20
    assert all(one["lang"] == "en" for one in figures)


def test_a_report_that_runs_from_right_to_left_says_so_and_its_english_parts_do_not() -> None:
    hebrew = pages(site(settings=schema.ReportConfig(title="דוח CNN", subtitle="abc", author="א", language="he")))
    for path, page in hebrew.items():
        assert page.every("html") == [{"lang": "he", "dir": "rtl"}], path
        english = [one for tag in ("figure", "table") for one in page.every(tag) if tag == "figure"]
        english += [one for one in page.every("section") if "scroll" in one.get("class", "")]
        english += [one for one in page.every("p") if one.get("class") == "empty"]
        assert all((one["lang"], one["dir"]) == ("en", "ltr") for one in english), path
    assert len(hebrew["index.html"].every("bdi")) >= 2  # the subtitle, the author
    titles = [*hebrew["index.html"].every("h1"), hebrew["index.html"].every("a")[1]]
    assert [one["dir"] for one in titles] == ["auto", "auto"]


def test_styles_mirror_with_the_direction(files: dict[str, bytes]) -> None:
    for path, data in files.items():
        if path.endswith(".css"):
            sides = rb"(margin|padding|border)-(left|right)\b|text-align: *(left|right)|float: *(left|right)"
            assert not re.search(sides, data), path


def test_course_stands_beside_its_own_thirty_classes() -> None:
    names = tuple(TINY_IMAGENET_30)
    text = pages(site(synthetic.report(class_names=names)))["index.html"].text
    assert "named 46.0 % of 1,500 validation images, not of these test images" in text
    assert "guessing would name 3.3 %" in text


def test_data_quotes_the_records(documents: dict[str, Document]) -> None:
    text = documents["data.html"].text
    assert "trained with 1,800 of its images, 450 of each class" in text
    assert "200 more images were kept back for the test" in text


def test_training_quotes_the_kept_epoch(documents: dict[str, Document]) -> None:
    text = documents["training.html"].text
    # Epoch 3 of 4: 0.9 * (1 - 1/8) = 0.7875, losses 2/8 and 2.5/8.
    assert "The weights of epoch 3 were kept: they name 78.8 % of the validation images correctly" in text
    assert "the loss was 0.25 on the training images and 0.31 on the validation images" in text
    assert "No training of AlexNet was recorded" in text


def test_training_says_where_it_began_anew_and_from_whom_it_learnt() -> None:
    made = synthetic.report()
    run = synthetic.run("augmented", epochs=4)
    network = made.networks[0]

    def told(**more: object) -> str:
        changed = replace(run, settings={**run.settings, **more})
        return pages(site(replace(made, networks=(replace(network, runs=(changed,)),))))["training.html"].text

    assert "began anew" not in told()
    alone, taught = told(started_after=3), told(started_after=3, teachers=["a" * 64, "b" * 64])
    assert "After epoch 3 the training began anew from the best weights so far." in alone
    assert "the probabilities that 2 trained networks gave to every class" in taught.replace("\N{NO-BREAK SPACE}", " ")
    first = {"batch": 64}
    second = {"batch": 72, "started_after": 1, "started_settings": first, "started_environment": {"torch": "1.5.9"}}
    third = told(batch=80, started_after=2, started_settings=second, started_environment={})
    assert re.search("batch 80.*Its first 2 epochs.*batch 72.*Its first 1 epochs.*batch 64.*1.5.9", third, re.DOTALL)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"device": "cpu", "cores": "2", "processor": "AMD EPYC"}, "2 cores of an AMD EPYC"),
        ({"device": "cuda:0", "cores": "16", "processor": "Xeon"}, "cuda:0"),
        ({}, ""),
    ],
)
def test_a_run_says_what_it_ran_on(told: dict[str, str], words: str) -> None:
    run = replace(synthetic.run("augmented", 2), environment=told)
    assert Training(run, "augmented").hardware == words


def test_training_quotes_the_measured_factor() -> None:
    """In a report about the classes that it was measured on."""
    made = synthetic.report(class_names=tuple(TINY_IMAGENET_30))
    text = pages(site(made))["training.html"].text.replace("\N{NO-BREAK SPACE}", " ")
    assert "SmallCNN at full size goes through 280, AlexNet through 270 (a processor, 2 cores)." in text
    assert "Its fifty epochs take 10 min and reach 46.0 % of the validation images" in text
    assert "“quick” takes 20 s, decoding the files included, and reaches 48.0 %" in text
    assert "That is 30 times as fast." in text


def test_evaluation_quotes_the_confusion_matrix(documents: dict[str, Document]) -> None:
    text = documents["evaluation.html"].text
    assert "Of 40 test images, SmallCNN names 32 (80 %) correctly" in text
    # 3 of 10 lions are called bee.
    # Above all, and of the second network.
    assert text.count("Its most frequent confusion: 3 of 10 images of lion named bee.") == 2
    assert "Best found: pizza (10 of 10) and koala (9 of 10). Worst found: bee (6 of 10) and lion (7 of 10)." in text
    assert "is 8.8 %. One number, the temperature, divides all logits, the scores of the classes before" in text
    assert "the error is 2.1 %" in text


def test_failures_name_the_most_confident_mistake(documents: dict[str, Document]) -> None:
    text = documents["failures.html"].text
    # Softmax of the logits 4, 2, 0, 0: e^4 / (e^4 + e^2 + 2) = 0.8533 and e^2 / ... = 0.1155.
    assert "SmallCNN gets 1 of the 3 sample photos that show one of its classes wrong" in text
    assert "calls the photo “A slice of pizza” lion, 85.3 % sure, and gives pizza 11.5 %" in text
    assert "test_12.JPEG lion bee 98.4 %" in text


def test_grad_cam_shows_each_role_and_says_where_there_is_no_evidence(documents: dict[str, Document]) -> None:
    page = documents["grad-cam-slice.html"]
    assert "Predicted: lion" in page.text
    assert "True class: pizza" in page.text
    # The last class's map is zero everywhere.
    assert "No positive evidence" in page.text
    assert {"cnn-cam-slice-predicted", "cnn-cam-slice-true", "alexnet-cam-slice-all"} <= set(page.ids)
    assert "True class" not in documents["grad-cam-bee.html"].text.replace("True class: bee", "")
    assert "SmallCNN names 2 of the 3 sample photos" in page.text


def test_weights_that_were_replaced_are_told_where_their_results_stand() -> None:
    made = synthetic.report()
    note = "ImageNet’s weights could not be had."
    told = replace(made.networks[1], notes=(note,), cam_note="No guarantee for this head.")
    found = pages(site(replace(made, networks=(made.networks[0], told))))
    for name in ("index", "evaluation", "filters", "feature-maps", "grad-cam", "failures", "about"):
        assert note in found[f"{name}.html"].text, name
    assert "No guarantee for this head." in found["grad-cam-koala.html"].text


def test_the_model_card_is_led_to_from_elsewhere_alone() -> None:
    made = synthetic.report()
    found, link = site(made), b'href="about.html#cnn">model card</a>'
    assert link in found["evaluation.html"]
    assert link not in found["about.html"]
    assert "cnn" in pages(found)["about.html"].ids
    bare = replace(made, networks=tuple(replace(network, card="") for network in made.networks))
    assert link not in site(bare)["evaluation.html"]


def test_every_convolution_has_a_page_and_every_unit_an_address(documents: dict[str, Document]) -> None:
    for address, units in (("cnn-conv1", 4), ("cnn-conv2", 8), ("alexnet-conv1", 4), ("alexnet-conv2", 8)):
        page = documents[f"filters-{address}.html"]
        assert [i for i in page.ids if re.fullmatch(rf"{address}-\d+", i)] == [f"{address}-{n}" for n in range(units)]
        assert [a["href"] for a in page.every("a") if a.get("aria-current") == "page"] == [
            "filters.html",
            f"filters-{address}.html",
        ]
        assert f"filters-{address}.html" in [a["href"] for a in documents["filters.html"].every("a")]
    page = documents["filters-cnn-conv2.html"]
    assert "What does convolution 2 of SmallCNN look for?" in page.text
    assert "8 filters of 3 × 3 over 4 channels. One unit sees 8 × 8 of the 16 × 16 pixels." in page.text
    assert "the nine places among 3 validation images of Tiny ImageNet" in page.text
    # The first two pictures of its patches show a bee and a lion, the third a bee again; the last channel never fires.
    assert "0 bee 2, lion 1 norm" in page.text
    assert "7 silent bee 2, lion 1" in page.text
    cells = [image["class"] for image in page.every("img") if "cnn-conv2-patches-0" in image["src"]]
    assert cells == [f"k{number}" for number in range(8)]
    assert {a["rel"]: a["href"] for a in page.every("a") if "rel" in a} == {
        "prev": "filters-cnn-conv1.html",
        "next": "filters-alexnet-conv1.html",
    }


def test_filters_say_what_each_layer_sees_and_what_was_made_for_the_classes(documents: dict[str, Document]) -> None:
    page = documents["filters.html"]
    assert "8 filters of 3 × 3 over 4 channels, stride 1; a unit sees 8 × 8 pixels" in page.text
    assert "duplicates, 1 silent on " in page.text
    # Logit 4 against 0, 0 and 0; the last image has 5 for the first class and 4 for its own.
    assert "bee 95 %" in page.text
    assert "pizza called bee, 72 %" in page.text
    assert "SmallCNN gives 3 of the 4 images the name that they were made for" in page.text
    assert {"cnn-class-bee", "alexnet-class-pizza", "cnn-first-layer-epochs", "cnn-conv2"} <= set(page.ids)


def test_without_patches_and_class_images_a_sentence_takes_their_place() -> None:
    made = synthetic.report()
    bare = tuple(replace(net, examined=None, patches=(), class_images=None) for net in made.networks)
    made = replace(made, networks=bare)
    found = pages(site(made))
    assert "built without any photos, so there are no patches to show" in found["filters-cnn-conv1.html"].text
    assert "No images were made for the 4 classes of SmallCNN." in found["filters.html"].text
    assert not [image for image in found["filters-cnn-conv1.html"].every("img") if "patches" in image["src"]]


def test_without_the_data_set_the_patches_are_said_to_be_of_the_report_s_photos() -> None:
    made = synthetic.report()
    ours = replace(made, networks=tuple(replace(n, examined=synthetic.examined(data_set=False)) for n in made.networks))
    found = pages(site(ours))
    assert "among 3 photos of this report" in found["filters-cnn-conv2.html"].text
    for name in ("filters", "filters-cnn-conv2"):
        assert (
            "This report was built without the data set, so its own photos were used instead"
            in found[f"{name}.html"].text
        )


def test_grad_cam_lists_the_channels_that_the_answer_is_made_of(documents: dict[str, Document]) -> None:
    page = documents["grad-cam-bee.html"]
    # Channels 3, 7, 0 and 2 gave 3, 1, 0.5 and 0.25.
    links = [a["href"] for a in page.every("a") if a["href"].startswith("filters-cnn-conv2.html#")]
    assert links == [f"filters-cnn-conv2.html#cnn-conv2-{channel}" for channel in (3, 7, 0, 2)]
    assert "channel 3+3.00 lion, bee channel 7+1.00" in page.text
    assert "cnn-contributions-bee" in page.ids


def test_feature_maps_name_the_scale_that_is_painted() -> None:
    made = synthetic.report()
    seen = made.networks[0].explanations["bee"]
    maps = np.zeros((1, 10, 100), np.float32)
    maps[0, 0, :10] = 2  # one in a hundred: the 99.5 % quantile is among them
    maps[0, 0, 0] = 50
    stage = replace(seen.stages[0], maps=maps)
    network = replace(made.networks[0], explanations={"bee": replace(seen, stages=(stage,))})
    text = pages(site(replace(made, networks=(network,))))["feature-maps-bee.html"].text
    assert (
        "Scale 0 to 2.00. Largest activation 50.0; longest bar: mean 0.0680; none silent, 1 % of the units active."
        in text
    )


def test_links_and_fragments_resolve(files: dict[str, bytes], documents: dict[str, Document]) -> None:
    checked = 0
    for path, page in documents.items():
        targets = [a["href"] for a in page.every("a") + page.every("link")]
        targets += [a["src"] for a in page.every("img") + page.every("script")]
        for target in targets:
            if re.match(r"https?://|mailto:", target):
                continue
            file, _, fragment = target.partition("#")
            assert not file.startswith("/"), (path, target)
            resolved = posixpath.normpath(file) if file else path
            assert resolved in files, (path, target)
            if fragment and not fragment.startswith("/"):  # a place in a file of numbers: see test_page_figures.py
                assert fragment in documents[resolved].ids, (path, target)
            checked += 1
    assert checked > 300


def test_ids_are_unique_and_headings_go_down_one_by_one(documents: dict[str, Document]) -> None:
    for path, page in documents.items():
        assert len(page.ids) == len(set(page.ids)), path
        levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1, path
        assert levels.count(1) == 1, path
        assert all(now - before <= 1 for before, now in itertools.pairwise(levels)), path


def test_pages_are_valid_html(files: dict[str, bytes]) -> None:
    for path, data in files.items():
        if path.endswith(".html"):
            parser = html5lib.HTMLParser(strict=False)
            parser.parse(data.decode())
            assert not parser.errors, (path, parser.errors[:3])


def test_nothing_is_inline(documents: dict[str, Document]) -> None:
    for path, page in documents.items():
        policy = next(m["content"] for m in page.every("meta") if m.get("http-equiv") == "Content-Security-Policy")
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert not page.every("style"), path
        assert all(script.get("src") for script in page.every("script")), path
        acting = [a for _, attributes in page.elements for a in attributes if a == "style" or a.startswith("on")]
        assert not acting, path


def test_images_have_words_and_sizes(documents: dict[str, Document]) -> None:
    for path, page in documents.items():
        images = page.every("img")
        assert all({"alt", "width", "height", "src"} <= set(image) for image in images), path
        assert all(image.get("loading") == "lazy" or "fetchpriority" in image for image in images), path


def test_only_what_the_first_screen_shows_is_fetched_at_once(documents: dict[str, Document]) -> None:
    """A page's own figure, beside its first words, where it is a picture."""
    at_once = {
        path: [image["src"].removeprefix("assets/figures/") for image in page.every("img") if "loading" not in image]
        for path, page in documents.items()
    }
    assert at_once["filters.html"] == ["cnn-filters-features-conv1.webp"]
    seen = ["cnn-cam-slice-photo.webp", "cnn-maps-slice-features-conv1.webp"]
    assert at_once["feature-maps-slice.html"] == seen
    assert set(at_once["grad-cam-slice.html"]) == {"cnn-cam-slice-photo.webp", "cnn-cam-slice-predicted-heat.webp"}
    for path in ("training", "evaluation-cnn-mistakes", "filters-cnn-conv2", "trust", "about", "404"):
        assert at_once[f"{path}.html"] == [], path
    assert max(map(len, at_once.values())) <= 10
    assert sum(len(page.every("img")) for page in documents.values()) > 3 * sum(map(len, at_once.values()))


def test_a_large_photo_is_offered_in_each_of_its_widths() -> None:
    made = synthetic.report()
    large = replace(made.photos[0], pixels=np.full((500, 1000, 3), 90, np.uint8))
    made = replace(made, photos=(large, *made.photos[1:]))
    drawn = {figure.id: figure for figure in photo_figures(made.photos)}
    files = site(made, {**synthetic.figures(made), **drawn})
    pictures = [image for image in pages(files)["data.html"].every("img") if "/photo-" in image["src"]]
    first, *others = pictures
    assert first["srcset"] == "assets/figures/photo-bee-400.webp 400w, assets/figures/photo-bee.webp 800w"
    assert (first["sizes"], first["src"]) == ("10rem", "assets/figures/photo-bee.webp")
    for offer in first["srcset"].split(", "):
        path, width = offer.split()
        assert Image.open(io.BytesIO(files[path])).width == int(width.removesuffix("w"))
    assert len(others) == 2
    assert all("srcset" not in image and "sizes" not in image for image in others)


def test_budgets(files: dict[str, bytes], documents: dict[str, Document]) -> None:
    for path, page in documents.items():
        scripts = {script["src"] for script in page.every("script")}
        styles = {link["href"] for link in page.every("link") if link["rel"] == "stylesheet"}
        assert 0 < sum(len(files[script.removeprefix("./")]) for script in scripts) <= 25 * 1024, path
        assert 0 < sum(len(files[style]) for style in styles) <= 25 * 1024, path


def test_the_page_that_runs_a_network_says_how_and_names_what_it_loads(
    files: dict[str, bytes], documents: dict[str, Document]
) -> None:
    page = documents["try.html"]
    loads = next(attributes for _, attributes in page.elements if attributes.get("id") == "live")
    later = [file for name in ("scripts", "network") for file in loads[f"data-{name}"].split()]
    assert set(later) <= set(files)
    assert {"assets/network.js", "assets/network-0.js"} < set(later)
    samples = [attributes for attributes in page.every("a") if "data-sample" in attributes]
    assert [sample["data-sample"] for sample in samples] == ["bee", "koala", "slice"]
    assert all({sample["data-script"], sample["href"].partition("#")[0]} <= set(files) for sample in samples)
    assert "stored as 8-bit integers" in page.text
    assert "by 0.10 % of the largest" in page.text


def test_without_scripts_the_page_that_runs_a_network_has_no_heading_above_nothing(files: dict[str, bytes]) -> None:
    def parts(made: Mapping[str, bytes]) -> dict[str, list[str] | None]:
        """Of each section its pictures; None of one that is hidden."""
        tree = html5lib.parse(made["try.html"], namespaceHTMLElements=False)
        return {
            section.get("aria-labelledby"): None
            if "hidden" in section.attrib
            else [image.get("src") for image in section.iter("img")]
            for section in tree.iter("section")
        }

    shown = parts(files)
    assert shown["unit"] is None
    assert set(shown["channels"] or ()) == {"assets/figures/cnn-contributions-bee.webp"}
    assert shown["inside"] == [
        "assets/figures/cnn-maps-bee-features-conv1.webp",
        "assets/figures/cnn-maps-bee-features-conv2.webp",
    ]

    bare = parts(site(replace(synthetic.report(), photos=())))
    assert [name for name, images in bare.items() if images is None] == ["channels", "inside", "unit"]


def test_the_scripts_hold_the_network_and_the_photos_to_the_bit(files: dict[str, bytes]) -> None:
    told = json.loads(files["assets/network.js"].decode().removeprefix("window.liveNetwork = ").removesuffix(";\n"))
    assert [step["kind"] for step in told["steps"]] == [step.kind for step in synthetic.live().steps]
    assert told["stages"] == [[1, "stage 1"], [4, "stage 2"]]
    floats = np.frombuffer(base64.b64decode(told["steps"][0]["floats"]), "<f4")
    assert floats.tolist() == [np.float32(0.01)] * 4 + [0] * 4
    # The first letter holds -127 lifted by 128 and, above it, the lower seven bits of -90 lifted.
    pieces = files["assets/network-0.js"].decode("utf-16")
    key = told["pieces"][0]
    assert pieces.startswith(
        f'((window.liveLetters ??= {{}})["{key}"] ??= [])[0] = "' + chr(0x5000 + (128 - 127) + ((128 - 90) << 8))
    )
    assert told["steps"][0]["start"] == 0
    seen = synthetic.report().networks[0].explanations["koala"].seen
    assert base64.b64encode(seen.tobytes()) in files["assets/samples/koala.js"]


def test_weights_come_in_pieces_and_each_step_says_where_its_own_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_script, "LETTERS", 5)
    live, network = synthetic.live(), synthetic.report().networks[0]

    scripts = network_script.network_scripts(live, network)

    first, *pieces = (
        content.decode("utf-16" if number else "utf-8") for number, content in enumerate(scripts.values())
    )
    told = json.loads(first.removeprefix("window.liveNetwork = ").removesuffix(";\n"))
    letters = [piece.split('"')[3] for piece in pieces]
    key, count = told["pieces"]
    assert count == len(pieces)
    assert [len(each) for each in letters[:-1]] == [5] * (len(letters) - 1)
    assert len(letters) > 2
    for number, piece in enumerate(pieces):
        assert piece.startswith(f'((window.liveLetters ??= {{}})["{key}"] ??= [])[{number}] = ')
    for step, said in zip(live.steps, told["steps"], strict=True):
        if step.integers is not None:
            packed = network_script.pack(step.integers, step.bits)
            assert "".join(letters)[said["start"] : said["start"] + len(packed)] == packed


def test_numbers_of_any_width_are_packed_lowest_bit_first() -> None:
    # Fifteen bits are a letter. Lifted by 8 these are 0, 8 and 15.
    assert network_script.pack(np.array([-8, 0, 7]), 4) == chr(0x5000 + 0xF80)
    # 0 and 16383 lifted: the lowest bit of the second is the first letter's highest, thirteen are left for the next.
    assert network_script.pack(np.array([-8192, 8191]), 14) == chr(0x5000 + (1 << 14)) + chr(0x5000 + 0x1FFF)


def test_without_a_network_that_can_run_there_is_no_page_for_it() -> None:
    files = site(replace(synthetic.report(), live=None))
    assert not {
        "try.html",
        *(f"assets/{name}" for name in ("engine.js", "answers.js", "inside.js", "photos.js", "try.js", "try.css")),
    } & set(files)
    assert "assets/network.js" not in files
    assert b"try.html" not in files["index.html"]
    onward = {a["rel"]: a["href"] for a in pages(files)["trust.html"].every("a") if "rel" in a}
    assert onward["next"] == "about.html"


def test_a_class_has_one_address_in_whatever_order_the_classes_stand() -> None:
    names = ("Ä", "B", "a", "å")
    made = synthetic.report(class_names=names)

    def table(*rows: str) -> Table:
        return Table(("class", "share"), tuple((row, 0.5) for row in rows))

    figures = {
        **synthetic.figures(made),
        "cnn-confusion-test": synthetic.raster("cnn-confusion-test", table=table("å", "Ä", "B", "a")),
        "cnn-per-class": synthetic.raster("cnn-per-class", table=table("a", "å", "Ä", "B")),
    }
    tree = html5lib.parse(site(made, figures)["evaluation.html"], namespaceHTMLElements=False)
    rows = {row.get("id"): row.findtext("th/a") for row in tree.iter("tr") if row.find("th/a") is not None}
    named = {f"#{id_}": name for id_, name in rows.items() if id_}
    cnn = {href: name for href, name in named.items() if href.startswith("#cnn")}
    assert cnn == {"#cnn-class-a": "Ä", "#cnn-class-b": "B", "#cnn-class-a-2": "a", "#cnn-class-a-3": "å"}
    heads = [a for a in tree.iter("a") if a.get("href", "").startswith("#cnn-class-") and a.text]
    assert len(heads) == 8
    assert all(named[a.get("href")] == a.text for a in heads)


def test_terms_are_explained_where_they_first_stand(files: dict[str, bytes]) -> None:
    terms = {
        "index": {"Top-1"},
        "evaluation": {"logits"},
        "filters": {"stride"},
        "grad-cam": {"ReLU"},
    }
    for name, expected in terms.items():
        tree = html5lib.parse(files[f"{name}.html"], namespaceHTMLElements=False)
        assert expected <= {term.text for term in tree.iter("dfn")}, name


def test_the_current_page_is_marked_and_the_story_goes_on(documents: dict[str, Document]) -> None:
    for place, name in enumerate(PAGES):
        page = documents[f"{name}.html"]
        marked = [a["href"] for a in page.every("a") if a.get("aria-current") == "page"]
        assert marked == [f"{name}.html"]
        onward = {a["rel"]: a["href"] for a in page.every("a") if "rel" in a}
        assert onward.get("prev") == (f"{PAGES[place - 1]}.html" if place else None)
        assert onward.get("next") == (f"{PAGES[place + 1]}.html" if place + 1 < len(PAGES) else None)


def test_two_renders_are_the_same_bytes(files: dict[str, bytes]) -> None:
    assert site() == files
    assert list(site()) == list(files)


def test_results_are_the_records(files: dict[str, bytes]) -> None:
    found = json.loads(files["results.json"])
    cnn = found["networks"]["cnn"]
    test = cnn["evaluation"]["splits"]["test"]
    assert test["top1"] == 0.8
    assert test["confusion"] == synthetic.CONFUSION.tolist()
    assert test["precision"][0] == round(6 / 9, 6)
    assert test["calibration"]["accuracy"] == [None, 0.5, 0.75, 0.95]  # nan has no place in JSON
    assert cnn["runs"][2]["epochs"][2]["validation_accuracy"] == 0.7875
    assert cnn["parameters"] == 1_234_567
    slice_ = cnn["photos"]["slice"]
    assert (slice_["predicted"], slice_["true"], slice_["rank_of_true"]) == ("lion", "pizza", 2)
    assert slice_["maps"][3]["maximum"] == 0
    assert (cnn["photos_right"], cnn["photos_judged"]) == (2, 3)
    assert slice_["contributors"] == {"3": 3.0, "7": 1.0, "0": 0.5, "2": 0.25}
    assert cnn["patches_from"] == "3 validation images of Tiny ImageNet"
    assert [layer["silent"] for layer in cnn["layers"]] == [1, 1]
    assert [made["right"] for made in cnn["class_images"]] == [True, True, True, False]
    assert found["data"]["counts"] == {"train": 1800, "validation": 200, "test": 200}


def test_every_percentage_of_the_scores_is_in_the_results(
    files: dict[str, bytes], documents: dict[str, Document]
) -> None:
    """What the evaluation page shows in percent is in results.json, to the digit."""
    numbers: set[float] = set()

    def collect(value: object) -> None:
        if isinstance(value, dict):
            for item in value.values():
                collect(item)
        elif isinstance(value, list):
            for item in value:
                collect(item)
        elif isinstance(value, (int, float)):
            numbers.add(float(value))

    collect(json.loads(files["results.json"]))
    known = {f"{100 * number:.{digits}f}" for number in numbers if 0 <= number <= 1 for digits in (0, 1)}
    shown = re.findall(r"([\d.]+) %", documents["evaluation.html"].text)
    spoken = {"95", "80"}  # of the interval, and the definition of calibration
    assert len(shown) > 20
    assert set(shown) - spoken <= known


def test_hostile_words_are_text_everywhere() -> None:
    names = (HOSTILE, "koala", "<script>alert(3)</script>", "</textarea><svg onload=alert(4)>")
    made = synthetic.report(class_names=names, notes=(HOSTILE,))
    photos = tuple(replace(photo, title=HOSTILE, shows=HOSTILE) for photo in made.photos)
    networks = tuple(
        replace(net, title=HOSTILE, weights_source=HOSTILE, notes=(HOSTILE,), cam_note=HOSTILE, card=HOSTILE)
        for net in made.networks
    )
    made = replace(made, photos=photos, networks=networks, environment={HOSTILE: HOSTILE})
    figures = {
        key: figure if figure.svg else replace(figure, alt=HOSTILE, caption=HOSTILE)
        for key, figure in synthetic.figures(made).items()
    }
    settings = schema.ReportConfig(
        title=HOSTILE, subtitle=HOSTILE, author=HOSTILE, course=HOSTILE, libraries=(HOSTILE,)
    )
    files = site(made, figures, settings)
    for path, page in pages(files).items():
        acting = [a for _, attributes in page.elements for a in attributes if a == "style" or a.startswith("on")]
        assert not acting, path
        assert all(image["src"] != "x" for image in page.every("img")), path
        assert all(script.get("src") for script in page.every("script")), path
        assert all(not a.get("href", "").startswith("javascript") for a in page.every("a")), path
        assert not {"textarea"} & {tag for tag, _ in page.elements}, path
    found = pages(files)
    plain = " ".join(HOSTILE.split())
    assert plain in found["index.html"].text
    assert plain in found["evaluation.html"].text  # in the lead, which is Markdown
    assert plain in found["grad-cam-bee.html"].text
    results = files["results.json"].decode()
    assert "<" not in results
    assert json.loads(results)["data"]["class_names"] == list(names)


def test_what_report_toml_says_of_the_report_is_shown_as_it_was_written(tmp_path: Path) -> None:
    """Read from a file, as a user writes it: quotes, tags and formulas of other languages are characters."""
    said = {key: f"{key}: {HOSTILE}" for key in ("author", "course", "institution")}
    listed = {key: [f"{key}: {HOSTILE}", "<script>alert(5)</script>"] for key in ("languages", "libraries")}
    links = [
        {"title": f"code: {HOSTILE}", "url": "https://example.org/?a=1&b='2'"},
        {"title": "</a><b>mail</b>", "url": "mailto:a@example.org"},
    ]
    lines = [f"{key} = {json.dumps(value)}" for key, value in (said | listed).items()]
    lines += [f"[[report.links]]\ntitle = {json.dumps(x['title'])}\nurl = {json.dumps(x['url'])}" for x in links]
    file = tmp_path / "report.toml"
    file.write_text("\n".join(["[report]", *lines]), encoding="utf-8")
    files = site(settings=reading.load(file).report)
    for path, page in pages(files).items():
        for words_ in (*said.values(), *(link["title"] for link in links)):
            assert " ".join(words_.split()) in page.text, (path, words_)
        outward = [a["href"] for a in page.every("a") if a.get("href") in {link["url"] for link in links}]
        # The overview has them twice: at its beginning, too, it says who made it.
        assert outward == [link["url"] for link in links] * (2 if path == "index.html" else 1), path
        assert {"content": said["author"], "name": "author"} in page.every("meta"), path
        assert not [a for _, attributes in page.elements for a in attributes if a.startswith("on")], path
        assert all(script.get("src") for script in page.every("script")), path
        assert all(image["src"] != "x" for image in page.every("img")), path
    overview = pages(files)["index.html"].text
    for names in listed.values():
        assert " and ".join(names) in overview


def test_html_in_a_content_file_does_not_act(tmp_path: Path) -> None:
    content = own_content(tmp_path)
    file = content / "data.md"
    file.write_text(
        file.read_text(encoding="utf-8")
        + "\n## More {#more}\n\n<script>alert(1)</script><b onclick='x()' style='color:red'>bold</b> "
        "[bad](javascript:x) [good](https://example.org) <dfn>term</dfn> <img src='https://example.org/a.png'>\n",
        encoding="utf-8",
    )
    html = site(content=content)["data.html"].decode()
    part = html[html.index('id="more"') :]
    # The writer's own section is shown although no template asks for it.
    assert "<b>bold</b>" in part
    assert '<a href="https://example.org">good</a>' in part
    assert "<dfn>term</dfn>" in part
    for acting in ("alert", "onclick", "style=", "javascript", "a.png"):
        assert acting not in part


def test_a_section_that_stands_twice_has_its_headings_ids_once(tmp_path: Path) -> None:
    content = own_content(tmp_path)
    page = content / "training.md"
    page.write_text(page.read_text().replace("{#network}\n", "{#network}\n\n#### More {#more}\n\n[more](#more)\n", 1))
    ids = pages(site(content=content))["training.html"].ids
    assert [name for name in ids if name.startswith("more")] == ["more", "more-2"]


@pytest.mark.parametrize("taken", ["content", "cnn-curves-augmented"])
def test_an_id_that_the_page_needs_itself_is_refused(tmp_path: Path, taken: str) -> None:
    content = own_content(tmp_path)
    page = content / "training.md"
    page.write_text(f"{page.read_text()}\n### Mine {{#{taken}}}\n")
    line = len(page.read_text().splitlines())
    with pytest.raises(InputError, match=rf"training\.md:{line}: {{#{taken}}} is taken by the page itself"):
        site(content=content)


def test_a_picture_in_a_text_comes_along(tmp_path: Path) -> None:
    content = own_content(tmp_path)
    Image.new("RGB", (4, 4)).save(content / "desk.png")
    page = content / "about.md"
    page.write_text(f"{page.read_text()}\n![My desk](desk.png)\n")
    files = site(content=content)
    (shown,) = [one for one in pages(files)["about.html"].every("img") if one["alt"] == "My desk"]
    assert files[shown["src"]].startswith(b"RIFF")


@pytest.mark.parametrize(("page", "key"), [("training", "loss"), ("evaluation", "small"), ("grad-cam", "strength")])
def test_a_writers_section_is_shown_whatever_its_key(tmp_path: Path, page: str, key: str) -> None:
    """Also where the template has the same word for something else."""
    content = own_content(tmp_path)
    with (content / f"{page}.md").open("a", encoding="utf-8") as file:
        file.write(f"\n## Mine {{#{key}}}\n\nMy own words.\n")
    assert "<p>My own words.</p>" in site(content=content)[f"{page}.html"].decode()


def test_pages_whose_tables_can_be_sorted_bring_the_script(documents: dict[str, Document]) -> None:
    for path, page in documents.items():
        sortable = any("sortable" in table.get("class", "").split() for table in page.every("table"))
        scripts = {script["src"] for script in page.every("script")}
        assert not sortable or "assets/tables.js" in scripts, path


def test_formulas_keep_their_mathml_and_nothing_that_acts() -> None:
    formula = "<math display='block'><mfrac><mi onclick='x()' mathvariant='normal'>a</mi><mn>2</mn></mfrac></math>"
    hostile = "<math><annotation-xml encoding='text/html'><script>alert(1)</script></annotation-xml></math>"
    found = prose.clean(f"{formula}\n\n{hostile}")
    assert '<math display="block"><mfrac><mi mathvariant="normal">a</mi><mn>2</mn></mfrac></math>' in found
    assert "alert" not in found
    assert "onclick" not in found


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("It has {{ dta.name }}.", "'dta' is undefined; did you mean 'data'?"),
        ("It has {{ data.nme }}.", "has no attribute 'nme'"),
        ("It has {{ data.name | percent }}.", "percent"),
        ("It has {% if %}.", "Expected an expression"),
        ("It has {{ data.name | perzent }}.", "No filter named 'perzent'"),
    ],
)
def test_a_mistake_in_a_text_names_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    content = own_content(tmp_path)
    file = content / "data.md"
    lines = file.read_text(encoding="utf-8").splitlines()
    place = lines.index("## Augmentation {#augmentation}") + 2
    lines[place] = line
    file.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(InputError) as raised:
        site(content=content)
    assert str(raised.value).startswith(f"{file}:{place + 1}: ")
    if message != "percent":
        assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("line", "number"), [("question: {{ nothing }}", 3), ("wrong: x", 3), ("{{", 1)])
def test_a_mistake_in_the_front_matter_names_file_and_line(tmp_path: Path, line: str, number: int) -> None:
    content = own_content(tmp_path)
    file = content / "about.md"
    lines = file.read_text(encoding="utf-8").splitlines()
    lines[number - 1] = line
    file.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(InputError, match=rf"about\.md:{number}: "):
        site(content=content)


def test_a_missing_section_is_named(tmp_path: Path) -> None:
    content = own_content(tmp_path)
    file = content / "filters.md"
    file.write_text(file.read_text(encoding="utf-8").replace("{#first-layers}", "{#frist-layers}"), encoding="utf-8")
    with pytest.raises(InputError, match=r"filters\.md: expected a section .*#first-layers"):
        site(content=content)


@pytest.mark.parametrize("key", ["scores", "title", "lead"])
def test_two_sections_of_one_key_are_refused(tmp_path: Path, key: str) -> None:
    content = own_content(tmp_path)
    page = content / "evaluation.md"
    page.write_text(f"{page.read_text()}\n## One {{#scores}}\n\n## Two {{#{key}}}\n")
    line = len(page.read_text().splitlines())
    with pytest.raises(InputError, match=rf"evaluation\.md:{line}: {{#{key}}} is taken already"):
        site(content=content)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"\xff\xfe", "template base.html: expected a UTF-8 text file"),
        (b'{% extends "base.html" %}', "base.html:1: maximum recursion depth"),
    ],
)
def test_a_template_that_cannot_be_read_is_named(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "base.html").write_bytes(text)
    with pytest.raises(InputError, match=message):
        site(templates=(tmp_path, ROOT / "templates"))


def test_hidden_files_and_folders_beside_the_templates_stay_there(tmp_path: Path) -> None:
    (tmp_path / "own.css").write_text("p { margin: 0 }")
    (tmp_path / "._own.css").write_text("of a system")
    (tmp_path / ".#site.css").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.css").mkdir()
    assert {path for path in site(templates=(tmp_path, ROOT / "templates")) if "own" in path or "folder" in path} == {
        "assets/own.css"
    }


def test_a_missing_content_file_is_named(tmp_path: Path) -> None:
    content = own_content(tmp_path)
    (content / "about.md").unlink()
    with pytest.raises(InputError, match=r"about\.md: expected the page's words"):
        site(content=content)


def test_an_override_wins_and_its_mistakes_are_named(tmp_path: Path) -> None:
    (tmp_path / "404.html").write_text("<!doctype html>\n<title>Ours</title>\n{{ site.titel }}\n")
    with pytest.raises(InputError, match=r"404\.html:3: .*titel"):
        site(templates=(tmp_path, ROOT / "templates"))
    (tmp_path / "404.html").write_text("<!doctype html>\n<title>Ours</title>\n")
    (tmp_path / "site.css").write_text("p { color: green }")
    files = site(templates=(tmp_path, ROOT / "templates"))
    assert files["404.html"] == b"<!doctype html>\n<title>Ours</title>\n"
    assert files["assets/site.css"] == b"p { color: green }"


def joined(*folders: Path) -> str:
    return static.static_files((*folders, ROOT / "templates"), ())["assets/site.css"].decode()


def squeezed(style: str) -> str:
    """Without spaces and what ends the last line of a rule."""
    return re.sub(r"\s+", "", style).replace(";}", "}")


def test_a_style_is_narrowed_at_the_ends_of_its_lines_alone(tmp_path: Path) -> None:
    (tmp_path / "own.css").write_text(
        'a::after,\nb:hover {\n  content: "x: y; }";\n  margin: 0 1px;\n}\n\np { color: red; }\n'
    )
    narrow = static.static_files((tmp_path, ROOT / "templates"), ())["assets/own.css"]
    assert narrow == b'a::after,b:hover{content:"x: y; }";margin:0 1px}\np { color: red; }\n'


def test_the_style_sheet_is_the_colours_and_then_its_parts_in_their_order() -> None:
    parts = {file.name: file.read_text("utf-8") for file in (ROOT / "templates" / "styles").iterdir()}
    assert sorted(parts) == sorted(static.ORDER)
    bodies = "".join(parts[name].partition("*/\n")[2] for name in static.ORDER)
    whole = "\n".join(line for line in bodies.splitlines() if not re.fullmatch(r"\s*/\*.*\*/\s*", line))
    assert squeezed(joined()) == squeezed(theme.declared() + whole)
    assert [name for name, text in parts.items() if len(text.splitlines()) > 250] == []


def test_ones_own_part_takes_a_parts_place_or_comes_last(tmp_path: Path) -> None:
    (tmp_path / "styles").mkdir()
    (tmp_path / "styles" / "foot.css").write_text("\ufeff/* mine */ footer { order: 9 }", "utf-8")
    (tmp_path / "styles" / "a.css").write_text(":root {\n  --accent: teal;\n}\n")
    (tmp_path / "styles" / ".a.css").write_text("of an editor")
    (tmp_path / "styles" / "README.md").write_text("of its author")
    style = joined(tmp_path)
    assert "\nfooter { order: 9 }\n@media (forced-colors: active){" in style
    assert ".onward{" not in style
    assert style.endswith("}\n:root{--accent:teal}\n")
    assert len(style) < len(joined())


def test_a_part_that_a_whole_style_sheet_beside_it_hides_is_refused(tmp_path: Path) -> None:
    (tmp_path / "site.css").write_text("p { color: green }")
    (tmp_path / "styles").mkdir()
    assert joined(tmp_path) == "p { color: green }"
    (tmp_path / "styles" / "foot.css").write_text("")
    with pytest.raises(InputError, match=r"site\.css: expected it alone or the files in .*styles, which it takes the"):
        joined(tmp_path)


def test_without_the_data_set_its_place_is_a_sentence() -> None:
    made = synthetic.report(present=False)
    figures = {key: f for key, f in synthetic.figures(made).items() if not key.startswith("data-")}
    page = pages(site(made, figures))["data.html"]
    assert "This report was built without the data set" in page.text
    assert "bee, koala, lion and pizza" in page.text
    assert not [i for i in page.ids if i.startswith("data-examples")]


def test_without_figures_no_frame_is_left_empty() -> None:
    for path, page in pages(site(figures={})).items():
        assert not page.every("img"), path
        assert not [a for a in page.every("figure") if "exhibit" in a.get("class", "")] or path == "data.html"


def test_one_network_without_evaluation_or_training_or_photos() -> None:
    network = synthetic.network("cnn", "SmallCNN", (), runs=(), evaluated=False)
    made = synthetic.report(networks=(network,), photos=())
    found = pages(site(made))
    assert "It has not been evaluated yet" in found["index.html"].text
    assert "SmallCNN has not been evaluated on these classes" in found["evaluation.html"].text
    assert "shows no photos" in found["data.html"].text
    # What there is nothing for is left out, and the overview says so.
    assert not [path for path in found if re.match("(training|grad-cam|feature-maps|failures)[.-]", path)]
    assert "No training was recorded, so that there are no curves to show." in found["index.html"].text
    assert "There is no page of heat maps: none were made of any photo." in found["index.html"].text


def test_test_images_are_not_counted_for_some_were_chosen_for_being_mistaken() -> None:
    photos = (synthetic.photo("bee", 0), synthetic.photo("wasp", 0, origin="test"), synthetic.photo("lion", 2))
    text = pages(site(synthetic.report(photos=photos)))["failures.html"].text
    assert "SmallCNN gets 0 of the 2 sample photos that show one of its classes wrong" in text
    # Photo 1 is called class 1.
    assert "it calls the photo “Wasp” koala, 85.3 % sure" in text


def test_a_photo_of_none_of_the_classes_is_not_judged() -> None:
    photos = (synthetic.photo("cat", None, "The cat"),)
    made = synthetic.report(photos=photos)
    found = pages(site(made))
    assert "shows none of the network’s classes" in found["grad-cam-cat.html"].text
    assert "True class" not in found["grad-cam-cat.html"].text.split("How to read the maps")[0]
    assert "none can be called wrong" in found["failures.html"].text


def test_addresses_are_absolute_only_with_a_base_url() -> None:
    plain = site()
    assert b"canonical" not in plain["index.html"]
    assert "sitemap.xml" not in plain
    files = site(settings=schema.ReportConfig(base_url="https://example.org/report"))
    found = pages(files)
    links = {a["rel"]: a["href"] for a in found["data.html"].every("link")}
    assert links["canonical"] == "https://example.org/report/data.html"
    # The first photo's page has two addresses, of which one counts.
    for path, counts in (("grad-cam-bee", "grad-cam"), ("grad-cam", "grad-cam"), ("grad-cam-koala", "grad-cam-koala")):
        links = {a["rel"]: a["href"] for a in found[f"{path}.html"].every("link")}
        assert links["canonical"] == f"https://example.org/report/{counts}.html"
    titles = [m["content"] for page in found.values() for m in page.every("meta") if m.get("property") == "og:title"]
    assert len(set(titles)) == len(titles) > 20
    assert {"https://example.org/report/index.html"} <= {a["href"] for a in found["404.html"].every("a")}
    assert "take off the end of the address" not in found["404.html"].text
    assert {a["href"] for a in pages(site())["404.html"].every("a")} >= {"index.html"}
    assert "take off the end of the address" in pages(site())["404.html"].text
    listed = {path for path in found if path not in ("404.html", "grad-cam-bee.html", "feature-maps-bee.html")}
    assert {f"https://example.org/report/{path}" for path in listed} == set(
        re.findall("<loc>(.*?)</loc>", files["sitemap.xml"].decode())
    )
    assert b"Sitemap: https://example.org/report/sitemap.xml" in files["robots.txt"]


def test_every_address_in_full_is_ascii_below_a_folder_with_other_letters() -> None:
    """RFC 3986, which sitemaps.org asks for; crawlers of social networks know nothing else either."""
    named = addresses.base_address("https://bücher.example/über uns")
    assert named == "https://xn--bcher-kva.example/%C3%BCber%20uns"
    files = site(settings=schema.ReportConfig(base_url=named))
    for path in ("sitemap.xml", "robots.txt", "404.html", "index.html"):
        told = re.findall(r'https?://[^"<\s]*', files[path].decode())
        own = [one for one in told if "example" in one]
        assert own, path
        assert all(one.startswith(f"{named}/") and one.isascii() for one in own), path
    assert [one for one in check.check(files) if "leads" in one.what and not one.harmless] == []


def test_social_cards_say_what_the_page_says() -> None:
    """A card needs absolute addresses, so that without a base URL its words are all there is."""
    named = "https://example.org/report"
    for base_url in ("", named):
        files = site(settings=schema.ReportConfig(title='Cats & "dogs"', base_url=base_url))
        for path, page in pages(files).items():
            told = {m.get("property", m.get("name")): m.get("content") for m in page.every("meta")}
            if path == "404.html":  # nobody shares it
                continue
            title = re.search("<title>(.*?)</title>", files[path].decode())
            assert title is not None
            assert told["og:title"] == unescape(title[1]), path
            assert 'Cats & "dogs"' in told["og:title"], path
            assert told["og:description"] == told["description"] != "", path
            assert told["og:type"] == "website", path
            card = {name: text for name, text in told.items() if re.match("og:(url|image)|twitter:", name or "")}
            if not base_url:
                assert card == {}, path
                continue
            (canonical,) = (link["href"] for link in page.every("link") if link["rel"] == "canonical")
            assert card == {
                "og:url": canonical,
                "og:image": f"{named}/assets/figures/social.webp",
                "og:image:alt": "picture of social",
                "twitter:card": "summary_large_image",
            }, path
        assert "assets/figures/social.webp" in files


def test_formats() -> None:
    assert formats.percent(0.83125) == "83.1\u00a0%"
    assert formats.percent(0.5, 0) == "50\u00a0%"
    assert formats.percent(math.nan) == formats.percent(None) == "–"
    assert formats.number(13500) == "13,500"
    assert formats.number(1080.61) == "1,081"
    assert formats.decimal(-1.234) == "−1.23"
    assert formats.significant(0.00123456) == "0.00123"
    assert [formats.significant(one) for one in (5, 4.6, 19.04, 104.2, 0)] == ["5.00", "4.60", "19.0", "104", "0"]
    assert formats.significant(-1.08e-05) == "−1.08\u00a0×\u00a010⁻⁵"
    assert formats.significant(None) == "–"
    assert formats.magnitude(9999) == "9,999"
    assert formats.magnitude(2_112_640) == "2.1\u00a0million"
    assert formats.magnitude(57_127_000) == "57\u00a0million"
    assert wording.listed(()) == ""
    assert wording.listed(("a",)) == "a"
    assert wording.listed(("a", "b", "c")) == "a, b and c"
    assert formats.counted(1, "class", "classes") == "1\u00a0class"
    assert formats.counted(3, "class", "classes") == "3\u00a0classes"
    assert formats.subject("Line chart of a loss: it falls.") == "Line chart of a loss"
    assert formats.finding("Line chart of a loss: it falls.") == "It falls."
    assert formats.cell(-0.5) == "−0.5"


def test_the_licence_texts_travel_with_the_photos() -> None:
    files = site(replace(synthetic.report(), licences={"GPL-2": "Everyone is permitted to copy."}))
    assert files["assets/licences/gpl-2.txt"] == b"Everyone is permitted to copy."
    assert '<a href="assets/licences/gpl-2.txt">GPL-2</a>' in files["about.html"].decode()
