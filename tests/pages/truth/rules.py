"""What each kind of sentence says, and how its values follow from results.json.

A rule is a sentence with its values named (see `text.patterns`) and a check of them. It computes anew, from the counts of
a confusion matrix and not from what the program found in it. A sentence with a number or a comparison that no rule knows
is a fault of the test `test_truth`: it gets a rule here, or where it is true of any report a place among `definitions`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from generator.report.plates.wording import spelled
from tests.pages.truth.text import NUMBER, Piece, lasting, listed, plain, same, share, value

Said = Mapping[str, str]
Check = Callable[[Piece, Said], None]


@dataclass(frozen=True)
class Rule:
    """A kind of sentence, the pages that have it, and whether it stands alone."""

    template: str
    check: Check
    page: str = ""
    alone: bool = False
    kind: str = ""


RULES: list[Rule] = []
SPLITS = {"test": "test", "validation": "validation", "training": "train"}


def rule(*templates: str, page: str = "", alone: bool = False, kind: str = "") -> Callable[[Check], Check]:
    """The check of sentences like these.

    Args:
        page: of pages whose names begin so (a regular expression); `kind`: of such elements or attributes alone.
        alone: with nothing before or after them.
    """

    def noted(check: Check) -> Check:
        RULES.extend(Rule(template, check, page, alone, kind) for template in templates)
        return check

    return noted


def net(piece: Piece, said: Said) -> Any:
    """The network that a sentence names, else the one in whose part of the page it stands."""
    titles = piece.site.titles
    if said.get("net"):
        return piece.site.networks[titles[said["net"]]]
    return piece.network


def split(piece: Piece, said: Said, name: str = "") -> Any:
    """The scores on the images that a sentence names; without a name those that judge."""
    found = net(piece, said)["evaluation"]["splits"]
    if name:
        return found[SPLITS[name]]
    return (
        found["test"]
        if "test" in found
        else found["validation"]
        if "validation" in found
        else next(iter(found.values()))
    )


def judged(piece: Piece, said: Said) -> Any:
    """The scores that a part of a figure is about: its split's, by the figure's id, else those that judge."""
    for word, name in SPLITS.items():
        if piece.figure.endswith(f"-confusion-{name}") and name in net(piece, said)["evaluation"]["splits"]:
            return split(piece, said, word)
    return split(piece, said)


def counts(scores: Any) -> np.ndarray:
    return np.array(scores["confusion"])


def rate_of(said: Said, right: float, count: int) -> None:
    """ "78.1 %", or of fewer than 100 images "9 (75 %)"."""
    if said.get("n"):
        same(said["n"], right * count)
    else:
        assert count >= 100, f"{said['p']} of {count} images stands without their number"
    share(said["p"], right, count)


# Data


@rule("«w:name» has «n» classes; the network⟦s⟧ w⟨as|ere⟩ trained with «train» of its images, «each» of each class.")
def _data(piece: Piece, said: Said) -> None:
    data = piece.site.results["data"]
    assert said["name"] == data["name"]
    same(said["n"], len(data["class_names"]))
    same(said["train"], data["counts"]["train"])
    same(said["each"], data["per_class"]["train"])
    same(said["each"], data["counts"]["train"] / len(data["class_names"]))


@rule("«n» more images were kept back for the test.")
def _kept_back(piece: Piece, said: Said) -> None:
    same(said["n"], piece.site.results["data"]["counts"]["test"])


@rule("The «n» classes", "«n» classes to learn", "The «n» classes, the splits, the augmentation and the sample photos")
def _classes(piece: Piece, said: Said) -> None:
    same(said["n"], len(piece.site.results["data"]["class_names"]))


@rule("These «n» photos were shown to the network⟦s⟧")
def _photos(piece: Piece, said: Said) -> None:
    same(said["n"], len(piece.site.results["photos"]))


@rule("Row of «n» photos of the class «c:name», «side» pixels wide each.")
def _row(piece: Piece, said: Said) -> None:
    found = piece.site.figures[piece.ids[-1]]
    assert said["name"] in found["shows"]
    same(said["n"], value(said["n"]))


@rule("Step «n» of «all» of augmentation, «w:name»: the same image, «side» pixels wide.")
def _step(piece: Piece, said: Said) -> None:
    assert 1 <= int(said["n"]) <= int(said["all"])


@rule("Every image is «wide» × «high» pixels large.", "The images are «wide» × «high» pixels large.")
def _image_size(piece: Piece, said: Said) -> None:
    least, most = piece.site.results["data"]["sizes"]
    assert least == most == [int(said["high"]), int(said["wide"])]


@rule("«n». «w:step»", page="data", alone=True, kind="figcaption")
def _numbered(piece: Piece, said: Said) -> None:
    assert piece.ids[-1].endswith(f"-{said['n']}")


@rule("Numbers: «w:subject»", kind="aria-label", alone=True)
def _subject(piece: Piece, said: Said) -> None:
    """The name of a table begins as the text alternative of its figure does, which has its own rule."""
    assert plain(piece.site.figures[piece.figure]["shows"]).startswith(said["subject"])


@rule("from «n» classes of photos")
def _from_classes(piece: Piece, said: Said) -> None:
    same(said["n"], len(piece.site.results["data"]["class_names"]))


# Overview


@rule(
    "«net» is a network of «layers» convolutions and «weights» weights. It correctly names ⟦«n» (⟧«p%»⟦)⟧ of «count» "
    "photos that it was not trained with, out of «classes» classes; guessing would name «chance%»."
)
def _lead(piece: Piece, said: Said) -> None:
    network, scores = net(piece, said), split(piece, said)
    same(said["layers"], network["convolutions"])
    same(said["weights"], network["parameters"])
    rate_of(said, np.trace(counts(scores)) / scores["count"], scores["count"])
    same(said["count"], scores["count"])
    assert scores["split"] == "test"
    same(said["classes"], len(network["evaluation"]["class_names"]))
    same(said["chance"], 100 / len(network["evaluation"]["class_names"]))


@rule("«net»: accuracy on «n» ⟨test|validation⟩ images")
def _headline(piece: Piece, said: Said) -> None:
    same(said["n"], split(piece, said)["count"])


def headed(piece: Piece) -> Any:
    """The network that the term above a number names."""
    titles = sorted(piece.site.titles, key=len, reverse=True)
    return piece.site.networks[piece.site.titles[next(title for title in titles if title in piece.names["dt"])]]


@rule("«x»", "«p%»", "«t:time»", page="index", alone=True, kind="dd")
def _headline_value(piece: Piece, said: Said) -> None:
    term, network = piece.names["dt"], headed(piece)
    scores = network["evaluation"] and split(piece, {"net": network["title"]})
    if "time" in said:
        lasting(said["time"], took(main_run(network)))
    elif "weights" in term:
        same(said["x"], network["parameters"])
    else:
        share(said["p"], scores["top5" if "five" in term else "top1"], scores["count"])


@rule("Guessing: «chance%».⟦ The course's own recipe: «course%»⟦ on other images⟧.⟧")
def _guessing(piece: Piece, said: Said) -> None:
    same(said["chance"], 100 / len(piece.site.results["data"]["class_names"]))
    if said["course"]:
        same(said["course"], benchmark(piece)["course_accuracy"] * 100)


@rule("95 % interval «low%» to «high%».")
def _interval(piece: Piece, said: Said) -> None:
    low, high = split(piece, {"net": headed(piece)["title"]})["top5_interval"]
    same(said["low"], low * 100)
    same(said["high"], high * 100)


@rule("«net» has «n» weights and needs «macs» multiplications for one photo of «high» × «wide» pixels.")
def _made_of(piece: Piece, said: Said) -> None:
    network = net(piece, said)
    same(said["n"], network["parameters"])
    same(said["macs"], network["macs"])
    side = network["input_size"]
    assert [int(said["high"]), int(said["wide"])] == (side if isinstance(side, list) else [side, side])


@rule("«net» has «n».")
def _weights(piece: Piece, said: Said) -> None:
    same(said["n"], net(piece, said)["parameters"])


@rule("«n» epochs⟦ on «w:hardware»⟧⟦, not counting other networks that taught it⟧.", page="index")
def _epochs(piece: Piece, said: Said) -> None:
    same(said["n"], len(main_run(headed(piece))["epochs"]))


@rule("The course's own recipe, run again on the same classes, named «p%» of «n» validation images")
def _course(piece: Piece, said: Said) -> None:
    found = benchmark(piece)
    same(said["p"], found["course_accuracy"] * 100)
    same(said["n"], found["validation_images"])


@rule("«c:name» «p%»", page="index", alone=True)
def _hero(piece: Piece, said: Said) -> None:
    """One of the answers to the photo at the overview's door."""
    tops = [look["top"] for network in piece.site.networks.values() for look in network["photos"].values()]
    assert any(
        one["name"] == said["name"] and abs(one["probability"] * 100 - value(said["p"])) < 0.0501
        for top in tops
        for one in top
    )


@rule("«n» first-layer filters of «net»⟨.|,⟩", "«n» feature maps after «w:stage».")
def _tile(piece: Piece, said: Said) -> None:
    if said.get("stage"):
        assert int(said["n"]) <= max(stage["shape"][0] for stage in piece.look["stages"])
    else:
        assert int(said["n"]) <= net(piece, said)["layers"][0]["weights"][0]


@rule("The «w:method» map for «c:name» («p%»).")
def _tile_map(piece: Piece, said: Said) -> None:
    found = [
        top
        for network in piece.site.networks.values()
        for look in network["photos"].values()
        for top in look["top"][:1]
    ]
    assert any(top["name"] == said["name"] and abs(top["probability"] * 100 - value(said["p"])) <= 0.5 for top in found)


# Training


def main_run(network: Any) -> Any:
    named = [run for run in network["runs"] if run["name"] == "augmented"]
    return (named or network["runs"])[-1]


def benchmark(piece: Piece) -> Any:
    return piece.site.results["benchmark"]


