"""`generator.report(...)`: a report of a network that is in memory, from a notebook or at the end of a train.py."""

from __future__ import annotations

import builtins
import importlib
import json
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generator.base import files, terminal
from generator.base.digest import digest
from generator.base.errors import InputError, of_own_code, raised
from generator.base.installation import check_pair, import_matplotlib
from generator.base.names import UNNAMED
from generator.commands.own import toml
from generator.config import digests, places, reading
from generator.config.schema import TEST_IMAGES, Config, DataConfig, InputConfig, ModelConfig
from generator.data import in_memory, layouts, lists, rows, steps
from generator.data.dataset import TEST as JUDGING
from generator.data.dataset import TRAIN as FITTING
from generator.data.dataset import DataSet, Part, Role
from generator.data.naming import require_name
from generator.data.parts import OWN_SPLIT, came_as, part_of
from generator.publishing import check, published, writer
from generator.records.network import Fact
from generator.training.logs.folders import IN_MEMORY

if TYPE_CHECKING:  # it loads torch, which `import generator` does without
    from generator.networks.in_memory import Model
    from generator.networks.loaded import Loaded

CALL = "generator.report"
WORDS = {"in report.toml's input": "in the call", "another --out": "another out"}  # of messages, as a call has them
Log = str | os.PathLike[str] | Mapping[str, Any]
TEST, TRAIN = "test_set", "train_set"
LONGEST_SAID = 80  # letters of a value in the call that the page about tells; of longer ones stands the name


def report(
    model: Model,
    test_set: Any,
    train_set: Any = None,
    *,
    out: str | os.PathLike[str] = "site",
    title: str = "",
    name: str = "",
    data_name: str = "",
    classes: Sequence[str] | Mapping[Any, Any] = (),
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    size: int | tuple[int, int] | None = None,
    resize: int | None = None,
    crop: str | None = None,
    interpolation: str | None = None,
    range: float | None = None,  # noqa: A002 (as report.toml calls it)
    order: str | None = None,
    multi_label: bool | None = None,
    layer: str = "",
    log: Log | Sequence[Log] = (),
    kept: int | str | None = None,
    strict: bool = False,
) -> Path:
    """Make the report of a network that is in memory; nothing of it or of the program around it is changed.

    The network is copied. Its mode, gradients and device, and the random states of torch, NumPy and Python, are
    afterwards what they were, also where this raises. How it takes images is read from the transform of `test_set`
    and tried: what the program gives it is compared with what the Dataset does.

    Args:
        model: the nn.Module, which gives logits, log-probabilities or probabilities; also from within DataParallel or
            torch.compile.
        test_set: the images that judge it, with their labels: a torch Dataset (Pillow's images or tensors, before or
            after its transform), a DataLoader of one, a pair of arrays (images, labels), or a folder or list in any
            layout that `build --data` reads. Labels are the places of the network's outputs.
        train_set: the images that it was fitted on, for scores beside those of the test and to try other readings; its
            own transform is left out.
        out: the folder of the site.
        title: of the report; `name`: of the network, and `data_name`: of the data set, on the pages.
        classes: what the outputs stand for, in their order, or with their numbers ({0: "cat"} or {"cat": 0}); (): as
            the data set has them.
        mean, std: taken off and divided by, of values from 0 to 1, where no transform tells them: one number, or one
            for each channel.
        size, resize, crop, interpolation, range, order: how the network takes images, as in report.toml's `input`,
            where no transform tells it.
        multi_label: whether each class has a probability of its own, the sigmoid of its logit, as where it was trained
            with BCEWithLogitsLoss; None: where it ends in sigmoids.
        layer: that heat maps look at; "": chosen by the program.
        log: the record of its training: a file or a folder, or several; or what a program has of it, a mapping an
            epoch, or one of lists as Keras's History.history.
        kept: the epoch of the log whose weights these are, or "best", or "last".
        strict: keep the previous site where `check` finds the new one broken.
    Returns:
        the path of index.html.
    Raises:
        InputError: a ValueError of one line, for anything that cannot be used; the previous site is left as it was.
    """
    check_pair()
    import_matplotlib()
    from generator.networks.in_memory import undisturbed
    from generator.training import parallel

    way = {"size": size, "mean": mean, "std": std, "resize": resize, "crop": crop, "interpolation": interpolation}
    way |= {"range": range, "order": order}
    way = {key: each for key, each in way.items() if each is not None}
    said = _Said(title, name, data_name, classes, way, layer, log, kept, multi_label)
    with undisturbed(), parallel.alone(), _one_line():
        index = _made(model, test_set, train_set, Path(out), said, strict=strict)
    _show(index)
    return index


