"""What the pages say about the records: names instead of indices, the best and the worst, the first and the last.

Templates and texts format these facts and compute none of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from generator.classes import TINY_IMAGENET_30
from generator.exhibits.activations import scale_of
from generator.exhibits.comparisons import Way, ways
from generator.exhibits.mistakes import Mixed, confusions
from generator.exhibits.trust import Verdict, verdict
from generator.pages.layers import Contributor, Layer, Made, contributors, layers, made
from generator.records import Epoch, Explanation, Network, Photo, Report, Run, SplitScores, StageMaps
from generator.slugs import slugs

SPLITS: Mapping[str, str] = {
    "test": "test images",
    "validation": "validation images",
    "train": "training images",
}
SHOWN = 5  # answers, pairs and classes that a sentence or a short list names
LISTED = 12  # rows of a short table


@dataclass(frozen=True)
class Reference:
    """An accuracy from elsewhere, to compare with."""

    accuracy: float
    images: int


# As the course's notes report it; where benchmarks/training.py has recorded a run here, that counts.
COURSE = Reference(accuracy=0.460, images=1500)


@dataclass(frozen=True)
class Answer:
    """One class's share in what a network says about one photo; `strength` is its raw Grad-CAM map's maximum."""

    index: int
    name: str
    probability: float
    logit: float
    strength: float | None


@dataclass(frozen=True)
class Stage:
    """The feature maps of one stage in a few numbers; `active` is the share of units above zero."""

    layer: str
    title: str
    channels: int
    height: int
    width: int
    maximum: float
    silent: int  # channels that are zero everywhere
    active: float
    scale: float  # of its maps' colours
    mean: float  # of the map with the largest, which has the longest bar


@dataclass(frozen=True)
class Look:
    """One photo through one network. `rank` is the place of the true class among the answers, from 1."""

    photo: Photo
    explanation: Explanation
    top: tuple[Answer, ...]
    truth: Answer | None
    rank: int | None
    stages: tuple[Stage, ...]
    other: Answer | None  # the class that report.toml names
    contributors: tuple[Contributor, ...] = ()  # the channels that spoke most for the answer
    ways: tuple[Way, ...] = ()  # the answer explained in other ways

    @property
    def predicted(self) -> Answer:
        """The most probable class."""
        return self.top[0]

    @property
    def runner_up(self) -> Answer:
        """The second most probable class."""
        return self.top[1]

    @property
    def right(self) -> bool | None:
        """Whether the prediction is the true class; None where the photo shows no class of the network."""
        return None if self.rank is None else self.rank == 1

    @property
    def answers(self) -> Mapping[str, Answer]:
        """By the role's name, as in the figures' ids."""
        roles = {"predicted": self.predicted, "true": self.truth, "runner-up": self.runner_up, "other": self.other}
        return {role: answer for role, answer in roles.items() if answer is not None}


@dataclass(frozen=True)
class NamedPair:
    """Two classes that are confused, by name."""

    true: str
    predicted: str
    count: int
    share: float


@dataclass(frozen=True)
class NamedMistake:
    """One image that was called something else, by name."""

    image: str
    true: str
    predicted: str
    confidence: float


@dataclass(frozen=True)
class ClassScore:
    """One class of one split."""

    name: str
    count: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Scores:
    """One split's scores with the classes named."""

    record: SplitScores
    class_names: tuple[str, ...]

    @property
    def images(self) -> str:
        """ "test images", "validation images", ..."""
        return SPLITS.get(self.record.split, f"images of {self.record.split}")

    @cached_property
    def classes(self) -> tuple[ClassScore, ...]:
        """Every class, in the network's order."""
        counts = self.record.confusion.sum(axis=1)
        columns = zip(self.class_names, counts, self.record.precision, self.record.recall, self.record.f1, strict=True)
        return tuple(ClassScore(name, int(n), float(p), float(r), float(f)) for name, n, p, r, f in columns)

    @property
    def best(self) -> tuple[ClassScore, ...]:
        """The classes that are found most often."""
        return self._by_recall[::-1][:SHOWN]

    @property
    def worst(self) -> tuple[ClassScore, ...]:
        """The classes that are missed most often."""
        return self._by_recall[:SHOWN]

    @property
    def pairs(self) -> tuple[NamedPair, ...]:
        """The most confused pairs, most first."""
        names = self.class_names
        return tuple(NamedPair(names[p.true], names[p.predicted], p.count, p.share) for p in self.record.pairs[:LISTED])

    @property
    def mistakes(self) -> tuple[NamedMistake, ...]:
        """The most confident mistakes, most confident first."""
        names, found = self.class_names, self.record.mistakes[:LISTED]
        return tuple(NamedMistake(m.image, names[m.true], names[m.predicted], m.confidence) for m in found)

    @cached_property
    def _by_recall(self) -> tuple[ClassScore, ...]:
        seen = [score for score in self.classes if not np.isnan(score.recall)]
        return tuple(sorted(seen, key=lambda score: score.recall))