def run_of(piece: Piece, said: Said) -> Any:
    """The run that a sentence names, or whose figure it stands below."""
    runs = net(piece, said)["runs"]
    if said.get("run"):
        return next(run for run in runs if run["name"] == said["run"])
    slug = piece.figure.replace("-", " ")
    return max(
        (run for run in runs if slug.endswith(run["name"])),
        key=lambda run: len(run["name"]),
        default=main_run(net(piece, said)),
    )


def epoch(run: Any, number: float) -> Any:
    return next(one for one in run["epochs"] if one["epoch"] == number)


def took(run: Any) -> float:
    return float(sum(one["seconds"] for one in run["epochs"]))


@rule(
    "«net» went through its training images «n» times⟦ in «t:time»⟧. The weights of epoch «kept» were kept: they name "
    "«p%» of the validation images correctly."
)
def _trained(piece: Piece, said: Said) -> None:
    run = main_run(net(piece, said))
    same(said["n"], len(run["epochs"]))
    if said["time"]:
        lasting(said["time"], took(run))
    same(said["kept"], run["kept"])
    same(said["p"], epoch(run, run["kept"])["validation_accuracy"] * 100)


@rule("In the kept epoch the loss was «train» on the training images and «held» on the validation images.")
def _losses(piece: Piece, said: Said) -> None:
    run = main_run(net(piece, said))
    same(said["train"], epoch(run, run["kept"])["train_loss"])
    same(said["held"], epoch(run, run["kept"])["validation_loss"])


@rule(
    "After epoch «n» the training began anew from the best weights so far, and by distillation: from there on the "
    "network also learnt to give the probabilities that «t» trained network⟦s⟧ gave to every class, so that the "
    "training losses before and after cannot be compared."
)
def _distilled(piece: Piece, said: Said) -> None:
    settings = main_run(net(piece, said))["settings"]
    same(said["n"], settings["started_after"])
    same(said["t"], len(settings["teachers"]))


@rule(
    "⟦Line chart of ⟧«net»'s accuracy over the epochs of the run «w:run»: validation accuracy goes from «first%» in epoch "
    "«begin» to «p%» in the kept epoch «kept» of «last», where training accuracy is «train%»."
)
def _curve(piece: Piece, said: Said) -> None:
    run = run_of(piece, said)
    same(said["first"], epoch(run, int(said["begin"]))["validation_accuracy"] * 100)
    assert int(said["begin"]) == run["epochs"][0]["epoch"]
    assert int(said["last"]) == run["epochs"][-1]["epoch"]
    same(said["kept"], run["kept"])
    same(said["p"], epoch(run, run["kept"])["validation_accuracy"] * 100)
    same(said["train"], epoch(run, run["kept"])["train_accuracy"] * 100)


@rule(
    "⟦Line chart of ⟧«net»'s accuracy over the epochs of the run «w:run»: training accuracy goes from «first%» to «last%»."
)
def _train_curve(piece: Piece, said: Said) -> None:
    epochs = run_of(piece, said)["epochs"]
    same(said["first"], epochs[0]["train_accuracy"] * 100)
    same(said["last"], epochs[-1]["train_accuracy"] * 100)


@rule(
    "⟦Line chart of ⟧«net»'s loss over the epochs of the run «w:run»: validation loss goes from «first» to «p» in the kept "
    "epoch «kept» of «last», where training loss is «train».",
    "⟦Line chart of ⟧«net»'s loss over the epochs of the run «w:run»: training loss goes from «first» to «train».",
)
def _loss_curve(piece: Piece, said: Said) -> None:
    run = run_of(piece, said)
    alone = "kept" not in said or not said["kept"]
    kind = "train_loss" if alone else "validation_loss"
    same(said["first"], run["epochs"][0][kind])
    if alone:
        same(said["train"], run["epochs"][-1]["train_loss"])
        return
    same(said["kept"], run["kept"])
    assert int(said["last"]) == run["epochs"][-1]["epoch"]
    same(said["p"], epoch(run, run["kept"])["validation_loss"])
    same(said["train"], epoch(run, run["kept"])["train_loss"])


@rule("kept: epoch «n»⟦, «p%»⟧")
def _kept(piece: Piece, said: Said) -> None:
    runs = [run for network in piece.site.networks.values() for run in network["runs"] if run["kept"] == int(said["n"])]
    assert runs
    if said["p"]:
        truths = [epoch(run, run["kept"]) for run in runs]
        held = [one["validation_accuracy"] or one["train_accuracy"] for one in truths]
        assert any(abs(one * 100 - value(said["p"])) <= 0.051 for one in held)


@rule("In the kept epoch training is «n» points ⟨ahead of|behind⟩ validation.")
def _ahead(piece: Piece, said: Said) -> None:
    run = run_of(piece, said)
    kept = epoch(run, run["kept"])
    gap = kept["train_accuracy"] - kept["validation_accuracy"]
    same(said["n"], abs(gap) * 100)
    assert ("ahead of" in said["whole"]) == (gap >= 0)


@rule("Guessing among «n» classes costs «loss»⟦ nats of cross entropy⟧.")
def _guess(piece: Piece, said: Said) -> None:
    count = len(piece.network["class_names"])
    same(said["n"], count)
    same(said["loss"], math.log(count))


@rule("(from epoch «n» on mixed with the distance to the teachers' answers)")
def _mixed(piece: Piece, said: Said) -> None:
    same(said["n"], run_of(piece, said)["settings"]["started_after"] + 1)


@rule(
    "Line chart of «net»'s learning rate over the epochs of the run «w:run»: at most «most» in epoch «peak», «final» in "
    "the last, «end»."
)
def _rate(piece: Piece, said: Said) -> None:
    epochs = run_of(piece, said)["epochs"]
    top = max(one["learning_rate"] for one in epochs)
    same(said["most"], top)
    assert next(one["epoch"] for one in epochs if one["learning_rate"] == top) == int(said["peak"])
    same(said["final"], epochs[-1]["learning_rate"])
    same(said["end"], epochs[-1]["epoch"])


CHANGES = {
    "area": (r"crops keep at least ({0} %) of an image instead of ({0} %)", 100),
    "cutmix": (r"CutMix pastes a part of another image into those of ({0} %) of the batches instead of ({0} %)", 100),
    "rotation": (r"images are turned by up to ({0})° instead of ({0})°", 1),
}


def stretches(settings: Any) -> list[tuple[int, Any]]:
    """(first epoch, augmentation) of each part of a training, those of the one that it began with before."""
    found = stretches(settings["started_settings"]) if settings.get("started_settings") else []
    before, epochs, tail = settings.get("started_after", 0), settings["epochs"], settings["tail"]
    found.append((before + 1, settings["augmentation"]))
    if tail:
        # Whole epochs, the last share of which is milder; rounded, for 0.2 of 110 are 22.
        found.append((before + 1 + math.ceil(round(epochs * (1 - tail), 9)), settings["mild"]))
    return found


@rule("From epoch «n» on «w:changes»: training accuracy goes from «before%» to «after%».")
def _turn(piece: Piece, said: Said) -> None:
    run = run_of(piece, said)
    known = stretches(run["settings"])
    at = [start for start, _ in known].index(int(said["n"]))
    before, after = known[at - 1][1], known[at][1]
    told = {}
    for name, (words, unit) in CHANGES.items():
        if found := re.search(words.format(NUMBER), said["changes"]):
            told[name] = found[0]
            same(found[1], after[name] * unit)
            same(found[2], before[name] * unit)
    assert [*told] == [name for name in CHANGES if before[name] != after[name]]
    assert listed(said["changes"]) == [*told.values()]
    same(said["before"], epoch(run, int(said["n"]) - 1)["train_accuracy"] * 100)
    same(said["after"], epoch(run, int(said["n"]))["train_accuracy"] * 100)


@rule("⟨The images grow on the way|The images change their size on the way⟩: «w:sizes».")
def _sizes(piece: Piece, said: Said) -> None:
    found: list[tuple[int, int]] = []
    for one in run_of(piece, said)["epochs"]:
        if not found or found[-1][0] != one["image_size"]:
            found.append((one["image_size"], one["epoch"]))
    told = [re.fullmatch(r"(\d+) pixels from epoch (\d+)", part) for part in listed(said["sizes"])]
    assert [(int(one[1]), int(one[2])) for one in told if one] == found
    grows = all(one[0] < after[0] for one, after in pairwise(found))
    assert grows == ("grow" in said["whole"]), f"sizes {found}"


@rule("«n» px", kind="label", alone=True)
def _size_mark(piece: Piece, said: Said) -> None:
    runs = [run for network in piece.site.networks.values() for run in network["runs"]]
    assert int(said["n"]) in {one["image_size"] for run in runs for one in run["epochs"]}


@rule("The images are «n» pixels wide throughout.")
def _one_size(piece: Piece, said: Said) -> None:
    assert {one["image_size"] for one in run_of(piece, said)["epochs"]} == {int(said["n"])}


@rule("The «n» epochs took «t:time».")
def _took(piece: Piece, said: Said) -> None:
    run = run_of(piece, said)
    same(said["n"], len(run["epochs"]))
    lasting(said["time"], took(run))


@rule("After «n» epochs this one names «p%» of its batch correctly, at a loss of «loss».")
def _batch(piece: Piece, said: Said) -> None:
    run = run_of(piece, {**said, "run": "one batch"})
    same(said["n"], len(run["epochs"]))
    told = epoch(run, run["kept"] or run["epochs"][-1]["epoch"])
    share(said["p"], told["train_accuracy"], run["settings"]["batch"])
    same(said["loss"], told["train_loss"])


