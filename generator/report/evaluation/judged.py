"""How a network was judged: on which images, how often, what was chosen on what, and how to make it again.

Each row is computed from records; what is in none is said to be in none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from generator.records.network import Network
from generator.records.scores import Evaluation
from generator.records.training import Run, command
from generator.report.evaluation.facts import images_of
from generator.report.plates.wording import counted, digits_of, duration, listed, percent

SHORT = 12  # letters of a digest


@dataclass(frozen=True)
class Row:
    """One question and its answer; `commands` stand below it."""

    what: str
    said: str
    commands: tuple[str, ...] = ()


def judged(network: Network) -> tuple[Row, ...]:
    """The rows of one network; none where it was not scored."""
    found = network.evaluation
    if found is None or not found.splits:
        return ()
    run = _main(network)
    return tuple(row for row in (*_images(found, run), *_training(network, run)) if row.said)


def _main(network: Network) -> Run | None:
    """The run whose weights these are, as far as a record tells."""
    named = [run for run in network.runs if run.name == "augmented" or run.log]
    return named[-1] if named else None


def _images(found: Evaluation, run: Run | None) -> Iterator[Row]:
    scores = found.splits[found.judged]
    images = images_of(scores)
    of = f" of {scores.of:,}, evenly over all of them," if scores.of else ""
    yield Row("Judged on", f"{scores.count:,}{of} {images}.")
    if scores.split == "test":
        times = "once" if found.test_looks == 1 else f"{found.test_looks} times, for as many networks in this folder"
        yield Row("How often", f"The test images have been scored {times}.")
    span = " to ".join(percent(end, digits_of(scores.count)) for end in scores.top1_interval)
    how = (
        f"from bootstrap samples of the {images}" if 0 < scores.top1 < 1 else "after Wilson, for all answers are alike"
    )
    yield Row(
        "Uncertainty",
        f"95\u00a0% interval of top-1: {span}, {how}. It "
        "tells how much other images would change, not how much another training would.",
    )
    chosen = "validation" if scores.split == "test" and "validation" in found.splits else ""
    ours = run is not None and run.log is None
    fitted = ["the temperature"] if found.fitted_temperature else []
    what = listed([*(["the settings", "the epoch that was kept"] if ours else []), *fitted])
    if chosen and what:
        known = "" if ours else " What its weights were chosen on is in no record here."
        yield Row("Chosen on", f"The {found.splits[chosen].count:,} validation images chose {what}.{known}")
    elif scores.split == "validation":
        yield Row(
            "Chosen on", "The weights may have been chosen on these very images, which makes the scores look better."
        )
    else:
        yield Row("Chosen on", "What the weights were chosen on is in no record here.")


def _training(network: Network, run: Run | None) -> Iterator[Row]:
    found = network.evaluation
    assert found is not None
    if run is not None:
        alike = [other for other in network.runs if other.name == run.name]
        seeds = {str(other.settings.get("seed")) for other in alike if "seed" in other.settings}
        if len(seeds) <= 1:
            seed = f" (seed {next(iter(seeds))})" if seeds else ""
            yield Row("Seeds", f"One training is on record{seed}: how far another seed would come is not known.")
        yield Row("Teachers", _teachers(run))
        if run.seconds is not None:
            beside = " What training its other teachers took is in no record here." if _others(run) else ""
            begun = ", those it began with included" if len(run.chain) > 1 else ""
            took = f"{duration(run.seconds)} for {counted(len(run.epochs), 'epoch')}{begun}"
            yield Row("Time", f"{took}.{beside}")
    digests = [f"weights {found.weights_digest[:SHORT]}", f"all parts that were scored {found.data_digest[:SHORT]}"]
    if run is not None and run.environment.get("data"):
        digests.append(f"the training images alone {run.environment['data'][:SHORT]}")
    yield Row("Digests", f"{', '.join(digests)}.")
    if run is not None and run.log is None:
        several = len(run.chain) > 1
        note = "" if not _folders(run) else " DIR stands for the folder of a network: " + _folders(run)
        yield Row(
            "Made by",
            f"{'These commands, one after the other' if several else 'This command'}.{note}",
            tuple(command(network.id, settings) for settings in run.chain),
        )


def _teachers(run: Run) -> str:
    teachers, others = run.settings.get("teachers", ()), _others(run)
    if not teachers:
        return ""
    own = len(teachers) - others
    parts = (["the network that it began as"] if own else []) + (
        [f"{counted(others, 'other network')} whose training is in no record here"] if others else []
    )
    return f"It also learnt from the answers of {listed(parts)}."


def _others(run: Run) -> int:
    """How many teachers are not the network that it began as."""
    start = run.settings.get("started_from")
    return sum(digest != start for digest in run.settings.get("teachers", ()))


def _folders(run: Run) -> str:
    """What the folders in the commands are, by their weights."""
    start, teachers = run.settings.get("started_from"), list(run.settings.get("teachers", ()))
    parts = [f"--from, the one that the first command makes (weights {start[:SHORT]})"] if start else []
    parts += (
        [f"--teacher, {listed([f'the one with the weights {digest[:SHORT]}' for digest in teachers])}"]
        if teachers
        else []
    )
    return f"{'; '.join(parts)}." if parts else ""
