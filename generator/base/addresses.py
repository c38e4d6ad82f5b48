"""Addresses as browsers read them: the URL standard (url.spec.whatwg.org), by ada, the parser that Node.js has."""

from __future__ import annotations

import re
from urllib.parse import quote

from ada_url import URL

__all__ = ["URL", "normalised", "parsed"]

STRAY_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")
PATH = "%/:@!$&'()*+,;="  # beside letters, digits and -._~: all that RFC 3986 has in a path


def parsed(address: str, base: str | None = None) -> URL:
    """The parts of an address; that of a relative one, as it is on a page at `base`.

    Raises:
        ValueError: no browser can read it.
    """
    return URL(address, base=base)


def normalised(address: str) -> str:
    """An absolute address as it is sent, in ASCII alone (RFC 3986): "https://Bücher.example/ü" is https://xn--.../%C3%BC.

    Raises:
        ValueError: no browser can read it.
    """
    url = parsed(address)
    url.pathname = quote(STRAY_PERCENT.sub("%25", url.pathname), safe=PATH)
    return url.href