@rule(
    "Without augmentation, after «n» epochs, it names «train%» of the training images and «held%» of the validation images"
    "⟦, «best%» at best, after epoch «at»⟧."
)
def _bare(piece: Piece, said: Said) -> None:
    run = run_of(piece, {**said, "run": "without augmentation"})
    last = run["epochs"][-1]
    same(said["n"], len(run["epochs"]))
    same(said["train"], last["train_accuracy"] * 100)
    same(said["held"], last["validation_accuracy"] * 100)
    if said["best"]:
        top = max(one["validation_accuracy"] for one in run["epochs"])
        same(said["best"], top * 100)
        assert epoch(run, int(said["at"]))["validation_accuracy"] == top
        assert value(said["best"]) >= value(said["held"])


@rule("Line chart of the accuracy of «net»'s «n» runs over their epochs: «w:ends».")
def _ends(piece: Piece, said: Said) -> None:
    runs = net(piece, said)["runs"]
    same(said["n"], len(runs))
    told = [
        re.fullmatch(rf"(.+) ({NUMBER} %) on (its own training|validation) images", end) for end in listed(said["ends"])
    ]
    for run, end in zip(runs, told, strict=True):
        assert end, said["ends"]
        assert end[1] == run["name"]
        last = epoch(run, run["kept"] or run["epochs"][-1]["epoch"])
        kind = "validation_accuracy" if end[3] == "validation" else "train_accuracy"
        same(end[2], last[kind] * 100)


@rule("Its first «n» epochs had these:")
def _first_epochs(piece: Piece, said: Said) -> None:
    same(said["n"], main_run(net(piece, said))["settings"]["started_after"])


@rule(
    "Its fifty epochs take «t:course»⟦ («epochs» epoch⟦s⟧ measured)⟧ and reach «p%» of the validation images; “quick” takes «t:quick», decoding the files included, and reaches «q%». That is «times» times as fast. In training the loop goes through «rate» images a second; «w:rates» («w:processor», «cores» cores)."
)
def _speed(piece: Piece, said: Said) -> None:
    found = benchmark(piece)
    lasting(said["course"], found["course_seconds"])
    lasting(said["quick"], found["quick_seconds"])
    assert found["course_epochs"] == int(said["epochs"] or 50)
    same(said["p"], found["course_accuracy"] * 100)
    same(said["q"], found["quick_accuracy"] * 100)
    same(said["times"], found["course_seconds"] / found["quick_seconds"])
    same(said["rate"], found["course_rate"])
    assert (said["processor"], said["cores"]) == (found["environment"]["processor"], found["environment"]["cores"])
    told = re.findall(rf"(\w+)(?: at full size goes)? through ({NUMBER})", said["rates"])
    assert told
    for title, rate in told:
        same(rate, found["training_rates"][piece.site.titles[title]])


# Filters


@rule("«net» begins with «n» filters of «high» × «wide» pixels", "«net» begins with «n» of «high» × «wide»")
def _begins(piece: Piece, said: Said) -> None:
    shape = next(layer["weights"] for layer in net(piece, said)["layers"] if layer["weights"])
    assert [int(said[name]) for name in ("n", "high", "wide")] == [shape[0], *shape[2:]]


@rule("«net» has «n» convolutions.")
def _convolutions(piece: Piece, said: Said) -> None:
    assert int(said["n"]) >= sum(layer["weights"] is not None for layer in net(piece, said)["layers"])


@rule("it grows from «first» to «last».")
def _grows(piece: Piece, said: Said) -> None:
    layers = piece.network["layers"]
    assert [layer["receptive_field"] for layer in (layers[0], layers[-1])] == [int(said["first"]), int(said["last"])]


def layer_of(piece: Piece, said: Said) -> Any:
    """The layer that a sentence names, or whose page or row it stands on."""
    layers = net(piece, said)["layers"]
    if said.get("layer"):
        return next(layer for layer in layers if said["layer"].lower() in (layer["title"].lower(), layer["name"]))
    number = next(
        (int(found[1]) for place in (*reversed(piece.ids), piece.stem) if (found := re.search(r"-conv(\d+)\b", place))),
        0,
    )
    if not number:
        slug = {layer["name"].replace(".", "-"): layer for layer in layers}
        return next(layer for name, layer in slug.items() if any(place.endswith(name) for place in piece.ids))
    return next(layer for layer in layers if layer["title"] == f"convolution {number}")


@rule(
    "«n» filters of «high» × «wide» over «inputs» channels⟦, stride «stride»⟧; a unit sees «sees» × «across» pixels; «dead» "
    "dead, «k:repeats» duplicate⟦s⟧⟦, «k:silent» silent⟦ on «w:photos»⟧⟧.⟦ Its page shows «listed» of them.⟧"
)
def _ladder(piece: Piece, said: Said) -> None:
    layer = layer_of(piece, said)
    assert [int(said[key]) for key in ("n", "inputs", "high", "wide")] == layer["weights"]
    if said["stride"]:
        same(said["stride"], layer["stride"])
    assert int(said["sees"]) == int(said["across"]) == layer["receptive_field"]
    same(said["dead"], layer["dead"])
    assert said["repeats"].replace("no", "0") == str(layer["repeats"])
    assert (said["silent"] or "none").replace("none", "0") == str(layer["silent"])
    if said["photos"]:
        assert said["photos"] == piece.network["patches_from"]
    if said["listed"]:
        same(said["listed"], len(layer["units"]["norm"]))


@rule(
    "«n» filters of «high» × «wide» over «inputs» channels. One unit sees «sees» × «across» of the «side» × «other» pixels"
)
def _layer_lead(piece: Piece, said: Said) -> None:
    layer = layer_of(piece, said)
    assert [int(said[key]) for key in ("n", "inputs", "high", "wide")] == layer["weights"]
    assert int(said["sees"]) == int(said["across"]) == layer["receptive_field"]
    assert int(said["side"]) == int(said["other"]) == piece.network["input_size"]


@rule("norm «norm» · strongest «answer» · fires in «p%»")
def _unit_of_many(piece: Piece, said: Said) -> None:
    units, channel = units_of(piece)
    same(said["norm"], units["norm"][channel])
    same(said["answer"], units["answer"][channel])
    share(said["p"], units["active"][channel], searched(piece))


@rule("norm «norm» · strongest «answer» · fires in «some» of «of»⟦ ⟨photo|image⟩⟦s⟧⟧")
def _unit_of_few(piece: Piece, said: Said) -> None:
    units, channel = units_of(piece)
    same(said["norm"], units["norm"][channel])
    same(said["answer"], units["answer"][channel])
    assert int(said["of"]) == searched(piece)
    same(said["some"], units["active"][channel] * searched(piece))


@rule("among «w:photos» where", "among «w:photos» that excite")
def _among(piece: Piece, said: Said) -> None:
    assert said["photos"] == piece.network["patches_from"]


@rule("cut to what that unit sees: «high» × «wide» pixels")
def _unit_sees(piece: Piece, said: Said) -> None:
    assert int(said["high"]) == int(said["wide"]) == layer_of(piece, said)["receptive_field"]


@rule("slices for its «n» input channels")
def _inputs(piece: Piece, said: Said) -> None:
    same(said["n"], layer_of(piece, said)["weights"][1])


def units_of(piece: Piece) -> tuple[Any, int]:
    """The units of a layer's page, and the place of the one in whose row a sentence stands."""
    place = next(name for name in reversed(piece.ids) if re.search(r"-\d+$", name))
    channel = int(place.rpartition("-")[2])
    units = layer_of(piece, {})["units"]
    if "channel" in units:
        return units, units["channel"].index(channel)
    listed_ = len(units["norm"]) == layer_of(piece, {})["weights"][0]
    assert listed_, "the units of a page that shows some of them have their channels in results.json"
    return units, channel


def searched(piece: Piece) -> int:
    """How many images were looked through for patches."""
    return int(value(piece.network["patches_from"].split(" ")[0]))


@rule("«n» «w:shows»", page="filters-.", alone=True, kind="p")
def _unit_shows(piece: Piece, said: Said) -> None:
    units, channel = units_of(piece)
    mark = units["marks"].get(said["n"], "")
    assert piece.text == " ".join(filter(None, (said["n"], mark, units["shows"][channel] or ""))), piece.text


@rule("⟨Weights|Patches⟩ of channel «n», ⟨norm|strongest answer⟩ «x»", page="filters-.", alone=True)
def _unit_picture(piece: Piece, said: Said) -> None:
    units, channel = units_of(piece)
    same(said["x"], units["norm" if "norm" in said["whole"] else "answer"][channel])


@rule(
    "Convolution «number»: norms of all «n» filters; «k:dead» filter⟦s⟧ below 1 % of the largest, which counts as dead."
)
def _norms(piece: Piece, said: Said) -> None:
    layer = layer_of(piece, said)
    same(said["n"], layer["weights"][0])
    norms = layer["units"]["norm"]
    lost = layer["dead"] if len(norms) < layer["weights"][0] else sum(norm < 0.01 * max(norms) for norm in norms)
    assert said["dead"].replace("no", "0") == str(lost)


@rule(
    "Strip chart of the norms of the «n» filters of «net»'s «w:layer», largest first: from «high» over the median «middle» "
    "to «low»; «k:dead» dead filter⟦s⟧."
)
def _strip(piece: Piece, said: Said) -> None:
    layer = layer_of(piece, {**said})
    norms = layer["units"]["norm"]
    same(said["n"], layer["weights"][0])
    if len(norms) == layer["weights"][0]:
        same(said["high"], max(norms))
        same(said["low"], min(norms))
        same(said["middle"], float(np.median(norms)))
    assert said["dead"].replace("no", "0") == str(layer["dead"])


@rule(
    "⟦«grey» filters are nearly without colour, «tint» prefer a colour; ⟧«k:dead» filter⟦s⟧ ⟨is|are⟩ dead; «k:repeats» filter⟦s⟧ ⟨is a duplicate|are duplicates⟩"
)
def _flaws(piece: Piece, said: Said) -> None:
    layer = layer_named(piece)
    assert said["dead"].replace("no", "0") == str(layer["dead"])
    assert said["repeats"].replace("no", "0") == str(layer["repeats"])
    if said["grey"]:
        same(said["tint"], layer["weights"][0] - int(said["grey"]))


