"""Frozen records that cross from the torch side to the page side.

They hold numpy arrays, numbers, strings and bytes only, so that nothing on the page side needs torch. Every number of
the report is computed once, stands in one of these, and travels from there into prose, figures, tables, alt text and
results.json.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # (H, W, 3) RGB
Floats = NDArray[np.float32]
Counts = NDArray[np.int64]

# What a number or word of a stored record may be; `stored` sees to it when a file is read.
Share = Annotated[float, Meta(ge=0, le=1)]
Signed = Annotated[float, Meta(ge=-1, le=1)]  # a correlation, a difference of shares
Loss = Annotated[float, Meta(ge=-1e-3, le=3.5e38)]  # a distance of float32 answers may be below 0 by rounding
Measured = Annotated[float, Meta(ge=0, le=1e12)]  # seconds, rates
Temperature = Annotated[float, Meta(ge=1e-3, le=1e3)]  # of a softmax
Count = Annotated[int, Meta(ge=0, le=10**12)]
Number = Annotated[int, Meta(ge=1, le=10**9)]  # counted from 1
Side = Annotated[int, Meta(ge=1, le=100_000)]  # of an image or of maps
Name = Annotated[str, Meta(min_length=1, max_length=1000)]
Part = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _-]{0,99}\Z")]  # of a data set; stands in addresses


@dataclass(frozen=True)
class Credit:
    """Where a picture comes from and on what terms."""

    author: str
    origin: str
    licence: str
    url: str = ""


@dataclass(frozen=True)
class Photo:
    """One photo of the report.

    `id` is its stable address ([a-z0-9-]+). `label` indexes the report's class names, None where the photo shows none
    of them; `shows` says in words what is in it. `mask` is True on the object, `box` is (x0, y0, x1, y1) in pixels of
    `pixels`, inclusive, as in Tiny ImageNet's own files.
    """

    id: str
    title: str
    pixels: Pixels
    origin: Literal["bundled", "own", "test"]
    label: int | None = None
    shows: str = ""
    mask: NDArray[np.bool_] | None = None
    box: tuple[int, int, int, int] | None = None
    credit: Credit | None = None
    digest: str = ""


@dataclass(frozen=True)
class Epoch:
    """One epoch of one training run; accuracies in [0, 1], losses in nats, numbered from 1."""

    epoch: Number
    train_loss: Loss
    train_accuracy: Share
    validation_loss: Loss | None
    validation_accuracy: Share | None
    learning_rate: Measured
    seconds: Measured
    image_size: Side


@dataclass(frozen=True)
class Run:
    """The record of one training run, as history.json keeps it."""

    name: Name  # "one batch", "without augmentation", "augmented"
    epochs: tuple[Epoch, ...]
    kept: Count  # number of the epoch whose weights were kept
    settings: Mapping[str, Any]  # hyperparameters, by name
    environment: Mapping[str, str]  # hardware, versions, git revision, data digest
    complete: bool = True

    @property
    def kept_epoch(self) -> Epoch:
        """The epoch whose weights were kept; the last where the record does not hold it."""
        return next((epoch for epoch in self.epochs if epoch.epoch == self.kept), self.epochs[-1])


@dataclass(frozen=True)
class Benchmark:
    """What benchmarks/training.py measured in one run on one machine; rates are images a second."""

    course_seconds: Measured  # the course's own loop, 50 epochs
    course_rate: Measured
    course_accuracy: Share  # on the validation images, after `course_epochs`
    course_epochs: Number  # that were run; the seconds are scaled up to 50
    quick_seconds: Measured  # the preset "quick", from the image files on
    quick_rate: Measured
    quick_accuracy: Share
    # Until the preset "quick" was better than the course's 46 %; nan: never.
    seconds_to_goal: Measured = field(default=float("nan"), kw_only=True)
    training_rates: Mapping[str, Measured]  # by model, at the size of its input
    evaluation_rates: Mapping[str, Measured]
    validation_images: Count
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Confusion:
    """A pair of classes that the network confuses: `count` images of `true` were called `predicted`."""

    true: Count
    predicted: Count
    count: Count
    share: Share  # of the images of `true`


@dataclass(frozen=True)
class Mistake:
    """One image that was called something else, with the confidence that the network had in its answer."""

    image: Name  # file name in the data set
    true: Count
    predicted: Count
    confidence: Share


@dataclass(frozen=True)
class Calibration:
    """Reliability bins of equal width over the confidence, and the expected calibration error (Guo et al. 2017)."""

    edges: Floats  # (B + 1,)
    counts: Counts  # (B,)
    confidence: Floats  # (B,) mean confidence in the bin, nan where empty
    accuracy: Floats  # (B,) nan where empty
    error: Share  # ECE in [0, 1]
    chance: Share = float("nan")  # the ECE of perfect calibration on so many images, on average; nan: not recorded


@dataclass(frozen=True)
class SplitScores:
    """What a network gets right on one split; K classes, rates in [0, 1]."""

    split: Part  # "train", "validation", "test"
    count: Count
    loss: Loss
    top1: Share
    top5: Share
    top1_interval: tuple[Share, Share]  # 95 % bootstrap
    top5_interval: tuple[Share, Share]
    top1_flipped: Share  # mean of the image's and its mirror image's probabilities
    confusion: Counts  # (K, K), rows true, columns predicted
    precision: Floats  # (K,), nan where a class was never predicted
    recall: Floats  # (K,)
    f1: Floats  # (K,)
    pairs: tuple[Confusion, ...]  # most confused first
    calibration: Calibration
    calibration_scaled: Calibration  # after temperature scaling
    mistakes: tuple[Mistake, ...]  # most confident first


@dataclass(frozen=True)
class Evaluation:
    """What evaluation.json holds for one network."""

    model: Name
    class_names: tuple[Name, ...]
    splits: Mapping[Part, SplitScores]
    temperature: Temperature  # fitted on the validation split
    weights_digest: str
    data_digest: str
    environment: Mapping[str, str]
    test_looks: Number = 1  # networks of this folder that the test images have scored so far, this one included
    faithfulness: Faithfulness | None = None


@dataclass(frozen=True)
class ConvLayer:
    """One convolution of a network, with its unit's receptive field on the input, in pixels."""

    name: str  # dotted, as in the module
    title: str  # "convolution 1"
    weights: Floats  # (O, I, kh, kw)
    stride: int
    padding: int
    receptive_field: int
    jump: int  # distance on the input between neighbouring units


