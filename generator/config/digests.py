"""A digest of everything that a build reads, found without torch: the same digest means the same site.

The program's own code belongs to it, so that no result of an older version is ever shown as one of this.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from generator.base import clutter
from generator.base.digest import digest, of_file
from generator.base.environment import versions
from generator.config import places
from generator.config.places import RECORDS, bundled, code_files, log_files, published_weights
from generator.config.schema import Config

SCORES = "evaluation.json"
RUN = (".html", ".css", ".js")  # templates, styles and scripts


def code() -> str:
    """Digest of the program's own Python files."""
    return digest(*_contents(Path(__file__).parents[1], "*.py"))


def of_build(config: Config, data: str, templates: Sequence[Path], content: Path) -> str:
    """Digest of a build's inputs.

    Args:
        data: fingerprint of the data set, "" without one.
        templates, content: the folders that the pages are made from.
    """
    return digest(code(), config.report, of_words(templates, content), of_observed(config, data))


def of_words(templates: Sequence[Path], content: Path) -> str:
    """Digest of the folders that the pages are made from, as `of_build`."""
    return digest([part for folder in (*templates, content) for part in _contents(folder)])


def of_observed(config: Config, data: str, *, scores: bool = True) -> str:
    """Digest of what a build reads of networks, data and photos: of all but the words around them, and the code.

    Args:
        data: fingerprint of the data set, "" without one.
        scores: whether the files are among it that say what was measured.
    """
    networks = config.models.networks
    names = [name for name in RECORDS if scores or name != SCORES]
    records = [config.models.read(network.id) / name for network in networks for name in names]
    if scores:  # of weights from elsewhere, see `catalogue.Loaded`
        records += [
            file for network in networks for file in sorted(config.models.folder.glob(f"{network.id}-*/{SCORES}"))
        ]
    foreign = [network.weights for network in networks if isinstance(network.weights, Path)]
    foreign += [network.predictions for network in networks if network.predictions]
    foreign += [file for network in networks for file in code_files(network.architecture, config.folder)]
    logs = [file for network in networks for path in network.logs for file in log_files(path)]
    photos = [photo.file for photo in config.samples.photos]
    return digest(
        sorted(versions().items()),
        _packages(config),
        replace(config.data, root=None),
        config.models,
        config.samples,
        data,
        *_contents(places.folders(config)[1] / "samples"),
        *(part for file in (*records, *foreign, *photos) for part in (file.name, _sha256(file))),
        *(part for file in logs for part in (str(file), _sha256(file))),  # where it lies is said on the page
        # Published weights are verified when they are loaded; here it is enough which are there.
        _published() if any(network.weights in ("auto", "imagenet") for network in networks) else (),
    )


def _packages(config: Config) -> dict[str, str]:
    """The versions of the packages that make networks and that few reports need."""
    prefixes = {network.architecture.partition(":")[0] for network in config.models.networks}
    names = {"timm"} & prefixes | ({"timm", "transformers"} if "hf" in prefixes else set())
    return {name: version(name) for name in sorted(names) if find_spec(name)}


def _published() -> tuple[tuple[str, int], ...]:
    """Name and size of each file of weights that torch keeps."""
    folder = published_weights()
    try:
        return tuple(sorted((file.name, file.stat().st_size) for file in folder.glob("*.pth")))
    except OSError:
        return ()


def of_report(config: Config) -> str:
    """Digest of what report.toml says: without base_url, which --base-url may replace, and wherever its folder lies."""
    said = (
        asdict(replace(config.report, base_url="")),
        asdict(replace(config.data, root=None)),
        asdict(replace(config.models, fallback=None)),
        asdict(config.samples),
    )

    def place(path: Path) -> str:
        return str(path.relative_to(config.folder) if path.is_relative_to(config.folder) else path)

    return digest(json.dumps(said, default=place))


def own_code(config: Config) -> Path | None:
    """The folder of templates beside report.toml, None where it has none: they are run, unlike all else there."""
    folder = config.folder / "templates"
    own = folder.is_dir() and not folder.samefile(bundled("templates"))
    return folder if own and any(file.suffix in RUN for file in folder.rglob("*")) else None


def _contents(folder: Path, pattern: str = "*") -> Iterator[str]:
    """Relative path and digest of each file below a folder, in order."""
    for file in clutter.files(folder):
        if file.match(pattern):
            yield file.relative_to(folder).as_posix()
            yield _sha256(file)


def _sha256(file: Path) -> str:
    """ "" for what is no file that can be read: whoever reads it for what it holds says what is wrong with it."""
    try:
        if not file.is_file():  # to read a pipe or a device may take for ever
            return ""
        return of_file(file)
    except OSError:
        return ""
