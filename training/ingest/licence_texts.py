"""Which licence a text is, by sentences that only it has. Pure; knows the ones that code commonly comes under."""

from __future__ import annotations

import re

from training.ingest.licence_expressions import spdx

LONGEST_TEXT = 64 * 1024
_HEADER = re.compile(r"SPDX-License-Identifier:[ \t]*([A-Za-z0-9.+() -]{2,200})")
HEADER_CHARACTERS = 2000  # of a file that are searched for its own licence

# (identifier, words that must all occur), in this order: the first that fits is the licence.
_MARKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("AGPL-3.0-only", ("gnu affero general public license", "version 3, 19 november 2007")),
    ("LGPL-3.0-only", ("gnu lesser general public license", "version 3, 29 june 2007")),
    ("LGPL-2.1-only", ("gnu lesser general public license", "version 2.1, february 1999")),
    ("GPL-3.0-only", ("gnu general public license", "version 3, 29 june 2007")),
    ("GPL-2.0-only", ("gnu general public license", "version 2, june 1991")),
    ("MPL-2.0", ("mozilla public license version 2.0",)),
    ("EPL-2.0", ("eclipse public license - v 2.0",)),
    ("PSF-2.0", ("python software foundation license version 2",)),
    ("Apache-2.0", ("apache license", "version 2.0, january 2004")),
    ("Apache-2.0", ('licensed under the apache license, version 2.0 (the "license")',)),
    ("BSL-1.0", ("boost software license - version 1.0",)),
    ("CC0-1.0", ("cc0 1.0 universal",)),
    ("Unlicense", ("this is free and unencumbered software released into the public domain",)),
    ("Zlib", ("this software is provided 'as-is', without any express or implied", "altered source versions")),
    ("ZPL-2.1", ("zope public license (zpl) version 2.1",)),
    (
        "BSD-3-Clause",
        (
            "redistribution and use in source and binary forms",
            "redistributions in binary form must reproduce",
            "endorse or promote products",
        ),
    ),
    ("BSD-2-Clause", ("redistribution and use in source and binary forms", "in binary form must reproduce")),
    ("MIT", ("permission is hereby granted, free of charge, to any person obtaining a copy", "shall be included")),
    ("ISC", ("permission to use, copy, modify, and/or distribute this software", "appear in all copies")),
    ("ISC", ("permission to use, copy, modify, and distribute this software for any purpose with or without",)),
    ("0BSD", ("permission to use, copy, modify, and/or distribute this software for any purpose",)),
)
# Ahead of a licence's own text, these make it something else.
_LIMITS = (
    "commons clause",
    "business source license",
    "non-commercial",
    "noncommercial",
)


def licence_of(text: str) -> str | None:
    """The SPDX identifier of a licence's text, or None where it is none of the known ones."""
    plain = re.sub(r"[\s*#/]+", " ", text[:LONGEST_TEXT].lower())
    if any(limit in plain for limit in _LIMITS):
        return None
    named = next((name for name, marks in _MARKS if all(mark in plain for mark in marks)), None)
    return named or spdx(text.strip())


def licence_in_header(text: str) -> str | None:
    """What a file says of itself by `SPDX-License-Identifier`; an expression that is none counts as unknown."""
    head = text[:HEADER_CHARACTERS]
    match = _HEADER.search(head) if "SPDX-License" in head else None
    return None if match is None else (spdx(match[1].strip().rstrip("*-").strip()) or "LicenseRef-unreadable")
