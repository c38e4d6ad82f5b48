"""Which texts are addresses that a page may link to, and which can be a site's own."""

from __future__ import annotations

import re

from generator.base import addresses

# Without what no address may hold as it is (RFC 3986, appendix A) and what breaks out of HTML, CSS and Markdown.
LINK = re.compile(r"""(https?://(?!/)|mailto:)[^\s"<>\\^`{|}]+""")
# No name and password: a base_url is shown to everybody.
ADDRESS = re.compile(r"""https?://[^\s/?#@"<>\\^`{|}]+(/[^\t\n\r?#"<>\\^`{|}]*)?""", re.IGNORECASE)
BASE = "a folder's address that begins with https:// or http://"


def is_link(text: str) -> bool:
    """Whether a browser could follow it: the shape of an address, and a host in it."""
    return bool(LINK.fullmatch(text)) and (text.startswith("mailto:") or _has_host(text))


def base_address(text: str) -> str:
    """The address of a folder as it is sent, without a slash at its end: punycode, percent-encoded, dots followed.

    Raises:
        ValueError: with what was expected instead. No site is below a page, and none is shown with a password.
    """
    stripped = text.strip(" ")
    if re.match("https?://", stripped, re.IGNORECASE) and re.search("[?#]", stripped):
        raise ValueError(f"{BASE}, without ? and what follows it, without #")
    if not ADDRESS.fullmatch(stripped) or not _has_host(stripped):
        raise ValueError(BASE)
    address = addresses.normalised(stripped).rstrip("/")
    if address.lower().endswith((".html", ".htm")):
        raise ValueError(BASE)
    if "//" in address.partition("://")[2]:
        raise ValueError(f"{BASE}, without // in its path: hosts and browsers differ in what that means")
    return address


def _has_host(address: str) -> bool:
    try:
        url = addresses.parsed(address)
    except ValueError:  # a port that is no number raises, too
        return False
    return bool(url.hostname) and url.port != "0"
