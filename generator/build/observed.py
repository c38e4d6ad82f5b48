"""What a report shows of its networks, as records: data, networks, scores, explanations. The side of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from generator.base import environment, terminal
from generator.base.code import code_of
from generator.base.errors import PROGRAM, InputError, failure
from generator.build import DEVICE, LOADING, LOOKING
from generator.cache import Cache
from generator.config import places
from generator.config.schema import Config, ModelConfig
from generator.data import decoded, download, layouts, predictions, samples
from generator.data.classes import Classes, display_names, of_tiny_imagenet, shown_names, without_data
from generator.data.dataset import DataSet
from generator.data.naming import some
from generator.data.predictions import Predictions
from generator.evaluation import reading, trust
from generator.evaluation.checks import checks_of, map_checks
from generator.evaluation.evaluation import brief_bars, evaluate_model, evaluate_predictions, measured
from generator.inspection import comparison, layers, patches, prototypes, selection, soundness
from generator.inspection.layers import NOT_ASKED, Asked
from generator.inspection.network import network_record, predictions_record
from generator.inspection.patches import layer_patches, strongest_patches
from generator.inspection.photo import (
    Posed,
    compared_photos,
    explained_in_every_way,
    explanation,
    photo_arrays,
    photos_arrays,
)
from generator.live import export
from generator.networks import catalogue, devices
from generator.networks.folder import require_records
from generator.networks.loaded import Loaded
from generator.records.displayed import displayed
from generator.records.images import Arrays, Photo
from generator.records.live import Live
from generator.records.network import ClassImages, Examined, Explanation, LayerPatches, Network
from generator.records.reading import Reading
from generator.records.report import Report
from generator.records.scores import Evaluation
from generator.records.training import Run
from generator.records.trust import Check
from generator.report.anchors import anchored
from generator.report.overview.reading import doubts
from generator.training import logs, run

Load = Callable[[ModelConfig, DataSet], Loaded]  # a network that is in memory, as was said of it, for a data set


Made = TypeVar("Made")
# What the stages of a build cost, about, before anything is measured: multiply-accumulates a second of two cores, and
# passes by which all methods explain a photo.
RATE, PASSES = 1e11, 400
READING = 5e-4  # seconds of an image
EXPLAINING, CHANNELS = "{}: explaining", "{}: what its channels and classes look like"
DRAFT = f"This is a draft, made in little time. It leaves out: {{}}. `{PROGRAM} build` without --draft makes them, too."
OTHERS = (
    "It has {:,} outputs, of which {:,} are classes of the data set: its scores are of these alone, as if there were "
    "no others. The evaluation page also says how many answers are right where all of them compete."
)


class Observed(NamedTuple):
    """What a build found."""

    report: Report
    told: tuple[str, ...]  # lines that were said and are true of every build of the same inputs
    lost: tuple[str, ...]  # a sentence for each part that failed


@dataclass(frozen=True)
class Site:
    """What one build starts from."""

    config: Config
    data: DataSet | None
    classes: Classes
    results: Cache
    decoded: Path  # what was decoded of data sets
    offline: bool
    in_memory: Mapping[str, Load]  # by id
    told: list[str] = field(default_factory=list)  # what was said and is true of every build of the same inputs
    lost: list[str] = field(default_factory=list)  # a sentence for each part that failed
    draft: bool = False  # what takes long and is not known yet is left out
    device: devices.Device = devices.CPU  # where networks run
    left: dict[str, None] = field(default_factory=dict)  # what a draft has left out, in order

    def key(self, stage: str, maker: Callable[..., object], *parts: object) -> str:
        """The address of what a function makes: of its inputs, of the code that it depends on, and of the device."""
        return self.results.key(stage, 1, code_of(maker), devices.named(self.device), *parts)

    def tell(self, line: str) -> None:
        """Say a line, and say it again where the same is built anew."""
        self.told.append(line)
        terminal.say(line)

    def leaves(self, what: str, known: bool) -> bool:
        """Whether a draft leaves a part out, which is noted; what is known already costs nothing."""
        if self.draft and not known:
            self.left[what] = None
        return self.draft and not known

    def spared(self, what: str, make: Callable[[], Made], without: Made) -> Made:
        """What a function makes that a report can do without; what is said of it where making it fails."""
        try:
            return make()
        except InputError:  # which the user can mend
            raise
        except Exception as error:  # noqa: BLE001 - networks and images of any kind: a report without it is still one
            self.lost.append(f"{what} could not be made and is left out: {failure(error)}.")
            terminal.say(self.lost[-1])
            return without

    @contextmanager
    def running(self, loaded: Loaded) -> Iterator[Loaded]:
        """The network where networks run; then it makes room for the next one, for a GPU may not hold all of them."""
        try:
            yield loaded.on(self.device)
        finally:
            loaded.on(devices.CPU)


def observe(
    config: Config,
    data: DataSet | None,
    cache: Path,
    results: Cache,
    *,
    offline: bool = False,
    draft: bool = False,
    device: str = devices.AUTO,
    in_memory: Mapping[str, Load] | None = None,
) -> Observed:
    """Look at each network of the report, all that takes long from the cache where it is known.

    Args:
        data: the data set as `decoded.whole` gives it, None where there is none.
        cache: folder for decoded images, those of `data` below it.
        draft: leave out what takes long and is not known yet.
        device: where networks run, see `devices.chosen`.
        in_memory: the networks that no file holds, by id; with them there is a data set.
    Raises:
        InputError: for anything that the user can mend.
    """
    _, content = places.folders(config)
    classes = data.classes if data else without_data(config.data.classes)
    site = Site(
        config,
        data,
        classes,
        results,
        cache / "data",
        offline,
        in_memory or {},
        draft=draft,
        device=devices.chosen(device),
    )
    terminal.say(devices.told(site.device))
    with devices.precise(site.device):
        return _report(site, content)


def _report(site: Site, content: Path) -> Observed:
    """The records of all networks, and of what they were shown."""
    config, data, classes = site.config, site.data, site.classes
    answered = {one.id: _answered(site, one) for one in config.models.networks if one.predictions}
    obtained = [_obtain(site, wanted) for wanted in config.models.networks if not wanted.predictions]
    outputs = [one.class_names for one, _ in obtained]
    names = display_names(classes, config.data.names, outputs)
    loaded = [replace(one, shown=names) for one, _ in obtained]
    read = {one.id: tried for one, tried in obtained}
    for one in loaded:  # a layer that a network does not have is told before minutes are spent
        layers.shown(one)
        one.others  # noqa: B018 - nor a class
    logged = {one.id: _logged(site, one.wanted, one.title, one.epoch) for one in loaded}
    logged |= {name: _logged(site, one.wanted, one.title, None) for name, (one, _) in answered.items()}
    scored = {one.id: _evaluation(site, one) for one in loaded}
    evaluations = {name: answered[name][1] if name in answered else scored[name] for name in config.models.ids}
    photos, failures = selection.photos(config, content, data, classes, evaluations, names)
    if large := selection.too_large(loaded, photos, config):  # while nothing is lost by asking for less
        terminal.say(large)
    examined = selection.examined(data, photos)
    terminal.progress().divide(LOOKING, {title: seconds for one in loaded for title, seconds in _stages(one, photos)})
    observed: dict[str, Network] = {}
    for one in loaded:
        with site.running(one) as there:
            observed[one.id] = _observe(
                site, there, photos, failures[one.id], evaluations[one.id], examined, logged[one.id]
            )
    for name, (found, evaluation) in answered.items():
        assert data is not None
        observed[name] = predictions_record(found, data, photos, failures[name], evaluation, logged[name])
    report = Report(
        networks=anchored(
            [
                replace(network, mistaken=selection.mistaken(data, network.evaluation), reading=read.get(network.id))
                for network in (observed[name] for name in config.models.ids)
            ]
        ),
        photos=photos,
        data=selection.summary(
            data or config.data,
            classes,
            next((found for found in evaluations.values() if found), None),
            photos,
            selection.augmentation_of(loaded),
        ),
        environment={**environment.versions(), DEVICE: devices.named(site.device)},
        licences=samples.licence_texts(content / "samples")
        if any(photo.origin == "bundled" for photo in photos)
        else {},
        live=_live(site, loaded, photos),
        notes=(DRAFT.format("; ".join(site.left)),) if site.left else (),
    )
    return Observed(displayed(report, names), tuple(site.told), tuple(site.lost))


def _obtain(site: Site, wanted: ModelConfig) -> tuple[Loaded, Reading | None]:
    """The network, loaded, and how else it could be read; trained and evaluated first where there is none yet."""
    size = site.data.words.alike if site.data else None
    in_memory = site.in_memory.get(wanted.id)

    def load(wanted: ModelConfig, say: Callable[[str], None] = lambda line: None) -> Loaded | None:
        if in_memory and site.data:
            return in_memory(wanted, site.data).on(site.device)
        loaded = catalogue.load(wanted, site.config, site.classes, size=size, offline=site.offline, say=say)
        return loaded.on(site.device) if loaded else None

    found = load(wanted, terminal.say)
    read: Reading | None = None
    if found is None:
        folder = site.config.models.folder / wanted.id
        architecture = catalogue.architecture_of(wanted, site.config.folder)
        data = site.data or _downloaded(site, folder)
        terminal.say(f"{wanted.title or architecture.title}: {folder} holds no weights, so they are trained now")
        run.train_model(wanted, architecture, "default", data, folder, site.decoded, resume=True, device=site.device)
        names = shown_names(site.classes, site.config.data.names)
        found = run.trained(wanted, folder, site.classes, site.config.folder).on(site.device)
        found = replace(found, shown=names)
        evaluate_model(found, data)
        prototypes.keep(found)
    else:
        found, read = reading.settled(found, site.data, partial(_again, load), partial(_known, site))
    if lacking := found.without_output(site.classes) if site.data else ():
        found = replace(found, notes=(*found.notes, _not_scored(wanted, lacking, len(site.classes))))
    elif site.data and len(found.class_names) > len(site.classes):
        found = replace(found, notes=(*found.notes, OTHERS.format(len(found.class_names), len(site.classes))))
    for line in (*found.notes, found.source):
        site.tell(f"{found.title}: {line}")
    for line in doubts(found.title, read):
        site.tell(line)
    return found.on(devices.CPU), read


def _answered(site: Site, wanted: ModelConfig) -> tuple[Predictions, Evaluation]:
    """The answers of a network that is not here itself, and its scores."""
    found = predictions.read(wanted, site.data)
    for line in (*found.notes, found.source):
        site.tell(f"{found.title}: {line}")
    assert site.data is not None
    return found, evaluate_predictions(found, site.data)


def _not_scored(wanted: ModelConfig, lacking: Sequence[str], classes: int) -> str:
    """What readers should know of a network whose outputs are not all of the data set's classes."""
    count = "any" if len(lacking) == classes else f"{len(lacking):,}"
    return (
        f"It is not scored, for it has no output for {count} of the data set's {classes:,} classes "
        f"({some(lacking, 3)}); where its outputs are called otherwise, [models.{wanted.id}] classes says so."
    )