def layer_named(piece: Piece) -> Any:
    """The layer of a figure of weights, by the words before a finding or by the figure's id."""
    found = re.search(r"(convolution \d+)", piece.text)
    if found:
        named = next((title for title in piece.site.titles if title in piece.text), None)
        return layer_of(piece, {"layer": found[1], **({"net": named} if named else {})})
    return layer_of(piece, {})


@rule("the two most alike, «a» and «b», have a cosine similarity of «x»")
def _alike(piece: Piece, said: Said) -> None:
    rows = piece.site.figures.get(piece.figure, {}).get("rows", [])
    found = {row[0]: row for row in rows if len(row) == 5}
    if int(said["a"]) in found:
        top = max(row[3] for row in rows)
        same(said["x"], top)
        assert found[int(said["a"])][2] == int(said["b"]) or found[int(said["b"])][2] == int(said["a"])


@rule(
    "«net», «w:layer» («w:name»): ⟨all|the⟩ «n» ⟨filters|largest of «of» filters⟩ in the order of their channels, «high» × "
    "«wide» weights⟦ for red, green and blue⟧, pixel for pixel. One scale for all: «low» to «scale», within which «p%» of "
    "the weights lie; ⟨zero is mid-grey|blue is negative, white zero, red positive⟩, this network's largest weight is «own»."
)
def _mosaic(piece: Piece, said: Said) -> None:
    layer = layer_of(piece, said)
    assert [int(said[key]) for key in ("high", "wide")] == layer["weights"][2:]
    assert int(said["of"] or said["n"]) == layer["weights"][0]
    assert value(said["low"]) == -value(said["scale"])
    same(said["own"], layer["extreme"])
    assert value(said["scale"]) <= max(value(one["extreme"].__str__()) for one in first_layers(piece)) * 1.001


def first_layers(piece: Piece) -> list[Any]:
    return [network["layers"][0] for network in piece.site.networks.values() if network["layers"]]


@rule(
    "⟨Colour mosaic|Mosaic⟩ of the «n» filters of «net»'s «w:layer», «high» by «wide» pixels each",
    "Mosaic of weights of «net»'s «w:layer»: «some» of «n» filters by «few» of «inputs» input channels, «high» by «wide» "
    "weights each: norms from «most» to «least».",
)
def _mosaic_alt(piece: Piece, said: Said) -> None:
    layer = layer_of(piece, said)
    shape = layer["weights"]
    assert [int(said[key]) for key in ("high", "wide")] == shape[2:]
    same(said["n"], shape[0]) if said.get("some") else None
    if said.get("inputs"):
        assert int(said["inputs"]) == shape[1]
        assert int(said["some"]) <= shape[0]
        assert int(said["few"]) <= shape[1]
        extremes(said, layer)


def extremes(said: Said, layer: Any) -> None:
    norms = layer["units"]["norm"]
    if len(norms) == layer["weights"][0]:
        same(said["most"], max(norms))
        same(said["least"], min(norms))


@rule(
    "«net», «w:layer» («w:name»). Rows: ⟨every filter|«some» of «n» filters, evenly over their ranks by norm⟩, largest "
    "first; columns: ⟨every input|the «few» of «inputs» input channels with the largest weights there⟩; «high» × «wide» "
    "weights each, pixel for pixel. Blue: negative, white: zero, red: positive; scale «low» to «scale», within which 99 % of "
    "the layer's weights lie. The bar at the end of a row is the filter's norm: norms from «most» to «least»."
)
def _slices(piece: Piece, said: Said) -> None:
    layer = layer_of(piece, said)
    shape = layer["weights"]
    assert [int(said[key]) for key in ("high", "wide")] == shape[2:]
    if said["n"]:
        assert [int(said["n"]), int(said["some"])] == [shape[0], len(piece.site.figures[piece.figure]["rows"])]
    if said["inputs"]:
        same(said["inputs"], shape[1])
    assert value(said["low"]) == -value(said["scale"])
    assert value(said["scale"]) <= layer["extreme"] * 1.001
    extremes(said, layer)


@rule("«net» gives «right» of the «n» images the name that ⟨it was|they were⟩ made for.")
def _prototypes(piece: Piece, said: Said) -> None:
    made = net(piece, said)["class_images"]
    same(said["right"], sum(one["answer"] == one["name"] for one in made))
    same(said["n"], len(made))


@rule("Image made to look like «c:name» to «net»: «w:again» calls it «c:answer» with «p%».")
def _prototype(piece: Piece, said: Said) -> None:
    one = next(one for one in net(piece, said)["class_images"] if one["name"] == said["name"])
    assert one["answer"] == said["answer"]
    same(said["p"], one["probability"] * 100)


@rule("⟦called «c:name», ⟧«p%»", page="filters.html", alone=True)
def _bare_share(piece: Piece, said: Said) -> None:
    """Below a picture of a class, an image or beside an answer: whose it is, the place tells."""
    place = piece.ids[-1] if piece.ids else ""
    if "-class-" in place and piece.stem == "filters":
        one = next(one for one in piece.network["class_images"] if one["id"] == place)
        assert (said["name"] or one["name"]) == one["answer"]
        same(said["p"], one["probability"] * 100)
        return
    raise AssertionError(f"{piece.text}: of what?")


@rule(
    "«net», first layer: the «n» of «all» filters that end with the largest weights, one a column; rows from top to bottom: "
    "after epoch «w:epochs». One scale for all: «low» to «scale», within which 99 % of the last weights lie;"
)
def _growth(piece: Piece, said: Said) -> None:
    rows = piece.site.figures[piece.figure]["rows"]
    assert listed(said["epochs"]) == [str(row[0]) for row in rows]
    assert int(said["all"]) == next(layer["weights"][0] for layer in net(piece, said)["layers"])
    assert value(said["low"]) == -value(said["scale"])


@rule(
    "Strip of «n» first-layer filters of «net» after the epochs «w:epochs»: from epoch «at» on the layer's weights correlate with the last ones by 0.9 or more"
)
def _growth_alt(piece: Piece, said: Said) -> None:
    figure = next(name for name in piece.site.figures if name == f"{piece.site.titles[said['net']]}-first-layer-epochs")
    rows = piece.site.figures[figure]["rows"]
    assert listed(said["epochs"]) == [str(row[0]) for row in rows]
    assert str(settled(rows)) == said["at"]


@rule("from epoch «at» on the layer's weights correlate with the last ones by 0.9 or more", page="filters|training")
def _settled(piece: Piece, said: Said) -> None:
    rows = piece.site.figures[piece.figure]["rows"] if piece.figure else None
    if rows:
        assert str(settled(rows)) == said["at"]


def settled(rows: Any) -> int:
    """The first epoch from which on the correlation with the last state stays at 0.9 or above."""
    found = rows[-1][0]
    for row in reversed(rows):
        if row[2] < 0.9:
            break
        found = row[0]
    return int(found)


@rule("⟦epoch ⟧«n»", page="filters|training", alone=True, kind="li")
def _number_of_row(piece: Piece, said: Said) -> None:
    """Beside a row of the strip of epochs; on links to layers and as a match's number it is a name."""
    if piece.kind == "li" and piece.figure:
        assert int(said["n"]) in [row[0] for row in piece.site.figures[piece.figure]["rows"]]
        return
    assert re.search(r"filters-.+-", piece.page), piece.page


@rule(
    "The strongest patch of «n» channel⟦s⟧ of «net», «w:layer», «high» by «wide» pixels each, from «w:photos»: channel⟦s⟧ «w:channels»."
)
def _patches(piece: Piece, said: Said) -> None:
    layer = layer_of(piece, said)
    assert said["photos"] == net(piece, said)["patches_from"]
    assert len(listed(said["channels"])) == int(said["n"])
    side = net(piece, said)["input_size"]
    assert int(said["high"]) == int(said["wide"]) in (layer["receptive_field"], side)


# Feature maps


def stage_of(piece: Piece, name: str) -> Any:
    return next(stage for stage in piece.look["stages"] if stage["layer"] == name)


@rule("«net» turns a photo into «n» maps of «high» × «wide» units and ends with «m» of «rows» × «columns»")
def _stages(piece: Piece, said: Said) -> None:
    shapes = [stage["shape"] for stage in next(iter(net(piece, said)["photos"].values()))["stages"]]
    assert [int(said[key]) for key in ("n", "high", "wide")] == shapes[0]
    assert [int(said[key]) for key in ("m", "rows", "columns")] == shapes[-1]


@rule("fewer places, more patterns", "fewer places")
def _fewer(piece: Piece, said: Said) -> None:
    shapes = [
        stage["shape"] for stage in next(iter(next(iter(piece.site.networks.values()))["photos"].values()))["stages"]
    ]
    assert shapes[-1][1] * shapes[-1][2] < shapes[0][1] * shapes[0][2]
    assert "patterns" not in said["whole"] or shapes[-1][0] > shapes[0][0]


@rule("As given: «high» × «wide» pixels.", "as given: «high» × «wide» pixels")
def _given(piece: Piece, said: Said) -> None:
    side = piece.network["input_size"]
    assert [int(said["high"]), int(said["wide"])] == (side if isinstance(side, list) else [side, side])


@rule(
    "(«w:layer»): «n» maps of «high» × «wide»⟦, of which the «drawn» most active are drawn⟧. ⟦0 «scale».⟧ Largest activation "
    "«most»; longest bar: mean «mean»; «k:silent» silent, «active%» of the units active."
)
def _stage(piece: Piece, said: Said) -> None:
    stage = stage_of(piece, said["layer"])
    assert [int(said[key]) for key in ("n", "high", "wide")] == stage["shape"]
    same(said["most"], stage["maximum"])
    assert said["silent"].replace("none", "0").replace(",", "") == str(stage["zero_maps"])
    assert value(said["scale"] or "0") <= value(said["most"]) * 1.01
    rows = piece.site.figures[piece.figure]["rows"]
    means = [row[1] for row in rows]
    if len(means) == stage["shape"][0]:
        same(said["mean"], max(means))
        assert sum(row[2] == 0 for row in rows) == stage["zero_maps"] or len(rows[0]) < 3


