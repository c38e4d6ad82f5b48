"""What the pages say about the records: names instead of indices, the best and the worst, the first and the last.

Templates and texts format these facts and compute none of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from generator.base.names import addresses, slugs
from generator.records.images import Photo
from generator.records.input import in_pixels
from generator.records.network import Network
from generator.records.scores import FEWEST_FOR_FIVE
from generator.report.evaluation.facts import SPLITS, Scores
from generator.report.evaluation.judged import Row, judged
from generator.report.evaluation.mistakes import Missed, Mixed, confusions, missed, pictures
from generator.report.filters.facts import LayerPage, Made, Selection, layers, made, selection
from generator.report.grad_cam.facts import Look, look_at
from generator.report.overview.reading import confirmed, doubts
from generator.report.plates.numbers import in_colour
from generator.report.plates.wording import colour_of_nothing
from generator.report.training.facts import Training, agreement
from generator.report.trust.checks import Checks, checks
from generator.report.trust.sentences import Verdict, verdict


@dataclass(frozen=True)
class Portrait:
    """One network with its facts."""

    record: Network
    looks: tuple[Look, ...]  # in the order of the report's photos

    @property
    def id(self) -> str:
        """What it is called in report.toml and on the command line."""
        return self.record.id

    @property
    def anchor(self) -> str:
        """Its part of addresses and file names."""
        return self.record.anchor

    @property
    def title(self) -> str:
        """Its name in words."""
        return self.record.title

    @property
    def size(self) -> str:
        """What it is given of a photo, in pixels down and across."""
        high, wide = self.record.input.size
        return f"{high} × {wide}"

    @property
    def pixels(self) -> str:
        """The same, with what comes first where it is no square."""
        return in_pixels(self.record.input.size)

    @property
    def side(self) -> str:
        """The same, shorter where it is a square."""
        high, wide = self.record.input.size
        return str(high) if high == wide else self.size

    @property
    def present(self) -> bool:
        """Whether there is a network to look into; of others only the answers are known."""
        return self.record.present

    @property
    def sealed(self) -> bool:
        """Whether it is here, but as a file that is run without a look inside: it has no layers to show."""
        return self.present and not self.record.summary

    @property
    def blind(self) -> bool:
        """Whether no image here can be shown to it, for it takes other channels or is not here itself."""
        return not self.record.input.takes_photos

    @property
    def broad(self) -> bool:
        """Whether what it is given is so much wider than high that it needs a page's width."""
        high, wide = self.record.input.size
        return wide >= 2 * high

    @property
    def tall(self) -> bool:
        """Whether what it is given is so much higher than wide that it would need more than a window's height."""
        high, wide = self.record.input.size
        return 2 * high >= 3 * wide

    @property
    def nothing(self) -> str:
        """The colour that stands for "nothing" in its input, in a word."""
        return colour_of_nothing(self.record)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Where it answers better when it is read otherwise."""
        return doubts(self.title, self.record.reading)

    @property
    def confirmed(self) -> str:
        """What other readings were tried where none is better."""
        return confirmed(self.title, self.record.reading)

    @property
    def classes(self) -> int:
        """How many classes it tells apart."""
        return len(self.record.class_names)

    @property
    def judged_by(self) -> tuple[Row, ...]:
        """How it was judged: on what, how often, what was chosen on what, how to make it again."""
        return judged(self.record)

    @property
    def many(self) -> bool:
        """Whether they are enough for five answers to be a choice."""
        return self.classes >= FEWEST_FOR_FIVE

    @property
    def chance(self) -> float:
        """Accuracy of guessing."""
        return 1 / self.choices

    @property
    def choices(self) -> int:
        """How many classes its answers are scored among: those of the data set, where it has outputs for more."""
        return len(self.record.evaluation.class_names) if self.record.evaluation else self.classes

    @cached_property
    def splits(self) -> tuple[Scores, ...]:
        """Test, validation, training, as far as it was evaluated: first the part that judges."""
        evaluation = self.record.evaluation
        if evaluation is None:
            return ()
        names = dict.fromkeys([evaluation.judged, *SPLITS, *evaluation.splits])
        found = (evaluation.splits[name] for name in names if name in evaluation.splits)
        return tuple(Scores(split, evaluation.class_names) for split in found)

    @property
    def scores(self) -> Scores | None:
        """The scores to quote: of the test images where there are any."""
        return self.splits[0] if self.splits else None

    @property
    def top5(self) -> float | None:
        """How often the right name is among its first five; None where it has too few classes for that to say much."""
        return self.scores.top5 if self.scores else None

    @property
    def fitted_temperature(self) -> bool:
        """Whether the temperature was fitted, on images other than those that judge."""
        return bool(self.record.evaluation and self.record.evaluation.fitted_temperature)

    @cached_property
    def addresses(self) -> Mapping[str, str]:
        """Class that it was evaluated on -> its part of addresses, the same in whatever order classes stand."""
        names = () if self.record.evaluation is None else self.record.evaluation.class_names
        return dict(zip(names, addresses(names, self.record.own), strict=True))

    @cached_property
    def renamed(self) -> Mapping[str, str]:
        """Output that is shown by another name than its own -> its part of addresses."""
        names, own = self.record.class_names, self.record.own
        return {name: part for name, part in zip(names, addresses(names, own), strict=True) if name in own}

    @cached_property
    def confusions(self) -> tuple[Mixed, ...]:
        """Which test images were taken for what, the most frequent confusion first."""
        return confusions(self.record)

    @cached_property
    def missed(self) -> tuple[Missed, ...]:
        """How many images of which class they are."""
        return missed(self.record)

    @cached_property
    def confusion_ids(self) -> Mapping[tuple[str, str], str]:
        """(true class, answer) -> their address on the page that shows them."""
        return {(one.true, one.predicted): one.id for one in self.confusions}

    @property
    def mistake_sheets(self) -> tuple[str, ...]:
        """The ids of the sheets with their pictures."""
        return self._pictures[0]

    @property
    def mistake_cells(self) -> Mapping[tuple[str, str], str]:
        """(true class, answer) -> where on them the first pictures are, see `pictures`."""
        return self._pictures[1]

    @cached_property
    def _pictures(self) -> tuple[tuple[str, ...], Mapping[tuple[str, str], str]]:
        return pictures(self.confusions)

    @property
    def wrong_images(self) -> int:
        """How many images they are."""
        return sum(len(one.images) for one in self.confusions)

    @property
    def every_mistake(self) -> bool:
        """Whether they are all that it got wrong."""
        return self.scores is not None and self.wrong_images == self.scores.wrong

    @property
    def confusions_href(self) -> str:
        """The page that shows them."""
        return f"evaluation-{self.anchor}-mistakes.html"

    @cached_property
    def trust(self) -> Verdict | None:
        """How far its heat maps can be believed, as far as that was measured."""
        return verdict(self.record, self.method)

    @cached_property
    def checks(self) -> Checks | None:
        """What the build itself found of its heat maps; None where an evaluation measured all of them."""
        return checks(self.record)

    @cached_property
    def layers(self) -> tuple[LayerPage, ...]:
        """Its layers that have pages, with their units."""
        return layers(self.record)

    @property
    def convolutions(self) -> tuple[LayerPage, ...]:
        """Those of them that have weights of their own."""
        return tuple(layer for layer in self.layers if layer.record.weights is not None)

    @property
    def selection(self) -> Selection | None:
        """Which part of it has pages and pictures; None where every convolution has."""
        return selection(self.record)

    @property
    def coloured(self) -> bool:
        """Whether the filters of its first layer are pictures in red, green and blue."""
        return any(in_colour(self.record, layer) for layer in self.record.convolutions[:1])

    @property
    def from_noise(self) -> bool:
        """Whether the weights that its training began with are on record."""
        return 0 in self.record.snapshots

    @cached_property
    def made(self) -> tuple[Made, ...]:
        """The images made for its classes."""
        return made(self.record)

    @cached_property
    def runs(self) -> tuple[Training, ...]:
        """The training runs that have epochs."""
        recorded = [run for run in self.record.runs if run.epochs]
        addresses = slugs([run.name for run in recorded])
        evaluation = self.record.evaluation
        return tuple(
            Training(run, address, agreement(run, evaluation, self.present))
            for run, address in zip(recorded, addresses, strict=True)
        )

    @property
    def recorded(self) -> frozenset[str]:
        """What was recorded of the epochs of any of its runs, by the names of `records.training.Epoch`."""
        return frozenset[str]().union(*(run.recorded for run in self.runs))

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
    def staged(self) -> bool:
        """Whether feature maps of its stages were taken."""
        return any(look.stages for look in self.looks)

    @property
    def mapped(self) -> bool:
        """Whether class activation maps were made of some photo."""
        return any(look.explanation.cams.size for look in self.looks)

    @property
    def method(self) -> str:
        """That made the maps of its classes; "" where there are none."""
        return next((look.explanation.method for look in self.looks if look.explanation.cams.size), "")

    @property
    def compared(self) -> bool:
        """Whether some answer was explained in several ways."""
        return any(look.ways for look in self.looks)

    @property
    def compared_by(self) -> tuple[str, ...]:
        """By which methods."""
        compared = (look.explanation.comparison for look in self.looks)
        return tuple(dict.fromkeys(name for found in compared if found is not None for name in found.maps))

    @property
    def signed(self) -> bool:
        """Whether some of its feature maps hold negative activations, so that their colours have a middle."""
        return any(stage.signed for look in self.looks for stage in look.stages)

    @property
    def faultless(self) -> bool:
        """Whether it named all photos that show one of its classes, of which there are some."""
        return any(look.right for look in self.looks) and not self.wrong

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
    return Portrait(network, tuple(look_at(network, photo) for photo in shown))