def _again(load: Callable[[ModelConfig], Loaded | None], wanted: ModelConfig) -> Loaded:
    found = load(wanted)
    assert found is not None
    return found


def _known(site: Site, loaded: Loaded, trial: Callable[[], Arrays]) -> Arrays:
    """What was found of a network's readings on these images before, else what the trial finds."""
    assert site.data is not None
    key = site.key("reading", reading.settled, loaded.digest, site.data.digest)
    if not site.results.holds(key):
        longer = reading.cost(loaded, site.data) / RATE
        terminal.progress().expect(LOADING, terminal.progress().expected.get(LOADING, 0.0) + longer)
    return site.results.arrays(key, trial)


def _downloaded(site: Site, folder: Path) -> DataSet:
    if site.offline:
        raise InputError(
            f"{folder}: expected weights, found none, and to train them a data set is needed: "
            "give one with --data DIR, or build without --offline"
        )
    if not of_tiny_imagenet(site.classes):
        raise InputError(
            f"{folder}: expected weights, found none, and to train them a data set is needed: give one with --data DIR"
        )
    root = download.fetch(site.decoded.parent / places.DOWNLOADED, site.classes)
    return decoded.whole(layouts.opened(root, site.config.data), site.decoded)


def _to_score(loaded: Loaded, data: DataSet | None) -> bool:
    """Whether a network can be scored; of one that has learnt nothing, nothing is measured."""
    if data is None or data.judged is None or loaded.wanted.weights == "random" or not loaded.input.takes_photos:
        return False
    return not loaded.without_output(data.classes)  # else as is told of it


