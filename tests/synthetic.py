"""Small records with known contents for the tests of the page side: no torch, no files, no randomness.

Four classes and three photos unless asked for otherwise; the confusion matrix is written out by hand, the rates follow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from generator.data.preprocessing import TALL_FIRST
from generator.data.tiny_imagenet import WORDS
from generator.records.figure import Figure, Table
from generator.records.images import Credit, Floats, Photo, Pixels
from generator.records.input import square
from generator.records.live import Live, LiveStep
from generator.records.network import (
    Block,
    Chosen,
    ClassImages,
    Comparison,
    Examined,
    Explanation,
    Layer,
    LayerPatches,
    Network,
    Question,
    Replied,
    StageMaps,
)
from generator.records.report import DataSummary, Report
from generator.records.scores import Calibration, Confusion, Evaluation, Mistake, SplitScores
from generator.records.training import Benchmark, Epoch, Run
from generator.records.trust import (
    Compared,
    Estimate,
    Faithfulness,
    LayerScore,
    Localisation,
    Perturbation,
    Randomisation,
)

CLASSES = ("bee", "koala", "lion", "pizza")
CONFUSION = np.array([[6, 1, 2, 1], [0, 9, 1, 0], [3, 0, 7, 0], [0, 0, 0, 10]], dtype=np.int64)


def pixels(size: int = 16, shift: int = 0) -> Pixels:
    """(size, size, 3) uint8: a colour ramp, other for each `shift`."""
    rows, columns = np.mgrid[0:size, 0:size]
    image = np.stack([rows * 7 + shift * 31, columns * 5, (rows + columns) * 3], axis=2) % 256
    return np.asarray(image, dtype=np.uint8)


def confusion_matrix(classes: int) -> np.ndarray:
    """`CONFUSION` for four classes, else eight right and one each called the next and the one after."""
    if classes == len(CONFUSION):
        return CONFUSION
    eye = np.eye(classes, dtype=np.int64)
    return 8 * eye + np.roll(eye, 1, axis=1) + np.roll(eye, 2, axis=1)


def calibration(error: float, count: int = 40) -> Calibration:
    """Four bins of a fifth, three tenths and half of the images, the first one empty."""
    return Calibration(
        edges=np.linspace(0, 1, 5, dtype=np.float32),
        counts=np.array([0, count // 5, count * 3 // 10, count // 2], dtype=np.int64),
        confidence=np.array([math.nan, 0.4, 0.6, 0.9], dtype=np.float32),
        accuracy=np.array([math.nan, 0.5, 0.75, 0.95], dtype=np.float32),
        error=error,
    )


def split_scores(split: str, classes: int = 4) -> SplitScores:
    """The rates that follow from the confusion matrix; class 0 and 2 confused most."""
    confusion, last = confusion_matrix(classes), min(2, classes - 1)
    right = np.diag(confusion).astype(np.float32)
    precision = right / confusion.sum(0)
    recall = right / confusion.sum(1)
    top1 = float(right.sum() / confusion.sum())
    wrong = confusion - np.diag(np.diag(confusion))
    order = np.argsort(-wrong, axis=None, kind="stable")[:5]
    pairs = tuple(
        Confusion(
            int(i // classes),
            int(i % classes),
            int(wrong.flat[i]),
            float(wrong.flat[i] / confusion[i // classes].sum()),
        )
        for i in order
        if wrong.flat[i]
    )
    return SplitScores(
        split=split,
        count=int(confusion.sum()),
        loss=0.625,
        top1=top1,
        top5=0.975,
        top1_interval=(top1 - 0.03, top1 + 0.03),
        top5_interval=(0.95, 0.99),
        top1_flipped=top1 + 0.0125,
        confusion=confusion,
        precision=precision.astype(np.float32),
        recall=recall.astype(np.float32),
        f1=(2 * precision * recall / (precision + recall)).astype(np.float32),
        pairs=pairs,
        calibration=calibration(0.0875, int(confusion.sum())),
        calibration_scaled=calibration(0.0213, int(confusion.sum())),
        mistakes=(Mistake(f"{split}_12.JPEG", last, 0, 0.984), Mistake(f"{split}_7.JPEG", 0, last, 0.75)),
    )


def near(mean: float, margin: float = 0.02) -> Estimate:
    return Estimate(mean, mean - margin, min(1.0, mean + margin))


def beside(value: float, margin: float = 0.02, **baselines: float) -> Compared:
    """A value with these baselines, the differences as certain as the values."""
    named = {name.replace("_", " "): share for name, share in baselines.items()}
    return Compared(
        near(value, margin),
        {name: near(share, margin) for name, share in named.items()},
        {name: near(value - share, margin) for name, share in named.items()},
    )


def located(method: str, small: bool, hits: float, energy: float, wrong: float = 0.3, count: int = 750) -> Localisation:
    centre, uniform = (0.42, 0.12) if small else (0.84, 0.54)
    return Localisation(
        method, small, 160 if small and count == 750 else count, 3,
        beside(hits, centre=centre, uniform=uniform, wrong_class=wrong),
        beside(energy, uniform=uniform, wrong_class=uniform), 7,
    )  # fmt: skip


MEASURED = Faithfulness(
    split="test",
    count=750,
    small=160,
    correct=560,
    layer="features.relu7",
    steps=10,
    blur=0.125,
    seed=0,
    localisation=(
        located("Grad-CAM", False, 0.80, 0.60),
        located("Grad-CAM", True, 0.50, 0.20),
        located("LayerCAM", False, 0.85, 0.62),
        located("LayerCAM", True, 0.55, 0.25),
        located("Score-CAM", False, 0.70, 0.60, count=40),
        located("Score-CAM", True, 0.30, 0.20, count=9),
    ),
    perturbation=(
        Perturbation(
            "Grad-CAM", 100, beside(0.20, random=0.30, centre_out=0.21), beside(0.45, random=0.30, centre_out=0.35)
        ),
    ),
    randomisation=(
        Randomisation(
            "Grad-CAM", 30, ("head", "conv2", "conv1"), (near(0.3), near(0.1), near(-0.05)),
            (near(0.5), near(0.4), near(0.2)), (0, 1, 2),
        ),
        Randomisation(
            "guided backprop", 30, ("head", "conv2", "conv1"), (near(0.99), near(0.9), near(0.8)),
            (near(0.9), near(0.8), near(0.7)), (0, 0, 0),
        ),
    ),
    sweep_method="Grad-CAM",
    sweep=(
        LayerScore("conv1", (32, 32), near(0.6), near(0.35), near(0.55)),
        LayerScore("conv2", (8, 8), near(0.8), near(0.5), near(0.6)),
    ),
)  # fmt: skip


def evaluation(model: str, class_names: Sequence[str]) -> Evaluation:
    """Three splits with the same matrix."""
    splits = {split: split_scores(split, len(class_names)) for split in ("train", "validation", "test")}
    return Evaluation(model, tuple(class_names), splits, 1.31, "ab" * 32, "cd" * 32, {"torch": "2.14.1"})


def run(name: str, epochs: int = 3, kept: int | None = None) -> Run:
    """Losses that halve, accuracies that close half the gap to 1 at each epoch."""
    entries = tuple(
        Epoch(
            epoch=number,
            train_loss=2.0 * 0.5**number,
            train_accuracy=1 - 0.5**number,
            validation_loss=None if name == "one batch" else 2.5 * 0.5**number,
            validation_accuracy=None if name == "one batch" else 0.9 * (1 - 0.5**number),
            learning_rate=0.004 / number,
            seconds=12.5,
            image_size=64 if number > 1 else 32,
        )
        for number in range(1, epochs + 1)
    )
    settings = {"seed": 7, "batch": 128, "optimiser": "AdamW"}
    return Run(name, entries, kept or epochs, settings, {"hardware": "two CPU cores", "torch": "2.14.1"})


def benchmark() -> Benchmark:
    """A loop of 600 s that 20 s replace."""
    return Benchmark(
        course_seconds=600.0,
        course_rate=1125.0,
        course_accuracy=0.46,
        course_epochs=50,
        quick_seconds=20.0,
        quick_rate=2700.0,
        quick_accuracy=0.48,
        seconds_to_goal=float("nan"),
        training_rates={"cnn": 280.0, "alexnet": 270.0},
        evaluation_rates={"cnn": 900.0, "alexnet": 800.0},
        validation_images=1500,
        environment={"processor": "a processor", "cores": "2", "torch": "2.14"},
    )


def explanation(photo: Photo, class_names: Sequence[str], predicted: int, size: int = 16) -> Explanation:
    """Logit 4 for `predicted`, 2 for the next class, 0 for the others; the map of the last class is all zero."""
    count = len(class_names)
    logits = np.zeros(count, dtype=np.float32)
    logits[(predicted + 1) % count] = 2
    logits[predicted] = 4
    exponentials = np.exp(logits)
    cams = np.linspace(0, 1, count * 16, dtype=np.float32).reshape(count, 4, 4)
    cams[-1] = 0
    stages = tuple(
        StageMaps(f"features.conv{number}", f"stage {number}", np.ones((4 * number, side, side), dtype=np.float32))
        for number, side in ((1, 8), (2, 4))
    )
    return Explanation(
        photo=photo.id,
        seen=pixels(size, len(photo.id)),  # of "bee" and "slice" not the same
        logits=logits,
        probabilities=(exponentials / exponentials.sum()).astype(np.float32),
        label=photo.label,
        layer="features.conv2",
        targets=tuple(range(count)),
        cams=cams,
        stages=stages,
        replies={"rival": Replied(Question((predicted,), ((predicted + 1) % count,)), cams[predicted], 2.0, 0.881)},
        contributions=np.array([0.5, -1, 0.25, 3, 0, 0, 0, 1], dtype=np.float32),
        contributors=(3, 7, 0, 2, 4),
        contributor_maps=np.linspace(0, 2, 5 * 16, dtype=np.float32).reshape(5, 4, 4),
        contributor_layer="features.conv2",
    )


def weights(outputs: int, inputs: int, side: int = 3) -> Floats:
    """(outputs, inputs, side, side) float32 in [-1, 1]."""
    return np.linspace(-1, 1, outputs * inputs * side * side, dtype=np.float32).reshape(outputs, inputs, side, side)


def examined(data_set: bool = True) -> Examined:
    """Three pictures of 16 pixels; two show a bee."""
    said = "3 validation images of Tiny ImageNet" if data_set else "3 photos of this report"
    pictures = tuple(pixels(16, shift) for shift in range(3))
    return Examined(said, pictures, ("bee", "lion", "bee"), "12" * 32, data_set)


def convolution(name: str, number: int, made: Floats, field: int | None) -> Layer:
    """The convolution of that number with these weights, of 8 cells and a step of one pixel."""
    return Layer(name, "convolution", number, made, len(made), (8, 8), 1, 1, field, 1)


def stage(name: str, number: int, channels: int, chosen: Sequence[int], field: int = 12) -> Layer:
    """The end of a stage; channel c gave c / 10 to the answers."""
    gave = (np.arange(channels) / 10).astype(np.float32)
    return Layer(name, "stage", number, None, channels, (4, 4), 1, 0, field, 4, None, Chosen(tuple(chosen), gave))


def patches(layer: Layer) -> LayerPatches:
    """Each channel answers 3 to the first picture at the upper left corner, then 2 and 1; there is no fourth picture.

    The boxes begin one pixel outside the image. The last channel never fires.
    """
    channels, size = layer.channels, layer.receptive_field or 16
    answers = np.tile(np.array([3, 2, 1, math.nan], np.float32), (channels, 1))
    corners = np.array([-1, 4, 7, 0])
    boxes = np.stack([corners, corners, corners + size - 1, corners + size - 1], axis=1)
    active = np.full(channels, 2 / 3, np.float32)
    active[-1] = 0
    places = np.tile(np.array([0, 1, 2, -1]), (channels, 1))
    return LayerPatches(layer.name, answers, places, np.tile(boxes, (channels, 1, 1)), active)


def blocks(classes: int) -> tuple[Block, ...]:
    """What the layers of `network` and its head give."""
    first = Block("features.conv1", ("features.conv1",), (4, 16, 16), (16, 16), 4, 108, (3, 3), 1, 1)
    second = Block("features.conv2", ("features.conv2",), (8, 4, 4), (4, 4), 8, 288, (8, 8), 1, 1)
    return first, second, Block("head.linear", ("head.linear",), (classes,), None, classes, 36, None, 1, 0)


def class_images(classes: int) -> ClassImages:
    """Logit 4 for the class that an image was made for; the last image is called the first class."""
    logits = 4 * np.eye(classes, dtype=np.float32)
    logits[-1, 0] = 5
    return ClassImages(np.stack([pixels(16, shift) for shift in range(classes)]), logits, 0, 128)


def photo(identifier: str, label: int | None, title: str = "", origin: str = "bundled", shift: int = 0) -> Photo:
    """A ramp with a credit."""
    credit = Credit("A. Painter", "a stamp collection", "GPL-2", "https://example.org/stamps")
    kind = origin if origin in ("own", "test") else "bundled"
    return Photo(
        identifier,
        title or identifier.capitalize(),
        pixels(16, shift),
        "own" if kind == "own" else "test" if kind == "test" else "bundled",
        label,
        f"a {identifier}",
        credit=credit if kind == "bundled" else None,
        digest="ef" * 32,
    )


def network(
    identifier: str,
    title: str,
    photos: Sequence[Photo],
    class_names: Sequence[str] = CLASSES,
    runs: Sequence[Run] | None = None,
    evaluated: bool = True,
) -> Network:
    """Photo i is called class i, so that a photo labelled otherwise is a mistake."""
    explanations = {p.id: explanation(p, class_names, i % len(class_names)) for i, p in enumerate(photos)}
    wrong = [e.photo for e in explanations.values() if e.label is not None and e.label != e.predicted]
    if runs is None:
        runs = (run("one batch", 2), run("without augmentation", 3, kept=2), run("augmented", 4, kept=3))
    layers = (
        convolution("features.conv1", 1, weights(4, 3), 3),
        convolution("features.conv2", 2, weights(8, 4), 8),
    )
    return Network(
        id=identifier,
        title=title,
        class_names=tuple(class_names),
        parameters=1_234_567,
        macs=89_000_000,
        input=square(16),
        summary=(("features.conv1", "Conv2d 3 -> 4, 3x3", "4 x 16 x 16"), ("head.linear", "Linear 8 -> 4", "4")),
        weights_source=f"{title}'s weights were trained for this report.",
        weights_digest="ab" * 32,
        notes=(),
        layers=layers,
        explanations=explanations,
        runs=tuple(runs),
        evaluation=evaluation(identifier, class_names) if evaluated else None,
        snapshots={1: weights(4, 3), 3: weights(4, 3)},
        blocks=blocks(len(class_names)),
        card=f"# {title}\n\nFor teaching.\n",
        cam_note="",
        failures=tuple(wrong),
        benchmark=benchmark() if identifier == "cnn" else None,
        examined=examined(),
        patches=tuple(patches(layer) for layer in layers),
        class_images=class_images(len(class_names)),
    )


def comparison(hidden: int) -> Comparison:
    """Two methods, one earlier layer, and a grey square that harms most at the lower right."""
    ramp = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)
    maps = {"Grad-CAM": ramp, "occlusion": np.zeros((4, 4), np.float32)}
    answers = np.full((4, 4), hidden, np.int64)
    answers[3] = (hidden + 1) % len(CLASSES)
    return Comparison(maps, {"features.conv1": ramp[::-1]}, 4, (1 - ramp / 2).astype(np.float32), answers, hidden)


def complete(made: Network) -> Network:
    """The same with all that only a build with the data set knows: mistaken images, comparisons, measured maps."""
    assert made.evaluation is not None
    mistakes = made.evaluation.splits["test"].mistakes
    return replace(
        made,
        evaluation=replace(made.evaluation, faithfulness=MEASURED),
        mistaken={one.image: pixels(64, place) for place, one in enumerate(mistakes)},
        explanations={
            name: replace(seen, comparison=comparison(seen.predicted)) for name, seen in made.explanations.items()
        },
        summary=(*made.summary, ("features.conv2", "maximum pooling", "8 x 4 x 4")),
    )


def live(class_names: Sequence[str] = CLASSES, channels: int = 3) -> Live:
    """A network that a page can run, for photos of any size: convolutions of 4 and 8 channels, global maximum, linear.

    Args:
        channels: of the photos.
    """

    def weighed(kind: Literal["conv", "linear"], outputs: int, inputs: int, side: int) -> LiveStep:
        numbers = (np.arange(outputs * inputs * side * side) * 37 % 255 - 127).reshape(outputs, -1)
        return LiveStep(
            kind,
            (side, side),
            padding=(side // 2, side // 2),
            bits=8,
            factors=np.full(outputs, 0.01, np.float32),
            biases=np.zeros(outputs, np.float32),
            integers=numbers.astype(np.int64),
        )

    steps = (
        weighed("conv", 4, channels, 3),
        LiveStep("relu"),
        LiveStep("maxpool", (2, 2), (2, 2)),
        weighed("conv", 8, 4, 3),
        LiveStep("relu"),
        LiveStep("global", pool="max"),
        weighed("linear", len(class_names), 8, 1),
    )
    stages = ((1, "features.conv1"), (4, "features.conv2"))
    return Live(
        "cnn",
        steps,
        cam=4,
        layer="features.conv2",
        explained="features.conv2",
        stages=stages,
        difference=0.001,
        maps=0.0005,
        photos=3,
        tall_first=TALL_FIRST,
    )


def data_summary(class_names: Sequence[str] = CLASSES, present: bool = True) -> DataSummary:
    """450, 50 and 50 images a class."""
    count = len(class_names)
    return DataSummary(
        name="TinyImageNet30",
        class_names=tuple(class_names),
        keys=tuple(f"n{index:08d}" for index in range(count)),
        counts={"train": 450 * count, "validation": 50 * count, "test": 50 * count},
        per_class={"train": 450, "validation": 50, "test": 50},
        roles={"train": "fitted on", "validation": "chosen on", "test": "judged on"},
        words=WORDS,
        examples={i: tuple(pixels(16, i + k) for k in range(4)) for i in range(count)} if present else {},
        augmented=(("original", pixels()), ("crop and flip", pixels(shift=1))) if present else (),
        present=present,
        augmented_for="SmallCNN" if present else "",
        digest="cd" * 32 if present else "",
        skipped=(),
    )


def report(
    networks: Sequence[Network] | None = None,
    photos: Sequence[Photo] | None = None,
    class_names: Sequence[str] = CLASSES,
    present: bool = True,
    notes: Sequence[str] = (),
) -> Report:
    """Two networks, three photos: a bee, a koala, and a pizza that is called a lion."""
    if photos is None:
        last = len(class_names) - 1
        photos = (photo("bee", 0), photo("koala", 1, shift=1), photo("slice", last, "A slice of pizza", "own", 2))
    if networks is None:
        networks = (
            network("cnn", "SmallCNN", photos, class_names),
            network("alexnet", "AlexNet", photos, class_names, runs=()),
        )
    environment = {"python": "3.11.2", "torch": "2.14.1", "seed": "7"}
    ran = live(networks[0].class_names) if networks else None
    return Report(
        tuple(networks), tuple(photos), data_summary(class_names, present), environment, tuple(notes), live=ran
    )


def raster(identifier: str, caption: str = "", table: Table | None = None) -> Figure:
    """A placeholder image file of 320 x 240 pixels."""
    path = f"assets/figures/{identifier}.webp"
    return Figure(
        identifier, f"picture of {identifier}", caption or f"Caption of {identifier}.", 320, 240, path,
        files={path: b"RIFF" + identifier.encode()}, table=table,
    )  # fmt: skip


def chart(identifier: str) -> Figure:
    """A placeholder chart with a table of two rows."""
    svg = '<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 64 32"><path d="M0 32L64 0"/></svg>'
    table = Table(("epoch", "loss"), ((1, 1.0), (2, 0.5)))
    return Figure(identifier, f"line chart of {identifier}", f"Caption of {identifier}.", 64, 32, svg=svg, table=table)


def figures(made: Report) -> Mapping[str, Figure]:
    """A placeholder for each figure that the pages place."""
    found = [raster("social"), raster("teaser"), raster("favicon")]
    found += [raster(f"data-examples-{name}") for name in made.data.class_names if name.isalnum()]
    for net in made.networks:
        found += [chart(f"{net.anchor}-curves-{r.name.replace(' ', '-')}") for r in net.runs]
        if net.runs:
            found += [chart(f"{net.anchor}-runs"), raster(f"{net.anchor}-first-layer-epochs")]
        if net.evaluation:
            found += [raster(f"{net.anchor}-confusion-{split}") for split in net.evaluation.splits]
            found += [chart(f"{net.anchor}-reliability"), chart(f"{net.anchor}-per-class")]
        found += [raster(f"{net.anchor}-filters-{layer.name.replace('.', '-')}") for layer in net.layers]
        for number in range(1, len(net.layers) + 1):
            names = ("weights-0", "patches-0", "preview") if net.patches else ("weights-0",)
            found += [raster(f"{net.anchor}-conv{number}-{name}") for name in names]
        if net.class_images:
            found += [raster(f"{net.anchor}-class-{name}") for name in net.class_names if name.isalnum()]
        found += [
            raster(f"{net.anchor}-failure-{photo}-{role}") for photo in net.failures for role in ("photo", "predicted")
        ]
        for seen in net.explanations.values():
            found += [raster(f"{net.anchor}-maps-{seen.photo}-{s.layer.replace('.', '-')}") for s in seen.stages]
            found.append(raster(f"{net.anchor}-contributions-{seen.photo}"))
            roles = ["photo", "predicted", "runner-up", *(["true"] if seen.label is not None else []), *seen.replies]
            found += [raster(f"{net.anchor}-cam-{seen.photo}-{role}") for role in roles]
            found += [raster(f"{net.anchor}-cam-{seen.photo}-{role}-heat") for role in roles if role != "photo"]
            rows = tuple((name, 0.5, float(logit)) for name, logit in zip(net.class_names, seen.logits, strict=True))
            found.append(
                raster(f"{net.anchor}-cam-{seen.photo}-all", table=Table(("class", "raw maximum", "logit"), rows))
            )
    return {figure.id: figure for figure in found}
