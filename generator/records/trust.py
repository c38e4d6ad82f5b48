"""How far a network's heat maps can be trusted, measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from generator.records.ranges import Count, Measured, Name, Number, Part, Side, Signed


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


FEWEST = 8  # photos: an interval of fewer says nothing
ENOUGH = 20  # photos on which a mean is told from another as evaluate tells it on its 32 images


@dataclass(frozen=True)
class Check:
    """What a build found of one method's maps on photos of its report, each map of the network's own answer."""

    method: Name
    count: Count  # photos
    constant: Count  # maps that are the same in all places
    deletion: Compared  # as `Perturbation.deletion`; the one baseline is "random"
    asked: Count = 0  # photos, the first, on which the method was asked again
    classes: float | None = None  # mean rank correlation with the maps of the least probable class; None: not asked
    weights: float | None = None  # likewise with the maps of the network with random weights

    @property
    def better(self) -> bool:
        """Whether the answer falls faster in the maps' order than in a random one, beyond what chance explains."""
        return self.count >= FEWEST and self.deletion.ahead["random"].high < 0

    @property
    def worse(self) -> bool:
        """Whether it does not: on few photos a mean may be above another by chance, the whole interval has to be."""
        gap = self.deletion.ahead["random"]
        return (gap.low > 0 and self.count >= FEWEST) or (gap.mean >= 0 and self.count >= ENOUGH)


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
    count: Number  # images that were looked at, each with a box that the network is shown where there are boxes
    small: Count  # of them with a box under a quarter of the image
    correct: Count  # of them named correctly
    layer: str  # that the class activation maps are of; "": each method's own choice
    steps: Number  # of deletion and insertion
    blur: Measured  # standard deviation of the blurred image that insertion begins with, as a share of the image's side
    seed: Count
    # All boxes and, where they are not too few, small ones, method by method; (): the images came without boxes.
    localisation: tuple[Localisation, ...]
    perturbation: tuple[Perturbation, ...]
    randomisation: tuple[Randomisation, ...]
    sweep_method: str = ""  # of `sweep`
    sweep: tuple[LayerScore, ...] = ()
    unmeasured: tuple[Name, ...] = ()  # methods that would have cost too much where nobody asked for the measurement

    @property
    def boxes(self) -> bool:
        """Whether the images came with boxes; without them nothing can be said of where the maps point."""
        return bool(self.localisation)