def _scored(loaded: Loaded, data: DataSet | None) -> Evaluation:
    """What is measured now of a network of which nothing is known yet."""
    assert data is not None
    terminal.say(f"{loaded.title}: it was not scored yet, which is done now")
    return evaluate_model(loaded, data, brief=True)


def _logged(site: Site, wanted: ModelConfig, title: str, epoch: int | None) -> tuple[Run, ...]:
    """The runs that logs of other programs tell of, and on the terminal what was read as what.

    Args:
        epoch: after which the network's weights were saved, None where that is not known.
    """

    def say(line: str) -> None:
        site.tell(f"{title}: {line}")

    runs = logs.read(wanted, site.config.folder, epoch, say)
    for line in (line for found in runs for line in logs.told(found)):
        say(line)
    return runs


def _evaluation(site: Site, loaded: Loaded) -> Evaluation | None:
    """What was measured of these very weights on these classes; another evaluation is said to be one and left out."""
    found = measured(loaded)
    to_score = (found is None or found.weights_digest != loaded.digest) and _to_score(loaded, site.data)
    if to_score and not site.leaves(f"the scores of {loaded.title}", known=False):
        assert site.data is not None
        stages = dict(_scoring(loaded, site.data))
        terminal.progress().divide(LOOKING, {**stages, LOOKING: 20.0 * len(site.config.models.networks)})
        with site.running(loaded) as there:
            found = _scored(there, site.data)
    if loaded.folder is not None:  # what its pages tell later is looked at before minutes are spent
        require_records(loaded.folder)
    if found is None:
        return None
    others = "weights" if found.weights_digest != loaded.digest else "classes"
    # Without the data set a class of Tiny ImageNet may be called otherwise, by its wnid.
    classes = site.classes
    same = found.class_names == classes.names or (of_tiny_imagenet(classes) and len(found.class_names) == len(classes))
    if others == "classes" and same:
        return found
    site.tell(
        f"{loaded.title}: evaluation.json is of other {others} and is left out; make it again with: "
        f"{PROGRAM} evaluate {loaded.id}"
    )
    return None