@rule(
    "After «w:layer»: channels 0 to «last» in reading order, «high» × «wide» units each; one scale from 0 to «most», their "
    "largest activation; the bar below a map is its mean, the longest «mean»; «k:silent» map⟦s⟧ of «n» ⟨is|are⟩ silent."
)
def _first_maps(piece: Piece, said: Said) -> None:
    stage = stage_of(piece, said["layer"])
    assert int(said["last"]) + 1 == int(said["n"]) <= stage["shape"][0]
    assert [int(said["high"]), int(said["wide"])] == stage["shape"][1:]
    rows = piece.site.figures[piece.figure]["rows"]
    same(said["mean"], max(row[1] for row in rows))
    assert value(said["most"]) <= stage["maximum"] * 1.005
    assert said["silent"].replace("no", "0") in (
        str(sum(row[1] == 0 for row in rows)),
        str(sum(row[2] == 0 for row in rows)),
    )


@rule(
    "Mosaic of ⟨all|the⟩ «n» ⟦most active of «of» ⟧feature maps of «net» after «w:stage» for the photo «w:photo», «high» by "
    "«wide» units each: «k:silent» map⟦s⟧ of «all» ⟨is|are⟩ silent, «active%» of all units are active, largest activation "
    "«most»."
)
def _mosaic_of_maps(piece: Piece, said: Said) -> None:
    shapes = piece.look["stages"]
    assert any(
        stage["shape"] == [int(said["all"]), int(said["high"]), int(said["wide"])]
        and str(stage["zero_maps"]) == said["silent"].replace("no", "0")
        and abs(stage["maximum"] - value(said["most"])) <= 0.006 * stage["maximum"]
        for stage in shapes
    ), piece.text


@rule(
    "The first «n» feature maps of «net» after the max pooling «w:layer» for the photo «w:photo», «high» by «wide» units "
    "each: «k:silent» map⟦s⟧ of «m» ⟨is|are⟩ silent, largest activation «most»."
)
def _first_maps_alt(piece: Piece, said: Said) -> None:
    stage = stage_of(piece, said["layer"])
    assert [int(said["high"]), int(said["wide"])] == stage["shape"][1:]
    assert said["n"] == said["m"]
    assert value(said["most"]) <= stage["maximum"] * 1.005


# Grad-CAM and failures


def answer(look: Any, name: str) -> Any:
    return next(one for one in look["maps"] if one["class"] == name)


@rule("«net» names «right» of the «n» sample photos that show⟦s⟧ one of its classes.")
def _names(piece: Piece, said: Said) -> None:
    same(said["right"], right_photos(net(piece, said))[0])
    same(said["n"], right_photos(net(piece, said))[1])


def right_photos(network: Any) -> tuple[int, int]:
    """How many of the report's photos of its classes it names, and how many there are."""
    shown = [
        look for name, look in network["photos"].items() if look["true"] is not None and not name.startswith("test-")
    ]
    return sum(look["predicted"] == look["true"] for look in shown), len(shown)


@rule("«net» gets «wrong» of ⟦the ⟧«n» sample photos⟦ that show⟦s⟧ one of its classes⟧ wrong.")
def _gets_wrong(piece: Piece, said: Said) -> None:
    right, count = right_photos(net(piece, said))
    same(said["wrong"], count - right)
    same(said["n"], count)


@rule(
    "The most confident mistake on this page: it calls the photo “«w:title»” «c:name», «p%» sure, and gives «c:truth» «q%»."
)
def _surest(piece: Piece, said: Said) -> None:
    network = next(iter(piece.site.networks.values()))
    wrong = [look for look in network["photos"].values() if look["true"] not in (None, look["predicted"])]
    top = max(wrong, key=lambda look: look["top"][0]["probability"])
    assert (top["predicted"], top["true"]) == (said["name"], said["truth"])
    same(said["p"], top["top"][0]["probability"] * 100)
    same(said["q"], answer(top, said["truth"])["probability"] * 100)
    titles = {photo["id"]: photo["title"] for photo in piece.site.results["photos"]}
    assert titles[next(name for name, look in network["photos"].items() if look is top)] == said["title"]


@rule(
    "The «n» images among the «count» ⟨test|validation⟩ images that it called by a wrong name with the most confidence."
)
def _confident(piece: Piece, said: Said) -> None:
    scores = split(piece, said)
    same(said["count"], scores["count"])
    sure = [one["confidence"] for one in scores["mistakes"]]
    assert int(said["n"]) == min(12, len(sure))
    assert sure == sorted(sure, reverse=True)


@rule("«c:name», «p%»; ⟨right|shows none of the network's classes|wrong: «c:truth» is its choice number «rank»⟩")
def _verdict(piece: Piece, said: Said) -> None:
    look = opened(piece)
    assert look["predicted"] == said["name"]
    same(said["p"], look["top"][0]["probability"] * 100)
    kind = "right" if look["rank_of_true"] == 1 else "shows none" if look["true"] is None else "wrong"
    assert f"; {kind}" in said["whole"]
    if said["truth"]:
        assert (look["true"], str(look["rank_of_true"])) == (said["truth"], said["rank"])
        ranked = sorted((one["logit"] for one in look["maps"]), reverse=True)
        if len(ranked) == len(piece.network["class_names"]):
            assert ranked.index(answer(look, said["truth"])["logit"]) + 1 == int(said["rank"])


@rule("«p%», logit «logit»", alone=True)
def _answer(piece: Piece, said: Said) -> None:
    same(said["p"], role(piece)["probability"] * 100)
    same(said["logit"], role(piece)["logit"])


@rule("«p%» of the two, difference of logits «logit»", alone=True)
def _of_two(piece: Piece, said: Said) -> None:
    told = role(piece)
    apart(piece.look, told["of"], told["against"], said["p"])
    same(said["logit"], answer(piece.look, told["of"][0])["logit"] - answer(piece.look, told["against"][0])["logit"])


def apart(look: Any, ours: list[str], theirs: list[str], said: str) -> None:
    """The probability of one class against another alone follows from their logits."""
    difference = answer(look, ours[0])["logit"] - answer(look, theirs[0])["logit"]
    same(said, 100 / (1 + math.exp(-difference)))


@rule(
    "«w:method» ⟨overlay|heat map⟩ of «net» for «c:name», not «c:other», what tells the two apart, on the photo «w:photo»: "
    "probability «p%», ⟨no positive evidence|raw maximum «x», strongest «w:where»⟩."
)
def _rival(piece: Piece, said: Said) -> None:
    titles = {photo["title"]: photo["id"] for photo in piece.site.results["photos"]}
    look = net(piece, said)["photos"][titles[said["photo"]]]
    told = look["asked"]["rival"]
    assert (told["of"], told["against"]) == ([said["name"]], [said["other"]])
    assert said["name"] == look["predicted"]
    apart(look, told["of"], told["against"], said["p"])
    if said["x"]:
        same(said["x"], told["maximum"])
        where(piece, said, titles[said["photo"]])
    else:
        assert told["maximum"] == 0


def opened(piece: Piece) -> Any:
    """What is said of the photo whose title the text begins with, else of the one that the place names."""
    for photo in piece.site.results["photos"]:
        for title, name in piece.site.titles.items():
            if piece.text.startswith(f"{plain(photo['title'])} {title}:"):
                return piece.site.networks[name]["photos"][photo["id"]]
    return piece.look


def role(piece: Piece) -> Any:
    """The answer that a picture is about, by its id."""
    name = piece.ids[-1].rpartition(f"{piece.photo}-")[2]
    look = piece.look
    if name in look["asked"]:
        return look["asked"][name]
    second = sorted(look["maps"], key=lambda one: -one["logit"])[1]
    return {"predicted": lambda: answer(look, look["predicted"]), "true": lambda: answer(look, look["true"])}.get(
        name, lambda: second
    )()


@rule("Raw maximum «x».", "⟦Map of «c:name». ⟧Raw maximum «x».")
def _raw(piece: Piece, said: Said) -> None:
    if said.get("name"):
        assert said["name"] == piece.look["predicted"]
        same(said["x"], answer(piece.look, said["name"])["maximum"])
    elif piece.stem != "try":
        same(said["x"], role(piece)["maximum"])


@rule("No positive evidence: the map is zero everywhere.")
def _none(piece: Piece, said: Said) -> None:
    assert role(piece)["maximum"] == 0


@rule(
    "Photo of «w:what»⟦ as «net» saw it, «side» pixels wide⟧: called «c:name» with «p%»⟨, which is right|; it is «c:truth», "
    "which it gave «q%»|⟩."
)
def _photo(piece: Piece, said: Said) -> None:
    look = piece.look
    assert look["predicted"] == said["name"]
    same(said["p"], look["top"][0]["probability"] * 100)
    assert ("which is right" in said["whole"]) == (look["predicted"] == look["true"])
    if said["truth"]:
        assert look["true"] == said["truth"]
        same(said["q"], answer(look, said["truth"])["probability"] * 100)
    else:
        assert look["true"] in (None, look["predicted"])


@rule(
    "«w:method» ⟨overlay|heat map⟩ of «net» for «c:name», ⟨its answer|the true class|its second choice|a class that was asked "
    "for⟩, on the photo «w:photo»: probability «p%», ⟨no positive evidence|raw maximum «x», strongest «w:where»⟩."
)
def _map(piece: Piece, said: Said) -> None:
    titles = {photo["title"]: photo["id"] for photo in piece.site.results["photos"]}
    look = net(piece, said)["photos"][titles[said["photo"]]]
    found = answer(look, said["name"])
    same(said["p"], found["probability"] * 100)
    if said["x"]:
        same(said["x"], found["maximum"])
        where(piece, said, titles[said["photo"]])
    else:
        assert found["maximum"] == 0
    ranked = sorted(look["maps"], key=lambda one: -one["logit"])
    if "its answer" in said["whole"]:
        assert ranked[0]["class"] == said["name"]
    elif "the true class" in said["whole"]:
        assert look["true"] == said["name"]
    elif "second choice" in said["whole"]:
        assert ranked[1]["class"] == said["name"]


