"""What report.toml may say, as frozen records."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from generator.config.languages import RIGHT_TO_LEFT, RIGHT_TO_LEFT_LANGUAGES


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
    classes: str | tuple[str, ...] = "TinyImageNet30"


@dataclass(frozen=True)
class ModelConfig:
    """[models.<name>]: one network's weights and the layer that Grad-CAM looks at ("": chosen by the program)."""

    weights: Path | Literal["auto", "bundled", "imagenet"]
    layer: str = ""
    other_class: str = ""  # a class to explain beside the predicted one, "" for none


@dataclass(frozen=True)
class ModelsConfig:
    """[models]: where the models' folders are, and each network of the report.

    What is trained is written below `folder`. A network without weights there is read from `fallback`, where
    the models that come with the program are; None: from nowhere else.
    """

    folder: Path
    fallback: Path | None = None
    cnn: ModelConfig = field(default_factory=lambda: ModelConfig("bundled"))
    alexnet: ModelConfig = field(default_factory=lambda: ModelConfig("auto"))

    def read(self, name: str) -> Path:
        """The folder that a network is read from."""
        own = self.folder / name
        # A folder may hold the records of a side run alone, or a run that is under way.
        trained = any(own.glob("weights.safetensors*"))
        return own if trained or self.fallback is None else self.fallback / name


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


@dataclass(frozen=True)
class SamplesConfig:
    """[samples]: the photos that the networks are shown."""

    bundled: bool = True
    photos: tuple[SamplePhoto, ...] = ()
    test_images: int = 4


@dataclass(frozen=True)
class Config:
    """All of report.toml. `path` is the file that was read, None for the one that comes with the program."""

    path: Path | None
    folder: Path  # what the file's relative paths are relative to
    report: ReportConfig
    data: DataConfig
    models: ModelsConfig
    samples: SamplesConfig