def _scoring(loaded: Loaded, data: DataSet) -> Iterator[tuple[str, float]]:
    """The stages of scoring one network, called as their bars are, and about how many seconds each takes."""
    for title, images in brief_bars(loaded, data).items():
        yield title, 1 + images * (READING + loaded.once / RATE) if images else 2 + trust.BUDGET / RATE


def _stages(loaded: Loaded, photos: Sequence[Photo]) -> Iterator[tuple[str, float]]:
    """The stages of looking at one network, and about how many seconds each takes."""
    once, compared = loaded.once / RATE, explained_in_every_way(photos, PASSES * loaded.once)
    yield EXPLAINING.format(loaded.title), 1 + once * (PASSES * compared + 4 * len(photos))
    yield CHANNELS.format(loaded.title), 2 + once * 4 * len(photos)


def _observe(
    site: Site,
    loaded: Loaded,
    photos: Sequence[Photo],
    failures: Sequence[str],
    evaluation: Evaluation | None,
    examined: Examined | None,
    logged: Sequence[Run],
) -> Network:
    """One network with the explanation of each photo, from the cache where they are known."""
    if not loaded.input.takes_photos:  # as its notes say
        photos, examined = (), None
    others, asked_all = loaded.others, compared_photos(loaded, photos)
    # Each method is tried on the network, which a build that finds all the rest in the cache can do without.
    key = site.key("methods", network_record, loaded.digest, loaded.wanted.layer, loaded.wanted.methods)
    able, why_not = site.results.json(key, lambda: [list(loaded.methods[0]), dict(loaded.methods[1])])
    loaded.recall(able, why_not)
    first, _ = soundness.first(able, soundness.measured(evaluation, loaded.layer))

    on_record = comparison.kept(loaded, able) if asked_all else {}

    def keyed(photo: Photo, label: int | None, compared: bool) -> str:
        wanted, known = loaded.wanted, on_record.get(photo.digest) if compared else None
        how = (label, others, wanted.layer, compared, wanted.methods, first, known)
        return site.key("explanation", photo_arrays, loaded.digest, photo.digest, *how)

    explanations: dict[str, Explanation] = {}
    stage = EXPLAINING.format(loaded.title)
    labels = {one.id: None if one.label is None else _output(loaded, site.classes, one.label) for one in photos}
    ways: dict[bool, list[tuple[Photo, str]]] = {True: [], False: []}  # by whether they are compared, with their keys
    for photo in photos:
        compared, label = photo.id in asked_all, labels[photo.id]
        key = keyed(photo, label, compared)
        if compared and site.leaves(f"the comparison of methods and layers on {loaded.title}", site.results.holds(key)):
            key, compared = keyed(photo, label, False), False
        ways[compared].append((photo, key))
    terminal.progress().begin(stage)
    with terminal.bar(stage, len(photos), "photos") as bar:
        for compared, group in ways.items():

            def look(
                numbers: Sequence[int], group: list[tuple[Photo, str]] = group, compared: bool = compared
            ) -> list[Arrays]:
                posed = [Posed(group[number][0], labels[group[number][0].id]) for number in numbers]
                return [*photos_arrays(loaded, posed, others, compared, first, on_record)]

            known = site.results.each([key for _, key in group], look, comparison.TOGETHER)
            for (photo, _), arrays in zip(group, known, strict=True):
                explanations[photo.id] = explanation(
                    photo.id, labels[photo.id], others, arrays, apart=loaded.multi_label
                )
                bar.advance()
    explanations = {photo.id: explanations[photo.id] for photo in photos}
    asked, strongest, made = _sought(site, loaded, photos, examined)
    fooled = [one.photo for one in explanations.values() if one.label not in (None, one.predicted)]
    return network_record(
        loaded,
        explanations,
        selection.surest([*failures, *fooled], explanations),
        evaluation,
        examined,
        strongest,
        made,
        logged,
        asked,
        (able, why_not),
        _checks(site, loaded, [photo for photo in photos if photo.id in asked_all], explanations, evaluation),
    )