@dataclass(frozen=True)
class _Said:
    """What was said beside the network and its data."""

    title: str
    name: str
    data_name: str
    classes: Any
    input: Mapping[str, Any]
    layer: Any = ""
    log: Any = ()
    kept: Any = None
    multi_label: Any = None


@dataclass(frozen=True)
class _Read:
    """The data as it was given, before all of its images were looked at."""

    own: tuple[str, ...]  # the names of its classes, () for none
    size: tuple[int, int] | None  # (H, W) of all of its images, None where they differ or are not known
    opened: Callable[[Sequence[str]], DataSet]  # with names of its classes
    way: Mapping[str, Any]  # what it tells of the network's input
    sources: Mapping[str, str]  # and from what each of it was read
    notes: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()


def _made(model: Any, test_set: Any, train_set: Any, out: Path, said: _Said, *, strict: bool) -> Path:
    from generator.build import pipeline
    from generator.networks import in_memory as networks
    from generator.networks.in_memory import Told

    begun, cache = time.perf_counter(), Path.cwd() / ".cache"
    kind = type(networks.unwrapped(model)).__name__
    settings = _settings(kind, said, cache, _call(train_set is not None, said))
    (wanted,) = settings.models.networks
    writer.prepare(out)  # a wrong place is told before the images are read
    folders = isinstance(test_set, (str, os.PathLike))
    read = (_of_folders if folders else _of_datasets)(test_set, train_set, said, wanted.input)
    wanted = replace(wanted, input=replace(wanted.input, **read.way))
    settings = replace(settings, models=replace(settings.models, networks=(wanted,)))
    network = networks.in_memory(model, wanted, read.size)
    of_data, of_outputs, named, notes = _names(read.own, in_memory.distinct(wanted.classes), network.classes)
    data = read.opened(of_data)
    templates, content = places.folders(settings)
    told = digest([data.fingerprint, network.digest, of_outputs, read.sources, read.notes, read.facts])
    inputs = digests.of_build(settings, told, templates, content)
    if writer.unchanged(out, inputs):
        if strict:
            check.require(published.read(out).files, "it was built before and is still in place", terminal.say)
        terminal.done(f"nothing has changed: {out / 'index.html'} ({time.perf_counter() - begun:.1f} s)")
        return out / "index.html"

    def load(wanted: ModelConfig, data: DataSet) -> Loaded:
        told = Told(named, read.sources, read.facts, (*read.notes, *notes))
        found = network.loaded(wanted, data, of_outputs, told, cache / "scores")
        networks.require_classes(found, data)
        return found

    index = pipeline.build(settings, data, out, cache, inputs, strict=strict, in_memory={wanted.id: load})
    terminal.done(f"built {index} in {time.perf_counter() - begun:.1f} s")
    return index


def _settings(kind: str, said: _Said, cache: Path, call: str) -> Config:
    """The settings, checked as those of a report.toml are."""
    lines = ["[report]", f"title = {_written('title', said.title or f'What {said.name or kind} sees')}"]
    lines += [f"[data]\nname = {_written('data_name', said.data_name)}"]
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", kind).strip("-_")[:40].lower() or "network"
    lines += [f"[models.{name}]", 'weights = "random"', f"title = {_written('name', said.name)}"]
    classes = _listed(said.classes)
    keys: dict[str, Any] = {"layer": said.layer, "kept": said.kept, "input": said.input, "classes": classes}
    keys["multi_label"] = said.multi_label
    keys["logs"] = [str(path.absolute()) for path in _logs(said.log, cache)]
    lines += [f"{key} = {_written(key, value)}" for key, value in keys.items() if value not in (None, [], "")]
    lines += ["[samples]", "bundled = false", f"test_images = {TEST_IMAGES}"]
    read = reading.of_text("\n".join(lines), CALL, Path.cwd())
    (network,) = read.models.networks
    network = replace(network, weights="memory", said_in=f"{CALL}(...)")
    return replace(
        read,
        folder=cache,  # so that no templates of somebody's web site are taken for the report's
        report=replace(read.report, command=call),
        models=replace(read.models, folder=cache / "models", networks=(network,)),
    )