@dataclass(frozen=True)
class Training:
    """One run with the epochs that are spoken of; `slug` stands for it in figure ids and addresses."""

    record: Run
    slug: str

    @property
    def kept(self) -> Epoch:
        """The epoch whose weights were kept."""
        return self.record.kept_epoch

    @property
    def last(self) -> Epoch:
        """The last epoch."""
        return self.record.epochs[-1]

    @property
    def seconds(self) -> float:
        """Time of all epochs together."""
        return sum(epoch.seconds for epoch in self.record.epochs)

    @property
    def hardware(self) -> str:
        """What it ran on, as far as its record tells."""
        told = self.record.environment
        device = told.get("device") or "cpu"
        if device != "cpu":
            return device
        cores = f"{told['cores']} cores" if "cores" in told else ""
        return " of an ".join(filter(None, (cores, told.get("processor", ""))))


@dataclass(frozen=True)
class Portrait:
    """One network with its facts."""

    record: Network
    looks: tuple[Look, ...]  # in the order of the report's photos

    @property
    def id(self) -> str:
        """Its part of addresses and file names."""
        return self.record.id

    @property
    def title(self) -> str:
        """Its name in words."""
        return self.record.title

    @property
    def classes(self) -> int:
        """How many classes it tells apart."""
        return len(self.record.class_names)

    @property
    def chance(self) -> float:
        """Accuracy of guessing."""
        return 1 / self.classes

    @cached_property
    def splits(self) -> tuple[Scores, ...]:
        """Test, validation, training, as far as it was evaluated."""
        evaluation = self.record.evaluation
        if evaluation is None:
            return ()
        names = [*SPLITS, *(split for split in evaluation.splits if split not in SPLITS)]
        found = (evaluation.splits[name] for name in names if name in evaluation.splits)
        return tuple(Scores(split, evaluation.class_names) for split in found)

    @property
    def scores(self) -> Scores | None:
        """The scores to quote: of the test images where there are any."""
        return self.splits[0] if self.splits else None

    @cached_property
    def addresses(self) -> Mapping[str, str]:
        """Class that it was evaluated on -> its part of addresses, the same in whatever order classes stand."""
        names = () if self.record.evaluation is None else self.record.evaluation.class_names
        return dict(zip(names, slugs(names), strict=True))

    @cached_property
    def confusions(self) -> tuple[Mixed, ...]:
        """Which test images were taken for what, the most frequent confusion first."""
        return confusions(self.record)

    @cached_property
    def confusion_ids(self) -> Mapping[tuple[str, str], str]:
        """(true class, answer) -> their address on the page that shows them."""
        return {(one.true, one.predicted): one.id for one in self.confusions}

    @property
    def wrong_images(self) -> int:
        """How many images they are."""
        return sum(len(one.images) for one in self.confusions)

    @property
    def confusions_href(self) -> str:
        """The page that shows them."""
        return f"evaluation-{self.id}-mistakes.html"

    @cached_property
    def trust(self) -> Verdict | None:
        """How far its heat maps can be believed, as far as that was measured."""
        return verdict(self.record)

    @cached_property
    def convolutions(self) -> tuple[Layer, ...]:
        """Its convolutions with their units."""
        return layers(self.record)

    @cached_property
    def made(self) -> tuple[Made, ...]:
        """The images made for its classes."""
        return made(self.record)

    @cached_property
    def runs(self) -> tuple[Training, ...]:
        """The training runs that have epochs."""
        recorded = [run for run in self.record.runs if run.epochs]
        addresses = slugs([run.name for run in recorded])
        return tuple(Training(run, address) for run, address in zip(recorded, addresses, strict=True))

    @property
    def main_run(self) -> Training | None:
        """The run that made the shown weights: the augmented one, else the last."""
        named = [run for run in self.runs if run.record.name == "augmented"]
        found = named or list(self.runs)
        return found[-1] if found else None

    @property
    def judged(self) -> tuple[Look, ...]:
        """The photos that show one of its classes; no test images, for some were chosen because they are mistaken."""
        return tuple(look for look in self.looks if look.right is not None and look.photo.origin != "test")

    @property
    def right(self) -> tuple[Look, ...]:
        """Those of them that it names correctly."""
        return tuple(look for look in self.judged if look.right)

    @property
    def mistaken(self) -> tuple[Look, ...]:
        """Those of them that it names wrongly."""
        return tuple(look for look in self.judged if not look.right)

    @property
    def wrong(self) -> tuple[Look, ...]:
        """All photos whose class it knows and gets wrong, most confident first."""
        missed = [look for look in self.looks if look.right is False]
        return tuple(sorted(missed, key=lambda look: -look.predicted.probability))

    @property
    def failures(self) -> tuple[Look, ...]:
        """The mistakes that the failures page shows."""
        by_id = {look.photo.id: look for look in self.looks}
        return tuple(by_id[photo] for photo in self.record.failures if photo in by_id)

    def look(self, photo: Photo) -> Look | None:
        """What it says about one photo, None where it was not shown it."""
        return next((look for look in self.looks if look.photo.id == photo.id), None)


