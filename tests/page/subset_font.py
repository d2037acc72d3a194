"""Makes the page's font of mathematics: `python -m tests.page.subset_font texgyretermes-math.otf OUT.woff2`.

Needs fonttools and brotli, which nothing else here does. Of each sign that grows, KEPT sizes stay beside the parts
that build any size; of all signs, those that answers are made of.
"""

from __future__ import annotations

import sys
from typing import Any

KEPT = 4
FAMILY = "mathcode mathematics"
TEXT = "20-7E A0 A7 A8 AC AF-B1 B4 B7 D7 F7 131 237 302-305 307 308 332 391-3A9 3B1-3C9 3D1 3D5 3D6 3F0 3F1 3F5"
PUNCTUATION = "2013 2014 2016 2018-201D 2020-2022 2026 2032-2037 203E 2057 2061-2064 20D7 2C6 2C7 2D8-2DC"
LETTERS = "2102 210B-2113 2115 2118-211D 2124 2127 2128 212C 212D 2130 2131 2133 2135-2137"
ARROWS = "2190-2199 21A0 21A6 21A9 21AA 21C0 21CC 21D0-21D5 27F5-27FA 27FC"
OPERATORS = (
    "2200-222E 2234-223C 2240-224D 2250 2254 225C 2260-226B 2270-2273 227A 227B 2282-228B 2290 2293-2299 "
    "229E-22A5 22A7-22AB 22B2-22B5 22BB 22C0-22C6 22C8 22EE-22F1 27C2 2A00-2A06 2A0C 2A7D 2A7E 2AAF 2AB0"
)
SHAPES = "2308-230B 23B4 23B5 23DE 23DF 25A0 25A1 25B3 25C7 25CB 2713 27E8 27E9 27EE 27EF"
ALPHABETS = "1D400-1D433 1D434-1D467 1D49C-1D4B5 1D538-1D56B 1D6E2-1D71B"
SIGNS = (TEXT, PUNCTUATION, LETTERS, ARROWS, OPERATORS, SHAPES, ALPHABETS)


def main(source: str, target: str) -> None:
    from fontTools.subset import Options, Subsetter
    from fontTools.ttLib import TTFont

    font = TTFont(source)
    _drop_sizes(font["MATH"].table.MathVariants)
    options = Options(layout_features=["dtls"], hinting=False, desubroutinize=True, name_IDs=["*"])
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=[code for part in SIGNS for code in _codes(part)])
    subsetter.subset(font)
    for name_id in (1, 4, 16):  # a changed font of this licence gets another name
        font["name"].setName(FAMILY, name_id, 3, 1, 0x409)
    font["name"].setName(FAMILY.replace(" ", ""), 6, 3, 1, 0x409)
    font.flavor = "woff2"
    font.save(target)


def _drop_sizes(variants: Any) -> None:
    constructions = [*variants.VertGlyphConstruction, *variants.HorizGlyphConstruction]
    for construction in constructions:
        records = construction.MathGlyphVariantRecord or []
        if len(records) > KEPT:
            step = (len(records) - 1) / (KEPT - 1)
            construction.MathGlyphVariantRecord = [records[round(index * step)] for index in range(KEPT)]
            construction.VariantCount = KEPT


def _codes(part: str) -> list[int]:
    found: list[int] = []
    for word in part.split():
        first, _, last = word.partition("-")
        found += range(int(first, 16), int(last or first, 16) + 1)
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
