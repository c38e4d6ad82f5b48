"""Frozen records that cross from the torch side to the page side.

They hold numpy arrays, numbers, strings and bytes only, so that nothing on the page side needs torch. Every number of
the report is computed once, stands in one of these, and travels from there into prose, figures, tables, alt text and
results.json.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from generator.records.images import Counts, Floats, Pixels
from generator.records.input import Input
from generator.records.reading import Reading
from generator.records.scores import Evaluation
from generator.records.training import Benchmark, Run
from generator.records.trust import Check

Origin = Literal["declared", "read", "inferred", "assumed", "measured"]
CLASSES = "classes"  # the fact that tells what the outputs stand for


@dataclass(frozen=True)
class Fact:
    """One thing that the program holds true of a network, and from where it has it."""

    what: str  # `CLASSES`
    value: str  # in words
    origin: Origin
    source: str  # "report.toml", "weights.safetensors", or what speaks for it


def first_classes(names: Sequence[str]) -> str:
    """How many classes there are, and the first of them: "30: baboon, banana, bee, …"."""
    return f"{len(names)}: {', '.join(names[:3])}{', …' if len(names) > 3 else ''}"


@dataclass(frozen=True)
class Chosen:
    """Which of a layer's channels its page shows, and why: those that gave most to the answers on `Network.asked`."""

    channels: tuple[int, ...]  # rising
    gave: Floats  # (C,) what each channel gave to the logit of the answer, on average over these images


@dataclass(frozen=True)
class Layer:
    """A layer that makes maps, with its unit's receptive field on the input, in pixels."""

    name: str  # dotted, as in the module, or a function's: "conv3+relu"
    kind: Literal["convolution", "stage", "point"]  # "stage": the end of one, such as a residual block's sum
    number: int  # of the convolution or the stage, in the order in which they run, from 1; of a point among pages
    weights: Floats | None  # (C, I, kh, kw) of a convolution; others have none of their own
    channels: int  # C
    size: tuple[int, int]  # of its maps, in cells
    stride: int
    padding: int
    receptive_field: int | None  # the longer side; None: of no regular size, it sees the whole image
    jump: int  # distance on the input between neighbouring units
    extent: tuple[int, int] | None = None  # (H, W) of the receptive field, where that is no square
    chosen: Chosen | None = None  # None: its page shows all channels, as far as it has room

    @property
    def sees(self) -> tuple[int, int] | None:
        """(H, W) of what a unit sees of the input, in pixels; None: of no regular size."""
        square = None if self.receptive_field is None else (self.receptive_field, self.receptive_field)
        return self.extent or square

    @property
    def title(self) -> str:
        """What it is called: "convolution 1", "the end of stage 2", else its name."""
        titles = {"convolution": f"convolution {self.number}", "stage": f"the end of stage {self.number}"}
        return titles.get(self.kind, self.name)

    @property
    def address(self) -> str:
        """Its part of addresses: "conv1", "stage2", "layer3"."""
        return {"convolution": "conv", "stage": "stage", "point": "layer"}[self.kind] + str(self.number)