@dataclass(frozen=True)
class Examined:
    """The images among which the strongest patches of each channel are."""

    said: str  # "1,500 validation images of Tiny ImageNet"
    pictures: Sequence[Pixels]  # as they come, before they are cut for a network
    names: tuple[str, ...]  # what each of them shows
    digest: str
    data_set: bool  # False: there was none, so the report's own photos had to do


@dataclass(frozen=True)
class LayerPatches:
    """Where each of C channels of one convolution answers most strongly: P images, strongest first.

    An answer is the convolution's own output. A box is what the answering unit sees of the network's input, in its
    pixels, inclusive as Photo.box; what lies outside the image is padding.
    """

    layer: str
    answers: Floats  # (C, P), nan where no image is left
    pictures: Counts  # (C, P) places in Examined.pictures, -1 where no image is left
    boxes: Counts  # (C, P, 4) x0, y0, x1, y1
    active: Floats  # (C,) share of the images in which the channel is above zero after its ReLU, nan where it has none


@dataclass(frozen=True)
class ClassImages:
    """For each class an image made to raise its logit, and what the network says about it."""

    images: Pixels  # (K, S, S, 3)
    logits: Floats  # (K, K), a row an image
    seed: int
    steps: int


@dataclass(frozen=True)
class StageMaps:
    """The activations of one stage for one photo, after its ReLU (and pooling, where the stage ends with one)."""

    layer: str
    title: str
    maps: Floats  # (C, h, w), >= 0 after a ReLU


@dataclass(frozen=True)
class Comparison:
    """One class of one photo explained in several ways, and what covering a part of the photo does to one class.

    The maps are of the predicted class; covered is the photo for its true class, where it is known.
    """

    maps: Mapping[str, Floats]  # by the method's name, (h, w) raw, >= 0
    layers: Mapping[str, Floats]  # by the layer's dotted name, the first method's map at it, in order
    patch: int  # side of the grey square in pixels of what the network was given
    probability: Floats  # (h, w) of the class `hidden`, by the place of the square's centre
    answers: Counts  # (h, w) the most probable class
    hidden: int  # the class whose parts the square hides