def _checks(
    site: Site,
    loaded: Loaded,
    photos: Sequence[Photo],
    explanations: Mapping[str, Explanation],
    evaluation: Evaluation | None,
) -> tuple[Check, ...]:
    """What is found of the maps by methods that no evaluation measured, on the photos that all methods explained."""
    known = soundness.measured(evaluation, loaded.layer)
    measured = {one.method for one in known.perturbation} if known else set()
    ways = {photo.id: looked.maps for photo in photos if (looked := explanations[photo.id].comparison)}
    asked = [name for name in next(iter(ways.values()), {}) if name not in measured]
    if not asked:
        return ()
    without: Arrays = {}
    with terminal.bar(f"{loaded.title}: checking its maps", 1, "part") as bar:
        key = site.key("checks", map_checks, loaded.digest, loaded.layer, [photo.digest for photo in photos], asked)
        look = partial(map_checks, loaded, [photo for photo in photos if photo.id in ways], ways, asked)
        found = site.spared(f"{loaded.title}: the checks of its maps", partial(site.results.arrays, key, look), without)
        bar.advance()
    return checks_of(found)


def _sought(
    site: Site, loaded: Loaded, photos: Sequence[Photo], examined: Examined | None
) -> tuple[Asked, tuple[LayerPatches, ...], ClassImages | None]:
    """What channels give, their strongest patches and each class's image, from the cache where they are known."""
    shown = layers.shown(loaded)
    terminal.progress().begin(CHANNELS.format(loaded.title))
    with terminal.bar(CHANNELS.format(loaded.title), 3, "parts") as bar:
        asked = _asked(site, loaded, photos, examined)
        bar.advance()
        said = f"the strongest patches of the channels of {loaded.title}"
        key = site.key("patches", strongest_patches, loaded.digest, loaded.layer, shown, examined and examined.digest)
        found = patches.kept(loaded, shown, examined) if examined is not None and examined.data_set else None
        if examined is not None and found is None and not site.leaves(said, site.results.holds(key)):
            seek = partial(strongest_patches, loaded, examined.pictures, shown)
            found = site.spared(
                f"{loaded.title}: the strongest patches of its channels", partial(site.results.arrays, key, seek), None
            )
        strongest = layer_patches(found) if found is not None else ()
        bar.advance()
        on_record = prototypes.kept(loaded)
        recorded = (on_record.seed, on_record.steps, on_record.images) if on_record else None
        key = site.key("class images", prototypes.made_for_classes, loaded.digest, recorded)
        make = partial(site.results.arrays, key, partial(prototypes.made_for_classes, loaded, on_record))
        known = on_record is not None or site.results.holds(key) or not prototypes.makes(loaded)
        made = None
        if not site.leaves(f"the images of the classes of {loaded.title}", known):
            made = prototypes.class_images_of(site.spared(f"{loaded.title}: the images of its classes", make, {}))
        bar.advance()
    return asked, strongest, made


