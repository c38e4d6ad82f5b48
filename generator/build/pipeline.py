"""The pipeline, top to bottom: what is observed of the networks, figures, pages, and the site in its place.

What was observed is kept as a whole under all that it depends on, the words of the report not among them: a build after
a change to these loads neither torch nor a network.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from generator import pages
from generator.base import environment, terminal
from generator.base.beside import beside
from generator.base.code import code, code_of
from generator.base.errors import InputError, failure
from generator.base.installation import check_pair, import_matplotlib
from generator.build import DEVICE, LOADING, LOOKING
from generator.cache import Cache
from generator.config import digests, places
from generator.config.schema import Config
from generator.data import decoded
from generator.data.dataset import DataSet
from generator.publishing import check, writer
from generator.records import kept
from generator.records.figure import Figure
from generator.records.network import Network
from generator.records.report import Report
from generator.report.jobs import common_jobs, network_jobs

if TYPE_CHECKING:  # it loads torch, which a build after a change of words does without
    from generator.build.observed import Load, Observed

DRAWERS = 4  # groups of figures at most that are drawn at once: each holds its pictures in memory
# The stages of a build, and what a group of figures takes about in seconds, on a processor's core.
DRAWING, WRITING = "drawing", "writing the pages"
A_GROUP = 0.07
OBSERVED, PROOFREAD = "generator.build.observed", "generator.pages.proofreading"


def build(
    config: Config,
    data: DataSet | None,
    out: Path,
    cache: Path,
    digest: str,
    *,
    offline: bool = False,
    strict: bool = False,
    anew: bool = False,
    draft: bool = False,
    device: str = "auto",
    in_memory: Mapping[str, Load] | None = None,
) -> Path:
    """Make the whole report and place it at `out`.

    Args:
        data: the data set, None where there is none.
        cache: folder for results and decoded images.
        digest: of the inputs, kept in the site's manifest.
        strict: refuse a site that `check` finds broken.
        anew: load the networks and look at all inputs again, even where nothing but words has changed.
        draft: leave out what takes long and is not known yet; terminal and pages say what that is.
        device: where networks run, see `networks.devices.chosen`.
        in_memory: the networks that no file holds, by id; with them there is a data set.
    Returns:
        the path of index.html.
    Raises:
        InputError: for anything that the user can mend; the previous site is left as it was.
    """
    writer.prepare(out)
    templates, content = places.folders(config)
    results = Cache(cache / "results")
    proofread = _proofread(results, config, templates, content)
    count = len(config.models.networks)
    stages = {LOADING: 2 + 3.0 * count, LOOKING: 20.0 * count, DRAWING: 5.0, WRITING: 3.0}
    with _first(proofread), terminal.whole(stages) as progress:
        observe = partial(
            _observe, config, data, cache, results, proofread, offline=offline, draft=draft, device=device
        )
        if in_memory:  # no digest knows what such a network is made of
            report, _, lost = observe(in_memory=in_memory)
        else:
            report, lost = _observed(
                config, data, results, observe, offline=offline, anew=anew, draft=draft, device=device
            )
        report = replace(report, notes=(*_notes(config), *report.notes))
        for note in report.notes:
            terminal.say(note)
        figures, undrawn = _figures(results, report)
        report = replace(report, notes=(*report.notes, *lost, *undrawn))
        progress.begin(WRITING)
        files = pages.render(report, figures, config, templates, content)
        proofread()
        if strict:
            check.require(files, f"the previous one in {out} was kept", terminal.say)
        writer.place(files, out, {"inputs": digest, "report": digests.of_report(config)})
        results.prune()
    return out / "index.html"


def _proofread(results: Cache, config: Config, templates: Sequence[Path], content: Path) -> Callable[[], None]:
    """Refuse words that cannot be right, as `pages.proofread`; of those that were found right before it is known.

    Returns:
        what waits until all were read, beside this process.
    Raises:
        InputError: as `pages.proofread`, now or by what is returned.
    """
    key = results.key("proofread", 1, code(PROOFREAD), environment.versions(), digests.of_words(templates, content))
    found = results.found(key)
    if found is not None:
        pages.proofread_again(config, content, found["told"].tolist())
        return lambda: None
    told = beside(partial(pages.proofread, config, templates, content))
    return lru_cache(lambda: results.keep(key, {"told": np.array(told(), str)}))


@contextmanager
def _first(proofread: Callable[[], None]) -> Iterator[None]:
    """Words that cannot be right are told before whatever is wrong beside them, or comes of it."""
    try:
        yield
    except Exception:
        proofread()
        raise


def _observe(
    config: Config,
    data: DataSet | None,
    folder: Path,
    results: Cache,
    proofread: Callable[[], None],
    *,
    offline: bool,
    draft: bool,
    device: str,
    in_memory: Mapping[str, Load] | None = None,
) -> Observed:
    looked = _looked_through(data, folder / "data") if data else lambda: None
    check_pair()
    from generator.build import observed

    proofread()  # before minutes are spent
    return observed.observe(
        config, looked(), folder, results, offline=offline, draft=draft, device=device, in_memory=in_memory
    )


def _looked_through(data: DataSet, folder: Path) -> Callable[[], DataSet]:
    """Begin to look through the data set beside this process; here where its images are in memory already."""
    whole = partial(decoded.whole, data, folder)
    if any(item.held is not None for part in data.parts for item in part.items):
        return whole
    return beside(whole)


def _observed(
    config: Config,
    data: DataSet | None,
    results: Cache,
    observe: Callable[[], Observed],
    *,
    offline: bool,
    anew: bool,
    draft: bool,
    device: str,
) -> tuple[Report, tuple[str, ...]]:
    """The report's records as they were kept, else observed now and kept; and a sentence for each part that failed."""
    told = " ".join([data.fingerprint, str(data.root)]) if data else ""

    def key(ours: bool) -> str:
        return results.key(
            "report", 1, code(OBSERVED), digests.of_observed(config, told, scores=ours), offline, draft, device
        )

    found = None if anew else results.found(key(True))
    if found is not None:
        report, said = kept.read(found)
        for line in said:
            terminal.say(line)
        return replace(report, environment={**environment.versions(), **_where(report)}), ()
    before = key(False)
    report, said, lost = observe()
    # Scores may have been measured and written down just now. Where anything else is another, as after a training or
    # where somebody changed it meanwhile, the next build looks again; and so it does where a part has failed.
    if not lost and key(False) == before:
        results.keep(key(True), kept.written((_lighter(report), said)))
    return report, lost