@dataclass(frozen=True)
class Explanation:
    """One photo through one network.

    `cams[i]` is the raw Grad-CAM (after ReLU, not normalised) of class `targets[i]` at `layer`; all classes where the
    network has few of them, else those that the page shows.
    """

    photo: str  # Photo.id
    seen: Pixels  # (S, S, 3) what the network was given
    logits: Floats  # (K,)
    probabilities: Floats  # (K,)
    label: int | None  # the photo's class among this network's classes
    layer: str
    targets: tuple[int, ...]
    cams: Floats  # (len(targets), h, w)
    stages: tuple[StageMaps, ...]
    other: int | None = None  # the class that report.toml wants explained beside the predicted one
    contributions: Floats | None = None  # (C,) what each channel of `layer` gave to the predicted class's logit
    contributors: tuple[int, ...] = ()  # the channels that gave most, most first
    contributor_maps: Floats | None = None  # (len(contributors), h, w) their activations
    contributor_layer: str = ""  # the convolution that makes these channels; "": unknown
    comparison: Comparison | None = None  # of the predicted class; None: not made for this photo

    @property
    def ranking(self) -> NDArray[np.int64]:
        """(K,) class indices, most probable first."""
        return np.argsort(-self.logits, kind="stable")

    @property
    def predicted(self) -> int:
        """The most probable class."""
        return int(self.ranking[0])

    @property
    def runner_up(self) -> int:
        """The second most probable class."""
        return int(self.ranking[1])

    def cam(self, target: int) -> Floats:
        """The (h, w) raw map of one class in `targets`."""
        found: Floats = self.cams[self.targets.index(target)]
        return found


@dataclass(frozen=True)
class Network:
    """Everything that the report tells of one network."""

    id: str  # "cnn", "alexnet": folder, address and file-name part
    title: str  # "SmallCNN"
    class_names: tuple[str, ...]
    parameters: int
    macs: int  # multiply-accumulates for one photo
    input_size: int
    summary: tuple[tuple[str, str, str], ...]  # (layer, what, output shape) rows of the architecture
    weights_source: str  # one sentence: where the weights come from
    weights_digest: str
    notes: tuple[str, ...]  # what was replaced or left out, one sentence each
    layers: tuple[ConvLayer, ...]
    explanations: Mapping[str, Explanation]  # by Photo.id
    runs: tuple[Run, ...] = ()
    evaluation: Evaluation | None = None
    snapshots: Mapping[int, Floats] = field(default_factory=dict)  # epoch -> first layer's weights
    card: str = ""  # models/<id>/README.md
    cam_note: str = ""  # what Grad-CAM does and does not guarantee for this head
    failures: tuple[str, ...] = ()  # Photo.id of the mistakes that the failures page shows
    mistaken: Mapping[str, Pixels] = field(default_factory=dict)  # test images that it got wrong, by file name
    benchmark: Benchmark | None = None
    resize: int | None = None  # the shorter side of a photo before its centre is cut out; None: the input size
    examined: Examined | None = None
    patches: tuple[LayerPatches, ...] = ()  # one for each of `layers`
    class_images: ClassImages | None = None


@dataclass(frozen=True)
class DataSummary:
    """The data set as the data page shows it."""

    name: str
    class_names: tuple[str, ...]
    wnids: tuple[str, ...]
    counts: Mapping[str, int]  # images a split
    per_class: Mapping[str, int]  # images a class, a split
    examples: Mapping[int, tuple[Pixels, ...]]  # class index -> a few images; empty without the data set
    augmented: tuple[tuple[str, Pixels], ...]  # (name of the step, the image after it), first the original
    present: bool  # False: built without the data set, its numbers come from the models' records
    digest: str = ""
    skipped: tuple[str, ...] = ()  # broken files


@dataclass(frozen=True)
class Table:
    """The numbers behind a figure."""

    head: tuple[str, ...]
    rows: tuple[tuple[str | int | float, ...], ...]

    @property
    def numeric(self) -> bool:
        """Whether every cell but each row's first is a number."""
        return bool(self.rows) and not any(isinstance(cell, str) for row in self.rows for cell in row[1:])


@dataclass(frozen=True)
class Figure:
    """One figure of the report: image files or inline SVG, with its words.

    `id` is its stable address. For a raster figure `files` maps relative paths below site/ to bytes, `src` is the one
    shown and `srcset` the others; for a chart `svg` is inline markup and `files` may be empty.
    """

    id: str
    alt: str
    caption: str
    width: int = 0
    height: int = 0
    src: str = ""
    srcset: tuple[tuple[str, int], ...] = ()  # (path, width in pixels)
    files: Mapping[str, bytes] = field(default_factory=dict)
    svg: str = ""
    pixelated: bool = False
    table: Table | None = None
    data: Table | None = None  # the numbers behind it where the page has no room for them: the cells of a heat map


