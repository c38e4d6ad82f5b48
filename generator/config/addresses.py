"""Which texts are addresses that a page may link to, and which can be a site's own."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

# Without what no address may hold as it is (RFC 3986, appendix A) and what breaks out of HTML, CSS and Markdown.
LINK = re.compile(r"""(https?://|mailto:)[^\s"<>\\^`{|}]+""")
# No name and password: a base_url is shown to everybody.
ADDRESS = re.compile(r"""https?://[^\s/?#@"<>\\^`{|}]+(/[^\s?#"<>\\^`{|}]*)?""")
BASE = "a folder's address that begins with https:// or http://"


def is_link(text: str) -> bool:
    """Whether a browser could follow it: the shape of an address, and a host in it."""
    return bool(LINK.fullmatch(text)) and (text.startswith("mailto:") or _has_host(text))


def is_base(text: str) -> bool:
    """Whether a site can be below this address: no page is."""
    page = text.rstrip("/").lower().endswith((".html", ".htm"))
    return bool(ADDRESS.fullmatch(text)) and _has_host(text) and not page


def _has_host(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and parts.port != 0  # a port that is no number raises, too
    except ValueError:
        return False