def _where(report: Report) -> dict[str, str]:
    """Where the networks ran of a report that was kept."""
    return {name: value for name, value in report.environment.items() if name == DEVICE}


def _lighter(report: Report) -> Report:
    """The report without the examined images of which no patch is shown: there may be thousands."""
    return replace(report, networks=tuple(map(_light, report.networks)))


def _light(network: Network) -> Network:
    if network.examined is None:
        return network
    used = {int(place) for found in network.patches for place in found.pictures.flat}
    none = np.zeros((0, 0, 3), np.uint8)
    seen = network.examined.pictures  # each is read when it is asked for
    pictures = tuple(seen[place] if place in used else none for place in range(len(seen)))
    return replace(network, examined=replace(network.examined, pictures=pictures))


def _notes(config: Config) -> tuple[str, ...]:
    """What readers should know of the report as a whole."""
    language = config.report.language
    if language.split("-")[0].lower() == "en":
        return ()
    return (
        f"Captions, text alternatives and controls are the program’s, in English; the other words are in {language}.",
    )


def _figures(results: Cache, report: Report) -> tuple[dict[str, Figure], tuple[str, ...]]:
    """Every figure by its id, each group from the cache where its inputs are known; and a sentence for each failure."""
    jobs = [*common_jobs(report)]
    for network in report.networks:
        jobs += network_jobs(report, network)
    # Keys are made here, for they read the program's sources: ast.parse of Python 3.11 is for one thread alone.
    keyed = [(results.key("figures", 1, code_of(draw), *parts), draw) for parts, draw in jobs]
    missing = sum(not results.holds_figures(key) for key, _ in keyed)
    if missing:
        import_matplotlib()
    terminal.progress().expect(DRAWING, 0.5 + missing * A_GROUP)
    terminal.progress().begin(DRAWING)
    figures: dict[str, Figure] = {}
    lost: list[str] = []
    # Encoding needs no other part of Python, so that the processor's cores share it.
    pool = ThreadPoolExecutor(min(DRAWERS, os.cpu_count() or 1))
    try:
        with terminal.bar(DRAWING, len(jobs), "groups of figures") as bar:
            for group in [pool.submit(results.figures, key, draw) for key, draw in keyed]:
                try:
                    figures |= {figure.id: figure for figure in group.result()}
                except InputError:  # which the user can mend
                    raise
                except Exception as error:  # noqa: BLE001 - networks and images of any kind: a report without is one, too
                    lost.append(f"A group of figures could not be made and is left out: {failure(error)}.")
                    terminal.say(lost[-1])
                bar.advance()
    finally:
        pool.shutdown(cancel_futures=True)
    return figures, tuple(lost)