@dataclass(frozen=True)
class LiveStep:
    """One step of a network as the page runs it.

    "conv" and "linear" have weights `factors`[:, None] * `integers` in float32, and `biases`; "scale" multiplies each
    channel by its factor and adds its bias; "global" takes each channel's maximum or average, as `pool` says.
    """

    kind: Literal["conv", "scale", "relu", "maxpool", "global", "flatten", "linear"]
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    pool: Literal["", "max", "average"] = ""
    bits: int = 0  # of a weight
    factors: Floats | None = None  # (O,)
    biases: Floats | None = None  # (O,)
    integers: Counts | None = None  # (O, I kh kw) or (O, I)


@dataclass(frozen=True)
class Live:
    """A network that runs in the visitor's browser; the places are those of `steps`, whose outputs are meant."""

    network: str  # Network.id
    steps: tuple[LiveStep, ...]
    mean: tuple[float, float, float]  # of the normalisation, of channels in [0, 1]
    std: tuple[float, float, float]
    cam: int  # the maps that Grad-CAM explains
    layer: str  # their dotted name in the network; "": they are a function's
    stages: tuple[tuple[int, str], ...]  # (place, layer) of the maps that the page shows
    difference: float  # largest of a logit from the full-precision network's, as a share of the photo's largest
    photos: int  # on which that was found
    explained: str = ""  # the layer that the report explains
    maps: float = 0.0  # largest difference of a heat map's value, as a share of the photo's largest
    tall_first: bool = True  # photos more than twice as high as wide are shrunk vertically first


@dataclass(frozen=True)
class Report:
    """All that the pages are made from."""

    networks: tuple[Network, ...]
    photos: tuple[Photo, ...]
    data: DataSummary
    environment: Mapping[str, str]
    notes: tuple[str, ...] = ()
    licences: Mapping[str, str] = field(default_factory=dict)  # name -> text, where it must travel with the photos
    live: Live | None = None  # None: no network of the report can run in a page


@dataclass(frozen=True)
class Estimate:
    """A mean over images with its 95 % bootstrap interval."""

    mean: Signed
    low: Signed
    high: Signed


@dataclass(frozen=True)
class Compared:
    """What a method reaches, what each baseline reaches on the same images, and by how much the method is ahead."""

    value: Estimate
    baselines: Mapping[str, Estimate]  # by name
    ahead: Mapping[str, Estimate]  # mean over images of value minus baseline; paired


@dataclass(frozen=True)
class Localisation:
    """How well the maps of one method find the objects' boxes; rates and shares in [0, 1]."""

    method: Name
    small: bool  # only boxes under a quarter of the image
    count: Count  # images
    silent: Count  # maps that are zero everywhere; they count as a miss and as no energy
    pointing: Compared  # baselines: "centre", "uniform", "wrong class"
    energy: Compared  # the same baselines
    silent_wrong: Count = 0  # maps of the wrong classes that are zero everywhere, which lowers that baseline


@dataclass(frozen=True)
class Perturbation:
    """Areas in [0, 1] under the class's probability while pixels are taken away or put back in a map's order."""

    method: Name
    count: Count  # images
    deletion: Compared  # lower is better; baselines: "random", "centre out", "wrong class"
    insertion: Compared  # higher is better


@dataclass(frozen=True)
class Randomisation:
    """How like its old self a method's map is while the network's layers are randomised from the logits down."""

    method: Name
    count: Count  # images whose map was not constant before
    layers: tuple[Name, ...]  # the last to be randomised, dotted name, from the logits down
    spearman: tuple[Estimate, ...]  # one a layer, in [-1, 1]
    ssim: tuple[Estimate, ...]
    silent: tuple[Count, ...]  # maps that became constant; they count as a correlation of 0


@dataclass(frozen=True)
class LayerScore:
    """The pointing game at one layer that maps could be taken from."""

    layer: Name
    side: tuple[Side, Side]  # rows and columns of its maps
    pointing: Estimate
    pointing_small: Estimate | None  # None: too few boxes are small
    energy: Estimate


@dataclass(frozen=True)
class Faithfulness:
    """How far a network's heat maps can be trusted, as measured on one split."""

    split: Part
    count: Number  # images with a box that the network is shown
    small: Count  # of them with a box under a quarter of the image
    correct: Count  # of them named correctly
    layer: str  # that the class activation maps are of; "": each method's own choice
    steps: Number  # of deletion and insertion
    blur: Measured  # standard deviation of the blurred image that insertion begins with, as a share of the image's side
    seed: Count
    localisation: tuple[Localisation, ...]  # all boxes and, where they are not too few, small ones, method by method
    perturbation: tuple[Perturbation, ...]
    randomisation: tuple[Randomisation, ...]
    sweep_method: str = ""  # of `sweep`
    sweep: tuple[LayerScore, ...] = ()