def _listed(classes: Any) -> Any:
    """Names in their order: as they are given, or by their numbers, as id2label and class_to_idx have them."""
    if isinstance(classes, str):
        return classes
    if not isinstance(classes, Mapping):
        return [str(each) for each in classes]
    turned = all(isinstance(each, int) for each in classes.values())
    named = (
        {str(number): name for name, number in classes.items()} if turned else {str(k): v for k, v in classes.items()}
    )
    places = [str(number) for number in builtins.range(len(classes))]
    if sorted(places) != sorted(named):
        raise InputError(
            "classes: expected the numbers of the outputs from 0 on, each once, by name or with it, got others"
        )
    return [str(named[place]) for place in places]


def _logs(log: Any, cache: Path) -> list[Path]:
    """The files and folders of logs; what is in memory becomes one, a line of JSON an epoch."""
    if isinstance(log, (str, os.PathLike)):
        return [Path(log)]
    if isinstance(log, Mapping):
        lengths = {len(each) if isinstance(each, (list, tuple)) else 0 for each in log.values()}
        if len(lengths) != 1 or lengths == {0}:
            raise InputError("log: expected lists of one length, a value an epoch, by what they are, got others")
        log = [{name: each[at] for name, each in log.items()} for at in builtins.range(lengths.pop())]
    told = list(log)
    if not told or not all(isinstance(each, Mapping) for each in told):
        if all(isinstance(each, (str, os.PathLike)) for each in told):
            return [Path(each) for each in told]
        raise InputError(f"log: expected a file, or a mapping an epoch, got {type(log).__name__} of other things")
    lines = [json.dumps({"epoch": at, **_numbers(each)}) for at, each in enumerate(told, start=1)]
    file = cache / IN_MEMORY / digest(lines)[:16] / "history.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    files.write(file, "\n".join(lines).encode())
    return [file]


def _numbers(row: Mapping[Any, Any]) -> dict[str, float]:
    """What of a row are numbers that JSON can hold, as Python's."""
    plain = {str(name): value.item() if hasattr(value, "item") else value for name, value in row.items()}
    return {name: each for name, each in plain.items() if isinstance(each, (int, float)) and math.isfinite(each)}


def _written(key: str, value: Any) -> str:
    """A value as TOML has it."""
    value = value.tolist() if hasattr(value, "tolist") else value  # of NumPy and torch
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{each} = {_written(each, value[each])}" for each in value) + "}"
    try:
        return toml(value)
    except TypeError:
        raise InputError(
            f"{CALL}: {key}: expected text, numbers or a list of them, got {type(value).__name__}"
        ) from None


def _call(trained: bool, said: _Said) -> str:
    """The call, as the page about tells it."""
    words = ["model", TEST, *([TRAIN] if trained else [])]
    told = {"title": said.title, "name": said.name, "data_name": said.data_name, "classes": said.classes}
    told |= {**said.input, "layer": said.layer, "log": said.log, "kept": said.kept}
    told["multi_label"] = said.multi_label
    for key, value in told.items():
        if value is not None and not (isinstance(value, (str, Sequence, Mapping)) and not value):
            written = repr(os.fspath(value) if isinstance(value, os.PathLike) else value)
            brief = len(written) <= LONGEST_SAID and " at 0x" not in written  # that is another each time
            words.append(f"{key}={written if brief else key}")
    return f"{CALL}({', '.join(words)})"


