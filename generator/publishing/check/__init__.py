"""What is wrong with a site before anybody visits it: the site's files in, findings out; nothing is fetched or written.

Looked for: links and fragments that lead nowhere, addresses that break below a sub-path or from a file, requests to
other hosts, images without words, labels of nothing, files that nothing leads to, and pages too heavy for a phone.
"""

from __future__ import annotations

import difflib
import posixpath
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

from generator.base import addresses
from generator.base.errors import InputError
from generator.publishing.check.documents import ending, has_parts, is_page, is_parsed, parsed
from generator.publishing.check.markup import FILE
from generator.publishing.check.references import Document, Kind, Reference, short

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
LINKED = ("http:", "https:", "mailto:", "tel:")  # what every browser follows, on every machine
CARRIED = ("data:", "blob:")  # the address is the file: for pictures and the like, no browser follows such a link
NO_PART = "".join(map(chr, range(33)))  # around an address: spaces and control characters
# Where the site is thought to be: below a folder, so that what leads out of it is seen.
BELOW = "/-the-site-/"
ROOT = f"https://site.invalid{BELOW}"
OUTWARD = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//")
# Comparisons with other names, for all findings together: each takes some microseconds, and whoever has a hundred
# thousand broken links has no use for as many guesses.
GUESSES, LONGEST_NAME = 300_000, 200
TOKEN = re.compile(r"""[^\s"'`,;|()\[\]{}<>]+""")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: with which file, what, and how to mend it."""

    page: str
    what: str
    mend: str
    harmless: bool = False  # to visitors: it wastes space alone

    def __str__(self) -> str:
        line = f"{self.page}: {self.what}; {self.mend}"
        return line.encode(errors="backslashreplace").decode()  # a file's name need not be UTF-8


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
        self.alike = {_alike(path): path for path in files}
        self.folders = {folder for path in files for folder in _parents(path)}
        self.documents = {path: parsed(path, content) for path, content in files.items() if is_parsed(path)}
        self.bases = {path: _base(path, document.base) for path, document in self.documents.items()}
        self.base = _own_address(files)
        self.guesses = GUESSES

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
        if document.broken:
            yield Finding(path, document.broken, "mend the file")
        for what in document.nameless:
            yield Finding(path, what, 'say in words what it shows (alt="..."), or alt="" where it only decorates')
        for name, count in (document.ids + document.anchors).items():
            if count > 1:
                yield Finding(path, f"the id {name!r} stands there {count} times", "an address needs an id of its own")
        for name, identity in document.named:
            if identity not in document.ids:
                yield Finding(
                    path, f'{name}="{short(identity)}" names no part of the page', "give a part of it this id"
                )
        for name in document.mapped:
            if name not in document.maps:
                what = f"{short(f'#{name}')} leads to a part that {path} does not have"
                yield Finding(path, what, "give a <map> this name")
        if document.base is not None:
            yield Finding(path, "<base> moves every address", "leave it out and write addresses relative to the page")
        yield from self._of_scripts(path, document)

    def _of_scripts(self, path: str, document: Document) -> Iterator[Finding]:
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
        if "\\" in address.partition("#")[0].partition("?")[0] and not address.lower().startswith(CARRIED):
            return Finding(page, f"{shown} has a backslash", "write / between folder and file")
        try:
            url = addresses.parsed(address, self.bases[page])
        except ValueError:
            return Finding(page, f"{shown} is no address", "mend or remove it")
        if OUTWARD.match(address):
            if self.base and url.href.startswith(self.base) and url.href[len(self.base) :][:1] in ("", *"/?#"):
                return self._own(page, reference, url.href[len(self.base) :], shown)
            return _outward(page, reference, url.protocol, address)
        if address.startswith("/"):
            return Finding(
                page,
                f"{shown} begins at the host's root",
                "write it relative to the page: the site must work below any path and from a file",
            )
        return self._inner(page, url, shown)

    def _own(self, page: str, reference: Reference, within: str, shown: str) -> Finding | str | None:
        """An address of the site itself in full: right for machines and in 404.html, a request for everybody else."""
        if reference.kind not in ("link", "page") and page != "404.html":
            return Finding(page, f"{shown} is fetched from the net", "write it relative to the page")
        url = addresses.parsed(ROOT + within.removeprefix("/"))
        # Where a host is asked for a folder, it shows the page in it that has this name.
        url.pathname += START if url.pathname.endswith("/") else ""
        if reference.kind == "link" and _file(url.pathname) not in self.files:
            return None  # its author may have other pages on this host
        return self._inner(page, url, shown)

    def _inner(self, page: str, url: addresses.URL, shown: str) -> Finding | str:
        """The file of an address below ROOT, or what is wrong with it."""
        if not url.href.startswith(ROOT):
            return Finding(page, f"{shown} leads out of the site", "what is outside is not published: copy it in")
        target = _file(url.pathname)
        if target not in self.files:
            return Finding(page, *self._absent(target, shown))
        document = self.documents.get(target)
        fragment = url.hash.removeprefix("#")
        if document and has_parts(target) and not document.broken and not _has_part(document, fragment):
            near = self._near(unquote(fragment), document.ids, 0.6)
            meant = (
                f"did you mean #{near}?" if near else f"give a part of {short(target)} this id, or link the page alone"
            )
            return Finding(page, f"{shown} leads to a part that {short(target)} does not have", meant)
        return target

    def _absent(self, target: str, shown: str) -> tuple[str, str]:
        bare = target.rstrip("/")
        if bare in self.folders or not bare:
            return f"{shown} leads to a folder", f"name the file in it, {posixpath.join(bare, START)}"
        if target != bare and bare in self.files:
            return f"{shown} leads nowhere", f"did you mean {short(bare)}? With / at its end it is a folder"
        if alike := self.alike.get(_alike(target)):
            return f"{shown} leads nowhere", f"did you mean {short(alike)}? {_difference(target, alike)}"
        near = self._near(target, self.files, 0.8)
        return f"{shown} leads nowhere", f"did you mean {near}?" if near else "mend the address or remove it"

    def _near(self, name: str, known: Collection[str], alike: float) -> str:
        """A name that is much like one that is known; "" where there is none, or too many were looked for."""
        self.guesses -= len(known)
        if self.guesses < 0 or len(name) > LONGEST_NAME:
            return ""
        close = difflib.get_close_matches(name, [one for one in known if len(one) <= LONGEST_NAME], n=1, cutoff=alike)
        return short(close[0]) if close else ""

    def _hinted(self, page: str, hints: list[str]) -> set[str]:
        """Files that scripts may ask for by a text or a data attribute."""
        folder = posixpath.dirname(page)
        tokens = {token for hint in hints for token in TOKEN.findall(hint)}
        whole = {unquote(re.split("[?#]", token)[0]) for token in tokens if "://" not in token}
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
                "show fewer photos ([samples] test_images) or channels ([models.<id>] channels); the largest file is "
                f"{largest}",
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
            if reference.kind in ("link", "page", "lazy image", "icon", "asked"):
                continue
            path = self._resolved(source, reference)
            if not isinstance(path, str) or path == page or path in seen:
                continue
            seen.add(path)
            size = len(self.files[path])
            key = reference.group if reference.group >= 0 and source == page else path
            if key not in groups or groups[key][2] < size:
                groups[key] = (path, reference.kind, size)
            if ending(path) == ".css":
                wanted += [(path, inner) for inner in self.documents[path].references]
        return {path: (kind, size) for path, kind, size in groups.values()}


def _outward(page: str, reference: Reference, scheme: str, address: str) -> Finding | None:
    """What is wrong with an address that names a scheme or a host."""
    shown = short(address)
    followed = reference.kind in ("link", "page")
    if scheme in CARRIED and not followed:
        return None
    if scheme not in LINKED:
        return Finding(page, f"{shown} works on one machine or in one browser", "link a file of the site instead")
    if not followed:
        return Finding(page, f"{shown} is fetched from another host", "put the file into the site")
    if address.startswith("//"):
        return Finding(page, f"{shown} has no scheme", "write https: before it, or nothing works from a file")
    if scheme in ("http:", "https:") and not re.match("https?://[^/]", address, re.IGNORECASE):
        return Finding(page, f"{shown} names no host", "write https://host/path, or a path relative to the page")
    return None


def _own_address(files: Mapping[str, bytes]) -> str:
    try:
        return addresses.normalised(address(files)).rstrip("/")
    except ValueError:
        return ""


def _base(page: str, moved: str | None) -> str:
    """What the addresses on a page are relative to. Of a <base> that leads out of the site its finding says all."""
    own = ROOT + quote(page, errors="surrogateescape")
    try:
        base = addresses.parsed(moved, own).href if moved is not None else own
    except ValueError:
        return own
    return base if base.startswith(ROOT) else own


def _file(path: str) -> str:
    """The file at a path below ROOT, as a host looks for it: an encoded slash is none."""
    within = path.removeprefix(BELOW)
    if "%" not in within:
        return within
    return unquote(re.sub("%2f", "%252F", within, flags=re.IGNORECASE), errors="surrogateescape")


def _has_part(document: Document, fragment: str) -> bool:
    """Whether a page has what a fragment names: as it is written, then decoded (HTML, "select the indicated part")."""
    written = fragment.partition(":~:")[0]  # a text to scroll to is looked for by the browser
    decoded = unquote(written)
    found = any(part in known for part in (written, decoded) for known in (document.ids, document.anchors))
    return not written or found or decoded.lower() == "top"


def _alike(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def _difference(asked: str, there: str) -> str:
    same = unicodedata.normalize("NFC", asked) == unicodedata.normalize("NFC", there)
    return "Its letters are composed otherwise" if same else "Hosts tell A from a"


def _largest(page: str, own: int, loaded: Mapping[str, tuple[Kind, int]]) -> str:
    path, size = max([(page, own), *((path, size) for path, (_, size) in loaded.items())], key=lambda entry: entry[1])
    what = "shorten the page" if path == page else "make it smaller or load it lazily"
    return f"{what}: {path} has {size / KIB:.0f} KiB"


def _parents(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path
