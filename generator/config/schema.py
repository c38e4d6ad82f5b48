"""What report.toml may say, as frozen records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal, NoReturn

from generator.config.languages import RIGHT_TO_LEFT, RIGHT_TO_LEFT_LANGUAGES
from generator.records.input import ChannelOrder, Crop, Interpolation

Order = Literal["strings", "natural"]

Kept = Literal["best", "last"]  # words for the epoch whose weights a network has


@dataclass(frozen=True)
class Link:
    """A link that the report shows beside its author."""

    title: str
    url: str


@dataclass(frozen=True)
class ReportConfig:
    """[report]: the words around the figures."""

    title: str = "What a small network sees"
    subtitle: str = ""
    author: str = ""
    course: str = ""
    institution: str = ""
    date: str = ""  # YYYY-MM-DD, or "" for none
    language: str = "en"
    links: tuple[Link, ...] = ()
    languages: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    base_url: str = ""  # ASCII, as it is sent, without a slash at its end
    command: str = ""  # that makes the report without a report.toml; "": there is one

    @property
    def direction(self) -> str:
        """Which way the report's words run, by their script: "rtl" or "ltr"."""
        language, *more = self.language.lower().split("-")
        script = next((part for part in more if len(part) == 4 and part.isalpha()), "")
        rtl = script in RIGHT_TO_LEFT if script else language in RIGHT_TO_LEFT_LANGUAGES
        return "rtl" if rtl else "ltr"


@dataclass(frozen=True)
class DataConfig:
    """[data]: the data set and the classes taken from it; a name of a set of classes, or the classes themselves."""

    root: Path | None = None
    classes: str | tuple[str, ...] | None = None  # None: the thirty of Tiny ImageNet, all of any other
    order: Order = "strings"  # in which classes stand that are told by names
    label: str = ""  # which of several labels: a list's column, "coarse" of CIFAR-100; "": the usual one
    name: str = ""  # "": as the data set's folder says
    names: Mapping[str, str] = field(default_factory=dict)  # what readers see in place of a class's own name
    licence: str = ""


@dataclass(frozen=True)
class InputConfig:
    """[models.<id>] input: how the network takes an image, as far as that is said; None: as its weights or kind say."""

    size: tuple[int, int] | None = None  # (H, W)
    resize: int | None = None
    crop: Crop | None = None
    interpolation: Interpolation | None = None
    channels: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    range: float | None = None
    order: ChannelOrder | None = None

    @property
    def given(self) -> dict[str, object]:
        """What was said, by the names of `records.input.Input`."""
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name)) is not None}


@dataclass(frozen=True)
class Asked:
    """What is to be explained beside a network's answer: the logits of some classes, by name, minus those of others."""

    of: tuple[str, ...]  # (): what speaks against the others
    against: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelConfig:
    """[models.<id>]: one network of the report."""

    id: str  # in addresses, file names and on the command line
    # "bundled": in the models' folders; "imagenet": as the architecture's host publishes them; "auto": those if they
    # can be had, else bundled; "random": none, the network as it starts; "memory": those of a network in memory.
    weights: Path | Literal["auto", "bundled", "imagenet", "random", "memory"] = "bundled"
    weights_key: str = ""  # under which they stand in their file; "": under the usual ones
    # A file of its answers, of a network that is not here itself: then nothing is said of weights, input and layers.
    predictions: Path | None = None
    title: str = ""  # "": the architecture's
    # "SmallCNN", "AlexNet", "package.module:name", "file.py:Name", "timm:NAME", "hf:FOLDER", or a file of a whole
    # network; "": as the weights say.
    architecture: str = ""
    arguments: Mapping[str, object] = field(default_factory=dict)  # of the constructor, beside the number of classes
    classes: tuple[str, ...] = ()  # what the outputs stand for, in order; (): as the weights say, else the report's
    input: InputConfig = InputConfig()
    # Whether each class has a probability of its own, the sigmoid of its logit; None: where it ends in sigmoids.
    multi_label: bool | None = None
    layer: str = ""  # that class activation maps look at; "": chosen by the program
    other_class: tuple[Asked, ...] = ()  # what to explain beside the answer
    logs: tuple[Path, ...] = ()  # of trainings by other programs: files, and folders in which one is looked for
    # The epoch whose weights these are, as the log counts them; "best": that of the highest validation accuracy; None:
    # as the weights say, else it is not known.
    kept: int | Kept | None = None
    show: tuple[str, ...] = ()  # the layers whose channels have pages; (): chosen by the program
    channels: int | None = None  # that a layer's page shows at most; None: as the program chooses
    methods: tuple[str, ...] = ()  # of explaining, of [explain]; (): chosen by the program
    said_in: str = "report.toml"  # where all of this stands


@dataclass(frozen=True)
class ModelsConfig:
    """[models]: where the models' folders are, and each network of the report in the order of the file.

    What is trained is written below `folder`. A network without weights there is read from `fallback`, where
    the models that come with the program are; None: from nowhere else.
    """

    folder: Path
    fallback: Path | None = None
    networks: tuple[ModelConfig, ...] = ()

    def __getitem__(self, name: str) -> ModelConfig:
        """The network of that id.

        Raises:
            KeyError: where the report has none.
        """
        return next((network for network in self.networks if network.id == name), None) or _absent(name)

    @property
    def ids(self) -> tuple[str, ...]:
        """The networks' ids, in their order."""
        return tuple(network.id for network in self.networks)

    def read(self, name: str) -> Path:
        """The folder that a network is read from."""
        own = self.folder / name
        # A folder may hold the records of a side run alone, or a run that is under way.
        trained = any(own.glob("weights.safetensors*"))
        return own if trained or self.fallback is None else self.fallback / name


def _absent(name: str) -> NoReturn:
    raise KeyError(name)


@dataclass(frozen=True)
class SamplePhoto:
    """[[samples.photos]]: a photo of one's own; the file is there. `label` is the class that it shows, "" for none."""

    file: Path
    title: str = ""
    label: str = ""
    author: str = ""
    origin: str = ""
    licence: str = ""
    url: str = ""


TEST_IMAGES = 12  # that a report shows which says nothing of them, and shows no bundled photos


@dataclass(frozen=True)
class SamplesConfig:
    """[samples]: the photos that the networks are shown."""

    bundled: bool | None = None  # None: those of the report's classes, and all of them in a report of Tiny ImageNet
    photos: tuple[SamplePhoto, ...] = ()
    test_images: int | None = None  # None: a few beside bundled photos, else TEST_IMAGES


@dataclass(frozen=True)
class Config:
    """All of report.toml. `path` is the file that was read, None for the one that comes with the program."""

    path: Path | None
    folder: Path  # what the file's relative paths are relative to
    report: ReportConfig
    data: DataConfig
    models: ModelsConfig
    samples: SamplesConfig