def _asked(site: Site, loaded: Loaded, photos: Sequence[Photo], examined: Examined | None) -> Asked:
    """What the channels of a network gave to its answers, where a selection of them is shown."""
    if not layers.selected(loaded):
        return NOT_ASKED
    said, pictures = layers.asked_on(photos, examined)
    of = [photo.digest for photo in photos] or (examined.digest if examined else "")
    key = site.key("contributions", layers.contributions, loaded.digest, loaded.layer, layers.shown(loaded), of)
    return Asked(said, site.results.arrays(key, partial(layers.contributions, loaded, pictures)))


def _live(site: Site, networks: Sequence[Loaded], photos: Sequence[Photo]) -> Live | None:
    """The first network that a page can run; where none can, that is said and the report does without the page."""
    for loaded in networks:
        key = site.key("live", export.tried, loaded.digest, [photo.digest for photo in photos], loaded.wanted.layer)
        tried = partial(site.results.arrays, key, partial(export.tried, loaded, photos))
        arrays = site.spared(f"{loaded.title}: the page to try it on", tried, None)
        if arrays is None:
            continue
        found = export.recorded(arrays)
        if not isinstance(found, str):
            return found
        site.tell(f"{loaded.title}: visitors cannot try it on the page, for the network {found}")
    return None


def _output(loaded: Loaded, classes: Classes, label: int) -> int | None:
    """The network's output for a class of the report, None where it has none."""
    return loaded.output_of(classes.keys[label], (classes.names[label],))