def portrait(network: Network, photos: Sequence[Photo]) -> Portrait:
    """A network and what it says about each photo that it was shown."""
    shown = [photo for photo in photos if photo.id in network.explanations]
    return Portrait(network, tuple(_look(network, photo) for photo in shown))


def course(report: Report) -> Reference | None:
    """The course's accuracy, measured here where that was recorded, if the report is about the same classes."""
    if set(report.data.class_names) != set(TINY_IMAGENET_30):
        return None
    measured = next((network.benchmark for network in report.networks if network.benchmark), None)
    return Reference(measured.course_accuracy, measured.validation_images) if measured else COURSE


def _look(network: Network, photo: Photo) -> Look:
    explanation = network.explanations[photo.id]
    ranking = [int(index) for index in explanation.ranking]
    label = explanation.label
    return Look(
        photo=photo,
        explanation=explanation,
        top=tuple(_answer(network, explanation, index) for index in ranking[:SHOWN]),
        truth=None if label is None else _answer(network, explanation, label),
        rank=None if label is None else ranking.index(label) + 1,
        stages=tuple(_stage(stage) for stage in explanation.stages),
        other=None if explanation.other is None else _answer(network, explanation, explanation.other),
        contributors=contributors(network, explanation),
        ways=ways(network, explanation),
    )


def _stage(stage: StageMaps) -> Stage:
    channels, height, width = stage.maps.shape
    largest = np.abs(stage.maps).max(axis=(1, 2), initial=0)
    return Stage(
        layer=stage.layer,
        title=stage.title,
        channels=channels,
        height=height,
        width=width,
        maximum=float(largest.max(initial=0)),
        silent=int((largest == 0).sum()),
        active=float((stage.maps > 0).mean()),
        scale=scale_of(stage.maps),
        mean=float(np.abs(stage.maps.mean(axis=(1, 2), dtype=np.float64)).max(initial=0)),
    )


def _answer(network: Network, explanation: Explanation, index: int) -> Answer:
    mapped = index in explanation.targets
    return Answer(
        index=index,
        name=network.class_names[index],
        probability=float(explanation.probabilities[index]),
        logit=float(explanation.logits[index]),
        strength=float(explanation.cam(index).max()) if mapped else None,
    )
