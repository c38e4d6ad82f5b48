"""Language tags, and which languages are written from right to left."""

from __future__ import annotations

import re

# A language tag (RFC 5646, 2.1): language, script, region, variants, extensions, private use.
LANGUAGE = re.compile(
    r"[a-z]{2,3}(-[a-z]{3}){0,3}(-[a-z]{4})?(-([a-z]{2}|\d{3}))?(-([a-z\d]{5,8}|\d[a-z\d]{3}))*"
    r"(-[a-wyz\d](-[a-z\d]{2,8})+)*(-x(-[a-z\d]{1,8})+)?",
    re.IGNORECASE | re.ASCII,
)
# Scripts of today that run from right to left, and languages that are written in one of them where no script is named
# (Unicode CLDR, likely subtags).
# fmt: off
RIGHT_TO_LEFT = frozenset({
    "adlm", "arab", "aran", "gara", "hebr", "mand", "nkoo", "rohg", "samr", "syrc", "syre", "syrj", "syrn", "thaa",
    "yezi",
})
RIGHT_TO_LEFT_LANGUAGES = frozenset({
    "acm", "acq", "acw", "acx", "acy", "adf", "aeb", "aec", "afb", "aii", "ajp", "apc", "apd", "ar", "arc", "arq",
    "ars", "ary", "arz", "ayl", "azb", "bal", "bcc", "bej", "bgn", "brh", "ckb", "dcc", "dv", "fa", "gbz", "glk",
    "hac", "haz", "he", "hno", "iw", "ji", "khw", "ks", "kvx", "kxp", "lad", "lki", "lrc", "luz", "mid", "mvy", "mzn",
    "nqo", "ota", "pbt", "pbu", "phl", "phr", "pnb", "prd", "prs", "ps", "rhg", "rmt", "sam", "sd", "sdg", "sdh",
    "skr", "syr", "trw", "ug", "ur", "wni", "wsg", "yi", "zum",
})