def _of_datasets(test_set: Any, train_set: Any, said: _Said, way: InputConfig) -> _Read:
    """What torch Datasets and the like are, and tell of the network's input."""
    test = in_memory.dataset_of(test_set, TEST)
    train = None if train_set is None else _dataset(train_set)
    if (way.mean is None) != (way.std is None):
        raise InputError("mean and std: expected both or none, got one of them")
    norm = None if way.mean is None or way.std is None else steps.Normalisation(way.mean, way.std)
    how = in_memory.understood(test, TEST, norm)
    if how.way is None and norm is None and train is None:
        raise InputError(
            f"{TEST}: expected images as the network is given them, or a transform that makes them so, got pictures or "
            "bytes; say with mean=... and std=... what is taken off them and divided by, of values from 0 to 1"
        )
    told = {key: getattr(how.way, key) for key in ("channels", *how.sources)} if how.way else {}
    for key, value in way.given.items():
        if key not in ("mean", "std") and key in told and told[key] != value:
            raise InputError(
                f"{key}: expected {told[key]!r}, as {how.sources[key]} has it, got {value!r}; leave it out"
            )
    listed = [rows.class_names(each) for each in (test, train) if each is not None]
    own, test_labels = _in_common(*listed) if len(listed) > 1 else (listed[0], None)
    for each in own:
        require_name(each, f"{TEST}, its classes")
    called = {"train": TRAIN, "test": TEST}

    def opened(classes: Sequence[str]) -> DataSet:
        parts = {} if train is None else {"train": in_memory.held(train, how, TRAIN, fitted=True)}
        parts["test"] = in_memory.held(test, how, TEST, fitted=False, labels=test_labels)
        source = said.data_name or _called(test)
        return in_memory.data_set(parts, classes, source, {part: called[part] for part in parts})

    facts = []
    if how.agreement:
        compared = f"compared on {len(in_memory.probes(len(test)))} images"
        facts.append(Fact(f"against {TEST}", f"it is given {how.agreement}", "measured", compared))
    read = {**told, **_norm(way)}
    return _Read(in_memory.distinct(own), how.size, opened, read, how.sources, how.notes, tuple(facts))


def _in_common(test: tuple[str, ...], train: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[int, ...] | None]:
    """The classes of two data sets, and which of them each label of the test's stands for; None: as it is.

    A folder of images numbers the classes that it has: where the test lacks one, its later labels are others.
    """
    own = train or test
    if not test or test == own:
        return own, None
    if not set(test) < set(own) or len(set(own)) < len(own):
        raise InputError(f"{TRAIN}: expected the classes of {TEST}, in the same order, it has others")
    return own, tuple(own.index(name) for name in test)


def _norm(way: InputConfig) -> dict[str, Any]:
    return {key: value for key, value in way.given.items() if key in ("mean", "std")}


def _dataset(train_set: Any) -> Any:
    if isinstance(train_set, (str, os.PathLike)):
        raise InputError(f"{TRAIN}: expected a Dataset, as {TEST} is one, got a folder; give both in one way")
    return in_memory.dataset_of(train_set, TRAIN)


def _called(dataset: Any) -> str:
    """What a data set is called: by its folder, if it is one of pictures, else by its class."""
    inner = steps.innermost(dataset)
    root, kind = getattr(inner, "root", None), type(inner).__name__
    if kind not in ("ImageFolder", "DatasetFolder") or not isinstance(root, (str, os.PathLike)):
        return UNNAMED if kind in ("Pair", "TensorDataset", "list", "tuple") else kind
    parts = [part for part in Path(root).resolve().parts if not part_of(part)]
    return parts[-1] if len(parts) > 1 else kind


def _of_folders(test_set: Any, train_set: Any, said: _Said, way: InputConfig) -> _Read:
    """What lies in a folder, or in two of them."""
    test = _folder(test_set, TEST, said, ())

    def opened(classes: Sequence[str]) -> DataSet:
        renamed = classes if tuple(classes) != test.classes.names else ()
        return _joined(_folder(test_set, TEST, said, renamed), train_set, said, renamed)

    return _Read(test.classes.names, test.words.alike, opened, way.given, {})


def _folder(given: Any, what: str, said: _Said, names: Sequence[str]) -> DataSet:
    path = Path(os.path.abspath(given))  # noqa: PTH100 (Path.absolute keeps "..")
    if not (path.is_dir() or lists.is_list(path) or layouts.is_function(path)):
        raise InputError(f"{what}: expected a data set's folder or a list of images and classes, found none at {path}")
    return layouts.opened(path, DataConfig(name=said.data_name, classes=tuple(names) or None), Path.cwd())


