"""Names of licences: what people write as an SPDX expression, and whether a list of them permits it. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

# What stands in package metadata where no SPDX expression does, in lower case, without "licence" and punctuation.
_NAMES = {
    "mit": "MIT",
    "expat": "MIT",
    "bsd": "BSD-3-Clause",
    "new bsd": "BSD-3-Clause",
    "modified bsd": "BSD-3-Clause",
    "3 clause bsd": "BSD-3-Clause",
    "bsd 3 clause": "BSD-3-Clause",
    "simplified bsd": "BSD-2-Clause",
    "2 clause bsd": "BSD-2-Clause",
    "bsd 2 clause": "BSD-2-Clause",
    "apache": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache 2 0": "Apache-2.0",
    "apache software": "Apache-2.0",
    "apache software 2 0": "Apache-2.0",
    "apache version 2 0": "Apache-2.0",
    "isc": "ISC",
    "isc iscl": "ISC",
    "psf": "PSF-2.0",
    "python software foundation": "PSF-2.0",
    "zpl 2 1": "ZPL-2.1",
    "zope public": "ZPL-2.1",
    "mozilla public 2 0 mpl 2 0": "MPL-2.0",
    "mpl 2 0": "MPL-2.0",
    "unlicense": "Unlicense",
    "public domain": "CC0-1.0",
    "gnu general public v2 gplv2": "GPL-2.0-only",
    "gnu general public v3 gplv3": "GPL-3.0-only",
    "gnu general public v2 or later gplv2": "GPL-2.0-or-later",
    "gnu general public v3 or later gplv3": "GPL-3.0-or-later",
    "gnu library or lesser general public lgpl": "LGPL-2.0-or-later",
    "gnu lesser general public v3 lgplv3": "LGPL-3.0-only",
    "gnu affero general public v3": "AGPL-3.0-only",
}
LONGEST_NAME = 200


@lru_cache(maxsize=1024)
def spdx(text: str) -> str | None:
    """`text` as an SPDX expression, or None where it names no licence."""
    if len(text) > LONGEST_NAME:
        return None
    try:
        return canonicalize_license_expression(text)
    except InvalidLicenseExpression:
        words = " ".join(re.findall(r"[a-z0-9]+", text.lower()))
        return _NAMES.get(" ".join(re.sub(r"\b(the|licen[cs]e[ds]?)\b", " ", words).split()))


def is_permitted(expression: str, allowed: Collection[str]) -> bool:
    """Whether one way to read the expression needs allowed licences only: `OR` needs one side, `AND` both."""
    words = re.findall(r"\(|\)|[^\s()]+", expression)
    permitted = frozenset(name.lower() for name in allowed)
    try:
        value, rest = _either(words, permitted)
    except (IndexError, RecursionError):
        return False
    return value and not rest


def _either(words: list[str], allowed: frozenset[str]) -> tuple[bool, list[str]]:
    value, rest = _both(words, allowed)
    while rest[:1] == ["OR"]:
        other, rest = _both(rest[1:], allowed)
        value = value or other
    return value, rest


def _both(words: list[str], allowed: frozenset[str]) -> tuple[bool, list[str]]:
    value, rest = _single(words, allowed)
    while rest[:1] == ["AND"]:
        other, rest = _single(rest[1:], allowed)
        value = value and other
    return value, rest


def _single(words: list[str], allowed: frozenset[str]) -> tuple[bool, list[str]]:
    if words[0] == "(":
        value, rest = _either(words[1:], allowed)
        return value and rest[0] == ")", rest[1:]
    if words[1:2] == ["WITH"]:  # an exception grants more than the licence alone
        whole = " ".join(words[:3])
        return whole.lower() in allowed or words[0].lower() in allowed, words[3:]
    return words[0].lower() in allowed, words[1:]
