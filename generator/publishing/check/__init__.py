"""What is wrong with a site before anybody visits it: the site's files in, findings out; nothing is fetched or written.

Looked for: links and fragments that lead nowhere, addresses that break below a sub-path or from a file, requests to
other hosts, images without words, labels of nothing, files that nothing leads to, and pages too heavy for a phone.
"""

from __future__ import annotations

import difflib
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from generator.base.errors import InputError
from generator.publishing.check.documents import (
    FILE,
    Document,
    Kind,
    Reference,
    ending,
    is_page,
    is_parsed,
    parsed,
    short,
)

KIB = 1024
FIRST_LOAD = 300 * KIB  # a page with all that comes before anybody scrolls, uncompressed
SCRIPTS = 25 * KIB  # of a page
STYLES = 25 * KIB
WHOLE = 20 * KIB * KIB
START = "index.html"
# Nothing has to lead to these: hosts, browsers, search engines, social networks and portfolios ask for them by name.
ASKED_FOR = frozenset(
    {START, "404.html", "robots.txt", "sitemap.xml", "favicon.ico", ".nojekyll", "CNAME"}
    | {f"assets/figures/{name}" for name in ("social.jpg", "teaser.webp")}
)
SCRIPT_TEXT = re.compile(r"""(["'`])((?:(?!\1)[^\\\n])*)\1""")
NAMESPACES = "http://www.w3.org/"
LINKED = ("http", "https", "mailto", "tel")  # what every browser follows, on every machine
CARRIED = ("data", "blob")  # the address is the file: for pictures and the like, no browser follows such a link
NO_PART = "".join(map(chr, range(33)))  # around an address: spaces and control characters
TOKEN = re.compile(r"""[^\s"'`,;|()\[\]{}<>]+""")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: with which file, what, and how to mend it."""

    page: str
    what: str
    mend: str
    harmless: bool = False  # to visitors: it wastes space alone

    def __str__(self) -> str:
        return f"{self.page}: {self.what}; {self.mend}"


def check(files: Mapping[str, bytes]) -> tuple[Finding, ...]:
    """All that is wrong with a site, page by page.

    Args:
        files: relative POSIX paths -> contents.
    """
    return tuple(dict.fromkeys(_Site(files).findings()))  # a menu may lead to a missing page twice


def address(files: Mapping[str, bytes]) -> str:
    """Where the site says that it is published, as its first page's canonical address; "" where it does not."""
    canonical = parsed(START, files.get(START, b"")).canonical
    return canonical.removesuffix(START).rstrip("/") if canonical.startswith(("https://", "http://")) else ""


def require(files: Mapping[str, bytes], what: str, say: Callable[[str], None]) -> None:
    """Nothing where no visitor would meet anything broken.

    Args:
        what: happens to it otherwise: "nothing was published".
        say: is told each finding.
    Raises:
        InputError: with the first finding and how many there are.
    """
    if found := [one for one in check(files) if not one.harmless]:
        for line in grouped(found):
            say(line)
        raise InputError(f"expected a site without faults, found {len(found)}, such as {found[0]}; {what}")


def of_folder(missing: Sequence[str], changed: Sequence[str], foreign: Sequence[str]) -> Iterator[Finding]:
    """Where a site's folder is not what the build wrote: the paths of such files -> findings."""
    for path in missing:
        yield Finding(path, "the build wrote this file and it is gone", "build again")
    for path in changed:
        yield Finding(path, "it is not as the build wrote it", "build again; change templates/ or content/ instead")
    for path in foreign:
        yield Finding(path, "the build did not write this file", "move it out: nobody publishes it", harmless=True)