@dataclass(frozen=True)
class Block:
    """A part of a network through whose end everything goes: a layer with weights, a residual block, a pooling."""

    name: str  # dotted, of what gives its output
    inside: tuple[str, ...]  # the dotted names of all that runs in it
    shape: tuple[int, ...]  # of its output, without the batch
    grid: tuple[int, int] | None  # the output's cells along the image's rows and columns; None: it has none
    channels: int  # of each cell, or of all where there are none
    weights: int  # parameters of what runs in it
    sees: tuple[int, int] | None  # (H, W) pixels of the input behind a cell; None: of no regular size
    steps: int  # convolutions, linear layers and attention in it; 0: it pools
    convolutions: int  # of these
    paths: tuple[int, ...] = ()  # steps of each path, where several run beside each other; 0: what came in is passed on
    joined: str = ""  # how the paths are: "addition", "concatenation", "multiplication"
    attends: bool = False  # whether cells are weighed against one another
    partly: bool = False  # of those that see no regular size: whether a cell in the middle does not see all corners

    @property
    def cells(self) -> int:
        """Of its output; 1 where it has no grid."""
        return self.grid[0] * self.grid[1] if self.grid else 1


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
    """Where each of C channels of one layer answers most strongly: P images, strongest first.

    An answer is the layer's own output, of a convolution before its rectifier. A box is what the answering unit sees of
    the network's input, in its pixels, inclusive as Photo.box; what lies outside the image is padding.
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
    patch: int  # side of the square in pixels of what the network was given
    probability: Floats  # (h, w) of the class `hidden`, by the place of the square's centre
    answers: Counts  # (h, w) the most probable class
    hidden: int  # the class whose parts the square hides


@dataclass(frozen=True)
class Question:
    """What is asked beside single classes: the logits of some classes, added up, minus those of others."""

    of: tuple[int, ...]  # (): what speaks against the others
    against: tuple[int, ...] = ()

    def named(self, class_names: Sequence[str]) -> str:
        """In words: "koala, not bear"."""
        of, against = (" and ".join(class_names[index] for index in named) for named in (self.of, self.against))
        return ", ".join([*([of] if of else []), *([f"not {against}"] if against else [])])

    @property
    def measure(self) -> str:
        """What its logit is, in words."""
        if self.of and self.against:
            return "difference of logits"
        if self.against:
            return "negative logit" if len(self.against) == 1 else "negative sum of logits"
        return "logit" if len(self.of) == 1 else "sum of logits"


@dataclass(frozen=True)
class Replied:
    """What a network says to a question about one photo."""

    question: Question
    cam: Floats  # (h, w) raw, as `Explanation.cams`
    logit: float  # the sum of logits that was asked for
    probability: float  # of two classes: that of the first where it is one of the two; see `explain.targets.chances_of`


GRAD_CAM = "Grad-CAM"  # the method that explains where no other is shown to be better


@dataclass(frozen=True)
class Explanation:
    """One photo through one network.

    `cams[i]` is the raw map by `method` (>= 0, not normalised) of class `targets[i]` at `layer`; all classes where the
    network has few of them, else those that the page shows. Of a network without such a layer there are none.
    """

    photo: str  # Photo.id
    seen: Pixels  # (S, S, 3) what the network was given
    logits: Floats  # (K,)
    probabilities: Floats  # (K,)
    label: int | None  # the photo's class among this network's classes
    layer: str  # "": there is none
    targets: tuple[int, ...]
    cams: Floats  # (len(targets), h, w)
    stages: tuple[StageMaps, ...]
    # By role: "rival", the answer against the true class or, where it is right, against the runner-up; "other",
    # "other-2" and so on, what report.toml wants explained beside.
    replies: Mapping[str, Replied] = field(default_factory=dict)
    contributions: Floats | None = None  # (C,) what each channel of `layer` gave to the predicted class's logit
    contributors: tuple[int, ...] = ()  # the channels that gave most, most first
    contributor_maps: Floats | None = None  # (len(contributors), h, w) their activations
    contributor_layer: str = ""  # the convolution that makes these channels, else `layer` itself
    comparison: Comparison | None = None  # of the predicted class; None: not made for this photo
    method: str = GRAD_CAM  # that made the maps of classes and replies
    heads: tuple[StageMaps, ...] = ()  # of some blocks what each of C heads of attention takes from each cell

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

    id: str  # "cnn", "alexnet": its folder, and its name on the command line
    title: str  # "SmallCNN"
    class_names: tuple[str, ...]
    parameters: int | None  # None: the network is not here itself, only its answers are known
    macs: int | None  # multiply-accumulates for one photo; None: nobody can count them
    input: Input  # UNKNOWN where the network is not here
    summary: tuple[tuple[str, str, str], ...]  # (layer, what, output shape) rows of the architecture
    weights_source: str  # one sentence: where the weights come from
    weights_digest: str
    notes: tuple[str, ...]  # what was replaced or left out, one sentence each
    layers: tuple[Layer, ...]  # those whose channels have pages, in the order in which they run
    explanations: Mapping[str, Explanation]  # by Photo.id
    runs: tuple[Run, ...] = ()
    evaluation: Evaluation | None = None
    snapshots: Mapping[int, Floats] = field(default_factory=dict)  # epoch -> first layer's weights
    card: str = ""  # models/<id>/README.md
    cam_note: str = ""  # what Grad-CAM does and does not guarantee for this head
    failures: tuple[str, ...] = ()  # Photo.id of the mistakes that the failures page shows
    mistaken: Mapping[str, Pixels] = field(default_factory=dict)  # test images that it got wrong, by file name
    benchmark: Benchmark | None = None
    examined: Examined | None = None
    patches: tuple[LayerPatches, ...] = ()  # of `layers`, and of the one that makes the explained one's channels
    class_images: ClassImages | None = None
    facts: tuple[Fact, ...] = ()  # how it was read
    reading: Reading | None = None  # other ways to read it, measured
    pageless: tuple[Layer, ...] = ()  # the convolutions that are not among `layers`
    # Who selected `layers`: nobody, the program (which left out the ends of some stages: "sampled"), or report.toml.
    selected: Literal["", "chosen", "sampled", "named"] = ""
    blocks: tuple[Block, ...] = ()  # its parts in their order, as its picture shows them
    stages: int = 0  # that the network has; of some of them alone, if they are many, there are maps
    asked: str = ""  # on what channels were asked for their part in the answers: "the 6 photos of this report"
    apart: str = ""  # see `anchor`; "": the id
    checks: tuple[Check, ...] = ()  # what the build found of the maps by methods that no evaluation measured
    own: Mapping[str, str] = field(default_factory=dict)  # see `records.displayed`
    multi_label: bool = False  # each class has a probability of its own, the sigmoid of its logit

    @property
    def present(self) -> bool:
        """Whether there is a network to look into; of others only the answers are known, to images of the data set."""
        return self.parameters is not None

    @property
    def anchor(self) -> str:
        """Its part of addresses and file names: the id, but where something else has that name (`report.anchors`)."""
        return self.apart or self.id

    @property
    def convolutions(self) -> tuple[Layer, ...]:
        """All convolutions that run, in that order."""
        found = [layer for layer in (*self.layers, *self.pageless) if layer.kind == "convolution"]
        return tuple(sorted(found, key=lambda layer: layer.number))

    @property
    def kernels(self) -> Floats | None:
        """The weights of the first convolution."""
        return next((layer.weights for layer in self.convolutions), None)