def _joined(test: DataSet, train_set: Any, said: _Said, names: Sequence[str]) -> DataSet:
    """The images of a folder as those that judge, if it has no parts of its own; with those of another folder."""
    words = test.words
    if OWN_SPLIT in words.split:
        words = replace(words, split=words.split.replace(OWN_SPLIT, "All of them judge."), notes=())
        test = replace(test, words=words, parts=(_all(test, JUDGING, "judged on"),))
    if train_set is None:
        return test
    if not isinstance(train_set, (str, os.PathLike)):
        raise InputError(f"{TRAIN}: expected a folder, as {TEST} is one, got {type(train_set).__name__}")
    train = _folder(train_set, TRAIN, said, names)
    if train.classes.keys != test.classes.keys:
        raise InputError(f"{TRAIN}: expected the classes of {TEST}, in the same order, it has others")
    whole = OWN_SPLIT in train.words.split or train.fitted is None
    fitted = _all(train, FITTING, "fitted on") if whole else train.fitted
    judged = test.judged
    assert fitted is not None
    assert judged is not None
    side = test.side if test.side == train.side else 0
    words = replace(words, split=came_as({FITTING: TRAIN, judged.name: TEST}), sizes=None)
    return replace(test, words=words, parts=(fitted, judged), side=side)


def _all(data: DataSet, name: str, role: Role) -> Part:
    """All images of a data set as one part of it."""
    items = sorted((item for part in data.parts for item in part.items), key=lambda item: (item.target, item.name))
    return Part(name, role, tuple(items))


def _names(
    own: tuple[str, ...], said: tuple[str, ...], count: int
) -> tuple[tuple[str, ...], tuple[str, ...], Fact, tuple[str, ...]]:
    """The names of the data's classes, those of the outputs, how these are known, and what readers should know of it.

    Args:
        own: the names that the data set has, in the order of its labels; () for none.
        said: what the outputs stand for, as was said; () where it was not.
        count: of the outputs.
    """
    outputs = said or own or tuple(map(str, builtins.range(count)))
    if len(outputs) != count:
        expected = f"classes: expected {count} names, one for each output of the model"
        if said:
            raise InputError(f"{expected}, got {len(said)}")
        raise InputError(
            f"{expected}, {TEST} has {len(own)} classes; say with classes=[...] what its outputs stand for"
        )
    value = f"{count}: {', '.join(outputs[:3])}{', …' * (count > 3)}"
    if not said and own:
        return outputs, outputs, Fact("classes", value, "read", f"the classes of {TEST}"), ()
    if not said:
        return outputs, outputs, Fact("classes", value, "assumed", "the labels are the outputs’ numbers"), ()
    fact = Fact("classes", value, "declared", f"{CALL}(...)")
    if not own or set(own) <= set(said):
        return own or said, said, fact, ()
    if set(own) & set(said) or len(own) != count:
        stranger = next(each for each in own if each not in said)
        raise InputError(
            f"classes: expected a name for each class of {TEST}, got none for {stranger!r}; give them by the same names"
        )
    return said, said, fact, (f"The classes of {TEST} have the names that were given, in their order.",)


@contextmanager
def _one_line() -> Iterator[None]:
    """Whatever cannot be used as one line, in which nothing speaks of a report.toml."""
    try:
        yield
    except InputError as error:
        line = re.sub(r"\[models\.[\w.-]+\] (input: )?| \(at line \d+\)", "", " ".join(str(error).split()))
        for elsewhere, here in WORDS.items():
            line = line.replace(elsewhere, here)
        raise InputError(line) from error
    except Exception as error:
        if not of_own_code(error):  # a mistake of the program
            raise
        raise InputError(f"expected the network's own code to run, it {raised(error)}") from error


def _show(index: Path) -> None:
    """A link to the report, where this runs in a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if getattr(shell, "kernel", None) is not None:
        display = importlib.import_module("IPython.display")
        display.display(display.FileLink(os.path.relpath(index)))