def grouped(findings: Sequence[Finding]) -> Iterator[str]:
    """A line each; what is wrong in the same way with several pages is told once."""
    pages: dict[tuple[str, str], list[str]] = {}
    for one in findings:
        pages.setdefault((one.what, one.mend), []).append(one.page)
    for (what, mend), names in pages.items():
        yield str(Finding(names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more", what, mend))


class _Site:
    """A site's files, parsed once."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files
        self.lower = {path.casefold(): path for path in files}
        self.folders = {folder for path in files for folder in _parents(path)}
        self.documents = {path: parsed(path, content) for path, content in files.items() if is_parsed(path)}
        self.base = address(files)

    def findings(self) -> Iterator[Finding]:
        if START not in self.files:
            yield Finding(START, "there is no such page", "a site begins with it: build it again")
        led_to = set(ASKED_FOR)
        for path, document in self.documents.items():
            yield from self._of_document(path, document)
            for reference in document.references:
                found = self._resolved(path, reference)
                if isinstance(found, Finding):
                    yield found
                elif found:
                    led_to.add(found)
            led_to |= self._hinted(path, document.hints)
        for path in self.files:
            if path not in led_to:
                yield Finding(path, "nothing leads to this file", "link it from a page or leave it out", harmless=True)
            if any(part.startswith("_") for part in path.split("/")):
                yield Finding(path, "its name begins with _, which Jekyll leaves out", "give it another name")
        yield from self._sizes()

    def _of_document(self, path: str, document: Document) -> Iterator[Finding]:
        for what in document.nameless:
            yield Finding(path, what, 'say in words what it shows (alt="..."), or alt="" where it only decorates')
        for name, count in document.ids.items():
            if count > 1:
                yield Finding(path, f"the id {name!r} stands there {count} times", "an address needs an id of its own")
        for name, identity in document.named:
            if identity not in document.ids:
                yield Finding(
                    path, f'{name}="{short(identity)}" names no part of the page', "give a part of it this id"
                )
        if document.base:
            yield Finding(path, "<base> moves every address", "leave it out and write addresses relative to the page")
        for _, text in SCRIPT_TEXT.findall(document.script):
            if re.match(r"(https?|wss?):|//\w", text):
                if not text.startswith(NAMESPACES):
                    yield Finding(path, f"a script names {short(text)}", "leave the request to another host out")
            elif "/" in text and FILE.fullmatch(text):  # a name alone may be that of a download
                yield from self._of_script(path, text)

    def _of_script(self, path: str, text: str) -> Iterator[Finding]:
        """The address of a file in a script, which the browser takes as relative to the page."""
        what = f"a script names {short(text)}"
        if text.startswith("/"):
            yield Finding(path, f"{what}, which begins at the host's root", "write it relative to the page")
        elif not self._hinted(path, [text]):
            yield Finding(path, f"{what}, which is not there", "mend the address or leave it out")

    def _resolved(self, page: str, reference: Reference) -> Finding | str | None:
        """The file that an address leads to, what is wrong with it, or None where it leads out of the site rightly."""
        # As browsers do (URL standard, "basic URL parser"): java\nscript: is a script.
        address = re.sub(r"[\t\n\r]", "", reference.address).strip(NO_PART)
        shown = short(address)
        if not address and reference.kind != "link":
            return Finding(page, "an image, script or style has an empty address", "give it one or remove it")
        if "\\" in address:
            return Finding(page, f"{shown} has a backslash", "write / between folder and file")
        try:
            parts = urlsplit(address)
        except ValueError:
            return Finding(page, f"{shown} is no address", "mend or remove it")
        if self._is_own(address):
            return self._own(page, reference, address)
        if parts.scheme or parts.netloc:
            return _outward(page, reference, parts, shown)
        if parts.path.startswith("/"):
            return Finding(
                page,
                f"{shown} begins at the host's root",
                "write it relative to the page: the site must work below any path and from a file",
            )
        return self._inner(page, parts.path, unquote(parts.fragment), shown)

    def _is_own(self, address: str) -> bool:
        return bool(self.base) and (address == self.base or address.startswith(f"{self.base}/"))

    def _own(self, page: str, reference: Reference, address: str) -> Finding | str | None:
        """An address of the site itself in full: right for machines and in 404.html, a request for everybody else."""
        parts = urlsplit(address[len(self.base) :].lstrip("/"))
        if reference.kind not in ("link", "page") and page != "404.html":
            return Finding(page, f"{short(address)} is fetched from the net", "write it relative to the page")
        path = f"{parts.path}{START}" if not parts.path or parts.path.endswith("/") else parts.path
        if reference.kind == "link" and unquote(path) not in self.files:
            return None  # its author may have other pages on this host
        found = self._inner(START, path, unquote(parts.fragment), short(address))
        return Finding(page, found.what, found.mend) if isinstance(found, Finding) else found

    def _inner(self, page: str, path: str, fragment: str, shown: str) -> Finding | str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page), unquote(path))) if path else page
        if target == ".." or target.startswith("../"):
            return Finding(page, f"{shown} leads out of the site", "what is outside is not published: copy it in")
        if target not in self.files:
            return Finding(page, *self._absent(target, shown))
        document = self.documents.get(target)
        fragment = fragment.partition(":~:")[0]  # a text to scroll to is looked for by the browser
        if fragment and fragment != "top" and document and fragment not in document.ids:
            near = difflib.get_close_matches(fragment, document.ids, n=1)
            meant = f"did you mean #{near[0]}?" if near else f"give a part of {target} this id, or link the page alone"
            return Finding(page, f"{shown} leads to a part that {target} does not have", meant)
        return target

    def _absent(self, target: str, shown: str) -> tuple[str, str]:
        if target in self.folders or target == ".":
            return f"{shown} leads to a folder", f"name the file in it, {posixpath.normpath(f'{target}/{START}')}"
        if target.casefold() in self.lower:
            return f"{shown} leads nowhere", f"did you mean {self.lower[target.casefold()]}? Hosts tell A from a"
        near = difflib.get_close_matches(target, self.files, n=1, cutoff=0.8)
        return f"{shown} leads nowhere", f"did you mean {near[0]}?" if near else "mend the address or remove it"

    def _hinted(self, page: str, hints: list[str]) -> set[str]:
        """Files that scripts may ask for by a text or a data attribute."""
        folder = posixpath.dirname(page)
        tokens = {token for hint in hints for token in TOKEN.findall(hint)}
        whole = {unquote(urlsplit(token).path) for token in tokens if "://" not in token}
        known = {posixpath.normpath(path) for token in whole for path in (token, posixpath.join(folder, token))}
        return known & set(self.files)

    def _sizes(self) -> Iterator[Finding]:
        for path, document in self.documents.items():
            if is_page(path):
                yield from self._sizes_of(path, document)
        size = sum(map(len, self.files.values()))
        if size > WHOLE:
            largest = max(self.files, key=lambda path: len(self.files[path]))
            yield Finding(
                "the site",
                f"{size / KIB / KIB:.1f} MiB, expected {WHOLE // KIB // KIB} at most",
                f"show fewer photos or smaller figures; the largest file is {largest}",
            )

    def _sizes_of(self, page: str, document: Document) -> Iterator[Finding]:
        loaded = self._first_load(page, document)
        scripts = len(document.script.encode()) + sum(size for kind, size in loaded.values() if kind == "script")
        styles = len(document.style.encode()) + sum(size for kind, size in loaded.values() if kind == "style")
        whole = len(self.files[page]) + sum(size for _, size in loaded.values())
        for size, limit, what, mend in (
            (scripts, SCRIPTS, "scripts", "leave out what the page does not use"),
            (styles, STYLES, "styles", "leave out what the page does not use"),
            (whole, FIRST_LOAD, "on the first load", _largest(page, len(self.files[page]), loaded)),
        ):
            if size > limit:
                yield Finding(page, f"{size / KIB:.0f} KiB {what}, expected {limit // KIB} at most", mend)

    def _first_load(self, page: str, document: Document) -> dict[str, tuple[Kind, int]]:
        """Path -> kind and size of all that a browser fetches with the page; of a picture's sizes the largest."""
        groups: dict[object, tuple[str, Kind, int]] = {}
        wanted = [(page, reference) for reference in document.references]
        seen = set()
        while wanted:
            source, reference = wanted.pop()
            path = self._resolved(source, reference)
            if reference.kind in ("link", "page", "lazy image", "icon", "asked") or not isinstance(path, str):
                continue
            if path == page or path in seen:
                continue
            seen.add(path)
            size = len(self.files[path])
            key = reference.group if reference.group >= 0 and source == page else path
            if key not in groups or groups[key][2] < size:
                groups[key] = (path, reference.kind, size)
            if ending(path) == ".css":
                wanted += [(path, inner) for inner in self.documents[path].references]
        return {path: (kind, size) for path, kind, size in groups.values()}


def _outward(page: str, reference: Reference, parts: SplitResult, shown: str) -> Finding | None:
    """What is wrong with an address that names a scheme or a host."""
    followed = reference.kind in ("link", "page")
    if parts.scheme in CARRIED and not followed:
        return None
    if parts.scheme not in ("", *LINKED):
        return Finding(page, f"{shown} works on one machine or in one browser", "link a file of the site instead")
    if not followed:
        return Finding(page, f"{shown} is fetched from another host", "put the file into the site")
    if not parts.scheme:
        return Finding(page, f"{shown} has no scheme", "write https: before it, or nothing works from a file")
    if parts.scheme in ("http", "https") and not parts.hostname:
        return Finding(page, f"{shown} names no host", "write https://host/path, or a path relative to the page")
    return None


def _largest(page: str, own: int, loaded: Mapping[str, tuple[Kind, int]]) -> str:
    path, size = max([(page, own), *((path, size) for path, (_, size) in loaded.items())], key=lambda entry: entry[1])
    what = "shorten the page" if path == page else "make it smaller or load it lazily"
    return f"{what}: {path} has {size / KIB:.0f} KiB"


def _parents(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path
