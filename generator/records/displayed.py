"""The report's classes by the names that readers see: "ice cream" where the data set's folder is called "icecream".

What is on disk, and what networks are told, keeps the data set's own names; so do addresses, that they last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from generator.records.images import Photo
from generator.records.network import CLASSES, Fact, Network, first_classes
from generator.records.report import DataSummary, Report


def displayed(report: Report, names: Mapping[str, str]) -> Report:
    """A report that was observed by the data set's own names, in those that are shown.

    Args:
        names: by the own name what a class is shown as; of others the own one is shown. No two classes of a network or
            of the data set are shown by the same.
    Returns:
        the report; networks and data tell in `own` what a class that is shown by another name is called in the data.
    """
    return replace(
        report,
        networks=tuple(_network(network, names) for network in report.networks),
        photos=tuple(_photo(photo, names) for photo in report.photos),
        data=_data(report.data, names),
    )


def _network(network: Network, names: Mapping[str, str]) -> Network:
    shown = _shown(network.class_names, names)
    evaluation, examined = network.evaluation, network.examined
    judged = evaluation.class_names if evaluation else ()
    return replace(
        network,
        class_names=shown,
        evaluation=evaluation and replace(evaluation, class_names=_shown(judged, names)),
        examined=examined and replace(examined, names=_shown(examined.names, names)),
        facts=tuple(replace(fact, value=first_classes(shown)) if _of_classes(fact) else fact for fact in network.facts),
        own=_own((*network.class_names, *judged), names),
    )


def _data(data: DataSummary, names: Mapping[str, str]) -> DataSummary:
    return replace(data, class_names=_shown(data.class_names, names), own=_own(data.class_names, names))


def _photo(photo: Photo, names: Mapping[str, str]) -> Photo:
    shows = names.get(photo.shows, photo.shows)
    of_class = photo.origin == "test" and photo.title.startswith(photo.shows)  # whose title begins with its class
    return replace(photo, shows=shows, title=shows + photo.title[len(photo.shows) :] if of_class else photo.title)


def _of_classes(fact: Fact) -> bool:
    return fact.what == CLASSES


def _shown(own: Sequence[str], names: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(names.get(name, name) for name in own)


def _own(classes: Sequence[str], names: Mapping[str, str]) -> dict[str, str]:
    return {names[name]: name for name in classes if names.get(name, name) != name}
