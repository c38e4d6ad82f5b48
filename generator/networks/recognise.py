"""How a network of somebody else's takes images, as far as it shows: its channels, and sizes that it runs with.

What report.toml says goes first. What is found here is a finding or an assumption, and is called so on the page about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

import torch
from torch import nn

from generator.base.errors import InputError
from generator.config.schema import ModelConfig
from generator.explain.passes import in_eval_mode
from generator.networks.sources.timm_models import cut_from
from generator.records.input import Input, grey, in_pixels
from generator.records.network import Fact, Origin

# Sides that networks are often made for, the most frequent first.
SIDES = (224, 32, 28, 64, 96, 128, 48, 256, 299, 384, 192, 160, 227)


def input_of(
    network: nn.Module,
    usual: Input,
    wanted: ModelConfig,
    size: tuple[int, int] | None,
    usual_for: str = "",
    known: Mapping[str, tuple[Origin, str]] = MappingProxyType({}),
    share: float = 0.0,
) -> tuple[Input, tuple[Fact, ...]]:
    """The input of a network where report.toml says nothing or not all of it.

    Args:
        usual: of such networks; `usual_for`: whose it is, "" where it is nobody's in particular.
        known, share: `told` and `share` of its architecture.
        size: (H, W) of all images of the data set, None where they differ or there is none.
    Raises:
        InputError: where the network has channels of which nothing is known.
    """
    given, read = wanted.input.given, {key for key, (origin, _) in known.items() if origin == "read"}
    way, facts = usual, []
    first = next((module for module in network.modules() if isinstance(module, nn.Conv2d)), None)
    if first is not None and "channels" not in {*given, *read}:
        way = way if first.in_channels == way.channels else _of_channels(way, first.in_channels, wanted)
        facts.append(Fact("channels", str(way.channels), "inferred", "its first convolution takes as many"))
    if "size" in {*given, *read}:
        return way, tuple(facts)
    usual_for = usual_for or ("such a network" if "size" in known else "")
    tried = [(side, words) for side, words in _sizes(way, size, usual_for) if _runs(network, way.channels, side)]
    if not tried:
        return way, tuple(facts)  # what it raises is told when it is asked for its answer
    chosen, words = tried[0]
    if chosen == way.size and "size" in known:
        return way, tuple(facts)
    facts.append(Fact("image size", in_pixels(chosen), "inferred" if len(tried) == 1 else "assumed", words))
    if way.size == chosen:
        return way, tuple(facts)
    return replace(way, size=chosen, resize=cut_from(chosen, share)), tuple(facts)


def _sizes(way: Input, size: tuple[int, int] | None, usual_for: str) -> Iterator[tuple[tuple[int, int], str]]:
    """(H, W) that it may be made for, each once, with what speaks for it; the likeliest first."""
    told: dict[tuple[int, int], str] = {}
    if usual_for:
        told[way.size] = f"{usual_for} is used so"
    if size is not None:
        told.setdefault(size, "all images of the data set have it, and the network runs with it")
    for side in SIDES:
        told.setdefault((side, side), "the network runs with it")
    yield from told.items()


def _runs(network: nn.Module, channels: int, size: tuple[int, int]) -> bool:
    like = next(iter(network.parameters()), torch.empty(0))
    with torch.no_grad(), in_eval_mode(network):
        try:
            network(torch.zeros(1, channels, *size, device=like.device))
        except Exception:  # noqa: BLE001 - whatever it raises, it does not run with that size
            return False
    return True


def _of_channels(way: Input, channels: int, wanted: ModelConfig) -> Input:
    """The input of another number of channels; its statistics are those of grey where they were those of colour."""
    if channels == 1:
        return replace(way, channels=1, mean=grey(way.mean), std=grey(way.std))
    given = wanted.input
    if given.mean is None or given.std is None:
        raise InputError(
            f"[models.{wanted.id}] input: expected a mean and a std of its {channels} channels, got none; give one "
            "number for all, or one for each"
        )
    return replace(way, channels=channels, mean=(0.0,) * channels, std=(1.0,) * channels)


def told(
    way: Input,
    wanted: ModelConfig,
    found: tuple[Fact, ...],
    elsewhere: tuple[Origin, str],
    read: Mapping[str, str] | None = None,
    known: Mapping[str, tuple[Origin, str]] = MappingProxyType({}),
) -> tuple[Fact, ...]:
    """How a network takes images, each with its origin.

    Args:
        found: of `input_of`.
        elsewhere: origin and source of what is neither in report.toml nor found.
        read: key -> from what it was read, where nobody declared it.
        known: of what the architecture's own settings say, by the names of the input's fields.
    """
    values = {
        "image size": ("size", in_pixels(way.size)),
        "channels": ("channels", "1 (grey)" if way.channels == 1 else str(way.channels)),
        "resize and crop": ("crop", _cut(way)),
        "mean": ("mean", _listed(way.mean)),
        "standard deviation": ("std", _listed(way.std)),
        "range of values": ("range", f"0 to {way.range:g}"),
        "interpolation": ("interpolation", way.interpolation),
    }
    if way.channels == 3:
        values["order of channels"] = ("order", "red first" if way.order == "rgb" else "blue first")
    by_name = {fact.what: fact for fact in found}
    given = wanted.input.given
    facts = []
    for what, (key, value) in values.items():
        if read and key in read:
            facts.append(Fact(what, value, "read", read[key]))
        elif key in given or (key == "crop" and "resize" in given):
            facts.append(Fact(what, value, "declared", wanted.said_in))
        elif what in by_name:
            facts.append(replace(by_name[what], value=value))
        else:
            facts.append(Fact(what, value, *known.get(key, elsewhere)))
    return tuple(facts)


def _cut(way: Input) -> str:
    if way.crop == "none":
        return "brought to the size as a whole"
    if way.crop == "squash":
        return f"squeezed to {in_pixels(way.resized(*way.size))}, the middle cut out"
    return f"the shorter side to {way.resize}, the middle cut out" if way.resize else "the middle, as large as can be"


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