def where(piece: Piece, said: Said, photo: str) -> None:
    """A map's strongest cell lies where it is said to lie, by the cells that its link leads to."""
    names = {
        "its answer": "predicted", "the true class": "true", "its second choice": "runner-up", "the two apart": "rival",
    }  # fmt: skip
    name = next((end for words, end in names.items() if words in said["whole"]), "other")
    rows = piece.site.figures.get(f"{piece.site.titles[said['net']]}-cam-{photo}-{name}", {}).get("rows")
    if rows:
        assert said["where"] == place(np.array([row[1:] for row in rows]))


def place(cells: np.ndarray) -> str:
    """ "in the centre", "at the upper left": the third of each side in which the largest cell lies."""
    row, column = np.unravel_index(int(cells.argmax()), cells.shape)
    down = ("upper", "", "lower")[int(3 * (row + 0.5) // cells.shape[0])]
    across = ("left", "", "right")[int(3 * (column + 0.5) // cells.shape[1])]
    if not down and not across:
        return "in the centre"
    if not across:
        return {"upper": "at the top", "lower": "at the bottom"}[down]
    return f"at the {down or 'middle'} {across}"


@rule(
    "⟦«w:method» heat maps of «net» for each of «all» classes on the photo «w:photo»: ⟧⟨s|S⟩trongest for «w:first»; ⟨no positive "
    "evidence for «none» of «n» classes|some evidence for each of «m» classes⟩."
)
def _every(piece: Piece, said: Said) -> None:
    maps = piece.look["maps"]
    ranked = sorted(maps, key=lambda one: -one["maximum"])
    top = [one["maximum"] for one in ranked[:3]]
    told = [answer(piece.look, name)["maximum"] for name in listed(said["first"])]
    assert told == [one for one in top if one > 0], said["first"]
    silent = sum(one["maximum"] == 0 for one in maps)
    assert int(said["none"] or 0) == silent
    assert int(said["n"] or said["m"]) == len(maps)
    if said["all"]:
        same(said["all"], len(maps))


@rule(
    "Channel «channel»: its strongest patch, and its map of this photo, which adds «x»",
    "channel «one» · «y»",
    page="grad-cam",
    alone=True,
)
def _contributor(piece: Piece, said: Said) -> None:
    channel, amount = said.get("channel") or said["one"], said.get("x") or said["y"]
    same(amount, piece.look["contributors"][channel])


@rule(
    "«net» at «w:layer»⟦, whose channels are those of «w:convolution»⟧: the «n» channel⟦s⟧ of «all» that gave most to "
    "«c:name», its answer, most first.⟦ «w:patch»:⟧ where it fired on this one, all on one scale from 0 to «scale». A "
    "channel's contribution is its activations times the gradient of the logit, added up: ⟨these «again» add|this one adds⟩ "
    "«sum», all «every» together «total»⟦, since others subtract⟧; the logit is «logit»."
)
def _made_up(piece: Piece, said: Said) -> None:
    look, rows = piece.look, piece.site.figures[piece.figure]["rows"]
    assert said["name"] == look["predicted"]
    given = [*look["contributors"].values()]
    assert int(said["n"]) == len(given) == len(rows)
    assert given == sorted(given, reverse=True)
    same(said["sum"], sum(given))
    same(said["scale"], max(row[2] for row in rows))
    same(said["logit"], look["top"][0]["logit"])
    assert said["all"] == said["every"].replace(",", "")
    assert (value(said["total"]) < value(said["sum"])) == ("since others subtract" in said["whole"])


@rule("«w:n» ⟨method|methods⟩, one answer")
def _methods(piece: Piece, said: Said) -> None:
    names = [way["name"] for way in piece.look["ways"]]
    count = len([name for name in names if not re.match("Grad-CAM at |hiding|probability of|the answer", name)])
    assert said["n"] == spelled(count)


@rule(
    "⟦«w:name»: ⟧⟨«w:asks»|«rows» × «columns» cells⟩; ⟨no positive evidence|strongest «w:where», raw maximum «x»⟩",
    "⟨occlusion|«w:name»⟩: ⟨no positive evidence|strongest «w:where», raw maximum «x»⟩",
    "a part of the photo is hidden; «c:name» falls to «p%»",
    "hiding this hurts most: «c:name» falls to «p%»",
    "wherever the square is; «w:shows» %⟦ on average⟧",
    "probability of «c:name»: «p%» on average",
    "the answer⟦ stays the same⟧: «w:shows» %",
    page="grad-cam",
    alone=True,
)
def _way(piece: Piece, said: Said) -> None:
    ways = {f"{way['asks']}; {way['shows']}" for way in piece.look["ways"]}
    ways |= {f"{way['name']}: {way['shows']}" for way in piece.look["ways"]}
    assert piece.text in {text.replace("\u00a0", " ").replace("’", "'") for text in ways}, piece.text
    rows = {row[0]: row for row in piece.site.figures.get(ways_id(piece), {}).get("rows", [])}
    for way in piece.look["ways"]:
        if way["name"] in rows and (found := re.search(rf"raw maximum ({NUMBER})", way["shows"])):
            assert abs(value(found[1]) - rows[way["name"]][1]) <= 5e-5 + 0.005 * value(found[1]), way
            assert rows[way["name"]][2] in way["shows"]


@rule(
    "undecided on «n» «w:images»: with pixels taken away in its order the probability differs from that of a random order "
    "by «mean» points («low» to «high»); below zero is better",
    page="grad-cam",
    alone=True,
)
def _undecided(piece: Piece, said: Said) -> None:
    given = [
        (one["count"], *(round(one["gap"][part] * 100, 1) for part in ("mean", "low", "high")))
        for one in piece.network["undecided"].values()
    ]
    assert (value(said["n"]), *(value(said[part]) for part in ("mean", "low", "high"))) in given
    assert said["images"].removesuffix("s") in {one["images"] for one in piece.network["undecided"].values()}
    for name, one in piece.network["undecided"].items():
        checks = {each["method"]: each for each in piece.network.get("checks", [])}
        measured = {each["method"]: each for each in faithful(piece)}
        found = checks.get(name) or measured[name]
        assert (found["count"], found["deletion"]["ahead"]["random"]) == (one["count"], one["gap"])
        assert one["gap"]["low"] <= 0 <= one["gap"]["high"] or one["count"] < 8
    decided = {each["method"] for each in faithful(piece) if each["deletion"]["ahead"]["random"]["high"] < 0}
    assert not decided & {*piece.network["undecided"]}


def faithful(piece: Piece) -> list[Any]:
    found = (piece.network["evaluation"] or {}).get("faithfulness") or {}
    return list(found.get("perturbation", []))


def ways_id(piece: Piece) -> str:
    return f"{piece.network_id}-ways-{piece.photo}"


@rule(
    "«net», the answer «c:name». ⟨Maps of layers at «w:layer», each|Each map⟩ over its own range, black to pale yellow; in "
    "maps of single pixels the brightest 0.5 % look alike. The «w:colour» square is «side» pixel⟦s⟧ wide«w:rest»; its two "
    "maps show, at the square's centre, what is left of «c:hidden»'s probability «p%», from 0, dark, to 1, yellow, and which "
    "answer is then the most probable: ⟨yellow is «c:yellow»|«c:nowhere» nowhere, which were yellow⟩.",
    "«net», the answer «c:name». ⟨Maps of layers at «w:layer», each|Each map⟩ over its own range, black to pale yellow; in "
    "maps of single pixels the brightest 0.5 % look alike. The «w:colour» square is «side» pixel⟦s⟧ wide; its two "
    "maps show, at the square's centre, what is left of «c:hidden»'s probability «p%», from 0, dark, to 1, yellow, and which "
    "answer is then the most probable: ⟨yellow is «c:yellow»|«c:nowhere» nowhere, which were yellow⟩.",
)
def _ways(piece: Piece, said: Said) -> None:
    look = piece.look
    # The square hides parts of what was answered, and its maps are of that answer.
    assert said["name"] == said["hidden"] == (said["yellow"] or said["nowhere"]) == look["predicted"]
    same(said["p"], look["top"][0]["probability"] * 100)
    wherever = next(way["shows"] for way in look["ways"] if way["name"].startswith("the answer"))
    assert ("nowhere" in said["whole"]) == (said["name"] not in wherever)


@rule("«a» × «b» cells", page="grad-cam")
def _cells(piece: Piece, said: Said) -> None:
    assert any(way["asks"] == piece.text.partition(";")[0] for way in piece.look["ways"])


@rule("Strongest for «w:first»; no positive evidence for any class.")
def _nothing(piece: Piece, said: Said) -> None:
    assert not any(one["maximum"] for one in piece.look["maps"])


# Evaluation


def pairs_of(scores: Any) -> list[tuple[float, int, int, int, int]]:
    """(share of the true class, images, images of the class, true class, answer), the most frequent first."""
    confusion = counts(scores)
    found = [
        (
            confusion[true, called] / confusion[true].sum(),
            int(confusion[true, called]),
            int(confusion[true].sum()),
            true,
            called,
        )
        for true in range(len(confusion))
        for called in range(len(confusion))
        if true != called and confusion[true, called]
    ]
    return sorted(found, key=lambda one: -one[0])


@rule(
    "⟦Of «count» ⟨test|validation|training⟩ images, «net» names ⟦«n» (⟧«p%»⟦)⟧ correctly⟦, and has the right name among its "
    "first five for «five%»⟧.⟧",
    "⟦Of «count» ⟨test|validation|training⟩ images it names ⟦«n» (⟧«p%»⟦)⟧ correctly⟦, and has the right name among its "
    "first five for «five%»⟧.⟧",
)
def _scored(piece: Piece, said: Said) -> None:
    scores = split(piece, said)
    same(said["count"], scores["count"])
    rate_of(said, np.trace(counts(scores)) / counts(scores).sum(), scores["count"])
    if said["five"]:
        share(said["five"], scores["top5"], scores["count"])


@rule("Its most frequent confusion: «n» of «of» images of «c:true» named «c:called».")
def _most_confused(piece: Piece, said: Said) -> None:
    pairs, names = pairs_of(split(piece, said)), net(piece, said)["evaluation"]["class_names"]
    top = pairs[0]
    assert len(pairs) == 1 or pairs[1][0] < top[0], "others are as frequent"
    assert (names[top[3]], names[top[4]]) == (said["true"], said["called"])
    assert [int(said["n"]), int(said["of"])] == [*top[1:3]]


@rule(
    "⟨At least «least» tie as its most frequent confusions|Its «n» most frequent confusions tie⟩, with "
    "⟨«k» of «of» images each|«p%» of the class's images each⟩: "
    "«w:pairs»⟦ and «more» more⟧."
)
def _tied(piece: Piece, said: Said) -> None:
    pairs, names = pairs_of(split(piece, said)), net(piece, said)["evaluation"]["class_names"]
    tied = [one for one in pairs if abs(one[0] - pairs[0][0]) < 1e-9]
    same(said["n"] or said["least"], len(tied))
    if said["k"]:
        assert {one[1:3] for one in tied} == {(int(said["k"]), int(said["of"]))}
    told = said["pairs"].split(", ") if said["more"] else listed(said["pairs"])
    assert {*told} <= {f"{names[one[3]]} named {names[one[4]]}" for one in tied}
    assert len(told) + int(said["more"] or 0) == len(tied)


@rule("Confusion matrix of «net» on «count» «w:images», in percent of the true class: ⟦«n» (⟧«p%»⟦)⟧ right")
def _matrix(piece: Piece, said: Said) -> None:
    scores = split(piece, said, said["images"].split(" ")[0])
    same(said["count"], scores["count"])
    rate_of(said, np.trace(counts(scores)) / scores["count"], scores["count"])
    piece.names["split"] = said["images"].split(" ")[0]


@rule("⟨m|M⟩ost often «w:pairs».")
def _often(piece: Piece, said: Said) -> None:
    """The most frequent confusions, as many as are named, in their order."""
    name = re.search(r"\d (test|validation|training) image", piece.text)
    scores = split(piece, {"net": title_in(piece)}, name[1] if name else "")
    names = net(piece, {"net": title_in(piece)})["evaluation"]["class_names"]
    told = [
        re.fullmatch(rf"(.+) taken for (.+) \((?:({NUMBER}) of ({NUMBER})|({NUMBER} %))\)", one)
        for one in listed(said["pairs"])
    ]
    ranked = pairs_of(scores)[: len(told)]
    lowest = ranked[-1][0]
    for one, truth in zip(told, ranked, strict=True):
        assert one, said["pairs"]
        found = next(pair for pair in pairs_of(scores) if (names[pair[3]], names[pair[4]]) == (one[1], one[2]))
        assert found[0] == truth[0], f"{one[1]} taken for {one[2]} is not among the most frequent"
        assert found[0] >= lowest
        if one[5]:
            share(one[5], found[0], found[2])
        else:
            assert [int(one[3]), int(one[4])] == [*found[1:3]]


def title_in(piece: Piece) -> str:
    """The network that a text names."""
    return next((title for title in sorted(piece.site.titles, key=len, reverse=True) if title in piece.text), "")


@rule(
    "Of the images it was trained with it names ⟦«n» (⟧«p%»⟦)⟧, of the ⟨test|validation⟩ images ⟦«m» (⟧«q%»⟦)⟧⟨: the «points» points between them are what having seen an image is worth to it|⟩."
)
def _seen(piece: Piece, said: Said) -> None:
    trained, held = split(piece, said, "training"), split(piece, said)
    rate_of(said, trained["top1"], trained["count"])
    rate_of({"n": said["m"], "p": said["q"]}, held["top1"], held["count"])
    beyond = trained["top1_interval"][0] > held["top1_interval"][1]
    assert beyond == bool(said["points"])
    if beyond:
        same(said["points"], (trained["top1"] - held["top1"]) * 100)


def found_by_class(piece: Piece) -> list[tuple[float, str, int, int]]:
    """(recall, class, images found, images) of each class that has images."""
    confusion, names = counts(split(piece, {})), piece.network["evaluation"]["class_names"]
    return [
        (row[index] / row.sum(), names[index], int(row[index]), int(row.sum()))
        for index, row in enumerate(confusion)
        if row.sum()
    ]


@rule("⟨Best found|Among the best found⟩: «w:classes».", "⟨Worst found|Among the worst found⟩: «w:classes».")
def _extremes(piece: Piece, said: Said) -> None:
    best = "est found" in said["whole"] and "orst" not in said["whole"]
    ranked = sorted(found_by_class(piece), key=lambda one: -one[0] if best else one[0])
    told = [re.fullmatch(rf"(.+) \(({NUMBER}) of ({NUMBER})\)", one) for one in listed(said["classes"])]
    named = {one[1]: (int(one[2]), int(one[3])) for one in told if one}
    assert len(named) == len(told)
    truth = {name: (hits, count) for _, name, hits, count in ranked}
    assert all(truth[name] == counted for name, counted in named.items())
    assert sorted(hits / count for hits, count in named.values()) == sorted(one[0] for one in ranked[: len(named)])
    tied = len(ranked) > len(named) and ranked[len(named)][0] == ranked[len(named) - 1][0]
    assert tied == said["whole"].startswith("Among"), f"tied: {tied}"


@rule(
    "Dot plot of «net»'s recall and precision for «n» classes⟦, the best «half» and the last «half2» of «of» of «all»⟧ on "
    "«count» «w:images»: recall from «low%» («w:worst») to «high%» («w:best»); precision from «low2%» («w:worst2») to "
    "«high2%» («w:best2»)."
)
def _dots(piece: Piece, said: Said) -> None:
    scores, names = split(piece, said), net(piece, said)["evaluation"]["class_names"]
    confusion = counts(scores)
    same(said["count"], scores["count"])
    with np.errstate(invalid="ignore"):
        recall = confusion.diagonal() / confusion.sum(1)
        precision = confusion.diagonal() / confusion.sum(0)
    for values, low, high, worst, best in (
        (recall, "low", "high", "worst", "best"), (precision, "low2", "high2", "worst2", "best2"),
    ):  # fmt: skip
        for end, number, who in ((np.nanmin(values), low, worst), (np.nanmax(values), high, best)):
            same(said[number], end * 100)
            tied = [name for name, one in zip(names, values, strict=True) if abs(one - end) < 1e-9]
            count = re.fullmatch(r"(\d+) classes", said[who])
            assert int(count[1]) == len(tied) if count else {*listed(said[who])} == {*tied}, f"{said[who]}: {tied}"


@rule("Never answered, so without a precision: «w:classes».")
def _never(piece: Piece, said: Said) -> None:
    names = piece.network["evaluation"]["class_names"]
    never = [name for name, count in zip(names, counts(split(piece, said)).sum(0), strict=True) if not count]
    assert {*listed(said["classes"])} <= {*never}


@rule("Here it is «error%».")
def _error(piece: Piece, said: Said) -> None:
    same(said["error"], ece(split(piece, said)["calibration"]) * 100)


def ece(calibration: Any) -> float:
    """Expected calibration error from the bins."""
    parts = zip(calibration["counts"], calibration["accuracy"], calibration["confidence"], strict=True)
    return float(sum(n * abs(right - sure) for n, right, sure in parts if n) / sum(calibration["counts"]))


@rule("with «t», fitted on the validation images, the error is «error%».")
def _scaled(piece: Piece, said: Said) -> None:
    same(said["t"], piece.network["evaluation"]["temperature"])
    same(said["error"], ece(split(piece, said)["calibration_scaled"]) * 100)


@rule("Even a perfectly calibrated network would show «p%» on average on «n» images, by chance alone.")
def _perfect(piece: Piece, said: Said) -> None:
    same(said["p"], split(piece, said)["calibration_scaled"]["chance"] * 100)
    same(said["n"], split(piece, said)["count"])


@rule(
    "Reliability diagram of «net» on «count» «w:images»: expected calibration error «error%» as trained⟦, «scaled%» after "
    "temperature scaling⟧; on average the network is «points» points ⟨less|more⟩ sure than right."
)
def _reliability(piece: Piece, said: Said) -> None:
    scores = split(piece, said)
    bins = scores["calibration"]
    same(said["count"], scores["count"])
    same(said["error"], ece(bins) * 100)
    if said["scaled"]:
        same(said["scaled"], ece(scores["calibration_scaled"]) * 100)
    parts = zip(bins["counts"], bins["accuracy"], bins["confidence"], strict=True)
    gap = sum(n * (sure - right) for n, right, sure in parts if n) / sum(bins["counts"])
    same(said["points"], abs(gap) * 100)
    assert ("more sure" in said["whole"]) == (gap > 0)


@rule("as trained, expected calibration error «error%»⟦; diamonds: logits divided by «t», «scaled%»⟧.")
def _reliability_caption(piece: Piece, said: Said) -> None:
    same(said["error"], ece(split(piece, said)["calibration"]) * 100)
    if said["t"]:
        same(said["t"], piece.network["evaluation"]["temperature"])
        same(said["scaled"], ece(split(piece, said)["calibration_scaled"]) * 100)


@rule(
    "⟦«net» on ⟧«count» ⟨test|validation|training⟩ images⟨: rows are the true classes|, classes by F1, best first|: how often "
    "answers of a given confidence are right⟩"
)
def _on(piece: Piece, said: Said) -> None:
    same(said["count"], judged(piece, said)["count"])


@rule(
    "«n» of the «count» ⟨test|validation⟩ images: ⟨all that it got wrong|as many of those that it got wrong as this page has "
    "room for⟩, the most frequent confusion first, the surest answer first."
)
def _mistakes(piece: Piece, said: Said) -> None:
    scores = split(piece, said)
    wrong = scores["count"] - int(np.trace(counts(scores)))
    same(said["count"], scores["count"])
    assert int(said["n"]) <= wrong
    assert (int(said["n"]) == wrong) == ("all that it got wrong" in said["whole"])


@rule("«c:true» called «c:called» «n», «p%»", page="evaluation", alone=True, kind="li")
def _pair_of_list(piece: Piece, said: Said) -> None:
    names = piece.network["evaluation"]["class_names"]
    found = next(
        one for one in pairs_of(judged(piece, said)) if (names[one[3]], names[one[4]]) == (said["true"], said["called"])
    )
    same(said["n"], found[1])
    share(said["p"], found[0], found[2])


@rule("Its «n» mistakes, image by image", "«n» of its «of» mistakes, image by image")
def _all_mistakes(piece: Piece, said: Said) -> None:
    wrong = split(piece, said)["count"] - int(np.trace(counts(split(piece, said))))
    assert int((said.get("of") or said["n"]).replace(",", "")) == wrong
    assert int(said["n"].replace(",", "")) <= wrong


@rule("«c:true» «n» of «of»", page=".*mistakes", alone=True, kind="li")
def _missed(piece: Piece, said: Said) -> None:
    """How many of a class's images were called something else."""
    row = counts(judged(piece, said))[piece.network["evaluation"]["class_names"].index(said["true"])]
    same(said["n"], row.sum() - row[piece.network["evaluation"]["class_names"].index(said["true"])])
    same(said["of"], row.sum())


@rule("⟦Test image ⟧«w:image»⟦.JPEG⟧⟨: «c:true», called «c:called» with | · | ⟩«p%»", page=".*mistakes", alone=True)
def _mistake(piece: Piece, said: Said) -> None:
    """An image that was called something else, or the name and the confidence below it."""
    found = [one for one in split(piece, {})["mistakes"] if one["image"].rpartition(".")[0] == said["image"]]
    assert found, piece.text
    same(said["p"], found[0]["confidence"] * 100)
    if said["true"]:
        names = piece.network["evaluation"]["class_names"]
        assert (names[found[0]["true"]], names[found[0]["predicted"]]) == (said["true"], said["called"])


@rule("«w:fact»", page="about|training|index", alone=True, kind="dd")
def _fact(piece: Piece, said: Said) -> None:
    """A version, a setting or a digest is a value of the records."""
    assert piece.text in {plain(str(one)) for one in values(piece.site.results)}, piece.text


def values(told: Any) -> list[Any]:
    """All that some results hold, what is in them and what is in that."""
    inner = told.values() if isinstance(told, dict) else told if isinstance(told, list) else ()
    return [told, *(each for one in inner for each in values(one))]


@rule("«w:name» «n»⟦, «w:rest»⟧", page="grad-cam", alone=True, kind="p")
def _shows(piece: Piece, said: Said) -> None:
    """What the strongest patches of a contributing channel show."""
    assert piece.text in {plain(str(row[3])) for row in piece.site.figures[piece.figure]["rows"]}, piece.text


# The picture of a network


@dataclass(frozen=True)
class Part:
    """One or several blocks in a row, as a network's picture says them."""

    title: str
    shape: tuple[int, ...]
    grid: tuple[int, ...]  # of tokens the cells; else ()
    weights: int
    whose: str  # "" where they are its own
    sees: tuple[int, ...]  # (0, 0): all of the photo; (): of one that computes nothing, or whose units are no cells
    paths: tuple[int, ...]  # of each block, where they are the same in all


def kind(block: Any) -> str:
    """A block by the ways through it and what joins them (He et al. 2015, Huang et al. 2016, Szegedy et al. 2014)."""
    if block["attends"]:
        return "attention block"
    joined = {"addition": "residual block", "multiplication": "gated block", "concatenation": "Inception block"}
    if block["joined"] == "concatenation" and len(block["paths"]) == 2 and block["paths"][1] == 0:
        return "dense block"
    if block["joined"]:
        return joined[block["joined"]]
    if block["steps"] > 1:
        return "block"
    if not block["convolutions"]:
        return "linear layer" if block["steps"] else "pooling"
    return "patch embedding" if len(block["shape"]) == 2 else "convolution"


@cache
def parts(told: str) -> frozenset[Part]:
    """All runs of a network's blocks, of which its picture shows some; from its results in JSON."""
    network = json.loads(told)
    numbers = {layer["name"]: layer["title"] for layer in network["layers"]}
    what = {name: said for name, said, _ in network["summary"]}
    side = network["input_size"]
    full = side if isinstance(side, list) else [side, side]
    every = network["blocks"]
    return frozenset(
        _run(every[first:last], numbers, what, full)
        for first in range(len(every))
        for last in range(first + 1, len(every) + 1)
    )


def _run(run: Any, numbers: Mapping[str, str], what: Mapping[str, str], full: Any) -> Part:
    kinds, end = [kind(block) for block in run], run[-1]
    inside = [name for block in run for name in block["inside"]]
    of_one = len({tuple(block["paths"]) for block in run}) == 1
    works = [one for one in kinds if one != "pooling"]
    title = works[0] if works else what.get(end["name"], "pooling")
    if len(run) == 1 and kinds == ["convolution"]:
        title = next((numbers[name] for name in inside if name in numbers), title)
    elif len(run) > 1:
        count, word = len(works), title
        if "attention block" in works:
            count, word = works.count("attention block"), "transformer block"
        elif len({*works}) > 1:
            count, word = sum(block["convolutions"] for block in run), "convolution"
            count, word = (count, word) if count else (len(run), "block")
        title = f"{count} {word}{'s' if count != 1 else ''}"
    norms = dict.fromkeys(what[name] for name in inside if "normalisation" in what.get(name, ""))
    cells = end["grid"] is not None and math.prod(end["grid"]) > 1
    sees: tuple[int, ...] = tuple(end["sees"] or ((0, 0) if cells or len(end["shape"]) > 1 else ()))
    if end["sees"] and all(one >= most for one, most in zip(sees, full, strict=True)):
        sees = (0, 0)
    return Part(
        title[0].upper() + title[1:],
        tuple(end["shape"]) if cells else (end["channels"],),
        tuple(end["grid"]) if cells and len(end["shape"]) == 2 else (),
        sum(block["weights"] for block in run),
        "" if works or not sum(block["weights"] for block in run) else " and ".join(norms) or "what follows it",
        sees if works else (),
        tuple(end["paths"]) if of_one else (),
    )


def known(network: Any) -> frozenset[Part]:
    return parts(json.dumps({key: network[key] for key in ("layers", "summary", "input_size", "blocks")}))


@rule(
    "«w:title»⟨: | ⟩⟨«n» map⟦s⟧ of «high» × «wide»|«tokens» token⟦s⟧ of «each» number⟦s⟧, «rows» × «columns» of them "
    "places of the photo|«numbers» number⟦s⟧⟩⟦; «weights» weight⟦s⟧⟦ of «w:whose»⟧⟧"
    "⟦; a unit sees ⟨«sees» × «across» px|all of it|a part of it⟩⟧⟦; ⟨«one» step⟦s⟧ and a way around|"
    "«ways» paths of «w:steps» steps⟦ and a way around⟧⟩⟧",
    page="filters|index",
    alone=True,
)
def _part(piece: Piece, said: Said) -> None:
    """A block of the picture, in it or in the list below it: some of the network's, in all that is said of them."""
    names = next(names for names in (("n", "high", "wide"), ("tokens", "each"), ("numbers",)) if said[names[0]])
    shape = tuple(int(value(said[name])) for name in names)
    grid = (int(said["rows"]), int(said["columns"])) if said["tokens"] else ()
    weights = int(value(said["weights"])) if said["weights"] else 0
    sees = (int(said["sees"]), int(said["across"])) if said["sees"] else (0, 0) if " of it" in said["whole"] else ()
    paths = [int(said["one"])] if said["one"] else [*map(int, listed(said["steps"]))] if said["ways"] else []
    assert not said["ways"] or int(said["ways"]) == len(paths), said["whole"]
    around = "a way around" in said["whole"]
    for found in known(piece.network):
        same_paths = [one for one in found.paths if one] == paths and (0 in found.paths) == around
        if found == Part(said["title"], shape, grid, weights, said["whose"], sees, found.paths) and same_paths:
            return
    raise AssertionError(said["whole"])


@rule("«sees» × «across» px", "all of it", page="filters|index", alone=True, kind="label")
def _field(piece: Piece, said: Said) -> None:
    """What a unit of a block sees, on the picture."""
    sees = (int(said["sees"]), int(said["across"])) if said.get("sees") else (0, 0)
    assert any(one.sees == sees for one in known(piece.network))


@rule("«count» «w:kind»", page="filters|index", alone=True, kind="label")
def _blocks(piece: Piece, said: Said) -> None:
    """The name of several blocks on the picture, of a long one its first line."""
    titles = {one.title for one in known(piece.network)} | {f"{len(piece.network['class_names'])} classes"}
    assert any(f"{title} ".startswith(f"{said['whole']} ") for title in titles), said["whole"]


@rule("«n» weights belong to no part alone.")
def _no_part(piece: Piece, said: Said) -> None:
    assert value(said["n"]) < max(one["parameters"] for one in piece.site.networks.values())


@rule("On its training images: «p%».")
def _on_training(piece: Piece, said: Said) -> None:
    scores = headed(piece)["evaluation"]["splits"]["train"]
    share(said["p"], scores["top1"], scores["count"])
