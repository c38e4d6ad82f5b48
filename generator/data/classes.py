"""The classes of the report: their names, their WordNet ids, and how what the user asked for becomes both.

In goes "TinyImageNet30", "all" or a list of wnids and names, out comes `Classes`. Nothing here needs torch.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from generator.base.errors import InputError

PRESET = "TinyImageNet30"
ALL = "all"

# The thirty classes of the course, which are a subset of Tiny ImageNet's 200.
TINY_IMAGENET_30: Mapping[str, str] = {
    "baboon": "n02486410",
    "banana": "n07753592",
    "bee": "n02206856",
    "bison": "n02410509",
    "butterfly": "n02279972",
    "candle": "n02948072",
    "cardigan": "n02963159",
    "chihuahua": "n02085620",
    "elephant": "n02504458",
    "espresso": "n07920052",
    "fly": "n02190166",
    "goldfish": "n01443537",
    "goose": "n01855672",
    "grasshopper": "n02226429",
    "hourglass": "n03544143",
    "icecream": "n07614500",
    "ipod": "n03584254",
    "jellyfish": "n01910747",
    "koala": "n01882714",
    "ladybug": "n02165456",
    "lion": "n02129165",
    "mushroom": "n07734744",
    "penguin": "n02056570",
    "pig": "n02395406",
    "pizza": "n07873807",
    "pretzel": "n07695742",
    "redpanda": "n02509815",
    "refrigerator": "n04070727",
    "sombrero": "n04259630",
    "umbrella": "n04507155",
}

# As readers know them, where the course's names are none of a dictionary.
SHOWN: Mapping[str, str] = {"icecream": "ice cream", "ipod": "iPod", "redpanda": "red panda"}

# The same thirty among ImageNet's 1000, as torchvision's IMAGENET1K weights number them (wnids in sorted order).
IMAGENET_INDEX: Mapping[str, int] = {
    "n02486410": 372,
    "n07753592": 954,
    "n02206856": 309,
    "n02410509": 347,
    "n02279972": 323,
    "n02948072": 470,
    "n02963159": 474,
    "n02085620": 151,
    "n02504458": 386,
    "n07920052": 967,
    "n02190166": 308,
    "n01443537": 1,
    "n01855672": 99,
    "n02226429": 311,
    "n03544143": 604,
    "n07614500": 928,
    "n03584254": 605,
    "n01910747": 107,
    "n01882714": 105,
    "n02165456": 301,
    "n02129165": 291,
    "n07734744": 947,
    "n02056570": 145,
    "n02395406": 341,
    "n07873807": 963,
    "n07695742": 932,
    "n02509815": 387,
    "n04070727": 760,
    "n04259630": 808,
    "n04507155": 879,
}

WNID = re.compile(r"n\d{8}")


@dataclass(frozen=True)
class Classes:
    """The classes in the report's order; names are shown, keys tell the same class among a network's outputs."""

    names: tuple[str, ...]
    keys: tuple[str, ...]  # WordNet's numbers (wnids) in Tiny ImageNet, else the names of the folders

    def __len__(self) -> int:
        return len(self.names)


def without_data(spec: str | Sequence[str] | None) -> Classes:
    """The classes of a report that has no data set at hand: Tiny ImageNet's, or names of one's own.

    Raises:
        InputError: as `resolve_classes` does; names of which none is Tiny ImageNet's are taken as they are.
    """
    if not isinstance(spec, str) and spec and len(spec) > 1 and not any(_is_known(entry) for entry in spec):
        if again := repeated(spec):
            raise InputError(f'[data] classes: "{again}" stands there twice; name each class once')
        return Classes(tuple(spec), tuple(spec))
    return resolve_classes(spec, None)


def of_tiny_imagenet(classes: Classes) -> bool:
    """Whether the keys are WordNet's numbers, as Tiny ImageNet's are."""
    return all(WNID.fullmatch(key) for key in classes.keys)


def display_names(classes: Classes, told: Mapping[str, str], others: Iterable[Sequence[str]] = ()) -> Mapping[str, str]:
    """Own name -> what readers see in its place, of the classes that have another: Tiny ImageNet's, and as told.

    Args:
        told: [data] names of report.toml.
        others: the names of each network's outputs, which may be of more classes.
    Raises:
        InputError: where `told` names no class, or two classes of the data or of a network would be shown by one name.
    """
    lists = [classes.names, *others]
    known = {name for names in lists for name in names}
    if strange := next((name for name in told if name not in known), ""):
        near = difflib.get_close_matches(strange, sorted(known), n=1)
        hint = f'did you mean "{near[0]}"?' if near else f"expected some of {_listed(classes.names)}"
        raise InputError(f'[data] names: there is no class "{strange}"; {hint}')
    found = shown_names(classes, told)
    for names in lists:
        shown = [found.get(name, name) for name in names]
        if len(set(names)) == len(names) and (again := repeated(shown)):
            first, second = [name for name in names if found.get(name, name) == again][:2]
            raise InputError(f'[data] names: "{first}" and "{second}" would both be shown as "{again}"')
    return found


def shown_names(classes: Classes, told: Mapping[str, str]) -> Mapping[str, str]:
    """As `display_names`, of names that nobody has looked at yet."""
    found = {**(SHOWN if of_tiny_imagenet(classes) else {}), **told}
    return {name: shown for name, shown in found.items() if shown != name}


def repeated(entries: Sequence[str]) -> str:
    """The first entry that stands there twice; "" where there is none."""
    seen: set[str] = set()
    for entry in entries:
        if entry in seen:
            return entry
        seen.add(entry)
    return ""


def resolve_classes(spec: str | Sequence[str] | None, root: Path | None) -> Classes:
    """The classes of Tiny ImageNet that `spec` asks for, in its order.

    Args:
        spec: "TinyImageNet30", which None is too, "all", or wnids and names, mixed as one likes. A name is one of the
            thirty, or any synonym in the data set's words.txt, without regard to case.
        root: the data set, None where there is none (yet): then only wnids and the thirty names are known, and a wnid
            beyond the thirty is its own name.
    Raises:
        InputError: for fewer than two classes, a repeated, unknown or ambiguous one, or one that `root` does not hold.
    """
    held = None if root is None else _folders(root)
    entries = _entries(spec, held)
    words = read_words(root) if root is not None and not _all_known(entries) else {}
    pairs = [_resolve(entry, held, words) for entry in entries]
    _refuse_repeats(entries, [wnid for _, wnid in pairs])
    if held is not None and (missing := [f"{name} ({wnid})" for name, wnid in pairs if wnid not in held]):
        raise InputError(
            f"{root}: expected a folder train/<wnid> for each class, found none for {_listed(missing)}; "
            "use the whole data set or leave these classes out of [data] classes"
        )
    names = [name for name, _ in pairs]
    # Two synsets may share a word ("crane" the bird and the machine); the wnid tells them apart.
    shown = (f"{name} ({wnid})" if names.count(name) > 1 else name for name, wnid in pairs)
    return Classes(tuple(shown), tuple(wnid for _, wnid in pairs))


def read_words(root: Path) -> dict[str, tuple[str, ...]]:
    """wnid -> its synonyms, from the data set's words.txt ("n01443537<TAB>goldfish, Carassius auratus").

    Raises:
        InputError: if words.txt cannot be read.
    """
    path = root / "words.txt"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected the data set's list of words, {_reason(error)}") from None
    pairs = (line.split("\t", 1) for line in lines if "\t" in line)
    return {wnid: tuple(word.strip() for word in words.split(",")) for wnid, words in pairs}


def _entries(spec: str | Sequence[str] | None, held: set[str] | None) -> tuple[str, ...]:
    if spec == ALL and held is not None:
        spec = sorted(wnid for wnid in held if WNID.fullmatch(wnid))
    if spec == ALL:
        raise InputError(f'[data] classes: "{ALL}" needs the data set, there is none here; give it with --data DIR')
    if spec is None or isinstance(spec, str):
        if spec not in (None, PRESET):
            raise InputError(f'[data] classes: expected "{PRESET}", "{ALL}" or a list of wnids or names, got "{spec}"')
        return tuple(TINY_IMAGENET_30)
    entries = tuple(spec)
    if len(entries) < 2:
        raise InputError(f"[data] classes: expected at least 2 classes, got {len(entries)}")
    return entries


def _all_known(entries: Iterable[str]) -> bool:
    wnids = set(TINY_IMAGENET_30.values())
    return all(_is_known(entry) and (entry in wnids or not WNID.fullmatch(entry)) for entry in entries)


def _is_known(entry: str) -> bool:
    known = {*TINY_IMAGENET_30, *(name.casefold() for name in SHOWN.values())}
    return entry.casefold() in known or WNID.fullmatch(entry) is not None


def _folders(root: Path) -> set[str]:
    try:
        return {entry.name for entry in (root / "train").iterdir() if entry.is_dir()}
    except OSError as error:
        raise InputError(f"{root}: expected a Tiny ImageNet data set, its train folder {_reason(error)}") from None


def _resolve(entry: str, held: set[str] | None, words: Mapping[str, tuple[str, ...]]) -> tuple[str, str]:
    """(name, wnid) of one entry."""
    for name, wnid in TINY_IMAGENET_30.items():
        if entry == wnid or entry.casefold() in (name, SHOWN.get(name, name).casefold()):
            return name, wnid
    if WNID.fullmatch(entry):
        return words.get(entry, (entry,))[0], entry
    wanted = entry.casefold()
    # words.txt lists 82,000 synsets: of those that share a word, only the ones in the data set can be meant.
    found = [
        wnid
        for wnid, synonyms in words.items()
        if (held is None or wnid in held) and wanted in (word.casefold() for word in synonyms)
    ]
    if len(found) == 1:
        return entry, found[0]
    if found:
        raise InputError(f'[data] classes: "{entry}" may be any of {_listed(found)}; write the wnid instead')
    raise InputError(f'[data] classes: unknown class "{entry}"{_suggestion(entry, held, words)}')


def _suggestion(entry: str, held: set[str] | None, words: Mapping[str, tuple[str, ...]]) -> str:
    if held is None:
        known = {name.casefold(): name for name in TINY_IMAGENET_30}
    else:
        known = {name.casefold(): name for name, wnid in TINY_IMAGENET_30.items() if wnid in held}
        known |= {word.casefold(): word for wnid in sorted(held) for word in words.get(wnid, ())}
    near = difflib.get_close_matches(entry.casefold(), known, n=1)
    if near:
        return f'; did you mean "{known[near[0]]}"?'
    where = "the data set's words.txt" if held is not None else "TinyImageNet30 (names beyond it need the data set)"
    return f"; expected a wnid such as n01443537 or a name from {where}"


def _refuse_repeats(entries: Sequence[str], wnids: Sequence[str]) -> None:
    first: dict[str, str] = {}
    for entry, wnid in zip(entries, wnids, strict=True):
        if wnid in first:
            same = "" if first[wnid] == entry else f' (the same class as "{first[wnid]}")'
            raise InputError(f'[data] classes: "{entry}" stands there twice{same}; name each class once')
        first[wnid] = entry


def _listed(items: Sequence[str], most: int = 5) -> str:
    rest = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + rest


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "is missing"
    return f"cannot be read ({getattr(error, 'strerror', None) or error})"
